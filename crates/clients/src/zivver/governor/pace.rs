//! The state of the governor: which calls still count, and how much of the budget is left to other clients.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::Signals;

/// Added to the window for what cannot be measured here: clocks, scheduling, the rounding of the server.
const MARGIN: Duration = Duration::from_millis(60);

/// The longest assumed time on the way to the server. Any further latency is spent at the server.
const ARRIVAL_MAX: Duration = Duration::from_secs(2);

/// The longest pause after a refusal (R31), whatever the server asks for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A shorter `Retry-After` is obeyed only once: a date has whole seconds and may be in the past when it is read.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// How many windows without a refusal are needed to allow one more call: after the first refusal, and at most.
const PATIENCE: u32 = 2;
const PATIENCE_MAX: u32 = 32;

/// A number of calls per window.
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

/// The calls that still count, and what is known about the budget. Depends only on the arguments of its methods.
#[derive(Debug)]
pub(super) struct Pace {
    own: Budget,
    /// The budget that Zivver announced last. It applies in addition to `own`.
    announced: Option<Budget>,
    announced_at: Option<Instant>,
    calls: VecDeque<Call>,
    next_call: u64,
    latency: Latency,
    pause_until: Option<Instant>,
    /// When the last refusal came; `None` after a success.
    refused_at: Option<Instant>,
    reserve: Reserve,
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
            announced: None,
            announced_at: None,
            calls: VecDeque::new(),
            next_call: 0,
            latency: Latency::default(),
            pause_until: None,
            refused_at: None,
            reserve: Reserve::default(),
        }
    }

    /// How long to wait before the next call.
    pub(super) fn next(&mut self, now: Instant) -> Duration {
        self.forget(now);
        let budget = self.governing();
        self.reserve.recover(now, budget);
        let pause = self
            .pause_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        [Some(self.own), self.announced]
            .into_iter()
            .flatten()
            .map(|limit| {
                let kept = if limit == budget {
                    self.reserve.kept_free
                } else {
                    0
                };
                self.wait_for(limit, limit.calls.saturating_sub(kept).max(1), now)
            })
            .fold(pause, Duration::max)
    }

    /// Records that a call is sent, and returns its number.
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

    /// Records that the call with this number ended, with or without an answer.
    pub(super) fn answered(&mut self, number: u64, now: Instant, signals: &Signals) {
        let found = self.calls.iter_mut().find(|call| call.number == number);
        let sent = match found {
            Some(call) => {
                call.answered = Some(now);
                call.sent
            }
            // The call took longer than a window, so its latency says nothing about the network.
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
            if self
                .announced_at
                .is_none_or(|announced_at| sent > announced_at)
            {
                self.reserve.refused(sent, now, budget);
            }
        } else if let Some(foreign) = self.foreign(now, signals) {
            self.reserve.foreign(foreign, now, budget);
        }
    }

    /// The stricter of the two budgets. Other clients are left a part of it.
    fn governing(&self) -> Budget {
        match self.announced {
            Some(announced) if announced.calls_per_second() < self.own.calls_per_second() => {
                announced
            }
            Some(_) | None => self.own,
        }
    }

    fn learn(&mut self, now: Instant, signals: &Signals) {
        let Some((calls, window)) = signals.budget else {
            return;
        };
        let calls = calls.max(1);
        // A limit without a window does not invalidate the window that was announced for it.
        let known = self.announced.filter(|announced| announced.calls == calls);
        let announced = Budget {
            calls,
            window: window
                .or(known.map(|announced| announced.window))
                .unwrap_or(self.own.window),
        };
        if self.announced.unwrap_or(self.own) == announced {
            return;
        }
        let before = self.governing();
        self.announced = Some(announced);
        if self.governing() != before {
            self.reserve = Reserve::default();
            // Calls sent before this was known do not count as refused because of others.
            self.announced_at = Some(now);
        }
    }

    /// Calls of other clients in the current window, calculated from the number that Zivver says is left.
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

    fn wait_for(&self, limit: Budget, allowed: u32, now: Instant) -> Duration {
        let mut free_at: Vec<_> = self
            .free_at(limit)
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
    fn free_at(&self, limit: Budget) -> impl Iterator<Item = Instant> {
        self.calls
            .iter()
            .map(move |call| self.latency.arrived_by(call) + limit.span())
    }

    fn forget(&mut self, now: Instant) {
        let span = self.announced.map_or(self.own.span(), |announced| {
            announced.span().max(self.own.span())
        });
        let latency = self.latency;
        self.calls
            .retain(|call| latency.arrived_by(call) + span > now);
    }
}

/// What is known about the network latency.
#[derive(Debug, Default, Clone, Copy)]
struct Latency {
    /// The lowest latency so far.
    least: Option<Duration>,
    /// By how much recent latencies exceed `least`, on average.
    spread: Duration,
    first_answer: Option<Instant>,
    /// A call sent after the first answer was answered, so that `least` contains no time for connecting.
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

    /// The latest instant at which the call may have arrived, minus the latency that all calls share.
    fn arrived_by(self, call: &Call) -> Instant {
        let Some(answered) = call.answered else {
            return call.sent + ARRIVAL_MAX;
        };
        let delay = answered
            .saturating_duration_since(call.sent)
            .saturating_sub(self.common());
        call.sent + delay.min(ARRIVAL_MAX)
    }

    /// The latency that all calls share; it does not change the distance between two arrivals. The lowest latency so
    /// far is an upper bound. The more the latencies vary, the less of it is certain.
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

/// The part of the budget that other clients seem to use. It grows with each refusal that is not explained by our own
/// calls, and shrinks by one call after some windows without a refusal. Each new refusal increases the number of
/// windows.
#[derive(Debug, Default)]
struct Reserve {
    kept_free: u32,
    /// `kept_free` at the last refusal. A lower value without a refusal shows that the other clients have stopped.
    refused_at: u32,
    refused_last: Option<Instant>,
    kept_free_max: u32,
    patience_windows: u32,
    recover_at: Option<Instant>,
}

impl Reserve {
    /// Records a refusal that our own calls do not explain. Calls already sent when the first one arrived belong to the
    /// same refusal.
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
        self.schedule_recovery(now, budget);
    }

    fn foreign(&mut self, calls: u32, now: Instant, budget: Budget) {
        let wanted = (calls + 1).min(budget.calls / 2);
        if calls > self.kept_free && wanted > self.kept_free {
            self.kept_free = wanted;
            self.refused_at = self.refused_at.max(wanted);
            self.schedule_recovery(now, budget);
        }
    }

    fn schedule_recovery(&mut self, now: Instant, budget: Budget) {
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
