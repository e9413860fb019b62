//! Takes out of the deltas what exceeds a limit, what is doubtful because the source has shrunk, and what a person has
//! rejected (R2, R26, R27, R47). Changes are held, not accounts: the rest of a delta is applied.

mod base;
mod fingerprints;
mod limits;
mod rejected;

use std::collections::{BTreeMap, BTreeSet};

pub use super::held::{HeldChange, HeldSet};
pub use base::Base;
pub use fingerprints::{approved_changes, guarded_fingerprints};
pub(super) use fingerprints::{code, decided, digest, hash_of, hashes, is_approved};
use fingerprints::{fingerprint, known_again};
pub use limits::guarded_changes;
use limits::{Wanted, refusal};
use rejected::Rejections;

use super::{
    accounts::Accounts,
    change::{Change, account_of, key_of},
    delta::{Delta, KeyChange, Target},
    guard::{Class, Limit},
    ids::ScimId,
    memory::{BegunRename, Memory, Undone},
    world::Policy,
};

/// Why whole classes are held whatever their limits say (R2).
#[derive(Debug, Clone, Default)]
pub struct Doubt {
    /// Every destructive change.
    pub destructive: Option<String>,
    /// Every create.
    pub creates: Option<String>,
}

impl Doubt {
    pub fn about(&self, class: Class) -> Option<&String> {
        let creates = self.creates.as_ref().filter(|_| class == Class::Create);
        let destructive = self.destructive.as_ref();
        creates.or(destructive.filter(|_| class.is_destructive()))
    }
}

/// How to decide what is held: the changes of a class that exceed its limit, or those that the run has already held.
#[derive(Debug, Clone, Copy)]
pub enum Judge<'a> {
    Limits {
        /// The state at the start of the run, with what was taken away in the 24 hours before.
        base: Base,
        doubt: &'a Doubt,
    },
    /// R36: verification.
    AsBefore(&'a Marks),
}

/// The input of the decision besides the limits.
#[derive(Debug)]
pub struct Circumstances<'a> {
    pub judge: Judge<'a>,
    /// R27: fingerprints of changes that a person approved.
    pub approved: &'a BTreeSet<String>,
    /// R27: those of them that cannot be made. They count as not approved, and their rejection has ended all the same.
    pub unmade: &'a BTreeSet<String>,
    /// Epoch seconds.
    pub now: i64,
    /// R37: what was undone and is therefore held.
    pub undone: BTreeMap<ScimId, Undone>,
    /// R22: removals that were made just now and that the lists do not show yet, by [`key_of`]. They are made again,
    /// whatever the limits say.
    pub late: &'a BTreeSet<String>,
}

impl<'a> Circumstances<'a> {
    /// The same, where these approved changes cannot be made.
    #[must_use]
    pub fn without(&self, unmade: &'a BTreeSet<String>) -> Self {
        Self {
            unmade,
            undone: self.undone.clone(),
            ..*self
        }
    }
}

/// Held changes by [`key_of`], so that they are recognised after Zivver was read again.
pub type Marks = BTreeMap<String, Mark>;

/// In which set a change is held, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub class: Class,
    pub reason: String,
}

/// R47: the rejected changes that the plan would otherwise make, by fingerprint.
pub type Met = BTreeMap<String, Target>;

/// The deltas that are applied, and what is held.
#[derive(Debug)]
pub struct Guarded {
    pub deltas: Vec<Delta>,
    pub held: Vec<HeldSet>,
    pub marks: Marks,
    /// R26: the classes that exceed their limit, with the base of the limit.
    pub exceeded: BTreeMap<Class, u32>,
    /// Fingerprints of approved changes that are in the plan (R27: each is applied once).
    pub used: BTreeSet<String>,
    /// R37: what is still undone, without what was approved.
    pub undone: BTreeMap<ScimId, Undone>,
    /// R47: what is not made because a person has rejected it.
    pub rejected: Met,
}

