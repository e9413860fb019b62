//! R8-R12: who may open which mailbox.

use cloud_sync::{
    domain::guard::Class,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{GroupKind, Mailbox, Permission, ResultSize, SelfEntry, Tenant, faults},
        zivver::{Organisation, User},
    },
};

use super::{bench::*, company::held};
use crate::world::World;

/// The desk with changed permissions. In Zivver ann alone is a member.
async fn desk_world(change: impl FnOnce(Tenant) -> Tenant) -> World {
    let tenant = people(&["ann", "ben", "cas"]).shared(&at("desk"));
    World::still(change(tenant), desk_of_ann()).await
}

fn desk_of_ann() -> Organisation {
    let organisation = accounts(&["ann", "ben", "cas"]);
    let ann = organisation.users[0].id.clone();
    organisation.with_group(desk("desk").member(&ann))
}

/// Members of the desk after an apply, without the domain, and codes of the notes about it.
async fn outcome(world: &World) -> (Vec<String>, Vec<String>) {
    let report = world.apply().await;
    assert_converged(&report);
    (members(world, "desk"), notes(&report, "desk"))
}

fn members(world: &World, local: &str) -> Vec<String> {
    let state = world.sandbox.zivver.state();
    let group = state.group(&at(local)).unwrap();
    let mut members: Vec<String> = state
        .users
        .iter()
        .filter(|user| group.members.contains(&user.id))
        .map(|user| short(&user.user_name))
        .collect();
    members.sort();
    members
}

fn entry(user: &str, change: impl FnOnce(&mut Permission)) -> impl FnOnce(Tenant) -> Tenant {
    let user = user.to_owned();
    let mut permission = Permission::full_access(&user);
    change(&mut permission);
    move |mut tenant: Tenant| {
        let desk = tenant.mailbox_mut(&at("desk")).unwrap();
        desk.permissions.push(permission);
        tenant
    }
}

