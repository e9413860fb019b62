//! Approvals in a run (R27): each approved change is made once, and a change that was not made stays approved.

mod records;

use std::collections::{BTreeMap, BTreeSet};

pub use records::Decision;

use super::{super::Engine, RunError, RunRequest, RunSummary, Running};
use crate::{
    domain::{
        actor::{Actor, approved_by_second_person, second_person},
        address::SmtpAddress,
        approval::{Approval, Showing},
        guard::Class,
        hold::HeldChange,
        mode::{Depth, Mode},
        note::{Code, Note},
        plan::Plan,
        record::PlanRecord,
        report::ActionOutcome,
        world::World,
    },
    engine::{history::RUNS_ENOUGH, journal::read_again},
    state::{RunId, State, StateError},
};

impl Engine {
    /// Checks the approval codes. This happens before anything is read, so that a wrong code fails early.
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
            match self.records().await?.valid_approval(code, now).await {
                Ok(approval) => {
                    self.require_own(code, &approval, request)?;
                    self.require_second_person(code, &approval, request)?;
                    approvals.insert(code.clone(), approval);
                }
                // A run that has begun continues without an expired approval.
                Err(RunError::ExpiredApproval(_)) if self.has_begun(request).await? => {}
                Err(error) => return Err(error),
            }
        }
        if approvals.len() == request.approve.len() {
            know_accounts(approvals.values(), &request.approve_accounts)?;
        }
        Ok(approvals)
    }

    /// R27, R37: a code of an undo serves only the same undo, and other codes serve no undo: the run would make everything
    /// that is not held, and nothing of what the person approves.
    fn require_own(
        &self,
        code: &str,
        approval: &Approval,
        request: &RunRequest,
    ) -> Result<(), RunError> {
        if approval.serves(request.undo.as_ref().map(RunId::as_str)) {
            return Ok(());
        }
        let undone = approval.shown_in.iter().flatten().next();
        let holder = approval.held_by.as_ref();
        let four_eyes = self.settings().four_eyes;
        Err(RunError::OtherApproval {
            code: code.to_owned(),
            undone: undone.cloned(),
            second_person: four_eyes.then(|| approved_by_second_person(holder)),
        })
    }

    /// R41: `FOUR_EYES`.
    fn require_second_person(
        &self,
        code: &str,
        approval: &Approval,
        request: &RunRequest,
    ) -> Result<(), RunError> {
        if !self.settings().four_eyes {
            return Ok(());
        }
        let (holder, approver) = (approval.held_by.as_ref(), request.started_by.as_ref());
        second_person(holder, approver).map_err(|why| RunError::FourEyes(code.to_owned(), why))
    }

    async fn has_begun(&self, request: &RunRequest) -> Result<bool, RunError> {
        let recorded = self.recorded(request).await?;
        Ok(recorded.as_ref().is_some_and(RunSummary::has_begun))
    }
}

