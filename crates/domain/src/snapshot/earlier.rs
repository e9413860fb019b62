//! What the next snapshot needs of the one before: since when each thing is there, and what was last known of what is
//! unknown now. Kept as hashes, since it is held beside both sides of a large tenant.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Access, AccountEntry, Delegate, Grant, Last, Line, MailboxEntry, Side};
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
    /// Since when a party has access to an owner, by the hash of both.
    since: HashMap<u64, Since>,
    /// Who had an address, for each side.
    names: HashMap<u64, Named>,
    /// The mailbox that claimed an account.
    claimants: HashMap<Key, ObjectId>,
    /// R1, R5: sides on which something without an id was not understood, so that it may be anything.
    has_nameless: HashSet<Side>,
    /// What was there, but never understood.
    unread: HashSet<Key>,
    /// Mailboxes of which it is unknown now who has access, and what cannot be understood now.
    unknown: HashSet<Key>,
    rejected: HashSet<Key>,
    grants: HashMap<Key, Vec<Grant>>,
    lasts: HashMap<Key, Last>,
}

/// Identifies a mailbox or an account, independent of its address.
pub(super) type Key = u64;

#[derive(Debug, Clone, Copy)]
struct Entry {
    address: u64,
    content: Content,
    first: i64,
    changed: i64,
    /// R16, of an account.
    tied: Option<ObjectId>,
    /// Whether it was known who has access.
    is_known: bool,
}

#[derive(Debug, Clone)]
enum Named {
    Mailbox(ObjectId),
    Account(ScimId),
    /// Several have the address, or it has no id.
    Unclear,
}

/// What a change of counts as one. What is unknown in either of two snapshots is no change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    own: u64,
    access: Option<u64>,
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
    pub at: i64,
    pub or_earlier: bool,
}

/// A mailbox or an account now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose {
    pub key: Key,
    /// R16, of an account.
    pub tied: Option<ObjectId>,
    /// The mailbox that claims the account.
    pub claimant: Option<ObjectId>,
}

/// What it was in the snapshot before.
enum Was {
    Same(Entry),
    /// R16: the account belonged to another person.
    OtherPerson,
    NotThere,
    /// It is not known whether it was there, or whose it was.
    Unclear,
}

impl Earlier {
    /// An empty digest, for the snapshot of `world`.
    pub fn of(world: &World) -> Self {
        let directory = &world.directory;
        let mailboxes = directory.mailboxes.iter().enumerate();
        let is_known = |at: usize| {
            let delegations = world.delegations.get(at).and_then(Option::as_ref);
            matches!(delegations, Some(Delegations::Known(_)))
        };
        let unknown = mailboxes.filter(|(at, _)| !is_known(*at));
        let unknown = unknown.map(|(_, it)| mailbox_key(it.object_id.as_ref(), &it.primary));
        let rejected = directory.rejections.iter();
        let rejected = rejected.filter_map(|it| Some(object_key(it.object_id.as_ref()?)));
        let accounts = world.accounts.rejected().iter();
        let accounts = accounts.filter_map(|it| Some(account_key(it.id.as_ref()?)));
        Self {
            unknown: unknown.collect(),
            rejected: rejected.chain(accounts).collect(),
            ..Self::default()
        }
    }

    /// Adds one line of the previous snapshot. To be called for all of them in order.
    pub fn take(&mut self, line: &Line) {
        match line {
            Line::Head(head) => self.began = Some(head.began),
            Line::Mailbox(it) => self.mailbox(it, matches!(it.access, Access::Known(_))),
            Line::Account(it) => self.account(it, true),
            Line::Rejected(it) => {
                let key = match it.side {
                    Side::Exchange => it.object_id.as_ref().map(object_key),
                    Side::Zivver => it.id.as_ref().map(account_key),
                };
                match key {
                    Some(key) => self.unread.insert(key),
                    None => self.has_nameless.insert(it.side),
                };
                if let (Side::Zivver, Some(id), Some(owner)) = (it.side, &it.id, it.object_id) {
                    self.claimants.insert(account_key(id), owner);
                }
                match it.last.as_deref() {
                    Some(Last::Mailbox(mailbox)) => self.mailbox(mailbox, false),
                    Some(Last::Account(account)) => self.account(account, false),
                    None => {}
                }
            }
            Line::Decision(_) => {}
        }
    }

