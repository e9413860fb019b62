//! Cases that a sceptical reviewer would try.

use cloud_sync::domain::{note::Code, report::RunOutcome};
use cloud_sync::sandbox::{
    control::{ControlOptions, Fault, FaultKind},
    exchange::{Group, GroupKind, Link, Mailbox, Paging},
    zivver::{GroupExternalId, Organisation, UnknownDelegates, User},
};

use super::bench::*;
use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_mailbox_converted_there_and_back() {
    let tenant = people(&["ann", "conv"]).full_access(&at("conv"), &at("ann"));
    let world = World::still(tenant, organisation()).await;
    assert_converged(&world.apply().await);
    let convert = |kind: &str| {
        world.sandbox.exchange.with_state(|tenant| {
            tenant
                .mailbox_mut(&at("conv"))
                .unwrap()
                .recipient_type_details = kind.into();
        });
    };
    convert("SharedMailbox");
    forget(&world);
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
    assert_eq!(notes(&report, "conv"), ["KindMismatch"]);
    convert("UserMailbox");
    assert_stable(&world).await;
    // Also converted in Zivver: another account with another id.
    convert("SharedMailbox");
    world.sandbox.zivver.with_state(|organisation| {
        organisation
            .users
            .retain(|user| user.user_name != at("conv"));
        organisation.add_group(sandbox::zivver::Group::new(&at("conv"), "conv"));
    });
    assert_converged(&world.apply().await);
    assert_eq!(group(&world, "conv").members.len(), 1);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn the_primary_and_an_alias_change_places() {
    // Exchange swaps them. Once tied by the mapping, once without a tie.
    for tied in [true, false] {
        let swapped = Mailbox::user(&at("short")).with_alias_address(&at("long"));
        let mut organisation = accounts(&["ben"]);
        organisation.add_user(User {
            external_account_id: tied.then(|| id("short")),
            user_name: at("long"),
            name: "short".into(),
            aliases: vec![at("short")],
            ..account("short")
        });
        let tenant = people(&["ben"])
            .mailbox(swapped)
            .full_access(&at("ben"), &at("short"));
        let world = World::still(tenant, organisation).await;
        let mut report = world.apply().await;
        if !tied {
            assert_eq!(write_count(&world), 0, "{}", shown(&report));
            report = world.approve(&[&report.held[0].code]).await;
        }
        assert_converged(&report);
        assert_converged(&world.apply().await);
        let user_after = user(&world, "short");
        assert_eq!(user_after.aliases, [at("long")]);
        assert_eq!(user_after.sso_account_key, Some(id("short")));
        assert_eq!(user(&world, "ben").delegates, [at("short")]);
        assert_stable(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_people_swap_alias_and_primary_crosswise() {
    // ann takes ben's alias as her primary, ben takes ann's old primary as his alias.
    let mut ann = Mailbox::user(&at("x")).with_display_name("ann");
    ann.edoid = id("ann");
    let tenant = tenant()
        .mailbox(ann)
        .mailbox(Mailbox::user(&at("ben")).with_alias_address(&at("ann")));
    let organisation = organisation()
        .with_user(account("ann"))
        .with_user(account("ben").alias(&at("x")));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users ben@ {zivver:{ExternalAccountId:id of ben@,SsoAccountKey:id of ben@,aliases:[],delegates:[]}} 200
    PUT Users x@ {userName:x@} 200
    PUT Users ben@ {zivver:{ExternalAccountId:id of ben@,SsoAccountKey:id of ben@,aliases:[ann@],delegates:[]}} 200
    ");
    insta::assert_snapshot!(zivver(&world), @r#"
    ben@ "ben" key=id of ben@ ext=id of ben@ aliases=[ann@]
    x@ "ann" key=id of x@ ext=id of x@
    "#);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn two_people_swap_their_aliases() {
    let tenant = tenant()
        .mailbox(Mailbox::user(&at("ann")).with_alias_address(&at("b")))
        .mailbox(Mailbox::user(&at("ben")).with_alias_address(&at("a")));
    let organisation = organisation()
        .with_user(account("ann").alias(&at("a")))
        .with_user(account("ben").alias(&at("b")));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users ann@ {zivver:{ExternalAccountId:id of ann@,SsoAccountKey:id of ann@,aliases:[],delegates:[]}} 200
    PUT Users ben@ {zivver:{ExternalAccountId:id of ben@,SsoAccountKey:id of ben@,aliases:[],delegates:[]}} 200
    PUT Users ann@ {zivver:{ExternalAccountId:id of ann@,SsoAccountKey:id of ann@,aliases:[b@],delegates:[]}} 200
    PUT Users ben@ {zivver:{ExternalAccountId:id of ben@,SsoAccountKey:id of ben@,aliases:[a@],delegates:[]}} 200
    ");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_at_the_old_address_of_somebody_who_was_renamed() {
    // ann becomes ann.married; a new ann arrives at her old address in the same night.
    let mut married = Mailbox::user(&at("ann.married")).with_display_name("ann");
    married.edoid = id("ann");
    let mut fresh = Mailbox::user(&at("ann")).with_display_name("other ann");
    fresh.edoid = id("other ann");
    let tenant = people(&["ben"])
        .mailbox(married)
        .mailbox(fresh)
        .full_access(&at("ben"), &at("ann"));
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users ann.married@ {userName:ann.married@} 200
    POST Users  {active:true,name:{formatted:other ann},zivver:{SsoAccountKey:id of ann@},userName:ann@} 201
    PUT Users ben@ {zivver:{ExternalAccountId:id of ben@,SsoAccountKey:id of ben@,aliases:[],delegates:[ann@]}} 200
    ");
    assert_eq!(user(&world, "ben").delegates, [at("ann")]);
    assert_eq!(user(&world, "ann").sso_account_key, Some(id("other ann")));
    assert_eq!(user(&world, "ann.married").sso_account_key, Some(id("ann")));
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_renamed_person_and_a_group_that_takes_the_old_address() {
    let mut married = Mailbox::user(&at("ann.married")).with_display_name("ann");
    married.edoid = id("ann");
    let mut box_ = Mailbox::shared(&at("ann"));
    box_.edoid = id("the desk");
    let tenant = people(&["ben"])
        .mailbox(married)
        .mailbox(box_.opened_by(&at("ben")));
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    assert_converged(&world.apply().await);
    assert_eq!(group(&world, "ann").members.len(), 1);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn delegates_follow_a_rename_or_do_not() {
    for follow in [true, false] {
        let mut married = Mailbox::user(&at("ann.married")).with_display_name("ann");
        married.edoid = id("ann");
        let tenant = people(&["ben"])
            .mailbox(married)
            .full_access(&at("ben"), &at("ann.married"));
        let mut organisation = organisation()
            .with_user(account("ann"))
            .with_user(account("ben").delegate(&at("ann")));
        organisation.switches.delegates_follow_rename = follow;
        let world = World::still(tenant, organisation).await;
        world.apply().await;
        let report = world.apply().await;
        assert_converged(&report);
        assert_eq!(
            user(&world, "ben").delegates,
            [at("ann.married")],
            "{follow}"
        );
        assert_stable(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_switch_of_zivver_leads_to_the_same_end() {
    let switches: [fn(&mut Organisation); 12] = [
        |_| (),
        |it| it.switches.external_account_id_shown = false,
        |it| it.switches.external_account_id_on_post = true,
        |it| it.switches.external_account_id_name = "externalAccountID".into(),
        |it| it.switches.rename_over_own_addresses = true,
        |it| it.switches.rename_keeps_old_as_alias = true,
        |it| it.switches.group_external_id = GroupExternalId::Renames,
        |it| it.switches.unknown_delegates = UnknownDelegates::Refused,
        |it| it.switches.user_post_keeps_extension = true,
        |it| it.switches.folds_case = true,
        |it| it.switches.content_type = "text/plain".into(),
        |it| {
            it.switches.put_erases_key = false;
            it.switches.put_erases_external_account_id = false;
            it.switches.group_put_erases = false;
        },
    ];
    let mut ends = Vec::new();
    for change in switches {
        let (tenant, mut organisation) = sandbox::tenant::generate(6, 60);
        change(&mut organisation);
        let world = World::still(tenant, organisation).await;
        world.apply().await;
        let report = world.apply().await;
        assert_converged(&report);
        assert_stable(&world).await;
        let state = world.sandbox.zivver.state();
        let mut end: Vec<_> = state
            .users
            .iter()
            .map(|user| (user.user_name.clone(), user.active, user.name.clone()))
            .collect();
        end.sort();
        ends.push((end, state.groups.len()));
    }
    for (number, end) in ends.iter().enumerate() {
        // Without ids an account is known only by its address, so some changes wait for a person.
        if number != 1 {
            assert_eq!(*end, ends[0], "switch {number}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reads_that_lag_behind_writes() {
    let (tenant, mut organisation) = sandbox::tenant::generate(8, 60);
    organisation.switches.stale_reads_after_post = 2;
    let world = World::still(tenant, organisation).await;
    world.apply().await;
    for _ in 0..3 {
        world.apply().await;
    }
    let report = world.apply().await;
    assert_converged(&report);
    let state = world.sandbox.zivver.state();
    let mut names: Vec<_> = state.users.iter().map(|user| &user.user_name).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn everything_at_once_goes_wrong_now_and_then() {
    for seed in 1..=4 {
        let (tenant, organisation) = sandbox::tenant::generate(seed, 90);
        let calm = World::still(tenant.clone(), organisation.clone()).await;
        calm.apply().await;
        assert_converged(&calm.apply().await);
        let world = World::still(tenant, organisation).await;
        let kinds = [
            FaultKind::ResetAfter,
            FaultKind::HtmlError { status: 503 },
            FaultKind::TruncatedJson { full_length: true },
            FaultKind::HangAfter,
            FaultKind::Status {
                status: 429,
                headers: vec![("Retry-After".into(), "1".into())],
                body: String::new(),
            },
        ];
        for control in [
            world.sandbox.zivver.control(),
            world.sandbox.exchange.control().clone(),
        ] {
            control.apply(&ControlOptions {
                latency_millis: Some(20),
                jitter_millis: Some(80),
                seed: Some(seed),
                ..ControlOptions::default()
            });
            for round in 0..12_u32 {
                let kind =
                    kinds[(round as usize + usize::try_from(seed).unwrap()) % kinds.len()].clone();
                control.inject(Fault {
                    after: round * 6,
                    ..Fault::once(kind)
                });
            }
        }
        world.apply().await;
        for control in [
            world.sandbox.zivver.control(),
            world.sandbox.exchange.control().clone(),
        ] {
            control.clear_faults();
        }
        let report = world.apply().await;
        assert_eq!(report.error, None);
        assert_converged(&world.apply().await);
        let shown = |world: &World| {
            // The ids that Zivver assigns depend on the order of the creates.
            zivver(world)
        };
        assert_eq!(shown(&world), shown(&calm), "seed {seed}");
        assert_eq!(
            world.sandbox.zivver.control().counters().overlapping_writes,
            0
        );
    }
}

#[tokio::test(start_paused = true)]
async fn another_writer_changes_things_while_the_run_writes() {
    use cloud_sync::sandbox::zivver::{Change, Event};
    let tenant = people(&["ann", "ben", "cas", "dan"])
        .mailbox(Mailbox::shared(&at("desk")).opened_by(&at("ann")));
    let mut organisation = accounts(&["ann", "ben", "cas"]);
    let ids: Vec<String> = organisation
        .users
        .iter()
        .map(|user| user.id.clone())
        .collect();
    organisation.add_group(desk("desk").member(&ids[1]));
    organisation.events = vec![
        Event {
            after_calls: 2,
            change: Change::SetMembers {
                address: at("desk"),
                members: vec![ids[2].clone()],
            },
        },
        Event {
            after_calls: 2,
            change: Change::Remove { address: at("cas") },
        },
        Event {
            after_calls: 2,
            change: Change::AddUser(User::new(&at("dan"), "JIT")),
        },
    ];
    let world = World::still(tenant, organisation).await;
    world.apply().await;
    let report = world.apply().await;
    assert_eq!(report.error, None);
    assert_converged(&world.apply().await);
    assert_stable(&world).await;
    assert_eq!(group(&world, "desk").members, [ids[0].clone()]);
    assert_eq!(user(&world, "dan").name, "dan");
}

/// Properties of every request of every run.
#[tokio::test(start_paused = true)]
async fn every_write_is_well_formed() {
    const USER: &str = "urn:ietf:params:scim:schemas:zivver:0.1:User";
    const GROUP: &str = "urn:ietf:params:scim:schemas:zivver:0.1:Group";
    for seed in 11..=14 {
        let (tenant, organisation) = sandbox::tenant::generate(seed, 150);
        let before = organisation.clone();
        let world = World::still_with(
            tenant,
            organisation,
            &[("MAX_IDENTITY_CHANGES", "100%"), ("MAX_STRAYS", "100%")],
        )
        .await;
        assert_converged(&world.apply().await);
        for entry in world.sandbox.zivver.control().journal() {
            if entry.method == "GET" {
                continue;
            }
            assert!((200..300).contains(&entry.status.unwrap()), "{entry:?}");
            assert_ne!(entry.method, "DELETE");
            let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
            let media_type = if entry.method == "PATCH" {
                "application/scim+json"
            } else {
                "application/json"
            };
            assert_eq!(entry.headers["content-type"], media_type);
            assert_ne!(body.get("members"), Some(&serde_json::json!([])), "{body}");
            if body.get("active") == Some(&serde_json::json!(false)) {
                assert_eq!((body.get(USER), body.get("name")), (None, None), "{body}");
            }
            if let Some(extension) = body.get(USER) {
                assert!(extension.get("SsoAccountKey").is_some(), "{body}");
                if entry.method == "PUT" {
                    assert!(
                        extension.get("aliases").is_some() && extension.get("delegates").is_some(),
                        "{body}"
                    );
                    let id = entry.path.rsplit('/').next().unwrap();
                    let known = before.users.iter().find(|user| user.id == id);
                    let had = known.and_then(|user| user.external_account_id.as_deref());
                    assert_eq!(
                        extension
                            .get("ExternalAccountId")
                            .and_then(|it| it.as_str()),
                        had
                    );
                }
            }
            if let Some(extension) = body.get(GROUP) {
                assert!(extension.get("aliases").is_some(), "{body}");
            }
        }
        // No account with a key has lost it.
        let after = world.sandbox.zivver.state();
        for user in &before.users {
            let now = after.users.iter().find(|it| it.id == user.id).unwrap();
            assert!(user.sso_account_key.is_none() || now.sso_account_key.is_some());
        }
        assert_stable(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_slips_through_between_two_pages_is_not_gone() {
    let names: Vec<String> = (0..25).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tenant = people(&names);
    tenant.switches.page_rows_max = 10;
    tenant.switches.paging = Paging::RowMoved;
    let world = World::still(tenant, accounts(&names)).await;
    let report = world.apply().await;
    assert_eq!(report.error, None);
    assert_eq!(report.source.mailboxes, 24);
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
    let codes = report.skipped.iter().map(|note| note.code);
    assert_eq!(codes.collect::<Vec<_>>(), [Code::MailboxNotListed]);
    assert_eq!(report.outcome, RunOutcome::NeedsAttention);
}

#[tokio::test(start_paused = true)]
async fn r11_a_member_who_slips_through_between_two_pages_of_a_group_stays_a_delegate() {
    let names: Vec<String> = (0..25).map(|number| format!("p{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tenant = people(&names).full_access(&at("p00"), "Team");
    tenant.groups.push(Group {
        members: names[1..].iter().map(|name| id(name)).collect(),
        ..Group::of_kind(
            GroupKind::MailUniversalSecurityGroup,
            "Team",
            "corp.example",
        )
    });
    let world = World::still(tenant, accounts(&names)).await;
    assert_converged(&world.apply().await);
    assert_eq!(user(&world, "p00").delegates.len(), 24);
    world.sandbox.exchange.switch(|switches| {
        switches.page_rows_max = 10;
        switches.paging = Paging::RowMoved;
    });
    forget(&world);
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
    assert_eq!(notes(&report, "p00"), ["DelegationsUnknown"]);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_answers_nothing_but_the_list_fails_the_run() {
    let names: Vec<String> = (0..30).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (fault, leavers) in [
        (
            Fault::always(FaultKind::HtmlError { status: 503 }).path("MailboxPermission"),
            0,
        ),
        (
            Fault::always(FaultKind::HangBefore).path("MailboxPermission"),
            0,
        ),
        (
            Fault::always(FaultKind::HtmlError { status: 503 }).path("InvokeCommand"),
            29,
        ),
    ] {
        let people = people(&names[leavers..]);
        let world = World::still(people, accounts(&names)).await;
        world.sandbox.exchange.control().inject(fault);
        let report = world.apply().await;
        let error = report.error.clone().unwrap_or_default();
        assert!(
            error.contains("source incomplete"),
            "{error} {}",
            shown(&report)
        );
        assert_eq!(write_count(&world), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_zivver_whose_whole_budget_others_use_ends_the_run() {
    let mut organisation = accounts(&["ben"]);
    organisation.limiter.taken_by_others = 50;
    let world = World::still_with(
        people(&["ann", "ben"]),
        organisation,
        &[("ZIVVER_RATE", "50/10s")],
    )
    .await;
    let report = world.apply().await;
    assert!(report.error.is_some(), "{}", shown(&report));
}

#[tokio::test(start_paused = true)]
async fn a_patch_without_content_in_its_answer_is_a_success() {
    let organisation = accounts(&["ann"]);
    let ann = organisation.users[0].id.clone();
    let world = World::still(
        people(&["ann"]).shared(&at("desk")),
        organisation.with_group(desk("desk").member(&ann)),
    )
    .await;
    let no_content = FaultKind::ReplaceBody {
        status: 204,
        body: String::new(),
    };
    world
        .sandbox
        .zivver
        .control()
        .inject(Fault::always(no_content).method("PATCH"));
    assert_converged(&world.apply().await);
    assert_eq!(write_count(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn an_alias_of_one_becomes_the_address_of_a_new_mailbox() {
    // One of a person and one of a desk. Both lose it in Exchange.
    let tenant = people(&["ann", "info", "sales"])
        .mailbox(Mailbox::shared(&at("desk")).opened_by(&at("ann")));
    let organisation = organisation().with_user(account("ann").alias(&at("info")));
    let ann = organisation.users[0].id.clone();
    let organisation = organisation.with_group(desk("desk").member(&ann).alias(&at("sales")));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(user(&world, "info").sso_account_key, Some(id("info")));
    assert_eq!(user(&world, "sales").sso_account_key, Some(id("sales")));
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_mailbox_and_a_shared_one_change_addresses() {
    // The person takes the desk's address. A functional account cannot be renamed, so only the person's name follows.
    let mut person = Mailbox::user(&at("desk"));
    person.edoid = id("ann");
    let mut shared = Mailbox::shared(&at("ann"));
    shared.edoid = id("desk");
    let organisation = accounts(&["ann", "ben"]);
    let ben = organisation.users[1].id.clone();
    let world = World::still(
        people(&["ben"])
            .mailbox(person)
            .mailbox(shared.opened_by(&at("ben"))),
        organisation.with_group(desk("desk").member(&ben)),
    )
    .await;
    let before = zivver(&world);
    let report = world.apply().await;
    assert_eq!(report.error, None);
    let named = before.replace(r#"ann@ "ann""#, r#"ann@ "desk""#);
    assert_eq!(zivver(&world), named, "{}", shown(&report));
    assert!(report.needs_attention());
}

#[tokio::test(start_paused = true)]
async fn strange_but_valid_accounts_of_zivver() {
    let mut organisation = accounts(&["ben"]);
    let ann = User {
        division: None,
        nick_name: Some("A".into()),
        phone_numbers: vec!["+12025550123".into()],
        aliases: vec![
            "no address".into(),
            at("gone"),
            "x@elsewhere.example".into(),
        ],
        delegates: vec![at("ann"), at("nobody"), "y@elsewhere.example".into()],
        ..account("ann")
    };
    organisation.add_user(ann.clone());
    let world = World::still(
        people(&["ben"]).mailbox(Mailbox::user(&at("ann")).opened_by(&at("ben"))),
        organisation,
    )
    .await;
    assert_converged(&world.apply().await);
    let after = user(&world, "ann");
    assert_eq!(after.aliases, ["no address", "x@elsewhere.example"]);
    assert!(after.delegates.contains(&"y@elsewhere.example".to_owned()));
    assert!(after.delegates.contains(&at("ben")));
    assert_eq!(
        (after.division, after.nick_name, after.phone_numbers),
        (ann.division, ann.nick_name, ann.phone_numbers)
    );
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn transient_answers_of_exchange_leave_nothing_unknown() {
    use cloud_sync::sandbox::exchange::faults;
    for fault in [
        faults::transient(400),
        faults::transient(500),
        faults::concurrency(400),
        faults::concurrency(503),
        faults::throttled(429, Some("0.5")),
        faults::throttled(503, Some("Wed, 25 Nov 2026 10:00:00 GMT")),
        Fault::once(FaultKind::HtmlError { status: 408 }),
        Fault::once(FaultKind::TruncatedJson { full_length: false }),
        Fault::once(FaultKind::ResetAfter),
        Fault::once(FaultKind::HangAfter),
    ] {
        for path in ["Mailbox?", "MailboxPermission", "InvokeCommand"] {
            let tenant = people(&["ann", "ben"])
                .security_group("Team", &[&at("ann")])
                .shared(&at("desk"))
                .full_access(&at("desk"), "Team");
            let world = World::still(tenant, accounts(&["ann", "ben"])).await;
            world
                .sandbox
                .exchange
                .control()
                .inject(fault.clone().path(path).times(2));
            let report = world.apply().await;
            assert_converged(&report);
            assert_eq!(notes(&report, "desk"), [""; 0], "{path} {fault:?}");
            assert_eq!(group(&world, "desk").members.len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_way_to_read_permissions_leads_to_the_same_end() {
    let mut ends = Vec::new();
    for strategy in ["get", "batch"] {
        let (tenant, organisation) = sandbox::tenant::generate(21, 120);
        let world = World::still_with(tenant, organisation, &[("EXO_PERMISSIONS", strategy)]).await;
        assert_converged(&world.apply().await);
        ends.push(zivver(&world));
    }
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test(start_paused = true)]
async fn r1_r11_a_list_whose_first_page_looks_like_all_takes_nothing() {
    let names: Vec<String> = (0..25).map(|number| format!("p{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for settled in [false, true] {
        let tenant = people(&names)
            .full_access(&at("p00"), &at("p20"))
            .shared(&at("desk"))
            .full_access(&at("desk"), &at("p21"))
            .full_access(&at("desk"), &at("p01"));
        let world = World::still(tenant, accounts(&names)).await;
        if settled {
            assert_converged(&world.apply().await);
            assert_eq!(group(&world, "desk").members.len(), 2);
            assert_eq!(user(&world, "p00").delegates, [at("p20")]);
        }
        let before = world.sandbox.zivver.state();
        world.sandbox.exchange.switch(|switches| {
            switches.page_rows_max = 10;
            switches.link = Link::Absent;
        });
        forget(&world);
        for _ in 0..2 {
            let report = world.apply().await;
            let after = world.sandbox.zivver.state();
            for user in &before.users {
                let now = after.users.iter().find(|it| it.id == user.id).unwrap();
                assert_eq!(
                    (now.active, &now.user_name, &now.aliases),
                    (user.active, &user.user_name, &user.aliases),
                    "{}",
                    shown(&report)
                );
                let kept = user.delegates.iter().all(|it| now.delegates.contains(it));
                assert!(kept, "{}", shown(&report));
            }
            for group in &before.groups {
                let now = after.groups.iter().find(|it| it.id == group.id).unwrap();
                assert_eq!(now.members, group.members, "{}", shown(&report));
            }
        }
        // The complete list again, and one person who is really gone: Exchange answers "not found" only for her.
        world.sandbox.exchange.with_state(|tenant| {
            tenant.switches.page_rows_max = 1000;
            tenant.switches.link = Link::Good;
            tenant
                .mailboxes
                .retain(|it| it.primary_smtp_address != at("p24"));
        });
        world.apply().await;
        assert_converged(&world.apply().await);
        let suspended = world.sandbox.zivver.state();
        let suspended = suspended.users.iter().filter(|it| !it.active);
        let suspended: Vec<_> = suspended.map(|it| it.user_name.clone()).collect();
        assert_eq!(suspended, [at("p24")]);
    }
}

#[tokio::test(start_paused = true)]
async fn r35_whom_a_killed_run_created_and_who_is_renamed_since_is_renamed() {
    let mut organisation = accounts(&["ben"]);
    // Only the memory shows who owns the account.
    organisation.switches.external_account_id_shown = false;
    let world = World::still(people(&["ann", "ben"]), organisation).await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("POST"));
    let world = killed_after(world, 1).await;
    world.sandbox.exchange.with_state(|tenant| {
        let mailbox = tenant.mailbox_mut(&at("ann")).unwrap();
        mailbox.primary_smtp_address = at("anna");
        mailbox.email_addresses = vec![format!("SMTP:{}", at("anna"))];
    });
    forget(&world);
    let preview = world.preview().await;
    assert_eq!(preview.actions.len(), 1, "{}", shown(&preview));
    let report = world.apply().await;
    assert_converged(&report);
    let planned = [&preview, &report].map(|it| without_origins(&it.actions[0].action));
    assert_eq!(planned[0], planned[1]);
    insta::assert_snapshot!(writes(&world).join("\n"), @"PUT Users anna@ {userName:anna@} 200");
}
