//! Finds objects by any of their identities without scanning.

use std::collections::HashMap;

use super::tenant::{Contact, Group, Life, Mailbox, Tenant};

/// The position of an object in its list of the tenant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ref {
    Mailbox(u32),
    Group(u32),
    Contact(u32),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Object<'a> {
    Mailbox(&'a Mailbox),
    Group(&'a Group),
    Contact(&'a Contact),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    One(Ref),
    Nothing,
    Several,
}

#[derive(Debug)]
enum Slot {
    One(Ref),
    Several(Vec<Ref>),
}

#[derive(Debug, Default)]
pub(super) struct Index {
    /// UPN, proxy addresses and GUIDs.
    ids: HashMap<Box<str>, Slot>,
    /// Name, identity and alias.
    names: HashMap<Box<str>, Slot>,
    display_names: HashMap<Box<str>, Slot>,
}

impl Index {
    pub(super) fn new(tenant: &Tenant) -> Self {
        let mut index = Self::default();
        let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        for (at, mailbox) in tenant.mailboxes.iter().enumerate() {
            if mailbox.life == Life::Active {
                index.add(Ref::Mailbox(position(at)), Object::Mailbox(mailbox));
            }
        }
        for (at, group) in tenant.groups.iter().enumerate() {
            index.add(Ref::Group(position(at)), Object::Group(group));
        }
        for (at, contact) in tenant.contacts.iter().enumerate() {
            index.add(Ref::Contact(position(at)), Object::Contact(contact));
        }
        index
    }

    /// The object with an accepted kind and this identity. Unique identities have precedence over names, and names over
    /// display names.
    pub(super) fn find(
        &self,
        identity: &str,
        display_names: bool,
        accepts: impl Fn(Ref) -> bool,
    ) -> Found {
        let key = identity.to_lowercase();
        let maps = [&self.ids, &self.names, &self.display_names];
        let maps = &maps[..if display_names { 3 } else { 2 }];
        for map in maps {
            let refs = match map.get(key.as_str()) {
                None => &[][..],
                Some(Slot::One(one)) => std::slice::from_ref(one),
                Some(Slot::Several(several)) => several,
            };
            let mut hits = refs.iter().filter(|hit| accepts(**hit));
            match (hits.next(), hits.next()) {
                (None, _) => (),
                (Some(hit), None) => return Found::One(*hit),
                (Some(_), Some(_)) => return Found::Several,
            }
        }
        Found::Nothing
    }

    fn add(&mut self, at: Ref, object: Object<'_>) {
        let Common {
            edoid,
            guid,
            exchange_object_id,
            user_principal_name,
            name,
            identity,
            alias,
            display_name,
            primary_smtp_address,
            email_addresses,
        } = object.common();
        let addresses = email_addresses.iter().filter_map(|address| {
            let (prefix, address) = address.split_once(':')?;
            prefix.eq_ignore_ascii_case("smtp").then_some(address)
        });
        let ids = [
            edoid,
            guid,
            exchange_object_id,
            user_principal_name,
            primary_smtp_address,
        ];
        for id in ids.into_iter().chain(addresses) {
            insert(&mut self.ids, id, at);
        }
        for name in [name, identity, alias] {
            insert(&mut self.names, name, at);
        }
        insert(&mut self.display_names, display_name, at);
    }
}

fn insert(map: &mut HashMap<Box<str>, Slot>, key: &str, at: Ref) {
    if key.is_empty() {
        return;
    }
    let key = key.to_lowercase();
    match map.get_mut(key.as_str()) {
        None => {
            map.insert(key.into(), Slot::One(at));
        }
        Some(Slot::Several(refs)) => {
            if !refs.contains(&at) {
                refs.push(at);
            }
        }
        Some(slot @ Slot::One(_)) => {
            if let Slot::One(first) = *slot
                && first != at
            {
                *slot = Slot::Several(vec![first, at]);
            }
        }
    }
}

/// The properties that all kinds of objects have; empty if a kind lacks one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common<'a> {
    pub(super) edoid: &'a str,
    pub(super) guid: &'a str,
    pub(super) exchange_object_id: &'a str,
    pub(super) user_principal_name: &'a str,
    pub(super) name: &'a str,
    pub(super) identity: &'a str,
    pub(super) alias: &'a str,
    pub(super) display_name: &'a str,
    pub(super) primary_smtp_address: &'a str,
    pub(super) email_addresses: &'a [String],
}

macro_rules! common {
    ($object:expr, $upn:expr) => {
        Common {
            edoid: &$object.edoid,
            guid: &$object.guid,
            exchange_object_id: &$object.exchange_object_id,
            user_principal_name: $upn,
            name: &$object.name,
            identity: &$object.identity,
            alias: &$object.alias,
            display_name: &$object.display_name,
            primary_smtp_address: &$object.primary_smtp_address,
            email_addresses: &$object.email_addresses,
        }
    };
}

impl<'a> Object<'a> {
    pub(super) fn common(self) -> Common<'a> {
        match self {
            Self::Mailbox(mailbox) => common!(mailbox, &mailbox.user_principal_name),
            Self::Group(group) => common!(group, ""),
            Self::Contact(contact) => common!(contact, &contact.user_principal_name),
        }
    }

    pub(super) fn recipient_type_details(self) -> &'a str {
        match self {
            Self::Mailbox(mailbox) => &mailbox.recipient_type_details,
            Self::Group(group) => group.kind.recipient_type_details(),
            Self::Contact(contact) => &contact.recipient_type_details,
        }
    }
}
