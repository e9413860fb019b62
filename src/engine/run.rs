//! One run from its start to its report.

mod approvals;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use approvals::is_certainly_not_made;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::{Instrument, field::Empty};
use verify::LIST_LAG_MAX;

use super::{
    Engine, Progress, RunError,
    apply::{Bounds, STARTED_MIN, apply},
    fetch::{FRESH_ANSWER_AGE_MAX, FetchEnd, Fetched, Fetcher, KeptAnswer, kept_answers, until},
    history::{LOOKED_AT, Past},
    journal::{Deeds, Entries, Entry, Journal, PlanRecord, read_what_is_left},
    progress::span,
    reviewed::PlanSource,
};
use crate::{
    domain::{
        address::SmtpAddress,
        approval::Approval,
        delta::{Activity, Target},
        directory::MailboxIx,
        execute::{Applied, Finish},
        guard::Class,
        health::{self, epoch},
        hold::Base,
        ids::ScimId,
        matching::match_accounts,
        memory::{Baseline, Counted, Created, InHand, Memory, Spent, WrittenKey},
        mode::{Mode, Trigger},
        named::{names, unknown_addresses},
        offenders::{Occasion, Tried, remember},
        plan::{Plan, Wishes, next_mapping, plan, plan_undo},
        report::{
            ActionOutcome, ActionReport, Counts, Report, Requests, RunOutcome, RunState,
            ServiceRequests, SourceFacts, TargetFacts,
        },
        reviewed::Reviewed,
        scope::RunScope,
        seen::SeenAccounts,
        since::since,
        suspended::still_suspended,
        undo::Undo,
        world::World,
    },
    http::RequestCounts,
    state::{
        Keep, Phase, Revision, RunId, State, StateError, StateLocation, Stored,
        lock::{Acquired, LockGuard, Owner},
    },
    zivver::{MayWrite, Rate, ZivverClient},
};

/// How long a change is remembered that counts for 24 hours (R26): a clock that was ahead for a while and was set back must
/// not have made us forget it.
const SPENT_KEPT_S: i64 = 31 * 24 * 60 * 60;

/// How far back a run to compare with is looked for.
const PREVIOUS_MAX: usize = 50;

/// Two slices of a time budget of 9 minutes end before the host's timeout of 10 (R34).
const SLICES: u32 = 20;

/// How far beyond its budget an invocation may get, which leaves the host's 10 minutes some seconds to save in (R34). Small
/// budgets have as much: each invocation must get somewhere.
const OVERTIME_MAX: Duration = Duration::from_secs(50);

/// When a caller who waits has to be answered: the front end gives up after 230 s (`docs/specs/functions-host.md`, "7.1
/// 230 s").
const ANSWER_WITHIN_MAX: Duration = Duration::from_secs(220);

/// How long reading may continue after the deadline of a waiting caller: requests in flight have ended by then.
const READING_ENDS_WITHIN: Duration = Duration::from_secs(3);

/// Who starts a run, and for what.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The run to continue; `None` begins a new one.
    pub id: Option<RunId>,
    pub mode: Mode,
    pub trigger: Trigger,
    /// R39; empty for all.
    pub accounts: BTreeSet<SmtpAddress>,
    /// R27
    pub approve: Vec<String>,
    /// R34: when to save and hand on.
    pub time_budget: Option<Duration>,
    /// A caller waits for the answer: at the deadline this invocation hands over, even if it made no progress.
    pub punctual: bool,
    /// How long to wait for a lock that another run has.
    pub patience: Duration,
    /// R37: the run to take back; `None` for a reconciliation.
    pub undo: Option<RunId>,
    /// R28: the reviewed plan that the run is restricted to.
    pub plan: Option<PlanSource>,
    /// The host tries a failed tick again: of the failure an earlier try has told.
    pub has_failed_before: bool,
}

impl RunRequest {
    pub fn new(mode: Mode, trigger: Trigger) -> Self {
        Self {
            id: None,
            mode,
            trigger,
            accounts: BTreeSet::new(),
            approve: Vec::new(),
            time_budget: None,
            punctual: false,
            patience: Duration::ZERO,
            undo: None,
            plan: None,
            has_failed_before: false,
        }
    }
}

/// A run in the history, and all that is needed to continue it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    pub id: String,
    pub mode: Mode,
    pub trigger: Trigger,
    pub state: RunState,
    pub outcome: RunOutcome,
    pub started: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    pub counts: Counts,
    pub remaining: u32,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub accounts: BTreeSet<SmtpAddress>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approve: Vec<String>,
    /// R37: the run that it takes back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub undo: Option<RunId>,
    /// R28: the preview whose changes, and no others, it makes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub applies: Option<RunId>,
    /// R28: its process ended in the middle.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub was_killed: bool,
}

impl RunSummary {
    /// What health judges. Of an apply whose process ended, [`Engine::history`] writes an error.
    pub fn facts(&self) -> health::Run<'_> {
        health::Run {
            id: &self.id,
            mode: self.mode,
            state: self.state,
            outcome: self.outcome,
            started: epoch(&self.started),
            ended: self.ended.as_deref().and_then(epoch),
            error: self.error.as_deref(),
            is_for_all: self.accounts.is_empty() && self.undo.is_none() && !self.counts.leave_out(),
            was_killed: self.was_killed || self.is_writing() && self.error.is_some(),
        }
    }

    /// Whether it is an apply that works, or did until its process ended.
    pub fn is_writing(&self) -> bool {
        self.state == RunState::Running && self.mode == Mode::Apply
    }

    pub fn of(report: &Report, request: &RunRequest) -> Self {
        Self {
            id: report.id.clone(),
            mode: report.mode,
            trigger: report.trigger,
            state: report.state,
            outcome: report.outcome,
            started: report.started.clone(),
            ended: report.ended.clone(),
            error: report.error.clone(),
            counts: report.counts.clone(),
            remaining: report.remaining,
            accounts: request.accounts.clone(),
            approve: request.approve.clone(),
            undo: request.undo.clone(),
            applies: request.plan.as_ref().map(|plan| plan.id().clone()),
            was_killed: false,
        }
    }
}

