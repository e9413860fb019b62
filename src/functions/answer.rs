//! The answer to the host (`docs/specs/functions-host.md`, "2. Wire protocol").

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use serde_json::{Map, Value, json};

use super::{Message, Response};

/// The result of an invocation.
#[derive(Debug)]
pub enum Answer {
    Success(Success),
    /// The invocation counts as failed, and a queue message is delivered again. The host ignores the body of such an
    /// answer, so the cause is logged as an ERROR line.
    Failure {
        cause: String,
    },
}

#[derive(Debug, Default)]
pub struct Success {
    /// The response to the caller: always set for the HTTP trigger, never for the others.
    pub response: Option<Response>,
    /// Messages that are put into the queue before the caller gets the response.
    pub next: Vec<Message>,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Success(response.into())
    }
}

impl From<Response> for Success {
    fn from(response: Response) -> Self {
        Self {
            response: Some(response),
            ..Self::default()
        }
    }
}

impl Success {
    /// Always an object, with `next` as a list of strings, since the host re-formats or decodes every other form (2.7).
    /// There is no `Logs`: log lines go to the console, and the host would store them twice.
    pub(super) fn to_json(&self) -> Value {
        let next: Vec<String> = self.next.iter().map(Message::to_text).collect();
        let mut outputs = Map::new();
        outputs.insert("next".to_owned(), next.into());
        if let Some(response) = &self.response {
            outputs.insert("res".to_owned(), res(response));
        }
        json!({"Outputs": outputs, "ReturnValue": null})
    }
}

/// Status and headers as strings and the body serialised, since the host would indent an object (2.6).
fn res(response: &Response) -> Value {
    let headers: Map<String, Value> = response
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), header_text(value).into()))
        .collect();
    json!({
        "statusCode": response.status.to_string(),
        "headers": headers,
        "body": response.body,
    })
}

/// Replaces characters that a header must not contain: one control character makes the host fail the invocation.
fn header_text(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect()
}

impl Answer {
    /// The answer to a `HEAD` request (RFC 9110 section 9.3.2).
    pub(super) fn without_content(mut self) -> Self {
        if let Self::Success(Success {
            response: Some(response),
            ..
        }) = &mut self
        {
            response.body.clear();
        }
        self
    }

    /// The HTTP response to the host: 200 with the content type that it expects, or 500.
    pub(super) fn into_http(self) -> axum::response::Response {
        let (status, body) = match self {
            Self::Success(success) => (StatusCode::OK, success.to_json()),
            Self::Failure { .. } => (StatusCode::INTERNAL_SERVER_ERROR, json!({})),
        };
        let mut http = axum::response::Response::new(Body::from(body.to_string()));
        *http.status_mut() = status;
        let json = header::HeaderValue::from_static("application/json");
        http.headers_mut().insert(header::CONTENT_TYPE, json);
        http
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        functions::{Mode, Problem, ProblemKind},
        state::RunId,
    };

    #[test]
    fn a_success_is_an_object_with_next_as_texts() {
        let success = Success {
            response: None,
            next: vec![Message {
                run: RunId::parse("20261123T020000Z-0b5e77").unwrap(),
                mode: Mode::Apply,
            }],
        };
        insta::assert_snapshot!(success.to_json(), @r#"{"Outputs":{"next":["{\"v\":1,\"kind\":\"run\",\"run\":\"20261123T020000Z-0b5e77\",\"mode\":\"apply\"}"]},"ReturnValue":null}"#);
        insta::assert_snapshot!(Success::default().to_json(), @r#"{"Outputs":{"next":[]},"ReturnValue":null}"#);
    }

    #[test]
    fn res_has_only_texts() {
        let response = Response::json(
            202,
            &json!({"run": "20261123T020000Z-0b5e77", "state": "queued"}),
        )
        .with_header(
            "Location",
            "/api/SyncHttp/runs/20261123T020000Z-0b5e77\r\nX: é",
        );
        let Answer::Success(success) = Answer::from(response) else {
            panic!("a response is a success");
        };
        insta::assert_snapshot!(success.to_json()["Outputs"]["res"], @r#"{"body":"{\"run\":\"20261123T020000Z-0b5e77\",\"state\":\"queued\"}","headers":{"Cache-Control":"no-store","Content-Type":"application/json","Location":"/api/SyncHttp/runs/20261123T020000Z-0b5e77??X: ?","X-Content-Type-Options":"nosniff"},"statusCode":"202"}"#);
    }

    #[test]
    fn a_refused_caller_is_still_a_success_for_the_host() {
        let refused = Response::from(Problem::new(ProblemKind::UnknownRun, "no such run"));
        let http = Answer::from(refused).into_http();
        assert_eq!(http.status(), 200);
        let failure = Answer::Failure {
            cause: "source incomplete".to_owned(),
        };
        assert_eq!(failure.into_http().status(), 500);
    }
}
