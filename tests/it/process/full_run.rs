//! A timer run of the real binary, with the sandbox in a separate process.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use cloud_sync::sandbox::zivver::Organisation;

use super::office::{Office, accounts, expected, folder_url, office, same, settings, with};
use crate::host::{
    Host,
    wire::{Framing, Tick},
    worker::Level,
};

/// The binary's own sandbox in another process. Killed when dropped.
struct OwnSandbox {
    child: Child,
    url: String,
}

impl OwnSandbox {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cloud-sync"))
            .args(["--json", "sandbox", "--mailboxes", "10"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut text = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            text.push_str(&line);
            if line == "}" {
                break;
            }
        }
        let told: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
        Self {
            child,
            url: told["CLOUD_SYNC__EXO_URL"].clone(),
        }
    }

    async fn put(&self, path: &str, body: String) {
        let client = crate::world::http_client().build().unwrap();
        let url = format!("{}/sandbox/{path}", self.url);
        let answer = client.put(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }

    async fn get(&self, path: &str) -> String {
        let client = crate::world::http_client().build().unwrap();
        let url = format!("{}/sandbox/{path}", self.url);
        client.get(url).send().await.unwrap().text().await.unwrap()
    }
}

impl Drop for OwnSandbox {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_run_makes_zivver_as_it_should_be() {
    let sandbox = OwnSandbox::start();
    let (tenant, organisation) = office(20, 2);
    let wanted = expected(&tenant, &organisation);
    sandbox
        .put("exchange/state", serde_json::to_string(&tenant).unwrap())
        .await;
    sandbox
        .put(
            "zivver/state",
            serde_json::to_string(&organisation).unwrap(),
        )
        .await;
    let state = tempfile::tempdir().unwrap();
    let settings = settings(
        &sandbox.url,
        &format!("{}/msi/token", sandbox.url),
        "sandbox-identity-header",
        &folder_url(state.path()),
    );
    let host = Host::start(settings).await;
    host.timer().await.succeeded();
    let after: Organisation = serde_json::from_str(&sandbox.get("zivver/state").await).unwrap();
    same(&accounts(&after), &wanted);
    assert_eq!(host.log().at(Level::Error), Vec::<String>::new());
    assert_eq!(host.queue.len(), 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_tick_is_a_run() {
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(3, 0).await;
    let mut host = Host::start(office.settings(&folder_url(state.path()))).await;
    let ticks = [
        Tick::Normal,
        Tick::First { offset: true },
        Tick::First { offset: false },
        Tick::NoStatus,
        Tick::PastDue,
        Tick::Retried,
        Tick::Encoded,
        Tick::Unknown,
    ];
    for framing in [Framing::Chunked, Framing::ContentLength] {
        host = host.framed(framing);
        for tick in ticks {
            host.tick(tick).await.succeeded();
        }
    }
    let entries = office.sandbox.exchange.control().journal();
    let lists = entries
        .iter()
        .filter(|entry| entry.path.contains("Mailbox?") || entry.body.contains("Get-Mailbox"));
    assert_eq!(lists.count(), 2 * ticks.len(), "each was a run");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_assigned_identity_is_asked_for_by_its_client_id() {
    const CLIENT: &str = "66666666-0000-4000-8000-00000000000a";
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(3, 1).await;
    office
        .sandbox
        .exchange
        .identity()
        .with_settings(|settings| {
            settings.client_id = None;
            settings.user_assigned = vec![CLIENT.to_owned()];
        });
    let settings = office.settings(&folder_url(state.path()));
    let host = Host::start(settings.clone()).await;
    assert!(host.timer().await.failure.is_some());
    assert_eq!(office.writes(), 0);
    host.stop().await;
    let host = Host::start(with(settings, "MANAGED_IDENTITY_CLIENT_ID", CLIENT)).await;
    host.timer().await.succeeded();
    office.is_in_sync();
    host.stop().await;
}
