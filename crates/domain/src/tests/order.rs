//! R17 and R25: chains, cycles and the order of steps.

use insta::assert_snapshot;

use super::{
    notation::{Planned, Scene, address},
    shown::{plan_of, shown},
    zivver::{Disturbance, carry_out},
};
use crate::{
    ids::{ScimId, SignInKey},
    memory::WrittenKey,
    report::ActionOutcome,
    world::SsoAccountKey,
};

#[test]
fn r25_creates_releases_renames_claims_stops() {
    let world = "
        mailbox anna@
        mailbox bert@ alias=carlold@
        account bert@
        account gone@ ext=gone alias=bertnew@
        mailbox carl@ alias=bertnew@
        account carlold@ as=u3 name=carl
        map carl=u3
    ";
    assert_snapshot!(plan_of(world), @r"
    create anna@; name +anna
    update bert@; aliases +carlold@
    rename carlold@; address -carlold@ +carl@; aliases +bertnew@
    suspend gone@; active -yes +no; aliases -bertnew@
    0. new anna@: post user [anna] key [#anna]
    1. gone@: aliases [] delegates [] key [#gone]
    2. carlold@: address [carl@]
    3. new anna@: name [anna] active [true] aliases [] delegates [] key [#anna]; completes 0; after 0
    4. bert@: aliases [carlold@] delegates [] key [#bert]; after 2; claims carlold@ of 2
    5. carlold@: aliases [bertnew@] delegates [] key [#carl] aliases if refused [2 bertnew@]; after 1 2; claims bertnew@ of 1
    6. gone@: active [false]; after 1
    ");
}

#[test]
fn r25_after_a_cut_off_run_suspends_go_first() {
    let world = "
        stops-first
        mailbox anna@ alias=x@
        account anna@
        account gone@ ext=gone alias=x@
        mailbox bert@ disabled
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +x@
    suspend bert@; active -yes +no
    suspend gone@; active -yes +no; aliases -x@
    0. bert@: active [false]
    1. gone@: active [false]
    2. gone@: aliases [] delegates [] key [#gone]; after 1
    3. anna@: aliases [x@] delegates [] key [#anna]; after 2; claims x@ of 2
    ");
}

#[test]
fn r17_two_addresses_are_swapped() {
    let world = "
        mailbox anna@ id=one name=N
        mailbox bert@ id=two name=N
        account bert@ as=u1 name=N ext=one
        account anna@ as=u2 name=N ext=two
    ";
    assert_snapshot!(plan_of(world), @r"
    rename anna@; address -anna@ +bert@
    rename bert@; address -bert@ +anna@
    0. anna@: address [cloud-sync-bf708a53ce30@]
    1. bert@: address [anna@]; after 0; claims anna@ of 0
    2. anna@: address [bert@]; after 0 1; claims bert@ of 1
    3. anna@: address [anna@]; if refused 1; after 1 2
    ");
}

#[test]
fn r17_a_cycle_of_three_with_old_addresses_as_aliases() {
    let world = "
        mailbox a@ id=one name=N
        mailbox b@ id=two name=N
        mailbox c@ id=three name=N
        account b@ as=u1 name=N ext=one
        account c@ as=u2 name=N ext=two
        account a@ as=u3 name=N ext=three
    ";
    assert_snapshot!(plan_of(world), @r"
    rename a@; address -a@ +c@
    rename b@; address -b@ +a@
    rename c@; address -c@ +b@
    0. a@: address [cloud-sync-14e98e30c530@]
    1. b@: address [a@]; after 0; claims a@ of 0
    2. c@: address [b@]; after 1; claims b@ of 1
    3. a@: address [c@]; after 0 2; claims c@ of 2
    4. a@: address [a@]; if refused 1; after 1 3
    ");
}

#[test]
fn r17_a_cycle_of_four() {
    let world = "
        mailbox a@ id=one name=N
        mailbox b@ id=two name=N
        mailbox c@ id=three name=N
        mailbox d@ id=four name=N
        account b@ as=u1 name=N ext=one
        account c@ as=u2 name=N ext=two
        account d@ as=u3 name=N ext=three
        account a@ as=u4 name=N ext=four
    ";
    assert_snapshot!(plan_of(world), @r"
    rename a@; address -a@ +d@
    rename b@; address -b@ +a@
    rename c@; address -c@ +b@
    rename d@; address -d@ +c@
    0. a@: address [cloud-sync-d6f8d8e78d81@]
    1. b@: address [a@]; after 0; claims a@ of 0
    2. c@: address [b@]; after 1; claims b@ of 1
    3. d@: address [c@]; after 2; claims c@ of 2
    4. a@: address [d@]; after 0 3; claims d@ of 3
    5. a@: address [a@]; if refused 1; after 1 4
    ");
}

#[test]
fn r17_a_chain_goes_from_its_end() {
    let world = "
        mailbox b@ id=one name=N
        mailbox c@ id=two name=N
        mailbox d@ id=three name=N
        mailbox a@ id=four name=N
        account a@ as=u1 name=N ext=one
        account b@ as=u2 name=N ext=two
        account c@ as=u3 name=N ext=three
    ";
    assert_snapshot!(plan_of(world), @r"
    rename a@; address -a@ +b@
    create a@; name +N
    rename b@; address -b@ +c@
    rename c@; address -c@ +d@
    0. c@: address [d@]
    1. b@: address [c@]; after 0; claims c@ of 0
    2. a@: address [b@]; after 1; claims b@ of 1
    3. new a@: post user [N] key [#four]; after 2; claims a@ of 2
    4. new a@: name [N] active [true] aliases [] delegates [] key [#four]; completes 3; after 3
    ");
}

#[test]
fn r17_a_chain_that_is_blocked_at_its_end_is_blocked_as_a_whole() {
    let world = "
        mailbox b@ id=one name=N
        mailbox c@ id=two name=N
        account a@ as=u1 name=N ext=one
        account b@ as=u2 name=N ext=two
        account far@other.example alias=c@
    ";
    assert_snapshot!(plan_of(world), @r"
    R17 RenameBlocked b@
    R17 RenameBlocked c@
    ");
}

#[test]
fn r17_delegates_that_are_renamed_are_named_before_or_after() {
    let world = "
        mailbox new@ id=one name=N
        account old@ as=u1 name=N ext=one
        mailbox boss@ alias=x@ grants=new@
        account boss@ delegates=old@
    ";
    assert_snapshot!(plan_of(world), @r"
    update boss@; aliases +x@; delegates +old@
    rename old@; address -old@ +new@
    0. old@: address [new@]
    1. boss@: aliases [x@] delegates [old@] key [#boss]; after 0
    ");
}

/// The request that puts a dropped alias back follows the one that names the account anew.
#[test]
fn r17_r22_an_account_that_names_itself_moves_to_its_own_alias() {
    let world = "
        mailbox new@ id=one name=N
        account old@ as=u1 name=N alias=new@ delegates=old@ ext=one
        mailbox old@ id=two name=N
    ";
    assert_snapshot!(plan_of(world), @r"
    rename old@; address -old@ +new@; delegates -old@
    create old@; name +N
    0. old@: aliases [] delegates [] key [#one]
    1. old@: address [new@]; after 0
    2. old@: aliases [] delegates [] key [#one]; after 1
    3. old@: aliases [new@] delegates [] key [#one]; if refused 1; after 2
    4. new old@: post user [N] key [#two]; after 1 2; claims old@ of 1; claims old@ of 2
    5. new old@: name [N] active [true] aliases [] delegates [] key [#two]; completes 4; after 4
    ");
}

#[test]
fn r25_an_alias_goes_to_the_mailbox_that_has_it_now() {
    let world = "
        mailbox anna@ alias=x@
        account anna@
        mailbox bert@
        account bert@ alias=x@,y@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +x@
    update bert@; aliases -x@ -y@
    0. bert@: aliases [] delegates [] key [#bert]
    1. anna@: aliases [x@] delegates [] key [#anna]; after 0; claims x@ of 0
    ");
}

#[test]
fn r25_aliases_that_change_hands_crosswise_are_released_first() {
    let world = "
        mailbox anna@ alias=x@
        account anna@ alias=y@
        mailbox bert@ alias=y@
        account bert@ alias=x@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases -y@ +x@
    update bert@; aliases -x@ +y@
    0. anna@: aliases [] delegates [] key [#anna]
    1. bert@: aliases [] delegates [] key [#bert]
    2. anna@: aliases [x@] delegates [] key [#anna]; after 0 1; claims x@ of 1
    3. bert@: aliases [y@] delegates [] key [#bert]; after 0 1; claims y@ of 0
    ");
}

#[test]
fn r25_an_account_is_created_at_an_address_that_becomes_free() {
    let world = "
        mailbox new@ id=one name=N
        account old@ as=u1 name=N ext=one
        mailbox old@ id=two
        mailbox nick@
        account zoe@
        mailbox zoe@
        account bert@ alias=nick@
        mailbox bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    update bert@; aliases -nick@
    create nick@; name +nick
    rename old@; address -old@ +new@
    create old@; name +old
    0. bert@: aliases [] delegates [] key [#bert]
    1. old@: address [new@]
    2. new nick@: post user [nick] key [#nick]; after 0; claims nick@ of 0
    3. new old@: post user [old] key [#two]; after 1; claims old@ of 1
    4. new nick@: name [nick] active [true] aliases [] delegates [] key [#nick]; completes 2; after 2
    5. new old@: name [old] active [true] aliases [] delegates [] key [#two]; completes 3; after 3
    ");
}

#[test]
fn r25_a_functional_account_is_emptied_with_the_other_groups_left() {
    let world = "
        shared info@
        functional info@ members=anna,team
        functional team@
        mailbox anna@
        account anna@
    ";
    assert_snapshot!(plan_of(world), @r"
    empty info@; active -yes +no; delegates -anna@
    0. info@: empty, keep [1]
    ");
}

/// The plan if this program wrote the address of each account as its key.
fn with_written_keys(world: &str) -> Planned {
    let mut scene = Scene::parse(world);
    for user in &scene.actual.users {
        let key = SignInKey::Name(user.address.as_str().into());
        let written = WrittenKey::of(SsoAccountKey::PrimaryAddress, &key);
        scene.memory.keys.insert(user.id.clone(), written);
    }
    scene.plan()
}

#[test]
fn r23_a_key_that_follows_a_rename_is_written_after_it() {
    let renamed = with_written_keys(
        "key address
        mailbox anna.b@ id=anna name=N
        account anna@ ext=anna name=N",
    );
    assert_snapshot!(shown(&renamed), @r"
    rename anna@; address -anna@ +anna.b@; signinkey -the key written before +anna.b@
    0. anna@: address [anna.b@]
    1. anna@: aliases [] delegates [] key [anna.b@] aliases if refused [0 ]; after 0
    ");
    let swapped = with_written_keys(
        "key address
        mailbox anna@ id=one name=N
        mailbox bert@ id=two name=N
        account bert@ as=u1 name=N ext=one
        account anna@ as=u2 name=N ext=two",
    );
    assert_snapshot!(shown(&swapped), @r"
    rename anna@; address -anna@ +bert@; signinkey -the key written before +bert@
    rename bert@; address -bert@ +anna@; signinkey -the key written before +anna@
    0. anna@: address [cloud-sync-bf708a53ce30@]
    1. bert@: address [anna@]; after 0; claims anna@ of 0
    2. anna@: address [bert@]; after 0 1; claims bert@ of 1
    3. anna@: address [anna@]; if refused 1; after 1 2
    4. anna@: aliases [] delegates [] key [bert@] aliases if refused [2 ]; after 3
    5. bert@: aliases [] delegates [] key [anna@] aliases if refused [1 ]; after 1
    ");
    let to_alias = with_written_keys(
        "key address
        mailbox anna.b@ id=anna name=N
        account anna@ ext=anna name=N alias=anna.b@",
    );
    assert_snapshot!(shown(&to_alias), @r"
    rename anna@; address -anna@ +anna.b@; signinkey -the key written before +anna.b@
    0. anna@: aliases [] delegates [] key [anna.b@]
    1. anna@: address [anna.b@]; after 0
    2. anna@: aliases [anna.b@] delegates [] key [anna.b@]; if refused 1; after 1
    ");
    // An alias that another account keeps does not block the key.
    let refused = with_written_keys(
        "key address
        mailbox anna.b@ id=anna name=N alias=x@
        account anna@ ext=anna name=N
        mailbox carl@
        account carl@ alias=x@",
    );
    let carried_out = carry_out(
        &refused,
        &Disturbance {
            refuse: [0].into(),
            ..Disturbance::NONE
        },
        |_| 0,
    );
    let key = &carried_out.zivver.keys[&ScimId::new("anna")];
    assert_eq!(key.to_string(), "anna.b@corp.example");
    assert_eq!(carried_out.outcome(0), ActionOutcome::Partly);
}

const CHAIN: &str = "
    mailbox aa@ id=anna name=N
    account anna@ as=u1 name=N ext=anna
    mailbox anna@ id=bert name=N
    account bert@ as=u2 name=N ext=bert
    mailbox carl@ grants=aa@
    account carl@ as=u3 delegates=anna@
";

const SWAP: &str = "
    mailbox bert@ id=anna name=N
    account anna@ as=u1 name=N ext=anna
    mailbox anna@ id=bert name=N
    account bert@ as=u2 name=N ext=bert
    mailbox carl@ grants=bert@
    account carl@ as=u3 delegates=anna@
";

#[test]
fn r22_an_address_goes_to_another_after_the_accounts_that_name_a_delegate_by_it_are_written() {
    assert_snapshot!(plan_of(CHAIN), @r"
    rename anna@; address -anna@ +aa@
    rename bert@; address -bert@ +anna@
    update carl@; delegates +anna@
    0. anna@: address [aa@]
    1. carl@: aliases [] delegates [anna@] key [#carl]; after 0
    2. bert@: address [anna@]; after 0 1; claims anna@ of 0; claims anna@ of 1
    3. carl@: aliases [] delegates [anna@] key [#carl]; after 0 1
    ");
    assert_snapshot!(plan_of(SWAP), @r"
    rename anna@; address -anna@ +bert@
    rename bert@; address -bert@ +anna@
    update carl@; delegates +anna@
    0. anna@: address [cloud-sync-3ce488035018@]
    1. carl@: aliases [] delegates [anna@] key [#carl]; after 0
    2. bert@: address [anna@]; after 0 1; claims anna@ of 0; claims anna@ of 1
    3. anna@: address [bert@]; after 0 1 2; claims bert@ of 2
    4. anna@: address [anna@]; if refused 2; after 2 3
    5. carl@: aliases [] delegates [anna@] key [#carl]; after 1 4
    ");
    let leaver = "
        map anna=anna
        gone #anna
        mailbox anna@ id=bram name=N
        account bram@ ext=bram name=N
        account anna@ off
        mailbox pia@
        account pia@ delegates=anna@
    ";
    assert_snapshot!(plan_of(leaver), @r"
    rename anna@; address -anna@ +cloud-sync-171ad7f4c6f7@
    rename bram@; address -bram@ +anna@
    update pia@; delegates -anna@
    0. pia@: aliases [] delegates [] key [#pia]
    1. anna@: address [cloud-sync-171ad7f4c6f7@]; after 0; claims cloud-sync-171ad7f4c6f7@ of 0
    2. bram@: address [anna@]; after 0 1; claims anna@ of 1; claims anna@ of 0
    ");
    let create = "
        mailbox aa@ id=anna name=N
        account anna@ as=u1 ext=anna name=N
        mailbox anna@ id=bert name=N
        mailbox carl@ grants=aa@
        account carl@ as=u3 delegates=anna@
    ";
    assert_snapshot!(plan_of(create), @r"
    rename anna@; address -anna@ +aa@
    create anna@; name +N
    update carl@; delegates +anna@
    0. anna@: address [aa@]
    1. carl@: aliases [] delegates [anna@] key [#carl]; after 0
    2. new anna@: post user [N] key [#bert]; after 0 1; claims anna@ of 0; claims anna@ of 1
    3. new anna@: name [N] active [true] aliases [] delegates [] key [#bert]; completes 2; after 2
    4. carl@: aliases [] delegates [anna@] key [#carl]; after 0 1
    ");
}

#[test]
fn r22_an_address_by_which_a_delegate_is_still_named_goes_to_no_other_account() {
    for world in [CHAIN, SWAP] {
        let planned = Scene::parse(world).plan();
        let steps = planned.plan.approved.steps().iter().enumerate();
        let of_carl = steps.filter(|(_, step)| {
            planned.plan.approved.actions()[step.action as usize].address == address("carl@")
        });
        let refuse = of_carl.map(|(at, _)| at).collect();
        let disturbance = Disturbance {
            refuse,
            ..Disturbance::NONE
        };
        let carried_out = carry_out(&planned, &disturbance, |_| 0);
        let bert = &carried_out.zivver.users[&ScimId::new("u2")];
        assert_eq!(bert.address, address("bert@"));
        let actions = planned.plan.approved.actions();
        let at = actions.iter().position(|it| it.address == address("bert@"));
        let end = &carried_out.applied.actions[at.unwrap()];
        assert_eq!(end.outcome, Some(ActionOutcome::Refused));
        let problems = end.problems.join("\n");
        assert_eq!(
            problems,
            "anna@corp.example is not taken yet, since the delegates of carl@corp.example were not written, which names one by \
             an address that changes hands (R22)"
        );
        // Without a disturbance nothing is left to do.
        let whole = carry_out(&planned, &Disturbance::NONE, |_| 0);
        assert_eq!(whole.refusals, Vec::<String>::new());
        let bert = &whole.zivver.users[&ScimId::new("u2")];
        assert_eq!(bert.address, address("anna@"));
        let anna = &whole.zivver.users[&ScimId::new("u1")];
        let carl = &whole.zivver.users[&ScimId::new("u3")];
        assert_eq!(carl.delegates, std::slice::from_ref(&anna.address));
    }
}

#[test]
fn r22_an_address_that_no_account_has_stays_free_while_others_name_a_delegate_by_it() {
    // The world after a run that was killed before carl@ was written, or whose request for carl@ was refused.
    let after = |anna: &str, carl: &str| {
        format!(
            "mailbox aa@ id=anna name=N
            account {anna} as=u1 name=N ext=anna
            mailbox anna@ id=bert name=N
            account bert@ as=u2 name=N ext=bert
            mailbox carl@ {carl}
            account carl@ as=u3 delegates=anna@"
        )
    };
    assert_snapshot!(plan_of(&after("aa@", "grants=aa@")), @r"
    rename bert@; address -bert@ +anna@
    update carl@; delegates -anna@ +aa@
    0. carl@: aliases [] delegates [] key [#carl]
    1. bert@: address [anna@]; after 0; claims anna@ of 0
    2. carl@: aliases [] delegates [aa@] key [#carl]; after 0
    ");
    assert_snapshot!(plan_of(&after("cloud-sync-1@", "grants=aa@")), @r"
    rename bert@; address -bert@ +anna@
    update carl@; delegates -anna@ +cloud-sync-1@
    rename cloud-sync-1@; address -cloud-sync-1@ +aa@
    0. carl@: aliases [] delegates [] key [#carl]
    1. bert@: address [anna@]; after 0; claims anna@ of 0
    2. cloud-sync-1@: address [aa@]
    3. carl@: aliases [] delegates [cloud-sync-1@] key [#carl]; after 0 2
    ");
    let protected = after("aa@", "grants=aa@") + "\ntarget carl";
    let blocked = [
        protected.clone(),
        protected.replace("account bert@ as=u2 name=N ext=bert", ""),
        protected.replace("mailbox anna@ id=bert", "mailbox bert@ id=bert alias=anna@"),
    ];
    let told: std::collections::BTreeSet<String> = blocked
        .iter()
        .flat_map(|world| {
            let plan = Scene::parse(world).plan().plan;
            assert_eq!(plan.approved.actions(), [], "{world}");
            let notes = plan.notes.into_iter();
            notes.map(|note| format!("{:?} {}: {}", note.code, note.address, note.text))
        })
        .collect();
    assert_snapshot!(super::shown::short(&Vec::from_iter(told).join("\n")), @r#"
    AddressTaken anna@: no account can be created for anna@, which is still among the delegates of carl@, which is protected; take it out there in the Zivver WebApp
    AliasTaken bert@: the alias anna@ is left out: it is still among the delegates of carl@, which is protected; take it out there in the Zivver WebApp
    RenameBlocked anna@: bert@ cannot become anna@, which is still among the delegates of carl@, which is protected; take it out there in the Zivver WebApp
    TargetFilter carl@: TARGET_FILTER entry "carl" matches its address
    "#);
}
