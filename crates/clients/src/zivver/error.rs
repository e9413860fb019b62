//! Errors of the client, one variant for each reaction of the caller.

use super::refusal::Refusal;
use domain::remedies;

/// A list or a look-up that failed or is incomplete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The list cannot prove that an account is absent: the run ends without a write (R1).
    #[error("target incomplete: the list of {list} {gap}; {}", REMEDY_INCOMPLETE)]
    Incomplete { list: &'static str, gap: Gap },
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    #[error("cannot {operation}: Zivver answered 401; {}", remedies::ZIVVER_KEY)]
    Unauthorized { operation: String },
    #[error(
        "cannot {operation}: Zivver answered 403; {}",
        remedies::ZIVVER_FORBIDDEN
    )]
    Forbidden { operation: String },
    #[error("cannot {operation}: {cause}; {remedy}")]
    Unavailable {
        operation: String,
        cause: String,
        remedy: String,
    },
}

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    #[error("cannot be read: {cause}")]
    Unreadable { cause: String },
    #[error("does not say how many there are")]
    NoTotal,
    #[error("says {total} and then {later}")]
    TotalChanged { total: u64, later: u64 },
    #[error("says {total} but ended after {received}")]
    Short { total: u64, received: u64 },
    #[error("says {total} but has {received}")]
    TooLong { total: u64, received: u64 },
    #[error("has the id {id} twice")]
    Repeated { id: String },
    #[error("has the row {label}, which cannot be understood: {reason}")]
    Rejected { label: String, reason: String },
    #[error(
        "has {rejected} of {rows} rows that cannot be understood, the first of them {label}: {reason}"
    )]
    ManyRejected {
        rejected: usize,
        rows: usize,
        label: String,
        reason: String,
    },
    #[error("has an address twice")]
    Ambiguous,
    #[error("has more than {pages_max} pages")]
    Endless { pages_max: usize },
}

/// A call that failed, of which a write is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Concerns this account only: the run continues (R32).
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// Stops the run at once (R32).
    #[error("cannot {operation}: Zivver answered 401; {}", remedies::ZIVVER_KEY)]
    Unauthorized { operation: String },
    /// Stops the run at once (R32).
    #[error(
        "cannot {operation}: Zivver answered 403; {}",
        remedies::ZIVVER_FORBIDDEN
    )]
    Forbidden { operation: String },
    /// No answer, 5xx or 429 until the last attempt. The write may have been carried out. Counts for
    /// `MAX_CONSECUTIVE_FAILURES`.
    #[error("cannot {operation}: {cause}; {remedy}")]
    Unavailable {
        operation: String,
        cause: String,
        remedy: String,
    },
    /// The run may no longer write (R29, R32, R34, R35), so nothing more was sent. `was_sent` tells whether an earlier
    /// attempt may have been carried out.
    #[error("cannot {operation}: {cause}")]
    Stopped {
        operation: String,
        cause: String,
        was_sent: bool,
    },
}

const REMEDY_INCOMPLETE: &str = "start again, and ask Zivver's support if it stays so";

impl ReadError {
    pub(super) fn stops_the_run(&self) -> bool {
        match self {
            Self::Unauthorized { .. } | Self::Forbidden { .. } => true,
            Self::Incomplete { .. } | Self::Refused(_) | Self::Unavailable { .. } => false,
        }
    }

    /// The error of a read that was part of a write.
    pub(super) fn while_writing(self) -> WriteError {
        match self {
            Self::Incomplete { list, gap } => WriteError::Unavailable {
                operation: format!("look up one of the {list}"),
                cause: gap.to_string(),
                remedy: remedies::ZIVVER_UNAVAILABLE.to_owned(),
            },
            Self::Refused(refusal) => WriteError::Unavailable {
                operation: refusal.operation.clone(),
                cause: format!("Zivver answered {} ({})", refusal.status, refusal.text),
                remedy: remedies::ZIVVER_UNAVAILABLE.to_owned(),
            },
            Self::Unauthorized { operation } => WriteError::Unauthorized { operation },
            Self::Forbidden { operation } => WriteError::Forbidden { operation },
            Self::Unavailable {
                operation,
                cause,
                remedy,
            } => WriteError::Unavailable {
                operation,
                cause,
                remedy,
            },
        }
    }
}

impl From<WriteError> for ReadError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(refusal) => Self::Refused(refusal),
            WriteError::Unauthorized { operation } => Self::Unauthorized { operation },
            WriteError::Forbidden { operation } => Self::Forbidden { operation },
            WriteError::Unavailable {
                operation,
                cause,
                remedy,
            } => Self::Unavailable {
                operation,
                cause,
                remedy,
            },
            WriteError::Stopped {
                operation, cause, ..
            } => Self::Unavailable {
                operation,
                cause,
                remedy: remedies::ZIVVER_UNAVAILABLE.to_owned(),
            },
        }
    }
}
