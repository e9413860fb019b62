//! The form of objects in answers.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::index::Object;
use super::reply::Reply;
use super::switches::Switches;
use super::tenant::{Life, Mailbox, Permission, SelfEntry};

/// Leaves the unreserved characters of RFC 3986.
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const NULL_GUID: &str = "00000000-0000-0000-0000-000000000000";
const SELF: &str = "NT AUTHORITY\\SELF";

/// The property set `Minimum`, which a list has by default.
pub(super) const MAILBOX_MINIMUM: [&str; 15] = [
    "ExternalDirectoryObjectId",
    "UserPrincipalName",
    "Alias",
    "DisplayName",
    "EmailAddresses",
    "PrimarySmtpAddress",
    "RecipientType",
    "RecipientTypeDetails",
    "Identity",
    "Id",
    "ExchangeVersion",
    "Name",
    "DistinguishedName",
    "OrganizationId",
    "Guid",
];

/// Further properties that can be selected.
const MAILBOX_MORE: [&str; 8] = [
    "ObjectKey",
    "AccountDisabled",
    "SKUAssigned",
    "IsInactiveMailbox",
    "WhenChangedUTC",
    "ExchangeObjectId",
    "IsDirSynced",
    "HiddenFromAddressListsEnabled",
];

pub(super) const RECIPIENT_PROPERTIES: [&str; 16] = [
    "Identity",
    "Id",
    "Name",
    "DisplayName",
    "Alias",
    "PrimarySmtpAddress",
    "EmailAddresses",
    "RecipientType",
    "RecipientTypeDetails",
    "ExternalDirectoryObjectId",
    "Guid",
    "ExchangeObjectId",
    "DistinguishedName",
    "OrganizationId",
    "WindowsLiveID",
    "HiddenFromAddressListsEnabled",
];

pub(super) const PERMISSION_PROPERTIES: [&str; 8] = [
    "Identity",
    "User",
    "AccessRights",
    "Deny",
    "IsInherited",
    "InheritanceType",
    "UserSid",
    "PrimarySmtpAddress",
];

pub(super) const DOMAIN_PROPERTIES: [&str; 6] = [
    "Identity",
    "Name",
    "DomainName",
    "DomainType",
    "Default",
    "InitialDomain",
];

pub(super) fn mailbox_properties() -> impl Iterator<Item = &'static str> {
    MAILBOX_MINIMUM.into_iter().chain(MAILBOX_MORE)
}

/// The properties that a request selects.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Selection {
    pub(super) properties: Vec<&'static str>,
    /// As received, for `@odata.context`.
    pub(super) text: Option<String>,
}

impl Selection {
    pub(super) fn all(properties: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            properties: properties.into_iter().collect(),
            text: None,
        }
    }

    /// Parses `$select`; unknown properties are refused.
    pub(super) fn parse(text: &str, known: &[&'static str]) -> Result<Self, Reply> {
        let properties: Result<Vec<_>, _> = text
            .split(',')
            .map(|wanted| {
                let wanted = wanted.trim();
                known
                    .iter()
                    .copied()
                    .find(|it| *it == wanted)
                    .ok_or_else(|| {
                        Reply::bad_request(&format!(
                            "Could not find a property named '{wanted}' on the selected type."
                        ))
                    })
            })
            .collect();
        Ok(Self {
            properties: properties?,
            text: Some(text.to_owned()),
        })
    }
}

/// A row of `GET Mailbox`. `base` is the service root with tenant.
pub(super) fn odata_row(
    mailbox: &Mailbox,
    selection: &Selection,
    base: &str,
    switches: &Switches,
) -> Map<String, Value> {
    let mut row = mailbox_row(mailbox, selection);
    let key = object_key(mailbox).replace('\'', "''");
    let link = format!("{base}/Mailbox('{}')", utf8_percent_encode(&key, KEY));
    row.insert("@odata.id".to_owned(), json!(link));
    row.insert("@odata.editLink".to_owned(), json!(link));
    if selection.text.is_none() || switches.projection_keeps_object_key {
        row.insert("ObjectKey".to_owned(), json!(object_key(mailbox)));
    }
    if switches.unknown_members {
        row.insert("FutureMember".to_owned(), json!({"Depth": [1, null]}));
    }
    row
}

pub(super) fn mailbox_row(mailbox: &Mailbox, selection: &Selection) -> Map<String, Value> {
    let mut row = Map::new();
    for &property in &selection.properties {
        if let Some(value) = mailbox_property(mailbox, property) {
            row.insert(property.to_owned(), value);
        }
    }
    apply_overrides(&mut row, &mailbox.overrides, &selection.properties);
    for member in &mailbox.missing {
        row.remove(member);
    }
    row
}

