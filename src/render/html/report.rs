//! The page of one run.

mod beside;
mod facts;
mod notes;
mod origins;
mod tools;

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    super::words::{self, number, thousands},
    Links, Page, Tone, badge, change, group, tile, time, value,
};
use crate::links::Link;
use domain::{
    all_clear::{AllClear, Verification},
    figures::Figures,
    hold::{HeldChange, HeldSet},
    mode::{Depth, Mode},
    plan::{Action, ActionKind, AttributeChange},
    report::{ActionOutcome, ActionReport, FailedAction, Report, RunOutcome, RunState},
};

pub(super) use notes::note_rows;

/// The report as one file.
pub fn report(report: &Report) -> String {
    report_after(report, None, &[])
}

/// R28: the report, followed by the state of all accounts at the end of the last complete run if that is another run.
/// `pages` are links to the dashboard.
pub fn report_after(report: &Report, last: Option<(&Report, &Figures)>, pages: &[Link]) -> String {
    let title = format!(
        "Cloud Sync: {} {}",
        words::mode_of(report.mode, report.depth),
        report.id
    );
    let page = Page {
        title: &title,
        ..Page::default()
    };
    let links = Links::default();
    page.around(&html! {
        (heading(report, links))
        (self::pages(pages))
        (details(report, links, |set| held_rows(set, links)))
        @if let Some((last, figures)) = last {
            section {
                h2 { "All accounts: last complete run, " (time(&figures.ended)) }
                (tally(figures))
            }
            (held(last, links, |set| held_rows(set, links)))
        }
    })
}

/// The links of a message.
pub fn pages(pages: &[Link]) -> Markup {
    html! {
        @if !pages.is_empty() {
            ul.links { @for page in pages { li { a href=(page.url) { (page.title) } } } }
        }
    }
}

/// The title of the run and its state.
pub fn heading(report: &Report, links: Links<'_>) -> Markup {
    html! {
        h1 {
            (title(report)) " "
            @if report.state == RunState::Ended {
                (badge(tone_of(report.state, report.outcome), words::outcome(report.outcome)))
            }
        }
        p.soft {
            (time(&report.started)) " · by " (value(&words::started_by(report.trigger, report.started_by.as_ref())))
            @if let Some(approved) = words::approves(report) { " · " (value(&format!("approved {approved}"))) " (R27)" }
            @if report.duration_ms > 0 { " · took " (words::duration(report.duration_ms)) }
            @if let Some(wave) = &report.wave { " · " (words::wave_in_words(wave)) }
            @if let Some(preview) = &report.applies { " · only what preview " (links.run(preview)) " showed (R28)" }
            @if let Some(run) = &report.undoes { " · takes back run " (links.run(run)) " (R37)" }
        }
    }
}

/// Everything below the heading; empty if nothing is known about the run yet. `changes` shows the changes of a held set
/// and the buttons for them.
pub fn details(report: &Report, links: Links<'_>, changes: impl Fn(&HeldSet) -> Markup) -> Markup {
    html! {
        @if let Some(error) = &report.error {
            p.alert.bad role="alert" { (links.text(error)) }
        }
        @for warning in &report.warnings {
            p.alert.notice { (links.text(warning)) }
        }
        (beside::settings(report))
        @if let Some(depth) = words::depth(report.depth) { p.soft { (words::capital(depth)) "." } }
        @if report.state == RunState::Ended || !report.actions.is_empty() {
            @if report.has_planned() {
                @if report.state == RunState::Ended {
                    (tiles(report))
                } @else {
                    div data-live { (tiles(report)) }
                    p.soft { "The list below is as of when this page was loaded. What is held, and what needs attention, is listed when the run has ended." }
                }
                (estimate(report))
                (tools::tools(report))
                (beside::compared(report, links))
                (origins::by_hand(report, links))
                (held(report, links, changes))
                (failed(&report.failed, links))
                (plan(report, links))
                @if report.state == RunState::Ended { (verification(report, links)) }
                (notes::since(report, links))
                (notes::notes(report, links))
                (notes::suspended(report, links))
            } @else {
                p { (without_plan(report)) }
            }
            (facts::facts(report, links))
        }
    }
}

fn without_plan(report: &Report) -> &'static str {
    if report.unknown_accounts.is_empty() {
        "The run ended before it had a plan."
    } else {
        "Both sides were read, and nothing was planned, because an address is unknown (R39)."
    }
}

