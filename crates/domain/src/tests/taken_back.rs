//! R37 in special cases: several invocations, changes since the run, keys, delegates, and what is held afterwards.

use insta::assert_snapshot;

use super::{
    notation::{Planned, Scene, address, keys_written},
    shown::shown,
    undo::{night, run_of, taken_back, undone},
};
use crate::{
    accounts::Accounts,
    guard::Class,
    ids::ScimId,
    memory::{Memory, Undone},
    plan::plan_undo,
    settle::aside,
    undo::Undo,
};

/// One run in several invocations.
fn run_in_parts(parts: &[&str]) -> Undo {
    let mut all = run_of(parts[0]);
    for part in &parts[1..] {
        all.deeds.extend(run_of(part).deeds);
    }
    all
}

/// What must not be done again after an undo.
fn barred(memory: &Scene, id: &str) -> Vec<String> {
    let changes = &memory.memory.undone[&ScimId::new(id)].changes;
    let short = |text: &String| text.replace("@corp.example", "@");
    changes.iter().map(short).collect()
}

#[test]
fn r37_what_came_and_went_in_one_run_is_no_change() {
    let gone = "mailbox anna@\naccount anna@ alias=a@";
    let come = "mailbox anna@ alias=a@\naccount anna@";
    let without = "mailbox anna@\naccount anna@";
    let both = run_in_parts(&[gone, come]);
    assert_snapshot!(taken_back(&both, without).0, @"");
    assert_snapshot!(taken_back(&both, gone).0, @"");
    // Refused or without an answer, and then made by the next invocation.
    let twice = run_in_parts(&[come, come]);
    assert_snapshot!(taken_back(&twice, gone).0, @r"
    update anna@; aliases -a@
    0. anna@: aliases [] delegates [] key [#anna]
    ");
}

#[test]
fn r37_a_delegate_that_the_run_created_is_taken_out_too() {
    let before = "mailbox anna@ grants=bert@
        account anna@
        mailbox bert@";
    let after = "mailbox anna@ grants=bert@
        account anna@ delegates=bert@
        mailbox bert@
        account bert@";
    let (plan, memory) = undone(before, after);
    assert_snapshot!(plan, @r"
    update anna@; delegates -bert@
    suspend bert@; active -yes +no
    0. anna@: aliases [] delegates [] key [#anna]
    1. bert@: active [false]
    ");
    assert_eq!(barred(&memory, "anna"), ["+delegate bert"]);
    assert_eq!(barred(&memory, "bert"), ["resume"]);
}

#[test]
fn r37_a_create_of_unknown_end_is_found_by_its_address_and_kind() {
    let mut run = run_of("mailbox anna@");
    run.deeds[0].id = None;
    assert_snapshot!(taken_back(&run, "mailbox anna@\naccount anna@").0, @r"
    suspend anna@; active -yes +no
    0. anna@: active [false]
    ");
    assert_snapshot!(taken_back(&run, "mailbox anna@\nfunctional anna@ members=bert\naccount bert@").0, @"");
}

#[test]
fn r37_an_account_that_was_created_and_renamed_since_is_left_alone() {
    let now = "mailbox anna.b@ id=anna\naccount anna.b@ as=anna ext=anna";
    assert_snapshot!(undone("mailbox anna@", now).0, @"R37 ChangedSince anna.b@");
}

#[test]
fn r37_only_users_have_a_key_and_omit_has_none() {
    let before = "mailbox anna@ alias=a@\naccount anna@";
    let after = "mailbox anna@ alias=a@\naccount anna@ alias=a@";
    assert_snapshot!(undone(before, &format!("key omit\n{after}")).0, @r"
    update anna@; aliases -a@
    0. anna@: aliases [] delegates []
    ");
    // Its mailbox and its object id are gone.
    let mut unknown = run_of(before);
    unknown.deeds[0].object_id = None;
    assert_snapshot!(taken_back(&unknown, "account anna@ alias=a@").0, @"R23 NoKey anna@");
    assert_snapshot!(undone(before, "key omit\naccount anna@ alias=a@\nmailbox zed@").0, @r"
    update anna@; aliases -a@
    0. anna@: aliases [] delegates []
    ");
    let shared = "mailbox bert@\naccount bert@\nshared info@ id=- grants=bert@ alias=i@\n";
    let before = format!("{shared}functional info@ members=bert");
    let after = format!("{shared}functional info@ members=bert alias=i@");
    assert_snapshot!(undone(&before, &after).0, @r"
    update info@; aliases -i@
    0. info@: aliases []
    ");
}

#[test]
fn r37_a_delegate_that_may_not_be_touched_stays() {
    let before = "mailbox anna@ grants=bert@,carl@
        account anna@
        mailbox bert@
        account bert@
        mailbox carl@
        account carl@";
    let after = "mailbox anna@ grants=bert@,carl@
        account anna@ delegates=bert@,carl@
        mailbox bert@
        account bert@
        rejected carl@
        account carl@";
    assert_snapshot!(undone(before, after).0, @r"
    update anna@; delegates -bert@
    0. anna@: aliases [] delegates [carl@] key [#anna]
    ");
    let created = "domains corp.example other.example
        shared info@ grants=bert@other.example
        mailbox bert@other.example
        account bert@other.example";
    let after = "shared info@
        functional info@ members=bert
        account bert@other.example";
    assert_snapshot!(undone(created, after).0, @"R37 ChangedSince info@");
    let created = "shared info@ grants=carl@
        mailbox carl@
        account carl@";
    let after = "shared info@
        functional info@ members=carl
        rejected carl@
        account carl@";
    assert_snapshot!(undone(created, after).0, @"R37 ChangedSince info@");
}

#[test]
fn r37_delegates_go_back_as_far_as_they_can() {
    let before = "mailbox anna@
        account anna@ delegates=bert@,carl@,dora@
        mailbox bert@
        account bert@
        mailbox carl@
        account carl@
        mailbox dora@
        account dora@";
    // bert was added again by hand, carl is gone, dora is missing.
    let after = "mailbox anna@
        account anna@ delegates=bert@
        mailbox bert@
        account bert@
        mailbox dora@
        account dora@";
    let (plan, memory) = undone(before, after);
    assert_snapshot!(plan, @r"
    update anna@; delegates +dora@
    0. anna@: aliases [] delegates [bert@ dora@] key [#anna]
    R37 ChangedSince anna@
    ");
    assert_eq!(barred(&memory, "anna"), ["-delegate dora"]);
    let added = "mailbox anna@ grants=bert@,carl@,dora@
        account anna@
        mailbox bert@
        account bert@
        mailbox carl@
        account carl@
        mailbox dora@
        account dora@";
    assert_snapshot!(undone(added, after).0, @r"
    update anna@; delegates -bert@
    0. anna@: aliases [] delegates [] key [#anna]
    ");
}

#[test]
fn r37_members_of_a_functional_account_decide_whether_it_is_active() {
    let people = "mailbox anna@
        account anna@
        mailbox bert@
        account bert@
        shared info@";
    let members = |grants: &str, members: &str| {
        format!("{people} grants={grants}\nfunctional info@ members={members}")
    };
    let (plan, memory) = undone(&members("", "anna"), &members("", ""));
    assert_snapshot!(plan, @r"
    resume info@; active -no +yes; delegates +anna@
    0. info@: members [anna@]
    ");
    assert_eq!(barred(&memory, "info"), ["-delegate anna", "stop"]);
    assert_snapshot!(undone(&members("anna@", "bert"), &members("anna@", "anna")).0, @r"
    update info@; delegates -anna@ +bert@
    0. info@: members [bert@]
    ");
    assert_snapshot!(undone(&members("anna@", ""), &members("anna@", "anna")).0, @r"
    empty info@; active -yes +no; delegates -anna@
    0. info@: empty, keep [0]
    ");
    assert_snapshot!(undone(&members("anna@", ""), &members("anna@", "anna,bert")).0, @r"
    update info@; delegates -anna@
    0. info@: members [bert@]
    ");
    // The run changed none of its members, so it is not emptied.
    let named = |name: &str| {
        format!("{people} name=New grants=anna@\nfunctional info@ name={name} members=anna")
    };
    assert_snapshot!(undone(&named("Old"), &named("New")).0, @r"
    update info@; name -New +Old
    0. info@: name [Old]
    ");
}

#[test]
fn r37_an_address_that_is_back_or_was_never_changed_is_no_change() {
    let before = "mailbox anna.b@ id=anna name=N
        account anna@ as=u1 ext=anna name=N";
    let back = "mailbox anna.b@ id=anna name=N
        account anna@ as=u1 ext=anna name=N";
    assert_snapshot!(undone(before, back).0, @"");
    let else_where = "mailbox anna.c@ id=anna name=N
        account anna.c@ as=u1 ext=anna name=N";
    assert_snapshot!(undone(before, else_where).0, @"R37 ChangedSince anna.c@");
    let name_only = "mailbox anna@ name=New\naccount anna@ as=u1 ext=anna name=Old";
    let renamed = "mailbox anna.c@ id=anna name=New\naccount anna.c@ as=u1 ext=anna name=New";
    assert_snapshot!(undone(name_only, renamed).0, @r"
    update anna.c@; name -New +Old
    0. anna.c@: name [Old]
    ");
}

#[test]
fn r37_a_dropped_alias_comes_back_with_the_rename_and_only_then() {
    let with = "mailbox anna.b@ id=anna name=N
        account anna@ as=u1 ext=anna name=N alias=anna.b@";
    let without = with.replace(" alias=anna.b@", "");
    let after = "mailbox anna.b@ id=anna name=N
        account anna.b@ as=u1 ext=anna name=N";
    assert_snapshot!(undone(with, after).0, @r"
    rename anna.b@; address -anna.b@ +anna@; aliases +anna.b@
    0. anna.b@: address [anna@]
    1. anna.b@: aliases [anna.b@] delegates [] key [#anna] aliases if refused [0 ]; after 0; claims anna.b@ of 0
    ");
    assert_snapshot!(undone(&without, after).0, @r"
    rename anna.b@; address -anna.b@ +anna@
    0. anna.b@: address [anna@]
    ");
    // Renamed back by hand.
    assert_snapshot!(undone(with, &without).0, @"");
}

#[test]
fn r37_a_status_that_changed_since_stays() {
    let before = "mailbox anna@ disabled\naccount anna@";
    assert_snapshot!(undone(before, "mailbox anna@\naccount anna@").0, @"");
    assert_snapshot!(undone(before, "mailbox anna@\naccount anna@ off").0, @r"
    resume anna@; active -no +yes
    0. anna@: active [true]
    ");
}

#[test]
fn r37_only_the_very_change_that_was_undone_is_held() {
    let text = "mailbox anna.b@ id=anna name=New alias=a@ grants=bert@
        account anna@ name=Old alias=b@ ext=anna delegates=carl@
        mailbox bert@
        account bert@
        mailbox carl@
        account carl@";
    let held = |changes: &[&str]| {
        let mut scene = Scene::parse(text);
        let undone = Undone {
            run: "R".into(),
            changes: changes.iter().map(|&text| text.to_owned()).collect(),
            ..Undone::default()
        };
        scene.memory.undone.insert(ScimId::new("anna"), undone);
        let planned = scene.plan();
        let all = shown(&planned);
        let held: Vec<&str> = all
            .lines()
            .filter(|line| line.starts_with("held"))
            .collect();
        held.join("\n")
    };
    assert_snapshot!(held(&[
        "address anna.b@corp.example",
        "name New",
        "+alias a@corp.example",
        "-alias b@corp.example",
        "+delegate bert",
        "-delegate carl",
    ]), @r"
    held Undone: anna@ add alias [] -> [a@]
    held Undone: anna@ add delegate [] -> [bert@]
    held Undone: anna@ change name [Old] -> [New]
    held Undone: anna@ remove alias [b@] -> []
    held Undone: anna@ remove delegate [carl@] -> []
    held Undone: anna@ rename [anna@] -> [anna.b@]
    ");
    assert_eq!(
        held(&[
            "address other@corp.example",
            "name Other",
            "-alias a@corp.example",
            "+alias b@corp.example",
            "-delegate bert",
            "+delegate carl",
            "resume",
            "stop",
        ]),
        ""
    );
}

#[test]
fn r37_other_delegations_are_another_source() {
    let world = |grants: &str| {
        format!(
            "mailbox anna@ grants={grants}
            account anna@
            mailbox bert@
            account bert@
            mailbox carl@
            account carl@"
        )
    };
    let after = world("bert@").replace("account anna@", "account anna@ delegates=bert@");
    let (_, memory) = undone(&world("bert@"), &after);
    assert_snapshot!(night(&world("bert@"), &memory), @"held Undone: anna@ add delegate [] -> [bert@]");
    // The grant of another person says nothing about this one.
    assert_snapshot!(night(&world("bert@,carl@"), &memory), @r"
    update anna@; delegates +carl@
    held Undone: anna@ add delegate [] -> [bert@]
    0. anna@: aliases [] delegates [carl@] key [#anna]
    ");
}

/// What is held in each of these nights after a run was undone.
fn held_after(before: &str, after: &str, nights: &[&str]) -> Vec<usize> {
    let (_, mut scene) = undone(before, after);
    let mut held = Vec::new();
    for text in nights {
        let memory = scene.memory.undone.clone();
        scene = Scene::parse(text);
        scene.memory.undone = memory;
        let plan = scene.plan().plan;
        let sets = plan.held.iter().filter(|set| set.class == Class::Undone);
        held.push(sets.map(|set| set.changes.len()).sum());
        scene.memory.undone = plan.undone;
    }
    held
}

const BASE: &str = "anna@ name=N alias=a@ grants=bert@";
const DISABLED: &str = "anna@ name=N alias=a@ grants=bert@ disabled";
const WANTED: &str = "name=N alias=a@ delegates=bert@";
const SUSPENDED: &str = "off name=N alias=a@ delegates=bert@";
const RENAMED: &str = "name=Old alias=a@ delegates=bert@";

/// The mailbox and the account before a run; the account after it; the mailbox with another source of the change.
const CHANGES: [[&str; 4]; 7] = [
    [DISABLED, WANTED, SUSPENDED, BASE],
    [BASE, SUSPENDED, WANTED, DISABLED],
    [
        BASE,
        RENAMED,
        WANTED,
        "anna@ name=Third alias=a@ grants=bert@",
    ],
    [
        BASE,
        "name=N delegates=bert@",
        WANTED,
        "anna@ name=N grants=bert@",
    ],
    [
        BASE,
        "name=N alias=a@,b@ delegates=bert@",
        WANTED,
        "anna@ name=N alias=a@,b@ grants=bert@",
    ],
    [BASE, "name=N alias=a@", WANTED, "anna@ name=N alias=a@"],
    [
        BASE,
        "name=N alias=a@ delegates=bert@,carl@",
        WANTED,
        "anna@ name=N alias=a@ grants=bert@,carl@",
    ],
];

#[test]
fn r37_only_the_source_of_the_very_change_ends_a_hold() {
    let of = |mailbox: &str, account: &str| {
        format!(
            "map anna=u1\npeople bert@ carl@ dora@\nmailbox {mailbox}\naccount anna@ as=u1 {account}"
        )
    };
    for [mailbox, before, after, source] in CHANGES {
        let (world, done) = (of(mailbox, before), of(mailbox, after));
        for (from, to) in [
            ("name=N", "name=M"),
            ("alias=a@", "alias=a@,c@"),
            ("grants=bert@", "grants=bert@,dora@"),
        ] {
            let is_source = from == "name=N" && before == RENAMED;
            let unrelated = world.replace(
                &format!("mailbox {mailbox}"),
                &format!("mailbox {}", mailbox.replace(from, to)),
            );
            let held = held_after(&world, &done, &[&unrelated, &world]);
            let expected = if is_source { [0, 0] } else { [1, 1] };
            assert_eq!(held, expected, "{mailbox}: {before}: {to}");
        }
        let changed = of(source, before);
        assert_eq!(
            held_after(&world, &done, &[&world, &changed, &world]),
            [1, 0, 0],
            "{source}"
        );
        // Another person has the mailbox.
        let replaced = world.replace(
            "mailbox anna@",
            "map anna=other new=u1\nmailbox anna@ id=new",
        );
        assert_eq!(held_after(&world, &done, &[&replaced]), [0], "{mailbox}");
    }
}

#[test]
fn r11_r37_what_was_unknown_when_a_run_was_undone_is_no_other_source_later() {
    let of = |grants: &str, delegates: &str| {
        format!(
            "people bert@ carl@\nmailbox anna@ grants={grants}\naccount anna@ delegates={delegates}"
        )
    };
    let (before, after) = (of("bert@", "bert@,carl@"), of("?", "bert@"));
    let nights = [
        of("bert@", "bert@,carl@"),
        of("?", "bert@,carl@"),
        of("bert@,carl@", "bert@,carl@"),
    ];
    let [known, unknown, granted] = nights.each_ref().map(String::as_str);
    let held = held_after(&before, &after, &[known, unknown, known, granted, known]);
    assert_eq!(held, [1, 0, 1, 0, 0]);
}

#[test]
fn r16_r37_the_next_person_who_has_the_account_of_a_delegate_is_another_source() {
    let with = |bert: &str| {
        format!(
            "map anna=anna bert=bert\npeople carl@\nmailbox anna@\naccount anna@ delegates=bert@\nmailbox bert@ id={bert}\naccount bert@"
        )
    };
    let before = with("bert");
    let done = before.replace(" delegates=bert@", "");
    let (_, memory) = undone(&before, &done);
    assert_snapshot!(night(&before, &memory), @"held Undone: anna@ remove delegate [bert@] -> []");
    let mut scene = Scene::parse(&with("new"));
    scene.memory.undone = memory.memory.undone;
    scene.approve = vec![Class::Identity];
    assert_snapshot!(shown(&scene.plan()), @r"
    update anna@; signinkey -unknown +#anna; delegates -bert@
    update bert@; objectid -#bert +#new
    0. anna@: aliases [] delegates [] key [#anna]
    1. bert@: aliases [] delegates [] key [#new]
    ");
}

#[test]
fn r19_r37_a_mailbox_that_only_the_list_lacks_is_no_other_source() {
    let text = "map anna=anna\npeople bert@\naccount anna@";
    let disabled = format!("{text}\nmailbox anna@ disabled");
    let unlisted = format!("{text}\nfound #anna UserMailbox id=anna");
    let done = disabled.replace("account anna@", "account anna@ off");
    let held = held_after(&disabled, &done, &[&disabled, &unlisted, &disabled]);
    assert_eq!(held, [1, 0, 1]);
}

#[test]
fn r37_the_grants_are_the_source_of_the_status_of_a_functional_account() {
    let of = |grants: &str, members: &str| {
        format!(
            "people bert@ carl@\nshared info@ grants={grants}\nfunctional info@ members={members}"
        )
    };
    let (before, after) = (of("", "bert"), of("", ""));
    let held = held_after(
        &before,
        &after,
        &[
            &before,
            &before.replace("shared info@", "shared info@ alias=i@"),
        ],
    );
    assert_eq!(held, [1, 1]);
    let (before, after) = (of("bert@", ""), of("bert@", "bert"));
    let (_, scene) = undone(&before, &after);
    assert_snapshot!(night(&of("bert@,carl@", ""), &scene), @r"
    resume info@; active -no +yes; delegates +carl@
    held Undone: info@ add delegate [] -> [bert@]
    0. info@: members [carl@]
    ");
}

#[test]
fn r37_all_that_was_taken_back_is_barred() {
    let before = "mailbox anna@ name=New alias=a@
        account anna@ name=Old alias=b@ off";
    let after = "mailbox anna@ name=New alias=a@
        account anna@ name=New alias=a@";
    let (_, memory) = undone(before, after);
    assert_eq!(
        barred(&memory, "anna"),
        ["+alias a@", "-alias b@", "name New", "resume"]
    );
}

#[test]
fn r37_an_address_and_a_status_go_back_in_one_request() {
    let before = "mailbox anna.b@ id=anna name=N
        account anna@ as=u1 ext=anna name=N off";
    let after = "mailbox anna.b@ id=anna name=N
        account anna.b@ as=u1 ext=anna name=N";
    let mut run = run_of(&before.replace(" off", ""));
    run.deeds
        .extend(run_of(&after.replace("ext=anna", "ext=anna off")).deeds);
    assert_snapshot!(taken_back(&run, after).0, @r"
    suspend anna.b@; address -anna.b@ +anna@; active -yes +no
    0. anna.b@: address [anna@] active [false]
    1. anna.b@: active [false]; if refused 0; after 0
    ");
}

#[test]
fn r37_a_suspend_that_is_taken_back_with_delegates_keeps_its_order() {
    let people = "mailbox bert@
        account bert@
        mailbox carl@
        account carl@";
    let before = format!("{people}\nmailbox anna@ grants=bert@\naccount anna@ off delegates=carl@");
    let added = format!("{people}\nmailbox anna@ grants=bert@\naccount anna@ off");
    let removed = format!("{people}\nmailbox anna@\naccount anna@ off delegates=carl@");
    let after = format!("{people}\nmailbox anna@ grants=bert@\naccount anna@ delegates=bert@");
    let nobody = format!("{people}\nmailbox anna@\naccount anna@");
    assert_snapshot!(undone(&before, &after).0, @r"
    suspend anna@; active -yes +no; delegates -bert@ +carl@
    0. anna@: aliases [] delegates [carl@] key [#anna]
    1. anna@: active [false]; after 0
    ");
    assert_snapshot!(undone(&added, &after).0, @r"
    suspend anna@; active -yes +no; delegates -bert@
    0. anna@: aliases [] delegates [] key [#anna]
    1. anna@: active [false]; after 0
    ");
    assert_snapshot!(undone(&removed, &nobody).0, @r"
    suspend anna@; active -yes +no; delegates +carl@
    0. anna@: aliases [] delegates [carl@] key [#anna]
    1. anna@: active [false]; after 0
    ");
}

#[test]
fn r37_what_an_undo_brings_back_is_barred_no_longer() {
    let before = "mailbox anna@ name=New\naccount anna@ name=Old";
    let after = "mailbox anna@ name=New\naccount anna@ name=New";
    let undone = Undone {
        run: "earlier".into(),
        changes: ["name Old".to_owned(), "name Third".to_owned()].into(),
        ..Undone::default()
    };
    let undo = run_of(before);
    let mut scene = Scene::parse(after);
    scene.memory.undone.insert(ScimId::new("anna"), undone);
    let Planned {
        world, matching, ..
    } = scene.plan();
    let planned = |memory: &Memory| {
        let (policy, wishes) = (&scene.policy, &scene.wishes);
        plan_undo(&undo, &world, policy, memory, &matching, wishes)
    };
    let plan = planned(&keys_written(&scene, &world, &planned(&scene.memory)));
    let barred: Vec<&String> = plan.undone[&ScimId::new("anna")].changes.iter().collect();
    assert_eq!(barred, ["name New", "name Third"]);
}

#[test]
fn r37_a_suspend_that_is_taken_back_with_aliases_keeps_those_that_come() {
    let before = "mailbox anna@ alias=a@\naccount anna@ off alias=b@";
    let after = "mailbox anna@ alias=a@\naccount anna@ alias=a@";
    assert_snapshot!(undone(before, after).0, @r"
    suspend anna@; active -yes +no; aliases -a@ +b@
    0. anna@: aliases [] delegates [] key [#anna]
    1. anna@: aliases [b@] delegates [] key [#anna]; after 0
    2. anna@: active [false]; after 1
    ");
}

#[test]
fn r22_r37_a_delegate_who_gets_an_address_back_is_named_by_it() {
    let people = "mailbox new@ id=anna name=N
        mailbox bert@ grants=new@
        map anna=u1";
    let before = format!("{people}\naccount anna@ as=u1 name=N\naccount bert@ delegates=anna@");
    let after = format!("{people}\naccount new@ as=u1 name=N\naccount bert@ delegates=new@");
    let (plan, memory) = undone(&before, &after);
    assert_snapshot!(plan, @r"
    update bert@; delegates +new@
    rename new@; address -new@ +anna@
    0. new@: address [anna@]
    1. bert@: aliases [] delegates [new@] key [#bert]; after 0
    ");
    let barred: Vec<_> = memory.memory.undone.keys().map(ScimId::as_str).collect();
    assert_eq!(barred, ["u1"]);
    // It is in doubt whose account names the delegate.
    let doubtful = format!("{after}\nmailbox bert@ id=other");
    assert_snapshot!(undone(&before, &doubtful).0, @r"
    rename new@; address -new@ +anna@
    0. new@: address [anna@]
    R37 ChangedSince bert@
    ");
    // R15: nobody changes it.
    let filtered = format!("{after}\ntarget bert@");
    let without_key = format!("{filtered}\nkey omit");
    assert_eq!(
        undone(&before, &without_key).0,
        undone(&before, &filtered).0
    );
    assert_snapshot!(undone(&before, &filtered).0, @r"
    rename new@; address -new@ +anna@
    0. new@: address [anna@]
    R37 ChangedSince bert@
    ");
}

#[test]
fn r07_r37_a_protected_delegate_does_not_get_access_again() {
    let before = "people anna@\nmailbox carl@\naccount carl@ delegates=anna@";
    let doubtful =
        "mailbox anna@\nmailbox anna@ id=other\naccount anna@\nmailbox carl@\naccount carl@";
    assert_snapshot!(undone(before, doubtful).0, @"R37 ChangedSince carl@");
}

#[test]
fn r37_an_address_that_zivver_keeps_after_a_rename_is_taken_back_too() {
    let world = |account: &str| {
        format!("mailbox new@ id=anna name=N\nmap anna=u1\naccount {account} as=u1 name=N")
    };
    let undo = run_of(&world("anna@"));
    let kept = world("anna@ alias=new@");
    assert_snapshot!(taken_back(&undo, &kept).0, @r"
    update anna@; aliases -new@
    0. anna@: aliases [] delegates [] key [#anna]
    ");
    // It was there before, or has become one since.
    assert_snapshot!(taken_back(&run_of(&kept), &kept).0, @"");
    let given =
        "mailbox anna@ name=N alias=new@\nmap anna=u1\naccount anna@ as=u1 name=N alias=new@";
    assert_snapshot!(taken_back(&undo, given).0, @"");
}

#[test]
fn r27_r37_an_approved_repetition_of_what_was_undone_approves_nothing_else() {
    let mut scene = Scene::parse(
        "limits suspend=0
        mailbox anna@ name=New
        account anna@ name=Old
        people bert@ disabled",
    );
    let undone = Undone {
        run: "R".into(),
        changes: ["name New".to_owned()].into(),
        ..Undone::default()
    };
    scene.memory.undone.insert(ScimId::new("anna"), undone);
    scene.approve = vec![Class::Undone];
    assert_snapshot!(shown(&scene.plan()), @r"
    update anna@; name -Old +New
    held Suspend: bert@ suspend [active] -> [suspended]
    0. anna@: name [New]
    ");
}

#[test]
fn r17_r37_an_account_that_is_on_its_way_gets_its_address_back() {
    let world = |account: &str| {
        format!("mailbox new@ id=anna name=N\nmap anna=u1\naccount {account} as=u1 name=N")
    };
    let undo = run_of(&world("anna@"));
    let accounts = Accounts::new(Scene::parse(&world("anna@")).actual);
    let (_, account) = accounts.iter().next().unwrap();
    let from = |target: &str| {
        let on_its_way = aside(account, &address(target));
        let plan = taken_back(&undo, &world(on_its_way.as_str())).0;
        plan.replace(
            on_its_way.as_str().trim_end_matches("corp.example"),
            "aside@",
        )
    };
    assert_snapshot!(from("new@"), @r"
    rename aside@; address -aside@ +anna@
    0. aside@: address [anna@]
    ");
    assert_eq!(from("anna@"), from("new@"));
    assert_snapshot!(from("other@"), @"R37 ChangedSince aside@");
}

#[test]
fn r37_the_account_and_the_grant_of_the_very_delegate_are_the_source() {
    let of = |grants: &str, delegates: &str, bert: &str| {
        format!(
            "mailbox anna@ grants={grants}
            account anna@ delegates={delegates}
            mailbox bert@
            {bert}
            people carl@"
        )
    };
    let bert = "account bert@";
    let before = of("bert@,carl@", "carl@", bert);
    let after = of("bert@,carl@", "bert@,carl@", bert);
    for (between, held) in [
        (of("bert@", "carl@", bert), [1, 1]),
        (of("carl@", "carl@", bert), [1, 0]),
        (of("bert@,carl@", "carl@", ""), [1, 0]),
        (of("bert@,carl@", "carl@", "broken bert@"), [1, 1]),
    ] {
        let nights = held_after(&before, &after, &[&before, &between, &before]);
        assert_eq!([nights[0], nights[2]], held, "{between}");
    }
}
