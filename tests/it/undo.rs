//! R37: a run is undone, and its changes are not made again.

use std::time::Duration;

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        origin::Origin,
        plan::ActionKind,
        report::{Report, RunOutcome, RunState},
    },
    engine::{RunError, RunRequest},
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{Mailbox, Tenant},
        zivver::{Group, LimiterKind, Organisation, User},
    },
    state::RunId,
};

use super::nights::{Nights, actions, held};

/// A tenant in which one run creates, renames, resumes, updates, suspends and empties.
async fn out_of_step() -> Nights {
    let anna = Mailbox::user("anna.berg@corp.example")
        .with_display_name("Anna Berg")
        .with_alias_address("anna@corp.example")
        .opened_by("carl@corp.example");
    let anna_id = anna.edoid.clone();
    let bert = Mailbox::user("bert@corp.example")
        .with_display_name("Bert")
        .with_alias_address("bertie@corp.example");
    let carl = Mailbox::user("carl@corp.example").with_display_name("Carl");
    let dora = Mailbox::user("dora@corp.example")
        .with_display_name("Dora")
        .disabled();
    let emil = Mailbox::user("emil@corp.example").with_display_name("Emil");
    let desk = Mailbox::shared("desk@corp.example")
        .with_display_name("Desk")
        .opened_by("bert@corp.example");
    let help = Mailbox::shared("help@corp.example")
        .with_display_name("Help")
        .opened_by("emil@corp.example");
    let old = Mailbox::shared("old@corp.example").with_display_name("Old");
    let tenant = [anna, bert, carl, dora, emil, desk, help, old]
        .into_iter()
        .fold(Tenant::new("corp.example"), Tenant::mailbox);

    let mut organisation = Organisation::new(["corp.example"]);
    organisation.add_user(
        User::new("anna@corp.example", "Anna Olsen")
            .alias("anna.berg@corp.example")
            .external_account_id(&anna_id),
    );
    let bert = organisation.add_user(
        User::new("bert@corp.example", "Bertram")
            .alias("bee@corp.example")
            .delegate("anna@corp.example"),
    );
    organisation.add_user(User::new("dora@corp.example", "Dora"));
    let resumed =
        User::new("carl@corp.example", "Carl the Old").suspended(jiff::civil::date(2026, 10, 1));
    organisation.add_user(resumed);
    organisation.add_group(Group::new("old@corp.example", "Old").member(&bert));
    organisation.add_group(Group::new("desk@corp.example", "Desk")); // It has no members.
    Nights::begin(tenant, organisation).await
}

/// Everything is as before, except for what was created, which is out of use.
fn assert_restored(nights: &Nights, before: &[String]) {
    let mut expected = before.to_vec();
    expected.push("emil@corp.example \"Emil\" off aliases [] delegates []".into());
    expected.push("help@corp.example \"Help\" aliases [] members []".into());
    expected.sort();
    assert_eq!(nights.shown(), expected);
}

/// The findings, each with its address.
fn noted(report: &Report) -> Vec<String> {
    let notes = report.skipped.iter();
    let notes = notes.map(|note| format!("{}: {}", note.address, note.text));
    notes.collect()
}

async fn run_and_undo(nights: &Nights) -> (Report, Report) {
    let run = nights.night().await;
    assert_eq!(run.outcome, RunOutcome::InSync, "{run:#?}");
    let undo = nights.undo(&run, Mode::Apply).await.unwrap();
    (run, undo)
}

#[tokio::test]
async fn r37_undo_restores_what_was_before() {
    let nights = out_of_step().await;
    let before = nights.shown();
    let (run, undo) = run_and_undo(&nights).await;
    let mut kinds: Vec<ActionKind> = actions(&run).into_iter().map(|(kind, _)| kind).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            ActionKind::Create,
            ActionKind::Rename,
            ActionKind::Resume,
            ActionKind::Update,
            ActionKind::Suspend,
            ActionKind::Empty
        ]
    );
    assert_restored(&nights, &before);
    assert_eq!(undo.converged, Some(true), "{undo:#?}");
    // R23: the keys of accounts that were made by hand.
    let key = "the run wrote another sign-in key, which is not taken back (R23)";
    let anna_and_bert = ["anna.berg@corp.example", "bert@corp.example"];
    assert_eq!(noted(&undo), anna_and_bert.map(|it| format!("{it}: {key}")));
    assert_eq!(undo.outcome, RunOutcome::NeedsAttention);
    assert_eq!(undo.undoes.as_deref(), Some(run.id.as_str()));
}