impl Running<'_> {
    /// Fingerprints of the changes that this run may make although a limit holds them.
    pub(super) fn approved(&self) -> BTreeSet<String> {
        let approvals = self.approvals.values();
        approvals
            .flat_map(|approval| {
                let chosen = self.chosen(approval);
                chosen.filter(|change| approval.is_open(change))
            })
            .map(|change| change.fingerprint.clone())
            .collect()
    }

    /// The changes of a set that the run was started to approve. R47: what was rejected since the set was shown is
    /// among them only if its account is named.
    fn chosen<'a>(&'a self, approval: &'a Approval) -> impl Iterator<Item = &'a HeldChange> {
        let rejected = self.rejected(approval);
        let changes = approval.changes_of(&self.request.approve_accounts);
        changes.filter(move |change| !rejected.contains(change.fingerprint.as_str()))
    }

    /// R47: fingerprints of the changes of a set that the run does not approve, since they were rejected.
    fn rejected(&self, approval: &Approval) -> BTreeSet<&str> {
        if self.request.approve_accounts.is_empty() {
            self.memory.rejected_since(approval)
        } else {
            BTreeSet::new()
        }
    }

    /// R27: the classes for which this run, in any of its invocations, used an approval for all changes of a set (R47).
    pub(super) fn used_classes(&self, plan: &Plan) -> BTreeSet<Class> {
        let is_used = |approval: &&Approval| {
            let is_used_earlier = self.request.id.is_some() && !approval.used.is_empty();
            let mut changes = approval.changes.iter();
            is_used_earlier
                || changes.any(|change| plan.used_approvals.contains(&change.fingerprint))
        };
        let is_whole =
            |approval: &&Approval| self.chosen(approval).count() == approval.changes.len();
        let used = self.approvals.values().filter(is_whole).filter(is_used);
        used.map(|approval| approval.class).collect()
    }

    pub(super) async fn offer_approvals(&mut self, plan: &Plan) -> Result<(), RunError> {
        let showing = Showing {
            at: self.engine.now().as_second(),
            read_from: self.read_from,
            by: self.request.started_by.as_ref(),
            four_eyes: self.engine.settings().four_eyes,
            undoes: self.request.undo.as_ref().map(RunId::as_str),
        };
        for held in &plan.held {
            let known = known_approval(self.state, &held.code).await?;
            let offered = Approval::offer(held, known.as_ref(), showing);
            if let Some(approval) = &offered {
                self.state.save_approval(&held.code, approval).await?;
            }
            if showing.four_eyes {
                let approval = offered.or(known);
                let holder = approval.as_ref().and_then(|it| it.held_by.as_ref());
                self.state_second_person(&held.code, holder);
            }
        }
        Ok(())
    }

    fn state_second_person(&mut self, code: &str, holder: Option<&Actor>) {
        for set in self.report.held.iter_mut().filter(|it| it.code == code) {
            set.second_person = Some(approved_by_second_person(holder));
        }
    }

    /// Adds a note for each approved change that this run does not make: because it waits for another change, is no
    /// longer planned as it was shown, or is held again. What the run leaves for later has its own note (R47).
    pub(super) async fn refuse_outdated_approvals(&mut self, plan: &Plan) {
        let made_with = self.made_with_others(plan).await.unwrap_or_else(|error| {
            tracing::warn!("cannot read what was made with other codes: {error}");
            BTreeMap::new()
        });
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
        if self.request.id.is_none() {
            self.warn_of_useless_approvals(plan, &made_with);
        }
        // R45: a quick run does not see all changes. The approval stays valid, since a full run may plan them.
        let not_planned = match self.request.depth {
            Depth::Full => (
                Code::ApprovalOutdated,
                "it is not planned any more as it was approved".to_owned(),
            ),
            Depth::Quick => (
                Code::ApprovalLeft,
                "a quick run does not plan it; the code still serves a full run, unless the change is not planned any \
                 more"
                    .to_owned(),
            ),
        };
        let outdated = |why: &str| (Code::ApprovalOutdated, why.to_owned());
        let mut notes = Vec::new();
        for approval in self.approvals.values() {
            for change in self.chosen(approval) {
                let is_held = held.contains(change.fingerprint.as_str());
                let is_made = plan.used_approvals.contains(&change.fingerprint)
                    || plan.approved_for_later.contains(&change.fingerprint);
                if let Some(unmade) = plan.unmade.get(&change.fingerprint) {
                    let text = format!(
                        "approved and not made: {}: {}",
                        change.in_words(),
                        unmade.why
                    );
                    notes.push(Note::new(change.address.as_str(), Code::Waits, text));
                    continue;
                }
                let (code, why) = match (approval.is_open(change), is_held) {
                    (true, true) => outdated("it now needs another change, which is held with it"),
                    (true, false) if !is_made => match made_with.get(&change.fingerprint) {
                        Some(other) => outdated(&format!("it was made with the code {other}")),
                        None => not_planned.clone(),
                    },
                    (false, true) => {
                        outdated("it was made before, and a code makes each change once")
                    }
                    (true | false, false) => continue,
                };
                let what = change.in_words();
                let text = format!("the approval does nothing for \"{what}\": {why}");
                notes.push(Note::new(change.address.as_str(), code, text));
            }
        }
        self.report.skipped.extend(notes);
        self.report.skipped.sort_unstable();
        self.report.skipped.dedup();
    }

    /// The codes with which earlier runs made what this run approves and does not plan, by fingerprint.
    async fn made_with_others(&self, plan: &Plan) -> Result<BTreeMap<String, String>, RunError> {
        let approvals = self.approvals.values();
        let chosen = approvals.flat_map(|it| self.chosen(it).filter(|change| it.is_open(change)));
        let mut missing: BTreeSet<&str> = chosen.map(|it| it.fingerprint.as_str()).collect();
        missing.retain(|it| !plan.used_approvals.contains(*it));
        if missing.is_empty() {
            return Ok(BTreeMap::new());
        }
        let past = self.engine.past(RUNS_ENOUGH).await?.runs;
        let mut codes: BTreeSet<String> = past.into_iter().flat_map(|it| it.run.approve).collect();
        codes.retain(|code| !self.approvals.contains_key(code));
        let mut made_with = self
            .engine
            .records()
            .await?
            .used_since(codes.iter(), i64::MIN)
            .await;
        made_with.retain(|fingerprint, _| missing.contains(fingerprint.as_str()));
        Ok(made_with)
    }

    /// Adds a warning for each code that approves nothing in this run, with what became of the changes of its set.
    fn warn_of_useless_approvals(&mut self, plan: &Plan, made_with: &BTreeMap<String, String>) {
        for (code, approval) in &self.approvals {
            let is_used = |it: &HeldChange| plan.used_approvals.contains(&it.fingerprint);
            if self.chosen(approval).any(is_used) {
                continue;
            }
            let rejected = self.rejected(approval);
            let mut fates: BTreeMap<Fate<'_>, usize> = BTreeMap::new();
            for change in approval.changes_of(&self.request.approve_accounts) {
                let fate = self.fate(change, approval, &rejected, plan, made_with);
                *fates.entry(fate).or_default() += 1;
            }
            let parts = fates.iter();
            let parts: Vec<String> = parts
                .map(|(fate, count)| format!("{count} {}", fate.words()))
                .collect();
            let remedy = if fates.contains_key(&Fate::Rejected) {
                format!(
                    "; to make a rejected one all the same, approve it with --account ADDRESS (approve_accounts over HTTP), or take \
                     the rejection back with cloud-sync reject --undo {code}"
                )
            } else {
                String::new()
            };
            self.report.warnings.push(format!(
                "the code {code} approves nothing in this run (R27); its changes: {}{remedy}",
                parts.join(", ")
            ));
        }
    }

    /// What became of a change that this run does not make although it was started with the code of its set.
    fn fate<'a>(
        &self,
        change: &HeldChange,
        approval: &Approval,
        rejected: &BTreeSet<&str>,
        plan: &Plan,
        made_with: &'a BTreeMap<String, String>,
    ) -> Fate<'a> {
        let is_for_all = self.request.accounts.is_empty();
        if !approval.is_open(change) {
            Fate::Made
        } else if rejected.contains(change.fingerprint.as_str()) {
            Fate::Rejected
        } else if !is_for_all && !self.named.contains(change.address.as_str()) {
            Fate::OutsideRun
        } else if plan.approved_for_later.contains(&change.fingerprint) {
            Fate::LeftForLater
        } else if plan.unmade.contains_key(&change.fingerprint) {
            Fate::Waits
        } else if let Some(other) = made_with.get(&change.fingerprint) {
            Fate::MadeWith(other)
        } else {
            match self.request.depth {
                Depth::Full => Fate::NotPlanned,
                Depth::Quick => Fate::NotInQuickRun,
            }
        }
    }

    /// Marks approvals as used before the first write, so that no change is made twice after the run is killed.
    pub(super) async fn use_approvals(&mut self, record: &PlanRecord) -> Result<(), RunError> {
        let planned: BTreeSet<&String> = record
            .actions
            .iter()
            .flat_map(|action| &action.approved)
            .collect();
        let now = self.engine.now().as_second();
        for (code, approval) in &mut self.approvals {
            if approval.use_up(&planned, now) {
                approval.approved_by.clone_from(&self.request.started_by);
                self.state.save_approval(code, approval).await?;
            }
        }
        Ok(())
    }

    /// Makes approvals valid again for changes that were not attempted or that Zivver refused.
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

    /// R22, R27: makes the approval valid again for changes that Zivver accepted but does not show.
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

    /// The same for a plan whose run was killed, or whose requests got no answer. If the journal has no outcome, Zivver
    /// shows what was done, even after the verification (R35).
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

