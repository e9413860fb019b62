//! Creates accounts: the one request that must not be repeated blindly (R31).

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{
    ZivverClient,
    call::{Access, Call, MediaType, gave_up, transient},
    error::{ReadError, WriteError},
    wire::Resource,
};
use crate::http::{Reply, RetryReason, SendError};
use domain::address::SmtpAddress;

/// The result of a creation.
#[derive(Debug, Clone, PartialEq)]
pub struct Creation<A> {
    pub account: A,
    /// Whether the account was found by its address, so that it may not be the one created here.
    pub is_found: bool,
}

impl<A> Creation<A> {
    fn found(account: A) -> Self {
        Self {
            account,
            is_found: true,
        }
    }
}

/// The result of one POST.
enum Posted {
    /// 2xx, with the body.
    Accepted(Reply),
    /// 400 or 409: the address may exist.
    Disputed(Reply),
    /// Certainly not carried out.
    Untouched(FailedAttempt),
    /// Possibly carried out.
    Unclear(FailedAttempt),
    Final(Reply),
}

/// Decides whether and when the next attempt is made.
struct FailedAttempt {
    reason: RetryReason,
    /// For its `Retry-After`.
    reply: Option<Reply>,
    cause: String,
}

impl ZivverClient {
    pub(super) async fn create<R: Resource>(
        &self,
        address: &SmtpAddress,
        body: &Value,
    ) -> Result<Creation<R>, WriteError> {
        let call = Call {
            kind: R::KINDS.create,
            operation: format!("create a {}", R::ONE),
            method: Method::POST,
            url: self.collection_url::<R>(),
            media_type: MediaType::Json,
            body: body.to_string().into(),
            access: Access::Write,
        };
        let serial = self.sender.serial();
        let mut may_be_ours = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let sent = self.attempt(&call).await;
            let failed = match posted(sent.map_err(|stopped| call.stopped(&stopped, may_be_ours))?)
            {
                Posted::Accepted(reply) => return self.accepted(&call, address, &reply).await,
                Posted::Disputed(reply) => {
                    return self.disputed(&call, address, &reply, may_be_ours).await;
                }
                Posted::Final(reply) => return Err(self.failure(&call, &reply)),
                Posted::Untouched(failed) => failed,
                Posted::Unclear(failed) => {
                    may_be_ours = true;
                    let found = self.look_for(address).await;
                    if let Some(account) = found.map_err(ReadError::while_writing)? {
                        return Ok(Creation::found(account));
                    }
                    failed
                }
            };
            let FailedAttempt {
                reason,
                reply,
                cause,
            } = failed;
            let wait = reply.and_then(|reply| self.wait_asked(&reply));
            let retry = &self.connection.policy.retry;
            let Some(delay) = retry.next_delay(serial, attempt, reason, wait) else {
                return Err(call.unavailable(&cause));
            };
            self.pause(&call, attempt, reason, delay).await;
        }
    }

    async fn accepted<R: Resource>(
        &self,
        call: &Call,
        address: &SmtpAddress,
        reply: &Reply,
    ) -> Result<Creation<R>, WriteError> {
        let returned = R::parse(&reply.body).filter(|account| account.address() == address);
        if let Some(account) = returned {
            return Ok(Creation {
                account,
                is_found: false,
            });
        }
        match self.look_for(address).await {
            Ok(Some(account)) => Ok(Creation::found(account)),
            Ok(None) => {
                Err(call
                    .unavailable("Zivver accepted it without saying how, and does not list it yet"))
            }
            Err(error) => Err(error.while_writing()),
        }
    }

    /// 409, or 400 with any text. Whether the address exists decides (R31).
    async fn disputed<R: Resource>(
        &self,
        call: &Call,
        address: &SmtpAddress,
        reply: &Reply,
        may_be_ours: bool,
    ) -> Result<Creation<R>, WriteError> {
        let conflict = may_be_ours || reply.status == StatusCode::CONFLICT;
        let found = if conflict {
            self.look_for(address).await
        } else {
            self.find(address).await
        };
        match found {
            Ok(Some(account)) => Ok(Creation::found(account)),
            Err(error) if may_be_ours || error.stops_the_run() => Err(error.while_writing()),
            Ok(None) if may_be_ours => {
                let cause = format!(
                    "an earlier attempt may have been carried out, and this one was refused with {}",
                    reply.status.as_u16()
                );
                Err(call.unavailable(&cause))
            }
            Ok(None) | Err(_) => Err(self.failure(call, reply)),
        }
    }

    /// Looks several times, because a read may lag behind the write.
    pub(super) async fn look_for<R: Resource>(
        &self,
        address: &SmtpAddress,
    ) -> Result<Option<R>, ReadError> {
        let policy = &self.connection.policy;
        for look_up in 1.. {
            let found = self.find(address).await?;
            if found.is_some() || look_up >= policy.look_ups {
                return Ok(found);
            }
            tokio::time::sleep(policy.look_up_pause).await;
        }
        Ok(None)
    }
}

fn posted(sent: Result<Reply, SendError>) -> Posted {
    match sent {
        Ok(reply) => answered(reply),
        Err(error) => {
            let failed = FailedAttempt {
                reason: error.retry_reason().unwrap_or(RetryReason::Transport),
                reply: None,
                cause: error.to_string(),
            };
            match error {
                SendError::NotSent { .. } | SendError::Withdrawn { .. } => {
                    Posted::Untouched(failed)
                }
                SendError::Timeout { .. }
                | SendError::Broken { .. }
                | SendError::TooLarge { .. } => Posted::Unclear(failed),
            }
        }
    }
}

fn answered(reply: Reply) -> Posted {
    let Some(reason) = transient(reply.status) else {
        return match reply.status {
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT => Posted::Disputed(reply),
            status if status.is_success() => Posted::Accepted(reply),
            _ => Posted::Final(reply),
        };
    };
    // The limiter refuses a request before it is carried out.
    let untouched = reply.status == StatusCode::TOO_MANY_REQUESTS;
    let failed = FailedAttempt {
        reason,
        cause: gave_up(reply.status),
        reply: Some(reply),
    };
    if untouched {
        Posted::Untouched(failed)
    } else {
        Posted::Unclear(failed)
    }
}
