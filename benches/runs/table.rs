//! One line for each run: its times, and the time that the two services alone need.

use std::{fmt, time::Duration};

use serde::Deserialize;

use super::{CONCURRENCY, Outcome, measure::Usage};

/// Writes in flight.
const WRITES_IN_FLIGHT: u64 = 32;

/// The conditions under which a run was measured.
pub(super) struct Setup<'a> {
    pub(super) name: &'a str,
    pub(super) mailboxes: usize,
    pub(super) latency: Duration,
    /// The requests in flight that Exchange accepts, or that the program may send.
    pub(super) in_flight: u64,
    /// The part of Zivver's budget that is left to the program.
    pub(super) budget: Option<(u64, Duration)>,
}

impl Setup<'_> {
    pub(super) fn new(mailboxes: usize) -> Self {
        Self {
            name: "",
            mailboxes,
            latency: Duration::ZERO,
            in_flight: CONCURRENCY,
            budget: None,
        }
    }
}

/// The parts of a report that the table needs.
#[derive(Deserialize)]
struct Report {
    error: Option<String>,
    outcome: String,
    requests: Requests,
}

#[derive(Deserialize)]
struct Requests {
    exchange: Service,
    zivver: Service,
}

#[derive(Deserialize)]
struct Service {
    total: u64,
    #[serde(default)]
    throttled: u64,
    by_kind: std::collections::BTreeMap<String, u64>,
}

impl Service {
    fn kind(&self, part: &str) -> u64 {
        let counts = self.by_kind.iter().filter(|(kind, _)| kind.contains(part));
        counts.map(|(_, count)| count).sum()
    }
}

pub(super) struct Row {
    label: String,
    outcome: String,
    wall: Duration,
    floor: Duration,
    exchange: u64,
    zivver: u64,
    refused: u64,
    cpu_s: f64,
    memory_max_mib: u64,
}

impl Row {
    pub(super) fn of(setup: &Setup<'_>, usage: &Usage) -> Outcome<Self> {
        let report: Report = serde_json::from_slice(&usage.output)
            .map_err(|error| format!("no report ({:?}): {error}", usage.code))?;
        if let Some(error) = report.error {
            return Err(error.into());
        }
        let Requests { exchange, zivver } = report.requests;
        Ok(Self {
            label: format!(
                "{:>7} {:<24} {:>4} ms",
                setup.mailboxes,
                setup.name,
                setup.latency.as_millis()
            ),
            outcome: report.outcome,
            wall: usage.wall,
            floor: floor(setup, &exchange, &zivver),
            refused: exchange.throttled + zivver.throttled,
            exchange: exchange.total,
            zivver: zivver.total,
            cpu_s: usage.cpu_s,
            memory_max_mib: usage.memory_max_kib / 1024,
        })
    }
}

/// The time that the services need: the pages of the list one after the other, all other reads and the writes with as
/// many requests in flight as allowed, both lists of Zivver again after writes, and Zivver's budget.
fn floor(setup: &Setup<'_>, exchange: &Service, zivver: &Service) -> Duration {
    let lists = exchange.kind("list");
    let reads = (exchange.total - exchange.throttled - lists).div_ceil(setup.in_flight);
    let zivver_lists = zivver.kind("list");
    let writes = zivver.total - zivver_lists;
    let rounds = writes.div_ceil(WRITES_IN_FLIGHT) + u64::from(zivver_lists > 2);
    let steps = u32::try_from(lists + reads + rounds).unwrap_or(u32::MAX);
    let waiting = setup.latency * steps;
    let budget = setup.budget.map_or(Duration::ZERO, |(calls, window)| {
        let windows = (zivver.total - zivver.throttled).saturating_sub(1) / calls;
        window * u32::try_from(windows).unwrap_or(u32::MAX)
    });
    waiting.max(budget)
}

pub(super) fn head() -> String {
    format!(
        "{:<39} {:>9} {:>9} {:>6} {:>9} {:>7} {:>7} {:>8} {:>8}  outcome",
        "mailboxes, run, latency",
        "time",
        "floor",
        "ratio",
        "exchange",
        "zivver",
        "refused",
        "CPU",
        "memory"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wall, floor) = (self.wall.as_secs_f64(), self.floor.as_secs_f64());
        write!(
            f,
            "{:<39} {:>7.2} s {:>7.2} s {:>6.2} {:>9} {:>7} {:>7} {:>6.2} s {:>4} MiB  {}",
            self.label,
            wall,
            floor,
            wall / floor,
            self.exchange,
            self.zivver,
            self.refused,
            self.cpu_s,
            self.memory_max_mib,
            self.outcome
        )
    }
}
