//! The content of the requests for an account.

use std::collections::BTreeSet;

use super::Ordering;
use crate::{
    accounts::{AccountIx, AccountKind},
    address::SmtpAddress,
    delta::{Activity, Delta, Target},
    step::{Call, Delegate, UserExtension},
};

impl Ordering<'_> {
    /// R23: all changes of a delta in one request.
    pub(super) fn update(&self, delta: &Delta, ix: AccountIx) -> Call {
        let name = delta.name.as_ref().map(|(_, after)| after.clone());
        match delta.kind {
            AccountKind::User => Call::UpdateUser {
                address: None,
                name,
                active: (delta.activity == Some(Activity::Resume)).then_some(true),
                extension: delta
                    .touches_extension()
                    .then(|| self.extension(delta, ix, true)),
            },
            AccountKind::Functional => Call::UpdateFunctional {
                name,
                members: (delta.touches_delegates() && !delta.is_empty_of_members())
                    .then(|| self.delegates(delta, ix, true)),
                aliases: delta
                    .touches_extension()
                    .then(|| self.aliases_after(delta, ix, true)),
            },
        }
    }

    pub(super) fn extension_without_additions(&self, delta: &Delta, ix: AccountIx) -> Call {
        match delta.kind {
            AccountKind::User => extension_call(self.extension(delta, ix, false)),
            AccountKind::Functional => Call::UpdateFunctional {
                name: None,
                members: None,
                aliases: Some(self.aliases_after(delta, ix, false)),
            },
        }
    }

    pub(super) fn extension(
        &self,
        delta: &Delta,
        ix: AccountIx,
        with_additions: bool,
    ) -> UserExtension {
        UserExtension {
            aliases: self.aliases_after(delta, ix, with_additions),
            aliases_if_refused: None,
            delegates: self.delegates(delta, ix, with_additions),
            key: delta.key.clone(),
        }
    }

    /// The aliases to send: the stored ones, without the removed ones and the account's own address.
    fn aliases_after(
        &self,
        delta: &Delta,
        ix: AccountIx,
        with_additions: bool,
    ) -> Vec<SmtpAddress> {
        let own = delta
            .rename
            .as_ref()
            .map_or(&delta.address, |rename| &rename.to);
        let mut aliases: BTreeSet<SmtpAddress> = self
            .accounts
            .get(ix)
            .extension()
            .aliases
            .iter()
            .cloned()
            .collect();
        aliases.retain(|alias| !delta.remove_aliases.contains(alias) && alias != own);
        if with_additions {
            aliases.extend(delta.add_aliases.iter().cloned());
        }
        aliases.into_iter().collect()
    }

    /// The delegates or members to send (R13, R22).
    fn delegates(&self, delta: &Delta, ix: AccountIx, with_additions: bool) -> Vec<Delegate> {
        let current = self.accounts.delegates_of(ix);
        let mut delegates: BTreeSet<Delegate> = current
            .users
            .iter()
            .filter(|user| !delta.remove_delegates.contains(user))
            .chain(&current.functional)
            .map(|ix| Delegate::Account(Target::Existing(*ix)))
            .collect();
        let strangers = current.strangers.into_iter().filter(|address| {
            !delta.remove_entries.contains(address)
                && (!self.domains.holds(address) || self.accounts.may_be_hidden(address))
        });
        delegates.extend(strangers.map(Delegate::Stranger));
        if with_additions {
            delegates.extend(delta.add_delegates.iter().copied().map(Delegate::Account));
        }
        delegates.into_iter().collect()
    }
}

pub(super) fn extension_call(extension: UserExtension) -> Call {
    Call::UpdateUser {
        address: None,
        name: None,
        active: None,
        extension: Some(extension),
    }
}

pub(super) fn without_extension(call: &mut Call) {
    match call {
        Call::UpdateUser { extension, .. } => *extension = None,
        Call::UpdateFunctional { aliases, .. } => *aliases = None,
        Call::CreateUser { .. } | Call::CreateFunctional { .. } | Call::Empty { .. } => {}
    }
}
