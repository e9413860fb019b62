//! Reads and stops runs, and puts runs in the queue, without running them.

use std::{cmp::Reverse, time::Duration};

use jiff::Timestamp;

use super::{Engine, RunError, RunRequest, RunSummary, journal::read, run::owner};
use crate::{
    domain::{
        actor::Actor,
        mode::{Depth, Mode},
        record::PlanRecord,
        report::{Counts, Report, RunOutcome, RunState},
    },
    http::Clock,
    state::{
        Phase, RunId, State, Stopped,
        lock::{Lease, LockStatus},
    },
};

/// How many of the newest runs are searched for abandoned ones: more than start in a day.
pub(super) const LOOKED_AT: usize = 100;

/// Something is searched first in this number of the newest runs.
pub(super) const RUNS_ENOUGH: usize = 100;

/// If it is not found there, it is searched in this number of runs.
pub(super) const RUNS_MAX: usize = 2_000;

/// How many run ids are named if several begin with the given text.
const CANDIDATES_MAX: usize = 5;

/// A queue message older than this no longer arrives.
const MESSAGE_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A preview that runs for longer than this counts as dead: on the command line it has no time budget. If it is still
/// alive, it overwrites this with its own result.
const PREVIEW_MAX: Duration = Duration::from_secs(60 * 60);

/// A run of the history as stored in state.
#[derive(Debug)]
pub struct Past {
    pub id: RunId,
    pub phase: Phase,
    pub run: RunSummary,
}

/// The newest runs first, and the errors of those that cannot be read.
#[derive(Debug, Default)]
pub struct PastRuns {
    pub runs: Vec<Past>,
    pub unreadable: Vec<String>,
}

/// The runs in state. Reading them needs no settings or connections other than those of the state.
#[derive(Debug)]
pub struct Records<'a> {
    pub state: &'a State,
    pub lease: Lease,
    pub clock: Clock,
}

/// Which run the name `last` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// The newest run.
    Any,
    /// The newest apply that changed something, or may have: only such runs can be undone.
    Change,
    /// The newest run that may have a snapshot (R42).
    Snapshot,
    /// The newest run that has not ended; an apply comes before a preview.
    Open,
}

impl RunSummary {
    /// Whether the run read both sides and made a plan. If not, its counts are unknown, not 0.
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

    /// Whether it is known what the run holds: a journal does not tell.
    pub fn has_told_held(&self) -> bool {
        self.has_planned() && self.state == RunState::Ended && !self.was_killed
    }
}

/// R37: what a person can do about an undo whose process ended.
pub(super) fn undo_again(id: &RunId, undone: &RunId) -> String {
    format!(
        "its process ended, so run {undone} may be undone only in part, and no other run undoes the rest: start it again with \
         cloud-sync undo {undone} --apply, or leave the rest with cloud-sync stop {id} (R35, R37)"
    )
}

