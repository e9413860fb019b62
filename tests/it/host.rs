//! A double of the Azure Functions host for one native handler (`docs/specs/functions-host.md`, "1. Process life cycle"
//! and "7. HTTP time limit and admin API"). It starts the real binary, invokes its functions over the default protocol,
//! and interprets the answers as the real host does. It reports answers for which the real host would wait in vain, and
//! forms of answers that work only by chance.

pub(crate) mod answer;
pub(crate) mod front;
pub(crate) mod project;
pub(crate) mod queue;
mod recorded;
pub(crate) mod schedule;
mod scripts;
mod stand_in;
mod tables;
pub(crate) mod wire;
pub(crate) mod worker;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use answer::{Client, Verdict, judge};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::{StreamExt, stream::FuturesUnordered};
use project::{AppSettings, Function, Project, Provider, Trigger};
use queue::{Delivery, Queue};
use serde_json::json;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};
use uuid::Uuid;
use wire::{Call, Encoding, Framing, Tick, Try};
use worker::{Category, Level, Log, Reaction, Restarts, Worker};

/// The function key; must never be logged.
pub(crate) const FUNCTION_KEY: &str = "fn-k3y-c4n4ry";

/// A second key, for a program.
pub(crate) const OTHER_KEY: &str = "fn-0th3r-c4n4ry";

/// Keys by their names.
const KEYS: [(&str, &str); 2] = [("default", FUNCTION_KEY), ("night-shift", OTHER_KEY)];

/// Who App Service authentication has signed in: name, object id and app roles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedIn<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) roles: &'a [&'a str],
}

impl SignedIn<'_> {
    fn claims(&self) -> String {
        let role = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role";
        let claim = |(typ, val): (&str, &str)| json!({"typ": typ, "val": val});
        let mut claims = vec![claim(("name", self.name)), claim(("oid", self.id))];
        claims.extend(self.roles.iter().map(|it| claim((role, it))));
        let principal =
            json!({"auth_typ": "aad", "name_typ": "name", "role_typ": role, "claims": claims});
        BASE64_STANDARD.encode(principal.to_string())
    }
}

/// Times that a test may want to be shorter than the real ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// How long the handler may take to answer `GET /`.
    pub(crate) initialization: Duration,
    /// `None`: the value of host.json.
    pub(crate) function_timeout: Option<Duration>,
    /// The pause before a failed message is tried again; `None`: the value of host.json.
    pub(crate) visibility: Option<Duration>,
    /// The pause between two tries of a failed tick; `None`: the value of function.json.
    pub(crate) retry_delay: Option<Duration>,
    /// How long a received message is invisible unless its lease is renewed.
    pub(crate) lease: Duration,
    /// How much longer than functionTimeout the host's HTTP client waits for an answer.
    pub(crate) client_slack: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            initialization: Duration::from_secs(30),
            function_timeout: None,
            visibility: Some(Duration::from_millis(50)),
            retry_delay: Some(Duration::from_millis(50)),
            lease: Duration::from_secs(600),
            client_slack: Duration::from_secs(60),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    /// Exit 0: the handler does not listen, and the host does not treat it as an error.
    Gone,
    /// The host has given up, or was stopped.
    Stopped(String),
}

#[derive(Debug)]
struct Shared {
    project: Project,
    settings: AppSettings,
    timing: Timing,
    port: u16,
    log: Log,
    phase: watch::Sender<Phase>,
    worker: Mutex<Option<Arc<Worker>>>,
    /// The host itself causes the next exit.
    killed: Mutex<bool>,
}

impl Shared {
    fn function_timeout(&self) -> Duration {
        let shortened = self.timing.function_timeout;
        shortened.unwrap_or(self.project.function_timeout)
    }
}

/// One instance of the host with its handler.
#[derive(Debug)]
pub(crate) struct Host {
    shared: Arc<Shared>,
    pub(crate) queue: Queue,
    supervisor: JoinSet<()>,
    framing: Framing,
    /// Lives as long as the host.
    root: Option<TempDir>,
}

/// An invocation as an HTTP client and the portal see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoked {
    /// Why the portal shows it as failed, if it does.
    pub(crate) failure: Option<String>,
    pub(crate) client: Option<Client>,
    pub(crate) took: Duration,
}

impl Invoked {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.failure, None);
        self
    }

    #[track_caller]
    pub(crate) fn client(self) -> Client {
        self.client.expect("an HTTP call")
    }
}

