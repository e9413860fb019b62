//! The core without I/O over a large tenant, in an almost unchanged organisation, as on most nights. A million accounts
//! must take at most two seconds on one core, and at most twelve times as long as a hundred thousand. Also the report
//! of a first night with 20,000 accounts: each of its forms must take at most a second.

use std::collections::BTreeMap;

use cloud_sync::{
    cli,
    domain::{
        account::{Actual, Extension, FunctionalAccount, UserAccount},
        accounts::Accounts,
        address::SmtpAddress,
        delegation::{Delegations, Grantee, Grants},
        diff::absence_questions,
        directory::{Directory, MailboxIx, Party},
        guard::Limits,
        ids::{ObjectId, ScimId},
        matching::match_accounts,
        memory::Memory,
        mode::{Mode, Trigger},
        note::{Code, Note},
        plan::{Wishes, plan},
        report::{ActionOutcome, ActionReport, Report, RunState},
        scope::{ClaimedDomains, TargetFilter},
        source::{Answers, MailboxRecord},
        world::{Policy, SsoAccountKey, World},
    },
    render::{csv, html},
};

const COUNTS: [usize; 2] = [100_000, 1_000_000];
const REPORTED: usize = 20_000;

fn main() {
    divan::main();
}

/// Matching, comparing, guarding and ordering: everything between reading and applying.
#[divan::bench(args = COUNTS, sample_count = 3, sample_size = 1)]
fn plans(bencher: divan::Bencher<'_, '_>, count: usize) {
    let (world, memory) = (world(count), memory(count));
    let policy = policy();
    bencher.bench_local(|| {
        let matching = match_accounts(&world, &policy, &memory);
        let questions = absence_questions(&world, &policy, &matching);
        let made = plan(&world, &policy, &memory, &matching, &Wishes::default());
        assert!(!made.approved.is_empty());
        (questions.len(), made.held.len())
    });
}

/// Normalising and indexing both sides.
#[divan::bench(args = COUNTS, sample_count = 3, sample_size = 1)]
fn indexes(bencher: divan::Bencher<'_, '_>, count: usize) {
    bencher
        .with_inputs(|| (records(count), actual(count)))
        .bench_local_values(|(records, actual)| (Directory::new(records), Accounts::new(actual)));
}

#[divan::bench_group(sample_count = 10, sample_size = 1)]
mod render {
    use super::{Report, cli, csv, html, report};

    type Form = fn(&Report) -> String;

    const FORMS: [(&str, Form); 4] = [
        ("terminal", cli::terminal),
        ("json", |report| {
            serde_json::to_string_pretty(report).expect("a report is JSON")
        }),
        ("html", html::report),
        ("csv", |report| csv::report(report, csv::Separator::Comma)),
    ];

    #[divan::bench(args = FORMS.map(|form| form.0))]
    fn forms(bencher: divan::Bencher<'_, '_>, name: &str) {
        let (_, form) = FORMS
            .into_iter()
            .find(|form| form.0 == name)
            .expect("it is listed");
        let report = report();
        bencher.bench_local(|| form(&report));
    }
}

/// Every account is new, with one finding for each.
fn report() -> Report {
    let empty = World {
        accounts: Accounts::new(Actual::default()),
        ..world(REPORTED)
    };
    let (policy, memory) = (policy(), Memory::default());
    let matching = match_accounts(&empty, &policy, &memory);
    let made = plan(&empty, &policy, &memory, &matching, &Wishes::default());
    let mut report = Report::begin(
        "20261123T020000Z-0b5e77".to_owned(),
        Mode::Preview,
        Trigger::Timer,
        "2026-11-23T02:00:00Z".to_owned(),
    );
    let actions = made.approved.actions().iter();
    report.actions.extend(actions.map(|action| ActionReport {
        left: Vec::new(),
        action: action.clone(),
        outcome: ActionOutcome::Planned,
        problems: Vec::new(),
    }));
    assert_eq!(report.actions.len(), REPORTED);
    report.skipped.extend((0..REPORTED).map(|at| {
        let text = "a mailbox of kind \"RoomMailbox\" is not synchronised";
        Note::new(
            format!("room{at:07}@corp.example"),
            Code::KindNotSynchronised,
            text,
        )
    }));
    report.state = RunState::Ended;
    report.count();
    report
}

