//! No night is lost. If the handler, the host or the storage ends during a run, the run of the schedule is completed
//! within ten minutes and without a person (R29, R34, R35).
//!
//! Twenty times faster than in Azure. Only leases, which a busy machine must be able to renew, and the outages of
//! storage are not shortened.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cloud_sync::{
    sandbox::control::{Fault, FaultKind},
    state::lock::Lease,
};
use futures::{StreamExt as _, future::join_all, stream};
use serde_json::{Value, json};
use tokio::{
    sync::{OnceCell, Semaphore},
    task::JoinSet,
};

use super::{
    durability::{SIDE_BY_SIDE, at_write},
    instances::{all_succeeded, one_wrote_at_a_time},
    office::{Office, folder_url, with},
    storage::{Blobs, Weather},
};
use crate::host::{
    Host, Timing,
    project::{AppSettings, Project, Provider, app_root},
    queue::Queue,
    until,
    wire::{self, Call, Framing, Tick},
};

const SCALE: u32 = 20;
/// 4 minutes in Azure.
const RETRY_DELAY: Duration = Duration::from_secs(12);
/// Ten minutes in Azure, and the time that a loaded machine adds.
const TEN_MINUTES: Duration = Duration::from_secs(30 + 60);
const LEASE: &str = "6s";

fn timing() -> Timing {
    Timing {
        retry_delay: Some(RETRY_DELAY),
        ..Timing::default()
    }
}

fn hurried(settings: AppSettings) -> AppSettings {
    with(settings, "LOCK_LEASE", LEASE)
}

async fn host(settings: AppSettings) -> Host {
    Host::with(settings, Queue::default(), timing()).await
}

/// Lets the host do what it does by itself, and checks the result.
async fn ends_well(office: &Office, host: &Host, began: Instant) {
    all_succeeded(host.drain().await);
    one_wrote_at_a_time(office, &host.queue);
    let took = began.elapsed();
    assert!(took < TEN_MINUTES, "{took:?}\n{}", host.log());
}

#[test]
fn r35_the_tries_of_a_tick_outlast_a_lease_and_a_service_that_is_away_for_15_minutes() {
    let settings = [("SYNC_SCHEDULE".to_owned(), "0 0 2 * * *".to_owned())].into();
    let project = Project::read(app_root().path(), &settings, Provider::Azure).unwrap();
    let retry = project.functions["SyncTimer"].retry.unwrap();
    let lease = Lease::default();
    assert!(retry.delay > lease.length + 2 * lease.margin);
    assert!(retry.delay * retry.count_max > Duration::from_secs(15 * 60));
    // The first retry completes the run of a handler that was killed.
    assert!(retry.delay < Duration::from_secs(10 * 60));
    assert_eq!(retry.delay, RETRY_DELAY * SCALE);
    for other in ["SyncHttp", "SyncQueue"] {
        assert_eq!(project.functions[other].retry, None, "{other}");
    }
}

/// The stage of a run at which an event happens: the request that is then slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Locking,
    /// Mailboxes, permissions, accounts.
    Reading(Part),
    /// The plan is stored, and this write is on its way (from 0).
    Writing(u32),
    Verifying,
    /// The report is on its way to storage.
    Reporting,
    /// The report is stored, but the lock is not released.
    Reported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Mailboxes,
    Permissions,
    Accounts,
}

const STAGES: [Stage; 9] = [
    Stage::Locking,
    Stage::Reading(Part::Mailboxes),
    Stage::Reading(Part::Permissions),
    Stage::Reading(Part::Accounts),
    Stage::Writing(0),
    Stage::Writing(20),
    Stage::Verifying,
    Stage::Reporting,
    Stage::Reported,
];

/// Long enough to kill a process in the meantime.
const SLOW: Duration = Duration::from_millis(1500);

/// An office, its state, and the stage at which its next run is slow.
struct Night {
    stage: Stage,
    office: Office,
    blobs: Blobs,
}

impl Night {
    /// `None` without Azurite.
    async fn with(stage: Stage) -> Option<Self> {
        let office = Office::open(6, 3).await;
        let blobs = Blobs::open(&office).await?;
        let slow = Fault::once(FaultKind::Delay {
            millis: u64::try_from(SLOW.as_millis()).unwrap(),
        });
        let exchange = office.sandbox.exchange.control();
        let zivver = office.sandbox.zivver.control();
        match stage {
            Stage::Locking => blobs.slows_down("/claim", SLOW),
            Stage::Reading(Part::Mailboxes) => exchange.inject(slow.path("Mailbox?")),
            Stage::Reading(Part::Permissions) => exchange.inject(slow.path("MailboxPermission")),
            Stage::Reading(Part::Accounts) => zivver.inject(slow.method("GET").path("/Users")),
            Stage::Writing(done) => zivver.inject(at_write(done, &slow.kind)),
            // The two lists are read once before the verification.
            Stage::Verifying => zivver.inject(slow.method("GET").path("/Users").after(1)),
            Stage::Reporting => blobs.slows_down("/report", SLOW),
            Stage::Reported => blobs.slows_down("/released", SLOW),
        }
        Some(Self {
            stage,
            office,
            blobs,
        })
    }

