//! What should change about one account. `diff` makes it; `guard` and `settle` take out of it what is held or cannot be
//! made.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    accounts::{AccountIx, AccountKind, Accounts},
    address::SmtpAddress,
    directory::{Directory, MailboxIx},
    guard::Class,
    ids::{ObjectId, SignInKey},
    world::Policy,
};

/// An account that exists, or the one that this plan creates for a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Existing(AccountIx),
    New(MailboxIx),
}

impl Target {
    /// The address that reports show.
    pub fn address<'a>(self, accounts: &'a Accounts, directory: &'a Directory) -> &'a SmtpAddress {
        match self {
            Self::Existing(ix) => accounts.get(ix).address(),
            Self::New(ix) => &directory.mailbox(ix).primary,
        }
    }
}

/// A rule and the fact that it was applied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub rule: String,
    pub fact: String,
}

impl Reason {
    pub fn new(rule: &str, fact: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            fact: fact.into(),
        }
    }
}

/// All changes of one account (R19). An empty delta is not a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub target: Target,
    pub kind: AccountKind,
    /// The current principal, or the principal of the account to be created.
    pub address: SmtpAddress,
    pub mailbox: Option<MailboxIx>,
    /// The object id of the mailbox, if an approval names who gets the account (R16, R17, R27).
    pub owner: Option<ObjectId>,
    /// R16: the object ids that the account and its delegates belong to, as far as they are known. What is decided about
    /// a change is decided about these people (R27, R47).
    pub people: BTreeMap<AccountIx, ObjectId>,
    /// The key for the extension of a user (R23).
    pub key: Option<SignInKey>,
    /// What is known about the key that is replaced, where it matters.
    pub key_change: Option<KeyChange>,
    /// The name of the new account.
    pub create: Option<Box<str>>,
    /// R16: the object id that the account is tied to before; `owner` is the new one.
    pub tie: Option<ObjectId>,
    pub rename: Option<Rename>,
    /// R17: the new address is an alias of the account, which is removed before the rename.
    pub renames_to_alias: bool,
    /// Before and after.
    pub name: Option<(Box<str>, Box<str>)>,
    pub activity: Option<Activity>,
    pub add_aliases: BTreeSet<SmtpAddress>,
    pub remove_aliases: BTreeSet<SmtpAddress>,
    pub add_delegates: BTreeSet<Target>,
    pub remove_delegates: BTreeSet<AccountIx>,
    /// R22: entries among the delegates of a user that name nobody but the user itself, and that another account could
    /// get.
    pub remove_entries: BTreeSet<SmtpAddress>,
    pub reasons: Vec<Reason>,
    /// R16, R19: what happens to the account until a person has approved who it belongs to.
    pub unless_approved: Option<Box<Self>>,
}

/// R17.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    pub to: SmtpAddress,
    /// `Rename` by (a) or (b), `Identity` by alias evidence.
    pub class: Class,
}

/// R23: what is known of the key that an extension replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange {
    /// This program has not written one: a working sign-in may end.
    First,
    /// The same, and a person has approved it.
    Approved,
    /// The same as the first, and the account is renamed while keys are addresses: without a new key, sign-in ends with the rename.
    Renamed,
    /// This program wrote another one, and the mailbox has changed since.
    Updated,
    /// This program wrote another one under another value of `SSO_ACCOUNT_KEY`.
    OtherSetting,
}

impl KeyChange {
    /// Whether the key is written although nothing else in the extension differs.
    pub fn is_due(self) -> bool {
        match self {
            Self::First => false,
            Self::Approved | Self::Renamed | Self::Updated | Self::OtherSetting => true,
        }
    }
}

/// A change of status (R19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    Resume,
    /// Of a user; the class is `Suspend` or `Stray`.
    Suspend(Class),
    /// Of a functional account; likewise.
    Empty(Class),
}

