//! The Exchange client in front of small fakes, with tokio's clock paused: what waits in the text takes no time here.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    time::OffsetDateTime,
};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use cloud_sync::{
    domain::source::{
        Answer, DirectoryAnswer, GroupKind, MembersAnswer, PermissionAnswer, Question,
        RecipientAnswer,
    },
    exchange::{
        ExchangeClient, ExchangeConfig, ExchangeError, Identity, MailboxKey, MailboxList, Strategy,
    },
    http::{Clock, Transport},
};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::Instant;

const BASE: &str = "https://outlook.office365.com";
const ROOT: &str =
    "https://outlook.office365.com/adminapi/beta/11111111-1111-4111-8111-111111111111";
const NOT_FOUND: &str = "M.ManagementObjectNotFoundException";
const NOW: &str = "2026-11-23T10:00:00Z";

/// A request, as a fake sees it.
#[derive(Debug, Clone)]
struct Seen {
    /// Counts from 0.
    number: usize,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn token(&self) -> usize {
        token_number(self.header("authorization"))
    }

    /// The identity of a permission read.
    fn mailbox(&self) -> String {
        let path = self.uri.path();
        let key = path.split("Mailbox('").nth(1).unwrap();
        let key = key.split("')").next().unwrap();
        let key = percent_encoding::percent_decode_str(key)
            .decode_utf8()
            .unwrap();
        String::from_utf8(BASE64_STANDARD.decode(key.as_bytes()).unwrap()).unwrap()
    }
}

/// A service that takes 40 ms for every answer.
fn fake(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Router {
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    Router::new().fallback(move |request: Request| {
        let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
        async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            let (parts, body) = request.into_parts();
            let seen = Seen {
                number: count.fetch_add(1, Ordering::SeqCst),
                method: parts.method,
                uri: parts.uri,
                headers: parts.headers,
                body: axum::body::to_bytes(body, 1 << 20).await.unwrap(),
            };
            answer(&seen)
        }
    })
}

fn jwt(number: usize) -> String {
    let claims = json!({"tid": "11111111-1111-4111-8111-111111111111", "number": number,
        "roles": ["Exchange.ManageAsApp"], "wids": ["f2ef992c-3afb-46b9-b7cf-a126ee74c451"]});
    format!(
        "e30.{}.c2ln",
        BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

fn token_number(authorization: &str) -> usize {
    let payload = authorization.split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    usize::try_from(claims["number"].as_u64().unwrap()).unwrap()
}

/// Numbers its tokens from 1.
#[derive(Debug, Default)]
struct Tokens {
    given: AtomicUsize,
    life_s: Option<i64>,
}

#[async_trait::async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://outlook.office365.com/.default"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
        let start: jiff::Timestamp = NOW.parse().unwrap();
        let life = self.life_s.unwrap_or(86_700 * 365 * 100);
        let expires = OffsetDateTime::from_unix_timestamp(start.as_second() + life).unwrap();
        Ok(AccessToken::new(jwt(number), expires))
    }
}

fn config() -> ExchangeConfig {
    let mut config = ExchangeConfig::new(BASE.parse().unwrap());
    config.clock = Clock::simulated(NOW.parse().unwrap());
    config.retry.seed = 1;
    config
}

fn client_with(config: ExchangeConfig, tokens: Arc<Tokens>, service: Router) -> ExchangeClient {
    let identity = Identity::Credential(tokens);
    ExchangeClient::new(config, identity, Transport::InProcess(service)).unwrap()
}

fn client(service: Router) -> ExchangeClient {
    client_with(config(), Arc::default(), service)
}

fn id(number: usize) -> String {
    format!("22222222-0000-4000-8000-{number:012}")
}

fn row(number: usize) -> Value {
    json!({"ObjectKey": id(number), "ExternalDirectoryObjectId": id(number),
        "PrimarySmtpAddress": format!("user{number}@corp.example")})
}

