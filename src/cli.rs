//! The command line: parses arguments, reads settings, starts the engine and prints the results.
//!
//! In reading order: `args` defines the arguments, `report` and `explanation` format results, `output` prints them;
//! `serve`, `demo` and `sandbox` are commands; `generated` makes shell completions and manual pages from `args`.

mod access;
mod apply;
mod args;
mod check;
#[cfg(feature = "sandbox")]
mod demo;
mod explanation;
mod generated;
mod history;
mod import_settings;
mod output;
mod progress;
mod reject;
mod report;
mod report_file;
#[cfg(feature = "sandbox")]
mod sandbox;
mod serve;
mod text;
mod timeline;

use std::{fmt::Write as _, io, process::ExitCode, sync::LazyLock};

use clap::{
    CommandFactory as _, Parser as _,
    error::{ContextKind, ContextValue},
};

use crate::{
    domain::{
        actor::Actor,
        address::SmtpAddress,
        explain::Explanation,
        mode::{Mode, Trigger},
        report::{Report, RunOutcome},
    },
    engine::{Engine, Links, RunError, RunRequest, RunSummary, history::Last},
    functions::{Signal, shutdown_signal},
    otlp::Otlp,
    render::words,
    settings::{self, LogSettings, Settings, SettingsError},
    telemetry,
};
use args::{Cli, Command};
use output::Output;
use report_file::ReportFile;

/// The version, with the commit if the build set `CLOUD_SYNC_COMMIT`.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    option_env!("CLOUD_SYNC_COMMIT").map_or_else(
        || version.to_owned(),
        |commit| format!("{version} ({commit})"),
    )
});

/// The exit status of a command that did not fail, for scripts. An error is exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Everything is in sync, or the command does not compare Zivver with Exchange.
    InSync,
    ChangesPending,
    NeedsAttention,
}

impl Status {
    /// `None` for a run that failed.
    pub fn of(report: &Report) -> Option<Self> {
        match report.outcome {
            RunOutcome::InSync | RunOutcome::Done => Some(Self::InSync),
            // These runs were cut off or stopped before their end.
            RunOutcome::Open | RunOutcome::Stopped | RunOutcome::ChangesPending => {
                Some(Self::ChangesPending)
            }
            RunOutcome::NeedsAttention => Some(Self::NeedsAttention),
            RunOutcome::Failed => None,
        }
    }

    pub fn of_explanation(explained: &Explanation) -> Self {
        let attention = |note: &domain::note::Note| note.code.needs_attention();
        if !explained.held.is_empty() || explained.notes.iter().any(attention) {
            Self::NeedsAttention
        } else if explained.actions.is_empty() {
            Self::InSync
        } else {
            Self::ChangesPending
        }
    }

    fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::InSync => 0,
            Self::ChangesPending => 2,
            Self::NeedsAttention => 3,
        })
    }
}

/// The error that ends a command.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{}", list(.0))]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Run(#[from] RunError),
    /// R39
    #[error("{}: {why} (R39)", text::inert(.address))]
    UnknownAddress { address: String, why: String },
    /// The command asks for a run, a code or a snapshot, and the place of the state holds no run.
    #[error("{error} (no run yet in {})", text::inert(place))]
    NoRuns { error: RunError, place: String },
    #[error("{0}")]
    Failed(String),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    #[error("interrupted{0}")]
    Interrupted(&'static str),
}

/// One line for each problem.
fn list(error: &SettingsError) -> String {
    let mut text = "cannot use the settings".to_owned();
    for problem in error.problems() {
        write!(text, "\n  {problem}").expect("writing to a string does not fail");
    }
    text
}

