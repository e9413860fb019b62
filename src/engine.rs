//! The I/O of a run: fetch, plan, apply, verify, report, with the lock, the journal and the memory.
//!
//! In reading order: [`run`] runs these steps, [`fetch`] reads both sides, `live` and [`apply`] execute a plan,
//! [`journal`] records a plan before and during its execution, [`explain`] answers for one address.

pub mod answers;
pub mod apply;
mod chance;
pub mod check;
pub mod complete;
pub mod error;
pub mod explain;
pub mod fetch;
pub mod health;
pub mod history;
pub mod journal;
mod look;
pub mod notices;
mod open_files;
mod probe;
pub mod progress;
mod reviewed;
pub mod run;
pub mod snapshots;
mod stop;
mod undo;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use chance::Chance;
pub use error::RunError;
pub use progress::{Outlook, Progress, Watcher};
pub use reviewed::PlanSource;
pub use run::{Decision, RunRequest, RunSummary};
pub use stop::Stop;

use crate::{
    domain::world::Policy,
    exchange::{ExchangeClient, ExchangeConfig, Strategy},
    http::{Clock, Transport, TransportError},
    otlp::Otlp,
    settings::Settings,
    state::{RunId, State, lock::Lease},
    zivver::{ApiKey, Connection, MayWrite, Policy as ZivverPolicy, ZivverClient},
};

/// The number of newest runs among which is the one that began last.
const RUNS_BEGUN_LAST: usize = 10;

/// Everything that runs share in one process. Cheap to clone; all clones share connections, the budget of calls to
/// Zivver, state and progress.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// The last failed try of a tick that could not be recorded in the history.
#[derive(Debug, Clone)]
pub struct Unrecorded {
    /// Epoch seconds.
    at: i64,
    tick: Option<String>,
    pub error: String,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    links: Links,
    lease: Lease,
    clock: Clock,
    chance: Chance,
    newest_id: Mutex<Option<RunId>>,
    state: OnceCell<State>,
    reached: OnceCell<()>,
    zivver: OnceCell<Arc<ZivverClient>>,
    progress: Watcher,
    unrecorded: Mutex<Option<Unrecorded>>,
}

/// Connections and other dependencies. Those that are `None` are made from the settings when they are first needed.
#[derive(Debug, Default)]
pub struct Links {
    pub exchange: Option<Transport>,
    pub zivver: Option<Transport>,
    pub state: Option<State>,
    pub lease: Option<Lease>,
    pub clock: Clock,
    /// The exporter of traces and metrics.
    pub otlp: Option<Otlp>,
    /// The seed for jitter and run ids: the same seed gives the same numbers.
    pub seed: Option<u64>,
    /// Set by the code that ends the process.
    pub stop: Stop,
}

