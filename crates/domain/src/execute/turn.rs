//! Makes the request of a step after everything that it waits for has ended, or decides that none is needed (R22–R24,
//! R31).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    request::{
        FunctionalExtensionUpdate, FunctionalUpdate, Request, UserExtensionUpdate, UserUpdate,
    },
    situation::{Situation, UserExtensionNow},
};
use crate::{
    account::{FunctionalAccount, UserAccount},
    accounts::{AccountIx, AccountView},
    address::SmtpAddress,
    ids::ScimId,
    step::{Call, Delegate, Step, StepIx, UserExtension, When},
};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    Send(Box<Draft>),
    NotNeeded,
    /// A step that it depends on failed.
    LeftOut(String),
}

/// A request, with what must be known if it is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    pub request: Request,
    /// Aliases in it that Zivver does not have yet. Any of them may be refused (R23).
    pub new_aliases: Vec<SmtpAddress>,
    /// Whether it changes nothing but aliases.
    pub only_aliases: bool,
    pub at_stake: AtStake,
    /// Parts of the step that the request does not contain, in words (R23, R32).
    pub left_out: Vec<String>,
}

/// What would not be done without the extension of a request, if Zivver refuses the extension because of an alias that
/// the account had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtStake {
    /// Nothing that cannot wait.
    Nothing,
    /// A delegate loses access by it.
    AccessRemoval,
    /// It contains the key of the new owner, and nothing is written without that (R16).
    Tie,
}

const NOT_CREATED: &str = "the account was not created";

impl Draft {
    fn new(request: Request, left_out: Vec<String>) -> Box<Self> {
        Box::new(Self {
            request,
            new_aliases: Vec::new(),
            only_aliases: false,
            at_stake: AtStake::Nothing,
            left_out,
        })
    }
}

impl Turn {
    pub(super) fn new_aliases(&self) -> &[SmtpAddress] {
        match self {
            Self::Send(draft) => &draft.new_aliases,
            Self::NotNeeded | Self::LeftOut(_) => &[],
        }
    }

    /// Takes out new aliases in domains that Zivver does not own.
    pub(super) fn without(self, unowned: &[SmtpAddress]) -> Self {
        match self {
            Self::Send(mut draft) if !unowned.is_empty() => {
                for alias in unowned {
                    draft.request.remove_alias(alias);
                }
                draft.new_aliases.retain(|alias| !unowned.contains(alias));
                draft.left_out.extend(unowned.iter().map(why_unowned));
                if draft.only_aliases && draft.new_aliases.is_empty() {
                    Self::LeftOut(draft.left_out.join("; "))
                } else {
                    Self::Send(draft)
                }
            }
            Self::Send(_) | Self::NotNeeded | Self::LeftOut(_) => self,
        }
    }

    /// Nothing is left to send.
    fn nothing(left_out: &[String]) -> Self {
        if left_out.is_empty() {
            Self::NotNeeded
        } else {
            Self::LeftOut(left_out.join("; "))
        }
    }
}

fn why_unowned(alias: &SmtpAddress) -> String {
    format!(
        "the alias {alias} is not sent: Zivver refused the domain {} in this run (R23)",
        alias.domain()
    )
}

/// The extension of a user as it is to be written.
struct Extended {
    update: UserExtensionUpdate,
    new_aliases: Vec<SmtpAddress>,
    only_aliases: bool,
    at_stake: AtStake,
}

/// The addresses that a step does not get. The value is the account that still names a delegate by the address (R22),
/// or `None` if the account that has the address did not release it (R23).
struct Lost<'a>(BTreeMap<&'a SmtpAddress, Option<&'a SmtpAddress>>);

impl Lost<'_> {
    fn free(&self, aliases: &[SmtpAddress]) -> Vec<SmtpAddress> {
        let free = aliases.iter().filter(|alias| !self.0.contains_key(alias));
        free.cloned().collect()
    }

    fn in_words(&self) -> Vec<String> {
        let lost = self.0.iter();
        lost.map(|(alias, by)| format!("the alias {}", why_lost(alias, *by)))
            .collect()
    }
}

