//! Carries out an approved plan: in its order, with as much overlap as its dependencies allow (R25, R31, R32).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{
    journal::{Entry, Journal},
    live::{Live, Request, StepEnd, Turn, Weight},
    progress::{Progress, Watcher},
    stop::Stop,
};
use crate::{
    domain::{
        accounts::Account,
        address::SmtpAddress,
        delta::Target,
        directory::MailboxIx,
        execute::alias_domains::{Admission, AliasDomains, RefusedAliases},
        ids::ScimId,
        ineffective::Asked,
        note::Note,
        offenders::{Part, Refusal},
        plan::ApprovedPlan,
        report::ActionOutcome,
        step::{Call, Step, StepIx, When},
        world::World,
    },
    zivver::{Creation, RefusalKind, WriteError, ZivverClient},
};

/// Writes in flight: enough to use Zivver's whole budget at seconds of latency (`zivver-scim.md` section 6).
const IN_FLIGHT_MAX: usize = 32;

/// Steps that are started whatever the time is (R34): if reading alone takes longer than an invocation may, each of them
/// must still get somewhere.
pub const STARTED_MIN: usize = IN_FLIGHT_MAX;

/// When to stop starting work.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// R34.
    pub deadline: Option<Instant>,
    /// How many steps are started beyond it: [`STARTED_MIN`], or none.
    pub started_min: usize,
    /// The process is to end.
    pub stop: Stop,
    /// `MAX_CONSECUTIVE_FAILURES` (R32).
    pub failures_in_a_row_max: u32,
}

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// By position of the action.
    pub actions: Vec<ActionEnd>,
    /// Why the run stopped before its end; the deadline is no reason.
    pub stopped: Option<String>,
    /// Whether the deadline came before all was started (R34).
    pub cut_off: bool,
    pub created: BTreeMap<MailboxIx, ScimId>,
    /// The accounts as the last accepted request of each left them, where Zivver said so.
    pub(super) answers: BTreeMap<ScimId, Account>,
    /// What concerns many actions.
    pub notes: Vec<Note>,
}

/// What came of one action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionEnd {
    pub outcome: Option<ActionOutcome>,
    pub problems: Vec<String>,
    /// To be recognised in a later run (R33).
    pub refusals: Vec<Refusal>,
    /// Of the requests that Zivver accepted (R22).
    pub asked: Asked,
    /// Some of its steps were carried out, and others not started.
    pub half_done: bool,
}

/// One step that ended, with everything there is to say.
struct Ended {
    step: StepIx,
    end: StepEnd,
    created: Option<Account>,
    /// Whether `created` was found by its address (R31).
    found: bool,
    problems: Vec<String>,
    /// What was accepted, and the account after it.
    asked: Asked,
    answer: Option<Account>,
    /// Of the whole request.
    refusal: Option<String>,
    /// Of single aliases, which were left out of it (R23).
    refused_aliases: Vec<(SmtpAddress, String)>,
    /// Those of them whose domain is the cause.
    unowned: RefusedAliases,
    /// Aliases were left out because of what is known of their domain.
    in_part: bool,
    /// The service did not answer (R32).
    outage: bool,
    /// Everything must stop (R29, R32).
    fatal: Option<String>,
}

impl Ended {
    fn new(step: StepIx, end: StepEnd) -> Self {
        Self {
            step,
            end,
            created: None,
            found: false,
            problems: Vec::new(),
            asked: Asked::default(),
            answer: None,
            refusal: None,
            refused_aliases: Vec::new(),
            unowned: RefusedAliases::default(),
            in_part: false,
            outage: false,
            fatal: None,
        }
    }
}

