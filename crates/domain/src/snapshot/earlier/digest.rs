//! Makes the digest of a snapshot from its lines.

use super::{
    Earlier, Entry, Id, Key, Since, account_key, content_of_account, content_of_mailbox,
    delegate_key, mailbox_key, name, object_key, pair, seconds,
};
use crate::{
    delegation::Delegations,
    hash::{HashMap, HashSet},
    ids::{ObjectId, ScimId},
    snapshot::{Access, AccountEntry, Delegate, Grant, Last, Line, MailboxEntry, Side},
    world::World,
};

/// Collects the lines of a snapshot for its digest.
#[derive(Debug)]
pub struct Digest<'a> {
    world: &'a World,
    /// Mailboxes whose access is unknown now, and entries that cannot be understood now.
    unknown: HashSet<Key>,
    rejected: HashSet<Key>,
    earlier: Earlier,
}

impl<'a> Digest<'a> {
    /// An empty digest, for the snapshot of `world`.
    pub fn of(world: &'a World) -> Self {
        let directory = &world.directory;
        let is_known = |ix| matches!(world.delegations_of(ix), Some(Delegations::Known(_)));
        let unknown = directory.iter().filter(|(ix, _)| !is_known(*ix));
        let unknown = unknown.map(|(_, it)| mailbox_key(it.object_id.as_ref(), &it.primary));
        let rejected = directory.rejections.iter();
        let rejected = rejected.filter_map(|it| Some(object_key(it.object_id.as_ref()?)));
        let accounts = world.accounts.rejected().iter();
        let accounts = accounts.filter_map(|it| Some(account_key(it.id.as_ref()?)));
        Self {
            world,
            unknown: unknown.collect(),
            rejected: rejected.chain(accounts).collect(),
            earlier: Earlier::default(),
        }
    }

