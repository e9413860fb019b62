//! The page of one run.

mod facts;
mod notes;

use std::collections::BTreeMap;

use super::{
    super::words::{self, number, thousands},
    Html, Page, Tone,
};
use domain::{
    hold::{HeldChange, HeldSet},
    mode::Mode,
    plan::{Action, ActionKind},
    report::{ActionOutcome, ActionReport, FailedAction, Report, RunOutcome, RunState},
};

pub(super) use notes::note_rows;

/// The report alone in one file.
pub fn report(report: &Report) -> String {
    let title = format!("Cloud Sync: {} {}", words::mode(report.mode), report.id);
    let page = Page {
        title: &title,
        ..Page::default()
    };
    page.around(|html| content(html, report, |_, _| {}))
}

/// What a page says of a run; `approval` is what can be done about a held set.
pub fn content(html: &mut Html, report: &Report, approval: impl Fn(&mut Html, &HeldSet)) {
    heading(html, report);
    details(html, report, approval);
}

/// Which run it is, and how it stands.
pub fn heading(html: &mut Html, report: &Report) {
    html.raw("<h1>").text(&title(report)).raw(" ");
    if report.state == RunState::Ended {
        let standing = words::outcome(report.outcome);
        html.badge(tone_of(report.state, report.outcome), standing);
    }
    html.raw("</h1><p class=\"soft\">")
        .text(&words::moment(&report.started))
        .raw(" · by ")
        .text(words::trigger(report.trigger));
    if report.duration_ms > 0 {
        html.raw(" · took ")
            .text(&words::duration(report.duration_ms));
    }
    html.raw("</p>");
}

/// Everything below the heading; nothing for a run of which nothing is known yet.
pub fn details(html: &mut Html, report: &Report, approval: impl Fn(&mut Html, &HeldSet)) {
    if let Some(error) = &report.error {
        html.raw("<p class=\"alert bad\" role=\"alert\">")
            .text(error)
            .raw("</p>");
    }
    for warning in &report.warnings {
        html.raw("<p class=\"alert notice\">")
            .text(warning)
            .raw("</p>");
    }
    if report.state != RunState::Ended && report.actions.is_empty() {
        return;
    }
    tiles(html, report);
    estimate(html, report);
    html.search("Search in this run");
    held(html, &report.held, approval);
    failed(html, &report.failed);
    plan(html, report);
    verification(html, report);
    notes::since(html, report);
    notes::notes(html, report);
    notes::suspended(html, report);
    facts::facts(html, report);
}

fn title(report: &Report) -> String {
    let what = match (report.mode, &report.undoes) {
        (Mode::Preview, None) => "Preview",
        (Mode::Apply, None) => "Apply",
        (Mode::Preview, Some(_)) => "Preview of an undo",
        (Mode::Apply, Some(_)) => "Undo",
    };
    match report.accounts.len() {
        0 => what.to_owned(),
        count => format!("{what} for {}", number(count as u64, "account", "accounts")),
    }
}

/// The colour of a run.
pub fn tone_of(state: RunState, outcome: RunOutcome) -> Tone {
    match (state, outcome) {
        (RunState::Queued | RunState::Running | RunState::Continues, _) | (_, RunOutcome::Open) => {
            Tone::Plain
        }
        (RunState::Ended, RunOutcome::InSync) => Tone::Good,
        (RunState::Ended, RunOutcome::ChangesPending | RunOutcome::NeedsAttention) => Tone::Notice,
        (RunState::Ended, RunOutcome::Failed) => Tone::Bad,
    }
}

/// Numbers that say something: planned always, the others where they are not 0.
fn tiles(html: &mut Html, report: &Report) {
    let sum = |counts: &BTreeMap<ActionKind, u32>| counts.values().sum::<u32>();
    let counts = &report.counts;
    let attention = report
        .skipped
        .iter()
        .filter(|note| note.code.needs_attention())
        .count();
    html.raw("<ul class=\"tiles\">");
    html.tile(
        Tone::Plain,
        thousands(sum(&counts.planned).into()),
        "planned",
    );
    for (tone, count, what) in [
        (Tone::Good, sum(&counts.applied), "applied"),
        (Tone::Notice, counts.held, "held back"),
        (Tone::Notice, counts.refused, "refused"),
        (Tone::Bad, counts.failed, "failed"),
        (Tone::Notice, report.remaining, "not started"),
        (
            Tone::Notice,
            u32::try_from(attention).unwrap_or(u32::MAX),
            "to look at",
        ),
    ] {
        if count > 0 {
            html.tile(tone, thousands(count.into()), what);
        }
    }
    html.raw("</ul>");
}

fn estimate(html: &mut Html, report: &Report) {
    if report.planned_writes == 0 {
        return;
    }
    html.raw("<p class=\"lead\">")
        .text(&words::estimate(report.planned_writes, report.estimate_ms));
    html.raw(match report.mode {
        Mode::Preview => ". Nothing was written.</p>",
        Mode::Apply => ".</p>",
    });
}

fn held(html: &mut Html, sets: &[HeldSet], approval: impl Fn(&mut Html, &HeldSet)) {
    if !sets.is_empty() {
        html.raw("<div id=\"held\">");
    }
    for set in sets {
        html.raw("<section>");
        held_set(html, set);
        approval(html, set);
        html.raw("<p class=\"why\">To approve exactly these changes from elsewhere, within 24 hours: <code>cloud-sync apply --approve ");
        html.text(&set.code)
            .raw("</code> or <code>POST …/SyncHttp {\"mode\":\"apply\",\"approve\":[\"")
            .text(&set.code)
            .raw("\"]}</code> (R27)</p></section>");
    }
    if !sets.is_empty() {
        html.raw("</div>");
    }
}