/// What a run carries through its phases.
struct Running<'a> {
    engine: &'a Engine,
    state: &'a State,
    id: RunId,
    request: &'a RunRequest,
    started: Instant,
    deadline: Option<Instant>,
    /// When this invocation ends, whatever it is doing.
    ends_by: Option<Instant>,
    doing: Doing,
    is_out_of_time: bool,
    /// What the journal of this invocation was given.
    journaled: Entries,
    /// The report tells what came of it.
    is_recorded: bool,
    /// What reading and what writing have at least, however late they begin (R34).
    slice: Duration,
    memory: Memory,
    revision: Option<Revision>,
    report: Report,
    approvals: BTreeMap<String, Approval>,
    /// R37: where the deltas come from, if not from the two sides.
    undo: Option<Undo>,
    /// R28: what the run is restricted to.
    reviewed: Option<Reviewed>,
    /// How an earlier invocation left this run: still running if it was killed (R34, R35).
    recorded: Option<RunState>,
    /// The plans of earlier invocations of this run (R34), until it is known what Zivver shows of them.
    earlier_plans: Vec<(PlanRecord, Vec<Entry>)>,
    /// What they did.
    earlier: Deeds,
    /// R26: the state in which the run began, if an earlier invocation counted it.
    began: Option<Base>,
    /// R39: the names that the report is about; empty for all.
    named: BTreeSet<String>,
    /// R39: the accounts that plans of this run write to.
    written: BTreeSet<ScimId>,
}

/// What a run is at, where its time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Reading,
    Writing,
    /// Memory and approvals take in what is about to be written, or was.
    Saving,
    Verifying,
}

impl Doing {
    fn when_time_is_up(self) -> &'static str {
        match self {
            Self::Reading => {
                "time was up while reading: Exchange or Zivver is slow, or makes us wait; this invocation wrote nothing, and the next run reads again (R34)"
            }
            Self::Writing | Self::Saving => {
                "time was up while writing: Zivver is slow, or makes us wait; the next apply takes up the work once the lock has run out (R34, R35)"
            }
            Self::Verifying => {
                "time was up while verifying: all was written, and the next run compares again (R34, R36)"
            }
        }
    }
}

/// What decides about the deltas of a run beside the two sides.
struct Origin {
    undo: Option<Undo>,
    reviewed: Option<Reviewed>,
}

/// How a run began.
enum Begun<'a> {
    Now(Box<Running<'a>>),
    /// Another invocation brought it to its end.
    EndedBefore(Box<Report>),
}

impl Engine {
    /// Runs the line once. An error is a run that did not begin; a run that failed has a report that says so.
    pub async fn run(&self, request: &RunRequest) -> Result<Report, RunError> {
        // The future is large, so it is boxed.
        let result = Box::pin(self.run_once(request)).await;
        if let Some(otlp) = &self.shared.links.otlp {
            let report = result.as_ref().ok();
            let setting = self.settings().perform_sync;
            otlp.export(
                report.map(|report| (report, health::Run::from(report).is_success(setting))),
            )
            .await;
        }
        result
    }

    async fn run_once(&self, request: &RunRequest) -> Result<Report, RunError> {
        self.settings().perform_sync.permit(request.mode)?;
        let started = Instant::now();
        self.check_approvals(request).await?;
        let state = self.state().await?;
        let id = match &request.id {
            Some(id) => id.clone(),
            None => self.new_run_id().await?,
        };
        tracing::Span::current().record("run", id.as_str());
        let undo = match &request.undo {
            Some(run) => Some(super::undo::load(state, run).await?),
            None => None,
        };
        let reviewed = match &request.plan {
            Some(plan) => Some(plan.load(state).await?),
            None => None,
        };
        let lock = match request.mode {
            Mode::Preview => None,
            Mode::Apply => Some(self.lock(state, &id, request.patience).await?),
        };
        let origin = Origin { undo, reviewed };
        let begun = self.begun(request, state, id, origin, started, lock.as_ref());
        match begun.await {
            Ok(Begun::Now(running)) => running.traced(lock).await,
            Ok(Begun::EndedBefore(report)) => {
                release(lock).await;
                Ok(*report)
            }
            Err(error) => {
                release(lock).await;
                Err(error)
            }
        }
    }

