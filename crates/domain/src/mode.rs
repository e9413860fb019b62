//! Whether a run may write (R28).

use serde::{Deserialize, Serialize};

/// The mode in which a run was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Preview,
    Apply,
}

/// What a run reads, and so what it can change (R45).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    #[default]
    Full,
    /// No permissions: every delegation is unknown (R11).
    Quick,
}

impl Depth {
    /// Documents store only a depth that is not the default.
    pub fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

/// How a run was started. [`super::actor::Actor`] is who started it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The schedule.
    Timer,
    /// A person, over HTTP, including the invocations by which the queue continues the run.
    Http,
    /// A person, on the command line.
    #[default]
    CommandLine,
}

/// `PERFORM_SYNC`: which runs may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PerformSync {
    /// `false`: no run.
    #[serde(rename = "false")]
    Never,
    /// `on-demand`: only runs that a person started as `apply`.
    OnDemand,
    /// `true`: also the timer's runs.
    #[serde(rename = "true")]
    Always,
}

impl std::fmt::Display for PerformSync {
    /// As the setting is written.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Never => "false",
            Self::OnDemand => "on-demand",
            Self::Always => "true",
        })
    }
}

/// A start as `apply` that the setting forbids (R28).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this run may not write, since CLOUD_SYNC__PERFORM_SYNC is false (R28); set it to on-demand or true"
)]
pub struct WritesForbidden;

impl PerformSync {
    /// R28: the mode of a timer's run.
    pub fn timer_mode(self) -> Mode {
        match self {
            Self::Never | Self::OnDemand => Mode::Preview,
            Self::Always => Mode::Apply,
        }
    }

    /// R28: a request is refused or carried out, never changed into another.
    pub fn permit(self, mode: Mode) -> Result<(), WritesForbidden> {
        match (self, mode) {
            (_, Mode::Preview) | (Self::OnDemand | Self::Always, Mode::Apply) => Ok(()),
            (Self::Never, Mode::Apply) => Err(WritesForbidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r28_false_on_demand_and_true() {
        for (setting, timer, apply) in [
            (PerformSync::Never, Mode::Preview, false),
            (PerformSync::OnDemand, Mode::Preview, true),
            (PerformSync::Always, Mode::Apply, true),
        ] {
            assert_eq!(setting.timer_mode(), timer);
            assert_eq!(setting.permit(Mode::Apply).is_ok(), apply);
            assert!(setting.permit(Mode::Preview).is_ok());
        }
    }
}
