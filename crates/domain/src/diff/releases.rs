//! Makes addresses free for another person (R22, R25).

use std::collections::{BTreeMap, BTreeSet};

use super::Differ;
use crate::{
    accounts::{AccountIx, AccountKind},
    address::SmtpAddress,
    delta::{Delta, Target},
    directory::MailboxIx,
    guard::Class,
    ids::SignInKey,
    matching::{AccountFate, MailboxFate},
    mode::Depth,
    note::Code,
    settle::{aside, claims, given_up_or_renamed, named_by, names},
    world::FunctionalKept,
};

impl Differ<'_> {
    /// R22, R25: accounts that no longer follow Exchange, because they have no mailbox or are to be inactive, release
    /// the addresses that a live mailbox has now.
    pub(super) fn releases(&mut self) {
        let mut aliases: BTreeMap<AccountIx, BTreeSet<SmtpAddress>> = BTreeMap::new();
        let mut principals: BTreeSet<AccountIx> = BTreeSet::new();
        for delta in &self.out.deltas {
            for address in claims(delta) {
                if self.world.directory.is_shared_address(address) {
                    continue; // R6: Zivver keeps it where it is.
                }
                let others = |ix: &&AccountIx| Target::Existing(**ix) != delta.target;
                for holder in self
                    .world
                    .accounts
                    .with_alias(address)
                    .iter()
                    .filter(others)
                {
                    if self.may_release(*holder) {
                        aliases.entry(*holder).or_default().insert(address.clone());
                    }
                }
                principals.extend(
                    self.world
                        .accounts
                        .with_address(address)
                        .iter()
                        .filter(others),
                );
            }
        }
        let mut at: BTreeMap<Target, usize> = self
            .out
            .deltas
            .iter()
            .enumerate()
            .map(|(at, delta)| (delta.target, at))
            .collect();
        for holder in principals {
            self.release_principal(holder, &mut at);
        }
        for (holder, addresses) in aliases {
            self.release_aliases(holder, addresses, &mut at);
        }
        self.name_anew(&mut at);
        self.name_former(&mut at);
        self.take_out_dead_entries(&mut at);
    }

    /// R22: Zivver stores delegates by address, so an account that names a delegate by an address which the delegate
    /// gives up is written with the new address. If it cannot be written, no other account gets the old address.
    fn name_anew(&mut self, at: &mut BTreeMap<Target, usize>) {
        // Where the alias for the old address is made, the delegates stay named as before.
        let given = given_up_or_renamed(&self.out.deltas);
        let accounts = &self.world.accounts;
        let named: Vec<(AccountIx, SmtpAddress, AccountIx)> = names(accounts, &given)
            .map(|(by, address, delegate)| (by, address.clone(), delegate))
            .collect();
        for (by, address, delegate) in named {
            if by == delegate {
                // The removal of an alias writes the delegates anyway, without the account itself.
                if accounts.get(by).address() == &address {
                    let fact = format!("it names itself by {address}, which it gives up");
                    self.remove_entry(by, address, &fact, at);
                }
                continue;
            }
            let key = self.key_after(by, at);
            if !self.may_write(by) || (key.is_none() && self.policy.needs_key()) {
                continue;
            }
            let fact = format!("it names a delegate by {address}, which that delegate gives up");
            self.delta_of(by, at).name_anew(delegate, &fact, key);
        }
    }

    /// R22, R35: the same for an address that an earlier run took from a delegate, if that run ended before it wrote the
    /// account. Only where it is not known who is to be a delegate: otherwise the grants decide.
    fn name_former(&mut self, at: &mut BTreeMap<Target, usize>) {
        let accounts = &self.world.accounts;
        let former = &self.memory.former_addresses;
        let addresses = former.keys().filter(|address| {
            accounts.with_address(address).is_empty()
                && accounts.with_alias(address).is_empty()
                && !accounts.may_be_hidden(address)
        });
        let addresses: BTreeSet<SmtpAddress> = addresses.cloned().collect();
        let named: Vec<(AccountIx, SmtpAddress)> = named_by(accounts, &addresses)
            .filter(|(by, _)| self.unread.contains(by))
            .map(|(by, address)| (by, address.clone()))
            .collect();
        for (by, address) in named {
            let Some(delegate) = accounts.with_id(&former[&address]) else {
                continue;
            };
            let planned = at.get(&Target::Existing(delegate));
            let is_given_away = planned.is_some_and(|at| self.out.deltas[*at].waits_for_identity());
            let key = self.key_after(by, at);
            if by == delegate
                || is_given_away
                || accounts.delegates_of(by).users.contains(&delegate)
                || !self.may_write(by)
                || (key.is_none() && self.policy.needs_key())
            {
                continue;
            }
            let now = accounts.get(delegate).address();
            let fact = format!("it names a delegate by {address}, the former address of {now}");
            self.delta_of(by, at).name_anew(delegate, &fact, key);
        }
    }

    /// R22: an address that no account has may still be among the delegates of an account, which its next owner could
    /// open. A quick run leaves that to a full one, which compares these delegates (R45).
    fn take_out_dead_entries(&mut self, at: &mut BTreeMap<Target, usize>) {
        let accounts = &self.world.accounts;
        let deltas = self.out.deltas.iter();
        let claimed: BTreeMap<SmtpAddress, Target> = deltas
            .flat_map(|delta| claims(delta).map(|it| (it.clone(), delta.target)))
            .filter(|(it, _)| accounts.user_called(it).is_none() && !accounts.may_be_hidden(it))
            .collect();
        let addresses = claimed.keys().cloned().collect();
        let named: Vec<(AccountIx, SmtpAddress)> = named_by(accounts, &addresses)
            .map(|(by, address)| (by, address.clone()))
            .collect();
        for (by, address) in named {
            let claimant = claimed[&address];
            let planned = at.get(&Target::Existing(by));
            let is_named_again =
                planned.is_some_and(|at| self.out.deltas[*at].add_delegates.contains(&claimant));
            let is_left = self.world.depth == Depth::Quick
                && self.mailbox_of(by).is_some()
                && accounts.is_active(by);
            if claimant != Target::Existing(by) && !is_named_again && !is_left && self.may_write(by)
            {
                let fact = format!(
                    "it names a delegate by {address}, which no account has and another one gets"
                );
                self.remove_entry(by, address, &fact, at);
            }
        }
    }

    fn remove_entry(
        &mut self,
        by: AccountIx,
        address: SmtpAddress,
        fact: &str,
        at: &mut BTreeMap<Target, usize>,
    ) {
        let key = self.key_after(by, at);
        let needs_key = self.policy.needs_key();
        let delta = self.delta_of(by, at);
        delta.key = delta.key.take().or(key);
        if delta.key.is_some() || !needs_key {
            delta.because("R22", fact);
            delta.remove_entries.insert(address);
        }
    }

    /// The delta of an account, created if there is none.
    fn delta_of(&mut self, ix: AccountIx, at: &mut BTreeMap<Target, usize>) -> &mut Delta {
        let target = Target::Existing(ix);
        let mailbox = self.mailbox_of(ix);
        let at = *at.entry(target).or_insert_with(|| {
            let view = self.world.accounts.get(ix);
            let delta = Delta::new(target, view.kind(), view.address().clone(), mailbox);
            self.out.deltas.push(delta);
            self.out.deltas.len() - 1
        });
        &mut self.out.deltas[at]
    }

    /// R22: the address of a leaver can be given to another person. The account, which is inactive or is suspended in
    /// this plan, follows its mailbox; without a mailbox it goes to a free address.
    fn release_principal(&mut self, holder: AccountIx, at: &mut BTreeMap<Target, usize>) {
        let planned = at
            .get(&Target::Existing(holder))
            .map(|at| &self.out.deltas[*at]);
        let is_stopped = planned.is_some_and(Delta::is_suspend);
        let has_more = planned.is_some_and(|delta| delta.rename.is_some() || delta.tie.is_some());
        let view = self.world.accounts.get(holder);
        if view.kind() != AccountKind::User
            || has_more
            || (self.world.accounts.is_active(holder) && !is_stopped)
        {
            return;
        }
        let away = || aside(view, view.address());
        let (to, mailbox) = match self.matching.account(holder) {
            AccountFate::Owned(mailbox) => {
                let own = self.world.directory.mailbox(*mailbox);
                let is_its = matches!(self.matching.mailbox(*mailbox), MailboxFate::Matched(found) if found.tied_to_other.is_none());
                if !is_its || own.primary == *view.address() {
                    return;
                }
                (own.primary.clone(), Some(own))
            }
            AccountFate::MailboxOutsideDomains(_) => (away(), None),
            AccountFate::MergeCandidate(_) | AccountFate::Unowned
                if self.gone(holder).is_some() =>
            {
                (away(), None)
            }
            AccountFate::MergeCandidate(_)
            | AccountFate::Unowned
            | AccountFate::Foreign
            | AccountFate::Protected(_)
            | AccountFate::OwnedByDisabled
            | AccountFate::Evidence(_) => return,
        };
        let key = mailbox.and_then(|own| self.policy.sign_in_key(own));
        let fact = format!(
            "{} now belongs to another mailbox, so that this account becomes {to}",
            view.address()
        );
        let delta = self.delta_of(holder, at);
        delta.key = delta.key.take().or(key);
        delta.rename_to(to, Class::Rename);
        delta.because("R22", fact);
    }

    fn release_aliases(
        &mut self,
        holder: AccountIx,
        addresses: BTreeSet<SmtpAddress>,
        at: &mut BTreeMap<Target, usize>,
    ) {
        let view = self.world.accounts.get(holder);
        let key = self.key_of(holder);
        let without_key =
            view.kind() == AccountKind::User && key.is_none() && self.policy.needs_key();
        if without_key {
            let text = "another mailbox now has one of its aliases, but without its object id the alias cannot be released";
            self.note(&view.address().clone(), Code::NoKey, text);
            return;
        }
        let delta = self.delta_of(holder, at);
        delta.key = delta.key.take().or(key);
        for address in addresses {
            delta.because("R25", format!("{address} now belongs to a live mailbox"));
            delta.remove_aliases.insert(address);
        }
    }

    /// R23: the key of an account, even if its mailbox is gone.
    fn key_of(&self, account: AccountIx) -> Option<SignInKey> {
        self.key_at(account, self.world.accounts.get(account).address())
    }

    /// The same for the address that the account is to have.
    fn key_after(&self, account: AccountIx, at: &BTreeMap<Target, usize>) -> Option<SignInKey> {
        let planned = at.get(&Target::Existing(account));
        let rename = planned.and_then(|at| self.out.deltas[*at].rename.as_ref());
        match rename {
            Some(rename) => self.key_at(account, &rename.to),
            None => self.key_of(account),
        }
    }

    fn key_at(&self, account: AccountIx, address: &SmtpAddress) -> Option<SignInKey> {
        let mailbox = self.mailbox_of(account);
        let own = mailbox.and_then(|ix| self.policy.sign_in_key(self.world.directory.mailbox(ix)));
        let known = self.matching.known_object_id(account).copied();
        own.or_else(|| self.policy.key_without_mailbox(known, address))
    }

    fn mailbox_of(&self, account: AccountIx) -> Option<MailboxIx> {
        match self.matching.account(account) {
            AccountFate::Owned(mailbox) => Some(*mailbox),
            AccountFate::Foreign
            | AccountFate::Protected(_)
            | AccountFate::OwnedByDisabled
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::Evidence(_)
            | AccountFate::MergeCandidate(_)
            | AccountFate::Unowned => None,
        }
    }

    fn may_release(&self, holder: AccountIx) -> bool {
        // It is compared with its mailbox unless it is to be inactive. A second removal of the same alias changes
        // nothing.
        let is_known = |ix| self.world.directory.mailbox(ix).knows_aliases;
        self.may_write(holder) && self.mailbox_of(holder).is_none_or(is_known)
    }

    /// Whether a request may be sent to an account only because another account needs an address.
    fn may_write(&self, holder: AccountIx) -> bool {
        let kind = self.world.accounts.get(holder).kind();
        let is_left = match self.keeps_functional {
            None => false,
            Some(FunctionalKept::OutsideFilter) => true,
            // R45: the aliases of its mailbox are known, but nothing else about it.
            Some(FunctionalKept::NotRead) => self.mailbox_of(holder).is_none(),
        };
        if self.kept.contains(&holder) || kind == AccountKind::Functional && is_left {
            return false;
        }
        match self.matching.account(holder) {
            AccountFate::Unowned | AccountFate::MergeCandidate(_) => true,
            AccountFate::Owned(mailbox) => {
                matches!(self.matching.mailbox(*mailbox), MailboxFate::Matched(found) if found.tied_to_other.is_none())
            }
            AccountFate::Foreign
            | AccountFate::Protected(_)
            | AccountFate::OwnedByDisabled
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::Evidence(_) => false,
        }
    }
}
