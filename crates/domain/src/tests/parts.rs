//! One action that two invocations of a run made in parts (R34).

use crate::{
    accounts::AccountKind,
    address::SmtpAddress,
    delta::Reason,
    ids::ScimId,
    origin::Origin,
    plan::{Action, ActionKind, Attribute, AttributeChange},
    report::{
        ActionOutcome::{self, Applied, Failed, Partly, Planned, Refused, Remaining},
        ActionReport,
    },
};

fn changed(attribute: Attribute, before: &[&str], after: &[&str]) -> AttributeChange {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    AttributeChange {
        attribute,
        before: texts(before),
        after: texts(after),
        origins: std::collections::BTreeMap::new(),
        renamed: std::collections::BTreeMap::new(),
    }
}

fn part(kind: ActionKind, outcome: ActionOutcome, changes: Vec<AttributeChange>) -> ActionReport {
    ActionReport {
        action: Action {
            kind,
            account: AccountKind::User,
            address: SmtpAddress::verbatim("anna@corp.example"),
            id: (kind != ActionKind::Create).then(|| ScimId::new("u1")),
            changes,
            reasons: Vec::new(),
            fingerprint: String::new(),
        },
        outcome,
        problems: Vec::new(),
        left: Vec::new(),
    }
}

#[test]
fn r34_what_one_invocation_began_and_another_completed_is_one_action() {
    let mut whole = part(
        ActionKind::Create,
        Applied,
        vec![
            changed(Attribute::Name, &[], &["Anna"]),
            changed(Attribute::Aliases, &[], &["a@corp.example"]),
        ],
    );
    whole.followed_by(part(
        ActionKind::Update,
        Applied,
        vec![
            changed(Attribute::Name, &["Anna"], &["Anna B"]),
            changed(
                Attribute::Aliases,
                &[],
                &["a@corp.example", "b@corp.example"],
            ),
            changed(Attribute::Delegates, &[], &["ben@corp.example"]),
        ],
    ));
    assert_eq!(
        (whole.action.kind, whole.outcome),
        (ActionKind::Create, Applied)
    );
    let expected = [
        changed(Attribute::Name, &[], &["Anna B"]),
        changed(
            Attribute::Aliases,
            &[],
            &["a@corp.example", "b@corp.example"],
        ),
        changed(Attribute::Delegates, &[], &["ben@corp.example"]),
    ];
    assert_eq!(whole.action.changes, expected);
}

#[test]
fn r34_what_came_and_went_again_is_no_change() {
    let aliases =
        |before: &[&str], after: &[&str]| vec![changed(Attribute::Aliases, before, after)];
    let mut whole = part(
        ActionKind::Update,
        Applied,
        aliases(&["old@x.example"], &["new@x.example"]),
    );
    whole.followed_by(part(
        ActionKind::Update,
        Applied,
        aliases(&["new@x.example"], &["old@x.example", "third@x.example"]),
    ));
    assert_eq!(whole.action.changes, aliases(&[], &["third@x.example"]));
}

#[test]
fn r34_the_gravest_kind_of_the_parts_is_told() {
    for (first, then, expected) in [
        (ActionKind::Create, ActionKind::Suspend, ActionKind::Create),
        (ActionKind::Rename, ActionKind::Update, ActionKind::Rename),
        (ActionKind::Update, ActionKind::Suspend, ActionKind::Suspend),
    ] {
        let mut whole = part(first, Applied, Vec::new());
        whole.followed_by(part(then, Applied, Vec::new()));
        assert_eq!(whole.action.kind, expected, "{first:?} {then:?}");
    }
}

#[test]
fn r34_an_action_is_applied_only_if_all_its_parts_are() {
    for (first, then, expected) in [
        (Applied, Applied, Applied),
        (Applied, Remaining, Partly),
        (Applied, Planned, Partly),
        (Applied, Refused, Partly),
        (Partly, Applied, Partly),
        (Refused, Applied, Partly),
        (Refused, Refused, Refused),
        (Refused, Remaining, Remaining),
        (Remaining, Failed, Failed),
    ] {
        let mut whole = part(ActionKind::Update, first, Vec::new());
        whole.followed_by(part(ActionKind::Update, then, Vec::new()));
        assert_eq!(whole.outcome, expected, "{first:?} {then:?}");
    }
}

