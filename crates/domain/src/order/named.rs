//! Zivver stores delegates by address. An account gets an address only after every account that names another by it was
//! written without it (R22).

use super::{DraftWhen, Ordering, Phase};
use crate::{
    accounts::{AccountIx, AccountKind},
    address::SmtpAddress,
    delta::Target,
    hash::HashMap,
    settle::{claims, named_by},
};

impl Ordering<'_> {
    /// Removes at once what can be removed at once. A delegate that stays, but is named by the address that it leaves,
    /// is written with its new address after it has left (`name_anew`).
    pub(super) fn unname(&mut self) {
        let deltas = self.deltas;
        let claimants: HashMap<&SmtpAddress, Target> = deltas
            .iter()
            .flat_map(|delta| claims(delta).map(|address| (address, delta.target)))
            .collect();
        let by_target: HashMap<Target, usize> = deltas
            .iter()
            .enumerate()
            .map(|(at, delta)| (delta.target, at))
            .collect();
        let wanted = self.wanted.clone();
        for (by, address) in named_by(self.accounts, &wanted) {
            let delegate = self.accounts.user_called(address);
            let claimant = claimants[address];
            if claimant == Target::Existing(by) || Some(claimant) == delegate.map(Target::Existing)
            {
                continue;
            }
            let Some(at) = by_target.get(&Target::Existing(by)).copied() else {
                continue;
            };
            if deltas[at].kind != AccountKind::User || !deltas[at].touches_extension() {
                continue;
            }
            match delegate {
                Some(delegate) if self.leaves(at, delegate, address) => {
                    let named = self.named_until_moved.entry(address.clone());
                    named.or_default().push(at);
                }
                Some(_) | None => {
                    let draft = self.take_out(at, by);
                    let unnamed = self.unnamed_by.entry(address.clone());
                    unnamed.or_default().push(draft);
                }
            }
        }
        self.written_before(&claimants);
    }

    /// A delegate who is named by an alias is written with the principal. If that happens before the account leaves its
    /// principal, it is written again afterwards.
    fn written_before(&mut self, claimants: &HashMap<&SmtpAddress, Target>) {
        let leaving = self.deltas.iter().filter(|delta| {
            let claimant = claimants.get(&delta.address);
            delta.rename.is_some() && claimant.is_some_and(|it| *it != delta.target)
        });
        let leaving: HashMap<Target, &SmtpAddress> =
            leaving.map(|it| (it.target, &it.address)).collect();
        if leaving.is_empty() {
            return;
        }
        for (at, delta) in self.deltas.iter().enumerate() {
            let (AccountKind::User, Target::Existing(by)) = (delta.kind, delta.target) else {
                continue;
            };
            if !delta.touches_extension() {
                continue;
            }
            for delegate in self.accounts.delegates_of(by).users {
                if delta.remove_delegates.contains(&delegate) {
                    continue;
                }
                let Some(address) = leaving.get(&Target::Existing(delegate)) else {
                    continue;
                };
                let named = self.named_until_moved.entry((*address).clone());
                let named = named.or_default();
                if !named.contains(&at) {
                    named.push(at);
                }
            }
        }
    }

    /// Whether a delegate is to be named by an address other than the present one.
    fn leaves(&self, at: usize, delegate: AccountIx, address: &SmtpAddress) -> bool {
        self.accounts.get(delegate).address() == address
            && !self.deltas[at].remove_delegates.contains(&delegate)
    }

    fn take_out(&mut self, at: usize, by: AccountIx) -> usize {
        let delta = &self.deltas[at];
        if !Self::is_one_request(delta) || delta.rename.is_some() {
            return self.without_additions(at, by, Phase::Unname);
        }
        if let Some(whole) = self.whole.get(&at) {
            return *whole;
        }
        let call = self.update(delta, by);
        let draft = self.push(Phase::Unname, at, call, DraftWhen::Always);
        self.whole.insert(at, draft);
        draft
    }

    /// `moved`: the draft by which an account leaves an address.
    pub(super) fn name_anew(&mut self, address: &SmtpAddress, moved: usize, rank: &mut u32) {
        for at in self.named_until_moved.remove(address).unwrap_or_default() {
            let Target::Existing(by) = self.deltas[at].target else {
                continue;
            };
            *rank += 1;
            let draft = self.without_additions(at, by, Phase::Rename);
            self.drafts[draft].rank = *rank;
            self.drafts[draft].after.insert(moved);
            let unnamed = self.unnamed_by.entry(address.clone());
            unnamed.or_default().push(draft);
        }
    }

    pub(super) fn without_additions(&mut self, at: usize, by: AccountIx, phase: Phase) -> usize {
        let call = self.extension_without_additions(&self.deltas[at], by);
        self.push(phase, at, call, DraftWhen::Always)
    }

    /// An account keeps its address while an account that was to remove it from its delegates still names it. Otherwise
    /// a later run could not tell who is named.
    pub(super) fn leaves_unnamed(&mut self, draft: usize, from: &SmtpAddress, to: &SmtpAddress) {
        for unnamed in self.unnamed_by.get(from).cloned().unwrap_or_default() {
            self.rests_on(draft, to, unnamed);
        }
    }
}
