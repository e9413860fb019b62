//! Takes over what earlier invocations and other runs left (R34, R35).

use std::collections::{BTreeMap, BTreeSet};

use super::{Running, second};
use crate::{
    domain::{
        hold::Base,
        ids::ScimId,
        ledger::record_interrupted,
        mode::{Depth, Mode},
        record::{Batch, Deeds, Entry, PlanRecord, accounts_before},
        report::{Report, RunOutcome, RunState},
        reviewed::Reviewed,
        world::World,
    },
    engine::{
        RunError, RunSummary,
        fetch::{Fetched, Fetcher, KeptAnswer, kept_answers},
        history::{LOOKED_AT, Past, undo_again},
        journal::read_what_is_left,
        undo,
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
    /// R35: the runs whose plan or journal is damaged, and how.
    damaged: BTreeMap<RunId, String>,
}

impl Earlier {
    pub(super) fn recall(
        &mut self,
        recorded: Option<RunSummary>,
        plans: Vec<(PlanRecord, Vec<Entry>)>,
    ) {
        self.deeds = Deeds::of(&plans, None);
        self.recorded = recorded;
        self.plans = plans;
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
        self.find_created(reader, &mut fetched.world).await?;
        if let Some(undone) = &self.request.undo {
            let past = self.engine.past(LOOKED_AT).await?.runs;
            let plans = self.settled(undone, &past, &fetched.world, lock).await?;
            self.undo = Some(undo::of(undone, plans));
        }
        let has_resumed = match lock {
            Some(lock) => {
                lock.permit().check()?;
                self.recover(&fetched.world, lock).await?
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

    /// R16: looks up what the plan of a killed run may have created for mailboxes that have other addresses by now.
    /// Otherwise they would get second accounts, and the next owners of the addresses their first ones.
    async fn find_created(
        &mut self,
        reader: &Fetcher<'_>,
        world: &mut World,
    ) -> Result<(), RunError> {
        let in_hand = self.memory.in_hand.as_ref();
        let Some((run, plan)) = in_hand.and_then(|it| Some((RunId::parse(&it.run)?, it.plan)))
        else {
            return Ok(());
        };
        let plans = self.done_by(&run).await?;
        if let Some((record, entries)) = plans.get(plan as usize) {
            let open = record.open_creates(entries, world);
            reader.look_up(open, world).await;
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
    async fn recover(&mut self, world: &World, lock: &LockGuard) -> Result<bool, RunError> {
        self.give_back_interrupted(world).await?;
        let has_resumed = self.count_interrupted(world).await?;
        if has_resumed {
            self.save_memory().await?;
        }
        let past = self.engine.past(LOOKED_AT).await?.runs;
        if !self.earlier.plans.is_empty() {
            let id = self.id.clone();
            self.earlier.plans = self.settled(&id, &past, world, Some(lock)).await?;
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
        for Past { id, phase, run } in &past {
            // A run that ended while it was writing is open too.
            let is_left_behind = *phase == Phase::Open
                && run.mode == Mode::Apply
                && matches!(run.state, RunState::Running | RunState::Ended);
            if !is_left_behind || *id == self.id {
                continue;
            }
            let takes_up = self.takes_up(id, run);
            if run.state == RunState::Running && !takes_up {
                self.report.warnings.push(match &run.undo {
                    Some(undone) => format!("run {id} is an undo: {}", undo_again(id, undone)),
                    None => format!(
                        "run {id} was cut off, and this run does not cover all that it was for: a full run for all accounts \
                         makes the rest (R35)"
                    ),
                });
                continue;
            }
            let plans = self.settled(id, &past, world, Some(lock)).await?;
            let run = run.clone();
            let ended = if run.state == RunState::Ended {
                self.settle_ended(id, run, &plans, world).await?
            } else {
                self.end_killed(id, run, &plans, world).await?
            };
            self.state.save_summary(id, Phase::Ended, &ended).await?;
            // R34: a stopped run is continued by none.
            if takes_up && ended.outcome != RunOutcome::Stopped {
                self.report.resumed_from.push(id.to_string());
            }
        }
        Ok(has_resumed)
    }

    /// R35: what a run did. Where its journal has no outcome, and later runs have written, their plans show it: what later
    /// runs made is not its work. With a lock, its journal gets these outcomes.
    async fn settled(
        &mut self,
        id: &RunId,
        past: &[Past],
        world: &World,
        lock: Option<&LockGuard>,
    ) -> Result<Vec<(PlanRecord, Vec<Entry>)>, RunError> {
        let mut plans = self.done_by(id).await?;
        let later = past.iter().take_while(|it| it.id != *id);
        let later = later.filter(|it| it.id != self.id && it.run.may_have_written());
        let later: Vec<&RunId> = later.map(|it| &it.id).collect();
        let is_complete = plans
            .iter()
            .all(|(record, entries)| record.is_told(entries));
        if is_complete || later.is_empty() {
            return Ok(plans);
        }
        let mut done = Vec::new();
        for id in later.into_iter().rev() {
            done.extend(self.done_by(id).await?);
        }
        let accounts = accounts_before(&done, &world.accounts);
        for (plan, (record, entries)) in plans.iter_mut().enumerate() {
            let shown = record.shown_by(entries, &accounts);
            if shown.is_empty() {
                continue;
            }
            entries.extend_from_slice(&shown);
            if lock.is_some() {
                let plan = u32::try_from(plan).unwrap_or(u32::MAX);
                let batch = Batch {
                    plan,
                    entries: shown,
                };
                self.state.journal(id).append(&batch).await?;
            }
        }
        Ok(plans)
    }

    /// R35: whether this run makes what a killed run has left. The rest of an undo is made only by the same undo (R37).
    fn takes_up(&self, id: &RunId, run: &RunSummary) -> bool {
        let request = self.request;
        if request.undo.as_ref() == Some(id) {
            return true;
        }
        if run.undo.is_some() {
            return request.undo == run.undo;
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
        if plans.is_empty() && !self.earlier.damaged.contains_key(id) {
            return Ok(run);
        }
        let report = self.state.report::<Report>(id).await?;
        let mut report = report.unwrap_or_else(|| run.outline());
        report.record_plans(plans, Some(world));
        self.tell_damage(id, &mut report);
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
        let did = match &self.request.undo {
            Some(undone) if undone == id => "undid it (R37)".to_owned(),
            Some(undone) => format!("undid run {undone} again (R37)"),
            None => "continued its work (R35)".to_owned(),
        };
        let error = format!(
            "the process ended before the run did; run {} {did}",
            self.id
        );
        let mut report = run.outline();
        report.state = RunState::Ended;
        report.outcome = RunOutcome::Failed;
        report.ended = Some(second(self.engine.now()).to_string());
        report.error = Some(error);
        report.record_plans(plans, Some(world));
        self.tell_damage(id, &mut report);
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

    fn tell_damage(&self, id: &RunId, report: &mut Report) {
        if let Some(damage) = self.earlier.damaged.get(id) {
            report.lacks_a_record(damage);
        }
    }

    pub(super) async fn done_by(
        &mut self,
        run: &RunId,
    ) -> Result<Vec<(PlanRecord, Vec<Entry>)>, RunError> {
        let plans = self.state.plans::<PlanRecord>(run);
        let (plans, damage) = read_what_is_left(&plans, &self.state.journal(run)).await?;
        let is_told = self.earlier.damaged.contains_key(run);
        if let Some(damage) = damage.filter(|_| !is_told) {
            let damage = damage.to_string();
            self.report.warnings.push(format!(
                "what run {run} did is not known, so the limits may count less than it did (R26): {damage}"
            ));
            if *run == self.id {
                self.report.lacks_a_record(&damage);
            }
            self.earlier.damaged.insert(run.clone(), damage);
        }
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
        // A summary that cannot be read is a warning of the list of runs.
        let is_missing = matches!(self.engine.summary(&run).await, Ok(None));
        if !plans.is_empty() && is_missing {
            self.report.is_incomplete = true;
            self.report.warnings.push(format!(
                "run {run} is in no list and has no report, since its summary is missing, though it may have written (R35)"
            ));
        }
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
