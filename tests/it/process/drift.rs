//! R44: the origins of the changes of a run, through the host.

use serde_json::{Value, json};

use super::office::{Office, address, folder_url};
use crate::host::{Host, wire::Call};

const START: &str = "/api/SyncHttp";

async fn start(host: &Host, body: Value) -> Value {
    let answer = host.call(Call::post(START, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn page(host: &Host, report: &Value, format: &str) -> String {
    let path = format!("{START}/runs/{}", report["id"].as_str().unwrap());
    host.call(Call::get(&path).query("format", format))
        .await
        .body
}

#[tokio::test(flavor = "multi_thread")]
async fn r44_a_report_says_what_was_changed_by_hand_and_what_in_exchange() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(4, 1).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    // Without an earlier snapshot there are no origins.
    let first = start(&host, json!({"mode": "apply", "wait": 60})).await;
    assert_eq!(first["counts"]["origins"], Value::Null);
    assert!(first["actions"].as_array().unwrap().len() > 3);
    let first = page(&host, &first, "html").await;
    assert!(!first.contains("R44"), "{first}");

    let (renamed, aliased) = (address("settled00001"), address("settled00002"));
    office.sandbox.zivver.with_state(|zivver| {
        zivver.user_mut(&renamed).unwrap().name = "By Hand".to_owned();
        let user = zivver.user_mut(&aliased).unwrap();
        user.aliases.push(address("by.hand"));
    });
    office.sandbox.exchange.with_state(|tenant| {
        let mut mailboxes = tenant.mailboxes.iter_mut();
        let changed = mailboxes.find(|it| it.primary_smtp_address == address("settled00003"));
        changed.unwrap().display_name = "In Exchange".to_owned();
    });
    let preview = start(&host, json!({"wait": 60})).await;
    // The sign-in key is written with the alias.
    let origins = json!({"changed_by_hand": 2, "exchange_changed": 1, "unchanged": 1});
    assert_eq!(preview["counts"]["origins"], origins, "{preview}");
    let html = page(&host, &preview, "html").await;
    for words in [
        "Changed by hand in Zivver",
        "By Hand → Person settled00001",
        "Exchange changed (1), changed by hand in Zivver (2)",
        "(Exchange changed)",
    ] {
        assert!(html.contains(words), "{words}: {html}");
    }
    let csv = page(&host, &preview, "csv").await;
    for row in [
        r#""name","By Hand","Person settled00001","","R16","#,
        r#""changed_by_hand""#,
        r#""run","","","","","origin_exchange_changed","","1""#,
    ] {
        assert!(csv.contains(row), "{row}: {csv}");
    }

    // The apply that follows reports the same, although the preview has seen it already. After the apply there is
    // nothing left to report.
    let applied = start(&host, json!({"mode": "apply", "wait": 60})).await;
    assert_eq!(applied["counts"]["origins"], origins, "{applied}");
    assert_eq!(applied["converged"], json!(true));
    let last = start(&host, json!({"wait": 60})).await;
    assert_eq!(last["counts"]["origins"], Value::Null, "{last}");

    // If the snapshot cannot be read, there are no origins, and the run continues.
    let snapshots = state.path().join("runs");
    for run in std::fs::read_dir(snapshots).unwrap() {
        for entry in std::fs::read_dir(run.unwrap().path()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with("snapshot") {
                std::fs::write(entry.path(), "damaged").unwrap();
            }
        }
    }
    office.sandbox.zivver.with_state(|zivver| {
        zivver.user_mut(&renamed).unwrap().name = "Again".to_owned();
    });
    let applied = start(&host, json!({"mode": "apply", "wait": 60})).await;
    assert_eq!(applied["counts"]["origins"], Value::Null, "{applied}");
    assert_eq!(applied["converged"], json!(true));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r43_a_day_in_the_future_has_no_changes_and_the_review_says_why() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(1, 0).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    start(&host, json!({"mode": "apply", "wait": 60})).await;
    for (day, remarks) in [
        (
            "2020-01-01",
            json!(["no snapshot is as old as that day, so it is compared with the oldest one"]),
        ),
        (
            "2999-01-01",
            json!(["that day has not begun yet, so nothing can have changed since"]),
        ),
    ] {
        let call = Call::get(&format!("{START}/access")).query("since", day);
        let review = host.call(call).await.json();
        assert_eq!(
            (&review["remarks"], &review["changed"]),
            (&remarks, &json!(0)),
            "{review}"
        );
    }
}
