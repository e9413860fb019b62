//! R28 on a larger scale: an apply that is restricted to the plan of a preview.

use std::time::Duration;

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        health::Run,
        mode::{Mode, PerformSync, Trigger},
        note::Code,
        report::{Report, RunOutcome, RunState},
    },
    engine::{PlanSource, RunRequest},
    sandbox::exchange::Mailbox,
    state::RunId,
};

use super::bench::*;
use crate::world::World;

fn restricted(plan: &Report) -> RunRequest {
    RunRequest {
        plan: Some(PlanSource::of(plan.clone()).unwrap()),
        accounts: plan.accounts.iter().cloned().collect(),
        ..RunRequest::new(Mode::Apply, Trigger::CommandLine)
    }
}

async fn applied(world: &World, plan: &Report) -> Report {
    world.engine.run(&restricted(plan)).await.unwrap()
}

fn is_success(report: &Report) -> bool {
    Run::from(report).is_success(PerformSync::Always)
}

/// Two people with a new display name, and one who is new.
async fn reviewed() -> (World, Report) {
    let world = World::still(people(&["ann", "ben", "eve"]), accounts(&["ann", "ben"])).await;
    rename(&world, "ann", "Ann");
    rename(&world, "ben", "Ben");
    let plan = world.preview().await;
    assert_eq!(plan.actions.len(), 3, "{}", shown(&plan));
    (world, plan)
}

fn rename(world: &World, who: &str, name: &str) {
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at(who)).unwrap().display_name = name.into();
    });
}

#[tokio::test(start_paused = true)]
async fn r28_a_reviewed_plan_without_a_difference_is_a_run_like_any_other() {
    let (world, plan) = reviewed().await;
    let report = applied(&world, &plan).await;
    assert_converged(&report);
    assert_eq!(report.outcome, RunOutcome::InSync, "{}", shown(&report));
    assert_eq!(report.applies.as_deref(), Some(&*plan.id));
    assert!(is_success(&report));
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r28_only_what_was_reviewed_is_made_and_the_rest_is_listed() {
    let (world, plan) = reviewed().await;
    rename(&world, "ben", "Benjamin");
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes.push(Mailbox::user(&at("new")));
    });
    let report = applied(&world, &plan).await;
    assert_eq!(user(&world, "ann").name, "Ann");
    assert_eq!(user(&world, "ben").name, "ben");
    assert!(user(&world, "eve").active);
    assert!(world.sandbox.zivver.state().user(&at("new")).is_none());
    let notes = |code| {
        let notes = report.skipped.iter().filter(move |note| note.code == code);
        notes.map(|note| short(&note.address)).collect::<Vec<_>>()
    };
    assert_eq!(notes(Code::NotReviewed), ["ben@", "new@"]);
    assert_eq!(notes(Code::ReviewOutdated), ["ben@"]);
    assert_eq!(report.differences, [], "{}", shown(&report));
    assert_eq!(report.outcome, RunOutcome::ChangesPending);
    assert!(!is_success(&report));
    assert_converged(&world.apply().await);
    assert_eq!(user(&world, "ben").name, "Benjamin");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r2_a_plan_that_leaves_something_out_does_not_lower_the_baseline() {
    let names: Vec<String> = (0..10).map(|at| format!("p{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still(people(&names), accounts(&names)).await;
    assert_converged(&world.apply().await);
    rename(&world, "p9", "Nine");
    let plan = world.preview().await;
    // Four of ten disappear after the review. A full run suspends them and has six as the baseline.
    world.sandbox.exchange.with_state(|tenant| {
        for name in &names[..4] {
            tenant.remove_mailbox(&at(name));
        }
    });
    let report = applied(&world, &plan).await;
    assert_eq!(user(&world, "p9").name, "Nine", "{}", shown(&report));
    assert!(user(&world, "p0").active);
    // Four of ten are left, less than half of the baseline.
    world.sandbox.exchange.with_state(|tenant| {
        for name in &names[4..6] {
            tenant.remove_mailbox(&at(name));
        }
    });
    let next = world.apply().await;
    assert!(
        next.held
            .iter()
            .any(|set| set.reason.contains("MIN_SOURCE_RATIO")),
        "{}",
        shown(&next)
    );
}

#[tokio::test(start_paused = true)]
async fn r34_a_plan_that_takes_several_invocations_stays_the_same() {
    let names: Vec<String> = (0..120).map(|at| format!("p{at:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still(people(&names), organisation()).await;
    let plan = world.preview().await;
    assert_eq!(plan.actions.len(), names.len());
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes.push(Mailbox::user(&at("new")));
    });
    let control = world.sandbox.zivver.control();
    control.set_latency(Duration::from_secs(1));
    let mut request = RunRequest {
        plan: Some(PlanSource::History(RunId::parse(&plan.id).unwrap())),
        time_budget: Some(Duration::from_secs(5)),
        ..RunRequest::new(Mode::Apply, Trigger::Http)
    };
    let mut report = world.engine.run(&request).await.unwrap();
    control.set_latency(Duration::ZERO);
    let mut invocations = 1;
    while report.state == RunState::Continues {
        request.id = RunId::parse(&report.id);
        report = world.engine.run(&request).await.unwrap();
        invocations += 1;
    }
    assert!(invocations > 1);
    assert_eq!(report.actions.len(), names.len(), "{}", shown(&report));
    let outdated = report
        .skipped
        .iter()
        .filter(|it| it.code == Code::ReviewOutdated);
    assert_eq!(outdated.count(), 0, "{}", shown(&report));
    assert!(world.sandbox.zivver.state().user(&at("new")).is_none());
    assert_eq!(world.sandbox.zivver.state().users.len(), names.len());
}

#[tokio::test(start_paused = true)]
async fn r39_a_plan_for_some_accounts_is_applied_to_them_alone() {
    let world = World::still(people(&["ann", "ben"]), accounts(&["ann", "ben"])).await;
    rename(&world, "ann", "Ann");
    rename(&world, "ben", "Ben");
    let mut preview = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    preview.accounts = [SmtpAddress::verbatim(&at("ann"))].into();
    let plan = world.engine.run(&preview).await.unwrap();
    let report = applied(&world, &plan).await;
    assert_eq!(report.accounts, plan.accounts);
    assert_eq!(report.outcome, RunOutcome::InSync, "{}", shown(&report));
    assert_eq!(user(&world, "ann").name, "Ann");
    assert_eq!(user(&world, "ben").name, "ben");
}

#[tokio::test(start_paused = true)]
async fn r28_only_a_preview_that_ended_is_a_plan() {
    let (world, plan) = reviewed().await;
    let apply = applied(&world, &plan).await;
    let refused = |report: &Report| PlanSource::of(report.clone()).unwrap_err().to_string();
    assert!(refused(&apply).contains("it is not a preview"));
    let mut undo = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    undo.undo = RunId::parse(&apply.id);
    let undo = world.engine.run(&undo).await.unwrap();
    assert!(refused(&undo).contains("the preview of an undo"));
    let failed = Report {
        outcome: RunOutcome::Failed,
        ..plan
    };
    assert!(refused(&failed).contains("it failed"));
}
