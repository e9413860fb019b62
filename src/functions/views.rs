//! Answers in the requested format: JSON for programs, pages for browsers, CSV for spreadsheets.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::json;

use super::{
    Format, Problem, ProblemKind, Response,
    dashboard::{Ways, live},
};
use crate::{
    domain::{
        actor::Actor,
        explain::{Explanation, HeldFact},
        memory::Rejection,
        mode::Mode,
        named::Found,
        report::{Report, RunOutcome, RunState},
        snapshot::history::History,
    },
    engine::{
        Outlook, RunSummary,
        check::{Checkup, Level},
    },
    render::{
        content_security_policy, csv,
        html::{self, Links, Page, Tone, badge, time},
        words,
    },
};

/// A page can use only its own inline style and script. Sites that it links to do not get its address, which may contain a key.
pub(super) fn page(status: u16, body: String) -> Response {
    Response::new(status, Format::Html.content_type(), body)
        .with_header("Content-Security-Policy", content_security_policy())
        .with_header("Referrer-Policy", "no-referrer")
}

/// A page of the dashboard, whose path is `base`.
pub(super) fn shown(status: u16, title: &str, base: &str, content: &Markup) -> Response {
    let frame = Page {
        title,
        home: Some(base),
    };
    page(status, frame.around(content))
}

pub(super) fn download(format: Format, file: &str, body: String) -> Response {
    Response::new(200, format.content_type(), body).with_header(
        "Content-Disposition",
        format!("attachment; filename=\"{file}\""),
    )
}

/// `GET /runs/{id}`. `outlook` is the progress of the run in this process.
/// `is_stopping` says that a person has stopped it and it has not ended yet (R34).
pub(super) fn run(
    report: &Report,
    format: Format,
    ways: &Ways<'_>,
    outlook: Outlook,
    is_stopping: bool,
) -> Response {
    let file = |end: &str| format!("cloud-sync-{}.{end}", report.id);
    match format {
        Format::Json => Response::json(200, report),
        Format::Csv => download(
            format,
            &file("csv"),
            csv::report(report, csv::Separator::default()),
        ),
        Format::Html => {
            let title = format!(
                "Cloud Sync: {} {}",
                words::mode_of(report.mode, report.depth),
                report.id
            );
            let has_ended = report.state == RunState::Ended;
            let links = Links::to(ways.base);
            let content = html! {
                (html::report::heading(report, links))
                @if !has_ended {
                    (live(report.state, outlook))
                    @if is_stopping {
                        p.alert.notice role="status" { "Stopping: the run ends after what is in flight." }
                    } @else {
                        (ways.stop(report))
                    }
                }
                (html::report::details(report, links, |set| html! {
                    @if has_ended && !report.is_hypothetical() { (ways.held(report, set)) } @else { (html::report::held_rows(set, links)) }
                }))
                @if has_ended { (ways.of_run(report)) }
            };
            shown(200, &title, ways.base, &content)
        }
    }
}

const RUNS_HEADER: [&str; 14] = [
    "id",
    "started",
    "ended",
    "mode",
    "trigger",
    "started_by",
    "stopped_by",
    "state",
    "outcome",
    "planned",
    "applied",
    "held",
    "failed",
    "settings",
];

fn cells(run: &RunSummary) -> Vec<String> {
    let counts = &run.counts;
    let name = |by: &Option<Actor>| by.as_ref().map(ToString::to_string).unwrap_or_default();
    vec![
        run.id.clone(),
        run.started.clone(),
        run.ended.clone().unwrap_or_default(),
        words::mode_of(run.mode, run.depth),
        words::key(run.trigger),
        name(&run.started_by),
        name(&run.stopped_by),
        words::key(run.state),
        words::outcome(run.outcome).to_owned(),
        known(run, counts.planned.values().sum()).map_or_else(String::new, |it| it.to_string()),
        counts.applied.values().sum::<u32>().to_string(),
        known_held(run).map_or_else(String::new, |it| it.to_string()),
        (counts.failed + counts.refused).to_string(),
        words::settings(&run.settings),
    ]
}

/// The count, or `None` if the run did not plan and so did not count.
fn known(run: &RunSummary, count: u32) -> Option<u32> {
    run.has_planned().then_some(count)
}

fn known_held(run: &RunSummary) -> Option<u32> {
    run.has_told_held().then_some(run.counts.held)
}

/// `GET /runs`
pub(super) fn runs(runs: &[RunSummary], format: Format, base: &str) -> Response {
    match format {
        Format::Json => Response::json(200, &json!({ "runs": runs })),
        Format::Csv => download(
            format,
            "cloud-sync-runs.csv",
            csv::table(
                &RUNS_HEADER,
                runs.iter().map(cells),
                csv::Separator::default(),
            ),
        ),
        Format::Html => {
            let content = html! {
                h1 { "Runs" }
                (html::search("Search in the runs"))
                section { (run_table(runs, base)) }
            };
            shown(200, "Cloud Sync: runs", base, &content)
        }
    }
}

