//! Requests that write, and their bodies (`docs/specs/zivver-scim.md`, "3. User resource", "4. Group resource
//! (functional account)" and "5. Write semantics and quirks").

use serde_json::{Map, Value, json};

use super::wire::{ENTERPRISE_USER, GROUP, USER, ZIVVER_GROUP, ZIVVER_USER};
use domain::{
    account::Extension,
    address::SmtpAddress,
    ids::{ScimId, SignInKey},
};

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The new values of a user; `None` leaves an attribute unchanged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserWrite {
    /// Renames the user if it differs from the current one.
    pub user_name: Option<SmtpAddress>,
    pub name: Option<String>,
    /// Ignored by a creation: Zivver creates every user active.
    pub active: Option<bool>,
    pub extension: Option<UserExtensionBody>,
}

/// The new values of a functional account; `None` leaves an attribute unchanged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupWrite {
    /// Sent by a creation only: it is not known whether it can be changed.
    pub external_id: Option<SmtpAddress>,
    pub name: Option<String>,
    /// Zivver ignores an empty list in an update, so it is not sent. [`MembersPatch::RemoveAll`] empties an account.
    pub members: Option<Vec<ScimId>>,
    pub extension: Option<GroupExtensionBody>,
}

/// The whole extension of a user: an update erases everything that is left out (`docs/specs/zivver-scim.md`, "5.1 User
/// PUT").
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserExtensionBody {
    pub aliases: Vec<Box<str>>,
    pub delegates: Vec<Box<str>>,
    /// [`Extension::rest`] as read.
    pub rest: Vec<(Box<str>, Value)>,
    /// `SsoAccountKey`.
    pub key: Option<SignInKey>,
}

/// The whole extension of a functional account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupExtensionBody {
    pub aliases: Vec<Box<str>>,
    /// [`Extension::rest`] as read.
    pub rest: Vec<(Box<str>, Value)>,
}

/// The only way to remove all members (`docs/specs/zivver-scim.md`, "5.4 Quirks").
#[derive(Debug, Clone, PartialEq)]
pub enum MembersPatch {
    RemoveAll,
    Replace(Vec<ScimId>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verb {
    Create,
    Update,
}

impl UserExtensionBody {
    /// The extension as read, with the given aliases and delegates. Known addresses keep the spelling that Zivver has.
    pub fn of<'a>(
        read: &Extension,
        aliases: impl IntoIterator<Item = &'a SmtpAddress>,
        delegates: impl IntoIterator<Item = &'a SmtpAddress>,
        key: Option<SignInKey>,
    ) -> Self {
        Self {
            aliases: spelled(read, aliases),
            delegates: spelled(read, delegates),
            rest: read.rest.clone(),
            key,
        }
    }

    fn body(&self, verb: Verb) -> Value {
        let mut body = rest(&self.rest);
        put_list(&mut body, "aliases", &self.aliases, verb);
        put_list(&mut body, "delegates", &self.delegates, verb);
        if let Some(key) = &self.key {
            body.insert("SsoAccountKey".into(), key.to_string().into());
        }
        Value::Object(body)
    }
}

impl GroupExtensionBody {
    /// The extension as read, with the given aliases. Known addresses keep the spelling that Zivver has.
    pub fn of<'a>(read: &Extension, aliases: impl IntoIterator<Item = &'a SmtpAddress>) -> Self {
        Self {
            aliases: spelled(read, aliases),
            rest: read.rest.clone(),
        }
    }

    fn body(&self, verb: Verb) -> Value {
        let mut body = rest(&self.rest);
        put_list(&mut body, "aliases", &self.aliases, verb);
        Value::Object(body)
    }
}

impl UserWrite {
    pub(super) fn body(&self, verb: Verb) -> Value {
        let mut body = json!({ "schemas": [USER, ENTERPRISE_USER, ZIVVER_USER] });
        if let Some(address) = &self.user_name {
            body["userName"] = address.as_str().into();
        }
        if let Some(name) = &self.name {
            body["name"] = json!({ "formatted": name });
        }
        if let Some(active) = self.active {
            body["active"] = active.into();
        }
        if let Some(extension) = &self.extension {
            body[ZIVVER_USER] = extension.body(verb);
        }
        body
    }
}

impl GroupWrite {
    pub(super) fn body(&self, verb: Verb) -> Value {
        let mut body = json!({ "schemas": [GROUP, ZIVVER_GROUP, ENTERPRISE_USER] });
        if let (Verb::Create, Some(address)) = (verb, &self.external_id) {
            body["externalId"] = address.as_str().into();
        }
        if let Some(name) = &self.name {
            body["displayName"] = name.as_str().into();
        }
        if let Some(members) = self.members.as_ref().filter(|members| !members.is_empty()) {
            body["members"] = values(members);
        }
        if let Some(extension) = &self.extension {
            body[ZIVVER_GROUP] = extension.body(verb);
        }
        body
    }
}