/// Runs all steps that can be run. Never fails: what goes wrong is in the result.
pub async fn apply(
    plan: &ApprovedPlan,
    world: &World,
    zivver: &Arc<ZivverClient>,
    journal: &mut Journal,
    bounds: Bounds,
    progress: &Watcher,
) -> Applied {
    let mut applying = Applying::new(plan, world, bounds);
    let mut in_flight = FuturesUnordered::new();
    progress.show(Progress::Applying {
        done: 0,
        of: plan.steps().len(),
    });
    loop {
        while in_flight.len() < IN_FLIGHT_MAX
            && let Some((step, turn, in_part)) = applying.next(journal)
        {
            match turn {
                Turn::Unowned => applying.ended(Ended::new(step, StepEnd::LeftOut), journal),
                Turn::NotNeeded => applying.ended(Ended::new(step, StepEnd::NotNeeded), journal),
                Turn::LeftOut(why) => {
                    let mut ended = Ended::new(step, StepEnd::LeftOut);
                    ended.problems.push(why);
                    applying.ended(ended, journal);
                }
                Turn::Send {
                    request,
                    new_aliases,
                    only_aliases,
                    weight,
                    left_out,
                } => {
                    let mut sending = Sending {
                        zivver: Arc::clone(zivver),
                        request: *request,
                        open: new_aliases,
                        only_aliases,
                        weight,
                        suspected: None,
                        refused: Vec::new(),
                        refused_aliases: Vec::new(),
                        answer: None,
                        unowned: Vec::new(),
                        has_sent: false,
                        has_succeeded: false,
                    };
                    in_flight.push(async move {
                        let result = sending.run().await;
                        let mut ended = sending.ended(step, result);
                        ended.problems.extend(left_out);
                        ended.in_part = in_part;
                        ended
                    });
                }
            }
        }
        if let Some(cause) = &applying.stopped {
            zivver.gate().close(cause);
        }
        let Some(ended) = in_flight.next().await else {
            break;
        };
        applying.ended(ended, journal);
        progress.show(Progress::Applying {
            done: applying.done,
            of: plan.steps().len(),
        });
    }
    applying.finish()
}

struct Applying<'a> {
    plan: &'a ApprovedPlan,
    live: Live<'a>,
    domains: AliasDomains,
    bounds: Bounds,
    /// Steps whose prerequisites have all ended, in plan order.
    ready: BTreeSet<StepIx>,
    /// How many prerequisites of each step have not ended.
    waiting: Vec<u32>,
    dependents: Vec<Vec<StepIx>>,
    actions: Vec<ActionEnd>,
    /// Steps of each action that have not ended.
    open: Vec<u32>,
    /// Where the suspends and empties at the end of the plan begin, and how many steps before them have not ended.
    stops_from: usize,
    open_before_stops: usize,
    answers: BTreeMap<ScimId, Account>,
    failures_in_a_row: u32,
    stopped: Option<String>,
    cut_off: bool,
    started: usize,
    done: usize,
}

impl<'a> Applying<'a> {
    fn new(plan: &'a ApprovedPlan, world: &'a World, bounds: Bounds) -> Self {
        let steps = plan.steps();
        let mut dependents = vec![Vec::new(); steps.len()];
        let mut waiting = Vec::with_capacity(steps.len());
        let mut ready = BTreeSet::new();
        let mut open = vec![0; plan.actions().len()];
        for (at, step) in steps.iter().enumerate() {
            let ix = StepIx(u32::try_from(at).unwrap_or(u32::MAX));
            waiting.push(u32::try_from(step.after.len()).unwrap_or(u32::MAX));
            open[step.action as usize] += 1;
            for prerequisite in &step.after {
                dependents[prerequisite.0 as usize].push(ix);
            }
            if step.after.is_empty() {
                ready.insert(ix);
            }
        }
        let stops_from = steps
            .iter()
            .rposition(|step| !step.call.is_stop())
            .map_or(0, |last| last + 1);
        Self {
            plan,
            live: Live::new(world, plan),
            domains: AliasDomains::new(world),
            bounds,
            ready,
            waiting,
            dependents,
            actions: vec![ActionEnd::default(); plan.actions().len()],
            open,
            stops_from,
            open_before_stops: stops_from,
            answers: BTreeMap::new(),
            failures_in_a_row: 0,
            stopped: None,
            cut_off: false,
            started: 0,
            done: 0,
        }
    }

    /// The next step whose turn it is, and whether aliases are left out of it for their domain (R23).
    fn next(&mut self, journal: &Journal) -> Option<(StepIx, Turn, bool)> {
        loop {
            let step = self.next_ready(journal)?;
            let mut turn = self.live.turn(step);
            let in_part = match &turn {
                Turn::Send { new_aliases, .. } => {
                    let action = self.live.step(step).action;
                    match self.domains.admit(step, action, new_aliases) {
                        Admission::Wait => continue,
                        Admission::Without(unowned) => leave_out_unowned(&mut turn, &unowned),
                    }
                }
                Turn::NotNeeded | Turn::LeftOut(_) | Turn::Unowned => false,
            };
            self.started += 1;
            return Some((step, turn, in_part));
        }
    }

