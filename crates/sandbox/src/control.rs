//! The control plane of all simulators: latency, injected faults, counters, and a journal of the received requests. It
//! sits in front of the router of a simulator and is reachable over HTTP under `/sandbox/{service}/…`.

mod fault;
mod journal;
mod routes;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

pub use fault::{Fault, FaultKind, Match};
pub use journal::{Authorization, Counters, Entry};

pub(crate) use routes::parse;

use journal::Journal;

/// The clients of this project send less; a larger request is refused with 413.
const BODY_BYTES_MAX: usize = 64 << 20;
const JOURNAL_ENTRIES_MAX: usize = 100_000;

/// The handle to the control plane of one simulated service. Clones share its state.
#[derive(Clone, Debug)]
pub struct Control {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    state: Mutex<State>,
    closed: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    latency: Duration,
    jitter: Duration,
    random: u64,
    /// How far the virtual clock is ahead of the real one.
    skew: Duration,
    faults: VecDeque<Fault>,
    journal: Journal,
    counters: Counters,
    /// Number of writes in flight for each path.
    writing: HashMap<String, u32>,
}

/// A partial change of the settings; `None` leaves a setting unchanged.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ControlOptions {
    pub latency_millis: Option<u64>,
    /// The maximum of the random time that is added to the latency of each request.
    pub jitter_millis: Option<u64>,
    pub seed: Option<u64>,
    /// How many requests the journal keeps; the oldest are dropped first.
    pub journal_entries_max: Option<usize>,
    /// Moves the virtual clock of limiters, tokens and lifetimes forward.
    pub advance_millis: Option<u64>,
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

impl Control {
    pub fn new() -> Self {
        let state = State {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            random: 1,
            skew: Duration::ZERO,
            faults: VecDeque::new(),
            journal: Journal::new(JOURNAL_ENTRIES_MAX),
            counters: Counters::default(),
            writing: HashMap::new(),
        };
        Self {
            inner: Arc::new(Inner {
                started: Instant::now(),
                state: Mutex::new(state),
                closed: watch::Sender::new(false),
            }),
        }
    }

