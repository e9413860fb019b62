//! The binary under a schedule: which instance runs when, what a host leaves that stops or reaches its timeout, and
//! starts by hand (`docs/specs/functions-host.md`, "1.6 Function timeout", "6. Schedules and instances" and "7.2 Admin
//! API"; R29, R34, R35).

use std::{collections::BTreeSet, time::Duration};

use cloud_sync::sandbox::control::{Fault, FaultKind};
use serde_json::json;

use super::office::{Office, folder_url};
use crate::host::{
    Host, Timing,
    queue::Queue,
    schedule::{MASTER_KEY, Run, Schedule},
    until,
    wire::Call,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Listens on the hosts until the condition holds.
async fn while_listening(
    hosts: &[&Host],
    schedule: &Schedule,
    what: &str,
    holds: impl Fn() -> bool,
) {
    let listeners = hosts.iter().map(|host| host.listen(schedule));
    tokio::select! {
        _ = futures::future::join_all(listeners) => unreachable!("they listen for ever"),
        () = until(what, holds) => {}
    }
}

fn overlap(runs: &[Run]) -> bool {
    runs.windows(2)
        .any(|pair| pair[0].ended.is_some_and(|ended| pair[1].started < ended))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_instances_one_runs_at_each_due_time() {
    let office = Office::open(3, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(folder.path()));
    let one = Host::start(settings.clone()).await;
    let other = Host::start(settings).await;
    let schedule = Schedule::every(Duration::from_millis(100), MINUTE);
    while_listening(&[&one, &other], &schedule, "five runs", || {
        schedule.ended().len() >= 5
    })
    .await;
    let runs = schedule.ended();
    assert!(!overlap(&runs), "{runs:?}");
    let instances: BTreeSet<_> = runs.iter().map(|run| run.instance).collect();
    assert_eq!(instances.len(), 1, "one listens");
    assert!(
        runs.iter()
            .all(|run| run.failure.is_none() && !run.past_due),
        "{runs:?}"
    );
    office.is_in_sync();
    let status = schedule.status().unwrap();
    assert!(status.last >= Some(runs[4].started), "{status:?}");
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_longer_than_its_interval_is_followed_by_one() {
    let office = Office::open(3, 1).await;
    let exchange = office.sandbox.exchange.control();
    exchange.set_latency(Duration::from_millis(300));
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(office.settings(&folder_url(folder.path()))).await;
    let every = Duration::from_millis(100);
    let schedule = Schedule::every(every, MINUTE);
    while_listening(&[&host], &schedule, "three runs", || {
        if !schedule.ended().is_empty() {
            exchange.set_latency(Duration::ZERO);
        }
        schedule.ended().len() >= 3
    })
    .await;
    let runs = schedule.ended();
    let took = runs[0].ended.unwrap().duration_since(runs[0].started);
    assert!(
        took.unsigned_abs() > 3 * every,
        "over too soon to say anything: {took}"
    );
    assert!(!overlap(&runs), "{runs:?}");
    assert!(
        runs.iter()
            .all(|run| run.failure.is_none() && !run.past_due),
        "{runs:?}"
    );
    assert!(
        runs[1].due < runs[0].ended.unwrap() && runs[2].due > runs[1].started,
        "at once, and the other occurrences are dropped: {runs:?}"
    );
    office.is_in_sync();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_instance_left_another_ends() {
    let office = Office::open(6, 3).await;
    let control = office.sandbox.zivver.control();
    control.inject(Fault::once(FaultKind::HangAfter).after(20).body("{"));
    let folder = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(folder.path()));
    let schedule = Schedule::every(Duration::from_millis(200), Duration::from_secs(1));
    let first = Host::start(settings.clone()).await;
    while_listening(&[&first], &schedule, "the write is reached", || {
        control.journal().iter().any(|entry| entry.fault.is_some())
    })
    .await;
    first.stop().await;
    let started = schedule.runs().len();

    let second = Host::start(settings).await;
    // The first tick may find the lock of the dead process, if the machine does not show that it died.
    while_listening(&[&second], &schedule, "all is right", || {
        office.accounts() == office.expected
    })
    .await;
    let runs = &schedule.runs()[started..];
    assert!(runs[0].past_due, "its run did not end: {runs:?}");
    assert!(!runs[1..].iter().any(|run| run.past_due), "{runs:?}");
    assert!(runs.iter().all(|run| run.failure.is_none()), "{runs:?}");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_by_hand_beside_the_schedule_does_nothing_twice() {
    let office = Office::open(6, 3).await;
    let control = office.sandbox.zivver.control();
    control.set_latency(Duration::from_millis(20));
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(office.settings(&folder_url(folder.path()))).await;
    for (function, key, body, status) in [
        ("SyncTimer", "guessed", Some(json!({})), 401),
        ("SyncNothing", MASTER_KEY, Some(json!({})), 404),
        ("SyncTimer", MASTER_KEY, None, 400),
    ] {
        let (client, invocation) = host.admin(function, key, body.as_ref());
        assert_eq!((client.status, invocation.is_some()), (status, false));
    }
    let mut scheduled = Box::pin(host.timer());
    tokio::select! {
        invoked = scheduled.as_mut() => panic!("ended before the other began: {invoked:?}"),
        () = until("it writes", || office.writes() > 0) => {}
    }
    let (client, by_hand) = host.admin("SyncTimer", MASTER_KEY, Some(&json!({"input": ""})));
    assert_eq!((client.status, client.body.as_str()), (202, ""));
    let (scheduled, by_hand) = tokio::join!(scheduled, by_hand.unwrap());
    scheduled.succeeded();
    by_hand.succeeded();
    assert!(
        host.log().has("another run writes already"),
        "it says why it did nothing: {}",
        host.log()
    );
    office.is_in_sync();
    let writes = office.writes();
    let (_, again) = host.admin("SyncTimer", MASTER_KEY, Some(&json!({})));
    again.unwrap().await.succeeded();
    assert_eq!(office.writes(), writes, "R38");

    // A message by hand, outside the queue: one that cannot be understood is refused without an effect.
    let text = json!({"input": "{\"v\":99}"});
    let (client, message) = host.admin("SyncQueue", MASTER_KEY, Some(&text));
    assert_eq!(client.status, 202);
    message.unwrap().await.succeeded();
    assert_eq!(office.writes(), writes);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_a_run_that_the_host_kills_for_its_time_is_ended_by_the_next() {
    let office = Office::open(6, 3).await;
    let zivver = office.sandbox.zivver.control();
    let folder = tempfile::tempdir().unwrap();
    let timing = Timing {
        function_timeout: Some(Duration::from_secs(3)),
        ..Timing::default()
    };
    let settings = office.settings(&folder_url(folder.path()));
    let host = Host::with(settings.clone(), Queue::default(), timing).await;
    let mut pids = BTreeSet::from([host.pid()]);
    // A kill after a timeout does not count. A third exit would stop the host.
    for _ in 0..3 {
        office
            .sandbox
            .exchange
            .control()
            .inject(Fault::once(FaultKind::HangBefore));
        let preview = json!({"wait": 60});
        let client = host.call(Call::post("/api/SyncHttp", &preview)).await;
        assert_eq!(client.status, 500, "{}", client.body);
        host.ready().await;
        pids.insert(host.pid());
    }
    zivver.inject(Fault::once(FaultKind::HangAfter).after(20).body("{"));
    let failure = host.timer().await.failure.expect("it hangs");
    assert!(failure.contains("exceeded"), "{failure}\n{}", host.log());
    host.ready().await;
    pids.insert(host.pid());
    assert_eq!(pids.len(), 5, "killed, and started again");
    host.stop().await;

    let host = Host::start(settings).await;
    let apply = json!({"mode": "apply"});
    let started = host.call(Call::post("/api/SyncHttp", &apply)).await;
    assert_eq!(started.status, 202, "{}", started.body);
    // It waits for the lock of the dead run.
    for invoked in host.drain().await {
        invoked.succeeded();
    }
    let location = &started.headers["location"];
    let report = host.call(Call::get(location)).await.json();
    assert_eq!(
        (&report["state"], &report["converged"]),
        (&json!("ended"), &json!(true)),
        "{report}\n{}",
        host.log()
    );
    office.is_in_sync();
    host.stop().await;
}
