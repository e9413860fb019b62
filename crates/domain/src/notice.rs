//! Notifications: one message when the state changes, and one a day while it stays bad, not one for every run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    all_clear::AllClear,
    figures::Figures,
    guard::Class,
    health::{CLOCKS_DIFFER_S, Overdue, Run},
    mailing::Mailed,
    mode::{Depth, PerformSync},
    report::{Report, RunOutcome, RunState},
};

/// After how many seconds a bad state is reported again. Less than a day, since the runs of a daily schedule do not end
/// at the same second.
const TOLD_AGAIN_S: i64 = 23 * 60 * 60;

/// Whether the report is less than a day old. Never true for a time in the future, which a clock that was ahead has
/// written.
pub(super) fn is_fresh(told: i64, now: i64) -> bool {
    (-CLOCKS_DIFFER_S..TOLD_AGAIN_S).contains(&(now - told))
}

/// The state that was last reported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notified {
    pub failed: bool,
    /// Classes of which something is held.
    pub held: BTreeSet<Class>,
    /// No run has succeeded for too long.
    pub silent: bool,
    /// R45: the same for quick runs.
    #[serde(skip_serializing_if = "Quick::is_well")]
    pub quick: Quick,
    /// When a message last reported it, in epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailed: Option<Mailed>,
}

impl Notified {
    fn is_bad(&self) -> bool {
        self.failed || self.silent || !self.held.is_empty() || !self.quick.is_well()
    }

    /// Whether it has been bad long enough to be reported again.
    fn is_due(&self, now: i64) -> bool {
        self.is_bad() && !self.told.is_some_and(|told| is_fresh(told, now))
    }

    /// The state after `notice` was sent, if there is one.
    fn told_by(mut self, notice: Option<Notice>, now: i64) -> (Self, Option<Notice>) {
        if notice.is_some() {
            self.told = Some(now);
        }
        if !self.is_bad() {
            self.told = None;
        }
        (self, notice)
    }
}

/// What was last reported about quick runs, which a quick run can end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quick {
    pub failed: bool,
    pub silent: bool,
}

