//! Approvals in a run (R27): each change that a code stands for is made once, and what was not made stays approved.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::Engine, RunError, RunRequest, RunSummary, Running};
use crate::{
    domain::{
        approval::Approval,
        guard::Class,
        mode::Mode,
        note::{Code, Note},
        plan::Plan,
        record::PlanRecord,
        report::ActionOutcome,
        world::World,
    },
    engine::journal::read_again,
    state::{RunId, State, StateError},
};

impl Engine {
    /// Codes are checked before anything is read, so that a mistyped one costs nothing.
    pub(in crate::engine) async fn check_approvals(
        &self,
        request: &RunRequest,
    ) -> Result<BTreeMap<String, Approval>, RunError> {
        if request.mode == Mode::Preview && !request.approve.is_empty() {
            return Err(RunError::ApprovalInPreview);
        }
        let now = self.now().as_second();
        let mut approvals = BTreeMap::new();
        for code in &request.approve {
            let approval = known_approval(self.state().await?, code)
                .await?
                .ok_or_else(|| RunError::UnknownApproval(code.clone()))?;
            if approval.is_expired(now) {
                // The rest of a run that has begun continues without it.
                if self.has_begun(request).await? {
                    continue;
                }
                return Err(RunError::ExpiredApproval(code.clone()));
            }
            approvals.insert(code.clone(), approval);
        }
        Ok(approvals)
    }

    async fn has_begun(&self, request: &RunRequest) -> Result<bool, RunError> {
        let recorded = self.recorded(request).await?;
        Ok(recorded.as_ref().is_some_and(RunSummary::has_begun))
    }
}

