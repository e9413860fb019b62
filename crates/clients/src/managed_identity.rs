//! The answer of the platform's identity endpoint (`docs/specs/exchange-online.md`, "5.2 Functions / App Service
//! endpoint"), as the credentials of `azure_identity` and `object_store` read it.
//!
//! Both accept `expires_on` only as a text of digits, and report any other answer as a missing identity. Both ask again
//! for every request while the token has less than five minutes left, which a token from the platform's cache may have.

use azure_core::{
    error::ErrorKind,
    http::{AsyncRawResponse, HttpClient, Request},
};
use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::{Map, Value, json};

use crate::http::one_line;

/// The credentials stop using a token so many seconds before it expires.
const RENEWED_BEFORE_S: i64 = 300;

/// How long a token is used before the endpoint is asked for a newer one, even if it is about to expire, or has expired
/// according to the clock of this machine.
const PAUSE_S: std::ops::RangeInclusive<i64> = 5..=60;

/// The endpoint answered with this text instead of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the identity endpoint answered {0}")]
pub struct NoTokenInAnswer(String);

impl NoTokenInAnswer {
    pub const REMEDY: &str =
        "restart the function app, and ask the support of Azure if the endpoint answers so again";

    /// The value of this type that caused `error`.
    pub fn within<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| error.source())
            .find_map(|error| error.downcast_ref())
    }
}

/// The text of `error`, with the status of the answer that caused it, which `azure_identity` leaves out.
pub(crate) fn with_status(error: &azure_core::Error) -> String {
    let first: &(dyn std::error::Error + 'static) = error;
    let mut causes = std::iter::successors(Some(first), |error| error.source());
    let status = causes.find_map(|it| it.downcast_ref::<azure_core::Error>()?.http_status());
    match status {
        Some(status) => format!("the identity endpoint answered with HTTP {status}: {error}"),
        None => error.to_string(),
    }
}

/// The answer with status 200, converted to the form that the credentials read.
pub fn readable(body: &[u8], now: Timestamp) -> Result<Vec<u8>, NoTokenInAnswer> {
    let refused = |what: &str| NoTokenInAnswer(what.to_owned());
    let answer: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| refused("with something other than a JSON object"))?;
    let token = answer.get("access_token").and_then(Value::as_str);
    let token = token
        .filter(|token| !token.is_empty())
        .ok_or_else(|| refused("without an `access_token`"))?;
    let expires = match (answer.get("expires_on"), answer.get("expires_in")) {
        (None | Some(Value::Null), None) => return Err(refused("without `expires_on`")),
        (None | Some(Value::Null), Some(seconds)) => {
            whole(seconds).and_then(|seconds| now.as_second().checked_add(seconds))
        }
        (Some(time), _) => epoch(time),
    };
    let expires = expires.ok_or_else(|| {
        let value = answer.get("expires_on").or(answer.get("expires_in"));
        let value = one_line(&value.unwrap_or(&Value::Null).to_string(), 40);
        NoTokenInAnswer(format!(
            "with {value} as the time at which the token expires"
        ))
    })?;
    let left = expires.saturating_sub(now.as_second());
    if left <= 0 {
        tracing::warn!(
            "the identity endpoint answered with a token that has expired; check the clock of this machine"
        );
    }
    let pause = if left > 0 { left } else { *PAUSE_S.end() };
    let pause = pause.clamp(*PAUSE_S.start(), *PAUSE_S.end());
    let expires = expires.max(now.as_second() + RENEWED_BEFORE_S + pause);
    let answer = json!({
        "access_token": token,
        "expires_on": expires.to_string(),
        "resource": answer.get("resource").and_then(Value::as_str).unwrap_or_default(),
        "token_type": "Bearer",
    });
    Ok(answer.to_string().into_bytes())
}

