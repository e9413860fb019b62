//! What the executor sends, how it reacts to the answers, and what it reports.

use super::{
    notation::{Planned, Scene, address},
    zivver::{Zivver, refused_for},
};
use crate::{
    account::{Extension, UserAccount},
    accounts::{Account, AccountView},
    execute::{Accepted, Answer, Applied, Blame, Execution, Finish, Refused, Request},
    ids::ScimId,
    offenders::Part,
    report::ActionOutcome,
};

/// A plan that was carried out, one request at a time.
struct Played {
    /// The requests, in words.
    sent: Vec<String>,
    applied: Applied,
    zivver: Zivver,
}

/// Answers like Zivver, except for the requests (numbered from 0) that `answer` answers.
fn play(text: &str, answer: impl Fn(usize, &Request) -> Option<Answer>) -> Played {
    play_plan(&Scene::parse(text).plan(), answer)
}

fn play_plan(planned: &Planned, answer: impl Fn(usize, &Request) -> Option<Answer>) -> Played {
    let mut execution = Execution::new(&planned.plan.approved, &planned.world, 3);
    let mut zivver = Zivver::new(planned.world.accounts.actual());
    let mut sent = Vec::new();
    while let Some((step, request)) = execution.next(usize::MAX) {
        let told = answer(sent.len(), &request);
        sent.push(in_words(&request));
        let answer = told.unwrap_or_else(|| zivver.answer(request));
        execution.answered(step, answer);
    }
    Played {
        sent,
        applied: execution.finish(),
        zivver,
    }
}

/// Always answers like Zivver.
fn plainly(_: usize, _: &Request) -> Option<Answer> {
    None
}

/// Another answer to one of the requests.
fn instead(at: usize, answer: Answer) -> impl Fn(usize, &Request) -> Option<Answer> {
    move |number, _| (number == at).then(|| answer.clone())
}

fn in_words(request: &Request) -> String {
    let mut words = Vec::new();
    let list = |of: &str, items: Vec<String>| format!("{of} [{}]", items.join(" "));
    let texts = |all: &[crate::address::SmtpAddress]| all.iter().map(short).collect::<Vec<_>>();
    let ids = |all: &[ScimId]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    match request {
        Request::CreateUser { address, .. } => words.push(format!("create {}", short(address))),
        Request::CreateFunctional {
            address,
            members,
            aliases,
            ..
        } => {
            words.push(format!("create {}", short(address)));
            words.push(list("members", ids(members)));
            words.push(list("aliases", texts(aliases)));
        }
        Request::UpdateUser(id, update) => {
            words.push(id.to_string());
            words.extend(
                update
                    .address
                    .iter()
                    .map(|it| format!("address {}", short(it))),
            );
            words.extend(update.name.iter().map(|it| format!("name {it}")));
            words.extend(update.active.iter().map(|it| format!("active {it}")));
            if let Some(extension) = &update.extension {
                words.push(list("aliases", texts(&extension.aliases)));
                words.push(list("delegates", texts(&extension.delegates)));
            }
        }
        Request::UpdateFunctional(id, update) => {
            words.push(id.to_string());
            words.extend(update.name.iter().map(|it| format!("name {it}")));
            words.extend(update.members.iter().map(|it| list("members", ids(it))));
            let extension = update.extension.iter();
            words.extend(extension.map(|it| list("aliases", texts(&it.aliases))));
        }
        Request::SetMembers(id, members) => {
            words.push(id.to_string());
            words.push(list("set members", ids(members)));
        }
    }
    words.join(" ")
}

fn short(address: &crate::address::SmtpAddress) -> String {
    address.as_str().replace("@corp.example", "@")
}

fn refuse(blames: Blame) -> Answer {
    Answer::Refused(Refused {
        blames,
        ..refused_for("400 no")
    })
}

fn refuse_alias(text: &str) -> Answer {
    refuse(Blame::Alias(Some(address(text))))
}

fn found(id: &str, at: &str, aliases: &[&str], delegates: &[&str], tied: Option<&str>) -> Answer {
    let all = |texts: &[&str]| texts.iter().map(|text| address(text)).collect();
    let user = UserAccount {
        id: ScimId::new(id),
        address: address(at),
        name: "Found".into(),
        active: true,
        extension: Extension {
            aliases: all(aliases),
            external_account_id: tied.map(|word| super::notation::object_id(word).into()),
            ..Extension::default()
        },
        delegates: all(delegates),
    };
    Answer::Accepted(Accepted::Created {
        account: Account::User(user),
        is_found: true,
    })
}

