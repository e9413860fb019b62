//! The page of one run.

mod facts;
mod notes;

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    super::words::{self, number, thousands},
    Page, Tone, badge, change, group, search, tile, value,
};
use domain::{
    all_clear::{AllClear, Verification},
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
    page.around(&html! { (heading(report)) (details(report, held_rows)) })
}

/// Which run it is, and how it stands.
pub fn heading(report: &Report) -> Markup {
    html! {
        h1 {
            (title(report)) " "
            @if report.state == RunState::Ended {
                (badge(tone_of(report.state, report.outcome), words::outcome(report.outcome)))
            }
        }
        p.soft {
            (words::moment(&report.started)) " · by " (words::trigger(report.trigger))
            @if report.duration_ms > 0 { " · took " (words::duration(report.duration_ms)) }
            @if let Some(wave) = &report.wave { " · " (words::wave(wave)) }
            @if let Some(preview) = &report.applies { " · " (words::applies(preview)) }
        }
    }
}

/// Everything below the heading; nothing for a run of which nothing is known yet. `changes` shows those of a held set, with
/// what can be done about them.
pub fn details(report: &Report, changes: impl Fn(&HeldSet) -> Markup) -> Markup {
    html! {
        @if let Some(error) = &report.error {
            p.alert.bad role="alert" { (error) }
        }
        @for warning in &report.warnings {
            p.alert.notice { (warning) }
        }
        @if report.state == RunState::Ended || !report.actions.is_empty() {
            (tiles(report))
            (estimate(report))
            (search("Search in this run"))
            (held(report, changes))
            (failed(&report.failed))
            (plan(report))
            (verification(report))
            (notes::since(report))
            (notes::notes(report))
            (notes::suspended(report))
            (facts::facts(report))
        }
    }
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
        (RunState::Ended, RunOutcome::InSync | RunOutcome::Done) => Tone::Good,
        (
            RunState::Ended,
            RunOutcome::ChangesPending | RunOutcome::NeedsAttention | RunOutcome::Stopped,
        ) => Tone::Notice,
        (RunState::Ended, RunOutcome::Failed) => Tone::Bad,
    }
}

/// Numbers that say something: planned always, the others where they are not 0.
fn tiles(report: &Report) -> Markup {
    let sum = |counts: &BTreeMap<ActionKind, u32>| counts.values().sum::<u32>();
    let counts = &report.counts;
    let attention = report
        .skipped
        .iter()
        .filter(|note| note.code.needs_attention())
        .count();
    let attention = u32::try_from(attention).unwrap_or(u32::MAX);
    let others = [
        (Tone::Good, sum(&counts.applied), "applied"),
        (Tone::Notice, counts.held, "held back"),
        (Tone::Notice, counts.refused, "refused"),
        (Tone::Bad, counts.failed, "failed"),
        (Tone::Notice, report.remaining, "not started"),
        (Tone::Notice, attention, "to look at"),
    ];
    html! {
        ul.tiles {
            (tile(Tone::Plain, thousands(sum(&counts.planned).into()), "planned"))
            @for (tone, count, what) in others.into_iter().filter(|(_, count, _)| *count > 0) {
                (tile(tone, thousands(count.into()), what))
            }
        }
    }
}

fn estimate(report: &Report) -> Markup {
    html! {
        @if report.planned_writes > 0 {
            p.lead {
                (words::estimate(report.planned_writes, report.estimate_ms))
                (match report.mode {
                    Mode::Preview => ". Nothing was written.",
                    Mode::Apply => ".",
                })
                @if let Some(forbidden) = words::forbidden(report) { " " (forbidden) "." }
            }
        }
    }
}

fn held(report: &Report, changes: impl Fn(&HeldSet) -> Markup) -> Markup {
    let accounts = report.accounts.iter().map(ToString::to_string);
    let accounts = match accounts.collect::<Vec<_>>().join("\",\"") {
        accounts if accounts.is_empty() || report.undoes.is_some() => String::new(),
        accounts => format!(",\"accounts\":[\"{accounts}\"]"),
    };
    let path = match &report.undoes {
        None => String::new(),
        Some(run) => format!("/runs/{run}/undo"),
    };
    html! {
        @if !report.held.is_empty() {
            div #held {
                @if let Some(forbidden) = words::forbidden(report) { p.alert.notice { (forbidden) } }
                @for set in &report.held {
                    section {
                        (held_set(set, &changes(set)))
                        p.why {
                            "To approve exactly these changes from elsewhere, within 24 hours: "
                            code { (words::command(report)) " --approve " (set.code) }
                            " or "
                            code { "POST …/SyncHttp" (path) " {\"mode\":\"apply\",\"approve\":[\"" (set.code) "\"]" (accounts) "}" }
                            " (R27). Only some of them: "
                            code { "--account ADDRESS" } " or " code { "\"approve_accounts\"" }
                            ". Never: " code { "cloud-sync reject " (set.code) } " or "
                            code { "POST …/SyncHttp/rejections" } " (R47)."
                        }
                    }
                }
            }
        }
    }
}

