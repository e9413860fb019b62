//! The page at `/api/SyncHttp`: how things stand, what happened lately, and the few things that a person starts.

mod forms;
mod live;
mod trend;

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{Response, views};
use crate::{
    domain::{
        all_clear::{AllClear, Standing},
        health::Host,
        mode::PerformSync,
        note::Code,
        report::{Report, RunState},
    },
    engine::{Progress, RunSummary, health::Health},
    render::{
        html::{Page, Tone, account_search, badge, fact, report::held_set, value},
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
    /// Of the newest run that saw everybody.
    pub(super) last: Option<&'a Report>,
    /// Whether a run that writes began since, and did not end in sync.
    pub(super) is_outdated: bool,
    pub(super) progress: Progress,
    /// When the timer starts, as the host was told.
    pub(super) host: &'a Host,
    pub(super) now: jiff::Timestamp,
}

impl Dashboard<'_> {
    pub(super) fn page(&self) -> Response {
        let base = self.ways.base;
        let frame = Page {
            title: "Cloud Sync",
            home: Some(base),
        };
        let content = html! {
            (self.status())
            (self.running())
            @if let Some(report) = self.last {
                (attention(report, base))
                @for set in &report.held {
                    section { (held_set(set, &self.ways.held(report, set))) }
                }
            }
            div.columns {
                section {
                    h2 { "Explain an account" }
                    (account_search(base, "Mail address"))
                    p.soft.small {
                        "What Exchange says, what Zivver says, and which rules decide. Reads both sides afresh."
                    }
                }
                (self.ways.start())
            }
            (self.history())
            (self.facts())
        };
        views::page(200, frame.around(&content))
    }

    /// The answer to the question with which one opens the page.
    fn status(&self) -> Markup {
        let health = self.health;
        let has_problems = !health.problems.is_empty();
        let has_succeeded = health.last_success.is_some();
        let standing = Standing::of(has_problems, has_succeeded, self.last, self.is_outdated);
        let (tone, word, lead) = in_words(standing);
        html! {
            h1 { "Exchange Online to Zivver " (badge(tone, word)) }
            p.lead { (lead) }
            @for problem in &health.problems {
                p.alert.bad role="alert" { (words::capital(problem)) }
            }
            (self.glance())
        }
    }

    fn glance(&self) -> Markup {
        let health = self.health;
        let last_success = html! {
            @if let Some(time) = &health.last_success {
                (words::moment(time))
                @if let Some(age_s) = health.last_success_age_s { " " span.soft { (ago(age_s)) } }
            } @else {
                "none yet"
            }
        };
        let writing = match self.ways.perform_sync {
            PerformSync::Never => "off: every run is a preview",
            PerformSync::OnDemand => "only runs that a person starts",
            PerformSync::Always => "on schedule, and when a person starts it",
        };
        let active = |report: &Report| {
            let in_scope = words::number(report.source.in_scope, "mailbox", "mailboxes");
            let active = words::thousands(report.target.active.into());
            html! { (active) " " span.soft { "for " (in_scope) " in scope" } }
        };
        html! {
            section {
                h2 { "At a glance" }
                dl {
                    (fact("Last success", last_success))
                    (fact("Writing to Zivver", writing))
                    (fact("Schedule", self.schedule()))
                    @if let Some(report) = self.last { (fact("Active accounts", active(report))) }
                }
            }
        }
    }

    fn schedule(&self) -> Markup {
        let upcoming = self.host.upcoming(self.now);
        html! {
            @if let Some(text) = &self.host.schedule {
                code { (text) } " UTC"
                @for (at, time) in upcoming.iter().enumerate() {
                    span.soft { (if at == 0 { " next at " } else { ", " }) (words::moment(&time.to_string())) }
                }
            } @else {
                "that of the function SyncTimer"
            }
        }
    }

    fn running(&self) -> Markup {
        let mut runs = self.runs.iter().take(RUNS);
        let Some(run) = runs.find(|run| run.state != RunState::Ended) else {
            return Markup::default();
        };
        html! {
            section {
                h2 { "A run is in progress" }
                (live(run.state, self.progress))
                p { a href={ (self.ways.base) "/runs/" (run.id) "?format=html" } { "Look at it" } }
            }
        }
    }

    fn history(&self) -> Markup {
        let base = self.ways.base;
        let shown = &self.runs[..self.runs.len().min(RUNS)];
        html! {
            section {
                h2 { "History" }
                (trend::trend(self.runs))
                (views::run_table(shown, base))
                @if !shown.is_empty() {
                    p { a href={ (base) "/runs?format=html" } { "All runs" } }
                }
            }
        }
    }

    fn facts(&self) -> Markup {
        let health = self.health;
        html! {
            section {
                h2 { "This installation" }
                dl {
                    (fact("Lock", value(&health.lock)))
                    (fact("State", value(&health.state)))
                    (fact("Version", health.version))
                }
            }
        }
    }
}

fn in_words(standing: Standing) -> (Tone, &'static str, &'static str) {
    match standing {
        Standing::Failing => (
            Tone::Bad,
            "failing",
            "Something keeps runs from succeeding.",
        ),
        Standing::NoRun => (
            Tone::Plain,
            "no run yet",
            "Start with a preview: it reads both sides, shows what would change, and writes nothing.",
        ),
        Standing::NoSuccess => (
            Tone::Plain,
            "no success yet",
            "No run for all accounts has yet done what the timer is to do.",
        ),
        Standing::NeedsAttention => (
            Tone::Notice,
            "needs attention",
            "Runs succeed; some things wait for a person.",
        ),
        Standing::ChangesPending => (
            Tone::Notice,
            "changes pending",
            "Runs succeed; the last one found changes that are not made yet.",
        ),
        Standing::Healthy => (
            Tone::Good,
            AllClear::Healthy.text(),
            AllClear::NothingWaits.text(),
        ),
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

/// What the newest report asks people to look at; each line links to its place in the report.
fn attention(report: &Report, base: &str) -> Markup {
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
    let link = |anchor: &str| format!("{base}/runs/{}?format=html#{anchor}", report.id);
    html! {
        @if !lines.is_empty() {
            section {
                h2 { "Needs attention" }
                ul.tally {
                    @for (count, anchor, what) in lines {
                        li {
                            b { (words::thousands(count as u64)) } " "
                            a href=(link(&anchor)) { (what) }
                        }
                    }
                }
            }
        }
    }
}
