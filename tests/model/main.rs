//! Model checking with stateright: what is held, over several runs of two instances that share one lock: hold, approve,
//! apply, verify, remember. Writes are lost or not answered, lists lag, processes die and freeze, people leave and are
//! made active again.
//!
//! The parts without I/O are those of the product: `plan` with the guard, `compare` and `remember` of verification,
//! `Approval`, `PlanRecord` and `Memory`. The code that connects them is the model's own, in the order of
//! `engine::run`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "how many states there are is a result")]

mod people;
mod record;
mod run;
mod state;

use std::time::Instant;

use cloud_sync::domain::guard::Limit;
use stateright::{Checker, HasDiscoveries, Model, Property};

use self::{
    people::Person,
    run::{Answer, Plans},
    state::{Budget, Event, State},
};

/// A rule that the model's own code breaks on purpose, to show that the model detects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// Verification forgets what the run held, and memory forgets the base of the limit (R36).
    Marks,
    /// A run writes without a check whether it still has the lock (R29).
    Permit,
    /// A change that is about to be made with a code can still be approved with it (R27).
    Used,
    /// What a killed run did does not count (R26, R35).
    InHand,
}

#[derive(Debug)]
struct Life {
    limit: Limit,
    budget: Budget,
    broken: Broken,
    plans: Plans,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    /// An instance takes the lock, reads, plans and shows codes. It is started with a code or by the timer.
    Start {
        who: usize,
        code: Option<String>,
        a_day_later: bool,
    },
    /// Stores memory, plan and approvals, before the first write.
    WriteDown(usize),
    Send(usize, Answer),
    /// The process ends while a request is on its way.
    SendAndDie {
        who: usize,
        is_stored: bool,
    },
    TakeIn(usize),
    Verify {
        who: usize,
        lists_lag: bool,
    },
    Die(usize),
    /// The process freezes for longer than its lease.
    Freeze(usize),
    Leave(Person),
    /// A person makes an account active again in Zivver.
    LetIn(Person),
}

impl Model for Life {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.budget)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.starts(actions);
        for who in 0..state.instances.len() {
            state.goes_on(who, self, actions);
        }
        state.by_people(actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Start {
                who,
                code,
                a_day_later,
            } => next.start(who, code, a_day_later, self),
            Action::WriteDown(who) => next.write_down(who, self),
            Action::Send(who, answer) => next.send(who, answer),
            Action::SendAndDie { who, is_stored } => next.send_and_die(who, is_stored),
            Action::TakeIn(who) => next.take_in(who),
            Action::Verify { who, lists_lag } => next.verify(who, lists_lag, self),
            Action::Die(who) => next.die(who),
            Action::Freeze(_) => next.freeze(),
            Action::Leave(person) => next.leave(person),
            Action::LetIn(person) => next.let_in(person),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(OVER, |_, state: &State| state.never(Event::OverLimit)),
            Property::always(ONCE, |_, state: &State| state.never(Event::MadeTwice)),
            Property::always(ONE_WRITER, |_, state: &State| {
                state.never(Event::TwoWriters)
            }),
            Property::always(NAMED, |_, state: &State| state.seen.unnamed.is_none()),
            Property::always(GONE, |_, state: &State| state.seen.left_open.is_none()),
            Property::always(APPROVED, |_, state: &State| {
                state.never(Event::CodeDidNothing)
            }),
            Property::sometimes("something is held", |_, state: &State| {
                !state.never(Event::Held)
            }),
            Property::sometimes("a code approves it", |_, state: &State| {
                !state.seen.made_by_code.is_empty()
            }),
            Property::sometimes("a change is sent again", |_, state: &State| {
                !state.memory.ineffective.is_empty()
            }),
            Property::sometimes("a run takes up another's work", |_, state: &State| {
                !state.never(Event::TookUp)
            }),
            Property::sometimes("a frozen run finds its lock taken", |_, state: &State| {
                !state.never(Event::LostLock)
            }),
        ]
    }
}

const OVER: &str = "R26: nothing over a limit without approval";
const ONCE: &str = "R27: each approved change at most once";
const ONE_WRITER: &str = "R29: one writer";
const NAMED: &str = "R36: what is wrong at the end of a run is held or named";
const GONE: &str = "R22: an undisturbed run leaves nothing wrong but what it holds";
const APPROVED: &str = "R27: a code approves what was shown with it";

impl Life {
    fn check(limit: &str, broken: Broken, until: HasDiscoveries) -> impl Checker<Self> {
        let life = Self {
            limit: limit.parse().unwrap(),
            budget: Budget::default(),
            broken,
            plans: Plans::default(),
        };
        let checker = life.checker().threads(2).finish_when(until);
        checker.spawn_bfs().join()
    }
}

/// A percentage, whose limit moves with the accounts that a run creates, and a count.
const LIMITS: [&str; 2] = ["50%", "1"];

#[test]
fn every_life_of_a_held_change_is_right() {
    for limit in LIMITS {
        let began = Instant::now();
        let checked = Life::check(limit, Broken::Nothing, HasDiscoveries::All);
        println!(
            "MAX_SUSPEND={limit}: {} states, {} of them different, {} steps deep, in {:.1} s",
            checked.state_count(),
            checked.unique_state_count(),
            checked.max_depth(),
            began.elapsed().as_secs_f64()
        );
        checked.assert_properties();
    }
}

#[test]
fn each_broken_rule_has_a_counterexample() {
    for (broken, limit, property) in [
        (Broken::Marks, "50%", GONE),
        (Broken::Permit, "1", ONE_WRITER),
        (Broken::Used, "1", ONCE),
        (Broken::InHand, "1", OVER),
    ] {
        let checked = Life::check(limit, broken, HasDiscoveries::AnyFailures);
        let path = checked.discovery(property);
        let path = path.unwrap_or_else(|| panic!("{broken:?} does not break {property:?}"));
        println!("{broken:?}: {:?}", path.into_actions());
    }
}