/// A change that counts towards a limit.
struct Unit {
    /// Position of its delta.
    at: usize,
    change: Change,
    classes: Vec<(Class, u32)>,
    state: UnitState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UnitState {
    Open,
    Approved,
    /// The rest of a rename whose account is at an intermediate address (R17), or a removal that the lists do not show
    /// yet (R22). It counts, but is not held.
    Begun,
    /// Held, or taken out with the change that it depends on.
    Out,
}

impl Unit {
    fn weight(&self, class: Class) -> u32 {
        let of_class = self.classes.iter().filter(|(of, _)| *of == class);
        of_class.map(|(_, weight)| weight).sum()
    }
}

/// R2, R26, R37: each change is carried out, or held once, in a set under its most serious class.
pub fn guard(
    deltas: Vec<Delta>,
    accounts: &Accounts,
    policy: &Policy,
    memory: &Memory,
    circumstances: Circumstances<'_>,
) -> Guarded {
    let judge = circumstances.judge;
    let rejections = Rejections::of(memory, circumstances.now);
    let mut guarding = Guarding {
        deltas,
        accounts,
        approved: circumstances.approved,
        unmade: circumstances.unmade,
        redone: BTreeSet::new(),
        begun: &memory.begun_renames,
        late: circumstances.late,
        rejections: &rejections,
        rejected: Met::new(),
        rejected_of: BTreeMap::new(),
        units: Vec::new(),
        ledger: Ledger {
            accounts,
            judge,
            held: BTreeMap::new(),
            beside: BTreeMap::new(),
            marks: Marks::new(),
        },
        exceeded: BTreeMap::new(),
        used: BTreeSet::new(),
        limits_keys: policy.limits.of(Class::SignInKey) != Limit::Off,
    };
    let Circumstances { now, undone, .. } = circumstances;
    let undone = guarding.hold_undone(undone);
    for at in 0..guarding.deltas.len() {
        guarding.list(at);
    }
    match judge {
        Judge::Limits { base, doubt } => {
            for class in Class::ALL {
                let present = base.of(class);
                // What was created since must not bring a held change within its limit (R36).
                let held_of = memory.held_of.get(&class).copied();
                let base = present.min(held_of.unwrap_or(present));
                let wanted = Wanted {
                    has_grown: base < present,
                    ..guarding.wanted(class, memory.spent_since_yesterday(class, now), base)
                };
                if let Some(reason) = refusal(class, wanted, policy, doubt) {
                    guarding.hold_class(class, &reason);
                    if doubt.about(class).is_none() {
                        guarding.exceeded.insert(class, base);
                    }
                }
            }
        }
        Judge::AsBefore(marks) => guarding.hold_marked(marks),
    }
    guarding.finish(undone)
}

struct Guarding<'a> {
    deltas: Vec<Delta>,
    accounts: &'a Accounts,
    approved: &'a BTreeSet<String>,
    unmade: &'a BTreeSet<String>,
    /// R37: what was undone and is approved, by [`key_of`].
    redone: BTreeSet<String>,
    begun: &'a BTreeMap<ScimId, BegunRename>,
    late: &'a BTreeSet<String>,
    rejections: &'a Rejections,
    rejected: Met,
    /// R47: the number of changes rejected in the last 24 hours, which count like open ones.
    rejected_of: BTreeMap<Class, u32>,
    units: Vec<Unit>,
    ledger: Ledger<'a>,
    exceeded: BTreeMap<Class, u32>,
    used: BTreeSet<String>,
    limits_keys: bool,
}

/// What is held so far.
struct Ledger<'a> {
    accounts: &'a Accounts,
    judge: Judge<'a>,
    /// By class, with the reasons for holding.
    held: BTreeMap<Class, (BTreeSet<String>, Vec<HeldChange>)>,
    /// The fingerprints of those of them that the limit of their class does not count: sign-in keys that others need, or
    /// what needs a held key.
    beside: BTreeMap<Class, BTreeSet<String>>,
    marks: Marks,
}

