//! One call, and its retries where a retry is harmless (R31).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use url::Url;

use super::{
    ZivverClient,
    error::{CallError, WriteError},
    governor::{Permit, Signals},
    refusal::{Refusal, RefusalKind, TEXT_CHARS_MAX},
};
use crate::http::{MayWrite, Reply, Request, RetryReason, SendError, one_line, retry_after};
use domain::remedies;

/// A list of 100,000 accounts needs about a tenth of this.
const LIST_BYTES_MAX: usize = 1 << 30;

/// One account, or an error page.
const RESOURCE_BYTES_MAX: usize = 16 << 20;

/// A request, with what its retries and its errors need.
#[derive(Debug)]
pub(super) struct Call {
    /// As counted in reports.
    pub(super) kind: &'static str,
    /// Completes "cannot …" in messages. Contains ids, but no addresses.
    pub(super) operation: String,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) media_type: MediaType,
    pub(super) body: Bytes,
    pub(super) access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    Json,
    /// A PATCH needs it in both headers; a PUT must not have it (`docs/specs/zivver-scim.md`, "2. Endpoints").
    ScimJson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// With a long timeout, since all accounts come in one answer.
    List,
    LookUp,
    Write,
}

/// Why the run may no longer write.
#[derive(Debug)]
pub(super) struct Stopped(Arc<str>);

/// How often a write that waits at the gate checks whether the lock is lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const LOCK_LOST: &str =
    "this run may no longer write; see which run holds the lock and start again";

impl ZivverClient {
    /// Sends until the answer is one that a retry would not change. For GET, PUT and PATCH.
    pub(super) async fn repeat(&self, call: &Call) -> Result<Reply, WriteError> {
        let serial = self.sender.serial();
        let mut attempt = 0;
        let mut was_sent = false;
        loop {
            attempt += 1;
            let sent = self.attempt(call).await;
            let sent = sent.map_err(|stopped| call.stopped(&stopped, was_sent))?;
            let (reason, wait) = match &sent {
                Ok(reply) => (transient(reply.status), self.wait_asked(reply)),
                Err(error) => (error.retry_reason(), None),
            };
            was_sent |= match &sent {
                // The limiter refuses a request before it is carried out.
                Ok(reply) => reply.status != StatusCode::TOO_MANY_REQUESTS,
                Err(error) => !matches!(error, SendError::NotSent { .. }),
            };
            let retry = &self.connection.policy.retry;
            let next = reason.and_then(|reason| {
                let delay = retry.next_delay(serial, attempt, reason, wait)?;
                Some((reason, delay))
            });
            let Some((reason, delay)) = next else {
                return match sent {
                    Ok(reply) if reply.status.is_success() => Ok(reply),
                    Ok(reply) => Err(self.failure(call, &reply)),
                    Err(error) => Err(call.unanswered(&error)),
                };
            };
            self.pause(call, attempt, reason, delay).await;
        }
    }

