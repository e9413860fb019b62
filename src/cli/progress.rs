//! How far a run is: a bar on a terminal, elsewhere a line now and then.

use std::{fmt, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::watch, task::JoinSet};

use super::output::{Output, shows_progress};
use crate::{
    engine::{Progress, Watcher},
    render::words::{number, thousands},
};

/// Between two lines: seldom enough for a log, often enough for a person who waits.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far a run is until it is dropped.
#[derive(Debug)]
pub(super) struct Follower {
    bar: Option<ProgressBar>,
    _task: JoinSet<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

pub(super) fn follow(watcher: &Watcher, output: Output) -> Follower {
    let seen = watcher.subscribe();
    let mut task = JoinSet::new();
    if !shows_progress() {
        task.spawn(say_lines(seen, output));
        return Follower {
            bar: None,
            _task: task,
        };
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(120));
    task.spawn(move_bar(seen, bar.clone()));
    Follower {
        bar: Some(bar),
        _task: task,
    }
}

async fn say_lines(seen: watch::Receiver<Progress>, output: Output) {
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        let progress = *seen.borrow();
        output.say(&format!("progress: {}", Words(progress)));
    }
}

async fn move_bar(mut seen: watch::Receiver<Progress>, bar: ProgressBar) {
    let mut phase = None;
    while seen.changed().await.is_ok() {
        let progress = *seen.borrow_and_update();
        let now = std::mem::discriminant(&progress);
        if phase.replace(now) != Some(now) {
            bar.set_style(style(progress));
            bar.reset();
        }
        show(&bar, progress);
    }
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
        Progress::Reading { permissions, of } => steps(bar, READING, permissions, of),
        Progress::Applying { done, of } => steps(bar, APPLYING, done, of),
        Progress::Starting
        | Progress::Listing { .. }
        | Progress::Resolving { .. }
        | Progress::Planning
        | Progress::Verifying
        | Progress::Ended => bar.set_message(Words(progress).to_string()),
    }
}

const READING: &str = "reading permissions";
const APPLYING: &str = "applying";

/// A phase as a line.
struct Words(Progress);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = |done: usize, of: usize| {
            let (done, of) = (thousands(count(done)), thousands(count(of)));
            format!("{done} of {of}")
        };
        match self.0 {
            Progress::Starting => f.write_str("starting"),
            Progress::Listing { mailboxes } => {
                write!(
                    f,
                    "listed {}",
                    number(count(mailboxes), "mailbox", "mailboxes")
                )
            }
            Progress::Reading { permissions, of } => {
                write!(f, "{READING}: {}", steps(permissions, of))
            }
            Progress::Resolving { answered } => write!(
                f,
                "asked about {} groups and recipients",
                thousands(count(answered))
            ),
            Progress::Planning => f.write_str("planning"),
            Progress::Applying { done, of } => write!(f, "{APPLYING}: {}", steps(done, of)),
            Progress::Verifying => f.write_str("verifying"),
            Progress::Ended => f.write_str("done"),
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn steps(bar: &ProgressBar, what: &'static str, done: usize, of: usize) {
    bar.set_message(what);
    bar.set_length(count(of));
    bar.set_position(count(done));
}
