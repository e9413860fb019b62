//! The accounts of Zivver in one fixed order, with the indices by which a mailbox or a delegate finds them (R16, R22).

use std::collections::BTreeMap;

pub use super::account::AccountKind;
use super::{
    account::{Actual, Extension, FunctionalAccount, RejectedAccount, UserAccount},
    address::SmtpAddress,
    directory::to_u32,
    hash::{HashMap, HashSet},
    ids::{Guid, ObjectId, ScimId},
    index::Index,
};

/// Position of an account in [`Accounts`]: users first, then functional accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountIx(pub u32);

/// One account of either kind.
#[derive(Debug, Clone, Copy)]
pub enum AccountView<'a> {
    User(&'a UserAccount),
    Functional(&'a FunctionalAccount),
}

/// One account of either kind, as the answer to a write returns it.
#[derive(Debug, Clone, PartialEq)]
pub enum Account {
    User(UserAccount),
    Functional(FunctionalAccount),
}

impl Account {
    pub fn id(&self) -> &ScimId {
        self.view().id()
    }

    pub fn view(&self) -> AccountView<'_> {
        match self {
            Self::User(user) => AccountView::User(user),
            Self::Functional(group) => AccountView::Functional(group),
        }
    }
}

impl<'a> AccountView<'a> {
    pub fn kind(self) -> AccountKind {
        match self {
            Self::User(_) => AccountKind::User,
            Self::Functional(_) => AccountKind::Functional,
        }
    }

    pub fn id(self) -> &'a ScimId {
        match self {
            Self::User(user) => &user.id,
            Self::Functional(group) => &group.id,
        }
    }

    /// The principal: `userName` or `externalId`.
    pub fn address(self) -> &'a SmtpAddress {
        match self {
            Self::User(user) => &user.address,
            Self::Functional(group) => &group.address,
        }
    }

    pub fn name(self) -> &'a str {
        match self {
            Self::User(user) => &user.name,
            Self::Functional(group) => &group.name,
        }
    }

    pub fn extension(self) -> &'a Extension {
        match self {
            Self::User(user) => &user.extension,
            Self::Functional(group) => &group.extension,
        }
    }

    /// `ExternalAccountId`, where it is a GUID (R16).
    pub fn external_object_id(self) -> Option<ObjectId> {
        self.extension()
            .external_account_id
            .as_deref()
            .and_then(ObjectId::parse)
    }
}

/// Both lists of Zivver, indexed.
#[derive(Debug, Default)]
pub struct Accounts {
    actual: Actual,
    /// `ExternalAccountId` where it is a GUID, by position.
    external: Vec<Option<ObjectId>>,
    by_id: Index<ScimId, AccountIx>,
    by_address: Index<SmtpAddress, AccountIx>,
    by_alias: Index<SmtpAddress, AccountIx>,
    by_object_id: Index<Guid, AccountIx>,
    /// Positions in `actual.rejected`.
    rejected_by_id: HashMap<ScimId, u32>,
    rejected_by_address: HashMap<SmtpAddress, u32>,
    /// R16: accounts that Zivver accepted lately and that its lists do not show yet, with their addresses.
    unlisted: BTreeMap<ScimId, SmtpAddress>,
    /// The members of each functional account, without unknown ids, one account after the other.
    members: Vec<AccountIx>,
    /// Where the members of each functional account end in `members`.
    members_end: Vec<u32>,
}

impl Accounts {
    pub fn new(mut actual: Actual) -> Self {
        actual
            .users
            .sort_unstable_by(|a, b| (&a.address, &a.id).cmp(&(&b.address, &b.id)));
        actual
            .groups
            .sort_unstable_by(|a, b| (&a.address, &a.id).cmp(&(&b.address, &b.id)));
        let mut accounts = Self {
            actual,
            ..Self::default()
        };
        accounts.index();
        accounts
    }

