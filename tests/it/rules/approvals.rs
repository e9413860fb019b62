//! R26, R27 on a larger scale: a third of a tenant disappears, is held, and is approved, in complete runs, cut runs and
//! killed ones.

use std::time::Duration;

use cloud_sync::{
    domain::{
        guard::Class,
        mode::{Mode, Trigger},
        report::{ActionOutcome, RunState},
    },
    engine::RunRequest,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::Mailbox,
        zivver::User,
    },
    state::RunId,
};

use super::{bench::*, company::*};
use crate::world::World;

fn resumable(codes: &[&str], budget: Duration) -> RunRequest {
    let mut request = RunRequest::new(Mode::Apply, Trigger::Http);
    request.approve = codes.iter().map(ToString::to_string).collect();
    request.time_budget = Some(budget);
    request
}

#[tokio::test(start_paused = true)]
async fn r26_when_a_third_vanishes_nobody_is_suspended_and_the_rest_goes_on() {
    let (world, report) = a_third_vanishes().await;
    assert_eq!(suspended(&world), [0; 0]);
    assert_eq!(user(&world, "p020").name, "New Name");
    assert!(user(&world, "p900").active);
    assert_eq!(held(&report, Class::Suspend).len(), 12);
    assert_eq!(
        report.held[0].reason,
        "12 changes, where MAX_SUSPEND=5%,min 5 allows 5 of 40 (R26)"
    );
    assert!(report.needs_attention());
    // The result is the same every night.
    let again = world.apply().await;
    assert_eq!(code(&again, Class::Suspend), code(&report, Class::Suspend));
    assert_eq!(suspended(&world), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn r27_an_approval_makes_exactly_the_listed_changes() {
    let (world, report) = a_third_vanishes().await;
    let approved = world.approve(&[code(&report, Class::Suspend)]).await;
    assert_converged(&approved);
    assert!(!approved.needs_attention(), "{}", shown(&approved));
    assert_eq!(suspended(&world), (0..12).collect::<Vec<_>>());
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r27_one_more_that_vanished_meanwhile_stays_held() {
    let (world, report) = a_third_vanishes().await;
    vanish(&world, 12..13);
    let approved = world.approve(&[code(&report, Class::Suspend)]).await;
    assert_converged(&approved);
    assert_eq!(suspended(&world), (0..12).collect::<Vec<_>>());
    assert_eq!(held(&approved, Class::Suspend), [at("p012")]);
    assert_eq!(
        approved.held[0].reason,
        "1 change, beside 12 approved, where MAX_SUSPEND=5%,min 5 allows 5 of 40, as when changes of this kind were first held (R26)"
    );
    // What was approved counts for a day like other changes.
    let night = world.apply().await;
    assert_eq!(held(&night, Class::Suspend), [at("p012")]);
    assert_eq!(
        night.held[0].reason,
        "1 change, after 12 in the last 24 hours, where MAX_SUSPEND=5%,min 5 allows 5 of 40, as when changes of this kind were first held (R26)"
    );
    assert_converged(&world.approve(&[code(&night, Class::Suspend)]).await);
    assert_eq!(suspended(&world), (0..13).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn r27_the_code_that_a_run_prints_is_that_of_the_next() {
    let tenant = people(&["ann", "ben"]);
    let mut organisation = accounts(&["ann", "ben"]);
    organisation.users[0].aliases = vec![at("old")];
    let world = World::still_with(tenant, organisation, &[("MAX_ALIAS_REMOVALS", "0")]).await;
    assert_eq!(world.apply().await.counts.held, 1);
    world.sandbox.exchange.with_state(|tenant| {
        let mailbox = tenant.mailbox_mut(&at("ann")).unwrap();
        mailbox.primary_smtp_address = at("new");
        mailbox.email_addresses = vec![format!("SMTP:{}", at("new"))];
    });
    // The account is renamed, and with it what is held of it.
    let report = world.apply().await;
    assert_eq!(held(&report, Class::AliasRemoval), [at("new")]);
    let code = code(&report, Class::AliasRemoval);
    assert_converged(&world.approve(&[code]).await);
    assert_eq!(user(&world, "new").aliases, [""; 0]);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r27_a_change_that_is_no_longer_the_same_is_refused_alone() {
    let (world, report) = a_third_vanishes().await;
    // One mailbox is back, one account has another address. Neither is what was approved.
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes.push(Mailbox::user(&at("p000")));
    });
    world.sandbox.zivver.with_state(|organisation| {
        let user = organisation.user_mut(&at("p001")).unwrap();
        user.user_name = at("p001.moved");
    });
    let approved = world.approve(&[code(&report, Class::Suspend)]).await;
    assert_converged(&approved);
    assert_eq!(suspended(&world), (2..12).collect::<Vec<_>>());
    assert_eq!(held(&approved, Class::Suspend), [at("p001.moved")]);
    let refused: Vec<String> = approved
        .skipped
        .iter()
        .filter(|note| note.rule == "R27")
        .map(|note| short(&format!("{}: {}", note.address, note.text)))
        .collect();
    insta::assert_snapshot!(refused.join("\n"), @r#"
    p000@: the approval does nothing for "suspend active → suspended": it is not planned any more as it was approved
    p001@: the approval does nothing for "suspend active → suspended": it is not planned any more as it was approved
    "#);
}

#[tokio::test(start_paused = true)]
async fn r27_an_approval_serves_over_two_invocations() {
    let world = company(140).await;
    vanish(&world, 0..42);
    let report = world.apply().await;
    let code = code(&report, Class::Suspend).to_owned();
    assert_eq!(held(&report, Class::Suspend).len(), 42);
    vanish(&world, 42..43);
    // 32 writes are in flight at the deadline.
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(Duration::from_secs(10));
    let mut request = resumable(&[&code], Duration::from_secs(15));
    let cut = world.run_for(&request).await.unwrap();
    assert_eq!(cut.state, RunState::Continues, "{}", shown(&cut));
    assert_eq!((suspended(&world).len(), cut.remaining), (32, 10));
    zivver.set_latency(Duration::ZERO);
    request.id = RunId::parse(&cut.id);
    let ended = world.run_for(&request).await.unwrap();
    assert_converged(&ended);
    assert_eq!(suspended(&world), (0..42).collect::<Vec<_>>());
    assert_eq!(held(&ended, Class::Suspend), [at("p042")]);
    assert_eq!(ended.actions.len(), 42, "one report tells of both");
    // Each once: an account that is made active again by hand stays active.
    world
        .sandbox
        .zivver
        .with_state(|organisation| organisation.user_mut(&at("p007")).unwrap().active = true);
    let once = world.approve(&[&code]).await;
    assert_eq!(held(&once, Class::Suspend), [at("p007"), at("p042")]);
    assert!(user(&world, "p007").active);
}

#[tokio::test(start_paused = true)]
async fn r27_a_code_that_is_shown_again_serves_for_a_day_from_then() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend).to_owned();
    tokio::time::sleep(Duration::from_hours(20)).await;
    let world = renew_token(world).await;
    let again = world.apply().await;
    assert_eq!(again.held[0].code, code);
    tokio::time::sleep(Duration::from_hours(20)).await;
    let world = renew_token(world).await;
    assert_converged(&world.approve(&[&code]).await);
    assert_eq!(suspended(&world), (0..12).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn r27_a_code_that_expires_between_two_invocations_ends_nothing_but_itself() {
    let world = company(140).await;
    vanish(&world, 0..42);
    let report = world.apply().await;
    let code = code(&report, Class::Suspend).to_owned();
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(Duration::from_secs(10));
    let mut request = resumable(&[&code], Duration::from_secs(15));
    let cut = world.run_for(&request).await.unwrap();
    assert_eq!(cut.state, RunState::Continues, "{}", shown(&cut));
    zivver.set_latency(Duration::ZERO);
    request.id = RunId::parse(&cut.id);
    tokio::time::sleep(Duration::from_hours(25)).await;
    let world = renew_token(world).await;
    let ended = world.run_for(&request).await.unwrap();
    assert_converged(&ended);
    assert_eq!((suspended(&world).len(), ended.counts.held), (32, 10));
    let warned = ended.warnings.iter().any(|text| text.contains(&code));
    assert!(warned, "{:?}", ended.warnings);
    // In a new run it is an error.
    request.id = None;
    assert!(world.run_for(&request).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r27_what_zivver_refused_or_nobody_answered_for_stays_approved() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    // The key is refused before anything is written, so the run stops.
    forget(&world);
    let zivver = world.sandbox.zivver.control();
    let refusal = FaultKind::Status {
        status: 403,
        headers: Vec::new(),
        body: String::new(),
    };
    zivver.inject(Fault::always(refusal).method("PUT"));
    let stopped = world.approve(&[code]).await;
    assert!(stopped.error.is_some(), "{}", shown(&stopped));
    assert_eq!(suspended(&world), [0; 0]);
    zivver.clear_faults();
    assert_converged(&world.approve(&[code]).await);
    assert_eq!(suspended(&world), (0..12).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn r27_what_zivver_accepted_and_did_not_keep_stays_approved() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    let keeps = |keeps: bool| {
        world
            .sandbox
            .zivver
            .with_state(|organisation| organisation.switches.writes_store_nothing = !keeps);
    };
    keeps(false);
    let in_vain = world.approve(&[code]).await;
    assert_eq!(in_vain.converged, Some(false), "{}", shown(&in_vain));
    assert_eq!(suspended(&world), [0; 0]);
    keeps(true);
    assert_converged(&world.approve(&[code]).await);
    assert_eq!(suspended(&world), (0..12).collect::<Vec<_>>());
}

/// An approved suspend whose answer is lost. Returns the code.
async fn unanswered(kind: FaultKind) -> (World, String) {
    let world = company(10).await.again_with(&[("MAX_SUSPEND", "0")]).await;
    vanish(&world, 0..1);
    let report = world.apply().await;
    let code = code(&report, Class::Suspend).to_owned();
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(kind).method("PUT"));
    let report = world.approve(&[&code]).await;
    assert_eq!(report.error, None);
    assert_eq!(report.actions[0].outcome, ActionOutcome::Failed);
    zivver.clear_faults();
    (world, code)
}

#[tokio::test(start_paused = true)]
async fn r27_what_nobody_answered_for_and_zivver_made_is_made_once() {
    let let_in = |world: &World| {
        assert_eq!(suspended(world), [0]);
        let active = |user: &mut User| user.active = true;
        world
            .sandbox
            .zivver
            .with_state(|organisation| active(organisation.user_mut(&at("p000")).unwrap()));
    };
    for runs_between in [0, 1] {
        let (world, code) = unanswered(FaultKind::ResetAfter).await;
        for _ in 0..runs_between {
            assert_converged(&world.apply().await);
        }
        let_in(&world);
        let once = world.approve(&[&code]).await;
        assert_eq!(held(&once, Class::Suspend), [at("p000")]);
        assert_eq!(suspended(&world), [0; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn r27_what_nobody_answered_for_and_zivver_did_not_make_stays_approved() {
    let (world, code) = unanswered(FaultKind::ResetBefore).await;
    assert_converged(&world.approve(&[&code]).await);
    assert_eq!(suspended(&world), [0]);
}

#[tokio::test(start_paused = true)]
async fn r27_strays_of_a_first_run_are_approved_like_anything_else() {
    let names = names(20);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut organisation = accounts(&names);
    for local in ["p990", "p991"] {
        organisation.add_user(User::new(&at(local), local));
    }
    let world = World::still(people(&names), organisation).await;
    let report = world.apply().await;
    assert_eq!(held(&report, Class::Stray), [at("p990"), at("p991")]);
    assert_eq!(suspended(&world), [0; 0]);
    // One of them gets a mailbox, so it is not a leaver.
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes.push(Mailbox::user(&at("p991")));
    });
    let approved = world.approve(&[code(&report, Class::Stray)]).await;
    assert_converged(&approved);
    assert_eq!(suspended(&world), [990]);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r27_a_tenant_whose_object_ids_all_changed_is_held_and_approved() {
    let names = names(20);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut organisation = accounts(&names);
    for (number, user) in organisation.users.iter_mut().enumerate() {
        let former = id(&format!("former{number}"));
        user.external_account_id = Some(former.clone());
        user.sso_account_key = Some(former);
    }
    let world = World::still(people(&names), organisation).await;
    let report = world.apply().await;
    assert_eq!(write_count(&world), 0, "{}", shown(&report));
    assert_eq!(held(&report, Class::Identity).len(), 20);
    // One of them is another person, whose mailbox is created again in the meantime. That is another change.
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at("p003")).unwrap().edoid = id("somebody else");
    });
    let approved = world.approve(&[code(&report, Class::Identity)]).await;
    assert_converged(&approved);
    assert_eq!(held(&approved, Class::Identity), [at("p003")]);
    let keys = |local: &str| user(&world, local).sso_account_key;
    assert_eq!(keys("p004"), Some(id("p004")));
    assert_eq!(keys("p003"), Some(id("former3")));
    forget(&world);
    let again = world.apply().await;
    assert_eq!(held(&again, Class::Identity), [at("p003")]);
    assert_eq!(write_count(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn r27_what_was_made_and_undone_is_approved_again_with_the_code_that_shows_it() {
    let world = company(10).await.again_with(&[("MAX_SUSPEND", "0")]).await;
    vanish(&world, 0..1);
    let code = code(&world.apply().await, Class::Suspend).to_owned();
    assert_converged(&world.approve(&[&code]).await);
    assert_eq!(suspended(&world), [0]);
    world
        .sandbox
        .zivver
        .with_state(|organisation| organisation.user_mut(&at("p000")).unwrap().active = true);
    // A list may lag for a minute, so what it shows does not prove that the change was undone.
    let soon = world.preview().await;
    assert_eq!(held(&soon, Class::Suspend), [at("p000")]);
    world.approve(&[&code]).await;
    assert_eq!(suspended(&world), [0; 0]);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(world.preview().await.held[0].code, code);
    assert_converged(&world.approve(&[&code]).await);
    assert_eq!(suspended(&world), [0]);
}
