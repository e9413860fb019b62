//! Generates the Exchange organisation.

use std::collections::{BTreeSet, HashSet};

use super::names::{
    self, Addresses, BRAND_DOMAIN, DOMAIN, LEGACY_DOMAIN, Name, SECOND_DOMAIN, TEAMS,
};
use super::{Dice, quota};
use crate::exchange::{Contact, Group, GroupKind, Mailbox, Permission, SelfEntry, Tenant};

/// The tenant, and what the generator of the Zivver organisation needs.
pub(super) struct Source {
    pub(super) tenant: Tenant,
    pub(super) people: Vec<Person>,
    pub(super) desks: Vec<Desk>,
    pub(super) rooms: Vec<String>,
    pub(super) addresses: Addresses,
}

/// A user mailbox.
pub(super) struct Person {
    /// Index of the mailbox in the tenant.
    pub(super) mailbox: usize,
    pub(super) name: Name,
    pub(super) address: String,
    /// Only those in claimed domains.
    pub(super) aliases: Vec<String>,
    pub(super) edoid: String,
    pub(super) upn: String,
    /// The account is disabled, because the person left; the number counts these people.
    pub(super) departed: Option<usize>,
    /// People with Full Access, directly or through groups.
    pub(super) delegates: BTreeSet<usize>,
}

/// A shared mailbox.
pub(super) struct Desk {
    pub(super) address: String,
    pub(super) display_name: String,
    pub(super) aliases: Vec<String>,
    pub(super) edoid: String,
    pub(super) delegates: BTreeSet<usize>,
    /// A trustee that cannot be resolved has access, too.
    pub(super) unknown: bool,
}

/// A security group and the people whom it gives access to, including nested groups.
struct Team {
    name: String,
    reach: BTreeSet<usize>,
}

pub(super) fn generate(dice: &mut Dice, mailboxes: usize) -> Source {
    let users = mailboxes * 75 / 100;
    let shared = mailboxes * 20 / 100;
    let others = mailboxes - users - shared;
    let mut tenant = Tenant::new(DOMAIN);
    tenant
        .domains
        .extend([SECOND_DOMAIN, BRAND_DOMAIN].map(str::to_owned));
    let (addresses, rooms) = (Addresses::default(), Vec::new());
    let mut source = Source {
        tenant,
        people: Vec::new(),
        desks: Vec::new(),
        rooms,
        addresses,
    };
    let mut names = HashSet::new();
    for _ in 0..users {
        source.add_person(dice, &mut names);
    }
    let disabled = quota(users, 30, 7);
    for index in 0..disabled {
        // Distributed over the list, but not at its start, which tests use.
        let person = &mut source.people[users - 1 - index * (users / disabled.max(1)).max(1)];
        person.departed = Some(index);
        source.tenant.mailboxes[person.mailbox].account_disabled = Some(true);
    }
    source.duplicate_an_alias();
    let teams = source.add_groups(dice);
    for number in 0..shared {
        source.add_desk(dice, number, &teams);
    }
    source.add_user_delegates(dice);
    source.add_others(others);
    source
        .tenant
        .contacts
        .push(Contact::of_kind("MailUser", "adviser@partner.example"));
    source
}

impl Source {
    fn add_person(&mut self, dice: &mut Dice, names: &mut HashSet<String>) {
        let number = self.people.len();
        let name = Name::any(dice);
        let domain = if dice.chance(8) { BRAND_DOMAIN } else { DOMAIN };
        let address = self.addresses.take(&name.local(), domain);
        let mut mailbox = Mailbox::user(&address).with_display_name(&name.display());
        if dice.chance(30) {
            let mut text = name.display();
            while !names.insert(text.clone()) {
                text = format!("{} {number}", name.display());
            }
            mailbox.name.clone_from(&text);
            mailbox.identity = text;
        }
        let upn = match dice.below(10) {
            0 => format!("u{number:05}@{DOMAIN}"),
            1 => format!("u{number:05}@corp.onmicrosoft.example"),
            _ => address.clone(),
        };
        mailbox.user_principal_name.clone_from(&upn);
        let mut aliases = Vec::new();
        if dice.chance(60) {
            aliases.push(self.addresses.take(&name.short(), DOMAIN));
        }
        if dice.chance(25) {
            aliases.push(self.addresses.take(&name.local(), SECOND_DOMAIN));
        }
        if dice.chance(3) {
            aliases.push(
                self.addresses
                    .take(&format!("{}+lists", name.local()), DOMAIN),
            );
        }
        set_addresses(dice, &mut mailbox, &address, &aliases);
        mailbox
            .email_addresses
            .push(format!("smtp:u{number:05}@corp.onmicrosoft.example"));
        if dice.chance(5) {
            mailbox.email_addresses.push(format!(
                "smtp:{}",
                self.addresses.take(&name.local(), LEGACY_DOMAIN)
            ));
        }
        dice.shuffle(&mut mailbox.email_addresses);
        let edoid = mailbox.edoid.clone();
        let place = self.tenant.mailboxes.len();
        self.tenant.mailboxes.push(mailbox);
        let delegates = BTreeSet::new();
        self.people.push(Person {
            mailbox: place,
            name,
            address,
            aliases,
            edoid,
            upn,
            departed: None,
            delegates,
        });
    }

