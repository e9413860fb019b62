//! The results of a run: counts, outcome, summary line, questions and memory.

use super::notation::{NOW, Planned, Scene, address, object_id};
use crate::{
    account::{Actual, Extension},
    accounts::Accounts,
    delegation::{GroupIndex, questions},
    diff::absence_questions,
    directory::{MailboxIx, Party},
    guard::Class,
    health::Overdue,
    hold::{HeldChange, HeldSet},
    ids::{ObjectId, ScimId},
    matching::match_accounts,
    memory::Memory,
    mode::{Depth, Mode, PerformSync, Trigger},
    note::{Code, Note},
    notice::{Notified, at_tick},
    origin::Origin,
    plan::{Attribute, AttributeChange},
    probe::AnswerSheet,
    record::{Entry, PlanRecord},
    report::{ActionOutcome, ActionReport, Report, RunOutcome},
    source::{PermissionAnswer, PermissionEntry, Question},
    suspended::{Suspended, still_suspended},
    world::SsoAccountKey,
};

/// A report about the actions of a world, each with its outcome.
fn report(text: &str, outcomes: &[ActionOutcome]) -> Report {
    let plan = Scene::parse(text).plan().plan;
    let actions = plan.approved.actions().iter();
    let mut report = Report::begin("r1".into(), Mode::Apply, Trigger::Timer, "t".into());
    report.actions = actions
        .zip(outcomes)
        .map(|(action, outcome)| ActionReport {
            left: Vec::new(),
            action: action.clone(),
            outcome: *outcome,
            problems: match outcome {
                ActionOutcome::Partly | ActionOutcome::Refused => vec!["400 no".into()],
                ActionOutcome::Planned
                | ActionOutcome::Applied
                | ActionOutcome::Failed
                | ActionOutcome::Remaining => Vec::new(),
            },
        })
        .collect();
    report
}

pub(super) fn held() -> HeldSet {
    let change = HeldChange {
        address: address("anna@"),
        what: "suspend".into(),
        before: "active".into(),
        after: "suspended".into(),
        fingerprint: "f".into(),
        origin: None,
        waits: None,
    };
    HeldSet {
        approved: Vec::new(),
        second_person: None,
        class: Class::Suspend,
        code: "c0de".into(),
        reason: "over its limit".into(),
        changes: vec![
            change.clone(),
            HeldChange {
                fingerprint: "g".into(),
                ..change
            },
        ],
        companions: vec![],
        rejected: vec![],
    }
}

#[test]
fn r26_r32_a_report_counts_what_its_lists_hold() {
    use ActionOutcome::{Applied, Failed, Partly, Planned, Refused, Remaining};
    let world = "
        mailbox a1@
        mailbox a2@
        mailbox a3@
        mailbox a4@
        mailbox a5@
        mailbox b1@ disabled
        account b1@
        mailbox b2@ disabled
        account b2@
        mailbox b3@ disabled
        account b3@
        mailbox b4@ disabled
        account b4@
    ";
    let outcomes = [
        Applied, Applied, Partly, Refused, Failed, Partly, Partly, Planned, Remaining,
    ];
    let mut report = report(world, &outcomes);
    report.held = vec![held(), held()];
    report.skipped = vec![
        Note::new("x@corp.example", Code::Rejected, "one"),
        Note::new("y@corp.example", Code::Rejected, "two"),
        Note::new("z@corp.example", Code::TargetFilter, "three"),
    ];
    report.duration_ms = 1_250;
    report.remaining = 1;
    report.count();
    let counts = serde_json::to_value(&report.counts).unwrap();
    let expected = serde_json::json!({
        "planned": {"create": 5, "suspend": 4},
        "applied": {"create": 3, "suspend": 2},
        "refused": 4,
        "failed": 1,
        "held": 4,
        "skipped": {"rejected": 2, "target_filter": 1},
    });
    assert_eq!(counts, expected);
    let failed: Vec<&str> = report
        .failed
        .iter()
        .map(|one| one.address.as_str())
        .collect();
    assert_eq!(
        failed,
        [
            "a3@corp.example",
            "a4@corp.example",
            "b1@corp.example",
            "b2@corp.example"
        ]
    );
    assert_eq!(
        report.summary_line(),
        "run r1 (Apply): 9 planned, 5 applied, 4 refused, 1 failed, 4 held, 1 remaining in 1.2 s"
    );
}

