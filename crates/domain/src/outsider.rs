//! People whom Exchange knows but whose own mailbox is not judged here (R12): recipients of another kind, and mailboxes outside
//! the claimed domains. What Exchange grants them is not taken.

use std::collections::BTreeSet;

use super::{
    accounts::{AccountIx, AccountKind},
    address::SmtpAddress,
    delegation::name,
    directory::{MailboxIx, Party},
    ids::ObjectId,
    matching::{AccountFate, Matching},
    source::{Nature, RecipientAnswer, RecipientRecord},
    world::World,
};

/// A trustee with Full Access who is none of the mailboxes that were read.
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
    /// `trustee` is the address by which an access entry names it. The error is the reason why it is unknown who it is (R11).
    pub(super) fn new(recipient: &RecipientRecord, trustee: Option<&str>) -> Result<Self, String> {
        let label = recipient
            .primary_smtp_address
            .as_deref()
            .filter(|address| !address.trim().is_empty())
            .unwrap_or_else(|| name(recipient));
        let kind = recipient.recipient_type_details.trim();
        if !recipient.has_kind() {
            return Err(format!(
                "Exchange does not say what kind of recipient {label} is; look at `Get-Recipient` for it"
            ));
        }
        if recipient.is_user_mailbox() {
            // Lost from the list, or newer than it: who may open is not known in full (R1).
            return Err(format!(
                "{label} is a user mailbox, but the mailbox list does not show it; run again"
            ));
        }
        // Exchange shows a group by its name, so an address is that of a person (`docs/specs/exchange-online.md`, "6.2
        // The User field").
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

    /// What tells it from others, by whatever text an entry or a group names it.
    pub(super) fn key(&self) -> String {
        match (&self.object_id, self.addresses.first()) {
            (Some(id), _) => id.to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => self.label.to_lowercase(),
        }
    }

    /// Its active user accounts.
    pub(super) fn accounts(&self, world: &World, matching: &Matching) -> BTreeSet<AccountIx> {
        active_accounts(
            world,
            matching,
            self.addresses.iter(),
            self.object_id.as_ref(),
            None,
        )
    }
}

/// The primary address first.
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

/// The active user accounts of a mailbox that is not judged here.
pub(super) fn accounts_of_mailbox(
    world: &World,
    matching: &Matching,
    ix: MailboxIx,
) -> BTreeSet<AccountIx> {
    let mailbox = world.directory.mailbox(ix);
    let upn = mailbox.user_principal_name.as_deref();
    let upn = upn.and_then(|text| SmtpAddress::parse(text).ok());
    let addresses = std::iter::once(&mailbox.primary)
        .chain(&mailbox.aliases)
        .chain(&upn);
    active_accounts(
        world,
        matching,
        addresses,
        mailbox.object_id.as_ref(),
        Some(ix),
    )
}

fn active_accounts<'a>(
    world: &World,
    matching: &Matching,
    addresses: impl Iterator<Item = &'a SmtpAddress>,
    object_id: Option<&ObjectId>,
    mailbox: Option<MailboxIx>,
) -> BTreeSet<AccountIx> {
    let accounts = &world.accounts;
    let mut found: BTreeSet<AccountIx> = addresses
        .filter_map(|address| accounts.user_called(address))
        .collect();
    if let Some(id) = object_id {
        found.extend(accounts.with_object_id(id));
        found.extend(matching.mapped(id));
    }
    found.extend(mailbox.and_then(|ix| matching.claimed[ix.0 as usize]));
    found.retain(|ix| {
        accounts.get(*ix).kind() == AccountKind::User
            && accounts.is_active(*ix)
            && !is_anothers(world, matching, *ix, object_id, mailbox)
    });
    found
}

/// Whether an account certainly belongs to another person: to another mailbox, or to an object id that is gone (R16, R19).
fn is_anothers(
    world: &World,
    matching: &Matching,
    account: AccountIx,
    object_id: Option<&ObjectId>,
    mailbox: Option<MailboxIx>,
) -> bool {
    if let AccountFate::Evidence(owner) = matching.account(account) {
        return Some(*owner) != mailbox;
    }
    // Also where it, or the mailbox that claims it, is protected.
    let claimants: Vec<MailboxIx> = claimants(world, matching, account).collect();
    if !claimants.is_empty() {
        return !mailbox.is_some_and(|mailbox| claimants.contains(&mailbox));
    }
    matching.known_object_id(account).is_some_and(|known| {
        Some(known) != object_id
            && world.answers.recipients.get(&known.to_string()) == Some(&RecipientAnswer::NotFound)
    })
}

/// The mailboxes that claim an account: by its address, or by an object id of it (R16).
fn claimants<'a>(
    world: &'a World,
    matching: &'a Matching,
    account: AccountIx,
) -> impl Iterator<Item = MailboxIx> + 'a {
    let directory = &world.directory;
    let ids = [
        matching.known_object_id(account),
        world.accounts.external_object_id(account),
    ];
    let by_id = ids.into_iter().flatten();
    let by_id = by_id.flat_map(|id| directory.with_object_id(id));
    let parties = directory.with_address(world.accounts.get(account).address());
    parties
        .iter()
        .chain(by_id)
        .filter_map(|party| match party {
            Party::Mailbox(ix) => Some(*ix),
            Party::Rejected(_) => None,
        })
        .filter(move |ix| matching.claimed[ix.0 as usize] == Some(account))
}
