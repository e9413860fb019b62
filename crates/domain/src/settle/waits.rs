//! What a change that is left out waits for: a change of another account that is held or that a person has rejected
//! (R27, R47).

use std::collections::{BTreeMap, BTreeSet};

use super::{Namer, Settling, Sides, claims};
use crate::{
    accounts::Accounts,
    address::SmtpAddress,
    change::{Attribute, Change},
    delta::{Delta, Target},
    hold::{self, HeldChange, HeldSet, Met},
    memory::Rejection,
    note::{Code, Note},
};

/// How many changes a sentence names.
const NAMED_MAX: usize = 3;

/// An account whose change is left out, and the account that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait {
    pub target: Target,
    pub by: Target,
    /// The address that `target` waits for; `None` if it waits for the account itself.
    pub address: Option<SmtpAddress>,
}

impl Wait {
    pub(super) fn new(target: Target, by: Target, address: Option<&SmtpAddress>) -> Self {
        Self {
            target,
            by,
            address: address.cloned(),
        }
    }

    /// Whether the account stands in the way as long as this change of it is not made.
    fn is_for(&self, delta: &Delta, change: &Change, accounts: &Accounts) -> bool {
        let is_waited_for = |address: &SmtpAddress| self.address.as_ref() == Some(address);
        match change {
            Change::Create { .. } | Change::Tie { .. } => true,
            Change::Rename { from, to, .. } => {
                change.is_whole_delta() || is_waited_for(from) || is_waited_for(to)
            }
            // R22: the account of a leaver leaves its address only when it is inactive.
            Change::Suspend { .. } | Change::Empty { .. } => {
                delta.mailbox.is_none() && is_waited_for(&delta.address)
            }
            Change::AddAlias(address)
            | Change::RemoveAlias(address)
            | Change::RemoveEntry(address) => is_waited_for(address),
            Change::AddDelegate(Target::Existing(ix)) | Change::RemoveDelegate(ix) => {
                is_waited_for(accounts.get(*ix).address())
            }
            // R23: an account is not written without its key.
            Change::SignInKey { .. } => delta.changes().iter().any(|other| {
                !other.is_sign_in_key()
                    && delta.is_in_extension(other)
                    && self.is_for(delta, other, accounts)
            }),
            Change::Name { .. } | Change::Resume | Change::AddDelegate(Target::New(_)) => false,
        }
    }
}

/// What the guard took out of the deltas.
#[derive(Debug)]
pub struct Taken<'a> {
    held: BTreeMap<&'a str, (&'a HeldSet, &'a HeldChange)>,
    held_fingerprints: BTreeSet<String>,
    rejected: BTreeSet<String>,
    rejections: &'a [Rejection],
}

impl<'a> Taken<'a> {
    pub fn new(held: &'a [HeldSet], rejected: &Met, rejections: &'a [Rejection]) -> Self {
        let all = held
            .iter()
            .flat_map(|set| set.changes.iter().map(move |change| (set, change)));
        let held: BTreeMap<_, _> = all
            .map(|(set, change)| (change.fingerprint.as_str(), (set, change)))
            .collect();
        Self {
            held_fingerprints: held.keys().map(|it| (*it).to_owned()).collect(),
            held,
            rejected: rejected.keys().cloned().collect(),
            rejections,
        }
    }

    fn held_as<'f>(
        &self,
        fingerprints: impl IntoIterator<Item = &'f String>,
    ) -> Vec<(&'a HeldSet, &'a HeldChange)> {
        let held = fingerprints.into_iter();
        held.filter_map(|it| self.held.get(it.as_str()))
            .copied()
            .collect()
    }

    fn rejected_as(&self, fingerprints: &[String]) -> Vec<&'a Rejection> {
        let all = self.rejections.iter();
        all.filter(|it| fingerprints.contains(&it.change.fingerprint))
            .collect()
    }
}

