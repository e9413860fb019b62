//! Refused calls: `application/problem+json` (RFC 9457) with a stable `type`.

use serde_json::{Map, Value};

use super::Response;
use crate::engine::{RunError, history::Last};

/// The kinds of problems. Their `type` is part of the interface, since clients depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    BadBody,
    UnknownMember,
    WaitOutOfRange,
    BadQuery,
    /// R27: approval codes are only for an apply.
    ApprovalInPreview,
    /// R28: `PERFORM_SYNC` does not permit an apply by this caller.
    ApplyForbidden,
    /// R41: the caller does not have the required role.
    RoleMissing,
    /// R41: `FOUR_EYES` requires another person, or a signed-in one.
    FourEyes,
    /// A form of the dashboard with a missing, invalid or expired token.
    FormExpired,
    /// A page of another site made its browser send this request.
    CrossSite,
    UnknownPath,
    UnknownRun,
    /// R39: an address that belongs to no mailbox and no account.
    UnknownAccount,
    /// R46: a setting or value that a preview cannot use.
    BadSetting,
    MethodNotAllowed,
    /// A body in chunks without a length, which the host drops.
    LengthRequired,
    /// A body without the content type of JSON.
    MediaType,
    LockHeld,
    /// R27: the approved changes are no longer planned.
    ApprovalStale,
    /// R28: the run has no plan that can be applied.
    NoPlan,
    /// R42: no run has stored a snapshot yet, or none can be read.
    NoSnapshot,
    /// R34: the run has already ended.
    HasEnded,
    TooLarge,
    Internal,
    /// Exchange or Zivver did not answer, or answered incompletely (R1, R14).
    Service,
    Settings,
    State,
}

impl ProblemKind {
    pub const ALL: [Self; 26] = [
        Self::BadBody,
        Self::UnknownMember,
        Self::WaitOutOfRange,
        Self::BadQuery,
        Self::ApprovalInPreview,
        Self::ApplyForbidden,
        Self::RoleMissing,
        Self::FourEyes,
        Self::CrossSite,
        Self::UnknownPath,
        Self::UnknownRun,
        Self::UnknownAccount,
        Self::BadSetting,
        Self::MethodNotAllowed,
        Self::LengthRequired,
        Self::MediaType,
        Self::LockHeld,
        Self::ApprovalStale,
        Self::NoPlan,
        Self::NoSnapshot,
        Self::HasEnded,
        Self::TooLarge,
        Self::Internal,
        Self::Service,
        Self::Settings,
        Self::State,
    ];

    pub fn status(self) -> u16 {
        match self {
            Self::BadBody
            | Self::UnknownMember
            | Self::WaitOutOfRange
            | Self::BadQuery
            | Self::ApprovalInPreview => 400,
            Self::ApplyForbidden
            | Self::RoleMissing
            | Self::FourEyes
            | Self::FormExpired
            | Self::CrossSite => 403,
            Self::UnknownPath | Self::UnknownRun | Self::NoSnapshot => 404,
            Self::MethodNotAllowed => 405,
            Self::LockHeld | Self::ApprovalStale | Self::NoPlan | Self::HasEnded => 409,
            Self::LengthRequired => 411,
            Self::TooLarge => 413,
            Self::MediaType => 415,
            Self::UnknownAccount | Self::BadSetting => 422,
            Self::Internal => 500,
            Self::Service => 502,
            Self::Settings | Self::State => 503,
        }
    }

    /// The last part of the `type`, and a title with the same meaning.
    fn name_and_title(self) -> (&'static str, &'static str) {
        match self {
            Self::BadBody => ("bad-body", "The body is not understood"),
            Self::UnknownMember => (
                "unknown-member",
                "The body has a member that does not exist",
            ),
            Self::WaitOutOfRange => ("wait-out-of-range", "`wait` is not between 0 and 200"),
            Self::BadQuery => ("bad-query", "A query parameter is not understood"),
            Self::ApprovalInPreview => ("approval-in-preview", "A preview takes no approval"),
            Self::ApplyForbidden => ("apply-forbidden", "The settings forbid to apply"),
            Self::RoleMissing => ("role-missing", "The caller's role does not permit this"),
            Self::FourEyes => ("four-eyes", "Another person must approve this"),
            Self::FormExpired => ("form-expired", "The form is not from an open page"),
            Self::CrossSite => ("cross-site", "Another site may start nothing"),
            Self::UnknownPath => ("unknown-path", "There is nothing at this path"),
            Self::UnknownRun => ("unknown-run", "There is no such run"),
            Self::UnknownAccount => (
                "unknown-account",
                "No mailbox and no account has this address",
            ),
            Self::BadSetting => ("bad-setting", "A preview cannot take this setting or value"),
            Self::MethodNotAllowed => ("method-not-allowed", "This path does not take this method"),
            Self::LengthRequired => ("length-required", "The body came without a length"),
            Self::MediaType => ("media-type", "The body is not sent as application/json"),
            Self::LockHeld => ("lock-held", "Another run holds the lock"),
            Self::ApprovalStale => ("approval-stale", "The approval no longer fits"),
            Self::NoPlan => ("no-plan", "The run has no plan to apply"),
            Self::NoSnapshot => ("no-snapshot", "There is no readable snapshot"),
            Self::HasEnded => ("has-ended", "The run has ended"),
            Self::TooLarge => ("too-large", "The body is too large"),
            Self::Internal => ("internal", "The program failed"),
            Self::Service => ("service", "Exchange or Zivver cannot be read"),
            Self::Settings => ("settings", "The settings cannot be used"),
            Self::State => ("state", "The state cannot be reached"),
        }
    }

