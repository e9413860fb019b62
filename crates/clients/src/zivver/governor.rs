//! When the next call may be sent (R30).
//!
//! Zivver says how many calls it accepts in which time, but not how it counts them. A sliding window that never exceeds
//! the number satisfies every way of counting (sliding or fixed window, token bucket), if it applies to the instants at
//! which calls *arrive*. [`Pace`] calculates the delay without a clock, [`Governor`] waits.

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

/// The rate at which Zivver may be called (`ZIVVER_RATE`). A limit announced by Zivver can only reduce it.
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

/// Lets calls through one by one, in the order in which they asked.
#[derive(Debug)]
pub(super) struct Governor {
    /// `None` where the rate is unlimited.
    pace: Option<Mutex<Pace>>,
    turn: tokio::sync::Mutex<()>,
    /// Until when the next call waits, or waited last.
    wait: Mutex<Option<Instant>>,
}

/// Permission to send one call now. Dropping it means that the call ended without an answer.
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
            wait: Mutex::default(),
        }
    }

    /// How long the next call still waits for the budget; `None` if it does not.
    pub(super) fn waits(&self) -> Option<Duration> {
        let until = *self.wait.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
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
            *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait);
            tokio::time::sleep(wait).await;
        }
    }
}

impl Permit<'_> {
    /// Records the answer to the call, and what it says about the budget.
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
