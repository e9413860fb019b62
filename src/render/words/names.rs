//! The names of kinds, states and codes.

use domain::{
    accounts::AccountKind,
    actor::Actor,
    all_clear::AllClear,
    guard::Class,
    mode::{Mode, Trigger},
    note::Code,
    origin::Origin,
    plan::{ActionKind, Attribute, AttributeChange},
    report::{ActionOutcome, RunOutcome},
    since::FindingKind,
};

pub(crate) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Preview => "preview",
        Mode::Apply => "apply",
    }
}

pub(crate) fn outcome(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Open => "not ended",
        RunOutcome::Stopped => "stopped by a person",
        RunOutcome::InSync => AllClear::InSync.text(),
        RunOutcome::Done => "done",
        RunOutcome::ChangesPending => "changes pending",
        RunOutcome::NeedsAttention => "needs attention",
        RunOutcome::Failed => "failed",
    }
}

/// The heading of changes that were not made when the run ended (R34).
pub(crate) const NOT_MADE: &str = "not made, from what is in Zivver now";

pub(crate) fn action_outcome(outcome: ActionOutcome) -> &'static str {
    match outcome {
        ActionOutcome::Planned => "planned",
        ActionOutcome::Applied => "done",
        ActionOutcome::Partly => "done in part",
        ActionOutcome::Refused => "refused",
        ActionOutcome::Failed => "failed",
        ActionOutcome::Remaining => "not started",
    }
}

pub(crate) fn verb(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Create => "create",
        ActionKind::Rename => "rename",
        ActionKind::Resume => "resume",
        ActionKind::Update => "update",
        ActionKind::Suspend => "suspend",
        ActionKind::Empty => "empty",
    }
}

pub(crate) fn past(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Create => "created",
        ActionKind::Rename => "renamed",
        ActionKind::Resume => "resumed",
        ActionKind::Update => "updated",
        ActionKind::Suspend => "suspended",
        ActionKind::Empty => "emptied",
    }
}

/// An explanation of the kind, for readers who do not know the rules.
pub(crate) fn meaning(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Create => "mailboxes without an account",
        ActionKind::Rename => "same person, new address",
        ActionKind::Resume => "suspended accounts of people who are back",
        ActionKind::Update => "accounts that differ from their mailbox",
        ActionKind::Suspend => "accounts of disabled or deleted mailboxes",
        ActionKind::Empty => "functional accounts without users that have access",
    }
}

pub(crate) fn account(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::User => "user",
        AccountKind::Functional => "functional",
    }
}

pub(crate) fn attribute(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Address => "address",
        Attribute::Name => "name",
        Attribute::Active => "active",
        Attribute::ObjectId => "object id",
        Attribute::SignInKey => "sign-in key",
        Attribute::Aliases => "aliases",
        Attribute::Delegates => "delegates",
    }
}

pub(crate) fn class(class: Class) -> &'static str {
    match class {
        Class::Suspend => "suspends and empties",
        Class::DelegateRemoval => "removed delegates",
        Class::AliasRemoval => "removed aliases",
        Class::Rename => "renames",
        Class::NameChange => "changed names",
        Class::Stray => "accounts that never had a mailbox",
        Class::Identity => "accounts that would go to another person",
        Class::Create => "new accounts",
        Class::SignInKey => "replaced sign-in keys",
        Class::Undone => "changes that a person has undone",
    }
}

