//! Accounts that may belong to a mailbox, under another of its addresses (R17).

use std::collections::{BTreeMap, BTreeSet};

use super::{Matcher, Protection, functional_rename, kind_of, user_principal_address};
use crate::{
    accounts::{AccountIx, AccountKind},
    directory::MailboxIx,
    hash::HashMap,
    mailbox::Mailbox,
    note::Code,
    world::MailboxScope,
};

impl Matcher<'_> {
    /// R17 alias evidence: exactly one account of the same kind under another address, which no mailbox claims and
    /// which is tied to no other object id. R13: if it is outside the claimed domains, the mailbox is protected.
    pub(super) fn evidence(&mut self) -> BTreeMap<MailboxIx, AccountIx> {
        let mut claimed = vec![false; self.accounts.len()];
        for (_, claim) in self.claimed() {
            claimed[claim.account.0 as usize] = true;
        }
        let mut evidence = BTreeMap::new();
        let mut foreign = Vec::new();
        for (ix, mailbox) in self.directory.iter() {
            if self.claims[ix.0 as usize].is_some()
                || self.protected.contains_key(&ix)
                || self.policy.scope_of(self.directory, ix) != MailboxScope::In
                || !self.accounts.with_address(&mailbox.primary).is_empty()
            {
                continue;
            }
            let upn = user_principal_address(mailbox);
            let candidates: BTreeSet<AccountIx> = mailbox
                .aliases
                .iter()
                .filter(|alias| !self.directory.is_shared_address(alias))
                .chain(upn.iter())
                .flat_map(|address| self.accounts.with_address(address))
                .copied()
                .chain(self.doubtful(mailbox))
                .filter(|account| {
                    Some(self.accounts.get(*account).kind()) == kind_of(mailbox)
                        && !claimed[account.0 as usize]
                        && !self.account_protection.contains_key(account)
                        && self.other_tie(*account, mailbox).is_none()
                })
                .collect();
            let domains = &self.policy.claimed_domains;
            let is_ours =
                |account: &AccountIx| domains.holds(self.accounts.get(*account).address());
            let mut ours = candidates.iter().filter(|account| is_ours(account));
            match (ours.next(), ours.next(), candidates.first()) {
                (Some(account), None, _) => drop(evidence.insert(ix, *account)),
                (None, _, Some(account)) => foreign.push((ix, *account)),
                (Some(_), Some(_), _) | (None, _, None) => {}
            }
        }
        for (ix, account) in foreign {
            let text = format!(
                "the account {}, which is outside the claimed domains, may be its account under an older address, so no \
                 second one is created",
                self.accounts.get(account).address()
            );
            let code = Code::OutsideClaimedDomains;
            self.protected.insert(ix, Protection { code, text });
        }
        self.settle_evidence(evidence)
    }

    /// R16: the account of a tie that is in doubt.
    fn doubtful(&self, mailbox: &Mailbox) -> Option<AccountIx> {
        let object_id = mailbox.object_id.as_ref()?;
        let tied = self.is_doubtful(mailbox).then(|| self.mapped(object_id));
        tied.flatten()
    }

    /// If two mailboxes have evidence for one account, neither has it. A functional account cannot be renamed.
    fn settle_evidence(
        &mut self,
        mut evidence: BTreeMap<MailboxIx, AccountIx>,
    ) -> BTreeMap<MailboxIx, AccountIx> {
        let mut times: HashMap<AccountIx, u32> = HashMap::default();
        for account in evidence.values() {
            *times.entry(*account).or_default() += 1;
        }
        evidence.retain(|_, account| times[account] == 1);
        evidence.retain(|ix, account| {
            let view = self.accounts.get(*account);
            if view.kind() == AccountKind::User {
                return true;
            }
            let protection =
                functional_rename(view.address(), &self.directory.mailbox(*ix).primary);
            self.protected.insert(*ix, protection.clone());
            self.account_protection.insert(*account, protection);
            false
        });
        evidence
    }

    /// R7: a protected account is not evidence, and the mailbox that it may belong to is protected too. Returns whether
    /// there was one, since more may then be tied to it.
    pub(super) fn protect_evidence(
        &mut self,
        evidence: &mut BTreeMap<MailboxIx, AccountIx>,
    ) -> bool {
        let before = evidence.len();
        evidence.retain(|ix, account| {
            let Some(protection) = self.account_protection.get(account) else {
                return true;
            };
            self.protected.insert(*ix, protection.clone());
            false
        });
        evidence.len() < before
    }
}
