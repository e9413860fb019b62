//! The outcome of a plan, by action.

use std::collections::BTreeMap;

use super::situation::StepEnd;
use crate::{
    accounts::Account,
    action::ActionOutcome,
    directory::MailboxIx,
    ids::ScimId,
    ineffective::Asked,
    note::Note,
    offenders::{Part, Refusal},
    step::{Call, Step, When},
};

/// The outcome of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// By position of the action.
    pub actions: Vec<ActionEnd>,
    pub finish: Finish,
    pub created: BTreeMap<MailboxIx, ScimId>,
    /// The accounts after the last accepted request for each, if Zivver returned them.
    pub answers: BTreeMap<ScimId, Account>,
    /// By position of the action, the account after its accepted requests. Only for actions that are half done.
    pub accepted: BTreeMap<usize, Account>,
    /// Notes that apply to many actions.
    pub notes: Vec<Note>,
}

/// How the execution of a plan ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Finish {
    /// Every step was started.
    #[default]
    Complete,
    /// R34: the time was over, or the process had to end, before every step was started.
    CutOff,
    /// R32, R35: stopped for this cause.
    Stopped(String),
}

impl Finish {
    /// Adds a failure that was detected only afterwards.
    #[must_use]
    pub fn or_stopped(self, failure: Option<String>) -> Self {
        match (self, failure) {
            (Self::Complete, Some(failure)) => Self::Stopped(failure),
            (finish, _) => finish,
        }
    }

    /// R25: whether the next run must begin with the suspends and empties, which this run may not have reached.
    pub fn is_premature(&self) -> bool {
        match self {
            Self::CutOff | Self::Stopped(_) => true,
            Self::Complete => false,
        }
    }
}

/// The outcome of one action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionEnd {
    /// `None` if none of its steps ended.
    pub outcome: Option<ActionOutcome>,
    pub problems: Vec<String>,
    /// The refusals, so that a later run recognises them (R33).
    pub refusals: Vec<Refusal>,
    /// What the accepted requests asked for (R22).
    pub asked: Asked,
    /// Some of its steps were carried out, others were not started.
    pub is_half_done: bool,
}

impl ActionEnd {
    /// Whether Zivver confirmed the action, or a part of it.
    pub fn is_done(&self) -> bool {
        self.outcome.is_some_and(ActionOutcome::is_done)
    }

    /// R26: whether only the lists of Zivver can show how much of it was done.
    pub fn is_unclear(&self) -> bool {
        self.is_half_done || self.outcome == Some(ActionOutcome::Failed)
    }

    /// Adds a step that ended. `in_part`: parts of the step were not carried out.
    pub(super) fn add(&mut self, end: StepEnd, in_part: bool) {
        self.outcome = Some(combine(self.outcome, end, in_part));
    }

    /// The run ends before all of its steps have ended.
    pub(super) fn close_unfinished(&mut self) {
        self.is_half_done = self.outcome.is_some_and(ActionOutcome::is_done);
        // The next run does the rest.
        if self.outcome != Some(ActionOutcome::Failed) {
            self.outcome = Some(ActionOutcome::Remaining);
        }
    }
}

/// The outcome of an action after one more step. A step that was done except for a part makes it partly done.
fn combine(before: Option<ActionOutcome>, end: StepEnd, in_part: bool) -> ActionOutcome {
    let this = match end {
        StepEnd::Done if in_part => ActionOutcome::Partly,
        StepEnd::Done => ActionOutcome::Applied,
        StepEnd::NotNeeded => return before.unwrap_or(ActionOutcome::Applied),
        StepEnd::Unsent => return before.unwrap_or(ActionOutcome::Remaining),
        StepEnd::Refused | StepEnd::LeftOut => ActionOutcome::Refused,
        StepEnd::Failed => ActionOutcome::Failed,
    };
    match (before, this) {
        (None, this) => this,
        (Some(ActionOutcome::Failed), _) | (_, ActionOutcome::Failed) => ActionOutcome::Failed,
        (Some(before), this) if before == this => this,
        (Some(_), _) => ActionOutcome::Partly,
    }
}

/// The part of an action that is refused with a step (R33). `None` for a step that only takes something back.
pub(super) fn part(step: &Step) -> Option<Part> {
    match (&step.call, step.when) {
        (_, When::IfRefused(_)) => None,
        (_, When::Completes(_)) => Some(Part::Completion),
        (
            Call::UpdateUser {
                address: Some(_), ..
            },
            When::Always,
        ) => Some(Part::Address),
        (
            Call::CreateUser { .. }
            | Call::CreateFunctional { .. }
            | Call::UpdateUser { .. }
            | Call::UpdateFunctional { .. }
            | Call::Empty { .. },
            When::Always,
        ) => Some(Part::Account),
    }
}