fn page(rows: impl IntoIterator<Item = usize>, link: Option<&str>) -> Response {
    let rows: Vec<_> = rows.into_iter().map(row).collect();
    let mut page = json!({"@odata.context": "x", "value": rows});
    if let Some(link) = link {
        page["@odata.nextLink"] = json!(link);
    }
    json_response(&page)
}

fn json_response(value: &Value) -> Response {
    (
        [("request-id", "44444444-0000-4000-8000-000000000001")],
        value.to_string(),
    )
        .into_response()
}

fn error(status: u16, kind: &str, text: &str) -> Response {
    let detail = format!("Ex6F9304|{kind}|{text}");
    let body = json!({"error": {"code": "x", "message": "Error executing cmdlet",
        "details": [{"code": "Client", "message": detail}]}});
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

fn status(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap().into_response()
}

fn self_entry() -> Value {
    json!({"User": "NT AUTHORITY\\SELF", "PermissionList":
        [{"AccessRights": ["FullAccess", "ReadPermission"], "IsInherited": false, "Deny": false}]})
}

fn permissions_of(mailbox: &str) -> Value {
    let delegate = json!({"User": format!("delegate-of-{mailbox}"), "PermissionList":
        [{"AccessRights": ["FullAccess"], "IsInherited": false, "Deny": false}]});
    json!({"@odata.context": "x", "value": [self_entry(), delegate]})
}

fn keys(count: usize) -> Vec<MailboxKey> {
    (0..count)
        .map(|number| MailboxKey::choose(Some(&id(number)), None, None).unwrap())
        .collect()
}

async fn list(client: &ExchangeClient) -> Result<MailboxList, ExchangeError> {
    client.mailboxes(|_| ()).await
}

/// All answers in order of the keys, up to the error, if there was one.
async fn permissions(
    client: &ExchangeClient,
    count: usize,
) -> (Vec<(usize, PermissionAnswer)>, Option<ExchangeError>) {
    let mut answers = Vec::new();
    let mut stream = std::pin::pin!(client.permissions(keys(count)));
    while let Some(item) = stream.next().await {
        match item {
            Ok(answer) => answers.push(answer),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error is the end");
                return (answers, Some(error));
            }
        }
    }
    answers.sort_by_key(|(place, _)| *place);
    (answers, None)
}

fn is_read(answer: &PermissionAnswer) -> bool {
    matches!(answer, PermissionAnswer::Entries(_))
}

fn link_to(page: usize) -> String {
    format!("{ROOT}/Mailbox?%24skiptoken={page}")
}

