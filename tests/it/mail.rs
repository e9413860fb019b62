//! Reports by mail, to a real mail server.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    host::{Host, project::AppSettings, wire::Tick},
    process::office::{Office, folder_url, with},
    tools::{python_with, said},
};

const PASSWORD: &str = "canary p@ss/word";
const ENCODED: &str = "canary%20p%40ss%2Fword";

struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start(certificate: Option<&Certificate>) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/smtp_receiver.py");
        let mut command = python_with("aiosmtpd")?;
        command.arg(script).args(["reports", PASSWORD]);
        if let Some(certificate) = certificate {
            command.arg(&certificate.certificate).arg(&certificate.key);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        Some(Self {
            child,
            lines,
            port: port.trim().parse().unwrap(),
        })
    }

    /// Every mail on one line, since a report is smaller than the buffer of a pipe.
    fn stop(mut self) -> Vec<Value> {
        self.end();
        let lines = self.lines.by_ref().lines().map(Result::unwrap);
        lines
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect()
    }
}

impl Server {
    fn end(&mut self) {
        // An error means that it has already ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) struct Certificate {
    _folder: tempfile::TempDir,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// A self-signed certificate for `localhost`.
    pub(crate) fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("certificate"), folder.path().join("key"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output();
        assert!(
            made.as_ref().is_ok_and(|made| made.status.success())
                || std::env::var_os("CI").is_none(),
            "CI is set but openssl makes no certificate"
        );
        made.ok()?.status.success().then_some(Self {
            _folder: folder,
            certificate,
            key,
        })
    }
}

fn mailed(settings: AppSettings, server: &str) -> AppSettings {
    let settings = with(settings, "SMTP_URL", server);
    let settings = with(settings, "MAIL_FROM", "Sync@corp.example");
    with(settings, "MAIL_TO", "anna@corp.example, ops@example.org")
}

async fn apply(settings: AppSettings, trusted: Option<&Path>) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cloud-sync"));
    command.arg("apply").envs(settings);
    if let Some(trusted) = trusted {
        command.env("SSL_CERT_FILE", trusted);
    }
    command.output().await.unwrap()
}

