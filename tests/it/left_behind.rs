//! R29, R35: what a report says about the lock, and what happens to a preview whose process died.

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::{RunOutcome, RunState},
    },
    engine::RunRequest,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::Tenant,
        zivver::Organisation,
    },
};

use super::nights::Nights;

async fn office() -> Nights {
    let tenant = Tenant::new("corp.example").user("anna@corp.example");
    Nights::begin(tenant, Organisation::new(["corp.example"])).await
}

/// Runs until Exchange was asked something that it never answers, and is then dropped.
async fn die_in_a_preview(nights: &Nights) {
    let control = nights.sandbox.exchange.control();
    control.clear_journal();
    control.inject(Fault::once(FaultKind::HangBefore).path("Mailbox?"));
    let engine = nights.engine();
    let request = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    let asked = async {
        while control.journal().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = engine.run(&request) => panic!("{ended:?}"),
        () = asked => {}
    }
}

#[tokio::test]
async fn a_preview_that_died_does_not_run_for_ever() {
    let mut nights = office().await;
    die_in_a_preview(&nights).await;
    let request = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    nights.engine().run(&request).await.unwrap();
    let states = |runs: &[cloud_sync::engine::RunSummary]| {
        let mut states: Vec<_> = runs.iter().map(|run| (run.state, run.outcome)).collect();
        states.sort_by_key(|(state, _)| *state == RunState::Running);
        states
    };
    let pending = (RunState::Ended, RunOutcome::ChangesPending);
    let running = (RunState::Running, RunOutcome::Open);
    let runs = nights.engine().history(10).await.unwrap();
    assert_eq!(states(&runs), [pending, running], "it may still be at work");

    nights.pass_hours(2);
    nights.engine().run(&request).await.unwrap();
    let runs = nights.engine().history(10).await.unwrap();
    let dead: Vec<_> = runs
        .iter()
        .filter(|run| run.outcome == RunOutcome::Failed)
        .collect();
    assert_eq!((dead.len(), dead[0].state), (1, RunState::Ended));
    let error = dead[0].error.as_deref().unwrap();
    assert!(
        error.starts_with("the process ended before the run did"),
        "{error}"
    );
    assert!(runs.iter().all(|run| run.state == RunState::Ended));
}

#[tokio::test]
async fn r29_a_report_names_who_held_the_lock() {
    let nights = office().await;
    let request = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    let preview = nights.engine().run(&request).await.unwrap();
    assert_eq!(preview.lock_owner, None);
    let run = nights.night().await;
    let owner = run.lock_owner.unwrap();
    let process = format!("(process {}) since {}", std::process::id(), run.started);
    assert!(owner.starts_with(&format!("run {} on ", run.id)), "{owner}");
    assert!(owner.ends_with(&process), "{owner}");
}
