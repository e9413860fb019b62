//! R2 to R7: what is read, what is not understood, and what that protects.

use insta::assert_snapshot;

use super::shown::{changes_of, plan_of};

#[test]
fn r2_a_source_that_shrank_holds_every_destructive_change_and_no_other() {
    let world = "
        baseline mailboxes=3 in_scope=3
        mailbox anna@ name=Anna_B
        account anna@ alias=old@
        account gone@ ext=gone
        shared info@ grants=anna@
        functional info@ members=bert
        mailbox bert@ disabled
        account bert@
        baseline mailboxes=7 in_scope=3
    ";
    assert_snapshot!(changes_of(world), @r"
    update anna@; name -anna +Anna B
    update info@; delegates +anna@
    held Suspend: bert@ suspend [active] -> [suspended]
    held Suspend: gone@ suspend [active] -> [suspended]
    held DelegateRemoval: info@ remove delegate [bert@] -> []
    held AliasRemoval: anna@ remove alias [old@] -> []
    ");
}

#[test]
fn r2_fewer_in_scope_than_half_is_as_doubtful() {
    let world = "
        baseline mailboxes=2 in_scope=2
        source anna@
        baseline mailboxes=2 in_scope=5 filter=filter
        mailbox anna@
        mailbox bert@
        account anna@
        account bert@
    ";
    assert_snapshot!(changes_of(world), @"held Suspend: bert@ suspend [active] -> [suspended]");
}

#[test]
fn r2_exactly_the_ratio_is_enough() {
    let world = "
        baseline mailboxes=2 in_scope=2
        mailbox anna@
        account anna@ alias=old@
    ";
    assert_snapshot!(changes_of(world), @"update anna@; aliases -old@");
}

#[test]
fn r2_another_tenant_holds_every_destructive_change() {
    let world = "
        baseline tenant=another
        mailbox anna@
        account anna@ alias=old@
    ";
    assert_snapshot!(changes_of(world), @"held AliasRemoval: anna@ remove alias [old@] -> []");
}

#[test]
fn r2_other_claimed_domains_hold_every_destructive_change() {
    let world = "
        baseline domains=corp.example,other.example
        mailbox anna@
        account anna@ alias=old@
    ";
    assert_snapshot!(changes_of(world), @"held AliasRemoval: anna@ remove alias [old@] -> []");
}

#[test]
fn r2_another_source_filter_holds_every_destructive_change() {
    let world = "
        baseline filter=other
        mailbox anna@
        account anna@ alias=old@
    ";
    assert_snapshot!(changes_of(world), @"held AliasRemoval: anna@ remove alias [old@] -> []");
}

#[test]
fn r2_without_a_baseline_nothing_is_in_doubt() {
    let world = "
        mailbox anna@
        account anna@ alias=old@
    ";
    assert_snapshot!(changes_of(world), @"update anna@; aliases -old@");
}

#[test]
fn r3_a_room_is_not_synchronised_and_its_account_is_protected() {
    let world = "
        mailbox anna@
        other room@ kind=RoomMailbox name=New grants=anna@
        functional room@ name=Old members=anna alias=x@
        account anna@
        other empty@ kind=EquipmentMailbox
    ";
    assert_snapshot!(plan_of(world), @r"
    R3 KindNotSynchronised empty@
    R3 KindNotSynchronised room@
    ");
}

#[test]
fn r4_only_smtp_aliases_count_and_a_malformed_one_is_dropped() {
    let world = "
        mailbox anna@ alias=SIP:anna@corp.example,X500:/o=x,SMTP:anna@corp.example,smtp:second@corp.example,bad
        account anna@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +second@
    0. anna@: aliases [second@] delegates [] key [#anna]
    R4 AliasMalformed anna@
    ");
}

#[test]
fn r5_a_rejected_mailbox_protects_by_address_alias_mapping_and_external_id() {
    let world = "
        mailbox zoe@
        account zoe@
        rejected broken@ alias=alias@ id=broken
        account broken@ name=x
        account alias@ as=a2
        account mapped@ as=a3
        account tied@ as=a4 ext=broken
        map broken=a3
    ";
    assert_snapshot!(plan_of(world), @r"
    R5 Rejected alias@
    R5 Rejected broken@
    R5 Rejected broken@
    R7 ProtectedByTie mapped@
    R7 ProtectedByTie tied@
    ");
}

#[test]
fn r5_a_delegate_whose_mailbox_is_rejected_is_neither_added_nor_removed() {
    let world = "
        rejected broken@
        account broken@
        shared with@ grants=broken@
        functional with@ members=broken
        shared without@ grants=anna@
        functional without@ members=broken
        mailbox anna@
        account anna@
    ";
    assert_snapshot!(changes_of(world), @"update without@; delegates +anna@");
}

#[test]
fn r6_two_mailboxes_with_one_primary_are_both_protected() {
    let world = "
        mailbox anna@ id=one name=One
        mailbox anna@ id=two name=Two
        account anna@ name=Zero alias=stays@
        account old@ ext=two
        mailbox zoe@
        account zoe@
    ";
    assert_snapshot!(plan_of(world), @r"
    R6 DuplicatePrimary anna@
    R7 ProtectedByTie old@
    ");
}

#[test]
fn r6_a_contested_alias_is_neither_added_nor_removed_anywhere() {
    let world = "
        mailbox anna@ alias=both@
        mailbox bert@ alias=both@
        mailbox carl@
        account anna@
        account bert@ alias=both@
        account carl@ alias=both@
    ";
    assert_snapshot!(plan_of(world), @r"
    R6 AliasContested anna@
    R6 AliasContested bert@
    R6 AliasContested carl@
    ");
}

#[test]
fn r6_an_alias_that_is_another_primary_is_contested() {
    let world = "
        mailbox anna@ alias=bert@
        mailbox bert@
        account anna@ alias=bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    R6 AliasContested anna@
    R24 AddressTaken bert@
    ");
    // Both have an account: no alias moves.
    let world = "
        mailbox anna@ alias=bert@
        mailbox bert@ name=New
        account anna@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    update bert@; name -bert +New
    0. bert@: name [New]
    R6 AliasContested anna@
    ");
}

#[test]
fn r7_a_protected_user_keeps_exactly_the_delegations_that_it_has() {
    let world = "
        mailbox anna@ grants=gone
        account anna@
        mailbox bert@ grants=anna@
        account bert@
        mailbox carl@
        account carl@ delegates=anna@
        shared info@ grants=bert@
        functional info@ members=anna,bert
    ";
    assert_snapshot!(changes_of(world), @"");
}

#[test]
fn r7_a_filtered_user_is_treated_like_any_other_delegate() {
    let world = "
        target dora
        mailbox dora@
        account dora@
        mailbox bert@ grants=dora@
        account bert@
        mailbox carl@
        account carl@ delegates=dora@
    ";
    assert_snapshot!(changes_of(world), @r"
    update bert@; delegates +dora@
    update carl@; delegates -dora@
    ");
}

#[test]
fn r4_addresses_that_exchange_does_not_tell_are_not_gone() {
    let world = "
        mailbox anna@ untold name=Anna_B
        account anna@ alias=old@
    ";
    assert_snapshot!(changes_of(world), @"update anna@; name -anna +Anna B");
}

#[test]
fn r1_an_account_that_is_not_understood_keeps_its_mailbox_and_its_aliases() {
    let world = "
        mailbox anna@ name=New
        broken anna@
        mailbox bert@ alias=was@
        broken was@
        mailbox carl@ alias=taken@,own@
        account carl@
        broken zoe@ alias=taken@
    ";
    assert_snapshot!(plan_of(world), @r"
    update carl@; aliases +own@
    0. carl@: aliases [own@] delegates [] key [#carl]
    R1 AccountRejected anna@
    R1 AccountRejected anna@
    R1 AccountRejected bert@
    R23 AliasTaken carl@
    R1 AccountRejected was@
    R1 AccountRejected zoe@
    ");
}

#[test]
fn r2_a_mailbox_that_is_not_understood_was_listed() {
    let world = "
        baseline mailboxes=4 in_scope=1
        mailbox anna@
        account anna@ alias=old@
        rejected broken@
    ";
    assert_snapshot!(changes_of(world), @"update anna@; aliases -old@");
    let alone = world.replace("rejected broken@", "");
    assert_snapshot!(changes_of(&alone), @"held AliasRemoval: anna@ remove alias [old@] -> []");
}

#[test]
fn r7_r19_an_account_at_an_address_of_a_protected_mailbox_stays_unless_only_its_kind_protects_it() {
    let world = |mailbox: &str| {
        format!(
            "{mailbox} alias=was@
            mailbox new@ id=new
            account was@ ext=new"
        )
    };
    assert_snapshot!(plan_of(&world("mailbox kept@")), @r"
    create kept@; name +kept; aliases +was@
    rename was@; address -was@ +new@; name -was +new
    0. new kept@: post user [kept] key [#kept]
    1. was@: address [new@] name [new]
    2. new kept@: name [kept] active [true] aliases [was@] delegates [] key [#kept]; completes 0; after 0 1; claims was@ of 1
    ");
    assert_snapshot!(plan_of(&world("other kept@ kind=RoomMailbox")), @r"
    rename was@; address -was@ +new@; name -was +new
    0. was@: address [new@] name [new]
    R3 KindNotSynchronised kept@
    ");
    assert_snapshot!(plan_of(&world("target kept@\nmailbox kept@")), @r"
    R15 TargetFilter kept@
    R15 TargetFilter new@
    R15 TargetFilter was@
    ");
    let twice = "other kept@ kind=RoomMailbox id=twice\nother kept@ kind=RoomMailbox";
    assert_snapshot!(plan_of(&world(twice)), @r"
    R3 KindNotSynchronised kept@
    R3 KindNotSynchronised new@
    R3 KindNotSynchronised was@
    ");
}
