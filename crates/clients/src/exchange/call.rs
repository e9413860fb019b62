//! One call of the API: headers, token, gate, retries, redirects, and the meaning of an answer.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Method, StatusCode,
    header::{
        ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName,
        HeaderValue, LOCATION,
    },
};
use serde::de::DeserializeOwned;
use url::Url;

use super::{
    ExchangeConfig, ExchangeError, Failure,
    fault::{self, Class},
    gate::{Gate, Permit},
    link,
    token::{Bearer, TokenFacts, TokenKeeper},
};
use crate::http::{
    Reply, Request, RetryReason, SendError, Sender, UnpackError, one_line, retry_after, unpack,
};

/// The largest answer accepted, compressed or not: a page of 1000 mailboxes has about 2 MiB.
const BODY_LIMIT_BYTES: usize = 64 << 20;

/// A regional redirect leads to its target directly; more than this are a loop.
const REDIRECTS_MAX: u32 = 3;

/// Retries that a run may spend without a success. Each success earns one back.
const RETRY_BUDGET: u32 = 1000;

/// The back-end that holds the state of a tenant's paged reads (`docs/specs/exchange-online.md`, "0. Decisions",
/// decision 8).
const ANCHOR: &str = "APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@";

/// What to send, and how errors name it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// As counted in reports.
    pub(super) kind: &'static str,
    /// Operation and object, for errors: "read page 2 of the mailbox list".
    pub(super) operation: String,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Bytes,
    pub(super) prefer: &'static str,
    pub(super) timeout: Duration,
    /// Whether latencies of this kind of call can be compared with each other: the same small read each time.
    pub(super) comparable: bool,
}

/// What all calls share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) config: ExchangeConfig,
    pub(super) sender: Sender,
    pub(super) gate: Gate,
    pub(super) tokens: TokenKeeper,
    pub(super) retry_budget: RetryBudget,
    /// Questions that failed in a row because the service is unavailable (R32).
    pub(super) outages_in_a_row: AtomicU32,
}

/// A successful answer that cannot be used.
pub(super) enum Unusable {
    /// Does not have the form that the API promises; the text says how.
    Unintelligible(String),
    /// The body holds an error although the status is a success.
    Error,
}

/// What to do after one attempt.
enum Verdict<T> {
    Done(T),
    /// 401: try once with a new token.
    Renew(Failure),
    Redirect(Url),
    Again {
        error: ExchangeError,
        reason: RetryReason,
        after: Option<Duration>,
    },
    Stop(ExchangeError),
}

impl Service {
    /// Sends `call` until it succeeds or a retry cannot help. `read` parses the body.
    pub(super) async fn call<T>(
        &self,
        call: &Call,
        read: impl Fn(&[u8]) -> Result<T, Unusable>,
    ) -> Result<T, ExchangeError> {
        let serial = self.sender.serial();
        let mut url = call.url.clone();
        let (mut attempt, mut redirects, mut renewed) = (1, 0, false);
        loop {
            let permit = self.gate.enter().await;
            let bearer = self.tokens.current().await?;
            let sent = self.sender.send(self.request(call, &url, &bearer)).await;
            let verdict = match sent {
                Ok(reply) => self.judge(call, &url, &reply, permit, &read),
                Err(error) => unanswered(call, &error, permit),
            };
            match verdict {
                Verdict::Done(value) => {
                    self.retry_budget.earn();
                    return Ok(value);
                }
                Verdict::Renew(failure) if renewed => {
                    return Err(self.tokens.refused_again(&bearer, failure));
                }
                Verdict::Renew(failure) => {
                    renewed = true;
                    self.tokens.renew(&bearer, &failure).await?;
                    self.sender.counters().count_retry();
                }
                Verdict::Redirect(target) if redirects < REDIRECTS_MAX => {
                    redirects += 1;
                    url = target;
                }
                Verdict::Redirect(_) => {
                    return Err(ExchangeError::Protocol(
                        call.failure("redirected in a circle"),
                    ));
                }
                Verdict::Again {
                    error,
                    reason,
                    after,
                } => {
                    let policy = &self.config.retry;
                    let delay = policy.next_delay(serial, attempt, reason, after);
                    match delay.filter(|_| self.retry_budget.spend(reason)) {
                        Some(delay) => tokio::time::sleep(delay).await,
                        None => return Err(error),
                    }
                    attempt += 1;
                    self.sender.counters().count_retry();
                }
                Verdict::Stop(error) => return Err(error),
            }
        }
    }

