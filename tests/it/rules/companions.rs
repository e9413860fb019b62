//! R27, R36: an approved change that needs another one is made with it, or stays held, and the report says why.

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        guard::Class,
        mode::{Mode, Trigger},
        note::{Code, Note},
        report::{Report, RunOutcome},
        wave::Wave,
    },
    engine::{Decision, RunRequest},
    sandbox::exchange::Mailbox,
};

use super::{bench::*, company::*};
use crate::world::World;

const NOBODY: [(&str, &str); 3] = [
    ("MAX_SUSPEND", "0"),
    ("MAX_RENAMES", "0"),
    ("MAX_CREATES", "0"),
];

/// Dirk left, and Cara gets his address.
async fn address_of_a_leaver() -> World {
    let names = ["anna", "bert", "cara", "dirk"];
    let world = World::still_with(people(&names), accounts(&names), &NOBODY).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        tenant
            .mailboxes
            .retain(|it| it.primary_smtp_address != at("dirk"));
        readdress(tenant, "cara", "dirk", true);
    });
    world
}

fn approval(code: &str, accounts: &[&str]) -> RunRequest {
    let accounts = accounts.iter().map(|it| SmtpAddress::verbatim(&at(it)));
    RunRequest {
        approve: vec![code.to_owned()],
        approve_accounts: accounts.collect(),
        ..RunRequest::new(Mode::Apply, Trigger::CommandLine)
    }
}

async fn decide(world: &World, code: &str, accounts: &[&str], takes_back: bool) -> usize {
    let accounts = accounts.iter().map(|it| SmtpAddress::verbatim(&at(it)));
    let decision = Decision {
        code: code.to_owned(),
        accounts: accounts.collect(),
        takes_back,
    };
    let records = world.engine.records().await.unwrap();
    records.decide(&decision, None).await.unwrap().len()
}

/// The codes of all held sets, each with the changes that it approves and what these wait for.
fn sets(report: &Report) -> Vec<String> {
    let sets = report.held.iter().map(|set| {
        let changes = set.approves().map(|it| (&it.fingerprint, &it.waits));
        format!("{} {:?}", set.code, changes.collect::<Vec<_>>())
    });
    sets.collect()
}

