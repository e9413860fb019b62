//! R42: what a series of snapshots says about since when something exists.

use insta::assert_snapshot;

use super::notation::{Planned, Scene, address};
use crate::snapshot::{
    Access, Effect, Head, Left, Line, Snapshot,
    access::{By, Filter, Granted, InExchange, InZivver, Since, review},
    lines,
};

/// The snapshots of one world after the other, at 1, 2, 3 …
fn series(scenes: &[&str]) -> Vec<Snapshot> {
    let mut all: Vec<Snapshot> = Vec::new();
    for (at, text) in (1..).zip(scenes) {
        let scene = Scene::parse(text);
        let Planned {
            world,
            matching,
            plan,
        } = scene.plan();
        let left = Left {
            world: &world,
            policy: &scene.policy,
            matching: &matching,
            actions: &[],
            held: &plan.held,
            notes: &plan.notes,
        };
        let head = Head {
            at,
            ..Head::default()
        };
        all.push(Snapshot::next(all.last(), &left, head));
    }
    all
}

/// `anna@ 1` for each person with access to a mailbox, with the groups after `via`.
fn grants(snapshot: &Snapshot, mailbox: &str) -> Vec<String> {
    let mailbox = snapshot.mailbox(None, &address(mailbox)).or_else(|| {
        let mut all = snapshot.mailboxes.iter();
        all.find(|it| it.primary == address(mailbox))
    });
    let grants = mailbox.unwrap().access.grants().iter();
    let text = |who: &str| who.replace("corp.example", "");
    grants
        .map(|it| format!("{} {} {}", text(&it.who), it.through.join(">"), it.since))
        .collect()
}

#[test]
fn r42_a_delegation_is_there_since_it_first_appeared() {
    let world = "
        people anna@ bert@
        shared info@ grants=anna@
        functional info@ as=g members=anna
    ";
    let later = "
        people anna@ bert@
        shared info@ grants=anna@,Care
        functional info@ as=g members=anna,bert
        group Care members=Night
        group Night members=bert@
    ";
    let [one, two, three] = &series(&[world, later, later])[..] else {
        panic!("three were made");
    };
    assert_eq!(grants(one, "info@"), ["anna@  1"]);
    for snapshot in [two, three] {
        assert_eq!(
            grants(snapshot, "info@"),
            ["anna@  1", "bert@ Care>Night 2"]
        );
        let functional = snapshot.accounts.iter().find(|it| it.id.as_str() == "g");
        let since: Vec<_> = functional
            .unwrap()
            .delegates
            .iter()
            .map(|it| it.since)
            .collect();
        assert_eq!(since, [1, 2]);
        assert_eq!(functional.unwrap().changed, 2);
        assert_eq!(snapshot.head.began, 1);
    }
}

#[test]
fn r42_another_address_is_the_same_person_and_the_same_mailbox() {
    let before = "
        people anna@
        shared info@ grants=anna@
    ";
    let after = "
        mailbox anna.new@ id=anna
        account anna@ ext=anna
        shared desk@ id=info grants=anna.new@
    ";
    let all = series(&[before, after]);
    assert_eq!(grants(&all[1], "desk@"), ["anna.new@  1"]);
    let mailbox = all[1].mailboxes.iter().find(|it| it.name == "desk");
    assert_eq!((mailbox.unwrap().first, mailbox.unwrap().changed), (1, 2));
}

#[test]
fn r11_who_was_last_known_is_kept_while_it_is_unknown() {
    let known = "
        people anna@
        shared info@ grants=anna@
    ";
    let unknown = "
        people anna@
        shared info@ grants=?
    ";
    let all = series(&[known, unknown, unknown, known]);
    let access = |at: usize| {
        let mut mailboxes = all[at].mailboxes.iter();
        &mailboxes
            .find(|it| it.primary == address("info@"))
            .unwrap()
            .access
    };
    assert!(matches!(access(2), Access::Unknown { reason, .. } if reason == "throttled"));
    for snapshot in &all {
        assert_eq!(grants(snapshot, "info@"), ["anna@  1"]);
    }
    assert!(matches!(access(3), Access::Known(_)));
}

#[test]
fn r12_what_gives_nothing_in_zivver_says_why() {
    let world = "
        people anna@
        shared info@ grants=anna@,other@,carl@
        shared other@
        mailbox carl@ disabled
    ";
    let all = series(&[world]);
    let info = all[0]
        .mailboxes
        .iter()
        .find(|it| it.primary == address("info@"));
    let effects: Vec<&Effect> = info
        .unwrap()
        .access
        .grants()
        .iter()
        .map(|it| &it.effect)
        .collect();
    assert_eq!(
        effects,
        [
            &Effect::Delegate,
            &Effect::Pruned("it is disabled and has no account".into()),
            &Effect::Pruned("it is not a user mailbox".into()),
        ]
    );
}

