//! The guards of R26, implemented separately for the oracle: limits, their bases, and the effect of a held change.

use std::collections::BTreeMap;

use cloud_sync::{domain::hold::HeldChange, sandbox::zivver::Organisation};

use super::{
    oracle::id_of,
    truth::{is_claimed, lower},
};

/// A change that a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Guarded {
    Suspend,
    DelegateRemoval,
    AliasRemoval,
    Rename,
    NameChange,
    Create,
    SignInKey,
}

impl Guarded {
    pub(super) const ALL: [Self; 7] = [
        Self::Suspend,
        Self::DelegateRemoval,
        Self::AliasRemoval,
        Self::Rename,
        Self::NameChange,
        Self::Create,
        Self::SignInKey,
    ];

    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::Suspend => "MAX_SUSPEND",
            Self::DelegateRemoval => "MAX_DELEGATE_REMOVALS",
            Self::AliasRemoval => "MAX_ALIAS_REMOVALS",
            Self::Rename => "MAX_RENAMES",
            Self::NameChange => "MAX_NAME_CHANGES",
            Self::Create => "MAX_CREATES",
            Self::SignInKey => "MAX_SIGN_IN_KEY_CHANGES",
        }
    }

    pub(super) fn default_limit(self) -> &'static str {
        match self {
            Self::Suspend | Self::Rename => "5%,min 5",
            Self::DelegateRemoval | Self::AliasRemoval => "10%,min 20",
            Self::NameChange => "20%,min 20",
            Self::Create => "20%,min 25",
            Self::SignInKey => "0",
        }
    }

    pub(super) fn takes_away(self) -> bool {
        match self {
            Self::Suspend | Self::DelegateRemoval | Self::AliasRemoval => true,
            Self::Rename | Self::NameChange | Self::Create | Self::SignInKey => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Count(usize),
    Share { percent: usize, min: usize },
    Off,
}

impl Limit {
    pub(super) fn parse(text: &str) -> Self {
        let (first, min) = text.split_once(",min ").unwrap_or((text, "0"));
        match first.strip_suffix('%') {
            Some("100") => Self::Off,
            Some(percent) => Self::Share {
                percent: percent.parse().unwrap(),
                min: min.parse().unwrap(),
            },
            None => Self::Count(first.parse().unwrap()),
        }
    }

    /// R26: the number that is allowed of `there` things. A destructive class never takes more than half, except for
    /// three.
    pub(super) fn allows(self, class: Guarded, there: usize) -> usize {
        let allowed = match self {
            Self::Off => return usize::MAX,
            Self::Count(count) => count,
            Self::Share { percent, min } => (there * percent / 100).max(min),
        };
        if class.takes_away() {
            allowed.min((there / 2).max(3))
        } else {
            allowed
        }
    }
}

/// The bases of limits. Each is at least what the program counts, which excludes protected accounts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Base {
    active: usize,
    delegations: usize,
    aliases: usize,
    users: usize,
    accounts: usize,
}

impl Base {
    pub(super) fn of(organisation: &Organisation) -> Self {
        let mut base = Self::default();
        for user in &organisation.users {
            base.users += 1;
            base.active += usize::from(user.active);
            base.aliases += user.aliases.len();
            base.delegations += user.delegates.len();
        }
        for group in &organisation.groups {
            let is_user = |id: &&String| organisation.users.iter().any(|user| user.id == **id);
            let members = group.members.iter().filter(is_user).count();
            base.active += usize::from(members > 0);
            base.aliases += group.aliases.len();
            base.delegations += members;
        }
        base.accounts = organisation.users.len() + organisation.groups.len();
        base
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self {
            active: self.active.max(other.active),
            delegations: self.delegations.max(other.delegations),
            aliases: self.aliases.max(other.aliases),
            users: self.users.max(other.users),
            accounts: self.accounts.max(other.accounts),
        }
    }

    pub(super) fn measures(self, class: Guarded) -> usize {
        match class {
            Guarded::Suspend | Guarded::Create => self.active,
            Guarded::DelegateRemoval => self.delegations,
            Guarded::AliasRemoval => self.aliases,
            Guarded::Rename | Guarded::SignInKey => self.users,
            Guarded::NameChange => self.accounts,
        }
    }
}

/// The effect of a change on an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// A user is suspended, a functional account emptied.
    Stop,
    /// By the id of the account that is removed.
    Member(String),
    Alias(String),
    Rename(String),
    Name(String),
    /// The account goes to another object id, or is renamed by alias evidence.
    Identity(String),
    Create,
    SignInKey,
}

impl Effect {
    pub(super) fn member(&self) -> Option<&String> {
        match self {
            Self::Member(id) => Some(id),
            Self::Stop
            | Self::Alias(_)
            | Self::Rename(_)
            | Self::Name(_)
            | Self::Identity(_)
            | Self::Create
            | Self::SignInKey => None,
        }
    }
}

/// A held change, by account and effect. An `empty` removes each member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Intent {
    /// The id of an account, or the address of one that is to be created.
    pub(super) account: String,
    pub(super) effect: Effect,
}

pub(super) fn intents_of(change: &HeldChange, organisation: &Organisation) -> Vec<Intent> {
    let address = lower(change.address.as_str());
    let account = id_of(organisation, &address).unwrap_or_else(|| address.clone());
    let intent = |effect| Intent {
        account: account.clone(),
        effect,
    };
    let (before, after) = (lower(&change.before), lower(&change.after));
    let member = |address: &str| id_of(organisation, address).map(Effect::Member);
    match change.what.as_str() {
        "create the account" => vec![Intent {
            account: address.clone(),
            effect: Effect::Create,
        }],
        "replace the sign-in key" => vec![intent(Effect::SignInKey)],
        "suspend" => vec![intent(Effect::Stop)],
        "empty" => {
            let members = before.split_whitespace().filter_map(member);
            members.chain([Effect::Stop]).map(intent).collect()
        }
        "remove delegate" => member(&before).into_iter().map(intent).collect(),
        "remove alias" => vec![intent(Effect::Alias(before))],
        "rename" => vec![intent(Effect::Rename(after))],
        "change name" => vec![intent(Effect::Name(change.after.clone()))],
        "give to another object id" | "rename on the evidence of an alias" => {
            vec![intent(Effect::Identity(after))]
        }
        other => panic!("{other:?} is held, and nothing says what that is"),
    }
}

/// The limits of one simulation.
pub(super) type Limits = BTreeMap<Guarded, Limit>;

pub(super) fn is_ours(address: &str) -> bool {
    is_claimed(&lower(address))
}
