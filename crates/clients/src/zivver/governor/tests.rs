//! Tests the pace with servers that count in different ways, in virtual time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::*;

const BUDGET: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Counting {
    Sliding,
    Fixed,
    Bucket,
}

const ALL: [Counting; 3] = [Counting::Sliding, Counting::Fixed, Counting::Bucket];

/// A server with one budget for all clients. Instants are relative to the start.
struct Server {
    counting: Counting,
    budget: u32,
    accepted: VecDeque<Duration>,
    tokens: f64,
    refilled: Duration,
}

impl Server {
    fn new(counting: Counting, budget: u32) -> Self {
        Self {
            counting,
            budget,
            accepted: VecDeque::new(),
            tokens: f64::from(budget),
            refilled: Duration::ZERO,
        }
    }

    fn accepts(&mut self, now: Duration) -> bool {
        let counts = |call: &Duration| match self.counting {
            Counting::Sliding => *call + WINDOW > now,
            // The windows do not start when the client does.
            Counting::Fixed => {
                let number = |at: Duration| (at.as_millis() + 3_700) / WINDOW.as_millis();
                number(*call) == number(now)
            }
            Counting::Bucket => false,
        };
        while self.accepted.front().is_some_and(|call| !counts(call)) {
            self.accepted.pop_front();
        }
        let budget = f64::from(self.budget);
        let rate = budget / WINDOW.as_secs_f64();
        let refill = now.saturating_sub(self.refilled).as_secs_f64() * rate;
        self.tokens = (self.tokens + refill).min(budget);
        self.refilled = now;
        let accepted = match self.counting {
            Counting::Sliding | Counting::Fixed => self.accepted.len() < self.budget as usize,
            Counting::Bucket => self.tokens >= 1.0,
        };
        if accepted {
            self.accepted.push_back(now);
            self.tokens -= 1.0;
        }
        accepted
    }
}

/// The parameters of a simulation.
struct World {
    writes: u32,
    in_flight_max: usize,
    counting: Counting,
    budget: u32,
    /// Whether refusals name the budget.
    tells: bool,
    /// Calls per second of another client, until an instant.
    others: f64,
    others_until: Duration,
    /// At random intervals instead of equal ones.
    others_random: bool,
    /// Time to the server, at the server, and back, each drawn from a range in milliseconds.
    way: (u64, u64),
    work: (u64, u64),
    seed: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            writes: 400,
            in_flight_max: 32,
            counting: Counting::Sliding,
            budget: BUDGET,
            tells: false,
            others: 0.0,
            others_until: Duration::MAX,
            others_random: false,
            way: (5, 40),
            work: (10, 60),
            seed: 7,
        }
    }
}

#[derive(Debug)]
struct Run {
    took: Duration,
    refused: u32,
    arrivals: Vec<Duration>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ask,
    Arrives(u64),
    Answered(u64, bool),
    Other,
}

struct Random(u64);

impl Random {
    fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        low + (self.0 >> 33) % (high - low + 1)
    }

    fn millis(&mut self, bounds: (u64, u64)) -> Duration {
        Duration::from_millis(self.between(bounds))
    }
}

/// The state of a simulation.
struct Simulation<'a> {
    world: &'a World,
    origin: Instant,
    pace: Pace,
    server: Server,
    random: Random,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    asks_at: Duration,
    left: u32,
    in_flight: usize,
    run: Run,
}

impl World {
    fn run(&self) -> Run {
        let mut simulation = Simulation {
            world: self,
            origin: Instant::now(),
            pace: Pace::new(BUDGET, WINDOW),
            server: Server::new(self.counting, self.budget),
            random: Random(self.seed),
            events: BinaryHeap::from([Reverse((Duration::ZERO, Event::Ask))]),
            asks_at: Duration::ZERO,
            left: self.writes,
            in_flight: 0,
            run: Run {
                took: Duration::ZERO,
                refused: 0,
                arrivals: Vec::new(),
            },
        };
        if self.others > 0.0 {
            simulation.at(Duration::from_millis(50), Event::Other);
        }
        while simulation.left > 0 || simulation.in_flight > 0 {
            simulation.step();
        }
        simulation.run
    }
}

