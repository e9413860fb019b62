//! Access tokens for Exchange: where they come from, what they contain, and when they are renewed
//! (`docs/specs/exchange-online.md`, "5. Token and grants").

use std::{fmt, sync::Arc, time::Duration};

use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential},
    error::ErrorKind,
    http::{ClientOptions, Transport},
};
use azure_identity::{
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId,
};
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use jiff::Timestamp;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::{ExchangeError, Failure};
use crate::{
    http::{Clock, Route, is_loopback, one_line},
    managed_identity::{IdentityClient, NoTokenInAnswer, with_status},
};
use domain::remedies;

/// `adminapi/beta` refuses applications without this app role.
const APP_ROLE: &str = "Exchange.ManageAsApp";

/// The application id of Exchange Online, which can be the audience of a token (5.1).
const EXCHANGE_APP: &str = "00000002-0000-0ff1-ce00-000000000000";

/// Entra roles known to read mailboxes and permissions (5.3): Global Reader, Exchange Administrator, Exchange
/// Recipient Administrator, Global Administrator.
const READING_ROLES: [&str; 4] = [
    "f2ef992c-3afb-46b9-b7cf-a126ee74c451",
    "29232cdf-9323-42fd-ade2-1d097af3e4de",
    "31392ffb-586c-42d1-9346-e59415a2cc4e",
    "62e90394-69f5-4237-9190-012177145e10",
];

/// A token is renewed this long before it expires, or after half of a shorter lifetime.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// Must exceed the retries of the credential itself.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(150);

/// Timeout of one attempt of the credential.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where tokens come from.
#[derive(Clone)]
pub enum Identity {
    /// `ACCESS_TOKEN`: cannot be renewed.
    Token(Secret),
    /// The identity of the function app; with a client id, a user-assigned one.
    Managed { client_id: Option<String> },
    /// The account that is signed in to Azure CLI or Azure Developer CLI.
    DeveloperTools,
    /// Any other credential. It is asked again when a new token is needed.
    Credential(Arc<dyn TokenCredential>),
}

impl Identity {
    /// `ACCESS_TOKEN` has precedence, then the managed identity if the platform offers one (`IDENTITY_ENDPOINT`), then
    /// the developer tools.
    pub fn choose(
        access_token: Option<Secret>,
        has_identity_endpoint: bool,
        client_id: Option<String>,
    ) -> Self {
        match access_token {
            Some(token) => Self::Token(token),
            None if has_identity_endpoint => Self::Managed { client_id },
            None => Self::DeveloperTools,
        }
    }

    /// A credential without cached tokens; `None` if the token is fixed.
    pub(crate) fn credential(&self) -> Result<Option<Arc<dyn TokenCredential>>, azure_core::Error> {
        crate::http::set_up_tls();
        Ok(Some(match self {
            Self::Token(_) => return Ok(None),
            Self::Managed { client_id } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options: ClientOptions {
                        transport: Some(direct()?),
                        ..Default::default()
                    },
                }))?
            }
            Self::DeveloperTools => DeveloperToolsCredential::new(None)?,
            Self::Credential(credential) => Arc::clone(credential),
        }))
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Token(_) => {
                "set CLOUD_SYNC__ACCESS_TOKEN to a new token of an account that may read mailboxes, or remove that setting"
            }
            Self::Managed { .. } => remedies::IDENTITY,
            Self::DeveloperTools => {
                "install the Azure CLI and run `az login`, or set CLOUD_SYNC__ACCESS_TOKEN"
            }
            Self::Credential(_) => "check the credential",
        }
    }
}

/// The identity endpoint belongs to the platform and is local: no proxy may see the secret of the request.
fn direct() -> Result<Transport, azure_core::Error> {
    let client = Route::Direct.client().read_timeout(IDENTITY_TIMEOUT);
    let client = client.build().map_err(|error| {
        azure_core::Error::with_error(ErrorKind::Other, error, "cannot set up HTTP")
    })?;
    Ok(Transport::new(Arc::new(IdentityClient::new(client))))
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::Managed { .. } => "Managed",
            Self::DeveloperTools => "DeveloperTools",
            Self::Credential(_) => "Credential",
        })
    }
}

