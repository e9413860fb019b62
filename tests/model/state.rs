//! The state between two steps, and what is known about it from outside.

use std::collections::{BTreeMap, BTreeSet};

use cloud_sync::domain::{approval::Approval, memory::Memory};

use crate::{
    Action, Life,
    people::{Organisation, Person},
    record::Document,
    run::{Answer, Phase, Record, Run},
};

pub(crate) const HOUR: i64 = 3600;
const DAY: i64 = 25 * HOUR;

/// How often an event may happen in one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) runs: u8,
    /// Answers that are lost or wrong, and lists that lag.
    pub(crate) faults: u8,
    /// Processes that die or freeze.
    pub(crate) ends: u8,
    /// Accounts that a person makes active again.
    pub(crate) let_in: u8,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            runs: 3,
            faults: 1,
            ends: 1,
            let_in: 1,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) struct State {
    pub(crate) now: i64,
    pub(crate) left: Budget,
    pub(crate) runs: u8,
    pub(crate) organisation: Organisation,
    /// The people whose mailbox is disabled.
    pub(crate) gone: BTreeSet<Person>,
    pub(crate) memory: Document<Memory>,
    pub(crate) revision: u8,
    pub(crate) approvals: Document<BTreeMap<String, Approval>>,
    /// Runs that have not ended, or whose plan is in progress.
    pub(crate) records: Vec<Record>,
    pub(crate) lock: Option<usize>,
    pub(crate) instances: [Phase; 2],
    pub(crate) seen: Seen,
}

/// What happened in Zivver, recorded without the product.
#[derive(Debug, Clone, Default, PartialEq, Hash)]
pub(crate) struct Seen {
    /// Who was suspended, and when.
    pub(crate) suspends: Vec<(i64, Person)>,
    pub(crate) made_by_code: BTreeSet<(String, Person)>,
    /// The newest run that wrote.
    pub(crate) last_writer: u8,
    pub(crate) disturbances: u8,
    pub(crate) events: BTreeSet<Event>,
    pub(crate) unnamed: Option<Person>,
    pub(crate) left_open: Option<Person>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Event {
    OverLimit,
    MadeTwice,
    TwoWriters,
    CodeDidNothing,
    Held,
    TookUp,
    LostLock,
}

impl Seen {
    pub(crate) fn note(&mut self, event: Event, happened: bool) {
        if happened {
            self.events.insert(event);
        }
    }

    /// Counts people, not changes: a run without an answer cannot know whether a person was suspended before being made
    /// active again.
    pub(crate) fn suspended_since_yesterday(&self, now: i64) -> usize {
        let since = self.suspends.iter().filter(|(at, _)| *at > now - 86_400);
        let people: BTreeSet<Person> = since.map(|(_, person)| *person).collect();
        people.len()
    }
}

impl State {
    pub(crate) fn new(left: Budget) -> Self {
        Self {
            now: 1_800_000_000,
            left,
            runs: 0,
            organisation: Organisation::new(),
            gone: BTreeSet::from([Person::Bert]),
            memory: Document::default(),
            revision: 0,
            approvals: Document::default(),
            records: Vec::new(),
            lock: None,
            instances: [Phase::Idle, Phase::Idle],
            seen: Seen::default(),
        }
    }

    pub(crate) fn never(&self, event: Event) -> bool {
        !self.seen.events.contains(&event)
    }

    pub(crate) fn starts(&self, actions: &mut Vec<Action>) {
        let idle = self.instances.iter().position(|it| it.run().is_none());
        let (Some(who), None, true) = (idle, self.lock, self.left.runs > 0) else {
            return;
        };
        for a_day_later in [false, true] {
            let at = self.now + pause(a_day_later);
            let serves = |approval: &&Approval| !approval.is_expired(at);
            let codes = self.approvals.iter();
            let codes = codes.filter(|(_, approval)| serves(approval));
            let codes = codes.map(|(code, _)| Some(code.clone()));
            actions.extend(codes.chain([None]).map(|code| Action::Start {
                who,
                code,
                a_day_later,
            }));
        }
    }

