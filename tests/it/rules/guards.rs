//! R26-R28: limits, approval, and which runs may write.

use std::{sync::Arc, time::Duration};

use cloud_sync::{
    domain::{
        guard::Class,
        mode::{Mode, Trigger},
        origin::Origin,
        report::{ActionOutcome, Report, RunState},
    },
    engine::RunRequest,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::Mailbox,
    },
    state::{RunId, State},
};
use object_store::memory::InMemory;

use super::bench::*;
use crate::{
    state::faults::{self, Faulty},
    world::World,
};

fn crowd(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("p{number:02}")).collect()
}

/// 40 people in step with their accounts, then this change of the source.
async fn crowded(extra: &[(&str, &str)], change: impl Fn(usize, &mut Mailbox)) -> World {
    let names = crowd(40);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut organisation = accounts(&names);
    for (number, user) in organisation.users.iter_mut().enumerate() {
        user.aliases = vec![at(&format!("alias{number}"))];
    }
    let all: Vec<String> = organisation
        .users
        .iter()
        .map(|user| user.id.clone())
        .collect();
    let mut group = desk("desk");
    group.members.clone_from(&all);
    organisation.add_group(group);
    let mut tenant = people(&names).shared(&at("desk"));
    for number in 0..40 {
        tenant.mailboxes[number] = tenant.mailboxes[number]
            .clone()
            .with_alias_address(&at(&format!("alias{number}")));
        let upn = tenant.mailboxes[number].user_principal_name.clone();
        tenant.mailboxes[40] = tenant.mailboxes[40].clone().opened_by(&upn);
    }
    let world = World::still_with(tenant, organisation, extra).await;
    assert_converged(&world.apply().await);
    assert_eq!(write_count(&world), 0);
    world.sandbox.exchange.with_state(|tenant| {
        for (number, mailbox) in tenant.mailboxes.iter_mut().enumerate() {
            change(number, mailbox);
        }
    });
    world
}

