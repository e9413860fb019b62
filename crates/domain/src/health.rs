//! Whether runs succeed as they should (R28): the definition of a success, and of an unhealthy app.

mod text;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    mode::{Depth, Mode, PerformSync},
    report::{Report, RunOutcome, RunState},
    schedule::{Schedule, ScheduleError},
};

/// The maximum age of the last success, in seconds: a nightly run, and [`LATE_MAX_S`].
const SUCCESS_AGE_MAX_S: i64 = 26 * 3600;

/// How long after its time in the schedule a run may succeed.
const LATE_MAX_S: i64 = 2 * 3600;

/// How many times of the schedule are listed.
const UPCOMING: usize = 3;

/// The clocks of two machines differ by less than this.
pub const CLOCKS_DIFFER_S: i64 = 60;

/// How many times of the schedule without a success are a problem, if quick runs are scheduled (R45).
const TIMES_WITHOUT_SUCCESS: usize = 3;

/// An apply whose process ended in the middle (R35).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    /// A later run makes what it has left.
    TakenUp,
    /// R37: an undo that no person has started again or stopped since.
    UndoIsLeft,
}

/// What health needs to know about a run in the history. Times are epoch seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    pub id: &'a str,
    pub mode: Mode,
    pub depth: Depth,
    pub state: RunState,
    pub outcome: RunOutcome,
    pub started: Option<i64>,
    pub ended: Option<i64>,
    pub error: Option<&'a str>,
    /// Not an undo (R37), not for some accounts (R39) or changes (R28), and under the settings of the program.
    pub is_for_all: bool,
    /// R46: a preview under other settings, which says nothing about the success of runs.
    pub is_hypothetical: bool,
    pub killed: Option<Killed>,
    /// R45: how many users a quick run left to be resumed by a full one.
    pub resumes_left: u32,
}

impl Run<'_> {
    /// Whether it ended and looked at all accounts as they are, with their permissions.
    pub fn saw_everybody(&self) -> bool {
        self.ended_well() && self.depth == Depth::Full
    }

    /// R45: whether it is a quick run that ended and looked at all accounts.
    pub fn saw_everybody_quickly(&self) -> bool {
        self.ended_well() && self.depth == Depth::Quick
    }

    /// R28: the one definition of a success.
    pub fn is_success(&self, setting: PerformSync) -> bool {
        self.is_fresh(setting) && self.depth == Depth::Full
    }

    /// R45: like a success, but of any depth. What a quick run covers is as new as this run.
    pub fn is_fresh(&self, setting: PerformSync) -> bool {
        self.ended_well() && self.mode == setting.timer_mode()
    }

    /// R45: whether only a full run makes what this one has left, so that the timer is not to wait for `FULL_EVERY`.
    fn needs_full(&self) -> bool {
        let was_killed = self.killed.is_some() && self.depth == Depth::Full;
        (was_killed || self.resumes_left > 0) && self.mode == Mode::Apply
    }

    fn ended_well(&self) -> bool {
        self.has_ended_for_all() && self.outcome != RunOutcome::Failed
    }

    /// When the work began, in epoch seconds: the earlier of `started` and the time in the id, since a run can take
    /// several invocations.
    fn began(&self) -> Option<i64> {
        let of_id = || {
            let (day, time) = self.id.split_once('T')?;
            let text = format!("{day}{}+0000", time.get(..6)?);
            let at = Timestamp::strptime("%Y%m%d%H%M%S%z", text).ok()?;
            Some(at.as_second())
        };
        self.started.into_iter().chain(of_id()).min()
    }

    /// Whether it says something about the runs of the timer: it is a success, or could have been one.
    fn counts(&self, setting: PerformSync) -> bool {
        self.has_ended_for_all() && self.mode == setting.timer_mode()
    }

    /// Its position among other runs, by the time when it began. A run that waited in a queue began later than its id
    /// says. After a clock that was ahead was corrected, ids are later than the clock (R28).
    pub fn position(&self) -> String {
        let started = self.started.and_then(|at| Timestamp::from_second(at).ok());
        let started = started.map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string());
        started
            .filter(|started| started.as_str() > self.id)
            .unwrap_or_else(|| self.id.to_owned())
    }

    /// A run that a person stopped does not count (R34).
    fn has_ended_for_all(&self) -> bool {
        let has_ended = self.state == RunState::Ended && self.outcome != RunOutcome::Stopped;
        has_ended && self.is_for_all
    }
}

