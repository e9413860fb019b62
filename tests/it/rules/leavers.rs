//! R17, R19, R22: what happens to the account and to the address of a person who left.

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::{Report, RunOutcome},
    },
    engine::RunRequest,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{Mailbox, Tenant},
        zivver::User,
    },
    state::RunId,
};

use super::bench::*;
use crate::world::World;

/// Four people in sync, known by their object ids only from a first run, and then a change in Exchange.
async fn after(change: impl FnOnce(&mut Tenant)) -> World {
    let names = ["ada", "bram", "cees", "dirk"];
    let organisation = names.iter().fold(organisation(), |organisation, name| {
        organisation.with_user(User::new(&at(name), name))
    });
    let settings = [("SSO_ACCOUNT_KEY", "omit"), ("MAX_RENAMES", "100%")];
    let world = World::still_with(people(&names), organisation, &settings).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(change);
    forget(&world);
    world
}

/// Ada leaves, and Bram's mailbox gets her address.
fn taken_by_bram(tenant: &mut Tenant) {
    assert!(tenant.remove_mailbox(&at("ada")));
    readdress(tenant, "bram", "ada", false);
}

/// Ada leaves, and a new person gets her address.
fn taken_by_a_namesake(tenant: &mut Tenant) {
    assert!(tenant.remove_mailbox(&at("ada")));
    tenant.mailboxes.push(Mailbox::user(&at("namesake")));
    readdress(tenant, "namesake", "ada", false);
}

async fn undo(world: &World, report: &Report) -> Report {
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.undo = RunId::parse(&report.id);
    world.engine.run(&request).await.unwrap()
}

fn texts(report: &Report) -> Vec<&str> {
    let notes = report.skipped.iter();
    notes.map(|note| note.text.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn r37_what_was_given_to_a_colleague_goes_back_and_is_not_done_again() {
    let world = after(taken_by_bram).await;
    let before = zivver(&world);
    let report = world.apply().await;
    let undone = undo(&world, &report).await;
    assert_converged(&undone);
    assert_eq!(zivver(&world), before);
    forget(&world);
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0]);
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    held Undone: rename ada@ "ada@" -> "cloud-sync-f40550de58f2@"
    held Undone: suspend ada@ "active" -> "suspended"
    held Undone: rename bram@ "bram@" -> "ada@"
    "#);
    // An account at whose address a namesake waits may be the namesake's (R16).
    let world = after(taken_by_a_namesake).await;
    let report = world.apply().await;
    let undone = undo(&world, &report).await;
    insta::assert_snapshot!(texts(&undone).join("\n"), @"a mailbox with another object id has the address of its account now, so nothing is undone on it (R16)");
    assert!(!user(&world, "ada").active);
    forget(&world);
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0]);
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    held Identity: give to another object id ada@ "9da9f510-2625-4785-8cc2-e5844d2db6d2" -> "c28069ae-8dcf-41b8-8de9-958f187f0e3b"
    R16 IdentityChange: ada@
    "#);
}

#[tokio::test(start_paused = true)]
async fn r17_a_refused_rename_of_a_leaver_does_not_keep_him_active() {
    let world = after(taken_by_bram).await;
    let refusal = FaultKind::Status {
        status: 400,
        headers: Vec::new(),
        body: "Account is outside the organization".into(),
    };
    let fault = Fault::always(refusal).method("PUT").body("cloud-sync-");
    world.sandbox.zivver.control().inject(fault);
    let report = world.apply().await;
    assert!(!user(&world, "ada").active, "{}", shown(&report));
    assert_eq!(user(&world, "ada").name, "ada");
    assert!(user(&world, "bram").active);
    assert!(report.needs_attention());
}

#[tokio::test(start_paused = true)]
async fn r17_a_leaver_who_comes_back_gets_his_account_and_not_that_of_his_successor() {
    let world = after(taken_by_bram).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        let ada = Mailbox::user("ada@old.example").with_display_name("ada");
        let ada = Mailbox {
            edoid: id("ada"),
            ..ada
        };
        tenant.mailboxes.push(ada);
        let ada = tenant.mailbox_mut("ada@old.example").unwrap();
        ada.primary_smtp_address = at("ada.two");
        ada.email_addresses = vec![format!("SMTP:{}", at("ada.two"))];
    });
    assert_converged(&world.apply().await);
    assert_eq!(user(&world, "ada.two").name, "ada");
    assert!(user(&world, "ada.two").active);
    assert_eq!(user(&world, "ada").name, "bram");
}

#[tokio::test(start_paused = true)]
async fn r19_who_cannot_be_asked_about_is_left_alone_and_named() {
    let world = after(taken_by_bram).await;
    let fault = Fault::always(FaultKind::HtmlError { status: 503 }).body("Get-Recipient");
    world.sandbox.exchange.control().inject(fault);
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0]);
    assert_eq!(report.outcome, RunOutcome::NeedsAttention);
    let still = texts(&report)
        .into_iter()
        .filter(|text| text.contains("its owner can still sign in"));
    assert_eq!(still.count(), 1, "{:?}", texts(&report));
    let blocked = texts(&report)
        .into_iter()
        .find(|text| text.contains("cannot become"))
        .unwrap();
    assert!(blocked.contains("the account of \"ada\""), "{blocked}");
    // The next night Exchange answers.
    world.sandbox.exchange.control().clear_faults();
    assert_converged(&world.apply().await);
    assert_eq!(user(&world, "ada").name, "bram");
}

#[tokio::test(start_paused = true)]
async fn r16_r19_a_new_colleague_at_the_address_of_a_leaver_waits_and_the_leaver_is_out() {
    let world = after(taken_by_a_namesake).await;
    let report = world.apply().await;
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    Suspend ada@; Active -yes +no
    held Identity: give to another object id ada@ "9da9f510-2625-4785-8cc2-e5844d2db6d2" -> "c28069ae-8dcf-41b8-8de9-958f187f0e3b"
    R16 IdentityChange: ada@
    "#);
    assert!(!user(&world, "ada").active);
    // Hired again. With the approval the account is given back.
    let report = world.apply().await;
    let code = report.held[0].code.clone();
    assert_converged(&world.approve(&[&code]).await);
    assert!(user(&world, "ada").active);
    assert_stable(&world).await;
}
