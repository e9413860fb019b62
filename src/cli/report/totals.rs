//! The last lines of a page: totals, duration, next steps.

use super::{
    BOLD, CYAN, DIM, GREEN, KINDS, Mode, RED, Report, RunOutcome, YELLOW, fmt, inert, told, words,
};
use domain::{
    address::SmtpAddress,
    all_clear::{AllClear, Verification},
    report::{RunState, ServiceRequests},
    since::Comparison,
    suspended::DELETABLE_AFTER_DAYS,
};
use fmt::Write as _;

pub(super) fn write(out: &mut String, report: &Report) -> fmt::Result {
    for warning in &report.warnings {
        writeln!(out, "{YELLOW}warning:{YELLOW:#} {}", told(warning))?;
    }
    if !report.resumed_from.is_empty() {
        writeln!(
            out,
            "{YELLOW}taken up:{YELLOW:#} the work of {}, which was cut off (R35)",
            inert(&report.resumed_from.join(", "))
        )?;
    }
    if !report.accounts.is_empty() {
        let named: Vec<String> = report.accounts.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "{DIM}only for {} (R39){DIM:#}",
            inert(&named.join(", "))
        )?;
    }
    if let Some(depth) = words::depth(report.depth) {
        writeln!(out, "{DIM}{depth}{DIM:#}")?;
    }
    if let Some(wave) = &report.wave {
        writeln!(out, "{DIM}{}{DIM:#}", inert(&words::wave(wave)))?;
    }
    for setting in &report.settings {
        let text = setting.to_string();
        writeln!(
            out,
            "{YELLOW}under another setting (R46):{YELLOW:#} {}",
            inert(&text)
        )?;
    }
    if let Some(preview) = &report.applies {
        writeln!(out, "{DIM}{}{DIM:#}", inert(&words::applies(preview)))?;
    }
    if let Some(others) = report.others.and_then(words::others) {
        writeln!(out, "{DIM}{others}{DIM:#}")?;
    }
    write_suspended(out, report)?;
    write_comparisons(out, report)?;
    write_verdict(out, report)?;
    let is_for_later = report.planned_writes > 0 || !report.held.is_empty();
    if let Some(forbidden) = words::forbidden(report).filter(|_| is_for_later) {
        writeln!(out, "{YELLOW}{forbidden}{YELLOW:#}")?;
    }
    write_read(out, report)?;
    write_requests(out, report)?;
    let approves = words::approves(report);
    let approves = approves.map_or_else(String::new, |it| format!(", approved {it}"));
    writeln!(out, "{DIM}{}{}{DIM:#}", run(report), inert(&approves))
}

/// Which run it is, and who started it.
fn run(report: &Report) -> String {
    let by = words::started_by(report.trigger, report.started_by.as_ref());
    let mode = words::mode_of(report.mode, report.depth);
    format!("run {} ({mode}), by {}", inert(&report.id), inert(&by))
}

fn write_comparisons(out: &mut String, report: &Report) -> fmt::Result {
    if let Some(since) = &report.since {
        let heading = format!("since run {} ended", since.run);
        write_comparison(
            out,
            &heading,
            ["new", "no longer open"],
            "was ",
            &since.compared,
        )?;
    }
    if let Some(compared) = &report.compared {
        let heading = "beside the plan under the present settings";
        write_comparison(out, heading, ["added", "left out"], "", compared)?;
    }
    if let Some(origins) = words::origins(report) {
        writeln!(out, "{DIM}{origins}{DIM:#}")?;
    }
    Ok(())
}

/// R40: the run whose report is shown for one address only.
pub(super) fn write_run(out: &mut String, report: &Report, address: &SmtpAddress) -> fmt::Result {
    let what = if report.is_silent() {
        "nothing is reported of"
    } else {
        "shown is only what is reported of"
    };
    writeln!(out, "{what} {}", inert(address.as_str()))?;
    let standing = words::standing_of(report.state, report.outcome);
    writeln!(out, "{DIM}the whole {}: {standing}{DIM:#}", run(report))?;
    write_error(out, report)
}

/// The cause and the remedy of a run that failed. A command that makes the run itself ends with them as its error.
pub(super) fn write_error(out: &mut String, report: &Report) -> fmt::Result {
    match &report.error {
        Some(error) => writeln!(out, "{RED}{}{RED:#}", told(error)),
        None => Ok(()),
    }
}

