//! The differences between two snapshots (R42).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Access, AccountEntry, Delegate, Grant, MailboxEntry, Side, Snapshot,
    access::Of,
    identity::{Fact, Index, Key, key_of},
};
use crate::address::SmtpAddress;

/// All differences between two runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differences {
    pub before: Of,
    pub after: Of,
    /// By side, then by address.
    pub differences: Vec<Difference>,
}

/// One value that was added, removed or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub side: Side,
    /// The address after the change. For something that was removed, its last address.
    pub address: String,
    pub what: Attribute,
    /// Empty for an added value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// Empty for a removed value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub after: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// The mailbox or account itself.
    Existence,
    Address,
    Name,
    Kind,
    Status,
    Alias,
    Delegation,
    ObjectId,
}

/// The differences of `after` from `before`.
pub fn differences(before: &Snapshot, after: &Snapshot) -> Differences {
    let mut found = Found {
        side: Side::Exchange,
        differences: Vec::new(),
        then: &Index::of(before, Some(after)),
        now: &Index::of(after, Some(before)),
    };
    let (then, now) = (&before.mailboxes, &after.mailboxes);
    compare(then, now, key_of, |one, other| found.mailbox(one, other));
    found.side = Side::Zivver;
    let key = |it: &'_ AccountEntry| it.id.clone();
    let (then, now) = (&before.accounts, &after.accounts);
    compare(then, now, key, |one, other| found.account(one, other));
    found.differences.sort_by(|a, b| {
        let key = |it: &Difference| (it.side as u8, it.address.clone(), it.what);
        key(a).cmp(&key(b))
    });
    Differences {
        before: Of::snapshot(before),
        after: Of::snapshot(after),
        differences: found.differences,
    }
}

/// Calls `pair` for each key, with the values of both sides.
fn compare<'a, T, K: Ord>(
    before: &'a [T],
    after: &'a [T],
    key: impl Fn(&'a T) -> K,
    mut pair: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let mut earlier: BTreeMap<K, &T> = before.iter().map(|it| (key(it), it)).collect();
    for it in after {
        pair(earlier.remove(&key(it)), Some(it));
    }
    for it in earlier.into_values() {
        pair(Some(it), None);
    }
}

struct Found<'i, 'a> {
    side: Side,
    differences: Vec<Difference>,
    then: &'i Index<'a>,
    now: &'i Index<'a>,
}

