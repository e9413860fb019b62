//! Whole runs of the built program against the sandbox in a process of its own, so that time, CPU and memory are those
//! of the program alone:
//!
//! ```text
//! cargo bench --bench runs                      everything (about ten minutes)
//! cargo bench --bench runs -- 200 2000 start    only these sizes and the start of the process
//! ```
//!
//! In addition to sizes: `capped` (Exchange refuses more than 20 requests in flight), `paced` (Zivver's limiter, with
//! each way of counting), `shared` (another client uses a fifth of Zivver's budget), `start`.

mod measure;
mod services;
mod table;

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use serde_json::json;

use measure::{Usage, first_answer};
use services::Services;
use table::{Row, Setup};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The setting of a run that should be fast.
const CONCURRENCY: u64 = 64;

const SIZES: [usize; 4] = [200, 2_000, 20_000, 100_000];

const STARTS: usize = 31;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let mut wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if wanted.is_empty() {
        wanted.extend(SIZES.map(|size| size.to_string()));
        wanted.extend(["capped", "paced", "shared", "start"].map(str::to_owned));
    }
    match measure_all(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure_all(wanted: &[String]) -> Outcome<()> {
    say(&table::head());
    for name in wanted {
        match name.as_str() {
            "capped" => capped()?,
            "paced" => paced()?,
            "shared" => shared()?,
            "start" => start()?,
            size => sizes(
                size.parse()
                    .map_err(|_| format!("no such measurement: {size}"))?,
            )?,
        }
    }
    Ok(())
}

fn say(line: &str) {
    // An error means that standard output is closed.
    drop(writeln!(io::stdout(), "{line}"));
}

/// A first run with many changes, and then runs without changes.
fn sizes(mailboxes: usize) -> Outcome<()> {
    // Of the largest tenant only the program's own work is measured.
    let latency = Duration::from_millis(if mailboxes < 100_000 { 40 } else { 20 });
    let services = Services::start(mailboxes, latency, "unlimited")?;
    for (name, strategy) in [
        ("first", "get"),
        ("no change", "get"),
        ("no change, batch", "batch"),
    ] {
        let setup = Setup {
            name,
            latency,
            ..Setup::new(mailboxes)
        };
        let usage = services.apply(CONCURRENCY, strategy)?;
        show(&setup, &usage)?;
    }
    Ok(())
}

/// Exchange refuses requests above 20 in flight with 429, without `Retry-After`.
fn capped() -> Outcome<()> {
    let latency = Duration::from_millis(40);
    let services = Services::start(2_000, latency, "unlimited")?;
    let mut switches = services.get("/sandbox/exchange/switches")?;
    switches["throttle"]["in_flight_max"] = json!(20);
    switches["throttle"]["refusal"]["retry_after"] = json!("Absent");
    services.send("PUT", "/sandbox/exchange/switches", &switches)?;
    // A preview, since only reading is measured.
    let usage = services.preview(CONCURRENCY, "get")?;
    let setup = Setup {
        name: "read, 20 in flight",
        latency,
        in_flight: 20,
        ..Setup::new(2_000)
    };
    show(&setup, &usage)
}

/// The default budget of Zivver, with each way of counting.
fn paced() -> Outcome<()> {
    for kind in ["sliding_window", "token_bucket", "fixed_window"] {
        let window = Duration::from_secs(10);
        let latency = Duration::from_millis(40);
        let services = Services::start(1_180, latency, "50/10s")?;
        services.limit(&json!({"kind": kind, "budget": 50, "window_millis": 10_000}))?;
        let usage = services.apply(CONCURRENCY, "get")?;
        let name = format!("paced, {kind}");
        let setup = Setup {
            name: &name,
            latency,
            budget: Some((50, window)),
            ..Setup::new(1_180)
        };
        show(&setup, &usage)?;
    }
    Ok(())
}

/// Another client uses a fifth of the budget. The window is shortened.
fn shared() -> Outcome<()> {
    for kind in ["sliding_window", "token_bucket", "fixed_window"] {
        let window = Duration::from_secs(1);
        let latency = Duration::from_millis(10);
        let services = Services::start(6_100, latency, "50/1s")?;
        let limiter =
            json!({"kind": kind, "budget": 50, "window_millis": 1_000, "taken_by_others": 10});
        services.limit(&limiter)?;
        let usage = services.apply(CONCURRENCY, "get")?;
        let name = format!("shared, {kind}");
        let setup = Setup {
            name: &name,
            latency,
            budget: Some((40, window)),
            ..Setup::new(6_100)
        };
        show(&setup, &usage)?;
    }
    Ok(())
}

fn show(setup: &Setup<'_>, usage: &Usage) -> Outcome<()> {
    say(&Row::of(setup, usage)?.to_string());
    Ok(())
}

fn start() -> Outcome<()> {
    let mut times = (0..STARTS)
        .map(|_| first_answer(services::PROGRAM))
        .collect::<Outcome<Vec<Duration>>>()?;
    times.sort_unstable();
    say(&format!(
        "\nStart of the process to the first answer: median {:.1} ms, worst {:.1} ms of {STARTS}",
        times[STARTS / 2].as_secs_f64() * 1e3,
        times[STARTS - 1].as_secs_f64() * 1e3,
    ));
    let bytes = std::fs::metadata(services::PROGRAM)?.len();
    say(&format!(
        "Size of the program: {:.1} MB",
        bytes_as_mb(bytes)
    ));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn bytes_as_mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
