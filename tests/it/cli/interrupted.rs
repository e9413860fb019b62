//! Ctrl+C during a run.

use std::{process::Command, time::Duration};

use cloud_sync::{
    domain::{
        plan::ActionKind,
        report::{Report, RunOutcome, RunState},
    },
    engine::RunSummary,
    sandbox::exchange::Tenant,
};

use super::bench::{self, Bench, Ended};
use crate::host::until;

#[tokio::test(flavor = "multi_thread")]
async fn r34_ctrl_c_ends_what_is_in_flight_and_the_next_apply_starts_at_once() {
    const PEOPLE: usize = 120;
    let (_, organisation) = bench::small();
    let tenant = (0..PEOPLE).fold(Tenant::new("corp.example"), |tenant, n| {
        tenant.user(&format!("person{n:03}@corp.example"))
    });
    // Accounts without a mailbox are held, which this test is not about.
    let bench = Bench::start((tenant, organisation)).await;
    bench
        .sandbox
        .zivver
        .with_state(|zivver| zivver.users.clear());
    let control = bench.sandbox.zivver.control();
    control.set_latency(Duration::from_millis(500));
    let apply = bench.begin(&["apply"]);
    until("it writes", || bench.writes() > 0).await;
    let pid = apply.id().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &pid]).status();
    assert!(sent.unwrap().success());
    let ended: Ended = tokio::task::block_in_place(|| apply.wait_with_output())
        .unwrap()
        .into();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("press Ctrl+C again"), "{ended:?}");
    assert!(ended.err.contains("interrupted, "), "{ended:?}");
    control.set_latency(Duration::ZERO);
    let created = bench.sandbox.zivver.state().users.len();
    assert!((1..PEOPLE).contains(&created), "{created}");

    let runs: Vec<RunSummary> = bench.run(&["runs", "--json"]).json();
    assert_eq!(
        (runs.len(), runs[0].state, runs[0].outcome),
        (1, RunState::Ended, RunOutcome::Failed)
    );
    let told = runs[0].counts.applied.get(&ActionKind::Create).copied();
    assert_eq!(told.map(|told| told as usize), Some(created));
    assert_eq!(runs[0].remaining as usize, PEOPLE - created);
    let undo: Report = bench.run(&["undo", "last", "--json"]).json();
    assert_eq!(undo.undoes.as_ref(), Some(&runs[0].id));
    let error = runs[0].error.as_deref().unwrap();
    assert!(error.starts_with("interrupted, "), "{error}");

    let again: Report = bench.run(&["apply", "--json"]).json();
    assert_eq!((again.converged, again.error), (Some(true), None));
    assert_eq!(bench.sandbox.zivver.state().users.len(), PEOPLE);
}

/// On the same machine the end of a process is seen at once, not when its lease has expired.
#[tokio::test(flavor = "multi_thread")]
async fn r29_r34_a_killed_apply_is_known_to_have_ended() {
    let bench = Bench::start(bench::small()).await;
    let control = bench.sandbox.zivver.control();
    control.set_latency(Duration::from_secs(5));
    let mut apply = bench.begin(&["apply"]);
    until("it writes", || control.counters().in_flight > 0).await;
    let held = bench.run(&["check"]);
    assert!(held.out.contains("the lock is held by run"), "{held:?}");
    apply.kill().unwrap();
    apply.wait().unwrap();
    control.set_latency(Duration::ZERO);

    let abandoned = bench.run(&["check"]);
    assert!(
        abandoned
            .out
            .contains("has ended; the next apply takes over its lock"),
        "{abandoned:?}"
    );
    let runs: Vec<RunSummary> = bench.run(&["runs", "--json"]).json();
    let error = runs[0].error.as_deref().unwrap();
    assert!(error.starts_with("its process ended"), "{error}");
    let stopped = bench.run(&["stop", "last"]);
    assert!(
        stopped
            .out
            .contains("has ended, and no invocation continues the run"),
        "{stopped:?}"
    );
}
