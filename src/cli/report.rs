//! Formats a report: planned changes, held changes, failures, accounts left alone, and totals.

mod left;
mod totals;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use anstyle::Style;

use super::{
    args::DetailArgs,
    explanation::Arrow,
    output::{BOLD, CYAN, DIM, GREEN, RED, YELLOW},
    text::{self, inert, told},
    words,
};
use domain::{
    address::SmtpAddress,
    delta::Reason,
    hold::{HeldChange, HeldSet},
    mode::Mode,
    plan::{Action, ActionKind, Attribute, AttributeChange},
    report::{ActionOutcome, ActionReport, FailedAction, Report, RunOutcome},
};

/// How many entries of a list are shown without `--all`.
const ENTRIES_MAX: usize = 20;

/// The order of the kinds. Destructive ones come last, next to the totals, where they are noticed first.
const KINDS: [ActionKind; 6] = [
    ActionKind::Create,
    ActionKind::Rename,
    ActionKind::Resume,
    ActionKind::Update,
    ActionKind::Suspend,
    ActionKind::Empty,
];

pub(super) fn page(report: &Report, mut detail: DetailArgs) -> String {
    if !report.accounts.is_empty() {
        // R39: accounts that the user named are shown in full.
        detail.all = true;
        detail.skipped = true;
    }
    let mut out = String::new();
    write(&mut out, report, detail).expect("writing to a string does not fail");
    out
}

/// R40: what the report says about one address, and of which run it is.
pub(super) fn page_of(report: &Report, address: &SmtpAddress, detail: DetailArgs) -> String {
    let mut out = String::new();
    write_lists(&mut out, report, detail)
        .and_then(|()| totals::write_run(&mut out, report, address))
        .expect("writing to a string does not fail");
    out
}

#[cfg(feature = "sandbox")]
/// The last lines of a page only.
pub(super) fn totals_page(report: &Report) -> String {
    let mut out = String::new();
    totals::write(&mut out, report).expect("writing to a string does not fail");
    out
}

fn write(out: &mut String, report: &Report, detail: DetailArgs) -> fmt::Result {
    write_lists(out, report, detail)?;
    totals::write(out, report)
}

fn write_lists(out: &mut String, report: &Report, detail: DetailArgs) -> fmt::Result {
    for kind in KINDS {
        write_kind(out, report, kind, detail)?;
    }
    write_by_hand(out, report, detail)?;
    write_held(out, report, detail)?;
    write_failed(out, &report.failed, detail)?;
    left::write(out, report, detail)?;
    write_differences(out, report, detail)
}

fn write_kind(
    out: &mut String,
    report: &Report,
    kind: ActionKind,
    detail: DetailArgs,
) -> fmt::Result {
    let of_kind = report.actions.iter().filter(|it| it.action.kind == kind);
    let actions: Vec<&ActionReport> = of_kind.collect();
    if actions.is_empty() {
        return Ok(());
    }
    let (_, style) = mark(kind);
    let verb = words::verb(kind);
    writeln!(
        out,
        "{style}{BOLD}{}{BOLD:#}{style:#} {}  {DIM}{}{DIM:#}",
        capitalised(verb),
        words::number(count(actions.len()), "account", "accounts"),
        words::meaning(kind, report)
    )?;
    for shown in actions.iter().take(limit(detail)) {
        write_action_with_end(out, &shown.action, detail, Some(shown))?;
    }
    write_more(out, actions.len(), detail)?;
    writeln!(out)
}

/// One action with its changes and reasons.
pub(super) fn write_action(out: &mut String, action: &Action, verbose: bool) -> fmt::Result {
    let detail = DetailArgs {
        verbose,
        ..DetailArgs::default()
    };
    write_action_with_end(out, action, detail, None)
}

fn write_action_with_end(
    out: &mut String,
    action: &Action,
    detail: DetailArgs,
    end: Option<&ActionReport>,
) -> fmt::Result {
    let (sign, style) = mark(action.kind);
    write!(
        out,
        "  {style}{sign}{style:#} {}  {DIM}{}{DIM:#}",
        inert(action.address.as_str()),
        words::account(action.account)
    )?;
    let ended = end.map(|end| end.outcome);
    if let Some(ended) = ended.filter(|ended| *ended != ActionOutcome::Planned) {
        let style = end_style(ended);
        write!(out, "  {style}{}{style:#}", words::action_outcome(ended))?;
    }
    writeln!(out)?;
    for change in &action.changes {
        write_change(out, change, detail)?;
    }
    if let Some(end) = end {
        write_left(out, &end.left, detail)?;
        for problem in &end.problems {
            writeln!(out, "      {RED}{}{RED:#}", told(problem))?;
        }
    }
    write_reasons(out, &action.reasons, detail)
}

/// R34: changes of an action that were not made when the run ended, compared with what is in Zivver now.
fn write_left(out: &mut String, left: &[AttributeChange], detail: DetailArgs) -> fmt::Result {
    if left.is_empty() {
        return Ok(());
    }
    writeln!(out, "      {YELLOW}{}:{YELLOW:#}", words::NOT_MADE)?;
    for change in left {
        write_change(out, change, detail)?;
    }
    Ok(())
}

