//! R27: one printed code is enough, and an approved change that is not made is held or named.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{
    notation::{Planned, Scene},
    properties::{cases, choices, sound, world},
    shown::shown,
};
use crate::{
    approval::{Approval, Showing},
    guard::Class,
    held::HeldSet,
    hold::guarded_fingerprints,
};

const NOBODY: &str =
    "limits suspend=0 delegates=0 aliases=0 renames=0 names=0 strays=0 identity=0 creates=0";

/// The leaver has the address that the colleague gets, and both changes are held.
const LEAVER: &str = "
    limits suspend=0 renames=0
    account dirk@ as=dirk ext=gone
    mailbox dirk@ id=cara alias=cara@
    account cara@ as=cara ext=cara
    people a@ b@ c@ d@
";

fn set(planned: &Planned, class: Class) -> &HeldSet {
    let mut held = planned.plan.held.iter();
    held.find(|set| set.class == class).unwrap()
}

fn fingerprints<'a>(
    changes: impl IntoIterator<Item = &'a crate::held::HeldChange>,
) -> BTreeSet<String> {
    let changes = changes.into_iter();
    changes.map(|it| it.fingerprint.clone()).collect()
}

/// The same scene in a run with these approvals.
fn approved(scene: &Scene, fingerprints: BTreeSet<String>) -> Planned {
    let mut scene = scene.clone();
    scene.wishes.approved = fingerprints;
    scene.plan()
}

fn reject(scene: &mut Scene, set: &HeldSet, accounts: &[&str]) {
    let showing = Showing {
        at: scene.wishes.now,
        read_from: None,
        by: None,
        four_eyes: false,
        undoes: None,
    };
    let approval = Approval::offer(set, None, showing).unwrap();
    let accounts = accounts.iter().map(|it| super::notation::address(it));
    let now = scene.wishes.now;
    scene
        .memory
        .reject(&set.code, &approval, &accounts.collect(), None, now);
}

/// Rejects about a quarter of what is held.
fn reject_some(scene: &mut Scene, seed: u64) {
    let mut choose = choices(seed);
    for set in scene.plan().plan.held {
        let addresses = set.changes.iter().map(|it| it.address.to_string());
        let addresses: Vec<String> = addresses.filter(|_| choose(4) == 0).collect();
        if !addresses.is_empty() {
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            reject(scene, &set, &addresses);
        }
    }
}

/// The sets with their companions and what waits, and the causes of what was approved and is not made.
fn told(planned: &Planned) -> String {
    let mut lines = Vec::new();
    for set in &planned.plan.held {
        lines.push(format!("{:?}", set.class));
        for change in &set.changes {
            lines.push(format!("  {} {}", change.address, change.in_words()));
            lines.extend(change.waits.iter().map(|why| format!("    waits: {why}")));
        }
        for change in &set.companions {
            lines.push(format!("  with {} {}", change.address, change.in_words()));
        }
    }
    for unmade in planned.plan.unmade.values() {
        lines.push(format!("unmade: {}", unmade.why));
    }
    let notes = planned.plan.notes.iter();
    lines.extend(notes.map(|note| format!("{:?} {}: {}", note.code, note.address, note.text)));
    let mut text = lines.join("\n").replace("corp.example", "");
    for set in &planned.plan.held {
        text = text.replace(&set.code, &format!("<{:?}>", set.class));
    }
    text
}

