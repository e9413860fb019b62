//! What the run read, how long it took, and its scope.

use maud::{Markup, html};

use super::super::{
    super::words::{self, thousands},
    Links, fact, time, value, values,
};
use domain::{
    address::SmtpAddress,
    report::{Report, RunState},
};

pub(super) fn facts(report: &Report, links: Links<'_>) -> Markup {
    html! {
        section {
            h2 { "What was read, and how" }
            div.columns {
                dl.list { (read(report, links)) }
                dl.list { (took(report, links)) }
            }
        }
    }
}

fn read(report: &Report, links: Links<'_>) -> Markup {
    let (source, target) = (&report.source, &report.target);
    let counts = [
        ("Mailboxes", source.mailboxes),
        ("in scope", source.in_scope),
        ("not understood", source.rejected),
        ("Zivver users", target.users),
        ("Functional accounts", target.functional),
        ("Active accounts", target.active),
        ("Outside the domains", target.outside),
    ];
    let accounts: Vec<&str> = report.accounts.iter().map(SmtpAddress::as_str).collect();
    html! {
        @if !source.tenant_id.is_empty() { (fact("Tenant", value(&source.tenant_id))) }
        @if report.has_counted() {
            @for (name, count) in counts { (fact(name, thousands(count))) }
        } @else {
            (fact("Mailboxes and accounts", not_told(report)))
        }
        @for (entry, count) in &report.filter_counts {
            (fact(
                &format!("Target filter {entry}"),
                words::number(*count, "account", "accounts"),
            ))
        }
        @if !accounts.is_empty() { (fact("Only for", values(links, &accounts))) }
        @if let Some(others) = report.others.and_then(words::others) {
            (fact("Other accounts", others))
        }
    }
}

/// What stands for numbers that the run has not reported.
fn not_told(report: &Report) -> &'static str {
    if report.state == RunState::Ended {
        "not known"
    } else {
        "known when the run has ended"
    }
}

fn took(report: &Report, links: Links<'_>) -> Markup {
    let duration = words::duration(report.duration_ms) + &words::parts_of(report.timing);
    let requests = &report.requests;
    html! {
        (fact("Run", value(&report.id)))
        (fact("Started", time(&report.started)))
        (fact("Started by", value(&words::started_by(report.trigger, report.started_by.as_ref()))))
        @if let Some(approved) = words::approves(report) { (fact("Approved with it", value(&approved))) }
        @if let Some(by) = &report.stopped_by { (fact("Stopped by", value(&by.to_string()))) }
        @if let Some(ended) = &report.ended {
            (fact("Ended", time(ended)))
        } @else {
            (fact("Ended", "not yet"))
        }
        @if report.duration_ms > 0 {
            (fact("Duration", duration))
            (fact("Requests to Exchange", words::requests(&requests.exchange)))
            (fact("Requests to Zivver", words::requests(&requests.zivver)))
        } @else {
            (fact("Duration and requests", not_told(report)))
        }
        @if let Some(owner) = &report.lock_owner {
            (fact(if report.state == RunState::Ended { "Held the lock as" } else { "Lock" }, value(owner)))
        }
        @for run in &report.resumed_from { (fact("Took up the work of", links.run(run))) }
        @if let Some(run) = &report.undoes { (fact("Takes back the run", links.run(run))) }
    }
}
