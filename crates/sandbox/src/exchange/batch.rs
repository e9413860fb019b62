//! `$batch`: up to ten requests in one, answered in any order.

use std::collections::HashSet;
use std::fmt::Write;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Session;
use super::call::{Call, Route, Target};
use super::reply::{Content, Reply};
use super::switches::{BatchOrder, ItemFault};
use super::throttle;

const ITEMS_MAX: usize = 10;
const BOUNDARY: &str = "batchresponse_77777777-0000-4000-8000-000000000001";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    requests: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: Map<String, Value>,
    body: Option<Value>,
}

struct Answer {
    id: String,
    reply: Reply,
    fault: Option<ItemFault>,
}

pub(super) fn batch(session: &Session<'_>) -> Result<Reply, Reply> {
    let call = session.call;
    if call.method != Method::POST {
        return Err(Reply::odata_error(
            405,
            "MethodNotAllowed",
            "The requested resource does not support this HTTP method.",
        ));
    }
    if !call.is_json() {
        return Err(Reply::odata_error(
            415,
            "UnsupportedMediaType",
            "The media type of the request is not supported.",
        ));
    }
    if let Some(name) = call.options()?.keys().next() {
        return Err(Reply::bad_request(&format!(
            "The query parameter '{name}' is not supported here."
        )));
    }
    let batch: Batch = serde_json::from_slice(&call.body)
        .map_err(|error| Reply::bad_request(&format!("The batch cannot be read: {error}.")))?;
    check(session, &batch)?;
    let mut answers = Vec::new();
    for item in &batch.requests {
        let answer = answer(session, item);
        let failed = !answer.reply.is_success();
        answers.push(answer);
        if failed && !call.prefer().continue_on_error {
            break;
        }
    }
    match session.switches().batch_order {
        BatchOrder::AsAsked => (),
        BatchOrder::Reversed => answers.reverse(),
    }
    let wants_json = call.header("accept").is_some_and(|accept| {
        accept
            .split(',')
            .any(|media| media.trim_start().starts_with("application/json"))
    });
    Ok(if wants_json {
        let responses: Vec<Value> = answers.into_iter().filter_map(Answer::json).collect();
        Reply::json(json!({ "responses": responses }))
    } else {
        multipart(answers)
    })
}

/// Refuses a batch that is invalid as a whole.
fn check(session: &Session<'_>, batch: &Batch) -> Result<(), Reply> {
    let switches = session.switches();
    let refuse = |status, message: &str| Err(Reply::odata_error(status, "BadRequest", message));
    if batch.requests.is_empty() {
        return refuse(400, "The batch is empty.");
    }
    if batch.requests.len() > ITEMS_MAX {
        return refuse(
            switches.batch_too_long_status,
            "The batch has too many requests.",
        );
    }
    let mut ids = HashSet::new();
    if !batch.requests.iter().all(|item| ids.insert(&item.id)) {
        return refuse(
            switches.batch_duplicate_status,
            "The ids of the requests are not unique.",
        );
    }
    Ok(())
}

fn answer(session: &Session<'_>, item: &Item) -> Answer {
    let fault = session.batch_fault(&item.url);
    let reply = match &fault {
        Some(ItemFault::Status {
            status,
            retry_after,
        }) => {
            let reply = Reply::odata_error(*status, "Error", "An server side error occured.");
            match throttle::retry_after(*retry_after) {
                Some(text) => reply.with_header("retry-after", text),
                None => reply,
            }
        }
        Some(
            ItemFault::ItemMissing
            | ItemFault::BodyMissing
            | ItemFault::BodyNull
            | ItemFault::StatusMissing,
        )
        | None => match call(session, item) {
            Err(reply) => reply,
            Ok(call) => session.item(&call),
        },
    };
    Answer {
        id: item.id.clone(),
        reply,
        fault,
    }
}

