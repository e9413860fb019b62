//! Faults that are specific to Exchange, for [`Control::inject`].
//!
//! [`Control::inject`]: crate::control::Control::inject

use serde_json::json;

use super::reply::Exception;
use crate::control::{Fault, FaultKind};

const SERVER_BUSY: &str = "Microsoft.Exchange.Data.Storage.ServerBusyException";
pub(super) const TOO_MANY_CONCURRENT: &str = "You have reached the maximum number of concurrent requests per tenant. Please wait and try again after some time.";

/// A transient exception of a cmdlet, which often has status 400.
pub fn transient(status: u16) -> Fault {
    let exception = Exception::executing(
        status,
        SERVER_BUSY,
        "The server is too busy. The issue may be transient.",
    );
    json_status(status, &exception.body(false).to_string())
}

/// Too many concurrent requests of the tenant, expressed by text, with any status.
pub fn concurrency(status: u16) -> Fault {
    let exception = Exception::executing(status, SERVER_BUSY, TOO_MANY_CONCURRENT);
    json_status(status, &exception.body(false).to_string())
}

/// The next request with a link fails because the link has expired.
pub fn expired_page() -> Fault {
    json_status(400, &Exception::paging().body(false).to_string()).path("skiptoken")
}

/// The next request for a page after the first fails with this status.
pub fn page_fails(status: u16) -> Fault {
    let error = json!({"error": {"code": "NotFound", "message": "An server side error occured."}});
    json_status(status, &error.to_string()).path("skiptoken")
}

/// The next page after the first is a 200 without a body.
pub fn page_empty() -> Fault {
    Fault::once(FaultKind::EmptyOk).path("skiptoken")
}

/// A temporary refusal. `retry_after` is the text of the header.
pub fn throttled(status: u16, retry_after: Option<&str>) -> Fault {
    let headers = retry_after.map(|value| ("Retry-After".to_owned(), value.to_owned()));
    Fault::once(FaultKind::Status {
        status,
        headers: headers.into_iter().collect(),
        body: String::new(),
    })
}

/// A regional redirect. Whether a client may follow depends on the location.
pub fn redirect(status: u16, location: &str) -> Fault {
    Fault::once(FaultKind::Status {
        status,
        headers: vec![("Location".to_owned(), location.to_owned())],
        body: String::new(),
    })
}

/// A claims challenge of continuous access evaluation.
pub fn claims_challenge() -> Fault {
    Fault::once(FaultKind::Status {
        status: 401,
        headers: vec![(
            "WWW-Authenticate".to_owned(),
            "Bearer error=\"insufficient_claims\", claims=\"eyJhY2Nlc3NfdG9rZW4iOnt9fQ==\""
                .to_owned(),
        )],
        body: String::new(),
    })
}

fn json_status(status: u16, body: &str) -> Fault {
    Fault::once(FaultKind::Status {
        status,
        headers: vec![(
            "Content-Type".to_owned(),
            "application/json; charset=utf-8".to_owned(),
        )],
        body: body.to_owned(),
    })
}
