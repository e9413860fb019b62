//! Generates the Zivver organisation, with differences.

use jiff::civil::date;

use super::names::{BRAND_DOMAIN, DOMAIN, SECOND_DOMAIN};
use super::source::{Desk, Source};
use super::{Dice, quota};
use crate::exchange::guid;
use crate::zivver::{Group, Organisation, User};

/// How the account of a person differs from the mailbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    InStep,
    Missing,
    OtherName,
    Suspended,
    FewAliases,
    ExtraAlias,
    FewDelegates,
    ExtraDelegate,
    /// Tied by `ExternalAccountId`, with a former address.
    Renamed,
    /// Tied to another object by `ExternalAccountId`.
    Namesake,
    /// Only its address, which is an alias of the mailbox, suggests that it belongs to the person.
    AtAlias,
    /// A functional account has the address of the person.
    WrongKind,
    /// A second account has an alias of the person as its address.
    Merge,
}

/// Role, share per thousand, and the number of people from which on there is at least one.
const ROLES: [(Role, usize, usize); 12] = [
    (Role::Missing, 60, 5),
    (Role::OtherName, 40, 5),
    (Role::FewAliases, 80, 5),
    (Role::Suspended, 30, 20),
    (Role::ExtraAlias, 20, 7),
    (Role::FewDelegates, 60, 20),
    (Role::ExtraDelegate, 20, 20),
    (Role::Renamed, 15, 20),
    (Role::Namesake, 5, 30),
    (Role::AtAlias, 5, 30),
    (Role::WrongKind, 2, 60),
    (Role::Merge, 5, 40),
];

pub(super) fn generate(dice: &mut Dice, source: &mut Source, seed: u64) -> Organisation {
    let mut organisation = Organisation::new([DOMAIN, SECOND_DOMAIN, BRAND_DOMAIN]);
    organisation.seed = seed;
    organisation.divisions.push("Field offices".to_owned());
    organisation
        .guests
        .push("customer@partner.example".to_owned());
    organisation
        .free_accounts
        .push(source.addresses.take("trial.account", DOMAIN));
    let roles = roles(dice, source);
    let accounts: Vec<Option<usize>> = (0..source.people.len())
        .map(|index| add_person(dice, source, &mut organisation, index, roles[index]))
        .collect();
    delegate(dice, source, &mut organisation, &roles, &accounts);
    for number in 0..source.desks.len() {
        add_desk(dice, source, &mut organisation, number, &accounts);
    }
    add_unmatched_accounts(source, &mut organisation);
    organisation
}

fn roles(dice: &mut Dice, source: &Source) -> Vec<Role> {
    let people = source.people.len();
    let mut free: Vec<usize> = (0..people)
        .filter(|index| source.people[*index].departed.is_none())
        .collect();
    dice.shuffle(&mut free);
    let mut roles = vec![Role::InStep; people];
    for (role, per_mille, one_from) in ROLES {
        for _ in 0..quota(people, per_mille, one_from) {
            let fits = |index: &usize| match role {
                Role::FewAliases | Role::AtAlias | Role::Merge => {
                    !source.people[*index].aliases.is_empty()
                }
                Role::FewDelegates => !source.people[*index].delegates.is_empty(),
                Role::InStep
                | Role::Missing
                | Role::OtherName
                | Role::Suspended
                | Role::ExtraAlias
                | Role::ExtraDelegate
                | Role::Renamed
                | Role::Namesake
                | Role::WrongKind => true,
            };
            // A few candidates are enough, since most are suitable.
            let start = free.len().saturating_sub(64);
            if let Some(at) = free[start..].iter().rposition(fits) {
                roles[free.remove(start + at)] = role;
            }
        }
    }
    roles
}

/// Adds the account of a person if there is one, and returns its index if the person can be matched to it.
fn add_person(
    dice: &mut Dice,
    source: &mut Source,
    organisation: &mut Organisation,
    index: usize,
    role: Role,
) -> Option<usize> {
    let person = &source.people[index];
    // Of the people who left, every third has an active account, every third a suspended one, and the rest none.
    let departed = person.departed.map(|number| number % 3);
    if role == Role::Missing || departed == Some(2) {
        return None;
    }
    let mut user = User::new(&person.address, &person.name.display());
    user.aliases.clone_from(&person.aliases);
    user.external_account_id = dice.chance(70).then(|| person.edoid.clone());
    user.sso_account_key = dice.chance(90).then(|| person.edoid.clone());
    user.division = match dice.below(20) {
        0 => None,
        1 => Some("Field offices".to_owned()),
        _ => user.division,
    };
    if dice.chance(8) {
        user.nick_name = Some(person.name.first.to_owned());
    }
    if dice.chance(12) {
        user.phone_numbers
            .push(format!("+1202555{:04}", 100 + index % 100));
    }
    if role == Role::Suspended || departed == Some(1) {
        user = user.suspended(date(2026, 10, 1));
    }
    match role {
        Role::OtherName => user.name = format!("{} (temp)", person.name.remarried(dice).display()),
        Role::FewAliases => drop(user.aliases.pop()),
        Role::ExtraAlias => user.aliases.push(
            source
                .addresses
                .take(&format!("{}.temp", person.name.local()), DOMAIN),
        ),
        Role::Renamed => rename(dice, source, index, &mut user),
        Role::Namesake => {
            user.external_account_id = Some(guid(&format!("former owner of {}", person.address)));
        }
        Role::AtAlias => {
            user.user_name = user.aliases.remove(0);
            user.external_account_id = None;
        }
        Role::WrongKind => {
            organisation.add_group(Group::new(&user.user_name, &user.name));
            return None;
        }
        Role::Merge => {
            let alias = user.aliases.remove(0);
            organisation.add_user(User::new(&alias, &user.name));
        }
        Role::InStep
        | Role::Missing
        | Role::Suspended
        | Role::FewDelegates
        | Role::ExtraDelegate => {}
    }
    organisation.add_user(user);
    (!matches!(role, Role::Namesake | Role::AtAlias)).then(|| organisation.users.len() - 1)
}

