//! A simulated Microsoft Graph with `sendMail` only. It refuses what the real service refuses, and stores the mails.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

use super::exchange;

pub const GRAPH_RESOURCE: &str = "https://graph.microsoft.com";
/// The app role that may send as every mailbox.
pub const MAIL_SEND: &str = "Mail.Send";

/// Larger requests are refused.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The simulated service. Clones share what was sent.
#[derive(Clone, Debug)]
pub struct Graph {
    exchange: exchange::Simulator,
    sent: Arc<Mutex<Vec<Sent>>>,
}

/// A mail that was accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub html: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SendMail {
    message: Message,
    #[expect(dead_code, reason = "nothing is stored")]
    save_to_sent_items: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Message {
    subject: String,
    body: Body,
    to_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    content_type: String,
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Recipient {
    email_address: EmailAddress,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmailAddress {
    address: String,
}

type Refusal = (StatusCode, &'static str, &'static str);

impl Graph {
    /// Mailboxes and tokens are those of `exchange`.
    pub fn new(exchange: &exchange::Simulator) -> Self {
        Self {
            exchange: exchange.clone(),
            sent: Arc::default(),
        }
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1.0/users/{user}/sendMail", post(answer))
            .with_state(self.clone())
    }

    pub fn sent(&self) -> Vec<Sent> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.clone()
    }

    fn send(&self, user: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let bearer = headers.get("authorization");
        let bearer = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let claims = bearer.and_then(|bearer| self.exchange.identity().claims(bearer));
        let claims = claims.filter(|claims| claims.aud.trim_end_matches('/') == GRAPH_RESOURCE);
        let claims = claims.ok_or((
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            "Access token validation failure. Invalid audience.",
        ))?;
        if !claims.roles.iter().any(|role| role == MAIL_SEND) {
            return Err((
                StatusCode::FORBIDDEN,
                "ErrorAccessDenied",
                "Access is denied. Check credentials and try again.",
            ));
        }
        let is_known = self.exchange.with_state(|tenant| {
            let mut mailboxes = tenant.mailboxes.iter();
            mailboxes.any(|it| it.primary_smtp_address.eq_ignore_ascii_case(user))
        });
        if !is_known {
            return Err((
                StatusCode::NOT_FOUND,
                "ErrorInvalidUser",
                "The requested user is invalid.",
            ));
        }
        let mail = understood(headers, body)?;
        let to = mail.to_recipients.into_iter();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(Sent {
            from: user.to_owned(),
            to: to.map(|it| it.email_address.address).collect(),
            subject: mail.subject,
            html: mail.body.content,
        });
        Ok(())
    }
}

fn understood(headers: &HeaderMap, body: &[u8]) -> Result<Message, Refusal> {
    let bad = |message| (StatusCode::BAD_REQUEST, "BadRequest", message);
    if body.len() > BYTES_MAX {
        let message = "The request is larger than 4 MB.";
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLarge", message));
    }
    let media = headers.get("content-type");
    if media.is_none_or(|media| !media.as_bytes().starts_with(b"application/json")) {
        return Err(bad(
            "Write requests must contain the Content-Type header declaration.",
        ));
    }
    let mail: SendMail =
        serde_json::from_slice(body).map_err(|_| bad("Unable to read JSON request payload."))?;
    let message = mail.message;
    if !["HTML", "Text"].contains(&&*message.body.content_type) {
        return Err(bad("The value of contentType is not supported."));
    }
    let to = &message.to_recipients;
    if to.is_empty() || to.iter().any(|it| !it.email_address.address.contains('@')) {
        let message = "At least one recipient is not valid.";
        return Err((StatusCode::BAD_REQUEST, "ErrorInvalidRecipients", message));
    }
    Ok(message)
}

async fn answer(
    State(graph): State<Graph>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match graph.send(&user, &headers, &body) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err((status, code, message)) => {
            let error = json!({"error": {"code": code, "message": format!("{message} ({user})")}});
            (status, axum::Json(error)).into_response()
        }
    }
}
