//! What the guard allows and the rest of the plan makes possible. An approved change that needs a change which is held
//! or rejected counts as not approved: it stays held, or is named with what it waits for (R27).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    delta::{Delta, Target},
    given::Given,
    guard::Class,
    held::HeldChange,
    hold::{Circumstances, Guarded, approved_changes, code, guard},
    note::Code,
    plan::Plan,
    settle::{Settled, Sides, Taken, Wait, is_approval, not_by_approval, settle, to_approve_one},
    world::World,
};

/// R27: an approved change that cannot be made.
#[derive(Debug)]
pub struct Unmade {
    /// The cause, with the remedy.
    pub why: String,
    /// Held changes that must be approved with it.
    pub needs: Vec<HeldChange>,
}

/// Why an approved change was left out, before it is known what stays held.
struct Cause {
    waits: Vec<Wait>,
    /// What its note says.
    text: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) given: Given<'a>,
    /// R39: the deltas of accounts that the run does not cover.
    pub(super) outside: &'a BTreeMap<Target, Delta>,
    /// The deltas before the guard.
    pub(super) proposed: &'a BTreeMap<Target, &'a Delta>,
}

impl<'a> Asked<'a> {
    pub(super) fn sides(self, guarded: &'a Guarded) -> Sides<'a> {
        Sides {
            world: self.given.world,
            matching: self.given.matching,
            outside: self.outside,
            proposed: self.proposed,
            taken: Taken::new(
                &guarded.held,
                &guarded.rejected,
                &self.given.memory.rejections,
            ),
        }
    }

    /// What the guard allows, the possible part of it, and the approved changes that are not in it. Repeats until every
    /// approved change can be made: without one, others may not be possible either.
    pub(super) fn possible(
        self,
        deltas: &[Delta],
        circumstances: &Circumstances<'_>,
    ) -> (Guarded, Settled, BTreeMap<String, Unmade>) {
        let accounts = &self.given.world.accounts;
        let mut causes: BTreeMap<String, Cause> = BTreeMap::new();
        loop {
            let unmade = causes.keys().cloned().collect();
            let circumstances = circumstances.without(&unmade);
            let guarded = guard(
                deltas.to_vec(),
                accounts,
                self.given.policy,
                self.given.memory,
                circumstances,
            );
            let sides = self.sides(&guarded);
            let settled = settle(guarded.deltas.clone(), &sides);
            let mut lost = guarded.used.clone();
            for fingerprint in used(&settled.deltas, self.given.world, &guarded.used) {
                lost.remove(&fingerprint);
            }
            for change in guarded.held.iter().flat_map(|set| &set.changes) {
                lost.remove(&change.fingerprint);
            }
            if lost.is_empty() {
                let unmade = causes
                    .iter()
                    .map(|(it, cause)| (it.clone(), cause.explained(&sides, &unmade)));
                let unmade = unmade.collect();
                drop(sides);
                return (guarded, settled, unmade);
            }
            for fingerprint in lost {
                let cause = self.cause(&fingerprint, &guarded, &settled);
                causes.insert(fingerprint, cause);
            }
        }
    }

    fn cause(self, fingerprint: &str, guarded: &Guarded, settled: &Settled) -> Cause {
        let one = BTreeSet::from([fingerprint.to_owned()]);
        let mut deltas = guarded.deltas.iter();
        let of =
            |delta: &&Delta| !approved_changes(delta, &self.given.world.accounts, &one).is_empty();
        let Some(delta) = deltas.find(of) else {
            return Cause {
                waits: Vec::new(),
                text: None,
            };
        };
        let label = delta.label(&self.given.world.directory);
        let mut notes = settled.notes.iter();
        let note = notes.find(|note| note.address == label.as_str() && tells_why(note.code));
        let waits = settled.waits.iter();
        Cause {
            waits: waits
                .filter(|wait| wait.target == delta.target)
                .cloned()
                .collect(),
            text: note
                .map(|note| &note.text)
                .or(settled.stays.get(&delta.target))
                .cloned(),
        }
    }
}

impl Cause {
    fn explained(&self, sides: &Sides<'_>, unmade: &BTreeSet<String>) -> Unmade {
        let needs = self.waits.iter().flat_map(|wait| sides.held_for(wait));
        let needs: BTreeSet<&HeldChange> = needs.map(|(_, change)| change).collect();
        let why = sides.remedy(&self.waits, unmade).or(self.text.clone());
        Unmade {
            why: why.unwrap_or_else(|| "a change that it needs is not made".into()),
            needs: needs.into_iter().cloned().collect(),
        }
    }
}

/// Whether a note of [`settle`] says why a change is left out.
fn tells_why(code: Code) -> bool {
    matches!(
        code,
        Code::AddressTaken
            | Code::AliasTaken
            | Code::RenameBlocked
            | Code::DelegatesLeftOut
            | Code::DelegatesStay
            | Code::OutsideRun
            | Code::Waits
    )
}

/// R27: the approved changes that are in the deltas.
pub(super) fn used(
    deltas: &[Delta],
    world: &World,
    approved: &BTreeSet<String>,
) -> BTreeSet<String> {
    let used = |delta| approved_changes(delta, &world.accounts, approved);
    deltas.iter().flat_map(used).collect()
}

/// R27: adds to each held set the changes of other sets that it needs, so that its code alone is enough, and says of a
/// change why its approval would not make it. `unmade_with` returns what could not be made if a person approved these.
pub(super) fn complete(
    plan: &mut Plan,
    approved: &BTreeSet<String>,
    unmade_with: impl Fn(&BTreeSet<String>) -> BTreeMap<String, Unmade>,
) {
    let made = approved.iter().filter(|it| !plan.unmade.contains_key(*it));
    let made: BTreeSet<String> = made.cloned().collect();
    let mut codes = Vec::new();
    for set in plan.held.iter_mut().filter(|set| may_wait(set.class)) {
        let wanted = set
            .changes
            .iter()
            .map(|it| it.fingerprint.clone())
            .collect();
        let (companions, unmade) = with_companions(&wanted, &wanted, &made, &unmade_with);
        let hopeless: BTreeSet<&String> = unmade.keys().filter(|it| wanted.contains(*it)).collect();
        // A change that cannot be made anyway must not bring others with it.
        let companions = if hopeless.is_empty() || companions.is_empty() {
            companions
        } else {
            let rest = wanted.iter().filter(|it| !hopeless.contains(*it));
            let rest = rest.cloned().collect();
            with_companions(&rest, &wanted, &made, &unmade_with).0
        };
        for change in &mut set.changes {
            let why = unmade.get(&change.fingerprint).map(|it| it.why.clone());
            change.waits = why;
        }
        if !companions.is_empty() {
            set.companions = companions.into_values().collect();
            set.companions.sort();
            let code = code(set.approves());
            codes.push((std::mem::replace(&mut set.code, code.clone()), code));
        }
    }
    // The sentences that name a code were made before.
    let notes = plan.notes.iter_mut().map(|note| &mut note.text);
    let unmade = plan.unmade.values_mut().map(|it| &mut it.why);
    let held = plan.held.iter_mut().flat_map(|set| &mut set.changes);
    let waits = held.filter_map(|change| change.waits.as_mut());
    for text in notes.chain(unmade).chain(waits) {
        for (old, new) in &codes {
            if text.contains(old) {
                *text = text.replace(old, new);
            }
        }
    }
    correct_hints(plan);
}

/// Says in a note that waits for a change which cannot be made why an approval of it would not help.
fn correct_hints(plan: &mut Plan) {
    let waiting = plan.notes.iter_mut().map(|note| &mut note.text);
    let mut waiting: Vec<&mut String> = waiting.filter(|text| is_approval(text)).collect();
    if waiting.is_empty() {
        return;
    }
    for set in &plan.held {
        for change in &set.changes {
            let Some(why) = &change.waits else { continue };
            let (hint, truth) = (to_approve_one(set, change), not_by_approval(change, why));
            for text in waiting.iter_mut().filter(|text| text.contains(&hint)) {
                **text = text.replace(&hint, &truth);
            }
        }
    }
}

/// The changes of other sets that `wanted` needs, and what cannot be made even with them. `own` is the whole set.
fn with_companions(
    wanted: &BTreeSet<String>,
    own: &BTreeSet<String>,
    approved: &BTreeSet<String>,
    unmade_with: impl Fn(&BTreeSet<String>) -> BTreeMap<String, Unmade>,
) -> (BTreeMap<String, HeldChange>, BTreeMap<String, Unmade>) {
    let mut companions: BTreeMap<String, HeldChange> = BTreeMap::new();
    let mut impossible: BTreeSet<String> = BTreeSet::new();
    loop {
        let all = approved.iter().chain(wanted).chain(companions.keys());
        let unmade = unmade_with(&all.cloned().collect());
        let needs = unmade.values().flat_map(|it| &it.needs);
        let is_known = |it: &String| {
            own.contains(it) || companions.contains_key(it) || impossible.contains(it)
        };
        let new = needs.filter(|it| !is_known(&it.fingerprint));
        let new: Vec<_> = new.map(|it| (it.fingerprint.clone(), it.clone())).collect();
        if !new.is_empty() {
            companions.extend(new);
            continue;
        }
        // What cannot be made even with the others is not shown as approved with the set.
        let lost = companions.keys().filter(|it| unmade.contains_key(*it));
        let lost: Vec<String> = lost.cloned().collect();
        if lost.is_empty() {
            return (companions, unmade);
        }
        companions.retain(|it, _| !lost.contains(it));
        impossible.extend(lost);
    }
}

/// Whether another account can stand in the way of the changes of a set. A suspend and a name need nobody else.
fn may_wait(class: Class) -> bool {
    match class {
        Class::Suspend | Class::Stray | Class::NameChange => false,
        Class::Create
        | Class::Identity
        | Class::Rename
        | Class::AliasRemoval
        | Class::DelegateRemoval
        | Class::SignInKey
        | Class::Undone => true,
    }
}
