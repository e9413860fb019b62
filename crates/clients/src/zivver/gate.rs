//! Whether writes may be sent. Checked before each attempt, including those that wait for their turn (R32, R34, R35).

use std::sync::Arc;

use tokio::sync::watch;

#[derive(Debug, Clone, PartialEq, Eq)]
enum GateState {
    Open,
    Paused,
    Closed(Arc<str>),
}

/// Clones share one state.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<GateState>>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(GateState::Open)))
    }
}

impl Gate {
    /// Writes wait until [`Self::resume`].
    pub fn pause(&self) {
        self.update(|now| (*now == GateState::Open).then_some(GateState::Paused));
    }

    pub fn resume(&self) {
        self.update(|now| (*now == GateState::Paused).then_some(GateState::Open));
    }

    /// Ends all writing. Only the first cause is kept.
    pub fn close(&self, cause: &str) {
        self.update(|now| match now {
            GateState::Open | GateState::Paused => Some(GateState::Closed(Arc::from(cause))),
            GateState::Closed(_) => None,
        });
    }

    fn update(&self, next: impl FnOnce(&GateState) -> Option<GateState>) {
        self.0.send_if_modified(|now| match next(now) {
            Some(next) => {
                *now = next;
                true
            }
            None => false,
        });
    }

    pub(super) fn is_open(&self) -> bool {
        *self.0.borrow() == GateState::Open
    }

    /// Why the gate is closed, if it is.
    pub(super) fn cause(&self) -> Option<Arc<str>> {
        match &*self.0.borrow() {
            GateState::Closed(cause) => Some(Arc::clone(cause)),
            GateState::Open | GateState::Paused => None,
        }
    }

    /// Waits while the gate is paused. If it is closed, the error is the cause.
    pub(super) async fn pass(&self) -> Result<(), Arc<str>> {
        match self.wait_until(|now| *now != GateState::Paused).await {
            GateState::Closed(cause) => Err(cause),
            GateState::Open | GateState::Paused => Ok(()),
        }
    }

    /// Waits until the gate is closed, and returns the cause.
    pub(super) async fn closed(&self) -> Arc<str> {
        match self
            .wait_until(|now| matches!(now, GateState::Closed(_)))
            .await
        {
            GateState::Closed(cause) => cause,
            GateState::Open | GateState::Paused => Arc::from("the run has ended"),
        }
    }

    async fn wait_until(&self, condition: impl FnMut(&GateState) -> bool) -> GateState {
        let mut receiver = self.0.subscribe();
        let state = receiver.wait_for(condition).await;
        // Cannot fail: the sender lives as long as `self`.
        state.map_or(GateState::Open, |state| state.clone())
    }
}
