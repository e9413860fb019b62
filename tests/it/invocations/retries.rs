//! Which failures of a tick the host tries again, and what the later tries do and report (R28).

use std::time::Duration;

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger as StartedBy},
        plan::ActionKind,
        report::{RunOutcome, RunState},
    },
    engine::{RunError, RunRequest},
    functions::{Answer, App, Invocation, Message, Trigger},
    sandbox::control::{Fault, FaultKind},
    settings::Settings,
    state::RunId,
};

use tokio::time::Instant;

use super::{Bench, busy, called, newcomers, request, try_of};
use crate::state::faults::Fault as Weather;

async fn has_failed(app: &App, count: u32) -> bool {
    let answer = try_of(app, "all tries have one", count).await;
    matches!(answer, Answer::Failure { .. })
}

fn refuse_sign_in(bench: &Bench) {
    let refused = FaultKind::Status {
        status: 403,
        headers: Vec::new(),
        body: String::new(),
    };
    let exchange = bench.world.sandbox.exchange.control();
    exchange.inject(Fault::always(refused).path("Mailbox?"));
}

#[tokio::test]
async fn r28_settings_that_cannot_be_used_fail_a_tick_once() {
    let settings = Settings::read(|_| None, &[]);
    let app = App::new(Err(settings.unwrap_err()));
    assert!(has_failed(&app, 0).await);
    for count in 1..=3 {
        assert!(!has_failed(&app, count).await, "{count}");
    }
    assert!(has_failed(&app, 0).await, "the next night");
}

#[tokio::test]
async fn r28_a_refused_sign_in_is_not_tried_again() {
    let bench = Bench::open(newcomers(2), &[]).await;
    refuse_sign_in(&bench);
    let app = bench.app();
    assert!(has_failed(&app, 0).await);
    let exchange = bench.world.sandbox.exchange.control();
    let asked = exchange.journal().len();
    for count in 1..=3 {
        assert!(!has_failed(&app, count).await, "{count}");
    }
    assert_eq!(exchange.journal().len(), asked, "it costs nothing");
    assert_eq!(bench.engine(None).history(10).await.unwrap().len(), 1);
    assert!(has_failed(&app, 0).await, "the next night");
}

#[tokio::test(start_paused = true)]
async fn r28_a_service_that_is_back_ends_the_night_well() {
    service_is_back("true", 2).await;
    service_is_back("false", 0).await;
}

async fn service_is_back(perform_sync: &str, created: usize) {
    let bench = Bench::open(newcomers(2), &[("PERFORM_SYNC", perform_sync)]).await;
    let exchange = bench.world.sandbox.exchange.control();
    exchange.inject(Fault::always(busy(503, 1)).path("Mailbox?"));
    let app = bench.app();
    for count in 0..3 {
        assert!(has_failed(&app, count).await, "{count}");
    }
    exchange.clear_faults();
    assert!(!has_failed(&app, 3).await);
    assert_eq!(bench.users().len(), created);
    let runs = bench.engine(None).history(10).await.unwrap();
    assert_eq!(runs.len(), 1, "all tries are one run: {runs:?}");
    assert_eq!((runs[0].state, &runs[0].error), (RunState::Ended, &None));
}

