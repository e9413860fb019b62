//! Preview, and the apply of exactly the changes that a preview showed (R28).

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::Path,
};

use super::{
    CliError, Status,
    args::{FileFormat, PreviewArgs, ShowArgs, Subject, WaveArgs},
    observed,
    output::Output,
    report,
    report_file::{ReportFile, by_extension, check_folder, exists},
    reported, shown, text, words,
};
use crate::{
    domain::{
        address::SmtpAddress,
        mode::{Depth, Mode},
        report::Report,
        wave::Wave,
    },
    engine::{Engine, PlanSource, RunError, RunRequest, Stop},
};

/// Shows what a run would change, and writes the plan to a file if `--out` is given.
pub(super) async fn preview(
    engine: &Engine,
    args: PreviewArgs,
    output: Output,
) -> Result<Status, CliError> {
    let PreviewArgs {
        accounts,
        wave,
        with,
        out,
        approve,
        show,
    } = args;
    if let Some(file) = &out {
        if !with.is_empty() {
            return Err(CliError::Failed(
                "--out writes a plan to be applied, and one under other settings cannot be: change the settings first, or use --report (R46)".into(),
            ));
        }
        if show.report.report.as_ref() == Some(file) {
            return Err(CliError::Failed(
                "--out and --report name the same file: give each its own".into(),
            ));
        }
        check_folder(file)?;
        if by_extension::<FileFormat>(file).is_some() {
            let file = words::quoted(&file.to_string_lossy());
            return Err(CliError::Failed(format!(
                "--out writes a plan, which is JSON: name it like plan.json; for a page or a table use --report {}",
                text::inert(&file)
            )));
        }
        check_is_plan(file)?;
    }
    let depth = wave.depth();
    let wave = wave.wave();
    if wave.as_ref().is_some_and(Wave::needs_approval) {
        return Err(CliError::Failed(
            "--only approved makes what --approve CODE approves, and a preview takes no codes (R47)"
                .into(),
        ));
    }
    let request = RunRequest {
        accounts: accounts.addresses.into_iter().collect(),
        depth,
        wave,
        settings: engine.settings().others(with)?,
        approve,
        ..super::run_request(Mode::Preview)
    };
    let (report, status) = reported(engine, &request, output, &show).await?;
    if let Some(file) = &out {
        write_plan(file, &report, output)?;
    }
    Ok(status)
}

/// A plan replaces no other file, such as one with settings.
fn check_is_plan(file: &Path) -> Result<(), CliError> {
    if !file.exists() || read_plan(file).is_ok() {
        return Ok(());
    }
    Err(exists(file, "plan"))
}

fn write_plan(file: &Path, report: &Report, output: Output) -> Result<(), CliError> {
    let name = file.display();
    let json = serde_json::to_string_pretty(report).map_err(io::Error::from)?;
    fs::write(file, json + "\n")
        .map_err(|error| CliError::Failed(format!("cannot write {name}: {error}")))?;
    let command = words::apply_command([&*file.to_string_lossy()]);
    let text = match (report.actions.is_empty(), report.counts.held) {
        (false, _) => format!("the plan is in {name}: `{command}` makes exactly these changes"),
        (true, 0) => format!("the plan is in {name}, and has no change"),
        (true, held) => {
            let held = words::number(held, "change is", "changes are");
            format!(
                "the plan is in {name}, and has no change that `{command}` would make: {held} held"
            )
        }
    };
    output.say(&text::inert(&text).to_string());
    if let Some(forbidden) = words::forbidden(report) {
        output.say(forbidden);
    }
    Ok(())
}

/// The request for an apply: for all accounts, for some accounts, or for one reviewed plan.
pub(super) fn request(
    subjects: Vec<Subject>,
    approve: Vec<String>,
    approve_accounts: Vec<SmtpAddress>,
    wave: WaveArgs,
) -> Result<RunRequest, CliError> {
    let mut request = super::run_request(Mode::Apply);
    request.approve = approve;
    request.approve_accounts = approve_accounts.into_iter().collect();
    let depth = wave.depth();
    request.wave = wave.wave();
    for subject in subjects {
        let file = match subject {
            Subject::Account(address) if request.plan.is_none() => {
                request.accounts.insert(address);
                continue;
            }
            Subject::Plan(file) if request.plan.is_none() && request.accounts.is_empty() => file,
            Subject::Account(_) | Subject::Plan(_) => {
                return Err(CliError::Failed(
                    "name accounts or one plan: a plan says which accounts are changed".into(),
                ));
            }
        };
        let report = read_plan(&file)?;
        request.accounts = report.accounts.iter().cloned().collect();
        request.depth = report.depth;
        request.plan = Some(PlanSource::of(report)?);
    }
    if request.plan.is_some() && !request.approve.is_empty() {
        return Err(CliError::Failed(
            "a plan says what is applied, so it takes no approval codes; approve them in a run of their own (R28)".into(),
        ));
    }
    let wave = request.wave.as_ref();
    if request.plan.is_some() && wave.is_some() {
        return Err(CliError::Failed(
            "a plan says what is applied, so it takes neither --only nor --first (R28)".into(),
        ));
    }
    if wave.is_some_and(Wave::needs_approval) && request.approve.is_empty() {
        return Err(CliError::Failed(
            "--only approved makes what --approve CODE approves, and no code is given (R47)".into(),
        ));
    }
    choose_depth(&mut request, depth)?;
    Ok(request)
}

