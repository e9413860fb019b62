//! The state that the dashboard shows after runs that did not read everything, and the links of addresses.

use std::time::Duration;

use cloud_sync::domain::{guard::Class, plan::ActionKind};

use serde_json::{Value, json};

use super::{Browser, Look, Site, organisation};
use crate::host::wire::Call;

/// The figures of the dashboard: name and number.
async fn tiles(browser: &Browser) -> Vec<(String, String)> {
    let script = "return Array.from(document.querySelectorAll('.tile'), (it) =>
        [it.querySelector('span').textContent, it.querySelector('b').textContent])";
    serde_json::from_value(browser.run(script).await).unwrap()
}

fn figure<'a>(tiles: &'a [(String, String)], name: &str) -> &'a str {
    let tile = tiles.iter().find(|(known, _)| known == name);
    &tile.unwrap_or_else(|| panic!("no {name} in {tiles:?}")).1
}

impl Site {
    async fn health(&self) -> Value {
        let answer = self.host.call(Call::get("/api/SyncHttp/health")).await;
        serde_json::from_str(&answer.body).unwrap()
    }

    async fn fail(&self) {
        for _ in 0..8 {
            self.sandbox.zivver.control().fail_next(401);
        }
        let failed = self.run(json!({"mode": "apply", "wait": 60})).await;
        assert!(failed.error.is_some());
        self.sandbox.zivver.control().clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_the_figures_of_the_last_complete_run_stay_until_the_next_one() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[("MAX_ALIAS_REMOVALS", "0")]).await;
    let applied = site.run(json!({"mode": "apply", "wait": 60})).await;
    let some = applied.held[0].changes[0].address.to_string();
    browser.go(&site.at("")).await;
    let before = tiles(&browser).await;
    let text = browser.text().await;
    assert_eq!(
        figure(&before, "changes held"),
        applied.counts.held.to_string()
    );
    for kind in ["create", "rename", "resume", "update", "suspend", "empty"] {
        assert_eq!(figure(&before, kind), "0", "{before:?}");
    }
    assert!(!text.contains("Since then"), "{text}");
    let figures = site.health().await["figures"].clone();
    assert_eq!(figures["run"], applied.id);

    site.fail().await;
    site.run(json!({"accounts": [some], "wait": 60})).await;
    let undo = Call::post(
        &format!("/api/SyncHttp/runs/{}/undo", applied.id),
        &json!({"mode": "apply", "wait": 60}),
    );
    assert_eq!(site.host.call(undo).await.status, 200);

