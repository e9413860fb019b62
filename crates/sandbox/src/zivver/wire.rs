//! Bodies of requests and answers. Members that `docs/specs/zivver-scim.md`, "3. User resource" and "4. Group resource
//! (functional account)" do not list are refused.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::organisation::{Group, User};
use super::switches::Switches;

pub(super) const CORE_USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(super) const CORE_GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub(super) const ZIVVER_USER: &str = "urn:ietf:params:scim:schemas:zivver:0.1:User";
pub(super) const ZIVVER_GROUP: &str = "urn:ietf:params:scim:schemas:zivver:0.1:Group";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

pub(super) fn user(user: &User, switches: &Switches) -> Value {
    let mut resource = Map::new();
    resource.insert("id".to_owned(), json!(user.id));
    if !user.user_name.is_empty() {
        resource.insert("userName".to_owned(), json!(user.user_name));
    }
    resource.insert("name".to_owned(), json!({ "formatted": user.name }));
    if let Some(nick_name) = &user.nick_name {
        resource.insert("nickName".to_owned(), json!(nick_name));
    }
    resource.insert("active".to_owned(), json!(user.active));
    let phones: Vec<Value> = user
        .phone_numbers
        .iter()
        .map(|number| json!({ "value": number }))
        .collect();
    resource.insert("phoneNumbers".to_owned(), Value::from(phones));
    let location = format!("/scim/v2/Users/{}", user.id);
    resource.insert(
        "meta".to_owned(),
        json!({ "created": user.created.to_string(), "location": location, "resourceType": "User" }),
    );
    resource.insert(
        "schemas".to_owned(),
        json!([CORE_USER, ENTERPRISE, ZIVVER_USER]),
    );
    resource.insert(ENTERPRISE.to_owned(), division(user.division.as_ref()));
    let mut extension = json!({ "aliases": user.aliases, "delegates": user.delegates });
    show_identifier(&mut extension, user.external_account_id.as_ref(), switches);
    resource.insert(ZIVVER_USER.to_owned(), extension);
    Value::Object(resource)
}

pub(super) fn group(group: &Group, switches: &Switches) -> Value {
    let members: Vec<Value> = group
        .members
        .iter()
        .map(|id| json!({ "value": id }))
        .collect();
    let location = format!("/scim/v2/Groups/{}", group.id);
    let mut extension = json!({ "aliases": group.aliases });
    show_identifier(&mut extension, group.external_account_id.as_ref(), switches);
    let mut resource = json!({
        "id": group.id,
        "displayName": group.display_name,
        "members": members,
        "meta": { "created": group.created.to_string(), "location": location, "resourceType": "Group" },
        "schemas": [CORE_GROUP, ZIVVER_GROUP, ENTERPRISE],
        ENTERPRISE: division(group.division.as_ref()),
        ZIVVER_GROUP: extension,
    });
    if !group.external_id.is_empty() {
        resource["externalId"] = json!(group.external_id);
    }
    resource
}

fn division(division: Option<&String>) -> Value {
    division.map_or_else(|| json!({}), |division| json!({ "division": division }))
}

fn show_identifier(extension: &mut Value, id: Option<&String>, switches: &Switches) {
    if let (Some(id), true, Value::Object(members)) =
        (id, switches.external_account_id_shown, extension)
    {
        members.insert(switches.external_account_id_name.clone(), json!(id));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserBody {
    schemas: Option<Vec<String>>,
    /// Read-only, ignored.
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "meta")]
    _meta: Option<Value>,
    pub(super) user_name: Option<String>,
    pub(super) name: Option<NameBody>,
    pub(super) nick_name: Option<String>,
    pub(super) active: Option<Flag>,
    pub(super) phone_numbers: Option<Vec<ValueBody>>,
    #[serde(rename = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")]
    pub(super) enterprise: Option<EnterpriseBody>,
    #[serde(rename = "urn:ietf:params:scim:schemas:zivver:0.1:User")]
    zivver: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GroupBody {
    schemas: Option<Vec<String>>,
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "meta")]
    _meta: Option<Value>,
    pub(super) external_id: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) members: Option<Vec<ValueBody>>,
    #[serde(rename = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")]
    pub(super) enterprise: Option<EnterpriseBody>,
    #[serde(rename = "urn:ietf:params:scim:schemas:zivver:0.1:Group")]
    zivver: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameBody {
    pub(super) formatted: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueBody {
    pub(super) value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnterpriseBody {
    pub(super) division: Option<String>,
}

/// The service accepts booleans as text: clients send `"True"` and `"False"`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Flag {
    Bool(bool),
    Text(String),
}

impl Flag {
    pub(super) fn value(&self) -> Result<bool, Refusal> {
        match self {
            Self::Bool(value) => Ok(*value),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Self::Text(text) => Err(Refusal::malformed(format!("active: {text}"))),
        }
    }
}

/// The members of the Zivver extension that a request contains.
#[derive(Default)]
pub(super) struct Extension {
    pub(super) aliases: Option<Vec<String>>,
    pub(super) delegates: Option<Vec<String>>,
    pub(super) key: Option<String>,
    pub(super) external_account_id: Option<String>,
}

impl Extension {
    fn read(
        members: Map<String, Value>,
        switches: &Switches,
        of_user: bool,
    ) -> Result<Self, Refusal> {
        let mut extension = Self::default();
        for (name, value) in members {
            match name.as_str() {
                "aliases" => extension.aliases = member(&name, value)?,
                "delegates" if of_user => extension.delegates = member(&name, value)?,
                "SsoAccountKey" if of_user => extension.key = member(&name, value)?,
                name if name == switches.external_account_id_name => {
                    extension.external_account_id = member(name, value)?;
                }
                name => {
                    return Err(Refusal::malformed(format!(
                        "unknown member of the extension: {name}"
                    )));
                }
            }
        }
        Ok(extension)
    }
}

fn member<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(|error| Refusal::malformed(format!("{name}: {error}")))
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::malformed(format!("Unable to process JSON: {error}")))
}