impl<'a> From<&'a Report> for Run<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            id: &report.id,
            mode: report.mode,
            depth: report.depth,
            state: report.state,
            outcome: report.outcome,
            started: epoch(&report.started),
            ended: report.ended.as_deref().and_then(epoch),
            error: report.error.as_deref(),
            is_for_all: report.accounts.is_empty()
                && report.undoes.is_none()
                && !report.is_hypothetical()
                && !report.counts.leave_out(),
            is_hypothetical: report.is_hypothetical(),
            killed: None,
            resumes_left: report.counts.resumes_left(),
        }
    }
}

/// Converts a time of a report to epoch seconds.
pub fn epoch(time: &str) -> Option<i64> {
    time.parse().ok().map(Timestamp::as_second)
}

/// R28: the newest run that the setting does not give the timer, if it failed: it does not count as a run of the timer,
/// but a person has started it. `runs` are sorted from new to old.
pub fn failed_beside<'r, 'a>(runs: &'r [Run<'a>], setting: PerformSync) -> Option<&'r Run<'a>> {
    let mut beside = runs
        .iter()
        .filter(|run| run.has_ended_for_all() && run.mode != setting.timer_mode());
    beside
        .next()
        .filter(|run| run.outcome == RunOutcome::Failed)
}

/// R45: the newest success of any depth. `runs` are sorted from new to old.
pub fn last_fresh<'r, 'a>(runs: &'r [Run<'a>], setting: PerformSync) -> Option<&'r Run<'a>> {
    runs.iter().find(|run| run.is_fresh(setting))
}

/// The newest success. `runs` are sorted from new to old.
pub fn last_success<'r, 'a>(runs: &'r [Run<'a>], setting: PerformSync) -> Option<&'r Run<'a>> {
    runs.iter().find(|run| run.is_success(setting))
}

/// When the app was first seen with a timer that previews, and with one that applies (epoch seconds).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirstSeen {
    pub preview: Option<i64>,
    pub apply: Option<i64>,
    pub ticks: Option<Ticks>,
}

/// The last known tick of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticks {
    /// `SYNC_SCHEDULE`. The ticks of another schedule say nothing about this one.
    pub schedule: String,
    /// The last tick, or when the schedule was first seen (epoch seconds).
    pub last: i64,
}

impl FirstSeen {
    pub fn with(&self, mode: Mode) -> Option<i64> {
        match mode {
            Mode::Preview => self.preview,
            Mode::Apply => self.apply,
        }
    }

    /// Records that the app was seen at `now`. For an app that is recorded for the first time and has a history, the
    /// history tells the time.
    #[must_use]
    pub fn noted(mut self, mode: Mode, now: i64, runs: &[Run<'_>]) -> Self {
        let is_new = self == Self::default();
        let oldest = runs.iter().filter_map(|run| run.started).min();
        let seen = match mode {
            Mode::Preview => &mut self.preview,
            Mode::Apply => &mut self.apply,
        };
        let began = seen.or(oldest.filter(|_| is_new)).unwrap_or(now);
        // The clock was ahead.
        *seen = Some(began.min(now));
        self
    }

    /// Records that `host` runs the app at `now`. With `is_tick` it has just started the timer.
    #[must_use]
    pub fn ticked(mut self, host: &Host, is_tick: bool, now: i64) -> Self {
        if let Some(schedule) = host.schedule.as_ref().filter(|_| host.is_present) {
            let known = self.ticks.filter(|ticks| ticks.schedule == *schedule);
            let last = known.filter(|_| !is_tick).map_or(now, |ticks| ticks.last);
            self.ticks = Some(Ticks {
                schedule: schedule.clone(),
                // The clock was ahead.
                last: last.min(now),
            });
        }
        self
    }
}

/// What decides whether the host starts the timer at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// The Functions host started this process.
    pub is_present: bool,
    /// `SYNC_SCHEDULE`
    pub schedule: Option<String>,
    /// The settings that disable one of the functions of this app.
    pub disabled: Vec<String>,
    /// R45: `FULL_EVERY`
    pub full_every: Duration,
}

