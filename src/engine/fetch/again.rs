//! Reading again what is too old, and comparing what was read under other settings (R34, R46).

use std::collections::BTreeSet;

use futures::StreamExt;

use super::{Fetched, Fetcher, delegations, key};
use crate::{
    domain::{
        delegation::{GroupIndex, questions},
        directory::{MailboxIx, Party},
        matching::match_accounts,
        memory::Memory,
        world::Policy,
    },
    engine::error::RunError,
    exchange::MailboxKey,
};

impl Fetcher<'_> {
    /// Matches again, after `memory` has changed.
    pub async fn match_again(
        &self,
        memory: &Memory,
        fetched: &mut Fetched,
    ) -> Result<(), RunError> {
        let Fetched { world, policy, .. } = &mut *fetched;
        fetched.matching = self.matching(memory, world, policy).await?;
        Ok(())
    }

    /// R46: applies another policy to the same data.
    pub async fn under(
        &self,
        policy: Policy,
        memory: &Memory,
        fetched: &mut Fetched,
    ) -> Result<(), RunError> {
        fetched.policy = policy;
        fetched.world.delegations = delegations(
            &fetched.world.directory,
            &fetched.policy,
            &fetched.permissions,
            &fetched.world.answers,
        );
        self.match_again(memory, fetched).await
    }

    /// R34: reads the permissions of `stale` again, since their answers are too old for the changes planned from them.
    pub async fn refresh(
        &self,
        memory: &Memory,
        fetched: &mut Fetched,
        stale: &BTreeSet<MailboxIx>,
    ) -> Result<(), RunError> {
        let (places, keys): (Vec<MailboxIx>, Vec<MailboxKey>) = stale
            .iter()
            .filter_map(|ix| Some((*ix, key(fetched.world.directory.mailbox(*ix))?)))
            .unzip();
        let mut stream = std::pin::pin!(self.exchange.permissions(keys));
        while let Some(answer) = stream.next().await {
            let (at, answer) = answer?;
            fetched.permissions.set(places[at], self.now(), &answer);
        }
        loop {
            let groups = GroupIndex::new(&fetched.world.answers);
            let mut open = BTreeSet::new();
            for ix in &places {
                if let Some(answer) = fetched.permissions.get(*ix) {
                    open.extend(questions(
                        &fetched.world.directory,
                        &groups,
                        Party::Mailbox(*ix),
                        &answer,
                        &fetched.world.answers,
                    ));
                }
            }
            if open.is_empty() {
                break;
            }
            self.ask(open, &mut fetched.world.answers).await?;
        }
        fetched.world.delegations = delegations(
            &fetched.world.directory,
            &fetched.policy,
            &fetched.permissions,
            &fetched.world.answers,
        );
        fetched.matching = match_accounts(&fetched.world, &fetched.policy, memory);
        Ok(())
    }
}
