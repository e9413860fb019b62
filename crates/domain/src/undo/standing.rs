//! What was undone and must not be done again until its source changes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Undo, naming::changes_of, owners::owner_of, touched};
use crate::{
    accounts::AccountIx,
    address::SmtpAddress,
    change::{Change, Matter},
    delegation::{Delegations, Grantee},
    delta::{Delta, Target},
    directory::{MailboxIx, Party},
    given::Given,
    hold::digest,
    ids::{ObjectId, ScimId},
    mailbox::MailboxKind,
    matching::{AccountFate, MailboxFate},
    memory::{SourceState, Undone},
    source::RecipientAnswer,
    world::{MailboxScope, Policy, World},
};

/// What the source wants for an account now, so that a later run can see whether it changed.
pub(crate) fn source_state(given: Given<'_>, ix: AccountIx) -> SourceState {
    let known = |text: &str| SourceState {
        mailbox: Some(text.to_owned()),
        delegations: None,
    };
    match given.matching.account(ix) {
        AccountFate::Owned(mailbox) | AccountFate::Evidence(mailbox) => of_mailbox(given, *mailbox),
        AccountFate::OwnedByDisabled => known("disabled"),
        AccountFate::MergeCandidate(_) | AccountFate::Unowned => known("none"),
        AccountFate::Foreign
        | AccountFate::Protected(_)
        | AccountFate::MailboxOutsideDomains(_) => SourceState::default(),
    }
}

fn of_mailbox(given: Given<'_>, ix: MailboxIx) -> SourceState {
    let world = given.world;
    let knows_aliases = world.directory.mailbox(ix).knows_aliases;
    SourceState {
        mailbox: knows_aliases.then(|| mailbox_state(world, given.policy, ix)),
        delegations: delegations_state(world, ix),
    }
}

/// Whether everything that decides about an account was read (R11). Only then does an unplanned change have no cause.
pub(crate) fn knows_source(given: Given<'_>, ix: AccountIx) -> bool {
    let Given {
        world, matching, ..
    } = given;
    let has_answer = |text: &str| {
        !matches!(
            world.answers.recipients.get(text),
            Some(RecipientAnswer::Failed(_) | RecipientAnswer::Ambiguous)
        )
    };
    match matching.account(ix) {
        AccountFate::Owned(mailbox) | AccountFate::Evidence(mailbox) => {
            knows_mailbox(world, *mailbox)
        }
        AccountFate::OwnedByDisabled => true,
        AccountFate::MergeCandidate(_) | AccountFate::Unowned => {
            // R19: while Exchange has the object id, only the list lacks the mailbox.
            let is_found = |id: &ObjectId| {
                let answer = world.answers.recipients.get(&id.to_string());
                matches!(answer, Some(RecipientAnswer::Found(_)))
            };
            let id = matching.known_object_id(ix);
            has_answer(world.accounts.get(ix).address().as_str())
                && id.is_none_or(|id| has_answer(&id.to_string()) && !is_found(id))
        }
        AccountFate::Foreign
        | AccountFate::Protected(_)
        | AccountFate::MailboxOutsideDomains(_) => false,
    }
}

fn knows_mailbox(world: &World, ix: MailboxIx) -> bool {
    world.directory.mailbox(ix).knows_aliases
        && match world.delegations_of(ix) {
            Some(Delegations::Known(_)) | None => true,
            Some(Delegations::Unknown(_) | Delegations::Gone) => false,
        }
}

/// What the source wants for an address without an account; `None` if that is not certain.
pub(crate) fn mailbox_source(address: &SmtpAddress, given: Given<'_>) -> Option<SourceState> {
    let world = given.world;
    match world.directory.with_address(address) {
        [] => world
            .directory
            .rejections
            .is_empty()
            .then(SourceState::default),
        [Party::Mailbox(ix)] => {
            let is_protected = matches!(given.matching.mailbox(*ix), MailboxFate::Protected(_));
            let is_known = !is_protected && knows_mailbox(world, *ix);
            is_known.then(|| of_mailbox(given, *ix))
        }
        _ => None,
    }
}

fn mailbox_state(world: &World, policy: &Policy, ix: MailboxIx) -> String {
    let mailbox = world.directory.mailbox(ix);
    let mut texts = vec![
        mailbox.primary.to_string(),
        mailbox.display_name.to_string(),
        format!("{:?}", mailbox.kind),
        format!("{:?}", policy.scope_of(&world.directory, ix)),
        format!("{:?}", mailbox.object_id),
    ];
    let aliases: BTreeSet<&str> = mailbox
        .aliases
        .iter()
        .filter(|alias| policy.claimed_domains.holds(alias))
        .map(SmtpAddress::as_str)
        .collect();
    texts.extend(aliases.into_iter().map(str::to_owned));
    digest(texts.iter().map(String::as_str))
}

fn delegations_state(world: &World, ix: MailboxIx) -> Option<String> {
    match world.delegations_of(ix)? {
        Delegations::Known(grants) => {
            let named = |party: &Party| match party {
                Party::Mailbox(ix) => world
                    .directory
                    .mailbox(*ix)
                    .object_id
                    .as_ref()
                    .map(ToString::to_string),
                Party::Rejected(_) => None,
            };
            let grantees: BTreeSet<String> = grants
                .grantees
                .iter()
                .map(|Grantee { party, .. }| {
                    named(party).unwrap_or_else(|| world.directory.label(*party).to_owned())
                })
                .collect();
            Some(digest(grantees.iter().map(String::as_str)))
        }
        Delegations::Unknown(_) | Delegations::Gone => None,
    }
}

