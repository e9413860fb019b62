//! R16-R18: an account belongs to a person, not to an address.

use cloud_sync::domain::report::RunOutcome;
use cloud_sync::sandbox::{exchange::Mailbox, zivver::User};

use super::bench::*;
use crate::world::World;

#[tokio::test(start_paused = true)]
async fn r16_the_mapping_of_the_first_run_recognises_in_the_second() {
    // Zivver does not have the object ids.
    let organisation = organisation().with_user(User::new(&at("ann"), "ann").alias(&at("a")));
    let tenant = tenant().mailbox(Mailbox::user(&at("ann")).with_alias_address(&at("a")));
    let world = World::still(tenant, organisation).await;
    assert_converged(&world.apply().await);
    assert_eq!(write_count(&world), 0);
    world
        .sandbox
        .exchange
        .with_state(|tenant| readdress(tenant, "ann", "ann.new", false));
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users ann.new@ {userName:ann.new@} 200");
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r16_the_stronger_claim_wins() {
    // The mailbox ann has the id of the account at old, and the account of another person is at its address.
    let tenant = people(&["ann", "ben"]);
    let organisation = accounts(&["ben"])
        .with_user(User {
            user_name: at("old"),
            ..account("ann")
        })
        .with_user(User::new(&at("ann"), "Namesake"));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
    insta::assert_snapshot!(shown(&report), @r"
    NeedsAttention, converged
    R17 RenameBlocked: ann@
    R19 MergeCandidate: ann@
    ");
}

#[tokio::test(start_paused = true)]
async fn r16_a_namesake_is_held_until_approved() {
    let tenant = tenant()
        .mailbox(
            Mailbox::user(&at("ann"))
                .with_display_name("Ann the second")
                .with_alias_address(&at("a2")),
        )
        .user(&at("ben"))
        .shared(&at("desk"))
        .full_access(&at("desk"), &at("ann"))
        .full_access(&at("desk"), &at("ben"));
    let organisation = accounts(&["ben"]).with_user(User {
        user_name: at("ann"),
        ..account("ann the first")
    });
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    // Neither renamed nor given to the other person, and not a delegate in the meantime.
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    Suspend ann@; Active -yes +no
    Create desk@; Name +desk; Delegates +ben@
    held Identity: give to another object id ann@ "f0250387-a9ab-4eec-810b-e7b8a216191d" -> "91c70889-1548-4d34-858e-5597f57363d2"
    R16 IdentityChange: ann@
    R32 DelegateLeftOut: desk@
    "#);
    assert_eq!(user(&world, "ann").name, "ann the first");
    forget(&world);
    let code = report.held[0].code.clone();
    let report = world.approve(&[&code]).await;
    assert_converged(&report);
    assert_eq!(report.outcome, RunOutcome::InSync, "{}", shown(&report));
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users ann@ {active:true,name:{formatted:Ann the second},zivver:{ExternalAccountId:f0250387-a9ab-4eec-810b-e7b8a216191d,SsoAccountKey:id of ann@,aliases:[a2@],delegates:[]}} 200
    PUT Groups desk@ {members:[{value:ann@},{value:ben@}]} 200
    ");
    assert_eq!(user(&world, "ann").sso_account_key, Some(id("ann")));
    // With the tie in the memory, the desk follows in the next run.
    assert_converged(&world.apply().await);
    assert_stable(&world).await;
    assert_eq!(group(&world, "desk").members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r16_a_namesake_that_differs_in_nothing_still_takes_the_key() {
    let tenant = people(&["ann", "ben"]);
    let organisation = accounts(&["ben"]).with_user(User {
        name: "ann".into(),
        user_name: at("ann"),
        ..account("former")
    });
    let world = World::still(tenant, organisation).await;
    let report = world.preview().await;
    let report = world.approve(&[&report.held[0].code]).await;
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users ann@ {zivver:{ExternalAccountId:c480e60f-4f1d-4250-868e-54142513af16,SsoAccountKey:id of ann@,aliases:[],delegates:[]}} 200");
    assert_converged(&report);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r17_a_rename_in_place_in_safe_steps() {
    // The new address is an alias of the account, and the old one is to become an alias.
    let tenant = tenant()
        .mailbox(
            Mailbox::user(&at("ann.new"))
                .with_display_name("Ann")
                .with_alias_address(&at("ann"))
                .with_alias_address(&at("a")),
        )
        .user(&at("ben"))
        .full_access(&at("ann.new"), &at("ben"))
        .full_access(&at("ben"), &at("ann.new"));
    let organisation = accounts(&["ben"]).with_user(User {
        name: "Ann".into(),
        aliases: vec![at("ann.new"), at("a")],
        delegates: vec![at("ben")],
        user_name: at("ann"),
        ..account("ann.new")
    });
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users ann.new@ {zivver:{ExternalAccountId:id of ann.new@,SsoAccountKey:id of ann.new@,aliases:[a@],delegates:[ben@]}} 200
    PUT Users ann.new@ {userName:ann.new@} 200
    PUT Users ann.new@ {zivver:{ExternalAccountId:id of ann.new@,SsoAccountKey:id of ann.new@,aliases:[a@,ann@],delegates:[ben@]}} 200
    PUT Users ben@ {zivver:{ExternalAccountId:id of ben@,SsoAccountKey:id of ben@,aliases:[],delegates:[ann.new@]}} 200
    ");
    insta::assert_snapshot!(zivver(&world), @r#"
    ann.new@ "Ann" key=id of ann.new@ ext=id of ann.new@ aliases=[a@ ann@] delegates=[ben@]
    ben@ "ben" key=id of ben@ ext=id of ben@ delegates=[ann.new@]
    "#);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r17_refused_half_way_the_dropped_alias_is_put_back() {
    use cloud_sync::sandbox::control::{Fault, FaultKind};
    let tenant = people(&["ann.new", "ben"]);
    let organisation = accounts(&["ben"]).with_user(User {
        name: "ann.new".into(),
        aliases: vec![at("ann.new")],
        user_name: at("ann"),
        ..account("ann.new")
    });
    let world = World::still(tenant, organisation).await;
    let before = zivver(&world);
    let refused = Fault::once(FaultKind::Status {
        status: 400,
        headers: Vec::new(),
        body: "Account is outside the organization".into(),
    });
    world
        .sandbox
        .zivver
        .control()
        .inject(refused.body("\"userName\""));
    let report = world.apply().await;
    assert_eq!(report.counts.refused, 1, "{}", shown(&report));
    assert_eq!(zivver(&world), before);
    // The next run does it.
    assert_converged(&world.apply().await);
    assert_eq!(user(&world, "ann.new").aliases, [""; 0]);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r17_alias_evidence_is_held_until_approved() {
    let tenant = tenant()
        .mailbox(Mailbox::user(&at("ann.new")).with_alias_address(&at("ann")))
        .user(&at("ben"));
    let organisation = accounts(&["ben"]).with_user(User::new(&at("ann"), "Ann"));
    let world = World::still(tenant, organisation).await;
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0]);
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    held Identity: rename on the evidence of an alias ann@ "ann@" -> "ann.new@"
    R17 AliasEvidence: ann.new@
    "#);
    let report = world.approve(&[&report.held[0].code]).await;
    insta::assert_snapshot!(writes(&world).join("\n"), @r"
    PUT Users ann.new@ {name:{formatted:ann.new},userName:ann.new@} 200
    PUT Users ann.new@ {zivver:{SsoAccountKey:id of ann.new@,aliases:[ann@],delegates:[]}} 200
    ");
    assert_converged(&report);
    assert_stable(&world).await;
    assert_eq!(user(&world, "ann.new").sso_account_key, Some(id("ann.new")));
}

#[tokio::test(start_paused = true)]
async fn r17_chains_and_swaps_of_addresses() {
    let shift = [("a", "b"), ("b", "c"), ("c", "d")];
    let swap = [("a", "b"), ("b", "a"), ("c", "c"), ("d", "d")];
    let cycle = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "d")];
    for moves in [&shift[..], &swap[..], &cycle[..]] {
        for keeps in [false, true] {
            let mut tenant = people(&["x", "y"]);
            let mut organisation = accounts(&["x", "y"]);
            for (from, to) in moves {
                let mut mailbox = Mailbox::user(&at(to)).with_display_name("P");
                mailbox.edoid = id(from);
                let free = !moves.iter().any(|(_, taken)| taken == from);
                if keeps && free {
                    mailbox = mailbox.with_alias_address(&at(from));
                }
                tenant = tenant.mailbox(mailbox.opened_by(&at("x")));
                organisation.add_user(User {
                    name: "P".into(),
                    delegates: vec![at("x")],
                    ..account(from)
                });
            }
            // A person whose delegates are all of them.
            for (_, to) in moves {
                tenant.mailboxes[1] = tenant.mailboxes[1].clone().opened_by(&at(to));
            }
            organisation.users[1].delegates = moves.iter().map(|(from, _)| at(from)).collect();
            let world = World::still_with(tenant, organisation, &[("MAX_RENAMES", "100%")]).await;
            let report = world.apply().await;
            assert_converged(&report);
            for (from, to) in moves {
                let user = user(&world, to);
                assert_eq!(user.sso_account_key, Some(id(from)), "{}", shown(&report));
                assert_eq!(user.external_account_id, Some(id(from)));
                assert_eq!(user.delegates, [at("x")]);
            }
            let mut named = user(&world, "y").delegates;
            named.sort();
            let mut all: Vec<String> = moves.iter().map(|(_, to)| at(to)).collect();
            all.sort();
            assert_eq!(named, all);
            assert_stable(&world).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r16_without_keys_an_approved_namesake_is_remembered_and_nothing_is_sent() {
    let settings = [
        ("SSO_ACCOUNT_KEY", "omit"),
        ("MAX_IDENTITY_CHANGES", "100%"),
    ];
    let organisation = organisation().with_user(
        User::new(&at("ann"), "ann")
            .key("kept")
            .external_account_id(&id("somebody.else")),
    );
    let world = World::still_with(people(&["ann"]), organisation, &settings).await;
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(report.planned_writes, 0);
    insta::assert_snapshot!(shown(&report), @r"
    InSync, converged
    Update ann@; ObjectId -f8c432c5-cef8-4d44-80b0-95fb9556e97a +91c70889-1548-4d34-858e-5597f57363d2
    ");
    assert_eq!(write_count(&world), 0);
    assert_stable(&world).await;
}
