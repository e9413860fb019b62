//! Refused calls: `application/problem+json` (RFC 9457) with a stable `type`.

use serde_json::{Map, Value};

use super::Response;
use crate::engine::{RunError, history::Last};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:literal $name:literal $title:literal,)+) => {
        /// The kinds of problems. Their `type` is part of the interface, since clients depend on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemKind { $($(#[$doc])* $kind,)+ }

        impl ProblemKind {
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            pub fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)+ }
            }

            /// The last part of the `type`, and a title with the same meaning.
            fn name_and_title(self) -> (&'static str, &'static str) {
                match self { $(Self::$kind => ($name, $title),)+ }
            }
        }
    };
}

kinds! {
    BadBody = 400 "bad-body" "The body is not understood",
    UnknownMember = 400 "unknown-member" "The body has a member that does not exist",
    WaitOutOfRange = 400 "wait-out-of-range" "`wait` is not between 0 and 200",
    BadQuery = 400 "bad-query" "A query parameter is not understood",
    /// R27: approval codes are only for an apply.
    ApprovalInPreview = 400 "approval-in-preview" "A preview takes no approval",
    /// R28: `PERFORM_SYNC` does not permit an apply by this caller.
    ApplyForbidden = 403 "apply-forbidden" "The settings forbid to apply",
    /// R41: the caller does not have the required role.
    RoleMissing = 403 "role-missing" "The caller's role does not permit this",
    /// R41: `FOUR_EYES` requires another person, or a signed-in one.
    FourEyes = 403 "four-eyes" "Another person must approve this",
    /// A form of the dashboard with a missing, invalid or expired token.
    FormExpired = 403 "form-expired" "The form is not from an open page",
    /// A page of another site made its browser send this request.
    CrossSite = 403 "cross-site" "Another site may start nothing",
    UnknownPath = 404 "unknown-path" "There is nothing at this path",
    UnknownRun = 404 "unknown-run" "There is no such run",
    /// R39: an address that belongs to no mailbox and no account.
    UnknownAccount = 422 "unknown-account" "No mailbox and no account has this address",
    /// R46: a setting or value that a preview cannot use.
    BadSetting = 422 "bad-setting" "A preview cannot take this setting or value",
    MethodNotAllowed = 405 "method-not-allowed" "This path does not take this method",
    /// A body in chunks without a length, which the host drops.
    LengthRequired = 411 "length-required" "The body came without a length",
    /// A body without the content type of JSON.
    MediaType = 415 "media-type" "The body is not sent as application/json",
    LockHeld = 409 "lock-held" "Another run holds the lock",
    /// R27: the approved changes are no longer planned.
    ApprovalStale = 409 "approval-stale" "The approval no longer fits",
    /// R28: the run has no plan that can be applied.
    NoPlan = 409 "no-plan" "The run has no plan to apply",
    /// R42: no run has stored a snapshot yet, or none can be read.
    NoSnapshot = 404 "no-snapshot" "There is no readable snapshot",
    /// R34: the run has already ended.
    HasEnded = 409 "has-ended" "The run has ended",
    TooLarge = 413 "too-large" "The body is too large",
    Internal = 500 "internal" "The program failed",
    /// Exchange or Zivver did not answer, or answered incompletely (R1, R14).
    Service = 502 "service" "Exchange or Zivver cannot be read",
    Settings = 503 "settings" "The settings cannot be used",
    State = 503 "state" "The state cannot be reached",
}

impl ProblemKind {
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

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        let kind = match &error {
            RunError::Settings(_) | RunError::Setup(_) => ProblemKind::Settings,
            RunError::Forbidden(_) => ProblemKind::ApplyForbidden,
            RunError::LockHeld { .. } => ProblemKind::LockHeld,
            RunError::State(_) | RunError::NoRecord { .. } => ProblemKind::State,
            RunError::FourEyes(..) => ProblemKind::FourEyes,
            RunError::UnknownApproval(_)
            | RunError::ExpiredApproval(_)
            | RunError::OtherApproval { .. }
            | RunError::NotHeld { .. }
            | RunError::NotRejected { .. } => ProblemKind::ApprovalStale,
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
