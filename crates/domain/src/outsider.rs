//! People whom Exchange knows but whose own mailbox is not judged here (R12): recipients of another kind, and mailboxes
//! outside the claimed domains. The access that Exchange grants them is not removed.

use std::collections::BTreeSet;

use super::{
    address::SmtpAddress,
    ids::ObjectId,
    source::{Nature, RecipientRecord},
};

/// A trustee with Full Access that is not one of the mailboxes that were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outsider {
    /// The primary address, or a name where there is none.
    pub label: String,
    /// `RecipientTypeDetails`, as received.
    pub kind: String,
    pub object_id: Option<ObjectId>,
    pub addresses: Box<[SmtpAddress]>,
    /// The groups that the right came through, outermost first; empty for a direct grant.
    pub through: Box<[String]>,
}

impl Outsider {
    /// `trustee` is the address by which an access entry names it. The error is the reason why its identity is unknown
    /// (R11).
    pub(super) fn new(recipient: &RecipientRecord, trustee: Option<&str>) -> Result<Self, String> {
        let label = recipient
            .primary_smtp_address
            .as_deref()
            .filter(|address| !address.trim().is_empty())
            .unwrap_or_else(|| recipient.label());
        let kind = recipient.recipient_type_details.trim();
        if !recipient.has_kind() {
            return Err(format!(
                "Exchange does not say what kind of recipient {label} is; look at `Get-Recipient` for it"
            ));
        }
        if recipient.is_user_mailbox() {
            // The list lost it, or is older than it. The delegates are then not known completely (R1).
            return Err(format!(
                "{label} is a user mailbox, but the mailbox list does not show it; run again"
            ));
        }
        // Exchange shows a group by its name, so an address means a person (`docs/specs/exchange-online.md`, "6.2 The
        // User field").
        if recipient.nature() == Nature::Unclear && trustee.is_none() {
            return Err(format!(
                "{label} is a {kind}, a kind that is not known and may be a group; grant Full Access to its members directly"
            ));
        }
        let object_id = recipient.object_id.as_deref().and_then(ObjectId::parse);
        let addresses = addresses(recipient, trustee);
        if addresses.is_empty() && (object_id.is_none() || recipient.should_have_mail()) {
            return Err(format!(
                "Exchange does not say which address the {kind} {label} has; look at `Get-Recipient` for it"
            ));
        }
        Ok(Self {
            label: label.into(),
            kind: kind.into(),
            object_id,
            addresses,
            through: Box::default(),
        })
    }

    /// Whether a recipient is this one: by its object id, or by its primary address if either has none.
    pub(super) fn is(&self, recipient: &RecipientRecord) -> bool {
        let object_id = recipient.object_id.as_deref().and_then(ObjectId::parse);
        if let (Some(own), Some(other)) = (&self.object_id, &object_id) {
            return own == other;
        }
        let primary = recipient.primary_smtp_address.as_deref();
        let primary = primary.and_then(|text| SmtpAddress::parse(text).ok());
        primary.is_some() && self.addresses.first() == primary.as_ref()
    }

    /// Identifies it, whichever text an entry or a group uses for it.
    pub(super) fn key(&self) -> String {
        match (&self.object_id, self.addresses.first()) {
            (Some(id), _) => id.to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => self.label.to_lowercase(),
        }
    }
}

/// The primary address comes first.
fn addresses(recipient: &RecipientRecord, trustee: Option<&str>) -> Box<[SmtpAddress]> {
    let primary = recipient.primary_smtp_address.as_deref();
    let others = recipient.email_addresses.iter().filter_map(|entry| {
        let (prefix, address) = entry.split_once(':').unwrap_or(("smtp", entry));
        prefix
            .trim()
            .eq_ignore_ascii_case("smtp")
            .then_some(address)
    });
    let mut addresses: Vec<SmtpAddress> = primary
        .into_iter()
        .chain(others)
        .chain(trustee)
        .filter_map(|text| SmtpAddress::parse(text).ok())
        .collect();
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(address.clone()));
    addresses.into()
}