fn outage() -> Answer {
    Answer::Unavailable("no answer".into())
}

fn outcome(played: &Played, action: usize) -> Option<ActionOutcome> {
    played.applied.actions[action].outcome
}

fn refused_parts(played: &Played, action: usize) -> Vec<Part> {
    let refusals = played.applied.actions[action].refusals.iter();
    refusals.map(|refusal| refusal.part.clone()).collect()
}

const NEW_USER: &str = "
    mailbox anna@ name=Anna alias=a@ grants=bert@
    mailbox bert@
    account bert@
";

#[test]
fn r24_what_a_create_drops_is_written_after_it() {
    let played = play(NEW_USER, plainly);
    assert_eq!(
        played.sent,
        ["create anna@", "new1 aliases [a@] delegates [bert@]"]
    );
    let anna = &played.zivver.users[&ScimId::new("new1")];
    assert_eq!(anna.extension.aliases, [address("a@")]);
    assert_eq!(anna.delegates, [address("bert@")]);
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Applied));

    let shared = "shared info@ name=Info alias=i@ grants=anna@\nmailbox anna@\naccount anna@ as=u1";
    let played = play(shared, plainly);
    assert_eq!(
        played.sent,
        [
            "create info@ members [u1] aliases [i@]",
            "new1 aliases [i@]"
        ]
    );
}

#[test]
fn r24_a_create_that_dropped_nothing_is_complete() {
    let complete = found("u9", "anna@", &["a@"], &["bert@"], Some("anna"));
    let played = play(NEW_USER, instead(0, complete));
    assert_eq!(played.sent, ["create anna@", "u9 name Anna"]);
}

#[test]
fn r24_a_completion_takes_nothing_away() {
    let had_more = found("u9", "anna@", &["old@"], &["carl@"], None);
    let played = play(NEW_USER, instead(0, had_more));
    assert_eq!(
        played.sent,
        [
            "create anna@",
            "u9 name Anna aliases [a@ old@] delegates [bert@ carl@]"
        ]
    );

    let shared = "shared info@ alias=i@ grants=anna@\nmailbox anna@\naccount anna@ as=u1";
    let group = crate::account::FunctionalAccount {
        id: ScimId::new("g9"),
        address: address("info@"),
        name: "info".into(),
        extension: Extension {
            aliases: vec![address("old@")],
            ..Extension::default()
        },
        members: vec![ScimId::new("u7"), ScimId::new("g9")],
    };
    let found = Answer::Accepted(Accepted::Created {
        account: Account::Functional(group),
        is_found: true,
    });
    let played = play(shared, instead(0, found));
    // A functional account is not a member of itself.
    assert_eq!(played.sent[1], "g9 members [u1 u7] aliases [i@ old@]");
}

#[test]
fn r24_without_account_nothing_is_completed() {
    let played = play(NEW_USER, instead(0, refuse(Blame::Request)));
    assert_eq!(played.sent, ["create anna@"]);
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Refused));
    assert_eq!(refused_parts(&played, 0), [Part::Account]);
    assert_eq!(
        played.applied.actions[0].problems,
        ["Zivver answered 400 no", "the account was not created"]
    );
}

#[test]
fn r16_a_found_account_of_another_object_id_is_left_alone() {
    let other = found("u9", "anna@", &[], &[], Some("other"));
    let played = play(NEW_USER, instead(0, other));
    assert_eq!(played.sent, ["create anna@"]);
    assert!(played.applied.created.is_empty());
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Refused));
    assert_eq!(refused_parts(&played, 0), [Part::Account]);
    let problem = &played.applied.actions[0].problems[0];
    assert!(problem.contains("belongs to the object id"), "{problem}");
}