    /// Adds those of the accounts `created` lately that the lists do not show. A listed account that has the address of
    /// one has replaced it.
    #[must_use]
    pub fn with_unlisted<'a>(
        mut self,
        created: impl Iterator<Item = (&'a ScimId, &'a SmtpAddress)>,
    ) -> Self {
        let unlisted =
            created.filter(|(id, at)| !self.lists(id) && self.with_address(at).is_empty());
        self.unlisted = unlisted.map(|(id, at)| (id.clone(), at.clone())).collect();
        self
    }

    fn index(&mut self) {
        let count = self.len();
        let aliases = self
            .iter()
            .map(|(_, it)| it.extension().aliases.len())
            .sum();
        let mut external: Vec<Option<ObjectId>> = Vec::with_capacity(count);
        let mut by_id = Index::with_capacity(count);
        let mut by_address = Index::with_capacity(count);
        let mut by_alias = Index::with_capacity(aliases);
        let mut by_object_id = Index::with_capacity(count);
        for (ix, account) in self.iter() {
            let (id, address) = (account.id(), account.address());
            by_id.add(id, ix, |it| self.has_id(it, id));
            by_address.add(address, ix, |it| self.has_address(it, address));
            for alias in &account.extension().aliases {
                by_alias.add(alias, ix, |it| self.has_alias(it, alias));
            }
            let id = account.external_object_id();
            if let Some(id) = &id {
                by_object_id.add(&Guid::from(id), ix, |it| {
                    let known = external.get(it.0 as usize);
                    known.is_some_and(|known| known.as_ref() == Some(id))
                });
            }
            external.push(id);
        }
        self.external = external;
        (self.by_id, self.by_address) = (by_id, by_address);
        (self.by_alias, self.by_object_id) = (by_alias, by_object_id);
        self.index_rejected();
        self.find_members();
    }

    fn has_id(&self, ix: AccountIx, id: &ScimId) -> bool {
        self.get(ix).id() == id
    }

    fn has_address(&self, ix: AccountIx, address: &SmtpAddress) -> bool {
        self.get(ix).address() == address
    }

    fn has_alias(&self, ix: AccountIx, address: &SmtpAddress) -> bool {
        self.get(ix).extension().aliases.contains(address)
    }

    fn index_rejected(&mut self) {
        for (at, row) in self.actual.rejected.iter().enumerate() {
            let at = to_u32(at);
            self.rejected_by_id
                .extend(row.id.iter().map(|id| (id.clone(), at)));
            self.rejected_by_address
                .extend(row.addresses().map(|address| (address.clone(), at)));
        }
    }

    fn find_members(&mut self) {
        let groups = &self.actual.groups;
        let mut members = Vec::with_capacity(groups.iter().map(|group| group.members.len()).sum());
        let mut ends = Vec::with_capacity(groups.len());
        for group in groups {
            members.extend(group.members.iter().filter_map(|id| self.with_id(id)));
            ends.push(to_u32(members.len()));
        }
        (self.members, self.members_end) = (members, ends);
    }

    fn members_of(&self, functional: AccountIx) -> &[AccountIx] {
        let at = functional.0 as usize - self.actual.users.len();
        let begin = at
            .checked_sub(1)
            .map_or(0, |before| self.members_end[before]);
        &self.members[begin as usize..self.members_end[at] as usize]
    }

    pub fn is_user(&self, ix: AccountIx) -> bool {
        (ix.0 as usize) < self.actual.users.len()
    }

    pub fn len(&self) -> usize {
        self.actual.users.len() + self.actual.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same accounts, with those in `newer` in place of the older versions.
    #[must_use]
    pub fn with<'a>(&self, newer: impl Iterator<Item = AccountView<'a>>) -> Self {
        let mut actual = self.actual.clone();
        let mut newer: HashMap<&ScimId, AccountView<'_>> =
            newer.map(|account| (account.id(), account)).collect();
        for user in &mut actual.users {
            if let Some(AccountView::User(newer)) = newer.remove(&user.id) {
                user.clone_from(newer);
            }
        }
        for group in &mut actual.groups {
            if let Some(AccountView::Functional(newer)) = newer.remove(&group.id) {
                group.clone_from(newer);
            }
        }
        for account in newer.into_values() {
            match account {
                AccountView::User(user) => actual.users.push(user.clone()),
                AccountView::Functional(group) => actual.groups.push(group.clone()),
            }
        }
        Self::new(actual)
    }

    pub fn actual(&self) -> &Actual {
        &self.actual
    }

    pub fn get(&self, ix: AccountIx) -> AccountView<'_> {
        let at = ix.0 as usize;
        match at.checked_sub(self.actual.users.len()) {
            None => AccountView::User(&self.actual.users[at]),
            Some(at) => AccountView::Functional(&self.actual.groups[at]),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (AccountIx, AccountView<'_>)> {
        (0..self.len())
            .map(|at| AccountIx(to_u32(at)))
            .map(|ix| (ix, self.get(ix)))
    }

    pub fn with_id(&self, id: &ScimId) -> Option<AccountIx> {
        self.by_id.get(id, |ix| self.has_id(ix, id)).last().copied()
    }

    /// R1: accounts that exist but cannot be understood.
    pub fn rejected(&self) -> &[RejectedAccount] {
        &self.actual.rejected
    }

    fn rejected_with_id(&self, id: &ScimId) -> Option<&RejectedAccount> {
        let at = self.rejected_by_id.get(id)?;
        self.actual.rejected.get(*at as usize)
    }

    /// R7: the rejected account that has, or may have, an id that no understood account has. Any row without an id may
    /// have it.
    pub fn rejected_that_may_have(&self, id: &ScimId) -> Option<&RejectedAccount> {
        if self.with_id(id).is_some() {
            return None;
        }
        self.rejected_with_id(id)
            .or_else(|| self.rejected().iter().find(|row| row.id.is_none()))
    }

    /// The rejected account that has this address as principal or alias, as far as that can be read.
    pub fn rejected_with_address(&self, address: &SmtpAddress) -> Option<&RejectedAccount> {
        let at = self.rejected_by_address.get(address)?;
        self.actual.rejected.get(*at as usize)
    }

    /// R16: accounts that Zivver accepted lately and that its lists do not show yet, with their addresses.
    pub fn unlisted(&self) -> &BTreeMap<ScimId, SmtpAddress> {
        &self.unlisted
    }

    /// R7, R16: whether an account that cannot be understood, or that is not listed yet, has or may have this id.
    pub fn may_be_hidden_id(&self, id: &ScimId) -> bool {
        self.rejected_that_may_have(id).is_some() || self.unlisted.contains_key(id)
    }

    /// Whether the lists of Zivver have, or may have, an account with this id, understood or not.
    pub fn lists(&self, id: &ScimId) -> bool {
        self.with_id(id).is_some() || self.rejected_that_may_have(id).is_some()
    }

    /// R7, R16: whether an address that no understood account has may belong to a rejected user, or to one that is not
    /// listed yet.
    pub fn may_be_hidden(&self, address: &SmtpAddress) -> bool {
        let mut rejected = self.rejected().iter();
        rejected.any(|row| match &row.address {
            Some(_) => row.addresses().any(|known| known == address),
            None => row.kind == AccountKind::User,
        }) || self.unlisted.values().any(|known| known == address)
    }

    /// R1, R22: a rejected user that names a delegate by this address.
    pub fn rejected_that_names(&self, address: &SmtpAddress) -> Option<&RejectedAccount> {
        let mut rejected = self.rejected().iter();
        rejected.find(|row| row.delegates.contains(address))
    }

    /// R7, R16: whether a user who is rejected, or not listed yet, is a member of this functional account. Such a member
    /// must not be removed.
    pub fn has_hidden_member(&self, ix: AccountIx) -> bool {
        let AccountView::Functional(group) = self.get(ix) else {
            return false;
        };
        group.members.iter().any(|id| {
            let row = self.rejected_with_id(id);
            self.may_be_hidden_id(id) && row.is_none_or(|row| row.kind == AccountKind::User)
        })
    }

    /// `ExternalAccountId`, where it is a GUID (R16).
    pub fn external_object_id(&self, ix: AccountIx) -> Option<&ObjectId> {
        self.external[ix.0 as usize].as_ref()
    }

    /// Accounts with this principal. More than one is an error in the organisation.
    pub fn with_address(&self, address: &SmtpAddress) -> &[AccountIx] {
        self.by_address
            .get(address, |ix| self.has_address(ix, address))
    }

    /// Accounts that list this address among their aliases.
    pub fn with_alias(&self, address: &SmtpAddress) -> &[AccountIx] {
        self.by_alias.get(address, |ix| self.has_alias(ix, address))
    }

    /// Accounts whose `ExternalAccountId` is this object id.
    pub fn with_object_id(&self, id: &ObjectId) -> &[AccountIx] {
        let is_it = |ix| self.external_object_id(ix) == Some(id);
        self.by_object_id.get(&Guid::from(id), is_it)
    }

    /// R22: the user account that a delegate address means: the user with this principal, otherwise the only user with
    /// it as an alias. A delegate whose account was renamed is therefore still the same delegate.
    pub fn user_called(&self, address: &SmtpAddress) -> Option<AccountIx> {
        let is_user = |ix: &&AccountIx| self.is_user(**ix);
        if let Some(ix) = self.with_address(address).iter().find(is_user) {
            return Some(*ix);
        }
        let mut users = self.with_alias(address).iter().filter(is_user);
        match (users.next(), users.next()) {
            (Some(ix), None) => Some(*ix),
            _ => None,
        }
    }

    /// The delegates or members of an account, by kind (R22).
    pub fn delegates_of(&self, ix: AccountIx) -> CurrentDelegates {
        let mut current = CurrentDelegates::default();
        match self.get(ix) {
            AccountView::User(user) => {
                for address in &user.delegates {
                    match self.user_called(address) {
                        Some(delegate) if delegate == ix => {}
                        Some(delegate) => current.users.push(delegate),
                        None if !self.with_address(address).is_empty() => {
                            current.functional.extend(self.with_address(address));
                        }
                        None => current.strangers.push(address.clone()),
                    }
                }
            }
            AccountView::Functional(_) => {
                for member in self.members_of(ix) {
                    if self.is_user(*member) {
                        current.users.push(*member);
                    } else if *member != ix {
                        current.functional.push(*member);
                    }
                }
            }
        }
        current.users.sort_unstable();
        current.users.dedup();
        current.functional.sort_unstable();
        current.functional.dedup();
        current.strangers.sort_unstable();
        current
    }

    /// The users who are delegates or members of other accounts.
    pub fn delegates(&self) -> HashSet<AccountIx> {
        let users = self.actual.users.iter().zip(0..);
        let of_users = users.flat_map(|(user, at)| {
            let named = user.delegates.iter();
            let called = named.filter_map(|address| self.user_called(address));
            called.filter(move |delegate| *delegate != AccountIx(at))
        });
        let members = self.members.iter().copied();
        of_users
            .chain(members.filter(|member| self.is_user(*member)))
            .collect()
    }

    /// R26 "active": a user by its flag, a functional account if at least one member is a user.
    pub fn is_active(&self, ix: AccountIx) -> bool {
        match self.get(ix) {
            AccountView::User(user) => user.active,
            AccountView::Functional(_) => {
                let mut members = self.members_of(ix).iter();
                members.any(|member| self.is_user(*member)) || self.has_hidden_member(ix)
            }
        }
    }
}

