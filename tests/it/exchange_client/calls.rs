//! How one call handles refusals, tokens and redirects.

use super::*;

#[tokio::test(start_paused = true)]
async fn r31_retry_after_is_waited_for_in_every_form() {
    for (value, at_least_s, at_most_s) in [
        (Some("7"), 7.0, 7.5),
        (Some("0.5"), 0.5, 1.0),
        (Some("0"), 0.0, 0.5),
        (Some("Mon, 23 Nov 2026 10:00:09 GMT"), 8.5, 9.5),
        (Some("Mon, 23 Nov 2020 10:00:09 GMT"), 0.0, 0.5),
        (Some("99999999999999999999"), 300.0, 300.5),
        (Some("Fri, 31 Dec 9999 23:59:59 GMT"), 300.0, 300.5),
        (Some("soon"), 0.0, 2.5),
        (None, 0.0, 2.5),
    ] {
        let service = fake(move |seen| match (seen.number, value) {
            (0, Some(value)) => {
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", value)]).into_response()
            }
            (0, None) => status(429),
            _ => page(0..10, None),
        });
        let client = client(service);
        let start = Instant::now();
        assert_eq!(list(&client).await.unwrap().mailboxes.len(), 10);
        let took_s = start.elapsed().as_secs_f64();
        assert!(
            (at_least_s..=at_most_s).contains(&took_s),
            "{value:?}: {took_s} s"
        );
        let counts = client.counters().read();
        assert_eq!((counts.total, counts.retries, counts.throttled), (2, 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn r31_a_service_that_asks_for_no_wait_is_not_stormed() {
    for value in ["0", "0.01", "Mon, 23 Nov 2026 10:00:00 GMT"] {
        let service = fake(move |_| {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", value)]).into_response()
        });
        let client = client(service);
        let start = Instant::now();
        assert!(matches!(
            list(&client).await,
            Err(ExchangeError::Throttled(_))
        ));
        assert_eq!(client.counters().read().total, 6);
        assert!(
            start.elapsed() > Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r31_a_refusal_in_plain_text_is_waited_out() {
    let busy = "You have reached the maximum number of concurrent requests per tenant. Please wait and try again.";
    for (status, body) in [
        (400, busy.to_owned()),
        (400, json!(busy).to_string()),
        (400, json!({"message": busy}).to_string()),
        (403, busy.to_owned()),
    ] {
        let service = fake(move |seen| {
            if seen.number == 0 {
                return (StatusCode::from_u16(status).unwrap(), body.clone()).into_response();
            }
            page(0..10, None)
        });
        let client = client(service);
        assert_eq!(list(&client).await.unwrap().mailboxes.len(), 10);
        assert_eq!(client.counters().read().throttled, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fixed_token_is_refused_twice_before_it_is_taken_for_bad() {
    let service = fake(|seen| match seen.number {
        0 => status(401),
        _ => page(0..10, None),
    });
    let fixed = Identity::Token(Secret::new(jwt(1)));
    let client = ExchangeClient::new(config(), fixed, Transport::InProcess(service)).unwrap();
    assert_eq!(list(&client).await.unwrap().mailboxes.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn r31_faults_are_repeated_six_times_and_then_given_up() {
    type Answers = fn() -> Response;
    let cases: [(&str, Answers, usize); 7] = [
        ("busy", || status(503), 6),
        (
            "fault",
            || (StatusCode::BAD_GATEWAY, "<html>").into_response(),
            6,
        ),
        ("throttled", || status(429), 6),
        (
            "transient 400",
            || error(400, "M.ADTransientException", "try again"),
            6,
        ),
        (
            "plain 400",
            || error(400, "M.ParameterBindingException", "no such parameter"),
            1,
        ),
        (
            "error in 200",
            || json_response(&json!({"error": {"code": "x", "message": "oops"}})),
            6,
        ),
        ("not understood", || "oops".into_response(), 3),
    ];
    let mut said = Vec::new();
    for (name, answer, attempts) in cases {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let service = fake(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            answer()
        });
        let error = list(&client(service)).await.unwrap_err();
        assert_eq!(count.load(Ordering::SeqCst), attempts, "{name}");
        said.push(format!("{name}: {error}"));
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
    busy: read the mailbox list: HTTP 503, Service Unavailable; a fault of the service: try again later
    fault: read the mailbox list: HTTP 502, Bad Gateway; a fault of the service: try again later
    throttled: read the mailbox list: HTTP 429, Too Many Requests; lower CLOUD_SYNC__EXO_CONCURRENCY, or run at a quieter hour
    transient 400: read the mailbox list: HTTP 400, ADTransientException: try again; a fault of the service: try again later
    plain 400: read the mailbox list: HTTP 400, ParameterBindingException: no such parameter; please report this as a defect
    error in 200: read the mailbox list: HTTP 200, x: oops (Request-Id 44444444-0000-4000-8000-000000000001); a fault of the service: try again later
    not understood: read the mailbox list: HTTP 200, no JSON (line 1, column 1); check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_in_mid_run_is_renewed_once_for_all() {
    let tokens = Arc::<Tokens>::default();
    // The first token is valid for 100 reads.
    let service = fake(|seen| {
        if seen.token() == 1 && seen.number >= 100 {
            return status(401);
        }
        json_response(&permissions_of(&seen.mailbox()))
    });
    let client = client_with(config(), Arc::clone(&tokens), service);
    let (answers, error) = permissions(&client, 300).await;
    assert_eq!(error, None);
    assert_eq!(
        answers.iter().filter(|(_, answer)| is_read(answer)).count(),
        300
    );
    assert_eq!(tokens.given.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn r32_a_second_401_stops_the_run() {
    let tokens = Arc::<Tokens>::default();
    let service = fake(|_| status(401));
    let client = client_with(config(), Arc::clone(&tokens), service.clone());
    let error = list(&client).await.unwrap_err();
    insta::assert_snapshot!(error, @"read the mailbox list: HTTP 401, Unauthorized; the identity needs the app role Exchange.ManageAsApp and, in Exchange, a role group with View-Only Recipients: grant them as in docs/deploy.md, step 4; a new grant can take hours");
    assert!(error.is_fatal());
    assert_eq!(tokens.given.load(Ordering::SeqCst), 2);
    let (answers, error) = permissions(&client, 50).await;
    assert!(answers.is_empty() && error.is_some_and(|error| error.is_fatal()));

    let fixed = Identity::Token(Secret::new(jwt(1)));
    let client = ExchangeClient::new(config(), fixed, Transport::InProcess(service)).unwrap();
    insta::assert_snapshot!(list(&client).await.unwrap_err(), @"cannot sign in to Exchange Online: read the mailbox list: HTTP 401, Unauthorized; set CLOUD_SYNC__ACCESS_TOKEN to a new token of an account that may read mailboxes, or remove that setting");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_expires() {
    let tokens = Arc::new(Tokens {
        life_s: Some(600),
        ..Tokens::default()
    });
    let service = fake(|_| page(0..1, None));
    let client = client_with(config(), Arc::clone(&tokens), service);
    for (seconds, given) in [(0, 1), (200, 1), (200, 2)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        list(&client).await.unwrap();
        assert_eq!(tokens.given.load(Ordering::SeqCst), given);
    }
}

#[tokio::test(start_paused = true)]
async fn an_allowed_redirect_keeps_method_and_body() {
    let service = fake(|seen| {
        if !seen.uri.path().starts_with("/eur") {
            let place = "https://eur01.outlook.office365.com:446/eur/InvokeCommand";
            return (StatusCode::TEMPORARY_REDIRECT, [("location", place)]).into_response();
        }
        assert_eq!(seen.method, Method::POST);
        assert_eq!(
            seen.json()["CmdletInput"]["CmdletName"],
            "Get-DistributionGroup"
        );
        assert!(seen.header("authorization").starts_with("Bearer "));
        json_response(&json!({"value": []}))
    });
    let answer = client(service)
        .answer(&Question::GroupDirectory)
        .await
        .unwrap();
    assert_eq!(
        answer,
        Answer::Directory(DirectoryAnswer::Complete(Vec::new()))
    );
}

#[tokio::test]
async fn nothing_secret_is_shown_by_debug() {
    let identity = Identity::Token(Secret::new(jwt(1)));
    let service = fake(|_| page(0..1, None));
    let client = ExchangeClient::new(config(), identity, Transport::InProcess(service)).unwrap();
    list(&client).await.unwrap();
    let shown = format!("{client:?}");
    assert!(
        !shown.contains("c2ln") && !shown.contains("e30."),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn r31_what_503_and_429_say_about_waiting_is_obeyed_within_bounds() {
    for code in [429, 503] {
        for (value, at_least_s, at_most_s) in [
            (None, 0.0, 2.5),
            (Some("7"), 7.0, 7.5),
            (Some("2.5"), 2.5, 3.0),
            (Some("-5"), 0.0, 0.5),
            (Some("NaN"), 0.0, 2.5),
            (Some("Mon, 23 Nov 2026 10:00:09 GMT"), 8.5, 9.5),
            (Some("Mon, 23 Nov 2020 10:00:09 GMT"), 0.0, 0.5),
            (Some("Fri, 31 Dec 9999 23:59:59 GMT"), 300.0, 300.5),
            (Some("99999999999999999999"), 300.0, 300.5),
        ] {
            let service = fake(move |seen| {
                if seen.number > 0 {
                    return page(0..10, None);
                }
                let mut response = status(code);
                if let Some(value) = value {
                    response
                        .headers_mut()
                        .insert("retry-after", value.parse().unwrap());
                }
                response
            });
            let client = client(service);
            let start = Instant::now();
            assert_eq!(list(&client).await.unwrap().mailboxes.len(), 10);
            let took_s = start.elapsed().as_secs_f64();
            assert!(
                (at_least_s..=at_most_s).contains(&took_s),
                "{code} {value:?}: {took_s} s"
            );
            let counts = client.counters().read();
            assert_eq!((counts.total, counts.retries), (2, 1), "{code} {value:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r31_a_service_that_always_asks_for_a_year_is_given_up_in_bounded_time() {
    for code in [429, 503] {
        let service = fake(move |_| {
            let far = [("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")];
            (StatusCode::from_u16(code).unwrap(), far).into_response()
        });
        let client = client(service);
        let start = Instant::now();
        assert!(list(&client).await.is_err());
        let took = start.elapsed();
        assert!(took <= Duration::from_secs(5 * 300 + 5), "{code}: {took:?}");
        assert_eq!(client.counters().read().total, 6);
    }
}

#[tokio::test(start_paused = true)]
async fn r1_json_with_more_behind_it_is_no_answer_to_anything() {
    let trailing = |value: &Value| format!("{value}\n<!-- end -->").into_response();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let service = fake(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        trailing(&json!({"@odata.context": "x", "value": []}))
    });
    let client = client(service);
    let said = [
        list(&client).await.unwrap_err().to_string(),
        format!("{:?}", permissions(&client, 1).await),
        format!("{:?}", client.answer(&recipient("gone@corp.example")).await),
        format!("{:?}", client.answer(&members(GroupKind::Security)).await),
        format!("{:?}", client.answer(&Question::GroupDirectory).await),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    read the mailbox list: HTTP 200, no JSON (line 2, column 1); check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    ([(0, Unread("read the permissions of mailbox 22222222-0000-4000-8000-000000000000: HTTP 200, no JSON (line 2, column 1); check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again"))], None)
    Ok(Recipient(Failed("run Get-Recipient for gone@corp.example: HTTP 200, no JSON (line 2, column 1); check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again")))
    Ok(Members(Failed("run Get-DistributionGroupMember for 22222222-0000-4000-8000-000000000001: HTTP 200, no JSON (line 2, column 1); check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again")))
    Ok(Directory(Failed("run Get-DistributionGroup: HTTP 200, no JSON (line 2, column 1); check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again")))
    "#);
    assert_eq!(count.load(Ordering::SeqCst), 15);
}

#[tokio::test(start_paused = true)]
async fn r31_a_conflict_is_no_answer() {
    let conflict = || error(409, "M.ConflictException", "somebody else is at it");
    let client = client(fake(move |_| conflict()));
    let said = [
        list(&client).await.unwrap_err().to_string(),
        format!("{:?}", permissions(&client, 1).await),
        format!("{:?}", client.answer(&recipient("gone@corp.example")).await),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    read the mailbox list: HTTP 409, ConflictException: somebody else is at it; please report this as a defect
    ([(0, Unread("read the permissions of mailbox 22222222-0000-4000-8000-000000000000: HTTP 409, ConflictException: somebody else is at it; please report this as a defect"))], None)
    Ok(Recipient(Failed("run Get-Recipient for gone@corp.example: HTTP 409, ConflictException: somebody else is at it; please report this as a defect")))
    "#);
}

/// Never returns a token.
#[derive(Debug)]
struct Silent;

#[async_trait::async_trait]
impl TokenCredential for Silent {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_never_answers_is_given_up_in_bounded_time() {
    let identity = Identity::Credential(Arc::new(Silent));
    let service = fake(|_| page(0..1, None));
    let client = ExchangeClient::new(config(), identity, Transport::InProcess(service)).unwrap();
    let start = Instant::now();
    let error = list(&client).await.unwrap_err();
    insta::assert_snapshot!(error, @"cannot sign in to Exchange Online: the identity endpoint does not answer; check the credential");
    let took = start.elapsed();
    assert!(took <= Duration::from_secs(151), "{took:?}");
    assert_eq!(client.counters().read().total, 0);
}

#[tokio::test(start_paused = true)]
async fn r1_an_answer_beyond_64_mebibytes_is_refused_before_it_is_read() {
    const LIMIT_BYTES: usize = 64 << 20;
    let blanks = Bytes::from(vec![b' '; LIMIT_BYTES + 1]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &blanks).unwrap();
    let packed = Bytes::from(packed.finish().unwrap());
    assert!(packed.len() < LIMIT_BYTES / 100);
    let announced = || {
        let mut response = page(0..1, None);
        let length = (LIMIT_BYTES + 1).to_string().parse().unwrap();
        response.headers_mut().insert("content-length", length);
        response
    };
    let bodies: [Box<dyn Fn() -> Response + Send + Sync>; 3] = [
        Box::new(move || blanks.clone().into_response()),
        Box::new(move || packed.clone().into_response()),
        Box::new(announced),
    ];
    let mut said = Vec::new();
    for body in bodies {
        let client = client(fake(move |_| body()));
        said.push(list(&client).await.unwrap_err().to_string());
        assert_eq!(client.counters().read().total, 1);
    }
    insta::assert_snapshot!(said.join("\n"), @r"
    read the mailbox list: the answer of outlook.office365.com is larger than 67108864 bytes; check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    read the mailbox list: HTTP 200, the unpacked answer is too large; check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    read the mailbox list: the answer of outlook.office365.com is larger than 67108864 bytes; check that CLOUD_SYNC__EXO_URL is Exchange Online, and run again
    ");
}
