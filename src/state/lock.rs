//! R29: at most one run writes. The lock consists of objects that are created but never changed, so that it works in a
//! folder too.
//!
//! The lock belongs to the newest *epoch*. A process takes it by creating `lock/<epoch + 1>/claim`; the store lets only
//! one process create it. While the holder is alive it creates `lock/<epoch>/renewal-<n>`, and at the end
//! `lock/<epoch>/released`.
//!
//! **How long a lock is valid.** A holder relies on its lock until [`Lease::length`] − [`Lease::margin`] after it
//! *began to send* its last mark (claim or renewal), if the mark was confirmed before the previous one expired. It
//! checks its monotonic clock, and its wall clock too, because the monotonic one stops while a machine sleeps. After
//! that moment the lock is lost permanently. Another process takes over only if the newest mark is older than `length` and
//! `margin` together by the clock of the *store*: it creates an object, lists all objects, and compares the store's times of
//! the two. So the clocks of two machines are never compared, only their rates over a minute (and a folder has one
//! clock anyway). Since the object is created before the list is read, a renewal that is not in the list was confirmed
//! too late for its sender to rely on it. The two `margin`s cover the whole seconds of the store's times and the
//! transfer time of a request.
//!
//! If the claim or all objects are deleted, another process can take the lock at once, and no clock shows this. So a
//! holder reads its claim every second, and has lost the lock if the claim is gone or is that of another process. A claim
//! that cannot be read, since the storage is away, ends nothing.
//!
//! A lock whose holder is a dead process of this machine is taken over immediately. [`Process`] describes how a dead
//! process is distinguished from one that is not visible from here.
//!
//! **What is deleted.** Only the last epochs are kept. The newest claim stays, so no number is used twice. After a
//! claim or renewal, a process checks whether its epoch is the newest of all, not only whether the next one exists.
//!
//! The question is asked again when the connection takes the body of a write. One case remains that no lock outside of
//! Zivver can prevent: a request that has left the process and arrives late.

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
/// How long after its expiry a lock still counts as held: its times come from the clock of the store and are compared
/// with the local clock.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);
const RENEWAL: &str = "renewal-";
const RELEASED: &str = "released";
/// Prefix of objects that are created only to read the clock of the store.
const CLOCK_PROBE: &str = "glance-";

/// How often other processes may take and release the lock while this one tries. Each attempt takes milliseconds, so
/// more than this is an error.
const ROUNDS: usize = 3;

/// The duration of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub length: Duration,
    pub renew_every: Duration,
    /// Subtracted by the holder and added by a successor. Blob storage has times in whole seconds.
    pub margin: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self::of(Duration::from_secs(60))
    }
}

impl Lease {
    /// Allows three failed renewals. The margin is never shorter than the transfer time of a request plus the rounding
    /// of the store.
    pub fn of(length: Duration) -> Self {
        Self {
            length,
            renew_every: length / 4,
            margin: (length / 12).max(Duration::from_secs(1)),
        }
    }

    fn validity(self) -> Duration {
        self.length.saturating_sub(self.margin)
    }

    /// How often a holder looks whether its claim is still there: a second by default.
    fn look_every(self) -> Duration {
        (self.renew_every / 15).min(Duration::from_secs(1))
    }
}

/// The holder of a lock, as shown in reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub run: RunId,
    /// Name of the host or instance.
    pub host: String,
    pub pid: u32,
    /// `None` where the system does not provide it.
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

/// The holder of a lock, with times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub owner: Owner,
    /// By the clock of the store, like `expires`.
    pub since: Timestamp,
    /// When the lock can be taken over, unless it is renewed or released before.
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
    Held(Holder),
    /// The process of the holder has ended, or the lease has expired. The next run takes over.
    Abandoned(Holder),
}

/// The content of `lock/<epoch>/claim`. `nonce` distinguishes two claims of one process.
#[derive(Serialize, Deserialize)]
struct Claim {
    owner: Owner,
    lease_ms: u64,
    margin_ms: u64,
    nonce: String,
}

/// How a holder recognises its claim, which has a time of the store.
#[derive(Debug)]
struct HeldClaim {
    epoch: u64,
    claimed_ms: i64,
    nonce: String,
}

/// The lock of one state.
#[derive(Debug, Clone)]
pub struct Lock {
    objects: Objects,
    lease: Lease,
}

