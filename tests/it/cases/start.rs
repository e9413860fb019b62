//! Converts the rows of a file to a tenant and an organisation, and applies the changes between two nights.

use cloud_sync::sandbox::{
    exchange::{Contact, Group, GroupKind, Mailbox, Permission, Tenant, guid},
    zivver::{self, Organisation, User},
};
use serde_json::{Map, Value, json};

use super::file::{
    ByHand, Case, Change, FunctionalRow, Grant, GroupRow, MailboxRow, RecipientRow, UserRow,
};

/// The GUID of a short name.
pub(super) fn object_id(name: &str) -> String {
    guid(&format!("object {name}"))
}

pub(super) fn tenant(case: &Case) -> Tenant {
    let mut tenant = Tenant::new(first_domain(case));
    for row in &case.start.mailboxes {
        tenant.mailboxes.push(mailbox(row));
    }
    for row in &case.start.recipients {
        add_recipient(&mut tenant, row);
    }
    for row in &case.start.groups {
        let group = group(&tenant, row);
        tenant.groups.push(group);
    }
    // A group may contain a group that is defined later.
    for row in &case.start.groups {
        set_members(&mut tenant, &row.name, &row.members);
    }
    for row in &case.start.mailboxes {
        set_grants(&mut tenant, &row.primary, &row.full_access);
    }
    tenant
}

fn first_domain(case: &Case) -> &str {
    case.settings["CLAIMED_DOMAINS"].split(',').next().unwrap()
}

fn mailbox(row: &MailboxRow) -> Mailbox {
    let edoid = object_id(&row.object_id);
    let name = row.exchange_name.as_ref().unwrap_or(&edoid).clone();
    let made = match row.kind.as_str() {
        "SharedMailbox" => Mailbox::shared(&row.primary),
        kind => Mailbox::of_kind(kind, &row.primary),
    };
    let mut mailbox = Mailbox {
        guid: guid(&format!("exchange object {}", row.object_id)),
        exchange_object_id: guid(&format!("exchange object {}", row.object_id)),
        name: name.clone(),
        identity: name,
        edoid,
        ..made
    };
    if let Some(name) = &row.name {
        mailbox.display_name.clone_from(name);
    }
    if let Some(upn) = &row.upn {
        mailbox.user_principal_name.clone_from(upn);
    }
    if let Some(disabled) = row.disabled {
        mailbox.account_disabled = Some(disabled);
    }
    for alias in &row.aliases {
        mailbox = mailbox.with_alias_address(alias);
    }
    mailbox
}

/// Kinds that `Get-Mailbox` lists in addition to the synchronised ones.
const MAILBOXES: [&str; 6] = [
    "LinkedMailbox",
    "LegacyMailbox",
    "RoomMailbox",
    "EquipmentMailbox",
    "SchedulingMailbox",
    "TeamMailbox",
];

fn add_recipient(tenant: &mut Tenant, row: &RecipientRow) {
    let edoid = object_id(&row.object_id);
    if MAILBOXES.contains(&row.kind.as_str()) {
        tenant.mailboxes.push(Mailbox {
            edoid,
            ..Mailbox::of_kind(&row.kind, &row.primary)
        });
    } else if is_group(&row.kind) {
        let (name, _) = row.primary.split_once('@').unwrap();
        let row = GroupRow {
            kind: row.kind.clone(),
            name: name.to_owned(),
            primary: Some(row.primary.clone()),
            members: Vec::new(),
        };
        let group = Group {
            edoid,
            ..group(tenant, &row)
        };
        tenant.groups.push(group);
    } else {
        tenant.contacts.push(Contact {
            edoid,
            ..Contact::of_kind(&row.kind, &row.primary)
        });
    }
}

fn known_kind(kind: &str) -> Option<GroupKind> {
    serde_json::from_value(json!(kind)).ok()
}

fn is_group(kind: &str) -> bool {
    known_kind(kind).is_some() || kind.ends_with("Group")
}

fn group(tenant: &Tenant, row: &GroupRow) -> Group {
    let domain = tenant.domains.last().unwrap();
    let mut group = Group::of_kind(known_kind(&row.kind).unwrap_or_default(), &row.name, domain);
    if known_kind(&row.kind).is_none() {
        // An unknown kind.
        let kind = json!(row.kind);
        group.overrides.insert("RecipientTypeDetails".into(), kind);
    }
    if let Some(primary) = &row.primary {
        group.primary_smtp_address.clone_from(primary);
        group.email_addresses = vec![format!("SMTP:{primary}")];
    }
    group
}

