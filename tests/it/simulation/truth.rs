//! What is true at one moment, computed from the simulated directory alone: who has which mailbox, and who may open it.

use std::collections::{BTreeMap, BTreeSet};

use cloud_sync::sandbox::exchange::{Contact, Group, GroupKind, Life, Mailbox, Tenant};

pub(super) const DOMAIN: &str = "corp.example";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Shared,
    /// A room or similar. Its account may still belong to a person.
    Other,
    /// A person whose mailbox is elsewhere: a mail user, a remote mailbox.
    Elsewhere,
    /// A group or a contact, which cannot sign in.
    Nobody,
}

/// A mailbox, identified by the object id of its owner.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) kind: Kind,
    pub(super) enabled: bool,
    pub(super) primary: String,
    /// The primary included.
    pub(super) addresses: BTreeSet<String>,
    pub(super) upn: String,
    pub(super) name: String,
    /// Object ids of those who may open it.
    pub(super) grantees: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Truth {
    pub(super) mailboxes: BTreeMap<String, Fact>,
    /// The other recipients that Exchange knows.
    pub(super) recipients: BTreeMap<String, Fact>,
}

pub(super) fn lower(text: &str) -> String {
    text.trim().to_lowercase()
}

pub(super) fn is_claimed(address: &str) -> bool {
    address
        .rsplit_once('@')
        .is_some_and(|(_, domain)| domain == DOMAIN)
}

fn addresses(listed: &[String], primary: &str) -> BTreeSet<String> {
    let listed = listed.iter().filter_map(|entry| {
        let (prefix, address) = entry.split_once(':')?;
        prefix.eq_ignore_ascii_case("smtp").then(|| lower(address))
    });
    listed.chain([lower(primary)]).collect()
}

fn of_contact(contact: &Contact) -> (String, Fact) {
    let primary = lower(&contact.primary_smtp_address);
    let fact = Fact {
        kind: if contact.recipient_type_details == "MailContact" {
            Kind::Nobody
        } else {
            Kind::Elsewhere
        },
        enabled: true,
        addresses: addresses(&contact.email_addresses, &primary),
        upn: lower(&contact.user_principal_name),
        name: contact.display_name.clone(),
        grantees: BTreeSet::new(),
        primary,
    };
    (lower(&contact.edoid), fact)
}

fn of_group(group: &Group) -> (String, Fact) {
    let primary = lower(&group.primary_smtp_address);
    let fact = Fact {
        kind: Kind::Nobody,
        enabled: true,
        addresses: addresses(&group.email_addresses, &primary),
        upn: String::new(),
        name: group.display_name.clone(),
        grantees: BTreeSet::new(),
        primary,
    };
    (lower(&group.edoid), fact)
}

impl Truth {
    pub(super) fn of(tenant: &Tenant) -> Self {
        let listed = tenant
            .mailboxes
            .iter()
            .filter(|it| it.life == Life::Active && !it.edoid.is_empty());
        let mailboxes = listed.map(|mailbox| {
            let primary = lower(&mailbox.primary_smtp_address);
            let name = mailbox.display_name.trim();
            let fact = Fact {
                kind: match mailbox.recipient_type_details.as_str() {
                    "UserMailbox" => Kind::User,
                    "SharedMailbox" => Kind::Shared,
                    _ => Kind::Other,
                },
                enabled: mailbox.account_disabled == Some(false),
                addresses: addresses(&mailbox.email_addresses, &mailbox.primary_smtp_address),
                upn: lower(&mailbox.user_principal_name),
                name: if name.is_empty() {
                    primary.clone()
                } else {
                    name.to_owned()
                },
                grantees: grantees(tenant, mailbox),
                primary,
            };
            (lower(&mailbox.edoid), fact)
        });
        let contacts = tenant.contacts.iter().map(of_contact);
        let groups = tenant.groups.iter().map(of_group);
        let recipients = contacts.chain(groups);
        Self {
            mailboxes: mailboxes.collect(),
            recipients: recipients.filter(|(id, _)| !id.is_empty()).collect(),
        }
    }

    /// The owner of this object id, with or without a mailbox.
    pub(super) fn known(&self, person: &str) -> Option<&Fact> {
        let recipient = || self.recipients.get(person);
        self.mailboxes.get(person).or_else(recipient)
    }