    /// Two mailboxes have the same alias: Exchange forbids this, but it occurs in exports and hybrid organisations.
    fn duplicate_an_alias(&mut self) {
        if self.people.len() < 40 {
            return;
        }
        let alias = format!("smtp:{}", self.addresses.take("office.contested", DOMAIN));
        for index in [11, 23] {
            self.tenant.mailboxes[self.people[index].mailbox]
                .email_addresses
                .push(alias.clone());
        }
    }

    fn add_groups(&mut self, dice: &mut Dice) -> Vec<Team> {
        let count = (self.people.len() / 20).max(3);
        let mut direct = Vec::new();
        let mut nested: Vec<Vec<usize>> = Vec::new();
        for number in 0..count {
            let name = format!(
                "SG {} {}",
                TEAMS[number % TEAMS.len()],
                number / TEAMS.len() + 1
            );
            let size = if number == 0 && self.people.len() > 3000 {
                1200
            } else {
                2 + dice.below(10)
            };
            direct.push((name, self.some_people(dice, size)));
            // Every third team contains the one before it; the first two contain each other.
            nested.push(match number {
                1 => vec![2],
                number if number % 3 == 2 => vec![number - 1],
                _ => Vec::new(),
            });
        }
        let list = Group::of_kind(
            GroupKind::MailUniversalDistributionGroup,
            "Everyone in town",
            DOMAIN,
        );
        let crew = Group::of_kind(GroupKind::GroupMailbox, "Project crew", DOMAIN);
        for mut group in [list, crew] {
            group.members = self
                .some_people(dice, 5)
                .iter()
                .map(|index| self.people[*index].edoid.clone())
                .collect();
            self.tenant.groups.push(group);
        }
        for (number, (name, members)) in direct.iter().enumerate() {
            let mut group = Group::of_kind(GroupKind::MailUniversalSecurityGroup, name, DOMAIN);
            let inner = nested[number].iter().map(|inner| direct[*inner].0.clone());
            group.members = members
                .iter()
                .map(|index| self.people[*index].edoid.clone())
                .chain(inner)
                .collect();
            if number == 0 {
                // Gives no access: a distribution list within a security group.
                group.members.push("Everyone in town".to_owned());
            }
            self.tenant.groups.push(group);
        }
        let reach = |start: usize| {
            let mut seen = BTreeSet::from([start]);
            let mut open = vec![start];
            while let Some(group) = open.pop() {
                open.extend(nested[group].iter().filter(|inner| seen.insert(**inner)));
            }
            seen.iter()
                .flat_map(|group| direct[*group].1.iter().copied())
                .collect()
        };
        (0..count)
            .map(|number| Team {
                name: direct[number].0.clone(),
                reach: reach(number),
            })
            .collect()
    }

    fn some_people(&self, dice: &mut Dice, count: usize) -> BTreeSet<usize> {
        (0..count).map(|_| dice.below(self.people.len())).collect()
    }

    fn add_desk(&mut self, dice: &mut Dice, number: usize, teams: &[Team]) {
        let (local, display_name) = names::desk(number);
        let address = self.addresses.take(&local, DOMAIN);
        let mut mailbox = Mailbox::shared(&address).with_display_name(&display_name);
        let mut aliases = Vec::new();
        if dice.chance(40) {
            aliases.push(self.addresses.take(&local, BRAND_DOMAIN));
        }
        set_addresses(dice, &mut mailbox, &address, &aliases);
        let mut desk = Desk {
            address,
            display_name,
            aliases,
            edoid: mailbox.edoid.clone(),
            delegates: BTreeSet::new(),
            unknown: number == 5,
        };
        // Every twentieth shared mailbox is no longer in use.
        if number % 20 != 3 {
            self.open_desk(dice, &mut mailbox, &mut desk, teams, number);
        }
        self.tenant.mailboxes.push(mailbox);
        self.desks.push(desk);
    }

    fn open_desk(
        &self,
        dice: &mut Dice,
        mailbox: &mut Mailbox,
        desk: &mut Desk,
        teams: &[Team],
        number: usize,
    ) {
        if number.is_multiple_of(3) {
            let team = if number == 0 {
                &teams[1]
            } else {
                dice.pick(teams)
            };
            mailbox
                .permissions
                .push(Permission::full_access(&team.name));
            desk.delegates.extend(&team.reach);
        }
        if !number.is_multiple_of(3) || dice.chance(30) {
            let count = 1 + dice.below(5);
            for index in self.some_people(dice, count) {
                mailbox
                    .permissions
                    .push(Permission::full_access(&self.trustee(dice, index)));
                desk.delegates.insert(index);
            }
        }
        match number {
            1 => mailbox
                .permissions
                .push(Permission::full_access("Everyone in town")),
            2 => mailbox
                .permissions
                .push(Permission::full_access("adviser@partner.example")),
            5 => mailbox
                .permissions
                .push(Permission::full_access("Former Colleague")),
            _ => {}
        }
        self.add_noise(dice, mailbox, &desk.delegates);
    }

