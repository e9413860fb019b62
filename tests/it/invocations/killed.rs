//! A killed apply, before the next apply has completed its record (R35).

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger as StartedBy},
        plan::ActionKind,
        report::{RunOutcome, RunState},
    },
    engine::RunRequest,
    functions::{Answer, Invocation, Message, Trigger},
    sandbox::control::{Fault, FaultKind},
    state::{
        RunId,
        lock::{Acquired, Owner},
    },
};
use object_store::{ObjectStoreExt as _, path::Path};

use super::{Bench, LEASE, apply, called, hours_ago, json, ms, newcomers, request, tick, try_of};

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

/// Kills the run in the middle, when it has created a part of 90 accounts, and waits until its lock can be taken.
async fn kill(bench: &Bench, request: &RunRequest) -> RunId {
    let zivver = bench.world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::Delay { millis: 1000 }).method("POST"));
    let engine = bench.engine(Some(LEASE));
    let killed = tokio::time::timeout(ms(2500), engine.run(request)).await;
    assert!(killed.is_err(), "it is in the middle");
    let created = bench.users().len();
    assert!((1..90).contains(&created), "{created}");
    std::thread::sleep(LEASE.length + LEASE.margin * 2);
    RunId::parse(&engine.history(1).await.unwrap()[0].id).unwrap()
}

/// The stopped run reports what it did, the next one makes the rest.
async fn is_complete(bench: &Bench, stopped: &RunId, created: usize) {
    let engine = bench.engine(None);
    let report = engine.report(stopped).await.unwrap();
    assert_eq!(
        (report.state, report.outcome, report.error),
        (RunState::Ended, RunOutcome::Stopped, None)
    );
    assert!(report.stopped_by.is_some());
    assert_eq!(report.counts.applied[&ActionKind::Create] as usize, created);
    assert_eq!(report.remaining as usize, 90 - created);
    let runs = engine.history(10).await.unwrap();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!(runs[0].outcome, RunOutcome::InSync);
    let rest = runs[0].counts.applied[&ActionKind::Create] as usize;
    assert_eq!(rest, 90 - created);
}

