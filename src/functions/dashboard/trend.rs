//! The picture of the history.

use maud::{Markup, html};

use crate::{domain::report::RunState, engine::RunSummary, render::words};

/// Runs in the picture.
const BARS: usize = 30;
/// Of one bar and the space beside it, and of the picture.
const WIDTH: usize = 10;
const HEIGHT: u32 = 64;

/// A bar for each of the last runs, the newest at the right: what was applied, and above it what needs attention. Heights
/// are by logarithm, so that one large night does not flatten all others.
pub(super) fn trend(runs: &[RunSummary]) -> Markup {
    let ended: Vec<&RunSummary> = runs
        .iter()
        .filter(|run| run.state == RunState::Ended)
        .take(BARS)
        .collect();
    if ended.len() < 2 {
        return Markup::default();
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
    let label = format!(
        "The last {} runs applied {applied_all} changes; {problems_all} were held, refused or failed",
        ended.len()
    );
    html! {
        svg role="img" viewBox={ "0 0 " (BARS * WIDTH) " " (HEIGHT) } preserveAspectRatio="none" aria-label=(label) {
            @for (at, run) in ended.iter().enumerate() {
                @let x = (BARS - 1 - at) * WIDTH + 1;
                @let (applied, problems) = counts(run);
                // Each run is seen, if only as a line.
                @let (low, high) = (height(applied).max(1), height(problems));
                g {
                    title {
                        (words::moment(&run.started)) ": " (applied) " applied, " (problems) " held, refused or failed"
                    }
                    (bar("applied-bar", x, HEIGHT - low, low))
                    @if high > 0 { (bar("problem-bar", x, HEIGHT - low - high, high)) }
                }
            }
        }
        p.soft.small {
            span.key.applied {} " applied \u{a0} "
            span.key.problems {} " held, refused or failed, by run; the newest at the right"
        }
    }
}

fn bar(class: &str, x: usize, y: u32, height: u32) -> Markup {
    html! { rect.(class) width="8" x=(x) y=(y) height=(height) {} }
}

/// At most half of the picture.
fn height(count: u32) -> u32 {
    match count {
        0 => 0,
        count => (4 + 3 * count.ilog2()).min(HEIGHT / 2 - 1),
    }
}
