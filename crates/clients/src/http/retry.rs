//! Whether and when to send a request again (R31). Pure: the clock reading and the seed are passed in.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::SendError;

/// Attempts after an answer that cannot be parsed, which rarely changes.
const UNINTELLIGIBLE_ATTEMPTS_MAX: u32 = 3;

/// A server on this machine either listens again within seconds or was never started. In the latter case a developer
/// waits for the message.
const LOOPBACK_CAP: Duration = Duration::from_secs(4);

/// How often one request is sent, and how long the waits are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in total, including the first.
    pub attempts: u32,
    /// Upper bound of the wait after the first attempt. Each further wait is `factor` times longer, up to `cap`.
    pub base: Duration,
    pub factor: u32,
    pub cap: Duration,
    /// The longest `Retry-After` that is obeyed; a longer one is cut to this.
    pub retry_after_cap: Duration,
    /// Seed of the jitter: the same seed gives the same waits.
    pub seed: u64,
}

/// Why to send a request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// 429, or another answer that asks to slow down.
    Throttled,
    /// 408, 5xx, or an answer that calls its cause transient.
    Fault,
    /// Not sent, timed out, or the answer was incomplete.
    Transport,
    /// Not sent to a service on this machine, which usually means that it is not running.
    LoopbackNotSent,
    /// A success that cannot be parsed: truncated, empty, HTML.
    Unintelligible,
}

impl RetryPolicy {
    /// 6 attempts with waits of up to 2 s × 2ⁿ, at most 60 s, with full jitter.
    pub fn new(retry_after_cap: Duration, seed: u64) -> Self {
        Self {
            attempts: 6,
            base: Duration::from_secs(2),
            factor: 2,
            cap: Duration::from_secs(60),
            retry_after_cap,
            seed,
        }
    }

    /// How long to wait after attempt number `attempt` (from 1), or `None` to give up. `serial` identifies the request,
    /// so that each has its own jitter. `retry_after` comes from the function [`retry_after`].
    pub fn next_delay(
        &self,
        serial: u64,
        attempt: u32,
        reason: RetryReason,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let attempts = match reason {
            RetryReason::Unintelligible => self.attempts.min(UNINTELLIGIBLE_ATTEMPTS_MAX),
            RetryReason::Throttled
            | RetryReason::Fault
            | RetryReason::Transport
            | RetryReason::LoopbackNotSent => self.attempts,
        };
        if attempt >= attempts {
            return None;
        }
        let backoff = self.jittered(serial, attempt, reason);
        Some(
            match retry_after.map(|wait| wait.min(self.retry_after_cap)) {
                // The first `Retry-After` is obeyed exactly. A refusal after that wait shows that it was too short
                // (zero, or a date already past when it is read), so the backoff is the minimum.
                Some(wait) if attempt > 1 => wait.max(backoff),
                Some(wait) => wait,
                None => backoff,
            },
        )
    }

    /// Full jitter: anywhere between nothing and the exponential bound.
    fn jittered(&self, serial: u64, attempt: u32, reason: RetryReason) -> Duration {
        let growth = self.factor.saturating_pow(attempt.saturating_sub(1));
        let cap = if reason == RetryReason::LoopbackNotSent {
            self.cap.min(LOOPBACK_CAP)
        } else {
            self.cap
        };
        let bound = self.base.saturating_mul(growth).min(cap);
        let draw = mix(self.seed ^ mix(serial ^ mix(u64::from(attempt))));
        // 53 bits are an exact fraction of 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a f64")]
        let fraction = (draw >> 11) as f64 / (1_u64 << 53) as f64;
        bound.mul_f64(fraction)
    }
}

/// The finaliser of `SplitMix64`: every bit of the input moves every bit of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

