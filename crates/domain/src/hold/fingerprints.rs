//! The fingerprints by which approvals and rejections recognise a change (R27, R47).

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::HeldChange;
use crate::{
    accounts::Accounts,
    change::{Change, account_of},
    delta::Delta,
    guard::Class,
};

/// R27: the fingerprints of all guarded changes in a delta.
pub fn guarded_fingerprints(delta: &Delta, accounts: &Accounts) -> Vec<String> {
    let changes = delta.changes().into_iter();
    changes
        .filter(|change| change.class().is_some())
        .map(|change| fingerprint(None, delta, &change, accounts))
        .collect()
}

/// R27: the fingerprints in a delta that are among the approved ones.
pub fn approved_changes(
    delta: &Delta,
    accounts: &Accounts,
    approved: &BTreeSet<String>,
) -> BTreeSet<String> {
    let changes = delta.changes();
    let of_change = |change| {
        [None, Some(Class::Undone)]
            .into_iter()
            .flat_map(move |class| known_again(class, delta, change, accounts, approved))
    };
    changes.iter().flat_map(of_change).collect()
}

/// R27: whether a person has approved a change.
pub(crate) fn is_approved(
    delta: &Delta,
    change: &Change,
    accounts: &Accounts,
    approved: &BTreeSet<String>,
) -> bool {
    let mut classes = [None, Some(Class::Undone)].into_iter();
    classes.any(|class| !known_again(class, delta, change, accounts, approved).is_empty())
}

/// R27, R47: those of the decided fingerprints that a change has, or had when it was shown, since its account may have
/// been renamed with its mailbox. For an account without a mailbox only the address shows who it belongs to.
pub(crate) fn known_again(
    class: Option<Class>,
    delta: &Delta,
    change: &Change,
    accounts: &Accounts,
    decided: &BTreeSet<String>,
) -> Vec<String> {
    if decided.is_empty() {
        return Vec::new();
    }
    let now = fingerprint(class, delta, change, accounts);
    let hash = hash_of(&now);
    let alike = decided
        .range(hash.to_owned()..)
        .take_while(|it| it.starts_with(hash));
    let same = alike.filter(|it| delta.mailbox.is_some() || **it == now);
    same.cloned().collect()
}

/// R27: the hash of a change, equal for the same change of the same account with the same before and after, followed by
/// the address of the account.
pub(super) fn fingerprint(
    class: Option<Class>,
    delta: &Delta,
    change: &Change,
    accounts: &Accounts,
) -> String {
    let (what, before, after) = change.approval_texts(accounts);
    let account = account_of(delta, accounts);
    let class = class.map_or("", Class::setting);
    let mut texts = vec![class.to_owned(), account, what.to_owned()];
    if let Some(mut delegates) = change.delegates(accounts) {
        delegates.sort();
        texts.extend(delegates.into_iter().map(ToString::to_string));
    } else {
        texts.extend([before, after]);
    }
    // R16, R17: who gets an account is part of what is approved, since the address can belong to another person later.
    if matches!(change.class(), Some(Class::Identity | Class::Create)) {
        texts.extend(delta.owner.map(|id| id.to_string()));
    }
    let hash = digest(texts.iter().map(String::as_str));
    format!("{hash} {}", delta.address)
}

/// The hashes in the fingerprints that a change can be held with: its account may have another address by then.
pub(crate) fn hashes(delta: &Delta, change: &Change, accounts: &Accounts) -> [String; 2] {
    [None, Some(Class::Undone)].map(|class| {
        let fingerprint = fingerprint(class, delta, change, accounts);
        hash_of(&fingerprint).to_owned()
    })
}

pub(crate) fn hash_of(fingerprint: &str) -> &str {
    let hash = fingerprint.split_once(' ');
    hash.map_or(fingerprint, |(hash, _)| hash)
}

/// R27: a short hash of exactly these changes.
pub(crate) fn code<'a>(changes: impl Iterator<Item = &'a HeldChange>) -> String {
    let mut code = digest(changes.map(|change| change.fingerprint.as_str()));
    code.truncate(10);
    code
}

/// The hexadecimal hash of some texts. Each is hashed with its length, so that no two lists have the same input.
pub(crate) fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(16)
        .fold(String::new(), |mut hex, byte| {
            use std::fmt::Write as _;
            write!(hex, "{byte:02x}").expect("writing to a string does not fail");
            hex
        })
}