#[tokio::test(start_paused = true)]
async fn r28_the_report_of_a_tick_sums_up_what_all_its_tries_did() {
    let bench = Bench::open(newcomers(12), &[]).await;
    let zivver = bench.world.sandbox.zivver.control();
    let reset = || Fault::always(FaultKind::ResetBefore);
    zivver.inject(reset().method("POST").after(5));
    zivver.inject(reset().method("GET").after(2));
    let app = bench.app();
    assert!(has_failed(&app, 0).await);
    assert_eq!(bench.users().len(), 5);
    let engine = bench.engine(None);
    let failed = engine.history(10).await.unwrap().remove(0);
    assert_eq!(failed.outcome, RunOutcome::Failed);
    assert!(has_failed(&app, 1).await, "it is away still");

    zivver.clear_faults();
    // A new process, as after a crash between two tries.
    assert!(!has_failed(&bench.app(), 2).await);
    let runs = engine.history(10).await.unwrap();
    assert_eq!((runs.len(), &runs[0].id), (1, &failed.id));
    let report = engine.report(&RunId::parse(&failed.id).unwrap()).await;
    let report = report.unwrap();
    assert_eq!(
        (report.outcome, report.error, report.converged),
        (RunOutcome::InSync, None, Some(true))
    );
    assert_eq!((report.actions.len(), report.counts.failed), (12, 0));
    assert_eq!(report.counts.applied[&ActionKind::Create], 12);

    // A run that ended successfully is not repeated, and the next night has a new run.
    assert!(!has_failed(&app, 3).await);
    assert_eq!(engine.history(10).await.unwrap().len(), 1);
    assert!(!has_failed(&app, 0).await);
    assert_eq!(engine.history(10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn r28_storage_that_is_back_ends_the_night_well() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let app = bench.app();
    bench.weather.suffers(Weather::Down);
    assert!(has_failed(&app, 0).await);
    bench.weather.suffers(Weather::None);
    assert!(!has_failed(&app, 1).await);
    assert_eq!(bench.users().len(), 2);
    let runs = bench.engine(None).history(10).await.unwrap();
    assert_eq!((runs.len(), runs[0].state), (1, RunState::Ended));
}

/// Storage comes back between the end of the run and the record of its failure.
#[tokio::test]
async fn r28_a_try_that_cannot_save_its_end_and_the_next_try_are_one_run() {
    let bench = Bench::open(newcomers(12), &[]).await;
    let app = bench.app();
    bench.weather.suffers(Weather::NoReport);
    assert!(has_failed(&app, 0).await);
    let engine = bench.engine(None);
    let failed = engine.history(10).await.unwrap();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].outcome, RunOutcome::Failed);
    assert_eq!(bench.users().len(), 12);

    bench.weather.suffers(Weather::None);
    assert!(!has_failed(&app, 1).await);
    let runs = engine.history(10).await.unwrap();
    assert_eq!((runs.len(), &runs[0].id), (1, &failed[0].id));
    let report = engine.report(&RunId::parse(&runs[0].id).unwrap()).await;
    let report = report.unwrap();
    assert_eq!(
        (report.outcome, report.error),
        (RunOutcome::InSync, None),
        "{:?}",
        report.warnings
    );
    assert_eq!(report.counts.applied[&ActionKind::Create], 12);
}

/// If there is no next try, the next apply completes the report of what the run did.
#[tokio::test]
async fn r35_a_run_that_could_not_save_its_end_is_settled_by_the_next_apply() {
    let bench = Bench::open(newcomers(12), &[]).await;
    let app = bench.app();
    bench.weather.suffers(Weather::NoReport);
    assert!(has_failed(&app, 0).await);
    bench.weather.suffers(Weather::None);
    let tonight = try_of(&app, "the next night", 0).await;
    assert!(matches!(tonight, Answer::Success(_)), "{tonight:?}");
    let engine = bench.engine(None);
    let runs = engine.history(10).await.unwrap();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!(runs[1].counts.applied[&ActionKind::Create], 12);
}

/// The end of the run was saved, but the answer of the storage was lost.
#[tokio::test]
async fn r28_a_failure_that_the_history_refutes_is_told_no_longer() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let app = bench.app();
    bench.weather.suffers(Weather::DownAfterEnd);
    assert!(has_failed(&app, 0).await);
    bench.weather.suffers(Weather::None);
    assert!(!has_failed(&app, 1).await);
    let health = called(&app, request("GET", "/health", &[], None)).await;
    assert_eq!(health.status, 200, "{}", health.body);
    let engine = bench.engine(None);
    let runs = engine.history(10).await.unwrap();
    assert_eq!((runs.len(), runs[0].outcome), (1, RunOutcome::InSync));

    // The same if the storage is back before the failure is recorded.
    let request = RunRequest {
        id: RunId::parse(&runs[0].id),
        ..RunRequest::new(Mode::Apply, StartedBy::Timer)
    };
    let error = RunError::UnknownRun("the answer is lost".into());
    engine.record_failed_tick(&request, &error).await;
    assert_eq!(engine.history(10).await.unwrap(), runs);
}