    /// The run at its start. An error is a run that did not begin.
    async fn begun<'a>(
        &'a self,
        request: &'a RunRequest,
        state: &'a State,
        id: RunId,
        origin: Origin,
        started: Instant,
        lock: Option<&LockGuard>,
    ) -> Result<Begun<'a>, RunError> {
        let Origin { undo, reviewed } = origin;
        // Messages come at least once, so another invocation may have brought the run to its end while this one waited for
        // the lock: its report must not be overwritten by that of a second, idle run.
        let recorded = self.recorded_state(request).await?;
        if recorded == Some(RunState::Ended) {
            return Ok(Begun::EndedBefore(Box::new(self.report(&id).await?)));
        }
        // Again under the lock: no other run can use them now.
        let approvals = self.check_approvals(request).await?;
        let stored: Option<Stored<Memory>> = state.memory().await?;
        let (mut memory, revision) = stored.map_or_else(
            || (Memory::default(), None),
            |stored| (stored.value, Some(stored.revision)),
        );
        memory.correct_times(self.now().as_second());
        let mut report = Report::begin(
            id.to_string(),
            request.mode,
            request.trigger,
            second(self.now()).to_string(),
        );
        if undo.as_ref().is_some_and(|undo| undo.deeds.is_empty()) {
            report
                .warnings
                .push("that run changed nothing, so there is nothing to undo (R37)".into());
        }
        report.lock_owner = lock.map(|_| owner_since(&id, &report.started));
        report.undoes = request.undo.as_ref().map(ToString::to_string);
        report.applies = request.plan.as_ref().map(|plan| plan.id().to_string());
        report.accounts = request.accounts.iter().cloned().collect();
        report.warnings.extend_from_slice(&self.settings().warnings);
        let sees_no_cloud = matches!(self.settings().state, StateLocation::Folder(_))
            && request.trigger == Trigger::CommandLine;
        if sees_no_cloud && request.mode == Mode::Apply {
            report.warnings.push(
                "state is kept on this machine only, so the lock of a function app is not seen (R29)".into(),
            );
        }
        let mut running = Running {
            engine: self,
            state,
            id,
            request,
            started,
            deadline: request.time_budget.map(|budget| started + budget),
            ends_by: ends_by(request, started),
            doing: Doing::Reading,
            is_out_of_time: false,
            journaled: Entries::default(),
            is_recorded: false,
            slice: slice(request),
            memory,
            revision,
            report,
            approvals,
            undo,
            reviewed,
            recorded,
            earlier_plans: Vec::new(),
            earlier: Deeds::default(),
            began: None,
            named: BTreeSet::new(),
            written: BTreeSet::new(),
        };
        if let Some(id) = &request.id {
            running.earlier_plans = running.done_by(id).await?;
        }
        running.save_summary(Phase::Open).await?;
        Ok(Begun::Now(Box::new(running)))
    }

    async fn recorded_state(&self, request: &RunRequest) -> Result<Option<RunState>, RunError> {
        let Some(id) = &request.id else {
            return Ok(None);
        };
        Ok(self.summary(id).await?.map(|summary| summary.state))
    }

    async fn lock(
        &self,
        state: &State,
        id: &RunId,
        patience: Duration,
    ) -> Result<LockGuard, RunError> {
        match state
            .lock(self.shared.lease)
            .acquire_within(&owner(id), patience)
            .await?
        {
            Acquired::Mine(guard) => Ok(guard),
            Acquired::Held(holder) => Err(RunError::LockHeld {
                holder: holder.to_string(),
            }),
        }
    }
}

