//! Carries out an approved plan, without I/O: in its order, with as much overlap as its dependencies allow (R25, R31,
//! R32).
//!
//! [`Execution::next`] gives the next request, [`Execution::answered`] takes the answer to it. A step is
//!
//! - waiting, until every step that it depends on has ended;
//! - ready, until it starts: the first one in the order of the plan starts first, up to [`IN_FLIGHT_MAX`] at a time.
//!   The suspends and empties at the end of the plan start only after everything before them has ended;
//! - waiting for a domain, if it has an alias in a domain that another step asks about (`alias_domains`);
//! - sending, from its request (`turn`) to the last answer (`sending`); or
//! - ended, with an outcome (`outcome`).
//!
//! After its time is over, no other step starts, and the steps that are sending are completed. After the run is stopped,
//! those of them that wait for their turn are not sent any more.

mod alias_domains;
mod outcome;
mod request;
mod sending;
mod situation;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use alias_domains::{Admission, AliasDomains};
use outcome::part;
pub use outcome::{ActionEnd, Applied, Finish};
pub use request::{
    Accepted, Answer, Blame, FunctionalExtensionUpdate, FunctionalUpdate, Refused, Request,
    UserExtensionUpdate, UserUpdate,
};
use sending::{Ended, Next, Sending};
use situation::{Situation, StepEnd};
use turn::Turn;

use super::{
    accounts::Account,
    action::ActionOutcome,
    delta::Target,
    directory::to_u32,
    ids::ScimId,
    ineffective::Asked,
    offenders::{Part, Refusal},
    plan::ApprovedPlan,
    step::StepIx,
    world::World,
};

/// The maximum number of steps that are sending at a time: enough to use Zivver's whole budget when an answer takes
/// seconds (`docs/specs/zivver-scim.md`, "6. Errors and the limiter").
pub const IN_FLIGHT_MAX: usize = 32;

/// A plan that is being carried out.
#[derive(Debug)]
pub struct Execution<'a> {
    plan: &'a ApprovedPlan,
    situation: Situation<'a>,
    domains: AliasDomains,
    /// `MAX_CONSECUTIVE_FAILURES` (R32).
    failures_in_a_row_max: u32,
    /// In plan order.
    ready: BTreeSet<StepIx>,
    /// How many steps each step waits for.
    waiting: Vec<u32>,
    dependents: Vec<Vec<StepIx>>,
    sending: BTreeMap<StepIx, Sending>,
    /// Steps whose request must be sent, for the first time or again.
    to_send: VecDeque<StepIx>,
    actions: Vec<ActionEnd>,
    /// How many steps of each action have not ended.
    open: Vec<u32>,
    /// Actions whose steps have all ended, and that [`Execution::take_ended`] has not returned yet.
    ended: Vec<usize>,
    /// The position of the first suspend or empty at the end of the plan, and the number of steps before it that have
    /// not ended.
    stops_from: usize,
    open_before_stops: usize,
    answers: BTreeMap<ScimId, Account>,
    failures_in_a_row: u32,
    stopped: Option<String>,
    is_cut_off: bool,
    started: usize,
    done: usize,
}

/// An action whose steps have all ended.
#[derive(Debug, PartialEq, Eq)]
pub struct EndedAction<'a> {
    /// Its position in the plan.
    pub action: usize,
    pub outcome: ActionOutcome,
    /// The account that it created.
    pub created: Option<&'a ScimId>,
    pub problems: &'a [String],
}

