use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use cloud_sync::sandbox::control::{Fault, FaultKind};
use cloud_sync::sandbox::zivver::{API_KEY, Simulator};
use reqwest::Method;
use serde_json::json;
use tower::ServiceExt as _;

use super::{World, small, user_body};

fn new_user() -> serde_json::Value {
    user_body(json!({ "userName": "new@corp.example", "name": { "formatted": "New" } }))
}

#[tokio::test]
async fn a_status_without_acting_with_headers_and_as_often_as_asked() {
    let world = World::start(small()).await;
    let faults = json!([{
        "matches": { "method": "POST", "path_contains": "/Users", "body_contains": "new@" }, "after": 1, "times": 2,
        "kind": { "status": { "status": 503, "headers": [["Retry-After", "7"]], "body": "busy" } },
    }]);
    assert_eq!(
        world.control(Method::POST, "faults", faults).await.status,
        204
    );
    assert_eq!(world.get("Users").await.status, 200);
    assert_eq!(world.post("Users", new_user()).await.status, 201);
    for _ in 0..2 {
        let request = world
            .request(Method::POST, "Users")
            .header("content-type", "application/json");
        let response = request.body(new_user().to_string()).send().await.unwrap();
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(super::received(response).await, super::reply(503, "busy"));
    }
    assert_eq!(world.post("Users", new_user()).await.status, 409);
    assert!(world.zivver().control().pending_faults().is_empty());
    let unknown = json!([{ "kind": "explode" }]);
    assert_eq!(
        world.control(Method::POST, "faults", unknown).await.status,
        400
    );
}

#[tokio::test]
async fn resets_close_the_connection_without_an_answer() {
    for (kind, acted) in [
        (FaultKind::ResetBefore, false),
        (FaultKind::ResetAfter, true),
    ] {
        let world = World::start(small()).await;
        world
            .zivver()
            .control()
            .inject(Fault::once(kind).method("POST"));
        let request = world
            .request(Method::POST, "Users")
            .header("content-type", "application/json");
        let error = request
            .body(new_user().to_string())
            .send()
            .await
            .expect_err("there is no answer");
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        assert_eq!(
            world.zivver().state().user("new@corp.example").is_some(),
            acted
        );
        let entry = &world.zivver().control().journal()[0];
        assert_eq!((entry.acted, entry.status), (acted.then_some(201), None));
        assert_eq!(
            world.get("Users").await.status,
            200,
            "the next request goes through"
        );
    }
}

#[tokio::test]
async fn a_reset_in_process_is_an_error_of_the_body() {
    let simulator = Simulator::new(small());
    simulator
        .control()
        .inject(Fault::once(FaultKind::ResetBefore));
    let request = || {
        let request =
            Request::get("/api/scim/v2/Users").header("authorization", format!("Bearer {API_KEY}"));
        request.body(Body::empty()).unwrap()
    };
    let response = simulator.router().oneshot(request()).await.unwrap();
    assert!(
        axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .is_err()
    );
    assert_eq!(
        simulator
            .router()
            .oneshot(request())
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn hanging_requests_end_with_the_callers_patience_or_the_sandbox() {
    for (kind, acted) in [(FaultKind::HangBefore, false), (FaultKind::HangAfter, true)] {
        let world = World::start(small()).await;
        world.zivver().control().inject(Fault::always(kind));
        let request = world
            .request(Method::POST, "Users")
            .header("content-type", "application/json");
        let request = request
            .timeout(Duration::from_millis(100))
            .body(new_user().to_string());
        assert!(request.send().await.unwrap_err().is_timeout());
        assert_eq!(
            world.zivver().state().user("new@corp.example").is_some(),
            acted
        );
        let hanging = world.request(Method::GET, "Users").send();
        let control = world.zivver().control();
        let stop = async {
            while control.counters().total < 2 {
                tokio::task::yield_now().await;
            }
            control.close();
        };
        let (answer, ()) = tokio::join!(hanging, stop);
        assert!(answer.is_err());
        world.sandbox.stop().await;
    }
}

#[tokio::test]
async fn spoilt_answers() {
    let world = World::start(small()).await;
    let control = world.zivver().control();
    let whole = world.get("Users").await.text;
    let spoilt = async |kind: FaultKind| {
        control.inject(Fault::once(kind));
        world.get("Users").await
    };
    assert_eq!(
        spoilt(FaultKind::TruncatedJson { full_length: false })
            .await
            .text,
        whole[..whole.len() / 2]
    );
    assert!(
        spoilt(FaultKind::TrailingGarbage)
            .await
            .text
            .starts_with(&whole)
    );
    assert_eq!(spoilt(FaultKind::EmptyOk).await, super::reply(200, ""));
    let html = spoilt(FaultKind::HtmlError { status: 502 }).await;
    assert!(html.status == 502 && html.text.starts_with("<html>"));
    assert_eq!(
        spoilt(FaultKind::HugeBody { bytes: 1_000_000 })
            .await
            .text
            .len(),
        1_000_000
    );
    let replaced = FaultKind::ReplaceBody {
        status: 204,
        body: String::new(),
    };
    assert_eq!(spoilt(replaced).await, super::reply(204, ""));
    assert_eq!(
        spoilt(FaultKind::SlowDrip {
            bytes: 100,
            millis: 1
        })
        .await
        .text,
        whole
    );

    control.inject(Fault::once(FaultKind::TruncatedJson { full_length: true }));
    let response = world.request(Method::GET, "Users").send().await.unwrap();
    assert_eq!(response.content_length(), Some(whole.len() as u64));
    assert!(response.text().await.is_err());
    assert_eq!(control.counters().faults, 8);
}

#[tokio::test]
async fn latency_and_delay_hold_answers_back() {
    let world = World::start(small()).await;
    let options = json!({ "latency_millis": 60, "jitter_millis": 10, "seed": 7 });
    assert_eq!(
        world.control(Method::POST, "options", options).await.status,
        204
    );
    world
        .zivver()
        .control()
        .inject(Fault::once(FaultKind::Delay { millis: 60 }));
    let start = Instant::now();
    assert_eq!(world.get("Users").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(120));
    let start = Instant::now();
    let (one, other) = tokio::join!(world.get("Users"), world.get("Groups"));
    assert_eq!((one.status, other.status), (200, 200));
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert_eq!(world.zivver().control().counters().in_flight_max, 2);
    assert_eq!(world.zivver().control().counters().in_flight, 0);
}

#[tokio::test]
async fn overlapping_writes_to_one_account_and_bursts_are_counted() {
    let world = World::start(small()).await;
    let control = world.zivver().control();
    let second = Duration::from_secs(1);
    control.set_latency(Duration::from_millis(50));
    let put = async |id: &str| {
        world
            .put(&format!("Users/{id}"), user_body(json!({ "active": true })))
            .await
            .status
    };
    assert_eq!(tokio::join!(put(super::ANNA), put(super::BAS)), (200, 200));
    assert_eq!(control.counters().overlapping_writes, 0);
    assert_eq!(tokio::join!(put(super::ANNA), put(super::ANNA)), (200, 200));
    assert_eq!(control.counters().overlapping_writes, 1);
    control.set_latency(Duration::ZERO);
    control.advance(1000 * second);
    assert_eq!(put(super::ANNA).await, 200);
    assert_eq!(control.counters().overlapping_writes, 1);
    assert_eq!(control.busiest_window(second * 900), 4);
    assert_eq!(control.busiest_window(second * 1100), 5);
}
