//! Errors of the state. Each is one line with operation, object, cause and remedy.

use std::io;

use http_body_util::LengthLimitError;
use object_store::client::HttpError;
use thiserror::Error;

use super::lock::Loss;
use crate::managed_identity::NoTokenInAnswer;

/// In the place of a state in Azurite, which has this account only unless told otherwise.
pub(super) const EMULATOR: &str = "storage account devstoreaccount1 of Azurite at ";

/// One variant for each remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// A setting for the place of the state is invalid.
    #[error("{setting}: {problem}")]
    Setting { setting: String, problem: String },
    /// The store did not answer, or gave an unexpected answer.
    #[error(
        "cannot {operation} {object} in {place}: {cause}; {remedy}",
        remedy = reachable(place, cause)
    )]
    Unreachable {
        operation: &'static str,
        object: String,
        place: String,
        cause: String,
    },
    /// The store denied access (401, 403).
    #[error(
        "not allowed to {operation} {object} in {place}: {cause}; give the identity the role Storage Blob Data Owner, \
         or correct the key or SAS in AzureWebJobsStorage"
    )]
    Denied {
        operation: &'static str,
        object: String,
        place: String,
        cause: String,
    },
    /// The file system denied access.
    #[error(
        "not allowed to {operation} {object} in {place}: {cause}; let this user read and write the folder, or set \
         CLOUD_SYNC__STATE to another place, such as file:///path"
    )]
    Folder {
        operation: &'static str,
        object: String,
        place: String,
        cause: String,
    },
    /// The local folder cannot be opened, until a person has changed something.
    #[error(
        "cannot use {place} for the state: {cause}; set CLOUD_SYNC__STATE to a folder that this user may create, read and \
         write, such as file:///path"
    )]
    NoFolder { place: String, cause: String },
    /// The identity service issued no token for the store.
    #[error(
        "no token for {place}: {cause}; check that the identity is assigned to the app (AzureWebJobsStorage__clientId when it is \
         user-assigned), or sign in with az login"
    )]
    NoToken { place: String, cause: String },
    /// The identity endpoint answered, but not with a token.
    #[error("no token for {place}: {cause}; {remedy}", remedy = NoTokenInAnswer::REMEDY)]
    TokenUnread { place: String, cause: String },
    /// Truncated, foreign or missing in its sequence. Never replaced by a default, since the content may decide who has
    /// access.
    #[error(
        "{object} in {place} is unreadable: {problem}; restore an earlier version of it, or move it away to continue without it{loss}",
        loss = without(object)
    )]
    Unreadable {
        object: String,
        place: String,
        problem: String,
    },
    #[error(
        "{object} in {place} has layout {found}, this program reads up to {known}; deploy the version that wrote it, or a newer one"
    )]
    Newer {
        object: String,
        place: String,
        found: u32,
        known: u32,
    },
    /// Another process wrote the object since it was read. Nothing was overwritten.
    #[error(
        "{object} in {place} was changed by another process; nothing was overwritten, start the run again"
    )]
    Conflict { object: String, place: String },
    /// R29: this run may never write again.
    #[error("the lock on {place} is lost: {loss}; this run stops writing, start another")]
    LockLost { place: String, loss: Loss },
}

fn reachable(place: &str, cause: &str) -> &'static str {
    if place.contains(EMULATOR) && cause.contains("refused") {
        "start Azurite, or leave AzureWebJobsStorage empty"
    } else {
        "check that the storage is up and reachable from here"
    }
}

/// What the program cannot do without the object.
fn without(object: &str) -> &'static str {
    if object == super::MEMORY {
        " (accounts without ExternalAccountId are then recognised by their address alone: look at a preview before you apply)"
    } else {
        ""
    }
}

