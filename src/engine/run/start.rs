//! The start of a run: approval codes, lock, and data from earlier runs.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{Running, Stage, earlier::Earlier, release, second, watch::Watch};
use crate::{
    domain::{
        health,
        memory::Memory,
        mode::{Mode, Trigger},
        report::{Report, RunState},
        reviewed::Reviewed,
        undo::Undo,
    },
    engine::{Engine, RunError, RunRequest, RunSummary, undo},
    state::{
        Phase, Revision, RunId, State, StateError, StateLocation, Stored,
        lock::{Acquired, LockGuard, Owner},
    },
};

/// A slice is a 20th of the time budget: with 9 minutes, two slices after the budget end before the host's timeout of
/// 10 minutes (R34).
const SLICES: u32 = 20;

/// How long an invocation may continue after its time budget. This leaves some seconds to save before the host's
/// timeout of 10 minutes (R34). It is the same for small budgets, so that each invocation makes progress.
const OVERTIME_MAX: Duration = Duration::from_secs(50);

/// Deadline for the answer to a waiting caller: the front end gives up after 230 s (`docs/specs/functions-host.md`,
/// "7.1 230 s").
const ANSWER_WITHIN_MAX: Duration = Duration::from_secs(220);

/// What determines the deltas of a run in addition to the two sides.
struct Origin {
    undo: Option<Undo>,
    reviewed: Option<Reviewed>,
}

/// The result of starting a run.
enum Begun<'a> {
    Now(Box<Running<'a>>),
    /// Another invocation has already ended the run.
    EndedBefore(Box<Report>),
}

impl Engine {
    /// Runs one invocation. An error means that the run did not begin; a run that failed returns a report with the
    /// error.
    pub async fn run(&self, request: &RunRequest) -> Result<Report, RunError> {
        // The future is large, so it is boxed.
        let result = Box::pin(self.run_once(request)).await;
        if let Some(otlp) = &self.shared.links.otlp {
            let report = result.as_ref().ok();
            let setting = self.settings().perform_sync;
            otlp.export(
                report.map(|report| (report, health::Run::from(report).is_success(setting))),
            )
            .await;
        }
        result
    }

    async fn run_once(&self, request: &RunRequest) -> Result<Report, RunError> {
        self.settings().perform_sync.permit(request.mode)?;
        let started = Instant::now();
        self.check_approvals(request).await?;
        let state = self.state().await?;
        let id = self.id_of(request).await?;
        tracing::Span::current().record("run", id.as_str());
        let undo = match &request.undo {
            Some(run) => Some(undo::load(state, run).await?),
            None => None,
        };
        let reviewed = match &request.plan {
            Some(plan) => Some(plan.load(state).await?),
            None => None,
        };
        let lock = match request.mode {
            Mode::Preview => None,
            Mode::Apply => Some(self.lock(state, &id, request.patience).await?),
        };
        let origin = Origin { undo, reviewed };
        let begun = self.begun(request, state, id, origin, started, lock.as_ref());
        match begun.await {
            Ok(Begun::Now(running)) => Box::pin(running.traced(lock)).await,
            Ok(Begun::EndedBefore(report)) => {
                release(lock).await;
                Ok(*report)
            }
            Err(error) => {
                release(lock).await;
                Err(error)
            }
        }
    }

