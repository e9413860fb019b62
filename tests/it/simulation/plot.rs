//! The events of a simulation: a small tenant and its organisation at the start, and what people do in both afterwards.

use std::collections::BTreeSet;

use cloud_sync::sandbox::{
    exchange::{Contact, Group, GroupKind, Mailbox, Permission, Tenant, guid},
    zivver::{self, Organisation, User},
};

use super::{
    dice::Dice,
    truth::{DOMAIN, is_claimed, lower},
};

/// Few enough that addresses are reused.
const NAMES: [&str; 14] = [
    "ann", "ben", "cid", "dora", "eve", "finn", "gus", "hal", "ida", "jan", "info", "sales",
    "desk", "hr",
];
const FOREIGN: &str = "partner.test";

#[derive(Debug)]
pub(super) struct Plot {
    pub(super) dice: Dice,
    made: u64,
    /// The number of additional names for a large tenant.
    numbered: u64,
}

/// People whose mailbox is elsewhere.
const ELSEWHERE: [&str; 4] = [
    "MailUser",
    "RemoteUserMailbox",
    "GuestMailUser",
    "PublicFolderOfTheFuture",
];

fn is_free(tenant: &Tenant, address: &str) -> bool {
    let taken = |it: &Mailbox| {
        let listed = it.email_addresses.iter().any(|entry| {
            entry
                .split_once(':')
                .is_some_and(|(_, text)| lower(text) == address)
        });
        listed
            || lower(&it.primary_smtp_address) == address
            || lower(&it.user_principal_name) == address
    };
    let listed = |entries: &[String]| {
        entries.iter().any(|entry| {
            let text = entry.split_once(':').map(|(_, text)| lower(text));
            text.is_some_and(|text| text == address)
        })
    };
    !tenant.mailboxes.iter().any(taken)
        && !tenant
            .contacts
            .iter()
            .any(|it| listed(&it.email_addresses) || lower(&it.user_principal_name) == address)
        && !tenant.groups.iter().any(|it| listed(&it.email_addresses))
}

fn set_addresses(mailbox: &mut Mailbox, primary: &str, aliases: Vec<String>) {
    primary.clone_into(&mut mailbox.primary_smtp_address);
    let aliases = aliases.into_iter().filter(|alias| alias != primary);
    let aliases = aliases.map(|alias| format!("smtp:{alias}"));
    mailbox.email_addresses = std::iter::once(format!("SMTP:{primary}"))
        .chain(aliases)
        .collect();
}

fn aliases(mailbox: &Mailbox) -> Vec<String> {
    let listed = mailbox.email_addresses.iter();
    listed
        .filter_map(|entry| entry.strip_prefix("smtp:").map(str::to_owned))
        .collect()
}

