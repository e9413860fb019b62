//! R39: the addresses for which a run was requested, and the mailboxes and accounts that they lead to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    accounts::AccountIx,
    address::SmtpAddress,
    directory::{MailboxIx, Party},
    matching::Matching,
    world::World,
};

/// How many letters of an address may differ for it to count as a typing error.
const TYPOS_MAX: usize = 2;

/// For how many unknown addresses suggestions are made, since each is compared with every known address.
const GUESSED_MAX: usize = 20;

/// How many addresses are suggested for one.
const NEAREST_MAX: usize = 3;

/// How many unknown addresses a message lists.
const LISTED_MAX: usize = 20;

/// An address of no mailbox and no account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownAddress {
    pub address: SmtpAddress,
    /// Known addresses that may have been meant, the most likely first.
    pub nearest: Vec<SmtpAddress>,
}

/// Those of `named` that no mailbox and no account has.
pub fn unknown_addresses(named: &BTreeSet<SmtpAddress>, world: &World) -> Vec<UnknownAddress> {
    let unknown = named.iter().filter(|address| {
        world.directory.with_address(address).is_empty()
            && world.accounts.with_address(address).is_empty()
            && world.accounts.with_alias(address).is_empty()
            && world.accounts.rejected_with_address(address).is_none()
    });
    unknown
        .enumerate()
        .map(|(at, address)| UnknownAddress {
            address: address.clone(),
            nearest: if at < GUESSED_MAX {
                nearest(address, world)
            } else {
                Vec::new()
            },
        })
        .collect()
}

/// Known addresses that differ by a typing error, or only in the domain.
pub(super) fn nearest(address: &SmtpAddress, world: &World) -> Vec<SmtpAddress> {
    let of_mailboxes = world
        .directory
        .mailboxes
        .iter()
        .flat_map(|mailbox| std::iter::once(&mailbox.primary).chain(&mailbox.aliases));
    let of_accounts = world.accounts.iter().map(|(_, account)| account.address());
    nearest_of(address, of_mailboxes.chain(of_accounts))
}

/// The same, limited to the `known` addresses.
pub(super) fn nearest_of<'a>(
    address: &SmtpAddress,
    known: impl Iterator<Item = &'a SmtpAddress>,
) -> Vec<SmtpAddress> {
    let near: BTreeSet<(usize, &SmtpAddress)> = known
        .filter_map(|known| Some((distance(address, known)?, known)))
        .collect();
    let likeliest = near.into_iter().take(NEAREST_MAX);
    likeliest.map(|(_, known)| known.clone()).collect()
}

/// How many addresses are listed for a name.
const FOUND_MAX: usize = 50;

/// Addresses by the name of their mailbox or account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether all words of the name were found. Otherwise the names are only similar.
    pub is_exact: bool,
    /// The address and the name, sorted by name.
    pub nearest: Vec<(String, String)>,
    pub total: usize,
}

/// Everything whose name or address contains all words of `name`. If there is nothing, what differs only by typing
/// errors.
pub fn with_name(name: &str, world: &World) -> Found {
    let wanted = words_of(name);
    let mailboxes = world.directory.mailboxes.iter();
    let mailboxes = mailboxes.map(|it| (it.primary.as_str(), &*it.display_name));
    let accounts = world.accounts.iter();
    let accounts = accounts.map(|(_, it)| (it.address().as_str(), it.name()));
    // The name of the mailbox has precedence if both have the address.
    let mut all: BTreeMap<&str, &str> = accounts.collect();
    all.extend(mailboxes);
    let collect = |is_exact, mut found: Vec<(usize, &str, &str)>| {
        found.sort_unstable();
        Found {
            is_exact,
            total: found.len(),
            nearest: found
                .into_iter()
                .take(if is_exact { FOUND_MAX } else { NEAREST_MAX })
                .map(|(_, name, address)| (address.to_owned(), name.to_owned()))
                .collect(),
        }
    };
    let has_all = |text: &str| wanted.iter().all(|word| text.contains(word.as_str()));
    let exact: Vec<_> = all
        .iter()
        .filter(|(address, name)| has_all(&format!("{} {}", name.to_lowercase(), address)))
        .map(|(address, name)| (0, *name, *address))
        .collect();
    if !exact.is_empty() || wanted.is_empty() {
        return collect(true, exact);
    }
    let near = all.iter().filter_map(|(address, name)| {
        let words = words_of(name);
        let typos = wanted.iter().map(|word| {
            let most = (word.chars().count() / 3).min(TYPOS_MAX);
            let distances = words.iter().map(|it| strsim::osa_distance(word, it));
            distances.filter(|typos| *typos <= most).min()
        });
        let typos: usize = typos.sum::<Option<usize>>()?;
        Some((typos, *name, *address))
    });
    collect(false, near.collect())
}

