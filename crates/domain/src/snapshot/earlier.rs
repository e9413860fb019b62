//! What the next snapshot needs from the previous one: since when each thing exists. Stored as hashes, since it is in
//! memory together with both sides of a large tenant.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Access, AccountEntry, Delegate, Grant, Line, MailboxEntry};
use crate::{
    address::SmtpAddress,
    delegation::Delegations,
    hash::{HashMap, HashSet},
    ids::{ObjectId, ScimId},
    world::World,
};

/// The digest of a snapshot.
#[derive(Debug, Default)]
pub struct Earlier {
    began: Option<i64>,
    entries: HashMap<Key, Entry>,
    /// Since when a party has access to an owner, in epoch seconds, by the hash of both.
    since: HashMap<u64, i64>,
    /// R11: the mailboxes of which it is unknown now who has access.
    wanted: HashSet<Key>,
    last: HashMap<Key, Vec<Grant>>,
}

/// Identifies a mailbox or an account, independent of its address.
pub(super) type Key = u64;

#[derive(Debug, Clone, Copy)]
struct Entry {
    address: u64,
    content: u64,
    first: i64,
    changed: i64,
}

impl Earlier {
    /// An empty digest, for the snapshot of `world`.
    pub fn of(world: &World) -> Self {
        let mailboxes = world.directory.mailboxes.iter().zip(&world.delegations);
        let unknown = mailboxes.filter(|(_, delegations)| match delegations {
            Some(Delegations::Unknown(_) | Delegations::Gone) => true,
            Some(Delegations::Known(_)) | None => false,
        });
        Self {
            wanted: unknown
                .map(|(it, _)| mailbox_key(it.object_id.as_ref(), &it.primary))
                .collect(),
            ..Self::default()
        }
    }

    /// Adds one line of the previous snapshot. To be called for all of them in order.
    pub fn take(&mut self, line: &Line) {
        match line {
            Line::Head(head) => self.began = Some(head.began),
            Line::Mailbox(it) => {
                let key = mailbox_key(it.object_id.as_ref(), &it.primary);
                let grants = it.access.grants();
                self.since
                    .extend(grants.iter().map(|it| (pair(key, name(&it.who)), it.since)));
                if self.wanted.contains(&key) && !grants.is_empty() {
                    self.last.insert(key, grants.to_vec());
                }
                self.insert(
                    key,
                    &it.primary,
                    content_of_mailbox(it),
                    it.first,
                    it.changed,
                );
            }
            Line::Account(it) => {
                let key = account_key(&it.id);
                let delegates = it.delegates.iter();
                self.since
                    .extend(delegates.map(|it| (pair(key, name(&it.who)), it.since)));
                self.insert(
                    key,
                    &it.address,
                    content_of_account(it),
                    it.first,
                    it.changed,
                );
            }
            Line::Rejected(_) | Line::Decision(_) => {}
        }
    }

    fn insert(&mut self, key: Key, address: &SmtpAddress, content: u64, first: i64, changed: i64) {
        let address = name(address.as_str());
        let entry = Entry {
            address,
            content,
            first,
            changed,
        };
        self.entries.insert(key, entry);
    }

    /// When the series of snapshots began, if there is one.
    pub fn began(&self) -> Option<i64> {
        self.began
    }

    /// Since when `who` has access to `owner`. `person` is identified by its key, so another address does not make
    /// another person.
    pub(super) fn since(&self, owner: Key, who: &str, person: Option<Key>) -> Option<i64> {
        let known = person.and_then(|person| self.entries.get(&person));
        let address = known.map_or_else(|| name(who), |entry| entry.address);
        self.since.get(&pair(owner, address)).copied()
    }

    /// When it appeared, and when it last changed.
    pub(super) fn times(&self, key: Key, content: u64, now: i64) -> (i64, i64) {
        match self.entries.get(&key) {
            None => (now, now),
            Some(entry) if entry.content == content => (entry.first, entry.changed),
            Some(entry) => (entry.first, now),
        }
    }

    /// R11: the last known access to a mailbox.
    pub(super) fn last(&self, key: Key) -> Vec<Grant> {
        self.last.get(&key).cloned().unwrap_or_default()
    }
}

pub(super) fn mailbox_key(object_id: Option<&ObjectId>, primary: &SmtpAddress) -> Key {
    match object_id {
        Some(id) => hash(&("mailbox", id)),
        None => hash(&("mailbox at", primary)),
    }
}

pub(super) fn account_key(id: &ScimId) -> Key {
    hash(&("account", id))
}

fn pair(owner: Key, address: u64) -> u64 {
    hash(&(owner, address))
}

/// All spellings of one address have the same hash.
fn name(text: &str) -> u64 {
    hash(&SmtpAddress::verbatim(text))
}

/// Hashes are compared only within a process.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The values whose change counts as a change of the mailbox.
pub(super) fn content_of_mailbox(it: &MailboxEntry) -> u64 {
    let access: Option<Vec<_>> = match &it.access {
        Access::Unread => None,
        Access::Unknown { last: grants, .. } | Access::Known(grants) => Some(
            grants
                .iter()
                .map(|it| (&it.who, &it.outsider, &it.through))
                .collect(),
        ),
    };
    let addresses = (&it.primary, &it.aliases, it.aliases_unknown, &it.upn);
    hash(&(addresses, &it.kind, &it.name, access))
}

pub(super) fn content_of_account(it: &AccountEntry) -> u64 {
    let delegates: Vec<&String> = it
        .delegates
        .iter()
        .map(|Delegate { who, .. }| who)
        .collect();
    let addresses = (&it.address, &it.aliases, &it.external_account_id);
    hash(&(addresses, it.kind, &it.name, it.active, delegates))
}