impl Running<'_> {
    /// Fingerprints of what this run may do though a limit holds it.
    pub(super) fn approved(&self) -> BTreeSet<String> {
        let approvals = self.approvals.values();
        approvals.flat_map(Approval::open).cloned().collect()
    }

    /// R27: the classes of which the run used an approval, in this invocation or in an earlier one.
    pub(super) fn used_classes(&self, plan: &Plan) -> BTreeSet<Class> {
        let is_used = |approval: &&Approval| {
            let is_used_earlier = self.request.id.is_some() && !approval.used.is_empty();
            let mut changes = approval.changes.iter();
            is_used_earlier
                || changes.any(|change| plan.used_approvals.contains(&change.fingerprint))
        };
        let used = self.approvals.values().filter(is_used);
        used.map(|approval| approval.class).collect()
    }

    pub(super) async fn offer_approvals(&mut self, plan: &Plan) -> Result<(), RunError> {
        let now = self.engine.now().as_second();
        for held in &plan.held {
            let known = known_approval(self.state, &held.code).await?;
            if let Some(approval) = Approval::offer(held, known.as_ref(), now) {
                self.state.save_approval(&held.code, &approval).await?;
            }
        }
        Ok(())
    }

    /// Says which approved changes this run does not make, one by one: what is not planned any more as it was shown,
    /// and what is held again.
    pub(super) fn refuse_outdated_approvals(&mut self, plan: &Plan) {
        let held: BTreeSet<&str> = plan
            .held
            .iter()
            .flat_map(|set| &set.changes)
            .map(|change| change.fingerprint.as_str())
            .collect();
        let expired = self.request.approve.iter();
        for code in expired.filter(|code| !self.approvals.contains_key(*code)) {
            self.report.warnings.push(format!(
                "the approval {code} is older than 24 hours, so the rest of this run does not use it (R27)"
            ));
        }
        let mut notes = Vec::new();
        for approval in self.approvals.values() {
            for change in &approval.changes {
                let is_held = held.contains(change.fingerprint.as_str());
                let is_made = plan.used_approvals.contains(&change.fingerprint);
                let why = match (approval.is_open(change), is_held) {
                    (true, true) => "it now needs another change, which is held with it",
                    (true, false) if !is_made => "it is not planned any more as it was approved",
                    (false, true) => "it was made before, and a code makes each change once",
                    (true | false, false) => continue,
                };
                let text = format!("the approval does nothing for \"{}\": {why}", change.what);
                notes.push(Note::new(
                    change.address.as_str(),
                    Code::ApprovalOutdated,
                    text,
                ));
            }
        }
        self.report.skipped.extend(notes);
        self.report.skipped.sort_unstable();
        self.report.skipped.dedup();
    }

    /// Before the first write, so that a run that is killed makes no change twice.
    pub(super) async fn use_approvals(&mut self, record: &PlanRecord) -> Result<(), RunError> {
        let planned: BTreeSet<&String> = record
            .actions
            .iter()
            .flat_map(|action| &action.approved)
            .collect();
        for (code, approval) in &mut self.approvals {
            if approval.use_up(&planned) {
                self.state.save_approval(code, approval).await?;
            }
        }
        Ok(())
    }

    /// What an invocation did not come to, or Zivver refused, stays approved.
    pub(super) async fn give_back(
        &mut self,
        codes: &[String],
        not_made: &BTreeSet<&String>,
    ) -> Result<(), RunError> {
        if not_made.is_empty() {
            return Ok(());
        }
        for code in codes {
            let Some(mut approval) = known_approval(self.state, code).await? else {
                continue;
            };
            if approval.give_back(not_made) {
                self.state.save_approval(code, &approval).await?;
            }
            if let Some(mine) = self.approvals.get_mut(code) {
                *mine = approval;
            }
        }
        Ok(())
    }

    /// R22, R27: an approved change that Zivver accepted and does not show was not made, so its code still serves.
    pub(super) async fn give_back_not_made(
        &mut self,
        again: &Plan,
        unanswered: &BTreeSet<&String>,
    ) -> Result<(), RunError> {
        let not_made = again.used_approvals.iter();
        let not_made: BTreeSet<&String> = not_made.filter(|it| !unanswered.contains(it)).collect();
        for (code, approval) in &mut self.approvals {
            if approval.give_back(&not_made) {
                self.state.save_approval(code, approval).await?;
            }
        }
        Ok(())
    }

    /// The same for what a plan left when its run was killed, or had no answer for: where the journal is silent, Zivver
    /// shows what was done, also after the verification (R35).
    pub(super) async fn give_back_interrupted(&mut self, world: &World) -> Result<(), RunError> {
        let Some(in_hand) = self.memory.in_hand.clone() else {
            return Ok(());
        };
        let Some(run) = RunId::parse(&in_hand.run) else {
            return Ok(());
        };
        let codes = match self.state.summary::<RunSummary>(&run).await {
            Ok(found) => found.map(|found| found.summary.approve).unwrap_or_default(),
            Err(StateError::Unreadable { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        if codes.is_empty() {
            return Ok(());
        }
        let plans = self.done_by(&run).await?;
        let Some((record, entries)) = plans.get(in_hand.plan as usize) else {
            return Ok(());
        };
        let outcomes = record.outcomes(entries, Some(world));
        let mut not_made = record.approved_where(|at| !outcomes[at].is_done());
        not_made.retain(|fingerprint| !in_hand.made.contains(*fingerprint));
        self.give_back(&codes, &not_made).await
    }
}

/// Whether Zivver cannot have made an action: of one without an answer only Zivver can tell.
pub(super) fn is_certainly_not_made(outcome: ActionOutcome) -> bool {
    !outcome.is_done() && outcome != ActionOutcome::Failed
}

/// A damaged approval is none: it is written anew when its set is shown again, and stops no run.
async fn known_approval(state: &State, code: &str) -> Result<Option<Approval>, StateError> {
    match read_again(|| state.approval(code)).await {
        Err(error @ StateError::Unreadable { .. }) => {
            tracing::warn!(%error, "an approval cannot be read and counts for nothing");
            Ok(None)
        }
        known => known,
    }
}
