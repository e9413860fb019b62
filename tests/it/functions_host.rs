//! The listener as the Functions host uses it: bytes over TCP, `docs/specs/functions-host.md`, "2. Wire protocol".

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use cloud_sync::domain::report::RunState;
use cloud_sync::functions::{
    Answer, App, Invocation, Message, Mode, Response, Success, Timer, Trigger, serve,
};
use cloud_sync::state::RunId;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinSet,
};

use crate::{
    invocations::{Bench, LEASE, newcomers},
    state::faults::Fault,
};

type Handle = Arc<dyn Fn(Invocation) -> Answer + Send + Sync>;

/// A running server; dropping it ends the server.
struct Host {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinSet<std::io::Result<()>>,
}

struct Heard {
    status: u16,
    head: String,
    body: String,
}

impl Heard {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Host {
    async fn start<H, F>(handle: H) -> Self
    where
        H: Fn(Invocation) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, async move { drop(stopped.await) }, handle));
        Self {
            address,
            stop,
            server,
        }
    }

    /// A handler that answers at once.
    async fn with(handle: impl Fn(Invocation) -> Answer + Send + Sync + 'static) -> Self {
        let handle: Handle = Arc::new(handle);
        Self::start(move |invocation| {
            let handle = Arc::clone(&handle);
            async move { handle(invocation) }
        })
        .await
    }

    async fn send(&self, request: &[u8]) -> Heard {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Heard {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// As the host sends it under Core Tools, where the body was buffered first.
    async fn invoke(&self, function: &str, body: &str) -> Heard {
        let head = format!(
            "POST /{function} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nX-Azure-Functions-HostVersion: 4.1045.200.25556\r\n\
             X-Azure-Functions-InvocationId: 5f7c1f53-2c0a-4a55-8b0c-7d0f3d0a9e11\r\n\
             User-Agent: Azure-Functions-Host/4.1045.200.25556\r\nContent-Type: application/json; charset=utf-8\r\n",
            self.address
        );
        let length = body.len();
        self.send(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
            .await
    }

    /// As the host sends it in Azure, in two chunks and with headers in other cases.
    async fn invoke_chunked(&self, function: &str, body: &str) -> Heard {
        let (first, second) = body.split_at(body.len() / 2);
        let request = format!(
            "POST /{function} HTTP/1.1\r\nhost: {}\r\nCONNECTION: close\r\nx-azure-functions-invocationid: 6f7c\r\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            self.address,
            first.len(),
            second.len(),
        );
        self.send(request.as_bytes()).await
    }
}

fn done() -> Answer {
    Answer::Success(Success::default())
}

#[tokio::test]
async fn any_get_says_ready_and_other_paths_do_not_exist() {
    let host = Host::with(|_| done()).await;
    for (line, status) in [
        ("GET / HTTP/1.1", 200),
        ("GET /anything HTTP/1.1", 200),
        ("GET /SyncTimer HTTP/1.1", 200),
        ("POST / HTTP/1.1", 404),
        ("POST /synctimer HTTP/1.1", 404),
        ("DELETE /SyncTimer HTTP/1.1", 404),
    ] {
        // The only header of the host's readiness request is Host.
        let request = format!("{line}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        assert_eq!(host.send(request.as_bytes()).await.status, status, "{line}");
    }
}

#[tokio::test]
async fn a_timer_is_heard_in_both_framings() {
    let heard: Arc<Mutex<Vec<(String, Timer)>>> = Arc::default();
    let seen = Arc::clone(&heard);
    let host = Host::with(move |invocation| {
        let Trigger::Timer(timer) = invocation.trigger else {
            panic!("no timer");
        };
        seen.lock().unwrap().push((invocation.id, timer));
        done()
    })
    .await;
    let body = r#"{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":true}},"Metadata":{"sys":{}}}"#;
    let answer = host.invoke("SyncTimer", body).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"));
    assert_eq!(answer.json()["Outputs"]["next"], json!([]));
    assert_eq!(host.invoke_chunked("SyncTimer", body).await.status, 200);
    let timer = Timer {
        is_past_due: true,
        retry_count: 0,
    };
    assert_eq!(
        *heard.lock().unwrap(),
        [
            ("5f7c1f53-2c0a-4a55-8b0c-7d0f3d0a9e11".to_owned(), timer),
            ("6f7c".to_owned(), timer),
        ]
    );
}

#[tokio::test]
async fn a_failure_turns_timer_and_queue_red_but_never_http() {
    let host = Host::with(|_| Answer::Failure {
        cause: "source incomplete".to_owned(),
    })
    .await;
    let message = r#"{"v":1,"kind":"run","run":"20261123T020000Z-0b5e77","mode":"apply"}"#;
    let message = json!({"Data": {"message": json!(message).to_string()}}).to_string();
    assert_eq!(host.invoke("SyncTimer", r#"{"Data":{}}"#).await.status, 500);
    assert_eq!(host.invoke("SyncQueue", &message).await.status, 500);
    let answer = host.invoke("SyncHttp", r#"{"Data":{"req":{}}}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["Outputs"]["res"]["statusCode"], "500");
}

#[tokio::test]
async fn a_panic_fails_its_invocation_only() {
    let host = Host::with(|invocation| match invocation.trigger {
        Trigger::Http(request) if request.segments.is_empty() => panic!("on purpose"),
        Trigger::Timer(_) => panic!("on purpose"),
        Trigger::Http(_) | Trigger::Queue(_) => {
            Response::new(204, "text/plain", String::new()).into()
        }
    })
    .await;
    let answer = host.invoke("SyncHttp", r#"{"Data":{"req":{}}}"#).await;
    let res = &answer.json()["Outputs"]["res"];
    assert_eq!((answer.status, &res["statusCode"]), (200, &json!("500")));
    assert_eq!(res["headers"]["Content-Type"], "application/problem+json");
    assert_eq!(host.invoke("SyncTimer", r#"{"Data":{}}"#).await.status, 500);
    let path = r#"{"Data":{"req":{"Params":{"path":"health"}}}}"#;
    let answer = host.invoke("SyncHttp", path).await;
    assert_eq!(
        answer.json()["Outputs"]["res"],
        json!({
            "statusCode": "204",
            "headers": {"Content-Type": "text/plain", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
            "body": "",
        })
    );
}

#[tokio::test]
async fn r35_after_a_panic_in_the_middle_of_a_run_the_next_one_converges() {
    let bench = Bench::open(newcomers(3), &[]).await;
    let app = App::new(Ok(bench.engine(Some(LEASE))));
    let host = Host::start(move |invocation| {
        let app = app.clone();
        async move { app.handle(invocation).await }
    })
    .await;
    bench.weather.suffers(Fault::PanicAtPlan);
    let tick = r#"{"Data":{}}"#;
    assert_eq!(host.invoke("SyncTimer", tick).await.status, 500);
    assert_eq!(bench.users(), []);
    bench.weather.suffers(Fault::None);
    // Its lock is no longer renewed.
    tokio::time::sleep(LEASE.length + LEASE.margin * 2).await;
    assert_eq!(host.invoke("SyncTimer", tick).await.status, 200);
    assert_eq!(bench.users().len(), 3);
    let runs = bench.engine(None).history(10).await.unwrap();
    assert!(
        runs.iter().all(|run| run.state == RunState::Ended),
        "{runs:?}"
    );
}

#[tokio::test]
async fn an_http_call_without_response_still_gets_one() {
    let host = Host::with(|_| done()).await;
    let answer = host.invoke("SyncHttp", r#"{"Data":{"req":{}}}"#).await;
    assert_eq!(answer.json()["Outputs"]["res"]["statusCode"], "500");
}

#[tokio::test]
async fn next_goes_out_as_texts_beside_the_response() {
    let host = Host::with(|_| {
        Answer::Success(Success {
            response: Some(Response::json(
                202,
                &json!({"run": "20261123T020000Z-0b5e77"}),
            )),
            next: vec![Message {
                run: RunId::parse("20261123T020000Z-0b5e77").unwrap(),
                mode: Mode::Preview,
            }],
        })
    })
    .await;
    let answer = host
        .invoke("SyncHttp", r#"{"Data":{"req":{}}}"#)
        .await
        .json();
    assert_eq!(
        answer["Outputs"]["next"],
        json!([r#"{"v":1,"kind":"run","run":"20261123T020000Z-0b5e77","mode":"preview"}"#])
    );
    assert_eq!(
        answer["Outputs"]["res"]["body"],
        r#"{"run":"20261123T020000Z-0b5e77"}"#
    );
    assert_eq!(answer.get("Logs"), None, "the console has it");
    assert_eq!(answer["ReturnValue"], Value::Null);
}

#[tokio::test]
async fn a_message_that_can_never_succeed_is_dropped_before_the_application() {
    let host = Host::with(|_| Answer::Failure {
        cause: "the application was asked".to_owned(),
    })
    .await;
    for text in [
        "hello",
        "",
        "[1,2]",
        r#"{"v":2,"kind":"run","run":"20261123T020000Z-0b5e77"}"#,
        "eyJ2IjoxfQ==",
    ] {
        let body = json!({"Data": {"message": json!(text).to_string()}, "Metadata": {"DequeueCount": "1"}});
        let answer = host.invoke("SyncQueue", &body.to_string()).await;
        assert_eq!(answer.status, 200, "{text}");
        assert!(answer.json().is_object());
    }
}

#[tokio::test]
async fn an_unreadable_envelope_ends_as_its_trigger_demands() {
    let host = Host::with(|_| done()).await;
    for body in ["", "null", "[]", "{"] {
        assert_eq!(host.invoke("SyncTimer", body).await.status, 500);
        assert_eq!(host.invoke("SyncQueue", body).await.status, 500);
        let answer = host.invoke("SyncHttp", body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["Outputs"]["res"]["statusCode"], "400");
    }
}

#[tokio::test]
async fn a_stop_waits_for_what_is_in_flight() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, gate) = (Arc::clone(&entered), Arc::clone(&release));
    let host = Host::start(move |_| {
        let (inside, gate) = (Arc::clone(&inside), Arc::clone(&gate));
        async move {
            inside.notify_one();
            gate.notified().await;
            done()
        }
    })
    .await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let body = r#"{"Data":{}}"#;
    let request = format!(
        "POST /SyncTimer HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    entered.notified().await;
    host.stop.send(()).unwrap();
    release.notify_one();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let mut server = host.server;
    server.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_began_ends_though_the_host_hangs_up() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, gate) = (Arc::clone(&entered), Arc::clone(&release));
    let (ended, end) = oneshot::channel();
    let ended = Arc::new(Mutex::new(Some(ended)));
    let host = Host::start(move |_| {
        let (inside, gate) = (Arc::clone(&inside), Arc::clone(&gate));
        // Dropped with the invocation, so that the test sees when an invocation is abandoned.
        let ended = ended.lock().unwrap().take().unwrap();
        async move {
            inside.notify_one();
            gate.notified().await;
            ended.send("released its lock").unwrap();
            done()
        }
    })
    .await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let request = "POST /SyncTimer HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n{\"Data\":{}}";
    stream.write_all(request.as_bytes()).await.unwrap();
    entered.notified().await;
    drop(stream);
    let ready = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(host.send(ready.as_bytes()).await.status, 200);
    release.notify_one();
    assert_eq!(end.await, Ok("released its lock"));
    host.stop.send(()).unwrap();
    let mut server = host.server;
    server.join_next().await.unwrap().unwrap().unwrap();
}

/// The limits of an invocation of each function.
const LIMITS: [(&str, usize, u16); 3] = [
    ("SyncHttp", 2 * 1024 * 1024, 200),
    ("SyncTimer", 1024 * 1024, 500),
    ("SyncQueue", 1024 * 1024, 500),
];

/// A valid invocation of this length.
fn invocation_of(function: &str, length: usize) -> String {
    let message = r#"{"v":1,"kind":"run","run":"20261123T020000Z-0b5e77","mode":"apply"}"#;
    let mut body = json!({
        "Data": {"req": {}, "timer": {}, "message": json!(message).to_string()},
        "Metadata": {"sys": {"MethodName": function}},
    })
    .to_string();
    body.push_str(&" ".repeat(length - body.len()));
    body
}

#[tokio::test]
async fn an_invocation_over_its_limit_is_refused_and_the_next_is_taken() {
    let heard: Arc<Mutex<usize>> = Arc::default();
    let seen = Arc::clone(&heard);
    let host = Host::with(move |_| {
        *seen.lock().unwrap() += 1;
        Response::json(200, &json!({})).into()
    })
    .await;
    for (function, limit, refused) in LIMITS {
        let fitting = invocation_of(function, limit);
        for answer in [
            host.invoke(function, &fitting).await,
            host.invoke_chunked(function, &fitting).await,
        ] {
            assert_eq!(answer.status, 200, "{function}: {}", answer.body);
            assert!(!answer.body.contains("too-large"), "{}", answer.body);
        }
        let before = *heard.lock().unwrap();
        let long = invocation_of(function, limit + 1);
        // Announced, and counted.
        for answer in [
            host.invoke(function, &long).await,
            host.invoke_chunked(function, &long).await,
        ] {
            assert_eq!(answer.status, refused, "{function}: {}", answer.body);
            assert_eq!(
                answer.body.contains("too-large"),
                function == "SyncHttp",
                "{}",
                answer.body
            );
        }
        assert_eq!(*heard.lock().unwrap(), before, "{function}");
    }
    assert_eq!(*heard.lock().unwrap(), LIMITS.len() * 2);
}
