//! R39, R40: runs and explanations for one account.

use std::time::Duration;

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        mode::{Mode, Trigger},
        report::{RunOutcome, RunState},
    },
    engine::RunRequest,
    sandbox::exchange::Mailbox,
    state::RunId,
};

use super::{bench::*, half_done::ann_may_open_cas};
use crate::world::World;

async fn world() -> World {
    let tenant = tenant()
        .mailbox(
            Mailbox::user(&at("ann"))
                .with_display_name("New ann")
                .with_alias_address(&at("a")),
        )
        .mailbox(Mailbox::user(&at("ben")).with_display_name("New ben"))
        .user(&at("fresh"))
        .room(&at("room"))
        .mail_user("adviser@partner.example")
        .user("out@elsewhere.example")
        .mailbox(
            Mailbox::shared(&at("desk"))
                .opened_by(&at("ben"))
                .opened_by(&at("fresh")),
        );
    let mut organisation = accounts(&["ann", "ben", "leaver"]);
    let ann = organisation.users[0].id.clone();
    organisation.add_group(desk("desk").member(&ann));
    World::still(tenant, organisation).await
}

#[tokio::test(start_paused = true)]
async fn r39_a_scoped_run_writes_only_to_the_named_accounts() {
    let world = world().await;
    let preview = world.scoped(Mode::Preview, &[&at("ann")]).await;
    assert_eq!(write_count(&world), 0);
    assert_eq!(preview.actions.len(), 1);
    let report = world.scoped(Mode::Apply, &[&at("ann")]).await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users ann@ {name:{formatted:New ann},zivver:{ExternalAccountId:id of ann@,SsoAccountKey:id of ann@,aliases:[a@],delegates:[]}} 200");
    assert!(user(&world, "leaver").active);
}

