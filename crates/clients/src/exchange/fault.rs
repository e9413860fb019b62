//! Classifies unsuccessful answers (`docs/specs/exchange-online.md`, "4. Throttling and errors"). Pure.

use reqwest::{
    StatusCode,
    header::{HeaderMap, LOCATION},
};
use serde_json::{Map, Value};

use crate::http::{Reply, one_line};

/// The longest text of the service that an error quotes.
const TEXT_CHARS_MAX: usize = 300;

/// How much of a body without `error` is searched for markers.
const PLAIN_BYTES_MAX: usize = 4096;

/// How to react to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// 3xx with a `Location`, checked by the caller (1.1).
    Redirect,
    /// 401: try once with a new token.
    Unauthorized,
    /// 403, or a role that Exchange does not support.
    Forbidden,
    Throttled,
    Transient,
    NotFound,
    Ambiguous,
    /// A page link that expired or was made by another back-end.
    Paging,
    /// Anything else: a retry cannot help.
    Refused,
}

/// A classified unsuccessful answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) class: Class,
    /// The most specific cause in the answer, on one line.
    pub(super) text: String,
}

/// Parts of messages and of .NET exception types, compared in lower case, in order of precedence (4.4).
const MARKERS: [(&str, Class); 14] = [
    ("maximum number of concurrent requests", Class::Throttled),
    ("pagination request", Class::Paging),
    ("managementobjectnotfoundexception", Class::NotFound),
    ("couldn't be found on", Class::NotFound),
    ("managementobjectambiguousexception", Class::Ambiguous),
    ("doesn't represent a unique recipient", Class::Ambiguous),
    ("isn't supported in this scenario", Class::Forbidden),
    ("serverbusyexception", Class::Transient),
    ("transientexception", Class::Transient),
    ("backendcommunicationexception", Class::Transient),
    ("cmdletproxynotavailablefailure", Class::Transient),
    ("cmdletproxyexception", Class::Transient),
    ("issue may be transient", Class::Transient),
    (EXPIRED, Class::Paging),
];

/// The word by which some messages say that a page link is no longer valid.
const EXPIRED: &str = "expired";

/// Classifies an answer that is not a plain success.
pub(super) fn classify(reply: &Reply, body: &[u8]) -> Fault {
    let cause = Cause::read(&reply.headers, body);
    let status = reply.status.as_u16();
    let marked = mark(&cause.searched, status, |_| true)
        .or_else(|| mark(&cause.plain, status, is_temporary));
    Fault {
        class: of_status(reply, body, marked),
        text: cause.text(reply.status),
    }
}

fn mark(text: &str, status: u16, counts: fn(Class) -> bool) -> Option<Class> {
    let haystack = text.to_lowercase().replace('’', "'");
    MARKERS
        .iter()
        .filter(|(marker, class)| counts(*class) && marker_applies(marker, *class, status))
        .find(|(marker, _)| haystack.contains(marker))
        .map(|(_, class)| *class)
}

/// The classes that a text outside of `error` may have. The page of a gateway must not make an object count as deleted
/// or forbidden.
fn is_temporary(class: Class) -> bool {
    matches!(class, Class::Throttled | Class::Transient | Class::Paging)
}

/// Whether a marker counts under this status. A failing service does not prove that an object is gone (R11), and a word
/// as common as [`EXPIRED`] is only about page links under the status of an expired link
/// (`docs/specs/exchange-online.md`, "2. Paging").
fn marker_applies(marker: &str, class: Class, status: u16) -> bool {
    let is_failing = status >= 500 || status == 408;
    let is_about_objects = matches!(class, Class::NotFound | Class::Ambiguous);
    !(is_failing && is_about_objects) && (marker != EXPIRED || status == 400)
}

/// The class of a status, given the class of the markers in the body.
fn of_status(reply: &Reply, body: &[u8], marked: Option<Class>) -> Class {
    match reply.status.as_u16() {
        429 => Class::Throttled,
        401 => Class::Unauthorized,
        403 if marked != Some(Class::Throttled) => Class::Forbidden,
        301 | 302 | 307 | 308 if reply.headers.contains_key(LOCATION) => Class::Redirect,
        status => marked.unwrap_or(match status {
            404 if is_own_answer(body) => Class::NotFound,
            // 200: an error with the status of a success; a retry may succeed. 404: a gateway's page or a truncated
            // answer does not prove that an object is gone (R19).
            200..=299 | 404 | 408 | 500 | 502..=504 | 506..=599 => Class::Transient,
            _ => Class::Refused,
        }),
    }
}

