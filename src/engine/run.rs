//! One run from its start to its report.

mod approvals;
mod beside;
mod earlier;
mod end;
mod estimate;
mod origins;
mod reading;
mod request;
mod snapshot;
mod start;
mod verify;
mod watch;
mod writing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub use approvals::Decision;
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
    fetch::{FRESH_ANSWER_AGE_MAX, Fetched, Fetcher, Permissions},
    journal::Entries,
};
use crate::{
    domain::{
        approval::Approval,
        directory::MailboxIx,
        memory::Memory,
        plan::Plan,
        report::{Report, Requests, RunOutcome, RunState, ServiceRequests},
        reviewed::Reviewed,
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
        let exchange = self.engine.exchange()?;
        let zivver = self.engine.zivver().await?;
        let zivver = Arc::new(zivver.for_run(may_write(lock)));
        let before = zivver.counters().read();
        let asked = exchange.counters().clone();
        let result = self.stages(exchange, &zivver, lock).await;
        self.report.requests = Requests {
            exchange: requests(&asked.read(), &RequestCounts::default()),
            zivver: requests(&zivver.counters().read(), &before),
        };
        result
    }

    async fn stages(
        &mut self,
        exchange: ExchangeClient,
        zivver: &Arc<ZivverClient>,
        lock: Option<&LockGuard>,
    ) -> Result<(), RunError> {
        let present = self.engine.policy();
        let policy = self.policy()?;
        let reader = Fetcher {
            exchange: &exchange,
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
        self.refuse_outdated_approvals(&plan).await;
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
        // Its idle connections need memory, and nothing else is asked.
        drop(exchange);
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
