//! The access review (R43), from the last snapshot.

use std::{
    fmt::{self, Write as _},
    path::Path,
};

use super::{
    CliError, Status,
    args::{AccessArgs, AccessFormat},
    history::Stored,
    output::{self, BOLD, DIM, Output, YELLOW},
    report_file::{check_place, format_of},
    text::{inert, written},
    words,
};
use crate::render::{
    access::{self, changes, coverage, exchange, granted, in_zivver_since, remark, since_words},
    html::access::View,
};
use domain::snapshot::access::{By, Filter, Named, Review, Row};

pub(super) async fn show(args: AccessArgs, output: Output) -> Result<Status, CliError> {
    if output.is_json() && args.format.is_some_and(|it| it != AccessFormat::Json) {
        return Err(CliError::Failed(
            "--json and --format name two formats: remove one of them".to_owned(),
        ));
    }
    let named = args
        .format
        .or_else(|| output.is_json().then_some(AccessFormat::Json));
    let format = match &args.out {
        Some(file) => {
            check_place(file)?;
            Some(format_of(file, named)?.ok_or_else(|| unknown_extension(file))?)
        }
        None => named,
    };
    if args.separator.is_some() && format != Some(AccessFormat::Csv) {
        return Err(CliError::Failed(
            "--separator is for CSV: remove it, or add --format csv".to_owned(),
        ));
    }
    let by = By::from(args.by);
    let filter = Filter::new(&args.texts, by, args.changed);
    let stored = Stored::open().await?;
    let zone = words::time_zone();
    let since = args
        .since
        .as_ref()
        .and_then(|day| words::beginning_of(&day.0, &zone));
    if since.is_some_and(|since| since > jiff::Timestamp::now().as_second()) {
        return Err(CliError::Failed(
            "--since names a day that has not begun yet".to_owned(),
        ));
    }
    let review = stored.records().review(&filter, since).await?;
    if let Some(unknown) = &review.unknown {
        output.show(&review, String::new)?;
        return Err(CliError::Failed(inert(unknown).to_string() + " (R39)"));
    }
    let page = match format {
        None => page(&review, by),
        Some(AccessFormat::Json) => output::json(&review)?,
        Some(AccessFormat::Csv) => access::table(&review, args.separator.unwrap_or_default()),
        Some(AccessFormat::Html) => View {
            review: &review,
            by,
            search: None,
        }
        .page(),
    };
    match &args.out {
        None if format.is_none() => output.page(&page)?,
        None => output.print(&page)?,
        Some(file) => {
            let shown = file.display().to_string();
            let shown = inert(&shown);
            std::fs::write(file, page)
                .map_err(|error| CliError::Failed(format!("cannot write {shown}: {error}")))?;
            output.say(&format!("The access review is in {shown}."));
        }
    }
    Ok(Status::InSync)
}

fn unknown_extension(file: &Path) -> CliError {
    let remedy = match file.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("pdf") => {
            "--out writes no PDF: write a page with --format html, and print it".to_owned()
        }
        _ => format!(
            "the extension of {} is not html, csv or json: add --format",
            inert(&file.display().to_string())
        ),
    };
    CliError::Failed(remedy)
}

fn page(review: &Review, by: By) -> String {
    written(|out| write(out, review, by))
}

fn write(out: &mut String, review: &Review, by: By) -> fmt::Result {
    writeln!(
        out,
        "{BOLD}Access review{BOLD:#} as of {}, run {}, tenant {}",
        words::local(&review.at.to_string()),
        inert(&review.run),
        inert(&review.tenant_id)
    )?;
    writeln!(out, "{}", coverage(&review.coverage))?;
    if let Some(compared) = &review.compared {
        writeln!(
            out,
            "compared with {}, run {}: {}",
            words::local(&compared.at.to_string()),
            inert(&compared.run),
            words::number(review.changed, "change", "changes")
        )?;
    }
    for remark in &review.remarks {
        writeln!(out, "{YELLOW}note{YELLOW:#} {}", inert(remark))?;
    }
    if review.rows.is_empty() {
        writeln!(out, "\n{}", access::nothing(review))?;
    }
    let mut above: Option<Named> = None;
    for row in &review.rows {
        let nobody = access::person(row);
        let (group, other) = match by {
            By::Mailbox => (&row.mailbox, row.person.as_ref()),
            By::Person => (row.person.as_ref().unwrap_or(&nobody), Some(&row.mailbox)),
        };
        if above.as_ref() != Some(group) {
            writeln!(
                out,
                "\n{BOLD}{}{BOLD:#}{}",
                inert(&group.address),
                Name(group)
            )?;
        }
        write_row(out, row, other)?;
        above = Some(group.clone());
    }
    Ok(())
}

fn write_row(out: &mut String, row: &Row, other: Option<&Named>) -> fmt::Result {
    if let Some(other) = other {
        write!(out, "  {}{}", inert(&other.address), Name(other))?;
    }
    let how = match row.person {
        Some(_) => exchange(row),
        None => access::alone(row).to_owned(),
    };
    if !how.is_empty() {
        write!(out, "  {}", inert(&how))?;
    }
    match (granted(row), in_zivver_since(row)) {
        (Some(granted), _) => {
            let since = since_words(&granted.since);
            write!(out, "  {DIM}since {since}{DIM:#}")?;
            if access::is_suspended(row) {
                write!(out, "  {YELLOW}suspended in Zivver{YELLOW:#}")?;
            }
        }
        (None, Some(since)) => {
            let (zivver, word) = (access::zivver(row), access::since_in_zivver(row));
            let since = since_words(since);
            write!(out, "  {DIM}in Zivver {zivver}, {word} {since}{DIM:#}")?;
        }
        (None, None) => {}
    }
    let why = remark(row);
    if !why.is_empty() {
        write!(out, "  {YELLOW}{}{YELLOW:#}", inert(&why))?;
    }
    writeln!(out)?;
    let changes = changes(row);
    if !changes.is_empty() {
        writeln!(out, "    {BOLD}{}{BOLD:#}", inert(&changes))?;
    }
    Ok(())
}

/// ` "Anna"`, or nothing if there is no name.
struct Name<'a>(&'a Named);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.name.is_empty() || self.0.name == self.0.address {
            return Ok(());
        }
        write!(f, " \"{}\"", inert(&self.0.name))
    }
}
