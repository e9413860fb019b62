//! The accounts of Zivver in one fixed order, with the indices by which a mailbox or a delegate finds them (R16, R22).

use super::{
    account::{Actual, Extension, FunctionalAccount, UserAccount},
    address::SmtpAddress,
    directory::to_u32,
    hash::HashMap,
    ids::{Guid, ObjectId, ScimId},
    index::Index,
};

/// Position of an account in [`Accounts`]: users first, then functional accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountIx(pub u32);

/// What an account is in Zivver.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    User,
    Functional,
}

/// One account of either kind.
#[derive(Debug, Clone, Copy)]
pub enum AccountView<'a> {
    User(&'a UserAccount),
    Functional(&'a FunctionalAccount),
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
    /// Who is a member of each functional account, without ids of nobody, one account after the other.
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

    fn index(&mut self) {
        let count = self.len();
        let aliases = self
            .iter()
            .map(|(_, it)| it.extension().aliases.len())
            .sum();
        let mut external = Vec::with_capacity(count);
        let mut by_id = Index::with_capacity(count);
        let mut by_address = Index::with_capacity(count);
        let mut by_alias = Index::with_capacity(aliases);
        let mut by_object_id = Index::with_capacity(count);
        for (ix, account) in self.iter() {
            by_id.add(account.id().clone(), ix);
            by_address.add(account.address().clone(), ix);
            for alias in &account.extension().aliases {
                by_alias.add(alias.clone(), ix);
            }
            let id = account.external_object_id();
            if let Some(id) = &id {
                by_object_id.add(Guid::from(id), ix);
            }
            external.push(id);
        }
        self.external = external;
        (self.by_id, self.by_address) = (by_id, by_address);
        (self.by_alias, self.by_object_id) = (by_alias, by_object_id);
        self.find_members();
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

    fn is_user(&self, ix: AccountIx) -> bool {
        (ix.0 as usize) < self.actual.users.len()
    }

    pub fn len(&self) -> usize {
        self.actual.users.len() + self.actual.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same accounts, some of them as they are in `newer`.
    pub fn with<'a>(&self, newer: impl Iterator<Item = AccountView<'a>>) -> Self {
        let mut actual = self.actual.clone();
        let newer: HashMap<&ScimId, AccountView<'_>> =
            newer.map(|account| (account.id(), account)).collect();
        for user in &mut actual.users {
            if let Some(AccountView::User(newer)) = newer.get(&user.id) {
                user.clone_from(newer);
            }
        }
        for group in &mut actual.groups {
            if let Some(AccountView::Functional(newer)) = newer.get(&group.id) {
                group.clone_from(newer);
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
        self.by_id.get(id).last().copied()
    }

    /// `ExternalAccountId`, where it is a GUID (R16).
    pub fn external_object_id(&self, ix: AccountIx) -> Option<&ObjectId> {
        self.external[ix.0 as usize].as_ref()
    }

    /// Accounts whose principal this is: at most one in a sound organisation.
    pub fn with_address(&self, address: &SmtpAddress) -> &[AccountIx] {
        self.by_address.get(address)
    }

    /// Accounts that list this address among their aliases.
    pub fn with_alias(&self, address: &SmtpAddress) -> &[AccountIx] {
        self.by_alias.get(address)
    }

    /// Accounts whose `ExternalAccountId` is this object id.
    pub fn with_object_id(&self, id: &ObjectId) -> &[AccountIx] {
        self.by_object_id.get(&Guid::from(id))
    }

    /// R22: a delegate is an account. The user whose principal `address` is, else the only user that has it as alias:
    /// so a delegate whose account was renamed is still the same delegate.
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

    /// The delegates or members of an account, told apart by what they are (R22).
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

    /// R26 "active": a user by its flag, a functional account by having a member that is a user.
    pub fn is_active(&self, ix: AccountIx) -> bool {
        match self.get(ix) {
            AccountView::User(user) => user.active,
            AccountView::Functional(_) => {
                let mut members = self.members_of(ix).iter();
                members.any(|member| self.is_user(*member))
            }
        }
    }
}

/// What an account lists as delegates or members, without itself and without ids of nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CurrentDelegates {
    /// Compared (R22).
    pub users: Vec<AccountIx>,
    /// Other functional accounts: not compared, written back.
    pub functional: Vec<AccountIx>,
    /// Delegate addresses that are no account of the organisation.
    pub strangers: Vec<SmtpAddress>,
}
