//! The page at `/api/SyncHttp`: how things stand, what happened lately, and the few things that a person starts.

mod forms;
mod live;
mod trend;

use std::collections::BTreeMap;

use super::{Response, views};
use crate::{
    domain::{
        health::Host,
        mode::PerformSync,
        note::Code,
        report::{Report, RunState},
    },
    engine::{Progress, RunSummary, health::Health},
    render::{
        html::{Html, Page, Tone, account_search, report::held_set},
        words,
    },
};

pub(super) use forms::Ways;
pub(super) use live::live;

/// Runs in the table of the history.
const RUNS: usize = 10;

/// Everything that the page shows.
#[derive(Debug)]
pub(super) struct Dashboard<'a> {
    pub(super) ways: Ways<'a>,
    pub(super) health: &'a Health,
    pub(super) runs: &'a [RunSummary],
    /// Of the newest run for everybody that ended.
    pub(super) last: Option<&'a Report>,
    pub(super) progress: Progress,
    /// When the timer starts, as the host was told.
    pub(super) host: &'a Host,
    pub(super) now: jiff::Timestamp,
}

impl Dashboard<'_> {
    pub(super) fn page(&self) -> Response {
        let frame = Page {
            title: "Cloud Sync",
            home: Some(self.ways.base),
        };
        views::page(
            200,
            frame.around(|html| {
                self.status(html);
                self.running(html);
                if let Some(report) = self.last {
                    attention(html, report, self.ways.base);
                    for set in &report.held {
                        html.raw("<section>");
                        held_set(html, set);
                        self.ways.approval(html, set);
                        html.raw("</section>");
                    }
                }
                html.raw("<div class=\"columns\"><section><h2>Explain an account</h2>");
                account_search(html, self.ways.base, "Mail address");
                html.raw("<p class=\"soft small\">What Exchange says, what Zivver says, and which rules decide. Reads both sides afresh.</p></section>");
                self.ways.start(html);
                html.raw("</div>");
                self.history(html);
                self.facts(html);
            }),
        )
    }

    /// The answer to the question with which one opens the page.
    fn status(&self, html: &mut Html) {
        let health = self.health;
        let (tone, word, lead) = if health.problems.is_empty() {
            // R28: until there is a success, nothing says that runs succeed.
            let has_succeeded = health.last_success.is_some();
            match self.last.map(Report::needs_attention) {
                Some(_) if !has_succeeded => (
                    Tone::Plain,
                    "no success yet",
                    "No run for all accounts has yet done what the timer is to do.",
                ),
                Some(true) => (
                    Tone::Notice,
                    "needs attention",
                    "Runs succeed; some things wait for a person.",
                ),
                Some(false) => (
                    Tone::Good,
                    "healthy",
                    "Runs succeed, and nothing waits for a person.",
                ),
                None => (
                    Tone::Plain,
                    "no run yet",
                    "Start with a preview: it reads both sides, shows what would change, and writes nothing.",
                ),
            }
        } else {
            (
                Tone::Bad,
                "failing",
                "Something keeps runs from succeeding.",
            )
        };
        html.raw("<h1>Exchange Online to Zivver ")
            .badge(tone, word)
            .raw("</h1><p class=\"lead\">")
            .raw(lead)
            .raw("</p>");
        for problem in &health.problems {
            html.raw("<p class=\"alert bad\" role=\"alert\">")
                .text(&words::capital(problem))
                .raw("</p>");
        }
        self.glance(html);
    }

    fn glance(&self, html: &mut Html) {
        let health = self.health;
        html.raw("<section><h2>At a glance</h2><dl>");
        html.fact("Last success", |html| match &health.last_success {
            Some(time) => {
                html.text(&words::moment(time));
                if let Some(age_s) = health.last_success_age_s {
                    html.raw(" <span class=\"soft\">")
                        .text(&ago(age_s))
                        .raw("</span>");
                }
                html
            }
            None => html.raw("none yet"),
        });
        html.fact("Writing to Zivver", |html| {
            html.raw(match self.ways.perform_sync {
                PerformSync::Never => "off: every run is a preview",
                PerformSync::OnDemand => "only runs that a person starts",
                PerformSync::Always => "on schedule, and when a person starts it",
            })
        });
        html.fact("Schedule", |html| self.schedule(html));
        if let Some(report) = self.last {
            html.fact("Active accounts", |html| {
                let in_scope = words::number(report.source.in_scope, "mailbox", "mailboxes");
                html.text(&words::thousands(report.target.active.into()))
                    .raw(" <span class=\"soft\">for ")
                    .text(&in_scope)
                    .raw(" in scope</span>")
            });
        }
        html.raw("</dl></section>");
    }

    fn schedule<'h>(&self, html: &'h mut Html) -> &'h mut Html {
        let Some(text) = &self.host.schedule else {
            return html.raw("that of the function SyncTimer");
        };
        html.raw("<code>").text(text).raw("</code> UTC");
        let schedule = self.host.schedule().and_then(Result::ok);
        match schedule.and_then(|schedule| schedule.next(self.now)) {
            Some(next) => html
                .raw(" <span class=\"soft\">next at ")
                .text(&words::moment(&next.to_string()))
                .raw("</span>"),
            None => html,
        }
    }

    fn running(&self, html: &mut Html) {
        let runs = self.runs.iter().take(RUNS);
        let Some(run) = runs.into_iter().find(|run| run.state != RunState::Ended) else {
            return;
        };
        html.raw("<section><h2>A run goes on</h2>");
        live(html, run.state, self.progress);
        html.raw("<p><a href=\"")
            .text(self.ways.base)
            .raw("/runs/")
            .text(&run.id)
            .raw("?format=html\">Look at it</a></p></section>");
    }

    fn history(&self, html: &mut Html) {
        html.raw("<section><h2>History</h2>");
        trend::trend(html, self.runs);
        let shown = &self.runs[..self.runs.len().min(RUNS)];
        views::run_table(html, shown, self.ways.base);
        if !self.runs.is_empty() {
            html.raw("<p><a href=\"")
                .text(self.ways.base)
                .raw("/runs?format=html\">All runs</a></p>");
        }
        html.raw("</section>");
    }

    fn facts(&self, html: &mut Html) {
        let health = self.health;
        html.raw("<section><h2>This installation</h2><dl>");
        html.fact("Lock", |html| html.value(&health.lock));
        html.fact("State", |html| html.value(&health.state));
        html.fact("Version", |html| html.text(health.version));
        html.raw("</dl></section>");
    }
}

