//! Which account is whose: an account is a person, not an address (R6, R7, R16–R18).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    account::RejectedAccount,
    accounts::{AccountIx, AccountKind, Accounts},
    address::SmtpAddress,
    delegation::Delegations,
    directory::{Directory, MailboxIx, Party, to_u32},
    hash::{HashMap, HashSet},
    ids::ObjectId,
    mailbox::{Mailbox, MailboxKind},
    memory::Memory,
    note::Code,
    world::{MailboxScope, Policy, World},
};

/// What became of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxFate {
    /// R7: nothing is done to it or to its accounts.
    Protected(Protection),
    /// R13: not synchronised; its accounts are left as they are.
    OutsideDomains,
    Matched(Match),
    /// R17: the only account under another of its addresses may be its own.
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
    pub tied_to_other: Option<ObjectId>,
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

/// What became of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountFate {
    /// R13: its address is in no claimed domain.
    Foreign,
    /// R7.
    Protected(Protection),
    /// Its mailbox decides.
    Owned(MailboxIx),
    /// R16: all its claimants are disabled user mailboxes, so it may not be used.
    OwnedByDisabled,
    /// R13: its mailbox is outside the claimed domains.
    MailboxOutsideDomains(MailboxIx),
    /// R17: held for a mailbox by alias evidence.
    Evidence(MailboxIx),
    /// R19: no mailbox, but its principal is an alias of this one.
    MergeCandidate(MailboxIx),
    /// No mailbox at all (R19).
    Unowned,
}

/// The result of matching, by position.
#[derive(Debug, Clone, Default)]
pub struct Matching {
    pub mailboxes: Vec<MailboxFate>,
    pub accounts: Vec<AccountFate>,
    /// R7: users whose delegations on other accounts stay as Zivver has them.
    pub frozen: HashSet<AccountIx>,
    /// The account that a mailbox claims with success, by position, also where either is protected.
    pub claimed: Vec<Option<AccountIx>>,
    /// R15: accounts whose address `TARGET_FILTER` matches.
    pub filtered: Vec<AccountIx>,
    /// The object id that state or `ExternalAccountId` knows for an account (R16, R19), by position.
    known_object_ids: Vec<Option<ObjectId>>,
    /// The mapping of state, by object id.
    mapped: Vec<(ObjectId, AccountIx)>,
}

impl Matching {
    /// The account that state has for an object id.
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

    /// R16, R19: the object id that state or `ExternalAccountId` knows for an account.
    pub fn known_object_id(&self, ix: AccountIx) -> Option<&ObjectId> {
        self.known_object_ids[ix.0 as usize].as_ref()
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
        mapped,
        ..matcher.finish(&evidence)
    }
}

/// The mapping of state, by object id; an entry whose id is not in the complete list is void.
fn mapped(accounts: &Accounts, memory: &Memory) -> Vec<(ObjectId, AccountIx)> {
    let known = memory.mapping.iter();
    known
        .filter_map(|(object_id, id)| Some((*object_id, accounts.with_id(id)?)))
        .collect()
}

/// Accounts by the object id that state knows for them.
fn ownership(accounts: &Accounts, mapped: &[(ObjectId, AccountIx)]) -> Vec<Option<ObjectId>> {
    let mut owners = vec![None; accounts.len()];
    for (object_id, ix) in mapped {
        owners[ix.0 as usize] = Some(*object_id);
    }
    owners
}

/// Mailboxes protected by what they are, before any account is looked at (R3, R6, R11, R15).
fn protected_mailboxes(world: &World, policy: &Policy) -> BTreeMap<MailboxIx, Protection> {
    let directory = &world.directory;
    let mut protected = BTreeMap::new();
    for (ix, mailbox) in directory.iter() {
        let delegations = world
            .delegations
            .get(ix.0 as usize)
            .and_then(Option::as_ref);
        let protection = if let MailboxKind::Other(kind) = &mailbox.kind {
            Some((
                Code::KindNotSynchronised,
                format!("a mailbox of kind {kind:?} is not synchronised"),
            ))
        } else if let Some(entry) = policy.target_filter.matched(&mailbox.primary) {
            Some((
                Code::TargetFilter,
                format!("TARGET_FILTER entry {entry:?} matches its address"),
            ))
        } else if delegations == Some(&Delegations::Gone) {
            Some((
                Code::MailboxGone,
                "the mailbox vanished while it was read; the next run sees clearer".into(),
            ))
        } else if directory.is_seen_twice(mailbox) {
            // Claims of one strength on whatever account the object has (R16).
            Some((
                Code::ClaimConflict,
                "Exchange listed its object id under more than one address".into(),
            ))
        } else {
            None
        };
        if let Some((code, text)) = protection {
            protected.insert(ix, Protection { code, text });
        }
    }
    for (ix, protection) in duplicates(directory) {
        // What protects a mailbox in any case goes first (R15).
        protected.entry(ix).or_insert(protection);
    }
    protected
}

