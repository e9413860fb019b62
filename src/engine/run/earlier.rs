//! Takes over what earlier invocations and other runs left (R34, R35).

use std::collections::BTreeSet;

use super::{Running, second};
use crate::{
    domain::{
        hold::Base,
        ids::ScimId,
        ledger::record_interrupted,
        mode::{Depth, Mode},
        record::{Deeds, Entry, PlanRecord},
        report::{Report, RunOutcome, RunState},
        reviewed::Reviewed,
        world::World,
    },
    engine::{
        RunError, RunSummary,
        fetch::{Fetched, Fetcher, KeptAnswer, kept_answers},
        history::{LOOKED_AT, Past},
        journal::read_what_is_left,
    },
    state::{Phase, RunId, StateError, lock::LockGuard},
};

/// The earlier invocations of this run (R34).
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// The summary that they saved: still running if the last one was killed (R35).
    recorded: Option<RunSummary>,
    plans: Vec<(PlanRecord, Vec<Entry>)>,
    /// Their actions, with outcomes from the journal and, after Zivver was read, from its accounts.
    pub(super) deeds: Deeds,
}

impl Earlier {
    pub(super) fn of(recorded: Option<RunSummary>, plans: Vec<(PlanRecord, Vec<Entry>)>) -> Self {
        let deeds = Deeds::of(&plans, None);
        Self {
            recorded,
            plans,
            deeds,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.recorded.as_ref().is_some_and(RunSummary::has_begun)
    }

    /// R28: whether an earlier try of the same tick failed.
    pub(super) fn has_failed(&self) -> bool {
        let has_failed = |it: &RunSummary| it.outcome == RunOutcome::Failed;
        self.recorded.as_ref().is_some_and(has_failed)
    }

    /// R26: the counts at the start of the run, if an earlier invocation recorded them.
    pub(super) fn began(&self) -> Option<Base> {
        self.plans.first().and_then(|(record, _)| record.began)
    }

    /// R39: the accounts to which the run has written.
    pub(super) fn written(&self) -> impl Iterator<Item = &ScimId> {
        self.plans.iter().flat_map(|(record, _)| record.written())
    }
}

impl Running<'_> {
    /// R35: counts what a killed run did, and learns which accounts it created.
    pub(super) async fn resume_interrupted(
        &mut self,
        reader: &Fetcher<'_>,
        fetched: &mut Fetched,
        lock: Option<&LockGuard>,
    ) -> Result<(), RunError> {
        let has_resumed = match lock {
            Some(lock) => {
                lock.permit().check()?;
                self.recover(&fetched.world).await?
            }
            // R28: a preview counts it too, but leaves the record to the next run that writes.
            None => self.count_interrupted(&fetched.world).await?,
        };
        if has_resumed {
            // R19: Exchange was not yet asked about object ids that were only in the journal.
            reader.match_again(&self.memory, fetched).await?;
        }
        Ok(())
    }

    /// R34: what earlier invocations of this run read.
    pub(super) async fn kept(&self) -> Result<Vec<KeptAnswer>, RunError> {
        if self.request.id.is_none() {
            return Ok(Vec::new());
        }
        let parts: Vec<Vec<KeptAnswer>> = self.state.checkpoint(&self.id).read().await?;
        Ok(parts.into_iter().flatten().collect())
    }

    pub(super) async fn keep_answers(&self, fetched: &Fetched) -> Result<(), RunError> {
        self.keep(kept_answers(&fetched.world.directory, &fetched.permissions))
            .await
    }

    /// R34: stores what this invocation read, except what is already stored.
    pub(super) async fn keep(&self, answers: Vec<KeptAnswer>) -> Result<(), RunError> {
        let known: BTreeSet<(String, i64)> = self
            .kept()
            .await?
            .into_iter()
            .map(|kept| (kept.mailbox, kept.at))
            .collect();
        let new: Vec<KeptAnswer> = answers
            .into_iter()
            .filter(|kept| !known.contains(&(kept.mailbox.clone(), kept.at)))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        match self.state.checkpoint(&self.id).append(&new).await {
            // Another process continues the same preview. Its answers are equally good.
            Err(StateError::Conflict { .. }) => Ok(()),
            kept => Ok(kept?),
        }
    }

