use cloud_sync::sandbox::zivver::{Group, GroupExternalId};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ANNA, BAS, ENTERPRISE, INFO, PATCH_OP, World, ZIVVER_GROUP, group_body, group_schemas, reply,
    small,
};

const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";

fn path() -> String {
    format!("Groups/{INFO}")
}

fn members(world: &World) -> Vec<String> {
    world
        .zivver()
        .state()
        .group("info@corp.example")
        .unwrap()
        .members
        .clone()
}

fn remove_all() -> Value {
    json!({ "schemas": [PATCH_OP], "Operations": [{ "op": "remove", "path": "members" }] })
}

#[tokio::test]
async fn a_group_has_the_shape_of_the_captured_ones() {
    let world = World::start(small()).await;
    let expected = json!({
        "id": INFO, "externalId": "info@corp.example", "displayName": "Info", "members": [{ "value": ANNA }],
        "meta": { "created": "2024-01-31", "location": format!("/scim/v2/Groups/{INFO}"), "resourceType": "Group" },
        "schemas": group_schemas(), ENTERPRISE: { "division": "/" },
        ZIVVER_GROUP: { "aliases": ["contact@corp.example"] },
    });
    assert_eq!(world.get(&path()).await.json(), expected);
    assert_eq!(
        world.get("Groups/").await.json(),
        json!({ "Resources": [expected], "totalResults": 1 })
    );
    assert_eq!(
        world
            .find("Groups", "externalId", "info@corp.example")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn creating_drops_aliases_and_wants_known_members() {
    let world = World::start(small()).await;
    let body = group_body(json!({
        "externalId": "desk@corp.example", "displayName": "Desk", "members": [{ "value": BAS }],
        ZIVVER_GROUP: { "aliases": ["d@corp.example"] },
    }));
    let created = world
        .with_body(Method::POST, "Groups", "application/scim+json", body)
        .await;
    assert_eq!(created.status, 201);
    assert_eq!(created.json()[ZIVVER_GROUP], json!({ "aliases": [] }));
    assert_eq!(created.json()["members"], json!([{ "value": BAS }]));

    let body = |address: &str, member: &str| {
        group_body(
            json!({ "externalId": address, "displayName": "X", "members": [{ "value": member }] }),
        )
    };
    assert_eq!(
        world.post("Groups", body("x@corp.example", NOBODY)).await,
        reply(400, "Unknown in set")
    );
    assert_eq!(
        world
            .post("Groups", body("x@corp.example", "bas@corp.example"))
            .await,
        reply(400, "Unknown in set")
    );
    for address in [
        "info@corp.example",
        "anna@corp.example",
        "free@corp.example",
        "x@other.example",
    ] {
        let outside = reply(400, "Account is outside the organization");
        assert_eq!(
            world.post("Groups", body(address, BAS)).await,
            outside,
            "{address}"
        );
    }
    assert_eq!(
        world
            .post(
                "Groups",
                group_body(json!({ "externalId": "y@corp.example" }))
            )
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_put_replaces_members_but_ignores_an_empty_list() {
    let world = World::start(small()).await;
    assert_eq!(
        world
            .put(&path(), group_body(json!({ "members": [] })))
            .await
            .status,
        200
    );
    assert_eq!(members(&world), [ANNA]);
    world
        .put(
            &path(),
            group_body(json!({ "members": [{ "value": BAS }], "displayName": "Info 2" })),
        )
        .await;
    assert_eq!(members(&world), [BAS]);
    let body = group_body(json!({ "members": [{ "value": NOBODY }], "displayName": "No" }));
    assert_eq!(
        world.put(&path(), body).await,
        reply(400, "Error creating member: Member Not Found")
    );
    let group = world
        .zivver()
        .state()
        .group("info@corp.example")
        .unwrap()
        .clone();
    assert_eq!(group.display_name, "Info 2");
    assert_eq!(
        group.aliases,
        ["contact@corp.example"],
        "no extension, no change"
    );
}

#[tokio::test]
async fn the_extension_of_a_put_is_whole() {
    let mut organisation = small();
    organisation.groups[0].external_account_id = Some("e9".to_owned());
    let world = World::start(organisation).await;
    let body = group_body(
        json!({ ZIVVER_GROUP: { "aliases": ["contact@corp.example", "c2@corp.example"] } }),
    );
    world.put(&path(), body).await;
    let group = world
        .zivver()
        .state()
        .group("info@corp.example")
        .unwrap()
        .clone();
    assert_eq!(group.aliases, ["contact@corp.example", "c2@corp.example"]);
    assert_eq!(group.external_account_id, None);
    let body = group_body(json!({ ZIVVER_GROUP: { "aliases": ["anna@corp.example"] } }));
    let taken = "Error creating alias: Alias is already taken for anna@corp.example";
    assert_eq!(world.put(&path(), body).await, reply(400, taken));
    assert_eq!(
        world
            .put(&path(), group_body(json!({ "active": false })))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn the_address_of_a_group_does_not_change() {
    let world = World::start(small()).await;
    let body = group_body(json!({ "externalId": "info2@corp.example" }));
    assert_eq!(
        world.put(&path(), body.clone()).await.json()["externalId"],
        "info@corp.example"
    );
    world
        .zivver()
        .with_state(|org| org.switches.group_external_id = GroupExternalId::Refused);
    assert_eq!(world.put(&path(), body.clone()).await.status, 400);
    world
        .zivver()
        .with_state(|org| org.switches.group_external_id = GroupExternalId::Renames);
    assert_eq!(
        world.put(&path(), body).await.json()["externalId"],
        "info2@corp.example"
    );
    assert_eq!(
        world
            .find("Groups", "externalId", "info2@corp.example")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn a_patch_removes_all_or_replaces() {
    let world = World::start(small()).await;
    let replace = json!({
        "schemas": [PATCH_OP],
        "Operations": [{ "op": "replace", "path": "members", "value": [{ "value": BAS }, { "value": ANNA }] }],
    });
    assert_eq!(world.patch(&path(), replace).await.status, 200);
    assert_eq!(members(&world), [BAS, ANNA]);
    assert_eq!(
        world.patch(&path(), remove_all()).await.json()["members"],
        json!([])
    );
    world.zivver().with_state(|org| {
        org.group_mut("info@corp.example").unwrap().members = vec![BAS.to_owned()];
    });
    let bare = json!({ "Operations": [{ "op": "remove", "path": "members" }] });
    assert_eq!(world.patch(&path(), bare).await.status, 200);
    assert_eq!(members(&world), Vec::<String>::new());
}

#[tokio::test]
async fn other_patches_are_refused() {
    let world = World::start(small()).await;
    for operation in [
        json!({ "op": "add", "path": "members", "value": [{ "value": BAS }] }),
        json!({ "op": "remove", "path": format!("members[value eq \"{ANNA}\"]") }),
        json!({ "op": "remove", "path": "members", "value": [{ "value": ANNA }] }),
        json!({ "op": "replace", "path": "displayName", "value": [] }),
        json!({ "op": "Remove", "path": "members" }),
        json!({ "op": "replace", "path": "members", "value": [{ "value": "bas@corp.example" }] }),
        json!({ "op": "replace", "path": "members", "value": [{ "value": BAS, "display": "Bas" }] }),
    ] {
        let body = json!({ "schemas": [PATCH_OP], "Operations": [operation] });
        assert_eq!(
            world.patch(&path(), body.clone()).await.status,
            400,
            "{body}"
        );
    }
    assert_eq!(members(&world), [ANNA]);
    world.zivver().with_state(|org| {
        org.switches.patch_add = true;
        org.switches.patch_filtered_remove = true;
    });
    let body = json!({ "schemas": [PATCH_OP], "Operations": [
        { "op": "add", "path": "members", "value": [{ "value": BAS }] },
        { "op": "remove", "path": format!("members[value eq \"{ANNA}\"]") },
    ] });
    assert_eq!(world.patch(&path(), body).await.status, 200);
    assert_eq!(members(&world), [BAS]);
}

#[tokio::test]
async fn a_patch_is_particular_about_media_types() {
    let world = World::start(small()).await;
    let send = async |accept: Option<&str>, content_type: &str| {
        let request = world
            .request(Method::PATCH, &path())
            .header("content-type", content_type);
        let request = match accept {
            Some(accept) => request.header("accept", accept),
            None => request,
        };
        world.send(request.body(remove_all().to_string())).await
    };
    let scim = "application/scim+json";
    let wrong_type = r#"{"code":415,"message":"HTTP 415 Unsupported Media Type"}"#;
    assert_eq!(
        send(Some(scim), "application/json").await,
        reply(415, wrong_type)
    );
    let wrong_accept = r#"{"code":406,"message":"HTTP 406 Not Acceptable"}"#;
    assert_eq!(
        send(Some("application/json"), scim).await,
        reply(406, wrong_accept)
    );
    assert_eq!(members(&world), [ANNA]);
    assert_eq!(send(Some(scim), scim).await.status, 200);
}

#[tokio::test]
async fn a_group_that_lists_itself_keeps_doing_so() {
    let mut organisation = small();
    let other = organisation.add_group(Group::new("other@corp.example", "Other"));
    organisation.groups[0].members = vec![
        INFO.to_owned(),
        other.clone(),
        NOBODY.to_owned(),
        ANNA.to_owned(),
    ];
    let world = World::start(organisation).await;
    assert_eq!(
        world.get(&path()).await.json()["members"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let echo = json!({ "members": [{ "value": NOBODY }, { "value": ANNA }] });
    let not_found = reply(400, "Error creating member: Member Not Found");
    assert_eq!(world.put(&path(), group_body(echo)).await, not_found);
    world
        .put(
            &path(),
            group_body(json!({ "members": [{ "value": other }] })),
        )
        .await;
    assert_eq!(members(&world), [other, INFO.to_owned()]);
    world.patch(&path(), remove_all()).await;
    assert_eq!(members(&world), [INFO]);
    world
        .zivver()
        .with_state(|org| org.switches.group_keeps_itself = false);
    world.patch(&path(), remove_all()).await;
    assert_eq!(members(&world), Vec::<String>::new());
}
