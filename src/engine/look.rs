//! Both sides and the plan for them, for whoever only wants to know: nothing is written.

use std::time::Duration;

use super::{
    Engine, RunError,
    fetch::{FetchEnd, Fetched, Fetcher},
};
use crate::domain::{
    address::SmtpAddress,
    memory::Memory,
    plan::{Plan, Wishes, plan},
};

impl Engine {
    /// Reads both sides as a run does, but the permissions only of the mailboxes with the address `only`.
    pub(super) async fn look(
        &self,
        only: &SmtpAddress,
    ) -> Result<(Fetched, Memory, Plan), RunError> {
        let memory: Memory = self
            .state()
            .await?
            .memory()
            .await?
            .map(|stored| stored.value)
            .unwrap_or_default();
        let exchange = self.exchange().await?;
        let policy = self.policy();
        let now = self.now().as_second();
        let reader = Fetcher {
            exchange: &exchange,
            zivver: self.zivver().await?,
            policy: &policy,
            deadline: None,
            slice: Duration::ZERO,
            only: Some(only),
            clock: self.shared.clock,
            progress: self.progress(),
        };
        let FetchEnd::Complete(fetched) = reader.fetch(&memory, Vec::new()).await? else {
            unreachable!("a read without deadline is not cut off");
        };
        let wishes = Wishes {
            now,
            ..Wishes::default()
        };
        let plan = plan(
            &fetched.world,
            &fetched.policy,
            &memory,
            &fetched.matching,
            &wishes,
        );
        Ok((*fetched, memory, plan))
    }
}
