//! The picture of the history.

use crate::{
    domain::report::RunState,
    engine::RunSummary,
    render::{html::Html, words},
};

/// Runs in the picture.
const BARS: usize = 30;
/// Of one bar and the space beside it, and of the picture.
const WIDTH: usize = 10;
const HEIGHT: u32 = 64;

/// A bar for each of the last runs, the newest at the right: what was applied, and above it what needs somebody. Heights
/// are by logarithm, so that one large night does not flatten all others.
pub(super) fn trend(html: &mut Html, runs: &[RunSummary]) {
    let ended: Vec<&RunSummary> = runs
        .iter()
        .filter(|run| run.state == RunState::Ended)
        .take(BARS)
        .collect();
    if ended.len() < 2 {
        return;
    }
    let counts = |run: &RunSummary| {
        let applied: u32 = run.counts.applied.values().sum();
        let problems = run.counts.held + run.counts.failed + run.counts.refused;
        (applied, problems)
    };
    let (mut applied_all, mut problems_all) = (0, 0);
    for run in &ended {
        let (applied, problems) = counts(run);
        applied_all += applied;
        problems_all += problems;
    }
    html.raw("<svg role=\"img\" viewBox=\"0 0 ")
        .number(BARS * WIDTH)
        .raw(" ")
        .number(HEIGHT)
        .raw("\" preserveAspectRatio=\"none\" aria-label=\"");
    html.text(&format!(
        "The last {} runs applied {applied_all} changes; {problems_all} were held, refused or failed",
        ended.len()
    ));
    html.raw("\">");
    for (at, run) in ended.iter().enumerate() {
        let x = (BARS - 1 - at) * WIDTH + 1;
        let (applied, problems) = counts(run);
        let (low, high) = (height(applied), height(problems));
        html.raw("<g><title>").text(&format!(
            "{}: {applied} applied, {problems} held, refused or failed",
            words::moment(&run.started)
        ));
        html.raw("</title>");
        // Each run is seen, if only as a line.
        bar(html, "applied-bar", x, HEIGHT - low.max(1), low.max(1));
        if high > 0 {
            bar(html, "problem-bar", x, HEIGHT - low.max(1) - high, high);
        }
        html.raw("</g>");
    }
    html.raw("</svg><p class=\"soft small\"><span class=\"key applied\"></span> applied &#160; <span class=\"key problems\"></span> held, refused or failed, by run; the newest at the right</p>");
}

fn bar(html: &mut Html, class: &'static str, x: usize, y: u32, height: u32) {
    html.raw("<rect class=\"")
        .raw(class)
        .raw("\" width=\"8\" x=\"")
        .number(x)
        .raw("\" y=\"")
        .number(y)
        .raw("\" height=\"")
        .number(height)
        .raw("\"/>");
}

/// At most half of the picture.
fn height(count: u32) -> u32 {
    match count {
        0 => 0,
        count => (4 + 3 * count.ilog2()).min(HEIGHT / 2 - 1),
    }
}
