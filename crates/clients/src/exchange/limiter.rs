//! How many requests may be in flight: finds the highest level that the service accepts and stays just below it
//! (`docs/specs/exchange-online.md`, "0. Decisions", decision 3). Pure: each instant is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// The first limit of a run. Latency alone never reduces the limit below it.
const START: f64 = 8.0;
/// The factor of the limit after a refusal.
const CUT: f64 = 0.8;
/// The shortest time between two attempts to exceed a refused level.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// Answers slower than the best latency by this factor stop the growth: the service queues or delays them.
const SLOW: f64 = 2.0;
/// Answers slower by this factor reduce the limit like a refusal, but never below the start.
const VERY_SLOW: f64 = 4.0;
/// Smaller differences are noise, whatever their ratio.
const LATENCY_NOISE_S: f64 = 0.1;

/// Additive increase, multiplicative decrease, with a memory of the level that was refused.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: f64,
    ceiling: f64,
    /// The level that the service refused, when that was seen, and by how much the next probe exceeds it.
    refused: Option<Refused>,
    accepted: AcceptedLevels,
    last_cut: Option<Instant>,
    /// No request may leave before this instant, because the service asked for a pause.
    paused_until: Option<Instant>,
    latency: Latency,
}

#[derive(Debug)]
struct Refused {
    level: f64,
    since: Instant,
    probe_step: f64,
}

/// Successes by level, in the current period of 10 s and in the one before.
#[derive(Debug, Default)]
struct AcceptedLevels {
    since: Option<Instant>,
    now: Vec<u32>,
    before: Vec<u32>,
}

/// Latencies seen so far, in seconds.
#[derive(Debug, Default)]
struct Latency {
    /// Moving average.
    recent: Option<f64>,
    /// The lowest average. It rises by 2 % per second, so that one lucky moment is forgotten.
    best: Option<(f64, Instant)>,
}

/// State of the limiter when a request left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    pub(super) at: Instant,
    /// Requests in flight or about to leave, including this one.
    pub(super) in_flight: u32,
}

impl Limiter {
    pub(super) fn new(ceiling: usize) -> Self {
        let ceiling = f64::from(u32::try_from(ceiling).unwrap_or(u32::MAX)).max(1.0);
        Self {
            limit: START.min(ceiling),
            ceiling,
            refused: None,
            accepted: AcceptedLevels::default(),
            last_cut: None,
            paused_until: None,
            latency: Latency::default(),
        }
    }

    /// How many requests may be in flight now; at least 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and a u32"
    )]
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// When the next request may leave, if it must wait.
    pub(super) fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| *until > now)
    }

    /// A request succeeded. `latency` is only given where latencies are comparable.
    pub(super) fn on_success(
        &mut self,
        now: Instant,
        departure: Departure,
        latency: Option<Duration>,
    ) {
        self.accepted.observe(now, departure.in_flight);
        // A request that left before the last cut was made at the old level.
        let judges = self.last_cut.is_none_or(|cut| departure.at > cut);
        if let Some(latency) = latency.filter(|_| judges) {
            self.latency.observe(now, latency);
            if self.latency.is_above(VERY_SLOW) && self.limit > START {
                self.remember(now, f64::from(departure.in_flight).max(START + 1.0));
                self.limit = (self.limit * CUT).max(START);
                self.last_cut = Some(now);
                self.latency.recent = self.latency.best.map(|(best, _)| best);
                return;
            }
        }
        self.probe(now);
        let full = f64::from(departure.in_flight) + 1.0 >= self.limit.floor();
        let bound = self.bound();
        if full && self.limit < bound && !self.latency.is_above(SLOW) {
            self.limit = (self.limit + 1.0 / self.limit).min(bound);
        }
    }

    /// A refusal (429, 503, timeout). Only `retry_after` pauses all workers. Requests that left before the last cut say
    /// nothing about the new level.
    pub(super) fn on_refusal(
        &mut self,
        now: Instant,
        departure: Departure,
        retry_after: Option<Duration>,
    ) {
        if let Some(until) = retry_after.and_then(|wait| now.checked_add(wait)) {
            self.paused_until = self.paused_until.max(Some(until));
        }
        if self.last_cut.is_some_and(|cut| departure.at <= cut) {
            return;
        }
        // The first request of a burst left alone, but was refused because of the requests that followed it.
        let level = f64::from(departure.in_flight).max((self.limit * CUT).floor());
        if !self.accepted.holds(level) {
            self.remember(now, level);
        }
        self.limit = (self.limit.min(level) * CUT).max(1.0);
        self.last_cut = Some(now);
    }

    fn remember(&mut self, now: Instant, level: f64) {
        self.refused = Some(Refused {
            level: level.max(2.0),
            since: now,
            probe_step: 1.0,
        });
    }

    /// One below the refused level, and never above the ceiling.
    fn bound(&self) -> f64 {
        self.refused
            .as_ref()
            .map_or(self.ceiling, |refused| {
                (refused.level - 1.0).min(self.ceiling)
            })
            .max(1.0)
    }

    /// Every 10 s without a refusal the remembered level rises: first by one, then by twice as much each time.
    fn probe(&mut self, now: Instant) {
        let (ceiling, at_bound) = (self.ceiling, self.limit + 0.5 >= self.bound());
        let Some(refused) = &mut self.refused else {
            return;
        };
        if now.duration_since(refused.since) < PROBE_EVERY || !at_bound {
            return;
        }
        refused.level += refused.probe_step;
        refused.probe_step *= 2.0;
        refused.since = now;
        if refused.level > ceiling {
            self.refused = None;
        }
    }
}

