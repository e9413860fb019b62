//! The health of the app, as `/health`, the dashboard and `check` report it (R28).

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        mode::{Mode, Trigger},
        report::{Report, RunOutcome, RunState},
    },
    engine::{RunRequest, RunSummary},
    functions::{Answer, App},
    state::{Phase, RunId},
};
use serde_json::Value;

use super::{Bench, called, json, newcomers, request, tick, try_of};
use crate::state::faults::Fault;

const HOSTED: (&str, &str) = ("FUNCTIONS_CUSTOMHANDLER_PORT", "7071");
const NIGHTLY: (&str, &str) = ("SYNC_SCHEDULE", "0 0 2 * * *");

/// Status and problems of `/health`, after a check that the dashboard and `check` report the same.
async fn health(app: &App) -> (u16, Vec<String>) {
    let health = called(app, request("GET", "/health", &[], None)).await;
    let told: Vec<String> = json(&health)["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem.as_str().unwrap().to_owned())
        .collect();
    let mut browser = request("GET", "", &[], None);
    browser.query = [("format".to_owned(), "html".to_owned())].into();
    let page = called(app, browser).await;
    assert_eq!(
        page.body.matches("class=\"alert bad\"").count(),
        told.len(),
        "{}",
        page.body
    );
    let check = json(&called(app, request("GET", "/check", &[], None)).await);
    // The time on the clock may have changed between the two calls.
    let same = |text: &str| match text.strip_prefix("the clock shows ") {
        Some(rest) => rest.split_once(',').unwrap().1.to_owned(),
        None => text.to_owned(),
    };
    for problem in &told {
        let findings = check["findings"].as_array().unwrap();
        let is_told = |finding: &&Value| {
            same(finding["text"].as_str().unwrap()) == same(problem) && finding["level"] != "good"
        };
        assert!(
            findings.iter().any(|finding| is_told(&finding)),
            "{problem}: {check}"
        );
    }
    (health.status, told)
}

async fn problems(app: &App) -> Vec<String> {
    let (status, told) = health(app).await;
    assert_eq!(status, if told.is_empty() { 200 } else { 503 }, "{told:?}");
    told
}

/// Adds a run to the history that ended an hour before the clock of the test bench plus `hours`.
async fn ended(bench: &Bench, request: &RunRequest, outcome: RunOutcome, hours: i64) -> RunId {
    let started = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    let id = RunId::drawn(started, 7);
    let mut report = Report::begin(
        id.to_string(),
        request.mode,
        request.trigger,
        started.to_string(),
    );
    report.state = RunState::Ended;
    report.outcome = outcome;
    report.ended = Some(started.to_string());
    report.error = (outcome == RunOutcome::Failed).then(|| "401".to_owned());
    let summary = RunSummary::of(&report, request);
    bench
        .state
        .save_summary(&id, Phase::Ended, &summary)
        .await
        .unwrap();
    id
}

fn timer(mode: Mode) -> RunRequest {
    RunRequest::new(mode, Trigger::Timer)
}

fn scoped(mode: Mode) -> RunRequest {
    let mut scoped = RunRequest::new(mode, Trigger::CommandLine);
    scoped.accounts = [SmtpAddress::parse("person00@corp.example").unwrap()].into();
    scoped
}

#[tokio::test]
async fn r28_nothing_but_a_success_makes_an_app_healthy() {
    let bench = Bench::open(newcomers(2), &[]).await;
    ended(&bench, &timer(Mode::Apply), RunOutcome::InSync, -27).await;
    let late = ["no run has succeeded for 26 hours"];
    assert_eq!(problems(&bench.app()).await, late);
    let mut undo = timer(Mode::Apply);
    undo.undo = RunId::parse("20261123T020000Z-0b5e77");
    for (at, other) in [timer(Mode::Preview), scoped(Mode::Apply), undo]
        .iter()
        .enumerate()
    {
        let hours = i64::try_from(at).unwrap() - 4;
        ended(&bench, other, RunOutcome::InSync, hours).await;
        assert_eq!(problems(&bench.app()).await, late, "{other:?}");
    }
    assert!(matches!(tick(&bench.app()).await, Answer::Success(_)));
    assert_eq!(problems(&bench.app()).await, Vec::<String>::new());
}

#[tokio::test]
async fn r28_a_success_is_found_behind_any_number_of_previews() {
    let bench = Bench::open(newcomers(2), &[]).await;
    ended(&bench, &timer(Mode::Apply), RunOutcome::InSync, -25).await;
    for minute in 0..110 {
        let started = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(120 - minute);
        let request = timer(Mode::Preview);
        let mut report = Report::begin(
            RunId::drawn(started, 7).to_string(),
            request.mode,
            request.trigger,
            started.to_string(),
        );
        report.state = RunState::Ended;
        report.outcome = RunOutcome::InSync;
        report.ended = Some(started.to_string());
        let id = RunId::drawn(started, 7);
        let summary = RunSummary::of(&report, &request);
        bench
            .state
            .save_summary(&id, Phase::Ended, &summary)
            .await
            .unwrap();
    }
    assert_eq!(problems(&bench.app()).await, Vec::<String>::new());
}

#[tokio::test]
async fn r28_a_fresh_app_is_healthy_for_26_hours() {
    let bench = Bench::open(newcomers(2), &[]).await;
    for (hours, expected) in [
        (0, vec![]),
        (25, vec![]),
        (
            27,
            vec!["no run has succeeded yet, 26 hours after the app was first seen"],
        ),
    ] {
        assert_eq!(
            problems(&bench.app_at(hours, &[])).await,
            expected,
            "{hours}"
        );
    }
}

#[tokio::test]
async fn r28_a_scoped_run_does_not_make_an_app_without_a_success_healthy() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let report = bench
        .engine(None)
        .run(&scoped(Mode::Preview))
        .await
        .unwrap();
    let told = problems(&bench.app()).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(&report.id), "{told:?}");
    // A second look gives the same result.
    assert_eq!(problems(&bench.app()).await, told);
}

