//! One atomic change of one account, and the questions that guard, undo and verification ask of it.

use std::collections::BTreeSet;

use super::{
    accounts::{AccountIx, AccountKind, Accounts},
    address::SmtpAddress,
    delta::{Activity, Delta, KeyChange, Target},
    guard::Class,
    ids::ObjectId,
};

/// A part of a delta that is held, undone or verified by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Create {
        name: Box<str>,
    },
    /// R16: gives the account to another object id.
    Tie {
        from: ObjectId,
        to: Option<ObjectId>,
    },
    /// R17: `Class::Rename` by mapping or `ExternalAccountId`, `Class::Identity` by alias evidence.
    Rename {
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
    /// R23: the first extension that this program writes to the account replaces a key that cannot be read.
    SignInKey,
    AddAlias(SmtpAddress),
    RemoveAlias(SmtpAddress),
    AddDelegate(Target),
    RemoveDelegate(AccountIx),
}

impl Change {
    /// R26: the classes in which it counts, the gravest first, each with its number of changes. Empty if no limit applies.
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
            Self::SignInKey => vec![(Class::SignInKey, 1)],
            Self::RemoveAlias(_) => vec![(Class::AliasRemoval, 1)],
            Self::RemoveDelegate(_) => vec![(Class::DelegateRemoval, 1)],
            Self::Resume | Self::AddAlias(_) | Self::AddDelegate(_) => Vec::new(),
        }
    }

    /// R20.
    pub fn is_destructive(&self) -> bool {
        match self {
            Self::Suspend { .. }
            | Self::Empty { .. }
            | Self::RemoveAlias(_)
            | Self::RemoveDelegate(_) => true,
            Self::Create { .. }
            | Self::Tie { .. }
            | Self::Rename { .. }
            | Self::Name { .. }
            | Self::Resume
            | Self::SignInKey
            | Self::AddAlias(_)
            | Self::AddDelegate(_) => false,
        }
    }

    /// Whether the rest of its delta rests on it: an account that is created, or whose owner is in doubt (R16, R17).
    pub fn is_whole_delta(&self) -> bool {
        match self {
            Self::Create { .. } | Self::Tie { .. } => true,
            Self::Rename { class, .. } => *class == Class::Identity,
            Self::Name { .. }
            | Self::Resume
            | Self::Suspend { .. }
            | Self::Empty { .. }
            | Self::SignInKey
            | Self::AddAlias(_)
            | Self::RemoveAlias(_)
            | Self::AddDelegate(_)
            | Self::RemoveDelegate(_) => false,
        }
    }

    /// Whether a person can do less after it.
    pub fn takes_access(&self) -> bool {
        self.is_destructive() && !matches!(self, Self::RemoveAlias(_))
    }

    /// Names the change among all changes of its account, the same in every run: by what it makes, and by the ids of
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
            Self::SignInKey => "sign-in key".into(),
            Self::AddAlias(alias) => format!("+alias {alias}"),
            Self::RemoveAlias(alias) => format!("-alias {alias}"),
            Self::AddDelegate(Target::Existing(ix)) => format!("+delegate {}", id(ix)),
            Self::AddDelegate(Target::New(_)) => return None,
            Self::RemoveDelegate(ix) => format!("-delegate {}", id(ix)),
        })
    }

    /// The changes that are made with it: the members that an `Empty` removes, and itself.
    pub fn parts(&self) -> Vec<Self> {
        let mut parts = vec![self.clone()];
        if let Self::Empty { members, .. } = self {
            parts.extend(members.iter().copied().map(Self::RemoveDelegate));
        }
        parts
    }

    /// R37: the change that takes it back, for an account that had `address` before. `None` where nothing does.
    pub fn inverse(&self, address: &SmtpAddress) -> Option<Self> {
        Some(match self {
            Self::Rename { class, .. } => Self::Rename {
                to: address.clone(),
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
            | Self::SignInKey
            | Self::AddDelegate(Target::New(_)) => return None,
        })
    }
}

/// The account of a delta, the same in every run: its SCIM id, or the address that it is created with.
pub fn account_of(delta: &Delta, accounts: &Accounts) -> String {
    match delta.target {
        Target::Existing(ix) => accounts.get(ix).id().to_string(),
        Target::New(_) => delta.address.to_string(),
    }
}

