//! Reading both sides and planning, repeated for answers that are too old (R34).

use std::collections::BTreeSet;

use tokio::time::Instant;
use tracing::Instrument;

use super::{READING_ENDS_WITHIN, Running, stale};
use crate::{
    domain::{
        named::{names, unknown_addresses},
        plan::{Plan, Wishes, plan, plan_undo},
        scope::RunScope,
    },
    engine::{
        RunError,
        fetch::{FetchEnd, Fetched, Fetcher, until},
        progress::span,
    },
    state::lock::LockGuard,
};

impl Running<'_> {
    /// Reads both sides; `None` if this invocation ends before (R34).
    pub(super) async fn read(&mut self, reader: &Fetcher<'_>) -> Result<Option<Fetched>, RunError> {
        let kept = self.kept().await?;
        let fetch = reader.fetch(&self.memory, kept).instrument(span("fetch"));
        let Some(fetched) = self.unless_over(Box::pin(fetch)).await else {
            return Ok(None);
        };
        let mut fetched = match fetched? {
            FetchEnd::Complete(fetched) => *fetched,
            FetchEnd::CutOff { read, of, answers } => {
                self.keep(answers).await?;
                self.report.remaining = u32::try_from(of - read).unwrap_or(u32::MAX);
                return Ok(None);
            }
        };
        // R39: a run for named accounts fails if one of them is unknown. A continued run does not, since an earlier
        // invocation may have changed an address.
        let unknown = unknown_addresses(&self.request.accounts, &fetched.world);
        if !unknown.is_empty() && !self.earlier.has_begun() {
            return Err(RunError::UnknownAccounts(unknown));
        }
        if let Some(plan) = &self.request.plan
            && plan.is_of_another_tenant(&fetched.world.tenant_id)
        {
            let id = plan.id().to_string();
            return Err(RunError::NoPlan(id, "it is of another tenant"));
        }
        self.report.warnings.extend(fetched.token_warning.take());
        Ok(Some(fetched))
    }

    /// R39: the names of the accounts that the run is for, including those that it has written to.
    pub(super) fn find_names(&mut self, fetched: &Fetched) {
        if self.request.accounts.is_empty() {
            return;
        }
        let accounts = &fetched.world.accounts;
        let written = self.earlier.written();
        let written = written.filter_map(|id| accounts.with_id(id));
        let written = written.map(|ix| accounts.get(ix).address());
        let names = |address| names(address, &fetched.world, &fetched.matching);
        let addresses = self.request.accounts.iter().chain(written);
        self.named = addresses.flat_map(names).collect();
    }

    /// Whether nothing more may begin: the process must end, or a waiting caller needs the answer.
    pub(super) fn is_over(&self) -> bool {
        let is_late = |deadline| Instant::now() >= deadline;
        self.watch.stop.is_requested()
            || self.request.punctual && self.deadline.is_some_and(is_late)
    }

    /// The result of `reading`; `None` if this invocation must end first.
    pub(super) async fn unless_over<T>(&self, reading: impl Future<Output = T>) -> Option<T> {
        let answer_by = self
            .deadline
            .filter(|_| self.request.punctual)
            .map(|deadline| deadline + READING_ENDS_WITHIN);
        tokio::select! {
            biased; // A completed read is used even at the deadline.
            read = reading => Some(read),
            () = until(answer_by) => None,
            () = self.watch.stop.requested() => None,
        }
    }

    /// The plan; `None` if this invocation ends before. A fresh answer may release a held change that depends on
    /// another old answer, so planning is repeated. Each answer is read again only once, since some are always too old
    /// if reading takes longer than they stay valid (R34). The plan of an undo comes from a journal, so nothing is read
    /// again.
    pub(super) async fn plan_on_fresh_answers(
        &self,
        reader: &Fetcher<'_>,
        fetched: &mut Fetched,
        lock: Option<&LockGuard>,
    ) -> Result<Option<Plan>, RunError> {
        let wishes = self.wishes();
        let mut plan = span("plan").in_scope(|| self.plan(fetched, &wishes));
        let mut refreshed = BTreeSet::new();
        while lock.is_some() && self.undo.is_none() {
            let mut stale = stale(&plan, fetched, self.engine.now().as_second());
            stale.retain(|ix| refreshed.insert(*ix));
            if stale.is_empty() {
                break;
            }
            let refresh = reader.refresh(&self.memory, fetched, &stale);
            let Some(ended) = self.unless_over(refresh.instrument(span("refresh"))).await else {
                return Ok(None);
            };
            ended?;
            plan = self.plan(fetched, &wishes);
        }
        Ok(Some(plan))
    }

    pub(super) fn plan(&self, fetched: &Fetched, wishes: &Wishes) -> Plan {
        let Fetched {
            world,
            policy,
            matching,
            ..
        } = fetched;
        match &self.undo {
            Some(undo) => plan_undo(undo, world, policy, &self.memory, matching, wishes),
            None => plan(world, policy, &self.memory, matching, wishes),
        }
    }

    pub(super) fn wishes(&self) -> Wishes {
        Wishes {
            scope: RunScope::of(&self.request.accounts),
            written: self.earlier.written().cloned().collect(),
            approved: self.approved(),
            now: self.engine.now().as_second(),
            stops_first: self.memory.cut_off,
            began: self.earlier.began(),
            held: None,
            reviewed: self.reviewed.clone(),
            wave: self.request.wave.clone(),
        }
    }
}
