//! The dashboard in a real Chromium in front of the emulated Functions host.

mod beside;
mod drift;
mod driver;
mod large;
mod pictures;
mod site;
mod standing;
mod states;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cloud_sync::{
    domain::report::Report,
    sandbox::{
        exchange::Tenant,
        tenant,
        zivver::{LimiterConfig, Organisation},
    },
};
use serde_json::json;

use driver::{Browser, Look};
use site::Site;

use crate::host::{FUNCTION_KEY, wire::Call};

/// The file for a picture that a developer can look at, in `target/pictures`.
fn picture(name: &str, look: Look) -> PathBuf {
    let night = if look.dark { "-dark" } else { "" };
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/pictures")
        .join(format!("{name}-{}{night}.png", look.width))
}

/// An organisation with every kind of change, and a Zivver without its limiter.
fn organisation() -> (Tenant, Organisation) {
    let (tenant, mut organisation) = tenant::generate(7, 120);
    organisation.limiter = LimiterConfig::off();
    (tenant, organisation)
}

impl Browser {
    /// Checks the open page in all colour schemes and widths.
    async fn judge(&self, name: &str) {
        for look in Look::ALL {
            self.look(look).await;
            self.picture(&picture(name, look), 6000).await;
            assert_eq!(self.overflows().await, [""; 0], "{name} {look:?}");
            assert_eq!(self.violations().await, [""; 0], "{name} {look:?}");
        }
        self.look(Look::new(1280, false)).await;
        let complaints: Vec<String> = self
            .complaints()
            .await
            .into_iter()
            .filter(|line| !line.contains("favicon") && !line.contains("status of 40"))
            .collect();
        assert_eq!(complaints, [""; 0], "{name}");
    }
}

impl Site {
    async fn run(&self, body: serde_json::Value) -> Report {
        let call = Call::post("/api/SyncHttp", &body);
        let answer = self.host.call(call).await;
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }

