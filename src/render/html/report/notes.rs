//! Who was left alone and why, what is new since the previous run, and what Zivver may delete one day.

use std::collections::BTreeMap;

use super::{
    super::super::words::{self, is_about_a_delegation},
    Html, Tone,
};
use domain::{
    note::{Code, Note},
    report::Report,
    since::Finding,
    suspended::DELETABLE_AFTER_DAYS,
};

pub(super) fn notes(html: &mut Html, report: &Report) {
    let (attention, others): (Vec<&Note>, Vec<&Note>) = report
        .skipped
        .iter()
        .partition(|note| note.code.needs_attention());
    let (delegations, others): (Vec<&Note>, Vec<&Note>) = others
        .into_iter()
        .partition(|note| is_about_a_delegation(note.code));
    groups(html, "Needs attention", &attention);
    groups(html, "Unresolved delegations", &delegations);
    groups(html, "Left alone, and why", &others);
}

fn groups(html: &mut Html, title: &str, notes: &[&Note]) {
    if notes.is_empty() {
        return;
    }
    let mut by_code: BTreeMap<Code, Vec<&Note>> = BTreeMap::new();
    for note in notes {
        by_code.entry(note.code).or_default().push(note);
    }
    html.raw("<section><h2>").text(title).raw("</h2>");
    for (code, notes) in by_code {
        html.raw("<div id=\"").text(&words::key(code)).raw("\">");
        let title = format!("{} ({})", words::capital(words::code(code)), code.rule());
        html.group(&title, notes.len(), |html| {
            note_rows(html, notes.into_iter());
        });
        html.raw("</div>");
    }
    html.raw("</section>");
}

pub(in super::super) fn note_rows<'a>(html: &mut Html, notes: impl Iterator<Item = &'a Note>) {
    html.raw("<ul class=\"rows\">");
    for note in notes {
        html.raw("<li><span class=\"who\">")
            .value(&note.address)
            .raw("</span> ")
            .text(&note.text);
        html.raw(" <span class=\"soft\">(")
            .text(&note.rule)
            .raw(")</span></li>");
    }
    html.raw("</ul>");
}

/// What changed since the previous run.
pub(super) fn since(html: &mut Html, report: &Report) {
    let Some(since) = &report.since else {
        return;
    };
    html.raw("<section><h2>Since the run of ")
        .text(&words::moment(&since.started))
        .raw("</h2>");
    if since.numbers.is_empty() && since.new_total == 0 && since.gone_total == 0 {
        html.raw("<p>Nothing changed.</p></section>");
        return;
    }
    if !since.numbers.is_empty() {
        html.raw("<ul class=\"tally\">");
        for change in &since.numbers {
            let more = i64::from(change.now) - i64::from(change.before);
            html.raw("<li><b>")
                .text(&format!("{more:+}"))
                .raw("</b> <span>")
                .text(words::number_of(&change.what))
                .raw(" <span class=\"soft\">")
                .number(change.before)
                .raw(" → ")
                .number(change.now)
                .raw("</span></span></li>");
        }
        html.raw("</ul>");
    }
    findings(html, "New", &since.new, since.new_total);
    findings(html, "Settled", &since.gone, since.gone_total);
    html.raw("</section>");
}

fn findings(html: &mut Html, title: &str, findings: &[Finding], total: u32) {
    if total == 0 {
        return;
    }
    html.group(title, total as usize, |html| {
        html.raw("<ul class=\"rows\">");
        for finding in findings {
            html.raw("<li>")
                .badge(Tone::Plain, words::finding(finding.kind))
                .raw(" <span class=\"who\">")
                .value(&finding.address)
                .raw("</span> ")
                .text(&finding.text)
                .raw("</li>");
        }
        html.raw("</ul>");
        let more = (total as usize).saturating_sub(findings.len());
        if more > 0 {
            html.raw("<p class=\"soft\">and ")
                .number(more)
                .raw(" more</p>");
        }
    });
}

pub(super) fn suspended(html: &mut Html, report: &Report) {
    if report.suspended.is_empty() {
        return;
    }
    html.raw("<section><h2>Accounts that we suspended</h2><p class=\"soft\">If your organisation lets Zivver delete users after ");
    html.number(DELETABLE_AFTER_DAYS)
        .raw(" days of suspension, they and their messages go for good from these days on. Resume or keep them in time.</p>");
    let count = report.suspended.len();
    let first = &report.suspended[0].deletable;
    let title = format!("Accounts, the first from {first} on");
    html.group(&title, count, |html| {
        html.raw("<ul class=\"rows\">");
        for account in &report.suspended {
            html.raw("<li><span class=\"who\">")
                .value(account.address.as_str())
                .raw("</span> may be deleted from ")
                .text(&account.deletable)
                .raw(" on <span class=\"soft\">suspended on ")
                .text(&account.suspended)
                .raw("</span></li>");
        }
        html.raw("</ul>");
    });
    html.raw("</section>");
}
