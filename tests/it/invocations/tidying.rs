//! A failure after the end of a run does not change its success.

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::RunOutcome,
    },
    engine::RunRequest,
    state::RunId,
};

use super::{Bench, apply, newcomers};
use crate::state::faults::Fault as Weather;

#[tokio::test]
async fn a_run_that_cannot_tidy_up_succeeded_all_the_same() {
    let bench = Bench::open(newcomers(2), &[("KEEP_RUNS", "1")]).await;
    let engine = bench.engine(None);
    engine.run(&apply()).await.unwrap();
    bench.weather.suffers(Weather::NoDeletion);
    let report = engine.run(&apply()).await.unwrap();
    assert_eq!((report.outcome, report.error), (RunOutcome::InSync, None));
    bench.weather.suffers(Weather::None);
}

#[tokio::test]
async fn r35_an_apply_can_be_undone_after_any_number_of_previews() {
    let bench = Bench::open(newcomers(2), &[("KEEP_RUNS", "2")]).await;
    let engine = bench.engine(None);
    let wrote = engine.run(&apply()).await.unwrap();
    assert_eq!(bench.users().len(), 2);
    let in_sync = engine.run(&apply()).await.unwrap();
    let preview = RunRequest::new(Mode::Preview, Trigger::Http);
    for _ in 0..4 {
        engine.run(&preview).await.unwrap();
    }
    let runs = engine.history(10).await.unwrap();
    let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(ids.len(), 4, "two previews and both applies: {ids:?}");
    assert_eq!(ids[2..], [&in_sync.id, &wrote.id]);
    let mut undo = apply();
    undo.undo = RunId::parse(&wrote.id);
    let undone = engine.run(&undo).await.unwrap();
    assert_eq!(undone.error, None);
    assert!(
        !undone.actions.is_empty() || !undone.held.is_empty(),
        "{undone:?}"
    );
}
