//! A process that is asked to end during its work (R29, R34).

use std::time::Duration;

use serde_json::json;

use super::office::{Office, folder_url};
use crate::host::{Host, until, wire::Call};

#[tokio::test(flavor = "multi_thread")]
async fn r34_a_process_that_is_to_end_hands_its_run_on_and_gives_the_lock_back() {
    let office = Office::open(6, 3).await;
    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(400));
    let folder = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(folder.path()));
    let ending = Host::start(settings.clone()).await;
    let other = Host::start(settings).await;
    let mut run = std::pin::pin!(ending.timer());
    tokio::select! {
        invoked = &mut run => panic!("ended early: {invoked:?}"),
        () = until("it writes", || office.writes() > 0) => {}
    }
    ending.signal("TERM");
    run.await.succeeded();
    assert_eq!(ending.queue.len(), 1, "the rest is another invocation's");
    assert!(office.accounts() != office.expected, "it did all of it");
    zivver.set_latency(Duration::ZERO);
    let apply = json!({"mode": "apply", "wait": 100});
    let client = other.call(Call::post("/api/SyncHttp", &apply)).await;
    assert_eq!(client.status, 200, "{}", client.body);
    assert_eq!(client.json()["converged"], true, "{}", client.body);
    office.is_in_sync();
    other.stop().await;
}