impl<'a> Sides<'a> {
    /// The fingerprints, among these, of the changes that a change waits for.
    fn among(&self, wait: &Wait, decided: &BTreeSet<String>) -> Vec<String> {
        let mut found = Vec::new();
        let proposed = self.proposed.get(&wait.by).copied();
        let Some(delta) = proposed.filter(|_| !decided.is_empty()) else {
            return found;
        };
        let accounts = &self.world.accounts;
        for delta in std::iter::once(delta).chain(delta.unless_approved.as_deref()) {
            for change in delta.changes() {
                if wait.is_for(delta, &change, accounts) {
                    found.extend(hold::decided(delta, &change, accounts, decided));
                }
            }
        }
        found
    }

    /// The held changes that a change waits for, each with its set.
    pub fn held_for(&self, wait: &Wait) -> Vec<(&'a HeldSet, &'a HeldChange)> {
        let found = self.among(wait, &self.taken.held_fingerprints);
        self.taken.held_as(&found)
    }

    fn rejected_for(&self, wait: &Wait) -> Vec<&'a Rejection> {
        self.taken
            .rejected_as(&self.among(wait, &self.taken.rejected))
    }

    /// What a person can do so that a change no longer waits. `None` if it waits for nothing that is held or rejected,
    /// besides the changes in `without`.
    pub fn remedy<'w>(
        &self,
        waits: impl IntoIterator<Item = &'w Wait>,
        without: &BTreeSet<String>,
    ) -> Option<String> {
        let (mut held, mut rejected) = (Vec::new(), Vec::new());
        for wait in waits {
            held.extend(self.held_for(wait));
            rejected.extend(self.rejected_for(wait));
        }
        held.retain(|(_, change)| !without.contains(&change.fingerprint));
        remedies(held, rejected)
    }

    /// R23: the aliases and delegates that are not added since the key of their account is held or rejected. They are in no
    /// held set, since no limit applies to them.
    pub fn waiting_for_keys(&self, guarded: &[Delta]) -> Vec<Note> {
        let guarded: BTreeMap<Target, &Delta> =
            guarded.iter().map(|delta| (delta.target, delta)).collect();
        let proposed = self.proposed.values();
        let proposed = proposed.filter(|delta| delta.key_change.is_some());
        let notes = proposed.filter_map(|delta| {
            let kept = guarded.get(&delta.target).map(|delta| delta.changes());
            let kept = kept.unwrap_or_default();
            let changes = delta.changes();
            let key = changes.iter().find(|change| change.is_sign_in_key())?;
            let current = match delta.target {
                Target::Existing(ix) => self.world.accounts.delegates_of(ix).users,
                Target::New(_) => Vec::new(),
            };
            // R22: a delegate that the account has is only written again.
            let is_named_again = |change: &Change| matches!(change, Change::AddDelegate(Target::Existing(ix)) if current.contains(ix));
            let is_added = |change: &&Change| {
                matches!(change, Change::AddAlias(_) | Change::AddDelegate(_))
                    && !is_named_again(change)
            };
            let waits = changes.iter().filter(is_added);
            let waits = waits.filter(|it| delta.rests_on(it, key) && !kept.contains(it));
            let waits: Vec<String> = waits.map(|change| self.added(change)).collect();
            if waits.is_empty() {
                return None;
            }
            let of = |all| hold::decided(delta, key, &self.world.accounts, all);
            let held = self.taken.held_as(&of(&self.taken.held_fingerprints));
            let rejected = self.taken.rejected_as(&of(&self.taken.rejected));
            let remedy = remedies(held, rejected)?;
            let text = format!("not added: {}; {remedy}", waits.join(", "));
            let label = delta.label(&self.world.directory);
            Some(Note::new(label.as_str(), Code::Waits, text))
        });
        notes.collect()
    }

    /// `alias + anna@corp.example`
    fn added(&self, change: &Change) -> String {
        let address = |target| match target {
            Target::Existing(ix) => self.world.accounts.get(ix).address().to_string(),
            Target::New(mailbox) => self.world.directory.mailbox(mailbox).primary.to_string(),
        };
        let is_alias = change.attribute() == Attribute::Aliases;
        let what = if is_alias { "alias" } else { "delegate" };
        let (_, added) = change.values(address);
        format!("{what} + {}", added.unwrap_or_default())
    }

    /// The remedy for a change that waits for rejected changes alone.
    pub(super) fn if_rejected<'w>(&self, waits: impl Iterator<Item = &'w Wait>) -> Option<String> {
        let waits: Vec<&Wait> = waits.collect();
        let is_held = waits.iter().any(|wait| !self.held_for(wait).is_empty());
        let remedy = || self.remedy(waits.iter().copied(), &BTreeSet::new());
        (!is_held).then(remedy).flatten()
    }
}

