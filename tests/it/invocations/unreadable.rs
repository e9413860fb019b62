//! One bad document among good ones.

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::RunState,
    },
    engine::RunRequest,
    functions::Answer,
};

use super::{Bench, called, hours_ago, newcomers, request, tick};

#[tokio::test]
async fn one_unreadable_summary_hides_no_other_and_stops_no_tick() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let preview = RunRequest::new(Mode::Preview, Trigger::Http);
    let id = bench
        .recorded(&preview, RunState::Queued, &hours_ago(1))
        .await;
    let app = bench.app();
    assert!(matches!(tick(&app).await, Answer::Success(_)));
    let name = format!("runs/{id}/summary");
    bench.put(&name, "no document").await;
    assert_eq!(bench.engine(None).history(10).await.unwrap().len(), 1);
    let health = called(&app, request("GET", "/health", &[], None)).await;
    assert_eq!(health.status, 200, "{}", health.body);
    bench
        .world
        .sandbox
        .zivver
        .with_state(|zivver| zivver.users.truncate(1));
    // An apply that has to tell who was killed reads it strictly (R35).
    let Answer::Failure { cause } = tick(&app).await else {
        panic!("recovering skips nothing");
    };
    assert!(cause.contains(&name), "{cause}");
}
