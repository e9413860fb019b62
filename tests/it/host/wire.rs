//! The host's side of the wire: bytes over TCP, both framings, and the envelopes of the three triggers
//! (`docs/specs/functions-host.md`, "2. Wire protocol").

use std::{io, net::Ipv4Addr};

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use super::{answer::dated, project::Retry, queue::Delivery, schedule::Status};

/// How the body of an invocation is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As under Core Tools, where tracing buffers the body first.
    ContentLength,
    /// As in Azure.
    Chunked,
}

/// An HTTP answer of the handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// `GET` with a `Host` header and nothing else (1.3).
pub(crate) async fn ping(port: u16) -> io::Result<Reply> {
    get(port, "/").await
}

async fn get(port: u16, path: &str) -> io::Result<Reply> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    exchange(port, head.as_bytes()).await
}

/// Invokes a function, following redirects as .NET's client does (F6, F7).
pub(crate) async fn invoke(
    port: u16,
    function: &str,
    body: &[u8],
    framing: Framing,
) -> io::Result<Reply> {
    invoke_as(Uuid::new_v4(), port, function, body, framing).await
}

/// The same with this invocation id: all tries of an invocation have one.
pub(crate) async fn invoke_as(
    id: Uuid,
    port: u16,
    function: &str,
    body: &[u8],
    framing: Framing,
) -> io::Result<Reply> {
    let mut path = format!("/{function}");
    let mut reply = post(id, port, &path, body, framing).await?;
    for _ in 0..5 {
        let Some(location) = reply.header("location") else {
            break;
        };
        location.clone_into(&mut path);
        reply = match reply.status {
            301..=303 => get(port, &path).await?,
            307 | 308 => post(id, port, &path, body, framing).await?,
            _ => break,
        };
    }
    Ok(reply)
}

async fn post(id: Uuid, port: u16, path: &str, body: &[u8], framing: Framing) -> io::Result<Reply> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Azure-Functions-HostVersion: 4.1045.200.25556\r\n\
         X-Azure-Functions-InvocationId: {id}\r\nUser-Agent: Azure-Functions-Host/4.1045.200.25556\r\n\
         Content-Type: application/json; charset=utf-8\r\n"
    )
    .into_bytes();
    match framing {
        Framing::ContentLength => {
            request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            request.extend(body);
        }
        Framing::Chunked => {
            let trace = id.simple();
            request.extend(format!("traceparent: 00-{trace}-00f067aa0ba902b7-00\r\nTransfer-Encoding: chunked\r\n\r\n").bytes());
            for chunk in body.chunks(4096) {
                request.extend(format!("{:x}\r\n", chunk.len()).bytes());
                request.extend(chunk);
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\n\r\n");
        }
    }
    exchange(port, &request).await
}

/// One request on a connection of its own. An answer that breaks off is an error (F10).
async fn exchange(port: u16, request: &[u8]) -> io::Result<Reply> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(request).await?;
    let mut received = Vec::new();
    loop {
        if let Some(reply) = complete(&received, false)? {
            return Ok(reply);
        }
        if stream.read_buf(&mut received).await? == 0 {
            return complete(&received, true)?.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "The response ended prematurely.",
                )
            });
        }
    }
}

/// The answer, once all of it is there.
fn complete(received: &[u8], at_end: bool) -> io::Result<Option<Reply>> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let head = std::str::from_utf8(&received[..end]).map_err(|_| invalid("head"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let mut reply = Reply {
        status: status
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| invalid("status line"))?,
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
    };
    let rest = &received[end + 4..];
    if let Some(length) = reply.header("content-length") {
        let length: usize = length.parse().map_err(|_| invalid("content-length"))?;
        return Ok(rest.get(..length).map(|body| Reply {
            body: body.to_vec(),
            ..reply
        }));
    }
    if reply.header("transfer-encoding") == Some("chunked") {
        return Ok(dechunked(rest)?.map(|body| Reply { body, ..reply }));
    }
    if reply.status == 204 {
        return Ok(Some(reply));
    }
    reply.body = rest.to_vec();
    Ok(at_end.then_some(reply))
}

fn dechunked(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&rest[..line])
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim(), 16).ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "chunk size"))?;
        rest = &rest[line + 2..];
        if rest.len() < size + 2 {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

fn system(function: &str) -> Value {
    json!({"MethodName": function, "UtcNow": Timestamp::now().to_string(), "RandGuid": Uuid::new_v4().to_string()})
}

/// What a timer invocation may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    Normal,
    /// The first ever: year 1, with and without an offset.
    First {
        offset: bool,
    },
    /// A schedule without monitor.
    NoStatus,
    PastDue,
    /// With a retry policy.
    Retried,
    /// Older hosts encode the value as a string.
    Encoded,
    /// Members of hosts to come.
    Unknown,
    /// As the schedule has it.
    Scheduled {
        status: Status,
        past_due: bool,
    },
}

/// Which try of an invocation with a retry policy it is (2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Try {
    /// 0 for the first.
    pub(crate) count: u32,
    pub(crate) count_max: u32,
    /// Why the try before failed.
    pub(crate) failure: Option<String>,
}

