//! All mailboxes of the tenant, in one fixed order, with the indices by which a trustee or an account finds them
//! (R6, R9).

use super::{
    address::SmtpAddress,
    hash::HashMap,
    ids::ObjectId,
    mailbox::{Mailbox, Rejection, normalise},
    source::MailboxRecord,
};

/// Position of a mailbox in [`Directory::mailboxes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxIx(pub u32);

/// Somebody who was read from Exchange: understood, or rejected (R5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    Mailbox(MailboxIx),
    Rejected(u32),
}

/// Everybody under one key: mostly one party.
type Index = HashMap<Box<str>, Parties>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Parties {
    One(Party),
    Many(Vec<Party>),
}

impl Parties {
    fn as_slice(&self) -> &[Party] {
        match self {
            Self::One(party) => std::slice::from_ref(party),
            Self::Many(parties) => parties,
        }
    }
}

/// The mailbox list after `normalise`. The order is that of the addresses, so that nothing depends on the order or
/// the paging of what was read (R25).
#[derive(Debug, Default)]
pub struct Directory {
    pub mailboxes: Vec<Mailbox>,
    pub rejections: Vec<Rejection>,
    by_address: HashMap<SmtpAddress, Parties>,
    by_upn: Index,
    by_id: Index,
    by_name: Index,
}

impl Directory {
    /// Rows that are equal count once: an object that moved between two pages comes twice.
    pub fn new(records: Vec<MailboxRecord>) -> Self {
        let mut mailboxes = Vec::with_capacity(records.len());
        let mut rejections = Vec::new();
        for record in records {
            match normalise(&record) {
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
        self.by_address.reserve(self.mailboxes.len() * 2);
        self.by_upn.reserve(self.mailboxes.len());
        self.by_id.reserve(self.mailboxes.len() * 2);
        for (at, mailbox) in self.mailboxes.iter().enumerate() {
            let party = Party::Mailbox(MailboxIx(to_u32(at)));
            add(&mut self.by_address, mailbox.primary.clone(), party);
            for alias in &mailbox.aliases {
                add(&mut self.by_address, alias.clone(), party);
            }
            add_names(
                &mut self.by_upn,
                mailbox.user_principal_name.as_ref(),
                party,
            );
            add_names(
                &mut self.by_id,
                mailbox
                    .object_id
                    .as_ref()
                    .map(|id| id.as_str().into())
                    .as_ref(),
                party,
            );
            add_names(&mut self.by_id, &mailbox.guids, party);
            add_names(&mut self.by_name, &mailbox.names, party);
        }
        for (at, rejection) in self.rejections.iter().enumerate() {
            let party = Party::Rejected(to_u32(at));
            for address in &rejection.addresses {
                add(&mut self.by_address, address.clone(), party);
            }
            add_names(
                &mut self.by_upn,
                rejection.user_principal_name.as_ref(),
                party,
            );
            add_names(
                &mut self.by_id,
                rejection
                    .object_id
                    .as_ref()
                    .map(|id| id.as_str().into())
                    .as_ref(),
                party,
            );
            add_names(&mut self.by_id, &rejection.guids, party);
            add_names(&mut self.by_name, &rejection.names, party);
        }
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

    /// Everybody who has this address, as primary or as alias.
    pub fn with_address(&self, address: &str) -> &[Party] {
        self.by_address.get(address).map_or(&[], Parties::as_slice)
    }

    /// By `UserPrincipalName`; `text` in lower case.
    pub fn with_upn(&self, text: &str) -> &[Party] {
        self.by_upn.get(text).map_or(&[], Parties::as_slice)
    }

    /// By object id, `Guid` or `ExchangeObjectId`; `text` in lower case.
    pub fn with_id(&self, text: &str) -> &[Party] {
        self.by_id.get(text).map_or(&[], Parties::as_slice)
    }

    /// By `Name` or `Identity`; `text` in lower case.
    pub fn with_name(&self, text: &str) -> &[Party] {
        self.by_name.get(text).map_or(&[], Parties::as_slice)
    }

    /// Whether anybody who was read has this Entra object id.
    pub fn has_object_id(&self, id: &ObjectId) -> bool {
        self.with_id(id.as_str())
            .iter()
            .any(|party| self.object_id(*party) == Some(id))
    }

    /// Whether the object of this mailbox was listed more than once, with something changed in between.
    pub fn is_seen_twice(&self, mailbox: &Mailbox) -> bool {
        mailbox.object_id.as_ref().is_some_and(|id| {
            let parties = self.with_id(id.as_str());
            parties.len() > 1
                && parties
                    .iter()
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

    /// R6: an address of more than one mailbox. As a primary it stays its owner's; as an alias it is contested.
    pub fn is_shared_address(&self, address: &SmtpAddress) -> bool {
        self.with_address(address.as_str()).len() > 1
    }

    /// What a report calls a party.
    pub fn label(&self, party: Party) -> &str {
        match party {
            Party::Mailbox(ix) => self.mailbox(ix).primary.as_str(),
            Party::Rejected(at) => &self.rejections[at as usize].label,
        }
    }
}

fn add<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Parties>, key: K, party: Party) {
    match index.entry(key) {
        std::collections::hash_map::Entry::Vacant(vacant) => {
            vacant.insert(Parties::One(party));
        }
        std::collections::hash_map::Entry::Occupied(mut occupied) => {
            let parties = occupied.get_mut();
            if !parties.as_slice().contains(&party) {
                let mut all = parties.as_slice().to_vec();
                all.push(party);
                *parties = Parties::Many(all);
            }
        }
    }
}

fn add_names<'a>(index: &mut Index, names: impl IntoIterator<Item = &'a Box<str>>, party: Party) {
    for name in names {
        add(index, name.clone(), party);
    }
}

/// Tenants have at most some hundred thousand mailboxes; positions are kept small.
pub(super) fn to_u32(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than four thousand million mailboxes and accounts")
}
