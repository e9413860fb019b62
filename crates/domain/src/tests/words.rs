//! The texts that explain why something changes or does not change (R26, R27), compared word by word if the text is the
//! only result.

use std::fmt::Write as _;

use insta::assert_snapshot;

use super::{
    notation::{Planned, Scene},
    shown::short,
};
use crate::{
    guard::Class,
    hold::{approved_changes, guarded_changes},
    ids::ScimId,
    memory::Undone,
    named::{in_words, unknown_addresses},
    scope::RunScope,
};

/// The reasons of actions and held sets, and the texts of notes.
fn told(text: &str) -> String {
    told_of(&Scene::parse(text).plan())
}

fn told_of(planned: &Planned) -> String {
    let mut out = String::new();
    for action in planned.plan.approved.actions() {
        writeln!(out, "{:?} {}", action.kind, action.address).unwrap();
        for reason in &action.reasons {
            writeln!(out, "  {} {}", reason.rule, reason.fact).unwrap();
        }
    }
    for set in &planned.plan.held {
        writeln!(out, "{:?} held: {}", set.class, set.reason).unwrap();
        for change in &set.changes {
            writeln!(out, "  {}: {}", change.address, change.in_words()).unwrap();
        }
    }
    for note in &planned.plan.notes {
        writeln!(out, "{} {}: {}", note.rule, note.address, note.text).unwrap();
    }
    short(&out)
}

