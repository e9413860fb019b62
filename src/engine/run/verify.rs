//! Reads Zivver again after an apply and compares (R22, R36).

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::Running;
use crate::{
    domain::{
        accounts::{Account, Accounts},
        delta::Target,
        execute::Applied,
        ids::ScimId,
        ineffective::{LIST_LAG_MAX_S, Sent, SentChange, compare, is_outdated, not_shown_yet},
        matching::match_accounts,
        note::{Code, Note},
        plan::{Plan, keys},
        record::PlanRecord,
        report::{ActionOutcome, TargetFacts},
        seen::SeenAccounts,
    },
    engine::{
        Progress, RunError,
        fetch::{Fetched, until},
    },
    zivver::ZivverClient,
};

/// Wait before the first repetition if the lists lag; it doubles each time.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The result of reading again.
struct Seen {
    accounts: Accounts,
    changes: Vec<SentChange>,
    /// Whether the lists had the maximum time that they may lag.
    is_final: bool,
}

impl Running<'_> {
    /// R36: reads both lists again and reports the difference from the plan. Changes that this run held are neither
    /// differences nor without effect.
    pub(super) async fn verify(
        &mut self,
        fetched: &mut Fetched,
        plan: &Plan,
        record: &PlanRecord,
        applied: &Applied,
        zivver: &ZivverClient,
    ) -> Result<(), RunError> {
        self.engine.progress().show(Progress::Verifying);
        let seen = self.look(fetched, plan, applied, zivver).await?;
        let is_final = seen.is_final;
        fetched.world.accounts = seen.accounts;
        fetched.matching = match_accounts(&fetched.world, &fetched.policy, &self.memory);
        let mut wishes = self.wishes();
        wishes.written.extend(record.written().cloned());
        wishes.approved.extend(plan.used_approvals.iter().cloned());
        wishes.held = Some(plan.marks.clone());
        wishes.reviewed.clone_from(&plan.reviewed);
        let mut again = self.plan(fetched, &wishes);
        again.keep_origins(plan);
        let unanswered =
            record.approved_where(|at| applied.actions[at].outcome == Some(ActionOutcome::Failed));
        if is_final {
            // R16: a create that was refused may have been made by a killed run, which no list showed until now.
            self.update_memory(fetched, plan, |ledger, memory| {
                ledger.record_ties(memory);
            });
            self.give_back_not_made(&again, &unanswered).await?;
        }
        // A change without an answer may still arrive, so only the next run can determine that it was not made.
        let made = unanswered.into_iter();
        let made = made.filter(|it| !again.used_approvals.contains(*it));
        if let Some(in_hand) = &mut self.memory.in_hand {
            in_hand.made.extend(made.cloned());
        }
        let shows_all = seen.changes.iter().all(|change| change.is_kept);
        let in_sync = again.approved.is_empty() && !again.is_waiting && shows_all;
        self.report.converged = Some(in_sync);
        self.report.target = TargetFacts::of(&again, &fetched.world);
        self.report.differences = again.approved.actions().to_vec();
        // The changes of this run may have ended some held changes, so the codes are those that the next run would
        // have.
        self.report.held.clone_from(&again.held);
        self.offer_approvals(&again).await?;
        // If an account can no longer be parsed, it is unknown whether the changes of this run took effect. What the
        // next run will find is found now, such as an account that was emptied and has an address of another mailbox.
        let known = |note: &Note| {
            let mut known = plan.notes.iter();
            known.any(|it| it.code == note.code && it.address == note.address)
        };
        let new = again.notes.into_iter().filter(|note| {
            note.code == Code::AccountRejected
                || is_final && self.undo.is_none() && note.code.needs_attention() && !known(note)
        });
        self.report.skipped.extend(new);
        if !is_final {
            let planned = keys(again.approved.deltas(), &fetched.world.accounts);
            let missing = not_shown_yet(&seen.changes, &planned);
            self.report.skipped.extend(missing);
        }
        self.report.skipped.sort_unstable();
        self.report.skipped.dedup();
        if self.undo.is_none() && is_final {
            self.remember_effects(fetched, plan, &seen.changes);
        }
        Ok(())
    }

    /// Reads until Zivver shows all sent changes, or until the lists had the maximum time that they may lag.
    async fn look(
        &self,
        fetched: &Fetched,
        plan: &Plan,
        applied: &Applied,
        zivver: &ZivverClient,
    ) -> Result<Seen, RunError> {
        let before = &fetched.world.accounts;
        let min_ratio = fetched.policy.min_target_ratio;
        let seen = SeenAccounts::of(before);
        let last = Instant::now() + Duration::from_secs(LIST_LAG_MAX_S.unsigned_abs());
        let mut wait = LOOK_AGAIN_AFTER;
        loop {
            let actual = zivver.accounts().await?;
            if let Some(doubt) = seen.doubt(&actual, min_ratio) {
                return Err(doubt.into());
            }
            let accounts = Accounts::new(actual).with_unlisted(before.unlisted().iter());
            let changes = sent_changes(plan, applied, before, &accounts);
            let lags = lags(&changes, plan, applied, before, &accounts);
            let now = Instant::now();
            let next = last.min(now + wait);
            let is_late = self.deadline.is_some_and(|deadline| next > deadline);
            let is_stopped = self.watch.stop.is_requested();
            if !lags || now >= last || is_late || is_stopped {
                return Ok(Seen {
                    accounts,
                    changes,
                    is_final: !lags || now >= last,
                });
            }
            drop(accounts);
            tokio::select! {
                () = until(Some(next)) => {}
                () = self.watch.stop.requested() => {}
            }
            wait *= 2;
        }
    }

    /// R22: remembers changes without effect, so that they are sent again, and reports them until they take effect.
    fn remember_effects(&mut self, fetched: &Fetched, plan: &Plan, changes: &[SentChange]) {
        let outdated: Vec<_> = changes
            .iter()
            .filter_map(|change| plan.ineffective.get(&change.key))
            .collect();
        self.report.skipped.retain(|note| !outdated.contains(&note));
        let notes = self.update_memory(fetched, plan, |ledger, memory| {
            ledger.record_effects(memory, changes)
        });
        self.report.skipped.extend(notes);
        self.report.skipped.sort_unstable();
        self.report.skipped.dedup();
    }
}