#[tokio::test(start_paused = true)]
async fn r34_a_killed_run_that_is_stopped_ends_and_the_next_tick_is_a_run_of_its_own() {
    for seems_alive in [false, true] {
        let bench = Bench::open(newcomers(90), &[]).await;
        let app = bench.app();
        let scheduled = RunRequest {
            tick: Some("first night".into()),
            ..RunRequest::new(Mode::Apply, StartedBy::Timer)
        };
        let id = kill(&bench, &scheduled).await;
        let created = bench.users().len();
        if !seems_alive {
            // The history treats a lock as held until a minute after its end.
            tokio::time::advance(ms(70_000)).await;
        }
        let stop = request("POST", &format!("/runs/{id}/stop"), &[], None);
        let stopped = called(&app, stop).await;
        assert_eq!(stopped.status, 202, "{}", stopped.body);
        let state = if seems_alive { "running" } else { "ended" };
        assert_eq!(json(&stopped)["state"], state, "{}", stopped.body);

        for (night, count) in [("first night", 1), ("second night", 0)] {
            match try_of(&app, night, count).await {
                Answer::Success(success) => assert_eq!(success.next, [], "{night}"),
                Answer::Failure { cause } => panic!("{night}: {cause}"),
            }
        }
        is_complete(&bench, &id, created).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r34_a_message_for_a_killed_run_that_is_stopped_ends_it() {
    let bench = Bench::open(newcomers(90), &[]).await;
    let app = bench.app();
    let id = bench.engine(None).enqueue(&apply()).await.unwrap();
    let queued = RunRequest {
        id: Some(id.clone()),
        ..apply()
    };
    assert_eq!(kill(&bench, &queued).await, id);
    let created = bench.users().len();
    let stop = request("POST", &format!("/runs/{id}/stop"), &[], None);
    assert_eq!(json(&called(&app, stop).await)["state"], "running");
    let message = Message {
        run: id.clone(),
        mode: Mode::Apply,
    };
    let invocation = Invocation {
        id: "i".into(),
        trigger: Trigger::Queue(message),
    };
    let answer = app.handle(invocation).await;
    assert!(matches!(answer, Answer::Success(_)), "{answer:?}");
    let ended = bench.engine(None).summary(&id).await.unwrap().unwrap();
    assert_eq!(ended.outcome, RunOutcome::Stopped);
    assert_eq!(bench.users().len(), created);

    bench.engine(None).run(&apply()).await.unwrap();
    is_complete(&bench, &id, created).await;
}

/// The record of a killed run that cannot be read stops neither the tries of its tick nor is it passed over.
#[tokio::test(start_paused = true)]
async fn r35_a_damaged_record_of_a_killed_run_is_told_and_stops_no_try() {
    for (name, damage) in [
        ("plan/00000001", None),
        ("plan/00000001", Some("no document")),
        // It is missing, and a later one exists.
        ("journal/00000002", None),
        ("journal/00000001", Some("no document")),
    ] {
        let what = format!("{name} {damage:?}");
        let bench = Bench::open(newcomers(90), &[]).await;
        let scheduled = RunRequest {
            tick: Some("the night".into()),
            ..RunRequest::new(Mode::Apply, StartedBy::Timer)
        };
        let id = kill(&bench, &scheduled).await;
        let created = bench.users().len();
        if name == "journal/00000002" {
            let part = |number| Path::from(format!("runs/{id}/journal/{number:08}"));
            bench.store.copy(&part(1), &part(3)).await.unwrap();
        } else {
            bench.damage(&format!("runs/{id}/{name}"), damage).await;
        }

        let answer = try_of(&bench.app(), "the night", 1).await;

        assert!(matches!(answer, Answer::Success(_)), "{what} {answer:?}");
        assert_eq!(bench.users().len(), 90, "{what}");
        let engine = bench.engine(None);
        let runs = engine.history(10).await.unwrap();
        assert_eq!((runs.len(), &*runs[0].id), (1, id.as_str()), "{what}");
        let report = engine.report(&id).await.unwrap();
        assert_eq!(report.outcome, RunOutcome::NeedsAttention, "{what}");
        assert!(report.is_incomplete, "{what}");
        let told = report
            .warnings
            .iter()
            .any(|it| it.contains("is incomplete"));
        assert!(told, "{what} {:?}", report.warnings);
        let told = report.counts.applied[&ActionKind::Create] as usize;
        assert!(told >= 90 - created, "{what} {told}");

        for mode in [Mode::Preview, Mode::Apply] {
            let undo = RunRequest {
                undo: Some(id.clone()),
                ..RunRequest::new(mode, StartedBy::Http)
            };
            let error = engine.run(&undo).await.unwrap_err().to_string();
            assert!(error.contains(name), "{what} {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r35_a_killed_run_without_a_plan_is_told_by_the_run_that_takes_it_up() {
    let bench = Bench::open(newcomers(90), &[]).await;
    let id = kill(&bench, &apply()).await;
    let plan = format!("runs/{id}/plan/00000001");
    bench.damage(&plan, None).await;
    let engine = bench.engine(None);
    engine.run(&apply()).await.unwrap();
    let report = engine.report(&id).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Failed);
    assert!(report.is_incomplete);
    let undo = RunRequest {
        undo: Some(id.clone()),
        ..apply()
    };
    let error = engine.run(&undo).await.unwrap_err().to_string();
    assert!(error.contains(&plan), "{error}");
}

#[tokio::test(start_paused = true)]
async fn r35_a_killed_run_without_a_summary_is_named() {
    let bench = Bench::open(newcomers(90), &[]).await;
    let id = kill(&bench, &apply()).await;
    bench.damage(&format!("runs/{id}/summary"), None).await;
    let report = bench.engine(None).run(&apply()).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::NeedsAttention);
    let told = format!("run {id} is in no list");
    assert!(
        report.warnings.iter().any(|it| it.contains(&told)),
        "{:?}",
        report.warnings
    );
}
