//! Repeating what fails while the store is away.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::error::is_outage;

/// How long a store in Azure may be away before operations fail. An attempt starts after more than 20 s, as long as a
/// partition may take to move to another server, and two attempts that hang end before a lease of 60 s is over.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// After so long without a request that failed, a failure begins another outage.
const APART: Duration = Duration::from_secs(60);

/// One outage as all operations of this process see it. They wait for its end together: once it has lasted for `patience`,
/// each is tried a single time, so that an invocation does not wait again at every step.
#[derive(Debug, Default)]
pub(super) struct Outage {
    patience: Duration,
    /// Begin of the first, and end of the last attempt that failed.
    seen: Mutex<Option<(Instant, Instant)>>,
}

impl Outage {
    pub(super) fn of(patience: Duration) -> Self {
        Self {
            patience,
            seen: Mutex::default(),
        }
    }

    /// The result of `attempt`, repeated until it no longer fails because the store is away.
    pub(super) async fn outlast<T, F>(&self, attempt: impl Fn() -> F) -> object_store::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let started = Instant::now();
        loop {
            let began = Instant::now();
            match attempt().await {
                Err(error) if is_outage(&error) => {
                    let lasts = self.extend(began).max(started.elapsed());
                    if lasts >= self.patience {
                        return Err(error);
                    }
                    tracing::debug!(%error, "the store is away, trying again");
                    tokio::time::sleep((lasts / 2).clamp(PAUSE_MIN, PAUSE_MAX)).await;
                }
                result => {
                    *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return result;
                }
            }
        }
    }

    /// Adds an attempt that failed just now. Gives how long the outage lasts.
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