/// R45: a reviewed plan already determines the depth of the run.
fn choose_depth(request: &mut RunRequest, depth: Depth) -> Result<(), CliError> {
    if depth == Depth::Full {
        return Ok(());
    }
    if request.plan.is_some() {
        return Err(CliError::Failed(
            "a plan says what is read, so it takes no --quick; make a quick plan with `cloud-sync preview --quick --out FILE` (R45)"
                .into(),
        ));
    }
    request.depth = depth;
    Ok(())
}

fn read_plan(file: &Path) -> Result<Report, CliError> {
    let name = file.display();
    let json = fs::read_to_string(file)
        .map_err(|error| CliError::Failed(format!("cannot read the plan {name}: {error}; make one with `cloud-sync preview --out plan.json`")))?;
    serde_json::from_str(&json).map_err(|error| {
        tracing::debug!(%error, "a plan cannot be read");
        CliError::Failed(format!(
            "{name} is not a plan; make one with `cloud-sync preview --out plan.json`"
        ))
    })
}

/// On a terminal, nothing is written until a person has seen the changes and typed `yes`; then exactly these changes
/// are made.
pub(super) async fn apply(
    engine: &Engine,
    request: RunRequest,
    is_agreed: bool,
    stop: &Stop,
    output: Output,
    show: &ShowArgs,
) -> Result<Status, CliError> {
    let file = ReportFile::of(&show.report)?;
    let is_asked = !is_agreed && io::stdin().is_terminal() && io::stderr().is_terminal();
    let request = if is_asked {
        match asked(engine, request, stop, output, show).await? {
            Answered::Yes(request) => *request,
            Answered::No(status) => return Ok(status),
        }
    } else {
        request
    };
    let report = observed(engine, &request, output).await?;
    shown(&report, file, output, show)
}

enum Answered {
    Yes(Box<RunRequest>),
    No(Status),
}

/// Shows what would be changed, and asks for confirmation.
async fn asked(
    engine: &Engine,
    mut request: RunRequest,
    stop: &Stop,
    output: Output,
    show: &ShowArgs,
) -> Result<Answered, CliError> {
    let setting = engine.settings().perform_sync;
    setting.permit(request.mode).map_err(RunError::from)?;
    let plan = previewed(engine, &request, output).await?;
    let Some(status) = Status::of(&plan) else {
        return shown(&plan, None, output, show).map(Answered::No);
    };
    output.say(&report::page(&plan, show.detail));
    if let Some(changes) = to_make(&plan, &request) {
        output.ask(&format!(
            "Make {} in Zivver? Type yes to apply: ",
            text::inert(&changes)
        ));
        if answer(stop).await?.trim() != "yes" {
            output.say("nothing was written: only the whole word yes applies");
            return Ok(Answered::No(status));
        }
    }
    if request.plan.is_none() && request.approve.is_empty() {
        request.plan = Some(PlanSource::of(plan)?);
    }
    Ok(Answered::Yes(Box::new(request)))
}

/// `the changes of 2 accounts and what 1f0c6a2b9d approves`; `None` if the request makes nothing. A preview takes no codes, so
/// it does not show what they approve (R27).
fn to_make(plan: &Report, request: &RunRequest) -> Option<String> {
    let accounts = request.approve_accounts.iter();
    let accounts: Vec<&str> = accounts.map(SmtpAddress::as_str).collect();
    let of = match accounts.join(" and ") {
        accounts if accounts.is_empty() => accounts,
        accounts => format!(" of {accounts}"),
    };
    let planned = (!plan.actions.is_empty()).then(|| {
        let accounts = words::number(plan.actions.len(), "account", "accounts");
        format!("the changes of {accounts}")
    });
    let codes = request.approve.join(" and ");
    let approved = (!codes.is_empty()).then(|| format!("what {codes} approves{of}"));
    let parts: Vec<String> = planned.into_iter().chain(approved).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// The reviewed plan, or a new preview of the request.
async fn previewed(
    engine: &Engine,
    request: &RunRequest,
    output: Output,
) -> Result<Report, RunError> {
    if let Some(PlanSource::Report(_, report)) = &request.plan {
        return Ok(Report::clone(report));
    }
    let mut preview = RunRequest::new(Mode::Preview, request.trigger);
    preview.started_by.clone_from(&request.started_by);
    preview.depth = request.depth;
    preview.accounts.clone_from(&request.accounts);
    preview.wave.clone_from(&request.wave);
    observed(engine, &preview, output).await
}

/// Reads one line of standard input, in a separate thread: the runtime waits for its own blocking threads when it ends,
/// even after Ctrl+C.
async fn answer(stop: &Stop) -> Result<String, CliError> {
    let (send, line) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map(|_| line);
        // The receiver is dropped after Ctrl+C.
        drop(send.send(read));
    });
    tokio::select! {
        line = line => Ok(line.map_err(io::Error::other)??),
        () = stop.requested() => Err(CliError::Interrupted(" before an answer; nothing was written")),
    }
}
