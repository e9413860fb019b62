//! What was undone and must not be done again until its source changes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Undo, touched};
use crate::{
    accounts::AccountIx,
    address::SmtpAddress,
    change::Change,
    delegation::{Delegations, Grantee},
    delta::{Delta, Target},
    directory::{MailboxIx, Party},
    hold::digest,
    ids::ScimId,
    matching::{AccountFate, MailboxFate, Matching},
    memory::{Memory, SourceState, Undone},
    source::RecipientAnswer,
    world::{Policy, World},
};

/// What the source wants for an account now, so that a later run can see whether it changed.
pub fn source_state(
    world: &World,
    policy: &Policy,
    matching: &Matching,
    ix: AccountIx,
) -> SourceState {
    let known = |text: &str| SourceState {
        mailbox: Some(text.to_owned()),
        delegations: None,
    };
    match matching.account(ix) {
        AccountFate::Owned(mailbox) | AccountFate::Evidence(mailbox) => {
            of_mailbox(world, policy, *mailbox)
        }
        AccountFate::OwnedByDisabled => known("disabled"),
        AccountFate::MergeCandidate(_) | AccountFate::Unowned => known("none"),
        AccountFate::Foreign
        | AccountFate::Protected(_)
        | AccountFate::MailboxOutsideDomains(_) => SourceState::default(),
    }
}

fn of_mailbox(world: &World, policy: &Policy, ix: MailboxIx) -> SourceState {
    let knows_aliases = world.directory.mailbox(ix).knows_aliases;
    SourceState {
        mailbox: knows_aliases.then(|| mailbox_state(world, policy, ix)),
        delegations: delegations_state(world, ix),
    }
}

/// Whether everything that decides about an account was read (R11). Only then does an unplanned change have no cause.
pub(crate) fn knows_source(world: &World, matching: &Matching, ix: AccountIx) -> bool {
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
            let id = matching.known_object_id(ix).map(ToString::to_string);
            has_answer(world.accounts.get(ix).address().as_str())
                && id.is_none_or(|id| has_answer(&id))
        }
        AccountFate::Foreign
        | AccountFate::Protected(_)
        | AccountFate::MailboxOutsideDomains(_) => false,
    }
}

fn knows_mailbox(world: &World, ix: MailboxIx) -> bool {
    let delegations = world.delegations.get(ix.0 as usize);
    world.directory.mailbox(ix).knows_aliases
        && match delegations.and_then(Option::as_ref) {
            Some(Delegations::Known(_)) | None => true,
            Some(Delegations::Unknown(_) | Delegations::Gone) => false,
        }
}

/// What the source wants for an address without an account; `None` if that is not certain.
pub(crate) fn mailbox_source(
    address: &SmtpAddress,
    world: &World,
    policy: &Policy,
    matching: &Matching,
) -> Option<SourceState> {
    match world.directory.with_address(address) {
        [] => world
            .directory
            .rejections
            .is_empty()
            .then(SourceState::default),
        [Party::Mailbox(ix)] => {
            let is_protected = matches!(matching.mailbox(*ix), MailboxFate::Protected(_));
            let is_known = !is_protected && knows_mailbox(world, *ix);
            is_known.then(|| of_mailbox(world, policy, *ix))
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
    match world.delegations.get(ix.0 as usize)?.as_ref()? {
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

/// What is still undone: its source has not changed, and its account exists.
pub fn still_undone(
    world: &World,
    policy: &Policy,
    matching: &Matching,
    memory: &Memory,
) -> BTreeMap<ScimId, Undone> {
    memory
        .undone
        .iter()
        .filter(|(id, undone)| match world.accounts.with_id(id) {
            Some(ix) => undone
                .source
                .is_like(&source_state(world, policy, matching, ix)),
            None => world.accounts.lists(id),
        })
        .map(|(id, undone)| (id.clone(), undone.clone()))
        .collect()
}

/// After an undo: the changes that it takes back must not be made again, those that it restores may.
pub fn undone_after(
    mut undone: BTreeMap<ScimId, Undone>,
    undo: &Undo,
    deltas: &[Delta],
    world: &World,
    policy: &Policy,
    matching: &Matching,
) -> BTreeMap<ScimId, Undone> {
    let touched = touched(undo, &world.accounts);
    for delta in deltas {
        let Target::Existing(ix) = delta.target else {
            continue;
        };
        let id = world.accounts.get(ix).id().clone();
        let wanted = touched.get(&id).map(|touched| &touched.address.1);
        let mut changes = undone
            .remove(&id)
            .map_or_else(BTreeSet::new, |before| before.changes);
        for change in delta.changes().iter().flat_map(Change::parts) {
            if let Some(key) = change.key(&world.accounts) {
                changes.remove(&key);
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
            changes.extend(inverse.and_then(|change| change.key(&world.accounts)));
        }
        let entry = Undone {
            run: undo.run.clone(),
            source: source_state(world, policy, matching, ix),
            changes,
        };
        undone.insert(id, entry);
    }
    undone
}
