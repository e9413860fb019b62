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
    undo::{Deed, DelegateChanges, Undo, owners},
};

/// What the plan for a world did when it was carried out. An account that it created has its address as id.
pub(super) fn run_of(text: &str) -> Undo {
    let Planned {
        world,
        matching,
        plan,
    } = Scene::parse(text).plan();
    let deed = |(action, delta): (&crate::plan::Action, &crate::delta::Delta)| {
        let aliases_before = match delta.target {
            Target::Existing(ix) => world.accounts.get(ix).extension().aliases.clone(),
            Target::New(_) => Vec::new(),
        };
        let local = action.address.as_str().split('@').next().unwrap();
        Deed {
            action: action.clone(),
            id: action.id.clone().or(Some(ScimId::new(local))),
            object_id: delta
                .mailbox
                .and_then(|ix| world.directory.mailbox(ix).object_id),
            aliases_before,
            delegates: DelegateChanges::of(delta, &world),
            owners: owners(delta, &world, &matching),
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
    update anna@; name -Old +Newer
    held Undone: anna@ add delegate [] -> [bert@]
    0. anna@: name [Newer]
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

/// What is planned and noted, with the texts of the notes.
fn noted(undo: &Undo, now: &str) -> String {
    noted_in(undo, &Scene::parse(now))
}

fn noted_in(undo: &Undo, scene: &Scene) -> String {
    let Planned {
        world, matching, ..
    } = scene.plan();
    let (policy, memory, wishes) = (&scene.policy, &scene.memory, &scene.wishes);
    let plan = plan_undo(undo, &world, policy, memory, &matching, wishes);
    let actions = plan.approved.actions().iter();
    let actions = actions.map(|action| format!("{:?} {}", action.kind, action.address));
    let notes = plan.notes.iter();
    let notes = notes.map(|note| format!("{}: {}", note.address, note.text));
    let lines: Vec<String> = actions.chain(notes).collect();
    lines.join("\n").replace("corp.example", "")
}

#[test]
fn r16_r37_an_account_that_belongs_to_another_object_id_by_then_is_left_alone() {
    let undo = run_of(
        "mailbox anna@ id=old name=New disabled
        account anna@ name=Old alias=a@",
    );
    let left =
        "anna@: its account belongs to another object id now, so nothing is undone on it (R16)";
    for now in [
        "mailbox anna@ id=new name=New\nmap new=anna\naccount anna@ name=New off",
        "mailbox anna@ id=new name=New\naccount anna@ name=New off ext=new",
    ] {
        assert_eq!(noted(&undo, now), left, "{now}");
    }
    // Another mailbox claims it, and nobody has approved that yet: a request would have the key of the next owner.
    let claimed = "mailbox anna@ id=new name=New\nmap old=anna\naccount anna@ name=New off";
    insta::assert_snapshot!(noted(&undo, claimed), @"anna@: a mailbox with another object id has the address of its account now, so nothing is undone on it (R16)");
    let same = "mailbox anna@ id=old disabled\nmap old=anna\naccount anna@ off alias=a@";
    assert_eq!(noted(&undo, same), "Resume anna@");
    let gone = "map old=anna\naccount anna@ off alias=a@\nmailbox bert@";
    assert_eq!(noted(&undo, gone), "Resume anna@");
}

#[test]
fn r16_r37_the_key_and_the_members_of_the_next_owner_stay_out_of_an_account() {
    let old = "map old=anna
        mailbox anna@ id=old name=New alias=a@
        account anna@ name=Old alias=b@";
    let new = "map old=anna
        mailbox anna@ id=new name=Next
        account anna@ name=New alias=a@";
    let left = "anna@: a mailbox with another object id has the address of its account now, so nothing is undone on it (R16)";
    let mut undo = run_of(old);
    assert_eq!(noted(&undo, new), left);
    // A record of an earlier version does not state the owner.
    undo.deeds[0].owners.clear();
    undo.deeds[0].object_id = None;
    assert_eq!(noted(&undo, new), left);
    let revoked = "people fred@ gert@
        map old=info
        shared info@ id=old grants=gert@
        functional info@ members=fred,gert";
    let created_again = revoked
        .replace("id=old grants=gert@", "id=new")
        .replace("members=fred,gert", "members=gert");
    assert_eq!(
        noted(&run_of(revoked), &created_again),
        left.replace("anna@", "info@")
    );
}

#[test]
fn r16_r37_a_leaver_whose_address_another_mailbox_has_by_then_is_not_resumed() {
    let undo = run_of("map old=anna\naccount anna@\npeople bert@\ngone anna@\ngone old");
    let now = "map new=anna\naccount anna@ off\npeople bert@\nmailbox anna@ id=new disabled";
    insta::assert_snapshot!(noted(&undo, now), @"anna@: its account belongs to another object id now, so nothing is undone on it (R16)");
    let back = "map old=anna\naccount anna@ off\npeople bert@\nmailbox anna@ id=old";
    assert_eq!(noted(&undo, back), "Resume anna@");
}

#[test]
fn r16_r37_a_created_account_of_another_object_id_is_not_suspended() {
    let undo = run_of("mailbox anna@ id=old");
    let now = "mailbox anna@ id=new\nmap new=anna\naccount anna@";
    insta::assert_snapshot!(noted(&undo, now), @"anna@: its account belongs to another object id now, so nothing is undone on it (R16)");
    let same = "mailbox anna@ id=old\nmap old=anna\naccount anna@";
    assert_eq!(noted(&undo, same), "Suspend anna@");
}

#[test]
fn r16_r37_delegates_and_members_that_belong_to_another_object_id_by_then_stay_as_they_are() {
    let world = |eve: &str, anna: &str, info: &str, grants: &str| {
        format!(
            "map {eve}=eve fred=fred anna=anna
            mailbox eve@ id={eve}
            account eve@
            mailbox fred@
            account fred@
            mailbox anna@ grants={grants}
            account anna@ delegates={anna}
            shared info@ grants={grants}
            functional info@ members={info}"
        )
    };
    let removed = run_of(&world("old", "eve@,fred@", "eve,fred", "fred@"));
    let added = run_of(&world("old", "fred@", "fred", "eve@,fred@"));
    let without = world("old", "fred@", "fred", "fred@");
    let with = world("old", "eve@,fred@", "eve,fred", "eve@,fred@");
    for (undo, now) in [(&removed, &without), (&added, &with)] {
        assert_eq!(noted(undo, now), "Update anna@\nUpdate info@");
    }
    let with = world("new", "eve@,fred@", "eve,fred", "eve@,fred@");
    insta::assert_snapshot!(noted(&added, &with), @r"
    anna@: eve@ is not taken out of its delegates: its account belongs to another object id now (R16)
    info@: eve@ is not taken out of its delegates: its account belongs to another object id now (R16)
    ");
    let without = world("new", "fred@", "fred", "fred@");
    insta::assert_snapshot!(noted(&removed, &without), @r"
    anna@: eve@ does not become its delegate again: its account belongs to another object id now (R16)
    info@: eve@ does not become its delegate again: its account belongs to another object id now (R16)
    ");
    // Nobody has approved yet that it goes to another person.
    let undecided = without.replace("map new=eve", "map old=eve");
    insta::assert_snapshot!(noted(&removed, &undecided), @r"
    anna@: eve@ does not become its delegate again: a mailbox with another object id has the address of its account now (R16)
    info@: eve@ does not become its delegate again: a mailbox with another object id has the address of its account now (R16)
    ");
    let undecided = with.replace("map new=eve", "map old=eve");
    insta::assert_snapshot!(noted(&added, &undecided), @r"
    anna@: eve@ is not taken out of its delegates: a mailbox with another object id has the address of its account now (R16)
    info@: eve@ is not taken out of its delegates: a mailbox with another object id has the address of its account now (R16)
    ");
    // What is as it was needs no remark.
    assert_eq!(noted(&removed, &with), "");
    assert_eq!(noted(&added, &without), "");
}

#[test]
fn r16_r37_what_a_run_made_for_a_new_owner_stays_and_is_named() {
    let approved = "limits identity=0
        approve identity
        map old=anna
        mailbox anna@ id=new name=New alias=a@ grants=fred@
        account anna@ name=Old alias=b@ delegates=gert@
        people fred@ gert@";
    let after = "map new=anna
        mailbox anna@ id=new name=New alias=a@ grants=fred@
        account anna@ name=New alias=a@ delegates=fred@
        people fred@ gert@";
    insta::assert_snapshot!(noted(&run_of(approved), after), @"anna@: the run gave its account to another object id, which is not taken back, so nothing is undone on it (R16)");
}

#[test]
fn r22_r37_what_zivver_accepted_and_does_not_show_is_named() {
    let people = "people bert@ carl@ dora@";
    let before = format!(
        "{people}
        mailbox new@ id=anna name=New alias=a@ grants=bert@
        account anna@ ext=anna as=anna name=Old alias=b@ delegates=carl@
        mailbox gone@ disabled
        account gone@
        shared info@ grants=
        functional info@ members=bert"
    );
    let sent = [
        "anna_address_new@corp.example",
        "anna_name_New",
        "anna_+alias_a@corp.example",
        "anna_-alias_b@corp.example",
        "anna_+delegate_bert",
        "anna_-delegate_carl",
        "gone_stop",
        "info_stop",
    ];
    let stale = sent.map(|key| format!("kept-not key={key}\n")).concat() + &before;
    let undo = run_of(&before);
    insta::assert_snapshot!(noted(&undo, &stale), @r#"
    anna@: Zivver accepted and does not show what is therefore not taken back: the address new@, the name "New", the alias a@, to remove the alias b@, a delegate, to remove a delegate; undo the run again when it shows
    gone@: Zivver accepted and does not show what is therefore not taken back: to suspend the account; undo the run again when it shows
    info@: Zivver accepted and does not show what is therefore not taken back: to suspend the account; undo the run again when it shows
    "#);
    assert_eq!(noted(&undo, &before), "");
    let after = format!(
        "{people}
        mailbox new@ id=anna name=New alias=a@ grants=bert@
        account new@ ext=anna as=anna name=New alias=a@ delegates=bert@
        mailbox gone@ disabled
        account gone@ off
        shared info@ grants=
        functional info@ members="
    );
    // It shows by now.
    let late = stale.replace(&before, &after);
    assert_eq!(noted(&undo, &late), noted(&undo, &after));
    // The undo was made, and is started again.
    let (_, scene) = taken_back(&undo, &after);
    let mut again = Scene::parse(&stale);
    again.memory.undone = scene.memory.undone;
    assert_eq!(noted_in(&undo, &again), "");
}

#[test]
fn r23_r37_a_sign_in_key_that_is_not_taken_back_is_named() {
    let before = "new-keys
        mailbox anna@ alias=a@
        account anna@";
    let after = "mailbox anna@ alias=a@\naccount anna@ alias=a@";
    insta::assert_snapshot!(noted(&run_of(before), after), @r"
    Update anna@
    anna@: the run wrote another sign-in key, which is not taken back (R23)
    ");
    assert_eq!(
        noted(&run_of(&before.replace("new-keys", "")), after),
        "Update anna@"
    );
}
