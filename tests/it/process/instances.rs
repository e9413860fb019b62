//! Several messages at the same time, on one instance or on two that share a queue: at most one writes, and each run
//! ends as it should (R29, R34, R35).

use std::time::Duration;

use cloud_sync::sandbox::control::FaultKind;
use serde_json::{Value, json};

use super::{
    durability::{at_write, created_twice},
    office::{Office, folder_url, with},
};
use crate::host::{Host, Invoked, Timing, project::AppSettings, queue::Queue, until, wire::Call};

/// Queues a run that writes. Returns the place of its report.
pub(super) async fn queue_a_run(host: &Host) -> String {
    let apply = Call::post("/api/SyncHttp", &json!({"mode": "apply"}));
    let started = host.call(apply).await;
    assert_eq!(started.status, 202, "{}", started.body);
    started.headers["location"].clone()
}

pub(super) async fn report(host: &Host, location: &str) -> Value {
    let report = host.call(Call::get(location)).await.json();
    assert_eq!(
        (&report["state"], &report["converged"]),
        (&json!("ended"), &json!(true)),
        "{report}"
    );
    report
}

pub(super) fn all_succeeded(invocations: Vec<Invoked>) -> usize {
    let invocations = invocations.into_iter().map(Invoked::succeeded);
    invocations.count()
}

/// The result is right, and there was only one writer at any time.
#[track_caller]
pub(super) fn one_wrote_at_a_time(office: &Office, queue: &Queue) {
    office.is_in_sync();
    assert_eq!((queue.len(), queue.poison().len()), (0, 0));
    let journal = office.sandbox.zivver.control().journal();
    assert_eq!(created_twice(&journal), Vec::<String>::new());
    let mut answered = journal.iter().filter_map(|entry| entry.acted);
    let refused = answered.find(|status| *status >= 400);
    assert_eq!(refused, None, "as when somebody else was faster");
}

/// Three runs that are queued at the same time.
async fn three_at_once(hosts: &[&Host], office: &Office) {
    // So slow that those that wait for the lock ask for it during the run.
    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(300));
    let mut locations = Vec::new();
    for _ in 0..3 {
        locations.push(queue_a_run(hosts[0]).await);
    }
    let drained = hosts.iter().map(|host| host.drain());
    for invocations in futures::future::join_all(drained).await {
        assert!(all_succeeded(invocations) > 0, "each has one in hand");
    }
    one_wrote_at_a_time(office, &hosts[0].queue);
    let mut wrote = 0;
    for location in &locations {
        let report = report(hosts[0], location).await;
        let actions = report["actions"].as_array().unwrap();
        wrote += usize::from(!actions.is_empty());
    }
    assert_eq!(wrote, 1, "who comes later finds nothing to do (R38)");
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_of_three_messages_at_once_on_one_instance_one_writes() {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = office.settings(&folder_url(folder.path()));
    let batch = "AzureFunctionsJobHost__extensions__queues__batchSize";
    settings.insert(batch.to_owned(), "3".to_owned());
    let host = Host::start(settings).await;
    three_at_once(&[&host], &office).await;
    host.stop().await;
}

async fn two_instances(settings: AppSettings, timing: Timing) -> (Host, Host) {
    let queue = Queue::default();
    let one = Host::with(settings.clone(), queue.clone(), timing).await;
    (one, Host::with(settings, queue, timing).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_of_two_instances_on_one_queue_one_writes() {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(folder.path()));
    let (one, other) = two_instances(settings, Timing::default()).await;
    three_at_once(&[&one, &other], &office).await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_a_message_whose_host_died_comes_to_another_when_its_lease_is_over() {
    let office = Office::open(6, 3).await;
    let control = office.sandbox.zivver.control();
    control.inject(at_write(20, &FaultKind::HangAfter));
    let folder = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(folder.path()));
    let timing = Timing {
        lease: Duration::from_secs(3),
        ..Timing::default()
    };
    let (dying, other) = two_instances(settings, timing).await;
    let location = queue_a_run(&dying).await;
    {
        let mut run = std::pin::pin!(dying.deliver());
        let reached = until("the write is reached", || {
            control.journal().iter().any(|entry| entry.fault.is_some())
        });
        tokio::select! {
            invoked = &mut run => panic!("ended before the write: {invoked:?}"),
            () = reached => {}
        }
    }
    dying.stop().await;
    assert_eq!(other.queue.len(), 1, "nobody settled it");

    assert_eq!(all_succeeded(other.drain().await), 1, "{}", other.log());
    one_wrote_at_a_time(&office, &other.queue);
    report(&other, &location).await;
    let before = office.writes();
    other.timer().await.succeeded();
    assert_eq!(office.writes(), before, "R38");
    other.stop().await;
}

/// The lease of the dead process would last for ten minutes.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn r29_a_process_that_died_on_this_machine_keeps_nobody_waiting() {
    let office = Office::open(6, 3).await;
    let control = office.sandbox.zivver.control();
    control.inject(at_write(20, &FaultKind::HangAfter));
    let folder = tempfile::tempdir().unwrap();
    let settings = with(
        office.settings(&folder_url(folder.path())),
        "LOCK_LEASE",
        "10m",
    );
    let (dying, other) = two_instances(settings, Timing::default()).await;
    {
        let mut run = std::pin::pin!(dying.timer());
        let reached = until("the write is reached", || {
            control.journal().iter().any(|entry| entry.fault.is_some())
        });
        tokio::select! {
            invoked = &mut run => panic!("ended before the write: {invoked:?}"),
            () = reached => {}
        }
    }
    other.timer().await.succeeded();
    assert_eq!(other.queue.len(), 1, "the holder lives: the tick waits");
    dying.stop().await;
    for invoked in other.drain().await {
        invoked.succeeded();
    }
    one_wrote_at_a_time(&office, &other.queue);
    other.stop().await;
}