    pub(crate) fn goes_on(&self, who: usize, life: &Life, actions: &mut Vec<Action>) {
        let has_fault = self.left.faults > 0;
        let has_lock = self.lock == Some(who);
        match &self.instances[who] {
            Phase::Idle => return,
            Phase::Planned(_) => actions.push(Action::WriteDown(who)),
            Phase::Sending(run) => match run.next() {
                Some(_) if has_lock || life.broken == crate::Broken::Permit => {
                    actions.push(Action::Send(who, Answer::Stored));
                    if has_fault {
                        let faults = [Answer::Ignored, Answer::LostStored, Answer::Lost];
                        actions.extend(faults.map(|answer| Action::Send(who, answer)));
                    }
                    if self.left.ends > 0 {
                        actions.extend(
                            [true, false].map(|is_stored| Action::SendAndDie { who, is_stored }),
                        );
                    }
                }
                _ => actions.push(Action::TakeIn(who)),
            },
            Phase::Saved(_) => {
                let lags = if has_fault && has_lock {
                    &[false, true][..]
                } else {
                    &[false]
                };
                let verify = |lists_lag: &bool| Action::Verify {
                    who,
                    lists_lag: *lists_lag,
                };
                actions.extend(lags.iter().map(verify));
            }
        }
        if has_lock && self.left.ends > 0 {
            actions.extend([Action::Die(who), Action::Freeze(who)]);
        }
    }

    /// A person changes Zivver only between two runs, since a report cannot contain what changes after the run has
    /// read.
    pub(crate) fn by_people(&self, actions: &mut Vec<Action>) {
        if self.lock.is_some() {
            return;
        }
        if !self.gone.contains(&Person::Cora) {
            actions.push(Action::Leave(Person::Cora));
        }
        if self.left.let_in > 0 {
            let gone = self.gone.iter().copied();
            let out = gone.filter(|person| self.organisation.of(*person) == Some(false));
            actions.extend(out.map(Action::LetIn));
        }
    }

    pub(crate) fn leave(&mut self, person: Person) {
        self.gone.insert(person);
        self.disturb();
    }

    pub(crate) fn let_in(&mut self, person: Person) {
        self.left.let_in -= 1;
        self.organisation.set(person, true);
        self.disturb();
    }

    /// The process is gone, and its lock expires before another instance starts.
    pub(crate) fn die(&mut self, who: usize) {
        self.freeze();
        self.instances[who] = Phase::Idle;
    }

    pub(crate) fn freeze(&mut self) {
        self.left.ends -= 1;
        self.lock = None;
        self.disturb();
    }

    pub(crate) fn fault(&mut self) {
        self.left.faults -= 1;
        self.disturb();
    }

    pub(crate) fn disturb(&mut self) {
        self.seen.disturbances += 1;
    }

    /// What was made with a code and has been undone since can be approved again after it is shown again (R27).
    pub(crate) fn shown_anew(&mut self, code: &str) {
        let organisation = self.organisation;
        self.seen
            .made_by_code
            .retain(|(made, person)| made != code || organisation.of(*person) != Some(true));
    }

    /// A request arrives in Zivver. A change without an answer stays approved: it is not planned again unless a person
    /// undoes it.
    pub(crate) fn store(&mut self, run: &Run, action: usize, is_answered: bool) {
        let (person, active) = run.asks(action);
        let seen = &mut self.seen;
        seen.note(Event::TwoWriters, run.number < seen.last_writer);
        seen.last_writer = seen.last_writer.max(run.number);
        let was_active = self.organisation.of(person) == Some(true);
        self.organisation.set(person, active);
        if active || !was_active {
            return;
        }
        seen.suspends.push((self.now, person));
        if !run.is_approved(action) {
            let suspended = seen.suspended_since_yesterday(self.now);
            seen.note(Event::OverLimit, suspended > run.allowed);
        } else if let Some(code) = run.code.as_ref().filter(|_| is_answered) {
            let is_first = seen.made_by_code.insert((code.clone(), person));
            seen.note(Event::MadeTwice, !is_first);
        }
    }
}

pub(crate) fn pause(a_day_later: bool) -> i64 {
    if a_day_later { DAY } else { HOUR }
}
