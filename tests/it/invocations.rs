//! Invocations without a host: who may write, who continues which run, when an invocation ends, and what it leaves
//! (R28, R29, R34, R35).

mod handover;
mod health;
mod killed;
mod limits;
mod lost;
mod order;
mod posts;
mod reasons;
mod retries;
mod services;
mod ticks;
mod tidying;
mod unbegun;
mod unreadable;
mod waiting;
mod writers;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger as StartedBy},
        report::{Report, RunState},
    },
    engine::{Engine, Links, RunRequest, RunSummary},
    functions::{Answer, App, Invocation, Request, Response, Timer, Trigger},
    http::{Clock, Transport},
    sandbox::{
        control::FaultKind,
        exchange::Tenant,
        zivver::{Organisation, User},
    },
    settings::Settings,
    state::{Phase, RunId, State, lock::Lease},
};
use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory, path::Path};
use serde_json::Value;

use crate::{state::faults::Faulty, world::World};

const DOMAIN: &str = "corp.example";

fn at(local: &str) -> String {
    format!("{local}@{DOMAIN}")
}

/// Short, but long enough for a machine that pauses for a moment.
pub(crate) const LEASE: Lease = Lease {
    length: ms(3000),
    renew_every: ms(500),
    margin: ms(300),
};

/// People without accounts.
pub(crate) fn newcomers(count: usize) -> Tenant {
    (0..count).fold(Tenant::new(DOMAIN), |tenant, n| {
        tenant.user(&at(&format!("person{n:02}")))
    })
}

/// An app whose state the test can read.
pub(crate) struct Bench {
    world: World,
    store: Arc<dyn ObjectStore>,
    pub(crate) weather: Arc<Faulty>,
    state: State,
}

impl Bench {
    pub(crate) async fn open(tenant: Tenant, extra: &[(&str, &str)]) -> Self {
        let world = World::with(tenant, Organisation::new([DOMAIN]), extra).await;
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let weather = Arc::new(Faulty::over(Arc::clone(&store)));
        let state = State::over(Arc::clone(&weather) as Arc<dyn ObjectStore>, "the test");
        Self {
            world,
            store,
            weather,
            state,
        }
    }

    /// A process over this state.
    pub(crate) fn engine(&self, lease: Option<Lease>) -> Engine {
        let settings = &self.world.settings;
        let settings = Settings::read(|name| settings.get(name).cloned(), &[]).unwrap();
        Engine::new(settings, self.links(lease))
    }

    fn app(&self) -> App {
        App::new(Ok(self.engine(None)))
    }

    /// A process whose clock is ahead by this many hours, with other settings. Those of the host have no prefix.
    fn app_at(&self, hours: i64, extra: &[(&str, &str)]) -> App {
        let mut settings = self.world.settings.clone();
        settings.extend(
            extra
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let settings = Settings::read(|name| settings.get(name).cloned(), &[]).unwrap();
        let ahead = jiff::SignedDuration::from_hours(hours);
        let links = Links {
            clock: Clock::simulated(jiff::Timestamp::now() + ahead),
            ..self.links(None)
        };
        App::new(Ok(Engine::new(settings, links)))
    }

    fn links(&self, lease: Option<Lease>) -> Links {
        let sandbox = &self.world.sandbox;
        Links {
            exchange: Some(Transport::InProcess(sandbox.exchange.router())),
            zivver: Some(Transport::InProcess(sandbox.zivver.router())),
            state: Some(self.state.clone()),
            clock: Clock::simulated(jiff::Timestamp::now()),
            lease,
            ..Links::default()
        }
    }

    async fn put(&self, name: &str, text: &'static str) {
        self.store
            .put(&Path::from(name), text.into())
            .await
            .unwrap();
    }

    /// Replaces or deletes a document.
    async fn damage(&self, name: &str, text: Option<&'static str>) {
        match text {
            Some(text) => self.put(name, text).await,
            None => self.store.delete(&Path::from(name)).await.unwrap(),
        }
    }

    /// A run in the history that was cut off, or whose message is in the queue.
    async fn recorded(&self, request: &RunRequest, state: RunState, started: &str) -> RunId {
        let started: jiff::Timestamp = started.parse().unwrap();
        let id = RunId::drawn(started, 7);
        let mut report = Report::begin(
            id.to_string(),
            request.mode,
            request.trigger,
            started.to_string(),
        );
        report.state = state;
        let summary = RunSummary::of(&report, request);
        self.state
            .save_summary(&id, Phase::Open, &summary)
            .await
            .unwrap();
        id
    }

    pub(crate) fn users(&self) -> Vec<User> {
        self.world.sandbox.zivver.state().users
    }
}

fn apply() -> RunRequest {
    RunRequest::new(Mode::Apply, StartedBy::Http)
}

/// An hour before now, as text.
fn hours_ago(hours: i64) -> String {
    let ago = jiff::SignedDuration::from_hours(hours);
    (jiff::Timestamp::now() - ago).to_string()
}

async fn tick(app: &App) -> Answer {
    let invocation = Invocation {
        id: "i".into(),
        trigger: Trigger::Timer(Timer::default()),
    };
    app.handle(invocation).await
}

/// The `count`th repetition of a tick.
async fn try_of(app: &App, tick: &str, count: u32) -> Answer {
    let timer = Timer {
        retry_count: count,
        ..Timer::default()
    };
    let invocation = Invocation {
        id: tick.into(),
        trigger: Trigger::Timer(timer),
    };
    app.handle(invocation).await
}

pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Request {
    let headers = headers.iter();
    Request {
        method: method.into(),
        segments: path.split('/').skip(1).map(str::to_owned).collect(),
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        body: body.map(str::to_owned),
        base: "/api/SyncHttp".into(),
        ..Request::default()
    }
}

pub(crate) async fn called(app: &App, request: Request) -> Response {
    let invocation = Invocation {
        id: "i".into(),
        trigger: Trigger::Http(request),
    };
    match app.handle(invocation).await {
        Answer::Success(success) => success.response.unwrap(),
        Answer::Failure { cause } => panic!("{cause}"),
    }
}

#[track_caller]
fn json(response: &Response) -> Value {
    serde_json::from_str(&response.body)
        .unwrap_or_else(|error| panic!("{error}: {}", response.body))
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Asks the client to retry after these seconds.
fn busy(status: u16, seconds: u32) -> FaultKind {
    FaultKind::Status {
        status,
        headers: vec![("Retry-After".into(), seconds.to_string())],
        body: String::new(),
    }
}
