//! Accounts whose mailbox is gone, or is at another address: which of them are stopped, and how their addresses become free
//! for another person (R19, R22, R25).

use std::collections::{BTreeMap, BTreeSet};

use super::Differ;
use crate::{
    accounts::{AccountIx, AccountKind, AccountView},
    address::SmtpAddress,
    delta::{Activity, Delta, Target},
    directory::{MailboxIx, Party},
    guard::Class,
    ids::{ObjectId, SignInKey},
    mailbox::{Mailbox, MailboxKind},
    matching::{AccountFate, MailboxFate, Matching},
    note::Code,
    order::aside,
    settle::{given_up, names},
    source::{Question, RecipientAnswer},
    world::{Policy, SsoAccountKey, World},
};

/// What Exchange must be asked about accounts that have no mailbox, or another's (R19). An answer that is there is not asked
/// again.
pub fn absence_questions(
    world: &World,
    policy: &Policy,
    matching: &Matching,
) -> BTreeSet<Question> {
    let mut questions = BTreeSet::new();
    let keeps_functional = policy.keeps_functional_accounts(&world.directory);
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
            // Another mailbox has its address; an inactive account gives it up if its own mailbox is gone.
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

/// R16: the object id that an account is tied to, where the mailbox that claims it has another one and none was read that has
/// it.
pub(super) fn unread_owner<'a>(
    world: &World,
    matching: &'a Matching,
    mailbox: MailboxIx,
) -> Option<&'a ObjectId> {
    let MailboxFate::Matched(found) = matching.mailbox(mailbox) else {
        return None;
    };
    let id = found.tied_to_other.as_ref()?;
    world.directory.with_object_id(id).is_empty().then_some(id)
}

fn known_id(matching: &Matching, ix: AccountIx) -> Option<String> {
    matching.known_object_id(ix).map(ToString::to_string)
}

/// R16: the object id that an account is tied to, where no mailbox was read that has it.
fn unread_tie(world: &World, matching: &Matching, ix: AccountIx) -> Vec<String> {
    let known = matching.known_object_id(ix).into_iter();
    known
        .filter(|id| world.directory.with_object_id(id).is_empty())
        .map(ToString::to_string)
        .collect()
}

