//! The holder's side of the lock: renewing it, asking whether it still holds, giving it up.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{FOLDER, Lock, Loss, RELEASED, RENEWAL, name, newest, tenure::Tenure};
use crate::state::{error::StateError, objects::Created};

/// The lock, held. It renews itself in the background until it is released, dropped or lost.
#[derive(Debug)]
pub struct LockGuard {
    lock: Lock,
    epoch: u64,
    tenure: Arc<Tenure>,
    renewal: JoinSet<()>,
}

impl LockGuard {
    pub(super) fn new(lock: Lock, epoch: u64, tenure: Tenure) -> Self {
        let tenure = Arc::new(tenure);
        let mut renewal = JoinSet::new();
        renewal.spawn(renew(lock.clone(), epoch, Arc::clone(&tenure)));
        Self {
            lock,
            epoch,
            tenure,
            renewal,
        }
    }

    /// What everything that writes to Zivver asks before each attempt.
    pub fn permit(&self) -> Permit {
        Permit {
            tenure: Arc::clone(&self.tenure),
            lock: self.lock.clone(),
        }
    }

    pub fn may_write(&self) -> bool {
        self.tenure.holds(self.lock.now()).is_ok()
    }

    /// Ends the tenure, so that the next run need not wait for the lease to run out. Call it when nothing is in flight any more.
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

/// The right to write as long as the lock is held. Cheap to clone and to ask: it looks at clocks only.
#[derive(Debug, Clone)]
pub struct Permit {
    tenure: Arc<Tenure>,
    lock: Lock,
}

impl Permit {
    /// Once false, false for ever.
    pub fn may_write(&self) -> bool {
        self.tenure.holds(self.lock.now()).is_ok()
    }

    /// [`Self::may_write`], with the reason why not.
    pub fn check(&self) -> Result<(), StateError> {
        let held = self.tenure.holds(self.lock.now());
        held.map(drop).map_err(|loss| StateError::LockLost {
            place: self.lock.objects.place().to_owned(),
            loss,
        })
    }
}

/// Keeps the tenure alive as long as the store lets us. Each attempt has a new name, so an attempt whose answer was lost cannot
/// stand in the way of the next one.
async fn renew(lock: Lock, epoch: u64, tenure: Arc<Tenure>) {
    let mut pause = lock.lease.renew_every;
    for n in 1_u64.. {
        tokio::time::sleep(pause).await;
        let sent = lock.now();
        let Ok(left) = tenure.holds(sent) else { return };
        match tokio::time::timeout(left, renew_once(&lock, epoch, n)).await {
            Ok(Ok(true)) => tenure.extend(sent, lock.now()),
            Ok(Ok(false)) => return tenure.end(Loss::TakenOver),
            Ok(Err(error)) => tracing::warn!(%error, "the lock could not be renewed, trying again"),
            Err(_) => {}
        }
        let renewed = tenure
            .holds(lock.now())
            .is_ok_and(|left| left + lock.lease.renew_every > lock.lease.holder_may_rely_on_it());
        pause = if renewed {
            lock.lease.renew_every
        } else {
            lock.lease.renew_every / 5
        };
    }
}

/// Whether the epoch is still the newest after its `n`th renewal was created. A look at the next claim alone would not tell:
/// that may have been deleted, as one of many that came since.
async fn renew_once(lock: &Lock, epoch: u64, n: u64) -> Result<bool, StateError> {
    let object = name(epoch, &format!("{RENEWAL}{n:08}"));
    let bytes = lock.objects.encode(&object, "renewal", &())?;
    let created = lock.objects.create(&object, bytes).await?;
    let newest = newest(&lock.objects.list(FOLDER).await?);
    if let Some(old) = n.checked_sub(2).filter(|old| *old > 0) {
        lock.objects
            .delete(vec![name(epoch, &format!("{RENEWAL}{old:08}"))])
            .await?;
    }
    Ok(created == Created::Ours && newest.is_some_and(|newest| newest.epoch == epoch))
}
