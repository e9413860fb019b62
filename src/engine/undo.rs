//! Undo (R37): an ordinary run whose deltas come from the journal of an earlier one.

use super::{RunError, RunSummary, journal::read};
use crate::{
    domain::{
        plan::ActionKind,
        record::{Before, Entry, PlanRecord, PlannedAction},
        report::ActionOutcome,
        undo::{Deed, Undo},
    },
    state::{RunId, State},
};

/// What a run did, or may have done.
pub(super) async fn load(state: &State, run: &RunId) -> Result<Undo, RunError> {
    let plans = read(&state.plans::<PlanRecord>(run), &state.journal(run)).await?;
    if plans.is_empty() && state.summary::<RunSummary>(run).await?.is_none() {
        return Err(RunError::UnknownRun(run.to_string()));
    }
    let mut deeds = Vec::new();
    for (record, entries) in plans {
        for (at, planned) in record.actions.into_iter().enumerate() {
            let entry = entries.iter().find(|entry| entry.action as usize == at);
            deeds.extend(deed(planned, entry));
        }
    }
    Ok(Undo {
        run: run.to_string(),
        deeds,
    })
}

/// Where the journal is silent the run was stopped in the middle: whether it was done, Zivver shows.
fn deed(planned: PlannedAction, entry: Option<&Entry>) -> Option<Deed> {
    let created = entry.and_then(|entry| entry.created.clone());
    match entry.map(|entry| entry.outcome) {
        Some(ActionOutcome::Refused | ActionOutcome::Planned) if created.is_none() => return None,
        Some(
            ActionOutcome::Planned
            | ActionOutcome::Applied
            | ActionOutcome::Partly
            | ActionOutcome::Refused
            | ActionOutcome::Failed
            | ActionOutcome::Remaining,
        )
        | None => {}
    }
    let is_done = entry.is_some_and(|entry| entry.outcome != ActionOutcome::Failed);
    if planned.action.kind == ActionKind::Create && created.is_none() && is_done {
        return None;
    }
    let aliases_before = match planned.before {
        Some(Before::User(user)) => user.extension.aliases,
        Some(Before::Functional { account, .. }) => account.extension.aliases,
        None => Vec::new(),
    };
    Some(Deed {
        id: planned.action.id.clone().or(created),
        action: planned.action,
        object_id: planned.object_id,
        aliases_before,
        delegates: planned.delegates,
    })
}
