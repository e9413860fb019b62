//! Formats a report: planned changes, held changes, failures, accounts left alone, and totals.

mod left;
mod totals;

use std::fmt::{self, Write as _};

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
    text::written(|out| write(out, report, detail))
}

/// The page of a run of the history.
pub(super) fn stored_page(report: &Report, detail: DetailArgs) -> String {
    page(report, detail) + &text::written(|out| totals::write_error(out, report))
}

/// R40: what the report says about one address, and of which run it is.
pub(super) fn page_of(report: &Report, address: &SmtpAddress, detail: DetailArgs) -> String {
    text::written(|out| {
        write_lists(out, report, detail)?;
        totals::write_run(out, report, address)
    })
}

#[cfg(feature = "sandbox")]
/// The last lines of a page only.
pub(super) fn totals_page(report: &Report) -> String {
    text::written(|out| totals::write(out, report))
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
    let (_, style) = mark(kind);
    let heading = Heading {
        style,
        title: &words::capital(words::verb(kind)),
        of: ["account", "accounts"],
        note: words::meaning(kind, report),
    };
    write_list(out, heading, &actions, detail, |out, shown| {
        write_action_with_end(out, &shown.action, detail, Some(shown))
    })
}

/// The first line of a list.
#[derive(Clone, Copy)]
struct Heading<'a> {
    style: Style,
    title: &'a str,
    /// One entry, and several.
    of: [&'a str; 2],
    note: &'a str,
}

impl Heading<'_> {
    fn write(&self, out: &mut String, count: usize) -> fmt::Result {
        let (style, title, [one, many]) = (self.style, self.title, self.of);
        let count = words::number(count, one, many);
        write!(out, "{style}{BOLD}{title}{BOLD:#}{style:#} {count}")?;
        if !self.note.is_empty() {
            write!(out, "  {DIM}{}{DIM:#}", self.note)?;
        }
        writeln!(out)
    }
}

/// A list with as many entries as are shown; nothing if it is empty.
fn write_list<T>(
    out: &mut String,
    heading: Heading<'_>,
    entries: &[T],
    detail: DetailArgs,
    write: impl Fn(&mut String, &T) -> fmt::Result,
) -> fmt::Result {
    if entries.is_empty() {
        return Ok(());
    }
    heading.write(out, entries.len())?;
    for entry in entries.iter().take(limit(detail)) {
        write(out, entry)?;
    }
    write_more(out, entries.len(), detail)?;
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
                    inert(&change.entry_in_words(value)),
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
    let heading = Heading {
        style: YELLOW,
        title: "Changed by hand in Zivver",
        of: ["change", "changes"],
        note: words::BY_HAND,
    };
    write_list(out, heading, &all, detail, |out, it| {
        writeln!(
            out,
            "  {YELLOW}!{YELLOW:#} {}  {}",
            inert(it.address().as_str()),
            inert(&words::taken_back(it))
        )
    })
}

fn write_held(out: &mut String, report: &Report, detail: DetailArgs) -> fmt::Result {
    if report.held.is_empty() {
        return Ok(());
    }
    let held: usize = report.held.iter().map(|set| set.changes.len()).sum();
    let decided = [
        (report.decided_since(|set| &set.approved), "approved"),
        (report.decided_since(|set| &set.rejected), "rejected"),
    ];
    let decided = decided.into_iter().filter(|(number, _)| *number > 0);
    let since = decided.map(|(number, word)| format!("{} {word} since", words::thousands(number)));
    let mut notes: Vec<String> = since.collect();
    if held == 0 {
        let notes = notes.join("; ");
        writeln!(
            out,
            "{YELLOW}{BOLD}Held back then{BOLD:#}{YELLOW:#}  {DIM}{notes}{DIM:#}"
        )?;
    } else {
        notes.insert(0, "until a person approves them".to_owned());
        let heading = Heading {
            style: YELLOW,
            title: "Held back",
            of: ["change", "changes"],
            note: &notes.join("; "),
        };
        heading.write(out, held)?;
    }
    let approve = (words::approve_command(report), words::approved_with(report));
    for set in &report.held {
        write_held_set(out, set, &approve, detail)?;
    }
    writeln!(out)
}

fn write_held_set(
    out: &mut String,
    set: &HeldSet,
    (command, scope): &(String, &str),
    detail: DetailArgs,
) -> fmt::Result {
    writeln!(
        out,
        "  {YELLOW}!{YELLOW:#} {BOLD}{}{BOLD:#}: {}",
        words::class(set.class),
        inert(&words::reason(set))
    )?;
    write_held_changes(out, &set.changes, detail)?;
    for (changes, what) in [
        (
            &set.companions,
            "they need, and the code approves with them (R27)",
        ),
        (
            &set.approved,
            "approved since, and made or about to be made (R47)",
        ),
        (
            &set.rejected,
            "rejected since, and not approved with the code alone; `cloud-sync reject` lists the rejections (R47)",
        ),
    ] {
        if !changes.is_empty() {
            writeln!(out, "      {DIM}{what}:{DIM:#}")?;
            write_held_changes(out, changes, detail)?;
        }
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
            "      approve with: `{} {CYAN}{}{CYAN:#}`  {DIM}within 24 hours; {scope} (R27){DIM:#}",
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
        "      or reject them: `cloud-sync reject {}`  {DIM}{commands} --account ADDRESS for single accounts (R47){DIM:#}",
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
    let heading = Heading {
        style: RED,
        title: "Refused or failed",
        of: ["account", "accounts"],
        note: "",
    };
    write_list(out, heading, failed, detail, |out, action| {
        writeln!(
            out,
            "  {RED}!{RED:#} {}  {DIM}{}{DIM:#}",
            inert(action.address.as_str()),
            words::verb(action.kind)
        )?;
        for problem in &action.problems {
            writeln!(out, "      {}", told(problem))?;
        }
        Ok(())
    })
}

/// R36.
fn write_differences(out: &mut String, report: &Report, detail: DetailArgs) -> fmt::Result {
    let heading = Heading {
        style: YELLOW,
        title: "Still different",
        of: ["account", "accounts"],
        note: "read again after applying (R36)",
    };
    write_list(out, heading, &report.differences, detail, |out, action| {
        write_action_with_end(out, action, detail, None)
    })
}

fn write_more(out: &mut String, all: usize, detail: DetailArgs) -> fmt::Result {
    match all.saturating_sub(limit(detail)) {
        0 => Ok(()),
        more => writeln!(
            out,
            "      {DIM}… and {} more ({}){DIM:#}",
            words::thousands(more),
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
