//! Explains one address (R40): reads only what it needs, and writes nothing.

use super::{Engine, RunError, complete::Complete};
use domain::{
    address::SmtpAddress,
    explain::{Explanation, LastRun, explain},
};

impl Engine {
    pub async fn explain(&self, address: &SmtpAddress) -> Result<Explanation, RunError> {
        let (fetched, memory, plan) = self.look(address).await?;
        let last = self.complete_if_readable().await.map(LastRun::from);
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
}

impl From<Complete> for LastRun {
    fn from(complete: Complete) -> Self {
        let held = complete.held();
        Self {
            held: held
                .map(|(report, set)| (report.id.clone(), set.clone()))
                .collect(),
        }
    }
}
