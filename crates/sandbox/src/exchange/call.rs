//! A parsed request to the simulated API, from the network or from a batch.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::reply::Reply;

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Still percent-encoded.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Scheme, host and port as the caller knows them, for absolute links.
    pub(super) origin: String,
}

/// What a path below version and tenant addresses.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Target {
    Root,
    ModuleFile,
    List,
    One(String),
    Permissions(String),
    InvokeCommand,
    Batch,
    Unknown,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    Beta,
    V1,
    V2,
}

/// The path `/adminapi/{version}/{tenant}/{rest}`. The case of known segments is ignored.
#[derive(Debug)]
pub(super) struct Route<'a> {
    pub(super) version: Version,
    pub(super) tenant: String,
    pub(super) rest: &'a str,
}

/// The preferences of the `Prefer` headers that are supported; others are ignored, as RFC 7240 requires.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prefer {
    pub(super) page_rows: Option<usize>,
    pub(super) continue_on_error: bool,
}

pub(super) type Query = BTreeMap<String, String>;

impl Call {
    pub(super) fn new(method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Self {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let origin = match (uri.scheme_str(), uri.authority(), host) {
            (Some(scheme), Some(authority), _) => format!("{scheme}://{authority}"),
            (_, _, Some(host)) => format!("http://{host}"),
            (_, _, None) => "https://outlook.office365.com".to_owned(),
        };
        Self {
            method,
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            headers,
            body,
            origin,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    }

    /// Accepts any text, since the header is only a hint.
    pub(super) fn anchor(&self) -> Option<String> {
        self.headers
            .get("x-anchormailbox")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    pub(super) fn prefer(&self) -> Prefer {
        let mut prefer = Prefer::default();
        let values = self.headers.get_all("prefer");
        let values = values.iter().filter_map(|value| value.to_str().ok());
        for wish in values.flat_map(|value| value.split([',', ';'])) {
            let (name, value) = wish.split_once('=').unwrap_or((wish, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "odata.maxpagesize" => prefer.page_rows = value.trim().parse().ok(),
                "odata.continue-on-error" => {
                    prefer.continue_on_error = !value.trim().eq_ignore_ascii_case("false");
                }
                _ => (),
            }
        }
        prefer.page_rows = prefer.page_rows.filter(|rows| *rows > 0);
        prefer
    }

    /// The query options; duplicates are refused.
    pub(super) fn options(&self) -> Result<Query, Reply> {
        let mut options = Query::new();
        for (name, value) in url::form_urlencoded::parse(self.query.as_bytes()) {
            if options
                .insert(name.to_string(), value.into_owned())
                .is_some()
            {
                return Err(Reply::bad_request(&format!(
                    "Query option '{name}' was specified more than once."
                )));
            }
        }
        Ok(options)
    }

    pub(super) fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|value| {
            let media = value.split(';').next().unwrap_or_default();
            media.trim().eq_ignore_ascii_case("application/json")
        })
    }

    pub(super) fn wants_json_in_string(&self) -> bool {
        self.header("x-responseformat")
            .is_some_and(|value| value.eq_ignore_ascii_case("json"))
    }
}

impl<'a> Route<'a> {
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.splitn(4, '/');
        if !segments.next()?.eq_ignore_ascii_case("adminapi") {
            return None;
        }
        let version = match segments.next()?.to_ascii_lowercase().as_str() {
            "beta" => Version::Beta,
            "v1.0" => Version::V1,
            "v2.0" => Version::V2,
            _ => return None,
        };
        let tenant = percent_decode_str(segments.next()?)
            .decode_utf8()
            .ok()?
            .to_lowercase();
        Some(Self {
            version,
            tenant,
            rest: segments.next().unwrap_or_default(),
        })
    }

    pub(super) fn target(&self) -> Target {
        let segments: Vec<String> = self
            .rest
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let lower: Vec<String> = segments.iter().map(|it| it.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        match lower.as_slice() {
            [""] => Target::Root,
            ["mailbox"] => Target::List,
            ["invokecommand"] => Target::InvokeCommand,
            ["$batch"] => Target::Batch,
            ["exomodulefile"] => Target::ModuleFile,
            [_] => mailbox_key(&segments[0]).map_or(Target::Unknown, Target::One),
            [_, "mailboxpermission"] => {
                mailbox_key(&segments[0]).map_or(Target::Unknown, Target::Permissions)
            }
            _ => Target::Unknown,
        }
    }
}

/// The key in `Mailbox('…')`, with doubled apostrophes unescaped.
fn mailbox_key(segment: &str) -> Option<String> {
    let (name, rest) = segment.split_once('(')?;
    if !name.eq_ignore_ascii_case("mailbox") {
        return None;
    }
    let key = rest.strip_prefix('\'')?.strip_suffix("')")?;
    if key.replace("''", "").contains('\'') {
        return None;
    }
    Some(key.replace("''", "'"))
}

/// Decodes a key to an identity; `None` if it is marked as base64 but invalid.
pub(super) fn identity(key: &str, is_encoded: bool) -> Option<String> {
    if !is_encoded {
        return Some(key.to_owned());
    }
    String::from_utf8(STANDARD.decode(key).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Option<Target> {
        Route::parse(path).map(|route| route.target())
    }

    #[test]
    fn paths_are_read_without_regard_to_case() {
        let list = target("/AdminApi/BETA/t.example/mailbox");
        assert_eq!(list, Some(Target::List));
        let permissions = target("/adminapi/beta/t/mailbox(%27YQ%3D%3D%27)/mailboxpermission");
        assert_eq!(permissions, Some(Target::Permissions("YQ==".to_owned())));
        assert_eq!(target("/adminapi/beta/t/"), Some(Target::Root));
        assert_eq!(target("/adminapi/beta/t/Mailboxes"), Some(Target::Unknown));
        assert_eq!(target("/api/beta/t/Mailbox"), None);
    }

    #[test]
    fn an_apostrophe_in_a_key_is_doubled() {
        let one = target("/adminapi/beta/t/Mailbox('o''neil@corp.example')");
        assert_eq!(one, Some(Target::One("o'neil@corp.example".to_owned())));
        let bad = target("/adminapi/beta/t/Mailbox('o'neil@corp.example')");
        assert_eq!(bad, Some(Target::Unknown));
    }

    #[test]
    fn wishes_are_joined_by_comma_or_semicolon() {
        let mut headers = HeaderMap::new();
        let wishes = "odata.maxpagesize = 1000;odata.continue-on-error;";
        headers.insert("prefer", wishes.parse().unwrap());
        let call = Call::new(Method::GET, &Uri::from_static("/"), headers, Bytes::new());
        let prefer = call.prefer();
        assert_eq!(prefer.page_rows, Some(1000));
        assert!(prefer.continue_on_error);
    }
}
