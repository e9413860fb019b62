//! All mailboxes of the tenant, in one fixed order, with the indices by which a trustee or an account finds them
//! (R6, R9).

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use super::{
    address::{SmtpAddress, ascii_form},
    ids::{Guid, ObjectId},
    index::Index,
    mailbox::{Mailbox, Normalised, Rejection, normalise},
    source::MailboxRecord,
};

/// Position of a mailbox in [`Directory::mailboxes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxIx(pub u32);

/// A recipient that was read from Exchange: understood, or rejected (R5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    Mailbox(MailboxIx),
    Rejected(u32),
}

/// The mailbox list after `normalise`, sorted by address, so that nothing depends on the order or the paging of what
/// was read (R25).
#[derive(Debug, Default)]
pub struct Directory {
    pub mailboxes: Vec<Mailbox>,
    pub rejections: Vec<Rejection>,
    by_address: Index<SmtpAddress, Party>,
    by_upn: Index<Arc<str>, Party>,
    by_id: Index<Guid, Party>,
    by_name: Index<Arc<str>, Party>,
    /// R9: names that are the display name of another mailbox, in lower case.
    shown_elsewhere: BTreeSet<String>,
}

impl Directory {
    /// Equal rows count once, since an object that moved between two pages is listed twice.
    pub fn new(records: Vec<MailboxRecord>) -> Self {
        Self::of(records.into_iter().map(|record| normalise(&record)))
    }

    /// The same for rows that were normalised while they were read, which needs a fraction of the memory.
    pub fn of(rows: impl IntoIterator<Item = Normalised>) -> Self {
        let rows = rows.into_iter();
        let mut mailboxes = Vec::with_capacity(rows.size_hint().0);
        let mut rejections = Vec::new();
        for row in rows {
            match row {
                Ok(mailbox) => mailboxes.push(mailbox),
                Err(rejection) => rejections.push(*rejection),
            }
        }
        mailboxes.sort_unstable();
        mailboxes.dedup();
        rejections.sort_unstable();
        rejections.dedup();
        let mut directory = Self {
            mailboxes,
            rejections,
            ..Self::default()
        };
        directory.index();
        directory
    }

    fn index(&mut self) {
        let parties = || {
            let mailboxes =
                (0..self.mailboxes.len()).map(|at| Party::Mailbox(MailboxIx(to_u32(at))));
            let rejections = (0..self.rejections.len()).map(|at| Party::Rejected(to_u32(at)));
            mailboxes.chain(rejections)
        };
        let addresses = parties().map(|party| self.addresses(party).count()).sum();
        let ids = parties().map(|party| self.ids(party).count()).sum();
        let names = parties().map(|party| self.names(party).len()).sum();
        let mut by_address = Index::with_capacity(addresses);
        let mut by_upn = Index::with_capacity(self.mailboxes.len());
        let mut by_id = Index::with_capacity(ids);
        let mut by_name = Index::with_capacity(names);
        for party in parties() {
            for address in self.addresses(party) {
                by_address.add(address, party, |it| self.has_address(it, address));
            }
            if let Some(upn) = self.upn(party) {
                let key = match ascii_form(upn) {
                    Cow::Borrowed(_) => Arc::clone(upn),
                    Cow::Owned(ascii) => Arc::from(ascii),
                };
                by_upn.add(&key, party, |it| self.has_upn(it, &key));
            }
            for id in self.ids(party) {
                by_id.add(&id, party, |it| self.has_id(it, id));
            }
            for name in self.names(party) {
                by_name.add(name, party, |it| self.has_name(it, name));
            }
        }
        (self.by_address, self.by_upn) = (by_address, by_upn);
        (self.by_id, self.by_name) = (by_id, by_name);
        self.shown_elsewhere = self.find_shown_elsewhere();
    }

    fn addresses(&self, party: Party) -> impl Iterator<Item = &SmtpAddress> {
        let (primary, others) = match party {
            Party::Mailbox(ix) => {
                let mailbox = self.mailbox(ix);
                (Some(&mailbox.primary), &*mailbox.aliases)
            }
            Party::Rejected(at) => (None, &*self.rejections[at as usize].addresses),
        };
        primary.into_iter().chain(others)
    }

    fn has_address(&self, party: Party, address: &SmtpAddress) -> bool {
        self.addresses(party).any(|it| it == address)
    }

    fn upn(&self, party: Party) -> Option<&Arc<str>> {
        match party {
            Party::Mailbox(ix) => self.mailbox(ix).user_principal_name.as_ref(),
            Party::Rejected(at) => self.rejections[at as usize].user_principal_name.as_ref(),
        }
    }

    /// `key` is the ASCII form.
    fn has_upn(&self, party: Party, key: &str) -> bool {
        self.upn(party).is_some_and(|it| ascii_form(it) == key)
    }