pub fn main() -> ExitCode {
    if std::env::args_os().len() <= 1 {
        match settings::functions_port(settings::environment) {
            Ok(Some(port)) => return serve::serve(port),
            Ok(None) => {}
            Err(error) => return refuse(&error.into()),
        }
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(error),
    };
    let output = Output::new(&cli.output, cli.env_file.as_deref());
    let Some(command) = cli.command else {
        return help();
    };
    if let Some(Err(error)) = cli.env_file.as_deref().map(settings::use_env_file) {
        output.error(&text::inert(&error.to_string()).to_string());
        return ExitCode::FAILURE;
    }
    if let Command::Serve { port } = command {
        return match serve_port(port) {
            Ok(port) => serve::serve(port),
            Err(error) => refuse(&error),
        };
    }
    if let Some(warning) = unknown_time_zone() {
        output.say(&warning);
    }
    let telemetry = telemetry::for_cli(
        &LogSettings::read(settings::environment),
        Otlp::read(settings::environment),
    );
    let links = Links {
        otlp: telemetry.otlp.clone(),
        ..Links::default()
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = async {
        match interruptible(command, output, links).await {
            Err(CliError::Run(error)) => Err(with_empty_place(error).await),
            ended => ended,
        }
    };
    match runtime.block_on(ended) {
        Ok(status) => status.code(),
        Err(error) => {
            output.error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Names the place of the state with an error about what is not in it, if no run is.
async fn with_empty_place(error: RunError) -> CliError {
    let is_about_state = matches!(
        error,
        RunError::NoRun(_)
            | RunError::UnknownRun(_)
            | RunError::UnknownApproval(_)
            | RunError::NotRejected { .. }
            | RunError::NoSnapshot(_)
    );
    if is_about_state
        && let Ok(stored) = history::Stored::open().await
        && let Some(place) = stored.empty_place().await
    {
        let place = place.to_owned();
        return CliError::NoRuns { error, place };
    }
    error.into()
}

/// A report as it appears on a terminal, without shortened lists.
pub fn terminal(report: &Report) -> String {
    let detail = args::DetailArgs {
        verbose: true,
        all: true,
        skipped: true,
        ..args::DetailArgs::default()
    };
    report::page(report, detail)
}

/// The history as it appears on a terminal.
pub fn terminal_runs(runs: &[RunSummary], place: &str) -> String {
    history::page(runs, place)
}

/// Why times are not in the zone that `TZ` names.
fn unknown_time_zone() -> Option<String> {
    let name = settings::environment("TZ")?;
    words::known_time_zone().is_err().then(|| {
        let name = text::inert(&name);
        format!("warning: TZ={name} is unknown on this computer, so times are in UTC; set it to a name such as Europe/Amsterdam")
    })
}

fn refuse(error: &CliError) -> ExitCode {
    let args = args::OutputArgs {
        json: false,
        color: args::Color::Auto,
    };
    Output::new(&args, None).error(&error.to_string());
    ExitCode::FAILURE
}

/// Not clap's own exit code for usage errors, 2, which means "changes pending" here.
fn usage(mut error: clap::Error) -> ExitCode {
    remove_false_tips(&mut error);
    let is_approve = |it: &ContextValue| matches!(it, ContextValue::String(it) if it == "approve");
    let unknown = error.get(ContextKind::InvalidSubcommand);
    if unknown.is_some_and(is_approve) {
        let tip = "to approve a held set, run 'cloud-sync apply --approve CODE'; with FOUR_EYES=true another person approves it on the \
                   dashboard";
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![tip.into()]),
        );
    }
    match error.print() {
        Ok(()) if !error.use_stderr() => ExitCode::SUCCESS,
        Ok(()) | Err(_) => ExitCode::FAILURE,
    }
}

/// No value of a command begins with `-`, so none is to be passed after `--`. A name that is not nearly what was typed is
/// that of something else.
fn remove_false_tips(error: &mut clap::Error) {
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        tips.retain(|tip| !tip.to_string().contains("as a value"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    for (typed, suggested) in [
        (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        (
            ContextKind::InvalidSubcommand,
            ContextKind::SuggestedSubcommand,
        ),
    ] {
        let is_near = |near: &ContextValue| {
            let typed = error.get(typed).map(ToString::to_string);
            let near = near.to_string();
            typed.is_some_and(|typed| strsim::osa_distance(&typed, &near) <= near.len() / 3)
        };
        if error.get(suggested).is_some_and(|near| !is_near(near)) {
            error.remove(suggested);
            // It shows how to use the suggested one.
            error.remove(ContextKind::Usage);
        }
    }
}

fn help() -> ExitCode {
    match Cli::command().print_help() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve_port(port: Option<u16>) -> Result<u16, CliError> {
    if let Some(port) = port {
        return Ok(port);
    }
    settings::functions_port(settings::environment)?.ok_or_else(|| {
        CliError::Failed(
            "no port to serve: the Functions host sets FUNCTIONS_CUSTOMHANDLER_PORT; without it give --port".to_owned(),
        )
    })
}

/// The first Ctrl+C stops a run: it finishes the requests in flight and saves its progress (R34). The second one, or the first one
/// for any other command, drops the work, which releases locks and stops simulators.
async fn interruptible(command: Command, output: Output, links: Links) -> Result<Status, CliError> {
    // The sandbox handles Ctrl+C itself: it is the normal way to stop it.
    #[cfg(feature = "sandbox")]
    if matches!(command, Command::Sandbox { .. }) {
        return Box::pin(run(command, output, links)).await;
    }
    let unfinished = unfinished(&command);
    let stop = links.stop.clone();
    let mut working = Box::pin(run(command, output, links));
    let signal = tokio::select! {
        result = &mut working => return result,
        signal = shutdown_signal() => signal,
    };
    let Some(unfinished) = unfinished else {
        return Err(CliError::Interrupted(""));
    };
    match signal {
        Signal::Interrupt => stop.request_by_person(),
        Signal::Terminate => stop.request(),
    }
    // A question ends at once.
    tokio::select! {
        biased;
        result = &mut working => return result,
        () = std::future::ready(()) => {}
    }
    output.say("ending what is in flight; press Ctrl+C again to stop at once");
    tokio::select! {
        result = working => result,
        _ = shutdown_signal() => Err(CliError::Interrupted(unfinished)),
    }
}

/// What follows if a run does not end what is in flight; `None` for a command that is no run.
fn unfinished(command: &Command) -> Option<&'static str> {
    if matches!(command, Command::Preview { .. }) {
        Some("; nothing was written")
    } else if matches!(command, Command::Apply { .. }) {
        Some("; an apply that was under way is taken up by the next run (R35)")
    } else if matches!(command, Command::Undo { .. }) {
        Some("; an undo that was under way is taken up by no other run: start it again (R37)")
    } else {
        None
    }
}

async fn run(command: Command, output: Output, links: Links) -> Result<Status, CliError> {
    match command {
        Command::Preview(args) => apply::preview(&engine(links)?, args, output).await,
        Command::Apply {
            subjects,
            wave,
            yes,
            approve,
            approve_accounts,
            show,
        } => {
            let request = apply::request(subjects, approve, approve_accounts, wave)?;
            let stop = links.stop.clone();
            apply::apply(&engine(links)?, request, yes, &stop, output, &show).await
        }
        Command::Explain { address, run, live } => {
            Box::pin(explain(&address, run.as_deref(), live, output, links)).await
        }
        Command::History { address, limit } => {
            Box::pin(timeline::history(&address, limit, output)).await
        }
        Command::Undo {
            run,
            apply,
            approve,
            approve_accounts,
            show,
        } => {
            let mode = if apply { Mode::Apply } else { Mode::Preview };
            let request = RunRequest {
                approve,
                approve_accounts: approve_accounts.into_iter().collect(),
                ..run_request(mode)
            };
            undo(&engine(links)?, &run, request, output, &show).await
        }
        Command::Stop { run } => history::stop(&run, output).await,
        Command::Reject {
            code,
            accounts,
            undo,
        } => reject::reject(code, accounts, undo, output).await,
        Command::Check { probe } => Box::pin(check::check(output, probe)).await,
        Command::Runs(args) => history::runs(&args, output).await,
        Command::Access(args) => access::show(args, output).await,
        Command::ImportSettings { file, show_secrets } => {
            import_settings::import(&file, show_secrets, output)
        }
        #[cfg(feature = "sandbox")]
        Command::Demo { tenant, detail } => demo::demo(tenant, output, detail, links).await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox {
            port,
            tenant,
            latency_ms,
            zivver_rate,
            write_env,
        } => sandbox::keep_running(port, tenant, latency_ms, &zivver_rate, write_env, output).await,
        Command::Completions { shell } => print(&generated::completions(shell), output),
        Command::Man { command } => print(&generated::man(&command)?, output),
        Command::Serve { .. } => unreachable!("it was answered before"),
    }
}

/// R41: the user of this computer.
fn me() -> Actor {
    whoami::username().map_or(Actor::Unnamed, |name| Actor::os_user(&name))
}

fn run_request(mode: Mode) -> RunRequest {
    RunRequest {
        started_by: Some(me()),
        ..RunRequest::new(mode, Trigger::CommandLine)
    }
}

fn print(text: &str, output: Output) -> Result<Status, CliError> {
    output.print(text)?;
    Ok(Status::InSync)
}

async fn undo(
    engine: &Engine,
    run: &str,
    mut request: RunRequest,
    output: Output,
    show: &args::ShowArgs,
) -> Result<Status, CliError> {
    let records = engine.records().await?;
    request.undo = Some(records.find(run, Last::Change).await?);
    let (_, status) = reported(engine, &request, output, show).await?;
    Ok(status)
}

/// R40: with `run`, from the report of that run. Otherwise from the last snapshot; from both services if `live` is set
/// or if there is no snapshot.
async fn explain(
    address: &SmtpAddress,
    run: Option<&str>,
    live: bool,
    output: Output,
    links: Links,
) -> Result<Status, CliError> {
    if let Some(run) = run {
        return history::explain(run, address, output).await;
    }
    if !live && let Some(status) = timeline::explain(address, output).await? {
        return Ok(status);
    }
    explain_live(&engine(links)?, address, output).await
}

async fn explain_live(
    engine: &Engine,
    address: &SmtpAddress,
    output: Output,
) -> Result<Status, CliError> {
    let explained = {
        let _follower = progress::follow(engine, output);
        engine.explain(address).await?
    };
    if explained.unknown.is_some() {
        output.show(&explained, String::new)?;
        return Err(CliError::UnknownAddress {
            address: explained.address,
            why: explained.verdict,
        });
    }
    output.show(&explained, || explanation::page(&explained))?;
    Ok(Status::of_explanation(&explained))
}

fn engine(links: Links) -> Result<Engine, CliError> {
    let settings = Settings::read(settings::environment, &settings::environment_names())?;
    Ok(Engine::new(settings, links))
}

/// Runs the request and shows the progress.
async fn observed(
    engine: &Engine,
    request: &RunRequest,
    output: Output,
) -> Result<Report, RunError> {
    let _follower = progress::follow(engine, output);
    engine.run(request).await
}

/// Runs the request and shows the report.
async fn reported(
    engine: &Engine,
    request: &RunRequest,
    output: Output,
    show: &args::ShowArgs,
) -> Result<(Report, Status), CliError> {
    let file = ReportFile::of(&show.report)?;
    let report = observed(engine, request, output).await?;
    let status = shown(&report, file, output, show)?;
    Ok((report, status))
}

fn shown(
    report: &Report,
    file: Option<ReportFile>,
    output: Output,
    show: &args::ShowArgs,
) -> Result<Status, CliError> {
    let detail = args::DetailArgs {
        more: match report.mode {
            Mode::Preview => args::More::Again,
            Mode::Apply => args::More::LastRun,
        },
        ..show.detail
    };
    output.show(report, || report::page(report, detail))?;
    if let Some(file) = file {
        file.write(report, output)?;
    }
    Status::of(report).ok_or_else(|| {
        let error = report.error.as_deref().unwrap_or("the run failed");
        CliError::Failed(text::inert(error).to_string())
    })
}
