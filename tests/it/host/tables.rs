//! Tests the double against the tables of the specification, with prepared answers.

use std::{
    fs,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::{
    answer::{Bound, Client, Verdict, judge},
    project::{AppSettings, Function, Output, Project, Provider, Trigger, app_root},
    queue::{Delivery, Queue},
    wire::{self, Call, Encoding, Framing, Reply},
    worker::{Category, Level, Reaction, Restarts, category_of, level_of},
};

pub(super) fn sync_http() -> Function {
    Function {
        name: "SyncHttp".into(),
        trigger: Trigger::Queue { name: "req".into() },
        outputs: vec![
            Output::Http { name: "res".into() },
            Output::Queue {
                name: "next".into(),
            },
        ],
        retry: None,
    }
}

pub(super) fn reply(status: u16, content_type: Option<&str>, body: &str) -> Reply {
    let mut headers = vec![("Content-Length".to_owned(), body.len().to_string())];
    headers.extend(content_type.map(|kind| ("Content-Type".to_owned(), kind.to_owned())));
    Reply {
        status,
        headers,
        body: body.into(),
    }
}

fn judged(body: &str) -> Verdict {
    judge(&reply(200, Some("application/json"), body), &sync_http())
}

fn bound(body: &str) -> Bound {
    match judged(body) {
        Verdict::Success(bound) => bound,
        other @ (Verdict::Failed(_) | Verdict::Hangs) => panic!("{other:?}"),
    }
}

#[test]
fn the_failure_matrix() {
    const JSON: Option<&str> = Some("application/json");
    let good = r#"{"Outputs":{"res":{"statusCode":"200","body":""}}}"#;
    let ends = |status, kind, body: &str| match judge(&reply(status, kind, body), &sync_http()) {
        Verdict::Success(_) => "success",
        Verdict::Failed(_) => "failed",
        Verdict::Hangs => "hangs",
    };
    for (id, status, kind, body, expected) in [
        ("F1", 200, JSON, good, "success"),
        ("F1", 200, Some("text/json; charset=utf-8"), "{}", "success"),
        ("F2", 201, JSON, good, "success"),
        ("F2", 202, JSON, good, "success"),
        ("F2", 206, JSON, good, "success"),
        ("F3", 204, JSON, "", "hangs"),
        ("F3", 200, JSON, "", "hangs"),
        ("F3", 200, None, "", "hangs"),
        ("F3", 200, JSON, "null", "hangs"),
        ("F4", 200, None, good, "failed"),
        ("F4", 200, Some("application/problem+json"), good, "failed"),
        ("F5", 200, JSON, "{", "failed"),
        ("F5", 200, JSON, "[]", "failed"),
        ("F5", 200, JSON, "\"text\"", "failed"),
        ("F5", 200, JSON, "5", "failed"),
        ("F8", 404, JSON, good, "failed"),
        ("F8", 500, JSON, good, "failed"),
        ("F12", 200, JSON, r#"{"Logs":[{}]}"#, "failed"),
        (
            "F14",
            200,
            JSON,
            r#"{"Outputs":{"next":"{oops}"}}"#,
            "failed",
        ),
    ] {
        assert_eq!(ends(status, kind, body), expected, "{id} {body}");
    }
    let in_chunks = |kind: &[(&str, &str)]| {
        let headers = [("Transfer-Encoding", "chunked")].iter().chain(kind);
        let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let reply = Reply {
            status: 200,
            headers: headers.collect(),
            body: Vec::new(),
        };
        judge(&reply, &sync_http())
    };
    let typed = in_chunks(&[("Content-Type", "application/json")]);
    assert_eq!(typed, Verdict::Hangs, "F3");
    assert!(matches!(in_chunks(&[]), Verdict::Failed(_)), "F4");
}

#[test]
fn what_a_client_sees_of_res() {
    let text = |status, body: &str| Some(Client::plain(status, body));
    for (id, body, expected) in [
        (
            "R1",
            json!({"res": {"statusCode": "202", "body": "x"}}),
            text(202, "x"),
        ),
        (
            "R1",
            json!({"res": {"statusCode": 202, "body": "x"}}),
            text(202, "x"),
        ),
        (
            "R3",
            json!({"res": {"status": 202, "body": "x"}}),
            text(200, "x"),
        ),
        (
            "R4",
            json!({"res": {"statusCode": "abc", "body": "x"}}),
            text(200, "x"),
        ),
        ("R6", json!({"res": {"statusCode": "204"}}), text(204, "")),
        (
            "R7",
            json!({"res": "{\"statusCode\":\"202\",\"body\":\"x\"}"}),
            text(202, "x"),
        ),
        ("R8", json!({}), text(200, "{}")),
    ] {
        let answer = json!({"Outputs": body}).to_string();
        assert_eq!(bound(&answer).client, expected, "{id}");
    }
    for absent in ["{}", r#"{"Outputs":null}"#] {
        assert_eq!(bound(absent).client, text(204, ""), "R9 {absent}");
    }
    let typed = bound(
        r#"{"outputs":{"res":{"statuscode":"202","body":"x","headers":{"Content-Type":"application/json","Retry-After":5}}}}"#,
    );
    let typed = typed.client.unwrap();
    assert_eq!(
        (typed.content_type(), typed.headers["retry-after"].as_str()),
        ("application/json; charset=utf-8", "5"),
        "R2"
    );
    let object = bound(r#"{"Outputs":{"res":{"body":{"b":1,"a":[]}}}}"#);
    assert_eq!(
        object.client.unwrap().body,
        "{\n  \"b\": 1,\n  \"a\": []\n}",
        "R5"
    );
    for (id, res) in [
        ("R10", json!(null)),
        ("R10", json!([1])),
        ("R10", json!(5)),
        ("R10", json!("text")),
        ("R11", json!({"body": "", "headers": {"X": null}})),
        ("R11", json!({"body": "", "headers": {"X": ["a"]}})),
    ] {
        let answer = json!({"Outputs": {"res": res}}).to_string();
        assert!(matches!(judged(&answer), Verdict::Failed(_)), "{id} {res}");
    }
}

#[test]
fn what_works_by_luck_is_told() {
    let traps = |body: &str| bound(body).traps.len();
    assert_eq!(
        traps(r#"{"Outputs":{"res":{"statusCode":"200"},"next":"x-y"}}"#),
        2
    );
    assert_eq!(
        traps(r#"{"Outputs":{"res":{"statusCode":"200","body":""},"next":["x"]}}"#),
        0
    );
}

#[test]
fn what_becomes_of_next() {
    for (id, next, expected) in [
        ("Q1", "null", vec![]),
        ("Q1", "[]", vec![]),
        (
            "Q2",
            r#"["{\"v\":1}","{\"v\":2}"]"#,
            vec![r#"{"v":1}"#, r#"{"v":2}"#],
        ),
        (
            "Q3",
            r#"{"v":1,"part":3}"#,
            vec!["{\n  \"v\": 1,\n  \"part\": 3\n}"],
        ),
        (
            "Q4",
            r#"[{"v":1},{"v":2}]"#,
            vec!["{\n  \"v\": 1\n}", "{\n  \"v\": 2\n}"],
        ),
        ("Q5", r#"" {\"v\":1}""#, vec!["{\n  \"v\": 1\n}"]),
        ("Q6", r#""[1,\"a\"]""#, vec!["1", "a"]),
        ("Q7", r#""eyJ2\n IjoxfQ==""#, vec![r#"{"v":1}"#]),
        ("Q9", r#""run-0b5e""#, vec!["run-0b5e"]),
        ("Q10", r#"["test"]"#, vec!["test"]),
        ("Q11", "5", vec!["5"]),
        ("Q11", "true", vec!["True"]),
        (
            "Q12",
            r#""2026-11-23T02:00:00Z""#,
            vec!["11/23/2026 02:00:00"],
        ),
        (
            "Q12",
            r#"["2026-11-23T02:00:00Z"]"#,
            vec!["11/23/2026 02:00:00"],
        ),
        ("Q13", r#""""#, vec![""]),
        ("Q13", "[null]", vec![""]),
        ("Q13", r#"[""]"#, vec![""]),
    ] {
        let messages = bound(&format!(r#"{{"Outputs":{{"next":{next}}}}}"#)).messages;
        let expected: Vec<Vec<u8>> = expected.into_iter().map(Into::into).collect();
        assert_eq!(messages, expected, "{id} {next}");
    }
    for trap in [
        "fullsync",
        "test",
        "20261123",
        "0123456789abcdef0123456789abcdef",
    ] {
        let messages = bound(&json!({"Outputs": {"next": trap}}).to_string()).messages;
        assert_ne!(messages, [trap.as_bytes().to_vec()], "Q8");
    }
    assert_eq!(bound(r#"{"Outputs":{"Next":["x"]}}"#).messages.len(), 0);
    let returned = r#"{"Outputs":{"next":["a"]},"ReturnValue":{"next":["b"]}}"#;
    assert_eq!(bound(returned).messages, [b"b".to_vec()]);
}

#[test]
fn which_paths_match() {
    let path = |path: &str| {
        wire::route("api", "SyncHttp/{*path}", path).map(|params| params["path"].clone())
    };
    for (given, expected) in [
        ("/api/SyncHttp", Some(Value::Null)),
        ("/api/SyncHttp/", Some(Value::Null)),
        ("/api/SyncHttp/runs/0b5e", Some(json!("runs/0b5e"))),
        ("/api/SyncHttp/runs/", Some(json!("runs/"))),
        ("/API/synchttp/x", Some(json!("x"))),
        ("/api/SyncHttp/a%20b%2Fc", Some(json!("a b%2Fc"))),
        ("/api/SyncHttp/a//b", Some(json!("a//b"))),
        ("/api//SyncHttp", None),
        ("/api/SyncHttp//x", None),
        ("/api/SyncHttpX", None),
    ] {
        assert_eq!(path(given), expected, "{given}");
    }
}

#[test]
fn what_a_call_looks_like_on_the_wire() {
    let sent = |call: &Call| {
        let params = wire::route("api", "SyncHttp/{*path}", &call.path).unwrap();
        let request = wire::http("SyncHttp", "req", "default", call, &params);
        serde_json::from_str::<Value>(&request).unwrap()
    };
    let call = Call::get("/api/SyncHttp/")
        .query("format", "json")
        .query("code", "k3y")
        .query("Format", "csv")
        .header("x-functions-key", "k3y")
        .header("Accept", "text/html")
        .header("aCCEPT", "text/csv");
    let request = sent(&call);
    let (req, metadata) = (&request["Data"]["req"], &request["Metadata"]);
    assert_eq!(req["Query"], json!({"format": "json,csv", "code": "k3y"}));
    assert_eq!(
        req["Url"],
        "https://sync.example/api/SyncHttp/?format=json&code=k3y&Format=csv"
    );
    let keys = json!(["k3y"]);
    let accepted = json!(["text/html", "text/csv"]);
    assert_eq!(
        req["Headers"],
        json!({"x-functions-key": keys, "Accept": accepted})
    );
    assert_eq!(metadata["Headers"]["Accept"], "text/html,text/csv");
    assert_eq!(metadata["format"], r#""csv""#);
    assert_eq!(metadata["Query"], json!({"format": "csv", "code": "k3y"}));
    assert_eq!((metadata.get("code"), req.get("Body")), (None, None));
    assert_eq!(
        (&req["Params"], metadata.get("path")),
        (&json!({"path": null}), None)
    );

    let body = json!({"mode": "apply", "path": "body", "wait": 5, "accounts": []});
    let posted = Call::post("/api/SyncHttp/a%20b", &body).query("mode", "preview");
    let request = sent(&posted);
    assert_eq!(request["Data"]["req"]["Body"], body.to_string());
    let metadata = &request["Metadata"];
    assert_eq!(metadata["mode"], r#""preview""#, "a query wins over a body");
    assert_eq!(metadata["path"], r#""a b""#, "and a route over both");
    assert_eq!(
        (&metadata["wait"], metadata.get("accounts")),
        (&json!(r#""5""#), None)
    );

    for (kind, expected) in [
        ("application/octet-stream", "AP8="),
        ("multipart/form-data; boundary=x", "AP8="),
        ("text/plain", "\u{0}\u{fffd}"),
    ] {
        let bytes = Call {
            method: "POST".to_owned(),
            path: "/api/SyncHttp".to_owned(),
            body: vec![0, 0xff],
            ..Call::default()
        };
        let request = sent(&bytes.header("CONTENT-type", kind));
        assert_eq!(request["Data"]["req"]["Body"], expected, "{kind}");
    }
    let chunked = Call {
        chunked: true,
        ..posted
    };
    assert_eq!(sent(&chunked)["Data"]["req"].get("Body"), None);
}

#[test]
fn what_a_message_looks_like_on_the_wire() {
    const LEASE: Duration = Duration::from_secs(600);
    let queue = Queue::default();
    let sent = |text: &str| {
        queue.send(text.as_bytes()).unwrap();
        let delivery = queue.receive(LEASE, 5).unwrap();
        let request = wire::queue("SyncQueue", "message", (&delivery, text), Encoding::Double);
        queue.delete(&delivery);
        (delivery, serde_json::from_str::<Value>(&request).unwrap())
    };
    for (id, text, expected) in [
        ("A1", "hello", r#""hello""#),
        ("A2", r#"{"v":1}"#, r#""{\"v\":1}""#),
        (
            "A3",
            "{\n  \"v\": 1,\n  \"part\": 3\n}",
            r#""{\n  \"v\": 1,\n  \"part\": 3\n}""#,
        ),
        ("A4", "[1,2]", r#""[1,2]""#),
        ("A5", "", r#""""#),
    ] {
        let (_, request) = sent(text);
        assert_eq!(request["Data"], json!({"message": expected}), "{id}");
    }

    let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let (delivery, request) = sent(r#"{"part":2,"last":true,"at":"2026-11-23T02:00:00Z"}"#);
    let metadata = &request["Metadata"];
    assert_eq!(metadata["DequeueCount"], "1");
    assert_eq!(metadata["Id"], json!(format!("\"{}\"", delivery.id)));
    assert_eq!(metadata["part"], r#""2""#);
    assert_eq!(metadata["last"], r#""True""#);
    assert_eq!(metadata["at"], r#""11/23/2026 02:00:00""#);
    let visible = time(&metadata["NextVisibleTime"]);
    let received = delivery.received.unwrap();
    let leased = visible.duration_since(received).as_secs();
    assert!(
        (599..=600).contains(&leased),
        "{leased} s after it was received"
    );
    let kept = time(&metadata["ExpirationTime"]).duration_since(time(&metadata["InsertionTime"]));
    assert_eq!(kept.as_hours(), 7 * 24);

    let (_, request) =
        sent(r#"{"id":"mine","dequeueCount":7,"popReceipt":{"a":1},"list":[1],"none":null}"#);
    let metadata = &request["Metadata"];
    assert_eq!(metadata["Id"], r#""mine""#);
    assert_eq!(metadata["DequeueCount"], r#""7""#);
    assert_eq!(metadata["PopReceipt"], json!({"a": 1}));
    assert_eq!((metadata.get("list"), metadata.get("none")), (None, None));

    let by_hand = Delivery::outside_the_queue("hello");
    let request = wire::queue(
        "SyncQueue",
        "message",
        (&by_hand, "hello"),
        Encoding::Double,
    );
    let request: Value = serde_json::from_str(&request).unwrap();
    let metadata = &request["Metadata"];
    assert_eq!(metadata["DequeueCount"], "0");
    assert_eq!(metadata["ExpirationTime"], "9999-12-31T23:59:59+00:00");
    assert_eq!(metadata["NextVisibleTime"], metadata["ExpirationTime"]);
    assert_eq!(
        (metadata.get("Id"), metadata.get("PopReceipt")),
        (None, None)
    );
}

#[test]
fn lines_and_exits() {
    for (line, is_stderr, strict, expected) in [
        ("error", false, true, Level::Information),
        ("text", true, true, Level::Error),
        ("a WARNing", true, true, Level::Warning),
        ("text", true, false, Level::Information),
        ("it Failed", true, false, Level::Error),
    ] {
        assert_eq!(level_of(line, is_stderr, strict), expected, "{line}");
    }
    for (line, expected) in [
        ("text", (Category::Console, "text")),
        ("LanguageWorkerConsoleLog text", (Category::System, " text")),
        (
            "azfuncjsonlog:{\"a\":1}",
            (Category::Tooling, "azfuncjsonlog:{\"a\":1}"),
        ),
        (
            "no azfuncjsonlog:",
            (Category::Console, "no azfuncjsonlog:"),
        ),
    ] {
        assert_eq!(category_of(line), expected, "{line}");
    }
    let start = Instant::now();
    let mut restarts = Restarts::default();
    let minutes = |n: u64| start + Duration::from_mins(n);
    for (code, at, expected) in [
        (0, 0, Reaction::Nothing),
        (200, 0, Reaction::Restart),
        (200, 0, Reaction::Restart),
        (1, 0, Reaction::Restart),
        (137, 1, Reaction::Restart),
        (1, 40, Reaction::Restart),
        (1, 41, Reaction::Restart),
        (1, 42, Reaction::Stop),
    ] {
        assert_eq!(restarts.react(code, minutes(at)), expected, "{code} {at}");
    }
}

#[test]
fn the_project_is_read_as_the_host_reads_it() {
    let root = app_root();
    let schedule = ("SYNC_SCHEDULE".to_owned(), "0 0 2 * * *".to_owned());
    let settings = AppSettings::from([schedule.clone()]);
    let project = Project::read(root.path(), &settings, Provider::CoreTools).unwrap();
    assert_eq!(project.functions.len(), 3);
    assert_eq!(project.executable, root.path().join("handler"));
    assert_eq!(project.function_timeout, Duration::from_mins(10));

    let unset = Project::read(root.path(), &AppSettings::new(), Provider::Azure).unwrap();
    assert_eq!(unset.functions.len(), 2);
    assert!(unset.broken["SyncTimer"].contains("does not resolve"));

    let renamed = (
        "AzureFunctionsJobHost__customHandler__description__defaultExecutablePath".to_owned(),
        "handler.exe".to_owned(),
    );
    let settings = AppSettings::from([schedule.clone(), renamed]);
    let project = Project::read(root.path(), &settings, Provider::Azure).unwrap();
    assert_eq!(project.executable.to_str(), Some("handler.exe"));

    let file = root.path().join("SyncTimer/function.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("%SYNC_SCHEDULE%", "%CLOUD__SCHEDULE%")).unwrap();
    let settings = AppSettings::from([("CLOUD__SCHEDULE".to_owned(), schedule.1)]);
    let azure = Project::read(root.path(), &settings, Provider::Azure).unwrap();
    assert_eq!(azure.functions.len(), 3);
    let local = Project::read(root.path(), &settings, Provider::CoreTools).unwrap();
    assert!(local.broken.contains_key("SyncTimer"));

    fs::write(
        root.path().join("host.json"),
        r#"{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"handler"}}}"#,
    )
    .unwrap();
    let without_bundle = Project::read(root.path(), &settings, Provider::Azure).unwrap();
    assert_eq!(without_bundle.broken.len(), 3);
}

#[tokio::test]
async fn a_queue_message_lives_and_dies_as_in_storage() {
    const LEASE: Duration = Duration::from_secs(600);
    let queue = Queue::default();
    queue.send(br#"{"v":1}"#).unwrap();
    assert!(
        queue.send(&vec![b'x'; 49_153]).is_err(),
        "48 KiB of text at most"
    );
    queue.fail_sends(1);
    assert!(queue.send(b"x").is_err());
    for dequeues in 1..=5 {
        let delivery = queue.receive(LEASE, 5).unwrap();
        assert_eq!(
            (delivery.dequeues, delivery.text.as_deref()),
            (dequeues, Some(r#"{"v":1}"#))
        );
        assert_eq!(queue.receive(LEASE, 5), None, "invisible");
        queue.release(&delivery, Duration::ZERO, 5);
    }
    assert_eq!((queue.len(), queue.poison().len()), (0, 1));

    queue.put_raw("no base64!");
    assert_eq!(queue.receive(LEASE, 5), None);
    assert_eq!(queue.poison().len(), 2);

    queue.send(b"again").unwrap();
    for _ in 1..=5 {
        // The host died each time, so the message was not settled and its lease expires.
        assert!(queue.receive(Duration::ZERO, 5).is_some());
    }
    assert_eq!(
        queue.receive(Duration::ZERO, 5),
        None,
        "the 6th delivery is none"
    );
    assert_eq!(queue.poison().len(), 3);

    queue.send(b"done").unwrap();
    let first = queue.receive(Duration::ZERO, 5).unwrap();
    let second = queue.receive(LEASE, 5).unwrap();
    queue.delete(&first);
    assert_eq!(queue.len(), 1, "an old receipt is worth nothing");
    queue.delete(&second);
    assert_eq!(queue.len(), 0);

    queue.send(b"first").unwrap();
    queue.send(b"second").unwrap();
    queue.reverse();
    let next = queue.receive(LEASE, 5).unwrap();
    assert_eq!(next.text.as_deref(), Some("second"));
}

/// Answers each connection with the next text, then closes it.
async fn canned(answers: Vec<String>) -> (u16, JoinSet<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            heads.push(head.lines().next().unwrap_or_default().to_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    (port, server)
}

#[tokio::test]
async fn redirects_are_followed_and_a_broken_answer_fails() {
    let moved = |status| {
        format!("HTTP/1.1 {status} Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
    };
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let redirects = [
        ("F6", 301, "GET"),
        ("F6", 302, "GET"),
        ("F7", 307, "POST"),
        ("F7", 308, "POST"),
    ];
    let mut answers = Vec::new();
    for (_, status, _) in redirects {
        answers.extend([moved(status), chunked.to_owned()]);
    }
    answers.push("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_owned());
    let (port, mut server) = canned(answers).await;
    for (id, status, _) in redirects {
        let reply = wire::invoke(port, "SyncTimer", b"{}", Framing::Chunked).await;
        assert_eq!(reply.unwrap().body, b"{}", "{id} {status}");
    }
    let cut = wire::invoke(port, "SyncTimer", b"{}", Framing::ContentLength).await;
    assert_eq!(
        cut.unwrap_err().kind(),
        std::io::ErrorKind::UnexpectedEof,
        "F10"
    );
    let heads = server.join_next().await.unwrap().unwrap();
    for (at, (id, status, method)) in redirects.into_iter().enumerate() {
        let head = format!("{method} /there HTTP/1.1");
        assert_eq!(heads[2 * at + 1], head, "{id} {status}");
    }
    let refused = wire::invoke(port, "SyncTimer", b"{}", Framing::Chunked).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused,
        "F11"
    );
}

#[tokio::test]
async fn a_very_large_answer_is_read_whole() {
    let log = "x".repeat(16 << 20);
    let body = json!({"Logs": [log]}).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (port, _server) = canned(vec![head + &body]).await;
    let reply = wire::invoke(port, "SyncTimer", b"{}", Framing::Chunked).await;
    let Verdict::Success(bound) = judge(&reply.unwrap(), &sync_http()) else {
        panic!("F15");
    };
    assert_eq!(bound.logs, [log], "F15");
}
