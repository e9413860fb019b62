//! `check --probe`: what it finds out about different tenants, and what it must not reveal.

use cloud_sync::{domain::probe::AnswerSheet, sandbox::tenant};

use crate::world::World;

async fn probe() -> (AnswerSheet, World) {
    let (exchange, organisation) = tenant::generate(4, 40);
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
    let (sheet, _) = probe().await;
    let speeds = answer(
        &sheet,
        "How long does each EXO_PERMISSIONS take for a mailbox?",
    );
    assert!(
        speeds.starts_with("get: ") && speeds.contains(" ms; batch: ") && speeds.ends_with(" ms"),
        "{speeds}"
    );
    assert_eq!(
        answer(&sheet, "How many of 20 reads at once are refused?"),
        "0"
    );
    assert_eq!(
        answer(&sheet, "Mailbox?$select=UserPrincipalName"),
        "200; 1 rows and a link to more"
    );
    let unknown = answer(&sheet, "Mailbox('AAAA')/MailboxPermission?isEncoded=true");
    assert!(unknown.starts_with("404;"), "{unknown}");
    assert!(answer(&sheet, "GET Users?count=1").starts_with("200; "));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sheet_names_nobody_and_nothing_is_written() {
    let (sheet, world) = probe().await;
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
