//! What can go wrong, one variant for each reaction of the caller (`docs/specs/exchange-online.md`, "11. Notes for the
//! Rust client").

use std::fmt;

use domain::remedies;

/// The last failed exchange behind an error, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Operation and object, in words.
    pub operation: String,
    /// HTTP status; `None` where there was no answer.
    pub status: Option<u16>,
    /// What the service said, shortened.
    pub text: String,
    /// For Microsoft's support.
    pub request_id: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        if let Some(status) = self.status {
            write!(f, "HTTP {status}, ")?;
        }
        write!(f, "{}", self.text)?;
        if let Some(id) = &self.request_id {
            write!(f, " (Request-Id {id})")?;
        }
        Ok(())
    }
}

/// Why Exchange Online gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The client cannot be used as it is set up.
    #[error("{text}; {remedy}")]
    Settings { text: String, remedy: String },
    /// No token, or one that cannot work.
    #[error("cannot sign in to Exchange Online: {text}; {remedy}")]
    Token { text: String, remedy: String },
    /// 401 with a new token, or 403: the identity may not do this.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_PERMISSION)]
    Permission(Failure),
    /// Refused for lack of capacity, to the last attempt.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_THROTTLED)]
    Throttled(Failure),
    /// A fault of the service, to the last attempt.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_TRANSIENT)]
    Transient(Failure),
    /// No answer from the network, to the last attempt; the text says what to check.
    #[error("{0}")]
    Unreachable(Failure),
    /// The service says that there is no such object.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_NOT_FOUND)]
    NotFound(Failure),
    /// More than one object has this name.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_AMBIGUOUS)]
    Ambiguous(Failure),
    /// The list was not read to its end (R1).
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_PAGING)]
    Paging(Failure),
    /// An answer that is not what the API promises.
    #[error("{0}; check that EXO_URL is Exchange Online, and run again")]
    Protocol(Failure),
    /// Refused, and sending it again cannot help.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_REFUSED)]
    Refused(Failure),
}

impl ExchangeError {
    /// Whether nothing else can be read either, so that the run must stop (R32).
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Settings { .. } | Self::Token { .. } => true,
            // A 403 concerns one object, a 401 the identity.
            Self::Permission(failure) => failure.status == Some(401),
            Self::Throttled(_)
            | Self::Transient(_)
            | Self::Unreachable(_)
            | Self::NotFound(_)
            | Self::Ambiguous(_)
            | Self::Paging(_)
            | Self::Protocol(_)
            | Self::Refused(_) => false,
        }
    }

    /// Whether the identity may not do this one thing (R11, R32).
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Permission(failure) if failure.status != Some(401))
    }

    /// Whether the service as a whole may be down: what counts towards the limit of failures in a row (R32).
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Throttled(_) | Self::Transient(_) | Self::Unreachable(_) => true,
            Self::Settings { .. }
            | Self::Token { .. }
            | Self::Permission(_)
            | Self::NotFound(_)
            | Self::Ambiguous(_)
            | Self::Paging(_)
            | Self::Protocol(_)
            | Self::Refused(_) => false,
        }
    }
}