/// What the token says about the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// Claim `tid`.
    pub tenant_id: String,
    pub principal: Principal,
    /// A possible cause of a later refusal.
    pub warning: Option<String>,
    /// Claim `exp`.
    expires: Option<Timestamp>,
    /// Claim `aud`.
    audience: Option<String>,
}

impl TokenFacts {
    /// Why Exchange refuses the token, as far as the token itself tells.
    fn fault(&self, now: Timestamp, scope: &str) -> Option<String> {
        if let Some(expires) = self.expires.filter(|expires| *expires <= now) {
            return Some(format!("the token expired at {expires}"));
        }
        let audience = self.audience.as_deref()?;
        let service = scope.trim_end_matches("/.default");
        let is_for_service = audience.trim_end_matches('/') == service || audience == EXCHANGE_APP;
        (!is_for_service).then(|| format!("the token is for {audience}, not for {service}"))
    }
}

/// Why a token cannot be used.
#[derive(Debug, PartialEq, Eq)]
enum Unusable {
    Token(String),
    /// The identity has no role; another token would not help.
    NoRole(String),
}

impl From<&str> for Unusable {
    fn from(text: &str) -> Self {
        Self::Token(text.to_owned())
    }
}

/// Who the token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    Application {
        /// Claims `appid` and `oid`.
        client_id: String,
        object_id: String,
        /// App roles.
        roles: Vec<String>,
    },
    /// Entra roles of a person are not in the token.
    Person,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application {
                client_id,
                object_id,
                roles,
            } => {
                write!(
                    f,
                    "the application {client_id} (object id {object_id}) with "
                )?;
                match &roles[..] {
                    [] => f.write_str("no app role"),
                    [role] => write!(f, "the app role {role}"),
                    roles => write!(f, "the app roles {}", roles.join(", ")),
                }
            }
            Self::Person => f.write_str("a person"),
        }
    }
}

/// A token in use.
#[derive(Debug, Clone)]
pub(super) struct Bearer {
    /// Marked sensitive, so that `Debug` does not show it.
    pub(super) header: HeaderValue,
    pub(super) facts: Arc<TokenFacts>,
    /// The number of the token within this run, to tell a new token from the refused one.
    pub(super) generation: u64,
    renew_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

/// Holds the current token. Concurrent requests for a new one cause a single fetch.
#[derive(Debug)]
pub(super) struct TokenKeeper {
    identity: Identity,
    scope: String,
    is_loopback: bool,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    credential: Option<Arc<dyn TokenCredential>>,
    bearer: Option<Bearer>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("bearer", &self.bearer)
            .finish_non_exhaustive()
    }
}

impl TokenKeeper {
    pub(super) fn new(identity: Identity, base: &Url, clock: Clock) -> Self {
        Self {
            identity,
            scope: scope(base),
            is_loopback: is_loopback(base),
            clock,
            state: Mutex::default(),
        }
    }