    /// Unless nothing more is to be started.
    fn next_ready(&mut self, journal: &Journal) -> Option<StepIx> {
        if self.ready.is_empty() {
            return None;
        }
        if self.stopped.is_none() {
            self.stopped = journal.failure();
        }
        if self.stopped.is_some() {
            return None;
        }
        let is_over = |deadline| Instant::now() >= deadline;
        let is_late =
            self.started >= self.bounds.started_min && self.bounds.deadline.is_some_and(is_over);
        if is_late || self.bounds.stop.is_requested() {
            self.cut_off = true;
            return None;
        }
        // R25: nothing is taken away before all else is settled.
        let first = self.ready.first()?;
        if first.0 as usize >= self.stops_from && self.open_before_stops > 0 {
            return None;
        }
        self.ready.pop_first()
    }

    fn ended(&mut self, ended: Ended, journal: &mut Journal) {
        if ended.end == StepEnd::Unsent {
            self.stopped = self.stopped.take().or_else(|| journal.failure());
            self.stopped = self.stopped.take().or(ended.fatal);
            return;
        }
        let Ended {
            step,
            end,
            created,
            found: _,
            problems,
            asked,
            answer,
            refusal,
            refused_aliases,
            unowned,
            in_part,
            outage,
            fatal,
        } = self.without_another(ended);
        self.done += 1;
        let planned = self.live.step(step);
        let action = planned.action as usize;
        self.ready
            .extend(self.domains.ended(step, planned.action, &unowned));
        if let (Target::New(mailbox), Some(created)) = (planned.target, created) {
            self.live.created(mailbox, created);
        }
        self.count_failure(&end, outage, problems.first());
        if let Some(fatal) = fatal {
            self.stopped.get_or_insert(fatal);
        }
        self.open[action] -= 1;
        if (step.0 as usize) < self.stops_from {
            self.open_before_stops -= 1;
        }
        if let Some(answer) = answer {
            self.answers.insert(answer.id().clone(), answer);
        }
        let summary = &mut self.actions[action];
        summary.asked.merge(asked);
        summary.outcome = Some(combine(
            summary.outcome,
            &end,
            in_part || !problems.is_empty(),
        ));
        summary.problems.extend(problems);
        let whole = refusal.and_then(|text| {
            let part = part(planned)?;
            Some(Refusal { part, text })
        });
        let aliases = refused_aliases.into_iter().map(|(alias, text)| Refusal {
            part: Part::Alias(alias),
            text,
        });
        summary.refusals.extend(whole.into_iter().chain(aliases));
        if self.open[action] == 0 {
            journal.append(self.entry(action));
        }
        self.live.end(step, end);
        for dependent in std::mem::take(&mut self.dependents[step.0 as usize]) {
            let waiting = &mut self.waiting[dependent.0 as usize];
            *waiting -= 1;
            if *waiting == 0 {
                self.ready.insert(dependent);
            }
        }
    }

    /// R32
    fn count_failure(&mut self, end: &StepEnd, outage: bool, problem: Option<&String>) {
        match end {
            _ if outage => self.failures_in_a_row += 1,
            StepEnd::Done | StepEnd::Refused => self.failures_in_a_row = 0,
            // Zivver was not asked, so it has not answered either.
            StepEnd::NotNeeded | StepEnd::LeftOut | StepEnd::Failed | StepEnd::Unsent => {}
        }
        if self.failures_in_a_row >= self.bounds.failures_in_a_row_max && self.stopped.is_none() {
            self.stopped = Some(format!(
                "Zivver failed {} times in a row, so the run stopped (R32): {}",
                self.failures_in_a_row,
                problem.map_or("", String::as_str)
            ));
        }
    }

    /// R16: an account that was found by its address, and that belongs to another object id, is not taken for the one that
    /// was to be created.
    fn without_another(&self, mut ended: Ended) -> Ended {
        let Target::New(mailbox) = self.live.step(ended.step).target else {
            return ended;
        };
        let found = ended.created.as_ref().filter(|_| ended.found);
        if let Some(text) = found.and_then(|it| self.live.is_of_another(mailbox, it)) {
            ended.end = StepEnd::Refused;
            ended.created = None;
            ended.problems.push(text.clone());
            ended.refusal = Some(text);
        }
        ended
    }

    fn entry(&self, action: usize) -> Entry {
        let end = &self.actions[action];
        let created = match self.plan.deltas()[action].target {
            Target::New(mailbox) => self
                .live
                .all_created()
                .get(&mailbox)
                .map(|created| created.id().clone()),
            Target::Existing(_) => None,
        };
        Entry {
            action: u32::try_from(action).unwrap_or(u32::MAX),
            outcome: end.outcome.unwrap_or(ActionOutcome::Remaining),
            created,
            problems: end.problems.clone(),
        }
    }

