//! The two sides compared: what should change, and what is left alone and why (R12, R19–R25).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    accounts::{AccountIx, AccountKind, AccountView},
    address::SmtpAddress,
    delegation::{Delegations, Remark},
    delta::{Activity, Delta, Reason, Rename, Target},
    desired::{Delegates, Derived, delegates_of},
    directory::MailboxIx,
    guard::Class,
    hash::HashSet,
    ids::{ObjectId, SignInKey},
    mailbox::{Mailbox, MailboxKind},
    matching::{AccountFate, Level, MailboxFate, Match, Matching, kind_of},
    note::{Code, Note},
    source::{Question, RecipientAnswer},
    world::{MailboxScope, Policy, SsoAccountKey, World},
};

/// The result of `diff`: deltas by address, and notes.
#[derive(Debug, Default)]
pub struct Diff {
    pub deltas: Vec<Delta>,
    pub notes: Vec<Note>,
}

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
        let asked: Vec<String> = match matching.account(ix) {
            AccountFate::Foreign
            | AccountFate::Protected(_)
            | AccountFate::OwnedByDisabled
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::Evidence(_) => continue,
            AccountFate::Owned(_) | AccountFate::Unowned | AccountFate::MergeCandidate(_)
                if !world.accounts.is_active(ix)
                    || (account.kind() == AccountKind::Functional && keeps_functional) =>
            {
                continue;
            }
            AccountFate::Owned(mailbox) => {
                let found = unread_owner(world, matching, *mailbox);
                let id = found.filter(|_| is_to_stop(world, policy, *mailbox));
                id.map(ToString::to_string).into_iter().collect()
            }
            AccountFate::Unowned => std::iter::once(account.address().to_string())
                .chain(known_id(matching, ix))
                .collect(),
            AccountFate::MergeCandidate(_) => known_id(matching, ix).into_iter().collect(),
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
fn unread_owner<'a>(
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

/// Whether the account of a mailbox is to be suspended or emptied for what the mailbox is.
fn is_to_stop(world: &World, policy: &Policy, ix: MailboxIx) -> bool {
    let disabled = world.directory.mailbox(ix).kind == (MailboxKind::User { disabled: true });
    match policy.scope_of(&world.directory, ix) {
        MailboxScope::In => disabled,
        MailboxScope::OutsideFilter => true,
        MailboxScope::OtherKind | MailboxScope::OutsideDomains => false,
    }
}

fn known_id(matching: &Matching, ix: AccountIx) -> Option<String> {
    matching.known_object_id(ix).map(ToString::to_string)
}

/// Compares every mailbox with its account and every account with its mailbox.
pub fn diff(world: &World, policy: &Policy, matching: &Matching) -> Diff {
    let keeps_functional = policy.keeps_functional_accounts(&world.directory);
    let mut differ = Differ {
        world,
        policy,
        matching,
        keeps_functional,
        kept: HashSet::default(),
        out: Diff::default(),
    };
    for rejection in &world.directory.rejections {
        let text = format!("the mailbox is not understood: {}", rejection.reason);
        differ
            .out
            .notes
            .push(Note::new(&*rejection.label, Code::Rejected, text));
    }
    for (ix, mailbox) in world.directory.iter() {
        differ.mailbox(ix, mailbox);
    }
    for (ix, account) in world.accounts.iter() {
        differ.account(ix, account);
    }
    differ.releases();
    let Diff {
        mut deltas,
        mut notes,
    } = differ.out;
    deltas.retain(|delta| !delta.is_empty());
    for delta in &mut deltas {
        name_mailbox(delta, world, matching);
    }
    deltas.sort_by(|a, b| (&a.address, a.target).cmp(&(&b.address, b.target)));
    notes.sort_unstable();
    notes.dedup();
    Diff { deltas, notes }
}

/// Every change of an account says whose account it is (R16).
fn name_mailbox(delta: &mut Delta, world: &World, matching: &Matching) {
    let (Target::Existing(_), Some(ix)) = (delta.target, delta.mailbox) else {
        return;
    };
    if let MailboxFate::Matched(found) = matching.mailbox(ix) {
        let fact = format!(
            "{} is its mailbox, {}",
            world.directory.mailbox(ix).primary,
            found.level.words()
        );
        delta.reasons.insert(0, Reason::new("R16", fact));
    }
}

struct Differ<'a> {
    world: &'a World,
    policy: &'a Policy,
    matching: &'a Matching,
    keeps_functional: bool,
    /// R19: accounts without mailbox that Exchange still knows, or could not be asked about.
    kept: HashSet<AccountIx>,
    out: Diff,
}

