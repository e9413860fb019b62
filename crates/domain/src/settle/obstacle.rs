//! Which account blocks an address, and what can be done about it (R23, R32).

use std::collections::BTreeSet;

use super::{Namer, Settling, Wait, gives_up};
use crate::{
    accounts::{AccountIx, AccountKind},
    address::SmtpAddress,
    delta::{Delta, Target},
    matching::AccountFate,
    note::{Code, Note},
    source::RecipientAnswer,
};

/// Why an account cannot have an address.
#[derive(Debug, Clone, Copy)]
pub(super) enum Obstacle<'a> {
    /// Another account has it.
    Holder(AccountIx),
    /// Another account names a delegate by it (R22).
    Namer(Namer<'a>),
}

impl<'a> Settling<'a> {
    pub(super) fn leave_out(&mut self, at: usize, address: &SmtpAddress, obstacle: Obstacle<'a>) {
        let by = match obstacle {
            Obstacle::Holder(holder) => Some(Target::Existing(holder)),
            Obstacle::Namer(by) => by.target(),
        };
        let own = self.deltas[at].target;
        let wait = Wait::new(own, by.unwrap_or(own), Some(address));
        let (taken, remedy) = match obstacle {
            Obstacle::Holder(holder) => self.taken(address, holder, &wait),
            Obstacle::Namer(by) => self.named_still(by, &wait),
        };
        self.waits.extend(by.map(|_| wait));
        // Its own old address, while the rename is held: no person needs to act.
        let is_own = match obstacle {
            Obstacle::Holder(holder) => {
                *self.accounts.get(holder).address() == self.deltas[at].address
            }
            Obstacle::Namer(_) => *address == self.deltas[at].address,
        };
        let label = self.directory_label(at);
        let delta = &mut self.deltas[at];
        if delta.create.is_some() && delta.address == *address {
            delta.create = None;
            delta.add_aliases.clear();
            delta.add_delegates.clear();
            let text = format!("no account can be created for {address}, which {taken}; {remedy}");
            self.notes.push(Note::new(label, Code::AddressTaken, text));
        } else if delta
            .rename
            .as_ref()
            .is_some_and(|rename| rename.to == *address)
        {
            let from = delta.address.clone();
            delta.rename = None;
            let text = format!("{from} cannot become {address}, which {taken}; {remedy}");
            self.notes.push(Note::new(label, Code::RenameBlocked, text));
        } else {
            delta.add_aliases.remove(address);
            if !is_own {
                let text = format!("the alias {address} is left out: it {taken}; {remedy}");
                self.notes.push(Note::new(label, Code::AliasTaken, text));
            }
        }
    }

    /// Who owns the account at an address, where its mailbox is now, and what can be done about it.
    fn taken(&self, address: &SmtpAddress, holder: AccountIx, wait: &Wait) -> (String, String) {
        let view = self.accounts.get(holder);
        let account = match view.kind() {
            AccountKind::User if self.accounts.is_active(holder) => "account",
            AccountKind::User => "suspended account",
            AccountKind::Functional => "functional account",
        };
        let remedy = self.remedy(address, holder, wait);
        let relation = if view.address() == address {
            "address"
        } else {
            "alias"
        };
        let name = match view.name().trim() {
            "" => String::new(),
            name => format!(" of {name:?}"),
        };
        let at = if view.address() == address {
            String::new()
        } else {
            format!(" ({})", view.address())
        };
        let whereabouts = self.whereabouts(holder);
        let text = format!("is still the {relation} of the {account}{name}{at}, {whereabouts}");
        match self.kept_named.get(address) {
            Some(by) => {
                let (named, remedy) = self.named_still(*by, wait);
                (format!("{text}, and {named}"), remedy)
            }
            None => (text, remedy),
        }
    }

    fn remedy(&self, address: &SmtpAddress, holder: AccountIx, wait: &Wait) -> String {
        let view = self.accounts.get(holder);
        let is_principal = view.address() == address;
        let target = Target::Existing(holder);
        let gives_up = |delta: &&Delta| gives_up(delta, address, is_principal);
        if let Some(delta) = self.sides.outside.get(&target).filter(gives_up) {
            return format!(
                "this run does not change that account: include {} in the run (R39)",
                delta.label(&self.world.directory)
            );
        }
        let proposed = self.sides.proposed.get(&target);
        if proposed.is_some_and(gives_up)
            && let Some(remedy) = self.sides.remedy([wait], &BTreeSet::new())
        {
            return remedy;
        }
        let is_user = view.kind() == AccountKind::User;
        let is_active = self.accounts.is_active(holder);
        let remedy = if self.is_in_exchange(holder, address) {
            "its mailbox has the address in Exchange: change it there first"
        } else if !is_user {
            "rename or convert that account in the Zivver WebApp"
        } else if is_active && self.is_gone(holder) {
            "it gives the address up once it is suspended"
        } else if is_active && self.is_of_nobody(holder) {
            "merge the accounts, or give that one another address, in the Zivver WebApp"
        } else if is_principal {
            "give that account another address in the Zivver WebApp"
        } else {
            "remove the alias from that account in the Zivver WebApp"
        };
        remedy.into()
    }

    /// Whether the account has the address because its mailbox has it.
    fn is_in_exchange(&self, holder: AccountIx, address: &SmtpAddress) -> bool {
        let AccountFate::Owned(mailbox) = self.matching.account(holder) else {
            return false;
        };
        let mailbox = self.world.directory.mailbox(*mailbox);
        mailbox.primary == *address || mailbox.aliases.contains(address)
    }

    /// Whether no mailbox owns the account, so that it may be a second one of the same person.
    fn is_of_nobody(&self, holder: AccountIx) -> bool {
        match self.matching.account(holder) {
            AccountFate::Owned(_)
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::Evidence(_)
            | AccountFate::OwnedByDisabled => false,
            AccountFate::Foreign
            | AccountFate::Protected(_)
            | AccountFate::MergeCandidate(_)
            | AccountFate::Unowned => true,
        }
    }

    /// R19: whether Exchange answered "not found" for the object id of the owner of an account.
    fn is_gone(&self, holder: AccountIx) -> bool {
        self.answer(holder) == Some(&RecipientAnswer::NotFound)
    }

    fn answer(&self, holder: AccountIx) -> Option<&RecipientAnswer> {
        let id = self.matching.owner(holder)?;
        self.world.answers.recipients.get(&id.to_string())
    }

    fn whereabouts(&self, holder: AccountIx) -> String {
        match self.matching.account(holder) {
            AccountFate::Owned(mailbox)
            | AccountFate::MailboxOutsideDomains(mailbox)
            | AccountFate::Evidence(mailbox) => {
                let mailbox = &self.world.directory.mailbox(*mailbox).primary;
                format!("whose mailbox is now {mailbox}")
            }
            AccountFate::OwnedByDisabled => "whose mailboxes are disabled".into(),
            AccountFate::Foreign => "which is outside the claimed domains".into(),
            AccountFate::Protected(_) => "which is protected".into(),
            AccountFate::MergeCandidate(_) | AccountFate::Unowned => match self.answer(holder) {
                Some(RecipientAnswer::NotFound) => "whose mailbox is gone".into(),
                Some(_) => "whose own mailbox is not in the list".into(),
                None => "which has no mailbox".into(),
            },
        }
    }
}
