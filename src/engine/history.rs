//! Looking at runs without running, and putting one in the queue.

use std::{cmp::Reverse, time::Duration};

use jiff::Timestamp;

use super::{Engine, RunError, RunRequest, RunSummary, journal::read};
use crate::{
    domain::{
        actor::Actor,
        mode::Mode,
        record::PlanRecord,
        report::{Counts, Report, RunOutcome, RunState},
    },
    http::Clock,
    state::{
        Phase, RunId, State, Stopped,
        lock::{Lease, LockStatus},
    },
};

/// How many of the newest runs are looked at for one that died: more than begin in a day.
pub(super) const LOOKED_AT: usize = 100;

/// How many of the ids that begin alike are named.
const CANDIDATES_MAX: usize = 5;

/// After so long nothing comes from the queue any more.
const MESSAGE_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long after its end a lock is still taken for held, when its times, which are the store's, are compared with ours.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// A preview on the command line has no time budget; one that works for longer than this is taken for dead, and says
/// itself how it ended if it was not.
const PREVIEW_MAX: Duration = Duration::from_secs(60 * 60);

/// A run of the history as it is in state.
#[derive(Debug)]
pub struct Past {
    pub id: RunId,
    pub phase: Phase,
    pub run: RunSummary,
}

/// The newest runs first, and why others among them cannot be read.
#[derive(Debug, Default)]
pub struct PastRuns {
    pub runs: Vec<Past>,
    pub unreadable: Vec<String>,
}

/// The runs in state: they can be read where nothing but state can be reached.
#[derive(Debug)]
pub struct Records<'a> {
    pub state: &'a State,
    pub lease: Lease,
    pub clock: Clock,
}

/// What `last` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// The run that began last.
    Any,
    /// The apply that began last of those that changed something, or may have: only those can be undone.
    Change,
    /// The run that began last of those that have not ended, an apply before a preview.
    Open,
}

impl RunSummary {
    /// Whether it read both sides and planned. What another one counts is not known, and is not 0.
    pub fn has_planned(&self) -> bool {
        match self.outcome {
            RunOutcome::Failed | RunOutcome::Stopped | RunOutcome::Open => {
                self.counts != Counts::default()
            }
            RunOutcome::InSync
            | RunOutcome::Done
            | RunOutcome::ChangesPending
            | RunOutcome::NeedsAttention => true,
        }
    }
}

