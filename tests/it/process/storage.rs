//! Storage that fails, with the real process: a clear error before any write, or a stop (R35).

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt as _, future::join_all, stream};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use super::office::{Office, folder_url, with};
use crate::host::{Host, project::AppSettings, until, wire::Call, worker::Level};

/// How requests for blobs fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    Fine,
    /// Every answer has this status.
    Status(u16),
    /// Blobs are returned with half their bytes, but without an error.
    Halves,
    /// Plans cannot be stored.
    NoPlans,
    /// Nothing can be stored.
    ReadOnly,
    /// Requests are neither carried out nor answered until the weather changes.
    Hang,
    /// Blobs are returned a few bytes at a time.
    Drip,
    /// Requests are not carried out, and the connection is closed without an answer.
    Reset,
    /// Requests are carried out, and the connection is closed without an answer.
    Unanswered,
}

/// The one write that takes longer than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slow {
    Never,
    /// The next write with this in its path.
    Next(&'static str, Duration),
    Reached,
}

/// Azurite behind a bad network.
pub(super) struct Blobs {
    pub(super) settings: AppSettings,
    network: Network,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Network {
    weather: Arc<Mutex<Weather>>,
    slow: Arc<Mutex<Slow>>,
}

#[derive(Clone)]
struct Proxy {
    client: reqwest::Client,
    upstream: String,
    network: Network,
}

impl Blobs {
    /// `None` without Azurite.
    pub(super) async fn open(office: &Office) -> Option<Self> {
        let connection = crate::state::azurite::connection_string()?;
        let (_, rest) = connection.split_once("BlobEndpoint=http://").unwrap();
        let (upstream, _) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let container = format!("az://storage-{}", uuid::Uuid::new_v4().simple());
        let mut settings = office.settings(&container);
        let connection = connection.replace(upstream, &here);
        settings.insert("AzureWebJobsStorage".to_owned(), connection);
        let network = Network {
            weather: Arc::new(Mutex::new(Weather::Fine)),
            slow: Arc::new(Mutex::new(Slow::Never)),
        };
        let proxy = Proxy {
            client: crate::world::http_client().build().unwrap(),
            upstream: format!("http://{upstream}"),
            network: network.clone(),
        };
        let mut server = JoinSet::new();
        let router = Router::new().fallback(forward).with_state(proxy);
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Some(Self {
            settings,
            network,
            _server: server,
        })
    }

    pub(super) fn becomes(&self, weather: Weather) {
        *self.network.weather.lock().unwrap() = weather;
    }

    /// The next write with this in its path takes so long to reach storage.
    pub(super) fn slows_down(&self, part: &'static str, by: Duration) {
        *self.network.slow.lock().unwrap() = Slow::Next(part, by);
    }

