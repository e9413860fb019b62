//! A process killed, frozen or doubled at any point, and storage that fails (R29, R34, R35).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use cloud_sync::sandbox::control::{Entry, Fault, FaultKind};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::office::{Office, folder_url, with};
use crate::host::{
    Host, Stalls, Timing,
    project::{AppSettings, app_root},
    queue::Queue,
    until,
    wire::Call,
    worker::Level,
};

/// How many sweeps run at the same time. With more of them, processes and Azurite wait for a core until leases end.
pub(super) const SIDE_BY_SIDE: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// Faults of the `k`th write, counted from 0, whatever its method.
pub(super) fn at_write(k: u32, kind: &FaultKind) -> Fault {
    // Only writes have a body.
    Fault::once(kind.clone()).after(k).body("{")
}

/// The number of writes of an undisturbed run of the same office.
async fn writes_undisturbed() -> usize {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(office.settings(&folder_url(folder.path()))).await;
    host.timer().await.succeeded();
    office.is_in_sync();
    host.stop().await;
    office.writes()
}

/// Kills the process at its `k`th write and starts it again. The schedule must do the rest.
async fn killed_at(k: u32, moment: Moment, settings: AppSettings, office: Office) {
    let kind = match moment {
        Moment::Before => FaultKind::HangBefore,
        Moment::After => FaultKind::HangAfter,
    };
    let control = office.sandbox.zivver.control();
    control.inject(at_write(k, &kind));
    let host = Host::start(settings.clone()).await;
    {
        let mut run = std::pin::pin!(host.timer());
        let reached = until("the write is reached", || {
            control.journal().iter().any(|entry| {
                entry.fault == Some(kind.name())
                    && (moment == Moment::Before || entry.acted.is_some())
            })
        });
        tokio::select! {
            invoked = &mut run => panic!("{k} {moment:?}: ended before the write: {invoked:?}\n{}", host.log()),
            () = reached => {}
        }
        host.crash().await;
        assert!(run.await.failure.is_some());
    }
    host.ready().await;
    // The lock of the killed run blocks until its lease expires.
    let started = host
        .call(Call::post("/api/SyncHttp", &json!({"mode": "apply"})))
        .await;
    assert_eq!(started.status, 202, "{}", started.body);
    for invoked in host.drain().await {
        invoked.succeeded();
    }
    let report = host
        .call(Call::get(&started.headers["location"]))
        .await
        .json();
    assert_eq!(
        (&report["state"], &report["converged"]),
        (&json!("ended"), &json!(true)),
        "{k} {moment:?}: {report}"
    );
    assert_eq!(
        report["resumed_from"].as_array().map(Vec::len),
        Some(1),
        "{k} {moment:?}"
    );
    office.is_in_sync();
    assert_eq!(
        created_twice(&control.journal()),
        Vec::<String>::new(),
        "{k} {moment:?}"
    );
    assert_eq!(
        actions_without_end(&host, &report).await,
        Vec::<String>::new()
    );
    let before = office.writes();
    let again = host.timer().await;
    assert_eq!(again.failure, None, "{k} {moment:?}\n{}", host.log());
    assert_eq!(office.writes(), before, "{k} {moment:?}: R38");
    host.stop().await;
}

/// Bodies of creates that the service carried out more than once, by the account that they name.
pub(super) fn created_twice(journal: &[Entry]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut twice = Vec::new();
    for entry in journal {
        if entry.method == "POST" && entry.acted == Some(201) {
            let body: Value = serde_json::from_str(&entry.body).unwrap();
            let name = ["userName", "externalId"]
                .iter()
                .find_map(|name| body[name].as_str())
                .unwrap()
                .to_owned();
            if !seen.insert(name.clone()) {
                twice.push(name);
            }
        }
    }
    twice
}

