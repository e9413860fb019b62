//! The request for a run, and its summary in the history.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        actor::Actor,
        address::SmtpAddress,
        health::{self, Killed, epoch},
        mode::{Depth, Mode, Trigger},
        other_setting::OtherSetting,
        report::{Counts, Report, RunOutcome, RunState},
        wave::Wave,
    },
    engine::PlanSource,
    state::RunId,
};

/// A request for a run: who starts it, and what it may do.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// The run to continue; `None` begins a new one.
    pub id: Option<RunId>,
    pub mode: Mode,
    pub depth: Depth,
    pub trigger: Trigger,
    /// R41: also the person who approves, if `approve` contains codes.
    pub started_by: Option<Actor>,
    /// R39; empty for all.
    pub accounts: BTreeSet<SmtpAddress>,
    /// R27
    pub approve: Vec<String>,
    /// R47: of the sets in `approve`, only the changes of these accounts; empty for all.
    pub approve_accounts: BTreeSet<SmtpAddress>,
    /// R34: after this time, the invocation saves its progress and hands over.
    pub time_budget: Option<Duration>,
    /// A caller waits for the answer: at the deadline, this invocation hands over even if it made no progress.
    pub punctual: bool,
    /// How long to wait for a lock that another run holds.
    pub patience: Duration,
    /// R37: the run to undo; `None` for a reconciliation.
    pub undo: Option<RunId>,
    /// R28: the reviewed plan that the run is restricted to.
    pub plan: Option<PlanSource>,
    /// R28: the tick that begins or continues the run.
    pub tick: Option<String>,
    /// R47: the part of its plan that the run makes.
    pub wave: Option<Wave>,
    /// R46: settings of a preview that replace those of the program.
    pub settings: Vec<OtherSetting>,
}

impl RunRequest {
    pub fn new(mode: Mode, trigger: Trigger) -> Self {
        Self {
            mode,
            trigger,
            started_by: Actor::of_trigger(trigger),
            ..Self::default()
        }
    }
}

/// A run in the history, with everything that is needed to continue it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    pub id: String,
    pub mode: Mode,
    #[serde(skip_serializing_if = "Depth::is_full", default)]
    pub depth: Depth,
    pub trigger: Trigger,
    /// R41
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_by: Option<Actor>,
    /// R41: who stopped it (R34).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped_by: Option<Actor>,
    pub state: RunState,
    pub outcome: RunOutcome,
    pub started: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    pub counts: Counts,
    pub remaining: u32,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub accounts: BTreeSet<SmtpAddress>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approve: Vec<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub approve_accounts: BTreeSet<SmtpAddress>,
    /// R37: the run that this one undoes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub undo: Option<RunId>,
    /// R28: the preview to whose changes the run is restricted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub applies: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wave: Option<Wave>,
    /// R46: settings of a preview that replace those of the program.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub settings: Vec<OtherSetting>,
    /// R28: its process ended before the run did.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub was_killed: bool,
    /// R28: it failed, and would fail again without a change by a person.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_final: bool,
    /// R28: the last tick that began or continued it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tick: Option<String>,
}

impl RunSummary {
    /// The facts from which health is determined.
    pub fn facts(&self) -> health::Run<'_> {
        let has_ended_process = self.has_ended_process();
        let killed = match &self.undo {
            Some(_) if has_ended_process => Some(Killed::UndoIsLeft),
            _ => (self.was_killed || has_ended_process).then_some(Killed::TakenUp),
        };
        health::Run {
            id: &self.id,
            mode: self.mode,
            depth: self.depth,
            state: self.state,
            outcome: self.outcome,
            started: epoch(&self.started),
            ended: self.ended.as_deref().and_then(epoch),
            error: self.error.as_deref(),
            is_for_all: self.accounts.is_empty()
                && self.undo.is_none()
                && !self.counts.leave_out()
                && !self.is_hypothetical(),
            is_hypothetical: self.is_hypothetical(),
            killed,
            resumes_left: self.counts.resumes_left(),
        }
    }

    /// R46: a preview under other settings.
    pub fn is_hypothetical(&self) -> bool {
        !self.settings.is_empty()
    }

    /// Whether an invocation has worked on the run and it has not ended.
    pub fn has_begun(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Continues)
    }

    /// Whether it is an apply that is running, or whose process ended while it was running.
    pub fn is_writing(&self) -> bool {
        self.state == RunState::Running && self.mode == Mode::Apply
    }

    /// Whether it is an apply whose process ended while it was running: then
    /// [`Engine::history`](crate::engine::Engine::history) sets `error`.
    pub fn has_ended_process(&self) -> bool {
        self.is_writing() && self.error.is_some()
    }

    /// Whether it is an apply that may have changed something in Zivver.
    pub fn may_have_written(&self) -> bool {
        let has_written = self.counts.may_have_written();
        self.mode == Mode::Apply && (has_written || self.state != RunState::Ended)
    }

    /// A report with the data of this summary.
    pub fn outline(&self) -> Report {
        let begun = Report::begin(
            self.id.clone(),
            self.mode,
            self.trigger,
            self.started.clone(),
        );
        Report {
            depth: self.depth,
            started_by: self.started_by.clone(),
            approves: self.approve.clone(),
            approves_accounts: self.approve_accounts.iter().cloned().collect(),
            stopped_by: self.stopped_by.clone(),
            state: self.state,
            outcome: self.outcome,
            error: self.error.clone(),
            ended: self.ended.clone(),
            counts: self.counts.clone(),
            remaining: self.remaining,
            accounts: self.accounts.iter().cloned().collect(),
            undoes: self.undo.as_ref().map(ToString::to_string),
            applies: self.applies.as_ref().map(ToString::to_string),
            wave: self.wave.clone(),
            settings: self.settings.clone(),
            ..begun
        }
    }

    /// R28: whether the next try of the same tick continues the run although it has ended. A run that another run has
    /// taken over is not continued.
    pub fn is_tried_again(&self) -> bool {
        self.state == RunState::Ended
            && self.outcome == RunOutcome::Failed
            && self.trigger == Trigger::Timer
            && !self.is_final
            && !self.was_killed
    }

    pub fn of(report: &Report, request: &RunRequest) -> Self {
        Self {
            id: report.id.clone(),
            mode: report.mode,
            depth: request.depth,
            trigger: report.trigger,
            started_by: request.started_by.clone(),
            stopped_by: report.stopped_by.clone(),
            state: report.state,
            outcome: report.outcome,
            started: report.started.clone(),
            ended: report.ended.clone(),
            error: report.error.clone(),
            counts: report.counts.clone(),
            remaining: report.remaining,
            accounts: request.accounts.clone(),
            approve: request.approve.clone(),
            approve_accounts: request.approve_accounts.clone(),
            undo: request.undo.clone(),
            applies: request.plan.as_ref().map(|plan| plan.id().clone()),
            wave: request.wave.clone(),
            settings: request.settings.clone(),
            was_killed: false,
            is_final: report.is_final,
            tick: request.tick.clone(),
        }
    }
}
