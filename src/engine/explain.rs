//! The answer for one address (R40): reads as much as it needs, writes nothing.

use super::{Engine, RunError, RunSummary};
use crate::domain::{
    address::SmtpAddress,
    explain::{Explanation, LastRun, explain},
    report::Report,
};

/// How far back a run for everybody is looked for.
const RUNS_MAX: usize = 50;

impl Engine {
    pub async fn explain(&self, address: &SmtpAddress) -> Result<Explanation, RunError> {
        let (fetched, memory, plan) = self.look(address).await?;
        let last = self.last_for_all().await?;
        Ok(explain(
            address,
            &fetched.world,
            &fetched.policy,
            &memory,
            &fetched.matching,
            &plan,
            last.as_ref(),
        ))
    }

    async fn last_for_all(&self) -> Result<Option<LastRun>, RunError> {
        let state = self.state().await?;
        for entry in state.runs::<RunSummary>(RUNS_MAX).await? {
            // What the last run held is told besides: a document that cannot be read keeps nothing else from being told.
            let Some(summary) = entry.summary.ok().flatten().map(|stored| stored.summary) else {
                continue;
            };
            if summary.saw_everybody() {
                let report: Option<Report> = state.report(&entry.id).await.unwrap_or_default();
                return Ok(report.map(|report| LastRun {
                    id: report.id,
                    held: report.held,
                }));
            }
        }
        Ok(None)
    }
}
