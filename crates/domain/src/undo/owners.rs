//! Who owned the accounts that a run changed, and whether they own them still (R16, R37).

use std::collections::BTreeMap;

use crate::{
    accounts::AccountIx,
    delta::{Delta, Target},
    directory::MailboxIx,
    given::Given,
    ids::{ObjectId, ScimId},
    matching::{AccountFate, Matching},
    world::World,
};

/// The object ids of the owners of accounts. `None` for an account that nothing gave to an object id.
pub type Owners = BTreeMap<ScimId, Option<ObjectId>>;

/// The owners of the account of a delta and of its delegates: of a delegate that is removed before the run, and of one
/// that is added after it, since the run itself may give an account to another object id.
pub(crate) fn owners(delta: &Delta, world: &World, matching: &Matching) -> Owners {
    let id = |ix: AccountIx| world.accounts.get(ix).id().clone();
    let tied = |ix| matching.known_object_id(ix).copied();
    let claimed = |ix| {
        let claimant = claimant(matching, ix)?;
        world.directory.mailbox(claimant).object_id
    };
    let existing = |target: &Target| match target {
        Target::Existing(ix) => Some(*ix),
        Target::New(_) => None,
    };
    let is_handed_over = delta.waits_for_identity();
    let own = existing(&delta.target).map(|ix| (ix, is_handed_over));
    let added = delta.add_delegates.iter().filter_map(existing);
    let removed = delta.remove_delegates.iter().copied();
    let all = removed
        .map(|ix| (ix, false))
        .chain(own)
        .chain(added.map(|ix| (ix, true)));
    all.map(|(ix, is_after)| {
        let owner = if is_after {
            claimed(ix).or_else(|| tied(ix))
        } else {
            tied(ix).or_else(|| claimed(ix))
        };
        (id(ix), owner)
    })
    .collect()
}

/// States in each delta whose the account and the delegates are.
pub(crate) fn state_people(deltas: &mut [Delta], given: Given<'_>) {
    for delta in deltas {
        let Target::Existing(ix) = delta.target else {
            continue;
        };
        let own = if delta.waits_for_identity() {
            delta.owner
        } else {
            owner_of(ix, given)
        };
        delta.people = people(delta, own, given);
        if let Some(instead) = &mut delta.unless_approved {
            let tied = given.matching.known_object_id(ix).copied();
            instead.people = people(instead, tied, given);
        }
    }
}

fn people(delta: &Delta, own: Option<ObjectId>, given: Given<'_>) -> BTreeMap<AccountIx, ObjectId> {
    let existing = |target: &Target| match target {
        Target::Existing(ix) => Some(*ix),
        Target::New(_) => None,
    };
    let added = delta.add_delegates.iter().filter_map(existing);
    let delegates = added.chain(delta.remove_delegates.iter().copied());
    let delegates = delegates.filter_map(|ix| Some((ix, owner_of(ix, given)?)));
    let own = existing(&delta.target).and_then(|ix| Some((ix, own?)));
    delegates.chain(own).collect()
}

/// The object id that an account belongs to. An identity change that is not approved gives it to nobody.
pub(crate) fn owner_of(ix: AccountIx, given: Given<'_>) -> Option<ObjectId> {
    let matching = given.matching;
    let tied = matching.known_object_id(ix).copied();
    let claimed = claimant(matching, ix);
    let claimed = claimed.and_then(|ix| given.world.directory.mailbox(ix).object_id);
    if matching.frozen.contains(&ix) {
        tied.or(claimed)
    } else {
        claimed.or(tied)
    }
}

/// Why an account is not that of its owner at the time of the run. `then` is `None` if the run did not record the owner.
/// A claim counts even if it waits for an approval: what is written then is for the mailbox, its sign-in key included.
pub(super) fn of_another(
    ix: AccountIx,
    then: Option<&Option<ObjectId>>,
    given: Given<'_>,
) -> Option<&'static str> {
    let tied = given.matching.known_object_id(ix).map(|id| Some(*id));
    let claimed = claimant(given.matching, ix);
    let claimed = claimed.map(|ix| given.world.directory.mailbox(ix).object_id);
    let now = tied.or(claimed)?;
    let then = then.copied().unwrap_or(now);
    if now != then {
        Some("its account belongs to another object id now")
    } else if claimed.is_some_and(|claimed| claimed != then) {
        Some("a mailbox with another object id has the address of its account now")
    } else {
        None
    }
}

/// The mailbox that claims an account, even if only an approval would give it the account (R16, R17).
fn claimant(matching: &Matching, ix: AccountIx) -> Option<MailboxIx> {
    match matching.account(ix) {
        AccountFate::Owned(mailbox)
        | AccountFate::Evidence(mailbox)
        | AccountFate::MailboxOutsideDomains(mailbox) => Some(*mailbox),
        AccountFate::Foreign
        | AccountFate::Protected(_)
        | AccountFate::OwnedByDisabled
        | AccountFate::MergeCandidate(_)
        | AccountFate::Unowned => None,
    }
}
