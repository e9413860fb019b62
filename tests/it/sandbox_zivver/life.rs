use std::time::Duration;

use cloud_sync::sandbox::control::Authorization;
use cloud_sync::sandbox::zivver::{
    Change, Event, Group, LimiterConfig, LimiterKind, Organisation, RetryAfter, User,
};
use jiff::civil::date;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ANNA, BAS, INFO, World, reply, small, user_body};

const DAY: Duration = Duration::from_secs(86_400);

fn limited(kind: LimiterKind) -> Organisation {
    let mut organisation = small();
    organisation.limiter = LimiterConfig {
        kind,
        ..LimiterConfig::default()
    };
    organisation
}

async fn accepted(world: &World, calls: usize) -> usize {
    let mut accepted = 0;
    for _ in 0..calls {
        accepted += usize::from(world.get("Groups").await.status == 200);
    }
    accepted
}

#[tokio::test]
async fn the_limiter_takes_50_calls_in_10_seconds_and_then_says_so() {
    let world = World::start(limited(LimiterKind::SlidingWindow)).await;
    assert_eq!(accepted(&world, 50).await, 50);
    let response = world.request(Method::GET, "Users").send().await.unwrap();
    assert!(
        response
            .headers()
            .keys()
            .all(|name| !name.as_str().contains("limit") && name != "retry-after")
    );
    let refusal = super::received(response).await;
    assert_eq!(refusal.status, 429);
    let expected = json!({
        "code": 429, "message": "Too Many Requests",
        "emptiedBucketDetails": { "limiterId": "cab", "budget": 50, "windowSeconds": 10 },
        "reference": "https://tools.ietf.org/html/draft-polli-ratelimit-headers-02",
    });
    assert_eq!(refusal.json(), expected);
    assert_eq!(world.zivver().refused(), 1);
    world.zivver().control().advance(Duration::from_secs(11));
    assert_eq!(accepted(&world, 51).await, 50);
    assert_eq!(world.zivver().control().counters().status(429), 2);
}

#[tokio::test]
async fn a_token_bucket_refills_steadily() {
    let mut organisation = limited(LimiterKind::TokenBucket);
    // So slow that the time of the test itself does not count.
    organisation.limiter.window_millis = 50 * 3_600_000;
    let world = World::start(organisation).await;
    assert_eq!(accepted(&world, 52).await, 50);
    world
        .zivver()
        .control()
        .advance(Duration::from_secs(2 * 3600));
    assert_eq!(accepted(&world, 4).await, 2);
}

#[tokio::test]
async fn headers_and_other_consumers_by_switch() {
    let world = World::start(small()).await;
    let limiter =
        json!({ "budget": 3, "taken_by_others": 1, "headers": true, "retry_after": "seconds" });
    assert_eq!(
        world.control(Method::POST, "limiter", limiter).await.status,
        204
    );
    let first = world.request(Method::GET, "Users").send().await.unwrap();
    assert_eq!(first.headers()["ratelimit-limit"], "3");
    assert_eq!(first.headers()["ratelimit-remaining"], "1");
    assert_eq!(accepted(&world, 1).await, 1);
    let refused = world.request(Method::GET, "Users").send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "10");
    let date = "Fri, 31 Dec 1999 23:59:59 GMT";
    world
        .zivver()
        .with_state(|org| org.limiter.retry_after = RetryAfter::Text(date.to_owned()));
    let refused = world.request(Method::GET, "Users").send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], date);
}

#[tokio::test]
async fn long_suspended_users_are_deleted_with_the_exemptions() {
    let mut organisation = Organisation::new(["corp.example"])
        .with_user(User::new("old@corp.example", "Old").suspended(date(2026, 8, 26)))
        .with_user(User::new("recent@corp.example", "Recent").suspended(date(2026, 11, 1)))
        .with_user(User::new("unknown@corp.example", "Unknown date"))
        .with_user(User {
            full_admin: true,
            ..User::new("admin@corp.example", "Admin").suspended(date(2020, 1, 1))
        })
        .with_group(Group::new("empty@corp.example", "Empty"));
    organisation
        .user_mut("unknown@corp.example")
        .unwrap()
        .active = false;
    organisation.suspended_days_max = Some(90);
    let world = World::start(organisation).await;
    assert_eq!(world.get("Users").await.json()["totalResults"], 4);
    world.zivver().control().advance(DAY);
    assert_eq!(world.get("Users").await.json()["totalResults"], 3);
    assert_eq!(world.zivver().state().expired, ["old@corp.example"]);
    world.zivver().control().advance(90 * DAY);
    assert_eq!(world.get("Users").await.json()["totalResults"], 2);
    assert_eq!(world.get("Groups").await.json()["totalResults"], 1);
}

#[tokio::test]
async fn resuming_resets_the_clock() {
    let mut organisation = small();
    organisation.suspended_days_max = Some(90);
    let world = World::start(organisation).await;
    let path = format!("Users/{BAS}");
    world
        .put(&path, user_body(json!({ "active": false })))
        .await;
    world.zivver().control().advance(60 * DAY);
    world.put(&path, user_body(json!({ "active": true }))).await;
    world
        .put(&path, user_body(json!({ "active": false })))
        .await;
    world.zivver().control().advance(60 * DAY);
    assert_eq!(world.get(&path).await.status, 200);
    world.zivver().control().advance(31 * DAY);
    assert_eq!(world.get(&path).await.status, 400);
}

