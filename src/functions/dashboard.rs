//! The page at `/api/SyncHttp`: how things stand, what happened lately, and the few things that a person starts.

use std::collections::BTreeMap;

use super::{Response, app::Health, views};
use crate::{
    domain::{
        hold::HeldSet,
        mode::{Mode, PerformSync},
        note::Code,
        report::{Report, RunState},
    },
    engine::{Progress, RunSummary},
    render::{
        html::{Html, Page, Tone},
        words::{duration, name},
    },
};

/// How often the page loads itself again while a run goes on.
const REFRESH_S: u32 = 10;
/// Runs in the picture of the history.
const BARS: usize = 30;
/// Runs in the table of the history.
const RUNS: usize = 10;

/// What this caller may start, and with what token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ways<'a> {
    pub(super) base: &'a str,
    pub(super) token: &'a str,
    pub(super) perform_sync: PerformSync,
}

/// Everything that the page shows.
#[derive(Debug)]
pub(super) struct Dashboard<'a> {
    pub(super) ways: Ways<'a>,
    pub(super) health: &'a Health,
    pub(super) runs: &'a [RunSummary],
    /// Of the newest run that ended.
    pub(super) last: Option<&'a Report>,
    pub(super) progress: Option<&'a str>,
}

impl Dashboard<'_> {
    pub(super) fn page(&self) -> Response {
        let is_busy = self
            .runs
            .iter()
            .take(RUNS)
            .any(|run| run.state == RunState::Running);
        let frame = Page {
            title: "Cloud Sync",
            home: Some(self.ways.base),
            refresh_s: is_busy.then_some(REFRESH_S),
        };
        views::page(
            200,
            frame.around(|html| {
                self.health(html);
                if let Some(report) = self.last {
                    attention(html, report, self.ways.base);
                    for set in &report.held {
                        self.ways.approval(html, set);
                    }
                }
                html.raw("<div class=\"columns\">");
                self.ways.account_search(html);
                self.ways.start(html);
                html.raw("</div>");
                self.history(html);
            }),
        )
    }

    fn health(&self, html: &mut Html) {
        let health = self.health;
        let is_well = health.problems.is_empty();
        html.raw("<h1>Exchange Online to Zivver ");
        html.badge(
            if is_well { Tone::Good } else { Tone::Bad },
            if is_well { "healthy" } else { "failing" },
        );
        html.raw("</h1>");
        for problem in &health.problems {
            html.raw("<p class=\"alert bad\" role=\"alert\">")
                .text(problem)
                .raw("</p>");
        }
        if let Some(progress) = self.progress {
            html.raw("<p class=\"alert plain\" role=\"status\">")
                .text(progress)
                .raw("</p>");
        }
        html.raw("<section><h2>At a glance</h2><dl>");
        html.fact("Last success", |html| match &health.last_success {
            Some(time) => html.text(&time.replace('T', " ")),
            None => html.raw("none yet"),
        });
        if let Some(age_s) = health.last_success_age_s {
            let age_ms = u64::try_from(age_s)
                .unwrap_or_default()
                .saturating_mul(1000);
            html.fact("That was", |html| html.text(&duration(age_ms)).raw(" ago"));
        }
        html.fact("Writing", |html| {
            html.raw(match self.ways.perform_sync {
                PerformSync::Never => "off: every run is a preview (PERFORM_SYNC is false)",
                PerformSync::OnDemand => "when a person starts it (PERFORM_SYNC is on-demand)",
                PerformSync::Always => "every scheduled run, and when a person starts it",
            })
        });
        html.fact("Next run", |html| {
            html.raw("by the schedule of the function SyncTimer")
        });
        html.fact("Lock", |html| html.value(&health.lock));
        html.fact("State", |html| html.value(&health.state));
        html.fact("Version", |html| html.text(health.version));
        html.raw("</dl></section>");
    }

    fn history(&self, html: &mut Html) {
        html.raw("<section><h2>History</h2>");
        trend(html, self.runs);
        views::run_table(
            html,
            &self.runs[..self.runs.len().min(RUNS)],
            self.ways.base,
        );
        html.raw("<p><a href=\"")
            .text(self.ways.base)
            .raw("/runs\">All runs</a></p></section>");
    }
}