/// The figures of a complete run: what is not done yet, and what needs a person.
pub fn tally(figures: &Figures) -> Markup {
    let tone = |of: Tone, count: u64| if count > 0 { of } else { Tone::Plain };
    let figure =
        |of: Tone, count: u64, unit: Unit, what: &str| counted(tone(of, count), count, unit, what);
    html! {
        p.soft {
            "It read " (number(figures.active, "active account", "active accounts")) " and "
            (number(figures.in_scope, "mailbox", "mailboxes")) " in scope."
        }
        h3 { "Accounts with changes not made yet" }
        ul.tiles {
            @for (kind, count) in &figures.pending {
                (tile(tone(Tone::Notice, (*count).into()), thousands(*count), words::verb(*kind)))
            }
        }
        h3 { "For a person" }
        ul.tiles {
            (figure(Tone::Notice, figures.held_changes() as u64, CHANGES, "held"))
            (figure(Tone::Notice, figures.findings.into(), FINDINGS, "to look at"))
            (figure(Tone::Bad, figures.failed.into(), ACCOUNTS, "refused or failed"))
        }
    }
}

fn title(report: &Report) -> String {
    let what = match (report.mode, &report.undoes) {
        (mode, None) => words::capital(&words::mode_of(mode, report.depth)),
        (Mode::Preview, Some(_)) => "Preview of an undo".to_owned(),
        (Mode::Apply, Some(_)) => "Undo".to_owned(),
    };
    let of = match report.accounts.len() {
        0 => String::new(),
        count => format!(" for {}", number(count, "account", "accounts")),
    };
    let under = if report.is_hypothetical() {
        " under other settings"
    } else {
        ""
    };
    format!("{what}{of}{under}")
}

/// The tone for the state or outcome of a run.
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

/// The planned changes, and all other counts that are not 0.
fn tiles(report: &Report) -> Markup {
    let sum = |counts: &BTreeMap<ActionKind, u32>| counts.values().sum::<u32>();
    let counts = &report.counts;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let approved = count(report.decided_since(|set| &set.approved));
    let attention = count(report.attention().count());
    let left = count(report.left_for_later());
    let others = [
        (Tone::Good, sum(&counts.applied), ACCOUNTS, "applied"),
        (Tone::Notice, counts.in_part, ["of them"; 2], "in part"),
        (Tone::Notice, counts.held, CHANGES, "held back"),
        (Tone::Plain, approved, CHANGES, "approved since"),
        (Tone::Notice, counts.refused, ACCOUNTS, "refused"),
        (Tone::Bad, counts.failed, ACCOUNTS, "failed"),
        (Tone::Notice, report.not_started(), ACCOUNTS, "not started"),
        (Tone::Notice, attention, FINDINGS, "to look at"),
        (Tone::Plain, count(report.rejected()), CHANGES, "rejected"),
        (Tone::Notice, left, FINDINGS, "left for later"),
    ];
    let others = others.into_iter().filter(|(_, count, ..)| *count > 0);
    html! {
        ul.tiles {
            (counted(Tone::Plain, sum(&counts.planned).into(), ACCOUNTS, "planned"))
            @for (tone, count, of, what) in others { (counted(tone, count.into(), of, what)) }
        }
    }
}

/// One entry, and several.
type Unit = [&'static str; 2];

const ACCOUNTS: Unit = ["account", "accounts"];
const CHANGES: Unit = ["change", "changes"];
const FINDINGS: Unit = ["finding", "findings"];

/// A tile that names the unit of its number.
fn counted(tone: Tone, count: u64, [one, many]: Unit, what: &str) -> Markup {
    let unit = if count == 1 { one } else { many };
    tile(tone, thousands(count), &format!("{unit} {what}"))
}

fn estimate(report: &Report) -> Markup {
    html! {
        @if report.planned_writes > 0 && (report.mode == Mode::Preview || report.state != RunState::Ended) {
            p.lead {
                (words::estimate(report.planned_writes, report.estimate_ms))
                (match report.mode {
                    Mode::Preview if report.is_hypothetical() => ".",
                    Mode::Preview => ". Nothing was written.",
                    Mode::Apply => ".",
                })
                @if report.mode == Mode::Preview && report.is_outdated { " " (words::OUTDATED) }
                @if let Some(forbidden) = words::forbidden(report) { " " (forbidden) "." }
            }
        }
    }
}

fn held(report: &Report, links: Links<'_>, changes: impl Fn(&HeldSet) -> Markup) -> Markup {
    let accounts = report.accounts.iter().map(ToString::to_string);
    let accounts = match accounts.collect::<Vec<_>>().join("\",\"") {
        accounts if accounts.is_empty() || report.undoes.is_some() => String::new(),
        accounts => format!(",\"accounts\":[\"{accounts}\"]"),
    };
    let quick = match report.depth {
        Depth::Full => "",
        Depth::Quick => ",\"quick\":true",
    };
    let only = match &report.wave {
        Some(_) => ",\"only\":[\"approved\"]",
        None => "",
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
                    section id=[(!set.code.is_empty()).then(|| held_anchor(&set.code))] {
                        (held_set(set, links, &changes(set)))
                        @if let Some(how) = set.second_person.as_ref().filter(|_| set.can_be_made()) { p.why {
                            "To approve: " (how) ". Never: "
                            code { "cloud-sync reject " (set.code) } " (R47)."
                        } }
                        @else if !set.code.is_empty() && set.can_be_made() { p.why {
                            "To approve from elsewhere within 24 hours, which makes " (words::approved_with(report)) ": "
                            code { (words::approve_command(report)) " " (set.code) }
                            " or "
                            code { "POST …/SyncHttp" (path) " {\"mode\":\"apply\",\"approve\":[\"" (set.code) "\"]" (accounts) (quick) (only) "}" }
                            " (R27). Only some of them: "
                            code { "--account ADDRESS" } " or " code { "\"approve_accounts\"" }
                            ". Never: " code { "cloud-sync reject " (set.code) } " or "
                            code { "POST …/SyncHttp/rejections" } " (R47)."
                        } }
                    }
                }
            }
        }
    }
}