/// The history as a table with a link to each run.
pub(super) fn run_table(runs: &[RunSummary], base: &str) -> Markup {
    if runs.is_empty() {
        return html! { p { "No run yet." } };
    }
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th scope="col" { "Run" }
                        th scope="col" { "Outcome" }
                        th.wide scope="col" { "What" }
                        th.wide scope="col" { "By" }
                        th.n.wide scope="col" { "Accounts planned" }
                        th.n scope="col" { "Applied" }
                        th.n scope="col" { "Held" }
                        th.n.wide scope="col" { "Accounts refused or failed" }
                    }
                }
                tbody { @for run in runs { (run_row(run, base)) } }
            }
        }
    }
}

fn run_row(run: &RunSummary, base: &str) -> Markup {
    let counts = &run.counts;
    let what = words::what(run);
    let number = |count: u32| words::thousands(count);
    let if_known = |count: Option<u32>| count.map_or_else(|| "–".to_owned(), number);
    html! {
        tr {
            td {
                a href={ (base) "/runs/" (run.id) "?format=html" } { (time(&run.started)) }
                span.narrow.soft.small { (what) }
            }
            td {
                (badge(
                    html::report::tone_of(run.state, run.outcome),
                    words::standing_of(run.state, run.outcome),
                ))
            }
            td.wide { (what) }
            td.wide { (html::value(&words::started_by(run.trigger, run.started_by.as_ref()))) }
            td.n.wide { (if_known(known(run, counts.planned.values().sum()))) }
            td.n { (number(counts.applied.values().sum())) }
            td.n { (if_known(known_held(run))) }
            td.n.wide { (number(counts.failed + counts.refused)) }
        }
    }
}

/// Rejections: all of them, or those that a call added or removed (R47).
pub(super) fn rejections_json(rejections: &[Rejection]) -> Response {
    Response::json(200, &json!({ "rejections": rejections }))
}

/// `GET /rejections` (R47)
pub(super) fn rejections(rejections: &[Rejection], ways: &Ways<'_>) -> Response {
    let mut by_code: BTreeMap<&str, Vec<&Rejection>> = BTreeMap::new();
    for rejection in rejections {
        by_code.entry(&rejection.code).or_default().push(rejection);
    }
    let content = html! {
        h1 { "Rejected changes" }
        p.soft { "They are not made, and need no attention, until they change (R47)." }
        @if by_code.is_empty() { p { "Nothing is rejected." } }
        @for (code, rejections) in by_code {
            section {
                h2 { (words::capital(words::class(rejections[0].class))) " " code { (code) } }
                ul.rows {
                    @for rejection in rejections { li {
                            (html::report::held_change(&rejection.change, Links::to(ways.base)))
                            @if let Some(by) = &rejection.by { span.soft.small { " rejected by " (html::value(&by.to_string())) } }
                        } }
                }
                (ways.take_back(code))
            }
        }
    };
    shown(200, "Cloud Sync: rejected changes", ways.base, &content)
}

/// The runs after the last complete run. Each saw only a part, so their figures are not shown.
pub(super) fn since(runs: &[RunSummary], base: &str) -> Markup {
    const SHOWN: usize = 10;
    let links = Links::to(base);
    html! {
        @if !runs.is_empty() {
            h3 { "Since then" }
            p.soft.small { "The figures above do not include these runs; a full preview of all accounts renews them." }
            ul.rows {
                @for run in runs.iter().take(SHOWN) {
                    li {
                        a href={ (base) "/runs/" (run.id) "?format=html" } { (time(&run.started)) } " "
                        (words::what(run)) ": " (came_of(run))
                        @if let Some(error) = &run.error { p.problem { (links.text(error)) } }
                    }
                }
            }
            @if runs.len() > SHOWN { p.soft { "and " (runs.len() - SHOWN) " earlier runs" } }
        }
    }
}

/// What such a run found is not repeated here: "in sync" would be about some accounts only.
fn came_of(run: &RunSummary) -> String {
    let changed: u32 = run.counts.applied.values().sum();
    let changed = format!("{} changed", words::number(changed, "account", "accounts"));
    let is_whole = !matches!(
        run.outcome,
        RunOutcome::Open | RunOutcome::Stopped | RunOutcome::Failed
    );
    match (run.mode, is_whole) {
        (_, true) => changed,
        (Mode::Preview, false) => words::outcome(run.outcome).to_owned(),
        (Mode::Apply, false) => format!("{}, {changed}", words::outcome(run.outcome)),
    }
}

/// The result of a search by name.
pub(super) fn with_name(name: &str, found: &Found, base: &str) -> Response {
    let status = if found.total == 0 { 404 } else { 200 };
    page(status, html::found(name, found, base))
}

/// `GET /accounts/{address}` (R40)
pub(super) fn account(
    explanation: &Explanation,
    history: Option<&History>,
    format: Format,
    asks_both: bool,
    base: &str,
) -> Response {
    let response = match format {
        Format::Json => Response::json(200, explanation),
        Format::Html => page(
            200,
            html::explanation(explanation, history, Some(base), asks_both),
        ),
        Format::Csv => download(format, "cloud-sync-account.csv", account_table(explanation)),
    };
    Response {
        status: if explanation.unknown.is_some() {
            404
        } else {
            200
        },
        ..response
    }
}

