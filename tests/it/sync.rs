//! Whole runs against the sandbox.

use cloud_sync::sandbox::tenant;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn r38_a_made_up_tenant_converges_and_then_nothing_is_written() {
    let (exchange, organisation) = tenant::generate(1, 200);
    let world = World::start(exchange, organisation).await;
    let preview = world.preview().await;
    assert_eq!(preview.error, None);
    assert!(!preview.actions.is_empty());
    let first = world.apply().await;
    assert_eq!(first.error, None);
    assert_eq!(first.converged, Some(true));
    let journal = world.sandbox.zivver.control().journal();
    let written = journal.iter().filter(|entry| entry.method != "GET").count();
    // The planned number of writes is the actual one, since nothing was refused.
    assert_eq!(preview.planned_writes as usize, written);
    let second = world.apply().await;
    assert_eq!(second.actions, []);
}