    browser.go(&site.at("")).await;
    assert_eq!(tiles(&browser).await, before);
    let text = browser.text().await;
    for words in [
        "Last complete run: ",
        "Since then",
        "apply: failed, 0 accounts changed",
        "preview for 1 account: 0 accounts changed",
        "undo: ",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    assert_eq!(site.health().await["figures"], figures);
    for set in &applied.held {
        assert!(text.contains(&set.reason), "{text}");
    }

    browser.judge("after-undo").await;

    // What was not read is not shown as 0, neither in the history nor on the page of the run.
    let cells = browser
        .run(
            "return Array.from(document.querySelectorAll('tbody tr'), (row) => row.innerText)
                .find((row) => row.includes('failed'))",
        )
        .await;
    assert_eq!(cells.as_str().unwrap().matches('–').count(), 2, "{cells}");
    browser
        .run("document.querySelector('tbody tr:nth-child(3) a').click()")
        .await;
    let page = browser.says("The run ended before it had a plan.").await;
    assert!(!page.contains("Zivver users"), "{page}");
    assert!(page.contains("not known"), "{page}");
    browser.judge("failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_the_dashboard_says_what_waits_and_what_the_timer_does_next() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let schedule = [("PERFORM_SYNC", "true")];
    let site = Site::open(tenant, organisation, &schedule).await;
    let preview = site.run(json!({"wait": 60})).await;
    browser.go(&site.at("")).await;
    let tiles = tiles(&browser).await;
    for (kind, count) in &preview.counts.planned {
        let kind = format!("{kind:?}").to_lowercase();
        assert_eq!(figure(&tiles, &kind), count.to_string());
    }
    let text = browser.text().await;
    for words in [
        "Next run of the timer",
        "an apply: it makes the changes that are planned then and not held",
        "(PERFORM_SYNC=true)",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    browser.judge("pending").await;
    let applied = site
        .run(json!({"mode": "apply", "plan": preview.id, "wait": 60}))
        .await;
    browser
        .go(&site.at(&format!("/runs/{}?format=html", applied.id)))
        .await;
    browser.says("only what preview").await;
    browser.judge("plan-applied").await;
}

/// A script that returns texts with an address outside of a link.
const UNLINKED: &str = "const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const it = walker.currentNode;
        if (/\\S@\\S+\\.\\S/.test(it.textContent) && !it.parentElement.closest('a,code,h1,textarea')) found.push(it.textContent);
    }
    return found;";

#[tokio::test(flavor = "multi_thread")]
async fn r40_every_address_of_a_page_leads_to_its_explanation() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[("MAX_ALIAS_REMOVALS", "0")]).await;
    let applied = site.run(json!({"mode": "apply", "wait": 60})).await;
    let set = applied
        .held
        .iter()
        .find(|set| set.class == Class::AliasRemoval);
    let held = set.unwrap().changes[0].address.to_string();
    for path in [
        String::new(),
        format!("/runs/{}?format=html", applied.id),
        "/access?format=html&since=2020-01-01".to_owned(),
        format!("/accounts/{held}?format=html"),
    ] {
        browser.go(&site.at(&path)).await;
        assert_eq!(browser.run(UNLINKED).await, json!([]), "{path}");
    }
    // Both sides have the same order, and differences are marked.
    let marked = browser
        .run(
            "return Array.from(document.querySelectorAll('table.sides tr'))
                .filter((row) => row.querySelector('mark')).map((row) => row.querySelector('th').textContent)",
        )
        .await;
    assert_eq!(marked, json!(["Aliases differs"]));
    browser.go(&site.at("")).await;
    browser
        .run("document.querySelector('.who a').click()")
        .await;
    browser.says("Exchange says").await;
    assert!(browser.address().await.contains("/accounts/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r40_the_banner_is_green_only_where_nothing_is_missing() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[]).await;
    let applied = site.run(json!({"mode": "apply", "wait": 60})).await;
    let created = applied
        .actions
        .iter()
        .map(|it| it.action.address.to_string());
    let mut green = 0;
    for address in created.take(6) {
        browser
            .go(&site.at(&format!("/accounts/{address}?format=html")))
            .await;
        browser
            .picture(
                &super::picture("explain-green", Look::new(1280, false)),
                2000,
            )
            .await;
        let seen = browser
            .run(
                "return [document.querySelector('.lead').className, document.querySelectorAll('mark').length,
                    document.body.innerText.includes('There is no')]",
            )
            .await;
        if seen[0].as_str().unwrap().contains("good") {
            assert_eq!(
                (&seen[1], &seen[2]),
                (&json!(0), &json!(false)),
                "{address}"
            );
            green += 1;
        }
    }
    assert!(green > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r40_an_account_is_found_by_name() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let person = tenant
        .mailboxes
        .iter()
        .find(|it| it.recipient_type_details == "UserMailbox" && it.display_name.is_ascii())
        .unwrap();
    let name = person.display_name.clone();
    let address = person.primary_smtp_address.to_lowercase();
    let site = Site::open(tenant, organisation, &[]).await;
    let search = async |text: &str| {
        browser.go(&site.at("")).await;
        let field = browser.element("//input[@name='account']").await;
        browser.write(&field, &format!("{text}\u{e007}")).await;
    };
    search(&name.to_uppercase()).await;
    browser.says("with this name").await;
    browser.click(&address).await;
    browser.says("Exchange says").await;
    // A typing error.
    let wrong = format!("{}q", name.split_whitespace().next_back().unwrap());
    search(&wrong).await;
    browser.says("The nearest").await;
    search("Xyzzyxyzzy Qwrtpsdf").await;
    browser
        .says("No mailbox and no account has such a name")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_filtered_and_ordered() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[]).await;
    let preview = site.run(json!({"wait": 60})).await;
    browser
        .go(&site.at(&format!("/runs/{}?format=html", preview.id)))
        .await;
    // A filter looks at the rows before its event returns.
    let found = async |words: &str| {
        let shown = browser
            .run("return document.querySelector('#search output').textContent")
            .await;
        assert_eq!(shown, words);
    };
    let choose = async |id: &str, value: &str| {
        let script = format!(
            "const it = document.getElementById('{id}'); it.value = '{value}'; it.dispatchEvent(new Event('change'))"
        );
        browser.run(&script).await;
    };
    let updates = preview.counts.planned[&ActionKind::Update];
    choose("kind", "update").await;
    found(&format!("{updates} found")).await;
    let takes = preview
        .actions
        .iter()
        .filter(|it| it.action.takes_away())
        .count();
    choose("kind", "").await;
    browser
        .run("document.getElementById('takes').click()")
        .await;
    found(&format!("{takes} found")).await;
    browser
        .run("document.getElementById('takes').click()")
        .await;
    let rule = &preview.actions[0].action.reasons[0].rule;
    let with_rule = preview.actions.iter();
    let with_rule = with_rule.filter(|it| it.action.reasons.iter().any(|it| it.rule == *rule));
    choose("rule", rule).await;
    found(&format!("{} found", with_rule.count())).await;
    choose("rule", "").await;
    choose("order", "address").await;
    let sorted = browser
        .run(
            "return Array.from(document.querySelectorAll('ul.rows')).filter((it) => it.querySelector('[data-kind]'))
                .every((list) => { const all = Array.from(list.querySelectorAll('.who'), (it) => it.textContent);
                    return all.every((it, at) => at === 0 || all[at - 1] <= it); })",
        )
        .await;
    assert_eq!(sorted, json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn r37_the_preview_of_an_undo_leads_to_its_run() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[]).await;
    let applied = site.run(json!({"mode": "apply", "wait": 60})).await;
    browser
        .go(&site.at(&format!("/runs/{}?format=html", applied.id)))
        .await;
    browser.click("Preview the undo").await;
    browser.says("Queued").await;
    let mut delivery = site.deliver();
    delivery.join_next().await.unwrap().unwrap();
    browser.says("takes back run").await;
    browser.judge("undo-preview").await;
    browser.click(&applied.id).await;
    browser.says("What changed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_in_the_zone_of_the_reader_and_do_not_break_on_a_phone() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[]).await;
    let preview = site.run(json!({"wait": 60})).await;
    site.run(json!({"mode": "apply", "wait": 60})).await;
    site.fail().await;
    browser.zone("Asia/Kathmandu").await;
    browser.look(Look::new(390, false)).await;
    browser.go(&site.at("/runs?format=html")).await;
    let started: jiff::Timestamp = preview.started.parse().unwrap();
    let there = started + Duration::from_secs(5 * 3600 + 45 * 60);
    let shown = browser
        .run(
            "const it = Array.from(document.querySelectorAll('td time')).pop();
             return [it.textContent, it.title, it.getClientRects().length, document.getElementById('zone').innerText]",
        )
        .await;
    assert_eq!(shown[0], there.strftime("%Y-%m-%d %H:%M").to_string());
    assert_eq!(shown[1], started.strftime("%Y-%m-%d %H:%M UTC").to_string());
    assert_eq!(shown[2], 1, "a date of two lines");
    assert!(shown[3].as_str().unwrap().contains("Asia/Kat"), "{shown}");
    let width = browser
        .run("return [document.querySelector('.scroll').scrollWidth, document.querySelector('.scroll').clientWidth]")
        .await;
    assert_eq!(width[0], width[1], "a column is out of sight");
    // The chart of the history has an axis with figures and times.
    browser.go(&site.at("")).await;
    let axis = browser
        .run("return Array.from(document.querySelectorAll('.axis li, figcaption time'), (it) => it.textContent.length > 0)")
        .await;
    assert_eq!(axis, json!([true, true, true, true, true, true, true]));
}
