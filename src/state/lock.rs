//! R29: at most one run writes. A lock made of objects that are only ever created, so that it works in a folder too.
//!
//! The lock belongs to the newest *epoch*. To take it is to create `lock/<epoch + 1>/claim`, where the store lets one caller
//! win. Its holder creates `lock/<epoch>/renewal-<n>` as long as it lives and `lock/<epoch>/released` at the end.
//!
//! **Who may believe what.** A holder relies on its lock until [`Lease::length`] − [`Lease::margin`] after it *began to send* its
//! last mark (claim or renewal) that was confirmed before the previous one ran out; by its monotonic clock, and by its wall clock
//! too, because the monotonic one stands still while a machine sleeps. Once that moment passed, it has lost for good. Another
//! takes over only when the newest mark is older than `length` + `margin` by the *store's own* clock: it creates an object, lists,
//! and compares the store's times of the two. So no two machines' clocks are ever compared, only their rates over a minute
//! (and in a folder there is one clock anyway). Since the object is created before the list, a renewal that the list does not
//! show was confirmed too late for its sender to rely on it. Two `margin`s cover the store's whole seconds and the time that a
//! request is on its way.
//!
//! A holder that is a dead process of this very machine is succeeded at once: it relies on nothing any more. [`Process`] says
//! how a dead one is told from one that cannot be seen from here.
//!
//! **What is deleted.** Only the last epochs are kept. The newest claim stays, so no number is used twice; and whoever claims or
//! renews looks afterwards whether its epoch is the newest of all, not whether the next one exists.
//!
//! The one thing no lock outside of Zivver can prevent: a process that is frozen between [`Permit::may_write`] and the arrival of
//! its request. The request's own timeout and the margin make that a matter of seconds.

mod guard;
mod process;
mod tenure;

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    error::StateError,
    objects::{Created, Entry, Objects},
    run_id::RunId,
};
pub use guard::{LockGuard, Permit};
pub use process::Process;
pub use tenure::Loss;
use tenure::{Moment, Tenure};

pub(super) const FOLDER: &str = "lock";
const CLAIM: &str = "claim";
const RENEWAL: &str = "renewal-";
const RELEASED: &str = "released";
/// Objects that only show what time the store has.
const GLANCE: &str = "glance-";

/// How often the lock may be taken and given up again by others while we try. Each took milliseconds, so this means trouble.
const ROUNDS: usize = 3;

/// How long a lock is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub length: Duration,
    pub renew_every: Duration,
    /// What a holder gives away and a successor waits in addition. Blob storage tells time in whole seconds.
    pub margin: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self::of(Duration::from_secs(60))
    }
}

impl Lease {
    /// Three renewals may fail before it is lost; the margin is never less than what storage and a request's way need.
    pub fn of(length: Duration) -> Self {
        Self {
            length,
            renew_every: length / 4,
            margin: (length / 12).max(Duration::from_secs(1)),
        }
    }

    fn holder_may_rely_on_it(self) -> Duration {
        self.length.saturating_sub(self.margin)
    }
}

/// Who holds a lock, for reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub run: RunId,
    /// Host or instance.
    pub host: String,
    pub pid: u32,
    /// `None` of an earlier version, and where the machine does not tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub process: Option<Process>,
}

impl Owner {
    /// This process on behalf of `run`.
    pub fn of(run: RunId, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let named = [
            "WEBSITE_INSTANCE_ID",
            "CONTAINER_NAME",
            "HOSTNAME",
            "COMPUTERNAME",
        ]
        .into_iter()
        .find_map(lookup);
        let file = || std::fs::read_to_string("/etc/hostname").ok();
        let host = named
            .or_else(file)
            .map(|host| host.trim().chars().take(64).collect())
            .filter(|host: &String| !host.is_empty());
        Self {
            run,
            host: host.unwrap_or_else(|| "unnamed host".into()),
            pid: std::process::id(),
            process: Process::current(),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, host, pid, .. } = self;
        write!(f, "run {run} on {host} (process {pid})")
    }
}

/// A lock that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub owner: Owner,
    /// By the store's clock, like `expires`.
    pub since: Timestamp,
    /// When it can be taken over, unless it is renewed or released before.
    pub expires: Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            owner,
            since,
            expires,
        } = self;
        write!(
            f,
            "{owner} since {since:.0}, until {expires:.0} unless renewed"
        )
    }
}

