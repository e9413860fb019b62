//! What a run did where its journal has no outcome, if later runs planned changes of the same accounts (R35).

use std::collections::BTreeSet;

use super::{Entry, PlanRecord};
use crate::{
    accounts::{AccountView, Accounts},
    action::ActionOutcome,
    directory::to_u32,
};

/// The accounts before the plans of some runs, the oldest first: each account as the first of them read it.
pub fn accounts_before(plans: &[(PlanRecord, Vec<Entry>)], accounts: &Accounts) -> Accounts {
    let mut created = BTreeSet::new();
    let mut before: Vec<AccountView<'_>> = Vec::new();
    // Of several versions of an account, `with` takes the last.
    for (record, entries) in plans.iter().rev() {
        for (at, planned) in record.actions.iter().enumerate() {
            match &planned.before {
                Some(then) => before.push(then.view()),
                None => created.extend(planned.created_in(last(entries, at), accounts)),
            }
        }
    }
    let mut then = accounts.with(before.into_iter()).actual().clone();
    then.users.retain(|user| !created.contains(&user.id));
    then.groups.retain(|group| !created.contains(&group.id));
    Accounts::new(then)
}

impl PlanRecord {
    /// Whether the journal has an outcome of each action.
    pub fn is_told(&self, entries: &[Entry]) -> bool {
        (0..self.actions.len()).all(|at| last(entries, at).is_some_and(is_told))
    }

    /// An outcome for each action of which the journal has none, as `accounts` show it.
    pub fn shown_by(&self, entries: &[Entry], accounts: &Accounts) -> Vec<Entry> {
        let actions = self.actions.iter().enumerate();
        let entry = |(at, planned): (usize, &super::PlannedAction)| {
            let known = last(entries, at);
            if known.is_some_and(is_told) {
                return None;
            }
            let made = planned.made_in(known, accounts);
            let (outcome, left, created) = match made {
                Some((shown, created)) => (shown.outcome, shown.left, created),
                None => (ActionOutcome::Remaining, Vec::new(), None),
            };
            Some(Entry {
                action: to_u32(at),
                outcome,
                created,
                at: None,
                problems: known.map_or_else(Vec::new, |it| it.problems.clone()),
                left,
            })
        };
        actions.filter_map(entry).collect()
    }
}

/// Zivver did not answer a request of an action that failed.
fn is_told(entry: &Entry) -> bool {
    entry.outcome != ActionOutcome::Failed
}

/// The last outcome of an action is the one that counts.
pub fn last(entries: &[Entry], action: usize) -> Option<&Entry> {
    entries
        .iter()
        .rfind(|entry| entry.action as usize == action)
}
