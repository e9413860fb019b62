//! R3-R7: which mailboxes are understood, and which are protected.

use cloud_sync::sandbox::{
    exchange::Mailbox,
    zivver::{Group, User},
};
use serde_json::json;

use super::bench::*;
use crate::world::World;

#[tokio::test(start_paused = true)]
async fn r03_other_kinds_are_protected_whatever_their_account_looks_like() {
    let kinds = [
        "RoomMailbox",
        "EquipmentMailbox",
        "SchedulingMailbox",
        "TeamMailbox",
        "LinkedMailbox",
        "NeverHeardOf",
    ];
    let mut tenant = people(&["ann"]).discovery();
    let mut organisation = accounts(&["ann"]);
    for kind in kinds {
        let address = at(&kind.to_lowercase());
        tenant = tenant.mailbox(Mailbox::of_kind(kind, &address).disabled());
        organisation.add_user(User::new(&address, "Somebody").alias(&at(&format!("x.{kind}"))));
    }
    let member = organisation.users[0].id.clone();
    tenant = tenant.room(&at("room"));
    organisation.add_group(Group::new(&at("room"), "Room desk").member(&member));
    let world = World::still(tenant, organisation).await;
    let before = zivver(&world);
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0]);
    assert_eq!(zivver(&world), before);
    for kind in kinds {
        assert!(
            notes(&report, &kind.to_lowercase()).contains(&"KindNotSynchronised".to_owned()),
            "{}",
            shown(&report)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r04_addresses_and_names_as_people_write_them() {
    let long = format!("{}@corp.example", "l".repeat(180));
    let tenant = tenant()
        .mailbox(Mailbox {
            primary_smtp_address: " Ann@Corp.Example ".into(),
            email_addresses: [
                "SMTP:Ann@Corp.Example",
                "smtp:Ann.O'Hara+tag@corp.example",
                "SmTp:BARE2@corp.example",
                "bare@corp.example",
                "smtp:bare@CORP.example",
                "SIP:ann@corp.example",
                "X500:/o=Example/cn=ann",
                "SPO:SPO_1@SPO_2",
                "EUM:4711;phone-context=plan",
                "smtp:broken",
                "smtp:jörg@corp.example",
                &format!("smtp:{}", at(&"k".repeat(180))),
            ]
            .map(str::to_owned)
            .to_vec(),
            ..Mailbox::user("ann@corp.example").with_display_name("  Ann\u{a0}Ö'Hara 🎻 ")
        })
        .mailbox(Mailbox::user("o'brien+x@corp.example").with_display_name("   "))
        .mailbox(Mailbox::user(&long).with_display_name(&"N".repeat(500)));
    let world = World::still(tenant, organisation()).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(notes(&report, "ann"), ["AliasMalformed"]);
    let state = zivver(&world)
        .replace(&"l".repeat(180), "LONG")
        .replace(&"k".repeat(180), "KONG");
    insta::assert_snapshot!(state.replace(&"N".repeat(500), "LONGNAME"), @r#"
    ann@ "Ann\u{a0}Ö'Hara 🎻" key=id of  Ann@Corp.Example  ext=none aliases=[ann.o'hara+tag@ bare2@ bare@ jörg@ KONG@]
    LONG@ "LONGNAME" key=id of LONG@ ext=none
    o'brien+x@ "o'brien+x@" key=id of o'brien+x@ ext=none
    "#);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r05_a_rejected_mailbox_is_not_absent() {
    let rejected = |local: &str, change: fn(&mut Mailbox)| {
        let mut mailbox = Mailbox::user(&at(local));
        change(&mut mailbox);
        mailbox
    };
    let tenant = people(&["ann", "ben"])
        .mailbox(rejected("r1", |it| {
            it.missing.push("AccountDisabled".into());
        }))
        .mailbox(rejected("r2", |it| {
            it.overrides.insert("PrimarySmtpAddress".into(), json!(""));
        }))
        .mailbox(rejected("r3", |it| {
            it.overrides.insert("EmailAddresses".into(), json!(7));
        }))
        .mailbox(rejected("r4", |it| {
            it.overrides
                .insert("RecipientTypeDetails".into(), json!([1]));
        }))
        .mailbox(rejected("r5", |it| {
            it.overrides
                .insert("AccountDisabled".into(), json!("perhaps"));
        }))
        .mailbox(rejected("r6", |it| {
            it.overrides
                .insert("PrimarySmtpAddress".into(), json!("r6@localhost"));
        }))
        .full_access(&at("ann"), &at("r1"))
        .full_access(&at("ann"), &at("ben"));
    let mut organisation = accounts(&["ann", "ben"]);
    for local in ["r1", "r2", "r3", "r4", "r5", "r6"] {
        // Known under another address, by its object id.
        let address = if local == "r6" { "r6.old" } else { local };
        organisation.add_user(User {
            user_name: at(address),
            aliases: vec![at(&format!("{local}.alias"))],
            ..account(local)
        });
    }
    // R7: keeps exactly the delegations that Zivver has.
    organisation.users[0].delegates = vec![at("r5")];
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_eq!(report.source.rejected, 6);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users ann@ {zivver:{ExternalAccountId:id of ann@,SsoAccountKey:id of ann@,aliases:[],delegates:[ben@,r5@]}} 200");
    assert_eq!(user(&world, "ann").delegates.len(), 2);
    for local in ["r1", "r2", "r3", "r4", "r5", "r6.old"] {
        assert!(user(&world, local).active, "{local}");
    }
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r07_protection_covers_every_tie() {
    // The room was a person before. Zivver knows the account by id, by mapping, or by an alias.
    let world = World::still(
        people(&["ann", "one", "two"]),
        accounts(&["ann", "one"]).with_user(User {
            external_account_id: None,
            ..account("two")
        }),
    )
    .await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        for (local, renamed) in [("one", "one.room"), ("two", "two.room")] {
            let mailbox = tenant.mailbox_mut(&at(local)).unwrap();
            mailbox.recipient_type_details = "RoomMailbox".into();
            mailbox.primary_smtp_address = at(renamed);
            mailbox.email_addresses = vec![format!("SMTP:{}", at(renamed))];
            mailbox.user_principal_name = at(renamed);
        }
    });
    forget(&world);
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
    assert!(user(&world, "one").active && user(&world, "two").active);
}

#[tokio::test(start_paused = true)]
async fn r04_aliases_that_were_not_read_stay_until_they_are_read_again() {
    let ann = Mailbox::user(&at("ann")).with_alias_address(&at("a2"));
    let mut organisation = accounts(&["ann", "ben"]);
    organisation.users[0].aliases = vec![at("a2"), at("a3")];
    let world = World::still(people(&["ben"]).mailbox(ann), organisation).await;
    let show = |addresses: Option<serde_json::Value>| {
        world.sandbox.exchange.with_state(|tenant| {
            let shown = &mut tenant.mailbox_mut(&at("ann")).unwrap().overrides;
            shown.clear();
            shown.extend(addresses.map(|value| ("EmailAddresses".into(), value)));
        });
    };
    show(Some(json!([])));
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0]);
    assert_eq!(notes(&report, "ann"), ["AliasesUnknown"]);

    show(None);
    assert_converged(&world.apply().await);
    assert_eq!(user(&world, "ann").aliases, [at("a2")]);
}