/// Gives the account a former address: one no longer in use, one kept as an alias in Exchange, or with the new address
/// as an alias in Zivver.
fn rename(dice: &mut Dice, source: &mut Source, index: usize, user: &mut User) {
    let person = &source.people[index];
    let local = person.name.remarried(dice).local();
    let former = source.addresses.take(&local, DOMAIN);
    let person = &mut source.people[index];
    user.external_account_id = Some(person.edoid.clone());
    user.user_name.clone_from(&former);
    match index % 3 {
        0 => {
            source.tenant.mailboxes[person.mailbox]
                .email_addresses
                .push(format!("smtp:{former}"));
            person.aliases.push(former);
        }
        1 => user.aliases.push(person.address.clone()),
        _ => {}
    }
}

fn delegate(
    dice: &mut Dice,
    source: &Source,
    organisation: &mut Organisation,
    roles: &[Role],
    accounts: &[Option<usize>],
) {
    let address = |organisation: &Organisation, person: usize| {
        accounts[person].map(|account| organisation.users[account].user_name.clone())
    };
    for (index, person) in source.people.iter().enumerate() {
        let Some(account) = accounts[index] else {
            continue;
        };
        let mut delegates: Vec<String> = person
            .delegates
            .iter()
            .filter_map(|delegate| address(organisation, *delegate))
            .collect();
        match roles[index] {
            Role::FewDelegates => drop(delegates.pop()),
            Role::ExtraDelegate => {
                let other = dice.below(accounts.len());
                let is_extra = other != index && !person.delegates.contains(&other);
                delegates.extend(address(organisation, other).filter(|_| is_extra));
            }
            Role::InStep
            | Role::Missing
            | Role::OtherName
            | Role::Suspended
            | Role::FewAliases
            | Role::ExtraAlias
            | Role::Renamed
            | Role::Namesake
            | Role::AtAlias
            | Role::WrongKind
            | Role::Merge => {}
        }
        organisation.users[account].delegates = delegates;
    }
}

fn add_desk(
    dice: &mut Dice,
    source: &Source,
    organisation: &mut Organisation,
    number: usize,
    accounts: &[Option<usize>],
) {
    let desk: &Desk = &source.desks[number];
    let id_of =
        |person: usize| accounts[person].map(|account| organisation.users[account].id.clone());
    let mut group = Group::new(&desk.address, &desk.display_name);
    group.aliases.clone_from(&desk.aliases);
    group.external_account_id = dice.chance(70).then(|| desk.edoid.clone());
    group.members = desk
        .delegates
        .iter()
        .filter_map(|person| id_of(*person))
        .collect();
    if desk.delegates.is_empty() && !desk.unknown {
        // No longer in use: every fifth still has a member; of the others every second has no account.
        match number / 20 {
            round if round % 5 == 0 => group.members.extend(
                accounts
                    .iter()
                    .flatten()
                    .next()
                    .map(|account| organisation.users[*account].id.clone()),
            ),
            round if round % 2 == 0 => return,
            _ => {}
        }
        organisation.add_group(group);
        return;
    }
    // About half of all shared mailboxes match no case and stay in sync.
    match number % 28 {
        7 | 21 => return,
        9 => group.display_name.push_str(" (old)"),
        11 => drop(group.aliases.pop()),
        13 | 17 => drop(group.members.pop()),
        15 => {
            let other = dice.below(accounts.len());
            let id = id_of(other).filter(|_| !desk.delegates.contains(&other));
            group.members.extend(id);
        }
        19 if number == 19 => {
            organisation.add_user(User::new(&desk.address, &desk.display_name));
            return;
        }
        22 => group
            .members
            .push(guid(&format!("unknown member {number}"))),
        _ => {}
    }
    let id = organisation.add_group(group);
    if number % 28 == 23
        && let Some(group) = organisation.groups.last_mut()
    {
        group.members.push(id);
    }
}

/// Adds accounts without a mailbox.
fn add_unmatched_accounts(source: &mut Source, organisation: &mut Organisation) {
    let admin = source.addresses.take("zivver.admin", DOMAIN);
    organisation.add_user(User {
        full_admin: true,
        ..User::new(&admin, "Zivver administrator")
    });
    for number in 0..quota(source.people.len(), 5, 10) {
        let supplier = source.addresses.take(&format!("supplier{number}"), DOMAIN);
        organisation.add_user(User::new(&supplier, &format!("Supplier {number}")));
    }
    for outside in ["partner.one@partner.example", "partner.two@partner.example"] {
        organisation.add_user(User::new(outside, "Partner"));
    }
    if let Some(user) = organisation.users.first_mut() {
        user.delegates
            .push("partner.one@partner.example".to_owned());
    }
    if let Some(room) = source.rooms.first() {
        organisation.add_group(Group::new(room, "Room desk"));
    }
}
