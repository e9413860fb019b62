//! The holder's side of the lock: renewing, checking and releasing it.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{FOLDER, HeldClaim, Lock, Loss, RELEASED, RENEWAL, name, newest, tenure::Tenure};
use crate::state::{error::StateError, objects::Created};

/// A held lock. It is renewed in the background until it is released, dropped or lost.
#[derive(Debug)]
pub struct LockGuard {
    lock: Lock,
    epoch: u64,
    tenure: Arc<Tenure>,
    renewal: JoinSet<()>,
}

impl LockGuard {
    pub(super) fn new(lock: Lock, claim: HeldClaim, tenure: Tenure) -> Self {
        let tenure = Arc::new(tenure);
        let epoch = claim.epoch;
        let mut renewal = JoinSet::new();
        renewal.spawn(renew(lock.clone(), claim, Arc::clone(&tenure)));
        Self {
            lock,
            epoch,
            tenure,
            renewal,
        }
    }

    /// The permit that every writer to Zivver checks before each attempt.
    pub fn permit(&self) -> Permit {
        Permit {
            tenure: Arc::clone(&self.tenure),
            lock: self.lock.clone(),
        }
    }

    pub fn may_write(&self) -> bool {
        self.tenure.holds(self.lock.now()).is_ok()
    }

    /// Releases the lock, so that the next run need not wait until the lease expires. Call it when no request is in
    /// flight.
    pub async fn release(mut self) -> Result<(), StateError> {
        self.tenure.end(Loss::Released);
        self.renewal.shutdown().await;
        self.lock
            .objects
            .save(&name(self.epoch, RELEASED), "released", &())
            .await
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.tenure.end(Loss::Released);
    }
}

/// The permission to write while the lock is held. Cheap to clone and to check: it only reads clocks.
#[derive(Debug, Clone)]
pub struct Permit {
    tenure: Arc<Tenure>,
    lock: Lock,
}

impl Permit {
    /// Never becomes true again after it was false.
    pub fn may_write(&self) -> bool {
        self.tenure.holds(self.lock.now()).is_ok()
    }

    /// Like [`Self::may_write`], with the reason.
    pub fn check(&self) -> Result<(), StateError> {
        let held = self.tenure.holds(self.lock.now());
        held.map(drop).map_err(|loss| StateError::LockLost {
            place: self.lock.objects.place().to_owned(),
            loss,
        })
    }
}

/// Renews the lock until it is lost. Each attempt has a new name, so that an attempt with a lost answer does not block
/// the next one.
async fn renew(lock: Lock, claim: HeldClaim, tenure: Arc<Tenure>) {
    let mut pause = lock.lease.renew_every;
    for n in 1_u64.. {
        let gone = claim_is_gone(&lock, &claim);
        if tokio::time::timeout(pause, gone).await.is_ok() {
            return tenure.end(Loss::TakenOver);
        }
        let sent = lock.now();
        let Ok(left) = tenure.holds(sent) else { return };
        match tokio::time::timeout(left, renew_once(&lock, &claim, n)).await {
            Ok(Ok(true)) => tenure.extend(sent, lock.now()),
            Ok(Ok(false)) => return tenure.end(Loss::TakenOver),
            Ok(Err(error)) => tracing::warn!(%error, "the lock could not be renewed, trying again"),
            Err(_) => {}
        }
        let renewed = tenure
            .holds(lock.now())
            .is_ok_and(|left| left + lock.lease.renew_every > lock.lease.validity());
        pause = if renewed {
            lock.lease.renew_every
        } else {
            lock.lease.renew_every / 5
        };
    }
}

/// Reads the claim until it is gone or that of another process.
async fn claim_is_gone(lock: &Lock, claim: &HeldClaim) {
    loop {
        tokio::time::sleep(lock.lease.look_every()).await;
        // An outage of the storage shows nothing about the claim.
        if let Ok(there) = lock.read_claim(claim.epoch).await
            && there.is_none_or(|there| there.nonce != claim.nonce)
        {
            return;
        }
    }
}

/// Creates renewal `n` and checks whether the claim is still the newest. Checking the next epoch alone would not be
/// enough: it may have been deleted together with later ones.
async fn renew_once(lock: &Lock, claim: &HeldClaim, n: u64) -> Result<bool, StateError> {
    let mark = |n: u64| name(claim.epoch, &format!("{RENEWAL}{n:08}"));
    let object = mark(n);
    let bytes = lock.objects.encode(&object, "renewal", &())?;
    let created = lock.objects.create(&object, bytes).await?;
    let newest = newest(&lock.objects.list(FOLDER).await?);
    if let Some(old) = n.checked_sub(2).filter(|old| *old > 0) {
        lock.objects.delete(vec![mark(old)]).await?;
    }
    let is_newest =
        newest.is_some_and(|it| (it.epoch, it.claimed_ms) == (claim.epoch, claim.claimed_ms));
    Ok(created == Created::Ours && is_newest)
}
