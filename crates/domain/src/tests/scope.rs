//! R13 to R15 and R39: which accounts a run may change.

use insta::assert_snapshot;

use super::{
    notation::{Scene, object_id},
    shown::{changes_of, plan_of},
};
use crate::{
    mode::{Mode, Trigger},
    report::{Report, RunOutcome},
    scope::{NO_SUCH_GROUP, RunScope, SourceFilter, source_filter},
    source::{Answers, GroupKind, MembersAnswer, Question, RecipientAnswer, RecipientRecord},
};

#[test]
fn r13_a_mailbox_outside_the_domains_is_not_synchronised_and_its_account_stays() {
    let world = "
        mailbox anna@other.example name=New
        mailbox bert@
        account anna@other.example name=Old
    ";
    assert_snapshot!(plan_of(world), @r"
    create bert@; name +bert
    0. new bert@: post user [bert] key [#bert]
    1. new bert@: name [bert] active [true] aliases [] delegates [] key [#bert]; completes 0; after 0
    R13 OutsideClaimedDomains anna@other.example
    ");
}

#[test]
fn r13_a_disabled_mailbox_outside_needs_attention_wherever_its_active_account_is() {
    let world = |depth: &str| {
        format!(
            "
        {depth}
        mailbox by.map@other.example id=map disabled
        account old.map@other.example as=u1
        map map=u1
        mailbox by.ext@other.example id=ext disabled
        account old.ext@other.example ext=ext
        mailbox by.name@other.example disabled
        account by.name@other.example
        mailbox moved@ id=moved disabled
        account moved@other.example ext=moved
        mailbox back@ id=back disabled
        account back@elsewhere.example ext=back off
        mailbox away@other.example id=away disabled
        account away@ ext=away
        mailbox off@other.example disabled
        account off@other.example off
        mailbox on@other.example
        account on@other.example
        mailbox kept@other.example disabled
        account kept@other.example
        shared desk@other.example
        functional desk@other.example members=on@other.example
        mailbox mismatch@other.example disabled
        functional mismatch@other.example members=on@other.example
        target kept@
        "
        )
    };
    let full = plan_of(&world(""));
    assert_snapshot!(full, @r"
    R13 DisabledOutsideDomains away@
    R13 OutsideClaimedDomains away@other.example
    R13 OutsideClaimedDomains back@
    R13 OutsideClaimedDomains by.ext@other.example
    R13 OutsideClaimedDomains by.map@other.example
    R13 DisabledOutsideDomains by.name@other.example
    R13 OutsideClaimedDomains desk@other.example
    R15 TargetFilter kept@other.example
    R18 KindMismatch mismatch@other.example
    R13 OutsideClaimedDomains moved@
    R13 DisabledOutsideDomains moved@other.example
    R13 OutsideClaimedDomains off@other.example
    R13 DisabledOutsideDomains old.ext@other.example
    R13 DisabledOutsideDomains old.map@other.example
    R13 OutsideClaimedDomains on@other.example
    ");
    assert_eq!(plan_of(&world("quick")), full);
    let told = texts(&world(""));
    let moved = told.lines().find(|it| it.contains("moved@other.example:"));
    assert_snapshot!(moved.unwrap_or(&told), @"DisabledOutsideDomains moved@other.example: it is outside the claimed domains, its mailbox moved@ is disabled, and its owner can still sign in; suspend the account in the Zivver WebApp");
}

#[test]
fn r13_nothing_is_renamed_to_an_address_outside() {
    let world = "
        mailbox anna@other.example id=anna name=New
        account anna@ name=Old
        map anna=anna
        mailbox zoe@
        account zoe@
    ";
    assert_snapshot!(plan_of(world), @r"
    R13 OutsideClaimedDomains anna@
    R13 OutsideClaimedDomains anna@other.example
    ");
}

#[test]
fn r13_foreign_aliases_delegates_and_members_are_kept() {
    let world = "
        mailbox anna@ alias=new@,far@other.example
        account anna@ alias=x@other.example delegates=y@other.example,bert@other.example
        account bert@other.example
        shared info@ grants=anna@
        functional info@ members=bert alias=z@other.example
        shared team@
        functional team@ members=bert,anna
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; aliases +new@
    update info@; delegates +anna@
    update team@; delegates -anna@
    0. anna@: aliases [new@ x@other.example] delegates [bert@other.example y@other.example] key [#anna]
    1. info@: members [anna@ bert@other.example]
    2. team@: members [bert@other.example]
    ");
}

#[test]
fn r14_who_left_the_filter_is_suspended_or_emptied() {
    let world = "
        source anna@ info@
        mailbox anna@
        account anna@
        mailbox bert@
        account bert@
        shared info@ grants=anna@
        functional info@ members=anna
        shared team@ grants=anna@
        functional team@ members=anna
        mailbox new@
    ";
    assert_snapshot!(changes_of(world), @r"
    suspend bert@; active -yes +no
    empty team@; active -yes +no; delegates -anna@
    ");
}

#[test]
fn r14_without_a_shared_mailbox_in_the_filter_functional_accounts_stay() {
    let world = "
        source anna@
        mailbox anna@ alias=old@
        account anna@
        mailbox bert@
        account bert@
        shared info@ name=New grants=bert@
        functional info@ members=anna alias=old@
        functional stray@ members=anna
    ";
    assert_snapshot!(plan_of(world), @r"
    suspend bert@; active -yes +no
    0. bert@: active [false]
    R23 AliasTaken anna@
    R14 OutsideSourceFilter bert@
    R14 FunctionalOutsideSourceFilter info@
    R14 FunctionalOutsideSourceFilter stray@
    ");
}

#[test]
fn r14_who_is_not_in_the_filter_is_no_delegate() {
    let world = "
        source anna@ info@
        mailbox anna@
        account anna@
        mailbox bert@
        account bert@ off
        shared info@ grants=anna@,bert@
        functional info@ members=anna,bert
    ";
    assert_snapshot!(changes_of(world), @"update info@; delegates -bert@");
}

#[test]
fn r15_filtered_accounts_are_not_touched_but_may_be_delegates() {
    let world = "
        target anna sec*@corp.example
        mailbox anna@ name=New
        account anna@
        mailbox secret@
        shared info@ grants=anna@,secret@
        functional info@
        account johanna@
        mailbox sec@ id=sec
        account old@ as=old ext=sec
    ";
    assert_snapshot!(plan_of(world), @r"
    resume info@; active -no +yes; delegates +anna@
    0. info@: members [anna@]
    R15 TargetFilter anna@
    R12 DelegatePruned info@
    R15 TargetFilter johanna@
    R15 TargetFilter old@
    R15 TargetFilter sec@
    R15 TargetFilter secret@
    ");
}

#[test]
fn r15_aliases_are_not_matched() {
    let world = "
        target nick
        mailbox anna@ alias=nick@ name=New
        account anna@ alias=nick@
    ";
    assert_snapshot!(changes_of(world), @"update anna@; name -anna +New");
}

#[test]
fn r39_a_scoped_run_writes_only_to_the_named_accounts() {
    let world = "
        only anna@ info@
        mailbox anna@ name=New alias=bertold@
        account anna@
        mailbox bert@ name=New
        account bert@ alias=bertold@
        mailbox carl@
        shared info@ grants=carl@
        functional info@ members=anna
    ";
    assert_snapshot!(plan_of(world), @r"
    update anna@; name -anna +New
    0. anna@: name [New]
    R23 AliasTaken anna@
    R12 DelegatesStay info@
    R39 OutsideRun info@
    ");
}

/// The notes of a world with their texts.
fn texts(world: &str) -> String {
    let planned = Scene::parse(world).plan();
    let notes = planned.plan.notes.iter();
    let lines: Vec<String> = notes
        .map(|note| format!("{:?} {}: {}", note.code, note.address, note.text))
        .collect();
    lines.join("\n").replace("corp.example", "")
}

#[test]
fn r39_what_needs_an_account_outside_the_run_waits_for_one_that_covers_it() {
    let world = "
        only info@ desk@
        mailbox eve@
        mailbox anna@
        account anna@
        shared info@ grants=eve@
        shared desk@ grants=eve@,anna@
    ";
    assert_snapshot!(texts(world), @r"
    OutsideRun desk@: eve@ is left out as a delegate: this run does not create its account: include eve@ in the run (R39)
    OutsideRun info@: eve@ is left out as a delegate: this run does not create its account: include eve@ in the run (R39)
    OutsideRun info@: its only delegates are left out for now, so it is not created
    ");
    let mut scene = Scene::parse(world);
    let planned = scene.plan();
    let mut report = Report::begin("R1".into(), Mode::Preview, Trigger::Http, String::new());
    report.describe(&planned.plan, &planned.world);
    report.actions.clear();
    report.count();
    report.conclude();
    assert_eq!(report.outcome, RunOutcome::ChangesPending);
    scene.wishes.scope = RunScope::All;
    assert_eq!(scene.plan().plan.notes, []);
}

#[test]
fn r39_an_address_that_an_account_outside_the_run_gives_up_waits_for_it() {
    let world = "
        only anna@ dora@
        mailbox anna@ alias=x@
        account anna@
        mailbox bert@
        account bert@ alias=x@
        mailbox carl.two@ id=carl name=carl
        account carl@ as=u1
        mailbox carl@ id=dora name=dora
        account dora@ as=u2
        map carl=u1 dora=u2
    ";
    assert_snapshot!(texts(world), @r#"
    AliasTaken anna@: the alias x@ is left out: it is still the alias of the account of "bert" (bert@), whose mailbox is now bert@; this run does not change that account: include bert@ in the run (R39)
    RenameBlocked carl@: dora@ cannot become carl@, which is still the address of the account of "carl", whose mailbox is now carl.two@; this run does not change that account: include carl.two@ in the run (R39)
    "#);
}

#[test]
fn r26_an_address_whose_release_is_held_is_free_once_that_is_approved() {
    let world = "
        limits aliases=0 renames=0
        mailbox anna@ alias=x@
        account anna@
        mailbox bert@
        account bert@ alias=x@
        mailbox carl.two@ id=carl name=carl
        account carl@ as=u1
        map carl=u1
        mailbox carl@ id=new
    ";
    assert_snapshot!(texts(world), @r#"
    AliasTaken anna@: the alias x@ is left out: it is still the alias of the account of "bert" (bert@), whose mailbox is now bert@; it waits for what is held: bert@ remove alias x@; approve that with the code d3986b64c4 (R27)
    AddressTaken carl@: no account can be created for carl@, which is still the address of the account of "carl", whose mailbox is now carl.two@; it waits for what is held: carl@ rename carl@ → carl.two@; approve that with the code 1d637fefe7 (R27)
    "#);
}

#[test]
fn r39_any_address_names_an_account() {
    let world = "
        only nick@ was@
        mailbox anna@ name=New alias=nick@
        account anna@ alias=nick@
        mailbox bert@ id=bert
        account was@ as=u1 name=bert
        map bert=u1
        mailbox carl@ name=New
        account carl@
    ";
    assert_snapshot!(changes_of(world), @r"
    update anna@; name -anna +New
    rename was@; address -was@ +bert@
    ");
}

#[test]
fn r39_what_the_run_has_written_to_stays_in_its_scope() {
    let world = "
        only was@
        mailbox bert@ id=bert name=New
        account bert@ as=u1 name=bert
        map bert=u1
    ";
    assert_snapshot!(changes_of(world), @"");
    assert_snapshot!(changes_of(&format!("written u1\n{world}")), @"update bert@; name -bert +New");
}

/// The answers of a tenant with a plain group `Staff` of these names, and with these recipients.
fn staff(names: &[&str], known: Vec<(&str, RecipientAnswer)>) -> Answers {
    let mut answers = Answers::default();
    let row = |name: &&str| RecipientRecord {
        name: Some((*name).into()),
        identity: Some((*name).into()),
        ..RecipientRecord::default()
    };
    let rows = MembersAnswer::Complete(names.iter().map(row).collect());
    answers.members.insert("Staff".into(), rows);
    let not_found = ("Staff", RecipientAnswer::NotFound);
    for (text, answer) in known.into_iter().chain([not_found]) {
        answers.recipients.insert(text.into(), answer);
    }
    answers
}

fn called(name: &str, kind: &str, id: Option<&str>) -> RecipientAnswer {
    RecipientAnswer::Found(RecipientRecord {
        recipient_type_details: kind.into(),
        object_id: id.map(object_id),
        name: Some(name.into()),
        ..RecipientRecord::default()
    })
}

#[test]
fn r14_members_of_a_plain_group_are_looked_up_by_name() {
    let asked = source_filter(&["Staff"], &staff(&["Anna", "Sales"], Vec::new()));
    let questions = ["Anna", "Sales"].map(|name| Question::Recipient(name.into()));
    assert_eq!(asked, SourceFilter::Missing(questions.into()));
    let known = vec![
        ("Anna", called("anna", "UserMailbox", Some("anna"))),
        (
            "Sales",
            called("Sales", "MailUniversalSecurityGroup", Some("sales")),
        ),
        ("Inner", RecipientAnswer::NotFound),
        ("Guest", called("Guest", "MailUser", None)),
    ];
    let mut answers = staff(&["Anna", "Sales", "Inner", "Guest"], known);
    let inner = |identity: String, kind| Question::Members { identity, kind };
    let questions = [
        inner(object_id("sales"), GroupKind::Security),
        inner("Inner".into(), GroupKind::PlainSecurity),
    ];
    let asked = source_filter(&["Staff"], &answers);
    assert_eq!(asked, SourceFilter::Missing(questions.into()));
    // The plain group contains itself, the other group contains a mailbox.
    let RecipientAnswer::Found(bert) = called("Bert", "UserMailbox", Some("bert")) else {
        unreachable!("it is found");
    };
    let own_name = RecipientRecord {
        name: Some("Inner".into()),
        ..RecipientRecord::default()
    };
    for (identity, rows) in [(object_id("sales"), bert), ("Inner".into(), own_name)] {
        let rows = MembersAnswer::Complete(vec![rows]);
        answers.members.insert(identity, rows);
    }
    let SourceFilter::Members(members) = source_filter(&["Staff"], &answers) else {
        panic!("the filter was answered");
    };
    for (word, expected) in [("anna", true), ("bert", true), ("carl", false)] {
        let scene = Scene::parse(&format!("mailbox {word}@"));
        assert_eq!(
            members.hold(&scene.world().directory.mailboxes[0]),
            expected,
            "{word}"
        );
    }
}

#[test]
fn r14_a_member_that_nobody_can_be_found_for_fails_the_filter() {
    let shown = RecipientAnswer::Found(RecipientRecord {
        recipient_type_details: "UserMailbox".into(),
        object_id: Some(object_id("anna")),
        name: Some("anna.b".into()),
        display_name: Some("Anna".into()),
        ..RecipientRecord::default()
    });
    for (answer, reason) in [
        (RecipientAnswer::Ambiguous, "more than one recipient"),
        (RecipientAnswer::Failed("throttled".into()), "throttled"),
        (called("Anna", "", Some("anna")), "what kind"),
        (called("Anna", "UserMailbox", None), "identifier"),
        (shown, "display name"),
    ] {
        let answers = staff(&["Anna"], vec![("Anna", answer)]);
        let SourceFilter::Failed(text) = source_filter(&["Staff"], &answers) else {
            panic!("{reason}");
        };
        assert!(text.contains(reason), "{text}");
    }
    let mut answers = staff(&["Anna"], vec![("Anna", RecipientAnswer::NotFound)]);
    let failed = MembersAnswer::Failed("not found".into());
    answers.members.insert("Anna".into(), failed);
    assert!(matches!(
        source_filter(&["Staff"], &answers),
        SourceFilter::Failed(_)
    ));
    let answers = staff(&[""], Vec::new());
    assert!(matches!(
        source_filter(&["Staff"], &answers),
        SourceFilter::Failed(_)
    ));
}

#[test]
fn r14_a_member_of_a_kind_never_heard_of_is_read_as_a_group() {
    for kind in ["FutureSecurityRing", "MailNonUniversalGroup"] {
        let ring = RecipientRecord {
            recipient_type_details: kind.into(),
            object_id: Some(object_id("ring")),
            ..RecipientRecord::default()
        };
        let mut answers = staff(&[], Vec::new());
        let members = MembersAnswer::Complete(vec![ring]);
        answers.members.insert("Staff".into(), members);
        let asked = source_filter(&["Staff"], &answers);
        let SourceFilter::Missing(questions) = asked else {
            panic!("{asked:?}");
        };
        assert!(
            matches!(questions.first(), Some(Question::Members { identity, .. }) if *identity == object_id("ring")),
            "{questions:?}"
        );
        answers
            .members
            .insert(object_id("ring"), MembersAnswer::NotFound);
        assert!(matches!(
            source_filter(&["Staff"], &answers),
            SourceFilter::Failed(_)
        ));
    }
    // A person of such a kind is not a group.
    let person = called("Hal", "FutureMailUser", Some("hal"));
    let answers = staff(&["Hal"], vec![("Hal", person)]);
    assert!(matches!(
        source_filter(&["Staff"], &answers),
        SourceFilter::Members(_)
    ));
}

#[test]
fn r14_a_mistyped_group_says_so() {
    let mut answers = staff(&[], Vec::new());
    answers
        .members
        .insert("Staff".into(), MembersAnswer::NotFound);
    let SourceFilter::Failed(reason) = source_filter(&["Staff"], &answers) else {
        panic!("it is nobody's name");
    };
    assert!(reason.contains(NO_SUCH_GROUP), "{reason}");
}

#[test]
fn r14_a_member_of_no_kind_is_looked_up() {
    let id = object_id("inner");
    let row = |kind: &str| RecipientRecord {
        recipient_type_details: kind.into(),
        object_id: Some(id.clone()),
        ..RecipientRecord::default()
    };
    let mut answers = staff(&[], Vec::new());
    let members = MembersAnswer::Complete(vec![row(" ")]);
    answers.members.insert("Staff".into(), members);
    let questions = [Question::Recipient(id.clone())];
    let asked = source_filter(&["Staff"], &answers);
    assert_eq!(asked, SourceFilter::Missing(questions.into()));
    let found = RecipientAnswer::Found(row(" MailUniversalSecurityGroup "));
    answers.recipients.insert(id.clone(), found);
    let kind = GroupKind::Security;
    let questions = [Question::Members { identity: id, kind }];
    let asked = source_filter(&["Staff"], &answers);
    assert_eq!(asked, SourceFilter::Missing(questions.into()));
}
