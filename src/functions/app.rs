//! What the three functions do: from an invocation to a run and to the answer that the host and the caller hear.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    Answer, ApiCall, Format, Invocation, Message, Problem, ProblemKind, Request, Response, Success,
    Trigger,
    api::{StartBody, UndoBody},
};
use crate::{
    domain::{
        address::SmtpAddress,
        mode::Trigger as StartedBy,
        report::{Report, RunOutcome, RunState},
        scope::RunScope,
    },
    engine::{Engine, RunError, RunRequest, RunSummary},
    settings::SettingsError,
    state::{Phase, RunEntry, RunId, lock::LockStatus},
};

/// The newest runs that the history shows.
const RUNS_SHOWN: usize = 100;

/// Without a success for this long, `/health` is not well: a nightly run, and two hours.
const SUCCESS_AGE_MAX: Duration = Duration::from_secs(26 * 60 * 60);

/// How long a caller should wait before looking for a queued run.
const RETRY_AFTER_S: u64 = 10;

/// The application behind the listener. Settings that cannot be used fail each call, and keep the process alive: three
/// exits would stop the host (`functions-host.md` 1.5).
#[derive(Debug, Clone)]
pub struct App {
    engine: Arc<Result<Engine, SettingsError>>,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// Why the status is not `ok`.
    problems: Vec<String>,
    last_success: Option<String>,
    last_success_age_s: Option<i64>,
    last_run: Option<RunSummary>,
    lock: String,
    state: String,
    version: &'static str,
}

#[derive(Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    perform_sync: String,
    links: std::collections::BTreeMap<&'static str, String>,
}

impl App {
    pub fn new(engine: Result<Engine, SettingsError>) -> Self {
        Self {
            engine: Arc::new(engine),
        }
    }

    pub async fn handle(&self, invocation: Invocation) -> Answer {
        let engine = match &*self.engine {
            Ok(engine) => engine,
            Err(error) => return without_settings(&invocation.trigger, error),
        };
        match invocation.trigger {
            Trigger::Timer(_) => timer(engine).await,
            Trigger::Http(request) => http(engine, &request).await,
            Trigger::Queue(message) => queue(engine, &message).await,
        }
    }
}

fn without_settings(trigger: &Trigger, error: &SettingsError) -> Answer {
    match trigger {
        Trigger::Timer(_) => Answer::Failure {
            cause: error.to_string(),
        },
        Trigger::Http(_) => {
            let problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
            let detail = "the settings cannot be used; `problems` lists what to mend";
            Response::from(Problem::new(ProblemKind::Settings, detail).with("problems", problems))
                .into()
        }
        // The run stays in state; a message that waits for settings would only go to the poison queue.
        Trigger::Queue(message) => {
            tracing::error!(run = %message.run, "cannot go on with a queued run: {error}");
            Answer::Failure {
                cause: error.to_string(),
            }
        }
    }
}

/// The schedule: goes on with what was cut off, else begins a run (R28, R34).
async fn timer(engine: &Engine) -> Answer {
    let request = match cut_off(engine).await {
        Ok(Some(request)) => request,
        Ok(None) => RunRequest::new(
            engine.settings().perform_sync.timer_mode(),
            StartedBy::Timer,
        ),
        Err(error) => {
            return Answer::Failure {
                cause: error.to_string(),
            };
        }
    };
    let request = RunRequest {
        time_budget: Some(engine.settings().time_budget),
        ..request
    };
    match engine.run(&request).await {
        Ok(report) => match report.outcome {
            RunOutcome::Failed => Answer::Failure {
                cause: report.error.unwrap_or_else(|| "the run failed".into()),
            },
            RunOutcome::Open
            | RunOutcome::InSync
            | RunOutcome::ChangesPending
            | RunOutcome::NeedsAttention => ended(&report).into(),
        },
        Err(error @ RunError::LockHeld { .. }) => {
            tracing::info!("this tick does nothing: {error}");
            Success {
                logs: vec![error.to_string()],
                ..Success::default()
            }
            .into()
        }
        Err(error) => Answer::Failure {
            cause: error.to_string(),
        },
    }
}

/// R34: the newest run that wrote and was cut off, if its message did not bring it to an end.
async fn cut_off(engine: &Engine) -> Result<Option<RunRequest>, RunError> {
    let runs: Vec<RunEntry<RunSummary>> = engine.state().await?.runs(20).await?;
    for entry in runs {
        let Some(summary) = entry.summary? else {
            continue;
        };
        if summary.phase == Phase::Open
            && summary.summary.state == RunState::Continues
            && engine
                .settings()
                .perform_sync
                .permit(summary.summary.mode)
                .is_ok()
        {
            return Ok(Some(request_of(entry.id, summary.summary)));
        }
    }
    Ok(None)
}

