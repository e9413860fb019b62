//! What a person can do about each error that a service is known to answer: one table for reports, the command line and
//! the self-test. The texts are those of the vendors (`docs/specs/exchange-online.md`, "4.2 Status table", "4.4
//! Classification" and "5.2 Functions / App Service endpoint", `docs/specs/zivver-scim.md`, "6. Errors and the
//! limiter").

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Exchange,
    /// The endpoint that gives a managed identity its tokens.
    Identity,
    Zivver,
    /// Where state is kept.
    Storage,
}

/// An error that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub service: Service,
    /// `None`: whatever the status is.
    pub status: Option<u16>,
    /// A part of the text, in any case; empty: whatever the text is.
    pub text: &'static str,
    pub remedy: &'static str,
}

pub const EXCHANGE_PERMISSION: &str = "grant the identity the app role Exchange.ManageAsApp and, in Exchange, a role group with \
     View-Only Recipients (or the Entra role Global Reader): the README has the commands, and a new grant can take hours";
pub const EXCHANGE_THROTTLED: &str = "lower EXO_CONCURRENCY, or run at a quieter hour";
pub const EXCHANGE_TRANSIENT: &str = "a fault of the service: try again later";
pub const EXCHANGE_NOT_FOUND: &str = "it was removed or renamed meanwhile: run again";
pub const EXCHANGE_AMBIGUOUS: &str = "give one of the objects another name";
pub const EXCHANGE_PAGING: &str = "the list is incomplete and was not used: run again";
pub const EXCHANGE_REFUSED: &str = "please report this as a defect";
pub const IDENTITY: &str = "check that the function app has an identity, and MANAGED_IDENTITY_CLIENT_ID where it is user-assigned";
pub const ZIVVER_ALIAS_TAKEN: &str = "merge the account that has this address into this one in the Zivver WebApp, or remove the alias in Exchange";
pub const ZIVVER_ALIAS_GUEST: &str =
    "merge the guest with this address into the account in the Zivver WebApp, or with the Synctool";
pub const ZIVVER_DOMAIN: &str =
    "claim the alias's domain in the Zivver WebApp, or take it out of CLAIMED_DOMAINS";
pub const ZIVVER_OUTSIDE: &str = "claim the domain in Zivver; adopt the free account and have its user log in once; or, if the \
     address is an account of the other kind, convert that in the Zivver WebApp";
pub const ZIVVER_ACCOUNT: &str =
    "the account was deleted meanwhile: the next run reads the accounts afresh";
pub const ZIVVER_MEMBER: &str =
    "a member was deleted meanwhile: the next run reads the accounts afresh";
pub const ZIVVER_DIVISION: &str =
    "create the organizational unit in Zivver, or move the account to one that exists";
pub const ZIVVER_CONFLICT: &str = "the address exists in Zivver but is not listed: look for it in the WebApp, also among guests and deleted accounts";
pub const ZIVVER_URL: &str =
    "set ZIVVER_API_URL to the address that Zivver's API has, up to /scim/v2, and check the proxy";
pub const ZIVVER_OTHER: &str =
    "compare the request with Zivver's SCIM documentation and ask Zivver's support about this text";
pub const ZIVVER_KEY: &str = "make a new key in the Zivver WebApp (Organization settings, Integrations, API keys) and set \
     ZIVVER_API_KEY to it; the key of a deleted administrator stops working";
pub const ZIVVER_FORBIDDEN: &str = "let a full administrator make the key in ZIVVER_API_KEY, and check that ZIVVER_API_URL is right";
pub const ZIVVER_UNAVAILABLE: &str = "the next run tries again; check ZIVVER_API_URL, the network and Zivver's status page if it stays so";
pub const STORAGE_UNREACHABLE: &str = "check that the storage is up and reachable from here";
pub const STORAGE_DENIED: &str = "give the identity the role Storage Blob Data Owner, or mend the key or SAS in AzureWebJobsStorage";
pub const STORAGE_FOLDER: &str = "let this user read and write the folder, or set CLOUD_SYNC__STATE to another place, such as file:///path";

const fn known(service: Service, status: u16, text: &'static str, remedy: &'static str) -> Known {
    let status = if status == 0 { None } else { Some(status) };
    Known {
        service,
        status,
        text,
        remedy,
    }
}

use Service::{Exchange, Identity, Storage, Zivver};

