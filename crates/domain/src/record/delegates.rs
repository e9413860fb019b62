//! The delegates and members of an account, compared with what a plan gives it (R22).

use std::collections::BTreeSet;

use crate::{
    accounts::{AccountIx, AccountView, Accounts},
    address::SmtpAddress,
    ids::ScimId,
    undo::AddedDelegate,
};

/// Who is a delegate or member of an account.
pub(super) struct HasDelegate<'a> {
    account: AccountView<'a>,
    users: Vec<AccountIx>,
    accounts: &'a Accounts,
}

impl<'a> HasDelegate<'a> {
    pub(super) fn of(ix: AccountIx, accounts: &'a Accounts) -> Self {
        Self {
            account: accounts.get(ix),
            users: accounts.delegates_of(ix).users,
            accounts,
        }
    }

    pub(super) fn account(&self, id: &ScimId) -> bool {
        match self.account {
            AccountView::User(_) => {
                let ix = self.accounts.with_id(id);
                ix.is_some_and(|ix| self.users.contains(&ix))
            }
            AccountView::Functional(group) => group.members.contains(id),
        }
    }

    pub(super) fn added(&self, delegate: &AddedDelegate) -> bool {
        match delegate {
            AddedDelegate::Account(id) => self.account(id),
            AddedDelegate::Created(address) => {
                let mut known = self.accounts.with_address(address).iter();
                known.any(|ix| self.users.contains(ix))
            }
        }
    }
}

/// Delegates and members as Zivver keeps them.
pub(super) fn named(account: AccountView<'_>) -> BTreeSet<&str> {
    match account {
        AccountView::User(user) => user.delegates.iter().map(SmtpAddress::as_str).collect(),
        AccountView::Functional(group) => group.members.iter().map(ScimId::as_str).collect(),
    }
}
