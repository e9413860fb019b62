//! The answer for one address (R40): reads as much as it needs, writes nothing.

use super::{Engine, RunError};
use crate::domain::{
    address::SmtpAddress,
    explain::{Explanation, explain},
};

impl Engine {
    pub async fn explain(&self, address: &SmtpAddress) -> Result<Explanation, RunError> {
        let (fetched, memory, plan) = self.look(address).await?;
        Ok(explain(
            address,
            &fetched.world,
            &fetched.policy,
            &memory,
            &fetched.matching,
            &plan,
        ))
    }
}
