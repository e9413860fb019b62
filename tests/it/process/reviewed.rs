//! R28: the button on the page of a preview, through the host, applies exactly what the page shows.

use cloud_sync::sandbox::exchange::Mailbox;
use serde_json::json;

use super::office::{Office, address, folder_url};
use crate::host::{Host, wire::Call};

const START: &str = "/api/SyncHttp";

/// The value of a hidden field in a page.
fn field<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&start)?;
    Some(rest.split_once('"')?.0)
}

fn form(body: &str) -> Call {
    let call = Call {
        method: "POST".to_owned(),
        path: START.to_owned(),
        body: body.as_bytes().to_vec(),
        ..Call::default()
    };
    call.header("Content-Type", "application/x-www-form-urlencoded")
        .header("Accept", "text/html")
}

async fn drain(host: &Host) {
    for invoked in host.drain().await {
        invoked.succeeded();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_of_a_preview_applies_what_it_shows() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(3, 2).await;
    let host = Host::start(office.settings(&folder_url(state.path()))).await;
    let started = host.call(Call::post(START, &json!({}))).await;
    let location = started.headers["location"].clone();
    drain(&host).await;
    let preview = host.call(Call::get(&location)).await.json();
    let changes = preview["actions"].as_array().unwrap().len();
    assert!(changes > 1, "{preview}");

    let page = host
        .call(Call::get(&location).query("format", "html"))
        .await;
    assert!(
        page.body
            .contains(&format!("Apply these {changes} changes")),
        "{}",
        page.body
    );
    let (token, plan) = (field(&page.body, "token"), field(&page.body, "plan"));
    assert_eq!(plan, preview["id"].as_str());
    let (token, plan) = (token.unwrap(), plan.unwrap());

    // After the review there is one more new mailbox.
    office.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes.push(Mailbox::user(&address("late")));
    });
    let body = format!("token={token}&mode=apply&plan={plan}&sure=yes");
    let queued = host.call(form(&body)).await;
    assert_eq!(queued.status, 202, "{}", queued.body);
    drain(&host).await;

    let runs = host.call(Call::get(&format!("{START}/runs"))).await.json();
    let run = &runs["runs"][0];
    assert_eq!(
        (&run["mode"], &run["applies"]),
        (&json!("apply"), &json!(plan))
    );
    let report = host
        .call(Call::get(&format!(
            "{START}/runs/{}",
            run["id"].as_str().unwrap()
        )))
        .await
        .json();
    assert_eq!(report["applies"], json!(plan));
    assert_eq!(report["converged"], json!(true), "{report}");
    assert_eq!(report["actions"].as_array().unwrap().len(), changes);
    assert_eq!(
        report["counts"]["skipped"]["not_reviewed"],
        json!(1),
        "{report}"
    );
    assert!(!office.accounts().contains_key(&address("late")));

    // The page of an apply has no such button, and its run cannot be used as a plan.
    let id = report["id"].as_str().unwrap();
    let page = host
        .call(Call::get(&format!("{START}/runs/{id}")).query("format", "html"))
        .await;
    assert_eq!(field(&page.body, "plan"), None);
    assert!(page.body.contains("only what preview"), "{}", page.body);
    let refused = host
        .call(Call::post(START, &json!({"mode": "apply", "plan": id})))
        .await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    let unknown = json!({"mode": "apply", "plan": "20200101T000000Z-000000"});
    assert_eq!(host.call(Call::post(START, &unknown)).await.status, 404);
    host.stop().await;
}
