//! Lists are complete, or the result is an error (R1).

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use cloud_sync::{
    domain::account::UserAccount,
    sandbox::zivver::{Group, Paging, TotalResults},
    zivver::{CallError, Listed, ReadError, RefusalKind},
};
use serde_json::json;

use super::*;

#[tokio::test(start_paused = true)]
async fn r1_lists_come_whole_in_one_call() {
    let mut organisation = organisation();
    organisation.switches.external_account_id_name = "externalaccountID".into();
    let anna = organisation.user("anna@corp.example").unwrap().id.clone();
    let bert = organisation.user_mut("bert@corp.example").unwrap();
    bert.active = false;
    bert.aliases = vec!["B@Corp.Example".into()];
    bert.delegates = vec!["Anna@corp.example".into()];
    bert.external_account_id = Some("E1".into());
    let world =
        World::of(organisation.with_group(Group::new("Info@corp.example", "Info").member(&anna)));
    let mut users = world.client.users().await.unwrap().accounts;
    users.sort_by(|one, other| one.address.cmp(&other.address));
    assert_eq!(users.len(), 3);
    let bert = &users[1];
    assert!(!bert.active);
    assert_eq!(
        bert.extension.spell(&bert.extension.aliases[0]),
        "B@Corp.Example"
    );
    assert_eq!(bert.delegates, [address("anna@corp.example")]);
    assert_eq!(bert.extension.external_account_id.as_deref(), Some("E1"));
    assert_eq!(&*bert.extension.rest[0].0, "externalaccountID");
    let groups = world.client.groups().await.unwrap().accounts;
    assert_eq!(groups[0].address.as_str(), "info@corp.example");
    assert_eq!(groups[0].members[0].as_str(), anna);
    let paths: Vec<_> = world
        .journal()
        .into_iter()
        .map(|entry| entry.path)
        .collect();
    assert_eq!(paths, ["/api/scim/v2/Users", "/api/scim/v2/Groups"]);
}

#[tokio::test(start_paused = true)]
async fn r1_a_capped_list_is_read_page_by_page() {
    for cap in [1, 2] {
        let world = World::with_switches(|switches| {
            switches.list_count_max = Some(cap);
            switches.paging = Paging::Honoured;
        });
        assert_eq!(world.client.users().await.unwrap().accounts.len(), 3);
    }
    let world = World::with_switches(|_| {});
    assert!(world.client.groups().await.unwrap().accounts.is_empty());
}

