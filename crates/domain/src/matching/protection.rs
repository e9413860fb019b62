//! Mailboxes and accounts that are not changed, and those that are tied to them (R6, R7, R15, R18).

use std::collections::{BTreeMap, BTreeSet};

use super::{Level, Matcher, Protection, functional_rename, kind_of, user_principal_address};
use crate::{
    account::RejectedAccount,
    accounts::{AccountIx, AccountKind},
    address::SmtpAddress,
    delegation::Delegations,
    directory::{Directory, MailboxIx, Party, to_u32},
    hash::HashMap,
    ids::ObjectId,
    mailbox::{Mailbox, MailboxKind},
    note::Code,
    world::{MailboxScope, Policy, World},
};

impl Matcher<'_> {
    /// R1, R7: mailboxes that are tied to an account that cannot be understood, like those that are tied to a rejected
    /// mailbox.
    pub(super) fn rejected_accounts(&mut self) {
        if self.accounts.rejected().is_empty() {
            return;
        }
        let by_object_id: HashMap<ObjectId, &RejectedAccount> = self
            .accounts
            .rejected()
            .iter()
            .filter_map(|row| Some((row.object_id?, row)))
            .collect();
        for (ix, mailbox) in self.directory.iter() {
            if !matches!(
                self.policy.scope_of(self.directory, ix),
                MailboxScope::In | MailboxScope::OutsideFilter
            ) {
                continue;
            }
            let by_identity = mailbox.object_id.as_ref().and_then(|id| {
                let mapped = self.memory.mapping.get(id);
                let mapped = mapped.and_then(|id| self.accounts.rejected_that_may_have(id));
                mapped.or_else(|| by_object_id.get(id).copied())
            });
            let row = by_identity
                .or_else(|| self.accounts.rejected_with_address(&mailbox.primary))
                .or_else(|| self.rejected_evidence(ix, mailbox));
            if let Some(row) = row {
                let protection = Protection {
                    code: Code::AccountRejected,
                    text: format!(
                        "its account in Zivver is or may be {}, which cannot be understood: {}",
                        row.label, row.reason
                    ),
                };
                self.protected.entry(ix).or_insert(protection);
            }
        }
    }

    /// R17: the account of a mailbox without account may be a rejected one under another of its addresses.
    fn rejected_evidence(&self, ix: MailboxIx, mailbox: &Mailbox) -> Option<&RejectedAccount> {
        if self.claims[ix.0 as usize].is_some() {
            return None;
        }
        let upn = user_principal_address(mailbox);
        let mut addresses = mailbox.aliases.iter().chain(&upn);
        addresses.find_map(|address| self.accounts.rejected_with_address(address))
    }

    /// R18.
    pub(super) fn mismatched_kinds(&mut self) {
        let mut protected = Vec::new();
        for (ix, claim) in self.claimed() {
            let mailbox = self.directory.mailbox(ix);
            let account = self.accounts.get(claim.account);
            let text = match (kind_of(mailbox), account.kind()) {
                (Some(AccountKind::Functional), AccountKind::User)
                    if self.accounts.is_active(claim.account) =>
                {
                    "a shared mailbox, but its account in Zivver is a user account, whose owner can still sign in; suspend it in the \
                     Zivver WebApp if its owner has left, or convert it there"
                }
                (Some(AccountKind::User), AccountKind::Functional) => {
                    "a user mailbox, but its account in Zivver is a functional account; convert it in the Zivver WebApp"
                }
                (Some(AccountKind::Functional), AccountKind::User) => {
                    "a shared mailbox, but its account in Zivver is a user account; convert it in the Zivver WebApp"
                }
                (None | Some(AccountKind::User), AccountKind::User)
                | (None | Some(AccountKind::Functional), AccountKind::Functional) => continue,
            };
            let protection = Protection {
                code: Code::KindMismatch,
                text: text.into(),
            };
            protected.push((ix, protection));
        }
        for (ix, protection) in protected {
            self.protected.entry(ix).or_insert(protection);
        }
    }

    /// R17: SCIM can rename only users.
    pub(super) fn functional_renames(&mut self) {
        let mut protected = Vec::new();
        for (ix, claim) in self.claimed() {
            let mailbox = self.directory.mailbox(ix);
            let account = self.accounts.get(claim.account);
            if claim.level == Level::Principal
                || account.kind() != AccountKind::Functional
                || *account.address() == mailbox.primary
                || self.policy.scope_of(self.directory, ix) != MailboxScope::In
            {
                continue;
            }
            protected.push((ix, functional_rename(account.address(), &mailbox.primary)));
        }
        for (ix, protection) in protected {
            self.protected.entry(ix).or_insert(protection);
        }
    }

    /// R15, for accounts.
    pub(super) fn filtered_accounts(&mut self) {
        for (ix, account) in self.accounts.iter() {
            if let Some(entry) = self.policy.target_filter.matched(account.address()) {
                let text = format!("TARGET_FILTER entry {entry:?} matches its address");
                self.filtered.push(ix);
                self.account_protection.insert(
                    ix,
                    Protection {
                        code: Code::TargetFilter,
                        text,
                    },
                );
            }
        }
    }

    /// R6.
    fn shares_primary(&self, mailbox: &Mailbox) -> bool {
        let parties = self.directory.with_address(&mailbox.primary).iter();
        let same = parties.filter(|party| match party {
            Party::Mailbox(ix) => self.directory.mailbox(*ix).primary == mailbox.primary,
            Party::Rejected(_) => true,
        });
        same.count() > 1
    }

    /// R7: every account tied to a protected mailbox by any of its addresses, the mapping or `ExternalAccountId`.
    pub(super) fn protect_ties(&mut self) {
        let mut ties: BTreeMap<AccountIx, Protection> = BTreeMap::new();
        let mut live = vec![false; self.accounts.len()];
        let mut tied_to_live = BTreeSet::new();
        for (ix, claim) in self.claimed() {
            let is_live = !self.protected.contains_key(&ix);
            live[claim.account.0 as usize] |= is_live;
            if is_live && claim.level != Level::Principal {
                tied_to_live.insert(claim.account);
            }
        }
        let only_disabled: Vec<bool> = self
            .protected
            .keys()
            .map(|ix| self.is_only_disabled(*ix))
            .collect();
        let protected = std::mem::take(&mut self.protected);
        for ((ix, protection), only_disabled) in protected.iter().zip(only_disabled) {
            let mailbox = self.directory.mailbox(*ix);
            let mut accounts = self.tied(
                mailbox.object_id.as_ref(),
                std::iter::once(&mailbox.primary).chain(&mailbox.aliases),
                &live,
            );
            // R19: the object id that the account is tied to decides, not the present owner of the address.
            if is_of_kind(protection.code) && !self.shares_primary(mailbox) {
                let id = mailbox.object_id.as_ref();
                accounts.retain(|account| {
                    let has_its_id =
                        id.is_some() && self.accounts.external_object_id(*account) == id;
                    has_its_id || !tied_to_live.contains(account)
                });
            }
            let claim = self.claims[ix.0 as usize].as_ref();
            accounts.extend(claim.map(|claim| claim.account));
            self.freeze(protection.code, &accounts);
            for account in accounts {
                if !only_disabled {
                    self.disabled_only.remove(&account);
                }
                ties.entry(account).or_insert_with(|| protection.clone());
            }
        }
        self.protected = protected;
        for rejection in &self.directory.rejections {
            let text = format!(
                "its mailbox {} was rejected: {}",
                rejection.label, rejection.reason
            );
            let accounts = self.tied(rejection.object_id.as_ref(), &rejection.addresses, &live);
            self.freeze(Code::Rejected, &accounts);
            for account in accounts {
                self.disabled_only.remove(&account);
                ties.entry(account).or_insert_with(|| Protection {
                    code: Code::Rejected,
                    text: text.clone(),
                });
            }
        }
        for (account, protection) in ties {
            self.account_protection.entry(account).or_insert(protection);
        }
    }

    fn tied<'b>(
        &self,
        object_id: Option<&ObjectId>,
        addresses: impl IntoIterator<Item = &'b SmtpAddress>,
        live: &[bool],
    ) -> BTreeSet<AccountIx> {
        let mut tied = BTreeSet::new();
        if let Some(id) = object_id {
            tied.extend(self.accounts.with_object_id(id));
            tied.extend(self.mapped(id));
        }
        for address in addresses {
            tied.extend(self.accounts.with_address(address));
            // An account that has the address only as an alias is tied unless an unprotected mailbox has it.
            tied.extend(
                self.accounts
                    .with_alias(address)
                    .iter()
                    .filter(|ix| !live[ix.0 as usize]),
            );
        }
        tied
    }

    /// R7: an account that is protected by R5, R6, R11 or R16 keeps the delegations that Zivver has.
    fn freeze(&mut self, code: Code, accounts: &BTreeSet<AccountIx>) {
        if matches!(
            code,
            Code::Rejected
                | Code::AccountRejected
                | Code::DuplicatePrimary
                | Code::MailboxGone
                | Code::ClaimConflict
                | Code::FunctionalRename
        ) {
            self.frozen.extend(accounts);
        }
    }
}