#[test]
fn r26_r32_r36_what_needs_attention_and_how_a_run_ends() {
    let create = "mailbox anna@";
    let end = |mut report: Report| {
        report.count();
        report.conclude();
        report.outcome
    };
    let fine = || Report {
        converged: Some(true),
        ..report(create, &[ActionOutcome::Applied])
    };
    assert_eq!(end(fine()), RunOutcome::InSync);
    let not_verified = Report {
        converged: None,
        ..fine()
    };
    let not_started = Report {
        remaining: 1,
        ..fine()
    };
    for left in [not_verified, not_started] {
        assert_eq!(end(left), RunOutcome::ChangesPending);
    }
    let mut filtered = fine();
    filtered.skipped = vec![Note::new("x", Code::TargetFilter, "t")];
    assert_eq!(end(filtered), RunOutcome::InSync);

    let mut with_held = fine();
    with_held.held = vec![held()];
    let mut rejected = fine();
    rejected.skipped = vec![Note::new("x", Code::Rejected, "t")];
    let mut differs = fine();
    differs.converged = Some(false);
    let refused = report(create, &[ActionOutcome::Refused]);
    for bad in [with_held, rejected, differs, refused] {
        assert_eq!(end(bad), RunOutcome::NeedsAttention);
    }

    let mut preview = report(create, &[ActionOutcome::Planned]);
    preview.mode = Mode::Preview;
    assert_eq!(end(preview), RunOutcome::ChangesPending);
    let mut nothing = report("", &[]);
    nothing.mode = Mode::Preview;
    assert_eq!(end(nothing), RunOutcome::InSync);
}

#[test]
fn a_seen_twice_mailbox_has_its_object_id_twice() {
    let seen_twice = |text: &str| {
        let world = Scene::parse(text).world();
        let all = world.directory.iter();
        all.map(|(_, mailbox)| world.directory.is_seen_twice(mailbox))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        seen_twice("mailbox anna@ id=a\nmailbox bert@ id=a"),
        [true, true]
    );
    assert_eq!(
        seen_twice("mailbox anna@ id=a\nmailbox bert@ id=b guid=a"),
        [false, false]
    );
}

#[test]
fn silence_is_told_in_hours() {
    let notice = |has_succeeded| {
        let overdue = Overdue {
            age_s: 27 * 3600 + 1800,
            age_max_s: 26 * 3600,
            has_succeeded,
            depth: Depth::Full,
        };
        at_tick(&Notified::default(), Some(overdue), None, 0)
            .1
            .unwrap()
    };
    assert!(
        notice(true)
            .text
            .starts_with("The last success was 27 hours ago.")
    );
    assert!(
        notice(false)
            .text
            .starts_with("The app was first seen 27 hours ago.")
    );
    assert_eq!(
        notice(true).title,
        "Cloud Sync: no run has succeeded for 26 hours"
    );
}

#[test]
fn a_recommendation_belongs_to_the_last_answer() {
    let mut sheet = AnswerSheet::default();
    sheet.recommend("nothing was asked yet");
    sheet.say("exchange", "How many pages?", "one");
    sheet.say("exchange", "How fast?", "slow");
    sheet.recommend("EXO_PERMISSIONS=batch");
    let told: Vec<_> = sheet
        .answers
        .iter()
        .map(|one| (&*one.answer, one.recommends.as_deref()))
        .collect();
    assert_eq!(
        told,
        [("one", None), ("slow", Some("EXO_PERMISSIONS=batch"))]
    );
}

#[test]
fn r28_the_setting_is_shown_as_it_is_written() {
    let all = [
        PerformSync::Never,
        PerformSync::OnDemand,
        PerformSync::Always,
    ];
    assert_eq!(
        all.map(|one| one.to_string()),
        ["false", "on-demand", "true"]
    );
}

