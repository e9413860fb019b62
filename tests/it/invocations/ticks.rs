//! Which runs the schedule continues (R28, R34).

use std::sync::Arc;

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        mode::{Mode, Trigger},
        report::{RunOutcome, RunState},
    },
    engine::RunRequest,
    functions::Answer,
    sandbox::control::{Fault, FaultKind},
    state::{RunId, State},
};
use tokio::task::JoinSet;

use super::{Bench, apply, at, hours_ago, ms, newcomers, tick};
use crate::state::faults::Fault as Weather;

#[tokio::test]
async fn r34_a_tick_goes_on_with_a_run_that_writes_for_everybody() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let id = bench
        .recorded(&apply(), RunState::Continues, &hours_ago(1))
        .await;
    assert!(matches!(tick(&bench.app()).await, Answer::Success(_)));
    let runs = bench.engine(None).history(10).await.unwrap();
    assert_eq!((runs.len(), &runs[0].id), (1, &id.to_string()));
    assert_eq!(runs[0].state, RunState::Ended);
    assert_eq!(bench.users().len(), 2);
}

#[tokio::test]
async fn r28_a_tick_goes_on_with_nothing_else_instead_of_the_nightly_run() {
    let preview = RunRequest::new(Mode::Preview, Trigger::Http);
    let mut scoped = apply();
    scoped.accounts = [SmtpAddress::parse(&at("person00")).unwrap()].into();
    let mut undo = apply();
    undo.undo = RunId::parse("20261123T020000Z-0b5e77");
    for other in [preview, scoped, undo] {
        let bench = Bench::open(newcomers(2), &[]).await;
        bench
            .recorded(&other, RunState::Continues, &hours_ago(1))
            .await;
        assert!(matches!(tick(&bench.app()).await, Answer::Success(_)));
        let runs = bench.engine(None).history(10).await.unwrap();
        assert_eq!(
            (runs[0].trigger, runs[0].mode),
            (Trigger::Timer, Mode::Apply),
            "{other:?}"
        );
        assert_eq!(bench.users().len(), 2, "{other:?}");
    }
}

#[tokio::test]
async fn r27_a_run_whose_code_is_gone_ends_and_the_next_tick_begins_one() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let mut approved = apply();
    approved.approve = vec!["0123456789".into()];
    let id = bench
        .recorded(&approved, RunState::Continues, &hours_ago(1))
        .await;
    let app = bench.app();
    assert!(matches!(tick(&app).await, Answer::Failure { .. }));
    let ended = bench.engine(None).summary(&id).await.unwrap().unwrap();
    assert_eq!(
        (ended.state, ended.outcome),
        (RunState::Ended, RunOutcome::Failed)
    );
    assert!(matches!(tick(&app).await, Answer::Success(_)));
    assert_eq!(bench.users().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_answers_that_another_process_kept_meanwhile_are_kept() {
    let bench = Bench::open(newcomers(60), &[]).await;
    let exchange = bench.world.sandbox.exchange.control();
    let slow = FaultKind::Delay { millis: 400 };
    exchange.inject(Fault::always(slow).path("MailboxPermission"));
    let mut preview = RunRequest::new(Mode::Preview, Trigger::Http);
    let id = bench
        .recorded(&preview, RunState::Continues, &hours_ago(1))
        .await;
    preview.id = Some(id.clone());
    preview.time_budget = Some(ms(500));
    bench.weather.suffers(Weather::LateCreation);
    let engine = bench.engine(None);
    let mut running = JoinSet::new();
    running.spawn(async move { engine.run(&preview).await.unwrap() });
    while !bench.weather.holds_somebody_up() {
        tokio::time::sleep(ms(10)).await;
    }
    let other = State::over(Arc::clone(&bench.store), "the test");
    let answers: Vec<u8> = Vec::new();
    other.checkpoint(&id).append(&answers).await.unwrap();
    bench.weather.let_through();
    let report = running.join_next().await.unwrap().unwrap();
    assert_eq!((report.state, report.error), (RunState::Continues, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_a_try_that_fails_keeps_the_answers_of_the_tries_before_it() {
    let bench = Bench::open(newcomers(60), &[]).await;
    let exchange = bench.world.sandbox.exchange.control();
    let mut preview = RunRequest::new(Mode::Preview, Trigger::Timer);
    let id = bench
        .recorded(&preview, RunState::Continues, &hours_ago(1))
        .await;
    preview.id = Some(id);
    preview.time_budget = Some(ms(500));
    exchange.inject(Fault::always(FaultKind::Delay { millis: 200 }).path("MailboxPermission"));
    let begun = bench.engine(None).run(&preview).await.unwrap();
    assert_eq!((begun.state, begun.error), (RunState::Continues, None));

    exchange.clear_faults();
    preview.time_budget = None;
    exchange.inject(Fault::always(FaultKind::HtmlError { status: 200 }).path("Mailbox?"));
    let failed = bench.engine(None).run(&preview).await.unwrap();
    assert_eq!(failed.outcome, RunOutcome::Failed);

    exchange.clear_faults();
    exchange.clear_journal();
    let ended = bench.engine(None).run(&preview).await.unwrap();
    assert_eq!((ended.state, ended.error), (RunState::Ended, None));
    let journal = exchange.journal();
    let reads = journal
        .iter()
        .filter(|call| call.path.contains("MailboxPermission"))
        .count();
    assert!(reads < 60, "{reads}");
}