/// A change of an account in words that later runs recognise.
pub fn key_of(account: &str, key: &str) -> String {
    format!("{account} {key}")
}

impl Delta {
    /// Everything that it changes. An `Empty` has its members in it.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        changes.extend(
            self.create
                .iter()
                .map(|name| Change::Create { name: name.clone() }),
        );
        changes.extend(self.tie.map(|from| Change::Tie {
            from,
            to: self.owner,
        }));
        changes.extend(self.rename.iter().map(|rename| Change::Rename {
            to: rename.to.clone(),
            class: rename.class,
        }));
        changes.extend(self.name.iter().map(|(from, to)| Change::Name {
            from: from.clone(),
            to: to.clone(),
        }));
        changes.extend(self.activity.map(|activity| match activity {
            Activity::Resume => Change::Resume,
            Activity::Suspend(class) => Change::Suspend {
                is_stray: class == Class::Stray,
            },
            Activity::Empty(class) => Change::Empty {
                is_stray: class == Class::Stray,
                members: self.remove_delegates.clone(),
            },
        }));
        if self.writes_new_key() && self.key_change == Some(KeyChange::First) {
            changes.push(Change::SignInKey);
        }
        changes.extend(self.add_aliases.iter().cloned().map(Change::AddAlias));
        changes.extend(self.remove_aliases.iter().cloned().map(Change::RemoveAlias));
        changes.extend(self.add_delegates.iter().copied().map(Change::AddDelegate));
        if !self.is_empty_of_members() {
            let removed = self.remove_delegates.iter().copied();
            changes.extend(removed.map(Change::RemoveDelegate));
        }
        changes
    }

    /// R23: whether its extension replaces a key by another. A tie is approved with its key (R16).
    pub fn writes_new_key(&self) -> bool {
        self.key_change.is_some() && self.tie.is_none() && self.touches_extension()
    }

    /// Whether a change is written with the extension, and with the key in it (R23).
    pub fn is_in_extension(&self, change: &Change) -> bool {
        match change {
            Change::AddAlias(_) | Change::RemoveAlias(_) | Change::SignInKey => true,
            Change::AddDelegate(_) | Change::RemoveDelegate(_) => self.kind == AccountKind::User,
            Change::Rename { .. } => self.drops_alias_for_rename(),
            Change::Create { .. }
            | Change::Tie { .. }
            | Change::Name { .. }
            | Change::Resume
            | Change::Suspend { .. }
            | Change::Empty { .. } => false,
        }
    }

    /// Removes a change. What rests on it goes with it: all of a delta whose owner is in doubt (R16), all of the extension
    /// with its key (R23).
    pub fn take_out(&mut self, change: &Change) {
        match change {
            Change::Create { .. } | Change::Tie { .. } => self.give_up(),
            Change::Rename { .. } if change.is_whole_delta() => self.give_up(),
            Change::Rename { .. } => self.rename = None,
            Change::Name { .. } => self.name = None,
            Change::Resume | Change::Suspend { .. } => self.activity = None,
            Change::Empty { .. } => {
                self.activity = None;
                self.remove_delegates.clear();
            }
            Change::SignInKey => self.clear_extension(),
            Change::AddAlias(alias) => drop(self.add_aliases.remove(alias)),
            Change::RemoveAlias(alias) => drop(self.remove_aliases.remove(alias)),
            Change::AddDelegate(target) => drop(self.add_delegates.remove(target)),
            Change::RemoveDelegate(ix) => drop(self.remove_delegates.remove(ix)),
        }
    }

    /// Takes out everything that is written with the extension.
    pub fn clear_extension(&mut self) {
        if self.drops_alias_for_rename() {
            self.rename = None;
        }
        self.key_change = None;
        self.add_aliases.clear();
        self.remove_aliases.clear();
        if self.kind == AccountKind::User {
            self.add_delegates.clear();
            self.remove_delegates.clear();
        }
    }

    /// What happens until a person has approved it, if anything (R16, R19).
    fn give_up(&mut self) {
        match self.unless_approved.take() {
            Some(instead) => *self = *instead,
            None => self.clear(),
        }
    }

    fn clear(&mut self) {
        self.create = None;
        self.tie = None;
        self.rename = None;
        self.name = None;
        self.activity = None;
        self.add_delegates.clear();
        self.remove_delegates.clear();
        self.clear_extension();
    }
}