impl Records<'_> {
    /// The run that `name` stands for: an id, the beginning of an id that no other has, or `last`.
    pub async fn find(&self, name: &str, last: Last) -> Result<RunId, RunError> {
        let unknown = || RunError::UnknownRun(name.to_owned());
        if name == "last" {
            let mut runs = self.past(usize::MAX).await?.runs;
            runs.retain(|past| match last {
                Last::Any => true,
                // What came of one that ended while it wrote is told by the next apply.
                Last::Change => {
                    let is_unsettled = past.phase == Phase::Open && past.run.mode == Mode::Apply;
                    is_unsettled || past.run.may_have_written()
                }
                Last::Open => past.run.state != RunState::Ended,
            });
            if last == Last::Open {
                // A preview whose process was killed is open for an hour.
                runs.sort_by_key(|past| past.run.mode == Mode::Preview);
            }
            let wanted = runs.into_iter().next();
            return wanted.map(|past| past.id).ok_or(RunError::NoRun(last));
        }
        if let Some(id) = RunId::parse(name) {
            return Ok(id);
        }
        let mut found = self.state.run_ids().await?;
        found.retain(|id| !name.is_empty() && id.as_str().starts_with(name));
        match found.len() {
            0 => Err(unknown()),
            1 => Ok(found.remove(0)),
            _ => Err(RunError::AmbiguousRun {
                name: name.to_owned(),
                newest: found.iter().rev().take(CANDIDATES_MAX).cloned().collect(),
                count: found.len(),
            }),
        }
    }

    /// What the history holds of the newest runs, the one that began last first. A run without a line was killed before it wrote one; a line that cannot be
    /// read is a warning, and hides no other (R35).
    pub async fn past(&self, limit: usize) -> Result<PastRuns, RunError> {
        let mut past = PastRuns::default();
        for entry in self.state.runs::<RunSummary>(limit).await? {
            match entry.summary {
                Ok(found) => past.runs.extend(found.map(|found| Past {
                    id: entry.id,
                    phase: found.phase,
                    run: found.summary,
                })),
                Err(error) => {
                    tracing::warn!(run = %entry.id, %error, "a run of the history cannot be read");
                    past.unreadable.push(format!(
                        "run {} is left out of the history: {error}",
                        entry.id
                    ));
                }
            }
        }
        past.runs
            .sort_by_cached_key(|past| Reverse(past.run.facts().position()));
        Ok(past)
    }

    /// The newest runs first, for people.
    pub async fn newest(&self, limit: usize) -> Result<Vec<RunSummary>, RunError> {
        let past = self.past(limit).await?.runs;
        let mut runs: Vec<RunSummary> = past.into_iter().map(|past| past.run).collect();
        for run in &mut runs {
            self.mark_ended_process(run).await;
        }
        Ok(runs)
    }

    /// A killed apply says `running` until the next apply has looked after it: the history tells so, with what its journal
    /// has, and writes nothing. What cannot be read tells nothing. Gives the report of an apply whose process ended.
    async fn mark_ended_process(&self, run: &mut RunSummary) -> Option<Report> {
        let id = RunId::parse(&run.id).filter(|_| run.is_writing())?;
        let is_held = match self.state.lock(self.lease).status().await.ok()? {
            LockStatus::Held(holder) => {
                holder.owner.run == id && self.clock.now() < holder.expires + CLOCKS_DIFFER
            }
            LockStatus::Free => false,
        };
        if is_held {
            return None;
        }
        // A run that lives saves its end before it gives the lock back.
        if let Ok(Some(now)) = self.summary(&id).await {
            *run = now;
        }
        if !run.is_writing() {
            return None;
        }
        run.error = Some("its process ended; the next apply takes up its work (R35)".into());
        let plans = self.state.plans::<PlanRecord>(&id);
        let plans = read(&plans, &self.state.journal(&id)).await.ok()?;
        let mut report = run.outline();
        report.record_plans(&plans, None);
        run.counts.clone_from(&report.counts);
        run.remaining = report.remaining;
        Some(report)
    }

    /// R34: a run that works looks for the stop every few seconds. One that waits for an invocation ends at once.
    pub async fn stop(&self, run: &RunId, by: Option<Actor>) -> Result<RunSummary, RunError> {
        let summary = self.summary(run).await?;
        let mut summary = summary.ok_or_else(|| RunError::UnknownRun(run.to_string()))?;
        if summary.state == RunState::Ended {
            return Err(RunError::HasEnded(run.clone()));
        }
        self.mark_ended_process(&mut summary).await;
        let stopped = Stopped { by };
        self.state.save_stop(run, &stopped).await?;
        if matches!(summary.state, RunState::Queued | RunState::Continues) {
            summary.state = RunState::Ended;
            summary.outcome = RunOutcome::Stopped;
            summary.stopped_by = stopped.by;
            summary.ended = Some(super::run::second(self.clock.now()).to_string());
            self.state.save_summary(run, Phase::Ended, &summary).await?;
        }
        Ok(summary)
    }

    pub async fn summary(&self, run: &RunId) -> Result<Option<RunSummary>, RunError> {
        let summary = self.state.summary::<RunSummary>(run).await?;
        Ok(summary.map(|summary| summary.summary))
    }

    /// The report of a run; of one that has not ended, what is known of it.
    pub async fn report(&self, run: &RunId) -> Result<Report, RunError> {
        let mut summary = self.summary(run).await?;
        if let Some(summary) = &mut summary
            && let Some(report) = self.mark_ended_process(summary).await
        {
            return Ok(report);
        }
        let report: Option<Report> = self.state.report(run).await?;
        match (report, summary) {
            (Some(report), Some(summary)) => Ok(Report {
                state: summary.state,
                outcome: summary.outcome,
                stopped_by: summary.stopped_by.or(report.stopped_by),
                // A run may end without another report, such as one whose code expired while it waited.
                error: summary.error.or(report.error),
                ended: summary.ended.or(report.ended),
                ..report
            }),
            (Some(report), None) => Ok(report),
            (None, Some(summary)) => Ok(summary.outline()),
            (None, None) => Err(RunError::UnknownRun(run.to_string())),
        }
    }
}

