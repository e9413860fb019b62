//! Plots that are written by hand instead of drawn, each the smallest form of a fault that the program once had, with
//! the same oracle. They do not depend on the order of random choices.

use std::{collections::BTreeMap, time::Duration};

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        mode::{Mode, Trigger},
        plan::Attribute,
        report::Report,
    },
    engine::RunRequest,
    sandbox::{
        exchange::{Contact, Group as List, GroupKind, Mailbox, Tenant},
        zivver::{Group, Organisation, User},
    },
};
use futures::future::{FutureExt as _, LocalBoxFuture};

use super::{
    deaf::{Deaf, Deafness},
    network::Service,
    stage::Weather,
    story::{Outcome, Story, on_stage},
    time,
    truth::DOMAIN,
};

/// A plot: its name, the people, the settings, and the events.
pub(super) struct Scene {
    pub(super) name: &'static str,
    cast: fn() -> (Tenant, Organisation),
    settings: &'static [(&'static str, &'static str)],
    plot: for<'a> fn(&'a mut Story) -> LocalBoxFuture<'a, ()>,
}

/// Limits that hold nothing.
const FREE: [(&str, &str); 4] = [
    ("MAX_SUSPEND", "100%"),
    ("MAX_RENAMES", "100%"),
    ("MAX_CREATES", "100%"),
    ("MAX_SIGN_IN_KEY_CHANGES", "100%"),
];

pub(super) const SCENES: [Scene; 17] = [
    Scene {
        name: "held while the same run creates many accounts",
        cast: || shared(6, &[0, 1], &[0, 1, 2]),
        settings: &[
            ("MAX_DELEGATE_REMOVALS", "10%"),
            ("MAX_CREATES", "100%"),
            ("MAX_SIGN_IN_KEY_CHANGES", "100%"),
        ],
        plot: |story| held_while_many_come(story).boxed_local(),
    },
    Scene {
        name: "a list lags, and a leaver is made active by hand later",
        cast: || team(12),
        settings: &FREE,
        plot: |story| lagging(story).boxed_local(),
    },
    Scene {
        name: "a night in which Zivver answers 200 and stores nothing",
        cast: || team(12),
        settings: &FREE,
        plot: |story| deaf(story, Deaf::All, true).boxed_local(),
    },
    Scene {
        name: "a night in which Zivver does not store who is active, and shows it",
        cast: || team(12),
        settings: &FREE,
        plot: |story| deaf(story, Deaf::To(Attribute::Active), false).boxed_local(),
    },
    Scene {
        name: "an approved stray is held again for the members that it loses",
        cast: || handmade(6),
        settings: &[
            ("MAX_DELEGATE_REMOVALS", "2"),
            ("MAX_SIGN_IN_KEY_CHANGES", "100%"),
        ],
        plot: |story| approved_twice(story).boxed_local(),
    },
    Scene {
        name: "an approved empty is held again for the members that it loses",
        cast: || shared(9, &[0, 1, 2], &[0, 1, 2]),
        settings: &[
            ("MAX_DELEGATE_REMOVALS", "0"),
            ("MAX_SUSPEND", "0"),
            ("MAX_SIGN_IN_KEY_CHANGES", "100%"),
        ],
        plot: |story| approved_empty(story).boxed_local(),
    },
    Scene {
        name: "a colleague is renamed to a leaver's address",
        cast: || team(6),
        settings: &FREE,
        plot: |story| heir(story, to_colleague).boxed_local(),
    },
    Scene {
        name: "a leaver's address becomes an alias of a colleague",
        cast: || team(6),
        settings: &FREE,
        plot: |story| heir(story, to_alias).boxed_local(),
    },
    Scene {
        name: "a leaver's address becomes a list",
        cast: || team(6),
        settings: &FREE,
        plot: |story| heir(story, to_list).boxed_local(),
    },
    Scene {
        name: "a leaver's address becomes a mail user",
        cast: || team(6),
        settings: &FREE,
        plot: |story| heir(story, to_mail_user).boxed_local(),
    },
    Scene {
        name: "the address of a disabled leaver goes to a colleague",
        cast: || team(6),
        settings: &FREE,
        plot: |story| address_of_a_suspended(story).boxed_local(),
    },
    Scene {
        name: "people whose mailbox is elsewhere keep what Exchange grants",
        cast: hybrid,
        settings: &FREE,
        plot: |story| quiet(story).boxed_local(),
    },
    Scene {
        name: "people whose primary address is in a domain that is not claimed",
        cast: half_moved,
        settings: &FREE,
        plot: |story| quiet(story).boxed_local(),
    },
    Scene {
        name: "a person whose primary address is in a domain that is not claimed is suspended by hand",
        cast: half_moved_and_suspended,
        settings: &[
            ("MAX_DELEGATE_REMOVALS", "100%"),
            ("MAX_SUSPEND", "100%"),
            ("MAX_SIGN_IN_KEY_CHANGES", "100%"),
        ],
        plot: |story| quiet(story).boxed_local(),
    },
    Scene {
        name: "a preview for one account makes an app healthy that does not apply",
        cast: || team(3),
        settings: &FREE,
        plot: |story| preview_of_one(story).boxed_local(),
    },
    Scene {
        name: "a run fails after one whose clock was a day ahead",
        cast: || team(3),
        settings: &FREE,
        plot: |story| behind_a_clock(story).boxed_local(),
    },
    Scene {
        name: "a practice of ten loses all its delegations in a night",
        cast: || shared(10, &[0, 1, 2, 3], &[0, 1, 2, 3]),
        settings: &[("MAX_SIGN_IN_KEY_CHANGES", "100%")],
        plot: |story| all_grants_gone(story).boxed_local(),
    },
];