impl Plot {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, "world"),
            made: 0,
            numbered: 0,
        }
    }

    fn address(&mut self) -> String {
        if self.numbered > 0 && self.dice.chance(90) {
            return format!("p{}@{DOMAIN}", self.dice.below(self.numbered));
        }
        format!("{}@{DOMAIN}", self.dice.pick(&NAMES))
    }

    fn free_address(&mut self, tenant: &Tenant) -> Option<String> {
        (0..6)
            .map(|_| self.address())
            .find(|address| is_free(tenant, address))
    }

    /// A new mailbox, at an address that may have belonged to another person.
    fn new_mailbox(&mut self, tenant: &Tenant) -> Option<Mailbox> {
        let address = self.free_address(tenant)?;
        self.made += 1;
        let kind = match self.dice.below(10) {
            0..6 => "UserMailbox",
            6..9 => "SharedMailbox",
            _ => "RoomMailbox",
        };
        let edoid = guid(&format!("person {}", self.made));
        let mut mailbox = Mailbox {
            guid: guid(&format!("object {}", self.made)),
            exchange_object_id: guid(&format!("object {}", self.made)),
            name: edoid.clone(),
            identity: edoid.clone(),
            edoid,
            display_name: format!("Name {}", self.made),
            account_disabled: Some(kind != "UserMailbox" || self.dice.chance(8)),
            ..Mailbox::of_kind(kind, &address)
        };
        if self.dice.chance(30)
            && let Some(alias) = self.free_address(tenant).filter(|alias| *alias != address)
        {
            mailbox = mailbox.with_alias_address(&alias);
        }
        Some(mailbox)
    }

    pub(super) fn begin(&mut self) -> (Tenant, Organisation) {
        let mut tenant = Tenant::new(DOMAIN);
        let size = match self.dice.below(100) {
            0..2 => self.dice.between(60, 75),
            2..20 => self.dice.between(10, 14),
            _ => self.dice.between(4, 12),
        };
        if size > 20 {
            self.numbered = 200;
        }
        for _ in 0..size {
            if let Some(mailbox) = self.new_mailbox(&tenant) {
                tenant.mailboxes.push(mailbox);
            }
        }
        // The tenant keeps mailboxes to synchronise (R1).
        if !tenant
            .mailboxes
            .iter()
            .any(|it| it.recipient_type_details == "UserMailbox")
        {
            tenant
                .mailboxes
                .push(Mailbox::user(&format!("first@{DOMAIN}")));
        }
        for name in ["Team", "Inner"]
            .into_iter()
            .take(usize::try_from(self.dice.below(3)).unwrap())
        {
            let kind = if self.dice.chance(80) {
                GroupKind::MailUniversalSecurityGroup
            } else {
                GroupKind::MailUniversalDistributionGroup
            };
            tenant.groups.push(Group::of_kind(kind, name, DOMAIN));
        }
        if self.dice.chance(35) {
            for _ in 0..self.dice.between(1, 3) {
                self.new_contact(&mut tenant);
            }
        }
        for _ in 0..tenant.mailboxes.len() {
            self.grant(&mut tenant);
            self.regroup(&mut tenant);
        }
        tenant.switches.page_rows_max = usize::try_from(*self.dice.pick(&[2, 3, 5, 1000])).unwrap();
        let organisation = self.organisation(&tenant);
        (tenant, organisation)
    }

    /// Accounts as an earlier tool left them: mostly right, partly out of sync.
    #[expect(clippy::too_many_lines, reason = "one part for each kind of account")]
    fn organisation(&mut self, tenant: &Tenant) -> Organisation {
        let mut organisation = Organisation::new([DOMAIN]);
        organisation.seed = self.dice.next();
        if self.dice.chance(8) {
            self.quirks(&mut organisation);
            return organisation;
        }
        for contact in &tenant.contacts {
            if is_claimed(&contact.primary_smtp_address) && self.dice.chance(80) {
                let user = User::new(&contact.primary_smtp_address, &contact.display_name);
                organisation.add_user(user.key(&contact.edoid));
            }
        }
        for mailbox in &tenant.mailboxes {
            if self.dice.chance(30) {
                continue;
            }
            let tie = self.dice.chance(50).then(|| mailbox.edoid.clone());
            let address = mailbox.primary_smtp_address.clone();
            let name = if self.dice.chance(80) {
                mailbox.display_name.clone()
            } else {
                "Old Name".to_owned()
            };
            let aliases = if self.dice.chance(70) {
                aliases(mailbox)
            } else {
                Vec::new()
            };
            match mailbox.recipient_type_details.as_str() {
                "UserMailbox" => {
                    let user = User::new(&address, &name);
                    let key = self.dice.chance(90).then(|| mailbox.edoid.clone());
                    organisation.add_user(User {
                        external_account_id: tie,
                        sso_account_key: key,
                        aliases,
                        ..user
                    });
                }
                "SharedMailbox" => {
                    let group = zivver::Group::new(&address, &name);
                    organisation.add_group(zivver::Group {
                        external_account_id: tie,
                        aliases,
                        ..group
                    });
                }
                _ => {}
            }
        }
        for name in ["admin", "supplier"] {
            if self.dice.chance(30) {
                organisation
                    .add_user(User::new(&format!("{name}@{DOMAIN}"), name).key(&guid(name)));
            }
        }
        if self.dice.chance(30) {
            organisation
                .add_user(User::new(&format!("guest@{FOREIGN}"), "Guest").key(&guid("guest")));
        }
        if self.dice.chance(15) {
            organisation.add_group(zivver::Group::new(&format!("handmade@{DOMAIN}"), "By Hand"));
        }
        for mailbox in &tenant.mailboxes {
            self.open_as_granted(mailbox, &mut organisation);
        }
        for _ in 0..self.dice.below(4) {
            self.delegate_by_hand(&mut organisation);
        }
        self.quirks(&mut organisation);
        organisation
    }

    /// A person with Full Access is often already a delegate of the account.
    fn open_as_granted(&mut self, mailbox: &Mailbox, organisation: &mut Organisation) {
        let trustees = mailbox.permissions.iter().filter(|it| !it.deny);
        for trustee in trustees.map(|it| it.user.clone()) {
            if !self.dice.chance(50) {
                continue;
            }
            let Some(id) = organisation.user(&trustee).map(|it| it.id.clone()) else {
                continue;
            };
            let address = &mailbox.primary_smtp_address;
            if let Some(group) = organisation.group_mut(address) {
                if !group.members.contains(&id) {
                    group.members.push(id);
                }
            } else if let Some(user) = organisation.user_mut(address)
                && !user.delegates.contains(&trustee)
                && user.user_name != trustee
            {
                user.delegates.push(trustee);
            }
        }
    }

    /// Delegates as Zivver was seen to have them: the user itself, and addresses that no account has. The service may or
    /// may not rename delegates.
    pub(super) fn odd_delegates(seed: u64, organisation: &mut Organisation) {
        let mut dice = Dice::new(seed, "odd");
        organisation.switches.delegates_follow_rename = dice.chance(50);
        let users = organisation.users.iter();
        let of_users = users.flat_map(|it| std::iter::once(&it.user_name).chain(&it.aliases));
        let groups = organisation.groups.iter();
        let of_groups = groups.flat_map(|it| std::iter::once(&it.external_id).chain(&it.aliases));
        let used: BTreeSet<String> = of_users.chain(of_groups).map(|it| lower(it)).collect();
        for user in &mut organisation.users {
            if dice.chance(25) {
                user.delegates.push(user.user_name.clone());
            }
            let dead = format!("{}@{DOMAIN}", dice.pick(&NAMES));
            if dice.chance(10) && !used.contains(&dead) {
                user.delegates.push(dead);
            }
        }
    }

    /// People who may open accounts by hand only, in a service that does not rename delegates.
    pub(super) fn surplus_delegates(seed: u64, organisation: &mut Organisation) {
        let mut dice = Dice::new(seed, "surplus");
        organisation.switches.delegates_follow_rename = false;
        let users: Vec<(String, String)> = organisation
            .users
            .iter()
            .map(|it| (it.id.clone(), it.user_name.clone()))
            .collect();
        if users.is_empty() {
            return;
        }
        for user in &mut organisation.users {
            let (_, other) = dice.pick(&users);
            let is_new = *other != user.user_name && !user.delegates.contains(other);
            if is_new && dice.chance(60) {
                user.delegates.push(other.clone());
            }
        }
        for group in &mut organisation.groups {
            let (id, _) = dice.pick(&users);
            if !group.members.contains(id) && dice.chance(40) {
                group.members.push(id.clone());
            }
        }
    }

    fn quirks(&mut self, organisation: &mut Organisation) {
        let switches = &mut organisation.switches;
        if self.dice.chance(25) {
            switches.list_count_max = Some(3);
            switches.paging = zivver::Paging::Honoured;
        }
        switches.stale_reads_after_post = *self.dice.pick(&[0, 0, 0, 1, 2]);
        switches.external_account_id_on_post = self.dice.chance(20);
        switches.user_post_keeps_extension = self.dice.chance(20);
        switches.group_post_keeps_aliases = self.dice.chance(20);
        switches.duplicate_user_status = *self.dice.pick(&[409, 400]);
        switches.delegates_follow_rename = true;
        organisation.limiter.headers = self.dice.chance(50);
    }

    fn grant(&mut self, tenant: &mut Tenant) {
        let Some(at) = self.dice.place(tenant.mailboxes.len()) else {
            return;
        };
        let trustee = if !tenant.groups.is_empty() && self.dice.chance(25) {
            self.dice.pick(&tenant.groups).name.clone()
        } else if !tenant.contacts.is_empty() && self.dice.chance(25) {
            let contact = self.dice.pick(&tenant.contacts);
            contact.user_principal_name.clone()
        } else {
            self.dice
                .pick(&tenant.mailboxes)
                .user_principal_name
                .clone()
        };
        let mailbox = &mut tenant.mailboxes[at];
        if mailbox.permissions.iter().any(|it| it.user == trustee) {
            return;
        }
        let deny = self.dice.chance(8);
        mailbox.permissions.push(Permission {
            deny,
            ..Permission::full_access(&trustee)
        });
    }

    fn regroup(&mut self, tenant: &mut Tenant) {
        let Some(at) = self.dice.place(tenant.groups.len()) else {
            return;
        };
        let member = if self.dice.chance(15) {
            self.dice.pick(&tenant.groups).name.clone()
        } else if !tenant.contacts.is_empty() && self.dice.chance(20) {
            self.dice.pick(&tenant.contacts).edoid.clone()
        } else {
            self.dice.pick(&tenant.mailboxes).edoid.clone()
        };
        let group = &mut tenant.groups[at];
        if group.name == member {
            return;
        }
        let before = group.members.len();
        group.members.retain(|it| *it != member);
        if group.members.len() == before {
            group.members.push(member);
        }
    }

    /// Makes one change in the tenant, and describes it in words.
    #[expect(clippy::too_many_lines, reason = "one arm for each thing that happens")]
    pub(super) fn change_tenant(&mut self, tenant: &mut Tenant) -> String {
        let draw = self.dice.below(118);
        if draw < 12 {
            if let Some(mailbox) = self.new_mailbox(tenant) {
                let told = format!(
                    "new {} {} {}",
                    mailbox.recipient_type_details, mailbox.primary_smtp_address, mailbox.edoid
                );
                tenant.mailboxes.push(mailbox);
                return told;
            }
            return "nothing".to_owned();
        }
        let Some(at) = self.dice.place(tenant.mailboxes.len()) else {
            return "nothing".to_owned();
        };
        let who = tenant.mailboxes[at].primary_smtp_address.clone();
        match draw {
            12..22 => self.leave(tenant, at),
            22..32 => self.rename(tenant, at),
            32..40 => self.swap(tenant, at),
            40..48 => {
                let mailbox = &mut tenant.mailboxes[at];
                self.made += 1;
                mailbox.display_name = format!("Name {}", self.made);
                format!("{who}: new name {}", mailbox.display_name)
            }
            48..56 => {
                let free = self.free_address(tenant);
                let mailbox = &mut tenant.mailboxes[at];
                match free {
                    Some(alias) => mailbox.email_addresses.push(format!("smtp:{alias}")),
                    None => mailbox.email_addresses.truncate(1),
                }
                format!("{who}: addresses {:?}", mailbox.email_addresses)
            }
            56..62 => {
                let mailbox = &mut tenant.mailboxes[at];
                if self.dice.chance(50) {
                    mailbox.email_addresses.truncate(1);
                }
                format!("{who}: addresses {:?}", mailbox.email_addresses)
            }
            62..68 => {
                let mailbox = &mut tenant.mailboxes[at];
                if mailbox.recipient_type_details == "UserMailbox" {
                    mailbox.account_disabled = Some(mailbox.account_disabled == Some(false));
                }
                format!("{who}: disabled {:?}", mailbox.account_disabled)
            }
            68..71 => convert(&mut tenant.mailboxes[at]),
            71..84 => {
                self.grant(tenant);
                format!("grants: {:?}", grants(tenant))
            }
            84..94 => {
                let mailbox = &mut tenant.mailboxes[at];
                if let Some(gone) = self.dice.place(mailbox.permissions.len()) {
                    mailbox.permissions.remove(gone);
                }
                format!("grants: {:?}", grants(tenant))
            }
            100..109 => self.leave_to_somebody(tenant, at),
            109..112 => self.move_elsewhere(tenant, at),
            112..114 => {
                self.new_contact(tenant);
                format!("contacts: {:?}", contacts(tenant))
            }
            114..116 => {
                if let Some(gone) = self.dice.place(tenant.contacts.len()) {
                    let gone = tenant.contacts.remove(gone);
                    forget(tenant, &gone.user_principal_name, &gone.edoid);
                }
                format!("contacts: {:?}", contacts(tenant))
            }
            116..118 => self.leave_the_domain(tenant, at),
            _ => {
                self.regroup(tenant);
                let groups = tenant.groups.iter().map(|it| (&it.name, &it.members));
                format!("groups: {:?}", groups.collect::<Vec<_>>())
            }
        }
    }

    fn leave(&mut self, tenant: &mut Tenant, at: usize) -> String {
        let is_user = |it: &Mailbox| it.recipient_type_details == "UserMailbox";
        if tenant.mailboxes.iter().filter(|it| is_user(it)).count() < 2 {
            return "nothing".to_owned();
        }
        let gone = tenant.mailboxes.remove(at);
        forget(tenant, &gone.user_principal_name, &gone.edoid);
        // Sometimes a new person gets the address at once.
        if self.dice.chance(30)
            && is_free(tenant, &gone.primary_smtp_address)
            && let Some(mut next) = self.new_mailbox(tenant)
        {
            set_addresses(&mut next, &gone.primary_smtp_address, Vec::new());
            next.user_principal_name
                .clone_from(&gone.primary_smtp_address);
            let told = format!(
                "{}: gone, its address given to {}",
                gone.primary_smtp_address, next.edoid
            );
            tenant.mailboxes.push(next);
            return told;
        }
        format!("{}: gone", gone.primary_smtp_address)
    }

    /// A person whose mailbox is elsewhere, at an address that may have belonged to another person.
    fn new_contact(&mut self, tenant: &mut Tenant) {
        if let Some(address) = self.free_address(tenant) {
            let contact = self.contact(&address);
            tenant.contacts.push(contact);
        }
    }

    fn contact(&mut self, address: &str) -> Contact {
        self.made += 1;
        let edoid = guid(&format!("person {}", self.made));
        let kind = *self.dice.pick(&ELSEWHERE);
        Contact {
            guid: guid(&format!("object {}", self.made)),
            exchange_object_id: guid(&format!("object {}", self.made)),
            name: edoid.clone(),
            identity: edoid.clone(),
            edoid,
            display_name: format!("Name {}", self.made),
            ..Contact::of_kind(kind, address)
        }
    }

    /// The mailbox is moved to another system, and its owner stays the same.
    fn move_elsewhere(&mut self, tenant: &mut Tenant, at: usize) -> String {
        let is_user = |it: &Mailbox| it.recipient_type_details == "UserMailbox";
        if tenant.mailboxes.iter().filter(|it| is_user(it)).count() < 2 {
            return "nothing".to_owned();
        }
        let gone = tenant.mailboxes.remove(at);
        let address = gone.primary_smtp_address;
        let mut contact = self.contact(&address);
        contact.edoid.clone_from(&gone.edoid);
        contact.name.clone_from(&gone.name);
        contact.identity.clone_from(&gone.identity);
        contact.display_name = gone.display_name;
        contact.user_principal_name = gone.user_principal_name;
        contact.email_addresses = gone.email_addresses;
        tenant.contacts.push(contact);
        format!("{address}: its mailbox is elsewhere now")
    }

    /// A person leaves, and a colleague, a list or a person elsewhere gets the address at once.
    fn leave_to_somebody(&mut self, tenant: &mut Tenant, at: usize) -> String {
        let is_user = |it: &Mailbox| it.recipient_type_details == "UserMailbox";
        if tenant.mailboxes.iter().filter(|it| is_user(it)).count() < 3 {
            return "nothing".to_owned();
        }
        let address = tenant.mailboxes[at].primary_smtp_address.clone();
        let stays = is_user(&tenant.mailboxes[at]) && self.dice.chance(40);
        if stays {
            // Blocked, and kept under another name.
            let gone = &mut tenant.mailboxes[at];
            let before = gone.user_principal_name.clone();
            gone.account_disabled = Some(true);
            self.made += 1;
            let kept = format!("old{}@{DOMAIN}", self.made);
            set_addresses(gone, &kept, Vec::new());
            gone.user_principal_name.clone_from(&kept);
            let permissions = tenant
                .mailboxes
                .iter_mut()
                .flat_map(|it| &mut it.permissions);
            for permission in permissions.filter(|it| it.user == before) {
                permission.user.clone_from(&kept);
            }
        } else {
            let gone = tenant.mailboxes.remove(at);
            forget(tenant, &gone.user_principal_name, &gone.edoid);
        }
        let left = if stays { "disabled" } else { "gone" };
        if !is_free(tenant, &address) {
            return format!("{address}: {left}");
        }
        match self.dice.below(5) {
            0..2 => {
                let heir = self.dice.place(tenant.mailboxes.len()).unwrap();
                if tenant.mailboxes[heir].account_disabled == Some(true) {
                    return format!("{address}: {left}");
                }
                let mailbox = &mut tenant.mailboxes[heir];
                let old = mailbox.primary_smtp_address.clone();
                let mut kept = aliases(mailbox);
                if self.dice.chance(50) {
                    kept.push(old.clone());
                }
                set_addresses(mailbox, &address, kept);
                format!("{address}: {left}, and {old} gets its address")
            }
            2 => {
                let heir = self.dice.place(tenant.mailboxes.len()).unwrap();
                let mailbox = &mut tenant.mailboxes[heir];
                mailbox.email_addresses.push(format!("smtp:{address}"));
                let heir = &mailbox.primary_smtp_address;
                format!("{address}: {left}, and an alias of {heir} now")
            }
            3 => {
                self.made += 1;
                let kind = GroupKind::MailUniversalDistributionGroup;
                let mut list = Group::of_kind(kind, &format!("List {}", self.made), DOMAIN);
                list.email_addresses = vec![format!("SMTP:{address}")];
                list.primary_smtp_address.clone_from(&address);
                tenant.groups.push(list);
                format!("{address}: {left}, and a list now")
            }
            _ => {
                let contact = self.contact(&address);
                let kind = contact.recipient_type_details.clone();
                tenant.contacts.push(contact);
                format!("{address}: {left}, and a {kind} now")
            }
        }
    }

    /// The primary address moves to a domain that is not claimed. The old one stays as an alias.
    fn leave_the_domain(&mut self, tenant: &mut Tenant, at: usize) -> String {
        let mailbox = &mut tenant.mailboxes[at];
        let old = mailbox.primary_smtp_address.clone();
        self.made += 1;
        let new = format!("moved{}@{FOREIGN}", self.made);
        let mut kept = aliases(mailbox);
        kept.push(old.clone());
        set_addresses(mailbox, &new, kept);
        format!("{old}: now {new}")
    }

    /// One mailbox gets another address, which Exchange shows as that of the trustee as well.
    pub(super) fn rename(&mut self, tenant: &mut Tenant, at: usize) -> String {
        let new = self.free_address(tenant);
        let before = tenant.mailboxes[at].user_principal_name.clone();
        let told = self.move_to(&mut tenant.mailboxes[at], new);
        let after = tenant.mailboxes[at].user_principal_name.clone();
        let mailboxes = tenant.mailboxes.iter_mut();
        for permission in mailboxes.flat_map(|it| &mut it.permissions) {
            if permission.user == before {
                permission.user.clone_from(&after);
            }
        }
        told
    }

    fn move_to(&mut self, mailbox: &mut Mailbox, new: Option<String>) -> String {
        let old = mailbox.primary_smtp_address.clone();
        let mut aliases = aliases(mailbox);
        // Its own alias, or an unused address.
        let new = match (aliases.first().cloned(), new) {
            (Some(alias), _) if self.dice.chance(40) => alias,
            (_, Some(new)) => new,
            (_, None) => return "nothing".to_owned(),
        };
        if self.dice.chance(60) {
            aliases.push(old.clone());
        }
        set_addresses(mailbox, &new, aliases);
        if self.dice.chance(70) {
            mailbox.user_principal_name.clone_from(&new);
        }
        format!("{old}: now {:?}", mailbox.email_addresses)
    }

    fn swap(&mut self, tenant: &mut Tenant, at: usize) -> String {
        let other = self.dice.place(tenant.mailboxes.len()).unwrap();
        if other == at {
            return "nothing".to_owned();
        }
        let (one, two) = (
            tenant.mailboxes[at].primary_smtp_address.clone(),
            tenant.mailboxes[other].primary_smtp_address.clone(),
        );
        let (one_aliases, two_aliases) = (
            aliases(&tenant.mailboxes[at]),
            aliases(&tenant.mailboxes[other]),
        );
        set_addresses(&mut tenant.mailboxes[at], &two, one_aliases);
        set_addresses(&mut tenant.mailboxes[other], &one, two_aliases);
        format!("{one} and {two} change places")
    }

    /// Makes one change by hand in Zivver.
    pub(super) fn change_zivver(&mut self, organisation: &mut Organisation) -> String {
        let Some(at) = self.dice.place(organisation.users.len()) else {
            return "nothing".to_owned();
        };
        let user = &mut organisation.users[at];
        let who = user.user_name.clone();
        match self.dice.below(12) {
            10 | 11 => {
                let mut suspended = organisation.users.iter_mut().filter(|it| !it.active);
                let Some(user) = suspended.next() else {
                    return "nothing".to_owned();
                };
                user.active = true;
                format!("by hand: {} active again", user.user_name)
            }
            0 => {
                "By Hand".clone_into(&mut user.name);
                format!("by hand: name of {who}")
            }
            1 | 2 => {
                user.active = !user.active;
                format!("by hand: {who} active {}", user.active)
            }
            3 => {
                user.aliases.pop();
                format!("by hand: an alias of {who} removed")
            }
            4 => {
                user.delegates.pop();
                format!("by hand: a delegate of {who} removed")
            }
            5 | 6 => {
                self.delegate_by_hand(organisation);
                "by hand: a delegate".to_owned()
            }
            7 => {
                if let Some(group) = self.dice.place(organisation.groups.len()) {
                    organisation.groups[group].members.pop();
                }
                "by hand: a member removed".to_owned()
            }
            8 => {
                let stray = format!("stray{}@{DOMAIN}", self.dice.below(3));
                if organisation.user(&stray).is_none() {
                    organisation.add_user(User::new(&stray, "Stray").key(&guid(&stray)));
                }
                format!("by hand: account {stray}")
            }
            // A person who deletes most of them must tell the program (R2).
            _ if organisation.users.len() < 4 => "nothing".to_owned(),
            _ => {
                // It is no longer a delegate. A member stays as an id without an account (R22).
                let gone = organisation.users.remove(at);
                for user in &mut organisation.users {
                    user.delegates.retain(|it| *it != gone.user_name);
                }
                format!("by hand: {} deleted", gone.user_name)
            }
        }
    }

    fn delegate_by_hand(&mut self, organisation: &mut Organisation) {
        let Some(who) = self.dice.place(organisation.users.len()) else {
            return;
        };
        let (id, name) = (
            organisation.users[who].id.clone(),
            organisation.users[who].user_name.clone(),
        );
        if let Some(at) = self.dice.place(organisation.groups.len())
            && self.dice.chance(50)
        {
            let members = &mut organisation.groups[at].members;
            if !members.contains(&id) {
                members.push(id);
            }
        } else if let Some(at) = self.dice.place(organisation.users.len())
            && at != who
            && !organisation.users[at].delegates.contains(&name)
        {
            organisation.users[at].delegates.push(name);
        }
    }
}