/// Members are stored by object id, so that a member whose address changes stays a member.
fn set_members(tenant: &mut Tenant, name: &str, members: &[String]) {
    let members = members.iter().map(|key| key_of(tenant, key)).collect();
    let mut groups = tenant.groups.iter_mut();
    let group = groups.rfind(|group| group.name == name || group.primary_smtp_address == name);
    group.unwrap_or_else(|| panic!("no group {name}")).members = members;
}

fn key_of(tenant: &Tenant, key: &str) -> String {
    let mailboxes = tenant.mailboxes.iter();
    let mailboxes = mailboxes.map(|it| (&it.primary_smtp_address, &it.edoid));
    let contacts = tenant.contacts.iter();
    let contacts = contacts.map(|it| (&it.primary_smtp_address, &it.edoid));
    let mut found = mailboxes
        .chain(contacts)
        .filter(|(primary, _)| *primary == key);
    found.next().map_or(key, |(_, edoid)| edoid).to_owned()
}

fn set_grants(tenant: &mut Tenant, mailbox: &str, grants: &[Grant]) {
    let entries = grants.iter().map(|grant| {
        let (trustee, deny) = match grant {
            Grant::Trustee(trustee) => (trustee, false),
            Grant::Entry(entry) => (&entry.trustee, entry.deny),
        };
        // Exchange shows people by their UPN.
        let mut people = tenant.mailboxes.iter();
        let person = people.find(|person| person.primary_smtp_address == *trustee);
        let text = person.map_or(trustee, |person| &person.user_principal_name);
        Permission {
            deny,
            ..Permission::full_access(text)
        }
    });
    let entries = entries.collect();
    by_address(tenant, mailbox).permissions = entries;
}

fn by_address<'a>(tenant: &'a mut Tenant, address: &str) -> &'a mut Mailbox {
    let mut mailboxes = tenant.mailboxes.iter_mut();
    mailboxes
        .find(|mailbox| mailbox.primary_smtp_address == address)
        .unwrap_or_else(|| panic!("no mailbox {address}"))
}

pub(super) fn organisation(case: &Case) -> Organisation {
    let mut organisation = match &case.zivver_domains {
        Some(domains) => Organisation::new(domains.iter().map(String::as_str)),
        None => Organisation::new(case.settings["CLAIMED_DOMAINS"].split(',')),
    };
    for row in &case.start.users {
        add_user(&mut organisation, row);
    }
    // An account may be a member of one that is defined earlier.
    let groups = case.start.functional.iter();
    let groups: Vec<String> = groups
        .map(|row| add_functional(&mut organisation, row))
        .collect();
    for (row, id) in case.start.functional.iter().zip(groups) {
        let members = ids(&organisation, &row.members);
        let mut groups = organisation.groups.iter_mut();
        groups.find(|group| group.id == id).unwrap().members = members;
    }
    organisation
}

fn add_user(organisation: &mut Organisation, row: &UserRow) {
    let mut odd = Map::new();
    let user = User {
        id: row.id.clone().unwrap_or_default(),
        active: row.active.as_bool().unwrap_or_default(),
        aliases: row.aliases.clone(),
        delegates: row.delegates.clone(),
        sso_account_key: row.sso_account_key.clone(),
        external_account_id: row.external_account_id.as_deref().map(object_id),
        ..User::new(
            &text(row.user_name.as_ref(), "userName", &mut odd),
            &text(Some(&row.name), "name", &mut odd),
        )
    };
    if !row.active.is_boolean() {
        odd.insert("active".into(), row.active.clone());
    }
    let id = organisation.add_user(user);
    show_odd(organisation, id, odd);
}

fn add_functional(organisation: &mut Organisation, row: &FunctionalRow) -> String {
    let mut odd = Map::new();
    let group = zivver::Group {
        id: row.id.clone().unwrap_or_default(),
        aliases: row.aliases.clone(),
        external_account_id: row.external_account_id.as_deref().map(object_id),
        ..zivver::Group::new(
            &text(row.external_id.as_ref(), "externalId", &mut odd),
            &text(Some(&row.name), "displayName", &mut odd),
        )
    };
    let id = organisation.add_group(group);
    show_odd(organisation, id.clone(), odd);
    id
}

/// A value that is not a text is returned as it is, and an absent value is left out.
fn text(value: Option<&Value>, member: &str, odd: &mut Map<String, Value>) -> String {
    let text = value.and_then(Value::as_str).map(str::to_owned);
    text.unwrap_or_else(|| {
        odd.insert(member.into(), value.cloned().unwrap_or_default());
        String::new()
    })
}

