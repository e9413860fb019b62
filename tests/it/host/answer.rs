//! How the host interprets a handler's answer (`docs/specs/functions-host.md`, "2. Wire protocol").

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use super::{
    project::{Function, Output},
    wire::Reply,
};

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Success(Bound),
    /// Failed in the portal. A queue message is released, an HTTP client gets 500.
    Failed(String),
    /// No answer: the host would wait until functionTimeout and kill the handler (F3).
    Hangs,
}

/// The effect of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The messages for the queue, before their encoding.
    pub(crate) messages: Vec<Vec<u8>>,
    /// The answer to the HTTP client, for an HTTP trigger.
    pub(crate) client: Option<Client>,
    pub(crate) logs: Vec<String>,
    /// What works with the present host, but should not be relied on.
    pub(crate) traps: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

type Object = BTreeMap<String, Box<RawValue>>;

pub(crate) fn judge(reply: &Reply, function: &Function) -> Verdict {
    if !(200..300).contains(&reply.status) {
        return Verdict::Failed(format!(
            "Response status code does not indicate success: {}.",
            reply.status
        ));
    }
    let is_json = reply.header("content-type").is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        ["application/json", "text/json"]
            .iter()
            .any(|json| essence.eq_ignore_ascii_case(json))
    });
    let has_length = reply.header("content-length").is_some();
    if reply.status == 204 || reply.body.is_empty() && (has_length || is_json) {
        return Verdict::Hangs;
    }
    let text = String::from_utf8_lossy(&reply.body);
    let invalid = || Verdict::Failed(format!("Invalid HttpResponseMessage: {text}"));
    if !is_json {
        return invalid();
    }
    if text.trim() == "null" {
        return Verdict::Hangs;
    }
    let Ok(answer) = serde_json::from_str::<Object>(&text) else {
        return invalid();
    };
    bind(&answer, function).map_or_else(Verdict::Failed, Verdict::Success)
}

fn member<'a>(object: &'a Object, name: &str) -> Option<&'a RawValue> {
    object
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| &**value)
        .filter(|value| value.get() != "null")
}

fn bind(answer: &Object, function: &Function) -> Result<Bound, String> {
    let mut bound = Bound::default();
    if let Some(logs) = member(answer, "logs") {
        bound.logs = log_lines(logs)?;
    }
    let given = member(answer, "outputs");
    let mut outputs: Object = given.map_or_else(
        || Ok(Object::new()),
        |outputs| {
            serde_json::from_str(outputs.get())
                .map_err(|error| format!("Outputs is not an object: {error}"))
        },
    )?;
    if let Some(returned) = member(answer, "returnvalue")
        && let Ok(members) = serde_json::from_str::<Object>(returned.get())
    {
        outputs.extend(members);
    }
    for output in &function.outputs {
        match output {
            Output::Queue { name } => {
                let next = outputs.get(name).map(|raw| raw.get());
                bound.messages = messages(next.unwrap_or("null"))?;
                if !is_array_of_texts(next.unwrap_or("[]")) {
                    bound
                        .traps
                        .push(format!("{name} is not an array of strings: {next:?}"));
                }
            }
            Output::Http { name } => {
                let res = outputs.get(name).map(|raw| raw.get());
                if !is_complete(res) {
                    bound
                        .traps
                        .push(format!("{name} without statusCode and body: {res:?}"));
                }
                bound.client = Some(match (res, given) {
                    (Some(res), _) => client(res)?,
                    (None, Some(_)) => Client::plain(200, "{}"),
                    (None, None) => Client::plain(204, ""),
                });
            }
        }
    }
    Ok(bound)
}

fn log_lines(raw: &RawValue) -> Result<Vec<String>, String> {
    let lines: Vec<Value> = serde_json::from_str(raw.get())
        .map_err(|error| format!("Logs is not an array: {error}"))?;
    lines
        .into_iter()
        .map(|line| match line {
            Value::String(text) => Ok(text),
            Value::Null => Ok(String::new()),
            Value::Bool(_) | Value::Number(_) => Ok(line.to_string()),
            Value::Array(_) | Value::Object(_) => Err(format!("Logs holds {line}")),
        })
        .collect()
}

fn is_array_of_texts(next: &str) -> bool {
    serde_json::from_str::<Vec<String>>(next)
        .is_ok_and(|texts| texts.iter().all(|text| !text.is_empty()))
}

fn is_complete(res: Option<&str>) -> bool {
    res.and_then(|res| serde_json::from_str::<Value>(res).ok())
        .is_some_and(|res| {
            let status = res["statusCode"].as_str().map(str::parse::<u16>);
            matches!(status, Some(Ok(_))) && res["body"].is_string()
        })
}

