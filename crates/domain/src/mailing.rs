//! After which runs the report is mailed: `MAIL_WHEN`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    figures::Figures,
    health::Run,
    notice::{Notified, is_fresh},
    report::{Report, RunOutcome},
};

/// The setting `MAIL_WHEN`.
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
    /// Whether the report of a run that ended at `now` is mailed, and what is then remembered. The same problem is
    /// mailed at most once a day.
    pub fn mails(self, before: &Notified, report: &Report, now: i64) -> (bool, Option<Mailed>) {
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
                let is_repetition =
                    |last: &Mailed| last.about == mailed.about && is_fresh(last.at, now);
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
            class: *class,
            code: "c0de".into(),
            reason: "over its limit".into(),
            changes: vec![],
            companions: vec![],
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
                let (mails, mailed) = when.mails(&told, report, NOW);
                assert_eq!(mails, expected[at], "{when:?} {:?}", report.outcome);
                told.mailed = mailed.or(told.mailed);
            }
            let again = run(RunOutcome::Failed, &[]);
            let later = NOW + 24 * 3600;
            assert!(MailWhen::Attention.mails(&told, &again, later).0);
        }
    }
}
