//! Requests that write, and their bodies (`docs/specs/zivver-scim.md`, "3. User resource", "4. Group resource
//! (functional account)" and "5. Write semantics and quirks").

use serde_json::{Map, Value, json};

use super::wire::{ENTERPRISE_USER, GROUP, USER, ZIVVER_GROUP, ZIVVER_USER};
use domain::{
    account::Extension,
    address::SmtpAddress,
    execute::{FunctionalExtensionUpdate, FunctionalUpdate, UserExtensionUpdate, UserUpdate},
    ids::{ScimId, SignInKey},
};

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Zivver creates every user active.
pub(super) fn new_user(address: &SmtpAddress, name: &str, key: Option<&SignInKey>) -> Value {
    let mut body = updated_user(&UserUpdate {
        address: Some(address.clone()),
        name: Some(name.to_owned()),
        active: Some(true),
        extension: None,
    });
    if let Some(key) = key {
        body[ZIVVER_USER] = json!({ "SsoAccountKey": key.to_string() });
    }
    body
}

/// The only request with an `externalId`: it is not known whether it can be changed.
pub(super) fn new_group(
    address: &SmtpAddress,
    name: &str,
    members: &[ScimId],
    aliases: &[SmtpAddress],
) -> Value {
    let mut body = updated_group(&FunctionalUpdate {
        name: Some(name.to_owned()),
        members: Some(members.to_vec()),
        extension: None,
    });
    body["externalId"] = address.as_str().into();
    // There is nothing to clear.
    if !aliases.is_empty() {
        body[ZIVVER_GROUP] = json!({ "aliases": texts(&Extension::default(), aliases) });
    }
    body
}

pub(super) fn updated_user(user: &UserUpdate) -> Value {
    let mut body = json!({ "schemas": [USER, ENTERPRISE_USER, ZIVVER_USER] });
    if let Some(address) = &user.address {
        body["userName"] = address.as_str().into();
    }
    if let Some(name) = &user.name {
        body["name"] = json!({ "formatted": name });
    }
    if let Some(active) = user.active {
        body["active"] = active.into();
    }
    if let Some(extension) = &user.extension {
        body[ZIVVER_USER] = user_extension(extension);
    }
    body
}

/// Zivver ignores an empty list of members in an update, so it is not sent. [`members`] empties an account.
pub(super) fn updated_group(group: &FunctionalUpdate) -> Value {
    let mut body = json!({ "schemas": [GROUP, ZIVVER_GROUP, ENTERPRISE_USER] });
    if let Some(name) = &group.name {
        body["displayName"] = name.as_str().into();
    }
    if let Some(members) = group.members.as_ref().filter(|list| !list.is_empty()) {
        body["members"] = values(members);
    }
    if let Some(FunctionalExtensionUpdate { read, aliases }) = &group.extension {
        let mut extension = rest(read);
        extension.insert("aliases".into(), texts(read, aliases));
        body[ZIVVER_GROUP] = extension.into();
    }
    body
}

/// The only way to remove all members (`docs/specs/zivver-scim.md`, "5.4 Quirks").
pub(super) fn members(members: &[ScimId]) -> Value {
    let operation = if members.is_empty() {
        json!({ "op": "remove", "path": "members" })
    } else {
        json!({ "op": "replace", "path": "members", "value": values(members) })
    };
    json!({ "schemas": [PATCH_OP], "Operations": [operation] })
}

/// The whole extension: an update erases everything that is left out (`docs/specs/zivver-scim.md`, "5.1 User PUT").
fn user_extension(extension: &UserExtensionUpdate) -> Value {
    let read = &extension.read;
    let mut body = rest(read);
    body.insert("aliases".into(), texts(read, &extension.aliases));
    body.insert("delegates".into(), texts(read, &extension.delegates));
    if let Some(key) = &extension.key {
        body.insert("SsoAccountKey".into(), key.to_string().into());
    }
    body.into()
}

