//! Errors of the client, one variant for each reaction of the caller (`docs/specs/exchange-online.md`, "11. Notes for
//! the Rust client").

use std::fmt;

use domain::remedies;

/// The last failed request behind an error, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Operation and object, in words.
    pub operation: String,
    /// HTTP status; `None` if there was no answer.
    pub status: Option<u16>,
    /// The text of the service, shortened.
    pub text: String,
    /// Lets Microsoft's support find the request.
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
    /// The configuration of the client is invalid.
    #[error("{text}; {remedy}")]
    Settings { text: String, remedy: String },
    /// There is no token, or it cannot be used.
    #[error("cannot sign in to Exchange Online: {text}; {remedy}")]
    Token { text: String, remedy: String },
    /// 401 with a new token, or 403: the identity lacks a permission.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_PERMISSION)]
    Permission(Failure),
    /// Every attempt was throttled.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_THROTTLED)]
    Throttled(Failure),
    /// Every attempt ended in a fault of the service.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_TRANSIENT)]
    Transient(Failure),
    /// Every attempt failed in the network; the text says what to check.
    #[error("{0}")]
    Unreachable(Failure),
    /// The service says that the object does not exist.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_NOT_FOUND)]
    NotFound(Failure),
    /// More than one object matches the name.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_AMBIGUOUS)]
    Ambiguous(Failure),
    /// The list could not be read completely (R1).
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_PAGING)]
    Paging(Failure),
    /// The answer does not have the form that the API promises.
    #[error("{0}; check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again")]
    Protocol(Failure),
    /// Refused; a retry cannot help.
    #[error("{0}; {remedy}", remedy = remedies::EXCHANGE_REFUSED)]
    Refused(Failure),
}

impl ExchangeError {
    /// Whether every other read would fail too, so that the run must stop (R32).
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Settings { .. } | Self::Token { .. } => true,
            // A 403 concerns one object, a 401 the identity as a whole.
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

    /// Whether the same request fails in some minutes too, until a person has changed something.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Settings { .. }
            | Self::Permission(_)
            | Self::NotFound(_)
            | Self::Ambiguous(_)
            | Self::Refused(_) => true,
            // The identity endpoint may only be away.
            Self::Token { .. }
            | Self::Throttled(_)
            | Self::Transient(_)
            | Self::Unreachable(_)
            | Self::Paging(_)
            | Self::Protocol(_) => false,
        }
    }

    /// Whether the identity lacks the permission for this request (R11, R32).
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Permission(failure) if failure.status != Some(401))
    }

    /// Whether the whole service may be unavailable. Such failures count for the limit of failures in a row (R32).
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
