//! The limiter in front of the API: one bucket for all calls.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimiterConfig {
    pub kind: LimiterKind,
    pub budget: u32,
    pub window_millis: u64,
    /// Calls of another client of the same bucket in each window.
    pub taken_by_others: u32,
    /// Methods that do not count.
    pub free_methods: Vec<String>,
    /// Whether refused calls count as well.
    pub refusals_count: bool,
    /// Whether each answer has `RateLimit-*`.
    pub headers: bool,
    pub retry_after: RetryAfter,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimiterKind {
    SlidingWindow,
    TokenBucket,
    FixedWindow,
    Off,
}

/// `Retry-After` of a refusal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    Absent,
    /// Rounded up.
    Seconds,
    /// Any text, for example a date or an invalid value.
    Text(String),
}

impl Default for LimiterConfig {
    fn default() -> Self {
        Self {
            kind: LimiterKind::SlidingWindow,
            budget: 50,
            window_millis: 10_000,
            taken_by_others: 0,
            free_methods: Vec::new(),
            refusals_count: false,
            headers: false,
            retry_after: RetryAfter::Absent,
        }
    }
}

impl LimiterConfig {
    pub fn off() -> Self {
        Self {
            kind: LimiterKind::Off,
            ..Self::default()
        }
    }

    fn window(&self) -> Duration {
        Duration::from_millis(self.window_millis.max(1))
    }

    fn usable(&self) -> u32 {
        self.budget.saturating_sub(self.taken_by_others)
    }
}

#[derive(Debug, Default)]
pub(super) struct Limiter {
    /// Times of the calls that count, for the windows.
    calls: VecDeque<Duration>,
    /// How many calls the token bucket is below its maximum.
    spent: f64,
    refilled: Duration,
    pub(super) refused: u64,
}

pub(super) struct Verdict {
    pub(super) accepted: bool,
    pub(super) remaining: u32,
    /// Time until the next call is accepted, or until the bucket is full again.
    pub(super) reset: Duration,
}

impl Limiter {
    /// Counts one call at this instant.
    pub(super) fn call(
        &mut self,
        config: &LimiterConfig,
        method: &str,
        now: Duration,
    ) -> Option<Verdict> {
        if config
            .free_methods
            .iter()
            .any(|free| free.eq_ignore_ascii_case(method))
        {
            return None;
        }
        let verdict = match config.kind {
            LimiterKind::Off => return None,
            LimiterKind::SlidingWindow => {
                let start = now.checked_sub(config.window());
                self.window(
                    config,
                    now,
                    |call| start.is_none_or(|start| call > start),
                    |call| call + config.window(),
                )
            }
            LimiterKind::FixedWindow => {
                let millis = config.window_millis.max(1);
                let number = |at: Duration| at.as_millis() / u128::from(millis);
                let end = Duration::from_millis(
                    u64::try_from(number(now) + 1)
                        .unwrap_or(u64::MAX)
                        .saturating_mul(millis),
                );
                self.window(config, now, |call| number(call) == number(now), |_| end)
            }
            LimiterKind::TokenBucket => self.bucket(config, now),
        };
        self.refused += u64::from(!verdict.accepted);
        Some(verdict)
    }

    fn window(
        &mut self,
        config: &LimiterConfig,
        now: Duration,
        counts: impl Fn(Duration) -> bool,
        expires: impl Fn(Duration) -> Duration,
    ) -> Verdict {
        while self.calls.front().is_some_and(|call| !counts(*call)) {
            self.calls.pop_front();
        }
        let used = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let accepted = used < config.usable();
        if accepted || config.refusals_count {
            self.calls.push_back(now);
        }
        let reset = self.calls.front().map_or(config.window(), |oldest| {
            expires(*oldest).saturating_sub(now)
        });
        Verdict {
            accepted,
            remaining: config.usable().saturating_sub(used + 1),
            reset,
        }
    }

    fn bucket(&mut self, config: &LimiterConfig, now: Duration) -> Verdict {
        let budget = f64::from(config.usable());
        let per_second = budget / config.window().as_secs_f64();
        let elapsed = now.saturating_sub(self.refilled).as_secs_f64();
        self.spent = (self.spent - elapsed * per_second).max(0.0);
        self.refilled = now;
        let accepted = self.spent + 1.0 <= budget;
        if accepted || config.refusals_count {
            self.spent = (self.spent + 1.0).min(budget);
        }
        let left = (budget - self.spent).max(0.0);
        let missing = (1.0 - left).max(0.0);
        let reset = if per_second > 0.0 {
            Duration::from_secs_f64(missing / per_second)
        } else {
            config.window()
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the budget, a u32"
        )]
        let remaining = left as u32;
        Verdict {
            accepted,
            remaining,
            reset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(kind: LimiterKind, at_millis: &[u64]) -> Vec<bool> {
        let config = LimiterConfig {
            kind,
            budget: 2,
            window_millis: 1000,
            ..LimiterConfig::default()
        };
        let mut limiter = Limiter::default();
        let call = |at: &u64| {
            limiter
                .call(&config, "GET", Duration::from_millis(*at))
                .is_none_or(|it| it.accepted)
        };
        at_millis.iter().map(call).collect()
    }

    #[test]
    fn sliding_window_never_holds_more_than_the_budget() {
        let calls = accepted(LimiterKind::SlidingWindow, &[0, 900, 999, 1000, 1899, 1900]);
        assert_eq!(calls, [true, true, false, true, false, true]);
    }

    #[test]
    fn fixed_window_starts_afresh() {
        let calls = accepted(LimiterKind::FixedWindow, &[900, 901, 902, 1000, 1001, 1002]);
        assert_eq!(calls, [true, true, false, true, true, false]);
    }

    #[test]
    fn token_bucket_refills_steadily() {
        let calls = accepted(
            LimiterKind::TokenBucket,
            &[0, 0, 0, 499, 500, 500, 1000, 5000, 5000, 5000],
        );
        assert_eq!(
            calls,
            [
                true, true, false, false, true, false, true, true, true, false
            ]
        );
    }

    #[test]
    fn off_counts_nothing() {
        assert_eq!(accepted(LimiterKind::Off, &[0, 0, 0]), [true, true, true]);
    }
}