#[test]
fn r16_every_change_says_whose_account_it_is_and_why_it_changes() {
    let world = "
        mailbox anna@ name=New alias=a@ grants=bert@
        account anna@ name=Old alias=b@ delegates=carl@ ext=anna
        mailbox bert@
        account bert@ off
        mailbox carl@ disabled
        account carl@
        mailbox dora@
        mailbox emil.b@ id=emil
        account emil@
        map emil=emil
        account past@ ext=past
        shared info@ grants=anna@
        functional info@
        shared desk@
        functional desk@ members=anna
    ";
    assert_snapshot!(told(world), @r"
    Update anna@
      R16 anna@ is its mailbox, by ExternalAccountId (R16 b)
    Resume bert@
      R16 bert@ is its mailbox, by equal address (R16 c)
      R19 its mailbox is enabled
    Suspend carl@
      R16 carl@ is its mailbox, by equal address (R16 c)
      R19 its mailbox is disabled (AccountDisabled)
    Empty desk@
      R16 desk@ is its mailbox, by equal address (R16 c)
      R12 no delegate is left on its mailbox
    Create dora@
      R19 the mailbox has no account
    Rename emil@
      R16 emil.b@ is its mailbox, by the mapping of object ids (R16 a)
      R17 the mailbox's address is now emil.b@
    Resume info@
      R16 info@ is its mailbox, by equal address (R16 c)
      R12 its mailbox has a delegate
    Suspend past@
      R19 its mailbox is gone from Exchange
    ");
}

#[test]
fn r26_what_is_held_says_how_many_of_what() {
    let world = "
        limits suspend=0 delegates=0 aliases=0 renames=0 names=0
        target filtered@
        mailbox off@ disabled
        account off@
        mailbox anna@ name=New
        account anna@ name=Old alias=x@,y@,z@,f@other.example delegates=bert@,carl@
        mailbox bert.b@ id=bert
        account bert@ ext=bert
        mailbox carl@
        account carl@
        account idle@ off
        shared info@ grants=carl@
        functional info@ members=carl alias=i@
        account stray@
        mailbox new@ id=new
        account new@ ext=other
        mailbox filtered@
        account filtered@ alias=p@,q@ delegates=carl@
        spent suspend 2
        spent names 3
        spent aliases 4 old
    ";
    assert_snapshot!(told(world), @r#"
    Identity held: 1 change; MAX_IDENTITY_CHANGES=0 allows none (R26)
      new@: give to another object id #other → #new
    Stray held: 1 change; MAX_STRAYS=0 allows none (R26)
      stray@: suspend active → suspended
    Suspend held: 2 changes, after 2 in the last 24 hours; MAX_SUSPEND=0 allows none (R26)
      new@: suspend active → suspended
      off@: suspend active → suspended
    DelegateRemoval held: 2 changes; MAX_DELEGATE_REMOVALS=0 allows none (R26)
      anna@: remove delegate bert@
      anna@: remove delegate carl@
    AliasRemoval held: 4 changes; MAX_ALIAS_REMOVALS=0 allows none (R26)
      anna@: remove alias x@
      anna@: remove alias y@
      anna@: remove alias z@
      info@: remove alias i@
    Rename held: 1 change; MAX_RENAMES=0 allows none (R26)
      bert@: rename bert@ → bert.b@
    NameChange held: 2 changes, after 3 in the last 24 hours; MAX_NAME_CHANGES=0 allows none (R26)
      anna@: change name Old → New
      bert@: change name bert → bert.b
    R15 filtered@: TARGET_FILTER entry "filtered@" matches its address
    R16 new@: the account belongs to the object id #other, the mailbox has #new; it may be another person; it is to be suspended until that is approved
    "#);
}

#[test]
fn r26_a_percentage_is_of_what_is_in_zivver_now() {
    let world = "
        limits suspend=50% delegates=50% aliases=50% renames=50% names=50%
        mailbox anna@ name=New1 disabled
        mailbox bert@ name=New2
        mailbox carl@ name=New3
        mailbox dora@
        account anna@ alias=a1@
        account bert@ alias=b1@ delegates=dora@,carl@
        account carl@ alias=c1@ delegates=dora@
        account dora@ delegates=anna@
        account far@other.example
    ";
    assert_snapshot!(told(world), @r"
    Suspend anna@
      R16 anna@ is its mailbox, by equal address (R16 c)
      R19 its mailbox is disabled (AccountDisabled)
    Update bert@
      R16 bert@ is its mailbox, by equal address (R16 c)
    Update carl@
      R16 carl@ is its mailbox, by equal address (R16 c)
    DelegateRemoval held: 4 changes, where MAX_DELEGATE_REMOVALS=50% allows 2 of 4 (R26)
      bert@: remove delegate carl@
      bert@: remove delegate dora@
      carl@: remove delegate dora@
      dora@: remove delegate anna@
    AliasRemoval held: 2 changes, where MAX_ALIAS_REMOVALS=50% allows 1 of 3 (R26)
      bert@: remove alias b1@
      carl@: remove alias c1@
    ");
}

#[test]
fn r26_half_of_what_is_active_is_allowed_and_not_one_more() {
    let people = |disabled: usize| -> String {
        let person = |at| {
            let off = if at < disabled { "disabled" } else { "" };
            [format!("mailbox p{at}@ {off}"), format!("account p{at}@")]
        };
        (0..6).flat_map(person).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(told(&format!("limits suspend=5\n{}", people(3))), @r"
    Suspend p0@
      R16 p0@ is its mailbox, by equal address (R16 c)
      R19 its mailbox is disabled (AccountDisabled)
    Suspend p1@
      R16 p1@ is its mailbox, by equal address (R16 c)
      R19 its mailbox is disabled (AccountDisabled)
    Suspend p2@
      R16 p2@ is its mailbox, by equal address (R16 c)
      R19 its mailbox is disabled (AccountDisabled)
    ");
    assert_snapshot!(told(&format!("limits suspend=5\n{}", people(4))), @r"
    Suspend held: 4 changes, where MAX_SUSPEND=5 allows 3 of 6, and never more than half of the existing ones (R26)
      p0@: suspend active → suspended
      p1@: suspend active → suspended
      p2@: suspend active → suspended
      p3@: suspend active → suspended
    ");
    assert_snapshot!(told(&format!("limits suspend=3\n{}", people(4))), @r"
    Suspend held: 4 changes, where MAX_SUSPEND=3 allows 3 of 6 (R26)
      p0@: suspend active → suspended
      p1@: suspend active → suspended
      p2@: suspend active → suspended
      p3@: suspend active → suspended
    ");
}

#[test]
fn r2_a_doubt_says_what_shrank_and_growth_is_none() {
    let world = |before: &str| {
        format!(
            "baseline {before}
            mailbox anna@
            mailbox bert@
            mailbox carl@ disabled
            mailbox dora@other.example
            account anna@ alias=a@
            account bert@
            account carl@"
        )
    };
    assert_snapshot!(told(&world("mailboxes=9 in_scope=3")), @r"
    Suspend held: Exchange listed 4 mailboxes and 9 the last time, less than MIN_SOURCE_RATIO=0.5 of it (R2)
      carl@: suspend active → suspended
    AliasRemoval held: Exchange listed 4 mailboxes and 9 the last time, less than MIN_SOURCE_RATIO=0.5 of it (R2)
      anna@: remove alias a@
    R13 dora@other.example: the domain other.example is not among CLAIMED_DOMAINS
    ");
    assert_snapshot!(told(&world("mailboxes=4 in_scope=7")), @r"
    Suspend held: 3 mailboxes are in scope and 7 were the last time, less than MIN_SOURCE_RATIO=0.5 of it (R2)
      carl@: suspend active → suspended
    AliasRemoval held: 3 mailboxes are in scope and 7 were the last time, less than MIN_SOURCE_RATIO=0.5 of it (R2)
      anna@: remove alias a@
    R13 dora@other.example: the domain other.example is not among CLAIMED_DOMAINS
    ");
    assert_snapshot!(told(&world("mailboxes=8 in_scope=6")), @r"
    Update anna@
      R16 anna@ is its mailbox, by equal address (R16 c)
    Suspend carl@
      R16 carl@ is its mailbox, by equal address (R16 c)
      R19 its mailbox is disabled (AccountDisabled)
    R13 dora@other.example: the domain other.example is not among CLAIMED_DOMAINS
    ");
    assert_snapshot!(told(&world("mailboxes=1 in_scope=1")), @r"
    Update anna@
      R16 anna@ is its mailbox, by equal address (R16 c)
    Suspend carl@
      R16 carl@ is its mailbox, by equal address (R16 c)
      R19 its mailbox is disabled (AccountDisabled)
    R13 dora@other.example: the domain other.example is not among CLAIMED_DOMAINS
    ");
}

#[test]
fn r27_an_approved_change_takes_the_room_of_others() {
    let world = "
        limits aliases=1
        mailbox anna@
        account anna@ alias=a@,b@
    ";
    let mut scene = Scene::parse(world);
    let held = scene.plan().plan.held;
    assert_eq!(held[0].changes.len(), 2);
    scene.wishes.approved = [held[0].changes[0].fingerprint.clone()].into();
    let plan = scene.plan().plan;
    assert_eq!(plan.held[0].changes, held[0].changes[1..]);
    assert_snapshot!(&plan.held[0].reason, @"1 change, beside 1 approved, where MAX_ALIAS_REMOVALS=1 allows 1 of 2 (R26)");
    assert_eq!(plan.used_approvals, scene.wishes.approved);
}

#[test]
fn r27_a_code_names_exactly_its_changes() {
    let code = |aliases: &str| {
        let world = format!("limits aliases=0\nmailbox anna@\naccount anna@ alias={aliases}");
        Scene::parse(&world).plan().plan.held[0].code.clone()
    };
    assert_eq!(code("a@,b@"), code("b@,a@"));
    assert_ne!(code("a@,b@"), code("a@"));
    assert_eq!(code("a@").len(), 10);
}

#[test]
fn r26_what_a_plan_spends_is_counted_by_class() {
    let world = "
        mailbox anna@ name=New
        account anna@ name=Old alias=a@,b@ delegates=bert@
        mailbox bert@
        account bert@
    ";
    let plan = Scene::parse(world).plan().plan;
    let delta = &plan.approved.deltas()[0];
    let expected = [
        (Class::DelegateRemoval, 1),
        (Class::AliasRemoval, 2),
        (Class::NameChange, 1),
    ]
    .into();
    assert_eq!(guarded_changes(delta), expected);
}

#[test]
fn r27_a_delta_knows_which_of_its_changes_were_approved() {
    let text = "
        mailbox anna@
        account anna@ alias=a@,b@
    ";
    let held = Scene::parse(&format!("limits aliases=0\n{text}"))
        .plan()
        .plan
        .held;
    let Planned { world, plan, .. } = Scene::parse(text).plan();
    let one = held[0].changes[0].fingerprint.clone();
    let approved = [one.clone(), "of another change".to_owned()].into();
    let delta = &plan.approved.deltas()[0];
    assert_eq!(
        approved_changes(delta, &world.accounts, &approved),
        [one].into()
    );
}

#[test]
fn r11_what_is_unknown_says_why_whatever_the_order() {
    let world = "
        mailbox anna@ grants=Zeta,Alpha
        mailbox bert@ grants=Alpha,Zeta
        mailbox carl@ grants=Unasked
        mailbox dora@ grants=noself,bert@
        mailbox emil@ grants=ext@
        mailbox finn@ grants=Named
        mailbox gina@ grants=-Club
        group Zeta members=?
        group Alpha shown=Shown members=?
        group Club kind=MailUniversalDistributionGroup
        ambiguous Named
        found ext@ MailUser id=ext
    ";
    assert_snapshot!(told(world), @r#"
    Create anna@
      R19 the mailbox has no account
    Create bert@
      R19 the mailbox has no account
    Create carl@
      R19 the mailbox has no account
    Create dora@
      R19 the mailbox has no account
    Create emil@
      R19 the mailbox has no account
    Create finn@
      R19 the mailbox has no account
    Create gina@
      R19 the mailbox has no account
    R11 anna@: its delegates stay as they are: the members of the group "Shown" could not be read: throttled
    R11 bert@: its delegates stay as they are: the members of the group "Shown" could not be read: throttled
    R11 carl@: its delegates stay as they are: the trustee "Unasked" was not looked up; run again
    R11 dora@: its delegates stay as they are: Exchange's answer has no SELF entry, so it is not complete; run again, and if it stays so, compare with `Get-MailboxPermission` and ask Microsoft's support
    R10 emil@: ext (MailUser) is not a mailbox of the tenant and has no active account
    R11 finn@: its delegates stay as they are: the trustee "Named" fits more than one recipient; remove the entry with `Remove-MailboxPermission -Identity 'finn@' -User 'Named' -AccessRights FullAccess`, and grant access by the address of a person or of a mail-enabled security group
    R11 gina@: its delegates stay as they are: access is denied to "Club", a group that cannot be expanded; remove the entry with `Remove-MailboxPermission -Identity 'gina@' -User 'Club' -AccessRights FullAccess -Deny`, and deny access by the address of a person or of a mail-enabled security group
    "#);
}

#[test]
fn r9_a_look_up_by_alias_or_display_name_alone_is_unknown() {
    let world = "
        mailbox anna@ grants=Nick
        account anna@
        mailbox bert@ grants=Both
        account bert@
        mailbox carl@ grants=Neither
        account carl@
        mailbox dora@ grants=Shown
        account dora@
        mailbox emil@ grants=nick@other.example
        account emil@
        found Nick UserMailbox id=dora called=Somebody alias=Nick
        found Both UserMailbox id=dora called=both alias=Both
        found Neither UserMailbox id=dora called=Somebody alias=Nick
        found Shown UserMailbox id=anna called=Somebody shown=shown
        found nick@other.example UserMailbox id=dora called=Somebody alias=nick@other.example
    ";
    assert_snapshot!(told(world), @r#"
    Update bert@
      R16 bert@ is its mailbox, by equal address (R16 c)
    Update carl@
      R16 carl@ is its mailbox, by equal address (R16 c)
    Update emil@
      R16 emil@ is its mailbox, by equal address (R16 c)
    R11 anna@: its delegates stay as they are: the trustee "Nick" is only the alias or the display name of a mailbox; remove the entry with `Remove-MailboxPermission -Identity 'anna@' -User 'Nick' -AccessRights FullAccess`, and grant access by the address of a person or of a mail-enabled security group
    R11 dora@: its delegates stay as they are: the trustee "Shown" is only the alias or the display name of a mailbox; remove the entry with `Remove-MailboxPermission -Identity 'dora@' -User 'Shown' -AccessRights FullAccess`, and grant access by the address of a person or of a mail-enabled security group
    "#);
}

#[test]
fn r12_why_somebody_is_no_delegate() {
    let world = "
        target filtered@ kind@
        source anna@ filtered@ kind@ nobody@ nokey@ dup@ off@ info@ new@
        mailbox anna@ grants=filtered@,kind@,far@,nokey@,d1@ad.example,off@,room@,out@other.example,broken@,new@
        account anna@ delegates=carl@
        mailbox filtered@
        mailbox kind@
        functional kind@
        mailbox far@
        mailbox nokey@ id=-
        mailbox dup@ id=d1 upn=d1@ad.example
        mailbox dup@ id=d2 upn=d2@ad.example
        mailbox off@ disabled
        other room@
        mailbox out@other.example
        rejected broken@
        mailbox new@ id=new
        account new@ ext=other
        shared info@ grants=d1@ad.example
        functional info@ members=carl
        mailbox carl@
        account carl@
    ";
    assert_snapshot!(told(world), @r#"
    Update anna@
      R16 anna@ is its mailbox, by equal address (R16 c)
    Suspend carl@
      R16 carl@ is its mailbox, by equal address (R16 c)
      R14 its mailbox is not in the source filter
    Suspend new@
      R19 its mailbox is gone from Exchange, and new@ now belongs to a mailbox with another object id
    Identity held: 1 change; MAX_IDENTITY_CHANGES=0 allows none (R26)
      new@: give to another object id #other → #new
    R12 anna@: far@ is not a delegate: it is not in the source filter (R14)
    R12 anna@: filtered@ is not a delegate: it has no account, and TARGET_FILTER keeps it so
    R12 anna@: kind@ is not a delegate: it has no account, and TARGET_FILTER keeps it so
    R12 anna@: off@ is not a delegate: it is disabled and has no account
    R12 anna@: out@other.example is not a delegate: it is outside the claimed domains (R13)
    R12 anna@: room@ is not a delegate: it is not a user mailbox
    R32 anna@: broken@ is left out as a delegate: its mailbox is not understood (R5)
    R32 anna@: dup@ is left out as a delegate: 2 mailboxes have the primary address dup@
    R32 anna@: new@ is left out as a delegate: it is not certain whose account it has
    R32 anna@: nokey@ is left out as a delegate: no account can be created for it without an object id (R24)
    R5 broken@: the mailbox is not understood: Exchange did not say whether its account is disabled
    R14 carl@: it is not in the source filter
    R6 dup@: 2 mailboxes have the primary address dup@
    R14 far@: it is not in the source filter
    R15 filtered@: TARGET_FILTER entry "filtered@" matches its address
    R12 info@: its only delegates are left out, so it is not emptied, and carl@ can still open it
    R32 info@: dup@ is left out as a delegate: 2 mailboxes have the primary address dup@
    R15 kind@: TARGET_FILTER entry "kind@" matches its address
    R16 new@: the account belongs to the object id #other, the mailbox has #new; it may be another person; it is to be suspended until that is approved
    R24 nokey@: the mailbox has no object id, so no account is created
    R21 off@: its mailbox is disabled, so no account is created
    R13 out@other.example: the domain other.example is not among CLAIMED_DOMAINS
    R3 room@: a mailbox of kind "RoomMailbox" is not synchronised
    "#);
}

#[test]
fn r19_why_an_account_without_mailbox_stays() {
    let world = "
        mailbox anna@ alias=merge@,gone@,idle@
        account anna@ alias=merge@,gone@,idle@
        account merge@
        account gone@ ext=gone
        account idle@ off ext=idle
        account found@
        found found@ MailUser
        account asked@
        failed asked@
        account two@
        ambiguous two@
        account live@ ext=anna
        mailbox bert@ alias=still@
        account still@ ext=still
        found #still MailUser
    ";
    assert_snapshot!(told(world), @r#"
    Create bert@
      R19 the mailbox has no account
    Suspend gone@
      R19 its mailbox is gone from Exchange, and its address is now an alias of the mailbox anna@
    Update live@
      R16 anna@ is its mailbox, by ExternalAccountId (R16 b)
      R17 the mailbox's address is now anna@
    R17 anna@: live@ cannot become anna@, which is still the address of the account of "anna", which has no mailbox; merge the accounts, or give that one another address, in the Zivver WebApp
    R19 anna@: its address is now that of the mailbox anna@, and no object id says whose the account is; its owner can still sign in; merge the two accounts, or give this one another address, in the Zivver WebApp
    R23 anna@: the alias gone@ is left out: it is still the alias of the account of "anna" (anna@), which has no mailbox; merge the accounts, or give that one another address, in the Zivver WebApp
    R23 anna@: the alias idle@ is left out: it is still the alias of the account of "anna" (anna@), which has no mailbox; merge the accounts, or give that one another address, in the Zivver WebApp
    R23 anna@: the alias merge@ is left out: it is still the address of the account of "merge", which has no mailbox; merge the accounts, or give that one another address, in the Zivver WebApp
    R23 anna@: another mailbox now has one of its aliases, but without its object id the alias cannot be released
    R19 asked@: whether asked@ is gone could not be asked: throttled; its owner can still sign in
    R23 bert@: the alias still@ is left out: it is still the address of the account of "still", whose own mailbox is not in the list; merge the accounts, or give that one another address, in the Zivver WebApp
    R19 found@: Exchange still has found@ as a MailUser, and no object id says whether the account is of it; its owner can still sign in
    R19 merge@: its address is now an alias of the mailbox anna@, and no object id says whose the account is; its owner can still sign in; merge the two accounts, or give this one another address, in the Zivver WebApp
    R19 still@: its address is now an alias of the mailbox bert@, and Exchange still has #still as a MailUser; its owner can still sign in; merge the two accounts, or give this one another address, in the Zivver WebApp
    R19 two@: Exchange still has more than one recipient two@, and no object id says whether the account is of it; its owner can still sign in
    "#);
}

#[test]
fn r37_what_was_undone_is_held_and_says_by_which_run() {
    let mut scene = Scene::parse(
        "mailbox anna@ name=New
        account anna@ name=Old",
    );
    scene.memory.undone.insert(
        ScimId::new("anna"),
        Undone {
            run: "R1".into(),
            changes: ["name New".to_owned()].into(),
            ..Undone::default()
        },
    );
    assert_snapshot!(told_of(&scene.plan()), @r"
    Undone held: made by run R1 and undone since, and not done again until approved or until its cause in Exchange changes (R37)
      anna@: change name Old → New
    ");
    let still = scene.plan().plan.undone;
    assert_eq!(still[&ScimId::new("anna")].changes.len(), 1);
    scene.approve = vec![Class::Undone];
    assert!(
        scene.plan().plan.undone.is_empty(),
        "approved, so done again"
    );
    scene.approve.clear();
    scene.memory.undone.clear();
    assert!(scene.plan().plan.held.is_empty());
}

#[test]
fn r39_an_address_that_no_mailbox_and_no_account_has_comes_with_the_nearest_ones() {
    let unknown = |text: &str| {
        let scene = Scene::parse(text);
        let RunScope::Only(named) = &scene.wishes.scope else {
            panic!("for everybody");
        };
        unknown_addresses(named, &scene.world())
    };
    let world = "
        only ana@ info@ nobody@ al@ other@ anna@ anna@corp.test anna@else.example
        mailbox anna@ alias=al@
        mailbox hanna@
        account anna@ as=u1 ext=anna alias=al@,other@
        account inf@
    ";
    let found = unknown(world);
    assert_snapshot!(in_words(&found).replace("@corp.example", "@"), @"no mailbox and no account has the addresses ana@ (did you mean anna@, al@ or hanna@?), anna@corp.test (did you mean anna@?), anna@else.example (did you mean anna@?), info@ (did you mean inf@?), nobody@; nothing is written: correct them and start again (R39)");
    assert_eq!(unknown("only anna@\nmailbox anna@"), []);
    assert_eq!(unknown("only anna@ a@\nbroken anna@ alias=a@"), []);
    let mut many = "only".to_owned();
    for at in 0..25 {
        write!(many, " x{at:02}@").unwrap();
    }
    many.push_str("\nmailbox x99@\naccount x99@ as=u1 ext=x99");
    let found = unknown(&many);
    assert_eq!(found.len(), 25);
    let text = in_words(&found);
    assert_eq!(text.matches("did you mean x99@corp.example?").count(), 20);
    assert!(text.contains(", and 5 more; nothing is written"), "{text}");
}

#[test]
fn r8_sids_of_the_deleted_are_told_and_those_of_the_system_are_not() {
    let world = "
        mailbox anna@ grants=S-1-5-21-1-2-3-4,S-1-5-32-544
        account anna@ as=u1 ext=anna
    ";
    assert_snapshot!(told(world), @"R8 anna@: S-1-5-21-1-2-3-4 is a deleted principal; remove the entry with `Remove-MailboxPermission -Identity 'anna@' -User 'S-1-5-21-1-2-3-4' -AccessRights FullAccess`");
}
