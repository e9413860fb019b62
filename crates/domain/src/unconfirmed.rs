//! R45: what a quick run leaves to a full one, since it would give access that only permissions can confirm.

use super::{
    accounts::{AccountIx, AccountView},
    change::Change,
    delta::{Activity, Delta, Target},
    given::Given,
    guard::Class,
    hash::HashSet,
    mode::Depth,
    note::{Code, Note},
    plan::Proposal,
    wishes::Wishes,
    world::World,
};

/// Takes out of the deltas of a quick run what lets delegates into an account that they cannot open now, or its owner into
/// other accounts: it is suspended, or it is to go to another person. The delegates of a suspended account are not compared
/// (R22), and those of other accounts only by a full run, so they may be old.
pub(super) fn withhold(proposal: &mut Proposal, given: Given<'_>, _: &Wishes) {
    let world = given.world;
    if world.depth == Depth::Full {
        return;
    }
    let gives_access =
        |delta: &&mut Delta| delta.activity == Some(Activity::Resume) || delta.waits_for_identity();
    let mut deltas: Vec<&mut Delta> = proposal.deltas.iter_mut().filter(gives_access).collect();
    if deltas.is_empty() {
        return; // Who is a delegate of whom is looked up only where it matters.
    }
    let delegates = world.accounts.delegates();
    for delta in &mut deltas {
        if let Target::Existing(ix) = delta.target
            && let Some(why) = why_unconfirmed(ix, world, &delegates)
        {
            proposal.notes.extend(leave(delta, why, world));
        }
    }
}

fn is_identity(change: &Change) -> bool {
    change.class() == Some(Class::Identity)
}

/// Takes out of a delta what gives access. Returns the note about a resume.
fn leave(delta: &mut Delta, why: &str, world: &World) -> Option<Note> {
    if let Some(change) = delta.changes().into_iter().find(is_identity) {
        delta.take_out(&change);
        return None;
    }
    // R22: it stays inactive, so only its addresses follow the mailbox.
    delta.retain(|change| {
        !matches!(
            change,
            Change::Resume | Change::Name { .. } | Change::AddAlias(_)
        )
    });
    delta.delay_key();
    delta.reasons.retain(|reason| reason.rule != "R19");
    let address = delta.label(&world.directory);
    let text = format!("its mailbox is enabled, and its account stays suspended: {why}");
    Some(Note::new(address.as_str(), Code::ResumeLeft, text))
}

/// The access that somebody would get with the account, and that only permissions confirm.
fn why_unconfirmed(
    ix: AccountIx,
    world: &World,
    delegates: &HashSet<AccountIx>,
) -> Option<&'static str> {
    let AccountView::User(user) = world.accounts.get(ix) else {
        return None;
    };
    if !user.delegates.is_empty() {
        Some("it has delegates in Zivver, and only a full run reads whether they may still open it")
    } else if delegates.contains(&ix) {
        Some(
            "it is a delegate of other accounts in Zivver, and only a full run reads whether its owner may still open them",
        )
    } else {
        None
    }
}
