//! The self-test: its findings in a world that works, and in worlds that do not.

use std::process::Command;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use cloud_sync::{
    engine::check::{Checkup, Level},
    sandbox::{
        control::{Fault, FaultKind},
        tenant,
    },
};

use serde_json::json;

use crate::{process::office::Office, tools::said, world::World};

async fn check(extra: &[(&str, &str)]) -> Checkup {
    let (exchange, organisation) = tenant::generate(4, 40);
    World::with(exchange, organisation, extra)
        .await
        .engine
        .check()
        .await
}

fn texts(checkup: &Checkup, topic: &str) -> Vec<String> {
    let about = checkup
        .findings
        .iter()
        .filter(|finding| finding.topic == topic);
    about.map(|finding| finding.text.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_that_works_has_no_error_and_says_how_large_it_is() {
    let checkup = check(&[("TARGET_FILTER", "nobody-is-called-so")]).await;
    assert_ne!(checkup.level(), Level::Error, "{checkup:#?}");
    assert_eq!(texts(&checkup, "size").len(), 1, "{checkup:#?}");
    assert_eq!(
        texts(&checkup, "filters"),
        ["TARGET_FILTER \"nobody-is-called-so\" matches 0 addresses"]
    );
    assert!(!texts(&checkup, "domains").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_a_filter_that_leaves_out_most_mailboxes_is_named() {
    for (filter, is_named) in [("*", true), ("corp", true), ("vip.", false)] {
        let checkup = check(&[("TARGET_FILTER", filter)]).await;
        let is_about = |text: &str| text.starts_with("TARGET_FILTER leaves out ");
        let finding = checkup.findings.iter().find(|it| is_about(&it.text));
        assert_eq!(
            finding.map(|it| it.level),
            is_named.then_some(Level::Warning),
            "{checkup:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_reads_as_a_time_of_the_day_is_said_to_be_an_interval() {
    let office = Office::open(4, 1).await;
    for (schedule, word, text) in [
        (
            "02:00",
            "note",
            "is an interval: every 2h, not at 02:00; next due at ",
        ),
        (
            "02:00",
            "note",
            "for 02:00 each day (UTC): SYNC_SCHEDULE='0 0 2 * * *'",
        ),
        (
            "00:30:00",
            "ok  ",
            "is an interval: every 30m; next due at ",
        ),
        ("0 0 2 * * *", "ok  ", "is next due at "),
    ] {
        let said = check_inside(&office, &[("SYNC_SCHEDULE", schedule)]);
        assert!(said.contains(text), "{schedule}: {said}");
        assert!(said.contains(&format!("{word} schedule ")), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_names_the_usual_causes() {
    let checkup = check(&[("ZIVVER_API_KEY", "canary-wrong-key")]).await;
    let finding = checkup
        .findings
        .iter()
        .find(|finding| finding.topic == "zivver")
        .unwrap();
    assert_eq!(
        (finding.level, finding.remedy.len()),
        (Level::Error, 4),
        "{finding:?}"
    );
    assert!(!format!("{checkup:?}").contains("canary-wrong-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn exchange_is_tried_although_zivver_refuses_the_key() {
    let checkup = check(&[("ZIVVER_API_KEY", "canary-wrong-key")]).await;
    let exchange = texts(&checkup, "exchange");
    assert_eq!(exchange.len(), 2, "{checkup:#?}");
    assert!(exchange[0].starts_with("Exchange listed "), "{exchange:?}");
    assert_eq!(exchange[1], "the permissions of a mailbox can be read");
    assert_eq!(texts(&checkup, "size").len(), 1, "{checkup:#?}");
    // Who is in the filter is not known then, so only the list is tried.
    let filtered = [
        ("ZIVVER_API_KEY", "canary-wrong-key"),
        ("SOURCE_FILTER", "staff@corp.example"),
    ];
    assert_eq!(texts(&check(&filtered).await, "exchange").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_none_names_the_setting() {
    let checkup = check(&[("ACCESS_TOKEN", "not-a-token")]).await;
    let finding = checkup
        .findings
        .iter()
        .find(|finding| finding.topic == "identity")
        .unwrap();
    assert_eq!(finding.level, Level::Error);
    assert!(
        finding.text.contains("set CLOUD_SYNC__ACCESS_TOKEN"),
        "{finding:?}"
    );
    assert!(
        texts(&checkup, "exchange").is_empty(),
        "what rests on it is not asked"
    );
}

/// The identity fails, and not Exchange, of which nothing is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_exchange_will_refuse_fails_as_the_identity() {
    for (claims, wrong) in [
        (json!({"exp": 1_600_000_000}), "the token expired at 2020-"),
        (
            json!({"aud": "https://graph.microsoft.com"}),
            "the token is for https://graph.microsoft.com, not for https://outlook.office365.com",
        ),
    ] {
        let mut claims = claims;
        claims["tid"] = json!("11111111-1111-4111-8111-111111111111");
        claims["scp"] = json!("Exchange.Manage");
        let payload = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        let checkup = check(&[("ACCESS_TOKEN", &format!("e30.{payload}.c2ln"))]).await;
        let identity = texts(&checkup, "identity");
        assert_eq!(identity.len(), 1, "{checkup:#?}");
        assert!(identity[0].contains(wrong), "{identity:?}");
        assert!(texts(&checkup, "exchange").is_empty(), "{checkup:#?}");
        assert_eq!(checkup.level(), Level::Error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_a_mistyped_group_names_the_commonest_cause_first() {
    for entry in [
        "stafff@corp.example",
        "55555555-0000-4000-8000-00000000abcd",
    ] {
        let checkup = check(&[("SOURCE_FILTER", entry)]).await;
        let finding = checkup
            .findings
            .iter()
            .find(|finding| finding.topic == "exchange")
            .unwrap();
        assert_eq!(finding.level, Level::Error, "{finding:?}");
        assert!(finding.text.contains(entry), "{finding:?}");
        assert!(finding.remedy[0].contains("mistyped"), "{finding:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_exchange_does_not_know_yet_is_waited_for() {
    let (exchange, organisation) = tenant::generate(4, 40);
    let world = World::start(exchange, organisation).await;
    let control = world.sandbox.exchange.control();
    control.inject(Fault::always(FaultKind::Status {
        status: 403,
        headers: Vec::new(),
        body: String::new(),
    }));
    let checkup = world.engine.check().await;
    let finding = checkup
        .findings
        .iter()
        .find(|finding| finding.topic == "exchange")
        .unwrap();
    assert_eq!(finding.level, Level::Error);
    assert!(
        finding.remedy[0].contains("30 minutes to 2 hours"),
        "{finding:?}"
    );
}

/// `check` as it runs inside Azure: in a separate process, with the identity endpoint and the settings of the platform.
fn check_inside(office: &Office, settings: &[(&str, &str)]) -> String {
    let mut check = Command::new(env!("CARGO_BIN_EXE_cloud-sync"));
    check
        .arg("check")
        .env_clear()
        .envs(office.settings("memory:"))
        .envs(settings.iter().copied());
    said(&tokio::task::block_in_place(|| check.output()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_the_next_deployment_resets_are_named() {
    let office = Office::open(4, 1).await;
    let deployed = r#"{"CLOUD_SYNC__MAX_SUSPEND":"","CLOUD_SYNC__KEEP_RUNS":"30",
        "CLOUD_SYNC__ZIVVER_API_KEY":"@Microsoft.KeyVault(VaultName=kv;SecretName=zivver-api-key)"}"#;
    let settings = [
        ("DEPLOYED_SETTINGS", deployed),
        ("CLOUD_SYNC__KEEP_RUNS", "30"),
        ("CLOUD_SYNC__MAX_SUSPEND", "100%"),
    ];
    let said = check_inside(&office, &settings);
    for line in [
        "CLOUD_SYNC__MAX_SUSPEND differs from the last deployment; the next one resets it",
        "CLOUD_SYNC__ZIVVER_API_KEY: the platform resolved the Key Vault reference",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(!said.contains("CLOUD_SYNC__KEEP_RUNS differs"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_is_named_with_its_ids_and_its_app_roles() {
    const OWN: &str = "66666666-0000-4000-8000-000000000001";
    const ASSIGNED: &str = "66666666-0000-4000-8000-000000000009";
    let office = Office::open(4, 1).await;
    let identity = office.sandbox.exchange.identity();
    identity.with_settings(|settings| settings.user_assigned.push(ASSIGNED.to_owned()));
    let object_id = identity.settings().object_id;
    let tenant_id = identity.settings().tenant_id;
    let user_assigned = [("CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID", ASSIGNED)];
    for (settings, client_id) in [(&[][..], OWN), (&user_assigned[..], ASSIGNED)] {
        let said = check_inside(&office, settings);
        let named = format!(
            "signed in to tenant {tenant_id} as the application {client_id} (object id \
             {object_id}) with the app role Exchange.ManageAsApp"
        );
        assert!(said.contains(&named), "{said}");
    }
    identity.with_settings(|settings| settings.roles = vec!["Mail.Read".to_owned()]);
    let said = check_inside(&office, &[]);
    let named = format!(
        "the token is of the application {OWN} (object id {object_id}) with the app role Mail.Read"
    );
    assert!(said.contains(&named), "{said}");
}