/// What an account lists as delegates or members, without itself and without unknown ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CurrentDelegates {
    /// These are compared (R22).
    pub users: Vec<AccountIx>,
    /// Other functional accounts: not compared, but written back.
    pub functional: Vec<AccountIx>,
    /// Delegate addresses that belong to no account of the organisation.
    pub strangers: Vec<SmtpAddress>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(kind: AccountKind, id: Option<&str>, address: Option<&str>) -> RejectedAccount {
        RejectedAccount {
            kind,
            id: id.map(ScimId::new),
            address: address.map(SmtpAddress::verbatim),
            name: None,
            active: true,
            aliases: Vec::new(),
            delegates: Vec::new(),
            object_id: None,
            label: String::new(),
            reason: String::new(),
        }
    }

    fn accounts(row: RejectedAccount) -> Accounts {
        Accounts::new(Actual {
            groups: vec![FunctionalAccount {
                id: ScimId::new("g"),
                address: SmtpAddress::verbatim("desk@corp.example"),
                name: String::new(),
                extension: Extension::default(),
                members: vec![ScimId::new("u")],
            }],
            rejected: vec![row],
            ..Actual::default()
        })
    }

    #[test]
    fn r01_what_a_row_does_not_tell_may_be_anything() {
        const USER: AccountKind = AccountKind::User;
        const FUNCTIONAL: AccountKind = AccountKind::Functional;
        let ann = "ann@corp.example";
        for (kind, id, address, is_member, may_be_ann) in [
            (USER, Some("u"), Some(ann), true, true),
            (USER, Some("u"), None, true, true),
            (USER, Some("other"), Some("ben@corp.example"), false, false),
            (USER, None, Some("ben@corp.example"), true, false),
            (USER, None, None, true, true),
            (FUNCTIONAL, Some("u"), None, false, false),
        ] {
            let accounts = accounts(rejected(kind, id, address));
            let desk = AccountIx(0);
            let told = format!("{kind:?} {id:?} {address:?}");
            assert_eq!(accounts.has_hidden_member(desk), is_member, "{told}");
            assert_eq!(accounts.is_active(desk), is_member, "{told}");
            assert_eq!(
                accounts.may_be_hidden(&SmtpAddress::verbatim(ann)),
                may_be_ann,
                "{told}"
            );
        }
    }
}