impl Try {
    pub(crate) fn first(retry: Retry) -> Self {
        Self {
            count: 0,
            count_max: retry.count_max,
            failure: None,
        }
    }

    fn context(&self) -> Value {
        let exception = self.failure.as_ref().map(|message| {
            json!({
                "InstanceId": Uuid::new_v4().to_string(), "MethodName": "Host.Functions.SyncTimer", "Handled": false,
                "ClassName": "Microsoft.Azure.WebJobs.Host.FunctionInvocationException",
                "Message": "Exception while executing function: Functions.SyncTimer", "Data": null,
                "InnerException": {"Message": message, "Source": "System.Net.Http", "StackTrace": "\u{2026}"},
                "StackTraceString": "\u{2026}", "Source": "System.Private.CoreLib",
            })
        });
        json!({"RetryCount": self.count, "MaxRetryCount": self.count_max, "Exception": exception, "Instance": null, "State": {}})
    }
}

pub(crate) fn timer(function: &str, name: &str, tick: Tick, of: Option<&Try>) -> Value {
    let status = match tick {
        Tick::NoStatus => Value::Null,
        Tick::First { offset } => {
            let never = if offset {
                "0001-01-01T00:00:00+00:00"
            } else {
                "0001-01-01T00:00:00"
            };
            json!({"Last": never, "Next": "2026-11-23T02:00:00+01:00", "LastUpdated": never})
        }
        Tick::Scheduled { status, .. } => {
            let last = status
                .last
                .map_or("0001-01-01T00:00:00+00:00".to_owned(), |at| at.to_string());
            json!({"Last": last, "Next": status.next.to_string(), "LastUpdated": last})
        }
        Tick::Normal | Tick::PastDue | Tick::Retried | Tick::Encoded | Tick::Unknown => {
            json!({"Last": "2026-11-22T02:00:00.0057184+00:00", "Next": "2026-11-23T02:00:00Z", "LastUpdated": "2026-11-22T02:00:00.0057184+00:00"})
        }
    };
    let past_due = matches!(tick, Tick::PastDue | Tick::Scheduled { past_due: true, .. });
    let mut value = json!({"Schedule": {"AdjustForDST": true}, "ScheduleStatus": status, "IsPastDue": past_due});
    let mut metadata = json!({"sys": system(function)});
    if let Some(of) = of {
        metadata["RetryContext"] = of.context();
    }
    match tick {
        Tick::Retried => {
            metadata["RetryContext"] = json!({"RetryCount": 1, "MaxRetryCount": 3, "Exception": null, "Instance": null, "State": {}});
        }
        Tick::Encoded => value = Value::String(value.to_string()),
        Tick::Unknown => value["Cadence"] = json!({"every": [1, 2]}),
        Tick::Normal
        | Tick::First { .. }
        | Tick::NoStatus
        | Tick::PastDue
        | Tick::Scheduled { .. } => {}
    }
    json!({"Data": {name: value}, "Metadata": metadata})
}

/// A request of an HTTP client, before routing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Percent-encoded, with its leading slash.
    pub(crate) path: String,
    /// In order, repeats allowed.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// A chunked body does not reach the handler.
    pub(crate) chunked: bool,
}

impl Call {
    pub(crate) fn get(path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn post(path: &str, body: &Value) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            body: body.to_string().into_bytes(),
            ..Self::default()
        }
        .header("Content-Type", "application/json")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    fn all<'a>(pairs: &'a [(String, String)], name: &str) -> Vec<&'a str> {
        pairs
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(crate) fn first_header(&self, name: &str) -> Option<&str> {
        Self::all(&self.headers, name).first().copied()
    }
}

/// `None` when the route does not match (2.3). Literals ignore case; a trailing slash is ignored by routing and kept by a
/// catch-all that captures something.
pub(crate) fn route(prefix: &str, template: &str, path: &str) -> Option<Map<String, Value>> {
    let template = format!("{prefix}/{template}");
    let parts: Vec<&str> = template
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let mut rest = path.strip_prefix('/')?;
    let mut params = Map::new();
    for part in parts {
        if let Some(name) = part
            .strip_prefix("{*")
            .and_then(|part| part.strip_suffix('}'))
        {
            if rest.split('/').rev().skip(1).any(str::is_empty) {
                return None;
            }
            let captured = if rest.is_empty() {
                Value::Null
            } else {
                let kept = rest.replace("%2F", "%252F").replace("%2f", "%252f");
                percent_decode_str(&kept)
                    .decode_utf8_lossy()
                    .into_owned()
                    .into()
            };
            params.insert(name.to_owned(), captured);
            return Some(params);
        }
        let (segment, after) = rest.split_once('/').unwrap_or((rest, ""));
        if !segment.eq_ignore_ascii_case(part) {
            return None;
        }
        rest = after;
    }
    rest.is_empty().then_some(params)
}

