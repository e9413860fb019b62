//! R41: who started, approved, rejected and stopped, on every page, and what a role permits.

use std::process::Output;

use serde_json::{Value, json};

use super::office::{Office, address, folder_url, with};
use crate::{
    host::{FUNCTION_KEY, Host, OTHER_KEY, SignedIn, project::AppSettings, wire::Call},
    tools::said,
};

const START: &str = "/api/SyncHttp";

const ANNA: SignedIn<'_> = SignedIn {
    name: "anna@corp.example",
    id: "0000000a-0000-4000-8000-000000000000",
    roles: &["approver"],
};
const BOB: SignedIn<'_> = SignedIn {
    name: "bob@corp.example",
    id: "0000000b-0000-4000-8000-000000000000",
    roles: &["operator", "approver"],
};
const OSCAR: SignedIn<'_> = SignedIn {
    name: "oscar@corp.example",
    id: "0000000c-0000-4000-8000-000000000000",
    roles: &["operator"],
};
const RIA: SignedIn<'_> = SignedIn {
    name: "ria@corp.example",
    id: "0000000d-0000-4000-8000-000000000000",
    roles: &[],
};

fn signing_in(mut settings: AppSettings) -> AppSettings {
    settings.insert("WEBSITE_AUTH_ENABLED".into(), "True".into());
    settings
}

fn wait(mut body: Value) -> Value {
    body["wait"] = json!(100);
    body
}

/// Six mailboxes are gone, which is more than the limit of a day (R26).
async fn held_office() -> Office {
    let office = Office::open(24, 0).await;
    office.sandbox.exchange.with_state(|tenant| {
        for n in 2..8 {
            tenant.remove_mailbox(&address(&format!("settled{n:05}")));
        }
    });
    office
}

fn person(who: SignedIn<'_>) -> Value {
    json!({"kind": "signed_in", "name": who.name, "id": who.id})
}

fn key(name: &str) -> Value {
    json!({"kind": "function_key", "name": name})
}

async fn report_of(host: &Host, run: &Value, format: &str) -> String {
    let path = format!("{START}/runs/{}", run["id"].as_str().unwrap());
    host.call(Call::get(&path).query("format", format))
        .await
        .body
}

