//! R44: changes by hand, as the dashboard shows them.

use serde_json::json;

use super::{Browser, Site, organisation};

#[tokio::test(flavor = "multi_thread")]
async fn r44_the_page_of_a_run_lists_what_was_changed_by_hand() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[]).await;
    let first = site.run(json!({"mode": "apply", "wait": 60})).await;
    let touched = |address: &str| {
        first
            .actions
            .iter()
            .any(|it| it.action.address.as_str() == address)
    };
    let by_hand = site.sandbox.zivver.with_state(|zivver| {
        let settled = zivver.users.iter_mut();
        let mut settled = settled
            .filter(|it| it.active && it.external_account_id.is_some() && !touched(&it.user_name));
        let user = settled.next().unwrap();
        user.name = "Changed By Hand".to_owned();
        user.user_name.clone()
    });
    let preview = site.run(json!({"wait": 60})).await;
    browser
        .go(&site.at(&format!("/runs/{}?format=html", preview.id)))
        .await;
    let page = browser.says("Exchange decides about these").await;
    assert!(
        page.contains("Changed By Hand → ") && page.contains(&by_hand),
        "{page}"
    );
    browser.judge("drift").await;
}
