//! The progress of a run: a bar on a terminal, otherwise one line every few seconds.

use std::{fmt, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use super::output::{Output, shows_progress};
use crate::{
    engine::{Engine, Outlook, Progress},
    render::words::{about, number, thousands},
};

/// Time between two progress lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows the progress of a run until it is dropped.
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

pub(super) fn follow(engine: &Engine, output: Output) -> Follower {
    let mut task = JoinSet::new();
    if !shows_progress() {
        task.spawn(say_lines(engine.clone(), output));
        return Follower {
            bar: None,
            _task: task,
        };
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(120));
    task.spawn(move_bar(engine.clone(), bar.clone()));
    Follower {
        bar: Some(bar),
        _task: task,
    }
}

async fn say_lines(engine: Engine, output: Output) {
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        output.say(&format!("progress: {}", Words(engine.outlook())));
    }
}

/// How often the bar is redrawn when the progress did not change, to update the remaining time.
const TICK: Duration = Duration::from_secs(1);

async fn move_bar(engine: Engine, bar: ProgressBar) {
    let mut seen = engine.progress().subscribe();
    let mut phase = None;
    // The sender is dropped only when the process ends.
    while !matches!(tokio::time::timeout(TICK, seen.changed()).await, Ok(Err(_))) {
        let outlook = engine.outlook();
        let now = std::mem::discriminant(&outlook.progress);
        if phase.replace(now) != Some(now) {
            bar.set_style(style(outlook.progress));
            bar.reset();
        }
        show(&bar, outlook);
    }
}

fn style(progress: Progress) -> ProgressStyle {
    let template = match progress {
        Progress::Reading { .. } => "{spinner} {msg:<22} {bar:30.cyan/dim} {pos}/{len}  {eta}",
        Progress::Applying { .. } => "{spinner} {bar:30.cyan/dim} {pos}/{len} writes  {msg}",
        Progress::Starting
        | Progress::Listing { .. }
        | Progress::Resolving { .. }
        | Progress::Planning
        | Progress::Verifying
        | Progress::Ended => "{spinner} {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn show(bar: &ProgressBar, outlook: Outlook) {
    match outlook.progress {
        Progress::Reading { permissions, of } => steps(bar, READING, permissions, of),
        Progress::Applying { done, of } => {
            steps(bar, &format!("{APPLYING}{}", Expected(outlook)), done, of);
        }
        Progress::Starting
        | Progress::Listing { .. }
        | Progress::Resolving { .. }
        | Progress::Planning
        | Progress::Verifying
        | Progress::Ended => bar.set_message(Words(outlook).to_string()),
    }
}

const READING: &str = "reading permissions";
const APPLYING: &str = "applying";

/// `, about 75 s, waiting for Zivver's limit`, or nothing.
struct Expected(Outlook);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(left) = self.0.left {
            write!(f, ", {}", about(left))?;
        }
        if self.0.is_waiting {
            f.write_str(", waiting for Zivver's limit")?;
        }
        Ok(())
    }
}

/// The phase as one line.
struct Words(Outlook);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = |done: usize, of: usize| format!("{} of {}", thousands(done), thousands(of));
        match self.0.progress {
            Progress::Starting => f.write_str("starting"),
            Progress::Listing { mailboxes } => {
                write!(f, "listed {}", number(mailboxes, "mailbox", "mailboxes"))
            }
            Progress::Reading { permissions, of } => {
                write!(f, "{READING}: {}", steps(permissions, of))
            }
            Progress::Resolving { answered } => write!(
                f,
                "asked about {}",
                number(answered, "group or recipient", "groups and recipients")
            ),
            Progress::Planning => f.write_str("planning"),
            Progress::Applying { done, of } => {
                let writes = steps(done, of);
                write!(f, "{APPLYING}: {writes} writes{}", Expected(self.0))
            }
            Progress::Verifying => f.write_str("verifying"),
            Progress::Ended => f.write_str("done"),
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn steps(bar: &ProgressBar, what: &str, done: usize, of: usize) {
    bar.set_message(what.to_owned());
    bar.set_length(count(of));
    bar.set_position(count(done));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r30_what_is_left_comes_from_the_plan_and_a_wait_says_for_what() {
        let outlook = |left, is_waiting| Outlook {
            progress: Progress::Applying { done: 40, of: 412 },
            left,
            is_waiting,
        };
        let left = Some(Duration::from_millis(74_600));
        for (outlook, words) in [
            (outlook(None, false), "applying: 40 of 412 writes"),
            (
                outlook(left, false),
                "applying: 40 of 412 writes, about 75 s",
            ),
            (
                outlook(left, true),
                "applying: 40 of 412 writes, about 75 s, waiting for Zivver's limit",
            ),
            (
                outlook(Some(Duration::from_secs(1000)), false),
                "applying: 40 of 412 writes, about 17 min",
            ),
        ] {
            assert_eq!(Words(outlook).to_string(), words);
        }
    }
}