impl Host {
    /// `None` if no schedule is set.
    pub fn schedule(&self) -> Option<Result<Schedule, ScheduleError>> {
        self.schedule.as_deref().map(Schedule::parse)
    }

    /// When the timer is next due, after `now`.
    pub fn upcoming(&self, now: Timestamp) -> Vec<Timestamp> {
        let schedule = self.schedule().and_then(Result::ok);
        schedule.map_or_else(Vec::new, |schedule| schedule.upcoming(now, UPCOMING))
    }

    /// R28: why the host does not start the functions that it must start.
    pub fn problems(&self) -> Vec<Problem> {
        let disabled = self.disabled.iter().cloned().map(Problem::Disabled);
        let schedule = match (&self.schedule, self.schedule()) {
            (Some(text), Some(Err(why))) => Some(Problem::Schedule {
                text: text.clone(),
                why,
            }),
            (None, _) if self.is_present => Some(Problem::NoSchedule),
            (None | Some(_), _) => None,
        };
        schedule.into_iter().chain(disabled).collect()
    }

    /// The time from the last occurrence of the schedule at or before `at` to the next one.
    fn interval_s(&self, at: i64) -> Option<i64> {
        let schedule = self.schedule()?.ok()?;
        let at = Timestamp::from_second(at).ok()?;
        Some(schedule.interval_at(at)?.as_secs())
    }

    pub fn full_every_s(&self) -> i64 {
        i64::try_from(self.full_every.as_secs()).unwrap_or(i64::MAX)
    }

    /// R45: the same, if it is so short that some runs of the timer are quick.
    fn quick_interval_s(&self, at: i64) -> Option<i64> {
        let interval = self.interval_s(at)?;
        (interval < self.full_every_s()).then_some(interval)
    }

    /// R45: the kind of run that a tick at `at` starts, after these runs, the newest first. If the schedule is less
    /// frequent than `FULL_EVERY`, each is full: a person's run in between must not delay it by a whole interval.
    pub fn depth_at(&self, at: i64, runs: &[Run<'_>], setting: PerformSync) -> Depth {
        let success = last_success(runs, setting);
        let mut since = runs.iter().take_while(|run| Some(*run) != success);
        let is_needed = since.any(Run::needs_full);
        // A run in the future does not count: the clock is behind.
        let began = success.and_then(Run::began);
        let age = began.map(|began| at - began).filter(|age| *age >= 0);
        match age {
            Some(age) if !is_needed && age < self.full_every_s() && self.has_quick_at(at) => {
                Depth::Quick
            }
            Some(_) | None => Depth::Full,
        }
    }

    /// R45: whether a run of the timer at `at` can be a quick one.
    pub fn has_quick_at(&self, at: i64) -> bool {
        self.quick_interval_s(at).is_some()
    }

    /// The maximum age of the last success. If the timer is due less often than daily, its interval and [`LATE_MAX_S`];
    /// with quick runs in between (R45), that and `FULL_EVERY`.
    fn success_age_max_s(&self, now: i64) -> i64 {
        // A run that was due just now may still be in progress.
        let at = now - LATE_MAX_S;
        let between = self.quick_interval_s(at).map(|_| self.full_every_s());
        let interval = self.interval_s(at).unwrap_or_default();
        let of_schedule = interval.saturating_add(between.unwrap_or_default());
        of_schedule
            .saturating_add(LATE_MAX_S)
            .max(SUCCESS_AGE_MAX_S)
    }

    /// R45: the maximum age of the last success of any depth, if quick runs are scheduled: the three intervals that
    /// follow the time of the schedule at which it began.
    fn fresh_age_max_s(&self, ended: i64) -> Option<i64> {
        let first = self.quick_interval_s(ended)?;
        let schedule = self.schedule()?.ok()?;
        let at = Timestamp::from_second(ended).ok()?;
        let times = schedule.upcoming(at, TIMES_WITHOUT_SUCCESS);
        Some(first + times.last()?.duration_since(*times.first()?).as_secs())
    }
}

/// The input of `problems`. Times are epoch seconds.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    pub setting: PerformSync,
    pub now: i64,
    /// Sorted from new to old.
    pub runs: &'a [Run<'a>],
    /// When the app was first seen with this setting; `None` if it never was.
    pub first_seen: Option<i64>,
    pub ticks: Option<&'a Ticks>,
    /// The time of a tick that failed without a record, and the reason.
    pub unrecorded: Option<(i64, &'a str)>,
    /// Why parts of the state, such as memory or lock, cannot be read.
    pub unreadable: &'a [String],
    pub host: &'a Host,
}