/// Applies overrides of selected properties, and of members that are not properties.
fn apply_overrides(
    row: &mut Map<String, Value>,
    overrides: &Map<String, Value>,
    selected: &[&str],
) {
    for (member, value) in overrides {
        let known = mailbox_properties()
            .chain(RECIPIENT_PROPERTIES)
            .any(|property| property == member);
        if !known || selected.contains(&member.as_str()) {
            row.insert(member.clone(), value.clone());
        }
    }
}

pub(super) fn object_key(mailbox: &Mailbox) -> &str {
    if mailbox.edoid.is_empty() {
        &mailbox.user_principal_name
    } else {
        &mailbox.edoid
    }
}

fn mailbox_property(mailbox: &Mailbox, property: &str) -> Option<Value> {
    Some(match property {
        "UserPrincipalName" => json!(mailbox.user_principal_name),
        "AccountDisabled" => json!(mailbox.account_disabled?),
        "ObjectKey" => json!(object_key(mailbox)),
        "RecipientType" => json!("UserMailbox"),
        "ExchangeVersion" => json!("0.20 (15.0.0.0)"),
        "SKUAssigned" => json!(mailbox.recipient_type_details == "UserMailbox"),
        "IsInactiveMailbox" => json!(mailbox.life == Life::Inactive),
        "WhenChangedUTC" => json!("2026-01-31T08:00:00.0000000+00:00"),
        "IsDirSynced" => json!(false),
        other => object_property(Object::Mailbox(mailbox), other)?,
    })
}

fn object_property(object: Object<'_>, property: &str) -> Option<Value> {
    let common = object.common();
    Some(match property {
        "ExternalDirectoryObjectId" => json!(common.edoid),
        "Alias" => json!(common.alias),
        "DisplayName" => json!(common.display_name),
        "EmailAddresses" => json!(common.email_addresses),
        "PrimarySmtpAddress" => json!(common.primary_smtp_address),
        "RecipientTypeDetails" => json!(object.recipient_type_details()),
        "RecipientType" => json!(recipient_type(object)),
        "Identity" | "Id" => json!(common.identity),
        "Name" => json!(common.name),
        "Guid" => json!(or_null_guid(common.guid)),
        "ExchangeObjectId" => json!(or_null_guid(common.exchange_object_id)),
        "WindowsLiveID" => json!(common.user_principal_name),
        "HiddenFromAddressListsEnabled" => json!(false),
        "OrganizationId" => json!(
            "example.invalid/Microsoft Exchange Hosted Organizations/corp - example.invalid/Configuration"
        ),
        "DistinguishedName" => json!(format!(
            "CN={},OU=corp,OU=Microsoft Exchange Hosted Organizations,DC=example,DC=invalid",
            common.name
        )),
        _ => return None,
    })
}

fn or_null_guid(guid: &str) -> &str {
    if guid.is_empty() { NULL_GUID } else { guid }
}

fn recipient_type(object: Object<'_>) -> &str {
    match object {
        Object::Mailbox(_) => "UserMailbox",
        Object::Group(_) => match object.recipient_type_details() {
            "RoomList" | "GroupMailbox" => "MailUniversalDistributionGroup",
            other => other,
        },
        Object::Contact(contact) => match contact.recipient_type_details.as_str() {
            "GuestMailUser" => "MailUser",
            other => other,
        },
    }
}

fn own(rights: &[&str], inheritance_type: &str) -> Permission {
    Permission {
        user: SELF.to_owned(),
        access_rights: rights.iter().map(|&right| right.to_owned()).collect(),
        inheritance_type: inheritance_type.to_owned(),
        user_sid: Some("S-1-5-10".to_owned()),
        ..Permission::default()
    }
}

static OLD_SELF: LazyLock<[Permission; 1]> =
    LazyLock::new(|| [own(&["FullAccess", "ReadPermission"], "All")]);

static NEW_SELF: LazyLock<[Permission; 2]> = LazyLock::new(|| {
    [
        own(&["FullAccess", "ReadPermission"], "None"),
        own(
            &["FullAccess", "ExternalAccount", "ReadPermission"],
            "Descendents",
        ),
    ]
});

/// The permission entries of a mailbox, SELF first. Entries of deleted principals are hidden unless `orphans`.
pub(super) fn entries(mailbox: &Mailbox, orphans: bool) -> Vec<&Permission> {
    let own: &[Permission] = match mailbox.self_entry {
        SelfEntry::Old => OLD_SELF.as_slice(),
        SelfEntry::New => NEW_SELF.as_slice(),
        SelfEntry::Missing => &[],
    };
    let shown = mailbox
        .permissions
        .iter()
        .filter(|entry| orphans || !entry.user.starts_with("S-1-5-21-"));
    own.iter().chain(shown).collect()
}

/// One element of `MailboxPermission`: a trustee with all its entries.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Trustee<'a> {
    permission_id: String,
    mailbox_identity: &'a str,
    user: &'a str,
    is_owner: bool,
    permission_list: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    changed_properties: [(); 0],
    access_rights: &'a [String],
    is_inherited: bool,
    deny: bool,
    inheritance_type: &'a str,
}

