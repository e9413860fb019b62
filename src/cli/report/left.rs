//! Accounts that were left alone, with the reason: listed if a person must act, otherwise counted.

use super::{
    BOLD, BTreeMap, DIM, DetailArgs, Report, YELLOW, count, fmt, inert, limit, told, words,
    write_more,
};
use domain::note::{Code, Note};
use fmt::Write as _;

pub(super) fn write(out: &mut String, report: &Report, detail: DetailArgs) -> fmt::Result {
    let (attention, quiet): (Vec<&Note>, Vec<&Note>) = report
        .skipped
        .iter()
        .partition(|note| note.code.needs_attention());
    let (later, quiet): (Vec<&Note>, Vec<&Note>) = quiet
        .into_iter()
        .partition(|note| note.code.is_left_for_later());
    let (rejected, quiet): (Vec<&Note>, Vec<&Note>) = quiet
        .into_iter()
        .partition(|note| note.code == Code::Rejection);
    if !attention.is_empty() {
        writeln!(
            out,
            "{YELLOW}{BOLD}Needs attention{BOLD:#}{YELLOW:#} {}  {DIM}left as they are until a person decides{DIM:#}",
            words::number(count(attention.len()), "finding", "findings")
        )?;
        let listed = detail.skipped;
        for (code, notes) in by_code(&attention) {
            write_code(out, code, &notes, detail, true, listed)?;
        }
        writeln!(out)?;
    }
    if !later.is_empty() {
        write!(
            out,
            "{YELLOW}{BOLD}Left for a later run{BOLD:#}{YELLOW:#} {}",
            words::number(count(later.len()), "finding", "findings")
        )?;
        match words::left_by_kind(&later) {
            Some(kinds) => writeln!(out, "  {DIM}{kinds}{DIM:#}")?,
            None => writeln!(out)?,
        }
        for (code, notes) in by_code(&later) {
            write_code(out, code, &notes, detail, true, detail.skipped)?;
        }
        writeln!(out)?;
    }
    if !rejected.is_empty() {
        writeln!(
            out,
            "{BOLD}Rejected{BOLD:#} {}  {DIM}not made, whatever the limits say{DIM:#}",
            words::number(count(rejected.len()), "change", "changes")
        )?;
        for (code, notes) in by_code(&rejected) {
            write_code(out, code, &notes, detail, true, detail.skipped)?;
        }
        writeln!(out)?;
    }
    if !quiet.is_empty() {
        let hint = if detail.skipped {
            String::new()
        } else {
            format!("  {} lists them", detail.with("--skipped"))
        };
        writeln!(
            out,
            "{BOLD}Left alone{BOLD:#} {}  {DIM}nothing to do about it{hint}{DIM:#}",
            words::number(count(quiet.len()), "finding", "findings")
        )?;
        for (code, notes) in by_code(&quiet) {
            write_code(out, code, &notes, detail, detail.skipped, true)?;
        }
        writeln!(out)?;
    }
    write_filters(out, report)
}

fn by_code<'a>(notes: &[&'a Note]) -> BTreeMap<Code, Vec<&'a Note>> {
    let mut codes: BTreeMap<Code, Vec<&Note>> = BTreeMap::new();
    for note in notes {
        codes.entry(note.code).or_default().push(note);
    }
    codes
}

fn write_code(
    out: &mut String,
    code: Code,
    notes: &[&Note],
    mut detail: DetailArgs,
    named: bool,
    all: bool,
) -> fmt::Result {
    writeln!(
        out,
        "  {:>5}  {}  {DIM}{}{DIM:#}",
        words::thousands(count(notes.len())),
        words::code(code),
        code.rule()
    )?;
    if !named {
        return Ok(());
    }
    detail.all |= all;
    for note in notes.iter().take(limit(detail)) {
        writeln!(
            out,
            "         {}  {DIM}{}{DIM:#}",
            inert(&note.address),
            told(&note.text)
        )?;
    }
    write_more(out, notes.len(), detail)
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
        writeln!(
            out,
            "  {:>5}  {}",
            words::thousands(count(*matched)),
            inert(entry)
        )?;
    }
    writeln!(out)
}
