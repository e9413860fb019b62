//! R1, R2: both sides are read completely, or the run fails.

use cloud_sync::{
    domain::report::{Report, RunOutcome},
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{Link, Mailbox, Paging, Tenant, faults},
        zivver::{self, TotalResults, User},
    },
};
use serde_json::{Value, json};

use super::bench::*;
use crate::world::World;

/// 25 people over several pages. All but one are in sync, and there is an absent account whose suspension would show.
async fn world() -> World {
    let names: Vec<String> = (0..25).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tenant = people(&names);
    tenant.switches.page_rows_max = 10;
    tenant.mailboxes[3].display_name = "Renamed".into();
    let organisation = accounts(&names).with_user(account("leaver"));
    World::still(tenant, organisation).await
}

#[track_caller]
fn assert_failed(world: &World, report: &Report, error: &str) {
    assert_eq!(report.outcome, RunOutcome::Failed, "{}", shown(report));
    let text = report.error.as_deref().unwrap();
    assert!(text.contains(error) && text.contains("R1"), "{text}");
    assert_eq!(writes(world), [""; 0]);
    assert_eq!(report.actions, []);
}

#[tokio::test(start_paused = true)]
async fn r01_the_same_world_read_completely_does_change() {
    let world = world().await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users p3@ {name:{formatted:Renamed}} 200
    PUT Users leaver@ {active:false} 200
    ");
}

#[tokio::test(start_paused = true)]
async fn r01_every_way_in_which_the_mailbox_list_can_be_incomplete() {
    for paging in [Paging::RepeatedLink, Paging::Endless, Paging::DuplicatePage] {
        let world = world().await;
        world
            .sandbox
            .exchange
            .switch(|switches| switches.paging = paging);
        let report = world.apply().await;
        assert_failed(&world, &report, "source incomplete");
    }
    for fault in [
        faults::page_fails(404),
        faults::page_fails(400),
        faults::page_fails(500).times(9),
        faults::page_empty().times(9),
        faults::expired_page().times(9),
        Fault::once(FaultKind::TruncatedJson { full_length: false })
            .path("skiptoken")
            .times(9),
        Fault::once(FaultKind::TruncatedJson { full_length: true })
            .path("skiptoken")
            .times(9),
        Fault::once(FaultKind::HtmlError { status: 200 })
            .path("skiptoken")
            .times(9),
        Fault::once(FaultKind::ReplaceBody {
            status: 200,
            body: r#"{"value":null}"#.into(),
        })
        .path("skiptoken")
        .times(9),
        Fault::once(FaultKind::ReplaceBody {
            status: 200,
            body: r#"{"error":{"code":"x","message":"y"}}"#.into(),
        })
        .path("skiptoken")
        .times(9),
        Fault::once(FaultKind::ReplaceBody {
            status: 200,
            body: r#"{"value":[17]}"#.into(),
        })
        .path("skiptoken")
        .times(9),
        Fault::always(FaultKind::ResetAfter).path("Mailbox?"),
        Fault::always(FaultKind::HangBefore).path("Mailbox?"),
    ] {
        let world = world().await;
        world.sandbox.exchange.control().inject(fault.clone());
        let report = world.apply().await;
        assert_eq!(report.outcome, RunOutcome::Failed, "{fault:?}");
        assert_failed(&world, &report, "source incomplete");
    }
}

#[tokio::test(start_paused = true)]
async fn r01_a_link_to_another_host_is_not_followed() {
    let world = world().await;
    world
        .sandbox
        .exchange
        .switch(|switches| switches.link = Link::Foreign);
    let report = world.apply().await;
    assert_failed(&world, &report, "source incomplete");
}

#[tokio::test(start_paused = true)]
async fn r01_a_page_that_fails_in_passing_is_read_again() {
    for fault in [
        faults::page_fails(503),
        faults::expired_page(),
        faults::throttled(429, Some("3")),
        faults::throttled(429, Some("Mon, 23 Nov 2026 10:00:07 GMT")),
        Fault::once(FaultKind::TruncatedJson { full_length: true }).path("skiptoken"),
    ] {
        let world = world().await;
        world.sandbox.exchange.control().inject(fault);
        let report = world.apply().await;
        assert_converged(&report);
        assert_eq!(report.source.mailboxes, 25);
        assert!(!user(&world, "leaver").active);
        assert_eq!(user(&world, "p3").name, "Renamed");
    }
}

