//! SCIM resources of Zivver, parsed directly into accounts (`docs/specs/zivver-scim.md`, "2. Endpoints", "3. User
//! resource" and "4. Group resource (functional account)").
//!
//! Tolerant where Zivver or its clients are known to differ; strict where a guess could make an account look absent or
//! empty.

mod extension;
mod rejected;
#[cfg(test)]
mod tests;

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Listed;
use domain::{
    account::{FunctionalAccount, UserAccount},
    accounts::AccountKind,
    address::SmtpAddress,
    ids::ScimId,
};
use extension::ExtensionRow;
use rejected::rejected;

pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(super) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub(super) const ENTERPRISE_USER: &str =
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub(super) const ZIVVER_USER: &str = "urn:ietf:params:scim:schemas:zivver:0.1:User";
pub(super) const ZIVVER_GROUP: &str = "urn:ietf:params:scim:schemas:zivver:0.1:Group";

/// A SCIM resource type and the account that it becomes.
pub(super) trait Resource: Sized {
    type Row: for<'de> Deserialize<'de> + Into<Self>;
    /// The last segment of the collection's path.
    const COLLECTION: &'static str;
    /// Names one resource in messages.
    const ONE: &'static str;
    const LIST: &'static str;
    /// The attribute of the address, used in filters.
    const ADDRESS: &'static str;
    const KIND: AccountKind;
    const KINDS: Kinds;

    fn id(&self) -> &ScimId;
    fn address(&self) -> &SmtpAddress;

    fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self::Row>(body)
            .ok()
            .map(Into::into)
    }
}

/// Names of the requests, as counted in reports.
pub(super) struct Kinds {
    pub(super) list: &'static str,
    pub(super) find: &'static str,
    pub(super) create: &'static str,
    pub(super) update: &'static str,
}

impl Resource for UserAccount {
    type Row = UserRow;
    const COLLECTION: &'static str = "Users";
    const ONE: &'static str = "user account";
    const LIST: &'static str = "user accounts";
    const ADDRESS: &'static str = "userName";
    const KIND: AccountKind = AccountKind::User;
    const KINDS: Kinds = Kinds {
        list: "zivver list users",
        find: "zivver find user",
        create: "zivver create user",
        update: "zivver update user",
    };

    fn id(&self) -> &ScimId {
        &self.id
    }

    fn address(&self) -> &SmtpAddress {
        &self.address
    }
}

impl Resource for FunctionalAccount {
    type Row = GroupRow;
    const COLLECTION: &'static str = "Groups";
    const ONE: &'static str = "functional account";
    const LIST: &'static str = "functional accounts";
    const ADDRESS: &'static str = "externalId";
    const KIND: AccountKind = AccountKind::Functional;
    const KINDS: Kinds = Kinds {
        list: "zivver list groups",
        find: "zivver find group",
        create: "zivver create group",
        update: "zivver update group",
    };

    fn id(&self) -> &ScimId {
        &self.id
    }

    fn address(&self) -> &SmtpAddress {
        &self.address
    }
}

/// The body of a list (RFC 7644 section 3.4.2). `Resources` may be absent if the list is empty.
#[derive(Deserialize)]
#[serde(bound = "R: Resource")]
pub(super) struct ListBody<R> {
    #[serde(rename = "Resources", default = "Option::default")]
    pub(super) resources: Option<Resources<R>>,
    #[serde(rename = "totalResults")]
    pub(super) total: Option<u64>,
}

/// Each row becomes an account as soon as it is parsed, since a list may hold all accounts. A row that cannot be parsed
/// is rejected alone (R1).
pub(super) struct Resources<R>(pub(super) Listed<R>);

impl<R> Default for Resources<R> {
    fn default() -> Self {
        Self(Listed::default())
    }
}

impl<'de, R: Resource> Deserialize<'de> for Resources<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Rows(PhantomData))
    }
}

struct Rows<R>(PhantomData<R>);

impl<'de, R: Resource> Visitor<'de> for Rows<R> {
    type Value = Resources<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of resources")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Resources<R>, A::Error> {
        let mut listed = Listed::default();
        while let Some(row) = rows.next_element::<&RawValue>()? {
            match serde_json::from_str::<R::Row>(row.get()) {
                Ok(row) => listed.accounts.push(row.into()),
                Err(error) => {
                    let place = listed.accounts.len() + listed.rejected.len() + 1;
                    listed.rejected.push(rejected::<R>(row, place, &error));
                }
            }
        }
        Ok(Resources(listed))
    }
}

#[derive(Deserialize)]
pub(super) struct UserRow {
    #[serde(deserialize_with = "identity")]
    id: String,
    #[serde(rename = "userName", deserialize_with = "filled")]
    user_name: String,
    name: Option<Name>,
    active: Option<Switch>,
    #[serde(
        rename = "urn:ietf:params:scim:schemas:zivver:0.1:User",
        deserialize_with = "extension::complete"
    )]
    extension: ExtensionRow,
}

#[derive(Deserialize)]
struct Name {
    formatted: Option<String>,
}

/// Some clients send booleans as text (`docs/specs/zivver-scim.md`, "3. User resource"), so Zivver may do so too.
struct Switch(bool);

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Boolean(bool),
            Text(String),
        }
        match Spelling::deserialize(deserializer)? {
            Spelling::Boolean(value) => Ok(Self(value)),
            Spelling::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Self(true)),
            Spelling::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Self(false)),
            Spelling::Text(_) => Err(de::Error::custom("`active` is neither true nor false")),
        }
    }
}

impl From<UserRow> for UserAccount {
    fn from(row: UserRow) -> Self {
        let ExtensionRow {
            extension,
            delegates,
            has_all: _,
        } = row.extension;
        Self {
            id: ScimId::new(&row.id),
            address: SmtpAddress::verbatim(&row.user_name),
            name: row.name.and_then(|name| name.formatted).unwrap_or_default(),
            // An account without the attribute counts as active.
            active: row.active.is_none_or(|Switch(active)| active),
            extension,
            delegates,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct GroupRow {
    #[serde(deserialize_with = "identity")]
    id: String,
    #[serde(rename = "externalId", deserialize_with = "filled")]
    external_id: String,
    #[serde(rename = "displayName")]
    display_name: Option<String>,
    #[serde(default)]
    members: Vec<Member>,
    #[serde(rename = "urn:ietf:params:scim:schemas:zivver:0.1:Group", default)]
    extension: ExtensionRow,
}

#[derive(Deserialize)]
struct Member {
    #[serde(deserialize_with = "filled")]
    value: String,
}

impl From<GroupRow> for FunctionalAccount {
    fn from(row: GroupRow) -> Self {
        Self {
            id: ScimId::new(&row.id),
            address: SmtpAddress::verbatim(&row.external_id),
            name: row.display_name.unwrap_or_default(),
            extension: row.extension.extension,
            members: row
                .members
                .iter()
                .map(|member| ScimId::new(&member.value))
                .collect(),
        }
    }
}

/// An id that names one resource in a path. An id of dots only would name the collection or its parent, and a URL drops
/// line breaks and tabs (RFC 3986 section 5.2.4, WHATWG URL section 4.4).
fn identity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = filled(deserializer)?;
    if text.bytes().all(|byte| byte == b'.') || text.contains(char::is_control) {
        return Err(de::Error::custom("an id cannot stand in an address"));
    }
    Ok(text)
}

/// A text that is not blank. A row without identity can neither become an account nor be left out of the list.
fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(de::Error::custom("an identifying attribute is empty"));
    }
    Ok(text)
}