#[tokio::test(start_paused = true)]
async fn r39_an_unknown_address_fails_the_run_before_anything_is_written() {
    let world = world().await;
    for mode in [Mode::Preview, Mode::Apply] {
        // A run for the known addresses alone would update ann.
        let report = world.scoped(mode, &[&at("ann"), &at("bem")]).await;
        assert_eq!(report.outcome, RunOutcome::Failed);
        assert_eq!(
            report.error.as_deref(),
            Some(
                "no mailbox and no account has the address bem@corp.example (did you mean ben@corp.example?); nothing \
                 is written: correct it and start again (R39)"
            )
        );
        assert_eq!(report.unknown_accounts[0].nearest[0].as_str(), at("ben"));
        assert_eq!((report.converged, report.actions.len()), (None, 0));
        assert_eq!(write_count(&world), 0);
    }
    let report = world.scoped(Mode::Apply, &[&at("zacharias")]).await;
    assert_eq!(
        report.error.as_deref(),
        Some(
            "no mailbox and no account has the address zacharias@corp.example; nothing is written: correct it and \
             start again (R39)"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn r39_what_is_wrong_with_others_is_counted_and_colours_nothing() {
    let tenant = people(&["ann"])
        .shared(&at("kind"))
        .shared(&at("other"))
        .user("out@elsewhere.example");
    let mut organisation = accounts(&["ann", "kind", "other", "stray"]);
    organisation.users[0].external_account_id = None;
    let world = World::still(tenant, organisation).await;
    let all = world.preview().await;
    assert_eq!(all.outcome, RunOutcome::NeedsAttention, "{}", shown(&all));
    for mode in [Mode::Preview, Mode::Apply] {
        let report = world.scoped(mode, &[&at("ann")]).await;
        assert_eq!(report.outcome, RunOutcome::InSync, "{}", shown(&report));
        assert_eq!((report.skipped.len(), report.held.len()), (0, 0));
        let others = report.others.unwrap();
        assert_eq!(others.findings as usize, all.skipped.len());
        assert_eq!(others.attention, 2, "{}", shown(&all));
        assert_eq!(report.counts.skipped.len(), 0);
    }
    let report = world.scoped(Mode::Apply, &[&at("kind")]).await;
    assert_eq!(report.outcome, RunOutcome::NeedsAttention);
    assert_eq!(notes(&report, "kind"), ["KindMismatch"]);
    assert_eq!(report.skipped.len(), 1, "{}", shown(&report));
    assert_eq!(report.others.unwrap().attention, 1);
}

#[tokio::test(start_paused = true)]
async fn r39_an_alias_that_only_zivver_has_names_its_account() {
    let organisation = organisation().with_user(account("ann").alias(&at("old")));
    let world = World::still(people(&["ann"]), organisation).await;
    let report = world.scoped(Mode::Apply, &[&at("old")]).await;
    assert_converged(&report);
    assert_eq!(user(&world, "ann").aliases, [""; 0], "{}", shown(&report));
}

#[tokio::test(start_paused = true)]
async fn r39_a_delegate_outside_the_scope_is_left_out_and_removals_are_made() {
    let world = world().await;
    let report = world.scoped(Mode::Apply, &[&at("desk")]).await;
    assert_converged(&report);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Groups desk@ {members:[{value:ben@}]} 200");
    assert_eq!(notes(&report, "desk"), ["OutsideRun"]);
    assert_eq!(report.outcome, RunOutcome::ChangesPending);
    // The full run adds those who were left out.
    assert_converged(&world.apply().await);
    assert_eq!(group(&world, "desk").members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r39_a_desk_whose_only_delegate_is_outside_the_scope_is_not_created() {
    let tenant = people(&["fresh"])
        .shared(&at("desk"))
        .full_access(&at("desk"), &at("fresh"));
    let world = World::still(tenant, organisation()).await;
    let report = world.scoped(Mode::Apply, &[&at("desk")]).await;
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
    assert_eq!(notes(&report, "desk"), ["OutsideRun"; 2]);
    assert_eq!(report.outcome, RunOutcome::ChangesPending);
    let both = world
        .scoped(Mode::Apply, &[&at("desk"), &at("fresh")])
        .await;
    assert_converged(&both);
    assert_eq!(group(&world, "desk").members.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r39_a_scoped_run_moves_no_baseline_and_forgets_no_mapping() {
    let world = world().await;
    assert_converged(&world.scoped(Mode::Apply, &[&at("ann")]).await);
    // ben is known by id, although only ann was in scope.
    world.sandbox.zivver.with_state(|organisation| {
        for user in &mut organisation.users {
            user.external_account_id = None;
        }
    });
    assert_converged(&world.scoped(Mode::Apply, &[&at("ben")]).await);
    world.sandbox.exchange.with_state(|tenant| {
        let mailbox = tenant.mailbox_mut(&at("ben")).unwrap();
        mailbox.primary_smtp_address = at("ben.new");
        mailbox.email_addresses = vec![format!("SMTP:{}", at("ben.new"))];
    });
    forget(&world);
    assert_converged(&world.scoped(Mode::Apply, &[&at("ben.new")]).await);
    insta::assert_snapshot!(writes(&world).join("\n"), @r"PUT Users ben.new@ {userName:ben.new@} 200");
}

/// People at new addresses, whose accounts name a delegate without a grant.
async fn moved(names: &[&str], removals_max: &str) -> World {
    let mut tenant = people(names).user(&at("ben"));
    let mut organisation = accounts(&["ben"]);
    for name in names {
        readdress(&mut tenant, name, &format!("new.{name}"), false);
        organisation = organisation.with_user(account(name).delegate(&at("ben")));
    }
    let settings = [
        ("MAX_RENAMES", "100%"),
        ("MAX_DELEGATE_REMOVALS", removals_max),
    ];
    World::still_with(tenant, organisation, &settings).await
}

#[tokio::test(start_paused = true)]
async fn r39_what_is_held_of_an_account_is_shown_after_the_run_renamed_it() {
    let world = moved(&["ann"], "0").await;
    let report = world.scoped(Mode::Apply, &[&at("ann")]).await;
    assert_eq!(user(&world, "new.ann").delegates, [at("ben")]);
    assert_converged(&report);
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    Rename ann@; Address -ann@ +new.ann@
    held DelegateRemoval: remove delegate new.ann@ "ben@" -> ""
    "#);
}

#[tokio::test(start_paused = true)]
async fn r34_r39_the_next_invocation_writes_to_accounts_that_the_first_renamed() {
    let names: Vec<String> = (0..40).map(|number| format!("p{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = moved(&names, "100%").await;
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(Duration::from_secs(10));
    let mut request = RunRequest::new(Mode::Apply, Trigger::Http);
    request.time_budget = Some(Duration::from_secs(15));
    let accounts = names.iter().map(|name| SmtpAddress::parse(&at(name)));
    request.accounts = accounts.map(Result::unwrap).collect();
    let cut = world.run_for(&request).await.unwrap();
    assert_eq!(cut.state, RunState::Continues, "{}", shown(&cut));
    zivver.set_latency(Duration::ZERO);
    request.id = RunId::parse(&cut.id);
    let ended = world.run_for(&request).await.unwrap();
    assert_converged(&ended);
    for name in names {
        let user = user(&world, &format!("new.{name}"));
        assert_eq!(user.delegates, [""; 0], "{}", shown(&ended));
    }
}

#[tokio::test(start_paused = true)]
async fn r40_explains_any_address_without_a_write() {
    let world = world().await;
    let mut verdicts = Vec::new();
    for address in [
        "ann",
        "a",
        "ben",
        "fresh",
        "room",
        "out@elsewhere.example",
        "desk",
        "leaver",
        "nobody",
        "adviser@partner.example",
        "ANN@CORP.example",
    ] {
        let explained = world.explain(&at(address)).await;
        verdicts.push(format!("{address}: {}", short(&explained.verdict)));
    }
    insta::assert_snapshot!(verdicts.join("\n"), @r#"
    ann: update is planned
    a: update is planned
    ben: update is planned
    fresh: create is planned
    room: a mailbox of kind "RoomMailbox" is not synchronised (R3)
    out@elsewhere.example: the domain elsewhere.example is not among CLAIMED_DOMAINS (R13)
    desk: update is planned, as far as this address alone tells: a run counts what it takes from all together (R26)
    leaver: suspend is planned, as far as this address alone tells: a run counts what it takes from all together (R26)
    nobody: neither Exchange nor Zivver knows this address
    adviser@partner.example: Exchange has this address as a MailUser, which is not synchronised (R3), and Zivver has no account with it
    ANN@CORP.example: update is planned
    "#);
    assert_eq!(write_count(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn r40_says_what_both_sides_say_and_which_rules_decided() {
    let world = world().await;
    let ann = world.explain(&at("ann")).await;
    assert_eq!(ann.mailboxes[0].primary, at("ann"));
    assert_eq!(ann.accounts[0].name, "ann");
    let rules: Vec<&str> = ann.actions[0]
        .reasons
        .iter()
        .map(|reason| reason.rule.as_str())
        .collect();
    assert!(rules.contains(&"R16"), "{rules:?}");
    let leaver = world.explain(&at("leaver")).await;
    assert!(leaver.mailboxes.is_empty());
    assert_eq!(leaver.actions.len(), 1, "{}", leaver.verdict);
    let desk = world.explain(&at("desk")).await;
    let access = desk.mailboxes[0].full_access.clone().unwrap();
    assert_eq!(access.len(), 2, "{access:?}");
}

#[tokio::test(start_paused = true)]
async fn r40_what_a_run_held_for_all_together_is_held_for_one() {
    // Ten desks lose their only member. Together they are more than half of what is active, each alone is not.
    let mut organisation = accounts(&["ann"]);
    let ann = organisation.users[0].id.clone();
    let mut tenant = people(&["ann"]);
    for number in 0..10 {
        let name = format!("desk{number}");
        organisation.add_group(desk(&name).member(&ann));
        tenant = tenant.shared(&at(&name));
    }
    let world = World::still(tenant, organisation).await;
    let before = world.explain(&at("desk3")).await;
    assert_eq!(
        before.verdict,
        "empty is planned, as far as this address alone tells: a run counts what it takes from all together (R26)"
    );
    let report = world.preview().await;
    assert_eq!(report.counts.held, 10, "{}", shown(&report));
    let after = world.explain(&at("desk3")).await;
    assert_eq!(after.held[0].code, report.held[0].code);
    assert!(
        after.verdict.starts_with("empty is held: 10 changes"),
        "{}",
        after.verdict
    );
    assert!(after.verdict.ends_with(&report.id), "{}", after.verdict);
    assert_eq!(
        after.actions,
        [],
        "what is held is not what a run would change"
    );
}

#[tokio::test(start_paused = true)]
async fn r27_r40_only_the_code_of_a_set_that_a_run_has_shown_is_named() {
    let names: Vec<String> = (0..12).map(|number| format!("p{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut organisation = accounts(&names);
    let ids: Vec<_> = organisation.users.iter().map(|it| it.id.clone()).collect();
    let mut tenant = people(&names);
    for number in 0..2 {
        let name = format!("desk{number}");
        let all = ids.iter().fold(desk(&name), |desk, id| desk.member(id));
        organisation.add_group(all);
        tenant = tenant.mailbox(Mailbox::shared(&at(&name)).opened_by(&at("p00")));
    }
    let limit = [("MAX_DELEGATE_REMOVALS", "5")];
    let world = World::still_with(tenant, organisation, &limit).await;
    let before = world.explain(&at("desk0")).await;
    assert_eq!((before.held.len(), &*before.held[0].code), (11, ""));
    let report = world.preview().await;
    assert_eq!(report.counts.held, 22, "{}", shown(&report));
    let after = world.explain(&at("desk0")).await;
    let codes: Vec<&str> = after.held.iter().map(|it| &*it.code).collect();
    assert_eq!(codes, [&*report.held[0].code; 11]);
    assert!(after.verdict.ends_with(&report.id), "{}", after.verdict);
    world.approve(&[&report.held[0].code]).await;
    assert_eq!(world.explain(&at("desk0")).await.held, []);
}

#[tokio::test(start_paused = true)]
async fn r40_the_old_address_of_a_renamed_mailbox_tells_of_its_permissions() {
    let mut moved = Mailbox::user(&at("anna")).opened_by(&at("ben"));
    moved.edoid = id("ann");
    let world = World::still(people(&["ben"]).mailbox(moved), accounts(&["ann", "ben"])).await;
    let explained = world.explain(&at("ann")).await;
    let access = explained.mailboxes[0].full_access.as_deref();
    assert_eq!(access, Some(&[at("ben")][..]), "{}", explained.verdict);
}

#[tokio::test(start_paused = true)]
async fn r39_what_is_held_of_an_account_that_the_run_renamed_is_in_its_report() {
    let tenant = people(&["ann", "ben"]);
    let world = World::still_with(tenant, accounts(&["ann", "ben"]), &[("MAX_SUSPEND", "0")]).await;
    world.sandbox.exchange.with_state(|tenant| {
        readdress(tenant, "ann", "former", false);
        readdress(tenant, "ben", "ann", false);
        tenant.mailbox_mut(&at("former")).unwrap().account_disabled = Some(true);
    });
    let report = world.scoped(Mode::Apply, &[&at("ann")]).await;
    insta::assert_snapshot!(shown(&report), @r#"
    NeedsAttention, converged
    Rename ann@; Address -ann@ +former@
    Rename ben@; Address -ben@ +ann@
    held Suspend: suspend former@ "active" -> "suspended"
    "#);
    assert!(user(&world, "former").active);
}

async fn married() -> World {
    let mut tenant = people(&["ann", "cas"]);
    readdress(&mut tenant, "ann", "anna", false);
    ann_may_open_cas(tenant.full_access(&at("cas"), &at("anna"))).await
}

#[tokio::test(start_paused = true)]
async fn r22_r39_a_scoped_run_says_who_still_names_a_delegate_by_the_old_address() {
    let world = married().await;
    for mode in [Mode::Preview, Mode::Apply] {
        let report = world.scoped(mode, &[&at("anna")]).await;
        assert_eq!(
            report.outcome,
            RunOutcome::ChangesPending,
            "{}",
            shown(&report)
        );
        assert_eq!(notes(&report, "anna"), ["OutsideRun"]);
    }
    assert_eq!(user(&world, "cas").delegates, [at("ann")]);
    // The same as long as it is so.
    let again = world.scoped(Mode::Apply, &[&at("anna")]).await;
    assert_eq!(notes(&again, "anna"), ["OutsideRun"], "{}", shown(&again));
    assert_converged(&world.apply().await);
    assert_eq!(user(&world, "cas").delegates, [at("anna")]);
}
