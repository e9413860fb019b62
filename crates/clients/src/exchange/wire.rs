//! Data types of the service, parsed with tolerance: each field may be missing, and a field of the wrong type
//! invalidates only itself (R5).

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use domain::{
    ids::ObjectId,
    source::{GroupKind, MailboxRecord, PermissionEntry, RecipientRecord},
};

/// Pages have 1,000 rows. Without a limit, a few kilobytes of compressed `{}` would become gigabytes of rows.
const ROWS_MAX: usize = 100_000;

/// One page of any list.
#[derive(Debug, Deserialize)]
#[serde(bound = "R: Deserialize<'de>")]
pub(super) struct Page<R> {
    #[serde(default = "Option::default", deserialize_with = "rows")]
    pub(super) value: Option<Vec<R>>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<String>,
    #[serde(rename = "@odata.context", default)]
    context: Loose,
    #[serde(rename = "@adminapi.warnings", default)]
    warnings: Loose,
    error: Option<IgnoredAny>,
    /// There was no body.
    #[serde(skip)]
    pub(super) is_missing: bool,
}

impl<R> Page<R> {
    /// A missing body.
    pub(super) fn missing() -> Self {
        Self {
            value: None,
            next_link: None,
            context: Loose::Absent,
            warnings: Loose::Absent,
            error: None,
            is_missing: true,
        }
    }

    /// The link to the next page.
    pub(super) fn link(&self) -> Option<&str> {
        self.next_link
            .as_deref()
            .map(str::trim)
            .filter(|link| !link.is_empty())
    }

    /// An error body with the status of a success.
    pub(super) fn is_error(&self) -> bool {
        self.error.is_some()
    }

    /// Whether this is the envelope of a cmdlet without output: no `value`, but the fields of an envelope (1.3).
    pub(super) fn is_empty_envelope(&self) -> bool {
        matches!(self.context, Loose::Text(_)) || matches!(self.warnings, Loose::List(_))
    }

    /// Whether the service says that there are more rows.
    pub(super) fn has_more(&self) -> bool {
        let says = |text: &Loose| matches!(text, Loose::Text(text) if text.to_lowercase().contains("more results"));
        if let Loose::List(texts) = &self.warnings {
            texts.iter().any(says)
        } else {
            says(&self.warnings)
        }
    }
}

fn rows<'de, D: Deserializer<'de>, R: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<R>>, D::Error> {
    struct Rows<R>(PhantomData<R>);

    impl<'de, R: Deserialize<'de>> Visitor<'de> for Rows<R> {
        type Value = Option<Vec<R>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {ROWS_MAX} rows")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut rows = Vec::new();
            while let Some(row) = list.next_element()? {
                if rows.len() == ROWS_MAX {
                    return Err(de::Error::invalid_length(ROWS_MAX + 1, &self));
                }
                rows.push(row);
            }
            Ok(Some(rows))
        }
    }

    deserializer.deserialize_any(Rows(PhantomData))
}

/// Any JSON value. Only what a field can hold is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Loose {
    /// Absent or null.
    #[default]
    Absent,
    Bool(bool),
    Text(String),
    List(Vec<Loose>),
    /// A number or an object.
    Other,
}

