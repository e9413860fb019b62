//! The Zivver extension of users and functional accounts. All of it must be kept, because a write replaces it as a
//! whole (R23).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use domain::{account::Extension, address::SmtpAddress};

#[derive(Default)]
pub(super) struct ExtensionRow {
    pub(super) extension: Extension,
    pub(super) delegates: Vec<SmtpAddress>,
}

impl<'de> Deserialize<'de> for ExtensionRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
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
        while let Some(name) = map.next_key::<Box<str>>()? {
            if name.eq_ignore_ascii_case("aliases") {
                let texts = map.next_value()?;
                row.extension.aliases = row.addresses(texts);
            } else if name.eq_ignore_ascii_case("delegates") {
                let texts = map.next_value()?;
                row.delegates = row.addresses(texts);
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
        Ok(row)
    }
}

impl ExtensionRow {
    /// Each address once, in its canonical form; other spellings are kept in the extension.
    fn addresses(&mut self, texts: Option<Vec<String>>) -> Vec<SmtpAddress> {
        let mut addresses: Vec<SmtpAddress> = Vec::new();
        for text in texts.unwrap_or_default() {
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