#[test]
fn the_suspended_are_those_that_still_are_the_oldest_first() {
    let mut scene = Scene::parse(
        "account anna@ off
        account bert@
        account carl@ off
        functional dora@",
    );
    for (id, at) in [
        ("anna", NOW),
        ("bert", NOW),
        ("carl", NOW - 86_400),
        ("dora", NOW),
        ("gone", NOW),
    ] {
        scene.memory.suspended.insert(ScimId::new(id), at);
    }
    let accounts = Accounts::new(scene.actual.clone());
    let listed = still_suspended(&mut scene.memory, &accounts);
    let names: Vec<&str> = listed.iter().map(|one| one.address.as_str()).collect();
    assert_eq!(names, ["carl@corp.example", "anna@corp.example"]);
    let kept: Vec<&str> = scene.memory.suspended.keys().map(ScimId::as_str).collect();
    assert_eq!(kept, ["anna", "carl"]);
    let words = Suspended::at(&address("anna@"), NOW).in_words();
    assert!(
        words.starts_with(
            "suspended on 2027-01-15; Zivver may delete it for good from 2027-04-15 on"
        ),
        "{words}"
    );
}

#[test]
fn r22_addresses_are_sent_as_zivver_spelled_them() {
    let mut extension = Extension::default();
    extension
        .spelling
        .insert(address("anna@"), "Anna@Corp.Example".into());
    assert_eq!(extension.spell(&address("anna@")), "Anna@Corp.Example");
    assert_eq!(extension.spell(&address("bert@")), "bert@corp.example");
}

#[test]
fn an_organisation_without_accounts_is_empty() {
    assert!(Accounts::new(Actual::default()).is_empty());
    assert!(!Accounts::new(Scene::parse("account anna@").actual).is_empty());
}

#[test]
fn an_id_is_itself_in_json_and_in_debug_output() {
    let id = ObjectId::parse(&object_id("anna")).unwrap();
    let text = id.to_string();
    assert_eq!(serde_json::to_value(id).unwrap(), serde_json::json!(text));
    assert_eq!(format!("{id:?}"), text);
    assert_eq!(format!("{:?}", ScimId::new("u1")), "u1");
}

#[test]
fn r9_only_what_is_not_found_otherwise_is_asked_for() {
    let scene = Scene::parse(
        "mailbox anna@
        mailbox bert@
        group Sales members=bert@
        groups ?",
    );
    let world = scene.world();
    let entry = |user: &str| PermissionEntry {
        user: user.to_owned(),
        access_rights: vec!["FullAccess".into()],
        deny: false,
        inherited: false,
    };
    let asked = |users: &[&str], answers| {
        let entries = users.iter().map(|user| entry(user)).collect();
        let answer = PermissionAnswer::Entries(entries);
        questions(
            &world.directory,
            &GroupIndex::new(answers),
            Party::Mailbox(MailboxIx(0)),
            &answer,
            answers,
        )
    };
    let mut answers = scene.answers.clone();
    answers.directory = None;
    let users = [
        "NT AUTHORITY\\SELF",
        "bert@corp.example",
        "Ext@Other.Example",
    ];
    assert_eq!(asked(&users, &answers), [Question::GroupDirectory].into());
    let known = Scene::parse("mailbox bert@\ngroup Sales members=bert@");
    assert_eq!(
        asked(&users, &known.answers),
        [Question::Recipient("ext@other.example".into())].into()
    );
}

#[test]
fn r19_only_active_accounts_that_could_be_absent_are_asked_about() {
    let asked = |text: &str| -> Vec<String> {
        let scene = Scene::parse(text);
        let world = scene.world();
        let matching = match_accounts(&world, &scene.policy, &scene.memory);
        let questions = absence_questions(&world, &scene.policy, &matching);
        questions
            .into_iter()
            .map(|question| {
                let Question::Recipient(text) = question else {
                    panic!("{question:?}");
                };
                text
            })
            .collect()
    };
    let world = "
        mailbox anna@ alias=merge@
        account anna@
        account merge@ ext=merge
        account gone@
        account past@ ext=past
        account idle@ off
        account far@other.example
        functional desk@ members=anna
        functional rest@
    ";
    let (merge, past) = (object_id("merge"), object_id("past"));
    assert_eq!(
        asked(world),
        [
            &*past,
            &*merge,
            "desk@corp.example",
            "gone@corp.example",
            "past@corp.example"
        ]
    );
    // R14: without a shared mailbox in the filter functional accounts are not changed.
    let filtered = format!("{world}\nsource anna@");
    assert_eq!(
        asked(&filtered),
        [&*past, &*merge, "gone@corp.example", "past@corp.example"]
    );
    assert_eq!(
        asked(&format!("{world}\ngone gone@")).len(),
        4,
        "once is enough"
    );
}