    fn mailbox(&mut self, it: &MailboxEntry, is_known: bool) {
        let key = mailbox_key(it.object_id.as_ref(), &it.primary);
        let is_rejected = self.rejected.contains(&key);
        if is_rejected || self.unknown.contains(&key) {
            let grants = it.access.last_known();
            self.grants
                .extend(grants.map(|grants| (key, grants.to_vec())));
        }
        if is_rejected {
            self.lasts.insert(key, Last::Mailbox(it.clone()));
        }
        for grant in it.access.grants() {
            let who = match &grant.id {
                Some(id) => object_key(id),
                None => name(Side::Exchange, &grant.who),
            };
            self.since.insert(pair(key, who), Since::from(grant));
        }
        if let (Some(account), Some(id)) = (&it.account, it.object_id) {
            self.claimants.insert(account_key(account), id);
        }
        let entry = Entry {
            address: name(Side::Exchange, it.primary.as_str()),
            content: content_of_mailbox(it),
            first: it.first,
            changed: it.changed,
            tied: None,
            is_known,
        };
        let named = it.object_id.map_or(Named::Unclear, Named::Mailbox);
        self.insert(key, entry, named);
    }

    fn account(&mut self, it: &AccountEntry, is_known: bool) {
        let key = account_key(&it.id);
        if self.rejected.contains(&key) {
            self.lasts.insert(key, Last::Account(it.clone()));
        }
        for delegate in &it.delegates {
            let who = match &delegate.account {
                Some(id) => account_key(id),
                None => delegate_key(&delegate.who),
            };
            self.since.insert(pair(key, who), Since::from(delegate));
        }
        let entry = Entry {
            address: name(Side::Zivver, it.address.as_str()),
            content: content_of_account(it),
            first: it.first,
            changed: it.changed,
            tied: it.tied(),
            is_known,
        };
        self.insert(key, entry, Named::Account(it.id.clone()));
    }

    fn insert(&mut self, key: Key, entry: Entry, named: Named) {
        let before = self.names.insert(entry.address, named);
        if before.is_some() {
            self.names.insert(entry.address, Named::Unclear);
        }
        self.entries.insert(key, entry);
    }

    /// When the series of snapshots began, if there is one.
    pub fn began(&self) -> Option<i64> {
        self.began
    }

