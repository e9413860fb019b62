//! R28: runs that are restricted to a reviewed plan.

use std::collections::{BTreeMap, BTreeSet};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{
    notation::{Planned, Scene, object_id},
    properties::{account, cases, choices, lines, mailbox, policy, sound},
    shown::shown,
    zivver::{Disturbance, carry_out},
};
use crate::{
    change::Attribute,
    ids::{ScimId, SignInKey, SsoAccountKey},
    memory::WrittenKey,
    note::Code,
    plan::Action,
    reviewed::Reviewed,
};

/// The plan for `now`, restricted to what a preview of `before` planned.
fn restricted(before: &str, now: &str) -> Planned {
    let reviewed = Scene::parse(before).plan();
    let mut scene = Scene::parse(now);
    scene.wishes.reviewed = Some(Reviewed::of(reviewed.plan.approved.actions()));
    scene.plan()
}

/// Its changes, and its notes about the others.
fn told(before: &str, now: &str) -> String {
    let planned = restricted(before, now);
    let notes = planned.plan.notes.iter();
    let notes = notes.filter(|note| {
        matches!(
            note.code,
            Code::NotReviewed | Code::ReviewOutdated | Code::ReviewMade
        )
    });
    let notes: Vec<String> = notes
        .map(|note| format!("{}: {}", note.address, note.text))
        .collect();
    format!("{}\n{}", shown(&planned), notes.join("\n")).replace("corp.example", "")
}