fn request_of(id: RunId, summary: RunSummary) -> RunRequest {
    RunRequest {
        id: Some(id),
        accounts: summary.accounts,
        approve: summary.approve,
        undo: summary.undo,
        ..RunRequest::new(summary.mode, summary.trigger)
    }
}

/// What a run that was recorded means for the host: its summary, and a message where work is left.
fn ended(report: &Report) -> Success {
    let line = report.summary_line();
    if let Some(error) = &report.error {
        tracing::error!("{line}: {error}");
    } else {
        tracing::info!(outcome = ?report.outcome, "{line}");
    }
    Success {
        response: None,
        next: next(report),
        logs: vec![line],
    }
}

fn next(report: &Report) -> Vec<Message> {
    let id = RunId::parse(&report.id).filter(|_| report.state == RunState::Continues);
    id.map(|run| Message {
        run,
        mode: report.mode,
    })
    .into_iter()
    .collect()
}

/// A queued run, or the continuation of one: waits for the lock inside the invocation, then hands itself on.
async fn queue(engine: &Engine, message: &Message) -> Answer {
    tracing::Span::current().record("run", message.run.as_str());
    let summary = match engine.summary(&message.run).await {
        Ok(Some(summary)) => summary,
        Ok(None) => {
            tracing::error!(
                "the queue names a run that state does not know; the message is dropped"
            );
            return Success::default().into();
        }
        Err(error) => {
            return Answer::Failure {
                cause: error.to_string(),
            };
        }
    };
    if summary.state == RunState::Ended {
        tracing::info!("the run has ended already; the message is a repetition");
        return Success::default().into();
    }
    let budget = engine.settings().time_budget;
    let request = RunRequest {
        time_budget: Some(budget),
        patience: budget,
        ..request_of(message.run.clone(), summary)
    };
    match engine.run_recorded(&request).await {
        Ok(report) => ended(&report).into(),
        Err(error @ RunError::LockHeld { .. }) => {
            tracing::info!("handed on: {error}");
            Success {
                next: vec![message.clone()],
                ..Success::default()
            }
            .into()
        }
        Err(error) => Answer::Failure {
            cause: error.to_string(),
        },
    }
}

async fn http(engine: &Engine, request: &Request) -> Answer {
    let call = match ApiCall::parse(request) {
        Ok(call) => call,
        Err(problem) => return Response::from(problem).into(),
    };
    let answered = match call {
        ApiCall::Start(body) => return start(engine, request, body).await,
        ApiCall::Undo { run, body } => return undo(engine, request, run, body).await,
        ApiCall::Index { .. } => Ok(index(engine, request)),
        ApiCall::Runs { .. } => runs(engine).await,
        ApiCall::Run { id, format } => run(engine, &id, format).await,
        ApiCall::Account { address, format } => account(engine, &address, format).await,
        ApiCall::Health => health(engine).await,
    };
    answered.unwrap_or_else(Response::from).into()
}

async fn start(engine: &Engine, request: &Request, body: StartBody) -> Answer {
    let accounts = match body.scope {
        RunScope::All => BTreeSet::new(),
        RunScope::Only(accounts) => accounts,
    };
    let run = RunRequest {
        accounts,
        approve: body.approve,
        ..RunRequest::new(body.mode, StartedBy::Http)
    };
    begin(engine, request, run, body.wait_s).await
}

/// R28: a start that the setting forbids is refused with the reason. With `wait` the run works in this invocation, else
/// it is queued, so that the work happens in an invocation of its own.
async fn begin(engine: &Engine, request: &Request, run: RunRequest, wait_s: u64) -> Answer {
    if let Err(error) = engine.settings().perform_sync.permit(run.mode) {
        return Response::from(Problem::new(ProblemKind::ApplyForbidden, error.to_string())).into();
    }
    if wait_s == 0 {
        return match engine.enqueue(&run).await {
            Ok(id) => Answer::Success(Success {
                response: Some(accepted(request, id.as_str(), "queued")),
                next: vec![Message {
                    run: id,
                    mode: run.mode,
                }],
                logs: Vec::new(),
            }),
            Err(error) => Response::from(problem(&error)).into(),
        };
    }
    let run = RunRequest {
        time_budget: Some(Duration::from_secs(wait_s)),
        ..run
    };
    match engine.run(&run).await {
        Ok(report) => {
            let response = match report.state {
                RunState::Continues => accepted(request, &report.id, "continues"),
                RunState::Queued | RunState::Running | RunState::Ended => {
                    Response::json(200, &report)
                }
            };
            Answer::Success(Success {
                response: Some(response),
                ..ended(&report)
            })
        }
        Err(error) => Response::from(problem(&error)).into(),
    }
}

