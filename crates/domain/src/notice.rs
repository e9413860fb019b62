//! Whom to wake, and when: one message per change of state, and one a day while it stays bad, never one per run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    all_clear::AllClear,
    figures::Figures,
    guard::Class,
    health::{CLOCKS_DIFFER_S, Overdue, Run},
    mailing::Mailed,
    mode::PerformSync,
    report::{Report, RunOutcome, RunState},
};

/// After how long a state that stays bad is told again. Less than a day: the runs of a daily schedule do not end at the
/// same second.
const TOLD_AGAIN_S: i64 = 23 * 60 * 60;

/// Whether something was told in the last day. What a clock that was ahead has told counts for nothing.
pub(super) fn is_fresh(told: i64, now: i64) -> bool {
    (-CLOCKS_DIFFER_S..TOLD_AGAIN_S).contains(&(now - told))
}

/// What was last told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notified {
    pub failed: bool,
    /// Classes of which something is held.
    pub held: BTreeSet<Class>,
    /// No run has succeeded for too long.
    pub silent: bool,
    /// When a message last told of it, in epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailed: Option<Mailed>,
}

impl Notified {
    fn is_bad(&self) -> bool {
        self.failed || self.silent || !self.held.is_empty()
    }

    /// Whether it is bad since long enough to be told again.
    fn is_due(&self, now: i64) -> bool {
        self.is_bad() && !self.told.is_some_and(|told| is_fresh(told, now))
    }

    /// The same once `notice` is told, or nothing is.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Held,
    Failed,
    Recovered,
    NoSuccess,
}

/// One message. It names no account: it may be read in a channel with many readers.
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
    /// Of the last complete run, which is `run` unless that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// What a run that ended at `now` (epoch seconds) means to what was told before. An undo and a run for a few accounts say
/// nothing about the whole, and only a success ends an alarm (R28). `last` are the figures of the last complete run.
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
        let after = Notified {
            failed: true,
            ..before.clone()
        };
        let notice = (!before.failed || is_due).then(|| failed(report, before.failed, last));
        return after.told_by(notice, now);
    }
    let held: BTreeSet<Class> = report.held.iter().map(|set| set.class).collect();
    let is_new = held.iter().any(|class| !before.held.contains(class));
    if !run.is_success(setting) {
        let after = Notified {
            held: before.held.union(&held).copied().collect(),
            ..before.clone()
        };
        return after.told_by(is_new.then(|| newly_held(report)), now);
    }
    let notice = if is_new {
        Some(newly_held(report))
    } else if before.is_bad() && held.is_empty() {
        Some(recovered(report))
    } else if before.failed || before.silent {
        // It works again, and what was held still is: told before, but not since it failed.
        Some(newly_held(report))
    } else if is_due {
        Some(still_held(&Figures::of(report), report.started_by.clone()))
    } else {
        None
    };
    let after = Notified {
        failed: false,
        silent: false,
        held,
        told: before.told,
        mailed: before.mailed.clone(),
    };
    after.told_by(notice, now)
}

/// What the time itself means: no run has succeeded for too long, or what was told a day ago is still so. `last` are the
/// figures of the last complete run.
pub fn at_tick(
    before: &Notified,
    overdue: Option<Overdue>,
    last: Option<&Figures>,
    now: i64,
) -> (Notified, Option<Notice>) {
    let is_due = before.is_due(now);
    let overdue = overdue.filter(|_| !before.silent || is_due);
    let after = Notified {
        silent: before.silent || overdue.is_some(),
        ..before.clone()
    };
    let notice = match overdue {
        Some(overdue) => Some(no_success(overdue, last)),
        None if is_due && before.failed => Some(still_failing(last)),
        None if is_due && !before.held.is_empty() => last
            .filter(|figures| !figures.held.is_empty())
            .map(|figures| still_held(figures, None)),
        None => None,
    };
    after.told_by(notice, now)
}