impl StateError {
    /// Whether the same operation fails in some minutes too, until a person has changed something.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Setting { .. }
            | Self::Denied { .. }
            | Self::Folder { .. }
            | Self::NoFolder { .. }
            | Self::Newer { .. } => true,
            Self::Unreachable { .. }
            | Self::NoToken { .. }
            | Self::TokenUnread { .. }
            | Self::Unreadable { .. }
            | Self::Conflict { .. }
            | Self::LockLost { .. } => false,
        }
    }

    /// Why the folder of the state was not opened.
    pub(super) fn from_folder(place: &str, error: &io::Error) -> Self {
        use io::ErrorKind::{
            AlreadyExists, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
        };
        let place = place.to_owned();
        let kind = error.kind();
        let cause = if kind == AlreadyExists {
            "it is a file".to_owned()
        } else if kind == NotADirectory {
            "a part of its path is a file".to_owned()
        } else {
            error.to_string()
        };
        if matches!(
            kind,
            AlreadyExists | NotADirectory | NotFound | PermissionDenied | ReadOnlyFilesystem
        ) {
            Self::NoFolder { place, cause }
        } else {
            Self::Unreachable {
                operation: "open",
                object: "the state".into(),
                place,
                cause,
            }
        }
    }

    /// Classifies an error of the store.
    pub(super) fn from_store(
        operation: &'static str,
        object: &str,
        place: &str,
        error: &object_store::Error,
    ) -> Self {
        let (operation, object) = if find::<CreateFailed>(error).is_some() {
            ("create", "the container (unless you do)")
        } else {
            (operation, object)
        };
        let (object, place) = (object.to_owned(), place.to_owned());
        let cause = one_line(&innermost(error));
        if is_permission_error(error) {
            Self::Folder {
                operation,
                object,
                place,
                cause,
            }
        } else if NoTokenInAnswer::within(error).is_some() {
            Self::TokenUnread { place, cause }
        } else if is_token_error(error) {
            Self::NoToken { place, cause }
        } else if matches!(status(error), Some(401 | 403)) {
            Self::Denied {
                operation,
                object,
                place,
                cause,
            }
        } else {
            Self::Unreachable {
                operation,
                object,
                place,
                cause,
            }
        }
    }
}

/// The text that `object_store` puts before an unsuccessful answer.
pub(super) const STATUS_PREFIX: &str = "Server returned non-2xx status code: ";

/// The status of the answer, if there was one. For listings and credentials only the text contains it.
pub(super) fn status(error: &object_store::Error) -> Option<u16> {
    innermost(error)
        .strip_prefix(STATUS_PREFIX)?
        .get(..3)?
        .parse()
        .ok()
}

/// The container is missing, and cannot be created.
#[derive(Debug, Error)]
#[error("the container cannot be created")]
pub(super) struct CreateFailed(#[source] pub(super) object_store::Error);

/// Whether the store is unavailable: busy, restarting or not reachable. The same request may succeed soon.
pub(super) fn is_outage(error: &object_store::Error) -> bool {
    match status(error) {
        Some(status) => matches!(status, 408 | 429 | 500..=599),
        None => {
            find::<HttpError>(error).is_some()
                && find::<LengthLimitError>(error).is_none()
                && NoTokenInAnswer::within(error).is_none()
        }
    }
}

/// Whether nothing listens at the address of the store.
pub(super) fn is_refused(error: &object_store::Error) -> bool {
    find::<io::Error>(error).is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
}

/// The first error of this type among `error` and its sources.
fn find<T: std::error::Error + 'static>(error: &object_store::Error) -> Option<&T> {
    let first: &(dyn std::error::Error + 'static) = error;
    let mut chain = std::iter::successors(Some(first), |error| error.source());
    chain.find_map(|error| error.downcast_ref())
}

/// Whether this user lacks the permission for a local file.
fn is_permission_error(error: &object_store::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    find::<io::Error>(error)
        .is_some_and(|io| matches!(io.kind(), PermissionDenied | ReadOnlyFilesystem))
}

/// Only the text of the error distinguishes a refused token request from a refused blob request.
fn is_token_error(error: &object_store::Error) -> bool {
    let text = error.to_string();
    [
        "performing token request",
        "getting token response",
        "az account get-access-token",
        "azure cli response",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

/// The innermost source: the outer errors repeat it, with the URL and the number of attempts.
fn innermost(error: &object_store::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// `403 Forbidden: AuthorizationFailure: This request is not authorized.` from the error of `object_store`, which
/// contains Azure's XML body.
fn one_line(text: &str) -> String {
    const LONGEST_CHARS: usize = 300;
    let text = text.strip_prefix(STATUS_PREFIX).unwrap_or(text);
    let between = |open: &str, close: &str| {
        let (_, rest) = text.split_once(open)?;
        let (inner, _) = rest.split_once(close)?;
        inner.lines().next().map(str::trim)
    };
    let status = text
        .split_once(": <")
        .or_else(|| text.split_once(": \u{feff}<"))
        .map_or(text, |(status, _)| status);
    let parts = [
        Some(status),
        between("<Code>", "</Code>"),
        between("<Message>", "</Message>"),
    ];
    let line = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches([':', ' ']);
    line.chars().take(LONGEST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_azure_becomes_one_line() {
        let body = "Server returned non-2xx status code: 403 Forbidden: \u{feff}<?xml version=\"1.0\"?><Error><Code>AuthorizationFailure\
                    </Code><Message>This request is not authorized.\nRequestId:1\nTime:2</Message></Error>";
        assert_eq!(
            one_line(body),
            "403 Forbidden: AuthorizationFailure: This request is not authorized."
        );
        assert_eq!(
            one_line("Server returned non-2xx status code: 503 Service Unavailable: "),
            "503 Service Unavailable"
        );
        assert_eq!(
            one_line("Connection refused (os error 111)"),
            "Connection refused (os error 111)"
        );
    }
}
