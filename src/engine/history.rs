//! Looking at runs without running, and putting one in the queue.

use super::{Engine, RunError, RunRequest, RunSummary};
use crate::{
    domain::report::{Report, RunOutcome, RunState},
    state::{Phase, RunId, lock::LockStatus},
};

impl Engine {
    /// The newest runs first. A run without a line in the history was killed before it wrote one.
    pub async fn history(&self, limit: usize) -> Result<Vec<RunSummary>, RunError> {
        let entries = self.state().await?.runs::<RunSummary>(limit).await?;
        let mut runs = Vec::with_capacity(entries.len());
        for entry in entries {
            runs.extend(entry.summary?.map(|summary| summary.summary));
        }
        Ok(runs)
    }

    pub async fn summary(&self, run: &RunId) -> Result<Option<RunSummary>, RunError> {
        let summary = self.state().await?.summary::<RunSummary>(run).await?;
        Ok(summary.map(|summary| summary.summary))
    }

    /// The report of a run; of one that has not ended, what is known of it.
    pub async fn report(&self, run: &RunId) -> Result<Report, RunError> {
        let state = self.state().await?;
        let summary = self.summary(run).await?;
        let unknown = || RunError::UnknownRun(run.to_string());
        let report: Option<Report> = state.report(run).await?;
        match (report, summary) {
            (Some(report), Some(summary)) => Ok(Report {
                state: summary.state,
                outcome: summary.outcome,
                ..report
            }),
            (Some(report), None) => Ok(report),
            (None, summary) => {
                let summary = summary.ok_or_else(unknown)?;
                let begun =
                    Report::begin(summary.id, summary.mode, summary.trigger, summary.started);
                Ok(Report {
                    state: summary.state,
                    outcome: summary.outcome,
                    error: summary.error,
                    ended: summary.ended,
                    counts: summary.counts,
                    remaining: summary.remaining,
                    accounts: summary.accounts.into_iter().collect(),
                    ..begun
                })
            }
        }
    }

    pub async fn lock_status(&self) -> Result<LockStatus, RunError> {
        Ok(self.state().await?.lock(self.shared.lease).status().await?)
    }

    pub fn time(&self) -> jiff::Timestamp {
        self.now()
    }

    /// Writes down what is wanted, so that a message with the run's id is enough to do it. Codes are checked first.
    pub async fn enqueue(&self, request: &RunRequest) -> Result<RunId, RunError> {
        self.check_approvals(request).await?;
        let id = self.new_run_id();
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
        let (Some(id), false) = (
            &request.id,
            matches!(error, RunError::LockHeld { .. } | RunError::State(_)),
        ) else {
            return Err(error);
        };
        let mut report = self.report(id).await?;
        report.state = RunState::Ended;
        report.outcome = RunOutcome::Failed;
        report.error = Some(error.to_string());
        report.ended = Some(super::run::second(self.now()).to_string());
        let summary = RunSummary::of(&report, request);
        self.state()
            .await?
            .save_summary(id, Phase::Ended, &summary)
            .await?;
        self.announce(&report).await;
        Ok(report)
    }
}