/// Whether Exchange itself can have sent this body: it is JSON or empty.
fn is_own_answer(body: &[u8]) -> bool {
    body.trim_ascii().is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// The cause named by an error body or its headers.
#[derive(Default)]
struct Cause {
    /// The text to show.
    shown: String,
    /// The text to search for markers.
    searched: String,
    /// The beginning of a body without `error`.
    plain: String,
}

impl Cause {
    /// Takes the inner exception, else the first detail (separated by pipes, or JSON in a string), else the outer
    /// message, else the headers (4.3).
    fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let mut cause = Self::default();
        if let Ok(Value::Object(root)) = serde_json::from_slice(body)
            && let Some(error) = member(&root, "error")
        {
            cause.read_error(error);
        }
        if cause.searched.trim().is_empty() {
            let start = &body[..body.len().min(PLAIN_BYTES_MAX)];
            cause.plain = String::from_utf8_lossy(start).into_owned();
        }
        for name in ["x-exceptiontype", "x-ms-diagnostics", "www-authenticate"] {
            if let Some(text) = headers.get(name).and_then(|value| value.to_str().ok()) {
                cause.offer(text);
            }
        }
        cause
    }

    fn read_error(&mut self, error: &Value) {
        let Value::Object(error) = error else {
            if let Value::String(text) = error {
                self.offer(text);
            }
            return;
        };
        let inner = object(error, "innererror");
        if let Some(exception) = inner.and_then(|inner| object(inner, "internalexception")) {
            self.offer_exception(text(exception, "type"), text(exception, "message"));
        }
        let details = member(error, "details").and_then(Value::as_array);
        for detail in details.into_iter().flatten().filter_map(Value::as_object) {
            self.offer_detail(text(detail, "message"));
        }
        let code = text(error, "code");
        self.offer_exception(code, text(error, "message"));
        if let Some(inner) = inner {
            self.offer_exception(text(inner, "type"), text(inner, "message"));
        }
    }

    /// `<id>|<Dotted.Exception.Type>|<text>`, a JSON object in a string, or plain text.
    fn offer_detail(&mut self, message: &str) {
        if let Ok(Value::Object(detail)) = serde_json::from_str(message) {
            self.offer_exception(text(&detail, "typename"), text(&detail, "message"));
            return;
        }
        let mut parts = message.splitn(3, '|');
        if let (Some(_), Some(kind), Some(said)) = (parts.next(), parts.next(), parts.next()) {
            self.offer_exception(kind, said);
        } else {
            self.offer(message);
        }
    }

    fn offer_exception(&mut self, kind: &str, message: &str) {
        let short = kind.rsplit('.').next().unwrap_or(kind);
        match (short.is_empty(), message.is_empty()) {
            (true, _) => self.offer(message),
            (false, true) => self.offer(short),
            (false, false) => self.offer(&format!("{short}: {message}")),
        }
    }

    /// The first text is shown; all texts are searched.
    fn offer(&mut self, text: &str) {
        if self.shown.is_empty() {
            self.shown = one_line(text, TEXT_CHARS_MAX);
        }
        self.searched.push_str(text);
        self.searched.push('\n');
    }

    fn text(&self, status: StatusCode) -> String {
        if self.shown.is_empty() {
            status
                .canonical_reason()
                .unwrap_or("no reason given")
                .to_owned()
        } else {
            self.shown.clone()
        }
    }
}

/// Looks up a member, ignoring case.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn object<'a>(parent: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    member(parent, name).and_then(Value::as_object)
}

