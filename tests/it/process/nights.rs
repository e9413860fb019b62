//! A night is not lost: whatever ends the handler, the host or the storage in the middle, the run of the schedule comes to
//! its end within ten minutes and without a person (R29, R34, R35).
//!
//! Ten times faster than in Azure, except storage: how long it may be away is not a matter of scale.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cloud_sync::{
    sandbox::control::{Fault, FaultKind},
    state::lock::Lease,
};
use futures::future::join_all;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    durability::at_write,
    instances::{all_succeeded, one_wrote_at_a_time},
    office::{Office, folder_url, with},
    storage::{Blobs, Weather},
};
use crate::host::{
    Host, Invoked, Timing,
    project::{AppSettings, Project, Provider, app_root},
    queue::Queue,
    until,
    wire::{self, Call, Framing, Tick},
};

/// 4 minutes.
const RETRY_DELAY: Duration = Duration::from_secs(24);
/// A minute.
const LEASE: &str = "6s";
const TEN_MINUTES: Duration = Duration::from_secs(60);

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

/// Lets the host do what it does by itself, and looks whether that was enough.
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
    // The first one ends the run of a handler that was killed.
    assert!(retry.delay < Duration::from_secs(10 * 60));
    assert_eq!(retry.delay, RETRY_DELAY * 10);
    for other in ["SyncHttp", "SyncQueue"] {
        assert_eq!(project.functions[other].retry, None, "{other}");
    }
}

/// The stage of a run at which something happens, as requests to the services tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reading,
    /// So many writes are done.
    Writing(u32),
    Verifying,
}

impl Stage {
    /// Makes the run stand still there, once.
    fn halt(self, office: &Office) {
        let zivver = office.sandbox.zivver.control();
        match self {
            Self::Reading => {
                let exchange = office.sandbox.exchange.control();
                exchange.inject(Fault::once(FaultKind::HangBefore).path("MailboxPermission"));
            }
            Self::Writing(done) => zivver.inject(at_write(done, &FaultKind::HangAfter)),
            // The two lists are read once before.
            Self::Verifying => {
                let hang = Fault::once(FaultKind::HangBefore);
                zivver.inject(hang.method("GET").path("/Users").after(1));
            }
        }
    }

    fn is_reached(office: &Office) -> bool {
        let sandbox = &office.sandbox;
        let mut journals = sandbox.zivver.control().journal();
        journals.extend(sandbox.exchange.control().journal());
        journals.iter().any(|entry| entry.fault.is_some())
    }
}

