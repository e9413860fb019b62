//! What a snapshot needs from the previous one: since when each entry exists, and the last known values of what is unknown
//! now. Stored as hashes, since it is in memory together with both sides of a large tenant.

mod digest;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    num::{NonZeroU32, NonZeroU64},
};

pub use digest::Digest;

use super::{Access, AccountEntry, Delegate, Grant, Last, MailboxEntry, Side};
use crate::{
    address::SmtpAddress,
    hash::{HashMap, HashSet},
    ids::{ObjectId, ScimId},
};

/// The digest of a snapshot.
#[derive(Debug, Default)]
pub struct Earlier {
    began: Option<i64>,
    entries: Entries,
    /// Since when a party has access to an owner, by the hash of both.
    since: Table<Since>,
    /// The mailbox that claimed an account.
    claimants: Table<Key>,
    /// R1, R5: sides with an entry that was not understood and has no id.
    has_nameless: HashSet<Side>,
    /// Entries that existed but were never understood.
    unread: HashSet<Key>,
    grants: HashMap<Key, Vec<Grant>>,
    lasts: HashMap<Key, Last>,
    /// R1: the mailboxes of accounts that cannot be understood now.
    owners: HashMap<Key, ObjectId>,
    /// The ids of entries that are not listed now.
    unlisted: HashMap<Key, Id>,
}

/// Identifies a mailbox or an account, independent of its address.
pub(super) type Key = NonZeroU64;

#[derive(Debug, Clone)]
enum Id {
    Mailbox(ObjectId),
    Account(ScimId),
}

impl Id {
    fn mailbox(&self) -> Option<ObjectId> {
        match self {
            Self::Mailbox(id) => Some(*id),
            Self::Account(_) => None,
        }
    }

    fn account(&self) -> Option<&ScimId> {
        match self {
            Self::Account(id) => Some(id),
            Self::Mailbox(_) => None,
        }
    }
}

/// Values by hash, sorted once after all are added: a hash table of this size would be half empty.
#[derive(Debug)]
struct Table<V>(Vec<(Key, V)>);

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Table<V> {
    fn push(&mut self, key: Key, value: V) {
        self.0.push((key, value));
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|it| it.0);
    }

    /// The last of several values with one key.
    fn get(&self, key: Key) -> Option<&V> {
        let end = self.0.partition_point(|it| it.0 <= key);
        let (found, value) = self.0[..end].last()?;
        (*found == key).then_some(value)
    }
}

#[derive(Debug, Default)]
struct Entries {
    by_key: Table<Entry>,
    /// Positions in `by_key`, sorted by address.
    by_address: Vec<u32>,
}

impl Entries {
    fn sort(&mut self) {
        self.by_key.sort();
        let entries = &self.by_key.0;
        self.by_address = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect();
        self.by_address
            .sort_unstable_by_key(|at| entries[*at as usize].1.address);
    }

    fn at(&self, address: Key) -> Named {
        let entries = &self.by_key.0;
        let address_of = |at: &u32| entries[*at as usize].1.address;
        let from = self
            .by_address
            .partition_point(|at| address_of(at) < address);
        let found = self.by_address[from..].iter();
        let mut found = found.take_while(|at| address_of(at) == address);
        let Some(first) = found.next() else {
            return Named::Nothing;
        };
        match entries[*first as usize] {
            (key, Entry { has_id: true, .. }) if found.next().is_none() => Named::One(key),
            _ => Named::Unclear,
        }
    }
}

/// The owner of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    One(Key),
    /// Several own the address, or the owner has no id.
    Unclear,
    Nothing,
}

