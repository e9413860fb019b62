//! R13-R15: what is in scope.

use cloud_sync::{
    domain::{
        mode::{Depth, Mode, Trigger},
        report::RunOutcome,
    },
    engine::RunRequest,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{GroupKind, Mailbox},
        zivver::{Group, User},
    },
};

use super::bench::*;
use crate::world::World;

#[tokio::test(start_paused = true)]
async fn r13_outside_the_claimed_domains_nothing_is_touched() {
    let tenant = people(&["ann", "moves"])
        .user("out@elsewhere.example")
        .user("sub@mail.corp.example")
        .mailbox(
            Mailbox::user(&at("ben"))
                .with_alias_address("ben@elsewhere.example")
                .with_alias_address("ben@mail.corp.example")
                .with_alias_address("Ben2@CORP.example"),
        )
        .shared(&at("desk"));
    let mut organisation = accounts(&["ann", "moves"])
        .with_user(User::new("partner@elsewhere.example", "Partner"))
        .with_user(account("ben").alias("kept@elsewhere.example"));
    organisation
        .claimed_domains
        .push("elsewhere.example".into());
    let partner = organisation.users[2].id.clone();
    organisation.add_group(desk("desk").member(&partner));
    let world =
        World::still_with(tenant, organisation, &[("CLAIMED_DOMAINS", "corp.example")]).await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users ben@ {zivver:{ExternalAccountId:id of ben@,SsoAccountKey:id of ben@,aliases:[ben2@,kept@elsewhere.example],delegates:[]}} 200");
    // A functional account with a member from outside is not emptied.
    assert_eq!(group(&world, "desk").members, [partner]);
    // No account is renamed to an address outside.
    world.sandbox.exchange.with_state(|tenant| {
        let mailbox = tenant.mailbox_mut(&at("moves")).unwrap();
        mailbox.primary_smtp_address = "moves@elsewhere.example".into();
        mailbox.email_addresses = vec!["SMTP:moves@elsewhere.example".into()];
    });
    let report = world.apply().await;
    assert_eq!(user(&world, "moves").user_name, at("moves"));
    assert!(user(&world, "moves").active);
    insta::assert_snapshot!(shown(&report), @r"
    InSync, converged
    R13 OutsideClaimedDomains: moves@
    R13 OutsideClaimedDomains: moves@elsewhere.example
    R13 OutsideClaimedDomains: out@elsewhere.example
    R13 OutsideClaimedDomains: sub@mail.corp.example
    ");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r13_who_left_outside_the_claimed_domains_needs_attention_in_every_run() {
    let out = "out@elsewhere.example";
    let mut tenant = people(&["ann"]).user(out);
    tenant.mailbox_mut(out).unwrap().account_disabled = Some(true);
    let mut organisation = accounts(&["ann"]).with_user(account(out));
    organisation
        .claimed_domains
        .push("elsewhere.example".into());
    let world =
        World::still_with(tenant, organisation, &[("CLAIMED_DOMAINS", "corp.example")]).await;
    for depth in [Depth::Full, Depth::Quick] {
        let request = RunRequest {
            depth,
            ..RunRequest::new(Mode::Apply, Trigger::Timer)
        };
        let report = world.run_for(&request).await.unwrap();
        assert_eq!(
            shown(&report),
            format!("NeedsAttention, converged\nR13 DisabledOutsideDomains: {out}")
        );
        assert!(user(&world, out).active);
    }
    // A person has suspended the account.
    world.sandbox.zivver.with_state(|organisation| {
        organisation.user_mut(out).unwrap().active = false;
    });
    assert_eq!(world.apply().await.outcome, RunOutcome::InSync);
}

#[tokio::test(start_paused = true)]
async fn r14_members_of_any_group_to_any_depth() {
    let tenant = people(&["ann", "ben", "cas", "dan", "new"])
        .shared(&at("desk"))
        .full_access(&at("desk"), &at("ann"))
        .distribution_group("Scope", &[&at("ann"), "Inner"])
        .security_group("Inner", &[&at("ben"), "Crew", "Scope"])
        .group_of_kind(GroupKind::GroupMailbox, "Crew", &[&at("new")]);
    let scope = tenant.groups[0].primary_smtp_address.clone();
    let organisation = accounts(&["ann", "ben", "cas", "dan"]);
    let dan = organisation.users[3].id.clone();
    let organisation = organisation.with_group(desk("desk").member(&dan));
    let world = World::still_with(
        tenant,
        organisation,
        &[("SOURCE_FILTER", &scope), ("MAX_SUSPEND", "100%")],
    )
    .await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(report.source.in_scope, 3);
    // cas and dan left; no shared mailbox is in the filter, so the desk stays as it is.
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    POST Users  {active:true,name:{formatted:new},zivver:{SsoAccountKey:id of new@},userName:new@} 201
    PUT Users cas@ {active:false} 200
    PUT Users dan@ {active:false} 200
    ");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r14_a_filter_group_that_cannot_be_read_fails_the_run() {
    let tenant = people(&["ann"]).distribution_group("Scope", &[&at("ann")]);
    let scope = tenant.groups[0].primary_smtp_address.clone();
    for (filter, fault) in [
        (
            scope.as_str(),
            Some(
                Fault::always(FaultKind::HtmlError { status: 500 })
                    .body("Get-DistributionGroupMember"),
            ),
        ),
        (
            scope.as_str(),
            Some(
                Fault::always(FaultKind::Status {
                    status: 403,
                    headers: Vec::new(),
                    body: String::new(),
                })
                .body("Get-Recipient"),
            ),
        ),
        ("nosuchgroup@corp.example", None),
        (&at("ann"), None),
    ] {
        let world = World::still_with(
            tenant.clone(),
            accounts(&["ann", "ben"]),
            &[("SOURCE_FILTER", filter)],
        )
        .await;
        if let Some(fault) = fault {
            world.sandbox.exchange.control().inject(fault);
        }
        let report = world.apply().await;
        assert_eq!(
            report.outcome,
            RunOutcome::Failed,
            "{filter}: {}",
            shown(&report)
        );
        assert_eq!(write_count(&world), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn r15_filtered_accounts_are_never_touched_on_either_side() {
    let tenant = people(&["svc.backup", "ann.svc.x", "ext-1", "plain", "alias.holder"])
        .mailbox(Mailbox::user(&at("svc.new")))
        .shared(&at("svc.desk"));
    let mut organisation = accounts(&[
        "svc.backup",
        "ann.svc.x",
        "ext-1",
        "plain",
        "alias.holder",
        "svc.leaver",
    ]);
    for user in &mut organisation.users {
        user.name = "Old name".into();
    }
    // The alias does not make the account a filtered one.
    organisation.users[4].aliases = vec![at("svc.alias")];
    let one = organisation.users[0].id.clone();
    organisation.add_group(Group {
        members: vec![one],
        ..desk("svc.desk")
    });
    let world = World::still_with(
        tenant,
        organisation,
        &[("TARGET_FILTER", "SVC.,ext-*@corp.example,,nobody")],
    )
    .await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users alias.holder@ {name:{formatted:alias.holder},zivver:{ExternalAccountId:id of alias.holder@,SsoAccountKey:id of alias.holder@,aliases:[],delegates:[]}} 200
    PUT Users plain@ {name:{formatted:plain}} 200
    ");
    insta::assert_snapshot!(format!("{:?}", report.filter_counts), @r#"{"SVC.": 5, "ext-*@corp.example": 1, "nobody": 0}"#);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r14_a_security_group_without_mail_has_its_members_in_scope() {
    let tenant = people(&["ann", "ben", "cas"])
        .mailbox(
            Mailbox::user(&at("dan"))
                .with_name("Dan")
                .with_display_name("dan"),
        )
        .distribution_group("Crew", &[&at("ben")])
        .group_of_kind(GroupKind::UniversalSecurityGroup, "Inner", &["Dan"])
        .group_of_kind(
            GroupKind::UniversalSecurityGroup,
            "Plain",
            &[&at("ann"), "Crew", "Inner"],
        );
    let plain = tenant.groups.last().unwrap().edoid.clone();
    let world = World::still_with(
        tenant,
        accounts(&["ann", "ben", "cas", "dan"]),
        &[("SOURCE_FILTER", &plain), ("MAX_SUSPEND", "100%")],
    )
    .await;
    let report = world.apply().await;
    assert_eq!(report.source.in_scope, 3, "{}", shown(&report));
    insta::assert_snapshot!(writes(&world).join("\n"), @"PUT Users cas@ {active:false} 200");
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
