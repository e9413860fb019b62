//! Errors of a run that did not begin or that failed: one line each, with cause and remedy.

use super::history::Last;
use crate::{
    domain::{
        actor::SecondPerson,
        address::SmtpAddress,
        mode::WritesForbidden,
        named::{UnknownAddress, in_words},
        seen::TargetDoubt,
    },
    exchange::ExchangeError,
    settings::SettingsError,
    state::{RunId, StateError},
    zivver::{CallError, ReadError},
};

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Forbidden(#[from] WritesForbidden),
    #[error("{0}")]
    Setup(String),
    /// R29
    #[error(
        "another run writes already: {holder}; wait for it to end, or start again after it (R29)"
    )]
    LockHeld { holder: String },
    #[error("{0}")]
    State(#[from] StateError),
    /// R1
    #[error("source incomplete: {0} (R1)")]
    Source(#[from] ExchangeError),
    /// R1
    #[error(
        "source incomplete: Exchange listed {read} mailboxes, none of them a user or shared mailbox; check the identity's role and the tenant (R1)"
    )]
    NoMailboxes { read: usize },
    /// R14
    #[error(
        "source incomplete: {0}; correct the group or the setting CLOUD_SYNC__SOURCE_FILTER (R14)"
    )]
    SourceFilter(String),
    /// R1
    #[error("{} (R1)", target(.0))]
    Target(#[from] ReadError),
    /// R2
    #[error(transparent)]
    TargetDoubt(#[from] TargetDoubt),
    /// R27
    #[error(
        "no held set has the code {0:?}; start a preview, or for the set of an undo `cloud-sync undo RUN`: it shows the codes of what is held now (R27)"
    )]
    UnknownApproval(String),
    /// R27
    #[error(
        "the code {0:?} has expired: codes serve for 24 hours, and as long as the last complete run holds the same set; start a preview, or for the set of an undo `cloud-sync undo RUN`: it shows the codes of what is held now, and they serve again (R27)"
    )]
    ExpiredApproval(String),
    /// R27, R37
    #[error("{}", not_of_this_run(code, undone.as_deref(), second_person.as_deref()))]
    OtherApproval {
        code: String,
        /// The run whose undo has shown it.
        undone: Option<String>,
        /// R41: with `FOUR_EYES`, who can approve it, and how.
        second_person: Option<String>,
    },
    /// R27
    #[error(
        "a preview applies nothing, so it takes no approval codes; start the run as apply (R27)"
    )]
    ApprovalInPreview,
    /// R41
    #[error("the code {0:?} is not approved, since CLOUD_SYNC__FOUR_EYES is true: {1} (R41)")]
    FourEyes(String, SecondPerson),
    /// R47
    #[error(
        "no held change with these codes belongs to {account}{}; the report of the last run lists the changes of each code (R47)",
        instead(other.as_ref())
    )]
    NotHeld {
        account: SmtpAddress,
        /// The account of a held change that names this one.
        other: Option<SmtpAddress>,
    },
    /// R47
    #[error(
        "nothing{} is rejected with the code {code:?}; `cloud-sync reject` lists what is (R47)",
        of_accounts(accounts)
    )]
    NotRejected {
        code: String,
        /// The accounts that were named.
        accounts: Vec<SmtpAddress>,
    },
    /// R28
    #[error("run {0} has no plan to apply: {1}; start a preview, and apply that (R28)")]
    NoPlan(String, &'static str),
    /// R39
    #[error("{}", in_words(.0))]
    UnknownAccounts(Vec<UnknownAddress>),
    #[error("no run has the id {0:?}; `cloud-sync runs` lists them")]
    UnknownRun(String),
    /// R37
    #[error(
        "cannot undo run {run}: the record of what it changed is not complete: {cause}; restore it from a backup, or take the \
         changes back by hand: `cloud-sync runs {run}` lists them (R37)"
    )]
    NoRecord { run: RunId, cause: String },
    #[error("{}", no_run(*.0))]
    NoRun(Last),
    #[error("{}", ambiguous(.name, .newest, *.count))]
    AmbiguousRun {
        name: String,
        /// The newest of the runs whose ids begin with the name.
        newest: Vec<RunId>,
        count: usize,
    },
    /// R42
    #[error("{}", no_snapshot(.0))]
    NoSnapshot(Vec<String>),
    /// R42
    #[error(
        "run {0} has no snapshot: only a full run for all accounts that ended stores one; no quick run (R45), no undo (R37), no \
         preview under other settings (R46), and no run that left something for later (R28, R47)"
    )]
    NoSnapshotOf(RunId),
    /// R34
    #[error("a person has stopped the run")]
    StoppedByPerson,
    /// R34
    #[error("run {0} has ended: there is nothing to stop")]
    HasEnded(RunId),
    /// The run stopped before its end (R32, R34).
    #[error("{0}")]
    Stopped(String),
    /// R34
    #[error("{0}")]
    TimeUp(&'static str),
}