impl Ledger<'_> {
    /// R2: a doubt about the change itself is always part of the reason.
    fn record(&mut self, delta: &Delta, change: &Change, class: Class, reason: &str) {
        let key = mark_key(delta, change, self.accounts);
        let own = match self.judge {
            Judge::Limits { doubt, .. } => change.class().and_then(|class| doubt.about(class)),
            Judge::AsBefore(marks) => marks.get(&key).map(|mark| &mark.reason),
        };
        let (reasons, changes) = self.held.entry(class).or_default();
        reasons.insert(reason.to_owned());
        reasons.extend(own.cloned());
        changes.push(held_change(class, delta, change, self.accounts));
        let reason = own.map_or(reason, |own| own).to_owned();
        self.marks.insert(key, Mark { class, reason });
    }

    /// Records a change that is held with the others of a class, and that its limit does not count.
    fn record_beside(&mut self, delta: &Delta, change: &Change, class: Class, reason: &str) {
        self.record(delta, change, class, reason);
        let held = held_change(class, delta, change, self.accounts);
        let beside = self.beside.entry(class).or_default();
        beside.insert(held.fingerprint);
    }

    /// Why a set is held, with the number of changes that the limit in its reason does not count.
    fn reason(&self, class: Class, reasons: BTreeSet<String>) -> String {
        let beside = self.beside.get(&class).map_or(0, BTreeSet::len);
        let number = match (class, beside) {
            (_, 0) => None,
            (Class::SignInKey, 1) => Some("1 other change, which needs a sign-in key".to_owned()),
            (Class::SignInKey, _) => {
                Some(format!("{beside} other changes, which need a sign-in key"))
            }
            (_, 1) => Some("the change of 1 sign-in key, which they need".to_owned()),
            (_, _) => Some(format!(
                "the changes of {beside} sign-in keys, which they need"
            )),
        };
        let number = number.map(|it| format!("together with {it} (R27)"));
        let parts: Vec<String> = reasons.into_iter().chain(number).collect();
        parts.join("; ")
    }
}

