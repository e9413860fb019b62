//! One run from its start to its report.

mod approvals;
mod beside;
mod earlier;
mod end;
mod estimate;
mod origins;
mod request;
mod snapshot;
mod start;
mod verify;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub use approvals::Decision;
use approvals::is_certainly_not_made;
use earlier::Earlier;
pub(super) use estimate::estimate;
use jiff::Timestamp;
pub use request::{RunRequest, RunSummary};
pub(super) use start::owner;
use tokio::time::Instant;
use tracing::{Instrument, field::Empty};
use watch::Watch;

use super::{
    Engine, Progress, RunError,
    apply::{Bounds, STARTED_MIN, apply},
    fetch::{FRESH_ANSWER_AGE_MAX, FetchEnd, Fetched, Fetcher, Permissions, until},
    journal::{Entries, Journal, newest_plan},
    progress::span,
};
use crate::{
    domain::{
        approval::Approval,
        directory::MailboxIx,
        execute::Finish,
        ledger::Ledger,
        memory::{InHand, Memory},
        named::{names, unknown_addresses},
        plan::{Plan, Wishes, plan, plan_undo},
        record::PlanRecord,
        report::{ActionOutcome, Report, Requests, RunOutcome, RunState, ServiceRequests},
        reviewed::Reviewed,
        scope::RunScope,
        suspended::still_suspended,
        undo::Undo,
        world::SsoAccountKey,
    },
    exchange::ExchangeClient,
    http::RequestCounts,
    state::{Phase, Revision, RunId, State, lock::LockGuard},
    zivver::{MayWrite, ZivverClient},
};

/// How long reading may continue after the deadline if a caller waits. Requests in flight at the deadline have ended by
/// then.
const READING_ENDS_WITHIN: Duration = Duration::from_secs(3);

/// The state of one invocation of a run through its stages.
struct Running<'a> {
    engine: &'a Engine,
    state: &'a State,
    id: RunId,
    request: &'a RunRequest,
    started: Instant,
    deadline: Option<Instant>,
    /// When this invocation ends, at whatever stage.
    ends_by: Option<Instant>,
    /// Minimum time for reading and for writing, each, however late they begin (R34).
    slice: Duration,
    stage: Stage,
    watch: Watch,
    /// See [`Showing::read_from`](crate::domain::approval::Showing::read_from).
    read_from: Option<i64>,
    memory: Memory,
    revision: Option<Revision>,
    report: Report,
    approvals: BTreeMap<String, Approval>,
    /// R37: the source of the deltas for an undo; otherwise they come from comparing both sides.
    undo: Option<Undo>,
    /// R28: the changes to which the run is restricted.
    reviewed: Option<Reviewed>,
    earlier: Earlier,
    /// R39: the names to which the report is restricted; empty for all.
    named: BTreeSet<String>,
}

/// The stage of an invocation, which determines how it can end.
#[derive(Debug)]
enum Stage {
    Reading,
    /// The plan is being stored; nothing has been sent.
    Planned,
    /// Requests may be in flight; their outcomes are in the journal.
    Writing(Entries),
    /// The outcomes are in the report and in memory; memory is being stored.
    Written,
    Verifying,
}

impl Stage {
    /// R34
    fn when_time_is_up(&self) -> &'static str {
        match self {
            Self::Reading => {
                "time was up while reading: Exchange or Zivver is slow, or makes us wait; this invocation wrote nothing, and the next run reads again (R34)"
            }
            Self::Planned | Self::Writing(_) | Self::Written => {
                "time was up while writing: Zivver is slow, or makes us wait; the next apply continues the work after the lock has expired (R34, R35)"
            }
            Self::Verifying => {
                "time was up while verifying: all was written, and the next run compares again (R34, R36)"
            }
        }
    }
}

