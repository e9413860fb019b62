//! R26 and R27: limits, and what is held.

use insta::assert_snapshot;

use super::shown::{changes_of, plan_of};

#[test]
fn r26_suspends_within_the_limit_go_on() {
    let world = "
        limits default
        mailbox u0@ disabled
        mailbox u1@ disabled
        mailbox u2@ disabled
        mailbox u3@ disabled
        mailbox u4@ disabled
        mailbox u5@ disabled
        mailbox u6@ disabled
        mailbox u7@ disabled
        account u0@
        account u1@
        account u2@
        account u3@
        account u4@
        account far0@other.example
        account far1@other.example
        account far2@other.example
        account far3@other.example
        account far4@other.example
        account far5@other.example
        mailbox x0@
        mailbox x1@
        mailbox x2@
        mailbox x3@
        mailbox x4@
        account x0@
        account x1@
        account x2@
        account x3@
        account x4@
    ";
    assert_snapshot!(changes_of(world), @r"
    suspend u0@; active -yes +no
    suspend u1@; active -yes +no
    suspend u2@; active -yes +no
    suspend u3@; active -yes +no
    suspend u4@; active -yes +no
    ");
}

#[test]
fn r26_a_class_over_its_limit_is_held_as_a_whole() {
    let world = "
        limits default
        mailbox u0@ disabled
        mailbox u1@ disabled
        mailbox u2@ disabled
        mailbox u3@ disabled
        mailbox u4@ disabled
        mailbox u5@ disabled
        account u0@
        account u1@
        account u2@
        account u3@
        account u4@
        account u5@
        mailbox x0@
        mailbox x1@
        mailbox x2@
        mailbox x3@
        mailbox x4@
        mailbox x5@
        mailbox x6@
        mailbox x7@
        mailbox x8@
        mailbox x9@
        account x0@
        account x1@
        account x2@
        account x3@
        account x4@
        account x5@
        account x6@
        account x7@
        account x8@
        account x9@
    ";
    assert_snapshot!(changes_of(world), @r"
    held Suspend: u0@ suspend [active] -> [suspended]
    held Suspend: u1@ suspend [active] -> [suspended]
    held Suspend: u2@ suspend [active] -> [suspended]
    held Suspend: u3@ suspend [active] -> [suspended]
    held Suspend: u4@ suspend [active] -> [suspended]
    held Suspend: u5@ suspend [active] -> [suspended]
    ");
}

#[test]
fn r26_never_more_than_half_of_what_is_active() {
    let world = "
        limits default
        mailbox anna@ disabled
        account anna@
        mailbox bert@ disabled
        account bert@
        mailbox carl@
        account carl@
    ";
    assert_snapshot!(changes_of(world), @r"
    held Suspend: anna@ suspend [active] -> [suspended]
    held Suspend: bert@ suspend [active] -> [suspended]
    ");
}

#[test]
fn r26_the_half_rule_is_off_with_the_limit() {
    let world = "
        mailbox anna@ disabled
        account anna@
        mailbox bert@ disabled
        account bert@
    ";
    assert_snapshot!(changes_of(world), @r"
    suspend anna@; active -yes +no
    suspend bert@; active -yes +no
    ");
}

#[test]
fn r26_the_half_rule_holds_for_strays_too() {
    let world = "
        limits strays=50
        mailbox carl@
        account carl@
        account anna@
        account bert@
    ";
    assert_snapshot!(changes_of(world), @r"
    held Stray: anna@ suspend [active] -> [suspended]
    held Stray: bert@ suspend [active] -> [suspended]
    ");
}

#[test]
fn r26_the_last_24_hours_count() {
    let world = "
        limits suspend=3
        spent suspend 2
        spent suspend 9 old
        mailbox anna@ disabled
        account anna@
        mailbox bert@ disabled
        account bert@
        mailbox carl@
        account carl@
        account dora@
        mailbox dora@
    ";
    assert_snapshot!(changes_of(world), @r"
    held Suspend: anna@ suspend [active] -> [suspended]
    held Suspend: bert@ suspend [active] -> [suspended]
    ");
}

/// So many people, of whom the first leave and take a delegate and an alias with them; of those, the first `done` are gone.
fn cut_off(limits: &str, people: usize, leaving: usize, done: usize) -> String {
    let mut lines = vec![format!("limits {limits}")];
    for class in ["suspend", "delegates", "aliases"] {
        lines.push(format!("spent {class} {done}"));
    }
    for number in 0..people {
        let (leaves, gone) = (number < leaving, number < done);
        let when = |is_so: bool, text: &str| {
            if is_so {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let alias = format!(" alias=x{number}@");
        lines.push(format!("mailbox u{number}@{}", when(leaves, " disabled")));
        lines.push(format!("account u{number}@{}", when(gone, " off")));
        let (grant, delegate) = (when(!leaves, " grants=w@"), when(!gone, " delegates=w@"));
        lines.push(format!(
            "mailbox v{number}@{grant}{}",
            when(!leaves, &alias)
        ));
        lines.push(format!(
            "account v{number}@{delegate}{}",
            when(!gone, &alias)
        ));
    }
    lines.push("mailbox w@\naccount w@".into());
    lines.join("\n")
}

#[test]
fn r35_what_a_cut_off_run_had_begun_is_finished_within_the_limits_of_an_undisturbed_one() {
    for limits in [
        "default",
        "suspend=30% delegates=30% aliases=30%",
        "suspend=5 delegates=5 aliases=5",
    ] {
        for (accounts, losing) in [(4, 1), (4, 2), (10, 3), (10, 5), (17, 5), (24, 7)] {
            let whole = changes_of(&cut_off(limits, accounts, losing, 0));
            for done in 1..losing {
                let rest = changes_of(&cut_off(limits, accounts, losing, done));
                for class in ["held Suspend", "held DelegateRemoval", "held AliasRemoval"] {
                    assert!(
                        whole.contains(class) || !rest.contains(class),
                        "{limits}, {accounts}, {losing}, {done}:\n{rest}"
                    );
                }
            }
        }
    }
}

#[test]
fn r26_what_counts_does_not_make_room_for_more() {
    // Ten were active this morning: five could go, five went.
    let world = cut_off("default", 10, 6, 5);
    let held = changes_of(&world);
    assert!(held.contains("held Suspend: u5@"), "{held}");
}

#[test]
fn r26_a_held_delegate_stays_in_what_is_written_and_the_rest_goes() {
    let world = "
        limits delegates=0
        mailbox anna@ grants=bert@ alias=x@ name=New
        account anna@ delegates=carl@ name=Old
        mailbox bert@
        account bert@
        mailbox carl@
        account carl@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; name -Old +New; aliases +x@; delegates +bert@
    held DelegateRemoval: anna@ remove delegate [carl@] -> []
    0. anna@: name [New] aliases [x@] delegates [bert@ carl@] key [#anna]
    ");
}

#[test]
fn r26_a_held_alias_stays_in_what_is_written_and_its_claim_is_left_out() {
    let world = "
        limits aliases=0
        mailbox anna@ alias=new@
        account anna@ alias=old@
        mailbox bert@ alias=old@,fresh@
        account bert@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +new@
    update bert@; aliases +fresh@
    held AliasRemoval: anna@ remove alias [old@] -> []
    0. anna@: aliases [new@ old@] delegates [] key [#anna]
    1. bert@: aliases [fresh@] delegates [] key [#bert]
    R23 AliasTaken bert@
    ");
}

#[test]
fn r26_an_empty_needs_its_members_removed() {
    let world = "
        limits delegates=1
        shared info@
        functional info@ members=anna,bert
        mailbox anna@
        account anna@
        mailbox bert@
        account bert@
    ";
    assert_snapshot!(changes_of(world), @r"
    held DelegateRemoval: info@ remove delegate [anna@] -> []
    held DelegateRemoval: info@ remove delegate [bert@] -> []
    ");
}

#[test]
fn r26_the_last_delegate_makes_an_empty() {
    let world = "
        limits suspend=0
        shared info@
        functional info@ members=anna
        mailbox anna@
        account anna@
    ";
    assert_snapshot!(changes_of(world), @"held Suspend: info@ empty [anna@] -> [no members]");
}

#[test]
fn r26_held_renames_keep_their_address_and_block_who_wants_it() {
    let world = "
        limits renames=0
        mailbox new@ id=one name=Anna alias=x@
        account old@ as=u1 name=N ext=one
        mailbox old@ id=two
    ";
    assert_snapshot!(plan_of(world), @r"
    update old@; name -N +Anna; aliases +x@
    held Rename: old@ rename [old@] -> [new@]
    0. old@: name [Anna] aliases [x@] delegates [] key [#one]
    R24 AddressTaken old@
    ");
}

#[test]
fn r26_name_changes_have_a_limit() {
    let world = "
        limits names=1
        mailbox anna@ name=New alias=x@
        account anna@ name=Old
        mailbox bert@ name=New
        account bert@ name=Old
    ";
    assert_snapshot!(changes_of(world), @r"
    update anna@; aliases +x@
    held NameChange: anna@ change name [Old] -> [New]
    held NameChange: bert@ change name [Old] -> [New]
    ");
}

#[test]
fn r26_percentages_are_of_what_is_claimed_and_unprotected() {
    let world = "
        limits names=50%
        target filtered
        mailbox anna@ name=New
        account anna@ name=Old
        account filtered1@
        account filtered2@
        account far@other.example
        mailbox zoe@
        account zoe@
        mailbox bert@ name=New
        account bert@ name=Old
    ";
    assert_snapshot!(changes_of(world), @r"
    held NameChange: anna@ change name [Old] -> [New]
    held NameChange: bert@ change name [Old] -> [New]
    ");
}