#[test]
fn r31_an_account_that_was_there_before_is_not_the_created_one() {
    // The look-up lags behind the rename. The tie of the account is not known to Zivver, or is.
    let world = "
        mailbox bert@ id=anna
        mailbox anna@ id=bert name=Bert grants=carl@
        mailbox carl@
        account anna@ as=u1 name=bert
        account carl@
        map anna=u1
    ";
    for tied in [None, Some("anna")] {
        let stale = found("u1", "anna@", &[], &[], tied);
        let played = play(world, instead(1, stale));
        assert_eq!(played.sent, ["u1 address bert@", "create anna@"]);
        assert!(played.applied.created.is_empty());
        // It may have been created.
        assert_eq!(outcome(&played, 1), Some(ActionOutcome::Failed));
        assert_eq!(refused_parts(&played, 1), []);
    }
}

const TIE: &str = "
    approve identity
    mailbox anna@ id=new grants=bert@
    mailbox bert@
    account anna@ as=u1
    map old=u1
";

#[test]
fn r16_a_tie_is_written_though_the_rest_is_left_out() {
    let played = play(TIE, instead(0, refuse(Blame::Request)));
    assert_eq!(played.sent, ["create bert@", "u1 aliases [] delegates []"]);
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Partly));
    let asked = &played.applied.actions[0].asked;
    assert!(asked.key.is_some(), "{asked:?}");

    // The same for a delegate alone.
    let update = TIE.replace("map old=u1", "map new=u1");
    let played = play(&update, instead(0, refuse(Blame::Request)));
    assert_eq!(played.sent, ["create bert@"]);
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Refused));
}

#[test]
fn r16_a_tie_is_written_without_a_refused_alias() {
    let world = "
        approve identity
        mailbox anna@ id=new alias=a@
        account anna@ as=u1
        map old=u1
    ";
    let played = play(world, instead(0, refuse_alias("a@")));
    assert_eq!(
        played.sent,
        ["u1 aliases [a@] delegates []", "u1 aliases [] delegates []"]
    );
    // If the new alias is the only change, nothing is left to send.
    let update = world.replace("map old=u1", "map new=u1");
    let played = play(&update, instead(0, refuse_alias("a@")));
    assert_eq!(played.sent, ["u1 aliases [a@] delegates []"]);
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Refused));
    assert_eq!(refused_parts(&played, 0), [Part::Alias(address("a@"))]);
}

#[test]
fn r16_nothing_is_written_without_the_key_of_a_tie() {
    let world = "
        approve identity
        mailbox anna@ id=new name=Anna alias=a@
        account anna@ as=u1 name=Old alias=a@
        map old=u1
    ";
    let played = play(world, instead(0, refuse_alias("a@")));
    assert_eq!(played.sent, ["u1 name Anna aliases [a@] delegates []"]);
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Refused));
}

#[test]
fn r12_members_that_are_no_users_keep_nothing_in_use() {
    // Only another functional account would be left.
    let world = "
        shared info@ grants=bert@
        shared desk@ grants=carl@
        mailbox bert@
        mailbox carl@
        account carl@ as=u3
        functional desk@ as=g2 members=u3
        functional info@ as=g1 members=u3,g2
    ";
    let played = play(world, instead(0, refuse(Blame::Request)));
    assert_eq!(played.sent, ["create bert@"]);
    let info = &played.zivver.groups[&ScimId::new("g1")];
    assert_eq!(info.members, [ScimId::new("u3"), ScimId::new("g2")]);

    let played = play(world, plainly);
    assert_eq!(played.sent, ["create bert@", "g1 members [g2 new1]"]);
}

#[test]
fn r22_members_that_are_no_accounts_are_ignored() {
    // `ghost` is in no list, and a functional account is not its own member.
    let world = "
        shared info@ grants=anna@,bert@
        mailbox anna@
        mailbox bert@
        account anna@ as=u1
        functional info@ as=g1 members=u1,ghost,g1
    ";
    let played = play(world, instead(0, refuse(Blame::Request)));
    assert_eq!(played.sent, ["create bert@"]);
    let played = play(world, plainly);
    assert_eq!(played.sent, ["create bert@", "g1 members [u1 new1]"]);
}

#[test]
fn r22_members_that_are_functional_accounts_stay_when_it_is_emptied() {
    let world = "
        shared info@
        shared desk@ grants=carl@
        mailbox carl@
        account carl@ as=u3
        functional desk@ as=g2 members=u3
        functional info@ as=g1 members=u3,g2
    ";
    assert_eq!(play(world, plainly).sent, ["g1 set members [g2]"]);
    let alone = world.replace("members=u3,g2", "members=u3");
    assert_eq!(play(&alone, plainly).sent, ["g1 set members []"]);
}