impl MembersPatch {
    pub(super) fn body(&self) -> Value {
        let operation = match self {
            Self::RemoveAll => json!({ "op": "remove", "path": "members" }),
            Self::Replace(members) => {
                json!({ "op": "replace", "path": "members", "value": values(members) })
            }
        };
        json!({ "schemas": [PATCH_OP], "Operations": [operation] })
    }
}

fn spelled<'a>(
    read: &Extension,
    addresses: impl IntoIterator<Item = &'a SmtpAddress>,
) -> Vec<Box<str>> {
    addresses
        .into_iter()
        .map(|address| read.spell(address).into())
        .collect()
}

fn rest(members: &[(Box<str>, Value)]) -> Map<String, Value> {
    members
        .iter()
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect()
}

/// An update sends an empty list to clear the attribute; a creation has nothing to clear.
fn put_list(body: &mut Map<String, Value>, name: &str, texts: &[Box<str>], verb: Verb) {
    if verb == Verb::Update || !texts.is_empty() {
        body.insert(name.into(), json!(texts));
    }
}

fn values(members: &[ScimId]) -> Value {
    members
        .iter()
        .map(|member| json!({ "value": member }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::ObjectId;

    fn address(text: &str) -> SmtpAddress {
        SmtpAddress::parse(text).unwrap()
    }

    #[test]
    fn a_suspension_has_no_extension_object() {
        let suspend = UserWrite {
            active: Some(false),
            ..UserWrite::default()
        };
        assert_eq!(
            suspend.body(Verb::Update),
            json!({ "schemas": [USER, ENTERPRISE_USER, ZIVVER_USER], "active": false })
        );
    }

    #[test]
    fn r23_an_extension_is_written_whole_and_as_it_was_spelled() {
        let mut read = Extension::default();
        let (old, new) = (address("old@corp.example"), address("new@corp.example"));
        read.spelling.insert(old.clone(), "Old@corp.example".into());
        read.rest.push(("externalAccountID".into(), json!("E1")));
        let id = ObjectId::parse("22222222-0000-4000-8000-000000000001");
        let key = id.map(SignInKey::ObjectId);
        let write = UserWrite {
            extension: Some(UserExtensionBody::of(&read, [&old, &new], [], key)),
            ..UserWrite::default()
        };
        assert_eq!(
            write.body(Verb::Update)[ZIVVER_USER],
            json!({
                "aliases": ["Old@corp.example", "new@corp.example"], "delegates": [],
                "externalAccountID": "E1", "SsoAccountKey": "22222222-0000-4000-8000-000000000001"
            })
        );
    }

    #[test]
    fn r24_a_creation_names_address_name_and_key() {
        let id = ObjectId::parse("22222222-0000-4000-8000-000000000001");
        let key = id.map(SignInKey::ObjectId);
        let write = UserWrite {
            user_name: Some(address("anna@corp.example")),
            name: Some("Anna".into()),
            active: None,
            extension: Some(UserExtensionBody {
                key,
                ..UserExtensionBody::default()
            }),
        };
        assert_eq!(
            write.body(Verb::Create),
            json!({
                "schemas": [USER, ENTERPRISE_USER, ZIVVER_USER],
                "userName": "anna@corp.example", "name": { "formatted": "Anna" },
                ZIVVER_USER: { "SsoAccountKey": "22222222-0000-4000-8000-000000000001" }
            })
        );
    }

    #[test]
    fn a_group_keeps_its_address_and_is_never_emptied_by_an_update() {
        let write = GroupWrite {
            external_id: Some(address("info@corp.example")),
            name: Some("Info".into()),
            members: Some(Vec::new()),
            extension: None,
        };
        let schemas = json!([GROUP, ZIVVER_GROUP, ENTERPRISE_USER]);
        assert_eq!(
            write.body(Verb::Create),
            json!({ "schemas": schemas, "externalId": "info@corp.example", "displayName": "Info" })
        );
        let update = GroupWrite {
            members: Some(vec![ScimId::new("1")]),
            extension: Some(GroupExtensionBody::default()),
            ..write
        };
        assert_eq!(
            update.body(Verb::Update),
            json!({
                "schemas": schemas, "displayName": "Info", "members": [{ "value": "1" }],
                ZIVVER_GROUP: { "aliases": [] }
            })
        );
    }

    #[test]
    fn members_are_patched_in_the_two_known_ways() {
        assert_eq!(
            MembersPatch::RemoveAll.body(),
            json!({ "schemas": [PATCH_OP], "Operations": [{ "op": "remove", "path": "members" }] })
        );
        let replace = MembersPatch::Replace(vec![ScimId::new("1")]).body();
        assert_eq!(replace["Operations"][0]["value"], json!([{ "value": "1" }]));
    }
}
