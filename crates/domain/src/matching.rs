//! Which account belongs to which mailbox. An account belongs to a person, not to an address (R6, R7, R16–R18).

mod claims;
mod evidence;
mod protection;

use std::collections::{BTreeMap, BTreeSet};

use protection::protected_mailboxes;

use super::{
    accounts::{AccountIx, AccountKind, Accounts},
    address::SmtpAddress,
    directory::{Directory, MailboxIx, Party, to_u32},
    hash::HashSet,
    ids::ObjectId,
    mailbox::{Mailbox, MailboxKind},
    memory::Memory,
    note::Code,
    world::{MailboxScope, Policy, World},
};

/// The result for a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxFate {
    /// R7: neither it nor its accounts are changed.
    Protected(Box<Protection>),
    /// R13: not synchronised. Its accounts stay as they are.
    OutsideDomains,
    Matched(Match),
    /// R17: the only account under another of its addresses. It may belong to the mailbox.
    Evidence(AccountIx),
    NoAccount,
}

/// Why a mailbox is protected, in the words of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    pub code: Code,
    pub text: String,
}

/// A mailbox and its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    pub account: AccountIx,
    pub level: Level,
    /// R16: the account is tied to this other object id.
    pub tied_to_other: Option<Box<ObjectId>>,
}

/// R16: how strong a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// (a)
    Mapping,
    /// (b)
    ExternalAccountId,
    /// (c)
    Principal,
}

impl Level {
    pub fn words(self) -> &'static str {
        match self {
            Self::Mapping => "by the mapping of object ids (R16 a)",
            Self::ExternalAccountId => "by ExternalAccountId (R16 b)",
            Self::Principal => "by equal address (R16 c)",
        }
    }
}

/// The result for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountFate {
    /// R13: its address is in no claimed domain.
    Foreign,
    /// R7.
    Protected(Box<Protection>),
    /// The account of this mailbox, which decides about it.
    Owned(MailboxIx),
    /// R16: all its claimants are disabled user mailboxes, so it must not be used.
    OwnedByDisabled,
    /// R13: its mailbox is outside the claimed domains.
    MailboxOutsideDomains(MailboxIx),
    /// R17: held for a mailbox by alias evidence.
    Evidence(MailboxIx),
    /// R19: has no mailbox, but its principal is an alias of this one.
    MergeCandidate(MailboxIx),
    /// No mailbox at all (R19).
    Unowned,
}

/// The result of matching, by position.
#[derive(Debug, Clone, Default)]
pub struct Matching {
    pub mailboxes: Vec<MailboxFate>,
    pub accounts: Vec<AccountFate>,
    /// R7: users whose delegations on other accounts are not changed.
    pub frozen: HashSet<AccountIx>,
    /// The account that each mailbox claims successfully, by position, even if either is protected.
    pub claimed: Vec<Option<AccountIx>>,
    /// R15: accounts whose address `TARGET_FILTER` matches.
    pub filtered: Vec<AccountIx>,
    /// Mailboxes that are protected only because their account is.
    protected_by_account: HashSet<MailboxIx>,
    /// The object id that memory or `ExternalAccountId` has for an account (R16, R19), by position.
    known_object_ids: Vec<Option<ObjectId>>,
    /// R16: accounts that a tie in doubt gives to an object id.
    in_doubt: HashSet<AccountIx>,
    /// The mapping in memory, by object id.
    mapped: Vec<(ObjectId, AccountIx)>,
}

impl Matching {
    /// The account that the mapping has for an object id.
    pub fn mapped(&self, id: &ObjectId) -> Option<AccountIx> {
        let at = self.mapped.binary_search_by_key(id, |(known, _)| *known);
        at.ok().map(|at| self.mapped[at].1)
    }

    pub fn mailbox(&self, ix: MailboxIx) -> &MailboxFate {
        &self.mailboxes[ix.0 as usize]
    }

    pub fn account(&self, ix: AccountIx) -> &AccountFate {
        &self.accounts[ix.0 as usize]
    }

    /// R16, R19: the object id that memory or `ExternalAccountId` has for an account.
    pub fn known_object_id(&self, ix: AccountIx) -> Option<&ObjectId> {
        self.known_object_ids[ix.0 as usize].as_ref()
    }

    /// R16, R19: the object id of the owner, so that the owner is gone if it is. A tie in doubt says nothing about the
    /// owner.
    pub fn owner(&self, ix: AccountIx) -> Option<&ObjectId> {
        self.known_object_id(ix)
            .filter(|_| !self.in_doubt.contains(&ix))
    }

    /// R16 (a): the account that certainly belongs to a mailbox with this object id, even if either is protected or outside
    /// the claimed domains: the next owner of the address must not get it.
    pub fn certain_account(&self, ix: MailboxIx, object_id: &ObjectId) -> Option<AccountIx> {
        match self.mailbox(ix) {
            MailboxFate::Matched(found) => found.tied_to_other.is_none().then_some(found.account),
            MailboxFate::Protected(by)
                if self.protected_by_account.contains(&ix)
                    || matches!(
                        by.code,
                        Code::ClaimConflict
                            | Code::DuplicatePrimary
                            | Code::AccountRejected
                            | Code::KindNotSynchronised
                    ) =>
            {
                None
            }
            MailboxFate::Protected(_) | MailboxFate::OutsideDomains => {
                let known = |account: &AccountIx| self.known_object_id(*account);
                self.claimed[ix.0 as usize]
                    .filter(|account| known(account).is_none_or(|known| known == object_id))
            }
            MailboxFate::Evidence(_) | MailboxFate::NoAccount => None,
        }
    }

