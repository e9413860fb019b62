//! R29: one writer, also within one process.

use cloud_sync::{
    domain::report::RunOutcome,
    sandbox::control::{Fault, FaultKind},
};
use tokio::task::JoinSet;

use super::{Bench, LEASE, apply, ms, newcomers};
use crate::state::faults::Fault as Weather;

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_run_that_lost_its_lock_does_not_write_with_that_of_another() {
    let bench = Bench::open(newcomers(4), &[]).await;
    let engine = bench.engine(Some(LEASE));
    let exchange = bench.world.sandbox.exchange.control();
    let slow = Fault::once(FaultKind::Delay { millis: 8000 }).path("Mailbox?");
    exchange.inject(slow.clone());
    let mut loser = JoinSet::new();
    let same = engine.clone();
    loser.spawn(async move { same.run(&apply()).await.unwrap() });
    while !exchange.pending_faults().is_empty() {
        tokio::time::sleep(ms(10)).await;
    }
    bench.weather.suffers(Weather::Down);
    tokio::time::sleep(LEASE.length).await;
    bench.weather.suffers(Weather::None);
    exchange.inject(slow);
    let mut winner = JoinSet::new();
    let mut request = apply();
    request.patience = ms(10_000);
    winner.spawn(async move { engine.run(&request).await.unwrap() });
    let lost = loser.join_next().await.unwrap().unwrap();
    assert_eq!(bench.users(), [], "it has no lock");
    assert_eq!(lost.outcome, RunOutcome::Failed);
    let error = lost.error.unwrap();
    assert!(error.contains("lock"), "{error}");
    let won = winner.join_next().await.unwrap().unwrap();
    assert_eq!((won.converged, won.error), (Some(true), None));
    assert_eq!(bench.users().len(), 4);
}
