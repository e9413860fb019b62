//! One simulated organisation as plain data: what a test or a seed file writes down, and what the simulator serves.

mod builder;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::switches::Switches;

pub use builder::guid;

/// The state of the simulated Exchange Online organisation. By default that of `corp.example`, without objects.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tenant {
    pub tenant_id: String,
    /// Accepted domains; the first is the initial one, all are good in the path of a request.
    pub domains: Vec<String>,
    /// In the order in which the list shows them.
    pub mailboxes: Vec<Mailbox>,
    pub groups: Vec<Group>,
    pub contacts: Vec<Contact>,
    pub grants: Grants,
    pub switches: Switches,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mailbox {
    /// `ExternalDirectoryObjectId`, empty on a discovery mailbox.
    pub edoid: String,
    /// The Exchange object, not the Entra object.
    pub guid: String,
    pub exchange_object_id: String,
    pub user_principal_name: String,
    pub name: String,
    /// `Identity` and `Id`; normally the name.
    pub identity: String,
    pub alias: String,
    pub display_name: String,
    pub primary_smtp_address: String,
    /// With prefixes, in the order shown.
    pub email_addresses: Vec<String>,
    pub recipient_type_details: String,
    /// `None` leaves the member out of the row.
    pub account_disabled: Option<bool>,
    pub life: Life,
    pub self_entry: SelfEntry,
    pub permissions: Vec<Permission>,
    /// Members that replace or join those of the row, for malformed and future rows.
    pub overrides: Map<String, Value>,
    /// Members left out of the row.
    pub missing: Vec<String>,
}

/// Whether the list shows a mailbox without being asked for its kind of death.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Life {
    #[default]
    Active,
    Inactive,
    SoftDeleted,
}

/// How `NT AUTHORITY\SELF` stands on a mailbox.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum SelfEntry {
    /// One entry with `InheritanceType` All.
    Old,
    /// Two entries, None and Descendents.
    #[default]
    New,
    /// Never seen in a good answer.
    Missing,
}

/// One access control entry, SELF excepted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permission {
    /// The text shown: a UPN, a group's name, a SID, ….
    pub user: String,
    pub access_rights: Vec<String>,
    pub deny: bool,
    pub inherited: bool,
    pub inheritance_type: String,
    /// Shown by the cmdlet only; made up when `None`.
    pub user_sid: Option<String>,
}

impl Default for Permission {
    fn default() -> Self {
        Self {
            user: String::new(),
            access_rights: vec!["FullAccess".to_owned()],
            deny: false,
            inherited: false,
            inheritance_type: "All".to_owned(),
            user_sid: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum GroupKind {
    #[default]
    MailUniversalSecurityGroup,
    MailUniversalDistributionGroup,
    MailNonUniversalGroup,
    RoomList,
    /// A Microsoft 365 group.
    GroupMailbox,
    DynamicDistributionGroup,
    /// A security group without mail.
    UniversalSecurityGroup,
    RoleGroup,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    pub kind: GroupKind,
    /// Empty for a role group.
    pub edoid: String,
    pub guid: String,
    pub exchange_object_id: String,
    pub name: String,
    pub identity: String,
    pub alias: String,
    pub display_name: String,
    pub primary_smtp_address: String,
    pub email_addresses: Vec<String>,
    /// Keys of the direct members: any identity that finds one object. What finds none is left out.
    pub members: Vec<String>,
    pub overrides: Map<String, Value>,
}

/// A recipient that is neither mailbox nor group: `MailUser`, `MailContact`, `GuestMailUser`, ….
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contact {
    pub recipient_type_details: String,
    pub edoid: String,
    pub guid: String,
    pub exchange_object_id: String,
    /// Empty for a contact, which has no account.
    pub user_principal_name: String,
    pub name: String,
    pub identity: String,
    pub alias: String,
    pub display_name: String,
    pub primary_smtp_address: String,
    pub email_addresses: Vec<String>,
    pub overrides: Map<String, Value>,
}

/// What the caller's service principal was granted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// App roles that new tokens carry.
    pub app_roles: Vec<String>,
    pub exchange_role: ExchangeRole,
    /// Cmdlets that the role leaves out, whatever else it allows.
    pub denied_cmdlets: Vec<String>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            app_roles: vec!["Exchange.ManageAsApp".to_owned()],
            exchange_role: ExchangeRole::GlobalReader,
            denied_cmdlets: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum ExchangeRole {
    None,
    /// Reads no mailbox.
    SecurityReader,
    /// The custom role group: recipients, but no role groups.
    ViewOnlyRecipients,
    #[default]
    GlobalReader,
}

impl Default for Tenant {
    fn default() -> Self {
        Self::new("corp.example")
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self {
            edoid: String::new(),
            guid: String::new(),
            exchange_object_id: String::new(),
            user_principal_name: String::new(),
            name: String::new(),
            identity: String::new(),
            alias: String::new(),
            display_name: String::new(),
            primary_smtp_address: String::new(),
            email_addresses: Vec::new(),
            recipient_type_details: "UserMailbox".to_owned(),
            account_disabled: Some(false),
            life: Life::Active,
            self_entry: SelfEntry::New,
            permissions: Vec::new(),
            overrides: Map::new(),
            missing: Vec::new(),
        }
    }
}

impl GroupKind {
    pub fn recipient_type_details(self) -> &'static str {
        match self {
            Self::MailUniversalSecurityGroup => "MailUniversalSecurityGroup",
            Self::MailUniversalDistributionGroup => "MailUniversalDistributionGroup",
            Self::MailNonUniversalGroup => "MailNonUniversalGroup",
            Self::RoomList => "RoomList",
            Self::GroupMailbox => "GroupMailbox",
            Self::DynamicDistributionGroup => "DynamicDistributionGroup",
            Self::UniversalSecurityGroup => "UniversalSecurityGroup",
            Self::RoleGroup => "RoleGroup",
        }
    }

    /// What `Get-DistributionGroup` shows.
    pub fn is_distribution_group(self) -> bool {
        matches!(
            self,
            Self::MailUniversalSecurityGroup
                | Self::MailUniversalDistributionGroup
                | Self::MailNonUniversalGroup
                | Self::RoomList
        )
    }

    /// What `Get-Recipient` shows.
    pub fn has_mail(self) -> bool {
        !matches!(self, Self::UniversalSecurityGroup | Self::RoleGroup)
    }
}
