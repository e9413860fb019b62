//! R45: an hourly schedule makes full runs and quick ones between them.

use std::time::Duration;

use cloud_sync::sandbox::control::{Fault, FaultKind};
use serde_json::{Value, json};

use super::office::{Office, address, folder_url, with};
use crate::host::{Host, wire::Call};

/// The newest run in the history.
async fn newest(host: &Host) -> Value {
    let runs = host.call(Call::get("/api/SyncHttp/runs")).await.json();
    runs["runs"][0].clone()
}

fn depth(run: &Value) -> &str {
    run["depth"].as_str().unwrap_or("full")
}

async fn health(host: &Host) -> Value {
    host.call(Call::get("/api/SyncHttp/health")).await.json()
}

fn permission_reads(office: &Office) -> usize {
    let journal = office.sandbox.exchange.control().journal();
    let reads = journal
        .iter()
        .filter(|entry| entry.path.contains("Permission"));
    reads.count()
}

fn disable(office: &Office, local: &str) {
    let address = address(local);
    office.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&address).unwrap().account_disabled = Some(true);
    });
}

fn is_active(office: &Office, local: &str) -> bool {
    office
        .sandbox
        .zivver
        .state()
        .user(&address(local))
        .unwrap()
        .active
}

#[tokio::test(flavor = "multi_thread")]
async fn r45_an_hourly_schedule_reads_permissions_once_a_day() {
    let office = Office::open(12, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = office.settings(&folder_url(folder.path()));
    settings.insert("SYNC_SCHEDULE".into(), "0 0 * * * *".into());
    let host = Host::start(settings.clone()).await;
    assert_eq!(health(&host).await["next_run"]["depth"], "full");
    host.timer().await.succeeded();
    assert_eq!(depth(&newest(&host).await), "full");
    office.is_in_sync();
    let next = health(&host).await;
    assert_eq!(
        (&next["next_run"]["depth"], &next["status"]),
        (&json!("quick"), &json!("ok"))
    );

    disable(&office, "settled00003");
    let before = permission_reads(&office);
    host.timer().await.succeeded();
    let run = newest(&host).await;
    assert_eq!(
        (depth(&run), &run["outcome"]),
        ("quick", &json!("done")),
        "{run}"
    );
    assert!(!is_active(&office, "settled00003"));
    assert_eq!(permission_reads(&office), before);
    let log = host.log();
    assert!(log.has("success=false") && log.has("fresh=true"), "{log}");
    let page = host
        .call(Call::get("/api/SyncHttp").query("format", "html"))
        .await;
    for text in [
        "a quick run, which reads no permissions (R45)",
        "Last quick run that succeeded",
        "quick apply",
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let health = health(&host).await;
    assert_eq!(health["status"], "ok", "{health}");
    assert!(health["last_quick_success"].is_string(), "{health}");
    host.stop().await;

    // The next tick is due for a full run, even after a full run that failed.
    let settings = with(settings, "FULL_EVERY", "1h");
    let host = Host::start(settings).await;
    host.timer().await.succeeded();
    assert_eq!(
        depth(&newest(&host).await),
        "full",
        "the interval is not shorter"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r45_a_failed_night_is_repeated_as_a_full_run() {
    let office = Office::open(6, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = office.settings(&folder_url(folder.path()));
    settings.insert("SYNC_SCHEDULE".into(), "* * * * * *".into());
    let host = Host::start(with(settings, "FULL_EVERY", "3s")).await;
    host.timer().await.succeeded();
    assert_eq!(depth(&newest(&host).await), "full");
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let control = office.sandbox.exchange.control();
    control.inject(Fault::always(FaultKind::Status {
        status: 401,
        headers: Vec::new(),
        body: String::new(),
    }));
    assert!(host.timer().await.failure.is_some());
    control.clear_faults();
    host.timer().await.succeeded();
    let run = newest(&host).await;
    assert_eq!(
        (depth(&run), &run["outcome"]),
        ("full", &json!("in_sync")),
        "{run}"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r45_a_person_starts_a_quick_run_and_applies_its_plan() {
    let office = Office::open(6, 0).await;
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(office.settings(&folder_url(folder.path()))).await;
    host.timer().await.succeeded();
    disable(&office, "settled00003");
    let preview = json!({"quick": true, "wait": 60});
    let preview = host
        .call(Call::post("/api/SyncHttp", &preview))
        .await
        .json();
    assert_eq!(
        (&preview["depth"], &preview["outcome"]),
        (&json!("quick"), &json!("changes_pending"))
    );
    let before = permission_reads(&office);
    let apply = json!({"mode": "apply", "plan": preview["id"], "wait": 60});
    let report = host.call(Call::post("/api/SyncHttp", &apply)).await.json();
    assert_eq!(
        (&report["depth"], &report["outcome"]),
        (&json!("quick"), &json!("done")),
        "{report}"
    );
    assert_eq!(permission_reads(&office), before);
    assert!(!is_active(&office, "settled00003"));
    // A queued request keeps its depth.
    let queued = host
        .call(Call::post(
            "/api/SyncHttp",
            &json!({"mode": "apply", "quick": true}),
        ))
        .await;
    assert_eq!(queued.status, 202, "{}", queued.body);
    for invoked in host.drain().await {
        invoked.succeeded();
    }
    assert_eq!(depth(&newest(&host).await), "quick");
    assert_eq!(permission_reads(&office), before);
    host.stop().await;
}