/// Suspended accounts that Zivver may soon delete permanently.
fn write_suspended(out: &mut String, report: &Report) -> fmt::Result {
    let Some(first) = report.suspended.first() else {
        return Ok(());
    };
    writeln!(
        out,
        "{DIM}Cloud Sync suspended {}. If Zivver deletes users after {DELETABLE_AFTER_DAYS} days of suspension, it deletes the first ({}) on {} or later.{DIM:#}",
        words::number(report.suspended.len(), "account", "accounts"),
        inert(first.address.as_str()),
        first.deletable
    )
}

/// What changed since the previous run ended, or what differs under other settings.
fn write_comparison(
    out: &mut String,
    heading: &str,
    [come, gone]: [&str; 2],
    was: &str,
    compared: &Comparison,
) -> fmt::Result {
    const NAMED_MAX: usize = 5;
    let mut parts: Vec<String> = compared
        .numbers
        .iter()
        .map(|number| {
            let change = i64::from(number.now) - i64::from(number.before);
            let sign = if change < 0 { '-' } else { '+' };
            format!(
                "{sign}{} {}",
                words::thousands(change.unsigned_abs()),
                words::number_of(&number.what)
            )
        })
        .collect();
    for (total, word) in [(compared.new_total, come), (compared.gone_total, gone)] {
        if total > 0 {
            let total = words::number(total, "finding", "findings");
            parts.push(format!("{total} {word}"));
        }
    }
    if parts.is_empty() {
        parts.push("nothing changed".to_owned());
    }
    writeln!(out, "{DIM}{}:{DIM:#} {}", inert(heading), parts.join(", "))?;
    for (sign, style, then, findings, total) in [
        ("+", CYAN, "", &compared.new, compared.new_total),
        ("-", DIM, was, &compared.gone, compared.gone_total),
    ] {
        for finding in findings.iter().take(NAMED_MAX) {
            writeln!(
                out,
                "  {style}{sign}{style:#} {}  {DIM}{then}{}: {}{DIM:#}",
                inert(&finding.address),
                words::finding(finding.kind),
                told(&finding.text)
            )?;
        }
        let more = findings.len().min(NAMED_MAX);
        match (total as usize).saturating_sub(more) {
            0 => {}
            more => writeln!(out, "    {DIM}… and {} more{DIM:#}", words::thousands(more))?,
        }
    }
    Ok(())
}

fn write_verdict(out: &mut String, report: &Report) -> fmt::Result {
    let style = match report.outcome {
        RunOutcome::Failed => {
            let title = match report.mode {
                Mode::Preview => "The preview failed",
                Mode::Apply => "The run failed",
            };
            writeln!(out, "{RED}{BOLD}{title}{BOLD:#}{RED:#}")?;
            return Ok(());
        }
        RunOutcome::Open | RunOutcome::Stopped => DIM,
        RunOutcome::InSync | RunOutcome::Done => GREEN,
        RunOutcome::ChangesPending | RunOutcome::NeedsAttention => YELLOW,
    };
    let title = words::capital(words::outcome(report.outcome));
    write!(out, "{style}{BOLD}{title}{BOLD:#}{style:#}")?;
    match report.mode {
        Mode::Preview => write_planned(out, report),
        Mode::Apply => write_applied(out, report),
    }
}

fn write_planned(out: &mut String, report: &Report) -> fmt::Result {
    let planned = KINDS.map(|kind| {
        let count = report.counts.planned.get(&kind);
        (
            count.copied().unwrap_or_default(),
            format!("to {}", words::verb(kind)),
        )
    });
    let planned = planned.iter().map(|(count, what)| (*count, &**what));
    let mut parts = words::of_accounts(planned);
    let nothing = report.nothing_to_change();
    parts.extend(nothing.map(|it| words::all_clear(it, false, report)));
    if report.undoes.is_some() && report.outcome == RunOutcome::Done {
        parts.push(words::NOTHING_TO_TAKE_BACK.to_owned());
    }
    parts.extend(rest(report));
    write_parts(out, &parts)?;
    if report.is_hypothetical() {
        writeln!(out, "{}", words::HYPOTHETICAL)?;
    } else if report.planned_writes > 0 {
        let estimate = words::estimate(report.planned_writes, report.estimate_ms);
        write!(out, "{estimate}. Nothing was written")?;
        if report.is_outdated {
            writeln!(out, ". {}", words::OUTDATED)?;
        } else {
            let command = words::apply_command_of(report);
            writeln!(out, ": `{}` makes these changes.", inert(&command))?;
        }
    }
    Ok(())
}

