//! The three functions: from an invocation to a run, and to the answers for the host and the caller.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    Answer, ApiCall, Format, Invocation, Message, Problem, ProblemKind, Request, Response, Success,
    Trigger,
    access::access,
    caller::Caller,
    dashboard::{Dashboard, Ways},
    form::{self, FormKey},
    starts::{begin, enqueue, start},
    tick::{Try, timer_invocation},
    views,
};
use crate::{
    domain::{
        actor::Actor,
        address::SmtpAddress,
        health::Run,
        mode::Trigger as StartedBy,
        report::{Report, RunOutcome, RunState},
    },
    engine::{Decision, Engine, PlanSource, RunError, RunRequest, RunSummary, check::Checkup},
    settings::SettingsError,
    state::RunId,
};

/// How many runs the history shows.
const RUNS_SHOWN: usize = 100;

/// Delay of the answer to a failed message; the 30 s of `visibilityTimeout` in `host.json` follow.
const ANSWERED_AFTER: Duration = Duration::from_secs(3 * 60 + 30);

/// The application behind the listener. With invalid settings each call fails, but the process keeps running: three
/// exits would stop the host (`docs/specs/functions-host.md`, "1.5 Exit codes and restarts").
#[derive(Debug, Clone)]
pub struct App {
    engine: Arc<Result<Engine, SettingsError>>,
}

/// The cause of a failed invocation, and whether the next try would fail too.
pub(super) struct InvocationFailure {
    pub(super) cause: String,
    pub(super) is_final: bool,
}

impl InvocationFailure {
    pub(super) fn of(report: &Report) -> Self {
        let cause = report.error.clone();
        Self {
            cause: cause.unwrap_or_else(|| "the run failed".into()),
            is_final: report.is_final,
        }
    }
}

impl From<RunError> for InvocationFailure {
    fn from(error: RunError) -> Self {
        Self {
            cause: error.to_string(),
            is_final: error.is_final(),
        }
    }
}

#[derive(Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    perform_sync: String,
    links: BTreeMap<&'static str, String>,
    /// URI templates with parameters in braces (RFC 6570).
    templates: BTreeMap<&'static str, String>,
}

impl App {
    pub fn new(engine: Result<Engine, SettingsError>) -> Self {
        Self {
            engine: Arc::new(engine),
        }
    }

    pub async fn handle(&self, invocation: Invocation) -> Answer {
        match (&*self.engine, &invocation.trigger) {
            (engine, Trigger::Timer(timer)) => {
                let this = Try {
                    tick: &invocation.id,
                    is_first: timer.retry_count == 0,
                };
                Box::pin(timer_invocation(engine.as_ref(), this)).await
            }
            (Ok(engine), Trigger::Http(request)) => Box::pin(http(engine, request)).await,
            (Err(error), Trigger::Http(request)) => call_without_settings(request, error),
            (Ok(engine), Trigger::Queue(message)) => Box::pin(queue(engine, message)).await,
            // The run stays in state. To wait here for valid settings would only move the message to the poison queue.
            (Err(error), Trigger::Queue(message)) => {
                tracing::error!(run = %message.run, "cannot continue a queued run: {error}");
                Answer::Failure {
                    cause: error.to_string(),
                }
            }
        }
    }
}

fn call_without_settings(request: &Request, error: &SettingsError) -> Answer {
    if Format::is_for_browser(request) {
        let checkup = Checkup::of_settings(error);
        return views::checkup(503, &checkup, Format::Html, &request.base).into();
    }
    let problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    let detail = "the settings cannot be used; `problems` lists what to correct";
    Response::from(Problem::new(ProblemKind::Settings, detail).with("problems", problems)).into()
}

pub(super) fn request_of(id: RunId, summary: RunSummary) -> RunRequest {
    RunRequest {
        id: Some(id),
        depth: summary.depth,
        started_by: summary.started_by,
        accounts: summary.accounts,
        approve: summary.approve,
        approve_accounts: summary.approve_accounts,
        undo: summary.undo,
        plan: summary.applies.map(PlanSource::History),
        tick: summary.tick,
        wave: summary.wave,
        settings: summary.settings,
        ..RunRequest::new(summary.mode, summary.trigger)
    }
}

