//! The answer for one address (R40): reads as much as it needs, writes nothing.

use super::{Engine, RunError};
use domain::{
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
        let mut past = self.past(RUNS_MAX).await?.runs.into_iter();
        let Some(last) = past.find(|past| past.run.facts().saw_everybody()) else {
            return Ok(None);
        };
        // What the last run held is told besides: a document that cannot be read keeps nothing else from being told.
        let report: Option<Report> = self
            .state()
            .await?
            .report(&last.id)
            .await
            .unwrap_or_default();
        Ok(report.map(|report| LastRun {
            id: report.id,
            held: report.held,
        }))
    }
}