    /// Prepares the run. An error means that the run did not begin.
    async fn begun<'a>(
        &'a self,
        request: &'a RunRequest,
        state: &'a State,
        id: RunId,
        origin: Origin,
        started: Instant,
        lock: Option<&LockGuard>,
    ) -> Result<Begun<'a>, RunError> {
        let Origin { undo, reviewed } = origin;
        let recorded = self.recorded(request).await?;
        if let Some(run) = &recorded
            && self.has_ended(&id, run, lock).await?
        {
            return Ok(Begun::EndedBefore(Box::new(self.report(&id).await?)));
        }
        // Checked again under the lock, since no other run can use the codes now.
        let approvals = self.check_approvals(request).await?;
        let (mut memory, revision) = load_memory(state).await?;
        let now = self.now().as_second();
        memory.correct_times(now);
        let mut report = self.report_of(request, &id);
        if undo.as_ref().is_some_and(|undo| undo.deeds.is_empty()) {
            report.warnings.insert(
                0,
                "that run changed nothing, so there is nothing to undo (R37)".into(),
            );
        }
        if let Some(run) = &request.undo {
            let warning = undo::takes_back_an_undo(state, run).await?;
            report.warnings.extend(warning);
            let warning = undo::undone_before(&self.records().await?, run, &id).await?;
            report.warnings.extend(warning);
        }
        report.lock_owner = lock.map(|_| owner_since(&id, &report.started));
        let process = &self.shared.links.stop;
        let watch = Watch::start(state, &id, process, request.started_by.as_ref());
        // The run may have been stopped while it waited.
        if request.id.is_some()
            && let Some(stopped) = state.stopped(&id).await?
        {
            watch.stop_by_person(stopped);
        }
        let mut running = Running {
            engine: self,
            state,
            id,
            request,
            started,
            deadline: request.time_budget.map(|budget| started + budget),
            ends_by: ends_by(request, started),
            slice: slice(request),
            stage: Stage::Reading,
            watch,
            read_from: (!memory.is_in_progress()).then_some(now),
            memory,
            revision,
            report,
            approvals,
            undo,
            reviewed,
            earlier: Earlier::default(),
            named: BTreeSet::new(),
        };
        if let Some(id) = &request.id {
            let plans = running.done_by(id).await?;
            running.earlier.recall(recorded, plans);
        }
        running.save_summary(Phase::Open).await?;
        Ok(Begun::Now(Box::new(running)))
    }

    /// Whether the run has ended while this invocation waited. Its report must not be overwritten.
    async fn has_ended(
        &self,
        id: &RunId,
        run: &RunSummary,
        lock: Option<&LockGuard>,
    ) -> Result<bool, RunError> {
        // A queue message can be delivered more than once, so another invocation may have ended the run.
        if run.state == RunState::Ended {
            return Ok(!run.is_tried_again());
        }
        let records = self.records().await?;
        let stopped = records.state.stopped(id).await?;
        let Some(stopped) = stopped.filter(|_| lock.is_some() && run.is_writing()) else {
            return Ok(false);
        };
        // R34: this invocation has the lock, so the process that worked on the run has ended.
        let mut run = run.clone();
        drop(records.count_journal(id, &mut run).await);
        records.end_stopped(id, &mut run, stopped).await?;
        Ok(true)
    }

    /// The report of a run at its start.
    fn report_of(&self, request: &RunRequest, id: &RunId) -> Report {
        let mut report = Report::begin(
            id.to_string(),
            request.mode,
            request.trigger,
            second(self.now()).to_string(),
        );
        report.depth = request.depth;
        report.undoes = request.undo.as_ref().map(ToString::to_string);
        report.started_by.clone_from(&request.started_by);
        report.approves.clone_from(&request.approve);
        report.approves_accounts = request.approve_accounts.iter().cloned().collect();
        report.applies = request.plan.as_ref().map(|plan| plan.id().to_string());
        report.perform_sync = Some(self.settings().perform_sync);
        report.wave.clone_from(&request.wave);
        report.settings.clone_from(&request.settings);
        report.accounts = request.accounts.iter().cloned().collect();
        report.warnings.extend_from_slice(&self.settings().warnings);
        let sees_no_cloud = matches!(self.settings().state, StateLocation::Folder(_))
            && request.trigger == Trigger::CommandLine;
        if sees_no_cloud && request.mode == Mode::Apply {
            report.warnings.push(
                "state is kept on this machine only, so the lock of a function app is not seen (R29)".into(),
            );
        }
        report
    }

    pub(super) async fn recorded(
        &self,
        request: &RunRequest,
    ) -> Result<Option<RunSummary>, RunError> {
        match &request.id {
            Some(id) => self.summary(id).await,
            None => Ok(None),
        }
    }

    async fn lock(
        &self,
        state: &State,
        id: &RunId,
        patience: Duration,
    ) -> Result<LockGuard, RunError> {
        match state
            .lock(self.shared.lease)
            .acquire_within(&owner(id), patience)
            .await?
        {
            Acquired::Mine(guard) => Ok(guard),
            Acquired::Held(holder) => Err(RunError::LockHeld {
                holder: holder.to_string(),
            }),
        }
    }
}

/// The memory of earlier runs; no revision if there is none.
pub(super) async fn load_memory(state: &State) -> Result<(Memory, Option<Revision>), StateError> {
    let stored: Option<Stored<Memory>> = state.memory().await?;
    Ok(stored.map_or_else(
        || (Memory::default(), None),
        |stored| (stored.value, Some(stored.revision)),
    ))
}

/// R34: the minimum time for reading and for writing; 0 if a caller waits for the answer.
fn slice(request: &RunRequest) -> Duration {
    match request.time_budget {
        Some(budget) if !request.punctual => budget / SLICES,
        Some(_) | None => Duration::ZERO,
    }
}

fn ends_by(request: &RunRequest, started: Instant) -> Option<Instant> {
    let last = request.time_budget? + OVERTIME_MAX;
    Some(
        started
            + if request.punctual {
                last.min(ANSWER_WITHIN_MAX)
            } else {
                last
            },
    )
}

/// R29: the lock owner as shown in the report.
fn owner_since(run: &RunId, started: &str) -> String {
    format!("{} since {started}", owner(run))
}

/// The identity of this process as lock owner for the run.
pub(in crate::engine) fn owner(run: &RunId) -> Owner {
    Owner::of(run.clone(), crate::settings::environment)
}
