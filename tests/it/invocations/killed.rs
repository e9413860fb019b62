//! A killed apply, before the next one has looked after it (R35).

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger as StartedBy},
        report::RunState,
    },
    engine::RunRequest,
    state::lock::{Acquired, Owner},
};

use super::{Bench, LEASE, apply, called, hours_ago, newcomers, request};

/// Where nothing may write any more, no apply looks after it, and its history is all there is to see.
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
    let told = "its process ended; the next apply takes up its work (R35)";
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

    // One that has the lock lives.
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
