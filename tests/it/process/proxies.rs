//! Proxies from the environment: they are not used for services on this machine, and get no secret of other services.

use std::{
    io::{ErrorKind, Read},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::office::{Office, folder_url};
use crate::host::{Host, project::AppSettings, worker::Level};

/// All variable names that tools use.
const NAMES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

fn behind(mut settings: AppSettings, proxy: &str) -> AppSettings {
    for name in NAMES {
        settings.insert(name.to_owned(), proxy.to_owned());
    }
    // The environment of the test may contain this machine's name here.
    for name in ["NO_PROXY", "no_proxy"] {
        settings.insert(name.to_owned(), String::new());
    }
    settings
}

/// Exchange, Zivver, the identity endpoint and storage.
#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_is_asked_for_this_machine() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let office = Office::open(5, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = match crate::state::azurite::connection_string() {
        Some(connection) => {
            let container = format!("az://proxies-{}", uuid::Uuid::new_v4().simple());
            let mut settings = office.settings(&container);
            settings.insert("AzureWebJobsStorage".to_owned(), connection);
            settings
        }
        None => office.settings(&folder_url(folder.path())),
    };
    let host = Host::start(behind(settings, &url)).await;
    host.timer().await.succeeded();
    office.is_in_sync();
    assert_eq!(host.log().at(Level::Error), Vec::<String>::new());
    host.stop().await;
    let asked = proxy.accept();
    assert!(
        asked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "the proxy was asked"
    );
}

/// The token and the key are sent inside TLS. A proxy is asked for a tunnel, and learns only the name of the host.
#[test]
fn a_proxy_hears_of_a_host_and_of_no_secret() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://user:canary@{}", proxy.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let mut program = preview(folder.path()).env(name, url).spawn().unwrap();
        let heard = head(&proxy);
        program.kill().unwrap();
        program.wait().unwrap();
        let host = ["exchange.invalid:443", "zivver.invalid:443"];
        assert!(
            host.iter()
                .any(|host| heard.starts_with(&format!("CONNECT {host} "))),
            "{name}: {heard}"
        );
        assert!(!heard.contains("canary"), "{name}: {heard}");
    }
}

/// The password in the address of a proxy is in no line of output.
#[test]
fn the_password_of_a_proxy_is_not_shown() {
    let port = {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        nobody.local_addr().unwrap().port()
    };
    let folder = tempfile::tempdir().unwrap();
    let output = preview(folder.path())
        .env("ALL_PROXY", format!("http://user:canary@127.0.0.1:{port}"))
        .output()
        .unwrap();
    let said = crate::tools::said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot reach "), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

/// A preview of external services, with recognisable values as secrets.
fn preview(state: &Path) -> Command {
    // {"tid": …, "scp": …}: the part of a token that a run needs to begin.
    let token = "eyJhbGciOiJub25lIn0.eyJ0aWQiOiIxMTExMTExMS0xMTExLTQxMTEtODExMS0xMTExMTExMTExMTEiLCJzY3AiOiJ4In0.canary";
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-sync"));
    for name in NAMES.into_iter().chain(["NO_PROXY", "no_proxy"]) {
        command.env_remove(name);
    }
    command
        .env("CLOUD_SYNC__EXO_URL", "https://exchange.invalid")
        .env("CLOUD_SYNC__ZIVVER_API_URL", "https://zivver.invalid/api")
        .env("CLOUD_SYNC__ZIVVER_API_KEY", "Z1.1.2.canary")
        .env("CLOUD_SYNC__ACCESS_TOKEN", token)
        .env("CLOUD_SYNC__CLAIMED_DOMAINS", "corp.example")
        .env("CLOUD_SYNC__SSO_ACCOUNT_KEY", "object_id")
        .env("CLOUD_SYNC__STATE", folder_url(state))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .arg("preview");
    command
}

/// The request head of the first caller, whose connection is then closed.
fn head(proxy: &TcpListener) -> String {
    let (mut stream, _) = proxy.accept().unwrap();
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).unwrap();
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    while !heard.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the caller hung up");
        heard.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(heard).unwrap()
}