/// Heading, reason and changes.
pub fn held_set(html: &mut Html, set: &HeldSet) {
    html.raw("<h2>")
        .badge(Tone::Notice, "held")
        .raw(" ")
        .text(&words::capital(words::class(set.class)))
        .raw("</h2><p>")
        .text(&set.reason)
        .raw("</p>");
    let count = set.changes.len();
    html.group("Changes", count, |html| {
        html.raw("<ul class=\"rows\">");
        for change in &set.changes {
            html.raw("<li>");
            held_change(html, change);
            html.raw("</li>");
        }
        html.raw("</ul>");
    });
}

/// Account, what, and before and after.
pub(super) fn held_change(html: &mut Html, change: &HeldChange) {
    html.raw("<span class=\"who\">")
        .value(change.address.as_str())
        .raw("</span> ")
        .text(&change.what)
        .raw(" ")
        .change(&change.before, &change.after);
}

fn failed(html: &mut Html, failed: &[FailedAction]) {
    if failed.is_empty() {
        return;
    }
    html.raw("<section id=\"failed\"><h2>Refused or failed</h2>");
    html.group("What went wrong, and what to do", failed.len(), |html| {
        html.raw("<ul class=\"rows\">");
        for action in failed {
            html.raw("<li><span class=\"who\">")
                .value(action.address.as_str())
                .raw("</span> ")
                .text(words::verb(action.kind));
            for problem in &action.problems {
                html.raw("<p class=\"problem\">").text(problem).raw("</p>");
            }
            html.raw("</li>");
        }
        html.raw("</ul>");
    });
    html.raw("</section>");
}

/// The plan as a diff, by kind of action.
fn plan(html: &mut Html, report: &Report) {
    html.raw("<section><h2>")
        .raw(match report.mode {
            Mode::Preview => "What would change",
            Mode::Apply => "What changed",
        })
        .raw("</h2>");
    if report.actions.is_empty() {
        html.raw("<p>Nothing is to change.</p>");
    }
    let mut by_kind: BTreeMap<ActionKind, Vec<&ActionReport>> = BTreeMap::new();
    for action in &report.actions {
        by_kind.entry(action.action.kind).or_default().push(action);
    }
    for (kind, actions) in by_kind {
        let title = format!(
            "{}: {}",
            words::capital(words::verb(kind)),
            words::meaning(kind)
        );
        html.group(&title, actions.len(), |html| {
            html.raw("<ul class=\"rows\">");
            for report in actions {
                planned(html, report);
            }
            html.raw("</ul>");
        });
    }
    html.raw("</section>");
}

fn planned(html: &mut Html, report: &ActionReport) {
    let tone = match report.outcome {
        ActionOutcome::Applied => Tone::Good,
        ActionOutcome::Partly | ActionOutcome::Refused => Tone::Notice,
        ActionOutcome::Failed => Tone::Bad,
        ActionOutcome::Planned | ActionOutcome::Remaining => Tone::Plain,
    };
    html.raw("<li>");
    let ended = (report.outcome != ActionOutcome::Planned)
        .then(|| (tone, words::action_outcome(report.outcome)));
    action_with_end(html, &report.action, ended);
    for problem in &report.problems {
        html.raw("<p class=\"problem\">").text(problem).raw("</p>");
    }
    html.raw("</li>");
}

/// Account, attributes and reasons.
pub(super) fn action(html: &mut Html, action: &Action) {
    action_with_end(html, action, None);
}

fn action_with_end(html: &mut Html, action: &Action, ended: Option<(Tone, &str)>) {
    html.raw("<span class=\"who\">")
        .value(action.address.as_str())
        .raw("</span> <span class=\"soft\">");
    html.text(words::account(action.account)).raw("</span> ");
    if let Some((tone, word)) = ended {
        html.badge(tone, word);
    }
    if !action.changes.is_empty() {
        html.raw("<ul class=\"diff\">");
        for change in &action.changes {
            html.raw("<li><span class=\"attribute\">")
                .text(words::attribute(change.attribute))
                .raw("</span> ");
            for value in &change.before {
                html.change(value, "");
            }
            for value in &change.after {
                html.change("", value);
            }
            html.raw("</li>");
        }
        html.raw("</ul>");
    }
    if !action.reasons.is_empty() {
        html.raw("<p class=\"why\">");
        for (at, reason) in action.reasons.iter().enumerate() {
            html.raw(if at > 0 { " · " } else { "" })
                .text(&reason.fact)
                .raw(" (")
                .text(&reason.rule)
                .raw(")");
        }
        html.raw("</p>");
    }
}

fn verification(html: &mut Html, report: &Report) {
    let (tone, word) = match report.converged {
        None => (Tone::Plain, "not verified"),
        Some(true) => (Tone::Good, "converged"),
        Some(false) => (Tone::Notice, "not converged"),
    };
    html.raw("<section id=\"verification\"><h2>Verification ")
        .badge(tone, word)
        .raw("</h2><p>")
        .text(words::verdict(report))
        .raw("</p>");
    if !report.differences.is_empty() {
        html.group("Differences", report.differences.len(), |html| {
            html.raw("<ul class=\"rows\">");
            for difference in &report.differences {
                html.raw("<li>").text(words::verb(difference.kind)).raw(" ");
                action(html, difference);
                html.raw("</li>");
            }
            html.raw("</ul>");
        });
    }
    html.raw("</section>");
}