impl Simulation<'_> {
    fn at(&mut self, instant: Duration, event: Event) {
        self.events.push(Reverse((instant, event)));
    }

    fn step(&mut self) {
        let Reverse((now, event)) = self.events.pop().expect("an event is pending");
        match event {
            Event::Ask => self.ask(now),
            Event::Arrives(call) => {
                self.run.arrivals.push(now);
                let accepted = self.server.accepts(now);
                let work = if accepted { self.world.work } else { (0, 1) };
                let back = self.random.millis(work) + self.random.millis(self.world.way);
                self.at(now + back, Event::Answered(call, accepted));
            }
            Event::Answered(call, accepted) => self.answered(now, call, accepted),
            Event::Other => {
                self.server.accepts(now);
                let mean = Duration::from_secs(1).div_f64(self.world.others);
                let mean = u64::try_from(mean.as_millis()).unwrap();
                let gap = if self.world.others_random {
                    (0, 2 * mean)
                } else {
                    (mean, mean)
                };
                let gap = self.random.millis(gap);
                if now < self.world.others_until {
                    self.at(now + gap, Event::Other);
                }
            }
        }
    }

    fn ask(&mut self, now: Duration) {
        while self.left > 0 && self.in_flight < self.world.in_flight_max {
            let wait = self.pace.next(self.origin + now);
            if !wait.is_zero() {
                if self.asks_at <= now {
                    self.asks_at = now + wait;
                    self.at(self.asks_at, Event::Ask);
                }
                break;
            }
            let call = self.pace.sent(self.origin + now);
            (self.left, self.in_flight) = (self.left - 1, self.in_flight + 1);
            let way = self.random.millis(self.world.way);
            self.at(now + way, Event::Arrives(call));
        }
    }

    fn answered(&mut self, now: Duration, call: u64, accepted: bool) {
        let told = self.world.tells && !accepted;
        let signals = Signals {
            heard: true,
            refused: !accepted,
            budget: told.then_some((self.world.budget, Some(WINDOW))),
            ..Signals::default()
        };
        self.pace.answered(call, self.origin + now, &signals);
        self.in_flight -= 1;
        self.left += u32::from(!accepted);
        self.run.refused += u32::from(!accepted);
        self.run.took = now;
        self.at(now, Event::Ask);
    }
}

/// The most arrivals in any window of 10 s.
fn densest(arrivals: &[Duration]) -> usize {
    (0..arrivals.len())
        .map(|first| {
            arrivals[first..]
                .iter()
                .take_while(|at| **at < arrivals[first] + WINDOW)
                .count()
        })
        .max()
        .unwrap_or(0)
}

fn floor(calls: u32) -> Duration {
    WINDOW * ((calls - 1) / BUDGET)
}

#[test]
fn r30_no_window_holds_more_than_the_budget_and_little_time_is_lost() {
    for counting in ALL {
        for (way, work) in [
            ((0, 0), (0, 0)),
            ((5, 40), (10, 60)),
            ((0, 300), (5, 20)),
            ((20, 60), (100, 400)),
            ((1, 2), (1000, 1100)),
        ] {
            let run = World {
                counting,
                way,
                work,
                ..World::default()
            }
            .run();
            let case = format!("{counting:?} {way:?} {work:?}: {:?}", run.took);
            assert_eq!(run.refused, 0, "{case}");
            assert!(densest(&run.arrivals) <= 50, "{case}");
            assert!(
                run.took <= floor(400).mul_f64(1.05) + Duration::from_millis(500),
                "{case}"
            );
        }
    }
}

