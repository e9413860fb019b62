//! The sentences about the problems of an app (R28).

use std::fmt;

use jiff::Timestamp;

use super::{NoSuccess, Overdue, Problem};
use crate::{mode::Depth, name_in_json};

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LastRunFailed {
                mode,
                depth,
                started,
                error,
            } => {
                let quick = match depth {
                    Depth::Full => "",
                    Depth::Quick => "quick ",
                };
                let mode = name_in_json(mode);
                let of = started.map(|at| format!(", of {},", utc(at)));
                let of = of.unwrap_or_default();
                write!(f, "the last {quick}{mode}{of} failed: {error}")
            }
            Self::Killed { run, error } => write!(f, "run {run}: {error}"),
            Self::Overdue(overdue) => overdue.fmt(f),
            Self::NoSuccessYet { run, mode, why } => {
                let mode = name_in_json(mode);
                let why = match why {
                    NoSuccess::Failed => "failed",
                    NoSuccess::NotForAll => "did not cover all accounts",
                    NoSuccess::Quick => "was a quick one, which reads no permissions (R45)",
                };
                write!(
                    f,
                    "no full {mode} of all accounts has succeeded yet: run {run} {why}; start one, or wait for the timer"
                )
            }
            Self::TickFailed(error) => {
                write!(f, "the timer's last run failed and is not in the history: {error}")
            }
            Self::NoTick { due } => write!(
                f,
                "the timer was due at {} and the host did not start it: look at the log of the Functions host, and whether \
                 it lists the function SyncTimer",
                utc(*due)
            ),
            Self::Unreadable(error) => f.write_str(error),
            Self::ClockIsBehind { run, started, now } => write!(
                f,
                "the clock shows {}, before run {run} at {}; correct the clock of this machine, or wait",
                utc(*now),
                utc(*started)
            ),
            Self::NoSchedule => f.write_str(
                "the timer never starts: SYNC_SCHEDULE is not set; set it to 0 0 2 * * * for each night at 02:00 UTC",
            ),
            Self::Schedule { text, why } => write!(
                f,
                "the timer never starts: SYNC_SCHEDULE {text:?} is not a schedule, since {why}; set it to \
                 0 0 2 * * * for each night at 02:00 UTC"
            ),
            Self::Disabled(setting) => write!(
                f,
                "the setting {setting} disables a function that runs need; remove it, or set it to false"
            ),
        }
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.age_max_s / 3600;
        if self.depth == Depth::Quick {
            let minutes = self.age_max_s / 60;
            write!(
                f,
                "no run, quick or full, has succeeded for {minutes} minutes, three intervals of the schedule"
            )
        } else if self.has_succeeded {
            write!(f, "no run has succeeded for {hours} hours")
        } else {
            write!(
                f,
                "no run has succeeded yet, {hours} hours after the app was first seen"
            )
        }
    }
}

fn utc(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |time| time.to_string())
}
