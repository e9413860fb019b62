//! Leaves out of the deltas what is not possible: an address that another account keeps, a delegate who gets no account
//! (R12, R23, R25, R32). The rest can be ordered.

mod namer;
mod obstacle;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use namer::Namer;
use obstacle::Obstacle;
pub use waits::{Taken, Wait};
pub(super) use waits::{is_approval, not_by_approval, to_approve_one};

use super::{
    accounts::{AccountIx, AccountKind, AccountView, Accounts},
    address::SmtpAddress,
    delta::{Activity, Delta, Target},
    hold::digest,
    matching::Matching,
    note::{Code, Note},
    world::World,
};

const TAKE_OUT: &str = "take it out there in the Zivver WebApp";

/// The possible part, with notes about what was left out.
#[derive(Debug)]
pub struct Settled {
    pub deltas: Vec<Delta>,
    pub notes: Vec<Note>,
    /// Which account stands in the way of what was left out.
    pub waits: BTreeSet<Wait>,
    /// Why leavers keep their addresses, without a note of their own.
    pub stays: BTreeMap<Target, String>,
}

/// The input besides the deltas.
#[derive(Debug)]
pub struct Sides<'a> {
    pub world: &'a World,
    pub matching: &'a Matching,
    /// R39: the deltas of accounts that the run does not cover.
    pub outside: &'a BTreeMap<Target, Delta>,
    /// The deltas before the guard.
    pub proposed: &'a BTreeMap<Target, &'a Delta>,
    /// What the guard took out of them.
    pub taken: Taken<'a>,
}

/// Repeats until nothing more is left out: a rename that is left out keeps its old address, which then blocks the next
/// one.
pub fn settle(deltas: Vec<Delta>, sides: &Sides<'_>) -> Settled {
    let mut settling = Settling {
        deltas,
        accounts: &sides.world.accounts,
        world: sides.world,
        matching: sides.matching,
        sides,
        kept_named: BTreeMap::new(),
        waits: BTreeSet::new(),
        stays: BTreeMap::new(),
        notes: Vec::new(),
    };
    while settling.leavers() | settling.addresses() | settling.delegates() {}
    settling.named_as_before();
    let Settling {
        mut deltas,
        mut notes,
        waits,
        stays,
        ..
    } = settling;
    deltas.retain(|delta| !delta.is_empty());
    notes.sort_unstable();
    notes.dedup();
    Settled {
        deltas,
        notes,
        waits,
        stays,
    }
}

struct Settling<'a> {
    deltas: Vec<Delta>,
    accounts: &'a Accounts,
    world: &'a World,
    matching: &'a Matching,
    sides: &'a Sides<'a>,
    /// R22: addresses that their accounts keep, each with an account that names a delegate by it.
    kept_named: BTreeMap<SmtpAddress, Namer<'a>>,
    waits: BTreeSet<Wait>,
    stays: BTreeMap<Target, String>,
    notes: Vec<Note>,
}

impl<'a> Settling<'a> {
    /// R22: the account of a leaver goes to a free address only while it is inactive, and only if another person gets
    /// the old one. No address is given away while an account still names a delegate by it. Returns whether a leaver
    /// keeps its address after all.
    fn leavers(&mut self) -> bool {
        let is_aside = |delta: &Delta| match (&delta.rename, delta.target, delta.mailbox) {
            (Some(rename), Target::Existing(ix), None) => {
                rename.to == aside(self.accounts.get(ix), &delta.address)
            }
            _ => false,
        };
        let is_inactive = |delta: &Delta| match delta.target {
            Target::Existing(ix) => !self.accounts.is_active(ix) || delta.is_suspend(),
            Target::New(_) => false,
        };
        let given = given_away(&self.deltas);
        let named = self.named(&given);
        let staying: Vec<(usize, bool)> = (0..self.deltas.len())
            .filter(|at| self.deltas[*at].rename.is_some())
            .filter_map(|at| {
                let delta = &self.deltas[at];
                let is_aside = is_aside(delta);
                let is_pointless =
                    is_aside && !(is_inactive(delta) && given.contains(&delta.address));
                (is_pointless || named.contains_key(&delta.address)).then_some((at, is_aside))
            })
            .collect();
        let mut is_changed = !staying.is_empty();
        for (at, is_aside) in staying {
            let label = self.directory_label(at);
            self.waits.extend(self.waits_to_move(at, &named));
            let by = named.get(&self.deltas[at].address);
            let still = by.map(|by| self.stays_named(at, *by));
            let delta = &mut self.deltas[at];
            let rename = delta.rename.take();
            if is_aside {
                delta.reasons.retain(|reason| reason.rule != "R22");
                self.stays.extend(still.map(|still| (delta.target, still)));
            } else if let (Some(rename), Some(still)) = (rename, still) {
                let text = format!("{} cannot become {} yet: {still}", delta.address, rename.to);
                self.notes.push(Note::new(label, Code::RenameBlocked, text));
            }
        }
        for delta in &mut self.deltas {
            let target = delta.target;
            delta.remove_aliases.retain(|alias| {
                let by = named.get(alias);
                let target_of = by.and_then(Namer::target);
                self.waits
                    .extend(target_of.map(|by| Wait::new(target, by, Some(alias))));
                is_changed |= by.is_some();
                by.is_none()
            });
        }
        self.kept_named.extend(named);
        is_changed
    }

