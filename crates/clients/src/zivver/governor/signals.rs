//! What an answer says about the budget: `RateLimit-*` (draft-polli-ratelimit-headers-02), `Retry-After` (RFC 9110
//! section 10.2.3) and the body of a 429 (`docs/specs/zivver-scim.md`, "6. Errors and the limiter").

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Deserialize;

use crate::http::{Reply, retry_after};

/// Larger windows and waits are ignored as invalid.
const SENSIBLE_MAX_S: f64 = 3600.0;

/// What one answer says about the budget. The default stands for a call without an answer.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Signals {
    /// There was an answer, so the latency is known.
    pub(super) heard: bool,
    pub(super) refused: bool,
    /// The number of calls, and their window if it is announced.
    pub(super) budget: Option<(u32, Option<Duration>)>,
    pub(super) remaining: Option<u32>,
    /// How long to pause after a refusal.
    pub(super) wait: Option<Duration>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "emptiedBucketDetails")]
    bucket: Bucket,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bucket {
    budget: u32,
    window_seconds: Option<f64>,
}

impl Signals {
    pub(crate) fn of(reply: &Reply, wall_now: Timestamp) -> Self {
        let refused = reply.status == StatusCode::TOO_MANY_REQUESTS;
        let parsed = || {
            let refusal: Refusal = serde_json::from_slice(&reply.body).ok()?;
            let window = refusal.bucket.window_seconds.and_then(sensible);
            Some((refusal.bucket.budget, window))
        };
        let reset = reply
            .header("ratelimit-reset")
            .and_then(|text| sensible(text.trim().parse().ok()?));
        Self {
            heard: true,
            refused,
            budget: refused
                .then(parsed)
                .flatten()
                .or_else(|| reply.header("ratelimit-limit").and_then(limit))
                .filter(|(calls, _)| *calls > 0),
            remaining: reply
                .header("ratelimit-remaining")
                .and_then(|text| text.trim().parse().ok()),
            wait: refused
                .then(|| retry_after(&reply.headers, wall_now).or(reset))
                .flatten(),
        }
    }
}

/// `RateLimit-Limit: 50, 50;w=10`: the limit that is reached first, then the policies with their windows.
fn limit(text: &str) -> Option<(u32, Option<Duration>)> {
    let mut items = text.split(',').map(str::trim);
    let first = items.next()?;
    let (calls, window) = policy(first)?;
    let window = window.or_else(|| {
        items
            .filter_map(policy)
            .find(|(other, _)| *other == calls)
            .and_then(|(_, window)| window)
    });
    Some((calls, window))
}

fn policy(item: &str) -> Option<(u32, Option<Duration>)> {
    let mut parts = item.split(';').map(str::trim);
    let calls = parts.next()?.parse().ok()?;
    let window = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("w"))
        .and_then(|(_, seconds)| sensible(seconds.trim().trim_matches('"').parse().ok()?));
    Some((calls, window))
}

fn sensible(seconds: f64) -> Option<Duration> {
    (seconds > 0.0 && seconds <= SENSIBLE_MAX_S).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Signals {
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
            body: body.into(),
        };
        Signals::of(&reply, "2026-11-23T10:00:00Z".parse().unwrap())
    }

    const S: fn(u64) -> Option<Duration> = |seconds| Some(Duration::from_secs(seconds));

    #[test]
    fn r30_the_body_of_a_refusal_tells_the_budget() {
        let body = r#"{"code":429,"message":"Too Many Requests",
            "emptiedBucketDetails":{"limiterId":"cab","budget":30,"windowSeconds":5}}"#;
        let parsed = signals(429, &[], body);
        assert_eq!((parsed.budget, parsed.wait), (Some((30, S(5))), None));
        assert_eq!(signals(400, &[], body).budget, None);
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"emptiedBucketDetails":{"budget":0}}"#,
        ] {
            assert_eq!(signals(429, &[], body).budget, None, "{body}");
        }
    }

    #[test]
    fn r30_headers_tell_budget_and_wait() {
        for (text, expected) in [
            ("50", Some((50, None))),
            ("50, 50;w=10", Some((50, S(10)))),
            ("20;w=2", Some((20, S(2)))),
            ("20, 300;w=60, 20;comment=\"a\";w=10", Some((20, S(10)))),
            ("50, 50;w=0", Some((50, None))),
            ("0", None),
            ("many", None),
        ] {
            let parsed = signals(200, &[("ratelimit-limit", text)], "");
            assert_eq!(parsed.budget, expected, "{text}");
        }
        for (headers, expected) in [
            (&[("ratelimit-reset", "7")][..], S(7)),
            (&[("ratelimit-reset", "7"), ("retry-after", "3")], S(3)),
            (&[("retry-after", "Mon, 23 Nov 2026 10:00:09 GMT")], S(9)),
            (&[("ratelimit-reset", "1795428000")], None),
        ] {
            assert_eq!(signals(429, headers, "").wait, expected, "{headers:?}");
        }
        assert_eq!(signals(200, &[("retry-after", "3")], "").wait, None);
    }
}
