use cloud_sync::sandbox::zivver::{Organisation, Paging, TotalResults, UnknownDelegates, User};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ANNA, BAS, ENTERPRISE, INFO, World, ZIVVER_USER, reply, small, user_body, user_schemas,
};

#[tokio::test]
async fn only_the_right_key_is_let_in() {
    let world = World::start(small()).await;
    let url = format!("{}/scim/v2/Users", world.sandbox.zivver_url());
    for request in [
        world.client.get(&url),
        world.client.get(&url).bearer_auth("other"),
    ] {
        let reply = world.send(request).await;
        assert_eq!(
            reply,
            super::reply(401, r#"{"code":401,"message":"HTTP 401 Unauthorized"}"#)
        );
    }
}

#[tokio::test]
async fn a_base64_key_only_by_switch() {
    use base64::Engine as _;
    let world = World::start(small()).await;
    let url = format!("{}/scim/v2/Users", world.sandbox.zivver_url());
    let key = base64::engine::general_purpose::STANDARD.encode(sandbox::zivver::API_KEY);
    assert_eq!(
        world
            .send(world.client.get(&url).bearer_auth(&key))
            .await
            .status,
        401
    );
    world
        .zivver()
        .with_state(|org| org.switches.base64_key = true);
    assert_eq!(
        world
            .send(world.client.get(&url).bearer_auth(&key))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_list_is_whole_and_holds_resources_and_total_only() {
    let world = World::start(small()).await;
    for path in [
        "Users",
        "Users/",
        "Users?count=1",
        "Users?startIndex=2&count=1",
    ] {
        let list = world.get(path).await.json();
        assert_eq!(
            list.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["Resources", "totalResults"]
        );
        assert_eq!(list["Resources"].as_array().unwrap().len(), 2);
        assert_eq!(list["totalResults"], 2);
    }
}

#[tokio::test]
async fn a_user_has_the_shape_of_the_captured_ones() {
    let world = World::start(small()).await;
    let expected = json!({
        "id": ANNA, "userName": "anna@corp.example", "name": { "formatted": "Anna" }, "active": true,
        "phoneNumbers": [{ "value": "+12025550123" }],
        "meta": { "created": "2024-01-31", "location": format!("/scim/v2/Users/{ANNA}"), "resourceType": "User" },
        "schemas": user_schemas(),
        ENTERPRISE: { "division": "/" },
        ZIVVER_USER: {
            "aliases": ["a.one@corp.example"], "delegates": ["bas@corp.example"],
            "ExternalAccountId": "00000000-0000-4000-8000-0000000000e1",
        },
    });
    assert_eq!(world.get(&format!("Users/{ANNA}")).await.json(), expected);
    assert_eq!(
        world.find("Users", "userName", "ANNA@corp.example").await,
        [expected]
    );

    let bas = world.get(&format!("Users/{BAS}")).await.json();
    assert_eq!(bas[ENTERPRISE], json!({}));
    assert_eq!(bas["phoneNumbers"], json!([]));
    assert_eq!(bas.get("nickName"), None);
    assert_eq!(bas[ZIVVER_USER], json!({ "aliases": [], "delegates": [] }));
}

#[tokio::test]
async fn only_the_filter_in_evidence_is_taken() {
    let world = World::start(small()).await;
    assert_eq!(
        world.find("Users", "userName", "a.one@corp.example").await,
        Vec::<Value>::new()
    );
    for query in [
        "filter=externalId%20eq%20%22a%22",
        "filter=userName%20sw%20%22a%22",
        "filter=userName%20eq%20a",
        "filter=userName%20eq%20%22a%22%20and%20active%20eq%20true",
        "attributes=id",
    ] {
        assert_eq!(
            world.get(&format!("Users?{query}")).await.status,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_filter_reads_plus_as_a_blank_unless_it_is_encoded() {
    let world = World::start(
        Organisation::new(["corp.example"]).with_user(User::new("a+b@corp.example", "A")),
    )
    .await;
    let raw = world
        .get("Users?filter=userName%20eq%20%22a+b@corp.example%22")
        .await
        .json();
    assert_eq!(raw["totalResults"], 0);
    assert_eq!(
        world
            .find("Users", "userName", "a+b@corp.example")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn creating_forces_active_and_drops_aliases_and_delegates() {
    let world = World::start(small()).await;
    let body = user_body(json!({
        "userName": "new@corp.example", "name": { "formatted": "New" }, "active": "False",
        ENTERPRISE: { "division": "Sales" },
        ZIVVER_USER: { "aliases": ["n@corp.example"], "delegates": ["bas@corp.example"], "SsoAccountKey": "secret-1",
            "ExternalAccountId": "e2" },
    }));
    let created = world.post("Users/", body).await;
    assert_eq!(created.status, 201);
    let created = created.json();
    assert_eq!(created["active"], true);
    assert_eq!(
        created[ZIVVER_USER],
        json!({ "aliases": [], "delegates": [] })
    );
    assert_eq!(created[ENTERPRISE], json!({ "division": "Sales" }));
    assert_eq!(created["meta"]["created"], "2026-11-23");
    let stored = world
        .zivver()
        .state()
        .user("new@corp.example")
        .unwrap()
        .clone();
    assert_eq!(stored.sso_account_key.as_deref(), Some("secret-1"));
    assert_eq!(stored.external_account_id, None);
    let state = world.control(Method::GET, "state", Value::Null).await;
    assert!(state.text.contains("secret-1"), "the dump shows the key");
}

#[tokio::test]
async fn addresses_that_cannot_be_created() {
    let world = World::start(small()).await;
    let outside = || reply(400, "Account is outside the organization");
    for (address, expected) in [
        ("x@other.example", outside()),
        ("x@sub.corp.example", outside()),
        ("free@corp.example", outside()),
        ("INFO@corp.example", outside()),
        ("Anna@corp.example", reply(409, "")),
        (
            "contact@corp.example",
            reply(
                400,
                "Error creating alias: Alias is already taken for contact@corp.example",
            ),
        ),
    ] {
        let body = user_body(json!({ "userName": address, "name": { "formatted": "X" } }));
        assert_eq!(world.post("Users", body).await, expected, "{address}");
    }
    world
        .zivver()
        .with_state(|org| org.switches.duplicate_user_status = 400);
    let body = user_body(json!({ "userName": "anna@corp.example", "name": { "formatted": "X" } }));
    assert_eq!(world.post("Users", body).await, outside());
}

#[tokio::test]
async fn an_unknown_division_is_refused() {
    let world = World::start(small()).await;
    let body = user_body(json!({ ENTERPRISE: { "division": "Moon" } }));
    assert_eq!(
        world.put(&format!("Users/{ANNA}"), body).await,
        reply(400, "Invalid division: Moon")
    );
}

#[tokio::test]
async fn what_is_not_in_evidence_is_refused() {
    let world = World::start(small()).await;
    let path = format!("Users/{ANNA}");
    for body in [
        json!({ "displayName": "A" }),
        json!({ "emails": [] }),
        json!({ "name": { "givenName": "A" } }),
        json!({ "active": "maybe" }),
        json!({ ZIVVER_USER: { "aliases": [], "members": [] } }),
        json!({ ZIVVER_USER: { "externalAccountId": "wrong case" } }),
    ] {
        assert_eq!(
            world.put(&path, user_body(body.clone())).await.status,
            400,
            "{body}"
        );
    }
    let unnamed = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], ZIVVER_USER: { "aliases": [] } });
    assert_eq!(world.put(&path, unnamed).await.status, 400);
    let before = small();
    assert_eq!(world.zivver().state().users, before.users);
    let body = user_body(json!({ "active": true }));
    for content_type in ["application/scim+json", "text/plain"] {
        assert_eq!(
            world
                .with_body(Method::PUT, &path, content_type, body.clone())
                .await
                .status,
            415
        );
    }
    assert_eq!(
        world
            .with_body(Method::PATCH, &path, "application/scim+json", body)
            .await
            .status,
        405
    );
    assert_eq!(world.get("Organization").await.status, 404);
    assert_eq!(world.get("ServiceProviderConfig").await.status, 404);
    assert_eq!(
        world.get(&format!("Users/{ANNA}?count=1")).await.status,
        400
    );
    assert_eq!(
        world
            .send(
                world
                    .request(Method::GET, "Users")
                    .header("accept", "text/html")
            )
            .await
            .status,
        406
    );
}

#[tokio::test]
async fn an_unknown_id_is_400_in_plain_text() {
    let world = World::start(small()).await;
    let id = "00000000-0000-4000-8000-00000000dead";
    let expected = reply(400, &format!("Unknown account with uuid: {id}"));
    assert_eq!(world.get(&format!("Users/{id}")).await, expected);
    assert_eq!(
        world
            .put(&format!("Users/{id}"), user_body(json!({})))
            .await,
        expected
    );
    assert_eq!(world.get(&format!("Groups/{id}")).await, expected);
    assert_eq!(world.get(&format!("Users/{INFO}")).await.status, 400);
}

#[tokio::test]
async fn a_put_without_extension_keeps_it_even_if_the_schema_is_named() {
    let world = World::start(small()).await;
    let reply = world
        .put(
            &format!("Users/{ANNA}"),
            user_body(json!({ "active": "False" })),
        )
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["active"], false);
    let anna = world
        .zivver()
        .state()
        .user("anna@corp.example")
        .unwrap()
        .clone();
    assert_eq!(anna.aliases, ["a.one@corp.example"]);
    assert_eq!(anna.delegates, ["bas@corp.example"]);
    assert_eq!(anna.sso_account_key.as_deref(), Some("key-of-anna"));
    assert_eq!(anna.name, "Anna");
    assert_eq!(anna.division.as_deref(), Some("/"));
    assert_eq!(anna.phone_numbers, ["+12025550123"]);
    assert_eq!(anna.suspended_on, Some(jiff::civil::date(2026, 11, 23)));
}

#[tokio::test]
async fn an_extension_in_a_put_erases_what_it_leaves_out() {
    let world = World::start(small()).await;
    let body = user_body(json!({ ZIVVER_USER: { "aliases": ["two@corp.example"] } }));
    assert_eq!(world.put(&format!("Users/{ANNA}"), body).await.status, 200);
    let anna = world
        .zivver()
        .state()
        .user("anna@corp.example")
        .unwrap()
        .clone();
    assert_eq!(anna.aliases, ["two@corp.example"]);
    assert_eq!(anna.delegates, Vec::<String>::new());
    assert_eq!(anna.sso_account_key, None);
    assert_eq!(anna.external_account_id, None);
}

#[tokio::test]
async fn by_switch_an_extension_put_keeps_key_and_identifier() {
    let mut organisation = small();
    organisation.switches.put_erases_key = false;
    organisation.switches.put_erases_external_account_id = false;
    let world = World::start(organisation).await;
    world
        .put(
            &format!("Users/{ANNA}"),
            user_body(json!({ ZIVVER_USER: {} })),
        )
        .await;
    let anna = world
        .zivver()
        .state()
        .user("anna@corp.example")
        .unwrap()
        .clone();
    assert_eq!(anna.sso_account_key.as_deref(), Some("key-of-anna"));
    assert!(anna.external_account_id.is_some());
    assert!(anna.aliases.is_empty());
}

#[tokio::test]
async fn the_body_of_a_get_can_be_put_back() {
    let world = World::start(small()).await;
    let mut body = world.get(&format!("Users/{ANNA}")).await.json();
    let before = body.clone();
    body[ZIVVER_USER]["SsoAccountKey"] = json!("key-of-anna");
    assert_eq!(
        world.put(&format!("Users/{ANNA}"), body).await.json(),
        before
    );
    assert_eq!(world.zivver().state().users, small().users);
}

#[tokio::test]
async fn an_alias_error_rejects_the_whole_put() {
    let world = World::start(small()).await;
    let taken = "Error creating alias: Alias is already taken for ";
    for (alias, text) in [
        (
            "x@other.example",
            "Error creating alias: Domain Not Owned".to_owned(),
        ),
        ("bas@corp.example", format!("{taken}bas@corp.example")),
        (
            "contact@corp.example",
            format!("{taken}contact@corp.example"),
        ),
        ("info@corp.example", format!("{taken}info@corp.example")),
        ("free@corp.example", format!("{taken}free@corp.example")),
        (
            "guest@corp.example",
            "Error creating alias: Alias is a guest: guest@corp.example".to_owned(),
        ),
    ] {
        let extension = json!({ "aliases": ["fine@corp.example", alias], "delegates": [] });
        let body = user_body(
            json!({ "active": false, "name": { "formatted": "No" }, ZIVVER_USER: extension }),
        );
        assert_eq!(
            world.put(&format!("Users/{ANNA}"), body).await,
            reply(400, &text)
        );
    }
    assert_eq!(world.zivver().state().users, small().users);
}

#[tokio::test]
async fn an_alias_is_free_again_once_its_owner_lets_go() {
    let world = World::start(small()).await;
    let claim = user_body(json!({ ZIVVER_USER: { "aliases": ["a.one@corp.example"] } }));
    assert_eq!(
        world
            .put(&format!("Users/{BAS}"), claim.clone())
            .await
            .status,
        400
    );
    world
        .put(
            &format!("Users/{ANNA}"),
            user_body(json!({ ZIVVER_USER: { "aliases": [] } })),
        )
        .await;
    assert_eq!(world.put(&format!("Users/{BAS}"), claim).await.status, 200);
}

#[tokio::test]
async fn an_unknown_delegate_is_dropped_and_each_new_one_is_mailed() {
    let world = World::start(small()).await;
    let delegates = json!([
        "bas@corp.example",
        "nobody@corp.example",
        "anna@corp.example"
    ]);
    let body = user_body(json!({ ZIVVER_USER: { "delegates": delegates } }));
    let reply = world.put(&format!("Users/{ANNA}"), body).await;
    assert_eq!(
        reply.json()[ZIVVER_USER]["delegates"],
        json!(["bas@corp.example", "anna@corp.example"])
    );
    let mails = world.zivver().state().mails;
    assert_eq!(
        mails
            .iter()
            .map(|mail| mail.to.as_str())
            .collect::<Vec<_>>(),
        ["anna@corp.example"]
    );

    world
        .zivver()
        .with_state(|org| org.switches.unknown_delegates = UnknownDelegates::Stored);
    let body = user_body(json!({ ZIVVER_USER: { "delegates": ["nobody@corp.example"] } }));
    let reply = world.put(&format!("Users/{ANNA}"), body).await;
    assert_eq!(
        reply.json()[ZIVVER_USER]["delegates"],
        json!(["nobody@corp.example"])
    );
}

#[tokio::test]
async fn a_put_of_the_user_name_renames_in_place() {
    let world = World::start(small()).await;
    let reply = world
        .put(
            &format!("Users/{BAS}"),
            user_body(json!({ "userName": "b@corp.example" })),
        )
        .await;
    assert_eq!(reply.json()["userName"], "b@corp.example");
    assert_eq!(
        world.find("Users", "userName", "b@corp.example").await[0]["id"],
        BAS
    );
    assert!(
        world
            .find("Users", "userName", "bas@corp.example")
            .await
            .is_empty()
    );
    let anna = world.get(&format!("Users/{ANNA}")).await.json();
    assert_eq!(
        anna[ZIVVER_USER]["delegates"],
        json!(["b@corp.example"]),
        "the delegation follows"
    );
}

#[tokio::test]
async fn renaming_to_ones_own_alias_needs_three_calls() {
    let world = World::start(small()).await;
    let path = format!("Users/{ANNA}");
    let refused = reply(
        400,
        "Error creating alias: Alias is already taken for a.one@corp.example",
    );
    let rename = user_body(json!({ "userName": "a.one@corp.example" }));
    assert_eq!(world.put(&path, rename.clone()).await, refused);
    let at_once = json!({ "userName": "a.one@corp.example", ZIVVER_USER: { "aliases": ["anna@corp.example"] } });
    assert_eq!(world.put(&path, user_body(at_once.clone())).await, refused);

    assert_eq!(
        world
            .put(&path, user_body(json!({ ZIVVER_USER: { "aliases": [] } })))
            .await
            .status,
        200
    );
    assert_eq!(world.put(&path, rename).await.status, 200);
    let old = user_body(json!({ ZIVVER_USER: { "aliases": ["anna@corp.example"] } }));
    assert_eq!(
        world.put(&path, old).await.json()["userName"],
        "a.one@corp.example"
    );

    let lenient = World::start(small()).await;
    lenient
        .zivver()
        .with_state(|org| org.switches.rename_over_own_addresses = true);
    let renamed = lenient.put(&path, user_body(at_once)).await.json();
    assert_eq!(renamed["userName"], "a.one@corp.example");
    assert_eq!(
        renamed[ZIVVER_USER]["aliases"],
        json!(["anna@corp.example"])
    );
}

#[tokio::test]
async fn renaming_onto_another_account_is_refused() {
    let world = World::start(small()).await;
    for (address, status) in [
        ("bas@corp.example", 409),
        ("info@corp.example", 400),
        ("a@other.example", 400),
    ] {
        let reply = world
            .put(
                &format!("Users/{ANNA}"),
                user_body(json!({ "userName": address })),
            )
            .await;
        assert_eq!(reply.status, status, "{address}");
    }
}

#[tokio::test]
async fn deleting_is_final() {
    let world = World::start(small()).await;
    let path = format!("Users/{BAS}");
    assert_eq!(
        world.send(world.request(Method::DELETE, &path)).await,
        reply(204, "")
    );
    let gone = reply(400, &format!("Unknown account with uuid: {BAS}"));
    assert_eq!(world.get(&path).await, gone);
    assert_eq!(world.send(world.request(Method::DELETE, &path)).await, gone);
}

#[tokio::test]
async fn lists_can_be_capped_paged_and_wrong() {
    let mut organisation = Organisation::new(["corp.example"]);
    for number in 0..5 {
        organisation.add_user(User::new(&format!("u{number}@corp.example"), "U"));
    }
    let world = World::start(organisation).await;
    let ids = async |path: &str| {
        let list = world.get(path).await.json();
        let ids = list["Resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["id"].to_string());
        (ids.collect::<Vec<_>>(), list["totalResults"].as_u64())
    };
    let (whole, _) = ids("Users").await;
    assert_eq!(
        ids("Users").await.0,
        whole,
        "the order depends on the seed alone"
    );

    world
        .zivver()
        .with_state(|org| org.switches.list_count_max = Some(2));
    assert_eq!(
        ids("Users?startIndex=3&count=2").await,
        (whole[..2].to_vec(), Some(5))
    );
    world
        .zivver()
        .with_state(|org| org.switches.paging = Paging::Honoured);
    assert_eq!(
        ids("Users?startIndex=3&count=9").await,
        (whole[2..4].to_vec(), Some(5))
    );
    assert_eq!(ids("Users?startIndex=6").await, (Vec::new(), Some(5)));
    world
        .zivver()
        .with_state(|org| org.switches.paging = Paging::PastEndRepeats);
    assert_eq!(
        ids("Users?startIndex=6").await,
        (whole[..2].to_vec(), Some(5))
    );

    world.zivver().with_state(|org| {
        org.switches.list_count_max = None;
        org.switches.list_repeats = 1;
        org.switches.list_omits = 2;
        org.switches.total_results = TotalResults::TooHighBy(3);
    });
    let expected = [&whole[..3], &whole[..1]].concat();
    assert_eq!(ids("Users").await, (expected, Some(8)));
    world
        .zivver()
        .with_state(|org| org.switches.total_results = TotalResults::Missing);
    assert_eq!(ids("Users").await.1, None);
}

#[tokio::test]
async fn a_new_account_can_be_missing_from_lists_for_a_while() {
    let mut organisation = small();
    organisation.switches.stale_reads_after_post = 2;
    let world = World::start(organisation).await;
    let body = user_body(json!({ "userName": "new@corp.example", "name": { "formatted": "New" } }));
    let id = world.post("Users", body).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(world.get(&format!("Users/{id}")).await.status, 200);
    assert_eq!(world.get("Users").await.json()["totalResults"], 2);
    assert!(
        world
            .find("Users", "userName", "new@corp.example")
            .await
            .is_empty()
    );
    assert_eq!(
        world
            .find("Users", "userName", "new@corp.example")
            .await
            .len(),
        1
    );
    assert_eq!(world.get("Users").await.json()["totalResults"], 3);
}
