//! One run from its start to its report.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Engine, Progress, RunError,
    apply::{Applied, Bounds, apply},
    fetch::{FRESH_ANSWER_AGE_MAX, FetchEnd, Fetched, Fetcher, KeptAnswer, kept_answers},
    journal::{Entry, Journal, PlanRecord, deeds, read},
};
use crate::{
    domain::{
        account::Actual,
        accounts::Accounts,
        address::SmtpAddress,
        delta::Target,
        directory::MailboxIx,
        effect,
        guard::Class,
        hold::HeldChange,
        matching::match_accounts,
        memory::{Baseline, Memory, Spent, WithoutEffect},
        mode::{Mode, Trigger},
        offenders::{Occasion, Tried, remember},
        plan::{Plan, Wishes, next_mapping, plan, plan_undo},
        report::{
            ActionOutcome, ActionReport, Counts, Report, Requests, RunOutcome, RunState,
            ServiceRequests, SourceFacts, TargetFacts,
        },
        scope::RunScope,
        step::When,
        undo::Undo,
        world::World,
    },
    http::RequestCounts,
    state::{
        Phase, Revision, RunId, State, StateLocation, Stored,
        lock::{Acquired, LockGuard, Owner},
    },
    zivver::{Rate, ZivverClient},
};

/// How long a code may be used after it was shown (R27).
const APPROVAL_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Two slices of a time budget of 9 minutes end before the host's timeout of 10 (R34).
const SLICES: u32 = 20;

/// Who starts a run, and for what.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The run to go on with; `None` begins one.
    pub id: Option<RunId>,
    pub mode: Mode,
    pub trigger: Trigger,
    /// R39; empty for all.
    pub accounts: BTreeSet<SmtpAddress>,
    /// R27
    pub approve: Vec<String>,
    /// R34: when to save and hand on.
    pub time_budget: Option<Duration>,
    /// How long to wait for a lock that another run has.
    pub patience: Duration,
    /// R37: the run to take back; `None` for a reconciliation.
    pub undo: Option<RunId>,
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
            patience: Duration::ZERO,
            undo: None,
        }
    }
}

/// A run in the history, and all that is needed to go on with it.
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
}

impl RunSummary {
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
        }
    }
}

/// R27: a held set as a person may approve it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub class: Class,
    /// Epoch seconds.
    pub shown: i64,
    pub changes: Vec<HeldChange>,
    /// Fingerprints of changes that were applied: each once.
    pub used: BTreeSet<String>,
}

/// What a run carries through its phases.
struct Running<'a> {
    engine: &'a Engine,
    state: &'a State,
    id: RunId,
    request: &'a RunRequest,
    started: Instant,
    deadline: Option<Instant>,
    /// What reading and what writing have at least, however late they begin (R34).
    slice: Duration,
    memory: Memory,
    revision: Option<Revision>,
    report: Report,
    approvals: BTreeMap<String, Approval>,
    /// R37: where the deltas come from, if not from the two sides.
    undo: Option<Undo>,
    /// An earlier invocation of this run was killed (R35).
    was_killed: bool,
    /// What earlier invocations of this run did (R34).
    earlier: Vec<ActionReport>,
}

impl Engine {
    /// Runs the line once. An error is a run that did not begin; a run that failed has a report that says so.
    pub async fn run(&self, request: &RunRequest) -> Result<Report, RunError> {
        // A run holds much: it lives on the heap, whoever waits for it.
        Box::pin(self.run_once(request)).await
    }

