//! The bodies that the Functions host posts: envelopes of timer, HTTP and queue, with the content from callers.

use std::collections::BTreeMap;

use cloud_sync::{
    engine::{Engine, Links},
    functions::{ApiCall, App, Invocation, Message, Response, Trigger, invocation},
    http::{Clock, Transport},
    settings::Settings,
    state::State,
};
use object_store::memory::InMemory;
use std::sync::Arc;

use super::{block_on, first_line, script::Script};

/// Each envelope is accepted or refused. An accepted message is equal after writing and reading it.
pub(super) fn envelope(input: &[u8]) {
    drop(invocation::timer(input));
    if let Ok(request) = invocation::http(input) {
        for name in ["authorization", "cookie", "x-functions-key"] {
            assert_eq!(request.header(name), None);
        }
        assert!(!request.query.contains_key("code"));
        if let Err(problem) = ApiCall::parse(&request) {
            let response = Response::from(problem);
            assert!((400..500).contains(&response.status));
            let body: serde_json::Value =
                serde_json::from_str(&response.body).expect("problems are JSON");
            assert_eq!(body["status"], response.status);
        }
    }
    if let Ok(delivery) = invocation::queue(input)
        && let Ok(message) = Message::parse(&delivery.text)
    {
        let again = Message::parse(&message.to_text()).expect("what is written can be read");
        assert_eq!(message, again);
    }
}

/// The first line is the trigger, the rest its envelope. The services of the app refuse everything.
pub(super) fn app(input: &[u8]) {
    let (trigger, body) = first_line(input);
    let trigger = match trigger {
        b"timer" => invocation::timer(body).ok().map(Trigger::Timer),
        b"queue" => invocation::queue(body)
            .ok()
            .and_then(|delivery| Message::parse(&delivery.text).ok())
            .map(Trigger::Queue),
        _ => invocation::http(body).ok().map(Trigger::Http),
    };
    let Some(trigger) = trigger else { return };
    block_on(async {
        let nobody = Script::new(b"400", |_| true);
        let links = Links {
            exchange: Some(Transport::InProcess(nobody.router())),
            zivver: Some(Transport::InProcess(nobody.router())),
            state: Some(State::over(Arc::new(InMemory::new()), "memory")),
            clock: Clock::simulated("2026-11-23T02:00:00Z".parse().expect("it is a time")),
            seed: Some(7),
            ..Links::default()
        };
        let app = App::new(Ok(Engine::new(plain_settings(), links)));
        let answer = app
            .handle(Invocation {
                id: "fuzz".to_owned(),
                trigger,
            })
            .await;
        assert!(
            !format!("{answer:?}").contains("canary"),
            "a secret is told"
        );
    });
}

pub(super) fn plain_settings() -> Settings {
    let settings: BTreeMap<&str, &str> = [
        ("CLOUD_SYNC__ZIVVER_API_KEY", "Z1.1.2.canary"),
        ("CLOUD_SYNC__CLAIMED_DOMAINS", "corp.example"),
        ("CLOUD_SYNC__SSO_ACCOUNT_KEY", "omit"),
        ("CLOUD_SYNC__STATE", "memory:"),
        ("CLOUD_SYNC__ACCESS_TOKEN", "e30.e30.c2ln"),
    ]
    .into();
    let lookup = |name: &str| settings.get(name).map(|text| (*text).to_owned());
    Settings::read(lookup, &[]).expect("these settings are fine")
}
