//! One atomic change of one account, and the questions that guard, undo and verification ask about it.

mod texts;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    accounts::{AccountIx, AccountKind, Accounts},
    address::SmtpAddress,
    delta::{Activity, Delta, KeyChange, Rename, Target},
    guard::Class,
    ids::{ObjectId, SignInKey},
};

/// The attribute under which a report shows a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    Address,
    Name,
    Active,
    ObjectId,
    /// R23: the key by which single sign-on finds the user.
    SignInKey,
    Aliases,
    Delegates,
}

impl Attribute {
    /// Whether its values are entries of a set, which are added and removed one by one.
    pub fn is_set(self) -> bool {
        match self {
            Self::Aliases | Self::Delegates => true,
            Self::Address | Self::Name | Self::Active | Self::ObjectId | Self::SignInKey => false,
        }
    }
}

/// A part of a delta that is held, undone or verified separately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Create {
        name: Box<str>,
    },
    /// R16: assigns the account to another object id.
    Tie {
        from: ObjectId,
        to: Option<ObjectId>,
    },
    /// R17: `Class::Rename` by mapping or `ExternalAccountId`, `Class::Identity` by alias evidence.
    Rename {
        from: SmtpAddress,
        to: SmtpAddress,
        class: Class,
    },
    Name {
        from: Box<str>,
        to: Box<str>,
    },
    Resume,
    Suspend {
        is_stray: bool,
    },
    Empty {
        is_stray: bool,
        members: BTreeSet<AccountIx>,
    },
    /// R23: the key that is written with the extension and replaces another one.
    SignInKey {
        to: SignInKey,
        change: KeyChange,
    },
    AddAlias(SmtpAddress),
    RemoveAlias(SmtpAddress),
    AddDelegate(Target),
    RemoveDelegate(AccountIx),
    /// R22: an entry that names nobody but the account itself.
    RemoveEntry(SmtpAddress),
}

impl Change {
    /// R26: the classes in which it counts, the most serious first, each with its number of changes. Empty if no limit
    /// applies.
    pub fn classes(&self) -> Vec<(Class, u32)> {
        match self {
            Self::Create { .. } => vec![(Class::Create, 1)],
            Self::Tie { .. } => vec![(Class::Identity, 1)],
            Self::Rename { class, .. } => vec![(*class, 1)],
            Self::Name { .. } => vec![(Class::NameChange, 1)],
            Self::Suspend { is_stray: false } => vec![(Class::Suspend, 1)],
            Self::Suspend { is_stray: true } => vec![(Class::Stray, 1), (Class::Suspend, 1)],
            Self::Empty { is_stray, members } => {
                let members = super::directory::to_u32(members.len());
                let stray = is_stray.then_some((Class::Stray, 1));
                let others = [(Class::Suspend, 1), (Class::DelegateRemoval, members)];
                stray.into_iter().chain(others).collect()
            }
            Self::SignInKey { change, .. } => match change {
                KeyChange::First
                | KeyChange::Approved
                | KeyChange::Renamed
                | KeyChange::OtherSetting => vec![(Class::SignInKey, 1)],
                KeyChange::Updated => Vec::new(),
            },
            Self::RemoveAlias(_) => vec![(Class::AliasRemoval, 1)],
            Self::RemoveDelegate(_) => vec![(Class::DelegateRemoval, 1)],
            Self::Resume | Self::AddAlias(_) | Self::AddDelegate(_) | Self::RemoveEntry(_) => {
                Vec::new()
            }
        }
    }

    /// R26: the most serious class, under which it is held.
    pub fn class(&self) -> Option<Class> {
        self.classes().first().map(|(class, _)| *class)
    }

    /// R20.
    pub fn is_destructive(&self) -> bool {
        self.classes()
            .iter()
            .any(|(class, _)| class.is_destructive())
    }

    /// Whether the rest of its delta depends on it: an account that is created, or whose owner is in doubt (R16, R17).
    pub fn is_whole_delta(&self) -> bool {
        matches!(self.class(), Some(Class::Create | Class::Identity))
    }

    pub fn is_sign_in_key(&self) -> bool {
        matches!(self, Self::SignInKey { .. })
    }

    /// Whether it takes access away from a person.
    pub fn takes_access(&self) -> bool {
        self.is_destructive() && !matches!(self, Self::RemoveAlias(_))
    }

