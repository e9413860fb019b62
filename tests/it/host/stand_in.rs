//! Tests the double with a handler whose process sleeps, while this process answers on its port.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::post,
};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
};

use super::{
    Host, Phase, Timing, queue::Queue, scripts::scripted_with, until, wire::Tick, worker::Level,
};

/// A host whose handler is a router.
struct StandIn {
    host: Host,
    _root: TempDir,
    _server: JoinSet<()>,
}

/// A host whose handler's process only sleeps.
fn sleeping(settings: &[(&str, &str)], queue: &Queue, timing: Timing) -> (TempDir, Host) {
    let settings = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    scripted_with("exec sleep 600", settings.collect(), queue, timing)
}

async fn listener(host: &Host) -> TcpListener {
    let address = (Ipv4Addr::LOCALHOST, host.shared.port);
    TcpListener::bind(address).await.unwrap()
}

async fn answered_by(router: Router, settings: &[(&str, &str)], queue: &Queue) -> StandIn {
    let (root, host) = sleeping(settings, queue, Timing::default());
    let listener = listener(&host).await;
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    host.ready().await;
    StandIn {
        host,
        _root: root,
        _server: server,
    }
}

#[tokio::test]
async fn any_answer_to_a_bare_get_says_ready() {
    let (_root, host) = sleeping(&[], &Queue::default(), Timing::default());
    let listener = listener(&host).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 1024];
    let read = stream.read(&mut request).await.unwrap();
    let port = host.shared.port;
    let bare = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    assert_eq!(String::from_utf8_lossy(&request[..read]), bare);
    assert_eq!(*host.shared.phase.borrow(), Phase::Starting);
    let broken = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(broken).await.unwrap();
    host.ready().await;
    host.stop().await;
}

#[tokio::test]
async fn who_accepts_and_does_not_answer_keeps_the_host_waiting_for_its_client() {
    let timing = Timing {
        function_timeout: Some(Duration::from_millis(200)),
        client_slack: Duration::from_millis(100),
        ..Timing::default()
    };
    let begun = Instant::now();
    let (_root, host) = sleeping(&[], &Queue::default(), timing);
    let listener = listener(&host).await;
    let silent = async {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.unwrap());
        }
    };
    tokio::select! {
        () = host.ready() => {}
        () = silent => {}
    }
    assert!(begun.elapsed() >= Duration::from_millis(300));
    host.stop().await;
}

#[tokio::test]
async fn who_never_listens_is_started_three_times() {
    let timing = Timing {
        initialization: Duration::from_millis(100),
        ..Timing::default()
    };
    let (_root, host) = sleeping(&[], &Queue::default(), timing);
    let why = host.stopped().await;
    assert!(
        why.starts_with("Exceeded http worker restart retry count"),
        "{why}"
    );
    let errors = host.log().at(Level::Error);
    let late = |line: &&String| *line == "Failed to start http worker process";
    assert_eq!(errors.iter().filter(late).count(), 3, "{}", host.log());
}

/// Messages wait in it until they are released one by one.
#[derive(Debug, Clone)]
struct Gate {
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    leave: Arc<Semaphore>,
}

impl Gate {
    fn closed() -> Self {
        Self {
            inside: Arc::default(),
            most: Arc::default(),
            leave: Arc::new(Semaphore::new(0)),
        }
    }

    fn router(&self) -> Router {
        let gate = self.clone();
        let pass = post(move || {
            let gate = gate.clone();
            async move {
                let inside = gate.inside.fetch_add(1, Ordering::SeqCst) + 1;
                gate.most.fetch_max(inside, Ordering::SeqCst);
                gate.leave.acquire().await.unwrap().forget();
                gate.inside.fetch_sub(1, Ordering::SeqCst);
                Json(json!({}))
            }
        });
        Router::new().route("/SyncQueue", pass)
    }

    async fn holds(&self, messages: usize) {
        let inside = || self.inside.load(Ordering::SeqCst) == messages;
        until("so many are inside", inside).await;
    }
}

