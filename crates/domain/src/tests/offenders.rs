//! R33: a change that was refused the same way in three runs waits.

use super::notation::{NOW, Scene, address};
use crate::{
    ids::{ScimId, SignInKey, SsoAccountKey},
    memory::{Memory, WrittenKey},
    note::Code,
    offenders::{Occasion, Part, Refusal, Tried, remember},
};

const DAY: i64 = 86_400;

/// Plans at `now`. What is planned for the first account is refused in `parts`. Returns what was asked for.
fn run(text: &str, memory: &mut Memory, now: i64, parts: &[Part], refusal: &str) -> String {
    let mut scene = Scene::parse(text);
    scene.memory = memory.clone();
    scene.wishes.now = now;
    let planned = scene.plan();
    let asked = asked(&planned.plan);
    let refusals: Vec<Refusal> = parts
        .iter()
        .map(|part| Refusal {
            part: part.clone(),
            text: refusal.to_owned(),
        })
        .collect();
    let run = now.to_string();
    let occasion = Occasion {
        world: &planned.world,
        run: &run,
        now,
        waiting: &planned.plan.waiting,
    };
    for delta in planned.plan.approved.deltas() {
        let tried = Tried {
            delta,
            proposed: &planned.plan.proposed[&delta.target],
            created: None,
            done: !parts.contains(&Part::Account),
            refusals: &refusals,
        };
        remember(&mut memory.offenders, &tried, &occasion);
    }
    asked
}

fn asked(plan: &crate::plan::Plan) -> String {
    let mut texts = Vec::new();
    for action in plan.approved.actions() {
        for change in &action.changes {
            let text = format!(
                "{:?} {}>{}",
                change.attribute,
                change.before.join(" "),
                change.after.join(" ")
            );
            texts.push(text.replace("@corp.example", "@"));
        }
    }
    if plan
        .notes
        .iter()
        .any(|note| note.code == Code::RepeatOffender)
    {
        texts.push("waits".into());
    }
    texts.join(", ")
}

/// Daily runs that are all refused. Returns the days on which the change was tried.
fn tried_on(text: &str, part: &Part, days: i64) -> Vec<i64> {
    let mut memory = Memory::default();
    (0..days)
        .filter(|day| {
            let refused = std::slice::from_ref(part);
            !run(text, &mut memory, NOW + day * DAY, refused, "400 no").ends_with("waits")
        })
        .collect()
}

#[test]
fn r33_after_three_runs_it_is_tried_after_1_2_4_and_then_always_7_days() {
    let world = "mailbox anna@ name=New
        account anna@ name=Old";
    assert_eq!(
        tried_on(world, &Part::Account, 31),
        [0, 1, 2, 3, 5, 9, 16, 23, 30]
    );
    let create = "mailbox anna@";
    assert_eq!(tried_on(create, &Part::Account, 6), [0, 1, 2, 3, 5]);
    let rename = "mailbox anna.b@ id=anna
        account anna@ ext=anna";
    assert_eq!(tried_on(rename, &Part::Address, 6), [0, 1, 2, 3, 5]);
}

#[test]
fn r33_a_fourth_run_on_the_same_day_does_not_try() {
    let world = "mailbox anna@ name=New
        account anna@ name=Old";
    let mut memory = Memory::default();
    for minute in 0..3 {
        let asked = run(
            world,
            &mut memory,
            NOW + minute * 60,
            &[Part::Account],
            "400 no",
        );
        assert_eq!(asked, "Name Old>New");
    }
    let for_the_account = format!("only anna@\n{world}");
    let asked = run(&for_the_account, &mut memory.clone(), NOW + 180, &[], "");
    assert_eq!(
        asked, "Name Old>New",
        "a person who asks for it waits for nothing"
    );
    let asked = run(world, &mut memory, NOW + 180, &[], "");
    assert_eq!(asked, "waits");
}

#[test]
fn r33_a_refused_alias_waits_alone() {
    let before = "mailbox anna@ name=Anna alias=guest@
        account anna@ name=Anna";
    let guest = Part::Alias(address("guest@"));
    let mut memory = Memory::default();
    for day in 0..3 {
        let refused = std::slice::from_ref(&guest);
        let asked = run(before, &mut memory, NOW + day * DAY, refused, "400 guest");
        assert_eq!(asked, "Aliases >guest@");
    }
    let after = "mailbox anna@ name=Anne alias=guest@,other@
        account anna@ name=Anna";
    let asked = run(after, &mut memory, NOW + 2 * DAY + 60, &[], "");
    assert_eq!(asked, "Name Anna>Anne, Aliases >other@, waits");
    let asked = run(before, &mut memory, NOW + 2 * DAY + 120, &[], "");
    assert_eq!(
        asked, "waits",
        "what went through does not clear what waits"
    );
}