/// A member that is null is left out of the row.
fn show_odd(organisation: &mut Organisation, id: String, odd: Map<String, Value>) {
    let rows = &mut organisation.switches.odd_rows;
    if odd.is_empty() {
        rows.remove(&id);
    } else {
        rows.insert(id, odd.into());
    }
}

fn ids(organisation: &Organisation, members: &[String]) -> Vec<String> {
    let id_of = |member: &String| {
        let user = organisation.user(member).map(|user| &user.id);
        let group = organisation.group(member).map(|group| &group.id);
        user.or(group).unwrap_or(member).clone()
    };
    members.iter().map(id_of).collect()
}

/// The changes in Exchange before a night.
pub(super) fn change_exchange(tenant: &mut Tenant, change: &Change) {
    for address in &change.disable {
        by_address(tenant, address).account_disabled = Some(true);
    }
    for address in &change.enable {
        by_address(tenant, address).account_disabled = Some(false);
    }
    for address in &change.remove_mailboxes {
        let before = tenant.mailboxes.len();
        tenant
            .mailboxes
            .retain(|mailbox| mailbox.primary_smtp_address != *address);
        assert_ne!(tenant.mailboxes.len(), before, "no mailbox {address}");
    }
    for (old, new) in &change.moved {
        rename(tenant, old, new);
    }
    for row in &change.add_mailboxes {
        tenant.mailboxes.push(mailbox(row));
        set_grants(tenant, &row.primary, &row.full_access);
    }
    for address in &change.remove_recipients {
        tenant
            .contacts
            .retain(|contact| contact.primary_smtp_address != *address);
        tenant
            .groups
            .retain(|group| group.primary_smtp_address != *address);
    }
    for row in &change.add_recipients {
        add_recipient(tenant, row);
    }
    for (address, name) in &change.rename_display {
        by_address(tenant, address).display_name.clone_from(name);
    }
    for (address, aliases) in &change.aliases {
        let mailbox = by_address(tenant, address);
        mailbox
            .email_addresses
            .retain(|entry| entry.starts_with("SMTP:"));
        let aliases = aliases.iter().map(|alias| format!("smtp:{alias}"));
        mailbox.email_addresses.extend(aliases);
    }
    for (name, members) in &change.group_members {
        set_members(tenant, name, members);
    }
    for (address, grants) in &change.full_access {
        set_grants(tenant, address, grants);
    }
    for (address, value) in &change.email_addresses_raw {
        let overrides = &mut by_address(tenant, address).overrides;
        overrides.insert("EmailAddresses".into(), value.clone());
    }
}

/// The old address is removed, so that another object can have it.
fn rename(tenant: &mut Tenant, old: &str, new: &str) {
    let mailbox = by_address(tenant, old);
    new.clone_into(&mut mailbox.primary_smtp_address);
    mailbox
        .email_addresses
        .retain(|entry| !entry.starts_with("SMTP:") && *entry != format!("smtp:{new}"));
    mailbox.email_addresses.push(format!("SMTP:{new}"));
    if mailbox.user_principal_name != old {
        return;
    }
    new.clone_into(&mut mailbox.user_principal_name);
    let entries = tenant.mailboxes.iter_mut();
    let entries = entries.flat_map(|mailbox| &mut mailbox.permissions);
    for entry in entries.filter(|entry| entry.user == old) {
        new.clone_into(&mut entry.user);
    }
}

/// The changes by hand in Zivver before a night.
pub(super) fn change_zivver(organisation: &mut Organisation, by_hand: &ByHand) {
    for (addresses, active) in [(&by_hand.activate, true), (&by_hand.suspend, false)] {
        for address in addresses {
            organisation.user_mut(address).unwrap().active = active;
        }
    }
    for (address, aliases) in &by_hand.aliases {
        if let Some(user) = organisation.user_mut(address) {
            user.aliases.clone_from(aliases);
        } else {
            let group = organisation.group_mut(address).unwrap();
            group.aliases.clone_from(aliases);
        }
    }
    for (address, members) in &by_hand.members {
        let members = ids(organisation, members);
        organisation.group_mut(address).unwrap().members = members;
    }
    for (address, raw) in &by_hand.rows_raw {
        let id = organisation.user(address).unwrap().id.clone();
        show_odd(organisation, id, raw.clone());
    }
    for row in &by_hand.add_users {
        add_user(organisation, row);
    }
}
