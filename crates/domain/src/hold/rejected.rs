//! Changes that a person rejected: they are taken out of the plan, and count like open ones (R47).

use std::collections::BTreeSet;

use super::{Guarding, approved_changes, decided};
use crate::{
    change::Change,
    delta::Delta,
    memory::{Memory, Rejection},
};

/// R47: fingerprints of rejected changes.
pub(super) struct Rejections {
    pub(super) all: BTreeSet<String>,
    /// Those that still count towards the limits.
    new: BTreeSet<String>,
}

impl Rejections {
    pub(super) fn of(memory: &Memory, now: i64) -> Self {
        let fingerprints = |is_meant: &dyn Fn(&Rejection) -> bool| -> BTreeSet<String> {
            let rejections = memory.rejections.iter().filter(|it| is_meant(it));
            rejections.map(|it| it.change.fingerprint.clone()).collect()
        };
        Self {
            all: fingerprints(&|_| true),
            new: fingerprints(&|it| it.counts(now)),
        }
    }
}

impl Guarding<'_> {
    /// R47: takes out what a person has rejected. A rejected key stays if another change with a limit needs it, and is
    /// held with that. Returns whether there is such a key.
    pub(super) fn take_out_rejected(&mut self, at: usize) -> bool {
        if self.rejections.all.is_empty() {
            return false;
        }
        if self.has_rejected_member(at) {
            self.deltas[at].activity = None;
        }
        loop {
            let delta = &self.deltas[at];
            let changes = delta.changes();
            let rejected: Vec<(&Change, Vec<String>)> = changes
                .iter()
                .map(|change| (change, self.rejected(delta, change)))
                .filter(|(_, rejected)| !rejected.is_empty())
                .collect();
            let is_needed = |key: &Change| {
                key.is_sign_in_key()
                    && changes.iter().any(|other| {
                        let is_guarded = other.class().is_some() && other != key;
                        let is_rejected = || rejected.iter().any(|(it, _)| *it == other);
                        is_guarded && delta.rests_on(other, key) && !is_rejected()
                    })
            };
            let met = rejected.iter().flat_map(|(_, rejected)| rejected);
            let met = met.map(|it| (it.clone(), delta.target));
            self.rejected.extend(met);
            let is_key_needed = rejected.iter().any(|(change, _)| is_needed(change));
            let Some((change, of)) = rejected.iter().find(|(change, _)| !is_needed(change)) else {
                return is_key_needed;
            };
            if of.iter().any(|it| self.rejections.new.contains(it)) {
                for (class, weight) in change.classes() {
                    *self.rejected_of.entry(class).or_default() += weight;
                }
            }
            let change = Change::clone(change);
            self.deltas[at].take_out(&change);
        }
    }

    /// R47: whether an account is emptied because its mailbox has no delegate left (R12), and a person has rejected one
    /// of the removals.
    fn has_rejected_member(&self, at: usize) -> bool {
        let delta = &self.deltas[at];
        let has_mailbox = delta.reasons.iter().any(|reason| reason.rule == "R12");
        if !has_mailbox || !delta.is_empty_of_members() {
            return false;
        }
        let mut removals = delta.remove_delegates.iter();
        removals.any(|it| {
            !self
                .rejected(delta, &Change::RemoveDelegate(*it))
                .is_empty()
        }) && approved_changes(delta, self.accounts, self.approved).is_empty()
    }

    /// R47: the fingerprints under which a change is rejected, also one that no longer counts as undone (R37). Empty if
    /// the change is approved, since the approval is newer.
    fn rejected(&self, delta: &Delta, change: &Change) -> Vec<String> {
        let known = |fingerprints| decided(delta, change, self.accounts, fingerprints);
        if known(self.approved).is_empty() {
            known(&self.rejections.all)
        } else {
            Vec::new()
        }
    }
}