    pub fn is_protected(&self, ix: AccountIx) -> bool {
        matches!(
            self.account(ix),
            AccountFate::Foreign | AccountFate::Protected(_)
        )
    }
}

/// R6, R7, R16, R17, R18.
pub fn match_accounts(world: &World, policy: &Policy, memory: &Memory) -> Matching {
    let mapped = mapped(&world.accounts, memory);
    let mut matcher = Matcher {
        directory: &world.directory,
        accounts: &world.accounts,
        policy,
        memory,
        owner: ownership(&world.accounts, &mapped),
        protected: protected_mailboxes(world, policy),
        claims: vec![None; world.directory.mailboxes.len()],
        account_protection: BTreeMap::new(),
        disabled_only: BTreeSet::new(),
        frozen: HashSet::default(),
        filtered: Vec::new(),
    };
    matcher.claim(&mapped);
    matcher.rejected_accounts();
    matcher.mismatched_kinds();
    matcher.functional_renames();
    matcher.filtered_accounts();
    matcher.protect_ties();
    let mut evidence = matcher.evidence();
    matcher.protect_ties(); // Evidence may have protected more.
    while matcher.protect_evidence(&mut evidence) {
        matcher.protect_ties();
    }
    Matching {
        in_doubt: in_doubt(&mapped, memory),
        mapped,
        ..matcher.finish(&evidence)
    }
}

/// The mapping in memory, by object id, without entries whose account is not in the complete list.
fn mapped(accounts: &Accounts, memory: &Memory) -> Vec<(ObjectId, AccountIx)> {
    let known = memory.mapping.iter();
    known
        .filter_map(|(object_id, id)| Some((*object_id, accounts.with_id(id)?)))
        .collect()
}

fn in_doubt(mapped: &[(ObjectId, AccountIx)], memory: &Memory) -> HashSet<AccountIx> {
    let doubtful = &memory.doubtful_ties;
    let ties = mapped.iter().filter(|(id, _)| doubtful.contains(id));
    ties.map(|(_, account)| *account).collect()
}

/// Accounts by the object id that the mapping has for them.
fn ownership(accounts: &Accounts, mapped: &[(ObjectId, AccountIx)]) -> Vec<Option<ObjectId>> {
    let mut owners = vec![None; accounts.len()];
    for (object_id, ix) in mapped {
        owners[ix.0 as usize] = Some(*object_id);
    }
    owners
}

struct Matcher<'a> {
    directory: &'a Directory,
    accounts: &'a Accounts,
    policy: &'a Policy,
    memory: &'a Memory,
    /// Object ids from the mapping, by position of the account.
    owner: Vec<Option<ObjectId>>,
    protected: BTreeMap<MailboxIx, Protection>,
    /// The successful claims, by position of the mailbox.
    claims: Vec<Option<Match>>,
    account_protection: BTreeMap<AccountIx, Protection>,
    disabled_only: BTreeSet<AccountIx>,
    frozen: HashSet<AccountIx>,
    filtered: Vec<AccountIx>,
}