/// So slow, and with so little time, that a run takes several invocations.
fn in_pieces(office: &Office, settings: AppSettings, budget: &str) -> AppSettings {
    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(700));
    with(settings, "TIME_BUDGET", budget)
}

/// The text of the only message.
fn message(queue: &Queue) -> String {
    let mut texts = queue.texts();
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_a_message_that_two_instances_get_at_once_makes_one_run() {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = in_pieces(&office, office.settings(&folder_url(folder.path())), "2s");
    let (one, other) = two_instances(settings, Timing::default()).await;
    let queue = one.queue.clone();
    let location = queue_a_run(&one).await;
    let text = message(&queue);
    queue.send(text.as_bytes()).unwrap();
    let (of_one, of_other) = tokio::join!(one.drain(), other.drain());
    let (of_one, of_other) = (all_succeeded(of_one), all_succeeded(of_other));
    assert!(of_one > 0 && of_other > 0, "they met");
    assert!(of_one + of_other > 2, "one invocation was enough");
    one_wrote_at_a_time(&office, &queue);
    let ended = report(&one, &location).await;

    // The message is delivered once more after the end, to the instance that did not end the run and to the one that
    // did.
    let before = office.writes();
    for late in [&one, &other] {
        queue.send(text.as_bytes()).unwrap();
        late.deliver().await.unwrap().succeeded();
        assert_eq!(queue.len(), 0, "nothing is left to go on with");
    }
    assert_eq!(office.writes(), before);
    assert_eq!(report(&other, &location).await, ended);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_messages_of_two_runs_in_the_wrong_order_end_both() {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = in_pieces(&office, office.settings(&folder_url(folder.path())), "1s");
    let (one, other) = two_instances(settings, Timing::default()).await;
    let queue = one.queue.clone();
    let locations = [queue_a_run(&one).await, queue_a_run(&one).await];
    // The younger run begins, and from then on the two runs alternate.
    queue.reverse();
    let mut invocations = 0;
    for host in [&one, &other].into_iter().cycle() {
        let Some(invoked) = host.deliver().await else {
            break;
        };
        invoked.succeeded();
        invocations += 1;
        assert!(invocations < 100, "no end: {:?}", queue.texts());
        if invocations == 2 {
            assert_eq!(queue.len(), 2, "both are cut off");
        }
    }
    one_wrote_at_a_time(&office, &queue);
    for location in &locations {
        report(&one, location).await;
    }
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_a_run_whose_continuation_the_queue_refused_comes_again_and_ends() {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = in_pieces(&office, office.settings(&folder_url(folder.path())), "1s");
    let host = Host::start(settings).await;
    let location = queue_a_run(&host).await;
    host.queue.fail_sends(1);
    let refused = host.deliver().await.unwrap();
    let why = refused.failure.expect("it cannot hand itself on");
    assert!(why.contains("the queue refused the message"), "{why}");
    let state = host.call(Call::get(&location)).await.json()["state"].clone();
    assert_eq!(state, "continues");

    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::ZERO);
    assert!(all_succeeded(host.drain().await) > 0);
    one_wrote_at_a_time(&office, &host.queue);
    report(&host, &location).await;
    host.stop().await;
}