    /// The facts of the token; fetches a token if there is none yet.
    pub(super) async fn facts(&self) -> Result<TokenFacts, ExchangeError> {
        let bearer = self.tokens.current().await?;
        Ok((*bearer.facts).clone())
    }

    /// The URL of an entity or function of the tenant; `rest` is already encoded.
    pub(super) async fn address(&self, rest: &str) -> Result<Url, ExchangeError> {
        let facts = self.facts().await?;
        let tenant = percent_encoding::utf8_percent_encode(&facts.tenant_id, TENANT);
        let path = format!("/{}/{tenant}/{rest}", self.config.path.trim_matches('/'));
        self.config
            .base
            .join(&path)
            .map_err(|error| ExchangeError::Settings {
                text: format!("no address can be made of EXO_URL: {error}"),
                remedy: "correct CLOUD_SYNC__EXO_URL".to_owned(),
            })
    }

    /// Sends `call` once and returns the answer without interpreting it.
    pub(super) async fn send_once(&self, call: &Call) -> Result<Reply, ExchangeError> {
        let bearer = self.tokens.current().await?;
        let sent = self
            .sender
            .send(self.request(call, &call.url, &bearer))
            .await;
        sent.map_err(|error| ExchangeError::Unreachable(call.failure(&error.to_string())))
    }

    fn request(&self, call: &Call, url: &Url, bearer: &Bearer) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer.header.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en-US"));
        headers.insert(
            HeaderName::from_static("prefer"),
            HeaderValue::from_static(call.prefer),
        );
        if call.method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let anchor = format!("{ANCHOR}{}", bearer.facts.tenant_id);
        for (name, value) in [
            ("x-anchormailbox", anchor.as_str()),
            ("client-request-id", &self.config.client_request_id),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        Request {
            kind: call.kind,
            method: call.method.clone(),
            url: url.clone(),
            headers,
            body: call.body.clone(),
            timeout: call.timeout,
            may_write: None,
            body_limit_bytes: BODY_LIMIT_BYTES,
        }
    }

    fn judge<T>(
        &self,
        call: &Call,
        url: &Url,
        reply: &Reply,
        permit: Permit<'_>,
        read: &impl Fn(&[u8]) -> Result<T, Unusable>,
    ) -> Verdict<T> {
        let cap = self.config.retry.retry_after_cap;
        let after = retry_after(&reply.headers, self.config.clock.now())
            .or_else(|| self.allowance_spent(reply))
            .map(|after| after.min(cap));
        let unpacked = unpack(reply.body.clone(), BODY_LIMIT_BYTES);
        if unpacked == Err(UnpackError::TooLarge) {
            let failure = call.failed(reply, "the unpacked answer is too large".to_owned());
            return Verdict::Stop(ExchangeError::Protocol(failure));
        }
        let body = unpacked.unwrap_or_else(|_| reply.body.clone());
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
        if reply.status.is_success() {
            match read(body) {
                Ok(value) => {
                    permit.succeeded(call.comparable);
                    return Verdict::Done(value);
                }
                Err(Unusable::Unintelligible(text)) => {
                    drop(permit);
                    return Verdict::Again {
                        error: ExchangeError::Protocol(call.failed(reply, text)),
                        reason: RetryReason::Unintelligible,
                        after,
                    };
                }
                Err(Unusable::Error) => {}
            }
        }
        let fault = fault::classify(reply, body);
        let refused = fault.class == Class::Throttled
            || reply.status == StatusCode::SERVICE_UNAVAILABLE && fault.class == Class::Transient;
        // `Sender` has already counted an answer with status 429.
        if fault.class == Class::Throttled && reply.status != StatusCode::TOO_MANY_REQUESTS {
            self.sender.counters().count_throttled();
        }
        if refused {
            permit.refused(after);
        } else {
            permit.succeeded(false);
        }
        self.react(call, url, reply, fault, after)
    }