    pub fn type_uri(self) -> String {
        format!("urn:cloud-sync:problem:{}", self.name_and_title().0)
    }
}

/// A refused call. `detail` tells the caller what is wrong and how to correct it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    pub kind: ProblemKind,
    pub detail: String,
    /// Extension members (RFC 9457 section 3.2), such as the holder of the lock.
    pub extensions: Map<String, Value>,
    /// The value of `Allow` for a 405 (RFC 9110 section 15.5.6).
    allow: Option<&'static str>,
}

impl Problem {
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            extensions: Map::new(),
            allow: None,
        }
    }

    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(member.to_owned(), value.into());
        self
    }

    pub(super) fn title(&self) -> &'static str {
        self.kind.name_and_title().1
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(ProblemKind::MethodNotAllowed, format!("use {allow} here"))
        }
    }
}

impl From<&RunError> for Problem {
    fn from(error: &RunError) -> Self {
        let kind = match error {
            RunError::Settings(_) | RunError::Setup(_) => ProblemKind::Settings,
            RunError::Forbidden(_) => ProblemKind::ApplyForbidden,
            RunError::LockHeld { .. } => ProblemKind::LockHeld,
            RunError::State(_) | RunError::NoRecord { .. } => ProblemKind::State,
            RunError::FourEyes(..) => ProblemKind::FourEyes,
            RunError::UnknownApproval(_)
            | RunError::ExpiredApproval(_)
            | RunError::NotHeld(_)
            | RunError::NotRejected(_) => ProblemKind::ApprovalStale,
            RunError::ApprovalInPreview => ProblemKind::ApprovalInPreview,
            RunError::UnknownRun(_)
            | RunError::NoRun(Last::Any | Last::Change | Last::Snapshot)
            | RunError::AmbiguousRun { .. } => ProblemKind::UnknownRun,
            RunError::NoPlan(..) => ProblemKind::NoPlan,
            RunError::NoSnapshot(_) | RunError::NoSnapshotOf(_) => ProblemKind::NoSnapshot,
            RunError::HasEnded(_) | RunError::NoRun(Last::Open) => ProblemKind::HasEnded,
            RunError::UnknownAccounts(_) => ProblemKind::UnknownAccount,
            RunError::Source(_)
            | RunError::NoMailboxes { .. }
            | RunError::SourceFilter(_)
            | RunError::Target(_)
            | RunError::TargetDoubt(_) => ProblemKind::Service,
            RunError::StoppedByPerson | RunError::Stopped(_) | RunError::TimeUp(_) => {
                ProblemKind::Internal
            }
        };
        Self::new(kind, error.to_string())
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let (_, title) = problem.kind.name_and_title();
        let status = problem.kind.status();
        let mut members = problem.extensions;
        members.extend([
            ("type".to_owned(), problem.kind.type_uri().into()),
            ("title".to_owned(), title.into()),
            ("status".to_owned(), status.into()),
            ("detail".to_owned(), problem.detail.into()),
        ]);
        let body = Value::Object(members).to_string();
        let response = Self::new(status, "application/problem+json", body);
        match problem.allow {
            Some(allow) => response.with_header("Allow", allow),
            None => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_type_title_status_and_detail() {
        let problem = Problem::new(ProblemKind::LockHeld, "run 0b5e has it since 02:00")
            .with("holder", "0b5e")
            .with("status", "an extension cannot change it");
        let response = Response::from(problem);
        assert_eq!(response.status, 409);
        assert_eq!(response.headers["Content-Type"], "application/problem+json");
        insta::assert_snapshot!(response.body, @r#"{"detail":"run 0b5e has it since 02:00","holder":"0b5e","status":409,"title":"Another run holds the lock","type":"urn:cloud-sync:problem:lock-held"}"#);
    }
}