#[test]
fn r30_no_jitter_makes_a_window_overflow() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut bounds = |low, more| {
            let low = random.between((0, low));
            (low, low + random.between((0, more)))
        };
        let (way, work) = (bounds(200, 1500), bounds(300, 500));
        let in_flight_max = [4, 16, 64][usize::try_from(seed % 3).unwrap()];
        let world = World {
            in_flight_max,
            way,
            work,
            seed,
            ..World::default()
        };
        let run = world.run();
        let case = format!("{way:?} {work:?} {in_flight_max}");
        assert!(run.refused == 0 && densest(&run.arrivals) <= 50, "{case}");
    }
}

#[test]
fn r30_the_first_calls_go_at_once() {
    let run = World {
        writes: 50,
        in_flight_max: 50,
        ..World::default()
    }
    .run();
    assert!(run.took < Duration::from_millis(200), "{:?}", run.took);
}

#[test]
fn r30_room_is_made_for_another_consumer() {
    for counting in ALL {
        for others_random in [false, true] {
            let world = World {
                writes: 2000,
                counting,
                others: 1.0,
                others_random,
                ..World::default()
            };
            let run = world.run();
            let case = format!(
                "{counting:?} random {others_random}: {} in {:?}",
                run.refused, run.took
            );
            assert!(run.refused <= 20, "{case}");
            // 40 of 50 calls are left for the client.
            assert!(run.took < Duration::from_secs(500).mul_f64(1.3), "{case}");
        }
    }
}

#[test]
fn r30_the_room_is_taken_back_when_the_other_consumer_stops() {
    let busy = World {
        writes: 2000,
        others: 1.0,
        others_until: Duration::from_secs(60),
        ..World::default()
    };
    let run = busy.run();
    assert!(run.refused <= 20, "{}", run.refused);
    assert!(run.took < Duration::from_secs(450), "{:?}", run.took);
}

#[test]
fn r30_a_smaller_budget_is_learnt_from_the_first_refusals() {
    for counting in ALL {
        let run = World {
            writes: 200,
            counting,
            budget: 20,
            tells: true,
            ..World::default()
        }
        .run();
        assert!(run.refused <= 30, "{counting:?}: {}", run.refused);
        assert!(
            run.took < Duration::from_secs(115),
            "{counting:?}: {:?}",
            run.took
        );
        let untold = World {
            writes: 200,
            counting,
            budget: 20,
            ..World::default()
        }
        .run();
        assert!(untold.refused <= 40, "{counting:?}: {}", untold.refused);
        assert!(
            untold.took < Duration::from_secs(160),
            "{counting:?}: {:?}",
            untold.took
        );
    }
}

#[test]
fn r30_headers_show_the_other_consumer_before_anything_is_refused() {
    let origin = Instant::now();
    let mut pace = Pace::new(BUDGET, WINDOW);
    let call = pace.sent(origin);
    let signals = Signals {
        heard: true,
        budget: Some((50, Some(WINDOW))),
        remaining: Some(9),
        ..Signals::default()
    };
    pace.answered(call, origin, &signals);
    // 41 are used, 40 of them by others. Half of the budget stays with the client, however much others use.
    let more = (0..).take_while(|_| {
        let free = pace.next(origin).is_zero();
        if free {
            pace.sent(origin);
        }
        free
    });
    assert_eq!(more.count(), 24);
}

#[test]
fn r30_a_refusal_stops_everything_for_as_long_as_it_says() {
    let origin = Instant::now();
    for (wait, expected) in [(None, 10), (Some(3), 3), (Some(0), 0), (Some(100_000), 60)] {
        let mut pace = Pace::new(BUDGET, WINDOW);
        let call = pace.sent(origin);
        let wait = wait.map(Duration::from_secs);
        let signals = Signals {
            heard: true,
            refused: true,
            wait,
            ..Signals::default()
        };
        pace.answered(call, origin, &signals);
        assert_eq!(pace.next(origin), Duration::from_secs(expected), "{wait:?}");
    }
}

