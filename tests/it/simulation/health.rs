//! Compares the answers of `/health` with the real results of the runs (R28).

use cloud_sync::{
    domain::{
        mode::{Depth, Mode},
        report::{Report, RunOutcome, RunState},
    },
    engine::{RunError, RunRequest},
};
use jiff::Timestamp;

use super::{process::End, time};

const HOUR_MS: i64 = 60 * 60 * 1000;

/// By how much a wrong clock may shorten or extend a time span.
const CLOCKS_MS: i64 = HOUR_MS / 2;

/// A run stores its start in seconds, so the order of two runs within a second is that of their ids.
const STARTED_MS: i64 = 1000;

/// One invocation that has ended.
#[derive(Debug, Clone)]
pub(super) struct Beat {
    began_ms: i64,
    ended_ms: i64,
    /// The latest time of its process's clock.
    clock_ms: i64,
    /// It may have completed the run: it was killed, or its last write was carried out although it was reported as
    /// failed.
    may_have_ended: bool,
    /// Its id contains the time when it was queued. Neither that nor its start decides the order with a run that began
    /// within the error of one of their clocks (R28).
    waited: bool,
    wrong_by_ms: i64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// An apply for all accounts that ended and did not fail.
    Success,
    /// An apply for all accounts that failed and was reported.
    Failure,
    /// It ended, but was for some accounts or a preview, or returned how the run had ended before.
    Aside,
    /// Killed, cut off or refused: what is known about it depends on the moment.
    Unclear,
}

/// When an invocation began, and the time of its process's clock.
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
        let ended_ms = time::elapsed_ms();
        let wrong_ms = [began.clock_ms - began.at_ms, time::wrong_by_ms(slot)];
        let what = match end {
            End::Report(report)
                if ended_before(report, began.at_ms + wrong_ms[0].min(wrong_ms[1])) =>
            {
                What::Aside
            }
            // R45: it says something about quick runs, but nothing about full ones.
            End::Report(report) if request.depth == Depth::Quick => {
                if report.outcome == RunOutcome::Failed || report.state != RunState::Ended {
                    What::Unclear
                } else {
                    What::Aside
                }
            }
            End::Report(report) if report.state == RunState::Ended => {
                match (report.mode, is_whole, report.outcome) {
                    (Mode::Apply, true, RunOutcome::Failed) => What::Failure,
                    (Mode::Apply, true, _) => What::Success,
                    _ => What::Aside,
                }
            }
            End::Report(_) | End::NotBegun(_) | End::Killed => What::Unclear,
        };
        Self {
            waited: request.id.is_some(),
            wrong_by_ms: wrong_ms[0].abs().max(wrong_ms[1].abs()),
            may_have_ended: matches!(end, End::Killed | End::NotBegun(RunError::State(_))),
            began_ms: began.at_ms,
            ended_ms,
            clock_ms: began.clock_ms.max(ended_ms + wrong_ms[1]),
            what,
        }
    }
}

/// Whether a report is that of an earlier invocation, because the message of its run was delivered again. Its time is
/// in seconds.
fn ended_before(report: &Report, clock_ms: i64) -> bool {
    let started: Timestamp = report.started.parse().unwrap();
    (started.as_second() - time::START_S) * 1000 + STARTED_MS <= clock_ms
}

#[derive(Debug, Default)]
pub(super) struct Pulse {
    beats: Vec<Beat>,
    /// A line of the history was damaged. It is unknown of which run.
    pub(super) spoiled: bool,
}

impl Pulse {
    pub(super) fn beat(&mut self, beat: Beat) {
        self.beats.push(beat);
    }

    /// What is wrong with a status of `/health` at this moment, by a correct clock.
    pub(super) fn judge(&self, status: u16, body: &str) -> Option<String> {
        let now_ms = time::elapsed_ms();
        let told = |why: &str| Some(format!("/health is {status}, {why}: {body}"));
        if self.spoiled {
            return None;
        }
        let is_success = |it: &&Beat| it.what == What::Success || it.may_have_ended;
        let successes = self.beats.iter().filter(is_success);
        let newest = successes.max_by_key(|it| it.ended_ms.max(it.clock_ms));
        // What left no record was not seen.
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
        let overlaps =
            |it: &Beat| it.ended_ms > last.began_ms - STARTED_MS && it.began_ms != last.began_ms;
        // R28: a run starts when it gets the lock, at some time before it ends.
        let is_in_doubt = |it: &Beat| {
            let apart_ms = last.began_ms - it.ended_ms;
            let unordered = it.waited || last.waited;
            unordered && apart_ms > 0 && apart_ms < it.wrong_by_ms.max(last.wrong_by_ms)
        };
        let alone = !self.beats.iter().any(|it| overlaps(it) || is_in_doubt(it));
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

    /// Whether every run that was killed or cut off was continued by a later apply.
    fn all_ended(&self) -> bool {
        let unclear = self.beats.iter().filter(|it| it.what == What::Unclear);
        let success = self.beats.iter().filter(|it| it.what == What::Success);
        let last_ms = success.map(|it| it.began_ms).max().unwrap_or_default();
        unclear.into_iter().all(|it| it.ended_ms < last_ms)
    }
}

#[test]
fn r28_the_order_is_in_doubt_after_a_run_that_waited_for_the_lock_while_its_clock_jumped() {
    time::begin();
    let beat = |from_s: i64, to_s: i64, wrong_by_s: i64, what| Beat {
        began_ms: from_s * 1000,
        ended_ms: to_s * 1000,
        clock_ms: (to_s + wrong_by_s) * 1000,
        may_have_ended: false,
        waited: true,
        wrong_by_ms: wrong_by_s * 1000,
        what,
    };
    for (wrong_by_s, is_judged) in [(0, true), (100, true), (420, false)] {
        let mut pulse = Pulse::default();
        // It is known only that it got the lock before its end, 110 s before the next run.
        pulse.beat(beat(2, 330, wrong_by_s, What::Success));
        pulse.beat(beat(440, 590, 0, What::Failure));
        assert_eq!(pulse.judge(200, "").is_some(), is_judged, "{wrong_by_s} s");
    }
}
