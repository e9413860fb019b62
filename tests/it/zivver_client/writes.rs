//! Writes, their repetitions, and lost answers (R23, R24, R29, R31, R32).

use cloud_sync::{
    sandbox::zivver::{Group, Switches},
    zivver::{CallError, Creation, RefusalKind, WriteError},
};
use serde_json::json;

use super::*;

const DORA: &str = "dora@corp.example";

async fn create_dora(world: &World) -> Result<Creation<UserAccount>, WriteError> {
    create_user(world, &address(DORA)).await
}

async fn create_user(
    world: &World,
    address: &SmtpAddress,
) -> Result<Creation<UserAccount>, WriteError> {
    let key = key();
    world
        .client
        .create_user(address, "Dora", key.as_ref())
        .await
}

#[tokio::test(start_paused = true)]
async fn r24_a_user_is_created_with_its_key() {
    let world = World::of(organisation());
    let created = create_dora(&world).await;
    let created = created.unwrap();
    assert!(created.account.active && !created.is_found);
    assert_eq!(world.calls(), ["POST 201"]);
    assert_eq!(
        world.journal()[0].headers["content-type"],
        "application/json"
    );
    let stored = world.zivver.state().user(DORA).unwrap().clone();
    assert_eq!(
        (stored.name.as_str(), stored.sso_account_key.as_deref()),
        ("Dora", Some(KEY))
    );
}

#[tokio::test(start_paused = true)]
async fn a_suspension_leaves_extension_and_key_alone() {
    let world = World::of(organisation());
    let anna = id_of(&world.zivver, "anna@corp.example");
    let suspend = UserUpdate {
        active: Some(false),
        ..UserUpdate::default()
    };
    let after = world
        .client
        .update_user(&anna, &suspend)
        .await
        .unwrap()
        .unwrap();
    assert!(!after.active);
    let body = world.last_body();
    let members: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["active", "schemas"]);
    let stored = world
        .zivver
        .state()
        .user("anna@corp.example")
        .unwrap()
        .clone();
    assert_eq!(stored.sso_account_key.as_deref(), Some(KEY));
}

#[tokio::test(start_paused = true)]
async fn r23_an_extension_put_keeps_identifier_and_key() {
    let mut seed = organisation();
    let anna = seed.user_mut("anna@corp.example").unwrap();
    anna.external_account_id = Some("E1".into());
    anna.aliases = vec!["Old@corp.example".into()];
    let world = World::of(seed);
    let anna = world
        .client
        .find_user(&address("anna@corp.example"))
        .await
        .unwrap()
        .unwrap();
    let aliases = [address("old@corp.example"), address("new@corp.example")];
    let write = with_aliases(&anna.extension, &aliases);
    world
        .client
        .update_user(&anna.id, &write)
        .await
        .unwrap()
        .unwrap();
    let put = world.journal().pop().unwrap();
    assert_eq!(put.headers["content-type"], "application/json");
    let stored = world
        .zivver
        .state()
        .user("anna@corp.example")
        .unwrap()
        .clone();
    assert_eq!(stored.aliases, ["Old@corp.example", "new@corp.example"]);
    assert_eq!(stored.external_account_id.as_deref(), Some("E1"));
    assert_eq!(stored.sso_account_key.as_deref(), Some(KEY));
}