    /// The given addresses by which an account still names a delegate, or itself, each with that account. Zivver stores
    /// delegates by address, so the next owner of the address could open the account.
    fn named(&self, given: &BTreeSet<SmtpAddress>) -> BTreeMap<SmtpAddress, Namer<'a>> {
        if given.is_empty() {
            return BTreeMap::new();
        }
        let mut named = self.named_by_rejected(given.iter());
        let by_target = self.by_target();
        for (at, address, delegate) in names(self.accounts, given) {
            let is_changed = by_target.get(&Target::Existing(at)).is_some_and(|delta| {
                let delta = &self.deltas[*delta];
                // It never sends itself back.
                (delegate == at && delta.touches_extension())
                    || delta.remove_delegates.contains(&delegate)
                    || delta.add_delegates.contains(&Target::Existing(delegate))
            });
            if !is_changed {
                let by = Namer::Account(at);
                named.entry(address.clone()).or_insert(by);
            }
        }
        named
    }

    /// R22: a delegate is written again only if it gives up the address by which it is named, and an entry is removed
    /// only if its address becomes free, or goes to another account.
    fn named_as_before(&mut self) {
        let given = given_up(&self.deltas);
        let claimed = self.deltas.iter().flat_map(claims).cloned();
        let moving: BTreeSet<SmtpAddress> = claimed.chain(given.iter().cloned()).collect();
        let anew: BTreeSet<(Target, Target)> = names(self.accounts, &given)
            .map(|(by, _, delegate)| (Target::Existing(by), Target::Existing(delegate)))
            .collect();
        let accounts = self.accounts;
        for delta in &mut self.deltas {
            delta.remove_entries.retain(|it| moving.contains(it));
            let (AccountKind::User, Target::Existing(ix)) = (delta.kind, delta.target) else {
                continue;
            };
            if delta.add_delegates.is_empty() {
                continue;
            }
            let current = accounts.delegates_of(ix).users;
            let removed = &delta.remove_delegates;
            delta.add_delegates.retain(|target| match target {
                Target::Existing(delegate) => {
                    let is_named = current.binary_search(delegate).is_ok();
                    let is_anew = || anew.contains(&(Target::Existing(ix), *target));
                    !is_named || !removed.contains(delegate) && is_anew()
                }
                Target::New(_) => true,
            });
        }
    }

    fn by_target(&self) -> BTreeMap<Target, usize> {
        let deltas = self.deltas.iter().enumerate();
        deltas.map(|(at, delta)| (delta.target, at)).collect()
    }

    /// One pass over all claims of addresses. Returns whether one was left out.
    fn addresses(&mut self) -> bool {
        let by_target = self.by_target();
        let mut refused: Vec<(usize, SmtpAddress, Obstacle<'a>)> = Vec::new();
        let stale = self.stale(&by_target);
        for (at, delta) in self.deltas.iter().enumerate() {
            for address in claims(delta) {
                let holder = self
                    .accounts
                    .with_address(address)
                    .iter()
                    .chain(self.accounts.with_alias(address))
                    .find(|holder| !self.lets_go(**holder, address, delta, &by_target));
                let holder = holder.copied().map(Obstacle::Holder);
                let namer = || {
                    let mut namers = stale.get(address)?.iter();
                    let other = namers.find(|by| by.target() != Some(delta.target));
                    let other = other.filter(|_| !self.made_room_at(delta, address));
                    other.copied().map(Obstacle::Namer)
                };
                if let Some(obstacle) = holder.or_else(namer) {
                    refused.push((at, address.clone(), obstacle));
                }
            }
        }
        for (at, address, obstacle) in &refused {
            self.leave_out(*at, address, *obstacle);
        }
        !refused.is_empty()
    }

    /// R22: the claimed addresses that no account has, but by which accounts name a delegate, each with those accounts,
    /// which are not written in this plan. The next owner of the address could open them.
    fn stale(&self, by_target: &BTreeMap<Target, usize>) -> BTreeMap<SmtpAddress, Vec<Namer<'a>>> {
        let claimed = self.deltas.iter().flat_map(claims);
        let claimed = claimed.filter(|address| self.accounts.user_called(address).is_none());
        let claimed: BTreeSet<SmtpAddress> = claimed.cloned().collect();
        let named = named_by(self.accounts, &claimed);
        let named = named.filter(|(by, address)| {
            let planned = by_target.get(&Target::Existing(*by));
            // An entry that may name a rejected account, or one that is not listed yet, is sent back.
            self.accounts.may_be_hidden(address)
                || !planned.is_some_and(|at| self.deltas[*at].touches_extension())
        });
        let named = named.map(|(by, address)| (address.clone(), Namer::Account(by)));
        let rejected = self.named_by_rejected(claimed.iter());
        let mut stale: BTreeMap<SmtpAddress, Vec<Namer<'a>>> = BTreeMap::new();
        for (address, by) in named.chain(rejected) {
            stale.entry(address).or_default().push(by);
        }
        stale
    }

    /// Whether an account left this address for a free one, and now takes it back.
    fn made_room_at(&self, delta: &Delta, address: &SmtpAddress) -> bool {
        match delta.target {
            Target::Existing(ix) => aside(self.accounts.get(ix), address) == delta.address,
            Target::New(_) => false,
        }
    }

    /// Whether `holder` no longer has the address when `delta` claims it.
    fn lets_go(
        &self,
        holder: AccountIx,
        address: &SmtpAddress,
        delta: &Delta,
        by_target: &BTreeMap<Target, usize>,
    ) -> bool {
        let own = Target::Existing(holder) == delta.target;
        let is_principal = self.accounts.get(holder).address() == address;
        if own {
            // Its own old address becomes an alias only with the rename. Its own alias may become its address.
            return !is_principal || delta.rename.is_some();
        }
        let other = by_target.get(&Target::Existing(holder));
        other.is_some_and(|at| gives_up(&self.deltas[*at], address, is_principal))
    }
}