impl Engine {
    pub async fn records(&self) -> Result<Records<'_>, RunError> {
        Ok(Records {
            state: self.state().await?,
            lease: self.shared.lease,
            clock: self.shared.clock,
        })
    }

    pub async fn past(&self, limit: usize) -> Result<PastRuns, RunError> {
        self.records().await?.past(limit).await
    }

    /// The newest runs first, for people.
    pub async fn history(&self, limit: usize) -> Result<Vec<RunSummary>, RunError> {
        self.records().await?.newest(limit).await
    }

    pub async fn summary(&self, run: &RunId) -> Result<Option<RunSummary>, RunError> {
        self.records().await?.summary(run).await
    }

    pub async fn report(&self, run: &RunId) -> Result<Report, RunError> {
        self.records().await?.report(run).await
    }

    /// Ends the runs that no process will end: a preview whose process died, since it has no lock that would show
    /// it, and a run whose message was lost. Gives what cannot be read.
    pub(super) async fn end_abandoned_runs(&self) -> Result<Vec<String>, RunError> {
        let state = self.state().await?;
        let past = self.past(LOOKED_AT).await?;
        for Past { id, run, .. } in past.runs {
            if let Some(why) = self.lost(&run) {
                let ended = RunSummary {
                    state: RunState::Ended,
                    outcome: RunOutcome::Failed,
                    ended: Some(super::run::second(self.now()).to_string()),
                    error: Some(why.into()),
                    ..run
                };
                state.save_summary(&id, Phase::Ended, &ended).await?;
            }
        }
        Ok(past.unreadable)
    }

    /// Why no invocation will continue a run; `None` if one may.
    fn lost(&self, run: &RunSummary) -> Option<&'static str> {
        let began: Timestamp = run.started.parse().ok()?;
        let age = self.now().duration_since(began).unsigned_abs();
        let preview_max = PREVIEW_MAX.max(self.settings().time_budget * 2);
        match run.state {
            RunState::Running if run.mode == Mode::Preview && age > preview_max => {
                Some("the process ended in the middle; start the preview again")
            }
            RunState::Queued | RunState::Continues if age > MESSAGE_AGE_MAX => {
                Some("its message was lost; start it again")
            }
            RunState::Queued | RunState::Continues | RunState::Running | RunState::Ended => None,
        }
    }

    pub async fn lock_status(&self) -> Result<LockStatus, RunError> {
        Ok(self.state().await?.lock(self.shared.lease).status().await?)
    }

    pub fn time(&self) -> Timestamp {
        self.now()
    }

    /// Writes down what is wanted, so that a message with the run's id is enough to do it. Codes are checked first.
    pub async fn enqueue(&self, request: &RunRequest) -> Result<RunId, RunError> {
        self.check_approvals(request).await?;
        let id = self.new_run_id().await?;
        let mut report = Report::begin(
            id.to_string(),
            request.mode,
            request.trigger,
            super::run::second(self.now()).to_string(),
        );
        report.state = RunState::Queued;
        let summary = RunSummary::of(&report, request);
        self.state()
            .await?
            .save_summary(&id, Phase::Open, &summary)
            .await?;
        Ok(id)
    }

    /// [`Engine::run`] for a run that is in the history already: also one that did not begin ends there.
    pub async fn run_recorded(&self, request: &RunRequest) -> Result<Report, RunError> {
        let error = match self.run(request).await {
            Err(error) => error,
            ended => return ended,
        };
        let is_recorded = request.id.is_some()
            && !matches!(error, RunError::LockHeld { .. } | RunError::State(_));
        if is_recorded {
            self.record_failure(request, &error).await
        } else {
            Err(error)
        }
    }

    /// The history's entry of a run that failed without a report of its own.
    pub(super) async fn record_failure(
        &self,
        request: &RunRequest,
        error: &RunError,
    ) -> Result<Report, RunError> {
        let now = super::run::second(self.now()).to_string();
        let (id, before) = if let Some(id) = &request.id {
            (id.clone(), self.report(id).await?)
        } else {
            let id = self.new_run_id().await?;
            let (mode, trigger) = (request.mode, request.trigger);
            let begun = Report {
                depth: request.depth,
                started_by: request.started_by.clone(),
                approves: request.approve.clone(),
                ..Report::begin(id.to_string(), mode, trigger, now.clone())
            };
            (id, begun)
        };
        let has_failed_before = before.outcome == RunOutcome::Failed;
        let report = Report {
            state: RunState::Ended,
            outcome: RunOutcome::Failed,
            error: Some(error.to_string()),
            is_final: error.is_final(),
            ended: Some(now),
            ..before
        };
        let summary = RunSummary::of(&report, request);
        let state = self.state().await?;
        state.save_summary(&id, Phase::Ended, &summary).await?;
        self.announce(&report, has_failed_before).await;
        Ok(report)
    }
}
