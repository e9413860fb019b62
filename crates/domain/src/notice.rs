//! Whom to wake, and when: one message per change of state, never one per run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    all_clear::AllClear,
    figures::Figures,
    guard::Class,
    health::{Overdue, Run},
    mode::{Depth, PerformSync},
    report::{Report, RunOutcome, RunState},
};

/// What was last told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notified {
    pub failed: bool,
    /// Classes of which something is held.
    pub held: BTreeSet<Class>,
    /// No run has succeeded for too long.
    pub silent: bool,
    /// R45: the same of quick runs.
    #[serde(skip_serializing_if = "Quick::is_well")]
    pub quick: Quick,
}

/// What was last told of quick runs, which a quick run can end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quick {
    pub failed: bool,
    pub silent: bool,
}

impl Quick {
    /// For documents, which name only what is not usual.
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

/// One message. It names no account: it may be read in a channel with many readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    pub event: Event,
    pub title: String,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Of the last complete run, which is `run` unless that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// What a run that ended means to what was told before. An undo and a run for a few accounts say nothing about the whole, and
/// only a success ends an alarm (R28). `last` are the figures of the last complete run.
pub fn after_run(
    before: &Notified,
    report: &Report,
    setting: PerformSync,
    last: Option<&Figures>,
) -> (Notified, Option<Notice>) {
    let run = Run::from(report);
    let says_nothing = report.state != RunState::Ended || report.outcome == RunOutcome::Stopped;
    if says_nothing || !run.is_for_all {
        return (before.clone(), None);
    }
    if report.outcome == RunOutcome::Failed {
        return after_failure(before, report, last);
    }
    let held: BTreeSet<Class> = report.held.iter().map(|set| set.class).collect();
    let is_new = held.iter().any(|class| !before.held.contains(class));
    if !run.is_success(setting) {
        let is_fresh = run.is_fresh(setting);
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
        } else {
            None
        };
        return (after, notice);
    }
    let was_bad = *before != Notified::default();
    let was_out = before.failed || before.silent || before.quick != Quick::default();
    let notice = if is_new {
        Some(newly_held(report, last))
    } else if was_bad && held.is_empty() {
        Some(recovered(report))
    } else if was_out {
        // It works again, and what was held still is: told before, but not since it failed.
        Some(newly_held(report, last))
    } else {
        None
    };
    let after = Notified {
        failed: false,
        silent: false,
        held,
        quick: Quick::default(),
    };
    (after, notice)
}

/// R45: of quick runs in a row the first that fails is told, also while full ones fail.
fn after_failure(
    before: &Notified,
    report: &Report,
    last: Option<&Figures>,
) -> (Notified, Option<Notice>) {
    let mut after = before.clone();
    let told = match report.depth {
        Depth::Full => &mut after.failed,
        Depth::Quick => &mut after.quick.failed,
    };
    let is_told = std::mem::replace(told, true);
    (after, (!is_told).then(|| failed(report, last)))
}

/// What it means that no run has succeeded for too long. `last` are the figures of the last complete run.
pub fn at_tick(
    before: &Notified,
    overdue: Option<Overdue>,
    last: Option<&Figures>,
) -> (Notified, Option<Notice>) {
    let mut after = before.clone();
    let is_told = match overdue.map(|overdue| overdue.depth) {
        None => true,
        Some(Depth::Full) => std::mem::replace(&mut after.silent, true),
        Some(Depth::Quick) => std::mem::replace(&mut after.quick.silent, true),
    };
    let Some(overdue) = overdue.filter(|_| !is_told) else {
        return (before.clone(), None);
    };
    let hours = overdue.age_s / 3600;
    let since = if overdue.depth == Depth::Quick {
        let minutes = overdue.age_s / 60;
        format!("The last success was {minutes} minutes ago.")
    } else if overdue.has_succeeded {
        format!("The last success was {hours} hours ago.")
    } else {
        format!("The app was first seen {hours} hours ago.")
    };
    let notice = Notice {
        event: Event::NoSuccess,
        title: format!("Cloud Sync: {overdue}"),
        text: with_figures(
            &format!("{since} Look at the last runs on the dashboard, or run `cloud-sync check`."),
            last,
        ),
        run: None,
        figures: last.cloned(),
    };
    (after, Some(notice))
}

fn failed(report: &Report, last: Option<&Figures>) -> Notice {
    let cause = report
        .error
        .as_deref()
        .unwrap_or("the report tells no cause");
    Notice {
        event: Event::Failed,
        title: match report.depth {
            Depth::Full => "Cloud Sync: the run failed",
            Depth::Quick => "Cloud Sync: the quick run failed",
        }
        .to_owned(),
        text: with_figures(cause, last),
        run: Some(report.id.clone()),
        figures: last.cloned(),
    }
}

fn with_figures(text: &str, last: Option<&Figures>) -> String {
    match last {
        Some(figures) => format!("{}. The {figures}.", text.trim_end_matches('.')),
        None => text.to_owned(),
    }
}

