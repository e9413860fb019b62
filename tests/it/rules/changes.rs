//! R19-R25: which changes are made, in which requests.

use cloud_sync::{
    domain::{
        guard::Class,
        mode::{Mode, Trigger},
    },
    engine::RunRequest,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{Contact, Mailbox, faults},
        zivver::{Group, User},
    },
    state::RunId,
};

use super::{bench::*, company::code};
use crate::world::World;

#[tokio::test(start_paused = true)]
async fn r19_create_update_suspend_resume_empty() {
    let tenant = tenant()
        .mailbox(Mailbox::user(&at("same")))
        .mailbox(Mailbox::user(&at("name")).with_display_name("New name"))
        .mailbox(Mailbox::user(&at("off")).disabled())
        .mailbox(Mailbox::user(&at("back")))
        .mailbox(Mailbox::user(&at("fresh")))
        .shared(&at("desk"))
        .shared(&at("newdesk"))
        .full_access(&at("newdesk"), &at("same"))
        .full_access(&at("newdesk"), &at("fresh"));
    let mut back = account("back");
    back.active = false;
    let organisation = accounts(&["same", "name", "off"]).with_user(back);
    let same = organisation.users[0].id.clone();
    let organisation = organisation.with_group(desk("desk").member(&same).alias(&at("desk.alias")));
    let world = World::still(tenant, organisation).await;
    world.sandbox.exchange.with_state(|tenant| {
        let desk = tenant.mailbox_mut(&at("desk")).unwrap();
        *desk = desk.clone().with_alias_address(&at("desk.alias"));
    });
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(shown(&report), @r"
    InSync, converged
    Resume back@; Active -no +yes
    Empty desk@; Active -yes +no; Delegates -same@
    Create fresh@; Name +fresh
    Update name@; Name -name +New name
    Create newdesk@; Name +newdesk; Delegates +fresh@ +same@
    Suspend off@; Active -yes +no
    ");
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    POST Users  {active:true,name:{formatted:fresh},zivver:{SsoAccountKey:id of fresh@},userName:fresh@} 201
    PUT Users back@ {active:true} 200
    PUT Users name@ {name:{formatted:New name}} 200
    POST Groups  {displayName:newdesk,externalId:newdesk@,members:[{value:same@},{value:fresh@}]} 201
    PATCH Groups desk@ {Operations:[{op:remove,path:members}]} 200
    PUT Users off@ {active:false} 200
    ");
    insta::assert_snapshot!(zivver(&world), @r#"
    back@ "back" key=id of back@ ext=id of back@
    desk@ "desk" functional ext=id of desk@ aliases=[desk.alias@]
    fresh@ "fresh" key=id of fresh@ ext=none
    name@ "New name" key=id of name@ ext=id of name@
    newdesk@ "newdesk" functional ext=none members=[fresh@ same@]
    off@ "off" suspended key=id of off@ ext=id of off@
    same@ "same" key=id of same@ ext=id of same@
    "#);
    assert_stable(&world).await;
}

/// A run with an account without mailbox, which was matched before if `matched`.
async fn absent(
    matched: bool,
    contact: Option<Contact>,
    fault: Option<Fault>,
) -> (World, domain::report::Report) {
    let names = ["ann", "ben", "cas", "dan"];
    let mut organisation = accounts(&names);
    organisation.add_user(User::new(&at("leaver"), "leaver"));
    let tenant = if matched {
        people(&names).user(&at("leaver"))
    } else {
        people(&names)
    };
    let world = World::still(tenant, organisation).await;
    if matched {
        assert_converged(&world.apply().await);
        world.sandbox.exchange.with_state(|tenant| {
            assert!(tenant.remove_mailbox(&at("leaver")));
        });
    }
    world
        .sandbox
        .exchange
        .with_state(|tenant| tenant.contacts.extend(contact));
    if let Some(fault) = fault {
        world.sandbox.exchange.control().inject(fault);
    }
    forget(&world);
    let report = world.apply().await;
    assert_eq!(report.error, None);
    (world, report)
}

#[tokio::test(start_paused = true)]
async fn r19_an_absent_account_is_suspended_after_a_clean_not_found() {
    let (world, report) = absent(true, None, None).await;
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users leaver@ {active:false} 200");
    assert_converged(&report);
    // Both the address and the object id were asked for.
    let journal = world.sandbox.exchange.control().journal();
    for text in [at("leaver"), id("leaver")] {
        let asked = |entry: &&sandbox::control::Entry| {
            entry.body.contains("Get-Recipient") && entry.body.contains(&text)
        };
        assert_eq!(journal.iter().filter(asked).count(), 1, "{text}");
    }
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r19_a_stray_is_held_until_approved() {
    let (world, report) = absent(false, None, None).await;
    assert_eq!(writes(&world), [""; 0]);
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    held Stray: suspend leaver@ "active" -> "suspended"
    "#);
    let report = world.approve(&[&report.held[0].code]).await;
    assert_converged(&report);
    assert!(!user(&world, "leaver").active);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r19_a_recipient_of_any_kind_protects() {
    for kind in ["MailUser", "MailContact", "GuestMailUser"] {
        for matched in [true, false] {
            let contact = Contact::of_kind(kind, &at("leaver"));
            let (world, report) = absent(matched, Some(contact), None).await;
            assert_eq!(writes(&world), [""; 0], "{kind}");
            // A recipient that no object id ties to the account may be another person.
            let code = if matched {
                "RecipientExists"
            } else {
                "OwnerUnknown"
            };
            assert_eq!(notes(&report, "leaver"), [code], "{kind}");
            assert_eq!(report.needs_attention(), !matched);
            assert_eq!(report.held, []);
        }
    }
    // Found only by its object id, under another address.
    let mut contact = Contact::of_kind("MailUser", &at("elsewhere"));
    contact.edoid = id("leaver");
    let (world, report) = absent(true, Some(contact), None).await;
    assert_eq!(writes(&world), [""; 0]);
    assert_eq!(notes(&report, "leaver"), ["RecipientExists"]);
}

#[tokio::test(start_paused = true)]
async fn r19_a_failed_question_keeps_the_account() {
    for fault in [
        Fault::always(FaultKind::HtmlError { status: 503 }),
        Fault::always(FaultKind::Status {
            status: 403,
            headers: Vec::new(),
            body: "\0\0".into(),
        }),
        Fault::always(FaultKind::EmptyOk),
        Fault::always(FaultKind::TruncatedJson { full_length: true }),
        faults::transient(400).times(99),
        Fault::always(FaultKind::ReplaceBody {
            status: 200,
            body: "{}".into(),
        }),
    ] {
        let (world, report) = absent(true, None, Some(fault.clone().body("Get-Recipient"))).await;
        assert_eq!(writes(&world), [""; 0], "{fault:?}");
        assert_eq!(notes(&report, "leaver"), ["AbsenceUnknown"], "{fault:?}");
        assert!(report.needs_attention());
    }
}

#[tokio::test(start_paused = true)]
async fn r19_an_absent_functional_account_is_emptied() {
    let organisation = accounts(&["ann", "ben"]);
    let ann = organisation.users[0].id.clone();
    let organisation = organisation.with_group(desk("desk").member(&ann).alias(&at("desk.alias")));
    let tenant = people(&["ann", "ben"]).shared(&at("other"));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PATCH Groups desk@ {Operations:[{op:remove,path:members}]} 200");
    assert_eq!(group(&world, "desk").aliases, [at("desk.alias")]);
    // A PATCH has the media type that Zivver requires.
    let journal = world.sandbox.zivver.control().journal();
    let patch = journal
        .iter()
        .find(|entry| entry.method == "PATCH")
        .unwrap();
    assert_eq!(patch.headers["content-type"], "application/scim+json");
    assert_eq!(patch.headers["accept"], "application/scim+json");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r19_a_merge_candidate_is_reported_and_suspended_only_when_its_own_id_is_gone() {
    let tenant = people(&["ann", "ben", "cas", "dan"]).mailbox(
        Mailbox::user(&at("eve"))
            .with_alias_address(&at("merged"))
            .with_alias_address(&at("known")),
    );
    let organisation = accounts(&["ann", "ben", "cas", "dan", "eve"])
        .with_user(User::new(&at("merged"), "Merged"))
        .with_user(account("known"));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    insta::assert_snapshot!(shown(&report), @r"
    NeedsAttention, converged
    Update eve@; SignInKey -unknown +7dfbab40-8440-4a5c-884a-e78161bececf; Aliases +known@
    Suspend known@; Address -known@ +cloud-sync-65b7733901c7@; Active -yes +no
    R23 AliasTaken: eve@
    R19 MergeCandidate: merged@
    ");
    assert!(user(&world, "merged").active);
    assert!(!user(&world, "cloud-sync-65b7733901c7").active);
}

#[tokio::test(start_paused = true)]
async fn r21_what_is_inactive_and_unknown_is_not_created() {
    let tenant = people(&["ann"])
        .mailbox(Mailbox::user(&at("off")).disabled())
        .shared(&at("desk"));
    let world = World::still(tenant, accounts(&["ann"])).await;
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0]);
    assert_eq!(notes(&report, "off"), ["InactiveNotCreated"]);
    assert_eq!(notes(&report, "desk"), ["InactiveNotCreated"]);
}

#[tokio::test(start_paused = true)]
async fn r22_no_write_for_letter_case_and_order() {
    let tenant = tenant()
        .mailbox(
            Mailbox::user("Ann@Corp.Example")
                .with_display_name(" Ann ")
                .with_alias_address("B@corp.example")
                .with_alias_address("A@corp.example")
                .opened_by("BEN@corp.example"),
        )
        .user(&at("ben"))
        .shared("Desk@corp.example")
        .full_access("Desk@corp.example", &at("ben"));
    let mut ann = account("ann")
        .alias("a@CORP.example")
        .alias("b@corp.example");
    ann.user_name = "ANN@corp.example".into();
    ann.name = "Ann".into();
    ann.delegates = vec!["Ben@corp.example".into()];
    let organisation = accounts(&["ben"]).with_user(ann);
    let ben = organisation.users[0].id.clone();
    let mut desk = Group::new("dESK@corp.example", "Desk").member(&ben);
    desk.external_account_id = Some(id("desk").to_uppercase());
    let world = World::still(tenant, organisation.with_group(desk)).await;
    let report = world.apply().await;
    assert_eq!(
        writes(&world),
        ["PUT Groups dESK@ {displayName:Desk}"; 0],
        "{}",
        shown(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn r22_members_that_are_no_users_of_ours() {
    let tenant = people(&["ann", "ben"])
        .shared(&at("desk"))
        .shared(&at("own"))
        .full_access(&at("desk"), &at("ann"))
        .full_access(&at("desk"), &at("ben"));
    let mut organisation = accounts(&["ann", "ben"]);
    let ann = organisation.users[0].id.clone();
    let other = organisation.add_group(Group::new("other@elsewhere.example", "Other"));
    let mut own = desk("own");
    own.id = "00000000-0000-4000-8000-0000000000aa".into();
    own.members = vec![
        own.id.clone(),
        other.clone(),
        "00000000-0000-4000-8000-00000000dead".into(),
    ];
    organisation.add_group(own);
    organisation.add_group(Group {
        members: vec![
            ann,
            other.clone(),
            "00000000-0000-4000-8000-00000000dead".into(),
            "00000000-0000-4000-8000-0000000000aa".into(),
            "00000000-0000-4000-8000-0000000000bb".into(),
        ],
        id: "00000000-0000-4000-8000-0000000000bb".into(),
        ..desk("desk")
    });
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    // Other groups are sent back; the account's own id and ids in no list are not. `own` is not emptied.
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Groups desk@ {members:[{value:ann@},{value:ben@},{value:other@elsewhere.example},{value:own@}]} 200");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r22_an_addition_that_changed_nothing_waits_a_day_or_for_a_person() {
    let tenant = people(&["ann", "ben"]).full_access(&at("ann"), &at("ben"));
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    // Accepted, but not stored.
    world.sandbox.zivver.control().inject(
        Fault::always(FaultKind::Status {
            status: 200,
            headers: Vec::new(),
            body: String::new(),
        })
        .method("PUT"),
    );
    let report = world.apply().await;
    assert_eq!(report.converged, Some(false));
    assert_eq!(write_count(&world), 1);
    let report = world.apply().await;
    assert_eq!(write_count(&world), 1, "{}", shown(&report));
    assert_eq!(notes(&report, "ann"), ["WriteHadNoEffect"]);
    assert_eq!(report.converged, Some(false), "{}", shown(&report));
    world.sandbox.zivver.control().clear_faults();
    world
        .sandbox
        .exchange
        .with_state(|tenant| tenant.mailbox_mut(&at("ann")).unwrap().display_name = "New".into());
    let report = world.apply().await;
    assert_eq!(user(&world, "ann").name, "New");
    assert_eq!(user(&world, "ann").delegates, [""; 0], "{}", shown(&report));
    let report = world.scoped(Mode::Apply, &[&at("ann")]).await;
    assert_converged(&report);
    assert_eq!(notes(&report, "ann"), [""; 0]);
    assert_eq!(user(&world, "ann").delegates, [at("ben")]);
    assert_stable(&world).await;
}

/// Zivver keeps the address by which the account names the delegate. The run takes the address from the delegate.
#[tokio::test(start_paused = true)]
async fn r22_a_delegate_whose_new_address_is_refused_for_an_account_is_not_without_effect() {
    let names = ["ann", "ben", "cem", "dan"];
    let tenant = people(&names)
        .full_access(&at("ann"), &at("ben"))
        .full_access(&at("ann"), &at("cem"));
    let mut organisation = accounts(&names);
    organisation.switches.delegates_follow_rename = false;
    let world = World::still(tenant, organisation).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        readdress(tenant, "ben", "benny", false);
        readdress(tenant, "cem", "cemmy", false);
        readdress(tenant, "dan", "cem", false);
        let alias = format!("smtp:{}", at("ben"));
        let mailbox = tenant.mailbox_mut(&at("ann")).unwrap();
        mailbox.email_addresses.push(alias);
        for (entry, name) in mailbox
            .permissions
            .iter_mut()
            .filter(|it| it.user.contains('@'))
            .zip(["benny", "cemmy"])
        {
            entry.user = at(name);
        }
    });
    forget(&world);
    let ann = user(&world, "ann").id;
    let refusal = FaultKind::Status {
        status: 400,
        headers: Vec::new(),
        body: "refused".into(),
    };
    let control = world.sandbox.zivver.control();
    control.inject(Fault::always(refusal).method("PUT").path(&ann).after(1));
    let report = world.apply().await;
    assert_eq!(user(&world, "ann").delegates, [at("benny"), at("cem")]);
    assert_eq!(notes(&report, "ann"), [""; 0], "{}", shown(&report));
    control.clear_faults();
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(user(&world, "ann").delegates, [at("benny"), at("cemmy")]);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r22_lists_that_lag_for_less_than_a_minute_are_waited_for() {
    let mut organisation = accounts(&["ann"]);
    // Verification reads at 0, 1, 3, 7, 15, 31 and 60 s.
    organisation.switches.stale_reads_after_post = 6;
    let world = World::still(people(&["ann", "ben"]), organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(notes(&report, "ben"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn r22_a_suspend_that_changed_nothing_is_sent_in_every_run() {
    let tenant = people(&["ben"]).mailbox(Mailbox::user(&at("ann")).disabled());
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    world.sandbox.zivver.control().inject(
        Fault::always(FaultKind::Status {
            status: 200,
            headers: Vec::new(),
            body: String::new(),
        })
        .method("PUT"),
    );
    for runs in 1..=4 {
        let report = world.apply().await;
        assert_eq!(write_count(&world), runs, "{}", shown(&report));
        assert_eq!(notes(&report, "ann"), ["AccessNotTaken"]);
        assert_eq!(report.converged, Some(false));
    }
    world.sandbox.zivver.control().clear_faults();
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(notes(&report, "ann"), [""; 0]);
    assert!(!user(&world, "ann").active);
    // Made active by hand. The earlier state does not prevent another suspend.
    world.sandbox.zivver.with_state(|organisation| {
        organisation.user_mut(&at("ann")).unwrap().active = true;
    });
    assert_converged(&world.apply().await);
    assert!(!user(&world, "ann").active);
}

#[tokio::test(start_paused = true)]
async fn r22_an_account_to_be_inactive_is_brought_up_to_date_when_it_is_resumed() {
    let tenant = people(&["ben"]).mailbox(
        Mailbox::user(&at("ann"))
            .with_display_name("New name")
            .with_alias_address(&at("a"))
            .opened_by(&at("ben"))
            .disabled(),
    );
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    assert_converged(&world.apply().await);
    assert_stable(&world).await;
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at("ann")).unwrap().account_disabled = Some(false);
    });
    forget(&world);
    assert_converged(&world.apply().await);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users ann@ {active:true,name:{formatted:New name},zivver:{ExternalAccountId:id of ann@,SsoAccountKey:id of ann@,aliases:[a@],delegates:[ben@]}} 200");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r23_an_alias_that_is_refused_is_left_out_and_the_rest_goes() {
    let tenant = people(&["ben"]).mailbox(
        Mailbox::user(&at("ann"))
            .with_display_name("New name")
            .with_alias_address(&at("guest"))
            .with_alias_address(&at("good"))
            .with_alias_address(&at("unowned"))
            .opened_by(&at("ben")),
    );
    let mut organisation = accounts(&["ann", "ben"]);
    organisation.guests.push(at("guest"));
    let world = World::still(tenant, organisation).await;
    let fault = Fault::always(FaultKind::Status {
        status: 400,
        headers: Vec::new(),
        body: "Error creating alias: Domain Not Owned".into(),
    });
    world.sandbox.zivver.control().inject(fault.body("unowned"));
    let report = world.apply().await;
    let ann = user(&world, "ann");
    assert_eq!(ann.aliases, [at("good")], "{}", shown(&report));
    assert_eq!(ann.name, "New name");
    assert_eq!(ann.delegates, [at("ben")]);
    assert_eq!(ann.sso_account_key, Some(id("ann")));
    assert_eq!(report.failed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r23_a_request_for_a_refused_alias_alone_goes_once() {
    use cloud_sync::domain::report::ActionOutcome::Refused;
    let tenant = tenant()
        .mailbox(
            Mailbox::user(&at("ann"))
                .with_display_name("ann")
                .with_alias_address(&at("guest")),
        )
        .mailbox(
            Mailbox::shared(&at("desk"))
                .with_display_name("desk")
                .with_alias_address(&at("visitor"))
                .opened_by(&at("ann")),
        );
    let mut organisation = accounts(&["ann"]);
    let ann = organisation.users[0].id.clone();
    organisation.guests.extend([at("guest"), at("visitor")]);
    let world = World::still(tenant, organisation.with_group(desk("desk").member(&ann))).await;
    let report = world.apply().await;
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users ann@ {zivver:{ExternalAccountId:id of ann@,SsoAccountKey:id of ann@,aliases:[guest@],delegates:[]}} 400
    PUT Groups desk@ {zivver:{ExternalAccountId:id of desk@,aliases:[visitor@]}} 400
    ");
    let ends: Vec<_> = report
        .actions
        .iter()
        .map(|action| (action.outcome, action.problems.len()))
        .collect();
    assert_eq!(ends, [(Refused, 1), (Refused, 1)]);
}

#[tokio::test(start_paused = true)]
async fn r23_a_domain_that_zivver_does_not_own_is_asked_about_once() {
    use cloud_sync::domain::report::ActionOutcome;
    let names: Vec<String> = (0..100).map(|number| format!("p{number:02}")).collect();
    let mut tenant = names.iter().fold(tenant(), |tenant, name| {
        let mailbox = Mailbox::user(&at(name))
            .with_display_name(name)
            .with_alias_address(&at(&format!("{name}.own")))
            .with_alias_address(&format!("{name}@old.example"));
        tenant.mailbox(mailbox)
    });
    tenant.mailbox_mut(&at("p50")).unwrap().display_name = "New name".into();
    let organisation = names.iter().fold(organisation(), |organisation, name| {
        organisation.with_user(account(name).alias(&at(&format!("{name}.own"))))
    });
    let domains = [("CLAIMED_DOMAINS", "corp.example,old.example")];
    let world = World::still_with(tenant, organisation, &domains).await;
    let report = world.apply().await;
    let writes = writes(&world);
    let refused = writes.iter().filter(|write| write.ends_with(" 400"));
    assert_eq!(refused.count(), 1, "{writes:?}");
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(user(&world, "p50").name, "New name");
    let about: Vec<_> = report
        .skipped
        .iter()
        .filter(|note| note.address == "old.example")
        .collect();
    assert_eq!(about.len(), 1, "{}", shown(&report));
    insta::assert_snapshot!(about[0].text, @"Zivver does not own the domain old.example: aliases of 100 accounts are left out; claim the alias's domain in the Zivver WebApp, or remove it from CLOUD_SYNC__CLAIMED_DOMAINS");
    let not_sent = |name: &str| {
        let address = at(name);
        let mut actions = report.actions.iter();
        let action = actions.find(|it| it.action.address.as_str() == address);
        action.unwrap().problems.join("; ")
    };
    for (name, reason) in [
        (
            "p49",
            "the alias p49@old.example is not sent: Zivver refused the domain old.example in this run (R23)",
        ),
        (
            "p50",
            "the alias p50@old.example is not sent: Zivver refused the domain old.example in this run (R23)",
        ),
    ] {
        assert_eq!(not_sent(name), reason);
    }
    let failed = u32::try_from(report.failed.len()).unwrap();
    assert_eq!((failed, report.counts.refused), (100, 100));
    let count = |outcome| {
        report
            .actions
            .iter()
            .filter(|action| action.outcome == outcome)
            .count()
    };
    assert_eq!(
        (count(ActionOutcome::Refused), count(ActionOutcome::Partly)),
        (99, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn r23_the_key_never_goes_when_it_is_omitted() {
    let tenant =
        people(&["ben", "fresh"]).mailbox(Mailbox::user(&at("ann")).with_alias_address(&at("a")));
    let world = World::still_with(
        tenant,
        accounts(&["ann", "ben"]),
        &[("SSO_ACCOUNT_KEY", "omit")],
    )
    .await;
    let report = world.apply().await;
    let journal = world.sandbox.zivver.control().journal();
    assert!(
        journal
            .iter()
            .all(|entry| !entry.body.contains("SsoAccountKey"))
    );
    assert!(report.warnings.iter().any(|text| text.contains("SSO")));
}

/// The keys that the program wrote follow the setting, as one change of each account that a person approves.
#[tokio::test(start_paused = true)]
async fn r23_another_setting_replaces_the_keys_that_were_written_once_a_person_approves() {
    let mut tenant = people(&["ann", "ben"]);
    for mailbox in &mut tenant.mailboxes {
        let local = mailbox.alias.clone();
        mailbox.user_principal_name = format!("{local}@ad.corp.example");
    }
    let by_id = [("SSO_ACCOUNT_KEY", "object_id"), ("MAX_CREATES", "100%")];
    let limit = ("MAX_SIGN_IN_KEY_CHANGES", "0");
    // The program creates two accounts, and does not know the key of the third.
    tenant = tenant.user(&at("cid"));
    let organisation = accounts(&["cid"]);
    let world = World::still_with(tenant, organisation, &[by_id[0], by_id[1], limit]).await;
    assert_converged(&world.apply().await);
    let by_name = [("SSO_ACCOUNT_KEY", "user_principal_name")];
    let world = world.again_with(&by_name).await;
    let report = world.apply().await;
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    held SignInKey: replace the sign-in key ann@ "the key written before" -> "ann@ad.corp.example"
    held SignInKey: replace the sign-in key ben@ "the key written before" -> "ben@ad.corp.example"
    "#);
    assert_eq!(user(&world, "ann").sso_account_key, Some(id("ann")));
    forget(&world);
    let approved = world.approve(&[code(&report, Class::SignInKey)]).await;
    insta::assert_snapshot!(shown(&approved), @r"
    InSync, converged
    Update ann@; SignInKey -the key written before +ann@ad.corp.example
    Update ben@; SignInKey -the key written before +ben@ad.corp.example
    ");
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users ann@ {zivver:{SsoAccountKey:ann@ad.corp.example,aliases:[],delegates:[]}} 200
    PUT Users ben@ {zivver:{SsoAccountKey:ben@ad.corp.example,aliases:[],delegates:[]}} 200
    ");
    assert_eq!(
        user(&world, "cid").sso_account_key,
        Some(id("cid")),
        "not written by this program"
    );
    assert_stable(&world).await;
    let world = world.again_with(&[("SSO_ACCOUNT_KEY", "omit")]).await;
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r24_a_user_mailbox_without_object_id_is_reported() {
    let mut without = Mailbox::user(&at("ann"));
    without.edoid = String::new();
    let mut known = Mailbox::user(&at("ben"))
        .with_alias_address(&at("b"))
        .with_display_name("New");
    known.edoid = String::new();
    let tenant = people(&["cas"]).mailbox(without).mailbox(known);
    let world = World::still(
        tenant,
        accounts(&["cas"]).with_user(User::new(&at("ben"), "ben").key("kept")),
    )
    .await;
    let report = world.apply().await;
    assert_eq!(notes(&report, "ann"), ["NoObjectId"]);
    assert_eq!(notes(&report, "ben"), ["NoKey"]);
    // The name needs no extension, so it is written. The key stays.
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users ben@ {name:{formatted:New}} 200");
    assert_eq!(user(&world, "ben").sso_account_key.as_deref(), Some("kept"));
}

#[tokio::test(start_paused = true)]
async fn r24_a_new_account_costs_one_write_or_two() {
    let tenant = people(&["ann"]).mailbox(
        Mailbox::user(&at("ben"))
            .with_alias_address(&at("b"))
            .opened_by(&at("ann")),
    );
    let world = World::still(tenant, organisation()).await;
    assert_converged(&world.apply().await);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    POST Users  {active:true,name:{formatted:ann},zivver:{SsoAccountKey:id of ann@},userName:ann@} 201
    POST Users  {active:true,name:{formatted:ben},zivver:{SsoAccountKey:id of ben@},userName:ben@} 201
    PUT Users ben@ {zivver:{SsoAccountKey:id of ben@,aliases:[b@],delegates:[ann@]}} 200
    ");
    insta::assert_snapshot!(zivver(&world), @r#"
    ann@ "ann" key=id of ann@ ext=none
    ben@ "ben" key=id of ben@ ext=none aliases=[b@] delegates=[ann@]
    "#);
}

#[tokio::test(start_paused = true)]
async fn r24_what_the_answer_shows_to_be_there_is_not_sent_again() {
    let tenant = people(&["ann"])
        .mailbox(Mailbox::user(&at("ben")).with_alias_address(&at("b")))
        .mailbox(
            Mailbox::shared(&at("desk"))
                .with_alias_address(&at("d"))
                .opened_by(&at("ann")),
        );
    let mut organisation = organisation();
    organisation.switches.group_post_keeps_aliases = true;
    let world = World::still(tenant, organisation).await;
    assert_converged(&world.apply().await);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    POST Users  {active:true,name:{formatted:ann},zivver:{SsoAccountKey:id of ann@},userName:ann@} 201
    POST Users  {active:true,name:{formatted:ben},zivver:{SsoAccountKey:id of ben@},userName:ben@} 201
    POST Groups  {displayName:desk,externalId:desk@,members:[{value:ann@}],zivver:{aliases:[d@]}} 201
    PUT Users ben@ {zivver:{SsoAccountKey:id of ben@,aliases:[b@],delegates:[]}} 200
    ");
}

#[tokio::test(start_paused = true)]
async fn r25_an_alias_moves_from_a_leaver_to_a_successor_in_one_run() {
    for (aliases_of_successor, primary) in [(vec![at("sales")], "succ"), (vec![], "sales")] {
        let mut successor = Mailbox::user(&at(primary));
        for alias in &aliases_of_successor {
            successor = successor.with_alias_address(alias);
        }
        let tenant = people(&["ann", "ben", "cas"]).mailbox(successor);
        let organisation = accounts(&["ann", "ben", "cas"])
            .with_user(account("leaver").alias(&at("sales")).alias(&at("stays")));
        let world = World::still(tenant, organisation).await;
        let report = world.apply().await;
        assert_converged(&report);
        let leaver = user(&world, "leaver");
        assert!(!leaver.active);
        assert_eq!(leaver.aliases, [at("stays")]);
        assert_eq!(leaver.sso_account_key, Some(id("leaver")));
        let successor = user(&world, primary);
        assert_eq!(successor.aliases, aliases_of_successor);
        assert_stable(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r25_an_alias_moves_between_two_live_mailboxes_in_one_run() {
    let tenant = people(&["ann"])
        .mailbox(Mailbox::user(&at("ben")).with_alias_address(&at("moves")))
        .mailbox(
            Mailbox::shared(&at("desk"))
                .with_alias_address(&at("too"))
                .opened_by(&at("ann")),
        );
    let organisation =
        accounts(&["ben"]).with_user(account("ann").alias(&at("moves")).alias(&at("too")));
    let ann = organisation.users[1].id.clone();
    let world = World::still(tenant, organisation.with_group(desk("desk").member(&ann))).await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users ann@ {zivver:{ExternalAccountId:id of ann@,SsoAccountKey:id of ann@,aliases:[],delegates:[]}} 200
    PUT Users ben@ {zivver:{ExternalAccountId:id of ben@,SsoAccountKey:id of ben@,aliases:[moves@],delegates:[]}} 200
    PUT Groups desk@ {zivver:{ExternalAccountId:id of desk@,aliases:[too@]}} 200
    ");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r25_the_same_world_in_any_order_gives_the_same_plan() {
    let (tenant, organisation) = sandbox::tenant::generate(5, 150);
    let mut plans = Vec::new();
    for (rows, shuffle) in [(1000, 1), (7, 2), (40, 3)] {
        let (mut tenant, mut organisation) = (tenant.clone(), organisation.clone());
        tenant.switches.page_rows_max = rows;
        organisation.seed = shuffle;
        organisation.switches.lists_shuffled = true;
        if shuffle > 1 {
            tenant.mailboxes.reverse();
            tenant.groups.reverse();
            organisation.switches.list_count_max = Some(rows);
            organisation.switches.paging = sandbox::zivver::Paging::Honoured;
        }
        let world = World::still(tenant, organisation).await;
        let mut report = world.preview().await;
        report.requests = domain::report::Requests::default();
        report.id = String::new();
        report.started = String::new();
        report.ended = None;
        report.duration_ms = 0;
        plans.push(serde_json::to_string(&report).unwrap());
    }
    assert_eq!(plans[0], plans[1]);
    assert_eq!(plans[0], plans[2]);
}

#[tokio::test(start_paused = true)]
async fn r37_an_account_that_zivver_did_not_keep_is_not_called_deleted() {
    let world = World::still(people(&["ann", "ben", "cem"]), accounts(&["ben", "cem"])).await;
    let keeps = |keeps: bool| {
        world.sandbox.zivver.with_state(|organisation| {
            organisation.switches.writes_store_nothing = !keeps;
        });
    };
    keeps(false);
    let run = world.apply().await;
    keeps(true);
    let mut undo = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    undo.undo = RunId::parse(&run.id);
    let undo = world.run_for(&undo).await.unwrap();
    let [note] = &undo.skipped[..] else {
        panic!("{}", shown(&undo));
    };
    assert!(note.text.contains("Zivver did not keep it"), "{note:?}");
}

/// The lists show the change only after the run has ended. A person takes it back then.
#[tokio::test(start_paused = true)]
async fn r22_r37_a_change_that_was_undone_is_held_and_is_not_without_effect() {
    let tenant = people(&["ann", "ben"]);
    let world = World::still(tenant, accounts(&["ann", "ben"])).await;
    assert_converged(&world.apply().await);
    let lists_lag = |millis| {
        world.sandbox.zivver.with_state(|organisation| {
            organisation.switches.lists_lag_millis = millis;
        });
    };
    world.sandbox.exchange.with_state(|tenant| {
        let ann = tenant.mailbox_mut(&at("ann")).unwrap();
        ann.email_addresses.push(format!("smtp:{}", at("alias")));
    });
    lists_lag(600_000);
    let run = world.apply().await;
    assert_eq!(notes(&run, "ann"), ["WriteHadNoEffect"]);
    lists_lag(0);
    let mut undo = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    undo.undo = RunId::parse(&run.id);
    assert_converged(&world.run_for(&undo).await.unwrap());
    assert_eq!(user(&world, "ann").aliases, [""; 0]);
    let report = world.apply().await;
    assert_eq!(report.counts.held, 1, "{}", shown(&report));
    assert_eq!(notes(&report, "ann"), [""; 0], "{}", shown(&report));
    let report = world.approve(&[&report.held[0].code]).await;
    assert_converged(&report);
    assert_eq!(user(&world, "ann").aliases, [at("alias")]);
}
