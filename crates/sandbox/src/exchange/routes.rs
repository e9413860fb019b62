//! HTTP access to the state of the simulator, without the limits of the API.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};

use super::{Simulator, Switches, Tenant};
use crate::control::parse;

pub(super) fn routes(simulator: Simulator) -> Router {
    Router::new()
        .route("/sandbox/exchange/state", get(state).put(replace))
        .route(
            "/sandbox/exchange/switches",
            get(switches).put(replace_switches),
        )
        .route("/sandbox/exchange/tokens", delete(revoke).post(mint))
        .with_state(simulator)
}

async fn state(State(simulator): State<Simulator>) -> Response {
    simulator.read(|tenant| Json(tenant).into_response())
}

async fn replace(State(simulator): State<Simulator>, body: Bytes) -> Response {
    match parse::<Tenant>(&body) {
        Ok(tenant) => {
            simulator.with_state(|state| *state = tenant);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn switches(State(simulator): State<Simulator>) -> Response {
    simulator.read(|tenant| Json(&tenant.switches).into_response())
}

async fn replace_switches(State(simulator): State<Simulator>, body: Bytes) -> Response {
    match parse::<Switches>(&body) {
        Ok(switches) => {
            simulator.switch(|state| *state = switches);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Issues a bearer token as text, for callers without an identity.
async fn mint(State(simulator): State<Simulator>) -> String {
    simulator.identity().mint()
}

async fn revoke(State(simulator): State<Simulator>) -> StatusCode {
    simulator.identity().revoke_all();
    StatusCode::NO_CONTENT
}
