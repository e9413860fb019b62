//! The sentences that say that nothing is left to do. Terminal, pages, mails and notifications take them from here,
//! each after the one decision that allows it.

use std::collections::BTreeSet;

use super::{
    held::{HeldChange, HeldSet},
    mode::{Depth, Mode},
    note::Code,
    report::{Report, RunOutcome},
};

/// A sentence that says that all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllClear {
    /// The outcome of a run.
    InSync,
    /// A plan without actions, holds and findings.
    NothingToChange,
    /// R36
    Converged,
    Follows,
    /// R36, R39
    NamedFollow,
    /// R40
    InSyncAddress,
    /// The badge of the dashboard and the line below it.
    Healthy,
    NothingWaits,
    /// A notification.
    Recovered,
}

impl AllClear {
    pub const ALL: [Self; 9] = [
        Self::InSync,
        Self::NothingToChange,
        Self::Converged,
        Self::Follows,
        Self::NamedFollow,
        Self::InSyncAddress,
        Self::Healthy,
        Self::NothingWaits,
        Self::Recovered,
    ];

    pub fn text(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::NothingToChange => "nothing to change",
            Self::Converged => "converged",
            Self::Follows => "Zivver follows Exchange",
            Self::NamedFollow => "the named accounts are as planned",
            Self::InSyncAddress => "in sync: nothing is to change (R38)",
            Self::Healthy => "healthy",
            Self::NothingWaits => "Runs succeed, and nothing waits for a person.",
            Self::Recovered => "The run ended well, and nothing is held.",
        }
    }
}

/// The result of reading Zivver again after an apply (R36).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// A preview writes nothing.
    Preview,
    /// No plan was applied to its end.
    NotVerified,
    Differs,
    /// R37
    Undone {
        /// Something is held, was refused, or needs attention.
        is_partial: bool,
    },
    /// R45: what a quick run covers. It says nothing about permissions.
    Covered {
        /// Something is held, was refused, or needs attention.
        is_partial: bool,
    },
    /// R28, R47: what the run was for. The rest is left for a later run.
    LeftForLater {
        of: AllClear,
    },
    AsPlanned {
        of: AllClear,
        /// Something is held, was refused, or needs attention.
        is_partial: bool,
    },
}

impl Report {
    pub fn verification(&self) -> Verification {
        match (self.converged, self.mode) {
            (None, Mode::Preview) => Verification::Preview,
            (None, Mode::Apply) => Verification::NotVerified,
            (Some(false), _) => Verification::Differs,
            (Some(true), _) if self.undoes.is_some() => Verification::Undone {
                is_partial: self.outcome != RunOutcome::Done,
            },
            (Some(true), _) if self.depth == Depth::Quick => Verification::Covered {
                is_partial: self.outcome != RunOutcome::Done,
            },
            (Some(true), _) if self.counts.leave_out() => Verification::LeftForLater {
                of: self.what_follows(),
            },
            (Some(true), _) => Verification::AsPlanned {
                of: self.what_follows(),
                is_partial: self.outcome != RunOutcome::InSync,
            },
        }
    }

    fn what_follows(&self) -> AllClear {
        if self.accounts.is_empty() {
            AllClear::Follows
        } else {
            AllClear::NamedFollow
        }
    }

    /// R47: how many changes are not made because a person has rejected them.
    pub fn rejected(&self) -> usize {
        let notes = self.skipped.iter();
        let notes = notes.filter(|note| note.code == Code::Rejection).count();
        notes + self.decided_since(|set| &set.rejected)
    }

    /// R47: how many changes that the run held are in these lists. A companion is in the list of each set.
    pub fn decided_since(&self, list: fn(&HeldSet) -> &Vec<HeldChange>) -> usize {
        let changes = self.held.iter().flat_map(list);
        let different: BTreeSet<&str> = changes.map(|it| it.fingerprint.as_str()).collect();
        different.len()
    }

    /// R28, R47: how many findings are about changes that are left for a later run.
    pub fn left_for_later(&self) -> usize {
        let notes = self.skipped.iter();
        notes.filter(|note| note.code.is_left_for_later()).count()
    }

    /// R28: how many changes of the reviewed plan the run did not make.
    pub fn review_outdated(&self) -> usize {
        let notes = self.skipped.iter();
        notes
            .filter(|note| note.code == Code::ReviewOutdated)
            .count()
    }

    /// R47: whether changes are not made because a person has rejected them.
    pub fn has_rejections(&self) -> bool {
        let mut notes = self.skipped.iter();
        notes.any(|note| note.code == Code::Rejection)
    }

    /// A plan without actions means that there is nothing to change only if nothing is held or unknown.
    pub fn nothing_to_change(&self) -> Option<AllClear> {
        let is_empty = self.actions.is_empty() && self.counts.planned.is_empty();
        (is_empty && self.outcome == RunOutcome::InSync).then_some(AllClear::NothingToChange)
    }
}

/// The first statement of the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// R28: there is a problem.
    Failing,
    NoRun,
    /// R28: before the first success nothing shows that runs succeed.
    NoSuccess,
    NeedsAttention,
    /// A preview found changes.
    ChangesPending,
    Healthy,
}

impl Standing {
    /// `last` is the newest complete run, `quick` the outcome of the newest quick run after it (R45). `is_outdated`
    /// says that a run that writes began since then and did not complete everything.
    pub fn of(
        has_problems: bool,
        has_succeeded: bool,
        last: Option<&Report>,
        quick: Option<RunOutcome>,
        is_outdated: bool,
    ) -> Self {
        match last.map(|report| report.outcome) {
            _ if has_problems => Self::Failing,
            None => Self::NoRun,
            Some(_) if !has_succeeded => Self::NoSuccess,
            Some(_) if is_outdated => Self::NeedsAttention,
            Some(RunOutcome::InSync | RunOutcome::ChangesPending)
                if quick == Some(RunOutcome::NeedsAttention) =>
            {
                Self::NeedsAttention
            }
            Some(RunOutcome::InSync) if quick == Some(RunOutcome::ChangesPending) => {
                Self::ChangesPending
            }
            Some(RunOutcome::InSync) => Self::Healthy,
            Some(RunOutcome::ChangesPending) => Self::ChangesPending,
            Some(
                RunOutcome::NeedsAttention
                | RunOutcome::Done
                | RunOutcome::Open
                | RunOutcome::Stopped
                | RunOutcome::Failed,
            ) => Self::NeedsAttention,
        }
    }
}