impl UserBody {
    pub(super) fn parse(
        body: &[u8],
        switches: &Switches,
    ) -> Result<(Self, Option<Extension>), Refusal> {
        let mut body: Self = parse(body)?;
        let (has_enterprise, zivver) = (body.enterprise.is_some(), body.zivver.take());
        let known = [CORE_USER, ENTERPRISE, ZIVVER_USER];
        let schemas = body.schemas.as_ref();
        let extension = extension(schemas, known, has_enterprise, zivver, switches)?;
        Ok((body, extension))
    }
}

impl GroupBody {
    pub(super) fn parse(
        body: &[u8],
        switches: &Switches,
    ) -> Result<(Self, Option<Extension>), Refusal> {
        let mut body: Self = parse(body)?;
        let (has_enterprise, zivver) = (body.enterprise.is_some(), body.zivver.take());
        let known = [CORE_GROUP, ENTERPRISE, ZIVVER_GROUP];
        let schemas = body.schemas.as_ref();
        let extension = extension(schemas, known, has_enterprise, zivver, switches)?;
        Ok((body, extension))
    }
}

/// The Zivver extension of a body with valid schemas. `known` are the URNs of its kind: core, enterprise, Zivver.
fn extension(
    schemas: Option<&Vec<String>>,
    known: [&str; 3],
    has_enterprise: bool,
    zivver: Option<Map<String, Value>>,
    switches: &Switches,
) -> Result<Option<Extension>, Refusal> {
    let present = [(known[1], has_enterprise), (known[2], zivver.is_some())];
    check_schemas(schemas, known, present, switches)?;
    let of_user = known[2] == ZIVVER_USER;
    zivver
        .map(|members| Extension::read(members, switches, of_user))
        .transpose()
}

fn check_schemas(
    schemas: Option<&Vec<String>>,
    known: [&str; 3],
    extensions: [(&str, bool); 2],
    switches: &Switches,
) -> Result<(), Refusal> {
    let Some(schemas) = schemas else {
        let refusal = || Refusal::malformed("schemas: missing");
        return if switches.schemas_required {
            Err(refusal())
        } else {
            Ok(())
        };
    };
    if let Some(unknown) = schemas
        .iter()
        .find(|schema| !known.contains(&schema.as_str()))
    {
        return Err(Refusal::malformed(format!("schemas: unknown {unknown}")));
    }
    let is_named = |urn: &str| schemas.iter().any(|schema| schema == urn);
    if !is_named(known[0]) {
        return Err(Refusal::malformed(format!(
            "schemas: {} is missing",
            known[0]
        )));
    }
    match extensions
        .iter()
        .find(|(urn, present)| *present && !is_named(urn))
    {
        Some((urn, _)) => Err(Refusal::malformed(format!("schemas: {urn} is missing"))),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatchBody {
    schemas: Option<Vec<String>>,
    #[serde(rename = "Operations")]
    pub(super) operations: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) op: String,
    pub(super) path: String,
    pub(super) value: Option<Vec<ValueBody>>,
}

impl PatchBody {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let body: Self = parse(body)?;
        match &body.schemas {
            Some(schemas) if schemas.iter().map(String::as_str).ne([PATCH_OP]) => Err(
                Refusal::malformed("schemas: expected the PatchOp URN alone"),
            ),
            _ if body.operations.is_empty() => Err(Refusal::malformed("Operations: empty")),
            _ => Ok(body),
        }
    }
}