impl Matcher<'_> {
    /// The account that the mapping has for an object id.
    fn mapped(&self, id: &ObjectId) -> Option<AccountIx> {
        self.accounts.with_id(self.memory.mapping.get(id)?)
    }

    fn claimed(&self) -> impl Iterator<Item = (MailboxIx, &Match)> {
        let claims = self.claims.iter().enumerate();
        claims.filter_map(|(at, claim)| Some((MailboxIx(to_u32(at)), claim.as_ref()?)))
    }

    fn finish(mut self, evidence: &BTreeMap<MailboxIx, AccountIx>) -> Matching {
        let mut claimed = vec![false; self.accounts.len()];
        for (_, claim) in self.claimed() {
            claimed[claim.account.0 as usize] = true;
        }
        let mut fates: Vec<AccountFate> = self
            .accounts
            .iter()
            .map(|(ix, account)| self.unclaimed(ix, account.address(), claimed[ix.0 as usize]))
            .collect();
        let mut set = |ix: AccountIx, fate: AccountFate| {
            let old = &mut fates[ix.0 as usize];
            if !matches!(old, AccountFate::Foreign | AccountFate::Protected(_)) {
                *old = fate;
            }
        };
        let mut mailboxes = Vec::with_capacity(self.directory.mailboxes.len());
        for (ix, _) in self.directory.iter() {
            let claim = self.claims[ix.0 as usize].as_ref();
            let outside = self.policy.scope_of(self.directory, ix) == MailboxScope::OutsideDomains;
            let fate = if let Some(protection) = self.protected.get(&ix) {
                MailboxFate::Protected(Box::new(protection.clone()))
            } else if outside {
                if let Some(account) = claim.map(|claim| claim.account) {
                    set(account, AccountFate::MailboxOutsideDomains(ix));
                    self.frozen.insert(account);
                }
                MailboxFate::OutsideDomains
            } else if let Some(claim) = claim {
                set(claim.account, AccountFate::Owned(ix));
                if claim.tied_to_other.is_some() {
                    self.frozen.insert(claim.account);
                }
                MailboxFate::Matched(claim.clone())
            } else if let Some(account) = evidence.get(&ix) {
                set(*account, AccountFate::Evidence(ix));
                self.frozen.insert(*account);
                MailboxFate::Evidence(*account)
            } else {
                MailboxFate::NoAccount
            };
            mailboxes.push(fate);
        }
        for ix in &self.disabled_only {
            let filtered = self
                .account_protection
                .get(ix)
                .is_some_and(|by| by.code == Code::TargetFilter);
            if !filtered && fates[ix.0 as usize] != AccountFate::Foreign {
                fates[ix.0 as usize] = AccountFate::OwnedByDisabled;
            }
        }
        let protected_by_account = self.hand_down(&mut mailboxes, &fates);
        let known_object_ids = known_object_ids(self.owner, self.accounts);
        let claimed = self
            .claims
            .iter()
            .map(|claim| claim.as_ref().map(|claim| claim.account))
            .collect();
        Matching {
            mailboxes,
            accounts: fates,
            frozen: self.frozen,
            claimed,
            filtered: self.filtered,
            protected_by_account,
            known_object_ids,
            in_doubt: HashSet::default(),
            mapped: Vec::new(),
        }
    }

    /// The fate of an account before the mailbox that claims it is considered.
    fn unclaimed(&self, ix: AccountIx, address: &SmtpAddress, is_claimed: bool) -> AccountFate {
        if !self.policy.claimed_domains.holds(address) {
            AccountFate::Foreign
        } else if let Some(protection) = self.account_protection.get(&ix) {
            AccountFate::Protected(Box::new(protection.clone()))
        } else if is_claimed {
            AccountFate::Unowned
        } else {
            let parties = self.directory.with_address(address).iter();
            let mailbox = parties.copied().find_map(|party| match party {
                Party::Mailbox(ix) => Some(ix),
                Party::Rejected(_) => None,
            });
            mailbox.map_or(AccountFate::Unowned, AccountFate::MergeCandidate)
        }
    }

    /// A mailbox is protected if its account is protected or outside the claimed domains. Returns these mailboxes.
    fn hand_down(
        &mut self,
        mailboxes: &mut [MailboxFate],
        fates: &[AccountFate],
    ) -> HashSet<MailboxIx> {
        let mut protected = HashSet::default();
        for (at, fate) in mailboxes.iter_mut().enumerate() {
            let MailboxFate::Matched(claim) = fate else {
                continue;
            };
            let account = claim.account;
            let protection = match &fates[account.0 as usize] {
                AccountFate::Protected(protection) => protection.clone(),
                AccountFate::Foreign => {
                    let address = self.accounts.get(account).address();
                    Box::new(Protection {
                        code: Code::OutsideClaimedDomains,
                        text: format!("its account {address} is outside the claimed domains"),
                    })
                }
                AccountFate::Owned(_)
                | AccountFate::OwnedByDisabled
                | AccountFate::MailboxOutsideDomains(_)
                | AccountFate::Evidence(_)
                | AccountFate::MergeCandidate(_)
                | AccountFate::Unowned => continue,
            };
            if protection.code != Code::TargetFilter {
                self.frozen.insert(account);
            }
            protected.insert(MailboxIx(to_u32(at)));
            *fate = MailboxFate::Protected(protection);
        }
        protected
    }
}

fn user_principal_address(mailbox: &Mailbox) -> Option<SmtpAddress> {
    let text = mailbox.user_principal_name.as_deref()?;
    SmtpAddress::parse(text).ok()
}

/// First the object ids of the mapping, then those of `ExternalAccountId`.
fn known_object_ids(
    mut known: Vec<Option<ObjectId>>,
    accounts: &Accounts,
) -> Vec<Option<ObjectId>> {
    for (at, known) in known.iter_mut().enumerate() {
        if known.is_none() {
            *known = accounts.external_object_id(AccountIx(to_u32(at))).copied();
        }
    }
    known
}

fn functional_rename(from: &SmtpAddress, to: &SmtpAddress) -> Protection {
    let text = format!(
        "the functional account {from} should become {to}, which is not possible over SCIM; rename it in the Zivver WebApp"
    );
    Protection {
        code: Code::FunctionalRename,
        text,
    }
}

/// The kind of account that a mailbox should have (R3).
pub fn kind_of(mailbox: &Mailbox) -> Option<AccountKind> {
    match mailbox.kind {
        MailboxKind::User { .. } => Some(AccountKind::User),
        MailboxKind::Shared => Some(AccountKind::Functional),
        MailboxKind::Other(_) => None,
    }
}