#[tokio::test]
async fn r37_the_next_night_does_not_do_it_again_and_an_approval_does() {
    let nights = out_of_step().await;
    let before = nights.shown();
    let (run, _) = run_and_undo(&nights).await;
    nights.writes();
    let night = nights.night().await;
    assert_eq!(nights.writes(), [""; 0], "{night:#?}");
    assert_eq!(night.outcome, RunOutcome::NeedsAttention);
    assert_restored(&nights, &before);
    // Nothing failed.
    let changes = night.held.iter().flat_map(|set| &set.changes);
    let failed = changes.filter(|it| it.origin == Some(Origin::FailedBefore));
    assert_eq!(failed.count(), 0, "{night:#?}");
    assert!(
        held(&night).contains(&"Undone: emil@corp.example resume".to_owned()),
        "{:?}",
        held(&night)
    );
    assert!(night.held[0].reason.contains(&run.id));

    let approved = nights.approve(&night).await;
    assert_eq!(approved.outcome, RunOutcome::InSync, "{approved:#?}");
    let in_sync = nights.night().await;
    assert!(in_sync.actions.is_empty() && in_sync.held.is_empty());
    assert!(nights.user("anna.berg@corp.example").active);
    assert!(nights.user("emil@corp.example").active);
    assert!(!nights.user("dora@corp.example").active);
}

#[tokio::test]
async fn r37_an_undo_can_be_undone() {
    let nights = out_of_step().await;
    let run = nights.night().await;
    let after = nights.shown();
    let undo = nights.undo(&run, Mode::Apply).await.unwrap();
    assert_ne!(nights.shown(), after);
    let again = nights.undo(&undo, Mode::Apply).await.unwrap();
    assert_eq!(again.outcome, RunOutcome::Done, "{again:#?}");
    assert_eq!(nights.shown(), after);
    nights.writes();
    let night = nights.night().await;
    assert_eq!(night.outcome, RunOutcome::InSync, "{night:#?}");
    assert_eq!(nights.writes(), [""; 0]);
}

#[tokio::test]
async fn r37_what_changed_since_is_left_alone() {
    let mut nights = out_of_step().await;
    nights.set("SSO_ACCOUNT_KEY", "omit");
    let run = nights.night().await;
    nights.sandbox.zivver.with_state(|organisation| {
        organisation.user_mut("bert@corp.example").unwrap().name = "Bert by hand".into();
        let dora = organisation.user_mut("dora@corp.example").unwrap();
        dora.active = true;
    });
    let undo = nights.undo(&run, Mode::Apply).await.unwrap();
    assert_eq!(nights.user("bert@corp.example").name, "Bert by hand");
    assert!(nights.user("dora@corp.example").active);
    let texts: Vec<&str> = undo.skipped.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(
        texts,
        ["the run named it \"Bert\", which changed since"],
        "{undo:#?}"
    );
    assert_eq!(undo.outcome, RunOutcome::NeedsAttention);
}