    /// Object id, `Guid` and `ExchangeObjectId`.
    fn ids(&self, party: Party) -> impl Iterator<Item = Guid> {
        let guids = match party {
            Party::Mailbox(ix) => &*self.mailbox(ix).guids,
            Party::Rejected(at) => &*self.rejections[at as usize].guids,
        };
        let object_id = self.object_id(party).map(Guid::from);
        object_id.into_iter().chain(guids.iter().copied())
    }

    fn has_id(&self, party: Party, id: Guid) -> bool {
        self.ids(party).any(|it| it == id)
    }

    fn names(&self, party: Party) -> &[Arc<str>] {
        match party {
            Party::Mailbox(ix) => &self.mailbox(ix).names,
            Party::Rejected(at) => &self.rejections[at as usize].names,
        }
    }

    fn has_name(&self, party: Party, name: &str) -> bool {
        self.names(party).iter().any(|it| **it == *name)
    }

    fn find_shown_elsewhere(&self) -> BTreeSet<String> {
        let mailboxes = self.iter();
        let mailboxes = mailboxes.map(|(ix, it)| (Party::Mailbox(ix), Some(&it.display_name)));
        let rejections = self.rejections.iter().enumerate();
        let rejections =
            rejections.map(|(at, it)| (Party::Rejected(to_u32(at)), it.display_name.as_ref()));
        mailboxes
            .chain(rejections)
            .filter_map(|(party, name)| Some((party, name?.trim().to_lowercase())))
            .filter(|(party, name)| self.with_name(name).iter().any(|named| named != party))
            .map(|(_, name)| name)
            .collect()
    }

    pub fn mailbox(&self, ix: MailboxIx) -> &Mailbox {
        &self.mailboxes[ix.0 as usize]
    }

    /// Every mailbox with its position.
    pub fn iter(&self) -> impl Iterator<Item = (MailboxIx, &Mailbox)> {
        self.mailboxes
            .iter()
            .enumerate()
            .map(|(at, mailbox)| (MailboxIx(to_u32(at)), mailbox))
    }

    /// All mailboxes with this address, as primary or as alias.
    pub fn with_address(&self, address: &SmtpAddress) -> &[Party] {
        self.by_address
            .get(address, |party| self.has_address(party, address))
    }

    /// By `UserPrincipalName`; `text` in lower case.
    pub fn with_upn(&self, text: &str) -> &[Party] {
        let key = ascii_form(text);
        self.by_upn.get(&*key, |party| self.has_upn(party, &key))
    }

    /// By object id, `Guid` or `ExchangeObjectId`; `text` in lower case.
    pub fn with_id(&self, text: &str) -> &[Party] {
        Guid::parse(text).map_or(&[], |id| self.with_guid(id))
    }

    /// The same by an object id.
    pub fn with_object_id(&self, id: &ObjectId) -> &[Party] {
        self.with_guid(Guid::from(id))
    }

    fn with_guid(&self, id: Guid) -> &[Party] {
        self.by_id.get(&id, |party| self.has_id(party, id))
    }

    /// By `Name` or `Identity`; `text` in lower case.
    pub fn with_name(&self, text: &str) -> &[Party] {
        self.by_name.get(text, |party| self.has_name(party, text))
    }

    /// R9: whether a `Name` or `Identity`, in lower case, is the display name of another mailbox.
    pub fn is_shown_elsewhere(&self, name: &str) -> bool {
        self.shown_elsewhere.contains(name)
    }

    /// Whether the object of this mailbox was listed more than once with different values.
    pub fn is_seen_twice(&self, mailbox: &Mailbox) -> bool {
        mailbox.object_id.as_ref().is_some_and(|id| {
            let parties = self.by_id.several(&Guid::from(id)).iter();
            parties
                .filter(|party| self.object_id(**party) == Some(id))
                .count()
                > 1
        })
    }

    pub fn object_id(&self, party: Party) -> Option<&ObjectId> {
        match party {
            Party::Mailbox(ix) => self.mailbox(ix).object_id.as_ref(),
            Party::Rejected(at) => self.rejections[at as usize].object_id.as_ref(),
        }
    }

    /// R6: the primary address of more than one mailbox.
    pub fn is_shared_primary(&self, address: &SmtpAddress) -> bool {
        let parties = self.with_address(address).iter();
        let primary = parties.filter(|party| match party {
            Party::Mailbox(ix) => self.mailbox(*ix).primary == *address,
            Party::Rejected(_) => false,
        });
        primary.count() > 1
    }

    /// R6: an address of more than one mailbox. As a primary it stays its owner's; as an alias it is contested.
    pub fn is_shared_address(&self, address: &SmtpAddress) -> bool {
        !self.by_address.several(address).is_empty()
    }

    /// The name of a party in reports.
    pub fn label(&self, party: Party) -> &str {
        match party {
            Party::Mailbox(ix) => self.mailbox(ix).primary.as_str(),
            Party::Rejected(at) => &self.rejections[at as usize].label,
        }
    }
}

/// Tenants have at most a few hundred thousand mailboxes, so positions fit in 32 bits.
pub(super) fn to_u32(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than four thousand million mailboxes and accounts")
}