impl Host {
    /// The project with these settings and a new queue.
    pub(crate) async fn start(settings: AppSettings) -> Self {
        Self::with(settings, Queue::default(), Timing::default()).await
    }

    pub(crate) async fn with(settings: AppSettings, queue: Queue, timing: Timing) -> Self {
        let root = project::app_root();
        let mut host = Self::over(root.path(), settings, queue, timing).unwrap();
        host.root = Some(root);
        host.ready().await;
        host
    }

    /// Starts what is in `root`, without waiting for it.
    pub(crate) fn over(
        root: &Path,
        settings: AppSettings,
        queue: Queue,
        timing: Timing,
    ) -> Result<Self, String> {
        Self::over_as(None, root, settings, queue, timing)
    }

    /// The same under another user.
    pub(crate) fn over_as(
        user: Option<u32>,
        root: &Path,
        mut settings: AppSettings,
        queue: Queue,
        timing: Timing,
    ) -> Result<Self, String> {
        settings
            .entry("SYNC_SCHEDULE".into())
            .or_insert_with(|| "0 0 2 * * *".into());
        // An empty variable counts as not set.
        settings.retain(|_, value| !value.is_empty());
        let mut project = Project::read(root, &settings, Provider::Azure)?;
        project.user = user;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let shared = Arc::new(Shared {
            project,
            settings,
            timing,
            port,
            log: Log::default(),
            phase: watch::Sender::new(Phase::Starting),
            worker: Mutex::new(None),
            killed: Mutex::new(false),
        });
        let mut supervisor = JoinSet::new();
        supervisor.spawn(supervise(Arc::clone(&shared)));
        Ok(Self {
            shared,
            queue,
            supervisor,
            framing: Framing::Chunked,
            root: None,
        })
    }

    pub(crate) fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    pub(crate) fn log(&self) -> &Log {
        &self.shared.log
    }

    /// Panics with the log if the host stopped instead.
    pub(crate) async fn ready(&self) {
        assert_eq!(self.initialized().await, Phase::Ready, "{}", self.log());
    }

    /// Waits until a handler is there, or will not come. The host stops if nothing happens for too long (1.4).
    async fn initialized(&self) -> Phase {
        let mut phase = self.shared.phase.subscribe();
        let reached = phase.wait_for(|phase| *phase != Phase::Starting);
        let patience = 4 * self.shared.timing.initialization;
        if let Ok(phase) = tokio::time::timeout(patience, reached).await {
            return phase.unwrap().clone();
        }
        let why = "Final functionDispatcher state: Initializing. Initialization timed out and host is shutting down";
        self.log().add(Level::Error, why.to_owned());
        let stopped = Phase::Stopped(why.to_owned());
        self.shared.phase.send_replace(stopped.clone());
        stopped
    }

    /// Waits until the host gave up, and returns why.
    pub(crate) async fn stopped(&self) -> String {
        let mut phase = self.shared.phase.subscribe();
        let stopped = phase
            .wait_for(|phase| matches!(phase, Phase::Stopped(_)))
            .await
            .unwrap();
        let Phase::Stopped(why) = &*stopped else {
            unreachable!("waited for it");
        };
        why.clone()
    }

    /// The functions that the host left out, with the reason.
    pub(crate) fn left_out(&self) -> &BTreeMap<String, String> {
        &self.shared.project.broken
    }