impl Guarding<'_> {
    /// R37: takes out what a person has undone. What is approved is done again, whatever the limits of its class say,
    /// and no longer counts as undone. Returns what is still undone.
    fn hold_undone(&mut self, mut undone: BTreeMap<ScimId, Undone>) -> BTreeMap<ScimId, Undone> {
        let mut runs = BTreeSet::new();
        for at in 0..self.deltas.len() {
            let Target::Existing(ix) = self.deltas[at].target else {
                continue;
            };
            if let Some(entry) = undone.get_mut(self.accounts.get(ix).id())
                && self.hold_undone_of(at, &mut entry.changes)
            {
                runs.insert(entry.run.clone());
            }
        }
        undone.retain(|_, entry| !entry.changes.is_empty());
        if let Some((reasons, _)) = self.ledger.held.get_mut(&Class::Undone) {
            let runs: Vec<String> = runs.into_iter().collect();
            reasons.remove("");
            reasons.insert(format!(
                "made by run {} and undone since, and not done again until approved or until its cause in Exchange changes (R37)",
                runs.join(", ")
            ));
        }
        undone
    }

    /// Returns whether something of the delta is held.
    fn hold_undone_of(&mut self, at: usize, undone: &mut BTreeSet<String>) -> bool {
        // The question of who owns an account is held separately (R16), without what happens in the meantime.
        let waits = self.deltas[at].waits_for_identity();
        let mut subject = if waits {
            match &self.deltas[at].unless_approved {
                Some(instead) => Delta::clone(instead),
                None => return false,
            }
        } else {
            self.deltas[at].clone()
        };
        let mut is_held = false;
        for change in subject.changes() {
            let keys: Vec<String> = change
                .parts()
                .iter()
                .filter_map(|part| part.key(self.accounts))
                .collect();
            if !keys.iter().any(|key| undone.contains(key)) {
                continue;
            }
            let class = Some(Class::Undone);
            let known = known_again(class, &subject, &change, self.accounts, self.approved);
            let rejected = decided(&subject, &change, self.accounts, &self.rejections.all);
            let approved = self.makeable(known.clone());
            if known.is_empty() && !rejected.is_empty() {
                let met = rejected.into_iter().map(|it| (it, subject.target));
                self.rejected.extend(met);
                subject.take_out(&change);
            } else if approved.is_empty() {
                is_held = true;
                self.ledger.record(&subject, &change, Class::Undone, "");
                subject.take_out(&change);
            } else {
                self.used.extend(approved);
                self.redone
                    .insert(mark_key(&subject, &change, self.accounts));
                undone.retain(|undone| !keys.contains(undone));
            }
        }
        if waits {
            self.deltas[at].unless_approved = Some(Box::new(subject));
        } else {
            self.deltas[at] = subject;
        }
        is_held
    }

    /// R27: the approved fingerprints that count.
    fn makeable(&self, mut approved: Vec<String>) -> Vec<String> {
        approved.retain(|fingerprint| !self.unmade.contains(fingerprint));
        approved
    }

    /// Lists the changes of a delta to which a limit applies.
    fn list(&mut self, at: usize) {
        let is_key_needed = self.take_out_rejected(at);
        self.mark_approved_key(at);
        let first = self.units.len();
        let delta = &self.deltas[at];
        let begun = match delta.target {
            Target::Existing(ix) => self.begun.get(self.accounts.get(ix).id()),
            Target::New(_) => None,
        };
        for change in delta.changes() {
            let classes = change.classes();
            if classes.is_empty() {
                continue;
            }
            let mut is_approved = !self.redone.is_empty()
                && self
                    .redone
                    .contains(&mark_key(delta, &change, self.accounts));
            // An earlier invocation may have begun to repeat what was undone.
            let approved = decided(delta, &change, self.accounts, self.approved);
            let approved = self.makeable(approved);
            is_approved |= !approved.is_empty();
            self.used.extend(approved);
            let is_begun = begun.is_some_and(|begun| begun.is_completed_by(&change))
                || !self.late.is_empty()
                    && self.late.contains(&mark_key(delta, &change, self.accounts));
            self.units.push(Unit {
                at,
                change,
                classes,
                state: match (is_approved, is_begun) {
                    (true, _) => UnitState::Approved,
                    (false, true) => UnitState::Begun,
                    (false, false) => UnitState::Open,
                },
            });
        }
        let key = self.units[first..]
            .iter()
            .position(|unit| unit.change.is_sign_in_key());
        if let Some(key) = key.filter(|_| is_key_needed) {
            let reason = "the sign-in key was rejected, and other changes need it (R23, R47)";
            self.hold(first + key, Class::SignInKey, reason);
        }
    }

    /// R27: an approved key is written also if nothing else in the extension is.
    fn mark_approved_key(&mut self, at: usize) {
        let delta = &mut self.deltas[at];
        if self.approved.is_empty() || delta.key_change != Some(KeyChange::First) {
            return;
        }
        let key = delta.changes().into_iter().find(Change::is_sign_in_key);
        let is_approved = |key: &Change| is_approved(delta, key, self.accounts, self.approved);
        if key.is_some_and(|key| is_approved(&key)) {
            delta.key_change = Some(KeyChange::Approved);
        }
    }

    fn wanted(&self, class: Class, spent: u32, base: u32) -> Wanted {
        let sum = |state| {
            let units = self.units.iter().filter(|unit| unit.state == state);
            units.map(|unit| unit.weight(class)).sum()
        };
        Wanted {
            open: sum(UnitState::Open),
            approved: sum(UnitState::Approved),
            rejected: self.rejected_of.get(&class).copied().unwrap_or_default(),
            spent: spent + sum(UnitState::Begun),
            base,
            has_grown: false,
        }
    }

    /// Holds what counts in a class, each change in the set of its gravest class.
    fn hold_class(&mut self, class: Class, reason: &str) {
        let open = self.units.iter();
        let open = open.filter(|unit| unit.state == UnitState::Open && unit.weight(class) > 0);
        let (own, others): (Vec<&Unit>, Vec<&Unit>) =
            open.partition(|unit| unit.classes[0].0 == class);
        let in_others: u32 = others.iter().map(|unit| unit.weight(class)).sum();
        let own_reason = match (own.is_empty(), in_others) {
            (false, 1) => format!("{reason}; 1 of them is in another set"),
            (false, 2..) => format!("{reason}; {in_others} of them are in other sets"),
            (true, _) | (false, 0) => reason.to_owned(),
        };
        for unit in 0..self.units.len() {
            let is_open = self.units[unit].state == UnitState::Open;
            if is_open && self.units[unit].weight(class) > 0 {
                let gravest = self.units[unit].classes[0].0;
                if gravest == class {
                    self.hold(unit, gravest, &own_reason);
                } else {
                    let reason = format!("they also count in {}: {reason}", class.setting());
                    self.hold(unit, gravest, &reason);
                }
            }
        }
    }

    /// R36: holds the same changes as before, each in the same set.
    fn hold_marked(&mut self, marks: &Marks) {
        let mut next = 0;
        // If one is held, others that take its place may be added to the list.
        while next < self.units.len() {
            let unit = next;
            next += 1;
            let Unit {
                at, change, state, ..
            } = &self.units[unit];
            let mark = marks.get(&mark_key(&self.deltas[*at], change, self.accounts));
            if let Some(mark) = mark.filter(|_| *state == UnitState::Open) {
                self.hold(unit, mark.class, &mark.reason);
            }
        }
    }

    /// Holds a change under a class, with what depends on it. Removals that a held key blocks are shown with it, so
    /// that one code approves both (R27).
    fn hold(&mut self, unit: usize, class: Class, reason: &str) {
        let (at, change) = (self.units[unit].at, self.units[unit].change.clone());
        self.units[unit].state = UnitState::Out;
        let delta = &self.deltas[at];
        self.ledger.record(delta, &change, class, reason);
        let is_key = change.is_sign_in_key();
        let from = self.units[..unit].iter().rposition(|other| other.at != at);
        let first = from.map_or(0, |last| last + 1);
        let mut others = self.units[first..].iter().take_while(|it| it.at == at);
        let open_key = others.find(|it| it.change.is_sign_in_key() && it.state == UnitState::Open);
        let open_key = open_key.map(|key| key.change.clone());
        for other in first..self.units.len() {
            if self.units[other].at != at {
                break;
            }
            if other == unit || !delta.rests_on(&self.units[other].change, &change) {
                continue;
            }
            let was_in = self.units[other].state != UnitState::Out;
            self.units[other].state = UnitState::Out;
            if was_in && is_key {
                let removal = &self.units[other].change;
                self.ledger.record_beside(delta, removal, class, reason);
            }
        }
        // In the other direction: a change that is held now may be written without the key only if the key is approved
        // as well.
        if let Some(key) = open_key.filter(|_| self.limits_keys && delta.is_in_extension(&change)) {
            self.ledger.record_beside(delta, &key, class, reason);
        }
        let happens_meanwhile = change.is_whole_delta() && delta.unless_approved.is_some();
        self.deltas[at].take_out(&change);
        if happens_meanwhile {
            self.list(at);
        }
    }

    fn finish(mut self, undone: BTreeMap<ScimId, Undone>) -> Guarded {
        self.deltas.retain(|delta| !delta.is_empty());
        // First what a person has undone, then the most serious class.
        let order = std::iter::once(Class::Undone).chain(Class::ALL);
        let mut held = Vec::new();
        for class in order {
            if let Some((reasons, mut changes)) = self.ledger.held.remove(&class) {
                changes.sort();
                changes.dedup();
                held.push(HeldSet {
                    class,
                    code: code(changes.iter()),
                    reason: self.ledger.reason(class, reasons),
                    changes,
                    companions: Vec::new(),
                    rejected: Vec::new(),
                    approved: Vec::new(),
                    second_person: None,
                });
            }
        }
        Guarded {
            deltas: self.deltas,
            held,
            marks: self.ledger.marks,
            exceeded: self.exceeded,
            used: self.used,
            undone,
            rejected: self.rejected,
        }
    }
}

/// A change of a delta, as later runs recognise it.
fn mark_key(delta: &Delta, change: &Change, accounts: &Accounts) -> String {
    let key = change.key(accounts).unwrap_or_default();
    key_of(&account_of(delta, accounts), &key)
}

fn held_change(class: Class, delta: &Delta, change: &Change, accounts: &Accounts) -> HeldChange {
    let (what, before, after) = change.approval_texts(accounts);
    let undone = (class == Class::Undone).then_some(class);
    HeldChange {
        address: delta.address.clone(),
        what: what.into(),
        before,
        after,
        fingerprint: fingerprint(undone, delta, change, accounts),
        origin: None,
        waits: None,
    }
}
