//! R42: the size of the snapshot of a large tenant.

use cloud_sync::{
    domain::{
        accounts::AccountKind,
        address::SmtpAddress,
        ids::{ObjectId, ScimId},
        mailbox::MailboxKind,
        snapshot::{
            Access, AccountEntry, Delegate, Effect, Grant, Head, Line, MailboxEntry, Snapshot,
        },
    },
    state::{RunId, State, StateLocation},
};
use jiff::Timestamp;

const MAILBOXES: u64 = 20_000;
const MEBIBYTE: usize = 1024 * 1024;

/// Numbers that cannot be compressed.
fn scattered(number: u64) -> u128 {
    let mut state = u128::from(number) + 1;
    for _ in 0..3 {
        state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645) ^ (state >> 67);
    }
    state
}

fn id(number: u64) -> String {
    let digits = format!("{:032x}", scattered(number));
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
    ];
    format!("{}-{}", parts.join("-"), &digits[20..])
}

fn who(number: u64) -> String {
    let name = scattered(number % MAILBOXES + 500_000);
    let word = |shift: u32| {
        let letters =
            (0..6).map(|at| b'a' + u8::try_from((name >> (shift + at * 5)) % 26).unwrap_or(0));
        letters.map(char::from).collect::<String>()
    };
    format!("{}.{}@corp.example", word(3), word(50))
}

/// Every tenth mailbox is shared by twenty people, the others have one or two delegates.
fn entries(number: u64) -> [Line; 2] {
    let address = SmtpAddress::verbatim(&who(number));
    let is_shared = number.is_multiple_of(10);
    let people: Vec<String> = (0..if is_shared { 20 } else { 1 + number % 2 })
        .map(|at| who(number * 31 + at * 977))
        .collect();
    let grant = |who: &String| Grant {
        who: who.clone(),
        id: None,
        outsider: None,
        through: if is_shared {
            vec![format!("SG {}", number % 300)]
        } else {
            Vec::new()
        },
        effect: Effect::Delegate,
        since: 1_795_399_200,
        or_earlier: false,
    };
    let delegate = |who: &String| Delegate {
        who: who.clone(),
        account: None,
        since: 1_795_399_200,
        or_earlier: false,
    };
    let account = ScimId::new(&id(number + 1_000_000));
    let mailbox = MailboxEntry {
        primary: address.clone(),
        object_id: ObjectId::parse(&id(number)),
        kind: MailboxKind::User { disabled: false },
        name: format!("Person {address}"),
        aliases: vec![SmtpAddress::verbatim(&format!(
            "u{number:05}@corp.onmicrosoft.example"
        ))],
        aliases_unknown: false,
        upn: None,
        access: Access::Known(people.iter().map(grant).collect()),
        account: Some(account.clone()),
        account_unknown: None,
        standing: format!("has the account {address}, by the mapping of object ids (R16 a)"),
        first: 1_795_399_200,
        changed: 1_795_399_200,
    };
    let account = AccountEntry {
        id: account,
        kind: AccountKind::User,
        address: address.clone(),
        name: mailbox.name.clone(),
        active: true,
        aliases: mailbox.aliases.clone(),
        delegates: people.iter().map(delegate).collect(),
        external_account_id: Some(id(number)),
        tied: None,
        mailbox_unknown: None,
        standing: format!("belongs to the mailbox {address} (R16)"),
        first: 1_795_399_200,
        changed: 1_795_399_200,
    };
    [Line::Mailbox(mailbox), Line::Account(account)]
}

#[tokio::test]
async fn r42_the_snapshot_of_20000_mailboxes_is_below_three_mebibytes() {
    let state = State::open(&StateLocation::Memory).await.unwrap();
    let run = RunId::drawn(Timestamp::from_second(1_795_399_200).unwrap(), 0);
    let head = std::iter::once(Line::Head(Head::default()));
    let lines = head.chain((0..MAILBOXES).flat_map(entries));
    let bytes = state.save_snapshot(&run, lines).await.unwrap();
    assert!(bytes < 3 * MEBIBYTE, "{bytes}");
    let mut read = Snapshot::default();
    assert!(state.snapshot(&run, |line| read.push(line)).await.unwrap());
    assert_eq!(read.mailboxes.len() as u64, MAILBOXES);
    assert_eq!(read.accounts.len() as u64, MAILBOXES);
    let none = RunId::drawn(Timestamp::from_second(1_795_399_300).unwrap(), 0);
    assert!(!state.snapshot(&none, |_: Line| ()).await.unwrap());
}
