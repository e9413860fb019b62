//! R47 on a larger scale: of a held set some changes are approved, some are rejected, and the rest stays held.

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        guard::Class,
        health::Run,
        mode::{Mode, PerformSync, Trigger},
        note::Code,
        report::{Report, RunOutcome},
        wave::{Part, Wave},
    },
    engine::{Decision, RunError, RunRequest},
    state::RunId,
};

use super::{bench::*, company::*};
use crate::world::World;

fn accounts(numbers: &[usize]) -> Vec<SmtpAddress> {
    let address = |number| SmtpAddress::verbatim(&at(&format!("p{number:03}")));
    numbers.iter().copied().map(address).collect()
}

async fn approve_some(world: &World, code: &str, numbers: &[usize]) -> Report {
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.approve = vec![code.to_owned()];
    request.approve_accounts = accounts(numbers).into_iter().collect();
    world.run_for(&request).await.unwrap()
}

async fn decide(
    world: &World,
    code: &str,
    numbers: &[usize],
    takes_back: bool,
) -> Result<usize, RunError> {
    let decision = Decision {
        code: code.to_owned(),
        accounts: accounts(numbers).into_iter().collect(),
        takes_back,
    };
    let records = world.engine.records().await?;
    Ok(records.decide(&decision, None).await?.len())
}

fn rejected(report: &Report) -> Vec<&str> {
    let notes = report.skipped.iter();
    let notes = notes.filter(|note| note.code == Code::Rejection);
    notes.map(|note| &note.address[..4]).collect()
}

#[tokio::test(start_paused = true)]
async fn r47_some_changes_of_a_set_are_approved_and_the_rest_stays_held() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    let approved = approve_some(&world, code, &[3, 5]).await;
    assert_eq!(suspended(&world), [3, 5]);
    assert_eq!(held(&approved, Class::Suspend).len(), 10);
    assert_eq!(approved.converged, Some(true));
    assert_eq!(approved.outcome, RunOutcome::NeedsAttention);
    // The same code approves more of it, each change once, and no other change is made.
    assert_eq!(held(&world.apply().await, Class::Suspend).len(), 10);
    approve_some(&world, code, &[3, 4]).await;
    assert_eq!(suspended(&world), [3, 4, 5]);
    let rest = world.approve(&[code]).await;
    assert_converged(&rest);
    assert_eq!(suspended(&world), (0..12).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn r47_the_state_of_the_accounts_offers_no_change_that_was_approved() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.approve = vec![code.to_owned()];
    request.approve_accounts = accounts(&[3, 5]).into_iter().collect();
    request.wave = Wave::of([Part::Approved].into(), Some(1));
    let first = world.run_for(&request).await.unwrap();
    assert_eq!(suspended(&world), [3]);
    let offered = || async {
        let complete = world.engine.complete().await.unwrap().unwrap();
        let (_, set) = complete.held().next().unwrap();
        (
            set.changes.len(),
            set.approved.len(),
            complete.figures().held_changes(),
        )
    };
    assert_eq!(offered().await, (11, 1, 11), "{}", shown(&first));
}

#[tokio::test(start_paused = true)]
async fn r47_an_account_outside_the_set_is_refused_before_anything_is_read() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.approve = vec![code.to_owned()];
    request.approve_accounts = accounts(&[3, 30]).into_iter().collect();
    let error = world.run_for(&request).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "no held change with these codes belongs to p030@corp.example; the report of the last run lists the changes of each code (R47)"
    );
    assert!(decide(&world, code, &[30], false).await.is_err());
    assert!(decide(&world, "c0de", &[], false).await.is_err());
    assert!(decide(&world, code, &[], true).await.is_err());
    assert_eq!(suspended(&world), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn r47_a_rejected_change_is_listed_and_not_made_and_no_reason_for_anything() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    assert_eq!(decide(&world, code, &[0, 1, 2], false).await.unwrap(), 3);
    let night = world.apply().await;
    assert_eq!(rejected(&night), ["p000", "p001", "p002"]);
    assert_eq!(held(&night, Class::Suspend).len(), 9);
    // The code of the whole set, which was shown before, approves the other changes, and also the rejected one.
    let rest = night.held[0].code.clone();
    let approved = world.approve(&[&rest]).await;
    assert_eq!(suspended(&world), (3..12).collect::<Vec<_>>());
    assert_eq!(rejected(&approved), ["p000", "p001", "p002"]);
    assert_converged(&approved);
    assert_eq!(approved.outcome, RunOutcome::InSync);
    for _ in 0..3 {
        let night = world.apply().await;
        assert_eq!(night.outcome, RunOutcome::InSync, "{}", shown(&night));
        assert_eq!(rejected(&night), ["p000", "p001", "p002"]);
        assert!(Run::from(&night).is_success(PerformSync::Always));
    }
    assert_eq!(suspended(&world), (3..12).collect::<Vec<_>>());
    // After the rejection is taken back, it is planned as before.
    assert_eq!(decide(&world, code, &[1], true).await.unwrap(), 1);
    let night = world.apply().await;
    assert_eq!(rejected(&night), ["p000", "p002"]);
    assert_eq!(held(&night, Class::Suspend), [at("p001")]);
}

