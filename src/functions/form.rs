//! Posts of the dashboard's forms: `application/x-www-form-urlencoded` with a token from the page, turned into the JSON
//! body of the same call.
//!
//! A browser posts a form of any site to any other. The function key alone stops that where it stands in a header; for a
//! front end that signs people in by cookie, and for keys in addresses, the token proves that the form is ours.

use std::fmt::Write;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Format, Problem, ProblemKind, Request};

/// How long a page may lie open before its forms are refused.
const TOKEN_AGE_MAX_S: i64 = 3600;

/// What tokens are made with: one for each state, so that all instances know each other's pages.
#[derive(Clone)]
pub(super) struct FormKey([u8; 32]);

impl std::fmt::Debug for FormKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FormKey")
    }
}

impl FormKey {
    pub(super) fn new(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// `now` in epoch seconds.
    pub(super) fn token(&self, now: i64) -> String {
        let mut token = now.to_string();
        token.push('.');
        for byte in hmac_sha256(&self.0, now.to_string().as_bytes()) {
            write!(token, "{byte:02x}").expect("writing to a string does not fail");
        }
        token
    }

    fn accepts(&self, token: &str, now: i64) -> bool {
        let made = token
            .split_once('.')
            .and_then(|(made, _)| made.parse::<i64>().ok());
        made.is_some_and(|made| {
            (made..=made.saturating_add(TOKEN_AGE_MAX_S)).contains(&now)
                && is_same(self.token(made).as_bytes(), token.as_bytes())
        })
    }
}

/// RFC 2104, for a key of at most one block.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

/// Takes equally long wherever the difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}

/// A form of a page: by its type, and by its token or its reader. Some clients give that type to any body, so JSON is none:
/// its type is refused later, with the way out.
pub(super) fn is_form(request: &Request) -> bool {
    let media = request
        .header("content-type")
        .and_then(|text| text.split(';').next());
    let typed = media.is_some_and(|media| {
        media
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    let body = request.body.as_deref().unwrap_or_default().trim_start();
    let is_json = body.is_empty() || body.starts_with('{');
    request.method == "POST"
        && typed
        && !is_json
        && (has_token(body) || Format::of(request, &Format::ALL) == Ok(Format::Html))
}

fn has_token(body: &str) -> bool {
    url::form_urlencoded::parse(body.as_bytes()).any(|(name, _)| name == "token")
}

/// A browser says whose page makes it call; other clients say nothing.
pub(super) fn refuse_other_sites(request: &Request) -> Result<(), Problem> {
    let other = request.header("sec-fetch-site").is_some_and(|site| {
        let own = ["same-origin", "none"];
        !own.iter().any(|own| site.trim().eq_ignore_ascii_case(own))
    });
    if request.method == "POST" && other {
        return Err(Problem::new(
            ProblemKind::CrossSite,
            "a page of another origin sent this: use the dashboard, or a client that is no browser",
        ));
    }
    Ok(())
}

/// The same call with a JSON body, once the token was accepted.
pub(super) fn to_json(request: &Request, key: &FormKey, now: i64) -> Result<Request, Problem> {
    let mut members = Map::new();
    let mut accepted = false;
    let body = request.body.as_deref().unwrap_or_default();
    for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
        match &*name {
            "token" => accepted = key.accepts(&value, now),
            "mode" => drop(members.insert("mode".into(), value.into())),
            "accounts" => {
                let accounts = value.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
                let accounts: Vec<Value> = accounts
                    .filter(|text| !text.is_empty())
                    .map(Value::from)
                    .collect();
                if !accounts.is_empty() {
                    members.insert("accounts".into(), accounts.into());
                }
            }
            "approve" => {
                let codes = members
                    .entry("approve")
                    .or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(codes) = codes {
                    codes.push(value.into());
                }
            }
            // What the browser had to have ticked before it sent the form.
            "sure" => {}
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(Problem::new(
                    ProblemKind::UnknownMember,
                    format!("the form has a field {other:?}"),
                ));
            }
        }
    }
    if !accepted {
        return Err(Problem::new(
            ProblemKind::FormExpired,
            "this form is older than an hour, or not from this page: open the dashboard again and repeat",
        ));
    }
    let mut headers = request.headers.clone();
    // The token proves more than an origin does, also behind a proxy that gives the call another host.
    headers.remove("origin");
    headers.insert("content-type".into(), "application/json".into());
    Ok(Request {
        body: Some(Value::Object(members).to_string()),
        headers,
        ..request.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(body: &str) -> Request {
        Request {
            method: "POST".into(),
            headers: [(
                "content-type".into(),
                "application/x-www-form-urlencoded; charset=UTF-8".into(),
            )]
            .into(),
            body: Some(body.into()),
            ..Request::default()
        }
    }

    /// RFC 4231, test case 1, whose key of 20 bytes is padded with zeros as the RFC says.
    #[test]
    fn the_mac_is_that_of_the_rfc() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let mac = hmac_sha256(&key, b"Hi There");
        assert_eq!(mac[..8], [0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53]);
    }

    #[test]
    fn a_token_serves_for_an_hour_and_for_its_key() {
        let key = FormKey::new("one");
        let token = key.token(1_000_000);
        assert!(key.accepts(&token, 1_000_000) && key.accepts(&token, 1_003_600));
        assert!(!key.accepts(&token, 1_003_601) && !key.accepts(&token, 999_999));
        assert!(!FormKey::new("two").accepts(&token, 1_000_000));
        for forged in [
            "",
            ".",
            "1000000.",
            "1000000.00",
            "9999999999999999999.x",
            &token.replace("1000000.", "1000001."),
        ] {
            assert!(!key.accepts(forged, 1_000_000), "{forged}");
        }
    }

    #[test]
    fn a_form_becomes_the_same_json() {
        let key = FormKey::new("one");
        let token = key.token(100);
        let request = form(&format!(
            "mode=apply&token={token}&sure=yes&approve=a1&approve=b2&accounts=+x%40corp.example%0D%0A"
        ));
        assert!(is_form(&request));
        let json = to_json(&request, &key, 100).unwrap().body.unwrap();
        assert_eq!(
            json,
            r#"{"accounts":["x@corp.example"],"approve":["a1","b2"],"mode":"apply"}"#
        );
        let everybody = to_json(&form(&format!("token={token}&accounts=++")), &key, 100).unwrap();
        assert_eq!(everybody.body.as_deref(), Some("{}"));
        for (body, kind) in [
            ("mode=apply".to_owned(), ProblemKind::FormExpired),
            ("mode=apply&token=1.00".to_owned(), ProblemKind::FormExpired),
            (
                format!("token={token}&wait=200"),
                ProblemKind::UnknownMember,
            ),
        ] {
            assert_eq!(to_json(&form(&body), &key, 100).unwrap_err().kind, kind);
        }
    }
}