#[tokio::test(start_paused = true)]
async fn r26_suspends_within_the_limit_go_and_beyond_it_none_does() {
    // 41 active accounts: 5%, at least 5.
    for (count, held) in [(5, 0), (6, 6)] {
        let world = crowded(&[], |number, mailbox| {
            mailbox.account_disabled = Some(number < count || number == 40);
        })
        .await;
        let report = world.apply().await;
        assert_eq!(report.counts.held, held, "{}", shown(&report));
        assert_eq!(write_count(&world), if held == 0 { count } else { 0 });
        assert_eq!(report.needs_attention(), held > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn r26_the_limit_counts_the_last_24_hours_of_all_runs() {
    let world = crowded(&[], |number, mailbox| {
        mailbox.account_disabled = Some(number < 3 || number == 40);
    })
    .await;
    assert_eq!(world.apply().await.counts.held, 0);
    let disable = |range: std::ops::Range<usize>| {
        world.sandbox.exchange.with_state(|tenant| {
            for mailbox in &mut tenant.mailboxes[range] {
                mailbox.account_disabled = Some(true);
            }
        });
    };
    disable(3..6);
    assert_eq!(world.apply().await.counts.held, 3);
    tokio::time::sleep(Duration::from_hours(25)).await;
    let world = renew_token(world).await;
    assert_eq!(world.apply().await.counts.held, 0);
    assert!(!user(&world, "p05").active);
}

#[tokio::test(start_paused = true)]
async fn r26_what_a_list_did_not_show_yet_counts() {
    let names = ["ann", "ben", "cem", "dan"];
    let limit = [("MAX_SUSPEND", "1")];
    let world = World::still_with(people(&names), accounts(&names), &limit).await;
    let lists_lag = |millis| {
        world.sandbox.zivver.with_state(|organisation| {
            organisation.switches.lists_lag_millis = millis;
        });
    };
    let leaves = |number: usize| {
        world.sandbox.exchange.with_state(|tenant| {
            tenant.mailboxes[number].account_disabled = Some(true);
        });
    };
    leaves(0);
    lists_lag(600_000);
    let report = world.apply().await;
    assert_eq!(notes(&report, "ann"), ["AccessNotTaken"]);
    // A run in between sees the old list, and must not conclude that the change was not made.
    leaves(1);
    assert_eq!(world.apply().await.counts.held, 2);
    lists_lag(0);
    let report = world.apply().await;
    assert!(!user(&world, "ann").active);
    assert!(user(&world, "ben").active, "{}", shown(&report));
    assert_eq!(report.counts.held, 1);
}

#[tokio::test(start_paused = true)]
async fn r26_what_was_not_stored_does_not_count() {
    let world = leaving(4, 1)
        .await
        .again_with(&[("MAX_SUSPEND", "1")])
        .await;
    for stores in [false, false, true] {
        world.sandbox.zivver.with_state(|organisation| {
            organisation.switches.writes_store_nothing = !stores;
        });
        let report = world.apply().await;
        assert_eq!(report.counts.held, 0, "{}", shown(&report));
        assert_eq!(inactive(&world), usize::from(stores));
    }
}

fn status(status: u16, body: &str) -> FaultKind {
    FaultKind::Status {
        status,
        headers: Vec::new(),
        body: body.to_owned(),
    }
}

/// This number of people in sync with their accounts, of whom the first are then disabled.
async fn leaving(people_count: usize, leavers: usize) -> World {
    let names = crowd(people_count);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still(people(&names), accounts(&names)).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        for mailbox in &mut tenant.mailboxes[..leavers] {
            mailbox.account_disabled = Some(true);
        }
    });
    world
}

fn inactive(world: &World) -> usize {
    let state = world.sandbox.zivver.state();
    state.users.iter().filter(|user| !user.active).count()
}

#[tokio::test(start_paused = true)]
async fn r26_a_suspend_that_failed_and_changed_nothing_does_not_count() {
    let world = leaving(3, 1).await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(status(503, "")).method("PUT"));
    let failed = world.apply().await;
    assert_eq!(failed.actions[0].outcome, ActionOutcome::Failed);
    zivver.clear_faults();
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(
        (report.held.len(), inactive(&world)),
        (0, 1),
        "{}",
        shown(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn r26_a_suspend_that_failed_and_was_made_all_the_same_counts() {
    let world = leaving(7, 1).await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::ResetAfter).method("PUT"));
    let failed = world.apply().await;
    assert_eq!(failed.actions[0].outcome, ActionOutcome::Failed);
    assert_eq!(inactive(&world), 1);
    zivver.clear_faults();
    world.sandbox.exchange.with_state(|tenant| {
        for mailbox in &mut tenant.mailboxes[1..4] {
            mailbox.account_disabled = Some(true);
        }
    });
    let report = world.apply().await;
    // With the first one that would be 4 of 7, more than half.
    assert_eq!(
        (report.counts.held, inactive(&world)),
        (3, 1),
        "{}",
        shown(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn r35_suspends_that_were_cut_off_are_completed_as_an_undisturbed_run_had_done() {
    // Half of ten may go, in one run or in two.
    let world = leaving(10, 5).await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(status(403, "")).method("PUT").after(3));
    let stopped = world.apply().await;
    assert!(stopped.error.is_some(), "{}", shown(&stopped));
    assert_eq!(inactive(&world), 3);
    zivver.clear_faults();
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(
        (report.held.len(), inactive(&world)),
        (0, 5),
        "{}",
        shown(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn r25_the_run_after_one_that_stopped_suspends_first() {
    let world = leaving(3, 1).await;
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes[1].display_name = "New name".into();
    });
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(status(403, "")).method("PUT"));
    let stopped = world.apply().await;
    assert!(stopped.error.is_some(), "{}", shown(&stopped));
    zivver.clear_faults();
    forget(&world);
    let report = world.apply().await;
    assert_converged(&report);
    let writes = writes(&world);
    assert!(writes[0].contains("active:false"), "{writes:#?}");
}

/// Three of forty leave, and three may. The run that suspends them is killed after Zivver has done it. Then more leave.
async fn killed_in_its_suspends() -> World {
    let world = leaving(40, 3).await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("PUT"));
    forget(&world);
    let world = killed_after(world, 3).await;
    let world = world.again_with(&[("MAX_SUSPEND", "3")]).await;
    world.sandbox.exchange.with_state(|tenant| {
        for mailbox in &mut tenant.mailboxes[3..6] {
            mailbox.account_disabled = Some(true);
        }
    });
    assert_eq!(inactive(&world), 3);
    world
}

#[tokio::test(start_paused = true)]
async fn r26_what_a_killed_run_did_counts() {
    let world = killed_in_its_suspends().await;
    let report = world.apply().await;
    assert_eq!(report.error, None);
    assert_eq!(
        (report.counts.held, inactive(&world)),
        (3, 3),
        "{}",
        shown(&report)
    );
    assert!(
        report.held[0]
            .reason
            .contains("after 3 in the last 24 hours")
    );
    assert_eq!(world.apply().await.counts.held, 3);
}

#[tokio::test(start_paused = true)]
async fn r28_a_preview_counts_what_a_killed_run_did() {
    let world = killed_in_its_suspends().await;
    for _ in 0..2 {
        let preview = world.preview().await;
        assert_eq!(preview.counts.held, 3, "{}", shown(&preview));
    }
    let report = world.apply().await;
    assert_eq!(
        (report.counts.held, inactive(&world)),
        (3, 3),
        "{}",
        shown(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn r26_what_a_killed_run_did_counts_though_the_next_invocation_only_reads() {
    let world = killed_in_its_suspends().await;
    let exchange = world.sandbox.exchange.control();
    exchange.set_latency(Duration::from_secs(1));
    let mut request = RunRequest::new(Mode::Apply, Trigger::Http);
    request.time_budget = Some(Duration::from_millis(1));
    let mut invocations = 0;
    let report = loop {
        let report = world.run_for(&request).await.unwrap();
        request.id = RunId::parse(&report.id);
        invocations += 1;
        if report.state == RunState::Ended {
            break report;
        }
    };
    assert!(invocations > 1);
    assert_eq!(
        (report.counts.held, inactive(&world)),
        (3, 3),
        "{}",
        shown(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn r26_what_was_done_counts_though_it_could_not_be_remembered() {
    let store = Arc::new(Faulty::over(Arc::new(InMemory::new())));
    let state = State::over(Arc::<Faulty>::clone(&store), "store");
    let (lease, over) = short_lease();
    let world = leaving(40, 3)
        .await
        .over(state, &[("MAX_SUSPEND", "3")], Some(lease));
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("PUT").times(3));
    let store_fails = async {
        while inactive(&world) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        store.suffers(faults::Fault::Down);
    };
    let request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    let (ended, ()) = tokio::join!(world.run_for(&request), store_fails);
    assert!(ended.is_err(), "{ended:?}");
    store.suffers(faults::Fault::None);
    std::thread::sleep(over);
    world.sandbox.exchange.with_state(|tenant| {
        for mailbox in &mut tenant.mailboxes[3..6] {
            mailbox.account_disabled = Some(true);
        }
    });
    let report = world.apply().await;
    assert_eq!(
        (report.counts.held, inactive(&world)),
        (3, 3),
        "{}",
        shown(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn r26_a_run_that_its_deadline_cuts_off_exceeds_no_limit() {
    // 44 of 100 leave, and 44 may. The run is cut off after 32. Then one more leaves.
    let world = leaving(100, 44).await;
    let mut world = world.again_with(&[("MAX_SUSPEND", "44")]).await;
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(Duration::from_secs(10));
    let mut request = RunRequest::new(Mode::Apply, Trigger::Http);
    request.time_budget = Some(Duration::from_secs(15));
    let cut = world.run_for(&request).await.unwrap();
    assert_eq!(cut.state, RunState::Continues, "{}", shown(&cut));
    assert_eq!(inactive(&world), 32);
    zivver.set_latency(Duration::ZERO);
    world = world.again_with(&[]).await;
    request.id = RunId::parse(&cut.id);
    let ended = world.run_for(&request).await.unwrap();
    assert_eq!(
        (ended.counts.held, inactive(&world)),
        (0, 44),
        "{}",
        shown(&ended)
    );
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes[44].account_disabled = Some(true);
    });
    let report = world.apply().await;
    assert_eq!(
        (report.counts.held, inactive(&world)),
        (1, 44),
        "{}",
        shown(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn r36_a_suspend_that_zivver_ignored_differs_though_its_limit_is_used_up() {
    let world = leaving(40, 3).await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(status(200, "{}")).method("PUT"));
    let report = world.apply().await;
    assert_eq!(report.converged, Some(false), "{}", shown(&report));
    assert_eq!(report.differences.len(), 3);
    // It is sent again (R22). A change that took nothing away does not count in the limit.
    forget(&world);
    let again = world.apply().await;
    assert_eq!(write_count(&world), 3, "{}", shown(&again));
    assert!(again.needs_attention(), "{}", shown(&again));
    assert_eq!(notes(&again, "p00"), ["AccessNotTaken"]);
}

#[tokio::test(start_paused = true)]
async fn r26_changes_are_held_not_actions() {
    // Too many removed aliases. Names and added aliases of the same accounts are written.
    let world = crowded(&[("MAX_ALIAS_REMOVALS", "2")], |number, mailbox| {
        if number < 3 {
            mailbox
                .email_addresses
                .retain(|entry| !entry.starts_with("smtp:"));
            mailbox
                .email_addresses
                .push(format!("smtp:{}", at(&format!("new{number}"))));
            mailbox.display_name = "New".into();
        }
    })
    .await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(report.counts.held, 3);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users p00@ {name:{formatted:New},zivver:{ExternalAccountId:id of p00@,SsoAccountKey:id of p00@,aliases:[alias0@,new0@],delegates:[]}} 200
    PUT Users p01@ {name:{formatted:New},zivver:{ExternalAccountId:id of p01@,SsoAccountKey:id of p01@,aliases:[alias1@,new1@],delegates:[]}} 200
    PUT Users p02@ {name:{formatted:New},zivver:{ExternalAccountId:id of p02@,SsoAccountKey:id of p02@,aliases:[alias2@,new2@],delegates:[]}} 200
    ");
}

#[tokio::test(start_paused = true)]
async fn r26_an_empty_counts_its_members_too() {
    let world = crowded(&[], |number, mailbox| {
        if number == 40 {
            mailbox.permissions.clear();
        }
    })
    .await;
    // 40 removed members of 40 delegations: more than 10%, min 20.
    let report = world.apply().await;
    assert_eq!(write_count(&world), 0, "{}", shown(&report));
    assert_eq!(report.counts.held, 1);
    let report = world.approve(&[&report.held[0].code]).await;
    assert_converged(&report);
    assert_eq!(group(&world, "desk").members, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn r26_a_claim_that_needs_a_held_release_is_left_out() {
    let world = crowded(
        &[("MAX_ALIAS_REMOVALS", "0")],
        |number, mailbox| match number {
            0 => mailbox
                .email_addresses
                .retain(|entry| !entry.starts_with("smtp:")),
            1 => {
                *mailbox = mailbox
                    .clone()
                    .with_alias_address(&at("alias0"))
                    .with_display_name("New");
            }
            _ => {}
        },
    )
    .await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    Update p01@; Name -p01 +New
    held AliasRemoval: remove alias p00@ "alias0@" -> ""
    R23 AliasTaken: p01@
    "#);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users p01@ {name:{formatted:New}} 200");
}

#[tokio::test(start_paused = true)]
async fn r26_renames_and_names_have_limits_of_their_own() {
    let world = crowded(
        &[("MAX_RENAMES", "1"), ("MAX_NAME_CHANGES", "1")],
        |number, mailbox| {
            if number < 2 {
                let address = at(&format!("moved{number}"));
                mailbox.primary_smtp_address.clone_from(&address);
                mailbox
                    .email_addresses
                    .retain(|entry| entry.starts_with("smtp:"));
                mailbox.email_addresses.push(format!("SMTP:{address}"));
            }
            if (2..4).contains(&number) {
                mailbox.display_name = "New".into();
            }
        },
    )
    .await;
    let report = world.apply().await;
    assert_eq!(write_count(&world), 0, "{}", shown(&report));
    assert_eq!(report.held.len(), 2);
    let codes: Vec<&str> = report.held.iter().map(|held| held.code.as_str()).collect();
    assert_converged(&world.approve(&codes).await);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r02_an_approval_of_something_else_does_not_make_a_shrunken_source_the_rule() {
    let world = leaving(10, 0).await;
    let world = world
        .again_with(&[("MAX_SUSPEND", "100%"), ("MAX_NAME_CHANGES", "0")])
        .await;
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes.truncate(4);
        tenant.mailboxes[0].display_name = "New".into();
    });
    let report = world.apply().await;
    assert_eq!(report.held.len(), 2, "{}", shown(&report));
    let code = |report: &Report, class| {
        let set = report.held.iter().find(|set| set.class == class);
        set.unwrap().code.clone()
    };
    let names = world.approve(&[&code(&report, Class::NameChange)]).await;
    assert_eq!(user(&world, "p00").name, "New");
    assert_eq!(names.counts.held, 6, "{}", shown(&names));
    let night = world.apply().await;
    assert_eq!(
        (night.counts.held, inactive(&world)),
        (6, 0),
        "{}",
        shown(&night)
    );
    world.approve(&[&code(&night, Class::Suspend)]).await;
    assert_eq!(inactive(&world), 6);
    // Now it is allowed.
    world
        .sandbox
        .exchange
        .with_state(|tenant| tenant.mailboxes.truncate(3));
    assert_converged(&world.apply().await);
    assert_eq!(inactive(&world), 7);
}

#[tokio::test(start_paused = true)]
async fn r02_an_approval_of_one_set_makes_nothing_else_of_a_shrunken_source() {
    let world = leaving(10, 0).await;
    let first = |change: &dyn Fn(&mut Mailbox)| {
        let state = &world.sandbox.exchange;
        state.with_state(|tenant| change(&mut tenant.mailboxes[0]));
    };
    let alias = format!("smtp:{}", at("p00.old"));
    first(&|mailbox| mailbox.email_addresses.push(alias.clone()));
    assert_converged(&world.apply().await);
    first(&|mailbox| drop(mailbox.email_addresses.pop()));
    let state = &world.sandbox.exchange;
    state.with_state(|tenant| tenant.mailboxes.truncate(4));
    let report = world.apply().await;
    let code = |class| {
        let set = report.held.iter().find(|set| set.class == class);
        set.unwrap().code.clone()
    };
    world.approve(&[&code(Class::AliasRemoval)]).await;
    assert!(user(&world, "p00").aliases.is_empty());
    let night = world.apply().await;
    let seen = (night.counts.held, inactive(&world));
    assert_eq!(seen, (6, 0), "{}", shown(&night));
}

#[tokio::test(start_paused = true)]
async fn r27_a_code_stands_for_its_changes_and_each_is_done_once() {
    let world = crowded(&[("MAX_SUSPEND", "0")], |number, mailbox| {
        mailbox.account_disabled = Some(number < 2 || number == 40);
    })
    .await;
    let code = world.apply().await.held[0].code.clone();
    // In the meantime one more is disabled, who was not approved.
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes[2].account_disabled = Some(true);
    });
    let report = world.approve(&[&code]).await;
    assert_eq!(report.counts.held, 1, "{}", shown(&report));
    assert!(!user(&world, "p00").active && user(&world, "p02").active);
    // The account was resumed by hand, and the code is used up for it.
    world
        .sandbox
        .zivver
        .with_state(|organisation| organisation.user_mut(&at("p00")).unwrap().active = true);
    let report = world.approve(&[&code]).await;
    assert_eq!(report.counts.held, 2, "{}", shown(&report));
    assert!(user(&world, "p00").active);
    let mut preview = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    preview.approve = vec![code];
    assert!(world.run_for(&preview).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r28_false_never_writes_and_says_why() {
    for (setting, allowed) in [("false", false), ("on-demand", true), ("true", true)] {
        let world = World::still_with(
            people(&["ann"]),
            organisation(),
            &[("PERFORM_SYNC", setting)],
        )
        .await;
        let preview = world.preview().await;
        assert_eq!(preview.error, None);
        assert_eq!(write_count(&world), 0);
        let apply = RunRequest::new(Mode::Apply, Trigger::CommandLine);
        let result = world.run_for(&apply).await;
        assert_eq!(result.is_ok(), allowed, "{setting}");
        if let Err(error) = result {
            assert!(error.to_string().contains("R28"), "{error}");
        }
        assert_eq!(write_count(&world), usize::from(allowed));
    }
}

#[tokio::test(start_paused = true)]
async fn r28_a_preview_reports_what_an_apply_does_and_sends_only_gets() {
    let (tenant, organisation) = sandbox::tenant::generate(9, 120);
    let world = World::still(tenant, organisation).await;
    let preview = world.preview().await;
    let journal = world.sandbox.zivver.control().journal();
    assert!(journal.iter().all(|entry| entry.method == "GET"));
    assert_eq!(journal.len(), 2);
    let apply = world.apply().await;
    let planned = |report: &Report| {
        report
            .actions
            .iter()
            .map(|action| without_origins(&action.action))
            .collect::<Vec<_>>()
    };
    assert_eq!(planned(&preview), planned(&apply));
    // The preview has no snapshot to compare with.
    let held = |report: &Report| {
        let mut held = report.held.clone();
        for change in held.iter_mut().flat_map(|set| &mut set.changes) {
            change.origin = None;
        }
        held
    };
    assert_eq!(held(&preview), held(&apply));
    assert_eq!(preview.skipped, apply.skipped);
}

#[tokio::test(start_paused = true)]
async fn r44_what_is_held_keeps_its_origin_though_the_run_has_written() {
    let names = ["ann", "ben", "cem", "dan"];
    let limit = [("MAX_ALIAS_REMOVALS", "0")];
    let world = World::still_with(people(&names), accounts(&names), &limit).await;
    assert_converged(&world.apply().await);
    world.sandbox.zivver.with_state(|organisation| {
        let ann = organisation.user_mut(&at("ann")).unwrap();
        ann.aliases.push(at("by.hand"));
    });
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at("ben")).unwrap().display_name = "Other".into();
    });
    for writes in [1, 0] {
        forget(&world);
        let report = world.apply().await;
        assert_eq!(write_count(&world), writes, "{}", shown(&report));
        let origins: Vec<_> = report.held[0].changes.iter().map(|it| it.origin).collect();
        assert_eq!(origins, [Some(Origin::ChangedByHand)], "{}", shown(&report));
    }
}