impl Loose {
    /// A text, or `None`; any other type is recorded in `malformed`.
    fn text(self, name: &str, malformed: &mut Vec<String>) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::List(_) | Self::Other => {
                malformed.push(name.to_owned());
                None
            }
        }
    }

    /// A boolean, also as the text `True` or `False`; anything else is recorded in `malformed`.
    fn flag(self, name: &str, malformed: &mut Vec<String>) -> Option<bool> {
        match self {
            Self::Absent => None,
            Self::Bool(flag) => Some(flag),
            Self::Text(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            Self::Text(_) | Self::List(_) | Self::Other => {
                malformed.push(name.to_owned());
                None
            }
        }
    }

    /// A list of texts; a single text is a list of one.
    fn texts(self, name: &str, malformed: &mut Vec<String>) -> Vec<String> {
        match self {
            Self::Absent => Vec::new(),
            Self::Text(text) => vec![text],
            Self::List(items) => {
                let count = items.len();
                let texts: Vec<_> = items
                    .into_iter()
                    .filter_map(|item| match item {
                        Self::Text(text) => Some(text),
                        Self::Absent | Self::Bool(_) | Self::List(_) | Self::Other => None,
                    })
                    .collect();
                if texts.len() < count {
                    malformed.push(name.to_owned());
                }
                texts
            }
            Self::Bool(_) | Self::Other => {
                malformed.push(name.to_owned());
                Vec::new()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Absent)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Loose, E> {
        Ok(Loose::Bool(flag))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Loose, E> {
        Ok(Loose::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Loose::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Loose, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }
}

/// A row of `GET Mailbox`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct MailboxRow {
    external_directory_object_id: Loose,
    object_key: Loose,
    user_principal_name: Loose,
    primary_smtp_address: Loose,
    display_name: Loose,
    email_addresses: Loose,
    recipient_type_details: Loose,
    account_disabled: Loose,
    guid: Loose,
    exchange_object_id: Loose,
    name: Loose,
    identity: Loose,
    alias: Loose,
}

impl MailboxRow {
    pub(super) fn into_record(self) -> MailboxRecord {
        let mut malformed = Vec::new();
        let mut text = |value: Loose, name| value.text(name, &mut malformed);
        let external_id = text(
            self.external_directory_object_id,
            "ExternalDirectoryObjectId",
        );
        let object_key = text(self.object_key, "ObjectKey");
        let record = MailboxRecord {
            object_id: object_id(external_id, object_key),
            user_principal_name: text(self.user_principal_name, "UserPrincipalName"),
            primary_smtp_address: text(self.primary_smtp_address, "PrimarySmtpAddress"),
            display_name: text(self.display_name, "DisplayName"),
            recipient_type_details: text(self.recipient_type_details, "RecipientTypeDetails"),
            guid: text(self.guid, "Guid"),
            exchange_object_id: text(self.exchange_object_id, "ExchangeObjectId"),
            name: text(self.name, "Name"),
            identity: text(self.identity, "Identity"),
            alias: text(self.alias, "Alias"),
            ..MailboxRecord::default()
        };
        MailboxRecord {
            email_addresses: addresses(self.email_addresses, &mut malformed),
            account_disabled: self
                .account_disabled
                .flag("AccountDisabled", &mut malformed),
            malformed,
            ..record
        }
    }
}

/// `EmailAddresses`: a list, or absent. A text is a wrong type here (R5), and an absent list is not an empty one.
fn addresses(value: Loose, malformed: &mut Vec<String>) -> Option<Vec<String>> {
    const NAME: &str = "EmailAddresses";
    match value {
        Loose::Absent => None,
        Loose::List(_) => Some(value.texts(NAME, malformed)),
        Loose::Text(_) | Loose::Bool(_) | Loose::Other => {
            malformed.push(NAME.to_owned());
            None
        }
    }
}

/// `ExternalDirectoryObjectId` as received, or the key if it is a GUID (1.5).
fn object_id(external_id: Option<String>, object_key: Option<String>) -> Option<String> {
    external_id
        .filter(|id| !is_null_id(id))
        .or_else(|| object_key.filter(|key| ObjectId::parse(key).is_some()))
}

/// An object without an id has a blank id or one of zeros (1.3, 1.5), which identifies nothing.
fn is_null_id(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_whitespace() || matches!(c, '0' | '-' | '{' | '}'))
}

/// A row of `MailboxPermission`. The form of the cmdlet, with the rights beside the user, is accepted too.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct PermissionRow {
    user: Loose,
    permission_list: Option<Vec<AccessRow>>,
    access_rights: Loose,
    is_inherited: Loose,
    deny: Loose,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct AccessRow {
    access_rights: Loose,
    is_inherited: Loose,
    deny: Loose,
}

impl PermissionRow {
    /// One entry for each list of rights. If a property cannot be read, its name is the error: a permission that is not
    /// understood must not be treated as absent.
    pub(super) fn into_entries(self) -> Result<Vec<PermissionEntry>, Vec<String>> {
        let mut malformed = Vec::new();
        let user = self.user.text("User", &mut malformed).unwrap_or_default();
        if user.trim().is_empty() && malformed.is_empty() {
            malformed.push("User".to_owned());
        }
        let lists = self.permission_list.unwrap_or_else(|| {
            vec![AccessRow {
                access_rights: self.access_rights,
                is_inherited: self.is_inherited,
                deny: self.deny,
            }]
        });
        let entries = lists
            .into_iter()
            .map(|access| {
                if access.access_rights == Loose::Absent {
                    malformed.push("AccessRights".to_owned());
                }
                PermissionEntry {
                    user: user.clone(),
                    access_rights: access.access_rights.texts("AccessRights", &mut malformed),
                    deny: access.deny.flag("Deny", &mut malformed).unwrap_or(false),
                    inherited: access
                        .is_inherited
                        .flag("IsInherited", &mut malformed)
                        .unwrap_or(false),
                }
            })
            .collect();
        if malformed.is_empty() {
            Ok(entries)
        } else {
            Err(malformed)
        }
    }
}

/// A row of a group or recipient cmdlet.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct RecipientRow {
    recipient_type_details: Loose,
    external_directory_object_id: Loose,
    guid: Loose,
    name: Loose,
    identity: Loose,
    display_name: Loose,
    alias: Loose,
    primary_smtp_address: Loose,
    email_addresses: Loose,
    /// Only in rows of `Get-Group`: the names of the members.
    members: Loose,
}

impl RecipientRow {
    /// If a property cannot be read, its name is the error: the recipient must not be guessed.
    pub(super) fn into_record(self) -> Result<RecipientRecord, Vec<String>> {
        let mut malformed = Vec::new();
        let mut text = |value: Loose, name| value.text(name, &mut malformed);
        let record = RecipientRecord {
            recipient_type_details: text(self.recipient_type_details, "RecipientTypeDetails")
                .unwrap_or_default(),
            object_id: text(
                self.external_directory_object_id,
                "ExternalDirectoryObjectId",
            )
            .filter(|id| !is_null_id(id)),
            guid: text(self.guid, "Guid").filter(|id| !is_null_id(id)),
            name: text(self.name, "Name"),
            identity: text(self.identity, "Identity"),
            display_name: text(self.display_name, "DisplayName"),
            alias: text(self.alias, "Alias"),
            primary_smtp_address: text(self.primary_smtp_address, "PrimarySmtpAddress"),
            email_addresses: Vec::new(),
        };
        let email_addresses = self.email_addresses.texts("EmailAddresses", &mut malformed);
        if malformed.is_empty() {
            let is_listed = record.has_kind() && record.may_be_in_scope();
            Ok(RecipientRecord {
                email_addresses: if is_listed {
                    Vec::new()
                } else {
                    email_addresses
                },
                ..record
            })
        } else {
            Err(malformed)
        }
    }

    /// The identity of a row, to find repeated rows.
    pub(super) fn key(record: &Result<RecipientRecord, Vec<String>>) -> Option<String> {
        let record = record.as_ref().ok()?;
        [&record.object_id, &record.guid]
            .into_iter()
            .flatten()
            .find_map(|id| Some(ObjectId::parse(id)?.to_string()))
    }

    /// Whether the row says that the group has no members. A row without the property does not say so.
    pub(super) fn has_no_members(&self) -> bool {
        self.members == Loose::List(Vec::new())
    }

    /// Whether the row is a kind of group that `Get-DistributionGroup` never lists.
    pub(super) fn is_never_distributed(&self) -> bool {
        let Loose::Text(kind) = &self.recipient_type_details else {
            return false;
        };
        match GroupKind::from_recipient_type(kind.trim()) {
            Some(
                GroupKind::Microsoft365
                | GroupKind::Dynamic
                | GroupKind::Role
                | GroupKind::PlainSecurity,
            ) => true,
            Some(GroupKind::Security | GroupKind::Distribution | GroupKind::NonUniversal)
            | None => false,
        }
    }

    /// The members of a plain group, which are given by name only. An absent list is not an empty one (R14).
    pub(super) fn into_member_names(self) -> Result<Vec<String>, Vec<String>> {
        const NAME: &str = "Members";
        let mut malformed = Vec::new();
        let is_present = self.members != Loose::Absent;
        let names = self.members.texts(NAME, &mut malformed);
        let all_named = names.iter().all(|name| !name.trim().is_empty());
        if is_present && all_named && malformed.is_empty() {
            Ok(names)
        } else {
            Err(vec![NAME.to_owned()])
        }
    }
}

#[cfg(test)]
mod tests;