fn write_change(out: &mut String, change: &AttributeChange, detail: DetailArgs) -> fmt::Result {
    let name = words::attribute(change.attribute);
    // R44
    let origin = |entry: &str| match change.origins.get(entry) {
        Some(origin) if detail.verbose => format!("  {DIM}{}{DIM:#}", words::origin(*origin)),
        Some(_) | None => String::new(),
    };
    match change.attribute {
        Attribute::Address
        | Attribute::Name
        | Attribute::Active
        | Attribute::ObjectId
        | Attribute::SignInKey => {
            let before = change.before.join(", ");
            let after = change.after.join(", ");
            let origin = origin(&after);
            match (before.is_empty(), after.is_empty()) {
                (false, false) => writeln!(
                    out,
                    "      {name:<10} {} → {}{origin}",
                    value(change.attribute, &before),
                    value(change.attribute, &after)
                ),
                (true, _) => writeln!(
                    out,
                    "      {name:<10} {}{origin}",
                    value(change.attribute, &after)
                ),
                (false, true) => {
                    writeln!(
                        out,
                        "      {name:<10} {} → none",
                        value(change.attribute, &before)
                    )
                }
            }
        }
        Attribute::Aliases | Attribute::Delegates => {
            let gone = change.before.iter().map(|value| ("-", RED, value));
            let come = change.after.iter().map(|value| ("+", GREEN, value));
            for (at, (sign, style, value)) in come.chain(gone).enumerate() {
                let name = if at == 0 { name } else { "" };
                writeln!(
                    out,
                    "      {name:<10} {style}{sign} {}{style:#}{}",
                    inert(&words::entry(change, value)),
                    origin(value)
                )?;
            }
            Ok(())
        }
    }
}

/// Names are quoted, since they may begin or end with any character.
fn value(attribute: Attribute, text: &str) -> String {
    match attribute {
        Attribute::Name => format!("\"{}\"", inert(text)),
        Attribute::Address
        | Attribute::Active
        | Attribute::ObjectId
        | Attribute::SignInKey
        | Attribute::Aliases
        | Attribute::Delegates => inert(text).to_string(),
    }
}

fn write_reasons(out: &mut String, reasons: &[Reason], detail: DetailArgs) -> fmt::Result {
    if detail.verbose {
        for reason in reasons {
            writeln!(
                out,
                "      {DIM}{:<4}{}{DIM:#}",
                reason.rule,
                told(&reason.fact)
            )?;
        }
        return Ok(());
    }
    // The reasons of R16 (which account belongs to which mailbox) come last, since they are rarely the question.
    let (whose, why): (Vec<&Reason>, Vec<&Reason>) =
        reasons.iter().partition(|reason| reason.rule == "R16");
    let texts: Vec<String> = why
        .into_iter()
        .chain(whose)
        .map(|reason| format!("{:<3} {}", reason.rule, told(&reason.fact)))
        .collect();
    if texts.is_empty() {
        return Ok(());
    }
    writeln!(out, "      {DIM}{}{DIM:#}", texts.join("; "))
}

/// R44
fn write_by_hand(out: &mut String, report: &Report, detail: DetailArgs) -> fmt::Result {
    let all: Vec<_> = report.by_hand().collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{YELLOW}{BOLD}Changed by hand in Zivver{BOLD:#}{YELLOW:#} {}  {DIM}{}{DIM:#}",
        words::number(count(all.len()), "change", "changes"),
        words::BY_HAND
    )?;
    for it in all.iter().take(limit(detail)) {
        writeln!(
            out,
            "  {YELLOW}!{YELLOW:#} {}  {}",
            inert(it.address().as_str()),
            inert(&words::taken_back(it))
        )?;
    }
    write_more(out, all.len(), detail)?;
    writeln!(out)
}

fn write_held(out: &mut String, report: &Report, detail: DetailArgs) -> fmt::Result {
    if report.held.is_empty() {
        return Ok(());
    }
    let changes: usize = report.held.iter().map(|set| set.changes.len()).sum();
    let rejected: usize = report.held.iter().map(|set| set.rejected.len()).sum();
    let approved: usize = report.held.iter().map(|set| set.approved.len()).sum();
    write!(
        out,
        "{YELLOW}{BOLD}Held back{BOLD:#}{YELLOW:#} {}  {DIM}until a person approves them",
        words::number(count(changes), "change", "changes")
    )?;
    for (number, word) in [(approved, "approved"), (rejected, "rejected")] {
        if number > 0 {
            write!(out, "; {} {word} since", words::thousands(count(number)))?;
        }
    }
    writeln!(out, "{DIM:#}")?;
    let command = words::approve_command(report);
    for set in &report.held {
        write_held_set(out, set, &command, detail)?;
    }
    writeln!(out)
}