#[tokio::test]
async fn r37_a_changed_source_is_done() {
    let nights = out_of_step().await;
    run_and_undo(&nights).await;
    nights.sandbox.exchange.with_state(|tenant| {
        let emil = tenant.mailbox_mut("emil@corp.example").unwrap();
        emil.display_name = "Emil Zola".into();
    });
    let night = nights.night().await;
    let emil = nights.user("emil@corp.example");
    assert_eq!((emil.name.as_str(), emil.active), ("Emil Zola", false));
    let is_held = |night: &Report| {
        held(night)
            .iter()
            .any(|it| it.contains("emil@corp.example resume"))
    };
    assert!(is_held(&night), "a name is not the source of a resume");
    for disabled in [true, false] {
        nights.sandbox.exchange.with_state(|tenant| {
            tenant
                .mailbox_mut("emil@corp.example")
                .unwrap()
                .account_disabled = Some(disabled);
        });
        assert!(!is_held(&nights.night().await));
    }
    assert!(nights.user("emil@corp.example").active);
    assert!(
        !nights.user("carl@corp.example").active,
        "his mailbox did not change"
    );
}

#[tokio::test]
async fn r37_an_undo_is_a_preview_unless_it_applies_and_has_the_same_guards() {
    let mut nights = out_of_step().await;
    nights.set("SSO_ACCOUNT_KEY", "omit");
    let run = nights.night().await;
    let after = nights.shown();
    nights.writes();
    let preview = nights.undo(&run, Mode::Preview).await.unwrap();
    assert_eq!(preview.outcome, RunOutcome::ChangesPending);
    assert_eq!((nights.shown(), nights.writes()), (after.clone(), vec![]));

    nights.set("MAX_SUSPEND", "0");
    let guarded = nights.undo(&run, Mode::Apply).await.unwrap();
    let suspends = [
        "Suspend: carl@corp.example suspend",
        "Suspend: desk@corp.example empty",
        "Suspend: emil@corp.example suspend",
        "Suspend: help@corp.example empty",
    ];
    assert_eq!(held(&guarded), suspends);
    assert!(nights.user("emil@corp.example").active);
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.approve = vec![guarded.held[0].code.clone()];
    // Another run has not shown the code: it would write everything that is not held.
    nights.writes();
    let code = &guarded.held[0].code;
    let other = nights.engine().run(&request).await.unwrap_err();
    assert_eq!(
        other.to_string(),
        format!(
            "the code \"{code}\" is not of this run: the undo of run {0} has shown it, which is approved with cloud-sync \
             undo {0} --apply --approve {code}; nothing was written (R27)",
            run.id
        )
    );
    assert_eq!(nights.writes(), [""; 0]);
    request.undo = RunId::parse(&run.id);
    let approved = nights.engine().run(&request).await.unwrap();
    assert_eq!(approved.outcome, RunOutcome::Done, "{approved:#?}");
    assert!(!nights.user("emil@corp.example").active);
}

#[tokio::test]
async fn r27_r37_a_code_of_an_ordinary_run_approves_nothing_in_an_undo() {
    let mut nights = out_of_step().await;
    nights.set("SSO_ACCOUNT_KEY", "omit");
    let run = nights.night().await;
    let undone = nights.undo(&run, Mode::Apply).await.unwrap();
    let night = nights.night().await;
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.approve = vec![night.held[0].code.clone()];
    request.undo = RunId::parse(&undone.id);
    nights.writes();
    let refused = nights.engine().run(&request).await.unwrap_err();
    assert!(
        refused.to_string().contains("no undo has shown it"),
        "{refused}"
    );
    assert_eq!(nights.writes(), [""; 0]);
}

#[tokio::test]
async fn r37_only_a_known_run_can_be_undone() {
    let nights = out_of_step().await;
    let mut request = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    request.undo = RunId::parse("20260101T000000Z-abcdef");
    let error = nights.engine().run(&request).await.unwrap_err();
    assert!(matches!(error, RunError::UnknownRun(_)), "{error}");
}

/// More people than can be written at once, each with a name to change.
async fn crowd(names: usize) -> Nights {
    let (mut tenant, mut organisation) = (
        Tenant::new("corp.example"),
        Organisation::new(["corp.example"]),
    );
    organisation.limiter.kind = LimiterKind::Off;
    for at in 0..names {
        let address = format!("user{at:02}@corp.example");
        tenant = tenant.mailbox(Mailbox::user(&address).with_display_name("New"));
        organisation.add_user(User::new(&address, "Old"));
    }
    Nights::begin(tenant, organisation).await
}

