//! Repeats operations that fail while the store is unavailable.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::error::{is_outage, is_refused};

/// How long a store in Azure may be unavailable before operations fail. The last attempt starts after more than 20 s,
/// since a partition may take that long to move to another server. Two attempts that hang end before a lease of 60 s
/// expires.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A failure after this time without another failure begins a new outage.
const APART: Duration = Duration::from_secs(60);

/// One outage, shared by all operations of this process. They wait together for its end: once it has lasted for
/// `patience`, each operation is tried only once, so that an invocation does not wait again at every step.
#[derive(Debug, Default)]
pub(super) struct Outage {
    patience: Duration,
    /// Whether the store is on this machine. If it refuses the first connection, it was not started, and waiting does not help.
    is_here: bool,
    has_answered: AtomicBool,
    /// The beginning of the first and the end of the last failed attempt.
    seen: Mutex<Option<(Instant, Instant)>>,
}

impl Outage {
    pub(super) fn of(patience: Duration, is_here: bool) -> Self {
        Self {
            patience,
            is_here,
            ..Self::default()
        }
    }

    /// The result of `attempt`, repeated until it no longer fails because the store is unavailable.
    pub(super) async fn outlast<T, F>(&self, attempt: impl Fn() -> F) -> object_store::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let started = Instant::now();
        loop {
            let began = Instant::now();
            match attempt().await {
                Err(error) if self.is_not_started(&error) => return Err(error),
                Err(error) if is_outage(&error) => {
                    let lasts = self.extend(began).max(started.elapsed());
                    if lasts >= self.patience {
                        return Err(error);
                    }
                    tracing::debug!(%error, "the store is unavailable; trying again");
                    tokio::time::sleep((lasts / 2).clamp(PAUSE_MIN, PAUSE_MAX)).await;
                }
                result => {
                    self.has_answered.store(true, Ordering::Relaxed);
                    *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return result;
                }
            }
        }
    }

    fn is_not_started(&self, error: &object_store::Error) -> bool {
        self.is_here && !self.has_answered.load(Ordering::Relaxed) && is_refused(error)
    }

    /// Records a failed attempt. Returns how long the outage has lasted.
    fn extend(&self, began: Instant) -> Duration {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match *seen {
            Some((since, last)) if now.duration_since(last) < APART => since,
            Some(_) | None => began,
        };
        *seen = Some((since, now));
        now.duration_since(since)
    }
}