    fn finish(mut self) -> Applied {
        for (action, open) in self.open.iter().enumerate() {
            if *open > 0 {
                let end = &mut self.actions[action];
                end.half_done = matches!(
                    end.outcome,
                    Some(ActionOutcome::Applied | ActionOutcome::Partly)
                );
                // What is left of it, the next run does.
                if end.outcome != Some(ActionOutcome::Failed) {
                    end.outcome = Some(ActionOutcome::Remaining);
                }
            }
        }
        Applied {
            cut_off: self.cut_off && self.stopped.is_none(),
            created: self
                .live
                .all_created()
                .iter()
                .map(|(mailbox, created)| (*mailbox, created.id().clone()))
                .collect(),
            actions: self.actions,
            answers: self.answers,
            stopped: self.stopped,
            notes: self.domains.notes(),
        }
    }
}

/// Whether some aliases were left out. Where there is nothing else to send, the request is none.
fn leave_out_unowned(turn: &mut Turn, unowned: &[SmtpAddress]) -> bool {
    let Turn::Send {
        request,
        new_aliases,
        only_aliases,
        ..
    } = turn
    else {
        return false;
    };
    if unowned.is_empty() {
        return false;
    }
    for alias in unowned {
        request.without_alias(alias);
    }
    new_aliases.retain(|alias| !unowned.contains(alias));
    if *only_aliases && new_aliases.is_empty() {
        *turn = Turn::Unowned;
    }
    true
}

/// What of an action is refused with a step, or `None` for a step that only puts something back.
fn part(step: &Step) -> Option<Part> {
    match (&step.call, step.when) {
        (_, When::IfRefused(_)) => None,
        (_, When::Completes(_)) => Some(Part::Completion),
        (
            Call::UpdateUser {
                address: Some(_), ..
            },
            When::Always,
        ) => Some(Part::Address),
        (
            Call::CreateUser { .. }
            | Call::CreateFunctional { .. }
            | Call::UpdateUser { .. }
            | Call::UpdateFunctional { .. }
            | Call::Empty { .. },
            When::Always,
        ) => Some(Part::Account),
    }
}

/// The outcome of an action after one more of its steps. A step that was done but for a part is done in part.
fn combine(before: Option<ActionOutcome>, end: &StepEnd, in_part: bool) -> ActionOutcome {
    let this = match end {
        StepEnd::Done if in_part => ActionOutcome::Partly,
        StepEnd::Done => ActionOutcome::Applied,
        StepEnd::NotNeeded => return before.unwrap_or(ActionOutcome::Applied),
        StepEnd::Unsent => return before.unwrap_or(ActionOutcome::Remaining),
        StepEnd::Refused | StepEnd::LeftOut => ActionOutcome::Refused,
        StepEnd::Failed => ActionOutcome::Failed,
    };
    match (before, this) {
        (None, this) => this,
        (Some(ActionOutcome::Failed), _) | (_, ActionOutcome::Failed) => ActionOutcome::Failed,
        (Some(before), this) if before == this => this,
        (Some(_), _) => ActionOutcome::Partly,
    }
}

fn failed(step: StepIx, error: &WriteError) -> Ended {
    let mut ended = match error {
        WriteError::Refused(refusal) => Ended {
            refusal: Some(format!("{} {}", refusal.status, refusal.text)),
            ..Ended::new(step, StepEnd::Refused)
        },
        WriteError::Unavailable { .. } => Ended {
            outage: true,
            ..Ended::new(step, StepEnd::Failed)
        },
        WriteError::Unauthorized { .. } | WriteError::Forbidden { .. } => Ended {
            fatal: Some(error.to_string()),
            ..Ended::new(step, StepEnd::Failed)
        },
        WriteError::Stopped { was_sent, .. } => Ended {
            fatal: Some(error.to_string()),
            ..Ended::new(
                step,
                if *was_sent {
                    StepEnd::Failed
                } else {
                    StepEnd::Unsent
                },
            )
        },
    };
    ended.problems.push(error.to_string());
    ended
}