const TWO_ALIASES: &str = "
    mailbox anna@ alias=a@,b@,c@
    account anna@ as=u1 alias=c@
";

#[test]
fn r23_each_new_alias_is_tried_alone_if_zivver_names_none() {
    let answer = |number: usize, _: &Request| match number {
        0 => Some(refuse(Blame::Alias(None))),
        1 => Some(refuse_alias("a@")),
        _ => None,
    };
    let played = play(TWO_ALIASES, answer);
    assert_eq!(
        played.sent,
        [
            "u1 aliases [a@ b@ c@] delegates []",
            "u1 aliases [c@ a@] delegates []",
            "u1 aliases [c@ b@] delegates []"
        ]
    );
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Partly));
    assert_eq!(refused_parts(&played, 0), [Part::Alias(address("a@"))]);
}

#[test]
fn r23_the_rest_is_written_before_new_aliases_are_tried_alone() {
    let world = TWO_ALIASES.replace("mailbox anna@", "mailbox anna@ name=Anna");
    let played = play(&world, instead(0, refuse(Blame::Alias(None))));
    assert_eq!(
        played.sent,
        [
            "u1 name Anna aliases [a@ b@ c@] delegates []",
            "u1 name Anna aliases [c@] delegates []",
            "u1 name Anna aliases [c@ a@] delegates []",
            "u1 name Anna aliases [c@ a@ b@] delegates []"
        ]
    );
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Applied));
}

#[test]
fn r23_an_alias_is_not_blamed_if_zivver_names_another() {
    let answer = |number: usize, _: &Request| match number {
        0 => Some(refuse(Blame::Alias(None))),
        1 => Some(refuse_alias("c@")),
        _ => None,
    };
    let played = play(TWO_ALIASES, answer);
    assert_eq!(
        played.sent,
        [
            "u1 aliases [a@ b@ c@] delegates []",
            "u1 aliases [c@ a@] delegates []"
        ]
    );
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Refused));
    assert_eq!(refused_parts(&played, 0), [Part::Account]);
}

#[test]
fn r23_a_refused_alias_of_the_account_keeps_its_extension() {
    let world = "
        mailbox anna@ name=Anna alias=a@,b@
        account anna@ as=u1 alias=b@
    ";
    for blame in [Blame::Alias(Some(address("b@"))), Blame::AliasDomain] {
        let answer = |_: usize, request: &Request| {
            let has_aliases = request.asked().aliases.is_some();
            has_aliases.then(|| refuse(blame.clone()))
        };
        let played = play(world, answer);
        assert_eq!(played.sent.last().unwrap(), "u1 name Anna", "{blame:?}");
        assert_eq!(outcome(&played, 0), Some(ActionOutcome::Partly));
        // Neither the new alias nor its domain is the cause.
        assert_eq!(refused_parts(&played, 0), []);
        assert_eq!(played.applied.notes, []);
    }
}

#[test]
fn r23_a_refused_alias_of_the_account_does_not_keep_access_open() {
    let world = "
        mailbox anna@ alias=a@
        mailbox bert@
        account anna@ as=u1 alias=a@ delegates=bert@
        account bert@
    ";
    let played = play(world, instead(0, refuse_alias("a@")));
    assert_eq!(
        played.sent,
        ["u1 aliases [a@] delegates []", "u1 aliases [] delegates []"]
    );
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Partly));
    let problem = &played.applied.actions[0].problems[0];
    assert!(problem.contains("so that access is removed"), "{problem}");
}

#[test]
fn r23_a_domain_that_is_not_owned_is_asked_about_once() {
    let world = "
        domains corp.example old.example
        mailbox anna@ alias=a@old.example
        mailbox bert@ alias=b@old.example name=Bert
        account anna@ as=u1
        account bert@ as=u2
    ";
    let played = play(world, instead(0, refuse(Blame::AliasDomain)));
    assert_eq!(
        played.sent,
        [
            "u1 aliases [a@old.example] delegates []",
            "u2 name Bert aliases [] delegates []"
        ]
    );
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Refused));
    assert_eq!(outcome(&played, 1), Some(ActionOutcome::Partly));
    assert_eq!(
        played.applied.actions[1].problems,
        [
            "the alias b@old.example is not sent: Zivver refused the domain old.example in this run (R23)"
        ]
    );
    assert_eq!(played.applied.notes.len(), 1);
}