#[tokio::test]
async fn r34_a_stopped_first_run_says_nothing_about_health() {
    let bench = Bench::open(newcomers(2), &[]).await;
    for request in [timer(Mode::Preview), scoped(Mode::Preview)] {
        ended(&bench, &request, RunOutcome::Stopped, -1).await;
    }
    assert_eq!(problems(&bench.app()).await, Vec::<String>::new());
    // What ended otherwise still counts.
    ended(&bench, &timer(Mode::Preview), RunOutcome::Failed, 0).await;
    assert_eq!(problems(&bench.app()).await.len(), 1);
}

#[tokio::test]
async fn r28_a_tick_without_memory_is_in_the_history() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let before = bench.app_at(-1, &[]);
    assert!(matches!(tick(&before).await, Answer::Success(_)));
    let app = bench.app();
    bench.put("memory", "no document").await;
    let told = problems(&app).await;
    assert!(told[0].contains("memory"), "{told:?}");
    assert!(matches!(tick(&app).await, Answer::Failure { .. }));
    // Another process, like the one that answers HTTP.
    let runs = bench.engine(None).history(10).await.unwrap();
    let newest = (runs[0].trigger, runs[0].outcome, runs.len());
    assert_eq!(newest, (Trigger::Timer, RunOutcome::Failed, 2));
    let told = problems(&bench.app()).await;
    assert!(
        told[0].starts_with("the last apply, of ") && told[0].contains(" failed: "),
        "{told:?}"
    );
}

#[tokio::test]
async fn r28_a_tick_without_any_storage_is_remembered_by_the_process() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let before = bench.app_at(-1, &[]);
    let answer = try_of(&before, "the night before", 0).await;
    assert!(matches!(answer, Answer::Success(_)), "{answer:?}");
    let app = bench.app();
    bench.weather.suffers(Fault::Down);
    assert!(matches!(tick(&app).await, Answer::Failure { .. }));
    bench.weather.suffers(Fault::None);
    let told = problems(&app).await;
    assert!(
        told[0].starts_with("the timer's last run failed and is not in the history: "),
        "{told:?}"
    );
    let later = bench.app_at(1, &[]);
    assert!(matches!(tick(&later).await, Answer::Success(_)));
    let told = problems(&app).await;
    assert!(told[0].starts_with("the clock shows "), "{told:?}");
}

