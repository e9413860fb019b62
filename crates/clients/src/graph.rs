//! Microsoft Graph: sends a mail as a mailbox (`POST /v1.0/users/{address}/sendMail`).

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use url::Url;

use crate::{
    exchange::Identity,
    http::{Request, Sender, Transport, TransportError, is_loopback, one_line},
    managed_identity::with_status,
};
use domain::address::SmtpAddress;

/// A slow service must not delay an invocation.
const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// One mail. Sending it stores no copy in the mailbox of the sender.
#[derive(Debug)]
pub struct Mail<'a> {
    pub from: &'a SmtpAddress,
    pub to: &'a [SmtpAddress],
    pub subject: &'a str,
    pub html: &'a str,
}

/// The mail was not sent. No text of the answer is shown, since it repeats addresses.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error(transparent)]
    Setup(#[from] TransportError),
    #[error(
        "there is no token for Microsoft Graph: {0}; use the managed identity, or run `az login`; CLOUD_SYNC__ACCESS_TOKEN is for Exchange only"
    )]
    NoToken(String),
    #[error("Microsoft Graph answered {status} ({code}): {remedy}")]
    Refused {
        status: u16,
        code: String,
        remedy: &'static str,
    },
    #[error("{0}; check CLOUD_SYNC__GRAPH_URL")]
    Unreachable(String),
}

/// Sends `mail` once, without retries.
pub async fn send_mail(
    identity: &Identity,
    graph: &Url,
    mail: &Mail<'_>,
) -> Result<(), GraphError> {
    let sender = Sender::new(Transport::network(graph, 1)?, "CLOUD_SYNC__GRAPH_URL");
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer(identity, graph).await?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = Request {
        kind: "mail",
        method: Method::POST,
        url: path(graph, mail.from),
        headers,
        body: Bytes::from(body(mail).to_string()),
        timeout: TIMEOUT,
        may_write: None,
        body_limit_bytes: ANSWER_BYTES_MAX,
    };
    let reply = sender.send(request).await;
    let reply = reply.map_err(|error| GraphError::Unreachable(error.to_string()))?;
    if reply.status == StatusCode::ACCEPTED {
        return Ok(());
    }
    Err(GraphError::Refused {
        status: reply.status.as_u16(),
        code: code(&reply.body),
        remedy: remedy(reply.status),
    })
}

async fn bearer(identity: &Identity, graph: &Url) -> Result<HeaderValue, GraphError> {
    let no_token = |text: &str| GraphError::NoToken(one_line(text, 300));
    let credential = identity.credential();
    let credential = credential.map_err(|error| no_token(&error.to_string()))?;
    let credential = credential.ok_or_else(|| no_token("the only token is a fixed one"))?;
    let scope = scope(graph);
    let scopes = [scope.as_str()];
    let token = tokio::time::timeout(TIMEOUT, credential.get_token(&scopes, None));
    let token = token
        .await
        .map_err(|_| no_token("the identity endpoint does not answer"))?
        .map_err(|error| no_token(&with_status(&error)))?;
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.token.secret()))
        .map_err(|_| no_token("it holds characters that no token may have"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The origin of the service, or that of the real service if a sandbox is used.
fn scope(graph: &Url) -> String {
    if is_loopback(graph) {
        "https://graph.microsoft.com/.default".to_owned()
    } else {
        format!("{}/.default", graph.origin().ascii_serialization())
    }
}

fn path(graph: &Url, from: &SmtpAddress) -> Url {
    let mut url = graph.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
        segments.extend(["v1.0", "users", from.as_str(), "sendMail"]);
    }
    url
}

fn body(mail: &Mail<'_>) -> Value {
    let to = mail.to.iter();
    let to = to.map(|address| json!({"emailAddress": {"address": address.as_str()}}));
    json!({
        "message": {
            "subject": mail.subject,
            "body": {"contentType": "HTML", "content": mail.html},
            "toRecipients": to.collect::<Vec<_>>(),
        },
        "saveToSentItems": false,
    })
}

/// `ErrorAccessDenied`, for example.
fn code(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = answer["error"]["code"].as_str().unwrap_or("no code");
    let code = code
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == ' ');
    code.take(60).collect()
}

fn remedy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => {
            "it does not understand the mail; look at the log of the mailbox, and report it with the version"
        }
        401 => {
            "the token is not for it; correct CLOUD_SYNC__GRAPH_URL to the Microsoft Graph of your cloud"
        }
        403 => {
            "the identity may not send as CLOUD_SYNC__MAIL_FROM; grant Mail.Send (docs/deploy.md, \"Reports by mail\") and wait up to two hours"
        }
        404 => {
            "no mailbox has the address in CLOUD_SYNC__MAIL_FROM; write that of a user or shared mailbox"
        }
        _ => "the next run tries again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_segment_and_an_answer_repeats_none() {
        let graph = Url::parse("https://graph.microsoft.com").unwrap();
        let from = SmtpAddress::verbatim("o'b/../me@corp.example");
        let url = path(&graph, &from);
        assert_eq!(
            url.as_str(),
            "https://graph.microsoft.com/v1.0/users/o'b%2F..%2Fme@corp.example/sendMail"
        );
        assert_eq!(scope(&graph), "https://graph.microsoft.com/.default");
        let answer = br#"{"error":{"code":"ErrorInvalidUser: x@y","message":"x@corp.example"}}"#;
        assert_eq!(code(answer), "ErrorInvalidUser xy");
        assert_eq!(code(b"<html>"), "no code");
    }
}