async fn handler_killed_at(stage: Stage) {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    stage.halt(&office);
    let host = host(hurried(office.settings(&folder_url(folder.path())))).await;
    let began = Instant::now();
    let killed = async {
        until("the stage is reached", || Stage::is_reached(&office)).await;
        host.crash().await;
    };
    let (tries, ()) = tokio::join!(host.occur(Tick::Normal), killed);
    let failures: Vec<bool> = tries.iter().map(|it| it.failure.is_some()).collect();
    assert_eq!(failures, [true, false], "{stage:?}\n{}", host.log());
    ends_well(&office, &host, began).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_a_handler_that_is_killed_in_a_tick_is_followed_by_one_that_ends_the_run() {
    let stages = [
        Stage::Reading,
        Stage::Writing(0),
        Stage::Writing(20),
        Stage::Verifying,
    ];
    join_all(stages.map(handler_killed_at)).await;
}

/// A host that can be killed: the process that started the handler is gone, and with it the other ends of its pipes.
struct OwnParent {
    parent: std::process::Child,
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
            .args(["-c", "./handler & wait"])
            .current_dir(root.path())
            .envs(settings)
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let started = Self {
            parent,
            port,
            _root: root,
        };
        until("it listens", || started.is_served()).await;
        started
    }

    fn is_served(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    fn kill(&mut self) {
        self.parent.kill().unwrap();
        self.parent.wait().unwrap();
        drop((self.parent.stdout.take(), self.parent.stderr.take()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_a_handler_whose_host_was_killed_ends_its_run_and_itself() {
    let office = Office::open(6, 3).await;
    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(300));
    let folder = tempfile::tempdir().unwrap();
    let settings = hurried(office.settings(&folder_url(folder.path())));
    let mut killed = OwnParent::start(&settings).await;
    let body = br#"{"Data":{"timer":{}}}"#;
    let port = killed.port;
    let mut tick = JoinSet::new();
    tick.spawn(async move { wire::invoke(port, "SyncTimer", body, Framing::Chunked).await });
    until("it writes", || office.writes() >= 3).await;
    killed.kill();
    // A killed host hears no answer.
    tick.shutdown().await;
    let began = Instant::now();
    until("the handler has ended", || !killed.is_served()).await;
    assert!(office.accounts() != office.expected, "it did not do all");
    zivver.set_latency(Duration::ZERO);

    let next = host(settings).await;
    let tries = next.occur(Tick::PastDue).await;
    all_succeeded(tries);
    ends_well(&office, &next, began).await;
    next.stop().await;
}

/// The host is killed, and with it the handler, or not: the next instance finds the lock.
async fn lock_held(is_holder_alive: bool, is_same_machine: bool) {
    let office = Office::open(6, 3).await;
    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(100));
    let folder = tempfile::tempdir().unwrap();
    let settings = hurried(office.settings(&folder_url(folder.path())));
    let mut other = settings.clone();
    if !is_same_machine {
        other.insert("WEBSITE_INSTANCE_ID".into(), "another instance".into());
    }
    let holder = host(settings).await;
    let next = host(other).await;
    let mut run = Box::pin(holder.timer());
    tokio::select! {
        invoked = &mut run => panic!("ended early: {invoked:?}"),
        () = until("it writes", || office.writes() >= 3) => {}
    }
    let began = Instant::now();
    if is_holder_alive {
        let (of_holder, of_next) = tokio::join!(run, next.occur(Tick::PastDue));
        of_holder.succeeded();
        assert_eq!(of_next.len(), 1);
        all_succeeded(of_next);
        assert!(
            next.log()
                .has("was handed to the queue: another run writes")
        );
    } else {
        drop(run);
        holder.signal("KILL");
        zivver.set_latency(Duration::ZERO);
        let tries = next.occur(Tick::PastDue).await;
        assert_eq!(tries.len(), 1);
        all_succeeded(tries);
        let is_handed_on = next.queue.len() == 1;
        assert_eq!(is_handed_on, !is_same_machine, "{}", next.log());
    }
    ends_well(&office, &next, began).await;
    next.stop().await;
    holder.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn r29_a_tick_that_finds_a_lock_is_made_by_the_queue_or_at_once() {
    tokio::join!(
        lock_held(true, true),
        lock_held(false, true),
        lock_held(false, false),
    );
}

/// Storage is so for a while, from a stage of a run on; `None`: from before it.
async fn storage_away(
    stage: Option<Stage>,
    weather: Weather,
    seconds: u64,
) -> Option<Vec<Invoked>> {
    let office = Office::open(6, 3).await;
    let blobs = Blobs::open(&office).await?;
    let settings = with(blobs.settings.clone(), "LOCK_LEASE", "60s");
    let host = host(settings).await;
    if let Some(stage) = stage {
        // Storage is away before the next request, and back while the run goes on.
        let slow = FaultKind::Delay { millis: 1500 };
        match stage {
            Stage::Reading => {
                let exchange = office.sandbox.exchange.control();
                exchange.inject(Fault::once(slow).path("MailboxPermission"));
            }
            Stage::Writing(done) => {
                let zivver = office.sandbox.zivver.control();
                zivver.inject(at_write(done, &slow));
            }
            Stage::Verifying => {
                let zivver = office.sandbox.zivver.control();
                let slow = Fault::once(slow).method("GET").path("/Users");
                zivver.inject(slow.after(1));
            }
        }
    }
    let began = Instant::now();
    let away = async {
        if stage.is_some() {
            until("the stage is reached", || Stage::is_reached(&office)).await;
        }
        blobs.becomes(weather);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        blobs.becomes(Weather::Fine);
    };
    let tick = async {
        if stage.is_none() {
            // The weather changes first.
            tokio::task::yield_now().await;
        }
        host.occur(Tick::Normal).await
    };
    let ((), tries) = tokio::join!(away, tick);
    let last = tries.last().unwrap();
    let what = format!("{stage:?} {weather:?} {seconds} s\n{}", host.log());
    assert_eq!(last.failure, None, "{what}");
    all_succeeded(host.drain().await);
    office.is_in_sync();
    assert_eq!(host.queue.poison(), Vec::<String>::new());
    assert!(began.elapsed() < Duration::from_secs(600), "{what}");
    host.stop().await;
    Some(tries)
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_storage_that_is_away_for_up_to_20_seconds_costs_nothing() {
    let stages = [
        None,
        Some(Stage::Reading),
        Some(Stage::Writing(20)),
        Some(Stage::Verifying),
    ];
    let cases = stages
        .into_iter()
        .flat_map(|stage| [3, 9, 20].map(|seconds| (stage, Weather::Reset, seconds)));
    let cases = cases.chain([
        (None, Weather::Status(503), 20),
        (None, Weather::Unanswered, 9),
        (Some(Stage::Writing(20)), Weather::Unanswered, 9),
        (Some(Stage::Verifying), Weather::Unanswered, 9),
        (Some(Stage::Writing(20)), Weather::Hang, 20),
        (Some(Stage::Verifying), Weather::Status(500), 20),
    ]);
    join_all(cases.map(|(stage, weather, seconds)| async move {
        if let Some(tries) = storage_away(stage, weather, seconds).await {
            assert_eq!(tries.len(), 1, "{stage:?} {weather:?} {seconds} s");
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_storage_that_is_away_for_longer_costs_a_retry() {
    let stages = [
        None,
        Some(Stage::Reading),
        Some(Stage::Writing(20)),
        Some(Stage::Verifying),
    ];
    join_all(stages.map(|stage| async move {
        if let Some(tries) = storage_away(stage, Weather::Reset, 60).await {
            assert!(tries.len() > 1, "{stage:?}");
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

    // In the middle of a run: the lock is gone, so it stops, and the next try does the rest.
    office.sandbox.zivver.with_state(|zivver| {
        for user in zivver.users.iter_mut().filter(|user| user.active) {
            user.name = "By Hand".into();
        }
    });
    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(500));
    let deleted = async {
        let before = office.writes();
        until("it writes", || office.writes() > before + 2).await;
        delete_container(&settings).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        zivver.set_latency(Duration::ZERO);
    };
    let began = Instant::now();
    let (tries, ()) = tokio::join!(host.occur(Tick::Normal), deleted);
    assert_eq!(tries.last().unwrap().failure, None, "{}", host.log());
    ends_well(&office, &host, began).await;
    assert_eq!(host.pid(), pid);
    host.stop().await;
}
