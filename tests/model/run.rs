//! One run: the order of `engine::run` without its I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
};

use cloud_sync::domain::{
    accounts::Accounts,
    approval::{Approval, Showing},
    delta::{Delta, Target},
    execute::{ActionEnd, Applied, Finish},
    ids::ScimId,
    ineffective::{Asked, Sent, SentChange, compare},
    ledger::{Ledger, record_interrupted},
    matching::{Matching, match_accounts},
    memory::{InHand, Memory},
    mode::{Mode, Trigger},
    plan::{Plan, Wishes, plan},
    record::{Entry, PlanRecord},
    report::{ActionOutcome, Report, RunOutcome},
    world::{Policy, World},
};

use crate::{
    Broken, Life,
    people::{Organisation, Person, policy, world, wrong},
    record::{Derived, Document},
    state::{Event, State, pause},
};

/// The result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Stored,
    /// Answered with 200, but not stored.
    Ignored,
    LostStored,
    Lost,
}

impl Answer {
    fn is_stored(self) -> bool {
        matches!(self, Self::Stored | Self::LostStored)
    }

    fn outcome(self) -> ActionOutcome {
        match self {
            Self::Stored | Self::Ignored => ActionOutcome::Applied,
            Self::LostStored | Self::Lost => ActionOutcome::Failed,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) enum Phase {
    Idle,
    Planned(Run),
    Sending(Run),
    Saved(Run),
}

impl Phase {
    pub(crate) fn run(&self) -> Option<&Run> {
        match self {
            Self::Idle => None,
            Self::Planned(run) | Self::Sending(run) | Self::Saved(run) => Some(run),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) struct Run {
    pub(crate) number: u8,
    pub(crate) code: Option<String>,
    approval: Document<Option<Approval>>,
    /// Zivver and Exchange when they were read.
    before: Organisation,
    gone: BTreeSet<Person>,
    memory: Document<Memory>,
    revision: u8,
    read_from: Option<i64>,
    /// The number of disturbances before it began.
    disturbances: u8,
    /// How many people may be suspended in a day without an approval, counted in Zivver.
    pub(crate) allowed: usize,
    answers: BTreeMap<usize, Answer>,
    planned: Derived<Planned>,
    record: Document<PlanRecord>,
    report: Derived<Report>,
}

/// What the state has about a run while another may have to continue it.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) struct Record {
    number: u8,
    code: Option<String>,
    is_open: bool,
    record: Document<PlanRecord>,
    entries: Document<Vec<Entry>>,
}

fn id(number: u8) -> String {
    format!("R{number}")
}

impl Run {
    /// The next action, in the order of the plan's requests.
    pub(crate) fn next(&self) -> Option<usize> {
        let steps = self.planned.plan.approved.steps().iter();
        let mut actions = steps.map(|step| step.action as usize);
        actions.find(|action| !self.answers.contains_key(action))
    }

    fn delta(&self, action: usize) -> &Delta {
        &self.planned.plan.approved.deltas()[action]
    }

    /// The person whose status the action changes, and the new status.
    pub(crate) fn asks(&self, action: usize) -> (Person, bool) {
        let delta = self.delta(action);
        (Person::with_address(&delta.address), !delta.is_suspend())
    }

    pub(crate) fn is_approved(&self, action: usize) -> bool {
        !self.record.actions[action].approved.is_empty()
    }

    fn outcome(&self, action: usize) -> ActionOutcome {
        let answer = self.answers.get(&action);
        answer.map_or(ActionOutcome::Remaining, |answer| answer.outcome())
    }

    fn approved(&self) -> BTreeSet<String> {
        let all = BTreeSet::new();
        let open = self.approval.iter().flat_map(|it| it.open(&all));
        open.cloned().collect()
    }

    fn take_in(&mut self, now: i64) {
        let applied = self.applied();
        let mut report = (*self.report).clone();
        report.record_outcomes(&applied, &[]);
        self.report = Derived::new(report);
        let (planned, record, run) = (self.planned.clone(), self.record.clone(), id(self.number));
        self.memory.edit(|memory| {
            planned
                .ledger(&run, now)
                .record_outcomes(memory, &record, &applied);
        });
    }

    fn applied(&self) -> Applied {
        let mut applied = Applied {
            finish: if self.next().is_some() {
                Finish::CutOff
            } else {
                Finish::Complete
            },
            ..Applied::default()
        };
        for (at, planned) in self.record.actions.iter().enumerate() {
            let outcome = self.answers.get(&at).map(|answer| answer.outcome());
            let mut end = ActionEnd {
                outcome: Some(outcome.unwrap_or(ActionOutcome::Remaining)),
                ..ActionEnd::default()
            };
            if outcome == Some(ActionOutcome::Failed) {
                end.problems.push("no answer".into());
            }
            let mailbox = self
                .delta(at)
                .mailbox
                .filter(|_| planned.action.id.is_none());
            if let (Some(mailbox), true) = (mailbox, end.is_done()) {
                let id = Person::with_address(&planned.action.address).id();
                applied.created.insert(mailbox, id);
            }
            applied.actions.push(end);
        }
        applied
    }

    fn sent(&self, accounts: &Accounts) -> Vec<SentChange> {
        let before = self.before.accounts();
        let is_done = |at: &usize| self.outcome(*at).is_done();
        let done: Vec<usize> = self.answers.keys().copied().filter(is_done).collect();
        let created: BTreeMap<Target, ScimId> = done
            .iter()
            .filter(|at| self.delta(**at).create.is_some())
            .map(|at| (self.delta(*at).target, self.asks(*at).0.id()))
            .collect();
        let compared = done.iter().flat_map(|at| {
            let delta = self.delta(*at);
            let (person, active) = self.asks(*at);
            let asked = Asked {
                address: delta.create.is_some().then(|| person.address()),
                active: delta.activity.map(|_| active),
                ..Asked::default()
            };
            let sent = Sent {
                delta,
                asked: &asked,
            };
            compare(&sent, &before, accounts, &created)
        });
        compared.collect()
    }

    /// R22: `engine::run::verify`.
    fn remember(&mut self, changes: &[SentChange], report: &mut Report, now: i64) {
        let known = &self.planned.plan.ineffective;
        let outdated = changes.iter().filter_map(|change| known.get(&change.key));
        let outdated: Vec<_> = outdated.collect();
        report.skipped.retain(|note| !outdated.contains(&note));
        let (planned, run) = (self.planned.clone(), id(self.number));
        self.memory.edit(|memory| {
            let notes = planned.ledger(&run, now).record_effects(memory, changes);
            report.skipped.extend(notes);
        });
    }
}

/// The input that a run reads.
#[derive(Debug)]
pub(crate) struct Read {
    world: World,
    matching: Matching,
}

#[derive(Debug)]
pub(crate) struct Planned {
    read: Read,
    policy: Policy,
    plan: Plan,
    record: Document<PlanRecord>,
}

impl Planned {
    fn ledger<'a>(&'a self, run: &'a str, now: i64) -> Ledger<'a> {
        Ledger {
            plan: &self.plan,
            world: &self.read.world,
            policy: &self.policy,
            matching: &self.read.matching,
            run,
            now,
            is_for_all: true,
        }
    }
}

/// Plans by their input, since many histories lead to the same plan.
#[derive(Debug, Default)]
pub(crate) struct Plans(Mutex<HashMap<u64, Derived<Planned>>>);

impl Life {
    fn record_plan(&self, ledger: &Ledger<'_>, memory: &mut Memory) {
        ledger.record_plan(memory);
        if self.broken == Broken::Marks {
            memory.held_of.clear();
        }
    }

    fn plan(
        &self,
        organisation: Organisation,
        gone: &BTreeSet<Person>,
        memory: &Document<Memory>,
        wishes: &Wishes,
    ) -> Derived<Planned> {
        let mut hasher = DefaultHasher::new();
        (organisation, gone, memory, wishes.now, wishes.stops_first).hash(&mut hasher);
        (&wishes.approved, format!("{:?}", wishes.held)).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(known) = self.plans.0.lock().unwrap().get(&key) {
            return known.clone();
        }
        let read = Read::new(organisation, gone, memory, self);
        let policy = policy(self.limit);
        let plan = plan(&read.world, &policy, memory, &read.matching, wishes);
        let record = PlanRecord::of(
            &plan,
            &read.world,
            &read.matching,
            memory,
            policy.sso_account_key,
        );
        let planned = Derived::new(Planned {
            read,
            record: Document::new(record),
            policy,
            plan,
        });
        let mut plans = self.plans.0.lock().unwrap();
        plans.entry(key).or_insert(planned).clone()
    }
}

impl Read {
    fn new(
        organisation: Organisation,
        gone: &BTreeSet<Person>,
        memory: &Memory,
        life: &Life,
    ) -> Self {
        let world = world(organisation, gone);
        let matching = match_accounts(&world, &policy(life.limit), memory);
        Self { world, matching }
    }
}

impl State {
    pub(crate) fn start(
        &mut self,
        who: usize,
        code: Option<String>,
        a_day_later: bool,
        life: &Life,
    ) {
        self.now += pause(a_day_later);
        self.left.runs -= 1;
        self.runs += 1;
        let number = self.runs;
        let taken = self.seen.suspended_since_yesterday(self.now);
        let base = u32::try_from(self.organisation.active() + taken).unwrap();
        let allowed = usize::try_from(life.limit.of(base)).unwrap();
        let world = world(self.organisation, &self.gone);
        let read_from = (!self.memory.is_in_progress()).then_some(self.now);
        self.take_over(&world, life);
        self.give_back_of_killed(&world);
        let memory = self.memory.clone();
        let approval = code.as_ref().map(|code| self.approvals[code].clone());
        let all = BTreeSet::new();
        let approved = approval
            .iter()
            .flat_map(|it| it.open(&all))
            .cloned()
            .collect();
        let wishes = Wishes {
            approved,
            now: self.now,
            stops_first: memory.cut_off,
            ..Wishes::default()
        };
        let planned = life.plan(self.organisation, &self.gone, &memory, &wishes);
        self.offer(&planned.plan, read_from);
        let run = Run {
            number,
            read_from,
            code,
            approval: Document::new(approval),
            before: self.organisation,
            gone: self.gone.clone(),
            memory,
            revision: self.revision,
            disturbances: self.seen.disturbances,
            allowed,
            answers: BTreeMap::new(),
            report: Derived::new(described(number, &planned)),
            record: planned.record.clone(),
            planned,
        };
        self.seen
            .note(Event::Held, !run.planned.plan.held.is_empty());
        if run.planned.plan.approved.is_empty() {
            self.nothing_to_do(run, life);
        } else {
            self.lock = Some(who);
            self.instances[who] = Phase::Planned(run);
        }
    }

    fn nothing_to_do(&mut self, mut run: Run, life: &Life) {
        let (planned, number, now) = (run.planned.clone(), id(run.number), self.now);
        run.memory.edit(|memory| {
            let ledger = planned.ledger(&number, now);
            life.record_plan(&ledger, memory);
            ledger.forget_kept(memory);
        });
        let mut report = (*run.report).clone();
        report.converged = Some(!run.planned.plan.is_waiting);
        if self.save_memory(&mut run) {
            self.end(&run, report);
        }
    }

    /// R26, R35: counts the plan of a run that did not end.
    fn take_over(&mut self, world: &World, life: &Life) {
        let Some(InHand { run, .. }) = self.memory.in_hand.clone() else {
            return;
        };
        self.seen.note(Event::TookUp, true);
        let record = self.records.iter().find(|record| id(record.number) == run);
        let record = record.unwrap();
        let now = self.now;
        self.memory.edit(|memory| {
            let in_hand = memory.in_hand.take().unwrap();
            memory.cut_off |= in_hand.ended.is_none();
            if life.broken != Broken::InHand {
                record_interrupted(memory, in_hand, &record.record, &record.entries, world, now);
            }
        });
        self.revision += 1;
        self.forget_records();
    }

    /// R27, R35: changes that a killed run did not make stay approved.
    fn give_back_of_killed(&mut self, world: &World) {
        for record in self.records.iter_mut().filter(|record| record.is_open) {
            record.is_open = false;
            let outcome = |at: usize| {
                let entries = &record.entries;
                let known = entries.iter().find(|entry| entry.action as usize == at);
                match known {
                    Some(entry) => entry.outcome,
                    None if record.record.actions[at].changed_in(&world.accounts) => {
                        ActionOutcome::Applied
                    }
                    None => ActionOutcome::Remaining,
                }
            };
            give_back(
                &mut self.approvals,
                record.code.as_ref(),
                &record.record,
                outcome,
            );
        }
        self.forget_records();
    }

    fn forget_records(&mut self) {
        let in_hand = self.memory.in_hand.as_ref();
        let in_hand = in_hand.map(|plan| plan.run.clone());
        self.records
            .retain(|record| record.is_open || in_hand.as_ref() == Some(&id(record.number)));
    }

    fn offer(&mut self, plan: &Plan, read_from: Option<i64>) {
        let showing = Showing {
            at: self.now,
            read_from,
            by: None,
            four_eyes: false,
            undoes: None,
        };
        for held in &plan.held {
            let known = self.approvals.get(&held.code);
            if let Some(approval) = Approval::offer(held, known, showing) {
                self.shown_anew(&held.code);
                self.approvals.edit(|all| {
                    all.insert(held.code.clone(), approval);
                });
            }
        }
    }

    pub(crate) fn write_down(&mut self, who: usize, life: &Life) {
        let Phase::Planned(mut run) = self.idle(who) else {
            unreachable!("{who} has no plan")
        };
        if self.lock != Some(who) {
            self.seen.note(Event::LostLock, true);
            return;
        }
        let (planned, number, now) = (run.planned.clone(), id(run.number), self.now);
        run.memory.edit(|memory| {
            life.record_plan(&planned.ledger(&number, now), memory);
            memory.in_hand = Some(InHand::new(id(run.number), 0));
        });
        // A run that froze after its last write may have saved what it read in the meantime.
        if !self.save_memory(&mut run) {
            self.lock = None;
            return;
        }
        self.records.push(Record {
            number: run.number,
            code: run.code.clone(),
            is_open: true,
            record: run.record.clone(),
            entries: Document::default(),
        });
        if life.broken != Broken::Used {
            self.use_approval(&mut run);
        }
        self.instances[who] = Phase::Sending(run);
    }

    fn use_approval(&mut self, run: &mut Run) {
        let (Some(code), Some(mut approval)) = (&run.code, (*run.approval).clone()) else {
            return;
        };
        let actions = run.record.actions.iter();
        let planned = actions.flat_map(|action| &action.approved).collect();
        if approval.use_up(&planned, self.now) {
            self.approvals.edit(|all| {
                all.insert(code.clone(), approval.clone());
            });
        }
        run.approval = Document::new(Some(approval));
    }

    pub(crate) fn send(&mut self, who: usize, answer: Answer) {
        let Phase::Sending(mut run) = self.idle(who) else {
            unreachable!("{who} does not send")
        };
        if answer != Answer::Stored {
            self.fault();
        }
        let action = run.next().unwrap();
        if answer.is_stored() {
            self.store(&run, action, answer.outcome().is_done());
        }
        run.answers.insert(action, answer);
        let (person, _) = run.asks(action);
        let created = run.delta(action).create.is_some() && answer.outcome().is_done();
        let entry = Entry {
            left: Vec::new(),
            action: u32::try_from(action).unwrap(),
            outcome: answer.outcome(),
            created: created.then(|| person.id()),
            at: None,
            problems: Vec::new(),
        };
        let number = run.number;
        let records = self.records.iter_mut();
        if let Some(record) = records.into_iter().find(|record| record.number == number) {
            record.entries.edit(|entries| entries.push(entry));
        }
        self.instances[who] = Phase::Sending(run);
    }

    pub(crate) fn send_and_die(&mut self, who: usize, is_stored: bool) {
        let Phase::Sending(run) = self.idle(who) else {
            unreachable!("{who} does not send")
        };
        if is_stored {
            self.store(&run, run.next().unwrap(), false);
        }
        self.die(who);
    }

    /// Everything was sent, or the lock is lost.
    pub(crate) fn take_in(&mut self, who: usize) {
        let Phase::Sending(mut run) = self.idle(who) else {
            unreachable!("{who} does not send")
        };
        let is_stopped = run.next().is_some();
        self.seen.note(Event::LostLock, is_stopped);
        run.take_in(self.now);
        let outcome = |at| run.outcome(at);
        give_back(&mut self.approvals, run.code.as_ref(), &run.record, outcome);
        if let Some(code) = &run.code {
            run.approval = Document::new(self.approvals.get(code).cloned());
        }
        if !self.save_memory(&mut run) || is_stopped {
            self.close(&run);
            if self.lock == Some(who) {
                self.lock = None;
            }
            return;
        }
        self.instances[who] = Phase::Saved(run);
    }

    pub(crate) fn verify(&mut self, who: usize, lists_lag: bool, life: &Life) {
        let Phase::Saved(mut run) = self.idle(who) else {
            unreachable!("{who} has nothing to verify")
        };
        if lists_lag {
            self.fault();
        }
        let shown = if lists_lag {
            run.before
        } else {
            self.organisation
        };
        let changes = run.sent(&shown.accounts());
        let mut approved = run.approved();
        approved.extend(run.planned.plan.used_approvals.iter().cloned());
        let held = run.planned.plan.marks.clone();
        let wishes = Wishes {
            approved,
            now: self.now,
            stops_first: run.memory.cut_off,
            held: (life.broken != Broken::Marks).then_some(held),
            ..Wishes::default()
        };
        let again = life.plan(shown, &run.gone, &run.memory, &wishes);
        let again = &again.plan;
        let mut report = (*run.report).clone();
        report.converged = Some(again.approved.is_empty() && !again.is_waiting);
        report.differences = again.approved.actions().to_vec();
        report.held.clone_from(&again.held);
        self.offer(again, run.read_from);
        run.remember(&changes, &mut report, self.now);
        if self.save_memory(&mut run) {
            self.end(&run, report);
        } else {
            self.close(&run);
        }
        if self.lock == Some(who) {
            self.lock = None;
        }
    }

    fn idle(&mut self, who: usize) -> Phase {
        std::mem::replace(&mut self.instances[who], Phase::Idle)
    }

    /// Returns whether no other instance has saved the memory in the meantime.
    fn save_memory(&mut self, run: &mut Run) -> bool {
        if self.revision != run.revision {
            return false;
        }
        self.revision += 1;
        run.revision = self.revision;
        self.memory = run.memory.clone();
        true
    }

    fn close(&mut self, run: &Run) {
        let number = run.number;
        let mine = self.records.iter_mut();
        mine.filter(|record| record.number == number)
            .for_each(|record| record.is_open = false);
        self.forget_records();
    }

    /// Compares the statements of a report with the state of Zivver.
    fn end(&mut self, run: &Run, mut report: Report) {
        self.close(run);
        report.count();
        report.conclude();
        let is_held = |person: Person| {
            let mut changes = report.held.iter().flat_map(|set| &set.changes);
            changes.any(|change| change.address == person.address())
        };
        let is_named = |person: Person| {
            let address = person.address();
            is_held(person)
                || report
                    .skipped
                    .iter()
                    .any(|it| it.address == address.as_str())
                || report.failed.iter().any(|it| it.address == address)
                || report.differences.iter().any(|it| it.address == address)
        };
        let wrong = wrong(self.organisation, &run.gone);
        let is_silent = report.outcome == RunOutcome::InSync;
        let unnamed = wrong.iter().find(|it| is_silent || !is_named(**it));
        self.seen.unnamed = self.seen.unnamed.or(unnamed.copied());
        if self.seen.disturbances == run.disturbances {
            let open = wrong.iter().filter(|it| run.gone.contains(it));
            let left_open = open.copied().find(|it| !is_held(*it));
            self.seen.left_open = self.seen.left_open.or(left_open);
            let promised = &run.planned.plan.used_approvals;
            let held = report.held.iter().flat_map(|set| &set.changes);
            let mut held = held.filter(|change| promised.contains(&change.fingerprint));
            let did_nothing = held.next().is_some();
            self.seen.note(Event::CodeDidNothing, did_nothing);
        }
    }
}

fn give_back(
    approvals: &mut Document<BTreeMap<String, Approval>>,
    code: Option<&String>,
    record: &PlanRecord,
    outcome: impl Fn(usize) -> ActionOutcome,
) {
    let actions = record.actions.iter().enumerate();
    let not_done: BTreeSet<&String> = actions
        .filter(|(at, _)| !outcome(*at).is_done())
        .flat_map(|(_, action)| &action.approved)
        .collect();
    approvals.edit(|approvals| {
        if let Some(approval) = code.and_then(|code| approvals.get_mut(code)) {
            approval.give_back(&not_done);
        }
    });
}

fn described(number: u8, planned: &Planned) -> Report {
    let mut report = Report::begin(id(number), Mode::Apply, Trigger::Timer, String::new());
    report.describe(&planned.plan, &planned.read.world);
    report
}
