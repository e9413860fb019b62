//! Writes the report to a file, in addition to the output on the terminal.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use super::{
    CliError,
    args::{AccessFormat, FileFormat, ReportArgs},
    output::Output,
    text,
};
use crate::{
    domain::report::Report,
    render::{
        csv::{self, Separator},
        html,
    },
};

#[derive(Debug)]
pub(super) struct ReportFile {
    path: PathBuf,
    format: Format,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Html,
    Csv(Separator),
}

impl ReportFile {
    /// Call this before a run starts, so that an unknown file format is an error before anything is done.
    pub(super) fn of(args: &ReportArgs) -> Result<Option<Self>, CliError> {
        let Some(path) = args.report.clone() else {
            return Ok(None);
        };
        let wanted = format_of(&path, args.format)?;
        let format = match (wanted, args.separator) {
            (Some(FileFormat::Csv), separator) => Format::Csv(separator.unwrap_or_default()),
            (Some(FileFormat::Html), Some(_)) => {
                return Err(CliError::Failed(
                    "--separator is for CSV: remove it, or add --format csv".to_owned(),
                ));
            }
            (Some(FileFormat::Html), None) => Format::Html,
            (None, _) => {
                return Err(CliError::Failed(format!(
                    "the extension of {} is not html or csv: add --format (for JSON use --json, for a plan `preview --out`)",
                    text::inert(&path.display().to_string())
                )));
            }
        };
        check_place(&path)?;
        Ok(Some(Self { path, format }))
    }

    pub(super) fn write(&self, report: &Report, output: Output) -> Result<(), CliError> {
        let text = match self.format {
            Format::Html => html::report(report),
            Format::Csv(separator) => csv::report(report, separator),
        };
        let shown = self.path.display().to_string();
        let shown = text::inert(&shown);
        std::fs::write(&self.path, text).map_err(|error| {
            CliError::Failed(format!(
                "cannot write {shown}: {error}; `cloud-sync runs {} --report FILE` writes the report again",
                report.id
            ))
        })?;
        output.say(&format!("The report is in {shown}."));
        Ok(())
    }
}

/// A report replaces no file that is not a report, such as one with settings. Called before a run starts.
pub(super) fn check_place(file: &Path) -> Result<(), CliError> {
    check_folder(file)?;
    // A device or a pipe is not replaced.
    if file.is_file() && !is_report(file) {
        return Err(exists(file, "report"));
    }
    Ok(())
}

/// A file is a report if it begins as those that this program writes. An empty file is what `mktemp` makes.
fn is_report(file: &Path) -> bool {
    const LENGTH: u64 = 4096;
    const TABLES: [&str; 2] = ["\u{feff}\"record\"", "\u{feff}\"mailbox\""];
    const JSON: &str = "{\n  \"run\": \"";
    const PAGE: [&str; 2] = ["<!doctype html>", "<title>Cloud Sync: "];
    let mut start = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LENGTH).read_to_end(&mut start));
    let start = String::from_utf8_lossy(&start);
    let is_page = start.starts_with(PAGE[0]) && start.contains(PAGE[1]);
    let is_data = TABLES.iter().chain([&JSON]).any(|it| start.starts_with(it));
    read.is_ok() && (start.is_empty() || is_page || is_data)
}

/// Why a file is not replaced.
pub(super) fn exists(file: &Path, what: &str) -> CliError {
    CliError::Failed(format!(
        "cannot write the {what} to {}: the file exists and is not a {what}; choose another name, or delete it",
        text::inert(&file.display().to_string())
    ))
}

/// Called before a run starts, so that a place where no file can be written is an error before anything is done.
pub(super) fn check_folder(file: &Path) -> Result<(), CliError> {
    let above = || {
        let folders = file.ancestors().skip(1);
        folders.filter(|folder| !folder.as_os_str().is_empty())
    };
    let shown = |path: &Path| text::inert(&path.display().to_string()).to_string();
    let wrong = if file.is_dir() {
        "it is a folder; name a file in it".to_owned()
    } else if let Some(part) = above().find(|part| part.is_file()) {
        format!(
            "{} is a file, not a folder; choose another path",
            shown(part)
        )
    } else if let Some(folder) = above().next().filter(|folder| !folder.is_dir()) {
        format!("the folder {} does not exist; create it", shown(folder))
    } else {
        return Ok(());
    };
    Err(CliError::Failed(format!(
        "cannot write {}: {wrong}",
        shown(file)
    )))
}

/// The named format, or the one of the extension, which must not be another one.
pub(super) fn format_of<F: ValueEnum>(
    path: &Path,
    named: Option<F>,
) -> Result<Option<F>, CliError> {
    let Some(named) = named else {
        return Ok(by_extension(path));
    };
    let name = |format: Option<clap::builder::PossibleValue>| {
        format.map_or_else(String::new, |it| it.get_name().to_owned())
    };
    let wanted = name(named.to_possible_value());
    let other = by_extension::<AccessFormat>(path).map(|it| name(it.to_possible_value()));
    match other.filter(|other| *other != wanted) {
        Some(other) => Err(CliError::Failed(format!(
            "the extension of {} is of {other}, and the format is {wanted}: change one of them",
            text::inert(&path.display().to_string())
        ))),
        None => Ok(Some(named)),
    }
}

pub(super) fn by_extension<F: ValueEnum>(path: &Path) -> Option<F> {
    let extension = path.extension()?.to_str()?;
    F::from_str(extension, true).ok()
}
