//! What Exchange answered about the mailbox of an account (R19).

use super::Differ;
use crate::{
    accounts::{AccountIx, AccountView},
    ids::ObjectId,
    note::Code,
    source::RecipientAnswer,
};

impl<'a> Differ<'a> {
    /// R19: the object id of the owner of an account, if Exchange answered "not found" for it.
    pub(super) fn gone(&self, ix: AccountIx) -> Option<&'a ObjectId> {
        let id = self.matching.owner(ix)?;
        let is_gone = self.live_tie(ix).is_none()
            && self.world.answers.recipients.get(&id.to_string())
                == Some(&RecipientAnswer::NotFound);
        is_gone.then_some(id)
    }

    /// The recipient that has the address of a leaver now, if there is one.
    pub(super) fn why_absent(&self, account: AccountView<'_>) -> String {
        let gone = "its mailbox is gone from Exchange";
        match self.presence(account.address().as_str()) {
            Some((_, words)) => format!("{gone}; {words}, which is another recipient"),
            None => gone.to_owned(),
        }
    }

    /// Whether the recipient at an account's address also has its object id, although Exchange did not find it by that
    /// id; or may have it, since it is a mailbox that the list should contain (R1).
    pub(super) fn is_at_address(
        &self,
        account: AccountView<'_>,
        id: &ObjectId,
    ) -> Option<(Code, String)> {
        let address = account.address().as_str();
        let Some(RecipientAnswer::Found(recipient)) = self.world.answers.recipients.get(address)
        else {
            return None;
        };
        let is_its = match recipient.object_id.as_deref().and_then(ObjectId::parse) {
            Some(its) => its == *id,
            None => recipient.may_be_in_scope(),
        };
        is_its.then(|| self.presence(address)).flatten()
    }

    /// R19: the answer of Exchange about an address or object id, unless it is a clean "not found".
    pub(super) fn presence(&self, text: &str) -> Option<(Code, String)> {
        Some(match self.world.answers.recipients.get(text) {
            Some(RecipientAnswer::NotFound) => return None,
            Some(RecipientAnswer::Found(recipient)) => {
                let kind = recipient.recipient_type_details.trim();
                if !recipient.has_kind() {
                    let words = format!("Exchange still has {text}, but does not say as what");
                    return Some((Code::AbsenceUnknown, words));
                }
                let code = if recipient.may_be_in_scope() {
                    Code::MailboxNotListed
                } else {
                    Code::RecipientExists
                };
                (code, format!("Exchange still has {text} as a {kind}"))
            }
            Some(RecipientAnswer::Ambiguous) => (
                Code::RecipientExists,
                format!("Exchange still has more than one recipient {text}"),
            ),
            Some(RecipientAnswer::Failed(reason)) => (
                Code::AbsenceUnknown,
                format!("whether {text} is gone could not be asked: {reason}"),
            ),
            None => (
                Code::AbsenceUnknown,
                format!("whether {text} is gone was not asked"),
            ),
        })
    }

    /// A mailbox that was read and has an object id of the account, although another account belongs to it.
    pub(super) fn live_tie(&self, ix: AccountIx) -> Option<&'a str> {
        let directory = &self.world.directory;
        let known = self.matching.known_object_id(ix);
        let ties = [known, self.world.accounts.external_object_id(ix)];
        ties.into_iter().flatten().find_map(|id| {
            let parties = directory.with_object_id(id).iter();
            let live = parties
                .copied()
                .find(|party| directory.object_id(*party) == Some(id))?;
            Some(directory.label(live))
        })
    }
}
