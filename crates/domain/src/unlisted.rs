//! Accounts that this program created and that a lagging list does not show yet (R16, R22).

use super::{
    address::SmtpAddress,
    delta::{Delta, Target},
    given::Given,
    ids::ScimId,
    memory::{Created, Memory},
    note::{Code, Note},
    plan::Proposal,
    wishes::Wishes,
    world::World,
};

/// Takes out creates for mailboxes whose account exists but is missing from the list, and for those at the address of
/// such an account. Zivver refuses a second account at the same address, but not one at another address.
pub(super) fn withhold(proposal: &mut Proposal, given: Given<'_>, _: &Wishes) {
    let Given { world, memory, .. } = given;
    let created = memory.created.iter();
    let unlisted: Vec<(&ScimId, &Created)> = created
        .filter(|(id, _)| !world.accounts.lists(id))
        .collect();
    proposal.deltas.retain(|delta| {
        let Some(why) = reason(delta, &unlisted, world, memory) else {
            return true;
        };
        let text = format!("{why}, so no second account is created");
        let address = delta.address.as_str();
        let note = Note::new(address, Code::WriteHadNoEffect, text);
        proposal.notes.push(note);
        proposal.is_waiting = true;
        false
    });
}

/// The account because of which a mailbox gets none for now, in words.
fn reason(
    delta: &Delta,
    unlisted: &[(&ScimId, &Created)],
    world: &World,
    memory: &Memory,
) -> Option<String> {
    let Target::New(mailbox) = delta.target else {
        return None;
    };
    let object_id = world.directory.mailbox(mailbox).object_id;
    let own = object_id.and_then(|id| memory.mapping.get(&id));
    let which = |is_own, address: &SmtpAddress| match (is_own, *address == delta.address) {
        (true, false) => Some(format!("its account as {address}")),
        // The refused create would find it, and take it for the account of this mailbox.
        (false, true) => Some("an account of another mailbox at this address".into()),
        (true, true) | (false, false) => None,
    };
    let accepted = unlisted.iter().find_map(|(id, created)| {
        let which = which(own == Some(*id), &created.address)?;
        Some(format!(
            "Zivver accepted {which} less than an hour ago and does not list it yet"
        ))
    });
    let unclear = || {
        world.unclear.iter().find_map(|(create, cause)| {
            let is_own = object_id.is_some() && object_id == create.object_id;
            let which = which(is_own, &create.address)?;
            Some(format!(
                "an earlier run may have created {which}, and it is not known whether it did ({cause})"
            ))
        })
    };
    accepted.or_else(unclear)
}