#[derive(Debug)]
pub enum Acquired {
    Mine(LockGuard),
    Held(Holder),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockStatus {
    Free,
    /// `expires` may lie in the past: then its holder died, and the next run takes over.
    Held(Holder),
}

/// Content of `lock/<epoch>/claim`. `nonce` tells two claims of one process apart.
#[derive(Serialize, Deserialize)]
struct Claim {
    owner: Owner,
    lease_ms: u64,
    margin_ms: u64,
    nonce: String,
}

/// The lock of one place of state.
#[derive(Debug, Clone)]
pub struct Lock {
    objects: Objects,
    lease: Lease,
}

/// What a listing says about the newest epoch.
struct Newest {
    epoch: u64,
    released: bool,
    claimed_ms: i64,
    marked_ms: i64,
}

impl Lock {
    pub(super) fn new(objects: Objects, lease: Lease) -> Self {
        Self { objects, lease }
    }

    /// What this process's clocks say.
    fn now(&self) -> Moment {
        Moment::now(self.objects.now())
    }

    /// Takes the lock if nobody has it, or if whoever has it has ended or let it run out.
    pub async fn acquire(&self, owner: &Owner) -> Result<Acquired, StateError> {
        for _ in 0..ROUNDS {
            let newest = newest(&self.objects.list(FOLDER).await?);
            let epoch = match newest {
                None => 1,
                Some(Newest {
                    epoch,
                    released: true,
                    ..
                }) => epoch + 1,
                Some(newest) => match self.outlived(newest, owner).await? {
                    Outlived::Yes(epoch) => epoch + 1,
                    Outlived::No(holder) => return Ok(Acquired::Held(holder)),
                    Outlived::Gone => continue,
                },
            };
            if let Some(guard) = self.claim(epoch, owner).await? {
                return Ok(Acquired::Mine(guard));
            }
            if let LockStatus::Held(winner) = self.status().await? {
                return Ok(Acquired::Held(winner));
            }
        }
        Err(self.objects.conflict(FOLDER))
    }

