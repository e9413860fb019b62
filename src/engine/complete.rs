//! R28: the last complete run and the runs after it. The dashboard, `/health`, mails, notifications and explain use it
//! as the current state of the accounts.

use super::{Engine, RunError, RunSummary, history::Records};
use crate::{
    domain::{
        figures::Figures,
        held::HeldSet,
        mode::Depth,
        report::{Report, RunOutcome, RunState},
    },
    state::RunId,
};

/// The last complete run, and what happened after it.
#[derive(Debug)]
pub struct Complete {
    pub report: Report,
    /// R45: the newest later quick run for all accounts that did not fail. It says nothing about permissions.
    pub quick: Option<Report>,
    /// Later runs that ended, newest first: they failed, were for some accounts only, or read no permissions.
    pub since: Vec<RunSummary>,
}

impl Complete {
    pub fn figures(&self) -> Figures {
        Figures::of(&self.report)
    }

    /// R45: the same with what only the later quick run holds, for messages.
    pub fn figures_with_quick(&self) -> Figures {
        let figures = self.figures();
        match &self.quick {
            Some(quick) => figures.with_held_of(quick),
            None => figures,
        }
    }

    /// The held sets of the complete run, and those that only the later quick run has (R45), each with the report that
    /// shows it.
    pub fn held(&self) -> impl Iterator<Item = (&Report, &HeldSet)> {
        let is_new = |set: &&HeldSet| self.report.held.iter().all(|known| known.code != set.code);
        let quick = self.quick.iter();
        let quick = quick.flat_map(move |quick| {
            let held = quick.held.iter().filter(is_new);
            held.map(move |set| (quick, set))
        });
        let own = self.report.held.iter().map(|set| (&self.report, set));
        own.chain(quick)
    }

    /// Whether a later run may have written. A quick run that ended `done` does not count (R45): its own report is
    /// newer.
    pub fn is_outdated(&self) -> bool {
        let is_done =
            |run: &RunSummary| run.depth == Depth::Quick && run.outcome == RunOutcome::Done;
        let mut since = self.since.iter();
        since.any(|run| run.may_have_written() && !is_done(run))
    }
}

impl Records<'_> {
    /// `None` before the first complete run.
    pub async fn complete(&self) -> Result<Option<Complete>, RunError> {
        let is_complete = |run: &RunSummary| run.facts().saw_everybody();
        let runs = self.newest_with(is_complete).await?;
        let newest = runs.iter().position(is_complete);
        let Some((at, id)) = newest.and_then(|at| Some((at, RunId::parse(&runs[at].id)?))) else {
            return Ok(None);
        };
        let later = runs[..at].iter().filter(|run| !run.is_hypothetical());
        let ended = later.filter(|run| run.state == RunState::Ended);
        let quick = runs[..at]
            .iter()
            .find(|run| run.facts().saw_everybody_quickly());
        let quick = match quick.and_then(|run| RunId::parse(&run.id)) {
            Some(id) => Some(Box::pin(self.standing_of(&id, &runs)).await?),
            None => None,
        };
        Ok(Some(Complete {
            report: Box::pin(self.standing_of(&id, &runs)).await?,
            quick,
            since: ended.cloned().collect(),
        }))
    }
}

impl Records<'_> {
    /// The report with what is rejected or approved by now, as a description of the present state. `runs` are the newest
    /// ones first.
    async fn standing_of(&self, run: &RunId, runs: &[RunSummary]) -> Result<Report, RunError> {
        let later = runs.iter().take_while(|later| later.id != run.to_string());
        let codes: Vec<String> = later.flat_map(|run| &run.approve).cloned().collect();
        let mut report = self.report_after(run, &codes).await?;
        if report.outcome == RunOutcome::NeedsAttention && !report.needs_attention() {
            report.conclude();
        }
        Ok(report)
    }
}

impl Engine {
    pub async fn complete(&self) -> Result<Option<Complete>, RunError> {
        self.records().await?.complete().await
    }

    /// Like `complete`, but an unreadable report is a warning, so that the caller can show everything else.
    pub async fn complete_if_readable(&self) -> Option<Complete> {
        match self.complete().await {
            Ok(complete) => complete,
            Err(error) => {
                tracing::warn!("cannot read the last complete run: {error}");
                None
            }
        }
    }
}