#[test]
fn r13_r15_a_plan_counts_what_is_outside_and_what_each_entry_matches() {
    let Planned { plan, .. } = Scene::parse(
        "target filtered@ *x@*
        mailbox filtered@
        account filtered@
        mailbox onlymailbox@
        mailbox filtered@other.example
        account max@
        account far@other.example
        account away@other.example
        mailbox new@
        account new@ name=Old",
    )
    .plan();
    assert_eq!(plan.accounts_outside, 2);
    let counts: Vec<(&str, usize)> = plan
        .filter_counts
        .iter()
        .map(|(entry, count)| (entry.as_str(), *count))
        .collect();
    assert_eq!(counts, [("*x@*", 2), ("filtered@", 2)]);
    assert!(!plan.approved.is_empty(), "a create");
    assert!(Scene::parse("").plan().plan.approved.is_empty());
}

/// A suspend, an update with two changes, and a create.
const THREE: &str = "
    people anna@ disabled
    mailbox bert@ name=New alias=b@
    account bert@ name=Old
    mailbox carl@
";

/// An outcome of an action in the journal.
fn entry(action: u32, outcome: ActionOutcome) -> Entry {
    Entry {
        action,
        outcome,
        created: None,
        at: None,
        problems: Vec::new(),
        left: Vec::new(),
    }
}

/// The rest of the second action of [`THREE`].
fn name_left(report: &Report) -> Vec<AttributeChange> {
    let changes = report.actions[1].action.changes.iter();
    let name = changes.filter(|it| it.attribute == Attribute::Name);
    name.cloned().collect()
}

#[test]
fn r34_r35_a_report_counts_what_is_done_in_part_and_what_is_not_started() {
    use ActionOutcome::{Applied, Partly, Planned, Remaining};
    let mut report = report(THREE, &[Planned; 3]);
    let part = Entry {
        left: name_left(&report),
        ..entry(1, Partly)
    };
    assert_eq!(part.left.len(), 1);
    report.record_entries(&[entry(0, Applied), part]);
    report.count();
    let outcomes: Vec<_> = report.actions.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [Applied, Partly, Remaining]);
    let counts = (
        report.remaining,
        report.counts.in_part,
        report.not_started(),
    );
    assert_eq!(counts, (2, 1, 1));
    assert_eq!(
        report.counts.refused, 0,
        "a part is left for the next invocation"
    );
}

#[test]
fn r35_the_report_of_a_killed_run_has_what_its_plans_did_and_what_the_last_one_left() {
    let told = |plans: &[(&str, Vec<Entry>)]| {
        let plans = plans.iter().map(|(text, entries)| {
            let planned = Scene::parse(text).plan();
            let (world, by) = (&planned.world, SsoAccountKey::ObjectId);
            let memory = Memory::default();
            let record = PlanRecord::of(&planned.plan, world, &planned.matching, &memory, by);
            (record, entries.clone())
        });
        let mut report = report("", &[]);
        report.record_plans(&plans.collect::<Vec<_>>(), None);
        let actions = report.actions.iter();
        let actions = actions.map(|it| format!("{}: {:?}", it.action.address, it.outcome));
        let actions: Vec<_> = actions.collect();
        let sum: u32 = report.counts.applied.values().sum();
        let actions = actions.join(", ").replace("corp.example", "");
        (actions, report.remaining, sum)
    };
    let done = |action| entry(action, ActionOutcome::Applied);
    let first = (THREE, vec![done(0)]);
    let cut = "anna@: Applied, bert@: Remaining, carl@: Remaining";
    assert_eq!(told(std::slice::from_ref(&first)), (cut.into(), 2, 1));
    let rest = THREE.replace("people anna@ disabled", "");
    let second = (&*rest, vec![done(0), done(1)]);
    let whole = "anna@: Applied, bert@: Applied, carl@: Applied";
    assert_eq!(told(&[first, second]), (whole.into(), 0, 3));
    assert_eq!(told(&[]), (String::new(), 0, 0));
}