fn no_success(overdue: Overdue, last: Option<&Figures>) -> Notice {
    let hours = overdue.age_s / 3600;
    let since = if overdue.has_succeeded {
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

fn still_failing(last: Option<&Figures>) -> Notice {
    let text = "The last run failed, and none has succeeded since. The list of runs has the causes";
    Notice {
        event: Event::Failed,
        title: "Cloud Sync: runs still fail".to_owned(),
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
        title: if has_failed_before {
            "Cloud Sync: runs still fail".to_owned()
        } else {
            "Cloud Sync: the run failed".to_owned()
        },
        text: with_figures(cause, last),
        run: Some(report.id.clone()),
        started_by: report.started_by.clone(),
        figures: last.cloned(),
    }
}

fn with_figures(text: &str, last: Option<&Figures>) -> String {
    match last {
        Some(figures) => format!("{}. The {figures}.", text.trim_end_matches('.')),
        None => text.to_owned(),
    }
}

const TO_DECIDE: &str = "Look at the report, and approve the sets that are right; a code serves as long as its set stays the same (R27).";

/// The codes are those that were told before, as long as the sets are the same.
fn still_held(figures: &Figures, by: Option<Actor>) -> Notice {
    let reasons: Vec<&str> = figures.held.iter().map(|set| &*set.reason).collect();
    Notice {
        event: Event::Held,
        title: "Cloud Sync: changes still wait for approval".to_owned(),
        text: format!("{}. {TO_DECIDE}", reasons.join("; ")),
        run: Some(figures.run.clone()),
        started_by: by,
        figures: Some(figures.clone()),
    }
}

fn newly_held(report: &Report) -> Notice {
    let reasons: Vec<&str> = report.held.iter().map(|set| &*set.reason).collect();
    let text = format!("{}. {TO_DECIDE}", reasons.join("; "));
    notice(
        Event::Held,
        "Cloud Sync: changes are held for approval",
        text,
        report,
    )
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
    notice(Event::Recovered, title, text.to_owned(), report)
}

fn notice(event: Event, title: &str, text: String, report: &Report) -> Notice {
    Notice {
        event,
        title: title.to_owned(),
        text,
        run: Some(report.id.clone()),
        started_by: report.started_by.clone(),
        figures: Some(Figures::of(report)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hold::HeldSet,
        mode::{Mode, Trigger},
    };

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 3600;

    fn run(outcome: RunOutcome, held: &[Class]) -> Report {
        let mut report = Report::begin("r".into(), Mode::Apply, Trigger::Timer, "t".into());
        report.state = RunState::Ended;
        report.outcome = outcome;
        report.held = held
            .iter()
            .map(|class| HeldSet {
                class: *class,
                code: "c0de".into(),
                reason: "over its limit".into(),
                changes: vec![],
            })
            .collect();
        report
    }

    /// The events of a story, one for each run.
    fn told(story: &[Report]) -> Vec<Option<Event>> {
        let mut before = Notified::default();
        let mut events = Vec::new();
        for report in story {
            let (after, notice) = after_run(&before, report, PerformSync::Always, None, NOW);
            before = after;
            events.push(notice.map(|notice| notice.event));
        }
        events
    }

    #[test]
    fn one_message_per_change_of_state() {
        use Event::{Failed, Held, Recovered};
        let fine = || run(RunOutcome::InSync, &[]);
        let bad = || run(RunOutcome::Failed, &[]);
        let held = || run(RunOutcome::NeedsAttention, &[Class::Suspend]);
        let more = || run(RunOutcome::NeedsAttention, &[Class::Suspend, Class::Rename]);
        let story = [
            fine(),
            fine(),
            bad(),
            bad(),
            fine(),
            fine(),
            held(),
            held(),
            more(),
            held(),
            fine(),
            bad(),
            held(),
        ];
        assert_eq!(
            told(&story),
            [
                None,
                None,
                Some(Failed),
                None,
                Some(Recovered),
                None,
                Some(Held),
                None,
                Some(Held),
                None,
                Some(Recovered),
                Some(Failed),
                Some(Held)
            ]
        );
    }

    /// Every four hours over three days, and what each message is called.
    fn titles(story: impl Fn(i64) -> Option<Report>, last: Option<&Figures>) -> Vec<(i64, String)> {
        let mut before = Notified::default();
        let mut titles = Vec::new();
        for hour in (0..=72).step_by(4) {
            let now = NOW + hour * HOUR;
            let (after, notice) = match story(hour) {
                Some(report) => after_run(&before, &report, PerformSync::Always, last, now),
                None => at_tick(&before, None, last, now),
            };
            before = after;
            titles.extend(notice.map(|it| (hour, it.title["Cloud Sync: ".len()..].to_owned())));
        }
        titles
    }

    #[test]
    fn what_stays_bad_is_told_once_a_day() {
        let held = || run(RunOutcome::NeedsAttention, &[Class::Suspend]);
        let bad = || run(RunOutcome::Failed, &[]);
        let figures = Figures::of(&held());
        let told = |titles: [&str; 4]| {
            let hours = [0, 24, 48, 72].into_iter();
            hours.zip(titles.map(str::to_owned)).collect::<Vec<_>>()
        };
        let new = "changes are held for approval";
        let still = "changes still wait for approval";
        assert_eq!(
            titles(|_| Some(held()), None),
            told([new, still, still, still])
        );
        // No run ends in between, as with a weekly schedule.
        let once = |hour| (hour == 0).then(held);
        assert_eq!(
            titles(once, Some(&figures)),
            told([new, still, still, still])
        );
        let fail = "runs still fail";
        let failing = told(["the run failed", fail, fail, fail]);
        assert_eq!(titles(|_| Some(bad()), None), failing);
        let once = |hour| (hour == 0).then(bad);
        assert_eq!(titles(once, None), failing);
        let resolved = |hour| match hour {
            0 => Some(held()),
            8 => Some(run(RunOutcome::InSync, &[])),
            _ => None,
        };
        let settled = titles(resolved, Some(&figures));
        assert_eq!(
            settled.last().unwrap(),
            &(8, "runs succeed again".to_owned())
        );
    }

    #[test]
    fn a_clock_that_was_ahead_silences_no_reminder() {
        let before = Notified {
            held: [Class::Suspend].into(),
            told: Some(NOW + 40 * 24 * HOUR),
            ..Notified::default()
        };
        let held = run(RunOutcome::NeedsAttention, &[Class::Suspend]);
        let notice = after_run(&before, &held, PerformSync::Always, None, NOW).1;
        assert!(notice.is_some());
    }

    #[test]
    fn a_run_for_a_few_accounts_or_one_that_goes_on_says_nothing() {
        let mut scoped = run(RunOutcome::Failed, &[]);
        scoped.accounts = vec![crate::address::SmtpAddress::verbatim("a@corp.example")];
        let mut cut_off = run(RunOutcome::Open, &[Class::Suspend]);
        cut_off.state = RunState::Continues;
        assert_eq!(told(&[scoped, cut_off]), [None, None]);
    }

    /// A run that failed saw nothing: what it would count as 0 is as the last complete run left it.
    #[test]
    fn r28_a_failure_is_told_with_the_figures_of_the_last_complete_run() {
        let figures = Figures::of(&run(RunOutcome::NeedsAttention, &[Class::Suspend]));
        let mut failed = run(RunOutcome::Failed, &[]);
        failed.error = Some("source incomplete".into());
        let setting = PerformSync::Always;
        let notice = after_run(&Notified::default(), &failed, setting, Some(&figures), NOW).1;
        let notice = notice.unwrap();
        assert_eq!(notice.figures, Some(figures));
        assert!(
            notice
                .text
                .starts_with("source incomplete. The last complete run ended at "),
            "{}",
            notice.text
        );
        let first = after_run(&Notified::default(), &failed, setting, None, NOW).1;
        assert_eq!(first.unwrap().text, "source incomplete");
    }

    #[test]
    fn r28_only_a_success_ends_an_alarm() {
        let alarmed = Notified {
            failed: true,
            silent: true,
            held: [Class::Suspend].into(),
            told: Some(NOW),
            mailed: None,
        };
        let preview = Report {
            mode: Mode::Preview,
            ..run(RunOutcome::InSync, &[])
        };
        let undo = Report {
            undoes: Some("r".into()),
            ..run(RunOutcome::InSync, &[])
        };
        let scoped = Report {
            accounts: vec![crate::address::SmtpAddress::verbatim("a@corp.example")],
            ..run(RunOutcome::InSync, &[])
        };
        for report in [&preview, &undo, &scoped] {
            let (after, notice) = after_run(&alarmed, report, PerformSync::Always, None, NOW);
            assert_eq!((&after, notice), (&alarmed, None), "{report:?}");
        }
        for setting in [PerformSync::Never, PerformSync::OnDemand] {
            let (after, notice) = after_run(&alarmed, &preview, setting, None, NOW);
            assert_eq!(after, Notified::default());
            assert_eq!(notice.map(|notice| notice.event), Some(Event::Recovered));
        }
    }

    #[test]
    fn silence_is_told_once_until_a_success() {
        let fresh = Notified::default();
        assert_eq!(at_tick(&fresh, None, None, NOW).1, None);
        let overdue = Overdue {
            age_s: 27 * 3600,
            age_max_s: 26 * 3600,
            has_succeeded: true,
        };
        let (silent, notice) = at_tick(&fresh, Some(overdue), None, NOW);
        assert_eq!(notice.map(|notice| notice.event), Some(Event::NoSuccess));
        assert_eq!(at_tick(&silent, Some(overdue), None, NOW).1, None);
        let held = [Class::Suspend];
        let waiting = Notified {
            held: held.into(),
            ..silent.clone()
        };
        let setting = PerformSync::Always;
        let (_, notice) = after_run(
            &waiting,
            &run(RunOutcome::NeedsAttention, &held),
            setting,
            None,
            NOW,
        );
        assert_eq!(notice.map(|notice| notice.event), Some(Event::Held));
        let (after, notice) = after_run(&silent, &run(RunOutcome::InSync, &[]), setting, None, NOW);
        assert_eq!(
            (after, notice.map(|notice| notice.event)),
            (fresh, Some(Event::Recovered))
        );
    }
}
