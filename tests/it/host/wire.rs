//! The host's side of the protocol: bytes over TCP, both framings, and the envelopes of the three triggers
//! (`docs/specs/functions-host.md`, "2. Wire protocol").

use std::{fmt, io, net::Ipv4Addr};

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json, value::RawValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use super::{answer::dated, project::Retry, queue::Delivery, schedule::Status};

/// The host that this double copies (`tests/it/data/host-wire/README.md`).
const VERSION: &str = "4.1037.0.0";

/// How the body of an invocation is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As under Core Tools, where tracing buffers the body first and adds its header.
    ContentLength,
    /// As recorded.
    Chunked,
}

/// A JSON object with its members in the order in which the host writes them. [`Value`] sorts them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    fn with(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        self.set(name, value);
        self
    }

    /// Replaces a member whose name is equal except for case.
    fn set(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        let value = serde_json::value::to_raw_value(value).unwrap();
        match self.position(name) {
            Some(at) => self.0[at].1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(at) = self.position(name) {
            self.0.remove(at);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&RawValue> {
        self.position(name).map(|at| &*self.0[at].1)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn position(&self, name: &str) -> Option<usize> {
        let mut names = self.0.iter();
        names.position(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> de::Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.set(&name, &value);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The body that the host posts.
fn envelope(name: &str, value: &impl Serialize, metadata: &Members) -> String {
    let data = Members::default().with(name, value);
    let envelope = Members::default()
        .with("Data", &data)
        .with("Metadata", metadata);
    serde_json::to_string(&envelope).unwrap()
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

/// The same with this invocation id, since all tries of an invocation have the same id.
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
    exchange(port, &posted(id, port, path, body, framing)).await
}

/// The bytes of an invocation.
pub(super) fn posted(id: Uuid, port: u16, path: &str, body: &[u8], framing: Framing) -> Vec<u8> {
    const TYPE: &str = "Content-Type: application/json; charset=utf-8\r\n";
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Azure-Functions-HostVersion: {VERSION}\r\n\
         X-Azure-Functions-InvocationId: {id}\r\nUser-Agent: Azure-Functions-Host/{VERSION}\r\n"
    )
    .into_bytes();
    match framing {
        Framing::ContentLength => {
            let trace = id.simple();
            let length = body.len();
            let rest = format!(
                "traceparent: 00-{trace}-00f067aa0ba902b7-00\r\n{TYPE}Content-Length: {length}\r\n\r\n"
            );
            request.extend(rest.bytes());
            request.extend(body);
        }
        Framing::Chunked => {
            request.extend(format!("Transfer-Encoding: chunked\r\n{TYPE}\r\n").bytes());
            for chunk in body.chunks(4096) {
                request.extend(format!("{:x}\r\n", chunk.len()).bytes());
                request.extend(chunk);
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\n\r\n");
        }
    }
    request
}

/// One request on a new connection. An incomplete answer is an error (F10).
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

/// The answer, after all of it was received.
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

fn system(function: &str) -> Members {
    Members::default()
        .with("MethodName", function)
        .with("UtcNow", &ticks(Timestamp::now()).to_string())
        .with("RandGuid", &Uuid::new_v4().to_string())
}

/// .NET counts in units of 100 ns.
fn ticks(time: Timestamp) -> Timestamp {
    let nanos = time.as_nanosecond();
    Timestamp::from_nanosecond(nanos - nanos.rem_euclid(100)).unwrap()
}

/// A time with the offset of a host in UTC.
fn with_offset(time: Timestamp) -> String {
    let utc = ticks(time).to_string();
    format!("{}+00:00", utc.trim_end_matches('Z'))
}

/// The form of a timer invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    Normal,
    /// The first one: year 1, with and without an offset.
    First {
        offset: bool,
    },
    /// A schedule without monitor, or with several occurrences in a minute.
    NoStatus,
    PastDue,
    /// With a retry policy.
    Retried,
    /// Older hosts encode the value as a string.
    Encoded,
    /// Unknown members, as in future hosts.
    Unknown,
    /// As the schedule has it.
    Scheduled {
        status: Status,
        past_due: bool,
    },
    /// Started by hand, before the first run.
    Admin,
}

/// The number of the try of an invocation with a retry policy (2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Try {
    /// 0 for the first.
    pub(crate) count: u32,
    pub(crate) count_max: u32,
    /// Why the previous try failed.
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

    fn context(&self) -> Members {
        let exception = self.failure.as_ref().map(|message| {
            let message = serde_json::to_string(message).unwrap();
            let text = EXCEPTION.replace("\"MESSAGE\"", &message);
            RawValue::from_string(text).unwrap()
        });
        Members::default()
            .with("RetryCount", &self.count)
            .with("MaxRetryCount", &self.count_max)
            .with("Exception", &exception)
            .with("Instance", &())
            .with("State", &Members::default())
    }
}

/// Before the first run.
const NEVER: &str = "0001-01-01T00:00:00+00:00";

fn schedule_status(tick: Tick) -> Option<Members> {
    let told = |last: &str, next: &str, updated: &str| {
        Members::default()
            .with("Last", last)
            .with("Next", next)
            .with("LastUpdated", updated)
    };
    match tick {
        Tick::NoStatus | Tick::Retried => None,
        Tick::First { offset: true } | Tick::Admin => {
            let now = with_offset(Timestamp::now());
            Some(told(NEVER, "2026-11-29T02:00:00+00:00", &now))
        }
        Tick::First { offset: false } => {
            let never = "0001-01-01T00:00:00";
            Some(told(never, "2026-11-23T02:00:00+01:00", never))
        }
        Tick::Scheduled { status, .. } => {
            let last = status.last.map_or(NEVER.to_owned(), with_offset);
            let updated = with_offset(status.last.unwrap_or_else(Timestamp::now));
            Some(told(&last, &with_offset(status.next), &updated))
        }
        Tick::Normal | Tick::PastDue | Tick::Encoded | Tick::Unknown => {
            let last = "2026-11-22T02:00:00.0057184+00:00";
            Some(told(last, "2026-11-23T02:00:00+00:00", last))
        }
    }
}

/// What the host reports about a handler that answered 500, including the stack traces.
const EXCEPTION: &str = r#"{"InstanceId":"6191a44f-8131-4c61-8218-7a871af09db5","MethodName":"Host.Functions.SyncTimer","Handled":false,"ClassName":"Microsoft.Azure.WebJobs.Host.FunctionInvocationException","Message":"Exception while executing function: Functions.SyncTimer","Data":null,"InnerException":{"HttpRequestError":0,"StatusCode":500,"Message":"MESSAGE","Data":{},"InnerException":null,"HelpLink":null,"Source":"System.Net.Http","HResult":-2146233088,"StackTrace":"\u2026"},"HelpURL":null,"StackTraceString":"\u2026","RemoteStackTraceString":null,"RemoteStackIndex":0,"ExceptionMethod":null,"HResult":-2146233088,"Source":"System.Private.CoreLib","WatsonBuckets":null}"#;

/// `of` is the try, if the function has a retry policy.
pub(crate) fn timer(function: &str, name: &str, tick: Tick, of: Option<&Try>) -> String {
    let past_due = matches!(tick, Tick::PastDue | Tick::Scheduled { past_due: true, .. });
    let daylight = Members::default().with("AdjustForDST", &true);
    let mut value = Members::default()
        .with("Schedule", &daylight)
        .with("ScheduleStatus", &schedule_status(tick))
        .with("IsPastDue", &past_due);
    let mut metadata = Members::default();
    if tick == Tick::Admin {
        metadata.set(name, "\"\"");
    }
    metadata.set("sys", &system(function));
    if let Some(of) = of {
        metadata.set("RetryContext", &of.context());
    }
    match tick {
        Tick::Encoded => {
            let text = serde_json::to_string(&value).unwrap();
            return envelope(name, &text, &metadata);
        }
        Tick::Unknown => value.set("Cadence", &json!({"every": [1, 2]})),
        Tick::Normal
        | Tick::First { .. }
        | Tick::NoStatus
        | Tick::PastDue
        | Tick::Retried
        | Tick::Scheduled { .. }
        | Tick::Admin => {}
    }
    envelope(name, &value, &metadata)
}

/// A request of an HTTP client, before routing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Percent-encoded, with its leading slash.
    pub(crate) path: String,
    /// In order. Names may be repeated.
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

/// `None` if the route does not match (2.3). Literals ignore case. Routing ignores a trailing slash, but a catch-all
/// that captures something keeps it.
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
            // Recorded: `a//b` matches, an empty first segment does not.
            if rest.starts_with('/') {
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

/// Each name once, in its first spelling. Names that differ only in case are equal.
fn names(pairs: &[(String, String)]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in pairs {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    names
}

/// The names that the host knows, in its own order. They come first; others follow in the order of the caller.
pub(super) const KNOWN_HEADERS: [&str; 7] = [
    "Accept",
    "Host",
    "User-Agent",
    "Content-Type",
    "Expect",
    "Transfer-Encoding",
    "Content-Length",
];

/// The only identity of a caller with a function key. `default` stands for the name of the key.
const IDENTITIES: &str = concat!(
    r#"[{"AuthenticationType":"WebJobsAuthLevel","IsAuthenticated":true,"Actor":null,"BootstrapContext":null,"Claims":["#,
    r#"{"Issuer":"LOCAL AUTHORITY","OriginalIssuer":"LOCAL AUTHORITY","Properties":{},"#,
    r#""Type":"http://schemas.microsoft.com/2017/07/functions/claims/authlevel","Value":"Function","#,
    r#""ValueType":"http://www.w3.org/2001/XMLSchema#string"},"#,
    r#"{"Issuer":"LOCAL AUTHORITY","OriginalIssuer":"LOCAL AUTHORITY","Properties":{},"#,
    r#""Type":"http://schemas.microsoft.com/2017/07/functions/claims/invoke","Value":"true","#,
    r#""ValueType":"http://www.w3.org/2001/XMLSchema#string"},"#,
    r#"{"Issuer":"LOCAL AUTHORITY","OriginalIssuer":"LOCAL AUTHORITY","Properties":{},"#,
    r#""Type":"http://schemas.microsoft.com/2017/07/functions/claims/keyid","Value":"default","#,
    r#""ValueType":"http://www.w3.org/2001/XMLSchema#string"}],"Label":null,"Name":null,"#,
    r#""NameClaimType":"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name","#,
    r#""RoleClaimType":"http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}]"#,
);

/// The headers of a call as the host receives them, including those that frame a body.
fn received(call: &Call) -> Vec<(String, String)> {
    let mut headers = call.headers.clone();
    let framing = match (call.body.is_empty(), call.chunked) {
        (_, true) => Some(("Transfer-Encoding", "chunked".to_owned())),
        (false, false) => Some(("Content-Length", call.body.len().to_string())),
        (true, false) => None,
    };
    if let Some((name, value)) = framing
        && call.first_header(name).is_none()
    {
        headers.push((name.to_owned(), value));
    }
    headers.sort_by_key(|(name, _)| {
        let mut known = KNOWN_HEADERS.iter();
        known
            .position(|known| known.eq_ignore_ascii_case(name))
            .unwrap_or(KNOWN_HEADERS.len())
    });
    headers
}

fn url(call: &Call) -> String {
    let host = call.first_header("host").unwrap_or("sync.example");
    let scheme = if host.starts_with("127.0.0.1") {
        "http"
    } else {
        "https"
    };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&call.query)
        .finish();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{host}{}{mark}{query}", call.path)
}

/// `key` is the name of the function key that the caller gave.
pub(crate) fn http(
    function: &str,
    name: &str,
    key: &str,
    call: &Call,
    params: &Map<String, Value>,
) -> String {
    let (mut query, mut last) = (Members::default(), Members::default());
    for key in names(&call.query) {
        let values = Call::all(&call.query, key);
        query.set(key, &values.join(","));
        last.set(key, values.last().unwrap_or(&""));
    }
    let sent = received(call);
    let (mut lists, mut texts) = (Members::default(), Members::default());
    for key in names(&sent) {
        let values = Call::all(&sent, key);
        lists.set(key, &values);
        texts.set(key, &values.join(","));
    }
    let identities = IDENTITIES.replace("\"default\"", &json!(key).to_string());
    let identities: &RawValue = serde_json::from_str(&identities).unwrap();
    let mut request = Members::default()
        .with("Url", &url(call))
        .with("Method", &call.method)
        .with("Query", &query)
        .with("Headers", &lists)
        .with("Params", params)
        .with("Identities", identities);
    let mut metadata = Members::default();
    if !call.body.is_empty() && !call.chunked {
        request.set("Body", &body_text(call));
        if let Ok(members) = serde_json::from_slice::<Members>(&call.body) {
            merge(&mut metadata, &members);
        }
    }
    let mut unsecret = last.clone();
    unsecret.remove("code");
    merge(&mut metadata, &unsecret);
    let mut routed = Members::default();
    for (name, value) in params {
        routed.set(name, value);
    }
    merge(&mut metadata, &routed);
    metadata.set("Query", &last);
    metadata.set("Headers", &texts);
    metadata.set("sys", &system(function));
    envelope(name, &request, &metadata)
}

fn body_text(call: &Call) -> String {
    let kind = call.first_header("content-type").unwrap_or_default();
    if kind.starts_with("application/octet-stream") || kind.starts_with("multipart/") {
        BASE64_STANDARD.encode(&call.body)
    } else {
        String::from_utf8_lossy(&call.body).into_owned()
    }
}

/// Adds the members of a body, a query or a message: scalars as text that contains JSON, dates rewritten, nulls and
/// lists left out. A name replaces one that differs only in case.
fn merge(metadata: &mut Members, members: &Members) {
    for (name, raw) in &members.0 {
        match serde_json::from_str(raw.get()).unwrap() {
            Value::Null => metadata.remove(name),
            Value::Array(_) => {}
            Value::Object(_) => metadata.set(name, raw),
            Value::String(text) => metadata.set(name, &Value::from(dated(&text)).to_string()),
            Value::Bool(true) => metadata.set(name, "\"True\""),
            Value::Bool(false) => metadata.set(name, "\"False\""),
            Value::Number(number) => metadata.set(name, &format!("\"{number}\"")),
        }
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

/// A message with its text, if the host could read it.
pub(crate) fn queue(
    function: &str,
    name: &str,
    (delivery, text): (&Delivery, &str),
    encoding: Encoding,
) -> String {
    let quoted = Value::from(text).to_string();
    let value = match encoding {
        Encoding::Double => Value::String(quoted.clone()),
        Encoding::Single => Value::from(text),
        Encoding::Bare => serde_json::from_str(text).unwrap(),
    };
    let mut metadata = times_and_names(delivery);
    if delivery.received.is_none() {
        metadata.set(name, &quoted);
    }
    metadata.set("sys", &system(function));
    if let Ok(members) = serde_json::from_str::<Members>(text) {
        merge(&mut metadata, &members);
    }
    envelope(name, &value, &metadata)
}

/// What the host itself adds about a message. A message of the admin API was not in a queue, so it was never received
/// and does not expire (2.4).
fn times_and_names(delivery: &Delivery) -> Members {
    const LAST_DAY: &str = "9999-12-31T23:59:59+00:00";
    let quoted = |id: Uuid| Value::from(id.to_string()).to_string();
    let second = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
    let after = |at: Timestamp, minutes| second(at + SignedDuration::from_mins(minutes));
    let metadata = Members::default().with("DequeueCount", &delivery.dequeues.to_string());
    match delivery.received {
        Some(received) => metadata
            .with("ExpirationTime", &after(delivery.inserted, 7 * 24 * 60))
            .with("Id", &quoted(delivery.id))
            .with("InsertionTime", &second(delivery.inserted))
            .with("NextVisibleTime", &after(received, 10))
            .with("PopReceipt", &quoted(delivery.receipt)),
        None => metadata
            .with("ExpirationTime", LAST_DAY)
            .with("InsertionTime", &second(delivery.inserted))
            .with("NextVisibleTime", LAST_DAY),
    }
}