    /// Like [`Self::acquire`], but waits up to `patience` for whoever has the lock.
    pub async fn acquire_within(
        &self,
        owner: &Owner,
        patience: Duration,
    ) -> Result<Acquired, StateError> {
        let deadline = tokio::time::Instant::now() + patience;
        let pause = self.lease.renew_every / 3;
        loop {
            let acquired = self.acquire(owner).await?;
            if matches!(acquired, Acquired::Mine(_))
                || tokio::time::Instant::now() + pause > deadline
            {
                return Ok(acquired);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Who has the lock, without touching it.
    pub async fn status(&self) -> Result<LockStatus, StateError> {
        let Some(newest) =
            newest(&self.objects.list(FOLDER).await?).filter(|newest| !newest.released)
        else {
            return Ok(LockStatus::Free);
        };
        let claim = self.read_claim(newest.epoch).await?;
        Ok(claim.map_or(LockStatus::Free, |claim| {
            LockStatus::Held(holder(claim, &newest))
        }))
    }

    /// Whether the holder of the newest epoch has ended, or let its lease run out by the store's clock.
    async fn outlived(&self, seen: Newest, here: &Owner) -> Result<Outlived, StateError> {
        let glance = format!("{GLANCE}{}", Uuid::new_v4().simple());
        let name = format!("{FOLDER}/{glance}");
        self.objects.save(&name, "glance", &()).await?;
        let entries = self.objects.list(FOLDER).await;
        self.objects.delete(vec![name]).await?;
        let entries = entries?;
        let now_ms = entries
            .iter()
            .find(|entry| entry.name == glance)
            .map(|entry| entry.modified_ms);
        let (Some(now_ms), Some(newest)) = (now_ms, newest(&entries)) else {
            return Ok(Outlived::Gone);
        };
        if newest.epoch != seen.epoch || newest.released {
            return Ok(Outlived::Gone);
        }
        let Some(claim) = self.read_claim(newest.epoch).await? else {
            return Ok(Outlived::Gone);
        };
        // The holder's lease counts, not ours: another version of the program may have other ideas.
        let wait_ms = claim.lease_ms.saturating_add(claim.margin_ms);
        let age_ms = u64::try_from(now_ms - newest.marked_ms).unwrap_or(0);
        Ok(
            if age_ms > wait_ms || process::has_ended(&claim.owner, here) {
                Outlived::Yes(newest.epoch)
            } else {
                Outlived::No(holder(claim, &newest))
            },
        )
    }

    async fn read_claim(&self, epoch: u64) -> Result<Option<Claim>, StateError> {
        self.objects.load(&name(epoch, CLAIM), "claim").await
    }

    /// Tries to be the owner of `epoch`. `None` when somebody else is, or has a later one already.
    async fn claim(&self, epoch: u64, owner: &Owner) -> Result<Option<LockGuard>, StateError> {
        let claim = Claim {
            owner: owner.clone(),
            lease_ms: millis(self.lease.length),
            margin_ms: millis(self.lease.margin),
            nonce: Uuid::new_v4().simple().to_string(),
        };
        let object = name(epoch, CLAIM);
        let bytes = self.objects.encode(&object, "claim", &claim)?;
        let tenure = Tenure::from(self.now(), self.lease.holder_may_rely_on_it());
        if self.objects.create(&object, bytes).await? == Created::Theirs {
            return Ok(None);
        }
        // Whoever was slow between looking and claiming may have claimed an epoch that was over and pruned long ago.
        if newest(&self.objects.list(FOLDER).await?).is_none_or(|newest| newest.epoch != epoch) {
            self.objects.delete(vec![object]).await?;
            return Ok(None);
        }
        Ok(Some(LockGuard::new(self.clone(), epoch, tenure)))
    }
}

enum Outlived {
    Yes(u64),
    No(Holder),
    /// Released, or taken by somebody else, while we looked.
    Gone,
}

fn name(epoch: u64, mark: &str) -> String {
    format!("{FOLDER}/{epoch:010}/{mark}")
}

/// The epoch of `0000000012/claim`; `None` for a glance, or for what is not ours.
fn epoch_of(entry: &Entry) -> Option<(u64, &str)> {
    let (epoch, mark) = entry.name.split_once('/')?;
    Some((epoch.parse().ok()?, mark))
}

/// The newest epoch that was claimed. Times of the store.
fn newest(entries: &[Entry]) -> Option<Newest> {
    let marks = || {
        entries.iter().filter_map(|entry| {
            epoch_of(entry).map(|(epoch, mark)| (epoch, mark, entry.modified_ms))
        })
    };
    let (epoch, _, claimed_ms) = marks()
        .filter(|(_, mark, _)| *mark == CLAIM)
        .max_by_key(|(epoch, ..)| *epoch)?;
    let ours = || marks().filter(|(of, ..)| *of == epoch);
    Some(Newest {
        epoch,
        released: ours().any(|(_, mark, _)| mark == RELEASED),
        claimed_ms,
        marked_ms: ours()
            .map(|(.., modified_ms)| modified_ms)
            .max()
            .unwrap_or(claimed_ms),
    })
}

fn holder(claim: Claim, newest: &Newest) -> Holder {
    let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    let wait_ms = i64::try_from(claim.lease_ms.saturating_add(claim.margin_ms)).unwrap_or(i64::MAX);
    Holder {
        owner: claim.owner,
        since: at(newest.claimed_ms),
        expires: at(newest.marked_ms.saturating_add(wait_ms)),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What can be deleted: all but the last epochs, and glances of processes that died over them.
pub(super) fn outdated(entries: &[Entry], glances_before_ms: i64) -> Vec<String> {
    const KEPT_EPOCHS: u64 = 5;
    let newest = newest(entries).map_or(0, |newest| newest.epoch);
    let outdated = entries.iter().filter(|entry| match epoch_of(entry) {
        Some((epoch, _)) => newest.saturating_sub(epoch) >= KEPT_EPOCHS,
        None => entry.name.starts_with(GLANCE) && entry.modified_ms < glances_before_ms,
    });
    outdated
        .map(|entry| format!("{FOLDER}/{}", entry.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r29_a_holder_is_named_with_its_times() {
        let holder = Holder {
            owner: Owner {
                run: RunId::parse("20261123T020000Z-3fa85f").unwrap(),
                host: "worker-1".into(),
                pid: 42,
                process: None,
            },
            since: "2026-11-23T02:00:00.25Z".parse().unwrap(),
            expires: "2026-11-23T02:01:05Z".parse().unwrap(),
        };
        assert_eq!(
            holder.to_string(),
            "run 20261123T020000Z-3fa85f on worker-1 (process 42) since 2026-11-23T02:00:00Z, until 2026-11-23T02:01:05Z unless renewed"
        );
    }

    #[test]
    fn the_newest_epoch_is_found_among_marks_in_any_order() {
        let entry = |name: &str, modified_ms| Entry {
            name: name.into(),
            modified_ms,
        };
        assert!(
            newest(&[
                entry("glance-1", 9),
                entry("0000000003/renewal-00000001", 9),
                entry("notes/claim", 9)
            ])
            .is_none()
        );
        let entries = [
            entry("0000000010/renewal-00000002", 40),
            entry("0000000010/claim", 20),
            entry("0000000009/claim", 50),
            entry("0000000009/released", 60),
            entry("0000000010/renewal-00000001", 30),
        ];
        let newest = newest(&entries).unwrap();
        assert_eq!(
            (
                newest.epoch,
                newest.released,
                newest.claimed_ms,
                newest.marked_ms
            ),
            (10, false, 20, 40)
        );
    }
}
