//! A webhook hears of each change of state once, from runs as they are.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::StatusCode, response::IntoResponse as _, routing::post};
use cloud_sync::{
    domain::{
        address::SmtpAddress,
        health::Overdue,
        mode::{Depth, Mode, Trigger},
        notice::{Notified, at_tick},
        report::RunOutcome,
    },
    engine::RunRequest,
    sandbox::tenant,
    settings::Secret,
};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use crate::nights::Nights;

const SECRET: &str = "canary-webhook-7f3a";

/// A receiver that answers with the next of its statuses, and then with 200.
struct Receiver {
    url: String,
    heard: Arc<Mutex<Vec<Value>>>,
    _server: JoinSet<()>,
}

impl Receiver {
    async fn start(statuses: Vec<u16>) -> Self {
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let statuses = Arc::new(Mutex::new(statuses));
        let kept = Arc::clone(&heard);
        let answer = move |body: axum::body::Bytes| {
            let status = statuses.lock().unwrap().pop().unwrap_or(200);
            if status == 200 {
                kept.lock()
                    .unwrap()
                    .push(serde_json::from_slice(&body).unwrap());
            }
            async move { StatusCode::from_u16(status).unwrap() }
        };
        let router = Router::new().route("/hook/{token}", post(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook/{SECRET}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            heard,
            _server: server,
        }
    }

    fn events(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .map(|body| body["event"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The next calls are answered with 401.
fn refuse_key(nights: &Nights) {
    for _ in 0..4 {
        nights.sandbox.zivver.control().fail_next(401);
    }
}

async fn world(receiver: &Receiver) -> Nights {
    let (exchange, organisation) = tenant::generate(3, 40);
    let mut nights = Nights::begin(exchange, organisation).await;
    nights.set("NOTIFY_URL", &receiver.url);
    nights
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_and_recovered_are_told_once_each() {
    let receiver = Receiver::start(Vec::new()).await;
    let mut nights = world(&receiver).await;
    let token = nights.sandbox.exchange.identity().mint();
    nights.set("ACCESS_TOKEN", &token);
    for _ in 0..2 {
        refuse_key(&nights);
        assert_eq!(nights.night().await.outcome, RunOutcome::Failed);
        nights.sandbox.zivver.control().clear_faults();
    }
    assert_eq!(receiver.events(), ["failed"]);
    let held = nights.night().await;
    nights.night().await;
    let last = if held.held.is_empty() {
        "recovered"
    } else {
        "held"
    };
    assert_eq!(receiver.events(), ["failed", last]);
    let heard = receiver.heard.lock().unwrap();
    let first = &heard[0];
    assert!(
        first["message"].as_str().unwrap().contains("401"),
        "{first}"
    );
    assert!(!first.to_string().contains('@'), "{first}");
    let told = serde_json::to_string(&*heard).unwrap();
    for secret in [sandbox::zivver::API_KEY, SECRET, &token] {
        assert!(!told.contains(secret), "{told}");
    }
}

/// The channel hears how the accounts stand, not the zeros of a run that saw nothing.
#[tokio::test(flavor = "multi_thread")]
async fn r28_a_failure_is_told_with_the_figures_of_the_last_complete_run() {
    let receiver = Receiver::start(Vec::new()).await;
    let mut nights = world(&receiver).await;
    nights.set("MAX_NAME_CHANGES", "0");
    let complete = nights.night().await;
    assert!(complete.counts.held > 0);
    refuse_key(&nights);
    let failed = nights.night().await;
    let heard = receiver.heard.lock().unwrap();
    let told = heard.last().unwrap();
    assert_eq!(
        (&told["event"], &told["run"]),
        (&"failed".into(), &failed.id.into())
    );
    assert_eq!(told["figures"]["run"], complete.id);
    let held = told["figures"]["held"].as_array().unwrap().iter();
    let held: u64 = held.map(|set| set["changes"].as_u64().unwrap()).sum();
    assert_eq!(held, u64::from(complete.counts.held));
    let text = told["message"].as_str().unwrap();
    assert!(text.contains("The last complete run ended at"), "{text}");
}

/// Names are in reports; a channel with many readers hears of numbers and codes only.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_do_not_reach_a_channel() {
    let receiver = Receiver::start(Vec::new()).await;
    let (mut exchange, organisation) = tenant::generate(3, 40);
    for mailbox in &mut exchange.mailboxes {
        mailbox.display_name = "<!channel> <script>alert(1)</script> \u{202e}=1+1".into();
    }
    let mut nights = Nights::begin(exchange, organisation).await;
    nights.set("NOTIFY_URL", &receiver.url);
    nights.set("MAX_NAME_CHANGES", "0");
    let held = nights.night().await;
    assert!(held.held.iter().any(|set| set.changes.len() > 10));
    assert_eq!(receiver.events(), ["held"]);
    let told = receiver.heard.lock().unwrap()[0].to_string();
    for hostile in ["channel", "script", "\u{202e}", "@corp.example", "=1+1"] {
        assert!(!told.contains(hostile), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_told_at_the_tick_after_26_hours() {
    let receiver = Receiver::start(Vec::new()).await;
    let mut nights = world(&receiver).await;
    nights.night().await;
    let before = receiver.events().len();
    nights.pass_hours(25);
    nights.engine().announce_silence().await;
    assert_eq!(receiver.events().len(), before);
    nights.pass_hours(2);
    for _ in 0..2 {
        // R28: neither of them is a success, so neither ends the silence.
        let preview = RunRequest::new(Mode::Preview, Trigger::CommandLine);
        nights.engine().run(&preview).await.unwrap();
        let mut scoped = RunRequest::new(Mode::Apply, Trigger::CommandLine);
        scoped.accounts = [SmtpAddress::parse("anna@corp.example").unwrap()].into();
        nights.engine().run(&scoped).await.unwrap();
        nights.engine().announce_silence().await;
    }
    assert_eq!(receiver.events()[before..], ["no_success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_an_app_that_never_succeeded_is_told_26_hours_after_it_was_first_seen() {
    let receiver = Receiver::start(Vec::new()).await;
    let mut nights = world(&receiver).await;
    nights.engine().note_first_seen().await;
    nights.engine().announce_silence().await;
    nights.pass_hours(27);
    nights.engine().note_first_seen().await;
    nights.engine().announce_silence().await;
    assert_eq!(receiver.events(), ["no_success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_fails_no_run_and_hears_it_the_next_time() {
    let receiver = Receiver::start(vec![403]).await;
    let nights = world(&receiver).await;
    for _ in 0..2 {
        refuse_key(&nights);
        assert_eq!(nights.night().await.outcome, RunOutcome::Failed);
        nights.sandbox.zivver.control().clear_faults();
    }
    assert_eq!(receiver.events(), ["failed"]);
}

/// What one message comes to, and how many bodies each of two places got: the receiver, and where it sends people on to.
async fn answered(answer: fn(&str) -> axum::response::Response) -> (String, [usize; 2]) {
    let counts: Arc<[AtomicUsize; 2]> = Arc::default();
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("http://{}/elsewhere", elsewhere.local_addr().unwrap());
    let url = format!("http://{}/hook/{SECRET}", here.local_addr().unwrap());
    let mut servers = JoinSet::new();
    for (at, listener) in [here, elsewhere].into_iter().enumerate() {
        let (counts, away) = (Arc::clone(&counts), away.clone());
        let router = Router::new().fallback(move || {
            counts[at].fetch_add(1, Ordering::SeqCst);
            std::future::ready(answer(&away))
        });
        servers.spawn(async move { axum::serve(listener, router).await.unwrap() });
    }
    let overdue = Overdue {
        age_s: 27 * 3600,
        age_max_s: 26 * 3600,
        has_succeeded: true,
        depth: Depth::Full,
    };
    let (_, notice) = at_tick(&Notified::default(), Some(overdue), None);
    let address = Secret::new(url.parse().unwrap());
    let sent = cloud_sync::notify::send(&address, &notice.unwrap()).await;
    let said = match sent {
        Ok(()) => "told".to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(!said.contains(SECRET), "{said}");
    let said = said.replace(&url[7..url.find("/hook").unwrap()], "RECEIVER");
    (said, [0, 1].map(|at| counts[at].load(Ordering::SeqCst)))
}

#[tokio::test]
async fn an_answer_of_64_kibibytes_is_read_and_a_longer_one_is_not_asked_for_again() {
    let blanks = |_: &str| " ".repeat(64 * 1024).into_response();
    assert_eq!(answered(blanks).await, ("told".to_owned(), [1, 0]));
    let one_more = |_: &str| " ".repeat(64 * 1024 + 1).into_response();
    let (said, counts) = answered(one_more).await;
    insta::assert_snapshot!(said, @"the receiver of notifications could not be told: the answer of RECEIVER is larger than 65536 bytes; check CLOUD_SYNC__NOTIFY_URL");
    // It has the message: once more would be once too often.
    assert_eq!(counts, [1, 0]);
}

#[tokio::test]
async fn a_receiver_that_sends_elsewhere_is_not_followed() {
    let redirect = |away: &str| {
        (
            StatusCode::TEMPORARY_REDIRECT,
            [("location", away.to_owned())],
        )
            .into_response()
    };
    let (said, counts) = answered(redirect).await;
    insta::assert_snapshot!(said, @"the receiver of notifications answered 307; make a new webhook and set CLOUD_SYNC__NOTIFY_URL to it");
    assert_eq!(counts, [1, 0]);
}
