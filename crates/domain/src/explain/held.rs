//! What is held of one account, in a plan that read only what the account needs.

use std::collections::BTreeSet;

use super::{HeldFact, LastRun};
use crate::{
    action::actions,
    delta::Delta,
    guard::Class,
    hold::{guarded_changes, guarded_fingerprints, is_approved},
    plan::{Action, Plan},
    world::{Policy, World},
};

/// Whether only some permissions were read. It is then unknown who else loses access.
pub(super) fn is_partial(world: &World, policy: &Policy) -> bool {
    world.directory.iter().any(|(ix, _)| {
        let read = world.delegations_of(ix);
        read.is_none() && policy.wants_permissions(&world.directory, ix)
    })
}

/// R26: whether its limits depend on permissions.
pub(super) fn counts_with_others(delta: &Delta) -> bool {
    guarded_changes(delta)
        .keys()
        .any(|class| matches!(class, Class::Suspend | Class::DelegateRemoval))
}

/// What the last run held of these changes.
pub(super) fn held_then<'a>(
    last: &'a LastRun,
    deltas: &[&Delta],
    world: &World,
) -> impl Iterator<Item = HeldFact> + use<'a> {
    let planned: BTreeSet<String> = deltas
        .iter()
        .flat_map(|delta| guarded_fingerprints(delta, &world.accounts))
        .collect();
    let all = last
        .held
        .iter()
        .flat_map(|(run, set)| set.changes.iter().map(move |change| (run, set, change)));
    all.filter(move |(.., change)| planned.contains(&change.fingerprint))
        .map(move |(run, set, change)| HeldFact {
            code: set.code.clone(),
            reason: format!("{} in run {run}", set.reason),
            change: change.clone(),
            second_person: set.second_person.clone(),
        })
}

/// The planned changes without those that the last run held.
pub(super) fn actions_without(
    held: &[HeldFact],
    plan: &Plan,
    world: &World,
    about: impl Fn(&&Delta) -> bool,
) -> Vec<Action> {
    let held: BTreeSet<String> = held
        .iter()
        .map(|it| it.change.fingerprint.clone())
        .collect();
    let deltas = plan.approved.deltas().iter();
    let mut deltas: Vec<Delta> = deltas.filter(about).cloned().collect();
    for delta in &mut deltas {
        for change in delta.changes() {
            if is_approved(delta, &change, &world.accounts, &held) {
                delta.take_out(&change);
            }
        }
    }
    deltas.retain(|delta| !delta.is_empty());
    actions(&deltas, world)
}
