//! R29: one writer among all processes.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use cloud_sync::state::{
    RunId, State, StateError, StateLocation,
    lock::{Acquired, Holder, Lock, LockGuard, LockStatus, Loss, Owner, Permit},
};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use object_store::{ObjectStoreExt, path::Path};
use tokio::task::JoinSet;

use super::{
    Bench,
    faults::{Fault, Faulty},
    lease_ms, over_each_store, prune,
};

over_each_store!(
    r29_of_many_exactly_one_wins,
    r29_a_lock_is_renewed_and_reported,
    r29_a_dead_holder_is_succeeded_after_its_lease,
    r29_a_holder_cut_off_stops_before_another_starts,
    r29_a_claim_that_met_itself_is_ours,
    r29_a_claim_that_comes_too_late_is_void,
    r29_a_holder_notices_successors_though_their_epochs_are_pruned,
    r29_a_holder_notices_that_its_claim_was_deleted,
    r29_a_short_outage_ends_nothing,
    an_unreadable_claim_is_named,
    r29_all_but_the_last_epochs_are_pruned,
);

fn owner(name: &str) -> Owner {
    Owner {
        run: RunId::new(Timestamp::now()),
        host: name.into(),
        pid: 1,
        process: None,
    }
}

fn this_process() -> Owner {
    Owner::of(RunId::new(Timestamp::now()), |_| None)
}

fn mine(acquired: Acquired) -> LockGuard {
    match acquired {
        Acquired::Mine(guard) => guard,
        Acquired::Held(holder) => panic!("held by {holder:?}"),
    }
}

fn held(acquired: Acquired) -> Holder {
    match acquired {
        Acquired::Mine(_) => panic!("nobody holds it"),
        Acquired::Held(holder) => holder,
    }
}

/// Waits long enough for any lease of these tests to expire.
async fn acquire_patiently(lock: &Lock, name: &str) -> LockGuard {
    mine(
        lock.acquire_within(&owner(name), Duration::from_secs(40))
            .await
            .unwrap(),
    )
}

/// Waits until `condition` holds.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(40), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

