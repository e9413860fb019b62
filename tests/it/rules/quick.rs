//! R45: runs that read no permissions.

use std::time::Duration;

use cloud_sync::{
    domain::{
        guard::Class,
        health::Run,
        mode::{Depth, Mode, PerformSync, Trigger},
        note::Code,
        report::{Report, RunOutcome, RunState},
    },
    engine::{Decision, RunRequest},
    sandbox::{
        control::{Fault, FaultKind},
        exchange::Mailbox,
        zivver::Group,
    },
    state::RunId,
};

use super::{bench::*, company::code};
use crate::world::World;

fn quick(mode: Mode) -> RunRequest {
    RunRequest {
        depth: Depth::Quick,
        ..RunRequest::new(mode, Trigger::Timer)
    }
}

async fn run_quickly(world: &World) -> Report {
    world.run_for(&quick(Mode::Apply)).await.unwrap()
}

fn permission_reads(report: &Report) -> u64 {
    let kinds = report.requests.exchange.by_kind.iter();
    kinds
        .filter(|(kind, _)| kind.contains("permission"))
        .map(|(_, count)| count)
        .sum()
}

fn members(world: &World, local: &str) -> usize {
    group(world, local).members.len()
}

fn group(world: &World, local: &str) -> Group {
    world
        .sandbox
        .zivver
        .state()
        .group(&at(local))
        .unwrap()
        .clone()
}

/// Ann and Ben may open the desk; everything is in sync.
async fn office(extra: &[(&str, &str)]) -> World {
    let mut tenant = people(&["ann", "ben", "cid", "dora"]);
    let desk_mailbox = Mailbox::shared(&at("desk"))
        .opened_by(&at("ann"))
        .opened_by(&at("ben"));
    tenant.mailboxes.push(desk_mailbox);
    let world = World::still_with(tenant, organisation(), extra).await;
    assert_converged(&world.apply().await);
    assert_eq!(members(&world, "desk"), 2);
    world
}

#[tokio::test(start_paused = true)]
async fn r45_a_quick_run_follows_people_and_leaves_permissions() {
    let world = office(&[]).await;
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at("ann")).unwrap().account_disabled = Some(true);
        tenant.mailbox_mut(&at("cid")).unwrap().display_name = "New Name".into();
        tenant
            .mailboxes
            .push(Mailbox::user(&at("new")).opened_by(&at("cid")));
        let desk = tenant.mailbox_mut(&at("desk")).unwrap();
        desk.display_name = "Front Desk".into();
        desk.permissions.clear();
        let hall = Mailbox::shared(&at("hall")).opened_by(&at("cid"));
        tenant.mailboxes.push(hall);
    });
    let preview = world.run_for(&quick(Mode::Preview)).await.unwrap();
    assert_eq!(preview.actions.len(), 4, "{}", shown(&preview));
    let report = run_quickly(&world).await;
    assert_eq!(report.outcome, RunOutcome::Done, "{}", shown(&report));
    assert_eq!((report.converged, report.depth), (Some(true), Depth::Quick));
    assert_eq!(permission_reads(&report), 0, "{:?}", report.requests);
    assert!(!user(&world, "ann").active);
    assert_eq!(user(&world, "cid").name, "New Name");
    assert!(user(&world, "new").delegates.is_empty());
    let desk = group(&world, "desk");
    assert_eq!(
        (desk.display_name.as_str(), desk.members.len()),
        ("Front Desk", 2)
    );
    assert!(world.sandbox.zivver.state().group(&at("hall")).is_none());
    let run = Run::from(&report);
    assert!(!run.is_success(PerformSync::Always) && !run.saw_everybody());
    // R38
    let writes = write_count(&world);
    let again = run_quickly(&world).await;
    assert_eq!(again.outcome, RunOutcome::Done);
    assert_eq!(write_count(&world), writes);
    // A full run does the rest.
    let full = world.apply().await;
    assert_converged(&full);
    assert_eq!(full.outcome, RunOutcome::InSync, "{}", shown(&full));
    assert_eq!(members(&world, "desk"), 0);
    assert_eq!(members(&world, "hall"), 1);
    assert_eq!(user(&world, "new").delegates, [at("cid")]);
}

