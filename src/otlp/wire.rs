//! OTLP messages as a tree with both encodings: protobuf, and JSON with its special rules (OTLP specification, "JSON
//! Protobuf Encoding": ids in hexadecimal, 64-bit numbers as text, enums as numbers).

use serde_json::{Map, Value as Json};

/// A protobuf message: field number, name in JSON, value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Message(Vec<(u32, &'static str, Value)>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// `bytes` that are a trace or span id.
    Id(Vec<u8>),
    /// `int64`
    Int(i64),
    /// `fixed64`
    Fixed(u64),
    /// `sfixed64`
    SignedFixed(i64),
    /// An enum, or a small `uint32`.
    Number(u32),
    Bool(bool),
    One(Message),
    Many(Vec<Message>),
}

impl Message {
    pub(super) fn with(mut self, number: u32, name: &'static str, value: Value) -> Self {
        self.0.push((number, name, value));
        self
    }

    pub(super) fn text(self, number: u32, name: &'static str, text: impl Into<String>) -> Self {
        self.with(number, name, Value::Text(text.into()))
    }

    pub(super) fn one(self, number: u32, name: &'static str, message: Self) -> Self {
        self.with(number, name, Value::One(message))
    }

    pub(super) fn many(self, number: u32, name: &'static str, messages: Vec<Self>) -> Self {
        self.with(number, name, Value::Many(messages))
    }

    pub(super) fn json(&self) -> Json {
        let mut members = Map::new();
        for (_, name, value) in &self.0 {
            let value = match value {
                Value::Text(text) => Json::from(text.as_str()),
                Value::Id(bytes) => hexadecimal(bytes).into(),
                Value::Int(number) | Value::SignedFixed(number) => number.to_string().into(),
                Value::Fixed(number) => number.to_string().into(),
                Value::Number(number) => Json::from(*number),
                Value::Bool(flag) => Json::from(*flag),
                Value::One(message) => message.json(),
                Value::Many(messages) => messages.iter().map(Self::json).collect(),
            };
            members.insert((*name).to_owned(), value);
        }
        Json::Object(members)
    }

    pub(super) fn protobuf(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, _, value) in &self.0 {
            match value {
                Value::Text(text) => delimited(&mut out, *number, text.as_bytes()),
                Value::Id(bytes) => delimited(&mut out, *number, bytes),
                Value::Int(value) => tagged_varint(&mut out, *number, value.cast_unsigned()),
                Value::Number(value) => tagged_varint(&mut out, *number, u64::from(*value)),
                Value::Bool(flag) => tagged_varint(&mut out, *number, u64::from(*flag)),
                Value::Fixed(value) => fixed(&mut out, *number, value.to_le_bytes()),
                Value::SignedFixed(value) => fixed(&mut out, *number, value.to_le_bytes()),
                Value::One(message) => delimited(&mut out, *number, &message.protobuf()),
                Value::Many(messages) => {
                    for message in messages {
                        delimited(&mut out, *number, &message.protobuf());
                    }
                }
            }
        }
        out
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn tagged_varint(out: &mut Vec<u8>, number: u32, value: u64) {
    varint(out, u64::from(number) << 3);
    varint(out, value);
}

fn fixed(out: &mut Vec<u8>, number: u32, bytes: [u8; 8]) {
    varint(out, (u64::from(number) << 3) | 1);
    out.extend(bytes);
}

fn delimited(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    varint(out, (u64::from(number) << 3) | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// `KeyValue`
pub(super) fn attribute(key: &str, value: Value) -> Message {
    let value = match value {
        Value::Bool(flag) => Message::default().with(2, "boolValue", Value::Bool(flag)),
        Value::Int(number) => Message::default().with(3, "intValue", Value::Int(number)),
        text @ (Value::Text(_)
        | Value::Id(_)
        | Value::Fixed(_)
        | Value::SignedFixed(_)
        | Value::Number(_)
        | Value::One(_)
        | Value::Many(_)) => Message::default().with(1, "stringValue", text),
    };
    Message::default()
        .text(1, "key", key)
        .one(2, "value", value)
}

pub(super) fn attributes<'a>(all: impl IntoIterator<Item = (&'a str, Value)>) -> Vec<Message> {
    all.into_iter()
        .map(|(key, value)| attribute(key, value))
        .collect()
}

/// `InstrumentationScope`
pub(super) fn scope() -> Message {
    Message::default()
        .text(1, "name", "cloud-sync")
        .text(2, "version", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_are_those_of_the_specification() {
        let message = Message::default()
            .text(1, "name", "é")
            .with(2, "traceId", Value::Id(vec![0xab, 0x01]))
            .with(3, "intValue", Value::Int(300))
            .with(7, "time", Value::Fixed(1))
            .with(20, "kind", Value::Number(3))
            .many(
                9,
                "all",
                vec![
                    Message::default(),
                    Message::default().with(1, "f", Value::Bool(true)),
                ],
            );
        assert_eq!(
            message.json().to_string(),
            r#"{"all":[{},{"f":true}],"intValue":"300","kind":3,"name":"é","time":"1","traceId":"ab01"}"#
        );
        let expected: &[u8] = &[
            0x0a, 2, 0xc3, 0xa9, 0x12, 2, 0xab, 0x01, 0x18, 0xac, 0x02, 0x39, 1, 0, 0, 0, 0, 0, 0,
            0, 0xa0, 0x01, 3, 0x4a, 0, 0x4a, 2, 0x08, 1,
        ];
        assert_eq!(message.protobuf(), expected);
    }
}
