//! R30, and the number of requests of a run, with sizes at which reading twice or incompletely shows.

use std::time::Duration;

use cloud_sync::sandbox::{
    exchange::{Mailbox, Tenant},
    zivver::{LimiterConfig, Organisation, Paging},
};
use tokio::time::Instant;

use super::bench::*;
use crate::world::World;

fn named(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("p{number:04}")).collect()
}

fn crowd(names: &[String]) -> Tenant {
    let mut tenant = tenant();
    tenant.mailboxes = names.iter().map(|name| Mailbox::user(&at(name))).collect();
    tenant
}

fn crowd_accounts(names: &[String]) -> Organisation {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    accounts(&names)
}

#[tokio::test(start_paused = true)]
async fn r01_three_thousand_mailboxes_over_several_pages_are_read_completely() {
    let names = named(3000);
    let mut organisation = crowd_accounts(&names);
    organisation.switches.list_count_max = Some(500);
    organisation.switches.paging = Paging::Honoured;
    let world = World::still(crowd(&names), organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(report.source.mailboxes, 3000);
    assert_eq!(report.target.users, 3000);
    assert_eq!(report.actions, []);
    assert_eq!(write_count(&world), 0);
    let journal = world.sandbox.exchange.control().journal();
    let pages = journal
        .iter()
        .filter(|entry| !entry.path.contains("MailboxPermission"));
    assert_eq!(pages.count(), 3);
    assert_eq!(journal.len(), 3003);
}

#[tokio::test(start_paused = true)]
async fn r30_a_first_run_of_500_mailboxes_meets_no_429() {
    let names = named(500);
    let organisation = Organisation {
        limiter: LimiterConfig {
            window_millis: 1000,
            ..LimiterConfig::default()
        },
        ..organisation()
    };
    let world = World::still_with(crowd(&names), organisation, &[("ZIVVER_RATE", "50/1s")]).await;
    world
        .sandbox
        .zivver
        .control()
        .apply(&sandbox::control::ControlOptions {
            latency_millis: Some(30),
            jitter_millis: Some(20),
            ..Default::default()
        });
    let start = Instant::now();
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(world.sandbox.zivver.refused(), 0);
    assert_eq!(report.requests.zivver.throttled, 0);
    // 500 creates and two lists twice: 504 calls, 50 a second and a little margin.
    assert_eq!(report.requests.zivver.total, 504);
    assert!(
        start.elapsed() < Duration::from_secs(13),
        "{:?}",
        start.elapsed()
    );
    assert!(
        world
            .sandbox
            .zivver
            .control()
            .busiest_window(Duration::from_secs(1))
            <= 50
    );
}

#[tokio::test(start_paused = true)]
async fn r30_somebody_elses_share_is_left_to_them() {
    let names = named(200);
    let organisation = Organisation {
        limiter: LimiterConfig {
            taken_by_others: 30,
            ..LimiterConfig::default()
        },
        ..organisation()
    };
    let world = World::still_with(crowd(&names), organisation, &[("ZIVVER_RATE", "50/10s")]).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(world.sandbox.zivver.state().users.len(), 200);
    // The limit is learnt after the first refusals.
    assert!(
        world.sandbox.zivver.refused() < 60,
        "{}",
        world.sandbox.zivver.refused()
    );
}

#[tokio::test(start_paused = true)]
async fn r24_a_new_user_costs_one_write_and_with_an_alias_two() {
    let world = World::still(people(&["ann"]), organisation()).await;
    assert_converged(&world.apply().await);
    assert_eq!(write_count(&world), 1);
    let tenant = people(&["ann"]).mailbox(
        Mailbox::user(&at("ben"))
            .with_alias_address(&at("b"))
            .opened_by(&at("ann")),
    );
    let world = World::still(tenant, accounts(&["ann"])).await;
    assert_converged(&world.apply().await);
    assert_eq!(write_count(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn r38_a_run_without_changes_reads_two_lists_and_writes_nothing() {
    let (tenant, organisation) = sandbox::tenant::generate(4, 150);
    let world = World::still(tenant, organisation).await;
    world.apply().await;
    forget(&world);
    let report = world.apply().await;
    let journal = world.sandbox.zivver.control().journal();
    let paths: std::collections::BTreeSet<_> = journal
        .iter()
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    assert_eq!(journal.len(), 2, "{paths:?}");
    assert_eq!(
        paths.into_iter().collect::<Vec<_>>(),
        ["GET /api/scim/v2/Groups", "GET /api/scim/v2/Users"]
    );
    assert_eq!(report.requests.zivver.total, 2);
}

#[tokio::test(start_paused = true)]
async fn r09_exchange_is_asked_for_nothing_twice_and_nothing_else() {
    let mut tenant = people(&["ann", "ben"])
        .security_group("Team", &[&at("ann"), "Inner"])
        .security_group("Inner", &[&at("ben")])
        .mail_user("adviser@partner.example")
        .room(&at("room"));
    for number in 0..40 {
        let desk = Mailbox::shared(&at(&format!("desk{number}")))
            .opened_by("Team")
            .opened_by("adviser@partner.example")
            .opened_by("gone@corp.example");
        tenant = tenant.mailbox(desk);
    }
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    assert_converged(&world.apply().await);
    let journal = world.sandbox.exchange.control().journal();
    let mut kinds = std::collections::BTreeMap::new();
    for entry in &journal {
        let kind = if entry.path.contains("/MailboxPermission") {
            "permissions".to_owned()
        } else if entry.method == "GET" {
            "list page".to_owned()
        } else {
            let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
            body["CmdletInput"]["CmdletName"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        *kinds.entry(kind).or_insert(0) += 1;
    }
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    // A room is not synchronised, so its permissions are not read.
    insta::assert_snapshot!(kinds.join("\n"), @r"
    1 Get-DistributionGroup
    2 Get-DistributionGroupMember
    2 Get-Recipient
    1 list page
    42 permissions
    ");
}
