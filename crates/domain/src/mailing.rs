//! After which runs the report is mailed: `MAIL_WHEN`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    figures::Figures,
    health::Run,
    notice::{Notified, is_fresh},
    report::{Report, RunOutcome},
};

const DAY_S: i64 = 24 * 3600;

/// The setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailWhen {
    EachRun,
    /// A run changed something, leaves changes, or needs a person.
    Changes,
    /// A run needs a person.
    Attention,
}

/// The last mail about something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailed {
    /// Identifies what needs a person, so that the same is not mailed twice.
    about: String,
    /// Epoch seconds.
    at: i64,
}

impl MailWhen {
    /// Whether a run that ended at `now` is mailed, and what is then remembered. The same is mailed once a day: at 24 hours, or
    /// in the run that is nearest to that, if the next run that can mail it begins `next_s` later.
    pub fn mails(
        self,
        before: &Notified,
        report: &Report,
        next_s: Option<i64>,
        now: i64,
    ) -> (bool, Option<Mailed>) {
        let needs_person = match report.outcome {
            RunOutcome::Failed | RunOutcome::NeedsAttention => true,
            RunOutcome::InSync
            | RunOutcome::Done
            | RunOutcome::ChangesPending
            | RunOutcome::Open
            | RunOutcome::Stopped => false,
        };
        let leaves_changes = report.outcome == RunOutcome::ChangesPending;
        let changes = leaves_changes || !report.counts.applied.is_empty();
        match self {
            Self::EachRun => (true, None),
            Self::Changes => (needs_person || changes, None),
            Self::Attention if !needs_person => (false, None),
            Self::Attention => {
                let mailed = Mailed {
                    about: about(report),
                    at: now,
                };
                let is_nearest =
                    |age: i64| next_s.is_some_and(|next_s| 2 * age + next_s >= 2 * DAY_S);
                let is_repetition = |last: &Mailed| {
                    last.about == mailed.about
                        && is_fresh(last.at, now)
                        && !is_nearest(now - last.at)
                };
                let is_told = before.mailed.as_ref().is_some_and(is_repetition);
                (!is_told, (!is_told).then_some(mailed))
            }
        }
    }
}

/// The codes of the held sets, the refused accounts and the numbers of findings.
fn about(report: &Report) -> String {
    let codes: BTreeSet<&str> = report.held.iter().map(|set| &*set.code).collect();
    let figures = Figures::of(report);
    let failed = report.outcome == RunOutcome::Failed;
    format!(
        "{failed} {} {codes:?} {} {} {}",
        Run::from(report).is_for_all,
        figures.failed,
        figures.differences,
        figures.findings
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        guard::Class,
        hold::HeldSet,
        mode::{Mode, Trigger},
        plan::ActionKind,
    };

    const NOW: i64 = 1_800_000_000;

    fn run(outcome: RunOutcome, held: &[Class]) -> Report {
        let held = held.iter().map(|class| HeldSet {
            approved: Vec::new(),
            second_person: None,
            class: *class,
            code: "c0de".into(),
            reason: "over its limit".into(),
            changes: vec![],
            companions: vec![],
            rejected: vec![],
        });
        Report {
            outcome,
            held: held.collect(),
            ..Report::begin("r".into(), Mode::Apply, Trigger::Timer, "t".into())
        }
    }

    #[test]
    fn mail_is_sent_after_the_runs_that_the_setting_names() {
        let mut changed = run(RunOutcome::InSync, &[]);
        changed.counts.applied.insert(ActionKind::Create, 1);
        let story = [
            (run(RunOutcome::InSync, &[]), [true, false, false]),
            (changed, [true, true, false]),
            (run(RunOutcome::ChangesPending, &[]), [true, true, false]),
            (
                run(RunOutcome::NeedsAttention, &[Class::Suspend]),
                [true, true, true],
            ),
            (
                run(RunOutcome::NeedsAttention, &[Class::Suspend]),
                [true, true, false],
            ),
            (run(RunOutcome::Failed, &[]), [true, true, true]),
        ];
        let all = [MailWhen::EachRun, MailWhen::Changes, MailWhen::Attention];
        for (at, when) in all.into_iter().enumerate() {
            let mut told = Notified::default();
            for (report, expected) in &story {
                let (mails, mailed) = when.mails(&told, report, None, NOW);
                assert_eq!(mails, expected[at], "{when:?} {:?}", report.outcome);
                told.mailed = mailed.or(told.mailed);
            }
            let again = run(RunOutcome::Failed, &[]);
            let later = NOW + 24 * 3600;
            assert!(MailWhen::Attention.mails(&told, &again, None, later).0);
        }
    }

    /// Full runs, the only ones that repeat a mail, begin at each of these intervals (R45).
    #[test]
    fn r45_the_same_is_mailed_about_once_a_day_whatever_the_interval_of_full_runs() {
        for (every_h, expected_h) in [
            (1, 23),
            (6, 24),
            (12, 24),
            (16, 16),
            (20, 20),
            (21, 21),
            (24, 24),
        ] {
            let report = run(RunOutcome::NeedsAttention, &[Class::Suspend]);
            let mut told = Notified::default();
            let mut mails = Vec::new();
            for hour in (0..=240).step_by(every_h) {
                let now = NOW + i64::try_from(hour).unwrap() * 3600;
                let next_s = Some(i64::try_from(every_h).unwrap() * 3600);
                let (is_sent, mailed) = MailWhen::Attention.mails(&told, &report, next_s, now);
                if is_sent {
                    mails.push(hour);
                }
                told.mailed = mailed.or(told.mailed);
            }
            let first: Vec<usize> = mails.windows(2).map(|it| it[1] - it[0]).collect();
            assert!(
                first.iter().all(|it| *it == expected_h),
                "{every_h}: {mails:?}"
            );
        }
    }
}
