//! R45: a run that reads no permissions.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{
    notation::{NOW, Planned, Scene},
    properties::{cases, sound, world},
    shown::shown,
};
use crate::{
    accounts::AccountKind,
    delta::{Activity, Delta, Target},
    guard::Class,
    ledger::Ledger,
    memory::{Ineffective, Memory},
    mode::Depth,
    note::Code,
    source::Question,
};

fn plan_of(text: &str) -> String {
    shown(&Scene::parse(text).plan())
}

#[test]
fn r45_status_names_addresses_aliases_and_new_users_need_no_permissions() {
    let world = "
        mailbox new@ id=new alias=n@ grants=anna@
        mailbox anna@ name=Anna_B alias=a@
        account anna@ ext=anna delegates=ben@
        mailbox ben@ disabled
        account ben@ ext=ben
        mailbox carla.c@ id=carla
        account carla@ ext=carla
        account gone@ ext=gone
        mailbox back@
        account back@ off
        shared desk@ name=Desk_1 alias=d@
        functional desk@ members=anna,ben
    ";
    assert_snapshot!(plan_of(&format!("quick\n{world}")), @r"
    update anna@; name -anna +Anna B; aliases +a@
    resume back@; active -no +yes
    suspend ben@; active -yes +no
    rename carla@; address -carla@ +carla.c@; name -carla +carla.c
    update desk@; name -desk +Desk 1; aliases +d@
    suspend gone@; active -yes +no
    create new@; name +new; aliases +n@
    0. new new@: post user [new] key [#new]
    1. carla@: address [carla.c@] name [carla.c]
    2. anna@: name [Anna B] aliases [a@] delegates [ben@] key [#anna]
    3. back@: active [true]
    4. desk@: name [Desk 1] aliases [d@]
    5. new new@: name [new] active [true] aliases [n@] delegates [] key [#new]; completes 0; after 0
    6. ben@: active [false]
    7. gone@: active [false]
    ");
}

#[test]
fn r45_functional_accounts_keep_their_members_and_their_status() {
    let world = "
        shared new@ grants=anna@
        shared open@ grants=anna@
        functional open@ members=ben
        shared closed@
        functional closed@ members=ben
        shared empty@ name=Other grants=anna@
        functional empty@ name=Old
        functional gone@ ext=gone members=anna
        functional handmade@ members=anna
        people anna@ ben@
    ";
    assert_snapshot!(plan_of(&format!("quick\n{world}")), @"");
    // The same world shows what a full run does with them.
    let full = Scene::parse(world).plan();
    assert_eq!(
        full.plan.approved.actions().len() + full.plan.held.len(),
        6,
        "{}",
        shown(&full)
    );
    assert!(!shown(&full).contains("handmade@ update"));
}

#[test]
fn r45_exchange_is_not_asked_about_functional_accounts() {
    let scene = Scene::parse(
        "
        quick
        people anna@
        account gone@ ext=gone
        functional desk@ ext=desk members=anna
        ",
    );
    let world = scene.world();
    let matching = crate::matching::match_accounts(&world, &scene.policy, &scene.memory);
    let asked = crate::diff::absence_questions(&world, &scene.policy, &matching);
    let asked: Vec<String> = asked
        .into_iter()
        .filter_map(|question| match question {
            Question::Recipient(text) => Some(text),
            Question::GroupDirectory | Question::Members { .. } => None,
        })
        .collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.contains(&"gone@corp.example".to_owned()));
}

#[test]
fn r45_another_person_gets_no_functional_account_and_a_user_keeps_delegates() {
    let world = "
        quick
        shared desk@ id=new name=New
        functional desk@ ext=old members=anna
        mailbox anna@ alias=a@
        account anna@ delegates=ben@
        people ben@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +a@
    0. anna@: aliases [a@] delegates [ben@] key [#anna]
    ");
}

/// The delegates of a suspended account, or of the person whom it belonged to, could open it again.
#[test]
fn r45_nobody_gets_an_account_together_with_delegates_who_may_be_old() {
    let world = "
        mailbox back@ name=Back_2 alias=b@
        account back@ off name=Back delegates=ann@
        mailbox free@
        account free@ off
        mailbox next@ id=next
        account next@ ext=other delegates=ann@
        people ann@
        limits off
    ";
    assert_snapshot!(plan_of(&format!("quick\n{world}")), @r"
    resume free@; active -no +yes
    suspend next@; active -yes +no
    0. free@: active [true]
    1. next@: active [false]
    R45 ResumeLeft back@
    R16 IdentityChange next@
    ");
    let full = plan_of(world);
    assert!(
        full.contains("resume back@") && !full.contains("ResumeLeft"),
        "{full}"
    );
}

/// What the owner of an account may open is compared with the other accounts, by a full run only.
#[test]
fn r45_nobody_gets_an_account_that_opens_others_by_what_may_be_old() {
    let world = |depth: &str| {
        format!(
            "
        {depth}
        mailbox of.desk@ id=clerk
        account of.desk@ off as=u1 ext=clerk
        shared desk@
        functional desk@ members=u1,ann
        mailbox of.user@ id=user name=New
        account of.user@ off ext=user name=Old
        mailbox next@ id=next
        account next@ ext=other
        mailbox later@ id=later alias=early@
        account early@
        mailbox ann@
        account ann@ delegates=of.user@,next@,early@
        mailbox free@
        account free@ off
        limits off
        "
        )
    };
    assert_snapshot!(plan_of(&world("quick")), @r"
    resume free@; active -no +yes
    suspend next@; active -yes +no
    0. free@: active [true]
    1. next@: active [false]
    R17 AliasEvidence later@
    R16 IdentityChange next@
    R45 ResumeLeft of.desk@
    R45 ResumeLeft of.user@
    ");
    let full = plan_of(&world(""));
    assert!(
        full.contains("resume of.user@")
            && full.contains("resume of.desk@")
            && !full.contains("ResumeLeft"),
        "{full}"
    );
}

/// The old address goes to another person, so that a report that names the delegate by it would name that person.
#[test]
fn r22_a_delegate_who_is_named_anew_is_shown_with_the_new_address() {
    let planned = Scene::parse(
        "
        quick
        mailbox robert@ id=r
        account bert@ ext=r
        mailbox bert@ id=b
        mailbox carl@
        account carl@ delegates=bert@
        ",
    )
    .plan();
    let actions = planned.plan.approved.actions().iter();
    let changes = actions.flat_map(|action| &action.changes);
    let renamed: Vec<_> = changes.flat_map(|it| &it.renamed).collect();
    let [old, new] = ["bert@corp.example", "robert@corp.example"].map(str::to_owned);
    assert_eq!(renamed, [(&old, &new)], "{}", shown(&planned));
}

#[test]
fn r45_a_full_run_is_the_remedy_for_an_old_name_of_a_delegate() {
    let world = "
        mailbox robert@ id=r
        account robert@ ext=r
        mailbox bert@ id=b
        mailbox carl@ grants=robert@
        account carl@ delegates=bert@
    ";
    let planned = Scene::parse(&format!("quick\n{world}")).plan();
    let taken = planned
        .plan
        .notes
        .iter()
        .find(|it| it.code == Code::AddressTaken);
    let text = &taken.unwrap().text;
    assert!(text.contains("a full run names its delegates"), "{text}");
    assert!(shown(&Scene::parse(world).plan()).contains("create bert@"));
}

/// What a run leaves in memory.
fn settled(scene: &Scene, planned: &Planned) -> Memory {
    let mut memory = scene.memory.clone();
    let ledger = Ledger {
        plan: &planned.plan,
        world: &planned.world,
        policy: &scene.policy,
        matching: &planned.matching,
        run: "R2",
        now: NOW,
        is_for_all: true,
    };
    ledger.record_plan(&mut memory);
    ledger.forget_kept(&mut memory);
    ledger.settle_baseline(&mut memory, &[Class::Suspend].into());
    memory
}

/// R2, R22, R25, R36: what a full run stored about delegations stays until the next full run.
#[test]
fn r45_memory_keeps_what_a_quick_run_did_not_look_at() {
    let text = "
        baseline mailboxes=5 in_scope=5
        people anna@
        shared desk@
        functional desk@ members=anna
    ";
    let mut scene = Scene::parse(text);
    let entry = Ineffective {
        times: 1,
        last: NOW,
        run: "R1".into(),
        counted_from: None,
    };
    scene
        .memory
        .ineffective
        .insert("desk delegates".into(), entry);
    scene.memory.held_of.insert(Class::DelegateRemoval, 7);
    scene.memory.cut_off = true;
    scene.policy.min_source_ratio = 0.0;
    let full = settled(&scene, &scene.plan());
    assert_eq!(full.baseline.map(|it| it.mailboxes), Some(2));
    assert!(full.ineffective.is_empty() && full.held_of.is_empty() && !full.cut_off);
    scene.depth = Depth::Quick;
    let quick = settled(&scene, &scene.plan());
    assert_eq!(quick.baseline.as_ref().map(|it| it.mailboxes), Some(5));
    assert_eq!(quick.ineffective, scene.memory.ineffective);
    assert_eq!(quick.held_of, scene.memory.held_of);
    assert!(quick.cut_off);
    // More mailboxes than ever before become known at once.
    scene.memory.baseline.as_mut().unwrap().mailboxes = 1;
    let grown = settled(&scene, &scene.plan());
    assert_eq!(grown.baseline.map(|it| it.mailboxes), Some(2));
}

/// A source that holds removals in a full run holds suspends in a quick one (R2).
#[test]
fn r45_a_source_in_doubt_is_in_doubt_for_a_quick_run() {
    let world = "
        quick
        baseline mailboxes=10 in_scope=10
        people anna@ ben@
        account carla@ ext=carla
    ";
    assert_snapshot!(plan_of(world), @"held Suspend: carla@ suspend [active] -> [suspended]");
}

/// Whether a delta depends on permissions: delegates and members, and whether a functional account is needed.
fn rests_on_permissions(planned: &Planned, delta: &Delta) -> bool {
    let is_named_anew = |target: &Target| match (delta.target, target) {
        (Target::Existing(owner), Target::Existing(delegate)) => {
            let users = planned.world.accounts.delegates_of(owner).users;
            users.contains(delegate)
        }
        (Target::Existing(_) | Target::New(_), _) => false,
    };
    let is_functional = delta.kind == AccountKind::Functional;
    !delta.remove_delegates.is_empty()
        || !delta.add_delegates.iter().all(is_named_anew)
        || matches!(delta.activity, Some(Activity::Empty(_)))
        || is_functional
            && (delta.create.is_some() || delta.activity.is_some() || delta.tie.is_some())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn r45_a_quick_run_changes_and_holds_nothing_that_rests_on_permissions(lines in world()) {
        let text = format!("quick\n{}", lines.join("\n"));
        let scene = Scene::parse(&text);
        let planned = scene.plan();
        sound(&planned);
        for delta in planned.plan.proposed.values() {
            prop_assert!(!rests_on_permissions(&planned, delta), "{text}\n{}", shown(&planned));
        }
        let is_unknown = |note: &crate::note::Note| note.code == Code::DelegationsUnknown;
        prop_assert!(!planned.plan.notes.iter().any(is_unknown), "{}", shown(&planned));
        // R22, R47: nothing in the memory ends.
        prop_assert_eq!(&planned.plan.rejections, &scene.memory.rejections);
    }

    /// A quick run does not suspend, resume or create users that a full run leaves unchanged.
    #[test]
    fn r45_a_quick_run_does_what_a_full_one_does_with_users(lines in world()) {
        // The permissions show which mailbox is gone.
        let lines: Vec<String> = lines.into_iter().filter(|line| !line.contains("grants=gone")).collect();
        let full = Scene::parse(&lines.join("\n"));
        let mut quick = full.clone();
        quick.depth = Depth::Quick;
        let (full, quick) = (full.plan(), quick.plan());
        for (target, delta) in &quick.plan.proposed {
            if delta.kind == AccountKind::Functional {
                continue;
            }
            let other = full.plan.proposed.get(target);
            // R16: what happens until it is approved whose account it is.
            let until = other.and_then(|it| it.unless_approved.as_deref());
            let is_same = other.into_iter().chain(until).any(|it| it.activity == delta.activity && it.create == delta.create);
            let changes = delta.activity.is_some() || delta.create.is_some();
            prop_assert!(!changes || is_same, "{}\nfull\n{}\nquick\n{}", lines.join("\n"), shown(&full), shown(&quick));
        }
    }
}
