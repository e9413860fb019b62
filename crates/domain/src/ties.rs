//! Which account belongs to which mailbox, as later runs remember it (R16).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    directory::Party,
    hash::HashMap,
    ids::{ObjectId, ScimId},
    matching::{Matching, kind_of},
    memory::Memory,
    world::World,
};

/// R16 (a): the mapping after this run, before what it creates: every mailbox with its account, whether it is synchronised
/// or not, without the accounts whose owner is in doubt. An id that no list shows has no effect, but is forgotten only with
/// its mailbox, and not within an hour after its create: a list can lag behind a create, and without the entry the next
/// owner of the address would get the account, and nobody would know that its owner is gone. Another account that such a
/// list shows for the mailbox may be gone by now, and does not take the place of the new one.
pub(super) fn next_mapping(
    world: &World,
    matching: &Matching,
    before: &Memory,
) -> BTreeMap<ObjectId, ScimId> {
    let mut mapping = before.mapping.clone();
    let directory = &world.directory;
    let read = directory.iter().filter_map(|(ix, mailbox)| {
        let object_id = mailbox.object_id?;
        Some((matching.certain_account(ix, &object_id)?, object_id))
    });
    let rejected = directory.rejections.iter().filter_map(|mailbox| {
        let object_id = mailbox.object_id?;
        let primary = mailbox.primary.as_ref()?;
        let [account] = world.accounts.with_address(primary) else {
            return None;
        };
        let is_only = directory.with_address(primary).len() == 1
            && matching.known_object_id(*account).is_none()
            && matching.mapped(&object_id).is_none()
            && world.accounts.with_object_id(&object_id).is_empty();
        is_only.then_some((*account, object_id))
    });
    let found = read.chain(rejected);
    let found: HashMap<&ScimId, ObjectId> = found
        .map(|(account, object_id)| (world.accounts.get(account).id(), object_id))
        .collect();
    mapping.retain(|object_id, id| {
        let is_there = world.accounts.lists(id) || before.created.contains_key(id);
        (is_there || !directory.with_object_id(object_id).is_empty())
            && found.get(id).is_none_or(|owner| owner == object_id)
    });
    let is_unlisted = |object_id: &ObjectId| {
        let mapped = before.mapping.get(object_id);
        mapped.is_some_and(|id| before.created.contains_key(id) && !world.accounts.lists(id))
    };
    let found = found.into_iter();
    let found = found.filter(|(_, object_id)| !is_unlisted(object_id));
    mapping.extend(found.map(|(id, object_id)| (object_id, id.clone())));
    mapping
}

/// R16, R18: the new ties, and those in doubt so far, without a sign that mailbox and account are one person's.
pub(super) fn doubtful_ties(
    world: &World,
    matching: &Matching,
    before: &Memory,
    mapping: &BTreeMap<ObjectId, ScimId>,
) -> BTreeSet<ObjectId> {
    let is_certain = |object_id: &ObjectId| {
        let mut parties = world.directory.with_object_id(object_id).iter();
        parties.any(|party| match party {
            Party::Mailbox(ix) => matching.claimed[ix.0 as usize].is_some_and(|account| {
                let kind = kind_of(world.directory.mailbox(*ix));
                kind == Some(world.accounts.get(account).kind())
                    || world.accounts.external_object_id(account) == Some(object_id)
            }),
            Party::Rejected(_) => false,
        })
    };
    let is_open =
        |id: &ObjectId| !before.mapping.contains_key(id) || before.doubtful_ties.contains(id);
    let ids = mapping.keys().copied();
    ids.filter(|id| is_open(id) && !is_certain(id)).collect()
}
