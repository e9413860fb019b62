//! Permission reads: many at a time, each independent of the others.

use super::*;

#[tokio::test(start_paused = true)]
async fn r11_one_mailbox_that_cannot_be_read_is_unread_and_one_that_vanished_is_gone() {
    let service = fake(|seen| match seen.mailbox() {
        mailbox if mailbox == id(3) => status(404),
        mailbox if mailbox == id(4) => (StatusCode::FORBIDDEN, vec![0; 1024]).into_response(),
        mailbox if mailbox == id(5) => status(500),
        mailbox if mailbox == id(6) => {
            json_response(&json!({"value": [self_entry(), {"User": 7}]}))
        }
        mailbox if mailbox == id(7) => json_response(&json!({"value": []})),
        mailbox => json_response(&permissions_of(&mailbox)),
    });
    let (answers, error) = permissions(&client(service), 10).await;
    assert_eq!(error, None);
    let mut said = Vec::new();
    for (place, answer) in answers {
        let text = match answer {
            PermissionAnswer::Entries(entries) => format!("{} entries", entries.len()),
            PermissionAnswer::Gone => "gone".to_owned(),
            PermissionAnswer::Unread(reason) => reason,
        };
        said.push(format!("{place}: {text}"));
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
    0: 2 entries
    1: 2 entries
    2: 2 entries
    3: gone
    4: read the permissions of mailbox 22222222-0000-4000-8000-000000000004: HTTP 403, Forbidden; the identity needs the app role Exchange.ManageAsApp and, in Exchange, a role group with View-Only Recipients: grant them as in docs/deploy.md, step 4; a new grant can take hours
    5: read the permissions of mailbox 22222222-0000-4000-8000-000000000005: HTTP 500, Internal Server Error; a fault of the service: try again later
    6: a permission cannot be understood: User, AccessRights
    7: 0 entries
    8: 2 entries
    9: 2 entries
    "#);
}

#[tokio::test(start_paused = true)]
async fn r32_twenty_refusals_at_first_mean_that_none_may_be_read() {
    for (allowed, fatal) in [(usize::MAX, true), (10, false)] {
        let service = fake(move |seen| {
            if seen.mailbox() == id(allowed) {
                json_response(&permissions_of(&seen.mailbox()))
            } else {
                status(403)
            }
        });
        let (answers, error) = permissions(&client(service), 100).await;
        assert_eq!(error.is_some(), fatal);
        if let Some(error) = error {
            assert_eq!(answers.len(), 19);
            assert!(
                error.to_string().contains("View-Only Recipients"),
                "{error}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r32_a_service_that_is_down_ends_the_run() {
    let service = fake(|seen| {
        if seen.number < 30 {
            json_response(&permissions_of(&seen.mailbox()))
        } else {
            status(503)
        }
    });
    let (answers, error) = permissions(&client(service), 1000).await;
    assert!(
        matches!(error, Some(ExchangeError::Transient(_))),
        "{error:?}"
    );
    assert_eq!(answers.len(), 30 + 19);
}

#[tokio::test(start_paused = true)]
async fn the_level_of_the_service_is_found_and_held() {
    const LEVEL: usize = 20;
    const MAILBOXES: u32 = 2000;
    let (in_flight, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let refusals = Arc::clone(&refused);
    let service = Router::new().fallback(move |uri: Uri| {
        let (in_flight, refused) = (Arc::clone(&in_flight), Arc::clone(&refused));
        async move {
            let crowd = in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            if crowd > LEVEL {
                in_flight.fetch_sub(1, Ordering::SeqCst);
                refused.fetch_add(1, Ordering::SeqCst);
                return status(429);
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
            in_flight.fetch_sub(1, Ordering::SeqCst);
            json_response(&permissions_of(uri.path()))
        }
    });
    let mut config = config();
    config.concurrency_max = 64;
    let client = client_with(config, Arc::default(), service);
    let start = Instant::now();
    let (answers, error) = permissions(&client, MAILBOXES as usize).await;
    let took = start.elapsed();
    assert_eq!(error, None);
    assert!(answers.iter().all(|(_, answer)| is_read(answer)));
    let ideal = Duration::from_millis(40) * MAILBOXES / 20;
    let refused = refusals.load(Ordering::SeqCst);
    assert!(
        took <= ideal.mul_f64(1.25),
        "{took:?} for {ideal:?}, {refused} refused"
    );
    assert!(refused <= 20, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_pauses_all_workers() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&times);
    let service = fake(move |seen| {
        log.lock().unwrap().push(Instant::now());
        if seen.number == 50 {
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "20")]).into_response();
        }
        json_response(&permissions_of(&seen.mailbox()))
    });
    let (answers, _) = permissions(&client(service), 200).await;
    assert!(answers.iter().all(|(_, answer)| is_read(answer)));
    let times = times.lock().unwrap();
    let refused = times[50];
    let meanwhile = times
        .iter()
        .filter(|at| {
            **at > refused + Duration::from_millis(80) && **at < refused + Duration::from_secs(20)
        })
        .count();
    assert_eq!(meanwhile, 0);
}

#[tokio::test(start_paused = true)]
async fn every_strategy_gives_the_same_answers() {
    // Mailbox 3 vanished. The batches return mailbox 4 without SELF, and mailbox 5 not at all.
    let service = fake(|seen| {
        let path = seen.uri.path();
        if path.ends_with("/$batch") {
            assert_eq!(seen.header("accept"), "application/json");
            let requests = seen.json()["requests"].as_array().unwrap().clone();
            assert!(requests.len() <= 10);
            let answers = requests.iter().rev().filter_map(|request| {
                let url: Uri = request["url"].as_str().unwrap().parse().unwrap();
                let mailbox = Seen {
                    uri: url,
                    ..seen.clone()
                }
                .mailbox();
                let answer = |status: u16, body: Value| {
                    Some(json!({"id": request["id"], "status": status, "body": body}))
                };
                match mailbox {
                    mailbox if mailbox == id(3) => answer(404, json!({})),
                    mailbox if mailbox == id(4) => answer(200, json!({"value": []})),
                    mailbox if mailbox == id(5) => None,
                    mailbox if mailbox == id(6) => answer(429, json!(null)),
                    mailbox => answer(200, permissions_of(&mailbox)),
                }
            });
            return json_response(&json!({"responses": answers.collect::<Vec<_>>()}));
        }
        let mailbox = seen.mailbox();
        if mailbox == id(3) {
            return status(404);
        }
        json_response(&permissions_of(&mailbox))
    });
    let mut all = Vec::new();
    for (strategy, requests) in [(Strategy::Get, 25), (Strategy::Batch, 3 + 4)] {
        let mut config = config();
        config.strategy = strategy;
        let client = client_with(config, Arc::default(), service.clone());
        let (answers, error) = permissions(&client, 25).await;
        assert_eq!(error, None);
        assert_eq!(client.counters().read().total, requests, "{strategy:?}");
        all.push(answers);
    }
    assert_eq!(all[0].len(), 25);
    assert_eq!(all[0][3].1, PermissionAnswer::Gone);
    assert_eq!(all[0], all[1]);
}

#[tokio::test(start_paused = true)]
async fn a_bulk_read_that_the_service_refuses_is_made_one_by_one() {
    let service = fake(|seen| {
        let path = seen.uri.path();
        if path.ends_with("/$batch") {
            return status(400);
        }
        json_response(&permissions_of(&seen.mailbox()))
    });
    let mut config = config();
    config.strategy = Strategy::Batch;
    let client = client_with(config, Arc::default(), service);
    let (answers, error) = permissions(&client, 25).await;
    assert_eq!(error, None);
    assert!(answers.iter().all(|(_, answer)| is_read(answer)));
}

#[tokio::test(start_paused = true)]
async fn r1_permissions_that_come_twice_are_not_read() {
    let service = fake(|seen| {
        let mut page = permissions_of("x");
        if seen.uri.query().unwrap().contains("skiptoken") {
            page["value"].as_array_mut().unwrap().reverse();
        } else {
            page["@odata.nextLink"] = json!(link_to(2));
        }
        json_response(&page)
    });
    let (answers, error) = permissions(&client(service), 1).await;
    assert_eq!(error, None);
    let [(0, PermissionAnswer::Unread(reason))] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert!(reason.contains("a page came twice"), "{reason}");
}

/// Reads 25 mailboxes in batches with the parts from `answer`, and counts the requests.
async fn batched(
    answer: impl Fn(&str, &Value) -> Value + Send + Sync + 'static,
) -> (Vec<(usize, PermissionAnswer)>, u64) {
    let service = fake(move |seen| {
        if !seen.uri.path().ends_with("/$batch") {
            return json_response(&permissions_of(&seen.mailbox()));
        }
        let requests = seen.json()["requests"].as_array().unwrap().clone();
        let answers = requests.iter().map(|request| {
            let uri: Uri = request["url"].as_str().unwrap().parse().unwrap();
            let part = Seen {
                uri,
                ..seen.clone()
            };
            answer(&part.mailbox(), &request["id"])
        });
        json_response(&json!({"responses": answers.collect::<Vec<_>>()}))
    });
    let mut config = config();
    config.strategy = Strategy::Batch;
    let client = client_with(config, Arc::default(), service);
    let (answers, error) = permissions(&client, 25).await;
    assert_eq!(error, None);
    assert!(answers.iter().all(|(_, answer)| is_read(answer)));
    (answers, client.counters().read().total)
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_batch_that_makes_no_sense_spoils_no_other() {
    let (_, plain) = batched(
        |mailbox, number| json!({"id": number, "status": 200, "body": permissions_of(mailbox)}),
    )
    .await;
    assert_eq!(plain, 3);
    let (answers, requests) = batched(|mailbox, number| match mailbox {
        mailbox if mailbox == id(2) => json!({"status": 200, "body": permissions_of("x")}),
        mailbox if mailbox == id(3) => json!(null),
        mailbox if mailbox == id(4) => json!({"id": number, "status": {}, "headers": [1]}),
        mailbox => json!({"id": number, "status": "200", "body": permissions_of(mailbox)}),
    })
    .await;
    assert_eq!(requests, 3 + 3);
    for (place, answer) in answers {
        let expected = format!("delegate-of-{}", id(place));
        assert!(format!("{answer:?}").contains(&expected), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_answers_about_one_mailbox_that_differ_are_none() {
    let (answers, requests) = batched(|mailbox, number| {
        // The part of mailbox 1 has the id of mailbox 2 too.
        let number = if mailbox == id(1) {
            json!("2")
        } else {
            number.clone()
        };
        json!({"id": number, "status": 200, "body": permissions_of(mailbox)})
    })
    .await;
    assert_eq!(requests, 3 + 2);
    assert!(format!("{:?}", answers[2].1).contains(&format!("delegate-of-{}", id(2))));
}

/// On a clock that advances between two parts, which a paused one does not.
#[tokio::test]
async fn a_batch_that_is_refused_in_all_its_parts_is_one_refusal() {
    let (in_flight, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let crowd = Arc::clone(&most);
    let service = Router::new().fallback(move |request: Request| {
        let (in_flight, most) = (Arc::clone(&in_flight), Arc::clone(&most));
        async move {
            let (parts, body) = request.into_parts();
            if parts.uri.path().ends_with("/$batch") {
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                let requests = body["requests"].as_array().unwrap();
                let answers: Vec<_> = (0..)
                    .zip(requests)
                    .map(|(wait, request)| {
                        json!({"id": request["id"], "status": 429,
                            "headers": {"retry-after": format!("0.{wait}")}})
                    })
                    .collect();
                return json_response(&json!({"responses": answers}));
            }
            most.fetch_max(
                in_flight.fetch_add(1, Ordering::SeqCst) + 1,
                Ordering::SeqCst,
            );
            tokio::time::sleep(Duration::from_millis(40)).await;
            in_flight.fetch_sub(1, Ordering::SeqCst);
            json_response(&permissions_of(parts.uri.path()))
        }
    });
    let mut config = config();
    config.strategy = Strategy::Batch;
    let client = client_with(config, Arc::default(), service);
    let start = Instant::now();
    let (answers, error) = permissions(&client, 10).await;
    assert!(error.is_none() && answers.iter().all(|(_, answer)| is_read(answer)));
    // The longest wait that a part asks for.
    assert!(start.elapsed() >= Duration::from_millis(900));
    assert!(crowd.load(Ordering::SeqCst) >= 4, "{crowd:?}");
}
