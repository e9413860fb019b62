//! The page of one run.

use std::collections::BTreeMap;

use super::{
    super::{
        markdown::{requests_in_words, verdict},
        words::{duration, is_about_a_delegation, name, standing},
    },
    Html, Page, Tone,
};
use crate::domain::{
    hold::HeldSet,
    note::{Code, Note},
    plan::{Action, ActionKind},
    report::{ActionOutcome, ActionReport, FailedAction, Report, RunOutcome, RunState},
};

/// The report alone in one file.
pub fn report(report: &Report) -> String {
    let title = format!("Cloud Sync: {} {}", name(report.mode), report.id);
    let page = Page {
        title: &title,
        ..Page::default()
    };
    page.around(|html| content(html, report))
}

/// What a page says of a run.
pub fn content(html: &mut Html, report: &Report) {
    html.raw("<h1>")
        .text(&title(report))
        .raw(" ")
        .badge(tone(report), &standing(report))
        .raw("</h1>");
    html.raw("<p class=\"soft\">")
        .text(&report.started)
        .raw(" · ")
        .text(&name(report.trigger))
        .raw(" · ")
        .value(&report.id);
    html.raw("</p>");
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
    tiles(html, report);
    html.search("Search in this run");
    held(html, &report.held);
    failed(html, &report.failed);
    plan(html, &report.actions);
    verification(html, report);
    notes(html, report);
    facts(html, report);
}

fn title(report: &Report) -> String {
    let what = name(report.mode);
    let mut letters = what.chars();
    let capital: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect();
    if report.accounts.is_empty() {
        capital
    } else {
        format!("{capital} for {} account(s)", report.accounts.len())
    }
}

