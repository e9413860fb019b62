//! R31, R32, R36, R38: how a plan is carried out against a Zivver that fails.

use std::{sync::Arc, time::Duration};

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::{ActionOutcome, Report, RunOutcome},
    },
    engine::RunRequest,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{Bucket, Mailbox, RetryAfter},
        zivver::{Organisation, User},
    },
    state::State,
};
use object_store::memory::InMemory;
use tokio::time::Instant;

use super::bench::*;
use crate::{
    state::faults::{self, Faulty},
    world::World,
};

fn status(status: u16, headers: &[(&str, &str)], body: &str) -> FaultKind {
    FaultKind::Status {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

/// One of each: POST of a user with its PUT, POST of a desk, PUT of a user, PATCH of a desk.
async fn world() -> World {
    let tenant = tenant()
        .mailbox(Mailbox::user(&at("ann")).with_display_name("New ann"))
        .mailbox(Mailbox::user(&at("fresh")).with_alias_address(&at("f")))
        .mailbox(Mailbox::shared(&at("newdesk")).opened_by(&at("ann")))
        .shared(&at("desk"));
    let organisation = accounts(&["ann"]);
    let ann = organisation.users[0].id.clone();
    World::still(tenant, organisation.with_group(desk("desk").member(&ann))).await
}

#[track_caller]
fn assert_all_done(world: &World, report: &Report) {
    assert_converged(report);
    let state = world.sandbox.zivver.state();
    let mut addresses: Vec<_> = state
        .users
        .iter()
        .map(|user| user.user_name.clone())
        .chain(state.groups.iter().map(|group| group.external_id.clone()))
        .collect();
    addresses.sort();
    assert_eq!(
        addresses,
        [at("ann"), at("desk"), at("fresh"), at("newdesk")],
        "no duplicates"
    );
    assert_eq!(user(world, "ann").name, "New ann");
    let fresh = user(world, "fresh");
    assert_eq!(fresh.aliases, [at("f")]);
    assert_eq!(fresh.sso_account_key, Some(id("fresh")));
    assert_eq!(group(world, "desk").members, [""; 0]);
    assert_eq!(group(world, "newdesk").members.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r31_every_passing_trouble_of_zivver_is_ridden_out() {
    for method in ["GET", "POST", "PUT", "PATCH"] {
        for kind in [
            status(500, &[], ""),
            status(502, &[], "<html>"),
            status(503, &[("Retry-After", "2")], ""),
            status(429, &[("Retry-After", "1")], ""),
            status(429, &[("Retry-After", "Mon, 23 Nov 2026 10:00:00 GMT")], ""),
            status(429, &[("Retry-After", "soon")], ""),
            FaultKind::HtmlError { status: 503 },
            FaultKind::ResetBefore,
            FaultKind::ResetAfter,
            FaultKind::HangBefore,
            FaultKind::HangAfter,
            FaultKind::Delay { millis: 20_000 },
            FaultKind::SlowDrip {
                bytes: 7,
                millis: 50,
            },
            FaultKind::EmptyOk,
            FaultKind::TruncatedJson { full_length: true },
            FaultKind::TruncatedJson { full_length: false },
            FaultKind::TrailingGarbage,
        ] {
            // A list that cannot be understood counts as not read (R1). A request is not retried because of it.
            let unreadable = matches!(
                kind,
                FaultKind::EmptyOk
                    | FaultKind::TrailingGarbage
                    | FaultKind::TruncatedJson { full_length: false }
            );
            if method == "GET" && unreadable {
                continue;
            }
            for times in [1, 2] {
                let world = world().await;
                let fault = Fault::once(kind.clone()).method(method).times(times);
                world.sandbox.zivver.control().inject(fault);
                let report = world.apply().await;
                assert!(
                    report.error.is_none() && report.converged == Some(true),
                    "{method} {kind:?} {times}: {}",
                    shown(&report)
                );
                assert_all_done(&world, &report);
                assert_eq!(
                    world.sandbox.zivver.control().counters().overlapping_writes,
                    0
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r31_retry_after_is_capped_at_a_minute_for_zivver() {
    let world = world().await;
    let fault = Fault::once(status(503, &[("Retry-After", "86400")], ""));
    world.sandbox.zivver.control().inject(fault);
    let start = Instant::now();
    let report = world.apply().await;
    assert_all_done(&world, &report);
    let waited = start.elapsed();
    assert!(
        (Duration::from_secs(60)..Duration::from_secs(90)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn r31_retry_after_is_capped_at_five_minutes_for_exchange() {
    let world = world().await;
    let fault = Fault::once(status(503, &[("Retry-After", "86400")], ""));
    world.sandbox.exchange.control().inject(fault);
    let start = Instant::now();
    let report = world.apply().await;
    assert_all_done(&world, &report);
    let waited = start.elapsed();
    assert!(
        (Duration::from_secs(300)..Duration::from_secs(330)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn r31_after_six_attempts_it_is_over() {
    let world = world().await;
    let fault = Fault::always(status(503, &[], "")).method("PATCH");
    world.sandbox.zivver.control().inject(fault);
    let report = world.apply().await;
    let journal = world.sandbox.zivver.control().journal();
    let tries = journal.iter().filter(|entry| entry.method == "PATCH");
    assert_eq!(tries.count(), 6);
    let failed: Vec<_> = report
        .actions
        .iter()
        .filter(|action| action.outcome == ActionOutcome::Failed)
        .collect();
    assert_eq!(failed.len(), 1, "{}", shown(&report));
    assert_eq!(user(&world, "ann").name, "New ann");
    world.sandbox.zivver.control().clear_faults();
    assert_all_done(&world, &world.apply().await);
}

#[tokio::test(start_paused = true)]
async fn r31_a_lost_answer_to_a_create_never_makes_a_second_account() {
    for stale_reads in [0, 1, 2] {
        for kind in [
            FaultKind::ResetAfter,
            FaultKind::HangAfter,
            FaultKind::EmptyOk,
            FaultKind::TruncatedJson { full_length: true },
            FaultKind::ReplaceBody {
                status: 500,
                body: "oops".into(),
            },
            FaultKind::ReplaceBody {
                status: 201,
                body: "{}".into(),
            },
        ] {
            let world = world().await;
            world.sandbox.zivver.with_state(|organisation| {
                organisation.switches.stale_reads_after_post = stale_reads;
            });
            let fault = Fault::always(kind.clone()).method("POST").times(2);
            world.sandbox.zivver.control().inject(fault);
            let report = world.apply().await;
            let journal = world.sandbox.zivver.control().journal();
            let posts = journal
                .iter()
                .filter(|entry| entry.method == "POST" && entry.acted == Some(201));
            assert_eq!(
                posts.count(),
                2,
                "{kind:?} {stale_reads}: {}",
                shown(&report)
            );
            world.sandbox.zivver.with_state(|organisation| {
                organisation.switches.stale_reads_after_post = 0;
            });
            world.sandbox.zivver.control().clear_faults();
            assert_all_done(&world, &world.apply().await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r31_a_create_of_what_exists_meanwhile_goes_on_as_an_update() {
    use cloud_sync::sandbox::zivver::{Change, Event, Group};
    for duplicate in [409, 400] {
        let world = world().await;
        world.sandbox.zivver.with_state(|organisation| {
            organisation.switches.duplicate_user_status = duplicate;
            // Created by another client after the lists were read.
            organisation.events = vec![
                Event {
                    after_calls: 2,
                    change: Change::AddUser(
                        User::new(&at("fresh"), "Made elsewhere").alias(&at("theirs")),
                    ),
                },
                Event {
                    after_calls: 2,
                    change: Change::AddGroup(Group::new(&at("newdesk"), "Made elsewhere")),
                },
            ];
        });
        let report = world.apply().await;
        assert_eq!(report.counts.refused, 0, "{}", shown(&report));
        let fresh = user(&world, "fresh");
        assert_eq!(fresh.name, "fresh");
        assert!(fresh.aliases.contains(&at("f")), "{fresh:?}");
        assert_eq!(fresh.sso_account_key, Some(id("fresh")));
        assert_eq!(group(&world, "newdesk").members.len(), 1);
        assert_eq!(group(&world, "newdesk").display_name, "newdesk");
    }
}

#[tokio::test(start_paused = true)]
async fn r16_a_create_does_not_take_the_account_of_another_object_id() {
    use cloud_sync::sandbox::zivver::{Change, Event, Group};
    let world = world().await;
    world.sandbox.zivver.with_state(|organisation| {
        let other = id("somebody.else");
        let user = User::new(&at("fresh"), "Made elsewhere").external_account_id(&other);
        let group = Group::new(&at("newdesk"), "Made elsewhere").external_account_id(&other);
        organisation.events = [Change::AddUser(user), Change::AddGroup(group)]
            .map(|change| Event {
                after_calls: 2,
                change,
            })
            .into();
    });
    let report = world.apply().await;
    assert_eq!(report.counts.refused, 2, "{}", shown(&report));
    let problem = &report.failed[0].problems[0];
    assert!(problem.contains(&id("somebody.else")), "{problem}");
    assert_eq!(user(&world, "fresh").name, "Made elsewhere");
    assert_eq!(user(&world, "fresh").sso_account_key, None);
    assert_eq!(group(&world, "newdesk").display_name, "Made elsewhere");
    assert_eq!(group(&world, "newdesk").members, [""; 0]);
    // The next run sees it and asks a person.
    let report = world.apply().await;
    let held = report.held.iter().flat_map(|set| &set.changes);
    assert!(
        held.clone().any(|it| it.address.as_str() == at("fresh")),
        "{}",
        shown(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn r31_an_address_of_the_other_kind_is_refused() {
    use cloud_sync::sandbox::zivver::{Change, Event, Group};
    let world = world().await;
    world.sandbox.zivver.with_state(|organisation| {
        organisation.events = vec![Event {
            after_calls: 2,
            change: Change::AddGroup(Group::new(&at("fresh"), "A desk")),
        }];
    });
    let report = world.apply().await;
    assert_eq!(report.counts.refused, 1, "{}", shown(&report));
    assert_eq!(group(&world, "fresh").display_name, "A desk");
    // The other changes were made.
    assert_eq!(user(&world, "ann").name, "New ann");
}

#[tokio::test(start_paused = true)]
async fn r32_one_account_never_stops_another() {
    let names: Vec<String> = (0..30).map(|number| format!("p{number:02}")).collect();
    let tenant = names
        .iter()
        .fold(tenant(), |tenant, name| tenant.user(&at(name)));
    let organisation = Organisation {
        // More than MAX_CONSECUTIVE_FAILURES, since a 4xx does not count.
        free_accounts: names[..25].iter().map(|name| at(name)).collect(),
        ..organisation()
    };
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_eq!(report.error, None);
    assert_eq!(report.counts.refused, 25);
    assert_eq!(world.sandbox.zivver.state().users.len(), 5);
    let problem = &report.failed[0].problems[0];
    assert!(
        problem.contains("400") && problem.contains("outside the organization"),
        "{problem}"
    );
    // Nothing is planned twice within the run.
    assert_eq!(report.converged, Some(false));
}

/// Ann has an alias that Zivver now has as a guest, so it refuses the whole request.
async fn with_a_refused_alias(ann: Mailbox) -> World {
    let ann_account = account("ann")
        .alias(&at("old"))
        .delegate(&at("ben"))
        .delegate(&at("carl"));
    let mut organisation = accounts(&["ben", "carl"]).with_user(ann_account);
    organisation.guests.push(at("old"));
    organisation.switches.stored_aliases_judged = true;
    World::still(
        people(&["ben", "carl"]).mailbox(ann.with_alias_address(&at("old"))),
        organisation,
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn r23_a_stored_alias_that_is_refused_does_not_keep_who_is_to_go() {
    let world = with_a_refused_alias(Mailbox::user(&at("ann")).opened_by(&at("ben"))).await;
    let report = world.apply().await;
    let ann = user(&world, "ann");
    assert_eq!(ann.delegates, [at("ben")], "{}", shown(&report));
    assert_eq!(ann.aliases, [""; 0]);
    assert_eq!(report.actions[0].outcome, ActionOutcome::Partly);
    let problem = &report.failed[0].problems[0];
    assert!(
        problem.contains(&at("old")) && problem.contains("guest"),
        "{problem}"
    );
}

#[tokio::test(start_paused = true)]
async fn r23_a_stored_alias_that_is_refused_stays_and_does_not_stop_the_rest() {
    let ann = Mailbox::user(&at("ann"))
        .with_display_name("New ann")
        .with_alias_address(&at("fresh"))
        .opened_by(&at("ben"))
        .opened_by(&at("carl"));
    let world = with_a_refused_alias(ann).await;
    let report = world.apply().await;
    let ann = user(&world, "ann");
    assert_eq!(ann.name, "New ann", "{}", shown(&report));
    assert_eq!((ann.aliases, ann.delegates.len()), (vec![at("old")], 2));
    let problems = report.failed[0].problems.join("\n");
    assert!(problems.contains(&at("old")), "{problems}");
    assert!(!problems.contains(&at("fresh")), "{problems}");
}

/// A new owner without a key could not sign in, and the next run would consider the account the owner's.
#[tokio::test(start_paused = true)]
async fn r16_r23_a_refused_alias_keeps_an_account_from_its_new_owner() {
    let mut former = account("ann")
        .alias(&at("old"))
        .external_account_id(&id("somebody.else"));
    former.active = false;
    let mut organisation = organisation().with_user(former);
    organisation.guests.push(at("old"));
    organisation.switches.stored_aliases_judged = true;
    let tenant = people(&[]).mailbox(
        Mailbox::user(&at("ann"))
            .with_display_name("New ann")
            .with_alias_address(&at("old")),
    );
    let settings = [("MAX_IDENTITY_CHANGES", "100%")];
    let world = World::still_with(tenant, organisation, &settings).await;
    let before = user(&world, "ann");
    for _ in 0..2 {
        let report = world.apply().await;
        let now = user(&world, "ann");
        assert_eq!(
            (now.active, &now.name, &now.sso_account_key),
            (false, &before.name, &before.sso_account_key),
            "{}",
            shown(&report)
        );
        assert_eq!(report.actions[0].outcome, ActionOutcome::Refused);
        assert!(report.needs_attention());
    }
}

#[tokio::test(start_paused = true)]
async fn r23_a_refused_alias_of_a_desk_does_not_keep_its_members() {
    let organisation = accounts(&["ann", "ben"]);
    let ids: Vec<String> = organisation
        .users
        .iter()
        .map(|user| user.id.clone())
        .collect();
    let mut info = desk("info").alias(&at("old"));
    info.members = ids;
    let mut organisation = organisation.with_group(info);
    organisation.guests.push(at("old"));
    organisation.switches.stored_aliases_judged = true;
    let info = Mailbox::shared(&at("info"))
        .with_alias_address(&at("old"))
        .with_alias_address(&at("fresh"))
        .opened_by(&at("ann"));
    let world = World::still(people(&["ann", "ben"]).mailbox(info), organisation).await;
    let report = world.apply().await;
    let info = group(&world, "info");
    assert_eq!(info.members, [user(&world, "ann").id], "{}", shown(&report));
    assert_eq!(info.aliases, [at("old")]);
    assert_eq!(report.actions[0].outcome, ActionOutcome::Partly);
}

#[tokio::test(start_paused = true)]
async fn r12_a_desk_whose_new_delegate_is_refused_is_not_emptied_but_for_other_desks() {
    let organisation = accounts(&["ann"]);
    let ann = organisation.users[0].id.clone();
    let mut organisation = organisation;
    let team = organisation.add_group(desk("team").member(&ann));
    organisation.add_group(desk("info").member(&ann).member(&team));
    // Zivver has the address outside the organisation, and refuses to create it.
    organisation.free_accounts = vec![at("fresh")];
    let tenant = people(&["ann", "fresh"])
        .mailbox(Mailbox::shared(&at("team")).opened_by(&at("ann")))
        .mailbox(Mailbox::shared(&at("info")).opened_by(&at("fresh")));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_eq!(
        group(&world, "info").members,
        [ann, team],
        "{}",
        shown(&report)
    );
    let writes = writes(&world);
    assert!(
        writes.iter().all(|write| write.starts_with("POST Users")),
        "{writes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn r32_what_is_left_out_may_leave_nothing_to_write() {
    let organisation = Organisation {
        free_accounts: vec![at("fresh")],
        ..accounts(&["ann"])
    };
    let ann = organisation.users[0].id.clone();
    let info = Mailbox::shared(&at("info"))
        .opened_by(&at("ann"))
        .opened_by(&at("fresh"));
    let tenant = people(&["fresh"])
        .mailbox(Mailbox::user(&at("ann")).opened_by(&at("fresh")))
        .mailbox(info);
    let world = World::still(tenant, organisation.with_group(desk("info").member(&ann))).await;
    let report = world.apply().await;
    let writes = writes(&world);
    assert!(
        writes.iter().all(|write| write.starts_with("POST Users")),
        "{writes:?}"
    );
    assert_eq!(report.counts.refused, 3, "{}", shown(&report));
}

#[tokio::test(start_paused = true)]
async fn r32_401_and_403_of_zivver_stop_at_once() {
    for code in [401, 403] {
        for method in ["GET", "PUT", "POST", "PATCH"] {
            let world = world().await;
            let fault = Fault::always(status(code, &[], "")).method(method);
            world.sandbox.zivver.control().inject(fault);
            let report = world.apply().await;
            assert_eq!(
                report.outcome,
                RunOutcome::Failed,
                "{method} {code}: {}",
                shown(&report)
            );
            let journal = world.sandbox.zivver.control().journal();
            let refused = journal
                .iter()
                .filter(|entry| entry.status == Some(code))
                .count();
            assert!(refused <= 4, "{method} {code}: {refused}");
        }
    }
}

/// 40 people with new names, at a rate that makes most writes wait.
async fn queue(state: Option<State>) -> World {
    let names: Vec<String> = (0..40).map(|number| format!("p{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tenant = people(&names);
    for mailbox in &mut tenant.mailboxes {
        mailbox.display_name = "New name".into();
    }
    let settings = [("ZIVVER_RATE", "5/1s"), ("MAX_NAME_CHANGES", "100%")];
    let mut organisation = accounts(&names);
    organisation.limiter = sandbox::zivver::LimiterConfig::off();
    let world = World::still_with(tenant, organisation, &settings).await;
    match state {
        Some(state) => world.over(state, &[], None),
        None => world,
    }
}

#[tokio::test(start_paused = true)]
async fn r32_after_a_refused_key_no_write_starts_that_waited_for_its_turn() {
    for code in [401, 403] {
        let world = queue(None).await;
        let fault = Fault::always(status(code, &[], "")).method("PUT").after(7);
        world.sandbox.zivver.control().inject(fault);
        let report = world.apply().await;
        assert_eq!(report.outcome, RunOutcome::Failed, "{}", shown(&report));
        assert!(report.error.clone().unwrap().contains(&code.to_string()));
        // Five may be in flight at the same time.
        assert!(write_count(&world) <= 12, "{}", write_count(&world));
        let unsent = 40 - write_count(&world);
        assert_eq!(report.remaining as usize, unsent, "{}", shown(&report));
        world.sandbox.zivver.control().clear_faults();
        assert_converged(&world.apply().await);
    }
}

#[tokio::test(start_paused = true)]
async fn r35_no_write_starts_once_an_outcome_cannot_be_stored() {
    let storage = Arc::new(Faulty::over(Arc::new(InMemory::new())));
    let world = queue(Some(State::over(Arc::clone(&storage) as _, "memory"))).await;
    let request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    let run = world.run_for(&request);
    let goes_down = async {
        while write_count(&world) < 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        storage.suffers(faults::Fault::Down);
        write_count(&world)
    };
    let (ended, before) = tokio::join!(run, goes_down);
    assert!(ended.is_err(), "not even its end can be stored");
    // The first outcome that cannot be stored belongs to a write that is sent together with four others.
    let after = write_count(&world) - before;
    assert!(after <= 5, "{after}");
}

#[tokio::test(start_paused = true)]
async fn r35_writes_wait_for_storage_that_does_not_answer() {
    let storage = Arc::new(Faulty::over(Arc::new(InMemory::new())));
    let world = queue(Some(State::over(Arc::clone(&storage) as _, "memory"))).await;
    let request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    let run = world.run_for(&request);
    let hangs = async {
        while write_count(&world) < 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        storage.suffers(faults::Fault::LateCreation);
        let before = write_count(&world);
        tokio::time::sleep(Duration::from_secs(20)).await;
        let after = write_count(&world) - before;
        assert!(after <= 5, "{after}");
        storage.suffers(faults::Fault::None);
        (0..100).for_each(|_| storage.let_through());
    };
    let (report, ()) = tokio::join!(run, hangs);
    assert_converged(&report.unwrap());
}

#[tokio::test(start_paused = true)]
async fn r32_a_wrong_key_is_an_error_with_a_remedy() {
    let world = World::still_with(
        people(&["ann"]),
        organisation(),
        &[("ZIVVER_API_KEY", "Z1.1.2.wrong")],
    )
    .await;
    let report = world.apply().await;
    let error = report.error.unwrap();
    assert!(
        error.contains("401") && error.contains("ZIVVER_API_KEY"),
        "{error}"
    );
    assert!(!error.contains("Z1.1.2"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn r32_the_first_twenty_permission_reads_all_403_fail_the_run() {
    let names: Vec<String> = (0..30).map(|number| format!("p{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still(people(&names), accounts(&names[..29])).await;
    let fault = Fault::always(status(403, &[], "\0\0\0")).path("MailboxPermission");
    world.sandbox.exchange.control().inject(fault);
    let report = world.apply().await;
    let error = report.error.clone().unwrap();
    assert!(error.contains("View-Only Recipients"), "{error}");
    assert_eq!(write_count(&world), 0);
    // If one answer is good, the failure concerns only the single mailbox.
    let world = World::still(people(&names), accounts(&names[..29])).await;
    let fault = Fault::always(status(403, &[], "")).path("MailboxPermission");
    world
        .sandbox
        .exchange
        .control()
        .inject(Fault { after: 1, ..fault });
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(report.counts.skipped["delegations_unknown"], 29);
    assert!(world.sandbox.zivver.state().user(&at("p29")).is_some());
}

#[tokio::test(start_paused = true)]
async fn r32_no_role_at_all_stops_at_once() {
    let mut tenant = people(&["ann"]);
    tenant.grants.exchange_role = sandbox::exchange::ExchangeRole::None;
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    let report = world.apply().await;
    let error = report.error.clone().unwrap();
    assert!(error.contains("Exchange.ManageAsApp"), "{error}");
    assert_eq!(write_count(&world), 0);
    let calls = world.sandbox.exchange.control().counters().total;
    assert!(calls <= 2, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn r32_twenty_failures_in_a_row_stop_the_run() {
    let names: Vec<String> = (0..100).map(|number| format!("p{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still(people(&names), organisation()).await;
    let fault = Fault::always(status(503, &[], "")).method("POST");
    world.sandbox.zivver.control().inject(fault);
    let report = world.apply().await;
    assert_eq!(report.outcome, RunOutcome::Failed, "{}", shown(&report));
    let error = report.error.clone().unwrap();
    assert!(error.contains("20 times in a row"), "{error}");
    let failed = |report: &Report| {
        report
            .actions
            .iter()
            .filter(|action| action.outcome == ActionOutcome::Failed)
            .count()
    };
    // Requests in flight were completed, and no others were started.
    assert!((20..=52).contains(&failed(&report)), "{}", failed(&report));
    assert!(report.remaining > 0);
    world.sandbox.zivver.control().clear_faults();
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(world.sandbox.zivver.state().users.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn r32_what_is_left_out_between_failures_does_not_end_their_row() {
    // After a failed create its completion is left out at once, without a request.
    let names: Vec<String> = (0..30).map(|number| format!("p{number:02}")).collect();
    let tenant = names.iter().fold(tenant(), |tenant, name| {
        tenant.mailbox(Mailbox::user(&at(name)).with_alias_address(&at(&format!("a.{name}"))))
    });
    let world = World::still(tenant, organisation()).await;
    let fault = Fault::always(status(503, &[], "")).method("POST");
    world.sandbox.zivver.control().inject(fault);
    let report = world.apply().await;
    assert_eq!(report.outcome, RunOutcome::Failed, "{}", shown(&report));
    let error = report.error.clone().unwrap();
    assert!(error.contains("20 times in a row"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn r32_a_storm_over_exchange_is_ridden_out() {
    let names: Vec<String> = (0..200).map(|number| format!("p{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tenant = people(&names);
    tenant.switches.throttle.bucket = Some(Bucket {
        capacity: 40,
        refill_millis: 50,
    });
    tenant.switches.throttle.refusal.retry_after = RetryAfter::DateIn(2);
    tenant.switches.throttle.in_flight_max = Some(6);
    let world = World::still(tenant, organisation()).await;
    world
        .sandbox
        .exchange
        .control()
        .set_latency(Duration::from_millis(30));
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(report.counts.skipped.get("delegations_unknown"), None);
    assert_eq!(world.sandbox.zivver.state().users.len(), 200);
}

#[tokio::test(start_paused = true)]
async fn r36_what_zivver_did_not_keep_is_reported() {
    let tenant = people(&["ann", "ben"]).full_access(&at("ann"), &at("ben"));
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    let swallowed = Fault::once(status(200, &[], "{}")).method("PUT");
    world.sandbox.zivver.control().inject(swallowed);
    let report = world.apply().await;
    assert_eq!(report.converged, Some(false));
    assert_eq!(report.differences.len(), 1);
    assert_eq!(report.differences[0].address.as_str(), at("ann"));
    assert!(report.needs_attention());
}

#[tokio::test(start_paused = true)]
async fn r34_reading_that_outlasts_its_answers_comes_to_an_end() {
    // 120 mailboxes one after the other take 40 minutes, and answers are valid for 30.
    let names: Vec<String> = (0..120).map(|number| format!("p{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tenant = people(&names)
        .full_access(&at("p000"), &at("p001"))
        .full_access(&at("p119"), &at("p001"));
    let world = World::still_with(tenant, accounts(&names), &[("EXO_CONCURRENCY", "1")]).await;
    let exchange = world.sandbox.exchange.control();
    exchange.set_latency(Duration::from_secs(20));
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(user(&world, "p000").delegates, [at("p001")]);
    assert_eq!(user(&world, "p119").delegates, [at("p001")]);
    // Only the expired answer was requested again, once.
    let journal = exchange.journal();
    let reads = journal
        .iter()
        .filter(|entry| entry.path.contains("MailboxPermission"));
    assert_eq!(reads.count(), 121);
}

#[tokio::test(start_paused = true)]
async fn r36_a_verification_that_fails_is_no_success() {
    let world = world().await;
    // The lists for the plan are read, those for the verification are not.
    let fault = Fault::always(status(500, &[], ""))
        .method("GET")
        .path("/Users");
    world
        .sandbox
        .zivver
        .control()
        .inject(Fault { after: 1, ..fault });
    let report = world.apply().await;
    assert_eq!(report.outcome, RunOutcome::Failed, "{}", shown(&report));
    assert_ne!(report.converged, Some(true));
    world.sandbox.zivver.control().clear_faults();
    assert_all_done(&world, &world.apply().await);
}

#[tokio::test(start_paused = true)]
async fn r38_whatever_happened_in_the_first_run_the_third_writes_nothing() {
    for seed in [1, 2] {
        let (tenant, organisation) = sandbox::tenant::generate(seed, 80);
        let world = World::still(tenant, organisation).await;
        for (after, kind) in [
            (3, FaultKind::ResetAfter),
            (5, FaultKind::ResetBefore),
            (7, FaultKind::EmptyOk),
            (9, FaultKind::HtmlError { status: 502 }),
        ] {
            let mut fault = Fault::once(kind);
            fault.after = after;
            world
                .sandbox
                .zivver
                .control()
                .inject(fault.clone().method("PUT"));
            world.sandbox.zivver.control().inject(fault.method("POST"));
        }
        world.apply().await;
        world.sandbox.zivver.control().clear_faults();
        let second = world.apply().await;
        assert_converged(&second);
        assert_stable(&world).await;
    }
}