/// What an account that is left alone still gives access to.
fn still(account: AccountView<'_>) -> &'static str {
    match account.kind() {
        AccountKind::User => "its owner can still sign in",
        AccountKind::Functional => "its members can still open it",
    }
}

impl<'a> Differ<'a> {
    /// R19: the object id that an account is tied to, where Exchange cleanly says that it does not exist.
    pub(super) fn gone(&self, ix: AccountIx) -> Option<&'a ObjectId> {
        let id = self.matching.known_object_id(ix)?;
        let is_gone = self.live_tie(ix).is_none()
            && self.world.answers.recipients.get(&id.to_string())
                == Some(&RecipientAnswer::NotFound);
        is_gone.then_some(id)
    }

    /// R16, R19: an account that is tied to a mailbox which was not read, and of which Exchange does not say that it is gone, is
    /// not stopped for what another mailbox is that has its address now.
    pub(super) fn belongs_to_somebody_else(
        &mut self,
        mailbox: MailboxIx,
        account: AccountView<'_>,
    ) -> bool {
        let Some(id) = unread_owner(self.world, self.matching, mailbox) else {
            return false;
        };
        let presence = self.presence(&id.to_string());
        if let Some((code, words)) = &presence {
            self.note(account.address(), *code, &**words);
        }
        presence.is_some()
    }

    /// R16, R19: a mailbox has the address of an account that is tied to another object id. Who gets the account waits for an
    /// approval; until then it is suspended if its own mailbox is gone.
    pub(super) fn identity_change(
        &mut self,
        mailbox: &Mailbox,
        account: AccountIx,
        other: &ObjectId,
    ) -> Option<Delta> {
        let view = self.world.accounts.get(account);
        let is_active = self.world.accounts.is_active(account);
        let gone = self.gone(account).filter(|_| is_active);
        let why = format!(
            "its mailbox is gone from Exchange, and {} now belongs to a mailbox with another object id",
            view.address()
        );
        let stop = gone.and_then(|_| self.stopping(account, Class::Suspend, "R19", &why));
        let own = mailbox
            .object_id
            .map_or_else(|| "none".to_owned(), |id| id.to_string());
        let meanwhile = match (&stop, is_active) {
            (Some(_), _) => match view.kind() {
                AccountKind::User => "; it is to be suspended until that is approved".to_owned(),
                AccountKind::Functional => {
                    "; it is to be emptied until that is approved".to_owned()
                }
            },
            (None, true) => format!("; {}", still(view)),
            (None, false) => String::new(),
        };
        let text = format!(
            "the account belongs to the object id {other}, the mailbox has {own}: perhaps another person{meanwhile}"
        );
        self.note(&mailbox.primary, Code::IdentityChange, text);
        stop
    }

    /// R7, R19: a protected account is stopped where the mailbox that protects it has only its address, and the account's own
    /// mailbox is gone. Says whether it was.
    pub(super) fn stops_though_protected(
        &mut self,
        ix: AccountIx,
        account: AccountView<'_>,
        code: Code,
    ) -> bool {
        let is_kept = code == Code::TargetFilter
            || self.filters(self.world.directory.with_address(account.address()))
            || !self.world.accounts.is_active(ix)
            || (account.kind() == AccountKind::Functional && self.keeps_functional);
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
            Some((code, words)) if code == Code::AbsenceUnknown => {
                let text = format!("{words}; {}", still(account));
                self.note(account.address(), code, text);
                false
            }
            Some(_) => false,
        }
    }

    /// R15: whether `TARGET_FILTER` matches the mailbox of one of these.
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

    /// R3, R18, R19: an active user account that a mailbox of another kind protects stays as it is; that its owner can still
    /// sign in is said, unless it certainly belongs to a person's mailbox. Says whether it was.
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
        let id = self.matching.known_object_id(ix);
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

    /// R19: the principal is an address of a live mailbox that is not the account's own.
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
        let keeps = account.kind() == AccountKind::Functional && self.keeps_functional;
        if self.gone(ix).is_some() && !keeps {
            if is_active {
                let why = format!("its mailbox is gone from Exchange, and {taken}");
                self.stop(ix, Class::Suspend, &why);
                return;
            }
            if account.kind() == AccountKind::User {
                return; // It gives the address up as soon as the mailbox is to have it.
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

    /// R19: no mailbox at all. Exchange was asked for the address and the object id; the object id decides.
    pub(super) fn absent(&mut self, ix: AccountIx, account: AccountView<'_>) {
        if !self.world.accounts.is_active(ix) {
            return;
        }
        if account.kind() == AccountKind::Functional && self.keeps_functional {
            let text = "no shared mailbox is in the source filter, so functional accounts stay as they are";
            self.note(account.address(), Code::FunctionalOutsideSourceFilter, text);
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
        let id = self.matching.known_object_id(ix);
        let at_address = self.presence(account.address().as_str());
        let kept = match id {
            Some(id) => self
                .presence(&id.to_string())
                .or_else(|| at_address.filter(|(code, _)| *code == Code::AbsenceUnknown))
                .or_else(|| self.is_at_address(account, id)),
            None => at_address.map(|(code, words)| {
                if code != Code::RecipientExists {
                    return (code, words);
                }
                let text = format!("{words}, and no object id says whether the account is of it");
                (Code::OwnerUnknown, text)
            }),
        };
        if let Some((code, words)) = kept {
            let text = if code == Code::RecipientExists {
                words
            } else {
                format!("{words}; {}", still(account))
            };
            self.note(account.address(), code, text);
            self.kept.insert(ix);
        } else if id.is_none() {
            let why = "no mailbox has its address, and it never belonged to one";
            self.stop(ix, Class::Stray, why);
        } else {
            self.stop(ix, Class::Suspend, &self.why_absent(account));
        }
    }

    /// What has the address of a leaver now, if anything.
    fn why_absent(&self, account: AccountView<'_>) -> String {
        let gone = "its mailbox is gone from Exchange";
        match self.presence(account.address().as_str()) {
            Some((_, words)) => format!("{gone}; {words}, which is another recipient"),
            None => gone.to_owned(),
        }
    }

    /// Whether the recipient that has an account's address has its object id as well, though Exchange did not find it by that; or
    /// may have it, as a mailbox that the list ought to show (R1).
    fn is_at_address(&self, account: AccountView<'_>, id: &ObjectId) -> Option<(Code, String)> {
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

    /// R19: what Exchange said of an address or object id, unless it is a clean "not found".
    fn presence(&self, text: &str) -> Option<(Code, String)> {
        Some(match self.world.answers.recipients.get(text) {
            Some(RecipientAnswer::NotFound) => return None,
            Some(RecipientAnswer::Found(recipient)) => {
                let kind = &recipient.recipient_type_details;
                (
                    Code::RecipientExists,
                    format!("Exchange still has {text} as a {kind}"),
                )
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

    /// A mailbox that was read and has an object id of the account, though another account is its own.
    fn live_tie(&self, ix: AccountIx) -> Option<&'a str> {
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

    /// R22, R25: addresses that a live mailbox now has are released by accounts that no longer keep up with Exchange: those
    /// without mailbox, and those that are to be inactive.
    pub(super) fn releases(&mut self) {
        let mut aliases: BTreeMap<AccountIx, BTreeSet<SmtpAddress>> = BTreeMap::new();
        let mut principals: BTreeSet<AccountIx> = BTreeSet::new();
        for delta in &self.out.deltas {
            let claims = delta
                .add_aliases
                .iter()
                .chain(delta.rename.as_ref().map(|rename| &rename.to))
                .chain(delta.create.as_ref().map(|_| &delta.address));
            for address in claims {
                if self.world.directory.is_shared_address(address) {
                    continue; // R6: it stays where Zivver has it.
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
    }

    /// R22: Zivver keeps delegates by address, so an account that names a delegate by an address that the delegate gives up is
    /// written with its new one. Where it cannot be, no other account gets the address.
    fn name_anew(&mut self, at: &mut BTreeMap<Target, usize>) {
        let mut given = given_up(&self.out.deltas);
        for delta in &self.out.deltas {
            // An account that goes to a free address is no longer a delegate of any account.
            if delta.rename.is_some() && delta.mailbox.is_none() {
                given.remove(&delta.address);
            }
        }
        if given.is_empty() {
            return;
        }
        let accounts = &self.world.accounts;
        let named: Vec<(AccountIx, SmtpAddress, AccountIx)> = names(accounts, &given)
            .map(|(by, address, delegate)| (by, address.clone(), delegate))
            .collect();
        for (by, address, delegate) in named {
            let key = self.key_of(by);
            if !self.may_release(by) || (key.is_none() && self.policy.needs_key()) {
                continue;
            }
            let delta = self.delta_of(by, at);
            if delta.remove_delegates.contains(&delegate) {
                continue;
            }
            delta.key = delta.key.take().or(key);
            delta.because(
                "R22",
                format!("it names a delegate by {address}, which that delegate gives up"),
            );
            delta.add_delegates.insert(Target::Existing(delegate));
        }
    }

    /// The delta of an account, made if there is none.
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

    /// R22: the address of a leaver can be given to another person. His account, which is inactive or is suspended in this plan,
    /// follows its mailbox; where it has none any more, it goes to a free address.
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

    /// R23: the key of an account, also where its mailbox is gone.
    fn key_of(&self, account: AccountIx) -> Option<SignInKey> {
        let mailbox = self.mailbox_of(account);
        let own = mailbox.and_then(|ix| self.policy.sign_in_key(self.world.directory.mailbox(ix)));
        own.or_else(|| match self.policy.sso_account_key {
            SsoAccountKey::ObjectId => self
                .matching
                .known_object_id(account)
                .copied()
                .map(SignInKey::ObjectId),
            SsoAccountKey::PrimaryAddress => Some(SignInKey::Name(
                self.world.accounts.get(account).address().as_str().into(),
            )),
            SsoAccountKey::UserPrincipalName | SsoAccountKey::Omit => None,
        })
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
        let kind = self.world.accounts.get(holder).kind();
        if self.kept.contains(&holder) || (kind == AccountKind::Functional && self.keeps_functional)
        {
            return false;
        }
        match self.matching.account(holder) {
            AccountFate::Unowned | AccountFate::MergeCandidate(_) => true,
            // Compared with its mailbox unless it is to be inactive; a second removal of the same alias changes nothing.
            AccountFate::Owned(mailbox) => {
                self.world.directory.mailbox(*mailbox).knows_aliases
                    && matches!(self.matching.mailbox(*mailbox), MailboxFate::Matched(found) if found.tied_to_other.is_none())
            }
            AccountFate::Foreign
            | AccountFate::Protected(_)
            | AccountFate::OwnedByDisabled
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::Evidence(_) => false,
        }
    }

    pub(super) fn stop(&mut self, ix: AccountIx, class: Class, why: &str) {
        let stop = self.stopping(ix, class, "R19", why);
        self.out.deltas.extend(stop);
    }

    /// The suspending or emptying of an account, if it can be.
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

    /// R12: the emptying of a functional account, unless a member may not be taken out.
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
            let text = "it has a member that may not be taken out, so it is not emptied";
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
