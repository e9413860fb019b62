//! Creates of which no outcome is known, and which the next plan would not repeat as they were (R16, R35).

use super::{Entry, PlanRecord, PlannedAction, last};
use crate::{
    accounts::{Account, AccountKind, AccountView, Accounts},
    action::ActionOutcome,
    address::SmtpAddress,
    directory::{Directory, Party},
    ids::{ObjectId, ScimId},
    world::World,
};

/// A create that may have been made, though neither the journal nor the lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCreate {
    pub kind: AccountKind,
    pub address: SmtpAddress,
    /// The object id of the mailbox.
    pub object_id: Option<ObjectId>,
    /// The account that had the address before.
    occupant: Option<ScimId>,
}

impl OpenCreate {
    /// R31: whether an account that a look-up found by the address is the created one. One that the lists have under
    /// another address is not: a look-up can lag behind a rename.
    pub fn has_made(&self, found: &Account, accounts: &Accounts) -> bool {
        let found = found.view();
        self.occupant.as_ref() != Some(found.id())
            && accounts.with_id(found.id()).is_none()
            && may_be_of(found, self.kind, self.object_id)
    }
}

impl PlanRecord {
    /// The creates that must be looked up before the next plan is made. Not among them are those whose mailbox still has
    /// the address: Zivver refuses a second account there, and the refused create finds the first one (R31).
    pub fn open_creates(&self, entries: &[Entry], world: &World) -> Vec<OpenCreate> {
        let actions = self.actions.iter().enumerate();
        let open = actions.filter(|(at, planned)| {
            let is_unknown =
                |it: &Entry| it.outcome == ActionOutcome::Failed && it.created.is_none();
            planned.action.id.is_none()
                && !planned.has_its_mailbox(&world.directory)
                && planned.newcomers(&world.accounts).is_empty()
                && last(entries, *at).is_none_or(is_unknown)
        });
        open.map(|(_, planned)| OpenCreate {
            kind: planned.action.account,
            address: planned.action.address.clone(),
            object_id: planned.object_id,
            occupant: planned.occupant.clone(),
        })
        .collect()
    }
}

impl PlannedAction {
    pub(super) fn may_have_made(&self, account: AccountView<'_>) -> bool {
        may_be_of(account, self.action.account, self.object_id)
    }

    /// Whether the mailbox for which the account is created has the address.
    fn has_its_mailbox(&self, directory: &Directory) -> bool {
        let mut there = directory.with_address(&self.action.address).iter();
        there.any(|party| match party {
            Party::Mailbox(ix) => {
                let mailbox = directory.mailbox(*ix);
                mailbox.primary == self.action.address && mailbox.object_id == self.object_id
            }
            Party::Rejected(_) => false,
        })
    }
}

/// R16: whether an account can be the one that was created for a mailbox: nothing ties it to another one.
fn may_be_of(account: AccountView<'_>, kind: AccountKind, owner: Option<ObjectId>) -> bool {
    let tied = account.external_object_id();
    account.kind() == kind && (tied.is_none() || tied == owner)
}
