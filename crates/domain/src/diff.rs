//! The two sides compared: what should change, and what is left alone and why (R12, R19–R25).

mod leavers;

use std::collections::BTreeSet;

pub use leavers::absence_questions;

use super::{
    account::RejectedAccount,
    accounts::{AccountIx, AccountKind, AccountView},
    address::SmtpAddress,
    delegation::{Delegations, Remark},
    delta::{Activity, Delta, Reason, Target},
    desired::{Delegates, Derived, delegates_of},
    directory::{MailboxIx, Party},
    guard::Class,
    hash::HashSet,
    ids::ObjectId,
    mailbox::{Mailbox, MailboxKind},
    matching::{AccountFate, Level, MailboxFate, Match, Matching, kind_of},
    note::{Code, Note},
    source::{RecipientAnswer, RecipientRecord},
    world::{MailboxScope, Policy, World},
};

/// The result of `diff`: deltas by address, and notes.
#[derive(Debug, Default)]
pub struct Diff {
    pub deltas: Vec<Delta>,
    pub notes: Vec<Note>,
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
    for row in world.accounts.rejected() {
        differ.out.notes.push(rejected_account(row));
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

/// R1
fn rejected_account(row: &RejectedAccount) -> Note {
    let kind = match row.kind {
        AccountKind::User => "user account",
        AccountKind::Functional => "functional account",
    };
    let id = match &row.id {
        Some(id) => format!(" with the id {id}"),
        None => " without a usable id".into(),
    };
    let name = row.name.as_ref();
    let name = name.map_or_else(String::new, |name| format!(" and the name {name:?}"));
    let text = format!(
        "cannot understand the {kind}{id}{name} in Zivver: {}; it and what is tied to it stay as they are; correct it in the \
         Zivver WebApp, or ask Zivver's support",
        row.reason
    );
    Note::new(&*row.label, Code::AccountRejected, text)
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

impl Differ<'_> {
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
                    let (code, text) = words(remark, &mailbox.primary);
                    self.note(&mailbox.primary, code, text);
                }
                for outsider in &grants.outsiders {
                    if outsider.accounts(self.world, self.matching).is_empty() {
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

    fn matched(&mut self, ix: MailboxIx, mailbox: &Mailbox, found: &Match) {
        let account = self.world.accounts.get(found.account);
        let mut delta = Delta::new(
            Target::Existing(found.account),
            account.kind(),
            account.address().clone(),
            Some(ix),
        );
        delta.key = self.policy.sign_in_key(mailbox);
        let other = found.tied_to_other.as_ref();
        let stop = other.and_then(|id| self.identity_change(mailbox, found.account, id));
        if mailbox.kind == (MailboxKind::User { disabled: true }) {
            if !self.belongs_to_somebody_else(ix, account) {
                follow(&mut delta, mailbox, found);
                self.suspend(delta, "R19", "its mailbox is disabled (AccountDisabled)");
            }
            return;
        }
        if found.tied_to_other.is_some() && mailbox.object_id.is_none() {
            self.out.deltas.extend(stop);
            return; // A tie to nothing cannot be approved.
        }
        delta.unless_approved = stop.map(Box::new);
        follow(&mut delta, mailbox, found);
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
            // It cannot be approved who gets it (R27), and its extension could not be written (R23).
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
        delta.rename_to(mailbox.primary.clone(), Class::Identity);
        delta.because("R17", text);
        if mailbox.kind != (MailboxKind::User { disabled: true }) {
            self.attributes(delta, ix, mailbox, account);
        } else if self.world.accounts.is_active(account) {
            self.suspend(delta, "R19", "its mailbox is disabled (AccountDisabled)");
        }
    }

    /// R14: a mailbox that left the source filter is treated as absent; it is known, so Exchange is not asked.
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

    /// R7, R13: a delegate that no rule may take out.
    fn stays(&self, delegate: AccountIx) -> bool {
        self.matching.frozen.contains(&delegate)
            || self.is_unread_user(delegate)
            || !self
                .policy
                .claimed_domains
                .holds(self.world.accounts.get(delegate).address())
    }

    /// Whether a functional account has a member that no rule may take out, among these or among the rejected (R1).
    fn keeps_member(&self, account: AccountIx, members: &[AccountIx]) -> bool {
        members.iter().any(|member| self.stays(*member))
            || self.world.accounts.has_rejected_member(account)
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

    /// R4: whether a recipient is a mailbox whose addresses were not read, so that its own account is not known.
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

    /// R12: with only left-out delegates a functional account is not emptied, so none of its members is removed.
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

    /// R4, R13, R6, R22: aliases in claimed domains; contested ones and the account's own addresses stay out of it.
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

    /// R1: an alias that a rejected account has stays with it.
    fn without_rejected(&mut self, aliases: &mut BTreeSet<SmtpAddress>, mailbox: &Mailbox) {
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
        if !mailbox.knows_aliases {
            let text = "it may have an account under an alias, and its aliases are not known, so no account is created";
            self.note(&mailbox.primary, Code::AliasesUnknown, text);
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
        self.without_rejected(&mut delta.add_aliases, mailbox);
        self.out.deltas.push(delta);
    }

    /// R12: everybody who has Full Access and cannot be a delegate.
    fn pruned(&mut self, mailbox: &Mailbox, derived: &Derived) {
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

    /// R7, R36, R39: who is not taken out, so that a report for one account names who can still open it. Of other domains
    /// nobody is named (R13).
    fn staying(&mut self, mailbox: &Mailbox, delegates: &[AccountIx]) {
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
            AccountFate::Protected(protection)
                if self.stops_though_protected(ix, account, protection.code)
                    || self.outlives_its_mailbox(ix, account, protection.code) => {}
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

    /// Whether a mailbox with exactly this address was read: then the note is about the mailbox itself.
    fn is_own_mailbox(&self, address: &SmtpAddress) -> bool {
        !self.world.directory.with_address(address).is_empty()
    }

    /// R19, R22: while an account is to be inactive only its status and its addresses are compared.
    fn suspend(&mut self, mut delta: Delta, rule: &str, why: &str) {
        let Target::Existing(ix) = delta.target else {
            return;
        };
        if self.world.accounts.is_active(ix) {
            delta.activity = Some(Activity::Suspend(Class::Suspend));
            delta.because(rule, why);
        }
        self.out.deltas.push(delta);
    }

    fn empty(&mut self, delta: Delta, ix: AccountIx, class: Class, rule: &str, why: &str) {
        let emptied = self.emptying(delta, ix, class, rule, why);
        self.out.deltas.extend(emptied);
    }
}

/// R17, R22: an account that is tied by (a) or (b) follows its mailbox to another address, also while it is to be inactive.
fn follow(delta: &mut Delta, mailbox: &Mailbox, found: &Match) {
    if found.level == Level::Principal || delta.address == mailbox.primary {
        return;
    }
    delta.rename_to(mailbox.primary.clone(), Class::Rename);
    let fact = format!("the mailbox's address is now {}", mailbox.primary);
    delta.because("R17", fact);
}

enum Status {
    Active,
    Inactive,
    AsItIs,
}

fn words(remark: &Remark, mailbox: &SmtpAddress) -> (Code, String) {
    match remark {
        Remark::DeletedPrincipal(entry) => (
            Code::TrusteeDeleted,
            format!(
                "{} is a deleted principal; remove the entry with `{}`",
                entry.user,
                entry.removal(mailbox.as_str())
            ),
        ),
        Remark::NotFound(entry) => (
            Code::TrusteeNotFound,
            format!(
                "Exchange does not know the trustee {}; remove the entry with `{}`",
                entry.user,
                entry.removal(mailbox.as_str())
            ),
        ),
        Remark::NoRight { group, kind } => (
            Code::GroupGivesNoRight,
            format!("the group {group:?} ({kind}) gives its members no right"),
        ),
        Remark::Denied(who) => (Code::TrusteeDenied, format!("access is denied to {who}")),
    }
}
