//! The accounts that name a delegate by an address which an undo takes from the delegate (R22).

use std::collections::BTreeMap;

use super::{key_of, mailbox_of};
use crate::{
    accounts::AccountIx,
    address::SmtpAddress,
    change::Change,
    delta::{Delta, Target},
    given::Given,
    matching::AccountFate,
    settle::{given_up, names},
};

/// Zivver stores delegates by address, so these accounts are written with the address that the delegate gets back.
pub(super) fn name_anew(deltas: &mut Vec<Delta>, given: Given<'_>) {
    let accounts = &given.world.accounts;
    let given_up = given_up(deltas);
    let named: Vec<(AccountIx, &SmtpAddress, AccountIx)> = names(accounts, &given_up).collect();
    let targets = deltas.iter().enumerate();
    let mut by_target: BTreeMap<Target, usize> =
        targets.map(|(at, delta)| (delta.target, at)).collect();
    for (by, address, delegate) in named {
        let (view, target) = (accounts.get(by), Target::Existing(by));
        let key = key_of(by, None, view.address(), given);
        if !may_be_written(by, given) || (key.is_none() && given.policy.needs_key()) {
            continue;
        }
        let at = *by_target.entry(target).or_insert_with(|| {
            let mailbox = mailbox_of(given.matching, by);
            let address = view.address().clone();
            deltas.push(Delta::new(target, view.kind(), address, mailbox));
            deltas.len() - 1
        });
        let fact = format!("it names a delegate by {address}, which that delegate gives up");
        deltas[at].name_anew(delegate, &fact, key);
    }
}

/// Whether it is certain whose account it is.
fn may_be_written(ix: AccountIx, given: Given<'_>) -> bool {
    let is_certain = match given.matching.account(ix) {
        AccountFate::Owned(_) | AccountFate::MergeCandidate(_) | AccountFate::Unowned => true,
        AccountFate::Foreign
        | AccountFate::Protected(_)
        | AccountFate::OwnedByDisabled
        | AccountFate::MailboxOutsideDomains(_)
        | AccountFate::Evidence(_) => false,
    };
    is_certain && !given.matching.frozen.contains(&ix)
}

/// The changes of a delta, without delegates who are only named anew.
pub(super) fn changes_of(delta: &Delta, ix: AccountIx, given: Given<'_>) -> Vec<Change> {
    let current = given.world.accounts.delegates_of(ix).users;
    let is_named_anew = |change: &Change| matches!(change, Change::AddDelegate(Target::Existing(delegate)) if current.contains(delegate));
    let changes = delta.changes().into_iter();
    let parts = changes.flat_map(|change| change.parts());
    parts.filter(|change| !is_named_anew(change)).collect()
}
