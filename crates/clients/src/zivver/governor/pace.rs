//! The state behind the governor: which calls still count, and how much of the budget is left to others.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::Signals;

/// Beyond the window, for what nothing here can measure: clocks, scheduling, the server's rounding.
const MARGIN: Duration = Duration::from_millis(60);

/// A call that takes longer than this took its time at the server, not on the way there.
const ARRIVAL_MAX: Duration = Duration::from_secs(2);

/// The longest pause after a refusal (R31), whatever the refusal says.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A shorter wait than this is believed once: a date has whole seconds and may be past when it is read.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// Windows without a refusal before one more call is tried: after the first refusal, and at most.
const PATIENCE: u32 = 2;
const PATIENCE_MAX: u32 = 32;

/// Calls per window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) calls: u32,
    pub(super) window: Duration,
}

impl Budget {
    fn calls_per_second(self) -> f64 {
        f64::from(self.calls) / self.window.as_secs_f64()
    }

    fn span(self) -> Duration {
        self.window + MARGIN
    }
}

/// Calls that still count, and what was learnt about the budget. A function of what it was told and of nothing else.
#[derive(Debug)]
pub(super) struct Pace {
    own: Budget,
    /// What Zivver itself said last. Both budgets hold.
    told: Option<Budget>,
    told_at: Option<Instant>,
    calls: VecDeque<Call>,
    next_call: u64,
    latency: Latency,
    pause_until: Option<Instant>,
    /// When the last refusal came, if nothing was accepted since.
    refused_at: Option<Instant>,
    room: Room,
}

#[derive(Debug)]
struct Call {
    number: u64,
    sent: Instant,
    answered: Option<Instant>,
}

impl Pace {
    pub(super) fn new(calls: u32, window: Duration) -> Self {
        Self {
            own: Budget {
                calls: calls.max(1),
                window: window.max(Duration::from_millis(1)),
            },
            told: None,
            told_at: None,
            calls: VecDeque::new(),
            next_call: 0,
            latency: Latency::default(),
            pause_until: None,
            refused_at: None,
            room: Room::default(),
        }
    }

    /// How long to wait before the next call; zero is now.
    pub(super) fn next(&mut self, now: Instant) -> Duration {
        self.forget(now);
        let budget = self.governing();
        self.room.recover(now, budget);
        let pause = self
            .pause_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        [Some(self.own), self.told]
            .into_iter()
            .flatten()
            .map(|lane| {
                let kept = if lane == budget {
                    self.room.kept_free
                } else {
                    0
                };
                self.wait_for(lane, lane.calls.saturating_sub(kept).max(1), now)
            })
            .fold(pause, Duration::max)
    }

    /// Counts a call that is being sent, and numbers it.
    pub(super) fn sent(&mut self, now: Instant) -> u64 {
        let number = self.next_call;
        self.next_call += 1;
        self.calls.push_back(Call {
            number,
            sent: now,
            answered: None,
        });
        number
    }

    /// The call with this number has ended, answered or not.
    pub(super) fn answered(&mut self, number: u64, now: Instant, signals: &Signals) {
        let found = self.calls.iter_mut().find(|call| call.number == number);
        let sent = match found {
            Some(call) => {
                call.answered = Some(now);
                call.sent
            }
            // It hung for longer than a window: it tells nothing about the way there.
            None => now,
        };
        if signals.heard {
            self.latency.observe(sent, now);
            if !signals.refused {
                self.refused_at = None;
            }
        }
        self.learn(now, signals);
        let budget = self.governing();
        if signals.refused {
            let again = self.refused_at.is_some_and(|refused_at| sent >= refused_at);
            let wait = signals.wait.filter(|wait| !again || *wait >= WAIT_MIN);
            let wait = wait.unwrap_or(budget.window).min(PAUSE_MAX);
            self.pause_until = self.pause_until.max(Some(now + wait));
            self.refused_at = Some(now);
            if self.told_at.is_none_or(|told_at| sent > told_at) {
                self.room.refused(sent, now, budget);
            }
        } else if let Some(foreign) = self.foreign(now, signals) {
            self.room.foreign(foreign, now, budget);
        }
    }

    /// The budget that allows less in the long run: others are given room out of this one.
    fn governing(&self) -> Budget {
        match self.told {
            Some(told) if told.calls_per_second() < self.own.calls_per_second() => told,
            Some(_) | None => self.own,
        }
    }

    fn learn(&mut self, now: Instant, signals: &Signals) {
        let Some((calls, window)) = signals.budget else {
            return;
        };
        let calls = calls.max(1);
        // A number alone takes nothing back of what was said about its window.
        let known = self.told.filter(|told| told.calls == calls);
        let told = Budget {
            calls,
            window: window
                .or(known.map(|told| told.window))
                .unwrap_or(self.own.window),
        };
        if self.told.unwrap_or(self.own) == told {
            return;
        }
        let before = self.governing();
        self.told = Some(told);
        if self.governing() != before {
            self.room = Room::default();
            // Calls that were sent before this was known have earned their refusals.
            self.told_at = Some(now);
        }
    }