/// What a full run holds of delegations stays held, shown and approvable.
#[tokio::test(start_paused = true)]
async fn r45_a_quick_run_forgets_nothing_that_a_full_one_holds() {
    let world = office(&[("MAX_DELEGATE_REMOVALS", "0")]).await;
    world.sandbox.exchange.with_state(|tenant| {
        let desk = tenant.mailbox_mut(&at("desk")).unwrap();
        desk.permissions.retain(|it| it.user != at("ben"));
    });
    let full = world.apply().await;
    let code = code(&full, Class::DelegateRemoval).to_owned();
    let short = run_quickly(&world).await;
    assert!(short.held.is_empty(), "{}", shown(&short));
    let complete = world.engine.complete().await.unwrap().unwrap();
    assert_eq!(complete.report.id, full.id);
    assert_eq!(complete.held().count(), 1);
    assert_eq!(complete.figures().held_changes(), 1);
    assert!(!complete.is_outdated());
    // A quick run does not use the code up, and says why it does nothing there.
    let request = RunRequest {
        approve: vec![code.clone()],
        ..quick(Mode::Apply)
    };
    let in_vain = world.run_for(&request).await.unwrap();
    assert_eq!(members(&world, "desk"), 2);
    let text = in_vain.warnings.join("\n");
    assert!(text.contains("reads no permissions (R45)"), "{text}");
    let notes = in_vain.skipped.iter();
    assert!(
        notes
            .into_iter()
            .any(|it| it.code == Code::ApprovalLeft && it.text.contains("a full run"))
    );
    assert_converged(&world.approve(&[&code]).await);
    assert_eq!(members(&world, "desk"), 1);
}

/// R47: an unknown value does not end a rejection.
#[tokio::test(start_paused = true)]
async fn r45_a_quick_run_ends_no_rejection() {
    let world = office(&[("MAX_DELEGATE_REMOVALS", "0")]).await;
    world.sandbox.exchange.with_state(|tenant| {
        let desk = tenant.mailbox_mut(&at("desk")).unwrap();
        desk.permissions.retain(|it| it.user != at("ben"));
    });
    let full = world.apply().await;
    let decision = Decision {
        code: code(&full, Class::DelegateRemoval).to_owned(),
        accounts: std::collections::BTreeSet::new(),
        takes_back: false,
    };
    let records = world.engine.records().await.unwrap();
    assert_eq!(records.decide(&decision, None).await.unwrap().len(), 1);
    assert!(world.apply().await.held.is_empty());
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at("desk")).unwrap().display_name = "Other".into();
    });
    run_quickly(&world).await;
    assert_eq!(records.rejections().await.unwrap().len(), 1);
}

/// R35: it does not make what a killed full run has left of delegations, and does not say so.
#[tokio::test(start_paused = true)]
async fn r45_a_quick_run_does_not_take_up_a_killed_full_run() {
    let world = office(&[("SYNC_SCHEDULE", "0 0 * * * *")]).await;
    world.sandbox.exchange.with_state(|tenant| {
        let desk = tenant.mailbox_mut(&at("desk")).unwrap();
        desk.permissions.retain(|it| it.user != at("ben"));
        tenant.mailbox_mut(&at("cid")).unwrap().account_disabled = Some(true);
    });
    forget(&world);
    let zivver = world.sandbox.zivver.control();
    for method in ["PUT", "PATCH"] {
        zivver.inject(Fault::always(FaultKind::HangBefore).method(method));
    }
    let world = killed_after(world, 1).await;
    let mut history = world.engine.history(10).await.unwrap();
    history.retain(|run| run.state == RunState::Running);
    let killed = history.remove(0);
    let id = RunId::parse(&killed.id).unwrap();
    assert_eq!(members(&world, "desk"), 2);

    let short = run_quickly(&world).await;
    assert_eq!(short.resumed_from, [""; 0], "{}", shown(&short));
    assert!(!user(&world, "cid").active);
    assert!(
        short.warnings.iter().any(|it| it.contains(&killed.id)),
        "{:?}",
        short.warnings
    );
    let open = world.engine.summary(&id).await.unwrap().unwrap();
    assert_eq!(open.state, RunState::Running);
    // A tick continues it.
    let request = RunRequest {
        id: Some(id),
        ..RunRequest::new(Mode::Apply, Trigger::Timer)
    };
    let rest = world.run_for(&request).await.unwrap();
    assert_converged(&rest);
    assert_eq!(members(&world, "desk"), 1);
}

