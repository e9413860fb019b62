//! The order of runs (R28).

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::RunState,
    },
    engine::RunRequest,
};

use super::{Bench, apply, newcomers};

#[tokio::test(start_paused = true)]
async fn r28_runs_of_one_moment_stay_in_their_order() {
    let bench = Bench::open(newcomers(1), &[]).await;
    // Its clock stands still while nothing waits.
    let engine = bench.engine(None);
    let mut began = Vec::new();
    for _ in 0..120 {
        let id = engine.enqueue(&apply()).await.unwrap();
        began.push(id.to_string());
    }
    let runs = engine.history(200).await.unwrap();
    let listed: Vec<String> = runs.into_iter().rev().map(|run| run.id).collect();
    assert_eq!(listed, began);
}

#[tokio::test]
async fn r28_a_new_run_is_later_than_one_whose_clock_was_ahead() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let preview = RunRequest::new(Mode::Preview, Trigger::Timer);
    let ahead = bench
        .recorded(&preview, RunState::Queued, "2099-11-23T02:00:00Z")
        .await;
    let report = bench.engine(None).run(&apply()).await.unwrap();
    assert!(report.id.as_str() > ahead.as_str(), "{}", report.id);
    let queued = bench.engine(None).enqueue(&apply()).await.unwrap();
    assert!(queued.as_str() > report.id.as_str(), "{queued}");
    let runs = bench.engine(None).history(10).await.unwrap();
    let listed: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(listed, [queued.as_str(), &report.id, ahead.as_str()]);
}
