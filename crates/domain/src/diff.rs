//! Compares both sides: what should change, and what is left alone and why (R12, R19–R25).

mod attributes;
mod creating;
mod leavers;
mod presence;
mod releases;
mod remarks;

pub use leavers::absence_questions;

use super::{
    account::RejectedAccount,
    accounts::{AccountIx, AccountKind, AccountView},
    address::SmtpAddress,
    delegation::Remark,
    delta::{Activity, Delta, Reason, Target},
    directory::MailboxIx,
    given::Given,
    guard::Class,
    hash::HashSet,
    mailbox::{Mailbox, MailboxKind},
    matching::{AccountFate, Level, MailboxFate, Match, Matching},
    memory::Memory,
    note::{Code, Note},
    world::{FunctionalKept, MailboxScope, Policy, World},
};

/// The result of `diff`: deltas by address, and notes.
#[derive(Debug, Default)]
pub struct Diff {
    pub deltas: Vec<Delta>,
    pub notes: Vec<Note>,
}

/// Compares every mailbox with its account and every account with its mailbox.
pub(crate) fn diff(given: Given<'_>) -> Diff {
    let Given {
        world,
        policy,
        memory,
        matching,
    } = given;
    let keeps_functional = world.keeps_functional_accounts(policy);
    let mut differ = Differ {
        world,
        policy,
        memory,
        matching,
        keeps_functional,
        kept: HashSet::default(),
        unread: HashSet::default(),
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
    memory: &'a Memory,
    matching: &'a Matching,
    keeps_functional: Option<FunctionalKept>,
    /// R19: accounts without mailbox that Exchange still knows, or could not be asked about.
    kept: HashSet<AccountIx>,
    /// R11, R45: active accounts whose delegates stay as they are, since nobody knows who is to be one.
    unread: HashSet<AccountIx>,
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
                if protection.code == Code::OutsideClaimedDomains {
                    self.foreign_stays_active(ix, mailbox);
                }
                self.note(&mailbox.primary, protection.code, &*protection.text);
            }
            MailboxFate::OutsideDomains => {
                if self.foreign_stays_active(ix, mailbox) {
                    return;
                }
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

    fn matched(&mut self, ix: MailboxIx, mailbox: &Mailbox, found: &Match) {
        let account = self.world.accounts.get(found.account);
        if self.is_left_to_full_run(found) {
            return;
        }
        let mut delta = Delta::new(
            Target::Existing(found.account),
            account.kind(),
            account.address().clone(),
            Some(ix),
        );
        delta.key = self.policy.sign_in_key(mailbox);
        let other = found.tied_to_other.as_deref();
        let stop = other.and_then(|id| self.identity_change(mailbox, found.account, id));
        if mailbox.kind == (MailboxKind::User { disabled: true }) {
            if !self.belongs_to_somebody_else(ix, found.account) {
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
        delta.tie = found.tied_to_other.as_deref().copied();
        delta.owner = delta.tie.and(mailbox.object_id);
        let delta_count = self.out.deltas.len();
        self.attributes(delta, ix, mailbox, found.account);
        // R21: while the mailbox needs no account, there is nothing to approve, so no note asks for an approval.
        if self.out.deltas.len() == delta_count && !self.world.accounts.is_active(found.account) {
            let primary = mailbox.primary.as_str();
            let notes = &mut self.out.notes;
            notes.retain(|it| it.code != Code::IdentityChange || it.address != primary);
        }
    }

    /// R45: a quick run does not decide who owns a functional account, nor what of an empty one is compared: a run that
    /// reads permissions does.
    fn is_left_to_full_run(&self, found: &Match) -> bool {
        let accounts = &self.world.accounts;
        self.keeps_functional == Some(FunctionalKept::NotRead)
            && accounts.get(found.account).kind() == AccountKind::Functional
            && (found.tied_to_other.is_some() || !accounts.is_active(found.account))
    }

    /// R14, R45: whether an account without mailbox, or with one that left the filter, stays as it is because it is
    /// functional.
    fn keeps(&mut self, account: AccountView<'_>, label: &SmtpAddress) -> bool {
        if account.kind() != AccountKind::Functional {
            return false;
        }
        match self.keeps_functional {
            None => return false,
            Some(FunctionalKept::NotRead) => {}
            Some(FunctionalKept::OutsideFilter) => {
                let text = "no shared mailbox is in the source filter, so functional accounts stay as they are";
                self.note(label, Code::FunctionalOutsideSourceFilter, text);
            }
        }
        true
    }

    fn evidence(&mut self, ix: MailboxIx, mailbox: &Mailbox, account: AccountIx) {
        let view = self.world.accounts.get(account);
        let text = format!(
            "the account {} may be its account under an older address",
            view.address()
        );
        self.note(&mailbox.primary, Code::AliasEvidence, &*text);
        if mailbox.object_id.is_none() {
            // No approval can name who gets the account (R27), and its extension could not be written (R23).
            let text = "the mailbox has no object id, so no account can be tied to it";
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

    /// R14: a mailbox that left the source filter is treated as absent. Exchange is not asked about it, since the
    /// mailbox was read.
    fn left_filter(&mut self, ix: MailboxIx, mailbox: &Mailbox, account: AccountIx) {
        let view = self.world.accounts.get(account);
        if self.keeps(view, &mailbox.primary) {
            return;
        }
        self.note(
            &mailbox.primary,
            Code::OutsideSourceFilter,
            "it is not in the source filter",
        );
        if self.belongs_to_somebody_else(ix, account) {
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

    /// R6: an account keeps an alias that its mailbox no longer has and several others have.
    fn contested(&mut self, ix: AccountIx, account: AccountView<'_>) {
        let own = match self.matching.account(ix) {
            AccountFate::Foreign | AccountFate::Protected(_) => return,
            AccountFate::Owned(mailbox) => Some(self.world.directory.mailbox(*mailbox)),
            AccountFate::OwnedByDisabled
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::Evidence(_)
            | AccountFate::MergeCandidate(_)
            | AccountFate::Unowned => None,
        };
        for alias in &account.extension().aliases {
            if self.policy.claimed_domains.holds(alias)
                && self.world.directory.is_shared_address(alias)
                && own.is_none_or(|own| !own.aliases.contains(alias))
            {
                let text = format!(
                    "it keeps the alias {alias}, which is not its own and belongs to more than one mailbox"
                );
                self.note(account.address(), Code::AliasContested, text);
            }
        }
    }

    fn account(&mut self, ix: AccountIx, account: AccountView<'_>) {
        self.contested(ix, account);
        match self.matching.account(ix) {
            // Foreign accounts are counted, not listed. An owned account was handled with its mailbox.
            AccountFate::Foreign | AccountFate::Owned(_) | AccountFate::Evidence(_) => {}
            AccountFate::MailboxOutsideDomains(mailbox) => {
                let mailbox = self.world.directory.mailbox(*mailbox);
                if !self.stays_active(ix, mailbox) {
                    let text = format!(
                        "its mailbox {} is outside the claimed domains; the account stays as it is",
                        mailbox.primary
                    );
                    self.note(account.address(), Code::OutsideClaimedDomains, text);
                }
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

    /// R13: the note about an account outside the claimed domains, if its mailbox is disabled. Returns whether it says all
    /// that is to be said about the address of the mailbox.
    fn foreign_stays_active(&mut self, ix: MailboxIx, mailbox: &Mailbox) -> bool {
        let Some(account) = self.matching.claimed[ix.0 as usize] else {
            return false;
        };
        let address = self.world.accounts.get(account).address();
        *self.matching.account(account) == AccountFate::Foreign
            && self.policy.target_filter.matched(address).is_none()
            && self.stays_active(account, mailbox)
            && *address == mailbox.primary
    }

    /// R13: the note about an active account that is not suspended because it, or its disabled mailbox, is outside the
    /// claimed domains. Returns whether it is such an account.
    fn stays_active(&mut self, ix: AccountIx, mailbox: &Mailbox) -> bool {
        let account = self.world.accounts.get(ix);
        if mailbox.kind != (MailboxKind::User { disabled: true })
            || account.kind() != AccountKind::User
            || !self.world.accounts.is_active(ix)
        {
            return false;
        }
        let primary = &mailbox.primary;
        let outside = if self.policy.claimed_domains.holds(primary) {
            format!("it is outside the claimed domains, its mailbox {primary} is disabled")
        } else {
            format!("its mailbox {primary} is outside the claimed domains and disabled")
        };
        let text = format!(
            "{outside}, and its owner can still sign in; suspend the account in the Zivver WebApp"
        );
        self.note(account.address(), Code::DisabledOutsideDomains, text);
        true
    }

    /// Whether a mailbox with exactly this address was read. The note is then about the mailbox.
    fn is_own_mailbox(&self, address: &SmtpAddress) -> bool {
        !self.world.directory.with_address(address).is_empty()
    }

    /// R19, R22: only the status and the addresses of an account that is to be inactive are compared.
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

/// R17, R22: an account that is tied by (a) or (b) follows its mailbox to another address, even if it is to be
/// inactive.
fn follow(delta: &mut Delta, mailbox: &Mailbox, found: &Match) {
    if found.level == Level::Principal || delta.address == mailbox.primary {
        return;
    }
    delta.rename_to(mailbox.primary.clone(), Class::Rename);
    let fact = format!("the mailbox's address is now {}", mailbox.primary);
    delta.because("R17", fact);
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
