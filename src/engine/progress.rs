//! The progress of a run, for a progress bar and the status page.

use std::time::Duration;

use tokio::sync::watch;

use super::{Engine, run::estimate};

/// A span for one phase of a run. Requests inside it are counted in it.
pub(super) fn span(phase: &'static str) -> tracing::Span {
    tracing::info_span!(target: "trace", "phase", otel.name = phase)
}

/// The current activity of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Progress {
    #[default]
    Starting,
    /// Reading the mailbox list: rows so far.
    Listing {
        mailboxes: usize,
    },
    Reading {
        permissions: usize,
        of: usize,
    },
    /// Asking about groups and recipients: questions answered so far.
    Resolving {
        answered: usize,
    },
    Planning,
    /// The writes of the plan that have ended (R24).
    Applying {
        done: usize,
        of: usize,
    },
    Verifying,
    Ended,
}

/// Publishes the progress to all receivers, if there are any. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watcher(watch::Sender<Progress>);

impl Default for Watcher {
    fn default() -> Self {
        Self(watch::Sender::new(Progress::default()))
    }
}

impl Watcher {
    pub fn show(&self, progress: Progress) {
        self.0.send_replace(progress);
    }

    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.0.subscribe()
    }
}

/// The progress of the run in this process, with an estimate of the remaining time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    pub progress: Progress,
    /// How long the rest of the plan takes at Zivver's rate; `None` if unknown.
    pub left: Option<Duration>,
    /// R30: whether the next call waits for Zivver's limit.
    pub is_waiting: bool,
}

impl Engine {
    pub fn outlook(&self) -> Outlook {
        let progress = *self.progress().subscribe().borrow();
        let Progress::Applying { done, of } = progress else {
            return Outlook {
                progress,
                left: None,
                is_waiting: false,
            };
        };
        let parts = |writes: usize| u32::try_from(writes).unwrap_or(u32::MAX);
        let all = Duration::from_millis(estimate(self.settings().zivver_rate, parts(of)));
        let left = all / parts(of).max(1) * parts(of.saturating_sub(done));
        let zivver = self.shared.zivver.get();
        let wait = zivver.and_then(|zivver| zivver.waits());
        // The estimate assumes an unused budget.
        let left = left.max(wait.unwrap_or_default());
        Outlook {
            progress,
            left: (!left.is_zero()).then_some(left),
            is_waiting: wait.is_some(),
        }
    }
}
