//! The answer for one address (R40): reads as much as it needs, writes nothing.

use super::{
    Engine, RunError,
    fetch::{FetchEnd, Fetcher},
};
use crate::domain::{
    address::SmtpAddress,
    explain::{Explanation, explain},
    memory::Memory,
    plan::{Wishes, plan},
};

impl Engine {
    pub async fn explain(&self, address: &SmtpAddress) -> Result<Explanation, RunError> {
        let memory: Memory = self
            .state()
            .await?
            .memory()
            .await?
            .map(|stored| stored.value)
            .unwrap_or_default();
        let exchange = self.exchange().await?;
        let policy = self.policy();
        let reader = Fetcher {
            exchange: &exchange,
            zivver: self.zivver().await?,
            policy: &policy,
            deadline: None,
            only: Some(address),
            now: self.now().as_second(),
            progress: self.progress(),
        };
        let FetchEnd::Complete(fetched) = reader.fetch(&memory, Vec::new()).await? else {
            unreachable!("a read without deadline is not cut off");
        };
        let wishes = Wishes {
            now: self.now().as_second(),
            ..Wishes::default()
        };
        let plan = plan(
            &fetched.world,
            &fetched.policy,
            &memory,
            &fetched.matching,
            &wishes,
        );
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