/// What the text says counts before the status alone, and earlier lines before later ones.
pub const KNOWN: [Known; 57] = [
    known(
        Exchange,
        0,
        "maximum number of concurrent requests",
        EXCHANGE_THROTTLED,
    ),
    known(
        Exchange,
        0,
        "Expired or Invalid pagination request",
        EXCHANGE_PAGING,
    ),
    known(
        Exchange,
        0,
        "ManagementObjectNotFoundException",
        EXCHANGE_NOT_FOUND,
    ),
    known(Exchange, 0, "couldn't be found on", EXCHANGE_NOT_FOUND),
    known(
        Exchange,
        0,
        "ManagementObjectAmbiguousException",
        EXCHANGE_AMBIGUOUS,
    ),
    known(
        Exchange,
        0,
        "doesn't represent a unique recipient",
        EXCHANGE_AMBIGUOUS,
    ),
    known(
        Exchange,
        0,
        "isn't supported in this scenario",
        EXCHANGE_PERMISSION,
    ),
    known(Exchange, 401, "is not allowed to call", EXCHANGE_PERMISSION),
    known(Exchange, 0, "ServerBusyException", EXCHANGE_TRANSIENT),
    known(Exchange, 0, "TransientException", EXCHANGE_TRANSIENT),
    known(
        Exchange,
        0,
        "BackendCommunicationException",
        EXCHANGE_TRANSIENT,
    ),
    known(
        Exchange,
        0,
        "CmdletProxyNotAvailableFailure",
        EXCHANGE_TRANSIENT,
    ),
    known(Exchange, 0, "CmdletProxyException", EXCHANGE_TRANSIENT),
    known(Exchange, 0, "issue may be transient", EXCHANGE_TRANSIENT),
    known(
        Exchange,
        400,
        "ParameterTransformationException",
        EXCHANGE_REFUSED,
    ),
    known(Exchange, 400, "ParameterBindingException", EXCHANGE_REFUSED),
    known(
        Exchange,
        400,
        "AmbiguousParameterSetException",
        EXCHANGE_REFUSED,
    ),
    known(Exchange, 400, "", EXCHANGE_REFUSED),
    known(Exchange, 401, "", EXCHANGE_PERMISSION),
    known(Exchange, 403, "", EXCHANGE_PERMISSION),
    known(Exchange, 404, "", EXCHANGE_NOT_FOUND),
    known(Exchange, 405, "", EXCHANGE_REFUSED),
    known(Exchange, 408, "", EXCHANGE_TRANSIENT),
    known(Exchange, 429, "", EXCHANGE_THROTTLED),
    known(Exchange, 500, "", EXCHANGE_TRANSIENT),
    known(Exchange, 502, "", EXCHANGE_TRANSIENT),
    known(Exchange, 503, "", EXCHANGE_TRANSIENT),
    known(Exchange, 504, "", EXCHANGE_TRANSIENT),
    known(Identity, 400, "", IDENTITY),
    known(Identity, 401, "", IDENTITY),
    known(Identity, 429, "", IDENTITY),
    known(Identity, 500, "", IDENTITY),
    known(Zivver, 0, "Alias is already taken for", ZIVVER_ALIAS_TAKEN),
    known(Zivver, 0, "Alias is a guest", ZIVVER_ALIAS_GUEST),
    known(Zivver, 0, "Domain Not Owned", ZIVVER_DOMAIN),
    known(Zivver, 0, "outside the organization", ZIVVER_OUTSIDE),
    known(Zivver, 0, "Unknown account with uuid", ZIVVER_ACCOUNT),
    known(Zivver, 0, "Unknown in set", ZIVVER_MEMBER),
    known(Zivver, 0, "Member Not Found", ZIVVER_MEMBER),
    known(Zivver, 0, "Invalid division", ZIVVER_DIVISION),
    known(Zivver, 401, "", ZIVVER_KEY),
    known(Zivver, 403, "", ZIVVER_FORBIDDEN),
    known(Zivver, 404, "", ZIVVER_ACCOUNT),
    known(Zivver, 406, "", ZIVVER_OTHER),
    known(Zivver, 409, "", ZIVVER_CONFLICT),
    known(Zivver, 415, "", ZIVVER_OTHER),
    known(Zivver, 429, "", ZIVVER_UNAVAILABLE),
    known(Zivver, 500, "", ZIVVER_UNAVAILABLE),
    known(Zivver, 502, "", ZIVVER_UNAVAILABLE),
    known(Zivver, 503, "", ZIVVER_UNAVAILABLE),
    known(Zivver, 504, "", ZIVVER_UNAVAILABLE),
    known(Storage, 0, "Permission denied", STORAGE_FOLDER),
    known(Storage, 0, "Read-only file system", STORAGE_FOLDER),
    known(Storage, 401, "", STORAGE_DENIED),
    known(Storage, 403, "", STORAGE_DENIED),
    known(Storage, 500, "", STORAGE_UNREACHABLE),
    known(Storage, 503, "", STORAGE_UNREACHABLE),
];

/// The line of the table for an answer.
pub fn of(service: Service, status: Option<u16>, text: &str) -> Option<&'static Known> {
    let folded = text.to_lowercase().replace('’', "'");
    let lines = || KNOWN.iter().filter(move |known| known.service == service);
    lines()
        .filter(|known| known.status.is_none() || known.status == status)
        .filter(|known| !known.text.is_empty())
        .find(|known| folded.contains(&known.text.to_lowercase()))
        .or_else(|| lines().find(|known| known.text.is_empty() && known.status == status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_counts_before_the_status() {
        let remedy = |status, text: &str| of(Exchange, Some(status), text).unwrap().remedy;
        assert_eq!(
            remedy(400, "ADTransientException: busy"),
            EXCHANGE_TRANSIENT
        );
        assert_eq!(
            remedy(400, "object couldn’t be found on 'dc01'"),
            EXCHANGE_NOT_FOUND
        );
        assert_eq!(remedy(400, "something new"), EXCHANGE_REFUSED);
        // Some texts are known of one status only.
        assert_eq!(remedy(401, "is not allowed to call"), EXCHANGE_PERMISSION);
        assert_eq!(remedy(400, "is not allowed to call"), EXCHANGE_REFUSED);
        assert_eq!(of(Exchange, Some(418), "tea"), None);
        assert_eq!(of(Zivver, Some(409), "").unwrap().remedy, ZIVVER_CONFLICT);
    }
}
