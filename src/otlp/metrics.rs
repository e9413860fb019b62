//! Counters of this process, calculated from the reports of its runs.

use std::collections::BTreeMap;

use super::wire::{Message, Value, attributes};
use domain::{health::Run, name_in_json, report::Report};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`
const CUMULATIVE: u32 = 2;

/// Name, unit, description.
type Instrument = (&'static str, &'static str, &'static str);

const RUNS: Instrument = (
    "cloud_sync.runs",
    "{run}",
    "Runs that ended or were cut off",
);
const REQUESTS: Instrument = (
    "cloud_sync.requests",
    "{request}",
    "Requests sent, repetitions included",
);
const RETRIES: Instrument = (
    "cloud_sync.retries",
    "{request}",
    "Repetitions among the requests",
);
const THROTTLED: Instrument = (
    "cloud_sync.throttled",
    "{response}",
    "Answers that said to slow down",
);
const WRITES: Instrument = (
    "cloud_sync.writes",
    "{action}",
    "Changes of accounts, by what came of them",
);
const HELD: Instrument = (
    "cloud_sync.held",
    "{change}",
    "Changes that wait for a person",
);
const MAILBOXES: Instrument = (
    "cloud_sync.mailboxes",
    "{mailbox}",
    "Mailboxes that Exchange listed",
);
const ACCOUNTS: Instrument = ("cloud_sync.accounts", "{account}", "Accounts in Zivver");
const DURATION: Instrument = (
    "cloud_sync.run.duration",
    "ms",
    "How long the last run took",
);

/// The attributes of one time series.
type Labels = Vec<(&'static str, String)>;

/// The sums since the process started.
#[derive(Debug)]
pub(super) struct Totals {
    /// Nanoseconds since the epoch.
    began: u64,
    sums: BTreeMap<Instrument, BTreeMap<Labels, i64>>,
}

impl Totals {
    pub(super) fn start(now: u64) -> Self {
        Self {
            began: now,
            sums: BTreeMap::new(),
        }
    }

    fn count(&mut self, instrument: Instrument, labels: Labels, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let series = self.sums.entry(instrument).or_default().entry(labels);
        *series.or_default() += count;
    }

    pub(super) fn add(&mut self, report: &Report, is_success: bool) {
        let run = vec![
            ("mode", name_in_json(report.mode)),
            ("depth", name_in_json(report.depth)),
            ("outcome", name_in_json(report.outcome)),
            ("success", is_success.to_string()),
        ];
        self.count(RUNS, run, 1);
        for (service, requests) in [
            ("exchange", &report.requests.exchange),
            ("zivver", &report.requests.zivver),
        ] {
            let of = || ("service", service.to_owned());
            for (kind, count) in &requests.by_kind {
                self.count(REQUESTS, vec![of(), ("kind", kind.clone())], *count);
            }
            self.count(RETRIES, vec![of()], requests.retries);
            self.count(THROTTLED, vec![of()], requests.throttled);
        }
        for action in &report.actions {
            let labels = vec![
                ("action", name_in_json(action.action.kind)),
                ("outcome", name_in_json(action.outcome)),
            ];
            self.count(
                WRITES,
                labels,
                u64::from(report.mode == domain::mode::Mode::Apply),
            );
        }
    }

    /// All sums, and the gauges of the last run: of one that did not see all accounts only its duration (R28).
    pub(super) fn metrics(&self, last: &Report, now: u64) -> Vec<Message> {
        let sums = self.sums.iter().map(|(instrument, series)| {
            let points = series
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(labels, count)| {
                    point(labels, *count, now).with(
                        2,
                        "startTimeUnixNano",
                        Value::Fixed(self.began),
                    )
                });
            let sum = Message::default()
                .many(1, "dataPoints", points.collect())
                .with(2, "aggregationTemporality", Value::Number(CUMULATIVE))
                .with(3, "isMonotonic", Value::Bool(true));
            described(*instrument).one(7, "sum", sum)
        });
        let of_all = [
            (HELD, u64::from(last.counts.held)),
            (MAILBOXES, u64::from(last.source.mailboxes)),
            (
                ACCOUNTS,
                u64::from(last.target.users) + u64::from(last.target.functional),
            ),
        ];
        let of_all = of_all
            .into_iter()
            .filter(|_| Run::from(last).saw_everybody());
        let gauges = of_all
            .chain([(DURATION, last.duration_ms)])
            .map(|(instrument, value)| {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                let gauge = Message::default().many(1, "dataPoints", vec![point(&[], value, now)]);
                described(instrument).one(5, "gauge", gauge)
            });
        sums.chain(gauges).collect()
    }
}

/// `Metric`
fn described((name, unit, description): Instrument) -> Message {
    Message::default()
        .text(1, "name", name)
        .text(2, "description", description)
        .text(3, "unit", unit)
}

/// `NumberDataPoint`
fn point(labels: &[(&'static str, String)], value: i64, now: u64) -> Message {
    let labels = labels
        .iter()
        .map(|(key, text)| (*key, Value::Text(text.clone())));
    Message::default()
        .with(3, "timeUnixNano", Value::Fixed(now))
        .with(6, "asInt", Value::SignedFixed(value))
        .many(7, "attributes", attributes(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::mode::{Mode, Trigger};

    #[test]
    fn counters_add_up_over_runs() {
        let mut report = Report::begin(
            "r".into(),
            Mode::Apply,
            Trigger::Timer,
            "2026-11-23T02:00:00Z".into(),
        );
        report
            .requests
            .zivver
            .by_kind
            .insert("zivver users".into(), 3);
        report.requests.zivver.retries = 2;
        report.state = domain::report::RunState::Ended;
        report.outcome = domain::report::RunOutcome::InSync;
        let mut totals = Totals::start(5);
        totals.add(&report, true);
        totals.add(&report, true);
        let metrics = totals.metrics(&report, 9);
        let shown = |name: &str| {
            let all = metrics.iter().map(Message::json);
            all.into_iter()
                .find(|metric| metric["name"] == name)
                .unwrap()
        };
        let points = &shown("cloud_sync.requests")["sum"]["dataPoints"];
        assert_eq!(points[0]["asInt"], "6");
        assert_eq!(points[0]["startTimeUnixNano"], "5");
        assert_eq!(
            points[0]["attributes"][1]["value"]["stringValue"],
            "zivver users"
        );
        assert_eq!(
            shown("cloud_sync.retries")["sum"]["dataPoints"][0]["asInt"],
            "4"
        );
        assert_eq!(
            shown("cloud_sync.runs")["sum"]["dataPoints"][0]["asInt"],
            "2"
        );
        assert_eq!(
            shown("cloud_sync.held")["gauge"]["dataPoints"][0]["asInt"],
            "0"
        );
        report.outcome = domain::report::RunOutcome::Failed;
        let names: Vec<String> = totals
            .metrics(&report, 9)
            .iter()
            .map(|metric| metric.json()["name"].to_string())
            .collect();
        assert!(
            !names.contains(&"\"cloud_sync.held\"".to_owned()),
            "{names:?}"
        );
    }
}
