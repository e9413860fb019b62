//! A webhook receives each change of state once, from real runs.

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
        report::{Report, RunOutcome},
    },
    engine::RunRequest,
    sandbox::tenant,
    settings::Secret,
};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    host::{Host, wire::Call},
    nights::Nights,
    process::office::{Office, address, folder_url, with},
};

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

/// The message contains the figures of the accounts, not the zeros of a run that read nothing.
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

/// Names are only in reports. A channel with many readers gets numbers and codes.
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
    // Held changes are reported again. Missing successes are not reported yet.
    assert_eq!(receiver.events()[before..], ["held"]);
    nights.pass_hours(2);
    for _ in 0..2 {
        // R28: neither of them is a success, so neither ends the alarm.
        let preview = RunRequest::new(Mode::Preview, Trigger::CommandLine);
        nights.engine().run(&preview).await.unwrap();
        let mut scoped = RunRequest::new(Mode::Apply, Trigger::CommandLine);
        scoped.accounts = [SmtpAddress::parse("anna@corp.example").unwrap()].into();
        nights.engine().run(&scoped).await.unwrap();
        nights.engine().announce_silence().await;
    }
    assert_eq!(receiver.events()[before..], ["held", "no_success"]);
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

/// Four ticks a day over three days: what stays held or failed is reported once a day, with the same code.
#[tokio::test(flavor = "multi_thread")]
async fn r27_what_stays_bad_is_told_daily_and_its_code_serves_as_long() {
    let receiver = Receiver::start(Vec::new()).await;
    let mut nights = world(&receiver).await;
    nights.set("MAX_NAME_CHANGES", "0");
    let held = nights.night().await;
    assert!(!held.held.is_empty());
    let codes = |report: &Report| -> Vec<String> {
        report.held.iter().map(|set| set.code.clone()).collect()
    };
    for _ in 0..12 {
        nights.pass_hours(6);
        assert_eq!(codes(&nights.night().await), codes(&held));
        nights.engine().announce_silence().await;
    }
    assert_eq!(receiver.events(), ["held"; 4]);
    let facts = |body: &Value| body["attachments"][0]["content"]["body"][2]["facts"].clone();
    {
        let heard = receiver.heard.lock().unwrap();
        let codes: Vec<Value> = heard
            .iter()
            .map(|body| body["figures"]["held"][0]["code"].clone())
            .collect();
        assert!(
            codes.iter().all(|code| *code == held.held[0].code.as_str()),
            "{codes:?}"
        );
        assert!(
            facts(&heard[3]).to_string().contains("Started by"),
            "{}",
            heard[3]
        );
    }
    // Runs fail for three days. The failure is reported daily too, and the code is still valid, since the set is the
    // one that the last complete run held.
    for _ in 0..12 {
        nights.pass_hours(6);
        refuse_key(&nights);
        assert_eq!(nights.night().await.outcome, RunOutcome::Failed);
        nights.sandbox.zivver.control().clear_faults();
    }
    let events = receiver.events();
    let failed = events.iter().filter(|event| *event == "failed").count();
    assert!((3..=4).contains(&failed), "{events:?}");
    assert!(
        events.len() <= 9,
        "no more than one a day and kind: {events:?}"
    );
    let approved = nights.approve(&held).await;
    assert_eq!(approved.converged, Some(true), "{:?}", approved.error);
    // A set that was used and is no longer held expires.
    nights.pass_hours(25);
    let mut again = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    again.approve = vec![held.held[0].code.clone()];
    let refused = nights.engine().run(&again).await.unwrap_err();
    assert!(refused.to_string().contains("has expired"), "{refused}");
}

/// Each link of a message opens what it names in the real program.
#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_a_message_opens_what_it_names() {
    let receiver = Receiver::start(Vec::new()).await;
    let office = Office::open(24, 0).await;
    office.sandbox.exchange.with_state(|tenant| {
        for n in 2..8 {
            tenant.remove_mailbox(&address(&format!("settled{n:05}")));
        }
    });
    let state = tempfile::tempdir().unwrap();
    let mut settings = with(
        office.settings(&folder_url(state.path())),
        "NOTIFY_URL",
        &receiver.url,
    );
    settings.insert("WEBSITE_HOSTNAME".into(), "sync.example".into());
    let host = Host::start(settings).await;
    host.timer().await.succeeded();
    assert_eq!(receiver.events(), ["held"]);
    let heard = receiver.heard.lock().unwrap()[0].clone();
    assert_eq!(heard["started_by"], serde_json::json!({"kind": "timer"}));
    let actions = heard["attachments"][0]["content"]["actions"]
        .as_array()
        .unwrap();
    let mut opened = Vec::new();
    for action in actions {
        assert_eq!(action["type"], "Action.OpenUrl");
        let url = url::Url::parse(action["url"].as_str().unwrap()).unwrap();
        assert_eq!(
            (url.scheme(), url.host_str()),
            ("https", Some("sync.example"))
        );
        let call = url
            .query_pairs()
            .fold(Call::get(url.path()), |call, (name, value)| {
                call.query(&name, &value)
            });
        let page = host.call(call).await;
        assert_eq!(page.status, 200, "{url}: {}", page.body);
        if let Some(part) = url.fragment() {
            let (_, part) = page
                .body
                .split_once(&format!("id=\"{part}\""))
                .expect("the part is there");
            let part = part.split("</section>").next().unwrap();
            let code = heard["figures"]["held"][0]["code"].as_str().unwrap();
            assert!(
                part.contains("settled00002") && part.contains(code),
                "{part}"
            );
        }
        opened.push(action["title"].as_str().unwrap().to_owned());
    }
    assert!(opened[0].starts_with("Held: "), "{opened:?}");
    assert_eq!(opened[1..], ["Report", "Dashboard"]);
    host.stop().await;
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

/// The result of one message, and the number of bodies that each of two places got: the receiver, and the target of its
/// redirect.
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
    let (_, notice) = at_tick(&Notified::default(), Some(overdue), None, 0);
    let address = Secret::new(url.parse().unwrap());
    let sent = cloud_sync::notify::send(&address, &notice.unwrap(), None).await;
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
    insta::assert_snapshot!(said, @"the notification was not sent: the answer of RECEIVER is larger than 65536 bytes; check CLOUD_SYNC__NOTIFY_URL");
    // The receiver has the message, so it must not be sent again.
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