    fn worker(&self) -> Arc<Worker> {
        let worker = self.shared.worker.lock().unwrap();
        Arc::clone(worker.as_ref().expect("a handler was started"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.worker().pid
    }

    /// Sends the handler a signal by its name, as another process would.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success(), "cannot send {name}");
    }

    /// The handler dies. The host starts it again, up to its limit.
    pub(crate) async fn crash(&self) {
        let worker = self.worker();
        self.shared.phase.send_replace(Phase::Starting);
        worker.kill();
        worker.exited().await;
    }

    /// Stops like the host: SIGKILL, one second for the process to end, and no restart (1.7).
    pub(crate) async fn stop(mut self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        self.supervisor.shutdown().await;
        let worker = self.worker();
        worker.kill();
        // A process that the handler started may outlive it and keep its console open.
        drop(tokio::time::timeout(PATIENCE, worker.exited()).await);
    }

    /// Waits until the host has seen the handler end with 0.
    pub(crate) async fn gone(&self) {
        let mut phase = self.shared.phase.subscribe();
        phase
            .wait_for(|phase| *phase == Phase::Gone)
            .await
            .map(drop)
            .unwrap();
    }

    fn function(&self, is: impl Fn(&Trigger) -> bool) -> &Function {
        let mut functions = self.shared.project.functions.values();
        functions
            .find(|function| is(&function.trigger))
            .unwrap_or_else(|| panic!("no such function: {:?}", self.shared.project.broken))
    }

    pub(crate) async fn timer(&self) -> Invoked {
        self.tick(Tick::Normal).await
    }

    /// The first try of a tick only.
    pub(crate) async fn tick(&self, tick: Tick) -> Invoked {
        self.try_tick(tick, Uuid::new_v4(), 0, None).await
    }

    /// A tick as the host runs it: a failed one is tried again as often as function.json says. Returns all tries in
    /// order.
    pub(crate) async fn occur(&self, tick: Tick) -> Vec<Invoked> {
        let id = Uuid::new_v4();
        let retry = self.timer_function().retry;
        let mut tries: Vec<Invoked> = Vec::new();
        loop {
            let count = u32::try_from(tries.len()).unwrap();
            let failure = tries.last().and_then(|invoked| invoked.failure.clone());
            let invoked = self.try_tick(tick, id, count, failure).await;
            let has_failed = invoked.failure.is_some();
            tries.push(invoked);
            match retry {
                Some(retry) if has_failed && count < retry.count_max => {
                    let delay = self.shared.timing.retry_delay.unwrap_or(retry.delay);
                    tokio::time::sleep(delay).await;
                }
                Some(_) | None => return tries,
            }
        }
    }

    async fn try_tick(&self, tick: Tick, id: Uuid, count: u32, failure: Option<String>) -> Invoked {
        let function = self.timer_function();
        let Trigger::Timer { name } = &function.trigger else {
            unreachable!("looked for it");
        };
        let of = function.retry.map(|retry| Try {
            count,
            failure,
            ..Try::first(retry)
        });
        let tick = if count > 0 { Tick::Retried } else { tick };
        let body = wire::timer(&function.name, name, tick, of.as_ref());
        self.invoke_as(id, function, &body, self.framing).await
    }

    fn timer_function(&self) -> &Function {
        self.function(|trigger| matches!(trigger, Trigger::Timer { .. }))
    }

    /// From the client's request to its answer: routing, keys, and the invocation. The function key is added.
    pub(crate) async fn call(&self, call: Call) -> Client {
        let call = call.header("x-functions-key", FUNCTION_KEY);
        self.call_as_it_is(&call).await
    }

    /// Like `call`, for a caller whom App Service authentication has signed in.
    pub(crate) async fn call_signed_in(&self, who: SignedIn<'_>, call: Call) -> Client {
        assert!(self.authenticates(), "App Service authentication is off");
        let call = call
            .header("x-functions-key", FUNCTION_KEY)
            .header("X-MS-CLIENT-PRINCIPAL-NAME", who.name)
            .header("X-MS-CLIENT-PRINCIPAL-ID", who.id)
            .header("X-MS-CLIENT-PRINCIPAL-IDP", "aad")
            .header("X-MS-CLIENT-PRINCIPAL", &who.claims());
        self.pass(&call).await
    }

    fn authenticates(&self) -> bool {
        let settings = &self.shared.settings;
        settings
            .get("WEBSITE_AUTH_ENABLED")
            .is_some_and(|it| it == "True")
    }

    /// App Service authentication, if it is on, removes these headers from outside requests.
    pub(crate) async fn call_as_it_is(&self, call: &Call) -> Client {
        let mut call = call.clone();
        if self.authenticates() {
            call.headers.retain(|(name, _)| {
                !name
                    .to_ascii_lowercase()
                    .starts_with("x-ms-client-principal")
            });
        }
        self.pass(&call).await
    }

    async fn pass(&self, call: &Call) -> Client {
        let function = self.function(|trigger| matches!(trigger, Trigger::Http { .. }));
        let Trigger::Http {
            name,
            route,
            methods,
            needs_key,
        } = &function.trigger
        else {
            unreachable!("looked for it");
        };
        let prefix = &self.shared.project.route_prefix;
        let Some(params) =
            wire::route(prefix, route, &call.path).filter(|_| methods.contains(&call.method))
        else {
            return Client::plain(404, "");
        };
        let code = call.query.iter().find(|(key, _)| key == "code");
        let key = call
            .first_header("x-functions-key")
            .or(code.map(|(_, value)| value.as_str()));
        let mut keys = KEYS.iter();
        let key = keys
            .find(|(_, known)| key == Some(known))
            .map(|(name, _)| *name);
        if *needs_key && key.is_none() {
            return Client::plain(401, "");
        }
        let key = key.unwrap_or("default");
        let body = wire::http(&function.name, name, key, call, &params);
        let invoked = self.invoke(function, &body, self.framing).await;
        let mut client = match invoked.failure {
            Some(_) => Client::plain(500, ""),
            None => invoked.client(),
        };
        if call.method == "HEAD" {
            client.body.clear();
        }
        client
    }

    /// Delivers one message if one is visible, and settles it.
    pub(crate) async fn deliver(&self) -> Option<Invoked> {
        self.deliver_as(Encoding::Double).await
    }

    pub(crate) async fn deliver_as(&self, encoding: Encoding) -> Option<Invoked> {
        let delivery = self.receive()?;
        Some(self.settle(delivery, encoding).await)
    }

    fn receive(&self) -> Option<Delivery> {
        let dequeues_max = self.shared.project.queues.dequeues_max;
        self.queue.receive(self.shared.timing.lease, dequeues_max)
    }

    /// Invokes the function with a message that is invisible in the meantime, then deletes or releases the message. If
    /// it is dropped before that, the message stays as after the death of a host.
    async fn settle(&self, delivery: Delivery, encoding: Encoding) -> Invoked {
        let options = &self.shared.project.queues;
        let lease = self.shared.timing.lease;
        let invoked = {
            let mut invocation = std::pin::pin!(self.invoke_queue(&delivery, encoding));
            let mut renewal = tokio::time::interval(lease / 2);
            loop {
                tokio::select! {
                    invoked = &mut invocation => break invoked,
                    _ = renewal.tick() => self.queue.renew(&delivery, lease),
                }
            }
        };
        if invoked.failure.is_none() {
            self.queue.delete(&delivery);
        } else {
            let pause = self.shared.timing.visibility;
            let pause = pause.unwrap_or(options.visibility_timeout);
            self.queue.release(&delivery, pause, options.dequeues_max);
        }
        invoked
    }

    async fn invoke_queue(&self, delivery: &Delivery, encoding: Encoding) -> Invoked {
        let function = self.function(|trigger| matches!(trigger, Trigger::Queue { .. }));
        let Trigger::Queue { name } = &function.trigger else {
            unreachable!("looked for it");
        };
        let Some(text) = &delivery.text else {
            return Invoked {
                failure: Some(format!("Exception binding parameter '{name}'")),
                client: None,
                took: Duration::ZERO,
            };
        };
        let body = wire::queue(&function.name, name, (delivery, text), encoding);
        self.invoke(function, &body, self.framing).await
    }

    /// Delivers until the queue is empty, including messages that other instances are working on. The settings limit
    /// how many messages are processed at once: a batch is fetched when no more than `newBatchThreshold` are left of
    /// the last ones (3.1).
    pub(crate) async fn drain(&self) -> Vec<Invoked> {
        const POLL: Duration = Duration::from_millis(20);
        let options = &self.shared.project.queues;
        let mut under_way = FuturesUnordered::new();
        let mut invocations = Vec::new();
        loop {
            let wants_more = under_way.len() <= options.new_batch_threshold;
            if wants_more {
                let batch = std::iter::from_fn(|| self.receive()).take(options.batch_size);
                under_way.extend(batch.map(|delivery| self.settle(delivery, Encoding::Double)));
            }
            if under_way.is_empty() && self.queue.len() == 0 {
                return invocations;
            }
            tokio::select! {
                Some(invoked) = under_way.next() => invocations.push(invoked),
                () = tokio::time::sleep(POLL), if wants_more => {}
            }
        }
    }

    async fn invoke(&self, function: &Function, body: &str, framing: Framing) -> Invoked {
        self.invoke_as(Uuid::new_v4(), function, body, framing)
            .await
    }

    async fn invoke_as(
        &self,
        id: Uuid,
        function: &Function,
        body: &str,
        framing: Framing,
    ) -> Invoked {
        let started = Instant::now();
        let failed = |why: String| Invoked {
            failure: Some(why),
            client: None,
            took: started.elapsed(),
        };
        if let Phase::Stopped(why) = self.initialized().await {
            return failed(why);
        }
        let timeout = self.shared.function_timeout();
        let port = self.shared.port;
        let answered = wire::invoke_as(id, port, &function.name, body.as_bytes(), framing);
        let Ok(answered) = tokio::time::timeout(timeout, answered).await else {
            self.time_out().await;
            return failed(format!("Timeout value of {timeout:?} exceeded"));
        };
        let reply = match answered {
            Ok(reply) => reply,
            Err(error) => return failed(error.to_string()),
        };
        match judge(&reply, function) {
            Verdict::Hangs => panic!(
                "{} answered without a body: the real host would wait until functionTimeout",
                function.name
            ),
            Verdict::Failed(why) => failed(why),
            Verdict::Success(bound) => {
                assert_eq!(bound.traps, Vec::<String>::new(), "{}", function.name);
                for line in bound.logs {
                    self.log().record(Category::User, Level::Information, line);
                }
                for message in &bound.messages {
                    if let Err(why) = self.queue.send(message) {
                        return failed(why);
                    }
                }
                Invoked {
                    failure: None,
                    client: bound.client,
                    took: started.elapsed(),
                }
            }
        }
    }

    /// 1.6: kills the process, and everything else that it was doing.
    async fn time_out(&self) {
        self.log().add(
            Level::Error,
            "A function timeout has occurred. Restarting worker process".into(),
        );
        *self.shared.killed.lock().unwrap() = true;
        let worker = self.worker();
        self.shared.phase.send_replace(Phase::Starting);
        worker.kill();
        worker.exited().await;
    }
}

/// Starts the handler, and starts it again as often as the host does.
async fn supervise(shared: Arc<Shared>) {
    let mut restarts = Restarts::default();
    loop {
        shared.phase.send_replace(Phase::Starting);
        let started = Worker::start(&shared.project, &shared.settings, shared.port, &shared.log);
        let worker = match started {
            Ok(worker) => Arc::new(worker),
            Err(error) => {
                let file = shared.project.executable.display();
                let why =
                    format!("Failed to start Worker Channel. Process fileName: {file}: {error}");
                shared.log.add(Level::Error, why);
                // No restart, so every invocation waits in vain.
                return;
            }
        };
        *shared.worker.lock().unwrap() = Some(Arc::clone(&worker));
        let code = tokio::select! {
            code = worker.exited() => code,
            ready = initialized(&shared) => {
                if ready {
                    let line = "Worker process started and initialized.".to_owned();
                    shared.log.add(Level::Information, line);
                    shared.phase.send_replace(Phase::Ready);
                    worker.exited().await
                } else {
                    let line = "Failed to start http worker process".to_owned();
                    shared.log.add(Level::Error, line);
                    worker.kill();
                    worker.exited().await
                }
            }
        };
        if std::mem::take(&mut *shared.killed.lock().unwrap()) {
            continue;
        }
        match restarts.react(code, Instant::now()) {
            Reaction::Restart => {}
            Reaction::Nothing => {
                shared.phase.send_replace(Phase::Gone);
                return;
            }
            Reaction::Stop => {
                let why = "Exceeded http worker restart retry count. Shutting down Functions Host";
                shared.log.add(Level::Error, why.to_owned());
                shared.phase.send_replace(Phase::Stopped(why.to_owned()));
                return;
            }
        }
    }
}

/// Any answer counts, and any failure except a refused connection (1.3). Only the pauses are added up: a handler that
/// accepts a connection and does not answer is waited for as long as the host's client waits for any answer.
async fn initialized(shared: &Shared) -> bool {
    const PAUSE: Duration = Duration::from_millis(25);
    let patience = shared.function_timeout() + shared.timing.client_slack;
    let mut waited = Duration::ZERO;
    while waited < shared.timing.initialization {
        match tokio::time::timeout(patience, wire::ping(shared.port)).await {
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Ok(Ok(_) | Err(_)) | Err(_) => return true,
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
    false
}

/// Waits for a condition that can only be polled.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How long this machine was suspended: measured by a thread that wants to wake up every 10 ms.
#[derive(Debug)]
pub(crate) struct Stalls {
    over: Arc<AtomicBool>,
    watch: JoinHandle<Duration>,
}

impl Stalls {
    pub(crate) fn watch() -> Self {
        const NAP: Duration = Duration::from_millis(10);
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let watch = std::thread::spawn(move || {
            let mut lost = Duration::ZERO;
            while !ended.load(Ordering::Relaxed) {
                let asleep = Instant::now();
                std::thread::sleep(NAP);
                lost += asleep.elapsed().saturating_sub(2 * NAP);
            }
            lost
        });
        Self { over, watch }
    }

    pub(crate) fn lost(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.watch.join().unwrap()
    }
}
