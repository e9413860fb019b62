//! The dashboard at `/api/SyncHttp`: the current state, the last runs, and the actions that a person can start.

mod forms;
mod live;
mod trend;

use maud::{Markup, html};

use super::{Response, caller::Caller, views};
use crate::{
    domain::{
        all_clear::{AllClear, Standing},
        health::{Host, Run, failed_beside},
        mode::{Depth, Mode, PerformSync},
        note::Note,
        report::{Report, RunState},
    },
    engine::{Outlook, RunSummary, complete::Complete, health::Health},
    render::{
        findings::by_code,
        html::{
            Links, Tone, account_search, badge, fact,
            report::{held_anchor, held_set, tally},
            time, value,
        },
        words,
    },
    settings::Settings,
};

pub(super) use forms::Ways;
pub(super) use live::live;

/// How many runs the history table shows.
const RUNS: usize = 10;

/// The data of the page.
#[derive(Debug)]
pub(super) struct Dashboard<'a> {
    pub(super) ways: Ways<'a>,
    pub(super) health: &'a Health,
    pub(super) runs: &'a [RunSummary],
    pub(super) complete: Option<&'a Complete>,
    /// R47: how many changes are rejected.
    pub(super) rejected: usize,
    pub(super) outlook: Outlook,
    pub(super) settings: &'a Settings,
    /// The settings of the host that determine when the timer starts.
    pub(super) host: &'a Host,
    pub(super) now: jiff::Timestamp,
    /// R41
    pub(super) caller: &'a Caller,
}

