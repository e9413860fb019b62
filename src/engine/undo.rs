//! Undo (R37): an ordinary run whose deltas come from the journal of an earlier one.

use super::{
    RunError, RunSummary,
    history::{Past, RUNS_ENOUGH, Records},
    journal::read,
};
use crate::{
    domain::{
        mode::Mode,
        plan::ActionKind,
        record::{Before, Entry, PlanRecord, PlannedAction, last},
        report::{ActionOutcome, RunOutcome, RunState},
        undo::{Deed, Undo},
    },
    state::{RunId, State, StateError},
};

/// Reads what a run did, or may have done, from its journal.
pub(super) async fn load(state: &State, run: &RunId) -> Result<Undo, RunError> {
    let no_record = |cause: String| RunError::NoRecord {
        run: run.clone(),
        cause,
    };
    let plans = match read(&state.plans::<PlanRecord>(run), &state.journal(run)).await {
        Err(StateError::Unreadable {
            object, problem, ..
        }) => return Err(no_record(format!("{object} is unreadable: {problem}"))),
        read => read?,
    };
    let summary = state.summary::<RunSummary>(run).await?;
    let summary = summary.map(|summary| summary.summary);
    if plans.is_empty() && summary.is_none() {
        return Err(RunError::UnknownRun(run.to_string()));
    }
    if let Some(lost) = summary.and_then(|summary| lost(&summary, &plans)) {
        return Err(no_record(format!("its {lost} is missing")));
    }
    Ok(of(run, plans))
}

/// A warning if the run is an undo itself: a person who wants to undo the rest of the first run must name that one.
pub(super) async fn takes_back_an_undo(
    state: &State,
    run: &RunId,
) -> Result<Option<String>, RunError> {
    let summary = state.summary::<RunSummary>(run).await?;
    let Some(RunSummary {
        undo: Some(first),
        outcome,
        ..
    }) = summary.map(|summary| summary.summary)
    else {
        return Ok(None);
    };
    let rest = match outcome {
        RunOutcome::Open | RunOutcome::Stopped | RunOutcome::Failed => {
            format!("; to undo the rest of that run instead: cloud-sync undo {first} --apply")
        }
        RunOutcome::InSync
        | RunOutcome::Done
        | RunOutcome::ChangesPending
        | RunOutcome::NeedsAttention => String::new(),
    };
    Ok(Some(format!(
        "run {run} is the undo of run {first}: to take it back makes the changes of run {first} again{rest} (R37)"
    )))
}

/// A warning if another run than `id` has undone the run.
pub(super) async fn undone_before(
    records: &Records<'_>,
    run: &RunId,
    id: &RunId,
) -> Result<Option<String>, RunError> {
    let mut past = records.past(RUNS_ENOUGH).await?.runs.into_iter();
    let is_undo = |past: &Past| {
        let summary = &past.run;
        let has_undone = summary.mode == Mode::Apply && summary.outcome == RunOutcome::Done;
        has_undone && summary.counts.may_have_written() && summary.undo.as_ref() == Some(run)
    };
    let undo = past.find(|past| past.id != *id && is_undo(past));
    Ok(undo.map(|undo| {
        format!(
            "run {run} was undone by run {}: only what was changed again since could be undone (R37)",
            undo.id
        )
    }))
}

/// The undo of a run with these plans.
pub(super) fn of(run: &RunId, plans: Vec<(PlanRecord, Vec<Entry>)>) -> Undo {
    let mut deeds = Vec::new();
    for (record, entries) in plans {
        for (at, planned) in record.actions.into_iter().enumerate() {
            deeds.extend(deed(planned, last(&entries, at)));
        }
    }
    Undo {
        run: run.to_string(),
        deeds,
    }
}

/// What the state lacks about a run whose report says that it wrote; `None` if nothing is missing.
fn lost(run: &RunSummary, plans: &[(PlanRecord, Vec<Entry>)]) -> Option<&'static str> {
    let has_written = run.state == RunState::Ended && run.may_have_written();
    let has_entries = || plans.iter().any(|(_, entries)| !entries.is_empty());
    match run.outcome {
        _ if !has_written => None,
        _ if plans.is_empty() => Some("plan"),
        // For these runs, what Zivver shows may be the only record.
        RunOutcome::Failed | RunOutcome::Open => None,
        RunOutcome::InSync
        | RunOutcome::Done
        | RunOutcome::ChangesPending
        | RunOutcome::NeedsAttention
        | RunOutcome::Stopped => (!has_entries()).then_some("journal"),
    }
}

/// If the journal has no entry, the run was interrupted: only Zivver shows whether the action was made.
fn deed(planned: PlannedAction, entry: Option<&Entry>) -> Option<Deed> {
    let created = entry.and_then(|entry| entry.created.clone());
    match entry.map(|entry| entry.outcome) {
        Some(ActionOutcome::Refused | ActionOutcome::Planned | ActionOutcome::Remaining)
            if created.is_none() =>
        {
            return None;
        }
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
        owners: planned.owners,
        begun: planned.begun,
    })
}
