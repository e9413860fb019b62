//! Requests to Zivver and their answers, independent of JSON. The engine translates both.

use std::collections::BTreeSet;

use crate::{
    account::Extension,
    accounts::Account,
    address::SmtpAddress,
    ids::{ScimId, SignInKey},
    ineffective::Asked,
};

/// A complete request: every account in it has its id or its current address.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// POST (R24).
    CreateUser {
        address: SmtpAddress,
        name: String,
        key: Option<SignInKey>,
    },
    /// POST (R24).
    CreateFunctional {
        address: SmtpAddress,
        name: String,
        members: Vec<ScimId>,
        aliases: Vec<SmtpAddress>,
    },
    /// PUT.
    UpdateUser(ScimId, UserUpdate),
    /// PUT.
    UpdateFunctional(ScimId, FunctionalUpdate),
    /// PATCH: the members that stay (R22, R23). A PUT cannot remove the last one (`docs/specs/zivver-scim.md`, "5.4
    /// Quirks").
    SetMembers(ScimId, Vec<ScimId>),
}

/// What a PUT of a user changes; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserUpdate {
    pub address: Option<SmtpAddress>,
    pub name: Option<String>,
    pub active: Option<bool>,
    pub extension: Option<UserExtensionUpdate>,
}

/// The whole extension of a user (R23).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserExtensionUpdate {
    /// As it was read, since its other attributes and its spellings are sent back.
    pub read: Extension,
    pub aliases: Vec<SmtpAddress>,
    pub delegates: Vec<SmtpAddress>,
    pub key: Option<SignInKey>,
}

/// What a PUT of a functional account changes; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FunctionalUpdate {
    pub name: Option<String>,
    pub members: Option<Vec<ScimId>>,
    pub extension: Option<FunctionalExtensionUpdate>,
}

/// The whole extension of a functional account (R23).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FunctionalExtensionUpdate {
    /// As it was read, since its other attributes and its spellings are sent back.
    pub read: Extension,
    pub aliases: Vec<SmtpAddress>,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Accepted(Accepted),
    Refused(Refused),
    /// No answer, or 5xx or 429 on every attempt. The request may have been carried out (R32).
    Unavailable(String),
    /// The API key has no right to write, so no other request can succeed (R32).
    Denied(String),
    /// The run may no longer write (R29, R32, R34, R35).
    Stopped {
        message: String,
        /// An earlier attempt of this request may have been carried out.
        was_sent: bool,
        /// R34: only because of a stop, which is no failure of the run.
        is_cut_off: bool,
    },
}

/// A request that Zivver carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// A create. `is_found`: an account had the address already, or the answer to the create was lost (R31).
    Created { account: Account, is_found: bool },
    /// Any other request, with the account after it, if Zivver returned it.
    Updated(Option<Account>),
}

/// A request that Zivver understood and did not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Status and text: two refusals with the same cause have the same (R33).
    pub cause: String,
    /// For a person.
    pub message: String,
    pub blames: Blame,
}

/// The part of a request that Zivver refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blame {
    /// An alias: the one that Zivver names, if it names one.
    Alias(Option<SmtpAddress>),
    /// An alias, for its domain. Zivver does not say which.
    AliasDomain,
    /// Something else.
    Request,
}

impl Refused {
    /// Whether Zivver names another alias than this one.
    pub(super) fn names_other(&self, alias: &SmtpAddress) -> bool {
        matches!(&self.blames, Blame::Alias(Some(named)) if named != alias)
    }
}

