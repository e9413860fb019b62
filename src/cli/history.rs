//! Commands that read or stop runs in the history.

use std::fmt::Write as _;

use super::{
    CliError, Status,
    args::{DetailArgs, RunsArgs, RunsCommand, ShowArgs},
    output::{BOLD, DIM, GREEN, Output, RED, YELLOW},
    report,
    report_file::ReportFile,
    text, timeline, words,
};
use crate::{
    domain::{
        address::SmtpAddress,
        report::{RunOutcome, RunState},
    },
    engine::{
        RunError, RunSummary,
        history::{Last, Records},
    },
    http::Clock,
    settings::{self, StateSettings},
    state::{State, lock::Lease},
};

pub(super) async fn runs(args: &RunsArgs, output: Output) -> Result<Status, CliError> {
    if let Some(RunsCommand::Diff { before, after }) = &args.what {
        return timeline::diff(before, after.as_deref(), output).await;
    }
    show(args.run.as_deref(), args.limit, output, &args.show).await
}

async fn show(
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
    let stored = Stored::open().await?;
    let records = stored.records();
    if let Some(name) = name {
        let id = records.find(name, Last::Any).await?;
        let report = records.report_to_show(&id).await?;
        output.show(&report, || report::stored_page(&report, show.detail))?;
        if let Some(file) = file {
            file.write(&report, output)?;
        }
        return Ok(Status::InSync);
    }
    let runs = records.newest(limit).await?;
    output.show(&runs, || page(&runs, stored.state.place()))?;
    Ok(Status::InSync)
}

/// R34: stops a run that is working or waiting for an invocation.
pub(super) async fn stop(name: &str, output: Output) -> Result<Status, CliError> {
    let stored = Stored::open().await?;
    let records = stored.records();
    let id = records.find(name, Last::Open).await?;
    let stopped = records.stop(&id, Some(super::me())).await?;
    output.show(&stopped, || match stopped.state {
        RunState::Ended => format!("run {id} is stopped\n"),
        RunState::Queued | RunState::Running | RunState::Continues => {
            format!("run {id} stops within seconds, after what is in flight, or ends normally if all its changes are made\n")
        }
    })?;
    Ok(Status::InSync)
}

/// R40: prints what the report of a run says about one address.
pub(super) async fn explain(
    name: &str,
    address: &SmtpAddress,
    output: Output,
) -> Result<Status, CliError> {
    let stored = Stored::open().await?;
    let records = stored.records();
    let id = records.find(name, Last::Any).await?;
    let mut report = records.report_to_show(&id).await?;
    report.keep_only(address);
    if report.is_silent()
        && let Some(stranger) = records.stranger_in(&id, address).await?
    {
        output.show(&stranger, String::new)?;
        return Err(CliError::UnknownAddress {
            address: stranger.address,
            why: stranger.verdict,
        });
    }
    let detail = DetailArgs {
        verbose: true,
        all: true,
        skipped: true,
        ..DetailArgs::default()
    };
    output.show(&report, || report::page_of(&report, address, detail))?;
    Ok(Status::InSync)
}

/// The state, opened with its own settings only.
pub(super) struct Stored {
    pub(super) state: State,
    lease: Lease,
}

impl Stored {
    pub(super) async fn open() -> Result<Self, CliError> {
        let settings = StateSettings::read(settings::environment)?;
        let state = State::open_to_read(&settings.location).await;
        Ok(Self {
            state: state.map_err(RunError::from)?,
            lease: Lease::of(settings.lock_lease),
        })
    }

    /// The place, if it holds no run: perhaps the user meant another one.
    pub(super) async fn empty_place(&self) -> Option<&str> {
        match self.state.newest_run().await {
            Ok(None) => Some(self.state.place()),
            Ok(Some(_)) | Err(_) => None,
        }
    }

    pub(super) fn records(&self) -> Records<'_> {
        Records {
            state: &self.state,
            lease: self.lease,
            clock: Clock::default(),
        }
    }
}

pub(super) fn no_runs(place: &str) -> String {
    format!("No runs yet in {}.\n", text::inert(place))
}

pub(super) fn page(runs: &[RunSummary], place: &str) -> String {
    let mut out = String::new();
    if runs.is_empty() {
        return no_runs(place);
    }
    let width = runs.iter().map(|run| run.id.len()).max().unwrap_or(0);
    let mut line = |line: std::fmt::Arguments<'_>| {
        out.write_fmt(line)
            .expect("writing to a string does not fail");
        out.push('\n');
    };
    line(format_args!(
        "{BOLD}{:width$}  {:<20}  outcome{BOLD:#}",
        "run", "started"
    ));
    for run in runs {
        let by = words::started_by(run.trigger, run.started_by.as_ref());
        let style = match run.outcome {
            RunOutcome::InSync | RunOutcome::Done => GREEN,
            RunOutcome::ChangesPending | RunOutcome::NeedsAttention => YELLOW,
            RunOutcome::Failed => RED,
            RunOutcome::Open | RunOutcome::Stopped => DIM,
        };
        line(format_args!(
            "{:width$}  {:<20}  {style}{}{style:#}",
            text::inert(&run.id).to_string(),
            words::local(&run.started),
            words::outcome(run.outcome),
        ));
        line(format_args!(
            "  {}: {}  {DIM}by {}{DIM:#}",
            words::what(run),
            changes(run),
            text::inert(&by),
        ));
        if let Some(error) = &run.error {
            line(format_args!("  {DIM}{}{DIM:#}", text::told(error)));
        }
    }
    out
}

fn changes(run: &RunSummary) -> String {
    if !run.has_planned() {
        let text = match run.state {
            RunState::Ended => "not planned",
            RunState::Queued | RunState::Running | RunState::Continues => "not planned yet",
        };
        return text.to_owned();
    }
    let sum = |counts: &std::collections::BTreeMap<_, u32>| counts.values().sum::<u32>();
    let mut parts = words::of_accounts([
        (sum(&run.counts.planned), "planned"),
        (sum(&run.counts.applied), "applied"),
        (run.counts.in_part, "of them in part"),
        (run.counts.refused, "refused"),
        (run.counts.failed, "failed"),
        (run.counts.not_started(run.remaining), "not started"),
    ]);
    if parts.is_empty() {
        parts.push("nothing planned".to_owned());
    }
    if run.counts.held > 0 {
        let held = words::number(run.counts.held, "change", "changes");
        parts.push(format!("{held} held"));
    }
    parts.join(", ")
}
