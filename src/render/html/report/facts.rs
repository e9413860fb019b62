//! What was read, what it took, and for whom.

use super::{
    super::super::words::{self, thousands},
    Html,
};
use domain::{address::SmtpAddress, report::Report};

pub(super) fn facts(html: &mut Html, report: &Report) {
    html.raw("<section><h2>What was read, and how</h2><div class=\"columns\"><dl class=\"list\">");
    read(html, report);
    html.raw("</dl><dl class=\"list\">");
    took(html, report);
    html.raw("</dl></div></section>");
}

fn read(html: &mut Html, report: &Report) {
    let (source, target) = (&report.source, &report.target);
    if !source.tenant_id.is_empty() {
        html.fact("Tenant", |html| html.value(&source.tenant_id));
    }
    for (name, count) in [
        ("Mailboxes", source.mailboxes),
        ("in scope", source.in_scope),
        ("not understood", source.rejected),
        ("Zivver users", target.users),
        ("Functional accounts", target.functional),
        ("Active accounts", target.active),
        ("Outside the domains", target.outside),
    ] {
        html.fact(name, |html| html.text(&thousands(count.into())));
    }
    for (entry, count) in &report.filter_counts {
        html.fact(&format!("Target filter {entry}"), |html| {
            html.text(&words::number(*count as u64, "account", "accounts"))
        });
    }
    if !report.accounts.is_empty() {
        let accounts: Vec<&str> = report.accounts.iter().map(SmtpAddress::as_str).collect();
        html.fact("Only for", |html| html.values(&accounts));
    }
    if let Some(others) = report.others.and_then(words::others) {
        html.fact("Other accounts", |html| html.text(&others));
    }
}

fn took(html: &mut Html, report: &Report) {
    html.fact("Run", |html| html.value(&report.id));
    html.fact("Started", |html| html.text(&words::moment(&report.started)));
    html.fact("Ended", |html| match &report.ended {
        Some(ended) => html.text(&words::moment(ended)),
        None => html.raw("not yet"),
    });
    html.fact("Duration", |html| {
        html.text(&words::duration(report.duration_ms))
            .text(&words::parts_of(report.timing))
    });
    html.fact("Requests to Exchange", |html| {
        html.text(&words::requests(&report.requests.exchange))
    });
    html.fact("Requests to Zivver", |html| {
        html.text(&words::requests(&report.requests.zivver))
    });
    if let Some(owner) = &report.lock_owner {
        html.fact("Lock", |html| html.value(owner));
    }
    if !report.resumed_from.is_empty() {
        html.fact("Took up the work of", |html| {
            html.values(&report.resumed_from)
        });
    }
    if let Some(run) = &report.undoes {
        html.fact("Takes back the run", |html| html.value(run));
    }
}