/// What delegates a suspended account has was not compared while it was suspended (R22).
#[tokio::test(start_paused = true)]
async fn r45_a_quick_run_resumes_nobody_whose_delegates_could_open_the_account() {
    let mut tenant = people(&["ann", "ben", "cid"]);
    tenant
        .mailboxes
        .push(Mailbox::user(&at("eve")).opened_by(&at("ann")));
    let world = World::still_with(tenant, organisation(), &[("MAX_SUSPEND", "100%")]).await;
    assert_converged(&world.apply().await);
    assert_eq!(user(&world, "eve").delegates, [at("ann")]);
    let disable = |is_disabled: bool| {
        world.sandbox.exchange.with_state(|tenant| {
            for local in ["eve", "cid"] {
                let mailbox = tenant.mailbox_mut(&at(local)).unwrap();
                mailbox.account_disabled = Some(is_disabled);
                mailbox.permissions.clear();
            }
        });
    };
    disable(true);
    assert_converged(&world.apply().await);
    disable(false);
    let report = run_quickly(&world).await;
    assert!(user(&world, "cid").active);
    assert!(!user(&world, "eve").active, "{}", shown(&report));
    let found: Vec<_> = report
        .skipped
        .iter()
        .map(|it| (it.code, it.address.clone()))
        .collect();
    assert_eq!(found, [(Code::ResumeLeft, at("eve"))]);
    assert_eq!(
        report.outcome,
        RunOutcome::ChangesPending,
        "{}",
        shown(&report)
    );
    assert_eq!(report.converged, Some(true));
    assert_eq!(Run::from(&report).resumes_left, 1);
    let full = world.apply().await;
    assert_eq!(full.outcome, RunOutcome::InSync, "{}", shown(&full));
    let eve = user(&world, "eve");
    assert!(eve.active && eve.delegates.is_empty());
    assert_eq!(run_quickly(&world).await.outcome, RunOutcome::Done);
}