    /// Puts this control plane in front of a simulator. `judge` returns what the journal records about the credentials.
    pub fn wrap<J>(&self, router: Router, judge: J) -> Router
    where
        J: Fn(&HeaderMap) -> Authorization + Clone + Send + Sync + 'static,
    {
        let control = self.clone();
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let control = control.clone();
            let authorization = judge(request.headers());
            async move { control.intercept(request, authorization, next).await }
        }))
    }

    /// `/sandbox/{service}/faults`, `options`, `journal` and `counters`.
    pub fn routes(&self, service: &str) -> Router {
        routes::routes(self.clone(), service)
    }

    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    pub fn apply(&self, options: &ControlOptions) {
        let ControlOptions {
            latency_millis,
            jitter_millis,
            seed,
            journal_entries_max,
            advance_millis,
        } = options;
        let mut state = self.state();
        if let Some(millis) = latency_millis {
            state.latency = Duration::from_millis(*millis);
        }
        if let Some(millis) = jitter_millis {
            state.jitter = Duration::from_millis(*millis);
        }
        if let Some(seed) = seed {
            state.random = *seed;
        }
        if let Some(entries_max) = journal_entries_max {
            state.journal.set_entries_max(*entries_max);
        }
        if let Some(millis) = advance_millis {
            state.skew = state.skew.saturating_add(Duration::from_millis(*millis));
        }
    }

    /// Appends a fault; faults are tried in the order in which they were injected.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Answers the next request with this status and does not carry it out.
    pub fn fail_next(&self, status: u16) {
        self.inject(Fault::once(FaultKind::Status {
            status,
            headers: Vec::new(),
            body: String::new(),
        }));
    }

    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Faults that can still occur: those that a test has not used up.
    pub fn pending_faults(&self) -> Vec<Fault> {
        self.state().faults.iter().cloned().collect()
    }

    pub fn journal(&self) -> Vec<Entry> {
        self.state().journal.after(0, usize::MAX)
    }

    /// The highest number of requests that arrived within a window of this length, as far as the journal goes back.
    pub fn busiest_window(&self, window: Duration) -> usize {
        self.state().journal.busiest(window)
    }

    pub fn clear_journal(&self) {
        let mut state = self.state();
        state.journal.clear();
        state.counters = Counters {
            in_flight: state.counters.in_flight,
            ..Counters::default()
        };
    }

    pub fn counters(&self) -> Counters {
        self.state().counters.clone()
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        let skew = self.state().skew;
        self.inner.started.elapsed().saturating_add(skew)
    }

    /// Moves the virtual clock forward.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.skew = state.skew.saturating_add(by);
    }

    /// Ends hanging requests with a reset, so that a server can stop.
    pub fn close(&self) {
        self.inner.closed.send_replace(true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn intercept(
        &self,
        request: Request,
        authorization: Authorization,
        next: Next,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        let mut flight = self.start(&parts, &body, authorization);
        let pause = flight.pause;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let fault = flight.fault.take();
        let request = Request::from_parts(parts, Body::from(body));
        let response = match fault {
            None => flight.acted(next.run(request).await),
            Some(kind) => match kind.answer_without_acting() {
                Some(answer) => answer,
                None if matches!(kind, FaultKind::HangBefore) => self.hang().await,
                None => {
                    kind.delay().await;
                    let acted = flight.acted(next.run(request).await);
                    if matches!(kind, FaultKind::HangAfter) {
                        self.hang().await
                    } else {
                        kind.change_answer(acted).await
                    }
                }
            },
        };
        flight.land(&response);
        response
    }

    /// Records the request in the journal and chooses its fault, under one lock.
    fn start(
        &self,
        parts: &axum::http::request::Parts,
        body: &Bytes,
        authorization: Authorization,
    ) -> InFlight {
        let mut state = self.state();
        let state = &mut *state;
        let millis = self.inner.started.elapsed().saturating_add(state.skew);
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let text = String::from_utf8_lossy(body);
        let fault = fault::choose(&mut state.faults, parts.method.as_str(), path, &text);
        let entry = Entry {
            sequence: 0,
            millis: u64::try_from(millis.as_millis()).unwrap_or(u64::MAX),
            method: parts.method.to_string(),
            path: path.to_owned(),
            authorization,
            headers: journal::kept(&parts.headers),
            body: text.into_owned(),
            acted: None,
            status: None,
            fault: fault.as_ref().map(FaultKind::name),
        };
        state.counters.arrived(&entry);
        let written = entry.is_write_to_one().then(|| entry.path.clone());
        if let Some(path) = &written {
            let writers = state.writing.entry(path.clone()).or_default();
            *writers += 1;
            state.counters.overlapping_writes += u64::from(*writers > 1);
        }
        let sequence = state.journal.push(entry);
        let jitter = jitter(&mut state.random, state.jitter);
        let pause = state.latency.saturating_add(jitter);
        InFlight {
            control: self.clone(),
            sequence,
            fault,
            pause,
            written,
        }
    }

    async fn hang(&self) -> Response {
        let mut closed = self.inner.closed.subscribe();
        // An error means that the sender was dropped, which also closes.
        drop(closed.wait_for(|closed| *closed).await);
        fault::reset()
    }
}

/// A request between arrival and answer. Dropped early if the caller disconnects.
struct InFlight {
    control: Control,
    sequence: u64,
    fault: Option<FaultKind>,
    pause: Duration,
    /// The path, if the request writes to one object.
    written: Option<String>,
}

impl InFlight {
    fn acted(&self, response: Response) -> Response {
        let status = response.status().as_u16();
        if let Some(entry) = self.control.state().journal.get_mut(self.sequence) {
            entry.acted = Some(status);
        }
        response
    }

    fn land(&self, response: &Response) {
        if fault::is_reset(response) {
            return;
        }
        let status = response.status().as_u16();
        let mut state = self.control.state();
        state.counters.answered(status);
        if let Some(entry) = state.journal.get_mut(self.sequence) {
            entry.status = Some(status);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.control.state();
        state.counters.in_flight -= 1;
        if let Some(path) = self.written.take()
            && let std::collections::hash_map::Entry::Occupied(mut writers) =
                state.writing.entry(path)
        {
            *writers.get_mut() -= 1;
            if *writers.get() == 0 {
                writers.remove();
            }
        }
    }
}

/// The next number of the splitmix64 sequence.
pub fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn jitter(state: &mut u64, max: Duration) -> Duration {
    let micros = u64::try_from(max.as_micros()).unwrap_or(u64::MAX);
    if micros == 0 {
        Duration::ZERO
    } else {
        Duration::from_micros(random(state) % micros.saturating_add(1))
    }
}