fn write_held_set(
    out: &mut String,
    set: &HeldSet,
    command: &str,
    detail: DetailArgs,
) -> fmt::Result {
    writeln!(
        out,
        "  {YELLOW}!{YELLOW:#} {BOLD}{}{BOLD:#}: {}",
        words::class(set.class),
        inert(&words::reason(set))
    )?;
    write_held_changes(out, &set.changes, detail)?;
    if !set.companions.is_empty() {
        writeln!(
            out,
            "      {DIM}they need, and the code approves with them (R27):{DIM:#}"
        )?;
        write_held_changes(out, &set.companions, detail)?;
    }
    if !set.approved.is_empty() {
        writeln!(
            out,
            "      {DIM}approved since, and made or about to be made (R47):{DIM:#}"
        )?;
        write_held_changes(out, &set.approved, detail)?;
    }
    if !set.rejected.is_empty() {
        writeln!(
            out,
            "      {DIM}rejected since, and not approved with the code alone; `cloud-sync reject` lists the rejections (R47):{DIM:#}"
        )?;
        write_held_changes(out, &set.rejected, detail)?;
    }
    // R46
    if set.code.is_empty() || set.is_decided() {
        return Ok(());
    }
    if let Some(how) = set.second_person.as_ref().filter(|_| set.can_be_made()) {
        writeln!(out, "      to approve: {CYAN}{}{CYAN:#}", inert(how))?;
    } else if set.can_be_made() {
        writeln!(
            out,
            "      approve with: {} {CYAN}{}{CYAN:#}  {DIM}within 24 hours, exactly these changes (R27){DIM:#}",
            inert(command),
            set.code
        )?;
    }
    let commands = match set.second_person {
        Some(_) => "it takes",
        None => "both commands take",
    };
    writeln!(
        out,
        "      or reject them: cloud-sync reject {}  {DIM}{commands} --account ADDRESS for single accounts (R47){DIM:#}",
        set.code
    )
}

fn write_held_changes(out: &mut String, changes: &[HeldChange], detail: DetailArgs) -> fmt::Result {
    let addresses = changes.iter().map(|it| it.address.as_str());
    let width = addresses.map(text::columns).max().unwrap_or(0).min(44);
    for change in changes.iter().take(limit(detail)) {
        let address = inert(change.address.as_str()).to_string();
        let pad = width.saturating_sub(text::columns(&address));
        write!(
            out,
            "      {address}{:pad$}  {}  {}{}",
            "",
            inert(&change.what),
            inert(&change.before),
            Arrow(&change.after)
        )?;
        // R44
        match change.origin {
            Some(origin) => writeln!(out, "  {DIM}{}{DIM:#}", words::origin(origin))?,
            None => writeln!(out)?,
        }
        if let Some(why) = &change.waits {
            writeln!(out, "        not even if approved: {}", inert(why))?;
        }
    }
    write_more(out, changes.len(), detail)
}

fn write_failed(out: &mut String, failed: &[FailedAction], detail: DetailArgs) -> fmt::Result {
    if failed.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{RED}{BOLD}Refused or failed{BOLD:#}{RED:#} {}",
        words::number(count(failed.len()), "account", "accounts")
    )?;
    for action in failed.iter().take(limit(detail)) {
        writeln!(
            out,
            "  {RED}!{RED:#} {}  {DIM}{}{DIM:#}",
            inert(action.address.as_str()),
            words::verb(action.kind)
        )?;
        for problem in &action.problems {
            writeln!(out, "      {}", told(problem))?;
        }
    }
    write_more(out, failed.len(), detail)?;
    writeln!(out)
}

/// R36.
fn write_differences(out: &mut String, report: &Report, detail: DetailArgs) -> fmt::Result {
    if report.differences.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{YELLOW}{BOLD}Still different{BOLD:#}{YELLOW:#} {}  {DIM}read again after applying (R36){DIM:#}",
        words::number(count(report.differences.len()), "account", "accounts")
    )?;
    for action in report.differences.iter().take(limit(detail)) {
        write_action_with_end(out, action, detail, None)?;
    }
    write_more(out, report.differences.len(), detail)?;
    writeln!(out)
}

fn write_more(out: &mut String, all: usize, detail: DetailArgs) -> fmt::Result {
    match all.saturating_sub(limit(detail)) {
        0 => Ok(()),
        more => writeln!(
            out,
            "      {DIM}… and {} more ({}){DIM:#}",
            words::thousands(count(more)),
            detail.with("--all")
        ),
    }
}

fn limit(detail: DetailArgs) -> usize {
    if detail.all { usize::MAX } else { ENTRIES_MAX }
}

fn mark(kind: ActionKind) -> (&'static str, Style) {
    match kind {
        ActionKind::Create => ("+", GREEN),
        ActionKind::Rename => (">", CYAN),
        ActionKind::Resume => ("^", GREEN),
        ActionKind::Update => ("~", CYAN),
        ActionKind::Suspend | ActionKind::Empty => ("-", RED),
    }
}

fn end_style(outcome: ActionOutcome) -> Style {
    match outcome {
        ActionOutcome::Planned | ActionOutcome::Remaining => DIM,
        ActionOutcome::Applied => GREEN,
        ActionOutcome::Partly => YELLOW,
        ActionOutcome::Refused | ActionOutcome::Failed => RED,
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