impl Engine {
    pub fn new(mut settings: Settings, links: Links) -> Self {
        if links.exchange.is_none() {
            open_files::fit(&mut settings);
        }
        let state = OnceCell::new_with(links.state.clone());
        let reached = OnceCell::new_with(links.state.as_ref().map(|_| ()));
        Self {
            shared: Arc::new(Shared {
                lease: links
                    .lease
                    .unwrap_or_else(|| Lease::of(settings.lock_lease)),
                settings,
                clock: links.clock,
                chance: Chance::new(links.seed),
                newest_id: Mutex::default(),
                links,
                state,
                reached,
                zivver: OnceCell::new(),
                progress: Watcher::default(),
                unrecorded: Mutex::default(),
            }),
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub fn progress(&self) -> &Watcher {
        &self.shared.progress
    }

    /// The state, which is opened when it is first needed. After a failure the next call tries again over the same
    /// connections.
    pub async fn state(&self) -> Result<&State, RunError> {
        let shared = &self.shared;
        let place = async || State::at(&shared.settings.state);
        let state = shared.state.get_or_try_init(place).await?;
        shared.reached.get_or_try_init(|| state.reach()).await?;
        Ok(state)
    }

    /// A new client with its own token, counters and connections.
    fn exchange(&self) -> Result<ExchangeClient, RunError> {
        self.exchange_by(self.shared.settings.exo_permissions)
    }

    fn exchange_by(&self, strategy: Strategy) -> Result<ExchangeClient, RunError> {
        let settings = &self.shared.settings;
        let connections = settings.exo_concurrency;
        let transport = match &self.shared.links.exchange {
            Some(transport) => transport.clone(),
            None => Transport::network(&settings.exo_url, connections)?,
        };
        let mut config = ExchangeConfig::new(settings.exo_url.clone());
        config.strategy = strategy;
        config.concurrency_max = connections;
        config.failures_in_a_row_max = settings.max_consecutive_failures;
        config.clock = self.shared.clock;
        config.retry.seed = self.shared.chance.draw();
        Ok(ExchangeClient::new(
            config,
            settings.identity.clone(),
            transport,
        )?)
    }

    /// The only Zivver client of this process, since the budget of calls is shared (R30). It can only read: only a run
    /// gets the permission to write (R29).
    async fn zivver(&self) -> Result<&Arc<ZivverClient>, RunError> {
        let settings = &self.shared.settings;
        self.shared
            .zivver
            .get_or_try_init(|| async {
                let transport = match &self.shared.links.zivver {
                    Some(transport) => transport.clone(),
                    None => Transport::network(&settings.zivver_api_url, 32)?,
                };
                let connection = Connection {
                    base_url: settings.zivver_api_url.clone(),
                    key: ApiKey::parse(settings.zivver_api_key.expose())?,
                    rate: settings.zivver_rate,
                    policy: ZivverPolicy::new(self.shared.chance.draw()),
                    clock: self.shared.clock,
                    may_write: MayWrite::never(),
                };
                Ok::<_, RunError>(Arc::new(ZivverClient::new(connection, transport)))
            })
            .await
    }

    /// Waits for `duration`, or until the process must stop.
    pub async fn pause(&self, duration: Duration) {
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = self.shared.links.stop.requested() => {}
        }
    }

    fn policy(&self) -> Policy {
        self.shared.settings.policy()
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub fn unrecorded(&self) -> Option<Unrecorded> {
        let unrecorded = &self.shared.unrecorded;
        let unrecorded = unrecorded.lock().unwrap_or_else(PoisonError::into_inner);
        unrecorded.clone()
    }

    fn remember_unrecorded(&self, failed: Unrecorded) {
        let unrecorded = &self.shared.unrecorded;
        *unrecorded.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
    }

    /// R28: an id later than all runs in state and all other ids of this process, whose runs may not be in state yet. A run
    /// that waited for the lock began after its id, and the clock may have been set back since.
    pub async fn new_run_id(&self) -> Result<RunId, RunError> {
        let in_state = self.state().await?.newest_run().await?;
        let runs = self.past(RUNS_BEGUN_LAST).await?.runs;
        let began = runs.iter().filter_map(|past| past.run.started.parse().ok());
        let now = self.now();
        let later = began.max().filter(|began: &Timestamp| *began > now);
        // Times are stored in whole seconds.
        let started = later.map_or(now, |began| began + SignedDuration::from_secs(1));
        let shared = &self.shared;
        let mut newest = shared
            .newest_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = newest.take().max(in_state);
        let id = RunId::after(before.as_ref(), started, shared.chance.draw());
        *newest = Some(id.clone());
        Ok(id)
    }

    /// The id that the request has, or a new one.
    pub(crate) async fn id_of(&self, request: &RunRequest) -> Result<RunId, RunError> {
        match &request.id {
            Some(id) => Ok(id.clone()),
            None => self.new_run_id().await,
        }
    }
}

impl From<TransportError> for RunError {
    fn from(error: TransportError) -> Self {
        Self::Setup(error.to_string())
    }
}

impl From<crate::zivver::ApiKeyError> for RunError {
    fn from(error: crate::zivver::ApiKeyError) -> Self {
        Self::Setup(error.to_string())
    }
}