    /// Usually a UPN; for some mailboxes with a unique name that name.
    fn trustee(&self, dice: &mut Dice, index: usize) -> String {
        let person = &self.people[index];
        let mailbox = &self.tenant.mailboxes[person.mailbox];
        if mailbox.name != mailbox.edoid && dice.chance(10) {
            mailbox.name.clone()
        } else {
            person.upn.clone()
        }
    }

    fn add_user_delegates(&mut self, dice: &mut Dice) {
        for index in 0..self.people.len() {
            if !dice.chance(15) {
                continue;
            }
            let count = 1 + dice.below(3);
            let mut delegates = self.some_people(dice, count);
            delegates.remove(&index);
            let trustees: Vec<String> = delegates
                .iter()
                .map(|delegate| self.trustee(dice, *delegate))
                .collect();
            let place = self.people[index].mailbox;
            let mut mailbox = std::mem::take(&mut self.tenant.mailboxes[place]);
            mailbox.permissions.extend(
                trustees
                    .iter()
                    .map(|trustee| Permission::full_access(trustee)),
            );
            self.add_noise(dice, &mut mailbox, &delegates);
            self.tenant.mailboxes[place] = mailbox;
            self.people[index].delegates = delegates;
        }
    }

    /// Entries that give no access.
    fn add_noise(&self, dice: &mut Dice, mailbox: &mut Mailbox, delegates: &BTreeSet<usize>) {
        let bystander = dice.below(self.people.len());
        let is_bystander = !delegates.contains(&bystander)
            && self.people[bystander].mailbox_name(&self.tenant) != mailbox.name;
        let upn = &self.people[bystander].upn;
        match dice.below(25) {
            0 => {
                let sid = format!(
                    "S-1-5-21-1000000001-1000000002-1000000003-{}",
                    1100 + dice.below(9000)
                );
                mailbox.permissions.push(Permission::full_access(&sid));
            }
            1 if is_bystander => {
                mailbox.permissions.push(Permission {
                    inherited: true,
                    ..Permission::full_access(upn)
                });
            }
            2 if is_bystander => mailbox.permissions.push(Permission {
                deny: true,
                ..Permission::full_access(upn)
            }),
            3 if is_bystander => {
                let access_rights = vec!["ReadPermission".to_owned()];
                mailbox.permissions.push(Permission {
                    access_rights,
                    ..Permission::full_access(upn)
                });
            }
            4 => {
                if let Some(first) = mailbox.permissions.first().cloned() {
                    let access_rights = vec!["ChangeOwner".to_owned()];
                    mailbox.permissions.push(Permission {
                        access_rights,
                        ..first
                    });
                }
            }
            _ => {}
        }
    }

    fn add_others(&mut self, count: usize) {
        for number in 0..count.saturating_sub(1) {
            let (kind, local) = match number % 4 {
                3 => ("EquipmentMailbox", format!("van-{number}")),
                _ => ("RoomMailbox", format!("room-{number}")),
            };
            let address = self.addresses.take(&local, DOMAIN);
            let mut mailbox =
                Mailbox::of_kind(kind, &address).with_name(&format!("Resource {number}"));
            mailbox.account_disabled = Some(true);
            self.tenant.mailboxes.push(mailbox);
            self.rooms.push(address);
        }
        if count > 0 {
            self.tenant
                .mailboxes
                .push(Mailbox::discovery(&self.tenant.domains[0]));
            let role = Group::of_kind(GroupKind::RoleGroup, "Discovery Management", DOMAIN);
            self.tenant.groups.push(role);
        }
    }
}

impl Person {
    fn mailbox_name<'a>(&self, tenant: &'a Tenant) -> &'a str {
        &tenant.mailboxes[self.mailbox].name
    }
}

/// Sets addresses with various prefixes and in mixed case, and the older form of the SELF entry.
fn set_addresses(dice: &mut Dice, mailbox: &mut Mailbox, address: &str, aliases: &[String]) {
    let shown = if dice.chance(10) {
        capitalised(address)
    } else {
        address.to_owned()
    };
    mailbox.email_addresses = vec![format!("SMTP:{shown}")];
    mailbox
        .email_addresses
        .extend(aliases.iter().map(|alias| format!("smtp:{alias}")));
    if dice.chance(50) {
        mailbox.email_addresses.push(format!("SIP:{address}"));
    }
    if dice.chance(30) {
        let local = address.split('@').next().unwrap_or_default();
        mailbox
            .email_addresses
            .push(format!("X500:/o=Corp/ou=Exchange/cn=Recipients/cn={local}"));
    }
    if dice.chance(20) {
        mailbox
            .email_addresses
            .push(format!("SPO:SPO_{}@SPO_corp", mailbox.edoid));
    }
    mailbox.primary_smtp_address = shown;
    if dice.chance(30) {
        mailbox.self_entry = SelfEntry::Old;
    }
}

fn capitalised(address: &str) -> String {
    address[..1].to_uppercase() + &address[1..]
}