/// Heading, reason and changes.
pub fn held_set(set: &HeldSet, changes: &Markup) -> Markup {
    html! {
        h2 { (badge(Tone::Notice, "held")) " " (words::capital(words::class(set.class))) }
        p { (set.reason) }
        (group("Changes", set.changes.len(), changes))
    }
}

pub fn held_rows(set: &HeldSet) -> Markup {
    html! {
        ul.rows {
            @for change in &set.changes { li { (held_change(change)) } }
        }
    }
}

/// Account, what, and before and after.
pub fn held_change(held: &HeldChange) -> Markup {
    html! { (who(held.address.as_str())) " " (held.what) " " (change(&held.before, &held.after)) }
}

/// Whom a row is about.
pub(super) fn who(address: &str) -> Markup {
    html! { span.who { (value(address)) } }
}

fn failed(failed: &[FailedAction]) -> Markup {
    if failed.is_empty() {
        return Markup::default();
    }
    let rows = html! {
        ul.rows {
            @for action in failed {
                li {
                    (who(action.address.as_str())) " " (words::verb(action.kind))
                    (problems(&action.problems))
                }
            }
        }
    };
    html! {
        section #failed {
            h2 { "Refused or failed" }
            (group("What went wrong, and what to do", failed.len(), rows))
        }
    }
}

fn problems(problems: &[String]) -> Markup {
    html! { @for problem in problems { p.problem { (problem) } } }
}

/// The plan as a diff, by kind of action.
fn plan(report: &Report) -> Markup {
    let mut by_kind: BTreeMap<ActionKind, Vec<&ActionReport>> = BTreeMap::new();
    for action in &report.actions {
        by_kind.entry(action.action.kind).or_default().push(action);
    }
    let title = |kind| {
        let verb = words::capital(words::verb(kind));
        format!("{verb}: {}", words::meaning(kind))
    };
    html! {
        section {
            h2 {
                (match report.mode {
                    Mode::Preview => "What would change",
                    Mode::Apply => "What changed",
                })
            }
            @if report.actions.is_empty() { p { (without_actions(report)) } }
            @for (kind, actions) in by_kind {
                (group(&title(kind), actions.len(), html! {
                    ul.rows { @for action in actions { (planned(action)) } }
                }))
            }
        }
    }
}

/// What stands where there is no action to show.
fn without_actions(report: &Report) -> String {
    if let Some(claim) = report.nothing_to_change() {
        return words::capital(claim.text()) + ".";
    }
    let text = match report.outcome {
        RunOutcome::Done if report.counts.planned.is_empty() => "Nothing is left to undo.",
        RunOutcome::Open | RunOutcome::Stopped => "Not planned yet.",
        RunOutcome::Failed => "No change was planned before the run failed.",
        RunOutcome::NeedsAttention => "Nothing but what is held or needs attention.",
        RunOutcome::InSync | RunOutcome::Done | RunOutcome::ChangesPending => {
            "The changes of this run are not stored any more."
        }
    };
    text.to_owned()
}

fn planned(report: &ActionReport) -> Markup {
    let tone = match report.outcome {
        ActionOutcome::Applied => Tone::Good,
        ActionOutcome::Partly | ActionOutcome::Refused => Tone::Notice,
        ActionOutcome::Failed => Tone::Bad,
        ActionOutcome::Planned | ActionOutcome::Remaining => Tone::Plain,
    };
    let ended = (report.outcome != ActionOutcome::Planned)
        .then(|| (tone, words::action_outcome(report.outcome)));
    html! { li { (action_with_end(&report.action, ended)) (problems(&report.problems)) } }
}

/// Account, attributes and reasons.
pub(super) fn action(action: &Action) -> Markup {
    action_with_end(action, None)
}

fn action_with_end(action: &Action, ended: Option<(Tone, &str)>) -> Markup {
    html! {
        (who(action.address.as_str())) " "
        span.soft { (words::account(action.account)) } " "
        @if let Some((tone, word)) = ended { (badge(tone, word)) }
        @if !action.changes.is_empty() {
            ul.diff {
                @for it in &action.changes {
                    li {
                        span.attribute { (words::attribute(it.attribute)) } " "
                        @for value in &it.before { (change(value, "")) }
                        @for value in &it.after { (change("", value)) }
                    }
                }
            }
        }
        @if !action.reasons.is_empty() {
            p.why {
                @for (at, reason) in action.reasons.iter().enumerate() {
                    @if at > 0 { " · " }
                    (reason.fact) " (" (reason.rule) ")"
                }
            }
        }
    }
}

fn verification(report: &Report) -> Markup {
    let (tone, word) = match report.verification() {
        Verification::Preview | Verification::NotVerified => (Tone::Plain, "not verified"),
        Verification::Undone => (Tone::Good, "undone"),
        Verification::AsPlanned { .. } => (Tone::Good, AllClear::Converged.text()),
        Verification::Differs => (Tone::Notice, "not converged"),
    };
    html! {
        section #verification {
            h2 { "Verification " (badge(tone, word)) }
            p { (words::verdict(report)) }
            @if !report.differences.is_empty() {
                (group("Differences", report.differences.len(), html! {
                    ul.rows {
                        @for difference in &report.differences {
                            li { (words::verb(difference.kind)) " " (action(difference)) }
                        }
                    }
                }))
            }
        }
    }
}
