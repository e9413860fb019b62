//! The output on a terminal, and in a file or a pipe.

use std::time::Duration;

use cloud_sync::{domain::report::Report, sandbox::exchange::Tenant};

use super::bench::{self, Bench, Ended};
use crate::tools;

const COLUMNS: usize = 60;

/// Runs a program in a terminal of 60 columns and prints its output.
const IN_TERMINAL: &str = "
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 60, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
";

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_wrapped_for_a_terminal_and_whole_for_a_pipe() {
    let Some(mut command) = tools::python_with("pty") else {
        return;
    };
    let bench = Bench::start(bench::small()).await;
    let id = bench.run(&["preview", "--json"]).json::<Report>().id;
    let piped = bench.run(&["runs", &id]).out;
    assert!(piped.lines().any(|line| line.len() > COLUMNS), "{piped}");
    assert!(!piped.contains('…'), "{piped}");
    command
        .args(["-c", IN_TERMINAL, env!("CARGO_BIN_EXE_cloud-sync")])
        .args(["runs", &id, "--color", "never"])
        .env_clear()
        .envs(bench.settings())
        .current_dir(bench.folder());
    let shown = tokio::task::block_in_place(|| command.output()).unwrap();
    let shown = Ended::from(shown).out;
    for line in shown.lines() {
        let is_one_word = !line.trim().contains(' ');
        assert!(line.chars().count() <= COLUMNS || is_one_word, "{line:?}");
    }
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    assert_eq!(words(&shown), words(&piped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_run_says_on_stderr_how_far_it_is() {
    let bench = Bench::start(bench::small()).await;
    let control = bench.sandbox.exchange.control();
    control.set_latency(Duration::from_secs(6));
    let preview = bench.begin(&["preview", "--json"]);
    let ended = tokio::task::block_in_place(|| preview.wait_with_output()).unwrap();
    let err = String::from_utf8(ended.stderr.clone()).unwrap();
    let report: Report = Ended::from(ended).json();
    assert_eq!(report.error, None);
    let lines = u64::try_from(err.lines().count()).unwrap();
    assert!((1..=report.duration_ms / 10_000).contains(&lines), "{err}");
    for line in err.lines() {
        let phase = line.strip_prefix("progress: ").unwrap();
        let is_phase = [
            "starting",
            "listed ",
            "reading permissions: ",
            "asked about ",
        ]
        .iter()
        .any(|known| phase.starts_with(known));
        assert!(is_phase, "{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r30_a_line_of_progress_says_how_long_the_plan_takes_and_what_it_waits_for() {
    let newcomers = (0..16).fold(Tenant::new("corp.example"), |tenant, at| {
        tenant.user(&format!("person{at:02}@corp.example"))
    });
    let organisation = bench::small().1;
    let bench = Bench::start((newcomers, organisation)).await;
    let bench = bench.with("ZIVVER_RATE", "4/6s");
    let apply = bench.begin(&["apply", "--yes", "--json"]);
    let ended = tokio::task::block_in_place(|| apply.wait_with_output()).unwrap();
    let err = String::from_utf8(ended.stderr.clone()).unwrap();
    let report: Report = Ended::from(ended).json();
    assert_eq!(report.error, None);
    let line = err
        .lines()
        .find(|line| line.starts_with("progress: applying: "));
    let line = line.unwrap_or_else(|| panic!("{err}"));
    let (done, left) = line.split_once(", about ").unwrap();
    let all = format!(" of {} writes", report.planned_writes);
    assert!(done.ends_with(&all), "{done}: {}", report.planned_writes);
    let (seconds, wait) = left.split_once(" s").unwrap();
    let seconds: u64 = seconds.parse().unwrap();
    assert!((1..=report.estimate_ms / 1000).contains(&seconds), "{err}");
    assert_eq!(wait, ", waiting for Zivver's limit", "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_runs_fits_80_columns_and_names_the_unit_of_each_number() {
    let bench = Bench::start(bench::small()).await;
    bench.run(&["apply", "bob@corp.example", "info@corp.example"]);
    bench.run(&["preview"]);
    let ended = bench.run(&["runs"]);
    let lines = ended.out.lines().filter(|line| !line.starts_with(' '));
    for line in lines {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    for counts in [
        "\n  preview: nothing planned, 1 change held  by ",
        "\n  apply for 2 accounts: 2 accounts planned, 2 applied  by ",
    ] {
        assert!(ended.out.contains(counts), "{ended:?}");
    }
}

/// The lists that a run reads are a part of the budget, which the estimate of the plan does not know.
#[tokio::test(flavor = "multi_thread")]
async fn r30_a_plan_within_one_budget_says_how_long_it_waits_for_the_used_part() {
    let newcomers = ["ann", "ben"]
        .iter()
        .fold(Tenant::new("corp.example"), |tenant, name| {
            tenant.user(&format!("{name}@corp.example"))
        });
    let bench = Bench::start((newcomers, bench::small().1)).await;
    let bench = bench.with("ZIVVER_RATE", "4/20s");
    let apply = bench.begin(&["apply", "--yes", "--json"]);
    let ended = tokio::task::block_in_place(|| apply.wait_with_output()).unwrap();
    let err = String::from_utf8(ended.stderr.clone()).unwrap();
    let report: Report = Ended::from(ended).json();
    assert_eq!((report.planned_writes, report.estimate_ms), (3, 0));
    let line = err
        .lines()
        .find(|line| line.starts_with("progress: applying: 2 of 3 writes"));
    let line = line.unwrap_or_else(|| panic!("{err}"));
    let wait = line
        .split_once(", about ")
        .and_then(|(_, left)| left.split_once(" s"));
    let (seconds, _) = wait.unwrap_or_else(|| panic!("{line}"));
    assert!(
        (1..=20).contains(&seconds.parse::<u64>().unwrap()),
        "{line}"
    );
}
