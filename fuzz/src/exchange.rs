//! Lists, permissions, answers about groups and recipients, errors, links and redirects, and the content of a token.

use std::collections::BTreeSet;

use azure_core::credentials::Secret;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use cloud_sync::{
    domain::{
        mailbox::normalise,
        probe::AnswerSheet,
        source::{GroupKind, MailboxRecord, Question},
    },
    exchange::{ExchangeClient, ExchangeConfig, Identity, MailboxKey, Strategy},
    http::Transport,
};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    block_on, first_line,
    script::{Asked, Script},
};

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const SERVICE: &str = "https://outlook.office365.com";

/// The hosts that may receive the token: the service and its regional hosts (`docs/specs/exchange-online.md`, "1.1 Base
/// URL").
fn is_service(asked: &Asked) -> bool {
    let host = asked.host.as_str();
    let regional = [
        ".outlook.office365.com",
        ".outlook.office.com",
        ".outlook.com",
    ];
    host == "outlook.office365.com" || regional.iter().any(|end| host.ends_with(end))
}

fn client(script: &Script, token: String, strategy: Strategy) -> ExchangeClient {
    let base = SERVICE.parse().expect("it is a URL");
    let mut config = ExchangeConfig {
        strategy,
        concurrency_max: 1,
        client_request_id: "fuzz".to_owned(),
        ..ExchangeConfig::new(base)
    };
    config.retry.seed = 7;
    let identity = Identity::Token(Secret::new(token));
    let transport = Transport::InProcess(script.router());
    ExchangeClient::new(config, identity, transport).expect("https is accepted")
}

fn signed_in(script: &Script, strategy: Strategy) -> ExchangeClient {
    let claims = format!(r#"{{"tid":"{TENANT}","scp":"x"}}"#);
    let token = format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(claims));
    client(script, token, strategy)
}

async fn mailboxes(input: &[u8]) -> Option<Vec<MailboxRecord>> {
    let script = Script::new(input, is_service);
    let client = signed_in(&script, Strategy::Get);
    client
        .mailboxes(|_| ())
        .await
        .ok()
        .map(|list| list.mailboxes)
}

/// Reading rows one by one gives the same as normalising them while they are read, in either order of the rows.
pub(super) fn list(input: &[u8]) {
    block_on(async {
        let read = mailboxes(input).await;
        let script = Script::new(input, is_service);
        let normalised = signed_in(&script, Strategy::Get)
            .normalised_mailboxes(|_| ())
            .await
            .ok();
        assert_eq!(read.is_some(), normalised.is_some());
        let (Some(read), Some(normalised)) = (read, normalised) else {
            return;
        };
        assert!(normalised.len() <= read.len());
        for record in &read {
            // An error names the fault, and does not end the test.
            drop(normalise(record));
        }
        let Some(turned) = turned(input) else {
            return;
        };
        let other = mailboxes(&turned).await.expect("the same rows are read");
        // Rows that contradict each other under one identity are all kept.
        assert_eq!(sorted(&read), sorted(&other));
    });
}

/// The same single page with its rows in reverse order, each byte for byte unchanged.
fn turned(input: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        value: Vec<&'a RawValue>,
    }
    let body = input.strip_prefix(b"200\n\n")?;
    let page: Page<'_> = serde_json::from_slice(body).ok()?;
    let rows: Vec<&str> = page.value.iter().rev().map(|row| row.get()).collect();
    let page = format!("200\n\n{{\"value\":[{}]}}", rows.join(","));
    Some(page.into_bytes())
}

fn sorted(records: &[MailboxRecord]) -> Vec<String> {
    let mut texts: Vec<String> = records.iter().map(|record| format!("{record:?}")).collect();
    texts.sort();
    texts
}

/// The first line is the strategy. Each mailbox gets at most one answer, whatever the input is.
pub(super) fn permissions(input: &[u8]) {
    let (strategy, answers) = first_line(input);
    let strategy = match strategy {
        b"batch" => Strategy::Batch,
        _ => Strategy::Get,
    };
    block_on(async {
        let script = Script::new(answers, is_service);
        let client = signed_in(&script, strategy);
        let keys = (1..=3).filter_map(|number| {
            MailboxKey::of(&MailboxRecord {
                object_id: Some(format!("22222222-0000-4000-8000-00000000000{number}")),
                ..MailboxRecord::default()
            })
        });
        let answers: Vec<_> = client.permissions(keys.collect()).collect().await;
        let mut places = BTreeSet::new();
        for (place, _) in answers.iter().flatten() {
            assert!(*place < 3 && places.insert(*place), "{answers:?}");
        }
    });
}

/// The first line is the question.
pub(super) fn questions(input: &[u8]) {
    let (question, answers) = first_line(input);
    let members = |kind| Question::Members {
        identity: "55555555-0000-4000-8000-000000000001".to_owned(),
        kind,
    };
    let question = match question {
        b"directory" => Question::GroupDirectory,
        b"members" => members(GroupKind::Security),
        b"names" => members(GroupKind::PlainSecurity),
        name => Question::Recipient(String::from_utf8_lossy(name).into_owned()),
    };
    block_on(async {
        let script = Script::new(answers, is_service);
        let client = signed_in(&script, Strategy::Get);
        // The result does not matter, but there must be one.
        drop(client.answer(&question).await);
    });
}

/// The sheet of a probe, if it succeeded.
pub(super) async fn probe(answers: &[u8]) -> Option<AnswerSheet> {
    let script = Script::new(answers, is_service);
    let client = signed_in(&script, Strategy::Get);
    let mut sheet = AnswerSheet::default();
    client.probe(&mut sheet).await.ok().map(|_| sheet)
}

/// Whatever the token contains, requests stay below the path of the API.
pub(super) fn token(input: &[u8]) {
    fn is_below_the_tenant(asked: &Asked) -> bool {
        let parts: Vec<&str> = asked.path.split('/').collect();
        is_service(asked)
            && matches!(parts[..], ["", "adminapi", "beta", tenant, "Mailbox"] if !tenant.is_empty())
    }
    let claims = String::from_utf8_lossy(input);
    let packed = format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(input));
    for token in [claims.into_owned(), packed] {
        block_on(async {
            let script = Script::new(b"200\n\n{\"value\":[]}", is_below_the_tenant);
            let client = client(&script, token.clone(), Strategy::Get);
            if let Ok(facts) = client.token().await {
                assert!(!facts.tenant_id.is_empty());
                drop(client.mailboxes(|_| ()).await);
            }
        });
    }
}