/// Why an approved change is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate<'a> {
    Made,
    /// With the code of another set.
    MadeWith(&'a str),
    Rejected,
    OutsideRun,
    LeftForLater,
    Waits,
    NotInQuickRun,
    NotPlanned,
}

impl Fate<'_> {
    /// With a number of changes before it.
    fn words(self) -> String {
        let words = match self {
            Self::MadeWith(code) => return format!("made with the code {code}"),
            Self::Made => "made before",
            Self::Rejected => "rejected (R47)",
            Self::OutsideRun => "of accounts that this run is not for",
            Self::LeftForLater => {
                "left for a later run, since the run is restricted to others (R47)"
            }
            Self::Waits => "waiting for others, as the findings state",
            Self::NotInQuickRun => "not planned by a quick run, which reads no permissions (R45)",
            Self::NotPlanned => "not planned as shown",
        };
        words.to_owned()
    }
}

/// R47: an account without a change in any of the sets is a mistake of the caller.
fn know_accounts<'a>(
    approvals: impl Iterator<Item = &'a Approval>,
    accounts: &BTreeSet<SmtpAddress>,
) -> Result<(), RunError> {
    let changes: Vec<&HeldChange> = approvals.flat_map(|approval| &approval.changes).collect();
    let is_known = |account: &SmtpAddress| changes.iter().any(|change| change.address == *account);
    let Some(account) = accounts.iter().find(|account| !is_known(account)) else {
        return Ok(());
    };
    let names = |text: &str| text == account.as_str();
    let mut others = changes
        .iter()
        .filter(|it| names(&it.before) || names(&it.after));
    let other = others.next().map(|it| it.address.clone());
    Err(RunError::NotHeld {
        account: account.clone(),
        other,
    })
}

/// Whether Zivver cannot have made an action. An action that failed without an answer may have been made.
pub(super) fn is_certainly_not_made(outcome: ActionOutcome) -> bool {
    !outcome.is_done() && outcome != ActionOutcome::Failed
}

/// The approval; `None` also if it is damaged. It is then written again when its set is shown again, and no run fails.
async fn known_approval(state: &State, code: &str) -> Result<Option<Approval>, StateError> {
    match read_again(|| state.approval(code)).await {
        Err(error @ StateError::Unreadable { .. }) => {
            tracing::warn!(%error, "an approval cannot be read and is ignored");
            Ok(None)
        }
        known => known,
    }
}
