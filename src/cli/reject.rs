//! Held changes that a person rejects (R47).

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use super::{
    CliError, Status,
    explanation::Arrow,
    history::{self, Stored},
    output::{BOLD, CYAN, DIM, Output},
    text::{inert, written},
    words,
};
use crate::{
    domain::{address::SmtpAddress, memory::Rejection},
    engine::Decision,
};

/// The title of the list of all rejections.
const LISTED: &str = "Rejected until they change:";

/// Rejects held changes, takes rejections back, or lists them.
pub(super) async fn reject(
    code: Option<String>,
    accounts: Vec<SmtpAddress>,
    takes_back: bool,
    output: Output,
) -> Result<Status, CliError> {
    if takes_back && code.is_none() {
        return Err(CliError::Failed(
            "--undo takes back what was rejected with a code, and none is given; `cloud-sync reject` lists the codes (R47)"
                .to_owned(),
        ));
    }
    let stored = Stored::open().await?;
    let records = stored.records();
    let (title, changes) = match code {
        None => (LISTED, records.rejections().await?),
        Some(code) => {
            let decision = Decision {
                code,
                accounts: accounts.into_iter().collect(),
                takes_back,
            };
            let title = if takes_back {
                "No longer rejected"
            } else {
                "Rejected"
            };
            (title, records.decide(&decision, Some(&super::me())).await?)
        }
    };
    let is_nothing = title == LISTED && changes.is_empty();
    let empty = stored.empty_place().await.filter(|_| is_nothing);
    output.show(&changes, || match empty {
        Some(place) => history::no_runs(place),
        None => written(|out| write(out, title, &changes)),
    })?;
    Ok(Status::InSync)
}

fn write(out: &mut String, title: &str, changes: &[Rejection]) -> fmt::Result {
    if changes.is_empty() {
        let text = match title {
            LISTED => "Nothing is rejected.\n",
            _ => "Nothing more is rejected: these changes were rejected before, or are made.\n",
        };
        return out.write_str(text);
    }
    let count = words::number(changes.len(), "change", "changes");
    writeln!(out, "{BOLD}{title}{BOLD:#} {count}")?;
    let codes: BTreeSet<&str> = changes.iter().map(|it| &*it.code).collect();
    for code in codes {
        writeln!(out, "  {CYAN}{code}{CYAN:#}")?;
        for rejection in changes.iter().filter(|it| it.code == code) {
            let change = &rejection.change;
            let by = rejection.by.as_ref();
            let by = by.map_or_else(String::new, |by| format!("  by {by}"));
            writeln!(
                out,
                "    {}  {DIM}{}{DIM:#}  {}{}{DIM}{}{DIM:#}",
                inert(change.address.as_str()),
                inert(&change.what),
                inert(&change.before),
                Arrow(&change.after),
                inert(&by)
            )?;
        }
    }
    Ok(())
}
