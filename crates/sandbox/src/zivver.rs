//! A simulated Zivver with the quirks of the real service (`docs/specs/zivver-scim.md`, "8. Checklist for the
//! simulator"). A generic SCIM server has fewer quirks: a client that works with it may fail with Zivver.

mod accounts;
mod answer;
mod groups;
mod limiter;
mod organisation;
mod store;
mod switches;
mod users;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::control::{Authorization, Control, parse};
pub use limiter::{LimiterConfig, LimiterKind, RetryAfter};
pub use organisation::{API_KEY, Change, Event, Group, Mail, Organisation, User};
pub use switches::{GroupExternalId, Paging, Switches, TotalResults, UnknownDelegates};

use accounts::{Kind, Query};
use answer::{Answer, Refusal};
use limiter::Verdict;
use store::{Place, Store};

const BASE: &str = "/api/scim/v2";
const SCIM_JSON: &str = "application/scim+json";
const JSON: &str = "application/json";
const BODY_BYTES_MAX: usize = 64 << 20;

/// The handle to one simulated organisation. Clones share its state.
#[derive(Clone, Debug)]
pub struct Simulator {
    store: Arc<Mutex<Store>>,
    control: Control,
}

impl Simulator {
    pub fn new(organisation: Organisation) -> Self {
        Self {
            store: Arc::new(Mutex::new(Store::new(organisation))),
            control: Control::new(),
        }
    }

    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// A copy of the whole state, including what the API does not show.
    pub fn state(&self) -> Organisation {
        self.store().org.clone()
    }

    /// Reads or changes the state while the service runs.
    pub fn with_state<T>(&self, edit: impl FnOnce(&mut Organisation) -> T) -> T {
        let mut store = self.store();
        let result = edit(&mut store.org);
        store.index();
        result
    }

    /// The number of calls that the limiter refused.
    pub fn refused(&self) -> u64 {
        self.store().limiter.refused
    }

