//! Accounts whose mailbox is gone, or has another address: which of them are suspended or emptied, and how their
//! addresses become free for another person (R19, R22, R25).

use std::collections::BTreeSet;

use super::Differ;
use crate::{
    accounts::{AccountIx, AccountKind, AccountView},
    delta::{Activity, Delta, Target},
    directory::{MailboxIx, Party},
    guard::Class,
    ids::ObjectId,
    mailbox::{Mailbox, MailboxKind},
    matching::{AccountFate, MailboxFate, Matching},
    note::Code,
    source::Question,
    world::{FunctionalKept, Policy, World},
};

/// The questions to Exchange about accounts that have no mailbox, or another mailbox than their own (R19). A question
/// with an answer is not asked again.
pub fn absence_questions(
    world: &World,
    policy: &Policy,
    matching: &Matching,
) -> BTreeSet<Question> {
    let mut questions = BTreeSet::new();
    let keeps_functional = world.keeps_functional_accounts(policy).is_some();
    for (ix, account) in world.accounts.iter() {
        let is_active = world.accounts.is_active(ix);
        if account.kind() == AccountKind::Functional && (keeps_functional || !is_active) {
            continue;
        }
        let asked: Vec<String> = match matching.account(ix) {
            AccountFate::Foreign
            | AccountFate::OwnedByDisabled
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::Evidence(_) => continue,
            AccountFate::MergeCandidate(_) if is_active => {
                known_id(matching, ix).into_iter().collect()
            }
            AccountFate::Protected(_) | AccountFate::Owned(_) | AccountFate::Unowned
                if !is_active =>
            {
                continue;
            }
            AccountFate::Protected(by) if by.code == Code::TargetFilter => continue,
            // Another mailbox has its address. An inactive account gives the address up if its own mailbox is gone.
            AccountFate::MergeCandidate(_) | AccountFate::Protected(_) => {
                unread_tie(world, matching, ix)
            }
            AccountFate::Owned(mailbox) => unread_owner(world, matching, *mailbox)
                .map(ToString::to_string)
                .into_iter()
                .collect(),
            AccountFate::Unowned => std::iter::once(account.address().to_string())
                .chain(known_id(matching, ix))
                .collect(),
        };
        questions.extend(
            asked
                .into_iter()
                .filter(|text| !world.answers.recipients.contains_key(text))
                .map(Question::Recipient),
        );
    }
    questions
}

/// R16: the object id that an account is tied to, if the mailbox that claims it has another one and no mailbox with it
/// was read.
pub(super) fn unread_owner<'a>(
    world: &World,
    matching: &'a Matching,
    mailbox: MailboxIx,
) -> Option<&'a ObjectId> {
    let MailboxFate::Matched(found) = matching.mailbox(mailbox) else {
        return None;
    };
    let id = found.tied_to_other.as_deref()?;
    world.directory.with_object_id(id).is_empty().then_some(id)
}

fn known_id(matching: &Matching, ix: AccountIx) -> Option<String> {
    matching.known_object_id(ix).map(ToString::to_string)
}

/// R16: the object id of the owner of an account, if no mailbox has it.
fn unread_tie(world: &World, matching: &Matching, ix: AccountIx) -> Vec<String> {
    let owner = matching.owner(ix).into_iter();
    owner
        .filter(|id| world.directory.with_object_id(id).is_empty())
        .map(ToString::to_string)
        .collect()
}