impl Records<'_> {
    /// The run that `name` means: an id, the unique beginning of an id, or `last`.
    pub async fn find(&self, name: &str, last: Last) -> Result<RunId, RunError> {
        let unknown = || RunError::UnknownRun(name.to_owned());
        if name == "last" {
            let mut runs = self.past(usize::MAX).await?.runs;
            runs.retain(|past| match last {
                Last::Any => true,
                Last::Snapshot => past.run.facts().saw_everybody(),
                // Whether it changed something is only known after the next apply.
                Last::Change => {
                    let is_unsettled = past.phase == Phase::Open && past.run.mode == Mode::Apply;
                    is_unsettled || past.run.may_have_written()
                }
                Last::Open => past.run.state != RunState::Ended,
            });
            if last == Last::Open {
                // Previews last: one whose process was killed counts as open for an hour.
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

    /// The newest full run for all accounts before this run.
    pub async fn before(&self, run: &RunId) -> Result<Option<RunId>, RunError> {
        let runs = self.past(usize::MAX).await?.runs.into_iter();
        let mut earlier = runs.skip_while(|past| past.id != *run).skip(1);
        let earlier = earlier.find(|past| past.run.facts().saw_everybody());
        Ok(earlier.map(|past| past.id))
    }

    /// The newest runs, the latest start first. A run without a summary was killed before it wrote one; a summary that
    /// cannot be read is a warning and does not hide other runs (R35).
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

    /// The newest runs first, including the result of `mark_ended_process`.
    pub async fn newest(&self, limit: usize) -> Result<Vec<RunSummary>, RunError> {
        let past = self.past(limit).await?.runs;
        let mut runs: Vec<RunSummary> = past.into_iter().map(|past| past.run).collect();
        for run in &mut runs {
            self.mark_ended_process(run).await;
        }
        Ok(runs)
    }

    /// The newest runs, enough of them to contain one that `is_wanted` if there is one.
    pub(super) async fn newest_with(
        &self,
        is_wanted: impl Fn(&RunSummary) -> bool,
    ) -> Result<Vec<RunSummary>, RunError> {
        let runs = self.newest(RUNS_ENOUGH).await?;
        if runs.len() < RUNS_ENOUGH || runs.iter().any(is_wanted) {
            return Ok(runs);
        }
        self.newest(RUNS_MAX).await
    }

    /// Marks an apply whose process has ended. Its stored summary says `running` until the next apply completes it, so
    /// the error and the counts are taken from its journal, and nothing is written. If the lock or the journal cannot
    /// be read, the counts stay as they are. Returns the report of such an apply.
    async fn mark_ended_process(&self, run: &mut RunSummary) -> Option<Report> {
        let id = RunId::parse(&run.id).filter(|_| run.is_writing())?;
        let is_held = match self
            .state
            .lock(self.lease)
            .status(&owner(&id), self.clock.now())
            .await
            .ok()?
        {
            LockStatus::Held(holder) => holder.owner.run == id,
            LockStatus::Abandoned(_) | LockStatus::Free => false,
        };
        if is_held {
            // The page of the run shows the same.
            if let Some(report) = self.report_of_journal(&id, run).await {
                run.counts = report.counts;
                run.remaining = report.remaining;
            }
            return None;
        }
        // A live run saves its end before it releases the lock, so the summary may have changed meanwhile.
        if let Ok(Some(now)) = self.summary(&id).await {
            *run = now;
        }
        if !run.is_writing() {
            return None;
        }
        let next = match run.depth {
            Depth::Full => "the next full apply",
            Depth::Quick => "the next apply",
        };
        run.error = Some(match &run.undo {
            Some(undone) => undo_again(&id, undone),
            None => format!("its process ended; {next} for all accounts continues its work (R35)"),
        });
        self.count_journal(&id, run).await
    }

    /// Sets the counts of a run that wrote no report, and returns its report.
    pub(super) async fn count_journal(&self, id: &RunId, run: &mut RunSummary) -> Option<Report> {
        let report = self.report_of_journal(id, run).await?;
        run.counts.clone_from(&report.counts);
        run.remaining = report.remaining;
        Some(report)
    }

    /// The report of a run that wrote none, as its journal shows it.
    async fn report_of_journal(&self, id: &RunId, run: &RunSummary) -> Option<Report> {
        let plans = self.state.plans::<PlanRecord>(id);
        let plans = read(&plans, &self.state.journal(id)).await.ok()?;
        if plans.is_empty() {
            return None;
        }
        let mut report = run.outline();
        report.record_plans(&plans, None);
        Some(report)
    }

    /// R34: a running run checks for the stop every few seconds. A run that waits for an invocation ends immediately.
    pub async fn stop(&self, run: &RunId, by: Option<Actor>) -> Result<RunSummary, RunError> {
        let summary = self.summary(run).await?;
        let mut summary = summary.ok_or_else(|| RunError::UnknownRun(run.to_string()))?;
        if summary.state == RunState::Ended {
            return Err(RunError::HasEnded(run.clone()));
        }
        self.mark_ended_process(&mut summary).await;
        let stopped = Stopped { by };
        self.state.save_stop(run, &stopped).await?;
        let waits = matches!(summary.state, RunState::Queued | RunState::Continues);
        if waits || summary.has_ended_process() {
            self.end_stopped(run, &mut summary, stopped).await?;
        }
        Ok(summary)
    }

    /// R34: ends a stopped run that no process works on.
    pub(super) async fn end_stopped(
        &self,
        run: &RunId,
        summary: &mut RunSummary,
        stopped: Stopped,
    ) -> Result<(), RunError> {
        // What the requests in flight of a killed run made is only seen by the next apply, which completes its report.
        let phase = if summary.is_writing() {
            Phase::Open
        } else {
            Phase::Ended
        };
        summary.state = RunState::Ended;
        summary.outcome = RunOutcome::Stopped;
        summary.stopped_by = stopped.by;
        summary.ended = Some(super::run::second(self.clock.now()).to_string());
        summary.error = None;
        Ok(self.state.save_summary(run, phase, summary).await?)
    }

    /// R34: ends a run that was stopped while its process seemed to be alive, if the process has ended. A run that was
    /// stopped counts as ended here although its process may still be ending it. A stop that cannot be read does not count.
    pub async fn end_if_stopped(&self, past: &mut Past) -> Result<(), RunError> {
        let Past { id, run, .. } = past;
        if !run.is_writing() {
            return Ok(());
        }
        let Ok(Some(stopped)) = self.state.stopped(id).await else {
            return Ok(());
        };
        self.mark_ended_process(run).await;
        if run.has_ended_process() {
            return self.end_stopped(id, run, stopped).await;
        }
        run.state = RunState::Ended;
        run.outcome = RunOutcome::Stopped;
        Ok(())
    }

    pub async fn summary(&self, run: &RunId) -> Result<Option<RunSummary>, RunError> {
        let summary = self.state.summary::<RunSummary>(run).await?;
        Ok(summary.map(|summary| summary.summary))
    }

    /// The report of a run, for people: what was approved or rejected since is set apart (R47).
    pub async fn report_to_show(&self, run: &RunId) -> Result<Report, RunError> {
        let mut report = self.report(run).await?;
        // Of others, later runs change nothing that is shown, and reading them takes time.
        if !report.held.is_empty() || report.mode == Mode::Preview {
            let later = self.later_than(run).await?;
            let codes: Vec<String> = later.iter().flat_map(|it| &it.approve).cloned().collect();
            self.set_decided_apart(&mut report, &codes).await;
            report.is_outdated = later.iter().any(RunSummary::may_have_written);
        }
        Ok(report)
    }

    /// The same, if later runs were started with these codes.
    pub(super) async fn report_after(
        &self,
        run: &RunId,
        later: &[String],
    ) -> Result<Report, RunError> {
        let mut report = self.report(run).await?;
        self.set_decided_apart(&mut report, later).await;
        Ok(report)
    }

    async fn set_decided_apart(&self, report: &mut Report, later: &[String]) {
        let began: Option<Timestamp> = report.started.parse().ok();
        if let Some(began) = began.filter(|_| !report.held.is_empty()) {
            let own = report.held.iter().map(|set| &set.code);
            let used = self.used_since(own.chain(later), began.as_second()).await;
            report.set_approved_apart(&used.into_keys().collect());
            match self.rejections().await {
                Ok(rejections) => report.set_rejected_apart(&rejections, began.as_second()),
                Err(error) => tracing::warn!("cannot read what was rejected: {error}"),
            }
        }
    }

    pub(super) async fn later_than(&self, run: &RunId) -> Result<Vec<RunSummary>, RunError> {
        let ids = self.state.run_ids().await?;
        let later = ids.iter().rev().take_while(|id| *id != run).count();
        let past = self.past(later.min(RUNS_MAX)).await?.runs;
        Ok(past.into_iter().map(|past| past.run).collect())
    }

    /// The report of a run. If the run has not ended, the report contains what is known so far.
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
                // A run can end without a new report, for example if its code expired while it waited.
                error: summary.error.or(report.error),
                ended: summary.ended.or(report.ended),
                ..report
            }),
            (Some(report), None) => Ok(report),
            (None, Some(summary)) => {
                let shown = self.report_of_journal(run, &summary).await;
                Ok(shown.unwrap_or_else(|| summary.outline()))
            }
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

    /// R34: whether a person has stopped the run. A stop that cannot be read does not count.
    pub async fn is_stopping(&self, run: &RunId) -> bool {
        match self.state().await {
            Ok(state) => matches!(state.stopped(run).await, Ok(Some(_))),
            Err(_) => false,
        }
    }

    pub async fn past(&self, limit: usize) -> Result<PastRuns, RunError> {
        self.records().await?.past(limit).await
    }

    /// The newest runs first, as `Records::newest`.
    pub async fn history(&self, limit: usize) -> Result<Vec<RunSummary>, RunError> {
        self.records().await?.newest(limit).await
    }

    pub async fn summary(&self, run: &RunId) -> Result<Option<RunSummary>, RunError> {
        self.records().await?.summary(run).await
    }

    pub async fn report(&self, run: &RunId) -> Result<Report, RunError> {
        self.records().await?.report(run).await
    }

    pub async fn report_to_show(&self, run: &RunId) -> Result<Report, RunError> {
        self.records().await?.report_to_show(run).await
    }

    /// Ends the runs that no process will end: previews whose process died (they hold no lock that would show it), and
    /// runs whose queue message was lost. Returns the errors of runs that cannot be read.
    pub(super) async fn end_abandoned_runs(&self) -> Result<Vec<String>, RunError> {
        let state = self.state().await?;
        let records = self.records().await?;
        let past = records.past(LOOKED_AT).await?;
        for mut past in past.runs {
            records.end_if_stopped(&mut past).await?;
            let Past { id, run, .. } = past;
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

    /// Why no invocation will continue the run; `None` if one still may.
    fn lost(&self, run: &RunSummary) -> Option<&'static str> {
        let began: Timestamp = run.started.parse().ok()?;
        let age = self.now().duration_since(began).unsigned_abs();
        let preview_max = PREVIEW_MAX.max(self.settings().time_budget * 2);
        match run.state {
            RunState::Running if run.mode == Mode::Preview && age > preview_max => {
                Some("the process ended before the run did; start the preview again")
            }
            RunState::Queued | RunState::Continues if age > MESSAGE_AGE_MAX => {
                Some("its queue message was lost; start it again")
            }
            RunState::Queued | RunState::Continues | RunState::Running | RunState::Ended => None,
        }
    }

    pub async fn lock_status(&self) -> Result<LockStatus, RunError> {
        Ok(self
            .state()
            .await?
            .lock(self.shared.lease)
            .status(&owner(&RunId::new(self.now())), self.now())
            .await?)
    }

    pub fn time(&self) -> Timestamp {
        self.now()
    }

    /// Stores the request, so that the queue message needs only the run's id. Checks the approval codes first.
    pub async fn enqueue(&self, request: &RunRequest) -> Result<RunId, RunError> {
        self.check_approvals(request).await?;
        let id = self.id_of(request).await?;
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

    /// Like [`Engine::run`], for a run that is already in the history: a run that did not begin is recorded there as
    /// failed.
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

    /// Records a run that failed without its own report.
    pub(super) async fn record_failure(
        &self,
        request: &RunRequest,
        error: &RunError,
    ) -> Result<Report, RunError> {
        let now = super::run::second(self.now()).to_string();
        let id = self.id_of(request).await?;
        let recorded = self.summary(&id).await?;
        let has_ended =
            |run: &RunSummary| run.state == RunState::Ended && run.outcome != RunOutcome::Failed;
        if recorded.as_ref().is_some_and(has_ended) {
            // Its end was saved, but the answer of the storage was lost.
            return self.report(&id).await;
        }
        let before = if recorded.is_some() {
            self.report(&id).await?
        } else {
            let (mode, trigger) = (request.mode, request.trigger);
            Report {
                depth: request.depth,
                started_by: request.started_by.clone(),
                approves: request.approve.clone(),
                approves_accounts: request.approve_accounts.iter().cloned().collect(),
                ..Report::begin(id.to_string(), mode, trigger, now.clone())
            }
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
        // R35: what a run did that could not save its end is only seen by the next apply.
        let phase = match recorded {
            Some(recorded) if recorded.is_writing() => Phase::Open,
            Some(_) | None => Phase::Ended,
        };
        state.save_summary(&id, phase, &summary).await?;
        self.announce(&report, has_failed_before).await;
        Ok(report)
    }
}
