//! The progress of a run, for a progress bar and the status page.

use tokio::sync::watch;

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
