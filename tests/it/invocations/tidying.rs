//! What is done after a run has ended does not undo its success.

use cloud_sync::domain::report::RunOutcome;

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
