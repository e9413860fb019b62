//! R16 to R18: which account belongs to which mailbox.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use super::{
    notation::{Planned, Scene, object_id},
    shown::{changes_of, plan_of, shown},
};
use crate::{
    action::ActionKind,
    change::Attribute,
    guard::Class,
    ids::{ObjectId, ScimId},
    memory::Memory,
    plan::Action,
    ties::{doubtful_ties, next_mapping},
};

#[test]
fn r16_the_strongest_claim_of_a_mailbox_counts() {
    let world = "
        mailbox anna@ name=New
        account other@ as=u1 name=Old
        account tied@ as=u2 ext=anna name=Old
        account anna@ as=u3 name=Old
        map anna=u1
    ";
    assert_snapshot!(changes_of(world), @"update other@; name -Old +New");
}

#[test]
fn r16_external_account_id_comes_before_the_address() {
    let world = "
        mailbox anna@ name=New
        account tied@ as=u2 ext=anna name=Old
        mailbox zoe@
        account zoe@
    ";
    assert_snapshot!(changes_of(world), @"rename tied@; address -tied@ +anna@; name -Old +New");
}

#[test]
fn r16_an_equal_address_lapses_where_the_account_is_another_mailboxes() {
    let world = "
        mailbox anna@
        mailbox bert@
        account anna@ as=u1
        map bert=u1
    ";
    assert_snapshot!(plan_of(world), @r"
    rename anna@; address -anna@ +bert@; name -anna +bert
    create anna@; name +anna
    0. anna@: address [bert@] name [bert]
    1. new anna@: post user [anna] key [#anna]; after 0; claims anna@ of 0
    2. new anna@: name [anna] active [true] aliases [] delegates [] key [#anna]; completes 1; after 1
    ");
}

#[test]
fn r16_equal_claims_protect_all() {
    let world = "
        mailbox anna@ name=New
        mailbox bert@ name=New
        account was@ as=u1 name=Old
        map anna=u1 bert=u1
        account bert@ as=u2 name=Old
    ";
    assert_snapshot!(plan_of(world), @r"
    R16 ClaimConflict anna@
    R16 ClaimConflict bert@
    R7 ProtectedByTie was@
    ");
}

#[test]
fn r16_an_account_that_only_disabled_mailboxes_claim_is_suspended() {
    let world = "
        mailbox anna@ disabled
        mailbox bert@ disabled
        account was@ as=u1
        map anna=u1 bert=u1
    ";
    assert_snapshot!(changes_of(world), @"suspend was@; active -yes +no");
}

#[test]
fn r16_disabled_mailboxes_of_one_address_suspend_its_account() {
    let world = "
        mailbox anna@ id=one disabled
        mailbox anna@ id=two disabled
        account anna@
    ";
    assert_snapshot!(changes_of(world), @"suspend anna@; active -yes +no");
    let half = world.replacen(" disabled", "", 1);
    assert_snapshot!(plan_of(&half), @"R6 DuplicatePrimary anna@");
}

#[test]
fn r16_two_accounts_of_one_object_id_are_both_protected() {
    let world = "
        mailbox anna@ name=New
        account anna@ as=u1 ext=anna name=Old
        account second@ as=u2 ext=anna name=Old
    ";
    assert_snapshot!(plan_of(world), @r"
    R16 ClaimConflict anna@
    R7 ProtectedByTie second@
    ");
}

#[test]
fn r16_a_mapping_to_an_account_that_is_no_more_is_void() {
    let world = "
        mailbox anna@ name=New
        account anna@ name=Old
        map anna=nobody
    ";
    assert_snapshot!(changes_of(world), @"update anna@; name -Old +New");
}

#[test]
fn r16_a_mailbox_whose_new_account_the_list_does_not_show_gets_no_second_one() {
    let world = |address: &str| {
        format!(
            "
            mailbox {address} id=anna
            map anna=u1
            created anna@ as=u1
            shared desk@ grants={address},bert@
            functional desk@ members=u1
            mailbox bert@
            account bert@
            "
        )
    };
    assert_snapshot!(plan_of(&world("new@")), @r"
    update desk@; delegates +bert@
    0. desk@: members [bert@]
    R32 DelegateLeftOut desk@
    R22 WriteHadNoEffect new@
    ");
    assert_snapshot!(changes_of(&world("anna@")), @"update desk@; delegates +bert@");
    let shown = world("new@") + "account anna@ as=u1";
    assert_snapshot!(changes_of(&shown), @r"
    rename anna@; address -anna@ +new@; name -anna +new
    update desk@; delegates +bert@
    ");
    let long_ago = world("new@").replace("created anna@ as=u1", "");
    assert_snapshot!(changes_of(&long_ago), @r"
    resume desk@; active -no +yes; delegates +bert@ +new@
    create new@; name +new
    ");
}

#[test]
fn r12_r16_a_delegate_whose_new_account_the_list_does_not_show_stays_one() {
    let world = "
        people bert@
        mailbox anna@
        map anna=u1
        created anna@ as=u1
        mailbox carl@ alias=new@ grants=anna@
        account carl@ delegates=anna@
        shared desk@ grants=anna@,bert@
        functional desk@ members=u1
    ";
    assert_snapshot!(plan_of(world), @r"
    update carl@; aliases +new@
    update desk@; delegates +bert@
    0. carl@: aliases [new@] delegates [anna@] key [#carl]
    1. desk@: members [bert@]
    R22 WriteHadNoEffect anna@
    R32 DelegateLeftOut carl@
    R32 DelegateLeftOut desk@
    ");
}

#[test]
fn r16_r22_a_leaver_whose_new_account_the_list_does_not_show_is_named() {
    let world =
        |mailbox: &str| format!("people bert@\n{mailbox}\nmap anna=u1\ncreated anna@ as=u1");
    for (mailbox, notes) in [
        ("", "R22 WriteHadNoEffect anna@"),
        (
            "mailbox anna@ disabled",
            "R21 InactiveNotCreated anna@\nR22 WriteHadNoEffect anna@",
        ),
        ("mailbox new@ id=anna", "R22 WriteHadNoEffect new@"),
    ] {
        let world = world(mailbox);
        assert_eq!(plan_of(&world).trim(), notes);
        assert!(Scene::parse(&world).plan().plan.is_waiting);
    }
}

#[test]
fn r16_a_new_account_whose_address_another_account_has_is_gone() {
    let world = "mailbox anna@\nmap anna=u1\ncreated anna@ as=u1\naccount anna@ as=u9";
    assert!(!Scene::parse(world).plan().plan.is_waiting);
    assert_snapshot!(plan_of(world), @"");
}

#[test]
fn r16_the_address_of_a_new_account_that_the_list_does_not_show_goes_to_no_other_account() {
    let swap = "
        mailbox anna@ id=bert name=bert
        mailbox bert@ id=anna
        mailbox carl@ grants=bert@
        map anna=u1 bert=u2
        created anna@ as=u1
        account bert@ as=u2
        account carl@ delegates=anna@
    ";
    assert_snapshot!(plan_of(swap), @r"
    R17 RenameBlocked anna@
    R22 WriteHadNoEffect bert@
    R32 DelegateLeftOut carl@
    ");
    let alias = "
        mailbox new@ id=anna
        mailbox carl@ grants=new@
        mailbox dora@ alias=anna@
        map anna=u1
        created anna@ as=u1
        account carl@ delegates=anna@
        account dora@
    ";
    assert_snapshot!(plan_of(alias), @r"
    R32 DelegateLeftOut carl@
    R23 AliasTaken dora@
    R22 WriteHadNoEffect new@
    ");
}

#[test]
fn r16_r19_a_leaver_whose_new_account_no_list_showed_is_suspended_when_one_does() {
    let new = "people yan@ zed@\nmap ann=u1\ncreated ann@ as=u1";
    let mut scene = Scene::parse(new);
    remember_ties(&mut scene);

    let memory = scene.memory;
    let mut scene = Scene::parse(
        "people yan@ zed@
        mailbox ann@ id=eve
        account eve@ as=u2
        account ann@ as=u1
        map eve=u2",
    );
    scene.memory.mapping.extend(memory.mapping);
    let plan = scene.plan().plan;
    let kinds = plan.approved.actions().iter().map(|it| it.kind);
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [ActionKind::Suspend, ActionKind::Rename]
    );
}

#[test]
fn r16_a_new_account_that_the_list_does_not_show_is_not_given_to_the_next_owner_of_its_address() {
    // Zivver would find it by the address when the create is refused.
    let world = "
        people zed@
        mailbox ann@ id=eve
        map ann=u1
        created ann@ as=u1
    ";
    assert_snapshot!(plan_of(world), @"R22 WriteHadNoEffect ann@");
}

#[test]
fn r16_an_external_account_id_that_is_no_guid_ties_nothing() {
    let world = "
        mailbox anna@ name=New
        account anna@ name=Old
        mailbox bert@
        account bert@ tag=bert
    ";
    assert_snapshot!(changes_of(world), @"update anna@; name -Old +New");
}

#[test]
fn r16_a_namesake_does_not_get_the_account() {
    let world = "
        mailbox anna@ name=New alias=x@ id=new grants=bert@
        account anna@ name=Old as=u1
        map old=u1
        mailbox bert@ grants=anna@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    suspend anna@; active -yes +no
    held Identity: anna@ give to another object id [#old] -> [#new]
    0. anna@: active [false]
    R16 IdentityChange anna@
    R32 DelegateLeftOut bert@
    ");
}

#[test]
fn r16_a_disabled_namesake_still_suspends_it() {
    let world = "
        mailbox anna@ name=New id=new disabled
        account anna@ name=Old ext=old
    ";
    assert_snapshot!(changes_of(world), @"suspend anna@; active -yes +no");
}

#[test]
fn r16_a_namesake_does_not_suspend_the_account_of_a_mailbox_that_exchange_still_has() {
    for namesake in ["disabled", ""] {
        for (answer, note) in [
            ("found #old SharedMailbox", "MailboxNotListed"),
            ("failed #old", "AbsenceUnknown"),
            ("unasked", "AbsenceUnknown"),
        ] {
            let source = if namesake.is_empty() {
                "mailbox bert@\nsource bert@"
            } else {
                ""
            };
            let world = format!(
                "mailbox anna@ name=New id=new {namesake}
                account anna@ name=Old ext=old
                {source}
                {answer}"
            );
            let plan = plan_of(&world);
            assert!(!plan.contains("suspend"), "{world}: {plan}");
            assert!(plan.contains(note), "{world}: {plan}");
        }
    }
}

#[test]
fn r16_an_approved_identity_change_writes_the_extension_with_the_new_key() {
    let world = "
        approve identity
        mailbox anna@ id=new
        account anna@ as=u1
        map old=u1
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; objectid -#old +#new
    0. anna@: aliases [] delegates [] key [#new]
    ");
}

#[test]
fn r16_a_mailbox_without_object_id_takes_nobodys_account() {
    let world = "
        limits identity=100%
        mailbox anna@ id=- name=New
        account anna@ name=Old ext=old
    ";
    assert_snapshot!(plan_of(world), @r"
    suspend anna@; active -yes +no
    0. anna@: active [false]
    R16 IdentityChange anna@
    ");
}

#[test]
fn r17_a_user_known_by_mapping_or_external_id_is_renamed_in_place() {
    let world = "
        mailbox new@ id=anna name=Anna alias=old@
        account old@ as=u1 name=Anna
        map anna=u1
        mailbox other@ id=bert
        account bert@ name=other ext=bert
    ";
    assert_snapshot!(plan_of(world), @r"
    rename bert@; address -bert@ +other@
    rename old@; address -old@ +new@; aliases +old@
    0. bert@: address [other@]
    1. old@: address [new@]
    2. old@: aliases [old@] delegates [] key [#anna] aliases if refused [1 ]; after 1; claims old@ of 1
    ");
}

#[test]
fn r17_a_new_address_that_is_an_own_alias_is_dropped_first_and_put_back_if_refused() {
    let world = "
        mailbox new@ id=anna alias=keep@ name=Anna
        account old@ as=u1 name=Anna alias=new@,keep@
        map anna=u1
    ";
    assert_snapshot!(plan_of(world), @r"
    rename old@; address -old@ +new@
    0. old@: aliases [keep@] delegates [] key [#anna]
    1. old@: address [new@]; after 0
    2. old@: aliases [keep@ new@] delegates [] key [#anna]; if refused 1; after 1
    ");
}

#[test]
fn r17_the_old_address_becomes_an_alias_only_after_the_rename() {
    let world = "
        mailbox new@ id=anna alias=old@ name=Anna
        account old@ as=u1 name=Anna alias=new@
        map anna=u1
    ";
    assert_snapshot!(plan_of(world), @r"
    rename old@; address -old@ +new@; aliases +old@
    0. old@: aliases [] delegates [] key [#anna]
    1. old@: address [new@]; after 0
    2. old@: aliases [old@] delegates [] key [#anna] aliases if refused [1 new@]; after 1; claims old@ of 1
    ");
}

#[test]
fn r17_alias_evidence_is_held_and_nothing_is_created() {
    let world = "
        mailbox new@ alias=old@
        account old@
        shared info@ grants=new@
        functional info@
    ";
    assert_snapshot!(plan_of(world), @r"
    held Identity: old@ rename on the evidence of an alias [old@] -> [new@]
    R32 DelegateLeftOut info@
    R17 AliasEvidence new@
    ");
}

#[test]
fn r17_a_upn_is_evidence_too() {
    let world = "
        mailbox new@ upn=old@
        account old@
    ";
    assert_snapshot!(changes_of(world), @"held Identity: old@ rename on the evidence of an alias [old@] -> [new@]");
}

#[test]
fn r17_approved_evidence_renames() {
    let world = "
        approve identity
        mailbox new@ alias=old@ name=old
        account old@
    ";
    assert_snapshot!(plan_of(world), @r"
    rename old@; address -old@ +new@; aliases +old@
    0. old@: address [new@]
    1. old@: aliases [old@] delegates [] key [#new] aliases if refused [0 ]; after 0; claims old@ of 0
    ");
}

#[test]
fn r17_evidence_for_two_accounts_is_none() {
    let world = "
        mailbox new@ alias=old@,older@
        account old@ off
        account older@ off
    ";
    assert_snapshot!(changes_of(world), @"create new@; name +new");
}

#[test]
fn r17_an_account_tied_to_another_object_id_is_no_evidence() {
    let world = "
        mailbox new@ alias=old@
        account old@ ext=other off
    ";
    assert_snapshot!(changes_of(world), @r"
    create new@; name +new; aliases +old@
    rename old@; address -old@ +cloud-sync-c7cbc6c1c849@
    ");
    assert_snapshot!(changes_of(&world.replace(" off", "")), @r"
    create new@; name +new; aliases +old@
    suspend old@; address -old@ +cloud-sync-c7cbc6c1c849@; active -yes +no
    ");
}

#[test]
fn r17_an_account_tied_to_a_protected_mailbox_is_no_evidence() {
    let world = "
        limits identity=100%
        mailbox new@ upn=old@
        other room@ alias=old@
        account old@
    ";
    assert_snapshot!(plan_of(world), @r"
    create new@; name +new
    0. new new@: post user [new] key [#new]
    1. new new@: name [new] active [true] aliases [] delegates [] key [#new]; completes 0; after 0
    R19 OwnerUnknown old@
    R3 KindNotSynchronised room@
    ");
}

#[test]
fn r17_a_functional_rename_is_reported_and_both_addresses_are_protected() {
    let world = "
        shared new@ id=info name=New grants=anna@
        functional old@ as=g1 members=anna
        map info=g1
        functional new@ as=g2 name=Old
        mailbox anna@
        account anna@
    ";
    assert_snapshot!(plan_of(world), @r"
    R17 FunctionalRename new@
    R17 FunctionalRename old@
    ");
}

#[test]
fn r17_functional_alias_evidence_is_reported_and_nothing_created() {
    let world = "
        shared new@ alias=old@ grants=anna@
        functional old@ as=g1 members=anna
        mailbox anna@
        account anna@
    ";
    assert_snapshot!(plan_of(world), @r"
    R17 FunctionalRename new@
    R17 FunctionalRename old@
    ");
}

#[test]
fn r18_a_user_account_on_a_shared_mailbox_is_protected() {
    let world = "
        shared info@ name=New grants=anna@
        account info@ name=Old
        mailbox anna@
        account anna@
    ";
    assert_snapshot!(plan_of(world), @"R18 KindMismatch info@");
}

#[test]
fn r18_r19_an_active_user_account_of_a_mailbox_of_another_kind_needs_attention() {
    use crate::note::Code;
    for (kind, account, code) in [
        (
            "RoomMailbox",
            "account rita@ ext=rita",
            Some(Code::KindMismatch),
        ),
        (
            "EquipmentMailbox",
            "account rita@\nmap rita=rita",
            Some(Code::KindMismatch),
        ),
        (
            "NeverHeardOf",
            "account old@ ext=rita",
            Some(Code::KindMismatch),
        ),
        ("RoomMailbox", "account rita@", Some(Code::OwnerUnknown)),
        ("LinkedMailbox", "account rita@", Some(Code::OwnerUnknown)),
        ("LinkedMailbox", "account rita@ ext=rita", None),
        ("LegacyMailbox", "account rita@ ext=rita", None),
        ("RoomMailbox", "account rita@ off ext=rita", None),
        (
            "RoomMailbox",
            "functional rita@ ext=rita members=anna",
            None,
        ),
        ("RoomMailbox", "account rita@ ext=rita\ntarget rita@", None),
        ("RoomMailbox", "account old@ ext=rita\ntarget rita@", None),
    ] {
        let world = format!("mailbox anna@\naccount anna@\nother rita@ kind={kind}\n{account}");
        let planned = Scene::parse(&world).plan();
        assert!(planned.plan.proposed.is_empty(), "{world}");
        let named: Vec<_> = planned
            .plan
            .notes
            .iter()
            .filter(|note| note.code.needs_attention())
            .collect();
        let codes: Vec<Code> = named.iter().map(|note| note.code).collect();
        assert_eq!(codes, Vec::from_iter(code), "{world}");
        assert!(
            named
                .iter()
                .all(|note| note.text.contains("can still sign in")),
            "{named:?}"
        );
    }
}

#[test]
fn r18_a_functional_account_on_a_user_mailbox_is_protected() {
    let world = "
        mailbox anna@ name=New
        functional anna@ name=Old members=bert
        mailbox bert@ grants=anna@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    R18 KindMismatch anna@
    R12 DelegatePruned bert@
    ");
}

#[test]
fn r16_a_mailbox_takes_the_account_of_its_kind_at_its_address() {
    let world = "
        mailbox anna@ name=New
        account anna@ as=u1 name=Old
        functional anna@ as=g1 name=Old
        shared info@ name=New grants=bert@
        account info@ as=u2 name=Old
        functional info@ as=g2 name=Old members=u3
        mailbox bert@
        account bert@ as=u3
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; name -Old +New
    update info@; name -Old +New
    0. anna@: name [New]
    1. info@: name [New]
    R19 MergeCandidate anna@
    R19 MergeCandidate info@
    ");
}

#[test]
fn r16_all_claimants_disabled_suspends_unless_the_account_is_filtered_or_foreign() {
    let world = |more: &str, at: &str| {
        format!(
            "{more}
            mailbox one@ id=one disabled
            mailbox two@ id=two disabled
            account twins{at} as=twins
            map one=twins two=twins"
        )
    };
    assert_snapshot!(changes_of(&world("", "@")), @"suspend twins@; active -yes +no");
    assert_snapshot!(changes_of(&world("target twins@", "@")), @"");
    assert_snapshot!(changes_of(&world("", "@other.example")), @"");
}

#[test]
fn r17_only_a_free_mailbox_in_scope_has_alias_evidence() {
    let matched = "
        mailbox anna.b@ id=anna alias=stray@ name=N
        account anna@ ext=anna name=N
        account stray@
    ";
    assert_snapshot!(plan_of(matched), @r"
    rename anna@; address -anna@ +anna.b@
    0. anna@: address [anna.b@]
    R23 AliasTaken anna.b@
    R19 MergeCandidate stray@
    ");
    let doubled = "
        mailbox dup@ id=d1 alias=old@
        mailbox dup@ id=d2
        account old@
    ";
    assert_snapshot!(plan_of(doubled), @r"
    R6 DuplicatePrimary dup@
    R6 DuplicatePrimary old@
    ");
    let outside = "
        source anna@
        mailbox anna@
        mailbox out@ alias=old@
        account old@
    ";
    assert_snapshot!(plan_of(outside), @r"
    create anna@; name +anna
    0. new anna@: post user [anna] key [#anna]
    1. new anna@: name [anna] active [true] aliases [] delegates [] key [#anna]; completes 0; after 0
    R19 MergeCandidate old@
    R14 OutsideSourceFilter out@
    ");
    let taken = "
        mailbox anna@ id=anna alias=old@
        functional anna@
        account old@
    ";
    assert_snapshot!(plan_of(taken), @r"
    R18 KindMismatch anna@
    R18 KindMismatch old@
    ");
}

#[test]
fn r17_a_functional_account_outside_the_filter_is_not_renamed() {
    let world = "
        source anna@ info@
        mailbox anna@
        account anna@
        shared info@
        shared desk.new@ id=desk
        functional desk@ ext=desk members=anna
    ";
    assert_snapshot!(plan_of(world), @r"
    empty desk@; active -yes +no; delegates -anna@
    0. desk@: empty, keep [0]
    R14 OutsideSourceFilter desk.new@
    R21 InactiveNotCreated info@
    ");
}

#[test]
fn r5_r7_an_alias_of_a_rejected_mailbox_ties_only_what_no_sound_mailbox_has() {
    let world = "
        rejected broken@ alias=x@,y@
        mailbox sound@ name=New
        account sound@ name=Old alias=x@
        account lone@ off alias=y@
        account stray@ alias=z@
    ";
    assert_snapshot!(plan_of(world), @r"
    update sound@; name -Old +New; aliases -x@
    held Stray: stray@ suspend [active] -> [suspended]
    0. sound@: name [New] aliases [] delegates [] key [#sound]
    R5 Rejected broken@
    R7 ProtectedByTie lone@
    ");
}

#[test]
fn r12_a_functional_account_with_a_sure_delegate_changes_though_another_is_left_out() {
    let world = "
        shared desk@ grants=dora@,broken@
        functional desk@ members=carl
        mailbox carl@
        account carl@
        mailbox dora@
        account dora@
        rejected broken@
    ";
    assert_snapshot!(plan_of(world), @r"
    update desk@; delegates -carl@ +dora@
    0. desk@: members [dora@]
    R5 Rejected broken@
    R32 DelegateLeftOut desk@
    ");
}

#[test]
fn r25_a_filter_without_shared_mailboxes_keeps_functional_aliases_and_no_others() {
    let world = "
        source anna@
        mailbox anna@ alias=x@,y@
        account anna@
        account gone@ ext=gone alias=x@
        functional desk@ members=anna alias=y@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +x@
    suspend gone@; active -yes +no; aliases -x@
    0. gone@: aliases [] delegates [] key [#gone]
    1. anna@: aliases [x@] delegates [] key [#anna]; after 0; claims x@ of 0
    2. gone@: active [false]; after 0
    R23 AliasTaken anna@
    R14 FunctionalOutsideSourceFilter desk@
    ");
}

#[test]
fn r17_a_mailbox_that_has_its_account_is_no_rival_for_alias_evidence() {
    let world = "
        mailbox anna.b@ id=anna upn=old@ name=N
        account anna@ ext=anna name=N
        mailbox bert@ alias=old@ name=N
        account old@ name=N
    ";
    assert_snapshot!(plan_of(world), @r"
    rename anna@; address -anna@ +anna.b@
    held Identity: old@ rename on the evidence of an alias [old@] -> [bert@]
    0. anna@: address [anna.b@]
    R17 AliasEvidence bert@
    ");
}

#[test]
fn r7_an_account_in_doubt_stays_a_delegate_and_a_filtered_one_is_like_any_other() {
    let filtered = "
        target filtered@
        mailbox anna@
        account anna@ delegates=filtered@
        mailbox bert.b@ id=bert
        account filtered@ ext=bert
    ";
    assert_snapshot!(plan_of(filtered), @r"
    update anna@; delegates -filtered@
    0. anna@: aliases [] delegates [] key [#anna]
    R15 TargetFilter bert.b@
    R15 TargetFilter filtered@
    ");
    // The account at the address that the functional account should get is protected too.
    let in_doubt = "
        mailbox anna@
        account anna@ delegates=new@
        shared new@ id=desk grants=anna@
        functional desk@ ext=desk members=anna
        account new@
    ";
    assert_snapshot!(plan_of(in_doubt), @r"
    R12 DelegateKept anna@
    R17 FunctionalRename desk@
    R17 FunctionalRename new@
    ");
}

#[test]
fn r27_an_approval_of_an_identity_change_names_who_gets_the_account() {
    let fingerprint = |world: &str| {
        let mut held = Scene::parse(world).plan().plan.held;
        assert_eq!(held.len(), 1, "{world}");
        held.remove(0).changes.remove(0).fingerprint
    };
    for key in ["", "key omit"] {
        let tie = |id| {
            fingerprint(&format!(
                "{key}\nmailbox anna@ id={id}\naccount anna@ ext=old"
            ))
        };
        assert_eq!(tie("one"), tie("one"));
        assert_ne!(tie("one"), tie("two"));
        let evidence = |id| {
            fingerprint(&format!(
                "{key}\nmailbox new@ id={id} alias=old@\naccount old@"
            ))
        };
        assert_eq!(evidence("one"), evidence("one"));
        assert_ne!(evidence("one"), evidence("two"));
    }
}

#[test]
fn r16_without_keys_an_approved_tie_is_taken_and_nothing_else_is_written() {
    let world = "
        key omit
        approve identity
        mailbox anna@ id=new
        account anna@ ext=old
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; objectid -#old +#new
    0. anna@:
    ");
    let world = "
        key omit
        approve identity
        mailbox anna@ id=new name=New
        account anna@ ext=old
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; name -anna +New; objectid -#old +#new
    0. anna@: name [New]
    ");
}

#[test]
fn r17_a_mailbox_without_object_id_gets_no_account_on_evidence() {
    let world = "
        limits identity=100%
        mailbox new@ id=- alias=old@ name=Old
        account old@ alias=new@
    ";
    assert_snapshot!(plan_of(world), @r"
    R17 AliasEvidence new@
    R24 NoObjectId new@
    ");
}

#[test]
fn r16_accounts_that_only_one_disabled_mailbox_claims_are_suspended() {
    let world = "
        mailbox anna@ disabled
        account anna@ as=u1 ext=anna
        account second@ as=u2 ext=anna
    ";
    assert_snapshot!(changes_of(world), @r"
    suspend anna@; active -yes +no
    suspend second@; active -yes +no
    ");
    let not_alone = "
        mailbox anna@ disabled
        rejected broken@ id=two alias=anna@
        other room@ alias=second@
        account anna@ as=u1 ext=anna
        account second@ as=u2 ext=anna
    ";
    assert_snapshot!(changes_of(not_alone), @"");
    let of_somebody_else = "
        mailbox anna@ disabled
        mailbox bert@
        account anna@ as=u1 ext=anna
        account bert@ as=u2 ext=anna
    ";
    assert_snapshot!(changes_of(of_somebody_else), @"suspend anna@; active -yes +no");
}

#[test]
fn r15_a_filtered_mailbox_of_a_doubled_primary_stays_filtered() {
    let world = "
        target anna
        mailbox anna@ id=one disabled
        rejected anna@ id=two
        account x@ as=u1 ext=one
        account y@ as=u2 ext=one
    ";
    assert_snapshot!(changes_of(world), @"");
}

#[test]
fn r6_a_rejected_mailbox_of_the_same_primary_protects_and_its_alias_does_not() {
    let world = "
        mailbox anna@ id=one
        rejected anna@ id=two
        mailbox bert@
        rejected carl@ alias=bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    create bert@; name +bert
    0. new bert@: post user [bert] key [#bert]
    1. new bert@: name [bert] active [true] aliases [] delegates [] key [#bert]; completes 0; after 0
    R5 Rejected anna@
    R6 DuplicatePrimary anna@
    R5 Rejected carl@
    ");
}

#[test]
fn r7_evidence_for_an_account_that_turns_out_protected_is_none() {
    let world = "
        limits identity=100%
        shared new@ id=info alias=old@,x@ grants=anna@
        functional old@ as=g1 members=anna
        mailbox u@ upn=x@
        account x@
        mailbox anna@
        account anna@
    ";
    assert_snapshot!(plan_of(world), @r"
    R17 FunctionalRename new@
    R17 FunctionalRename old@
    R17 FunctionalRename u@
    R17 FunctionalRename x@
    ");
}

#[test]
fn r16_the_account_of_a_protected_mailbox_is_remembered() {
    let scene = Scene::parse(
        "target vip
        mailbox vip.ada@
        account vip.ada@
        shared dan@
        account dan@
        mailbox dep@
        functional dep@
        mailbox eve@other.example
        account eve@other.example
        rejected finn@
        account finn@
        other room@
        account room@
        mailbox gus@ id=gus1
        mailbox gus@ id=gus2
        account gus@
        mailbox hal@
        account hal@ ext=other",
    );
    let Planned {
        world, matching, ..
    } = scene.plan();
    let next = next_mapping(&world, &matching, &Memory::default());
    let accounts: BTreeSet<&str> = next.values().map(ScimId::as_str).collect();
    let remembered = ["vip.ada", "dan", "dep", "eve", "finn"];
    assert_eq!(accounts, BTreeSet::from(remembered));
}

#[test]
fn r16_r38_a_mailbox_that_only_its_account_protects_is_not_certain() {
    // a@ protects the account at d@, which is an alias of it.
    let world = "
        mailbox d@ name=New
        account d@ name=Old
        mailbox a@ alias=d@
        functional a@
    ";
    let mut scene = Scene::parse(world);
    let first = scene.plan();
    scene.memory.mapping = next_mapping(&first.world, &first.matching, &Memory::default());
    assert_eq!(scene.memory.mapping.len(), 1);
    assert!(scene.plan().plan.approved.is_empty());
}

#[test]
fn r16_the_next_owner_of_an_address_does_not_get_the_account_of_a_protected_mailbox() {
    for (mailbox, account, next) in [
        (
            "shared dan@",
            "account dan@",
            "mailbox dan@ id=new name=New",
        ),
        (
            "rejected dan@",
            "account dan@",
            "mailbox dan@ id=new name=New",
        ),
        (
            "mailbox dan@",
            "functional dan@ members=zed",
            "shared dan@ id=new name=New grants=zed@",
        ),
        (
            "target dan\nmailbox dan@",
            "account dan@",
            "mailbox dan@ id=new name=New",
        ),
    ] {
        let people = "people yan@ zed@";
        let first = Scene::parse(&format!("{people}\n{mailbox}\n{account}")).plan();
        let mut scene = Scene::parse(&format!(
            "limits default\n{people}\n{next}\n{account}\ngone #dan"
        ));
        scene.memory.mapping = next_mapping(&first.world, &first.matching, &Memory::default());
        let plan = scene.plan().plan;
        let held = plan.held.iter().map(|held| held.class);
        assert_eq!(held.collect::<Vec<_>>(), [Class::Identity], "{mailbox}");
        let renamed = |action: &Action| {
            action
                .changes
                .iter()
                .any(|it| it.attribute == Attribute::Name)
        };
        assert!(!plan.approved.actions().iter().any(renamed), "{mailbox}");
    }
}

#[test]
fn r16_r18_a_tie_made_while_the_kinds_differed_renames_nothing_unapproved() {
    // The account is that of a person whose address the shared mailbox took before the first run.
    let account = "account ann@ as=u1";
    for mailbox in ["shared ann@ id=desk", "rejected ann@ id=desk"] {
        let mut scene = Scene::parse(&format!("people yan@ zed@\n{mailbox}\n{account}"));
        remember_ties(&mut scene);
        assert_eq!(scene.memory.doubtful_ties.len(), 1, "{mailbox}");

        let memory = scene.memory;
        let mut scene = Scene::parse(&format!(
            "limits default\npeople yan@ zed@\nmailbox ida@ id=desk name=Ida\n{account}"
        ));
        scene.memory = memory;
        let plan = scene.plan().plan;
        assert!(plan.approved.is_empty(), "{mailbox}: {:?}", plan.approved);
        let held = plan.held.iter().map(|held| held.class);
        assert_eq!(held.collect::<Vec<_>>(), [Class::Identity], "{mailbox}");
        remember_ties(&mut scene);
        assert_eq!(scene.memory.doubtful_ties.len(), 1, "{mailbox}");

        // After an approval, mailbox and account have one address.
        let mut renamed =
            Scene::parse("people yan@ zed@\nmailbox ida@ id=desk\naccount ida@ as=u1");
        renamed.memory = scene.memory;
        remember_ties(&mut renamed);
        assert!(renamed.memory.doubtful_ties.is_empty(), "{mailbox}");
        assert!(renamed.plan().plan.approved.is_empty(), "{mailbox}");
    }
}

/// Ann is disabled. For one night Exchange does not tell it, while she has the address of a functional account.
#[test]
fn r16_r18_a_doubtful_tie_does_not_keep_a_mailbox_from_its_own_account() {
    let accounts =
        "account zed@ ext=zed\nfunctional desk@ as=g1 members=zed@\naccount ann@ as=u1 ext=ann";
    let mut scene = Scene::parse(&format!("people zed@\nrejected desk@ id=ann\n{accounts}"));
    remember_ties(&mut scene);
    let ann = ObjectId::parse(&object_id("ann")).unwrap();
    assert_eq!(scene.memory.mapping.get(&ann), None);

    // An earlier version made the tie.
    for address in ["desk@", "ann.new@"] {
        let mailboxes = format!("people zed@\nmailbox {address} id=ann disabled");
        let mut scene = Scene::parse(&format!("{mailboxes}\n{accounts}\nmap ann=g1"));
        scene.memory.doubtful_ties = [ann].into();
        let mut actions = scene.plan().plan.approved.actions().to_vec();
        actions.retain(|it| it.kind == ActionKind::Suspend);
        assert_eq!(actions.len(), 1, "{address}");
    }
}

/// Ann has the account. A mailbox that was not hers had her address before the first run, and is gone.
#[test]
fn r16_r19_a_tie_in_doubt_does_not_say_that_the_owner_is_gone() {
    let account = "people yan@ zed@\naccount ann@ as=u1";
    let after = [
        ("", "held Stray: ann@ suspend [active] -> [suspended]"),
        (
            "mailbox sales@ alias=ann@\naccount sales@",
            "R19 MergeCandidate ann@",
        ),
        ("mailbox ann@ id=new name=New", "R16 IdentityChange ann@"),
        ("other ann@ id=room", "R19 OwnerUnknown ann@"),
        ("found #desk RoomMailbox", "R19 RecipientExists ann@"),
        ("failed #desk", "R19 AbsenceUnknown ann@"),
    ];
    for mailbox in ["shared ann@ id=desk", "rejected ann@ id=desk"] {
        let mut first = Scene::parse(&format!("{mailbox}\n{account}"));
        remember_ties(&mut first);
        for (next, told) in after {
            let mut scene = Scene::parse(&format!("limits default\n{next}\n{account}"));
            scene.memory = first.memory.clone();
            let planned = scene.plan();
            let actions = planned.plan.approved.actions().iter();
            let stops = actions.filter(|it| it.kind == ActionKind::Suspend);
            assert_eq!(stops.count(), 0, "{mailbox}, then {next}");
            let shown = shown(&planned);
            assert!(shown.contains(told), "{mailbox}, then {next}: {shown}");
        }
    }
}

/// What a run remembers of who has which account.
fn remember_ties(scene: &mut Scene) {
    let Planned {
        world, matching, ..
    } = scene.plan();
    let mapping = next_mapping(&world, &matching, &scene.memory);
    scene.memory.doubtful_ties = doubtful_ties(&world, &matching, &scene.memory, &mapping);
    scene.memory.mapping = mapping;
}

#[test]
fn r15_a_mailbox_whose_account_is_filtered_gets_no_second_one_under_a_new_address() {
    let world = |kind: &str, account: &str| {
        format!(
            "target vip
            people zed@
            {kind} dan@ id=dan grants=zed@
            {account}
            map dan=u1"
        )
    };
    assert_snapshot!(plan_of(&world("mailbox", "account vip.dan@ as=u1")), @r"
    R15 TargetFilter dan@
    R15 TargetFilter vip.dan@
    ");
    assert_snapshot!(plan_of(&world("shared", "functional vip.dan@ as=u1 members=zed")), @r"
    R17 FunctionalRename dan@
    R15 TargetFilter vip.dan@
    ");
}

#[test]
fn r13_a_mailbox_whose_account_may_be_outside_the_claimed_domains_gets_no_second_one() {
    let world = "
        mailbox dan@ alias=dan@other.example
        account dan@other.example
    ";
    assert_snapshot!(plan_of(world), @"R13 OutsideClaimedDomains dan@");
    // Another account of the claimed domains is evidence.
    let both = format!("{world}\naccount old@\nmailbox zed@ alias=x@")
        .replace("alias=dan@other.example", "alias=dan@other.example,old@");
    assert_snapshot!(changes_of(&both), @r"
    create zed@; name +zed; aliases +x@
    held Identity: old@ rename on the evidence of an alias [old@] -> [dan@]
    ");
}

#[test]
fn r16_a_deleted_account_that_an_old_list_still_shows_does_not_replace_the_new_one() {
    let world = |map: &str| {
        let mut scene = Scene::parse(&format!(
            "mailbox anna@ id=anna
            account anna@ as=u1 ext=anna
            {map}"
        ));
        remember_ties(&mut scene);
        let accounts = scene.memory.mapping.values();
        accounts.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(world("map anna=u2\ncreated anna@ as=u2"), ["u2"]);
    assert_eq!(world("map anna=u2"), ["u1"]);
}
