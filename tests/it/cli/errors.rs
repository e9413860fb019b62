//! Mistakes of a user: one clear line with the remedy, and exit code 1.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Stdio},
};

use insta::assert_snapshot;

use super::bench::{self, Bench};
use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::Report,
    },
    engine::{Engine, Links, RunRequest},
    http::{Clock, Transport},
    sandbox::{
        exchange::{ExchangeRole, Tenant},
        zivver::{LimiterConfig, Organisation},
    },
    settings::Settings,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{mail::Certificate, tools, world::World};

/// The line after "error: ". Which of Zivver's two lists fails first is not deterministic.
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
      CLOUD_SYNC__ZIVVER_API_KEY is not set: set it to an API key made in the Zivver WebApp (Organization settings, Integrations, API keys)
      CLOUD_SYNC__CLAIMED_DOMAINS is not set: set it to the domains that the organisation claimed in Zivver, such as `corp.example, corp.test`
      CLOUD_SYNC__SSO_ACCOUNT_KEY is not set: set it to `object_id`, `user_principal_name` or `primary_address`, whichever Entra sends as the claim `ZivverAccountKey`; `omit` if people do not sign in so
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn r27_a_preview_takes_no_approval() {
    let bench = Bench::start(bench::small()).await;
    let refused = error(&bench, &["preview", "--approve", "c0de"]);
    assert_snapshot!(refused, @"a preview applies nothing, so it takes no approval codes; start the run as apply (R27)");
    bench.run(&["preview"]);
    let none = bench.run(&["reject"]);
    assert_eq!((none.code, &*none.out), (0, "Nothing is rejected.\n"));
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
      CLOUD_SYNC__CLAIMED_DOMAINS "corp" is not a domain: list whole domains without `@`, `*` or a path: `corp.example, corp.test`
    "#);
    let by_name = preview_with("SOURCE_FILTER", "Staff, care@corp.example").await;
    assert_snapshot!(by_name, @r#"
    cannot use the settings
      CLOUD_SYNC__SOURCE_FILTER "Staff" is neither an object id nor an address: write the address or the object id of the group, as the Exchange admin center shows it; another group can get its name
    "#);
    assert_snapshot!(preview_with("ZIVVER_API_URL", "http://zivver.example/api").await, @r"
    cannot use the settings
      CLOUD_SYNC__ZIVVER_API_URL uses http: use https; http is only for addresses on this machine (localhost, 127.0.0.1, [::1])
    ");
    assert_snapshot!(preview_with("STATE", "s3://bucket").await, @r#"
    cannot use the settings
      CLOUD_SYNC__STATE "s3" is not a kind of state: write az://container, file:///path or memory:
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_roles_that_do_not_open() {
    assert_snapshot!(preview_with("ZIVVER_API_KEY", "Z1.1.2.d3Jvbmc").await, @"target incomplete: cannot read the accounts: Zivver answered 401; make a new key in the Zivver WebApp (Organization settings, Integrations, API keys) and, in Azure, store it as a new version of the Key Vault secret that CLOUD_SYNC__ZIVVER_API_KEY refers to, refresh the reference and restart the app; elsewhere set that variable to it; the key of a deleted administrator stops working (R1)");
    assert_snapshot!(preview_with("ACCESS_TOKEN", "no-token").await, @"source incomplete: cannot sign in to Exchange Online: the token is not a JSON Web Token; set CLOUD_SYNC__ACCESS_TOKEN to a new token of an account that may read mailboxes, or remove that setting (R1)");

    let bench = Bench::start(bench::small()).await;
    bench
        .sandbox
        .exchange
        .with_state(|tenant| tenant.grants.app_roles.clear());
    let token = bench.sandbox.exchange.identity().mint();
    assert_snapshot!(error(&bench.with("ACCESS_TOKEN", &token), &["preview"]), @"source incomplete: cannot sign in to Exchange Online: the identity lacks the app role Exchange.ManageAsApp: the token is of the application 66666666-0000-4000-8000-000000000001 (object id 66666666-0000-4000-8000-000000000002) with no app role; run infra/grant-exchange.sh --resource-group GROUP --app NAME, or in PowerShell infra/grant-exchange.ps1 -PrincipalId ID (docs/deploy.md, step 4); a grant shows only in a new token (R1)");

    let (mut tenant, organisation) = bench::small();
    tenant.grants.exchange_role = ExchangeRole::None;
    let bench = Bench::start((tenant, organisation)).await;
    assert_snapshot!(error(&bench, &["preview"]), @"source incomplete: read the mailbox list: HTTP 401, Unauthorized: User is not allowed to call Get-Mailbox (Request-Id 44444444-0000-4000-8000-000000000001); the identity needs the app role Exchange.ManageAsApp and, in Exchange, a role group with View-Only Recipients: grant them as in docs/deploy.md, step 4; a new grant can take hours (R1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_not_there() {
    let bench = Bench::start(bench::small()).await;
    let wrong = format!("{}/wrong", bench.sandbox.url());
    assert_snapshot!(error(&bench.with("ZIVVER_API_URL", &wrong), &["preview"]), @r#"target incomplete: cannot read the accounts: Zivver answered 404 ({"error":{"code":"NotFound","innererror":{"message":"An server side error occured.","type":"Microsoft.Exchange.Admin.OData.Core.ODataServiceException"},"message":"An server side error occured."}}); set CLOUD_SYNC__ZIVVER_API_URL to the address of Zivver's API without /scim/v2, such as https://app.zivver.com/api, and check the proxy (R1)"#);

    // Nothing listens on the port of a sandbox that has stopped.
    let stopped = Bench::start(bench::small()).await;
    let url = stopped.sandbox.url();
    stopped.sandbox.stop().await;
    let host = url.trim_start_matches("http://");
    let (_, port) = host.split_once(':').unwrap();
    let gone = |text: String| text.replace(host, "STOPPED").replace(port, "PORT");
    assert_snapshot!(gone(preview_with("EXO_URL", &url).await), @"source incomplete: read the mailbox list: cannot reach STOPPED: Connection refused (os error 111); start the sandbox (cloud-sync sandbox --port PORT) and use the settings that it prints, or correct CLOUD_SYNC__EXO_URL (R1)");
    assert_snapshot!(gone(preview_with("ZIVVER_API_URL", &format!("{url}/api")).await), @"target incomplete: cannot read the accounts: cannot reach STOPPED: Connection refused (os error 111); start the sandbox (cloud-sync sandbox --port PORT) and use the settings that it prints, or correct CLOUD_SYNC__ZIVVER_API_URL (R1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_sandbox() {
    let bench = Bench::start(bench::small()).await;
    let other = Bench::start(bench::small()).await;
    let token = other.sandbox.exchange.identity().mint();
    let text = error(&bench.with("ACCESS_TOKEN", &token), &["preview"]);
    assert!(
        text.contains("; set CLOUD_SYNC__ACCESS_TOKEN to the token that this sandbox printed: each sandbox accepts only its own"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_cannot_be_written() {
    if cfg!(target_os = "linux") {
        let text = preview_with("STATE", "file:///proc/nothing").await;
        assert_snapshot!(text, @"cannot use folder /proc/nothing for the state: No such file or directory (os error 2); set CLOUD_SYNC__STATE to a folder that this user may create, read and write, such as file:///path");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let text = preview_with("STATE", &format!("file://{path}/state")).await;
    assert_snapshot!(text.replace(&path, "FILE"), @"cannot use folder FILE/state for the state: a part of its path is a file; set CLOUD_SYNC__STATE to a folder that this user may create, read and write, such as file:///path");
    let text = preview_with("STATE", &format!("file://{path}")).await;
    assert_snapshot!(text.replace(&path, "FILE"), @"cannot use folder FILE for the state: it is a file; set CLOUD_SYNC__STATE to a folder that this user may create, read and write, such as file:///path");
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
    assert_snapshot!(error(&bench, &["apply", "--approve", "c0ffee"]), @r#"no held set has the code "c0ffee"; start a preview, or for the set of an undo `cloud-sync undo RUN`: it shows the codes of what is held now (R27) (no run yet in folder FOLDER/state)"#);
    assert_snapshot!(error(&bench, &["runs", "yesterday"]), @r#"no run has the id "yesterday"; `cloud-sync runs` lists them (no run yet in folder FOLDER/state)"#);
    assert_snapshot!(error(&bench, &["apply", "info.corp.example"]), @r"
    invalid value 'info.corp.example' for '[ADDRESS|PLAN]...': info.corp.example is neither a mail address nor an existing file; write an address like anna@corp.example, or the file of a plan that `cloud-sync preview --out plan.json` wrote

    For more information, try '--help'.
    ");
    for arguments in [
        &["preview", "--first", "0"][..],
        &["preview", "--first", "x"],
        &["runs", "--limit", "1.5"],
        &["sandbox", "--port", "99999"],
        &["sandbox", "--seed", "x"],
    ] {
        let text = error(&bench, arguments);
        assert!(text.contains(": write a whole number from "), "{text}");
    }
    assert_snapshot!(error(&bench, &["reject", "--undo"]), @"--undo takes back what was rejected with a code, and none is given; `cloud-sync reject` lists the codes (R47)");
    assert_snapshot!(error(&bench, &["explain", "anna"]), @r"
    invalid value 'anna' for '<ADDRESS>': anna is not a mail address; write it like anna@corp.example

    For more information, try '--help'.
    ");
}

/// By RFC 2606 `.invalid` cannot be resolved, with or without a name server. The text of the operating system differs.
const NOBODY: &str = "https://nobody.invalid";

fn without_cause(text: &str, sign: &str) -> String {
    let (before, rest) = text.split_once(sign).unwrap();
    let (_, after) = rest.split_once("; ").unwrap();
    format!("{before}{sign}CAUSE; {after}")
}

/// In this process, on a paused clock, since the attempts take half a minute. Returns what the program prints.
async fn preview_without_name(name: &str) -> String {
    let (tenant, organisation) = bench::small();
    let world = World::still(tenant, organisation).await;
    let mut settings = world.settings.clone();
    settings.insert(format!("CLOUD_SYNC__{name}"), NOBODY.to_owned());
    let settings = Settings::read(|name| settings.get(name).cloned(), &[]).unwrap();
    let (exchange, zivver) = (
        world.sandbox.exchange.router(),
        world.sandbox.zivver.router(),
    );
    let links = Links {
        exchange: (name != "EXO_URL").then(|| Transport::InProcess(exchange)),
        zivver: (name != "ZIVVER_API_URL").then(|| Transport::InProcess(zivver)),
        clock: Clock::simulated(jiff::Timestamp::now()),
        ..Links::default()
    };
    let request = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    let report = Engine::new(settings, links).run(&request).await.unwrap();
    let error = report.error.unwrap();
    let error = error.replace("the functional accounts", "the accounts");
    error.replace("the user accounts", "the accounts")
}

#[tokio::test(start_paused = true)]
async fn services_whose_names_do_not_exist() {
    const SIGN: &str = "cannot reach nobody.invalid: ";
    let exchange = without_cause(&preview_without_name("EXO_URL").await, SIGN);
    assert_snapshot!(exchange, @"source incomplete: read the mailbox list: cannot reach nobody.invalid: CAUSE; no such host name: correct CLOUD_SYNC__EXO_URL, or check the machine's DNS (R1)");
    let zivver = without_cause(&preview_without_name("ZIVVER_API_URL").await, SIGN);
    assert_snapshot!(zivver, @"target incomplete: cannot read the accounts: cannot reach nobody.invalid: CAUSE; the next run tries again; check CLOUD_SYNC__ZIVVER_API_URL, the network and Zivver's status page if it stays so (R1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_account_whose_name_does_not_exist() {
    let bench = Bench::start(bench::small())
        .await
        .with("STATE", "az://cloud-sync");
    let storage = format!("AccountName=nobody;AccountKey=bm9ib2R5;BlobEndpoint={NOBODY}");
    let ended = bench.run_with(&[("AzureWebJobsStorage", &storage)], &["preview"]);
    assert_eq!((ended.code, bench.writes()), (1, 0));
    assert_snapshot!(without_cause(&ended.err, "account nobody: "), @"error: cannot open the state in container cloud-sync of storage account nobody: CAUSE; check that the storage is up and reachable from here");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_azurite_that_does_not_run() {
    let bench = Bench::start(bench::small())
        .await
        .with("STATE", "az://cloud-sync");
    let host = unused();
    let storage = format!(
        "AccountName=devstoreaccount1;AccountKey=bm9ib2R5;BlobEndpoint=http://{host}/devstoreaccount1"
    );
    let begun = std::time::Instant::now();
    let ended = bench.run_with(&[("AzureWebJobsStorage", &storage)], &["preview"]);
    // Storage in Azure may come back: it is asked again for 25 s.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    let error = ended.err.replace(&host, "HOST");
    assert_snapshot!(error, @"error: cannot open the state in container cloud-sync of storage account devstoreaccount1 of Azurite at HOST (AzureWebJobsStorage): Connection refused (os error 111); start Azurite, or leave AzureWebJobsStorage empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_for_the_log_that_cannot_be_written() {
    let bench = Bench::start(bench::small()).await.with("LOG_DIR", "file");
    std::fs::write(bench.folder().join("file"), "").unwrap();
    let ended = bench.run(&["runs"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_snapshot!(ended.err, @r#"error: cannot write log files: set CLOUD_SYNC__LOG_DIR to a folder that this process may write (dir=file error="File exists (os error 17)")"#);
}

/// An address of this machine at which nothing listens.
fn unused() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_notifications_whose_name_does_not_exist_fails_no_run() {
    let hook = format!("{NOBODY}/hook/canary-7f3a");
    let bench = Bench::start(bench::small()).await.with("NOTIFY_URL", &hook);
    bench.sandbox.zivver.control().fail_next(401);
    bench.sandbox.zivver.control().fail_next(401);
    let ended = bench.run(&["apply"]);
    let line = ended
        .err
        .lines()
        .find(|line| line.contains("the notification was not sent"));
    let line = line.unwrap_or_else(|| panic!("{ended:?}"));
    assert_snapshot!(without_cause(line, "cannot reach nobody.invalid: "), @"warning: the notification was not sent: cannot reach nobody.invalid: CAUSE; no such host name: correct CLOUD_SYNC__NOTIFY_URL, or check the machine's DNS; check CLOUD_SYNC__NOTIFY_URL");
    assert!(!ended.err.contains("canary"), "{}", ended.err);
}

/// Forwards bytes in both directions between a port of `::1` and the sandbox.
async fn over_ipv6(sandbox: std::net::SocketAddr) -> Option<(String, JoinSet<()>)> {
    let listener = match TcpListener::bind("[::1]:0").await {
        Ok(listener) => listener,
        Err(error) => {
            let missing = format!("no IPv6 on this machine: {error}");
            assert!(
                std::env::var_os("CI").is_none(),
                "CI is set but there is {missing}"
            );
            skipped(&missing);
            return None;
        }
    };
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut here, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut there = TcpStream::connect(sandbox).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut here, &mut there).await);
            });
        }
    });
    Some((url, server))
}

#[expect(clippy::print_stderr, reason = "a skipped test has to be seen")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_with_ipv6_only_are_reached() {
    let bench = Bench::start(bench::small()).await;
    let sandbox = bench.sandbox.url();
    let sandbox = sandbox.trim_start_matches("http://").parse().unwrap();
    let Some((url, _server)) = over_ipv6(sandbox).await else {
        return;
    };
    assert!(url.starts_with("http://[::1]:"), "{url}");
    let bench = bench
        .with("EXO_URL", &url)
        .with("ZIVVER_API_URL", &format!("{url}/api"));
    let ended = bench.run(&["preview"]);
    // 3: everything was read, and there are changes to make.
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.out.contains("bob@corp.example"), "{ended:?}");
}

/// A server with a self-signed certificate. It prints the result of each connection.
const TLS_SERVER: &str = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    connection.settimeout(20)
    try:
        with context.wrap_socket(connection, server_side=True) as stream:
            said = stream.recv(65536)
            print("READ" if said else "NOTHING", said[:40], flush=True)
            stream.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    except OSError as error:
        print("REFUSED", type(error).__name__, flush=True)
"#;

struct TlsServer {
    child: Child,
    lines: BufReader<ChildStdout>,
    url: String,
}

impl TlsServer {
    fn start(certificate: &Certificate) -> Option<Self> {
        let mut command = tools::python_with("ssl")?;
        command.args(["-c", TLS_SERVER]);
        command.arg(&certificate.certificate).arg(&certificate.key);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        let url = format!("https://localhost:{}", port.trim());
        Some(Self { child, lines, url })
    }

    /// The results of all connections.
    fn stop(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.by_ref().lines().map(Result::unwrap).collect()
    }
}

/// The error of a preview with such a service, which must see the connection but no data.
async fn preview_untrusted(name: &str, server: TlsServer) -> String {
    let url = server.url.clone();
    let bench = Bench::start(bench::small()).await.with(name, &url);
    let text = error(&bench, &["preview"]);
    let text = text.replace(url.trim_start_matches("https://"), "SERVER");
    assert_eq!(bench.writes(), 0);
    let heard = server.stop();
    assert!(!heard.is_empty(), "somebody came");
    for line in heard {
        assert!(line.starts_with("REFUSED"), "{line}");
    }
    // The text depends on what this machine trusts.
    without_cause(text.trim_end(), "invalid peer certificate: ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_certificate_that_nobody_trusts_hears_nothing() {
    let Some(certificate) = Certificate::new() else {
        return;
    };
    let (Some(one), Some(other)) = (
        TlsServer::start(&certificate),
        TlsServer::start(&certificate),
    ) else {
        return;
    };
    // At the same time, since each is tried three times.
    let mut previews = JoinSet::new();
    previews.spawn(preview_untrusted("EXO_URL", one));
    previews.spawn(preview_untrusted("ZIVVER_API_URL", other));
    let mut said = previews.join_all().await;
    said.sort();
    assert_snapshot!(said.join("\n"), @r"
    source incomplete: read the mailbox list: cannot reach SERVER: TLS handshake failed: invalid peer certificate: CAUSE; let this machine trust the issuer of the certificate, or correct CLOUD_SYNC__EXO_URL (R1)
    target incomplete: cannot read the accounts: cannot reach SERVER: TLS handshake failed: invalid peer certificate: CAUSE; let this machine trust the issuer of the certificate, or correct CLOUD_SYNC__ZIVVER_API_URL (R1)
    ");

    // Proof that the server can read: a client that trusts the certificate connects to it.
    let server = TlsServer::start(&certificate).unwrap();
    let bench = Bench::start(bench::small())
        .await
        .with("EXO_URL", &server.url);
    let trusted = certificate.certificate.display().to_string();
    let ended = bench.run_with(&[("SSL_CERT_FILE", &trusted)], &["preview"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let heard = server.stop();
    assert!(
        heard.iter().any(|line| line.starts_with("READ")),
        "{heard:?}"
    );
}

/// The result of a preview of many mailboxes with these limits of open files, soft and hard.
#[cfg(target_os = "linux")]
async fn preview_with_open_files(soft: u32, hard: u32) -> Report {
    let tenant = (0..150).fold(Tenant::new("corp.example"), |tenant, n| {
        tenant.shared(&format!("desk{n:03}@corp.example"))
    });
    let mut organisation = Organisation::new(["corp.example"]);
    organisation.limiter = LimiterConfig::off();
    let bench = Bench::start((tenant, organisation)).await;
    let exchange = bench.sandbox.exchange.control();
    exchange.set_latency(std::time::Duration::from_millis(20));
    let bench = bench.with("EXO_CONCURRENCY", "64");
    let ended = bench.run_limited(
        &format!("ulimit -Sn {soft} && ulimit -Hn {hard}"),
        &["preview", "--json"],
    );
    let report: Report = ended.json();
    assert_eq!(report.error, None, "{ended:?}");
    assert_eq!(report.source.mailboxes, 150);
    report
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn too_few_open_files_make_the_requests_in_flight_fewer() {
    let report = preview_with_open_files(64, 64).await;
    assert_snapshot!(report.warnings.join("\n"), @"EXO_CONCURRENCY is 64, but this process may open only 64 files, so at most 12 requests to Exchange are in flight; raise the limit (ulimit -n) to 116 or lower EXO_CONCURRENCY");
    assert_eq!(report.requests.exchange.retries, 0);
    // The program raises its soft limit as far as the hard limit allows.
    let report = preview_with_open_files(64, 512).await;
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(report.requests.exchange.retries, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_nothing_is_in_sync_if_no_mailbox_is_in_the_claimed_domains() {
    let bench = Bench::start(bench::small()).await;
    let bench = bench.with("CLAIMED_DOMAINS", "corp.exmaple");
    for arguments in [&["preview"][..], &["apply", "--yes"]] {
        let run = bench.run(arguments);
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.out.contains("no mailbox is inside"), "{run:?}");
        assert!(!run.out.contains("In sync"), "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn active_accounts_are_those_of_zivver_whatever_the_filter_protects() {
    let bench = Bench::start(bench::small()).await;
    let active = |bench: &Bench| {
        let run = bench.run(&["preview", "--json"]);
        run.json::<Report>().target.active
    };
    let all = active(&bench);
    assert!(all > 0);
    let bench = bench.with("TARGET_FILTER", "*");
    assert_eq!(active(&bench), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_plan_replaces_no_file_that_is_not_a_plan() {
    let bench = Bench::start(bench::small()).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (plan, settings, page) = (at("plan.json"), at("prod.env"), at("page.html"));
    for _ in 0..2 {
        let made = bench.run(&["preview", "--out", &plan]);
        assert!([2, 3].contains(&made.code), "{made:?}");
    }
    std::fs::write(&settings, "CLOUD_SYNC__STATE=x\n").unwrap();
    let refused = bench.run(&["preview", "--out", &settings]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("exists and is not a plan"),
        "{refused:?}"
    );
    let kept = std::fs::read_to_string(&settings).unwrap();
    assert_eq!(kept, "CLOUD_SYNC__STATE=x\n");
    let applied = bench.run(&["apply", &settings]);
    assert!(!applied.err.contains("--out prod.env"), "{applied:?}");
    let same = bench.run(&["preview", "--out", &page, "--report", &page]);
    assert!(same.err.contains("name the same file"), "{same:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_folder_that_cannot_be_written_fails_the_check() {
    let bench = Bench::start(bench::small()).await;
    let good = bench.run(&["check"]);
    assert!(!good.out.contains("LOG_DIR"), "{good:?}");
    let no_folder = bench.folder().join("file");
    std::fs::write(&no_folder, "").unwrap();
    let folder = no_folder.join("logs").display().to_string();
    let checked = bench.run_with(&[("CLOUD_SYNC__LOG_DIR", &folder)], &["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    let told = format!("fail log       cannot write log files in {folder}: ");
    assert!(checked.out.contains(&told), "{checked:?}");
}
