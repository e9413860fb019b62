//! Limits: a bucket of requests, a maximum of requests in flight, and delayed answers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::faults::TOO_MANY_CONCURRENT;
use super::reply::{Content, Exception, Reply};
use super::session::http_date;
use super::switches::{Bucket, RefusalBody, RetryAfter, Throttle};

/// The values in the headers if there is no limit.
const UNENFORCED: Bucket = Bucket {
    capacity: 30_000,
    refill_millis: 60_000,
};

#[derive(Debug, Default)]
pub(super) struct Limits {
    in_flight: AtomicU32,
    level: Mutex<Option<Level>>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    bucket: Bucket,
    tokens: f64,
    at: Duration,
}

/// The place of a request in flight; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    limits: &'a Limits,
    /// How many requests were in flight, including this one.
    pub(super) number: u32,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.limits.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limits {
    pub(super) fn sit(&self) -> Seat<'_> {
        Seat {
            limits: self,
            number: self.in_flight.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    /// Takes one request out of the bucket and returns what remains; `None` if the request must be refused.
    pub(super) fn take(&self, throttle: &Throttle, now: Duration) -> Option<u32> {
        let bucket = throttle.bucket.unwrap_or(UNENFORCED);
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let before = level
            .filter(|level| level.bucket == bucket)
            .unwrap_or(Level {
                bucket,
                tokens: f64::from(bucket.capacity),
                at: now,
            });
        let passed = now.saturating_sub(before.at).as_secs_f64() * 1000.0;
        let millis = u32::try_from(bucket.refill_millis.max(1)).unwrap_or(u32::MAX);
        let refilled = passed * f64::from(bucket.capacity) / f64::from(millis);
        let tokens = (before.tokens + refilled).min(f64::from(bucket.capacity));
        let granted = tokens >= 1.0;
        let tokens = if granted { tokens - 1.0 } else { tokens };
        *level = Some(Level {
            bucket,
            tokens,
            at: now,
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a u32"
        )]
        let remaining = tokens as u32;
        (granted || throttle.bucket.is_none()).then_some(remaining)
    }
}

pub(super) fn capacity(throttle: &Throttle) -> u32 {
    throttle.bucket.unwrap_or(UNENFORCED).capacity
}

pub(super) fn refusal(throttle: &Throttle) -> Reply {
    let refusal = &throttle.refusal;
    let content = match refusal.body {
        RefusalBody::Empty => Content::Empty,
        RefusalBody::Json => Content::Json(json!({"error": {
            "code": "TooManyRequests",
            "message": "Too many requests. Please retry later.",
        }})),
        RefusalBody::ConcurrencyText => Content::Json(
            Exception::executing(
                refusal.status,
                "Microsoft.Exchange.Data.Storage.ServerBusyException",
                TOO_MANY_CONCURRENT,
            )
            .body(false),
        ),
    };
    let reply = Reply::new(refusal.status, content);
    match retry_after(refusal.retry_after) {
        Some(text) => reply.with_header("retry-after", text),
        None => reply,
    }
}

pub(super) fn retry_after(form: RetryAfter) -> Option<String> {
    match form {
        RetryAfter::Absent => None,
        RetryAfter::Seconds(seconds) => Some(seconds.to_string()),
        RetryAfter::Millis(millis) => Some(format!("{}.{:03}", millis / 1000, millis % 1000)),
        RetryAfter::DateIn(seconds) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now_s = now.map_or(0, |since| since.as_secs());
            Some(http_date(now_s.saturating_add(seconds)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills() {
        let limits = Limits::default();
        let throttle = Throttle {
            bucket: Some(Bucket {
                capacity: 2,
                refill_millis: 1000,
            }),
            ..Throttle::default()
        };
        let take = |millis| limits.take(&throttle, Duration::from_millis(millis));
        assert_eq!([take(0), take(0), take(0)], [Some(1), Some(0), None]);
        assert_eq!([take(500), take(500)], [Some(0), None]);
    }

    #[test]
    fn retry_after_has_four_forms() {
        assert_eq!(retry_after(RetryAfter::Absent), None);
        assert_eq!(retry_after(RetryAfter::Seconds(7)).as_deref(), Some("7"));
        assert_eq!(
            retry_after(RetryAfter::Millis(1500)).as_deref(),
            Some("1.500")
        );
        let date = retry_after(RetryAfter::DateIn(7)).unwrap();
        assert!(httpdate::parse_http_date(&date).is_ok());
        let far = retry_after(RetryAfter::DateIn(u64::MAX)).unwrap();
        assert_eq!(far, "Thu, 31 Dec 9998 23:59:59 GMT");
    }
}
