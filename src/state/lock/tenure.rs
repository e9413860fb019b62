//! How long a holder may rely on its lock: two clocks, no I/O.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

/// One moment on both clocks. [`Instant`] cannot be set but stops while the machine sleeps; the wall clock can be set
/// but does not stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) monotonic: Instant,
    pub(super) wall: Timestamp,
}

impl Moment {
    pub(super) fn now(wall: Timestamp) -> Self {
        Self {
            monotonic: Instant::now(),
            wall,
        }
    }

    fn after(self, duration: Duration) -> Self {
        Self {
            monotonic: self.monotonic + duration,
            wall: later(self.wall, duration),
        }
    }

    /// The time left until `deadline` on the clock that is further ahead; `None` if one of them has passed it.
    fn left_until(self, deadline: Self) -> Option<Duration> {
        let monotonic = deadline
            .monotonic
            .checked_duration_since(self.monotonic)
            .filter(|left| !left.is_zero())?;
        let wall = Duration::try_from(deadline.wall.duration_since(self.wall))
            .ok()
            .filter(|left| !left.is_zero())?;
        Some(monotonic.min(wall))
    }
}

/// `wall` + `duration`, or the latest timestamp.
fn later(wall: Timestamp, duration: Duration) -> Timestamp {
    wall.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// Why a lock was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It was not renewed in time: the process was frozen, or the storage did not answer.
    RanOut,
    /// Another process took it, or can take it since its objects were deleted.
    TakenOver,
    /// The holder released it.
    Released,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RanOut => "it could not be renewed in time",
            Self::TakenOver => "another run took it over, or it was deleted",
            Self::Released => "it was released",
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Standing {
    Until(Moment),
    Over(Loss),
}

/// The time from a claim until the lock is lost. A tenure that has ended never starts again.
#[derive(Debug)]
pub(super) struct Tenure {
    standing: Mutex<Standing>,
    length: Duration,
}

impl Tenure {
    /// A tenure of `length` from the moment at which the claim was about to be sent.
    pub(super) fn from(sent: Moment, length: Duration) -> Self {
        Self {
            standing: Mutex::new(Standing::Until(sent.after(length))),
            length,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Standing) -> T) -> T {
        act(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long the lock is still valid at `now`, or why it is lost.
    pub(super) fn holds(&self, now: Moment) -> Result<Duration, Loss> {
        self.with(|standing| match *standing {
            Standing::Over(loss) => Err(loss),
            Standing::Until(deadline) => now.left_until(deadline).ok_or_else(|| {
                *standing = Standing::Over(Loss::RanOut);
                Loss::RanOut
            }),
        })
    }

    /// A renewal that was sent at `sent` is confirmed at `now`. It counts only if the tenure has not ended before.
    pub(super) fn extend(&self, sent: Moment, now: Moment) {
        if self.holds(now).is_ok() {
            self.with(|standing| {
                if let Standing::Until(deadline) = standing {
                    *deadline = sent.after(self.length);
                }
            });
        }
    }

    /// Only the first reason is kept.
    pub(super) fn end(&self, loss: Loss) {
        self.with(|standing| {
            if let Standing::Until(_) = standing {
                *standing = Standing::Over(loss);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(55);

    fn seconds(moment: Moment, monotonic: u64, wall: u64) -> Moment {
        Moment {
            monotonic: moment.monotonic + Duration::from_secs(monotonic),
            wall: later(moment.wall, Duration::from_secs(wall)),
        }
    }

    #[test]
    fn r29_a_tenure_that_ran_out_never_comes_back() {
        let start = Moment::now(Timestamp::now());
        let tenure = Tenure::from(start, LENGTH);
        assert_eq!(
            tenure.holds(seconds(start, 54, 54)),
            Ok(Duration::from_secs(1))
        );
        assert_eq!(tenure.holds(seconds(start, 55, 55)), Err(Loss::RanOut));
        assert_eq!(tenure.holds(start), Err(Loss::RanOut));
        tenure.extend(start, start);
        assert_eq!(tenure.holds(start), Err(Loss::RanOut));
    }

    #[test]
    fn r29_a_renewal_counts_from_when_it_was_sent_if_it_is_confirmed_in_time() {
        let start = Moment::now(Timestamp::now());
        let tenure = Tenure::from(start, LENGTH);
        tenure.extend(seconds(start, 15, 15), seconds(start, 20, 20));
        assert_eq!(
            tenure.holds(seconds(start, 60, 60)),
            Ok(Duration::from_secs(10))
        );

        let late = Tenure::from(start, LENGTH);
        late.extend(seconds(start, 15, 15), seconds(start, 56, 56));
        assert_eq!(late.holds(seconds(start, 57, 57)), Err(Loss::RanOut));
    }

    #[test]
    fn r29_sleep_and_a_clock_set_back_do_not_prolong_it() {
        let start = Moment::now(Timestamp::now());
        assert_eq!(
            Tenure::from(start, LENGTH).holds(seconds(start, 1, 3600)),
            Err(Loss::RanOut),
            "the machine slept"
        );
        assert_eq!(
            Tenure::from(start, LENGTH).holds(seconds(start, 56, 0)),
            Err(Loss::RanOut),
            "the clock was set back"
        );
    }

    #[test]
    fn r29_the_first_loss_is_the_one_reported() {
        let start = Moment::now(Timestamp::now());
        let tenure = Tenure::from(start, LENGTH);
        tenure.end(Loss::TakenOver);
        tenure.end(Loss::Released);
        assert_eq!(tenure.holds(start), Err(Loss::TakenOver));
    }
}