/// R37
async fn undo(engine: &Engine, request: &Request, run: RunId, body: UndoBody) -> Answer {
    match engine.summary(&run).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            let error = RunError::UnknownRun(run.to_string());
            return Response::from(problem(&error)).into();
        }
        Err(error) => return Response::from(problem(&error)).into(),
    }
    let reverse = RunRequest {
        undo: Some(run),
        approve: body.approve,
        ..RunRequest::new(body.mode, StartedBy::Http)
    };
    begin(engine, request, reverse, body.wait_s).await
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

fn problem(error: &RunError) -> Problem {
    let kind = match error {
        RunError::Settings(_) | RunError::Setup(_) => ProblemKind::Settings,
        RunError::Forbidden(_) => ProblemKind::ApplyForbidden,
        RunError::LockHeld { .. } => ProblemKind::LockHeld,
        RunError::State(_) => ProblemKind::State,
        RunError::UnknownApproval(_) | RunError::ExpiredApproval(_) => ProblemKind::ApprovalStale,
        RunError::ApprovalInPreview => ProblemKind::ApprovalInPreview,
        RunError::UnknownRun(_) => ProblemKind::UnknownRun,
        RunError::Source(_)
        | RunError::NoMailboxes { .. }
        | RunError::SourceFilter(_)
        | RunError::Target(_)
        | RunError::Stopped(_) => ProblemKind::Internal,
    };
    Problem::new(kind, error.to_string())
}

fn index(engine: &Engine, request: &Request) -> Response {
    let link = |path: &str| format!("{}{path}", request.base);
    Response::json(
        200,
        &Index {
            name: "Cloud Sync",
            version: env!("CARGO_PKG_VERSION"),
            perform_sync: engine.settings().perform_sync.to_string(),
            links: [
                ("runs", link("/runs")),
                ("run", link("/runs/{id}")),
                ("undo", link("/runs/{id}/undo")),
                ("account", link("/accounts/{address}")),
                ("health", link("/health")),
            ]
            .into(),
        },
    )
}

async fn runs(engine: &Engine) -> Result<Response, Problem> {
    let runs = engine
        .history(RUNS_SHOWN)
        .await
        .map_err(|error| problem(&error))?;
    Ok(Response::json(200, &serde_json::json!({ "runs": runs })))
}

async fn run(engine: &Engine, id: &RunId, _format: Format) -> Result<Response, Problem> {
    let report = engine.report(id).await.map_err(|error| problem(&error))?;
    Ok(Response::json(200, &report))
}

async fn account(engine: &Engine, address: &str, format: Format) -> Result<Response, Problem> {
    let address = SmtpAddress::parse(address)
        .map_err(|error| Problem::new(ProblemKind::BadQuery, error.to_string()))?;
    let explanation = engine.explain(&address).await.map_err(|error| {
        if matches!(
            error,
            RunError::Settings(_) | RunError::Setup(_) | RunError::State(_)
        ) {
            problem(&error)
        } else {
            Problem::new(ProblemKind::State, error.to_string())
        }
    })?;
    Ok(match format {
        Format::Json => Response::json(200, &explanation),
        Format::Html | Format::Markdown | Format::Csv => {
            Response::new(200, "text/plain; charset=utf-8", explanation.to_string())
        }
    })
}

async fn health(engine: &Engine) -> Result<Response, Problem> {
    let state = engine.state().await.map_err(|error| problem(&error))?;
    let runs = engine
        .history(RUNS_SHOWN)
        .await
        .map_err(|error| problem(&error))?;
    let lock = match engine
        .lock_status()
        .await
        .map_err(|error| problem(&error))?
    {
        LockStatus::Free => "free".to_owned(),
        LockStatus::Held(holder) => format!("held by {holder}"),
    };
    let success = runs.iter().find(|run| {
        run.state == RunState::Ended && run.outcome != RunOutcome::Failed && run.ended.is_some()
    });
    let age = success
        .and_then(|run| run.ended.as_deref()?.parse::<jiff::Timestamp>().ok())
        .map(|ended| engine.time().as_second() - ended.as_second());
    let mut problems = Vec::new();
    if let Some(run) = runs.iter().find(|run| run.state == RunState::Ended)
        && let (RunOutcome::Failed, Some(error)) = (run.outcome, &run.error)
    {
        problems.push(format!("the last run failed: {error}"));
    }
    let overdue =
        age.is_some_and(|age| age > i64::try_from(SUCCESS_AGE_MAX.as_secs()).unwrap_or(i64::MAX));
    if overdue {
        problems.push("no run has succeeded for 26 hours".into());
    }
    let health = Health {
        status: if problems.is_empty() { "ok" } else { "failing" },
        last_success: success.and_then(|run| run.ended.clone()),
        last_success_age_s: age,
        last_run: runs.first().cloned(),
        lock,
        state: state.place().to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        problems,
    };
    let status = if health.problems.is_empty() { 200 } else { 503 };
    Ok(Response::json(status, &health))
}

impl From<Success> for Answer {
    fn from(success: Success) -> Self {
        Self::Success(success)
    }
}