impl<'a> Differ<'a> {
    fn note(&mut self, address: &SmtpAddress, code: Code, text: impl Into<String>) {
        self.out.notes.push(Note::new(address.as_str(), code, text));
    }

    fn mailbox(&mut self, ix: MailboxIx, mailbox: &Mailbox) {
        let scope = self.policy.scope_of(&self.world.directory, ix);
        if scope == MailboxScope::In {
            self.remarks(ix, mailbox);
        }
        match self.matching.mailbox(ix) {
            MailboxFate::Protected(protection) => {
                self.note(&mailbox.primary, protection.code, &*protection.text);
            }
            MailboxFate::OutsideDomains => {
                let text = format!(
                    "the domain {} is not among CLAIMED_DOMAINS",
                    mailbox.primary.domain()
                );
                self.note(&mailbox.primary, Code::OutsideClaimedDomains, text);
            }
            MailboxFate::Matched(found) => match scope {
                MailboxScope::In => self.matched(ix, mailbox, found),
                MailboxScope::OutsideFilter => self.left_filter(ix, mailbox, found.account),
                MailboxScope::OtherKind | MailboxScope::OutsideDomains => {}
            },
            MailboxFate::Evidence(account) => self.evidence(ix, mailbox, *account),
            MailboxFate::NoAccount if scope == MailboxScope::In => {
                self.without_account(ix, mailbox);
            }
            MailboxFate::NoAccount => {
                self.note(
                    &mailbox.primary,
                    Code::OutsideSourceFilter,
                    "it is not in the source filter",
                );
            }
        }
    }

