//! R4, R9, R10 and R12 for trustees of kinds that are not synchronised, for dead entries, and for addresses that were
//! not read.

use std::fmt::Write as _;

use insta::assert_snapshot;

use super::{
    notation::Scene,
    shown::{changes_of, plan_of, short},
};
use crate::note::Code;

/// The texts of the notes with this code.
fn texts(world: &str, code: Code) -> String {
    let planned = Scene::parse(world).plan();
    let mut out = String::new();
    for note in planned.plan.notes.iter().filter(|note| note.code == code) {
        writeln!(out, "{}: {}", note.address, note.text).unwrap();
    }
    short(&out)
}

#[test]
fn r12_people_with_a_mailbox_elsewhere_keep_what_exchange_grants_them() {
    for kind in [
        "MailUser",
        "RemoteUserMailbox",
        "GuestMailUser",
        "MailContact",
        "FutureMailUser",
        "NeverHeardOf",
    ] {
        let world = format!(
            "found h0@ {kind} id=h0 mail=h0@
            people anna@
            account ben@
            mailbox ben@
            account h0@
            shared desk@ grants=anna@,h0@
            functional desk@ members=anna,ben,h0
            shared night@ grants=h0@
            functional night@ members=h0
            mailbox carl@ grants=h0@
            account carl@ delegates=h0@,ben@"
        );
        assert_eq!(
            changes_of(&world),
            "update carl@; delegates -ben@\nupdate desk@; delegates -ben@",
            "{kind}"
        );
        let kept = texts(&world, Code::DelegateKept);
        assert_eq!(kept.lines().count(), 3, "{kind}: {kept}");
    }
}

#[test]
fn r12_only_what_exchange_grants_is_kept() {
    let world = "
        found h0@ MailUser id=h0 mail=h0@
        account h0@
        account h2@
        people anna@
        group Crew members=h0@
        shared desk@ grants=anna@,Crew
        functional desk@ members=anna,h0,h2
        found h2@ MailUser id=h2 mail=h2@
    ";
    assert_snapshot!(changes_of(world), @"update desk@; delegates -h2@");
}

#[test]
fn r12_mailboxes_of_another_kind_keep_what_exchange_grants_them() {
    for kind in [
        "LinkedMailbox",
        "LegacyMailbox",
        "RoomMailbox",
        "NeverHeardOf",
    ] {
        let world = format!(
            "other lin@ kind={kind} alias=l2@
            account lin@
            people anna@
            shared desk@ grants=anna@,lin@
            functional desk@ members=anna,lin
            shared night@ grants=l2@
            functional night@ members=lin"
        );
        assert_eq!(changes_of(&world), "", "{kind}");
        let kept = texts(&world, Code::DelegateKept);
        assert_eq!(kept.lines().count(), 2, "{kind}: {kept}");
    }
}

#[test]
fn r12_r15_an_account_under_an_alias_keeps_what_exchange_grants_to_its_mailbox() {
    for (name, mailbox) in [
        ("filtered", "target anna@\nmailbox anna@ alias=old@"),
        (
            "of the other kind",
            "mailbox anna@ alias=old@\nfunctional anna@ as=f1 members=ben",
        ),
        ("without object id", "mailbox anna@ alias=old@,older@ id=-"),
        (
            "with evidence for two",
            "mailbox anna@ alias=old@,older@\nlimits creates=0",
        ),
    ] {
        let world = format!(
            "{mailbox}
            account old@
            account older@
            people ben@ carl@
            shared desk@ grants=anna@,ben@
            functional desk@ members=old,ben,carl
            mailbox dora@ grants=anna@
            account dora@ delegates=old@,carl@"
        );
        let changes = changes_of(&world);
        assert!(
            changes.contains("update desk@; delegates -carl@\n")
                && changes.contains("update dora@; delegates -carl@"),
            "{name}: {changes}"
        );
        let named = [Code::DelegateKept, Code::DelegateLeftOut].map(|code| texts(&world, code));
        assert!(named.concat().contains("desk@: anna@"), "{name}: {named:?}");
    }
}