/// Each name once, as it was spelled first: case does not tell them apart.
fn names(pairs: &[(String, String)]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in pairs {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    names
}

pub(crate) fn http(function: &str, name: &str, call: &Call, params: &Map<String, Value>) -> Value {
    let joined = |pairs: &[(String, String)], name: &str| Call::all(pairs, name).join(",");
    let mut sent = call.headers.clone();
    if !call.body.is_empty() && !call.chunked {
        sent.push(("Content-Length".to_owned(), call.body.len().to_string()));
    }
    let mut query = Map::new();
    for key in names(&call.query) {
        query.insert(key.to_owned(), joined(&call.query, key).into());
    }
    let (mut lists, mut texts) = (Map::new(), Map::new());
    for key in names(&sent) {
        let values: Vec<Value> = Call::all(&sent, key).into_iter().map(Value::from).collect();
        lists.insert(key.to_owned(), values.into());
        texts.insert(key.to_owned(), joined(&sent, key).into());
    }
    let text = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&call.query)
        .finish();
    let mark = if text.is_empty() { "" } else { "?" };
    let mut request = json!({
        "Url": format!("https://sync.example{}{mark}{text}", call.path),
        "Method": call.method, "Query": query, "Headers": lists, "Params": params,
        "Identities": [{"AuthenticationType": "WebJobsAuthLevel", "IsAuthenticated": true, "Actor": null, "Claims": []}],
    });
    let mut metadata = Map::new();
    if !call.body.is_empty() && !call.chunked {
        request["Body"] = body_text(call).into();
        if let Ok(Value::Object(members)) = serde_json::from_slice(&call.body) {
            merge(&mut metadata, &members);
        }
    }
    let unsecret: Map<String, Value> = query
        .iter()
        .filter(|(key, _)| *key != "code")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    merge(&mut metadata, &unsecret);
    merge(&mut metadata, params);
    metadata.insert("Query".into(), unsecret.into());
    metadata.insert("Headers".into(), texts.into());
    metadata.insert("sys".into(), system(function));
    json!({"Data": {name: request}, "Metadata": metadata})
}

fn body_text(call: &Call) -> String {
    let kind = call.first_header("content-type").unwrap_or_default();
    if kind.starts_with("application/octet-stream") || kind.starts_with("multipart/") {
        BASE64_STANDARD.encode(&call.body)
    } else {
        String::from_utf8_lossy(&call.body).into_owned()
    }
}

/// The value rule for members of a body, a query or a message: scalars as text that holds JSON text, dates written anew, nulls
/// and lists left out, and a name overwrites one that differs in case only.
fn merge(metadata: &mut Map<String, Value>, members: &Map<String, Value>) {
    for (name, value) in members {
        let value = match value {
            Value::Null | Value::Array(_) => continue,
            Value::Object(_) => value.clone(),
            Value::String(text) => Value::String(Value::from(dated(text)).to_string()),
            Value::Bool(true) => Value::from("\"True\""),
            Value::Bool(false) => Value::from("\"False\""),
            Value::Number(number) => Value::String(format!("\"{number}\"")),
        };
        let known = metadata
            .keys()
            .find(|key| key.eq_ignore_ascii_case(name))
            .cloned();
        metadata.insert(known.unwrap_or_else(|| name.clone()), value);
    }
}

/// How often the text of a message is encoded on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// What hosts send.
    Double,
    Single,
    /// The JSON itself.
    Bare,
}

/// A message with its text, as far as the host could read that.
pub(crate) fn queue(
    function: &str,
    name: &str,
    (delivery, text): (&Delivery, &str),
    encoding: Encoding,
) -> Value {
    let value = match encoding {
        Encoding::Double => Value::String(Value::from(text).to_string()),
        Encoding::Single => Value::from(text),
        Encoding::Bare => serde_json::from_str(text).unwrap(),
    };
    let mut metadata = times_and_names(delivery);
    if let Ok(Value::Object(members)) = serde_json::from_str(text) {
        merge(&mut metadata, &members);
    }
    metadata.insert("sys".into(), system(function));
    json!({"Data": {name: value}, "Metadata": metadata})
}

/// What the host itself tells of a message. An order of the admin API was in no queue, so it was never received and never
/// expires (2.4).
fn times_and_names(delivery: &Delivery) -> Map<String, Value> {
    const LAST_DAY: &str = "9999-12-31T23:59:59+00:00";
    let quoted = |text: String| Value::String(Value::from(text).to_string());
    let second = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
    let mut metadata = Map::new();
    let mut tell = |name: &str, value: Value| drop(metadata.insert(name.to_owned(), value));
    tell("DequeueCount", delivery.dequeues.to_string().into());
    tell("InsertionTime", second(delivery.inserted).into());
    if let Some(received) = delivery.received {
        let week = SignedDuration::from_hours(7 * 24);
        tell("ExpirationTime", second(delivery.inserted + week).into());
        let lease = SignedDuration::from_mins(10);
        tell("NextVisibleTime", second(received + lease).into());
        tell("Id", quoted(delivery.id.to_string()));
        tell("PopReceipt", quoted(delivery.receipt.to_string()));
    } else {
        tell("ExpirationTime", LAST_DAY.into());
        tell("NextVisibleTime", LAST_DAY.into());
    }
    metadata
}
