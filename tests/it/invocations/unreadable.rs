//! One document that cannot be read among others that can.

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::RunState,
    },
    engine::RunRequest,
    functions::Answer,
    state::RunId,
};

use super::{Bench, called, hours_ago, newcomers, request, tick};

#[tokio::test]
async fn r35_one_unreadable_summary_hides_no_other_and_stops_no_tick() {
    for damaged in ["", "no document", "{\"v\":1,\"kind\":\"sum"] {
        syncs_beside(damaged).await;
    }
}

async fn syncs_beside(damaged: &'static str) {
    let bench = Bench::open(newcomers(2), &[]).await;
    let preview = RunRequest::new(Mode::Preview, Trigger::Http);
    let id = bench
        .recorded(&preview, RunState::Queued, &hours_ago(2))
        .await;
    let before = bench.app_at(-1, &[]);
    assert!(matches!(tick(&before).await, Answer::Success(_)));
    let app = bench.app();
    let name = format!("runs/{id}/summary");
    bench.put(&name, damaged).await;
    assert_eq!(bench.engine(None).history(10).await.unwrap().len(), 1);
    let health = called(&app, request("GET", "/health", &[], None)).await;
    assert_eq!(health.status, 200, "{}", health.body);
    assert!(matches!(tick(&app).await, Answer::Success(_)));
    assert_eq!(bench.users().len(), 2);
    let engine = bench.engine(None);
    let newest = &engine.history(1).await.unwrap()[0].id;
    let report = engine.report(&RunId::parse(newest).unwrap()).await.unwrap();
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains(&name)),
        "{:?}",
        report.warnings
    );
}