    async fn run_once(&self, request: &RunRequest) -> Result<Report, RunError> {
        self.settings().perform_sync.permit(request.mode)?;
        let started = Instant::now();
        let approvals = self.check_approvals(request).await?;
        let state = self.state().await?;
        let id = request.id.clone().unwrap_or_else(|| RunId::new(self.now()));
        tracing::Span::current().record("run", id.as_str());
        let undo = match &request.undo {
            Some(run) => Some(super::undo::load(state, run).await?),
            None => None,
        };
        let owner = Owner::of(id.clone(), crate::settings::environment);
        let lock = match request.mode {
            Mode::Preview => None,
            Mode::Apply => Some(self.lock(state, &owner, request.patience).await?),
        };
        let since = second(self.now());
        // Messages come at least once, so another invocation may have brought the run to its end while this one waited for
        // the lock: its report must not be overwritten by that of a second, idle run.
        let recorded = self.recorded_state(request).await?;
        if recorded == Some(RunState::Ended) {
            if let Some(lock) = lock {
                self.set_permit(None);
                lock.release().await?;
            }
            return self.report(&id).await;
        }
        let stored: Option<Stored<Memory>> = state.memory().await?;
        let (memory, revision) = stored.map_or_else(
            || (Memory::default(), None),
            |stored| (stored.value, Some(stored.revision)),
        );
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
        report.lock_owner = lock.as_ref().map(|_| format!("{owner} since {since}"));
        report.undoes = request.undo.as_ref().map(ToString::to_string);
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
            slice: request.time_budget.unwrap_or_default() / SLICES,
            memory,
            revision,
            report,
            approvals,
            undo,
            was_killed: recorded == Some(RunState::Running),
            earlier: Vec::new(),
        };
        running.save_summary(Phase::Open).await?;
        self.bury_previews().await?;
        let result = running.work(lock.as_ref()).await;
        running.end(result, lock).await
    }

    async fn recorded_state(&self, request: &RunRequest) -> Result<Option<RunState>, RunError> {
        let Some(id) = &request.id else {
            return Ok(None);
        };
        Ok(self.summary(id).await?.map(|summary| summary.state))
    }

    /// R27: codes are checked before anything is read, so that a mistyped one costs nothing.
    pub(super) async fn check_approvals(
        &self,
        request: &RunRequest,
    ) -> Result<BTreeMap<String, Approval>, RunError> {
        if request.mode == Mode::Preview && !request.approve.is_empty() {
            return Err(RunError::ApprovalInPreview);
        }
        let now = self.now().as_second();
        let mut approvals = BTreeMap::new();
        for code in &request.approve {
            let approval: Approval = self
                .state()
                .await?
                .approval(code)
                .await?
                .ok_or_else(|| RunError::UnknownApproval(code.clone()))?;
            if now - approval.shown > seconds(APPROVAL_AGE_MAX) {
                return Err(RunError::ExpiredApproval(code.clone()));
            }
            approvals.insert(code.clone(), approval);
        }
        Ok(approvals)
    }

    async fn lock(
        &self,
        state: &State,
        owner: &Owner,
        patience: Duration,
    ) -> Result<LockGuard, RunError> {
        match state
            .lock(self.shared.lease)
            .acquire_within(owner, patience)
            .await?
        {
            Acquired::Mine(guard) => {
                self.set_permit(Some(guard.permit()));
                Ok(guard)
            }
            Acquired::Held(holder) => Err(RunError::LockHeld {
                holder: format!("{}, since {}", holder.owner, holder.since),
            }),
        }
    }
}

