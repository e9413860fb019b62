//! R42: what a series of snapshots says about since when something exists.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::notation::{Planned, Scene, address};
use super::properties::cases_of;
use crate::account::RejectedAccount;
use crate::accounts::AccountKind;
use crate::ids::ScimId;
use crate::snapshot::diff::differences;
use crate::snapshot::{
    Access, Effect, Head, Left, Line, Snapshot,
    access::{By, Delegated, Filter, Granted, InExchange, InZivver, Named, Since, review},
    lines,
};

/// The snapshots of one world after the other, at 1, 2, 3 …
fn series(scenes: &[&str]) -> Vec<Snapshot> {
    series_of(scenes.iter().map(|text| Scene::parse(text)))
}

fn series_of(scenes: impl IntoIterator<Item = Scene>) -> Vec<Snapshot> {
    let mut all: Vec<Snapshot> = Vec::new();
    for (at, scene) in (1..).zip(scenes) {
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
fn r21_r43_a_disabled_mailbox_says_why_nobody_gets_access_in_zivver() {
    let world = "
        people anna@
        mailbox carl@ disabled grants=anna@
        mailbox dora@ disabled grants=anna@
        account dora@ off ext=dora
        mailbox eve@ grants=anna@
    ";
    let review = review(&series(&[world])[0], None, &Filter::default());
    let rows = review.rows.iter().map(|row| {
        let InExchange::Granted(granted) = &row.exchange else {
            panic!("{row:?}");
        };
        (row.mailbox.name.as_str(), granted.left_out.as_deref())
    });
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            (
                "carl",
                Some("the mailbox is disabled, so no account is created (R21)")
            ),
            (
                "dora",
                Some("the account stays suspended, so only its status is compared (R22)")
            ),
            ("eve", None),
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
        let delegated = |it: &Delegated| {
            let suspended = if it.is_suspended { " suspended" } else { "" };
            format!("{}{suspended}", since(&it.since))
        };
        let exchange = match &row.exchange {
            InExchange::Granted(it) => granted(it),
            InExchange::Unknown { reason, last } => {
                format!("unknown ({reason}) {:?}", last.as_ref().map(granted))
            }
            InExchange::NotGranted => "no".into(),
            InExchange::NoMailbox => "no mailbox".into(),
        };
        let zivver = match &row.zivver {
            InZivver::Delegate(it) => delegated(it),
            InZivver::Unknown { reason, last } => {
                format!("unknown ({reason}) {:?}", last.as_ref().map(delegated))
            }
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
    dark@ ?: unknown (throttled (R11)) None | no account []
    desk@ anna@: unknown (throttled (R11)) Some("[] 1- delegate") | 1- []
    info@ anna@: no | 1- [Withdrawn]
    info@ bert.new@: [Care] 1- delegate | 1- [OtherPath { before: [] }]
    info@ carl@: [] 2 delegate | 2 [Granted, DelegateAdded]
    info@ other@: [] 2 it is not a user mailbox | no [Granted]
    info@ stranger@: [] 2 Exchange has it as a MailUser | no [Granted]
    left@ carl@: no mailbox | 1- []
    "#);
    assert_eq!(
        reviewed(&all[1], None, &["Dark"]),
        "dark@ ?: unknown (throttled (R11)) None | no account []"
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

/// The account of a leaver stays the leaver's, when somebody else has the address now.
#[test]
fn r16_a_new_person_at_an_address_has_nothing_of_the_leaver() {
    let before = "
        people anna@ bert@
        shared info@ grants=anna@,bert@
        functional info@ as=g members=anna,bert
        map bert=bert
    ";
    let after = "
        people anna@
        mailbox bert@ id=berta name=Berta
        account bert@ as=bert name=Bert off
        shared info@ grants=anna@,bert@
        functional info@ as=g members=anna,bert
        map bert=bert
    ";
    let all = series(&[before, after]);
    assert_snapshot!(reviewed(&all[1], Some(&all[0]), &["info"]), @r#"
    info@ anna@: [] 1- delegate | 1- []
    info@ bert@: no | 1- suspended [Withdrawn]
    info@ bert@: [] 2 it is not certain whose account it has | no [Granted]
    "#);
    assert_eq!(grants(&all[1], "info@"), ["anna@  1", "bert@  2"]);
}

/// R16: the address that the leaver had is the colleague's now.
#[test]
fn r43_a_leaver_is_named_by_the_present_address_of_the_account() {
    let before = "
        people anna@ eve@ fred@
        shared info@ grants=anna@,fred@
        functional info@ as=g members=anna,fred
        mailbox dora@ grants=fred@
        account dora@ delegates=fred@
        map fred=fred eve=eve
    ";
    let leaver = |grants: &str, delegates: &str| {
        format!(
            "
            people anna@
            mailbox fred@ id=eve name=Eve
            account fred@ as=eve name=Eve ext=eve
            account aside@ as=fred name=Fred ext=fred off
            shared info@ grants={grants}
            functional info@ as=g members=anna{}
            mailbox dora@ grants={grants}
            account dora@{}
            map fred=fred eve=eve
            ",
            if delegates.is_empty() { "" } else { ",fred" },
            if delegates.is_empty() {
                ""
            } else {
                " delegates=aside@"
            },
        )
    };
    let all = series(&[before, &leaver("?", "aside@"), &leaver("anna@", "")]);
    assert_snapshot!(reviewed(&all[1], Some(&all[0]), &["dora", "info"]), @r#"
    dora@ aside@: unknown (throttled (R11)) Some("[] 1- delegate") | 1- suspended []
    info@ anna@: unknown (throttled (R11)) Some("[] 1- delegate") | 1- []
    info@ aside@: unknown (throttled (R11)) Some("[] 1- delegate") | 1- suspended []
    "#);
    assert_snapshot!(reviewed(&all[2], Some(&all[0]), &["aside"]), @r#"
    aside@ ?: no mailbox | no []
    dora@ aside@: no | no [Withdrawn, DelegateRemoved]
    info@ aside@: no | no [Withdrawn, DelegateRemoved]
    "#);
}

/// R16: nothing but the last access is known of the leaver.
#[test]
fn r43_the_former_address_of_a_leaver_is_marked_when_it_is_another_persons() {
    let before = "
        people anna@ eve@
        mailbox fred@
        shared info@ grants=anna@,fred@
        shared desk@ grants=anna@
    ";
    let after = |address: &str, grants: &str| {
        format!(
            "
            people anna@
            mailbox {address} id=eve name=Eve
            account {address} as=eve name=Eve ext=eve
            shared info@ grants={grants}
            shared desk@ id=new grants=anna@
            "
        )
    };
    let names = |now: &Snapshot, then: Option<&Snapshot>| {
        let rows = review(now, then, &Filter::default()).rows.into_iter();
        let named = |it: &Named| format!("{} \"{}\"", it.address, it.name);
        let named = rows.map(|row| {
            let person = row.person.as_ref().map_or_else(String::new, named);
            format!("{}: {person}\n", named(&row.mailbox))
        });
        super::shown::short(&named.collect::<String>())
    };
    let all = series(&[before, &after("fred@", "?"), &after("fred@", "anna@")]);
    assert_snapshot!(names(&all[1], None), @r#"
    desk@ "desk": anna@ "anna"
    info@ "info": anna@ "anna"
    info@ "info": fred@ "had this address before"
    "#);
    assert_snapshot!(names(&all[2], Some(&all[0])), @r#"
    desk@ "desk": anna@ "anna"
    desk@ "desk (had this address before)": anna@ "anna"
    info@ "info": anna@ "anna"
    info@ "info": fred@ "fred (had this address before)"
    "#);
    let all = series(&[before, &after("eve@", "?")]);
    assert_snapshot!(names(&all[1], Some(&all[0])), @r#"
    desk@ "desk": anna@ "anna"
    desk@ "desk (had this address before)": anna@ "anna"
    info@ "info": anna@ "anna"
    info@ "info": fred@ "fred"
    "#);
}

/// R16: what was approved for the new person is the new person's.
#[test]
fn r16_an_account_that_was_given_to_another_person_is_another_delegate() {
    let before = "
        people anna@ bert@
        shared info@ grants=bert@
        functional info@ as=g members=bert
        map bert=bert
    ";
    let after = "
        people anna@
        mailbox bert@ id=berta name=Berta
        account bert@ as=bert name=Berta
        shared info@ grants=bert@
        functional info@ as=g members=bert
        map berta=bert
    ";
    let all = series(&[before, after]);
    assert_snapshot!(reviewed(&all[1], Some(&all[0]), &["info"]), @r#"
    info@ bert@: [] 2 delegate | 2 [Granted, DelegateAdded]
    info@ bert@: no | no [Withdrawn, DelegateRemoved]
    "#);
}

/// A mailbox that is gone changes nothing in Zivver.
#[test]
fn r43_what_is_gone_on_one_side_is_the_same_on_the_other() {
    let before = "
        people anna@ dora@
        shared info@ grants=anna@
        functional info@ as=g members=anna
    ";
    let after = "
        people anna@ dora@
        functional info@ as=g members=anna
    ";
    let all = series(&[before, after, before]);
    assert_snapshot!(reviewed(&all[1], Some(&all[0]), &["info"]), @"info@ anna@: no mailbox | 1- [Withdrawn]");
    assert_snapshot!(reviewed(&all[2], Some(&all[1]), &["info"]), @"info@ anna@: [] 3 delegate | 1- [Granted]");
}

fn reject(scene: &mut Scene, id: &str, has_address: bool) {
    let rejected = |kind, address: &crate::address::SmtpAddress| RejectedAccount {
        kind,
        id: Some(ScimId::new(id)),
        address: has_address.then(|| address.clone()),
        name: None,
        active: true,
        aliases: Vec::new(),
        delegates: Vec::new(),
        object_id: None,
        label: id.to_owned(),
        reason: "wrong types".to_owned(),
    };
    let actual = &mut scene.actual;
    let users = actual.users.iter().filter(|it| it.id.as_str() == id);
    let users = users.map(|it| rejected(AccountKind::User, &it.address));
    let groups = actual.groups.iter().filter(|it| it.id.as_str() == id);
    let groups = groups.map(|it| rejected(AccountKind::Functional, &it.address));
    let rows: Vec<RejectedAccount> = users.chain(groups).collect();
    actual.users.retain(|it| it.id.as_str() != id);
    actual.groups.retain(|it| it.id.as_str() != id);
    actual.rejected.extend(rows);
}

/// R1, R5: what cannot be understood is neither gone nor changed.
#[test]
fn r1_what_is_not_understood_is_unknown() {
    let world = "
        people anna@ bert@
        mailbox carl@ grants=anna@
        account carl@ delegates=anna@,bert@
        shared info@ grants=anna@,bert@
        functional info@ as=g members=anna,bert
        map info=g carl=carl bert=bert
    ";
    let odd = "
        people anna@
        rejected bert@
        account bert@
        mailbox carl@ grants=anna@
        account carl@ delegates=anna@,bert@
        rejected info@
        functional info@ as=g members=anna,bert
        map info=g carl=carl bert=bert
    ";
    let mut scene = Scene::parse(world);
    for id in ["g", "carl", "bert"] {
        reject(&mut scene, id, false);
    }
    let all = series_of([Scene::parse(world), scene, Scene::parse(odd)]);
    for (at, now) in all.iter().enumerate() {
        for then in &all[..at] {
            let review = review(now, Some(then), &Filter::default());
            assert_eq!(review.changed, 0, "{:#?}", review.rows);
            assert_eq!(differences(then, now).differences, []);
        }
    }
    assert_snapshot!(reviewed(&all[1], Some(&all[0]), &["info", "carl"]), @r#"
    carl@ anna@: [] 1- delegate | unknown (the account cannot be understood: wrong types (R1)) Some("1-") []
    carl@ bert@: no | unknown (the account cannot be understood: wrong types (R1)) Some("1-") []
    info@ anna@: [] 1- delegate | unknown (the account cannot be understood: wrong types (R1)) Some("1-") []
    info@ bert@: [] 1- its account in Zivver is or may be bert, which cannot be understood: wrong types | unknown (the account cannot be understood: wrong types (R1)) Some("1-") []
    "#);
    assert_snapshot!(reviewed(&all[2], Some(&all[1]), &["info"]), @r#"
    info@ anna@: unknown (it cannot be understood: Exchange did not say whether its account is disabled (R5)) Some("[] 1- delegate") | 1- []
    info@ bert@: unknown (it cannot be understood: Exchange did not say whether its account is disabled (R5)) Some("[] 1- its account in Zivver is or may be bert, which cannot be understood: wrong types") | 1- []
    "#);
}

/// How one night sees a world in which nothing changes.
#[derive(Debug, Clone, Copy)]
struct Night {
    info: &'static str,
    anna: &'static str,
    rejected: Option<(&'static str, bool)>,
}

fn night() -> impl Strategy<Value = Night> {
    let info = prop_oneof![
        2 => Just("shared info@ grants=anna@,bert@"),
        1 => Just("shared info@ grants=?"),
        1 => Just("rejected info@ grants=anna@,bert@"),
        1 => Just("other info@"),
    ];
    let anna = prop_oneof![
        3 => Just("mailbox anna@ grants=bert@"),
        1 => Just("mailbox anna@ grants=?"),
        1 => Just("rejected anna@"),
    ];
    let id = proptest::sample::select(vec!["g", "anna", "bert"]);
    let rejected = proptest::option::weighted(0.4, (id, any::<bool>()));
    (info, anna, rejected).prop_map(|(info, anna, rejected)| Night {
        info,
        anna,
        rejected,
    })
}

const CLEAR: Night = Night {
    info: "shared info@ grants=anna@,bert@",
    anna: "mailbox anna@ grants=bert@",
    rejected: None,
};

fn scene(night: Night) -> Scene {
    let Night { info, anna, .. } = night;
    let mut scene = Scene::parse(&format!(
        "
        {info}
        {anna}
        account anna@ delegates=bert@
        people bert@
        functional info@ as=g members=anna,bert
        map info=g anna=anna bert=bert
        "
    ));
    if let Some((id, has_address)) = night.rejected {
        reject(&mut scene, id, has_address);
    }
    scene
}

proptest! {
    #![proptest_config(cases_of(300))]

    /// What was always there is never given a time at which it came, and keeps what was known of it.
    #[test]
    fn r42_the_time_of_a_delegation_survives_nights_that_do_not_know_it(
        nights in prop::collection::vec(night(), 1..5),
        is_clear in any::<bool>(),
    ) {
        let first = is_clear.then_some(CLEAR);
        let nights = first.into_iter().chain(nights).chain([CLEAR]);
        let all = series_of(nights.map(scene));
        for snapshot in &all {
            let grants = snapshot.mailboxes.iter().flat_map(|it| it.access.grants());
            let grants = grants.map(|it| (&it.who, it.since, it.or_earlier));
            let delegates = snapshot.accounts.iter().flat_map(|it| &it.delegates);
            let delegates = delegates.map(|it| (&it.who, it.since, it.or_earlier));
            for (who, since, or_earlier) in grants.chain(delegates) {
                prop_assert!(since == 1 || or_earlier, "{who} {since}");
                if is_clear {
                    prop_assert_eq!(since, 1, "{}", who);
                }
            }
        }
        for (at, now) in all.iter().enumerate() {
            for then in &all[..at] {
                let review = review(now, Some(then), &Filter::default());
                prop_assert_eq!(review.changed, 0, "{:#?}", review.rows);
                let differences = differences(then, now).differences;
                let kept = differences.iter().filter(|it| it.what == crate::snapshot::diff::Attribute::Delegation);
                prop_assert_eq!(kept.count(), 0, "{:#?}", differences);
            }
        }
    }
}
