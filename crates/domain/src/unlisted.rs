//! Accounts that this program created and that a lagging list does not show yet (R16, R22).

use super::{
    delta::{Delta, Target},
    memory::{Created, Memory},
    note::{Code, Note},
    world::World,
};

/// Takes out creates for mailboxes whose account exists but is missing from the list. Zivver refuses a second account
/// at the same address, but not one at another address.
pub(super) fn withhold(deltas: &mut Vec<Delta>, world: &World, memory: &Memory) -> Vec<Note> {
    let mut notes = Vec::new();
    deltas.retain(|delta| {
        let created = unlisted(delta, world, memory);
        let Some(created) = created.filter(|it| it.address != delta.address) else {
            return true;
        };
        let text = format!(
            "Zivver accepted its account as {} less than an hour ago and does not list it yet, so no second account is created",
            created.address
        );
        let address = delta.address.as_str();
        notes.push(Note::new(address, Code::WriteHadNoEffect, text));
        false
    });
    notes
}

/// The account of a mailbox that is to get one.
fn unlisted<'a>(delta: &Delta, world: &World, memory: &'a Memory) -> Option<&'a Created> {
    let Target::New(mailbox) = delta.target else {
        return None;
    };
    let object_id = world.directory.mailbox(mailbox).object_id?;
    let id = memory.mapping.get(&object_id)?;
    memory.created.get(id).filter(|_| !world.accounts.lists(id))
}
