//! The accounts as Zivver lists them (`docs/specs/zivver-scim.md`, "3. User resource" and "4. Group resource
//! (functional account)").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    address::SmtpAddress,
    ids::{ObjectId, ScimId},
};

/// What an account is in Zivver.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    User,
    Functional,
}

/// Both lists, each complete (R1).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Actual {
    pub users: Vec<UserAccount>,
    pub groups: Vec<FunctionalAccount>,
    /// Rows of either list that cannot be understood.
    pub rejected: Vec<RejectedAccount>,
}

/// A row that is an account but cannot be understood. It stays untouched (R1), with everything tied to it (R7). A field
/// that could not be read is `None` or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedAccount {
    /// The list that it is in.
    pub kind: AccountKind,
    pub id: Option<ScimId>,
    /// The principal.
    pub address: Option<SmtpAddress>,
    pub name: Option<String>,
    pub active: bool,
    pub aliases: Vec<SmtpAddress>,
    /// Of a user, as far as they can be read.
    pub delegates: Vec<SmtpAddress>,
    /// `ExternalAccountId`, where it is a GUID.
    pub object_id: Option<ObjectId>,
    /// The name in reports: its address, id or name, otherwise its place in the list.
    pub label: String,
    pub reason: String,
}

impl RejectedAccount {
    pub fn addresses(&self) -> impl Iterator<Item = &SmtpAddress> {
        self.address.iter().chain(&self.aliases)
    }
}

/// A SCIM User.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserAccount {
    pub id: ScimId,
    /// `userName`.
    pub address: SmtpAddress,
    /// `name.formatted`, as read.
    pub name: String,
    pub active: bool,
    pub extension: Extension,
    /// `delegates` of the extension, in their canonical form.
    pub delegates: Vec<SmtpAddress>,
}

/// A SCIM Group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionalAccount {
    pub id: ScimId,
    /// `externalId`.
    pub address: SmtpAddress,
    /// `displayName`, as read.
    pub name: String,
    pub extension: Extension,
    /// `members[].value`.
    pub members: Vec<ScimId>,
}

/// The Zivver extension object of an account, beside `delegates`. A write replaces it whole (R23), so all that was
/// read is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    pub aliases: Vec<SmtpAddress>,
    /// `ExternalAccountId` (name matched without case), as read.
    pub external_account_id: Option<Box<str>>,
    /// All other members as read, among them `ExternalAccountId` under its own spelling. Without `aliases`, `delegates`
    /// and the key.
    pub rest: Vec<(Box<str>, Value)>,
    /// Addresses (aliases and delegates) whose stored spelling is not the canonical one. They are written back as read
    /// (R22).
    pub spelling: BTreeMap<SmtpAddress, Box<str>>,
}

impl Extension {
    /// The text to send for an address: the spelling that Zivver has, otherwise the canonical one.
    pub fn spell<'a>(&'a self, address: &'a SmtpAddress) -> &'a str {
        self.spelling
            .get(address)
            .map_or(address.as_str(), |text| text)
    }
}
