//! All of it at work on a made-up organisation, checked from outside: what the sandbox was asked, not what we report.

use std::time::Duration;

use super::{
    CliError, Status,
    args::{DetailArgs, TenantArgs},
    observed,
    output::{BOLD, DIM, GREEN, Output, RED},
    report, sandbox, text,
};
use crate::{
    domain::{
        guard::Class,
        mode::{Mode, Trigger},
        report::{Report, RunOutcome},
    },
    engine::{Engine, Links, RunRequest},
    sandbox::{Sandbox, control::Entry},
    settings::Settings,
};

/// Ten times Zivver's, so that nobody waits.
const CALLS: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);
const RATE: &str = "50/1s";

/// The made-up organisation holds cases that only a person may decide.
const MEANT_TO_BE_HELD: [Class; 2] = [Class::Stray, Class::Identity];

pub(super) async fn demo(
    tenant: TenantArgs,
    output: Output,
    detail: DetailArgs,
) -> Result<Status, CliError> {
    let sandbox = sandbox::start(0, tenant, Some((CALLS, WINDOW))).await?;
    let settings = sandbox::settings(&sandbox, RATE, "memory:");
    let settings = Settings::read(|name| settings.get(name).cloned(), &[])?;
    let engine = Engine::new(settings, Links::default());
    let result = show(&engine, &sandbox, tenant, output, detail).await;
    sandbox.stop().await;
    result
}

async fn show(
    engine: &Engine,
    sandbox: &Sandbox,
    tenant: TenantArgs,
    output: Output,
    detail: DetailArgs,
) -> Result<Status, CliError> {
    let stage = |number: u32, title: &str, text: &str| -> Result<(), CliError> {
        if !output.is_json() {
            output.print(&format!(
                "{BOLD}{number}. {title}{BOLD:#}\n{DIM}{text}{DIM:#}\n\n"
            ))?;
        }
        Ok(())
    };
    stage(
        1,
        "Preview",
        &format!(
            "A made-up organisation with {} mailboxes in Exchange Online, and Zivver accounts that fell behind. Both are \
             simulated in this process. A preview reads both sides and writes nothing.",
            tenant.mailboxes
        ),
    )?;
    let before = sandbox.zivver.control().journal().len();
    let preview = run(engine, Mode::Preview, output).await?;
    let preview_writes = writes(sandbox, before);
    if !output.is_json() {
        output.print(&format!(
            "{}\n",
            report::page(&preview, output.view(detail))
        ))?;
    }

    stage(
        2,
        "Apply",
        "The same plan, carried out; then both lists of Zivver are read again and compared.",
    )?;
    let before = sandbox.zivver.control().journal().len();
    let applied = run(engine, Mode::Apply, output).await?;
    let apply_writes = writes(sandbox, before);
    if !output.is_json() {
        output.print(&format!("{}\n", report::totals_page(&applied)))?;
    }

    stage(
        3,
        "Apply again",
        "Nothing changed in between, so nothing may be written.",
    )?;
    let before = sandbox.zivver.control().journal().len();
    let again = run(engine, Mode::Apply, output).await?;
    let again_writes = writes(sandbox, before);
    if !output.is_json() {
        output.print(&format!("{}\n", report::totals_page(&again)))?;
    }

    let checks = checks(
        &[
            (&preview, preview_writes),
            (&applied, apply_writes),
            (&again, again_writes),
        ],
        sandbox,
    );
    let passed = checks.iter().all(|check| check.holds);
    conclude(&applied, &checks, output)?;
    if passed {
        Ok(Status::InSync)
    } else {
        Err(CliError::Failed(
            "the demonstration did not end as it should; the checks above say where".to_owned(),
        ))
    }
}

async fn run(engine: &Engine, mode: Mode, output: Output) -> Result<Report, CliError> {
    let request = RunRequest::new(mode, Trigger::CommandLine);
    let report = observed(engine, &request, output).await?;
    if report.outcome == RunOutcome::Failed {
        let error = report
            .error
            .as_deref()
            .unwrap_or("it failed without a word");
        return Err(CliError::Failed(text::inert(error).to_string()));
    }
    Ok(report)
}

/// Requests that the simulated Zivver got since, other than GET.
fn writes(sandbox: &Sandbox, since: usize) -> usize {
    let journal = sandbox.zivver.control().journal();
    let is_write = |entry: &&Entry| entry.method != "GET";
    journal.iter().skip(since).filter(is_write).count()
}

/// One thing that must hold, and what was found.
#[derive(Debug, serde::Serialize)]
struct Check {
    what: &'static str,
    found: String,
    holds: bool,
}

fn checks(runs: &[(&Report, usize); 3], sandbox: &Sandbox) -> Vec<Check> {
    let [
        (preview, preview_writes),
        (applied, apply_writes),
        (again, again_writes),
    ] = *runs;
    let unexpected = |report: &Report| {
        let sets = report.held.iter();
        sets.filter(|set| !MEANT_TO_BE_HELD.contains(&set.class))
            .count()
    };
    let refused = sandbox.zivver.refused();
    vec![
        Check {
            what: "the preview wrote nothing",
            found: text::number(count(preview_writes), "write", "writes"),
            holds: preview_writes == 0 && !preview.actions.is_empty(),
        },
        Check {
            what: "the apply made the changes, and none was refused",
            found: format!(
                "{}, {} refused or failed",
                text::number(count(apply_writes), "write", "writes"),
                applied.failed.len()
            ),
            holds: apply_writes > 0 && applied.failed.is_empty(),
        },
        Check {
            what: "read again, Zivver follows Exchange",
            found: if applied.converged == Some(true) {
                "converged".to_owned()
            } else {
                text::number(
                    count(applied.differences.len()),
                    "difference",
                    "differences",
                )
            },
            holds: applied.converged == Some(true),
        },
        Check {
            what: "the second apply wrote nothing",
            found: text::number(count(again_writes), "write", "writes"),
            holds: again_writes == 0,
        },
        Check {
            what: "only what a person must decide is held",
            found: text::number(applied.counts.held, "change held", "changes held"),
            holds: unexpected(applied) + unexpected(again) == 0,
        },
        Check {
            what: "Zivver's limit was never exceeded",
            found: text::number(refused, "call refused", "calls refused"),
            holds: refused == 0,
        },
    ]
}

fn conclude(applied: &Report, checks: &[Check], output: Output) -> Result<(), CliError> {
    if output.is_json() {
        output.show(
            &serde_json::json!({"applied": applied, "checks": checks}),
            String::new,
        )?;
        return Ok(());
    }
    let mut page = format!(
        "{BOLD}4. What was checked{BOLD:#}\n{DIM}In what the simulated Zivver was asked, not in our own words.{DIM:#}\n\n"
    );
    let width = checks
        .iter()
        .map(|check| check.what.len())
        .max()
        .unwrap_or(0);
    for check in checks {
        let (word, style) = if check.holds {
            ("yes", GREEN)
        } else {
            ("NO ", RED)
        };
        page.push_str(&format!(
            "  {style}{word}{style:#}  {:width$}  {DIM}{}{DIM:#}\n",
            check.what, check.found
        ));
    }
    page.push_str(&format!(
        "\nNext: {BOLD}cloud-sync sandbox{BOLD:#} keeps such an organisation running to play with; README.md says how to use your own.\n"
    ));
    output.print(&page)?;
    Ok(())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
