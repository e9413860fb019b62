//! Answers with the texts of the service.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::limiter::LimiterConfig;

#[derive(Debug)]
pub(super) enum Answer {
    Json(u16, Bytes),
    Empty(u16),
}

/// A refusal. Business errors are plain text, errors of the framework JSON.
#[derive(Debug)]
pub(super) enum Refusal {
    UnknownAccount(u16, String),
    OutsideOrganization,
    DuplicateUser(u16),
    AliasNotOwned,
    AliasTaken(String),
    AliasGuest(String),
    UnknownInSet,
    MemberNotFound,
    UnknownDelegate(String),
    InvalidDivision(String),
    /// Something that this simulator does not support, so that clients do not rely on it.
    Malformed(String),
    Framework(u16),
    TooManyRequests,
}

impl Refusal {
    pub(super) fn malformed(text: impl Into<String>) -> Self {
        Self::Malformed(text.into())
    }

    fn text(&self) -> Option<(u16, String)> {
        let (status, text) = match self {
            Self::UnknownAccount(status, id) => {
                (*status, format!("Unknown account with uuid: {id}"))
            }
            Self::OutsideOrganization => (400, "Account is outside the organization".to_owned()),
            Self::DuplicateUser(409) => (409, String::new()),
            Self::DuplicateUser(status) => {
                (*status, "Account is outside the organization".to_owned())
            }
            Self::AliasNotOwned => (400, "Error creating alias: Domain Not Owned".to_owned()),
            Self::AliasTaken(alias) => (
                400,
                format!("Error creating alias: Alias is already taken for {alias}"),
            ),
            Self::AliasGuest(alias) => (
                400,
                format!("Error creating alias: Alias is a guest: {alias}"),
            ),
            Self::UnknownInSet => (400, "Unknown in set".to_owned()),
            Self::MemberNotFound => (400, "Error creating member: Member Not Found".to_owned()),
            Self::UnknownDelegate(delegate) => (400, format!("Unknown delegate: {delegate}")),
            Self::InvalidDivision(name) => (400, format!("Invalid division: {name}")),
            Self::Malformed(_) | Self::Framework(_) | Self::TooManyRequests => return None,
        };
        Some((status, text))
    }
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

pub(super) fn response(
    outcome: Result<Answer, Refusal>,
    content_type: &str,
    limiter: &LimiterConfig,
) -> Response {
    let (status, content_type, body) = match outcome {
        Ok(Answer::Json(status, body)) => (status, content_type, Body::from(body)),
        Ok(Answer::Empty(status)) => (status, "", Body::empty()),
        Err(refusal) => match refusal.text() {
            Some((status, text)) if text.is_empty() => (status, "", Body::empty()),
            Some((status, text)) => (status, "text/plain;charset=utf-8", Body::from(text)),
            None => {
                let (status, body) = framework(&refusal, limiter);
                (status, "application/json", Body::from(body))
            }
        },
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(content_type)
        && !content_type.is_empty()
    {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

fn framework(refusal: &Refusal, limiter: &LimiterConfig) -> (u16, String) {
    let body = match refusal {
        Refusal::Malformed(text) => (400, json!({ "code": 400, "message": text })),
        Refusal::TooManyRequests => {
            let bucket = json!({
                "limiterId": "cab", "budget": limiter.budget, "windowSeconds": limiter.window_millis.div_ceil(1000),
            });
            let reference = "https://tools.ietf.org/html/draft-polli-ratelimit-headers-02";
            let body = json!({
                "code": 429, "message": "Too Many Requests", "emptiedBucketDetails": bucket, "reference": reference,
            });
            (429, body)
        }
        Refusal::Framework(status) => (
            *status,
            json!({ "code": status, "message": format!("HTTP {status} {}", reason(*status)) }),
        ),
        Refusal::UnknownAccount(..)
        | Refusal::OutsideOrganization
        | Refusal::DuplicateUser(_)
        | Refusal::AliasNotOwned
        | Refusal::AliasTaken(_)
        | Refusal::AliasGuest(_)
        | Refusal::UnknownInSet
        | Refusal::MemberNotFound
        | Refusal::UnknownDelegate(_)
        | Refusal::InvalidDivision(_) => unreachable!("a business error has a text"),
    };
    (body.0, body.1.to_string())
}
