//! An HTTP call as it is in the host's HTTP trigger, and the response to the caller.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

/// Headers and query parameters that contain credentials. They are removed before a [`Request`] is made, so they cannot
/// be logged.
const CREDENTIAL_HEADERS: [&str; 4] = [
    "x-functions-key",
    "authorization",
    "cookie",
    "proxy-authorization",
];
const KEY_CLAIM: &str = "http://schemas.microsoft.com/2017/07/functions/claims/keyid";
const CREDENTIAL_QUERY: &str = "code";

/// The request of the caller, without credentials. `Debug` shows only an outline, since paths contain mail addresses.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// The path after `/api/SyncHttp`, split at slashes and decoded.
    pub segments: Vec<String>,
    /// Names in lower case; the values of a repeated parameter are joined by commas, as the host does.
    pub query: BTreeMap<String, String>,
    /// Names in lower case; several values are joined by commas.
    pub headers: BTreeMap<String, String>,
    /// `None` if the caller sent nothing or only white space.
    pub body: Option<String>,
    /// The name of the function key that the caller used, from the host's `Identities`.
    pub key: Option<String>,
    /// The path of the function for links and `Location`: `/api/SyncHttp`, unless the app has another prefix.
    pub base: String,
}

impl Request {
    /// Reads `Data.req` (`docs/specs/functions-host.md`, "2.3 HTTP trigger request"). A member that is missing or has
    /// another type counts as absent.
    pub(super) fn from_trigger(req: &Value) -> Self {
        let mut headers = texts(member(req, "Headers"));
        headers.retain(|name, _| !CREDENTIAL_HEADERS.contains(&name.as_str()));
        let mut query = texts(member(req, "Query"));
        query.remove(CREDENTIAL_QUERY);
        let path = member(req, "Params")
            .and_then(|params| params.get("path"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let method = member(req, "Method").and_then(Value::as_str);
        let url = member(req, "Url").and_then(Value::as_str);
        Self {
            method: method.unwrap_or("GET").trim().to_ascii_uppercase(),
            segments: segments(path),
            query,
            body: member(req, "Body").and_then(body),
            headers,
            key: member(req, "Identities").and_then(key),
            base: base(url.unwrap_or_default()),
        }
    }

    /// Changes a `HEAD` request to `GET` (RFC 9110 section 9.3.2), and returns whether it was one.
    pub(super) fn take_head(&mut self) -> bool {
        let is_head = self.method == "HEAD";
        if is_head {
            "GET".clone_into(&mut self.method);
        }
        is_head
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("first_segment", &self.segments.first())
            .field("segments", &self.segments.len())
            .field("query", &self.query.keys().collect::<Vec<_>>())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.as_ref().map(String::len))
            .finish_non_exhaustive()
    }
}

/// A member by its name in any letter case; current hosts write `PascalCase`.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object.get(name).or_else(|| {
        let mut members = object.iter();
        members
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// The name of the function key, from the host's own identity only: other identities come from a sign-in
/// (`docs/specs/functions-host.md`, "2.3 HTTP trigger request").
fn key(identities: &Value) -> Option<String> {
    let text = |value: &Value, name| member(value, name)?.as_str().map(str::to_owned);
    let identities = identities.as_array()?.iter();
    let mut of_host = identities
        .filter(|it| text(it, "AuthenticationType").as_deref() == Some("WebJobsAuthLevel"));
    of_host.find_map(|identity| {
        let claims = member(identity, "Claims")?.as_array()?;
        let is_key = |claim: &&Value| text(claim, "Type").as_deref() == Some(KEY_CLAIM);
        text(claims.iter().find(is_key)?, "Value")
    })
}

/// A map from name to text. Values can be texts, numbers, booleans or lists of these.
fn texts(object: Option<&Value>) -> BTreeMap<String, String> {
    let members = object.and_then(Value::as_object).into_iter().flatten();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in members {
        let Some(text) = joined(value) else { continue };
        texts
            .entry(name.to_lowercase())
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(&text);
            })
            .or_insert(text);
    }
    texts
}

fn joined(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(values) => {
            let texts: Vec<String> = values.iter().filter_map(joined).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// The host decodes everything in the captured path except `%2F`. Slashes at both ends are ignored.
fn segments(path: &str) -> Vec<String> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Vec::new();
    }
    path.split('/')
        .map(|segment| segment.replace("%2F", "/").replace("%2f", "/"))
        .collect()
}

/// Always a text in current hosts. For `application/octet-stream` and `multipart/*` it is Base64, but no call accepts
/// these types.
fn body(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => return None,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

/// The path up to the segment of the function, spelled as the caller did, with one slash before each segment: with two
/// at the beginning, a browser would read the first segment as a host.
fn base(url: &str) -> String {
    const FUNCTION: &str = "SyncHttp";
    let url = url::Url::parse(url).ok();
    let segments = url.as_ref().and_then(url::Url::path_segments);
    let mut base = String::new();
    for segment in segments.into_iter().flatten().filter(|it| !it.is_empty()) {
        base.push('/');
        base.push_str(segment);
        if segment.eq_ignore_ascii_case(FUNCTION) {
            return base;
        }
    }
    format!("/api/{FUNCTION}")
}

/// The response to the caller. The body is text of the type in `Content-Type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in their usual spelling; the host requires one string for each.
    pub headers: BTreeMap<&'static str, String>,
    pub body: String,
}