    /// The access review (R43) as JSON.
    async fn access(&self, query: &[(&str, &str)]) -> serde_json::Value {
        let call = Call::get("/api/SyncHttp/access");
        let call = query
            .iter()
            .fold(call, |call, (name, value)| call.query(name, value));
        let answer = self.host.call(call).await;
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_good_at_both_widths_by_day_and_by_night() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let limits = [("MAX_ALIAS_REMOVALS", "0"), ("TARGET_FILTER", "vip,board*")];
    let site = Site::open(tenant, organisation, &limits).await;
    let see = async |name: &str, path: &str| {
        browser.go(&site.at(path)).await;
        browser.judge(name).await;
    };
    see("empty", "").await;
    let preview = site.run(json!({"wait": 60})).await;
    let applied = site.run(json!({"mode": "apply", "wait": 60})).await;
    // The next night: one person left, and Zivver refuses an alias.
    let leaver = site.sandbox.exchange.with_state(|tenant| {
        let people = tenant.mailboxes.iter_mut();
        let mut active = people
            .filter(|it| it.recipient_type_details == "UserMailbox")
            .filter(|it| it.account_disabled == Some(false));
        let leaver = active.next().unwrap();
        leaver.account_disabled = Some(true);
        leaver.primary_smtp_address.to_lowercase()
    });
    let night = site.run(json!({"mode": "apply", "wait": 60})).await;
    assert!(!night.suspended.is_empty());
    assert!(night.since.is_some());
    see("dashboard", "").await;
    see("runs", "/runs?format=html").await;
    for (name, report) in [
        ("preview", &preview),
        ("apply", &applied),
        ("night", &night),
    ] {
        see(name, &format!("/runs/{}?format=html", report.id)).await;
    }
    let held = &applied.held[0].changes[0].address;
    for (name, address) in [
        ("explain-held", held.as_str()),
        ("explain-suspended", leaver.as_str()),
        ("explain-unknown", "nobody@corp.example"),
    ] {
        see(name, &format!("/accounts/{address}?format=html")).await;
    }
    see("access", "/access?format=html").await;
    let since = "/access?format=html&by=person&since=2020-01-01&q=corp.example";
    see("access-since", since).await;
    see("access-nothing", "/access?format=html&q=nobody").await;
    see("check", "/check?format=html").await;
    see("not-found", "/runs/20260101T000000Z-abcdef?format=html").await;
    let answer = site
        .host
        .call(Call::get("/api/SyncHttp").header("Accept", "text/html"))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn r43_an_auditor_searches_who_can_open_what() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = tenant::generate(7, 400);
    let site = Site::open(tenant, organisation, &[("ZIVVER_RATE", "unlimited")]).await;
    browser.go(&site.at("/access?format=html")).await;
    browser.says("There is no readable snapshot").await;
    let preview = site.run(json!({"wait": 120})).await;

    browser.go(&site.at("")).await;
    browser.click("Access").await;
    let text = browser.says("Page 1 of ").await;
    assert!(text.contains(&preview.source.tenant_id), "{text}");
    assert!(text.contains("mailboxes read"), "{text}");
    browser.click("Next").await;
    browser.says("Page 2 of ").await;
    browser.click("All rows, to print").await;
    let all = browser.says("via ").await;
    assert!(!all.contains("Page 1"), "{all}");

    // The server answers the question and its pages, and the key stays in the address bar.
    let rows = site.access(&[("page", "1")]).await;
    assert_eq!(rows["rows"].as_array().unwrap().len(), 200);
    assert_eq!(rows["next_page"], 2);
    let mut rows_of_people = rows["rows"].as_array().unwrap().iter();
    let person = rows_of_people.find_map(|row| row["person"]["address"].as_str());
    let person = person.unwrap();
    let field = browser.element("//input[@name='q']").await;
    browser.write(&field, &format!("{person}\u{e007}")).await;
    browser
        .element(&format!("//h2[not(contains(., '{}'))]", rows["total"]))
        .await;
    let found = site.access(&[("q", person), ("by", "person")]).await;
    let count = found["total"].as_u64().unwrap();
    assert!(count >= 1 && found["total"] != rows["total"]);
    let rows = found["rows"].as_array().unwrap().iter();
    let pairs = rows.filter(|row| row["person"].is_object()).count();
    browser.says(&format!("{pairs} row")).await;
    assert!(browser.address().await.contains(FUNCTION_KEY));
    let csv = site
        .host
        .call(Call::get("/api/SyncHttp/access").query("format", "csv"))
        .await;
    assert_eq!(csv.status, 200);
    assert!(csv.body.contains("\"mailbox\""), "{}", csv.body);

    // The history of an account is on its page, even while Exchange is not reachable.
    browser
        .go(&site.at(&format!("/accounts/{person}?format=html")))
        .await;
    browser.says("first seen by the first snapshot").await;
    site.sandbox.exchange.control().fail_next(403);
    let call = Call::get(&format!("/api/SyncHttp/accounts/{person}"));
    let answer = site.host.call(call).await;
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &body["as_of"]["run"]),
        (200, &json!(preview.id))
    );
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "one visit from its beginning to its end"
)]
async fn an_administrator_previews_approves_applies_explains_and_undoes() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[]).await;
    browser.go(&site.at("")).await;

    // A preview of all accounts, and its plan.
    browser.says("No run yet").await;
    browser.click("Preview").await;
    browser.says("Queued").await;
    let mut delivery = site.deliver();
    browser.says("What would change").await;
    browser.says("Nothing was written").await;
    delivery.join_next().await.unwrap().unwrap();
    assert_eq!(site.writes(), 0);
    let state = site.sandbox.zivver.state();
    let search = browser.element("//input[@id='q']").await;
    browser.write(&search, "supplier0").await;
    let found = browser.says("1 found").await;
    assert!(found.contains("supplier0@corp.example"), "{found}");
    assert!(!found.contains("zivver.admin@corp.example"), "{found}");

    // A held set is approved from the page of the run that showed it, and the page shows the progress.
    browser.click("Cloud Sync").await;
    browser.says("needs attention").await;
    let form = "//section[.//h2[contains(., 'never had a mailbox')]]//form";
    let sure = browser
        .element(&format!("{form}//input[@name='sure']"))
        .await;
    browser.click_on(&sure).await;
    let zivver = site.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(900));
    let approve = browser
        .element(&format!("{form}//button[@value='approve-all']"))
        .await;
    browser.click_on(&approve).await;
    browser.says("Queued").await;
    let mut delivery = site.deliver();
    browser.says("Applying:").await;
    let bar = browser.element("//progress").await;
    browser.look(Look::new(390, false)).await;
    browser
        .picture(&picture("progress", Look::new(390, false)), 1000)
        .await;
    drop(bar);
    zivver.set_latency(Duration::ZERO);
    delivery.join_next().await.unwrap().unwrap();
    // The page detects the end by itself.
    browser.says("converged").await;
    browser.look(Look::new(1280, false)).await;
    let run = browser.address().await;
    let after = site.sandbox.zivver.state();
    assert!(!after.user("supplier0@corp.example").unwrap().active);
    assert_ne!(after.users.len(), state.users.len(), "the rest went too");

    // The explanation of the suspended supplier.
    browser.click("Cloud Sync").await;
    let address = browser
        .element("//input[@name='account'][@type='search']")
        .await;
    browser
        .write(&address, "Supplier0@corp.example\u{e007}")
        .await;
    browser.says("Zivver may delete it for good").await;
    let place = browser.address().await;
    assert!(
        place.contains("/accounts/Supplier0%40corp.example"),
        "{place}"
    );
    browser.back().await;

    // All changes of the run are taken back.
    browser.go(&run).await;
    let undo = "//section[.//h2[.='Undo']]";
    let sure = browser
        .element(&format!("{undo}//input[@type='checkbox']"))
        .await;
    browser.click_on(&sure).await;
    browser.click("Undo this run").await;
    browser.says("Queued").await;
    let mut delivery = site.deliver();
    delivery.join_next().await.unwrap().unwrap();
    browser.says("Takes back the run").await;
    let undone = site.sandbox.zivver.state();
    assert!(undone.user("supplier0@corp.example").unwrap().active);
    // The key is in the address bar, but in no page.
    assert!(browser.address().await.contains(FUNCTION_KEY));
    assert_eq!(browser.complaints().await, [""; 0]);
}
