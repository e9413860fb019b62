//! Storage that fails, in front of the real process: a clear error before any write, or a stop (R35).

use std::{
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
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use super::office::{Office, with};
use crate::host::{Host, project::AppSettings, until, wire::Call, worker::Level};

/// What becomes of requests for blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fine,
    /// Every answer.
    Status(u16),
    /// Blobs come back with half their bytes, in good order.
    Halves,
    /// Plans cannot be written.
    NoPlans,
}

/// Azurite behind a bad network.
struct Blobs {
    settings: AppSettings,
    weather: Arc<Mutex<Weather>>,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Proxy {
    client: reqwest::Client,
    upstream: String,
    weather: Arc<Mutex<Weather>>,
}

impl Blobs {
    /// `None` where there is no Azurite.
    async fn open(office: &Office) -> Option<Self> {
        let connection = crate::state::azurite::connection_string()?;
        let (_, rest) = connection.split_once("BlobEndpoint=http://").unwrap();
        let (upstream, _) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let container = format!("az://storage-{}", uuid::Uuid::new_v4().simple());
        let mut settings = office.settings(&container);
        let connection = connection.replace(upstream, &here);
        settings.insert("AzureWebJobsStorage".to_owned(), connection);
        let weather = Arc::new(Mutex::new(Weather::Fine));
        let proxy = Proxy {
            client: crate::world::http_client().build().unwrap(),
            upstream: format!("http://{upstream}"),
            weather: Arc::clone(&weather),
        };
        let mut server = JoinSet::new();
        let router = Router::new().fallback(forward).with_state(proxy);
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Some(Self {
            settings,
            weather,
            _server: server,
        })
    }

    fn becomes(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    let weather = *proxy.weather.lock().unwrap();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let plan = parts.method == Method::PUT && path.contains("/plan/");
    match weather {
        Weather::Status(status) => {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        Weather::NoPlans if plan => return StatusCode::FORBIDDEN.into_response(),
        Weather::Fine | Weather::Halves | Weather::NoPlans => {}
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
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let mut bytes = answer.bytes().await.unwrap();
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::CONNECTION);
    if weather == Weather::Halves && is_blob {
        bytes = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
        headers.remove(header::CONTENT_LENGTH);
        headers.remove("content-md5");
    }
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
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
            (503, "application/problem+json")
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
    let told = "check that the storage is up and reachable";
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
