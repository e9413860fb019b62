//! What a person can do about the errors that the services are known to answer. The texts are those of the vendors
//! (`docs/specs/exchange-online.md`, "4.2 Status table", "4.4 Classification" and "5.2 Functions / App Service endpoint",
//! `docs/specs/zivver-scim.md`, "6. Errors and the limiter").

pub const EXCHANGE_PERMISSION: &str = "the identity needs the app role Exchange.ManageAsApp and, in Exchange, a role group with \
     View-Only Recipients: grant them as in docs/deploy.md, step 4; a new grant can take hours";
pub const EXCHANGE_GRANT: &str = "run infra/grant-exchange.sh --resource-group GROUP --app NAME, or in PowerShell \
     infra/grant-exchange.ps1 -PrincipalId ID (docs/deploy.md, step 4); a grant shows only in a new token";
pub const EXCHANGE_THROTTLED: &str = "lower CLOUD_SYNC__EXO_CONCURRENCY, or run at a quieter hour";
pub const EXCHANGE_TRANSIENT: &str = "a fault of the service: try again later";
pub const EXCHANGE_NOT_FOUND: &str = "it was removed or renamed meanwhile: run again";
pub const EXCHANGE_AMBIGUOUS: &str = "give one of the objects another name";
pub const EXCHANGE_PAGING: &str = "the list is incomplete and was not used: run again";
pub const EXCHANGE_REFUSED: &str = "please report this as a defect";
pub const IDENTITY: &str = "check that the function app has an identity, and CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID where it is user-assigned";
pub const ZIVVER_ALIAS_TAKEN: &str = "merge the account that has this address into this one in the Zivver WebApp, or remove the alias in Exchange";
pub const ZIVVER_ALIAS_GUEST: &str =
    "merge the guest with this address into the account in the Zivver WebApp, or with the Synctool";
pub const ZIVVER_DOMAIN: &str =
    "claim the alias's domain in the Zivver WebApp, or remove it from CLOUD_SYNC__CLAIMED_DOMAINS";
pub const ZIVVER_OUTSIDE: &str = "claim the domain in Zivver; adopt the free account and have its user log in once; or, if the \
     address is an account of the other kind, convert that in the Zivver WebApp";
pub const ZIVVER_ACCOUNT: &str =
    "the account was deleted meanwhile: the next run reads the accounts again";
pub const ZIVVER_MEMBER: &str =
    "a member was deleted meanwhile: the next run reads the accounts again";
pub const ZIVVER_DIVISION: &str =
    "create the organizational unit in Zivver, or move the account to one that exists";
pub const ZIVVER_CONFLICT: &str = "the address exists in Zivver but is not listed: look for it in the WebApp, also among guests and deleted accounts";
pub const ZIVVER_URL: &str = "set CLOUD_SYNC__ZIVVER_API_URL to the address of Zivver's API without /scim/v2, such as https://app.zivver.com/api, and check the proxy";
pub const ZIVVER_OTHER: &str =
    "compare the request with Zivver's SCIM documentation and ask Zivver's support about this text";
pub const ZIVVER_KEY: &str = "make a new key in the Zivver WebApp (Organization settings, Integrations, API keys) and, in Azure, \
     store it as a new version of the Key Vault secret that CLOUD_SYNC__ZIVVER_API_KEY refers to, refresh the reference and restart \
     the app; elsewhere set that variable to it; the key of a deleted administrator stops working";
pub const ZIVVER_FORBIDDEN: &str = "let a full administrator make the key in CLOUD_SYNC__ZIVVER_API_KEY, and check that CLOUD_SYNC__ZIVVER_API_URL is right";
pub const ZIVVER_UNAVAILABLE: &str = "the next run tries again; check CLOUD_SYNC__ZIVVER_API_URL, the network and Zivver's status page if it stays so";
