//! From a row of the mailbox list to a mailbox, or to the reason why it is rejected (R3–R5).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    address::SmtpAddress,
    ids::{Guid, ObjectId},
    source::MailboxRecord,
};

/// A mailbox that was understood. Its addresses are canonical, its aliases sorted and without the primary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mailbox {
    pub primary: SmtpAddress,
    pub object_id: Option<ObjectId>,
    pub kind: MailboxKind,
    pub display_name: Box<str>,
    /// R4: whether Exchange sent a display name, also an empty one.
    pub knows_name: bool,
    pub aliases: Vec<SmtpAddress>,
    /// R4: whether Exchange listed its addresses completely. Unknown is not empty.
    pub knows_aliases: bool,
    /// Lower-cased; may differ from the primary address (`docs/specs/exchange-online.md`, "1.5 Shapes").
    pub user_principal_name: Option<Arc<str>>,
    /// `Name` and `Identity`, lower-cased, without those that only repeat the object id (R9).
    pub names: Vec<Arc<str>>,
    /// `Guid` and `ExchangeObjectId` (R9).
    pub guids: Vec<Guid>,
    /// Entries of `EmailAddresses` that are not addresses and were dropped (R4).
    pub malformed_aliases: Vec<Box<str>>,
}

/// The kind of a mailbox (R3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailboxKind {
    /// `UserMailbox`. `disabled` is `AccountDisabled`: sign-in is blocked.
    User { disabled: bool },
    /// `SharedMailbox`; its `AccountDisabled` has no meaning.
    Shared,
    /// Any other `RecipientTypeDetails`, as received.
    Other(Box<str>),
}

impl MailboxKind {
    /// Whether it belongs to a person, even if it is not synchronised: on another server, or of an older kind.
    pub(super) fn is_personal(&self) -> bool {
        match self {
            Self::User { .. } => true,
            Self::Shared => false,
            Self::Other(kind) => ["LinkedMailbox", "LegacyMailbox", "RemoteUserMailbox"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(kind)),
        }
    }
}

/// A mailbox that was not understood. It is not absent: every address and identifier that could be read from it
/// protects an account (R5, R7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejection {
    pub reason: RejectionReason,
    /// The best name for a report: primary, UPN, display name or object id as received.
    pub label: Box<str>,
    pub object_id: Option<ObjectId>,
    /// Its `PrimarySmtpAddress`, where that is an address (R6).
    pub primary: Option<SmtpAddress>,
    pub addresses: Vec<SmtpAddress>,
    pub user_principal_name: Option<Arc<str>>,
    pub names: Vec<Arc<str>>,
    /// As received.
    pub display_name: Option<Box<str>>,
    pub guids: Vec<Guid>,
}

/// Why a mailbox was rejected (R5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum RejectionReason {
    #[error("Exchange sent {0} in a form that is not understood")]
    WrongTypes(String),
    #[error("it has no usable primary address ({0:?})")]
    NoPrimary(String),
    #[error("Exchange did not say what kind of mailbox it is")]
    NoKind,
    #[error("Exchange did not say whether its account is disabled")]
    NoAccountDisabled,
}

/// Properties without which a mailbox cannot be judged; a wrong type in any of them rejects it (R5).
const ESSENTIAL: [&str; 6] = [
    "PrimarySmtpAddress",
    "DisplayName",
    "EmailAddresses",
    "RecipientTypeDetails",
    "AccountDisabled",
    "ExternalDirectoryObjectId",
];

/// The result for one row of the list.
pub type Normalised = Result<Mailbox, Box<Rejection>>;

/// R3, R4, R5.
pub fn normalise(record: &MailboxRecord) -> Normalised {
    let reason = match judge(record) {
        Ok((primary, kind)) => return Ok(mailbox(record, primary, kind)),
        Err(reason) => reason,
    };
    let (names, guids) = (names(record), guids(record));
    let mut addresses: Vec<_> = [&record.primary_smtp_address, &record.user_principal_name]
        .into_iter()
        .flatten()
        .filter_map(|text| SmtpAddress::parse(text).ok())
        .chain(
            record
                .email_addresses
                .iter()
                .flatten()
                .filter_map(|entry| smtp(entry)?.ok()),
        )
        .collect();
    addresses.sort();
    addresses.dedup();
    let label = [
        &record.primary_smtp_address,
        &record.user_principal_name,
        &record.display_name,
        &record.object_id,
    ]
    .into_iter()
    .flatten()
    .map(|text| text.trim())
    .find(|text| !text.is_empty())
    .unwrap_or("a mailbox without any name");
    let primary = record.primary_smtp_address.as_deref();
    Err(Box::new(Rejection {
        reason,
        label: label.into(),
        object_id: record.object_id.as_deref().and_then(ObjectId::parse),
        primary: primary.and_then(|text| SmtpAddress::parse(text).ok()),
        addresses,
        user_principal_name: lower(record.user_principal_name.as_deref()),
        names,
        display_name: record.display_name.as_deref().map(Into::into),
        guids,
    }))
}