    /// What is said about the addresses and the trustees of a mailbox in scope.
    fn remarks(&mut self, ix: MailboxIx, mailbox: &Mailbox) {
        for text in &mailbox.malformed_aliases {
            self.note(
                &mailbox.primary,
                Code::AliasMalformed,
                format!("{text:?} is no address and is ignored"),
            );
        }
        if !mailbox.knows_aliases {
            let text =
                "Exchange did not say which addresses it has, so its aliases stay as they are";
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
        match self
            .world
            .delegations
            .get(ix.0 as usize)
            .and_then(Option::as_ref)
        {
            Some(Delegations::Unknown(reason)) => {
                self.note(
                    &mailbox.primary,
                    Code::DelegationsUnknown,
                    format!("its delegates stay as they are: {reason}"),
                );
            }
            Some(Delegations::Known(grants)) => {
                for remark in &grants.remarks {
                    let (code, text) = words(remark);
                    self.note(&mailbox.primary, code, text);
                }
            }
            Some(Delegations::Gone) | None => {}
        }
    }

    fn matched(&mut self, ix: MailboxIx, mailbox: &Mailbox, found: &Match) {
        let account = self.world.accounts.get(found.account);
        let mut delta = Delta::new(
            Target::Existing(found.account),
            account.kind(),
            account.address().clone(),
            Some(ix),
        );
        delta.key = self.policy.sign_in_key(mailbox);
        if let Some(other) = &found.tied_to_other {
            let text = format!(
                "the account belongs to the object id {other}, the mailbox has {}: perhaps another person",
                mailbox
                    .object_id
                    .map_or_else(|| "none".to_owned(), |id| id.to_string())
            );
            self.note(&mailbox.primary, Code::IdentityChange, text);
        }
        if mailbox.kind == (MailboxKind::User { disabled: true }) {
            if !self.belongs_to_somebody_else(ix, account) {
                self.suspend(delta, "R19", "its mailbox is disabled (AccountDisabled)");
            }
            return;
        }
        if found.tied_to_other.is_some() && mailbox.object_id.is_none() {
            return; // Nobody can approve a tie to nothing.
        }
        if found.level != Level::Principal && *account.address() != mailbox.primary {
            delta.rename = Some(Rename {
                to: mailbox.primary.clone(),
                class: Class::Rename,
            });
            delta.because(
                "R17",
                format!("the mailbox's address is now {}", mailbox.primary),
            );
        }
        delta.tie.clone_from(&found.tied_to_other);
        delta.owner = delta.tie.and(mailbox.object_id);
        self.attributes(delta, ix, mailbox, found.account);
    }

    fn evidence(&mut self, ix: MailboxIx, mailbox: &Mailbox, account: AccountIx) {
        let view = self.world.accounts.get(account);
        let text = format!(
            "the account {} may be its account under an older address",
            view.address()
        );
        self.note(&mailbox.primary, Code::AliasEvidence, &*text);
        if mailbox.object_id.is_none() {
            // Nobody can approve who gets it (R27), and its extension could not be written (R23).
            let text = "the mailbox has no object id, so no account can become its own";
            self.note(&mailbox.primary, Code::NoObjectId, text);
            return;
        }
        let mut delta = Delta::new(
            Target::Existing(account),
            view.kind(),
            view.address().clone(),
            Some(ix),
        );
        delta.key = self.policy.sign_in_key(mailbox);
        delta.owner = mailbox.object_id;
        delta.rename = Some(Rename {
            to: mailbox.primary.clone(),
            class: Class::Identity,
        });
        delta.because("R17", text);
        if mailbox.kind == (MailboxKind::User { disabled: true }) {
            self.suspend(delta, "R19", "its mailbox is disabled (AccountDisabled)");
        } else {
            self.attributes(delta, ix, mailbox, account);
        }
    }

    /// R14: a mailbox that left the source filter is treated as absent; it is known, so nobody need be asked.
    fn left_filter(&mut self, ix: MailboxIx, mailbox: &Mailbox, account: AccountIx) {
        let view = self.world.accounts.get(account);
        if view.kind() == AccountKind::Functional && self.keeps_functional {
            let text = "no shared mailbox is in the source filter, so functional accounts stay as they are";
            self.note(&mailbox.primary, Code::FunctionalOutsideSourceFilter, text);
            return;
        }
        self.note(
            &mailbox.primary,
            Code::OutsideSourceFilter,
            "it is not in the source filter",
        );
        if self.belongs_to_somebody_else(ix, view) {
            return;
        }
        let delta = Delta::new(
            Target::Existing(account),
            view.kind(),
            view.address().clone(),
            Some(ix),
        );
        match view.kind() {
            AccountKind::User => {
                self.suspend(delta, "R14", "its mailbox is not in the source filter");
            }
            AccountKind::Functional => self.empty(
                delta,
                account,
                Class::Suspend,
                "R14",
                "its mailbox is not in the source filter",
            ),
        }
    }

    /// R16, R19: an account that is tied to a mailbox which was not read, and of which Exchange does not say that it is gone, is
    /// not stopped for what another mailbox is that has its address now.
    fn belongs_to_somebody_else(&mut self, mailbox: MailboxIx, account: AccountView<'_>) -> bool {
        let Some(id) = unread_owner(self.world, self.matching, mailbox) else {
            return false;
        };
        let presence = self.presence(&id.to_string());
        if let Some((code, words)) = &presence {
            self.note(account.address(), *code, &**words);
        }
        presence.is_some()
    }

    /// R22: name, status, aliases and delegates of an account that is to be active, or stays as it is.
    fn attributes(
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
        if name != &*mailbox.display_name {
            delta.name = Some((name.into(), mailbox.display_name.clone()));
        }
        self.aliases(&mut delta, mailbox, view);
        if let Delegates::Known { wanted, .. } = &derived.delegates
            && !self.would_be_emptied(&derived, account)
        {
            let current = self.world.accounts.delegates_of(account).users;
            delta.add_delegates = wanted
                .iter()
                .filter(|target| !matches!(target, Target::Existing(ix) if current.binary_search(ix).is_ok()))
                .copied()
                .collect();
            delta.remove_delegates = current
                .into_iter()
                .filter(|ix| !wanted.contains(&Target::Existing(*ix)) && !self.stays(*ix))
                .collect();
        }
        self.needs_key(&mut delta, mailbox);
        if !delta.is_empty() {
            self.out.deltas.push(delta);
        }
    }

    /// R7, R13: a delegate that no rule may take out.
    fn stays(&self, delegate: AccountIx) -> bool {
        self.matching.frozen.contains(&delegate)
            || self.is_unread_user(delegate)
            || !self
                .policy
                .claimed_domains
                .holds(self.world.accounts.get(delegate).address())
    }

    /// R11, R19: a user whose mailbox was not on the list, though Exchange has it or could not be asked. The list lost a row, and
    /// with it who is behind the names in permissions.
    fn is_unread_user(&self, ix: AccountIx) -> bool {
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
        let id = known_id(self.matching, ix);
        let address = asks_address.then(|| account.address().as_str());
        let mut asked = address.into_iter().chain(id.as_deref());
        asked.any(|text| match self.world.answers.recipients.get(text) {
            Some(RecipientAnswer::Found(recipient)) => {
                recipient.is_user_mailbox() || !recipient.has_kind()
            }
            Some(RecipientAnswer::Failed(_)) => true,
            Some(RecipientAnswer::Ambiguous | RecipientAnswer::NotFound) | None => false,
        })
    }

    fn functional_status(&self, derived: &Derived, account: AccountIx) -> Status {
        match &derived.delegates {
            Delegates::Unknown => Status::AsItIs,
            Delegates::Known { wanted, .. } if !wanted.is_empty() => Status::Active,
            Delegates::Known { left_out, .. } => {
                let current = self.world.accounts.delegates_of(account).users;
                if *left_out || current.iter().any(|ix| self.stays(*ix)) {
                    Status::AsItIs
                } else {
                    Status::Inactive
                }
            }
        }
    }

    /// R12: with only left-out delegates a functional account is not emptied, so none of its members is removed.
    fn would_be_emptied(&mut self, derived: &Derived, account: AccountIx) -> bool {
        let Delegates::Known { wanted, left_out } = &derived.delegates else {
            return false;
        };
        let view = self.world.accounts.get(account);
        if view.kind() == AccountKind::User || !wanted.is_empty() || !left_out {
            return false;
        }
        let current = self.world.accounts.delegates_of(account).users;
        if current.is_empty() || current.iter().any(|ix| self.stays(*ix)) {
            return false;
        }
        let text = "its only delegates are left out for now, so it is not emptied";
        self.note(&view.address().clone(), Code::DelegatesLeftOut, text);
        true
    }

    /// R13, R6, R22: aliases in claimed domains; contested ones and the account's own addresses stay out of it.
    fn aliases(&mut self, delta: &mut Delta, mailbox: &Mailbox, view: AccountView<'_>) {
        let ours = |address: &&SmtpAddress| {
            self.policy.claimed_domains.holds(address)
                && **address != mailbox.primary
                && !self.world.directory.is_shared_address(address)
        };
        let current = &view.extension().aliases;
        delta.add_aliases = mailbox
            .aliases
            .iter()
            .filter(|alias| !current.contains(alias))
            .filter(ours)
            .cloned()
            .collect();
        delta.remove_aliases = current
            .iter()
            .filter(|_| mailbox.knows_aliases)
            .filter(|alias| mailbox.aliases.binary_search(alias).is_err())
            .filter(ours)
            .cloned()
            .collect();
    }

    /// R23: in the mode `object_id` a user without a valid key gets no extension.
    fn needs_key(&mut self, delta: &mut Delta, mailbox: &Mailbox) {
        if self.policy.needs_key()
            && delta.kind == AccountKind::User
            && delta.key.is_none()
            && delta.touches_extension()
        {
            let text = "its object id is not known, so its aliases and delegates cannot be written without losing the SSO account key";
            self.note(&mailbox.primary, Code::NoKey, text);
            delta.tie = None;
            delta.add_aliases.clear();
            delta.remove_aliases.clear();
            delta.add_delegates.clear();
            delta.remove_delegates.clear();
        }
    }

    fn without_account(&mut self, ix: MailboxIx, mailbox: &Mailbox) {
        let Some(kind) = kind_of(mailbox) else { return };
        let derived = delegates_of(self.world, self.policy, self.matching, ix, None);
        self.pruned(mailbox, &derived);
        if mailbox.kind == (MailboxKind::User { disabled: true }) {
            self.note(
                &mailbox.primary,
                Code::InactiveNotCreated,
                "its mailbox is disabled, so no account is created",
            );
            return;
        }
        if kind == AccountKind::User && mailbox.object_id.is_none() {
            self.note(
                &mailbox.primary,
                Code::NoObjectId,
                "the mailbox has no object id, so no account is created",
            );
            return;
        }
        let mut delta = Delta::new(Target::New(ix), kind, mailbox.primary.clone(), Some(ix));
        match (&derived.delegates, kind) {
            (Delegates::Known { wanted, left_out }, AccountKind::Functional)
                if wanted.is_empty() =>
            {
                let (code, text) = if *left_out {
                    (
                        Code::DelegatesLeftOut,
                        "its only delegates are left out for now, so it is not created",
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
            (Delegates::Unknown, AccountKind::Functional) => return, // R11; noted with the reason
            (Delegates::Unknown, AccountKind::User) => {}
            (Delegates::Known { wanted, .. }, _) => delta.add_delegates.clone_from(wanted),
        }
        delta.because("R19", "the mailbox has no account");
        delta.create = Some(mailbox.display_name.clone());
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
        self.out.deltas.push(delta);
    }

    /// R12: everybody who has Full Access and cannot be a delegate.
    fn pruned(&mut self, mailbox: &Mailbox, derived: &Derived) {
        for (party, reason) in &derived.pruned {
            let text = format!(
                "{} is no delegate: {reason}",
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
    }

    fn account(&mut self, ix: AccountIx, account: AccountView<'_>) {
        match self.matching.account(ix) {
            // Foreign accounts are counted, not listed; an owned account was looked at with its mailbox.
            AccountFate::Foreign | AccountFate::Owned(_) | AccountFate::Evidence(_) => {}
            AccountFate::MailboxOutsideDomains(mailbox) => {
                let text = format!(
                    "its mailbox {} is outside the claimed domains; the account stays as it is",
                    self.world.directory.mailbox(*mailbox).primary
                );
                self.note(account.address(), Code::OutsideClaimedDomains, text);
            }
            AccountFate::Protected(protection) => {
                let own = matches!(
                    protection.code,
                    Code::TargetFilter | Code::FunctionalRename | Code::KindMismatch
                ) || self.is_own_mailbox(account.address());
                let code = if own {
                    protection.code
                } else {
                    Code::ProtectedByTie
                };
                self.note(account.address(), code, &*protection.text);
            }
            AccountFate::OwnedByDisabled => {
                let delta = Delta::new(
                    Target::Existing(ix),
                    account.kind(),
                    account.address().clone(),
                    None,
                );
                self.suspend(delta, "R16", "all the mailboxes that claim it are disabled");
            }
            AccountFate::MergeCandidate(mailbox) => self.merge_candidate(ix, account, *mailbox),
            AccountFate::Unowned => self.absent(ix, account),
        }
    }

    /// Whether somebody of this very address was read: then the note is about the mailbox itself.
    fn is_own_mailbox(&self, address: &SmtpAddress) -> bool {
        !self
            .world
            .directory
            .with_address(address.as_str())
            .is_empty()
    }

    /// R19: the principal is an address of a live mailbox that is not the account's own.
    fn merge_candidate(&mut self, ix: AccountIx, account: AccountView<'_>, mailbox: MailboxIx) {
        let owner = &self.world.directory.mailbox(mailbox).primary;
        let gone = self.matching.known_object_id(ix).filter(|id| {
            self.live_tie(ix).is_none()
                && self.world.answers.recipients.get(&id.to_string())
                    == Some(&RecipientAnswer::NotFound)
        });
        if owner == account.address() {
            let text = format!(
                "the mailbox {owner} has another account, so this one is nobody's; merge or remove it by hand"
            );
            self.note(account.address(), Code::MergeCandidate, text);
        } else if let (Some(id), true) = (gone, self.world.accounts.is_active(ix)) {
            let text =
                format!("its address is an alias of {owner}, and its own object id {id} is gone");
            self.stop(ix, account, Class::Suspend, &text);
        } else {
            let text = format!(
                "its address is an alias of {owner}; merge the two accounts in the Zivver WebApp"
            );
            self.note(account.address(), Code::MergeCandidate, text);
        }
    }

    /// R19: no mailbox at all. Exchange was asked for the address and the object id.
    fn absent(&mut self, ix: AccountIx, account: AccountView<'_>) {
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
        let id = known_id(self.matching, ix);
        let mut asked = std::iter::once(account.address().as_str()).chain(id.as_deref());
        if let Some((code, words)) = asked.find_map(|text| self.presence(text)) {
            self.note(account.address(), code, words);
            self.kept.insert(ix);
            return;
        }
        if id.is_some() {
            self.stop(
                ix,
                account,
                Class::Suspend,
                "its mailbox is gone from Exchange",
            );
        } else {
            self.stop(
                ix,
                account,
                Class::Stray,
                "no mailbox has its address, and it never belonged to one",
            );
        }
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

    fn stop(&mut self, ix: AccountIx, account: AccountView<'_>, class: Class, why: &str) {
        let delta = Delta::new(
            Target::Existing(ix),
            account.kind(),
            account.address().clone(),
            None,
        );
        match account.kind() {
            AccountKind::User => {
                let mut delta = delta;
                delta.activity = Some(Activity::Suspend(class));
                delta.because("R19", why);
                self.out.deltas.push(delta);
            }
            AccountKind::Functional => self.empty(delta, ix, class, "R19", why),
        }
    }

    /// R19, R22: while an account is to be inactive only its status is compared.
    fn suspend(&mut self, mut delta: Delta, rule: &str, why: &str) {
        let Target::Existing(ix) = delta.target else {
            return;
        };
        if self.world.accounts.is_active(ix) {
            delta.activity = Some(Activity::Suspend(Class::Suspend));
            delta.because(rule, why);
            self.out.deltas.push(delta);
        }
    }

    fn empty(&mut self, mut delta: Delta, ix: AccountIx, class: Class, rule: &str, why: &str) {
        let members = self.world.accounts.delegates_of(ix).users;
        if members.is_empty() {
            return;
        }
        if members.iter().any(|member| self.stays(*member)) {
            let text = "it has a member that may not be taken out, so it is not emptied";
            self.note(&delta.address.clone(), Code::DelegatesLeftOut, text);
            return;
        }
        delta.activity = Some(Activity::Empty(class));
        delta.remove_delegates = members.into_iter().collect();
        delta.because(rule, why);
        self.out.deltas.push(delta);
    }

    /// R25: an alias that a live mailbox now has is released from an account that no longer keeps up with Exchange:
    /// one without mailbox, or one that is to be inactive.
    fn releases(&mut self) {
        let mut released: BTreeMap<AccountIx, BTreeSet<SmtpAddress>> = BTreeMap::new();
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
                for holder in self.world.accounts.with_alias(address) {
                    if Target::Existing(*holder) != delta.target && self.may_release(*holder) {
                        released.entry(*holder).or_default().insert(address.clone());
                    }
                }
            }
        }
        let at: BTreeMap<Target, usize> = self
            .out
            .deltas
            .iter()
            .enumerate()
            .map(|(at, delta)| (delta.target, at))
            .collect();
        for (holder, addresses) in released {
            let view = self.world.accounts.get(holder);
            let key = self.key_of(holder);
            let without_key =
                view.kind() == AccountKind::User && key.is_none() && self.policy.needs_key();
            if without_key {
                let text = "another mailbox now has one of its aliases, but without its object id the alias cannot be released";
                self.note(&view.address().clone(), Code::NoKey, text);
                continue;
            }
            let at = at
                .get(&Target::Existing(holder))
                .copied()
                .unwrap_or_else(|| {
                    let delta = Delta::new(
                        Target::Existing(holder),
                        view.kind(),
                        view.address().clone(),
                        self.mailbox_of(holder),
                    );
                    self.out.deltas.push(delta);
                    self.out.deltas.len() - 1
                });
            let delta = &mut self.out.deltas[at];
            delta.key = delta.key.take().or(key);
            for address in addresses {
                delta.because("R25", format!("{address} now belongs to a live mailbox"));
                delta.remove_aliases.insert(address);
            }
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

enum Status {
    Active,
    Inactive,
    AsItIs,
}

fn words(remark: &Remark) -> (Code, String) {
    match remark {
        Remark::DeletedPrincipal(sid) => (
            Code::TrusteeDeleted,
            format!("{sid} is a deleted principal"),
        ),
        Remark::NotFound(text) => (
            Code::TrusteeNotFound,
            format!("Exchange does not know the trustee {text}"),
        ),
        Remark::NoRight { group, kind } => (
            Code::GroupGivesNoRight,
            format!("the group {group:?} ({kind}) gives its members no right"),
        ),
        Remark::NotAMailbox { name, kind } => (
            Code::TrusteeNotAMailbox,
            format!("{name} ({kind}) is no mailbox of the tenant"),
        ),
        Remark::Denied(who) => (Code::TrusteeDenied, format!("access is denied to {who}")),
    }
}
