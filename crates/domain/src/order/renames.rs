//! The requests of a rename, and the order of renames that wait for each other (R17).

use std::collections::BTreeSet;

use super::{DraftWhen, Ordering, Phase, calls::extension_call, draft_ix};
use crate::{
    accounts::AccountIx,
    address::SmtpAddress,
    delta::{Activity, KeyChange, Target},
    hash::HashMap,
    settle::aside,
    step::Call,
};

impl Ordering<'_> {
    /// R17: the new address is removed as an alias, the account is renamed, the aliases are set. A chain is renamed
    /// from its end; a cycle is broken by an intermediate address. All released addresses are known before any is
    /// claimed.
    pub(super) fn renames(&mut self) {
        let renamed: Vec<usize> = (0..self.deltas.len())
            .filter(|at| self.deltas[*at].rename.is_some())
            .collect();
        let prepared: Vec<Prepared> = renamed.iter().map(|at| self.prepare(*at)).collect();
        self.renamed = self.addresses();
        for (at, prepared) in renamed.into_iter().zip(prepared) {
            self.after_rename(at, self.renamed[&at], prepared);
        }
    }

    /// The drafts that change addresses, by delta.
    fn addresses(&mut self) -> HashMap<usize, usize> {
        let mut changed = HashMap::default();
        // Two accounts may have the same address in two spellings (R4).
        let mut open: BTreeSet<(&SmtpAddress, usize)> = BTreeSet::new();
        let mut holder: HashMap<&SmtpAddress, usize> = HashMap::default();
        for (at, delta) in self.deltas.iter().enumerate() {
            if delta.rename.is_some() {
                open.insert((&delta.address, at));
                holder.insert(&delta.address, at);
            }
        }
        let mut rank = 0;
        while let Some((_, first)) = open.pop_first() {
            // Follow the accounts that have the wanted address to the end of the chain.
            let mut chain = vec![first];
            let mut cyclic = false;
            while let Some(next) = self.deltas[chain[chain.len() - 1]]
                .rename
                .as_ref()
                .and_then(|rename| holder.get(&rename.to))
                .copied()
            {
                if next == first {
                    cyclic = true;
                    break;
                }
                if !open.remove(&(&self.deltas[next].address, next)) {
                    break;
                }
                chain.push(next);
            }
            if cyclic {
                self.cycle(&chain, &mut rank, &mut changed);
            } else {
                for at in chain.into_iter().rev() {
                    rank += 1;
                    let moved = self.change_address(at, rank);
                    changed.insert(at, moved);
                    self.name_anew(&self.deltas[at].address, moved, &mut rank);
                }
            }
        }
        changed
    }

    /// The first account of a cycle goes to an intermediate address. The account that wants its address goes first, the
    /// first account goes last.
    fn cycle(&mut self, chain: &[usize], rank: &mut u32, changed: &mut HashMap<usize, usize>) {
        let first = chain[0];
        let Target::Existing(ix) = self.deltas[first].target else {
            return;
        };
        *rank += 1;
        let aside = aside(self.accounts.get(ix), &self.deltas[first].address);
        let step_aside = rename_call(aside.clone(), None, None);
        let draft = self.push(Phase::Rename, first, step_aside, DraftWhen::Always);
        self.drafts[draft].rank = *rank;
        let from = &self.deltas[first].address;
        self.leaves_unnamed(draft, from, &aside);
        self.released_by.insert(from.clone(), draft);
        self.name_anew(from, draft, rank);
        let mut taker = None;
        for at in chain[1..].iter().rev() {
            *rank += 1;
            let renamed = self.change_address(*at, *rank);
            changed.insert(*at, renamed);
            self.name_anew(&self.deltas[*at].address, renamed, rank);
            taker = taker.or(Some(renamed));
        }
        *rank += 1;
        changed.insert(first, self.change_address(first, *rank));
        if let Some(taker) = taker {
            // If no account took its old address, it gets that back.
            *rank += 1;
            let back = rename_call(self.deltas[first].address.clone(), None, None);
            let draft = self.push(Phase::Rename, first, back, DraftWhen::IfRefused(taker));
            self.drafts[draft].rank = *rank;
            self.drafts[draft].after.insert(taker);
        }
    }

    /// What must be released before the rename: the new address as an alias, and aliases that others wait for.
    fn prepare(&mut self, at: usize) -> Prepared {
        let delta = &self.deltas[at];
        let (Target::Existing(ix), Some(rename)) = (delta.target, &delta.rename) else {
            unreachable!("only an account that is there has a rename");
        };
        let own = self.accounts.get(ix).extension();
        let dropped = own.aliases.contains(&rename.to);
        let released: Vec<_> = delta
            .remove_aliases
            .iter()
            .filter(|alias| self.wanted.contains(*alias))
            .cloned()
            .collect();
        let drops_first = dropped || !released.is_empty();
        if drops_first {
            let draft = self.without_additions(at, ix, Phase::Release);
            self.released_by
                .extend(released.into_iter().map(|alias| (alias, draft)));
        }
        Prepared {
            ix,
            dropped,
            drops_first,
        }
    }

    fn change_address(&mut self, at: usize, rank: u32) -> usize {
        let delta = &self.deltas[at];
        let Some(rename) = &delta.rename else {
            unreachable!("only an account that is renamed changes its address");
        };
        let active = match delta.activity {
            Some(Activity::Resume) => Some(true),
            // Also after a separate suspend: an account that is still active must not change its address.
            Some(Activity::Suspend(_)) => Some(false),
            Some(Activity::Empty(_)) | None => None,
        };
        let name = delta.name.as_ref().map(|(_, after)| after.clone());
        let call = rename_call(rename.to.clone(), name, active);
        let draft = self.push(Phase::Rename, at, call, DraftWhen::Always);
        self.drafts[draft].rank = rank;
        self.claim(draft, &rename.to);
        if !self.released_by.contains_key(&delta.address) {
            self.leaves_unnamed(draft, &delta.address, &rename.to);
        }
        self.released_by.insert(delta.address.clone(), draft);
        draft
    }

    /// The aliases after a rename. If it needs none, the step that restores the removed alias after a refused rename.
    fn after_rename(&mut self, at: usize, renamed: usize, prepared: Prepared) {
        let Prepared {
            ix,
            dropped,
            drops_first: dropped_first,
        } = prepared;
        let delta = &self.deltas[at];
        let still_to_remove = !dropped_first && !delta.remove_aliases.is_empty();
        // If the address was released before the rename, that request already wrote the new key (R23).
        let needs_key = !dropped_first && delta.key_change.is_some_and(KeyChange::is_due);
        let needs_more = delta.tie.is_some()
            || needs_key
            || !delta.add_aliases.is_empty()
            || !delta.add_delegates.is_empty()
            || (!dropped_first && delta.touches_delegates())
            || still_to_remove;
        if !needs_more && !dropped {
            return;
        }
        let mut extension = self.extension(delta, ix, true);
        let mut back = extension.aliases.clone();
        back.retain(|alias| *alias != delta.address);
        let restored = delta.rename.as_ref().filter(|_| dropped);
        back.extend(restored.map(|rename| rename.to.clone()));
        let (when, phase) = if needs_more {
            // The position of the rename is filled in later.
            extension.aliases_if_refused = Some((draft_ix(renamed), back));
            (DraftWhen::Always, Phase::Claim)
        } else {
            extension.aliases = back;
            (DraftWhen::IfRefused(renamed), Phase::Rename)
        };
        // A delegate may have been named anew since the rename.
        let last = self.last_of.get(&delta.target).copied();
        let rank = self.drafts[last.unwrap_or(renamed)].rank;
        let draft = self.push(phase, at, extension_call(extension), when);
        self.drafts[draft].rank = if phase == Phase::Rename { rank } else { 0 };
        self.waits(draft, at);
    }
}

/// What was released for a rename.
#[derive(Clone, Copy)]
struct Prepared {
    ix: AccountIx,
    /// Whether the new address was an alias of the account.
    dropped: bool,
    /// Whether its removals were sent before the rename.
    drops_first: bool,
}

pub(super) fn rename_call(to: SmtpAddress, name: Option<Box<str>>, active: Option<bool>) -> Call {
    Call::UpdateUser {
        address: Some(to),
        name,
        active,
        extension: None,
    }
}