fn why_lost(address: &SmtpAddress, named_by: Option<&SmtpAddress>) -> String {
    match named_by {
        Some(by) => format!(
            "{address} is not taken yet, since the delegates of {by} were not written, which names one by an address that \
             changes hands (R22)"
        ),
        None => format!("{address} was not released by the account that has it"),
    }
}

impl Situation<'_> {
    pub(super) fn turn(&self, ix: StepIx) -> Turn {
        let step = self.step(ix);
        match step.when {
            When::Always => {}
            When::IfRefused(rename) => {
                if self.succeeded(rename) {
                    return Turn::NotNeeded;
                }
            }
            When::Completes(create) => {
                if !self.succeeded(create) {
                    return Turn::LeftOut(NOT_CREATED.into());
                }
            }
        }
        let mut lost = Lost(BTreeMap::new());
        for (address, release) in &step.claims {
            if !self.is_free(address, *release) {
                let by = self.named_by(address, *release);
                lost.0.entry(address).or_insert(by);
            }
        }
        let principal = match &step.call {
            Call::CreateUser { address, .. } | Call::CreateFunctional { address, .. } => {
                Some(address)
            }
            Call::UpdateUser { address, .. } => address.as_ref(),
            Call::UpdateFunctional { .. } | Call::Empty { .. } => None,
        };
        match principal {
            Some(address) if lost.0.contains_key(address) => {
                Turn::LeftOut(why_lost(address, lost.0[address]))
            }
            Some(_) | None => self.request(step, &lost),
        }
    }

    fn request(&self, step: &Step, lost: &Lost<'_>) -> Turn {
        let left_out = lost.in_words();
        match &step.call {
            Call::CreateUser { address, name, key } => {
                let request = Request::CreateUser {
                    address: address.clone(),
                    name: name.to_string(),
                    key: key.clone(),
                };
                Turn::Send(Draft::new(request, left_out))
            }
            Call::CreateFunctional {
                address,
                name,
                members,
                aliases,
            } => self.create_functional(address, name, members, lost.free(aliases), left_out),
            Call::UpdateUser {
                address,
                name,
                active,
                extension,
            } => {
                let update = UserUpdate {
                    address: address.clone(),
                    name: name.as_deref().map(str::to_owned),
                    active: *active,
                    extension: None,
                };
                let extension = extension.as_ref().map(|extension| UserExtension {
                    aliases: lost.free(self.aliases(extension)),
                    ..extension.clone()
                });
                self.update_user(step, update, extension, left_out)
            }
            Call::UpdateFunctional {
                name,
                members,
                aliases,
            } => {
                let aliases = aliases.as_ref().map(|aliases| lost.free(aliases));
                self.update_functional(step, name.as_deref(), members.as_deref(), aliases, left_out)
            }
            Call::Empty { keep } => self.empty(step, keep, left_out),
        }
    }

    /// R12, R24: with members and aliases. Not created if none of its members is a user.
    fn create_functional(
        &self,
        address: &SmtpAddress,
        name: &str,
        members: &[Delegate],
        aliases: Vec<SmtpAddress>,
        mut left_out: Vec<String>,
    ) -> Turn {
        if !self.has_user(members) {
            return Turn::LeftOut("none of its delegates has an account (R12)".into());
        }
        let request = Request::CreateFunctional {
            address: address.clone(),
            name: name.to_owned(),
            members: self.ids(members, &mut left_out),
            aliases: aliases.clone(),
        };
        let mut draft = Draft::new(request, left_out);
        draft.new_aliases = aliases;
        Turn::Send(draft)
    }

    /// R22, R23: other functional accounts stay members, and so do members that cannot be understood (R1).
    fn empty(&self, step: &Step, keep: &[AccountIx], left_out: Vec<String>) -> Turn {
        let Some(account) = self.account(step.target) else {
            return Turn::LeftOut(NOT_CREATED.into());
        };
        let keep = keep.iter().map(|ix| self.world.accounts.get(*ix).id());
        let mut keep: Vec<ScimId> = keep.cloned().collect();
        if let AccountView::Functional(group) = account {
            keep.extend(self.hidden_members(group).cloned());
        }
        let request = Request::SetMembers(account.id().clone(), keep);
        Turn::Send(Draft::new(request, left_out))
    }

    /// The aliases of an extension, or those that restore what was removed for a refused rename (R17).
    fn aliases<'b>(&self, extension: &'b UserExtension) -> &'b [SmtpAddress] {
        match &extension.aliases_if_refused {
            Some((rename, aliases)) if !self.succeeded(*rename) => aliases,
            Some(_) | None => &extension.aliases,
        }
    }

    fn update_user(
        &self,
        step: &Step,
        mut update: UserUpdate,
        extension: Option<UserExtension>,
        mut left_out: Vec<String>,
    ) -> Turn {
        let Some(AccountView::User(user)) = self.account(step.target) else {
            return Turn::LeftOut(NOT_CREATED.into());
        };
        let completes = matches!(step.when, When::Completes(_));
        if completes {
            update.name = update.name.filter(|name| user.name.trim() != *name);
            update.active = update.active.filter(|active| user.active != *active);
        }
        let only_extension = update.is_nothing() && !self.needs_key(step);
        let extended =
            extension.and_then(|extension| self.extend(step, user, extension, &mut left_out));
        let Some(extended) = extended else {
            return if !update.is_nothing() {
                let request = Request::UpdateUser(user.id.clone(), update);
                Turn::Send(Draft::new(request, left_out))
            } else if completes {
                Turn::NotNeeded
            } else {
                Turn::nothing(&left_out)
            };
        };
        update.extension = Some(extended.update);
        let request = Request::UpdateUser(user.id.clone(), update);
        Turn::Send(Box::new(Draft {
            new_aliases: extended.new_aliases,
            only_aliases: only_extension && extended.only_aliases,
            at_stake: extended.at_stake,
            ..*Draft::new(request, left_out)
        }))
    }

    /// The whole extension (R23), or `None` if it need not be written.
    fn extend(
        &self,
        step: &Step,
        user: &UserAccount,
        extension: UserExtension,
        left_out: &mut Vec<String>,
    ) -> Option<Extended> {
        let mut aliases: BTreeSet<SmtpAddress> = extension.aliases.into_iter().collect();
        let mut delegates: BTreeSet<SmtpAddress> = BTreeSet::new();
        for delegate in &extension.delegates {
            match self.address(delegate) {
                Some(address) => {
                    delegates.insert(address.clone());
                }
                None => left_out.push("a delegate without account".into()),
            }
        }
        let not_renamed = self.not_renamed(step, user).into_iter();
        left_out.extend(not_renamed.map(|it| {
            format!("Zivver did not confirm the new address of the delegate {it}, so the account is not written with it (R22)")
        }));
        let UserExtensionNow {
            aliases: stored,
            delegates: stored_delegates,
        } = self.extension_of(step.target, user);
        if matches!(step.when, When::Completes(_)) {
            if aliases.is_subset(&stored) && delegates.is_subset(&stored_delegates) {
                return None;
            }
            // An account that was found keeps its aliases.
            aliases.extend(stored.iter().cloned());
            delegates.extend(stored_delegates.iter().cloned());
        }
        let same_delegates = delegates == stored_delegates;
        let ties = self.ties(step);
        // What was left out, or was written by an earlier request of the same action, may have been the only
        // difference.
        let needs_key = self.needs_key(step) && !self.has_written(step.target);
        if same_delegates && aliases == stored && !needs_key {
            return None;
        }
        let at_stake = if ties {
            AtStake::Tie
        } else if stored_delegates.is_subset(&delegates) {
            AtStake::Nothing
        } else {
            AtStake::AccessRemoval
        };
        Some(Extended {
            new_aliases: aliases.difference(&stored).cloned().collect(),
            only_aliases: stored.is_subset(&aliases) && same_delegates,
            at_stake,
            update: UserExtensionUpdate {
                read: user.extension.clone(),
                aliases: aliases.into_iter().collect(),
                delegates: delegates.into_iter().collect(),
                key: extension.key,
            },
        })
    }

    fn update_functional(
        &self,
        step: &Step,
        name: Option<&str>,
        members: Option<&[Delegate]>,
        aliases: Option<Vec<SmtpAddress>>,
        mut left_out: Vec<String>,
    ) -> Turn {
        let Some(AccountView::Functional(group)) = self.account(step.target) else {
            return Turn::LeftOut(NOT_CREATED.into());
        };
        let completes = matches!(step.when, When::Completes(_));
        let stored: BTreeSet<&SmtpAddress> = group.extension.aliases.iter().collect();
        let members =
            members.and_then(|members| self.members(group, members, completes, &mut left_out));
        let mut aliases = aliases;
        if completes {
            aliases = aliases
                .filter(|aliases| aliases.iter().any(|alias| !stored.contains(alias)))
                .map(|mut aliases| {
                    aliases.extend(group.extension.aliases.iter().cloned());
                    aliases.sort();
                    aliases.dedup();
                    aliases
                });
        } else if !left_out.is_empty() {
            aliases = aliases.filter(|aliases| aliases.iter().collect::<BTreeSet<_>>() != stored);
        }
        let new_aliases: Vec<SmtpAddress> = aliases
            .iter()
            .flatten()
            .filter(|alias| !stored.contains(alias))
            .cloned()
            .collect();
        let kept = aliases
            .as_ref()
            .map(|aliases| aliases.len() - new_aliases.len());
        let update = FunctionalUpdate {
            name: name
                .filter(|name| !completes || group.name.trim() != *name)
                .map(str::to_owned),
            members,
            extension: aliases.map(|aliases| FunctionalExtensionUpdate {
                read: group.extension.clone(),
                aliases,
            }),
        };
        if update.is_nothing() {
            return Turn::nothing(&left_out);
        }
        let only_aliases =
            update.name.is_none() && update.members.is_none() && kept == Some(stored.len());
        let request = Request::UpdateFunctional(group.id.clone(), update);
        Turn::Send(Box::new(Draft {
            new_aliases,
            only_aliases,
            ..*Draft::new(request, left_out)
        }))
    }

    /// The members to write, or `None` if they stay as they are.
    fn members(
        &self,
        group: &FunctionalAccount,
        members: &[Delegate],
        completes: bool,
        left_out: &mut Vec<String>,
    ) -> Option<Vec<ScimId>> {
        let keeps_user = self.has_user(members) || self.has_hidden_user(group);
        let mut ids = self.ids(members, left_out);
        let hidden = self.hidden_members(group).filter(|id| !ids.contains(id));
        ids.extend(hidden.cloned().collect::<Vec<_>>());
        let has: BTreeSet<&ScimId> = group.members.iter().collect();
        if completes {
            if ids.iter().all(|id| has.contains(id)) {
                return None;
            }
            ids.extend(has.into_iter().filter(|id| **id != group.id).cloned());
            ids.sort();
            ids.dedup();
            return Some(ids);
        }
        if !keeps_user {
            // R12: it is not emptied if delegates are only left out. Other functional accounts do not keep it in use.
            left_out.push(
                "none of its delegates has an account, so its members stay as they are (R12)"
                    .into(),
            );
            return None;
        }
        // R22: the account itself is not sent back, and neither is a member that is in no list.
        let accounts = &self.world.accounts;
        let is_known = |id: &ScimId| accounts.lists(id) || accounts.may_be_hidden_id(id);
        let is_sent_back = |id: &&ScimId| **id != group.id && is_known(id);
        let stored: BTreeSet<&ScimId> = has.into_iter().filter(is_sent_back).collect();
        let same = ids.iter().collect::<BTreeSet<_>>() == stored;
        (left_out.is_empty() || !same).then_some(ids)
    }

    /// R1, R16: members that cannot be understood, or are not listed yet, are sent back as they are.
    fn hidden_members<'b>(
        &'b self,
        group: &'b FunctionalAccount,
    ) -> impl Iterator<Item = &'b ScimId> {
        let members = group.members.iter();
        members.filter(|id| **id != group.id && self.world.accounts.may_be_hidden_id(id))
    }

    fn has_hidden_user(&self, group: &FunctionalAccount) -> bool {
        let ix = self.world.accounts.with_id(&group.id);
        ix.is_some_and(|ix| self.world.accounts.has_hidden_member(ix))
    }
}