/// What the owner of a suspended account may open is compared with the other accounts, which a quick run does not.
#[tokio::test(start_paused = true)]
async fn r45_a_quick_run_resumes_nobody_who_could_open_other_accounts() {
    let mut tenant = people(&["ann", "ben", "cid", "eve"]);
    tenant.mailboxes.push(
        Mailbox::shared(&at("desk"))
            .opened_by(&at("ann"))
            .opened_by(&at("eve")),
    );
    tenant
        .mailboxes
        .push(Mailbox::user(&at("boss")).opened_by(&at("ben")));
    let world = World::still_with(tenant, organisation(), &[("MAX_SUSPEND", "100%")]).await;
    assert_converged(&world.apply().await);
    let disable = |is_disabled: bool| {
        world.sandbox.exchange.with_state(|tenant| {
            for local in ["eve", "ben", "cid"] {
                tenant.mailbox_mut(&at(local)).unwrap().account_disabled = Some(is_disabled);
            }
        });
    };
    disable(true);
    assert_converged(&world.apply().await);
    disable(false);
    world.sandbox.exchange.with_state(|tenant| {
        let desk = tenant.mailbox_mut(&at("desk")).unwrap();
        desk.permissions.retain(|it| it.user != at("eve"));
        let boss = tenant.mailbox_mut(&at("boss")).unwrap();
        boss.permissions.retain(|it| it.user != at("ben"));
    });
    let report = run_quickly(&world).await;
    insta::assert_snapshot!(shown(&report), @r"
    ChangesPending, converged
    Resume cid@; Active -no +yes
    R45 ResumeLeft: ben@
    R45 ResumeLeft: eve@
    ");
    assert!(user(&world, "cid").active);
    assert!(!user(&world, "eve").active && !user(&world, "ben").active);
    assert_eq!(Run::from(&report).resumes_left, 2);
    let full = world.apply().await;
    assert_eq!(full.outcome, RunOutcome::InSync, "{}", shown(&full));
    assert!(user(&world, "eve").active && user(&world, "ben").active);
    assert_eq!(members(&world, "desk"), 1);
    assert!(user(&world, "boss").delegates.is_empty());
    assert_eq!(run_quickly(&world).await.outcome, RunOutcome::Done);
}

/// A limit holds for quick runs, and what they hold is shown beside what the last full run left.
#[tokio::test(start_paused = true)]
async fn r45_a_quick_run_is_guarded_and_its_codes_serve() {
    let world = office(&[("MAX_SUSPEND", "1")]).await;
    world.sandbox.exchange.with_state(|tenant| {
        for local in ["cid", "dora"] {
            tenant.mailbox_mut(&at(local)).unwrap().account_disabled = Some(true);
        }
    });
    let report = run_quickly(&world).await;
    assert_eq!(
        report.outcome,
        RunOutcome::NeedsAttention,
        "{}",
        shown(&report)
    );
    assert!(user(&world, "cid").active && user(&world, "dora").active);
    let complete = world.engine.complete().await.unwrap().unwrap();
    assert!(complete.report.held.is_empty());
    assert_eq!(complete.held().count(), 1);
    let request = RunRequest {
        approve: vec![code(&report, Class::Suspend).to_owned()],
        ..quick(Mode::Apply)
    };
    let approved = world.run_for(&request).await.unwrap();
    assert_eq!(approved.outcome, RunOutcome::Done, "{}", shown(&approved));
    assert!(!user(&world, "cid").active && !user(&world, "dora").active);
}

/// R34: the rest of a quick run is quick, and its stored request is too.
#[tokio::test(start_paused = true)]
async fn r45_the_rest_of_a_quick_run_is_quick() {
    let names: Vec<String> = (0..80).map(|number| format!("p{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still_with(
        people(&names),
        accounts(&names),
        &[("MAX_NAME_CHANGES", "100%")],
    )
    .await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        for mailbox in &mut tenant.mailboxes {
            mailbox.display_name = format!("{} again", mailbox.display_name);
        }
    });
    let control = world.sandbox.zivver.control();
    control.set_latency(Duration::from_secs(2));
    let id = world.engine.enqueue(&quick(Mode::Apply)).await.unwrap();
    let mut request = RunRequest {
        id: Some(id.clone()),
        time_budget: Some(Duration::from_secs(1)),
        ..quick(Mode::Apply)
    };
    let stored = world.engine.summary(&id).await.unwrap().unwrap();
    assert_eq!(stored.depth, Depth::Quick);
    let mut invocations = 0;
    let report = loop {
        request.depth = world.engine.summary(&id).await.unwrap().unwrap().depth;
        let report = world.run_for(&request).await.unwrap();
        invocations += 1;
        if report.state == RunState::Ended {
            break report;
        }
    };
    assert!(invocations > 1, "it was not cut off");
    assert_eq!(
        (report.depth, report.outcome),
        (Depth::Quick, RunOutcome::Done)
    );
    assert_eq!(permission_reads(&report), 0);
}

/// No changes among 20,000 mailboxes, at 40 ms for each answer.
#[tokio::test(start_paused = true)]
async fn r45_a_quick_run_of_20000_mailboxes_takes_30_requests_and_10_seconds() {
    const COUNT: usize = 20_000;
    let names: Vec<String> = (0..COUNT).map(|number| format!("p{number:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still(people(&names), accounts(&names)).await;
    world
        .sandbox
        .exchange
        .control()
        .set_latency(Duration::from_millis(40));
    world
        .sandbox
        .zivver
        .control()
        .set_latency(Duration::from_millis(40));
    let report = world.run_for(&quick(Mode::Preview)).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Done, "{}", shown(&report));
    assert!(
        report.requests.exchange.total <= 30,
        "{:?}",
        report.requests
    );
    assert_eq!(report.requests.zivver.total, 2, "{:?}", report.requests);
    assert!(report.duration_ms <= 10_000, "{} ms", report.duration_ms);
}
