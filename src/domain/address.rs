//! SMTP addresses: canonical from the wire on (R4).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// An address in canonical form: trimmed and lower-cased. Equality and order are those of the canonical text, so two
/// spellings of one address are one address (R4, R22). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SmtpAddress(Arc<str>);

/// Why a text is no address (R4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not local@domain with a dot in the domain")]
pub struct AddressError {
    pub text: String,
}

impl SmtpAddress {
    /// Trims, lower-cases and checks `local@domain` with a dot in the domain (R4). `+`, `'`, Unicode and long
    /// addresses pass unchanged.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let trimmed = text.trim();
        let usable = trimmed.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !local.contains('@')
                && domain.contains('.')
                && domain.split('.').all(|label| !label.is_empty())
                && !trimmed.chars().any(|c| c.is_whitespace() || c.is_control())
        });
        if usable {
            Ok(Self::verbatim(trimmed))
        } else {
            Err(AddressError {
                text: text.chars().take(200).collect(),
            })
        }
    }

    /// Takes whatever Zivver stores as an address, trimmed and lower-cased but unchecked. What is no address has no
    /// claimed domain and so is never touched (R13).
    pub fn verbatim(text: &str) -> Self {
        let trimmed = text.trim();
        if trimmed.is_ascii() && !trimmed.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Self(Arc::from(trimmed));
        }
        let lower = trimmed.to_lowercase();
        Self(if lower == trimmed {
            Arc::from(trimmed)
        } else {
            Arc::from(lower)
        })
    }

    /// The text itself, shared.
    pub(super) fn text(&self) -> &Arc<str> {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the last `@`, or the empty text where there is none.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for SmtpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SmtpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for SmtpAddress {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r4_addresses_are_trimmed_lower_cased_and_checked() {
        for (text, expected) in [
            (" Anna@Corp.Example ", Some("anna@corp.example")),
            ("o'brien+tag@corp.example", Some("o'brien+tag@corp.example")),
            ("JÖRG@corp.example", Some("jörg@corp.example")),
            ("anna@localhost", None),
            ("anna", None),
            ("@corp.example", None),
            ("anna@", None),
            ("anna@corp..example", None),
            ("anna@corp.example.", None),
            ("an na@corp.example", None),
            ("a@b@corp.example", None),
            ("", None),
        ] {
            assert_eq!(
                SmtpAddress::parse(text)
                    .ok()
                    .as_ref()
                    .map(SmtpAddress::as_str),
                expected,
                "{text:?}"
            );
        }
        let long = format!("{}@corp.example", "a".repeat(300));
        assert_eq!(SmtpAddress::parse(&long).unwrap().as_str(), long);
    }
}