fn waiting(report: &Report) -> Vec<String> {
    let notes = report
        .skipped
        .iter()
        .filter(|note| note.code == Code::Waits);
    notes
        .map(|note| short(&format!("{} {}", note.address, note.text)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn r27_the_code_of_a_rename_is_enough_for_the_address_of_a_leaver() {
    let world = address_of_a_leaver().await;
    let report = world.apply().await;
    assert_eq!(held(&report, Class::Rename), [at("cara"), at("dirk")]);
    let (renames, suspends) = (code(&report, Class::Rename), code(&report, Class::Suspend));
    let made = world.approve(&[renames]).await;
    assert_converged(&made);
    assert_eq!(made.outcome, RunOutcome::InSync, "{}", shown(&made));
    assert_eq!(user(&world, "dirk").name, "cara");
    assert_stable(&world).await;
    let too_late = world.approve(&[suspends]).await;
    let warning = format!(
        "the code {suspends} approves nothing in this run (R27); its changes: 1 made with the code {renames}"
    );
    assert!(
        too_late.warnings.contains(&warning),
        "{:?}",
        too_late.warnings
    );
    let outdated = |it: &&Note| it.code == Code::ApprovalOutdated;
    let note = too_late.skipped.iter().find(outdated).unwrap();
    let what = "suspend active → suspended";
    let text =
        format!("the approval does nothing for \"{what}\": it was made with the code {renames}");
    assert_eq!(note.text, text);
    // R47: what is made cannot be rejected.
    assert_eq!(decide(&world, suspends, &[], false).await, 0);
}

#[tokio::test(start_paused = true)]
async fn r27_r36_a_part_that_waits_for_the_rest_stays_held() {
    let world = address_of_a_leaver().await;
    let before = world.apply().await;
    let renames = code(&before, Class::Rename);
    let part = world.run_for(&approval(renames, &["cara"])).await.unwrap();
    assert_eq!(sets(&part), sets(&before));
    assert_eq!(part.outcome, RunOutcome::NeedsAttention);
    let suspends = code(&before, Class::Suspend);
    let waiting = waiting(&part);
    let cause = "cara@ approved and not made: rename cara@ → dirk@: it waits for what is held: ";
    assert!(waiting[0].starts_with(cause), "{waiting:?}");
    assert!(waiting[0].contains("dirk@ suspend active → suspended"));
    let (_, codes) = waiting[0]
        .split_once("; approve that with the codes ")
        .unwrap();
    assert!(codes.contains(suspends), "{waiting:?}");
    // The code was not used up.
    assert_converged(&world.approve(&[renames]).await);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r47_what_waits_for_a_rejected_change_names_the_way_back() {
    let world = address_of_a_leaver().await;
    let before = world.apply().await;
    let suspends = code(&before, Class::Suspend);
    assert_eq!(decide(&world, suspends, &[], false).await, 1);
    let report = world.apply().await;
    let renames = report.held.iter().find(|it| it.class == Class::Rename);
    let renames = renames.unwrap();
    assert!(!renames.can_be_made());
    let way = format!(
        "take the rejection back with cloud-sync reject --undo {suspends} --account {}",
        at("dirk")
    );
    for change in &renames.changes {
        let why = change.waits.as_ref().unwrap();
        assert!(why.contains(&way), "{why}");
    }
    let explained = world.explain(&at("cara")).await;
    assert_eq!(explained.held[0].change.waits, renames.changes[0].waits);
    // An approval makes nothing, and forgets nothing.
    let approved = world.approve(&[&renames.code]).await;
    assert_eq!(sets(&approved), sets(&report));
    assert_eq!(waiting(&approved).len(), 2);
    assert_eq!(approved.outcome, RunOutcome::NeedsAttention);
    assert_eq!(decide(&world, suspends, &[], true).await, 1);
    let again = world.apply().await;
    assert_eq!(sets(&again), sets(&before));
    // R47: the set of the renames does not reject what it only needs.
    assert_eq!(
        decide(&world, code(&again, Class::Rename), &[], false).await,
        2
    );
    assert_eq!(held(&world.apply().await, Class::Suspend), [at("dirk")]);
}

#[tokio::test(start_paused = true)]
async fn r27_r12_a_functional_account_is_not_forgotten_when_its_delegates_are_rejected() {
    let mut tenant = people(&["anna", "bert", "cara"]);
    tenant.mailboxes.push(
        Mailbox::shared(&at("info"))
            .opened_by(&at("anna"))
            .opened_by(&at("bert")),
    );
    let world = World::still_with(tenant, organisation(), &NOBODY).await;
    let before = world.apply().await;
    let creates = code(&before, Class::Create);
    let part = world.run_for(&approval(creates, &["info"])).await.unwrap();
    assert_eq!(sets(&part), sets(&before));
    assert_eq!(waiting(&part).len(), 1);
    decide(&world, creates, &["anna", "bert"], false).await;
    let rest = world.apply().await;
    let made = world.approve(&[code(&rest, Class::Create)]).await;
    assert_eq!(user(&world, "cara").name, "cara");
    assert_eq!(held(&made, Class::Create), [at("info")]);
    assert_eq!(waiting(&made).len(), 1);
    assert_eq!(made.outcome, RunOutcome::NeedsAttention);
    assert_eq!(held(&world.apply().await, Class::Create), [at("info")]);
}

#[tokio::test(start_paused = true)]
async fn r47_an_approved_change_outside_the_wave_is_left_for_later() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    let wave = RunRequest {
        wave: Wave::of([].into(), Some(1)),
        ..approval(code, &[])
    };
    let report = world.run_for(&wave).await.unwrap();
    let of = |code| report.skipped.iter().filter(move |it| it.code == code);
    assert_eq!(of(Code::ApprovalOutdated).count(), 0);
    assert!(of(Code::NotReviewed).count() > 0);
    let useless = |it: &&String| it.contains("approves nothing");
    let warning = report.warnings.iter().find(useless);
    assert!(
        warning.is_none_or(|it| it.contains("left for a later run")),
        "{warning:?}"
    );
    assert_converged(&world.approve(&[code]).await);
}