#[test]
fn r27_a_set_contains_what_its_changes_need_of_other_sets() {
    let scene = Scene::parse(LEAVER);
    let held = scene.plan();
    assert_snapshot!(told(&held), @r"
    Suspend
      dirk@ suspend active → suspended
    Rename
      cara@ rename cara@ → dirk@
      dirk@ rename dirk@ → cloud-sync-ba19d6df9d2b@
      with dirk@ suspend active → suspended
    ");
    let renames = set(&held, Class::Rename);
    let made = approved(&scene, fingerprints(renames.approves()));
    assert_eq!(made.plan.held, []);
    assert!(made.plan.unmade.is_empty());
    // R36: without what they need, the renames stay held in the same set.
    let not_made = approved(&scene, fingerprints(&renames.changes));
    assert_eq!(not_made.plan.held, held.plan.held);
    assert_snapshot!(told(&not_made), @r"
    Suspend
      dirk@ suspend active → suspended
    Rename
      cara@ rename cara@ → dirk@
      dirk@ rename dirk@ → cloud-sync-ba19d6df9d2b@
      with dirk@ suspend active → suspended
    unmade: it waits for what is held: dirk@ suspend active → suspended; approve that with the code <Suspend> (R27)
    unmade: it waits for what is held: dirk@ suspend active → suspended; approve that with the code <Suspend> (R27)
    ");
}

#[test]
fn r47_what_needs_a_rejected_change_says_how_to_take_the_rejection_back() {
    let mut scene = Scene::parse(LEAVER);
    let suspends = set(&scene.plan(), Class::Suspend).clone();
    reject(&mut scene, &suspends, &[]);
    let held = scene.plan();
    assert_snapshot!(told(&held).replace(&suspends.code, "CODE"), @r"
    Rename
      cara@ rename cara@ → dirk@
        waits: it waits for what was rejected: dirk@ suspend active → suspended; take the rejection back with cloud-sync reject --undo CODE --account dirk@ (R47)
      dirk@ rename dirk@ → cloud-sync-ba19d6df9d2b@
        waits: it waits for what was rejected: dirk@ suspend active → suspended; take the rejection back with cloud-sync reject --undo CODE --account dirk@ (R47)
    Rejection dirk@: rejected with the code CODE, and not made until it changes: suspend active → suspended
    ");
    assert!(!set(&held, Class::Rename).can_be_made());
    let renames = set(&held, Class::Rename);
    let not_made = approved(&scene, fingerprints(renames.approves()));
    assert_eq!(not_made.plan.held, held.plan.held);
    // Within its limit it is named.
    scene.policy.limits.renames = crate::guard::Limit::Off;
    assert_snapshot!(told(&scene.plan()).replace(&suspends.code, "CODE"), @r#"
    RenameBlocked dirk@: cara@ cannot become dirk@, which is still the address of the account of "dirk", whose mailbox is gone; it waits for what was rejected: dirk@ suspend active → suspended; take the rejection back with cloud-sync reject --undo CODE --account dirk@ (R47)
    Rejection dirk@: rejected with the code CODE, and not made until it changes: suspend active → suspended
    "#);
}

#[test]
fn r27_r12_a_functional_account_stays_held_with_its_only_delegates() {
    let mut scene = Scene::parse(
        "limits creates=0
        mailbox anna@
        mailbox bert@
        mailbox cara@
        shared info@ grants=anna@,bert@",
    );
    let held = scene.plan();
    let creates = set(&held, Class::Create).clone();
    let of = |address: &str| {
        let address = super::notation::address(address);
        fingerprints(creates.changes.iter().filter(|it| it.address == address))
    };
    let alone = approved(&scene, of("info@"));
    assert_eq!(alone.plan.held, held.plan.held);
    assert_snapshot!(told(&alone), @r"
    Create
      anna@ create the account anna
      bert@ create the account bert
      cara@ create the account cara
      info@ create the account info
    unmade: it waits for what is held: anna@ create the account anna, bert@ create the account bert; approve that with the code <Create> (R27)
    ");
    reject(&mut scene, &creates, &["anna@", "bert@"]);
    assert_snapshot!(told(&scene.plan()).replace(&creates.code, "CODE"), @r"
    Create
      cara@ create the account cara
      info@ create the account info
        waits: it waits for what was rejected: anna@ create the account anna, bert@ create the account bert; take the rejection back with cloud-sync reject --undo CODE --account anna@ --account bert@ (R47)
    Rejection anna@: rejected with the code CODE, and not made until it changes: create the account anna
    Rejection bert@: rejected with the code CODE, and not made until it changes: create the account bert
    ");
    // Also when it is within its limit.
    scene.policy.limits.creates = crate::guard::Limit::Off;
    assert_snapshot!(told(&scene.plan()).replace(&creates.code, "CODE"), @r"
    Rejection anna@: rejected with the code CODE, and not made until it changes: create the account anna
    Rejection bert@: rejected with the code CODE, and not made until it changes: create the account bert
    Waits info@: its only delegates are left out for now, so it is not created; it waits for what was rejected: anna@ create the account anna, bert@ create the account bert; take the rejection back with cloud-sync reject --undo CODE --account anna@ --account bert@ (R47)
    DelegateLeftOut info@: anna@ is left out as a delegate: it has no account yet; it waits for what was rejected: anna@ create the account anna; take the rejection back with cloud-sync reject --undo CODE --account anna@ (R47)
    DelegateLeftOut info@: bert@ is left out as a delegate: it has no account yet; it waits for what was rejected: bert@ create the account bert; take the rejection back with cloud-sync reject --undo CODE --account bert@ (R47)
    ");
}

#[test]
fn r23_the_remedy_for_a_blocked_address_is_about_its_release() {
    let mut scene = Scene::parse(
        "limits aliases=0 names=0
        mailbox anna@ name=New
        account anna@ name=Old alias=x@
        mailbox bert@ alias=x@
        account bert@",
    );
    assert_snapshot!(told(&scene.plan()), @r#"
    AliasRemoval
      anna@ remove alias x@
    NameChange
      anna@ change name Old → New
    AliasTaken bert@: the alias x@ is left out: it is still the alias of the account of "Old" (anna@), whose mailbox is now anna@; it waits for what is held: anna@ remove alias x@; approve that with the code <AliasRemoval> (R27)
    "#);
    let aliases = set(&scene.plan(), Class::AliasRemoval).clone();
    reject(&mut scene, &aliases, &[]);
    assert_snapshot!(told(&scene.plan()).replace(&aliases.code, "CODE"), @r#"
    NameChange
      anna@ change name Old → New
    Rejection anna@: rejected with the code CODE, and not made until it changes: remove alias x@
    AliasTaken bert@: the alias x@ is left out: it is still the alias of the account of "Old" (anna@), whose mailbox is now anna@; it waits for what was rejected: anna@ remove alias x@; take the rejection back with cloud-sync reject --undo CODE --account anna@ (R47)
    "#);
}

#[test]
fn r27_what_cannot_be_made_at_all_is_not_shown_as_approved_with_a_set() {
    // The stray b@ names a@ as a delegate and cannot be written without a key, so a@ keeps its address.
    let world = "
        mailbox e@ id=p alias=a@
        account a@ as=u0 alias=e@ ext=q
        account b@ as=u2 delegates=a@
        new-keys
        limits suspend=0 delegates=0 aliases=0 renames=0 names=0 strays=0 identity=0 creates=0
    ";
    assert_snapshot!(told(&Scene::parse(world).plan()), @r"
    Stray
      b@ suspend active → suspended
    Suspend
      a@ suspend active → suspended
    AliasRemoval
      a@ remove alias e@
    Rename
      a@ rename a@ → cloud-sync-8f713d0c0f91@
        waits: b@ still names it as a delegate by that address, which another account needs; take it out there in the Zivver WebApp
    Create
      e@ create the account e
      with a@ remove alias e@
      with a@ suspend active → suspended
    ");
}

proptest! {
    #![proptest_config(cases())]

    /// The printed code of a set makes all of its changes, except those of which the set says that they wait.
    #[test]
    fn r27_one_code_is_enough(lines in world(), nobody in any::<bool>(), seed in any::<u64>()) {
        let mut text = format!("{}\nnew-keys", lines.join("\n"));
        if nobody {
            text = format!("{text}\n{NOBODY}");
        }
        let mut scene = Scene::parse(&text);
        reject_some(&mut scene, seed);
        let before = scene.plan();
        for set in &before.plan.held {
            let after = approved(&scene, fingerprints(set.approves()));
            let told = || format!("{text}\n{:?}\nbefore\n{}\nafter\n{}", set.class, told(&before), told(&after));
            for change in &set.changes {
                let is_made = after.plan.used_approvals.contains(&change.fingerprint);
                prop_assert_eq!(is_made, change.waits.is_none(), "{}\n{}", change.in_words(), told());
                let is_told = change.waits.as_deref() != Some("a change that it needs is not made");
                prop_assert!(is_told, "{}\n{}", change.in_words(), told());
                let is_named = after.plan.unmade.contains_key(&change.fingerprint);
                prop_assert_eq!(is_made, !is_named, "{}\n{}", change.in_words(), told());
            }
            for change in &set.companions {
                let is_made = after.plan.used_approvals.contains(&change.fingerprint);
                prop_assert!(is_made, "{}\n{}", change.in_words(), told());
            }
            sound(&after);
        }
    }

    /// Whatever part is approved and whatever is rejected: an approved change is made, or held, or named.
    #[test]
    fn r36_an_approved_change_is_never_forgotten(lines in world(), nobody in any::<bool>(), seed in any::<u64>()) {
        let mut choose = choices(seed);
        let mut text = format!("{}\nnew-keys", lines.join("\n"));
        if nobody {
            text = format!("{text}\n{NOBODY}");
        }
        let mut scene = Scene::parse(&text);
        reject_some(&mut scene, seed.wrapping_add(1));
        let before = scene.plan();
        let all = before.plan.held.iter().flat_map(HeldSet::approves);
        let chosen = fingerprints(all.filter(|_| choose(2) == 0));
        let after = approved(&scene, chosen.clone());
        let held = fingerprints(after.plan.held.iter().flat_map(|set| &set.changes));
        let made: BTreeSet<String> = after.plan.approved.deltas().iter()
            .flat_map(|delta| guarded_fingerprints(delta, &after.world.accounts))
            .chain(after.plan.used_approvals.iter().cloned())
            .collect();
        for set in &before.plan.held {
            for change in &set.changes {
                let it = &change.fingerprint;
                let is_named = made.contains(it) || after.plan.unmade.contains_key(it);
                // R16: whoever the account belongs to is decided, so that what was to happen until then is not planned.
                let is_decided = before.plan.held.iter().any(|set| set.class == Class::Identity
                    && set.changes.iter().any(|it| it.address == change.address));
                prop_assert!(is_named || held.contains(it) || is_decided,
                    "{}\n{text}\n{chosen:?}\nbefore\n{}\nafter\n{}\n{}", change.in_words(), told(&before), told(&after), shown(&after));
            }
        }
    }
}

#[test]
fn r27_no_note_names_the_approval_of_a_change_that_cannot_be_made() {
    // dora@ is protected and names carl@, so the account of carl@ keeps its address.
    let world = "
        target dora
        people yan@ zed@
        mailbox anna@ alias=carl@
        account anna@ ext=anna
        account carl@ suspended ext=carl
        mailbox dora@
        account dora@ ext=dora delegates=carl@
        gone carl@
        limits default renames=0
    ";
    assert_snapshot!(told(&Scene::parse(world).plan()), @r#"
    Rename
      carl@ rename carl@ → cloud-sync-b600d9899fe3@
        waits: dora@ still names it as a delegate by that address, which another account needs; take it out there in the Zivver WebApp
    AliasTaken anna@: the alias carl@ is left out: it is still the address of the account of "carl", whose mailbox is gone; it waits for what is held: carl@ rename carl@ → cloud-sync-b600d9899fe3@, which no approval makes: dora@ still names it as a delegate by that address, which another account needs; take it out there in the Zivver WebApp
    TargetFilter dora@: TARGET_FILTER entry "dora" matches its address
    "#);
}

#[test]
fn r23_r27_what_a_held_key_blocks_is_named() {
    let world = "
        new-keys
        people bert@
        mailbox anna@ alias=x@ grants=bert@,carl@
        mailbox carl@
        account anna@ delegates=gone@
        limits default
    ";
    assert_snapshot!(told(&Scene::parse(world).plan()), @r"
    SignInKey
      anna@ replace the sign-in key unknown → 00000000-0000-4000-8000-0000616e6e61
    Waits anna@: not added: alias + x@, delegate + bert@, delegate + carl@; it waits for what is held: anna@ replace the sign-in key unknown → 00000000-0000-4000-8000-0000616e6e61; approve that with the code <SignInKey> (R27)
    ");
}

#[test]
fn r27_r23_a_key_that_only_a_taken_alias_needs_names_that_alias() {
    let world = "
        new-keys
        mailbox dora@ alias=dep@
        account dora@
        functional dep@
        limits default
    ";
    assert_snapshot!(told(&Scene::parse(world).plan()), @r#"
    SignInKey
      dora@ replace the sign-in key unknown → 00000000-0000-4000-8000-0000646f7261
    MergeCandidate dep@: its address is now an alias of the mailbox dora@; merge, rename or convert the account in the Zivver WebApp
    Waits dora@: not added: alias + dep@; it waits for what is held: dora@ replace the sign-in key unknown → 00000000-0000-4000-8000-0000646f7261; approve that with the code <SignInKey> (R27)
    "#);
}

#[test]
fn r27_r23_a_key_says_which_changes_need_it() {
    // The account names itself as a delegate by the address that it gives up.
    let own = "
        limits default
        limits suspend=0 renames=0 creates=0
        mailbox c@ id=p alias=b@
        account b@ as=u0 delegates=b@
        map q=u0
        new-keys
    ";
    assert_snapshot!(told(&Scene::parse(own).plan()), @r"
    Suspend
      b@ suspend active → suspended
    SignInKey
      b@ replace the sign-in key unknown → 00000000-0000-4000-8000-000000000071
    Rename
      b@ rename b@ → cloud-sync-bb26fa1ec931@
      with b@ replace the sign-in key unknown → 00000000-0000-4000-8000-000000000071
      with b@ suspend active → suspended
      with c@ create the account c
    Create
      c@ create the account c
    ");
    // The delegate may be renamed.
    let delegate = "
        limits default
        mailbox c@ id=p alias=b@
        account d@ as=u0 ext=q off delegates=b@
        account b@ as=u1 alias=c@
        new-keys
    ";
    assert_snapshot!(told(&Scene::parse(delegate).plan()), @r"
    Identity
      b@ rename on the evidence of an alias b@ → c@
      b@ replace the sign-in key unknown → 00000000-0000-4000-8000-000000000070
    SignInKey
      d@ replace the sign-in key unknown → 00000000-0000-4000-8000-000000000071
    AliasEvidence c@: the account b@ may be its account under an older address; it can open d@, for which Exchange shows no grant of this mailbox
    Waits c@: not added: alias + b@; it waits for what is held: b@ replace the sign-in key unknown → 00000000-0000-4000-8000-000000000070; approve that with the code <Identity> (R27)
    ");
    // The delegate cannot be renamed.
    let blocked = "
        limits default
        mailbox c@ id=r alias=b@
        account e@ as=u0
        map r=u0
        account a@ as=u1 delegates=e@
        map p=u1
        account c@ as=u2
        new-keys
    ";
    assert_snapshot!(told(&Scene::parse(blocked).plan()), @r#"
    SignInKey
      a@ replace the sign-in key unknown → 00000000-0000-4000-8000-000000000070
      e@ replace the sign-in key unknown → 00000000-0000-4000-8000-000000000072
    RenameBlocked c@: e@ cannot become c@, which is still the address of the account of "c", which has no mailbox; merge the accounts, or give that one another address, in the Zivver WebApp
    MergeCandidate c@: its address is now that of the mailbox c@, and no object id says whose the account is; its owner can still sign in; merge the two accounts, or give this one another address, in the Zivver WebApp
    Waits c@: not added: alias + b@; it waits for what is held: e@ replace the sign-in key unknown → 00000000-0000-4000-8000-000000000072; approve that with the code <SignInKey> (R27)
    "#);
}

#[test]
fn r27_an_address_that_an_account_on_evidence_gets_is_given_up_with_it() {
    let world = "
        limits suspend=0 renames=0 identity=0
        mailbox b@ id=p alias=a@,d@
        account d@ as=u0
        account a@ as=u1 ext=q
    ";
    assert_snapshot!(told(&Scene::parse(world).plan()), @r"
    Identity
      d@ rename on the evidence of an alias d@ → b@
    Suspend
      a@ suspend active → suspended
    Rename
      a@ rename a@ → cloud-sync-b127b0835ce7@
      with a@ suspend active → suspended
      with d@ rename on the evidence of an alias d@ → b@
    AliasEvidence b@: the account d@ may be its account under an older address
    ");
}
