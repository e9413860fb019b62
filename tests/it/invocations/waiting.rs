//! A caller who waits gets an answer in time (R34).

use cloud_sync::sandbox::control::{Fault, FaultKind};
use tokio::time::Instant;

use super::{Bench, called, json, ms, newcomers, request};

#[tokio::test(start_paused = true)]
async fn r34_a_caller_who_waits_is_answered_when_time_is_up() {
    let bench = Bench::open(newcomers(60), &[]).await;
    let exchange = bench.world.sandbox.exchange.control();
    let slow = |millis| Fault::always(FaultKind::Delay { millis });
    exchange.inject(slow(20_000).path("MailboxPermission"));
    let app = bench.app();
    let began = Instant::now();
    let body = Some(r#"{"mode":"apply","wait":1}"#);
    let headers = [("content-type", "application/json")];
    let response = called(&app, request("POST", "", &headers, body)).await;
    assert!(began.elapsed() < ms(5000), "{:?}", began.elapsed());
    assert_eq!(response.status, 202, "{}", response.body);
    assert_eq!(json(&response)["state"], "continues");
    assert_eq!(bench.users(), []);
}
