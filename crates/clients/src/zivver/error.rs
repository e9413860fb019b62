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
    Failed(#[from] CallError),
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

/// Zivver did not carry out a call, or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Of a write: concerns this account only, and the run continues (R32).
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
    /// No answer, 5xx or 429 until the last attempt. A write may have been carried out. Counts for
    /// `MAX_CONSECUTIVE_FAILURES`.
    #[error("cannot {operation}: {cause}; {remedy}")]
    Unavailable {
        operation: String,
        cause: String,
        remedy: String,
    },
}

impl CallError {
    pub(super) fn unavailable(operation: String, cause: String) -> Self {
        Self::Unavailable {
            operation,
            cause,
            remedy: remedies::ZIVVER_UNAVAILABLE.to_owned(),
        }
    }
}

/// A call that failed, of which a write is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Failed(#[from] CallError),
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
            Self::Failed(CallError::Unauthorized { .. } | CallError::Forbidden { .. }) => true,
            Self::Failed(CallError::Refused(_) | CallError::Unavailable { .. })
            | Self::Incomplete { .. } => false,
        }
    }

    /// The error of a read that was part of a write.
    pub(super) fn while_writing(self) -> WriteError {
        let error = match self {
            Self::Incomplete { list, gap } => {
                CallError::unavailable(format!("look up one of the {list}"), gap.to_string())
            }
            Self::Failed(CallError::Refused(refusal)) => {
                let cause = format!("Zivver answered {} ({})", refusal.status, refusal.text);
                CallError::unavailable(refusal.operation, cause)
            }
            Self::Failed(error) => error,
        };
        error.into()
    }
}

impl From<WriteError> for ReadError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Failed(error) => Self::Failed(error),
            WriteError::Stopped {
                operation, cause, ..
            } => CallError::unavailable(operation, cause).into(),
        }
    }
}