fn account_table(explanation: &Explanation) -> String {
    let mut rows = Vec::new();
    let mut push = |side: &str, address: &str, what: &str, value: &str| {
        rows.push([side, address, what, value].map(str::to_owned));
    };
    push("verdict", &explanation.address, "", &explanation.verdict);
    for mailbox in &explanation.mailboxes {
        let mut push = |what: &str, value: &str| push("exchange", &mailbox.primary, what, value);
        push("standing", &mailbox.standing);
        push("kind", &mailbox.kind);
        push("display_name", &mailbox.display_name);
        let object_id = mailbox.object_id.as_deref();
        push("object_id", object_id.unwrap_or_default());
        mailbox.aliases.iter().for_each(|it| push("aliases", it));
        match &mailbox.full_access {
            Some(all) => all.iter().for_each(|it| push("full_access", it)),
            None => push("full_access", "unknown"),
        }
    }
    for account in &explanation.accounts {
        let mut push = |what: &str, value: &str| push("zivver", &account.address, what, value);
        push("standing", &account.standing);
        push("kind", words::account(account.kind));
        push("name", &account.name);
        push("active", if account.active { "yes" } else { "no" });
        account.aliases.iter().for_each(|it| push("aliases", it));
        let delegates = account.delegates.iter();
        delegates.for_each(|it| push("delegates", it));
    }
    for action in &explanation.actions {
        for change in &action.changes {
            let (verb, attribute) = (words::verb(action.kind), words::attribute(change.attribute));
            let [before, after] = [change.before.join("; "), change.after_in_words().join("; ")];
            let what = format!("{verb} {attribute}");
            let value = format!("{before} -> {after}");
            push("planned", action.address.as_str(), &what, &value);
        }
    }
    for HeldFact { change, .. } in &explanation.held {
        let value = format!("{} -> {}", change.before, change.after);
        push("held", change.address.as_str(), &change.what, &value);
    }
    for note in &explanation.notes {
        push("note", &note.address, &words::key(note.code), &note.text);
    }
    let header = ["side", "address", "what", "value"];
    csv::table(&header, &rows, csv::Separator::default())
}

/// `GET /check`: the findings of the self-test.
pub(super) fn checkup(status: u16, checkup: &Checkup, format: Format, base: &str) -> Response {
    if format != Format::Html {
        return Response::json(status, checkup);
    }
    let (tone, words) = match checkup.level() {
        Level::Good => (Tone::Good, "what a run needs works"),
        Level::Warning => (Tone::Notice, "works, with something to look at"),
        Level::Error => (Tone::Bad, "something does not work"),
    };
    let links = Links::to(base);
    let level = |level| match level {
        Level::Good => badge(Tone::Good, "ok"),
        Level::Warning => badge(Tone::Notice, "note"),
        Level::Error => badge(Tone::Bad, "fail"),
    };
    let content = html! {
        h1 { "Check " (badge(tone, words)) }
        p.soft { "Settings, state, identity, key and both sides; nothing is written." }
        section {
            ul.rows {
                @for finding in &checkup.findings {
                    li {
                        (level(finding.level)) " " span.who { (finding.topic) } " " (links.text(&finding.text))
                        @for remedy in &finding.remedy { p.why { (links.text(remedy)) } }
                    }
                }
            }
        }
    };
    shown(status, "Cloud Sync: check", base, &content)
}

/// A refused call as a page with the same status.
pub(super) fn refused(problem: Problem, base: &str) -> Response {
    // The reader of a page has filled a form in, and knows of no body.
    let title = if problem.kind == ProblemKind::BadBody {
        "Not done"
    } else {
        problem.title()
    };
    let detail = problem.detail.clone();
    let response = Response::from(problem);
    let content = html! {
        h1 { (title) }
        p.alert.bad role="alert" { (Links::to(base).text(&words::capital(&detail))) }
        p { a href=(base) { "Back to the dashboard" } }
    };
    let mut refused = shown(response.status, "Cloud Sync: not done", base, &content);
    if let Some(allow) = response.headers.get("Allow") {
        refused = refused.with_header("Allow", allow.clone());
    }
    refused
}

/// The page after a run was stopped (R34).
pub(super) fn stopping(id: &str, base: &str) -> Response {
    let text = "The run ends within seconds, after what is in flight.";
    to_run(id, base, "stopping", text)
}

/// The page after a form has queued a run.
pub(super) fn queued(id: &str, base: &str) -> Response {
    to_run(id, base, "queued", "The run begins within a minute.")
}

/// A page that says what happens with a run and links to it; the script follows the link.
fn to_run(id: &str, base: &str, what: &str, text: &str) -> Response {
    let title = format!("Cloud Sync: {what}");
    let content = html! {
        h1 { (words::capital(what)) }
        p { (text) }
        p { a data-next href={ (base) "/runs/" (id) "?format=html" } { "Open the run" } }
    };
    shown(202, &title, base, &content)
}