pub(super) fn show(scene: &Scene, traced: bool) -> Outcome {
    on_stage(async {
        let (tenant, organisation) = (scene.cast)();
        let settings = scene.settings.iter();
        let settings: BTreeMap<_, _> = settings
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let mut story = Story::open(1, tenant, organisation, settings, traced);
        story.tell();
        (scene.plot)(&mut story).await;
        story.end()
    })
}

fn at(local: &str) -> String {
    format!("{local}@{DOMAIN}")
}

fn person(n: usize) -> String {
    at(&format!("s{n:02}"))
}

/// An account as this program would have made it.
fn account(mailbox: &Mailbox) -> User {
    User::new(&mailbox.primary_smtp_address, &mailbox.display_name).key(&mailbox.edoid)
}

/// This number of people, each with an account.
fn team(size: usize) -> (Tenant, Organisation) {
    let (mut tenant, mut organisation) = (Tenant::new(DOMAIN), Organisation::new([DOMAIN]));
    for n in 0..size {
        let mailbox = Mailbox::user(&person(n));
        organisation.add_user(account(&mailbox));
        tenant.mailboxes.push(mailbox);
    }
    (tenant, organisation)
}

fn ids(organisation: &Organisation, people: &[usize]) -> Vec<String> {
    let users = people
        .iter()
        .map(|n| organisation.user(&person(*n)).unwrap());
    users.map(|user| user.id.clone()).collect()
}

/// The same, and a functional account without a mailbox.
fn handmade(size: usize) -> (Tenant, Organisation) {
    let (tenant, mut organisation) = team(size);
    let mut group = Group::new(&at("handmade"), "By Hand");
    group.members = ids(&organisation, &[0, 1, 2, 3]);
    organisation.add_group(group);
    (tenant, organisation)
}

/// The same, and four shared mailboxes with these grants and these members.
fn shared(size: usize, granted: &[usize], members: &[usize]) -> (Tenant, Organisation) {
    let (mut tenant, mut organisation) = team(size);
    for n in 0..4 {
        let address = at(&format!("b{n}"));
        let mut mailbox = Mailbox::shared(&address);
        for n in granted {
            mailbox = mailbox.opened_by(&person(*n));
        }
        let mut group = Group::new(&address, &mailbox.display_name);
        group.members = ids(&organisation, members);
        organisation.add_group(group);
        tenant.mailboxes.push(mailbox);
    }
    (tenant, organisation)
}

