//! An invocation ends before the host would end its process (R34).

use std::time::Duration;

use cloud_sync::{
    domain::report::{RunOutcome, RunState},
    sandbox::control::Fault,
    state::{RunId, lock::LockStatus},
};
use tokio::time::Instant;

use super::{Bench, LEASE, apply, busy, newcomers};

const BUDGET: Duration = Duration::from_secs(9 * 60);

/// What `host.json` allows.
const HOST_PATIENCE: Duration = Duration::from_secs(10 * 60);

#[tokio::test(start_paused = true)]
async fn r34_lists_that_do_not_come_end_the_run_before_the_host_ends_the_process() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let exchange = bench.world.sandbox.exchange.control();
    exchange.inject(Fault::always(busy(429, 300)).path("Mailbox?"));
    let mut request = apply();
    request.time_budget = Some(BUDGET);
    let engine = bench.engine(None);
    let began = Instant::now();
    let report = engine.run(&request).await.unwrap();
    assert!(began.elapsed() < HOST_PATIENCE, "{:?}", began.elapsed());
    assert_eq!(
        (report.state, report.outcome),
        (RunState::Ended, RunOutcome::Failed)
    );
    let error = report.error.unwrap();
    assert!(error.starts_with("time was up while reading"), "{error}");
    let id = RunId::parse(&report.id).unwrap();
    let summary = engine.summary(&id).await.unwrap().unwrap();
    assert_eq!(summary.error, Some(error));
    // No request was being written.
    assert_eq!(engine.lock_status().await.unwrap(), LockStatus::Free);
}

#[tokio::test(start_paused = true)]
async fn r34_writes_that_do_not_end_leave_the_lock_to_run_out() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let sandbox = &bench.world.sandbox;
    let late = Fault::once(busy(429, 240)).times(2).path("Mailbox?");
    sandbox.exchange.control().inject(late);
    let zivver = sandbox.zivver.control();
    zivver.inject(Fault::always(busy(503, 60)).method("POST"));
    let mut request = apply();
    request.time_budget = Some(BUDGET);
    let engine = bench.engine(None);
    let began = Instant::now();
    let report = engine.run(&request).await.unwrap();
    assert!(began.elapsed() < HOST_PATIENCE, "{:?}", began.elapsed());
    let error = report.error.unwrap();
    assert!(error.starts_with("time was up while writing"), "{error}");
    let lock = engine.lock_status().await.unwrap();
    assert_ne!(lock, LockStatus::Free);
}

#[tokio::test(start_paused = true)]
async fn r35_the_next_apply_takes_up_what_a_run_was_writing_when_its_time_was_up() {
    let bench = Bench::open(newcomers(3), &[]).await;
    let zivver = bench.world.sandbox.zivver.control();
    // The first request succeeds.
    zivver.inject(Fault::always(busy(503, 60)).method("POST").after(1));
    let mut request = apply();
    request.time_budget = Some(Duration::from_secs(10));
    let engine = bench.engine(Some(LEASE));
    let report = engine.run(&request).await.unwrap();
    let error = report.error.clone().unwrap();
    assert!(error.starts_with("time was up while writing"), "{error}");
    assert_eq!((report.remaining, bench.users().len()), (2, 1));
    zivver.clear_faults();
    // On this clock waiting takes no time, but the clock of the store is real.
    std::thread::sleep(LEASE.length + LEASE.margin * 2);
    let next = engine.run(&apply()).await.unwrap();
    assert_eq!((next.converged, next.error), (Some(true), None));
    assert_eq!(next.resumed_from, [report.id.as_str()]);
    assert_eq!(bench.users().len(), 3);
    let id = RunId::parse(&report.id).unwrap();
    let run = engine.summary(&id).await.unwrap().unwrap();
    assert_eq!(run.error, Some(error), "it still tells why it ended");
    let third = engine.run(&apply()).await.unwrap();
    assert_eq!(third.resumed_from, [""; 0]);
}