#[tokio::test(start_paused = true)]
async fn r01_no_synchronisable_mailbox_is_no_list() {
    for tenant in [
        tenant(),
        tenant().room("room@corp.example").discovery(),
        tenant().mailbox(Mailbox {
            missing: vec!["AccountDisabled".into()],
            ..Mailbox::user("ann@corp.example")
        }),
    ] {
        let world = World::still(tenant, accounts(&["ann", "ben"])).await;
        let report = world.apply().await;
        assert_failed(&world, &report, "source incomplete");
    }
}

#[tokio::test(start_paused = true)]
async fn r01_every_way_in_which_a_list_of_zivver_can_be_incomplete() {
    let spoilt: [fn(&mut zivver::Switches); 8] = [
        |it| it.total_results = TotalResults::Missing,
        |it| it.total_results = TotalResults::TooHighBy(1),
        |it| it.total_results = TotalResults::TooLowBy(1),
        |it| it.list_omits = 1,
        |it| it.list_repeats = 1,
        |it| it.list_count_max = Some(10),
        |it| {
            it.list_count_max = Some(10);
            it.paging = zivver::Paging::Refused;
        },
        |it| {
            it.list_count_max = Some(10);
            it.paging = zivver::Paging::PastEndRepeats;
            it.total_results = TotalResults::TooHighBy(1);
        },
    ];
    for spoil in spoilt {
        let world = world().await;
        world
            .sandbox
            .zivver
            .with_state(|organisation| spoil(&mut organisation.switches));
        let report = world.apply().await;
        assert_failed(&world, &report, "target incomplete");
    }
    for path in ["/Users", "/Groups"] {
        for kind in [
            FaultKind::Status {
                status: 500,
                headers: Vec::new(),
                body: String::new(),
            },
            FaultKind::HtmlError { status: 200 },
            FaultKind::EmptyOk,
            FaultKind::TruncatedJson { full_length: false },
            FaultKind::TruncatedJson { full_length: true },
            FaultKind::TrailingGarbage,
            FaultKind::HangAfter,
            FaultKind::ReplaceBody {
                status: 200,
                body: "[]".into(),
            },
            FaultKind::ReplaceBody {
                status: 200,
                body: r#"{"Resources":[],"totalResults":"x"}"#.into(),
            },
            FaultKind::ReplaceBody {
                status: 200,
                body: r#"{"totalResults":2}"#.into(),
            },
            FaultKind::ReplaceBody {
                status: 200,
                body: r#"{"Resources":[1,2,3,4,5],"totalResults":5}"#.into(),
            },
        ] {
            let world = world().await;
            let fault = Fault::always(kind).path(path);
            world.sandbox.zivver.control().inject(fault.clone());
            let report = world.apply().await;
            assert_eq!(report.outcome, RunOutcome::Failed, "{fault:?}");
            assert_failed(&world, &report, "target incomplete");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r01_pages_of_zivver_are_followed() {
    let world = world().await;
    world.sandbox.zivver.with_state(|organisation| {
        organisation.switches.list_count_max = Some(10);
        organisation.switches.paging = zivver::Paging::Honoured;
    });
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(report.target.users, 26);
    assert_eq!(write_count(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn r02_half_of_the_mailboxes_gone_holds_what_takes_away() {
    let names: Vec<String> = (0..30).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still_with(
        people(&names),
        accounts(&names),
        &[("MAX_SUSPEND", "100%"), ("MAX_STRAYS", "100%")],
    )
    .await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes.truncate(14);
        tenant.mailboxes[0].display_name = "New name".into();
    });
    let report = world.apply().await;
    assert_eq!(report.counts.held, 16);
    assert!(report.held[0].reason.contains("R2"));
    // Changes that take nothing away are made.
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users p0@ {name:{formatted:New name}} 200");
    // The baseline has not changed, so the next run holds the same.
    assert_eq!(world.apply().await.counts.held, 16);
    let code = report.held[0].code.clone();
    let approved = world.approve(&[&code]).await;
    assert_eq!(approved.counts.held, 0, "{}", shown(&approved));
    assert!(!user(&world, "p29").active);
}

#[tokio::test(start_paused = true)]
async fn r02_other_settings_hold_what_takes_away() {
    let tenant = people(&["ann", "ben", "cas", "leo"]);
    let world = World::still(tenant, accounts(&["ann", "ben", "cas", "leo"])).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        tenant.remove_mailbox("leo@corp.example");
    });
    let world = world
        .again_with(&[("CLAIMED_DOMAINS", "corp.example,more.example")])
        .await;
    forget(&world);
    let report = world.apply().await;
    assert!(report.held[0].reason.contains("CLAIMED_DOMAINS"));
    assert_eq!(writes(&world), [""; 0]);
}

/// Ann and Ben may open the desk; everything is in sync with Zivver.
async fn office() -> World {
    let tenant = people(&["ann", "ben", "cas"])
        .mailbox(Mailbox::user(&at("odd")).with_alias_address(&at("o")))
        .mailbox(
            Mailbox::shared(&at("desk"))
                .opened_by(&at("odd"))
                .opened_by(&at("cas")),
        )
        .mailbox(Mailbox::shared(&at("odddesk")).opened_by(&at("ann")));
    let world = World::still_with(tenant, organisation(), &[("MAX_SUSPEND", "100%")]).await;
    assert_converged(&world.apply().await);
    world
}

fn withdraw_all(tenant: &mut Tenant) {
    for mailbox in &mut tenant.mailboxes {
        mailbox.permissions.clear();
    }
}

/// Changes the row of this account.
fn make_odd(world: &World, local: &str, patch: &Value) {
    world.sandbox.zivver.with_state(|organisation| {
        let address = at(local);
        let user = organisation.user(&address).map(|user| user.id.clone());
        let group = organisation.group(&address).map(|group| group.id.clone());
        let id = user.or(group).unwrap();
        organisation.switches.odd_rows.insert(id, patch.clone());
    });
}

#[tokio::test(start_paused = true)]
async fn r01_one_odd_row_is_named_and_the_rest_is_done() {
    let world = World::still(people(&["ann", "ben"]), accounts(&["ann"])).await;
    world.sandbox.zivver.with_state(|organisation| {
        organisation.add_user(User {
            id: "77".into(),
            ..User::new("", "Row without userName")
        });
    });
    let report = world.apply().await;
    assert_eq!(
        report.outcome,
        RunOutcome::NeedsAttention,
        "{}",
        shown(&report)
    );
    assert_eq!(report.target.rejected, 1);
    user(&world, "ben");
    let note = report.skipped.iter().find(|note| note.address == "77");
    insta::assert_snapshot!(note.unwrap().text, @r#"cannot understand the user account with the id 77 and the name "Row without userName" in Zivver: missing field `userName`; it and what is tied to it stay as they are; correct it in the Zivver WebApp, or ask Zivver's support"#);
    assert_eq!(world.apply().await.actions, []);
}

#[tokio::test(start_paused = true)]
async fn r01_whatever_is_odd_about_a_row_protects_what_is_tied_to_it() {
    const ZIVVER_USER: &str = "urn:ietf:params:scim:schemas:zivver:0.1:User";
    const ZIVVER_GROUP: &str = "urn:ietf:params:scim:schemas:zivver:0.1:Group";
    for (local, patch) in [
        ("odd", json!({ "id": 12345 })),
        ("odd", json!({ "id": null })),
        ("odd", json!({ "id": "" })),
        ("odd", json!({ "userName": null })),
        ("odd", json!({ "userName": "" })),
        ("odd", json!({ "userName": 7 })),
        ("odd", json!({ "active": "perhaps" })),
        ("odd", json!({ "name": "Odd" })),
        ("odd", json!({ ZIVVER_USER: "none" })),
        ("odd", json!({ ZIVVER_USER: { "aliases": 7 } })),
        ("odd", json!({ ZIVVER_USER: { "delegates": [{}] } })),
        // What is always there is missing.
        ("odd", json!({ ZIVVER_USER: null })),
        ("odd", json!({ ZIVVER_USER: { "aliases": null } })),
        ("odd", json!({ ZIVVER_USER: { "delegates": null } })),
        ("odddesk", json!({ "id": 12345 })),
        ("odddesk", json!({ "externalId": null })),
        ("odddesk", json!({ "displayName": ["odd"] })),
        ("odddesk", json!({ "members": "nobody" })),
        ("odddesk", json!({ "members": [{ "value": 7 }] })),
        ("odddesk", json!({ ZIVVER_GROUP: { "aliases": [7] } })),
    ] {
        let world = office().await;
        make_odd(&world, local, &patch);
        world.sandbox.exchange.with_state(|tenant| {
            for mailbox in &mut tenant.mailboxes {
                mailbox.display_name = "New name".into();
            }
            tenant.mailbox_mut(&at("odd")).unwrap().account_disabled = Some(true);
            for mailbox in &mut tenant.mailboxes {
                mailbox.permissions.retain(|it| it.user != at("odd"));
            }
        });
        let before = zivver(&world);
        let of_odd = |text: &str| -> Vec<String> {
            let lines = text
                .lines()
                .filter(|line| line.starts_with(&format!("{local}@")));
            lines.map(str::to_owned).collect()
        };
        let report = world.apply().await;
        let told = format!("{local} {patch}: {}", shown(&report));
        assert_eq!(report.outcome, RunOutcome::NeedsAttention, "{told}");
        assert_eq!(of_odd(&zivver(&world)), of_odd(&before), "{told}");
        assert!(
            notes(&report, local).contains(&"AccountRejected".to_owned()),
            "{told}"
        );
        assert_eq!(user(&world, "ann").name, "New name", "{told}");
        assert_eq!(report.converged, Some(true), "{told}");
        forget(&world);
        world.apply().await;
        assert_eq!(writes(&world), [""; 0], "{told}");
        // The owner of the account is still known.
        world
            .sandbox
            .zivver
            .with_state(|organisation| organisation.switches.odd_rows.clear());
        assert_converged(&world.apply().await);
        match local {
            "odd" => assert!(!user(&world, "odd").active, "{told}"),
            _ => assert_eq!(group(&world, "odddesk").display_name, "New name"),
        }
    }
}

/// Its mapping ties it to its person, although the row shows neither the id nor a present address of it.
#[tokio::test(start_paused = true)]
async fn r01_r07_an_account_without_a_usable_id_gets_no_second_one() {
    for id in [json!(12345), json!(null), json!("")] {
        let world = office().await;
        make_odd(&world, "odd", &json!({ "id": id }));
        world.sandbox.exchange.with_state(|tenant| {
            readdress(tenant, "odd", "married", false);
            let mailbox = tenant.mailbox_mut(&at("married")).unwrap();
            mailbox
                .email_addresses
                .retain(|entry| entry.starts_with("SMTP:"));
        });
        forget(&world);
        let report = world.apply().await;
        assert_eq!(writes(&world), [""; 0], "{id}: {}", shown(&report));
        assert_eq!(notes(&report, "married"), ["AccountRejected"], "{id}");
        let organisation = &world.sandbox.zivver;
        organisation.with_state(|organisation| organisation.switches.odd_rows.clear());
        assert_converged(&world.apply().await);
        user(&world, "married");
    }
}

#[tokio::test(start_paused = true)]
async fn r01_a_rejected_account_stays_a_member_and_a_delegate() {
    let world = office()
        .await
        .again_with(&[("MAX_DELEGATE_REMOVALS", "100%")])
        .await;
    world.sandbox.exchange.with_state(|tenant| {
        *tenant = tenant
            .clone()
            .full_access(&at("ann"), &at("odd"))
            .full_access(&at("ann"), &at("cas"));
    });
    assert_converged(&world.apply().await);
    make_odd(&world, "odd", &json!({ "active": 5 }));
    world.sandbox.exchange.with_state(|tenant| {
        withdraw_all(tenant);
        *tenant = tenant.clone().full_access(&at("desk"), &at("ben"));
    });
    let odd = user(&world, "odd").id;
    let report = world.apply().await;
    let mut members = group(&world, "desk").members;
    members.sort();
    let mut expected = [odd.clone(), user(&world, "ben").id];
    expected.sort();
    assert_eq!(members, expected, "{}", shown(&report));
    assert_eq!(user(&world, "ann").delegates, [at("odd")]);
    // The others may be removed, and it is not emptied.
    world.sandbox.exchange.with_state(withdraw_all);
    let report = world.apply().await;
    assert_eq!(group(&world, "desk").members, [odd], "{}", shown(&report));
    assert_eq!(report.converged, Some(true));
}

#[tokio::test(start_paused = true)]
async fn r01_an_address_of_a_rejected_account_is_given_to_nobody() {
    let world = World::still(
        people(&["new"])
            .mailbox(Mailbox::user(&at("ann")).with_alias_address(&at("a")))
            .mailbox(Mailbox::user(&at("now")).with_alias_address(&at("old"))),
        accounts(&["ann"])
            .with_user(User::new(&at("new"), "new").alias(&at("a")))
            .with_user(User::new(&at("old"), "old")),
    )
    .await;
    make_odd(&world, "new", &json!({ "active": 5 }));
    make_odd(&world, "old", &json!({ "active": 5 }));
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
    assert_eq!(
        notes(&report, "new"),
        ["AccountRejected", "AccountRejected"]
    );
    assert_eq!(notes(&report, "now"), ["AccountRejected"]);
    assert_eq!(notes(&report, "ann"), ["AliasTaken"]);
    let told = world.explain(&at("new")).await;
    assert!(
        told.accounts[0].standing.contains("cannot be understood"),
        "{told:?}"
    );
    assert!(told.verdict.contains("(R1)"), "{}", told.verdict);
}

#[tokio::test(start_paused = true)]
async fn r01_too_many_odd_rows_are_no_list() {
    let world = world().await;
    for at in 0..5 {
        make_odd(&world, &format!("p{at}"), &json!({ "userName": null }));
    }
    let report = world.apply().await;
    assert_failed(
        &world,
        &report,
        "has 5 of 26 rows that cannot be understood",
    );
}

/// Limits how many accounts each list of Zivver shows.
fn lists_show(world: &World, most: Option<usize>) {
    world.sandbox.zivver.with_state(|organisation| {
        organisation.switches.lists_show_max = most;
    });
}

#[tokio::test(start_paused = true)]
async fn r02_lists_without_most_of_the_known_accounts_are_not_believed() {
    let names: Vec<String> = (0..30).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // The first run has nothing to compare with, so an empty organisation is accepted.
    let world = World::still(people(&names), organisation()).await;
    assert_converged(&world.apply().await);
    for most in [0, 14] {
        forget(&world);
        lists_show(&world, Some(most));
        let report = world.apply().await;
        assert_eq!(report.outcome, RunOutcome::Failed, "{}", shown(&report));
        let error = report.error.clone().unwrap();
        let expected = format!("target incomplete: Zivver lists {most} of the 30 accounts");
        assert!(
            error.starts_with(&expected) && error.contains("MIN_TARGET_RATIO"),
            "{error}"
        );
        assert_eq!(writes(&world), [""; 0]);
        let preview = world.preview().await;
        assert_eq!(preview.error, report.error, "a preview believes no more");
    }
    lists_show(&world, None);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r02_accounts_that_were_deleted_on_purpose_are_forgotten_once_a_person_says_so() {
    let names: Vec<String> = (0..10).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still(people(&names), accounts(&names)).await;
    assert_converged(&world.apply().await);
    // One by one, over time: each run knows what the previous one saw.
    for at in 0..3 {
        world.sandbox.zivver.with_state(|organisation| {
            organisation
                .users
                .retain(|user| user.user_name != self::at(&format!("p{at}")));
        });
        world
            .sandbox
            .exchange
            .with_state(|tenant| tenant.remove_mailbox(&self::at(&format!("p{at}"))));
        assert_converged(&world.apply().await);
    }
    world
        .sandbox
        .zivver
        .with_state(|organisation| organisation.users.truncate(2));
    world
        .sandbox
        .exchange
        .with_state(|tenant| tenant.mailboxes.truncate(2));
    assert_eq!(world.apply().await.outcome, RunOutcome::Failed);
    let world = world.again_with(&[("MIN_TARGET_RATIO", "0")]).await;
    let report = world.apply().await;
    assert_eq!(report.error, None, "{}", shown(&report));
    let world = world.again_with(&[("MIN_TARGET_RATIO", "0.5")]).await;
    assert_eq!(world.apply().await.error, None);
}

#[tokio::test(start_paused = true)]
async fn r02_a_verification_believes_no_more_than_a_run() {
    let world = world().await;
    // Only the lists of the verification are empty.
    for path in ["/Users", "/Groups"] {
        let empty = FaultKind::ReplaceBody {
            status: 200,
            body: r#"{"Resources":[],"totalResults":0}"#.into(),
        };
        let fault = Fault::always(empty).method("GET").path(path);
        world.sandbox.zivver.control().inject(fault.after(1));
    }
    let report = world.apply().await;
    assert_eq!(report.outcome, RunOutcome::Failed, "{}", shown(&report));
    assert!(
        report.error.clone().unwrap().contains("target incomplete"),
        "{}",
        shown(&report)
    );
    assert_ne!(report.converged, Some(true));
}

#[tokio::test(start_paused = true)]
async fn r04_a_display_name_that_exchange_does_not_send_changes_no_name() {
    let mut tenant = people(&["ann", "ben", "new"]);
    for mailbox in &mut tenant.mailboxes {
        mailbox.missing.push("DisplayName".into());
    }
    tenant.mailbox_mut(&at("ben")).unwrap().missing.clear();
    tenant.mailbox_mut(&at("ben")).unwrap().display_name = String::new();
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    let report = world.apply().await;
    assert_converged(&report);
    let names = ["ann", "ben", "new"].map(|local| user(&world, local).name);
    assert_eq!(names, ["ann".to_owned(), at("ben"), at("new")]);
    // The name that is known again is followed again.
    let back = |tenant: &mut Tenant| {
        let ann = tenant.mailbox_mut(&at("ann")).unwrap();
        ann.missing.clear();
        ann.display_name = "Ann".into();
    };
    world.sandbox.exchange.with_state(back);
    world.apply().await;
    assert_eq!(user(&world, "ann").name, "Ann");
}
