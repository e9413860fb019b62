//! R33 over several nights.

use cloud_sync::{
    cli,
    domain::{note::Code, report::RunOutcome},
    sandbox::{
        exchange::{Mailbox, Tenant},
        zivver::{Organisation, User},
    },
};

use super::nights::Nights;

async fn with_a_guest_alias() -> Nights {
    let anna = Mailbox::user("anna@corp.example")
        .with_display_name("Anna")
        .with_alias_address("guest@corp.example");
    let tenant = Tenant::new("corp.example").mailbox(anna);
    let mut organisation = Organisation::new(["corp.example"])
        .with_user(User::new("anna@corp.example", "Anna").key("k"));
    organisation.guests.push("guest@corp.example".into());
    Nights::begin(tenant, organisation).await
}

#[tokio::test]
async fn r33_a_refused_alias_is_not_tried_every_night() {
    let mut nights = with_a_guest_alias().await;
    let mut tried = Vec::new();
    for night in 0..10 {
        let report = nights.night().await;
        assert_eq!(report.outcome, RunOutcome::NeedsAttention, "night {night}");
        if !nights.writes().is_empty() {
            tried.push(night);
        }
        nights.pass_hours(24);
    }
    assert_eq!(tried, [0, 1, 2, 3, 5, 9]);
}

#[tokio::test]
async fn r33_the_rest_of_the_account_goes_on_and_success_clears() {
    let mut nights = with_a_guest_alias().await;
    for _ in 0..3 {
        nights.night().await;
    }
    nights.writes();
    let report = nights.night().await;
    assert_eq!(nights.writes(), [""; 0]);
    // R36: a change that was not tried is not a difference. The report says that it waits.
    assert_eq!(
        (report.converged, report.differences.len()),
        (Some(false), 0)
    );
    let page = cli::terminal(&report);
    let waits = "1 change waits after three refusals (R33).";
    assert!(page.contains(waits), "{page}");
    let note = report
        .skipped
        .iter()
        .find(|note| note.code == Code::RepeatOffender)
        .unwrap();
    assert_eq!(note.address, "anna@corp.example");
    assert!(
        note.text
            .starts_with("the alias guest@corp.example was refused the same way in 3 runs"),
        "{}",
        note.text
    );

    nights.sandbox.exchange.with_state(|tenant| {
        let anna = tenant.mailbox_mut("anna@corp.example").unwrap();
        anna.display_name = "Anna Berg".into();
        anna.email_addresses.push("smtp:berg@corp.example".into());
    });
    nights.night().await;
    let anna = nights.user("anna@corp.example");
    assert_eq!(
        (anna.name.as_str(), anna.aliases),
        ("Anna Berg", vec!["berg@corp.example".to_owned()])
    );
    assert_eq!(nights.writes().len(), 1);

    nights
        .sandbox
        .zivver
        .with_state(|organisation| organisation.guests.clear());
    nights.pass_hours(24);
    let report = nights.night().await;
    assert_eq!(report.outcome, RunOutcome::InSync, "{report:#?}");
    assert_eq!(nights.user("anna@corp.example").aliases.len(), 2);
}

#[tokio::test]
async fn r26_a_clock_that_was_ahead_and_is_set_back_has_forgotten_nothing() {
    let names = ["anna", "bert", "carl", "dora"];
    let (mut tenant, mut organisation) = (
        Tenant::new("corp.example"),
        Organisation::new(["corp.example"]),
    );
    for name in names {
        let address = format!("{name}@corp.example");
        let mailbox = Mailbox::user(&address).with_display_name(name);
        organisation.add_user(User::new(&address, name).key(&mailbox.edoid));
        tenant = tenant.mailbox(mailbox);
    }
    let mut nights = Nights::begin(tenant, organisation).await;
    nights.set("MAX_SUSPEND", "1");
    nights.night().await;
    let change = |name: &str, change: fn(&mut Mailbox)| {
        nights.sandbox.exchange.with_state(|tenant| {
            change(tenant.mailbox_mut(&format!("{name}@corp.example")).unwrap());
        });
    };
    change("anna", |mailbox| mailbox.account_disabled = Some(true));
    nights.night().await;
    assert!(!nights.user("anna@corp.example").active);
    change("bert", |mailbox| mailbox.display_name = "Bert".into());
    let mut ahead = nights;
    ahead.pass_hours(96);
    ahead.night().await;
    assert_eq!(ahead.user("bert@corp.example").name, "Bert");
    ahead.pass_hours(-96);
    ahead.sandbox.exchange.with_state(|tenant| {
        let carl = tenant.mailbox_mut("carl@corp.example").unwrap();
        carl.account_disabled = Some(true);
    });
    let report = ahead.night().await;
    assert_eq!(report.counts.held, 1, "{report:#?}");
    assert!(ahead.user("carl@corp.example").active);
}
