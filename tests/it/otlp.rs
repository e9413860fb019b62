//! Traces and metrics of the real binary, decoded by a receiver with OpenTelemetry's own definitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::{self, JoinHandle},
};

use serde_json::Value;

use crate::tools::python_with;

const KEY: &str = "canary-receiver-key";

struct Receiver {
    child: Child,
    lines: Option<JoinHandle<Vec<Value>>>,
    endpoint: String,
}

impl Receiver {
    fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/otlp_receiver.py");
        let mut child = python_with("opentelemetry.proto.collector.trace.v1.trace_service_pb2")?
            .arg(script)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        // Reads continuously, since the buffer of a pipe is small.
        let lines = thread::spawn(move || {
            let lines = lines.lines().map(Result::unwrap);
            lines
                .map(|line| serde_json::from_str(&line).unwrap())
                .collect()
        });
        Some(Self {
            child,
            lines: Some(lines),
            endpoint: format!("http://127.0.0.1:{}", port.trim()),
        })
    }

    /// Everything received. Each request was recorded before it was answered.
    fn stop(mut self) -> Vec<Value> {
        self.end();
        self.lines.take().unwrap().join().unwrap()
    }
}

impl Receiver {
    fn end(&mut self) {
        // An error means that it has already ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}

fn demo(endpoint: &str, protocol: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloud-sync"))
        .args(["demo", "--mailboxes", "60", "--json"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-key={KEY}"))
        .env("OTEL_SERVICE_NAME", "sync-under-test")
        .env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        )
        .output()
        .unwrap()
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let all = of["attributes"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| {
        let value = value.as_object().unwrap().values().next().unwrap();
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    all.iter()
        .map(|one| (one["key"].as_str().unwrap().to_owned(), text(&one["value"])))
        .collect()
}

fn number(attributes: &BTreeMap<String, String>, key: &str) -> u64 {
    attributes.get(key).map_or(0, |text| text.parse().unwrap())
}

fn inner(received: &[Value], path: &str, outer: &str, middle: &str, last: &str) -> Vec<Value> {
    let bodies = received.iter().filter(|one| one["path"] == path);
    let mut found = Vec::new();
    for body in bodies {
        let resource = &body["body"][outer][0];
        let known = attributes(&resource["resource"]);
        assert_eq!(known["service.name"], "sync-under-test");
        assert_eq!(known["deployment.environment.name"], "test");
        found.extend(
            resource[middle][0][last]
                .as_array()
                .unwrap()
                .iter()
                .cloned(),
        );
    }
    found
}

/// The requests that a report counts.
fn reported(report: &Value) -> u64 {
    let of = |service: &str| report["requests"][service]["total"].as_u64().unwrap();
    of("exchange") + of("zivver")
}

fn phases_with_their_requests(spans: &[Value], reports: [&Value; 3]) {
    let runs: Vec<&Value> = spans.iter().filter(|span| span["name"] == "run").collect();
    assert_eq!(runs.len(), 3, "preview, apply, apply again");
    for (run, report) in runs.into_iter().zip(reports) {
        assert!(run.get("parentSpanId").is_none());
        let known = attributes(run);
        assert_eq!(known["cloud_sync.run.id"], report["id"].as_str().unwrap());
        assert_eq!(number(&known, "cloud_sync.requests"), reported(report));
        let of_run = spans
            .iter()
            .filter(|span| span["traceId"] == run["traceId"]);
        let below: Vec<&Value> = of_run.filter(|span| *span != run).collect();
        let requests: Vec<&&Value> = below.iter().filter(|span| span["kind"] == 3).collect();
        assert_eq!(requests.len() as u64, reported(report), "a span for each");
        let children: Vec<&&Value> = below
            .iter()
            .filter(|span| span["parentSpanId"] == run["spanId"])
            .collect();
        let names: BTreeSet<&str> = children
            .iter()
            .map(|span| span["name"].as_str().unwrap())
            .collect();
        let mut expected = BTreeSet::from(["fetch", "plan", "save"]);
        if report["planned_writes"] != 0 && report["mode"] == "apply" {
            expected.extend(["apply", "verify"]);
        }
        assert_eq!(names, expected);
        let of_phases = children
            .iter()
            .map(|span| number(&attributes(span), "cloud_sync.requests"));
        assert_eq!(of_phases.sum::<u64>(), reported(report));
        let fetch = children
            .iter()
            .find(|span| span["name"] == "fetch")
            .unwrap();
        assert_eq!(
            number(&attributes(fetch), "cloud_sync.requests.mailbox list"),
            1
        );
        let time = |span: &Value, at: &str| span[at].as_str().unwrap().parse::<u64>().unwrap();
        for span in &below {
            assert!(time(run, "startTimeUnixNano") <= time(span, "startTimeUnixNano"));
            assert!(time(span, "endTimeUnixNano") <= time(run, "endTimeUnixNano"));
        }
    }
}

fn metrics_that_add_up(metrics: &[Value], reports: [&Value; 3]) {
    let last = |name: &str| {
        let found = metrics
            .iter()
            .rev()
            .find(|metric| metric["name"] == name)
            .unwrap();
        let points = found["sum"]["dataPoints"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let values = points
            .iter()
            .map(|point| point["asInt"].as_str().unwrap().parse::<u64>().unwrap());
        values.sum::<u64>()
    };
    assert_eq!(last("cloud_sync.runs"), 3);
    assert_eq!(
        last("cloud_sync.requests"),
        reports.iter().map(|report| reported(report)).sum::<u64>()
    );
    let applied = reports.iter().filter(|report| report["mode"] == "apply");
    let actions = applied.map(|report| report["actions"].as_array().unwrap().len() as u64);
    assert_eq!(last("cloud_sync.writes"), actions.sum::<u64>());
}

#[test]
fn a_demo_arrives_in_both_encodings() {
    for (protocol, media) in [
        ("http/protobuf", "application/x-protobuf"),
        ("http/json", "application/json"),
    ] {
        let Some(receiver) = Receiver::start() else {
            return;
        };
        let output = demo(&receiver.endpoint, protocol);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let reports = ["preview", "applied", "again"].map(|run| &told[run]);
        let arrived = receiver.stop();
        for one in &arrived {
            assert_eq!((&one["media"], &one["key"]), (&media.into(), &KEY.into()));
            assert!(one["body"].get("refused").is_none(), "{one}");
            // The key of the receiver is in a header, and the key of Zivver is nowhere.
            let text = one["body"].to_string();
            assert!(!text.contains('@') && !text.contains(KEY), "{text}");
            assert!(!text.contains(sandbox::zivver::API_KEY), "{text}");
        }
        let spans = inner(
            &arrived,
            "/v1/traces",
            "resourceSpans",
            "scopeSpans",
            "spans",
        );
        phases_with_their_requests(&spans, reports);
        let metrics = inner(
            &arrived,
            "/v1/metrics",
            "resourceMetrics",
            "scopeMetrics",
            "metrics",
        );
        metrics_that_add_up(&metrics, reports);
    }
}

#[test]
fn a_receiver_that_is_not_there_fails_no_run() {
    let output = demo("http://127.0.0.1:9", "http/protobuf");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("warning: telemetry is lost: cannot reach 127.0.0.1:9: "),
        "{said}"
    );
    assert!(!said.contains(KEY), "{said}");
    let output = demo("http://127.0.0.1:9", "grpc");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let expected =
        "no telemetry is sent: OTEL_EXPORTER_OTLP_PROTOCOL is neither http/protobuf nor http/json";
    assert!(said.contains(expected), "{said}");
}
