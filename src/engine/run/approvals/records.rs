//! Approvals and rejections as they are stored, between runs (R27, R47).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    super::{
        RunError, release,
        start::{load_memory, owner},
    },
    know_accounts, known_approval,
};
use crate::{
    domain::{
        actor::Actor,
        address::SmtpAddress,
        approval::Approval,
        memory::{Memory, Rejection},
    },
    engine::history::{RUNS_ENOUGH, Records},
    state::{RunId, Stored, lock::Acquired},
};

/// A request to reject held changes, or to take rejections back (R47).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The code of the held set.
    pub code: String,
    /// Only the changes of these accounts; empty for all.
    pub accounts: BTreeSet<SmtpAddress>,
    /// Whether to take rejections back instead of rejecting.
    pub takes_back: bool,
}

impl Records<'_> {
    /// R47: all rejections.
    pub async fn rejections(&self) -> Result<Vec<Rejection>, RunError> {
        let memory: Option<Stored<Memory>> = self.state.memory().await?;
        Ok(memory.map_or_else(Vec::new, |stored| stored.value.rejections))
    }

    /// R47: rejects the changes of a held set, or takes that back. Returns the changes concerned.
    pub async fn decide(
        &self,
        decision: &Decision,
        by: Option<&Actor>,
    ) -> Result<Vec<Rejection>, RunError> {
        // This needs the lock: a run that writes would overwrite the memory, or fail because it has changed (R29).
        let id = RunId::after(None, self.clock.now(), 0);
        let lock = self.state.lock(self.lease);
        let guard = match lock.acquire_within(&owner(&id), Duration::ZERO).await? {
            Acquired::Mine(guard) => guard,
            Acquired::Held(holder) => {
                return Err(RunError::LockHeld {
                    holder: holder.to_string(),
                });
            }
        };
        let decided = self.decide_alone(decision, by).await;
        release(Some(guard)).await;
        decided
    }

    /// R27: the approval for this code, if it is valid now. An unused approval stays valid as long as its set is held.
    pub(super) async fn valid_approval(&self, code: &str, now: i64) -> Result<Approval, RunError> {
        let approval = known_approval(self.state, code).await?;
        let approval = approval.ok_or_else(|| RunError::UnknownApproval(code.to_owned()))?;
        let serves = !approval.is_expired(now)
            || approval.is_unused_since(now) && self.is_held(code).await?;
        if serves {
            Ok(approval)
        } else {
            Err(RunError::ExpiredApproval(code.to_owned()))
        }
    }

    /// The approval for this code, if a run that is started with it now may make its changes.
    pub(in crate::engine) async fn usable_approval(&self, code: &str) -> Option<Approval> {
        let now = self.clock.now().as_second();
        self.valid_approval(code, now).await.ok()
    }

    /// R47: fingerprints of the changes that were approved with these codes since then (epoch seconds), and made or
    /// about to be made, each with its code.
    pub(in crate::engine) async fn used_since(
        &self,
        codes: impl Iterator<Item = &String>,
        since: i64,
    ) -> BTreeMap<String, String> {
        let mut used = BTreeMap::new();
        for code in codes.filter(|code| !code.is_empty()) {
            match known_approval(self.state, code).await {
                Ok(approval) => {
                    let approval = approval.filter(|it| it.last_used >= Some(since));
                    let of_code = approval.into_iter().flat_map(|it| it.used);
                    used.extend(of_code.map(|it| (it, code.clone())));
                }
                Err(error) => tracing::warn!("cannot read what was approved: {error}"),
            }
        }
        used
    }

    /// R47: the same of the changes of one set, since a run last held it.
    async fn made_since_held(
        &self,
        code: &str,
        approval: &Approval,
    ) -> Result<BTreeSet<String>, RunError> {
        let shown = self.shown_sets_if_readable().await.into_iter();
        let shown = shown.filter(|(_, set)| set.code == code);
        if let Some((_, set)) = shown.max_by(|(one, _), (other, _)| one.cmp(other)) {
            return Ok(set.approved.into_iter().map(|it| it.fingerprint).collect());
        }
        let past = self.past(RUNS_ENOUGH).await?.runs;
        let codes = past.iter().flat_map(|it| &it.run.approve);
        let made = self.used_since(codes, approval.shown).await;
        Ok(made.into_keys().collect())
    }

    /// Whether the last complete run holds the set.
    async fn is_held(&self, code: &str) -> Result<bool, RunError> {
        let complete = self.complete().await?;
        Ok(complete.is_some_and(|it| it.report.held.iter().any(|set| set.code == code)))
    }

    async fn decide_alone(
        &self,
        decision: &Decision,
        by: Option<&Actor>,
    ) -> Result<Vec<Rejection>, RunError> {
        let Decision {
            code,
            accounts,
            takes_back,
        } = decision;
        let (mut memory, revision) = load_memory(self.state).await?;
        let now = self.clock.now().as_second();
        let changed = if *takes_back {
            memory.take_back_rejections(code, accounts)
        } else {
            let mut approval = self.valid_approval(code, now).await?;
            approval.keep_own();
            know_accounts(std::iter::once(&approval), accounts)?;
            let made = Box::pin(self.made_since_held(code, &approval)).await?;
            approval.used.extend(made);
            memory.reject(code, &approval, accounts, by, now)
        };
        if *takes_back && changed.is_empty() {
            return Err(RunError::NotRejected {
                code: code.clone(),
                accounts: accounts.iter().cloned().collect(),
            });
        }
        self.state.save_memory(&memory, revision.as_ref()).await?;
        Ok(changed)
    }
}
