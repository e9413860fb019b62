//! The input of a plan.

use std::collections::BTreeSet;

pub use super::ids::SsoAccountKey;
use super::{
    accounts::Accounts,
    address::SmtpAddress,
    delegation::Delegations,
    directory::{Directory, MailboxIx},
    guard::Limits,
    ids::{ObjectId, SignInKey},
    mailbox::{Mailbox, MailboxKind},
    mode::Depth,
    record::OpenCreate,
    scope::{ClaimedDomains, SourceMembers, TargetFilter},
    source::Answers,
};

/// Both sides, read completely (R1).
#[derive(Debug, Default)]
pub struct World {
    pub directory: Directory,
    /// By [`MailboxIx`]; `None` for mailboxes whose permissions are not needed.
    pub delegations: Vec<Option<Delegations>>,
    pub accounts: Accounts,
    /// R16: creates of an earlier run of which not even a look-up shows whether they were made, with the cause.
    pub unclear: Vec<(OpenCreate, String)>,
    /// Contains the look-ups of absent accounts (R19).
    pub answers: Answers,
    /// From the token.
    pub tenant_id: String,
    /// R45: a quick run read no delegations.
    pub depth: Depth,
}

impl World {
    /// `None` if its permissions are not needed or were not read.
    pub fn delegations_of(&self, ix: MailboxIx) -> Option<&Delegations> {
        self.delegations.get(ix.0 as usize)?.as_ref()
    }

    /// R14, R45: functional accounts stay as they are if the source filter contains no shared mailbox, or if no
    /// permissions were read.
    pub fn keeps_functional_accounts(&self, policy: &Policy) -> Option<FunctionalKept> {
        match self.depth {
            Depth::Quick => Some(FunctionalKept::NotRead),
            Depth::Full => policy
                .filters_functional_accounts(&self.directory)
                .then_some(FunctionalKept::OutsideFilter),
        }
    }
}

/// Why functional accounts are neither created nor emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionalKept {
    /// R14
    OutsideFilter,
    /// R45
    NotRead,
}

/// The decisions of the administrator.
#[derive(Debug, Clone)]
pub struct Policy {
    pub claimed_domains: ClaimedDomains,
    pub target_filter: TargetFilter,
    /// R14: the entries of `SOURCE_FILTER`, as written; empty for no filter.
    pub source_filter: BTreeSet<String>,
    /// R14: the members of those groups; `None` without a filter.
    pub source_members: Option<SourceMembers>,
    pub sso_account_key: SsoAccountKey,
    pub limits: Limits,
    /// R2.
    pub min_source_ratio: f64,
    /// R2.
    pub min_target_ratio: f64,
}

/// The position of a mailbox relative to the scope (R3, R13, R14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxScope {
    In,
    /// R3
    OtherKind,
    /// R13
    OutsideDomains,
    /// R14: treated as absent.
    OutsideFilter,
}

impl Policy {
    /// R23: the key of a user with this mailbox; `None` if it is not known, or no key is sent.
    pub fn sign_in_key(&self, mailbox: &Mailbox) -> Option<SignInKey> {
        match self.sso_account_key {
            SsoAccountKey::ObjectId => mailbox.object_id.map(SignInKey::ObjectId),
            SsoAccountKey::UserPrincipalName => {
                mailbox.user_principal_name.clone().map(SignInKey::Name)
            }
            SsoAccountKey::PrimaryAddress => Some(SignInKey::Name(mailbox.primary.as_str().into())),
            SsoAccountKey::Omit => None,
        }
    }

    /// R23: the key of a user without a mailbox, from what is known of the account.
    pub fn key_without_mailbox(
        &self,
        object_id: Option<ObjectId>,
        address: &SmtpAddress,
    ) -> Option<SignInKey> {
        match self.sso_account_key {
            SsoAccountKey::ObjectId => object_id.map(SignInKey::ObjectId),
            SsoAccountKey::PrimaryAddress => Some(SignInKey::Name(address.as_str().into())),
            SsoAccountKey::UserPrincipalName | SsoAccountKey::Omit => None,
        }
    }

    /// R23: whether an extension must contain a key.
    pub fn needs_key(&self) -> bool {
        self.sso_account_key != SsoAccountKey::Omit
    }

    pub fn scope_of(&self, directory: &Directory, ix: MailboxIx) -> MailboxScope {
        let mailbox = directory.mailbox(ix);
        if matches!(mailbox.kind, MailboxKind::Other(_)) {
            MailboxScope::OtherKind
        } else if !self.claimed_domains.holds(&mailbox.primary) {
            MailboxScope::OutsideDomains
        } else if self
            .source_members
            .as_ref()
            .is_some_and(|members| !members.hold(mailbox))
        {
            MailboxScope::OutsideFilter
        } else {
            MailboxScope::In
        }
    }

    /// R14: whether there is a filter that contains no shared mailbox.
    fn filters_functional_accounts(&self, directory: &Directory) -> bool {
        self.source_members.as_ref().is_some_and(|members| {
            !directory
                .mailboxes
                .iter()
                .any(|mailbox| mailbox.kind == MailboxKind::Shared && members.hold(mailbox))
        })
    }

    /// Mailboxes whose delegations are needed: those in scope whose account may be written.
    pub fn wants_permissions(&self, directory: &Directory, ix: MailboxIx) -> bool {
        self.scope_of(directory, ix) == MailboxScope::In
    }
}