    /// The token to send now. It is fetched on first use, and again shortly before it expires.
    pub(super) async fn current(&self) -> Result<Bearer, ExchangeError> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        if let Some(bearer) = &state.bearer
            && bearer.renew_at.is_none_or(|renew_at| now < renew_at)
        {
            return Ok(bearer.clone());
        }
        match self.fetch(&mut state).await {
            Ok(bearer) => Ok(bearer),
            // A failed early renewal does not stop the run, since the old token is still valid.
            Err(error) => match &mut state.bearer {
                Some(bearer) if bearer.expires_at.is_none_or(|expires| now < expires) => {
                    tracing::warn!(%error, "cannot renew the token yet, the current one is still valid");
                    bearer.renew_at = now.checked_add(RENEW_BEFORE / 10).ok();
                    Ok(bearer.clone())
                }
                _ => Err(error),
            },
        }
    }

    /// Replaces the token that was refused with 401. A fixed token cannot be replaced and is tried once more.
    pub(super) async fn renew(
        &self,
        refused: &Bearer,
        failure: &Failure,
    ) -> Result<(), ExchangeError> {
        if matches!(self.identity, Identity::Token(_)) {
            return if lacks_role(failure) {
                Err(ExchangeError::Permission(failure.clone()))
            } else {
                Ok(())
            };
        }
        let mut state = self.state.lock().await;
        if let Some(bearer) = &state.bearer
            && bearer.generation > refused.generation
        {
            return Ok(());
        }
        // A credential caches its token until it expires; only a new credential fetches another one.
        state.credential = None;
        self.fetch(&mut state).await.map(|_| ())
    }

    /// The error for a 401 that follows a renewal.
    pub(super) fn refused_again(&self, refused: &Bearer, failure: Failure) -> ExchangeError {
        if matches!(self.identity, Identity::Token(_)) && !lacks_role(&failure) {
            let fault = refused.facts.fault(self.clock.now(), &self.scope);
            self.fixed_refused(&fault.unwrap_or_else(|| failure.to_string()))
        } else {
            ExchangeError::Permission(failure)
        }
    }

    /// The service refuses the token of `ACCESS_TOKEN`.
    fn fixed_refused(&self, text: &str) -> ExchangeError {
        if !self.is_loopback {
            return self.error(text);
        }
        ExchangeError::Token {
            text: one_line(text, 300),
            remedy: SANDBOX_TOKEN.to_owned(),
        }
    }

    /// Fails if a fixed token itself shows that it will be refused. The clock of this machine may be wrong, so only a
    /// check asks.
    pub(super) async fn usable(&self) -> Result<TokenFacts, ExchangeError> {
        let facts = self.current().await?.facts;
        let is_fixed = matches!(self.identity, Identity::Token(_));
        match facts.fault(self.clock.now(), &self.scope) {
            Some(fault) if is_fixed => Err(self.fixed_refused(&fault)),
            _ => Ok((*facts).clone()),
        }
    }

    async fn fetch(&self, state: &mut State) -> Result<Bearer, ExchangeError> {
        let generation = state.bearer.as_ref().map_or(1, |old| old.generation + 1);
        let (secret, expires_at) = match &self.identity {
            Identity::Token(secret) => (secret.secret().to_owned(), None),
            Identity::Managed { .. } | Identity::DeveloperTools | Identity::Credential(_) => {
                let token = self.ask(state).await?;
                let expires = Timestamp::from_second(token.expires_on.unix_timestamp()).ok();
                (token.token.secret().to_owned(), expires)
            }
        };
        let token = secret.trim();
        let facts = read_claims(token).map_err(|unusable| match unusable {
            Unusable::Token(text) => self.error(&text),
            Unusable::NoRole(text) => ExchangeError::Token {
                text,
                remedy: remedies::EXCHANGE_GRANT.to_owned(),
            },
        })?;
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| self.error("the token holds characters that no token may have"))?;
        header.set_sensitive(true);
        let now = self.clock.now();
        let bearer = Bearer {
            header,
            facts: Arc::new(facts),
            generation,
            renew_at: expires_at.and_then(|expires| renew_at(now, expires)),
            expires_at,
        };
        state.bearer = Some(bearer.clone());
        Ok(bearer)
    }

    async fn ask(&self, state: &mut State) -> Result<AccessToken, ExchangeError> {
        if state.credential.is_none() {
            state.credential = self
                .identity
                .credential()
                .map_err(|error| self.error(&error.to_string()))?;
        }
        let Some(credential) = &state.credential else {
            return Err(self.error("the token is fixed"));
        };
        let scopes = [self.scope.as_str()];
        tokio::time::timeout(TOKEN_TIMEOUT, credential.get_token(&scopes, None))
            .await
            .map_err(|_| self.error("the identity endpoint does not answer"))?
            .map_err(|error| self.refused(&error))
    }

    /// An answer that cannot be read has its own remedy.
    fn refused(&self, error: &azure_core::Error) -> ExchangeError {
        NoTokenInAnswer::within(error).map_or_else(
            || self.error(&with_status(error)),
            |answered| ExchangeError::Token {
                text: answered.to_string(),
                remedy: NoTokenInAnswer::REMEDY.to_owned(),
            },
        )
    }

    fn error(&self, text: &str) -> ExchangeError {
        ExchangeError::Token {
            text: one_line(text, 300),
            remedy: self.identity.remedy().to_owned(),
        }
    }
}

const SANDBOX_TOKEN: &str = "set CLOUD_SYNC__ACCESS_TOKEN to the token that this sandbox printed: each sandbox accepts only its own";

