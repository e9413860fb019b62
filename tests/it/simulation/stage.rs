//! The shared parts of one simulation: the fault rates, the dice that decide about each request, the oracle, and the
//! trace.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    deaf::Deafness,
    dice::Dice,
    network::{Call, Fate, Service},
    oracle::Oracle,
    storage::Luck,
    time,
};

#[derive(Debug, Clone)]
pub(super) struct Stage(Arc<Mutex<Scene>>);

#[derive(Debug)]
pub(super) struct Scene {
    pub(super) weather: Weather,
    pub(super) oracle: Oracle,
    pub(super) processes: [ProcessState; time::PROCESSES],
    dice: Dice,
    /// Separate, so that older seeds keep their faults.
    slow_dice: Dice,
    deaf_dice: Dice,
    /// `None`: the trace is not needed.
    trace: Option<Vec<String>>,
    /// A hash of all events.
    pub(super) fingerprint: u64,
}

/// The fault rates, in per mille of requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Weather {
    pub(super) exchange: u64,
    pub(super) zivver: u64,
    pub(super) storage: u64,
    /// Tokens that are refused or delayed.
    pub(super) identity: u64,
    /// Requests to the storage that take longer than a lease.
    pub(super) hanging: u64,
    /// Objects of Exchange that fail in every attempt of an invocation.
    pub(super) cursed: u64,
    /// The rate of writes that Zivver answers with 200 and does not store as they are, and what it stores instead.
    pub(super) deaf: Option<(u64, Deafness)>,
    /// A service that does not answer for a while, with start and end.
    pub(super) outage: Option<(Service, Duration, Duration)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ProcessState {
    /// The number of its present invocation.
    pub(super) invocation: usize,
    pub(super) frozen_until: Option<Instant>,
    /// Killed after this number of further writes.
    pub(super) writes_to_live: Option<u32>,
    pub(super) doomed: bool,
}

impl Stage {
    pub(super) fn new(seed: u64, oracle: Oracle, traced: bool) -> Self {
        Self(Arc::new(Mutex::new(Scene {
            weather: Weather::default(),
            oracle,
            processes: Default::default(),
            dice: Dice::new(seed, "faults"),
            slow_dice: Dice::new(seed, "slow"),
            deaf_dice: Dice::new(seed, "deaf"),
            trace: traced.then(Vec::new),
            fingerprint: seed,
        })))
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Scene) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    pub(super) fn tell(&self, text: impl FnOnce() -> String) {
        self.with(|scene| scene.tell(text));
    }

    /// The requests of a frozen process wait.
    pub(super) async fn thaw(&self, process: usize) {
        while let Some(until) = self.with(|scene| scene.processes[process].frozen_until) {
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Scene {
    pub(super) fn tell(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let ms = time::elapsed_ms();
            let mut line = format!("{:>9}.{:03} ", ms / 1000, ms % 1000);
            write!(line, "{}", text()).unwrap();
            trace.push(line);
        }
    }

    pub(super) fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// Mixes an event into the fingerprint.
    pub(super) fn note(&mut self, what: &[u8]) {
        for byte in what {
            self.fingerprint = (self.fingerprint ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
        let ms = time::elapsed_ms().cast_unsigned();
        self.fingerprint = (self.fingerprint ^ ms).wrapping_mul(0x0100_0000_01B3);
    }

    pub(super) fn storage_luck(&mut self, write: bool) -> (Luck, Duration) {
        let pause = Duration::from_millis(self.dice.between(1, 12));
        if self.slow_dice.below(1000) < self.weather.hanging {
            let pause = Duration::from_secs(self.slow_dice.between(60, 200));
            let done = self.slow_dice.chance(50);
            self.tell(|| format!("storage hangs for {pause:?}, then it is done: {done}"));
            return (if done { Luck::Good } else { Luck::Refused }, pause);
        }
        let out = self.is_out(Service::Storage);
        if out || self.dice.below(1000) < self.weather.storage {
            let luck = match self.dice.below(if write { 4 } else { 3 }) {
                0 if !write && !out => Luck::CutShort,
                _ if out => Luck::Refused,
                2 if write => Luck::Lost,
                3 => Luck::Twice,
                _ => Luck::Refused,
            };
            self.tell(|| format!("storage {}: {luck:?}", if write { "write" } else { "read" }));
            return (luck, pause);
        }
        (Luck::Good, pause)
    }

    /// Whether a token is issued, and how long it takes: sometimes longer than any timeout.
    pub(super) fn token_luck(&mut self) -> (bool, Duration) {
        if self.slow_dice.below(1000) >= self.weather.identity {
            return (true, Duration::ZERO);
        }
        let pause = Duration::from_secs(*self.slow_dice.pick(&[0, 1, 140, 400]));
        let given = !pause.is_zero() && self.slow_dice.chance(70);
        self.tell(|| format!("token after {pause:?}: {given}"));
        (given, pause)
    }

    pub(super) fn deafness(&mut self) -> Option<Deafness> {
        let (rate, deafness) = self.weather.deaf.clone()?;
        (self.deaf_dice.below(1000) < rate).then_some(deafness)
    }

    fn is_out(&self, service: Service) -> bool {
        let now = time::elapsed();
        self.weather
            .outage
            .is_some_and(|(out, from, to)| out == service && from <= now && now < to)
    }

    /// Draws what happens to a request.
    pub(super) fn fate(&mut self, call: &Call) -> Fate {
        let rate = match call.service {
            Service::Exchange => self.weather.exchange,
            Service::Zivver => self.weather.zivver,
            Service::Storage => 0,
        };
        let cursed = self.weather.cursed;
        let out = self.is_out(call.service);
        let fate = Fate::draw(&mut self.dice, call, rate, cursed, out);
        if !fate.is_good() {
            self.tell(|| format!("  {} {}: {fate:?}", call.method, call.path));
        }
        fate
    }
}