impl<'a> Found<'_, 'a> {
    fn mailbox(&mut self, before: Option<&'a MailboxEntry>, after: Option<&'a MailboxEntry>) {
        let Some(any) = after.or(before) else { return };
        let address = any.primary.to_string();
        let (Some(before), Some(after)) = (before, after) else {
            let absent = if before.is_some() {
                self.now
            } else {
                self.then
            };
            if absent.why_missing(key_of(any)).is_none() {
                self.existence(&address, before.is_some());
            }
            return;
        };
        self.address(&before.primary, &after.primary);
        if !before.name.is_empty() && !after.name.is_empty() {
            self.one(&address, Attribute::Name, &before.name, &after.name);
        }
        let kinds = (&before.kind, &after.kind);
        self.one(&address, Attribute::Kind, kinds.0.words(), kinds.1.words());
        self.one(
            &address,
            Attribute::Status,
            kinds.0.status(),
            kinds.1.status(),
        );
        if !before.aliases_unknown && !after.aliases_unknown {
            self.addresses(&address, &before.aliases, &after.aliases);
        }
        if let (Access::Known(before), Access::Known(grants)) = (&before.access, &after.access) {
            let owner = key_of(after);
            let (then, now) = (self.then, self.now);
            let is_known = |person| {
                let facts = [
                    then.in_exchange(owner, person),
                    now.in_exchange(owner, person),
                ];
                facts.iter().all(Fact::is_known)
            };
            let paths = |grants: &'a [Grant], index: &Index<'a>| -> BTreeMap<_, _> {
                let path = |it: &'a Grant| {
                    let same = (it.through.clone(), it.outsider.clone());
                    (index.grantee(it), (same, it.words()))
                };
                grants.iter().map(path).collect()
            };
            let (before, after) = (paths(before, then), paths(grants, now));
            self.delegations(&address, &before, &after, is_known);
        }
    }

    fn account(&mut self, before: Option<&'a AccountEntry>, after: Option<&'a AccountEntry>) {
        let Some(any) = after.or(before) else { return };
        let address = any.address.to_string();
        let (Some(before), Some(after)) = (before, after) else {
            let absent = if before.is_some() {
                self.now
            } else {
                self.then
            };
            if absent
                .why_missing_account(Key::Account(any.id.as_str()))
                .is_none()
            {
                self.existence(&address, before.is_some());
            }
            return;
        };
        self.address(&before.address, &after.address);
        self.one(&address, Attribute::Name, &before.name, &after.name);
        let status = |it: &AccountEntry| if it.active { "active" } else { "inactive" };
        self.one(&address, Attribute::Status, status(before), status(after));
        self.addresses(&address, &before.aliases, &after.aliases);
        let (then, now) = (self.then, self.now);
        let owners = (then.key_of_account(before), now.key_of_account(after));
        let is_known = |person| {
            let facts = [
                then.in_zivver(owners.0, person),
                now.in_zivver(owners.1, person),
            ];
            facts.iter().all(Fact::is_known)
        };
        let of = |account: &'a AccountEntry, index: &Index<'a>| -> BTreeMap<_, _> {
            let delegates = account.delegates.iter();
            let who = |it: &'a Delegate| (index.delegate(it).0, ((), it.who.clone()));
            delegates.map(who).collect()
        };
        let (before_all, after_all) = (of(before, then), of(after, now));
        self.delegations(&address, &before_all, &after_all, is_known);
        let id = |it: &AccountEntry| it.external_account_id.clone().unwrap_or_default();
        self.one(&address, Attribute::ObjectId, &id(before), &id(after));
    }

    /// By person: the compared value, and its text.
    fn delegations<T: PartialEq>(
        &mut self,
        address: &str,
        before: &BTreeMap<Key<'a>, (T, String)>,
        after: &BTreeMap<Key<'a>, (T, String)>,
        is_known: impl Fn(Key<'a>) -> bool,
    ) {
        let (then, now) = (self.then, self.now);
        let is_unclear = |it| then.is_unclear(it) || now.is_unclear(it);
        let differs = |person: &Key<'a>| {
            let same = before.get(person).map(|it| &it.0) == after.get(person).map(|it| &it.0);
            !same && !is_unclear(*person) && is_known(*person)
        };
        let of = |all: &BTreeMap<Key<'a>, (T, String)>| -> Vec<String> {
            let all = all.iter().filter(|(person, _)| differs(person));
            all.map(|(_, (_, words))| words.clone()).collect()
        };
        for gone in of(before) {
            self.push(address, Attribute::Delegation, &gone, "");
        }
        for come in of(after) {
            self.push(address, Attribute::Delegation, "", &come);
        }
    }

    fn existence(&mut self, address: &str, was_there: bool) {
        let (before, after) = if was_there {
            ("there", "")
        } else {
            ("", "there")
        };
        self.push(address, Attribute::Existence, before, after);
    }

    fn address(&mut self, before: &SmtpAddress, after: &SmtpAddress) {
        if before != after {
            let (before, after) = (before.to_string(), after.to_string());
            self.push(&after, Attribute::Address, &before, &after);
        }
    }

    fn one(&mut self, address: &str, what: Attribute, before: &str, after: &str) {
        if before != after {
            self.push(address, what, before, after);
        }
    }

    fn addresses(&mut self, address: &str, before: &[SmtpAddress], after: &[SmtpAddress]) {
        let texts = |all: &[SmtpAddress]| all.iter().map(ToString::to_string).collect();
        self.set(address, Attribute::Alias, &texts(before), &texts(after));
    }

    fn set(
        &mut self,
        address: &str,
        what: Attribute,
        before: &BTreeSet<String>,
        after: &BTreeSet<String>,
    ) {
        for gone in before.difference(after) {
            self.push(address, what, gone, "");
        }
        for come in after.difference(before) {
            self.push(address, what, "", come);
        }
    }

    fn push(&mut self, address: &str, what: Attribute, before: &str, after: &str) {
        self.differences.push(Difference {
            side: self.side,
            address: address.to_owned(),
            what,
            before: before.to_owned(),
            after: after.to_owned(),
        });
    }
}