/// The value of `GET Mailbox('…')/MailboxPermission`: one element for each trustee.
pub(super) fn odata_permissions<'a>(
    mailbox: &'a Mailbox,
    entries: &[&'a Permission],
) -> Vec<Trustee<'a>> {
    let mut trustees: Vec<Trustee<'_>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let one = Entry {
            changed_properties: [],
            access_rights: &entry.access_rights,
            is_inherited: entry.inherited,
            deny: entry.deny,
            inheritance_type: &entry.inheritance_type,
        };
        match trustees.iter_mut().find(|it| it.user == entry.user) {
            Some(trustee) => trustee.permission_list.push(one),
            None => trustees.push(Trustee {
                permission_id: STANDARD.encode(&entry.user),
                mailbox_identity: &mailbox.identity,
                user: &entry.user,
                is_owner: false,
                permission_list: vec![one],
            }),
        }
    }
    trustees
}

/// A row of `Get-MailboxPermission`: the rights are joined by commas in one element.
pub(super) fn permission_row(
    mailbox: &Mailbox,
    entry: &Permission,
    selection: &Selection,
) -> Map<String, Value> {
    let mut row = Map::new();
    for &property in &selection.properties {
        let value = match property {
            "Identity" => json!(mailbox.identity),
            "User" => json!(entry.user),
            "AccessRights" => json!([entry.access_rights.join(", ")]),
            "Deny" => json!(entry.deny),
            "IsInherited" => json!(entry.inherited),
            "InheritanceType" => json!(entry.inheritance_type),
            "UserSid" => json!(sid(entry)),
            _ => json!(""),
        };
        insert_with_sidecar(&mut row, property, value);
    }
    row
}

fn sid(entry: &Permission) -> String {
    if let Some(sid) = &entry.user_sid {
        return sid.clone();
    }
    if entry.user.starts_with("S-1-") {
        return entry.user.clone();
    }
    let digest = Sha256::digest(entry.user.to_lowercase().as_bytes());
    let rid = u32::from_be_bytes([0, digest[0], digest[1], digest[2]]) + 1000;
    format!("S-1-5-21-1000000001-1000000002-1000000003-{rid}")
}

/// A row of `Get-Recipient`, of group cmdlets and of members. It has no `UserPrincipalName`.
pub(super) fn recipient_row(object: Object<'_>, selection: &Selection) -> Map<String, Value> {
    let mut row = Map::new();
    for &property in &selection.properties {
        if let Some(value) = object_property(object, property) {
            insert_with_sidecar(&mut row, property, value);
        }
    }
    match object {
        Object::Mailbox(_) => (),
        Object::Group(group) => apply_overrides(&mut row, &group.overrides, &selection.properties),
        Object::Contact(contact) => {
            apply_overrides(&mut row, &contact.overrides, &selection.properties)
        }
    }
    row
}

/// A row of `Get-Group`, which includes the members.
pub(super) fn group_row(
    object: Object<'_>,
    members: &[&str],
    selection: &Selection,
) -> Map<String, Value> {
    let mut row = recipient_row(object, selection);
    if selection.properties.contains(&"Members") {
        insert_with_sidecar(&mut row, "Members", json!(members));
    }
    row
}

/// A row of `Get-Mailbox`.
pub(super) fn mailbox_cmdlet_row(mailbox: &Mailbox, selection: &Selection) -> Map<String, Value> {
    let mut row = Map::new();
    for (property, value) in mailbox_row(mailbox, selection) {
        insert_with_sidecar(&mut row, &property, value);
    }
    row
}

pub(super) fn domain_row(domain: &str, initial: bool, selection: &Selection) -> Map<String, Value> {
    let mut row = Map::new();
    for &property in &selection.properties {
        let value = match property {
            "DomainType" => json!("Authoritative"),
            "Default" => json!(!initial),
            "InitialDomain" => json!(initial),
            _ => json!(domain),
        };
        insert_with_sidecar(&mut row, property, value);
    }
    row
}

fn insert_with_sidecar(row: &mut Map<String, Value>, property: &str, value: Value) {
    if value.is_array() {
        row.insert(
            format!("{property}@odata.type"),
            json!("#Collection(String)"),
        );
    } else if matches!(property, "Guid" | "ExchangeObjectId") {
        row.insert(format!("{property}@data.type"), json!("System.Guid"));
    } else if property == "WhenChangedUTC" {
        row.insert(format!("{property}@data.type"), json!("System.DateTime"));
    }
    row.insert(property.to_owned(), value);
}

/// A property as text, for filters.
pub(super) fn filterable(object: Object<'_>, property: &str) -> Option<String> {
    let value = match object {
        Object::Mailbox(mailbox) => mailbox_property(mailbox, property),
        Object::Group(_) | Object::Contact(_) => object_property(object, property),
    };
    match value {
        Some(Value::String(text)) => Some(text),
        Some(Value::Bool(flag)) => Some(flag.to_string()),
        _ => None,
    }
}
