//! Items 8 to 10: headers, throttling, faults of the wire.

use std::time::{Duration, Instant};

use cloud_sync::sandbox::control::{Fault, FaultKind};
use cloud_sync::sandbox::exchange::{Bucket, MicroDelay, Refusal, RefusalBody, RetryAfter, faults};
use futures::future::join_all;

use super::*;

async fn one_user() -> Bench {
    Bench::new(Tenant::new("corp.example").user("ann@corp.example")).await
}

#[tokio::test]
async fn c08_answers_carry_the_headers_of_the_service() {
    let bench = one_user().await;
    let answer = bench.get("/Mailbox").await;
    assert_eq!(
        answer.header("content-type"),
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    );
    assert_eq!(answer.header("rate-limit-limit"), "30000");
    assert_eq!(answer.header("rate-limit-remaining"), "29999");
    assert_eq!(
        answer.header("x-calculatedbetarget"),
        "be01.example.invalid"
    );
    assert_eq!(answer.header("x-concurrencycount"), "0");
    let reset = answer.header("rate-limit-reset");
    assert!(reset.len() == 24 && reset[19..] == *".000Z", "{reset}");
    let first = answer.header("request-id").to_owned();
    assert!(httpdate::parse_http_date(answer.header("date")).is_ok());
    assert_ne!(bench.get("/Nothing").await.header("request-id"), first);
    bench
        .simulator
        .switch(|switches| switches.rate_limit_headers = false);
    assert_eq!(bench.get("/Mailbox").await.header("rate-limit-limit"), "");
}

#[tokio::test]
async fn c09_an_empty_bucket_refuses_and_refills() {
    let bench = one_user().await;
    bench.simulator.switch(|switches| {
        switches.throttle.bucket = Some(Bucket {
            capacity: 2,
            refill_millis: 3_600_000,
        });
        switches.throttle.refusal.retry_after = RetryAfter::Seconds(7);
    });
    assert_eq!(
        bench.get("/Mailbox").await.header("rate-limit-remaining"),
        "1"
    );
    assert_eq!(bench.get("/Mailbox").await.status, 200);
    let refused = bench.get("/Mailbox").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "7"));
    assert_eq!(refused.json()["error"]["code"], "TooManyRequests");
    bench.simulator.control().advance(Duration::from_secs(3600));
    assert_eq!(bench.get("/Mailbox").await.status, 200);
}

#[tokio::test]
async fn c09_a_refusal_has_many_forms() {
    let bench = one_user().await;
    bench.simulator.switch(|switches| {
        switches.throttle.bucket = Some(Bucket {
            capacity: 0,
            refill_millis: 1000,
        });
    });
    let refused = async |status, retry_after, body| {
        bench.simulator.switch(|switches| {
            switches.throttle.refusal = Refusal {
                status,
                retry_after,
                body,
            };
        });
        bench.get("/Mailbox").await
    };
    let fraction = refused(429, RetryAfter::Millis(1500), RefusalBody::Empty).await;
    assert_eq!(
        (fraction.header("retry-after"), fraction.body.len()),
        ("1.500", 0)
    );
    let date = refused(429, RetryAfter::DateIn(2), RefusalBody::Empty).await;
    assert!(httpdate::parse_http_date(date.header("retry-after")).is_ok());
    let bare = refused(503, RetryAfter::Absent, RefusalBody::Empty).await;
    assert_eq!((bare.status, bare.header("retry-after")), (503, ""));
    let text = refused(400, RetryAfter::Absent, RefusalBody::ConcurrencyText).await;
    assert_eq!(text.status, 400);
    assert!(
        text.cause()
            .starts_with("You have reached the maximum number of concurrent requests per tenant.")
    );
}

#[tokio::test]
async fn c09_too_many_at_once_are_refused() {
    let bench = one_user().await;
    bench
        .simulator
        .control()
        .set_latency(Duration::from_millis(100));
    bench
        .simulator
        .switch(|switches| switches.throttle.in_flight_max = Some(4));
    let all = join_all((0..8).map(|_| bench.get("/Mailbox"))).await;
    let served = all.iter().filter(|answer| answer.status == 200).count();
    let refused = all.iter().filter(|answer| answer.status == 429).count();
    assert_eq!((served, refused), (4, 4));
    assert_eq!(bench.get("/Mailbox").await.status, 200);
}

#[tokio::test]
async fn c09_a_micro_delay_answers_late_instead() {
    let bench = one_user().await;
    bench.simulator.switch(|switches| {
        switches.throttle.micro_delay = Some(MicroDelay {
            above_in_flight: 0,
            delay_millis: 50,
        });
    });
    let start = Instant::now();
    assert_eq!(bench.get("/Mailbox").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn c10_exchange_has_faults_of_its_own() {
    let bench = one_user().await;
    let control = bench.simulator.control();
    control.inject(faults::transient(400));
    let busy = bench.cmdlet("Get-Mailbox", json!({})).await;
    assert_eq!(busy.status, 400);
    assert!(
        busy.json()["error"]["details"][0]["message"]
            .as_str()
            .unwrap()
            .contains("ServerBusyException")
    );
    control.inject(faults::concurrency(500));
    assert!(
        bench
            .get("/Mailbox")
            .await
            .cause()
            .contains("maximum number of concurrent requests")
    );
    control.inject(faults::throttled(429, Some("0.5")));
    assert_eq!(bench.get("/Mailbox").await.header("retry-after"), "0.5");
    control.inject(faults::claims_challenge());
    assert!(
        bench
            .get("/Mailbox")
            .await
            .header("www-authenticate")
            .contains("claims=")
    );
    control.inject(Fault::once(FaultKind::TruncatedJson { full_length: false }));
    let cut = bench.get("/Mailbox").await;
    assert!(serde_json::from_slice::<Value>(&cut.body).is_err());
    assert!(control.pending_faults().is_empty());
    bench
        .simulator
        .switch(|switches| switches.unknown_members = true);
    let future = bench.get("/Mailbox?$select=Alias").await;
    assert_eq!(future.ok()["@future.annotation"], json!({"a": [1]}));
    assert_eq!(
        future.rows()[0]["FutureMember"],
        json!({"Depth": [1, null]})
    );
}
