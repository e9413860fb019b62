//! The notes of a report: what was left alone, and why. Codes are stable, so that programs can filter by them; texts are
//! for people.

use serde::{Deserialize, Serialize};

/// Something about one mailbox or account that is not a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// The address of the mailbox or account, or its name if it has no address.
    pub address: String,
    pub code: Code,
    pub rule: String,
    pub text: String,
}

impl Note {
    pub fn new(address: impl Into<String>, code: Code, text: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            code,
            rule: code.rule().into(),
            text: text.into(),
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $rule:literal $attention:literal,)+) => {
        /// Stable reason codes, each with the rule that it comes from.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($(#[$doc])* $code,)+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$code,)+];

            /// The rule, such as `R1`.
            pub fn rule(self) -> &'static str {
                match self { $(Self::$code => $rule,)+ }
            }

            /// Whether an administrator must act on it.
            pub fn needs_attention(self) -> bool {
                match self { $(Self::$code => $attention,)+ }
            }

            /// R28, R39: whether it is about changes that the run is not for.
            pub fn is_outside_run(self) -> bool {
                matches!(self, Self::NotReviewed | Self::OutsideRun)
            }

            /// Whether it is about changes that are left for a later run.
            pub fn is_left_for_later(self) -> bool {
                self.is_outside_run() || matches!(self, Self::ResumeLeft | Self::ApprovalLeft)
            }
        }
    };
}

codes! {
    /// An account of Zivver that cannot be understood, or that something is tied to.
    AccountRejected = "R1" true,
    /// A room, an equipment mailbox and the like.
    KindNotSynchronised = "R3" false,
    /// An entry of `EmailAddresses` is not an address.
    AliasMalformed = "R4" false,
    /// Exchange did not say which addresses the mailbox has.
    AliasesUnknown = "R4" true,
    /// The mailbox could not be understood.
    Rejected = "R5" true,
    /// Two mailboxes have one primary address.
    DuplicatePrimary = "R6" true,
    /// An alias belongs to more than one mailbox.
    AliasContested = "R6" false,
    /// Tied to a protected mailbox by an address or an identifier.
    ProtectedByTie = "R7" false,
    /// The entry of a deleted principal.
    TrusteeDeleted = "R8" false,
    /// A Deny removes the right of a delegate.
    TrusteeDenied = "R8" false,
    /// A group that gives no right by itself.
    GroupGivesNoRight = "R10" false,
    /// A trustee that is not a mailbox of the tenant.
    TrusteeNotAMailbox = "R10" false,
    /// A trustee that Exchange does not know.
    TrusteeNotFound = "R11" false,
    /// The delegations could not be read.
    DelegationsUnknown = "R11" true,
    /// The mailbox vanished between list and read.
    MailboxGone = "R11" false,
    /// Full Access, but no account that could be a delegate.
    DelegatePruned = "R12" false,
    /// A delegate whose own mailbox or account cannot be judged: neither added nor removed.
    DelegateKept = "R12" false,
    /// Not created, since its only delegates are left out for now; or not emptied, since a member must not be removed.
    DelegatesLeftOut = "R12" false,
    /// Not emptied, since its only delegates are left out or a member must not be removed. Others can still open it.
    DelegatesStay = "R12" true,
    /// The primary address is in no claimed domain.
    OutsideClaimedDomains = "R13" false,
    /// Not a member of the source filter.
    OutsideSourceFilter = "R14" false,
    /// No shared mailbox is in the source filter.
    FunctionalOutsideSourceFilter = "R14" false,
    /// An entry of the target filter matches.
    TargetFilter = "R15" false,
    /// Several mailboxes claim one account, or one mailbox several accounts, equally.
    ClaimConflict = "R16" true,
    /// The account at this address belongs to another object id.
    IdentityChange = "R16" true,
    /// An account under another address of the mailbox may be its account.
    AliasEvidence = "R17" true,
    /// A functional account cannot be renamed over SCIM.
    FunctionalRename = "R17" true,
    /// The new address is taken.
    RenameBlocked = "R17" true,
    /// A user account for a shared mailbox or one that is not synchronised, or a functional account for a user mailbox.
    KindMismatch = "R18" true,
    /// Exchange still knows the address or object id of an account without mailbox.
    RecipientExists = "R19" false,
    /// Another recipient has the address, and no object id shows whether the account belongs to it.
    OwnerUnknown = "R19" true,
    /// Exchange could not say whether the address or object id is gone.
    AbsenceUnknown = "R19" true,
    /// The principal is an alias of a live mailbox.
    MergeCandidate = "R19" true,
    /// Disabled, or a shared mailbox without delegates, and without account.
    InactiveNotCreated = "R21" false,
    /// A change that Zivver accepted and did not keep.
    WriteHadNoEffect = "R22" true,
    /// The same, and a person still has access without a right to it.
    AccessNotTaken = "R22" true,
    /// Another account has this alias.
    AliasTaken = "R23" true,
    /// Zivver does not own the domain of these aliases.
    DomainNotOwned = "R23" true,
    /// Without an object id neither key nor extension can be written.
    NoKey = "R23" true,
    /// A user mailbox without object id.
    NoObjectId = "R24" true,
    /// The address to create is taken by another account.
    AddressTaken = "R24" true,
    /// An approved change that is no longer planned as it was, or was already made.
    ApprovalOutdated = "R27" false,
    /// An approved change that a quick run does not plan.
    ApprovalLeft = "R45" false,
    /// A user with delegates, whom only a full run resumes.
    ResumeLeft = "R45" false,
    /// A change that needs another one that is held or rejected.
    Waits = "R27" true,
    /// A change that a person has rejected.
    Rejection = "R47" false,
    /// A change of the reviewed plan that is not made.
    ReviewOutdated = "R28" false,
    /// A change outside the reviewed plan, left for a later run.
    NotReviewed = "R28" false,
    /// A delegate without account is left out for this run.
    DelegateLeftOut = "R32" false,
    /// Refused the same way in three runs: tried again later.
    RepeatOffender = "R33" true,
    /// A delegate whose account is created by a run that covers it, or the account without another delegate.
    OutsideRun = "R39" false,
    /// No mailbox and no account has an address that a run was asked for. Such a run fails now; stored reports have this.
    AddressUnknown = "R39" true,
    /// Not undone, since it has changed since the run.
    ChangedSince = "R37" true,
}
