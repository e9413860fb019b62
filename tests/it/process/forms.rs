//! Every form in which the host passes on messages and calls (`docs/specs/functions-host.md`, "2.3 HTTP trigger
//! request" and "2.4 Queue trigger request").

use serde_json::{Value, json};

use super::office::{Office, folder_url};
use crate::host::{Host, answer::indented, schedule::MASTER_KEY, wire::Call};

const START: &str = "/api/SyncHttp";

async fn state_of(host: &Host, location: &str) -> Value {
    host.call(Call::get(location)).await.json()["state"].clone()
}

/// Queues a run. Returns the place of its report and its message, which it takes out of the queue.
async fn order(host: &Host) -> (String, Value) {
    let queued = host.call(Call::post(START, &json!({}))).await;
    assert_eq!(queued.status, 202, "{}", queued.body);
    let text = host.queue.take_out();
    let location = queued.headers["location"].clone();
    (location, serde_json::from_str(&text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_found_in_whatever_its_message_became() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(2, 0).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    let with = |order: &Value, members: Value| {
        let mut order = order.clone();
        let order = order.as_object_mut().unwrap();
        order.extend(members.as_object().unwrap().clone());
        Value::from(order.clone()).to_string()
    };
    // `next` becomes an object, whose members can overwrite what the host itself adds about the message.
    let indent: &dyn Fn(&Value) -> String = &|order| indented(&order.to_string());
    let disguise: &dyn Fn(&Value) -> String = &|order| {
        with(
            order,
            json!({"id": 5, "dequeueCount": "many", "popReceipt": {"sys": []}}),
        )
    };
    let date: &dyn Fn(&Value) -> String = &|order| {
        with(
            order,
            json!({"at": "2026-11-23T02:00:00Z", "RetryContext": "none"}),
        )
    };
    for form in [indent, disguise, date] {
        let (location, order) = order(&host).await;
        let text = form(&order);
        host.queue.send(text.as_bytes()).unwrap();
        host.deliver().await.unwrap().succeeded();
        assert_eq!(state_of(&host, &location).await, "ended", "{text}");
    }

    // Started by hand, outside the queue, which delivers the same message later.
    let (location, order) = order(&host).await;
    let text = order.to_string();
    let (client, invocation) = host.admin("SyncQueue", MASTER_KEY, Some(&json!({"input": text})));
    assert_eq!(client.status, 202);
    invocation.unwrap().await.succeeded();
    let report = host.call(Call::get(&location)).await;
    assert_eq!(report.json()["state"], "ended");
    host.queue.send(text.as_bytes()).unwrap();
    host.deliver().await.unwrap().succeeded();
    assert_eq!(host.call(Call::get(&location)).await, report);
    assert_eq!((host.queue.len(), host.queue.poison().len()), (0, 0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_understood_in_every_spelling() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(2, 0).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;

    let post = |kind: &str, body: &str| {
        let call = Call {
            method: "POST".to_owned(),
            path: START.to_owned(),
            body: body.as_bytes().to_vec(),
            ..Call::default()
        };
        host.call(call.header("cOnTeNt-tYpE", kind))
    };
    let as_json = post("Application/JSON; charset=UTF-8", r#"{"mode":"apply"}"#).await;
    assert_eq!(as_json.status, 202, "{}", as_json.body);
    assert!(host.queue.take_out().contains(r#""mode":"apply""#));
    let as_bytes = post("application/octet-stream", r#"{"mode":"apply"}"#).await;
    assert_eq!(as_bytes.status, 415, "{}", as_bytes.body);
    let parts = "--x\r\nContent-Disposition: form-data; name=\"mode\"\r\n\r\napply\r\n--x--\r\n";
    let in_parts = post("multipart/form-data; boundary=x", parts).await;
    assert_eq!(in_parts.status, 415, "{}", in_parts.body);
    assert_eq!(host.queue.len(), 0);

    let json = "application/json; charset=utf-8";
    for (call, status, content_type) in [
        (Call::get("/api/SyncHttp/"), 200, json),
        (Call::get("/API/synchttp/RUNS/"), 200, json),
        (Call::get("/api/SyncHttp/runs//"), 200, json),
        (
            Call::get("/api/SyncHttp/runs").header("ACCEPT", "text/csv"),
            200,
            "text/csv; charset=utf-8",
        ),
        (
            Call::get("/api/SyncHttp/runs")
                .header("Accept", "text/csv;q=0.5")
                .header("accept", "text/html"),
            200,
            "text/html; charset=utf-8",
        ),
        (
            Call::get("/api/SyncHttp/runs")
                .query("format", "csv")
                .query("format", "json"),
            400,
            "application/problem+json; charset=utf-8",
        ),
        (Call::get("/api/SyncHttp//runs"), 404, ""),
    ] {
        let told = format!("{call:?}");
        let client = host.call(call).await;
        assert_eq!(client.status, status, "{told} {}", client.body);
        assert_eq!(client.content_type(), content_type, "{told}");
    }

    for (path, address) in [
        ("o'neil+news@corp.example", "o'neil+news@corp.example"),
        ("o%27neil%2Bnews%40corp.example", "o'neil+news@corp.example"),
        (
            "sales%2Fsupport@corp.example/",
            "sales/support@corp.example",
        ),
        ("sales%2fsupport@corp.example", "sales/support@corp.example"),
        ("zo%C3%AB@corp.example", "zo\u{eb}@corp.example"),
    ] {
        let path = format!("/api/SyncHttp/accounts/{path}");
        let client = host.call(Call::get(&path)).await;
        assert_eq!(client.status, 404, "{path} {}", client.body);
        assert_eq!(client.json()["unknown"]["address"], address, "{path}");
    }
    let space = host.call(Call::get("/api/SyncHttp/accounts/a%20b@corp.example"));
    assert_eq!(space.await.status, 400);
    host.stop().await;
}
