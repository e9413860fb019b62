//! Accounts that this program created and that a lagging list does not show yet (R16, R22).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    address::SmtpAddress,
    delta::{Delta, Target},
    given::Given,
    ids::{ObjectId, ScimId},
    note::{Code, Note},
    plan::Proposal,
    wishes::Wishes,
    world::World,
};

/// Takes out creates for mailboxes whose account exists but is missing from the list, and what would give the address of
/// such an account to another one.
pub(super) fn withhold(proposal: &mut Proposal, given: Given<'_>, _: &Wishes) {
    let mut notes = Vec::new();
    proposal.deltas.retain_mut(|delta| {
        let Some(why) = reason(delta, given) else {
            notes.extend(leave_addresses(delta, given.world));
            return true;
        };
        let text = format!("{why}, so no second account is created");
        notes.push(Note::new(
            delta.address.as_str(),
            Code::WriteHadNoEffect,
            text,
        ));
        false
    });
    proposal.notes.extend(notes);
    let rest = silent(&proposal.notes, given);
    proposal.notes.extend(rest);
    proposal.is_waiting |= !given.world.accounts.unlisted().is_empty();
}

/// Accounts that are not listed yet cannot be compared, so those that no note names are named too: a run that says nothing
/// of them would say that they follow Exchange.
fn silent(notes: &[Note], given: Given<'_>) -> Vec<Note> {
    let Given { world, memory, .. } = given;
    let unlisted = world.accounts.unlisted();
    if unlisted.is_empty() {
        return Vec::new();
    }
    let named = notes.iter().filter(|it| it.code == Code::WriteHadNoEffect);
    let named: BTreeSet<&str> = named.map(|it| it.address.as_str()).collect();
    let owners = memory.mapping.iter();
    let owners = owners.filter(|(_, id)| unlisted.contains_key(*id));
    let owners: BTreeMap<&ScimId, &ObjectId> =
        owners.map(|(object_id, id)| (id, object_id)).collect();
    let is_named = |id: &ScimId, address: &SmtpAddress| {
        let parties = owners.get(id).map(|it| world.directory.with_object_id(it));
        let mut parties = parties.unwrap_or_default().iter();
        named.contains(address.as_str())
            || parties.any(|party| named.contains(world.directory.label(*party)))
    };
    let left = unlisted
        .iter()
        .filter(|(id, address)| !is_named(id, address));
    let text = "Zivver accepted the account less than an hour ago and does not list it yet, so nothing is changed on it";
    left.map(|(_, address)| Note::new(address.as_str(), Code::WriteHadNoEffect, text))
        .collect()
}

/// Takes out the claims on addresses of accounts that are not listed yet.
fn leave_addresses(delta: &mut Delta, world: &World) -> Vec<Note> {
    let unlisted = world.accounts.unlisted();
    if unlisted.is_empty() {
        return Vec::new();
    }
    let is_taken = |address: &SmtpAddress| unlisted.values().any(|it| it == address);
    let why =
        "Zivver accepted an account at this address less than an hour ago and does not list it yet";
    let label = delta.label(&world.directory).as_str().to_owned();
    let mut notes = Vec::new();
    if let Some(rename) = delta.rename.take_if(|rename| is_taken(&rename.to)) {
        let text = format!("{} cannot become {} yet: {why}", delta.address, rename.to);
        notes.push(Note::new(label.as_str(), Code::RenameBlocked, text));
    }
    delta.add_aliases.retain(|alias| {
        if is_taken(alias) {
            let text = format!("the alias {alias} is left out: {why}");
            notes.push(Note::new(label.as_str(), Code::AliasTaken, text));
        }
        !is_taken(alias)
    });
    notes
}

/// The account because of which a mailbox gets none for now, in words.
fn reason(delta: &Delta, given: Given<'_>) -> Option<String> {
    let Given { world, memory, .. } = given;
    let Target::New(mailbox) = delta.target else {
        return None;
    };
    let object_id = world.directory.mailbox(mailbox).object_id;
    let own = object_id.and_then(|id| memory.mapping.get(&id));
    // A refused create would find the account of another mailbox, and take it for that of this mailbox.
    let others = "an account of another mailbox at this address";
    let accepted = world.accounts.unlisted().iter().find_map(|(id, address)| {
        let which = match (own == Some(id), *address == delta.address) {
            (true, true) => "its account".to_owned(),
            (true, false) => format!("its account as {address}"),
            (false, true) => others.to_owned(),
            (false, false) => return None,
        };
        Some(format!(
            "Zivver accepted {which} less than an hour ago and does not list it yet"
        ))
    });
    let unclear = || {
        world.unclear.iter().find_map(|(create, cause)| {
            let is_own = object_id.is_some() && object_id == create.object_id;
            let which = match (is_own, create.address == delta.address) {
                (true, false) => format!("its account as {}", create.address),
                (false, true) => others.to_owned(),
                // Zivver refuses a second account at the same address, and the one that is there is its own.
                (true, true) | (false, false) => return None,
            };
            Some(format!(
                "an earlier run may have created {which}, and it is not known whether it did ({cause})"
            ))
        })
    };
    accepted.or_else(unclear)
}
