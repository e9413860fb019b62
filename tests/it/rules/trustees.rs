//! R4, R9, R10, R12: trustees of kinds that are not synchronised, dead entries, and addresses that were not read.

use cloud_sync::{
    domain::{mode::Mode, report::Report},
    sandbox::{
        exchange::{Mailbox, Tenant},
        zivver::{Organisation, User},
    },
};
use serde_json::json;

use super::bench::*;
use crate::world::World;

/// Accounts that nothing ties to a mailbox.
fn untied(names: &[&str]) -> Organisation {
    names.iter().fold(organisation(), |organisation, name| {
        organisation.with_user(User::new(&at(name), name))
    })
}

/// `desk` and `night` with these members.
fn with_desks(organisation: Organisation, desk_members: &[&str], night: &[&str]) -> Organisation {
    let ids = |names: &[&str]| -> Vec<String> {
        let users = organisation.users.iter();
        users
            .filter(|user| names.iter().any(|name| at(name) == user.user_name))
            .map(|user| user.id.clone())
            .collect()
    };
    let (first, second) = (ids(desk_members), ids(night));
    let mut desks = [desk("desk"), desk("night")];
    desks[0].members = first;
    desks[1].members = second;
    let [one, other] = desks;
    organisation.with_group(one).with_group(other)
}

fn texts(report: &Report, local: &str) -> String {
    let notes = report.skipped.iter();
    let notes = notes.filter(|note| note.address == at(local));
    let texts: Vec<String> = notes.map(|note| note.text.clone()).collect();
    texts.join("\n")
}

/// `desk` is open to ann, h0 and h1, `night` to h0 alone.
fn hybrid() -> Tenant {
    let mut tenant = people(&["ann"])
        .recipient("MailUser", &at("h0"))
        .recipient("RemoteUserMailbox", "h1@partner.example")
        .shared(&at("desk"))
        .shared(&at("night"))
        .full_access(&at("desk"), &at("ann"))
        .full_access(&at("desk"), &at("h0"))
        .full_access(&at("desk"), "h1@partner.example")
        .full_access(&at("night"), &at("h0"));
    tenant.contacts[1]
        .email_addresses
        .push(format!("smtp:{}", at("h1")));
    tenant
}

