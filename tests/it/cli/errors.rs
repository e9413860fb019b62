//! What a person can get wrong: one clear line with the remedy, and exit code 1.

use insta::assert_snapshot;

use super::bench::{self, Bench};
use cloud_sync::sandbox::exchange::ExchangeRole;

/// The line after "error: ".
fn error(bench: &Bench, arguments: &[&str]) -> String {
    let ended = bench.run(arguments);
    assert_eq!(ended.code, 1, "{ended:?}");
    bench.stable(ended.err.strip_prefix("error: ").unwrap())
}

async fn preview_with(name: &str, value: &str) -> String {
    let bench = Bench::start(bench::small()).await.with(name, value);
    error(&bench, &["preview"])
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_settings_are_all_listed() {
    let ended = bench::program(&[], &["preview"]);
    assert_eq!((ended.code, &*ended.out), (1, ""));
    assert_snapshot!(ended.err, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_used() {
    let unresolved = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/key/)";
    assert_snapshot!(preview_with("ZIVVER_API_KEY", unresolved).await, @"");
    assert_snapshot!(preview_with("CLAIMED_DOMAINS", "corp").await, @"");
    assert_snapshot!(preview_with("ZIVVER_API_URL", "http://zivver.example/api").await, @"");
    assert_snapshot!(preview_with("STATE", "s3://bucket").await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_roles_that_do_not_open() {
    assert_snapshot!(preview_with("ZIVVER_API_KEY", "Z1.1.2.d3Jvbmc").await, @"");
    assert_snapshot!(preview_with("ACCESS_TOKEN", "no-token").await, @"");

    let bench = Bench::start(bench::small()).await;
    bench
        .sandbox
        .exchange
        .with_state(|tenant| tenant.grants.app_roles.clear());
    let token = bench.sandbox.exchange.identity().mint();
    assert_snapshot!(error(&bench.with("ACCESS_TOKEN", &token), &["preview"]), @"");

    let (mut tenant, organisation) = bench::small();
    tenant.grants.exchange_role = ExchangeRole::None;
    let bench = Bench::start((tenant, organisation)).await;
    assert_snapshot!(error(&bench, &["preview"]), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_not_there() {
    let bench = Bench::start(bench::small()).await;
    let wrong = format!("{}/wrong", bench.sandbox.url());
    assert_snapshot!(error(&bench.with("ZIVVER_API_URL", &wrong), &["preview"]), @"");

    // Nothing listens on the port of a sandbox that has stopped.
    let stopped = Bench::start(bench::small()).await;
    let url = stopped.sandbox.url();
    stopped.sandbox.stop().await;
    let gone = |text: String| text.replace(url.trim_start_matches("http://"), "STOPPED");
    assert_snapshot!(gone(preview_with("EXO_URL", &url).await), @"");
    assert_snapshot!(gone(preview_with("ZIVVER_API_URL", &format!("{url}/api")).await), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let text = preview_with("STATE", &format!("file://{path}/state")).await;
    assert_snapshot!(text.replace(&path, "FILE"), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_apply_is_refused_where_nothing_may_write() {
    let bench = Bench::start(bench::small())
        .await
        .with("PERFORM_SYNC", "false");
    assert_snapshot!(error(&bench, &["apply"]), @"");
    assert_eq!(bench.sandbox.zivver.control().counters().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_make_no_sense() {
    let bench = Bench::start(bench::small()).await;
    assert_snapshot!(error(&bench, &["apply", "--approve", "c0ffee"]), @"");
    assert_snapshot!(error(&bench, &["runs", "yesterday"]), @"");
    assert_snapshot!(error(&bench, &["explain", "anna"]), @"");
    assert_snapshot!(error(&bench, &["preview", "--approve", "c0ffee"]), @"");
}