#[tokio::test(start_paused = true)]
async fn a_functional_account_is_created_changed_and_emptied() {
    let world = World::of(organisation());
    let anna = id_of(&world.zivver, "anna@corp.example");
    let bert = id_of(&world.zivver, "bert@corp.example");
    let write = FunctionalUpdate {
        name: Some("Info".into()),
        members: Some(vec![anna.clone()]),
        extension: Some(FunctionalExtensionUpdate {
            read: Extension::default(),
            aliases: vec![address("i@corp.example")],
        }),
    };
    let info = address("info@corp.example");
    let aliases = [address("i@corp.example")];
    let created = world
        .client
        .create_group(&info, "Info", &[anna], &aliases)
        .await
        .unwrap();
    let id = created.account.id.clone();
    assert!(
        created.account.extension.aliases.is_empty(),
        "dropped by Zivver"
    );
    let after = world
        .client
        .update_group(&id, &write)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(after.extension.aliases, [address("i@corp.example")]);
    for members in [vec![bert], Vec::new()] {
        let after = world.client.set_members(&id, &members).await.unwrap();
        assert_eq!(after.unwrap().members, members);
        let headers = world.journal().pop().unwrap().headers;
        assert_eq!(headers["content-type"], "application/scim+json");
        assert_eq!(headers["accept"], "application/scim+json");
    }
    assert_eq!(
        world.calls(),
        ["POST 201", "PUT 200", "PATCH 200", "PATCH 200"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_account_is_still_a_success() {
    let world = World::of(organisation());
    let anna = id_of(&world.zivver, "anna@corp.example");
    for kind in [
        FaultKind::EmptyOk,
        status(204, &[], ""),
        status(202, &[], "queued"),
        status(
            200,
            &[],
            r#"{"id":"another","userName":"bert@corp.example"}"#,
        ),
    ] {
        world.fault(kind);
        let after = world.client.update_user(&anna, &named("Ann")).await;
        assert_eq!(after.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn r31_an_update_is_repeated_when_that_may_help() {
    let world = World::of(organisation());
    let anna = id_of(&world.zivver, "anna@corp.example");
    for kind in [
        FaultKind::ResetBefore,
        FaultKind::ResetAfter,
        FaultKind::HangAfter,
        FaultKind::HtmlError { status: 502 },
        status(429, &[("retry-after", "3")], ""),
    ] {
        world.fault(kind.clone());
        let after = world.client.update_user(&anna, &named("Ann")).await;
        assert_eq!(after.unwrap().unwrap().name, "Ann", "{kind:?}");
    }
    assert_eq!(world.calls().len(), 10);
    let start = tokio::time::Instant::now();
    world.fault(status(429, &[("retry-after", "86400")], ""));
    world
        .client
        .update_user(&anna, &named("Ann"))
        .await
        .unwrap();
    assert_eq!(start.elapsed(), s(60), "an absurd wait is cut");
    world
        .zivver
        .control()
        .inject(Fault::always(status(429, &[], "")));
    let error = world
        .client
        .update_user(&anna, &named("Ann"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, WriteError::Failed(CallError::Unavailable { .. })),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn r31_a_creation_whose_answer_was_lost_is_looked_up() {
    for kind in [
        FaultKind::ResetAfter,
        FaultKind::HangAfter,
        FaultKind::EmptyOk,
        FaultKind::TruncatedJson { full_length: false },
        FaultKind::TruncatedJson { full_length: true },
        FaultKind::HugeBody { bytes: 1 << 30 },
        FaultKind::ReplaceBody {
            status: 500,
            body: String::new(),
        },
    ] {
        for stale_reads in [0, 2] {
            let world = World::with_switches(|it| it.stale_reads_after_post = stale_reads);
            world.fault(kind.clone());
            let created = create_dora(&world).await.unwrap();
            assert!(created.is_found, "{kind:?}");
            assert_eq!(
                world.zivver.control().counters().method("POST"),
                1,
                "{kind:?}"
            );
            assert_eq!(world.zivver.state().users.len(), 4);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r31_a_creation_that_did_not_happen_is_repeated_after_looking() {
    for (kind, expected) in [
        (
            FaultKind::ResetBefore,
            &["POST lost", "GET 200", "GET 200", "GET 200", "POST 201"][..],
        ),
        (
            status(503, &[], ""),
            &["POST 503", "GET 200", "GET 200", "GET 200", "POST 201"],
        ),
        (status(429, &[], ""), &["POST 429", "POST 201"]),
    ] {
        let world = World::of(organisation());
        world.fault(kind);
        let created = create_dora(&world).await.unwrap();
        assert!(!created.is_found);
        assert_eq!(world.calls(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn r31_a_lost_creation_that_reads_hide_for_long_is_ours_all_the_same() {
    let world = World::with_switches(|it| it.stale_reads_after_post = 4);
    world.fault(FaultKind::ResetAfter);
    let created = create_dora(&world).await.unwrap();
    assert!(created.is_found);
    let expected = [
        "POST lost",
        "GET 200",
        "GET 200",
        "GET 200",
        "POST 409",
        "GET 200",
        "GET 200",
    ];
    assert_eq!(world.calls(), expected);
}

#[tokio::test(start_paused = true)]
async fn r31_a_lost_creation_that_reads_hide_for_too_long_is_no_refusal() {
    let world = World::with_switches(|it| it.stale_reads_after_post = 20);
    world.fault(FaultKind::ResetAfter);
    let error = create_dora(&world).await.unwrap_err();
    assert!(
        matches!(error, WriteError::Failed(CallError::Unavailable { .. })),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn r31_a_creation_of_unknown_end_is_not_repeated() {
    let world = World::of(organisation());
    world.fault(FaultKind::ResetBefore);
    world
        .zivver
        .control()
        .inject(Fault::always(status(503, &[], "")).method("GET"));
    let error = create_dora(&world).await.unwrap_err();
    assert!(
        matches!(error, WriteError::Failed(CallError::Unavailable { .. })),
        "{error}"
    );
    assert_eq!(world.zivver.control().counters().method("POST"), 1);
}

#[tokio::test(start_paused = true)]
async fn r31_an_address_that_exists_is_an_update() {
    let status_400 = |it: &mut Switches| it.duplicate_user_status = 400;
    for edit in [|_: &mut Switches| {}, status_400] {
        let world = World::with_switches(edit);
        let anna = address("anna@corp.example");
        let created = create_user(&world, &anna).await.unwrap();
        assert!(created.is_found && created.account.name == "Anna");
    }
    let world = World::of(organisation().with_group(Group::new("info@corp.example", "Info")));
    let info = address("info@corp.example");
    let created = world.client.create_group(&info, "Other", &[], &[]).await;
    let created = created.unwrap();
    assert!(created.is_found);
    let error = create_user(&world, &info).await.unwrap_err();
    let WriteError::Failed(CallError::Refused(refusal)) = &error else {
        panic!("{error}")
    };
    assert_eq!(refusal.kind, RefusalKind::OutsideOrganization);
    insta::assert_snapshot!(error, @"cannot create a user account: Zivver answered 400 (Account is outside the organization); claim the domain in Zivver; adopt the free account and have its user log in once; or, if the address is an account of the other kind, convert that in the Zivver WebApp");
}

#[tokio::test(start_paused = true)]
async fn r32_refusals_are_told_apart() {
    let mut seed = organisation();
    seed.guests.push("guest@corp.example".into());
    let world = World::of(seed);
    let anna = id_of(&world.zivver, "anna@corp.example");
    let guest = address("guest@corp.example");
    let taken = address("bert@corp.example");
    for (alias, expected) in [
        (&guest, RefusalKind::AliasGuest(Some(guest.clone()))),
        (&taken, RefusalKind::AliasTaken(Some(taken.clone()))),
        (&address("a@elsewhere.example"), RefusalKind::DomainNotOwned),
    ] {
        let write = with_aliases(&Extension::default(), std::slice::from_ref(alias));
        let error = world.client.update_user(&anna, &write).await.unwrap_err();
        let WriteError::Failed(CallError::Refused(refusal)) = error else {
            panic!("{error}")
        };
        assert_eq!((refusal.status, refusal.kind), (400, expected));
    }
    let nobody = ScimId::new("../Groups/none?x");
    let error = world
        .client
        .update_user(&nobody, &named("X"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, WriteError::Failed(CallError::Refused(refusal)) if refusal.kind == RefusalKind::UnknownAccount),
        "{error}"
    );
    let unknown = [ScimId::new("00000000-0000-0000-0000-00000000dead")];
    let error = world
        .client
        .create_group(&address("info@corp.example"), "Info", &unknown, &[])
        .await;
    assert!(matches!(
        error,
        Err(WriteError::Failed(CallError::Refused(refusal))) if refusal.kind == RefusalKind::UnknownMember
    ));
    let long = format!("no\r\n\u{7}{}", "é".repeat(2000));
    world.fault(status(418, &[], &long));
    let error = world
        .client
        .update_user(&anna, &named("Ann"))
        .await
        .unwrap_err();
    let WriteError::Failed(CallError::Refused(refusal)) = error else {
        panic!("{error}")
    };
    assert!(refusal.text.starts_with("no é") && refusal.text.chars().count() <= 501);
}

#[tokio::test(start_paused = true)]
async fn r32_a_refused_key_stops_at_once() {
    let world = World::of(organisation());
    let anna = id_of(&world.zivver, "anna@corp.example");
    world.fault(status(401, &[], ""));
    let error = world
        .client
        .update_user(&anna, &named("Ann"))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        WriteError::Failed(CallError::Unauthorized { .. })
    ));
    world.fault(status(403, &[], ""));
    let error = create_dora(&world).await.unwrap_err();
    assert!(matches!(
        error,
        WriteError::Failed(CallError::Forbidden { .. })
    ));
    assert_eq!(world.calls(), ["PUT 401", "POST 403"]);
}

#[tokio::test(start_paused = true)]
async fn r29_every_attempt_to_write_asks_first() {
    let world = World::of(organisation());
    let anna = id_of(&world.zivver, "anna@corp.example");
    world.may_write.store(false, Ordering::Relaxed);
    let suspended = world.client.update_user(&anna, &named("Ann")).await;
    assert!(matches!(suspended, Err(WriteError::Stopped { .. })));
    let created = create_dora(&world).await;
    assert!(matches!(created, Err(WriteError::Stopped { .. })));
    let patched = world.client.set_members(&anna, &[]).await;
    assert!(matches!(patched, Err(WriteError::Stopped { .. })));
    assert!(world.calls().is_empty());
    assert_eq!(
        world.client.users().await.unwrap().accounts.len(),
        3,
        "reads go on"
    );
}

#[tokio::test(start_paused = true)]
async fn r29_a_lock_lost_between_two_attempts_stops_the_second() {
    let world = World::of(organisation());
    let anna = id_of(&world.zivver, "anna@corp.example");
    world.fault(status(503, &[("retry-after", "5")], ""));
    let write = named("Ann");
    let (error, ()) = tokio::join!(world.client.update_user(&anna, &write), async {
        tokio::time::sleep(s(1)).await;
        world.may_write.store(false, Ordering::Relaxed);
    });
    assert!(matches!(error, Err(WriteError::Stopped { .. })));
    assert_eq!(world.calls(), ["PUT 503"]);
}

#[tokio::test(start_paused = true)]
async fn a_user_is_renamed_in_place() {
    let world = World::of(organisation());
    let anna = id_of(&world.zivver, "anna@corp.example");
    let rename = UserUpdate {
        address: Some(address("ann@corp.example")),
        ..UserUpdate::default()
    };
    let after = world
        .client
        .update_user(&anna, &rename)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(after.address.as_str(), "ann@corp.example");
    assert_eq!(world.last_body()["userName"], json!("ann@corp.example"));
}
