//! R47: runs that make a part of their plan.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{
    notation::{Planned, Scene},
    properties::{cases, choices, sound, world},
    shown::shown,
    zivver::{Disturbance, carry_out},
};
use crate::{
    hold::guarded_fingerprints,
    note::Code,
    wave::{Part, Wave},
};

const GO_LIVE: &str = "
    limits suspend=0
    mailbox a@ name=New
    account a@ name=Old
    mailbox b@
    mailbox c@ disabled
    account c@
    mailbox d@
    people e@ f@ g@
";

fn restricted(text: &str, only: &[Part], first: Option<u32>) -> Planned {
    let mut scene = Scene::parse(text);
    scene.wishes.wave = Wave::of(only.iter().copied().collect(), first);
    scene.plan()
}

fn told(planned: &Planned) -> String {
    let notes = planned.plan.notes.iter();
    let notes = notes.filter(|note| matches!(note.code, Code::NotReviewed | Code::ReviewOutdated));
    let notes: Vec<&str> = notes.map(|note| note.text.as_str()).collect();
    let lines = shown(planned);
    let is_step = |line: &&str| line.starts_with(|it: char| it.is_ascii_digit());
    let lines = lines.lines().filter(|line| !is_step(line));
    let lines: Vec<&str> = lines.chain(notes).collect();
    lines.join("\n").replace("corp.example", "")
}

