//! R19 to R24: which changes are planned, and which requests are sent.

use insta::assert_snapshot;

use super::{
    notation::Scene,
    shown::{changes_of, plan_of, short},
};

#[test]
fn r19_a_disabled_user_is_suspended_and_nothing_else_of_it_is_compared() {
    let world = "
        mailbox anna@ disabled name=New alias=x@ grants=bert@
        account anna@ name=Old alias=y@
        mailbox bert@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    suspend anna@; active -yes +no
    0. anna@: active [false]
    ");
}

#[test]
fn r19_an_enabled_user_is_resumed_and_brought_up_to_date() {
    let world = "
        mailbox anna@ name=New alias=x@
        account anna@ off name=Old
    ";
    assert_snapshot!(plan_of(world), @r"
    resume anna@; name -Old +New; active -no +yes; aliases +x@
    0. anna@: name [New] active [true] aliases [x@] delegates [] key [#anna]
    ");
}

#[test]
fn r19_an_absent_account_that_had_a_mailbox_is_suspended_or_emptied() {
    let world = "
        mailbox anna@
        account anna@
        account gone@ ext=gone
        account left@ as=u2
        map left=u2
        functional team@ ext=team members=anna
        account off@ ext=off off
    ";
    assert_snapshot!(plan_of(world), @r"
    suspend gone@; active -yes +no
    suspend left@; active -yes +no
    empty team@; active -yes +no; delegates -anna@
    0. gone@: active [false]
    1. left@: active [false]
    2. team@: empty, keep [0]
    ");
}

#[test]
fn r19_a_stray_is_held() {
    let world = "
        mailbox anna@
        account anna@
        account admin@
        functional hand@ members=anna
    ";
    assert_snapshot!(plan_of(world), @r"
    held Stray: admin@ suspend [active] -> [suspended]
    held Stray: hand@ empty [anna@] -> [no members]
    ");
}

#[test]
fn r19_an_approved_stray_is_suspended() {
    let world = "
        approve strays
        mailbox anna@
        account anna@
        account admin@
    ";
    assert_snapshot!(changes_of(world), @"suspend admin@; active -yes +no");
}

#[test]
fn r19_a_recipient_of_any_kind_protects_and_a_failed_question_holds() {
    let world = "
        mailbox anna@ alias=theirs@
        account anna@
        account user@ ext=user alias=theirs@
        found user@ MailUser
        account byid@ ext=byid
        found #byid GuestMailUser
        account fail@ ext=fail
        failed fail@
        account many@ ext=many
        ambiguous many@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +theirs@
    suspend many@; active -yes +no
    suspend user@; active -yes +no; aliases -theirs@
    0. user@: aliases [] delegates [] key [#user]
    1. anna@: aliases [theirs@] delegates [] key [#anna]; after 0; claims theirs@ of 0
    2. many@: active [false]
    3. user@: active [false]; after 0
    R19 RecipientExists byid@
    R19 AbsenceUnknown fail@
    ");
}

#[test]
fn r19_nobody_asked_is_no_answer() {
    let world = "
        unasked
        mailbox anna@
        account anna@
        account gone@ ext=gone
    ";
    assert_snapshot!(plan_of(world), @"R19 AbsenceUnknown gone@");
}

#[test]
fn r19_a_merge_candidate_is_reported() {
    let world = "
        mailbox anna@ alias=nick@
        account anna@ as=u1
        account nick@ as=u2
        map anna=u1
    ";
    assert_snapshot!(plan_of(world), @r"
    R23 AliasTaken anna@
    R19 MergeCandidate nick@
    ");
}

#[test]
fn r19_a_merge_candidate_whose_own_object_id_is_gone_is_suspended() {
    let world = "
        mailbox anna@ alias=nick@
        account anna@ as=u1
        account nick@ as=u2 ext=gone
        map anna=u1
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +nick@
    suspend nick@; address -nick@ +cloud-sync-430326339779@; active -yes +no
    0. nick@: address [cloud-sync-430326339779@] active [false]
    1. anna@: aliases [nick@] delegates [] key [#anna]; after 0; claims nick@ of 0
    2. nick@: active [false]; if refused 0; after 0
    ");
}

#[test]
fn r19_an_account_tied_to_a_mailbox_that_has_another_is_not_absent() {
    let world = "
        mailbox anna@
        account anna@ as=u1
        account second@ as=u2 ext=anna
        map anna=u1 gone=u2
    ";
    assert_snapshot!(plan_of(world), @"R19 MergeCandidate second@");
}

#[test]
fn r21_the_inactive_and_unknown_is_not_created() {
    let world = "
        mailbox anna@ disabled
        shared info@
        mailbox bert@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    R21 InactiveNotCreated anna@
    R21 InactiveNotCreated info@
    ");
}

#[test]
fn r22_case_alone_is_no_difference() {
    let world = "
        mailbox Anna@corp.example alias=X@corp.example grants=BERT@corp.example name=anna
        account anna@ alias=x@ delegates=bert@
        mailbox bert@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @"");
}

#[test]
fn r22_names_are_compared_exactly() {
    let world = "
        mailbox anna@ name=Anna
        account anna@ name=anna
    ";
    assert_snapshot!(changes_of(world), @"update anna@; name -anna +Anna");
}

#[test]
fn r22_a_delegate_is_compared_by_account() {
    let world = "
        mailbox anna@ grants=bert@
        account anna@ delegates=nick@
        mailbox bert@ alias=nick@
        account bert@ alias=nick@
    ";
    assert_snapshot!(plan_of(world), @"");
}

#[test]
fn r22_members_that_are_no_users_are_not_compared() {
    let world = "
        shared info@ grants=anna@
        functional info@ members=anna,info,team,ghost
        shared team@
        functional team@ members=team,info,ghost
        mailbox anna@
        account anna@
    ";
    assert_snapshot!(plan_of(world), @"");
}

#[test]
fn r22_other_groups_go_back_with_the_members_and_unknown_ids_do_not() {
    let world = "
        shared info@ grants=bert@
        functional info@ members=anna,info,team,ghost
        shared team@
        functional team@
        shared empty@
        functional empty@ members=anna,team
        mailbox anna@
        account anna@
        mailbox bert@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    empty empty@; active -yes +no; delegates -anna@
    update info@; delegates -anna@ +bert@
    0. info@: members [bert@ team@]
    1. empty@: empty, keep [1]
    ");
}

#[test]
fn r22_an_inactive_account_is_not_compared() {
    let world = "
        mailbox anna@ disabled name=New alias=x@
        account anna@ off name=Old
        shared info@ name=New alias=y@
        functional info@ name=Old
    ";
    assert_snapshot!(changes_of(world), @"");
}

#[test]
fn r23_only_what_differs_is_sent_and_the_extension_whole() {
    let world = "
        mailbox anna@ alias=new@,keep@ grants=bert@
        account anna@ alias=keep@,far@other.example delegates=far@other.example
        mailbox bert@ name=New
        account bert@ name=Old alias=x@other.example
        shared info@ alias=new2@ grants=bert@
        functional info@ alias=old2@ members=bert
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +new@; delegates +bert@
    update bert@; name -Old +New
    update info@; aliases -old2@ +new2@
    0. anna@: aliases [far@other.example keep@ new@] delegates [bert@] key [#anna]
    1. bert@: name [New]
    2. info@: aliases [new2@]
    ");
}

#[test]
fn r23_omit_never_sends_a_key() {
    let world = "
        key omit
        mailbox anna@ alias=new@
        account anna@
        mailbox bert@ alias=new2@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +new@
    create bert@; name +bert; aliases +new2@
    0. new bert@: post user [bert]
    1. anna@: aliases [new@] delegates []
    2. new bert@: name [bert] active [true] aliases [new2@] delegates []; completes 0; after 0
    ");
}

#[test]
fn r23_a_user_without_object_id_gets_neither_key_nor_extension() {
    let world = "
        mailbox anna@ id=- alias=new@ name=New grants=bert@
        account anna@ name=Old
        mailbox bert@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; name -Old +New
    0. anna@: name [New]
    R23 NoKey anna@
    ");
}

#[test]
fn r23_an_alias_that_another_account_keeps_is_left_out_and_the_rest_goes() {
    let world = "
        mailbox anna@ alias=taken@,free@
        account anna@
        account far@other.example alias=taken@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +free@
    0. anna@: aliases [free@] delegates [] key [#anna]
    R23 AliasTaken anna@
    ");
}

#[test]
fn r24_what_a_create_does_not_take_follows_in_one_put() {
    let world = "
        mailbox anna@ alias=x@ grants=bert@
        mailbox bert@
        account bert@
        shared info@ alias=y@ grants=bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    create anna@; name +anna; aliases +x@; delegates +bert@
    create info@; name +info; aliases +y@; delegates +bert@
    0. new anna@: post user [anna] key [#anna]
    1. new info@: post group [info] members [bert@] aliases [y@]
    2. new anna@: name [anna] active [true] aliases [x@] delegates [bert@] key [#anna]; completes 0; after 0
    3. new info@: name [info] members [bert@] aliases [y@]; completes 1; after 1
    ");
}

#[test]
fn r24_a_user_without_object_id_is_not_created() {
    let world = "
        mailbox anna@ id=-
        shared info@ id=- grants=bert@,anna@
        mailbox bert@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    create info@; name +info; delegates +bert@
    0. new info@: post group [info] members [bert@] aliases []
    1. new info@: name [info] members [bert@] aliases []; completes 0; after 0
    R24 NoObjectId anna@
    R32 DelegateLeftOut info@
    ");
}

#[test]
fn r22_an_addition_without_effect_waits_a_day_and_is_named() {
    let world = |ago: u32| {
        format!(
            "mailbox anna@ alias=kept@ name=New
            account anna@ name=Old
            kept-not key=anna_+alias_kept@corp.example ago={ago}"
        )
    };
    assert_snapshot!(plan_of(&world(3600)), @r"
    update anna@; name -Old +New
    0. anna@: name [New]
    R22 WriteHadNoEffect anna@
    ");
    assert_snapshot!(plan_of(&world(86_000)), @r"
    update anna@; name -Old +New; aliases +kept@
    0. anna@: name [New] aliases [kept@] delegates [] key [#anna]
    R22 WriteHadNoEffect anna@
    ");
}

#[test]
fn r22_a_functional_account_is_not_resumed_while_its_members_wait() {
    let world = "
        mailbox anna@
        account anna@
        mailbox bert@
        account bert@
        shared info@ grants=anna@
        functional info@
        shared desk@ grants=anna@
        functional desk@ members=bert
        kept-not key=info_+delegate_anna
        kept-not key=desk_+delegate_anna
    ";
    assert_snapshot!(plan_of(world), @r"
    update desk@; delegates -bert@ +anna@
    0. desk@: members [anna@]
    R22 WriteHadNoEffect desk@
    R22 WriteHadNoEffect info@
    ");
}

#[test]
fn r22_what_takes_something_away_is_sent_again_in_every_run() {
    let world = "
        mailbox bert@
        mailbox carl@ disabled
        mailbox anna@
        account anna@ alias=old@ delegates=bert@
        account bert@
        account carl@
        kept-not key=anna_-alias_old@corp.example
        kept-not key=anna_-delegate_bert times=2
        kept-not key=carl_stop times=9
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases -old@; delegates -bert@
    suspend carl@; active -yes +no
    0. anna@: aliases [] delegates [] key [#anna]
    1. carl@: active [false]
    R22 WriteHadNoEffect anna@
    R22 AccessNotTaken anna@
    R22 AccessNotTaken carl@
    ");
}

#[test]
fn r22_what_takes_something_away_and_is_held_is_not_sent_again_before_it_is_approved() {
    let world = "
        mailbox carl@ disabled
        account carl@
        kept-not key=carl_stop times=9
    ";
    let told = |world: &str| {
        let notes = Scene::parse(world).plan().plan.notes;
        notes.into_iter().map(|note| note.text).collect::<String>()
    };
    let sent = "each run sends it again, unless a limit holds it";
    assert!(told(world).contains(sent), "{}", told(world));
    let held = told(&format!("limits suspend=0\n{world}"));
    let waits = "it is held in this report and sent again when a person approves it";
    assert!(held.contains(waits) && !held.contains(sent), "{held}");
}

#[test]
fn r22_a_person_who_asks_for_an_account_waits_for_nothing() {
    let world = "
        mailbox anna@ alias=kept@
        account anna@
        kept-not key=anna_+alias_kept@corp.example
        only anna@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +kept@
    0. anna@: aliases [kept@] delegates [] key [#anna]
    R22 WriteHadNoEffect anna@
    ");
}

#[test]
fn r24_an_account_is_created_with_the_aliases_that_are_its_own() {
    let world = "
        mailbox anna@ alias=anna@elsewhere.example,both@,nick@
        mailbox bert@ alias=both@
    ";
    assert_snapshot!(changes_of(world), @r"
    create anna@; name +anna; aliases +nick@
    create bert@; name +bert
    ");
}

#[test]
fn r23_a_key_that_is_the_address_changes_with_the_rename_once_a_person_has_approved() {
    let world = "
        limits default
        key address
        new-keys
        mailbox anna.new@ id=anna name=New
        account anna@ as=u1 name=Old
        people bert@
        map anna=u1
    ";
    assert_snapshot!(changes_of(world), @r"
    update anna@; name -Old +New
    held SignInKey: anna@ rename [anna@] -> [anna.new@]
    held SignInKey: anna@ replace the sign-in key [unknown] -> [anna.new@]
    ");
    let approved = format!("{world}\napprove keys renames");
    assert_snapshot!(plan_of(&approved), @r"
    rename anna@; address -anna@ +anna.new@; name -Old +New; signinkey -unknown +anna.new@
    0. anna@: address [anna.new@] name [New]
    1. anna@: aliases [] delegates [] key [anna.new@] aliases if refused [0 ]; after 0
    ");
    // A suspended account follows its mailbox without a key.
    let off = world
        .replace("name=Old", "name=Old off")
        .replace("id=anna", "id=anna disabled");
    let claimed = format!("{off}\nmailbox anna@ id=other");
    assert_snapshot!(changes_of(&claimed), @r"
    rename anna@; address -anna@ +anna.new@
    create anna@; name +anna
    ");
}

#[test]
fn r23_a_user_without_the_name_that_is_the_key_is_not_created() {
    assert_snapshot!(plan_of("key upn\nmailbox anna@"), @"R23 NoKey anna@");
    assert_snapshot!(changes_of("key upn\nmailbox anna@ upn=anna@"), @"create anna@; name +anna");
}

#[test]
fn r20_what_takes_something_away() {
    let plan = Scene::parse(
        "mailbox new@
        people off@ disabled
        mailbox name@ name=New
        account name@
        mailbox alias@ alias=add@
        account alias@
        mailbox back@
        account back@ off
        mailbox moved@ id=moved
        account was@ ext=moved
        mailbox fewer@
        account fewer@ alias=old@
        mailbox one@
        account one@ delegates=name@
        mailbox given@ grants=name@
        account given@
        shared info@
        functional info@ members=name",
    )
    .plan()
    .plan;
    let actions = plan.approved.actions().iter();
    let told = actions.map(|it| {
        let takes = if it.takes_away() { "takes" } else { "gives" };
        format!("{takes}: {:?} {}\n", it.kind, it.address)
    });
    assert_snapshot!(short(&told.collect::<String>()), @r"
    gives: Update alias@
    gives: Resume back@
    takes: Update fewer@
    gives: Update given@
    takes: Empty info@
    gives: Update name@
    gives: Create new@
    takes: Suspend off@
    takes: Update one@
    gives: Rename was@
    ");
}

#[test]
fn r22_r36_a_plan_waits_only_for_what_it_does_not_try() {
    let is_waiting = |text: &str| Scene::parse(text).plan().plan.is_waiting;
    let world = "mailbox anna@ alias=kept@\naccount anna@";
    let ignored = format!("{world}\nkept-not key=anna_+alias_kept@corp.example");
    assert!(!is_waiting(world));
    assert!(is_waiting(&ignored));
    assert!(
        !is_waiting(&format!("{ignored} ago=86000")),
        "it is sent again"
    );
    assert!(
        !is_waiting(&format!("{ignored}\nonly anna@")),
        "a person asks"
    );
}
