//! The states of held sets and of runs: held, approved in part, rejected, running, stopped.

use std::time::Duration;

use cloud_sync::domain::report::{Report, RunState};
use serde_json::json;

use super::{Browser, Site, organisation};
use crate::host::wire::Call;

impl Site {
    /// Judges the dashboard and the page of a run.
    async fn judge(&self, browser: &Browser, name: &str, run: &Report) -> String {
        browser.go(&self.at("")).await;
        browser.judge(&format!("{name}-dashboard")).await;
        browser
            .go(&self.at(&format!("/runs/{}?format=html", run.id)))
            .await;
        browser.judge(name).await;
        browser.text().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_the_pages_of_decided_sets_say_what_was_decided() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let limits = [("MAX_ALIAS_REMOVALS", "0"), ("MAX_SUSPEND", "0")];
    let site = Site::open(tenant, organisation, &limits).await;
    let held = site.run(json!({"mode": "apply", "wait": 60})).await;
    let text = site.judge(&browser, "held", &held).await;
    let set = held.held.iter().max_by_key(|set| set.changes.len());
    let set = set.unwrap();
    assert!(set.changes.len() > 1 && held.held.len() > 1, "{held:?}");
    assert!(text.contains(&set.code), "{text}");

    let one = &set.changes[0].address;
    let body =
        json!({"mode": "apply", "approve": [set.code], "approve_accounts": [one], "wait": 60});
    let partly = site.run(body).await;
    let text = site.judge(&browser, "partly-approved", &partly).await;
    assert!(text.contains(one.as_str()), "{text}");
    // The page of the run that held the set tells what was approved of it.
    browser
        .go(&site.at(&format!("/runs/{}?format=html", held.id)))
        .await;
    browser.says("approved").await;
    browser.judge("held-partly-approved").await;

    let other = partly.held.iter().find(|it| it.class != set.class).unwrap();
    let call = Call::post("/api/SyncHttp/rejections", &json!({"code": other.code}));
    assert_eq!(site.host.call(call).await.status, 200);
    let text = site.judge(&browser, "rejected", &partly).await;
    assert!(text.contains("rejected"), "{text}");
    let after = site.run(json!({"mode": "apply", "wait": 60})).await;
    let text = site.judge(&browser, "after-rejected", &after).await;
    assert!(text.contains("rejected"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_the_page_of_a_run_shows_that_it_runs_and_that_it_was_stopped() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[("ZIVVER_RATE", "2/1s")]).await;
    let call = Call::post("/api/SyncHttp", &json!({"mode": "apply"}));
    let queued: serde_json::Value = serde_json::from_str(&site.host.call(call).await.body).unwrap();
    let id = queued["run"].as_str().unwrap();
    let page = site.at(&format!("/runs/{id}?format=html"));
    browser.go(&page).await;
    browser.judge("queued").await;
    let mut delivery = site.deliver();
    browser.says("Applying:").await;
    browser.judge("running").await;
    browser.go(&site.at("")).await;
    browser.judge("running-dashboard").await;

    let stop = format!("/api/SyncHttp/runs/{id}/stop");
    let stopped = site.host.call(Call::post(&stop, &json!({}))).await;
    assert!(stopped.status < 300, "{stopped:?}");
    let ended = tokio::time::timeout(Duration::from_secs(60), delivery.join_next());
    ended.await.unwrap().unwrap().unwrap();
    let answer = site
        .host
        .call(Call::get(&format!("/api/SyncHttp/runs/{id}")))
        .await;
    let report: Report = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(report.state, RunState::Ended, "{}", answer.body);
    let text = site.judge(&browser, "stopped", &report).await;
    assert!(text.contains("stopped"), "{text}");
}