impl Quick {
    /// Documents store only a state that is not good.
    pub fn is_well(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Held,
    Failed,
    Recovered,
    NoSuccess,
}

/// One message. It names no account, since it may be read in a channel with many readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    pub event: Event,
    pub title: String,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// R41: who started that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Actor>,
    /// The figures of the last complete run, which is `run` unless `run` failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// The message about a run that ended at `now` (epoch seconds), if one is due. An undo and a run for a few accounts say
/// nothing about the whole, and only a success ends an alarm (R28). `last` contains the figures of the last complete
/// run.
pub fn after_run(
    before: &Notified,
    report: &Report,
    setting: PerformSync,
    last: Option<&Figures>,
    now: i64,
) -> (Notified, Option<Notice>) {
    let run = Run::from(report);
    let says_nothing = report.state != RunState::Ended || report.outcome == RunOutcome::Stopped;
    if says_nothing || !run.is_for_all {
        return (before.clone(), None);
    }
    let is_due = before.is_due(now);
    if report.outcome == RunOutcome::Failed {
        return after_failure(before, report, last, now);
    }
    if !run.is_success(setting) {
        let is_fresh = run.is_fresh(setting);
        return after_other(before, report, is_fresh, last, now);
    }
    let held: BTreeSet<Class> = report.held.iter().map(|set| set.class).collect();
    let is_new = held.iter().any(|class| !before.held.contains(class));
    let was_out = before.failed || before.silent || !before.quick.is_well();
    let notice = if is_new {
        Some(newly_held(report, last))
    } else if before.is_bad() && held.is_empty() {
        Some(recovered(report))
    } else if was_out {
        // Runs succeed again and the same sets are still held, but they were not reported since the failure.
        Some(newly_held(report, last))
    } else if is_due {
        Some(still_held(report, last))
    } else {
        None
    };
    let after = Notified {
        failed: false,
        silent: false,
        held,
        quick: Quick::default(),
        told: before.told,
        mailed: before.mailed.clone(),
    };
    after.told_by(notice, now)
}

/// R45: of consecutive quick runs the first failure is reported, even while full runs fail.
fn after_failure(
    before: &Notified,
    report: &Report,
    last: Option<&Figures>,
    now: i64,
) -> (Notified, Option<Notice>) {
    let mut after = before.clone();
    let told = match report.depth {
        Depth::Full => &mut after.failed,
        Depth::Quick => &mut after.quick.failed,
    };
    let is_told = std::mem::replace(told, true);
    let notice = (!is_told || before.is_due(now)).then(|| failed(report, is_told, last));
    after.told_by(notice, now)
}

/// A run that is not a success. A successful quick run ends an alarm about quick runs (R45).
fn after_other(
    before: &Notified,
    report: &Report,
    is_fresh: bool,
    last: Option<&Figures>,
    now: i64,
) -> (Notified, Option<Notice>) {
    let held: BTreeSet<Class> = report.held.iter().map(|set| set.class).collect();
    let is_new = held.iter().any(|class| !before.held.contains(class));
    let after = Notified {
        held: before.held.union(&held).copied().collect(),
        quick: if is_fresh {
            Quick::default()
        } else {
            before.quick
        },
        ..before.clone()
    };
    let notice = if is_new {
        Some(newly_held(report, last))
    } else if after.quick != before.quick {
        Some(quick_again(report, last))
    } else if is_fresh && !held.is_empty() && before.is_due(now) {
        Some(still_held(report, last))
    } else {
        None
    };
    after.told_by(notice, now)
}

/// The message that is due at a tick: no run has succeeded for too long, or what was reported a day ago has not
/// changed. `last` contains the figures of the last complete run.
pub fn at_tick(
    before: &Notified,
    overdue: Option<Overdue>,
    last: Option<&Figures>,
    now: i64,
) -> (Notified, Option<Notice>) {
    let is_due = before.is_due(now);
    let mut after = before.clone();
    let is_told = match overdue.map(|overdue| overdue.depth) {
        None => true,
        Some(Depth::Full) => std::mem::replace(&mut after.silent, true),
        Some(Depth::Quick) => std::mem::replace(&mut after.quick.silent, true),
    };
    let notice = match overdue.filter(|_| !is_told || is_due) {
        Some(overdue) => Some(no_success(overdue, last)),
        None if is_due && before.failed => Some(still_failing(Depth::Full, last)),
        None if is_due && before.quick.failed => Some(still_failing(Depth::Quick, last)),
        None if is_due && !before.held.is_empty() => last
            .filter(|figures| !figures.held.is_empty())
            .map(held_since),
        None => None,
    };
    after.told_by(notice, now)
}

fn no_success(overdue: Overdue, last: Option<&Figures>) -> Notice {
    let hours = overdue.age_s / 3600;
    let since = if overdue.depth == Depth::Quick {
        let minutes = overdue.age_s / 60;
        format!("The last success was {minutes} minutes ago.")
    } else if overdue.has_succeeded {
        format!("The last success was {hours} hours ago.")
    } else {
        format!("The app was first seen {hours} hours ago.")
    };
    Notice {
        event: Event::NoSuccess,
        title: format!("Cloud Sync: {overdue}"),
        text: with_figures(
            &format!("{since} Look at the last runs on the dashboard, or run `cloud-sync check`."),
            last,
        ),
        run: None,
        started_by: None,
        figures: last.cloned(),
    }
}

fn still_failing(depth: Depth, last: Option<&Figures>) -> Notice {
    let text = match depth {
        Depth::Full => {
            "The last run failed, and none has succeeded since. The list of runs has the causes"
        }
        Depth::Quick => {
            "The last quick run failed, and none has succeeded since. The list of runs has the causes"
        }
    };
    Notice {
        event: Event::Failed,
        title: failure_title(depth, true).to_owned(),
        text: with_figures(text, last),
        run: None,
        started_by: None,
        figures: last.cloned(),
    }
}

fn failed(report: &Report, has_failed_before: bool, last: Option<&Figures>) -> Notice {
    let cause = report
        .error
        .as_deref()
        .unwrap_or("the report tells no cause");
    Notice {
        event: Event::Failed,
        title: failure_title(report.depth, has_failed_before).to_owned(),
        text: with_figures(cause, last),
        run: Some(report.id.clone()),
        started_by: report.started_by.clone(),
        figures: last.cloned(),
    }
}

fn failure_title(depth: Depth, has_failed_before: bool) -> &'static str {
    match (depth, has_failed_before) {
        (Depth::Full, false) => "Cloud Sync: the run failed",
        (Depth::Full, true) => "Cloud Sync: runs still fail",
        (Depth::Quick, false) => "Cloud Sync: the quick run failed",
        (Depth::Quick, true) => "Cloud Sync: quick runs still fail",
    }
}

