//! R47: changes that a person has rejected.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{
    notation::{NOW, Planned, Scene, address, object_id},
    properties::{cases, choices, sound, world},
    shown::shown,
    undo::undone,
};
use crate::{
    approval::{Approval, Showing},
    guard::Class,
    hold::guarded_fingerprints,
    memory::Rejection,
    note::Code,
};

const LEAVERS: &str = "
    limits suspend=1
    mailbox a@ disabled
    account a@
    mailbox b@ disabled
    account b@
    people c@ d@ e@ f@ g@ h@ i@ j@
";

/// A scene that follows another, with the memory of that.
fn next(before: &Scene, text: &str) -> Scene {
    let mut scene = Scene::parse(text);
    scene.memory = before.memory.clone();
    scene.memory.rejections = before.plan().plan.rejections;
    scene.wishes.now = before.wishes.now;
    scene
}

/// Rejects what a plan holds of a class, or only what it holds of these accounts.
fn reject(scene: &mut Scene, class: Class, accounts: &[&str]) -> Vec<Rejection> {
    let accounts: BTreeSet<_> = accounts.iter().map(|text| address(text)).collect();
    let held = scene.plan().plan.held;
    let set = held.iter().find(|set| set.class == class).unwrap();
    let approval = Approval::offer(set, None, showing()).unwrap();
    let now = scene.wishes.now;
    scene
        .memory
        .reject(&set.code, &approval, &accounts, None, now)
}

/// The changes, the held sets, and the notes about rejected changes.
fn told(scene: &Scene) -> String {
    let planned = scene.plan();
    let notes = planned.plan.notes.iter();
    let notes = notes.filter(|note| note.code == Code::Rejection);
    let notes: Vec<String> = notes
        .map(|note| {
            let (_, text) = note.text.split_once(": ").unwrap();
            format!("rejected: {} {text}", note.address)
        })
        .collect();
    let lines = shown(&planned);
    let lines = lines
        .lines()
        .filter(|line| !line.contains("Rejection"))
        .map(str::to_owned);
    let lines: Vec<String> = lines.chain(notes).collect();
    let key = object_id("anna");
    lines
        .join("\n")
        .replace("corp.example", "")
        .replace(&key, "KEY")
}

fn later(scene: &mut Scene) {
    scene.wishes.now += 25 * 3600;
}