fn judge(record: &MailboxRecord) -> Result<(SmtpAddress, MailboxKind), RejectionReason> {
    let wrong: Vec<&str> = ESSENTIAL
        .into_iter()
        .filter(|name| record.malformed.iter().any(|field| field == name))
        .collect();
    if !wrong.is_empty() {
        return Err(RejectionReason::WrongTypes(wrong.join(", ")));
    }
    let text = record.primary_smtp_address.as_deref().unwrap_or("");
    let primary =
        SmtpAddress::parse(text).map_err(|error| RejectionReason::NoPrimary(error.text))?;
    let details = record
        .recipient_type_details
        .as_deref()
        .unwrap_or("")
        .trim();
    let kind = if details.eq_ignore_ascii_case("UserMailbox") {
        let disabled = record
            .account_disabled
            .ok_or(RejectionReason::NoAccountDisabled)?;
        MailboxKind::User { disabled }
    } else if details.eq_ignore_ascii_case("SharedMailbox") {
        MailboxKind::Shared
    } else if details.is_empty() {
        return Err(RejectionReason::NoKind);
    } else {
        MailboxKind::Other(details.into())
    };
    Ok((primary, kind))
}

fn mailbox(record: &MailboxRecord, primary: SmtpAddress, kind: MailboxKind) -> Mailbox {
    let mut aliases = Vec::new();
    let mut malformed_aliases = Vec::new();
    for entry in record.email_addresses.iter().flatten() {
        match smtp(entry) {
            Some(Ok(address)) if address != primary => aliases.push(address),
            Some(Err(text)) => malformed_aliases.push(text.into()),
            Some(Ok(_)) | None => {}
        }
    }
    // Of equal addresses the same spelling is kept, whatever their order (R25).
    aliases.sort_by(|a, b| (a, a.as_str()).cmp(&(b, b.as_str())));
    aliases.dedup();
    aliases.shrink_to_fit();
    malformed_aliases.sort();
    let (names, guids) = (names(record), guids(record));
    let display_name = match record.display_name.as_deref().map(str::trim) {
        None | Some("") => primary.as_str().into(), // R4
        Some(name) => name.into(),
    };
    let knows_aliases = shows_primary(record, &primary);
    let user_principal_name = lower(record.user_principal_name.as_deref()).map(|name| {
        // Usually they are equal and share one text.
        if *name == *primary.as_str() {
            Arc::clone(primary.text())
        } else {
            name
        }
    });
    Mailbox {
        primary,
        object_id: record.object_id.as_deref().and_then(ObjectId::parse),
        kind,
        display_name,
        knows_name: record.display_name.is_some(),
        aliases,
        knows_aliases,
        user_principal_name,
        names,
        guids,
        malformed_aliases,
    }
}

/// R4: a list without the primary address was not read properly (`docs/specs/exchange-online.md`, "6.6
/// `EmailAddresses`").
fn shows_primary(record: &MailboxRecord, primary: &SmtpAddress) -> bool {
    let mut entries = record.email_addresses.iter().flatten();
    entries.any(|entry| {
        let text = entry.trim().strip_prefix("SMTP:");
        text.and_then(|text| SmtpAddress::parse(text).ok()).as_ref() == Some(primary)
    })
}

/// The address of an entry with the prefix `smtp:` in any case, or without prefix; `None` for X500, SIP and the like
/// (R4, `docs/specs/exchange-online.md`, "6.6 `EmailAddresses`").
fn smtp(entry: &str) -> Option<Result<SmtpAddress, &str>> {
    let entry = entry.trim();
    let text = match entry.split_once(':') {
        Some((prefix, rest)) if prefix.trim().eq_ignore_ascii_case("smtp") => rest,
        Some(_) => return None,
        None => entry,
    };
    if entry.is_empty() {
        return None;
    }
    Some(SmtpAddress::parse(text).map_err(|_| entry))
}

fn names(record: &MailboxRecord) -> Vec<Arc<str>> {
    let own_id = lower(record.object_id.as_deref());
    let mut names: Vec<_> = [&record.name, &record.identity]
        .into_iter()
        .filter_map(|name| lower(name.as_deref()))
        .filter(|name| Some(name) != own_id.as_ref())
        .collect();
    names.sort();
    names.dedup();
    names.shrink_to_fit();
    names
}

fn guids(record: &MailboxRecord) -> Vec<Guid> {
    let mut guids: Vec<Guid> = [&record.guid, &record.exchange_object_id]
        .into_iter()
        .filter_map(|guid| Some(Guid::from(&ObjectId::parse(guid.as_deref()?)?)))
        .collect();
    guids.sort_unstable();
    guids.dedup();
    guids.shrink_to_fit();
    guids
}