    fn react<T>(
        &self,
        call: &Call,
        url: &Url,
        reply: &Reply,
        fault: fault::Fault,
        after: Option<Duration>,
    ) -> Verdict<T> {
        let failure = call.failed(reply, fault.text);
        tracing::debug!(
            status = failure.status,
            class = ?fault.class,
            request_id = failure.request_id,
            date = reply.header(DATE.as_str()),
            kind = call.kind,
            "Exchange refused a request"
        );
        match fault.class {
            Class::Unauthorized => Verdict::Renew(failure),
            Class::Forbidden => Verdict::Stop(ExchangeError::Permission(failure)),
            Class::NotFound => Verdict::Stop(ExchangeError::NotFound(failure)),
            Class::Ambiguous => Verdict::Stop(ExchangeError::Ambiguous(failure)),
            Class::Paging => Verdict::Stop(ExchangeError::Paging(failure)),
            Class::Refused => Verdict::Stop(ExchangeError::Refused(failure)),
            Class::Throttled => Verdict::Again {
                error: ExchangeError::Throttled(failure),
                reason: RetryReason::Throttled,
                after,
            },
            Class::Transient => Verdict::Again {
                error: ExchangeError::Transient(failure),
                reason: RetryReason::Fault,
                after,
            },
            Class::Redirect => {
                let location = reply.header(LOCATION.as_str()).unwrap_or_default();
                match link::check(&self.config.base, url, location) {
                    Ok(target) => Verdict::Redirect(target),
                    Err(text) => {
                        Verdict::Stop(ExchangeError::Protocol(Failure { text, ..failure }))
                    }
                }
            }
        }
    }

    /// How long until the request allowance is full again, if the service says that it is used up (4.1).
    fn allowance_spent(&self, reply: &Reply) -> Option<Duration> {
        let remaining: f64 = reply.header("rate-limit-remaining")?.trim().parse().ok()?;
        let reset: jiff::Timestamp = reply.header("rate-limit-reset")?.trim().parse().ok()?;
        let wait = reset.duration_since(self.config.clock.now());
        (remaining < 1.0)
            .then(|| Duration::try_from(wait).ok())
            .flatten()
    }
}

/// Encodes everything except letters, digits and the other characters of a GUID or a domain.
const TENANT: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.');

impl Call {
    fn failed(&self, reply: &Reply, text: String) -> Failure {
        Failure {
            operation: self.operation.clone(),
            status: Some(reply.status.as_u16()),
            text,
            request_id: reply.header("request-id").map(|id| one_line(id, 64)),
        }
    }

    /// A failure that is not caused by one answer.
    pub(super) fn failure(&self, text: &str) -> Failure {
        Failure {
            operation: self.operation.clone(),
            status: None,
            text: text.to_owned(),
            request_id: None,
        }
    }
}

/// The verdict when there was no answer.
fn unanswered<T>(call: &Call, error: &SendError, permit: Permit<'_>) -> Verdict<T> {
    if matches!(error, SendError::Timeout { .. }) {
        permit.refused(None);
    } else {
        drop(permit);
    }
    let failure = call.failure(&error.to_string());
    match error.retry_reason() {
        Some(reason) => Verdict::Again {
            error: ExchangeError::Unreachable(failure),
            reason,
            after: None,
        },
        None => Verdict::Stop(ExchangeError::Protocol(failure)),
    }
}

/// Parses a body as JSON. The error texts contain no data, which may be personal.
pub(super) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unusable> {
    use serde_json::error::Category;
    if body.trim_ascii().is_empty() {
        return Err(Unusable::Unintelligible("an empty body".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            Category::Eof => "truncated JSON",
            Category::Syntax | Category::Io => "no JSON",
            Category::Data => "JSON of another shape",
        };
        let (line, column) = (error.line(), error.column());
        Unusable::Unintelligible(format!("{what} (line {line}, column {column})"))
    })
}

/// The number of retries left to a run, so that it does not ask an unavailable service six times for each mailbox.
#[derive(Debug)]
pub(super) struct RetryBudget(AtomicU32);

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(RETRY_BUDGET))
    }

    fn earn(&self) {
        self.update(|left| (left < RETRY_BUDGET).then_some(left + 1));
    }

    /// Takes one retry, if there is one left. Throttling is free, because the gate already slows the run down.
    fn spend(&self, reason: RetryReason) -> bool {
        reason == RetryReason::Throttled || self.update(|left| left.checked_sub(1))
    }

    fn update(&self, change: impl FnMut(u32) -> Option<u32>) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
            .is_ok()
    }
}
