//! A tick that finds the lock taken (R29).

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger as StartedBy},
        report::RunState,
    },
    engine::RunSummary,
    functions::{Answer, App, Invocation, Message, Success, Trigger},
    state::{
        RunId,
        lock::{Acquired, LockGuard, Owner},
    },
};

use super::{Bench, LEASE, apply, called, hours_ago, json, newcomers, request, tick};

async fn somebody_writes(bench: &Bench) -> LockGuard {
    let owner = Owner::of(RunId::new(jiff::Timestamp::now()), |_| None);
    match bench.state.lock(LEASE).acquire(&owner).await.unwrap() {
        Acquired::Mine(guard) => guard,
        Acquired::Held(holder) => panic!("{holder}"),
    }
}

fn success(answer: Answer) -> Success {
    match answer {
        Answer::Success(success) => success,
        Answer::Failure { cause } => panic!("{cause}"),
    }
}

async fn delivered(app: &App, message: &Message) -> Success {
    let invocation = Invocation {
        id: "i".into(),
        trigger: Trigger::Queue(message.clone()),
    };
    success(app.handle(invocation).await)
}

async fn history(bench: &Bench) -> Vec<RunSummary> {
    bench.engine(None).history(10).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_tick_that_finds_the_lock_taken_hands_its_run_to_the_queue() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let guard = somebody_writes(&bench).await;
    let app = bench.app();
    let handed_over = success(tick(&app).await);
    let [message] = &handed_over.next[..] else {
        panic!("{:?}", handed_over.next);
    };
    assert_eq!(message.mode, Mode::Apply);
    let held = bench.engine(None).run(&apply()).await.unwrap_err();
    let line = held.to_string();
    assert!(
        line.contains("another run writes already: run ")
            && line.contains(", until ")
            && line.contains(" unless renewed"),
        "it says until when the lock can hold: {line}"
    );
    let runs = history(&bench).await;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].id, message.run.as_str());
    assert_eq!(
        (runs[0].state, runs[0].trigger, runs[0].mode),
        (RunState::Queued, StartedBy::Timer, Mode::Apply)
    );
    let health = json(&called(&app, request("GET", "/health", &[], None)).await);
    assert_eq!(health["last_run"]["state"], "queued", "{health}");

    // The first message may be lost: the host may have died, or the queue may have refused it.
    let again = success(tick(&app).await);
    assert_eq!(again.next, handed_over.next, "the same run");
    assert_eq!(history(&bench).await.len(), 1);

    guard.release().await.unwrap();
    for message in [message, &again.next[0]] {
        assert_eq!(delivered(&app, message).await.next, []);
        assert_eq!(bench.users().len(), 2);
    }
    let runs = history(&bench).await;
    assert_eq!(
        (runs.len(), runs[0].state, runs[0].trigger),
        (1, RunState::Ended, StartedBy::Timer)
    );
}

/// Its message may be lost.
#[tokio::test(flavor = "multi_thread")]
async fn r29_the_next_tick_goes_on_with_a_run_that_waits() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let guard = somebody_writes(&bench).await;
    let app = bench.app();
    let handed_over = success(tick(&app).await);
    guard.release().await.unwrap();
    success(tick(&app).await);
    assert_eq!(bench.users().len(), 2);
    let runs = history(&bench).await;
    assert_eq!((runs.len(), runs[0].state), (1, RunState::Ended));
    let repeated = delivered(&app, &handed_over.next[0]).await;
    assert_eq!(repeated.next, []);
    assert_eq!(history(&bench).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_what_a_person_queued_is_not_taken_for_the_run_of_a_tick() {
    let bench = Bench::open(newcomers(2), &[]).await;
    bench
        .recorded(&apply(), RunState::Queued, &hours_ago(1))
        .await;
    let guard = somebody_writes(&bench).await;
    let app = bench.app();
    let first = success(tick(&app).await).next;
    assert_eq!(success(tick(&app).await).next, first);
    assert_eq!(history(&bench).await.len(), 2);
    guard.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_preview_of_the_timer_needs_no_lock() {
    let bench = Bench::open(newcomers(2), &[("PERFORM_SYNC", "false")]).await;
    let guard = somebody_writes(&bench).await;
    assert_eq!(success(tick(&bench.app()).await).next, []);
    let runs = history(&bench).await;
    assert_eq!(
        (runs[0].mode, runs[0].state),
        (Mode::Preview, RunState::Ended)
    );
    guard.release().await.unwrap();
}
