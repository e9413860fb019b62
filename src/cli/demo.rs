//! `demo`: a complete synchronisation of a made-up organisation. Its checks use the requests that the sandbox received,
//! not the reports of the program.

use std::time::Duration;

use super::{
    CliError, Status,
    args::{DetailArgs, TenantArgs},
    observed,
    output::{BOLD, DIM, GREEN, Output, RED},
    report, sandbox, text, words,
};
use crate::{
    domain::{
        all_clear::AllClear,
        guard::Class,
        mode::Mode,
        report::{Report, RunOutcome},
    },
    engine::{Engine, Links},
    sandbox::Sandbox,
    settings::Settings,
};

/// Ten times Zivver's limit, so that the demonstration is short.
const CALLS: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);
const RATE: &str = "50/1s";

/// The made-up organisation contains cases that a person must decide.
const MEANT_TO_BE_HELD: [Class; 2] = [Class::Stray, Class::Identity];

const NEXT: &str = "

Next: `cloud-sync sandbox` keeps such an organisation running to play with; README.md says how to use your own.
";

pub(super) async fn demo(
    tenant: TenantArgs,
    output: Output,
    detail: DetailArgs,
    links: Links,
) -> Result<Status, CliError> {
    let sandbox = sandbox::start(0, tenant, Some((CALLS, WINDOW))).await?;
    let settings = sandbox::settings(&sandbox, RATE, "memory:");
    let settings = Settings::read(|name| settings.get(name).cloned(), &[])?;
    let engine = Engine::new(settings, links);
    let result = Box::pin(show(&engine, &sandbox, tenant, output, detail)).await;
    sandbox.stop().await;
    result
}

/// A run, and the number of write requests that the simulated Zivver received.
struct Seen {
    report: Report,
    writes: u64,
}

async fn show(
    engine: &Engine,
    sandbox: &Sandbox,
    tenant: TenantArgs,
    output: Output,
    detail: DetailArgs,
) -> Result<Status, CliError> {
    let say = |text: &str| {
        if output.is_json() {
            return Ok(());
        }
        output.page(text)
    };
    say(&title(
        "1. Preview",
        &format!(
            "A made-up organisation with {} mailboxes in Exchange Online, and Zivver accounts that fell behind. Both are\n\
             simulated in this process. A preview reads both sides and writes nothing.",
            tenant.mailboxes
        ),
    ))?;
    let preview = run(engine, sandbox, Mode::Preview, output).await?;
    say(&format!("{}\n", report::page(&preview.report, detail)))?;

    say(&title(
        "2. Apply",
        "The same plan, carried out; then both lists of Zivver are read again and compared.",
    ))?;
    let applied = run(engine, sandbox, Mode::Apply, output).await?;
    say(&format!("{}\n", report::totals_page(&applied.report)))?;

    say(&title(
        "3. Apply again",
        "Nothing changed in between, so nothing may be written.",
    ))?;
    let again = run(engine, sandbox, Mode::Apply, output).await?;
    say(&format!("{}\n", report::totals_page(&again.report)))?;

    let checks = checks(&preview, &applied, &again, sandbox);
    if output.is_json() {
        let runs = serde_json::json!({
            "preview": preview.report, "applied": applied.report, "again": again.report, "checks": checks,
        });
        output.show(&runs, String::new)?;
    } else {
        say(&conclusion(&checks))?;
    }
    if checks.iter().all(|check| check.holds) {
        Ok(Status::InSync)
    } else {
        Err(CliError::Failed(
            "the demonstration did not end as it should; the checks say where".to_owned(),
        ))
    }
}

fn title(title: &str, text: &str) -> String {
    format!("{BOLD}{title}{BOLD:#}\n{DIM}{text}{DIM:#}\n\n")
}

async fn run(
    engine: &Engine,
    sandbox: &Sandbox,
    mode: Mode,
    output: Output,
) -> Result<Seen, CliError> {
    let before = writes(sandbox);
    let request = super::run_request(mode);
    let mut report = observed(engine, &request, output).await?;
    if report.outcome == RunOutcome::Failed {
        let error = report.error.as_deref().unwrap_or("the run failed");
        return Err(CliError::Failed(text::inert(error).to_string()));
    }
    // The warning that state is lost at the end does not apply: the demonstration needs no lasting state.
    report.warnings.clear();
    Ok(Seen {
        report,
        writes: writes(sandbox) - before,
    })
}

/// Number of requests other than GET that the simulated Zivver has received.
fn writes(sandbox: &Sandbox) -> u64 {
    let asked = sandbox.zivver.control().counters();
    asked.total - asked.method("GET")
}

/// A condition that must hold, and what was found.
#[derive(Debug, serde::Serialize)]
struct Check {
    what: &'static str,
    found: String,
    holds: bool,
}

fn checks(preview: &Seen, applied: &Seen, again: &Seen, sandbox: &Sandbox) -> Vec<Check> {
    let unexpected = |report: &Report| {
        let sets = report.held.iter();
        sets.filter(|set| !MEANT_TO_BE_HELD.contains(&set.class))
            .count()
    };
    let refused = sandbox.zivver.refused();
    vec![
        Check {
            what: "the preview wrote nothing",
            found: words::number(preview.writes, "write", "writes"),
            holds: preview.writes == 0 && !preview.report.actions.is_empty(),
        },
        Check {
            what: "the apply made the changes, and none was refused",
            found: format!(
                "{}, {} refused or failed",
                words::number(applied.writes, "write", "writes"),
                applied.report.failed.len()
            ),
            holds: applied.writes > 0 && applied.report.failed.is_empty(),
        },
        Check {
            what: "read again, both sides are equal",
            found: if applied.report.converged == Some(true) {
                AllClear::Converged.text().to_owned()
            } else {
                let differences = applied.report.differences.len();
                words::number(differences, "difference", "differences")
            },
            holds: applied.report.converged == Some(true),
        },
        Check {
            what: "the second apply wrote nothing",
            found: words::number(again.writes, "write", "writes"),
            holds: again.writes == 0,
        },
        Check {
            what: "only what a person must decide is held",
            found: words::number(applied.report.counts.held, "change held", "changes held"),
            holds: unexpected(&applied.report) + unexpected(&again.report) == 0,
        },
        Check {
            what: "Zivver's limit was never exceeded",
            found: words::number(refused, "call refused", "calls refused"),
            holds: refused == 0,
        },
    ]
}

fn conclusion(checks: &[Check]) -> String {
    let mut page = title(
        "4. What was checked",
        "In what the simulated Zivver was asked, not in our own words.",
    );
    let widths = checks.iter().map(|check| check.what.len());
    let width = widths.max().unwrap_or(0);
    let lines = checks.iter().map(|Check { what, found, holds }| {
        let (word, style) = if *holds { ("yes", GREEN) } else { ("NO ", RED) };
        format!("  {style}{word}{style:#}  {what:width$}  {DIM}{found}{DIM:#}")
    });
    page += &lines.collect::<Vec<_>>().join("\n");
    page + NEXT
}