    /// SCIM under `/api/scim/v2`, and the control plane under `/sandbox/zivver`.
    pub fn router(&self) -> Router {
        let scim = Router::new()
            .route(&format!("{BASE}/{{*rest}}"), any(serve))
            .with_state(self.clone());
        let simulator = self.clone();
        let scim = self
            .control
            .wrap(scim, move |headers| simulator.store().judge(headers));
        let own = Router::new()
            .route("/sandbox/zivver/state", get(show_state).put(put_state))
            .route("/sandbox/zivver/switches", post(set_switches))
            .route("/sandbox/zivver/limiter", post(set_limiter))
            .with_state(self.clone());
        scim.merge(own).merge(self.control.routes("zivver"))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn show_state(State(simulator): State<Simulator>) -> Json<Organisation> {
    Json(simulator.state())
}

async fn put_state(State(simulator): State<Simulator>, body: Bytes) -> Response {
    replace(&body, |organisation| {
        *simulator.store() = Store::new(organisation);
    })
}

async fn set_switches(State(simulator): State<Simulator>, body: Bytes) -> Response {
    replace(&body, |switches| {
        simulator.with_state(|org| org.switches = switches);
    })
}

async fn set_limiter(State(simulator): State<Simulator>, body: Bytes) -> Response {
    replace(&body, |limiter| {
        simulator.with_state(|org| org.limiter = limiter);
    })
}

fn replace<T: serde::de::DeserializeOwned>(body: &[u8], store: impl FnOnce(T)) -> Response {
    match parse(body) {
        Ok(value) => {
            store(value);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn serve(State(simulator): State<Simulator>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let now = simulator.control.now();
    let mut store = simulator.store();
    store.advance(now);
    let config = store.org.limiter.clone();
    let verdict = store.limiter.call(&config, parts.method.as_str(), now);
    let outcome = match &verdict {
        Some(verdict) if !verdict.accepted => Err(Refusal::TooManyRequests),
        Some(_) | None if parts.method == Method::GET => store.answer(&parts, &body),
        Some(_) | None => store.written(|store| store.answer(&parts, &body)),
    };
    let mut response = answer::response(outcome, &store.org.switches.content_type, &config);
    if let Some(verdict) = verdict {
        add_limiter_headers(response.headers_mut(), &config, &verdict);
    }
    response
}

fn add_limiter_headers(headers: &mut HeaderMap, config: &LimiterConfig, verdict: &Verdict) {
    let reset = u64::from(verdict.reset.subsec_nanos() > 0) + verdict.reset.as_secs();
    if config.headers {
        headers.insert("RateLimit-Limit", HeaderValue::from(config.budget));
        headers.insert("RateLimit-Remaining", HeaderValue::from(verdict.remaining));
        headers.insert("RateLimit-Reset", HeaderValue::from(reset));
    }
    if verdict.accepted {
        return;
    }
    match &config.retry_after {
        RetryAfter::Absent => {}
        RetryAfter::Seconds => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(reset));
        }
        RetryAfter::Text(text) => {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(header::RETRY_AFTER, value);
            }
        }
    }
}

/// What a path addresses.
enum Target<'a> {
    Collection(Kind),
    Account(Kind, &'a str),
    Other(&'a str),
}

impl<'a> Target<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(BASE)?.strip_prefix('/')?;
        let (collection, id) = rest.split_once('/').unwrap_or((rest, ""));
        let kind = match collection {
            "Users" => Kind::User,
            "Groups" => Kind::Group,
            _ => return Some(Self::Other(rest)),
        };
        Some(if id.is_empty() {
            Self::Collection(kind)
        } else {
            Self::Account(kind, id)
        })
    }
}

impl Store {
    fn judge(&self, headers: &HeaderMap) -> Authorization {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Authorization::Absent;
        };
        let sent = value
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix("Bearer "));
        let fits = |key: &String| {
            sent.is_some_and(|sent| {
                sent == key || self.org.switches.base64_key && sent == STANDARD.encode(key)
            })
        };
        if self.org.api_keys.iter().any(fits) {
            Authorization::Right
        } else {
            Authorization::Wrong
        }
    }

    fn answer(&mut self, parts: &Parts, body: &[u8]) -> Result<Answer, Refusal> {
        if self.judge(&parts.headers) != Authorization::Right {
            return Err(Refusal::Framework(401));
        }
        let target = Target::parse(parts.uri.path()).ok_or(Refusal::Framework(404))?;
        let query = parts.uri.query().unwrap_or_default();
        if let Target::Collection(kind) = target
            && parts.method == Method::GET
        {
            check_accept(&parts.headers)?;
            let query = Query::parse(query, kind, self.org.switches.paging)?;
            return Ok(self.listed(|store| accounts::list(store, kind, &query)));
        }
        if !query.is_empty() {
            return Err(Refusal::malformed(format!("unknown query: {query}")));
        }
        match target {
            Target::Collection(kind) if parts.method == Method::POST => {
                check_accept(&parts.headers)?;
                check_content_type(&parts.headers, &[JSON, SCIM_JSON], 415)?;
                match kind {
                    Kind::User => users::create(self, body),
                    Kind::Group => groups::create(self, body),
                }
            }
            Target::Collection(_) => Err(Refusal::Framework(405)),
            Target::Account(kind, id) => self.answer_account(parts, kind, id, body),
            Target::Other(path) => match self.org.switches.endpoints.get(path) {
                Some(value) if parts.method == Method::GET => {
                    Ok(Answer::Json(200, Bytes::from(value.to_string())))
                }
                Some(_) => Err(Refusal::Framework(405)),
                None => Err(Refusal::Framework(404)),
            },
        }
    }

    fn answer_account(
        &mut self,
        parts: &Parts,
        kind: Kind,
        id: &str,
        body: &[u8],
    ) -> Result<Answer, Refusal> {
        let switches = &self.org.switches;
        if parts.method == Method::PATCH && kind == Kind::Group {
            check_content_type(
                &parts.headers,
                &[SCIM_JSON],
                switches.patch_content_type_status,
            )?;
            if parts
                .headers
                .get_all(header::ACCEPT)
                .iter()
                .any(|accept| accept != SCIM_JSON)
            {
                return Err(Refusal::Framework(switches.patch_accept_status));
            }
            return match accounts::by_id(self, kind, id)? {
                Place::Group(index) => groups::patch(self, index, body),
                Place::User(_) => Err(Refusal::Framework(404)),
            };
        }
        check_accept(&parts.headers)?;
        if parts.method == Method::GET {
            let place = accounts::by_id(self, kind, id)?;
            Ok(accounts::answer(self, place, 200))
        } else if parts.method == Method::PUT {
            check_content_type(&parts.headers, &[JSON], 415)?;
            match accounts::by_id(self, kind, id)? {
                Place::User(index) => users::update(self, index, body),
                Place::Group(index) => groups::update(self, index, body),
            }
        } else if parts.method == Method::DELETE {
            let place = accounts::by_id(self, kind, id)?;
            self.remove(place);
            Ok(Answer::Empty(self.org.switches.delete_status))
        } else {
            Err(Refusal::Framework(405))
        }
    }
}

/// A media type without its parameters.
fn essence(value: &str) -> &str {
    value
        .split_once(';')
        .map_or(value, |(essence, _)| essence)
        .trim()
}

fn check_accept(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let types = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let fits = |accept: &str| [JSON, SCIM_JSON, "application/*", "*/*"].contains(&essence(accept));
    if types.into_iter().any(fits) {
        Ok(())
    } else {
        Err(Refusal::Framework(406))
    }
}

fn check_content_type(headers: &HeaderMap, accepted: &[&str], status: u16) -> Result<(), Refusal> {
    let sent = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if sent.is_some_and(|sent| accepted.contains(&essence(sent))) {
        Ok(())
    } else {
        Err(Refusal::Framework(status))
    }
}