#[tokio::test(start_paused = true)]
async fn r47_only_an_approval_that_names_the_account_ends_a_rejection() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    decide(&world, code, &[0, 1], false).await.unwrap();
    let approved = world.approve(&[code]).await;
    assert_eq!(suspended(&world), (2..12).collect::<Vec<_>>());
    assert_eq!(rejected(&approved), ["p000", "p001"]);
    // Nothing is left that the code approves by itself.
    let again = world.approve(&[code]).await;
    assert_eq!(suspended(&world), (2..12).collect::<Vec<_>>());
    let text = format!(
        "the code {code} approves nothing in this run (R27); its changes: 10 made before, 2 rejected (R47); to make a rejected one \
         all the same, approve it with --account ADDRESS (approve_accounts over HTTP), or take the rejection back with \
         cloud-sync reject --undo {code}"
    );
    assert!(again.warnings.contains(&text), "{:?}", again.warnings);
    let ended = |report: &Report| {
        let notes = report.skipped.iter();
        let notes = notes.filter(|note| note.code == Code::RejectionEnded);
        notes
            .map(|note| (note.address[..4].to_owned(), note.text.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(ended(&approved), []);
    let named = approve_some(&world, code, &[1]).await;
    let text = format!(
        "rejected with the code {code}, and approved with this run, which ended the rejection: suspend active → suspended"
    );
    assert_eq!(ended(&named), [("p001".to_owned(), text)]);
    assert_eq!(suspended(&world), (1..12).collect::<Vec<_>>());
    assert_eq!(rejected(&world.apply().await), ["p000"]);
}

#[tokio::test(start_paused = true)]
async fn r47_a_run_for_some_accounts_ends_a_rejection_too() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    decide(&world, code, &[0, 1], false).await.unwrap();
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.accounts = accounts(&[1]).into_iter().collect();
    request.approve = vec![code.to_owned()];
    request.approve_accounts = accounts(&[1]).into_iter().collect();
    world.run_for(&request).await.unwrap();
    assert_eq!(suspended(&world), [1]);
    let left = world.engine.records().await.unwrap().rejections().await;
    assert_eq!(left.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r47_what_is_rejected_is_not_shown_as_held() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend).to_owned();
    let complete = async || world.engine.complete().await.unwrap().unwrap();
    assert_eq!(complete().await.figures().held_changes(), 12);
    decide(&world, &code, &[0, 1], false).await.unwrap();
    let now = complete().await;
    assert_eq!(now.figures().held_changes(), 10);
    assert_eq!(now.report.counts.held, 10);
    let set = &now.report.held[0];
    assert_eq!((set.changes.len(), set.rejected.len()), (10, 2));
    let page = cloud_sync::cli::terminal(&now.report);
    assert!(
        page.contains("10 changes") && page.contains("2 rejected since"),
        "{page}"
    );
    // Nothing waits for a person any more.
    decide(&world, &code, &[], false).await.unwrap();
    let now = complete().await;
    assert_eq!(now.figures().held, []);
    assert_eq!(now.report.outcome, RunOutcome::InSync);
    let page = cloud_sync::cli::terminal(&now.report);
    assert!(!page.contains("--approve"), "{page}");
    let stored = world
        .engine
        .report(&RunId::parse(&now.report.id).unwrap())
        .await;
    assert_eq!(stored.unwrap().held[0].changes.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn r47_a_rejection_is_refused_while_a_run_writes() {
    let (world, report) = a_third_vanishes().await;
    let code = code(&report, Class::Suspend);
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(std::time::Duration::from_secs(10));
    let request = RunRequest::new(Mode::Apply, Trigger::Http);
    let running = world.run_for(&request);
    tokio::pin!(running);
    let refused = tokio::select! {
        refused = async {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            decide(&world, code, &[], false).await.unwrap_err()
        } => refused,
        ended = &mut running => panic!("{ended:?}"),
    };
    assert!(matches!(refused, RunError::LockHeld { .. }), "{refused}");
    running.await.unwrap();
    assert_eq!(decide(&world, code, &[], false).await.unwrap(), 12);
}

#[tokio::test(start_paused = true)]
async fn r47_r02_neither_a_part_nor_a_rejection_confirms_a_source_in_doubt() {
    let world = company(12).await;
    vanish(&world, 0..8);
    let report = world.apply().await;
    let code = code(&report, Class::Suspend);
    assert!(report.held[0].reason.contains("MIN_SOURCE_RATIO"));
    approve_some(&world, code, &[0]).await;
    let night = world.apply().await;
    assert_eq!(held(&night, Class::Suspend).len(), 7);
    assert!(night.held[0].reason.contains("MIN_SOURCE_RATIO"));
    decide(&world, &night.held[0].code, &[], false)
        .await
        .unwrap();
    assert_eq!(held(&world.apply().await, Class::Suspend).len(), 0);
    vanish(&world, 8..9);
    let night = world.apply().await;
    assert_eq!(held(&night, Class::Suspend), [at("p008")]);
    assert!(night.held[0].reason.contains("MIN_SOURCE_RATIO"));
    assert_eq!(suspended(&world), [0]);
}