fn named(nights: &Nights, name: &str) -> usize {
    let state = nights.sandbox.zivver.state();
    state.users.iter().filter(|user| user.name == name).count()
}

fn undo_of(run: &Report) -> RunRequest {
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.undo = RunId::parse(&run.id);
    request
}

#[tokio::test]
async fn r34_an_undo_that_its_budget_cuts_off_goes_on_in_the_next_invocation() {
    let nights = crowd(80).await;
    let run = nights.night().await;
    assert_eq!(named(&nights, "New"), 80);
    let mut request = undo_of(&run);
    request.time_budget = Some(Duration::ZERO);
    let mut undone = Vec::new();
    let last = loop {
        let report = nights.engine().run(&request).await.unwrap();
        request.id = RunId::parse(&report.id);
        undone.push(named(&nights, "Old"));
        if report.state == RunState::Ended {
            break report;
        }
        assert!(report.remaining > 0 && undone.len() < 20, "{report:#?}");
    };
    assert!(
        undone.contains(&0) && undone.iter().any(|count| (1..80).contains(count)),
        "{undone:?}"
    );
    assert_eq!(named(&nights, "Old"), 80);
    assert_eq!((last.state, last.converged), (RunState::Ended, Some(true)));
    assert_eq!(last.undoes.as_deref(), Some(run.id.as_str()));
    assert_eq!(last.actions.len(), 80, "all invocations together");
    nights.writes();
    let night = nights.night().await;
    assert_eq!(nights.writes(), [""; 0], "{night:#?}");
}

/// A run, and its undo whose process ended half way.
async fn half_undone() -> (Nights, Report) {
    let mut nights = crowd(80).await;
    nights.set("LOCK_LEASE", "10s");
    let run = nights.night().await;
    nights.writes();
    let control = nights.sandbox.zivver.control();
    control.inject(Fault::always(FaultKind::HangBefore).method("PUT").after(40));
    {
        let (engine, request) = (nights.engine(), undo_of(&run));
        let half_way = async {
            while named(&nights, "Old") < 40 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = engine.run(&request) => panic!("{ended:?}"),
            () = half_way => {}
        }
    }
    control.clear_faults();
    (nights, run)
}

/// The lock of a killed run has yet to expire.
async fn patiently(nights: &Nights, mut request: RunRequest) -> Report {
    request.patience = Duration::from_secs(60);
    nights.engine().run(&request).await.unwrap()
}

#[tokio::test]
async fn r37_what_a_killed_undo_left_waits_for_a_person() {
    let (nights, run) = half_undone().await;
    let undo = nights.engine().history(1).await.unwrap().remove(0).id;
    let again = format!("cloud-sync undo {} --apply", run.id);
    let leave = format!("cloud-sync stop {undo}");
    for _ in 0..2 {
        let night = RunRequest::new(Mode::Apply, Trigger::Timer);
        let night = patiently(&nights, night).await;
        assert_eq!(night.error, None);
        assert_eq!(night.resumed_from, [""; 0], "{night:#?}");
        let problems = nights.engine().health().await.unwrap().problems;
        let listed = nights.engine().history(10).await.unwrap();
        let listed = listed.into_iter().find(|it| it.id == undo).unwrap();
        let listed = [listed.error.unwrap_or_default()];
        for texts in [&night.warnings[..], &problems, &listed] {
            let tells = |text: &String| text.contains(&again) && text.contains(&leave);
            assert!(texts.iter().any(tells), "{texts:?}");
        }
    }
    // A person leaves the rest as it is.
    let engine = nights.engine();
    let records = engine.records().await.unwrap();
    let id = RunId::parse(&undo).unwrap();
    let stopped = records.stop(&id, None).await.unwrap();
    assert_eq!(stopped.outcome, RunOutcome::Stopped);
    let night = nights.night().await;
    let names = |texts: &[String]| texts.iter().any(|text| text.contains(&undo));
    assert!(!names(&night.warnings), "{:?}", night.warnings);
    let problems = engine.health().await.unwrap().problems;
    assert!(!names(&problems), "{problems:?}");
    let report = records.report(&id).await.unwrap();
    let done = report.actions.iter().filter(|it| it.outcome.is_done());
    assert_eq!(done.count(), named(&nights, "Old"));
}

