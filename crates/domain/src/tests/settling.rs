//! What is left out of a plan because something else is (R12, R23, R25, R32), and the resulting steps.

use insta::assert_snapshot;

use super::{
    notation::{Planned, Scene, address},
    shown::{changes_of, plan_of, shown},
};
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    accounts::Account,
    action::ActionOutcome,
    ids::ScimId,
    ineffective::{Asked, Sent, compare, is_outdated, remember},
    ledger::record_interrupted,
    memory::{InHand, Ineffective, Memory, WrittenKey},
    record::{Entry, PlanRecord},
    ties::next_mapping,
};

#[test]
fn r25_what_falls_out_takes_with_it_whatever_rests_on_it() {
    // The filtered account keeps x@ and bert.b@: no account for x@, so none for info@; no rename for bert@, so none for anna@.
    let world = "
        target holder@
        account holder@ alias=x@,bert.b@
        mailbox x@
        mailbox bert.b@ id=two name=N
        account bert@ as=u2 ext=two name=N
        mailbox bert@ id=one name=N
        account anna@ as=u1 ext=one name=N
        shared info@ grants=x@
    ";
    assert_snapshot!(plan_of(world), @r"
    R17 RenameBlocked bert.b@
    R17 RenameBlocked bert@
    R15 TargetFilter holder@
    R12 DelegateKept info@
    R12 DelegatesLeftOut info@
    R32 DelegateLeftOut info@
    R24 AddressTaken x@
    ");
}

#[test]
fn r12_r32_a_functional_account_waits_for_its_only_delegate() {
    let world = "
        target holder@
        account holder@ alias=x@
        mailbox x@
        mailbox carl@
        account carl@
        mailbox dora@
        account dora@
        shared info@ grants=x@
        functional info@
        shared desk@ grants=x@
        functional desk@ members=carl
        shared hall@ grants=x@,dora@
        functional hall@ members=carl,dora
    ";
    assert_snapshot!(plan_of(world), @r"
    update hall@; delegates -carl@
    0. hall@: members [dora@]
    R12 DelegateKept desk@
    R12 DelegatesStay desk@
    R32 DelegateLeftOut desk@
    R12 DelegateKept hall@
    R32 DelegateLeftOut hall@
    R15 TargetFilter holder@
    R12 DelegateKept info@
    R32 DelegateLeftOut info@
    R24 AddressTaken x@
    ");
}

#[test]
fn r24_r25_which_steps_are_expected_and_which_stop_something() {
    let planned = Scene::parse(
        "mailbox new@
        mailbox alias@ alias=a@
        mailbox deleg@ grants=new@
        shared info@ grants=new@
        shared other@ grants=new@ alias=o@
        mailbox anna.b@ id=anna name=N
        account anna@ ext=anna name=N alias=anna.b@
        mailbox off@ disabled
        account off@
        shared desk@
        functional desk@ members=off",
    )
    .plan();
    let steps = planned.plan.approved.steps();
    let told: Vec<String> = steps
        .iter()
        .map(|step| {
            let kind = format!("{:?}", step.call);
            let kind = kind.split([' ', '{']).next().unwrap().to_owned();
            format!(
                "{kind} {:?} {} {}",
                step.when,
                step.is_expected(),
                step.call.is_stop()
            )
        })
        .collect();
    assert_snapshot!(told.join("\n"), @r"
    CreateUser Always true false
    CreateUser Always true false
    CreateUser Always true false
    CreateFunctional Always true false
    CreateFunctional Always true false
    UpdateUser Always true false
    UpdateUser Always true false
    UpdateUser IfRefused(StepIx(6)) false false
    UpdateUser Completes(StepIx(0)) true false
    UpdateUser Completes(StepIx(1)) true false
    UpdateFunctional Completes(StepIx(3)) false false
    UpdateUser Completes(StepIx(2)) false false
    UpdateFunctional Completes(StepIx(4)) true false
    Empty Always true true
    UpdateUser Always true true
    ");
}

#[test]
fn r22_a_delegate_that_is_a_functional_account_goes_along() {
    let world = "
        mailbox anna@ alias=a@
        account anna@ delegates=info@,far@other.example,bert@
        mailbox bert@
        account bert@
        shared info@ grants=bert@
        functional info@ members=bert
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +a@; delegates -bert@
    0. anna@: aliases [a@] delegates [info@ far@other.example] key [#anna]
    ");
}

#[test]
fn r9_a_trustee_is_also_found_by_the_guid_of_its_mailbox() {
    let guid = super::notation::object_id("guid");
    let world = format!(
        "mailbox anna@ grants={guid}
        account anna@
        mailbox bert@ guid=guid
        account bert@"
    );
    assert_snapshot!(changes_of(&world), @"update anna@; delegates +bert@");
}

#[test]
fn r17_r25_of_two_swaps_one_is_finished_before_the_other_begins() {
    let world = "
        mailbox a@ id=one name=N
        mailbox c@ id=two name=N
        account c@ as=u1 name=N ext=one
        account a@ as=u2 name=N ext=two
        mailbox b@ id=three name=N
        mailbox d@ id=four name=N
        account d@ as=u3 name=N ext=three
        account b@ as=u4 name=N ext=four
        mailbox f@ id=five name=N
        account e@ as=u5 name=N ext=five
    ";
    assert_snapshot!(plan_of(world), @r"
    rename a@; address -a@ +c@
    rename b@; address -b@ +d@
    rename c@; address -c@ +a@
    rename d@; address -d@ +b@
    rename e@; address -e@ +f@
    0. a@: address [cloud-sync-51d7f485a3cc@]
    1. c@: address [a@]; after 0; claims a@ of 0
    2. a@: address [c@]; after 0 1; claims c@ of 1
    3. a@: address [a@]; if refused 1; after 1 2
    4. b@: address [cloud-sync-0e4861987aa8@]
    5. d@: address [b@]; after 4; claims b@ of 4
    6. b@: address [d@]; after 4 5; claims d@ of 5
    7. b@: address [b@]; if refused 5; after 5 6
    8. e@: address [f@]
    ");
}

#[test]
fn r17_a_cycle_of_three_goes_from_its_end_whichever_way_it_turns() {
    let cycle = |a: &str, b: &str, c: &str| {
        plan_of(&format!(
            "mailbox {a}@ id=one name=N
            mailbox {b}@ id=two name=N
            mailbox {c}@ id=three name=N
            account a@ as=u1 name=N ext=one
            account b@ as=u2 name=N ext=two
            account c@ as=u3 name=N ext=three"
        ))
    };
    assert_snapshot!(cycle("b", "c", "a"), @r"
    rename a@; address -a@ +b@
    rename b@; address -b@ +c@
    rename c@; address -c@ +a@
    0. a@: address [cloud-sync-b127b0835ce7@]
    1. c@: address [a@]; after 0; claims a@ of 0
    2. b@: address [c@]; after 1; claims c@ of 1
    3. a@: address [b@]; after 0 2; claims b@ of 2
    4. a@: address [a@]; if refused 1; after 1 3
    ");
    assert_snapshot!(cycle("c", "a", "b"), @r"
    rename a@; address -a@ +c@
    rename b@; address -b@ +a@
    rename c@; address -c@ +b@
    0. a@: address [cloud-sync-b127b0835ce7@]
    1. b@: address [a@]; after 0; claims a@ of 0
    2. c@: address [b@]; after 1; claims b@ of 1
    3. a@: address [c@]; after 0 2; claims c@ of 2
    4. a@: address [a@]; if refused 1; after 1 3
    ");
}

#[test]
fn r17_a_removed_delegate_goes_with_the_request_after_the_rename() {
    let world = "
        mailbox anna.b@ id=anna name=N
        account anna@ ext=anna name=N delegates=bert@
        mailbox bert@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    rename anna@; address -anna@ +anna.b@; delegates -bert@
    0. anna@: address [anna.b@]
    1. anna@: aliases [] delegates [] key [#anna] aliases if refused [0 ]; after 0
    ");
}

#[test]
fn r17_a_removed_alias_goes_with_the_request_after_the_rename() {
    let world = "
        mailbox anna.b@ id=anna name=N
        account anna@ ext=anna name=N alias=x@
    ";
    assert_snapshot!(plan_of(world), @r"
    rename anna@; address -anna@ +anna.b@; aliases -x@
    0. anna@: address [anna.b@]
    1. anna@: aliases [] delegates [] key [#anna] aliases if refused [0 ]; after 0
    ");
}

#[test]
fn r24_r25_a_functional_account_waits_for_a_member_at_an_address_that_becomes_free() {
    let world = "
        mailbox anna.b@ id=one name=N
        account anna@ ext=one name=N
        mailbox anna@ id=two name=Namesake
        shared info@ grants=anna@
    ";
    assert_snapshot!(plan_of(world), @r"
    rename anna@; address -anna@ +anna.b@
    create anna@; name +Namesake
    create info@; name +info; delegates +anna@
    0. anna@: address [anna.b@]
    1. new anna@: post user [Namesake] key [#two]; after 0; claims anna@ of 0
    2. new info@: post group [info] members [new anna@] aliases []; after 1
    3. new anna@: name [Namesake] active [true] aliases [] delegates [] key [#two]; completes 1; after 1
    4. new info@: name [info] members [new anna@] aliases []; completes 2; after 1 2
    ");
}

#[test]
fn r22_a_delegate_that_becomes_another_is_tried_again() {
    let plan = |bert: &str| {
        let text = format!(
            "mailbox anna@ grants=bert@ad.example
            account anna@
            {bert}"
        );
        let mut scene = Scene::parse(&text);
        let entry = Ineffective {
            times: 1,
            last: scene.wishes.now,
            run: "R1".into(),
            counted_from: None,
        };
        scene
            .memory
            .ineffective
            .insert("anna +delegate bert".into(), entry);
        let again = shown(&scene.plan());
        again
            .lines()
            .filter(|line| line.starts_with("update anna@"))
            .count()
    };
    assert_eq!(plan("mailbox bert@ upn=bert@ad.example\naccount bert@"), 0);
    assert_eq!(
        plan("mailbox bert@ upn=bert@ad.example name=New\naccount bert@ name=Old"),
        0
    );
    assert_eq!(
        plan("mailbox bert@ upn=bert@ad.example\naccount bert@ off"),
        1
    );
    assert_eq!(
        plan("mailbox bert.b@ id=bert upn=bert@ad.example\naccount bert@ ext=bert"),
        1
    );
}

#[test]
fn r12_an_approved_owner_may_be_a_delegate_in_the_same_plan() {
    let tie = "
        limits identity=100%
        mailbox anna@ grants=new@
        account anna@
        mailbox new@ id=new
        account new@ ext=other
    ";
    assert_snapshot!(changes_of(tie), @r"
    update anna@; delegates +new@
    update new@; objectid -#other +#new
    ");
    let evidence = "
        limits identity=100%
        mailbox anna@ grants=new@
        account anna@
        mailbox new@ id=new alias=old@ name=N
        account old@ name=N
    ";
    assert_snapshot!(changes_of(evidence), @r"
    update anna@; delegates +old@
    rename old@; address -old@ +new@; aliases +old@
    ");
}

#[test]
fn r16_the_next_mapping_keeps_what_is_there_and_gives_no_account_twice() {
    let scene = Scene::parse(
        "mailbox anna@ id=anna
        account anna@ as=u1
        account rest@ as=u2
        mailbox new@ id=new
        account new@ as=u3 ext=other
        mailbox bert@ id=bert
        account bert@ as=u4
        mailbox lag@ id=lag
        map older=u1 rest=u2 gone=u9 other=u3 bert=u4 zed=u4 lag=u8",
    );
    let Planned {
        world, matching, ..
    } = scene.plan();
    let next = next_mapping(&world, &matching, &scene.memory);
    let mut told: Vec<String> = next
        .iter()
        .map(|(object, account)| format!("{object}={account}"))
        .collect();
    told.sort();
    assert_snapshot!(told.join("\n"), @r"
    00000000-0000-4000-8000-0000006c6167=u8
    00000000-0000-4000-8000-000062657274=u4
    00000000-0000-4000-8000-000072657374=u2
    00000000-0000-4000-8000-006f6c646572=u1
    00000000-0000-4000-8000-006f74686572=u3
    ");
}

#[test]
fn r22_only_what_was_sent_is_compared_with_what_zivver_shows() {
    let planned = Scene::parse(
        "mailbox anna@ name=New alias=x@
        account anna@ name=Old
        people bert@ disabled",
    )
    .plan();
    let accounts = &planned.world.accounts;
    let kept = |at: usize, asked: &Asked| -> Vec<(String, bool)> {
        let delta = &planned.plan.approved.deltas()[at];
        let sent = Sent { delta, asked };
        let compared = compare(&sent, accounts, accounts, &BTreeMap::new());
        let compared = compared.into_iter();
        compared
            .map(|change| (change.key, change.is_kept))
            .collect()
    };
    let name = Asked {
        name: Some("New".into()),
        ..Asked::default()
    };
    assert_eq!(kept(0, &name), [("anna name New".to_owned(), false)]);
    // Planned, but not sent.
    assert_eq!(kept(1, &Asked::default()), []);
    let stop = Asked {
        active: Some(false),
        ..Asked::default()
    };
    assert_eq!(kept(1, &stop), [("bert stop".to_owned(), false)]);
}

/// Whether a list is outdated that shows an account with `shown`, after `asked` was sent and Zivver answered `answer`.
fn is_old(name: &str, asked: &Asked, answer: Option<&Asked>, shown: &Asked) -> bool {
    let planned = Scene::parse(
        "people anna@ bert@ carl@ dora@
        mailbox eve@ alias=x@ grants=anna@
        account eve@ alias=old@ delegates=bert@
        shared info@ grants=anna@ name=New
        functional info@ members=bert,carl name=Old",
    )
    .plan();
    let accounts = &planned.world.accounts;
    let mut deltas = planned.plan.approved.deltas().iter();
    let delta = deltas
        .find(|it| it.address.as_str().starts_with(name))
        .unwrap();
    let account = accounts.get(accounts.with_id(&ScimId::new(name)).unwrap());
    let answer = answer.map(|it| it.on(account));
    let shown = shown.on(account);
    let now = accounts.with([shown.view()].into_iter());
    let sent = Sent { delta, asked };
    is_outdated(&sent, answer.as_ref().map(Account::view), accounts, &now)
}

#[test]
fn r22_a_list_with_other_members_than_the_request_and_the_answer_is_outdated() {
    let members = |ids: &[&str]| Asked {
        members: Some(ids.iter().map(|it| ScimId::new(it)).collect()),
        ..Asked::default()
    };
    let asked = members(&["anna", "bert"]);
    for (answer, shown, expected) in [
        (None, members(&["anna", "bert"]), false),
        (None, members(&["anna"]), true),
        (None, members(&["anna", "bert", "carl"]), true),
        // Zivver stored something else, and both the answer and the list show it.
        (Some(members(&["anna"])), members(&["anna"]), false),
        (Some(members(&["anna", "bert"])), members(&["anna"]), true),
        // Members that are no users are not compared.
        (None, members(&["anna", "bert", "stranger"]), false),
    ] {
        let found = is_old("info", &asked, answer.as_ref(), &shown);
        assert_eq!(found, expected, "{shown:?}");
    }
    // A name says nothing about the members.
    let name = Asked {
        name: Some("New".into()),
        ..Asked::default()
    };
    assert!(!is_old("info", &name, None, &members(&["anna"])));
}

#[test]
fn r22_a_list_with_another_extension_than_the_request_and_the_answer_is_outdated() {
    let emails = |names: &[&str]| Some(names.iter().map(|name| address(name)).collect());
    let user = |aliases: &[&str], delegates: &[&str]| Asked {
        aliases: emails(aliases),
        delegates: emails(delegates),
        ..Asked::default()
    };
    let asked = user(&["x@"], &["anna@"]);
    for (answer, shown, expected) in [
        (None, user(&["x@"], &["anna@"]), false),
        (None, user(&["x@", "old@"], &["anna@"]), true),
        (None, user(&["x@"], &["anna@", "bert@"]), true),
        (None, user(&["x@"], &[]), true),
        (Some(user(&[], &["anna@"])), user(&[], &["anna@"]), false),
        (Some(user(&["x@"], &[])), user(&["x@"], &[]), false),
        (Some(user(&["x@"], &["anna@"])), user(&[], &["anna@"]), true),
    ] {
        let found = is_old("eve", &asked, answer.as_ref(), &shown);
        assert_eq!(found, expected, "{shown:?}");
    }
}

#[test]
fn r22_a_removed_entry_is_remembered_until_the_next_writes() {
    let planned = Scene::parse(
        "people bert@ carl@
        mailbox anna@
        account anna@ delegates=bert@
        mailbox dora@ disabled
        account dora@",
    )
    .plan();
    let accounts = &planned.world.accounts;
    let deltas = planned.plan.approved.deltas();
    let sent = |name: &str, asked: &Asked, is_kept: bool| {
        let mut deltas = deltas.iter();
        let delta = deltas
            .find(|it| it.address.as_str().starts_with(name))
            .unwrap();
        let account = accounts.get(accounts.with_id(&ScimId::new(name)).unwrap());
        let shown = asked.on(account);
        let changed = accounts.with([shown.view()].into_iter());
        let now = if is_kept { &changed } else { accounts };
        compare(&Sent { delta, asked }, accounts, now, &BTreeMap::new())
    };
    let none = Asked {
        aliases: Some(BTreeSet::new()),
        delegates: Some(BTreeSet::new()),
        ..Asked::default()
    };
    let stop = Asked {
        active: Some(false),
        ..Asked::default()
    };
    let mut memory = Memory::default();
    assert_eq!(
        remember(&mut memory, &sent("anna", &none, true), "R", 7),
        []
    );
    assert_eq!(
        memory.lately.keys().collect::<Vec<_>>(),
        ["anna -delegate bert"]
    );
    assert_eq!(memory.lately["anna -delegate bert"], 7);
    // A suspend that is held gives nothing back.
    remember(&mut memory, &sent("dora", &stop, true), "S", 8);
    assert!(memory.lately.is_empty());
    remember(&mut memory, &sent("anna", &none, false), "T", 9);
    assert!(memory.lately.is_empty());
}

#[test]
fn r22_r35_a_killed_run_leaves_what_it_removed() {
    let planned = Scene::parse(
        "people bert@ carl@
        mailbox anna@
        account anna@ delegates=bert@ alias=old@",
    )
    .plan();
    let world = &planned.world;
    let mut memory = Memory::default();
    let by = crate::world::SsoAccountKey::ObjectId;
    let record = PlanRecord::of(&planned.plan, world, &planned.matching, &memory, by);
    let in_hand = || InHand::new("R".into(), 0);
    let mut entry = Entry {
        action: 0,
        outcome: ActionOutcome::Failed,
        created: None,
        at: None,
        problems: Vec::new(),
        left: Vec::new(),
    };
    record_interrupted(
        &mut memory,
        in_hand(),
        &record,
        std::slice::from_ref(&entry),
        world,
        7,
    );
    assert!(memory.lately.is_empty());
    entry.outcome = ActionOutcome::Applied;
    let mut removed = |at, ended| {
        let in_hand = InHand { ended, ..in_hand() };
        let entry = Entry {
            at,
            ..entry.clone()
        };
        record_interrupted(&mut memory, in_hand, &record, &[entry], world, 7);
        let removed = memory.lately.iter();
        removed
            .map(|(key, at)| (key.clone(), *at))
            .collect::<Vec<_>>()
    };
    // What was removed long ago and is there again was added again (R26).
    for (at, ended, expected) in [
        (None, None, 7),
        (Some(3), None, 3),
        (Some(9), None, 7),
        (Some(3), Some(4), 4),
        (None, Some(4), 4),
    ] {
        assert_eq!(
            removed(at, ended),
            [
                ("anna -alias old@corp.example".to_owned(), expected),
                ("anna -delegate bert".to_owned(), expected)
            ]
        );
    }
}

#[test]
fn r16_r35_what_a_killed_run_created_long_ago_is_no_recent_account() {
    let planned = Scene::parse("mailbox anna@").plan();
    let mut memory = Memory::default();
    let by = crate::world::SsoAccountKey::ObjectId;
    let world = &planned.world;
    let record = PlanRecord::of(&planned.plan, world, &planned.matching, &memory, by);
    let entry = Entry {
        action: 0,
        outcome: ActionOutcome::Applied,
        at: Some(3),
        created: Some(ScimId::new("new")),
        problems: Vec::new(),
        left: Vec::new(),
    };
    let in_hand = InHand::new("R".into(), 0);
    record_interrupted(&mut memory, in_hand, &record, &[entry], world, 7);
    assert_eq!(memory.created[&ScimId::new("new")].at, 3);
}

#[test]
fn r23_r35_a_deleted_delegate_does_not_show_that_a_killed_run_wrote_the_key() {
    let world = |others: &str, delegates: &str| {
        let text = format!(
            "people carl@
            mailbox anna@
            account anna@ delegates={delegates}
            {others}"
        );
        Scene::parse(&text).plan()
    };
    let accounts = "account bert@\n account hugo@";
    let planned = world(accounts, "bert@,hugo@");
    let by = crate::world::SsoAccountKey::ObjectId;
    let none = Memory::default();
    let mut record = PlanRecord::of(&planned.plan, &planned.world, &planned.matching, &none, by);
    let at = record
        .actions
        .iter()
        .position(|it| it.action.id == Some(ScimId::new("anna")));
    record.actions[at.unwrap()].key = Some(WrittenKey { by, hash: 7 });
    let keys = |now: &Planned| {
        let mut memory = Memory::default();
        let in_hand = InHand::new("R".into(), 0);
        record_interrupted(&mut memory, in_hand, &record, &[], &now.world, 7);
        memory.keys.len()
    };
    assert_eq!(keys(&planned), 0);
    assert_eq!(keys(&world("account bert@", "bert@")), 0);
    assert_eq!(keys(&world(accounts, "")), 1);
}

#[test]
fn r23_r35_a_name_alone_does_not_show_that_a_killed_run_wrote_the_key() {
    let run = "
        mailbox anna@ id=next name=New
        account anna@ ext=past
        approve identity";
    let planned = Scene::parse(run).plan();
    let by = crate::world::SsoAccountKey::ObjectId;
    let none = Memory::default();
    let record = PlanRecord::of(&planned.plan, &planned.world, &planned.matching, &none, by);
    assert!(record.actions[0].key.is_some(), "{:?}", record.actions[0]);
    let keys = |now: &str| {
        let mut memory = Memory::default();
        let in_hand = InHand::new("R".into(), 0);
        let now = Scene::parse(now).world();
        record_interrupted(&mut memory, in_hand, &record, &[], &now, 7);
        memory.keys.len()
    };
    assert_eq!(keys("account anna@ ext=past name=New"), 0);
}
