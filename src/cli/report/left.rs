//! Accounts that were left alone, with the reason: listed if a person must act, otherwise counted.

use super::{
    BOLD, DIM, DetailArgs, Heading, Report, Style, YELLOW, fmt, inert, limit, told, words,
    write_more,
};
use crate::render::findings::{by_code, taken};
use domain::note::{Code, Note};
use fmt::Write as _;

pub(super) fn write(out: &mut String, report: &Report, detail: DetailArgs) -> fmt::Result {
    let mut others: Vec<&Note> = report.skipped.iter().collect();
    let attention = taken(&mut others, Code::needs_attention);
    let later = taken(&mut others, Code::is_left_for_later);
    let rejected = taken(&mut others, |code| code == Code::Rejection);
    let outdated = taken(&mut others, |code| code == Code::ReviewOutdated);
    let finding = ["finding", "findings"];
    let heading = |style, title, of, note| Heading {
        style,
        title,
        of,
        note,
    };
    let until = "left as they are until a person decides";
    let attention_heading = heading(YELLOW, "Needs attention", finding, until);
    write_notes(out, attention_heading, &attention, detail, true)?;
    let kinds = words::left_by_kind(&later).unwrap_or_default();
    let later_heading = heading(YELLOW, "Left for a later run", finding, &kinds);
    write_notes(out, later_heading, &later, detail, true)?;
    let of = ["reviewed change", "reviewed changes"];
    let why = "planned otherwise now, held, or not possible now";
    let outdated_heading = heading(YELLOW, "Not made", of, why);
    write_notes(out, outdated_heading, &outdated, detail, true)?;
    let of = ["change", "changes"];
    let not_made = "not made, whatever the limits say";
    let rejected_heading = heading(Style::new(), "Rejected", of, not_made);
    write_notes(out, rejected_heading, &rejected, detail, true)?;
    let mut note = "nothing to do about it".to_owned();
    if !detail.skipped {
        write!(note, "  {} lists them", detail.with("--skipped"))?;
    }
    let heading = heading(Style::new(), "Left alone", finding, &note);
    write_notes(out, heading, &others, detail, detail.skipped)?;
    write_filters(out, report)
}

/// The notes with a count of each kind; if `named`, each of them.
fn write_notes(
    out: &mut String,
    heading: Heading<'_>,
    notes: &[&Note],
    mut detail: DetailArgs,
    named: bool,
) -> fmt::Result {
    if notes.is_empty() {
        return Ok(());
    }
    heading.write(out, notes.len())?;
    detail.all |= detail.skipped;
    for (code, notes) in by_code(notes) {
        let count = words::thousands(notes.len());
        let (what, rule) = (words::code(code), code.rule());
        writeln!(out, "  {count:>5}  {what}  {DIM}{rule}{DIM:#}")?;
        if !named {
            continue;
        }
        for note in notes.iter().take(limit(detail)) {
            writeln!(
                out,
                "         {}  {DIM}{}{DIM:#}",
                inert(&note.address),
                told(&note.text)
            )?;
        }
        write_more(out, notes.len(), detail)?;
    }
    writeln!(out)
}

/// R15: an entry that matches no account is probably a mistake, so entries are shown with their counts.
fn write_filters(out: &mut String, report: &Report) -> fmt::Result {
    if report.filter_counts.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{BOLD}Target filter{BOLD:#}  {DIM}accounts that are never touched (R15){DIM:#}"
    )?;
    for (entry, matched) in &report.filter_counts {
        let count = words::thousands(*matched);
        writeln!(out, "  {count:>5}  {}", inert(entry))?;
    }
    writeln!(out)
}