/// Known addresses keep the spelling that Zivver has.
fn texts(read: &Extension, addresses: &[SmtpAddress]) -> Value {
    addresses
        .iter()
        .map(|address| read.spell(address))
        .collect()
}

fn rest(read: &Extension) -> Map<String, Value> {
    let rest = read.rest.iter();
    rest.map(|(name, value)| (name.to_string(), value.clone()))
        .collect()
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

    fn key() -> Option<SignInKey> {
        ObjectId::parse("22222222-0000-4000-8000-000000000001").map(SignInKey::ObjectId)
    }

    #[test]
    fn a_suspension_has_no_extension_object() {
        let suspend = UserUpdate {
            active: Some(false),
            ..UserUpdate::default()
        };
        assert_eq!(
            updated_user(&suspend),
            json!({ "schemas": [USER, ENTERPRISE_USER, ZIVVER_USER], "active": false })
        );
    }

    #[test]
    fn r23_an_extension_is_written_whole_and_as_it_was_spelled() {
        let mut read = Extension::default();
        let (old, new) = (address("old@corp.example"), address("new@corp.example"));
        read.spelling.insert(old.clone(), "Old@corp.example".into());
        read.rest.push(("externalAccountID".into(), json!("E1")));
        let update = UserUpdate {
            extension: Some(UserExtensionUpdate {
                read,
                aliases: vec![old, new],
                delegates: Vec::new(),
                key: key(),
            }),
            ..UserUpdate::default()
        };
        assert_eq!(
            updated_user(&update)[ZIVVER_USER],
            json!({
                "aliases": ["Old@corp.example", "new@corp.example"], "delegates": [],
                "externalAccountID": "E1", "SsoAccountKey": "22222222-0000-4000-8000-000000000001"
            })
        );
    }

    #[test]
    fn r24_a_creation_names_address_name_and_key() {
        let anna = address("anna@corp.example");
        let mut expected = json!({
            "schemas": [USER, ENTERPRISE_USER, ZIVVER_USER], "active": true,
            "userName": "anna@corp.example", "name": { "formatted": "Anna" }
        });
        assert_eq!(new_user(&anna, "Anna", None), expected);
        expected[ZIVVER_USER] = json!({ "SsoAccountKey": "22222222-0000-4000-8000-000000000001" });
        assert_eq!(new_user(&anna, "Anna", key().as_ref()), expected);
    }

    #[test]
    fn a_group_keeps_its_address_and_is_never_emptied_by_an_update() {
        let info = address("info@corp.example");
        let schemas = json!([GROUP, ZIVVER_GROUP, ENTERPRISE_USER]);
        let mut expected = json!({
            "schemas": schemas, "externalId": "info@corp.example", "displayName": "Info"
        });
        assert_eq!(new_group(&info, "Info", &[], &[]), expected);
        expected[ZIVVER_GROUP] = json!({ "aliases": ["i@corp.example"] });
        let aliases = [address("i@corp.example")];
        assert_eq!(new_group(&info, "Info", &[], &aliases), expected);
        let update = |members| {
            updated_group(&FunctionalUpdate {
                name: Some("Info".into()),
                members: Some(members),
                extension: Some(FunctionalExtensionUpdate::default()),
            })
        };
        let mut expected =
            json!({ "schemas": schemas, "displayName": "Info", ZIVVER_GROUP: { "aliases": [] } });
        assert_eq!(update(Vec::new()), expected);
        expected["members"] = json!([{ "value": "1" }]);
        assert_eq!(update(vec![ScimId::new("1")]), expected);
    }

    #[test]
    fn members_are_patched_in_the_two_known_ways() {
        assert_eq!(
            members(&[]),
            json!({ "schemas": [PATCH_OP], "Operations": [{ "op": "remove", "path": "members" }] })
        );
        let replace = members(&[ScimId::new("1")]);
        assert_eq!(replace["Operations"][0]["value"], json!([{ "value": "1" }]));
    }
}