/// No success for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// Since the last success, or since the app was first seen.
    pub age_s: i64,
    pub age_max_s: i64,
    pub has_succeeded: bool,
    /// R45: the depth of the runs that have not succeeded. `Quick` stands for runs of any depth.
    pub depth: Depth,
}

/// Why an app is unhealthy (R28).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    LastRunFailed {
        mode: Mode,
        depth: Depth,
        /// Epoch seconds.
        started: Option<i64>,
        error: String,
    },
    Killed {
        run: String,
        error: String,
    },
    Overdue(Overdue),
    /// The app has no success yet, and a run of another kind has ended.
    NoSuccessYet {
        run: String,
        /// That of the timer.
        mode: Mode,
        why: NoSuccess,
    },
    TickFailed(String),
    /// The host did not start the timer at this time of its schedule.
    NoTick {
        due: i64,
    },
    Unreadable(String),
    ClockIsBehind {
        run: String,
        started: i64,
        now: i64,
    },
    NoSchedule,
    Schedule {
        text: String,
        why: ScheduleError,
    },
    Disabled(String),
}

/// Why a run that ended is not a success, whatever the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSuccess {
    Failed,
    NotForAll,
    /// R45
    Quick,
}

/// Why the app is unhealthy (R28). Empty if it is healthy.
pub fn problems(of: &Circumstances<'_>) -> Vec<Problem> {
    let mut problems = problems_of_runs(of);
    problems.extend(of.host.problems());
    problems
}

/// [`problems`] without those of the host.
pub fn problems_of_runs(of: &Circumstances<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut counting = of.runs.iter().filter(|run| run.counts(of.setting));
    let newest = counting.clone().next();
    // R45: a successful quick run does not make up for a full run that failed.
    let newest_full = counting.find(|run| run.depth == Depth::Full);
    let newest_quick = newest.filter(|run| run.depth == Depth::Quick);
    let last = newest_full.into_iter().chain(newest_quick);
    let failed = last.filter(|run| run.outcome == RunOutcome::Failed);
    problems.extend(failed.map(|run| {
        let cause = run.error.unwrap_or("the report tells no cause");
        Problem::LastRunFailed {
            mode: run.mode,
            depth: run.depth,
            started: run.started,
            error: cause.to_owned(),
        }
    }));
    let success = last_success(of.runs, of.setting);
    let fresh = of.runs.iter().position(|run| run.is_fresh(of.setting));
    let succeeded = of.runs.iter().position(|run| Some(run) == success);
    let is_open = |(at, run): &(usize, &Run<'_>)| {
        let made_up = match run.depth {
            Depth::Quick => fresh,
            Depth::Full => succeeded,
        };
        match run.killed {
            Some(Killed::UndoIsLeft) => true,
            Some(Killed::TakenUp) => made_up.is_none_or(|made_up| made_up > *at),
            None => false,
        }
    };
    let killed = of.runs.iter().enumerate().filter(is_open);
    problems.extend(killed.map(|(_, run)| {
        let error = run.error.unwrap_or("its process ended");
        Problem::Killed {
            run: run.id.to_owned(),
            error: error.to_owned(),
        }
    }));
    let overdue = overdue(of);
    problems.extend(overdue.map(Problem::Overdue));
    if success.is_none() && problems.is_empty() {
        problems.extend(no_success_yet(of));
    }
    if let Some((at, error)) = of.unrecorded
        && newest
            .and_then(|run| run.ended)
            .is_none_or(|ended| ended <= at)
    {
        problems.push(Problem::TickFailed(error.to_owned()));
    }
    problems.extend(no_tick(of));
    problems.extend(of.unreadable.iter().cloned().map(Problem::Unreadable));
    problems.extend(clock_is_behind(of, success));
    problems
}