type Decided<'a> = BTreeSet<(&'a str, &'a HeldChange)>;

fn remedies(held: Vec<(&HeldSet, &HeldChange)>, rejected: Vec<&Rejection>) -> Option<String> {
    let held = held.into_iter().map(|(set, it)| (set.code.as_str(), it));
    let rejected = rejected
        .into_iter()
        .map(|it| (it.code.as_str(), &it.change));
    let remedies = [
        to_approve(&held.collect()),
        to_take_back(&rejected.collect()),
    ];
    let remedies: Vec<String> = remedies.into_iter().flatten().collect();
    (!remedies.is_empty()).then(|| remedies.join("; "))
}

/// How a remedy begins that is an approval.
const WAITS: &str = "it waits for what is held: ";

pub(crate) fn is_approval(text: &str) -> bool {
    text.contains(WAITS)
}

/// The remedy for what waits for this change alone.
pub(crate) fn to_approve_one(set: &HeldSet, change: &HeldChange) -> String {
    let one = BTreeSet::from([(set.code.as_str(), change)]);
    to_approve(&one).unwrap_or_default()
}

/// What is said instead if the change could not be made even if a person approved it.
pub(crate) fn not_by_approval(change: &HeldChange, why: &str) -> String {
    let what = change.in_words();
    format!(
        "{WAITS}{} {what}, which no approval makes: {why}",
        change.address
    )
}

fn to_approve(held: &Decided<'_>) -> Option<String> {
    let codes: BTreeSet<&str> = held.iter().map(|(code, _)| *code).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let word = if codes.len() == 1 { "code" } else { "codes" };
    let named = named(held)?;
    // R41: the set says how its code is used. It may take a second person.
    Some(format!(
        "{WAITS}{named}; approve that with the {word} {} (R27)",
        codes.join(" and ")
    ))
}

fn to_take_back(rejected: &Decided<'_>) -> Option<String> {
    let named = named(rejected)?;
    let mut accounts: BTreeMap<&str, BTreeSet<&SmtpAddress>> = BTreeMap::new();
    for (code, change) in rejected {
        accounts.entry(code).or_default().insert(&change.address);
    }
    let commands = accounts.iter().map(|(code, accounts)| {
        let accounts = accounts.iter().map(|it| format!(" --account {it}"));
        let accounts: String = accounts.collect();
        format!("cloud-sync reject --undo {code}{accounts}")
    });
    let commands: Vec<String> = commands.collect();
    Some(format!(
        "it waits for what was rejected: {named}; take the rejection back with {} (R47)",
        commands.join(" and ")
    ))
}

fn named(changes: &Decided<'_>) -> Option<String> {
    let named = changes.iter().take(NAMED_MAX);
    let mut named: Vec<String> = named
        .map(|(_, change)| format!("{} {}", change.address, change.in_words()))
        .collect();
    if changes.len() > NAMED_MAX {
        named.push(format!("and {} more", changes.len() - NAMED_MAX));
    }
    (!named.is_empty()).then(|| named.join(", "))
}

impl Settling<'_> {
    /// What an account waits for that keeps its address: who would get the address, who names it by that, and the
    /// suspend of its own that comes before.
    pub(super) fn waits_to_move(
        &self,
        at: usize,
        named: &BTreeMap<SmtpAddress, Namer<'_>>,
    ) -> Vec<Wait> {
        let delta = &self.deltas[at];
        let proposed = self.sides.proposed.iter();
        let takers = proposed
            .filter(|(_, it)| claims(it).any(|address| *address == delta.address))
            .map(|(target, _)| *target);
        let namers = named.get(&delta.address).and_then(Namer::target);
        let all = takers.chain(namers).chain([delta.target]);
        all.map(|by| Wait::new(delta.target, by, Some(&delta.address)))
            .collect()
    }
}