    fn settings(&self) -> AppSettings {
        hurried(self.blobs.settings.clone())
    }

    async fn comes(&self) {
        until("the stage is reached", || {
            let sandbox = &self.office.sandbox;
            let mut journals = sandbox.zivver.control().journal();
            journals.extend(sandbox.exchange.control().journal());
            self.blobs.has_slowed_down() || journals.iter().any(|entry| entry.fault.is_some())
        })
        .await;
    }

    /// The schedule has done its work: Zivver is in sync, and one of at most `runs_max` runs reports the work like an
    /// undisturbed run.
    async fn is_as_any_other(&self, host: &Host, runs_max: usize) {
        let what = self.stage;
        self.office.is_in_sync();
        assert_eq!(host.queue.poison(), Vec::<String>::new(), "{what:?}");
        let runs = host.call(Call::get("/api/SyncHttp/runs")).await.json();
        let runs = runs["runs"].as_array().unwrap();
        let mut reports = Vec::new();
        for run in runs {
            let path = format!("/api/SyncHttp/runs/{}", run["id"].as_str().unwrap());
            reports.push(host.call(Call::get(&path)).await.json());
        }
        reports.retain(|report| report["actions"] != json!([]));
        let what = format!("{what:?} {runs:?}\n{}", host.log());
        assert!(reports.len() == 1 && runs.len() <= runs_max, "{what}");
        let (told, usual) = (told(&reports[0]), USUAL.get_or_init(undisturbed).await);
        let addresses: BTreeSet<&String> = told.keys().chain(usual.keys()).collect();
        for address in addresses {
            let (told, usual) = (told.get(address), usual.get(address));
            assert_eq!(told, usual, "{address} {what}");
        }
    }
}

/// The content of a report without ids and reasons.
fn told(report: &Value) -> BTreeMap<String, Value> {
    let facts = [
        "state",
        "outcome",
        "converged",
        "counts",
        "remaining",
        "held",
    ];
    let facts = facts.map(|name| (name.to_owned(), report[name].clone()));
    let actions = report["actions"].as_array().unwrap().iter().map(|action| {
        let parts = ["kind", "account", "outcome", "problems", "changes"];
        let parts: Vec<&Value> = parts.iter().map(|name| &action[*name]).collect();
        (action["address"].to_string(), json!(parts))
    });
    facts.into_iter().chain(actions).collect()
}

static USUAL: OnceCell<BTreeMap<String, Value>> = OnceCell::const_new();

async fn undisturbed() -> BTreeMap<String, Value> {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(office.settings(&folder_url(folder.path()))).await;
    host.timer().await.succeeded();
    let runs = host.call(Call::get("/api/SyncHttp/runs")).await.json();
    let path = format!(
        "/api/SyncHttp/runs/{}",
        runs["runs"][0]["id"].as_str().unwrap()
    );
    let report = host.call(Call::get(&path)).await.json();
    host.stop().await;
    told(&report)
}

async fn at_each_stage<F: Future<Output = ()>>(night: impl Fn(Stage) -> F) {
    let nights = stream::iter(STAGES).map(night);
    nights.buffer_unordered(SIDE_BY_SIDE).collect::<()>().await;
}