    pub(super) fn has_slowed_down(&self) -> bool {
        *self.network.slow.lock().unwrap() == Slow::Reached
    }
}

impl Network {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    /// How long a request takes to reach storage.
    fn delay(&self, request: &Request) -> Duration {
        let mut slow = self.slow.lock().unwrap();
        match *slow {
            Slow::Next(part, by)
                if request.method() == Method::PUT && request.uri().path().contains(part) =>
            {
                *slow = Slow::Reached;
                by
            }
            Slow::Never | Slow::Next(..) | Slow::Reached => Duration::ZERO,
        }
    }
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    tokio::time::sleep(proxy.network.delay(&request)).await;
    let weather = proxy.network.weather();
    if weather == Weather::Hang {
        while proxy.network.weather() == weather {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    if matches!(weather, Weather::Hang | Weather::Reset) {
        return reset();
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let plan = parts.method == Method::PUT && path.contains("/plan/");
    match weather {
        Weather::Status(status) => {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        Weather::NoPlans if plan => return StatusCode::FORBIDDEN.into_response(),
        Weather::ReadOnly if parts.method == Method::PUT => {
            return StatusCode::FORBIDDEN.into_response();
        }
        Weather::Fine
        | Weather::Halves
        | Weather::NoPlans
        | Weather::ReadOnly
        | Weather::Hang
        | Weather::Drip
        | Weather::Reset
        | Weather::Unanswered => {}
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let is_blob = parts.method == Method::GET && !path.contains("comp=list");
    let answer = proxy
        .client
        .request(parts.method, format!("{}{path}", proxy.upstream))
        .headers(headers)
        .body(body)
        .send()
        .await
        .unwrap();
    if weather == Weather::Unanswered {
        return reset();
    }
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let mut bytes = answer.bytes().await.unwrap();
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::CONNECTION);
    if weather == Weather::Halves && is_blob {
        bytes = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
        headers.remove(header::CONTENT_LENGTH);
        headers.remove("content-md5");
    }
    let body = if weather == Weather::Drip && is_blob {
        Body::from_stream(drops(&bytes))
    } else {
        Body::from(bytes)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn reset() -> Response {
    let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset");
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(broken)])))
}

/// A hundred pieces, whatever the length of the whole.
fn drops(bytes: &Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let length = bytes.len().div_ceil(100).max(1);
    let drops: Vec<Bytes> = bytes.chunks(length).map(Bytes::copy_from_slice).collect();
    stream::iter(drops).then(|drop| async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        Ok(drop)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_is_down_is_told_before_any_write() {
    let office = Office::open(4, 1).await;
    let Some(blobs) = Blobs::open(&office).await else {
        return;
    };
    for (weather, told) in [
        (Weather::Status(403), "not allowed to"),
        (Weather::Status(503), "check that the storage is up"),
    ] {
        blobs.becomes(weather);
        let host = Host::start(blobs.settings.clone()).await;
        assert!(host.timer().await.failure.is_some());
        until(told, || host.log().has(told)).await;
        let client = host.call(Call::get("/api/SyncHttp/health")).await;
        assert_eq!(
            (client.status, client.content_type()),
            (503, "application/problem+json; charset=utf-8")
        );
        let start = Call::post("/api/SyncHttp", &json!({"mode": "apply"}));
        assert_eq!(host.call(start).await.status, 503);
        assert_eq!((office.writes(), host.queue.len()), (0, 0));
        host.stop().await;
    }
    blobs.becomes(Weather::NoPlans);
    let host = Host::start(blobs.settings.clone()).await;
    assert!(host.timer().await.failure.is_some());
    assert_eq!(
        office.writes(),
        0,
        "no write without its plan in the journal"
    );

    blobs.becomes(Weather::Fine);
    host.timer().await.succeeded();
    office.is_in_sync();
    let before = office.writes();
    blobs.becomes(Weather::Halves);
    assert!(host.timer().await.failure.is_some());
    until("what is unreadable", || host.log().has("is unreadable")).await;
    assert_eq!(office.writes(), before);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_can_only_be_read_is_an_error_of_check() {
    let office = Office::open(4, 1).await;
    let Some(blobs) = Blobs::open(&office).await else {
        return;
    };
    let host = Host::start(blobs.settings.clone()).await;
    for (weather, level, told) in [
        (Weather::Fine, "good", "can be read and written"),
        (
            Weather::ReadOnly,
            "error",
            "give the identity the role Storage Blob Data Owner",
        ),
    ] {
        blobs.becomes(weather);
        let client = host.call(Call::get("/api/SyncHttp/check")).await;
        let findings = client.json()["findings"].as_array().unwrap().clone();
        let state = findings.iter().find(|it| it["topic"] == "state").unwrap();
        assert_eq!(state["level"], level, "{state}");
        assert!(state["text"].as_str().unwrap().contains(told), "{state}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_nobody_serves_is_told_before_any_write() {
    let office = Office::open(4, 1).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let mut settings = office.settings("az://nowhere");
    let connection = format!(
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=bm9ib2R5;BlobEndpoint=http://{nobody}/devstoreaccount1;"
    );
    settings.insert("AzureWebJobsStorage".to_owned(), connection);
    let host = Host::start(settings).await;
    assert!(host.timer().await.failure.is_some());
    let told = "start Azurite, or leave AzureWebJobsStorage empty";
    until(told, || host.log().has(told)).await;
    assert_eq!(office.writes(), 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_goes_down_in_mid_run_stops_the_writing() {
    let office = Office::open(8, 5).await;
    let Some(blobs) = Blobs::open(&office).await else {
        return;
    };
    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(2500));
    let settings = with(blobs.settings.clone(), "TIME_BUDGET", "60s");
    let host = Host::start(settings).await;
    let invoked = {
        let mut run = Box::pin(host.timer());
        let begun = until("it writes", || office.writes() >= 3);
        tokio::select! {
            invoked = run.as_mut() => panic!("ended early: {invoked:?}"),
            () = begun => {}
        }
        blobs.becomes(Weather::Status(503));
        run.await
    };
    assert!(invoked.failure.is_some());
    assert!(
        office.accounts() != office.expected,
        "it stopped before the end"
    );
    until("an error", || !host.log().at(Level::Error).is_empty()).await;
    blobs.becomes(Weather::Fine);
    zivver.set_latency(Duration::ZERO);
    let started = host
        .call(Call::post("/api/SyncHttp", &json!({"mode": "apply"})))
        .await;
    for invoked in host.drain().await {
        invoked.succeeded();
    }
    let report = host
        .call(Call::get(&started.headers["location"]))
        .await
        .json();
    assert_eq!(report["converged"], true, "{report}");
    office.is_in_sync();
    host.stop().await;
}

/// What a run reports if storage fails in this way from the start.
async fn at_the_start(weather: Weather, told: &str) {
    let office = Office::open(4, 1).await;
    let Some(blobs) = Blobs::open(&office).await else {
        return;
    };
    let host = Host::start(blobs.settings.clone()).await;
    blobs.becomes(weather);
    assert!(host.timer().await.failure.is_some(), "{weather:?}");
    let is_told = |line: &String| line.contains(told);
    until(told, || host.log().at(Level::Error).iter().any(is_told)).await;
    assert_eq!(office.writes(), 0, "{weather:?}");
    // The same process. Slow storage is not a fault.
    blobs.becomes(Weather::Drip);
    host.timer().await.succeeded();
    office.is_in_sync();
    host.timer().await.succeeded();
    host.stop().await;
}

/// A run whose storage begins to fail in this way while it writes: it stops, and the next run does the rest.
async fn in_mid_run(weather: Weather) {
    let office = Office::open(8, 5).await;
    let Some(blobs) = Blobs::open(&office).await else {
        return;
    };
    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(1500));
    let host = Host::start(blobs.settings.clone()).await;
    let invoked = {
        let mut run = Box::pin(host.timer());
        let begun = until("it writes", || office.writes() >= 3);
        tokio::select! {
            invoked = run.as_mut() => panic!("{weather:?}: ended early: {invoked:?}"),
            () = begun => {}
        }
        blobs.becomes(weather);
        run.await
    };
    assert!(invoked.failure.is_some(), "{weather:?}");
    let stopped = office.accounts() != office.expected;
    assert!(stopped, "{weather:?}: it stopped before the end");
    let has_error = || !host.log().at(Level::Error).is_empty();
    until("an error", has_error).await;
    blobs.becomes(Weather::Fine);
    zivver.set_latency(Duration::ZERO);
    catches_up(&host, &office).await;
    host.stop().await;
}

/// The schedule does the rest, after the lock of the previous run is free.
async fn catches_up(host: &Host, office: &Office) {
    let started = host
        .call(Call::post("/api/SyncHttp", &json!({"mode": "apply"})))
        .await;
    assert_eq!(started.status, 202, "{}", started.body);
    for invoked in host.drain().await {
        invoked.succeeded();
    }
    let location = Call::get(&started.headers["location"]);
    let report = host.call(location).await.json();
    assert_eq!(report["converged"], true, "{report}");
    office.is_in_sync();
}

/// R29: no write after the end of a lease that could not be renewed, even if storage answers again.
async fn hanging_for_longer_than_a_lease() {
    const LEASE: Duration = Duration::from_secs(8);
    let office = Office::open(8, 5).await;
    let Some(blobs) = Blobs::open(&office).await else {
        return;
    };
    // So slow that the lease ends long before the last write.
    let settings = with(blobs.settings.clone(), "ZIVVER_RATE", "5/1s");
    let settings = with(settings, "LOCK_LEASE", "8s");
    let host = Host::start(settings).await;
    {
        let mut run = Box::pin(host.timer());
        let begun = until("it writes", || office.writes() >= 3);
        tokio::select! {
            invoked = run.as_mut() => panic!("ended early: {invoked:?}"),
            () = begun => {}
        }
        blobs.becomes(Weather::Hang);
        tokio::time::sleep(LEASE + LEASE / 2).await;
        let writes = office.writes();
        tokio::time::sleep(LEASE / 2).await;
        assert_eq!(office.writes(), writes, "the lease is over");
        assert!(office.accounts() != office.expected);
        blobs.becomes(Weather::Fine);
        // The journal can be stored again, but no further write is sent.
        assert!(run.await.failure.is_some());
        assert_eq!(office.writes(), writes);
    }
    catches_up(&host, &office).await;
    host.stop().await;
}

/// In parallel, since they mostly wait for retries and for leases.
#[tokio::test(flavor = "multi_thread")]
async fn r29_r35_storage_in_bad_weather_is_told_and_stops_the_writing() {
    let starts = [
        (
            Weather::Status(401),
            "401 Unauthorized; give the identity the role",
        ),
        (
            Weather::Status(404),
            "404 Not Found; check that the storage is up",
        ),
        (
            Weather::Status(409),
            "409 Conflict; check that the storage is up",
        ),
        (
            Weather::Status(412),
            "412 Precondition Failed; check that the storage is up",
        ),
        (
            Weather::Status(429),
            "429 Too Many Requests; check that the storage is up",
        ),
        (
            Weather::Reset,
            "check that the storage is up and reachable from here",
        ),
    ];
    let turns = [401, 404, 409, 412, 429].map(Weather::Status);
    let turns = turns.into_iter().chain([Weather::Reset]);
    futures::join!(
        join_all(starts.map(|(weather, told)| at_the_start(weather, told))),
        join_all(turns.map(in_mid_run)),
        hanging_for_longer_than_a_lease(),
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_in_a_folder_can_be_read_by_its_user_only() {
    let office = Office::open(3, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let host = Host::start(office.settings(&folder_url(&state))).await;
    host.timer().await.succeeded();
    let modes = modes(&state);
    assert!(modes.len() > 10, "{modes:?}");
    for (path, is_folder, mode) in modes {
        let expected = if is_folder { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{mode:o}: {}", path.display());
    }
    host.stop().await;
}

/// Of a folder and everything below it.
#[cfg(unix)]
fn modes(path: &std::path::Path) -> Vec<(std::path::PathBuf, bool, u32)> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(path).unwrap();
    let mode = metadata.permissions().mode() & 0o777;
    let mut found = vec![(path.to_owned(), metadata.is_dir(), mode)];
    if metadata.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        found.extend(entries.flat_map(|entry| modes(&entry.unwrap().path())));
    }
    found
}