impl Running<'_> {
    /// Everything that a run does under its lock, as a trace.
    async fn traced(mut self: Box<Self>, lock: Option<LockGuard>) -> Result<Report, RunError> {
        let span = tracing::info_span!(
            target: "trace",
            "run",
            cloud_sync.run.id = self.id.as_str(),
            cloud_sync.run.mode = ?self.request.mode,
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

    /// [`Self::work`], ended where the host would end the whole process, and nothing would be recorded.
    async fn work_in_time(&mut self, lock: Option<&LockGuard>) -> Result<(), RunError> {
        let Some(ends_by) = self.ends_by else {
            return self.work(lock).await;
        };
        let worked = tokio::time::timeout_at(ends_by, self.work(lock)).await;
        worked.unwrap_or_else(|_| {
            self.is_out_of_time = true;
            Err(RunError::Stopped(self.doing.when_time_is_up().into()))
        })
    }

    /// The line. Errors leave through the report.
    async fn work(&mut self, lock: Option<&LockGuard>) -> Result<(), RunError> {
        let unreadable = self.engine.end_abandoned_runs().await?;
        self.report.warnings.extend(unreadable);
        let exchange = self.engine.exchange().await?;
        let zivver = self.engine.zivver().await?;
        let zivver = std::sync::Arc::new(zivver.for_run(may_write(lock)));
        let before = zivver.counters().read();
        let result = self.phases(&exchange, &zivver, lock).await;
        self.report.requests = Requests {
            exchange: requests(&exchange.counters().read(), &RequestCounts::default()),
            zivver: requests(&zivver.counters().read(), &before),
        };
        result
    }

    async fn phases(
        &mut self,
        exchange: &crate::exchange::ExchangeClient,
        zivver: &std::sync::Arc<ZivverClient>,
        lock: Option<&LockGuard>,
    ) -> Result<(), RunError> {
        let policy = self.engine.policy();
        let reader = Fetcher {
            exchange,
            zivver,
            policy: &policy,
            deadline: self.deadline,
            slice: self.slice,
            clock: self.engine.shared.clock,
            only: None,
            progress: self.engine.progress(),
        };
        let kept = self.kept().await?;
        let fetch = reader.fetch(&self.memory, kept).instrument(span("fetch"));
        let Some(fetched) = self.unless_over(Box::pin(fetch)).await else {
            self.report.state = RunState::Continues;
            return Ok(());
        };
        let mut fetched = match fetched? {
            FetchEnd::Complete(fetched) => *fetched,
            FetchEnd::CutOff { read, of, answers } => {
                self.keep(answers).await?;
                self.report.state = RunState::Continues;
                self.report.remaining = u32::try_from(of - read).unwrap_or(u32::MAX);
                return Ok(());
            }
        };
        self.know_named(&fetched)?;
        let read = Instant::now();
        self.report.timing.reading_ms = millis(read - self.started);
        self.engine.progress().show(Progress::Planning);
        self.report.warnings.extend(fetched.token_warning.take());
        self.resume_interrupted(&mut fetched, lock).await?;
        self.find_names(&fetched);
        let wishes = self.wishes();
        let mut plan = span("plan").in_scope(|| self.plan(&fetched, &wishes));
        // An undo rests on a journal. A fresh answer may release what was held, on another old one. Each is read again once:
        // where reading takes longer than answers are good for, there is always an old one.
        let mut refreshed = BTreeSet::new();
        while lock.is_some() && self.undo.is_none() {
            let mut stale = stale(&plan, &fetched, self.engine.now().as_second());
            stale.retain(|ix| refreshed.insert(*ix));
            if stale.is_empty() {
                break;
            }
            let refresh = reader.refresh(&self.memory, &mut fetched, &stale);
            let refresh = refresh.instrument(span("refresh"));
            let Some(refreshed) = self.unless_over(refresh).await else {
                self.report.state = RunState::Continues;
                return Ok(());
            };
            refreshed?;
            plan = self.plan(&fetched, &wishes);
        }
        self.report.timing.planning_ms = millis(read.elapsed());
        self.describe(&fetched, &plan);
        self.refuse_outdated_approvals(&plan);
        self.offer_approvals(&plan).await?;
        let Some(lock) = lock else {
            return Ok(());
        };
        if self.is_over() {
            let answers = kept_answers(&fetched.world.directory, &fetched.permissions);
            self.keep(answers).await?;
            self.report.state = RunState::Continues;
            return Ok(());
        }
        // A run that has taken the lock over stores plans of its own (R29).
        lock.permit().check()?;
        self.carry_out(&mut fetched, &plan, zivver).await
    }

    /// R39: a run for named accounts knows all of them, or does nothing.
    fn know_named(&self, fetched: &Fetched) -> Result<(), RunError> {
        let unknown = unknown_addresses(&self.request.accounts, &fetched.world);
        // An earlier invocation may have given an account another address.
        let has_begun = matches!(self.recorded, Some(RunState::Running | RunState::Continues));
        if !unknown.is_empty() && !has_begun {
            return Err(RunError::UnknownAccounts(unknown));
        }
        Ok(())
    }

    /// R39: the names of the accounts that the run is for, those included that it has written to.
    fn find_names(&mut self, fetched: &Fetched) {
        if self.request.accounts.is_empty() {
            return;
        }
        let accounts = &fetched.world.accounts;
        let written = self.written.iter().filter_map(|id| accounts.with_id(id));
        let written = written.map(|ix| accounts.get(ix).address());
        let names = |address| names(address, &fetched.world, &fetched.matching);
        let addresses = self.request.accounts.iter().chain(written);
        self.named = addresses.flat_map(names).collect();
    }

    /// R35: what a killed run did counts, and whom it created is known.
    async fn resume_interrupted(
        &mut self,
        fetched: &mut Fetched,
        lock: Option<&LockGuard>,
    ) -> Result<(), RunError> {
        let has_resumed = match lock {
            Some(lock) => {
                lock.permit().check()?;
                self.recover(&fetched.world).await?
            }
            // R28: a preview counts the same, and leaves it to the next run that writes.
            None => self.count_interrupted(&fetched.world).await?,
        };
        if has_resumed {
            fetched.matching = match_accounts(&fetched.world, &fetched.policy, &self.memory);
        }
        Ok(())
    }

    /// Whether nothing more may begin: the process is to end, or a caller waits for the answer.
    fn is_over(&self) -> bool {
        let is_late = |deadline| Instant::now() >= deadline;
        self.engine.shared.links.stop.is_requested()
            || self.request.punctual && self.deadline.is_some_and(is_late)
    }

    /// What `reading` comes to, or `None` where this invocation is over before.
    async fn unless_over<T>(&self, reading: impl Future<Output = T>) -> Option<T> {
        let answer_by = self
            .deadline
            .filter(|_| self.request.punctual)
            .map(|deadline| deadline + READING_ENDS_WITHIN);
        tokio::select! {
            biased; // What has ended counts.
            read = reading => Some(read),
            () = until(answer_by) => None,
            () = self.engine.shared.links.stop.requested() => None,
        }
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
            written: self.written.clone(),
            approved: self.approved(),
            now: self.engine.now().as_second(),
            stops_first: self.memory.cut_off,
            began: self.began,
            held: None,
            reviewed: self.reviewed.clone(),
        }
    }

    /// R34: what an earlier invocation of this run read.
    async fn kept(&self) -> Result<Vec<KeptAnswer>, RunError> {
        if self.request.id.is_none() {
            return Ok(Vec::new());
        }
        let parts: Vec<Vec<KeptAnswer>> = self.state.checkpoint(&self.id).read().await?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// R34: keeps what was read in this invocation; what was kept before is kept already.
    async fn keep(&self, answers: Vec<KeptAnswer>) -> Result<(), RunError> {
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
            // Another process continues the same preview and has kept what it read, which serves as well.
            Err(StateError::Conflict { .. }) => Ok(()),
            kept => Ok(kept?),
        }
    }

    /// R35: plans and runs that did not come to their end. Gives whether there was a plan.
    async fn recover(&mut self, world: &World) -> Result<bool, RunError> {
        self.give_back_unanswered(world).await?;
        let has_resumed = self.count_interrupted(world).await?;
        if has_resumed {
            self.save_memory().await?;
        }
        if self.request.id.is_some() {
            let plans = std::mem::take(&mut self.earlier_plans);
            self.earlier = Deeds::of(&plans, Some(world));
            let earlier = &self.earlier;
            self.reviewed = self.reviewed.take().map(|it| it.made_by(earlier.made()));
            self.began = plans.first().and_then(|(record, _)| record.began);
            let records = plans.iter().map(|(record, _)| record);
            self.written = records.flat_map(PlanRecord::written).cloned().collect();
            if self.recorded == Some(RunState::Running) {
                let codes = self.request.approve.clone();
                self.give_back_of_killed(&codes, &plans, world).await?;
            }
        }
        for Past { id, phase, run } in self.engine.past(LOOKED_AT).await?.runs {
            // One that ended while it wrote is open too.
            let is_left_behind = phase == Phase::Open
                && run.mode == Mode::Apply
                && matches!(run.state, RunState::Running | RunState::Ended);
            if !is_left_behind || id == self.id {
                continue;
            }
            let plans = self.done_by(&id).await?;
            self.give_back_of_killed(&run.approve, &plans, world)
                .await?;
            let interrupted = if run.state == RunState::Ended {
                run
            } else {
                self.interrupted(run)
            };
            self.state
                .save_summary(&id, Phase::Ended, &interrupted)
                .await?;
            self.report.resumed_from.push(id.to_string());
        }
        Ok(has_resumed)
    }

    fn interrupted(&self, run: RunSummary) -> RunSummary {
        RunSummary {
            state: RunState::Ended,
            outcome: RunOutcome::Failed,
            was_killed: true,
            ended: Some(second(self.engine.now()).to_string()),
            error: Some(match &run.undo {
                Some(run) => format!(
                    "the process ended in the middle; undo run {run} again for the rest (R37)"
                ),
                None => format!(
                    "the process ended in the middle; run {} took up its work (R35)",
                    self.id
                ),
            }),
            ..run
        }
    }

    async fn done_by(&mut self, run: &RunId) -> Result<Vec<(PlanRecord, Vec<Entry>)>, RunError> {
        let plans = self.state.plans::<PlanRecord>(run);
        let (plans, damage) = read_what_is_left(&plans, &self.state.journal(run)).await?;
        self.report.warnings.extend(damage.map(|damage| {
            format!(
                "what run {run} did is not known, so the limits may count less than it did (R26): {damage}"
            )
        }));
        Ok(plans)
    }

    /// R26, R35: what a plan did whose run was cut off, stopped or killed counts in the limits, and whom it created belongs to
    /// whom it was created for; also where its journal does not tell: then Zivver does. Gives whether there was such a plan.
    async fn count_interrupted(&mut self, world: &World) -> Result<bool, RunError> {
        let Some(in_hand) = self.memory.in_hand.take() else {
            return Ok(false);
        };
        let Some(run) = RunId::parse(&in_hand.run) else {
            return Ok(false);
        };
        let plans = self.done_by(&run).await?;
        // It did not come to its end: its suspends, which come last, go first now (R25).
        self.memory.cut_off |= in_hand.ended.is_none();
        // Without the record nothing was sent.
        if let Some((record, entries)) = plans.get(in_hand.plan as usize) {
            self.count_plan(in_hand, record, entries, world);
            self.learn_accounts(record, entries, world);
        }
        Ok(true)
    }

    /// Counts what a plan did that is not counted yet. What the lists do not show in time is looked for once more by the
    /// next run, unless a plan of its own takes the place of this one.
    fn count_plan(
        &mut self,
        in_hand: InHand,
        record: &PlanRecord,
        entries: &[Entry],
        world: &World,
    ) {
        let now = self.engine.now().as_second();
        let at = in_hand.ended.map_or(now, |ended| ended.min(now));
        let counts = record.spent(entries, world);
        let before = in_hand.counted.as_ref();
        let counted = |class| before.and_then(|it| it.counts.get(class)).copied();
        let new = counts.iter().filter_map(|(class, count)| {
            let count = count.saturating_sub(counted(class).unwrap_or_default());
            let class = *class;
            (count > 0).then_some(Spent { at, class, count })
        });
        self.memory.spent.extend(new);
        let since = before.map_or(now, |it| it.since);
        if record.is_open(entries, world) && now - since < seconds(LIST_LAG_MAX) {
            self.memory.in_hand = Some(InHand {
                counted: Some(Counted { since, counts }),
                ..in_hand
            });
        }
    }

    /// Whom a plan created, which approved ties it made (R16, R17), and which keys it wrote.
    fn learn_accounts(&mut self, record: &PlanRecord, entries: &[Entry], world: &World) {
        let outcomes = record.outcomes(entries, Some(world));
        for (at, planned) in record.actions.iter().enumerate() {
            let entry = entries.iter().find(|entry| entry.action as usize == at);
            let created = planned.created_in(entry, world);
            let is_done = entry.is_some_and(|entry| entry.outcome.is_done());
            let updated = planned.action.id.as_ref().filter(|_| is_done);
            if let (Some(key), Some(id)) = (planned.key, created.as_ref().or(updated)) {
                self.memory.keys.insert(id.clone(), key);
            }
            if let (Some(object_id), Some(id)) = (&planned.object_id, created) {
                self.remember_created(&id, &planned.action.address);
                self.memory.mapping.entry(*object_id).or_insert(id);
            }
            if let (Some(object_id), Some(id)) = (planned.object_id, &planned.action.id)
                && outcomes[at].is_done()
                && planned.guarded.contains_key(&Class::Identity)
            {
                self.memory.tie(object_id, id);
            }
        }
    }

    fn remember_created(&mut self, id: &ScimId, address: &SmtpAddress) {
        let created = Created {
            address: address.clone(),
            at: self.engine.now().as_second(),
        };
        self.memory.created.insert(id.clone(), created);
    }

    /// The report as far as reading and planning tell.
    fn describe(&mut self, fetched: &Fetched, plan: &Plan) {
        let world = &fetched.world;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        self.report.source = SourceFacts {
            tenant_id: world.tenant_id.clone(),
            mailboxes: plan.seen.mailboxes,
            in_scope: plan.seen.in_scope,
            rejected: number(world.directory.rejections.len()),
        };
        self.report.target = TargetFacts {
            users: number(world.accounts.actual().users.len()),
            functional: number(world.accounts.actual().groups.len()),
            active: plan.base.active,
            outside: plan.accounts_outside,
            rejected: number(world.accounts.rejected().len()),
        };
        self.report.actions = plan
            .approved
            .actions()
            .iter()
            .map(|action| ActionReport {
                action: action.clone(),
                outcome: ActionOutcome::Planned,
                problems: Vec::new(),
            })
            .collect();
        self.report.held.clone_from(&plan.held);
        self.report.skipped.clone_from(&plan.notes);
        self.report.filter_counts.clone_from(&plan.filter_counts);
        self.report.suspended = still_suspended(&mut self.memory, &world.accounts);
        let writes = plan
            .approved
            .steps()
            .iter()
            .filter(|step| step.is_expected())
            .count();
        self.report.planned_writes = number(writes);
        self.report.estimate_ms = estimate(self.engine.settings().zivver_rate, writes);
        if self.engine.settings().sso_account_key == domain::world::SsoAccountKey::Omit {
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
            stop: self.engine.shared.links.stop.clone(),
            failures_in_a_row_max: self.engine.settings().max_consecutive_failures,
        }
    }

    /// What reading and planning tell.
    fn remember_seen(&mut self, fetched: &Fetched, plan: &Plan) {
        let mapping = std::mem::take(&mut self.memory.mapping);
        self.memory.mapping = next_mapping(&fetched.world, &fetched.matching, mapping);
        self.memory.seen_accounts = Some(SeenAccounts::of(&fetched.world.accounts));
        // R37: also what is only about to be undone must not come again, if this run is killed.
        self.memory.undone.clone_from(&plan.undone);
        // Suspends that were to come first may be among what is left for later (R25).
        self.memory.cut_off &= plan.leaves_out;
        if self.request.accounts.is_empty() && self.undo.is_none() {
            self.memory.held_of.clone_from(&plan.exceeded);
        }
        self.memory.give_back(&plan.untaken);
    }

    async fn carry_out(
        &mut self,
        fetched: &mut Fetched,
        plan: &Plan,
        zivver: &std::sync::Arc<ZivverClient>,
    ) -> Result<(), RunError> {
        self.remember_seen(fetched, plan);
        if plan.approved.is_empty() {
            self.report.converged = Some(!plan.is_waiting);
            self.forget_kept(plan);
            self.settle_baseline(plan);
            return self.save_memory().await;
        }
        let record = PlanRecord::of(plan, &fetched.world, fetched.policy.sso_account_key);
        self.doing = Doing::Saving;
        let number = self.write_ahead(&record).await?;
        let mut journal =
            Journal::start(self.state.journal(&self.id), number, zivver.gate().clone());
        self.journaled = journal.entries();
        self.doing = Doing::Writing;
        let began = Instant::now();
        let applied = apply(
            &plan.approved,
            &fetched.world,
            zivver,
            &mut journal,
            self.bounds(),
            self.engine.progress(),
        )
        .instrument(span("apply"))
        .await;
        let journaled = journal.finish().await;
        self.doing = Doing::Saving;
        self.report.timing.applying_ms = millis(began.elapsed());
        self.record_outcomes(&applied, plan, &record, fetched);
        self.remember_refusals(&applied, plan, &fetched.world);
        let codes = self.request.approve.clone();
        let outcome = |at: usize| {
            applied.actions[at]
                .outcome
                .unwrap_or(ActionOutcome::Remaining)
        };
        let not_made = record.approved_where(|at| is_certainly_not_made(outcome(at)));
        let given_back = self.give_back(&codes, &not_made).await;
        let finish = applied.finish.clone().or_stopped(journaled.err());
        self.memory.cut_off |= finish.is_premature();
        match finish {
            Finish::Complete => {}
            Finish::CutOff => {
                given_back?;
                self.save_memory().await?;
                let answers = kept_answers(&fetched.world.directory, &fetched.permissions);
                self.keep(answers).await?;
                self.report.state = RunState::Continues;
                return Ok(());
            }
            Finish::Stopped(cause) => {
                // The cause of the stop may prevent this as well, and is the error to report. The next run counts by the
                // journal.
                if let Err(error) = given_back.and(self.save_memory().await) {
                    tracing::warn!(%error, "the memory of a run that stopped is not saved");
                }
                return Err(RunError::Stopped(cause));
            }
        }
        given_back?;
        // What was done is remembered even if it cannot be verified.
        self.save_memory().await?;
        self.doing = Doing::Verifying;
        let began = Instant::now();
        self.verify(fetched, plan, &record, &applied, zivver)
            .instrument(span("verify"))
            .await?;
        self.report.timing.verifying_ms = millis(began.elapsed());
        self.report.suspended = still_suspended(&mut self.memory, &fetched.world.accounts);
        self.settle_baseline(plan);
        self.save_memory().await
    }

    /// Who owns what, what is about to happen, and which approvals are spent on it (R27, R35). Gives the number of the
    /// plan in its run.
    async fn write_ahead(&mut self, record: &PlanRecord) -> Result<u32, RunError> {
        let mut plans = self.state.plans(&self.id);
        let number = u32::try_from(plans.read().await?.len()).unwrap_or(u32::MAX);
        self.memory.in_hand = Some(InHand::new(self.id.to_string(), number));
        self.save_memory().await?;
        plans.append(record).await?;
        self.use_approvals(record).await?;
        Ok(number)
    }

    /// What came of the plan, into report and memory.
    fn record_outcomes(
        &mut self,
        applied: &Applied,
        plan: &Plan,
        record: &PlanRecord,
        fetched: &Fetched,
    ) {
        let mut counts: BTreeMap<Class, u32> = BTreeMap::new();
        let mut untold = false;
        for (at, end) in applied.actions.iter().enumerate() {
            let outcome = end.outcome.unwrap_or(ActionOutcome::Remaining);
            let report = &mut self.report.actions[at];
            report.outcome = outcome;
            report.problems.clone_from(&end.problems);
            if outcome.is_done() {
                for (class, count) in &record.actions[at].guarded {
                    *counts.entry(*class).or_default() += count;
                }
            }
            // Whether an action that is half done or without an answer was made, only Zivver shows: the next run counts it.
            untold |= end.is_unclear();
            if let Some(mailbox) = plan.approved.deltas()[at].mailbox
                && let Some(id) = applied.created.get(&mailbox)
                && let Some(object_id) = &fetched.world.directory.mailbox(mailbox).object_id
            {
                self.memory.mapping.insert(*object_id, id.clone());
                self.remember_created(id, &record.actions[at].action.address);
            }
            self.approved_tie(at, plan, fetched, outcome);
            self.remember_key(at, plan, fetched, applied);
            self.remember_suspend(at, plan, fetched, outcome);
        }
        if let Some(seen) = &mut self.memory.seen_accounts {
            seen.extend(applied.created.values());
        }
        self.report.skipped.extend_from_slice(&applied.notes);
        self.report.skipped.sort_unstable();
        self.is_recorded = true;
        let now = self.engine.now().as_second();
        self.memory
            .spent
            .retain(|spent| spent.at > now - SPENT_KEPT_S);
        if untold {
            self.memory
                .in_hand
                .iter_mut()
                .for_each(|plan| plan.ended = Some(now));
        } else {
            let counts = counts.into_iter();
            self.memory.spent.extend(counts.map(|(class, count)| Spent {
                at: now,
                class,
                count,
            }));
            self.memory.in_hand = None;
        }
        let remaining = applied
            .actions
            .iter()
            .filter(|end| end.outcome == Some(ActionOutcome::Remaining));
        self.report.remaining = u32::try_from(remaining.count()).unwrap_or(u32::MAX);
    }

    /// R33
    fn remember_refusals(&mut self, applied: &Applied, plan: &Plan, world: &World) {
        let occasion = Occasion {
            world,
            run: self.id.as_str(),
            now: self.engine.now().as_second(),
            waiting: &plan.waiting,
        };
        for (end, delta) in applied.actions.iter().zip(plan.approved.deltas()) {
            let tried = Tried {
                delta,
                proposed: plan.proposed.get(&delta.target).unwrap_or(delta),
                created: delta.mailbox.and_then(|ix| applied.created.get(&ix)),
                done: matches!(
                    end.outcome,
                    Some(ActionOutcome::Applied | ActionOutcome::Partly)
                ),
                refusals: &end.refusals,
            };
            remember(&mut self.memory.offenders, &tried, &occasion);
        }
    }

    /// R16, R17: an approved identity change is a tie from now on.
    fn approved_tie(&mut self, at: usize, plan: &Plan, fetched: &Fetched, outcome: ActionOutcome) {
        let delta = &plan.approved.deltas()[at];
        let (Target::Existing(ix), Some(mailbox)) = (delta.target, delta.mailbox) else {
            return;
        };
        let done = matches!(outcome, ActionOutcome::Applied | ActionOutcome::Partly);
        if done
            && delta.waits_for_identity()
            && let Some(object_id) = &fetched.world.directory.mailbox(mailbox).object_id
        {
            self.memory
                .tie(*object_id, fetched.world.accounts.get(ix).id());
        }
    }

    /// R23: a key that was written once is not held again.
    fn remember_key(&mut self, at: usize, plan: &Plan, fetched: &Fetched, applied: &Applied) {
        let id = match plan.approved.deltas()[at].target {
            Target::Existing(ix) => Some(fetched.world.accounts.get(ix).id()),
            Target::New(mailbox) => applied.created.get(&mailbox),
        };
        if let (Some(id), Some(key)) = (id, &applied.actions[at].asked.key) {
            let key = WrittenKey::of(fetched.policy.sso_account_key, key);
            self.memory.keys.insert(id.clone(), key);
        }
    }

    fn remember_suspend(
        &mut self,
        at: usize,
        plan: &Plan,
        fetched: &Fetched,
        outcome: ActionOutcome,
    ) {
        let delta = &plan.approved.deltas()[at];
        if let (Target::Existing(ix), Some(Activity::Suspend(_))) = (delta.target, delta.activity)
            && matches!(outcome, ActionOutcome::Applied | ActionOutcome::Partly)
        {
            let id = fetched.world.accounts.get(ix).id().clone();
            let now = self.engine.now().as_second();
            self.memory.suspended.insert(id, now);
        }
    }

    /// R2: only an approval, or a run in which nothing is held, moves the baseline down.
    fn settle_baseline(&mut self, plan: &Plan) {
        if !self.request.accounts.is_empty() || self.undo.is_some() {
            return;
        }
        let doubts = |class| plan.doubt.about(class).is_some();
        // Removals may be held with a sign-in key (R23).
        let stays_held = plan.held.iter().any(|held| {
            doubts(held.class) || held.class == Class::SignInKey && doubts(Class::DelegateRemoval)
        });
        // An approval of something else says nothing about a source or a scope that is in doubt.
        let free = plan.held.is_empty() && !plan.leaves_out
            || self
                .approvals
                .values()
                .filter(|known| !stays_held || doubts(known.class))
                .any(|known| self.has_used(known, plan));
        let seen = plan.seen.clone();
        self.memory.baseline = Some(match self.memory.baseline.take() {
            Some(before) if !free => Baseline {
                mailboxes: before.mailboxes.max(seen.mailboxes),
                in_scope: before.in_scope.max(seen.in_scope),
                target_filter: before.target_filter.clone().or(seen.target_filter),
                ..before
            },
            Some(_) | None => seen,
        });
    }

    /// R27: in this invocation, or in an earlier one of this run.
    fn has_used(&self, approval: &Approval, plan: &Plan) -> bool {
        let earlier = self.request.id.is_some() && !approval.used.is_empty();
        earlier
            || approval
                .changes
                .iter()
                .any(|change| plan.used_approvals.contains(&change.fingerprint))
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

    /// Report, history and lock, however the run ended.
    async fn end(
        mut self: Box<Self>,
        result: Result<(), RunError>,
        lock: Option<LockGuard>,
    ) -> Result<Report, RunError> {
        let result = result.and_then(|()| self.unless_interrupted());
        let continues = result.is_ok() && self.report.state == RunState::Continues;
        let is_in_flight = self.is_out_of_time && self.doing == Doing::Writing;
        let is_unsettled = self.is_out_of_time && self.doing == Doing::Saving || is_in_flight;
        if is_unsettled && !self.is_recorded {
            self.apply_journaled_outcomes();
        }
        self.report.duration_ms = millis(self.started.elapsed());
        let mut earlier = std::mem::take(&mut self.earlier);
        if !self.earlier_plans.is_empty() {
            earlier = Deeds::of(&self.earlier_plans, None);
        }
        let actions = std::mem::take(&mut self.report.actions);
        self.report.actions = earlier.followed_by(actions);
        if !self.named.is_empty() {
            self.report.narrow(&self.named);
        }
        self.report.count();
        let phase = if continues {
            Phase::Open
        } else {
            self.report.state = RunState::Ended;
            self.report.ended = Some(second(self.engine.now()).to_string());
            match result {
                Ok(()) => {
                    self.report.conclude();
                    self.compare().await;
                }
                Err(error) => {
                    self.report.outcome = RunOutcome::Failed;
                    self.report.error = Some(error.to_string());
                    self.report.is_final = error.is_final();
                    if let RunError::UnknownAccounts(unknown) = error {
                        self.report.unknown_accounts = unknown;
                    }
                }
            }
            // The next apply looks at what became of it (R35).
            if is_unsettled {
                Phase::Open
            } else {
                Phase::Ended
            }
        };
        let saved = self.save_end(phase).instrument(span("save")).await;
        if is_in_flight {
            // Requests on their way may still arrive: no other run may write until the lock expires (R29).
            drop(lock);
        } else {
            release(lock).await;
        }
        saved?;
        self.engine.announce(&self.report, self.request).await;
        self.engine.progress().show(Progress::Ended);
        Ok(self.report)
    }

    /// No invocation continues a run of the command line: an interrupted one ends.
    fn unless_interrupted(&self) -> Result<(), RunError> {
        let is_interrupted = self.report.state == RunState::Continues
            && self.request.trigger == Trigger::CommandLine
            && self.engine.shared.links.stop.is_requested();
        if !is_interrupted {
            return Ok(());
        }
        Err(RunError::Stopped(match self.report.remaining {
            0 => "interrupted before anything was written; start it again".into(),
            left => format!("interrupted, {left} changes left; the next apply makes them (R35)"),
        }))
    }

    /// The outcomes that were known when the time was up.
    fn apply_journaled_outcomes(&mut self) {
        for action in &mut self.report.actions {
            action.outcome = ActionOutcome::Remaining;
        }
        for entry in self.journaled.take() {
            if let Some(action) = self.report.actions.get_mut(entry.action as usize) {
                action.outcome = entry.outcome;
                action.problems = entry.problems;
            }
        }
        let is_left = |action: &&ActionReport| action.outcome == ActionOutcome::Remaining;
        let left = self.report.actions.iter().filter(is_left).count();
        self.report.remaining = u32::try_from(left).unwrap_or(u32::MAX);
    }

    /// A comparison that cannot be made is none: the run itself went well.
    async fn compare(&mut self) {
        let is_for_all = self.request.accounts.is_empty() && self.undo.is_none();
        if !is_for_all || self.report.counts.leave_out() {
            return;
        }
        match self.previous().await {
            Ok(Some(before)) => self.report.since = Some(since(&before, &self.report)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the previous run cannot be compared with"),
        }
    }

    /// The newest other run that was for everybody and did not fail.
    async fn previous(&self) -> Result<Option<Report>, RunError> {
        let past = self.engine.past(PREVIOUS_MAX).await?.runs;
        let mut others = past.into_iter().filter(|past| past.id != self.id);
        match others.find(|past| past.run.facts().saw_everybody()) {
            Some(before) => Ok(self.state.report(&before.id).await?),
            None => Ok(None),
        }
    }

    async fn save_end(&self, phase: Phase) -> Result<(), RunError> {
        self.state.save_report(&self.id, &self.report).await?;
        self.save_summary(phase).await?;
        if phase == Phase::Ended
            && let Err(error) = self.tidy_up().await
        {
            tracing::warn!(%error, "what is old is not deleted; the next run tries again");
        }
        Ok(())
    }

    async fn tidy_up(&self) -> Result<(), StateError> {
        self.state.clear_checkpoint(&self.id).await?;
        let settings = self.engine.settings();
        let keep = Keep {
            runs: usize::try_from(settings.keep_runs).unwrap_or(usize::MAX),
            applied: settings.keep_applied,
        };
        // R28: what tells since when no run has succeeded.
        let setting = settings.perform_sync;
        let is_success = |run: &RunSummary| run.facts().is_success(setting);
        let now = self.engine.now();
        self.state.prune(keep, is_success, now).await.map(drop)
    }
}

/// R34: what reading and what writing have at least. A caller who waits gives them nothing beyond the deadline.
fn slice(request: &RunRequest) -> Duration {
    match request.time_budget {
        Some(budget) if !request.punctual => budget / SLICES,
        Some(_) | None => Duration::ZERO,
    }
}

fn ends_by(request: &RunRequest, started: Instant) -> Option<Instant> {
    let last = request.time_budget? + OVERTIME_MAX;
    Some(
        started
            + if request.punctual {
                last.min(ANSWER_WITHIN_MAX)
            } else {
                last
            },
    )
}

/// R29: of this run alone, whatever else writes in this process. A preview never may (R28).
fn may_write(lock: Option<&LockGuard>) -> MayWrite {
    lock.map(LockGuard::permit)
        .map_or_else(MayWrite::never, |permit| {
            MayWrite::new(move || permit.may_write())
        })
}

/// So that the next run need not wait until the lock runs out.
async fn release(lock: Option<LockGuard>) {
    if let Some(lock) = lock
        && let Err(error) = lock.release().await
    {
        tracing::warn!("the lock is not released and will run out by itself: {error}");
    }
}

/// R29, for the report.
fn owner_since(run: &RunId, started: &str) -> String {
    format!("{} since {started}", owner(run))
}

/// This process, on behalf of a run.
fn owner(run: &RunId) -> Owner {
    Owner::of(run.clone(), crate::settings::environment)
}

/// R34: mailboxes whose delegates would change on an answer that is too old.
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

/// How long so many calls take: the first budget goes at once, more go at the budget's pace. Whole seconds.
pub(super) fn estimate(rate: Rate, writes: usize) -> u64 {
    match rate {
        Rate::Unlimited => 0,
        Rate::Budget { calls, .. } if writes <= calls as usize => 0,
        Rate::Budget { calls, window } => {
            let writes = u128::try_from(writes).unwrap_or(u128::MAX);
            let whole = writes.saturating_mul(window.as_millis()) / u128::from(calls.max(1));
            u64::try_from(whole.div_ceil(1000) * 1000).unwrap_or(u64::MAX)
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Times of a report are whole seconds.
pub(super) fn second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_beyond_the_first_budget_take_their_time() {
        let rate = Rate::Budget {
            calls: 50,
            window: Duration::from_secs(10),
        };
        for (writes, ms) in [(0, 0), (1, 0), (50, 0), (51, 11_000), (412, 83_000)] {
            assert_eq!(estimate(rate, writes), ms, "{writes}");
        }
        assert_eq!(estimate(Rate::Unlimited, 412), 0);
    }
}
