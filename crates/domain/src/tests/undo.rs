//! R37: the reverse of a run, and what is held afterwards.

use super::{
    notation::{Planned, Scene, keys_written, object_id},
    properties::sound,
    shown::shown,
};
use crate::{
    delta::Target,
    ids::{ObjectId, ScimId},
    memory::Memory,
    plan::plan_undo,
    undo::{Deed, DelegateChanges, Undo},
};

/// What the plan for a world did when it was carried out. An account that it created has its address as id.
pub(super) fn run_of(text: &str) -> Undo {
    let Planned { world, plan, .. } = Scene::parse(text).plan();
    let deed = |(action, delta): (&crate::plan::Action, &crate::delta::Delta)| {
        let aliases_before = match delta.target {
            Target::Existing(ix) => world.accounts.get(ix).extension().aliases.clone(),
            Target::New(_) => Vec::new(),
        };
        let local = action.address.as_str().split('@').next().unwrap();
        Deed {
            action: action.clone(),
            id: action.id.clone().or(Some(ScimId::new(local))),
            object_id: None,
            aliases_before,
            delegates: DelegateChanges::of(delta, &world),
            begun: None,
        }
    };
    let actions = plan.approved.actions().iter();
    Undo {
        run: "R".into(),
        deeds: actions.zip(plan.approved.deltas()).map(deed).collect(),
    }
}

/// The plan that reverses the run over `before`, in the world `now`.
pub(super) fn undone(before: &str, now: &str) -> (String, Scene) {
    taken_back(&run_of(before), now)
}

/// The same for any run.
pub(super) fn taken_back(undo: &Undo, now: &str) -> (String, Scene) {
    let mut scene = Scene::parse(now);
    let Planned {
        world,
        matching,
        plan: _,
    } = scene.plan();
    let planned = |memory: &Memory| {
        let (policy, wishes) = (&scene.policy, &scene.wishes);
        plan_undo(undo, &world, policy, memory, &matching, wishes)
    };
    let plan = planned(&keys_written(&scene, &world, &planned(&scene.memory)));
    scene.memory.undone.clone_from(&plan.undone);
    let planned = Planned {
        world,
        matching,
        plan,
    };
    (shown(&planned), scene)
}

/// The next run in the world that an undo left, with its memory.
pub(super) fn night(text: &str, memory: &Scene) -> String {
    let mut scene = Scene::parse(text);
    scene.memory.undone.clone_from(&memory.memory.undone);
    let planned = scene.plan();
    sound(&planned);
    shown(&planned)
}

const BEFORE: &str = "mailbox anna@ name=New alias=a@
    account anna@ name=Old alias=b@";
const AFTER: &str = "mailbox anna@ name=New alias=a@
    account anna@ name=New alias=a@";