#[test]
fn r12_r15_an_account_that_a_filtered_mailbox_has_is_not_anothers_by_an_alias() {
    let world = "
        target holder@
        mailbox holder@
        account holder@ alias=x@
        mailbox x@
        people ben@
        shared info@ grants=x@,ben@
        functional info@ members=holder,ben
    ";
    assert_snapshot!(changes_of(world), @"update info@; delegates -holder@");
    assert_snapshot!(texts(world, Code::DelegateKept), @"");
}

#[test]
fn r12_such_people_are_neither_added_nor_do_they_create_or_empty_anything() {
    let world = "
        found h0@ MailUser id=h0 mail=h0@
        account h0@
        people ben@
        shared desk@ grants=h0@,ben@
        functional desk@ members=ben
        shared night@ grants=h0@
        functional night@ members=ben
        shared new@ grants=h0@
    ";
    assert_snapshot!(plan_of(world), @r"
    R12 DelegateKept desk@
    R19 OwnerUnknown h0@
    R12 DelegateKept new@
    R12 DelegatesLeftOut new@
    R12 DelegateKept night@
    R12 DelegatesStay night@
    ");
    assert_snapshot!(texts(world, Code::DelegatesLeftOut), @"new@: its only delegates are left out, so it is not created");
    assert_snapshot!(texts(world, Code::DelegatesStay), @"night@: its only delegates are left out, so it is not emptied, and ben@ can still open it");
    assert_snapshot!(texts(world, Code::DelegateKept), @r"
    desk@: h0@ has Full Access and an active account, but Exchange has it as a MailUser: the delegation is neither added nor removed
    new@: h0@ has Full Access and an active account, but Exchange has it as a MailUser: the delegation is neither added nor removed
    night@: h0@ has Full Access and an active account, but Exchange has it as a MailUser: the delegation is neither added nor removed
    ");
}

#[test]
fn r12_without_an_active_account_a_recipient_of_another_kind_is_nobody() {
    let world = "
        found h0@ MailUser id=h0 mail=h0@
        found h1@ MailUser id=h1 mail=h1@
        account h0@ off
        people anna@
        shared desk@ grants=anna@,h0@,h1@
        functional desk@ members=anna,h0
        shared night@ grants=h0@
        functional night@ members=h0
    ";
    assert_snapshot!(plan_of(world), @r"
    update desk@; delegates -h0@
    empty night@; active -yes +no; delegates -h0@
    0. desk@: members [anna@]
    1. night@: empty, keep [0]
    R10 TrusteeNotAMailbox desk@
    R10 TrusteeNotAMailbox desk@
    R10 TrusteeNotAMailbox night@
    ");
}

#[test]
fn r12_the_account_of_such_a_person_is_found_by_any_address_and_by_object_id() {
    for (account, recipient) in [
        (
            "account jan@ as=h",
            "found h0@ MailUser id=h0 mail=h0@other.example,jan@",
        ),
        (
            "account jan@ as=h alias=h0@",
            "found h0@ MailUser id=h0 mail=h0@",
        ),
        (
            "account jan@ as=h ext=h0",
            "found h0@ MailUser id=h0 mail=x@",
        ),
        (
            "account jan@ as=h\nmap h0=h",
            "found h0@ MailUser id=h0 mail=x@",
        ),
        ("account h0@ as=h", "found h0@ MailUser id=h0 mail=x@"),
    ] {
        let world = format!(
            "{account}
            {recipient}
            shared desk@ grants=h0@
            functional desk@ members=h
            found jan@ MailUser id=h0"
        );
        assert_eq!(changes_of(&world), "", "{account} {recipient}");
    }
}

#[test]
fn r12_an_account_that_is_certainly_anothers_is_not_kept() {
    // The leaver is gone, and a mail user has the address now.
    let gone = "
        found h0@ MailUser id=new mail=h0@
        gone #old
        account h0@ ext=old
        people anna@
        shared desk@ grants=h0@,anna@
        functional desk@ members=h0,anna
    ";
    assert_snapshot!(changes_of(gone), @r"
    update desk@; delegates -h0@
    suspend h0@; active -yes +no
    ");
    // Another mailbox owns the account.
    let owned = "
        found h0@ MailUser id=h0 mail=h0@
        mailbox ben@
        account ben@ alias=h0@ ext=ben
        people anna@
        shared desk@ grants=h0@,anna@
        functional desk@ members=ben,anna
    ";
    assert_snapshot!(changes_of(owned), @r"
    update ben@; aliases -h0@
    update desk@; delegates -ben@
    ");
}

#[test]
fn r12_a_group_expansion_keeps_such_people_likewise() {
    let world = "
        found h0@ RemoteUserMailbox id=h0 mail=h0@
        account h0@
        other lin@ kind=LinkedMailbox
        account lin@
        group Sales members=Inner,lin@
        group Inner members=h0@
        people anna@
        shared desk@ grants=anna@,Sales
        functional desk@ members=anna,h0,lin
        shared night@ grants=Sales
        functional night@ members=h0
    ";
    assert_eq!(changes_of(world), "");
    assert_eq!(texts(world, Code::DelegateKept).lines().count(), 4);
}

#[test]
fn r8_a_deny_takes_such_people_out_as_well() {
    for grants in [
        "h0@,-h0@",
        "h0@,-Sales",
        "Sales,-h0@",
        "H0@,-h@other.example",
    ] {
        let world = format!(
            "found h0@ MailUser id=h0 mail=h0@,h@other.example
            found h@other.example MailUser id=h0 mail=h0@,h@other.example
            account h0@
            group Sales members=h0@
            people anna@
            shared desk@ grants=anna@,{grants}
            functional desk@ members=anna,h0"
        );
        assert_eq!(
            changes_of(&world),
            "update desk@; delegates -h0@",
            "{grants}"
        );
        let denied = texts(&world, Code::TrusteeDenied);
        assert_eq!(denied.lines().count(), 1, "{grants}");
    }
    let linked = "
        other lin@ kind=LinkedMailbox
        account lin@
        people anna@
        shared desk@ grants=anna@,lin@,-lin@
        functional desk@ members=anna,lin
    ";
    assert_snapshot!(changes_of(linked), @"update desk@; delegates -lin@");
}

#[test]
fn r12_r13_a_primary_outside_the_claimed_domains_takes_nothing_from_the_account_of_an_alias() {
    let world = "
        mailbox jan@tenant.onmicrosoft.com id=jan alias=jan@
        account jan@ delegates=anna@
        people anna@
        shared desk@ grants=jan@tenant.onmicrosoft.com,anna@
        functional desk@ members=jan,anna
        shared solo@ grants=jan@tenant.onmicrosoft.com
        functional solo@ members=jan
        mailbox far@tenant.onmicrosoft.com id=far
        shared rest@ grants=far@tenant.onmicrosoft.com
        functional rest@ members=anna
    ";
    assert_snapshot!(changes_of(world), @"empty rest@; active -yes +no; delegates -anna@");
    assert_snapshot!(texts(world, Code::DelegateKept), @r"
    desk@: jan@tenant.onmicrosoft.com has Full Access and an active account, but its mailbox is outside the claimed domains (R13): the delegation is neither added nor removed
    solo@: jan@tenant.onmicrosoft.com has Full Access and an active account, but its mailbox is outside the claimed domains (R13): the delegation is neither added nor removed
    ");
    let suspended = world.replace("account jan@", "account jan@ off");
    assert_snapshot!(changes_of(&suspended), @r"
    update desk@; delegates -jan@
    empty rest@; active -yes +no; delegates -anna@
    empty solo@; active -yes +no; delegates -jan@
    ");
}

#[test]
fn r12_the_own_delegates_of_such_people_stay() {
    let world = "
        found h0@ MailUser id=h0 mail=h0@
        account h0@ delegates=anna@ alias=old@
        other lin@ kind=LinkedMailbox grants=ben@
        account lin@ delegates=anna@
        mailbox anna@ grants=h0@,lin@
        account anna@ delegates=h0@,lin@
        people ben@
    ";
    assert_eq!(changes_of(world), "");
}

#[test]
fn r11_a_recipient_of_which_exchange_does_not_say_who_it_is_is_unknown() {
    for found in [
        "found Hal MailUser called=Hal",
        "found Hal RemoteUserMailbox called=Hal id=hal",
        "found Hal FutureRing called=Hal id=hal mail=hal@",
    ] {
        let world = format!(
            "{found}
            account hal@
            shared desk@ grants=Hal
            functional desk@ members=hal
            found hal@ MailUser"
        );
        assert_eq!(
            plan_of(&world),
            "R11 DelegationsUnknown desk@\nR19 OwnerUnknown hal@",
            "{found}"
        );
    }
}

#[test]
fn r10_only_four_kinds_of_groups_give_no_right() {
    for kind in [
        "FutureSecurityRing",
        "MailNonUniversalGroup",
        "UniversalSecurityGroup",
        "SecurityGroupMailbox",
    ] {
        for grants in ["anna@,ring", "anna@,Outer"] {
            let world = format!(
                "group ring kind={kind} members=ben@
                group Outer members=anna@,ring
                people anna@ ben@
                shared desk@ grants={grants}
                functional desk@ members=anna,ben"
            );
            assert_eq!(
                plan_of(&world),
                "R11 DelegationsUnknown desk@",
                "{kind} {grants}"
            );
            let text = texts(&world, Code::DelegationsUnknown);
            assert!(text.contains(kind), "{text}");
            assert!(
                text.contains("Remove-MailboxPermission") || text.contains("grant Full Access"),
                "{text}"
            );
        }
    }
    for kind in [
        "MailUniversalDistributionGroup",
        "GroupMailbox",
        "DynamicDistributionGroup",
        "RoleGroup",
    ] {
        let world = format!(
            "group ring kind={kind} members=ben@
            people anna@ ben@
            shared desk@ grants=anna@,ring
            functional desk@ members=anna,ben"
        );
        assert_eq!(
            changes_of(&world),
            "update desk@; delegates -ben@",
            "{kind}"
        );
    }
}

#[test]
fn r9_a_dead_entry_is_nobody_and_names_the_command_that_removes_it() {
    for dead in [
        "EURPR04A001\\jjansen123",
        "CORP\\anna",
        "Everyone",
        "anonymous",
    ] {
        let world = format!(
            "gone {dead}
            people anna@ ben@
            shared desk@ grants=anna@,{dead}
            functional desk@ members=anna,ben"
        );
        assert_eq!(
            changes_of(&world),
            "update desk@; delegates -ben@",
            "{dead}"
        );
        let text = texts(&world, Code::TrusteeNotFound);
        let command = format!(
            "`Remove-MailboxPermission -Identity 'desk@' -User '{dead}' -AccessRights FullAccess`"
        );
        assert!(text.contains(&command), "{text}");
    }
}

#[test]
fn r9_deleted_principals_and_lost_addresses_name_the_command_too() {
    let world = "
        gone left@
        people anna@
        shared desk@ grants=anna@,S-1-5-21-1-2-3,left@,-left@
        functional desk@ members=anna
    ";
    assert_eq!(changes_of(world), "");
    assert_snapshot!(texts(world, Code::TrusteeDeleted), @"desk@: S-1-5-21-1-2-3 is a deleted principal; remove the entry with `Remove-MailboxPermission -Identity 'desk@' -User 'S-1-5-21-1-2-3' -AccessRights FullAccess`");
    assert_snapshot!(texts(world, Code::TrusteeNotFound), @r"
    desk@: Exchange does not know the trustee left@; remove the entry with `Remove-MailboxPermission -Identity 'desk@' -User 'left@' -AccessRights FullAccess -Deny`
    desk@: Exchange does not know the trustee left@; remove the entry with `Remove-MailboxPermission -Identity 'desk@' -User 'left@' -AccessRights FullAccess`
    ");
}

#[test]
fn r9_a_down_level_name_counts_where_exchange_finds_it_and_is_unknown_where_it_fails() {
    let world = |answer: &str| {
        format!(
            "{answer}
            people anna@ ben@
            shared desk@ grants=anna@,CORP\\ben
            functional desk@ members=anna"
        )
    };
    let found = world("found CORP\\ben UserMailbox id=ben");
    assert_snapshot!(changes_of(&found), @"update desk@; delegates +ben@");
    for answer in ["failed CORP\\ben", "ambiguous CORP\\ben"] {
        assert_eq!(
            plan_of(&world(answer)),
            "R11 DelegationsUnknown desk@",
            "{answer}"
        );
    }
}

#[test]
fn r9_a_name_that_another_mailbox_shows_is_asked_for() {
    for (answer, expected) in [
        ("ambiguous Sales", ""),
        ("failed Sales", ""),
        ("gone Sales", ""),
        (
            "found Sales UserMailbox id=ben called=Sales",
            "update desk@; delegates +ben@",
        ),
        (
            "found Sales UserMailbox id=carl called=carl shown=Sales",
            "",
        ),
    ] {
        for other in [
            "mailbox carl@ name=SALES",
            "shared carl@ name=Sales",
            "rejected carl@ name=Sales",
        ] {
            let world = format!(
                "{answer}
                people anna@
                mailbox ben@ called=Sales
                account ben@
                shared desk@ grants=anna@,Sales
                functional desk@ members=anna
                {other}"
            );
            let desk: Vec<String> = changes_of(&world)
                .lines()
                .filter(|line| line.contains("desk@"))
                .map(str::to_owned)
                .collect();
            assert_eq!(desk.join("\n"), expected, "{answer} {other}");
        }
    }
    // Its own display name does not count as that of another mailbox.
    let own = "
        mailbox ben@ called=Sales name=Sales
        account ben@ name=Sales
        shared desk@ grants=Sales
        functional desk@ members=ben
    ";
    assert_eq!(changes_of(own), "");
}

#[test]
fn r9_the_own_address_of_a_mailbox_is_a_group_where_one_has_that_name() {
    let world = "
        people anna@
        shared desk@ grants=desk@corp.example
        functional desk@ members=anna
        group desk@corp.example id=grp members=anna@
    ";
    assert_eq!(changes_of(world), "");
    // A group that only has the address of its UPN does not count.
    let addressed = "
        people anna@
        shared desk@ upn=x@ grants=x@
        functional desk@ members=anna
        group Crew id=grp members=anna@ mail=x@
    ";
    assert_snapshot!(changes_of(addressed), @"empty desk@; active -yes +no; delegates -anna@");
    let unknown = "
        people anna@
        shared desk@ grants=desk@corp.example
        functional desk@ members=anna
        groups ?
    ";
    assert_snapshot!(plan_of(unknown), @"R11 DelegationsUnknown desk@");
    let itself = "
        people anna@
        shared desk@ grants=desk@corp.example
        functional desk@ members=anna
    ";
    assert_snapshot!(changes_of(itself), @"empty desk@; active -yes +no; delegates -anna@");
}

#[test]
fn r11_every_reason_names_what_to_do() {
    for grants in [
        "noself", "Bare", "Twice", "Bert", "-List", "Nameless", "who@", "lost@", "Shown",
    ] {
        let world = format!(
            "gone Bare
            ambiguous Twice
            mailbox bert@ called=Bert
            group Bert members=bert@
            group List kind=MailUniversalDistributionGroup members=bert@
            group Nameless id=- members=bert@
            found who@
            found lost@ UserMailbox id=lost mail=lost@
            found Shown UserMailbox id=bert called=bert shown=Shown
            shared desk@ grants={grants}
            functional desk@ members=bert"
        )
        .replace("group Nameless id=- members=bert@", "");
        let text = texts(&world, Code::DelegationsUnknown);
        let has_remedy = [
            "Remove-MailboxPermission",
            "run again",
            "look at `Get-Recipient`",
        ]
        .iter()
        .any(|remedy| text.contains(remedy));
        // A name without an answer was not looked up in this test.
        assert!(has_remedy, "{grants}: {text}");
    }
}

#[test]
fn r4_unread_addresses_change_no_alias() {
    for listed in [
        "untold",
        "addresses=",
        "addresses=smtp:b@",
        "addresses=SMTP:b@,smtp:anna@",
    ] {
        let world = format!(
            "mailbox anna@ {listed}
            account anna@ alias=a2@ name=Old
            shared desk@ grants=anna@ {listed}
            functional desk@ alias=d2@ members=anna
            mailbox new@ {listed}"
        )
        .replace(
            "shared desk@ grants=anna@ addresses=SMTP:b@",
            "shared desk@ grants=anna@ addresses=SMTP:c@",
        )
        .replace(
            "mailbox new@ addresses=SMTP:b@",
            "mailbox new@ addresses=SMTP:d@",
        );
        assert_eq!(
            changes_of(&world),
            "update anna@; name -Old +anna",
            "{listed}"
        );
        let noted = texts(&world, Code::AliasesUnknown);
        assert_eq!(noted.lines().count(), 4, "{noted}");
    }
}

#[test]
fn r4_unread_addresses_release_no_alias_but_go_along_with_the_extension() {
    let world = "
        mailbox anna@ untold grants=ben@
        account anna@ alias=a2@
        mailbox ben@ alias=a2@
        account ben@
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; delegates +ben@
    0. anna@: aliases [a2@] delegates [ben@] key [#anna]
    R4 AliasesUnknown anna@
    R23 AliasTaken ben@
    ");
}

#[test]
fn r4_r12_unread_addresses_do_not_hide_whose_account_it_is() {
    for kind in ["LinkedMailbox", "UserMailbox"] {
        let world = format!(
            "other lin@tenant.example kind={kind} id=lin untold
            account lin@
            found lin@ {kind} id=lin
            people anna@
            shared desk@ grants=anna@,lin@tenant.example
            functional desk@ members=anna,lin"
        );
        assert_eq!(changes_of(&world), "", "{kind}");
    }
}

#[test]
fn r4_r17_no_second_account_is_created_while_the_addresses_are_unread() {
    let world = |listed: &str| {
        format!(
            "mailbox ben@
            account ben@
            mailbox anna@ alias=old@ {listed} grants=ben@
            account old@
            found old@ UserMailbox id=anna mail=anna@
            shared desk@ alias=hall@ {listed} grants=ben@
            functional hall@ members=ben
            found hall@ SharedMailbox id=desk mail=desk@
            shared info@ grants=anna@,ben@
            functional info@ members=old"
        )
    };
    // If its addresses had been read, the account would be renamed, or reported.
    let read = changes_of(&world(""));
    assert!(
        read.starts_with("update info@; delegates +ben@\nheld Identity: old@"),
        "{read}"
    );
    let unread = world("untold");
    assert_snapshot!(plan_of(&unread), @r"
    update info@; delegates +ben@
    0. info@: members [ben@ old@]
    R4 AliasesUnknown anna@
    R4 AliasesUnknown anna@
    R4 AliasesUnknown desk@
    R4 AliasesUnknown desk@
    R19 OwnerUnknown hall@
    R12 DelegateKept info@
    R32 DelegateLeftOut info@
    R19 OwnerUnknown old@
    ");
    assert_snapshot!(texts(&unread, Code::AliasesUnknown), @r"
    anna@: Exchange's list of its addresses is missing or does not show its primary address, so its aliases stay as they are; run again, and if it stays so, look at EmailAddresses of the mailbox
    anna@: it may have an account under an alias, and its aliases are not known, so no account is created
    desk@: Exchange's list of its addresses is missing or does not show its primary address, so its aliases stay as they are; run again, and if it stays so, look at EmailAddresses of the mailbox
    desk@: it may have an account under an alias, and its aliases are not known, so no account is created
    ");
    assert_snapshot!(texts(&unread, Code::DelegateLeftOut), @"info@: anna@ is left out as a delegate: no account is created for it while its aliases are unknown (R4)");
}

#[test]
fn r4_spellings_of_a_primary_and_of_an_international_domain_are_equal() {
    let world = "
        domains corp.example bücher.example
        mailbox anna@xn--bcher-kva.example id=anna addresses=SMTP:Anna@Bücher.example,smtp:a2@bücher.example
        account anna@bücher.example alias=a2@xn--bcher-kva.example
        shared desk@ grants=anna@Bücher.example
        functional desk@ members=anna
    ";
    assert_eq!(plan_of(world), "");
    let target = world.to_owned() + "target *@bücher.example\n";
    assert_snapshot!(plan_of(&target), @r"
    R15 TargetFilter anna@bücher.example
    R15 TargetFilter anna@xn--bcher-kva.example
    ");
}