/// The anchor of a held set, to which messages link.
pub fn held_anchor(code: &str) -> String {
    format!("held-{code}")
}

/// A held set with its reason and changes.
pub fn held_set(set: &HeldSet, links: Links<'_>, changes: &Markup) -> Markup {
    html! {
        h2 {
            @if !set.is_decided() { (badge(Tone::Notice, "held")) }
            @else if set.rejected.is_empty() { (badge(Tone::Plain, "approved")) }
            @else { (badge(Tone::Plain, "rejected")) }
            " " (words::capital(words::class(set.class)))
        }
        p { (links.text(&words::capital(&words::reason(set)))) }
        @if !set.is_decided() { (group("Changes", set.changes.len(), changes)) }
        (decided(&set.approved, "approved", &html! {
            "They are made, or about to be made, by the run that approves them."
        }, links))
        (decided(&set.rejected, "rejected", &html! {
            "They are not made, and not approved with the others. An approval that names the account makes them all the \
             same, and ends the rejection (R47). "
            @if let Some(home) = links.home { a href={ (home) "/rejections?format=html" } { "Take a rejection back" } }
        }, links))
    }
}

/// R47: the changes of a set that were approved or rejected since the run.
fn decided(changes: &[HeldChange], word: &str, what: &Markup, links: Links<'_>) -> Markup {
    if changes.is_empty() {
        return Markup::default();
    }
    let rows = html! {
        ul.rows { @for change in changes { li { (badge(Tone::Plain, word)) " " (held_change(change, links)) } } }
        p.soft.small { (what) }
    };
    group(
        &format!("{} since", words::capital(word)),
        changes.len(),
        rows,
    )
}

pub fn held_rows(set: &HeldSet, links: Links<'_>) -> Markup {
    html! {
        ul.rows {
            @for change in &set.changes { li { (held_change(change, links)) } }
            @for change in &set.companions { li { (held_change(change, links)) " " (COMPANION) } }
        }
    }
}

/// The account of a held change, what would change, and the values before and after.
pub fn held_change(held: &HeldChange, links: Links<'_>) -> Markup {
    html! {
        (who(held.address.as_str(), links)) " " (held.what) " "
        (change(links, &held.before, &held.after)) " " (origins::stated(held.origin))
        @if let Some(why) = &held.waits { p.why { "Not even if approved: " (links.text(why)) } }
    }
}

/// A value that comes; of a delegate whom the same plan renames, the new address (R22).
fn come(of: &AttributeChange, value: &str, links: Links<'_>) -> Markup {
    html! {
        @match of.renamed.get(value) {
            Some(now) => {
                (change(links, "", now)) span.soft.small { "(until then " (links.text(value)) ")" } " "
            }
            None => (change(links, "", value)),
        }
    }
}

/// What a page says of a change that is approved with a set, and held in another one.
pub const COMPANION: &str = "(needed by the others, and approved with them)";

/// The account of a row.
pub(super) fn who(address: &str, links: Links<'_>) -> Markup {
    html! { span.who { (links.value(address)) } }
}