/// The request of an item: an absolute URL of this service that is not a batch itself.
fn call(session: &Session<'_>, item: &Item) -> Result<Call, Reply> {
    let bad = |text: &str| Reply::bad_request(text);
    let method = match item.method.to_ascii_uppercase().as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        _ => return Err(bad("The method of the request is not supported.")),
    };
    let local = item
        .url
        .strip_prefix(&session.call.origin)
        .filter(|local| local.starts_with('/'))
        .ok_or_else(|| bad("The url of the request is not an absolute URL of this service."))?;
    let uri: Uri = local
        .parse()
        .map_err(|_| bad("The url of the request cannot be read."))?;
    let route = Route::parse(uri.path()).ok_or_else(Reply::not_found)?;
    if route.target() == Target::Batch {
        return Err(bad("A batch cannot be part of a batch."));
    }
    let own = Route::parse(&session.call.path);
    if own.is_none_or(|own| own.tenant != route.tenant || own.version != route.version) {
        return Err(bad("The url of the request is of another service root."));
    }
    let mut headers = session.call.headers.clone();
    headers.remove("prefer");
    headers.remove("content-type");
    add(&mut headers, &item.headers)
        .ok_or_else(|| bad("The headers of the request cannot be read."))?;
    let body = match &item.body {
        None => Bytes::new(),
        Some(value) => {
            if !headers.contains_key("content-type") {
                headers.insert("content-type", HeaderValue::from_static("application/json"));
            }
            Bytes::from(value.to_string())
        }
    };
    Ok(Call {
        method,
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
        origin: session.call.origin.clone(),
    })
}

fn add(headers: &mut HeaderMap, more: &Map<String, Value>) -> Option<()> {
    for (name, value) in more {
        let name: HeaderName = name.parse().ok()?;
        headers.insert(name, HeaderValue::from_str(value.as_str()?).ok()?);
    }
    Some(())
}

impl Answer {
    /// The item of the JSON answer; `None` if it is dropped.
    fn json(self) -> Option<Value> {
        let Self { id, reply, fault } = self;
        let mut headers = Map::new();
        if let Some(media_type) = reply.media_type() {
            headers.insert("Content-Type".to_owned(), json!(media_type));
        }
        for (name, value) in &reply.headers {
            let name = if name == "retry-after" {
                "Retry-After"
            } else {
                name.as_str()
            };
            headers.insert(name.to_owned(), json!(value));
        }
        let body = match reply.content {
            Content::Json(value) => value,
            Content::Empty => Value::Null,
            Content::Written(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Content::Other { bytes, .. } => json!(String::from_utf8_lossy(&bytes)),
        };
        let mut item = Map::new();
        item.insert("id".to_owned(), json!(id));
        item.insert("status".to_owned(), json!(reply.status.as_u16()));
        item.insert("headers".to_owned(), Value::Object(headers));
        item.insert("body".to_owned(), body);
        match fault {
            Some(ItemFault::ItemMissing) => return None,
            Some(ItemFault::BodyMissing) => {
                item.remove("body");
            }
            Some(ItemFault::BodyNull) => {
                item.insert("body".to_owned(), Value::Null);
            }
            Some(ItemFault::StatusMissing) => {
                item.remove("status");
            }
            Some(ItemFault::Status { .. }) | None => (),
        }
        Some(Value::Object(item))
    }
}

/// The answer to a caller that did not ask for JSON, in the form of an older service.
fn multipart(answers: Vec<Answer>) -> Reply {
    let mut text = String::new();
    for Answer { id, reply, .. } in answers {
        let body = String::from_utf8_lossy(&reply.bytes()).into_owned();
        let reason = reply.status.canonical_reason().unwrap_or_default();
        let media_type = reply.media_type().unwrap_or("text/plain");
        // Writing to a string cannot fail.
        _ = write!(
            text,
            "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {id}\r\n\r\nHTTP/1.1 {} {reason}\r\nContent-Type: {media_type}\r\n\r\n{body}\r\n",
            reply.status.as_u16(),
        );
    }
    text.push_str("--");
    text.push_str(BOUNDARY);
    text.push_str("--\r\n");
    let content = Content::Other {
        media_type: format!("multipart/mixed; boundary={BOUNDARY}"),
        bytes: Bytes::from(text),
    };
    Reply::new(200, content)
}
