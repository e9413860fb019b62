//! The progress of a run, for a progress bar and the status page.

use std::time::Duration;

use tokio::sync::watch;

use super::{Engine, run::estimate};

/// A phase of a run, for traces; requests within count in it.
pub(super) fn span(phase: &'static str) -> tracing::Span {
    tracing::info_span!(target: "trace", "phase", otel.name = phase)
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Progress {
    #[default]
    Starting,
    /// Reading the mailbox list; rows so far.
    Listing {
        mailboxes: usize,
    },
    Reading {
        permissions: usize,
        of: usize,
    },
    /// Asking about groups and recipients; questions answered.
    Resolving {
        answered: usize,
    },
    Planning,
    Applying {
        done: usize,
        of: usize,
    },
    Verifying,
    Ended,
}

/// Publishes progress to all receivers, of which there may be none. Cheap to clone.
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

/// The progress of the run in this process, and what can be expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    pub progress: Progress,
    /// How long the rest of the plan takes at Zivver's rate; `None` where that is not known.
    pub left: Option<Duration>,
    /// R30: the next call waits for Zivver's limit.
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
        let parts = |steps: usize| u32::try_from(steps).unwrap_or(u32::MAX);
        let all = Duration::from_millis(estimate(self.settings().zivver_rate, parts(of)));
        let left = all / parts(of).max(1) * parts(of.saturating_sub(done));
        let zivver = self.shared.zivver.get();
        Outlook {
            progress,
            left: (!left.is_zero()).then_some(left),
            is_waiting: zivver.is_some_and(|zivver| zivver.is_waiting()),
        }
    }
}