/// Every fifth mailbox is shared.
fn is_shared(at: usize) -> bool {
    at.is_multiple_of(5)
}

fn primary(at: usize) -> String {
    format!("person{at:07}@corp.example")
}

fn object_id(at: usize) -> String {
    format!("00000000-0000-4000-8000-{:012x}", at + 1)
}

fn records(count: usize) -> Vec<MailboxRecord> {
    let record = |at: usize| MailboxRecord {
        object_id: Some(object_id(at)),
        user_principal_name: Some(primary(at)),
        primary_smtp_address: Some(primary(at)),
        // One in a hundred has a new name.
        display_name: Some(format!("Person {}", if at % 100 == 7 { 0 } else { at })),
        email_addresses: Some(vec![
            format!("SMTP:{}", primary(at)),
            format!("smtp:alias{at:07}@corp.example"),
        ]),
        recipient_type_details: Some(
            if is_shared(at) {
                "SharedMailbox"
            } else {
                "UserMailbox"
            }
            .into(),
        ),
        account_disabled: Some(false),
        name: Some(format!("person{at:07}")),
        ..MailboxRecord::default()
    };
    (0..count).map(record).collect()
}

/// The two users after a shared mailbox are its delegates.
fn actual(count: usize) -> Actual {
    let mut actual = Actual::default();
    for at in 0..count {
        let extension = Extension {
            aliases: vec![SmtpAddress::verbatim(&format!("alias{at:07}@corp.example"))],
            ..Extension::default()
        };
        let (id, address) = (
            ScimId::new(&format!("id{at}")),
            SmtpAddress::verbatim(&primary(at)),
        );
        let name = format!("Person {at}");
        if is_shared(at) {
            actual.groups.push(FunctionalAccount {
                id,
                address,
                name,
                extension,
                members: (1..=2)
                    .map(|by| ScimId::new(&format!("id{}", at + by)))
                    .collect(),
            });
        } else {
            actual.users.push(UserAccount {
                id,
                address,
                name,
                active: true,
                extension,
                delegates: Vec::new(),
            });
        }
    }
    actual
}

fn world(count: usize) -> World {
    let directory = Directory::new(records(count));
    let delegations = (0..count)
        .map(|at| {
            let delegates = if is_shared(at) { 2 } else { 0 };
            let grantees = (1..=delegates).map(|by| Grantee {
                party: Party::Mailbox(MailboxIx(u32::try_from(at + by).expect("small"))),
                through: Box::default(),
            });
            Some(Delegations::Known(Grants {
                grantees: grantees.collect(),
                ..Grants::default()
            }))
        })
        .collect();
    World {
        directory,
        delegations,
        accounts: Accounts::new(actual(count)),
        answers: Answers::default(),
        tenant_id: String::new(),
        ..World::default()
    }
}

fn memory(count: usize) -> Memory {
    let pair = |at| {
        let object = ObjectId::parse(&object_id(at)).expect("a GUID");
        (object, ScimId::new(&format!("id{at}")))
    };
    Memory {
        mapping: (0..count).map(pair).collect::<BTreeMap<_, _>>(),
        ..Memory::default()
    }
}

fn policy() -> Policy {
    Policy {
        claimed_domains: ClaimedDomains::new(["corp.example"]),
        target_filter: TargetFilter::new(["service-*"]),
        source_filter: std::collections::BTreeSet::new(),
        source_members: None,
        sso_account_key: SsoAccountKey::ObjectId,
        limits: Limits::default(),
        min_source_ratio: 0.5,
        min_target_ratio: 0.5,
    }
}