#[test]
fn r34_what_a_part_left_is_left_until_a_later_one_makes_it() {
    let alias = || vec![changed(Attribute::Aliases, &[], &["a@corp.example"])];
    let name = || vec![changed(Attribute::Name, &["Anna"], &["Anna B"])];
    let all = || [name(), alias()].concat();
    let begun = |problems: &[&str]| ActionReport {
        left: alias(),
        problems: problems.iter().map(ToString::to_string).collect(),
        ..part(ActionKind::Update, Partly, all())
    };
    let whole = |outcome| part(ActionKind::Update, outcome, all());
    let rest = |outcome| part(ActionKind::Update, outcome, alias());
    for (mut first, then, outcome, left) in [
        (begun(&[]), rest(Applied), Applied, vec![]),
        (begun(&[]), rest(Refused), Partly, alias()),
        (begun(&[]), rest(Failed), Partly, alias()),
        (begun(&[]), rest(Remaining), Partly, alias()),
        (begun(&["400 no"]), rest(Applied), Partly, vec![]),
        (whole(Applied), rest(Remaining), Partly, alias()),
        (whole(Refused), rest(Remaining), Remaining, vec![]),
    ] {
        let case = format!("{first:?} {then:?}");
        first.followed_by(then);
        assert_eq!((first.outcome, &first.left), (outcome, &left), "{case}");
        let is_left = outcome == Remaining || !left.is_empty();
        assert_eq!(first.is_left(), is_left, "{case}");
    }
}

#[test]
fn r34_what_both_parts_state_is_told_once() {
    let because = |texts: &[&str]| {
        let reasons = texts.iter().map(|text| Reason::new("R19", *text));
        reasons.collect::<Vec<_>>()
    };
    let mut whole = part(ActionKind::Update, Partly, Vec::new());
    whole.action.reasons = because(&["first"]);
    whole.problems = vec!["400 no".into()];
    let mut later = whole.clone();
    later.action.reasons = because(&["first", "second"]);
    later.problems.push("409 taken".into());
    whole.followed_by(later);
    assert_eq!(whole.action.reasons, because(&["first", "second"]));
    assert_eq!(whole.problems, ["400 no", "409 taken"]);
}

#[test]
fn r34_r44_an_origin_is_that_of_a_value_that_is_still_changed() {
    let because = |origin, mut change: AttributeChange| {
        let entries = change.before.iter().chain(&change.after);
        change.origins = entries.map(|it| (it.clone(), origin)).collect();
        part(ActionKind::Update, Applied, vec![change])
    };
    let origins = |mut first: ActionReport, then: ActionReport| {
        first.followed_by(then);
        let [change] = &first.action.changes[..] else {
            panic!("{first:?}");
        };
        let origins = change.origins.iter();
        let origins = origins.map(|(value, origin)| format!("{value} {origin:?}"));
        origins.collect::<Vec<_>>()
    };
    let aliases = |before: &[&str], after: &[&str]| changed(Attribute::Aliases, before, after);
    let first = because(
        Origin::ExchangeChanged,
        aliases(&["gone@"], &["new@", "brief@"]),
    );
    let then = because(
        Origin::ChangedByHand,
        aliases(&["brief@"], &["new@", "more@"]),
    );
    assert_eq!(
        origins(first, then),
        [
            "gone@ ExchangeChanged",
            "more@ ChangedByHand",
            "new@ ExchangeChanged"
        ]
    );
    let name = |before: &str, after: &str| changed(Attribute::Name, &[before], &[after]);
    let mut first = because(Origin::ExchangeChanged, name("Anna", "Anna B"));
    let mut then = because(Origin::ChangedByHand, name("Anna B", "Anna C"));
    for part in [&mut first, &mut then] {
        let change = &mut part.action.changes[0];
        change
            .origins
            .retain(|value, _| change.after.contains(value));
    }
    assert_eq!(origins(first, then), ["Anna C ChangedByHand"]);
}
