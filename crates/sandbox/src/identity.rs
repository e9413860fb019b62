//! The managed identity endpoint of App Service and Functions (api-version 2019-08-01), and the register of its access
//! tokens, which the simulated Exchange uses to check a bearer token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::control::{Authorization, Control, parse};

/// The resource of Exchange Online in the worldwide cloud.
pub const EXCHANGE_RESOURCE: &str = "https://outlook.office365.com";
/// The app role that `adminapi/beta` requires.
pub const MANAGE_AS_APP: &str = "Exchange.ManageAsApp";
/// A similar app role that only Admin API v2.0 accepts.
pub const MANAGE_AS_APP_V2: &str = "Exchange.ManageAsAppV2";

const API_VERSION: &str = "2019-08-01";
/// Role template id of Global Reader.
const GLOBAL_READER: &str = "f2ef992c-3afb-46b9-b7cf-a126ee74c451";
/// 24 hours and 5 minutes, the lifetime of a token of a managed identity.
const LIFE_S: u64 = 86_700;

/// The handle to the simulated endpoint. Clones share its state.
#[derive(Clone, Debug)]
pub struct Identity {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The clock of the service that checks the tokens.
    clock: Control,
    control: Control,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: Settings,
    tokens: HashMap<String, Arc<Claims>>,
    issued: u64,
    /// Epoch seconds.
    started_s: u64,
}

/// Identities and misbehaviour of the endpoint; statuses such as 429 or 500 are faults of its control plane.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub tenant_id: String,
    /// The value of `IDENTITY_HEADER`.
    pub header: String,
    /// The system-assigned identity. With `None` a call without `client_id` is refused.
    pub client_id: Option<String>,
    /// Client ids of the user-assigned identities.
    pub user_assigned: Vec<String>,
    pub object_id: String,
    pub life_s: u64,
    /// The audience of issued tokens; replaces the requested resource.
    pub audience: Option<String>,
    pub roles: Vec<String>,
    pub wids: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tenant_id: "11111111-1111-4111-8111-111111111111".to_owned(),
            header: "sandbox-identity-header".to_owned(),
            client_id: Some("66666666-0000-4000-8000-000000000001".to_owned()),
            user_assigned: Vec::new(),
            object_id: "66666666-0000-4000-8000-000000000002".to_owned(),
            life_s: LIFE_S,
            audience: None,
            roles: vec![MANAGE_AS_APP.to_owned()],
            wids: vec![GLOBAL_READER.to_owned()],
        }
    }
}

/// The claims of a valid token that Exchange reads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Claims {
    pub(super) aud: String,
    pub(super) tid: String,
    pub(super) roles: Vec<String>,
    /// Epoch seconds.
    exp: u64,
}

impl Identity {
    /// `clock` is the control plane whose virtual time decides whether a token has expired.
    pub fn new(settings: Settings, clock: &Control) -> Self {
        let started_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let state = State {
            settings,
            tokens: HashMap::new(),
            issued: 0,
            started_s,
        };
        Self {
            inner: Arc::new(Inner {
                clock: clock.clone(),
                control: Control::new(),
                state: Mutex::new(state),
            }),
        }
    }

    /// `GET /msi/token` behind its control plane, and the routes under `/sandbox/identity`.
    pub fn router(&self) -> Router {
        let endpoint = Router::new()
            .route("/msi/token", any(answer))
            .with_state(self.clone());
        let identity = self.clone();
        self.inner
            .control
            .wrap(endpoint, move |headers| identity.judge(headers))
            .merge(self.inner.control.routes("identity"))
            .merge(
                Router::new()
                    .route(
                        "/sandbox/identity/settings",
                        get(show_settings).put(replace_settings),
                    )
                    .with_state(self.clone()),
            )
    }

    pub fn control(&self) -> &Control {
        &self.inner.control
    }

    pub fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    pub fn with_settings<R>(&self, change: impl FnOnce(&mut Settings) -> R) -> R {
        change(&mut self.state().settings)
    }

    /// Sets the start of the service to this time (epoch seconds).
    pub fn set_start(&self, epoch_s: u64) {
        self.state().started_s = epoch_s;
    }

    /// Issues a token for Exchange with the current settings, for use without the endpoint (`ACCESS_TOKEN`).
    pub fn mint(&self) -> String {
        self.issue(EXCHANGE_RESOURCE, None).0
    }

    /// Refuses all tokens issued so far, as after a continuous access evaluation event.
    pub fn revoke_all(&self) {
        self.state().tokens.clear();
    }

    /// The number of issued tokens.
    pub fn issued(&self) -> u64 {
        self.state().issued
    }

    /// Epoch seconds of the virtual clock.
    pub fn now_s(&self) -> u64 {
        let since_start_s = self.inner.clock.now().as_secs();
        self.state().started_s.saturating_add(since_start_s)
    }

    /// The claims of a token that was issued here, was not revoked and has not expired.
    pub(super) fn claims(&self, bearer: &str) -> Option<Arc<Claims>> {
        let now_s = self.now_s();
        let claims = self.state().tokens.get(bearer).map(Arc::clone)?;
        (claims.exp > now_s).then_some(claims)
    }

