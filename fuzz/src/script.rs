//! A service whose answers are the input: `200`, header lines, an empty line and a body, separated by lines `%%`.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header::HOST},
    response::Response,
};
use bytes::Bytes;

const BETWEEN: &[u8] = b"\n%%\n";

/// After the last answer: a refusal that is not retried.
const END: StatusCode = StatusCode::BAD_REQUEST;

#[derive(Clone)]
pub(super) struct Script {
    answers: Arc<Mutex<VecDeque<Bytes>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    allowed: fn(&Asked) -> bool,
}

/// The parts between the lines `%%`.
pub(super) fn parts(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(input);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.windows(BETWEEN.len()).position(|w| w == BETWEEN);
        rest = end.map(|at| &text[at + BETWEEN.len()..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// A request as received.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) host: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: Bytes,
}

impl Script {
    /// Every request must be `allowed`, since it contains a secret.
    pub(super) fn new(input: &[u8], allowed: fn(&Asked) -> bool) -> Self {
        let answers: VecDeque<Bytes> = parts(input).map(Bytes::copy_from_slice).collect();
        Self {
            answers: Arc::new(Mutex::new(answers)),
            asked: Arc::default(),
            allowed,
        }
    }

    pub(super) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panics").clone()
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let asked = Asked {
        host: host.unwrap_or_default().to_owned(),
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        body: to_bytes(body, usize::MAX).await.expect("bodies are whole"),
    };
    assert!((script.allowed)(&asked), "a secret goes astray: {asked:?}");
    script.asked.lock().expect("nobody panics").push(asked);
    let next = script.answers.lock().expect("nobody panics").pop_front();
    let mut response = Response::new(Body::empty());
    match next {
        Some(text) => fill(&mut response, &text),
        None => *response.status_mut() = END,
    }
    response
}

fn fill(response: &mut Response, text: &Bytes) {
    let head_end = text.windows(2).position(|bytes| bytes == b"\n\n");
    let head = &text[..head_end.unwrap_or(text.len())];
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines
        .next()
        .and_then(|line| StatusCode::from_bytes(line).ok());
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    if let Some(end) = head_end {
        *response.body_mut() = Body::from(text.slice(end + 2..));
    }
}
