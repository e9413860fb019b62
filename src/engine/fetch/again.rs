//! Reading again what is too old, and comparing what was read under other settings (R34, R46).

use std::collections::BTreeSet;

use futures::{StreamExt, stream};

use super::{Fetched, Fetcher, delegations, key};
use crate::{
    domain::{
        accounts::Account,
        delegation::{GroupIndex, questions},
        directory::{MailboxIx, Party},
        matching::match_accounts,
        memory::Memory,
        record::OpenCreate,
        world::{Policy, World},
    },
    engine::error::RunError,
    exchange::MailboxKey,
};

/// Limit for the creates that a run looks up. More are in doubt only if as many mailboxes changed their addresses after a
/// run was killed.
const LOOK_UPS_MAX: usize = 100;

const LOOK_UPS_AT_ONCE: usize = 16;

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

    /// R16: adds the accounts that an earlier run has created by these creates, and that the lists do not show yet. The
    /// caller matches again.
    pub async fn look_up(&self, open: Vec<OpenCreate>, world: &mut World) {
        let look_ups = stream::iter(open.into_iter().enumerate()).map(|(at, create)| async move {
            if at >= LOOK_UPS_MAX {
                let cause = "there are too many to look up in one run".to_owned();
                return (create, Err(cause));
            }
            let found = self.zivver.find_created(create.kind, &create.address).await;
            (create, found.map_err(|error| error.to_string()))
        });
        let look_ups: Vec<_> = look_ups.buffered(LOOK_UPS_AT_ONCE).collect().await;
        let mut made = Vec::new();
        for (create, found) in look_ups {
            match found {
                Ok(Some(account)) if create.has_made(&account, &world.accounts) => {
                    made.push(account);
                }
                Ok(_) => {}
                Err(cause) => world.unclear.push((create, cause)),
            }
        }
        if !made.is_empty() {
            world.accounts = world.accounts.with(made.iter().map(Account::view));
        }
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