fn words_of(name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    name.split_whitespace().map(str::to_owned).collect()
}

fn distance(address: &SmtpAddress, known: &SmtpAddress) -> Option<usize> {
    let (text, other) = (address.as_str(), known.as_str());
    // A change of one letter changes at most four bytes.
    if text.len().abs_diff(other.len()) <= TYPOS_MAX * 4 {
        let typos = strsim::osa_distance(text, other);
        if typos <= TYPOS_MAX {
            return Some(typos);
        }
    }
    let local = |text: &str| text.rsplit_once('@').map(|(local, _)| local.to_owned());
    (local(text) == local(other)).then_some(TYPOS_MAX + 1)
}

/// ` (did you mean ann@corp.example or anna@corp.example?)`, or nothing.
pub(super) fn suggestion(nearest: &[SmtpAddress]) -> String {
    match nearest.split_last() {
        None => String::new(),
        Some((last, [])) => format!(" (did you mean {last}?)"),
        Some((last, others)) => {
            let others: Vec<&str> = others.iter().map(SmtpAddress::as_str).collect();
            format!(" (did you mean {} or {last}?)", others.join(", "))
        }
    }
}

/// `the address anna@corp.example (did you mean ann@corp.example?)`
pub(super) fn listed(unknown: &[UnknownAddress]) -> String {
    let mut listed: Vec<String> = unknown
        .iter()
        .take(LISTED_MAX)
        .map(|it| format!("{}{}", it.address, suggestion(&it.nearest)))
        .collect();
    let more = unknown.len() - listed.len();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    let what = match unknown.len() {
        1 => "the address",
        _ => "the addresses",
    };
    format!("{what} {}", listed.join(", "))
}

/// Describes the `unknown` addresses in one line.
pub fn in_words(unknown: &[UnknownAddress]) -> String {
    let them = if unknown.len() == 1 { "it" } else { "them" };
    format!(
        "no mailbox and no account has {}; nothing is written: correct {them} and start again (R39)",
        listed(unknown)
    )
}

/// Every name under which a report mentions what `address` leads to.
pub fn names(address: &SmtpAddress, world: &World, matching: &Matching) -> BTreeSet<String> {
    let (mailboxes, accounts) = concerned(address, world, matching);
    let mailboxes = mailboxes.into_iter().map(Party::Mailbox);
    let with_address = world.directory.with_address(address);
    let parties = mailboxes.chain(with_address.iter().copied());
    let accounts = accounts.into_iter().map(|ix| world.accounts.get(ix));
    let rejected = world.accounts.rejected_with_address(address);
    std::iter::once(address.to_string())
        .chain(rejected.map(|row| row.label.clone()))
        .chain(parties.map(|party| world.directory.label(party).to_owned()))
        .chain(accounts.map(|account| account.address().to_string()))
        .collect()
}

/// The mailboxes and accounts that have the address.
pub fn concerned(
    address: &SmtpAddress,
    world: &World,
    matching: &Matching,
) -> (Vec<MailboxIx>, Vec<AccountIx>) {
    let mut mailboxes: Vec<MailboxIx> = Vec::new();
    let mut accounts: Vec<AccountIx> = Vec::new();
    for party in world.directory.with_address(address) {
        if let Party::Mailbox(ix) = party {
            mailboxes.push(*ix);
            accounts.extend(matching.claimed.get(ix.0 as usize).copied().flatten());
        }
    }
    accounts.extend(world.accounts.with_address(address));
    accounts.extend(world.accounts.with_alias(address));
    accounts.sort_unstable();
    accounts.dedup();
    for (ix, _) in world.directory.iter() {
        if matching.claimed[ix.0 as usize].is_some_and(|account| accounts.contains(&account))
            && !mailboxes.contains(&ix)
        {
            mailboxes.push(ix);
        }
    }
    (mailboxes, accounts)
}
