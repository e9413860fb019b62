//! The runs that state keeps.

use std::fmt::Write as _;

use super::{
    CliError, Status,
    args::ShowArgs,
    output::{BOLD, DIM, GREEN, Output, RED, YELLOW},
    report,
    report_file::ReportFile,
    text, words,
};
use crate::{
    domain::report::{RunOutcome, RunState},
    engine::{
        RunError, RunSummary,
        history::{Last, Records},
    },
    http::Clock,
    settings::{self, StateSettings},
    state::{State, lock::Lease},
};

pub(super) async fn show(
    name: Option<&str>,
    limit: usize,
    output: Output,
    show: &ShowArgs,
) -> Result<Status, CliError> {
    let file = ReportFile::of(&show.report)?;
    if file.is_some() && name.is_none() {
        return Err(CliError::Failed(
            "--report writes the report of one run: name it, such as `cloud-sync runs last --report FILE`"
                .to_owned(),
        ));
    }
    let (state, lease) = open_state().await?;
    let records = records(&state, lease);
    if let Some(name) = name {
        let id = records.find(name, Last::Any).await?;
        let report = records.report(&id).await?;
        output.show(&report, || report::page(&report, show.detail))?;
        if let Some(file) = file {
            file.write(&report, output)?;
        }
        return Ok(Status::InSync);
    }
    let runs = records.newest(limit).await?;
    output.show(&runs, || page(&runs, state.place()))?;
    Ok(Status::InSync)
}

/// R34: ends a run that works, or that waits for an invocation.
pub(super) async fn stop(name: &str, output: Output) -> Result<Status, CliError> {
    let (state, lease) = open_state().await?;
    let records = records(&state, lease);
    let id = records.find(name, Last::Open).await?;
    let stopped = records.stop(&id).await?;
    output.show(&stopped, || match stopped.state {
        RunState::Ended => format!("run {id} is stopped\n"),
        RunState::Queued | RunState::Running | RunState::Continues => {
            format!("run {id} stops within seconds, after what is in flight\n")
        }
    })?;
    Ok(Status::InSync)
}

/// The state, by the settings that it needs and no others.
pub(super) async fn open_state() -> Result<(State, Lease), CliError> {
    let settings = StateSettings::read(settings::environment)?;
    let state = State::open(&settings.location)
        .await
        .map_err(RunError::from)?;
    Ok((state, Lease::of(settings.lock_lease)))
}

pub(super) fn records(state: &State, lease: Lease) -> Records<'_> {
    Records {
        state,
        lease,
        clock: Clock::default(),
    }
}

pub(super) fn page(runs: &[RunSummary], place: &str) -> String {
    let mut out = String::new();
    if runs.is_empty() {
        return format!("No runs yet in {}.\n", text::inert(place));
    }
    let width = runs.iter().map(|run| run.id.len()).max().unwrap_or(0);
    let what = |run: &RunSummary| words::what(run.mode, run.undo.is_some(), run.accounts.len());
    let widths = runs.iter().map(|run| what(run).len());
    let what_width = widths.max().unwrap_or(0).max(7);
    let mut line = |line: std::fmt::Arguments<'_>| {
        out.write_fmt(line)
            .expect("writing to a string does not fail");
        out.push('\n');
    };
    line(format_args!(
        "{BOLD}{:width$}  {:<20}  {:<what_width$}  {:<15}  changes{BOLD:#}",
        "run", "started", "mode", "outcome"
    ));
    for run in runs {
        let style = match run.outcome {
            RunOutcome::InSync | RunOutcome::Done => GREEN,
            RunOutcome::ChangesPending | RunOutcome::NeedsAttention => YELLOW,
            RunOutcome::Failed => RED,
            RunOutcome::Open | RunOutcome::Stopped => DIM,
        };
        line(format_args!(
            "{:width$}  {:<20}  {:<what_width$}  {style}{:<15}{style:#}  {}",
            text::inert(&run.id).to_string(),
            run.started,
            what(run),
            words::outcome(run.outcome),
            changes(run),
        ));
        if let Some(error) = &run.error {
            line(format_args!("  {DIM}{}{DIM:#}", text::inert(error)));
        }
    }
    out
}

fn changes(run: &RunSummary) -> String {
    let sum = |counts: &std::collections::BTreeMap<_, u32>| counts.values().sum::<u32>();
    let mut parts = vec![format!(
        "{} planned",
        words::thousands(sum(&run.counts.planned).into())
    )];
    for (count, word) in [
        (sum(&run.counts.applied), "applied"),
        (run.counts.refused, "refused"),
        (run.counts.failed, "failed"),
        (run.counts.held, "held"),
        (run.remaining, "remaining"),
    ] {
        if count > 0 {
            parts.push(format!("{} {word}", words::thousands(count.into())));
        }
    }
    parts.join(", ")
}
