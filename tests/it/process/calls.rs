//! The answers to callers of the HTTP function, through the host.

use serde_json::{Value, json};

use super::office::{Office, folder_url, with};
use crate::host::{
    FUNCTION_KEY, Host, until,
    wire::{Call, Encoding},
    worker::{Category, Level},
};

const START: &str = "/api/SyncHttp";

async fn health(host: &Host) -> (u16, Value) {
    let client = host.call(Call::get("/api/SyncHttp/health")).await;
    (client.status, client.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_settings_keep_the_server_alive_and_are_told() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(2, 0).await;
    let mut settings = office.settings(&folder_url(state.path()));
    settings.remove("CLOUD_SYNC__CLAIMED_DOMAINS");
    settings.insert(
        "CLOUD_SYNC__ZIVVER_API_KEY".into(),
        "@Microsoft.KeyVault(VaultName=v;SecretName=k)".into(),
    );
    let host = Host::start(settings).await;
    for _ in 0..2 {
        let failure = host.timer().await.failure.unwrap();
        assert!(failure.contains("500"), "{failure}");
    }
    for problem in ["CLOUD_SYNC__CLAIMED_DOMAINS is not set", "Key Vault"] {
        let errors = || host.log().at(Level::Error).join("\n");
        until(problem, || errors().contains(problem)).await;
    }
    let client = host.call(Call::get("/api/SyncHttp/health")).await;
    assert_eq!(
        (client.status, client.content_type()),
        (503, "application/problem+json; charset=utf-8")
    );
    assert_eq!(client.json()["problems"].as_array().unwrap().len(), 2);
    host.queue
        .send(br#"{"v":1,"kind":"run","run":"20261123T020000Z-0b5e77","mode":"apply"}"#)
        .unwrap();
    assert_eq!(host.drain().await.len(), 5);
    assert_eq!(host.queue.poison().len(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_waits_for_the_report_or_comes_back_for_it() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(4, 1).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;

    let preview = host.call(Call::post(START, &json!({"wait": 60}))).await;
    assert_eq!(
        (preview.status, preview.content_type()),
        (200, "application/json; charset=utf-8")
    );
    let report = preview.json();
    assert_eq!(report["mode"], "preview", "{report}");
    assert_eq!(report["state"], "ended");
    assert_eq!(office.writes(), 0);
    assert_eq!(host.queue.len(), 0);
    // R28: under PERFORM_SYNC=true a preview is not a success. infra/queries/no-success.kql searches for these words.
    until("the preview is logged", || {
        host.log().has("success=false fresh=false complete=true")
    })
    .await;
    assert!(!host.log().has("success=true"), "{}", host.log());

    let queued = host
        .call(Call::post("/api/SyncHttp/runs", &json!({"mode": "apply"})))
        .await;
    assert_eq!(queued.status, 202);
    assert_eq!(office.writes(), 0, "not in this invocation");
    let location = queued.headers["location"].clone();
    assert_eq!(location, queued.json()["location"]);
    assert!(queued.headers["retry-after"].parse::<u64>().unwrap() > 0);
    assert_eq!(host.queue.len(), 1);
    let before = host.call(Call::get(&location)).await.json();
    assert_eq!(before["state"], "queued");

    host.drain().await;
    let after = host.call(Call::get(&location)).await.json();
    assert_eq!(
        (&after["state"], &after["converged"]),
        (&json!("ended"), &json!(true)),
        "{after}"
    );
    assert!(!after["actions"].as_array().unwrap().is_empty());
    office.is_in_sync();
    until("the apply is logged", || host.log().has("success=true")).await;
    let (status, health) = health(&host).await;
    assert_eq!((status, &health["status"]), (200, &json!("ok")), "{health}");
    assert_eq!(health["lock"], "free");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_may_not_do_is_refused_by_kind() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(2, 1).await;
    let settings = office.settings(&folder_url(state.path()));
    let host = Host::start(with(settings, "PERFORM_SYNC", "false")).await;
    let unknown_run = "/api/SyncHttp/runs/20261123T020000Z-0b5e77";
    for (call, status, kind) in [
        (
            Call::post(START, &json!({"mode": "apply"})),
            403,
            "apply-forbidden",
        ),
        (
            Call::post(START, &json!({"mode": "apply", "wait": 5})),
            403,
            "apply-forbidden",
        ),
        (
            Call::post(START, &json!({"dryRun": true})),
            400,
            "unknown-member",
        ),
        (
            Call::post(START, &json!({"wait": 201})),
            400,
            "wait-out-of-range",
        ),
        (
            Call::post(START, &json!({"approve": ["x"]})),
            400,
            "approval-in-preview",
        ),
        (Call::post(START, &json!([1])), 400, "bad-body"),
        (Call::get(unknown_run), 404, "unknown-run"),
        (Call::get("/api/SyncHttp/nothing"), 404, "unknown-path"),
        (
            Call::post("/api/SyncHttp/health", &json!({})),
            405,
            "method-not-allowed",
        ),
    ] {
        let told = format!("{} {}", call.method, call.path);
        let client = host.call(call).await;
        assert_eq!(client.status, status, "{told} {}", client.body);
        let media = "application/problem+json; charset=utf-8";
        assert_eq!(client.content_type(), media, "{told}");
        let problem = client.json();
        let found = problem["type"].as_str().unwrap();
        assert!(found.ends_with(kind), "{told}: {found}");
    }
    assert_eq!(host.queue.len(), 0);
    host.timer().await.succeeded();
    assert_eq!(office.writes(), 0, "R28: the timer previews");

    // A large body reaches the handler.
    let large = "x".repeat(3 << 20);
    let client = host.call(Call::post(START, &json!({"mode": large}))).await;
    assert_eq!(client.status, 413);
    host.stop().await;
}

/// The host drops such a body. An apply must not become a preview.
#[tokio::test(flavor = "multi_thread")]
async fn r28_a_body_that_was_sent_in_chunks_is_refused_with_the_way_out() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(2, 1).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    let preview = host.call(Call::post(START, &json!({"wait": 60}))).await;
    let run = preview.json()["id"].as_str().unwrap().to_owned();
    let approved = json!({"mode": "apply", "approve": ["1f0c6a2b9d"]});
    let undo = format!("{START}/runs/{run}/undo");
    let form = Call {
        method: "POST".to_owned(),
        path: START.to_owned(),
        body: b"mode=apply&token=1.00".to_vec(),
        ..Call::default()
    }
    .header("Content-Type", "application/x-www-form-urlencoded");
    for call in [
        Call::post(START, &approved),
        Call::post(&format!("{START}/runs"), &approved),
        Call::post(&undo, &approved),
        form.clone(),
        form.header("Accept", "text/html"),
    ] {
        let chunked = Call {
            chunked: true,
            ..call
        };
        let told = format!("{} {:?}", chunked.path, chunked.headers);
        let client = host.call(chunked).await;
        assert_eq!(client.status, 411, "{told}: {}", client.body);
        let problem = client.json();
        assert_eq!(problem["type"], "urn:cloud-sync:problem:length-required");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("Content-Length"), "{detail}");
    }
    for path in ["health", "check", "accounts/a@corp.example", "runs/x"] {
        let chunked = Call {
            chunked: true,
            ..Call::post(&format!("{START}/{path}"), &approved)
        };
        let status = host.call(chunked).await.status;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    // The body of a GET is ignored.
    let read = Call {
        chunked: true,
        ..Call::get("/api/SyncHttp/runs")
    };
    assert_eq!(host.call(read).await.status, 200);
    assert_eq!(host.queue.len(), 0, "nothing was queued");
    host.stop().await;
}

/// Monitors use HEAD.
#[tokio::test(flavor = "multi_thread")]
async fn head_is_answered_as_get_without_its_body() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(2, 0).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    for path in ["", "/runs", "/health", "/nothing", "/runs/x"] {
        let get = Call::get(&format!("{START}{path}"));
        let head = Call {
            method: "HEAD".to_owned(),
            ..get.clone()
        };
        let (get, head) = (host.call(get).await, host.call(head).await);
        assert_eq!(
            (head.status, &head.headers),
            (get.status, &get.headers),
            "{path}"
        );
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
    }
    let undo = Call {
        method: "HEAD".to_owned(),
        ..Call::get(&format!("{START}/runs/20261123T020000Z-0b5e77/undo"))
    };
    assert_eq!(host.call(undo).await.status, 405);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_of_a_queued_run_is_logged_once_and_names_the_run_once() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(2, 1).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    let queued = host
        .call(Call::post(START, &json!({"mode": "apply"})))
        .await;
    let id = queued.json()["run"].as_str().unwrap().to_owned();
    host.drain().await;
    let sentence = format!("run {id} (Apply): ");
    let lines = || {
        let all = host.log().all().into_iter();
        all.map(|record| record.text)
            .filter(|line| line.contains(&sentence))
            .collect::<Vec<_>>()
    };
    until("the run is logged", || !lines().is_empty()).await;
    host.timer().await.succeeded();
    let lines = lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0].matches(" run=").count(), 1, "{lines:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_read_in_every_encoding_and_junk_is_dropped() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(2, 0).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    for encoding in [Encoding::Double, Encoding::Single, Encoding::Bare] {
        let queued = host.call(Call::post(START, &json!({}))).await;
        host.deliver_as(encoding).await.unwrap().succeeded();
        let run = host
            .call(Call::get(&queued.headers["location"]))
            .await
            .json();
        assert_eq!(run["state"], "ended", "{encoding:?}");
    }
    for junk in [
        "hello",
        "[1,2]",
        "",
        r#"{"v":2,"kind":"run"}"#,
        r#"{"v":1,"kind":"run","run":"../x"}"#,
    ] {
        host.queue.send(junk.as_bytes()).unwrap();
        host.deliver().await.unwrap().succeeded();
    }
    assert_eq!((host.queue.len(), host.queue.poison().len()), (0, 0));
    until("each was told", || host.log().at(Level::Error).len() == 5).await;

    // A message is delivered at least once. A second delivery changes nothing.
    let queued = host
        .call(Call::post(START, &json!({"mode": "apply"})))
        .await;
    let text = host.queue.texts().remove(0);
    host.drain().await;
    let location = queued.headers["location"].clone();
    let first = host.call(Call::get(&location)).await;
    host.queue.send(text.as_bytes()).unwrap();
    host.drain().await;
    assert_eq!(host.call(Call::get(&location)).await, first);

    // The queue refuses the message, so the caller must not get a 202.
    host.queue.fail_sends(1);
    assert_eq!(host.call(Call::post(START, &json!({}))).await.status, 500);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_and_nobodys_address_is_logged() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(4, 1).await;
    office.sandbox.zivver.control().inject(
        sandbox::control::Fault::once(sandbox::control::FaultKind::Status {
            status: 400,
            headers: Vec::new(),
            body: r#"{"detail":"no to hired000@corp.example"}"#.into(),
        })
        .method("POST"),
    );
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    let account = "/api/SyncHttp/accounts/hired000@corp.example";
    assert_eq!(host.call(Call::get(account)).await.status, 200);
    let bad =
        Call::post(START, &json!({"accounts": ["nobody at all"]})).query("code", FUNCTION_KEY);
    assert_eq!(host.call(bad).await.status, 400);
    let one = json!({"mode": "apply", "accounts": ["hired001@corp.example"], "wait": 60});
    assert_eq!(host.call(Call::post(START, &one)).await.status, 200);
    let unknown = json!({"accounts": ["hired999@corp.example"], "wait": 60});
    let unknown = host.call(Call::post(START, &unknown)).await;
    assert_eq!(unknown.status, 422, "{}", unknown.body);
    host.timer().await.succeeded();
    host.queue.send(b"hired000@corp.example").unwrap();
    host.drain().await;
    let records = host.log().all();
    let elsewhere = records
        .iter()
        .find(|record| record.category == Category::Tooling);
    assert_eq!(elsewhere, None, "a prefix that hosts take for themselves");
    let identity = office.sandbox.exchange.identity().settings();
    let log = host.log().to_string();
    assert!(log.contains("INFO") || log.contains("info"), "{log}");
    for canary in [
        "@corp.example",
        sandbox::zivver::API_KEY,
        FUNCTION_KEY,
        &identity.header,
        "eyJ",
        "nobody at all",
    ] {
        assert!(!log.contains(canary), "{canary} in:\n{log}");
    }
    host.stop().await;
}
