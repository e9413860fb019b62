//! Progress bars on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use super::output::shows_progress;
use crate::engine::{Progress, Watcher};

/// Shows how far a run is until it is dropped.
#[derive(Debug)]
pub(super) struct Bars {
    bar: ProgressBar,
    _task: JoinSet<()>,
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `None` where the output is not a terminal.
pub(super) fn follow(watcher: &Watcher) -> Option<Bars> {
    if !shows_progress() {
        return None;
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(120));
    let mut seen = watcher.subscribe();
    let shown = bar.clone();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut phase = None;
        while seen.changed().await.is_ok() {
            let progress = *seen.borrow_and_update();
            let now = std::mem::discriminant(&progress);
            if phase.replace(now) != Some(now) {
                shown.set_style(style(progress));
                shown.reset();
            }
            show(&shown, progress);
        }
    });
    Some(Bars { bar, _task: task })
}

fn style(progress: Progress) -> ProgressStyle {
    let template = match progress {
        Progress::Reading { .. } | Progress::Applying { .. } => {
            "{spinner} {msg:<22} {bar:30.cyan/dim} {pos}/{len}  {eta}"
        }
        Progress::Starting
        | Progress::Listing { .. }
        | Progress::Resolving { .. }
        | Progress::Planning
        | Progress::Verifying
        | Progress::Ended => "{spinner} {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn show(bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::Starting => bar.set_message("starting"),
        Progress::Listing { mailboxes } => bar.set_message(format!("listed {mailboxes} mailboxes")),
        Progress::Reading { permissions, of } => steps(bar, "reading permissions", permissions, of),
        Progress::Resolving { answered } => {
            bar.set_message(format!("asked about {answered} groups and recipients"));
        }
        Progress::Planning => bar.set_message("planning"),
        Progress::Applying { done, of } => steps(bar, "applying", done, of),
        Progress::Verifying => bar.set_message("verifying"),
        Progress::Ended => bar.set_message("done"),
    }
}

fn steps(bar: &ProgressBar, what: &'static str, done: usize, of: usize) {
    bar.set_message(what);
    bar.set_length(u64::try_from(of).unwrap_or(u64::MAX));
    bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
}
