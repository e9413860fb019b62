//! R40: the explanation of any address.

use std::fmt::Write as _;

use insta::assert_snapshot;

use super::{
    notation::{NOW, Planned, Scene, address},
    shown::short,
};
use crate::{explain::explain, ids::ScimId};

fn explained(text: &str, names: &[&str]) -> String {
    let scene = Scene::parse(text);
    let Planned {
        world,
        matching,
        plan,
    } = scene.plan();
    let mut out = String::new();
    for name in names {
        let found = explain(
            &address(name),
            &world,
            &scene.policy,
            &scene.memory,
            &matching,
            &plan,
            None,
        );
        writeln!(out, "{name} {}", found.verdict).unwrap();
        for it in &found.mailboxes {
            let (kind, disabled) = (&it.kind, it.disabled);
            writeln!(out, "  {} {kind} {disabled:?}: {}", it.primary, it.standing).unwrap();
            writeln!(out, "    {:?} {:?}", it.aliases, it.full_access).unwrap();
        }
        for it in &found.accounts {
            writeln!(
                out,
                "  {} {:?} {}: {}",
                it.id, it.kind, it.active, it.standing
            )
            .unwrap();
            writeln!(
                out,
                "    {:?} {:?} {:?}",
                it.aliases, it.delegates, it.suspended
            )
            .unwrap();
        }
        let counts = (found.actions.len(), found.held.len(), found.notes.len());
        writeln!(out, "  {counts:?}").unwrap();
    }
    short(&out)
}

#[test]
fn r12_who_has_a_mailbox_elsewhere_is_shown_with_kind_and_path() {
    let world = "
        found h0@ MailUser id=h0 mail=h0@
        account h0@
        people anna@
        group Crew members=h0@
        shared desk@ grants=anna@,Crew
        functional desk@ members=anna,h0
    ";
    let text = explained(world, &["desk@"]);
    let paths = r#"Some(["anna@", "h0@ (MailUser) via Crew"])"#;
    assert!(text.contains(paths), "{text}");
}

