//! Faults that can be injected into a simulator, and their effects on an answer.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

const HTML: &str = "<html><head><title>Service Unavailable</title></head>\r\n<body><h1>Service Unavailable</h1></body></html>\r\n";

/// The requests that a fault applies to; `None` matches all.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    pub method: Option<String>,
    /// Part of the path with query, percent-encoded as received.
    pub path_contains: Option<String>,
    pub body_contains: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default)]
    pub matches: Match,
    /// How many matching requests pass first.
    #[serde(default)]
    pub after: u32,
    /// How many requests fail after that; `None` = without end.
    #[serde(default)]
    pub times: Option<u32>,
    pub kind: FaultKind,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Answers without carrying out the request.
    Status {
        status: u16,
        #[serde(default)]
        headers: Vec<(String, String)>,
        #[serde(default)]
        body: String,
    },
    /// Closes the connection without an answer and without carrying out the request.
    ResetBefore,
    /// Carries out the request, then closes the connection without an answer.
    ResetAfter,
    /// Neither answers nor carries out the request.
    HangBefore,
    /// Carries out the request, but does not answer.
    HangAfter,
    /// Carries out the request after the delay and gives the right answer.
    Delay { millis: u64 },
    /// Carries out the request and truncates the answer: with the full `Content-Length` the connection breaks, without
    /// it the answer ends normally.
    TruncatedJson {
        #[serde(default)]
        full_length: bool,
    },
    /// Carries out the request and appends text to the answer.
    TrailingGarbage,
    /// An HTML page of a gateway; the request is not carried out.
    HtmlError { status: u16 },
    /// Carries out the request and answers 200 without a body.
    EmptyOk,
    /// Carries out the request and sends the answer in pieces of `bytes`, one every `millis`.
    SlowDrip { bytes: usize, millis: u64 },
    /// Carries out the request and answers with this many spaces.
    HugeBody { bytes: u64 },
    /// Carries out the request and sends another answer.
    ReplaceBody { status: u16, body: String },
}

impl Fault {
    /// Applies to the next request of any kind.
    #[must_use]
    pub fn once(kind: FaultKind) -> Self {
        Self {
            matches: Match::default(),
            after: 0,
            times: Some(1),
            kind,
        }
    }

    /// Applies to every request until it is cleared.
    #[must_use]
    pub fn always(kind: FaultKind) -> Self {
        Self {
            times: None,
            ..Self::once(kind)
        }
    }

    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    #[must_use]
    pub fn after(self, after: u32) -> Self {
        Self { after, ..self }
    }

    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.matches.method = Some(method.to_owned());
        self
    }

    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        self.matches.path_contains = Some(part.to_owned());
        self
    }

    #[must_use]
    pub fn body(mut self, part: &str) -> Self {
        self.matches.body_contains = Some(part.to_owned());
        self
    }

    fn matches(&self, method: &str, path: &str, body: &str) -> bool {
        let Match {
            method: wanted,
            path_contains,
            body_contains,
        } = &self.matches;
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && path_contains
                .as_ref()
                .is_none_or(|part| path.contains(part.as_str()))
            && body_contains
                .as_ref()
                .is_none_or(|part| body.contains(part.as_str()))
    }
}

/// The first fault that is due for this request. A matching fault that is not due yet counts the request as passed.
pub(super) fn choose(
    faults: &mut VecDeque<Fault>,
    method: &str,
    path: &str,
    body: &str,
) -> Option<FaultKind> {
    faults.retain(|fault| fault.times != Some(0));
    for fault in faults
        .iter_mut()
        .filter(|fault| fault.matches(method, path, body))
    {
        if fault.after > 0 {
            fault.after -= 1;
            continue;
        }
        let kind = fault.kind.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        faults.retain(|fault| fault.times != Some(0));
        return Some(kind);
    }
    None
}

/// Marks an answer that stands for a broken connection.
#[derive(Clone, Copy)]
struct Reset;

