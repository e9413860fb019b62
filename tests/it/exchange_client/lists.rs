//! The mailbox list is complete, or the result is an error.

use super::*;

#[tokio::test(start_paused = true)]
async fn r1_three_pages_are_one_list() {
    let service = fake(|seen| {
        assert_eq!(seen.header("prefer"), "odata.maxpagesize=1000");
        assert_eq!(
            seen.header("x-anchormailbox"),
            "APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@11111111-1111-4111-8111-111111111111"
        );
        assert_eq!(seen.header("accept-encoding"), "");
        assert_eq!(seen.header("accept"), "application/json");
        match page_number(seen) {
            1 => {
                assert!(seen.uri.query().unwrap().contains("AccountDisabled"));
                page(0..1000, Some(&link_to(2).replace(".com/", ".com:446/")))
            }
            2 => page(999..1999, Some(&link_to(3))),
            _ => page(1999..3000, Some(" ")),
        }
    });
    let client = client(service);
    let mut heard = Vec::new();
    let list = client
        .mailboxes(|progress| heard.push((progress.pages, progress.rows)))
        .await
        .unwrap();
    let ids: Vec<_> = list
        .mailboxes
        .iter()
        .map(|mailbox| mailbox.object_id.clone().unwrap())
        .collect();
    assert_eq!(ids, (0..3000).map(id).collect::<Vec<_>>());
    assert_eq!((list.pages, list.repeated_rows), (3, 1));
    // A row moved, so another row may have been missed. The list is read once more.
    let once = [(1, 1000), (2, 1999), (3, 3000)];
    assert_eq!(heard, [once, once].concat());
    assert_eq!(client.counters().read().by_kind["mailbox list"], 6);
    assert_eq!(client.token().await.unwrap().warning, None);
}

#[tokio::test(start_paused = true)]
async fn r1_a_doubtful_list_is_an_error() {
    type Answers = fn(&Seen) -> Response;
    let cases: [(&str, Answers); 12] = [
        ("repeated link", |seen| match page_number(seen) {
            1 => page(0..10, Some(&link_to(2))),
            _ => page(10..20, Some(&link_to(2))),
        }),
        ("repeated page", |seen| {
            page(0..10, Some(&link_to(page_number(seen) + 1)))
        }),
        ("reordered page", |seen| match page_number(seen) {
            1 => page(0..10, Some(&link_to(2))),
            _ => page((0..10).rev(), None),
        }),
        ("endless", |seen| {
            let number = page_number(seen);
            page(number..=number, Some(&link_to(number + 1)))
        }),
        ("foreign link", |_| {
            page(0..10, Some("https://evil.example/Mailbox"))
        }),
        ("gone on page 2", |seen| match page_number(seen) {
            1 => page(0..10, Some(&link_to(2))),
            _ => status(404),
        }),
        ("empty on page 2", |seen| match page_number(seen) {
            1 => page(0..10, Some(&link_to(2))),
            _ => status(200),
        }),
        ("no value", |_| {
            json_response(&json!({"@odata.context": "x"}))
        }),
        ("truncated", |_| {
            "{\"value\":[{\"ObjectKey\":\"2222".into_response()
        }),
        ("html", |_| "<html>Sign in</html>".into_response()),
        ("more without link", |_| {
            json_response(
                &json!({"value": [row(1)], "@adminapi.warnings": ["There are more results available"]}),
            )
        }),
        ("foreign redirect", |_| {
            (StatusCode::FOUND, [("location", "https://evil.example/")]).into_response()
        }),
    ];
    let mut said = Vec::new();
    for (name, answers) in cases {
        let error = list(&client(fake(answers))).await.unwrap_err();
        said.push(format!("{name}: {error}"));
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
    repeated link: read the mailbox list, page 2: a link came twice, so the list does not advance; the list is incomplete and was not used: run again
    repeated page: read the mailbox list, page 2: a page came twice, so the list does not advance; the list is incomplete and was not used: run again
    reordered page: read the mailbox list, page 2: a page came twice, so the list does not advance; the list is incomplete and was not used: run again
    endless: read the mailbox list, page 1000: no end after 1000 pages; the list is incomplete and was not used: run again
    foreign link: read the mailbox list: a link to another place, https://evil.example; check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    gone on page 2: read the mailbox list, page 2: HTTP 404, Not Found; the list is incomplete and was not used: run again
    empty on page 2: read the mailbox list, page 2: HTTP 200, an empty body; check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    no value: read the mailbox list: HTTP 200, the answer has no `value` (Request-Id 44444444-0000-4000-8000-000000000001); check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    truncated: read the mailbox list: HTTP 200, truncated JSON (line 1, column 28); check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    html: read the mailbox list: HTTP 200, no JSON (line 1, column 1); check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    more without link: read the mailbox list: more rows exist, but no link to them came; the list is incomplete and was not used: run again
    foreign redirect: read the mailbox list: HTTP 302, a link to another place, https://evil.example; check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    "#);
}

#[tokio::test(start_paused = true)]
async fn an_expired_link_starts_the_list_again_twice_at_most() {
    const USUAL: &str = "Expired or Invalid pagination request. Default Expiry time is 00:30:00";
    for (failures, text, expected) in [
        (2, USUAL, true),
        (2, "The continuation has Expired.", true),
        (3, USUAL, false),
    ] {
        let expired = AtomicUsize::new(0);
        let service = fake(move |seen| match page_number(seen) {
            1 => page(0..10, Some(&link_to(2))),
            _ if expired.fetch_add(1, Ordering::SeqCst) < failures => {
                error(400, "System.InvalidOperationException", text)
            }
            _ => page(10..20, None),
        });
        let list = list(&client(service)).await;
        assert_eq!(
            list.as_ref().ok().map(|list| list.mailboxes.len()),
            expected.then_some(20)
        );
        assert!(expected || matches!(list, Err(ExchangeError::Paging(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn r5_wrong_types_are_named_and_the_rest_is_read() {
    let service = fake(|_| {
        json_response(
            &json!({"value": [row(1), {"ObjectKey": id(2), "DisplayName": ["x"], "AccountDisabled": "True"}]}),
        )
    });
    let list = list(&client(service)).await.unwrap();
    assert_eq!(list.mailboxes[1].malformed, ["DisplayName"]);
    assert_eq!(list.mailboxes[1].account_disabled, Some(true));
    assert_eq!(list.mailboxes[1].object_id.as_deref(), Some(id(2).as_str()));
}

#[tokio::test(start_paused = true)]
async fn r16_an_object_that_is_listed_with_two_contents_is_kept_with_both() {
    let other = json!({"ObjectKey": id(1), "PrimarySmtpAddress": "other@corp.example"});
    for rows in [
        [row(1), other.clone(), row(1), row(2)],
        [row(1), row(2), row(1), other],
    ] {
        let rows = Arc::new(rows);
        let service = fake(move |_| json_response(&json!({"value": *rows})));
        let client = client(service);
        let list = list(&client).await.unwrap();
        assert_eq!((list.mailboxes.len(), list.repeated_rows), (3, 0));
        let normalised = client.normalised_mailboxes(|_| ()).await.unwrap();
        assert_eq!(normalised.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_value_is_asked_for_again() {
    let service = fake(|seen| match seen.number {
        0 => json_response(&json!({})),
        _ => page(0..10, None),
    });
    assert_eq!(list(&client(service)).await.unwrap().mailboxes.len(), 10);
}