impl Running<'_> {
    /// The line. Errors leave through the report.
    async fn work(&mut self, lock: Option<&LockGuard>) -> Result<(), RunError> {
        let exchange = self.engine.exchange().await?;
        let zivver = std::sync::Arc::clone(self.engine.zivver().await?);
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
        let memory = self.memory.clone();
        let reader = Fetcher {
            exchange,
            zivver,
            policy: &policy,
            memory: &memory,
            deadline: self.deadline,
            slice: self.slice,
            now: self.engine.now().as_second(),
            only: None,
            progress: self.engine.progress(),
        };
        let mut fetched = match reader.fetch(self.kept().await?).await? {
            FetchEnd::Complete(fetched) => *fetched,
            FetchEnd::CutOff { read, of, answers } => {
                self.keep(answers).await?;
                self.report.state = RunState::Continues;
                self.report.remaining = u32::try_from(of - read).unwrap_or(u32::MAX);
                return Ok(());
            }
        };
        self.engine.progress().show(Progress::Planning);
        self.report.warnings.extend(fetched.token_warning.take());
        if lock.is_some() {
            self.recover(&fetched.world).await?;
        }
        let wishes = self.wishes();
        let mut plan = self.plan(&fetched, &wishes);
        // An undo rests on a journal. A fresh answer may release what was held, on another old one.
        while lock.is_some() && self.undo.is_none() {
            let stale = stale(&plan, &fetched, self.engine.now().as_second());
            if stale.is_empty() {
                break;
            }
            reader.refresh(&mut fetched, &stale).await?;
            plan = self.plan(&fetched, &wishes);
        }
        self.describe(&fetched, &plan);
        if lock.is_some() {
            self.refuse_changed(&plan);
        }
        self.offer_approvals(&plan).await?;
        if lock.is_none() {
            return Ok(());
        }
        self.carry_out(&mut fetched, &plan, zivver).await
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
        let scope = if self.request.accounts.is_empty() {
            RunScope::All
        } else {
            RunScope::Only(self.request.accounts.clone())
        };
        let approved = self
            .approvals
            .values()
            .flat_map(|approval| {
                approval
                    .changes
                    .iter()
                    .map(|change| &change.fingerprint)
                    .filter(|fingerprint| !approval.used.contains(*fingerprint))
            })
            .cloned()
            .collect();
        Wishes {
            scope,
            approved,
            now: self.engine.now().as_second(),
            stops_first: self.memory.cut_off,
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
        if !new.is_empty() {
            self.state.checkpoint(&self.id).append(&new).await?;
        }
        Ok(())
    }

    /// R35: runs that were killed. What they did counts in the limits, also where their journal does not tell: then
    /// Zivver does.
    async fn recover(&mut self, world: &World) -> Result<(), RunError> {
        if self.request.id.is_some() {
            let id = self.id.clone();
            let plans = self.done_by(&id).await?;
            if self.was_killed {
                self.count_spent(&plans, world).await?;
            }
            self.earlier = deeds(plans);
        }
        for entry in self.state.runs::<RunSummary>(20).await? {
            let Some(summary) = entry.summary? else {
                continue;
            };
            let was_running =
                summary.summary.state == RunState::Running && summary.summary.mode == Mode::Apply;
            if summary.phase == Phase::Ended || !was_running || entry.id == self.id {
                continue;
            }
            let plans = self.done_by(&entry.id).await?;
            self.count_spent(&plans, world).await?;
            let interrupted = RunSummary {
                state: RunState::Ended,
                outcome: RunOutcome::Failed,
                ended: Some(second(self.engine.now()).to_string()),
                error: Some(match &summary.summary.undo {
                    Some(run) => format!(
                        "the process ended in the middle; undo run {run} again for the rest (R37)"
                    ),
                    None => format!(
                        "the process ended in the middle; run {} took up its work (R35)",
                        self.id
                    ),
                }),
                ..summary.summary
            };
            self.state
                .save_summary(&entry.id, Phase::Ended, &interrupted)
                .await?;
            self.report.resumed_from.push(entry.id.to_string());
        }
        Ok(())
    }

    async fn done_by(&self, run: &RunId) -> Result<Vec<(PlanRecord, Vec<Entry>)>, RunError> {
        let plans = self.state.plans::<PlanRecord>(run);
        Ok(read(&plans, &self.state.journal(run)).await?)
    }

    /// R26: kept at once, before anything says that the killed run is dealt with.
    async fn count_spent(
        &mut self,
        plans: &[(PlanRecord, Vec<Entry>)],
        world: &World,
    ) -> Result<(), RunError> {
        let Some((record, entries)) = plans.last() else {
            return Ok(());
        };
        let at = self.engine.now().as_second();
        let counts = spent(record, entries, world);
        self.memory
            .spent
            .extend(
                counts
                    .into_iter()
                    .map(|(class, count)| Spent { at, class, count }),
            );
        self.save_memory().await
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
        };
        for address in &self.request.accounts {
            let accounts = &world.accounts;
            let is_known = !world.directory.with_address(address.as_str()).is_empty()
                || !accounts.with_address(address).is_empty()
                || !accounts.with_alias(address).is_empty();
            if !is_known {
                let text = format!("no mailbox and no account has the address {address} (R39)");
                self.report.warnings.push(text);
            }
        }
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
        let writes = plan
            .approved
            .steps()
            .iter()
            .filter(|step| !matches!(step.when, When::IfRefused(_)))
            .count();
        self.report.planned_writes = number(writes);
        self.report.estimate_ms = estimate(self.engine.settings().zivver_rate, writes);
        if self.engine.settings().sso_account_key == crate::domain::world::SsoAccountKey::Omit {
            self.report.warnings.push(
                "SSO_ACCOUNT_KEY is omit: an update of aliases or delegates may erase the SSO account key (R23)".into(),
            );
        }
    }

    /// R27: what a code stands for and is not planned with the same before and after is refused, one by one.
    fn refuse_changed(&mut self, plan: &Plan) {
        for (code, approval) in &self.approvals {
            let open = approval.changes.iter().filter(|change| {
                !approval.used.contains(&change.fingerprint)
                    && !plan.used_approvals.contains(&change.fingerprint)
            });
            self.report.warnings.extend(open.map(|change| {
                format!(
                    "the code {code} does not let this go: {} {} [{}] -> [{}] is not planned like that any more (R27)",
                    change.what, change.address, change.before, change.after
                )
            }));
        }
    }

    /// R27: every held set can be approved for 24 hours from when it was first shown.
    async fn offer_approvals(&mut self, plan: &Plan) -> Result<(), RunError> {
        let now = self.engine.now().as_second();
        for held in &plan.held {
            let known: Option<Approval> = self.state.approval(&held.code).await?;
            if known.is_some_and(|known| now - known.shown <= seconds(APPROVAL_AGE_MAX)) {
                continue;
            }
            let approval = Approval {
                class: held.class,
                shown: now,
                changes: held.changes.clone(),
                used: BTreeSet::new(),
            };
            self.state.save_approval(&held.code, &approval).await?;
        }
        Ok(())
    }

    async fn carry_out(
        &mut self,
        fetched: &mut Fetched,
        plan: &Plan,
        zivver: &std::sync::Arc<ZivverClient>,
    ) -> Result<(), RunError> {
        self.memory.mapping = next_mapping(&fetched.world, &fetched.matching, &self.memory);
        // R37: also what is only about to be undone must not come again, if this run is killed.
        self.memory.undone.clone_from(&plan.undone);
        self.memory.cut_off = false;
        if plan.approved.is_empty() {
            self.report.converged = Some(true);
            self.settle_baseline(plan);
            return self.save_memory().await;
        }
        // Write-ahead: who owns what, what is about to happen, and which approvals are spent on it (R27, R35).
        self.save_memory().await?;
        let record = PlanRecord::of(&plan.approved, &fetched.world, &plan.used_approvals);
        let mut plans = self.state.plans(&self.id);
        let number = plans.read().await?.len();
        plans.append(&record).await?;
        self.use_approvals(plan).await?;
        let mut journal = Journal::start(
            self.state.journal(&self.id),
            u32::try_from(number).unwrap_or(u32::MAX),
        );
        let bounds = Bounds {
            deadline: self
                .deadline
                .map(|deadline| deadline.max(Instant::now() + self.slice)),
            failures_in_a_row_max: self.engine.settings().max_consecutive_failures,
        };
        let applied = apply(
            &plan.approved,
            &fetched.world,
            zivver,
            &mut journal,
            bounds,
            self.engine.progress(),
        )
        .await;
        let journaled = journal.finish().await;
        self.take_in(&applied, plan, &record, fetched);
        self.remember_refusals(&applied, plan, &fetched.world);
        if applied.cut_off {
            self.memory.cut_off = true;
            self.save_memory().await?;
            let answers = kept_answers(&fetched.world.directory, &fetched.permissions);
            self.keep(answers).await?;
            self.report.state = RunState::Continues;
            return Ok(());
        }
        if let Some(stopped) = applied.stopped.or(journaled.err()) {
            self.memory.cut_off = true;
            // What stopped the run may be in the way here too, but it is what a person has to hear of. The next run counts
            // by the journal.
            if let Err(error) = self.save_memory().await {
                tracing::warn!(%error, "the memory of a run that stopped is not saved");
            }
            return Err(RunError::Stopped(stopped));
        }
        // What was done is remembered even if it cannot be verified.
        self.save_memory().await?;
        self.verify(fetched, plan, &applied_targets(plan, &self.report), zivver)
            .await?;
        self.settle_baseline(plan);
        self.save_memory().await
    }

    async fn use_approvals(&mut self, plan: &Plan) -> Result<(), RunError> {
        for (code, approval) in &mut self.approvals {
            let used: Vec<String> = approval
                .changes
                .iter()
                .map(|change| &change.fingerprint)
                .filter(|fingerprint| plan.used_approvals.contains(*fingerprint))
                .cloned()
                .collect();
            if !used.is_empty() {
                approval.used.extend(used);
                self.state.save_approval(code, approval).await?;
            }
        }
        Ok(())
    }

    /// What came of the plan, into report and memory.
    fn take_in(&mut self, applied: &Applied, plan: &Plan, record: &PlanRecord, fetched: &Fetched) {
        let mut counts: BTreeMap<Class, u32> = BTreeMap::new();
        for (at, end) in applied.actions.iter().enumerate() {
            let outcome = end.outcome.unwrap_or(ActionOutcome::Remaining);
            let report = &mut self.report.actions[at];
            report.outcome = outcome;
            report.problems.clone_from(&end.problems);
            if happened(outcome) {
                for (class, count) in &record.actions[at].guarded {
                    *counts.entry(*class).or_default() += count;
                }
            }
            if let Some(mailbox) = plan.approved.deltas()[at].mailbox
                && let Some(id) = applied.created.get(&mailbox)
                && let Some(object_id) = &fetched.world.directory.mailbox(mailbox).object_id
            {
                self.memory.mapping.insert(object_id.clone(), id.clone());
            }
            self.approved_tie(at, plan, fetched, outcome);
        }
        let now = self.engine.now().as_second();
        self.memory
            .spent
            .retain(|spent| spent.at > now - seconds(APPROVAL_AGE_MAX));
        self.memory
            .spent
            .extend(counts.into_iter().map(|(class, count)| Spent {
                at: now,
                class,
                count,
            }));
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
            let id = fetched.world.accounts.get(ix).id();
            self.memory.mapping.retain(|_, other| other != id);
            self.memory.mapping.insert(object_id.clone(), id.clone());
        }
    }

    /// R36: both lists once more, and the difference.
    async fn verify(
        &mut self,
        fetched: &mut Fetched,
        plan: &Plan,
        touched: &BTreeSet<crate::domain::ids::ScimId>,
        zivver: &ZivverClient,
    ) -> Result<(), RunError> {
        self.engine.progress().show(Progress::Verifying);
        let (users, groups) = tokio::try_join!(zivver.users(), zivver.groups())?;
        fetched.world.accounts = Accounts::new(Actual { users, groups });
        fetched.matching = match_accounts(&fetched.world, &fetched.policy, &self.memory);
        let mut wishes = self.wishes();
        // What this run approved and did is done; what is planned again is a difference.
        wishes.approved.extend(plan.used_approvals.iter().cloned());
        let again = self.plan(fetched, &wishes);
        self.report.converged = Some(again.approved.is_empty());
        self.report.differences = again.approved.actions().to_vec();
        if self.undo.is_some() {
            return Ok(());
        }
        self.memory
            .without_effect
            .retain(|id, _| fetched.world.accounts.with_id(id).is_some());
        for (action, delta) in again.approved.actions().iter().zip(again.approved.deltas()) {
            if let (Target::Existing(ix), Some(id)) = (delta.target, &action.id)
                && touched.contains(id)
            {
                let stored = effect::stored(fetched.world.accounts.get(ix));
                let remembered = WithoutEffect {
                    asked: action.fingerprint.clone(),
                    stored,
                };
                self.memory.without_effect.insert(id.clone(), remembered);
            }
        }
        Ok(())
    }

    /// R2: only an approval, or a run in which nothing is held, moves the baseline down.
    fn settle_baseline(&mut self, plan: &Plan) {
        if !self.request.accounts.is_empty() || self.undo.is_some() {
            return;
        }
        let free = plan.held.is_empty() || !plan.used_approvals.is_empty();
        let seen = plan.seen.clone();
        self.memory.baseline = Some(match self.memory.baseline.take() {
            Some(before) if !free => Baseline {
                mailboxes: before.mailboxes.max(seen.mailboxes),
                in_scope: before.in_scope.max(seen.in_scope),
                ..before
            },
            Some(_) | None => seen,
        });
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
        mut self,
        result: Result<(), RunError>,
        lock: Option<LockGuard>,
    ) -> Result<Report, RunError> {
        let continues = result.is_ok() && self.report.state == RunState::Continues;
        let elapsed = self.started.elapsed();
        self.report.duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.report
            .actions
            .splice(0..0, std::mem::take(&mut self.earlier));
        self.report.count();
        let phase = if continues {
            Phase::Open
        } else {
            self.report.state = RunState::Ended;
            self.report.ended = Some(second(self.engine.now()).to_string());
            match result {
                Ok(()) => self.report.conclude(),
                Err(error) => {
                    self.report.outcome = RunOutcome::Failed;
                    self.report.error = Some(error.to_string());
                }
            }
            Phase::Ended
        };
        let saved = self.save_end(phase).await;
        // A preview has no lock, and must not end the right of an apply beside it to write.
        if let Some(lock) = lock {
            self.engine.set_permit(None);
            if let Err(error) = lock.release().await {
                tracing::warn!("the lock is not released and will run out by itself: {error}");
            }
        }
        saved?;
        self.engine.announce(&self.report).await;
        self.engine.progress().show(Progress::Ended);
        Ok(self.report)
    }

    async fn save_end(&self, phase: Phase) -> Result<(), RunError> {
        self.state.save_report(&self.id, &self.report).await?;
        self.save_summary(phase).await?;
        if phase == Phase::Ended {
            self.state.clear_checkpoint(&self.id).await?;
            let keep = usize::try_from(self.engine.settings().keep_runs).unwrap_or(usize::MAX);
            self.state.prune(keep, self.engine.now()).await?;
        }
        Ok(())
    }
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