impl Delta {
    pub fn new(
        target: Target,
        kind: AccountKind,
        address: SmtpAddress,
        mailbox: Option<MailboxIx>,
    ) -> Self {
        Self {
            target,
            kind,
            address,
            mailbox,
            owner: None,
            people: BTreeMap::new(),
            key: None,
            key_change: None,
            create: None,
            tie: None,
            rename: None,
            renames_to_alias: false,
            name: None,
            activity: None,
            add_aliases: BTreeSet::new(),
            remove_aliases: BTreeSet::new(),
            add_delegates: BTreeSet::new(),
            remove_delegates: BTreeSet::new(),
            remove_entries: BTreeSet::new(),
            reasons: Vec::new(),
            unless_approved: None,
        }
    }

    /// R16, R17: whether nothing of it may happen before a person has approved who the account belongs to.
    pub fn waits_for_identity(&self) -> bool {
        self.tie.is_some()
            || self
                .rename
                .as_ref()
                .is_some_and(|rename| rename.class == Class::Identity)
    }

    /// The address of the mailbox, or of the account if there is no mailbox.
    pub fn label<'a>(&'a self, directory: &'a Directory) -> &'a SmtpAddress {
        let mailbox = self.mailbox.map(|ix| directory.mailbox(ix));
        mailbox.map_or(&self.address, |mailbox| &mailbox.primary)
    }

    /// R23: why the extension of a user without a known key is not written.
    pub fn lacks_key(&self, policy: &Policy) -> Option<&'static str> {
        let lacks = policy.needs_key()
            && self.kind == AccountKind::User
            && self.key.is_none()
            && self.touches_extension();
        lacks.then_some("its object id is not known, so its aliases and delegates cannot be written without losing the SSO account key")
    }

    pub fn rename_to(&mut self, to: SmtpAddress, class: Class) {
        self.rename = Some(Rename { to, class });
    }

    pub fn is_suspend(&self) -> bool {
        matches!(self.activity, Some(Activity::Suspend(_)))
    }

    pub fn is_empty_of_members(&self) -> bool {
        matches!(self.activity, Some(Activity::Empty(_)))
    }

    /// Whether the extension must be written (R23). The delegates of a functional account are members, outside the
    /// extension. A tie is written with its key. A user's extension without a key may erase the key in Zivver, so a tie
    /// without a key sends no extension.
    pub fn touches_extension(&self) -> bool {
        self.key_change.is_some_and(KeyChange::is_due)
            || (self.tie.is_some() && (self.key.is_some() || self.kind == AccountKind::Functional))
            || !self.add_aliases.is_empty()
            || !self.remove_aliases.is_empty()
            || self.drops_alias_for_rename()
            || (self.kind == AccountKind::User && self.touches_delegates())
    }

    /// R17: whether its rename begins with a request that removes an alias.
    pub fn drops_alias_for_rename(&self) -> bool {
        self.renames_to_alias && self.rename.is_some()
    }

    /// R23: the key that another value of the setting asks for goes only with what else is written of the extension.
    pub fn delay_key(&mut self) {
        if self.key_change == Some(KeyChange::OtherSetting) {
            self.key_change = Some(KeyChange::First);
        }
    }

    pub fn touches_delegates(&self) -> bool {
        !self.add_delegates.is_empty()
            || !self.remove_delegates.is_empty()
            || !self.remove_entries.is_empty()
    }

    /// R22: writes a delegate again, who gives up the address by which the account names it, or has given it up, as `fact`
    /// says. `key` goes with it (R23).
    /// A delegate that is to be removed is among them: the removal can be held, and is not made by the rename then.
    pub(crate) fn name_anew(&mut self, delegate: AccountIx, fact: &str, key: Option<SignInKey>) {
        self.key = self.key.take().or(key);
        self.because("R22", fact);
        self.add_delegates.insert(Target::Existing(delegate));
    }

    pub fn because(&mut self, rule: &str, fact: impl Into<String>) {
        self.reasons.push(Reason::new(rule, fact));
    }
}
