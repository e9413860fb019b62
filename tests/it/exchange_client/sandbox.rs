//! The client with the sandbox: a whole tenant, read with every fault that the sandbox has.

use cloud_sync::{
    http::{Counters, RequestCounts},
    sandbox::{
        Sandbox, SandboxOptions,
        control::{Fault, FaultKind},
        exchange::{
            Bucket, GroupKind as SimulatedKind, MicroDelay, NoOutput, Paging, RefusalBody,
            RetryAfter, SelfEntry, Simulator, Tenant, faults,
        },
    },
};

use super::*;

/// `users` users, a shared mailbox with a delegate and a group, and mailboxes of other kinds.
fn tenant(users: usize) -> Tenant {
    let mut tenant = Tenant::new("corp.example")
        .discovery()
        .room("room@corp.example")
        .shared("desk@corp.example")
        .security_group("Desk Team", &["user1@corp.example", "user2@corp.example"]);
    for number in 0..users {
        tenant = tenant.user(&format!("user{number}@corp.example"));
    }
    tenant
        .full_access("desk@corp.example", "user0@corp.example")
        .full_access("desk@corp.example", "Desk Team")
}

fn reader(simulator: &Simulator, change: impl FnOnce(&mut ExchangeConfig)) -> ExchangeClient {
    let mut config = ExchangeConfig::new("http://127.0.0.1:9/".parse().unwrap());
    config.retry.seed = 1;
    change(&mut config);
    let identity = Identity::Credential(Arc::new(Minted(simulator.clone())));
    let transport = Transport::InProcess(simulator.router());
    ExchangeClient::new(config, identity, transport).unwrap()
}

/// Gets tokens from the sandbox's identity without its endpoint.
#[derive(Debug)]
struct Minted(Simulator);

#[async_trait::async_trait]
impl TokenCredential for Minted {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let expires = OffsetDateTime::now_utc() + Duration::from_secs(86_700);
        Ok(AccessToken::new(self.0.identity().mint(), expires))
    }
}

/// Everything that a run reads: mailboxes, then their permissions in order.
async fn read(client: &ExchangeClient) -> (MailboxList, Vec<PermissionAnswer>) {
    let list = list(client).await.unwrap();
    let keys = list
        .mailboxes
        .iter()
        .map(|mailbox| MailboxKey::of(mailbox).unwrap());
    let mut answers = Vec::new();
    let mut stream = std::pin::pin!(client.permissions(keys.collect()));
    while let Some(answer) = stream.next().await {
        answers.push(answer.unwrap());
    }
    answers.sort_by_key(|(place, _)| *place);
    assert_eq!(answers.len(), list.mailboxes.len());
    (
        list,
        answers.into_iter().map(|(_, answer)| answer).collect(),
    )
}

fn all_read(answers: &[PermissionAnswer]) -> bool {
    answers.iter().all(is_read)
}

