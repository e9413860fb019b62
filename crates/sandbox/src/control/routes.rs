//! The control plane over HTTP.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Control, ControlOptions, Fault};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Range {
    /// Only entries after this sequence number.
    after: u64,
    count: usize,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            after: 0,
            count: usize::MAX,
        }
    }
}

pub(super) fn routes(control: Control, service: &str) -> Router {
    let faults = post(inject).delete(clear_faults).get(faults);
    let journal = get(journal).delete(clear_journal);
    Router::new()
        .route(&format!("/sandbox/{service}/faults"), faults)
        .route(&format!("/sandbox/{service}/options"), post(options))
        .route(&format!("/sandbox/{service}/journal"), journal)
        .route(&format!("/sandbox/{service}/counters"), get(counters))
        .with_state(control)
}

/// Parses the body of a control request; the error is the answer to an invalid one, with the path of the wrong value.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    let parsed = Json::from_bytes(body).map(|Json(value)| value);
    parsed.map_err(|error| (StatusCode::BAD_REQUEST, format!("{}\n", error.body_text())))
}

async fn inject(State(control): State<Control>, body: Bytes) -> Response {
    match parse::<Vec<Fault>>(&body) {
        Ok(faults) => {
            for fault in faults {
                control.inject(fault);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn faults(State(control): State<Control>) -> Json<Vec<Fault>> {
    Json(control.pending_faults())
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.clear_faults();
    StatusCode::NO_CONTENT
}

async fn options(State(control): State<Control>, body: Bytes) -> Response {
    match parse::<ControlOptions>(&body) {
        Ok(options) => {
            control.apply(&options);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn journal(State(control): State<Control>, Query(range): Query<Range>) -> Response {
    Json(control.state().journal.after(range.after, range.count)).into_response()
}

async fn clear_journal(State(control): State<Control>) -> StatusCode {
    control.clear_journal();
    StatusCode::NO_CONTENT
}

async fn counters(State(control): State<Control>) -> Response {
    Json(control.counters()).into_response()
}