fn newly_held(report: &Report, last: Option<&Figures>) -> Notice {
    let reasons: Vec<&str> = report.held.iter().map(|set| &*set.reason).collect();
    let text = format!(
        "{}. Look at the report, and approve the sets that are right; the codes serve for 24 hours (R27).",
        reasons.join("; ")
    );
    notice(
        Event::Held,
        "Cloud Sync: changes are held for approval",
        text,
        report,
        last,
    )
}

/// R45: it claims nothing of the permissions that were not read, nor of what a full run held.
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

/// R45: a quick run does not see what the figures are about.
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
        figures: match report.depth {
            Depth::Full => Some(Figures::of(report)),
            Depth::Quick => last.cloned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hold::HeldSet,
        mode::{Mode, Trigger},
    };

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
            let (after, notice) = after_run(&before, report, PerformSync::Always, None);
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
        let notice = after_run(&Notified::default(), &failed, setting, Some(&figures)).1;
        let notice = notice.unwrap();
        assert_eq!(notice.figures, Some(figures));
        assert!(
            notice
                .text
                .starts_with("source incomplete. The last complete run ended at "),
            "{}",
            notice.text
        );
        let first = after_run(&Notified::default(), &failed, setting, None).1;
        assert_eq!(first.unwrap().text, "source incomplete");
    }

    #[test]
    fn r28_only_a_success_ends_an_alarm() {
        let alarmed = Notified {
            failed: true,
            silent: true,
            held: [Class::Suspend].into(),
            quick: Quick::default(),
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
            let (after, notice) = after_run(&alarmed, report, PerformSync::Always, None);
            assert_eq!((&after, notice), (&alarmed, None), "{report:?}");
        }
        for setting in [PerformSync::Never, PerformSync::OnDemand] {
            let (after, notice) = after_run(&alarmed, &preview, setting, None);
            assert_eq!(after, Notified::default());
            assert_eq!(notice.map(|notice| notice.event), Some(Event::Recovered));
        }
    }

    /// It says nothing about full runs: what they failed at and what they hold stays told.
    #[test]
    fn r45_a_quick_run_tells_of_quick_runs() {
        use Event::{Failed, Held, Recovered};
        let quick = |report: Report| Report {
            depth: Depth::Quick,
            ..report
        };
        let fine = || quick(run(RunOutcome::Done, &[]));
        let bad = || quick(run(RunOutcome::Failed, &[]));
        let full = || run(RunOutcome::InSync, &[]);
        let story = [
            run(RunOutcome::NeedsAttention, &[Class::DelegateRemoval]),
            fine(),
            bad(),
            bad(),
            fine(),
            bad(),
            quick(run(RunOutcome::NeedsAttention, &[Class::Suspend])),
            run(RunOutcome::Failed, &[]),
            fine(),
            full(),
            fine(),
        ];
        let (held, failed, recovered) = (Some(Held), Some(Failed), Some(Recovered));
        assert_eq!(
            told(&story),
            [
                held, None, failed, None, recovered, failed, held, failed, None, recovered, None
            ]
        );
        let figures = Figures::of(&run(RunOutcome::NeedsAttention, &[Class::DelegateRemoval]));
        let setting = PerformSync::Always;
        let suspend = quick(run(RunOutcome::NeedsAttention, &[Class::Suspend]));
        let notice = after_run(&Notified::default(), &suspend, setting, Some(&figures)).1;
        assert_eq!(notice.unwrap().figures, Some(figures));
        let overdue = Overdue {
            age_s: 3 * 3600 + 60,
            age_max_s: 3 * 3600,
            has_succeeded: true,
            depth: Depth::Quick,
        };
        let (silent, notice) = at_tick(&Notified::default(), Some(overdue), None);
        assert_eq!(
            notice.unwrap().title,
            "Cloud Sync: no run, quick or full, has succeeded for 180 minutes, three intervals of the schedule"
        );
        assert_eq!(at_tick(&silent, Some(overdue), None).1, None);
        let (after, notice) = after_run(&silent, &fine(), setting, None);
        assert_eq!(after, Notified::default());
        assert_eq!(notice.map(|notice| notice.event), Some(Recovered));
    }

    #[test]
    fn silence_is_told_once_until_a_success() {
        let fresh = Notified::default();
        assert_eq!(at_tick(&fresh, None, None).1, None);
        let overdue = Overdue {
            age_s: 27 * 3600,
            age_max_s: 26 * 3600,
            has_succeeded: true,
            depth: Depth::Full,
        };
        let (silent, notice) = at_tick(&fresh, Some(overdue), None);
        assert_eq!(notice.map(|notice| notice.event), Some(Event::NoSuccess));
        assert_eq!(at_tick(&silent, Some(overdue), None).1, None);
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
        );
        assert_eq!(notice.map(|notice| notice.event), Some(Event::Held));
        let (after, notice) = after_run(&silent, &run(RunOutcome::InSync, &[]), setting, None);
        assert_eq!(
            (after, notice.map(|notice| notice.event)),
            (fresh, Some(Event::Recovered))
        );
    }
}