impl RunError {
    /// Whether the error is that Exchange or Zivver cannot be read.
    pub fn is_of_a_service(&self) -> bool {
        matches!(
            self,
            Self::Source(_)
                | Self::NoMailboxes { .. }
                | Self::SourceFilter(_)
                | Self::Target(_)
                | Self::TargetDoubt(_)
        )
    }

    /// Whether the same run fails again in some minutes, until a person changes settings, keys or roles.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Forbidden(_) | Self::Setup(_) => true,
            Self::State(error) => error.is_final(),
            Self::Source(error) => error.is_final(),
            Self::Target(error) => match error {
                ReadError::Failed(CallError::Unavailable { .. }) | ReadError::Incomplete { .. } => {
                    false
                }
                ReadError::Failed(_) => true,
            },
            // The next run starts without the codes, accounts or run ids of this one.
            Self::UnknownApproval(_)
            | Self::ExpiredApproval(_)
            | Self::OtherApproval { .. }
            | Self::ApprovalInPreview
            | Self::FourEyes(..)
            | Self::NotHeld { .. }
            | Self::NotRejected { .. }
            | Self::NoPlan(..)
            | Self::UnknownAccounts(_)
            | Self::UnknownRun(_)
            | Self::NoRun(_)
            | Self::NoSnapshot(_)
            | Self::NoSnapshotOf(_)
            | Self::NoRecord { .. }
            | Self::AmbiguousRun { .. }
            | Self::LockHeld { .. }
            | Self::NoMailboxes { .. }
            | Self::SourceFilter(_)
            | Self::TargetDoubt(_)
            | Self::StoppedByPerson
            | Self::HasEnded(_)
            | Self::Stopped(_)
            | Self::TimeUp(_) => false,
        }
    }
}

fn target(error: &ReadError) -> String {
    match error {
        ReadError::Incomplete { .. } => error.to_string(), // begins with `target incomplete` itself
        ReadError::Failed(error) => format!("target incomplete: {error}"),
    }
}

/// `unreadable` has a line for each snapshot that there is.
fn no_snapshot(unreadable: &[String]) -> String {
    let remedy = "a full run for all accounts stores one, such as a preview from the dashboard or `cloud-sync preview` (R42)";
    if unreadable.is_empty() {
        format!("no run has stored a snapshot yet: {remedy}")
    } else {
        format!(
            "no snapshot can be read: {}; {remedy}",
            unreadable.join("; ")
        )
    }
}

fn not_of_this_run(code: &str, undone: Option<&str>, second_person: Option<&str>) -> String {
    let whose = match (undone, second_person) {
        (Some(run), Some(how)) => {
            format!("the undo of run {run} has shown it; to approve it: {how}")
        }
        (Some(run), None) => format!(
            "the undo of run {run} has shown it, which is approved with cloud-sync undo {run} --apply --approve {code}"
        ),
        (None, _) => {
            "no undo has shown it; cloud-sync undo RUN shows the codes of an undo".to_owned()
        }
    };
    format!("the code {code:?} is not of this run: {whose}; nothing was written (R27)")
}

/// The account of the held change that names an address.
fn instead(account: Option<&SmtpAddress>) -> String {
    account.map_or_else(String::new, |account| {
        format!(", but one of the account {account} names it: give {account}")
    })
}

/// ` of anna@corp.example`
fn of_accounts(accounts: &[SmtpAddress]) -> String {
    let names: Vec<&str> = accounts.iter().map(SmtpAddress::as_str).collect();
    let of = if names.is_empty() { "" } else { " of " };
    format!("{of}{}", names.join(", "))
}

fn no_run(last: Last) -> &'static str {
    match last {
        Last::Any => "there is no run yet; `cloud-sync preview` starts one",
        Last::Snapshot => {
            "no full run for all accounts has ended yet; `cloud-sync preview` starts one (R42)"
        }
        Last::Open => "no run is queued or running: there is nothing to stop",
        Last::Change => "no apply has changed anything yet, so there is nothing to undo",
    }
}

fn ambiguous(name: &str, newest: &[RunId], count: usize) -> String {
    let candidates: Vec<&str> = newest.iter().map(RunId::as_str).collect();
    let more = match count - newest.len() {
        0 => String::new(),
        more => format!(" and {more} earlier ones"),
    };
    format!(
        "{count} runs have an id that begins with {name:?}: {}{more}; write more of the id",
        candidates.join(", ")
    )
}