#[tokio::test]
async fn as_many_messages_are_under_way_as_the_settings_say() {
    const BATCH: &str = "AzureFunctionsJobHost__extensions__queues__batchSize";
    const THRESHOLD: &str = "AzureFunctionsJobHost__extensions__queues__newBatchThreshold";
    // The project's own host.json, and a batch of 2 that is renewed when 1 is left.
    for (settings, steps) in [
        (&[][..], [1, 1, 1]),
        (&[(BATCH, "2"), (THRESHOLD, "1")], [2, 3, 2]),
    ] {
        let gate = Gate::closed();
        let queue = Queue::default();
        let stand_in = answered_by(gate.router(), settings, &queue).await;
        for _ in 0..5 {
            queue.send(b"{}").unwrap();
        }
        let steps_taken = async {
            for inside in steps {
                gate.holds(inside).await;
                gate.leave.add_permits(1);
            }
            gate.leave.add_permits(5);
        };
        let (invocations, ()) = tokio::join!(stand_in.host.drain(), steps_taken);
        assert_eq!(invocations.len(), 5);
        assert!(invocations.iter().all(|invoked| invoked.failure.is_none()));
        let most = steps.into_iter().max();
        assert_eq!(Some(gate.most.load(Ordering::SeqCst)), most, "{settings:?}");
    }
}

#[tokio::test]
async fn two_instances_share_a_queue_and_neither_leaves_before_it_is_empty() {
    let gate = Gate::closed();
    let queue = Queue::default();
    let one = answered_by(gate.router(), &[], &queue).await;
    let other = answered_by(gate.router(), &[], &queue).await;
    for _ in 0..3 {
        queue.send(b"{}").unwrap();
    }
    let opened = async {
        gate.holds(2).await;
        gate.leave.add_permits(3);
    };
    let (of_one, of_other, ()) = tokio::join!(one.host.drain(), other.host.drain(), opened);
    assert!(!of_one.is_empty() && !of_other.is_empty());
    assert_eq!(of_one.len() + of_other.len(), 3, "each message once");
    assert_eq!(queue.len(), 0);
}

#[tokio::test]
async fn what_cannot_be_bound_is_tried_five_times_and_what_cannot_be_decoded_never() {
    let gate = Gate::closed();
    let queue = Queue::default();
    let stand_in = answered_by(gate.router(), &[], &queue).await;
    let no_utf8 = BASE64_STANDARD.encode([0xff, 0xfe]);
    queue.put_raw(&no_utf8);
    queue.put_raw("no base64!");
    let failures = stand_in.host.drain().await;
    assert_eq!(failures.len(), 5);
    assert!(failures.iter().all(|invoked| invoked.failure.is_some()));
    assert_eq!(queue.poison(), ["no base64!".to_owned(), no_utf8]);
    assert_eq!(
        gate.most.load(Ordering::SeqCst),
        0,
        "the handler heard of neither"
    );
}

#[tokio::test]
async fn what_was_sent_before_a_send_that_failed_stays() {
    let too_large = "x".repeat(49_153);
    let answer = json!({"Outputs": {"next": ["first", too_large, "third"]}});
    let router = Router::new().route("/SyncQueue", post(async move || Json(answer)));
    let queue = Queue::default();
    let stand_in = answered_by(router, &[], &queue).await;
    queue.send(b"trigger").unwrap();
    let invoked = stand_in.host.deliver().await.unwrap();
    assert!(invoked.failure.is_some(), "F13");
    assert_eq!(queue.texts(), ["trigger", "first"], "F13");
}

#[tokio::test]
async fn a_tick_that_fails_is_tried_again_under_the_same_id() {
    let heard: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let kept = Arc::clone(&heard);
    let answer = post(move |headers: HeaderMap, Json(body): Json<Value>| {
        let id = headers["x-azure-functions-invocationid"].to_str().unwrap();
        let mut heard = kept.lock().unwrap();
        heard.push((id.to_owned(), body["Metadata"]["RetryContext"].clone()));
        let succeeds = heard.len().is_multiple_of(3);
        async move {
            if succeeds {
                Json(json!({})).into_response()
            } else {
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    });
    let router = Router::new().route("/SyncTimer", answer);
    let stand_in = answered_by(router, &[], &Queue::default()).await;
    for _ in 0..2 {
        let tries = stand_in.host.occur(Tick::Normal).await;
        let failed: Vec<bool> = tries.iter().map(|it| it.failure.is_some()).collect();
        assert_eq!(failed, [true, true, false]);
    }
    stand_in.host.stop().await;
    let heard = heard.lock().unwrap();
    let ids: BTreeSet<&String> = heard.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 2, "one for each tick");
    for (at, (_, context)) in heard.iter().enumerate() {
        let count = at % 3;
        assert_eq!(
            (&context["RetryCount"], &context["MaxRetryCount"]),
            (&json!(count), &json!(4))
        );
        assert_eq!(context["Exception"].is_null(), count == 0, "{context}");
    }
}
