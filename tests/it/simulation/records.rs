//! Compares what the program stored with what Zivver saw: no write without a plan, no write without an outcome, and no
//! outcome without a write (R35).

use std::collections::{BTreeMap, BTreeSet};

use cloud_sync::domain::{
    plan::{Action, ActionKind, Attribute},
    record::{Entry, PlanRecord},
    report::{ActionOutcome, Report},
};

use super::{
    oracle::{Invocation, Oracle, Write},
    truth::lower,
};

/// By run: its plans, each with its outcomes.
pub(super) type Records = BTreeMap<String, Vec<(PlanRecord, Vec<Entry>)>>;

pub(super) fn check(records: &Records, oracle: &Oracle) -> Vec<String> {
    let mut found = Vec::new();
    let planned: BTreeSet<String> = records
        .values()
        .flatten()
        .flat_map(|(record, _)| &record.actions)
        .flat_map(|planned| names(&planned.action))
        .collect();
    for (at, invocation) in oracle.invocations.iter().enumerate() {
        for write in accepted(invocation) {
            if !planned.contains(&write.id) && !planned.contains(&write.address) {
                let Write { id, address, .. } = write;
                found.push(format!(
                    "invocation {at}: a write to {id} {address} is in no plan"
                ));
            }
            for attribute in unplanned(write, records) {
                let Write { id, address, .. } = write;
                found.push(format!(
                    "invocation {at}: {attribute:?} of {id} {address} was changed, and no plan says so"
                ));
            }
        }
        let record = invocation.run.as_ref().and_then(|run| records.get(run));
        if let Some(plans) = record.filter(|_| invocation.complete) {
            let wrong = complete(invocation, plans);
            found.extend(
                wrong
                    .into_iter()
                    .map(|text| format!("invocation {at}: {text}")),
            );
        }
    }
    found
}

/// The differences between the report of a run and its journal, for any number of invocations (R34, R35).
pub(super) fn untold(report: &Report, plans: &[(PlanRecord, Vec<Entry>)]) -> Vec<String> {
    let told = report.actions.iter().filter(|it| it.outcome.is_done());
    let told: BTreeSet<String> = told.flat_map(|it| names(&it.action)).collect();
    let mut done = BTreeSet::new();
    let mut wrong = Vec::new();
    for (record, entries) in plans {
        let known: BTreeMap<usize, &Entry> =
            entries.iter().map(|it| (it.action as usize, it)).collect();
        for (at, planned) in record.actions.iter().enumerate() {
            let entry = known.get(&at);
            let created = entry.and_then(|it| it.created.as_ref());
            let created = created.map(|id| id.as_str().to_owned());
            let names: BTreeSet<String> = names(&planned.action).chain(created).collect();
            match entry.map(|it| it.outcome) {
                Some(ActionOutcome::Applied | ActionOutcome::Partly) => {
                    if names.is_disjoint(&told) {
                        wrong.push(format!(
                            "the report of {} does not tell {:?} of {}, which its journal has",
                            report.id, planned.action.kind, planned.action.address
                        ));
                    }
                    done.extend(names);
                }
                // Zivver shows whether it was done.
                Some(ActionOutcome::Failed) | None => done.extend(names),
                Some(
                    ActionOutcome::Planned | ActionOutcome::Refused | ActionOutcome::Remaining,
                ) => {}
            }
        }
    }
    for action in report.actions.iter().filter(|it| it.outcome.is_done()) {
        if !names(&action.action).any(|it| done.contains(&it)) {
            wrong.push(format!(
                "the report of {} tells {:?} of {}, which its journal does not have",
                report.id, action.action.kind, action.action.address
            ));
        }
    }
    wrong
}

/// The attributes that a write changed although no plan changes them for this account.
fn unplanned(write: &Write, records: &Records) -> Vec<Attribute> {
    let actions = || {
        let planned = records.values().flatten().flat_map(|(it, _)| &it.actions);
        let actions = planned.map(|planned| &planned.action);
        actions.filter(|action| names(action).any(|it| it == write.id || it == write.address))
    };
    let is_planned = |attribute: &Attribute| {
        actions().any(|action| {
            let changes = |wanted| action.changes.iter().any(|it| it.attribute == wanted);
            changes(*attribute)
                || match attribute {
                    // R17: an alias that becomes the address is removed first.
                    Attribute::Aliases => changes(Attribute::Address),
                    Attribute::Delegates => action.kind == ActionKind::Empty,
                    Attribute::Address
                    | Attribute::Name
                    | Attribute::Active
                    | Attribute::ObjectId
                    | Attribute::SignInKey => false,
                }
                // A run that completes an account which another run created.
                || action.kind == ActionKind::Create
        })
    };
    let changed = write.changed.iter().copied();
    changed.filter(|it| !is_planned(it)).collect()
}

/// An account of an action by id and by address.
pub(super) fn names(action: &Action) -> impl Iterator<Item = String> + use<> {
    let id = action.id.as_ref().map(|id| id.as_str().to_owned());
    id.into_iter().chain([lower(action.address.as_str())])
}

fn accepted(invocation: &Invocation) -> impl Iterator<Item = &Write> {
    invocation.writes.iter().filter(|write| write.accepted)
}

/// A completed run has an outcome for each of its writes, and a write for each outcome that says that it was done.
fn complete(invocation: &Invocation, plans: &[(PlanRecord, Vec<Entry>)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let entered: BTreeSet<String> = plans
        .iter()
        .flat_map(|(record, entries)| {
            let happened = entries.iter().filter(|entry| {
                matches!(
                    entry.outcome,
                    ActionOutcome::Applied | ActionOutcome::Partly | ActionOutcome::Failed
                )
            });
            happened.flat_map(|entry| names(&record.actions[entry.action as usize].action))
        })
        .collect();
    for write in accepted(invocation) {
        if !entered.contains(&write.id) && !entered.contains(&write.address) {
            let Write { id, address, .. } = write;
            wrong.push(format!(
                "a write to {id} {address} has no outcome in the journal"
            ));
        }
    }
    if invocation.writes.is_empty() {
        return wrong;
    }
    let written: BTreeSet<&String> = accepted(invocation).map(|write| &write.id).collect();
    let last = plans.last().into_iter();
    for (record, entry) in
        last.flat_map(|(record, entries)| entries.iter().map(move |it| (record, it)))
    {
        let action = &record.actions[entry.action as usize].action;
        let visible = match action.kind {
            ActionKind::Rename | ActionKind::Resume | ActionKind::Suspend | ActionKind::Empty => {
                entry.outcome == ActionOutcome::Applied
            }
            ActionKind::Create | ActionKind::Update => false,
        };
        let id = action.id.as_ref().map(|id| id.as_str().to_owned());
        if let Some(id) = id.filter(|id| visible && !written.contains(id)) {
            wrong.push(format!(
                "the journal says that {id} was written, and it was not"
            ));
        }
    }
    wrong
}
