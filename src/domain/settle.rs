//! Leaves out of the deltas what cannot be had: an address that another account keeps, a delegate whose account does
//! not come to be (R12, R23, R25, R32). What is left can be put in order.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    accounts::{AccountIx, AccountKind, Accounts},
    address::SmtpAddress,
    delta::{Activity, Delta, Target},
    directory::Directory,
    note::{Code, Note},
};

/// What is left, and what was left out.
#[derive(Debug)]
pub struct Settled {
    pub deltas: Vec<Delta>,
    pub notes: Vec<Note>,
}

/// Repeats until nothing more falls out: a rename that falls out keeps its old address from the next.
pub fn settle(deltas: Vec<Delta>, accounts: &Accounts, directory: &Directory) -> Settled {
    let mut settling = Settling {
        deltas,
        accounts,
        directory,
        notes: Vec::new(),
    };
    while settling.addresses() | settling.delegates() {}
    let Settling {
        mut deltas,
        mut notes,
        ..
    } = settling;
    deltas.retain(|delta| !delta.is_empty());
    notes.sort_unstable();
    notes.dedup();
    Settled { deltas, notes }
}

struct Settling<'a> {
    deltas: Vec<Delta>,
    accounts: &'a Accounts,
    directory: &'a Directory,
    notes: Vec<Note>,
}

impl Settling<'_> {
    /// One pass over all claims of addresses; says whether one fell out.
    fn addresses(&mut self) -> bool {
        let by_target: BTreeMap<Target, usize> = self
            .deltas
            .iter()
            .enumerate()
            .map(|(at, delta)| (delta.target, at))
            .collect();
        let mut refused: Vec<(usize, SmtpAddress, AccountIx)> = Vec::new();
        for (at, delta) in self.deltas.iter().enumerate() {
            for address in claims(delta) {
                let holder = self
                    .accounts
                    .with_address(address)
                    .iter()
                    .chain(self.accounts.with_alias(address))
                    .find(|holder| !self.lets_go(**holder, address, delta, &by_target));
                if let Some(holder) = holder {
                    refused.push((at, address.clone(), *holder));
                }
            }
        }
        for (at, address, holder) in &refused {
            self.leave_out(*at, address, *holder);
        }
        !refused.is_empty()
    }

    /// Whether `holder` has the address no longer when `delta` claims it.
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
            // Its own old address becomes an alias only with the rename; its own alias may become its address.
            return !is_principal || delta.rename.is_some();
        }
        let Some(other) = by_target
            .get(&Target::Existing(holder))
            .map(|at| &self.deltas[*at])
        else {
            return false;
        };
        if is_principal {
            other.rename.is_some() && !other.add_aliases.contains(address)
        } else {
            other.remove_aliases.contains(address)
        }
    }

    fn leave_out(&mut self, at: usize, address: &SmtpAddress, holder: AccountIx) {
        let holder = self.accounts.get(holder);
        let label = self.directory_label(at);
        let delta = &mut self.deltas[at];
        if delta.create.is_some() && delta.address == *address {
            delta.create = None;
            delta.add_aliases.clear();
            delta.add_delegates.clear();
            let text = format!(
                "{address} is still an address of {}, so no account can be created for it; merge or mend by hand",
                holder.address()
            );
            self.notes.push(Note::new(label, Code::AddressTaken, text));
        } else if delta
            .rename
            .as_ref()
            .is_some_and(|rename| rename.to == *address)
        {
            let from = delta.address.clone();
            delta.rename = None;
            let text = format!(
                "{from} cannot become {address}, which is still an address of {}; merge or mend by hand",
                holder.address()
            );
            self.notes.push(Note::new(label, Code::RenameBlocked, text));
        } else {
            delta.add_aliases.remove(address);
            // Its own old address, while the rename is held: nothing that a person need mend.
            if holder.address() != &delta.address {
                let text = format!(
                    "the alias {address} is left out: it still belongs to {}",
                    holder.address()
                );
                self.notes.push(Note::new(label, Code::AliasTaken, text));
            }
        }
    }

    fn directory_label(&self, at: usize) -> String {
        let delta = &self.deltas[at];
        delta
            .mailbox
            .map_or(delta.address.as_str(), |ix| {
                self.directory.mailbox(ix).primary.as_str()
            })
            .to_owned()
    }

    /// R12, R32: delegates that get no account in this plan. Says whether one fell out.
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
            for target in missing {
                self.deltas[at].add_delegates.remove(&target);
                if let Target::New(ix) = target {
                    let who = &self.directory.mailbox(ix).primary;
                    let text = format!("{who} is left out as a delegate: it has no account yet");
                    self.notes
                        .push(Note::new(label.clone(), Code::DelegateLeftOut, text));
                }
            }
            if self.deltas[at].kind == AccountKind::Functional {
                changed |= self.without_delegates(at, &label);
            }
        }
        changed
    }

    /// R12: a functional account that has no delegate for now is neither created nor emptied, nor resumed. Says whether
    /// this one is not.
    fn without_delegates(&mut self, at: usize, label: &str) -> bool {
        let delta = &mut self.deltas[at];
        if !delta.add_delegates.is_empty() || delta.is_empty_of_members() {
            return false;
        }
        let text = match delta.target {
            Target::New(_) => {
                if delta.create.take().is_none() {
                    return false;
                }
                delta.add_aliases.clear();
                "its only delegates are left out for now, so it is not created"
            }
            Target::Existing(ix) => {
                let is_resumed = delta.activity.take() == Some(Activity::Resume);
                let current = self.accounts.delegates_of(ix).users;
                if delta.remove_delegates.is_empty()
                    || current
                        .iter()
                        .any(|ix| !delta.remove_delegates.contains(ix))
                {
                    return is_resumed;
                }
                delta.remove_delegates.clear();
                "its only delegates are left out for now, so it is not emptied"
            }
        };
        self.notes
            .push(Note::new(label, Code::DelegatesLeftOut, text));
        true
    }
}

/// The addresses that a delta wants for its account.
pub(super) fn claims(delta: &Delta) -> impl Iterator<Item = &SmtpAddress> {
    delta
        .add_aliases
        .iter()
        .chain(delta.rename.as_ref().map(|rename| &rename.to))
        .chain(delta.create.as_ref().map(|_| &delta.address))
}
