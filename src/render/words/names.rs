//! The names of kinds, states and codes.

use domain::{
    accounts::AccountKind,
    actor::Actor,
    address::SmtpAddress,
    all_clear::AllClear,
    guard::Class,
    mode::{Mode, Trigger},
    note::Code,
    origin::Origin,
    plan::{ActionKind, Attribute},
    report::{ActionOutcome, Report, RunOutcome},
    since::FindingKind,
};

use crate::render::findings;

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
pub(crate) fn meaning(kind: ActionKind, report: &Report) -> &'static str {
    match (kind, &report.undoes) {
        (ActionKind::Create, _) => "mailboxes without an account",
        (ActionKind::Rename, None) => "same person, new address",
        (ActionKind::Resume, None) => "inactive accounts that are used again",
        (ActionKind::Update, None) => "accounts that differ from Exchange",
        (ActionKind::Suspend, None) => "accounts without an enabled mailbox",
        (ActionKind::Empty, None) => "functional accounts without users that have access",
        (ActionKind::Rename, Some(_)) => "back to the address before the run",
        (ActionKind::Resume, Some(_)) => "accounts that the run suspended or emptied",
        (ActionKind::Update, Some(_)) => "back to the values before the run",
        (ActionKind::Suspend | ActionKind::Empty, Some(_)) => {
            "accounts that the run created or resumed"
        }
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
        Attribute::ObjectId => "mapped object id",
        Attribute::SignInKey => "sign-in key",
        Attribute::Aliases => "aliases",
        Attribute::Delegates => "delegates",
    }
}

pub(crate) fn class(class: Class) -> &'static str {
    findings::of_class(class).words
}

/// The reason for leaving something alone, used with a count.
pub(crate) fn code(code: Code) -> &'static str {
    findings::of_code(code).words
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

/// R27, R41, R47: what was approved with the start of a run; `None` if nothing was.
pub(crate) fn approves(report: &Report) -> Option<String> {
    let codes = report.approves.join(", ");
    let accounts: Vec<&str> = report
        .approves_accounts
        .iter()
        .map(SmtpAddress::as_str)
        .collect();
    let of = match accounts.join(", ") {
        accounts if accounts.is_empty() => accounts,
        accounts => format!(" for {accounts}"),
    };
    (!codes.is_empty()).then(|| format!("{codes}{of}"))
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
        Origin::Unchanged => "already open or due to another change",
    }
}