fn sent_changes(
    plan: &Plan,
    applied: &Applied,
    before: &Accounts,
    now: &Accounts,
) -> Vec<SentChange> {
    let created: BTreeMap<Target, ScimId> = applied
        .created
        .iter()
        .map(|(mailbox, id)| (Target::New(*mailbox), id.clone()))
        .collect();
    accepted(plan, applied)
        .flat_map(|sent| compare(&sent, before, now, &created))
        .collect()
}

/// What Zivver accepted.
fn accepted<'a>(plan: &'a Plan, applied: &'a Applied) -> impl Iterator<Item = Sent<'a>> {
    let sent = applied.actions.iter().zip(plan.approved.deltas());
    let accepted = sent.filter(|(end, _)| {
        matches!(
            end.outcome,
            Some(ActionOutcome::Applied | ActionOutcome::Partly)
        )
    });
    accepted.map(|(end, delta)| Sent {
        delta,
        asked: &end.asked,
    })
}

/// Whether the lists lag: they show an account as it was before a write, or a change may be missing only because they lag:
/// there was no answer to its write, or the answer contains it.
fn lags(
    changes: &[SentChange],
    plan: &Plan,
    applied: &Applied,
    before: &Accounts,
    now: &Accounts,
) -> bool {
    let is_older = accepted(plan, applied).any(|sent| {
        let answer = match sent.delta.target {
            Target::Existing(ix) => applied.answers.get(before.get(ix).id()),
            Target::New(_) => None,
        };
        is_outdated(&sent, answer.map(Account::view), before, now)
    });
    if is_older {
        return true;
    }
    if changes.iter().all(|change| change.is_kept) {
        return false;
    }
    let answered = now.with(applied.answers.values().map(Account::view));
    let by_answers = sent_changes(plan, applied, before, &answered);
    let denied = |change: &&SentChange| {
        let answer = by_answers.iter().find(|other| other.key == change.key);
        applied.answers.contains_key(&change.account) && answer.is_some_and(|it| !it.is_kept)
    };
    let mut missing = changes.iter().filter(|change| !change.is_kept);
    !missing.all(|change| denied(&change))
}
