//! What Exchange Online returned, before any rule. The Exchange client makes these values; `normalise` and `derive`
//! read them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::ObjectId;

/// One row of the mailbox list. Every field is optional, since the service may leave out any of them. A field of the
/// wrong JSON type is named in `malformed` and is `None` (R5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxRecord {
    /// `ExternalDirectoryObjectId`, or `ObjectKey` if that is a GUID and the former is absent.
    pub object_id: Option<String>,
    pub user_principal_name: Option<String>,
    pub primary_smtp_address: Option<String>,
    pub display_name: Option<String>,
    /// `prefix:address`, as listed; `None` if the service did not return it.
    pub email_addresses: Option<Vec<String>>,
    pub recipient_type_details: Option<String>,
    pub account_disabled: Option<bool>,
    /// Exchange's own object GUID, not the Entra object id.
    pub guid: Option<String>,
    pub exchange_object_id: Option<String>,
    pub name: Option<String>,
    pub identity: Option<String>,
    pub alias: Option<String>,
    /// Names of properties whose JSON type was not the expected one.
    pub malformed: Vec<String>,
}

/// One access entry of a mailbox: one trustee and one list of rights (`docs/specs/exchange-online.md`, "1.5 Shapes").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionEntry {
    /// The trustee as Exchange writes it: a UPN, a name, a SID, `NT AUTHORITY\SELF`.
    pub user: String,
    /// As received: elements may themselves be comma-joined (R8).
    pub access_rights: Vec<String>,
    pub deny: bool,
    pub inherited: bool,
}

/// The answer to "who may open this mailbox?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PermissionAnswer {
    /// A complete answer; the domain checks that it holds a SELF entry (R8).
    Entries(Vec<PermissionEntry>),
    /// 404: the mailbox vanished between list and read (R11).
    Gone,
    /// Not read, with the reason in words (R11).
    Unread(String),
}

/// A group of the directory (`Get-DistributionGroup`), or any recipient that was found by name (`Get-Recipient`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientRecord {
    pub recipient_type_details: String,
    pub object_id: Option<String>,
    pub guid: Option<String>,
    pub name: Option<String>,
    pub identity: Option<String>,
    pub display_name: Option<String>,
    pub alias: Option<String>,
    pub primary_smtp_address: Option<String>,
    /// `prefix:address`. Only for a recipient that is not a mailbox of the list.
    #[serde(default)]
    pub email_addresses: Vec<String>,
}

/// The kind of a recipient as a trustee (R10, R12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    Group(GroupKind),
    Individual,
    /// Of an unknown kind, which may be a group.
    Unclear,
}

impl RecipientRecord {
    /// Its name in reports.
    pub fn label(&self) -> &str {
        [
            &self.display_name,
            &self.name,
            &self.primary_smtp_address,
            &self.identity,
            &self.object_id,
            &self.guid,
        ]
        .into_iter()
        .flatten()
        .map(|text| text.trim())
        .find(|text| !text.is_empty())
        .unwrap_or("(no name)")
    }

    pub fn nature(&self) -> Nature {
        let kind = self.recipient_type_details.trim();
        if let Some(kind) = GroupKind::from_recipient_type(kind) {
            return Nature::Group(kind);
        }
        let kind = kind.to_lowercase();
        let known = ["publicfolder", "computer", "microsoftexchange"];
        let is_individual = ["mailbox", "user", "contact"]
            .iter()
            .any(|end| kind.ends_with(end))
            && !kind.contains("group");
        if is_individual || known.contains(&&*kind) {
            Nature::Individual
        } else {
            Nature::Unclear
        }
    }

    /// Whether recipients of its kind have an address. Only an account without mail has none.
    pub fn should_have_mail(&self) -> bool {
        let kind = self.recipient_type_details.to_lowercase();
        kind.contains("mail") || kind.contains("contact")
    }

    /// Whether Exchange returned its kind. A missing kind is unknown, not empty.
    pub fn has_kind(&self) -> bool {
        !self.recipient_type_details.trim().is_empty()
    }

    /// Whether the mailbox list should have contained it as a user mailbox.
    pub fn is_user_mailbox(&self) -> bool {
        let kind = self.recipient_type_details.trim();
        kind.eq_ignore_ascii_case("UserMailbox")
    }

    /// R19: whether it has this object id, or Exchange did not return its object id.
    pub fn may_be(&self, id: &ObjectId) -> bool {
        let own = self.object_id.as_deref().and_then(ObjectId::parse);
        own.is_none_or(|own| own == *id)
    }