#[tokio::test]
async fn r35_an_undo_that_was_killed_half_way_is_completed_by_undoing_again() {
    let (nights, run) = half_undone().await;
    let again = patiently(&nights, undo_of(&run)).await;
    assert_eq!(named(&nights, "Old"), 80);
    assert_eq!(again.resumed_from.len(), 1);
    assert_eq!(
        (again.state, again.converged),
        (RunState::Ended, Some(true))
    );
    nights.writes();
    let night = nights.night().await;
    assert_eq!(nights.writes(), [""; 0], "{night:#?}");
    assert_eq!(night.counts.held, 80, "{night:#?}");
}

#[tokio::test]
async fn r37_without_the_sso_key_everything_comes_back_and_no_key_is_sent() {
    let mut nights = out_of_step().await;
    nights.set("SSO_ACCOUNT_KEY", "omit");
    let before = nights.shown();
    let (_, undo) = run_and_undo(&nights).await;
    assert_restored(&nights, &before);
    assert_eq!(undo.converged, Some(true), "{undo:#?}");
    assert_eq!(undo.outcome, RunOutcome::Done);
    let journal = nights.sandbox.zivver.control().journal();
    assert!(
        journal
            .iter()
            .all(|entry| !entry.body.contains("SsoAccountKey"))
    );
    nights.writes();
    let night = nights.night().await;
    assert_eq!(nights.writes(), [""; 0], "{night:#?}");
}

/// Two people with access to accounts of others, and a run that takes it from them and renames one of them.
async fn access_taken() -> (Nights, Report) {
    let people = ["anna", "bert", "carl", "eve"].map(|it| format!("{it}@corp.example"));
    let desk = Mailbox::shared("desk@corp.example")
        .opened_by("carl@corp.example")
        .opened_by("eve@corp.example");
    let mut tenant = Tenant::new("corp.example").mailbox(desk);
    for person in &people {
        let mailbox = Mailbox::user(person);
        tenant = tenant.mailbox(match person.as_str() {
            "anna@corp.example" => mailbox.opened_by("bert@corp.example"),
            _ => mailbox,
        });
    }
    let mut nights = Nights::begin(tenant, Organisation::new(["corp.example"])).await;
    nights.night().await;
    nights.pass_hours(25);
    nights.sandbox.exchange.with_state(|tenant| {
        let anna = tenant.mailbox_mut("anna@corp.example").unwrap();
        anna.permissions.clear();
        anna.display_name = "Anna".into();
        let desk = tenant.mailbox_mut("desk@corp.example").unwrap();
        desk.permissions.retain(|it| it.user != "eve@corp.example");
    });
    let run = nights.night().await;
    assert_eq!(run.outcome, RunOutcome::InSync, "{run:#?}");
    assert_eq!(run.actions.len(), 2, "{run:#?}");
    nights.pass_hours(25);
    (nights, run)
}

/// New people have the addresses of anna and eve, and an approval gives them the accounts.
async fn handed_over(nights: &mut Nights) -> Report {
    nights.sandbox.exchange.with_state(|tenant| {
        for person in ["anna", "eve"] {
            let mailbox = tenant.mailbox_mut(&format!("{person}@corp.example"));
            let mailbox = mailbox.unwrap();
            let next = Mailbox::user(&format!("next.{person}@corp.example"));
            (mailbox.edoid, mailbox.guid) = (next.edoid, next.guid);
        }
        let anna = tenant.mailbox_mut("anna@corp.example").unwrap();
        anna.display_name = "Anna the Next".into();
    });
    let night = nights.night().await;
    let approved = nights.approve(&night).await;
    assert_eq!(approved.outcome, RunOutcome::InSync, "{approved:#?}");
    nights.pass_hours(25);
    approved
}

