//! R34: a run that takes longer than one invocation.

use std::time::Duration;

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::{Report, RunState},
    },
    engine::RunRequest,
    sandbox::{
        self,
        control::{Fault, FaultKind},
        exchange::Mailbox,
    },
    state::RunId,
};

use super::bench::*;
use crate::world::World;

/// Continues the run to its end, like the queue. Returns the reports of all invocations.
async fn over_invocations(world: &World, budget: Duration) -> Vec<Report> {
    let mut request = RunRequest::new(Mode::Apply, Trigger::Timer);
    request.time_budget = Some(budget);
    let mut reports = Vec::new();
    for _ in 0..30 {
        let report = world.run_for(&request).await.unwrap();
        request.id = RunId::parse(&report.id);
        let ended = report.state == RunState::Ended;
        reports.push(report);
        if ended {
            return reports;
        }
    }
    panic!(
        "it never ends: {} are left",
        reports.last().unwrap().remaining
    );
}

#[tokio::test(start_paused = true)]
async fn r34_an_invocation_that_its_lists_take_up_still_gets_somewhere() {
    let names: Vec<String> = (0..60).map(|at| format!("user{at:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tenant = people(&names)
        .security_group("Desk Team", &[&at("user00"), &at("user01")])
        .mailbox(Mailbox::shared(&at("desk")).opened_by("Desk Team"));
    let world = World::still(tenant, organisation()).await;
    let control = world.sandbox.exchange.control();
    control.inject(Fault::always(FaultKind::Delay { millis: 400 }).path("MailboxPermission"));
    control.inject(Fault::always(FaultKind::Delay { millis: 30_000 }).path("Mailbox?"));

    let reports = over_invocations(&world, Duration::from_secs(10)).await;

    assert!((2..12).contains(&reports.len()), "{}", reports.len());
    assert_converged(reports.last().unwrap());
    assert_eq!(world.sandbox.zivver.state().users.len(), names.len());
    assert_eq!(group(&world, "desk").members.len(), 2);
}

/// What a report says that a run did.
fn told(report: &Report) -> Vec<String> {
    let actions = report.actions.iter().map(|it| {
        let address = &it.action.address;
        format!(
            "{:?} {address} {:?}: {:?}",
            it.action.kind, it.outcome, it.action.changes
        )
    });
    actions.collect()
}

#[tokio::test(start_paused = true)]
async fn r34_a_run_over_several_invocations_has_the_report_of_an_undisturbed_run() {
    let world = || {
        let (tenant, organisation) = sandbox::tenant::generate(5, 300);
        World::still(tenant, organisation)
    };
    let undisturbed = world().await;
    let expected = undisturbed.apply().await;
    let world = world().await;
    let slow = FaultKind::Delay { millis: 5000 };
    let control = world.sandbox.zivver.control();
    for method in ["POST", "PUT", "PATCH"] {
        control.inject(Fault::always(slow.clone()).method(method));
    }

    let reports = over_invocations(&world, Duration::from_secs(3)).await;

    assert!(reports.len() > 3, "{}", reports.len());
    let report = reports.last().unwrap();
    pretty(&told(&expected), &told(report));
    assert_eq!(report.counts, expected.counts);
    assert_eq!(report.outcome, expected.outcome);
}

fn pretty(expected: &[String], found: &[String]) {
    let missing: Vec<_> = expected.iter().filter(|it| !found.contains(it)).collect();
    let added: Vec<_> = found.iter().filter(|it| !expected.contains(it)).collect();
    assert!(
        missing.is_empty() && added.is_empty(),
        "missing: {missing:#?}\nadded: {added:#?}"
    );
    assert_eq!(expected, found);
}