impl<'a> Execution<'a> {
    pub fn new(plan: &'a ApprovedPlan, world: &'a World, failures_in_a_row_max: u32) -> Self {
        let steps = plan.steps();
        let mut dependents = vec![Vec::new(); steps.len()];
        let mut waiting = Vec::with_capacity(steps.len());
        let mut ready = BTreeSet::new();
        let mut open = vec![0; plan.actions().len()];
        for (at, step) in steps.iter().enumerate() {
            let ix = StepIx(to_u32(at));
            waiting.push(to_u32(step.after.len()));
            open[step.action as usize] += 1;
            for before in &step.after {
                dependents[before.0 as usize].push(ix);
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
            situation: Situation::new(world, plan),
            domains: AliasDomains::new(world),
            failures_in_a_row_max,
            ready,
            waiting,
            dependents,
            sending: BTreeMap::new(),
            to_send: VecDeque::new(),
            actions: vec![ActionEnd::default(); plan.actions().len()],
            open,
            ended: Vec::new(),
            stops_from,
            open_before_stops: stops_from,
            answers: BTreeMap::new(),
            failures_in_a_row: 0,
            stopped: None,
            is_cut_off: false,
            started: 0,
            done: 0,
        }
    }

    /// The next request. `None`: wait for an answer; if no request is on its way, the execution is over. At most
    /// `started_max` steps are started in total.
    pub fn next(&mut self, started_max: usize) -> Option<(StepIx, Request)> {
        while self.to_send.is_empty() && self.sending.len() < IN_FLIGHT_MAX {
            let step = self.next_ready(started_max)?;
            self.start(step);
        }
        let step = self.to_send.pop_front()?;
        let request = self.sending.get(&step)?.request().clone();
        Some((step, request))
    }

    /// Takes the answer to the request of a step.
    pub fn answered(&mut self, step: StepIx, answer: Answer) {
        let Some(sending) = self.sending.get_mut(&step) else {
            return;
        };
        if let Answer::Stopped {
            is_cut_off: true, ..
        } = answer
        {
            self.is_cut_off = true;
        }
        match sending.answered(answer) {
            Next::Send => self.to_send.push_back(step),
            Next::End(ended) => {
                self.sending.remove(&step);
                self.end(step, *ended);
            }
        }
    }

    /// Starts no more steps, for this cause. The first cause is kept.
    pub fn stop(&mut self, cause: String) {
        self.stopped.get_or_insert(cause);
    }

    /// The cause given to `stop`. The end of the run's time is not a cause.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// How many of the [writes](ApprovedPlan::writes) of the plan have ended.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Actions whose last step has ended since the last call.
    pub fn take_ended(&mut self) -> Vec<EndedAction<'_>> {
        let ended = std::mem::take(&mut self.ended);
        ended.into_iter().map(|at| self.ended_action(at)).collect()
    }

