//! Identifiers: Exchange's object id and Zivver's SCIM id.

use std::{fmt, num::NonZeroU128, sync::Arc};

use serde::{Deserialize, Serialize};

/// `ExternalDirectoryObjectId`: the Entra object id of a mailbox, a GUID, shown in lower case with dashes. Never empty
/// and never all zeros, since an empty identity means "all objects" to Exchange (`docs/specs/exchange-online.md`, "1.3
/// `InvokeCommand`" and "1.5 Shapes").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ObjectId(NonZeroU128);

/// A stored object id cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an object id (a GUID that is not all zeros)")]
pub struct NoObjectId(String);

impl ObjectId {
    /// The GUID in `text`, or `None` if it is not a GUID or the null GUID.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}');
        NonZeroU128::new(number(text)?).map(Self)
    }
}

impl TryFrom<String> for ObjectId {
    type Error = NoObjectId;

    fn try_from(text: String) -> Result<Self, NoObjectId> {
        Self::parse(&text).ok_or(NoObjectId(text))
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.to_string()
    }
}

/// R23: the value that is written as `SsoAccountKey`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInKey {
    ObjectId(ObjectId),
    /// A user principal name or an address.
    Name(Arc<str>),
}

impl fmt::Display for SignInKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ObjectId(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Any GUID. As bytes it needs no padding beside a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

impl Guid {
    /// `text` with dashes and without braces.
    pub(super) fn parse(text: &str) -> Option<Self> {
        number(text).map(|number| Self(number.to_be_bytes()))
    }
}

fn number(text: &str) -> Option<u128> {
    (text.len() == 36).then_some(())?;
    let mut bytes = text.bytes().enumerate();
    bytes.try_fold(0, |number: u128, (at, byte)| match (at, byte) {
        (8 | 13 | 18 | 23, b'-') => Some(number),
        (8 | 13 | 18 | 23, _) => None,
        (_, b'0'..=b'9') => Some(number << 4 | u128::from(byte - b'0')),
        (_, b'a'..=b'f') => Some(number << 4 | u128::from(byte - b'a' + 10)),
        (_, b'A'..=b'F') => Some(number << 4 | u128::from(byte - b'A' + 10)),
        _ => None,
    })
}

impl From<&ObjectId> for Guid {
    fn from(id: &ObjectId) -> Self {
        Self(id.0.get().to_be_bytes())
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.get();
        let part = |shift: u32, digits: u32| (number >> shift) & ((1 << (digits * 4)) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 8),
            part(80, 4),
            part(64, 4),
            part(48, 4),
            part(0, 12)
        )
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The `id` of a SCIM resource (RFC 7643 section 3.1), as Zivver gave it. Opaque.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScimId(Arc<str>);

impl ScimId {
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ScimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// R23: what is written as `SsoAccountKey`, at creation and with each extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SsoAccountKey {
    ObjectId,
    UserPrincipalName,
    PrimaryAddress,
    /// Never sent.
    Omit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_id_is_a_guid_and_never_null() {
        let id = ObjectId::parse("22222222-0000-4000-8000-00000000000A").unwrap();
        assert_eq!(id.to_string(), "22222222-0000-4000-8000-00000000000a");
        for text in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "user01",
            "22222222000040008000000000000001",
        ] {
            assert_eq!(ObjectId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_guid_is_a_number_with_dashes_and_without_braces() {
        let guid = |text| Guid::parse(text).map(|Guid(bytes)| u128::from_be_bytes(bytes));
        assert_eq!(
            guid("22222222-0000-4000-8000-00000000000a"),
            Some(0x2222_2222_0000_4000_8000_0000_0000_000a)
        );
        for text in [
            "{22222222-0000-4000-8000-0000000000a}",
            "22222222-0000-4000-8000+00000000000a",
            "22222222-0000-4000-8000-0000000000g0",
            "22222222-0000-4000-8000-00000000000",
            "222222220000004000008000000000000000",
        ] {
            assert_eq!(guid(text), None, "{text:?}");
        }
    }
}