/// The page that a request asks for, counted from 1.
fn page_number(seen: &Seen) -> usize {
    let query = seen.uri.query().unwrap_or_default();
    query
        .split("skiptoken=")
        .nth(1)
        .map_or(1, |token| token.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn r1_three_pages_are_one_list() {
    let service = fake(|seen| {
        assert_eq!(seen.header("prefer"), "odata.maxpagesize=1000");
        assert_eq!(
            seen.header("x-anchormailbox"),
            "APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@11111111-1111-4111-8111-111111111111"
        );
        assert_eq!(seen.header("accept-encoding"), "");
        assert_eq!(seen.header("accept"), "application/json");
        match page_number(seen) {
            1 => {
                assert!(seen.uri.query().unwrap().contains("AccountDisabled"));
                page(0..1000, Some(&link_to(2).replace(".com/", ".com:446/")))
            }
            2 => page(999..1999, Some(&link_to(3))),
            _ => page(1999..3000, Some(" ")),
        }
    });
    let client = client(service);
    let mut heard = Vec::new();
    let list = client
        .mailboxes(|progress| heard.push((progress.pages, progress.rows)))
        .await
        .unwrap();
    let ids: Vec<_> = list
        .mailboxes
        .iter()
        .map(|mailbox| mailbox.object_id.clone().unwrap())
        .collect();
    assert_eq!(ids, (0..3000).map(id).collect::<Vec<_>>());
    assert_eq!((list.pages, list.repeated_rows), (3, 1));
    assert_eq!(heard, [(1, 1000), (2, 1999), (3, 3000)]);
    assert_eq!(client.counters().read().by_kind["mailbox list"], 3);
    assert_eq!(client.token().await.unwrap().warning, None);
}

#[tokio::test(start_paused = true)]
async fn r1_a_doubtful_list_is_an_error() {
    type Answers = fn(&Seen) -> Response;
    let cases: [(&str, Answers); 11] = [
        ("repeated link", |seen| match page_number(seen) {
            1 => page(0..10, Some(&link_to(2))),
            _ => page(10..20, Some(&link_to(2))),
        }),
        ("repeated page", |seen| {
            page(0..10, Some(&link_to(page_number(seen) + 1)))
        }),
        ("endless", |seen| {
            let number = page_number(seen);
            page(number..=number, Some(&link_to(number + 1)))
        }),
        ("foreign link", |_| {
            page(0..10, Some("https://evil.example/Mailbox"))
        }),
        ("gone on page 2", |seen| match page_number(seen) {
            1 => page(0..10, Some(&link_to(2))),
            _ => status(404),
        }),
        ("empty on page 2", |seen| match page_number(seen) {
            1 => page(0..10, Some(&link_to(2))),
            _ => status(200),
        }),
        ("no value", |_| {
            json_response(&json!({"@odata.context": "x"}))
        }),
        ("truncated", |_| {
            "{\"value\":[{\"ObjectKey\":\"2222".into_response()
        }),
        ("html", |_| "<html>Sign in</html>".into_response()),
        ("more without link", |_| {
            json_response(
                &json!({"value": [row(1)], "@adminapi.warnings": ["There are more results available"]}),
            )
        }),
        ("foreign redirect", |_| {
            (StatusCode::FOUND, [("location", "https://evil.example/")]).into_response()
        }),
    ];
    let mut said = Vec::new();
    for (name, answers) in cases {
        let error = list(&client(fake(answers))).await.unwrap_err();
        said.push(format!("{name}: {error}"));
    }
    insta::assert_snapshot!(said.join("\n"), @"");
}

#[tokio::test(start_paused = true)]
async fn an_expired_link_starts_the_list_again_twice_at_most() {
    for (failures, expected) in [(2, true), (3, false)] {
        let expired = AtomicUsize::new(0);
        let service = fake(move |seen| match page_number(seen) {
            1 => page(0..10, Some(&link_to(2))),
            _ if expired.fetch_add(1, Ordering::SeqCst) < failures => error(
                400,
                "System.InvalidOperationException",
                "Expired or Invalid pagination request. Default Expiry time is 00:30:00",
            ),
            _ => page(10..20, None),
        });
        let list = list(&client(service)).await;
        assert_eq!(
            list.as_ref().ok().map(|list| list.mailboxes.len()),
            expected.then_some(20)
        );
        assert!(expected || matches!(list, Err(ExchangeError::Paging(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn r5_wrong_types_are_named_and_the_rest_is_read() {
    let service = fake(|_| {
        json_response(
            &json!({"value": [row(1), {"ObjectKey": id(2), "DisplayName": ["x"], "AccountDisabled": "True"}]}),
        )
    });
    let list = list(&client(service)).await.unwrap();
    assert_eq!(list.mailboxes[1].malformed, ["DisplayName"]);
    assert_eq!(list.mailboxes[1].account_disabled, Some(true));
    assert_eq!(list.mailboxes[1].object_id.as_deref(), Some(id(2).as_str()));
}

#[tokio::test(start_paused = true)]
async fn r31_retry_after_is_waited_for_in_every_form() {
    for (value, at_least_s, at_most_s) in [
        (Some("7"), 7.0, 7.5),
        (Some("0.5"), 0.5, 1.0),
        (Some("0"), 0.0, 0.5),
        (Some("Mon, 23 Nov 2026 10:00:09 GMT"), 8.5, 9.5),
        (Some("Mon, 23 Nov 2020 10:00:09 GMT"), 0.0, 0.5),
        (Some("99999999999999999999"), 300.0, 300.5),
        (Some("Fri, 31 Dec 9999 23:59:59 GMT"), 300.0, 300.5),
        (Some("soon"), 0.0, 2.5),
        (None, 0.0, 2.5),
    ] {
        let service = fake(move |seen| match (seen.number, value) {
            (0, Some(value)) => {
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", value)]).into_response()
            }
            (0, None) => status(429),
            _ => page(0..10, None),
        });
        let client = client(service);
        let start = Instant::now();
        assert_eq!(list(&client).await.unwrap().mailboxes.len(), 10);
        let took_s = start.elapsed().as_secs_f64();
        assert!(
            (at_least_s..=at_most_s).contains(&took_s),
            "{value:?}: {took_s} s"
        );
        let counts = client.counters().read();
        assert_eq!((counts.total, counts.retries, counts.throttled), (2, 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn r31_faults_are_repeated_six_times_and_then_given_up() {
    type Answers = fn() -> Response;
    let cases: [(&str, Answers, usize); 7] = [
        ("busy", || status(503), 6),
        (
            "fault",
            || (StatusCode::BAD_GATEWAY, "<html>").into_response(),
            6,
        ),
        ("throttled", || status(429), 6),
        (
            "transient 400",
            || error(400, "M.ADTransientException", "try again"),
            6,
        ),
        (
            "plain 400",
            || error(400, "M.ParameterBindingException", "no such parameter"),
            1,
        ),
        (
            "error in 200",
            || json_response(&json!({"error": {"code": "x", "message": "oops"}})),
            6,
        ),
        ("not understood", || "oops".into_response(), 3),
    ];
    let mut said = Vec::new();
    for (name, answer, attempts) in cases {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let service = fake(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            answer()
        });
        let error = list(&client(service)).await.unwrap_err();
        assert_eq!(count.load(Ordering::SeqCst), attempts, "{name}");
        said.push(format!("{name}: {error}"));
    }
    insta::assert_snapshot!(said.join("\n"), @"");
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_in_mid_run_is_renewed_once_for_all() {
    let tokens = Arc::<Tokens>::default();
    // The first token works for 100 reads.
    let service = fake(|seen| {
        if seen.token() == 1 && seen.number >= 100 {
            return status(401);
        }
        json_response(&permissions_of(&seen.mailbox()))
    });
    let client = client_with(config(), Arc::clone(&tokens), service);
    let (answers, error) = permissions(&client, 300).await;
    assert_eq!(error, None);
    assert_eq!(
        answers.iter().filter(|(_, answer)| is_read(answer)).count(),
        300
    );
    assert_eq!(tokens.given.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn r32_a_second_401_stops_the_run() {
    let tokens = Arc::<Tokens>::default();
    let service = fake(|_| status(401));
    let client = client_with(config(), Arc::clone(&tokens), service.clone());
    let error = list(&client).await.unwrap_err();
    insta::assert_snapshot!(error, @"");
    assert!(error.is_fatal());
    assert_eq!(tokens.given.load(Ordering::SeqCst), 2);
    let (answers, error) = permissions(&client, 50).await;
    assert!(answers.is_empty() && error.is_some_and(|error| error.is_fatal()));

    let fixed = Identity::Token(Secret::new(jwt(1)));
    let client = ExchangeClient::new(config(), fixed, Transport::InProcess(service)).unwrap();
    insta::assert_snapshot!(list(&client).await.unwrap_err(), @"");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_expires() {
    let tokens = Arc::new(Tokens {
        life_s: Some(600),
        ..Tokens::default()
    });
    let service = fake(|_| page(0..1, None));
    let client = client_with(config(), Arc::clone(&tokens), service);
    for (seconds, given) in [(0, 1), (200, 1), (200, 2)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        list(&client).await.unwrap();
        assert_eq!(tokens.given.load(Ordering::SeqCst), given);
    }
}

#[tokio::test(start_paused = true)]
async fn r11_one_mailbox_that_cannot_be_read_is_unread_and_one_that_vanished_is_gone() {
    let service = fake(|seen| match seen.mailbox() {
        mailbox if mailbox == id(3) => status(404),
        mailbox if mailbox == id(4) => (StatusCode::FORBIDDEN, vec![0; 1024]).into_response(),
        mailbox if mailbox == id(5) => status(500),
        mailbox if mailbox == id(6) => {
            json_response(&json!({"value": [self_entry(), {"User": 7}]}))
        }
        mailbox if mailbox == id(7) => json_response(&json!({"value": []})),
        mailbox => json_response(&permissions_of(&mailbox)),
    });
    let (answers, error) = permissions(&client(service), 10).await;
    assert_eq!(error, None);
    let mut said = Vec::new();
    for (place, answer) in answers {
        let text = match answer {
            PermissionAnswer::Entries(entries) => format!("{} entries", entries.len()),
            PermissionAnswer::Gone => "gone".to_owned(),
            PermissionAnswer::Unread(reason) => reason,
        };
        said.push(format!("{place}: {text}"));
    }
    insta::assert_snapshot!(said.join("\n"), @"");
}

#[tokio::test(start_paused = true)]
async fn r32_twenty_refusals_at_first_mean_that_none_may_be_read() {
    for (allowed, fatal) in [(usize::MAX, true), (10, false)] {
        let service = fake(move |seen| {
            if seen.mailbox() == id(allowed) {
                json_response(&permissions_of(&seen.mailbox()))
            } else {
                status(403)
            }
        });
        let (answers, error) = permissions(&client(service), 100).await;
        assert_eq!(error.is_some(), fatal);
        if let Some(error) = error {
            assert_eq!(answers.len(), 19);
            assert!(
                error.to_string().contains("View-Only Recipients"),
                "{error}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r32_a_service_that_is_down_ends_the_run() {
    let service = fake(|seen| {
        if seen.number < 30 {
            json_response(&permissions_of(&seen.mailbox()))
        } else {
            status(503)
        }
    });
    let (answers, error) = permissions(&client(service), 1000).await;
    assert!(
        matches!(error, Some(ExchangeError::Transient(_))),
        "{error:?}"
    );
    assert_eq!(answers.len(), 30 + 19);
}

#[tokio::test(start_paused = true)]
async fn the_level_of_the_service_is_found_and_held() {
    const LEVEL: usize = 20;
    const MAILBOXES: u32 = 2000;
    let (in_flight, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let refusals = Arc::clone(&refused);
    let service = Router::new().fallback(move |uri: Uri| {
        let (in_flight, refused) = (Arc::clone(&in_flight), Arc::clone(&refused));
        async move {
            let crowd = in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            if crowd > LEVEL {
                in_flight.fetch_sub(1, Ordering::SeqCst);
                refused.fetch_add(1, Ordering::SeqCst);
                return status(429);
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
            in_flight.fetch_sub(1, Ordering::SeqCst);
            json_response(&permissions_of(uri.path()))
        }
    });
    let mut config = config();
    config.concurrency_max = 64;
    let client = client_with(config, Arc::default(), service);
    let start = Instant::now();
    let (answers, error) = permissions(&client, MAILBOXES as usize).await;
    let took = start.elapsed();
    assert_eq!(error, None);
    assert!(answers.iter().all(|(_, answer)| is_read(answer)));
    let ideal = Duration::from_millis(40) * MAILBOXES / 20;
    let refused = refusals.load(Ordering::SeqCst);
    assert!(
        took <= ideal.mul_f64(1.25),
        "{took:?} for {ideal:?}, {refused} refused"
    );
    assert!(refused <= 20, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_pauses_all_workers() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&times);
    let service = fake(move |seen| {
        log.lock().unwrap().push(Instant::now());
        if seen.number == 50 {
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "20")]).into_response();
        }
        json_response(&permissions_of(&seen.mailbox()))
    });
    let (answers, _) = permissions(&client(service), 200).await;
    assert!(answers.iter().all(|(_, answer)| is_read(answer)));
    let times = times.lock().unwrap();
    let refused = times[50];
    let meanwhile = times
        .iter()
        .filter(|at| {
            **at > refused + Duration::from_millis(80) && **at < refused + Duration::from_secs(20)
        })
        .count();
    assert_eq!(meanwhile, 0);
}

#[tokio::test(start_paused = true)]
async fn every_strategy_gives_the_same_answers() {
    // Mailbox 3 vanished, mailbox 4 comes without SELF from the bulk reads, mailbox 5 not at all.
    let service = fake(|seen| {
        let path = seen.uri.path();
        if path.ends_with("/$batch") {
            assert_eq!(seen.header("accept"), "application/json");
            let requests = seen.json()["requests"].as_array().unwrap().clone();
            assert!(requests.len() <= 10);
            let answers = requests.iter().rev().filter_map(|request| {
                let url: Uri = request["url"].as_str().unwrap().parse().unwrap();
                let mailbox = Seen {
                    uri: url,
                    ..seen.clone()
                }
                .mailbox();
                let answer = |status: u16, body: Value| {
                    Some(json!({"id": request["id"], "status": status, "body": body}))
                };
                match mailbox {
                    mailbox if mailbox == id(3) => answer(404, json!({})),
                    mailbox if mailbox == id(4) => answer(200, json!({"value": []})),
                    mailbox if mailbox == id(5) => None,
                    mailbox if mailbox == id(6) => answer(429, json!(null)),
                    mailbox => answer(200, permissions_of(&mailbox)),
                }
            });
            return json_response(&json!({"responses": answers.collect::<Vec<_>>()}));
        }
        if path.ends_with("/Mailbox") {
            assert!(
                seen.uri
                    .query()
                    .unwrap()
                    .ends_with("&$expand=MailboxPermission")
            );
            let rows = (0..25)
                .filter(|number| *number != 3 && *number != 5)
                .map(|number| {
                    let mut row = row(number);
                    row["MailboxPermission"] = permissions_of(&id(number))["value"].clone();
                    if number == 4 {
                        row["MailboxPermission"] = json!([]);
                    }
                    row
                });
            return json_response(&json!({"value": rows.collect::<Vec<_>>()}));
        }
        let mailbox = seen.mailbox();
        if mailbox == id(3) {
            return status(404);
        }
        json_response(&permissions_of(&mailbox))
    });
    let mut all = Vec::new();
    for (strategy, requests) in [
        (Strategy::Get, 25),
        (Strategy::Batch, 3 + 4),
        (Strategy::Expand, 1 + 3),
    ] {
        let mut config = config();
        config.strategy = strategy;
        let client = client_with(config, Arc::default(), service.clone());
        let (answers, error) = permissions(&client, 25).await;
        assert_eq!(error, None);
        assert_eq!(client.counters().read().total, requests, "{strategy:?}");
        all.push(answers);
    }
    assert_eq!(all[0].len(), 25);
    assert_eq!(all[0][3].1, PermissionAnswer::Gone);
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
}

#[tokio::test(start_paused = true)]
async fn a_bulk_read_that_the_service_refuses_is_made_one_by_one() {
    let service = fake(|seen| {
        let path = seen.uri.path();
        if path.ends_with("/$batch") || path.ends_with("/Mailbox") {
            return status(400);
        }
        json_response(&permissions_of(&seen.mailbox()))
    });
    for strategy in [Strategy::Batch, Strategy::Expand] {
        let mut config = config();
        config.strategy = strategy;
        let client = client_with(config, Arc::default(), service.clone());
        let (answers, error) = permissions(&client, 25).await;
        assert_eq!(error, None);
        assert!(answers.iter().all(|(_, answer)| is_read(answer)));
    }
}

fn recipient(text: &str) -> Question {
    Question::Recipient(text.to_owned())
}

fn members(kind: GroupKind) -> Question {
    Question::Members {
        identity: id(1),
        kind,
    }
}

#[tokio::test(start_paused = true)]
async fn a_cmdlet_goes_on_with_the_same_body_and_headers() {
    let first = Arc::new(Mutex::new(None));
    let service = fake(move |seen| {
        let sent = (seen.body.clone(), seen.header("x-anchormailbox").to_owned());
        assert_eq!(*first.lock().unwrap().get_or_insert(sent.clone()), sent);
        assert_eq!(seen.method, Method::POST);
        let input = &seen.json()["CmdletInput"];
        assert_eq!(input["CmdletName"], "Get-DistributionGroupMember");
        assert_eq!(
            input["Parameters"],
            json!({"Identity": id(1), "ResultSize": "Unlimited"})
        );
        let link = format!("{ROOT}/InvokeCommand?%24skiptoken=2");
        let rows = |from: usize, to: usize| {
            (from..to).map(|number| {
            json!({"Name": "x", "RecipientTypeDetails": "UserMailbox", "ExternalDirectoryObjectId": id(number), "Guid@odata.type": "x"})
        }).collect::<Vec<_>>()
        };
        match page_number(seen) {
            1 => json_response(&json!({"value": rows(0, 1000), "@odata.nextLink": link,
                "@adminapi.warnings": ["There are more results available than are currently displayed."]})),
            _ => json_response(&json!({"value": rows(1000, 1500), "@adminapi.warnings": []})),
        }
    });
    let answer = client(service)
        .answer(&members(GroupKind::Security))
        .await
        .unwrap();
    let Answer::Members(MembersAnswer::Complete(rows)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(rows.len(), 1500);
}

#[tokio::test(start_paused = true)]
async fn r11_only_a_clean_answer_about_a_recipient_counts() {
    type Answers = fn() -> Response;
    let found = || {
        json_response(
            &json!({"@odata.context": "x", "value": [{"RecipientTypeDetails": "MailUser", "Name": "x", "Guid": id(1)}]}),
        )
    };
    let cases: [(&str, Answers, &str); 9] = [
        ("found", found, "found"),
        (
            "404",
            || error(404, NOT_FOUND, "couldn't be found"),
            "not found",
        ),
        (
            "400",
            || error(400, NOT_FOUND, "couldn't be found"),
            "not found",
        ),
        (
            "no rows",
            || json_response(&json!({"@odata.context": "x"})),
            "not found",
        ),
        (
            "ambiguous",
            || error(400, "M.ManagementObjectAmbiguousException", "two"),
            "ambiguous",
        ),
        (
            "two rows",
            || {
                json_response(
                    &json!({"value": [{"Name": "x", "Guid": id(1)}, {"Name": "x", "Guid": id(2)}]}),
                )
            },
            "ambiguous",
        ),
        ("stray JSON", || json_response(&json!({})), "failed"),
        ("empty body", || status(200), "failed"),
        (
            "wrong type",
            || json_response(&json!({"value": [{"Name": 7}]})),
            "failed",
        ),
    ];
    for (name, answers, expected) in cases {
        let answer = client(fake(move |_| answers()))
            .answer(&recipient("anna"))
            .await
            .unwrap();
        let Answer::Recipient(answer) = answer else {
            panic!("{answer:?}")
        };
        let kind = match answer {
            RecipientAnswer::Found(_) => "found",
            RecipientAnswer::NotFound => "not found",
            RecipientAnswer::Ambiguous => "ambiguous",
            RecipientAnswer::Failed(_) => "failed",
        };
        assert_eq!(kind, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_identity_is_never_sent() {
    let client = client(fake(|_| panic!("sent")));
    let answer = client.answer(&recipient(" ")).await.unwrap();
    assert!(matches!(
        answer,
        Answer::Recipient(RecipientAnswer::Failed(_))
    ));
    let nobody = Question::Members {
        identity: String::new(),
        kind: GroupKind::Role,
    };
    let answer = client.answer(&nobody).await.unwrap();
    assert!(matches!(answer, Answer::Members(MembersAnswer::Failed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_truncated_or_vanished_group_is_not_read() {
    let truncated: fn(&Seen) -> Response = |_| {
        json_response(
            &json!({"value": [{"Name": "x"}], "@adminapi.warnings": ["There are more results available than are currently displayed."]}),
        )
    };
    for answers in [truncated, |_| status(404), |_| status(403)] {
        let client = client(fake(answers));
        let answer = client.answer(&members(GroupKind::Security)).await.unwrap();
        assert!(
            matches!(answer, Answer::Members(MembersAnswer::Failed(_))),
            "{answer:?}"
        );
        let answer = client.answer(&Question::GroupDirectory).await.unwrap();
        assert!(
            matches!(answer, Answer::Directory(DirectoryAnswer::Failed(_))),
            "{answer:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_group_has_its_cmdlet() {
    for (kind, name, members) in [
        (GroupKind::Distribution, "Get-DistributionGroupMember", 2),
        (GroupKind::Microsoft365, "Get-UnifiedGroupLinks", 2),
        (GroupKind::Dynamic, "Get-DynamicDistributionGroupMember", 2),
        (GroupKind::Role, "Get-RoleGroupMember", 2),
        (GroupKind::PlainSecurity, "Get-Group", 3),
    ] {
        let service = fake(move |seen| {
            let input = &seen.json()["CmdletInput"];
            assert_eq!(input["CmdletName"], name);
            let link_type = (kind == GroupKind::Microsoft365).then_some("Members");
            assert_eq!(input["Parameters"]["LinkType"].as_str(), link_type);
            if kind == GroupKind::PlainSecurity {
                return json_response(
                    &json!({"value": [{"Name": "g", "Members": ["a", "b", "c"]}]}),
                );
            }
            json_response(&json!({"value": [{"Name": "a"}, {"Name": "b"}]}))
        });
        let answer = client(service).answer(&self::members(kind)).await.unwrap();
        let Answer::Members(MembersAnswer::Complete(rows)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(rows.len(), members);
    }
}

#[tokio::test(start_paused = true)]
async fn an_allowed_redirect_keeps_method_and_body() {
    let service = fake(|seen| {
        if !seen.uri.path().starts_with("/eur") {
            let place = "https://eur01.outlook.office365.com:446/eur/InvokeCommand";
            return (StatusCode::TEMPORARY_REDIRECT, [("location", place)]).into_response();
        }
        assert_eq!(seen.method, Method::POST);
        assert_eq!(
            seen.json()["CmdletInput"]["CmdletName"],
            "Get-DistributionGroup"
        );
        assert!(seen.header("authorization").starts_with("Bearer "));
        json_response(&json!({"value": []}))
    });
    let answer = client(service)
        .answer(&Question::GroupDirectory)
        .await
        .unwrap();
    assert_eq!(
        answer,
        Answer::Directory(DirectoryAnswer::Complete(Vec::new()))
    );
}

#[tokio::test]
async fn nothing_secret_is_shown_by_debug() {
    let identity = Identity::Token(Secret::new(jwt(1)));
    let service = fake(|_| page(0..1, None));
    let client = ExchangeClient::new(config(), identity, Transport::InProcess(service)).unwrap();
    list(&client).await.unwrap();
    let shown = format!("{client:?}");
    assert!(
        !shown.contains("c2ln") && !shown.contains("Bearer"),
        "{shown}"
    );
}