/// A mail user and a remote mailbox that may open shared mailboxes, one of them alone.
fn hybrid() -> (Tenant, Organisation) {
    let (mut tenant, mut organisation) = team(2);
    for (kind, local) in [("MailUser", "h0"), ("RemoteUserMailbox", "h1")] {
        let contact = Contact::of_kind(kind, &at(local));
        organisation.add_user(User::new(&at(local), &contact.display_name).key(&contact.edoid));
        tenant.contacts.push(contact);
    }
    for (local, people) in [
        ("desk", vec![person(0), at("h0"), at("h1")]),
        ("night", vec![at("h0")]),
    ] {
        let mut mailbox = Mailbox::shared(&at(local));
        let mut group = Group::new(&at(local), &mailbox.display_name);
        for address in people {
            group
                .members
                .push(organisation.user(&address).unwrap().id.clone());
            mailbox = mailbox.opened_by(&address);
        }
        organisation.add_group(group);
        tenant.mailboxes.push(mailbox);
    }
    (tenant, organisation)
}

/// A person whose mailbox has moved to another domain, but whose account has not.
fn half_moved() -> (Tenant, Organisation) {
    let (mut tenant, mut organisation) = shared(3, &[0, 1], &[0, 1]);
    let moved = &mut tenant.mailboxes[0];
    let new = "s00@tenant.test";
    new.clone_into(&mut moved.primary_smtp_address);
    moved.email_addresses = vec![format!("SMTP:{new}"), format!("smtp:{}", person(0))];
    organisation.claimed_domains = vec![DOMAIN.to_owned()];
    (tenant, organisation)
}

/// The same person, suspended by hand, who alone may open b0.
fn half_moved_and_suspended() -> (Tenant, Organisation) {
    let (mut tenant, mut organisation) = half_moved();
    let moved = ids(&organisation, &[0]);
    let desk = tenant.mailbox_mut(&at("b0")).unwrap();
    desk.permissions.retain(|it| it.user != person(1));
    for user in &mut organisation.users {
        user.active &= user.id != moved[0];
    }
    for group in &mut organisation.groups {
        if group.external_id == at("b0") {
            group.members.clone_from(&moved);
        }
    }
    (tenant, organisation)
}

fn nothing(_: &mut Organisation) {}

fn still(_: &mut Tenant) {}

fn leave(tenant: &mut Tenant, n: usize) {
    assert!(tenant.remove_mailbox(&person(n)));
}

async fn held_while_many_come(story: &mut Story) {
    let come = |tenant: &mut Tenant| {
        let mut crowd = Mailbox::shared(&at("crowd"));
        for n in 6..46 {
            tenant.mailboxes.push(Mailbox::user(&person(n)));
            crowd = crowd.opened_by(&person(n));
        }
        tenant.mailboxes.push(crowd);
        for n in 0..4 {
            tenant.grant(&at(&format!("b{n}")), &person(6), |_| ());
        }
    };
    story.people(
        "many come, and one may open what another may not",
        come,
        nothing,
    );
    story.apply().await;
    story.pass(25).await;
    story.apply().await;
    story.pass(1).await;
    story.apply_approved().await;
    story.pass(25).await;
    story.apply().await;
}

async fn lagging(story: &mut Story) {
    story.apply().await;
    story.pass(25).await;
    let gone = |tenant: &mut Tenant| (0..2).for_each(|n| leave(tenant, n));
    story.people("two leave", gone, nothing);
    story.weather_is(Weather::default(), Duration::from_secs(4));
    story.apply().await;
    story.weather_is(Weather::default(), Duration::ZERO);
    story.pass(25).await;
    story.apply().await;
    story.pass(25).await;
    let again = |organisation: &mut Organisation| {
        for user in &mut organisation.users {
            user.active = true;
        }
    };
    story.people("all are active again", still, again);
    story.apply().await;
    story.pass(25).await;
    story.apply().await;
}

async fn deaf(story: &mut Story, to: Deaf, lies: bool) {
    story.apply().await;
    story.pass(25).await;
    let change = |tenant: &mut Tenant| {
        leave(tenant, 0);
        "Somebody New".clone_into(&mut tenant.mailboxes[3].display_name);
    };
    story.people("one leaves, one has a new name", change, nothing);
    let weather = Weather {
        deaf: Some((1000, Deafness { to, lies })),
        ..Weather::default()
    };
    story.weather_is(weather, Duration::ZERO);
    story.apply().await;
    story.weather_is(Weather::default(), Duration::ZERO);
    for _ in 0..3 {
        story.pass(25).await;
        story.apply().await;
    }
}