    /// R35: completes plans and runs that did not reach their end. Returns whether there was such a plan.
    async fn recover(&mut self, world: &World) -> Result<bool, RunError> {
        self.give_back_interrupted(world).await?;
        let has_resumed = self.count_interrupted(world).await?;
        if has_resumed {
            self.save_memory().await?;
        }
        let plans = std::mem::take(&mut self.earlier.plans);
        self.earlier.deeds = Deeds::of(&plans, Some(world));
        // R34, R47: the first plan determines the accounts of the wave.
        if let Some((first, _)) = plans.first().filter(|_| self.request.wave.is_some()) {
            let actions = first.actions.iter().map(|planned| &planned.action);
            let wave = || Reviewed::of_wave(actions);
            self.reviewed = self.reviewed.take().or_else(|| Some(wave()));
        }
        let made = self.earlier.deeds.made();
        self.reviewed = self.reviewed.take().map(|it| it.made_by(made));
        self.earlier.plans = plans;
        for Past { id, phase, run } in self.engine.past(LOOKED_AT).await?.runs {
            // A run that ended while it was writing is open too.
            let is_left_behind = phase == Phase::Open
                && run.mode == Mode::Apply
                && matches!(run.state, RunState::Running | RunState::Ended);
            if !is_left_behind || id == self.id {
                continue;
            }
            let plans = self.done_by(&id).await?;
            let takes_up = self.takes_up(&id, &run);
            let ended = if run.state == RunState::Ended {
                self.settle_ended(&id, run, &plans, world).await?
            } else if takes_up {
                self.end_killed(&id, run, &plans, world).await?
            } else {
                self.report.warnings.push(format!(
                    "run {id} was cut off, and this run does not cover all that it was for: a full run for all accounts makes \
                     the rest (R35)"
                ));
                continue;
            };
            self.state.save_summary(&id, Phase::Ended, &ended).await?;
            if takes_up {
                self.report.resumed_from.push(id.to_string());
            }
        }
        Ok(has_resumed)
    }

    /// R35: whether this run makes what a killed run has left. An undo is not made by another run than an undo (R37).
    fn takes_up(&self, id: &RunId, run: &RunSummary) -> bool {
        let request = self.request;
        if run.undo.is_some() || request.undo.as_ref() == Some(id) {
            return true;
        }
        let is_deep_enough = request.depth == Depth::Full || run.depth == Depth::Quick;
        let covers = request.accounts.is_empty()
            || !run.accounts.is_empty() && run.accounts.is_subset(&request.accounts);
        let is_whole = request.undo.is_none() && request.plan.is_none() && request.wave.is_none();
        is_whole && is_deep_enough && covers
    }

    /// Completes the report of a run that ended while requests were in flight. Returns its summary.
    async fn settle_ended(
        &self,
        id: &RunId,
        run: RunSummary,
        plans: &[(PlanRecord, Vec<Entry>)],
        world: &World,
    ) -> Result<RunSummary, RunError> {
        let Some(mut report) = self.state.report::<Report>(id).await? else {
            return Ok(run);
        };
        if plans.is_empty() {
            return Ok(run);
        }
        report.record_plans(plans, Some(world));
        self.state.save_report(id, &report).await?;
        Ok(RunSummary {
            counts: report.counts,
            remaining: report.remaining,
            ..run
        })
    }

    /// Writes the report that a killed run could not write. Returns its summary.
    async fn end_killed(
        &self,
        id: &RunId,
        run: RunSummary,
        plans: &[(PlanRecord, Vec<Entry>)],
        world: &World,
    ) -> Result<RunSummary, RunError> {
        let error = match &run.undo {
            Some(run) => {
                format!(
                    "the process ended before the run did; undo run {run} again for the rest (R37)"
                )
            }
            None if self.undo.is_some() => {
                format!(
                    "the process ended before the run did; run {} undid it (R37)",
                    self.id
                )
            }
            None => format!(
                "the process ended before the run did; run {} continued its work (R35)",
                self.id
            ),
        };
        let mut report = run.outline();
        report.state = RunState::Ended;
        report.outcome = RunOutcome::Failed;
        report.ended = Some(second(self.engine.now()).to_string());
        report.error = Some(error);
        report.record_plans(plans, Some(world));
        self.state.save_report(id, &report).await?;
        Ok(RunSummary {
            state: report.state,
            outcome: report.outcome,
            was_killed: true,
            ended: report.ended,
            error: report.error,
            counts: report.counts,
            remaining: report.remaining,
            ..run
        })
    }

    pub(super) async fn done_by(
        &mut self,
        run: &RunId,
    ) -> Result<Vec<(PlanRecord, Vec<Entry>)>, RunError> {
        let plans = self.state.plans::<PlanRecord>(run);
        let (plans, damage) = read_what_is_left(&plans, &self.state.journal(run)).await?;
        self.report.warnings.extend(damage.map(|damage| {
            format!(
                "what run {run} did is not known, so the limits may count less than it did (R26): {damage}"
            )
        }));
        Ok(plans)
    }

    /// R26, R35: see [`record_interrupted`]. Returns whether there was such a plan.
    async fn count_interrupted(&mut self, world: &World) -> Result<bool, RunError> {
        let Some(in_hand) = self.memory.in_hand.take() else {
            return Ok(false);
        };
        let Some(run) = RunId::parse(&in_hand.run) else {
            return Ok(false);
        };
        let plans = self.done_by(&run).await?;
        // The plan did not reach its end, so its suspends, which come last, come first in this run (R25).
        self.memory.cut_off |= in_hand.ended.is_none();
        // If the plan was not stored, nothing was sent.
        if let Some((record, entries)) = plans.get(in_hand.plan as usize) {
            let now = self.engine.now().as_second();
            record_interrupted(&mut self.memory, in_hand, record, entries, world, now);
        }
        Ok(true)
    }
}
