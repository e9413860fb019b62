//! What can be read from a row that could not be parsed (R1): enough to name it and to protect the mailbox tied to it
//! (R7).

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use super::{Resource, Switch};
use crate::http::one_line;
use domain::{
    account::RejectedAccount,
    address::SmtpAddress,
    ids::{ObjectId, ScimId},
};

/// The longest text of a row that is shown, in characters.
const TEXT_CHARS_MAX: usize = 80;

/// Each member is parsed separately, so that an invalid one does not hide the others.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// `place` counts the rows of the answer from 1.
pub(super) fn rejected<R: Resource>(
    row: &RawValue,
    place: usize,
    error: &serde_json::Error,
) -> RejectedAccount {
    let members = object(row);
    let id = text(&members, "id");
    let address = ["userName", "externalId"]
        .into_iter()
        .find_map(|name| text(&members, name))
        .map(|text| SmtpAddress::verbatim(&text));
    let name = text(&members, "displayName")
        .or_else(|| text(&members, "name"))
        .or_else(|| text(&object(member(&members, "name")?), "formatted"));
    let extension = members
        .iter()
        .find(|(name, _)| is_extension(name))
        .map(|(_, value)| object(value))
        .unwrap_or_default();
    let aliases = member(&extension, "aliases").map_or_else(Vec::new, addresses);
    let delegates = member(&extension, "delegates").map_or_else(Vec::new, addresses);
    let label = match (&address, &id, &name) {
        (Some(address), _, _) => address.to_string(),
        (None, Some(text), _) | (None, None, Some(text)) => text.clone(),
        (None, None, None) => format!("row {place} of the {}", R::LIST),
    };
    RejectedAccount {
        kind: R::KIND,
        id: string(&members, "id").as_deref().map(ScimId::new),
        active: member(&members, "active")
            .and_then(|value| serde_json::from_str::<Switch>(value.get()).ok())
            .is_none_or(|Switch(active)| active),
        object_id: text(&extension, "ExternalAccountId").and_then(|text| ObjectId::parse(&text)),
        label: one_line(&label, TEXT_CHARS_MAX),
        reason: reason(error),
        address,
        name,
        aliases,
        delegates,
    }
}

fn is_extension(name: &str) -> bool {
    name.to_ascii_lowercase().contains(":zivver:")
}

/// The error without line and column, which do not help to find the row.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    one_line(text, TEXT_CHARS_MAX)
}

fn object(value: &RawValue) -> Members<'_> {
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// Attribute names are case-insensitive (RFC 7643 section 2.1).
fn member<'a>(members: &Members<'a>, name: &str) -> Option<&'a RawValue> {
    let mut found = members.iter();
    found
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value)
}

/// A text that is not blank. A number is not an id: members name the account by another one.
fn string(members: &Members<'_>, name: &str) -> Option<String> {
    let text: String = serde_json::from_str(member(members, name)?.get()).ok()?;
    (!text.trim().is_empty()).then_some(text)
}

/// For messages: a text that is not blank, or a number.
fn text(members: &Members<'_>, name: &str) -> Option<String> {
    let text = match serde_json::from_str(member(members, name)?.get()).ok()? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

fn addresses(value: &RawValue) -> Vec<SmtpAddress> {
    let values: Vec<Value> = match serde_json::from_str(value.get()) {
        Ok(Value::Array(values)) => values,
        Ok(value) => vec![value],
        Err(_) => Vec::new(),
    };
    let texts = values.iter().filter_map(Value::as_str);
    texts.map(SmtpAddress::verbatim).collect()
}