impl Settling<'_> {
    fn directory_label(&self, at: usize) -> String {
        self.deltas[at].label(&self.world.directory).to_string()
    }

    /// R12, R32: leaves out delegates that get no account in this plan. Returns whether one was left out.
    fn delegates(&mut self) -> bool {
        let created: BTreeSet<Target> = self
            .deltas
            .iter()
            .filter(|delta| delta.create.is_some() && delta.kind == AccountKind::User)
            .map(|delta| delta.target)
            .collect();
        let mut changed = false;
        for at in 0..self.deltas.len() {
            let missing: Vec<Target> = self.deltas[at]
                .add_delegates
                .iter()
                .filter(|target| matches!(target, Target::New(_)) && !created.contains(target))
                .copied()
                .collect();
            changed |= !missing.is_empty();
            let label = self.directory_label(at);
            let mut is_outside = false;
            for target in missing {
                self.deltas[at].add_delegates.remove(&target);
                let Target::New(ix) = target else { continue };
                let wait = Wait {
                    target: self.deltas[at].target,
                    by: target,
                    address: None,
                };
                let who = &self.world.directory.mailbox(ix).primary;
                let (code, why) = if self.sides.outside.contains_key(&target) {
                    is_outside = true;
                    let why = format!(
                        "this run does not create its account: include {who} in the run (R39)"
                    );
                    (Code::OutsideRun, why)
                } else {
                    let remedy = self.sides.remedy([&wait], &BTreeSet::new());
                    let remedy = remedy.map(|remedy| format!("; {remedy}"));
                    let why = format!("it has no account yet{}", remedy.unwrap_or_default());
                    (Code::DelegateLeftOut, why)
                };
                self.waits.insert(wait);
                let text = format!("{who} is left out as a delegate: {why}");
                self.notes.push(Note::new(label.clone(), code, text));
            }
            if self.deltas[at].kind == AccountKind::Functional {
                changed |= self.without_delegates(at, &label, is_outside);
            }
        }
        changed
    }

    /// R12: a functional account without a delegate for now is neither created, emptied nor resumed. Returns whether
    /// this is such an account.
    fn without_delegates(&mut self, at: usize, label: &str, is_outside: bool) -> bool {
        let delta = &mut self.deltas[at];
        if !delta.add_delegates.is_empty() || delta.is_empty_of_members() {
            return false;
        }
        let waits = self.waits.iter().filter(|wait| wait.target == delta.target);
        let rejected = self.sides.if_rejected(waits);
        let (code, text) = match delta.target {
            Target::New(_) => {
                if delta.create.take().is_none() {
                    return false;
                }
                delta.add_aliases.clear();
                let text = "its only delegates are left out for now, so it is not created";
                match rejected {
                    Some(remedy) => (Code::Waits, format!("{text}; {remedy}")),
                    None if is_outside => (Code::OutsideRun, text.to_owned()),
                    None => (Code::DelegatesLeftOut, text.to_owned()),
                }
            }
            Target::Existing(ix) => {
                let is_resumed = delta.activity.take() == Some(Activity::Resume);
                let current = self.accounts.delegates_of(ix).users;
                // A member that cannot be understood keeps it in use (R1).
                if delta.remove_delegates.is_empty()
                    || self.accounts.has_hidden_member(ix)
                    || current
                        .iter()
                        .any(|ix| !delta.remove_delegates.contains(ix))
                {
                    return is_resumed;
                }
                delta.remove_delegates.clear();
                let members = current.iter().map(|ix| self.accounts.get(*ix).address());
                let members: Vec<&str> = members.map(SmtpAddress::as_str).collect();
                let text = format!(
                    "its only delegates are left out for now, so it is not emptied, and {} can still open it",
                    members.join(", ")
                );
                (Code::DelegatesStay, text)
            }
        };
        self.notes.push(Note::new(label, code, text));
        true
    }
}