fn write_applied(out: &mut String, report: &Report) -> fmt::Result {
    let counts = &report.counts;
    let applied = KINDS.map(|kind| {
        let count = counts.applied.get(&kind);
        (count.copied().unwrap_or_default(), words::past(kind))
    });
    let others = [
        (counts.in_part, "of them in part"),
        (counts.refused, "refused"),
        (counts.failed, "failed"),
        (report.not_started(), "not started"),
    ];
    let mut parts = words::of_accounts(applied.into_iter().chain(others));
    if counts.applied.is_empty() && report.state == RunState::Ended {
        parts.insert(0, "nothing was changed".to_owned());
    }
    parts.extend(rest(report));
    write_parts(out, &parts)?;
    match report.verification() {
        Verification::AsPlanned { of, is_partial } => writeln!(
            out,
            "{GREEN}{}{GREEN:#}: read again, {}.",
            words::capital(AllClear::Converged.text()),
            words::all_clear(of, is_partial, report)
        ),
        Verification::Undone { .. }
        | Verification::Covered { .. }
        | Verification::LeftForLater { .. } => {
            writeln!(out, "{}", words::verdict(report))
        }
        Verification::Differs if report.differences.is_empty() => writeln!(
            out,
            "{YELLOW}Not converged{YELLOW:#}: {}.",
            words::waiting(report)
        ),
        Verification::Differs => writeln!(
            out,
            "{YELLOW}Not converged{YELLOW:#}: read again, {} still different.",
            words::number(report.differences.len(), "account is", "accounts are")
        ),
        Verification::Preview | Verification::NotVerified => Ok(()),
    }
}

fn write_parts(out: &mut String, parts: &[String]) -> fmt::Result {
    if parts.is_empty() {
        return writeln!(out, ".");
    }
    writeln!(out, ": {}.", parts.join(", "))
}

fn rest(report: &Report) -> Vec<String> {
    let approved = report.decided_since(|set| &set.approved);
    let (change, finding) = (["change", "changes"], ["finding", "findings"]);
    let parts = [
        (report.counts.held as usize, change, "held back"),
        (approved, change, "approved since"),
        (report.attention().count(), finding, "to look at"),
        (report.rejected(), change, "rejected"),
        (
            report.review_outdated(),
            ["reviewed change", "reviewed changes"],
            "not made",
        ),
        (report.left_for_later(), finding, "left for later"),
    ];
    let parts = parts.into_iter().filter(|(count, ..)| *count > 0);
    let parts = parts
        .map(|(count, [one, many], what)| format!("{} {what}", words::number(count, one, many)));
    parts.collect()
}

fn write_read(out: &mut String, report: &Report) -> fmt::Result {
    let (source, target) = (&report.source, &report.target);
    if source.mailboxes == 0 && target.users == 0 {
        return Ok(());
    }
    write!(
        out,
        "{DIM}read {}",
        words::mailboxes_in_scope(source.mailboxes, source.in_scope)
    )?;
    if source.rejected > 0 {
        write!(
            out,
            ", {} not understood",
            words::thousands(source.rejected)
        )?;
    }
    write!(
        out,
        "; Zivver has {} and {} functional, {} active",
        words::number(target.users, "user", "users"),
        words::thousands(target.functional),
        words::thousands(target.active)
    )?;
    if target.outside > 0 {
        write!(
            out,
            ", {} outside the claimed domains",
            words::thousands(target.outside)
        )?;
    }
    if target.rejected > 0 {
        write!(
            out,
            ", {} not understood",
            words::thousands(target.rejected)
        )?;
    }
    writeln!(out, "{DIM:#}")
}

fn write_requests(out: &mut String, report: &Report) -> fmt::Result {
    // A run that has not ended, or was killed, has not counted them.
    if report.duration_ms == 0 {
        return Ok(());
    }
    let requests = &report.requests;
    writeln!(
        out,
        "{DIM}asked Exchange {} and Zivver {} in {}{}{DIM:#}",
        times(&requests.exchange),
        times(&requests.zivver),
        words::duration(report.duration_ms),
        words::parts_of(report.timing)
    )
}

fn times(requests: &ServiceRequests) -> String {
    let total = words::number(requests.total, "time", "times");
    match (requests.retries, requests.throttled) {
        (0, 0) => total,
        (retries, 0) => format!("{total}, {} repeated", words::thousands(retries)),
        (0, throttled) => format!("{total}, {} throttled", words::thousands(throttled)),
        (retries, throttled) => format!(
            "{total}, {} repeated, {} throttled",
            words::thousands(retries),
            words::thousands(throttled)
        ),
    }
}