impl Running<'_> {
    /// Runs everything that happens under the lock, in one trace span.
    async fn traced(mut self: Box<Self>, lock: Option<LockGuard>) -> Result<Report, RunError> {
        let span = tracing::info_span!(
            target: "trace",
            "run",
            cloud_sync.run.id = self.id.as_str(),
            cloud_sync.run.mode = ?self.request.mode,
            cloud_sync.run.depth = ?self.request.depth,
            cloud_sync.run.trigger = ?self.request.trigger,
            cloud_sync.run.outcome = Empty,
            cloud_sync.mailboxes = Empty,
            cloud_sync.actions = Empty,
            cloud_sync.held = Empty,
            "error.type" = Empty,
        );
        let work = self.work_in_time(lock.as_ref());
        let result = work.instrument(span.clone()).await;
        let result = self.end(result, lock).instrument(span.clone()).await;
        match &result {
            Ok(report) => {
                span.record(
                    "cloud_sync.run.outcome",
                    tracing::field::debug(report.outcome),
                );
                span.record("cloud_sync.mailboxes", report.source.mailboxes);
                span.record("cloud_sync.actions", report.actions.len());
                span.record("cloud_sync.held", report.counts.held);
                if report.outcome == RunOutcome::Failed {
                    span.record("error.type", "failed");
                }
            }
            Err(_) => drop(span.record("error.type", "not_recorded")),
        }
        result
    }

    /// Runs [`Self::work`] until `ends_by`. After that the host would end the process, and nothing would be recorded.
    async fn work_in_time(&mut self, lock: Option<&LockGuard>) -> Result<(), RunError> {
        let Some(ends_by) = self.ends_by else {
            return self.work(lock).await;
        };
        let worked = tokio::time::timeout_at(ends_by, self.work(lock)).await;
        worked.unwrap_or_else(|_| Err(RunError::TimeUp(self.stage.when_time_is_up())))
    }

    /// Runs all stages. The caller puts an error into the report.
    async fn work(&mut self, lock: Option<&LockGuard>) -> Result<(), RunError> {
        let unreadable = self.engine.end_abandoned_runs().await?;
        self.report.warnings.extend(unreadable);
        let exchange = self.engine.exchange().await?;
        let zivver = self.engine.zivver().await?;
        let zivver = Arc::new(zivver.for_run(may_write(lock)));
        let before = zivver.counters().read();
        let result = self.stages(&exchange, &zivver, lock).await;
        self.report.requests = Requests {
            exchange: requests(&exchange.counters().read(), &RequestCounts::default()),
            zivver: requests(&zivver.counters().read(), &before),
        };
        result
    }

    async fn stages(
        &mut self,
        exchange: &ExchangeClient,
        zivver: &Arc<ZivverClient>,
        lock: Option<&LockGuard>,
    ) -> Result<(), RunError> {
        let present = self.engine.policy();
        let policy = self.policy()?;
        let reader = Fetcher {
            exchange,
            zivver,
            policy: policy.as_ref().unwrap_or(&present),
            present: policy.as_ref().map(|_| &present),
            deadline: self.deadline,
            slice: self.slice,
            clock: self.engine.shared.clock,
            permissions: Permissions::of(self.request.depth),
            progress: self.engine.progress(),
        };
        let Some(mut fetched) = self.read(&reader).await? else {
            self.hand_over();
            return Ok(());
        };
        let read = Instant::now();
        self.report.timing.reading_ms = millis(read - self.started);
        self.engine.progress().show(Progress::Planning);
        self.resume_interrupted(&reader, &mut fetched, lock).await?;
        self.find_names(&fetched);
        let Some(mut plan) = self
            .plan_on_fresh_answers(&reader, &mut fetched, lock)
            .await?
        else {
            self.hand_over();
            return Ok(());
        };
        self.report.timing.planning_ms = millis(read.elapsed());
        self.state_origins(&mut plan, &fetched).await;
        self.describe(&fetched, &plan);
        if self.report.is_hypothetical() {
            return self.compare_with_present(&reader, fetched, &plan).await;
        }
        self.refuse_outdated_approvals(&plan);
        self.offer_approvals(&plan).await?;
        let Some(lock) = lock else {
            self.keep_snapshot(fetched, plan).await;
            return Ok(());
        };
        if self.is_over() {
            self.keep_answers(&fetched).await?;
            self.hand_over();
            return Ok(());
        }
        // If another run has taken over the lock, it stores its own plans (R29).
        lock.permit().check()?;
        self.carry_out(&mut fetched, &plan, zivver).await?;
        self.keep_snapshot(fetched, plan).await;
        Ok(())
    }

    /// R34: leaves the rest to the next invocation.
    fn hand_over(&mut self) {
        self.report.state = RunState::Continues;
    }

    /// Reads both sides; `None` if this invocation ends before (R34).
    async fn read(&mut self, reader: &Fetcher<'_>) -> Result<Option<Fetched>, RunError> {
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
    fn find_names(&mut self, fetched: &Fetched) {
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
    fn is_over(&self) -> bool {
        let is_late = |deadline| Instant::now() >= deadline;
        self.watch.stop.is_requested()
            || self.request.punctual && self.deadline.is_some_and(is_late)
    }

    /// The result of `reading`; `None` if this invocation must end first.
    async fn unless_over<T>(&self, reading: impl Future<Output = T>) -> Option<T> {
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
    async fn plan_on_fresh_answers(
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

    fn plan(&self, fetched: &Fetched, wishes: &Wishes) -> Plan {
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

    fn wishes(&self) -> Wishes {
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

    /// Adds the results of reading and planning to the report.
    fn describe(&mut self, fetched: &Fetched, plan: &Plan) {
        let settings = self.engine.settings();
        self.report.describe(plan, &fetched.world);
        self.report.suspended = still_suspended(&mut self.memory, &fetched.world.accounts);
        self.report.estimate_ms = estimate(settings.zivver_rate, self.report.planned_writes);
        if fetched.policy.sso_account_key == SsoAccountKey::Omit {
            self.report.warnings.push(
                "SSO_ACCOUNT_KEY is omit: an update of aliases or delegates may erase the SSO account key (R23)".into(),
            );
        }
    }

    fn bounds(&self) -> Bounds {
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

    async fn carry_out(
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
        let mut journal =
            Journal::start(self.state.journal(&self.id), number, zivver.gate().clone());
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
    fn update_memory<T>(
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
    fn is_for_all(&self) -> bool {
        self.request.accounts.is_empty() && self.undo.is_none() && self.request.settings.is_empty()
    }

    /// Updates and saves memory at the end of a complete run.
    async fn settle(&mut self, fetched: &Fetched, plan: &Plan) -> Result<(), RunError> {
        let approved = self.used_classes(plan);
        self.update_memory(fetched, plan, |ledger, memory| {
            ledger.settle_baseline(memory, &approved);
        });
        self.save_memory().await
    }

    /// Stores memory, the plan, and the use of approvals before the first write (R27, R35). Returns the number of the
    /// plan within its run.
    async fn write_ahead(&mut self, record: &PlanRecord) -> Result<u32, RunError> {
        let plans = self.state.plans(&self.id);
        let number = newest_plan(&plans, &self.state.journal(&self.id)).await?;
        self.memory.in_hand = Some(InHand::new(self.id.to_string(), number));
        self.save_memory().await?;
        plans.after(number).append(record).await?;
        self.use_approvals(record).await?;
        Ok(number)
    }

    async fn save_memory(&mut self) -> Result<(), RunError> {
        let revision = self
            .state
            .save_memory(&self.memory, self.revision.as_ref())
            .await?;
        self.revision = Some(revision);
        Ok(())
    }

    async fn save_summary(&self, phase: Phase) -> Result<(), RunError> {
        let summary = RunSummary::of(&self.report, self.request);
        Ok(self.state.save_summary(&self.id, phase, &summary).await?)
    }
}

/// R29: the permission of this run to write, independent of other runs in this process. A preview never has it (R28).
fn may_write(lock: Option<&LockGuard>) -> MayWrite {
    lock.map(LockGuard::permit)
        .map_or_else(MayWrite::never, |permit| {
            MayWrite::new(move || permit.may_write())
        })
}

/// Releases the lock, so that the next run need not wait until it expires.
async fn release(lock: Option<LockGuard>) {
    if let Some(lock) = lock
        && let Err(error) = lock.release().await
    {
        tracing::warn!("the lock is not released and will expire: {error}");
    }
}

/// R34: mailboxes with a planned change of delegates that is based on an answer that is too old.
fn stale(plan: &Plan, fetched: &Fetched, now: i64) -> BTreeSet<MailboxIx> {
    let is_old = |ix: &MailboxIx| {
        fetched
            .permissions
            .at(*ix)
            .is_some_and(|at| now - at > seconds(FRESH_ANSWER_AGE_MAX))
    };
    let deltas = plan.approved.deltas().iter();
    deltas
        .filter(|delta| delta.touches_delegates())
        .filter_map(|delta| delta.mailbox)
        .filter(is_old)
        .collect()
}

fn requests(now: &RequestCounts, before: &RequestCounts) -> ServiceRequests {
    let kinds = now.by_kind.iter().map(|(kind, count)| {
        (
            kind.clone(),
            count - before.by_kind.get(kind).copied().unwrap_or_default(),
        )
    });
    ServiceRequests {
        total: now.total - before.total,
        by_kind: kinds.filter(|(_, count)| *count > 0).collect(),
        retries: now.retries - before.retries,
        throttled: now.throttled - before.throttled,
        bytes_received: now.bytes_received - before.bytes_received,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Reports contain times in whole seconds.
pub(super) fn second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