impl AcceptedLevels {
    fn observe(&mut self, now: Instant, level: u32) {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) > PROBE_EVERY)
        {
            self.since = Some(now);
            self.before = std::mem::take(&mut self.now);
        }
        let index = level as usize;
        if self.now.len() <= index {
            self.now.resize(index + 1, 0);
        }
        self.now[index] += 1;
    }

    /// Whether the service recently accepted `level` for some round trips. Then a refusal does not show a fixed level,
    /// and remembering it would lower the limit further with each refusal.
    fn holds(&self, level: f64) -> bool {
        let successes: u32 = [&self.now, &self.before]
            .into_iter()
            .flat_map(|counts| (0_u32..).zip(counts))
            .filter(|(at, _)| f64::from(*at) >= level)
            .map(|(_, count)| *count)
            .sum();
        f64::from(successes) >= 2.0 * level
    }
}

impl Latency {
    fn observe(&mut self, now: Instant, latency: Duration) {
        let sample = latency.as_secs_f64();
        // A single late answer must not look like a trend.
        let recent = self.recent.map_or(sample, |recent| {
            let bounded = sample.min((recent * VERY_SLOW).max(LATENCY_NOISE_S));
            recent + (bounded - recent) * 0.1
        });
        self.recent = Some(recent);
        let best = self.best.map_or(recent, |(best, at)| {
            let forgotten = 1.0 + 0.02 * now.duration_since(at).as_secs_f64();
            (best * forgotten).min(recent)
        });
        self.best = Some((best, now));
    }

    fn is_above(&self, factor: f64) -> bool {
        match (self.recent, self.best) {
            (Some(recent), Some((best, _))) => {
                recent > best * factor && recent - best > LATENCY_NOISE_S
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A limiter kept busy by a service with a latency of 40 ms.
    struct Drive {
        limiter: Limiter,
        now: Instant,
    }

    impl Drive {
        fn new(ceiling: usize) -> Self {
            Self {
                limiter: Limiter::new(ceiling),
                now: Instant::now(),
            }
        }

        /// One round trip with all places taken. `refuses` tells whether the request in a place is refused.
        fn round(&mut self, latency_ms: u64, refuses: impl Fn(u32) -> bool) {
            let in_flight = self.limiter.limit();
            let departure = Departure {
                at: self.now,
                in_flight,
            };
            let latency = Duration::from_millis(latency_ms);
            self.now += latency;
            for place in 1..=in_flight {
                if refuses(place) {
                    self.limiter.on_refusal(self.now, departure, None);
                } else {
                    self.limiter.on_success(self.now, departure, Some(latency));
                }
            }
        }
    }

    #[test]
    fn it_grows_by_one_a_round_trip_up_to_the_ceiling() {
        let mut drive = Drive::new(16);
        assert_eq!(drive.limiter.limit(), 8);
        for _ in 0..12 {
            drive.round(40, |_| false);
        }
        assert!((15..=16).contains(&drive.limiter.limit()));
        for _ in 0..100 {
            drive.round(40, |_| false);
        }
        assert_eq!(drive.limiter.limit(), 16);
        assert_eq!(Limiter::new(1).limit(), 1);
        assert_eq!(Limiter::new(0).limit(), 1);
    }

    #[test]
    fn it_finds_the_level_and_stays_one_below() {
        let mut drive = Drive::new(64);
        let mut refusals = 0;
        for round in 0..2000 {
            let limit = drive.limiter.limit();
            if limit > 20 {
                refusals += 1;
            }
            if round > 40 {
                assert!((16..=21).contains(&limit), "round {round}: {limit}");
            }
            drive.round(40, |place| place > 20);
        }
        // 80 s: the first refusal, and a probe every ten seconds.
        assert!((2..=10).contains(&refusals), "{refusals}");
    }

    #[test]
    fn refusals_at_random_do_not_ratchet_it_down() {
        let mut drive = Drive::new(16);
        let mut total = 0;
        for round in 0_u32..1000 {
            drive.round(40, |place| round % 7 == 3 && place == 4);
            total += drive.limiter.limit();
        }
        assert!(total / 1000 >= 8, "{}", total / 1000);
    }

    #[test]
    fn it_never_falls_below_one_and_recovers() {
        let mut drive = Drive::new(16);
        for _ in 0..50 {
            drive.round(40, |_| true);
        }
        assert_eq!(drive.limiter.limit(), 1);
        for _ in 0..2000 {
            drive.round(40, |_| false);
        }
        assert_eq!(drive.limiter.limit(), 16);
    }

    #[test]
    fn only_a_retry_after_pauses() {
        let mut limiter = Limiter::new(16);
        let now = Instant::now();
        let departure = Departure {
            at: now,
            in_flight: 1,
        };
        limiter.on_refusal(now, departure, None);
        assert_eq!(limiter.paused_until(now), None);
        limiter.on_refusal(now, departure, Some(Duration::from_secs(7)));
        limiter.on_refusal(now, departure, Some(Duration::from_secs(3)));
        let until = now + Duration::from_secs(7);
        assert_eq!(limiter.paused_until(now), Some(until));
        assert_eq!(limiter.paused_until(until), None);
    }

    #[test]
    fn slow_answers_stop_growth_and_very_slow_ones_cut() {
        let mut drive = Drive::new(64);
        for _ in 0..16 {
            drive.round(100, |_| false);
        }
        let reached = drive.limiter.limit();
        for _ in 0..20 {
            drive.round(300, |_| false);
        }
        assert!(drive.limiter.limit() <= reached + 3);
        for _ in 0..20 {
            drive.round(2000, |_| false);
        }
        assert!(drive.limiter.limit() < reached);
        assert!(drive.limiter.limit() >= 8);
    }
}