    /// Calls that somebody else made in the current window, by what Zivver says is left.
    fn foreign(&self, now: Instant, signals: &Signals) -> Option<u32> {
        let (calls, window) = signals.budget?;
        let budget = self.governing();
        if calls != budget.calls || window.is_some_and(|window| window != budget.window) {
            return None;
        }
        let used = calls.checked_sub(signals.remaining?)?;
        let ours = self
            .free_at(budget)
            .filter(|free_at| *free_at > now)
            .count();
        used.checked_sub(u32::try_from(ours).ok()?)
    }

    fn wait_for(&self, lane: Budget, allowed: u32, now: Instant) -> Duration {
        let mut free_at: Vec<_> = self
            .free_at(lane)
            .filter(|free_at| *free_at > now)
            .collect();
        let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
        let Some(surplus) = free_at.len().checked_sub(allowed) else {
            return Duration::ZERO;
        };
        let (_, free_at, _) = free_at.select_nth_unstable(surplus);
        *free_at - now
    }

    /// When each call stops counting.
    fn free_at(&self, lane: Budget) -> impl Iterator<Item = Instant> {
        self.calls
            .iter()
            .map(move |call| self.latency.arrived_by(call) + lane.span())
    }

    fn forget(&mut self, now: Instant) {
        let span = self
            .told
            .map_or(self.own.span(), |told| told.span().max(self.own.span()));
        let latency = self.latency;
        self.calls
            .retain(|call| latency.arrived_by(call) + span > now);
    }
}

/// What the answers tell about the way there.
#[derive(Debug, Default, Clone, Copy)]
struct Latency {
    /// The quickest answer so far.
    least: Option<Duration>,
    /// How much slower than that answers are of late, on average.
    spread: Duration,
    first_answer: Option<Instant>,
    /// A call that was sent after the first answer was answered: `least` is free of the time that connecting takes.
    warm: bool,
}

impl Latency {
    fn observe(&mut self, sent: Instant, answered: Instant) {
        let latency = answered.saturating_duration_since(sent);
        let least = self.least.map_or(latency, |least| least.min(latency));
        let excess = latency.saturating_sub(least).min(ARRIVAL_MAX);
        self.least = Some(least);
        self.spread = self.spread * 15 / 16 + excess / 16;
        self.warm |= self.first_answer.is_some_and(|first| sent >= first);
        self.first_answer.get_or_insert(answered);
    }

    /// The latest instant at which the call may have arrived, less what every call needs for the way there.
    fn arrived_by(self, call: &Call) -> Instant {
        let Some(answered) = call.answered else {
            return call.sent + ARRIVAL_MAX;
        };
        let delay = answered
            .saturating_duration_since(call.sent)
            .saturating_sub(self.common());
        call.sent + delay.min(ARRIVAL_MAX)
    }

    /// A call arrives before its answer; of its latency, what every call needs is no delay between two calls. The
    /// quickest answer so far shows that, less exactly the more the answers differ.
    fn common(self) -> Duration {
        let least = self.least.unwrap_or_default();
        let certain = least.saturating_sub(self.spread / 4);
        if self.warm {
            certain
        } else {
            certain.min(least / 2)
        }
    }
}

/// The part of the budget that others seem to use. Grows with each refusal that we did not earn, and shrinks by one
/// call after some windows without; the more often that fails, the more windows.
#[derive(Debug, Default)]
struct Room {
    kept_free: u32,
    /// `kept_free` when the last refusal came: below it, the others have gone.
    refused_at: u32,
    refused_last: Option<Instant>,
    kept_free_max: u32,
    patience_windows: u32,
    recover_at: Option<Instant>,
}

impl Room {
    /// A refusal that we did not earn. Calls that were already on the way when the first one came belong to it.
    fn refused(&mut self, sent: Instant, now: Instant, budget: Budget) {
        let same = self.refused_last.is_some_and(|last| sent <= last);
        if same {
            self.kept_free += 1;
        } else {
            let allowed = budget.calls.saturating_sub(self.kept_free);
            self.refused_at = self.kept_free;
            self.kept_free_max = self.kept_free + allowed / 2;
            self.kept_free += 2;
            self.patience_windows = (self.patience_windows * 2).clamp(PATIENCE, PATIENCE_MAX);
            self.refused_last = Some(now);
        }
        self.kept_free = self.kept_free.min(self.kept_free_max);
        self.hold(now, budget);
    }

    fn foreign(&mut self, calls: u32, now: Instant, budget: Budget) {
        let wanted = (calls + 1).min(budget.calls / 2);
        if calls > self.kept_free && wanted > self.kept_free {
            self.kept_free = wanted;
            self.refused_at = self.refused_at.max(wanted);
            self.hold(now, budget);
        }
    }

    fn hold(&mut self, now: Instant, budget: Budget) {
        self.recover_at = Some(now + budget.window * self.patience_windows.max(PATIENCE));
    }

    fn recover(&mut self, now: Instant, budget: Budget) {
        while let Some(due) = self.recover_at.filter(|due| *due <= now) {
            self.kept_free = self.kept_free.saturating_sub(1);
            if self.kept_free < self.refused_at {
                self.patience_windows = PATIENCE;
            }
            self.recover_at = (self.kept_free > 0)
                .then(|| due + budget.window * self.patience_windows.max(PATIENCE));
        }
    }
}
