//! Ends a run early: its process must end, or a person stops the run (R34).

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{
    engine::Stop,
    state::{RunId, State, Stopped},
};

/// How often the state is checked for a stop by a person.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Checks for a stop until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    /// The stop of this run only.
    pub(super) stop: Stop,
    stopped: Arc<OnceLock<Stopped>>,
    _looking: JoinSet<()>,
}

impl Watch {
    /// `process` is the stop for everything in this process.
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

    /// Who stopped the run (R41), if a person did.
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
        // An error is ignored here: if the state cannot be reached, the run fails where it needs the state (R35).
        if let Ok(Some(by)) = state.stopped(&run).await {
            stopped.get_or_init(|| by);
            break;
        }
    }
    stop.request();
}
