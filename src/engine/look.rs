//! Reads both sides and plans without a run; nothing is written.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Engine, RunError,
    fetch::{FetchEnd, Fetched, Fetcher, Permissions},
};
use domain::{
    address::SmtpAddress,
    directory::MailboxIx,
    memory::Memory,
    named::{Found, concerned, with_name},
    plan::{Plan, Wishes, plan},
    source::Question,
};

impl Engine {
    /// R40: the mailboxes and accounts with this name.
    pub async fn with_name(&self, name: &str) -> Result<Found, RunError> {
        let (fetched, ..) = self.look(&SmtpAddress::verbatim("")).await?;
        Ok(with_name(name, &fetched.world))
    }

    /// Reads both sides like a run, but permissions only of the mailboxes related to the address `only`.
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
        let exchange = self.exchange()?;
        let policy = self.policy();
        let now = self.now().as_second();
        let reader = Fetcher {
            exchange: &exchange,
            zivver: self.zivver().await?,
            policy: &policy,
            present: None,
            deadline: None,
            slice: Duration::ZERO,
            permissions: Permissions::Of(only),
            clock: self.shared.clock,
            progress: self.progress(),
        };
        let FetchEnd::Complete(mut fetched) = reader.fetch(&memory, Vec::new()).await? else {
            unreachable!("a read without deadline is not cut off");
        };
        let (mailboxes, accounts) = concerned(only, &fetched.world, &fetched.matching);
        // A mailbox whose account has another address is only known after matching.
        let unread: BTreeSet<MailboxIx> = mailboxes
            .iter()
            .copied()
            .filter(|ix| fetched.permissions.at(*ix).is_none())
            .filter(|ix| {
                fetched
                    .policy
                    .wants_permissions(&fetched.world.directory, *ix)
            })
            .collect();
        if !unread.is_empty() {
            reader.refresh(&memory, &mut fetched, &unread).await?;
        }
        let is_nobodys = mailboxes.is_empty() && accounts.is_empty();
        if is_nobodys && !only.as_str().is_empty() {
            let question = BTreeSet::from([Question::Recipient(only.to_string())]);
            reader.ask(question, &mut fetched.world.answers).await?;
        }
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
