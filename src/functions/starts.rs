//! Runs started by a caller: from the body to a request, which is queued or run immediately.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Answer, Message, Problem, ProblemKind, Request, Response, Success, api::StartBody, app::ended,
    caller::Caller,
};
use crate::{
    domain::{
        mode::Trigger as StartedBy,
        other_setting::OtherSetting,
        report::{Report, RunState},
        scope::RunScope,
    },
    engine::{Engine, PlanSource, RunError, RunRequest},
    state::RunId,
};

/// How long a caller should wait before it asks for a queued run.
const RETRY_AFTER_S: u64 = 10;

/// R28: a reviewed plan determines the accounts and the depth of the run. R37: a run that is undone must be known.
pub(super) async fn start(
    engine: &Engine,
    caller: &Caller,
    body: StartBody,
) -> Result<RunRequest, Problem> {
    let mut depth = body.depth;
    let mut accounts = match body.scope {
        RunScope::All => BTreeSet::new(),
        RunScope::Only(accounts) => accounts,
    };
    if let Some(plan) = &body.plan {
        let reviewed = engine.reviewed_plan(plan).await?;
        accounts = reviewed.accounts.into_iter().collect();
        depth = reviewed.depth;
    }
    if let Some(run) = &body.undo
        && engine.summary(run).await?.is_none()
    {
        return Err(RunError::UnknownRun(run.to_string()).into());
    }
    let settings = other_settings(engine, body.settings)?;
    Ok(RunRequest {
        depth,
        accounts,
        settings,
        approve: body.approve,
        approve_accounts: body.approve_accounts,
        undo: body.undo,
        plan: body.plan.map(PlanSource::History),
        wave: body.wave,
        started_by: Some(caller.actor.clone()),
        ..RunRequest::new(body.mode, StartedBy::Http)
    })
}

/// R46: checked here, before the preview is queued.
fn other_settings(
    engine: &Engine,
    given: Option<BTreeMap<String, String>>,
) -> Result<Vec<OtherSetting>, Problem> {
    let given = given.unwrap_or_default();
    let others = engine.settings().others(given);
    others.map_err(|error| Problem::new(ProblemKind::BadSetting, error.to_string()))
}

/// R28: refuses a start that `PERFORM_SYNC` forbids, with the reason.
pub(super) async fn enqueue(engine: &Engine, run: &RunRequest) -> Result<RunId, Problem> {
    engine
        .settings()
        .perform_sync
        .permit(run.mode)
        .map_err(|error| Problem::new(ProblemKind::ApplyForbidden, error.to_string()))?;
    engine.enqueue(run).await.map_err(Problem::from)
}

/// With `wait` the run works in this invocation. Otherwise it is queued and works in its own invocation.
pub(super) async fn begin(
    engine: &Engine,
    request: &Request,
    run: RunRequest,
    wait_s: u64,
) -> Answer {
    if wait_s == 0 {
        return match enqueue(engine, &run).await {
            Ok(id) => Answer::Success(Success {
                response: Some(accepted(request, id.as_str(), "queued")),
                next: vec![Message {
                    run: id,
                    mode: run.mode,
                }],
            }),
            Err(problem) => Response::from(problem).into(),
        };
    }
    let run = RunRequest {
        time_budget: Some(Duration::from_secs(wait_s)),
        punctual: true,
        ..run
    };
    match engine.run(&run).await {
        Ok(report) => {
            let response = match report.state {
                RunState::Continues => accepted(request, &report.id, "continues"),
                RunState::Ended if !report.unknown_accounts.is_empty() => {
                    unknown_accounts(&report).into()
                }
                RunState::Queued | RunState::Running | RunState::Ended => {
                    Response::json(200, &report)
                }
            };
            Answer::Success(Success {
                response: Some(response),
                ..ended(engine, &report)
            })
        }
        Err(error) => Response::from(Problem::from(error)).into(),
    }
}

/// R39: the problem for unknown addresses; nothing was done.
fn unknown_accounts(report: &Report) -> Problem {
    let detail = report.error.clone().unwrap_or_default();
    let accounts = report.unknown_accounts.iter().map(|unknown| {
        let nearest = unknown.nearest.iter().map(ToString::to_string);
        serde_json::json!({"address": unknown.address.as_str(), "nearest": nearest.collect::<Vec<_>>()})
    });
    Problem::new(ProblemKind::UnknownAccount, detail)
        .with("run", report.id.as_str())
        .with("unknown_accounts", accounts.collect::<Vec<_>>())
}

fn accepted(request: &Request, id: &str, state: &str) -> Response {
    let location = format!("{}/runs/{id}", request.base);
    Response::json(
        202,
        &serde_json::json!({"run": id, "state": state, "location": location}),
    )
    .with_header("Location", location)
    .with_header("Retry-After", RETRY_AFTER_S.to_string())
}