    /// The owner of an account at this address, according to the address: the mailbox there, a person whose mailbox is
    /// elsewhere, or a mailbox that has moved to another domain.
    pub(super) fn owner_of(&self, address: &str, kind: Kind) -> Option<&String> {
        let mailbox = self.with_primary(address);
        let elsewhere = |fact: &Fact| kind == Kind::User && fact.kind == Kind::Elsewhere;
        let moved = |fact: &Fact| fact.kind == kind && !is_claimed(&fact.primary);
        let person = || {
            let people = self.recipients.iter().filter(|(_, fact)| elsewhere(fact));
            let moved = self.mailboxes.iter().filter(|(_, fact)| moved(fact));
            let mut all = people.chain(moved);
            let person = all.find(|(_, fact)| fact.addresses.contains(address));
            person.map(|(id, _)| id)
        };
        match mailbox {
            Some(person) => Some(person).filter(|it| self.mailboxes[*it].kind == kind),
            None => person(),
        }
    }

    pub(super) fn with_primary(&self, address: &str) -> Option<&String> {
        self.mailboxes
            .iter()
            .find(|(_, fact)| fact.primary == address)
            .map(|(id, _)| id)
    }

    pub(super) fn with_key(&self, key: &str) -> Option<&String> {
        let key = lower(key);
        let fits = |(id, fact): &(&String, &Fact)| {
            **id == key || fact.upn == key || fact.addresses.contains(&key)
        };
        self.mailboxes.iter().find(fits).map(|(id, _)| id)
    }
}

fn grantees(tenant: &Tenant, mailbox: &Mailbox) -> BTreeSet<String> {
    let (mut allowed, mut denied) = (BTreeSet::new(), BTreeSet::new());
    for permission in &mailbox.permissions {
        let full = permission
            .access_rights
            .iter()
            .any(|right| right == "FullAccess");
        if !full || permission.inherited {
            continue;
        }
        let people = match person(tenant, &permission.user) {
            Some(person) => BTreeSet::from([person]),
            None => members(tenant, &permission.user),
        };
        if permission.deny {
            denied.extend(people);
        } else {
            allowed.extend(people);
        }
    }
    denied.insert(lower(&mailbox.edoid));
    &allowed - &denied
}

/// The object id of the recipient with this key.
fn person(tenant: &Tenant, key: &str) -> Option<String> {
    let key = lower(key);
    let mailboxes = || tenant.mailboxes.iter();
    let has =
        |it: &&Mailbox| addresses(&it.email_addresses, &it.primary_smtp_address).contains(&key);
    let mailbox = mailboxes()
        .find(|it| lower(&it.user_principal_name) == key)
        .or_else(|| mailboxes().find(has))
        .or_else(|| mailboxes().find(|it| lower(&it.edoid) == key));
    let is_meant = |it: &&Contact| {
        lower(&it.user_principal_name) == key
            || lower(&it.edoid) == key
            || addresses(&it.email_addresses, &it.primary_smtp_address).contains(&key)
    };
    let contact = || tenant.contacts.iter().find(is_meant);
    mailbox
        .map(|it| lower(&it.edoid))
        .or_else(|| contact().map(|it| lower(&it.edoid)))
}

fn group<'a>(tenant: &'a Tenant, key: &str) -> Option<&'a Group> {
    let key = lower(key);
    let fits = |it: &&Group| {
        lower(&it.name) == key || lower(&it.edoid) == key || lower(&it.primary_smtp_address) == key
    };
    tenant.groups.iter().find(fits)
}

/// Security groups, to any depth.
fn members(tenant: &Tenant, name: &str) -> BTreeSet<String> {
    let (mut people, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open = vec![name.to_owned()];
    while let Some(key) = open.pop() {
        let Some(group) = group(tenant, &key) else {
            continue;
        };
        if group.kind != GroupKind::MailUniversalSecurityGroup || !seen.insert(&group.name) {
            continue;
        }
        for member in &group.members {
            match person(tenant, member) {
                Some(person) => drop(people.insert(person)),
                None => open.push(member.clone()),
            }
        }
    }
    people
}
