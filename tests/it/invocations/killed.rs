//! A killed apply, before the next apply has completed its record (R35).

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger as StartedBy},
        plan::ActionKind,
        report::RunState,
    },
    engine::RunRequest,
    functions::Answer,
    sandbox::control::{Fault, FaultKind},
    state::{
        RunId,
        lock::{Acquired, Owner},
    },
};

use super::{Bench, LEASE, apply, called, hours_ago, ms, newcomers, request, tick};

#[tokio::test(start_paused = true)]
async fn r35_a_tick_continues_the_run_of_the_schedule_whose_process_ended() {
    let bench = Bench::open(newcomers(90), &[]).await;
    let zivver = bench.world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::Delay { millis: 1000 }).method("POST"));
    {
        let scheduled = RunRequest::new(Mode::Apply, StartedBy::Timer);
        let engine = bench.engine(Some(LEASE));
        let killed = tokio::time::timeout(ms(1500), engine.run(&scheduled)).await;
        assert!(killed.is_err(), "it is in the middle");
    }
    let created = bench.users().len();
    assert!((1..90).contains(&created), "{created}");
    // On this clock waiting takes no time, but the clock of the store is real.
    std::thread::sleep(LEASE.length + LEASE.margin * 2);

    let answer = tick(&bench.app()).await;

    assert!(matches!(answer, Answer::Success(_)), "{answer:?}");
    let engine = bench.engine(None);
    let history = engine.history(10).await.unwrap();
    assert_eq!(history.len(), 1, "{history:?}");
    let report = engine.report(&RunId::parse(&history[0].id).unwrap()).await;
    let report = report.unwrap();
    assert_eq!((report.error, report.converged), (None, Some(true)));
    assert_eq!(report.counts.applied[&ActionKind::Create], 90);
}

/// If no run may write any more, no apply completes its record, and only its history shows it.
#[tokio::test]
async fn r28_a_killed_apply_is_no_trouble_once_another_run_has_succeeded() {
    for (perform_sync, status) in [("false", 200), ("on-demand", 200), ("true", 503)] {
        let bench = Bench::open(newcomers(2), &[("PERFORM_SYNC", perform_sync)]).await;
        bench
            .recorded(&apply(), RunState::Running, &hours_ago(2))
            .await;
        let app = bench.app();
        let preview = RunRequest::new(Mode::Preview, StartedBy::Timer);
        bench.engine(None).run(&preview).await.unwrap();
        let health = called(&app, request("GET", "/health", &[], None)).await;
        assert_eq!(health.status, status, "{perform_sync} {}", health.body);
    }
}

#[tokio::test]
async fn r35_a_killed_apply_is_told_as_such_before_the_next_has_looked_after_it() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let engine = bench.engine(None);
    let app = bench.app();
    let id = bench
        .recorded(&apply(), RunState::Running, &hours_ago(1))
        .await;
    let told = "its process ended; the next full apply for all accounts continues its work (R35)";
    for error in [
        engine.history(10).await.unwrap()[0].error.clone(),
        engine.report(&id).await.unwrap().error,
    ] {
        assert_eq!(error.as_deref(), Some(told));
    }
    let health = called(&app, request("GET", "/health", &[], None)).await;
    assert_eq!(health.status, 503);
    assert!(health.body.contains(told), "{}", health.body);
    let stored = engine.summary(&id).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.error), (RunState::Running, None));

    // A run that has the lock is alive.
    let lock = bench.state.lock(LEASE);
    let owner = Owner::of(id.clone(), |_| None);
    let Acquired::Mine(guard) = lock.acquire(&owner).await.unwrap() else {
        panic!("nobody has it");
    };
    assert_eq!(engine.history(10).await.unwrap()[0].error, None);
    let health = called(&app, request("GET", "/health", &[], None)).await;
    assert_eq!(health.status, 200, "{}", health.body);
    guard.release().await.unwrap();

    engine.run(&apply()).await.unwrap();
    let ended = engine.summary(&id).await.unwrap().unwrap();
    assert_eq!(ended.state, RunState::Ended);
    let health = called(&app, request("GET", "/health", &[], None)).await;
    assert_eq!(health.status, 200, "{}", health.body);
}

#[tokio::test(start_paused = true)]
async fn r35_a_killed_apply_reports_what_it_did_before_and_after_another_takes_up_its_work() {
    let bench = Bench::open(newcomers(90), &[]).await;
    let zivver = bench.world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::Delay { millis: 1000 }).method("POST"));
    let engine = bench.engine(Some(LEASE));
    let killed = tokio::time::timeout(ms(1500), engine.run(&apply())).await;
    assert!(killed.is_err(), "it is in the middle");
    let created = bench.users().len();
    assert!((1..90).contains(&created), "{created}");
    std::thread::sleep(LEASE.length + LEASE.margin * 2);
    // The history treats a lock as held until a minute after its end.
    tokio::time::advance(ms(70_000)).await;

    let id = engine.history(1).await.unwrap().remove(0).id;
    let id = RunId::parse(&id).unwrap();
    for is_taken_up in [false, true] {
        if is_taken_up {
            engine.run(&apply()).await.unwrap();
        }
        let report = engine.report(&id).await.unwrap();
        let told = report.counts.applied.get(&ActionKind::Create);
        let told = told.copied().unwrap_or(0) as usize;
        // The journal has no outcome of an action that was half done, but Zivver shows the account.
        let known = if is_taken_up {
            created..=created
        } else {
            0..=created
        };
        assert!(known.contains(&told), "{is_taken_up}: {told} of {created}");
        assert_eq!(told + report.remaining as usize, 90, "{is_taken_up}");
        let history = engine.history(10).await.unwrap();
        let line = history.iter().find(|run| run.id == id.as_str()).unwrap();
        assert_eq!(
            (&line.counts, line.remaining),
            (&report.counts, report.remaining)
        );
        assert!(line.error.is_some());
    }
}
