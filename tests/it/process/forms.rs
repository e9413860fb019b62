//! Every form in which the host hands over messages and calls (`functions-host.md` 2.3 and 2.4).

use serde_json::{Value, json};

use super::office::{Office, folder_url};
use crate::host::{Host, answer::indented, schedule::MASTER_KEY, wire::Call};

const START: &str = "/api/SyncHttp";

async fn state_of(host: &Host, location: &str) -> Value {
    host.call(Call::get(location)).await.json()["state"].clone()
}

/// Queues a run; returns where its report will be, and takes its message out of the queue.
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
    // What `next` becomes as an object, and members that overwrite what the host itself tells of the message.
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

    // By hand, outside the queue, which delivers the same message later.
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
