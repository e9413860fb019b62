//! Whether writes may be sent: asked before each attempt, also of those that wait for their turn (R32, R35).

use std::sync::Arc;

use tokio::sync::watch;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Open,
    Paused,
    Closed(Arc<str>),
}

/// Clones are one gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<Standing>>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Standing::Open)))
    }
}

impl Gate {
    /// Writes wait until [`Self::resume`].
    pub fn pause(&self) {
        self.turn(|now| (*now == Standing::Open).then_some(Standing::Paused));
    }

    pub fn resume(&self) {
        self.turn(|now| (*now == Standing::Paused).then_some(Standing::Open));
    }

    /// No further write is sent. The first cause counts.
    pub fn close(&self, cause: &str) {
        self.turn(|now| match now {
            Standing::Open | Standing::Paused => Some(Standing::Closed(Arc::from(cause))),
            Standing::Closed(_) => None,
        });
    }

    fn turn(&self, next: impl FnOnce(&Standing) -> Option<Standing>) {
        self.0.send_if_modified(|now| match next(now) {
            Some(next) => {
                *now = next;
                true
            }
            None => false,
        });
    }

    pub(super) fn is_open(&self) -> bool {
        *self.0.borrow() == Standing::Open
    }

    /// Waits while it is paused. An error is the cause why it is closed.
    pub(super) async fn pass(&self) -> Result<(), Arc<str>> {
        match self.when(|now| *now != Standing::Paused).await {
            Standing::Closed(cause) => Err(cause),
            Standing::Open | Standing::Paused => Ok(()),
        }
    }

    /// Waits until it is closed, and gives the cause.
    pub(super) async fn closed(&self) -> Arc<str> {
        match self.when(|now| matches!(now, Standing::Closed(_))).await {
            Standing::Closed(cause) => cause,
            Standing::Open | Standing::Paused => Arc::from("the run has ended"),
        }
    }

    async fn when(&self, is_it: impl FnMut(&Standing) -> bool) -> Standing {
        let mut receiver = self.0.subscribe();
        let standing = receiver.wait_for(is_it).await;
        // The sender lives as long as `self`.
        standing.map_or(Standing::Open, |standing| standing.clone())
    }
}