fn text<'a>(parent: &'a Map<String, Value>, name: &str) -> &'a str {
    member(parent, name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use domain::remedies;

    use super::*;

    fn fault(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Fault {
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
            body: body.into(),
        };
        classify(&reply, &reply.body)
    }

    fn pipe(kind: &str, text: &str) -> String {
        json!({"error": {"code": "BadRequest", "message": "Error executing cmdlet", "details":
            [{"code": "Client", "target": "", "message": format!("Ex6F9304|{kind}|{text}")}]}})
        .to_string()
    }

    /// Status, text, and what a person can do.
    const KNOWN: [(u16, &str, &str); 28] = [
        (
            400,
            "maximum number of concurrent requests",
            remedies::EXCHANGE_THROTTLED,
        ),
        (
            400,
            "Expired or Invalid pagination request",
            remedies::EXCHANGE_PAGING,
        ),
        (
            400,
            "ManagementObjectNotFoundException",
            remedies::EXCHANGE_NOT_FOUND,
        ),
        (400, "couldn't be found on", remedies::EXCHANGE_NOT_FOUND),
        (
            400,
            "ManagementObjectAmbiguousException",
            remedies::EXCHANGE_AMBIGUOUS,
        ),
        (
            400,
            "doesn't represent a unique recipient",
            remedies::EXCHANGE_AMBIGUOUS,
        ),
        (
            400,
            "isn't supported in this scenario",
            remedies::EXCHANGE_PERMISSION,
        ),
        (401, "is not allowed to call", remedies::EXCHANGE_PERMISSION),
        (400, "ServerBusyException", remedies::EXCHANGE_TRANSIENT),
        (400, "TransientException", remedies::EXCHANGE_TRANSIENT),
        (
            400,
            "BackendCommunicationException",
            remedies::EXCHANGE_TRANSIENT,
        ),
        (
            400,
            "CmdletProxyNotAvailableFailure",
            remedies::EXCHANGE_TRANSIENT,
        ),
        (400, "CmdletProxyException", remedies::EXCHANGE_TRANSIENT),
        (400, "issue may be transient", remedies::EXCHANGE_TRANSIENT),
        (
            400,
            "ParameterTransformationException",
            remedies::EXCHANGE_REFUSED,
        ),
        (400, "ParameterBindingException", remedies::EXCHANGE_REFUSED),
        (
            400,
            "AmbiguousParameterSetException",
            remedies::EXCHANGE_REFUSED,
        ),
        (400, "", remedies::EXCHANGE_REFUSED),
        (401, "", remedies::EXCHANGE_PERMISSION),
        (403, "", remedies::EXCHANGE_PERMISSION),
        (404, "", remedies::EXCHANGE_NOT_FOUND),
        (405, "", remedies::EXCHANGE_REFUSED),
        (408, "", remedies::EXCHANGE_TRANSIENT),
        (429, "", remedies::EXCHANGE_THROTTLED),
        (500, "", remedies::EXCHANGE_TRANSIENT),
        (502, "", remedies::EXCHANGE_TRANSIENT),
        (503, "", remedies::EXCHANGE_TRANSIENT),
        (504, "", remedies::EXCHANGE_TRANSIENT),
    ];

    #[test]
    fn every_known_error_gets_its_remedy() {
        use crate::exchange::{ExchangeError, Failure};
        for (status, text, remedy) in KNOWN {
            let failure = Failure {
                operation: "read".into(),
                status: Some(status),
                text: text.into(),
                request_id: None,
            };
            let error = match fault(status, &[], pipe(text, "it failed")).class {
                Class::Unauthorized | Class::Forbidden => ExchangeError::Permission(failure),
                Class::Throttled => ExchangeError::Throttled(failure),
                Class::Transient => ExchangeError::Transient(failure),
                Class::NotFound => ExchangeError::NotFound(failure),
                Class::Ambiguous => ExchangeError::Ambiguous(failure),
                Class::Paging => ExchangeError::Paging(failure),
                Class::Refused | Class::Redirect => ExchangeError::Refused(failure),
            };
            assert!(
                error.to_string().ends_with(remedy),
                "{status} {text}: {error}"
            );
        }
    }

    #[test]
    fn every_status_has_its_reaction() {
        for (status, class) in [
            (200, Class::Transient),
            (302, Class::Refused),
            (400, Class::Refused),
            (401, Class::Unauthorized),
            (403, Class::Forbidden),
            (404, Class::Transient),
            (405, Class::Refused),
            (408, Class::Transient),
            (429, Class::Throttled),
            (500, Class::Transient),
            (501, Class::Refused),
            (502, Class::Transient),
            (503, Class::Transient),
            (504, Class::Transient),
        ] {
            assert_eq!(fault(status, &[], "<html>oops").class, class, "{status}");
        }
        for body in ["", "{}", r#"{"error":{"code":"NotFound"}}"#] {
            assert_eq!(fault(404, &[], body).class, Class::NotFound, "{body}");
        }
        let moved = fault(307, &[("location", "https://x.example/")], "");
        assert_eq!(moved.class, Class::Redirect);
    }

    #[test]
    fn the_cause_is_found_in_every_encoding() {
        let not_found = "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException";
        let missing = "object 'gone' couldn't be found on 'dc01.example.invalid'.";
        let in_string = json!({"error": {"code": "NotFound", "message": "Error executing cmdlet", "details":
            [{"code": "Client", "message": json!({"Message": missing, "TypeName": not_found}).to_string()}]}});
        let inner = json!({"error": {"code": "BadRequest", "message": "Invalid Operation", "InnerError":
            {"message": "x", "InternalException": {"message": missing, "type": not_found}}}});
        for body in [
            pipe(not_found, missing),
            in_string.to_string(),
            inner.to_string(),
        ] {
            let fault = fault(400, &[], body);
            assert_eq!(fault.class, Class::NotFound);
            assert_eq!(
                fault.text,
                format!("ManagementObjectNotFoundException: {missing}")
            );
        }
    }

    #[test]
    fn a_400_can_be_transient_ambiguous_or_about_paging() {
        for (kind, text, class) in [
            ("M.ADTransientException", "", Class::Transient),
            ("M.ServerBusyException", "", Class::Transient),
            ("M.Other", "This issue may be transient.", Class::Transient),
            (
                "M.Other",
                "You have reached the maximum number of concurrent requests per tenant.",
                Class::Throttled,
            ),
            ("M.ManagementObjectAmbiguousException", "", Class::Ambiguous),
            (
                "System.InvalidOperationException",
                "Expired or Invalid pagination request. Default Expiry time is 00:30:00",
                Class::Paging,
            ),
            ("M.ParameterBindingException", "", Class::Refused),
            (
                "M.Other",
                "The role isn't supported in this scenario.",
                Class::Forbidden,
            ),
        ] {
            assert_eq!(
                fault(400, &[], pipe(kind, text)).class,
                class,
                "{kind} {text}"
            );
        }
    }

    #[test]
    fn r31_a_text_outside_of_an_error_can_only_ask_for_patience() {
        let busy = "You have reached the maximum number of concurrent requests per tenant. Please wait and try again.";
        let late = "Expired or Invalid pagination request. Default Expiry time is 00:30:00";
        for (text, status, class) in [
            (busy, 400, Class::Throttled),
            (busy, 403, Class::Throttled),
            (busy, 500, Class::Throttled),
            ("ServerBusyException", 400, Class::Transient),
            ("This issue may be transient.", 400, Class::Transient),
            (late, 400, Class::Paging),
            ("ManagementObjectNotFoundException", 400, Class::Refused),
            ("'gone' couldn't be found on 'dc01'", 400, Class::Refused),
            ("ManagementObjectAmbiguousException", 400, Class::Refused),
            ("It isn't supported in this scenario", 400, Class::Refused),
        ] {
            for body in [
                text.to_owned(),
                format!("<html><p>{text}</p></html>"),
                json!(text).to_string(),
                json!({"message": text}).to_string(),
                json!({"error": {}, "Message": text}).to_string(),
            ] {
                assert_eq!(
                    fault(status, &[], body.clone()).class,
                    class,
                    "{status} {body}"
                );
            }
        }
        let beyond = format!("{}{busy}", " ".repeat(PLAIN_BYTES_MAX));
        assert_eq!(fault(400, &[], beyond).class, Class::Refused);
        // If there is an `error`, only its text counts.
        let aside = json!({"error": {"code": "BadRequest", "message": "no"}, "note": busy});
        assert_eq!(fault(400, &[], aside.to_string()).class, Class::Refused);
    }

    #[test]
    fn r11_an_error_of_a_failing_service_does_not_mean_not_found() {
        for status in [408, 500, 502, 503, 504] {
            for kind in [
                "M.ManagementObjectNotFoundException",
                "M.ManagementObjectAmbiguousException",
            ] {
                let body = pipe(
                    kind,
                    "object 'x' couldn't be found on 'dc01.example.invalid'.",
                );
                assert_eq!(
                    fault(status, &[], body).class,
                    Class::Transient,
                    "{status} {kind}"
                );
            }
        }
    }

    #[test]
    fn only_a_400_speaks_of_a_link_as_expired() {
        for (status, class) in [
            (400, Class::Paging),
            (404, Class::NotFound),
            (500, Class::Transient),
        ] {
            let body = pipe("M.Other", "The session has expired.");
            assert_eq!(fault(status, &[], body).class, class, "{status}");
        }
    }

    #[test]
    fn a_403_of_nul_bytes_is_explained_by_its_headers() {
        let reason = r#"2000003;reason="The role assigned to the application is not supported.""#;
        let fault = fault(
            403,
            &[("content-encoding", "gzip"), ("x-ms-diagnostics", reason)],
            vec![0; 1024],
        );
        assert_eq!(
            (fault.class, fault.text.as_str()),
            (Class::Forbidden, reason)
        );
    }

    #[test]
    fn texts_are_one_short_line() {
        let fault = fault(400, &[], pipe("M.Other", &"a\u{7}\r\n".repeat(1000)));
        assert!(fault.text.chars().count() <= TEXT_CHARS_MAX + 1);
        assert!(!fault.text.contains(char::is_control));
    }
}