#[test]
fn r31_a_retry_after_of_zero_is_obeyed_once() {
    let refusal = |wait| Signals {
        heard: true,
        refused: true,
        wait: Some(wait),
        ..Signals::default()
    };
    let accepted = Signals {
        heard: true,
        ..Signals::default()
    };
    let second = Duration::from_secs(1);
    let mut pace = Pace::new(BUDGET, WINDOW);
    let mut now = Instant::now();
    let mut answer = |signals: &Signals, later| {
        now += later;
        let call = pace.sent(now);
        now += Duration::from_millis(20);
        pace.answered(call, now, signals);
        pace.next(now)
    };
    let nothing = refusal(Duration::ZERO);
    assert_eq!(answer(&nothing, Duration::ZERO), Duration::ZERO);
    assert_eq!(answer(&nothing, Duration::ZERO), WINDOW);
    // A plausible wait is obeyed exactly, however often it is sent.
    let later = WINDOW + second;
    assert_eq!(answer(&refusal(second * 3), later), second * 3);
    assert_eq!(answer(&refusal(second * 3), second * 3), second * 3);
    // After an accepted call the next refusal counts as the first again.
    assert_eq!(answer(&accepted, second * 3), Duration::ZERO);
    assert_eq!(answer(&nothing, Duration::ZERO), Duration::ZERO);
}

#[test]
fn r31_refusals_of_one_burst_are_one() {
    let origin = Instant::now();
    let mut pace = Pace::new(BUDGET, WINDOW);
    let burst: Vec<_> = (0..10).map(|_| pace.sent(origin)).collect();
    for (millis, call) in (20..).zip(burst) {
        let refusal = Signals {
            heard: true,
            refused: true,
            wait: Some(Duration::ZERO),
            ..Signals::default()
        };
        let now = origin + Duration::from_millis(millis);
        pace.answered(call, now, &refusal);
        assert_eq!(pace.next(now), Duration::ZERO);
    }
}

#[test]
fn r30_a_window_that_was_told_outlives_a_number_alone() {
    let origin = Instant::now();
    for window_s in [20, 100] {
        let mut pace = Pace::new(BUDGET, WINDOW);
        let mut tell = |refused, window: Option<u64>| {
            let call = pace.sent(origin);
            let signals = Signals {
                heard: true,
                refused,
                budget: Some((20, window.map(Duration::from_secs))),
                wait: Some(Duration::ZERO),
                ..Signals::default()
            };
            pace.answered(call, origin, &signals);
        };
        tell(true, Some(window_s));
        tell(false, None);
        while pace.next(origin).is_zero() {
            pace.sent(origin);
        }
        assert!(
            pace.next(origin) >= Duration::from_secs(window_s),
            "{window_s}"
        );
    }
}

#[test]
fn r30_what_zivver_says_never_makes_it_faster() {
    let origin = Instant::now();
    for (told, expected) in [
        ((100, Some(10)), 50),
        ((20, Some(10)), 20),
        ((20, Some(2)), 20),
        ((100, Some(100)), 50),
        ((20, None), 20),
    ] {
        let mut pace = Pace::new(BUDGET, WINDOW);
        let call = pace.sent(origin);
        let budget = Some((told.0, told.1.map(Duration::from_secs)));
        pace.answered(
            call,
            origin,
            &Signals {
                heard: true,
                budget,
                ..Signals::default()
            },
        );
        let mut sent = 1;
        while pace.next(origin).is_zero() {
            pace.sent(origin);
            sent += 1;
        }
        assert_eq!(sent, expected, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r30_the_governor_waits_and_a_dropped_permit_counts() {
    let governor = Governor::new(Rate::Budget {
        calls: 2,
        window: WINDOW,
    });
    let start = Instant::now();
    drop(governor.permit().await);
    governor.permit().await.answered(&Signals {
        heard: true,
        ..Signals::default()
    });
    assert_eq!(start.elapsed(), Duration::ZERO);
    let permit = governor.permit().await;
    assert!(start.elapsed() >= WINDOW && start.elapsed() < WINDOW + Duration::from_millis(200));
    drop(permit);
    let free = Governor::new(Rate::Unlimited);
    for _ in 0..1000 {
        drop(free.permit().await);
    }
}
