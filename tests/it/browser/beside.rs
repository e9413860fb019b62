//! R46: the effect of another filter, as an administrator requests it.

use super::{Browser, Site, organisation};

#[tokio::test(flavor = "multi_thread")]
async fn r46_an_administrator_previews_another_filter() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[]).await;
    let complete = site.run(serde_json::json!({"wait": 60})).await;
    let created = complete.actions.iter().map(|it| &it.action);
    let created = created
        .filter(|it| it.id.is_none())
        .map(|it| it.address.to_string());
    let left_out = created.take(1).next().unwrap();

    browser.go(&site.at("")).await;
    browser.click("Preview under other settings").await;
    browser.judge("other-settings").await;
    let filter = browser
        .element("//input[@name='settings.TARGET_FILTER']")
        .await;
    browser.write(&filter, &left_out).await;
    browser.click("Preview under these settings").await;
    browser.says("Queued").await;
    let mut delivery = site.deliver();
    browser.says("Compared with the present settings").await;
    delivery.join_next().await.unwrap().unwrap();
    let page = browser.text().await;
    for words in [
        "Preview under other settings",
        "(now: none)",
        "this plan cannot be applied",
        "Left out by these settings",
        "pending",
    ] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    for words in [
        "Approve",
        "Reject selected",
        "--approve",
        "I have looked at",
    ] {
        assert!(!page.contains(words), "{words} in {page}");
    }
    browser.judge("under-other-settings").await;
    assert_eq!(site.writes(), 0);

    // The figures of the dashboard stay the same, and the history marks the run.
    browser.click("Cloud Sync").await;
    let page = browser.says("preview under other settings").await;
    assert!(page.contains("Last complete run: "), "{page}");
    assert!(!page.contains("Since then"), "{page}");
}