#[test]
fn r33_removals_and_suspends_never_wait() {
    let removal = "mailbox anna@ name=New
        mailbox bert@
        account anna@ name=Old alias=gone@ delegates=bert@
        account bert@";
    let mut memory = Memory::default();
    for day in 0..3 {
        run(removal, &mut memory, NOW + day, &[Part::Account], "400 no");
    }
    let asked = run(removal, &mut memory, NOW + 3, &[], "");
    assert_eq!(asked, "Aliases gone@>, Delegates bert@>, waits");
    let suspend = "mailbox anna@ disabled
        account anna@";
    let mut memory = Memory::default();
    for day in 0..5 {
        let asked = run(suspend, &mut memory, NOW + day, &[Part::Account], "400 no");
        assert_eq!(asked, "Active yes>no");
    }
}

#[test]
fn r33_members_that_are_removed_with_their_successors_never_wait() {
    let world = "shared info@ grants=bert@
        mailbox anna@
        mailbox bert@
        account anna@ as=u1
        account bert@ as=u2
        functional info@ members=u1";
    let mut memory = Memory::default();
    for second in 0..4 {
        let asked = run(world, &mut memory, NOW + second, &[Part::Account], "400 no");
        assert!(asked.starts_with("Delegates anna@>bert@"), "{asked}");
    }
}

#[test]
fn r33_another_content_or_another_refusal_begins_anew() {
    let world = "mailbox anna@ name=New
        account anna@ name=Old";
    let other = world.replace("New", "Newer");
    let mut memory = Memory::default();
    for second in 0..3 {
        run(world, &mut memory, NOW + second, &[Part::Account], "400 no");
    }
    let asked = run(&other, &mut memory, NOW + 3, &[Part::Account], "400 no");
    assert_eq!(asked, "Name Old>Newer");
    for second in 4..6 {
        let asked = run(
            &other,
            &mut memory,
            NOW + second,
            &[Part::Account],
            "409 no",
        );
        assert_eq!(asked, "Name Old>Newer");
    }
    run(&other, &mut memory, NOW + 6, &[Part::Account], "409 no");
    assert_eq!(run(&other, &mut memory, NOW + 7, &[], ""), "waits");
}

#[test]
fn r33_success_clears_and_a_run_counts_once() {
    let world = "mailbox anna@ name=New
        account anna@ name=Old";
    let mut memory = Memory::default();
    for _ in 0..4 {
        run(world, &mut memory, NOW, &[Part::Account], "400 no");
    }
    assert_eq!(memory.offenders["anna"].times, 1);
    run(world, &mut memory, NOW + 1, &[Part::Account], "400 no");
    run(world, &mut memory, NOW + 2, &[], "");
    assert!(memory.offenders.is_empty());
}

/// A change that was refused in three runs and asked for again a minute later.
fn after_three(text: &str, part: &Part) -> String {
    let mut memory = Memory::default();
    for second in 0..3 {
        let refused = std::slice::from_ref(part);
        run(text, &mut memory, NOW + second, refused, "400 no");
    }
    run(text, &mut memory, NOW + 60, &[], "")
}

#[test]
fn r33_all_that_was_refused_with_an_account_waits() {
    let resume = "mailbox anna@ name=New
        account anna@ name=Old off";
    assert_eq!(after_three(resume, &Part::Account), "waits");
    let delegate = "mailbox anna@ grants=bert@
        account anna@
        mailbox bert@
        account bert@";
    assert_eq!(after_three(delegate, &Part::Account), "waits");
    // Without the waiting addition, `both` is left without a delegate, and `member` is not (R12).
    let both = "mailbox anna@ grants=bert@
        account anna@ delegates=carl@
        mailbox bert@
        account bert@
        mailbox carl@
        account carl@";
    assert_eq!(after_three(both, &Part::Account), "Delegates carl@>, waits");
    let member = "shared info@ grants=anna@,bert@
        functional info@ members=anna
        mailbox anna@
        account anna@
        mailbox bert@
        account bert@";
    assert_eq!(after_three(member, &Part::Account), "waits");
    let first = "shared info@ grants=anna@
        functional info@
        mailbox anna@
        account anna@";
    assert_eq!(after_three(first, &Part::Account), "waits");
}

