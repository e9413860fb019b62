//! R45: what a quick run leaves to a full one, since it would give access that only permissions can confirm.

use super::{
    accounts::{AccountIx, AccountView},
    change::Change,
    delta::{Activity, Delta, Target},
    guard::Class,
    mode::Depth,
    note::{Code, Note},
    world::World,
};

/// Takes out of the deltas of a quick run what lets delegates into an account that they cannot open now: it is suspended, or it
/// is to go to another person. The delegates of a suspended account are not compared (R22), so they may be old.
pub(super) fn withhold(deltas: &mut Vec<Delta>, world: &World) -> Vec<Note> {
    let mut notes = Vec::new();
    if world.depth == Depth::Full {
        return notes;
    }
    for delta in &mut *deltas {
        let Target::Existing(ix) = delta.target else {
            continue;
        };
        if !is_user_with_delegates(ix, world) {
            continue;
        }
        let identity = |change: &Change| change.class() == Some(Class::Identity);
        if let Some(change) = delta.changes().into_iter().find(identity) {
            delta.take_out(&change);
        } else if delta.activity == Some(Activity::Resume) {
            // R22: it stays inactive, so only its addresses follow the mailbox.
            delta.retain(|change| {
                !matches!(
                    change,
                    Change::Resume | Change::Name { .. } | Change::AddAlias(_)
                )
            });
            delta.reasons.retain(|reason| reason.rule != "R19");
            let mailbox = delta.mailbox.map(|ix| world.directory.mailbox(ix));
            let address = mailbox.map_or(&delta.address, |mailbox| &mailbox.primary);
            let text = "its mailbox is enabled, and its account stays suspended: it has delegates in Zivver, and only a full \
                        run reads whether they may still open it";
            notes.push(Note::new(address.as_str(), Code::ResumeLeft, text));
        }
    }
    deltas.retain(|delta| !delta.is_empty());
    notes
}

fn is_user_with_delegates(ix: AccountIx, world: &World) -> bool {
    match world.accounts.get(ix) {
        AccountView::User(user) => !user.delegates.is_empty(),
        AccountView::Functional(_) => false,
    }
}