impl Named {
    fn one(self) -> Option<Key> {
        match self {
            Self::One(key) => Some(key),
            Self::Unclear | Self::Nothing => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    address: Key,
    content: Content,
    first: Seconds,
    changed: Seconds,
    /// R16, of an account.
    tied: Option<Key>,
    /// Whether it was known who has access.
    is_known: bool,
    has_id: bool,
}

/// Epoch seconds, until 2106.
type Seconds = u32;

fn seconds(at: i64) -> Seconds {
    u32::try_from(at).unwrap_or(if at < 0 { 0 } else { u32::MAX })
}

/// The values of which a change is recorded. A value that is unknown in one of the two snapshots has not changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    own: NonZeroU32,
    access: Option<NonZeroU32>,
}

impl Content {
    fn is_same(self, other: Self) -> bool {
        let is_known = self.access.is_some() && other.access.is_some();
        self.own == other.own && (!is_known || self.access == other.access)
    }
}

/// When something was first seen, in epoch seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    at: Seconds,
    pub(super) or_earlier: bool,
}

impl Since {
    fn new(at: i64, or_earlier: bool) -> Self {
        Self {
            at: seconds(at),
            or_earlier,
        }
    }

    pub(super) fn at(self) -> i64 {
        self.at.into()
    }
}

/// A mailbox or an account in the new snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose {
    pub key: Key,
    /// R16, of an account.
    pub tied: Option<Key>,
    /// The mailbox that claims the account.
    pub claimant: Option<Key>,
}

/// The same in the previous snapshot.
enum Was {
    Same(Entry),
    /// R16: the account belonged to another person.
    OtherPerson,
    NotThere,
    /// It is unknown whether it existed, or to whom it belonged.
    Unclear,
}

impl Earlier {
    /// When the series of snapshots began, if there is one.
    pub fn began(&self) -> Option<i64> {
        self.began
    }

    /// Since when `person` has access to `owner`. `who` is the name of a person without an id. The time is exact only if
    /// the previous snapshot would have shown the access.
    pub(super) fn since(
        &self,
        side: Side,
        owner: Whose,
        person: Option<Whose>,
        who: &str,
        now: i64,
    ) -> Since {
        let new = Since::new(now, false);
        let unclear = Since::new(now, true);
        let owner_then = match self.was(side, owner) {
            _ if self.began.is_none() => return unclear,
            Was::Unclear => return unclear,
            Was::OtherPerson | Was::NotThere => return new,
            Was::Same(entry) => entry,
        };
        let by = |who: Key| self.since.get(pair(owner.key, who)).copied();
        let text = match side {
            Side::Exchange => name(side, who),
            Side::Zivver => delegate_key(who),
        };
        let (found, is_clear) = match person {
            // The previous owner of the address may be another person.
            None if self.entries.at(text) != Named::Nothing => (None, false),
            None => (by(text), !self.has_nameless.contains(&side)),
            Some(person) => match self.was(side, person) {
                Was::Same(entry) => (by(person.key).or_else(|| by(entry.address)), true),
                Was::OtherPerson => (None, true),
                Was::NotThere => {
                    let is_nobody_else =
                        by(text).is_none() || self.entries.at(text).one().is_some();
                    (by(person.key), is_nobody_else)
                }
                Was::Unclear => (by(person.key), false),
            },
        };
        match found {
            Some(since) => since,
            None if is_clear && owner_then.is_known => new,
            None => unclear,
        }
    }

    fn was(&self, side: Side, it: Whose) -> Was {
        let Some(entry) = self.entries.by_key.get(it.key) else {
            return if self.has_nameless.contains(&side) || self.unread.contains(&it.key) {
                Was::Unclear
            } else {
                Was::NotThere
            };
        };
        let differ =
            |one: Option<Key>, other: Option<Key>| one.zip(other).map(|(one, other)| one != other);
        match differ(entry.tied, it.tied) {
            Some(true) => Was::OtherPerson,
            Some(false) => Was::Same(*entry),
            None => match differ(self.claimants.get(it.key).copied(), it.claimant) {
                Some(true) => Was::Unclear,
                Some(false) | None => Was::Same(*entry),
            },
        }
    }

    /// When it was first seen, and when it last changed.
    pub(super) fn times(&self, key: Key, content: Content, now: i64) -> (i64, i64) {
        match self.entries.by_key.get(key) {
            None => (now, now),
            Some(entry) if entry.content.is_same(content) => {
                (entry.first.into(), entry.changed.into())
            }
            Some(entry) => (entry.first.into(), now),
        }
    }