    fn ended_action(&self, action: usize) -> EndedAction<'_> {
        let end = &self.actions[action];
        EndedAction {
            action,
            outcome: end.outcome.unwrap_or(ActionOutcome::Remaining),
            created: match self.plan.deltas()[action].target {
                Target::New(mailbox) => self.situation.created.get(&mailbox).map(Account::id),
                Target::Existing(_) => None,
            },
            problems: &end.problems,
        }
    }

    /// The result, once no request is on its way.
    pub fn finish(mut self) -> Applied {
        let actions = self.actions.iter_mut().zip(&self.open);
        for (action, _) in actions.filter(|(_, open)| **open > 0) {
            action.close_unfinished();
        }
        let accepted = if self.actions.iter().any(|action| action.is_half_done) {
            let actions = 0..self.actions.len();
            let accepted = actions.filter_map(|at| Some((at, self.accepted(at)?)));
            accepted.collect()
        } else {
            BTreeMap::new()
        };
        let created = self.situation.created.iter();
        Applied {
            accepted,
            finish: match self.stopped {
                Some(cause) => Finish::Stopped(cause),
                None if self.is_cut_off => Finish::CutOff,
                None => Finish::Complete,
            },
            created: created
                .map(|(mailbox, created)| (*mailbox, created.id().clone()))
                .collect(),
            actions: self.actions,
            answers: self.answers,
            notes: self.domains.notes(),
        }
    }

    /// The account of an action after its accepted requests; `None` if none was accepted.
    fn accepted(&self, action: usize) -> Option<Account> {
        let asked = &self.actions[action].asked;
        if *asked == Asked::default() {
            return None;
        }
        let target = self.plan.deltas()[action].target;
        let account = match target {
            // Zivver may have stored less than the request asked for (R24).
            Target::New(mailbox) => self.situation.created.get(&mailbox)?.clone(),
            Target::Existing(_) => asked.on(self.situation.account(target)?),
        };
        let answer = self.answers.get(account.id()).cloned();
        Some(answer.unwrap_or(account))
    }

    /// The next step that may start. `None` if there is none, or if the run is stopped or cut off.
    fn next_ready(&mut self, started_max: usize) -> Option<StepIx> {
        let first = self.ready.first()?;
        if self.stopped.is_some() {
            return None;
        }
        if self.started >= started_max {
            self.is_cut_off = true;
            return None;
        }
        // R25: nothing is taken away before everything else has ended.
        if first.0 as usize >= self.stops_from && self.open_before_stops > 0 {
            return None;
        }
        self.ready.pop_first()
    }

    /// Begins to send a step, or ends it if there is nothing to send. A step that waited for a domain is started again.
    fn start(&mut self, step: StepIx) {
        let turn = self.situation.turn(step);
        let action = self.situation.step(step).action;
        let turn = match self.domains.admit(step, action, turn.new_aliases()) {
            Admission::Wait => return,
            Admission::Without(unowned) => turn.without(&unowned),
        };
        self.started += 1;
        match turn {
            Turn::Send(draft) => {
                self.sending.insert(step, Sending::new(*draft));
                self.to_send.push_back(step);
            }
            Turn::NotNeeded => self.end(step, Ended::new(StepEnd::NotNeeded)),
            Turn::LeftOut(why) => self.end(step, Ended::failed(StepEnd::LeftOut, why)),
        }
    }

    fn end(&mut self, step: StepIx, ended: Ended) {
        let Ended {
            end,
            created,
            problems,
            asked,
            updated,
            refusal,
            refused_aliases,
            unowned,
            is_outage,
            fatal,
        } = self.without_another(step, ended);
        if let Some(fatal) = fatal {
            self.stop(fatal);
        }
        if end == StepEnd::Unsent {
            return;
        }
        let planned = self.situation.step(step);
        self.done += usize::from(planned.is_expected());
        let action = planned.action as usize;
        self.ready
            .extend(self.domains.ended(step, planned.action, &unowned));
        if let (Target::New(mailbox), Some(created)) = (planned.target, created) {
            self.situation.created.insert(mailbox, created.account);
        }
        self.count_failure(end, is_outage, problems.first());
        self.open[action] -= 1;
        if (step.0 as usize) < self.stops_from {
            self.open_before_stops -= 1;
        }
        let shown = updated.as_ref().map(|it| it.view().address().clone());
        if let Some(account) = updated {
            self.answers.insert(account.id().clone(), account);
        }
        let summary = &mut self.actions[action];
        summary.add(end, !problems.is_empty());
        for problem in problems {
            if !summary.problems.contains(&problem) {
                summary.problems.push(problem);
            }
        }
        let whole = refusal.and_then(|text| {
            let part = part(planned)?;
            Some(Refusal { part, text })
        });
        let aliases = refused_aliases.into_iter().map(|(alias, text)| Refusal {
            part: Part::Alias(alias),
            text,
        });
        summary.refusals.extend(whole.into_iter().chain(aliases));
        self.situation.end(step, end, &asked, shown.as_ref());
        summary.asked.merge(asked);
        if self.open[action] == 0 {
            self.ended.push(action);
        }
        self.release(step);
    }

    /// Makes the steps ready that waited only for this step.
    fn release(&mut self, step: StepIx) {
        for dependent in std::mem::take(&mut self.dependents[step.0 as usize]) {
            let waiting = &mut self.waiting[dependent.0 as usize];
            *waiting -= 1;
            if *waiting == 0 {
                self.ready.insert(dependent);
            }
        }
    }

    /// R32
    fn count_failure(&mut self, end: StepEnd, is_outage: bool, problem: Option<&String>) {
        match end {
            _ if is_outage => self.failures_in_a_row += 1,
            StepEnd::Done | StepEnd::Refused => self.failures_in_a_row = 0,
            // Zivver was not asked, so it has not answered.
            StepEnd::NotNeeded | StepEnd::LeftOut | StepEnd::Failed | StepEnd::Unsent => {}
        }
        if self.failures_in_a_row >= self.failures_in_a_row_max {
            self.stop(format!(
                "Zivver failed {} times in a row, so the run stopped (R32): {}",
                self.failures_in_a_row,
                problem.map_or("", String::as_str)
            ));
        }
    }

    /// R16, R31: an account that was found by its address and is another one does not count as the one to be created.
    fn without_another(&self, step: StepIx, mut ended: Ended) -> Ended {
        if let (Target::New(mailbox), Some(created)) =
            (self.situation.step(step).target, &ended.created)
            && created.is_found
            && let Some((end, text)) = self.situation.is_another(mailbox, &created.account)
        {
            ended.end = end;
            ended.created = None;
            ended.refusal = (end == StepEnd::Refused).then(|| text.clone());
            ended.problems.push(text);
        }
        ended
    }
}
