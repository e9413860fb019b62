//! R28: the last complete run and what happened since. The dashboard, `/health`, mails, notifications and explain ask here
//! how the accounts stand.

use super::{Engine, RunError, RunSummary, history::Records};
use crate::{
    domain::{
        figures::Figures,
        report::{Report, RunState},
    },
    state::RunId,
};

/// The newest runs, which are enough where one of them is complete.
const RUNS_ENOUGH: usize = 100;

/// How far back a complete run is looked for.
const RUNS_MAX: usize = 2_000;

/// How the accounts stood at the end of the last complete run, and what happened since.
#[derive(Debug)]
pub struct Complete {
    pub report: Report,
    /// Later runs that ended: they failed, or were for some accounts only. The newest first.
    pub since: Vec<RunSummary>,
}

impl Complete {
    pub fn figures(&self) -> Figures {
        Figures::of(&self.report)
    }

    /// Whether a later run wrote.
    pub fn is_outdated(&self) -> bool {
        self.since.iter().any(RunSummary::may_have_written)
    }
}

impl Records<'_> {
    /// `None` before the first complete run.
    pub async fn complete(&self) -> Result<Option<Complete>, RunError> {
        let runs = self.newest(RUNS_ENOUGH).await?;
        match self.complete_of(&runs).await? {
            None if runs.len() == RUNS_ENOUGH => {
                let runs = self.newest(RUNS_MAX).await?;
                self.complete_of(&runs).await
            }
            found => Ok(found),
        }
    }

    async fn complete_of(&self, runs: &[RunSummary]) -> Result<Option<Complete>, RunError> {
        let newest = runs.iter().position(|run| run.facts().saw_everybody());
        let Some((at, id)) = newest.and_then(|at| Some((at, RunId::parse(&runs[at].id)?))) else {
            return Ok(None);
        };
        let ended = runs[..at].iter().filter(|run| run.state == RunState::Ended);
        Ok(Some(Complete {
            report: self.report(&id).await?,
            since: ended.cloned().collect(),
        }))
    }
}

impl Engine {
    pub async fn complete(&self) -> Result<Option<Complete>, RunError> {
        self.records().await?.complete().await
    }

    /// A report that cannot be read keeps nothing else from being shown.
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