    /// The account that had an address and is not listed now.
    pub(super) fn unlisted_account_at(&self, address: &SmtpAddress) -> Option<&ScimId> {
        let named = self.entries.at(name(Side::Zivver, address.as_str()));
        self.unlisted.get(&named.one()?)?.account()
    }

    /// R11: who was last known to have access to a mailbox.
    pub(super) fn last(&self, key: Key) -> Option<Vec<Grant>> {
        self.grants.get(&key).cloned()
    }

    /// R5: the last known values of a mailbox.
    pub(super) fn last_mailbox_of(&self, id: &ObjectId) -> Option<MailboxEntry> {
        let key = object_key(id);
        let Some(Last::Mailbox(mailbox)) = self.lasts.get(&key) else {
            return None;
        };
        let mut mailbox = mailbox.clone();
        match &mut mailbox.access {
            Access::Unread { last, .. } | Access::Unknown { last, .. } => *last = self.last(key),
            Access::Known(grants) => *grants = self.last(key).unwrap_or_default(),
        }
        Some(mailbox)
    }

    /// R1: the last known values of an account, and the mailbox that it belonged to.
    pub(super) fn last_account_of(&self, id: &ScimId) -> (Option<AccountEntry>, Option<ObjectId>) {
        let key = account_key(id);
        let owner = self.owners.get(&key).copied();
        let Some(Last::Account(account)) = self.lasts.get(&key) else {
            return (None, owner);
        };
        (Some(account.clone()), account.tied().or(owner))
    }
}

impl From<&Grant> for Since {
    fn from(it: &Grant) -> Self {
        Self::new(it.since, it.or_earlier)
    }
}

impl From<&Delegate> for Since {
    fn from(it: &Delegate) -> Self {
        Self::new(it.since, it.or_earlier)
    }
}

pub(super) fn mailbox_key(object_id: Option<&ObjectId>, primary: &SmtpAddress) -> Key {
    match object_id {
        Some(id) => object_key(id),
        None => hash(&("mailbox at", primary)),
    }
}

pub(super) fn object_key(id: &ObjectId) -> Key {
    hash(&("mailbox", id))
}

pub(super) fn account_key(id: &ScimId) -> Key {
    hash(&("account", id))
}

/// Zivver has addresses for the delegates of a user, and ids for members.
fn delegate_key(who: &str) -> Key {
    if who.contains('@') {
        name(Side::Zivver, who)
    } else {
        hash(&("account", who))
    }
}

fn pair(owner: Key, who: Key) -> Key {
    hash(&(owner, who))
}

/// Spellings of one address are one.
fn name(side: Side, text: &str) -> Key {
    hash(&(side, SmtpAddress::verbatim(text)))
}

/// Hashes are compared only within a process.
fn hash(value: &impl Hash) -> Key {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN)
}

/// Half of the hash: a collision only shifts a date.
fn short_hash(value: &impl Hash) -> NonZeroU32 {
    let [a, b, c, d, ..] = hash(value).get().to_be_bytes();
    NonZeroU32::new(u32::from_be_bytes([a, b, c, d])).unwrap_or(NonZeroU32::MIN)
}

pub(super) fn content_of_mailbox(it: &MailboxEntry) -> Content {
    let grants = it.access.last_known();
    let access = grants.map(|grants| {
        let grants: Vec<_> = grants
            .iter()
            .map(|it| (&it.who, &it.outsider, &it.through))
            .collect();
        short_hash(&grants)
    });
    let addresses = (&it.primary, &it.aliases, it.aliases_unknown, &it.upn);
    Content {
        own: short_hash(&(addresses, &it.kind, &it.name)),
        access,
    }
}

pub(super) fn content_of_account(it: &AccountEntry) -> Content {
    let delegates: Vec<&String> = it
        .delegates
        .iter()
        .map(|Delegate { who, .. }| who)
        .collect();
    let addresses = (&it.address, &it.aliases, &it.external_account_id);
    Content {
        own: short_hash(&(addresses, it.kind, &it.name, it.active)),
        access: Some(short_hash(&delegates)),
    }
}