#[test]
fn r42_a_snapshot_is_the_same_after_writing_and_reading() {
    let scene = Scene::parse(
        "
        mailbox anna@ alias=a@ upn=ann@ad.example grants=bert@
        people bert@
        rejected broken@
        other room@
        shared info@ grants=anna@
        account old@
        limits suspend=0
        ",
    );
    let Planned {
        world,
        matching,
        plan,
    } = scene.plan();
    let left = Left {
        world: &world,
        policy: &scene.policy,
        matching: &matching,
        actions: &[],
        held: &plan.held,
        notes: &plan.notes,
    };
    let earlier = crate::snapshot::Earlier::default();
    let written: Vec<Line> = lines(&left, &earlier, Head::default()).collect();
    let text: Vec<String> = written
        .iter()
        .map(|line| serde_json::to_string(line).unwrap())
        .collect();
    let read: Vec<Line> = text
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, written);
    let snapshot: Snapshot = read.into_iter().collect();
    assert_eq!(snapshot.rejected.len(), 1);
    assert!(!snapshot.decisions.is_empty());
    // The account follows its mailbox.
    let bert = written
        .iter()
        .position(|line| matches!(line, Line::Mailbox(it) if it.name == "bert"));
    assert!(matches!(&written[bert.unwrap() + 1], Line::Account(it) if it.id.as_str() == "bert"));
}

/// One line for each row.
fn reviewed(now: &Snapshot, then: Option<&Snapshot>, filter: &[&str]) -> String {
    let review = review(now, then, &Filter::new(filter, By::Mailbox, false));
    let since =
        |since: &Since| format!("{}{}", since.at.0, if since.or_earlier { "-" } else { "" });
    let rows = review.rows.iter().map(|row| {
        let granted = |it: &Granted| {
            let reason = it.left_out.as_deref().unwrap_or("delegate");
            format!("[{}] {} {reason}", it.through.join(">"), since(&it.since))
        };
        let exchange = match &row.exchange {
            InExchange::Granted(it) => granted(it),
            InExchange::Unknown { reason, last } => {
                format!("unknown ({reason}) {:?}", last.as_ref().map(granted))
            }
            InExchange::NotGranted => "no".into(),
            InExchange::NotRead => "not read".into(),
            InExchange::NoMailbox => "no mailbox".into(),
        };
        let zivver = match &row.zivver {
            InZivver::Delegate { since: it } => since(it),
            InZivver::NoDelegate => "no".into(),
            InZivver::NoAccount => "no account".into(),
        };
        let person = row.person.as_ref().map_or("?", |it| &it.address);
        let mailbox = &row.mailbox.address;
        format!(
            "{mailbox} {person}: {exchange} | {zivver} {:?}\n",
            row.changes
        )
    });
    super::shown::short(&rows.collect::<String>())
}

#[test]
fn r43_who_can_open_what_by_which_path_on_both_sides() {
    let before = "
        people anna@ bert@ carl@
        shared info@ grants=anna@,bert@
        functional info@ as=g members=anna,bert
        shared desk@ grants=anna@
        functional desk@ as=d members=anna
        functional left@ as=l members=carl
    ";
    let after = "
        people anna@ carl@
        mailbox bert.new@ id=bert
        account bert@ as=bert ext=bert
        shared info@ grants=carl@,Care,other@,stranger@
        functional info@ as=g members=bert,carl,anna
        group Care members=bert.new@
        shared desk@ grants=?
        functional desk@ as=d members=anna
        functional left@ as=l members=carl
        shared other@
        shared dark@ grants=?
        found stranger@ MailUser id=stran mail=stranger@
        other room@
    ";
    let all = series(&[before, after]);
    assert_snapshot!(reviewed(&all[1], Some(&all[0]), &[]), @r#"
    dark@ ?: unknown (throttled) None | no account []
    desk@ anna@: unknown (throttled) Some("[] 1- delegate") | 1- []
    info@ anna@: no | 1- [Withdrawn]
    info@ bert.new@: [Care] 1- delegate | 1- [OtherPath { before: [] }]
    info@ carl@: [] 2 delegate | 2 [Granted, DelegateAdded]
    info@ other@: [] 2 it is not a user mailbox | no [Granted]
    info@ stranger@: [] 2 Exchange has it as a MailUser | no [Granted]
    left@ carl@: no mailbox | 1- []
    "#);
    assert_eq!(
        reviewed(&all[1], None, &["Dark"]),
        "dark@ ?: unknown (throttled) None | no account []"
    );
    let coverage = review(&all[1], None, &Filter::default()).coverage;
    assert_eq!(
        (
            coverage.mailboxes,
            coverage.read,
            coverage.unknown,
            coverage.not_read
        ),
        (8, 5, 2, 1)
    );
}