    /// Since when `person` is with `owner`; `who` is its name, by which alone it is known if it has no id. An exact time
    /// is given only if the snapshot before would have shown it.
    pub(super) fn since(
        &self,
        side: Side,
        owner: Whose,
        person: Option<Whose>,
        who: &str,
        now: i64,
    ) -> Since {
        let new = Since {
            at: now,
            or_earlier: false,
        };
        let unclear = Since {
            at: now,
            or_earlier: true,
        };
        let owner_then = match self.was(side, owner) {
            _ if self.began.is_none() => return unclear,
            Was::Unclear => return unclear,
            Was::OtherPerson | Was::NotThere => return new,
            Was::Same(entry) => entry,
        };
        let by = |who: u64| self.since.get(&pair(owner.key, who)).copied();
        let text = match side {
            Side::Exchange => name(side, who),
            Side::Zivver => delegate_key(who),
        };
        let (found, is_clear) = match person {
            // Another who had the address is perhaps not the same.
            None if self.names.contains_key(&text) => (None, false),
            None => (by(text), !self.has_nameless.contains(&side)),
            Some(person) => match self.was(side, person) {
                Was::Same(entry) => (by(person.key).or_else(|| by(entry.address)), true),
                Was::OtherPerson => (None, true),
                Was::NotThere => {
                    let is_nobody_else = by(text).is_none() || self.is_identified(text);
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

    /// Whether it is known who had an address.
    fn is_identified(&self, address: u64) -> bool {
        match self.names.get(&address) {
            Some(Named::Mailbox(_) | Named::Account(_)) => true,
            Some(Named::Unclear) | None => false,
        }
    }

    fn was(&self, side: Side, it: Whose) -> Was {
        let Some(entry) = self.entries.get(&it.key) else {
            return if self.has_nameless.contains(&side) || self.unread.contains(&it.key) {
                Was::Unclear
            } else {
                Was::NotThere
            };
        };
        let differ = |one: Option<ObjectId>, other: Option<ObjectId>| {
            one.zip(other).map(|(one, other)| one != other)
        };
        match differ(entry.tied, it.tied) {
            Some(true) => Was::OtherPerson,
            Some(false) => Was::Same(*entry),
            None => match differ(self.claimants.get(&it.key).copied(), it.claimant) {
                Some(true) => Was::Unclear,
                Some(false) | None => Was::Same(*entry),
            },
        }
    }

    /// When it came, and when it last changed.
    pub(super) fn times(&self, key: Key, content: Content, now: i64) -> (i64, i64) {
        match self.entries.get(&key) {
            None => (now, now),
            Some(entry) if entry.content.is_same(content) => (entry.first, entry.changed),
            Some(entry) => (entry.first, now),
        }
    }

    /// The account that had an address, where that is clear.
    pub(super) fn account_at(&self, address: &SmtpAddress) -> Option<&ScimId> {
        match self.names.get(&name(Side::Zivver, address.as_str()))? {
            Named::Account(id) => Some(id),
            Named::Mailbox(_) | Named::Unclear => None,
        }
    }

    /// R11: who was last known to have access to a mailbox.
    pub(super) fn last(&self, key: Key) -> Option<Vec<Grant>> {
        let grants = self.grants.get(&key)?.iter();
        Some(grants.map(|it| self.with_id(it)).collect())
    }

    /// R5: what was last known of a mailbox.
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

    /// R1: what was last known of an account, and the mailbox that it belonged to.
    pub(super) fn last_account_of(&self, id: &ScimId) -> (Option<AccountEntry>, Option<ObjectId>) {
        let key = account_key(id);
        let Some(Last::Account(account)) = self.lasts.get(&key) else {
            return (None, self.claimants.get(&key).copied());
        };
        let mut account = account.clone();
        for delegate in &mut account.delegates {
            if let (None, Some(Named::Account(id))) = (
                &delegate.account,
                self.names.get(&name(Side::Zivver, &delegate.who)),
            ) {
                delegate.account = Some(id.clone());
            }
        }
        let tied = account.tied().or(self.claimants.get(&key).copied());
        (Some(account), tied)
    }

    /// An address is somebody else's in a later snapshot, so the id goes with it.
    fn with_id(&self, grant: &Grant) -> Grant {
        let mut grant = grant.clone();
        if let (None, Some(Named::Mailbox(id))) =
            (grant.id, self.names.get(&name(Side::Exchange, &grant.who)))
        {
            grant.id = Some(*id);
        }
        grant
    }
}

impl From<&Grant> for Since {
    fn from(it: &Grant) -> Self {
        Self {
            at: it.since,
            or_earlier: it.or_earlier,
        }
    }
}

impl From<&Delegate> for Since {
    fn from(it: &Delegate) -> Self {
        Self {
            at: it.since,
            or_earlier: it.or_earlier,
        }
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
fn delegate_key(who: &str) -> u64 {
    if who.contains('@') {
        name(Side::Zivver, who)
    } else {
        hash(&("account", who))
    }
}

fn pair(owner: Key, who: u64) -> u64 {
    hash(&(owner, who))
}

/// Spellings of one address are one.
fn name(side: Side, text: &str) -> u64 {
    hash(&(side, SmtpAddress::verbatim(text)))
}

/// Hashes are compared only within a process.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

pub(super) fn content_of_mailbox(it: &MailboxEntry) -> Content {
    let grants = it.access.last_known();
    let access = grants.map(|grants| {
        let grants: Vec<_> = grants
            .iter()
            .map(|it| (&it.who, &it.outsider, &it.through))
            .collect();
        hash(&grants)
    });
    let addresses = (&it.primary, &it.aliases, it.aliases_unknown, &it.upn);
    Content {
        own: hash(&(addresses, &it.kind, &it.name)),
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
        own: hash(&(addresses, it.kind, &it.name, it.active)),
        access: Some(hash(&delegates)),
    }
}
