//! Why a run ended, if its report does not contain the reason yet.

use cloud_sync::{
    domain::report::{RunOutcome, RunState},
    state::Phase,
};

use super::{Bench, apply, hours_ago, newcomers};

#[tokio::test]
async fn a_run_that_ended_tells_why_in_its_report() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let id = bench
        .recorded(&apply(), RunState::Continues, &hours_ago(1))
        .await;
    let engine = bench.engine(None);
    let mut report = engine.report(&id).await.unwrap();
    report.warnings.push("kept".into());
    bench.state.save_report(&id, &report).await.unwrap();
    let mut summary = engine.summary(&id).await.unwrap().unwrap();
    summary.state = RunState::Ended;
    summary.outcome = RunOutcome::Failed;
    summary.error = Some("its code has expired".into());
    summary.ended = Some(hours_ago(0));
    bench
        .state
        .save_summary(&id, Phase::Ended, &summary)
        .await
        .unwrap();
    let told = engine.report(&id).await.unwrap();
    assert_eq!((told.error, told.ended), (summary.error, summary.ended));
    assert_eq!(told.warnings, ["kept"]);
}
