//! Which mailbox claims which account, at which level (R16).

use std::collections::BTreeSet;

use super::{Level, Match, Matcher, Protection, kind_of};
use crate::{
    accounts::{AccountIx, AccountKind},
    directory::{MailboxIx, Party},
    ids::ObjectId,
    mailbox::{Mailbox, MailboxKind},
    note::Code,
    world::MailboxScope,
};

impl Matcher<'_> {
    /// R16: the strongest level of each mailbox; equal levels on one account conflict.
    pub(super) fn claim(&mut self, mapped: &[(ObjectId, AccountIx)]) {
        let mut given = vec![false; self.accounts.len()];
        for level in [Level::Mapping, Level::ExternalAccountId, Level::Principal] {
            let (mut claims, torn) = match level {
                Level::Mapping => (self.by_mapping(mapped), BTreeSet::new()),
                Level::ExternalAccountId | Level::Principal => self.claims_at(level, &given),
            };
            claims.sort_unstable();
            for claimants in claims.chunk_by(|one, other| one.0 == other.0) {
                let account = claimants[0].0;
                given[account.0 as usize] = true;
                for (_, ix) in claimants {
                    let tied_to_other = match level {
                        Level::Mapping | Level::ExternalAccountId => None,
                        Level::Principal => {
                            let tie = self.other_tie(account, self.directory.mailbox(*ix));
                            tie.map(Box::new)
                        }
                    };
                    self.claims[ix.0 as usize] = Some(Match {
                        account,
                        level,
                        tied_to_other,
                    });
                }
                let claimants: Vec<MailboxIx> = claimants.iter().map(|claim| claim.1).collect();
                if claimants.len() > 1 || claimants.iter().any(|ix| torn.contains(ix)) {
                    self.only_disabled(account, &claimants);
                }
                if claimants.len() > 1 {
                    self.conflict(account, &claimants);
                }
            }
            for ix in torn {
                let text = "several accounts belong to this mailbox equally".to_owned();
                self.protected.insert(
                    ix,
                    Protection {
                        code: Code::ClaimConflict,
                        text,
                    },
                );
            }
        }
    }

    /// The claims of the mailboxes without a stronger claim, and the mailboxes that claim several accounts.
    fn claims_at(
        &self,
        level: Level,
        given: &[bool],
    ) -> (Vec<(AccountIx, MailboxIx)>, BTreeSet<MailboxIx>) {
        let mut claims = Vec::new();
        let mut torn = BTreeSet::new();
        for (ix, mailbox) in self.directory.iter() {
            if self.claims[ix.0 as usize].is_some() {
                continue;
            }
            let before = claims.len();
            let wanted = self.wanted(mailbox, level);
            let free = wanted.filter(|account| !given[account.0 as usize]);
            claims.extend(free.map(|account| (account, ix)));
            if claims.len() > before + 1 {
                torn.insert(ix);
            }
        }
        (claims, torn)
    }

    fn wanted(&self, mailbox: &Mailbox, level: Level) -> impl Iterator<Item = AccountIx> {
        let listed: &[AccountIx] = match (level, &mailbox.object_id) {
            (Level::Mapping, _) | (Level::ExternalAccountId, None) => &[],
            (Level::ExternalAccountId, Some(id)) => self.accounts.with_object_id(id),
            (Level::Principal, _) => self.accounts.with_address(&mailbox.primary),
        };
        let fits = |ix: &AccountIx| Some(self.accounts.get(*ix).kind()) == kind_of(mailbox);
        let only_fitting = listed.iter().any(fits);
        let listed = listed.iter().copied();
        // R18, R19: an account of the other kind that is tied to another object id does not belong to this mailbox.
        listed.filter(move |ix| {
            level != Level::Principal
                || fits(ix)
                || (!only_fitting && self.other_tie(*ix, mailbox).is_none())
        })
    }

    /// All claims by the mapping. Both sides are sorted by object id, so one pass is enough.
    fn by_mapping(&self, mapped: &[(ObjectId, AccountIx)]) -> Vec<(AccountIx, MailboxIx)> {
        let mut mailboxes: Vec<(ObjectId, MailboxIx)> = self
            .directory
            .iter()
            .filter_map(|(ix, mailbox)| Some((mailbox.object_id?, ix)))
            .collect();
        mailboxes.sort_unstable();
        let mut mapped = mapped.iter().peekable();
        let mut claims = Vec::with_capacity(mailboxes.len());
        for (object_id, ix) in mailboxes {
            while mapped.next_if(|known| known.0 < object_id).is_some() {}
            if let Some((_, account)) = mapped.peek().filter(|known| known.0 == object_id)
                && !self.only_evidence(*account, ix)
            {
                claims.push((*account, ix));
            }
        }
        claims
    }

    /// R16: a tie that is in doubt does not rename the account to another address, and yields to `ExternalAccountId`.
    fn only_evidence(&self, account: AccountIx, ix: MailboxIx) -> bool {
        let mailbox = self.directory.mailbox(ix);
        if !self.is_doubtful(mailbox) {
            return false;
        }
        let own = mailbox.object_id.as_ref();
        let own = own.map_or(&[][..], |id| self.accounts.with_object_id(id));
        let view = self.accounts.get(account);
        let renames = kind_of(mailbox) == Some(view.kind()) && *view.address() != mailbox.primary;
        renames || own.iter().any(|it| *it != account)
    }

    pub(super) fn is_doubtful(&self, mailbox: &Mailbox) -> bool {
        let doubtful = &self.memory.doubtful_ties;
        !doubtful.is_empty() && mailbox.object_id.is_some_and(|id| doubtful.contains(&id))
    }

    /// R16: the object id that the mapping or `ExternalAccountId` gives an account, if it differs from the mailbox's.
    pub(super) fn other_tie(&self, account: AccountIx, mailbox: &Mailbox) -> Option<ObjectId> {
        let state = self.owner[account.0 as usize].as_ref();
        let known = state.or_else(|| self.accounts.external_object_id(account))?;
        (mailbox.object_id.as_ref() != Some(known)).then_some(*known)
    }

    /// R16: an account that only disabled user mailboxes claim must not be used, whichever of them owns it. Any other
    /// mailbox with its address may be the owner, even if another claim is stronger.
    fn only_disabled(&mut self, account: AccountIx, claimants: &[MailboxIx]) {
        let known = self.accounts.get(account);
        let owners = self.directory.with_address(known.address());
        let are_disabled = claimants.iter().all(|ix| self.is_only_disabled(*ix))
            && owners.iter().all(|party| match party {
                Party::Mailbox(ix) => self.is_only_disabled(*ix),
                Party::Rejected(_) => false,
            });
        if known.kind() == AccountKind::User && are_disabled {
            self.disabled_only.insert(account);
        }
    }

    /// Whether a mailbox belongs to a disabled user, and is protected by its claims at most.
    pub(super) fn is_only_disabled(&self, ix: MailboxIx) -> bool {
        let protection = self.protected.get(&ix);
        self.directory.mailbox(ix).kind == MailboxKind::User { disabled: true }
            && self.policy.scope_of(self.directory, ix) == MailboxScope::In
            && protection
                .is_none_or(|by| matches!(by.code, Code::DuplicatePrimary | Code::ClaimConflict))
    }

    fn conflict(&mut self, account: AccountIx, claimants: &[MailboxIx]) {
        let address = self.accounts.get(account).address();
        for ix in claimants {
            let text = format!(
                "{} mailboxes claim the account {address} equally",
                claimants.len()
            );
            self.protected.entry(*ix).or_insert(Protection {
                code: Code::ClaimConflict,
                text,
            });
        }
    }
}