fn tone(report: &Report) -> Tone {
    tone_of(report.state, report.outcome)
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

fn tiles(html: &mut Html, report: &Report) {
    let sum = |counts: &BTreeMap<ActionKind, u32>| counts.values().sum::<u32>();
    let counts = &report.counts;
    let alarm = |count: u32, tone: Tone| if count == 0 { Tone::Plain } else { tone };
    html.raw("<ul class=\"tiles\">");
    html.tile(Tone::Plain, sum(&counts.planned), "planned");
    html.tile(
        alarm(sum(&counts.applied), Tone::Good),
        sum(&counts.applied),
        "applied",
    );
    html.tile(alarm(counts.held, Tone::Notice), counts.held, "held");
    html.tile(
        alarm(counts.refused, Tone::Notice),
        counts.refused,
        "refused",
    );
    html.tile(alarm(counts.failed, Tone::Bad), counts.failed, "failed");
    html.tile(
        alarm(report.remaining, Tone::Notice),
        report.remaining,
        "remaining",
    );
    html.tile(Tone::Plain, report.skipped.len(), "notes on skipped");
    html.raw("</ul>");
}

fn held(html: &mut Html, sets: &[HeldSet]) {
    for set in sets {
        html.raw("<section><h2>Held: ")
            .text(&name(set.class))
            .raw(" <span class=\"count\">")
            .number(set.changes.len());
        html.raw("</span></h2><p>")
            .text(&set.reason)
            .raw("</p><p>To approve exactly these changes, within 24 hours: ");
        html.raw("<code>cloud-sync apply --approve ")
            .text(&set.code)
            .raw("</code>, the button on the dashboard, or ");
        html.raw("<code>POST …/SyncHttp {\"mode\":\"apply\",\"approve\":[\"")
            .text(&set.code)
            .raw("\"]}</code> (R27).</p>");
        html.group("Changes", set.changes.len(), |html| {
            html.raw("<ul class=\"rows\">");
            for change in &set.changes {
                html.raw("<li><span class=\"who\">")
                    .value(change.address.as_str())
                    .raw("</span> ")
                    .text(&change.what);
                html.raw("<ul class=\"diff\"><li>");
                old_and_new(html, &change.before, &change.after);
                html.raw("</li></ul></li>");
            }
            html.raw("</ul>");
        });
        html.raw("</section>");
    }
}

fn old_and_new(html: &mut Html, before: &str, after: &str) {
    if !before.is_empty() {
        html.raw("<del>").value(before).raw("</del> ");
    }
    if !after.is_empty() {
        html.raw("<ins>").value(after).raw("</ins>");
    }
}

fn failed(html: &mut Html, failed: &[FailedAction]) {
    if failed.is_empty() {
        return;
    }
    html.raw("<section><h2>Refused or failed</h2>");
    html.group("What went wrong, and what to do", failed.len(), |html| {
        html.raw("<ul class=\"rows\">");
        for action in failed {
            html.raw("<li><span class=\"who\">")
                .value(action.address.as_str())
                .raw("</span> ")
                .text(&name(action.kind));
            for problem in &action.problems {
                html.raw("<p class=\"why\">").text(problem).raw("</p>");
            }
            html.raw("</li>");
        }
        html.raw("</ul>");
    });
    html.raw("</section>");
}

/// The plan as a diff, by kind of action.
fn plan(html: &mut Html, actions: &[ActionReport]) {
    html.raw("<section><h2>Plan</h2>");
    if actions.is_empty() {
        html.raw("<p>Nothing is to change.</p>");
    }
    let mut by_kind: BTreeMap<ActionKind, Vec<&ActionReport>> = BTreeMap::new();
    for action in actions {
        by_kind.entry(action.action.kind).or_default().push(action);
    }
    for (kind, actions) in by_kind {
        html.group(&name(kind), actions.len(), |html| {
            html.raw("<ul class=\"rows\">");
            for report in actions {
                html.raw("<li>");
                action(html, &report.action);
                if report.outcome != ActionOutcome::Planned {
                    html.badge(outcome_tone(report.outcome), &name(report.outcome));
                }
                for problem in &report.problems {
                    html.raw("<p class=\"why\">").text(problem).raw("</p>");
                }
                html.raw("</li>");
            }
            html.raw("</ul>");
        });
    }
    html.raw("</section>");
}

fn outcome_tone(outcome: ActionOutcome) -> Tone {
    match outcome {
        ActionOutcome::Applied => Tone::Good,
        ActionOutcome::Partly | ActionOutcome::Refused => Tone::Notice,
        ActionOutcome::Failed => Tone::Bad,
        ActionOutcome::Planned | ActionOutcome::Remaining => Tone::Plain,
    }
}

/// Account, attributes and reasons.
pub(super) fn action(html: &mut Html, action: &Action) {
    html.raw("<span class=\"who\">")
        .value(action.address.as_str())
        .raw("</span> <span class=\"soft\">");
    html.text(&name(action.account)).raw("</span> ");
    if !action.changes.is_empty() {
        html.raw("<ul class=\"diff\">");
        for change in &action.changes {
            html.raw("<li><span class=\"attribute\">")
                .text(&name(change.attribute))
                .raw("</span> ");
            for value in &change.before {
                html.raw("<del>").value(value).raw("</del> ");
            }
            for value in &change.after {
                html.raw("<ins>").value(value).raw("</ins> ");
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
    let tone = match report.converged {
        None => Tone::Plain,
        Some(true) => Tone::Good,
        Some(false) => Tone::Notice,
    };
    html.raw("<section><h2>Verification</h2><p><span class=\"badge ")
        .raw(tone.class())
        .raw("\">");
    let word = match report.converged {
        None => "not verified",
        Some(true) => "converged",
        Some(false) => "not converged",
    };
    html.text(word)
        .raw("</span> ")
        .text(verdict(report.converged))
        .raw("</p>");
    if !report.differences.is_empty() {
        html.group("Differences", report.differences.len(), |html| {
            html.raw("<ul class=\"rows\">");
            for difference in &report.differences {
                html.raw("<li>").text(&name(difference.kind)).raw(" ");
                action(html, difference);
                html.raw("</li>");
            }
            html.raw("</ul>");
        });
    }
    html.raw("</section>");
}

fn notes(html: &mut Html, report: &Report) {
    let (delegations, others): (Vec<&Note>, Vec<&Note>) = report
        .skipped
        .iter()
        .partition(|note| is_about_a_delegation(note.code));
    note_groups(html, "Unresolved delegations", &delegations);
    note_groups(html, "Skipped, and why", &others);
}

/// Notes by code: those that need attention first.
fn note_groups(html: &mut Html, title: &str, notes: &[&Note]) {
    if notes.is_empty() {
        return;
    }
    let mut by_code: BTreeMap<(bool, Code), Vec<&Note>> = BTreeMap::new();
    for note in notes {
        by_code
            .entry((!note.code.needs_attention(), note.code))
            .or_default()
            .push(note);
    }
    html.raw("<section><h2>")
        .text(title)
        .raw(" <span class=\"count\">")
        .number(notes.len())
        .raw("</span></h2>");
    for ((_, code), notes) in by_code {
        html.group(
            &format!("{} ({})", name(code), code.rule()),
            notes.len(),
            |html| {
                if code.needs_attention() {
                    html.raw("<p>")
                        .badge(Tone::Notice, "needs attention")
                        .raw("</p>");
                }
                note_rows(html, notes.into_iter());
            },
        );
    }
    html.raw("</section>");
}

pub(super) fn note_rows<'a>(html: &mut Html, notes: impl Iterator<Item = &'a Note>) {
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

fn facts(html: &mut Html, report: &Report) {
    let (source, target) = (&report.source, &report.target);
    html.raw("<section><h2>What was read, and how</h2><dl>");
    html.fact("Started", |html| html.text(&report.started));
    let ended = report.ended.as_deref().unwrap_or("not yet");
    html.fact("Ended", |html| html.text(ended));
    html.fact("Duration", |html| html.text(&duration(report.duration_ms)));
    html.fact("Tenant", |html| html.value(&source.tenant_id));
    html.fact("Mailboxes read", |html| html.number(source.mailboxes));
    html.fact("Mailboxes in scope", |html| html.number(source.in_scope));
    html.fact("Mailboxes not understood", |html| {
        html.number(source.rejected)
    });
    html.fact("Zivver users", |html| html.number(target.users));
    html.fact("Zivver functional accounts", |html| {
        html.number(target.functional)
    });
    html.fact("Active accounts", |html| html.number(target.active));
    html.fact("Outside the claimed domains", |html| {
        html.number(target.outside)
    });
    html.fact("Planned writes", |html| html.number(report.planned_writes));
    html.fact("Writing takes at least", |html| {
        html.text(&duration(report.estimate_ms))
    });
    html.fact("Requests to Exchange", |html| {
        html.text(&requests_in_words(&report.requests.exchange))
    });
    html.fact("Requests to Zivver", |html| {
        html.text(&requests_in_words(&report.requests.zivver))
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
    if !report.accounts.is_empty() {
        let accounts: Vec<&str> = report
            .accounts
            .iter()
            .map(crate::domain::address::SmtpAddress::as_str)
            .collect();
        html.fact("Only for", |html| html.values(&accounts));
    }
    for (entry, count) in &report.filter_counts {
        html.fact(&format!("Target filter {entry}"), |html| {
            html.raw("matches ").number(count).raw(" account(s)")
        });
    }
    html.raw("</dl></section>");
}