/// Q1 to Q13.
fn messages(next: &str) -> Result<Vec<Vec<u8>>, String> {
    let raw: &RawValue = serde_json::from_str(next).map_err(|error| error.to_string())?;
    Ok(match serde_json::from_str(next).unwrap() {
        Value::Null => Vec::new(),
        Value::Array(_) => elements(raw)?,
        Value::String(text) => {
            let inner = text.trim();
            if inner.starts_with('{') && inner.ends_with('}') {
                let raw: &RawValue = serde_json::from_str(inner)
                    .map_err(|error| format!("cannot parse the queue output: {error}"))?;
                vec![indented(&redated(raw.get())).into()]
            } else if inner.starts_with('[') && inner.ends_with(']') {
                let raw: &RawValue = serde_json::from_str(inner)
                    .map_err(|error| format!("cannot parse the queue output: {error}"))?;
                elements(raw)?
            } else {
                vec![decoded(&text).unwrap_or_else(|| dated(&text).into())]
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![element(raw).into()],
    })
}

fn elements(raw: &RawValue) -> Result<Vec<Vec<u8>>, String> {
    let elements: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    Ok(elements
        .into_iter()
        .map(|raw| element(raw).into())
        .collect())
}

/// One value as the text that .NET writes for it.
fn element(raw: &RawValue) -> String {
    match serde_json::from_str(raw.get()).unwrap() {
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => dated(&text),
        Value::Array(_) | Value::Object(_) => indented(&redated(raw.get())),
    }
}

/// Dates that are values inside a list or an object are rewritten, with the offset of the host's zone, which is UTC.
fn redated(json: &str) -> String {
    let mut out = String::new();
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        out.push_str(&rest[..start]);
        let text = &rest[start + 1..];
        let mut escaped = false;
        let end = text.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.expect("it was parsed");
        let (value, after) = (&text[..end], &text[end + 1..]);
        let is_name = after.trim_start().starts_with(':');
        let date = value.parse::<Timestamp>().ok().filter(|_| !is_name);
        let written = date.map(|date| {
            let utc = date.to_string();
            let zone = if value.ends_with('Z') { "Z" } else { "+00:00" };
            format!("{}{zone}", utc.trim_end_matches('Z'))
        });
        let written = written.as_deref().unwrap_or(value);
        out.extend(["\"", written, "\""]);
        rest = after;
    }
    out + rest
}

/// Q12: the JSON reader interprets such a string as a date.
pub(super) fn dated(text: &str) -> String {
    text.parse::<Timestamp>().map_or_else(
        |_| text.to_owned(),
        |date| date.strftime("%m/%d/%Y %H:%M:%S").to_string(),
    )
}

/// Q7, Q8: .NET's standard alphabet, padding required, white space ignored.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let dense: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let decoded = BASE64_STANDARD.decode(&dense).ok()?;
    (!dense.is_empty()).then_some(decoded)
}

/// Two spaces, `": "`, LF; members in their order.
pub(crate) fn indented(json: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    let mut in_text = false;
    let mut escaped = false;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for c in json.chars() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth -= 1;
                if out.trim_end().ends_with(['{', '[']) {
                    out.truncate(out.trim_end().len());
                } else {
                    line(&mut out, depth);
                }
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                out.push(c);
                in_text = c == '"';
            }
        }
    }
    out
}

impl Client {
    pub(crate) fn plain(status: u16, body: &str) -> Self {
        let mut headers = BTreeMap::new();
        if !body.is_empty() {
            headers.insert("content-type".into(), "text/plain; charset=utf-8".into());
        }
        Self {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn content_type(&self) -> &str {
        self.headers.get("content-type").map_or("", String::as_str)
    }
}

/// R1 to R11.
fn client(res: &str) -> Result<Client, String> {
    let refuse =
        || format!("Failed while trying to Deserialize to httpOutputBindingResponse: {res}");
    let inner: String;
    let mut text = res;
    if let Ok(quoted) = serde_json::from_str::<String>(res) {
        inner = quoted;
        text = &inner;
    }
    let res: Object = serde_json::from_str(text).map_err(|_| refuse())?;
    let status = member(&res, "statuscode")
        .and_then(|raw| raw.get().trim_matches('"').parse().ok())
        .unwrap_or(200);
    let body = member(&res, "body");
    let mut client = match body.map(|raw| (raw, serde_json::from_str(raw.get()).unwrap())) {
        None => Client::plain(status, ""),
        Some((_, Value::String(text))) => Client::plain(status, &text),
        Some((raw, _)) => Client::plain(status, &indented(raw.get())),
    };
    if let Some(headers) = member(&res, "headers") {
        let headers: BTreeMap<String, Value> =
            serde_json::from_str(headers.get()).map_err(|_| refuse())?;
        for (name, value) in headers {
            let value = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(format!("the header {name} is {value}"));
                }
            };
            let name = name.to_ascii_lowercase();
            let is_bare_type = name == "content-type" && !value.contains("charset=");
            let charset = if is_bare_type { "; charset=utf-8" } else { "" };
            client.headers.insert(name, value + charset);
        }
    }
    Ok(client)
}
