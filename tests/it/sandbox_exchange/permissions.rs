//! Items 15 to 18: permissions by OData.

use cloud_sync::sandbox::exchange::SelfEntry;

use super::*;

async fn desk() -> Bench {
    let tenant = Tenant::new("corp.example")
        .user("ann@corp.example")
        .mailbox(
            sandbox::exchange::Mailbox::shared("desk@corp.example")
                .with_name("Front desk")
                .with_upn("desk@corp.onmicrosoft.example")
                .with_alias_address("receptions?>@corp.example"),
        )
        .security_group("Desk Team", &["ann@corp.example"])
        .discovery();
    Bench::new(tenant).await
}

#[track_caller]
fn users(answer: &Answer) -> String {
    answer.column("User").join(" | ")
}

#[tokio::test]
async fn c15_every_identity_is_a_key() {
    let bench = desk().await;
    let desk = bench.simulator.read(|tenant| tenant.mailboxes[1].clone());
    for identity in [
        desk.user_principal_name.as_str(),
        "DESK@corp.example",
        "receptions?>@corp.example",
        &desk.edoid,
        &desk.guid,
        "front desk",
    ] {
        let encoded = bench.get(&permission_path(identity)).await;
        assert_eq!(
            encoded.rows()[0]["MailboxIdentity"],
            "Front desk",
            "{identity}"
        );
    }
    let raw = bench
        .get("/Mailbox('desk@corp.example')/MailboxPermission")
        .await;
    assert_eq!(users(&raw), "NT AUTHORITY\\SELF");
    let context = |answer: &Answer| answer.ok()["@odata.context"].as_str().unwrap().to_owned();
    let plain = bench
        .get("/Mailbox('ZGVza0Bjb3JwLmV4YW1wbGU=')/MailboxPermission?isEncoded=true")
        .await;
    assert!(context(&plain).ends_with("#Mailbox('ZGVza0Bjb3JwLmV4YW1wbGU=')/MailboxPermission"));
    let escaped = bench
        .get("/Mailbox('ZGVza0Bjb3JwLmV4YW1wbGU%3D')/MailboxPermission?isEncoded=true")
        .await;
    assert!(
        context(&escaped).ends_with("#Mailbox('ZGVza0Bjb3JwLmV4YW1wbGU%3D')/MailboxPermission")
    );
}

#[tokio::test]
async fn c15_bad_keys_and_options_are_refused() {
    let bench = desk().await;
    // The base64 of this address contains a plus sign.
    let key = STANDARD.encode("receptions?>@corp.example");
    assert!(key.contains('+'), "{key}");
    let literal = bench
        .get(&format!(
            "/Mailbox('{key}')/MailboxPermission?isEncoded=true"
        ))
        .await;
    assert_eq!(literal.status, 400);
    for (path, status) in [
        (
            "/Mailbox('ZGVza0Bjb3Jw!')/MailboxPermission?isEncoded=true",
            400,
        ),
        ("/Mailbox('/w==')/MailboxPermission?isEncoded=true", 404),
        (
            "/Mailbox('%2Fw%3D%3D')/MailboxPermission?isEncoded=true",
            400,
        ),
        (
            "/Mailbox('ZGVza0Bjb3JwLmV4YW1wbGU=')/MailboxPermission",
            404,
        ),
        (
            "/Mailbox('desk@corp.example')/MailboxPermission?isEncoded=yes",
            400,
        ),
        (
            "/Mailbox('desk@corp.example')/MailboxPermission?$top=1",
            400,
        ),
        (
            "/Mailbox('desk@corp.example')/MailboxPermission?User=ann",
            404,
        ),
        ("/Mailbox(desk@corp.example)/MailboxPermission", 404),
        ("/Mailbox('')/MailboxPermission", 404),
    ] {
        assert_eq!(bench.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn c16_self_is_always_there_in_its_old_or_new_form() {
    let bench = desk().await;
    let form = async |entry| {
        bench
            .simulator
            .with_state(|tenant| tenant.mailboxes[1].self_entry = entry);
        let answer = bench.get(&permission_path("desk@corp.example")).await;
        let list = answer
            .rows()
            .first()
            .map(|row| row["PermissionList"].clone());
        let kinds = list.iter().flat_map(|list| list.as_array().unwrap());
        kinds
            .map(|it| it["InheritanceType"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(form(SelfEntry::New).await, ["None", "Descendents"]);
    assert_eq!(form(SelfEntry::Old).await, ["All"]);
    assert!(form(SelfEntry::Missing).await.is_empty());
}

#[tokio::test]
async fn c17_trustees_are_shown_as_exchange_shows_them() {
    let bench = desk().await;
    bench.simulator.with_state(|tenant| {
        let desk = "desk@corp.example";
        tenant.grant(desk, "ann@corp.example", |_| ());
        tenant.grant(desk, "ann@corp.example", |it| {
            it.deny = true;
            it.inheritance_type = "Children".to_owned();
        });
        tenant.grant(desk, "desk-team@corp.example", |it| it.inherited = true);
        tenant.grant(desk, "S-1-5-21-1-2-3-4711", |_| ());
        tenant.grant(desk, "CORP\\old", |it| {
            it.access_rights = vec!["ReadPermission".into()];
        });
    });
    let answer = bench.get(&permission_path("desk@corp.example")).await;
    assert_eq!(
        users(&answer),
        "NT AUTHORITY\\SELF | ann@corp.example | Desk Team | S-1-5-21-1-2-3-4711 | CORP\\old"
    );
    let rows = answer.rows();
    insta::assert_snapshot!(rows[1], @r#"{"IsOwner":false,"MailboxIdentity":"Front desk","PermissionId":"YW5uQGNvcnAuZXhhbXBsZQ==","PermissionList":[{"AccessRights":["FullAccess"],"ChangedProperties":[],"Deny":false,"InheritanceType":"All","IsInherited":false},{"AccessRights":["FullAccess"],"ChangedProperties":[],"Deny":true,"InheritanceType":"Children","IsInherited":false}],"User":"ann@corp.example"}"#);
    assert_eq!(rows[2]["PermissionList"][0]["IsInherited"], json!(true));
    assert_eq!(
        rows[4]["PermissionList"][0]["AccessRights"],
        json!(["ReadPermission"])
    );
    bench
        .simulator
        .switch(|switches| switches.orphans_shown = false);
    let hidden = bench.get(&permission_path("desk@corp.example")).await;
    assert!(!users(&hidden).contains("S-1-5-21-1-2-3-4711"));
    let upn = bench
        .simulator
        .read(|tenant| tenant.mailboxes[2].user_principal_name.clone());
    let discovery = bench.get(&permission_path(&upn)).await;
    assert_eq!(
        users(&discovery),
        "NT AUTHORITY\\SELF | Discovery Management"
    );
}

#[tokio::test]
async fn c18_a_mailbox_deleted_after_the_list_is_404() {
    let bench = desk().await;
    assert_eq!(bench.get("/Mailbox").await.rows().len(), 3);
    assert!(
        bench
            .simulator
            .with_state(|tenant| tenant.remove_mailbox("desk@corp.example"))
    );
    let answer = bench.get(&permission_path("desk@corp.example")).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], "NotFound");
    assert_eq!(answer.cause(), "An server side error occured.");
}