/// In the largest unit that fits.
fn ago(age_s: i64) -> String {
    let age_s = u64::try_from(age_s).unwrap_or_default();
    match age_s {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} ago", words::number(age_s / 60, "minute", "minutes")),
        3600..172_800 => format!("{} ago", words::number(age_s / 3600, "hour", "hours")),
        _ => format!("{} ago", words::number(age_s / 86_400, "day", "days")),
    }
}

/// What the newest report wants somebody to look at; each line leads to its place in the report.
fn attention(html: &mut Html, report: &Report, base: &str) {
    let mut by_code: BTreeMap<Code, usize> = BTreeMap::new();
    let notes = report.skipped.iter();
    for note in notes.filter(|note| note.code.needs_attention()) {
        *by_code.entry(note.code).or_default() += 1;
    }
    let lists = [
        (report.counts.held as usize, "held", "changes held back"),
        (report.failed.len(), "failed", "accounts refused or failed"),
        (
            report.differences.len(),
            "verification",
            "accounts still differ",
        ),
    ];
    let mut lines: Vec<(usize, String, &str)> = lists
        .into_iter()
        .map(|(count, anchor, what)| (count, anchor.to_owned(), what))
        .collect();
    lines.extend(
        by_code
            .into_iter()
            .map(|(code, count)| (count, words::key(code), words::code(code))),
    );
    lines.retain(|(count, ..)| *count > 0);
    if lines.is_empty() {
        return;
    }
    html.raw("<section><h2>Needs attention</h2><ul class=\"tally\">");
    for (count, anchor, what) in lines {
        html.raw("<li><b>")
            .text(&words::thousands(count as u64))
            .raw("</b> <a href=\"")
            .text(base)
            .raw("/runs/")
            .text(&report.id)
            .raw("?format=html#")
            .text(&anchor)
            .raw("\">")
            .text(what)
            .raw("</a></li>");
    }
    html.raw("</ul></section>");
}
