//! The base of the limits (R26).

use serde::{Deserialize, Serialize};

use crate::{
    accounts::{AccountKind, Accounts},
    directory::to_u32,
    guard::Class,
    matching::Matching,
    memory::Memory,
    world::Policy,
};

/// The base of the limits in R26: the counts in Zivver, of claimed and unprotected accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub active: u32,
    pub delegations: u32,
    pub aliases: u32,
    pub users: u32,
    pub accounts: u32,
}

impl Base {
    pub fn count(accounts: &Accounts, policy: &Policy, matching: &Matching) -> Self {
        let mut base = Self::default();
        for (ix, account) in accounts
            .iter()
            .filter(|(ix, _)| !matching.is_protected(*ix))
        {
            base.accounts += 1;
            base.users += u32::from(account.kind() == AccountKind::User);
            base.active += u32::from(accounts.is_active(ix));
            let aliases = account
                .extension()
                .aliases
                .iter()
                .filter(|alias| policy.claimed_domains.holds(alias));
            base.aliases += to_u32(aliases.count());
            base.delegations += to_u32(accounts.delegates_of(ix).users.len());
        }
        base
    }

    /// Adds what was taken away in the last 24 hours. Otherwise a run that was cut off would leave the next run less
    /// room than it had itself (R35).
    #[must_use]
    pub fn with_taken(self, memory: &Memory, now: i64) -> Self {
        let taken = |class| memory.spent_since_yesterday(class, now);
        Self {
            active: self.active.saturating_add(taken(Class::Suspend)),
            delegations: self
                .delegations
                .saturating_add(taken(Class::DelegateRemoval)),
            aliases: self.aliases.saturating_add(taken(Class::AliasRemoval)),
            ..self
        }
    }

    pub(super) fn of(self, class: Class) -> u32 {
        match class {
            Class::Suspend | Class::Stray | Class::Identity | Class::Create => self.active,
            Class::DelegateRemoval => self.delegations,
            Class::AliasRemoval => self.aliases,
            Class::Rename | Class::SignInKey => self.users,
            Class::NameChange | Class::Undone => self.accounts,
        }
    }
}
