//! What the model's values are called on a page: as in JSON, so that what is read can be searched for and filtered on,
//! but in words.

use std::time::Duration;

use serde::Serialize;

use crate::domain::{
    note::Code,
    report::{Report, RunOutcome, RunState},
};

/// `in_sync` in words: `in sync`.
pub fn name(value: impl Serialize) -> String {
    key(value).replace('_', " ")
}

/// As JSON has it.
pub(super) fn key(value: impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .as_ref()
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The state while a run goes on, else its outcome.
pub(super) fn standing(report: &Report) -> String {
    standing_of(report.state, report.outcome)
}

pub fn standing_of(state: RunState, outcome: RunOutcome) -> String {
    match state {
        RunState::Ended => name(outcome),
        RunState::Queued | RunState::Running | RunState::Continues => name(state),
    }
}

/// `1 h 2 min`, `3 min 20 s`, `4.5 s`, `12 ms`.
pub fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..=59 => format!("{:.1} s", Duration::from_millis(ms).as_secs_f64()),
        60..=3599 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

/// Notes about permissions that led to nobody, or to nothing certain.
pub(super) fn is_about_a_delegation(code: Code) -> bool {
    matches!(
        code,
        Code::TrusteeDeleted
            | Code::TrusteeDenied
            | Code::GroupGivesNoRight
            | Code::TrusteeNotAMailbox
            | Code::TrusteeNotFound
            | Code::DelegationsUnknown
            | Code::MailboxGone
            | Code::DelegatePruned
            | Code::DelegatesLeftOut
            | Code::DelegateLeftOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_at_a_glance() {
        for (ms, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (4_520, "4.5 s"),
            (200_000, "3 min 20 s"),
            (3_720_000, "1 h 2 min"),
        ] {
            assert_eq!(duration(ms), expected);
        }
    }
}