/// Mailboxes that are protected independent of accounts (R3, R6, R11, R15).
pub(super) fn protected_mailboxes(
    world: &World,
    policy: &Policy,
) -> BTreeMap<MailboxIx, Protection> {
    let directory = &world.directory;
    let mut protected = BTreeMap::new();
    for (ix, mailbox) in directory.iter() {
        let delegations = world.delegations_of(ix);
        let protection = if let MailboxKind::Other(kind) = &mailbox.kind {
            Some((
                Code::KindNotSynchronised,
                format!("a mailbox of kind {kind:?} is not synchronised"),
            ))
        } else if let Some(entry) = policy.target_filter.matched(&mailbox.primary) {
            Some((
                Code::TargetFilter,
                format!("TARGET_FILTER entry {entry:?} matches its address"),
            ))
        } else if delegations == Some(&Delegations::Gone) {
            Some((
                Code::MailboxGone,
                "the mailbox vanished while it was read; the next run reads it again".into(),
            ))
        } else if directory.is_seen_twice(mailbox) {
            // Equal claims on the account that the object has, if it has one (R16).
            Some((
                Code::ClaimConflict,
                "Exchange listed its object id under more than one address".into(),
            ))
        } else {
            None
        };
        if let Some((code, text)) = protection {
            protected.insert(ix, Protection { code, text });
        }
    }
    for (ix, protection) in duplicates(directory) {
        // A reason that was found before takes precedence (R15).
        protected.entry(ix).or_insert(protection);
    }
    protected
}

