//! The Zivver extension of users and functional accounts. All of it must be kept, because a write replaces it as a
//! whole (R23).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use domain::{account::Extension, address::SmtpAddress};

#[derive(Default)]
pub(super) struct ExtensionRow {
    pub(super) extension: Extension,
    pub(super) delegates: Vec<SmtpAddress>,
    /// Whether both lists of a user were there.
    pub(super) has_all: bool,
}

impl<'de> Deserialize<'de> for ExtensionRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// R1: the extension of a user always has both lists (`docs/specs/zivver-scim.md`, "3. User resource"). If one is missing,
/// what is stored is not known, and a write would erase it.
pub(super) fn complete<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ExtensionRow, D::Error> {
    let row = ExtensionRow::deserialize(deserializer)?;
    if row.has_all {
        Ok(row)
    } else {
        Err(de::Error::custom(
            "its Zivver extension lacks `aliases` or `delegates`",
        ))
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = ExtensionRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Zivver extension object")
    }

    /// Attribute names are case-insensitive (RFC 7643 section 2.1).
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ExtensionRow, A::Error> {
        let mut row = ExtensionRow::default();
        let (mut has_aliases, mut has_delegates) = (false, false);
        while let Some(name) = map.next_key::<Box<str>>()? {
            if name.eq_ignore_ascii_case("aliases") {
                let texts = map.next_value()?;
                row.extension.aliases = row.addresses(texts);
                has_aliases = true;
            } else if name.eq_ignore_ascii_case("delegates") {
                let texts = map.next_value()?;
                row.delegates = row.addresses(texts);
                has_delegates = true;
            } else if name.eq_ignore_ascii_case("SsoAccountKey") {
                map.next_value::<IgnoredAny>()?;
            } else {
                let value: Value = map.next_value()?;
                if name.eq_ignore_ascii_case("ExternalAccountId") {
                    row.extension.external_account_id = value.as_str().map(Box::from);
                }
                row.extension.rest.push((name, value));
            }
        }
        row.extension.rest.shrink_to_fit();
        row.has_all = has_aliases && has_delegates;
        Ok(row)
    }
}

impl ExtensionRow {
    /// Each address once, in its canonical form; other spellings are kept in the extension.
    fn addresses(&mut self, texts: Vec<String>) -> Vec<SmtpAddress> {
        let mut addresses: Vec<SmtpAddress> = Vec::new();
        for text in texts {
            let address = SmtpAddress::verbatim(&text);
            if address.as_str() != text {
                self.extension
                    .spelling
                    .entry(address.clone())
                    .or_insert_with(|| text.into_boxed_str());
            }
            addresses.push(address);
        }
        if addresses.len() > 1 {
            let mut seen = std::collections::HashSet::new();
            addresses.retain(|address| seen.insert(address.clone()));
        }
        addresses.shrink_to_fit();
        addresses
    }
}
