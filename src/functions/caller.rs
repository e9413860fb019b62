//! R41: the caller of an HTTP call, and what the caller may do.
//!
//! App Service authentication removes `X-MS-CLIENT-PRINCIPAL…` from every external request and sets these headers
//! itself, but only if it is on. The platform sets `WEBSITE_AUTH_ENABLED` to say so. Otherwise any caller can send
//! these headers, so they are ignored (`docs/specs/functions-host.md`, "2.3 HTTP trigger request").

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;

use super::{ApiCall, Problem, ProblemKind, Request};
use crate::{
    domain::actor::{Actor, Role},
    settings::Settings,
};

/// Claim types of app roles, in addition to the one that the principal names.
const ROLES: [&str; 2] = [
    "roles",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
];

/// Claim types of the object id.
const OBJECT_IDS: [&str; 2] = [
    "oid",
    "http://schemas.microsoft.com/identity/claims/objectidentifier",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) actor: Actor,
    pub(super) role: Role,
}

/// The decoded JSON of `X-MS-CLIENT-PRINCIPAL`, which is in Base64.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClientPrincipal {
    claims: Vec<Claim>,
    name_typ: String,
    role_typ: String,
}

#[derive(Debug, Deserialize)]
struct Claim {
    typ: String,
    val: String,
}

impl ClientPrincipal {
    /// An invalid header gives a principal without claims, and so without a role.
    fn read(header: Option<&str>) -> Self {
        let json = header.and_then(|text| BASE64_STANDARD.decode(text.trim()).ok());
        let principal = json.and_then(|json| serde_json::from_slice(&json).ok());
        principal.unwrap_or_default()
    }

    fn values<'a>(&'a self, types: &'a [&str], named: &'a str) -> impl Iterator<Item = &'a str> {
        let claims = self.claims.iter();
        let of_type =
            claims.filter(move |claim| claim.typ == named || types.contains(&claim.typ.as_str()));
        of_type.map(|claim| claim.val.as_str())
    }

    /// A caller without an app role is a reader.
    fn role(&self) -> Role {
        let roles = self.values(&ROLES, &self.role_typ);
        roles.filter_map(Role::named).max().unwrap_or(Role::Reader)
    }
}

impl Caller {
    pub(super) fn of(request: &Request, settings: &Settings) -> Self {
        let signed_in = settings.signs_in.then(|| signed_in(request)).flatten();
        signed_in.unwrap_or_else(|| Self {
            actor: match &request.key {
                Some(key) => Actor::function_key(key),
                None => Actor::Unnamed,
            },
            role: settings.key_role,
        })
    }

    /// Refuses the call if the caller does not have the role that it needs (R41).
    pub(super) fn permit(&self, call: &ApiCall) -> Result<(), Problem> {
        let needed = needed(call);
        if self.role >= needed {
            return Ok(());
        }
        let remedy = match &self.actor {
            Actor::SignedIn { .. } => "assign the app role in Entra, Enterprise applications",
            Actor::Timer | Actor::FunctionKey { .. } | Actor::OsUser { .. } | Actor::Unnamed => {
                "sign in with Microsoft Entra, or change CLOUD_SYNC__KEY_ROLE"
            }
        };
        let (name, has) = (&self.actor, self.role.name());
        let needed = needed.name();
        Err(Problem::new(
            ProblemKind::RoleMissing,
            format!("this needs the role {needed}, and {name} has the role {has}: {remedy} (R41)"),
        ))
    }
}

fn signed_in(request: &Request) -> Option<Caller> {
    let header = |name| request.header(name).filter(|text| !text.trim().is_empty());
    let (name, id) = (
        header("x-ms-client-principal-name"),
        header("x-ms-client-principal-id"),
    );
    let encoded = header("x-ms-client-principal");
    let principal = ClientPrincipal::read(encoded);
    let name = name.or_else(|| principal.values(&[], &principal.name_typ).next());
    let id = id.or_else(|| principal.values(&OBJECT_IDS, "oid").next());
    // A signed-in program has an object id but no name.
    let name = name.or(id)?;
    Some(Caller {
        actor: Actor::signed_in(name, id),
        role: principal.role(),
    })
}

