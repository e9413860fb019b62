//! R1, R2: complete or not at all.

use cloud_sync::{
    domain::report::{Report, RunOutcome},
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{Link, Mailbox, Paging, faults},
        zivver::{self, TotalResults},
    },
};

use super::bench::*;
use crate::world::World;

/// 25 people over several pages in step with Zivver but for one, and an absent account whose suspension would show.
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
                body: r#"{"Resources":[{"userName":"ann@corp.example"}],"totalResults":1}"#.into(),
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
    // What takes nothing away goes on.
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users p0@ {name:{formatted:New name}} 200");
    // The baseline has not moved: the next run holds the same.
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
