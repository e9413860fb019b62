//! The differences between two snapshots (R42).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Access, AccountEntry, MailboxEntry, Side, Snapshot, access::Moment};
use crate::{address::SmtpAddress, ids::ScimId};

/// All differences between two runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differences {
    pub before: Of,
    pub after: Of,
    /// By side, then by address.
    pub differences: Vec<Difference>,
}

/// Identifies a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Of {
    pub run: String,
    pub at: Moment,
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
    let of = |snapshot: &Snapshot| Of {
        run: snapshot.head.run.clone(),
        at: Moment(snapshot.head.at),
    };
    let mut found = Found {
        side: Side::Exchange,
        differences: Vec::new(),
    };
    let key = |it: &MailboxEntry| match it.object_id {
        Some(id) => id.to_string(),
        None => it.primary.to_string(),
    };
    compare(&before.mailboxes, &after.mailboxes, key, |one, other| {
        found.mailbox(one, other);
    });
    found.side = Side::Zivver;
    let key = |it: &AccountEntry| -> ScimId { it.id.clone() };
    compare(&before.accounts, &after.accounts, key, |one, other| {
        found.account(one, other);
    });
    found.differences.sort_by(|a, b| {
        let key = |it: &Difference| (it.side as u8, it.address.clone(), it.what);
        key(a).cmp(&key(b))
    });
    Differences {
        before: of(before),
        after: of(after),
        differences: found.differences,
    }
}

/// Passes each pair with the same key to `pair`, and also what is on one side only.
fn compare<T, K: Ord>(
    before: &[T],
    after: &[T],
    key: impl Fn(&T) -> K,
    mut pair: impl FnMut(Option<&T>, Option<&T>),
) {
    let mut earlier: BTreeMap<K, &T> = before.iter().map(|it| (key(it), it)).collect();
    for it in after {
        pair(earlier.remove(&key(it)), Some(it));
    }
    for it in earlier.into_values() {
        pair(Some(it), None);
    }
}

struct Found {
    side: Side,
    differences: Vec<Difference>,
}

impl Found {
    fn mailbox(&mut self, before: Option<&MailboxEntry>, after: Option<&MailboxEntry>) {
        let Some(any) = after.or(before) else { return };
        let address = any.primary.to_string();
        let (Some(before), Some(after)) = (before, after) else {
            return self.existence(&address, before.is_some());
        };
        self.address(&before.primary, &after.primary);
        self.one(&address, Attribute::Name, &before.name, &after.name);
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
        if let (Access::Known(before), Access::Known(after)) = (&before.access, &after.access) {
            let paths = |grants: &[super::Grant]| -> BTreeSet<String> {
                grants.iter().map(super::Grant::words).collect()
            };
            self.set(
                &address,
                Attribute::Delegation,
                &paths(before),
                &paths(after),
            );
        }
    }

    fn account(&mut self, before: Option<&AccountEntry>, after: Option<&AccountEntry>) {
        let Some(any) = after.or(before) else { return };
        let address = any.address.to_string();
        let (Some(before), Some(after)) = (before, after) else {
            return self.existence(&address, before.is_some());
        };
        self.address(&before.address, &after.address);
        self.one(&address, Attribute::Name, &before.name, &after.name);
        let status = |it: &AccountEntry| if it.active { "active" } else { "inactive" };
        self.one(&address, Attribute::Status, status(before), status(after));
        self.addresses(&address, &before.aliases, &after.aliases);
        let delegates = |it: &AccountEntry| -> BTreeSet<String> {
            it.delegates.iter().map(|it| it.who.clone()).collect()
        };
        self.set(
            &address,
            Attribute::Delegation,
            &delegates(before),
            &delegates(after),
        );
        let id = |it: &AccountEntry| it.external_account_id.clone().unwrap_or_default();
        self.one(&address, Attribute::ObjectId, &id(before), &id(after));
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
