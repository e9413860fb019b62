//! The platform's identity endpoint behind a bad network. Without a token nothing is read or written, and the log and
//! the report name the remedy (R1, R31, R35).

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use cloud_sync::sandbox::control::{Fault, FaultKind};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpListener, task::JoinSet};

use crate::{
    host::{Host, until, wire::Call, worker::Level},
    process::office::{Office, folder_url},
};

const HEADER: &str = "identity-h34der-c4n4ry";
const REMEDY: &str = "check that the function app has an identity, and CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID where it is user-assigned";
const UNREADABLE: &str =
    "restart the function app, and ask the support of Azure if the endpoint answers so again";

fn status(status: u16, headers: &[(&str, &str)], body: &str) -> FaultKind {
    FaultKind::Status {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

fn instead(body: &serde_json::Value) -> FaultKind {
    FaultKind::ReplaceBody {
        status: 200,
        body: body.to_string(),
    }
}

struct Scene {
    office: Office,
    host: Host,
    _state: tempfile::TempDir,
}

impl Scene {
    async fn open(news: usize) -> Self {
        let office = Office::open(3, news).await;
        let identity = office.sandbox.exchange.identity();
        identity.with_settings(|settings| HEADER.clone_into(&mut settings.header));
        let state = tempfile::tempdir().unwrap();
        let host = Host::start(office.settings(&folder_url(state.path()))).await;
        Self {
            office,
            host,
            _state: state,
        }
    }

    /// How often a token was requested.
    fn asked(&self) -> usize {
        let control = self.office.sandbox.exchange.identity().control();
        control.journal().len()
    }

    fn becomes(&self, fault: Fault) {
        let control = self.office.sandbox.exchange.identity().control();
        control.clear_faults();
        control.clear_journal();
        control.inject(fault);
    }

    fn clears_up(&self) {
        let control = self.office.sandbox.exchange.identity().control();
        control.clear_faults();
    }

    /// The error of the newest run, as its report has it.
    async fn told(&self) -> String {
        let runs = self.host.call(Call::get("/api/SyncHttp/runs")).await.json();
        let newest = runs["runs"][0]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{runs}"));
        let path = format!("/api/SyncHttp/runs/{newest}");
        let report = self.host.call(Call::get(&path)).await.json();
        report["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{report}"))
            .to_owned()
    }

    /// A run that gets no token and asks once, since the answer does not suggest that a retry may help. (A failure that
    /// may be temporary is tried nine times, for a minute and a half at most.)
    async fn a_run_fails(&self, name: &str, kind: FaultKind, remedy: &str) -> String {
        self.becomes(Fault::always(kind));
        let errors = self.host.log().at(Level::Error).len();
        let invoked = self.host.timer().await;
        assert!(invoked.failure.is_some(), "{name}");
        let error = self.told().await;
        assert!(
            error.starts_with("source incomplete: cannot sign in to Exchange Online: ")
                && error.contains(remedy)
                && error.lines().count() == 1
                && error.len() < 1000,
            "{name}: {error}"
        );
        until(name, || {
            let logged = self.host.log().at(Level::Error);
            logged[errors..].iter().any(|line| line.contains(remedy))
        })
        .await;
        assert_eq!(self.asked(), 1, "{name}");
        assert_eq!(self.office.writes(), 0, "{name}");
        error
    }

    /// The identity's secret header was sent only to its own endpoint, and is in no log.
    fn keeps_the_secret(&self) {
        let sandbox = &self.office.sandbox;
        assert!(!self.host.log().to_string().contains(HEADER));
        for control in [sandbox.exchange.control(), &sandbox.zivver.control()] {
            let journal = format!("{:?}", control.journal());
            assert!(!journal.contains(HEADER), "{journal}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_without_a_token_nothing_is_written_and_the_remedy_is_told() {
    let scene = Scene::open(1).await;
    let token = scene.office.sandbox.exchange.identity().mint();
    let good = json!({"access_token": token, "expires_on": "4102444800",
        "resource": "https://outlook.office365.com", "token_type": "Bearer"});
    let with = |name: &str, value: serde_json::Value| {
        let mut answer = good.clone();
        answer[name] = value;
        instead(&answer)
    };
    let refused = r#"{"statusCode":401,"message":"no"}"#;
    for (name, kind, remedy) in [
        ("401", status(401, &[], refused), REMEDY),
        ("403", status(403, &[], ""), REMEDY),
        ("404", status(404, &[], "<html>not here</html>"), REMEDY),
        ("400", status(400, &[], "{}"), REMEDY),
        ("204", status(204, &[], ""), UNREADABLE),
        (
            "half, in good order",
            FaultKind::TruncatedJson { full_length: false },
            UNREADABLE,
        ),
        ("more than JSON", FaultKind::TrailingGarbage, UNREADABLE),
        ("nothing", FaultKind::EmptyOk, UNREADABLE),
        ("a page", FaultKind::HtmlError { status: 200 }, UNREADABLE),
        ("a list", instead(&json!([good])), UNREADABLE),
        ("null", instead(&json!(null)), UNREADABLE),
        ("a number", with("access_token", json!(7)), UNREADABLE),
        ("no token", with("access_token", json!(null)), UNREADABLE),
        (
            "an empty token",
            with("access_token", json!("")),
            UNREADABLE,
        ),
        ("no JWT", with("access_token", json!("canary")), REMEDY),
        (
            "two lines",
            with("access_token", json!(format!("{token}\r\nX: y"))),
            REMEDY,
        ),
        (
            "an end in words",
            with("expires_on", json!("tomorrow")),
            UNREADABLE,
        ),
        ("no end", with("expires_on", json!(null)), UNREADABLE),
        ("huge", FaultKind::HugeBody { bytes: 64 << 20 }, UNREADABLE),
    ] {
        let error = scene.a_run_fails(name, kind, remedy).await;
        // The four whose name is their status.
        if name.starts_with('4') {
            assert!(error.contains(&format!("HTTP {name}")), "{error}");
        }
        scene.keeps_the_secret();
    }
    let control = scene.office.sandbox.exchange.control();
    assert_eq!(
        control.counters().total,
        0,
        "nobody calls Exchange without a token"
    );

    // The same process, after tokens are available again.
    scene.clears_up();
    scene.host.timer().await.succeeded();
    scene.office.is_in_sync();
    scene.host.stop().await;
}

/// The cache of the platform may hold a token that is about to expire, and a clock may be wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_soon_is_asked_for_once_a_minute_and_its_end_is_read_in_every_form() {
    let scene = Scene::open(1).await;
    let token = scene.office.sandbox.exchange.identity().mint();
    let now = jiff::Timestamp::now().as_second();
    for (name, end) in [
        ("expired", json!((now - 3600).to_string())),
        ("about to expire", json!((now + 120).to_string())),
        ("a number", json!(now + 86_400)),
        ("a date", json!("2100-01-01T00:00:00Z")),
        ("an older date", json!("01/01/2100 00:00:00 AM +00:00")),
    ] {
        let answer = json!({"access_token": token, "expires_on": end,
            "resource": "https://outlook.office365.com", "token_type": "Bearer"});
        scene.becomes(Fault::always(instead(&answer)));
        let invoked = scene.host.timer().await;
        assert_eq!(invoked.failure, None, "{name}\n{}", scene.host.log());
        assert_eq!(scene.asked(), 1, "{name}");
    }
    scene.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r31_a_passing_fault_of_the_identity_is_ridden_out() {
    let scene = Scene::open(0).await;
    for (name, kind) in [
        ("500", status(500, &[], "")),
        ("429", status(429, &[], "")),
        ("429 with a time", status(429, &[("retry-after", "1")], "")),
        ("503 with a time", status(503, &[("retry-after", "1")], "")),
        ("reset", FaultKind::ResetBefore),
        ("answered and reset", FaultKind::ResetAfter),
        ("late", FaultKind::Delay { millis: 500 }),
        (
            "in drops",
            FaultKind::SlowDrip {
                bytes: 100,
                millis: 20,
            },
        ),
    ] {
        scene.becomes(Fault::once(kind));
        let invoked = scene.host.timer().await;
        assert_eq!(invoked.failure, None, "{name}\n{}", scene.host.log());
        let control = scene.office.sandbox.exchange.identity().control();
        assert_eq!(control.pending_faults(), [], "{name}");
    }
    assert_eq!(scene.host.log().at(Level::Error), [""; 0]);
    scene.keeps_the_secret();
    scene.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_identity_holds_up_its_run_and_nobody_else() {
    let scene = Scene::open(1).await;
    scene.becomes(Fault::once(FaultKind::HangBefore));
    {
        let mut run = std::pin::pin!(scene.host.timer());
        tokio::select! {
            invoked = &mut run => panic!("ended early: {invoked:?}"),
            () = until("a token is asked for", || scene.asked() == 1) => {}
        }
        let runs = Call::get("/api/SyncHttp/runs");
        assert_eq!(scene.host.call(runs).await.status, 200);
        assert_eq!(scene.office.writes(), 0);
        // Ends the requests that hang.
        scene.office.sandbox.exchange.identity().control().close();
        run.await.succeeded();
    }
    scene.office.is_in_sync();
    scene.host.stop().await;
}

/// Counts the connections, and records what they send.
async fn listener() -> (String, Arc<Mutex<Vec<String>>>, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/elsewhere", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    let kept = Arc::clone(&heard);
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut said = [0; 4096];
            let read = stream.read(&mut said).await.unwrap_or(0);
            let said = String::from_utf8_lossy(&said[..read]).into_owned();
            kept.lock().unwrap().push(said);
        }
    });
    (url, heard, tasks)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identitys_secret_follows_no_redirect() {
    let scene = Scene::open(1).await;
    let (elsewhere, heard, _tasks) = listener().await;
    for code in [301, 302, 303, 307, 308] {
        let kind = status(code, &[("location", &elsewhere)], "");
        scene.a_run_fails(&code.to_string(), kind, REMEDY).await;
    }
    // Proof that the listener works: another client connects.
    let client = crate::world::http_client().build().unwrap();
    drop(client.get(&elsewhere).send().await);
    until("the listener has heard", || {
        !heard.lock().unwrap().is_empty()
    })
    .await;
    let heard = heard.lock().unwrap().clone();
    assert!(
        heard.len() == 1 && !heard[0].to_lowercase().contains("x-identity-header"),
        "{heard:?}"
    );
    scene.keeps_the_secret();
    scene.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_ends_the_run_after_a_few_new_ones() {
    let scene = Scene::open(1).await;
    let forged = json!({"access_token": "e30.eyJ0aWQiOiIxMTExMTExMS0xMTExLTQxMTEtODExMS0xMTExMTExMTExMTEiLCJzY3AiOiJ4In0.c2ln",
        "expires_on": "4102444800", "resource": "https://outlook.office365.com", "token_type": "Bearer"});
    scene.becomes(Fault::always(instead(&forged)));
    let begun = std::time::Instant::now();
    assert!(scene.host.timer().await.failure.is_some());
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!((1..=9).contains(&scene.asked()), "{}", scene.asked());
    assert_eq!(scene.office.writes(), 0);
    let error = scene.told().await;
    assert!(
        error.contains("; ") && error.lines().count() == 1,
        "{error}"
    );
    scene.clears_up();
    scene.host.timer().await.succeeded();
    scene.office.is_in_sync();
    scene.host.stop().await;
}
