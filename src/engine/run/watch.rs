//! What ends a run before its end: its process is told to end, or a person stops the run (R34).

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{
    engine::Stop,
    state::{RunId, State, Stopped},
};

/// How often the state is asked whether a person has stopped the run.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks for a stop as long as it lives.
#[derive(Debug)]
pub(super) struct Watch {
    /// Of this run alone.
    pub(super) stop: Stop,
    stopped: Arc<OnceLock<Stopped>>,
    _looking: JoinSet<()>,
}

impl Watch {
    /// `process` is the stop of all that the process does.
    pub(super) fn start(state: &State, run: &RunId, process: &Stop) -> Self {
        let stop = Stop::default();
        let stopped = Arc::default();
        let mut looking = JoinSet::new();
        looking.spawn(look(
            state.clone(),
            run.clone(),
            process.clone(),
            stop.clone(),
            Arc::clone(&stopped),
        ));
        if process.is_requested() {
            stop.request();
        }
        Self {
            stop,
            stopped,
            _looking: looking,
        }
    }

    /// Whether a person has stopped the run, and who (R41).
    pub(super) fn stopped(&self) -> Option<&Stopped> {
        self.stopped.get()
    }

    pub(super) fn stop_by_person(&self, by: Stopped) {
        self.stopped.get_or_init(|| by);
        self.stop.request();
    }
}

async fn look(
    state: State,
    run: RunId,
    process: Stop,
    stop: Stop,
    stopped: Arc<OnceLock<Stopped>>,
) {
    loop {
        tokio::select! {
            () = process.requested() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // A state that cannot be reached stops the run by itself, where that matters (R35).
        if let Ok(Some(by)) = state.stopped(&run).await {
            stopped.get_or_init(|| by);
            break;
        }
    }
    stop.request();
}