/// R6: mailboxes of which another has the same primary address, be it one that is not understood (R5).
fn duplicates(directory: &Directory) -> BTreeMap<MailboxIx, Protection> {
    let mut rejected: HashMap<&SmtpAddress, usize> = HashMap::default();
    for primary in directory.rejections.iter().flat_map(|it| &it.primary) {
        *rejected.entry(primary).or_default() += 1;
    }
    let mut duplicates = BTreeMap::new();
    // Mailboxes are sorted by their primary address.
    let mut first = 0;
    for owners in directory
        .mailboxes
        .chunk_by(|one, other| one.primary == other.primary)
    {
        let positions = first..first + owners.len();
        first = positions.end;
        let primary = &owners[0].primary;
        let count = owners.len() + rejected.get(primary).copied().unwrap_or_default();
        for at in positions.filter(|_| count > 1) {
            let text = format!("{count} mailboxes have the primary address {primary}");
            let code = Code::DuplicatePrimary;
            duplicates.insert(MailboxIx(to_u32(at)), Protection { code, text });
        }
    }
    duplicates
}

struct Matcher<'a> {
    directory: &'a Directory,
    accounts: &'a Accounts,
    policy: &'a Policy,
    memory: &'a Memory,
    /// Object ids by state, by position of the account.
    owner: Vec<Option<ObjectId>>,
    protected: BTreeMap<MailboxIx, Protection>,
    /// The claims that hold, by position of the mailbox.
    claims: Vec<Option<Match>>,
    account_protection: BTreeMap<AccountIx, Protection>,
    disabled_only: BTreeSet<AccountIx>,
    frozen: HashSet<AccountIx>,
    filtered: Vec<AccountIx>,
}

