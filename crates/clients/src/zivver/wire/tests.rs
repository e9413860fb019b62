use serde_json::{Value, json};

use super::*;

fn user(body: &Value) -> Result<UserAccount, String> {
    serde_json::from_value::<UserRow>(body.clone())
        .map(Into::into)
        .map_err(|error| error.to_string())
}

fn full_user() -> Value {
    json!({
        "id": "00000000-0000-0000-0000-000000000001", "userName": "Anna@corp.example",
        "name": { "formatted": "Anna " }, "active": true, "phoneNumbers": [],
        "meta": { "created": "2024-01-31", "location": "/scim/v2/Users/1", "resourceType": "User" },
        "schemas": [USER, ENTERPRISE_USER, ZIVVER_USER],
        ENTERPRISE_USER: {},
        ZIVVER_USER: {
            "aliases": ["a@corp.example", "B@Corp.Example", "b@corp.example"],
            "delegates": ["Bert@corp.example"],
            "externalAccountID": "E1", "SsoAccountKey": "hidden", "colour": { "of": ["bike", null] }
        }
    })
}

#[test]
fn a_user_is_read_with_all_of_its_extension() {
    let anna = user(&full_user()).unwrap();
    assert_eq!(anna.address.as_str(), "anna@corp.example");
    assert_eq!((anna.name.as_str(), anna.active), ("Anna ", true));
    let aliases: Vec<_> = anna
        .extension
        .aliases
        .iter()
        .map(SmtpAddress::as_str)
        .collect();
    assert_eq!(aliases, ["a@corp.example", "b@corp.example"]);
    assert_eq!(anna.delegates[0].as_str(), "bert@corp.example");
    assert_eq!(
        anna.extension.spell(&anna.delegates[0]),
        "Bert@corp.example"
    );
    assert_eq!(
        anna.extension.spell(&anna.extension.aliases[1]),
        "B@Corp.Example"
    );
    assert_eq!(anna.extension.external_account_id.as_deref(), Some("E1"));
    let mut rest = anna.extension.rest;
    rest.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        rest,
        [
            ("colour".into(), json!({ "of": ["bike", null] })),
            ("externalAccountID".into(), json!("E1")),
        ]
    );
}

#[test]
fn what_may_be_absent_or_null_is_tolerated() {
    for (name, value) in [
        ("name", json!(null)),
        ("name", json!({})),
        ("active", json!("True")),
        ("active", json!(null)),
        (
            ZIVVER_USER,
            json!({ "aliases": [], "delegates": [], "ExternalAccountId": null }),
        ),
    ] {
        let mut body = full_user();
        body[name] = value.clone();
        let anna = user(&body).unwrap();
        assert!(anna.active, "{name} {value}");
    }
    for name in ["name", "active"] {
        let mut body = full_user();
        body.as_object_mut().unwrap().remove(name);
        user(&body).unwrap();
    }
    let mut body = full_user();
    body["active"] = json!("False");
    assert!(!user(&body).unwrap().active);
}

#[test]
fn a_row_without_identity_or_sense_is_an_error() {
    for (name, value) in [
        ("id", json!(null)),
        ("id", json!(" ")),
        ("id", json!(7)),
        ("id", json!(".")),
        ("id", json!("..")),
        ("id", json!("1\n")),
        ("userName", json!("")),
        ("active", json!("perhaps")),
        ("active", json!(1)),
        (ZIVVER_USER, json!({ "aliases": "a@corp.example" })),
        (ZIVVER_USER, json!({ "delegates": [null] })),
        (ZIVVER_USER, json!(null)),
        (ZIVVER_USER, json!({})),
        (ZIVVER_USER, json!({ "aliases": [] })),
        (ZIVVER_USER, json!({ "delegates": [] })),
        (ZIVVER_USER, json!({ "aliases": null, "delegates": [] })),
        (ZIVVER_USER, json!({ "aliases": [], "delegates": null })),
    ] {
        let mut body = full_user();
        body[name] = value.clone();
        assert!(user(&body).is_err(), "{name} {value}");
    }
    for name in ["id", "userName", ZIVVER_USER] {
        let mut body = full_user();
        body.as_object_mut().unwrap().remove(name);
        assert!(user(&body).unwrap_err().contains(name));
    }
}

#[test]
fn r01_r22_the_delegates_of_a_row_that_is_not_understood_are_kept_as_far_as_they_can_be_read() {
    let delegates = |value: Value| -> Vec<String> {
        let extension = json!({ "Delegates": value });
        let row = json!({ "id": 7, "active": "maybe", ZIVVER_USER: extension }).to_string();
        let row: &RawValue = serde_json::from_str(&row).unwrap();
        let error = de::Error::custom("wrong types");
        let kept = rejected::<UserAccount>(row, 1, &error).delegates;
        kept.iter().map(ToString::to_string).collect()
    };
    for value in [
        json!(["Ann@corp.example", null]),
        json!("ann@corp.example"),
        json!(["ann@corp.example", 7]),
    ] {
        assert_eq!(delegates(value), ["ann@corp.example"]);
    }
    assert_eq!(delegates(json!(null)), [""; 0]);
}

#[test]
fn a_group_is_read_with_members_and_extension() {
    let body = json!({
        "id": "aa", "externalId": "info@corp.example", "displayName": "Info",
        "members": [{ "value": "1" }, { "value": "aa", "display": "itself" }],
        ENTERPRISE_USER: { "division": "/" },
        ZIVVER_GROUP: { "aliases": ["i@corp.example"], "ExternalAccountId": "E2" }
    });
    let info = FunctionalAccount::parse(body.to_string().as_bytes()).unwrap();
    assert_eq!(info.members, [ScimId::new("1"), ScimId::new("aa")]);
    assert_eq!(info.extension.aliases[0].as_str(), "i@corp.example");
    assert_eq!(info.extension.external_account_id.as_deref(), Some("E2"));
    for name in ["members", ZIVVER_GROUP] {
        let mut body = body.clone();
        body.as_object_mut().unwrap().remove(name);
        let info = FunctionalAccount::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(info.members.is_empty(), name == "members");
        // What is null is not empty.
        body[name] = json!(null);
        assert!(FunctionalAccount::parse(body.to_string().as_bytes()).is_none());
    }
    let mut empty = body.clone();
    empty["members"] = json!([]);
    let info = FunctionalAccount::parse(empty.to_string().as_bytes()).unwrap();
    assert!(info.members.is_empty());
    let mut nameless = body.clone();
    nameless["members"] = json!([{ "display": "nobody" }]);
    assert!(FunctionalAccount::parse(nameless.to_string().as_bytes()).is_none());
}