/// R28, R45: whether there was no success for too long: no full run, or if quick runs are scheduled no run at all.
pub fn overdue(of: &Circumstances<'_>) -> Option<Overdue> {
    full_overdue(of).or_else(|| quick_overdue(of))
}

fn quick_overdue(of: &Circumstances<'_>) -> Option<Overdue> {
    let ended = last_fresh(of.runs, of.setting)?.ended?;
    let age_s = of.now - ended;
    let age_max_s = of.host.fresh_age_max_s(ended)?;
    (of.host.is_present && age_s > age_max_s).then_some(Overdue {
        age_s,
        age_max_s,
        has_succeeded: true,
        depth: Depth::Quick,
    })
}

/// A new app has the same time for its first success.
fn full_overdue(of: &Circumstances<'_>) -> Option<Overdue> {
    let success = last_success(of.runs, of.setting);
    let since = match success {
        Some(run) => run.ended,
        None => of.first_seen,
    };
    let age_s = of.now - since?;
    let age_max_s = of.host.success_age_max_s(of.now);
    (age_s > age_max_s).then_some(Overdue {
        age_s,
        age_max_s,
        has_succeeded: success.is_some(),
        depth: Depth::Full,
    })
}

/// R28: whether a time of the schedule passed without a tick. If the settings show why the host does not start the
/// timer, [`Host::problems`] reports it.
fn no_tick(of: &Circumstances<'_>) -> Option<Problem> {
    let is_current = |ticks: &&Ticks| of.host.schedule.as_ref() == Some(&ticks.schedule);
    let ticks = of.ticks.filter(is_current)?;
    if !of.host.is_present || !of.host.problems().is_empty() {
        return None;
    }
    let schedule = of.host.schedule()?.ok()?;
    // The clock of the host may be ahead of the clock that recorded the tick.
    let last = Timestamp::from_second(ticks.last.checked_add(CLOCKS_DIFFER_S)?).ok()?;
    let due = schedule.next(last)?.as_second();
    (due.saturating_add(LATE_MAX_S) < of.now).then_some(Problem::NoTick { due })
}

/// A new app has time for its first success. That time ends with a run that is not a success in any mode, such as a
/// scoped one: it must not look like the start of an app that works.
fn no_success_yet(of: &Circumstances<'_>) -> Option<Problem> {
    // A run that a person stopped says nothing (R34).
    let has_ended = |run: &&Run<'_>| {
        run.state == RunState::Ended
            && run.outcome != RunOutcome::Stopped
            && !run.saw_everybody()
            && !run.is_hypothetical
    };
    let run = of
        .runs
        .iter()
        .filter(has_ended)
        .find(|run| run.started.is_none() || run.started >= of.first_seen)?;
    Some(Problem::NoSuccessYet {
        run: run.id.to_owned(),
        mode: of.setting.timer_mode(),
        why: match run.depth {
            _ if !run.is_for_all => NoSuccess::NotForAll,
            Depth::Quick if run.ended_well() => NoSuccess::Quick,
            Depth::Quick | Depth::Full => NoSuccess::Failed,
        },
    })
}

/// The clock is behind if the newest run, or the last success, is in the future. Ages then mean nothing.
fn clock_is_behind(of: &Circumstances<'_>, success: Option<&Run<'_>>) -> Option<Problem> {
    let (run, started) = of
        .runs
        .first()
        .into_iter()
        .chain(success)
        .filter_map(|run| Some((run, run.started?.max(run.ended.unwrap_or(i64::MIN)))))
        .find(|(_, started)| *started > of.now + CLOCKS_DIFFER_S)?;
    Some(Problem::ClockIsBehind {
        run: run.id.to_owned(),
        started,
        now: of.now,
    })
}