/// The access that remains if an account is left alone.
fn still(account: AccountView<'_>) -> &'static str {
    match account.kind() {
        AccountKind::User => "its owner can still sign in",
        AccountKind::Functional => "its members can still open it",
    }
}

/// R19: why an account stays although no mailbox of the list is its own. `words` are those of [`Differ::presence`].
fn still_there(account: AccountView<'_>, code: Code, words: &str) -> String {
    if code == Code::RecipientExists {
        return words.to_owned();
    }
    let still = still(account);
    if code == Code::MailboxNotListed {
        format!("{words}, but its mailbox list omits it; {still}; run again")
    } else {
        format!("{words}; {still}")
    }
}

impl Differ<'_> {
    /// R16, R19: an account that is tied to a mailbox which was not read, and which Exchange does not report as gone,
    /// is not stopped because of the mailbox that now has its address.
    pub(super) fn belongs_to_somebody_else(
        &mut self,
        mailbox: MailboxIx,
        account: AccountIx,
    ) -> bool {
        // Exchange is not asked about an inactive account.
        let is_active = self.world.accounts.is_active(account);
        let owner = unread_owner(self.world, self.matching, mailbox).filter(|_| is_active);
        let Some(id) = owner else {
            return false;
        };
        let presence = self.presence(&id.to_string());
        if let Some((code, words)) = &presence {
            let account = self.world.accounts.get(account);
            self.note(account.address(), *code, still_there(account, *code, words));
        }
        presence.is_some()
    }

    /// R16, R19: a mailbox has the address of an account that is tied to another object id. The change of owner waits
    /// for an approval. Until then the account is suspended if its own mailbox is gone.
    pub(super) fn identity_change(
        &mut self,
        mailbox: &Mailbox,
        account: AccountIx,
        other: &ObjectId,
    ) -> Option<Delta> {
        let view = self.world.accounts.get(account);
        let is_active = self.world.accounts.is_active(account);
        let is_disabled = mailbox.kind == (MailboxKind::User { disabled: true });
        if is_disabled && !is_active {
            return None; // Neither person can sign in, and nothing waits for an approval.
        }
        let gone = self.gone(account).filter(|_| is_active);
        let why = format!(
            "its mailbox is gone from Exchange, and {} now belongs to a mailbox with another object id",
            view.address()
        );
        let stop = gone.and_then(|_| self.stopping(account, Class::Suspend, "R19", &why));
        let own = mailbox
            .object_id
            .map_or_else(|| "none".to_owned(), |id| id.to_string());
        let until = if is_disabled || mailbox.object_id.is_none() {
            ""
        } else {
            " until that is approved"
        };
        let meanwhile = match (&stop, is_active) {
            (Some(_), _) => match view.kind() {
                AccountKind::User => format!("; it is to be suspended{until}"),
                AccountKind::Functional => format!("; it is to be emptied{until}"),
            },
            (None, true) => format!("; {}", still(view)),
            (None, false) => String::new(),
        };
        let text = format!(
            "the account belongs to the object id {other}, the mailbox has {own}; it may be another person{meanwhile}"
        );
        self.note(&mailbox.primary, Code::IdentityChange, text);
        stop
    }

    /// R7, R19: a protected account is stopped if the mailbox that protects it only has its address, and the account's
    /// own mailbox is gone. Returns whether it was.
    pub(super) fn stops_though_protected(
        &mut self,
        ix: AccountIx,
        account: AccountView<'_>,
        code: Code,
    ) -> bool {
        let is_kept = code == Code::TargetFilter
            || self.filters(self.world.directory.with_address(account.address()))
            || !self.world.accounts.is_active(ix)
            || (account.kind() == AccountKind::Functional && self.keeps_functional.is_some());
        let tie = unread_tie(self.world, self.matching, ix);
        let Some(id) = tie
            .first()
            .filter(|_| !is_kept && self.live_tie(ix).is_none())
        else {
            return false;
        };
        match self.presence(id) {
            None => {
                let why =
                    "its mailbox is gone from Exchange, and its address is that of another one";
                self.stop(ix, Class::Suspend, why);
                true
            }
            Some((code, words)) => {
                if code != Code::RecipientExists {
                    self.note(account.address(), code, still_there(account, code, &words));
                }
                false
            }
        }
    }

    /// R15: whether `TARGET_FILTER` matches the mailbox of one of these parties.
    fn filters(&self, parties: &[Party]) -> bool {
        parties.iter().any(|party| match party {
            Party::Mailbox(ix) => {
                let mailbox = self.world.directory.mailbox(*ix);
                self.policy
                    .target_filter
                    .matched(&mailbox.primary)
                    .is_some()
            }
            Party::Rejected(_) => false,
        })
    }

    /// R3, R18, R19: an active user account that a mailbox of another kind protects stays as it is. A note says that
    /// its owner can still sign in, unless it certainly belongs to a person's mailbox. Returns whether it is such an
    /// account.
    pub(super) fn outlives_its_mailbox(
        &mut self,
        ix: AccountIx,
        account: AccountView<'_>,
        code: Code,
    ) -> bool {
        if code != Code::KindNotSynchronised
            || account.kind() != AccountKind::User
            || !self.world.accounts.is_active(ix)
        {
            return false;
        }
        let directory = &self.world.directory;
        let known = self.matching.known_object_id(ix);
        let is_read = |id: &&ObjectId| !directory.with_object_id(id).is_empty();
        let id = self.matching.owner(ix).or(known.filter(is_read));
        let parties = match id {
            Some(id) => directory.with_object_id(id),
            None => directory.with_address(account.address()),
        };
        let mailbox = parties.iter().find_map(|party| match party {
            Party::Mailbox(ix) => Some(directory.mailbox(*ix)),
            Party::Rejected(_) => None,
        });
        if self.filters(parties) {
            return false;
        }
        let still = still(account);
        let (code, text) = match (id, mailbox.map(|mailbox| &mailbox.kind)) {
            (None, _) => (
                Code::OwnerUnknown,
                format!(
                    "a mailbox that is not synchronised has its address, and no object id says whether the account is of it; {still}"
                ),
            ),
            (Some(_), Some(kind @ MailboxKind::Other(words))) if !kind.is_personal() => (
                Code::KindMismatch,
                format!(
                    "its mailbox is now a {words}, which has no user account; {still}: suspend the account in the Zivver WebApp, or make \
                     the mailbox a UserMailbox again"
                ),
            ),
            (Some(_), _) => return false,
        };
        self.note(account.address(), code, text);
        true
    }

    /// R19: the principal is an address of a live mailbox to which the account does not belong.
    pub(super) fn merge_candidate(
        &mut self,
        ix: AccountIx,
        account: AccountView<'_>,
        mailbox: MailboxIx,
    ) {
        let owner = &self.world.directory.mailbox(mailbox).primary;
        let taken = if owner == account.address() {
            format!("its address is now that of the mailbox {owner}")
        } else {
            format!("its address is now an alias of the mailbox {owner}")
        };
        let is_active = self.world.accounts.is_active(ix);
        let is_functional = account.kind() == AccountKind::Functional;
        if is_functional && self.keeps_functional == Some(FunctionalKept::NotRead) {
            return;
        }
        let keeps = is_functional && self.keeps_functional.is_some();
        if self.gone(ix).is_some() && !keeps {
            if is_active {
                let why = format!("its mailbox is gone from Exchange, and {taken}");
                self.stop(ix, Class::Suspend, &why);
                return;
            }
            if account.kind() == AccountKind::User {
                return; // It releases the address when the mailbox claims it.
            }
        }
        let mut code = Code::MergeCandidate;
        let mut text = taken;
        if is_active {
            let presence = match self.live_tie(ix) {
                Some(live) => Some((code, format!("the object id of {live} is on it too"))),
                None => known_id(self.matching, ix).and_then(|id| self.presence(&id)),
            };
            match presence {
                Some((found, words)) => {
                    if found == Code::AbsenceUnknown {
                        code = found;
                    }
                    self.kept.insert(ix);
                    text = format!("{text}, and {words}");
                }
                None => text.push_str(", and no object id says whose the account is"),
            }
            text = format!("{text}; {}", still(account));
        }
        let remedy = match account.kind() {
            AccountKind::User => "merge the two accounts, or give this one another address,",
            AccountKind::Functional => "merge, rename or convert the account",
        };
        self.note(
            account.address(),
            code,
            format!("{text}; {remedy} in the Zivver WebApp"),
        );
    }

    /// R19: no mailbox at all. Exchange was asked for the address and the object id, and the object id decides.
    pub(super) fn absent(&mut self, ix: AccountIx, account: AccountView<'_>) {
        if !self.world.accounts.is_active(ix) {
            return;
        }
        if self.keeps(account, account.address()) {
            return;
        }
        if let Some(mailbox) = self.live_tie(ix) {
            let text = format!(
                "the object id of {mailbox} is on it too; merge the two accounts in the Zivver WebApp"
            );
            self.note(account.address(), Code::MergeCandidate, text);
            self.kept.insert(ix);
            return;
        }
        let (id, tie) = (self.matching.owner(ix), known_id(self.matching, ix));
        let at_address = self.presence(account.address().as_str());
        let of_tie = tie.as_ref().and_then(|id| self.presence(id));
        let kept = of_tie.or_else(|| match id {
            Some(id) => at_address
                .filter(|(code, _)| *code == Code::AbsenceUnknown)
                .or_else(|| self.is_at_address(account, id)),
            None => at_address.map(|(code, words)| {
                if code == Code::AbsenceUnknown {
                    return (code, words);
                }
                let text = format!("{words}, and no object id says whether the account is of it");
                (Code::OwnerUnknown, text)
            }),
        });
        if let Some((code, words)) = kept {
            self.note(account.address(), code, still_there(account, code, &words));
            self.kept.insert(ix);
        } else if id.is_none() {
            let why = match tie {
                None => "no mailbox has its address, and it never belonged to one",
                Some(_) => {
                    "no mailbox has its address, and it is not certain that it belonged to the one that is gone"
                }
            };
            self.stop(ix, Class::Stray, why);
        } else {
            self.stop(ix, Class::Suspend, &self.why_absent(account));
        }
    }

    pub(super) fn stop(&mut self, ix: AccountIx, class: Class, why: &str) {
        let stop = self.stopping(ix, class, "R19", why);
        self.out.deltas.extend(stop);
    }

    /// The suspend or empty of an account, if it is possible.
    fn stopping(&mut self, ix: AccountIx, class: Class, rule: &str, why: &str) -> Option<Delta> {
        let view = self.world.accounts.get(ix);
        let mut delta = Delta::new(
            Target::Existing(ix),
            view.kind(),
            view.address().clone(),
            None,
        );
        match view.kind() {
            AccountKind::User => {
                delta.activity = Some(Activity::Suspend(class));
                delta.because(rule, why);
                Some(delta)
            }
            AccountKind::Functional => self.emptying(delta, ix, class, rule, why),
        }
    }

    /// R12: the empty of a functional account, unless it has a member who must not be removed.
    pub(super) fn emptying(
        &mut self,
        mut delta: Delta,
        ix: AccountIx,
        class: Class,
        rule: &str,
        why: &str,
    ) -> Option<Delta> {
        let members = self.world.accounts.delegates_of(ix).users;
        if members.is_empty() {
            return None;
        }
        if self.keeps_member(ix, &members) {
            let text = "it has a member that must not be removed, so it is not emptied";
            let leaving: Vec<&str> = members
                .iter()
                .filter(|member| !self.stays(**member))
                .map(|member| self.world.accounts.get(*member).address().as_str())
                .collect();
            let (code, text) = if leaving.is_empty() {
                (Code::DelegatesLeftOut, text.to_owned())
            } else {
                let who = leaving.join(", ");
                (
                    Code::DelegatesStay,
                    format!("{text}, and {who} can still open it"),
                )
            };
            self.note(&delta.address, code, text);
            return None;
        }
        delta.activity = Some(Activity::Empty(class));
        delta.remove_delegates = members.into_iter().collect();
        delta.because(rule, why);
        Some(delta)
    }
}