    /// Names the change among all changes of its account, the same in every run: by its effect, and by the ids of
    /// delegates. `None` for a delegate that has no account yet.
    pub fn key(&self, accounts: &Accounts) -> Option<String> {
        let id = |ix: &AccountIx| accounts.get(*ix).id();
        Some(match self {
            Self::Create { .. } => "create".into(),
            Self::Tie { to, .. } => format!("tie {to:?}"),
            Self::Rename { to, .. } => format!("address {to}"),
            Self::Name { to, .. } => format!("name {to}"),
            Self::Resume => "resume".into(),
            Self::Suspend { .. } | Self::Empty { .. } => "stop".into(),
            Self::SignInKey { .. } => "sign-in key".into(),
            Self::AddAlias(alias) => format!("+alias {alias}"),
            Self::RemoveAlias(alias) => format!("-alias {alias}"),
            Self::AddDelegate(Target::Existing(ix)) => format!("+delegate {}", id(ix)),
            Self::AddDelegate(Target::New(_)) => return None,
            Self::RemoveDelegate(ix) => format!("-delegate {}", id(ix)),
            Self::RemoveEntry(address) => format!("-entry {address}"),
        })
    }

    /// The change itself and the changes that it includes: the members that an `Empty` removes.
    pub fn parts(&self) -> Vec<Self> {
        let mut parts = vec![self.clone()];
        if let Self::Empty { members, .. } = self {
            parts.extend(members.iter().copied().map(Self::RemoveDelegate));
        }
        parts
    }

    /// R37: the reverse change. `None` if there is none.
    pub fn inverse(&self) -> Option<Self> {
        Some(match self {
            Self::Rename { from, to, class } => Self::Rename {
                from: to.clone(),
                to: from.clone(),
                class: *class,
            },
            Self::Name { from, to } => Self::Name {
                from: to.clone(),
                to: from.clone(),
            },
            Self::Resume => Self::Suspend { is_stray: false },
            Self::Suspend { .. } | Self::Empty { .. } => Self::Resume,
            Self::AddAlias(alias) => Self::RemoveAlias(alias.clone()),
            Self::RemoveAlias(alias) => Self::AddAlias(alias.clone()),
            Self::AddDelegate(Target::Existing(ix)) => Self::RemoveDelegate(*ix),
            Self::RemoveDelegate(ix) => Self::AddDelegate(Target::Existing(*ix)),
            Self::Create { .. }
            | Self::Tie { .. }
            | Self::SignInKey { .. }
            | Self::AddDelegate(Target::New(_))
            | Self::RemoveEntry(_) => return None,
        })
    }
}