#[tokio::test(start_paused = true)]
async fn r08_which_entries_count() {
    let full = |_: &mut Permission| ();
    for (name, permission, expected) in [
        ("full access", Permission::full_access(&at("ben")), true),
        (
            "comma-joined",
            Permission {
                access_rights: vec!["ReadPermission, FullAccess".into()],
                ..Permission::full_access(&at("ben"))
            },
            true,
        ),
        (
            "another right",
            Permission {
                access_rights: vec!["ReadPermission".into(), "ChangeOwner".into()],
                ..Permission::full_access(&at("ben"))
            },
            false,
        ),
        (
            "inherited",
            Permission {
                inherited: true,
                ..Permission::full_access(&at("ben"))
            },
            false,
        ),
        (
            "denied",
            Permission {
                deny: true,
                ..Permission::full_access(&at("ben"))
            },
            false,
        ),
        (
            "a system account",
            Permission::full_access("NT AUTHORITY\\SYSTEM"),
            false,
        ),
        (
            "a well-known SID",
            Permission::full_access("S-1-5-32-544"),
            false,
        ),
        (
            "a deleted principal",
            Permission::full_access("S-1-5-21-1000000001-1000000002-1000000003-1104"),
            false,
        ),
        ("itself", Permission::full_access(&at("desk")), false),
    ] {
        let world = desk_world(|tenant| {
            let tenant = entry(&at("ann"), full)(tenant);
            entry("x", |it| *it = permission)(tenant)
        })
        .await;
        let (members, _) = outcome(&world).await;
        let all: &[&str] = if expected {
            &["ann@", "ben@"]
        } else {
            &["ann@"]
        };
        assert_eq!(members, all, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn r08_a_deny_takes_out_however_it_was_allowed() {
    let deny = |it: &mut Permission| it.deny = true;
    // A person who is allowed directly and through a group.
    let world = desk_world(|tenant| {
        let tenant = tenant
            .security_group("Team", &[&at("ann"), &at("ben")])
            .full_access(&at("desk"), "Team")
            .full_access(&at("desk"), &at("ben"))
            .full_access(&at("desk"), &at("cas"));
        entry(&at("ben"), deny)(tenant)
    })
    .await;
    assert_eq!(outcome(&world).await.0, ["ann@", "cas@"]);
    // A group.
    let world = desk_world(|tenant| {
        let tenant = tenant
            .security_group("Inner", &[&at("ben")])
            .security_group("Never", &["Inner", &at("ann")])
            .full_access(&at("desk"), &at("ann"))
            .full_access(&at("desk"), &at("ben"))
            .full_access(&at("desk"), &at("cas"));
        entry("Never", deny)(tenant)
    })
    .await;
    assert_eq!(outcome(&world).await.0, ["cas@"]);
    // A group that cannot be expanded: unknown, so nothing changes.
    let world = desk_world(|tenant| {
        let tenant = tenant
            .distribution_group("List", &[&at("ann")])
            .full_access(&at("desk"), &at("cas"));
        entry("List", deny)(tenant)
    })
    .await;
    let (members, notes) = outcome(&world).await;
    assert_eq!(
        (members.as_slice(), notes.as_slice()),
        (
            ["ann@".to_owned()].as_slice(),
            ["DelegationsUnknown".to_owned()].as_slice()
        )
    );
}

#[tokio::test(start_paused = true)]
async fn r08_an_answer_without_self_is_no_read() {
    let world = desk_world(|mut tenant| {
        let desk = tenant.mailbox_mut(&at("desk")).unwrap();
        desk.self_entry = SelfEntry::Missing;
        tenant
    })
    .await;
    assert_eq!(
        outcome(&world).await,
        (vec!["ann@".into()], vec!["DelegationsUnknown".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn r09_trustees_by_everything_that_identifies_them() {
    let tenant = || {
        tenant()
            .mailbox(
                Mailbox::user(&at("ann"))
                    .with_upn("Ann.Upn@corp.onmicrosoft.example")
                    .with_alias_address(&at("ann.alias")),
            )
            // Exchange would find it by alias or by display name, which must not count.
            .mailbox(Mailbox {
                alias: "onlyalias".into(),
                ..Mailbox::user(&at("ben")).with_display_name("Only Display")
            })
            .mailbox(
                Mailbox::user(&at("cas"))
                    .with_upn("cas.upn@corp.onmicrosoft.example")
                    .with_name("Cas Name"),
            )
            // The UPN of one is the address of another: the UPN wins.
            .mailbox(Mailbox::user(&at("dan")).with_upn(&at("cas")))
            .shared(&at("desk"))
    };
    let guid = tenant().mailboxes[0].guid.clone();
    for (text, expected) in [
        ("ann.upn@CORP.onmicrosoft.example", "ann@"),
        ("ANN.alias@corp.example", "ann@"),
        (&id("ann"), "ann@"),
        (&guid.to_uppercase(), "ann@"),
        ("cas name", "cas@"),
        ("cas@corp.example", "dan@"),
    ] {
        let mut tenant = tenant();
        tenant.mailboxes[4] = tenant.mailboxes[4].clone().opened_by(text);
        let world = World::still(tenant, accounts(&["ann", "ben", "cas", "dan"])).await;
        let report = world.apply().await;
        assert_converged(&report);
        assert_eq!(notes(&report, "desk"), [""; 0], "{text}");
        assert_eq!(members(&world, "desk"), [expected], "{text}");
    }
    for text in ["onlyalias", "Only Display"] {
        let mut tenant = tenant();
        tenant.mailboxes[4] = tenant.mailboxes[4].clone().opened_by(text);
        let organisation = accounts(&["ann", "ben", "cas", "dan"]);
        let ann = organisation.users[0].id.clone();
        let world = World::still(tenant, organisation.with_group(desk("desk").member(&ann))).await;
        assert_eq!(
            outcome(&world).await,
            (vec!["ann@".into()], vec!["DelegationsUnknown".into()]),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r09_what_fits_two_is_ambiguous() {
    // A group and a mailbox of one name; two mailboxes of one name.
    let grouped = people(&["ann"])
        .mailbox(Mailbox::user(&at("ben")).with_name("Front Desk"))
        .security_group("Front Desk", &[&at("ann")])
        .mailbox(Mailbox::shared(&at("desk")).opened_by("Front Desk"));
    let twins = people(&["ann"])
        .mailbox(Mailbox::user(&at("ben")).with_name("Same"))
        .mailbox(Mailbox::user(&at("cas")).with_name("Same"))
        .mailbox(Mailbox::shared(&at("desk")).opened_by("Same"));
    for tenant in [grouped, twins] {
        let world = World::still(tenant, desk_of_ann()).await;
        let report = world.apply().await;
        assert_eq!(members(&world, "desk"), ["ann@"]);
        assert!(notes(&report, "desk").contains(&"DelegationsUnknown".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn r09_each_distinct_trustee_is_asked_for_once() {
    let mut tenant = people(&["ann"]).mail_user("adviser@partner.example");
    for number in 0..12 {
        let mailbox = Mailbox::user(&at(&format!("p{number}")))
            .opened_by("adviser@partner.example")
            .opened_by("Adviser@partner.example")
            .opened_by("gone@corp.example");
        tenant = tenant.mailbox(mailbox);
    }
    let world = World::still(tenant, organisation()).await;
    assert_converged(&world.apply().await);
    let journal = world.sandbox.exchange.control().journal();
    let asked = |text: &str| {
        journal
            .iter()
            .filter(|entry| entry.body.to_lowercase().contains(text))
            .count()
    };
    assert_eq!(asked("gone@corp.example"), 1);
    assert_eq!(asked("adviser@partner.example"), 1);
    assert_eq!(asked("get-distributiongroup\""), 1);
}

#[tokio::test(start_paused = true)]
async fn r10_security_groups_to_any_depth_and_nothing_else() {
    let many: Vec<String> = (0..1205).map(|number| at(&format!("m{number}"))).collect();
    let many_refs: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut tenant = people(&["ann", "ben", "cas", "dan", "eve"]);
    for address in &many {
        tenant = tenant.user(address);
    }
    let tenant = tenant
        .security_group("A", &[&at("ann"), "B"])
        .security_group("B", &["C", &at("ben")])
        // A cycle, and a list inside, which gives no right.
        .security_group("C", &["A", &at("cas"), "List", "Crew", "Dyn"])
        .distribution_group("List", &[&at("dan")])
        .group_of_kind(GroupKind::GroupMailbox, "Crew", &[&at("eve")])
        .group_of_kind(GroupKind::DynamicDistributionGroup, "Dyn", &[&at("eve")])
        .security_group("Many", &many_refs)
        .mailbox(Mailbox::shared(&at("desk")).opened_by("A"))
        .mailbox(Mailbox::shared(&at("hall")).opened_by("Many"))
        .mailbox(
            Mailbox::shared(&at("lists"))
                .opened_by("List")
                .opened_by("Crew"),
        );
    let world = World::still(tenant, organisation()).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(members(&world, "desk"), ["ann@", "ben@", "cas@"]);
    assert_eq!(members(&world, "hall").len(), 1205);
    assert_eq!(
        notes(&report, "lists"),
        [
            "GroupGivesNoRight",
            "GroupGivesNoRight",
            "InactiveNotCreated"
        ]
    );
    assert!(world.sandbox.zivver.state().group(&at("lists")).is_none());
    let explained = world.explain(&at("desk")).await;
    let paths = explained.mailboxes[0].full_access.clone().unwrap();
    assert!(
        paths.iter().any(|path| path.contains("A > B > C")),
        "{paths:?}"
    );
    assert_stable(&world).await;
}

/// Groups that are nested beyond the limit change no delegates.
#[tokio::test(start_paused = true)]
async fn r11_groups_nested_beyond_the_limit_are_unknown() {
    let mut tenant = people(&["ann", "ben"]);
    for depth in 0..120 {
        let inner = format!("G{}", depth + 1);
        tenant = tenant.security_group(&format!("G{depth}"), &[inner.as_str()]);
    }
    let tenant = tenant
        .security_group("G120", &[&at("ann")])
        .mailbox(Mailbox::shared(&at("desk")).opened_by("G0"));
    let mut before = organisation()
        .with_user(account("ann"))
        .with_user(account("ben"));
    let ben = before.user(&at("ben")).unwrap().id.clone();
    before.add_group(desk("desk").member(&ben));
    let world = World::still(tenant, before).await;
    let report = world.apply().await;
    assert_eq!(members(&world, "desk"), ["ben@"]);
    let said = serde_json::to_string(&report).unwrap();
    assert!(said.contains("nested deeper than 100 levels"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn r10_a_truncated_group_is_unknown() {
    let world = desk_world(|tenant| {
        let mut tenant = tenant
            .security_group("Team", &[&at("ben"), &at("cas")])
            .full_access(&at("desk"), "Team");
        tenant.switches.page_rows_max = 1;
        tenant.switches.result_size = ResultSize::Ignored;
        tenant
    })
    .await;
    // With its pages it is complete.
    assert_eq!(outcome(&world).await.0, ["ben@", "cas@"]);
    world.sandbox.exchange.with_state(|tenant| {
        tenant.group_mut("Team").unwrap().members.push(at("ann"));
    });
    let spoil = Fault::always(FaultKind::ReplaceBody {
        status: 200,
        body: r#"{"@adminapi.warnings":["There are more results available than are currently displayed. To view them, increase the value for the ResultSize parameter."],"value":[]}"#.into(),
    });
    world
        .sandbox
        .exchange
        .control()
        .inject(spoil.body("Get-DistributionGroupMember"));
    assert_eq!(
        outcome(&world).await,
        (
            vec!["ben@".into(), "cas@".into()],
            vec!["DelegationsUnknown".into()]
        )
    );
}

/// Full Access of ben on the desk, a new name for it, and a new desk; nothing of the delegations must change.
async fn unknown(fault: Fault) {
    let tenant = people(&["ann", "ben"])
        .mailbox(
            Mailbox::shared(&at("desk"))
                .with_display_name("New name")
                .opened_by(&at("ben"))
                .opened_by("Team")
                .opened_by("stranger@corp.example"),
        )
        .mailbox(
            Mailbox::shared(&at("newdesk"))
                .opened_by("Team")
                .opened_by("stranger@corp.example"),
        )
        .mailbox(
            Mailbox::user(&at("cas"))
                .with_alias_address(&at("cas.alias"))
                .opened_by("Team")
                .opened_by("stranger@corp.example"),
        )
        .security_group("Team", &[&at("ben")]);
    let organisation = accounts(&["ann", "ben"]).with_user(account("cas").delegate(&at("ann")));
    let ann = organisation.users[0].id.clone();
    let world = World::still(tenant, organisation.with_group(desk("desk").member(&ann))).await;
    world.sandbox.exchange.control().inject(fault.clone());
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(members(&world, "desk"), ["ann@"], "{fault:?}");
    // Its other attributes are synchronised. The delegates are sent unchanged with the extension (R11).
    assert_eq!(group(&world, "desk").display_name, "New name");
    let cas = user(&world, "cas");
    assert_eq!(cas.aliases, [at("cas.alias")]);
    assert_eq!(cas.delegates, [at("ann")]);
    assert_eq!(cas.sso_account_key, Some(id("cas")));
    assert!(world.sandbox.zivver.state().group(&at("newdesk")).is_none());
    for local in ["desk", "newdesk", "cas"] {
        assert!(
            notes(&report, local).contains(&"DelegationsUnknown".to_owned()),
            "{local}: {}",
            shown(&report)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r11_a_failed_permission_read_is_unknown() {
    for kind in [
        FaultKind::HtmlError { status: 502 },
        FaultKind::HtmlError { status: 200 },
        FaultKind::EmptyOk,
        FaultKind::TruncatedJson { full_length: false },
        FaultKind::HangBefore,
        FaultKind::Status {
            status: 403,
            headers: Vec::new(),
            body: "\0".repeat(1024),
        },
        FaultKind::Status {
            status: 429,
            headers: vec![("Retry-After".into(), "1".into())],
            body: String::new(),
        },
        FaultKind::ReplaceBody {
            status: 200,
            body: r#"{"value":[]}"#.into(),
        },
    ] {
        // Those of desk, newdesk and cas, by their object ids in base64.
        let tenant = tenant();
        drop(tenant);
        let fault = Fault::always(kind).path("MailboxPermission");
        unknown(fault).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r11_a_failed_question_is_unknown() {
    for kind in [
        FaultKind::HtmlError { status: 503 },
        FaultKind::Status {
            status: 403,
            headers: Vec::new(),
            body: String::new(),
        },
        FaultKind::EmptyOk,
    ] {
        unknown(Fault::always(kind.clone()).body("Get-DistributionGroupMember")).await;
        unknown(Fault::always(kind.clone()).body("Get-DistributionGroup\"")).await;
    }
    for fault in [
        faults::transient(400).times(99),
        Fault::always(FaultKind::HtmlError { status: 500 }),
    ] {
        unknown(fault.body("stranger@corp.example")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r11_not_found_is_nobody_for_an_address_and_unknown_for_a_name() {
    for (text, members_after, note) in [
        ("gone@corp.example", vec!["ben@"], "TrusteeNotFound"),
        (
            "99999999-0000-4000-8000-000000000001",
            vec!["ben@"],
            "TrusteeNotFound",
        ),
        (
            "S-1-5-21-1000000001-1000000002-1000000003-1104",
            vec!["ben@"],
            "TrusteeDeleted",
        ),
        ("Nobody Knows", vec!["ann@"], "DelegationsUnknown"),
        ("CORP\\old", vec!["ben@"], "TrusteeNotFound"),
    ] {
        let world = desk_world(|tenant| {
            let tenant = tenant.full_access(&at("desk"), &at("ben"));
            entry(text, |_| ())(tenant)
        })
        .await;
        let (members, notes) = outcome(&world).await;
        assert_eq!(members, members_after, "{text}");
        assert!(notes.contains(&note.to_owned()), "{text}: {notes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r11_a_mailbox_that_vanished_meanwhile_is_protected() {
    let world = desk_world(|tenant| tenant.full_access(&at("desk"), &at("ben"))).await;
    world
        .sandbox
        .exchange
        .with_state(|tenant| tenant.mailbox_mut(&at("cas")).unwrap().display_name = "New".into());
    // Exactly cas: by its object id.
    let key = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, id("cas"));
    let key = key.trim_end_matches('=');
    let fault = Fault::always(FaultKind::Status {
        status: 404,
        headers: Vec::new(),
        body: r#"{"error":{"code":"NotFound","message":"An server side error occured."}}"#.into(),
    });
    world.sandbox.exchange.control().inject(fault.path(key));
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(user(&world, "cas").name, "cas");
    assert!(notes(&report, "cas").contains(&"MailboxGone".to_owned()));
    assert_eq!(members(&world, "desk"), ["ben@"]);
}

#[tokio::test(start_paused = true)]
async fn r12_who_may_be_a_delegate() {
    let tenant = people(&["ann"])
        .mailbox(Mailbox::user(&at("off")).disabled())
        .mailbox(Mailbox::user(&at("off.without")).disabled())
        .shared(&at("other.desk"))
        .room(&at("room"))
        .user("out@elsewhere.example")
        .user(&at("filtered"))
        .user(&at("filtered.without"))
        .user(&at("fresh"))
        .shared(&at("desk"))
        .shared(&at("lonely"));
    let everybody = [
        "ann",
        "off",
        "off.without",
        "other.desk",
        "room",
        "out@elsewhere.example",
        "filtered",
        "filtered.without",
        "fresh",
    ];
    let tenant = everybody.iter().fold(tenant, |tenant, who| {
        tenant.full_access(&at("desk"), &at(who))
    });
    let tenant = ["off.without", "room", "out@elsewhere.example"]
        .iter()
        .fold(tenant, |tenant, who| {
            tenant.full_access(&at("lonely"), &at(who))
        });
    let mut off = account("off");
    off.active = false;
    let organisation = accounts(&["ann", "filtered"]).with_user(off);
    let ann = organisation.users[0].id.clone();
    let organisation = organisation.with_group(desk("lonely").member(&ann));
    let world = World::still_with(tenant, organisation, &[("TARGET_FILTER", "filtered")]).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(
        members(&world, "desk"),
        ["ann@", "filtered@", "fresh@", "off@"]
    );
    // Inactive if no delegate is left after pruning.
    assert_eq!(members(&world, "lonely"), [""; 0]);
    insta::assert_snapshot!(shown(&report), @r"
    InSync, converged
    Create desk@; Name +desk; Delegates +ann@ +filtered@ +fresh@ +off@
    Create fresh@; Name +fresh
    Empty lonely@; Active -yes +no; Delegates -ann@
    R12 DelegatePruned: desk@
    R12 DelegatePruned: desk@
    R12 DelegatePruned: desk@
    R12 DelegatePruned: desk@
    R12 DelegatePruned: desk@
    R15 TargetFilter: filtered.without@
    R15 TargetFilter: filtered@
    R12 DelegatePruned: lonely@
    R12 DelegatePruned: lonely@
    R12 DelegatePruned: lonely@
    R21 InactiveNotCreated: off.without@
    R21 InactiveNotCreated: other.desk@
    R13 OutsideClaimedDomains: out@elsewhere.example
    R3 KindNotSynchronised: room@
    ");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r12_with_only_left_out_delegates_neither_created_nor_emptied() {
    // zoe cannot be created: Zivver refuses her.
    let tenant = people(&["ann", "zoe"])
        .mailbox(Mailbox::shared(&at("desk")).opened_by(&at("zoe")))
        .mailbox(Mailbox::shared(&at("newdesk")).opened_by(&at("zoe")));
    let organisation = Organisation {
        free_accounts: vec![at("zoe")],
        ..accounts(&["ann"])
    };
    let ann = organisation.users[0].id.clone();
    let world = World::still(tenant, organisation.with_group(desk("desk").member(&ann))).await;
    let report = world.apply().await;
    assert_eq!(members(&world, "desk"), ["ann@"], "{}", shown(&report));
    assert!(world.sandbox.zivver.state().group(&at("newdesk")).is_none());
    insta::assert_snapshot!(writes(&world).join("\n"), @r"POST Users  {active:true,name:{formatted:zoe},zivver:{SsoAccountKey:id of zoe@},userName:zoe@} 400");
}

#[tokio::test(start_paused = true)]
async fn r12_removals_are_made_though_a_delegate_is_left_out() {
    let tenant = people(&["ann", "ben", "zoe"]).mailbox(
        Mailbox::shared(&at("desk"))
            .opened_by(&at("ben"))
            .opened_by(&at("zoe")),
    );
    let organisation = Organisation {
        free_accounts: vec![at("zoe")],
        ..accounts(&["ann", "ben"])
    };
    let (ann, ben) = (
        organisation.users[0].id.clone(),
        organisation.users[1].id.clone(),
    );
    let organisation = organisation.with_group(desk("desk").member(&ann).member(&ben));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_eq!(members(&world, "desk"), ["ben@"], "{}", shown(&report));
}

#[tokio::test(start_paused = true)]
async fn r12_a_delegation_among_people() {
    let tenant = people(&["ann", "ben", "cas"])
        .full_access(&at("ann"), &at("ben"))
        .full_access(&at("ann"), &at("cas"));
    let organisation = accounts(&["ben", "cas"]).with_user(User {
        delegates: vec![at("ben"), "partner@elsewhere.example".into()],
        aliases: vec!["ann@elsewhere.example".into()],
        ..account("ann")
    });
    let world = World::still(tenant, organisation).await;
    assert_converged(&world.apply().await);
    // R13: what is outside the claimed domains is sent unchanged.
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users ann@ {zivver:{ExternalAccountId:id of ann@,SsoAccountKey:id of ann@,aliases:[ann@elsewhere.example],delegates:[ben@,cas@,partner@elsewhere.example]}} 200");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r9_a_name_that_another_mailbox_shows_is_asked_for_once() {
    let tenant = people(&["ann"])
        .mailbox(
            Mailbox::user(&at("ben"))
                .with_name("Sales")
                .with_display_name("Ben"),
        )
        .mailbox(Mailbox::user(&at("cas")).with_display_name("Sales"))
        .mailbox(Mailbox::shared(&at("desk")).opened_by("Sales"));
    let world = World::still(tenant, desk_of_ann()).await;
    assert_converged(&world.apply().await);
    let requests = world.sandbox.exchange.control().journal();
    let asked = requests.iter();
    let asked = asked.filter(|entry| entry.body.contains("Get-Recipient"));
    assert_eq!(asked.count(), 1);
    assert_eq!(members(&world, "desk"), ["ben@"]);
}

/// Zivver keeps the delegates of a user as addresses, and the rename of a delegate does not change them.
#[tokio::test(start_paused = true)]
async fn r22_r26_a_held_removal_stays_held_when_the_delegate_is_renamed() {
    let tenant = people(&["ann", "ben", "cas"]).full_access(&at("cas"), &at("ann"));
    let mut organisation = accounts(&["ann", "ben", "cas"]);
    organisation.switches.delegates_follow_rename = false;
    let limit = [("MAX_DELEGATE_REMOVALS", "0")];
    let world = World::still_with(tenant, organisation, &limit).await;
    assert_converged(&world.apply().await);
    assert_eq!(user(&world, "cas").delegates, [at("ann")]);
    world.sandbox.exchange.with_state(|tenant| {
        readdress(tenant, "ann", "anna", false);
        tenant.mailbox_mut(&at("cas")).unwrap().permissions.clear();
    });
    for _ in 0..2 {
        let report = world.apply().await;
        assert_converged(&report);
        assert_eq!(
            held(&report, Class::DelegateRemoval),
            [at("cas")],
            "{}",
            shown(&report)
        );
        assert_eq!(user(&world, "cas").delegates, [at("anna")]);
    }
}
