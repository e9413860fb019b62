//! A process of the program: its engine with a separate clock and separate connections, killed or frozen at a chosen
//! point.

use std::{collections::BTreeMap, fmt, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    time::OffsetDateTime,
};
use cloud_sync::{
    domain::{mode::Depth, report::Report},
    engine::{Engine, Links, RunError, RunRequest, Stop},
    exchange::Identity,
    functions::{Answer, App, Invocation, Request, Success, Trigger},
    http::Clock,
    sandbox::{exchange, identity, zivver},
    settings::Settings,
    state::State,
};
use tokio::time::Instant;

use super::{
    dice::Dice,
    network::{self, Service, Tasks},
    stage::{Scene, Stage},
    storage::{Shelf, Way},
    time,
};

/// The external services, and how they are reached.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    pub(super) stage: Stage,
    pub(super) exchange: exchange::Simulator,
    pub(super) zivver: zivver::Simulator,
    pub(super) shelf: Shelf,
    pub(super) tasks: Tasks,
    pub(super) settings: BTreeMap<String, String>,
}

/// What happens to a process during its work.
#[derive(Debug, Clone, Default)]
pub(super) struct Doom {
    /// Killed at this poll.
    pub(super) killed_at_poll: Option<u64>,
    /// Killed after this number of writes has arrived.
    pub(super) writes_to_live: Option<u32>,
    pub(super) frozen: Option<(u64, Duration)>,
    /// Frozen after this number of writes has arrived.
    pub(super) frozen_after: Option<(u32, Duration)>,
    /// Its wall clock jumps at this poll, by this number of milliseconds.
    pub(super) clock_jump: Option<(u64, i64)>,
}

#[derive(Debug)]
pub(super) enum End {
    Report(Box<Report>),
    NotBegun(RunError),
    Killed,
}

/// A managed identity that the simulated Exchange knows, behind the simulated network.
struct Credential {
    identity: identity::Identity,
    stage: Stage,
    slot: usize,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

#[async_trait::async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let (given, pause) = self.stage.with(Scene::token_luck);
        self.stage.thaw(self.slot).await;
        tokio::time::sleep(pause).await;
        if !given {
            let cause = "the identity endpoint answered 500";
            return Err(azure_core::Error::with_message(
                ErrorKind::Credential,
                cause,
            ));
        }
        let expires_s = self.identity.now_s() + self.identity.settings().life_s;
        let expires = OffsetDateTime::from_unix_timestamp(i64::try_from(expires_s).unwrap());
        Ok(AccessToken::new(self.identity.mint(), expires.unwrap()))
    }
}

pub(super) struct Process {
    slot: usize,
    stage: Stage,
    engine: Engine,
}

impl Process {
    pub(super) fn start(outside: &Outside, slot: usize, dice: &mut Dice) -> Self {
        let Outside {
            stage,
            exchange,
            zivver,
            shelf,
            tasks,
            settings,
        } = outside;
        let mut settings = Settings::read(|name| settings.get(name).cloned(), &[]).unwrap();
        settings.identity = Identity::Credential(Arc::new(Credential {
            identity: exchange.identity().clone(),
            stage: stage.clone(),
            slot,
        }));
        let connect =
            |service, inner| network::transport(stage, slot, service, inner, zivver, tasks);
        let way = Way {
            shelf: shelf.clone(),
            stage: Some((stage.clone(), slot)),
        };
        let links = Links {
            exchange: Some(connect(Service::Exchange, exchange.router())),
            zivver: Some(connect(Service::Zivver, zivver.router())),
            state: Some(
                State::over(Arc::new(way), "simulated").with_wall_clock(time::CLOCKS[slot]),
            ),
            clock: Clock::Read(time::CLOCKS[slot]),
            seed: Some(dice.next()),
            lease: None,
            otlp: None,
            stop: Stop::default(),
        };
        Self {
            slot,
            stage: stage.clone(),
            engine: Engine::new(settings, links),
        }
    }

    /// `GET /health` of an application that has just started, without faults.
    pub(super) async fn health(outside: &Outside) -> (u16, String) {
        let settings = Settings::read(|name| outside.settings.get(name).cloned(), &[]).unwrap();
        let way = Way {
            shelf: outside.shelf.clone(),
            stage: None,
        };
        let clock = time::RIGHT_CLOCK;
        let links = Links {
            state: Some(State::over(Arc::new(way), "simulated").with_wall_clock(clock)),
            clock: Clock::Read(clock),
            ..Links::default()
        };
        let app = App::new(Ok(Engine::new(settings, links)));
        let request = Request {
            method: "GET".into(),
            segments: vec!["health".into()],
            base: "/api/SyncHttp".into(),
            ..Request::default()
        };
        let invocation = Invocation {
            id: "health".into(),
            trigger: Trigger::Http(request),
        };
        match app.handle(invocation).await {
            Answer::Success(Success {
                response: Some(response),
                ..
            }) => (response.status, response.body),
            answer @ (Answer::Success(_) | Answer::Failure { .. }) => panic!("{answer:?}"),
        }
    }

    /// R45: the kind of run that a tick would start now; `None` if the state cannot be read.
    pub(super) async fn depth_of_tick(&self) -> Option<Depth> {
        self.engine.depth_of_tick().await.ok()
    }

    /// One invocation, which ends or is killed.
    pub(super) async fn run(&self, request: &RunRequest, doom: &Doom) -> End {
        let slot = self.slot;
        self.stage.with(|scene| {
            let process = &mut scene.processes[slot];
            let counted = doom.frozen_after.map(|(writes, _)| writes);
            process.writes_to_live = doom.writes_to_live.or(counted);
            process.doomed = false;
            process.frozen_until = None;
        });
        let mut polls = 0;
        let mut run = Some(Box::pin(self.engine.run(request)));
        let mut sleep = None;
        poll_fn(|context| {
            if let Some(pause) = &mut sleep {
                let pause: &mut std::pin::Pin<Box<tokio::time::Sleep>> = pause;
                if pause.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                sleep = None;
            }
            polls += 1;
            if let Some((at, by_ms)) = doom.clock_jump
                && at == polls
            {
                self.stage
                    .tell(|| format!("process {slot}: the clock jumps by {by_ms} ms"));
                time::set_wrong_by(slot, by_ms);
            }
            let enough = self
                .stage
                .with(|scene| std::mem::take(&mut scene.processes[slot].doomed));
            let doomed = enough && doom.frozen_after.is_none();
            if doomed || doom.killed_at_poll == Some(polls) {
                self.stage.tell(|| format!("process {slot}: killed"));
                run = None;
                return Poll::Ready(End::Killed);
            }
            let by_writes = doom.frozen_after.filter(|_| enough);
            let by_polls = doom.frozen.filter(|(at, _)| *at == polls);
            let frozen = by_writes.map(|it| it.1).or(by_polls.map(|it| it.1));
            if let Some(how_long) = frozen {
                let until = Instant::now() + how_long;
                self.stage
                    .tell(|| format!("process {slot}: frozen for {how_long:?}"));
                self.stage
                    .with(|scene| scene.processes[slot].frozen_until = Some(until));
                let mut pause = Box::pin(tokio::time::sleep_until(until));
                if pause.as_mut().poll(context).is_pending() {
                    sleep = Some(pause);
                    return Poll::Pending;
                }
            }
            let running = run.as_mut().unwrap();
            running.as_mut().poll(context).map(|ended| match ended {
                Ok(report) => End::Report(Box::new(report)),
                Err(error) => End::NotBegun(error),
            })
        })
        .await
    }
}