/// Seconds since 1970, from a number, from a text of digits, or from a date.
fn epoch(time: &Value) -> Option<i64> {
    let second = whole(time).or_else(|| {
        let text = time.as_str()?.trim();
        let instant = text.parse::<Timestamp>().ok();
        let utc = || {
            text.parse::<civil::DateTime>()
                .ok()
                .or_else(|| american(text))
        };
        instant
            .or_else(|| {
                utc()?
                    .to_zoned(TimeZone::UTC)
                    .ok()
                    .map(|time| time.timestamp())
            })
            .map(Timestamp::as_second)
    })?;
    Timestamp::from_second(second)
        .ok()
        .map(Timestamp::as_second)
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `09/14/2017 00:00:00 PM +00:00`, as older versions of the endpoint write it: on Linux with 24 hours and AM or PM, on
/// Windows with 12 hours.
fn american(text: &str) -> Option<civil::DateTime> {
    let mut parts = text.split_whitespace();
    let (date, time) = (parts.next()?, parts.next()?);
    let (is_afternoon, offset) = match parts.next() {
        Some("AM") => (Some(false), parts.next()),
        Some("PM") => (Some(true), parts.next()),
        other => (None, other),
    };
    if !matches!(offset, None | Some("+00:00" | "Z")) {
        return None;
    }
    let numbers = |text: &str, between| {
        let mut numbers = text.split(between).map(|part| part.parse::<i16>().ok());
        let three = (numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(three)
    };
    let (month, day, year) = numbers(date, '/')?;
    let (hour, minute, second) = numbers(time, ':')?;
    let hour = match is_afternoon {
        Some(true) if (1..12).contains(&hour) => hour + 12,
        Some(false) if hour == 12 => 0,
        Some(_) | None => hour,
    };
    let small = |number: i16| i8::try_from(number).ok();
    civil::DateTime::new(
        year,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        0,
    )
    .ok()
}

/// A client for the identity endpoint alone.
#[derive(Debug)]
pub(crate) struct IdentityClient(reqwest::Client);

impl IdentityClient {
    pub(crate) fn new(client: reqwest::Client) -> Self {
        Self(client)
    }
}

#[async_trait::async_trait]
impl HttpClient for IdentityClient {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let response = self.0.execute_request(request).await?;
        if !response.status().is_success() {
            return Ok(response);
        }
        let (status, headers, body) = response.deconstruct();
        let body = body.collect().await?;
        let body = readable(&body, Timestamp::now())
            .map_err(|error| azure_core::Error::new(ErrorKind::DataConversion, error))?;
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_796_004_000; // 30 November 2026, 02:00 UTC

    fn answered(answer: &Value) -> Result<i64, String> {
        let now = Timestamp::from_second(NOW).unwrap();
        let read =
            readable(answer.to_string().as_bytes(), now).map_err(|error| error.to_string())?;
        let read: Value = serde_json::from_slice(&read).unwrap();
        assert_eq!(read["access_token"], "t", "{read}");
        Ok(read["expires_on"].as_str().unwrap().parse::<i64>().unwrap() - NOW)
    }

    #[test]
    fn a_time_is_a_number_a_text_of_digits_or_a_date() {
        for (time, seconds) in [
            (json!((NOW + 3600).to_string()), 3600),
            (json!(NOW + 3600), 3600),
            (json!("2026-11-30T03:00:00Z"), 3600),
            (json!("2026-11-30T04:00:00+01:00"), 3600),
            (json!("2026-11-30 03:00:00"), 3600),
            (json!("11/30/2026 03:00:00 +00:00"), 3600),
            (json!("11/30/2026 14:00:00 PM +00:00"), 12 * 3600),
            (json!("11/30/2026 2:00:00 PM +00:00"), 12 * 3600),
            (json!("12/1/2026 12:00:00 AM +00:00"), 22 * 3600),
            (json!("12/01/2026 00:00:00 AM +00:00"), 22 * 3600),
        ] {
            let answer = json!({"access_token": "t", "expires_on": time});
            assert_eq!(answered(&answer), Ok(seconds), "{time}");
        }
        let answer = json!({"access_token": "t", "expires_in": "3600"});
        assert_eq!(answered(&answer), Ok(3600));
    }

    #[test]
    fn a_token_is_asked_for_once_a_minute_at_most() {
        for (left, used) in [
            (-100_000, 60),
            (0, 60),
            (2, 5),
            (30, 30),
            (120, 60),
            (359, 60),
            (361, 61),
        ] {
            let answer = json!({"access_token": "t", "expires_on": NOW + left});
            assert_eq!(answered(&answer), Ok(RENEWED_BEFORE_S + used), "{left}");
        }
    }

    #[test]
    fn what_is_no_token_is_named() {
        for (answer, what) in [
            (json!([]), "with something other than a JSON object"),
            (json!({}), "without an `access_token`"),
            (json!({"access_token": ""}), "without an `access_token`"),
            (json!({"access_token": 7}), "without an `access_token`"),
            (json!({"access_token": "t"}), "without `expires_on`"),
            (
                json!({"access_token": "t", "expires_on": "tomorrow"}),
                "with \"tomorrow\" as the time at which the token expires",
            ),
            (
                json!({"access_token": "t", "expires_on": 1e300}),
                "with 1e+300 as the time at which the token expires",
            ),
            (
                json!({"access_token": "t", "expires_on": "13/30/2026 03:00:00 +00:00"}),
                "with \"13/30/2026 03:00:00 +00:00\" as the time at which the token expires",
            ),
        ] {
            let told = answered(&answer).unwrap_err();
            assert_eq!(told, format!("the identity endpoint answered {what}"));
        }
    }
}
