//! The budget of calls is kept, and learnt from answers (R30).

use cloud_sync::sandbox::{
    Sandbox, SandboxOptions,
    control::ControlOptions,
    zivver::{LimiterConfig, LimiterKind, RetryAfter},
};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::*;

/// Renames one user that often, with 32 requests at a time, and returns how long that took.
async fn write(world: &World, writes: usize) -> Duration {
    let id = id_of(&world.zivver, "anna@corp.example");
    write_by(&world.client, &id, writes).await
}

async fn write_by(client: &ZivverClient, id: &ScimId, writes: usize) -> Duration {
    let start = Instant::now();
    let update = named("Ann");
    stream::iter(0..writes)
        .map(|_| client.update_user(id, &update))
        .buffer_unordered(32)
        .for_each(|after| async move { assert!(after.is_ok(), "{after:?}") })
        .await;
    start.elapsed()
}

fn limited(limiter: LimiterConfig) -> World {
    let mut organisation = organisation();
    organisation.limiter = limiter;
    World::at_rate(organisation, Rate::default())
}

#[tokio::test(start_paused = true)]
async fn r30_four_hundred_writes_meet_no_refusal_and_lose_no_time() {
    for kind in [
        LimiterKind::SlidingWindow,
        LimiterKind::TokenBucket,
        LimiterKind::FixedWindow,
    ] {
        for headers in [false, true] {
            let world = limited(LimiterConfig {
                kind,
                headers,
                ..LimiterConfig::default()
            });
            world.zivver.control().apply(&ControlOptions {
                latency_millis: Some(20),
                jitter_millis: Some(150),
                ..ControlOptions::default()
            });
            let took = write(&world, 400).await;
            assert_eq!(world.zivver.refused(), 0, "{kind:?}");
            assert!(took <= s(74), "{kind:?}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r30_another_consumer_is_given_room() {
    for kind in [
        LimiterKind::SlidingWindow,
        LimiterKind::TokenBucket,
        LimiterKind::FixedWindow,
    ] {
        for headers in [false, true] {
            let world = limited(LimiterConfig {
                kind,
                headers,
                taken_by_others: 10,
                ..LimiterConfig::default()
            });
            let took = write(&world, 2000).await;
            let refused = world.zivver.refused();
            assert!(refused <= 20, "{kind:?} {headers}: {refused}");
            assert!(took <= s(600), "{kind:?} {headers}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r30_a_smaller_budget_is_learnt() {
    for (headers, retry_after) in [
        (false, RetryAfter::Absent),
        (true, RetryAfter::Seconds),
        (
            false,
            RetryAfter::Text("Thu, 01 Jan 1970 00:00:00 GMT".into()),
        ),
        (false, RetryAfter::Text("soon".into())),
    ] {
        let world = limited(LimiterConfig {
            budget: 20,
            window_millis: 5_000,
            headers,
            retry_after: retry_after.clone(),
            ..LimiterConfig::default()
        });
        let took = write(&world, 200).await;
        let refused = world.zivver.refused();
        assert!(refused <= 45, "{headers} {retry_after:?}: {refused}");
        assert!(took <= s(100), "{headers} {retry_after:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r30_little_room_is_enough() {
    for kind in [
        LimiterKind::SlidingWindow,
        LimiterKind::TokenBucket,
        LimiterKind::FixedWindow,
    ] {
        let world = limited(LimiterConfig {
            kind,
            taken_by_others: 40,
            refusals_count: true,
            ..LimiterConfig::default()
        });
        let took = write(&world, 200).await;
        let refused = world.zivver.refused();
        assert!(refused <= 40, "{kind:?}: {refused}");
        assert!(took <= s(250), "{kind:?}: {took:?}");
    }
}

/// With real connections and a real clock: no call arrives too early.
#[tokio::test(flavor = "multi_thread")]
async fn r30_no_window_overflows_over_the_network() {
    let mut organisation = organisation();
    organisation.limiter.window_millis = 1_000;
    let sandbox = Sandbox::start(SandboxOptions {
        organisation,
        ..SandboxOptions::default()
    })
    .await
    .unwrap();
    let rate = Rate::Budget {
        calls: 50,
        window: s(1),
    };
    let connection = connection(&sandbox.zivver_url(), rate, MayWrite::new(|| true));
    let transport = Transport::network(&connection.base_url, 32).unwrap();
    let client = ZivverClient::new(connection, transport);
    let id = id_of(&sandbox.zivver, "anna@corp.example");
    write_by(&client, &id, 120).await;
    assert_eq!(sandbox.zivver.refused(), 0);
    assert_eq!(sandbox.zivver.control().counters().total, 120);
    sandbox.stop().await;
}