/// The token is valid, but its identity lacks the role; another token would not help.
fn lacks_role(failure: &Failure) -> bool {
    failure.text.contains("is not allowed to call")
}

/// The scope to ask for: the origin of the service, or that of the real service if a sandbox is used.
fn scope(base: &Url) -> String {
    if is_loopback(base) {
        "https://outlook.office365.com/.default".to_owned()
    } else {
        format!("{}/.default", base.origin().ascii_serialization())
    }
}

/// 5 minutes before the end, or halfway through a lifetime shorter than 10 minutes.
fn renew_at(now: Timestamp, expires: Timestamp) -> Option<Timestamp> {
    let life = Duration::try_from(expires.duration_since(now)).unwrap_or_default();
    expires.checked_sub(RENEW_BEFORE.min(life / 2)).ok()
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    tid: Option<Value>,
    #[serde(default)]
    appid: Option<Value>,
    #[serde(default)]
    oid: Option<Value>,
    #[serde(default)]
    scp: Option<Value>,
    #[serde(default)]
    roles: Option<Value>,
    #[serde(default)]
    wids: Option<Value>,
    #[serde(default)]
    exp: Option<Value>,
    #[serde(default)]
    aud: Option<Value>,
}

/// Reads the payload of a token. The signature is not verified: the header has a `nonce` that only Exchange can
/// resolve.
fn read_claims(token: &str) -> Result<TokenFacts, Unusable> {
    let payload = token
        .split('.')
        .nth(1)
        .and_then(decode_base64)
        .ok_or("the token is not a JSON Web Token")?;
    let claims: Claims = serde_json::from_slice(&payload)
        .map_err(|_| "the claims of the token are not a JSON object")?;
    let expires = claims.exp.as_ref().and_then(Value::as_i64);
    let expires = expires.and_then(|at| Timestamp::from_second(at).ok());
    let audience = texts(claims.aud.as_ref()).next().map(|it| one_line(it, 80));
    let tenant_id = claims
        .tid
        .as_ref()
        .and_then(Value::as_str)
        .map(str::trim)
        // A path segment of dots only would change the path of a request.
        .filter(|tid| tid.contains(|c: char| c.is_ascii_alphanumeric()))
        .ok_or("the token has no `tid` claim, so the tenant is unknown")?
        .to_owned();
    // A token with `scp` belongs to a person. The roles of the person decide, and the token does not contain them.
    if claims.scp.is_some() {
        return Ok(TokenFacts {
            tenant_id,
            principal: Principal::Person,
            warning: None,
            expires,
            audience,
        });
    }
    let id = |claim: Option<&Value>| {
        let id = texts(claim).next().unwrap_or("unknown");
        one_line(id, 40)
    };
    let roles = texts(claims.roles.as_ref()).map(|role| one_line(role, 40));
    let roles: Vec<String> = roles.collect();
    let is_granted = roles.iter().any(|role| role == APP_ROLE);
    let principal = Principal::Application {
        client_id: id(claims.appid.as_ref()),
        object_id: id(claims.oid.as_ref()),
        roles,
    };
    if !is_granted {
        return Err(Unusable::NoRole(format!(
            "the identity lacks the app role {APP_ROLE}: the token is of {principal}"
        )));
    }
    let has_role = texts(claims.wids.as_ref()).any(|wid| {
        READING_ROLES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(wid))
    });
    Ok(TokenFacts {
        tenant_id,
        principal,
        warning: (!has_role).then(|| {
            "the token shows no Entra role that can read mailboxes: fine if an Exchange role group grants it, else every read will be refused".to_owned()
        }),
        expires,
        audience,
    })
}

/// A claim that is a text or a list of texts.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claim {
        Some(Value::String(text)) => (Some(text.as_str()), None),
        Some(Value::Array(list)) => (None, Some(list)),
        _ => (None, None),
    };
    let many = many.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many)
}

/// Base64url with or without padding; the standard alphabet is accepted too.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let text = text.replace('+', "-").replace('/', "_");
    GeneralPurpose::new(&URL_SAFE, config).decode(text).ok()
}

#[cfg(test)]
mod tests;
