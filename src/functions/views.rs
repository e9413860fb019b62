//! Answers in the form that was asked for: JSON for programs, pages for browsers, Markdown and CSV to take along.

use serde_json::json;

use super::{Format, Problem, Response, dashboard::Ways};
use crate::{
    domain::{
        explain::Explanation,
        report::{Report, RunState},
    },
    engine::RunSummary,
    render::{
        content_security_policy, csv,
        html::{self, Html, Page},
        markdown,
        words::{name, standing_of},
    },
};

/// How often the page of a run that goes on loads itself again.
const REFRESH_S: u32 = 5;

/// A page may do nothing but what it brings along, and no site that it links to learns its address, which may hold a key.
pub(super) fn page(status: u16, body: String) -> Response {
    Response::new(status, Format::Html.content_type(), body)
        .with_header("Content-Security-Policy", content_security_policy())
        .with_header("Referrer-Policy", "no-referrer")
}

fn download(format: Format, file: &str, body: String) -> Response {
    Response::new(200, format.content_type(), body).with_header(
        "Content-Disposition",
        format!("attachment; filename=\"{file}\""),
    )
}

/// `GET /runs/{id}`. `progress` is how far it is, where this process knows.
pub(super) fn run(
    report: &Report,
    format: Format,
    ways: &Ways<'_>,
    progress: Option<&str>,
) -> Response {
    let file = |end: &str| format!("cloud-sync-{}.{end}", report.id);
    match format {
        Format::Json => Response::json(200, report),
        Format::Markdown => Response::new(200, format.content_type(), markdown::report(report)),
        Format::Csv => download(format, &file("csv"), csv::report(report)),
        Format::Html => {
            let is_open = report.state != RunState::Ended;
            let title = format!("Cloud Sync: {} {}", name(report.mode), report.id);
            let frame = Page {
                title: &title,
                home: Some(ways.base),
                refresh_s: is_open.then_some(REFRESH_S),
            };
            page(
                200,
                frame.around(|html| {
                    if let Some(progress) = progress.filter(|_| is_open) {
                        html.raw("<p class=\"alert plain\" role=\"status\">")
                            .text(progress)
                            .raw("</p>");
                    }
                    html::report::content(html, report);
                    ways.of_run(html, report);
                }),
            )
        }
    }
}

const RUNS_HEADER: [&str; 11] = [
    "id", "started", "ended", "mode", "trigger", "state", "outcome", "planned", "applied", "held",
    "failed",
];

fn cells(run: &RunSummary) -> Vec<String> {
    let counts = &run.counts;
    vec![
        run.id.clone(),
        run.started.clone(),
        run.ended.clone().unwrap_or_default(),
        name(run.mode),
        name(run.trigger),
        name(run.state),
        name(run.outcome),
        counts.planned.values().sum::<u32>().to_string(),
        counts.applied.values().sum::<u32>().to_string(),
        counts.held.to_string(),
        (counts.failed + counts.refused).to_string(),
    ]
}

/// `GET /runs`
pub(super) fn runs(runs: &[RunSummary], format: Format, base: &str) -> Response {
    match format {
        Format::Json => Response::json(200, &json!({ "runs": runs })),
        Format::Markdown => Response::new(
            200,
            format.content_type(),
            markdown::table(&RUNS_HEADER, runs.iter().map(cells)),
        ),
        Format::Csv => download(
            format,
            "cloud-sync-runs.csv",
            csv::table(&RUNS_HEADER, runs.iter().map(cells)),
        ),
        Format::Html => {
            let frame = Page {
                title: "Cloud Sync: runs",
                home: Some(base),
                refresh_s: None,
            };
            page(
                200,
                frame.around(|html| {
                    html.raw("<h1>Runs</h1>");
                    html.search("Search in the runs");
                    html.raw("<section>");
                    run_table(html, runs, base);
                    html.raw("</section>");
                }),
            )
        }
    }
}

