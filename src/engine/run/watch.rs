//! Ends a run early: its process must end, or a person stops the run (R34).

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{
    domain::actor::Actor,
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

/// Why a run ends early.
#[derive(Debug, Clone)]
struct Ends {
    /// For everything in this process.
    process: Stop,
    /// Who stops the run with Ctrl+C.
    starter: Option<Actor>,
    stop: Stop,
    stopped: Arc<OnceLock<Stopped>>,
}

impl Ends {
    fn with_process(&self) {
        if self.process.is_by_person() {
            let by = self.starter.clone();
            self.stopped.get_or_init(|| Stopped { by });
        }
        self.stop.request();
    }
}

impl Watch {
    pub(super) fn start(
        state: &State,
        run: &RunId,
        process: &Stop,
        starter: Option<&Actor>,
    ) -> Self {
        let ends = Ends {
            process: process.clone(),
            starter: starter.cloned(),
            stop: Stop::default(),
            stopped: Arc::default(),
        };
        if process.is_requested() {
            ends.with_process();
        }
        let mut looking = JoinSet::new();
        looking.spawn(look(state.clone(), run.clone(), ends.clone()));
        Self {
            stop: ends.stop,
            stopped: ends.stopped,
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

async fn look(state: State, run: RunId, ends: Ends) {
    loop {
        tokio::select! {
            () = ends.process.requested() => return ends.with_process(),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // An error is ignored here: if the state cannot be reached, the run fails where it needs the state (R35).
        if let Ok(Some(by)) = state.stopped(&run).await {
            ends.stopped.get_or_init(|| by);
            return ends.stop.request();
        }
    }
}