/// One request, repeated without the aliases that Zivver refuses (R23).
struct Sending {
    zivver: Arc<ZivverClient>,
    request: Request,
    /// New aliases in the request: any of them may be refused.
    open: Vec<SmtpAddress>,
    /// Whether the request without them would change nothing.
    only_aliases: bool,
    weight: Weight,
    /// Left out though Zivver did not name it, since it was the only new one.
    suspected: Option<SmtpAddress>,
    refused: Vec<String>,
    refused_aliases: Vec<(SmtpAddress, String)>,
    /// The account after the last accepted request.
    answer: Option<Account>,
    /// Aliases that were refused for their domain.
    unowned: Vec<SmtpAddress>,
    has_sent: bool,
    has_succeeded: bool,
}

/// What became of a request that was understood.
enum Sent {
    /// With the account of a create, and whether it was found by its address.
    Done(Option<(Account, bool)>),
    /// It was for aliases alone, and none was taken.
    NothingTaken,
}

/// Whether Zivver blames another alias than this one.
fn names_other(error: &WriteError, alias: &SmtpAddress) -> bool {
    let WriteError::Refused(refusal) = error else {
        return false;
    };
    match &refusal.kind {
        RefusalKind::AliasTaken(Some(named)) | RefusalKind::AliasGuest(Some(named)) => {
            named != alias
        }
        RefusalKind::AliasTaken(None)
        | RefusalKind::AliasGuest(None)
        | RefusalKind::DomainNotOwned
        | RefusalKind::OutsideOrganization
        | RefusalKind::UnknownAccount
        | RefusalKind::UnknownMember
        | RefusalKind::InvalidDivision
        | RefusalKind::Conflict
        | RefusalKind::WrongUrl
        | RefusalKind::Other => false,
    }
}

/// What to do about a refusal.
enum WayOn {
    Again,
    OneByOne,
    None,
}

impl Sending {
    fn ended(self, step: StepIx, result: Result<Sent, WriteError>) -> Ended {
        let mut ended = match result {
            Ok(Sent::Done(None)) => Ended::new(step, StepEnd::Done),
            Ok(Sent::Done(Some((created, found)))) => Ended {
                created: Some(created),
                found,
                ..Ended::new(step, StepEnd::Done)
            },
            Ok(Sent::NothingTaken) => Ended::new(step, StepEnd::Refused),
            Err(error) => failed(step, &error),
        };
        if ended.end == StepEnd::Done {
            ended.asked = self.request.asked();
            ended.answer = self.answer;
        }
        if ended.end == StepEnd::Unsent && self.has_sent {
            ended.end = StepEnd::Failed;
        }
        if !self.unowned.is_empty() {
            ended.unowned = RefusedAliases {
                others: self.request.alias_domains(),
                aliases: self.unowned,
                rest_accepted: self.has_succeeded,
            };
        }
        ended.refused_aliases = self.refused_aliases;
        ended.problems.splice(0..0, self.refused);
        ended
    }

    async fn run(&mut self) -> Result<Sent, WriteError> {
        loop {
            let none_left = self.open.is_empty() && !self.refused_aliases.is_empty();
            if none_left && self.only_aliases {
                return Ok(Sent::NothingTaken);
            }
            let error = match self.once().await {
                Ok(created) => return Ok(Sent::Done(created)),
                Err(error) => error,
            };
            match self.way_on(&error) {
                WayOn::Again => {}
                WayOn::OneByOne => return self.one_by_one().await,
                WayOn::None => return Err(error),
            }
        }
    }

    /// R23: leaves out what was refused, so that the rest of the request goes.
    fn way_on(&mut self, error: &WriteError) -> WayOn {
        let WriteError::Refused(refusal) = error else {
            return WayOn::None;
        };
        let named = match &refusal.kind {
            RefusalKind::AliasTaken(named) | RefusalKind::AliasGuest(named) => named.clone(),
            RefusalKind::DomainNotOwned => None,
            RefusalKind::OutsideOrganization
            | RefusalKind::UnknownAccount
            | RefusalKind::UnknownMember
            | RefusalKind::InvalidDivision
            | RefusalKind::Conflict
            | RefusalKind::WrongUrl
            | RefusalKind::Other => return WayOn::None,
        };
        match (named, &*self.open) {
            (Some(address), open) if open.contains(&address) => self.leave_out(&address, error),
            (Some(address), _) if self.request.principal() == Some(&address) => return WayOn::None,
            (Some(address), _) if self.request.has_alias(&address) => {
                return self.without_stored(&address, error);
            }
            (_, []) => return self.without_extension(error),
            (None, [only]) => {
                let only = only.clone();
                self.leave_out(&only, error);
                self.suspected = Some(only);
            }
            (_, _) => return WayOn::OneByOne,
        }
        WayOn::Again
    }