async fn approved_twice(story: &mut Story) {
    story.apply().await;
    for _ in 0..2 {
        story.pass(1).await;
        story.apply_approved().await;
    }
    story.pass(25).await;
    story.apply().await;
}

async fn approved_empty(story: &mut Story) {
    story.apply().await;
    story.pass(25).await;
    let revoke = |tenant: &mut Tenant| {
        tenant.mailbox_mut(&at("b0")).unwrap().permissions.clear();
    };
    story.people("nobody may open b0 any more", revoke, nothing);
    story.apply().await;
    for _ in 0..2 {
        story.pass(1).await;
        story.apply_approved().await;
    }
    story.pass(25).await;
    story.apply().await;
}

fn to_colleague(tenant: &mut Tenant) {
    leave(tenant, 0);
    let heir = &mut tenant.mailboxes[0];
    heir.primary_smtp_address = person(0);
    heir.email_addresses = vec![format!("SMTP:{}", person(0)), format!("smtp:{}", person(1))];
}

fn to_alias(tenant: &mut Tenant) {
    leave(tenant, 0);
    let heir = &mut tenant.mailboxes[0];
    heir.email_addresses.push(format!("smtp:{}", person(0)));
}

fn to_list(tenant: &mut Tenant) {
    leave(tenant, 0);
    let kind = GroupKind::MailUniversalDistributionGroup;
    tenant.groups.push(List::of_kind(kind, "s00", DOMAIN));
}

fn to_mail_user(tenant: &mut Tenant) {
    leave(tenant, 0);
    let mut contact = Contact::of_kind("MailUser", &person(0));
    contact.edoid = Contact::of_kind("MailUser", &at("another")).edoid;
    tenant.contacts.push(contact);
}

async fn heir(story: &mut Story, inherit: fn(&mut Tenant)) {
    story.apply().await;
    story.pass(25).await;
    story.people(
        "one leaves, and the address goes to somebody",
        inherit,
        nothing,
    );
    for _ in 0..3 {
        story.apply().await;
        story.pass(25).await;
    }
}

async fn address_of_a_suspended(story: &mut Story) {
    story.apply().await;
    story.pass(25).await;
    let disable = |tenant: &mut Tenant| {
        let leaver = &mut tenant.mailboxes[0];
        leaver.account_disabled = Some(true);
        leaver.primary_smtp_address = at("zz.s00");
        leaver.email_addresses = vec![format!("SMTP:{}", at("zz.s00"))];
    };
    story.people("one is disabled and renamed", disable, nothing);
    story.apply().await;
    story.pass(25).await;
    let inherit = |tenant: &mut Tenant| {
        let heir = &mut tenant.mailboxes[1];
        heir.primary_smtp_address = person(0);
        heir.email_addresses = vec![format!("SMTP:{}", person(0))];
    };
    story.people("a colleague gets the address", inherit, nothing);
    for _ in 0..2 {
        story.apply().await;
        story.pass(25).await;
    }
    if !story.is_over() {
        story.calm().await;
    }
}

async fn quiet(story: &mut Story) {
    for _ in 0..2 {
        story.apply().await;
        story.pass(25).await;
    }
}

async fn preview_of_one(story: &mut Story) {
    story.apply().await;
    story.pass(30).await;
    let mut request = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    request
        .accounts
        .insert(SmtpAddress::parse(&person(1)).unwrap());
    story.run(request, Vec::new()).await;
    story.check_health().await;
}

async fn behind_a_clock(story: &mut Story) {
    story.apply().await;
    story.pass(20).await;
    time::set_wrong_by(0, 24 * 60 * 60 * 1000);
    story.apply().await;
    time::set_wrong_by(0, 0);
    story.pass(1).await;
    let now = time::elapsed();
    let weather = Weather {
        outage: Some((Service::Zivver, now, now + Duration::from_secs(3600))),
        ..Weather::default()
    };
    story.weather_is(weather, Duration::ZERO);
    let failed: Report = story.apply().await;
    assert!(failed.error.is_some());
    story.check_health().await;
}

async fn all_grants_gone(story: &mut Story) {
    story.apply().await;
    story.pass(25).await;
    let revoke = |tenant: &mut Tenant| {
        for mailbox in &mut tenant.mailboxes {
            mailbox.permissions.clear();
        }
    };
    story.people("nobody may open anything any more", revoke, nothing);
    story.apply().await;
}
