//! Carrying out a plan: what is stored before the first write, after the last one, and after the verification (R35).

use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument;

use super::{Running, Stage, approvals::is_certainly_not_made, millis};
use crate::{
    domain::{
        execute::Finish,
        ledger::Ledger,
        memory::{InHand, Memory},
        plan::Plan,
        record::PlanRecord,
        report::ActionOutcome,
        suspended::still_suspended,
    },
    engine::{
        RunError,
        apply::{Bounds, STARTED_MIN, apply},
        fetch::Fetched,
        journal::{Journal, newest_plan},
        progress::span,
    },
    zivver::ZivverClient,
};

impl Running<'_> {
    pub(super) fn bounds(&self) -> Bounds {
        let late = Instant::now() + self.slice;
        Bounds {
            deadline: self.deadline.map(|deadline| deadline.max(late)),
            started_min: if self.request.punctual {
                0
            } else {
                STARTED_MIN
            },
            stop: self.watch.stop.clone(),
            failures_in_a_row_max: self.engine.settings().max_consecutive_failures,
        }
    }

    pub(super) async fn carry_out(
        &mut self,
        fetched: &mut Fetched,
        plan: &Plan,
        zivver: &Arc<ZivverClient>,
    ) -> Result<(), RunError> {
        self.update_memory(fetched, plan, |ledger, memory| {
            ledger.record_plan(memory);
        });
        if plan.approved.is_empty() {
            self.report.converged = Some(!plan.is_waiting);
            self.update_memory(fetched, plan, |ledger, memory| {
                ledger.forget_kept(memory);
            });
            return self.settle(fetched, plan).await;
        }
        let key = fetched.policy.sso_account_key;
        let mut record = PlanRecord::of(plan, &fetched.world, &fetched.matching, &self.memory, key);
        record.started_by.clone_from(&self.request.started_by);
        self.stage = Stage::Planned;
        let number = self.write_ahead(&record).await?;
        let clock = self.engine.shared.clock;
        let parts = self.state.journal(&self.id);
        let mut journal = Journal::start(parts, number, zivver.gate().clone(), clock);
        self.stage = Stage::Writing(journal.entries());
        let began = Instant::now();
        let mut applied = apply(
            &plan.approved,
            &fetched.world,
            zivver,
            &mut journal,
            self.bounds(),
            self.engine.progress(),
        )
        .instrument(span("apply"))
        .await;
        self.end_journal(journal, &record, &fetched.world, &mut applied)
            .await;
        self.report.timing.applying_ms = millis(began.elapsed());
        self.update_memory(fetched, plan, |ledger, memory| {
            ledger.record_outcomes(memory, &record, &applied);
        });
        self.stage = Stage::Written;
        let not_made = record.approved_where(|at| {
            let outcome = applied.actions[at].outcome;
            is_certainly_not_made(outcome.unwrap_or(ActionOutcome::Remaining))
        });
        let given_back = self.give_back(&self.request.approve, &not_made).await;
        match applied.finish.clone() {
            Finish::Complete => {}
            Finish::CutOff => {
                given_back?;
                self.save_memory().await?;
                self.keep_answers(fetched).await?;
                self.hand_over();
                return Ok(());
            }
            Finish::Stopped(cause) => {
                // The same cause may prevent these writes. Report the cause; the next run counts from the journal.
                if let Err(error) = given_back.and(self.save_memory().await) {
                    tracing::warn!(%error, "the memory of a run that stopped is not saved");
                }
                return Err(RunError::Stopped(cause));
            }
        }
        given_back?;
        // Save memory before the verification, which may fail.
        self.save_memory().await?;
        self.stage = Stage::Verifying;
        let began = Instant::now();
        self.verify(fetched, plan, &record, &applied, zivver)
            .instrument(span("verify"))
            .await?;
        self.report.timing.verifying_ms = millis(began.elapsed());
        self.report.suspended = still_suspended(&mut self.memory, &fetched.world.accounts);
        self.settle(fetched, plan).await
    }

    /// Applies `update` to memory.
    pub(super) fn update_memory<T>(
        &mut self,
        fetched: &Fetched,
        plan: &Plan,
        update: impl FnOnce(&Ledger<'_>, &mut Memory) -> T,
    ) -> T {
        let is_for_all = self.is_for_all();
        let ledger = Ledger {
            plan,
            world: &fetched.world,
            policy: &fetched.policy,
            matching: &fetched.matching,
            run: self.id.as_str(),
            now: self.engine.now().as_second(),
            is_for_all,
        };
        update(&ledger, &mut self.memory)
    }

    /// Whether the run reconciles all accounts: it is neither scoped (R39), nor an undo (R37), nor under other settings
    /// (R46).
    pub(super) fn is_for_all(&self) -> bool {
        self.request.accounts.is_empty() && self.undo.is_none() && self.request.settings.is_empty()
    }

    /// Updates and saves memory at the end of a complete run.
    pub(super) async fn settle(&mut self, fetched: &Fetched, plan: &Plan) -> Result<(), RunError> {
        let approved = self.used_classes(plan);
        self.update_memory(fetched, plan, |ledger, memory| {
            ledger.settle_baseline(memory, &approved);
        });
        self.save_memory().await
    }

    /// Stores memory, the plan, and the use of approvals before the first write (R27, R35). Returns the number of the
    /// plan within its run.
    pub(super) async fn write_ahead(&mut self, record: &PlanRecord) -> Result<u32, RunError> {
        let plans = self.state.plans(&self.id);
        let number = newest_plan(&plans, &self.state.journal(&self.id)).await?;
        self.memory.in_hand = Some(InHand::new(self.id.to_string(), number));
        self.save_memory().await?;
        plans.after(number).append(record).await?;
        self.use_approvals(record).await?;
        Ok(number)
    }

    pub(super) async fn save_memory(&mut self) -> Result<(), RunError> {
        let revision = self
            .state
            .save_memory(&self.memory, self.revision.as_ref())
            .await?;
        self.revision = Some(revision);
        Ok(())
    }
}