#[tokio::test]
async fn r28_a_clock_before_the_newest_run_is_told() {
    let bench = Bench::open(newcomers(2), &[]).await;
    assert!(matches!(
        tick(&bench.app_at(24, &[])).await,
        Answer::Success(_)
    ));
    let told = problems(&bench.app()).await;
    assert!(told[0].starts_with("the clock shows "), "{told:?}");
}

#[tokio::test]
async fn r28_a_host_that_never_starts_the_timer_is_told() {
    let bench = Bench::open(newcomers(2), &[]).await;
    assert!(matches!(tick(&bench.app()).await, Answer::Success(_)));
    let timer_off = ("AzureWebJobs.SyncTimer.Disabled", "true");
    let queue_off = ("AzureWebJobs__SyncQueue__Disabled", "1");
    let not_off = ("AzureWebJobs__SyncTimer__Disabled", "false");
    for (settings, expected) in [
        (vec![], None),
        (vec![HOSTED, NIGHTLY, not_off], None),
        (vec![HOSTED, ("SYNC_SCHEDULE", "0 2 * * *")], None),
        (vec![HOSTED, ("SYNC_SCHEDULE", "00:30:00")], None),
        (vec![HOSTED], Some("SYNC_SCHEDULE is not set")),
        (
            vec![HOSTED, ("SYNC_SCHEDULE", " ")],
            Some("SYNC_SCHEDULE is not set"),
        ),
        (
            vec![HOSTED, ("SYNC_SCHEDULE", "every night")],
            Some("\"every night\" is not a schedule"),
        ),
        (
            vec![("SYNC_SCHEDULE", "0 0 25 * * *")],
            Some("the hour cannot be \"25\""),
        ),
        (
            vec![HOSTED, NIGHTLY, timer_off],
            Some("AzureWebJobs.SyncTimer.Disabled"),
        ),
        (
            vec![HOSTED, NIGHTLY, queue_off],
            Some("AzureWebJobs__SyncQueue__Disabled"),
        ),
    ] {
        let told = problems(&bench.app_at(0, &settings)).await;
        assert_eq!(
            told.len(),
            usize::from(expected.is_some()),
            "{settings:?} {told:?}"
        );
        assert!(
            expected.is_none_or(|text| told[0].contains(text)),
            "{settings:?} {told:?}"
        );
    }
}

#[tokio::test]
async fn r28_a_tick_that_did_not_come_is_told_until_one_comes() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let hourly = [HOSTED, ("SYNC_SCHEDULE", "0 0 * * * *")];
    let app_at = |hours| bench.app_at(hours, &hourly);
    assert!(matches!(tick(&app_at(0)).await, Answer::Success(_)));
    assert_eq!(problems(&app_at(2)).await, Vec::<String>::new());
    let told = problems(&app_at(4)).await;
    assert!(
        told.len() == 2 && told[1].starts_with("the timer was due at "),
        "{told:?}"
    );
    assert!(matches!(tick(&app_at(4)).await, Answer::Success(_)));
    assert_eq!(problems(&app_at(4)).await, Vec::<String>::new());
}

#[tokio::test]
async fn r28_check_names_the_next_three_times_of_the_schedule() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let app = bench.app_at(0, &[HOSTED, ("SYNC_SCHEDULE", "0 2 1 1 *")]);
    let check = json(&called(&app, request("GET", "/check", &[], None)).await);
    let findings = check["findings"].as_array().unwrap();
    let schedule = findings
        .iter()
        .find(|finding| finding["topic"] == "schedule")
        .unwrap();
    let text = schedule["text"].as_str().unwrap();
    assert_eq!(text.matches("-01-01T02:00:00Z").count(), 3, "{text}");
    let page = called(&app, {
        let mut browser = request("GET", "", &[], None);
        browser.query = [("format".to_owned(), "html".to_owned())].into();
        browser
    })
    .await;
    assert!(page.body.contains("-01-01 02:00 UTC"), "{}", page.body);
}