/// Logs the result of a run, and returns a queue message if the run continues.
pub(super) fn ended(engine: &Engine, report: &Report) -> Success {
    let line = report.summary_line();
    let unknown = report.unknown_accounts.len();
    if unknown > 0 {
        // The error contains addresses, so it is not logged.
        tracing::warn!(
            "{line}: no mailbox and no account has {unknown} of the named addresses (R39)"
        );
    } else if let Some(error) = &report.error {
        tracing::error!("{line}: {error}");
    } else {
        // R28: the alert on missing successes reads these fields of the log line.
        let run = Run::from(report);
        let setting = engine.settings().perform_sync;
        let (success, fresh) = (run.is_success(setting), run.is_fresh(setting));
        let complete = run.saw_everybody();
        tracing::info!(outcome = ?report.outcome, success, fresh, complete, "{line}");
    }
    Success {
        response: None,
        next: next(report),
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

/// Runs or continues a queued run. The host delivers a message five times. A failure that may be temporary is answered
/// with a delay, so that the deliveries span an outage of 15 minutes.
async fn queue(engine: &Engine, message: &Message) -> Answer {
    let began = Instant::now();
    match delivered(engine, message).await {
        Ok(success) => success.into(),
        Err(InvocationFailure { cause, is_final }) => {
            let left = engine
                .settings()
                .time_budget
                .saturating_sub(began.elapsed());
            if !is_final {
                engine.pause(left.min(ANSWERED_AFTER)).await;
            }
            Answer::Failure { cause }
        }
    }
}

/// Waits for the lock within the invocation. If the lock is still held, returns the message to the queue.
async fn delivered(engine: &Engine, message: &Message) -> Result<Success, InvocationFailure> {
    tracing::Span::current().record("run", message.run.as_str());
    let Some(summary) = engine.summary(&message.run).await? else {
        tracing::error!("the queue names a run that state does not know; the message is dropped");
        return Ok(Success::default());
    };
    if summary.state == RunState::Ended && !summary.is_tried_again() {
        tracing::info!("the run has ended already; the message is a repetition");
        return Ok(Success::default());
    }
    let budget = engine.settings().time_budget;
    let request = RunRequest {
        time_budget: Some(budget),
        // The other half of the budget remains for work.
        patience: budget / 2,
        ..request_of(message.run.clone(), summary)
    };
    match engine.run_recorded(&request).await {
        // The failure makes the host deliver the message again, since no person restarts a run of the schedule.
        Ok(report)
            if report.trigger == StartedBy::Timer
                && report.outcome == RunOutcome::Failed
                && !report.is_final =>
        {
            Err(InvocationFailure::of(&report))
        }
        Ok(report) => Ok(ended(engine, &report)),
        Err(error @ RunError::LockHeld { .. }) => {
            tracing::info!("the message is handed to the queue again: {error}");
            Ok(Success {
                next: vec![message.clone()],
                ..Success::default()
            })
        }
        Err(error) => Err(error.into()),
    }
}

async fn http(engine: &Engine, request: &Request) -> Answer {
    if let Err(problem) = form::refuse_other_sites(request) {
        return Response::from(problem).into();
    }
    let caller = Caller::of(request, engine.settings());
    if form::is_form(request) {
        return posted_form(engine, &caller, request).await;
    }
    let call = ApiCall::parse(request).and_then(|call| caller.permit(&call).map(|()| call));
    let call = match call {
        Ok(call) => call,
        Err(problem) => return refused(problem, request).into(),
    };
    let answered = match call {
        ApiCall::Start(body) => {
            let wait_s = body.wait_s;
            return match start(engine, &caller, body).await {
                Ok(run) => begin(engine, request, run, wait_s).await,
                Err(problem) => Response::from(problem).into(),
            };
        }
        ApiCall::Index {
            format: Format::Html,
        } => match request.query.get("account") {
            Some(address) => account(engine, address, Format::Html, false, &request.base).await,
            None => dashboard(engine, &caller, &request.base).await,
        },
        ApiCall::Index { .. } => Ok(index(engine, request)),
        ApiCall::Runs { format } => runs(engine, format, &request.base).await,
        ApiCall::Run { id, format } => run(engine, &caller, &id, format, &request.base).await,
        ApiCall::Stop { run } => stop(engine, &caller, &run).await,
        ApiCall::Rejections { format } => rejections(engine, &caller, format, &request.base).await,
        ApiCall::Reject(decision) => reject(engine, &caller, &decision).await,
        ApiCall::Account {
            address,
            format,
            live,
        } => account(engine, &address, format, live, &request.base).await,
        ApiCall::Access(query) => access(engine, &query, &request.base).await,
        ApiCall::Health => answer_health(engine).await,
        ApiCall::Check { format } => {
            let checkup = Box::pin(engine.check()).await;
            Ok(views::checkup(200, &checkup, format, &request.base))
        }
    };
    answered
        .unwrap_or_else(|problem| refused(problem, request))
        .into()
}

/// The problem in the format that the caller reads.
fn refused(problem: Problem, request: &Request) -> Response {
    if Format::is_for_browser(request) {
        views::refused(problem, &request.base)
    } else {
        problem.into()
    }
}

/// A form of the dashboard: a run is always queued, and the answer is a page.
async fn posted_form(engine: &Engine, caller: &Caller, request: &Request) -> Answer {
    match done_by_form(engine, caller, request).await {
        Ok(success) => success.into(),
        Err(problem) => views::refused(problem, &request.base).into(),
    }
}

async fn done_by_form(
    engine: &Engine,
    caller: &Caller,
    request: &Request,
) -> Result<Success, Problem> {
    let key = form_key(engine).await?;
    let request = form::to_json(request, &key, engine.time().as_second())?;
    let call = ApiCall::parse(&request)?;
    caller.permit(&call)?;
    let run = match call {
        ApiCall::Stop { run: id } => {
            stop(engine, caller, &id).await?;
            return Ok(views::stopping(id.as_str(), &request.base).into());
        }
        ApiCall::Reject(decision) => {
            reject(engine, caller, &decision).await?;
            let page = rejections(engine, caller, Format::Html, &request.base).await?;
            return Ok(page.into());
        }
        ApiCall::Start(body) => start(engine, caller, body).await?,
        ApiCall::Index { .. }
        | ApiCall::Runs { .. }
        | ApiCall::Run { .. }
        | ApiCall::Rejections { .. }
        | ApiCall::Account { .. }
        | ApiCall::Access(_)
        | ApiCall::Health
        | ApiCall::Check { .. } => {
            return Err(Problem::new(
                ProblemKind::UnknownPath,
                "this path does not accept forms",
            ));
        }
    };
    let id = enqueue(engine, &run).await?;
    Ok(Success {
        response: Some(views::queued(id.as_str(), &request.base)),
        next: vec![Message {
            run: id,
            mode: run.mode,
        }],
    })
}

/// R34
async fn stop(engine: &Engine, caller: &Caller, run: &RunId) -> Result<Response, Problem> {
    let by = Some(caller.actor.clone());
    let stopped = engine.records().await?.stop(run, by).await?;
    Ok(Response::json(202, &stopped))
}

/// R47
async fn reject(
    engine: &Engine,
    caller: &Caller,
    decision: &Decision,
) -> Result<Response, Problem> {
    let by = Some(&caller.actor);
    let changes = engine.records().await?.decide(decision, by).await?;
    Ok(views::rejections_json(&changes))
}

/// R47
async fn rejections(
    engine: &Engine,
    caller: &Caller,
    format: Format,
    base: &str,
) -> Result<Response, Problem> {
    let all = engine.records().await?.rejections().await?;
    if format != Format::Html {
        return Ok(views::rejections_json(&all));
    }
    let token = form_key(engine).await?.token(engine.time().as_second());
    Ok(views::rejections(&all, &ways(engine, caller, base, &token)))
}

async fn form_key(engine: &Engine) -> Result<FormKey, Problem> {
    let [one, other] = [(); 2].map(|()| uuid::Uuid::new_v4().simple());
    let fresh = format!("{one}{other}");
    let state = engine.state().await?;
    let secret = state.form_key(fresh).await.map_err(RunError::from)?;
    Ok(FormKey::new(&secret))
}

fn index(engine: &Engine, request: &Request) -> Response {
    let link = |path: &str| format!("{}{path}", request.base);
    let template = |method: &str, path: &str| format!("{method} {}{path}", request.base);
    Response::json(
        200,
        &Index {
            name: "Cloud Sync",
            version: env!("CARGO_PKG_VERSION"),
            perform_sync: engine.settings().perform_sync.to_string(),
            links: [
                ("runs", link("/runs")),
                ("rejections", link("/rejections")),
                ("access", link("/access")),
                ("health", link("/health")),
                ("check", link("/check")),
            ]
            .into(),
            templates: [
                ("run", template("GET", "/runs/{id}")),
                ("undo", template("POST", "/runs/{id}/undo")),
                ("stop", template("POST", "/runs/{id}/stop")),
                ("account", template("GET", "/accounts/{address}")),
            ]
            .into(),
        },
    )
}

async fn history(engine: &Engine) -> Result<Vec<RunSummary>, Problem> {
    engine.history(RUNS_SHOWN).await.map_err(Problem::from)
}

async fn runs(engine: &Engine, format: Format, base: &str) -> Result<Response, Problem> {
    Ok(views::runs(&history(engine).await?, format, base))
}

async fn run(
    engine: &Engine,
    caller: &Caller,
    id: &RunId,
    format: Format,
    base: &str,
) -> Result<Response, Problem> {
    let report = engine.report_to_show(id).await?;
    let token = match format {
        Format::Html => form_key(engine).await?.token(engine.time().as_second()),
        Format::Json | Format::Csv => String::new(),
    };
    let outlook = engine.outlook();
    let is_stopping = report.state != RunState::Ended && engine.is_stopping(id).await;
    Ok(views::run(
        &report,
        format,
        &ways(engine, caller, base, &token),
        outlook,
        is_stopping,
    ))
}

fn ways<'a>(engine: &Engine, caller: &Caller, base: &'a str, token: &'a str) -> Ways<'a> {
    Ways {
        base,
        token,
        perform_sync: engine.settings().perform_sync,
        role: caller.role,
        is_signed_in: matches!(caller.actor, Actor::SignedIn { .. }),
    }
}

async fn dashboard(engine: &Engine, caller: &Caller, base: &str) -> Result<Response, Problem> {
    let runs = history(engine).await?;
    let complete = engine.complete_if_readable().await;
    engine.note_first_seen().await;
    let health = engine.health_with(complete.as_ref()).await?;
    let token = form_key(engine).await?.token(engine.time().as_second());
    let outlook = engine.outlook();
    let rejected = async { engine.records().await?.rejections().await };
    let rejected = rejected.await.map_or(0, |rejections| rejections.len());
    let dashboard = Dashboard {
        ways: ways(engine, caller, base, &token),
        health: &health,
        runs: &runs,
        complete: complete.as_ref(),
        rejected,
        outlook,
        settings: engine.settings(),
        host: &engine.settings().host,
        now: engine.time(),
        caller,
    };
    Ok(dashboard.page())
}

async fn account(
    engine: &Engine,
    address: &str,
    format: Format,
    live: bool,
    base: &str,
) -> Result<Response, Problem> {
    let address = match SmtpAddress::parse(address) {
        Ok(address) => address,
        Err(_) if format == Format::Html => {
            let found = engine.with_name(address).await?;
            return Ok(views::with_name(address, &found, base));
        }
        Err(_) => {
            let text =
                format!("{address:?} is not a mail address; write it like anna@corp.example");
            return Err(Problem::new(ProblemKind::BadQuery, text));
        }
    };
    let (explanation, history) = super::access::account(engine, &address, format, live).await?;
    Ok(views::account(
        &explanation,
        history.as_ref(),
        format,
        live,
        base,
    ))
}

async fn answer_health(engine: &Engine) -> Result<Response, Problem> {
    engine.announce_silence().await;
    engine.note_first_seen().await;
    let health = engine.health().await?;
    let status = if health.problems.is_empty() { 200 } else { 503 };
    Ok(Response::json(status, &health))
}

impl From<Success> for Answer {
    fn from(success: Success) -> Self {
        Self::Success(success)
    }
}