async fn r29_of_many_exactly_one_wins(bench: Bench) {
    const CONTENDERS: usize = 4;
    let mut locks = Vec::new();
    for _ in 0..CONTENDERS {
        locks.push(bench.open().await.lock(lease_ms(60_000)));
    }
    let mut former: Vec<Permit> = Vec::new();
    for round in 0..bench.rounds {
        let names: Vec<String> = (0..CONTENDERS)
            .map(|n| format!("host {round}-{n}"))
            .collect();
        let mut attempts = JoinSet::new();
        for (lock, name) in locks.iter().cloned().zip(names.clone()) {
            attempts
                .spawn(async move { (name.clone(), lock.acquire(&owner(&name)).await.unwrap()) });
        }
        let mut winners = Vec::new();
        let mut holders = Vec::new();
        for (name, attempt) in attempts.join_all().await {
            match attempt {
                Acquired::Mine(guard) => winners.push((name, guard)),
                Acquired::Held(holder) => holders.push(holder.owner.host),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        let (name, guard) = winners.pop().unwrap();
        assert!(
            holders.iter().all(|holder| *holder == name),
            "round {round}: {name} won, but {holders:?}"
        );
        assert!(guard.may_write());
        assert!(former.iter().all(|permit| !permit.may_write()));
        former.push(guard.permit());
        guard.release().await.unwrap();
    }
}

async fn r29_a_lock_is_renewed_and_reported(bench: Bench) {
    let lock = bench.open().await.lock(bench.lease);
    let other = bench.open().await.lock(bench.lease);
    assert_eq!(
        other
            .status(&this_process(), Timestamp::now())
            .await
            .unwrap(),
        LockStatus::Free
    );
    let owner = owner("host a");
    let guard = mine(lock.acquire(&owner).await.unwrap());
    let holder = held(other.acquire(&self::owner("host b")).await.unwrap());
    assert_eq!(holder.owner, owner);
    assert!(holder.since < holder.expires);

    let length = SignedDuration::try_from(bench.lease.length).unwrap();
    until("the lock outlives its lease", async || {
        match other
            .status(&this_process(), Timestamp::now())
            .await
            .unwrap()
        {
            LockStatus::Free | LockStatus::Abandoned(_) => panic!("it is held"),
            LockStatus::Held(now) => {
                assert_eq!((&now.owner, now.since), (&owner, holder.since));
                now.expires > holder.expires + length
            }
        }
    })
    .await;
    assert!(guard.may_write());
    assert_eq!(
        held(other.acquire(&self::owner("host b")).await.unwrap()).owner,
        owner
    );

    let permit = guard.permit();
    guard.release().await.unwrap();
    assert_eq!(
        other
            .status(&this_process(), Timestamp::now())
            .await
            .unwrap(),
        LockStatus::Free
    );
    assert!(matches!(
        permit.check(),
        Err(StateError::LockLost {
            loss: Loss::Released,
            ..
        })
    ));
    mine(other.acquire(&self::owner("host b")).await.unwrap())
        .release()
        .await
        .unwrap();
}

async fn r29_a_dead_holder_is_succeeded_after_its_lease(bench: Bench) {
    let lock = bench.open().await.lock(bench.lease);
    let guard = mine(lock.acquire(&owner("host a")).await.unwrap());
    let permit = guard.permit();
    drop(guard);
    assert!(!permit.may_write());
    assert_eq!(
        held(lock.acquire(&owner("host b")).await.unwrap())
            .owner
            .host,
        "host a"
    );
    let successor = acquire_patiently(&bench.open().await.lock(bench.lease), "host b").await;
    assert!(successor.may_write());
    successor.release().await.unwrap();
}

/// Its process is running, but no renewal arrives. It must detect this itself, before another process takes over.
async fn r29_a_holder_cut_off_stops_before_another_starts(bench: Bench) {
    let faulty = Arc::new(Faulty::over(Arc::clone(&bench.store)));
    let cut_off = State::over(Arc::<Faulty>::clone(&faulty), "store").lock(bench.lease);
    let guard = mine(cut_off.acquire(&owner("host a")).await.unwrap());
    faulty.suffers(Fault::Down);
    let successor = acquire_patiently(&bench.open().await.lock(bench.lease), "host b").await;
    assert!(!guard.may_write());
    faulty.suffers(Fault::None);
    let lost = guard.permit().check().unwrap_err();
    assert_eq!(
        lost.to_string(),
        "the lock on store is lost: it could not be renewed in time; this run stops writing, start another"
    );
    guard.release().await.unwrap();
    assert!(
        successor.may_write(),
        "the release of a lost lock is no business of its successor"
    );
    let LockStatus::Held(holder) = cut_off
        .status(&this_process(), Timestamp::now())
        .await
        .unwrap()
    else {
        panic!("it is held")
    };
    assert_eq!(holder.owner.host, "host b");
}

/// The first answer was lost, and the repeated request finds the object.
async fn r29_a_claim_that_met_itself_is_ours(bench: Bench) {
    let faulty = Arc::new(Faulty::over(Arc::clone(&bench.store)));
    faulty.suffers(Fault::SentTwice);
    let state = State::over(faulty, "store");
    let guard = mine(
        state
            .lock(bench.lease)
            .acquire(&owner("host a"))
            .await
            .unwrap(),
    );
    let run = RunId::new(Timestamp::now());
    state.journal(&run).append(&1).await.unwrap();
    assert_eq!(state.journal::<u32>(&run).read().await.unwrap(), [1]);
    state.save_memory(&1, None).await.unwrap();
    let before = state.memory::<u32>().await.unwrap().unwrap();
    state.save_memory(&2, Some(&before.revision)).await.unwrap();
    assert!(guard.may_write());
    guard.release().await.unwrap();
}

/// It looked, slept, and claims an epoch that ended and was pruned in the meantime.
async fn r29_a_claim_that_comes_too_late_is_void(bench: Bench) {
    let faulty = Arc::new(Faulty::over(Arc::clone(&bench.store)));
    faulty.suffers(Fault::LateCreation);
    let slow = State::over(Arc::<Faulty>::clone(&faulty), "store").lock(lease_ms(60_000));
    let mut sleeper = JoinSet::new();
    sleeper.spawn(async move { slow.acquire(&owner("slow")).await.unwrap() });
    until("the slow one is about to claim", async || {
        faulty.holds_somebody_up()
    })
    .await;

    let state = bench.open().await;
    let lock = state.lock(lease_ms(60_000));
    for _ in 0..12 {
        mine(lock.acquire(&owner("quick")).await.unwrap())
            .release()
            .await
            .unwrap();
    }
    let guard = mine(lock.acquire(&owner("quick")).await.unwrap());
    assert_eq!(
        prune(&state, 3, Timestamp::now()).await.objects,
        16,
        "claim and release of epochs 1 to 8"
    );

    faulty.let_through();
    let late = sleeper.join_next().await.unwrap().unwrap();
    assert_eq!(held(late).owner.host, "quick");
    assert!(guard.may_write());
    assert!(
        bench
            .store
            .head(&Path::from("lock/0000000001/claim"))
            .await
            .is_err(),
        "it cleans up"
    );
    guard.release().await.unwrap();
}

/// Neither its own clocks nor the epoch after its own show it.
async fn r29_a_holder_notices_successors_though_their_epochs_are_pruned(bench: Bench) {
    let state = bench.open().await;
    let guard = mine(
        state
            .lock(bench.lease)
            .acquire(&owner("host a"))
            .await
            .unwrap(),
    );
    for mark in ["claim", "released"] {
        let name = format!("lock/0000000009/{mark}");
        bench
            .store
            .put(&Path::from(name), "{}".into())
            .await
            .unwrap();
    }
    assert!(prune(&state, 3, Timestamp::now()).await.objects > 0);
    until("it is told", async || !guard.may_write()).await;
    let lost = guard.permit().check();
    assert!(
        matches!(
            lost,
            Err(StateError::LockLost {
                loss: Loss::TakenOver,
                ..
            })
        ),
        "{lost:?}"
    );
}

/// Long before its next renewal, since another run can begin again at once at the epoch of the holder.
async fn r29_a_holder_notices_that_its_claim_was_deleted(bench: Bench) {
    for (only_claim, is_succeeded) in [(true, false), (true, true), (false, true)] {
        let lock = bench.open().await.lock(lease_ms(60_000));
        let guard = mine(lock.acquire(&owner("host a")).await.unwrap());
        let mut objects = bench.store.list(Some(&Path::from("lock")));
        while let Some(object) = objects.next().await {
            let place = object.unwrap().location;
            if only_claim && place.filename() != Some("claim") {
                continue;
            }
            let deleted = bench.store.delete(&place).await;
            assert!(
                deleted.is_ok() || matches!(deleted, Err(object_store::Error::NotFound { .. }))
            );
        }
        drop(objects);
        let other = if is_succeeded {
            Some(mine(lock.acquire(&owner("host b")).await.unwrap()))
        } else {
            None
        };
        let told = until("it is told", async || !guard.may_write());
        let told = tokio::time::timeout(Duration::from_secs(5), told).await;
        assert!(told.is_ok(), "{only_claim} {is_succeeded}");
        drop(guard);
        if let Some(other) = other {
            assert!(other.may_write());
            other.release().await.unwrap();
        }
    }
}

async fn r29_a_short_outage_ends_nothing(bench: Bench) {
    let faulty = Arc::new(Faulty::over(Arc::clone(&bench.store)));
    let lock = State::over(Arc::<Faulty>::clone(&faulty), "store").lock(lease_ms(60_000));
    let guard = mine(lock.acquire(&owner("host a")).await.unwrap());
    faulty.suffers(Fault::Down);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(guard.may_write());
    faulty.suffers(Fault::None);
    guard.release().await.unwrap();
}

async fn an_unreadable_claim_is_named(bench: Bench) {
    let lock = bench.open().await.lock(bench.lease);
    bench
        .store
        .put(
            &Path::from("lock/0000000007/claim"),
            b"{\"v\":1".to_vec().into(),
        )
        .await
        .unwrap();
    let refused = lock.acquire(&owner("host a")).await.unwrap_err();
    assert!(
        matches!(refused, StateError::Unreadable { ref object, .. } if object == "lock/0000000007/claim"),
        "{refused}"
    );
    bench
        .store
        .delete(&Path::from("lock/0000000007/claim"))
        .await
        .unwrap();
    mine(lock.acquire(&owner("host a")).await.unwrap())
        .release()
        .await
        .unwrap();
}

async fn r29_all_but_the_last_epochs_are_pruned(bench: Bench) {
    let state = bench.open().await;
    for _ in 0..15 {
        mine(
            state
                .lock(bench.lease)
                .acquire(&owner("host a"))
                .await
                .unwrap(),
        )
        .release()
        .await
        .unwrap();
    }
    let glance = Path::from("lock/glance-1");
    bench.store.put(&glance, "{}".into()).await.unwrap();
    let now = Timestamp::now();
    assert_eq!(
        prune(&state, 3, now).await.objects,
        20,
        "claim and release of epochs 1 to 10"
    );
    assert_eq!(prune(&state, 3, now).await.objects, 0);
    assert!(bench.store.head(&glance).await.is_ok(), "it may be in use");
    let later = now + SignedDuration::from_secs(25 * 60 * 60);
    assert_eq!(prune(&state, 3, later).await.objects, 1);
    mine(
        state
            .lock(bench.lease)
            .acquire(&owner("host b"))
            .await
            .unwrap(),
    )
    .release()
    .await
    .unwrap();
    assert!(
        bench
            .store
            .head(&Path::from("lock/0000000016/claim"))
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r29_a_process_frozen_past_its_lease_never_writes_again() {
    let bench = Bench::folder();
    let mut holder = HolderProcess::start(&bench);
    assert_eq!(holder.ask(), "may write");
    holder.signal("STOP");
    let lock = bench.open().await.lock(bench.lease);
    let frozen = held(lock.acquire(&this_process()).await.unwrap());
    assert_eq!(frozen.owner.pid, holder.child.id(), "it is not dead");
    let successor = acquire_patiently(&bench.open().await.lock(bench.lease), "successor").await;
    holder.signal("CONT");
    assert_eq!(holder.ask(), "must not write");
    assert!(successor.may_write());
    successor.release().await.unwrap();
    assert_eq!(holder.ask(), "must not write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r29_a_killed_process_is_succeeded() {
    let bench = Bench::folder();
    let mut holder = HolderProcess::start(&bench);
    assert_eq!(holder.ask(), "may write");
    holder.child.kill().unwrap();
    holder.child.wait().unwrap();
    let lock = bench.open().await.lock(bench.lease);
    assert_eq!(
        held(lock.acquire(&owner("another host")).await.unwrap())
            .owner
            .pid,
        holder.child.id()
    );
    assert!(acquire_patiently(&lock, "successor").await.may_write());
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r29_a_dead_process_of_this_machine_is_succeeded_at_once() {
    let bench = Bench::folder();
    let mut holder = HolderProcess::start(&bench);
    assert_eq!(holder.ask(), "may write");
    let lock = bench.open().await.lock(bench.lease);
    let here = this_process();
    held(lock.acquire(&here).await.unwrap());
    holder.child.kill().unwrap();
    holder.child.wait().unwrap();
    assert!(mine(lock.acquire(&here).await.unwrap()).may_write());
    // The guard was dropped without a release: this process is running, and may still have requests in flight.
    held(lock.acquire(&this_process()).await.unwrap());
}

/// This test program again, as a process that holds the lock and answers each line on its input.
struct HolderProcess {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

const HOLD_IN: &str = "CLOUD_SYNC_TEST_HOLD_IN";

impl HolderProcess {
    fn start(bench: &Bench) -> Self {
        let folder = bench.folder_path();
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "state::locking::hold_the_lock_as_a_process",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(HOLD_IN, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    fn ask(&mut self) -> String {
        writeln!(self.input).unwrap();
        let mut answers = self.output.by_ref().lines().map(Result::unwrap);
        answers
            .find_map(|line| {
                line.split_once("answer: ")
                    .map(|(_, answer)| answer.to_owned())
            })
            .unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for HolderProcess {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by other tests as a process of its own"]
async fn hold_the_lock_as_a_process() {
    let Some(folder) = env::var_os(HOLD_IN) else {
        return;
    };
    let state = State::open(&StateLocation::Folder(folder.into()))
        .await
        .unwrap();
    let owner = this_process();
    let guard = mine(state.lock(lease_ms(3000)).acquire(&owner).await.unwrap());
    let permit = guard.permit();
    let answering = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines() {
            line.unwrap();
            let answer = if permit.may_write() {
                "may write"
            } else {
                "must not write"
            };
            writeln!(std::io::stdout(), "answer: {answer}").unwrap();
        }
    });
    answering.await.unwrap();
}