/// Actions of the last run without an outcome.
async fn actions_without_end(host: &Host, report: &Value) -> Vec<String> {
    let runs = host.call(Call::get("/api/SyncHttp/runs")).await.json();
    assert!(!runs.to_string().contains("\"running\""), "{runs}");
    report["actions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|action| action["outcome"] != "applied")
        .map(Value::to_string)
        .collect()
}

async fn sweep(
    step: usize,
    settings: impl Fn(&Office, usize) -> (AppSettings, Option<tempfile::TempDir>),
) {
    let total = writes_undisturbed().await;
    assert!(total >= 60, "{total} writes are too few to say anything");
    let settings = &settings;
    let points = (0..total)
        .step_by(step)
        .flat_map(|k| [(k, Moment::Before), (k, Moment::After)]);
    let sweeps = stream::iter(points).map(|(k, moment)| async move {
        let office = Office::open(6, 3).await;
        let (settings, folder) = settings(&office, k);
        killed_at(u32::try_from(k).unwrap(), moment, settings, office).await;
        drop(folder);
    });
    sweeps.buffer_unordered(SIDE_BY_SIDE).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_a_kill_at_any_write_changes_nothing_over_a_folder() {
    sweep(1, |office, _| {
        let folder = tempfile::tempdir().unwrap();
        (office.settings(&folder_url(folder.path())), Some(folder))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_a_kill_at_any_write_changes_nothing_over_blobs() {
    let Some(connection) = crate::state::azurite::connection_string() else {
        return;
    };
    sweep_over_blobs(4, &connection).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: the same at every write"]
async fn r35_a_kill_at_each_single_write_changes_nothing_over_blobs() {
    let Some(connection) = crate::state::azurite::connection_string() else {
        return;
    };
    sweep_over_blobs(1, &connection).await;
}

async fn sweep_over_blobs(step: usize, connection: &str) {
    sweep(step, |office, _| {
        let container = format!("az://kill-{}", uuid::Uuid::new_v4().simple());
        let mut settings = office.settings(&container);
        settings.insert("AzureWebJobsStorage".to_owned(), connection.to_owned());
        (settings, None)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_a_queued_run_whose_process_died_is_delivered_again_and_ends() {
    let office = Office::open(6, 3).await;
    let control = office.sandbox.zivver.control();
    control.inject(at_write(20, &FaultKind::HangAfter));
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(office.settings(&folder_url(folder.path()))).await;
    let apply = json!({"mode": "apply"});
    let started = host.call(Call::post("/api/SyncHttp", &apply)).await;
    {
        let mut run = Box::pin(host.deliver());
        let reached = until("the write is reached", || {
            control.journal().iter().any(|entry| entry.fault.is_some())
        });
        tokio::select! {
            invoked = run.as_mut() => panic!("ended before the write: {invoked:?}"),
            () = reached => {}
        }
        host.crash().await;
        assert!(run.await.unwrap().failure.is_some());
    }
    for invoked in host.drain().await {
        invoked.succeeded();
    }
    assert_eq!(host.queue.poison(), Vec::<String>::new());
    let location = &started.headers["location"];
    let report = host.call(Call::get(location)).await.json();
    assert_eq!(
        (&report["state"], &report["converged"]),
        (&json!("ended"), &json!(true)),
        "{report}"
    );
    office.is_in_sync();
    assert_eq!(created_twice(&control.journal()), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_a_report_tells_of_every_invocation_of_its_run() {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(folder.path()));
    let whole = Host::start(settings.clone()).await;
    let preview = Call::post("/api/SyncHttp", &json!({"wait": 100}));
    let planned = whole.call(preview).await.json();
    whole.stop().await;

    office
        .sandbox
        .zivver
        .control()
        .set_latency(Duration::from_millis(400));
    let host = Host::start(with(settings, "TIME_BUDGET", "1s")).await;
    let apply = Call::post("/api/SyncHttp", &json!({"mode": "apply"}));
    let started = host.call(apply).await;
    let invocations = host.drain().await;
    assert!(invocations.len() > 1, "one was enough");
    let report = host
        .call(Call::get(&started.headers["location"]))
        .await
        .json();
    assert_eq!(report["converged"], true, "{report}");
    office.is_in_sync();
    let told = |report: &Value| -> BTreeSet<String> {
        let actions = report["actions"].as_array().unwrap();
        // A rename that was cut off is completed as an update under the new address.
        let address = |action: &Value| {
            let address = action["address"].as_str().unwrap();
            address.replace("maiden", "married")
        };
        actions.iter().map(address).collect()
    };
    assert_eq!(told(&report), told(&planned));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_of_two_processes_that_start_at_once_one_writes() {
    const ROUNDS: usize = 100;
    let office = Office::open(2, 0).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(folder.path()));
    let settings = with(settings, "MAX_NAME_CHANGES", "100%");
    let one = Host::start(settings.clone()).await;
    let other = Host::start(settings).await;
    let apply = json!({"mode": "apply", "wait": 60});
    let mut held = 0;
    for round in 0..ROUNDS {
        // One write, since an account was renamed by hand.
        office.sandbox.zivver.with_state(|zivver| {
            zivver.users[0].name = format!("By Hand {round}");
        });
        let before = office.writes();
        let start = |host| Host::call(host, Call::post("/api/SyncHttp", &apply));
        let answers: [_; 2] = tokio::join!(start(&one), start(&other)).into();
        assert_eq!(office.writes(), before + 1, "{round}");
        office.is_in_sync();
        let mut statuses = answers.each_ref().map(|client| client.status);
        statuses.sort_unstable();
        // The later one may have begun after the end of the earlier one.
        assert!(
            statuses == [200, 409] || statuses == [200, 200],
            "{statuses:?}"
        );
        for client in answers.iter().filter(|client| client.status == 409) {
            held += 1;
            let problem = client.json();
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains("run ") && detail.contains("since"),
                "{detail}"
            );
            assert!(problem["type"].as_str().unwrap().ends_with("lock-held"));
        }
    }
    assert!(held > ROUNDS / 4, "they hardly met: {held}");
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_process_frozen_past_its_lease_sends_nothing_more() {
    let office = Office::open(6, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(folder.path()));
    let zivver = office.sandbox.zivver.control();
    zivver.set_latency(Duration::from_millis(20));
    let queue = Queue::default();
    let frozen = Host::with(settings.clone(), queue.clone(), Timing::default()).await;
    let other = Host::with(settings, Queue::default(), Timing::default()).await;
    let mut run = Box::pin(frozen.timer());
    let begun = until("it writes", || office.writes() >= 5);
    tokio::select! {
        invoked = &mut run => panic!("ended early: {invoked:?}"),
        () = begun => {}
    }
    frozen.signal("STOP");
    // The other one waits for the lease to expire, and does the work.
    let started = other
        .call(Call::post("/api/SyncHttp", &json!({"mode": "apply"})))
        .await;
    for invoked in other.drain().await {
        invoked.succeeded();
    }
    let report = other
        .call(Call::get(&started.headers["location"]))
        .await
        .json();
    assert_eq!(report["converged"], true, "{report}");
    office.is_in_sync();
    let before = zivver.journal().len();
    frozen.signal("CONT");
    let invoked = run.as_mut().await;
    drop(run);
    assert!(invoked.failure.is_some(), "it lost its lock");
    let says_why = || frozen.log().at(Level::Error).join("\n").contains("lock");
    until("it says that it lost its lock", says_why).await;
    let mut sent = zivver.journal().split_off(before);
    sent.retain(|entry| entry.method != "GET");
    assert!(sent.is_empty(), "not one write more: {sent:?}");
    office.is_in_sync();
    frozen.stop().await;
    other.stop().await;
}

/// Permission reads of each mailbox, by path.
fn permission_reads(office: &Office) -> BTreeMap<String, usize> {
    let mut reads = BTreeMap::new();
    for entry in office.sandbox.exchange.control().journal() {
        if let Some((mailbox, _)) = entry.path.split_once("/MailboxPermission") {
            *reads.entry(mailbox.to_owned()).or_default() += 1;
        }
    }
    reads
}

/// Completes a large office over several invocations, and returns their number.
pub(super) async fn over_invocations(
    mailboxes: usize,
    budget: Duration,
    latency: Duration,
    root: Option<&Path>,
) -> usize {
    let office = Office::open(mailboxes, 5).await;
    office.sandbox.exchange.control().set_latency(latency);
    office.sandbox.zivver.control().set_latency(latency);
    let folder = tempfile::tempdir().unwrap();
    let settings = with(
        office.settings(&folder_url(folder.path())),
        "TIME_BUDGET",
        &format!("{}s", budget.as_secs()),
    );
    let host = match root {
        None => Host::start(settings).await,
        Some(root) => {
            let host = Host::over(root, settings, Queue::default(), Timing::default()).unwrap();
            host.ready().await;
            host
        }
    };
    let stalls = Stalls::watch();
    let started = host
        .call(Call::post("/api/SyncHttp", &json!({"mode": "apply"})))
        .await;
    let invocations = host.drain().await;
    let lost = stalls.lost();
    let report = host
        .call(Call::get(&started.headers["location"]))
        .await
        .json();
    for invoked in &invocations {
        assert_eq!(invoked.failure, None);
        let longest = budget + Duration::from_secs(6) + lost;
        assert!(invoked.took < longest, "{:?}, {lost:?} lost", invoked.took);
    }
    assert_eq!(
        (&report["state"], &report["converged"]),
        (&json!("ended"), &json!(true))
    );
    office.is_in_sync();
    let reads = permission_reads(&office);
    let total: usize = reads.values().sum();
    let wanted = office.sandbox.exchange.state().mailboxes.len();
    assert!(
        reads.len() <= wanted && total <= wanted + wanted / 100,
        "{total} reads of {wanted}"
    );
    host.stop().await;
    invocations.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_a_tenant_too_large_for_one_invocation_is_completed_over_several() {
    let budget = Duration::from_secs(1);
    let invocations = over_invocations(700, budget, Duration::from_millis(20), None).await;
    assert!(invocations >= 2, "{invocations}");
}

/// Takes two minutes with the release build, which must exist next to the build under test: `cargo build --release`
/// first.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "heavy: needs `cargo build --release`"]
async fn r34_twenty_thousand_mailboxes_are_completed_over_several_invocations() {
    let release =
        Path::new(env!("CARGO_BIN_EXE_cloud-sync")).with_file_name("../release/cloud-sync");
    let root = app_root();
    let handler = root.path().join("handler");
    std::fs::remove_file(&handler).unwrap();
    std::fs::copy(release, handler).unwrap();
    let budget = Duration::from_secs(5);
    let latency = Duration::from_millis(20);
    let invocations = over_invocations(20_000, budget, latency, Some(root.path())).await;
    assert!(invocations >= 2, "{invocations}");
}