fn with_figures(text: &str, last: Option<&Figures>) -> String {
    match last {
        Some(figures) => format!("{}. The {figures}.", text.trim_end_matches('.')),
        None => text.to_owned(),
    }
}

const TO_DECIDE: &str = "Look at the report, and approve the sets that are right; a code is valid while its set does not change (R27).";

const STILL_HELD: &str = "Cloud Sync: changes still wait for approval";

/// What the last complete run held. Its codes are valid while the sets stay the same.
fn held_since(figures: &Figures) -> Notice {
    let reasons: Vec<&str> = figures.held.iter().map(|set| &*set.reason).collect();
    Notice {
        event: Event::Held,
        title: STILL_HELD.to_owned(),
        text: format!("{}. {TO_DECIDE}", reasons.join("; ")),
        run: Some(figures.run.clone()),
        started_by: None,
        figures: Some(figures.clone()),
    }
}

fn newly_held(report: &Report, last: Option<&Figures>) -> Notice {
    held("Cloud Sync: changes are held for approval", report, last)
}

fn still_held(report: &Report, last: Option<&Figures>) -> Notice {
    held(STILL_HELD, report, last)
}

fn held(title: &str, report: &Report, last: Option<&Figures>) -> Notice {
    let reasons: Vec<&str> = report.held.iter().map(|set| &*set.reason).collect();
    let text = format!("{}. {TO_DECIDE}", reasons.join("; "));
    notice(Event::Held, title, text, report, last)
}

/// R45: it makes no statement about permissions, which were not read, nor about what a full run held.
fn quick_again(report: &Report, last: Option<&Figures>) -> Notice {
    let text = "Quick runs end well again. They read no permissions (R45).";
    let title = "Cloud Sync: quick runs succeed again";
    notice(Event::Recovered, title, text.to_owned(), report, last)
}

fn recovered(report: &Report) -> Notice {
    let text = match report.outcome {
        RunOutcome::InSync => AllClear::Recovered.text(),
        RunOutcome::Done
        | RunOutcome::ChangesPending
        | RunOutcome::NeedsAttention
        | RunOutcome::Open
        | RunOutcome::Stopped
        | RunOutcome::Failed => {
            "Runs succeed again, and nothing is held. The report lists changes or findings that need attention."
        }
    };
    let title = "Cloud Sync: runs succeed again";
    notice(Event::Recovered, title, text.to_owned(), report, None)
}

/// R45: a quick run cannot change what the figures describe.
fn notice(
    event: Event,
    title: &str,
    text: String,
    report: &Report,
    last: Option<&Figures>,
) -> Notice {
    Notice {
        event,
        title: title.to_owned(),
        text,
        run: Some(report.id.clone()),
        started_by: report.started_by.clone(),
        figures: match report.depth {
            Depth::Full => Some(Figures::of(report)),
            Depth::Quick => last.cloned(),
        },
    }
}

#[cfg(test)]
mod tests;