    fn issue(&self, resource: &str, client_id: Option<&str>) -> (String, u64) {
        let now_s = self.now_s();
        let mut state = self.state();
        state.issued += 1;
        let issued = state.issued;
        let settings = &state.settings;
        let claims = Claims {
            aud: settings
                .audience
                .clone()
                .unwrap_or_else(|| resource.to_owned()),
            tid: settings.tenant_id.clone(),
            roles: settings.roles.clone(),
            exp: now_s.saturating_add(settings.life_s),
        };
        let appid = client_id.or(settings.client_id.as_deref());
        let token = encode(settings, &claims, appid, now_s, issued);
        let exp = claims.exp;
        state.tokens.insert(token.clone(), Arc::new(claims));
        (token, exp)
    }

    fn judge(&self, headers: &HeaderMap) -> Authorization {
        match headers.get("x-identity-header") {
            None => Authorization::Absent,
            Some(value) if value.as_bytes() == self.state().settings.header.as_bytes() => {
                Authorization::Right
            }
            Some(_) => Authorization::Wrong,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn show_settings(Shared(identity): Shared<Identity>) -> axum::Json<Settings> {
    axum::Json(identity.settings())
}

async fn replace_settings(Shared(identity): Shared<Identity>, body: Bytes) -> Response {
    match parse(&body) {
        Ok(settings) => {
            identity.with_settings(|current| *current = settings);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn encode(
    settings: &Settings,
    claims: &Claims,
    appid: Option<&str>,
    now_s: u64,
    issued: u64,
) -> String {
    let header =
        json!({"typ": "JWT", "alg": "RS256", "kid": "sandbox", "nonce": format!("n{issued}")});
    let mut payload = json!({
        "aud": claims.aud,
        "iss": format!("https://sts.windows.net/{}/", claims.tid),
        "iat": now_s,
        "nbf": now_s,
        "exp": claims.exp,
        "appid": appid,
        "app_displayname": "cloud sync sandbox",
        "appidacr": "2",
        "idtyp": "app",
        "oid": settings.object_id,
        "sub": settings.object_id,
        "tid": claims.tid,
        "uti": format!("sandbox-{issued}"),
        "ver": "1.0",
    });
    // The token of a service principal without an assignment lacks this claim.
    if !claims.roles.is_empty() {
        payload["roles"] = json!(claims.roles);
    }
    if !settings.wids.is_empty() {
        payload["wids"] = json!(settings.wids);
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = URL_SAFE_NO_PAD.encode(format!("sandbox signature {issued}"));
    format!("{}.{}.{signature}", part(&header), part(&payload))
}

async fn answer(Shared(identity): Shared<Identity>, request: Request) -> Response {
    match ask(
        &identity,
        request.method(),
        request.uri(),
        request.headers(),
    ) {
        Ok(answer) => (StatusCode::OK, axum::Json(answer)).into_response(),
        Err((status, message)) => {
            let body = json!({"statusCode": status.as_u16(), "message": message});
            (status, axum::Json(body)).into_response()
        }
    }
}

fn ask(
    identity: &Identity,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Value, (StatusCode, String)> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    if method != Method::GET {
        return Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "the token endpoint knows only GET".to_owned(),
        ));
    }
    if identity.judge(headers) != Authorization::Right {
        return Err((
            StatusCode::UNAUTHORIZED,
            "X-IDENTITY-HEADER is missing or wrong".to_owned(),
        ));
    }
    let mut query = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if query.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(bad(format!("parameter {name} comes twice")));
        }
    }
    if query.remove("api-version").as_deref() != Some(API_VERSION) {
        return Err(bad(format!("api-version must be {API_VERSION}")));
    }
    let resource = query
        .remove("resource")
        .ok_or_else(|| bad("resource is missing".to_owned()))?;
    let host = url::Url::parse(&resource)
        .ok()
        .filter(|url| url.scheme() == "https");
    if host.is_none() || resource.contains("/.default") {
        return Err(bad(format!("resource {resource:?} is not a resource")));
    }
    let asked = client_id(&identity.settings(), &mut query).map_err(bad)?;
    if let Some(name) = query.keys().next() {
        return Err(bad(format!("parameter {name} is unknown")));
    }
    let (token, expires_on) = identity.issue(&resource, Some(&asked));
    Ok(json!({
        "access_token": token,
        "expires_on": expires_on.to_string(),
        "resource": resource,
        "token_type": "Bearer",
        "client_id": asked,
    }))
}

/// The client id named by a call, or that of the system-assigned identity.
fn client_id(settings: &Settings, query: &mut HashMap<String, String>) -> Result<String, String> {
    let by_client = query.remove("client_id");
    let by_principal = query.remove("principal_id");
    if by_client.is_some() && by_principal.is_some() {
        return Err("client_id and principal_id exclude each other".to_owned());
    }
    let known = match (&by_client, &by_principal) {
        (Some(id), _) => settings
            .user_assigned
            .iter()
            .chain(&settings.client_id)
            .find(|known| known.eq_ignore_ascii_case(id)),
        (None, Some(id)) if id.eq_ignore_ascii_case(&settings.object_id) => {
            settings.client_id.as_ref()
        }
        (None, Some(_)) => None,
        (None, None) => settings.client_id.as_ref(),
    };
    known
        .cloned()
        .ok_or_else(|| "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.".to_owned())
}
