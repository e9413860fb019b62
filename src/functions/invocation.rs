//! Requests of the host: the envelopes of the three triggers (`docs/specs/functions-host.md`, "2. Wire protocol").

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Request, http::member, message::Misread};

/// One invocation. All work ends before it is answered.
#[derive(Debug)]
pub struct Invocation {
    /// `X-Azure-Functions-InvocationId`, for the log.
    pub id: String,
    pub trigger: Trigger,
}

#[derive(Debug)]
pub enum Trigger {
    Timer(Timer),
    Http(Request),
    Queue(super::Message),
}

/// A tick. The dates that the host sends are not used: they can be missing or in year 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timer {
    pub is_past_due: bool,
    /// How often the host has tried this tick before; 0 without a retry policy.
    pub retry_count: u32,
}

/// A delivered queue message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The decoded text; empty if the host sent none.
    pub text: String,
    /// For the log only: a message member with the same name overwrites it.
    pub dequeue_count: Option<u32>,
}

/// A body that a Functions host does not send.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("it is not the JSON object that a Functions host sends ({0})")]
    Shape(Misread),
    #[error("it is not a JSON object")]
    NoObject,
    #[error("its `Data` holds no `req`")]
    NoRequest,
}

struct Envelope {
    data: Value,
    metadata: Metadata,
}

/// Only the members in use: `Metadata` repeats the whole message or request body.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "DequeueCount")]
    dequeue_count: Value,
    #[serde(rename = "RetryContext")]
    retry_context: Value,
}

pub fn timer(body: &[u8]) -> Result<Timer, EnvelopeError> {
    let envelope = Envelope::read(body)?;
    let timer = match envelope.data.get("timer") {
        // Older hosts sent the object as a text.
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(value) => value.clone(),
        None => Value::Null,
    };
    let retry = member(&envelope.metadata.retry_context, "RetryCount");
    Ok(Timer {
        is_past_due: member(&timer, "IsPastDue").is_some_and(is_true),
        retry_count: retry.and_then(count).unwrap_or(0),
    })
}

pub fn http(body: &[u8]) -> Result<Request, EnvelopeError> {
    let envelope = Envelope::read(body)?;
    let req = envelope.data.get("req").ok_or(EnvelopeError::NoRequest)?;
    Ok(Request::from_trigger(req))
}

pub fn queue(body: &[u8]) -> Result<Delivery, EnvelopeError> {
    let envelope = Envelope::read(body)?;
    Ok(Delivery {
        text: envelope
            .data
            .get("message")
            .map(message_text)
            .unwrap_or_default(),
        dequeue_count: count(&envelope.metadata.dequeue_count),
    })
}

impl Envelope {
    fn read(body: &[u8]) -> Result<Self, EnvelopeError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "Data")]
            data: Map<String, Value>,
            #[serde(rename = "Metadata", default)]
            metadata: Option<Metadata>,
        }
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let is_object = text.trim_ascii_start().first() == Some(&b'{');
        if !is_object {
            return Err(EnvelopeError::NoObject);
        }
        let wire: Wire =
            serde_json::from_slice(text).map_err(|error| EnvelopeError::Shape(error.into()))?;
        Ok(Self {
            data: Value::Object(wire.data),
            metadata: wire.metadata.unwrap_or_default(),
        })
    }
}

/// The text of a message. Current hosts encode it twice; it can also be encoded once, or be an object.
fn message_text(value: &Value) -> String {
    match value {
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::String(inner)) => inner,
            _ => text.clone(),
        },
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// A count as a number, or as a text that is encoded once or twice.
fn count(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number.as_u64()?.try_into().ok(),
        Value::String(text) => text.trim_matches('"').parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