#[tokio::test(start_paused = true)]
async fn r12_people_with_an_on_premises_mailbox_keep_what_exchange_grants_them() {
    let organisation = untied(&["ann", "h0", "h1"]);
    let organisation = with_desks(organisation, &["ann", "h0", "h1"], &["h0"]);
    let world = World::still(hybrid(), organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(writes(&world), [""; 0]);
    assert_eq!(notes(&report, "desk"), ["DelegateKept", "DelegateKept"]);
    assert_eq!(notes(&report, "night"), ["DelegateKept"]);
    let explained = world.explain(&at("desk")).await;
    assert_eq!(
        explained.mailboxes[0].full_access.clone().unwrap().len(),
        3,
        "{explained:?}"
    );
    assert_eq!(explained.actions, []);
    let noted = explained.notes.iter();
    assert_eq!(
        noted
            .filter(|note| note.text.contains("neither added nor removed"))
            .count(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn r12_only_what_exchange_grants_is_kept() {
    // A person with a Deny, and one without a grant, is removed.
    let mut tenant = hybrid().security_group("Crew", &[&at("h0"), "h1@partner.example"]);
    tenant.grant(&at("desk"), "h1@partner.example", |entry| entry.deny = true);
    tenant
        .mailbox_mut(&at("night"))
        .unwrap()
        .permissions
        .clear();
    let tenant = tenant.full_access(&at("night"), "Crew");
    let organisation = untied(&["ann", "h0", "h1", "h2"]);
    let organisation = with_desks(organisation, &["ann", "h0", "h1"], &["h0", "h1", "h2"]);
    let tenant = tenant.recipient("MailUser", &at("h2"));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    let members = |local: &str| group(&world, local).members.len();
    assert_eq!((members("desk"), members("night")), (2, 2));
    assert_eq!(notes(&report, "desk"), ["TrusteeDenied", "DelegateKept"]);
    let explained = world.explain(&at("night")).await;
    let paths = explained.mailboxes[0].full_access.clone().unwrap();
    assert!(
        paths.iter().all(|path| path.ends_with(" via Crew")),
        "{paths:?}"
    );
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r12_r13_a_half_finished_domain_move_takes_nothing_from_anybody() {
    let outside = "jan@corp.onmicrosoft.example";
    let tenant = people(&["ann"])
        .mailbox(Mailbox::user(outside).with_alias_address(&at("jan")))
        .mailbox(Mailbox::of_kind("LinkedMailbox", &at("lin")))
        .shared(&at("desk"))
        .shared(&at("night"))
        .full_access(&at("desk"), outside)
        .full_access(&at("desk"), &at("ann"))
        .full_access(&at("desk"), &at("lin"))
        .full_access(&at("night"), outside);
    let organisation = untied(&["ann", "jan", "lin"]);
    let organisation = with_desks(organisation, &["ann", "jan", "lin"], &["jan"]);
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(writes(&world), [""; 0]);
    assert_eq!(notes(&report, "desk"), ["DelegateKept", "DelegateKept"]);
}

#[tokio::test(start_paused = true)]
async fn r10_a_group_of_a_kind_never_heard_of_takes_nothing_from_its_members() {
    for kind in ["FutureSecurityRing", "MailNonUniversalGroup"] {
        for trustee in ["ring", "Outer"] {
            let tenant = people(&["ann", "ben"])
                .group_called(kind, "ring", &[&at("ben")])
                .security_group("Outer", &["ring"])
                .shared(&at("desk"))
                .shared(&at("night"))
                .full_access(&at("desk"), &at("ann"))
                .full_access(&at("desk"), trustee);
            let organisation = with_desks(accounts(&["ann", "ben"]), &["ann", "ben"], &[]);
            let world = World::still(tenant, organisation).await;
            let report = world.apply().await;
            assert_eq!(writes(&world), [""; 0]);
            assert_eq!(notes(&report, "desk"), ["DelegationsUnknown"]);
            let text = texts(&report, "desk");
            assert!(text.contains(kind), "{text}");
            let remedy = match trustee {
                "ring" => "Remove-MailboxPermission",
                _ => "grant Full Access to its members directly",
            };
            let is_told = text.contains(remedy) || text.contains("Remove-MailboxPermission");
            assert!(is_told, "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r14_a_filter_group_of_a_kind_never_heard_of_keeps_its_members_in_scope() {
    let tenant = people(&["ann", "ben"])
        .recipient("RemoteUserMailbox", &at("h0"))
        .group_called("FutureSecurityRing", "ring", &[&at("ben"), &at("h0")])
        .security_group("Scope", &[&at("ann"), "ring"]);
    for filter in ["scope@corp.example", "ring@corp.example"] {
        let world = World::still_with(
            tenant.clone(),
            accounts(&["ann", "ben"]),
            &[("SOURCE_FILTER", filter)],
        )
        .await;
        let report = world.preview().await;
        assert_eq!(report.error, None);
        let expected = if filter.starts_with("scope") { 2 } else { 1 };
        assert_eq!(report.source.in_scope, expected, "{filter}");
    }
}

#[tokio::test(start_paused = true)]
async fn r4_addresses_that_were_not_read_change_no_alias() {
    for listed in [
        json!([]),
        json!(null),
        json!(["smtp:a2@corp.example"]),
        json!(["SMTP:other@corp.example", "smtp:ann@corp.example"]),
    ] {
        let ann = Mailbox::user(&at("ann")).with_alias_address(&at("a2"));
        let mut organisation = accounts(&["ann", "ben"]);
        organisation.users[0].aliases = vec![at("a2"), at("a3")];
        let world = World::still(people(&["ben"]).mailbox(ann), organisation).await;
        world.sandbox.exchange.with_state(|tenant| {
            let ann = tenant.mailbox_mut(&at("ann")).unwrap();
            ann.overrides
                .insert("EmailAddresses".into(), listed.clone());
        });
        let report = world.apply().await;
        assert_eq!(writes(&world), [""; 0], "{listed}");
        assert_eq!(notes(&report, "ann"), ["AliasesUnknown"], "{listed}");
        // After they are read again, they count.
        world.sandbox.exchange.with_state(|tenant| {
            tenant.mailbox_mut(&at("ann")).unwrap().overrides.clear();
        });
        assert_converged(&world.apply().await);
        assert_eq!(user(&world, "ann").aliases, [at("a2")]);
    }
}

#[tokio::test(start_paused = true)]
async fn r9_a_dead_entry_freezes_nothing_and_names_the_command() {
    let dead = [
        "EURPR04A001\\jjansen123",
        "CORP\\ben",
        "Everyone",
        "Anonymous",
        "NT User:S-1-5-21-1-2-3-4",
    ];
    let mut tenant = people(&["ann", "ben"])
        .shared(&at("desk"))
        .shared(&at("night"))
        .full_access(&at("desk"), &at("ann"));
    for user in dead {
        tenant = tenant.full_access(&at("desk"), user);
    }
    let organisation = with_desks(accounts(&["ann", "ben"]), &["ann", "ben"], &[]);
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(group(&world, "desk").members.len(), 1);
    let text = texts(&report, "desk");
    for user in dead {
        let command = format!(
            "Remove-MailboxPermission -Identity 'desk@corp.example' -User '{user}' -AccessRights FullAccess"
        );
        assert!(text.contains(&command), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn r9_a_group_called_like_the_mailbox_itself_is_that_group() {
    let tenant = people(&["ann"])
        .security_group(&at("desk"), &[&at("ann")])
        .mailbox(Mailbox::shared(&at("desk")).opened_by(&at("desk")))
        .shared(&at("night"));
    let world = World::still(tenant, with_desks(accounts(&["ann"]), &["ann"], &[])).await;
    let report = world.scoped(Mode::Apply, &[&at("desk")]).await;
    assert_converged(&report);
    assert_eq!(writes(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn r9_a_name_that_another_mailbox_shows_is_not_decided_here() {
    let tenant = people(&["ann"])
        .mailbox(
            Mailbox::user(&at("ben"))
                .with_name("Sales")
                .with_display_name("Ben"),
        )
        .mailbox(Mailbox::user(&at("cas")).with_display_name("Sales"))
        .mailbox(Mailbox::shared(&at("desk")).opened_by("Sales"))
        .shared(&at("night"));
    let mut organisation = accounts(&["ann", "ben", "cas"]);
    organisation.users[1].name = "Ben".into();
    organisation.users[2].name = "Sales".into();
    let world = World::still(tenant, with_desks(organisation, &["ann"], &[])).await;
    let asked = |world: &World| {
        let journal = world.sandbox.exchange.control().journal();
        let asked = journal.iter();
        asked
            .filter(|entry| entry.body.contains("Get-Recipient"))
            .count()
    };
    // This service knows one object with that name.
    assert_converged(&world.apply().await);
    assert_eq!(asked(&world), 1);
    assert_eq!(
        group(&world, "desk").members,
        [user(&world, "ben").id.clone()]
    );
}