/// The history, each run with a link.
pub(super) fn run_table(html: &mut Html, runs: &[RunSummary], base: &str) {
    html.raw("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Run</th><th scope=\"col\">Outcome</th>");
    html.raw("<th scope=\"col\" class=\"wide\">Mode</th><th scope=\"col\" class=\"wide\">By</th>");
    html.raw(
        "<th scope=\"col\" class=\"n\">Planned</th><th scope=\"col\" class=\"n\">Applied</th>",
    );
    html.raw("<th scope=\"col\" class=\"n wide\">Held</th><th scope=\"col\" class=\"n wide\">Failed</th></tr></thead><tbody>");
    for run in runs {
        let counts = &run.counts;
        html.raw("<tr><td><a href=\"")
            .text(base)
            .raw("/runs/")
            .text(&run.id)
            .raw("\">");
        html.text(&run.started.replace('T', " "))
            .raw("</a></td><td>");
        html.badge(
            html::report::tone_of(run.state, run.outcome),
            &standing_of(run.state, run.outcome),
        );
        html.raw("</td><td class=\"wide\">").text(&name(run.mode));
        if run.undo.is_some() {
            html.raw(" (undo)");
        }
        html.raw("</td><td class=\"wide\">")
            .text(&name(run.trigger));
        html.raw("</td><td class=\"n\">")
            .number(counts.planned.values().sum::<u32>());
        html.raw("</td><td class=\"n\">")
            .number(counts.applied.values().sum::<u32>());
        html.raw("</td><td class=\"n wide\">").number(counts.held);
        html.raw("</td><td class=\"n wide\">")
            .number(counts.failed + counts.refused)
            .raw("</td></tr>");
    }
    html.raw("</tbody></table></div>");
    if runs.is_empty() {
        html.raw("<p>No run yet.</p>");
    }
}

/// `GET /accounts/{address}` (R40)
pub(super) fn account(explanation: &Explanation, format: Format, base: &str) -> Response {
    match format {
        Format::Json => Response::json(200, explanation),
        Format::Html => page(200, html::explanation(explanation, Some(base))),
        Format::Markdown => Response::new(
            200,
            format.content_type(),
            markdown::explanation(explanation),
        ),
        Format::Csv => download(format, "cloud-sync-account.csv", account_table(explanation)),
    }
}

fn account_table(explanation: &Explanation) -> String {
    let row = |side: &str, address: &str, what: &str, value: &str| {
        [side, address, what, value].map(str::to_owned).to_vec()
    };
    let mut rows = vec![row(
        "verdict",
        &explanation.address,
        "",
        &explanation.verdict,
    )];
    for mailbox in &explanation.mailboxes {
        let mut push =
            |what: &str, value: &str| rows.push(row("exchange", &mailbox.primary, what, value));
        push("standing", &mailbox.standing);
        push("kind", &mailbox.kind);
        push("display_name", &mailbox.display_name);
        push(
            "object_id",
            mailbox.object_id.as_deref().unwrap_or_default(),
        );
        push("aliases", &mailbox.aliases.join("; "));
        push(
            "full_access",
            &mailbox
                .full_access
                .as_ref()
                .map_or("unknown".into(), |all| all.join("; ")),
        );
    }
    for account in &explanation.accounts {
        let mut push =
            |what: &str, value: &str| rows.push(row("zivver", &account.address, what, value));
        push("standing", &account.standing);
        push("kind", &name(account.kind));
        push("name", &account.name);
        push("active", if account.active { "yes" } else { "no" });
        push("aliases", &account.aliases.join("; "));
        push("delegates", &account.delegates.join("; "));
    }
    for action in &explanation.actions {
        for change in &action.changes {
            let what = format!("{} {}", name(action.kind), name(change.attribute));
            let value = format!(
                "{} -> {}",
                change.before.join("; "),
                change.after.join("; ")
            );
            rows.push(row("planned", action.address.as_str(), &what, &value));
        }
    }
    for held in &explanation.held {
        let value = format!("{} -> {}", held.change.before, held.change.after);
        rows.push(row(
            "held",
            held.change.address.as_str(),
            &held.change.what,
            &value,
        ));
    }
    for note in &explanation.notes {
        rows.push(row("note", &note.address, &name(note.code), &note.text));
    }
    csv::table(&["side", "address", "what", "value"], &rows)
}

/// What a person hears who posted a form: the same status, in words.
pub(super) fn refused(problem: Problem, base: &str) -> Response {
    let detail = problem.detail.clone();
    let status = Response::from(problem).status;
    let frame = Page {
        title: "Cloud Sync: not done",
        home: Some(base),
        refresh_s: None,
    };
    page(
        status,
        frame.around(|html| {
            html.raw("<h1>Not done</h1><p class=\"alert bad\" role=\"alert\">")
                .text(&detail)
                .raw("</p><p><a href=\"");
            html.text(base).raw("\">Back to the dashboard</a></p>");
        }),
    )
}

/// The run of a form is queued: on to its page, by script or by hand.
pub(super) fn queued(id: &str, base: &str) -> Response {
    let frame = Page {
        title: "Cloud Sync: queued",
        home: Some(base),
        refresh_s: None,
    };
    page(
        202,
        frame.around(|html| {
            html.raw(
                "<h1>Queued</h1><p>The run begins within a minute.</p><p><a data-next href=\"",
            )
            .text(base);
            html.raw("/runs/").text(id).raw("\">To the run</a></p>");
        }),
    )
}