/// The error of the first list of users.
async fn refused(edit: impl FnOnce(&mut Switches)) -> String {
    let world = World::with_switches(edit);
    let error = world.client.users().await.unwrap_err();
    assert!(matches!(error, ReadError::Incomplete { .. }), "{error}");
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn r1_a_list_that_proves_no_absence_is_an_error() {
    insta::assert_snapshot!(
        refused(|switches| switches.total_results = TotalResults::Missing).await,
        @"target incomplete: the list of user accounts does not say how many there are; start again, and ask Zivver's support if it stays so"
    );
    insta::assert_snapshot!(
        refused(|switches| switches.total_results = TotalResults::TooLowBy(1)).await,
        @"target incomplete: the list of user accounts says 2 but has 3; start again, and ask Zivver's support if it stays so"
    );
    insta::assert_snapshot!(
        refused(|switches| {
            switches.total_results = TotalResults::TooHighBy(1);
            switches.paging = Paging::Honoured;
        })
        .await,
        @"target incomplete: the list of user accounts says 4 but ended after 3; start again, and ask Zivver's support if it stays so"
    );
    for paging in [Paging::Ignored, Paging::PastEndRepeats] {
        let text = refused(|switches| {
            switches.total_results = TotalResults::TooHighBy(1);
            switches.paging = paging;
        });
        assert!(text.await.contains("twice"), "{paging:?}");
    }
    assert!(
        refused(|switches| switches.list_omits = 1)
            .await
            .contains("twice")
    );
    assert!(
        refused(|switches| switches.list_repeats = 1)
            .await
            .contains("twice")
    );
}

#[tokio::test(start_paused = true)]
async fn r1_a_server_that_refuses_to_page_is_no_complete_list() {
    let world = World::with_switches(|switches| {
        switches.list_count_max = Some(2);
        switches.paging = Paging::Refused;
    });
    let error = world.client.users().await.unwrap_err();
    assert!(
        matches!(error, ReadError::Failed(CallError::Refused(_))),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn r1_a_body_that_cannot_be_read_is_an_error() {
    let world = World::of(organisation());
    for kind in [
        FaultKind::TruncatedJson { full_length: false },
        FaultKind::TrailingGarbage,
        FaultKind::EmptyOk,
        FaultKind::HtmlError { status: 200 },
        status(200, &[], r#"{"Resources":[{"id":"1",}],"totalResults":1}"#),
        status(200, &[], r#"{"Resources":{"id":"1"},"totalResults":1}"#),
        status(200, &[], r#"{"Resources":[],"totalResults":"three"}"#),
        status(200, &[], "[]"),
        status(200, &[], "{}"),
    ] {
        world.fault(kind.clone());
        let error = world.client.users().await.unwrap_err();
        assert!(
            matches!(error, ReadError::Incomplete { .. }),
            "{kind:?}: {error}"
        );
    }
    assert_eq!(world.client.users().await.unwrap().accounts.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn r31_reads_are_repeated_when_that_may_help() {
    let world = World::of(organisation());
    for kind in [
        FaultKind::ResetBefore,
        FaultKind::ResetAfter,
        FaultKind::HangBefore,
        FaultKind::TruncatedJson { full_length: true },
        FaultKind::HtmlError { status: 503 },
        status(429, &[], ""),
        status(500, &[], ""),
    ] {
        world.fault(kind.clone());
        assert_eq!(
            world.client.users().await.unwrap().accounts.len(),
            3,
            "{kind:?}"
        );
    }
    let counts = world.client.counters().read();
    assert_eq!((counts.total, counts.retries, counts.throttled), (14, 7, 1));
    assert_eq!(counts.by_kind["zivver list users"], 14);
}

#[tokio::test(start_paused = true)]
async fn r31_reads_give_up_after_six_attempts() {
    let world = World::of(organisation());
    world
        .zivver
        .control()
        .inject(Fault::always(status(503, &[], "")));
    let error = world.client.groups().await.unwrap_err();
    insta::assert_snapshot!(error, @"cannot read the functional accounts: Zivver answered 503 to the end; the next run tries again; check CLOUD_SYNC__ZIVVER_API_URL, the network and Zivver's status page if it stays so");
    assert_eq!(world.calls().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn r32_the_key_is_refused_once() {
    let world = World::of(organisation());
    for (code, expected) in [(401, "unauthorized"), (403, "forbidden"), (404, "refused")] {
        world.fault(status(code, &[], ""));
        let error = match world.client.users().await.unwrap_err() {
            ReadError::Failed(CallError::Unauthorized { .. }) => "unauthorized",
            ReadError::Failed(CallError::Forbidden { .. }) => "forbidden",
            ReadError::Failed(CallError::Refused(_)) => "refused",
            ReadError::Incomplete { .. } | ReadError::Failed(CallError::Unavailable { .. }) => {
                "other"
            }
        };
        assert_eq!(error, expected);
    }
    assert_eq!(world.calls(), ["GET 401", "GET 403", "GET 404"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_address_of_zivver_is_called_that() {
    let world = World::of(organisation());
    let away = [("location", "https://login.example/")];
    for kind in [status(404, &[], ""), status(302, &away, "")] {
        world.fault(kind);
        let error = world.client.users().await.unwrap_err();
        assert!(
            matches!(&error, ReadError::Failed(CallError::Refused(refusal)) if refusal.kind == RefusalKind::WrongUrl),
            "{error}"
        );
    }
    assert_eq!(world.calls(), ["GET 404", "GET 302"]);
}

#[tokio::test(start_paused = true)]
async fn an_account_is_found_by_its_address() {
    let odd = "o'brien+\"x\"&y=%20\\@corp.example";
    let organisation = organisation()
        .with_user(User::new(odd, "Odd"))
        .with_group(Group::new("Info@corp.example", "Info"));
    let world = World::of(organisation);
    for text in ["anna@corp.example", odd] {
        let found = world.client.find_user(&SmtpAddress::verbatim(text)).await;
        assert_eq!(found.unwrap().unwrap().address.as_str(), text);
    }
    let info = world.client.find_group(&address("info@corp.example")).await;
    assert_eq!(info.unwrap().unwrap().name, "Info");
    let nobody = address("nobody@corp.example");
    assert_eq!(world.client.find_user(&nobody).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_is_not_fooled_by_a_server_without_filters() {
    let world = World::of(organisation());
    let nobody = address("nobody@corp.example");
    let anna = user("1", "anna@corp.example").to_string();
    for (rows, total, clean) in [(&*anna, "1", true), (&anna, "2", false), ("", "1", false)] {
        let body = format!(r#"{{"Resources":[{rows}],"totalResults":{total}}}"#);
        world.fault(status(200, &[], &body));
        let found = world.client.find_user(&nobody).await;
        assert_eq!(found.is_ok_and(|found| found.is_none()), clean, "{body}");
    }
    let twice = format!(r#"{{"Resources":[{anna},{anna}],"totalResults":2}}"#);
    world.fault(status(200, &[], &twice));
    assert!(
        world
            .client
            .find_user(&address("anna@corp.example"))
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_asks_where_the_lists_are() {
    let zivver = Simulator::new(organisation());
    let address = format!("{BASE}scim/v2/");
    let connection = connection(&address, Rate::Unlimited, MayWrite::new(|| false));
    let client = ZivverClient::new(connection, Transport::InProcess(zivver.router()));
    client.probe(&mut AnswerSheet::default()).await.unwrap();
    for entry in zivver.control().journal() {
        assert_eq!(entry.path.matches("/scim/v2").count(), 1, "{}", entry.path);
    }
}

#[tokio::test(start_paused = true)]
async fn r31_what_503_and_429_say_about_waiting_is_obeyed_within_bounds() {
    for code in [429, 503] {
        for (value, at_least_s, at_most_s) in [
            (None, 0.0, 2.5),
            (Some("7"), 7.0, 7.5),
            (Some("2.5"), 2.5, 3.0),
            (Some("-5"), 0.0, 2.5),
            (Some("NaN"), 0.0, 2.5),
            (Some("Mon, 23 Nov 2020 10:00:09 GMT"), 0.0, 2.5),
            (Some("Fri, 31 Dec 9999 23:59:59 GMT"), 0.0, 61.0),
            (Some("99999999999999999999"), 0.0, 61.0),
        ] {
            let world = World::of(organisation());
            let headers: Vec<_> = value.iter().map(|value| ("retry-after", *value)).collect();
            world.fault(status(code, &headers, ""));
            let start = tokio::time::Instant::now();
            assert_eq!(world.client.users().await.unwrap().accounts.len(), 3);
            let took_s = start.elapsed().as_secs_f64();
            assert!(
                (at_least_s..=at_most_s).contains(&took_s),
                "{code} {value:?}: {took_s} s"
            );
            assert_eq!(world.calls(), [format!("GET {code}"), "GET 200".to_owned()]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r31_a_date_is_waited_for_by_the_servers_own_clock() {
    for code in [429, 503] {
        let world = World::of(organisation());
        let headers = [
            ("date", "Mon, 23 Nov 2026 10:00:00 GMT"),
            ("retry-after", "Mon, 23 Nov 2026 10:00:09 GMT"),
        ];
        world.fault(status(code, &headers, ""));
        let start = tokio::time::Instant::now();
        world.client.users().await.unwrap();
        let took_s = start.elapsed().as_secs_f64();
        assert!((9.0..=9.5).contains(&took_s), "{code}: {took_s} s");
    }
}

/// A client of a service whose answers depend on the index at which a page starts.
fn client_of(answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static) -> ZivverClient {
    let router = Router::new().fallback(move |request: Request| {
        let answer = answer.clone();
        async move {
            let query = request.uri().query().unwrap_or_default();
            let start = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("startIndex="));
            answer(start.map_or(1, |start| start.parse().unwrap()))
        }
    });
    let connection = connection(BASE, Rate::Unlimited, MayWrite::new(|| true));
    ZivverClient::new(connection, Transport::InProcess(router))
}

fn one_of(total: u64, number: usize) -> Response {
    let row = user(&number.to_string(), &format!("u{number}@corp.example"));
    let body = json!({ "totalResults": total, "Resources": [row] });
    body.to_string().into_response()
}

#[tokio::test(start_paused = true)]
async fn r1_a_total_that_changes_on_page_2_is_no_list() {
    for later in [2, 4, 0] {
        let client = client_of(move |start| one_of(if start == 1 { 3 } else { later }, start));
        let error = client.users().await.unwrap_err();
        assert!(matches!(error, ReadError::Incomplete { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("3 and then {later}")),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r1_a_list_without_end_is_given_up() {
    let client = client_of(|start| one_of(1_000_000, start));
    let error = client.users().await.unwrap_err();
    insta::assert_snapshot!(error, @"target incomplete: the list of user accounts has more than 10000 pages; start again, and ask Zivver's support if it stays so");
    assert_eq!(client.counters().read().total, 10_000);
}

#[tokio::test(start_paused = true)]
async fn r1_a_list_announced_as_larger_than_a_gibibyte_is_not_read() {
    for (announced, is_read) in [((1_u64 << 30) + 1, false), (u64::MAX, false), (70, true)] {
        let client = client_of(move |start| {
            let mut response = one_of(1, start);
            let length = announced.to_string().parse().unwrap();
            response.headers_mut().insert("content-length", length);
            response
        });
        let read = client.users().await;
        if is_read {
            assert_eq!(read.unwrap().accounts.len(), 1);
            continue;
        }
        let error = read.unwrap_err();
        assert!(
            matches!(error, ReadError::Failed(CallError::Unavailable { .. }))
                && error.to_string().contains("larger than 1073741824 bytes"),
            "{error}"
        );
        assert_eq!(client.counters().read().total, 1);
    }
}

/// The result of a list of users with these rows.
async fn rows(rows: &[Value]) -> Result<Listed<UserAccount>, ReadError> {
    let world = World::of(organisation());
    let body = json!({ "Resources": rows, "totalResults": rows.len() });
    world.fault(status(200, &[], &body.to_string()));
    world.client.users().await
}

const ZIVVER: &str = "urn:ietf:params:scim:schemas:zivver:0.1:User";

/// A user without aliases and delegates.
fn user(id: &str, address: &str) -> Value {
    json!({ "id": id, "userName": address, ZIVVER: { "aliases": [], "delegates": [] } })
}

#[tokio::test(start_paused = true)]
async fn r01_a_row_that_cannot_be_understood_is_rejected_by_itself() {
    let good = user("1", "ann@corp.example");
    let odd = [
        (json!({}), "row 2 of the user accounts: missing field `id`"),
        (
            json!(null),
            "row 2 of the user accounts: invalid type: null, expected struct UserRow",
        ),
        (json!({ "id": "77" }), "77: missing field `userName`"),
        (
            json!({ "id": 77, "userName": "Ben@corp.example" }),
            "ben@corp.example: invalid type: integer `77`, expected a string",
        ),
        (
            json!({ "id": "..", "userName": "ben@corp.example" }),
            "ben@corp.example: an id cannot stand in an address",
        ),
        (
            json!({ "id": "77", "userName": " " }),
            "77: an identifying attribute is empty",
        ),
        (json!({ "displayName": "Ben" }), "Ben: missing field `id`"),
        (
            json!({ "id": "77", "userName": "ben@corp.example", "active": 5 }),
            "ben@corp.example: data did not match any variant of untagged enum Spelling",
        ),
        (
            json!({ "id": "77", "userName": "ben@corp.example", "name": "Ben" }),
            "ben@corp.example: invalid type: string \"Ben\", expected struct Name",
        ),
        (
            json!({ "id": "77", "userName": "ben@corp.example", ZIVVER: { "aliases": "b@corp.example" } }),
            "ben@corp.example: invalid type: string \"b@corp.example\", expected a sequence",
        ),
        (
            json!({ "id": "77", "userName": "ben@corp.example", ZIVVER: { "delegates": [7] } }),
            "ben@corp.example: invalid type: integer `7`, expected a string",
        ),
        (
            json!({ "id": "77", "userName": "ben@corp.example" }),
            "ben@corp.example: missing field `urn:ietf:params:scim:schemas:zivver:0.1:User`",
        ),
        (
            json!({ "id": "77", "userName": "ben@corp.example", ZIVVER: { "aliases": [] } }),
            "ben@corp.example: its Zivver extension lacks `aliases` or `delegates`",
        ),
    ];
    for (row, expected) in odd {
        let listed = rows(&[good.clone(), row.clone()]).await.unwrap();
        assert_eq!(listed.accounts.len(), 1, "{row}");
        let [rejected] = &*listed.rejected else {
            panic!("{row}");
        };
        assert_eq!(format!("{}: {}", rejected.label, rejected.reason), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn r01_more_than_one_in_a_hundred_rejected_rows_are_no_list() {
    for (good, odd, is_read) in [
        (0, 4, true),
        (0, 5, false),
        (95, 5, false),
        (495, 5, true),
        (494, 6, false),
        (594, 6, true),
    ] {
        let good = (0..good).map(|at| user(&format!("g{at}"), "a@b.example"));
        let odd = (0..odd).map(|at| json!({ "id": format!("o{at}") }));
        let all: Vec<Value> = odd.chain(good).collect();
        let read = rows(&all).await;
        assert_eq!(read.is_ok(), is_read, "{}", all.len());
        if let Err(error) = read {
            let text = error.to_string();
            assert!(
                text.starts_with("target incomplete") && text.contains("the first of them o0"),
                "{text}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r01_ids_of_rejected_rows_count_too() {
    let twice = json!({ "id": "77" });
    let error = rows(&[twice.clone(), twice]).await.unwrap_err();
    assert!(error.to_string().contains("has the id 77 twice"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn r01_a_look_up_that_finds_a_rejected_row_does_not_say_that_nobody_is_there() {
    let address = SmtpAddress::verbatim("ben@corp.example");
    for (row, is_clean) in [
        (
            json!({ "id": "77", "userName": "ben@corp.example", "active": 5 }),
            false,
        ),
        (json!({ "id": "77" }), false),
        (
            json!({ "id": "77", "userName": "ann@corp.example", "active": 5 }),
            true,
        ),
    ] {
        let world = World::of(organisation());
        let body = json!({ "Resources": [row], "totalResults": 1 });
        world.fault(status(200, &[], &body.to_string()));
        let found = world.client.find_user(&address).await;
        assert_eq!(found.is_ok(), is_clean, "{body}: {found:?}");
    }
}