    /// R3: whether it is a mailbox of a synchronised kind, or Exchange did not return its kind.
    pub fn may_be_in_scope(&self) -> bool {
        let kind = self.recipient_type_details.trim();
        !self.has_kind() || self.is_user_mailbox() || kind.eq_ignore_ascii_case("SharedMailbox")
    }
}

/// The answer to a look-up of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientAnswer {
    Found(RecipientRecord),
    /// A clean "not found".
    NotFound,
    /// More than one object has this name.
    Ambiguous,
    /// No answer, with the reason in words.
    Failed(String),
}

/// The answer to "who is in this group?": direct members only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembersAnswer {
    Complete(Vec<RecipientRecord>),
    /// There is no such group.
    NotFound,
    /// Not read to the end, with the reason in words (R11, R14).
    Failed(String),
}

/// All groups of the directory. Asked for once, and only if a trustee matches no mailbox
/// (`docs/specs/exchange-online.md`, "6.4 Groups").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryAnswer {
    Complete(Vec<RecipientRecord>),
    Failed(String),
}

/// A question to Exchange that `derive` needs answered. The engine asks each question once in a run (R9) and keeps the
/// answer in [`Answers`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Question {
    /// `Get-DistributionGroup`, unlimited.
    GroupDirectory,
    /// `Get-Recipient -Identity <text>`; never empty.
    Recipient(String),
    /// Direct members of the group with this identity: an object id or a GUID, or its text if it has neither.
    Members { identity: String, kind: GroupKind },
}

/// The kind decides which cmdlet returns the members of a group (`docs/specs/exchange-online.md`, "6.4 Groups").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GroupKind {
    /// `MailUniversalSecurityGroup`: gives rights to its members (R10). `Get-DistributionGroupMember`.
    Security,
    /// `MailUniversalDistributionGroup`, `RoomList`. `Get-DistributionGroupMember`.
    Distribution,
    /// `MailNonUniversalGroup`: a security group or a list, which Exchange does not say. `Get-DistributionGroupMember`.
    NonUniversal,
    /// `GroupMailbox`. `Get-UnifiedGroupLinks -LinkType Members`.
    Microsoft365,
    /// `DynamicDistributionGroup`. `Get-DynamicDistributionGroupMember`.
    Dynamic,
    /// `RoleGroup`. `Get-RoleGroupMember`.
    Role,
    /// A security group without mail. `Get-Group`, property `Members`.
    PlainSecurity,
}

impl GroupKind {
    /// From `RecipientTypeDetails`; `None` for what is not a group.
    pub fn from_recipient_type(details: &str) -> Option<Self> {
        let known = [
            ("MailUniversalSecurityGroup", Self::Security),
            ("MailUniversalDistributionGroup", Self::Distribution),
            ("MailNonUniversalGroup", Self::NonUniversal),
            ("RoomList", Self::Distribution),
            ("GroupMailbox", Self::Microsoft365),
            ("DynamicDistributionGroup", Self::Dynamic),
            ("RoleGroup", Self::Role),
            ("Group", Self::PlainSecurity),
            ("SecurityGroup", Self::PlainSecurity),
            ("UniversalSecurityGroup", Self::PlainSecurity),
            ("NonUniversalGroup", Self::PlainSecurity),
        ];
        known
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(details.trim()))
            .map(|(_, kind)| kind)
    }
}

/// The answer to a [`Question`], of the kind that the question needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Directory(DirectoryAnswer),
    Recipient(RecipientAnswer),
    Members(MembersAnswer),
}

/// All answers of a run so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    pub directory: Option<DirectoryAnswer>,
    /// By the text that was asked for.
    pub recipients: BTreeMap<String, RecipientAnswer>,
    /// By the identity that was asked for.
    pub members: BTreeMap<String, MembersAnswer>,
}

impl Answers {
    pub fn insert(&mut self, question: Question, answer: Answer) {
        match (question, answer) {
            (Question::GroupDirectory, Answer::Directory(answer)) => self.directory = Some(answer),
            (Question::Recipient(text), Answer::Recipient(answer)) => {
                self.recipients.insert(text, answer);
            }
            (Question::Members { identity, .. }, Answer::Members(answer)) => {
                self.members.insert(identity, answer);
            }
            (question, answer) => unreachable!("{question:?} was answered with {answer:?}"),
        }
    }
}