    /// An alias that Zivver has is refused with everything that goes along with it. Access that is to go must go; else the
    /// alias stays where it is, and with it all of the extension.
    fn without_stored(&mut self, alias: &SmtpAddress, error: &WriteError) -> WayOn {
        if self.weight != Weight::TakesAccess {
            return self.without_extension(error);
        }
        self.request.without_alias(alias);
        self.refused.push(format!(
            "the alias {alias}, which the account had, is left out so that access is taken away: {error}"
        ));
        WayOn::Again
    }

    /// The rest of the request, without aliases and delegates.
    fn without_extension(&mut self, error: &WriteError) -> WayOn {
        if self.weight == Weight::Ties || !self.request.drop_extension() {
            return WayOn::None;
        }
        // It was none of those that are new.
        if let Some(suspected) = self.suspected.take() {
            self.refused_aliases
                .retain(|(alias, _)| *alias != suspected);
            self.unowned.retain(|alias| *alias != suspected);
            self.refused.clear();
        }
        self.open.clear();
        self.refused.push(format!(
            "what goes along with an alias that the account had is not written: {error}"
        ));
        WayOn::Again
    }

    fn leave_out(&mut self, address: &SmtpAddress, error: &WriteError) {
        self.open.retain(|open| open != address);
        self.request.without_alias(address);
        self.refused
            .push(format!("the alias {address} is left out: {error}"));
        if let WriteError::Refused(refusal) = error {
            let text = format!("{} {}", refusal.status, refusal.text);
            self.refused_aliases.push((address.clone(), text));
            if refusal.kind == RefusalKind::DomainNotOwned {
                self.unowned.push(address.clone());
            }
        }
    }

    /// Zivver does not say which: first without any new alias, so that the rest is done, then each alone.
    async fn one_by_one(&mut self) -> Result<Sent, WriteError> {
        let open = std::mem::take(&mut self.open);
        for address in &open {
            self.request.without_alias(address);
        }
        let mut sent = Sent::NothingTaken;
        while !self.only_aliases {
            match self.once().await {
                Ok(created) => {
                    sent = Sent::Done(created);
                    break;
                }
                Err(error) => match self.way_on(&error) {
                    WayOn::Again => {}
                    WayOn::OneByOne | WayOn::None => return Err(error),
                },
            }
        }
        if !self.request.has_extension() {
            return Ok(sent);
        }
        // A create is completed by its own step, which tries the aliases again.
        if matches!(
            self.request,
            Request::CreateUser(..) | Request::CreateFunctional(..)
        ) {
            return Ok(sent);
        }
        for address in open {
            if self.is_unowned(&address) {
                continue;
            }
            self.request.with_alias(&address);
            match self.once().await {
                Ok(_) => sent = Sent::Done(None),
                Err(error @ WriteError::Refused(_)) if !names_other(&error, &address) => {
                    self.leave_out(&address, &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    fn is_unowned(&self, address: &SmtpAddress) -> bool {
        let mut unowned = self.unowned.iter();
        unowned.any(|known| known.domain() == address.domain())
    }

    async fn once(&mut self) -> Result<Option<(Account, bool)>, WriteError> {
        let sent = self.send().await;
        self.has_succeeded |= sent.is_ok();
        self.has_sent |= !matches!(
            sent,
            Err(WriteError::Stopped {
                was_sent: false,
                ..
            })
        );
        sent
    }

    async fn send(&mut self) -> Result<Option<(Account, bool)>, WriteError> {
        match &self.request {
            Request::CreateUser(address, user) => {
                let creation: Creation<_> = self.zivver.create_user(address, user).await?;
                let created = Account::User(creation.account().clone());
                Ok(Some((created, creation.is_found())))
            }
            Request::CreateFunctional(address, group) => {
                let creation: Creation<_> = self.zivver.create_group(address, group).await?;
                let created = Account::Functional(creation.account().clone());
                Ok(Some((created, creation.is_found())))
            }
            Request::UpdateUser(id, user) => {
                let answer = self.zivver.update_user(id, user).await?;
                self.answer = answer.map(Account::User);
                Ok(None)
            }
            Request::UpdateFunctional(id, group) => {
                let answer = self.zivver.update_group(id, group).await?;
                self.answer = answer.map(Account::Functional);
                Ok(None)
            }
            Request::Members(id, patch) => {
                let answer = self.zivver.patch_members(id, patch).await?;
                self.answer = answer.map(Account::Functional);
                Ok(None)
            }
        }
    }
}