/// R26: what a killed run has done, by its journal, and where that is silent by what Zivver now shows.
fn spent(record: &PlanRecord, entries: &[Entry], world: &World) -> BTreeMap<Class, u32> {
    let known: BTreeMap<usize, ActionOutcome> = entries
        .iter()
        .map(|entry| (entry.action as usize, entry.outcome))
        .collect();
    let mut counts = BTreeMap::new();
    for (at, planned) in record.actions.iter().enumerate() {
        let done = match known.get(&at) {
            Some(outcome) => happened(*outcome),
            None => planned.changed_in(world),
        };
        if done {
            for (class, count) in &planned.guarded {
                *counts.entry(*class).or_default() += count;
            }
        }
    }
    counts
}

/// Whether an action may have changed something.
fn happened(outcome: ActionOutcome) -> bool {
    match outcome {
        ActionOutcome::Applied | ActionOutcome::Partly | ActionOutcome::Failed => true,
        ActionOutcome::Planned | ActionOutcome::Refused | ActionOutcome::Remaining => false,
    }
}

/// Accounts whose write Zivver accepted.
fn applied_targets(plan: &Plan, report: &Report) -> BTreeSet<crate::domain::ids::ScimId> {
    plan.approved
        .actions()
        .iter()
        .zip(&report.actions)
        .filter(|(_, report)| report.outcome == ActionOutcome::Applied)
        .filter_map(|(action, _)| action.id.clone())
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

/// How long so many calls take at least: the first budget goes at once.
fn estimate(rate: Rate, writes: usize) -> u64 {
    match rate {
        Rate::Unlimited => 0,
        Rate::Budget { calls, window } => {
            let full = u64::try_from(writes.saturating_sub(1)).unwrap_or(u64::MAX)
                / u64::from(calls.max(1));
            full.saturating_mul(u64::try_from(window.as_millis()).unwrap_or(u64::MAX))
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Times of a report are whole seconds.
pub(super) fn second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