/// What of an account a change is about, in either direction, by its [`Change::key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter<'a> {
    Status,
    Name,
    Address,
    Alias(&'a str),
    /// The id of the delegate.
    Delegate(&'a str),
    /// What an undo does not take back.
    Other,
}

impl<'a> Matter<'a> {
    pub fn of(key: &'a str) -> Self {
        match key.split_once(' ').unwrap_or((key, "")) {
            ("stop" | "resume", _) => Self::Status,
            ("name", _) => Self::Name,
            ("address", _) => Self::Address,
            ("+alias" | "-alias", alias) => Self::Alias(alias),
            ("+delegate" | "-delegate", id) => Self::Delegate(id),
            _ => Self::Other,
        }
    }
}

/// The account of a delta, the same in every run: its SCIM id, or the address that it is created with.
pub fn account_of(delta: &Delta, accounts: &Accounts) -> String {
    match delta.target {
        Target::Existing(ix) => accounts.get(ix).id().to_string(),
        Target::New(_) => delta.address.to_string(),
    }
}

/// Identifies a change of an account in later runs.
pub fn key_of(account: &str, key: &str) -> String {
    format!("{account} {key}")
}

impl Delta {
    /// All changes of the delta. An `Empty` includes its members.
    pub fn changes(&self) -> Vec<Change> {
        self.each_change().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.each_change().next().is_none()
    }

    fn each_change(&self) -> impl Iterator<Item = Change> {
        let Self {
            target: _,
            kind: _,
            address,
            mailbox: _,
            owner,
            people: _,
            key,
            key_change,
            create,
            tie,
            rename,
            renames_to_alias: _,
            name,
            activity,
            add_aliases,
            remove_aliases,
            add_delegates,
            remove_delegates,
            remove_entries,
            reasons: _,
            unless_approved: _,
        } = self;
        let create = create.iter().cloned().map(|name| Change::Create { name });
        let tie = tie.map(|from| Change::Tie { from, to: *owner });
        let rename = rename.iter().map(|Rename { to, class }| Change::Rename {
            from: address.clone(),
            to: to.clone(),
            class: *class,
        });
        let name = name.iter().cloned();
        let activity = activity.iter().map(|activity| match activity {
            Activity::Resume => Change::Resume,
            Activity::Suspend(class) => Change::Suspend {
                is_stray: *class == Class::Stray,
            },
            Activity::Empty(class) => Change::Empty {
                is_stray: *class == Class::Stray,
                members: remove_delegates.clone(),
            },
        });
        let key = key.iter().zip(*key_change);
        let key = key.filter(|_| self.writes_new_key());
        let removed = remove_delegates.iter().copied();
        let removed = removed.filter(|_| !self.is_empty_of_members());
        create
            .chain(tie)
            .chain(rename)
            .chain(name.map(|(from, to)| Change::Name { from, to }))
            .chain(activity)
            .chain(add_aliases.iter().cloned().map(Change::AddAlias))
            .chain(remove_aliases.iter().cloned().map(Change::RemoveAlias))
            .chain(key.map(|(to, change)| Change::SignInKey {
                to: to.clone(),
                change,
            }))
            .chain(add_delegates.iter().copied().map(Change::AddDelegate))
            .chain(removed.map(Change::RemoveDelegate))
            .chain(remove_entries.iter().cloned().map(Change::RemoveEntry))
    }

    /// R23: whether its extension replaces a key with another one. A tie is approved together with its key (R16).
    fn writes_new_key(&self) -> bool {
        self.key_change.is_some() && self.tie.is_none() && self.touches_extension()
    }

    /// Whether a change is written with the extension, and the key with it (R23).
    pub fn is_in_extension(&self, change: &Change) -> bool {
        match change {
            Change::AddAlias(_)
            | Change::RemoveAlias(_)
            | Change::SignInKey { .. }
            | Change::RemoveEntry(_) => true,
            Change::AddDelegate(_) | Change::RemoveDelegate(_) => self.kind == AccountKind::User,
            Change::Rename { .. } => {
                self.drops_alias_for_rename() || self.key_change == Some(KeyChange::Renamed)
            }
            Change::Create { .. }
            | Change::Tie { .. }
            | Change::Name { .. }
            | Change::Resume
            | Change::Suspend { .. }
            | Change::Empty { .. } => false,
        }
    }

    /// Whether a change cannot be made without another: all of a delta depends on who owns the account (R16), and all
    /// of the extension on its key (R23).
    pub fn rests_on(&self, change: &Change, other: &Change) -> bool {
        other.is_whole_delta() || other.is_sign_in_key() && self.is_in_extension(change)
    }

    /// Removes a change and everything that depends on it. If the owner of the account waits for an approval,
    /// `unless_approved` takes its place (R16, R19).
    pub fn take_out(&mut self, change: &Change) {
        if change.is_sign_in_key() {
            self.clear_extension();
        } else if !change.is_whole_delta() {
            self.remove(change);
        } else if let Some(instead) = self.unless_approved.take() {
            *self = *instead;
        } else {
            self.retain(|_| false);
        }
    }

    /// Removes everything that is written with the extension.
    pub fn clear_extension(&mut self) {
        for change in self.changes() {
            if self.is_in_extension(&change) {
                self.remove(&change);
            }
        }
    }

    /// Removes all other changes, but not what depends on them.
    pub fn retain(&mut self, is_kept: impl Fn(&Change) -> bool) {
        for change in self.changes() {
            if !is_kept(&change) {
                self.remove(&change);
            }
        }
    }

    fn remove(&mut self, change: &Change) {
        match change {
            Change::Create { .. } => self.create = None,
            Change::Tie { .. } => {
                self.tie = None;
                self.key_change = None;
            }
            Change::Rename { .. } => self.rename = None,
            Change::Name { .. } => self.name = None,
            Change::Resume | Change::Suspend { .. } => self.activity = None,
            Change::Empty { .. } => {
                self.activity = None;
                self.remove_delegates.clear();
            }
            Change::SignInKey { .. } => self.key_change = None,
            Change::AddAlias(alias) => drop(self.add_aliases.remove(alias)),
            Change::RemoveAlias(alias) => drop(self.remove_aliases.remove(alias)),
            Change::AddDelegate(target) => drop(self.add_delegates.remove(target)),
            Change::RemoveDelegate(ix) => drop(self.remove_delegates.remove(ix)),
            Change::RemoveEntry(address) => drop(self.remove_entries.remove(address)),
        }
    }
}
