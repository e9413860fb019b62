//! A service that is down is reported as the cause.

use cloud_sync::sandbox::control::Fault;

use super::{Bench, busy, called, json, newcomers, request};

#[tokio::test(start_paused = true)]
async fn r40_a_service_that_is_down_is_not_the_state() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let zivver = bench.world.sandbox.zivver.control();
    zivver.inject(Fault::always(busy(503, 1)));
    let call = request("GET", "/accounts/person00@corp.example", &[], None);
    let response = called(&bench.app(), call).await;
    assert_eq!(response.status, 502, "{}", response.body);
    let told = json(&response);
    assert_eq!(told["type"], "urn:cloud-sync:problem:service");
    assert!(
        told["detail"].as_str().unwrap().contains("Zivver"),
        "{told}"
    );
}