#[test]
fn r23_a_new_alias_is_not_to_blame_if_the_request_is_refused_without_it() {
    let world = "
        domains corp.example lost.example new.example
        mailbox anna@ alias=l@lost.example,a@new.example
        mailbox bert@ alias=b@new.example
        account anna@ as=u1 alias=l@lost.example,old@
        account bert@ as=u2
    ";
    let answer = |number: usize, _: &Request| (number < 2).then(|| refuse(Blame::AliasDomain));
    let played = play(world, answer);
    assert_eq!(
        played.sent,
        [
            "u1 aliases [a@new.example l@lost.example] delegates []",
            "u1 aliases [l@lost.example] delegates []",
            "u2 aliases [b@new.example] delegates []"
        ]
    );
    assert_eq!(refused_parts(&played, 0), [Part::Account]);
    assert_eq!(played.applied.notes, []);
}

#[test]
fn r22_a_rename_that_the_answer_does_not_show_releases_nothing_and_renames_no_delegate() {
    let planned = Scene::parse(
        "mailbox ann.new@ id=ann
        account ann@ as=u1 ext=ann
        mailbox ben@ id=ben alias=ann@
        account ben@ as=u2 ext=ben
        mailbox carl@ id=carl grants=ann.new@
        account carl@ as=u3 ext=carl",
    )
    .plan();
    let ann = planned.world.accounts.with_id(&ScimId::new("u1")).unwrap();
    let AccountView::User(ann) = planned.world.accounts.get(ann) else {
        panic!("a user");
    };
    let unchanged = Accepted::Updated(Some(Account::User(ann.clone())));
    let played = play_plan(&planned, instead(0, Answer::Accepted(unchanged)));
    assert_eq!(
        played.sent,
        [
            "u1 address ann.new@ name ann.new",
            "u3 aliases [] delegates [ann@]"
        ]
    );
    let played = play_plan(&planned, plainly);
    assert!(
        played
            .sent
            .contains(&"u3 aliases [] delegates [ann.new@]".into())
    );
    assert!(
        played
            .sent
            .contains(&"u2 aliases [ann@] delegates []".into())
    );
}

#[test]
fn r25_what_was_not_released_is_left_out() {
    let world = "
        mailbox anna@ alias=x@
        mailbox bert@
        account anna@ as=u1 name=anna
        account bert@ as=u2 alias=x@
    ";
    let played = play(world, plainly);
    assert_eq!(
        played.sent,
        ["u2 aliases [] delegates []", "u1 aliases [x@] delegates []"]
    );
    let played = play(world, instead(0, refuse(Blame::Request)));
    assert_eq!(played.sent, ["u2 aliases [] delegates []"]);
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Refused));
    let problems = &played.applied.actions[0].problems;
    assert_eq!(
        problems[..],
        ["the alias x@corp.example was not released by the account that has it"]
    );
}

#[test]
fn r17_what_was_given_up_for_a_rename_is_put_back_if_it_is_refused() {
    let world = "
        mailbox new@ id=anna alias=old@
        account old@ as=u1 name=new alias=new@
        map anna=u1
    ";
    let played = play(world, plainly);
    assert_eq!(
        played.sent,
        [
            "u1 aliases [] delegates []",
            "u1 address new@",
            "u1 aliases [old@] delegates []"
        ]
    );
    // Also if the old address was to become an alias, which is not possible.
    for world in [world, &world.replace(" alias=old@", "")] {
        let played = play(world, instead(1, refuse(Blame::Request)));
        assert_eq!(played.sent[2..], ["u1 aliases [new@] delegates []"]);
        assert_eq!(refused_parts(&played, 0), [Part::Address]);
    }
}

#[test]
fn r22_a_delegate_is_written_with_its_new_address() {
    let world = "
        mailbox anna@ grants=new@
        mailbox new@ id=bert name=bert
        account anna@ as=u1
        account old@ as=u2 name=bert
        map bert=u2
    ";
    let sent = play(world, plainly).sent;
    assert!(
        sent.contains(&"u1 aliases [] delegates [new@]".into()),
        "{sent:?}"
    );
}