#[tokio::test]
async fn accounts_appear_and_members_change_between_calls() {
    let mut organisation = small();
    let jit = User::new("jit@corp.example", "Just in time");
    organisation.events.push(Event {
        after_calls: 1,
        change: Change::AddUser(jit),
    });
    let members = vec![ANNA.to_owned(), BAS.to_owned()];
    let change = Change::SetMembers {
        address: "info@corp.example".to_owned(),
        members,
    };
    organisation.events.push(Event {
        after_calls: 2,
        change,
    });
    let world = World::start(organisation).await;
    assert_eq!(world.get("Users").await.json()["totalResults"], 2);
    assert_eq!(world.get("Users").await.json()["totalResults"], 3);
    let members = world.get(&format!("Groups/{INFO}")).await.json()["members"].clone();
    assert_eq!(members.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_journal_holds_every_request_as_received_but_no_secret() {
    let world = World::start(small()).await;
    world.get("Users?count=1").await;
    let body = user_body(json!({ "active": true }));
    world.put(&format!("Users/{BAS}"), body.clone()).await;
    world
        .client
        .get(format!("{}/scim/v2/Users", world.sandbox.zivver_url()))
        .send()
        .await
        .unwrap();
    let journal = world.zivver().control().journal();
    let seen: Vec<_> = journal
        .iter()
        .map(|it| (it.sequence, it.method.as_str(), it.path.as_str(), it.status))
        .collect();
    let path = format!("/api/scim/v2/Users/{BAS}");
    let expected = [
        (1, "GET", "/api/scim/v2/Users?count=1", Some(200)),
        (2, "PUT", path.as_str(), Some(200)),
        (3, "GET", "/api/scim/v2/Users", Some(401)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(journal[1].body, body.to_string());
    assert_eq!(journal[1].authorization, Authorization::Right);
    assert_eq!(journal[2].authorization, Authorization::Absent);
    let text = world
        .control(Method::GET, "journal", Value::Null)
        .await
        .text;
    assert!(!text.contains(sandbox::zivver::API_KEY));
    let counters = world
        .control(Method::GET, "counters", Value::Null)
        .await
        .json();
    assert_eq!(counters["total"], 3);
    assert_eq!(counters["by_method"], json!({ "GET": 2, "PUT": 1 }));
    assert_eq!(counters["by_status"], json!({ "200": 2, "401": 1 }));
}

#[tokio::test]
async fn state_and_switches_can_be_set_over_http() {
    let world = World::start(Organisation::default()).await;
    let seed = json!({ "claimed_domains": ["corp.example"], "users": [{ "user_name": "x@corp.example", "name": "X" }] });
    assert_eq!(world.control(Method::PUT, "state", seed).await.status, 204);
    assert_eq!(
        world
            .find("Users", "userName", "x@corp.example")
            .await
            .len(),
        1
    );
    let switches = json!({ "endpoints": { "Organization": { "domains": ["corp.example"] } } });
    assert_eq!(
        world
            .control(Method::POST, "switches", switches)
            .await
            .status,
        204
    );
    assert_eq!(
        world.get("Organization").await,
        reply(200, r#"{"domains":["corp.example"]}"#)
    );
    assert_eq!(
        world
            .control(Method::POST, "switches", json!({ "unheard_of": 1 }))
            .await
            .status,
        400
    );
    assert_eq!(
        world
            .control(Method::PUT, "state", json!({ "users": [{ "nome": "X" }] }))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn lists_that_lag_show_what_was_there_before() {
    let mut organisation = small();
    organisation.switches.lists_lag_millis = 4000;
    let world = World::start(organisation).await;
    let names = async || {
        let list = world.get("Users").await.json();
        let users = list["Resources"].as_array().unwrap().iter();
        let mut names: Vec<String> = users
            .map(|user| user["name"]["formatted"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.join(" ")
    };
    let rename = |name| user_body(json!({ "name": { "formatted": name } }));
    assert_eq!(
        world
            .put(&format!("Users/{ANNA}"), rename("Ada"))
            .await
            .status,
        200
    );
    let control = world.zivver().control();
    control.advance(Duration::from_secs(2));
    let new = json!({ "userName": "new@corp.example", "name": { "formatted": "New" } });
    assert_eq!(world.post("Users", user_body(new)).await.status, 201);
    let one = world.get(&format!("Users/{ANNA}")).await.json();
    assert_eq!(one["name"]["formatted"], "Ada");
    assert_eq!(names().await, "Anna Bas");
    control.advance(Duration::from_secs(2));
    assert_eq!(names().await, "Ada Bas");
    control.advance(Duration::from_secs(2));
    assert_eq!(names().await, "Ada Bas New");
}

#[tokio::test]
async fn writes_that_store_nothing_look_as_if_they_did() {
    let mut organisation = small();
    organisation.switches.writes_store_nothing = true;
    let world = World::start(organisation).await;
    let before = world.get("Users").await;
    let suspend = user_body(json!({ "active": false }));
    let answer = world.put(&format!("Users/{BAS}"), suspend).await;
    assert_eq!(
        (answer.status, &answer.json()["active"]),
        (200, &json!(false))
    );
    let new = json!({ "userName": "new@corp.example", "name": { "formatted": "New" } });
    assert_eq!(world.post("Users", user_body(new)).await.status, 201);
    assert_eq!(world.get("Users").await, before);
}