#[test]
fn r47_what_is_rejected_is_listed_and_what_was_held_beside_it_stays_held() {
    let mut scene = Scene::parse(LEAVERS);
    assert_eq!(reject(&mut scene, Class::Suspend, &["a@"]).len(), 1);
    assert_snapshot!(told(&scene), @r"
    held Suspend: b@ suspend [active] -> [suspended]
    rejected: a@ suspend active → suspended
    ");
    let reason = &scene.plan().plan.held[0].reason;
    assert_eq!(
        reason,
        "1 change, beside 1 rejected, where MAX_SUSPEND=1 allows 1 of 10 (R26)"
    );
    // A day later it is within its limit, as after an approval.
    later(&mut scene);
    assert_snapshot!(told(&scene), @r"
    suspend b@; active -yes +no
    0. b@: active [false]
    rejected: a@ suspend active → suspended
    ");
}

#[test]
fn r47_a_rejected_change_is_not_made_when_its_limit_is_off() {
    let mut scene = Scene::parse(LEAVERS);
    reject(&mut scene, Class::Suspend, &[]);
    let scene = next(&scene, &LEAVERS.replace("suspend=1", "suspend=100%"));
    assert_snapshot!(told(&scene), @r"
    rejected: a@ suspend active → suspended
    rejected: b@ suspend active → suspended
    ");
}

#[test]
fn r47_a_rejected_removal_is_not_made_by_emptying_the_account() {
    let with = |access: &str| {
        format!(
            "
            limits delegates=1
            people anna@ bert@ carl@
            shared info@ {access}
            functional info@ members=anna,bert,carl
            "
        )
    };
    let mut scene = Scene::parse(&with("grants=anna@"));
    assert_eq!(reject(&mut scene, Class::DelegateRemoval, &[]).len(), 2);
    let mut scene = next(&scene, &with(""));
    later(&mut scene);
    assert_snapshot!(told(&scene), @r"
    update info@; delegates -anna@
    0. info@: members [bert@ carl@]
    rejected: info@ remove delegate bert@
    rejected: info@ remove delegate carl@
    ");
}

#[test]
fn r47_a_rejected_removal_keeps_members_of_its_own_account_only() {
    let with = |limit: usize, access: &str, desk: &str| {
        format!(
            "
            limits delegates={limit}
            people anna@ bert@ carl@
            shared info@ {access}
            functional info@ members=anna,bert,carl
            shared desk@ {desk}
            functional desk@ members=carl
            "
        )
    };
    let mut scene = Scene::parse(&with(1, "grants=anna@", "grants=carl@"));
    assert_eq!(reject(&mut scene, Class::DelegateRemoval, &[]).len(), 2);
    let mut scene = next(&scene, &with(2, "", ""));
    later(&mut scene);
    assert_snapshot!(told(&scene), @r"
    empty desk@; active -yes +no; delegates -carl@
    update info@; delegates -anna@
    0. info@: members [bert@ carl@]
    1. desk@: empty, keep [0]
    rejected: info@ remove delegate bert@
    rejected: info@ remove delegate carl@
    ");
}

#[test]
fn r47_a_change_that_a_person_made_meanwhile_ends_no_rejection() {
    let mut scene = Scene::parse(LEAVERS);
    reject(&mut scene, Class::Suspend, &[]);
    let by_hand = LEAVERS.replace("account a@", "account a@ off");
    let scene = next(&next(&scene, LEAVERS), &by_hand);
    assert_snapshot!(told(&scene), @"rejected: b@ suspend active → suspended");
    // The owner is let in again, and the source wants the same as when it was rejected.
    let scene = next(&scene, LEAVERS);
    assert_snapshot!(told(&scene), @r"
    rejected: a@ suspend active → suspended
    rejected: b@ suspend active → suspended
    ");
}

#[test]
fn r47_a_rejection_is_taken_back() {
    let mut scene = Scene::parse(LEAVERS);
    let rejected = reject(&mut scene, Class::Suspend, &[]);
    assert!(reject_again(&mut scene).is_empty(), "each once");
    let code = rejected[0].code.clone();
    let one = [address("a@")].into();
    assert_eq!(scene.memory.take_back_rejections("other", &one), []);
    assert_eq!(scene.memory.take_back_rejections(&code, &one).len(), 1);
    assert_snapshot!(told(&scene), @r"
    held Suspend: a@ suspend [active] -> [suspended]
    rejected: b@ suspend active → suspended
    ");
    let all = BTreeSet::new();
    assert_eq!(scene.memory.take_back_rejections(&code, &all).len(), 1);
    assert_eq!(scene.plan().plan.held[0].changes.len(), 2);
}

fn showing() -> Showing<'static> {
    Showing {
        at: NOW,
        read_from: Some(NOW),
        by: None,
        four_eyes: false,
        undoes: None,
    }
}

fn reject_again(scene: &mut Scene) -> Vec<Rejection> {
    let rejected = scene.memory.rejections.clone();
    let approval = Approval {
        class: Class::Suspend,
        shown: NOW,
        changes: rejected.iter().map(|it| it.change.clone()).collect(),
        companions: BTreeSet::new(),
        used: BTreeSet::new(),
        shown_in: [None].into(),
        held_by: None,
        approved_by: None,
        last_used: None,
    };
    let now = scene.wishes.now;
    let code = &rejected[0].code;
    scene
        .memory
        .reject(code, &approval, &BTreeSet::new(), None, now)
}

#[test]
fn r47_a_rejection_ends_with_its_cause() {
    let mut scene = Scene::parse(LEAVERS);
    reject(&mut scene, Class::Suspend, &[]);
    // The mailbox of A is enabled and then disabled again, which is another cause.
    let back = LEAVERS.replace("mailbox a@ disabled", "mailbox a@");
    let mut scene = next(&next(&scene, LEAVERS), &back);
    assert_snapshot!(told(&scene), @"rejected: b@ suspend active → suspended");
    later(&mut scene);
    let scene = next(&scene, LEAVERS);
    assert_snapshot!(told(&scene), @r"
    suspend a@; active -yes +no
    0. a@: active [false]
    rejected: b@ suspend active → suspended
    ");
}

#[test]
fn r37_r47_a_rejected_change_is_not_made_when_it_no_longer_counts_as_undone() {
    let rejected = |before: &str, after: &str| {
        let mut scene = Scene::parse(before);
        scene.memory.undone = undone(before, after).1.memory.undone;
        reject(&mut scene, Class::Undone, &[]);
        next(&scene, before)
    };
    let disabled = "map anna=anna\nmailbox anna@ disabled\naccount anna@\npeople bert@";
    let suspended = disabled.replace("account anna@", "account anna@ off");
    let scene = rejected(disabled, &suspended);
    assert_snapshot!(told(&scene), @"rejected: anna@ suspend active → suspended");
    // It is planned for another reason.
    let gone = disabled.replace("mailbox anna@ disabled", "");
    let scene = next(&scene, &gone);
    assert_snapshot!(told(&scene), @"rejected: anna@ suspend active → suspended");
    assert!(scene.plan().plan.undone.is_empty());
    let created = "map anna=anna\nmailbox anna@\naccount anna@ off\npeople bert@";
    let scene = rejected(created, &created.replace(" off", ""));
    assert_snapshot!(told(&scene), @"rejected: anna@ resume inactive → active");
    let other = created.replace("mailbox anna@", "mailbox anna@ name=New alias=a@");
    let scene = next(&scene, &other);
    let shown = told(&scene);
    assert!(
        shown.ends_with("rejected: anna@ resume inactive → active"),
        "{shown}"
    );
    assert!(!shown.contains("active -no"), "{shown}");
}

#[test]
fn r16_r47_a_rejection_is_about_the_people_who_had_the_accounts_then() {
    let with = |limits: &str, anna: &str, bert: &str, ties: &str| {
        format!(
            "limits delegates={limits} identity=0
            map {ties}
            mailbox anna@ id={anna}
            account anna@ delegates=bert@
            mailbox bert@ id={bert}
            account bert@
            people carl@ dora@"
        )
    };
    let (before, after) = ("anna=anna bert=bert", "anna=anna new=bert");
    let mut scene = Scene::parse(&with("0", "anna", "bert", before));
    reject(&mut scene, Class::DelegateRemoval, &[]);
    let scene = next(&scene, &with("0", "anna", "bert", before));
    assert_snapshot!(told(&scene), @"rejected: anna@ remove delegate bert@");
    let removed = "update anna@; delegates -bert@";
    // The account of the delegate, or the one that the delegate opens, goes to another person with this run.
    for (anna, bert, ties) in [
        ("anna", "new", after),
        ("new", "bert", "new=anna bert=bert"),
    ] {
        let undecided = next(&scene, &with("100%", anna, bert, before));
        let mut approved = next(&scene, &with("100%", anna, bert, before));
        approved.approve = vec![Class::Identity];
        let shown = told(&approved);
        assert!(shown.contains("-bert@"), "{shown}");
        assert!(!told(&undecided).contains("-bert@"));
        // Or with an earlier one.
        let mut later = next(&scene, &with("100%", anna, bert, before));
        later.memory.mapping = Scene::parse(&with("0", anna, bert, ties)).memory.mapping;
        let shown = told(&later);
        assert!(shown.starts_with(removed), "{shown}");
        let mut held = next(&scene, &with("0", anna, bert, before));
        held.memory.mapping = later.memory.mapping.clone();
        assert_eq!(
            told(&held),
            "held DelegateRemoval: anna@ remove delegate [bert@] -> []"
        );
    }
}

#[test]
fn r47_r11_a_night_in_which_nothing_is_known_ends_no_rejection() {
    let text = |grants: &str| {
        format!(
            "limits delegates=0
            mailbox anna@ grants={grants}
            account anna@ delegates=bert@
            people bert@ carl@"
        )
    };
    let mut scene = Scene::parse(&text(""));
    reject(&mut scene, Class::DelegateRemoval, &[]);
    for unknown in ["?", "gone", "noself"] {
        // Both in one run: the first run after the rejection, or a later one.
        for first in [scene.clone(), next(&scene, &text(""))] {
            let after = next(&next(&first, &text(unknown)), &text(""));
            assert_eq!(told(&after), "rejected: anna@ remove delegate bert@");
        }
    }
    let after = next(&next(&scene, &text("bert@")), &text(""));
    assert_snapshot!(told(&after), @"held DelegateRemoval: anna@ remove delegate [bert@] -> []");
}

#[test]
fn r47_r04_a_night_in_which_no_alias_is_known_ends_no_rejection() {
    let text = |aliases: &str| {
        format!(
            "limits aliases=0
            mailbox anna@ {aliases}
            account anna@ alias=old@"
        )
    };
    let mut scene = Scene::parse(&text(""));
    reject(&mut scene, Class::AliasRemoval, &[]);
    let scene = next(&next(&next(&scene, &text("")), &text("untold")), &text(""));
    assert_snapshot!(told(&scene), @"rejected: anna@ remove alias old@");
}

#[test]
fn r47_r04_r11_a_night_in_which_nothing_of_a_mailbox_is_known_is_not_its_end() {
    let text = |mailbox: &str| {
        format!(
            "limits aliases=0
            mailbox anna@ {mailbox}
            account anna@ alias=old@"
        )
    };
    let mut scene = Scene::parse(&text(""));
    reject(&mut scene, Class::AliasRemoval, &[]);
    let unknown = text("untold grants=?");
    let scene = next(&next(&next(&scene, &text("")), &unknown), &text(""));
    assert_snapshot!(told(&scene), @"rejected: anna@ remove alias old@");
}

#[test]
fn r47_r19_a_failed_question_ends_no_rejection() {
    let stray = "account stray@";
    let mut scene = Scene::parse(stray);
    reject(&mut scene, Class::Stray, &[]);
    let asked = next(&scene, &format!("{stray}\nfailed stray@\nunasked"));
    let scene = next(&asked, stray);
    assert_snapshot!(told(&scene), @"rejected: stray@ suspend active → suspended");
}

#[test]
fn r47_r19_a_mailbox_that_only_the_list_lacks_ends_no_rejection() {
    let text = "limits suspend=0\nmap anna=anna\naccount anna@\npeople bert@";
    let disabled = format!("{text}\nmailbox anna@ disabled");
    let mut scene = Scene::parse(&disabled);
    reject(&mut scene, Class::Suspend, &[]);
    let scene = next(&scene, &disabled);
    let unlisted = next(&scene, &format!("{text}\nfound #anna UserMailbox id=anna"));
    let scene = next(&unlisted, &disabled);
    assert_snapshot!(told(&scene), @"rejected: anna@ suspend active → suspended");
}

#[test]
fn r47_a_rejected_create_ends_with_its_mailbox() {
    let text = "limits creates=0\nmailbox anna@ alias=a@\npeople bert@";
    let mut scene = Scene::parse(text);
    reject(&mut scene, Class::Create, &[]);
    let scene = next(&next(&scene, text), text);
    assert_snapshot!(told(&scene), @"rejected: anna@ create the account anna");
    let broken = next(
        &next(&scene, "limits creates=0\nrejected anna@\npeople bert@"),
        text,
    );
    assert_snapshot!(told(&broken), @"rejected: anna@ create the account anna");
    let disabled = text.replace("mailbox anna@", "mailbox anna@ disabled");
    let hired_again = next(&next(&scene, &disabled), text);
    assert_snapshot!(told(&hired_again), @"held Create: anna@ create the account [] -> [anna]");
    let gone = next(&next(&scene, "limits creates=0\npeople bert@"), text);
    assert_snapshot!(told(&gone), @"held Create: anna@ create the account [] -> [anna]");
}

#[test]
fn r47_a_rejected_identity_change_leaves_what_happens_meanwhile() {
    let text = "
        limits identity=0
        mailbox anna@ id=new name=New
        account anna@ ext=old name=Old
    ";
    let mut scene = Scene::parse(text);
    let before = told(&scene);
    assert!(before.contains("held Identity"), "{before}");
    let asks = |scene: &Scene| {
        let notes = scene.plan().plan.notes;
        notes.iter().any(|note| note.code == Code::IdentityChange)
    };
    assert!(asks(&scene));
    reject(&mut scene, Class::Identity, &[]);
    assert!(!asks(&scene), "it needs no attention");
    let after = told(&scene);
    assert!(after.contains("rejected: anna@"), "{after}");
    let without = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::to_owned);
        lines
            .filter(|line| !line.contains("Identity") && !line.starts_with("rejected"))
            .collect()
    };
    assert_eq!(without(&after), without(&before));
}

#[test]
fn r47_r23_a_rejected_key_is_held_again_with_a_removal_that_needs_it() {
    let text = |delegates: &str| {
        format!(
            "new-keys
            limits keys=0
            mailbox anna@ alias=new@
            account anna@ delegates={delegates}
            people bert@"
        )
    };
    let mut scene = Scene::parse(&text(""));
    reject(&mut scene, Class::SignInKey, &[]);
    assert_snapshot!(told(&scene), @r"
    R27 Waits anna@
    rejected: anna@ replace the sign-in key unknown → KEY
    ");
    for limit in ["keys=0", "keys=100%"] {
        let scene = next(&scene, &text("bert@").replace("keys=0", limit));
        let removal = "held SignInKey: anna@ remove delegate [bert@] -> []";
        let key = "held SignInKey: anna@ replace the sign-in key [unknown] -> [#anna]";
        assert_eq!(told(&scene), [removal, key, "R27 Waits anna@"].join("\n"));
        // R36: the same in the verification.
        let mut again = scene.clone();
        again.wishes.held = Some(scene.plan().plan.marks);
        assert_eq!(told(&again), told(&scene));
        // The code that is shown with both approves both, and ends the rejection.
        let mut approved = scene.clone();
        let held = scene.plan().plan.held;
        let changes = held.iter().flat_map(|set| &set.changes);
        approved.wishes.approved = changes.map(|it| it.fingerprint.clone()).collect();
        let plan = approved.plan().plan;
        assert_eq!((plan.held.len(), plan.approved.actions().len()), (0, 1));
        assert_eq!(plan.rejections, []);
    }
}

#[test]
fn r47_r23_a_rejected_key_is_held_again_with_all_that_needs_it() {
    let text = |account: &str| {
        format!(
            "new-keys
            limits keys=0
            mailbox anna@ alias=new@ name=New
            account anna@ {account}
            people bert@"
        )
    };
    let mut scene = Scene::parse(&text("name=New"));
    reject(&mut scene, Class::SignInKey, &[]);
    let scene = next(&scene, &text("name=Old alias=old@ delegates=bert@"));
    assert_snapshot!(told(&scene), @r"
    update anna@; name -Old +New
    held SignInKey: anna@ remove alias [old@] -> []
    held SignInKey: anna@ remove delegate [bert@] -> []
    held SignInKey: anna@ replace the sign-in key [unknown] -> [#anna]
    0. anna@: name [New]
    R27 Waits anna@
    ");
}

#[test]
fn r47_r02_a_rejection_serves_after_a_rename() {
    let text = |primary: &str| {
        format!(
            "limits suspend=0
            mailbox {primary} id=anna disabled
            account {primary} as=anna ext=anna"
        )
    };
    let mut scene = Scene::parse(&text("anna@"));
    reject(&mut scene, Class::Suspend, &[]);
    let scene = next(&scene, &text("new@"));
    assert_snapshot!(told(&scene), @"rejected: new@ suspend active → suspended");
}

proptest! {
    #![proptest_config(cases())]

    /// A rejected change is not made. What was held with it is neither made nor forgotten.
    #[test]
    fn r47_a_rejection_makes_no_change(lines in world(), seed in any::<u64>()) {
        let mut choose = choices(seed);
        let mut scene = Scene::parse(&lines.join("\n"));
        let before = scene.plan();
        for set in &before.plan.held {
            let approval = Approval::offer(set, None, showing()).unwrap();
            let accounts: BTreeSet<_> = set.changes.iter()
                .filter(|_| choose(2) == 0)
                .map(|change| change.address.clone())
                .collect();
            if !accounts.is_empty() {
                scene.memory.reject(&set.code, &approval, &accounts, None, NOW);
            }
        }
        let after = scene.plan();
        let told = || format!("{}\nbefore\n{}\nafter\n{}", lines.join("\n"), shown(&before), shown(&after));
        let of = |planned: &Planned| -> BTreeSet<String> {
            let sets = planned.plan.held.iter();
            sets.flat_map(|set| &set.changes).map(|change| change.fingerprint.clone()).collect()
        };
        let made: BTreeSet<String> = after.plan.approved.deltas().iter()
            .flat_map(|delta| guarded_fingerprints(delta, &after.world.accounts))
            .collect();
        let rejected: BTreeSet<String> = scene.memory.rejections.iter()
            .map(|it| it.change.fingerprint.clone())
            .collect();
        prop_assert!(made.is_disjoint(&rejected), "{}", told());
        prop_assert!(made.is_disjoint(&of(&before)), "{}", told());
        prop_assert_eq!(after.plan.rejections.len(), scene.memory.rejections.len());
        sound(&after);
    }
}

#[test]
fn r23_r47_what_a_rejected_key_blocks_is_named() {
    let mut scene = Scene::parse("new-keys\nlimits keys=0\nmailbox anna@ alias=x@\naccount anna@");
    reject(&mut scene, Class::SignInKey, &[]);
    assert_snapshot!(shown(&scene.plan()).replace(&object_id("anna"), "KEY"), @r"
    R27 Waits anna@
    R47 Rejection anna@
    ");
}