/// What the newest report wants somebody to look at.
fn attention(html: &mut Html, report: &Report, base: &str) {
    let mut by_code: BTreeMap<Code, usize> = BTreeMap::new();
    for note in report
        .skipped
        .iter()
        .filter(|note| note.code.needs_attention())
    {
        *by_code.entry(note.code).or_default() += 1;
    }
    let differs = report.converged == Some(false);
    html.raw("<section><h2>Needs attention</h2>");
    if by_code.is_empty() && report.failed.is_empty() && report.held.is_empty() && !differs {
        html.raw("<p>Nothing.</p></section>");
        return;
    }
    html.raw("<ul class=\"tiles\">");
    if !report.held.is_empty() {
        html.tile(Tone::Notice, report.counts.held, "changes held");
    }
    if !report.failed.is_empty() {
        html.tile(Tone::Bad, report.failed.len(), "refused or failed");
    }
    if differs {
        html.tile(Tone::Notice, report.differences.len(), "still differ");
    }
    for (code, count) in by_code {
        html.tile(Tone::Notice, count, &name(code));
    }
    html.raw("</ul><p><a href=\"")
        .text(base)
        .raw("/runs/")
        .text(&report.id)
        .raw("\">Look at the last run</a></p></section>");
}

/// A bar for each of the last runs, oldest first: what was applied, and above it what needs somebody. Heights are by
/// logarithm, so that one large night does not flatten all others.
fn trend(html: &mut Html, runs: &[RunSummary]) {
    let ended: Vec<&RunSummary> = runs
        .iter()
        .filter(|run| run.state == RunState::Ended)
        .take(BARS)
        .collect();
    if ended.len() < 2 {
        return;
    }
    let (mut applied_all, mut problems_all) = (0, 0);
    let bars: Vec<(u32, u32)> = ended
        .iter()
        .rev()
        .map(|run| {
            let applied: u32 = run.counts.applied.values().sum();
            let problems = run.counts.held + run.counts.failed + run.counts.refused;
            applied_all += applied;
            problems_all += problems;
            (height(applied), height(problems))
        })
        .collect();
    html.raw("<svg role=\"img\" viewBox=\"0 0 ")
        .number(bars.len() * 10)
        .raw(" 64\" preserveAspectRatio=\"none\" aria-label=\"");
    html.text(&format!(
        "The last {} runs applied {applied_all} changes; {problems_all} were held, refused or failed",
        bars.len()
    ));
    html.raw("\">");
    for (at, (applied, problems)) in bars.into_iter().enumerate() {
        let mut bar = |class: &'static str, y: u32, height: u32| {
            html.raw("<rect class=\"")
                .raw(class)
                .raw("\" width=\"8\" x=\"")
                .number(at * 10 + 1)
                .raw("\" y=\"");
            html.number(y)
                .raw("\" height=\"")
                .number(height)
                .raw("\"/>");
        };
        bar("applied-bar", 64 - applied, applied);
        bar(
            "problem-bar",
            64_u32.saturating_sub(applied + problems),
            problems,
        );
    }
    html.raw(
        "</svg><p class=\"soft\">Applied (blue) and held, refused or failed (red), by run.</p>",
    );
}

/// 1 to 32 for something, 1 for nothing, so that each run is seen.
fn height(count: u32) -> u32 {
    match count {
        0 => 1,
        count => (4 + 3 * count.ilog2()).min(32),
    }
}

