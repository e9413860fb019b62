//! The notes of a report: what was left alone, and why. Codes are stable, so that programs can filter by them; texts are
//! for people.

use serde::{Deserialize, Serialize};

use super::action::ActionKind;

/// Something about one mailbox or account that is not a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// The address of the mailbox or account, or its name if it has no address.
    pub address: String,
    pub code: Code,
    pub rule: String,
    pub text: String,
    /// R28, R47: the kind of the action that is left for a later run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<ActionKind>,
}

impl Note {
    pub fn new(address: impl Into<String>, code: Code, text: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            code,
            rule: code.rule().into(),
            text: text.into(),
            kind: None,
        }
    }
}

macro_rules! codes {
    ($($code:ident = $rule:literal $attention:literal,)+) => {
        /// Stable reason codes, each with the rule that it comes from. `docs/findings.md` states what each means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($code,)+ }

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
    AccountRejected = "R1" true,
    KindNotSynchronised = "R3" false,
    AliasMalformed = "R4" false,
    AliasesUnknown = "R4" true,
    Rejected = "R5" true,
    DuplicatePrimary = "R6" true,
    AliasContested = "R6" false,
    ProtectedByTie = "R7" false,
    TrusteeDeleted = "R8" false,
    TrusteeDenied = "R8" false,
    GroupGivesNoRight = "R10" false,
    TrusteeNotAMailbox = "R10" false,
    TrusteeNotFound = "R11" false,
    DelegationsUnknown = "R11" true,
    MailboxGone = "R11" false,
    DelegatePruned = "R12" false,
    DelegateKept = "R12" false,
    DelegatesLeftOut = "R12" false,
    DelegatesStay = "R12" true,
    OutsideClaimedDomains = "R13" false,
    DisabledOutsideDomains = "R13" true,
    OutsideSourceFilter = "R14" false,
    FunctionalOutsideSourceFilter = "R14" false,
    TargetFilter = "R15" false,
    ClaimConflict = "R16" true,
    IdentityChange = "R16" true,
    AliasEvidence = "R17" true,
    FunctionalRename = "R17" true,
    RenameBlocked = "R17" true,
    KindMismatch = "R18" true,
    RecipientExists = "R19" false,
    MailboxNotListed = "R19" true,
    OwnerUnknown = "R19" true,
    AbsenceUnknown = "R19" true,
    MergeCandidate = "R19" true,
    InactiveNotCreated = "R21" false,
    WriteHadNoEffect = "R22" true,
    AccessNotTaken = "R22" true,
    AliasTaken = "R23" true,
    DomainNotOwned = "R23" true,
    NoKey = "R23" true,
    NoObjectId = "R24" true,
    AddressTaken = "R24" true,
    ApprovalOutdated = "R27" false,
    ApprovalLeft = "R45" false,
    ResumeLeft = "R45" false,
    Waits = "R27" true,
    Rejection = "R47" false,
    RejectionEnded = "R47" false,
    ReviewOutdated = "R28" false,
    ReviewMade = "R28" false,
    NotReviewed = "R28" false,
    DelegateLeftOut = "R32" false,
    RepeatOffender = "R33" true,
    OutsideRun = "R39" false,
    // A run that was asked for such an address fails now; stored reports have this.
    AddressUnknown = "R39" true,
    ChangedSince = "R37" true,
}