#[test]
fn r22_a_delegate_whose_rename_fails_is_not_said_to_be_named_anew() {
    let swap = "
        mailbox bert@ id=anna name=anna
        account anna@ as=u1 ext=anna name=anna
        mailbox anna@ id=bert name=bert
        account bert@ as=u2 ext=bert name=bert
        mailbox carl@ grants=bert@
        account carl@ as=u3 ext=carl delegates=anna@
    ";
    let planned = Scene::parse(swap).plan();
    let actions = planned.plan.approved.actions();
    let naming = actions.iter().position(|it| it.address == address("carl@"));
    let naming = naming.unwrap();
    let played = play_plan(&planned, plainly);
    assert_eq!(outcome(&played, naming), Some(ActionOutcome::Applied));
    let is_rename = |request: &Request| matches!(request, Request::UpdateUser(id, update) if id.as_str() == "u1" && update.address.is_some());
    for answer in [outage(), refuse(Blame::Request)] {
        let played = play_plan(&planned, |_, request| {
            is_rename(request).then(|| answer.clone())
        });
        let to_carl = played.sent.iter().filter(|it| it.starts_with("u3"));
        assert_eq!(to_carl.count(), 0, "{:?}", played.sent);
        assert_eq!(outcome(&played, naming), Some(ActionOutcome::Refused));
        assert_eq!(
            played.applied.actions[naming].problems[..],
            [
                "Zivver did not confirm the new address of the delegate anna@corp.example, so the account is not written with it (R22)"
            ]
        );
    }
}

const THREE_USERS: &str = "
    mailbox anna@
    mailbox bert@
    mailbox carl@
    mailbox dora@
    mailbox emma@
";

#[test]
fn r32_failures_in_a_row_stop_the_run() {
    let played = play(THREE_USERS, |_, _| Some(outage()));
    assert_eq!(played.sent.len(), 3);
    assert_eq!(
        played.applied.finish,
        Finish::Stopped(
            "Zivver failed 3 times in a row, so the run stopped (R32): no answer".into()
        )
    );
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Failed));
    assert!(played.applied.actions[0].is_unclear());
}

#[test]
fn r32_an_answer_ends_a_row_of_failures() {
    for answer in [Some(refuse(Blame::Request)), None] {
        let answers = |number: usize, _: &Request| {
            if number == 2 {
                answer.clone()
            } else {
                Some(outage())
            }
        };
        let played = play(THREE_USERS, answers);
        assert_eq!(played.applied.finish, Finish::Complete, "{answer:?}");
    }
}

#[test]
fn r32_a_key_that_may_not_write_stops_the_run() {
    let planned = Scene::parse(THREE_USERS).plan();
    let mut execution = Execution::new(&planned.plan.approved, &planned.world, 3);
    let (first, _) = execution.next(1).unwrap();
    execution.answered(first, Answer::Denied("403".into()));
    assert_eq!(execution.next(usize::MAX), None);
    assert_eq!(execution.stopped(), Some("403"));
    let applied = execution.finish();
    assert_eq!(applied.actions[0].outcome, Some(ActionOutcome::Failed));
    assert_eq!(applied.actions[1].outcome, Some(ActionOutcome::Remaining));
    assert!(!applied.actions[1].is_unclear());
}

#[test]
fn r34_a_request_that_was_never_sent_did_not_happen() {
    for (was_sent, outcome) in [
        (false, ActionOutcome::Remaining),
        (true, ActionOutcome::Failed),
    ] {
        let stopped = Answer::Stopped {
            message: "the lock is lost".into(),
            was_sent,
            is_cut_off: false,
        };
        let played = play(NEW_USER, instead(0, stopped));
        let finish = Finish::Stopped("the lock is lost".into());
        assert_eq!(played.applied.finish, finish);
        assert_eq!(played.applied.actions[0].outcome, Some(outcome));
        assert_eq!(played.applied.actions[0].is_unclear(), was_sent);
    }
    // A request that was refused may have been carried out in part before.
    let answers = |number: usize, _: &Request| match number {
        0 => Some(refuse(Blame::Alias(None))),
        1 => Some(Answer::Stopped {
            message: "the lock is lost".into(),
            was_sent: false,
            is_cut_off: false,
        }),
        _ => None,
    };
    let played = play(TWO_ALIASES, answers);
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Failed));
}

