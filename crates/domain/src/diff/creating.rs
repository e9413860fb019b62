//! Mailboxes without an account: created, or why not (R19, R20).

use super::Differ;
use crate::{
    accounts::AccountKind,
    delta::{Delta, Target},
    desired::{Delegates, delegates_of},
    directory::MailboxIx,
    mailbox::{Mailbox, MailboxKind},
    matching::kind_of,
    note::Code,
};

impl Differ<'_> {
    pub(super) fn without_account(&mut self, ix: MailboxIx, mailbox: &Mailbox) {
        let Some(kind) = kind_of(mailbox) else { return };
        let derived = delegates_of(self.world, self.policy, self.matching, ix, None);
        self.pruned(mailbox, &derived);
        if let Some((code, text)) = self.cannot_be_created(mailbox, kind) {
            self.note(&mailbox.primary, code, text);
            return;
        }
        let mut delta = Delta::new(Target::New(ix), kind, mailbox.primary.clone(), Some(ix));
        match (&derived.delegates, kind) {
            (
                Delegates::Known {
                    wanted, left_out, ..
                },
                AccountKind::Functional,
            ) if wanted.is_empty() => {
                let (code, text) = if *left_out {
                    (
                        Code::DelegatesLeftOut,
                        "its only delegates are left out, so it is not created",
                    )
                } else {
                    (
                        Code::InactiveNotCreated,
                        "the shared mailbox has no delegate, so no account is created",
                    )
                };
                self.note(&mailbox.primary, code, text);
                return;
            }
            (Delegates::Unknown, AccountKind::Functional) => return, // R11; a note has the reason
            (Delegates::Unknown, AccountKind::User) => {}
            (Delegates::Known { wanted, .. }, _) => delta.add_delegates.clone_from(wanted),
        }
        delta.because("R19", "the mailbox has no account");
        delta.create = Some(mailbox.display_name.clone());
        delta.owner = mailbox.object_id;
        delta.key = self.policy.sign_in_key(mailbox);
        delta.add_aliases = mailbox
            .aliases
            .iter()
            .filter(|alias| {
                self.policy.claimed_domains.holds(alias)
                    && !self.world.directory.is_shared_address(alias)
            })
            .cloned()
            .collect();
        self.without_rejected(&mut delta.add_aliases, mailbox);
        self.out.deltas.push(delta);
    }

    /// R4, R21, R23, R24: why no account is created for a mailbox, independent of its delegates.
    pub(super) fn cannot_be_created(
        &self,
        mailbox: &Mailbox,
        kind: AccountKind,
    ) -> Option<(Code, &'static str)> {
        let is_user = kind == AccountKind::User;
        let has_key = !self.policy.needs_key() || self.policy.sign_in_key(mailbox).is_some();
        if mailbox.kind == (MailboxKind::User { disabled: true }) {
            let text = "its mailbox is disabled, so no account is created";
            Some((Code::InactiveNotCreated, text))
        } else if is_user && mailbox.object_id.is_none() {
            let text = "the mailbox has no object id, so no account is created";
            Some((Code::NoObjectId, text))
        } else if is_user && !has_key {
            let text = "the mailbox has no UserPrincipalName, from which SSO_ACCOUNT_KEY takes the key, so no account is created";
            Some((Code::NoKey, text))
        } else if !mailbox.knows_aliases {
            let text = "it may have an account under an alias, and its aliases are not known, so no account is created";
            Some((Code::AliasesUnknown, text))
        } else {
            None
        }
    }
}