/// An answer whose body fails at once. A server has not sent the head by then and closes the connection without a byte;
/// an in-process caller gets the error on the first read of the body.
pub(super) fn reset() -> Response {
    let mut response = Response::new(broken_after(Bytes::new()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.extensions_mut().insert(Reset);
    response
}

pub(super) fn is_reset(response: &Response) -> bool {
    response.extensions().get::<Reset>().is_some()
}

/// Sends the start of an answer, then breaks the connection.
fn broken_after(start: Bytes) -> Body {
    let has_start = !start.is_empty();
    let broken = stream::once(async move {
        if has_start {
            // A server flushes its buffer when it must wait.
            tokio::task::yield_now().await;
        }
        Err(io::Error::new(
            io::ErrorKind::ConnectionReset,
            "connection reset by the sandbox",
        ))
    });
    Body::from_stream(stream::iter(has_start.then_some(Ok(start))).chain(broken))
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl FaultKind {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::HangBefore => "hang_before",
            Self::HangAfter => "hang_after",
            Self::Delay { .. } => "delay",
            Self::TruncatedJson { .. } => "truncated_json",
            Self::TrailingGarbage => "trailing_garbage",
            Self::HtmlError { .. } => "html_error",
            Self::EmptyOk => "empty_ok",
            Self::SlowDrip { .. } => "slow_drip",
            Self::HugeBody { .. } => "huge_body",
            Self::ReplaceBody { .. } => "replace_body",
        }
    }

    /// The answer of a fault that prevents the service from carrying out the request.
    pub(super) fn answer_without_acting(&self) -> Option<Response> {
        match self {
            Self::Status {
                status: code,
                headers,
                body,
            } => {
                let mut response = (status(*code), body.clone()).into_response();
                for (name, value) in headers {
                    if let (Ok(name), Ok(value)) =
                        (name.parse::<HeaderName>(), HeaderValue::from_str(value))
                    {
                        response.headers_mut().insert(name, value);
                    }
                }
                Some(response)
            }
            Self::HtmlError { status: code } => Some(
                (
                    status(*code),
                    [(header::CONTENT_TYPE, "text/html; charset=us-ascii")],
                    HTML,
                )
                    .into_response(),
            ),
            Self::ResetBefore => Some(reset()),
            Self::ResetAfter
            | Self::HangBefore
            | Self::HangAfter
            | Self::Delay { .. }
            | Self::TruncatedJson { .. }
            | Self::TrailingGarbage
            | Self::EmptyOk
            | Self::SlowDrip { .. }
            | Self::HugeBody { .. }
            | Self::ReplaceBody { .. } => None,
        }
    }

    pub(super) async fn delay(&self) {
        if let Self::Delay { millis } = self {
            tokio::time::sleep(Duration::from_millis(*millis)).await;
        }
    }

    /// Changes the answer after the service has carried out the request.
    pub(super) async fn change_answer(self, acted: Response) -> Response {
        let (mut parts, body) = acted.into_parts();
        let Ok(mut bytes) = axum::body::to_bytes(body, usize::MAX).await.map(Vec::from) else {
            return reset();
        };
        let length = bytes.len();
        parts.headers.remove(header::CONTENT_LENGTH);
        let body = match self {
            Self::ResetAfter => return reset(),
            Self::TruncatedJson { full_length } => {
                bytes.truncate(length / 2);
                if full_length {
                    parts
                        .headers
                        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                    broken_after(Bytes::from(bytes))
                } else {
                    Body::from(bytes)
                }
            }
            Self::TrailingGarbage => {
                bytes.extend_from_slice(b"\n<!-- end of response -->");
                Body::from(bytes)
            }
            Self::EmptyOk => {
                parts.status = StatusCode::OK;
                Body::empty()
            }
            Self::SlowDrip {
                bytes: piece,
                millis,
            } => {
                parts
                    .headers
                    .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                drip(
                    Bytes::from(bytes),
                    piece.max(1),
                    Duration::from_millis(millis),
                )
            }
            Self::HugeBody { bytes } => {
                parts
                    .headers
                    .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
                blanks(bytes)
            }
            Self::ReplaceBody { status: code, body } => {
                parts.status = status(code);
                Body::from(body)
            }
            Self::Status { .. }
            | Self::ResetBefore
            | Self::HangBefore
            | Self::HangAfter
            | Self::Delay { .. }
            | Self::HtmlError { .. } => Body::from(bytes),
        };
        Response::from_parts(parts, body)
    }
}

fn drip(bytes: Bytes, piece: usize, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = rest.split_to(piece.min(rest.len()));
        Some((Ok::<_, io::Error>(next), rest))
    }))
}

fn blanks(total: u64) -> Body {
    static PIECE: [u8; 1 << 16] = [b' '; 1 << 16];
    Body::from_stream(stream::unfold(total, |left| async move {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
        (piece > 0).then(|| {
            (
                Ok::<_, io::Error>(Bytes::from_static(&PIECE[..piece])),
                left - piece as u64,
            )
        })
    }))
}