    /// Adds one line of the previous snapshot. The lines must be added in their order.
    pub fn take(&mut self, line: &Line) {
        match line {
            Line::Head(head) => self.earlier.began = Some(head.began),
            Line::Mailbox(it) => self.mailbox(it, matches!(it.access, Access::Known(_))),
            Line::Account(it) => self.account(it, true),
            Line::Rejected(it) => {
                let key = match it.side {
                    Side::Exchange => it.object_id.as_ref().map(object_key),
                    Side::Zivver => it.id.as_ref().map(account_key),
                };
                match key {
                    Some(key) => self.earlier.unread.insert(key),
                    None => self.earlier.has_nameless.insert(it.side),
                };
                if let (Side::Zivver, Some(id), Some(owner)) = (it.side, &it.id, it.object_id) {
                    self.claim(id, owner);
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
        let earlier = &mut self.earlier;
        if is_rejected || self.unknown.contains(&key) {
            let grants = it.access.last_known();
            let grants = grants.map(|grants| (key, grants.to_vec()));
            earlier.grants.extend(grants);
        }
        if is_rejected {
            earlier.lasts.insert(key, Last::Mailbox(it.clone()));
        }
        for grant in it.access.grants() {
            let who = match &grant.id {
                Some(id) => object_key(id),
                None => name(Side::Exchange, &grant.who),
            };
            earlier.since.push(pair(key, who), Since::from(grant));
        }
        let entry = Entry {
            address: name(Side::Exchange, it.primary.as_str()),
            content: content_of_mailbox(it),
            first: seconds(it.first),
            changed: seconds(it.changed),
            tied: None,
            is_known,
            has_id: it.object_id.is_some(),
        };
        earlier.entries.by_key.push(key, entry);
        if let Some(id) = it.object_id {
            self.list_mailbox(key, id);
            if let Some(account) = &it.account {
                self.claim(account, id);
            }
        }
    }

    fn account(&mut self, it: &AccountEntry, is_known: bool) {
        let key = account_key(&it.id);
        let earlier = &mut self.earlier;
        if self.rejected.contains(&key) {
            earlier.lasts.insert(key, Last::Account(it.clone()));
        }
        for delegate in &it.delegates {
            let who = match &delegate.account {
                Some(id) => account_key(id),
                None => delegate_key(&delegate.who),
            };
            earlier.since.push(pair(key, who), Since::from(delegate));
        }
        let entry = Entry {
            address: name(Side::Zivver, it.address.as_str()),
            content: content_of_account(it),
            first: seconds(it.first),
            changed: seconds(it.changed),
            tied: it.tied().as_ref().map(object_key),
            is_known,
            has_id: true,
        };
        earlier.entries.by_key.push(key, entry);
        if self.world.accounts.with_id(&it.id).is_none() {
            earlier.unlisted.insert(key, Id::Account(it.id.clone()));
        }
    }

    fn claim(&mut self, account: &ScimId, mailbox: ObjectId) {
        let owner = object_key(&mailbox);
        self.list_mailbox(owner, mailbox);
        self.earlier.claimants.push(account_key(account), owner);
    }

    fn list_mailbox(&mut self, key: Key, id: ObjectId) {
        if self.world.directory.with_object_id(&id).is_empty() {
            self.earlier.unlisted.insert(key, Id::Mailbox(id));
        }
    }

    /// Completes the digest after the last line.
    pub fn finish(self) -> Earlier {
        let Self {
            world,
            rejected,
            mut earlier,
            ..
        } = self;
        earlier.entries.sort();
        earlier.since.sort();
        earlier.claimants.sort();
        earlier.identify(&rejected, world);
        earlier
    }
}

impl Earlier {
    /// Adds the ids to last known values: in a later snapshot, an address may belong to another party.
    fn identify(&mut self, rejected: &HashSet<Key>, world: &World) {
        let entries = &self.entries;
        let key_of = |it: &Grant| entries.at(name(Side::Exchange, &it.who)).one();
        let grants = self.grants.values_mut().flatten();
        let grants = grants.filter(|it| it.id.is_none());
        let grants: Vec<_> = grants.filter_map(|it| Some((key_of(it)?, it))).collect();

        let key_of = |it: &Delegate| entries.at(name(Side::Zivver, &it.who)).one();
        let accounts = self.lasts.values_mut().filter_map(|last| match last {
            Last::Account(account) => Some(account),
            Last::Mailbox(_) => None,
        });
        let delegates = accounts.flat_map(|it| &mut it.delegates);
        let delegates = delegates.filter(|it| it.account.is_none());
        let delegates: Vec<_> = delegates.filter_map(|it| Some((key_of(it)?, it))).collect();

        let claimants = &self.claimants;
        let owners = rejected.iter();
        let owners = owners.filter_map(|account| Some((*claimants.get(*account)?, *account)));
        let owners: Vec<(Key, Key)> = owners.collect();

        let keys = grants.iter().map(|it| it.0);
        let keys = keys.chain(delegates.iter().map(|it| it.0));
        let ids = ids_of(&keys.chain(owners.iter().map(|it| it.0)).collect(), world);
        let id_of = |key: Key| ids.get(&key).or_else(|| self.unlisted.get(&key));
        for (key, grant) in grants {
            grant.id = id_of(key).and_then(Id::mailbox);
        }
        for (key, delegate) in delegates {
            delegate.account = id_of(key).and_then(Id::account).cloned();
        }
        let owners = owners.into_iter();
        let owners = owners.filter_map(|(key, account)| Some((account, id_of(key)?.mailbox()?)));
        self.owners = owners.collect();
    }
}

/// The ids for these keys, if they are listed now.
fn ids_of(wanted: &HashSet<Key>, world: &World) -> HashMap<Key, Id> {
    if wanted.is_empty() {
        return HashMap::default();
    }
    let directory = &world.directory;
    let mailboxes = directory.iter().filter_map(|(_, it)| it.object_id);
    let rejected = directory.rejections.iter();
    let mailboxes = mailboxes.chain(rejected.filter_map(|it| it.object_id));
    let mailboxes = mailboxes.map(|id| (object_key(&id), Id::Mailbox(id)));
    let accounts = world.accounts.iter().map(|(_, it)| it.id());
    let accounts = accounts.map(|id| (account_key(id), Id::Account(id.clone())));
    let all = mailboxes.chain(accounts);
    all.filter(|(key, _)| wanted.contains(key)).collect()
}