/// The reason for leaving something alone, used with a count.
pub(crate) fn code(code: Code) -> &'static str {
    match code {
        Code::AccountRejected => "account that cannot be understood, or tied to one",
        Code::KindNotSynchronised => "room, equipment or another kind that is not synchronised",
        Code::AliasMalformed => "an alias that is not a mail address",
        Code::AliasesUnknown => "a mailbox whose addresses Exchange did not tell",
        Code::Rejected => "mailbox that could not be understood",
        Code::DuplicatePrimary => "two mailboxes with one primary address",
        Code::AliasContested => "an alias that belongs to more than one mailbox",
        Code::ProtectedByTie => "tied to a protected mailbox",
        Code::TrusteeDeleted => "permission of a deleted account",
        Code::TrusteeDenied => "a Deny takes a delegate out",
        Code::GroupGivesNoRight => "permission of a group that gives no right by itself",
        Code::TrusteeNotAMailbox => "permission of a recipient that is not a mailbox",
        Code::TrusteeNotFound => "permission of a person unknown to Exchange",
        Code::DelegationsUnknown => {
            "permissions that could not be read, so delegates stay as they are"
        }
        Code::MailboxGone => "mailbox that vanished while it was read",
        Code::DelegatePruned => "Full Access of a person who cannot be a delegate",
        Code::DelegateKept => {
            "delegate whose own mailbox or account cannot be judged, left as it is"
        }
        Code::DelegatesLeftOut => "waits for its only delegates",
        Code::DelegatesStay => "delegates who stay, because the account would have none",
        Code::OutsideClaimedDomains => "outside the claimed domains",
        Code::OutsideSourceFilter => "not in the source filter",
        Code::FunctionalOutsideSourceFilter => "no shared mailbox is in the source filter",
        Code::TargetFilter => "matched by the target filter",
        Code::ClaimConflict => "one account that several mailboxes claim, or the reverse",
        Code::IdentityChange => "account at this address that belongs to another object id",
        Code::AliasEvidence => "account under another address that may be this mailbox's",
        Code::FunctionalRename => "functional account that cannot be renamed over SCIM",
        Code::RenameBlocked => "new address that is taken",
        Code::KindMismatch => "account of another kind than its mailbox",
        Code::RecipientExists => "no mailbox, but Exchange still knows the address",
        Code::OwnerUnknown => "no mailbox, and another recipient has the address",
        Code::AbsenceUnknown => "no mailbox, but Exchange could not say whether it is gone",
        Code::MergeCandidate => "address that now belongs to another mailbox",
        Code::InactiveNotCreated => {
            "disabled, or without access for anyone, so no account is created"
        }
        Code::WriteHadNoEffect => "change that Zivver accepted before and did not keep",
        Code::AccessNotTaken => "access that Zivver accepted to take away and did not",
        Code::AliasTaken => "alias that another account has",
        Code::DomainNotOwned => "alias in a domain that Zivver does not own",
        Code::NoKey => "user without object id, so nothing that needs the key is written",
        Code::NoObjectId => "user mailbox without object id",
        Code::AddressTaken => "address that another account has",
        Code::ApprovalOutdated => "approved change that is not planned any more as it was",
        Code::ApprovalLeft => "approved change that a quick run does not plan",
        Code::ResumeLeft => "user with delegates, whom only a full run resumes",
        Code::Waits => "change that needs another one, which is held or rejected",
        Code::Rejection => "change that a person has rejected",
        Code::ReviewOutdated => "reviewed change that is not made",
        Code::NotReviewed => "change left for later, since the run was restricted to others",
        Code::DelegateLeftOut => "delegate without account, left out for now",
        Code::OutsideRun => "waits for a delegate that this run does not cover",
        Code::RepeatOffender => "refused again and again, tried again later",
        Code::AddressUnknown => "unknown address",
        Code::ChangedSince => "changed since that run, so it is not undone",
    }
}

pub(crate) fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Timer => "schedule",
        Trigger::Http => "dashboard or HTTP",
        Trigger::CommandLine => "command line",
    }
}

/// R41: who started a run, and by which trigger.
pub(crate) fn started_by(trigger: Trigger, by: Option<&Actor>) -> String {
    let how = self::trigger(trigger);
    match by {
        None | Some(Actor::Timer | Actor::Unnamed) => how.to_owned(),
        Some(by @ (Actor::SignedIn { .. } | Actor::FunctionKey { .. } | Actor::OsUser { .. })) => {
            format!("{by}, {how}")
        }
    }
}

/// R27, R41: the approval codes that a run was started with.
pub(crate) fn approves(codes: &[String]) -> String {
    format!("approved {}", codes.join(", "))
}

pub(crate) fn finding(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Refused => "refused",
        FindingKind::Held => "held",
        FindingKind::Attention => "to look at",
        FindingKind::Pending => "pending",
    }
}

/// R44: the origin of a change.
pub(crate) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::ExchangeChanged => "Exchange changed",
        Origin::ChangedByHand => "changed by hand in Zivver",
        Origin::NotManaged => "not managed before",
        Origin::FailedBefore => "failed before",
        Origin::Unchanged => "neither side changed",
    }
}

/// An entry of a set; of a delegate whom the same plan renames, with the new address (R22).
pub(crate) fn entry(change: &AttributeChange, entry: &str) -> String {
    match change.renamed.get(entry) {
        Some(now) => format!("{now} (until then {entry})"),
        None => entry.to_owned(),
    }
}
