//! Which account still names a delegate by an address that another account is to get (R1, R22).

use std::collections::{BTreeMap, BTreeSet};

use super::{Settling, TAKE_OUT, Wait};
use crate::{
    account::RejectedAccount, accounts::AccountIx, address::SmtpAddress, delegation::Delegations,
    delta::Target, matching::AccountFate, mode::Depth,
};

const CORRECT: &str = "correct that account in the Zivver WebApp, or ask Zivver's support";

#[derive(Debug, Clone, Copy)]
pub(super) enum Namer<'a> {
    Account(AccountIx),
    /// R1: it stays as it is.
    Rejected(&'a RejectedAccount),
}

impl Namer<'_> {
    pub(super) fn target(&self) -> Option<Target> {
        match self {
            Self::Account(ix) => Some(Target::Existing(*ix)),
            Self::Rejected(_) => None,
        }
    }
}

impl<'a> Settling<'a> {
    /// R1: the addresses by which a rejected account names a delegate.
    pub(super) fn named_by_rejected<'b>(
        &self,
        addresses: impl Iterator<Item = &'b SmtpAddress>,
    ) -> BTreeMap<SmtpAddress, Namer<'a>> {
        let accounts = self.accounts;
        let named = addresses.filter_map(|address| {
            let row = accounts.rejected_that_names(address)?;
            Some((address.clone(), Namer::Rejected(row)))
        });
        named.collect()
    }

    /// Why an account cannot leave its address, and what can be done about it.
    pub(super) fn stays_named(&self, at: usize, by: Namer<'_>) -> String {
        let delta = &self.deltas[at];
        let (named, remedy) = match by {
            Namer::Account(ix) => {
                let by = Target::Existing(ix);
                let wait = Wait::new(delta.target, by, Some(&delta.address));
                let remedy = self.sides.remedy([&wait], &BTreeSet::new());
                let named = if by == delta.target {
                    "its own delegates still contain that address".to_owned()
                } else {
                    let address = self.accounts.get(ix).address();
                    format!("{address} still names it as a delegate by that address")
                };
                (named, remedy.unwrap_or_else(|| TAKE_OUT.to_owned()))
            }
            Namer::Rejected(row) => {
                let named = format!("{} still names it as a delegate by that address", row.label);
                (named, CORRECT.to_owned())
            }
        };
        format!("{named}, which another account needs; {remedy}")
    }

    /// How an address is still named, and what can be done about it.
    pub(super) fn named_still(&self, by: Namer<'_>, wait: &Wait) -> (String, String) {
        let by = match by {
            Namer::Account(ix) => ix,
            Namer::Rejected(row) => {
                let text = format!(
                    "is still among the delegates of {}, which cannot be understood",
                    row.label
                );
                return (text, CORRECT.to_owned());
            }
        };
        let named = self.accounts.get(by).address();
        let text = format!(
            "is still among the delegates of {named}{}",
            self.why_named(by)
        );
        let target = Target::Existing(by);
        let outside = self.sides.outside.get(&target);
        if let Some(delta) = outside.filter(|delta| delta.touches_extension()) {
            let label = delta.label(&self.world.directory);
            let remedy =
                format!("this run does not change that account: include {label} in the run (R39)");
            return (text, remedy);
        }
        let wait = Wait::new(wait.target, target, wait.address.as_ref());
        let remedy = self.sides.remedy([&wait], &BTreeSet::new());
        // R45: a quick run compares no delegates.
        let is_compared = matches!(self.matching.account(by), AccountFate::Owned(_));
        let by_hand = if self.world.depth == Depth::Quick
            && is_compared
            && self.accounts.is_active(by)
        {
            format!(
                "a full run names its delegates by the addresses that they have now; if this stays after it, {TAKE_OUT} (R45)"
            )
        } else {
            TAKE_OUT.to_owned()
        };
        (text, remedy.unwrap_or(by_hand))
    }

    /// Why an account that names a delegate is not written, if that is known. Its own note has the details.
    fn why_named(&self, by: AccountIx) -> &'static str {
        let mailbox = match self.matching.account(by) {
            AccountFate::Owned(mailbox) => *mailbox,
            AccountFate::Protected(_) => return ", which is protected",
            AccountFate::Foreign
            | AccountFate::OwnedByDisabled
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::Evidence(_)
            | AccountFate::MergeCandidate(_)
            | AccountFate::Unowned => return "",
        };
        match self.world.delegations_of(mailbox) {
            Some(Delegations::Unknown(_)) => ", whose delegations are unknown",
            Some(Delegations::Known(_) | Delegations::Gone) | None => "",
        }
    }
}
