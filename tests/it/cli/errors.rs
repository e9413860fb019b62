//! What a person can get wrong: one clear line with the remedy, and exit code 1.

use insta::assert_snapshot;

use super::bench::{self, Bench};
use cloud_sync::sandbox::exchange::ExchangeRole;

/// The line after "error: ". Which of Zivver's two lists fails first is chance.
fn error(bench: &Bench, arguments: &[&str]) -> String {
    let ended = bench.run(arguments);
    assert_eq!(ended.code, 1, "{ended:?}");
    let text = bench.stable(ended.err.strip_prefix("error: ").unwrap());
    text.replace("the functional accounts", "the accounts")
        .replace("the user accounts", "the accounts")
}

async fn preview_with(name: &str, value: &str) -> String {
    let bench = Bench::start(bench::small()).await.with(name, value);
    error(&bench, &["preview"])
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_settings_are_all_listed() {
    let ended = bench::program(&[], &["preview"]);
    assert_eq!((ended.code, &*ended.out), (1, ""));
    assert_snapshot!(ended.err, @r"
    error: cannot use the settings
      CLOUD_SYNC__ZIVVER_API_KEY is not set: set it to an API key made in Zivver's settings, under API keys
      CLOUD_SYNC__CLAIMED_DOMAINS is not set: set it to the domains that the organisation claimed in Zivver, such as `corp.example, corp.test`
      CLOUD_SYNC__SSO_ACCOUNT_KEY is not set: set it to `object_id` where people sign in to Zivver with their Entra object id, else `omit`
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_used() {
    let unresolved = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/key/)";
    assert_snapshot!(preview_with("ZIVVER_API_KEY", unresolved).await, @r"
    cannot use the settings
      CLOUD_SYNC__ZIVVER_API_KEY holds a Key Vault reference that the platform could not resolve: give the app's identity the role Key Vault Secrets User on the vault, check the secret's name and the vault's firewall, then restart the app
    ");
    assert_snapshot!(preview_with("CLAIMED_DOMAINS", "corp").await, @r#"
    cannot use the settings
      CLOUD_SYNC__CLAIMED_DOMAINS "corp" is no domain: list whole domains without `@`, `*` or a path: `corp.example, corp.test`
    "#);
    assert_snapshot!(preview_with("ZIVVER_API_URL", "http://zivver.example/api").await, @r"
    cannot use the settings
      CLOUD_SYNC__ZIVVER_API_URL uses http: use https; http is only for addresses on this machine (localhost, 127.0.0.1, [::1])
    ");
    assert_snapshot!(preview_with("STATE", "s3://bucket").await, @r#"
    cannot use the settings
      CLOUD_SYNC__STATE "s3" is no kind of state: write az://container, file:///path or memory:
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_roles_that_do_not_open() {
    assert_snapshot!(preview_with("ZIVVER_API_KEY", "Z1.1.2.d3Jvbmc").await, @"target incomplete: cannot read the accounts: Zivver answered 401; make a new key in the Zivver WebApp (Organization settings, Integrations, API keys) and set ZIVVER_API_KEY to it; the key of a deleted administrator stops working (R1)");
    assert_snapshot!(preview_with("ACCESS_TOKEN", "no-token").await, @"source incomplete: cannot sign in to Exchange Online: the token is no JWT; put the fresh token of somebody who may read mailboxes into ACCESS_TOKEN, or remove that setting (R1)");

    let bench = Bench::start(bench::small()).await;
    bench
        .sandbox
        .exchange
        .with_state(|tenant| tenant.grants.app_roles.clear());
    let token = bench.sandbox.exchange.identity().mint();
    assert_snapshot!(error(&bench.with("ACCESS_TOKEN", &token), &["preview"]), @"source incomplete: cannot sign in to Exchange Online: the identity lacks the app role Exchange.ManageAsApp (grant it as the README says; a grant shows only in a new token); put the fresh token of somebody who may read mailboxes into ACCESS_TOKEN, or remove that setting (R1)");

    let (mut tenant, organisation) = bench::small();
    tenant.grants.exchange_role = ExchangeRole::None;
    let bench = Bench::start((tenant, organisation)).await;
    assert_snapshot!(error(&bench, &["preview"]), @"source incomplete: read the mailbox list: HTTP 401, Unauthorized: User is not allowed to call Get-Mailbox (Request-Id 44444444-0000-4000-8000-000000000001); grant the identity the app role Exchange.ManageAsApp and, in Exchange, a role group with View-Only Recipients (or the Entra role Global Reader): the README has the commands, and a new grant can take hours (R1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_not_there() {
    let bench = Bench::start(bench::small()).await;
    let wrong = format!("{}/wrong", bench.sandbox.url());
    assert_snapshot!(error(&bench.with("ZIVVER_API_URL", &wrong), &["preview"]), @r#"target incomplete: cannot read the accounts: Zivver answered 404 ({"error":{"code":"NotFound","innererror":{"message":"An server side error occured.","type":"Microsoft.Exchange.Admin.OData.Core.ODataServiceException"},"message":"An server side error occured."}}); set ZIVVER_API_URL to the address that Zivver's API has, up to /scim/v2, and check the proxy (R1)"#);

    // Nothing listens on the port of a sandbox that has stopped.
    let stopped = Bench::start(bench::small()).await;
    let url = stopped.sandbox.url();
    stopped.sandbox.stop().await;
    let gone = |text: String| text.replace(url.trim_start_matches("http://"), "STOPPED");
    assert_snapshot!(gone(preview_with("EXO_URL", &url).await), @"source incomplete: read the mailbox list: cannot reach STOPPED: Connection refused (os error 111); start the sandbox (cloud-sync sandbox) or correct EXO_URL (R1)");
    assert_snapshot!(gone(preview_with("ZIVVER_API_URL", &format!("{url}/api")).await), @"target incomplete: cannot read the accounts: cannot reach STOPPED: Connection refused (os error 111); the next run tries again; check ZIVVER_API_URL, the network and Zivver's status page if it stays so (R1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let text = preview_with("STATE", &format!("file://{path}/state")).await;
    assert_snapshot!(text.replace(&path, "FILE"), @"cannot open the folder in folder FILE/state: Not a directory (os error 20); check that the storage is up and reachable from here");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_apply_is_refused_where_nothing_may_write() {
    let bench = Bench::start(bench::small())
        .await
        .with("PERFORM_SYNC", "false");
    assert_snapshot!(error(&bench, &["apply"]), @"this run may not write, since CLOUD_SYNC__PERFORM_SYNC is false (R28); set it to on-demand or true");
    assert_eq!(bench.sandbox.zivver.control().counters().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_make_no_sense() {
    let bench = Bench::start(bench::small()).await;
    assert_snapshot!(error(&bench, &["apply", "--approve", "c0ffee"]), @r#"no held set has the code "c0ffee"; the report of the last run lists the codes (R27)"#);
    assert_snapshot!(error(&bench, &["runs", "yesterday"]), @r#"no run has the id "yesterday"; `cloud-sync runs` lists them"#);
    assert_snapshot!(error(&bench, &["explain", "anna"]), @r"
    invalid value 'anna' for '<ADDRESS>': anna is no mail address; write it like anna@corp.example

    For more information, try '--help'.
    ");
    assert_snapshot!(error(&bench, &["preview", "--approve", "c0ffee"]), @r"
    unexpected argument '--approve' found

      tip: to pass '--approve' as a value, use '-- --approve'

    Usage: cloud-sync preview [OPTIONS] [ADDRESS]...

    For more information, try '--help'.
    ");
}
