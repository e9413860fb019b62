//! What `/health` says, against what really came of the runs (R28).

use cloud_sync::{
    domain::mode::Mode,
    domain::report::{RunOutcome, RunState},
    engine::RunRequest,
};

use super::{process::End, time};

const HOUR_MS: i64 = 60 * 60 * 1000;

/// What a wrong clock may take from a span or add to it.
const CLOCKS_MS: i64 = HOUR_MS / 2;

/// How long a message is under way at most.
const QUEUED_MS: i64 = 4000;

/// One invocation, when it has ended.
#[derive(Debug, Clone)]
pub(super) struct Beat {
    began_ms: i64,
    ended_ms: i64,
    /// By the clock of its process, the latest.
    clock_ms: i64,
    /// Where it is known.
    id: Option<String>,
    /// It may have come to its end all the same.
    was_killed: bool,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// An apply for everybody that ended and did not fail.
    Success,
    /// An apply for everybody that failed, and could say so.
    Failure,
    /// It ended, and was for some accounts, or a preview.
    Aside,
    /// Killed, cut off, turned away: what is known of it depends on when.
    Unclear,
}

/// When an invocation began, and what the clock of its process said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    at_ms: i64,
    clock_ms: i64,
}

impl Began {
    pub(super) fn now(slot: usize) -> Self {
        let at_ms = time::elapsed_ms();
        Self {
            at_ms,
            clock_ms: at_ms + time::wrong_by_ms(slot),
        }
    }
}

impl Beat {
    pub(super) fn of(began: Began, slot: usize, request: &RunRequest, end: &End) -> Self {
        let is_whole = request.accounts.is_empty() && request.undo.is_none();
        let what = match end {
            End::Report(report) if report.state == RunState::Ended => {
                match (report.mode, is_whole, report.outcome) {
                    (Mode::Apply, true, RunOutcome::Failed) => What::Failure,
                    (Mode::Apply, true, _) => What::Success,
                    _ => What::Aside,
                }
            }
            End::Report(_) | End::NotBegun(_) | End::Killed => What::Unclear,
        };
        let ended_ms = time::elapsed_ms();
        let id = match end {
            End::Report(report) => Some(report.id.clone()),
            End::NotBegun(_) | End::Killed => request.id.as_ref().map(ToString::to_string),
        };
        Self {
            id,
            was_killed: matches!(end, End::Killed),
            began_ms: began.at_ms,
            ended_ms,
            clock_ms: began.clock_ms.max(ended_ms + time::wrong_by_ms(slot)),
            what,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Pulse {
    beats: Vec<Beat>,
    /// A line of the history was spoiled: nobody can say of which run.
    pub(super) spoiled: bool,
}

impl Pulse {
    pub(super) fn beat(&mut self, beat: Beat) {
        self.beats.push(beat);
    }

    /// What is wrong with a status of `/health` at this moment, by a clock that is right.
    pub(super) fn judge(&self, status: u16, body: &str) -> Option<String> {
        let now_ms = time::elapsed_ms();
        let told = |why: &str| Some(format!("/health is {status}, {why}: {body}"));
        if self.spoiled {
            return None;
        }
        let is_success = |it: &&Beat| it.what == What::Success || it.was_killed;
        let successes = self.beats.iter().filter(is_success);
        let newest = successes.max_by_key(|it| it.ended_ms.max(it.clock_ms));
        // What left no trace was not seen.
        let recorded = self.beats.iter().filter(|it| it.what != What::Unclear);
        let first_ms = recorded.map(|it| it.ended_ms.max(it.clock_ms)).min();
        let since_ms = newest.map(|it| it.ended_ms.max(it.clock_ms)).or(first_ms)?;
        let old = now_ms - since_ms > 26 * HOUR_MS + CLOCKS_MS;
        if status == 200 && old {
            return told("and no apply for everybody has succeeded for 26 hours");
        }
        let counts = |it: &&Beat| matches!(it.what, What::Success | What::Failure);
        let last = self
            .beats
            .iter()
            .filter(counts)
            .max_by_key(|it| it.began_ms)?;
        let overlaps = |it: &Beat| it.ended_ms > last.began_ms && it.began_ms != last.began_ms;
        let alone = !self
            .beats
            .iter()
            .any(|it| overlaps(it) || self.is_out_of_order(it, last));
        let after = self.beats.iter().filter(|it| it.began_ms > last.began_ms);
        let clear = after.clone().all(|it| it.what == What::Aside);
        if status == 200 && alone && last.what == What::Failure {
            return told("and the newest apply for everybody failed");
        }
        let in_time = now_ms - last.ended_ms < 26 * HOUR_MS - CLOCKS_MS;
        let ahead = self.beats.iter().any(|it| it.clock_ms > now_ms);
        let good = last.what == What::Success && alone && clear && in_time && !ahead;
        if status != 200 && good && self.all_ended() {
            return told("though the newest apply for everybody has succeeded and nothing is open");
        }
        None
    }

    /// Runs are ordered by their ids, and one that waits in a queue has had its id for a while.
    fn is_out_of_order(&self, before: &Beat, last: &Beat) -> bool {
        let same = self.beats.iter().filter(|it| it.id == last.id);
        let first_ms = same.map(|it| it.began_ms).min().unwrap_or_default();
        before.began_ms < last.began_ms
            && match (&before.id, &last.id) {
                (Some(before), Some(last)) => before > last,
                _ => before.began_ms > first_ms - QUEUED_MS,
            }
    }

    /// Whether nothing was killed or cut off that a later apply did not take up.
    fn all_ended(&self) -> bool {
        let unclear = self.beats.iter().filter(|it| it.what == What::Unclear);
        let success = self.beats.iter().filter(|it| it.what == What::Success);
        let last_ms = success.map(|it| it.began_ms).max().unwrap_or_default();
        unclear.into_iter().all(|it| it.ended_ms < last_ms)
    }
}
