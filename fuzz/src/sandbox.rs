//! The simulated services with any requests: a line `GET /path`, header lines, an empty line and a body, separated by
//! lines `%%`. Each request is sent with the right credentials.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header::AUTHORIZATION},
};
use cloud_sync::sandbox::{
    exchange::{self, Mailbox, Tenant},
    zivver::{self, Organisation, User},
};
use tower::ServiceExt as _;

use super::{block_on, script};

const DOMAIN: &str = "corp.example";

/// The maximum that is read of an answer, since a fault can make it as long as the input says.
const LOOKED_AT_BYTES: usize = 1 << 16;

/// A fault may make a caller wait without end.
const PATIENCE: Duration = Duration::from_secs(3600);

struct Asked {
    request: Request,
    reads: bool,
    controls: bool,
}

fn asked(text: &[u8], authorization: &str) -> Option<Asked> {
    let head_end = text.windows(2).position(|bytes| bytes == b"\n\n");
    let head = &text[..head_end.unwrap_or(text.len())];
    let body = head_end.map_or(&[][..], |end| &text[end + 2..]);
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = line.split_once(' ')?;
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let uri: Uri = target.parse().ok()?;
    let controls = uri.path().starts_with("/sandbox/");
    let reads = method == Method::GET;
    let mut request = Request::new(Body::from(body.to_vec()));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(authorization).ok()?);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        headers.insert(name, value);
    }
    Some(Asked {
        request,
        reads,
        controls,
    })
}

/// Sends each request, and checks the state after it: a read must not change it.
async fn play<S: PartialEq>(
    input: &[u8],
    router: &Router,
    authorization: &str,
    state: impl Fn() -> S,
) {
    for text in script::parts(input) {
        let Some(asked) = asked(text, authorization) else {
            continue;
        };
        let before = state();
        let answer = tokio::time::timeout(PATIENCE, router.clone().oneshot(asked.request)).await;
        let Ok(Ok(answer)) = answer else { continue };
        let status = answer.status();
        assert!(status != StatusCode::CONTINUE, "no last word");
        let body = to_bytes(answer.into_body(), LOOKED_AT_BYTES);
        drop(tokio::time::timeout(PATIENCE, body).await);
        assert!(
            !asked.reads || asked.controls || before == state(),
            "reading changed something"
        );
    }
}

pub(super) fn exchange(input: &[u8]) {
    let tenant = Tenant::new(DOMAIN)
        .mailbox(Mailbox::user("anna@corp.example").with_alias_address("a@corp.example"))
        .shared("info@corp.example")
        .full_access("info@corp.example", "anna@corp.example");
    block_on(async {
        let simulator = exchange::Simulator::new(tenant);
        let bearer = format!("Bearer {}", simulator.identity().mint());
        let router = simulator.router().merge(simulator.identity().router());
        play(input, &router, &bearer, || simulator.state().mailboxes).await;
        written_and_read(&simulator.state());
    });
}

pub(super) fn zivver(input: &[u8]) {
    let organisation = Organisation::new([DOMAIN])
        .with_user(User::new("anna@corp.example", "Anna").alias("a@corp.example"))
        .with_group(zivver::Group::new("info@corp.example", "Info"));
    block_on(async {
        let simulator = zivver::Simulator::new(organisation);
        let bearer = format!("Bearer {}", zivver::API_KEY);
        let state = || {
            let state = simulator.state();
            (state.users, state.groups)
        };
        play(input, &simulator.router(), &bearer, state).await;
        written_and_read(&simulator.state());
    });
}

/// Seed, live state and dump have the same type.
fn written_and_read<S>(state: &S)
where
    S: serde::Serialize + serde::de::DeserializeOwned + PartialEq,
{
    let text = serde_json::to_string(state).expect("a state is JSON");
    let again: S = serde_json::from_str(&text).expect("what is written can be read");
    assert!(again == *state, "{text}");
}