impl Request {
    /// R22: what it asks Zivver to store. A create drops the extension, so its aliases are not asked for.
    pub fn asked(&self) -> Asked {
        match self {
            Self::CreateUser { address, name, key } => Asked {
                address: Some(address.clone()),
                name: Some(name.clone()),
                active: Some(true),
                key: key.clone(),
                ..Asked::default()
            },
            Self::CreateFunctional {
                address,
                name,
                members,
                aliases: _,
            } => Asked {
                address: Some(address.clone()),
                name: Some(name.clone()),
                members: Some(set(members)),
                ..Asked::default()
            },
            Self::UpdateUser(_, user) => {
                let extension = user.extension.as_ref();
                Asked {
                    address: user.address.clone(),
                    name: user.name.clone(),
                    active: user.active,
                    aliases: extension.map(|it| set(&it.aliases)),
                    delegates: extension.map(|it| set(&it.delegates)),
                    key: extension.and_then(|it| it.key.clone()),
                    members: None,
                }
            }
            Self::UpdateFunctional(_, group) => Asked {
                name: group.name.clone(),
                members: group.members.as_deref().map(set),
                aliases: group.extension.as_ref().map(|it| set(&it.aliases)),
                ..Asked::default()
            },
            Self::SetMembers(_, members) => Asked {
                members: Some(set(members)),
                ..Asked::default()
            },
        }
    }

    pub(super) fn is_create(&self) -> bool {
        match self {
            Self::CreateUser { .. } | Self::CreateFunctional { .. } => true,
            Self::UpdateUser(..) | Self::UpdateFunctional(..) | Self::SetMembers(..) => false,
        }
    }

    /// The address that the account is to have with it.
    pub(super) fn principal(&self) -> Option<&SmtpAddress> {
        match self {
            Self::CreateUser { address, .. } | Self::CreateFunctional { address, .. } => {
                Some(address)
            }
            Self::UpdateUser(_, user) => user.address.as_ref(),
            Self::UpdateFunctional(..) | Self::SetMembers(..) => None,
        }
    }

    /// `None` if it does not mention aliases.
    fn aliases(&self) -> Option<&Vec<SmtpAddress>> {
        match self {
            Self::CreateFunctional { aliases, .. } => Some(aliases),
            Self::UpdateUser(_, user) => user.extension.as_ref().map(|it| &it.aliases),
            Self::UpdateFunctional(_, group) => group.extension.as_ref().map(|it| &it.aliases),
            Self::CreateUser { .. } | Self::SetMembers(..) => None,
        }
    }

    fn aliases_mut(&mut self) -> Option<&mut Vec<SmtpAddress>> {
        match self {
            Self::CreateFunctional { aliases, .. } => Some(aliases),
            Self::UpdateUser(_, user) => user.extension.as_mut().map(|it| &mut it.aliases),
            Self::UpdateFunctional(_, group) => group.extension.as_mut().map(|it| &mut it.aliases),
            Self::CreateUser { .. } | Self::SetMembers(..) => None,
        }
    }

    pub(super) fn has_aliases(&self) -> bool {
        self.aliases().is_some()
    }

    pub(super) fn has_alias(&self, alias: &SmtpAddress) -> bool {
        self.aliases()
            .is_some_and(|aliases| aliases.contains(alias))
    }

    pub(super) fn alias_domains(&self) -> BTreeSet<String> {
        let aliases = self.aliases().into_iter().flatten();
        aliases.map(|alias| alias.domain().to_owned()).collect()
    }

    pub(super) fn remove_alias(&mut self, alias: &SmtpAddress) {
        if let Some(aliases) = self.aliases_mut() {
            aliases.retain(|other| other != alias);
        }
    }

    pub(super) fn add_alias(&mut self, alias: &SmtpAddress) {
        if let Some(aliases) = self.aliases_mut() {
            aliases.push(alias.clone());
        }
    }

    /// Removes the extension of an update. Whether there was one, and the request still changes something.
    pub(super) fn drop_extension(&mut self) -> bool {
        match self {
            Self::UpdateUser(_, user) => user.extension.take().is_some() && !user.is_nothing(),
            Self::UpdateFunctional(_, group) => {
                group.extension.take().is_some() && !group.is_nothing()
            }
            Self::CreateUser { .. } | Self::CreateFunctional { .. } | Self::SetMembers(..) => false,
        }
    }
}

impl UserUpdate {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl FunctionalUpdate {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

fn set<T: Clone + Ord>(all: &[T]) -> BTreeSet<T> {
    all.iter().cloned().collect()
}
