//! When the next call may be sent (R30).
//!
//! Zivver says how many calls it takes in how long, not how it counts. A sliding window that never holds too many
//! calls suits every way of counting (sliding or fixed window, token bucket), provided that it holds for the instants
//! at which calls *arrive*. [`Pace`] is the question without clock or waiting, [`Governor`] waits for its answer.

mod pace;
mod signals;
#[cfg(test)]
mod tests;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use pace::Pace;
pub(super) use signals::Signals;

/// How fast Zivver may be called (`ZIVVER_RATE`). What Zivver says itself can only make it slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    Budget { calls: u32, window: Duration },
    Unlimited,
}

impl Default for Rate {
    /// `docs/specs/zivver-scim.md`, "6. Errors and the limiter".
    fn default() -> Self {
        Self::Budget {
            calls: 50,
            window: Duration::from_secs(10),
        }
    }
}

/// Lets calls through, one after another, in the order in which they asked.
#[derive(Debug)]
pub(super) struct Governor {
    /// `None` where the rate is unlimited.
    pace: Option<Mutex<Pace>>,
    turn: tokio::sync::Mutex<()>,
}

/// Leave to send one call now. Dropping it means that the call has ended without an answer.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    pace: Option<&'a Mutex<Pace>>,
    call: u64,
}

impl Governor {
    pub(super) fn new(rate: Rate) -> Self {
        let pace = match rate {
            Rate::Budget { calls, window } => Some(Mutex::new(Pace::new(calls, window))),
            Rate::Unlimited => None,
        };
        Self {
            pace,
            turn: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) async fn permit(&self) -> Permit<'_> {
        let Some(pace) = &self.pace else {
            return Permit {
                pace: None,
                call: 0,
            };
        };
        let _turn = self.turn.lock().await;
        loop {
            let wait = {
                let (mut pace_now, now) = (lock(pace), Instant::now());
                let wait = pace_now.next(now);
                if wait.is_zero() {
                    let call = pace_now.sent(now);
                    return Permit {
                        pace: Some(pace),
                        call,
                    };
                }
                wait
            };
            tokio::time::sleep(wait).await;
        }
    }
}

impl Permit<'_> {
    /// The call was answered, and this is what the answer says about the budget.
    pub(super) fn answered(mut self, signals: &Signals) {
        self.end(signals);
    }

    fn end(&mut self, signals: &Signals) {
        if let Some(pace) = self.pace.take() {
            lock(pace).answered(self.call, Instant::now(), signals);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.end(&Signals::default());
    }
}

fn lock(pace: &Mutex<Pace>) -> MutexGuard<'_, Pace> {
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}
