//! The texts of a change: in reports, in held sets and in notes, and those that are hashed to recognise it.

use super::{Attribute, Change};
use crate::{
    accounts::Accounts,
    delta::{KeyChange, Target},
    guard::Class,
    ids::ScimId,
};

impl Change {
    pub fn attribute(&self) -> Attribute {
        match self {
            Self::Create { .. } | Self::Name { .. } => Attribute::Name,
            Self::Tie { .. } => Attribute::ObjectId,
            Self::Rename { .. } => Attribute::Address,
            Self::Resume | Self::Suspend { .. } | Self::Empty { .. } => Attribute::Active,
            Self::SignInKey { .. } => Attribute::SignInKey,
            Self::AddAlias(_) | Self::RemoveAlias(_) => Attribute::Aliases,
            Self::AddDelegate(_) | Self::RemoveDelegate(_) | Self::RemoveEntry(_) => {
                Attribute::Delegates
            }
        }
    }

    /// The value of its attribute before and after; for a set, the removed and the added entry.
    pub fn values(&self, address: impl Fn(Target) -> String) -> (Option<String>, Option<String>) {
        let both = |from: &str, to: &str| (Some(from.to_owned()), Some(to.to_owned()));
        match self {
            Self::Create { name } => (None, Some(name.to_string())),
            Self::Tie { from, to } => (Some(from.to_string()), to.map(|id| id.to_string())),
            Self::Rename { from, to, .. } => both(from.as_str(), to.as_str()),
            Self::Name { from, to } => both(from, to),
            Self::Resume => both("no", "yes"),
            Self::Suspend { .. } | Self::Empty { .. } => both("yes", "no"),
            Self::SignInKey { to, change } => match change {
                KeyChange::First | KeyChange::Approved | KeyChange::Renamed => {
                    both("unknown", &to.to_string())
                }
                KeyChange::Updated | KeyChange::OtherSetting => {
                    both("the key written before", &to.to_string())
                }
            },
            Self::AddAlias(alias) => (None, Some(alias.to_string())),
            Self::RemoveAlias(address) | Self::RemoveEntry(address) => {
                (Some(address.to_string()), None)
            }
            Self::AddDelegate(target) => (None, Some(address(*target))),
            Self::RemoveDelegate(ix) => (Some(address(Target::Existing(*ix))), None),
        }
    }

    /// R27: what a person approves, with before and after.
    pub fn approval_texts(&self, accounts: &Accounts) -> (&'static str, String, String) {
        // A delegate who does not exist yet is never held.
        let address = |target| match target {
            Target::Existing(ix) => accounts.get(ix).address().to_string(),
            Target::New(_) => String::new(),
        };
        let (before, after) = self.values(address);
        let (before, after) = (before.unwrap_or_default(), after);
        let or_none = after.clone().unwrap_or_else(|| "no object id".to_owned());
        let after = after.unwrap_or_default();
        match self {
            Self::Create { .. } => ("create the account", before, after),
            Self::Tie { .. } => ("give to another object id", before, or_none),
            Self::Rename { class, .. } if *class == Class::Identity => {
                ("rename on the evidence of an alias", before, after)
            }
            Self::Rename { .. } => ("rename", before, after),
            Self::Name { .. } => ("change name", before, after),
            Self::Resume => ("resume", "inactive".into(), "active".into()),
            Self::Suspend { .. } => ("suspend", "active".into(), "suspended".into()),
            Self::Empty { members, .. } => {
                let members = members.iter().map(|ix| address(Target::Existing(*ix)));
                let members: Vec<String> = members.collect();
                ("empty", members.join(", "), "no members".into())
            }
            Self::SignInKey { .. } => ("replace the sign-in key", before, after),
            Self::AddAlias(_) => ("add alias", before, after),
            Self::RemoveAlias(_) => ("remove alias", before, after),
            Self::AddDelegate(_) => ("add delegate", before, after),
            Self::RemoveDelegate(_) | Self::RemoveEntry(_) => ("remove delegate", before, after),
        }
    }

    /// The delegates that it changes, identified by id. `None` if it changes something else, or a delegate who does not
    /// exist yet.
    pub fn delegates<'a>(&self, accounts: &'a Accounts) -> Option<Vec<&'a ScimId>> {
        match self {
            Self::Empty { members, .. } => {
                Some(members.iter().map(|ix| accounts.get(*ix).id()).collect())
            }
            Self::AddDelegate(Target::Existing(ix)) | Self::RemoveDelegate(ix) => {
                Some(vec![accounts.get(*ix).id()])
            }
            Self::Create { .. }
            | Self::Tie { .. }
            | Self::Rename { .. }
            | Self::Name { .. }
            | Self::Resume
            | Self::Suspend { .. }
            | Self::SignInKey { .. }
            | Self::AddAlias(_)
            | Self::RemoveAlias(_)
            | Self::AddDelegate(Target::New(_))
            | Self::RemoveEntry(_) => None,
        }
    }

    /// R33: what it asks for, as it is hashed.
    pub fn asked_text(&self, address: impl Fn(Target) -> String) -> String {
        match self {
            Self::Create { name } => format!("create {name}"),
            Self::Tie { from, to } => format!("tie {from} {to:?}"),
            Self::Rename { to, .. } => format!("rename {to}"),
            Self::Name { to, .. } => format!("name {to}"),
            Self::Resume => "resume".into(),
            Self::Suspend { .. } => "suspend".into(),
            Self::Empty { .. } => "empty".into(),
            Self::SignInKey { to, .. } => format!("key {to}"),
            Self::AddAlias(alias) => format!("+{alias}"),
            Self::RemoveAlias(alias) => format!("-{alias}"),
            Self::AddDelegate(target) => format!("+delegate {}", address(*target)),
            Self::RemoveDelegate(ix) => format!("-delegate {}", address(Target::Existing(*ix))),
            Self::RemoveEntry(address) => format!("-entry {address}"),
        }
    }

    /// R22: what Zivver accepted, as the object of "accepted".
    pub fn accepted_text(&self) -> String {
        match self {
            Self::Create { .. } => "the account".into(),
            Self::Tie { .. } => "the object id".into(),
            Self::Rename { to, .. } => format!("the address {to}"),
            Self::Name { to, .. } => format!("the name {to:?}"),
            Self::Resume => "to resume the account".into(),
            Self::Suspend { .. } | Self::Empty { .. } => "to suspend the account".into(),
            Self::SignInKey { .. } => "the sign-in key".into(),
            Self::AddAlias(alias) => format!("the alias {alias}"),
            Self::RemoveAlias(alias) => format!("to remove the alias {alias}"),
            Self::AddDelegate(_) => "a delegate".into(),
            Self::RemoveDelegate(_) | Self::RemoveEntry(_) => "to remove a delegate".into(),
        }
    }

    /// The old value of an address or a name, otherwise empty. If Zivver shows a third value, it has changed something,
    /// and that counts (R26). Other changes have only two states.
    pub fn replaced(&self) -> &str {
        match self {
            Self::Rename { from, .. } => from.as_str(),
            Self::Name { from, .. } => from,
            Self::Create { .. }
            | Self::Tie { .. }
            | Self::Resume
            | Self::Suspend { .. }
            | Self::Empty { .. }
            | Self::SignInKey { .. }
            | Self::AddAlias(_)
            | Self::RemoveAlias(_)
            | Self::AddDelegate(_)
            | Self::RemoveDelegate(_)
            | Self::RemoveEntry(_) => "",
        }
    }
}
