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

const PEOPLE: usize = 120;

/// An organisation without accounts, whose Zivver takes its time.
async fn newcomers() -> Bench {
    let (_, organisation) = bench::small();
    let tenant = (0..PEOPLE).fold(Tenant::new("corp.example"), |tenant, n| {
        tenant.user(&format!("person{n:03}@corp.example"))
    });
    // Accounts without a mailbox are held, which these tests are not about.
    let bench = Bench::start((tenant, organisation)).await;
    bench
        .sandbox
        .zivver
        .with_state(|zivver| zivver.users.clear());
    let control = bench.sandbox.zivver.control();
    control.set_latency(Duration::from_millis(500));
    bench
}

/// A run that gets this signal while it writes.
async fn signalled(bench: &Bench, arguments: &[&str], signal: &str) -> Ended {
    let before = bench.writes();
    let run = bench.begin(arguments);
    until("it writes", || bench.writes() > before).await;
    let pid = run.id().to_string();
    let sent = Command::new("kill").args(["-s", signal, &pid]).status();
    assert!(sent.unwrap().success());
    let ended = tokio::task::block_in_place(|| run.wait_with_output());
    ended.unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_ctrl_c_stops_the_run_and_the_next_apply_starts_at_once() {
    let bench = newcomers().await;
    let control = bench.sandbox.zivver.control();
    let ended = signalled(&bench, &["apply"], "INT").await;
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("press Ctrl+C again"), "{ended:?}");
    assert!(ended.out.contains("Stopped by a person: "), "{ended:?}");
    assert!(ended.out.contains("warning: stopped by "), "{ended:?}");
    control.set_latency(Duration::ZERO);
    let created = bench.sandbox.zivver.state().users.len();
    assert!((1..PEOPLE).contains(&created), "{created}");

    let runs: Vec<RunSummary> = bench.run(&["runs", "--json"]).json();
    assert_eq!(
        (runs.len(), runs[0].state, runs[0].outcome),
        (1, RunState::Ended, RunOutcome::Stopped)
    );
    let told = runs[0].counts.applied.get(&ActionKind::Create).copied();
    assert_eq!(told.map(|told| told as usize), Some(created));
    assert_eq!(runs[0].remaining as usize, PEOPLE - created);
    let undo: Report = bench.run(&["undo", "last", "--json"]).json();
    assert_eq!(undo.undoes.as_ref(), Some(&runs[0].id));
    assert_eq!(runs[0].error, None);
    assert_eq!(runs[0].stopped_by, runs[0].started_by);

    let again: Report = bench.run(&["apply", "--json"]).json();
    assert_eq!((again.converged, again.error), (Some(true), None));
    assert_eq!(bench.sandbox.zivver.state().users.len(), PEOPLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn r37_a_stopped_undo_names_the_command_that_undoes_the_rest() {
    let bench = newcomers().await.with("MAX_SUSPEND", "100%");
    let control = bench.sandbox.zivver.control();
    control.set_latency(Duration::ZERO);
    let applied: Report = bench.run(&["apply", "--json"]).json();
    control.set_latency(Duration::from_millis(500));
    let undo = ["undo", &applied.id, "--apply"];
    let ended = signalled(&bench, &undo, "INT").await;
    let told = format!(" left; cloud-sync {} makes them (R34, R37)", undo.join(" "));
    for page in [ended.out, bench.run(&["runs", "last"]).out] {
        assert!(page.contains(&told), "{page}");
    }
    control.set_latency(Duration::ZERO);
    // The last run that changed something is the undo itself, so `last` makes the changes again, and says so.
    let last = bench.run(&["undo", "last"]).out;
    let told = format!(
        "is the undo of run {}: to take it back makes the changes of run {} again; to undo the rest of that run \
         instead: cloud-sync {} (R37)",
        applied.id,
        applied.id,
        undo.join(" ")
    );
    assert!(last.contains(&told), "{last}");
    let active = || {
        let users = &bench.sandbox.zivver.state().users;
        users.iter().filter(|user| user.active).count()
    };
    assert!((1..PEOPLE).contains(&active()), "{}", active());
    let again: Report = bench.run(&[&undo[..], &["--json"]].concat()).json();
    assert_eq!((again.converged, active()), (Some(true), 0));
}

/// A service manager or a machine that shuts down is no person.
#[tokio::test(flavor = "multi_thread")]
async fn r34_a_process_that_is_told_to_end_has_not_been_stopped_by_a_person() {
    let bench = newcomers().await;
    let ended = signalled(&bench, &["apply"], "TERM").await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let runs: Vec<RunSummary> = bench.run(&["runs", "--json"]).json();
    assert_eq!(runs[0].outcome, RunOutcome::Failed);
    let error = runs[0].error.as_deref().unwrap();
    assert!(error.starts_with("interrupted with changes of "), "{error}");
}

/// On the same machine the end of a process is seen at once, not when its lease has expired.
#[tokio::test(flavor = "multi_thread")]
async fn r29_r34_a_killed_apply_is_known_to_have_ended() {
    let bench = Bench::start(bench::small()).await;
    let control = bench.sandbox.zivver.control();
    control.set_latency(Duration::from_secs(5));
    let mut apply = bench.begin(&["apply"]);
    until("it writes", || control.counters().in_flight > 0).await;
    let nepal = [("TZ", "Asia/Kathmandu")];
    let second = bench.run_with(&nepal, &["apply", "--yes"]);
    assert_times_are_of_nepal(&second.err, "error: another run writes already: run");
    let held = bench.run_with(&nepal, &["check"]);
    assert_times_are_of_nepal(&held.out, "the lock is held by run");
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
    assert!(stopped.out.contains("is stopped"), "{stopped:?}");
}

/// Of the line with this text, which has two times.
#[track_caller]
fn assert_times_are_of_nepal(page: &str, told: &str) {
    let line = page.lines().find(|line| line.contains(told));
    let line = line.unwrap_or_else(|| panic!("{page}"));
    assert_eq!(line.matches(" +0545").count(), 2, "{line}");
}
