//! The self-test: what it finds in a world that works, and in worlds that do not.

use std::process::Command;

use cloud_sync::{
    engine::check::{Checkup, Level},
    sandbox::{
        control::{Fault, FaultKind},
        tenant,
    },
};

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
async fn a_token_that_is_none_names_the_commands_that_grant() {
    let checkup = check(&[("ACCESS_TOKEN", "not-a-token")]).await;
    let finding = checkup
        .findings
        .iter()
        .find(|finding| finding.topic == "identity")
        .unwrap();
    assert_eq!(finding.level, Level::Error);
    assert!(
        finding
            .remedy
            .iter()
            .any(|line| line.contains("dc50a0fb-09a3-484d-be87-e023b12c6440"))
    );
    assert!(
        texts(&checkup, "exchange").is_empty(),
        "what rests on it is not asked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_a_mistyped_group_names_the_commonest_cause_first() {
    for entry in ["stafff@corp.example", "Stafff"] {
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

/// In a process of its own, since `DEPLOYED_SETTINGS` has no prefix.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_the_next_deployment_resets_are_named() {
    let office = Office::open(4, 1).await;
    let deployed = r#"{"CLOUD_SYNC__MAX_SUSPEND":"","CLOUD_SYNC__KEEP_RUNS":"30"}"#;
    let mut check = Command::new(env!("CARGO_BIN_EXE_cloud-sync"));
    check
        .arg("check")
        .env_clear()
        .envs(office.settings("memory:"))
        .env("DEPLOYED_SETTINGS", deployed)
        .env("CLOUD_SYNC__KEEP_RUNS", "30")
        .env("CLOUD_SYNC__MAX_SUSPEND", "100%");
    let output = tokio::task::block_in_place(|| check.output()).unwrap();
    let said = said(&output);
    let line = "CLOUD_SYNC__MAX_SUSPEND differs from the last deployment; the next one resets it";
    assert!(said.contains(line), "{said}");
    assert!(!said.contains("CLOUD_SYNC__KEEP_RUNS differs"), "{said}");
}