impl Dashboard<'_> {
    pub(super) fn page(&self) -> Response {
        let base = self.ways.base;
        let content = html! {
            (self.status())
            (self.running())
            @if let Some(complete) = self.complete {
                (attention(&complete.report, base))
                @if let Some(quick) = &complete.quick { (attention(quick, base)) }
                @for (report, set) in complete.held() {
                    section id=(held_anchor(&set.code)) { (held_set(set, self.links(), &self.ways.held(report, set))) }
                }
            }
            div.columns {
                section {
                    h2 { "Explain an account" }
                    (account_search(base, "Mail address or name"))
                    p.soft.small {
                        "What Exchange says, what Zivver says, and which rules decide, as of the last complete run."
                    }
                }
                (self.ways.start(self.settings))
            }
            (self.history())
            (self.facts())
        };
        views::shown(200, "Cloud Sync", base, &content)
    }

    /// The overall status, at the top of the page.
    fn status(&self) -> Markup {
        let health = self.health;
        let has_problems = !health.problems.is_empty();
        let has_succeeded = health.last_success.is_some();
        let last = self.complete.map(|complete| &complete.report);
        let quick = self.complete.and_then(|complete| complete.quick.as_ref());
        let quick = quick.map(|quick| quick.outcome);
        let is_outdated = self.complete.is_some_and(Complete::is_outdated);
        let standing = Standing::of(has_problems, has_succeeded, last, quick, is_outdated);
        let beside = self.failed_beside();
        let (tone, word, lead) = match (standing, beside) {
            (Standing::Healthy | Standing::NeedsAttention, Some(_)) => (
                Tone::Notice,
                "needs attention",
                "The runs of the timer succeed, but another run failed.",
            ),
            (Standing::NoRun, _) if self.in_progress().is_some() => (
                Tone::Plain,
                "no complete run yet",
                "A run is in progress; it shows its results when it has ended.",
            ),
            (Standing::NoRun, _) if !self.runs.is_empty() => (
                Tone::Plain,
                "no complete run yet",
                "No run for all accounts has come to its end yet.",
            ),
            _ => in_words(standing),
        };
        html! {
            h1 { "Exchange Online to Zivver " (badge(tone, word)) }
            p.lead { (lead) }
            @for problem in &health.problems {
                p.alert.bad role="alert" { (self.links().text(&words::capital(problem))) }
            }
            @if let Some(run) = beside {
                p.alert.notice {
                    "The last " (words::mode_of(run.mode, run.depth)) ", of "
                    a href={ (self.ways.base) "/runs/" (run.id) "?format=html" } { (time(&run.started)) }
                    ", failed: " (self.links().text(run.error.as_deref().unwrap_or("the report tells no cause")))
                    span.soft.small { " The timer makes no such runs, so it is no reason for /health (R28)." }
                }
            }
            (self.figures())
            (self.glance())
        }
    }

    /// R28: the newest run of the mode that the timer does not have, if it failed.
    fn failed_beside(&self) -> Option<&RunSummary> {
        let runs: Vec<Run<'_>> = self.runs.iter().map(RunSummary::facts).collect();
        let failed = failed_beside(&runs, self.ways.perform_sync)?;
        self.runs.iter().find(|run| run.id == failed.id)
    }

    fn links(&self) -> Links<'_> {
        Links::to(self.ways.base)
    }

    /// R28: the figures of the last complete run, its time, and the later runs.
    fn figures(&self) -> Markup {
        let Some(complete) = self.complete else {
            return Markup::default();
        };
        let figures = complete.figures();
        let report = &complete.report;
        html! {
            section {
                h2 { "State of the accounts" }
                p.soft {
                    "Last complete run: "
                    a href={ (self.ways.base) "/runs/" (report.id) "?format=html" } { (time(&figures.ended)) }
                    " (" (words::mode(report.mode)) ")"
                }
                (tally(&figures))
                (views::since(&complete.since, self.ways.base))
            }
        }
    }

    /// What the next tick does according to `PERFORM_SYNC`, and when.
    fn next_tick(&self) -> Markup {
        let what = match self.ways.perform_sync.timer_mode() {
            Mode::Preview => "a preview: it writes nothing to Zivver",
            Mode::Apply => "an apply: it makes the changes that are planned then and not held",
        };
        let next = self.health.next_run.as_ref();
        let kind = next.filter(|next| next.depth == Depth::Quick || self.schedules_quick());
        let kind = kind.map(|next| words::depth_name(next.depth));
        let off = self.host.problems().first().map(ToString::to_string);
        html! {
            @if let Some(problem) = off {
                "none: " (problem)
            } @else if let Some(next) = next {
                (time(&next.at)) ", "
                @if let Some(kind) = kind { (kind) ", " }
                (what)
            } @else {
                "at the time of the function SyncTimer, " (what)
            }
            " " span.soft { "(PERFORM_SYNC=" (self.ways.perform_sync) ")" }
        }
    }

    /// R45
    fn schedules_quick(&self) -> bool {
        self.host.has_quick_at(self.now.as_second())
    }

    fn glance(&self) -> Markup {
        let health = self.health;
        let last_success = html! {
            @if let Some(ended) = &health.last_success {
                (time(ended))
                @if let Some(age_s) = health.last_success_age_s { " " span.soft { (ago(age_s)) } }
            } @else {
                "none yet"
            }
        };
        let mode = words::mode(self.ways.perform_sync.timer_mode());
        let last = format!("Last full {mode} that succeeded");
        let writing = match self.ways.perform_sync {
            PerformSync::Never => "off: every run is a preview",
            PerformSync::OnDemand => "only runs that a person starts",
            PerformSync::Always => "on schedule, and when a person starts it",
        };
        html! {
            section {
                h2 { "At a glance" }
                dl {
                        (fact(&last, last_success))
                    @if let Some(ended) = &health.last_quick_success {
                        (fact("Last quick run that succeeded", time(ended)))
                    }
                    (fact("Writing to Zivver", writing))
                    @if self.rejected > 0 {
                        (fact("Rejected changes", html! {
                            a href={ (self.ways.base) "/rejections?format=html" } {
                                (words::number(self.rejected, "change", "changes"))
                            }
                            " " span.soft { "not made until they change (R47)" }
                        }))
                    }
                    (fact("Next run of the timer", self.next_tick()))
                    (fact("Schedule", self.schedule()))
                }
            }
        }
    }

    fn schedule(&self) -> Markup {
        let upcoming = self.host.upcoming(self.now);
        html! {
            @if let Some(text) = &self.host.schedule {
                code { (text) } " UTC"
                @for (position, at) in upcoming.iter().enumerate() {
                    span.soft { (if position == 0 { " next at " } else { ", " }) (time(&at.to_string())) }
                }
            } @else {
                "that of the function SyncTimer"
            }
        }
    }

    fn in_progress(&self) -> Option<&RunSummary> {
        let mut runs = self.runs.iter().take(RUNS);
        runs.find(|run| run.state != RunState::Ended)
    }

    fn running(&self) -> Markup {
        let Some(run) = self.in_progress() else {
            return Markup::default();
        };
        html! {
            section {
                h2 { "A run is in progress" }
                (live(run.state, self.outlook))
                p { a href={ (self.ways.base) "/runs/" (run.id) "?format=html" } { "Open the run" } }
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
                    (fact("You", html! { (value(&self.caller.actor.to_string())) ", " (self.caller.role.name()) }))
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

/// The age in the largest unit that fits.
fn ago(age_s: i64) -> String {
    let age_s = u64::try_from(age_s).unwrap_or_default();
    match age_s {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} ago", words::number(age_s / 60, "minute", "minutes")),
        3600..172_800 => format!("{} ago", words::number(age_s / 3600, "hour", "hours")),
        _ => format!("{} ago", words::number(age_s / 86_400, "day", "days")),
    }
}

/// What in a report needs a person; each line links to its place in the report.
fn attention(report: &Report, base: &str) -> Markup {
    let notes: Vec<&Note> = report.attention().collect();
    let kinds = by_code(&notes).into_iter();
    let kinds = kinds.map(|(code, notes)| {
        let what = words::code(code);
        (notes.len(), words::key(code), [what, what])
    });
    let held = ["change held back", "changes held back"];
    let failed = ["account refused or failed", "accounts refused or failed"];
    let differ = ["account still differs", "accounts still differ"];
    let mut lines = vec![
        (report.counts.held as usize, "held".to_owned(), held),
        (report.failed.len(), "failed".to_owned(), failed),
        (report.differences.len(), "verification".to_owned(), differ),
    ];
    lines.extend(kinds);
    lines.retain(|(count, ..)| *count > 0);
    let link = |anchor: &str| format!("{base}/runs/{}?format=html#{anchor}", report.id);
    html! {
        @if !lines.is_empty() {
            section {
                h2 {
                    @match report.depth {
                        Depth::Full => "Needs attention",
                        Depth::Quick => "Needs attention, as the last quick run saw it",
                    }
                }
                ul.tally {
                    @for (count, anchor, [one, many]) in lines {
                        li {
                            b { (words::thousands(count)) } " "
                            a href=(link(&anchor)) { (if count == 1 { one } else { many }) }
                        }
                    }
                }
            }
        }
    }
}
