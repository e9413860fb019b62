//! Item 23: `$batch`.

use std::collections::BTreeMap;

use cloud_sync::sandbox::exchange::{BatchFault, BatchOrder, Bucket, ItemFault, RetryAfter};

use super::*;

async fn three() -> Bench {
    let tenant = Tenant::new("corp.example")
        .user("u1@corp.example")
        .user("u2@corp.example")
        .user("u3@corp.example");
    Bench::new(tenant).await
}

/// Permission reads of these users, with their names as ids.
fn reads(bench: &Bench, users: &[&str]) -> Value {
    let requests: Vec<_> = users
        .iter()
        .map(|user| {
            let path = permission_path(&format!("{user}@corp.example"));
            json!({"id": user, "method": "GET", "url": format!("{}{path}", bench.root)})
        })
        .collect();
    json!({ "requests": requests })
}

async fn batch(bench: &Bench, requests: &Value, prefer: &str) -> Answer {
    send(
        bench
            .post_request("/$batch", requests)
            .header("prefer", prefer),
    )
    .await
}

#[track_caller]
fn statuses(answer: &Answer) -> String {
    let text = |item: &Value| format!("{}={}", item["id"].as_str().unwrap(), item["status"]);
    let items = answer.ok()["responses"].as_array().unwrap().clone();
    items.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn c23_items_are_answered_out_of_order() {
    let bench = three().await;
    let mut requests = reads(&bench, &["u1", "u2"]);
    requests["requests"].as_array_mut().unwrap().push(json!({
        "id": "cmdlet",
        "method": "POST",
        "url": format!("{}/InvokeCommand", bench.root),
        "headers": {"Content-Type": "application/json"},
        "body": command("Get-MailboxPermission", json!({"Identity": "u3@corp.example"})),
    }));
    let answer = batch(&bench, &requests, "").await;
    assert_eq!(statuses(&answer), "cmdlet=200 u2=200 u1=200");
    let items = answer.ok()["responses"].clone();
    assert_eq!(items[0]["body"]["value"][0]["User"], "NT AUTHORITY\\SELF");
    assert_eq!(
        items[2]["body"]["value"][0]["PermissionList"][0]["InheritanceType"],
        "None"
    );
    bench
        .simulator
        .switch(|switches| switches.batch_order = BatchOrder::AsAsked);
    assert_eq!(
        statuses(&batch(&bench, &requests, "").await),
        "u1=200 u2=200 cmdlet=200"
    );
}

#[tokio::test]
async fn c23_the_first_failure_stops_unless_told_otherwise() {
    let bench = three().await;
    let requests = reads(&bench, &["u1", "gone", "u3"]);
    assert_eq!(
        statuses(&batch(&bench, &requests, "odata.maxpagesize=1000").await),
        "gone=404 u1=200"
    );
    let answer = batch(
        &bench,
        &requests,
        "odata.maxpagesize = 1000;odata.continue-on-error",
    )
    .await;
    assert_eq!(statuses(&answer), "u3=200 gone=404 u1=200");
    assert_eq!(
        answer.ok()["responses"][1]["body"]["error"]["code"],
        "NotFound"
    );
}

#[tokio::test]
async fn c23_a_bad_batch_is_bad_as_a_whole() {
    let bench = three().await;
    let status = async |body: &Value| bench.post("/$batch", body).await.status;
    let ids: Vec<String> = (0..11).map(|number| format!("u{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(status(&reads(&bench, &ids)).await, 400);
    assert_eq!(status(&reads(&bench, &ids[..10])).await, 200);
    assert_eq!(status(&reads(&bench, &["u1", "u1"])).await, 400);
    assert_eq!(status(&reads(&bench, &[])).await, 400);
    assert_eq!(
        status(&json!({"requests": [{"method": "GET", "url": "x"}]})).await,
        400
    );
    assert_eq!(status(&json!({"requests": [], "more": 1})).await, 400);
    assert_eq!(bench.get("/$batch").await.status, 405);
    let text = bench
        .request(Method::POST, "/$batch")
        .body(reads(&bench, &["u1"]).to_string());
    assert_eq!(send(text).await.status, 415);
    bench.simulator.switch(|switches| {
        switches.batch_too_long_status = 413;
        switches.batch_duplicate_status = 422;
    });
    assert_eq!(status(&reads(&bench, &ids)).await, 413);
    assert_eq!(status(&reads(&bench, &["u1", "u1"])).await, 422);
}

#[tokio::test]
async fn c23_a_bad_item_is_bad_alone() {
    let bench = three().await;
    let root = &bench.root;
    for url in [
        "/Mailbox".to_owned(),
        "https://outlook.office365.com/adminapi/beta/corp.example/Mailbox".to_owned(),
        format!("{root}/$batch"),
    ] {
        let requests = json!({"requests": [{"id": "1", "method": "GET", "url": url}]});
        assert_eq!(
            statuses(&bench.post("/$batch", &requests).await),
            "1=400",
            "{url}"
        );
    }
}

#[tokio::test]
async fn c23_items_can_be_spoilt() {
    let bench = three().await;
    let fault = |url: &str, kind| BatchFault {
        url_contains: STANDARD.encode(url).trim_end_matches('=').to_owned(),
        times: Some(1),
        kind,
    };
    let throttled = |retry_after| ItemFault::Status {
        status: 429,
        retry_after,
    };
    bench.simulator.switch(|switches| {
        switches.batch_faults = vec![
            fault("u1@corp.example", throttled(RetryAfter::Seconds(3))),
            fault("u1@corp.example", throttled(RetryAfter::Absent)),
            fault("u1@corp.example", ItemFault::StatusMissing),
            fault("u2@corp.example", ItemFault::ItemMissing),
            fault("u2@corp.example", ItemFault::BodyMissing),
            fault("u2@corp.example", ItemFault::BodyNull),
        ];
    });
    let requests = reads(&bench, &["u1", "u2", "u3"]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = batch(&bench, &requests, "odata.continue-on-error")
            .await
            .ok();
        let items: BTreeMap<_, _> = answer["responses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["id"].as_str().unwrap().to_owned(), item.clone()))
            .collect();
        assert_eq!(items["u3"]["status"], 200);
        seen.push(items);
    }
    assert_eq!(seen[0]["u1"]["status"], 429);
    assert_eq!(seen[0]["u1"]["headers"]["Retry-After"], "3");
    assert!(!seen[0].contains_key("u2"));
    assert!(seen[1]["u1"]["headers"].get("Retry-After").is_none());
    assert!(seen[1]["u2"].get("body").is_none());
    assert!(seen[2]["u1"].get("status").is_none());
    assert!(seen[2]["u2"]["body"].is_null());
    assert_eq!(
        (&seen[3]["u1"]["status"], &seen[3]["u2"]["status"]),
        (&json!(200), &json!(200))
    );
}

#[tokio::test]
async fn c23_items_take_their_share_of_the_quota() {
    let bench = three().await;
    bench.simulator.switch(|switches| {
        switches.throttle.bucket = Some(Bucket {
            capacity: 3,
            refill_millis: 3_600_000,
        });
    });
    let requests = reads(&bench, &["u1", "u2", "u3"]);
    let answer = batch(&bench, &requests, "odata.continue-on-error").await;
    assert_eq!(statuses(&answer), "u3=429 u2=200 u1=200");
    assert_eq!(answer.ok()["responses"][0]["headers"]["Retry-After"], "1");
}

#[tokio::test]
async fn c23_an_item_can_have_more_pages() {
    let bench = three().await;
    bench
        .simulator
        .switch(|switches| switches.page_rows_max = 2);
    let item = |url: String| json!({"requests": [{"id": "1", "method": "POST", "url": url, "body": command("Get-Mailbox", json!({}))}]});
    let first = bench
        .post("/$batch", &item(format!("{}/InvokeCommand", bench.root)))
        .await
        .ok();
    let body = &first["responses"][0]["body"];
    assert_eq!(body["value"].as_array().unwrap().len(), 2);
    let link = body["@odata.nextLink"].as_str().unwrap().to_owned();
    let second = bench.post("/$batch", &item(link)).await.ok();
    assert_eq!(second["responses"][0]["body"]["value"][0]["Alias"], "u3");
}

#[tokio::test]
async fn c23_without_accept_the_answer_is_multipart() {
    let bench = three().await;
    let request = bench
        .client
        .post(format!("{}/$batch", bench.root))
        .bearer_auth(&bench.token)
        .header("content-type", "application/json")
        .body(reads(&bench, &["u1"]).to_string());
    let answer = send(request).await;
    assert!(
        answer
            .header("content-type")
            .starts_with("multipart/mixed; boundary=")
    );
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.contains("\r\n\r\nHTTP/1.1 200 OK\r\n"), "{text}");
}
