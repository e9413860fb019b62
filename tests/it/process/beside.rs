//! R46: a preview under other settings, through the host: its result, and what it must not change.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::office::{Office, address, folder_url, with};
use crate::host::{Host, wire::Call};

const START: &str = "/api/SyncHttp";

/// The documents that outlive runs, without the runs' own reports.
fn kept(state: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut kept = BTreeMap::new();
    let mut folders = vec![state.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(state).unwrap().to_owned();
            if name.starts_with("runs") || name.starts_with("history") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                kept.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    kept
}

async fn start(host: &Host, body: Value) -> Value {
    let answer = host.call(Call::post(START, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn get(host: &Host, path: &str) -> Value {
    host.call(Call::get(&format!("{START}{path}"))).await.json()
}

fn texts(compared: &Value, list: &str) -> Vec<String> {
    let found = compared[list].as_array().unwrap().iter();
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    found
        .map(|it| {
            format!(
                "{} {}: {}",
                text(it, "kind"),
                text(it, "address"),
                text(it, "text")
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r46_it_is_compared_with_the_present_settings_and_leaves_everything_as_it_was() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(4, 1).await;
    let settings = with(
        office.settings(&folder_url(state.path())),
        "MAX_SUSPEND",
        "0",
    );
    let host = Host::start(settings).await;
    let before = start(&host, json!({"wait": 60})).await;
    assert_eq!(before["settings"], Value::Null);
    let (health, memory) = (get(&host, "/health").await, kept(state.path()));

    // With a higher limit, the held changes are planned.
    let under = start(&host, json!({"wait": 60, "settings": {"MAX_SUSPEND": "9"}})).await;
    assert_eq!(
        under["settings"],
        json!([{"name": "MAX_SUSPEND", "value": "9", "now": "0"}])
    );
    let left = address("left00");
    let new = texts(&under["compared"], "new");
    let gone = texts(&under["compared"], "gone");
    assert!(
        new.contains(&format!("pending {left}: suspend user")),
        "{new:?}"
    );
    assert!(
        gone.contains(&format!("held {left}: suspend active → suspended")),
        "{gone:?}"
    );
    assert!(!new.iter().any(|it| it.contains("hired")), "{new:?}");

    // The figures of the last complete run stay, and the changes of this preview cannot be made.
    assert_eq!(get(&host, "/health").await["figures"], health["figures"]);
    assert_eq!(kept(state.path()), memory);
    assert_eq!(office.writes(), 0);
    let held = under["held"].as_array().unwrap();
    assert!(held.iter().all(|set| set["code"] == ""), "{held:?}");
    let plan = json!({"mode": "apply", "plan": under["id"]});
    let refused = host.call(Call::post(START, &plan)).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(
        refused
            .body
            .contains("change the settings of the program first"),
        "{}",
        refused.body
    );

    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r46_another_filter_is_compared_and_marked_wherever_it_is_listed() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(4, 1).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    let before = start(&host, json!({"wait": 60})).await;
    // A source filter that leaves only one mailbox, and a target filter.
    let filter = json!({"wait": 60, "settings": {"SOURCE_FILTER": "front-desk@corp.example", "TARGET_FILTER": "married"}});
    let found = host.call(Call::post(START, &filter)).await;
    assert_eq!(found.status, 200, "{}", found.body);
    let under = found.json();
    let gone = texts(&under["compared"], "gone");
    for hired in 0..8 {
        let hired = format!(
            "pending {}: create user",
            address(&format!("hired00{hired}"))
        );
        assert!(gone.contains(&hired), "{gone:?}");
    }
    let scope = under["compared"]["numbers"].as_array().unwrap();
    let scope = scope.iter().find(|it| it["what"] == "in_scope").unwrap();
    assert_eq!(scope["before"], before["source"]["in_scope"]);
    assert_eq!(scope["now"], json!(2));

    let runs = get(&host, "/runs").await;
    let marked: Vec<bool> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run.get("settings").is_some())
        .collect();
    assert_eq!(marked, [true, false]);
    let csv = host
        .call(Call::get(&format!("{START}/runs")).query("format", "csv"))
        .await;
    assert!(
        csv.body.contains("TARGET_FILTER: married (now: none)"),
        "{}",
        csv.body
    );
    let path = format!("{START}/runs/{}", under["id"].as_str().unwrap());
    let csv = host.call(Call::get(&path).query("format", "csv")).await;
    for row in [
        r#""setting","","","","","TARGET_FILTER","","married","","R46",""#,
        r#""left_out","hired000@corp.example","","pending""#,
        r#""beside","","","","","in_scope""#,
    ] {
        assert!(csv.body.contains(row), "{row}: {}", csv.body);
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r46_what_it_cannot_take_is_refused_before_it_is_queued() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(3, 0).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    for (settings, status, words) in [
        (
            json!({"ZIVVER_API_KEY": "s3cret"}),
            422,
            "a preview takes CLAIMED_DOMAINS, SOURCE_FILTER",
        ),
        (
            json!({"STATE": "memory:"}),
            422,
            "STATE is not a setting that a preview can take",
        ),
        (
            json!({"MAX_SUSPEND": "some"}),
            422,
            "CLOUD_SYNC__MAX_SUSPEND",
        ),
        (
            json!({"CLAIMED_DOMAINS": ""}),
            422,
            "CLOUD_SYNC__CLAIMED_DOMAINS is not set",
        ),
        (json!({"MAX_SUSPEND": 5}), 400, "expected a string"),
        (json!({}), 400, "`settings` is empty"),
    ] {
        let refused = host
            .call(Call::post(START, &json!({"settings": settings})))
            .await;
        assert_eq!(refused.status, status, "{settings} {}", refused.body);
        assert!(refused.body.contains(words), "{settings} {}", refused.body);
        assert!(!refused.body.contains("s3cret"), "{}", refused.body);
    }
    let apply = json!({"mode": "apply", "settings": {"MAX_SUSPEND": "5"}});
    assert_eq!(host.call(Call::post(START, &apply)).await.status, 400);
    assert_eq!(host.queue.len(), 0);

    // A queued run keeps its settings. Before any success it says nothing about health.
    let queued = json!({"settings": {"CLOUD_SYNC__CLAIMED_DOMAINS": "other.example"}});
    let started = host.call(Call::post(START, &queued)).await;
    assert_eq!(started.status, 202, "{}", started.body);
    for invoked in host.drain().await {
        invoked.succeeded();
    }
    let report = host
        .call(Call::get(&started.headers["location"]))
        .await
        .json();
    assert_eq!(report["settings"][0]["value"], "other.example", "{report}");
    assert_eq!(report["source"]["in_scope"], 0);
    assert_eq!(get(&host, "/health").await["problems"], json!([]));

    // The present value does not count as another setting.
    let same = start(
        &host,
        json!({"wait": 60, "settings": {"CLAIMED_DOMAINS": "corp.example"}}),
    )
    .await;
    assert_eq!(same["settings"], Value::Null);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r46_where_the_present_settings_fail_the_others_are_shown_alone() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(3, 0).await;
    let settings = office.settings(&folder_url(state.path()));
    let settings = with(settings, "SOURCE_FILTER", "gone@corp.example");
    let host = Host::start(settings).await;
    let report = start(
        &host,
        json!({"wait": 60, "settings": {"SOURCE_FILTER": ""}}),
    )
    .await;
    assert_eq!(report["settings"][0]["now"], "gone@corp.example");
    assert_eq!(
        (&report["compared"], &report["error"]),
        (&Value::Null, &Value::Null)
    );
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("not compared with the settings of the program"),
        "{warnings}"
    );
    host.stop().await;
}
