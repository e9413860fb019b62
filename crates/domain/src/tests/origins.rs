//! R44: the origin of each planned change.

use proptest::prelude::*;

use super::{
    notation::{NOW, Planned, Scene, address, object_id},
    properties::{cases, world},
};
use crate::{
    action::{ActionOutcome, ActionReport},
    change::Attribute,
    guard::Class,
    ids::ScimId,
    memory::Memory,
    offenders::{Occasion, Part, Refusal, Tried, remember},
    origin::{Before, Deed, Origin, When},
    snapshot::{Head, Left, Snapshot},
};

fn snapshot(scene: &Scene) -> Snapshot {
    let planned = scene.plan();
    let left = Left {
        world: &planned.world,
        policy: &scene.policy,
        matching: &planned.matching,
        actions: &[],
        held: &planned.plan.held,
        notes: &planned.plan.notes,
    };
    let head = Head {
        at: NOW,
        ..Head::default()
    };
    Snapshot::next(None, &left, head)
}

/// The plan for `now`, with the origin of each change.
fn compared(then: &Scene, now: &Scene, memory: &Memory, deeds: &[Deed<'_>]) -> Planned {
    let snapshot = snapshot(then);
    compared_with(now, &Before::of(&snapshot, memory, deeds, &[]))
}

fn compared_with(now: &Scene, before: &Before<'_>) -> Planned {
    let mut planned = now.plan();
    let Planned { world, plan, .. } = &mut planned;
    plan.state_origins(before, world);
    planned
}

/// `anna@ aliases x@ exchange_changed` for each change.
fn lines(planned: &Planned) -> Vec<String> {
    let mut lines = Vec::new();
    for action in planned.plan.approved.actions() {
        for change in &action.changes {
            for (entry, origin) in &change.origins {
                let (address, attribute) = (&action.address, change.attribute);
                let line = format!("{address} {attribute:?} {entry}: {origin:?}");
                lines.push(line.replace("corp.example", ""));
            }
        }
    }
    lines
}

fn of(then: &str, now: &str) -> Vec<String> {
    let (then, now) = (Scene::parse(then), Scene::parse(now));
    lines(&compared(&then, &now, &now.memory, &[]))
}

const SETTLED: &str = "
    mailbox anna@ name=Anna alias=a@ id=anna grants=bert@
    account anna@ as=u1 name=Anna alias=a@ ext=anna delegates=bert@
    people bert@ carl@
";

#[test]
fn r44_what_exchange_changed() {
    let now = "
        mailbox anna@ disabled name=Anna alias=a@ id=anna grants=bert@
        account anna@ as=u1 name=Anna alias=a@ ext=anna delegates=bert@
        people bert@ carl@
        mailbox dora@
    ";
    assert_eq!(
        of(SETTLED, now),
        [
            "anna@ Active no: ExchangeChanged",
            "dora@ Name dora: ExchangeChanged"
        ]
    );
    let now = "
        mailbox anna@ name=Anne alias=b@ id=anna grants=carl@
        account anna@ as=u1 name=Anna alias=a@ ext=anna delegates=bert@
        people bert@ carl@
    ";
    assert_eq!(
        of(SETTLED, now),
        [
            "anna@ Name Anne: ExchangeChanged",
            "anna@ Aliases a@: ExchangeChanged",
            "anna@ Aliases b@: ExchangeChanged",
            "anna@ Delegates bert@: ExchangeChanged",
            "anna@ Delegates carl@: ExchangeChanged",
        ]
    );
    // Whose mailbox is gone.
    let now = "
        account anna@ as=u1 name=Anna alias=a@ ext=anna delegates=bert@
        people bert@ carl@
        map anna=u1
    ";
    assert_eq!(of(SETTLED, now), ["anna@ Active no: ExchangeChanged"]);
}

/// Zivver shows no object id for the account, which is tied in memory only.
#[test]
fn r44_an_account_that_is_given_to_a_new_person_is_not_changed_by_hand() {
    let world = |id: &str| {
        format!(
            "mailbox dirk@ id={id} name=Dirk
            account dirk@ as=u1 name=Dirk
            map old=u1
            limits identity=100%"
        )
    };
    let origins = of(&world("old"), &world("new"));
    assert!(
        origins.iter().any(|it| it.contains("ObjectId")),
        "{origins:?}"
    );
    assert!(
        origins.iter().all(|it| it.ends_with(": ExchangeChanged")),
        "{origins:?}"
    );
}

#[test]
fn r44_what_was_changed_by_hand() {
    let now = "
        mailbox anna@ name=Anna alias=a@ id=anna grants=bert@
        account anna@ as=u1 name=Anne alias=z@ ext=anna delegates=carl@
        people bert@ carl@
    ";
    assert_eq!(
        of(SETTLED, now),
        [
            "anna@ Name Anna: ChangedByHand",
            "anna@ Aliases a@: ChangedByHand",
            "anna@ Aliases z@: ChangedByHand",
            "anna@ Delegates bert@: ChangedByHand",
            "anna@ Delegates carl@: ChangedByHand",
        ]
    );
    let now = "
        mailbox anna@ name=Anna alias=a@ id=anna grants=bert@
        account anna@ off as=u1 name=Anna alias=a@ ext=anna delegates=bert@
        people bert@ carl@
    ";
    assert_eq!(of(SETTLED, now), ["anna@ Active yes: ChangedByHand"]);
    // The account was deleted.
    let now = "
        mailbox anna@ name=Anna id=anna
        people bert@ carl@
    ";
    assert_eq!(of(SETTLED, now), ["anna@ Name Anna: ChangedByHand"]);
}

#[test]
fn r44_what_was_not_managed_before() {
    let then = "
        domains corp.example
        mailbox anna@ name=Anna id=anna
        account anna@ as=u1 name=Anna ext=anna
        account bert@ as=u2 name=B
    ";
    let now = format!("{then}\nmailbox bert@ name=Bert id=bert");
    let now = now.replace("domains corp.example", "");
    assert_eq!(of(then, &now), ["bert@ Name Bert: NotManaged"]);
    // Added by hand since then.
    let now = "
        mailbox anna@ name=Anna id=anna
        account anna@ as=u1 name=Anna ext=anna
        account bert@ as=u2 name=B
        mailbox carl@ name=Carl id=carl
        account carl@ as=u3 name=C
    ";
    assert!(of(then, now).contains(&"carl@ Name Carl: NotManaged".to_owned()));
}

#[test]
fn r44_what_failed_before() {
    let now = "
        mailbox anna@ name=Anne alias=a@ id=anna grants=bert@
        account anna@ as=u1 name=Anna alias=a@ ext=anna delegates=bert@
        people bert@ carl@
    ";
    let (then, now) = (Scene::parse(SETTLED), Scene::parse(now));
    let planned = now.plan();
    let mut memory = Memory::default();
    let delta = &planned.plan.approved.deltas()[0];
    let refusal = Refusal {
        part: Part::Account,
        text: "400".into(),
    };
    let tried = Tried {
        delta,
        proposed: &planned.plan.proposed[&delta.target],
        created: None,
        done: false,
        refusals: &[refusal],
    };
    let occasion = Occasion {
        world: &planned.world,
        run: "one",
        now: NOW,
        waiting: &planned.plan.waiting,
    };
    remember(&mut memory.offenders, &tried, &occasion);
    let failed = ["anna@ Name Anne: FailedBefore"];
    assert_eq!(lines(&compared(&then, &now, &memory, &[])), failed);

    // Zivver did not answer, or the lists do not show it yet. That is not a change by hand (R22).
    let report = |outcome| ActionReport {
        action: planned.plan.approved.actions()[0].clone(),
        outcome,
        problems: Vec::new(),
        left: Vec::new(),
    };
    for (outcome, is_recent) in [
        (ActionOutcome::Failed, false),
        (ActionOutcome::Refused, false),
        (ActionOutcome::Applied, true),
    ] {
        let report = report(outcome);
        let deed = Deed {
            report: &report,
            when: When::Since,
            is_recent,
        };
        let compared = compared(&then, &now, &Memory::default(), &[deed]);
        assert_eq!(lines(&compared), failed, "{outcome:?}");
    }
    // A change that was only planned did not fail.
    let mut report = report(ActionOutcome::Planned);
    let planned = |report: &ActionReport, then: &Scene| {
        let deed = Deed {
            report,
            when: When::AtSnapshot,
            is_recent: true,
        };
        lines(&compared(then, &now, &Memory::default(), &[deed]))
    };
    assert_eq!(
        planned(&report, &then),
        ["anna@ Name Anne: ExchangeChanged"]
    );
    // A later run reports the same as the first one.
    assert_eq!(planned(&report, &now), ["anna@ Name Anne: Unchanged"]);
    let change = &mut report.action.changes[0];
    change.origins.insert("Anne".into(), Origin::ChangedByHand);
    assert_eq!(planned(&report, &now), ["anna@ Name Anne: ChangedByHand"]);
}

#[test]
fn r44_what_the_program_wrote_since_the_snapshot_is_not_by_hand() {
    let then = SETTLED.replace(
        "account anna@ as=u1 name=Anna",
        "account anna@ as=u1 name=Other",
    );
    let now = SETTLED.replace("mailbox anna@ name=Anna", "mailbox anna@ name=Third");
    let (then, now) = (Scene::parse(&then), Scene::parse(&now));
    // Since the snapshot, a run for some accounts has written the name.
    let wrote = then.plan().plan.approved.actions()[0].clone();
    for is_recent in [true, false] {
        let report = ActionReport {
            action: wrote.clone(),
            outcome: ActionOutcome::Applied,
            problems: Vec::new(),
            left: Vec::new(),
        };
        let deed = Deed {
            report: &report,
            when: When::Since,
            is_recent,
        };
        let compared = compared(&then, &now, &Memory::default(), &[deed]);
        assert_eq!(lines(&compared), ["anna@ Name Third: ExchangeChanged"]);
    }
}

/// `then` is the snapshot; a run since has made `between` of it.
fn after_a_run(then: &str, between: &str, now: &str, when: When) -> Vec<String> {
    let [then, between, now] = [then, between, now].map(Scene::parse);
    let reports = between.plan().plan.approved.actions().to_vec();
    let reports: Vec<ActionReport> = reports
        .into_iter()
        .map(|action| ActionReport {
            action,
            outcome: ActionOutcome::Applied,
            problems: Vec::new(),
            left: Vec::new(),
        })
        .collect();
    let deed = |report| Deed {
        report,
        when,
        is_recent: false,
    };
    let deeds: Vec<Deed<'_>> = reports.iter().map(deed).collect();
    lines(&compared(&then, &now, &now.memory, &deeds))
}

/// A run without a snapshot, of which nothing can be seen in the last one.
#[test]
fn r44_what_a_run_since_the_snapshot_wrote_and_exchange_takes_back_is_of_exchange() {
    let account = "account anna@ as=u1 name=Anna alias=a@ ext=anna delegates=bert@";
    let between = SETTLED
        .replace(
            "mailbox anna@ name=Anna alias=a@",
            "mailbox anna@ name=Other alias=b@",
        )
        .replace("grants=bert@", "grants=carl@");
    let written = "account anna@ as=u1 name=Other alias=b@ ext=anna delegates=carl@";
    let now = SETTLED.replace(account, written);
    let of_exchange = [
        "anna@ Name Anna: ExchangeChanged",
        "anna@ Aliases a@: ExchangeChanged",
        "anna@ Aliases b@: ExchangeChanged",
        "anna@ Delegates bert@: ExchangeChanged",
        "anna@ Delegates carl@: ExchangeChanged",
    ];
    assert_eq!(
        after_a_run(SETTLED, &between, &now, When::Since),
        of_exchange
    );
    // An undo writes against Exchange.
    let of_undo = of_exchange.map(|it| it.replace("ExchangeChanged", "Unchanged"));
    assert_eq!(
        after_a_run(SETTLED, &between, &now, When::SinceInUndo),
        of_undo
    );
    // What the run has made, and somebody changed afterwards.
    let by_hand = of_exchange.map(|it| it.replace("ExchangeChanged", "ChangedByHand"));
    let back = between.clone();
    let expected: Vec<String> = vec![
        "anna@ Name Other: ChangedByHand".into(),
        "anna@ Aliases a@: ChangedByHand".into(),
        "anna@ Aliases b@: ChangedByHand".into(),
        "anna@ Delegates bert@: ChangedByHand".into(),
        "anna@ Delegates carl@: ChangedByHand".into(),
    ];
    assert_eq!(after_a_run(SETTLED, &between, &back, When::Since), expected);
    // The snapshot of the same run shows what it made.
    assert_eq!(after_a_run(&now, &between, &now, When::AtSnapshot), of_undo);
    let changed = now.replace("name=Other alias=b@ ext", "name=Hand alias=z@ ext");
    assert_eq!(
        after_a_run(&now, &between, &changed, When::AtSnapshot)[0],
        by_hand[0]
    );
}

#[test]
fn r44_held_changes_have_an_origin_and_keep_it() {
    let limits = "limits aliases=0 delegates=0";
    let then = format!("{SETTLED}\n{limits}");
    let now = then
        .replace(
            "name=Anna alias=a@ ext=anna",
            "name=Anna alias=a@,z@ ext=anna",
        )
        .replace("grants=bert@", "grants=carl@");
    let (then, now) = (Scene::parse(&then), Scene::parse(&now));
    let held = compared(&then, &now, &Memory::default(), &[]).plan.held;
    let stated = |held: &[crate::hold::HeldSet]| -> Vec<(String, Option<Origin>)> {
        let changes = held.iter().flat_map(|set| &set.changes);
        changes.map(|it| (it.what.clone(), it.origin)).collect()
    };
    let expected = [
        ("remove delegate".to_owned(), Some(Origin::ExchangeChanged)),
        ("remove alias".to_owned(), Some(Origin::ChangedByHand)),
    ];
    assert_eq!(stated(&held), expected);
    // The next run holds the same, or makes what was approved: nothing has changed since.
    let snapshot = snapshot(&now);
    let changes: Vec<_> = held.iter().flat_map(|set| &set.changes).collect();
    let before = Before::of(&snapshot, &now.memory, &[], changes);
    assert_eq!(stated(&compared_with(&now, &before).plan.held), expected);
    let mut approved = now.clone();
    approved.approve = vec![Class::AliasRemoval, Class::DelegateRemoval];
    assert!(
        lines(&compared_with(&approved, &before))
            .contains(&"anna@ Aliases z@: ChangedByHand".to_owned())
    );
}

#[test]
fn r44_a_mailbox_at_the_address_of_a_leaver_is_not_what_changed() {
    let world = "
        mailbox anna@ id=new
        account anna@ as=u1 name=Anna ext=old
        people bert@
    ";
    let then = Scene::parse(world);
    let planned = compared(&then, &then, &then.memory, &[]);
    let origins = lines(&planned);
    assert_eq!(origins, ["anna@ Active no: Unchanged"]);
}

#[test]
fn r44_what_an_undo_has_taken_back_did_not_fail() {
    let then = SETTLED;
    let between = SETTLED.replace("name=Anna alias=a@ id", "name=Other alias=a@ id");
    let (before, now) = (Scene::parse(then), Scene::parse(&between));
    let did = |from: &Scene, when| -> Vec<(ActionReport, When)> {
        let actions = from.plan().plan.approved.actions().to_vec();
        let report = |action| ActionReport {
            action,
            outcome: ActionOutcome::Applied,
            problems: Vec::new(),
            left: Vec::new(),
        };
        actions.into_iter().map(|it| (report(it), when)).collect()
    };
    let back = between
        .replace("name=Other", "name=Anna")
        .replace("as=u1 name=Anna", "as=u1 name=Other");
    let mut deeds = did(&now, When::Since);
    let of_run = |deeds: &[(ActionReport, When)]| {
        let deeds: Vec<Deed<'_>> = deeds
            .iter()
            .map(|(report, when)| Deed {
                report,
                when: *when,
                is_recent: true,
            })
            .collect();
        lines(&compared(&before, &now, &now.memory, &deeds))
    };
    assert_eq!(of_run(&deeds), ["anna@ Name Other: FailedBefore"]);
    deeds.extend(did(&Scene::parse(&back), When::SinceInUndo));
    assert_eq!(of_run(&deeds), ["anna@ Name Other: ExchangeChanged"]);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn r44_each_change_has_one_origin_and_what_differs_is_by_hand(then in world(), now in world()) {
        let (then, now) = (Scene::parse(&then.join("\n")), Scene::parse(&now.join("\n")));
        let snapshot = snapshot(&then);
        let planned = compared(&then, &now, &Memory::default(), &[]);
        for action in planned.plan.approved.actions() {
            let account = action.id.as_ref().and_then(|id| snapshot.account(id));
            for change in &action.changes {
                let mut entries: Vec<(&String, bool)> =
                    change.after.iter().map(|it| (it, true)).collect();
                if change.attribute.is_set() || entries.is_empty() {
                    entries.extend(change.before.iter().map(|it| (it, false)));
                }
                let stated: Vec<&String> = change.origins.keys().collect();
                let mut expected: Vec<&String> = entries.iter().map(|(it, _)| *it).collect();
                expected.sort();
                expected.dedup();
                prop_assert_eq!(stated, expected);
                for (entry, comes) in entries {
                    let Some(then) = account else { continue };
                    let was = match change.attribute {
                        Attribute::Aliases => {
                            then.aliases.iter().any(|it| it.as_str() == entry) == comes
                        }
                        Attribute::Name => change.before != [then.name.trim().to_owned()],
                        Attribute::Active => change.before != [if then.active { "yes" } else { "no" }],
                        Attribute::Address
                        | Attribute::ObjectId
                        | Attribute::SignInKey
                        | Attribute::Delegates => continue,
                    };
                    let is_by_hand = change.origins[entry] == Origin::ChangedByHand;
                    prop_assert_eq!(is_by_hand, was, "{} {:?}", action.address, change);
                }
            }
        }
    }
}

#[test]
fn r44_only_what_a_run_has_written_or_may_have_written_is_not_by_hand() {
    let between = SETTLED.replace("mailbox anna@ name=Anna", "mailbox anna@ name=Third");
    let wrote = Scene::parse(&between).plan().plan.approved.actions()[0].clone();
    let now = SETTLED.replace(
        "account anna@ as=u1 name=Anna",
        "account anna@ as=u1 name=Hand",
    );
    let (then, now) = (Scene::parse(SETTLED), Scene::parse(&now));
    for (outcome, when, origin) in [
        (ActionOutcome::Applied, When::Since, Origin::ChangedByHand),
        (ActionOutcome::Refused, When::Since, Origin::ChangedByHand),
        (ActionOutcome::Remaining, When::Since, Origin::ChangedByHand),
        (
            ActionOutcome::Failed,
            When::AtSnapshot,
            Origin::ChangedByHand,
        ),
        // It is not known what came of it.
        (ActionOutcome::Failed, When::Since, Origin::Unchanged),
        (ActionOutcome::Partly, When::Since, Origin::Unchanged),
    ] {
        let report = ActionReport {
            action: wrote.clone(),
            outcome,
            problems: Vec::new(),
            left: Vec::new(),
        };
        let deed = Deed {
            report: &report,
            when,
            is_recent: false,
        };
        let compared = compared(&then, &now, &Memory::default(), &[deed]);
        let expected = format!("anna@ Name Anna: {origin:?}");
        assert_eq!(lines(&compared), [expected], "{outcome:?} {when:?}");
    }
}

#[test]
fn r44_what_a_run_did_about_a_delegate_is_known_after_a_rename_of_the_delegate() {
    let between = SETTLED.replace("grants=bert@", "");
    let now = "
        mailbox anna@ name=Anna alias=a@ id=anna grants=new@
        account anna@ as=u1 name=Anna alias=a@ ext=anna
        mailbox new@ id=bert name=bert
        account new@ as=bert name=bert
        people carl@
    ";
    assert_eq!(
        after_a_run(SETTLED, &between, now, When::Since),
        ["anna@ Delegates new@: ExchangeChanged"]
    );
}

#[test]
fn r44_what_decides_about_a_create_a_tie_a_rename_and_a_key() {
    // Neither side changed.
    assert_eq!(
        of("mailbox dora@", "mailbox dora@"),
        ["dora@ Name dora: Unchanged"]
    );
    let upn = "mailbox new@ id=anna upn=one@\naccount anna@ ext=anna name=new";
    let unchanged = ["anna@ Address new@: Unchanged"];
    assert_eq!(of(upn, upn), unchanged);
    assert_eq!(of(upn, &upn.replace("new@", "new@ name=new")), unchanged);
    let changed = ["anna@ Address new@: ExchangeChanged"];
    assert_eq!(of(&upn.replace("one@", "two@"), upn), changed);
    let before = upn.replace("mailbox new@", "mailbox old@ name=new");
    assert_eq!(of(&before, upn), changed);
    let by_hand = upn.replace("account anna@", "account hand@ as=anna");
    assert_eq!(of(upn, &by_hand), ["hand@ Address new@: ChangedByHand"]);
    let before = "mailbox dory@ id=dora name=dora";
    assert_eq!(
        of(before, "mailbox dora@"),
        ["dora@ Name dora: ExchangeChanged"]
    );
    let tie = "mailbox anna@ id=next\naccount anna@ ext=past\napprove identity";
    let origin = |before: &str| {
        of(before, tie)
            .join(", ")
            .replace(&object_id("next"), "NEXT")
    };
    assert_eq!(origin(tie), "anna@ ObjectId NEXT: Unchanged");
    let before = tie.replace("id=next", "id=past");
    assert_eq!(origin(&before), "anna@ ObjectId NEXT: ExchangeChanged");
}

#[test]
fn r22_r44_a_delegate_who_is_named_anew_beside_a_new_account_at_its_old_address_has_an_origin() {
    let then = "
        mailbox a@ id=anna name=N
        account a@ ext=anna name=N
        mailbox b@ name=N grants=a@
        account b@ ext=b name=N delegates=a@
    ";
    let now = "
        mailbox a2@ id=anna name=N
        account a@ ext=anna name=N
        mailbox a@ id=new name=N
        mailbox b@ name=N grants=a@,a2@
        account b@ ext=b name=N delegates=a@
    ";
    let lines = of(then, now);
    let of_b: Vec<&String> = lines.iter().filter(|it| it.starts_with("b@")).collect();
    assert_eq!(
        of_b,
        [
            "b@ Delegates a2@: ExchangeChanged",
            "b@ Delegates a@: ExchangeChanged"
        ]
    );
}

/// The run that renamed the delegate ended before it wrote the account.
#[test]
fn r22_r35_r44_a_delegate_who_is_named_by_a_former_address_is_not_changed_by_hand() {
    let then = "
        mailbox a@ id=anna name=N
        account a@ as=anna ext=anna name=N
        mailbox b@ name=N grants=?
        account b@ ext=b name=N delegates=a@
    ";
    let now = then
        .replace("mailbox a@", "mailbox a2@")
        .replace("account a@", "account a2@");
    let (then, mut now) = (Scene::parse(then), Scene::parse(&now));
    let former = (address("a@"), ScimId::new("anna"));
    now.memory.former_addresses.extend([former]);
    let compared = compared(&then, &now, &now.memory, &[]);
    assert_eq!(lines(&compared), ["b@ Delegates a2@: Unchanged"]);
}
