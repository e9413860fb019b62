//! What the invocations of one run did (R34).

use std::collections::BTreeMap;

use super::{Entry, PlanRecord, Shown};
use crate::{
    accounts::AccountKind,
    action::{Action, ActionOutcome, ActionReport},
    address::SmtpAddress,
    ids::ScimId,
    world::World,
};

/// What the invocations of a run did: one action for each account (R34).
#[derive(Debug, Clone, Default)]
pub struct Deeds {
    actions: Vec<ActionReport>,
    by_id: BTreeMap<ScimId, usize>,
    /// Creations of accounts whose id is not known.
    without_id: BTreeMap<(AccountKind, SmtpAddress), usize>,
}

impl Deeds {
    /// What earlier invocations did, and what Zivver refused. What they left is planned again while it differs. Without
    /// a `world` only the journal is used.
    pub fn of(plans: &[(PlanRecord, Vec<Entry>)], world: Option<&World>) -> Self {
        let mut deeds = Self::default();
        for (record, entries) in plans {
            let shown = record.shown(entries, world);
            let by_action = entries.iter().map(|entry| (entry.action as usize, entry));
            let by_action: BTreeMap<usize, &Entry> = by_action.collect();
            for (at, (planned, shown)) in record.actions.iter().zip(shown).enumerate() {
                let is_told =
                    |it: &Shown| it.outcome.is_done() || it.outcome == ActionOutcome::Refused;
                let Some(Shown { outcome, left }) = shown.filter(is_told) else {
                    continue;
                };
                let entry = by_action.get(&at).copied();
                let created = match world {
                    Some(world) => planned.created_in(entry, &world.accounts),
                    None => entry.and_then(|entry| entry.created.clone()),
                };
                let report = ActionReport {
                    action: planned.action.clone(),
                    outcome,
                    problems: entry.map_or_else(Vec::new, |entry| entry.problems.clone()),
                    left,
                };
                deeds.add(planned.action.id.clone().or(created), report);
            }
        }
        deeds
    }

    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The actions that were made.
    pub fn made(&self) -> impl Iterator<Item = &Action> {
        let made = self.actions.iter().filter(|it| it.outcome.is_done());
        made.map(|report| &report.action)
    }

    /// Adds the actions of the last invocation. Sorted by address.
    pub fn followed_by(mut self, actions: Vec<ActionReport>) -> Vec<ActionReport> {
        if self.actions.is_empty() {
            return actions;
        }
        for report in actions {
            self.add(report.action.id.clone(), report);
        }
        let address = |report: &ActionReport| report.action.address.clone();
        self.actions.sort_by_cached_key(address);
        self.actions
    }

    fn add(&mut self, account: Option<ScimId>, report: ActionReport) {
        let name = (report.action.account, report.action.address.clone());
        let known = account.as_ref().and_then(|id| self.by_id.get(id));
        let known = known.or_else(|| self.without_id.get(&name)).copied();
        let at = known.unwrap_or(self.actions.len());
        match self.actions.get_mut(at) {
            Some(earlier) => earlier.followed_by(report),
            None => self.actions.push(report),
        }
        match account {
            Some(id) => {
                self.without_id.remove(&name);
                self.by_id.insert(id, at);
            }
            None => {
                self.without_id.insert(name, at);
            }
        }
    }
}
