//! The real client reads the simulated tenant. Neither uses code of the other, so if they agree, both interpret the
//! specification in the same way.

use std::collections::BTreeMap;

use azure_core::credentials::Secret;
use cloud_sync::domain::source::{
    Answer, DirectoryAnswer, GroupKind, MembersAnswer, PermissionAnswer, Question, RecipientAnswer,
};
use cloud_sync::exchange::{ExchangeClient, ExchangeConfig, Identity, MailboxKey, Strategy};
use cloud_sync::http::Transport;
use cloud_sync::sandbox::exchange::{
    BatchFault, GroupKind as Kind, ItemFault, Mailbox, Paging, RetryAfter, Simulator, Switches,
    Tenant, faults,
};
use futures::StreamExt;

/// More than two pages and two batches, all kinds of trustees.
fn tenant() -> Tenant {
    let mut tenant = Tenant::new("corp.example")
        .mailbox(Mailbox::shared("desk@corp.example").with_name("Front desk"))
        .security_group("Team", &["u1@corp.example", "u2@corp.example"])
        .group_of_kind(Kind::GroupMailbox, "Project", &["u3@corp.example"])
        .group_of_kind(
            Kind::UniversalSecurityGroup,
            "Plain",
            &["desk@corp.example"],
        )
        .discovery();
    for number in 1..=25 {
        tenant = tenant.user(&format!("u{number}@corp.example"));
    }
    tenant.switches.page_rows_max = 10;
    tenant
        .full_access("desk@corp.example", "u7@corp.example")
        .full_access("desk@corp.example", "Team")
        .full_access("u1@corp.example", "desk@corp.example")
}

fn client(simulator: &Simulator, strategy: Strategy) -> ExchangeClient {
    let mut config = ExchangeConfig::new("http://127.0.0.1:8080".parse().unwrap());
    config.strategy = strategy;
    let identity = Identity::Token(Secret::new(simulator.identity().mint()));
    ExchangeClient::new(config, identity, Transport::InProcess(simulator.router())).unwrap()
}

/// The trustees of each mailbox but SELF, by alias; mailboxes without are left out.
async fn delegations(client: &ExchangeClient) -> BTreeMap<String, Vec<String>> {
    let list = client.mailboxes(|_| ()).await.unwrap();
    assert_eq!(list.mailboxes.len(), 27);
    let keys = list.mailboxes.iter().map(|it| MailboxKey::of(it).unwrap());
    let mut answers = client.permissions(keys.collect()).boxed();
    let mut delegations = BTreeMap::new();
    let mut count = 0;
    while let Some(answer) = answers.next().await {
        let (place, answer) = answer.unwrap();
        let alias = list.mailboxes[place].alias.clone().unwrap();
        let PermissionAnswer::Entries(entries) = answer else {
            panic!("{alias}: {answer:?}");
        };
        count += 1;
        let is_self = |user: &str| user == "NT AUTHORITY\\SELF";
        assert!(entries.iter().any(|entry| is_self(&entry.user)), "{alias}");
        let others = entries.into_iter().map(|entry| entry.user);
        let others: Vec<_> = others.filter(|user| !is_self(user)).collect();
        if !others.is_empty() {
            delegations.insert(alias, others);
        }
    }
    assert_eq!(count, 27);
    delegations
}

async fn read(strategy: Strategy, change: impl FnOnce(&mut Switches)) -> String {
    let simulator = Simulator::new(tenant());
    simulator.switch(change);
    let read = delegations(&client(&simulator, strategy)).await;
    let line = |(alias, users): (&String, &Vec<String>)| format!("{alias}: {}", users.join(", "));
    read.iter().map(line).collect::<Vec<_>>().join("; ")
}

const EXPECTED: &str = "DiscoverySearchMailbox{D919BA05-46A6-415f-80AD-7E09334BB852}: Discovery Management; desk: u7@corp.example, Team; u1: desk@corp.example";

#[tokio::test(start_paused = true)]
async fn each_strategy_reads_the_same() {
    assert_eq!(read(Strategy::Get, |_| ()).await, EXPECTED);
    assert_eq!(read(Strategy::Batch, |_| ()).await, EXPECTED);
}

#[tokio::test(start_paused = true)]
async fn spoilt_items_of_batches_are_read_again() {
    let kinds = [
        ItemFault::Status {
            status: 429,
            retry_after: RetryAfter::Seconds(3),
        },
        ItemFault::ItemMissing,
        ItemFault::BodyMissing,
        ItemFault::BodyNull,
        ItemFault::StatusMissing,
    ];
    for kind in kinds {
        let fault = BatchFault {
            url_contains: String::new(),
            times: Some(2),
            kind: kind.clone(),
        };
        let spoil = |switches: &mut Switches| switches.batch_faults = vec![fault];
        assert_eq!(read(Strategy::Batch, spoil).await, EXPECTED, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_on_the_way_are_survived() {
    let simulator = Simulator::new(tenant());
    let client = client(&simulator, Strategy::Get);
    for fault in [
        faults::expired_page(),
        faults::transient(400),
        faults::throttled(429, Some("1.5")),
        faults::throttled(503, None),
        faults::concurrency(500),
    ] {
        simulator.control().inject(fault);
    }
    assert_eq!(delegations(&client).await.len(), 3);
    assert!(simulator.control().pending_faults().is_empty());
}

#[tokio::test(start_paused = true)]
async fn r1_a_doubtful_list_is_an_error() {
    let simulator = Simulator::new(tenant());
    let client = client(&simulator, Strategy::Get);
    for paging in [Paging::RepeatedLink, Paging::Endless, Paging::DuplicatePage] {
        simulator.switch(|switches| switches.paging = paging);
        assert!(client.mailboxes(|_| ()).await.is_err(), "{paging:?}");
    }
    simulator.switch(|switches| switches.paging = Paging::Good);
    simulator.control().inject(faults::page_fails(404));
    assert!(client.mailboxes(|_| ()).await.is_err(), "404 on page 2");
}

#[tokio::test(start_paused = true)]
async fn questions_about_groups_are_answered() {
    let simulator = Simulator::new(tenant());
    let client = client(&simulator, Strategy::Get);
    let Answer::Directory(DirectoryAnswer::Complete(groups)) =
        client.answer(&Question::GroupDirectory).await.unwrap()
    else {
        panic!("no directory");
    };
    assert_eq!(groups.len(), 1);
    let members = async |identity: &str, kind| {
        let identity = identity.to_owned();
        let answer = client.answer(&Question::Members { identity, kind }).await;
        let Answer::Members(MembersAnswer::Complete(members)) = answer.unwrap() else {
            panic!("no members");
        };
        members.len()
    };
    let team = groups[0].object_id.as_deref().unwrap();
    assert_eq!(members(team, GroupKind::Security).await, 2);
    assert_eq!(members("Project", GroupKind::Microsoft365).await, 1);
    assert_eq!(members("Plain", GroupKind::PlainSecurity).await, 1);
    let recipient = async |text: &str| {
        let answer = client.answer(&Question::Recipient(text.to_owned())).await;
        let Answer::Recipient(recipient) = answer.unwrap() else {
            panic!("no recipient");
        };
        recipient
    };
    assert!(matches!(
        recipient("Front desk").await,
        RecipientAnswer::Found(found) if found.recipient_type_details == "SharedMailbox"
    ));
    assert_eq!(recipient("nobody").await, RecipientAnswer::NotFound);
    simulator.with_state(|tenant| tenant.mailboxes[2].name = "Front desk".to_owned());
    assert_eq!(recipient("Front desk").await, RecipientAnswer::Ambiguous);
}