impl Matcher<'_> {
    /// R16: the strongest level of each mailbox; equal levels on one account conflict.
    fn claim(&mut self, mapped: &[(ObjectId, AccountIx)]) {
        let mut given = vec![false; self.accounts.len()];
        for level in [Level::Mapping, Level::ExternalAccountId, Level::Principal] {
            let (mut claims, torn) = match level {
                Level::Mapping => (self.by_mapping(mapped), BTreeSet::new()),
                Level::ExternalAccountId | Level::Principal => self.claims_at(level, &given),
            };
            claims.sort_unstable();
            for claimants in claims.chunk_by(|one, other| one.0 == other.0) {
                let account = claimants[0].0;
                given[account.0 as usize] = true;
                for (_, ix) in claimants {
                    let tied_to_other = match level {
                        Level::Mapping | Level::ExternalAccountId => None,
                        Level::Principal => self.other_tie(account, self.directory.mailbox(*ix)),
                    };
                    self.claims[ix.0 as usize] = Some(Match {
                        account,
                        level,
                        tied_to_other,
                    });
                }
                let claimants: Vec<MailboxIx> = claimants.iter().map(|claim| claim.1).collect();
                if claimants.len() > 1 || claimants.iter().any(|ix| torn.contains(ix)) {
                    self.only_disabled(account, &claimants);
                }
                if claimants.len() > 1 {
                    self.conflict(account, &claimants);
                }
            }
            for ix in torn {
                let text = "several accounts belong to this mailbox equally".to_owned();
                self.protected.insert(
                    ix,
                    Protection {
                        code: Code::ClaimConflict,
                        text,
                    },
                );
            }
        }
    }

    /// The claims of those mailboxes that have no stronger one, and who of them claims several accounts.
    fn claims_at(
        &self,
        level: Level,
        given: &[bool],
    ) -> (Vec<(AccountIx, MailboxIx)>, BTreeSet<MailboxIx>) {
        let mut claims = Vec::new();
        let mut torn = BTreeSet::new();
        for (ix, mailbox) in self.directory.iter() {
            if self.claims[ix.0 as usize].is_some() {
                continue;
            }
            let before = claims.len();
            let wanted = self.wanted(mailbox, level);
            let free = wanted.filter(|account| !given[account.0 as usize]);
            claims.extend(free.map(|account| (account, ix)));
            if claims.len() > before + 1 {
                torn.insert(ix);
            }
        }
        (claims, torn)
    }

    fn wanted(&self, mailbox: &Mailbox, level: Level) -> impl Iterator<Item = AccountIx> {
        let listed: &[AccountIx] = match (level, &mailbox.object_id) {
            (Level::Mapping, _) | (Level::ExternalAccountId, None) => &[],
            (Level::ExternalAccountId, Some(id)) => self.accounts.with_object_id(id),
            (Level::Principal, _) => self.accounts.with_address(&mailbox.primary),
        };
        let fits = |ix: &AccountIx| Some(self.accounts.get(*ix).kind()) == kind_of(mailbox);
        let only_fitting = listed.iter().any(fits);
        let listed = listed.iter().copied();
        // R18, R19: an account of the other kind that is tied to another object id is not this mailbox's.
        listed.filter(move |ix| {
            level != Level::Principal
                || fits(ix)
                || (!only_fitting && self.other_tie(*ix, mailbox).is_none())
        })
    }

    /// All claims by state: both sides sorted by object id, and walked once.
    fn by_mapping(&self, mapped: &[(ObjectId, AccountIx)]) -> Vec<(AccountIx, MailboxIx)> {
        let mut mailboxes: Vec<(ObjectId, MailboxIx)> = self
            .directory
            .iter()
            .filter_map(|(ix, mailbox)| Some((mailbox.object_id?, ix)))
            .collect();
        mailboxes.sort_unstable();
        let mut mapped = mapped.iter().peekable();
        let mut claims = Vec::with_capacity(mailboxes.len());
        for (object_id, ix) in mailboxes {
            while mapped.next_if(|known| known.0 < object_id).is_some() {}
            if let Some((_, account)) = mapped.peek().filter(|known| known.0 == object_id) {
                claims.push((*account, ix));
            }
        }
        claims
    }

    /// The account that state has for an object id.
    fn mapped(&self, id: &ObjectId) -> Option<AccountIx> {
        self.accounts.with_id(self.memory.mapping.get(id)?)
    }

    fn claimed(&self) -> impl Iterator<Item = (MailboxIx, &Match)> {
        let claims = self.claims.iter().enumerate();
        claims.filter_map(|(at, claim)| Some((MailboxIx(to_u32(at)), claim.as_ref()?)))
    }

    /// R16: the object id that state or `ExternalAccountId` gives an account, when it is not the mailbox's.
    fn other_tie(&self, account: AccountIx, mailbox: &Mailbox) -> Option<ObjectId> {
        let state = self.owner[account.0 as usize].as_ref();
        let known = state.or_else(|| self.accounts.external_object_id(account))?;
        (mailbox.object_id.as_ref() != Some(known)).then_some(*known)
    }

    /// R16: an account that only disabled user mailboxes claim may not be used, whichever of them it belongs to. Somebody else
    /// whose address it has may be its owner, though a stronger claim stands against his.
    fn only_disabled(&mut self, account: AccountIx, claimants: &[MailboxIx]) {
        let known = self.accounts.get(account);
        let owners = self.directory.with_address(known.address());
        let are_disabled = claimants.iter().all(|ix| self.is_only_disabled(*ix))
            && owners.iter().all(|party| match party {
                Party::Mailbox(ix) => self.is_only_disabled(*ix),
                Party::Rejected(_) => false,
            });
        if known.kind() == AccountKind::User && are_disabled {
            self.disabled_only.insert(account);
        }
    }

    /// Whether a mailbox is a disabled user's, and no more than its claims protects it.
    fn is_only_disabled(&self, ix: MailboxIx) -> bool {
        let protection = self.protected.get(&ix);
        self.directory.mailbox(ix).kind == MailboxKind::User { disabled: true }
            && self.policy.scope_of(self.directory, ix) == MailboxScope::In
            && protection
                .is_none_or(|by| matches!(by.code, Code::DuplicatePrimary | Code::ClaimConflict))
    }

    fn conflict(&mut self, account: AccountIx, claimants: &[MailboxIx]) {
        let address = self.accounts.get(account).address();
        for ix in claimants {
            let text = format!(
                "{} mailboxes claim the account {address} equally",
                claimants.len()
            );
            self.protected.entry(*ix).or_insert(Protection {
                code: Code::ClaimConflict,
                text,
            });
        }
    }

    /// R1, R7: mailboxes that are tied to an account that cannot be understood, as those are that a rejected mailbox is tied to.
    fn rejected_accounts(&mut self) {
        if self.accounts.rejected().is_empty() {
            return;
        }
        let by_object_id: HashMap<ObjectId, &RejectedAccount> = self
            .accounts
            .rejected()
            .iter()
            .filter_map(|row| Some((row.object_id?, row)))
            .collect();
        for (ix, mailbox) in self.directory.iter() {
            if !matches!(
                self.policy.scope_of(self.directory, ix),
                MailboxScope::In | MailboxScope::OutsideFilter
            ) {
                continue;
            }
            let by_identity = mailbox.object_id.as_ref().and_then(|id| {
                let mapped = self.memory.mapping.get(id);
                let mapped = mapped.and_then(|id| self.accounts.rejected_with_id(id));
                mapped.or_else(|| by_object_id.get(id).copied())
            });
            let row = by_identity
                .or_else(|| self.accounts.rejected_with_address(&mailbox.primary))
                .or_else(|| self.rejected_evidence(ix, mailbox));
            if let Some(row) = row {
                let protection = Protection {
                    code: Code::AccountRejected,
                    text: format!(
                        "its account in Zivver is or may be {}, which cannot be understood: {}",
                        row.label, row.reason
                    ),
                };
                self.protected.entry(ix).or_insert(protection);
            }
        }
    }

    /// R17: a mailbox without account may have that under another of its addresses.
    fn rejected_evidence(&self, ix: MailboxIx, mailbox: &Mailbox) -> Option<&RejectedAccount> {
        if self.claims[ix.0 as usize].is_some() {
            return None;
        }
        let upn = user_principal_address(mailbox);
        let mut addresses = mailbox.aliases.iter().chain(&upn);
        addresses.find_map(|address| self.accounts.rejected_with_address(address))
    }

    /// R18.
    fn mismatched_kinds(&mut self) {
        let mut protected = Vec::new();
        for (ix, claim) in self.claimed() {
            let mailbox = self.directory.mailbox(ix);
            let account = self.accounts.get(claim.account);
            let text = match (kind_of(mailbox), account.kind()) {
                (Some(AccountKind::User), AccountKind::Functional) => {
                    "a user mailbox, but its account in Zivver is a functional account; convert it in the Zivver WebApp"
                }
                (Some(AccountKind::Functional), AccountKind::User) => {
                    "a shared mailbox, but its account in Zivver is a user account; convert it in the Zivver WebApp"
                }
                (None | Some(AccountKind::User), AccountKind::User)
                | (None | Some(AccountKind::Functional), AccountKind::Functional) => continue,
            };
            let protection = Protection {
                code: Code::KindMismatch,
                text: text.into(),
            };
            protected.push((ix, protection));
        }
        for (ix, protection) in protected {
            self.protected.entry(ix).or_insert(protection);
        }
    }

    /// R17: over SCIM only a user can be renamed.
    fn functional_renames(&mut self) {
        let mut protected = Vec::new();
        for (ix, claim) in self.claimed() {
            let mailbox = self.directory.mailbox(ix);
            let account = self.accounts.get(claim.account);
            if claim.level == Level::Principal
                || account.kind() != AccountKind::Functional
                || *account.address() == mailbox.primary
                || self.policy.scope_of(self.directory, ix) != MailboxScope::In
            {
                continue;
            }
            protected.push((ix, functional_rename(account.address(), &mailbox.primary)));
        }
        for (ix, protection) in protected {
            self.protected.entry(ix).or_insert(protection);
        }
    }

    /// R15, from the side of the accounts.
    fn filtered_accounts(&mut self) {
        for (ix, account) in self.accounts.iter() {
            if let Some(entry) = self.policy.target_filter.matched(account.address()) {
                let text = format!("TARGET_FILTER entry {entry:?} matches its address");
                self.filtered.push(ix);
                self.account_protection.insert(
                    ix,
                    Protection {
                        code: Code::TargetFilter,
                        text,
                    },
                );
            }
        }
    }

    /// R17 alias evidence: exactly one account of the same kind under another address, claimed by no mailbox and tied to
    /// no other object id.
    fn evidence(&mut self) -> BTreeMap<MailboxIx, AccountIx> {
        let mut claimed = vec![false; self.accounts.len()];
        for (_, claim) in self.claimed() {
            claimed[claim.account.0 as usize] = true;
        }
        let mut evidence = BTreeMap::new();
        for (ix, mailbox) in self.directory.iter() {
            if self.claims[ix.0 as usize].is_some()
                || self.protected.contains_key(&ix)
                || self.policy.scope_of(self.directory, ix) != MailboxScope::In
                || !self.accounts.with_address(&mailbox.primary).is_empty()
            {
                continue;
            }
            let upn = user_principal_address(mailbox);
            let candidates: BTreeSet<AccountIx> = mailbox
                .aliases
                .iter()
                .filter(|alias| !self.directory.is_shared_address(alias))
                .chain(upn.iter())
                .flat_map(|address| self.accounts.with_address(address))
                .copied()
                .filter(|account| {
                    Some(self.accounts.get(*account).kind()) == kind_of(mailbox)
                        && self
                            .policy
                            .claimed_domains
                            .holds(self.accounts.get(*account).address())
                        && !claimed[account.0 as usize]
                        && !self.account_protection.contains_key(account)
                        && self.other_tie(*account, mailbox).is_none()
                })
                .collect();
            if candidates.len() == 1 {
                evidence.extend(candidates.first().map(|account| (ix, *account)));
            }
        }
        self.settle_evidence(evidence)
    }

    /// Two mailboxes with evidence for one account have none; a functional account cannot be renamed.
    fn settle_evidence(
        &mut self,
        mut evidence: BTreeMap<MailboxIx, AccountIx>,
    ) -> BTreeMap<MailboxIx, AccountIx> {
        let mut times: HashMap<AccountIx, u32> = HashMap::default();
        for account in evidence.values() {
            *times.entry(*account).or_default() += 1;
        }
        evidence.retain(|_, account| times[account] == 1);
        evidence.retain(|ix, account| {
            let view = self.accounts.get(*account);
            if view.kind() == AccountKind::User {
                return true;
            }
            let protection =
                functional_rename(view.address(), &self.directory.mailbox(*ix).primary);
            self.protected.insert(*ix, protection.clone());
            self.account_protection.insert(*account, protection);
            false
        });
        evidence
    }

    /// R7: an account that turned out to be protected is not evidence, and the mailbox that it may belong to is
    /// protected with it. Says whether there was one: then more may be tied to it.
    fn protect_evidence(&mut self, evidence: &mut BTreeMap<MailboxIx, AccountIx>) -> bool {
        let before = evidence.len();
        evidence.retain(|ix, account| {
            let Some(protection) = self.account_protection.get(account) else {
                return true;
            };
            self.protected.insert(*ix, protection.clone());
            false
        });
        evidence.len() < before
    }

    /// R6.
    fn shares_primary(&self, mailbox: &Mailbox) -> bool {
        let parties = self.directory.with_address(&mailbox.primary).iter();
        let same = parties.filter(|party| match party {
            Party::Mailbox(ix) => self.directory.mailbox(*ix).primary == mailbox.primary,
            Party::Rejected(_) => true,
        });
        same.count() > 1
    }

    /// R7: every account tied to a protected mailbox by any of its addresses, the mapping or `ExternalAccountId`.
    fn protect_ties(&mut self) {
        let mut ties: BTreeMap<AccountIx, Protection> = BTreeMap::new();
        let mut live = vec![false; self.accounts.len()];
        let mut tied_to_live = BTreeSet::new();
        for (ix, claim) in self.claimed() {
            let is_live = !self.protected.contains_key(&ix);
            live[claim.account.0 as usize] |= is_live;
            if is_live && claim.level != Level::Principal {
                tied_to_live.insert(claim.account);
            }
        }
        let only_disabled: Vec<bool> = self
            .protected
            .keys()
            .map(|ix| self.is_only_disabled(*ix))
            .collect();
        let protected = std::mem::take(&mut self.protected);
        for ((ix, protection), only_disabled) in protected.iter().zip(only_disabled) {
            let mailbox = self.directory.mailbox(*ix);
            let mut accounts = self.tied(
                mailbox.object_id.as_ref(),
                std::iter::once(&mailbox.primary).chain(&mailbox.aliases),
                &live,
            );
            // R19: the object id that the account is tied to decides, not the present owner of the address.
            if is_of_kind(protection.code) && !self.shares_primary(mailbox) {
                let id = mailbox.object_id.as_ref();
                accounts.retain(|account| {
                    let has_its_id =
                        id.is_some() && self.accounts.external_object_id(*account) == id;
                    has_its_id || !tied_to_live.contains(account)
                });
            }
            let claim = self.claims[ix.0 as usize].as_ref();
            accounts.extend(claim.map(|claim| claim.account));
            self.freeze(protection.code, &accounts);
            for account in accounts {
                if !only_disabled {
                    self.disabled_only.remove(&account);
                }
                ties.entry(account).or_insert_with(|| protection.clone());
            }
        }
        self.protected = protected;
        for rejection in &self.directory.rejections {
            let text = format!(
                "its mailbox {} was rejected: {}",
                rejection.label, rejection.reason
            );
            let accounts = self.tied(rejection.object_id.as_ref(), &rejection.addresses, &live);
            self.freeze(Code::Rejected, &accounts);
            for account in accounts {
                self.disabled_only.remove(&account);
                ties.entry(account).or_insert_with(|| Protection {
                    code: Code::Rejected,
                    text: text.clone(),
                });
            }
        }
        for (account, protection) in ties {
            self.account_protection.entry(account).or_insert(protection);
        }
    }

    fn tied<'b>(
        &self,
        object_id: Option<&ObjectId>,
        addresses: impl IntoIterator<Item = &'b SmtpAddress>,
        live: &[bool],
    ) -> BTreeSet<AccountIx> {
        let mut tied = BTreeSet::new();
        if let Some(id) = object_id {
            tied.extend(self.accounts.with_object_id(id));
            tied.extend(self.mapped(id));
        }
        for address in addresses {
            tied.extend(self.accounts.with_address(address));
            // An account that has the address only as an alias is tied unless a sound mailbox has it.
            tied.extend(
                self.accounts
                    .with_alias(address)
                    .iter()
                    .filter(|ix| !live[ix.0 as usize]),
            );
        }
        tied
    }

    /// R7: protected by R5, R6, R11 or R16 keeps the delegations that Zivver has.
    fn freeze(&mut self, code: Code, accounts: &BTreeSet<AccountIx>) {
        if matches!(
            code,
            Code::Rejected
                | Code::AccountRejected
                | Code::DuplicatePrimary
                | Code::MailboxGone
                | Code::ClaimConflict
                | Code::FunctionalRename
        ) {
            self.frozen.extend(accounts);
        }
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
                MailboxFate::Protected(protection.clone())
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
        self.hand_down(&mut mailboxes, &fates);
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
            known_object_ids,
            mapped: Vec::new(),
        }
    }

    /// The fate of an account before the mailbox that claims it is looked at.
    fn unclaimed(&self, ix: AccountIx, address: &SmtpAddress, is_claimed: bool) -> AccountFate {
        if !self.policy.claimed_domains.holds(address) {
            AccountFate::Foreign
        } else if let Some(protection) = self.account_protection.get(&ix) {
            AccountFate::Protected(protection.clone())
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

    /// A mailbox whose account is protected is protected with it; so is one whose account is outside the domains.
    fn hand_down(&mut self, mailboxes: &mut [MailboxFate], fates: &[AccountFate]) {
        for (at, fate) in mailboxes.iter_mut().enumerate() {
            let MailboxFate::Matched(claim) = fate else {
                continue;
            };
            let account = claim.account;
            let protection = match &fates[account.0 as usize] {
                AccountFate::Protected(protection) => protection.clone(),
                AccountFate::Foreign => Protection {
                    code: Code::OutsideClaimedDomains,
                    text: format!(
                        "its account {} is outside the claimed domains",
                        self.accounts.get(account).address()
                    ),
                },
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
            self.protected
                .insert(MailboxIx(to_u32(at)), protection.clone());
            *fate = MailboxFate::Protected(protection);
        }
    }
}

fn user_principal_address(mailbox: &Mailbox) -> Option<SmtpAddress> {
    let text = mailbox.user_principal_name.as_deref()?;
    SmtpAddress::parse(text).ok()
}

/// What state knows first, then what `ExternalAccountId` says.
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

/// Whether a mailbox is protected for what kind it or its account is, while who it is is known.
fn is_of_kind(code: Code) -> bool {
    matches!(
        code,
        Code::KindNotSynchronised | Code::KindMismatch | Code::FunctionalRename
    )
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
