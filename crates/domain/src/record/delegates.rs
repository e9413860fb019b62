//! The delegates and members of an account, compared with what a plan gives it, and what an action removes (R22).

use std::collections::BTreeSet;

use super::{Before, PlannedAction};
use crate::{
    accounts::{AccountIx, AccountView, Accounts},
    action::AttributeChange,
    address::SmtpAddress,
    change::{Attribute, Change},
    ids::ScimId,
    settle::is_aside,
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

impl PlannedAction {
    /// R23: whether Zivver shows that it wrote the extension: all that it changes there, since a part can have another
    /// cause, like a delegate whose account was deleted.
    pub(crate) fn shows_extension(&self, accounts: &Accounts) -> bool {
        let Some((shown, created)) = self.made_in(None, accounts) else {
            return false;
        };
        let id = self.action.id.as_ref().or(created.as_ref());
        let ix = id.and_then(|id| accounts.with_id(id));
        // A delegate at an intermediate address was written too.
        let has_delegates = ix.is_some_and(|ix| self.has_delegates(ix, accounts));
        let is_lacking = |it: &AttributeChange| {
            it.attribute.is_set() && !(has_delegates && it.attribute == Attribute::Delegates)
        };
        !shown.left.iter().any(is_lacking) && self.action.writes_extension()
    }

    /// R17, R22: whether the account names a delegate by an intermediate address, since the action did not come to the last
    /// one.
    pub(super) fn names_aside(
        &self,
        ix: AccountIx,
        change: &AttributeChange,
        accounts: &Accounts,
    ) -> bool {
        let AccountView::User(now) = accounts.get(ix) else {
            return false;
        };
        let then = self.before.as_ref().map(Before::view).map(named);
        let is_to_stay = |it: &str| {
            let mut come = change.after.iter().chain(change.renamed.values());
            then.as_ref().is_some_and(|then| then.contains(it)) || come.any(|to| to == it)
        };
        let mut aside = now.delegates.iter().filter(|it| is_aside(it));
        aside.any(|it| change.renamed.contains_key(it.as_str()) || !is_to_stay(it.as_str()))
    }

    /// The aliases and the delegates or members that it removes.
    pub(crate) fn removals(&self, accounts: &Accounts) -> Vec<Change> {
        let delegates = self.delegates.removed.iter();
        let delegates = delegates.filter_map(|id| accounts.with_id(id));
        let aliases = self.action.changes.iter();
        let aliases = aliases
            .filter(|it| it.attribute == Attribute::Aliases)
            .flat_map(|it| it.before.iter().filter(|alias| !it.after.contains(alias)));
        aliases
            .map(|alias| Change::RemoveAlias(SmtpAddress::verbatim(alias)))
            .chain(delegates.map(Change::RemoveDelegate))
            .collect()
    }
}
