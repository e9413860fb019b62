//! The result of all access entries of a mailbox (R8).

use std::collections::{BTreeMap, BTreeSet};

use super::Remark;
use crate::{
    directory::{Directory, Party},
    outsider::Outsider,
};

/// The result of the entries so far.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) grantees: BTreeMap<Party, Vec<String>>,
    /// By [`Outsider::key`].
    pub(super) outsiders: BTreeMap<String, Outsider>,
    pub(super) remarks: BTreeSet<Remark>,
}

impl Gathered {
    /// The shortest path through groups is kept, and among equal ones the first (R25).
    pub(super) fn add(&mut self, party: Party, path: &[String]) {
        let via = self.grantees.entry(party).or_insert_with(|| path.to_vec());
        if (path.len(), path) < (via.len(), via) {
            *via = path.to_vec();
        }
    }

    pub(super) fn add_outsider(&mut self, outsider: Outsider, path: &[String]) {
        let path: Box<[String]> = path.into();
        let kept = self
            .outsiders
            .entry(outsider.key())
            .or_insert_with(|| Outsider {
                through: path.clone(),
                ..outsider
            });
        if (path.len(), &path) < (kept.through.len(), &kept.through) {
            kept.through = path;
        }
    }

    /// R8: a Deny removes its trustee, by whatever entry the trustee is allowed.
    pub(super) fn deny(&mut self, denied: Self, directory: &Directory) {
        self.remarks.extend(denied.remarks);
        let parties = denied.grantees.into_keys();
        let parties: Vec<_> = parties
            .filter(|party| self.grantees.remove(party).is_some())
            .map(|party| Remark::Denied(directory.label(party).into()))
            .collect();
        let outsiders = denied.outsiders.into_keys();
        let outsiders: Vec<_> = outsiders
            .filter_map(|key| self.outsiders.remove(&key))
            .map(|outsider| Remark::Denied(outsider.label))
            .collect();
        self.remarks.extend(parties.into_iter().chain(outsiders));
    }
}