/// R6: mailboxes whose primary address another mailbox has too, even one that is not understood (R5).
fn duplicates(directory: &Directory) -> BTreeMap<MailboxIx, Protection> {
    let mut rejected: HashMap<&SmtpAddress, usize> = HashMap::default();
    for primary in directory.rejections.iter().flat_map(|it| &it.primary) {
        *rejected.entry(primary).or_default() += 1;
    }
    let mut duplicates = BTreeMap::new();
    // Mailboxes are sorted by their primary address.
    let mut first = 0;
    for owners in directory
        .mailboxes
        .chunk_by(|one, other| one.primary == other.primary)
    {
        let positions = first..first + owners.len();
        first = positions.end;
        let primary = &owners[0].primary;
        let count = owners.len() + rejected.get(primary).copied().unwrap_or_default();
        for at in positions.filter(|_| count > 1) {
            let text = format!("{count} mailboxes have the primary address {primary}");
            let code = Code::DuplicatePrimary;
            duplicates.insert(MailboxIx(to_u32(at)), Protection { code, text });
        }
    }
    duplicates
}

/// Whether a mailbox is protected because of its kind or the kind of its account, while its identity is known.
fn is_of_kind(code: Code) -> bool {
    matches!(
        code,
        Code::KindNotSynchronised | Code::KindMismatch | Code::FunctionalRename
    )
}
