//! Runs that no invocation completes (R34).

use cloud_sync::{
    domain::report::{RunOutcome, RunState},
    state::RunId,
};

use super::{Bench, apply, hours_ago, newcomers};

#[tokio::test]
async fn r34_a_run_whose_message_was_lost_ends_after_a_day() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let mut undo = apply();
    undo.undo = RunId::parse("20261123T020000Z-0b5e77");
    let lost = [
        bench
            .recorded(&apply(), RunState::Queued, &hours_ago(25))
            .await,
        bench
            .recorded(&undo, RunState::Continues, &hours_ago(26))
            .await,
    ];
    let waiting = bench
        .recorded(&apply(), RunState::Queued, &hours_ago(23))
        .await;
    let engine = bench.engine(None);
    engine.run(&apply()).await.unwrap();
    for id in lost {
        let run = engine.summary(&id).await.unwrap().unwrap();
        assert_eq!(
            (run.state, run.outcome),
            (RunState::Ended, RunOutcome::Failed)
        );
        let told = run.error.as_deref();
        assert_eq!(told, Some("its queue message was lost; start it again"));
    }
    let run = engine.summary(&waiting).await.unwrap().unwrap();
    assert_eq!((run.state, run.error), (RunState::Queued, None));
}
