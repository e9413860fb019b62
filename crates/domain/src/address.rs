//! SMTP addresses, canonical from the moment they are read (R4).

use std::{borrow::Cow, cmp::Ordering, fmt, hash, sync::Arc};

use serde::{Deserialize, Serialize};

/// An address, trimmed and lower-cased. Equality, order and hash use the text with its domain in ASCII form, so all
/// spellings of one address are equal (R4, R22), and each is written back as it was read. Cheap to clone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SmtpAddress(Arc<str>);

/// Why a text is not an address (R4).
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
            let domain = ascii_domain(domain);
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

    /// Takes any text that Zivver stores as an address, trimmed and lower-cased but unchecked. A text that is not an
    /// address has no claimed domain and is therefore never changed (R13).
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

    /// The shared text.
    pub(super) fn text(&self) -> &Arc<str> {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the last `@`, empty if there is none.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The text as it is. If its domain is international, also with the domain in ASCII and in Unicode.
    pub fn spellings(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let international = !self.domain().is_ascii() || self.domain().contains("xn--");
        let others = international.then(|| {
            let ascii = ascii_form(&self.0);
            let local = self.0.len() - self.domain().len();
            let (unicode, _) = idna::domain_to_unicode(self.domain());
            [ascii, Cow::Owned(format!("{}{unicode}", &self.0[..local]))]
        });
        std::iter::once(Cow::Borrowed(self.as_str())).chain(others.into_iter().flatten())
    }
}

impl PartialEq for SmtpAddress {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.cmp(other) == Ordering::Equal
    }
}

impl Eq for SmtpAddress {}

impl PartialOrd for SmtpAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SmtpAddress {
    fn cmp(&self, other: &Self) -> Ordering {
        ascii_form(&self.0).cmp(&ascii_form(&other.0))
    }
}

impl hash::Hash for SmtpAddress {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        ascii_form(&self.0).hash(state);
    }
}

/// The domain of an address in ASCII (punycode). Any other text is returned as it is.
pub(super) fn ascii_form(text: &str) -> Cow<'_, str> {
    // The usual case needs no allocation.
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    match text.rsplit_once('@') {
        Some((local, domain)) => Cow::Owned(format!("{local}@{}", ascii_domain(domain))),
        None => Cow::Borrowed(text),
    }
}

/// The ASCII form of a domain in lower case, or the domain itself if it has no ASCII form.
pub fn ascii_domain(domain: &str) -> Cow<'_, str> {
    if domain.is_ascii() {
        return Cow::Borrowed(domain);
    }
    idna::domain_to_ascii(domain).map_or(Cow::Borrowed(domain), Cow::Owned)
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

    #[test]
    fn r4_both_forms_of_an_international_domain_are_one_domain() {
        let unicode = SmtpAddress::parse("Jörg@BÜCHER.example").unwrap();
        let ascii = SmtpAddress::parse("jörg@xn--bcher-kva.example").unwrap();
        assert_eq!(unicode, ascii);
        assert_eq!(unicode.cmp(&ascii), Ordering::Equal);
        let both = std::collections::HashSet::from([unicode.clone(), ascii.clone()]);
        assert_eq!(both.len(), 1);
        // Each survives unchanged.
        assert_eq!(unicode.as_str(), "jörg@bücher.example");
        assert_eq!(ascii.as_str(), "jörg@xn--bcher-kva.example");
        let spellings: Vec<_> = ascii.spellings().skip(1).collect();
        assert_eq!(
            spellings,
            ["jörg@xn--bcher-kva.example", "jörg@bücher.example"]
        );
        for (one, other) in [
            ("jörg@corp.example", "jorg@corp.example"),
            ("jörg@bücher.example", "jorg@bücher.example"),
            ("jörg@bücher.example", "jörg@bucher.example"),
        ] {
            assert_ne!(SmtpAddress::verbatim(one), SmtpAddress::verbatim(other));
        }
        assert_eq!(
            SmtpAddress::parse("info@例え。テスト").unwrap(),
            SmtpAddress::verbatim("info@xn--r8jz45g.xn--zckzah")
        );
    }
}