impl Response {
    /// Reports contain mail addresses, so caches must not store them and browsers must not guess their type.
    pub fn new(status: u16, content_type: &str, body: String) -> Self {
        let headers = [
            ("Content-Type", content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ];
        Self {
            status,
            headers: headers.map(|(name, text)| (name, text.to_owned())).into(),
            body,
        }
    }

    pub fn json(status: u16, body: &impl serde::Serialize) -> Self {
        let text = serde_json::to_string(body).expect("answers have text keys only");
        Self::new(status, "application/json", text)
    }

    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_read_as_the_route_table_says() {
        for (params, expected) in [
            (json!({"path": null}), vec![]),
            (json!({"path": ""}), vec![]),
            (json!({"path": "/"}), vec![]),
            (json!({}), vec![]),
            (json!(null), vec![]),
            (json!({"path": "runs/0b5e"}), vec!["runs", "0b5e"]),
            (json!({"path": "runs/"}), vec!["runs"]),
            (json!({"path": "/x"}), vec!["x"]),
            (json!({"path": "a b"}), vec!["a b"]),
            (
                json!({"path": "accounts/o'b+c@corp.example"}),
                vec!["accounts", "o'b+c@corp.example"],
            ),
            (json!({"path": "accounts/a%2Fb"}), vec!["accounts", "a/b"]),
            (json!({"path": "runs//x"}), vec!["runs", "", "x"]),
        ] {
            let read = Request::from_trigger(&json!({"Params": params}));
            assert_eq!(read.segments, expected, "{params}");
        }
        assert_eq!(
            Request::from_trigger(&json!({})).segments,
            Vec::<String>::new()
        );
    }

    #[test]
    fn names_are_found_in_any_case_and_values_joined() {
        let read = Request::from_trigger(&json!({
            "method": "post",
            "Query": {"Format": "csv", "n": 5, "list": ["a", "b"], "none": null},
            "Headers": {"ACCEPT": ["text/html", "*/*"], "content-type": "application/json", "x-n": 1, "X-Empty": []},
        }));
        assert_eq!(read.method, "POST");
        assert_eq!(read.header("accept"), Some("text/html, */*"));
        assert_eq!(read.header("content-type"), Some("application/json"));
        assert_eq!(read.header("x-n"), Some("1"));
        assert_eq!(read.header("x-empty"), None);
        let query: Vec<_> = read.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(query, ["format=csv", "list=a, b", "n=5"]);
    }

    #[test]
    fn bodies_are_text_whatever_the_host_made_of_them() {
        for (body, expected) in [
            (json!("{\"a\":1}"), Some("{\"a\":1}")),
            (json!({"a": 1}), Some("{\"a\":1}")),
            (json!(" \n"), None),
            (json!(null), None),
        ] {
            let req = json!({"Body": body});
            let read = Request::from_trigger(&req);
            assert_eq!(read.body.as_deref(), expected, "{req}");
        }
        assert_eq!(Request::from_trigger(&json!({})).body, None);
    }

    #[test]
    fn credentials_never_enter_a_request() {
        let read = Request::from_trigger(&json!({
            "Url": "https://sync.example/api/SyncHttp/accounts/anna@corp.example?code=k3y",
            "Query": {"Code": "k3y", "format": "json"},
            "Headers": {"X-Functions-Key": ["k3y"], "Authorization": ["Bearer k3y"], "Cookie": ["k3y"], "Accept": ["*/*"]},
            "Params": {"path": "accounts/anna@corp.example"},
        }));
        let everything = format!("{:?}{:?}{:?}", read.query, read.headers, read.base);
        assert!(!everything.contains("k3y"), "{everything}");
        assert!(!format!("{read:?}").contains("anna"), "{read:?}");
    }

    #[test]
    fn links_start_where_the_caller_came_in() {
        for (url, expected) in [
            (
                "https://sync.example/api/SyncHttp/runs?x=/SyncHttp",
                "/api/SyncHttp",
            ),
            ("https://sync.example/API/synchttp", "/API/synchttp"),
            ("http://localhost:7071/SyncHttp/", "/SyncHttp"),
            (
                "https://sync.example//evil.example/SyncHttp",
                "/evil.example/SyncHttp",
            ),
            (
                "https://sync.example/\\\\evil.example//api/SyncHttp/runs",
                "/evil.example/api/SyncHttp",
            ),
            ("https://sync.example///SyncHttp", "/SyncHttp"),
            (
                "https://sync.example/SyncHttpX/SyncHttp/",
                "/SyncHttpX/SyncHttp",
            ),
            ("nonsense", "/api/SyncHttp"),
            ("", "/api/SyncHttp"),
        ] {
            assert_eq!(
                Request::from_trigger(&json!({"Url": url})).base,
                expected,
                "{url}"
            );
        }
    }
}