#[test]
fn r40_what_is_in_sync_unknown_or_without_an_account() {
    let world = "
        mailbox anna@ alias=a@ name=Anna
        account anna@ alias=a@ name=Anna ext=anna
        mailbox bert@ grants=anna@,Sales
        account bert@ delegates=anna@,carl@
        mailbox carl@ disabled
        mailbox dora@ disabled
        account carl@
        group Sales members=Inner
        group Inner members=carl@
        account left@ off
        functional info@ members=anna,stranger
        shared info@ grants=anna@
        map bert=bert
        mailbox heir@
        account heir@ ext=predecessor
        map heir=heir
    ";
    let names = [
        "anna@", "a@", "bert@", "carl@", "dora@", "left@", "info@", "nobody@", "heir@",
    ];
    assert_snapshot!(explained(world, &names), @r#"
    anna@ in sync: nothing is to change (R38)
      anna@ UserMailbox Some(false): has the account anna@, by ExternalAccountId (R16 b)
        ["a@"] Some([])
      anna User true: belongs to the mailbox anna@ (R16)
        ["a@"] [] None
      (0, 0, 0)
    a@ in sync: nothing is to change (R38)
      anna@ UserMailbox Some(false): has the account anna@, by ExternalAccountId (R16 b)
        ["a@"] Some([])
      anna User true: belongs to the mailbox anna@ (R16)
        ["a@"] [] None
      (0, 0, 0)
    bert@ in sync: nothing is to change (R38)
      bert@ UserMailbox Some(false): has the account bert@, by the mapping of object ids (R16 a)
        [] Some(["anna@", "carl@ via Sales > Inner"])
      bert User true: belongs to the mailbox bert@ (R16)
        [] ["anna@", "carl@"] None
      (0, 0, 0)
    carl@ suspend is planned
      carl@ UserMailbox Some(true): has the account carl@, by equal address (R16 c)
        [] Some([])
      carl User true: belongs to the mailbox carl@ (R16)
        [] [] None
      (1, 0, 0)
    dora@ its mailbox is disabled, so no account is created (R21)
      dora@ UserMailbox Some(true): has no account
        [] Some([])
      (0, 0, 1)
    left@ there is no mailbox, and the account is left as it is
      left User false: has no mailbox; tied to no object id (R19)
        [] [] None
      (0, 0, 0)
    info@ in sync: nothing is to change (R38)
      info@ SharedMailbox None: has the account info@, by equal address (R16 c)
        [] Some(["anna@"])
      info Functional true: belongs to the mailbox info@ (R16)
        [] ["anna@", "stranger"] None
      (0, 0, 0)
    nobody@ neither Exchange nor Zivver knows this address
      (0, 0, 0)
    heir@ in sync: nothing is to change (R38)
      heir@ UserMailbox Some(false): has the account heir@, by the mapping of object ids (R16 a)
        [] Some([])
      heir User true: belongs to the mailbox heir@ by the mapping of object ids; Zivver shows the object id of an earlier owner, which cannot be changed (R16)
        [] [] None
      (0, 0, 0)
    "#);
}

#[test]
fn r40_what_is_protected_outside_or_not_understood() {
    let world = "
        target filtered@
        mailbox filtered@
        account filtered@
        mailbox away@other.example id=away
        account away@ ext=away
        account foreign@other.example
        rejected broken@ alias=bro@
        mailbox one@ alias=twice@
        mailbox two@ alias=twice@
        source filtered@ one@
        mailbox out@
        account out@
    ";
    let names = [
        "filtered@",
        "away@other.example",
        "foreign@other.example",
        "broken@",
        "bro@",
        "twice@",
        "out@",
    ];
    assert_snapshot!(explained(world, &names), @r#"
    filtered@ TARGET_FILTER entry "filtered@" matches its address (R15)
      filtered@ UserMailbox Some(false): protected: TARGET_FILTER entry "filtered@" matches its address (R15)
        [] Some([])
      filtered User true: protected: TARGET_FILTER entry "filtered@" matches its address (R15)
        [] [] None
      (0, 0, 1)
    away@other.example its mailbox away@other.example is outside the claimed domains; the account stays as it is (R13)
      away@other.example UserMailbox Some(false): outside the claimed domains, so it is not synchronised (R13)
        [] None
      away User true: belongs to the mailbox away@other.example, which is outside the claimed domains (R13)
        [] [] None
      (0, 0, 2)
    foreign@other.example there is no mailbox, and the account is left as it is
      foreign User true: outside the claimed domains, never touched (R13)
        [] [] None
      (0, 0, 0)
    broken@ the mailbox is not understood: Exchange did not say whether its account is disabled (R5)
      broken@ not understood None: rejected: Exchange did not say whether its account is disabled (R5)
        ["bro@", "broken@"] None
      (0, 0, 1)
    bro@ the mailbox is not understood: Exchange did not say whether its account is disabled (R5)
      broken@ not understood None: rejected: Exchange did not say whether its account is disabled (R5)
        ["bro@", "broken@"] None
      (0, 0, 1)
    twice@ create is planned
      one@ UserMailbox Some(false): has no account
        ["twice@"] Some([])
      two@ UserMailbox Some(false): has no account
        ["twice@"] None
      (1, 0, 2)
    out@ suspend is planned
      out@ UserMailbox Some(false): has the account out@, by equal address (R16 c), but it is not in the source filter (R14)
        [] None
      out User true: belongs to the mailbox out@ (R16)
        [] [] None
      (1, 0, 1)
    "#);
}

#[test]
fn r40_whose_an_account_may_be() {
    let world = "
        mailbox twin@ id=twin disabled
        mailbox twin2@ id=twin2 disabled
        account twins@
        map twin=twins twin2=twins
        mailbox evi@ id=evi alias=old@
        account old@
        mailbox live@ alias=merge@
        account live@
        account merge@
        account gone@
        mailbox new@ id=new
        account new@ ext=other
    ";
    let names = ["twins@", "evi@", "merge@", "gone@", "new@"];
    assert_snapshot!(explained(world, &names), @r#"
    twins@ suspend is planned
      twin2@ UserMailbox Some(true): protected: 2 mailboxes claim the account twins@ equally (R16)
        [] Some([])
      twin@ UserMailbox Some(true): protected: 2 mailboxes claim the account twins@ equally (R16)
        [] Some([])
      twins User true: all mailboxes that claim it are disabled (R16)
        [] [] None
      (1, 0, 2)
    evi@ the account old@ may be its account under an older address (R17)
      evi@ UserMailbox Some(false): may have the account old@ (R17)
        ["old@"] Some([])
      (0, 0, 1)
    merge@ the alias merge@ is left out: it is still the address of the account of "merge", which has no mailbox; merge the accounts, or give that one another address, in the Zivver WebApp (R23)
      live@ UserMailbox Some(false): has the account live@, by equal address (R16 c)
        ["merge@"] Some([])
      live User true: belongs to the mailbox live@ (R16)
        [] [] None
      merge User true: has no mailbox of its own; its address belongs to live@; tied to no object id (R19)
        [] [] None
      (0, 0, 2)
    gone@ suspend is held: 1 change; MAX_STRAYS=0 allows none (R26)
      gone User true: has no mailbox; tied to no object id (R19)
        [] [] None
      (0, 1, 0)
    new@ give to another object id is held: 2 changes; MAX_IDENTITY_CHANGES=0 allows none (R26)
      new@ UserMailbox Some(false): has the address of the account new@, which belongs to the object id #other (R16)
        [] Some([])
      new User true: has the address of the mailbox new@, but is tied to the object id #other, which no longer exists in Exchange (R16)
        [] [] None
      (1, 1, 1)
    "#);
}

#[test]
fn r40_a_suspended_account_tells_since_when() {
    let mut scene = Scene::parse("account gone@ off\naccount here@\nmailbox here@");
    scene.memory.suspended.insert(ScimId::new("gone"), NOW);
    scene.memory.suspended.insert(ScimId::new("here"), NOW);
    let Planned {
        world,
        matching,
        plan,
    } = scene.plan();
    let suspended = |name| {
        let found = explain(
            &address(name),
            &world,
            &scene.policy,
            &scene.memory,
            &matching,
            &plan,
            None,
        );
        found.accounts[0].suspended.is_some()
    };
    assert!(suspended("gone@"));
    assert!(!suspended("here@"), "it is active again");
}

#[test]
fn r9_a_group_is_also_found_by_its_display_name() {
    let world = "
        mailbox anna@ grants=Sellers
        account anna@
        mailbox bert@
        account bert@
        group Sales shown=Sellers members=bert@
    ";
    assert_snapshot!(explained(world, &["anna@"]), @r#"
    anna@ update is planned
      anna@ UserMailbox Some(false): has the account anna@, by equal address (R16 c)
        [] Some(["bert@ via Sellers"])
      anna User true: belongs to the mailbox anna@ (R16)
        [] [] None
      (1, 0, 0)
    "#);
}

#[test]
fn r10_of_several_paths_the_shortest_and_then_the_first_is_shown() {
    let world = "
        mailbox anna@ grants=Top,Deep
        mailbox bert@
        mailbox carl@
        group Top members=B,A
        group A members=bert@
        group B members=bert@
        group Deep members=Deeper
        group Deeper members=carl@
        mailbox dora@ grants=Deep,Flat
        mailbox emil@ grants=Flat,Deep
        group Flat members=carl@
    ";
    assert_snapshot!(explained(world, &["anna@", "dora@", "emil@"]), @r#"
    anna@ create is planned
      anna@ UserMailbox Some(false): has no account
        [] Some(["bert@ via Top > A", "carl@ via Deep > Deeper"])
      (1, 0, 0)
    dora@ create is planned
      dora@ UserMailbox Some(false): has no account
        [] Some(["carl@ via Flat"])
      (1, 0, 0)
    emil@ create is planned
      emil@ UserMailbox Some(false): has no account
        [] Some(["carl@ via Flat"])
      (1, 0, 0)
    "#);
}

#[test]
fn r40_an_account_of_another_object_id_does_not_belong_to_the_mailbox_at_its_address() {
    let world = "
        mailbox anna@ id=new disabled
        account anna@ as=u1 off
        map old=u1
    ";
    assert_snapshot!(explained(world, &["anna@"]), @r"
    anna@ in sync: nothing is to change (R38)
      anna@ UserMailbox Some(true): has the address of the account anna@, which belongs to the object id #old (R16)
        [] Some([])
      u1 User false: has the address of the mailbox anna@, but is tied to the object id #old (R16)
        [] [] None
      (0, 0, 0)
    ");
}