#[track_caller]
fn refused(client: &crate::host::answer::Client, kind: &str, why: &str) {
    let problem = client.json();
    let expected = format!("urn:cloud-sync:problem:{kind}");
    assert_eq!(
        (client.status, &problem["type"]),
        (403, &json!(expected)),
        "{problem}"
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(why), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r41_a_signed_in_person_a_key_and_the_schedule_are_told_apart() {
    let office = held_office().await;
    let state = tempfile::tempdir().unwrap();
    let host = Host::start(signing_in(office.settings(&folder_url(state.path())))).await;
    let by_key = Call::post(START, &wait(json!({}))).header("x-functions-key", OTHER_KEY);
    let by_key = host.call_as_it_is(&by_key).await.json();
    assert_eq!(by_key["started_by"], key("night-shift"), "{by_key}");
    host.timer().await.succeeded();
    let preview = host
        .call_signed_in(ANNA, Call::post(START, &wait(json!({}))))
        .await
        .json();
    assert_eq!(preview["started_by"], person(ANNA), "{preview}");
    let code = preview["held"][0]["code"].clone();
    let settled = [address("settled00002")];
    let reject = json!({"code": code, "accounts": settled});
    let rejected = host
        .call_signed_in(BOB, Call::post(&format!("{START}/rejections"), &reject))
        .await
        .json();
    assert_eq!(rejected["rejections"][0]["by"], person(BOB), "{rejected}");
    // Without the rejected change it is another set.
    let preview = host.call(Call::post(START, &wait(json!({})))).await.json();
    assert_eq!(preview["started_by"], key("default"));
    let by_bob = format!("rejected by {} with the code", BOB.name);
    assert!(
        preview["skipped"].to_string().contains(&by_bob),
        "{preview}"
    );
    let code = preview["held"][0]["code"].clone();
    let approve = wait(json!({"mode": "apply", "approve": [code]}));
    let approved = host
        .call_signed_in(ANNA, Call::post(START, &approve))
        .await
        .json();
    assert_eq!(approved["converged"], true, "{approved}");
    assert_eq!(
        (&approved["started_by"], &approved["approves"]),
        (&person(ANNA), &json!([code]))
    );

    let html = report_of(&host, &approved, "html").await;
    let csv = report_of(&host, &approved, "csv").await;
    let code = code.as_str().unwrap();
    assert!(
        html.contains(ANNA.name) && html.contains(&format!("approved {code}")),
        "{html}"
    );
    assert!(
        csv.contains(&format!(r#""started_by","","{}""#, ANNA.name)),
        "{csv}"
    );
    assert!(csv.contains(&format!(r#""approves","","{code}""#)), "{csv}");
    let runs = host.call(Call::get(&format!("{START}/runs"))).await.json();
    let by = runs["runs"].as_array().unwrap().iter();
    let by: Vec<&Value> = by.map(|run| &run["started_by"]).collect();
    let timer = json!({"kind": "timer"});
    let (anna, default) = (person(ANNA), key("default"));
    assert_eq!(by, [&anna, &default, &anna, &timer, &key("night-shift")]);
    let plans = journal(state.path(), approved["id"].as_str().unwrap());
    assert!(plans.contains(ANNA.id), "{plans}");
    let dashboard = host
        .call_signed_in(RIA, Call::get(START).header("Accept", "text/html"))
        .await
        .body;
    for shown in [ANNA.name, "function key &quot;night-shift&quot;", RIA.name] {
        assert!(dashboard.contains(shown), "{shown}: {dashboard}");
    }
    host.stop().await;
}

/// Everything that the state has about the plans of a run, decompressed.
fn journal(state: &std::path::Path, run: &str) -> String {
    let folder = state.join("runs").join(run).join("plan");
    let mut all = String::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        all += &match bytes.strip_prefix(b"\x1f\x8b") {
            Some(_) => std::io::read_to_string(flate2::read::GzDecoder::new(&*bytes)).unwrap(),
            None => String::from_utf8(bytes).unwrap(),
        };
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn r41_a_name_in_a_header_counts_where_authentication_is_on_only() {
    let office = Office::open(2, 0).await;
    let forged = |key: &str| {
        Call::post(START, &wait(json!({})))
            .header("x-functions-key", key)
            .header("X-MS-CLIENT-PRINCIPAL-NAME", ANNA.name)
            .header("X-MS-CLIENT-PRINCIPAL-ID", ANNA.id)
            .header("X-MS-CLIENT-PRINCIPAL", "e30=")
    };
    for value in ["", "False", "0", "True"] {
        let mut settings = with(office.settings("memory:"), "KEY_ROLE", "operator");
        settings.insert("WEBSITE_AUTH_ENABLED".into(), value.into());
        let host = Host::start(settings).await;
        for (given, name) in [(FUNCTION_KEY, "default"), (OTHER_KEY, "night-shift")] {
            let report = host.call_as_it_is(&forged(given)).await;
            assert_eq!(
                report.json()["started_by"],
                key(name),
                "{value}: {}",
                report.body
            );
            assert!(!report.body.contains(ANNA.name), "{}", report.body);
        }
        let reject = Call::post(&format!("{START}/rejections"), &json!({"code": "c0de"}))
            .header("X-MS-CLIENT-PRINCIPAL-NAME", ANNA.name);
        let client = host.call(reject).await;
        refused(
            &client,
            "role-missing",
            "function key \"default\" has the role operator",
        );
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r41_roles_say_what_who_signs_in_may_do() {
    let office = held_office().await;
    let state = tempfile::tempdir().unwrap();
    let settings = with(
        office.settings(&folder_url(state.path())),
        "KEY_ROLE",
        "reader",
    );
    let host = Host::start(signing_in(settings)).await;
    let preview = || Call::post(START, &wait(json!({})));
    let reader = host.call_signed_in(RIA, preview()).await;
    refused(
        &reader,
        "role-missing",
        "needs the role operator, and ria@corp.example has the role reader: assign the app role",
    );
    refused(
        &host.call(preview()).await,
        "role-missing",
        "sign in with Microsoft Entra",
    );
    let shown = host.call_signed_in(OSCAR, preview()).await.json();
    let code = shown["held"][0]["code"].clone();
    let approve = || Call::post(START, &wait(json!({"mode": "apply", "approve": [code]})));
    let reject = || Call::post(&format!("{START}/rejections"), &json!({"code": code}));
    for call in [approve(), reject()] {
        let client = host.call_signed_in(OSCAR, call).await;
        refused(&client, "role-missing", "needs the role approver");
    }
    let stop = Call::post(
        &format!("{START}/runs/{}/stop", shown["id"].as_str().unwrap()),
        &json!({}),
    );
    refused(
        &host.call_signed_in(RIA, stop.clone()).await,
        "role-missing",
        "operator",
    );
    // The run has ended.
    assert_eq!(host.call_signed_in(OSCAR, stop).await.status, 409);
    for path in ["", "/runs", "/rejections", "/health"] {
        let client = host
            .call_signed_in(RIA, Call::get(&format!("{START}{path}")))
            .await;
        assert!(client.status != 403, "{path}: {}", client.body);
    }
    // The pages do not offer what a role does not permit.
    let page = Call::get(&format!("{START}/runs/{}", shown["id"].as_str().unwrap()));
    for (who, forms) in [(RIA, 0), (OSCAR, 0), (ANNA, 1)] {
        let page = host
            .call_signed_in(who, page.clone().query("format", "html"))
            .await
            .body;
        assert_eq!(
            page.matches("approve-all").count(),
            forms,
            "{}: {page}",
            who.name
        );
        assert!(page.contains("settled00002"), "{page}");
    }
    let approved = host.call_signed_in(ANNA, approve()).await.json();
    assert_eq!(approved["converged"], true, "{approved}");
    host.stop().await;
}

/// A set that a run of Anna holds names who approves it, and its page shows no command that would not.
async fn shows_who_approves(host: &Host, report: &Value) {
    let how = "another person than anna@corp.example approves it on the dashboard, signed in with Microsoft Entra (FOUR_EYES, R41)";
    assert_eq!(report["held"][0]["second_person"], how);
    let page = format!("{START}/runs/{}", report["id"].as_str().unwrap());
    let page = Call::get(&page).query("format", "html");
    let page = host.call_signed_in(BOB, page).await.body;
    assert!(
        page.contains(how) && !page.contains("apply --approve"),
        "{page}"
    );
}

async fn offers_approval_to_signed_in_only(host: &Host) {
    let page = || Call::get(START).query("format", "html");
    let page_of_bob = host.call_signed_in(BOB, page()).await.body;
    let page_of_key = host.call(page()).await.body;
    for (page, has_buttons) in [(page_of_bob, true), (page_of_key, false)] {
        assert!(page.contains("another person than anna@"), "{page}");
        assert_eq!(
            page.contains("value=\"approve-all\""),
            has_buttons,
            "{page}"
        );
        assert_eq!(
            page.contains("You are not signed in"),
            !has_buttons,
            "{page}"
        );
        assert!(page.contains("value=\"reject-selected\""), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r41_with_four_eyes_a_second_person_approves() {
    let office = held_office().await;
    let state = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(state.path()));
    let settings = signing_in(with(settings, "FOUR_EYES", "true"));
    let host = Host::start(settings.clone()).await;
    let preview = || Call::post(START, &wait(json!({})));
    let held = host.call(preview()).await.json()["held"][0].clone();
    let how = held["second_person"].as_str().unwrap();
    assert!(
        how.starts_with("the schedule, or a preview on the dashboard"),
        "{how}"
    );
    let code = held["code"].clone();
    let approve = || Call::post(START, &json!({"mode": "apply", "approve": [code]}));
    // What the run of a key holds cannot be approved until a run of a known person or of the schedule holds it too.
    let client = host.call_signed_in(BOB, approve()).await;
    refused(
        &client,
        "four-eyes",
        "it was held in a run of function key \"default\"",
    );
    shows_who_approves(&host, &host.call_signed_in(ANNA, preview()).await.json()).await;
    let own = host.call_signed_in(ANNA, approve()).await;
    refused(
        &own,
        "four-eyes",
        "anna@corp.example started the run that held it; another person",
    );
    let renamed = SignedIn {
        name: "anna.b@corp.example",
        ..ANNA
    };
    refused(
        &host.call_signed_in(renamed, approve()).await,
        "four-eyes",
        "another person",
    );
    offers_approval_to_signed_in_only(&host).await;
    // A later run does not change the holder.
    host.timer().await.succeeded();
    refused(
        &host.call_signed_in(ANNA, approve()).await,
        "four-eyes",
        "another person",
    );
    refused(
        &host.call(approve()).await,
        "four-eyes",
        "not function key \"default\"",
    );
    let command = command_line(&settings, &["apply", "--approve", code.as_str().unwrap()]).await;
    assert_eq!(command.status.code(), Some(1), "{}", said(&command));
    let why = "since CLOUD_SYNC__FOUR_EYES is true: only a signed-in person approves, not user ";
    assert!(said(&command).contains(why), "{}", said(&command));
    assert_eq!(office.writes(), 0);
    let queued = host.call_signed_in(BOB, approve()).await;
    assert_eq!(queued.status, 202, "{}", queued.body);
    for invoked in host.drain().await {
        invoked.succeeded();
    }
    let report = host
        .call(Call::get(&queued.headers["location"]))
        .await
        .json();
    assert_eq!(
        (&report["converged"], &report["started_by"]),
        (&json!(true), &person(BOB))
    );
    assert_eq!(office.writes(), 6);
    host.stop().await;
}

async fn command_line(settings: &AppSettings, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cloud-sync"));
    command
        .args(arguments)
        .envs(settings)
        .output()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn r41_the_command_line_and_a_stop_tell_who() {
    let office = Office::open(2, 0).await;
    let state = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(state.path()));
    let user = std::process::Command::new("id").arg("-un").output();
    let user = user.unwrap();
    let user = String::from_utf8(user.stdout).unwrap().trim().to_owned();
    let ran = command_line(&settings, &["apply", "--json"]).await;
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(
        report["started_by"],
        json!({"kind": "os_user", "name": user})
    );
    let listed = command_line(&settings, &["runs"]).await;
    let by = format!("by user {user}, command line");
    assert!(said(&listed).contains(&by), "{}", said(&listed));

    let host = Host::start(signing_in(settings.clone())).await;
    let queued = host
        .call_signed_in(ANNA, Call::post(START, &json!({})))
        .await;
    let run = queued.json()["run"].as_str().unwrap().to_owned();
    let stop = Call::post(&format!("{START}/runs/{run}/stop"), &json!({}));
    let stopped = host.call_signed_in(OSCAR, stop).await.json();
    assert_eq!(
        (&stopped["started_by"], &stopped["stopped_by"]),
        (&person(ANNA), &person(OSCAR))
    );
    let csv = report_of(&host, &json!({"id": run}), "csv").await;
    assert!(
        csv.contains(&format!(r#""stopped_by","","{}""#, OSCAR.name)),
        "{csv}"
    );
    host.stop().await;
}
