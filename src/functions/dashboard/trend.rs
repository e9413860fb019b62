//! The chart of the history.

use maud::{Markup, html};

use crate::{
    domain::report::{RunOutcome, RunState},
    engine::RunSummary,
    render::{html::time, words},
};

/// Number of runs in the chart.
const BARS: usize = 30;
/// Width of a bar with its gap, and half the height of the chart.
const WIDTH: usize = 10;
const HEIGHT: u32 = 64;

/// The data of one bar.
struct Bar<'a> {
    run: &'a RunSummary,
    applied: u32,
    held: u32,
    failed: u32,
    has_failed: bool,
}

impl<'a> Bar<'a> {
    fn of(run: &'a RunSummary) -> Self {
        let counts = &run.counts;
        Self {
            run,
            applied: counts.applied.values().sum(),
            held: counts.held,
            failed: counts.failed + counts.refused,
            has_failed: run.outcome == RunOutcome::Failed,
        }
    }

    fn title(&self) -> String {
        let moment = words::moment(&self.run.started);
        let accounts = |count| words::number(count, "account", "accounts");
        let applied = accounts(self.applied);
        if self.has_failed {
            return format!("{moment}: failed, {applied} applied");
        }
        let held = words::number(self.held, "change", "changes");
        let failed = accounts(self.failed);
        format!("{moment}: {applied} applied, {held} held, {failed} refused or failed")
    }

    fn problems(&self) -> u32 {
        self.held + self.failed
    }
}

/// One bar for each of the last runs, the newest on the right: changed accounts upwards, what needs attention downwards.
/// Heights are logarithmic, so that one large run does not flatten all others, and the caption says so.
pub(super) fn trend(runs: &[RunSummary]) -> Markup {
    let ended = runs
        .iter()
        .filter(|run| run.state == RunState::Ended && !run.is_hypothetical());
    let bars: Vec<Bar<'_>> = ended.take(BARS).map(Bar::of).collect();
    let [newest, .., oldest] = &*bars else {
        return Markup::default();
    };
    let most = bars.iter().map(|bar| bar.applied.max(bar.problems())).max();
    let scale = Scale::up_to(most.unwrap_or_default());
    let applied = bars.iter().map(|bar| u64::from(bar.applied)).sum::<u64>();
    let label = format!(
        "The last {} runs changed {}, each counted once per run",
        bars.len(),
        words::number(applied, "account", "accounts")
    );
    html! {
        figure.trend {
            ol.axis aria-hidden="true" {
                @for tick in scale.ticks() {
                    li { (words::thousands(tick)) }
                }
            }
            svg role="img" viewBox={ "0 0 " (BARS * WIDTH) " " (2 * HEIGHT) } preserveAspectRatio="none" aria-label=(label) {
                line.zero x1="0" x2=(BARS * WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
                @for (at, bar) in bars.iter().enumerate() {
                    @let x = (bars.len() - 1 - at) * WIDTH + 1;
                    @let (up, down) = (scale.height(bar.applied), scale.height(bar.problems()));
                    g {
                        title { (bar.title()) }
                        @if bar.has_failed {
                            (column("failed-bar", x, HEIGHT - 4, 8))
                        } @else {
                            // A run without changes is still visible as a line.
                            (column("applied-bar", x, HEIGHT - up.max(1), up.max(1)))
                            @if down > 0 { (column("problem-bar", x, HEIGHT, down)) }
                        }
                    }
                }
            }
            figcaption {
                (time(&oldest.run.started)) " to " (time(&newest.run.started)) ", the newest at the right; logarithmic"
            }
        }
        p.soft.small {
            span.key.applied {} " accounts applied \u{a0} "
            span.key.problems {} " changes held, accounts refused or failed (downwards) \u{a0} "
            span.key.failures {} " run failed"
        }
    }
}

fn column(class: &str, x: usize, y: u32, height: u32) -> Markup {
    html! { rect.(class) width="8" x=(x) y=(y) height=(height) {} }
}

/// A logarithmic scale from 0 to a power of ten.
struct Scale {
    digits: u32,
}

impl Scale {
    fn up_to(most: u32) -> Self {
        Self {
            digits: most.max(9).ilog10() + 1,
        }
    }

    /// The ticks of the axis from top to bottom, at equal distances. Both ends have the same number.
    fn ticks(&self) -> [u32; 5] {
        let most = 10_u32.saturating_pow(self.digits);
        let middle = (most + 1).isqrt() - 1;
        [most, middle, 0, middle, most]
    }

    fn height(&self, count: u32) -> u32 {
        let part = f64::from(count).ln_1p() / f64::from(10_u32.saturating_pow(self.digits)).ln_1p();
        let height = (part * f64::from(HEIGHT - 2)).round();
        (0..HEIGHT)
            .rev()
            .find(|it| f64::from(*it) <= height)
            .unwrap_or_default()
    }
}