#[test]
fn r28_what_was_not_reviewed_is_left_for_later() {
    let before = "
        mailbox anna@ name=Anna
        account anna@ name=A
        mailbox bert@
        account bert@
    ";
    let now = "
        mailbox anna@ name=Anna alias=a@
        account anna@ name=A
        mailbox bert@ disabled
        account bert@
        mailbox carl@
    ";
    assert_snapshot!(told(before, now), @r"
    update anna@; name -A +Anna
    0. anna@: name [Anna]
    R28 NotReviewed anna@
    R28 NotReviewed bert@
    R28 NotReviewed carl@
    anna@: update left for later, since it was not reviewed: alias + a@
    bert@: suspend left for later, since it was not reviewed: active yes → no
    carl@: create left for later, since it was not reviewed: name + carl
    ");
}

#[test]
fn r28_what_is_planned_differently_is_left_out() {
    let before = "
        mailbox anna@ name=Anna
        account anna@ name=A
        shared info@ grants=anna@,bert@
        functional info@ members=anna,carl
        people bert@ carl@
    ";
    let now = "
        mailbox anna@ name=Annette
        account anna@ name=A
        shared info@ grants=bert@
        functional info@ members=anna,carl
        people bert@ carl@
    ";
    assert_snapshot!(told(before, now), @r"
    update info@; delegates -carl@ +bert@
    0. info@: members [anna@ bert@]
    R28 ReviewOutdated anna@
    R28 NotReviewed anna@
    R28 NotReviewed info@
    anna@: not made: name A → Anna: it is no longer planned as reviewed
    anna@: update left for later, since it was not reviewed: name A → Annette
    info@: update left for later, since it was not reviewed: delegate − anna@
    ");
}

#[test]
fn r28_an_empty_is_reviewed_with_all_members() {
    let before = "
        shared info@
        functional info@ members=anna
        people anna@ bert@
    ";
    let now = "
        shared info@
        functional info@ members=anna,bert
        people anna@ bert@
    ";
    assert_snapshot!(told(before, now), @r"
    R28 ReviewOutdated info@
    R28 ReviewOutdated info@
    R28 NotReviewed info@
    info@: not made: active yes → no: it needs a change that is left for later
    info@: not made: delegate − anna@: it needs a change that is left for later
    info@: empty left for later, since it was not reviewed: active yes → no, delegate − anna@, delegate − bert@
    ");
}

#[test]
fn r28_what_is_made_already_is_said_to_be_made() {
    let before = "
        mailbox anna@ name=Anna alias=a@
        account anna@ name=A alias=old@
        shared info@ grants=anna@,bert@
        functional info@ members=carl
        mailbox bert@ disabled
        account bert@
        mailbox dora@
        people carl@
    ";
    let now = "
        mailbox anna@ name=Anna alias=a@
        account anna@ name=Anna alias=a@
        shared info@ grants=anna@
        functional info@ members=anna
        mailbox bert@ disabled
        account bert@ off
        mailbox dora@
        account dora@
        people carl@
    ";
    assert_snapshot!(told(before, now), @r"
    R28 ReviewMade anna@
    R28 ReviewMade anna@
    R28 ReviewMade anna@
    R28 ReviewMade bert@
    R28 ReviewMade dora@
    R28 ReviewOutdated info@
    R28 ReviewMade info@
    R28 ReviewMade info@
    anna@: already made: alias + a@
    anna@: already made: alias − old@
    anna@: already made: name A → Anna
    bert@: already made: active yes → no
    dora@: already made: name + dora
    info@: not made: delegate + bert@: it is no longer planned as reviewed
    info@: already made: delegate + anna@
    info@: already made: delegate − carl@
    ");
}

#[test]
fn r28_half_of_a_swap_of_addresses_is_not_made() {
    let before = "
        mailbox anna@
        account bert@ as=u1 name=anna
        mailbox bert@
        account x@ as=u2 name=bert
        map anna=u1 bert=u2
    ";
    let now = "
        mailbox anna@
        account bert@ as=u1 name=anna
        mailbox bert@
        account anna@ as=u2 name=bert
        map anna=u1 bert=u2
    ";
    assert_snapshot!(told(before, now), @r"
    R28 NotReviewed anna@
    R28 ReviewOutdated bert@
    R28 ReviewOutdated x@
    anna@: rename left for later, since it was not reviewed: address anna@ → bert@
    bert@: not made: address bert@ → anna@: it needs a change that is left for later
    x@: not made: address x@ → bert@: it is no longer planned as reviewed
    ");
}

#[test]
fn r28_a_claim_waits_for_a_release_that_was_not_reviewed() {
    let before = "
        mailbox anna@ alias=x@
        account anna@
        mailbox bert@
        account bert@
    ";
    let now = "
        mailbox anna@ alias=x@
        account anna@
        mailbox bert@
        account bert@ alias=x@
    ";
    assert_snapshot!(told(before, now), @r"
    R28 ReviewOutdated anna@
    R28 NotReviewed bert@
    anna@: not made: alias + x@: it needs a change that is left for later
    bert@: update left for later, since it was not reviewed: alias − x@
    ");
}

#[test]
fn r28_what_is_held_now_stays_held() {
    let people = "
        mailbox a@ disabled
        account a@
        people b@ c@ d@ e@ f@ g@ h@ i@ j@
    ";
    let before = format!("limits suspend=1\n{people}");
    let now = format!("{before}\nmailbox k@ disabled\naccount k@");
    assert_snapshot!(told(&before, &now), @r"
    held Suspend: a@ suspend [active] -> [suspended]
    held Suspend: k@ suspend [active] -> [suspended]
    R28 ReviewOutdated a@
    a@: not made: active yes → no: it is held now
    ");
}

#[test]
fn r34_the_rest_of_a_run_is_the_same_review() {
    let before = "
        mailbox anna@ name=Anna alias=a@
        account x@ as=u1 name=A
        map anna=u1
        shared info@ grants=anna@,bert@
        functional info@ members=carl
        people carl@
        mailbox bert@
    ";
    // An earlier invocation has renamed one account and created the other.
    let now = "
        written u1
        mailbox anna@ name=Anna alias=a@
        account anna@ as=u1 name=Between
        map anna=u1
        shared info@ grants=anna@,bert@
        functional info@ members=carl
        people carl@
        mailbox bert@
        account bert@
    ";
    assert_snapshot!(told(before, now), @r"
    update anna@; name -Between +Anna; aliases +a@
    update info@; delegates -carl@ +anna@ +bert@
    0. anna@: name [Anna] aliases [a@] delegates [] key [#anna]
    1. info@: members [anna@ bert@]
    R28 ReviewMade bert@
    R28 ReviewMade x@
    bert@: already made: name + bert
    x@: already made: address x@ → anna@
    ");
    let mut scene = Scene::parse(now);
    let before = Scene::parse(before).plan();
    let actions = before.plan.approved.actions();
    scene.wishes.reviewed = Some(Reviewed::of(actions).made_by(actions));
    let notes = scene.plan().plan.notes;
    assert_eq!(notes, [], "what the run made itself is not missed");
}

/// The values that an action asks for, by account.
fn values(action: &Action, names: &BTreeMap<String, String>) -> BTreeSet<String> {
    let account = match &action.id {
        Some(id) => id.to_string(),
        None => format!("{:?} {}", action.account, action.address),
    };
    let mut all = BTreeSet::new();
    for change in &action.changes {
        let attribute = change.attribute;
        let name = |value: &String| match attribute {
            Attribute::Delegates => names.get(value).unwrap_or(value).clone(),
            Attribute::Address
            | Attribute::Name
            | Attribute::Active
            | Attribute::ObjectId
            | Attribute::SignInKey
            | Attribute::Aliases => value.clone(),
        };
        match attribute {
            Attribute::Aliases | Attribute::Delegates => {
                let gone = change.before.iter().map(|it| format!("-{}", name(it)));
                let come = change.after.iter().map(|it| format!("+{}", name(it)));
                all.extend(
                    gone.chain(come)
                        .map(|it| format!("{account} {attribute:?} {it}")),
                );
            }
            Attribute::SignInKey => {
                all.insert(format!("{account} {attribute:?} {:?}", change.after));
            }
            Attribute::Address | Attribute::Name | Attribute::Active | Attribute::ObjectId => {
                let values = (&change.before, &change.after);
                all.insert(format!("{account} {attribute:?} {values:?}"));
            }
        }
    }
    all
}

prop_compose! {
    fn worlds()(
        mailboxes in proptest::collection::vec(mailbox(), 0..5),
        accounts in proptest::collection::vec(account(), 0..5),
        other_mailboxes in proptest::collection::vec(mailbox(), 0..3),
        other_accounts in proptest::collection::vec(account(), 0..2),
        policy in policy(),
    ) -> (String, String) {
        let before = lines(&mailboxes, &accounts, policy.clone()).join("\n");
        let of = |own: usize, other: usize| other..own.max(other);
        let mut now = other_mailboxes.clone();
        now.extend_from_slice(mailboxes.get(of(mailboxes.len(), other_mailboxes.len())).unwrap_or(&[]));
        let mut target = other_accounts.clone();
        target.extend_from_slice(accounts.get(of(accounts.len(), other_accounts.len())).unwrap_or(&[]));
        (before, lines(&now, &target, policy).join("\n"))
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn r28_nothing_outside_a_reviewed_plan_is_made((before, now) in worlds(), seed in any::<u64>()) {
        let reviewed = Scene::parse(&before).plan();
        let planned = restricted(&before, &now);
        let addresses = |planned: &Planned| -> BTreeMap<String, String> {
            let accounts = planned.world.accounts.iter();
            accounts.map(|(_, it)| (it.id().to_string(), it.address().to_string())).collect()
        };
        let by_id: BTreeMap<String, String> = reviewed.plan.approved.actions().iter()
            .filter_map(|it| Some((it.id.as_ref()?.to_string(), it.address.to_string())))
            .collect();
        let names = addresses(&planned).into_iter()
            .filter_map(|(id, address)| Some((address, by_id.get(&id)?.clone())))
            .collect();
        let allowed: BTreeSet<String> = reviewed.plan.approved.actions().iter()
            .flat_map(|action| values(action, &BTreeMap::new()))
            .collect();
        for action in planned.plan.approved.actions() {
            for value in values(action, &names) {
                let as_new = action.id.as_ref().map(|id| {
                    value.replacen(&id.to_string(), &format!("{:?} {}", action.account, action.address), 1)
                });
                prop_assert!(
                    allowed.contains(&value) || as_new.is_some_and(|it| allowed.contains(&it)),
                    "{value}\nbefore\n{before}\n{}\nnow\n{now}\n{}", shown(&reviewed), shown(&planned)
                );
            }
        }
        sound(&planned);
        let after = carry_out(&planned, &Disturbance::NONE, choices(seed));
        prop_assert!(after.refusals.is_empty(), "{now}\n{}\n{:#?}", shown(&planned), after.refusals);
    }

    #[test]
    fn r28_a_reviewed_plan_is_applied_as_it_is((before, _) in worlds()) {
        let reviewed = Scene::parse(&before).plan();
        let planned = restricted(&before, &before);
        prop_assert_eq!(reviewed.plan.approved.actions(), planned.plan.approved.actions(), "{}", before);
        prop_assert_eq!(reviewed.plan.approved.steps(), planned.plan.approved.steps());
        prop_assert!(!planned.plan.leaves_out);
        prop_assert_eq!(reviewed.plan.notes, planned.plan.notes);
    }
}

#[test]
fn r23_r28_a_key_that_was_written_already_is_said_to_be_made() {
    let before = "
        new-keys
        mailbox anna@ alias=a@
        account anna@
    ";
    let now = before.replace("account anna@", "account anna@ alias=a@");
    let reviewed = Reviewed::of(Scene::parse(before).plan().plan.approved.actions());
    let told = |key: &str| {
        let mut scene = Scene::parse(&now);
        scene.wishes.reviewed = Some(reviewed.clone());
        let key = SignInKey::Name(key.into());
        let key = WrittenKey::of(SsoAccountKey::ObjectId, &key);
        scene.memory.keys.insert(ScimId::new("anna"), key);
        let notes = scene.plan().plan.notes;
        let notes = notes.into_iter().map(|note| note.text);
        notes.collect::<Vec<_>>().join("\n")
    };
    let told = |key: &str| told(key).replace(&object_id("anna"), "KEY");
    assert_snapshot!(told(&object_id("anna")), @r"
    already made: alias + a@corp.example
    already made: sign-in key + KEY
    ");
    assert_snapshot!(told("another"), @r"
    not made: sign-in key + KEY: it is no longer planned as reviewed
    already made: alias + a@corp.example
    ");
}