#[test]
fn r37_attributes_go_back_and_are_then_held() {
    let (plan, memory) = undone(BEFORE, AFTER);
    insta::assert_snapshot!(plan, @r"
    update anna@; name -New +Old; aliases -a@ +b@
    0. anna@: name [Old] aliases [b@] delegates [] key [#anna]
    ");
    insta::assert_snapshot!(night(BEFORE, &memory), @r"
    held Undone: anna@ add alias [] -> [a@]
    held Undone: anna@ change name [Old] -> [New]
    held Undone: anna@ remove alias [b@] -> []
    ");
}

#[test]
fn r37_a_changed_source_is_done_and_an_unknown_one_is_not() {
    let before = "mailbox anna@ name=New grants=bert@
        mailbox bert@
        account bert@
        account anna@ name=Old";
    let after = "mailbox anna@ name=New grants=bert@
        mailbox bert@
        account bert@
        account anna@ name=New delegates=bert@";
    let (_, memory) = undone(before, after);
    let unread = before.replace("grants=bert@", "grants=?");
    insta::assert_snapshot!(night(&unread, &memory), @r"
    held Undone: anna@ change name [Old] -> [New]
    R11 DelegationsUnknown anna@
    ");
    let changed = before.replace("name=New", "name=Newer");
    insta::assert_snapshot!(night(&changed, &memory), @r"
    update anna@; name -Old +Newer; delegates +bert@
    0. anna@: name [Newer] aliases [] delegates [bert@] key [#anna]
    ");
    let drifted = before.replace("account bert@", "account bert@ name=Other");
    insta::assert_snapshot!(night(&drifted, &memory), @r"
    update bert@; name -Other +bert
    held Undone: anna@ add delegate [] -> [bert@]
    held Undone: anna@ change name [Old] -> [New]
    0. bert@: name [bert]
    ");
}

#[test]
fn r37_a_suspended_account_gets_its_attributes_back_too() {
    let before = "mailbox anna@ name=New alias=a@
        account anna@ off name=Old";
    insta::assert_snapshot!(undone(before, AFTER).0, @r"
    suspend anna@; name -New +Old; active -yes +no; aliases -a@
    0. anna@: aliases [] delegates [] key [#anna]
    1. anna@: name [Old]; after 0
    2. anna@: active [false]; after 1
    ");
    let before = "mailbox anna@
        account anna@
        shared info@ name=New alias=a@ grants=anna@
        functional info@ name=Old members=";
    let after = "mailbox anna@
        account anna@
        shared info@ name=New alias=a@ grants=anna@
        functional info@ name=New alias=a@ members=anna";
    insta::assert_snapshot!(undone(before, after).0, @r"
    empty info@; name -New +Old; active -yes +no; aliases -a@; delegates -anna@
    0. info@: aliases []
    1. info@: name [Old]; after 0
    2. info@: empty, keep [0]; after 1
    ");
}

#[test]
fn r37_an_address_goes_back_with_its_aliases() {
    let before = "mailbox berg@ id=anna alias=anna@
        account anna@ as=u1 ext=anna alias=berg@ name=berg";
    let after = "mailbox berg@ id=anna alias=anna@
        account berg@ as=u1 ext=anna alias=anna@ name=berg";
    let (plan, memory) = undone(before, after);
    insta::assert_snapshot!(plan, @r"
    rename berg@; address -berg@ +anna@; aliases +berg@
    0. berg@: aliases [] delegates [] key [#anna]
    1. berg@: address [anna@]; after 0
    2. berg@: aliases [berg@] delegates [] key [#anna] aliases if refused [1 anna@]; after 1; claims berg@ of 1
    ");
    insta::assert_snapshot!(night(before, &memory), @"held Undone: anna@ rename [anna@] -> [berg@]");
}

#[test]
fn r37_what_was_created_is_put_out_of_use() {
    let before = "mailbox anna@
        shared info@ grants=anna@";
    let after = "mailbox anna@
        shared info@ grants=anna@
        account anna@
        functional info@ members=anna";
    let (plan, memory) = undone(before, after);
    insta::assert_snapshot!(plan, @r"
    suspend anna@; active -yes +no
    empty info@; active -yes +no; delegates -anna@
    0. anna@: active [false]
    1. info@: empty, keep [0]
    ");
    let stopped = "mailbox anna@
        shared info@ grants=anna@
        account anna@ off
        functional info@ members=";
    insta::assert_snapshot!(night(stopped, &memory), @r"
    held Undone: anna@ resume [inactive] -> [active]
    held Undone: info@ add delegate [] -> [anna@]
    held Undone: info@ resume [inactive] -> [active]
    ");
}

#[test]
fn r37_what_changed_since_is_left_alone() {
    let by_hand = "mailbox anna@ name=New alias=a@
        account anna@ name=Hand alias=a@,c@";
    insta::assert_snapshot!(undone(BEFORE, by_hand).0, @r"
    update anna@; aliases -a@ +b@
    0. anna@: aliases [b@ c@] delegates [] key [#anna]
    R37 ChangedSince anna@
    ");
    let back = "mailbox anna@ name=New alias=a@
        account anna@ name=Old alias=b@";
    insta::assert_snapshot!(undone(BEFORE, back).0, @"");
    let filtered = format!("{AFTER}\ntarget anna@corp.example");
    insta::assert_snapshot!(undone(BEFORE, &filtered).0, @"R37 ChangedSince anna@");
    let gone = "mailbox anna@ name=New alias=a@";
    insta::assert_snapshot!(undone(BEFORE, gone).0, @"R37 ChangedSince anna@");
}

#[test]
fn r16_what_was_made_for_another_person_meanwhile_is_not_taken_back() {
    let mut undo = run_of("mailbox anna@");
    undo.deeds[0].id = None;
    undo.deeds[0].object_id = ObjectId::parse(&object_id("anna"));
    for (tie, is_suspended) in [("", true), ("ext=anna", true), ("ext=other", false)] {
        let now = format!("mailbox anna@\naccount anna@ {tie}");
        let (plan, _) = taken_back(&undo, &now);
        assert_eq!(
            plan.contains("suspend anna@"),
            is_suspended,
            "{tie}: {plan}"
        );
    }
}

#[test]
fn r37_a_delegate_who_was_only_named_by_another_address_stays() {
    let before = "
        mailbox zz.ada@ id=ada disabled
        mailbox ada@ id=bram name=Bram
        account ada@ as=u1 off
        account bram@ as=u2 name=Bram
        map ada=u1 bram=u2
        mailbox pia@ grants=zz.ada@
        account pia@ delegates=ada@";
    let undo = run_of(before);
    let deed = undo
        .deeds
        .iter()
        .find(|deed| deed.id == Some(ScimId::new("pia")));
    assert_eq!(
        deed.map(|deed| &deed.delegates),
        Some(&DelegateChanges::default())
    );
}