    /// Waits before the next attempt.
    pub(super) async fn pause(
        &self,
        call: &Call,
        attempt: u32,
        reason: RetryReason,
        delay: Duration,
    ) {
        self.sender.counters().count_retry();
        tracing::debug!(kind = call.kind, attempt, ?reason, ?delay, "trying again");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            // The next attempt then fails with the cause.
            _ = self.gate.closed(), if call.access == Access::Write => {}
        }
    }

    /// Sends once, when the governor allows it. The governor learns from the answer.
    pub(super) async fn attempt(&self, call: &Call) -> Result<Result<Reply, SendError>, Stopped> {
        let permit = match call.access {
            Access::Write => self.permit_to_write().await?,
            Access::List | Access::LookUp => self.governor.permit().await,
        };
        let sent = self.sender.send(self.request(call)).await;
        if let Err(SendError::Withdrawn { .. }) = &sent {
            let cause = self.gate.cause();
            return Err(Stopped(cause.unwrap_or_else(|| Arc::from(LOCK_LOST))));
        }
        if let Ok(reply) = &sent {
            permit.answered(&Signals::of(reply, self.connection.clock.now()));
        }
        Ok(sent)
    }

    /// The body is checked again when it is sent (R29).
    async fn permit_to_write(&self) -> Result<Permit<'_>, Stopped> {
        loop {
            self.pass_gate().await?;
            let permit = tokio::select! {
                biased;
                cause = self.gate.closed() => return Err(Stopped(cause)),
                permit = self.governor.permit() => permit,
            };
            if !self.connection.may_write.ask() {
                return Err(Stopped(Arc::from(LOCK_LOST)));
            }
            if self.gate.is_open() {
                return Ok(permit);
            }
        }
    }

    /// The lock may be lost while the gate is paused.
    async fn pass_gate(&self) -> Result<(), Stopped> {
        loop {
            if let Ok(passed) = tokio::time::timeout(LOOK_EVERY, self.gate.pass()).await {
                return passed.map_err(Stopped);
            }
            if !self.connection.may_write.ask() {
                return Err(Stopped(Arc::from(LOCK_LOST)));
            }
        }
    }

    /// The error for an answer that is neither a success nor worth a retry.
    pub(super) fn failure(&self, call: &Call, reply: &Reply) -> WriteError {
        let operation = call.operation.clone();
        match reply.status {
            StatusCode::UNAUTHORIZED => CallError::Unauthorized { operation }.into(),
            StatusCode::FORBIDDEN => CallError::Forbidden { operation }.into(),
            status if transient(status).is_some() => call.unavailable(&gave_up(status)),
            status => {
                let text = self.text(&reply.body);
                let known_kind = RefusalKind::of(status.as_u16(), &text);
                let is_wrong_url =
                    known_kind == RefusalKind::UnknownAccount && call.names_no_account();
                let kind = if is_wrong_url || status.is_redirection() {
                    RefusalKind::WrongUrl
                } else {
                    known_kind
                };
                CallError::Refused(Box::new(Refusal {
                    operation,
                    status: status.as_u16(),
                    text,
                    kind,
                }))
                .into()
            }
        }
    }

    pub(super) fn wait_asked(&self, reply: &Reply) -> Option<Duration> {
        retry_after(&reply.headers, self.connection.clock.now())
    }

    /// A body for messages: on one line, shortened, and without the key.
    pub(super) fn text(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        one_line(&self.connection.key.redact(&text), TEXT_CHARS_MAX)
    }

    /// A request that still waits for a connection when the gate closes is not sent either (R32, R34).
    fn may_write(&self) -> MayWrite {
        let (may_write, gate) = (self.connection.may_write.clone(), self.gate.clone());
        MayWrite::new(move || gate.cause().is_none() && may_write.ask())
    }

    fn request(&self, call: &Call) -> Request {
        let media_type = HeaderValue::from_static(match call.media_type {
            MediaType::Json => "application/json",
            MediaType::ScimJson => "application/scim+json",
        });
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.connection.key.authorization());
        headers.insert(ACCEPT, media_type.clone());
        if !call.body.is_empty() {
            headers.insert(CONTENT_TYPE, media_type);
        }
        let policy = &self.connection.policy;
        let (timeout, body_limit_bytes) = match call.access {
            Access::List => (policy.list_timeout, LIST_BYTES_MAX),
            // A server that ignores the filter answers with the whole list.
            Access::LookUp => (policy.timeout, LIST_BYTES_MAX),
            Access::Write => (policy.timeout, RESOURCE_BYTES_MAX),
        };
        Request {
            kind: call.kind,
            method: call.method.clone(),
            url: call.url.clone(),
            headers,
            body: call.body.clone(),
            timeout,
            may_write: (call.access == Access::Write).then(|| self.may_write()),
            body_limit_bytes,
        }
    }
}

impl Call {
    fn names_no_account(&self) -> bool {
        self.access != Access::Write || self.method == Method::POST
    }

    pub(super) fn unavailable(&self, cause: &str) -> WriteError {
        CallError::unavailable(self.operation.clone(), cause.to_owned()).into()
    }

    /// Nothing but a sandbox is at an address of this machine, and a stopped one has to be started.
    fn unanswered(&self, error: &SendError) -> WriteError {
        let remedy = if let SendError::NotSent {
            remedy,
            is_loopback: true,
            ..
        } = error
        {
            remedy
        } else {
            remedies::ZIVVER_UNAVAILABLE
        };
        let error = CallError::Unavailable {
            operation: self.operation.clone(),
            cause: error.cause(),
            remedy: remedy.to_owned(),
        };
        error.into()
    }

    pub(super) fn stopped(&self, stopped: &Stopped, was_sent: bool) -> WriteError {
        WriteError::Stopped {
            operation: self.operation.clone(),
            cause: stopped.0.to_string(),
            was_sent,
        }
    }
}

pub(super) fn gave_up(status: StatusCode) -> String {
    format!("Zivver answered {} to the end", status.as_u16())
}

/// Why a retry may get another answer, or `None` (R31).
pub(super) fn transient(status: StatusCode) -> Option<RetryReason> {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(RetryReason::Throttled),
        StatusCode::REQUEST_TIMEOUT => Some(RetryReason::Fault),
        status => status.is_server_error().then_some(RetryReason::Fault),
    }
}
