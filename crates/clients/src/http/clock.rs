//! The wall clock as a value, so that a simulated run can have a time of its own.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Where "now" comes from. Waiting is always done through `tokio::time`.
#[derive(Debug, Clone, Copy, Default)]
pub enum Clock {
    #[default]
    System,
    /// Starts at an instant and moves with tokio's clock, which a simulation may have paused.
    Simulated { start: Timestamp, origin: Instant },
    /// Calls this function: a clock that a simulation can set.
    Read(fn() -> Timestamp),
}

impl Clock {
    /// A clock that reads `start` now.
    pub fn simulated(start: Timestamp) -> Self {
        Self::Simulated {
            start,
            origin: Instant::now(),
        }
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Simulated { start, origin } => later(*start, origin.elapsed()),
            Self::Read(read) => read(),
        }
    }
}

/// `start` + `elapsed`, or the latest timestamp.
fn later(start: Timestamp, elapsed: Duration) -> Timestamp {
    start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
}