impl SendError {
    /// The reason for a retry, or `None` if a retry cannot help.
    pub fn retry_reason(&self) -> Option<RetryReason> {
        match self {
            Self::NotSent { is_loopback, .. } if *is_loopback => Some(RetryReason::LoopbackNotSent),
            Self::NotSent { .. } | Self::Timeout { .. } | Self::Broken { .. } => {
                Some(RetryReason::Transport)
            }
            Self::Withdrawn { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Parses `Retry-After` (RFC 9110 section 10.2.3): seconds, which some services send with a fraction, or a date. A date
/// in the past means no wait. A date is compared with the server's own `Date` header if there is one, else with
/// `wall_now`. Any other text gives `None`.
pub fn retry_after(headers: &HeaderMap, wall_now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        // The policy's cap limits a value too large for a `Duration`.
        return (!seconds.is_nan())
            .then(|| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
    }
    let until = http_date(text)?;
    let now = headers
        .get(DATE)
        .and_then(|date| http_date(date.to_str().ok()?))
        .unwrap_or(wall_now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

fn http_date(text: &str) -> Option<Timestamp> {
    // An HTTP date cannot be before 1970, so one out of range is in the far future.
    httpdate::parse_http_date(text.trim())
        .ok()
        .map(|time| Timestamp::try_from(time).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T10:00:00Z";

    fn wait(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers, NOW.parse().unwrap())
    }

    #[test]
    fn r31_retry_after_is_read_in_every_form() {
        let at = "Mon, 23 Nov 2026 10:00:07 GMT";
        for (value, date, expected) in [
            ("7", None, Some(Duration::from_secs(7))),
            (" 0.25 ", None, Some(Duration::from_millis(250))),
            ("0", None, Some(Duration::ZERO)),
            ("-5", None, Some(Duration::ZERO)),
            ("1e300", None, Some(Duration::MAX)),
            (at, None, Some(Duration::from_secs(7))),
            (
                at,
                Some("Mon, 23 Nov 2026 10:00:02 GMT"),
                Some(Duration::from_secs(5)),
            ),
            ("Mon, 23 Nov 2026 09:00:00 GMT", None, Some(Duration::ZERO)),
            (
                "Monday, 23-Nov-26 10:00:07 GMT",
                None,
                Some(Duration::from_secs(7)),
            ),
            ("NaN", None, None),
            ("soon", None, None),
        ] {
            assert_eq!(wait(value, date), expected, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), NOW.parse().unwrap()), None);
    }

    #[test]
    fn r31_waits_grow_are_jittered_and_end() {
        let policy = RetryPolicy::new(Duration::from_secs(300), 7);
        let delay = |serial, attempt| policy.next_delay(serial, attempt, RetryReason::Fault, None);
        for (attempt, bound_s) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32)] {
            let delays: Vec<_> = (0..200)
                .map(|serial| delay(serial, attempt).unwrap())
                .collect();
            let bound = Duration::from_secs(bound_s);
            assert!(delays.iter().all(|delay| *delay <= bound));
            assert!(delays.iter().any(|delay| *delay > bound * 9 / 10));
            assert!(delays.iter().any(|delay| *delay < bound / 10));
        }
        assert_eq!(delay(1, 6), None);
        assert_eq!(delay(3, 2), delay(3, 2));
        let patient = RetryPolicy {
            attempts: u32::MAX,
            ..policy.clone()
        };
        assert!(
            patient
                .next_delay(1, 4_000_000_000, RetryReason::Fault, None)
                .is_some_and(|delay| delay <= policy.cap)
        );
    }

    #[test]
    fn r31_an_absurd_retry_after_is_capped() {
        let policy = RetryPolicy::new(Duration::from_secs(60), 7);
        let delay = |after| policy.next_delay(1, 1, RetryReason::Throttled, Some(after));
        assert_eq!(delay(Duration::MAX), Some(Duration::from_secs(60)));
        assert_eq!(delay(Duration::from_secs(3)), Some(Duration::from_secs(3)));
        assert_eq!(delay(Duration::ZERO), Some(Duration::ZERO));
    }

    #[test]
    fn r31_a_service_that_asks_for_no_wait_is_not_stormed() {
        let policy = RetryPolicy::new(Duration::from_secs(300), 7);
        let delay = |attempt, after| {
            policy
                .next_delay(1, attempt, RetryReason::Throttled, Some(after))
                .unwrap()
        };
        for attempt in 2..6 {
            let backoff = policy
                .next_delay(1, attempt, RetryReason::Throttled, None)
                .unwrap();
            assert_eq!(delay(attempt, Duration::ZERO), backoff);
            assert_eq!(
                delay(attempt, Duration::from_secs(90)),
                Duration::from_secs(90)
            );
            assert_eq!(delay(attempt, Duration::MAX), Duration::from_secs(300));
        }
    }

    #[test]
    fn r31_a_refused_connection_gets_all_attempts_in_short_order() {
        let policy = RetryPolicy::new(Duration::from_secs(300), 7);
        for serial in 0..100 {
            let delays: Vec<_> = (1..)
                .map_while(|attempt| {
                    policy.next_delay(serial, attempt, RetryReason::LoopbackNotSent, None)
                })
                .collect();
            assert_eq!(delays.len(), 5);
            assert!(delays.iter().all(|delay| *delay <= LOOPBACK_CAP));
        }
    }
}
