//! The fingerprints by which approvals and rejections recognise a change (R27, R47).

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::HeldChange;
use crate::{
    accounts::{AccountIx, Accounts},
    change::{Change, account_of},
    delta::{Delta, Target},
    guard::Class,
    ids::{ObjectId, ScimId},
};

/// How many characters of the hash of the people a fingerprint has.
const PEOPLE_LENGTH: usize = 12;

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
    let of_change = |change| decided(delta, change, accounts, approved);
    changes.iter().flat_map(of_change).collect()
}

/// R27, R47: those of the decided fingerprints that a change has, or had when it was shown, also as what was undone (R37).
pub(crate) fn decided(
    delta: &Delta,
    change: &Change,
    accounts: &Accounts,
    decided: &BTreeSet<String>,
) -> Vec<String> {
    let classes = [None, Some(Class::Undone)].into_iter();
    let known = |class| known_again(class, delta, change, accounts, decided);
    classes.flat_map(known).collect()
}

/// R27: whether a person has approved a change.
pub(crate) fn is_approved(
    delta: &Delta,
    change: &Change,
    accounts: &Accounts,
    approved: &BTreeSet<String>,
) -> bool {
    !decided(delta, change, accounts, approved).is_empty()
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
    let (people, address) = people_and_address(&now);
    let same = alike.filter(|it| {
        let then = people_and_address(it);
        (delta.mailbox.is_some() || then.1 == address) && then.0 == people
    });
    same.cloned().collect()
}

/// The end of a fingerprint.
fn people_and_address(fingerprint: &str) -> (&str, &str) {
    let (_, rest) = fingerprint.split_once(' ').unwrap_or_default();
    rest.split_once(' ').unwrap_or_default()
}

/// R16: whose the account of a change is, and the delegates that it adds or removes. What is decided about a person is not
/// decided about the next one who has the account.
fn people_of(delta: &Delta, change: &Change, accounts: &Accounts) -> String {
    let mut of: Vec<AccountIx> = match delta.target {
        Target::Existing(ix) => vec![ix],
        Target::New(_) => Vec::new(),
    };
    for part in change.parts() {
        if let Change::AddDelegate(Target::Existing(ix)) | Change::RemoveDelegate(ix) = part {
            of.push(ix);
        }
    }
    let of: BTreeMap<&ScimId, Option<&ObjectId>> = of
        .iter()
        .map(|ix| (accounts.get(*ix).id(), delta.people.get(ix)))
        .collect();
    let texts = of.values().map(|id| format!("{id:?}"));
    let texts: Vec<String> = texts.collect();
    let mut people = digest(texts.iter().map(String::as_str));
    people.truncate(PEOPLE_LENGTH);
    people
}

/// R27: the hash of a change, equal for the same change of the same account with the same before and after, followed by
/// a hash of the people and the address of the account.
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
    let people = people_of(delta, change, accounts);
    format!("{hash} {people} {}", delta.address)
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
