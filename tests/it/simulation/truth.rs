//! What is right at one moment, worked out from the simulated directory alone: who has which mailbox, and who may open it.

use std::collections::{BTreeMap, BTreeSet};

use cloud_sync::sandbox::exchange::{Group, GroupKind, Life, Mailbox, Tenant};

pub(super) const DOMAIN: &str = "corp.example";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Shared,
    Other,
}

/// A mailbox, known by the object id of whoever it belongs to.
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
}

pub(super) fn lower(text: &str) -> String {
    text.trim().to_lowercase()
}

pub(super) fn is_claimed(address: &str) -> bool {
    address
        .rsplit_once('@')
        .is_some_and(|(_, domain)| domain == DOMAIN)
}

fn addresses(mailbox: &Mailbox) -> BTreeSet<String> {
    let listed = mailbox.email_addresses.iter().filter_map(|entry| {
        let (prefix, address) = entry.split_once(':')?;
        prefix.eq_ignore_ascii_case("smtp").then(|| lower(address))
    });
    listed
        .chain([lower(&mailbox.primary_smtp_address)])
        .collect()
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
                addresses: addresses(mailbox),
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
        Self {
            mailboxes: mailboxes.collect(),
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
            Some(person) => BTreeSet::from([lower(&person.edoid)]),
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

fn person<'a>(tenant: &'a Tenant, key: &str) -> Option<&'a Mailbox> {
    let key = lower(key);
    let mailboxes = || tenant.mailboxes.iter();
    mailboxes()
        .find(|it| lower(&it.user_principal_name) == key)
        .or_else(|| mailboxes().find(|it| addresses(it).contains(&key)))
        .or_else(|| mailboxes().find(|it| lower(&it.edoid) == key))
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
                Some(person) => drop(people.insert(lower(&person.edoid))),
                None => open.push(member.clone()),
            }
        }
    }
    people
}
