//! Explains one address (R40): reads only what it needs, and writes nothing.

use std::collections::BTreeMap;

use super::{Engine, RunError, complete::Complete, history::Records};
use crate::{
    domain::{
        address::SmtpAddress,
        approval::Approval,
        explain::{Explanation, LastRun, explain},
        held::HeldSet,
        mode::Depth,
    },
    state::RunId,
};

/// In how many of the runs after the last complete one a held set is searched.
const RUNS_SINCE: usize = 10;

impl Engine {
    pub async fn explain(&self, address: &SmtpAddress) -> Result<Explanation, RunError> {
        let (fetched, memory, plan) = self.look(address).await?;
        let last = self.complete_if_readable().await.map(LastRun::from);
        let mut explanation = explain(
            address,
            &fetched.world,
            &fetched.policy,
            &memory,
            &fetched.matching,
            &plan,
            last.as_ref(),
        );
        let records = self.records().await?;
        Box::pin(records.name_codes(&mut explanation)).await;
        Ok(explanation)
    }
}

impl Records<'_> {
    /// R27: names the code of a stored set that holds each change and can be approved now; of the others no code.
    pub(super) async fn name_codes(&self, explanation: &mut Explanation) {
        if explanation.held.is_empty() {
            return;
        }
        let shown = self.shown_sets_if_readable().await;
        let mut approvals: BTreeMap<&str, Option<Approval>> = BTreeMap::new();
        for fact in &mut explanation.held {
            fact.code.clear();
            for (run, set) in &shown {
                let fingerprint = &fact.change.fingerprint;
                if !set.approves().any(|it| it.fingerprint == *fingerprint) {
                    continue;
                }
                let known = approvals.get(&*set.code).cloned();
                let approval = match known {
                    Some(known) => known,
                    None => self.usable_approval(&set.code).await,
                };
                approvals.insert(&set.code, approval.clone());
                let is_open = |it: &Approval| {
                    let mut changes = it.changes.iter();
                    changes.any(|it| it.fingerprint == *fingerprint) && it.is_open(&fact.change)
                };
                if approval.is_some_and(|it| is_open(&it)) {
                    fact.code.clone_from(&set.code);
                    fact.second_person.clone_from(&set.second_person);
                    fact.reason = format!("{} in run {run}", set.reason);
                    break;
                }
            }
        }
        explanation.restate_held();
    }

    pub(super) async fn shown_sets_if_readable(&self) -> Vec<(String, HeldSet)> {
        self.shown_sets().await.unwrap_or_else(|error| {
            tracing::warn!("cannot read what runs have held: {error}");
            Vec::new()
        })
    }

    /// The held sets of the last complete run and of the runs since, each with its run.
    async fn shown_sets(&self) -> Result<Vec<(String, HeldSet)>, RunError> {
        let Some(complete) = self.complete().await? else {
            return Ok(Vec::new());
        };
        let mut shown: Vec<(String, HeldSet)> = complete
            .held()
            .map(|(report, set)| (report.id.clone(), set.clone()))
            .collect();
        let since = complete.since.iter();
        let codes: Vec<String> = since.flat_map(|it| &it.approve).cloned().collect();
        let scoped = complete.since.iter().take(RUNS_SINCE);
        let scoped = scoped.filter(|run| run.depth == Depth::Full && run.undo.is_none());
        for run in scoped.filter(|run| run.counts.held > 0) {
            if let Some(id) = RunId::parse(&run.id) {
                let report = self.report_after(&id, &codes).await?;
                let held = report.held.into_iter();
                shown.extend(held.map(|set| (run.id.clone(), set)));
            }
        }
        Ok(shown)
    }
}

impl From<Complete> for LastRun {
    fn from(complete: Complete) -> Self {
        let held = complete.held();
        Self {
            held: held
                .map(|(report, set)| (report.id.clone(), set.clone()))
                .collect(),
        }
    }
}
