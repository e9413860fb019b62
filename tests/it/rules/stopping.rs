//! R34: a person stops a run.

use std::time::Duration;

use cloud_sync::{
    domain::{
        health::Run,
        mode::{Mode, PerformSync, Trigger},
        report::{Report, RunOutcome, RunState},
    },
    engine::{RunError, RunRequest, history::Last},
};

use super::{bench::*, company::*};
use crate::world::World;

/// A run that is stopped after some time.
pub(super) async fn stopped_after(world: &World, seconds: u64) -> Report {
    let request = RunRequest::new(Mode::Apply, Trigger::Http);
    let run = world.run_for(&request);
    let stop = async {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let records = world.engine.records().await.unwrap();
        let id = records.find("last", Last::Open).await.unwrap();
        let stopped = records.stop(&id, None).await.unwrap();
        assert_eq!(stopped.state, RunState::Running);
    };
    let (report, ()) = tokio::join!(run, stop);
    report.unwrap()
}

/// 140 people, of whom 60 have left, within all limits.
async fn many_leave() -> World {
    many_leave_with(&[]).await
}

async fn many_leave_with(extra: &[(&str, &str)]) -> World {
    let names: Vec<String> = (0..140).map(|number| format!("p{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut settings = vec![("MAX_SUSPEND", "100%")];
    settings.extend_from_slice(extra);
    let world = World::still_with(people(&names), accounts(&names), &settings).await;
    assert_converged(&world.apply().await);
    vanish(&world, 0..60);
    world
}

#[tokio::test(start_paused = true)]
async fn r34_a_stopped_run_ends_what_is_in_flight_and_no_more() {
    let world = many_leave().await;
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(Duration::from_secs(10));
    let report = stopped_after(&world, 12).await;
    assert_eq!(
        (report.state, report.outcome),
        (RunState::Ended, RunOutcome::Stopped),
        "{}",
        shown(&report)
    );
    let done = suspended(&world).len();
    assert!((1..60).contains(&done), "{done}");
    assert_eq!(report.remaining as usize, 60 - done);
    let text = format!(
        "stopped by a person with changes of {} accounts left; the next apply makes them (R34)",
        60 - done
    );
    assert!(report.warnings.contains(&text), "{:?}", report.warnings);
    assert_eq!(report.error, None);
    let run = Run::from(&report);
    assert!(!run.is_success(PerformSync::Always) && !run.saw_everybody());
    let health = world.engine.health().await.unwrap();
    assert_eq!(health.problems, [""; 0]);
    // The history shows what it did, and the next run does the rest.
    zivver.set_latency(Duration::ZERO);
    let rest = world.apply().await;
    assert_converged(&rest);
    assert_eq!(rest.actions.len(), 60 - done);
    assert_eq!(rest.resumed_from, [""; 0]);
    assert_eq!(suspended(&world).len(), 60);
}

#[tokio::test(start_paused = true)]
async fn r34_what_waits_for_the_limit_of_zivver_when_a_run_is_stopped_is_not_sent() {
    let world = many_leave_with(&[("ZIVVER_RATE", "10/10s")]).await;
    // Two windows before the run looks for the stop, at 15 s.
    let report = stopped_after(&world, 12).await;
    assert_eq!(report.outcome, RunOutcome::Stopped, "{}", shown(&report));
    assert!(report.duration_ms < 16_000, "{}", report.duration_ms);
    let done = suspended(&world).len();
    assert!((1..=20).contains(&done), "{done}");
    assert_eq!((report.counts.failed, &*report.failed), (0, &[][..]));
    assert_eq!(report.remaining as usize, 60 - done);
    let rest = world.apply().await;
    assert_converged(&rest);
    assert_eq!(suspended(&world).len(), 60);
}

#[tokio::test(start_paused = true)]
async fn r34_a_run_that_is_stopped_while_it_reads_writes_nothing() {
    let world = many_leave().await;
    let exchange = world.sandbox.exchange.control();
    exchange.set_latency(Duration::from_secs(10));
    let report = stopped_after(&world, 5).await;
    assert_eq!(report.outcome, RunOutcome::Stopped);
    assert!(
        report
            .warnings
            .contains(&"stopped by a person before anything was written (R34)".to_owned())
    );
    assert_eq!(suspended(&world), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn r34_a_queued_run_that_is_stopped_never_begins() {
    let world = many_leave().await;
    let request = RunRequest::new(Mode::Apply, Trigger::Http);
    let id = world.engine.enqueue(&request).await.unwrap();
    let records = world.engine.records().await.unwrap();
    let stopped = records.stop(&id, None).await.unwrap();
    assert_eq!(stopped.outcome, RunOutcome::Stopped);
    // Its message is delivered anyway.
    let request = RunRequest {
        id: Some(id.clone()),
        ..request
    };
    let report = world.engine.run_recorded(&request).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Stopped);
    assert_eq!(suspended(&world), [0; 0]);
    let again = records.stop(&id, None).await.unwrap_err();
    assert!(matches!(again, RunError::HasEnded(_)), "{again}");
    let none = records.find("last", Last::Open).await.unwrap_err();
    assert_eq!(
        none.to_string(),
        "no run is queued or running: there is nothing to stop"
    );
}
