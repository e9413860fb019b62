//! What happened to one account, and the differences between two runs (R42).

use std::fmt::{self, Write as _};

use super::{
    CliError, Status, explanation,
    history::Stored,
    output::{BOLD, DIM, Output, YELLOW},
    text::{inert, told, written},
    words,
};
use crate::{
    domain::{
        address::SmtpAddress,
        snapshot::{
            diff::{Differences, differences},
            history::{Event, Happened, History},
        },
    },
    engine::history::Last,
    render::timeline,
};

/// R40: explains the address from the last snapshot; `None` if there is none that can be read.
pub(super) async fn explain(
    address: &SmtpAddress,
    output: Output,
) -> Result<Option<Status>, CliError> {
    let stored = Stored::open().await?;
    let (explained, unreadable) = stored.records().explained(address).await?;
    for remark in unreadable {
        output.say(&format!("{YELLOW}note{YELLOW:#} {}", told(&remark)));
    }
    let Some(explained) = explained else {
        return Ok(None);
    };
    if explained.unknown.is_some() {
        output.show(&explained, String::new)?;
        return Err(CliError::UnknownAddress {
            address: explained.address,
            why: format!(
                "{}; with --live Exchange and Zivver are asked now",
                explained.verdict
            ),
        });
    }
    output.show(&explained, || explanation::page(&explained))?;
    Ok(Some(Status::of_explanation(&explained)))
}

pub(super) async fn history(
    address: &SmtpAddress,
    limit: usize,
    output: Output,
) -> Result<Status, CliError> {
    let stored = Stored::open().await?;
    let records = stored.records();
    let history = records.history_of(address, limit).await?;
    if history.events.is_empty() && history.standing.is_empty() {
        let (explained, _) = Box::pin(records.explained(address)).await?;
        if let Some(explained) = explained.filter(|it| it.unknown.is_some()) {
            output.show(&history, String::new)?;
            return Err(CliError::UnknownAddress {
                address: explained.address,
                why: explained.verdict,
            });
        }
    }
    output.show(&history, || {
        written(|out| write(out, &history, stored.state.place()))
    })?;
    Ok(Status::InSync)
}

/// `cloud-sync runs diff`
pub(super) async fn diff(
    before: &str,
    after: Option<&str>,
    output: Output,
) -> Result<Status, CliError> {
    let stored = Stored::open().await?;
    let records = stored.records();
    let mut before = records.find(before, Last::Snapshot).await?;
    let newest_name = after.unwrap_or("last");
    let newest = records.find(newest_name, Last::Snapshot).await?;
    if after.is_none() && before == newest {
        let earlier = records.before(&newest).await?;
        before = earlier.ok_or_else(|| {
            CliError::Failed(format!(
                "no full run for all accounts before run {newest} is kept: there is nothing to compare it with (R42)"
            ))
        })?;
    }
    let after = newest;
    // Runs after one that is named are not asked about.
    let is_last = newest_name == "last";
    if let Some(remark) = records.outdated(&after).await?.filter(|_| is_last) {
        output.say(&format!("{YELLOW}note{YELLOW:#} {}", told(&remark)));
    }
    let before = records.snapshot_of(&before).await?;
    let after = records.snapshot_of(&after).await?;
    let differences = differences(&before, &after);
    output.show(&differences, || {
        written(|out| write_differences(out, &differences))
    })?;
    Ok(Status::InSync)
}

fn write(out: &mut String, history: &History, place: &str) -> fmt::Result {
    writeln!(out, "{BOLD}{}{BOLD:#}", inert(&history.address))?;
    for standing in &history.standing {
        writeln!(
            out,
            "  {:<9} {}  {DIM}{}{DIM:#}",
            timeline::side(standing.side),
            inert(&standing.address),
            timeline::standing(standing, words::local)
        )?;
    }
    for remark in &history.remarks {
        writeln!(out, "  {YELLOW}note{YELLOW:#} {}", told(remark))?;
    }
    let runs = words::number(history.runs, "run", "runs");
    match &history.oldest {
        None => {
            return writeln!(
                out,
                "\nNo run is kept in {} that could say what happened.",
                inert(place)
            );
        }
        Some(oldest) if history.events.is_empty() => {
            return writeln!(
                out,
                "\nNothing happened in {runs} since {}.",
                words::local(oldest)
            );
        }
        Some(oldest) => writeln!(out, "  {DIM}{runs} since {}{DIM:#}", words::local(oldest))?,
    }
    let mut above = "";
    for event in &history.events {
        if event.run != above {
            writeln!(
                out,
                "\n{BOLD}{}{BOLD:#}  {}, by {}  {DIM}{}{DIM:#}",
                words::local(&event.started),
                words::what_happened_in(event),
                inert(&words::started_by(event.trigger, event.started_by.as_ref())),
                inert(&event.run)
            )?;
            above = &event.run;
        }
        write_event(out, event, &history.address)?;
    }
    Ok(())
}

fn write_event(out: &mut String, event: &Event, address: &str) -> fmt::Result {
    let style = match event.what {
        Happened::Action { .. } => BOLD,
        Happened::Held { .. } => YELLOW,
        Happened::Noted { .. } | Happened::NoLonger { .. } => DIM,
    };
    write!(
        out,
        "  {style}{}{style:#}",
        told(&timeline::headline(event))
    )?;
    if event.address != address {
        write!(out, "  {}", inert(&event.address))?;
    }
    writeln!(out)?;
    for detail in timeline::details(event) {
        writeln!(out, "    {}", told(&detail))?;
    }
    Ok(())
}

fn write_differences(out: &mut String, differences: &Differences) -> fmt::Result {
    let (before, after) = (&differences.before, &differences.after);
    writeln!(
        out,
        "From run {} ({}) to run {} ({}): {}",
        inert(&before.run),
        words::local(&before.at.to_string()),
        inert(&after.run),
        words::local(&after.at.to_string()),
        words::number(differences.differences.len(), "difference", "differences")
    )?;
    let mut above = None;
    for it in &differences.differences {
        if above != Some((it.side, &it.address)) {
            let side = timeline::side(it.side);
            writeln!(out, "\n{BOLD}{side}{BOLD:#} {}", inert(&it.address))?;
            above = Some((it.side, &it.address));
        }
        writeln!(out, "  {}", inert(&timeline::difference(it)))?;
    }
    Ok(())
}
