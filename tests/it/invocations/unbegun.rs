//! What a run leaves that did not begin (R29).

use cloud_sync::{engine::RunError, state::lock::LockStatus};

use super::{Bench, apply, newcomers};

#[tokio::test]
async fn r29_a_run_that_does_not_begin_gives_its_lock_back() {
    let bench = Bench::open(newcomers(1), &[]).await;
    bench.put("memory", "no document").await;
    let engine = bench.engine(None);
    for _ in 0..2 {
        let error = engine.run(&apply()).await.unwrap_err();
        assert!(matches!(error, RunError::State(_)), "{error}");
        assert_eq!(engine.lock_status().await.unwrap(), LockStatus::Free);
    }
}