async fn handler_killed_at(stage: Stage) {
    let Some(night) = Night::with(stage).await else {
        return;
    };
    let host = host(night.settings()).await;
    let began = Instant::now();
    let killed = async {
        night.comes().await;
        host.crash().await;
    };
    let (tries, ()) = tokio::join!(host.occur(Tick::Normal), killed);
    let failures: Vec<bool> = tries.iter().map(|it| it.failure.is_some()).collect();
    assert_eq!(failures, [true, false], "{stage:?}\n{}", host.log());
    ends_well(&night.office, &host, began).await;
    night.is_as_any_other(&host, 1).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_a_handler_that_is_killed_in_a_tick_is_followed_by_one_that_ends_the_run() {
    at_each_stage(handler_killed_at).await;
}

/// A host that can be killed: the process that started the handler is gone, and so are the other ends of its pipes.
struct OwnParent {
    parent: std::process::Child,
    handler: u32,
    port: u16,
    _root: tempfile::TempDir,
}

impl OwnParent {
    async fn start(settings: &AppSettings) -> Self {
        let root = app_root();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let parent = Command::new("sh")
            .args(["-c", "./handler & echo $! > handler.pid; wait"])
            .current_dir(root.path())
            .envs(settings)
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = root.path().join("handler.pid");
        until("it has started", || {
            std::fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n'))
        })
        .await;
        let pid = std::fs::read_to_string(pid).unwrap();
        let started = Self {
            parent,
            handler: pid.trim().parse().unwrap(),
            port,
            _root: root,
        };
        until("it listens", || started.is_served()).await;
        started
    }

    fn is_served(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    /// It may be listed after its death, if no process waits for it.
    #[cfg(target_os = "linux")]
    fn is_alive(&self) -> bool {
        std::fs::read_link(format!("/proc/{}/exe", self.handler)).is_ok()
    }

    fn kill(&mut self) {
        self.parent.kill().unwrap();
        self.parent.wait().unwrap();
        drop((self.parent.stdout.take(), self.parent.stderr.take()));
    }
}

#[cfg(target_os = "linux")]
async fn host_killed_at(stage: Stage) {
    let Some(night) = Night::with(stage).await else {
        return;
    };
    let settings = night.settings();
    let mut killed = OwnParent::start(&settings).await;
    let body = br#"{"Data":{"timer":{}}}"#;
    let port = killed.port;
    let mut tick = JoinSet::new();
    tick.spawn(async move { wire::invoke(port, "SyncTimer", body, Framing::Chunked).await });
    night.comes().await;
    killed.kill();
    // A killed host does not receive the answer.
    tick.shutdown().await;
    let began = Instant::now();
    until("the handler has ended", || !killed.is_alive()).await;

    let next = host(settings).await;
    all_succeeded(next.occur(Tick::PastDue).await);
    ends_well(&night.office, &next, began).await;
    // The remaining handler completes a run that has written everything. The host does not know that, and begins
    // another run.
    let may_end = matches!(stage, Stage::Verifying | Stage::Reporting | Stage::Reported);
    night.is_as_any_other(&next, 1 + usize::from(may_end)).await;
    next.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn r35_a_handler_whose_host_was_killed_ends_its_run_and_itself() {
    at_each_stage(host_killed_at).await;
}

/// What the next instance knows about the holder of the lock.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Alive,
    Dead,
    DeadElsewhere,
}

#[cfg(target_os = "linux")]
async fn lock_held(stage: Stage, held_by: Holder) {
    let Some(night) = Night::with(stage).await else {
        return;
    };
    let settings = night.settings();
    let mut other = settings.clone();
    if held_by == Holder::DeadElsewhere {
        other.insert("WEBSITE_INSTANCE_ID".into(), "another instance".into());
    }
    let holder = host(settings).await;
    let next = host(other).await;
    let mut run = Box::pin(holder.timer());
    tokio::select! {
        invoked = &mut run => panic!("ended early: {invoked:?}"),
        () = night.comes() => {}
    }
    let began = Instant::now();
    let what = format!("{stage:?} {held_by:?}");
    if held_by == Holder::Alive {
        let (of_holder, of_next) = tokio::join!(run, next.occur(Tick::PastDue));
        of_holder.succeeded();
        assert_eq!(of_next.len(), 1, "{what}");
        all_succeeded(of_next);
        let is_queued = "was handed to the queue: another run writes";
        assert!(next.log().has(is_queued), "{what}\n{}", next.log());
    } else {
        drop(run);
        holder.signal("KILL");
        let tries = next.occur(Tick::PastDue).await;
        assert_eq!(tries.len(), 1, "{what}");
        all_succeeded(tries);
        let is_queued = next.queue.len() == 1;
        let is_elsewhere = held_by == Holder::DeadElsewhere;
        assert_eq!(is_queued, is_elsewhere, "{what}\n{}", next.log());
    }
    ends_well(&night.office, &next, began).await;
    // After a run with a report, the tick begins another run.
    let may_end = held_by == Holder::Alive || stage == Stage::Reported;
    night.is_as_any_other(&next, 1 + usize::from(may_end)).await;
    next.stop().await;
    holder.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn r29_a_tick_that_finds_a_lock_is_made_by_the_queue_or_at_once() {
    let holders = [Holder::Alive, Holder::Dead, Holder::DeadElsewhere];
    // Before the first object is stored there is no lock.
    let stages = STAGES.into_iter().filter(|stage| *stage != Stage::Locking);
    let nights = stages.flat_map(|stage| holders.map(|held_by| lock_held(stage, held_by)));
    let nights = stream::iter(nights).buffer_unordered(SIDE_BY_SIDE);
    Box::pin(nights.collect::<()>()).await;
}

/// Storage fails in this way for a while, from a stage of a run on. Returns the number of tries of the tick.
async fn storage_away(stage: Stage, weather: Weather, seconds: u64) -> Option<usize> {
    // While storage does not answer, a run only waits.
    let working = AT_ONCE.acquire().await.unwrap();
    let night = Night::with(stage).await?;
    let settings = with(night.blobs.settings.clone(), "LOCK_LEASE", "60s");
    let host = host(settings).await;
    let began = Instant::now();
    let away = async {
        night.comes().await;
        night.blobs.becomes(weather);
        drop(working);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        night.blobs.becomes(Weather::Fine);
    };
    let ((), tries) = tokio::join!(away, host.occur(Tick::Normal));
    let what = format!("{stage:?} {weather:?} {seconds} s\n{}", host.log());
    assert_eq!(tries.last().unwrap().failure, None, "{what}");
    all_succeeded(host.drain().await);
    night.is_as_any_other(&host, 1).await;
    assert!(began.elapsed() < Duration::from_secs(600), "{what}");
    host.stop().await;
    Some(tries.len())
}

/// Limits how many tests do the work of a run at the same time.
static AT_ONCE: Semaphore = Semaphore::const_new(SIDE_BY_SIDE);

#[tokio::test(flavor = "multi_thread")]
async fn r35_storage_that_is_away_for_up_to_20_seconds_costs_nothing() {
    let cases = [20, 9, 3]
        .into_iter()
        .flat_map(|seconds| STAGES.map(|stage| (stage, Weather::Reset, seconds)));
    let cases = cases.chain([
        (Stage::Locking, Weather::Status(503), 20),
        (Stage::Locking, Weather::Unanswered, 9),
        (Stage::Writing(20), Weather::Unanswered, 9),
        (Stage::Verifying, Weather::Unanswered, 9),
        (Stage::Writing(20), Weather::Hang, 20),
        (Stage::Verifying, Weather::Status(500), 20),
    ]);
    join_all(cases.map(|(stage, weather, seconds)| async move {
        if let Some(tries) = storage_away(stage, weather, seconds).await {
            assert_eq!(tries, 1, "{stage:?} {weather:?} {seconds} s");
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_storage_that_is_away_for_longer_costs_a_retry() {
    join_all(STAGES.map(|stage| async move {
        if let Some(tries) = storage_away(stage, Weather::Reset, 60).await {
            // Only the lock is not released.
            assert_eq!(tries == 1, stage == Stage::Reported, "{stage:?} {tries}");
        }
    }))
    .await;
}

async fn delete_container(settings: &AppSettings) {
    let sas = crate::state::azurite::connection_string_with_sas().unwrap();
    let (endpoint, signature) = sas.split_once(";SharedAccessSignature=").unwrap();
    let endpoint = endpoint.strip_prefix("BlobEndpoint=").unwrap();
    let container = settings["CLOUD_SYNC__STATE"].strip_prefix("az://").unwrap();
    let url = format!("{endpoint}/{container}?restype=container&{signature}");
    let client = crate::world::http_client().build().unwrap();
    let deleted = client.delete(url).send().await.unwrap();
    assert_eq!(deleted.status(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_deleted_is_created_again_by_the_same_process() {
    let office = Office::open(6, 3).await;
    let Some(connection) = crate::state::azurite::connection_string() else {
        return;
    };
    let container = format!("az://deleted-{}", uuid::Uuid::new_v4().simple());
    let settings = hurried(office.settings(&container));
    let mut settings = with(settings, "MAX_NAME_CHANGES", "100%");
    settings.insert("AzureWebJobsStorage".into(), connection);
    let host = host(settings.clone()).await;
    host.timer().await.succeeded();
    let pid = host.pid();
    delete_container(&settings).await;
    all_succeeded(host.occur(Tick::Normal).await);
    delete_container(&settings).await;
    let preview = Call::post("/api/SyncHttp", &json!({"wait": 60}));
    assert_eq!(host.call(preview).await.status, 200);
    let health = host.call(Call::get("/api/SyncHttp/health")).await;
    assert!(health.body.contains("last_success"), "{}", health.body);

    assert_eq!(host.pid(), pid);
    host.stop().await;
}

/// The history is deleted with the container.
async fn container_deleted_at(stage: Stage) {
    let Some(night) = Night::with(stage).await else {
        return;
    };
    let host = host(night.settings()).await;
    let began = Instant::now();
    let deleted = async {
        night.comes().await;
        delete_container(&night.blobs.settings).await;
    };
    let (tries, ()) = tokio::join!(host.occur(Tick::Normal), deleted);
    let last = tries.last().unwrap();
    assert_eq!(last.failure, None, "{stage:?}\n{}", host.log());
    ends_well(&night.office, &host, began).await;
    night.office.is_in_sync();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_a_container_that_is_deleted_in_a_run_costs_a_retry_at_most() {
    at_each_stage(container_deleted_at).await;
}