/// The newest epoch, as found in a listing.
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

    /// The current time on both clocks of this process.
    fn now(&self) -> Moment {
        Moment::now(self.objects.now())
    }

    /// Takes the lock if it is free, or if its holder has ended or its lease has expired.
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
                Some(newest) => match self.holder_state(newest, owner).await? {
                    HolderState::Ended(epoch) => epoch + 1,
                    HolderState::Alive(holder) => return Ok(Acquired::Held(holder)),
                    HolderState::Changed => continue,
                },
            };
            if let Some(guard) = self.claim(epoch, owner).await? {
                return Ok(Acquired::Mine(guard));
            }
            if let LockStatus::Held(winner) = self.status(owner, self.objects.now()).await? {
                return Ok(Acquired::Held(winner));
            }
        }
        Err(self.objects.conflict(FOLDER))
    }

    /// Like [`Self::acquire`], but waits up to `patience` for the current holder.
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

    /// The current holder, seen from the process `here` at `now`; does not change the lock.
    pub async fn status(&self, here: &Owner, now: Timestamp) -> Result<LockStatus, StateError> {
        let Some(newest) =
            newest(&self.objects.list(FOLDER).await?).filter(|newest| !newest.released)
        else {
            return Ok(LockStatus::Free);
        };
        let Some(claim) = self.read_claim(newest.epoch).await? else {
            return Ok(LockStatus::Free);
        };
        let has_ended = process::has_ended(&claim.owner, here);
        let holder = holder(claim, &newest);
        let has_expired = now > holder.expires + CLOCKS_DIFFER;
        Ok(if has_ended || has_expired {
            LockStatus::Abandoned(holder)
        } else {
            LockStatus::Held(holder)
        })
    }

    /// Fails where the store does not allow all that a run does: it writes, lists and deletes an object beside the lock.
    pub async fn try_writing(&self) -> Result<(), StateError> {
        self.probe().await.map(drop)
    }

    /// The name of an object that is written, listed and deleted, and the list.
    async fn probe(&self) -> Result<(String, Vec<Entry>), StateError> {
        let probe = format!("{CLOCK_PROBE}{}", Uuid::new_v4().simple());
        let name = format!("{FOLDER}/{probe}");
        self.objects.save(&name, "glance", &()).await?;
        let entries = self.objects.list(FOLDER).await;
        self.objects.delete(vec![name]).await?;
        Ok((probe, entries?))
    }

    /// Whether the holder of the newest epoch has ended, or its lease has expired by the store's clock.
    async fn holder_state(&self, seen: Newest, here: &Owner) -> Result<HolderState, StateError> {
        let (probe, entries) = self.probe().await?;
        let now_ms = entries
            .iter()
            .find(|entry| entry.name == probe)
            .map(|entry| entry.modified_ms);
        let (Some(now_ms), Some(newest)) = (now_ms, newest(&entries)) else {
            return Ok(HolderState::Changed);
        };
        if newest.epoch != seen.epoch || newest.released {
            return Ok(HolderState::Changed);
        }
        let Some(claim) = self.read_claim(newest.epoch).await? else {
            return Ok(HolderState::Changed);
        };
        // Use the lease in the claim, since another version of the program may use other durations.
        let wait_ms = claim.lease_ms.saturating_add(claim.margin_ms);
        let age_ms = u64::try_from(now_ms - newest.marked_ms).unwrap_or(0);
        Ok(
            if age_ms > wait_ms || process::has_ended(&claim.owner, here) {
                HolderState::Ended(newest.epoch)
            } else {
                HolderState::Alive(holder(claim, &newest))
            },
        )
    }

    async fn read_claim(&self, epoch: u64) -> Result<Option<Claim>, StateError> {
        self.objects.load(&name(epoch, CLAIM), "claim").await
    }

    /// Tries to claim `epoch`. `None` if another process has claimed it, or a later one.
    async fn claim(&self, epoch: u64, owner: &Owner) -> Result<Option<LockGuard>, StateError> {
        let claim = Claim {
            owner: owner.clone(),
            lease_ms: millis(self.lease.length),
            margin_ms: millis(self.lease.margin),
            nonce: Uuid::new_v4().simple().to_string(),
        };
        let object = name(epoch, CLAIM);
        let bytes = self.objects.encode(&object, "claim", &claim)?;
        let tenure = Tenure::from(self.now(), self.lease.validity());
        if self.objects.create(&object, bytes).await? == Created::Theirs {
            return Ok(None);
        }
        // If this process was slow, other processes may have claimed, ended and pruned this epoch in the meantime.
        let newest = newest(&self.objects.list(FOLDER).await?);
        let Some(ours) = newest.filter(|newest| newest.epoch == epoch) else {
            self.objects.delete(vec![object]).await?;
            return Ok(None);
        };
        let held = HeldClaim {
            epoch,
            claimed_ms: ours.claimed_ms,
            nonce: claim.nonce,
        };
        Ok(Some(LockGuard::new(self.clone(), held, tenure)))
    }
}

enum HolderState {
    Ended(u64),
    Alive(Holder),
    /// The lock was released or taken by another process meanwhile.
    Changed,
}

fn name(epoch: u64, mark: &str) -> String {
    format!("{FOLDER}/{epoch:010}/{mark}")
}

/// The epoch of `0000000012/claim`; `None` for any other object.
fn epoch_of(entry: &Entry) -> Option<(u64, &str)> {
    let (epoch, mark) = entry.name.split_once('/')?;
    Some((epoch.parse().ok()?, mark))
}

/// The newest claimed epoch, with the times of the store.
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

/// The objects to delete: all but the last epochs, and clock probes of processes that died before deleting them.
pub(super) fn outdated(entries: &[Entry], probes_before_ms: i64) -> Vec<String> {
    const KEPT_EPOCHS: u64 = 5;
    let newest = newest(entries).map_or(0, |newest| newest.epoch);
    let outdated = entries.iter().filter(|entry| match epoch_of(entry) {
        Some((epoch, _)) => newest.saturating_sub(epoch) >= KEPT_EPOCHS,
        None => entry.name.starts_with(CLOCK_PROBE) && entry.modified_ms < probes_before_ms,
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
