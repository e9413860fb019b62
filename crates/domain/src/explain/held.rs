//! What is held of one account, in a plan that read only what the account needs.

use std::collections::BTreeSet;

use super::{ALONE, HeldFact, LastRun};
use crate::{
    action::actions,
    delta::Delta,
    guard::Class,
    hold::{HeldSet, guarded_changes, guarded_fingerprints, is_approved},
    plan::{Action, Plan},
    world::{Policy, World},
};

/// The set of such a change holds only what this address shows, so no run accepts its code.
pub(super) fn held_now(
    plan: &Plan,
    is_partial: bool,
    about: &impl Fn(&str) -> bool,
) -> Vec<HeldFact> {
    let depends_on_others =
        |set: &HeldSet| is_partial && matches!(set.class, Class::Suspend | Class::DelegateRemoval);
    let reason = |set: &HeldSet| {
        if depends_on_others(set) {
            format!("{}, {ALONE}", set.reason)
        } else {
            set.reason.clone()
        }
    };
    let all = plan
        .held
        .iter()
        .flat_map(|set| set.changes.iter().map(move |change| (set, change)));
    all.filter(|(_, change)| about(change.address.as_str()))
        .map(|(set, change)| HeldFact {
            code: String::new(),
            reason: reason(set),
            change: change.clone(),
            second_person: set.second_person.clone(),
        })
        .collect()
}

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
    about: impl Fn(&str) -> bool,
) -> Vec<Action> {
    let held: BTreeSet<String> = held
        .iter()
        .map(|it| it.change.fingerprint.clone())
        .collect();
    let deltas = plan.approved.deltas().iter();
    let mut deltas: Vec<Delta> = deltas
        .filter(|delta| about(delta.address.as_str()))
        .cloned()
        .collect();
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