/// Trimmed and lower-cased; `None` if empty.
fn lower(text: Option<&str>) -> Option<Arc<str>> {
    let text = text?.trim();
    (!text.is_empty()).then(|| Arc::from(text.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> MailboxRecord {
        MailboxRecord {
            object_id: Some("22222222-0000-4000-8000-000000000001".into()),
            user_principal_name: Some("Anna@corp.onmicrosoft.example".into()),
            primary_smtp_address: Some("Anna@Corp.Example".into()),
            display_name: Some(" Anna ".into()),
            recipient_type_details: Some("UserMailbox".into()),
            account_disabled: Some(false),
            ..MailboxRecord::default()
        }
    }

    #[test]
    fn r3_only_user_and_shared_mailboxes_are_synchronised_kinds() {
        for (details, kind) in [
            ("UserMailbox", MailboxKind::User { disabled: false }),
            ("usermailbox", MailboxKind::User { disabled: false }),
            ("SharedMailbox", MailboxKind::Shared),
            ("RoomMailbox", MailboxKind::Other("RoomMailbox".into())),
            ("NeverHeardOf", MailboxKind::Other("NeverHeardOf".into())),
        ] {
            let row = MailboxRecord {
                recipient_type_details: Some(details.into()),
                ..record()
            };
            assert_eq!(normalise(&row).unwrap().kind, kind);
        }
    }

    #[test]
    fn r4_aliases_are_the_smtp_entries_without_the_primary() {
        let row = MailboxRecord {
            email_addresses: Some(
                [
                    "SMTP:anna@corp.example",
                    "smtp:B@corp.example",
                    "Smtp:b@CORP.example",
                    "bare@corp.example",
                    "SIP:anna@corp.example",
                    "X500:/o=Example/cn=anna",
                    "SPO:SPO_1@SPO_2",
                    "smtp:broken",
                    "",
                ]
                .map(String::from)
                .to_vec(),
            ),
            ..record()
        };
        let mailbox = normalise(&row).unwrap();
        assert_eq!(
            format!("{:?}", mailbox.aliases),
            "[b@corp.example, bare@corp.example]"
        );
        assert_eq!(mailbox.malformed_aliases, ["smtp:broken".into()]);
        assert_eq!(&*mailbox.display_name, "Anna");
    }

    #[test]
    fn r4_addresses_are_unknown_unless_the_list_shows_the_primary() {
        for (entries, knows) in [
            (None, false),
            (Some(vec![]), false),
            (Some(vec!["smtp:b@corp.example"]), false),
            (Some(vec!["smtp:anna@corp.example"]), false),
            (
                Some(vec!["SMTP:b@corp.example", "smtp:anna@corp.example"]),
                false,
            ),
            (Some(vec!["SIP:anna@corp.example"]), false),
            (Some(vec![" SMTP:ANNA@corp.Example "]), true),
        ] {
            let email_addresses =
                entries.map(|all: Vec<&str>| all.into_iter().map(String::from).collect());
            let row = MailboxRecord {
                email_addresses,
                ..record()
            };
            let mailbox = normalise(&row).unwrap();
            assert_eq!(mailbox.knows_aliases, knows, "{:?}", row.email_addresses);
        }
        let row = MailboxRecord {
            primary_smtp_address: Some("anna@xn--bcher-kva.example".into()),
            email_addresses: Some(vec!["SMTP:Anna@Bücher.example".into()]),
            ..record()
        };
        let mailbox = normalise(&row).unwrap();
        assert!(mailbox.knows_aliases && mailbox.aliases.is_empty());
    }

    #[test]
    fn r4_an_empty_display_name_becomes_the_primary_address() {
        for name in [None, Some(String::new()), Some("  ".into())] {
            let row = MailboxRecord {
                display_name: name,
                ..record()
            };
            assert_eq!(&*normalise(&row).unwrap().display_name, "anna@corp.example");
        }
    }

    #[test]
    fn r5_what_is_not_understood_is_rejected_with_all_that_identifies_it() {
        let row = MailboxRecord {
            account_disabled: None,
            ..record()
        };
        let rejection = normalise(&row).unwrap_err();
        assert_eq!(rejection.reason, RejectionReason::NoAccountDisabled);
        assert_eq!(rejection.addresses.len(), 2);
        assert!(rejection.object_id.is_some());

        for kind in [None, Some(" ".into())] {
            let row = MailboxRecord {
                recipient_type_details: kind,
                ..record()
            };
            assert_eq!(normalise(&row).unwrap_err().reason, RejectionReason::NoKind);
        }

        let row = MailboxRecord {
            primary_smtp_address: Some("nowhere".into()),
            ..record()
        };
        assert_eq!(
            normalise(&row).unwrap_err().reason,
            RejectionReason::NoPrimary("nowhere".into())
        );

        let row = MailboxRecord {
            malformed: vec!["EmailAddresses".into()],
            ..record()
        };
        assert_eq!(
            normalise(&row).unwrap_err().reason,
            RejectionReason::WrongTypes("EmailAddresses".into())
        );
    }

    #[test]
    fn r5_a_shared_mailbox_needs_no_account_disabled() {
        let row = MailboxRecord {
            account_disabled: None,
            recipient_type_details: Some("SharedMailbox".into()),
            ..record()
        };
        assert_eq!(normalise(&row).unwrap().kind, MailboxKind::Shared);
    }
}