/// What the source wants of an account in the matter of one change; `None` if that is not known (R11). Only this makes an
/// undone change one of another cause. What else changes about the mailbox does not.
fn wanted(key: &str, ix: AccountIx, given: Given<'_>) -> Option<String> {
    let matter = Matter::of(key);
    match given.matching.account(ix) {
        AccountFate::Owned(mailbox) | AccountFate::Evidence(mailbox) => {
            wanted_by(*mailbox, matter, given)
        }
        AccountFate::OwnedByDisabled => (matter == Matter::Status).then(|| "disabled".to_owned()),
        AccountFate::MergeCandidate(_) | AccountFate::Unowned => {
            knows_source(given, ix).then(|| "none".to_owned())
        }
        AccountFate::Foreign
        | AccountFate::Protected(_)
        | AccountFate::MailboxOutsideDomains(_) => None,
    }
}

fn wanted_by(ix: MailboxIx, matter: Matter<'_>, given: Given<'_>) -> Option<String> {
    let Given { world, policy, .. } = given;
    let mailbox = world.directory.mailbox(ix);
    let value = match matter {
        Matter::Status => {
            let scope = policy.scope_of(&world.directory, ix);
            let grants = if mailbox.kind == MailboxKind::Shared && scope == MailboxScope::In {
                delegations_state(world, ix)?
            } else {
                String::new()
            };
            format!("{:?} {scope:?} {grants}", mailbox.kind)
        }
        Matter::Name => mailbox
            .knows_name
            .then(|| mailbox.display_name.to_string())?,
        Matter::Address => mailbox.primary.to_string(),
        Matter::Alias(alias) => {
            let alias = SmtpAddress::verbatim(alias);
            mailbox
                .knows_aliases
                .then(|| mailbox.aliases.contains(&alias).to_string())?
        }
        Matter::Delegate(id) => wanted_delegate(ix, &ScimId::new(id), given)?,
        Matter::Other => return None,
    };
    // R16: under another object id it is the mailbox of somebody else.
    let owner = format!("{:?}", mailbox.object_id);
    Some(digest([owner.as_str(), &value].into_iter()))
}

/// The owner of a delegate's account, and whether the owner has a grant.
fn wanted_delegate(ix: MailboxIx, id: &ScimId, given: Given<'_>) -> Option<String> {
    let Given {
        world, matching, ..
    } = given;
    let Delegations::Known(grants) = world.delegations_of(ix)? else {
        return None;
    };
    let Some(delegate) = world.accounts.with_id(id) else {
        return (!world.accounts.lists(id)).then(|| "none".to_owned());
    };
    let owner = owner_of(delegate, given);
    let is_owner = |party: Party| match (owner, party) {
        (Some(owner), _) => world.directory.object_id(party) == Some(&owner),
        (None, Party::Mailbox(ix)) => matching.claimed[ix.0 as usize] == Some(delegate),
        (None, Party::Rejected(_)) => false,
    };
    let is_granted = grants.grantees.iter().any(|it| is_owner(it.party));
    Some(format!("{owner:?} {is_granted}"))
}

/// What is still undone: the source of the change is as it was, and the account exists.
pub(crate) fn still_undone(given: Given<'_>) -> BTreeMap<ScimId, Undone> {
    let accounts = &given.world.accounts;
    let undone = given.memory.undone.iter();
    let still = undone.filter_map(|(id, undone)| {
        let Some(ix) = accounts.with_id(id) else {
            return accounts.lists(id).then(|| (id, undone.clone()));
        };
        let mut still = undone.clone();
        still.changes.retain(|key| {
            let now = wanted(key, ix, given);
            match (undone.sources.get(key), &now) {
                (Some(then), Some(now)) => then == now,
                (None, _) | (_, None) => true,
            }
        });
        still.state_sources(ix, given);
        (!still.changes.is_empty()).then_some((id, still))
    });
    still.map(|(id, undone)| (id.clone(), undone)).collect()
}

impl Undone {
    /// States what the source wants of each change, where that is not stated yet.
    fn state_sources(&mut self, ix: AccountIx, given: Given<'_>) {
        let changes = &self.changes;
        self.sources.retain(|key, _| changes.contains(key));
        for key in changes {
            if !self.sources.contains_key(key)
                && let Some(now) = wanted(key, ix, given)
            {
                self.sources.insert(key.clone(), now);
            }
        }
    }
}

/// After an undo: the changes that it takes back must not be made again, those that it restores may.
pub(crate) fn undone_after(
    mut undone: BTreeMap<ScimId, Undone>,
    undo: &Undo,
    deltas: &[Delta],
    given: Given<'_>,
) -> BTreeMap<ScimId, Undone> {
    let world = given.world;
    let touched = touched(undo, &world.accounts);
    for delta in deltas {
        let Target::Existing(ix) = delta.target else {
            continue;
        };
        let restored = changes_of(delta, ix, given);
        if restored.is_empty() {
            continue;
        }
        let id = world.accounts.get(ix).id().clone();
        let wanted = touched.get(&id).map(|touched| &touched.address.1);
        let entry = undone.entry(id).or_default();
        entry.run.clone_from(&undo.run);
        for change in restored {
            if let Some(key) = change.key(&world.accounts) {
                entry.changes.remove(&key);
            }
            let inverse = match (change.inverse(), wanted) {
                // The account may not have reached the address that the run wanted for it.
                (Some(Change::Rename { from, class, .. }), Some(wanted)) => Some(Change::Rename {
                    from,
                    to: wanted.clone(),
                    class,
                }),
                (inverse, _) => inverse,
            };
            let key = inverse.and_then(|change| change.key(&world.accounts));
            if let Some(key) = key {
                entry.sources.remove(&key); // Of an earlier undo.
                entry.changes.insert(key);
            }
        }
        entry.state_sources(ix, given);
    }
    undone
}