#[tokio::test]
async fn a_tenant_is_read_over_the_network_with_each_strategy() {
    let mut tenant = tenant(120);
    tenant.switches.page_rows_max = 50;
    tenant.mailboxes[20].self_entry = SelfEntry::Missing;
    let options = SandboxOptions {
        tenant,
        ..SandboxOptions::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let base: url::Url = sandbox.exchange_url().parse().unwrap();
    let mut all = Vec::new();
    for strategy in [Strategy::Get, Strategy::Batch] {
        let mut config = ExchangeConfig::new(base.clone());
        config.strategy = strategy;
        let identity = Identity::Token(Secret::new(sandbox.exchange.identity().mint()));
        let transport = Transport::network(&base, config.concurrency_max).unwrap();
        let client = ExchangeClient::new(config, identity, transport).unwrap();
        let (list, answers) = read(&client).await;
        assert_eq!((list.mailboxes.len(), list.pages), (123, 3));
        assert!(all_read(&answers), "{strategy:?}");
        let PermissionAnswer::Entries(desk) = &answers[2] else {
            panic!("{:?}", answers[2]);
        };
        let users: Vec<_> = desk.iter().map(|entry| entry.user.as_str()).collect();
        assert_eq!(users.len(), 4, "{users:?}");
        all.push(answers);
    }
    assert_eq!(all[0], all[1]);
    sandbox.stop().await;
}

#[tokio::test(start_paused = true)]
async fn groups_and_names_are_found() {
    let simulator = Simulator::new(tenant(5));
    let client = reader(&simulator, |_| ());
    let directory = client.answer(&Question::GroupDirectory).await.unwrap();
    let Answer::Directory(DirectoryAnswer::Complete(groups)) = directory else {
        panic!("{directory:?}");
    };
    let [group] = groups.as_slice() else {
        panic!("{groups:?}");
    };
    assert_eq!(group.name.as_deref(), Some("Desk Team"));
    let question = Question::Members {
        identity: group.object_id.clone().unwrap(),
        kind: GroupKind::from_recipient_type(&group.recipient_type_details).unwrap(),
    };
    let answer = client.answer(&question).await.unwrap();
    let Answer::Members(MembersAnswer::Complete(members)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(members.len(), 2);
    for (text, found) in [("user3@corp.example", true), ("nobody@corp.example", false)] {
        for status in [404, 400] {
            simulator.switch(|switches| switches.not_found_status = status);
            let answer = client.answer(&recipient(text)).await.unwrap();
            let Answer::Recipient(answer) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!(
                matches!(answer, RecipientAnswer::Found(_)),
                found,
                "{text}: {answer:?}"
            );
            assert_eq!(
                answer == RecipientAnswer::NotFound,
                !found,
                "{text}: {answer:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_understood_in_whatever_form_it_is_said() {
    for form in [
        NoOutput::ValueAbsent,
        NoOutput::EmptyArray,
        NoOutput::EmptyBody,
    ] {
        let mut tenant = tenant(1).security_group("Nobody", &[]);
        tenant.switches.no_output = form;
        let client = reader(&Simulator::new(tenant), |_| ());
        let answer = client.answer(&Question::GroupDirectory).await.unwrap();
        let Answer::Directory(DirectoryAnswer::Complete(groups)) = answer else {
            panic!("{answer:?}");
        };
        let nobody = groups
            .iter()
            .find(|group| group.name.as_deref() == Some("Nobody"));
        let question = Question::Members {
            identity: nobody.unwrap().object_id.clone().unwrap(),
            kind: GroupKind::Security,
        };
        let answer = client.answer(&question).await.unwrap();
        assert_eq!(
            answer,
            Answer::Members(MembersAnswer::Complete(Vec::new())),
            "{form:?}"
        );

        let mut empty =
            Tenant::new("corp.example").group_of_kind(SimulatedKind::RoleGroup, "Readers", &[]);
        empty.switches.no_output = form;
        let client = reader(&Simulator::new(empty), |_| ());
        let answer = client.answer(&Question::GroupDirectory).await.unwrap();
        assert_eq!(
            answer,
            Answer::Directory(DirectoryAnswer::Complete(Vec::new())),
            "{form:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r31_every_passing_fault_is_survived() {
    let kinds = || {
        vec![
            Fault::once(FaultKind::ResetBefore),
            Fault::once(FaultKind::ResetAfter),
            Fault::once(FaultKind::HangBefore),
            Fault::once(FaultKind::TruncatedJson { full_length: true }),
            Fault::once(FaultKind::TruncatedJson { full_length: false }),
            Fault::once(FaultKind::TrailingGarbage),
            Fault::once(FaultKind::HtmlError { status: 502 }),
            Fault::once(FaultKind::HtmlError { status: 200 }),
            Fault::once(FaultKind::EmptyOk),
            Fault::once(FaultKind::Delay { millis: 5000 }),
            Fault::once(FaultKind::SlowDrip {
                bytes: 100,
                millis: 5,
            }),
            faults::transient(400),
            faults::transient(500),
            faults::concurrency(400),
            faults::throttled(429, Some("2.5")),
            faults::throttled(503, None),
        ]
    };
    for (at, fault) in kinds().into_iter().enumerate() {
        for path in ["Mailbox", "MailboxPermission"] {
            let simulator = Simulator::new(tenant(20));
            simulator
                .control()
                .inject(fault.clone().path(path).times(1));
            let client = reader(&simulator, |_| ());
            let (list, answers) = read(&client).await;
            assert_eq!(list.mailboxes.len(), 23, "{at} {path}");
            assert!(all_read(&answers), "{at} {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_replaced() {
    let simulator = Simulator::new(tenant(50));
    let client = reader(&simulator, |_| ());
    read(&client).await;
    simulator.identity().revoke_all();
    let (_, answers) = read(&client).await;
    assert!(all_read(&answers));
    assert_eq!(simulator.identity().issued(), 2);
}

#[tokio::test(start_paused = true)]
async fn r1_paging_faults_fail_the_list() {
    for (paging, expected) in [
        (Paging::Good, Some(23)),
        (Paging::RowMoved, Some(22)),
        (Paging::RepeatedLink, None),
        (Paging::Endless, None),
        (Paging::DuplicatePage, None),
    ] {
        let mut tenant = tenant(20);
        tenant.switches.page_rows_max = 10;
        tenant.switches.paging = paging;
        let client = reader(&Simulator::new(tenant), |_| ());
        let list = list(&client).await;
        assert_eq!(
            list.ok().map(|list| list.mailboxes.len()),
            expected,
            "{paging:?}"
        );
    }
}

/// How long reading the permissions of `count` mailboxes took, if each answer takes 40 ms.
async fn pace(count: usize, change: impl FnOnce(&mut Tenant)) -> (Duration, RequestCounts) {
    let mut tenant = tenant(count - 3);
    change(&mut tenant);
    let simulator = Simulator::new(tenant);
    simulator.control().set_latency(Duration::from_millis(40));
    let client = reader(&simulator, |config| config.concurrency_max = 64);
    let start = Instant::now();
    let (_, answers) = read(&client).await;
    assert!(all_read(&answers));
    (start.elapsed(), Counters::read(client.counters()))
}

#[tokio::test(start_paused = true)]
async fn the_pace_suits_every_way_of_throttling() {
    // 100 rounds of 20.
    let ideal = Duration::from_secs(4);
    let (took, counts) = pace(2000, |tenant| {
        let throttle = &mut tenant.switches.throttle;
        throttle.in_flight_max = Some(20);
        throttle.refusal.status = 400;
        throttle.refusal.retry_after = RetryAfter::Absent;
        throttle.refusal.body = RefusalBody::ConcurrencyText;
    })
    .await;
    assert!(took <= ideal.mul_f64(1.25), "{took:?} {counts:?}");
    assert!((1..20).contains(&counts.throttled), "{counts:?}");
    assert_eq!(counts.retries, counts.throttled);
    // 200 a second, given in whole seconds.
    let (took, counts) = pace(2000, |tenant| {
        tenant.switches.throttle.bucket = Some(Bucket {
            capacity: 400,
            refill_millis: 2000,
        });
    })
    .await;
    assert!(took <= Duration::from_secs(20), "{took:?} {counts:?}");
    // Above 20 requests in flight answers take ten times as long: there are no refusals, but no gain either.
    let (took, counts) = pace(2000, |tenant| {
        tenant.switches.throttle.micro_delay = Some(MicroDelay {
            above_in_flight: 20,
            delay_millis: 400,
        });
    })
    .await;
    assert!(took <= Duration::from_secs(12), "{took:?} {counts:?}");
}
