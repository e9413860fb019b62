//! One action that two invocations of a run made in parts (R34).

use crate::{
    accounts::AccountKind,
    address::SmtpAddress,
    ids::ScimId,
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
