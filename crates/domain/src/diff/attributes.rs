//! Name, status, aliases and delegates of one account, compared with its mailbox (R12, R22, R23).

use std::collections::BTreeSet;

use super::Differ;
use crate::{
    accounts::{AccountIx, AccountKind, AccountView},
    address::SmtpAddress,
    delta::{Activity, Delta, Target},
    desired::{Delegates, Derived, delegates_of},
    directory::{MailboxIx, Party},
    guard::Class,
    ids::ObjectId,
    mailbox::Mailbox,
    matching::AccountFate,
    note::Code,
    source::{RecipientAnswer, RecipientRecord},
};

impl Differ<'_> {
    /// R22: name, status, aliases and delegates of an account that is to be active, or stays as it is.
    pub(super) fn attributes(
        &mut self,
        mut delta: Delta,
        ix: MailboxIx,
        mailbox: &Mailbox,
        account: AccountIx,
    ) {
        let view = self.world.accounts.get(account);
        let derived = delegates_of(self.world, self.policy, self.matching, ix, Some(account));
        self.pruned(mailbox, &derived);
        match view {
            AccountView::User(user) => {
                if !user.active {
                    delta.activity = Some(Activity::Resume);
                    delta.because("R19", "its mailbox is enabled");
                }
            }
            AccountView::Functional(_) => match self.functional_status(&derived, account) {
                Status::Inactive => {
                    self.empty(
                        delta,
                        account,
                        Class::Suspend,
                        "R12",
                        "no delegate is left on its mailbox",
                    );
                    return;
                }
                Status::AsItIs => {}
                Status::Active => {
                    if !self.world.accounts.is_active(account) {
                        delta.activity = Some(Activity::Resume);
                        delta.because("R12", "its mailbox has a delegate");
                    }
                }
            },
        }
        let name = view.name().trim();
        if mailbox.knows_name && name != &*mailbox.display_name {
            delta.name = Some((name.into(), mailbox.display_name.clone()));
        }
        self.aliases(&mut delta, mailbox, view);
        if matches!(derived.delegates, Delegates::Unknown) {
            self.unread.insert(account);
        }
        if let Delegates::Known { wanted, kept, .. } = &derived.delegates
            && !self.would_be_emptied(&derived, account)
        {
            let current = self.world.accounts.delegates_of(account).users;
            delta.add_delegates = wanted
                .iter()
                .filter(|target| !matches!(target, Target::Existing(ix) if current.binary_search(ix).is_ok()))
                .copied()
                .collect();
            let (stay, go): (Vec<AccountIx>, Vec<AccountIx>) = current
                .into_iter()
                .filter(|ix| !wanted.contains(&Target::Existing(*ix)) && !kept.contains(ix))
                .partition(|ix| self.stays(*ix));
            delta.remove_delegates = go.into_iter().collect();
            self.staying(mailbox, &stay);
        }
        self.needs_key(&mut delta, mailbox);
        if !delta.is_empty() {
            self.out.deltas.push(delta);
        }
    }

    /// R7, R13: whether no rule may remove this delegate.
    pub(super) fn stays(&self, delegate: AccountIx) -> bool {
        self.matching.frozen.contains(&delegate)
            || self.is_unread_user(delegate)
            || !self
                .policy
                .claimed_domains
                .holds(self.world.accounts.get(delegate).address())
    }

    /// Whether a functional account has a member that no rule may remove, among these or among the rejected ones (R1).
    pub(super) fn keeps_member(&self, account: AccountIx, members: &[AccountIx]) -> bool {
        members.iter().any(|member| self.stays(*member))
            || self.world.accounts.has_hidden_member(account)
    }

    /// R11, R19: a user whose mailbox was not on the list, although Exchange has it or could not be asked. The list
    /// lost a row, so trustees that mean this mailbox are unknown.
    pub(super) fn is_unread_user(&self, ix: AccountIx) -> bool {
        let account = self.world.accounts.get(ix);
        let asks_address = match self.matching.account(ix) {
            AccountFate::Unowned => true,
            AccountFate::MergeCandidate(_) => false,
            AccountFate::Foreign
            | AccountFate::Protected(_)
            | AccountFate::Owned(_)
            | AccountFate::OwnedByDisabled
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::Evidence(_) => return false,
        };
        if account.kind() != AccountKind::User {
            return false;
        }
        let recipients = &self.world.answers.recipients;
        let is_unread = |text: &str| match recipients.get(text) {
            Some(RecipientAnswer::Found(recipient)) => {
                recipient.is_user_mailbox()
                    || !recipient.has_kind()
                    || self.is_without_addresses(recipient)
            }
            Some(RecipientAnswer::Failed(_)) => true,
            Some(RecipientAnswer::Ambiguous | RecipientAnswer::NotFound) | None => false,
        };
        let address = account.address().as_str();
        // R19: the object id decides.
        let is_of_another = match (recipients.get(address), self.gone(ix)) {
            (Some(RecipientAnswer::Found(recipient)), Some(id)) => !recipient.may_be(id),
            _ => false,
        };
        let id = self.matching.known_object_id(ix);
        asks_address && !is_of_another && is_unread(address)
            || id.is_some_and(|id| is_unread(&id.to_string()))
    }

    /// R4: whether a recipient is a mailbox whose addresses were not read, so that its account is not known.
    fn is_without_addresses(&self, recipient: &RecipientRecord) -> bool {
        let directory = &self.world.directory;
        let id = recipient.object_id.as_deref().and_then(ObjectId::parse);
        let parties = id.map_or(&[][..], |id| directory.with_object_id(&id));
        parties.iter().any(|party| match party {
            Party::Mailbox(ix) => !directory.mailbox(*ix).knows_aliases,
            Party::Rejected(_) => false,
        })
    }

    fn functional_status(&self, derived: &Derived, account: AccountIx) -> Status {
        match &derived.delegates {
            Delegates::Unknown => Status::AsItIs,
            Delegates::Known { wanted, .. } if !wanted.is_empty() => Status::Active,
            Delegates::Known { left_out, .. } => {
                let current = self.world.accounts.delegates_of(account).users;
                if *left_out || self.keeps_member(account, &current) {
                    Status::AsItIs
                } else {
                    Status::Inactive
                }
            }
        }
    }

    /// R12: a functional account whose only delegates are left out is not emptied, so none of its members is removed.
    fn would_be_emptied(&mut self, derived: &Derived, account: AccountIx) -> bool {
        let Delegates::Known {
            wanted,
            kept,
            left_out,
        } = &derived.delegates
        else {
            return false;
        };
        let view = self.world.accounts.get(account);
        if view.kind() == AccountKind::User || !wanted.is_empty() || !left_out {
            return false;
        }
        let current = self.world.accounts.delegates_of(account).users;
        let stays = |ix: &AccountIx| kept.contains(ix);
        if current.is_empty() || current.iter().any(stays) || self.keeps_member(account, &current) {
            return false;
        }
        let members = current.iter().map(|ix| self.world.accounts.get(*ix));
        let members: Vec<&str> = members.map(|member| member.address().as_str()).collect();
        let text = format!(
            "its only delegates are left out, so it is not emptied, and {} can still open it",
            members.join(", ")
        );
        self.note(view.address(), Code::DelegatesStay, text);
        true
    }

    /// R4, R13, R6, R22: aliases in claimed domains, without contested ones and the account's own addresses.
    fn aliases(&mut self, delta: &mut Delta, mailbox: &Mailbox, view: AccountView<'_>) {
        let ours = |address: &&SmtpAddress| {
            self.policy.claimed_domains.holds(address)
                && **address != mailbox.primary
                && !self.world.directory.is_shared_address(address)
        };
        if !mailbox.knows_aliases {
            return;
        }
        let current = &view.extension().aliases;
        delta.add_aliases = mailbox
            .aliases
            .iter()
            .filter(|alias| !current.contains(alias))
            .filter(ours)
            .cloned()
            .collect();
        self.without_rejected(&mut delta.add_aliases, mailbox);
        delta.remove_aliases = current
            .iter()
            .filter(|alias| mailbox.aliases.binary_search(alias).is_err())
            .filter(ours)
            .cloned()
            .collect();
    }

    /// R1: an alias of a rejected account stays with that account.
    pub(super) fn without_rejected(
        &mut self,
        aliases: &mut BTreeSet<SmtpAddress>,
        mailbox: &Mailbox,
    ) {
        aliases.retain(|alias| {
            let Some(row) = self.world.accounts.rejected_with_address(alias) else {
                return true;
            };
            let text = format!(
                "the alias {alias} is left out: it belongs to {}, which cannot be understood",
                row.label
            );
            self.note(&mailbox.primary, Code::AliasTaken, text);
            false
        });
    }

    /// R23: in the mode `object_id` a user without a valid key gets no extension.
    fn needs_key(&mut self, delta: &mut Delta, mailbox: &Mailbox) {
        if let Some(text) = delta.lacks_key(self.policy) {
            self.note(&mailbox.primary, Code::NoKey, text);
            delta.tie = None;
            delta.clear_extension();
        }
    }
}

enum Status {
    Active,
    Inactive,
    AsItIs,
}