#[test]
fn r34_a_request_that_waits_when_the_run_is_stopped_is_left_for_the_next_run() {
    let waiting = Answer::Stopped {
        message: "stopped".into(),
        was_sent: false,
        is_cut_off: true,
    };
    let played = play(NEW_USER, instead(0, waiting));
    assert_eq!(played.applied.finish, Finish::CutOff);
    assert_eq!(outcome(&played, 0), Some(ActionOutcome::Remaining));
    assert!(played.applied.actions[0].problems.is_empty());
}

#[test]
fn r26_an_action_that_is_half_done_is_unclear() {
    let planned = Scene::parse(NEW_USER).plan();
    let mut zivver = Zivver::new(planned.world.accounts.actual());
    let mut execution = Execution::new(&planned.plan.approved, &planned.world, 3);
    let (create, request) = execution.next(1).unwrap();
    execution.answered(create, zivver.answer(request));
    assert_eq!(execution.next(1), None);
    assert!(execution.take_ended().is_empty());
    let applied = execution.finish();
    assert_eq!(applied.finish, Finish::CutOff);
    let anna = &applied.actions[0];
    assert_eq!(anna.outcome, Some(ActionOutcome::Remaining));
    assert!(anna.is_half_done && anna.is_unclear());
    assert_eq!(applied.created.len(), 1);
}

#[test]
fn r25_only_a_complete_run_lets_the_next_one_begin_as_usual() {
    let stopped = || Finish::Stopped("no answer".into());
    assert!(!Finish::Complete.is_premature());
    assert!(Finish::CutOff.is_premature());
    assert!(stopped().is_premature());
    let failure = || Some("the journal cannot be written".to_owned());
    assert!(Finish::Complete.or_stopped(failure()).is_premature());
    assert_eq!(stopped().or_stopped(failure()), stopped());
    assert_eq!(Finish::Complete.or_stopped(None), Finish::Complete);
    assert_eq!(Finish::CutOff.or_stopped(None), Finish::CutOff);
}

#[test]
fn r25_suspends_wait_for_everything_before_them() {
    let world = "
        mailbox anna@ name=Anna
        account anna@ as=u1
        account gone@ as=u9
        limits strays=1
    ";
    let planned = Scene::parse(world).plan();
    let mut execution = Execution::new(&planned.plan.approved, &planned.world, 3);
    let (first, request) = execution.next(usize::MAX).unwrap();
    assert_eq!(in_words(&request), "u1 name Anna");
    assert_eq!(execution.next(usize::MAX), None);
    execution.answered(first, Answer::Accepted(Accepted::Updated(None)));
    let (_, request) = execution.next(usize::MAX).unwrap();
    assert_eq!(in_words(&request), "u9 active false");
    assert_eq!((execution.done(), planned.plan.approved.writes()), (1, 2));
    let ended = execution.take_ended();
    assert_eq!(ended[0].outcome, ActionOutcome::Applied);
}

#[test]
fn r24_the_progress_counts_the_writes_that_the_preview_counts() {
    let planned = Scene::parse(
        "
        mailbox anna@ name=Anna
        mailbox bert@ name=Bert
        ",
    )
    .plan();
    let plan = &planned.plan.approved;
    let mut execution = Execution::new(plan, &planned.world, 3);
    let mut zivver = Zivver::new(planned.world.accounts.actual());
    while let Some((step, request)) = execution.next(usize::MAX) {
        execution.answered(step, zivver.answer(request));
    }
    // The completion of a create sends nothing if nothing is missing.
    assert_eq!((plan.writes(), plan.steps().len()), (2, 4));
    assert_eq!(execution.done(), plan.writes());
}

#[test]
fn r35_nothing_starts_once_the_run_is_stopped() {
    let planned = Scene::parse(THREE_USERS).plan();
    let mut execution = Execution::new(&planned.plan.approved, &planned.world, 3);
    execution.stop("the journal cannot be written".into());
    execution.stop("another cause".into());
    assert_eq!(execution.next(usize::MAX), None);
    let finish = execution.finish().finish;
    assert_eq!(
        finish,
        Finish::Stopped("the journal cannot be written".into())
    );
}