impl Ways<'_> {
    fn may_apply(&self) -> bool {
        self.perform_sync.permit(Mode::Apply).is_ok()
    }

    /// Opens a form that posts to `path` below the dashboard.
    fn open(&self, html: &mut Html, path: &str, mode: Mode) {
        html.raw("<form method=\"post\" action=\"")
            .text(self.base)
            .text(path);
        html.raw("\"><input type=\"hidden\" name=\"token\" value=\"")
            .text(self.token);
        html.raw("\"><input type=\"hidden\" name=\"mode\" value=\"")
            .text(&name(mode))
            .raw("\">");
    }

    fn account_search(&self, html: &mut Html) {
        html.raw("<section><h2>Explain an account</h2><form class=\"line\" role=\"search\" method=\"get\" action=\"");
        html.text(self.base)
            .raw("\" data-path=\"")
            .text(self.base)
            .raw("/accounts/\"><label>Mail address");
        html.raw("<input type=\"search\" name=\"account\" autocomplete=\"off\" spellcheck=\"false\" required></label>");
        html.raw("<button>Explain</button></form><p class=\"soft\">What Exchange says, what Zivver says, and which rules decide.");
        html.raw(" This reads both sides afresh.</p></section>");
    }

    fn start(&self, html: &mut Html) {
        html.raw("<section><h2>Start a run</h2>");
        self.open(html, "", Mode::Preview);
        html.raw("<label>Only these accounts (empty for all)<textarea name=\"accounts\" spellcheck=\"false\"></textarea></label>");
        html.raw("<button>Preview</button></form>");
        if self.may_apply() {
            self.open(html, "", Mode::Apply);
            html.raw("<label>Only these accounts (empty for all)<textarea name=\"accounts\" spellcheck=\"false\"></textarea></label>");
            sure(html, "I have looked at a preview");
            html.raw("<button class=\"danger\">Apply to Zivver</button></form>");
        } else {
            html.raw("<p class=\"soft\">Applying is off: set CLOUD_SYNC__PERFORM_SYNC to on-demand or true (R28).</p>");
        }
        html.raw("</section>");
    }

    fn approval(&self, html: &mut Html, set: &HeldSet) {
        html.raw("<section><h2>Held: ")
            .text(&name(set.class))
            .raw(" <span class=\"count\">")
            .number(set.changes.len());
        html.raw("</span></h2><p>").text(&set.reason).raw("</p>");
        html.group("Changes", set.changes.len(), |html| {
            html.raw("<ul class=\"rows\">");
            for change in &set.changes {
                html.raw("<li><span class=\"who\">")
                    .value(change.address.as_str())
                    .raw("</span> ")
                    .text(&change.what);
                html.raw(" <del>")
                    .value(&change.before)
                    .raw("</del> <ins>")
                    .value(&change.after)
                    .raw("</ins></li>");
            }
            html.raw("</ul>");
        });
        if self.may_apply() {
            self.open(html, "", Mode::Apply);
            html.raw("<input type=\"hidden\" name=\"approve\" value=\"")
                .text(&set.code)
                .raw("\">");
            sure(
                html,
                "These changes are right; apply them with all others that are not held",
            );
            html.raw("<button class=\"danger\">Approve and apply</button></form>");
        }
        html.raw("<p class=\"soft\">Code <code>")
            .text(&set.code)
            .raw("</code>, for 24 hours (R27)</p></section>");
    }

    /// What can be done with a run that ended.
    pub(super) fn of_run(&self, html: &mut Html, report: &Report) {
        html.raw("<section><h2>Take it along</h2><p>");
        for (format, label) in [("json", "JSON"), ("csv", "CSV"), ("md", "Markdown")] {
            html.raw("<a href=\"")
                .text(self.base)
                .raw("/runs/")
                .text(&report.id)
                .raw("?format=")
                .text(format)
                .raw("\">");
            html.text(label).raw("</a> ");
        }
        html.raw("</p></section>");
        if report.state != RunState::Ended {
            return;
        }
        if report.mode != Mode::Apply || report.counts.applied.is_empty() {
            return;
        }
        let path = format!("/runs/{}/undo", report.id);
        html.raw("<section><h2>Undo</h2><p>Plans the reverse of what this run changed, with the same guards (R37).</p>");
        self.open(html, &path, Mode::Preview);
        html.raw("<button class=\"second\">Preview the undo</button></form>");
        if self.may_apply() {
            self.open(html, &path, Mode::Apply);
            sure(html, "I have looked at the preview of the undo");
            html.raw("<button class=\"danger\">Undo this run</button></form>");
        }
        html.raw("</section>");
    }
}

fn sure(html: &mut Html, words: &'static str) {
    html.raw("<label class=\"check\"><input type=\"checkbox\" name=\"sure\" value=\"yes\" required> <span>");
    html.raw(words).raw("</span></label>");
}

/// How far the run of this process is.
pub(super) fn progress_in_words(progress: Progress) -> Option<String> {
    match progress {
        Progress::Starting | Progress::Ended => None,
        Progress::Listing { mailboxes } => {
            Some(format!("Reading the mailbox list: {mailboxes} so far"))
        }
        Progress::Reading { permissions, of } => {
            Some(format!("Reading permissions: {permissions} of {of}"))
        }
        Progress::Resolving { answered } => Some(format!(
            "Asking about groups and recipients: {answered} answered"
        )),
        Progress::Planning => Some("Planning".into()),
        Progress::Applying { done, of } => Some(format!("Applying: {done} of {of}")),
        Progress::Verifying => Some("Verifying".into()),
    }
}
