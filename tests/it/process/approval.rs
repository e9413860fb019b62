//! A kill during an approved run: each change that was shown is made once, no other change is made, and what the killed
//! run did not reach stays approved (R27, R35).

use std::collections::BTreeSet;

use cloud_sync::sandbox::control::{Fault, FaultKind};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::office::{Accounts, Office, address, folder_url, same};
use crate::host::{Host, until, wire::Call};

/// More than five in one run are held (R26).
const GONE: std::ops::Range<usize> = 2..10;
/// This mailbox disappears after the code was shown.
const LATER: usize = 12;
/// They mostly wait for the lease of the killed process.
const SIDE_BY_SIDE: usize = 24;

/// What happens after the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// An ordinary run, then the same code again.
    Night,
    /// The same code again, at once.
    Again,
    /// The queue delivers the message of the killed run again.
    Delivered,
}

fn person(n: usize) -> String {
    address(&format!("settled{n:05}"))
}

/// Addresses and ids of people.
fn ids(office: &Office, people: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    let state = office.sandbox.zivver.state();
    let id = |n| state.user(&person(n)).unwrap().id.clone();
    people.into_iter().map(id).collect()
}

fn vanish(office: &Office, people: impl IntoIterator<Item = usize>) {
    office.sandbox.exchange.with_state(|tenant| {
        for n in people {
            tenant.remove_mailbox(&person(n));
        }
    });
}

/// Ids of accounts in the writes that Zivver carried out, in their order.
fn written(office: &Office) -> Vec<String> {
    let journal = office.sandbox.zivver.control().journal();
    let writes = journal
        .iter()
        .filter(|entry| entry.method != "GET" && entry.acted.is_some_and(|status| status < 300));
    writes
        .map(|entry| entry.path.rsplit('/').next().unwrap().to_owned())
        .collect()
}

async fn ended(host: &Host, body: Value) -> Value {
    let started = host.call(Call::post("/api/SyncHttp", &body)).await;
    assert_eq!(started.status, 202, "{}", started.body);
    for invoked in host.drain().await {
        invoked.succeeded();
    }
    let report = host
        .call(Call::get(&started.headers["location"]))
        .await
        .json();
    assert_eq!(report["state"], "ended", "{report}");
    if body["mode"] == "apply" {
        assert_eq!(report["converged"], true, "{report}");
    }
    report
}

fn held(report: &Value) -> Vec<&str> {
    let sets = report["held"].as_array().unwrap().iter();
    sets.flat_map(|set| set["changes"].as_array().unwrap())
        .map(|change| change["address"].as_str().unwrap())
        .collect()
}

/// The office's accounts as the approval leaves them.
fn approved(office: &Office) -> Accounts {
    let mut accounts = office.expected.clone();
    for n in GONE {
        accounts.get_mut(&person(n)).unwrap().suspend();
    }
    accounts
}

/// Through the queue, which delivers again, or in the caller's invocation, which is not repeated.
async fn start(host: &Host, approve: &Value, next: Next) {
    if next == Next::Delivered {
        let started = host.call(Call::post("/api/SyncHttp", approve)).await;
        assert_eq!(started.status, 202, "{}", started.body);
        assert!(host.deliver().await.unwrap().failure.is_some());
        return;
    }
    let mut waiting = approve.clone();
    waiting["wait"] = json!(100);
    let answer = host.call(Call::post("/api/SyncHttp", &waiting)).await;
    assert!(answer.status >= 500, "{}", answer.body);
}

async fn goes_on(case: &str, host: &Host, office: &Office, approve: &Value, next: Next) {
    match next {
        Next::Night => {
            let before = written(office);
            let night = ended(host, json!({"mode": "apply"})).await;
            assert_eq!(written(office), before, "{case}");
            assert_eq!(held(&night).len(), GONE.len() - before.len() + 1, "{case}");
            ended(host, approve.clone()).await;
        }
        Next::Again => drop(ended(host, approve.clone()).await),
        Next::Delivered => {
            for invoked in host.drain().await {
                invoked.succeeded();
            }
        }
    }
    let mut done = written(office);
    done.sort_unstable();
    let listed: Vec<String> = ids(office, GONE).into_iter().collect();
    assert_eq!(done, listed, "{case}: each once, and no other");
    same(&office.accounts(), &approved(office));
}

async fn killed_at(k: u32, kind: FaultKind, next: Next) {
    let case = format!("{k} {} {next:?}", kind.name());
    let office = Office::open(24, 0).await;
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(office.settings(&folder_url(folder.path()))).await;
    // The first run stores the mapping.
    host.timer().await.succeeded();
    assert_eq!(office.writes(), 0);
    vanish(&office, GONE);
    let shown = ended(&host, json!({"mode": "preview"})).await;
    assert_eq!(held(&shown), GONE.map(person).collect::<Vec<_>>());
    let listed = ids(&office, GONE);
    vanish(&office, [LATER]);

    let control = office.sandbox.zivver.control();
    control.inject(Fault::once(kind.clone()).after(k).body("{"));
    let approve = json!({"mode": "apply", "approve": [shown["held"][0]["code"]]});
    {
        let mut run = Box::pin(start(&host, &approve, next));
        let reached = until("the write is reached", || {
            control.journal().iter().any(|entry| {
                entry.fault == Some(kind.name())
                    && (kind == FaultKind::HangBefore || entry.acted.is_some())
            })
        });
        tokio::select! {
            () = run.as_mut() => panic!("{case}: ended before the write"),
            () = reached => {}
        }
        host.crash().await;
        run.await;
    }
    // Requests of the killed run that were in flight with that write still arrive.
    until("nothing is under way", || control.counters().in_flight == 0).await;
    host.ready().await;
    let before: BTreeSet<String> = written(&office).into_iter().collect();
    assert!(before.is_subset(&listed), "{case}");
    goes_on(&case, &host, &office, &approve, next).await;
    // Each once: an account that is made active again by hand stays active.
    office.sandbox.zivver.with_state(|zivver| {
        zivver.user_mut(&person(5)).unwrap().active = true;
    });
    let once = ended(&host, approve).await;
    assert_eq!(held(&once), [person(5), person(LATER)], "{case}: {once}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r27_a_kill_at_any_write_of_an_approved_run_makes_each_change_once() {
    let points = (0..u32::try_from(GONE.len()).unwrap())
        .flat_map(|k| [FaultKind::HangBefore, FaultKind::HangAfter].map(|kind| (k, kind)));
    let points = points.flat_map(|(k, kind)| {
        [Next::Night, Next::Again, Next::Delivered].map(|next| (k, kind.clone(), next))
    });
    let runs = stream::iter(points).map(|(k, kind, next)| killed_at(k, kind, next));
    runs.buffer_unordered(SIDE_BY_SIDE).collect::<()>().await;
}
