//! Notes about the delegations of a mailbox: entries that are unknown, left out, or keep access (R9–R12).

use super::{Differ, words};
use crate::{
    accounts::AccountIx, delegation::Delegations, desired::Derived, directory::MailboxIx,
    kept_access::accounts_of_outsider, mailbox::Mailbox, matching::AccountFate, note::Code,
};

impl Differ<'_> {
    /// The notes about the addresses and the trustees of a mailbox in scope.
    pub(super) fn remarks(&mut self, ix: MailboxIx, mailbox: &Mailbox) {
        for text in &mailbox.malformed_aliases {
            self.note(
                &mailbox.primary,
                Code::AliasMalformed,
                format!("{text:?} is not an address and is ignored"),
            );
        }
        if !mailbox.knows_aliases {
            let text = "Exchange's list of its addresses is missing or does not show its primary address, so its aliases \
                        stay as they are; run again, and if it stays so, look at EmailAddresses of the mailbox";
            self.note(&mailbox.primary, Code::AliasesUnknown, text);
        }
        for alias in &mailbox.aliases {
            if self.policy.claimed_domains.holds(alias)
                && self.world.directory.is_shared_address(alias)
            {
                let text = format!(
                    "{alias} belongs to more than one mailbox; it stays where Zivver has it"
                );
                self.note(&mailbox.primary, Code::AliasContested, text);
            }
        }
        match self.world.delegations_of(ix) {
            Some(Delegations::Unknown(reason)) => {
                self.note(
                    &mailbox.primary,
                    Code::DelegationsUnknown,
                    format!("its delegates stay as they are: {reason}"),
                );
            }
            Some(Delegations::Known(grants)) => {
                for remark in &grants.remarks {
                    let (code, text) = words(remark, &mailbox.primary);
                    self.note(&mailbox.primary, code, text);
                }
                let own = self.matching.claimed[ix.0 as usize];
                for outsider in &grants.outsiders {
                    if accounts_of_outsider(self.world, self.matching, outsider, own).is_empty() {
                        let text = format!(
                            "{} ({}) is not a mailbox of the tenant and has no active account",
                            outsider.label, outsider.kind
                        );
                        self.note(&mailbox.primary, Code::TrusteeNotAMailbox, text);
                    }
                }
            }
            Some(Delegations::Gone) | None => {}
        }
    }

    /// R12: the notes about everybody who has Full Access and cannot be a delegate.
    pub(super) fn pruned(&mut self, mailbox: &Mailbox, derived: &Derived) {
        for (party, reason) in &derived.pruned {
            let text = format!(
                "{} is not a delegate: {reason}",
                self.world.directory.label(*party)
            );
            self.note(&mailbox.primary, Code::DelegatePruned, text);
        }
        for (party, reason) in &derived.left_out {
            let text = format!(
                "{} is left out as a delegate: {reason}",
                self.world.directory.label(*party)
            );
            self.note(&mailbox.primary, Code::DelegateLeftOut, text);
        }
        for (who, reason) in &derived.kept {
            let text = format!(
                "{who} has Full Access and an active account, but {reason}: the delegation is neither added nor removed"
            );
            self.note(&mailbox.primary, Code::DelegateKept, text);
        }
    }

    /// R7, R36, R39: the notes about delegates who are not removed, so that a report for one account names who can
    /// still open it. Delegates of other domains are not named (R13).
    pub(super) fn staying(&mut self, mailbox: &Mailbox, delegates: &[AccountIx]) {
        for ix in delegates {
            let delegate = self.world.accounts.get(*ix).address();
            if !self.policy.claimed_domains.holds(delegate) {
                continue;
            }
            let reason = match self.matching.account(*ix) {
                AccountFate::Protected(protection) => &*protection.text,
                AccountFate::MailboxOutsideDomains(_) => {
                    "its mailbox is outside the claimed domains"
                }
                AccountFate::Owned(_)
                | AccountFate::OwnedByDisabled
                | AccountFate::Evidence(_)
                | AccountFate::Foreign => "whose account it is is not decided",
                AccountFate::MergeCandidate(_) | AccountFate::Unowned => {
                    "no mailbox of its own was read, and Exchange does not say that it is gone"
                }
            };
            let text = format!("{delegate} stays a delegate: {reason}");
            self.note(&mailbox.primary, Code::DelegateKept, text);
        }
    }
}