fn needed(call: &ApiCall) -> Role {
    match call {
        ApiCall::Index { .. }
        | ApiCall::Runs { .. }
        | ApiCall::Run { .. }
        | ApiCall::Rejections { .. }
        | ApiCall::Account { .. }
        | ApiCall::Access(_)
        | ApiCall::Health
        | ApiCall::Check { .. } => Role::Reader,
        ApiCall::Start(body) if body.approve.is_empty() => Role::Operator,
        ApiCall::Stop { .. } => Role::Operator,
        ApiCall::Start(_) | ApiCall::Reject(_) => Role::Approver,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(signs_in: bool) -> Settings {
        let lookup = |name: &str| {
            let value = match name {
                "CLOUD_SYNC__ZIVVER_API_KEY" => "k",
                "CLOUD_SYNC__CLAIMED_DOMAINS" => "corp.example",
                "CLOUD_SYNC__SSO_ACCOUNT_KEY" => "omit",
                "CLOUD_SYNC__KEY_ROLE" => "operator",
                "WEBSITE_AUTH_ENABLED" if signs_in => "True",
                "WEBSITE_AUTH_ENABLED" => "False",
                _ => return None,
            };
            Some(value.to_owned())
        };
        Settings::read(lookup, &[]).unwrap()
    }

    fn principal(claims: &[(&str, &str)]) -> String {
        let claims: Vec<_> = claims
            .iter()
            .map(|(typ, val)| json!({"typ": typ, "val": val}))
            .collect();
        let principal =
            json!({"auth_typ": "aad", "name_typ": "name", "role_typ": "r", "claims": claims});
        BASE64_STANDARD.encode(principal.to_string())
    }

    fn request(headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter();
        Request {
            key: Some("night shift".into()),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Request::default()
        }
    }

    #[test]
    fn r41_headers_count_where_app_service_authentication_is_on() {
        let encoded = principal(&[("r", "approver"), ("r", "reader"), ("name", "anna")]);
        let all = request(&[
            ("x-ms-client-principal-name", "anna@corp.example"),
            ("x-ms-client-principal-id", "1"),
            ("x-ms-client-principal", &encoded),
        ]);
        let off = Caller::of(&all, &settings(false));
        assert_eq!(off.actor, Actor::function_key("night shift"));
        assert_eq!(off.role, Role::Operator);
        let on = Caller::of(&all, &settings(true));
        assert_eq!(on.actor, Actor::signed_in("anna@corp.example", Some("1")));
        assert_eq!(on.role, Role::Approver);
        let by_key = Caller::of(&request(&[]), &settings(true));
        assert_eq!(by_key, off);
        let unnamed = Caller::of(&Request::default(), &settings(true));
        assert_eq!(unnamed.actor, Actor::Unnamed);
    }

    #[test]
    fn r41_a_person_has_the_highest_of_their_roles_and_may_look_without_one() {
        let roles = ROLES[1];
        for (encoded, role) in [
            (principal(&[]), Role::Reader),
            (principal(&[("r", "owner")]), Role::Reader),
            (principal(&[("other", "approver")]), Role::Reader),
            (principal(&[("roles", "Operator")]), Role::Operator),
            (principal(&[(roles, "approver")]), Role::Approver),
            ("not base64".to_owned(), Role::Reader),
            (BASE64_STANDARD.encode("[]"), Role::Reader),
        ] {
            let call = request(&[
                ("x-ms-client-principal-name", "anna"),
                ("x-ms-client-principal", &encoded),
            ]);
            assert_eq!(Caller::of(&call, &settings(true)).role, role, "{encoded}");
        }
        let program = principal(&[(OBJECT_IDS[1], "7"), ("roles", "operator")]);
        let call = request(&[("x-ms-client-principal", &program)]);
        let caller = Caller::of(&call, &settings(true));
        assert_eq!(caller.actor, Actor::signed_in("7", Some("7")));
    }
}
