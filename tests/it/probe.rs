//! `check --probe`: what it finds out about tenants that differ, and what it never tells.

use cloud_sync::{
    domain::probe::AnswerSheet,
    sandbox::{exchange::Expand, tenant},
};

use crate::world::World;

async fn probe(expand: Expand) -> (AnswerSheet, World) {
    let (mut exchange, organisation) = tenant::generate(4, 40);
    exchange.switches.expand_permissions = expand;
    let world = World::with(exchange, organisation, &[]).await;
    (world.engine.probe().await.unwrap(), world)
}

fn answer<'a>(sheet: &'a AnswerSheet, question: &str) -> &'a str {
    let mut all = sheet.answers.iter();
    let found = all.find(|probed| probed.question == question);
    &found
        .unwrap_or_else(|| panic!("{question}: {sheet:#?}"))
        .answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_follow_the_tenant() {
    let expands = "Does the list expand MailboxPermission?";
    let (refused, _) = probe(Expand::Refused).await;
    assert!(answer(&refused, expands).starts_with("400;"));
    assert_eq!(
        refused.permissions_ms.keys().collect::<Vec<_>>(),
        [&"batch", &"get"]
    );
    let (ignored, _) = probe(Expand::Ignored).await;
    assert_eq!(
        answer(&ignored, expands),
        "200; 0 of 2 rows have permissions"
    );
    assert!(!ignored.permissions_ms.contains_key("expand"));
    let (served, _) = probe(Expand::Served).await;
    assert_eq!(
        answer(&served, expands),
        "200; 2 of 2 rows have permissions"
    );
    assert_eq!(
        served.permissions_ms.keys().collect::<Vec<_>>(),
        [&"batch", &"expand", &"get"]
    );
    assert!(served.permissions_ms.contains_key(served.fastest.unwrap()));
    assert!(answer(&served, "Does $batch take 10?").starts_with("200; 10 of 10 good;"));
    assert!(answer(&served, "Does $batch take 11?").starts_with("400;"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sheet_names_nobody_and_nothing_is_written() {
    let (sheet, world) = probe(Expand::Served).await;
    let text = serde_json::to_string(&sheet).unwrap();
    let state = world.sandbox.zivver.state();
    for secret in ["@", "corp", sandbox::zivver::API_KEY] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    for user in &state.users {
        assert!(
            !text.contains(&user.id) && !text.contains(&user.name),
            "{text}"
        );
    }
    let journal = world.sandbox.zivver.control().journal();
    assert!(journal.iter().all(|entry| entry.method == "GET"));
}