fn is_the_report(mail: &Value) {
    assert_eq!(mail["from"], "sync@corp.example");
    assert_eq!(
        mail["to"],
        serde_json::json!(["anna@corp.example", "ops@example.org"])
    );
    let subject = mail["subject"].as_str().unwrap();
    assert!(
        subject.starts_with("Cloud Sync: ") && subject.ends_with(')'),
        "{subject}"
    );
    assert_eq!(mail["defects"], serde_json::json!([]));
    let html = mail["html"].as_str().unwrap();
    assert!(
        html.starts_with("<!doctype html>") && html.contains("hired000@corp.example"),
        "{html}"
    );
    assert!(
        mail["text"]
            .as_str()
            .unwrap()
            .contains("hired000@corp.example")
    );
    assert!(!mail.to_string().contains("canary"), "{mail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_is_mailed_as_a_page() {
    let Some(server) = Server::start(None) else {
        return;
    };
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(3, 1).await;
    let url = format!("smtp://reports:{ENCODED}@127.0.0.1:{}", server.port);
    let output = apply(
        mailed(office.settings(&folder_url(state.path())), &url),
        None,
    )
    .await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let mails = server.stop();
    assert_eq!(mails.len(), 1);
    is_the_report(&mails[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_over_tls_to_a_server_that_is_trusted_only() {
    let Some(certificate) = Certificate::new() else {
        return;
    };
    let Some(server) = Server::start(Some(&certificate)) else {
        return;
    };
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(3, 1).await;
    let url = format!("smtps://reports:{ENCODED}@localhost:{}", server.port);
    let settings = mailed(office.settings(&folder_url(state.path())), &url);
    let distrusted = apply(settings.clone(), None).await;
    assert_eq!(distrusted.status.code(), Some(0), "{}", said(&distrusted));
    assert!(
        said(&distrusted).contains("the report was not mailed: "),
        "{}",
        said(&distrusted)
    );
    let mut again = settings;
    again.insert("CLOUD_SYNC__STATE".into(), "memory:".into());
    let trusted = apply(again, Some(&certificate.certificate)).await;
    assert_eq!(trusted.status.code(), Some(0), "{}", said(&trusted));
    let mails = server.stop();
    assert_eq!(mails.len(), 1, "{}", said(&trusted));
    assert_eq!(mails[0]["tls"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_or_is_gone_fails_no_run() {
    let Some(server) = Server::start(None) else {
        return;
    };
    let office = Office::open(3, 1).await;
    for (url, why) in [
        (
            format!("smtp://reports:canary@127.0.0.1:{}", server.port),
            "the mail server answered 535; correct user and password in CLOUD_SYNC__SMTP_URL",
        ),
        (
            "smtp://reports:canary@127.0.0.1:9".to_owned(),
            "Connection refused (os error 111); check host, port and scheme of CLOUD_SYNC__SMTP_URL",
        ),
    ] {
        let output = apply(mailed(office.settings("memory:"), &url), None).await;
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains(why), "{}", said(&output));
        assert!(!said(&output).contains("canary"), "{}", said(&output));
    }
    assert_eq!(server.stop(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_of_the_tries_of_a_tick_that_fail_the_first_is_mailed() {
    let Some(server) = Server::start(None) else {
        return;
    };
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(3, 1).await;
    // The answer may be another one in some minutes.
    let mailboxes = office
        .sandbox
        .exchange
        .with_state(|tenant| std::mem::take(&mut tenant.mailboxes));
    let url = format!("smtp://reports:{ENCODED}@127.0.0.1:{}", server.port);
    let host = Host::start(mailed(office.settings(&folder_url(state.path())), &url)).await;
    let tries = host.occur(Tick::Normal).await;
    assert_eq!(tries.len(), 5, "{tries:?}");
    assert!(tries.iter().all(|invoked| invoked.failure.is_some()));
    office
        .sandbox
        .exchange
        .with_state(|tenant| tenant.mailboxes = mailboxes);
    assert_eq!(host.occur(Tick::Normal).await.len(), 1);
    host.stop().await;
    let mails = server.stop();
    assert_eq!(mails.len(), 2, "the failure, and the success: {mails:?}");
}

/// A report that is sent with Microsoft Graph, and the errors of Graph.
mod graph {
    use cloud_sync::sandbox::graph::{MAIL_SEND, Sent};

    use super::{AppSettings, Host, Office, Tick, apply, folder_url, said, with};
    use crate::{host::wire::Call, process::office::address};

    fn mailed(office: &Office, state: &str) -> AppSettings {
        let settings = with(office.settings(state), "GRAPH_URL", &office.sandbox.url());
        let settings = with(settings, "MAIL_FROM", &address("settled00000"));
        with(settings, "MAIL_TO", "anna@corp.example, ops@example.org")
    }

    fn may_send(office: &Office) {
        let identity = office.sandbox.exchange.identity();
        identity.with_settings(|settings| settings.roles.push(MAIL_SEND.into()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_identity_sends_the_report_as_a_page_with_links() {
        let office = Office::open(3, 1).await;
        may_send(&office);
        let state = tempfile::tempdir().unwrap();
        let mut settings = mailed(&office, &folder_url(state.path()));
        settings.insert("WEBSITE_HOSTNAME".into(), "sync.example".into());
        let host = Host::start(settings).await;
        host.timer().await.succeeded();
        let sent = office.sandbox.graph.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        let Sent {
            from,
            to,
            subject,
            html,
        } = &sent[0];
        assert_eq!(*from, address("settled00000"));
        assert_eq!(to[..], ["anna@corp.example", "ops@example.org"]);
        assert!(subject.starts_with("Cloud Sync: "), "{subject}");
        assert!(html.contains("hired000@corp.example"), "{html}");
        let links = html.split("href=\"https://sync.example").skip(1);
        let links: Vec<&str> = links.map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(links.len(), 2, "the report and the dashboard: {links:?}");
        for link in links {
            let (path, query) = link.split_once('?').unwrap();
            let (name, value) = query.split_once('=').unwrap();
            let page = host.call(Call::get(path).query(name, value)).await;
            assert_eq!(page.status, 200, "{link}");
        }
        host.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_graph_refuses_fails_no_run_and_tells_the_remedy() {
        let office = Office::open(3, 1).await;
        let settings = mailed(&office, "memory:");
        let identity = office.sandbox.exchange.identity();
        let run = async |settings: &AppSettings, why: &str| {
            let output = apply(settings.clone(), None).await;
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            let all = said(&output);
            assert!(all.contains(why), "{all}");
            let warning = all.lines().find(|line| line.contains("not mailed"));
            assert!(!warning.unwrap_or_default().contains('@'), "{all}");
        };
        run(
            &settings,
            "Microsoft Graph answered 403 (ErrorAccessDenied): the identity may not send as CLOUD_SYNC__MAIL_FROM; grant Mail.Send",
        )
        .await;
        may_send(&office);
        let unknown = with(settings.clone(), "MAIL_FROM", "nobody@corp.example");
        run(
            &unknown,
            "Microsoft Graph answered 404 (ErrorInvalidUser): no mailbox has the address in CLOUD_SYNC__MAIL_FROM",
        )
        .await;
        let away = with(settings.clone(), "GRAPH_URL", "http://127.0.0.1:9");
        run(&away, "check CLOUD_SYNC__GRAPH_URL").await;
        // Exchange accepts this audience, Microsoft Graph does not.
        identity.with_settings(|it| it.audience = Some("https://outlook.office365.com".into()));
        run(
            &settings,
            "Microsoft Graph answered 401 (InvalidAuthenticationToken): the token is not for it",
        )
        .await;
        assert_eq!(office.sandbox.graph.sent(), []);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_mail_that_graph_cannot_read_is_400() {
        let office = Office::open(2, 0).await;
        may_send(&office);
        let endpoint = format!(
            "{}?api-version=2019-08-01&resource=https://graph.microsoft.com",
            office.sandbox.identity_endpoint()
        );
        let identity = office.sandbox.exchange.identity().settings();
        cloud_sync::http::set_up_tls();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .get(endpoint)
            .header("x-identity-header", identity.header);
        let answer = request.send().await.unwrap().text().await.unwrap();
        let token: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let url = format!(
            "{}/v1.0/users/{}/sendMail",
            office.sandbox.url(),
            address("settled00000")
        );
        let whole = r#"{"message":{"subject":"s","body":{"contentType":"HTML","content":"c"},"toRecipients":[{"emailAddress":{"address":"a@b"}}]},"saveToSentItems":false}"#;
        for (body, status) in [
            (whole.to_owned(), 202),
            (whole.replace("HTML", "Markdown"), 400),
            (whole.replace("a@b", "nobody"), 400),
            (whole.replace("subject", "title"), 400),
            ("{".to_owned(), 400),
        ] {
            let request = client
                .post(&url)
                .header(
                    "authorization",
                    format!("Bearer {}", token["access_token"].as_str().unwrap()),
                )
                .header("content-type", "application/json")
                .body(body.clone());
            assert_eq!(
                request.send().await.unwrap().status().as_u16(),
                status,
                "{body}"
            );
        }
        assert_eq!(office.sandbox.graph.sent().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_mail_about_the_same_is_sent_once_a_day_where_only_attention_counts() {
        let office = Office::open(24, 0).await;
        may_send(&office);
        let state = tempfile::tempdir().unwrap();
        let settings = mailed(&office, &folder_url(state.path()));
        let host = Host::start(with(settings, "MAIL_WHEN", "attention")).await;
        assert_eq!(host.occur(Tick::Normal).await.len(), 1);
        assert_eq!(
            office.sandbox.graph.sent().len(),
            0,
            "nothing needs a person"
        );
        office.sandbox.exchange.with_state(|tenant| {
            for n in 2..10 {
                tenant.remove_mailbox(&address(&format!("settled{n:05}")));
            }
        });
        for _ in 0..2 {
            host.timer().await.succeeded();
        }
        let sent = office.sandbox.graph.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(
            sent[0].subject.contains("8 changes held"),
            "{}",
            sent[0].subject
        );
        host.stop().await;
    }
}
