//! What ends a run before its end: its process is told to end, or a person stops the run (R34).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{
    engine::Stop,
    state::{RunId, State},
};

/// How often the state is asked whether a person has stopped the run.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks for a stop as long as it lives.
#[derive(Debug)]
pub(super) struct Watch {
    /// Of this run alone.
    pub(super) stop: Stop,
    is_stopped: Arc<AtomicBool>,
    _looking: JoinSet<()>,
}

impl Watch {
    /// `process` is the stop of all that the process does.
    pub(super) fn start(state: &State, run: &RunId, process: &Stop) -> Self {
        let stop = Stop::default();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let mut looking = JoinSet::new();
        looking.spawn(look(
            state.clone(),
            run.clone(),
            process.clone(),
            stop.clone(),
            Arc::clone(&is_stopped),
        ));
        if process.is_requested() {
            stop.request();
        }
        Self {
            stop,
            is_stopped,
            _looking: looking,
        }
    }

    /// Whether a person has stopped the run.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    pub(super) fn stop_by_person(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.stop.request();
    }
}

async fn look(state: State, run: RunId, process: Stop, stop: Stop, is_stopped: Arc<AtomicBool>) {
    loop {
        tokio::select! {
            () = process.requested() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // A state that cannot be reached stops the run by itself, where that matters (R35).
        if state.is_stopped(&run).await.unwrap_or(false) {
            is_stopped.store(true, Ordering::Relaxed);
            break;
        }
    }
    stop.request();
}