/// It cannot be recorded, so only this process knows that it was reported.
#[tokio::test]
async fn r28_refused_storage_fails_a_tick_once() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let app = bench.app();
    bench.weather.suffers(Weather::Refused);
    assert!(has_failed(&app, 0).await);
    for count in 1..=3 {
        assert!(!has_failed(&app, count).await, "{count}");
    }
    bench.weather.suffers(Weather::None);
    assert!(!has_failed(&app, 4).await);
    assert_eq!(bench.users().len(), 2);
}

/// A process that was started after a kill does not know whether a failure was reported.
#[tokio::test]
async fn r28_a_failure_of_a_new_process_is_told() {
    let bench = Bench::open(newcomers(2), &[]).await;
    refuse_sign_in(&bench);
    let app = bench.app();
    assert!(has_failed(&app, 1).await);
    assert!(!has_failed(&app, 2).await);
}

/// A tick that was passed to the queue.
async fn queued_tick(bench: &Bench) -> Message {
    let request = RunRequest::new(Mode::Apply, StartedBy::Timer);
    Message {
        run: bench.engine(None).enqueue(&request).await.unwrap(),
        mode: request.mode,
    }
}

/// The number of failed deliveries of a message, before the one that succeeds or the last.
async fn deliveries(app: &App, message: &Message, mut after: impl FnMut(u32)) -> u32 {
    for delivery in 1..=5 {
        let invocation = Invocation {
            id: "i".into(),
            trigger: Trigger::Queue(message.clone()),
        };
        if let Answer::Success(success) = app.handle(invocation).await {
            assert_eq!(success.next, []);
            return delivery - 1;
        }
        after(delivery);
        // `visibilityTimeout`
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    5
}

#[tokio::test(start_paused = true)]
async fn r29_a_tick_in_the_queue_outlasts_a_service_that_is_away_for_15_minutes() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let message = queued_tick(&bench).await;
    let exchange = bench.world.sandbox.exchange.control();
    exchange.inject(Fault::always(busy(503, 1)).path("Mailbox?"));
    let began = Instant::now();
    let app = bench.app();
    let failed = deliveries(&app, &message, |delivery| {
        if delivery == 4 {
            exchange.clear_faults();
        }
    })
    .await;
    assert_eq!(failed, 4);
    assert!(began.elapsed() > Duration::from_secs(15 * 60));
    assert_eq!(bench.users().len(), 2);
    let runs = bench.engine(None).history(10).await.unwrap();
    assert_eq!((runs.len(), runs[0].error.as_deref()), (1, None));
    assert_eq!(deliveries(&app, &message, |_| {}).await, 0);
}

#[tokio::test(start_paused = true)]
async fn r29_a_tick_in_the_queue_outlasts_storage_that_is_away_for_15_minutes() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let message = queued_tick(&bench).await;
    bench.weather.suffers(Weather::Down);
    let began = Instant::now();
    let failed = deliveries(&bench.app(), &message, |delivery| {
        if delivery == 4 {
            bench.weather.suffers(Weather::None);
        }
    })
    .await;
    assert_eq!(failed, 4);
    assert!(began.elapsed() > Duration::from_secs(15 * 60));
    assert_eq!(bench.users().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r28_a_refused_sign_in_is_not_delivered_again() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let message = queued_tick(&bench).await;
    refuse_sign_in(&bench);
    let began = Instant::now();
    assert_eq!(deliveries(&bench.app(), &message, |_| {}).await, 0);
    assert!(began.elapsed() < Duration::from_secs(60));
}
