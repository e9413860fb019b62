//! The queue message: it names a run, whose request and progress are in the state.

use serde::{Deserialize, Serialize};

use super::Mode;
use crate::state::RunId;

/// `{"v":1,"kind":"run","run":"…","mode":"…"}`. It must not have a member `id`, `dequeueCount` or `popReceipt`: the
/// host merges members into its metadata, where they would overwrite its own (`docs/specs/functions-host.md`, "2.4
/// Queue trigger request").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub run: RunId,
    pub mode: Mode,
}

/// Why a text is not a valid message. It never becomes valid, so it is not tried again.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("the queue message is not a JSON object")]
    NoObject,
    #[error("the queue message is not of the form {{\"v\":1,\"kind\":\"run\",…}} ({0})")]
    Shape(Misread),
    #[error(
        "the queue message is of version {version} and kind {kind:?}; this program knows version 1, kind \"run\""
    )]
    Unknown { version: u64, kind: String },
    #[error("the queue message names no usable run")]
    Run,
}

/// The position of an error in a JSON text. The parser's message is not used, since it would copy content into the log.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}")]
pub struct Misread {
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for Misread {
    fn from(error: serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    v: u64,
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    run: std::borrow::Cow<'a, str>,
    #[serde(default)]
    mode: Mode,
}

impl Message {
    /// Unknown members are ignored, since other producers may add their own.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let shape = |error: serde_json::Error| MessageError::Shape(error.into());
        // serde would also parse a struct from a JSON array.
        if !text.trim_start().starts_with('{') {
            return Err(MessageError::NoObject);
        }
        let wire: Wire<'_> = serde_json::from_str(text).map_err(shape)?;
        if wire.v != 1 || wire.kind != "run" {
            return Err(MessageError::Unknown {
                version: wire.v,
                kind: wire.kind.chars().take(40).collect(),
            });
        }
        Ok(Self {
            run: RunId::parse(&wire.run).ok_or(MessageError::Run)?,
            mode: wire.mode,
        })
    }

    /// The message as compact JSON.
    pub fn to_text(&self) -> String {
        let wire = Wire {
            v: 1,
            kind: "run".into(),
            run: self.run.as_str().into(),
            mode: self.mode,
        };
        serde_json::to_string(&wire).expect("a struct of texts and a number is JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_queue() {
        let message = Message {
            run: RunId::parse("20261123T020000Z-0b5e77").unwrap(),
            mode: Mode::Apply,
        };
        let text = message.to_text();
        assert_eq!(
            text,
            r#"{"v":1,"kind":"run","run":"20261123T020000Z-0b5e77","mode":"apply"}"#
        );
        assert_eq!(Message::parse(&text).unwrap(), message);
    }

    #[test]
    fn members_of_other_producers_are_ignored_and_preview_is_the_default() {
        let text = r#" { "$AzureWebJobsParentId": "x", "run": "20261123T020000Z-0b5e77", "kind": "run", "v": 1 } "#;
        assert_eq!(Message::parse(text).unwrap().mode, Mode::Preview);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            "",
            "hello",
            "[1,2]",
            r#"[1,"run","20261123T020000Z-0b5e77","apply"]"#,
            "{}",
            r#"{"v":1}"#,
            r#"{"v":2,"kind":"run","run":"20261123T020000Z-0b5e77","mode":"apply"}"#,
            r#"{"v":1,"kind":"full","run":"20261123T020000Z-0b5e77","mode":"apply"}"#,
            r#"{"v":1,"kind":"run","run":"../20261123T020000Z-0b5e77","mode":"apply"}"#,
            r#"{"v":1,"kind":"run","run":"","mode":"apply"}"#,
            r#"{"v":1,"kind":"run","run":"20261123T020000Z-0b5e77","mode":"delete"}"#,
            "eyJ2IjoxfQ==",
        ] {
            assert!(Message::parse(text).is_err(), "{text}");
        }
    }
}
