//! A simulated organisation as plain data: the content of a seed file, and the state of the simulator.

mod builder;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::switches::Switches;

pub use builder::guid;

/// The state of the simulated organisation. The default is `corp.example` without objects.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tenant {
    pub tenant_id: String,
    /// Accepted domains, the initial domain first. Each is valid in the path of a request.
    pub domains: Vec<String>,
    /// In the order of the list.
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
    /// The GUID of the Exchange object, not of the Entra object.
    pub guid: String,
    pub exchange_object_id: String,
    pub user_principal_name: String,
    pub name: String,
    /// `Identity` and `Id`; usually the name.
    pub identity: String,
    pub alias: String,
    pub display_name: String,
    pub primary_smtp_address: String,
    /// With prefixes, in the order of the property.
    pub email_addresses: Vec<String>,
    pub recipient_type_details: String,
    /// `None` leaves the property out of the row.
    pub account_disabled: Option<bool>,
    pub life: Life,
    pub self_entry: SelfEntry,
    pub permissions: Vec<Permission>,
    /// Members that replace or extend those of the row, for malformed and future rows.
    pub overrides: Map<String, Value>,
    /// Members that are left out of the row.
    pub missing: Vec<String>,
}

/// Whether the mailbox is active or deleted, and in which way.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Life {
    #[default]
    Active,
    Inactive,
    SoftDeleted,
}

/// The form of the entry `NT AUTHORITY\SELF` of a mailbox.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum SelfEntry {
    /// One entry with `InheritanceType` All.
    Old,
    /// Two entries, None and Descendents.
    #[default]
    New,
    /// Missing; never observed in a valid answer.
    Missing,
}

/// One permission entry, except that of SELF.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permission {
    /// The text of the entry: a UPN, the name of a group, a SID, ….
    pub user: String,
    pub access_rights: Vec<String>,
    pub deny: bool,
    pub inherited: bool,
    pub inheritance_type: String,
    /// Shown by the cmdlet only; generated if `None`.
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
    /// The direct members, by any identity that is unique. An identity without an object is left out.
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

/// The roles and permissions of the caller's service principal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// App roles in new tokens.
    pub app_roles: Vec<String>,
    pub exchange_role: ExchangeRole,
    /// Cmdlets that the role does not allow, in addition to its own limits.
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
    /// May not read mailboxes.
    SecurityReader,
    /// The custom role group: may read recipients, except role groups.
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

    /// Whether `Get-DistributionGroup` shows it.
    pub fn is_distribution_group(self) -> bool {
        matches!(
            self,
            Self::MailUniversalSecurityGroup
                | Self::MailUniversalDistributionGroup
                | Self::MailNonUniversalGroup
                | Self::RoomList
        )
    }

    /// Whether `Get-Recipient` shows it.
    pub fn has_mail(self) -> bool {
        !matches!(self, Self::UniversalSecurityGroup | Self::RoleGroup)
    }
}
