//! The Exchange client against small fakes. tokio's clock is paused, so waiting takes no real time.

mod calls;
mod lists;
mod permissions;
mod questions;
mod sandbox;

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

/// A request as a fake receives it.
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

/// All answers in the order of the keys, up to the error if there was one.
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

fn recipient(text: &str) -> Question {
    Question::Recipient(text.to_owned())
}

fn members(kind: GroupKind) -> Question {
    Question::Members {
        identity: id(1),
        kind,
    }
}
