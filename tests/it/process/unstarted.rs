//! The program reports the functions that the host does not start (R28).

use serde_json::Value;

use super::office::{Office, folder_url};
use crate::host::{Host, wire::Call};

/// A setting, and the report of the program if the host leaves a function out because of it.
const CASES: [(&str, &str, Option<&str>); 10] = [
    ("SYNC_SCHEDULE", "0 0 2 * * *", None),
    ("SYNC_SCHEDULE", "0 2 * * *", None),
    ("SYNC_SCHEDULE", "00:30:00", None),
    ("SYNC_SCHEDULE", "0 30 1 * * Mon-Fri", None),
    ("SYNC_SCHEDULE", "", Some("SYNC_SCHEDULE is not set")),
    (
        "SYNC_SCHEDULE",
        "every night",
        Some("\"every night\" is not a schedule"),
    ),
    (
        "SYNC_SCHEDULE",
        "0 0 25 * * *",
        Some("the hour cannot be \"25\""),
    ),
    (
        "AzureWebJobs.SyncTimer.Disabled",
        "true",
        Some("AzureWebJobs.SyncTimer.Disabled"),
    ),
    (
        "AzureWebJobs__SyncTimer__Disabled",
        "true",
        Some("AzureWebJobs__SyncTimer__Disabled"),
    ),
    (
        "AzureWebJobs.SyncQueue.Disabled",
        "1",
        Some("AzureWebJobs.SyncQueue.Disabled"),
    ),
];

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_what_the_host_does_not_start_is_told_and_nothing_else() {
    for (name, value, problem) in CASES {
        let state = tempfile::tempdir().unwrap();
        let office = Office::open(2, 0).await;
        let mut settings = office.settings(&folder_url(state.path()));
        settings.insert(name.into(), value.into());
        let host = Host::start(settings).await;
        let left_out = host.left_out();
        assert_eq!(!left_out.is_empty(), problem.is_some(), "{left_out:?}");

        let health = host.call(Call::get("/api/SyncHttp/health")).await;
        let told = texts(&health.json()["problems"]).join("\n");
        let page = Call::get("/api/SyncHttp").query("format", "html");
        let page = host.call(page).await.body;
        let check = host.call(Call::get("/api/SyncHttp/check")).await.json();
        let mut errors = check["findings"].clone();
        let findings = errors.as_array_mut().unwrap();
        findings.retain(|finding| finding["level"] == "error");
        for finding in findings {
            *finding = finding["text"].take();
        }
        let errors = texts(&errors);
        let case = format!("{name}={value}: {told} {errors:?}");
        let alerts = page.matches("class=\"alert bad\"").count();
        let expected = if problem.is_some() {
            (503, 1, 1)
        } else {
            (200, 0, 0)
        };
        assert_eq!((health.status, alerts, errors.len()), expected, "{case}");
        if let Some(problem) = problem {
            assert!(
                told.contains(problem) && errors[0].contains(problem),
                "{case}"
            );
        }
        host.stop().await;
    }
}
