//! What the model's values are called on a terminal.

use crate::domain::{
    accounts::AccountKind,
    guard::Class,
    mode::Mode,
    note::Code,
    plan::{ActionKind, Attribute},
    report::{ActionOutcome, RunOutcome},
};

pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Preview => "preview",
        Mode::Apply => "apply",
    }
}

pub(super) fn outcome(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Open => "not ended",
        RunOutcome::InSync => "in sync",
        RunOutcome::ChangesPending => "changes pending",
        RunOutcome::NeedsAttention => "needs attention",
        RunOutcome::Failed => "failed",
    }
}

pub(super) fn action_outcome(outcome: ActionOutcome) -> &'static str {
    match outcome {
        ActionOutcome::Planned => "planned",
        ActionOutcome::Applied => "done",
        ActionOutcome::Partly => "done in part",
        ActionOutcome::Refused => "refused",
        ActionOutcome::Failed => "failed",
        ActionOutcome::Remaining => "not started",
    }
}

pub(super) fn verb(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Create => "create",
        ActionKind::Rename => "rename",
        ActionKind::Resume => "resume",
        ActionKind::Update => "update",
        ActionKind::Suspend => "suspend",
        ActionKind::Empty => "empty",
    }
}

pub(super) fn past(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Create => "created",
        ActionKind::Rename => "renamed",
        ActionKind::Resume => "resumed",
        ActionKind::Update => "updated",
        ActionKind::Suspend => "suspended",
        ActionKind::Empty => "emptied",
    }
}

/// What the verb means, for those who have not read the rules.
pub(super) fn meaning(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Create => "mailboxes without an account",
        ActionKind::Rename => "same person, new address",
        ActionKind::Resume => "suspended accounts of people who are back",
        ActionKind::Update => "accounts that differ from their mailbox",
        ActionKind::Suspend => "accounts of disabled or deleted mailboxes",
        ActionKind::Empty => "functional accounts that nobody has access to any more",
    }
}

pub(super) fn account(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::User => "user",
        AccountKind::Functional => "functional",
    }
}

pub(super) fn attribute(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Address => "address",
        Attribute::Name => "name",
        Attribute::Active => "active",
        Attribute::ObjectId => "object id",
        Attribute::Aliases => "aliases",
        Attribute::Delegates => "delegates",
    }
}

pub(super) fn class(class: Class) -> &'static str {
    match class {
        Class::Suspend => "suspends and empties",
        Class::DelegateRemoval => "removed delegates",
        Class::AliasRemoval => "removed aliases",
        Class::Rename => "renames",
        Class::NameChange => "changed names",
        Class::Stray => "accounts that never had a mailbox",
        Class::Identity => "accounts that would go to somebody else",
        Class::Undone => "changes that a person has undone",
    }
}

/// Why something was left alone, where many are counted.
pub(super) fn code(code: Code) -> &'static str {
    match code {
        Code::KindNotSynchronised => "room, equipment or another kind that is not synchronised",
        Code::AliasMalformed => "an alias that is no mail address",
        Code::AliasesUnknown => "mailbox whose addresses Exchange did not tell",
        Code::Rejected => "mailbox that could not be understood",
        Code::DuplicatePrimary => "two mailboxes with one primary address",
        Code::AliasContested => "an alias that belongs to more than one mailbox",
        Code::ProtectedByTie => "tied to a protected mailbox",
        Code::TrusteeDeleted => "permission of a deleted account",
        Code::TrusteeDenied => "a Deny takes a delegate out",
        Code::GroupGivesNoRight => "permission of a group that gives no right by itself",
        Code::TrusteeNotAMailbox => "permission of something that is no mailbox",
        Code::TrusteeNotFound => "permission of somebody whom Exchange does not know",
        Code::DelegationsUnknown => {
            "permissions that could not be read, so delegates stay as they are"
        }
        Code::MailboxGone => "mailbox that vanished while it was read",
        Code::DelegatePruned => "Full Access of somebody who cannot be a delegate",
        Code::DelegatesLeftOut => "waits for its only delegates",
        Code::OutsideClaimedDomains => "outside the claimed domains",
        Code::OutsideSourceFilter => "not in the source filter",
        Code::FunctionalOutsideSourceFilter => "no shared mailbox is in the source filter",
        Code::TargetFilter => "matched by the target filter",
        Code::ClaimConflict => "one account that several mailboxes claim, or the reverse",
        Code::IdentityChange => "account at this address that belongs to another object id",
        Code::AliasEvidence => "account under another address that may be this mailbox's",
        Code::FunctionalRename => "functional account that cannot be renamed over SCIM",
        Code::RenameBlocked => "new address that is taken",
        Code::KindMismatch => "user account for a shared mailbox, or the reverse",
        Code::RecipientExists => "no mailbox, but Exchange still knows the address",
        Code::AbsenceUnknown => "no mailbox, but Exchange could not say whether it is gone",
        Code::MergeCandidate => "address that is an alias of a live mailbox",
        Code::InactiveNotCreated => "disabled, or nobody has access, so no account is made",
        Code::WriteHadNoEffect => "change that Zivver accepted before and did not keep",
        Code::AliasTaken => "alias that another account has",
        Code::NoKey => "user without object id, so nothing that needs the key is written",
        Code::NoObjectId => "user mailbox without object id",
        Code::AddressTaken => "address that another account has",
        Code::DelegateLeftOut => "delegate without account, left out for now",
        Code::RepeatOffender => "refused again and again, tried again later",
        Code::ChangedSince => "changed since that run, so it is not undone",
    }
}