/// Removes a person from all permissions and groups.
fn forget(tenant: &mut Tenant, upn: &str, edoid: &str) {
    for mailbox in &mut tenant.mailboxes {
        mailbox.permissions.retain(|it| it.user != upn);
    }
    for group in &mut tenant.groups {
        group.members.retain(|it| it != edoid);
    }
}

fn contacts(tenant: &Tenant) -> Vec<(&str, &str, &str)> {
    let contacts = tenant.contacts.iter();
    contacts
        .map(|it| {
            let kind = it.recipient_type_details.as_str();
            (kind, it.primary_smtp_address.as_str(), it.edoid.as_str())
        })
        .collect()
}

fn convert(mailbox: &mut Mailbox) -> String {
    let (kind, disabled) = match mailbox.recipient_type_details.as_str() {
        "UserMailbox" => ("SharedMailbox", true),
        "SharedMailbox" => ("UserMailbox", false),
        _ => return "nothing".to_owned(),
    };
    kind.clone_into(&mut mailbox.recipient_type_details);
    mailbox.account_disabled = Some(disabled);
    format!("{}: now a {kind}", mailbox.primary_smtp_address)
}

fn grants(tenant: &Tenant) -> Vec<(String, Vec<String>)> {
    let mailboxes = tenant
        .mailboxes
        .iter()
        .filter(|it| !it.permissions.is_empty());
    mailboxes
        .map(|it| {
            let users = it.permissions.iter().map(|permission| {
                let sign = if permission.deny { "-" } else { "" };
                format!("{sign}{}", permission.user)
            });
            (it.primary_smtp_address.clone(), users.collect())
        })
        .collect()
}