#[test]
fn r47_only_some_kinds_of_action_are_made() {
    assert_snapshot!(told(&restricted(GO_LIVE, &[Part::Create], None)), @r"
    create b@; name +b
    create d@; name +d
    held Suspend: c@ suspend [active] -> [suspended]
    R28 NotReviewed a@
    update left for later, since the run is restricted to other changes: name Old → New
    ");
}

#[test]
fn r47_only_the_first_accounts_are_made() {
    assert_snapshot!(told(&restricted(GO_LIVE, &[], Some(2))), @r"
    update a@; name -Old +New
    create b@; name +b
    held Suspend: c@ suspend [active] -> [suspended]
    R28 NotReviewed d@
    create left for later, since the run is restricted to other changes: name + d
    ");
    let all = restricted(GO_LIVE, &[], Some(3));
    assert!(!all.plan.leaves_out, "{}", told(&all));
}

#[test]
fn r47_only_what_is_approved_is_made() {
    let text = "
        limits suspend=0 delegates=0
        mailbox a@ name=New
        account a@ name=Old delegates=e@
        mailbox c@ disabled
        account c@
        people e@ f@ g@
    ";
    let approved = format!("{text}\napprove delegates");
    assert_snapshot!(told(&restricted(&approved, &[Part::Approved], None)), @r"
    update a@; delegates -e@
    held Suspend: c@ suspend [active] -> [suspended]
    R28 NotReviewed a@
    update left for later, since the run is restricted to other changes: name Old → New
    ");
    let nothing = restricted(text, &[Part::Approved], None);
    assert!(nothing.plan.approved.actions().is_empty());
    assert_eq!(nothing.plan.held.len(), 2);
}

#[test]
fn r47_an_account_that_needs_others_gives_its_place_to_the_next() {
    let text = "
        shared a@ grants=d@
        shared b@ grants=e@
        mailbox c@ name=New
        account c@ name=Old
        mailbox d@
        mailbox e@
    ";
    assert_snapshot!(told(&restricted(text, &[], Some(1))), @r"
    update c@; name -Old +New
    R28 NotReviewed a@
    R28 NotReviewed b@
    R28 NotReviewed d@
    R28 NotReviewed e@
    create left for later, since the run is restricted to other changes: delegate + d@, name + a
    create left for later, since the run is restricted to other changes: delegate + e@, name + b
    create left for later, since the run is restricted to other changes: name + d
    create left for later, since the run is restricted to other changes: name + e
    ");
    assert_snapshot!(told(&restricted(text, &[], Some(2))), @r"
    update c@; name -Old +New
    create d@; name +d
    R28 NotReviewed a@
    R28 NotReviewed b@
    R28 NotReviewed e@
    create left for later, since the run is restricted to other changes: delegate + d@, name + a
    create left for later, since the run is restricted to other changes: delegate + e@, name + b
    create left for later, since the run is restricted to other changes: name + e
    ");
    assert_snapshot!(told(&restricted(text, &[], Some(4))), @r"
    create a@; name +a; delegates +d@
    update c@; name -Old +New
    create d@; name +d
    create e@; name +e
    R28 NotReviewed b@
    create left for later, since the run is restricted to other changes: delegate + e@, name + b
    ");
    let cycle = "
        mailbox x@ id=y
        mailbox y@ id=x
        account x@ ext=x
        account y@ ext=y
    ";
    assert_snapshot!(told(&restricted(cycle, &[], Some(1))), @r"
    update x@; name -x +y
    R28 NotReviewed x@
    R28 NotReviewed y@
    update left for later, since it needs a change that is left for later: address x@ → y@
    rename left for later, since the run is restricted to other changes: address y@ → x@, name y → x
    ");
}

#[test]
fn r27_r47_an_approved_sign_in_key_is_made_without_what_needs_it() {
    let text = "
        new-keys
        limits keys=0
        mailbox a@ alias=x@
        account a@
        approve keys
    ";
    assert_snapshot!(told(&restricted(text, &[Part::Approved], None)), @r"
    update a@; signinkey -unknown +#a
    R28 NotReviewed a@
    update left for later, since the run is restricted to other changes: alias + x@
    ");
}

#[test]
fn r47_a_claim_waits_for_a_release_of_another_wave() {
    let text = "
        mailbox x@ id=anna name=anna
        account anna@ ext=anna
        mailbox bert@
        account bert@ alias=x@
    ";
    assert_snapshot!(told(&restricted(text, &[Part::Rename], None)), @r"
    R28 NotReviewed anna@
    R28 NotReviewed bert@
    rename left for later, since it needs a change that is left for later: address anna@ → x@
    update left for later, since the run is restricted to other changes: alias − x@
    ");
}

#[test]
fn r47_an_account_of_which_a_part_is_left_for_later_is_counted() {
    let text = "
        people anna@
        mailbox cara@
        shared info@ name=New grants=anna@,cara@
        functional info@ name=Old members=anna
    ";
    let planned = restricted(text, &[Part::Update], None);
    assert_snapshot!(told(&planned), @r"
    update info@; name -Old +New
    R28 NotReviewed cara@
    R28 NotReviewed info@
    create left for later, since the run is restricted to other changes: name + cara
    update left for later, since it needs a change that is left for later: delegate + cara@
    ");
    let left = planned
        .plan
        .notes
        .iter()
        .filter(|note| note.code.is_left_for_later());
    assert_eq!(left.filter(|note| note.kind.is_some()).count(), 2);
}

#[test]
fn r47_what_is_shown_of_a_wave_is_what_is_typed() {
    for (only, first, words) in [
        (
            &[Part::Suspend, Part::Create][..],
            None,
            "--only create,suspend",
        ),
        (&[], Some(7), "--first 7"),
        (&[Part::Approved], Some(1), "--only approved --first 1"),
    ] {
        let only: BTreeSet<Part> = only.iter().copied().collect();
        assert_eq!(Wave::of(only, first).unwrap().to_string(), words);
    }
    for part in Part::ALL {
        assert_eq!(part.to_string().parse(), Ok(part));
    }
    assert!("delete".parse::<Part>().is_err());
    assert_eq!(Wave::of(BTreeSet::new(), None), None);
}

proptest! {
    #![proptest_config(cases())]

    /// A wave makes only what the whole plan would make, and what it makes is possible.
    #[test]
    fn r47_a_wave_is_a_part_of_the_plan(
        lines in world(),
        first in proptest::option::of(1..3u32),
        only in proptest::sample::subsequence(Part::ALL.to_vec(), 0..4),
        seed in any::<u64>(),
    ) {
        let text = lines.join("\n");
        let whole = Scene::parse(&text).plan();
        let part = restricted(&text, &only, first);
        let told = || format!("{text}\n{only:?} {first:?}\n{}\n{}", shown(&whole), shown(&part));
        let of = |planned: &Planned| -> BTreeSet<String> {
            planned.plan.approved.deltas().iter()
                .flat_map(|delta| guarded_fingerprints(delta, &planned.world.accounts))
                .collect()
        };
        prop_assert!(of(&part).is_subset(&of(&whole)), "{}", told());
        let count = part.plan.approved.actions().len();
        prop_assert!(first.is_none_or(|first| count <= first as usize), "{}", told());
        // R16: if the wave leaves out who gets an account, what depends on it is neither planned nor held.
        let asks = |planned: &Planned| {
            let notes = planned.plan.notes.iter().map(|note| note.code);
            let asks = |code| matches!(code, Code::IdentityChange | Code::AliasEvidence);
            notes.filter(|code| asks(*code)).count()
        };
        if asks(&part) == asks(&whole) {
            prop_assert_eq!(&part.plan.held, &whole.plan.held);
        }
        prop_assert!(part.plan.leaves_out || count == whole.plan.approved.actions().len(), "{}", told());
        sound(&part);
        let after = carry_out(&part, &Disturbance::NONE, choices(seed));
        prop_assert!(after.refusals.is_empty(), "{}\n{:#?}", told(), after.refusals);
    }
}
