//! The end of a run: report, summary and lock, in every case.

use tracing::Instrument;

use super::{Running, Stage, millis, release, second};
use crate::{
    domain::{
        comparison::since,
        counted::number,
        execute::Applied,
        mode::{Depth, Trigger},
        record::PlanRecord,
        report::{Report, RunOutcome, RunState},
        world::World,
    },
    engine::{Progress, RunError, RunSummary, journal::Journal, progress::span},
    state::{Keep, Phase, StateError, lock::LockGuard},
};

/// How many runs are searched for one to compare with.
const PREVIOUS_MAX: usize = 50;

impl Running<'_> {
    /// Completes and saves the report, saves the summary, and releases the lock, for success and failure.
    pub(super) async fn end(
        mut self: Box<Self>,
        result: Result<(), RunError>,
        lock: Option<LockGuard>,
    ) -> Result<Report, RunError> {
        let is_out_of_time = matches!(result, Err(RunError::TimeUp(_)));
        let is_in_flight = is_out_of_time && matches!(self.stage, Stage::Writing(_));
        let is_unsettled = is_out_of_time
            && matches!(
                self.stage,
                Stage::Planned | Stage::Writing(_) | Stage::Written
            );
        match &self.stage {
            Stage::Planned if is_unsettled => self.report.record_entries(&[]),
            Stage::Writing(entries) if is_unsettled => self.report.record_entries(&entries.take()),
            Stage::Reading
            | Stage::Planned
            | Stage::Writing(_)
            | Stage::Written
            | Stage::Verifying => {}
        }
        self.report.duration_ms = millis(self.started.elapsed());
        let actions = std::mem::take(&mut self.report.actions);
        self.report.actions = std::mem::take(&mut self.earlier.deeds).followed_by(actions);
        if !self.named.is_empty() {
            self.report.narrow(&self.named);
        }
        self.report.count();
        let result = result
            .and_then(|()| self.unless_stopped())
            .and_then(|()| self.unless_interrupted());
        let continues = result.is_ok() && self.report.state == RunState::Continues;
        let phase = if continues {
            Phase::Open
        } else {
            self.report.state = RunState::Ended;
            self.report.ended = Some(second(self.engine.now()).to_string());
            match result {
                Ok(()) => {
                    self.report.conclude();
                    self.compare().await;
                }
                Err(RunError::StoppedByPerson) => self.conclude_stopped(),
                Err(error) => {
                    self.report.outcome = RunOutcome::Failed;
                    self.report.error = Some(error.to_string());
                    self.report.is_final = error.is_final();
                    if let RunError::UnknownAccounts(unknown) = error {
                        self.report.unknown_accounts = unknown;
                    }
                }
            }
            // The next apply determines the outcome (R35).
            if is_unsettled {
                Phase::Open
            } else {
                Phase::Ended
            }
        };
        let saved = self.save_end(phase).instrument(span("save")).await;
        if is_in_flight {
            // Requests in flight may still arrive, so the lock is kept until it expires (R29).
            drop(lock);
        } else {
            release(lock).await;
        }
        saved?;
        let has_failed_before = self.earlier.has_failed();
        self.engine.announce(&self.report, has_failed_before).await;
        self.engine.progress().show(Progress::Ended);
        Ok(self.report)
    }

    /// R35: adds the final outcome of partly made actions to the journal and the report.
    pub(super) async fn end_journal(
        &mut self,
        mut journal: Journal,
        record: &PlanRecord,
        world: &World,
        applied: &mut Applied,
    ) {
        let half_done = record.half_done(applied, world);
        for entry in &half_done {
            journal.append(entry.clone());
        }
        let finish = std::mem::take(&mut applied.finish);
        applied.finish = finish.or_stopped(journal.finish().await.err());
        self.report.record_outcomes(applied, &half_done);
    }

    fn conclude_stopped(&mut self) {
        self.report.outcome = RunOutcome::Stopped;
        let by = self.watch.stopped().and_then(|stopped| stopped.by.as_ref());
        self.report.stopped_by = by.cloned();
        let by = by.map_or_else(|| "a person".to_owned(), ToString::to_string);
        let text = self.ended_early(&format!("stopped by {by}"), "R34");
        self.report.warnings.push(text);
    }

    /// A sentence about the progress of a run that ended early.
    fn ended_early(&self, how: &str, rule: &str) -> String {
        let has_written = self.report.counts.may_have_written();
        // No apply continues an undo.
        let (next, rules) = match &self.report.undoes {
            None => ("the next apply".to_owned(), rule.to_owned()),
            Some(run) => (
                format!("cloud-sync undo {run} --apply"),
                format!("{rule}, R37"),
            ),
        };
        match self.report.remaining {
            0 if has_written => {
                format!("{how} before the result was compared; {next} compares it ({rules})")
            }
            left if has_written || left > 0 && !self.report.actions.is_empty() => {
                let accounts = number(left, "account", "accounts");
                format!("{how} with changes of {accounts} left; {next} makes them ({rules})")
            }
            _ => format!("{how} before anything was written ({rule})"),
        }
    }

    /// A run that a person stopped is not continued by another invocation.
    fn unless_stopped(&self) -> Result<(), RunError> {
        let is_stopped = self.report.state == RunState::Continues && self.watch.stopped().is_some();
        if is_stopped {
            Err(RunError::StoppedByPerson)
        } else {
            Ok(())
        }
    }

    /// A run of the command line whose process must end is over, since no other invocation continues it.
    fn unless_interrupted(&self) -> Result<(), RunError> {
        let is_interrupted = self.report.state == RunState::Continues
            && self.request.trigger == Trigger::CommandLine
            && self.engine.shared.links.stop.is_requested();
        if !is_interrupted {
            return Ok(());
        }
        Err(RunError::Stopped(self.ended_early("interrupted", "R35")))
    }

    /// Compares the run with the previous one. If this fails, the run is still a success.
    async fn compare(&mut self) {
        // R45: a quick run reads only a part, so the difference would be wrong.
        let is_quick = self.request.depth == Depth::Quick;
        if !self.is_for_all() || is_quick || self.report.counts.leave_out() {
            return;
        }
        match self.previous().await {
            Ok(Some(before)) => self.report.since = Some(since(&before, &self.report)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "cannot compare with the previous run"),
        }
    }

    /// The newest other full run for all accounts that did not fail.
    async fn previous(&self) -> Result<Option<Report>, RunError> {
        let past = self.engine.past(PREVIOUS_MAX).await?.runs;
        let mut others = past.into_iter().filter(|past| past.id != self.id);
        match others.find(|past| past.run.facts().saw_everybody()) {
            Some(before) => Ok(self.state.report(&before.id).await?),
            None => Ok(None),
        }
    }

    async fn save_end(&self, phase: Phase) -> Result<(), RunError> {
        self.state.save_report(&self.id, &self.report).await?;
        self.save_summary(phase).await?;
        if phase == Phase::Ended
            && let Err(error) = self.tidy_up().await
        {
            tracing::warn!(%error, "cannot delete old data; the next run tries again");
        }
        Ok(())
    }

    async fn tidy_up(&self) -> Result<(), StateError> {
        // R35: the next try of a failed tick uses the answers that are kept.
        if self.report.outcome != RunOutcome::Failed {
            self.state.clear_checkpoint(&self.id).await?;
        }
        let settings = self.engine.settings();
        let keep = Keep {
            runs: usize::try_from(settings.keep_runs).unwrap_or(usize::MAX),
            applied: settings.keep_applied,
        };
        // R28: keep the newest success, which shows since when no run has succeeded.
        let setting = settings.perform_sync;
        let is_success = |run: &RunSummary| run.facts().is_success(setting);
        let now = self.engine.now();
        self.state.prune(keep, is_success, now).await.map(drop)
    }
}