/// Whether the account no longer has an address after its delta.
fn gives_up(delta: &Delta, address: &SmtpAddress, is_principal: bool) -> bool {
    if is_principal {
        delta.rename.is_some() && !delta.add_aliases.contains(address)
    } else {
        delta.remove_aliases.contains(address)
    }
}

/// A free address in the domain of the account, the same in every run.
pub(super) fn aside(account: AccountView<'_>, address: &SmtpAddress) -> SmtpAddress {
    let hash = digest([account.id().as_str(), address.as_str()].into_iter());
    SmtpAddress::verbatim(&format!("cloud-sync-{}@{}", &hash[..12], address.domain()))
}

/// Whether an address was made by [`aside`], for any account.
pub(super) fn is_aside(address: &SmtpAddress) -> bool {
    let local = address.as_str().split('@').next().unwrap_or_default();
    let hash = local.strip_prefix("cloud-sync-");
    hash.is_some_and(|hash| hash.len() == 12 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The addresses that a delta wants for its account.
pub(super) fn claims(delta: &Delta) -> impl Iterator<Item = &SmtpAddress> {
    delta
        .add_aliases
        .iter()
        .chain(delta.rename.as_ref().map(|rename| &rename.to))
        .chain(delta.create.as_ref().map(|_| &delta.address))
}

/// The addresses that accounts give up.
pub(super) fn given_up(deltas: &[Delta]) -> BTreeSet<SmtpAddress> {
    let mut given = BTreeSet::new();
    for delta in deltas {
        let is_renamed = delta.rename.is_some() && !delta.add_aliases.contains(&delta.address);
        given.extend(is_renamed.then(|| delta.address.clone()));
        given.extend(delta.remove_aliases.iter().cloned());
    }
    given
}

/// Those of them that another account gets.
fn given_away(deltas: &[Delta]) -> BTreeSet<SmtpAddress> {
    let given = given_up(deltas);
    if given.is_empty() {
        return given;
    }
    let claimed = deltas.iter().flat_map(claims);
    claimed
        .filter(|address| given.contains(*address))
        .cloned()
        .collect()
}

/// The addresses that accounts give up, and the old address of each renamed account. The alias for that can be held, left
/// out or refused.
pub(super) fn given_up_or_renamed(deltas: &[Delta]) -> BTreeSet<SmtpAddress> {
    let renamed = deltas.iter().filter(|delta| delta.rename.is_some());
    let mut given = given_up(deltas);
    given.extend(renamed.map(|delta| delta.address.clone()));
    given
}

/// Every user that names a user as a delegate by one of these addresses: the naming user, the address, the
/// delegate, which may be the user itself.
pub(super) fn names<'a>(
    accounts: &'a Accounts,
    addresses: &'a BTreeSet<SmtpAddress>,
) -> impl Iterator<Item = (AccountIx, &'a SmtpAddress, AccountIx)> {
    let named = named_by(accounts, addresses);
    named.filter_map(|(at, it)| Some((at, it, accounts.user_called(it)?)))
}

/// Every user with one of these addresses among its delegates, even if no account has it. The addresses of a user are
/// sorted, since Zivver lists them in any order (R25).
pub(super) fn named_by<'a>(
    accounts: &'a Accounts,
    addresses: &'a BTreeSet<SmtpAddress>,
) -> impl Iterator<Item = (AccountIx, &'a SmtpAddress)> {
    accounts.iter().flat_map(move |(at, view)| {
        let delegates: &[SmtpAddress] = match view {
            AccountView::User(user) => &user.delegates,
            AccountView::Functional(_) => &[],
        };
        let named = delegates.iter().filter(|it| addresses.contains(*it));
        let sorted: BTreeSet<&SmtpAddress> = named.collect();
        sorted.into_iter().map(move |it| (at, it))
    })
}