#[test]
fn r40_of_a_report_only_what_mentions_an_address_is_kept() {
    let mut whole = report(
        "mailbox anna@ name=New
        account anna@ name=Old
        mailbox bert@ alias=b@ grants=anna@
        account bert@
        mailbox carl@ name=New
        account carl@ name=Old",
        &[ActionOutcome::Applied; 3],
    );
    whole.differences = whole.actions.iter().map(|it| it.action.clone()).collect();
    let change = |local: &str, before: &str, after: &str| HeldChange {
        address: address(local),
        before: before.into(),
        after: after.into(),
        origin: Some(Origin::ExchangeChanged),
        ..held().changes[0].clone()
    };
    let set = |changes, rejected, approved| HeldSet {
        changes,
        rejected,
        approved,
        ..held()
    };
    whole.held = vec![
        set(
            vec![
                change("anna@", "active", "suspended"),
                change("dora@", "anna@corp.example", ""),
                change("dora@", "", "anna@corp.example"),
                change("carl@", "active", "suspended"),
            ],
            vec![change("carl@", "a", "b")],
            vec![change("anna@", "a", "b"), change("carl@", "a", "b")],
        ),
        set(vec![change("carl@", "active", "suspended")], vec![], vec![]),
        set(vec![], vec![change("anna@", "active", "suspended")], vec![]),
    ];
    let notes = ["anna@corp.example", "bert@corp.example"].into_iter();
    whole.skipped = notes
        .map(|name| Note::new(name, Code::TargetFilter, "t"))
        .collect();
    whole.suspended = ["anna@", "carl@"]
        .map(|local| Suspended::at(&address(local), NOW))
        .into();
    let told = |about: &str| {
        let mut report = whole.clone();
        report.keep_only(&address(about));
        let of_actions = report.actions.iter().map(|it| &it.action.address);
        let of_differences = report.differences.iter().map(|it| &it.address);
        let all: Vec<_> = of_actions
            .chain(of_differences)
            .map(ToString::to_string)
            .collect();
        let sets = report.held.iter();
        let sets = sets.map(|set| (set.changes.len(), set.rejected.len(), set.approved.len()));
        let others = (
            report.skipped.len(),
            report.suspended.len(),
            report.counts.held,
        );
        let text = format!("{all:?} {:?} {others:?}", sets.collect::<Vec<_>>());
        text.replace("corp.example", "")
    };
    insta::assert_snapshot!(told("anna@"), @r#"["anna@", "bert@", "anna@", "bert@"] [(3, 0, 1), (0, 1, 0)] (1, 1, 3)"#);
    insta::assert_snapshot!(told("b@"), @r#"["bert@", "bert@"] [] (0, 0, 0)"#);
    insta::assert_snapshot!(told("nobody@"), @"[] [] (0, 0, 0)");
}

#[test]
fn r39_a_report_about_named_accounts_counts_what_it_finds_about_others() {
    let mut report = report("", &[]);
    let note = |local: &str, code| Note::new(address(local).to_string(), code, "t");
    report.skipped = vec![
        note("anna@", Code::Rejected),
        note("bert@", Code::Rejected),
        note("carl@", Code::TargetFilter),
    ];
    report.suspended = ["anna@", "bert@"]
        .map(|local| Suspended::at(&address(local), NOW))
        .into();
    report.narrow(&[address("anna@").to_string()].into());
    assert_eq!(report.skipped, [note("anna@", Code::Rejected)]);
    let suspended = report.suspended.iter();
    let suspended: Vec<_> = suspended.map(|it| it.address.clone()).collect();
    assert_eq!(suspended, [address("anna@")]);
    let others = report.others.unwrap();
    assert_eq!((others.findings, others.attention), (2, 1));
}

#[test]
fn r44_a_report_lists_what_was_changed_by_hand_and_counts_all_origins() {
    let mut report = report(THREE, &[ActionOutcome::Planned; 3]);
    let origins = [
        ("New", Origin::ChangedByHand),
        ("b@corp.example", Origin::ExchangeChanged),
    ];
    for change in report
        .actions
        .iter_mut()
        .flat_map(|it| &mut it.action.changes)
    {
        let own = origins
            .iter()
            .filter(|(entry, _)| change.after.contains(&(*entry).to_owned()));
        change.origins = own
            .map(|(entry, origin)| ((*entry).to_owned(), *origin))
            .collect();
    }
    let mut set = held();
    set.changes[0].origin = Some(Origin::ChangedByHand);
    set.changes[1].origin = Some(Origin::ExchangeChanged);
    report.held = vec![set];
    report.count();
    let origins = [(Origin::ExchangeChanged, 2), (Origin::ChangedByHand, 2)];
    assert_eq!(report.counts.origins, origins.into());
    let by_hand = report.by_hand().map(|it| it.address().to_string());
    let by_hand: Vec<_> = by_hand.collect();
    assert_eq!(by_hand, ["bert@corp.example", "anna@corp.example"]);
}

#[test]
fn r1_numbers_that_a_run_did_not_read_are_unknown() {
    use RunOutcome::{Failed, InSync, Open, Stopped};
    let state = |outcome, mailboxes, actions| {
        let mut report = report("mailbox anna@", &[ActionOutcome::Planned; 1][..actions]);
        report.outcome = outcome;
        report.source.mailboxes = mailboxes;
        (report.has_counted(), report.has_planned())
    };
    for cut in [Open, Stopped, Failed] {
        assert_eq!(state(cut, 0, 0), (false, false), "{cut:?}");
        assert_eq!(state(cut, 1, 0), (true, true), "{cut:?}");
        assert_eq!(state(cut, 0, 1), (false, true), "{cut:?}");
    }
    assert_eq!(state(InSync, 0, 0), (true, true));
}

fn warned(text: &str) -> String {
    let planned = Scene::parse(text).plan();
    let mut report = report("", &[]);
    report.describe(&planned.plan, &planned.world);
    report.warnings.join("\n")
}

#[test]
fn r15_a_report_says_that_the_target_filter_leaves_out_most_mailboxes() {
    let people = "people anna@ bert@ carl@ dora@\nother room@\nmailbox eve@other.example\n";
    let filtered = |filter: &str| warned(&format!("{people}target {filter}"));
    insta::assert_snapshot!(filtered("corp"), @"TARGET_FILTER leaves out 4 of 4 mailboxes in the claimed domains: correct CLOUD_SYNC__TARGET_FILTER if an entry matches too much (R15)");
    assert_ne!(filtered("anna bert carl"), "");
    assert_eq!(filtered("anna bert"), "");
    assert_eq!(warned(people), "");
}

#[test]
fn r13_a_report_says_that_no_mailbox_is_inside_the_claimed_domains() {
    let mistyped = "domains crop.example\npeople anna@ bert@\nmailbox carl@other.example";
    insta::assert_snapshot!(warned(mistyped), @"no mailbox is inside the claimed domains (crop.example), so nothing is synchronised; 2 of 3 mailboxes are in corp.example: correct CLOUD_SYNC__CLAIMED_DOMAINS (R13)");
    assert_eq!(warned(&mistyped.replace("crop", "corp")), "");
    insta::assert_snapshot!(warned(&format!("{mistyped}\nsource carl@")), @"no mailbox has an address in crop.example: correct CLOUD_SYNC__CLAIMED_DOMAINS if that is mistyped (R13)");
    assert_eq!(warned("domains crop.example"), "");
    // One of several is mistyped.
    let several = |domains: &str| {
        warned(&format!(
            "domains {domains}\nmailbox anna@ alias=a@other.example\nother room@rooms.example"
        ))
    };
    insta::assert_snapshot!(several("corp.example ohter.example"), @"no mailbox has an address in ohter.example: correct CLOUD_SYNC__CLAIMED_DOMAINS if that is mistyped (R13)");
    assert_eq!(several("corp.example other.example rooms.example"), "");
}