/// A preview and an apply of the undo write nothing, and both say what is left.
async fn assert_left(nights: &Nights, run: &Report, expected: &[&str]) {
    let before = nights.shown();
    nights.writes();
    for mode in [Mode::Preview, Mode::Apply] {
        let undo = nights.undo(run, mode).await.unwrap();
        assert_eq!(noted(&undo), expected);
        assert_eq!(undo.outcome, RunOutcome::NeedsAttention, "{undo:#?}");
    }
    assert_eq!((nights.writes(), nights.shown()), (vec![], before));
    let night = nights.night().await;
    assert_eq!(night.outcome, RunOutcome::InSync, "{night:#?}");
}

#[tokio::test]
async fn r16_r37_an_undo_changes_nothing_that_belongs_to_another_person_by_then() {
    let (mut nights, run) = access_taken().await;
    handed_over(&mut nights).await;
    let expected = [
        "anna@corp.example: its account belongs to another object id now, so nothing is undone on it (R16)",
        "desk@corp.example: eve@corp.example does not become its delegate again: its account belongs to another object id now (R16)",
    ];
    assert_left(&nights, &run, &expected).await;
}

#[tokio::test]
async fn r16_r37_an_undo_names_the_accounts_that_the_run_gave_to_other_people() {
    let (mut nights, _) = access_taken().await;
    let run = handed_over(&mut nights).await;
    assert_eq!(nights.user("anna@corp.example").name, "Anna the Next");
    let text = "the run gave its account to another object id, which is not taken back, so nothing is undone on it (R16)";
    let expected = ["anna", "eve"].map(|it| format!("{it}@corp.example: {text}"));
    assert_left(&nights, &run, &expected.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn r16_r37_an_account_that_was_created_for_another_person_is_not_suspended() {
    let mut nights = Nights::begin(
        Tenant::new("corp.example").mailbox(Mailbox::user("anna@corp.example")),
        Organisation::new(["corp.example"]),
    )
    .await;
    let run = nights.night().await;
    nights.sandbox.exchange.with_state(|tenant| {
        let eve = Mailbox::user("eve@corp.example");
        tenant.mailboxes.push(eve);
    });
    nights.night().await;
    handed_over(&mut nights).await;
    let expected = [
        "anna@corp.example: its account belongs to another object id now, so nothing is undone on it (R16)",
    ];
    assert_left(&nights, &run, &expected).await;
}

#[tokio::test]
async fn r22_r37_a_delegate_who_gets_an_address_back_keeps_access() {
    let tenant = ["anna", "bert"]
        .into_iter()
        .fold(Tenant::new("corp.example"), |tenant, it| {
            let mailbox = Mailbox::user(&format!("{it}@corp.example"));
            tenant.mailbox(if it == "bert" {
                mailbox.opened_by("anna@corp.example")
            } else {
                mailbox
            })
        });
    let mut nights = Nights::begin(tenant, Organisation::new(["corp.example"])).await;
    nights.sandbox.zivver.with_state(|organisation| {
        organisation.switches.delegates_follow_rename = false;
    });
    nights.night().await;
    nights.pass_hours(25);
    let before = nights.shown();
    nights.sandbox.exchange.with_state(|tenant| {
        let anna = tenant.mailbox_mut("anna@corp.example").unwrap();
        anna.primary_smtp_address = "anna.b@corp.example".into();
        anna.email_addresses = vec!["SMTP:anna.b@corp.example".into()];
        let bert = tenant.mailbox_mut("bert@corp.example").unwrap();
        bert.permissions[0].user = "anna.b@corp.example".into();
    });
    let (_, undo) = run_and_undo(&nights).await;
    assert_eq!(nights.shown(), before);
    assert_eq!(undo.outcome, RunOutcome::Done, "{undo:#?}");
    let night = nights.night().await;
    let rename = "Undone: anna@corp.example rename";
    assert_eq!(held(&night), [rename], "{night:#?}");
}