fn failed(failed: &[FailedAction], links: Links<'_>) -> Markup {
    if failed.is_empty() {
        return Markup::default();
    }
    let rows = html! {
        ul.rows {
            @for action in failed {
                li {
                    (who(action.address.as_str(), links)) " " (words::verb(action.kind))
                    (problems(&action.problems, links))
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

fn problems(problems: &[String], links: Links<'_>) -> Markup {
    html! { @for problem in problems { p.problem { (links.text(problem)) } } }
}

/// The plan as a diff, grouped by kind of action.
fn plan(report: &Report, links: Links<'_>) -> Markup {
    let mut by_kind: BTreeMap<ActionKind, Vec<&ActionReport>> = BTreeMap::new();
    for action in &report.actions {
        by_kind.entry(action.action.kind).or_default().push(action);
    }
    let title = |kind| {
        let verb = words::capital(words::verb(kind));
        format!("{verb}: {}", words::meaning(kind, report))
    };
    html! {
        section {
            h2 {
                (match (report.mode, report.state) {
                    (Mode::Preview, _) => "What would change",
                    (Mode::Apply, RunState::Ended) => "What changed",
                    (Mode::Apply, _) => "What the run changes",
                })
            }
            @if report.actions.is_empty() { p { (without_actions(report)) } }
            (origins::counts(report))
            @for (kind, actions) in by_kind {
                (group(&title(kind), actions.len(), html! {
                    ul.rows { @for action in actions { (planned(action, links)) } }
                }))
            }
        }
    }
}

/// The text if there are no actions.
fn without_actions(report: &Report) -> String {
    if let Some(claim) = report.nothing_to_change() {
        return words::capital(&words::all_clear(claim, false, report)) + ".";
    }
    let text = match report.outcome {
        RunOutcome::Done if report.depth == Depth::Quick && report.counts.planned.is_empty() => {
            return words::capital(words::COVERED) + ".";
        }
        RunOutcome::Done if report.counts.planned.is_empty() => "Nothing is left to undo.",
        RunOutcome::Open | RunOutcome::Stopped => "Not planned yet.",
        RunOutcome::Failed => "No change was planned before the run failed.",
        RunOutcome::NeedsAttention if report.mode == Mode::Apply => "Nothing was changed.",
        RunOutcome::NeedsAttention if report.held.is_empty() => "Nothing.",
        RunOutcome::NeedsAttention => "Nothing, apart from what is held.",
        RunOutcome::InSync | RunOutcome::Done | RunOutcome::ChangesPending => {
            "The changes of this run are not stored any more."
        }
    };
    text.to_owned()
}

fn planned(report: &ActionReport, links: Links<'_>) -> Markup {
    let tone = match report.outcome {
        ActionOutcome::Applied => Tone::Good,
        ActionOutcome::Partly | ActionOutcome::Refused => Tone::Notice,
        ActionOutcome::Failed => Tone::Bad,
        ActionOutcome::Planned | ActionOutcome::Remaining => Tone::Plain,
    };
    let ended = (report.outcome != ActionOutcome::Planned)
        .then(|| (tone, words::action_outcome(report.outcome)));
    let action = &report.action;
    let rules: Vec<&str> = action.reasons.iter().map(|reason| &*reason.rule).collect();
    html! {
        li data-kind=(words::verb(action.kind)) data-rules=(rules.join(" ")) data-takes[action.takes_away()] {
            (action_with_end(action, ended, links))
            @if !report.left.is_empty() {
                p.soft { (words::capital(words::NOT_MADE)) ":" }
                (diff(&report.left, links))
            }
            (problems(&report.problems, links))
        }
    }
}

/// The account of an action, its changes and its reasons.
pub(super) fn action(action: &Action, links: Links<'_>) -> Markup {
    action_with_end(action, None, links)
}

fn action_with_end(action: &Action, ended: Option<(Tone, &str)>, links: Links<'_>) -> Markup {
    html! {
        (who(action.address.as_str(), links)) " "
        span.soft { (words::account(action.account)) } " "
        @if let Some((tone, word)) = ended { (badge(tone, word)) }
        @if !action.changes.is_empty() { (diff(&action.changes, links)) }
        @if !action.reasons.is_empty() {
            p.why {
                @for (at, reason) in action.reasons.iter().enumerate() {
                    @if at > 0 { " · " }
                    (links.text(&reason.fact)) (words::cited(&reason.fact, &reason.rule))
                }
            }
        }
    }
}

fn diff(changes: &[AttributeChange], links: Links<'_>) -> Markup {
    html! {
        ul.diff {
            @for it in changes {
                li {
                    span.attribute { (words::attribute(it.attribute)) } " "
                    @for value in &it.before { (change(links, value, "")) (origins::of(it, value)) }
                    @for value in &it.after { (come(it, value, links)) (origins::of(it, value)) }
                }
            }
        }
    }
}

fn verification(report: &Report, links: Links<'_>) -> Markup {
    let (tone, word) = match report.verification() {
        Verification::Preview | Verification::NotVerified => (Tone::Plain, "not verified"),
        Verification::Undone { is_partial: false } => (Tone::Good, "undone"),
        Verification::Undone { is_partial: true } => (Tone::Notice, "partly undone"),
        Verification::Covered { .. } => (Tone::Good, "as planned"),
        Verification::LeftForLater { .. } => (Tone::Notice, "the rest is left for later"),
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
                            li { (words::verb(difference.kind)) " " (action(difference, links)) }
                        }
                    }
                }))
            }
        }
    }
}
