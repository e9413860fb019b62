//! Forms of the dashboard: `application/x-www-form-urlencoded` with a token from the page, converted to the JSON body
//! of the same call.
//!
//! A browser lets any site post a form to any other. A function key in a header prevents this by itself; for a front
//! end with sign-in by cookie, and for keys in addresses, the token proves that the form comes from this dashboard.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Map, Value};

use super::{Format, Problem, ProblemKind, Request};

/// Maximum age of a page whose forms are accepted.
const TOKEN_AGE_MAX_S: i64 = 3600;

/// Prefix of the form fields for settings (R46).
pub(super) const SETTING: &str = "settings.";

/// The key that signs tokens. It is stored in the state, so that all instances accept each other's pages.
#[derive(Debug, Clone)]
pub(super) struct FormKey(hmac::Key);

impl FormKey {
    pub(super) fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// A token made at `now` (epoch seconds).
    pub(super) fn token(&self, now: i64) -> String {
        let now = now.to_string();
        let tag = hmac::sign(&self.0, now.as_bytes());
        format!("{now}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    fn accepts(&self, token: &str, now: i64) -> bool {
        let Some((made, tag)) = token.split_once('.') else {
            return false;
        };
        let Ok(tag) = BASE64_URL_SAFE_NO_PAD.decode(tag) else {
            return false;
        };
        hmac::verify(&self.0, made.as_bytes(), &tag).is_ok()
            && made
                .parse::<i64>()
                .is_ok_and(|made| (made..=made.saturating_add(TOKEN_AGE_MAX_S)).contains(&now))
    }
}

/// Whether the request is a form of the dashboard: by its content type, and by a token or a browser. Some clients send
/// this content type with any body, so a body of JSON is not a form; it is refused later with advice on the right type.
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

/// Refuses a post from a page of another site. Browsers send `Sec-Fetch-Site`; other clients do not.
pub(super) fn refuse_other_sites(request: &Request) -> Result<(), Problem> {
    let other = request.header("sec-fetch-site").is_some_and(|site| {
        let own = ["same-origin", "none"];
        !own.iter().any(|own| site.trim().eq_ignore_ascii_case(own))
    });
    if request.method == "POST" && other {
        return Err(Problem::new(
            ProblemKind::CrossSite,
            "a page of another origin sent this: use the dashboard, or a client that is not a browser",
        ));
    }
    Ok(())
}

/// The same call with a JSON body. Fails if the token is not accepted.
pub(super) fn to_json(request: &Request, key: &FormKey, now: i64) -> Result<Request, Problem> {
    let mut members = Map::new();
    let mut accepted = false;
    let mut selected = Vec::new();
    let mut button = Button::default();
    let body = request.body.as_deref().unwrap_or_default();
    for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
        match &*name {
            "token" => accepted = key.accepts(&value, now),
            "account" => selected.push(Value::from(value)),
            "do" => button = Button::parse(&value)?,
            "undo" | "quick" => drop(members.insert(name.into_owned(), true.into())),
            "mode" | "plan" | "code" => drop(members.insert(name.into_owned(), value.into())),
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
            name if let Some(setting) = name.strip_prefix(SETTING) => {
                let settings = members
                    .entry("settings")
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(settings) = settings {
                    settings.insert(setting.to_owned(), value.into());
                }
            }
            // The checkbox that the browser requires before it sends the form.
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
    let segments = button.press(&mut members, selected, &request.segments)?;
    let mut headers = request.headers.clone();
    // The token proves more than the origin does, and the origin is wrong behind a proxy that changes the host.
    headers.remove("origin");
    headers.insert("content-type".into(), "application/json".into());
    Ok(Request {
        body: Some(Value::Object(members).to_string()),
        headers,
        segments,
        ..request.clone()
    })
}

/// The button that sent the form of a held set (R27, R47).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Button {
    /// The button for all changes, or a form without such buttons.
    #[default]
    All,
    ApproveSelected,
    /// Approve the selected changes, and make no others.
    ApproveOnly,
    RejectSelected,
}

impl Button {
    fn parse(value: &str) -> Result<Self, Problem> {
        match value {
            "approve-all" => Ok(Self::All),
            "approve-selected" => Ok(Self::ApproveSelected),
            "approve-only" => Ok(Self::ApproveOnly),
            "reject-selected" => Ok(Self::RejectSelected),
            _ => Err(Problem::new(
                ProblemKind::UnknownMember,
                "the form has an unknown button",
            )),
        }
    }

    /// Completes the body, and returns the path of the call.
    fn press(
        self,
        members: &mut Map<String, Value>,
        selected: Vec<Value>,
        path: &[String],
    ) -> Result<Vec<String>, Problem> {
        if self == Self::All {
            return Ok(path.to_vec());
        }
        if selected.is_empty() {
            return Err(Problem::new(
                ProblemKind::BadBody,
                "no change is selected: go back, and tick at least one",
            ));
        }
        if self != Self::RejectSelected {
            if self == Self::ApproveOnly {
                members.insert("only".into(), vec![Value::from("approved")].into());
            }
            members.insert("approve_accounts".into(), selected.into());
            return Ok(path.to_vec());
        }
        let codes = members.remove("approve");
        let code = codes.and_then(|codes| codes.get(0).cloned());
        members.retain(|_, _| false);
        members.insert("code".into(), code.unwrap_or_default());
        members.insert("accounts".into(), selected.into());
        Ok(vec!["rejections".into()])
    }
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
        let set = format!("mode=apply&token={token}&approve=a1");
        let some = |button| form(&format!("{set}&account=x%40corp.example&do={button}"));
        for (button, json, path) in [
            ("approve-all", r#"{"approve":["a1"],"mode":"apply"}"#, ""),
            (
                "approve-selected",
                r#"{"approve":["a1"],"approve_accounts":["x@corp.example"],"mode":"apply"}"#,
                "",
            ),
            (
                "approve-only",
                r#"{"approve":["a1"],"approve_accounts":["x@corp.example"],"mode":"apply","only":["approved"]}"#,
                "",
            ),
            (
                "reject-selected",
                r#"{"accounts":["x@corp.example"],"code":"a1"}"#,
                "rejections",
            ),
        ] {
            let pressed = to_json(&some(button), &key, 100).unwrap();
            assert_eq!(pressed.body.as_deref(), Some(json));
            assert_eq!(pressed.segments.concat(), path);
        }
        for (body, kind) in [
            (format!("{set}&do=reject-selected"), ProblemKind::BadBody),
            (format!("{set}&do=else"), ProblemKind::UnknownMember),
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