/// R23: the key that another setting asks for waits, and is still a decision for whatever else is written with it.
#[test]
fn r33_a_refused_key_of_another_setting_waits_alone() {
    let world = "
        key upn
        mailbox anna@ upn=anna@ad.example
        account anna@
    ";
    let mut memory = Memory::default();
    let key = SignInKey::Name("old@corp.example".into());
    let written = WrittenKey::of(SsoAccountKey::PrimaryAddress, &key);
    memory.keys.insert(ScimId::new("anna"), written);
    let key = "SignInKey the key written before>anna@ad.example";
    let account = [Part::Account];
    for day in 0..3 {
        let asked = run(world, &mut memory, NOW + day * DAY, &account, "400 no");
        assert_eq!(asked, key);
    }
    let soon = NOW + 2 * DAY + 60;
    let asked = run(world, &mut memory.clone(), soon, &account, "400 no");
    assert_eq!(asked, "waits");
    let removal = world.replace("account anna@", "account anna@ alias=old@");
    let asked = run(&removal, &mut memory.clone(), soon, &account, "400 no");
    assert_eq!(
        asked,
        "SignInKey unknown>anna@ad.example, Aliases old@>, waits"
    );
    let held = format!("limits keys=0\n{removal}");
    assert_eq!(run(&held, &mut memory, soon, &account, "400 no"), "waits");
}

#[test]
fn r33_an_approved_identity_change_waits_for_nothing() {
    let world = "mailbox new@ id=new name=New
        account new@ ext=other name=Old
        limits identity=100%";
    assert_eq!(
        after_three(world, &Part::Account),
        "Name Old>New, ObjectId 00000000-0000-4000-8000-006f74686572>00000000-0000-4000-8000-0000006e6577"
    );
}

#[test]
fn r33_the_wait_ends_to_the_second_and_what_nobody_asks_for_is_forgotten() {
    let world = "mailbox anna@ name=New
        account anna@ name=Old";
    let mut memory = Memory::default();
    for second in 0..3 {
        run(world, &mut memory, NOW + second, &[Part::Account], "400 no");
    }
    let again = NOW + 2 + DAY - 900;
    assert_eq!(run(world, &mut memory.clone(), again - 1, &[], ""), "waits");
    assert_eq!(
        run(world, &mut memory.clone(), again, &[], ""),
        "Name Old>New"
    );
    let other = "mailbox bert@ name=New
        account bert@ name=Old";
    let kept = |now: i64| {
        let mut memory = memory.clone();
        run(other, &mut memory, now, &[Part::Account], "400 no");
        memory.offenders.contains_key("anna")
    };
    assert!(kept(NOW + 2 + 30 * DAY - 1));
    assert!(!kept(NOW + 2 + 30 * DAY));
}

#[test]
fn r33_the_note_says_what_waits() {
    let note = |text: &str| {
        let mut memory = Memory::default();
        for second in 0..3 {
            run(text, &mut memory, NOW + second, &[Part::Account], "400 no");
        }
        let mut scene = Scene::parse(text);
        scene.memory = memory;
        scene.wishes.now = NOW + 60;
        scene.plan().plan.notes[0].text.clone()
    };
    let end = "was refused the same way in 3 runs, and is tried again after 2027-01-16T07:45:02Z, or when it changes: 400 no";
    assert_eq!(note("mailbox anna@"), format!("its account {end}"));
    let change = "mailbox anna@ name=New\naccount anna@ name=Old";
    assert_eq!(note(change), format!("its change {end}"));
}

#[test]
fn r33_an_alias_that_waits_by_itself_is_no_part_of_what_else_was_refused() {
    let before = "mailbox anna@ name=New alias=guest@,other@
        account anna@ name=Old";
    let parts = [Part::Account, Part::Alias(address("guest@"))];
    let mut memory = Memory::default();
    for second in 0..3 {
        run(before, &mut memory, NOW + second, &parts, "400 no");
    }
    let without = before.replace("guest@,", "");
    assert_eq!(
        run(&without, &mut memory.clone(), NOW + 60, &[], ""),
        "waits"
    );
    let another = before.replace("other@", "third@");
    let asked = run(&another, &mut memory, NOW + 60, &[], "");
    assert_eq!(asked, "Name Old>New, Aliases >third@, waits");
}
