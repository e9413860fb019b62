//! Documents of the state, read back with any content.

use std::{fmt::Debug, sync::Arc, time::Duration};

use cloud_sync::{
    domain::{
        memory::Memory,
        mode::{Mode, Trigger},
        notice::Notified,
        record::{Batch, Deeds, PlanRecord},
        report::Report,
    },
    engine::{Engine, Links, RunRequest, RunSummary, fetch::KeptAnswer, journal::read},
    http::Clock,
    state::{
        Phase, RunId, State, StateError,
        lock::{Acquired, Lease, Owner},
    },
};
use object_store::{ObjectStoreExt, memory::InMemory, path::Path};
use serde::{Serialize, de::DeserializeOwned};

use super::{block_on, first_line, functions::plain_settings};

const RUN: &str = "20261123T020000Z-0b5e77";

/// The first line is the name of the document in the store. A document that can be read must be equal after writing and
/// reading it.
pub(super) fn state(input: &[u8]) {
    let (name, document) = first_line(input);
    let name = String::from_utf8_lossy(name).into_owned();
    let Ok(path) = Path::parse(&name) else { return };
    let run = RunId::parse(RUN).expect("it is a run id");
    block_on(async {
        let store = Arc::new(InMemory::new());
        let put = store.put(&path, document.to_vec().into()).await;
        if put.is_err() {
            return;
        }
        let state = State::over(store, "memory");
        runs(&state, &run).await;
        if name.starts_with("lock/") {
            lock(&state, &run).await;
        }
        if let Some(code) = name.strip_prefix("approvals/") {
            approval(state, code).await;
        }
    });
}

async fn runs(state: &State, run: &RunId) {
    if let Ok(Some(stored)) = told(state.memory::<Memory>().await) {
        let saved = state
            .save_memory(&stored.value, Some(&stored.revision))
            .await;
        saved.expect("it can be written");
        let again = state.memory::<Memory>().await.expect("it can be read");
        same(&stored.value, &again.expect("it is there").value);
    }
    if let Ok(Some(report)) = told(state.report::<Report>(run).await) {
        state
            .save_report(run, &report)
            .await
            .expect("it can be written");
        let again = state.report::<Report>(run).await.expect("it can be read");
        same(&report, &again.expect("it is there"));
    }
    if let Ok(Some(found)) = told(state.summary::<RunSummary>(run).await) {
        let saved = state.save_summary(run, Phase::Ended, &found.summary).await;
        saved.expect("it can be written");
        let again = state
            .summary::<RunSummary>(run)
            .await
            .expect("it can be read");
        same(&found.summary, &again.expect("it is there").summary);
    }
    for entry in told(state.runs::<RunSummary>(10).await).unwrap_or_default() {
        drop(told(entry.summary));
    }
    let plans = state.plans::<PlanRecord>(run);
    let journal = state.journal::<Batch>(run);
    if let Ok(found) = told(read(&plans, &journal).await) {
        drop(Deeds::of(&found, None));
    }
    drop(told(state.checkpoint::<KeptAnswer>(run).read().await));
    drop(told(state.approvals::<serde_json::Value>().await));
    if let Ok(Some(notified)) = told(state.notified::<Notified>().await) {
        let saved = state.save_notified(&notified).await;
        saved.expect("it can be written");
        let again = state.notified::<Notified>().await.expect("it can be read");
        same(&notified, &again.expect("it is there"));
    }
    drop(told(state.form_key("fresh".to_owned()).await));
}

/// With any content, the lock is free, held or unreadable. If it can be acquired, it can be released.
async fn lock(state: &State, run: &RunId) {
    let lock = state.lock(Lease::of(Duration::from_secs(60)));
    let owner = Owner {
        run: run.clone(),
        host: "fuzz".to_owned(),
        pid: 1,
        process: None,
    };
    drop(told(lock.status(&owner, Clock::System.now()).await));
    if let Ok(Acquired::Mine(guard)) = told(lock.acquire(&owner).await) {
        drop(told(guard.release().await));
    }
}

/// An approval as the engine reads it: known and valid, or refused with one line.
async fn approval(state: State, code: &str) {
    let links = Links {
        state: Some(state),
        clock: Clock::simulated("2026-11-23T02:00:00Z".parse().expect("it is a time")),
        seed: Some(7),
        ..Links::default()
    };
    let engine = Engine::new(plain_settings(), links);
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.approve = vec![code.to_owned()];
    if let Err(error) = engine.enqueue(&request).await {
        assert!(!error.to_string().contains('\n'), "{error:?}");
    }
}

/// An error of the state is one line, whatever the document contains.
fn told<T>(result: Result<T, StateError>) -> Result<T, StateError> {
    if let Err(error) = &result {
        assert!(!error.to_string().contains('\n'), "{error:?}");
    }
    result
}

fn same<T: Serialize + DeserializeOwned + Debug>(one: &T, other: &T) {
    let json = |value: &T| serde_json::to_string(value).expect("it is JSON");
    assert_eq!(json(one), json(other));
}
