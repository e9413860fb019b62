//! R26, R28, R35: how later runs handle a killed one, even if its lists lag or its documents are damaged.

use std::sync::Arc;

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        guard::Class,
        mode::{Depth, Mode, Trigger},
        report::{ActionOutcome, Report, RunState},
        snapshot::history::Happened,
    },
    engine::RunRequest,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{Mailbox, Tenant},
        zivver::User,
    },
    state::{RunId, State},
};
use futures::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _, memory::InMemory, path::Path};

use super::{bench::*, company::code};
use crate::world::World;

const PEOPLE: [&str; 4] = ["ann", "ben", "cem", "dan"];

/// Three people and one who has left, with a state that tests can damage.
pub(super) async fn office(extra: &[(&str, &str)]) -> (World, Arc<InMemory>) {
    let store = Arc::new(InMemory::new());
    let world = World::still_with(people(&PEOPLE), accounts(&PEOPLE), extra).await;
    let world = world.over(State::over(Arc::clone(&store) as _, "memory"), &[], None);
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        tenant.remove_mailbox(&at("ann"));
    });
    (world, store)
}

/// Its only write has arrived, but not the answer.
async fn killed(world: World) -> World {
    forget(&world);
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("PUT"));
    killed_after(world, 1).await
}

pub(super) async fn names(store: &InMemory, part: &str) -> Vec<Path> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let names = listed.into_iter().map(|it| it.location);
    names.filter(|it| it.as_ref().contains(part)).collect()
}

pub(super) async fn damage(store: &InMemory, name: &Path) {
    store.put(name, "{".into()).await.unwrap();
}

fn warns(report: &Report, of: &str) -> bool {
    report.warnings.iter().any(|text| text.contains(of))
}

#[tokio::test(start_paused = true)]
async fn r35_damaged_documents_of_a_killed_run_are_a_warning_and_no_end() {
    for part in ["plan", "journal"] {
        let (world, store) = office(&[]).await;
        let world = killed(world).await;
        let plan = names(&store, "/plan/").await.pop().unwrap();
        let name = plan.as_ref().replace("/plan/", &format!("/{part}/"));
        damage(&store, &Path::from(name.as_str())).await;
        let next = world.apply().await;
        assert_converged(&next);
        assert!(warns(&next, &name), "{:?}", next.warnings);
        assert!(!user(&world, "ann").active);
        let later = world.apply().await;
        assert_converged(&later);
        assert!(!warns(&later, &name), "{:?}", later.warnings);
    }
}

#[tokio::test(start_paused = true)]
async fn r27_a_damaged_approval_is_written_anew_and_ends_no_run() {
    let (world, store) = office(&[("MAX_SUSPEND", "0")]).await;
    let report = world.apply().await;
    let code = report.held[0].code.clone();
    let approval = names(&store, &code).await.pop().unwrap();
    damage(&store, &approval).await;
    // A code that can no longer be read is refused like an unknown one.
    let mut request = RunRequest::new(Mode::Apply, Trigger::Http);
    request.approve = vec![code.clone()];
    assert!(world.run_for(&request).await.is_err());
    let again = world.apply().await;
    assert_eq!((again.error, again.held[0].code.as_str()), (None, &*code));
    assert_converged(&world.approve(&[&code]).await);
    assert!(!user(&world, "ann").active);
}

#[tokio::test(start_paused = true)]
async fn r28_a_killed_run_is_remembered_after_another_has_taken_up_its_work() {
    let (world, _) = office(&[]).await;
    let world = killed(world).await;
    // A run for one account does not take it up.
    let scoped = world.scoped(Mode::Apply, &[&at("ben")]).await;
    assert_eq!(scoped.resumed_from, [""; 0], "{}", shown(&scoped));
    let mut history = world.engine.history(10).await.unwrap();
    history.retain(|run| run.state == RunState::Running);
    let run = history.remove(0).id;
    assert!(warns(&scoped, &run), "{:?}", scoped.warnings);
    let tells = |problems: &[String]| problems.iter().any(|it| it.contains(&run));
    let problems = world.engine.health().await.unwrap().problems;
    assert!(tells(&problems), "{problems:?}");
    // One that took it up and failed did not do its work either.
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at("ben")).unwrap().display_name = "Other".into();
    });
    let world = killed(world).await;
    let problems = world.engine.health().await.unwrap().problems;
    assert!(tells(&problems), "{problems:?}");
    let whole = world.apply().await;
    assert_converged(&whole);
    assert!(!whole.resumed_from.is_empty(), "{}", shown(&whole));
    let problems = world.engine.health().await.unwrap().problems;
    assert!(!tells(&problems), "{problems:?}");
}

#[tokio::test(start_paused = true)]
async fn r26_what_a_killed_run_created_counts_though_the_next_list_hides_it() {
    let mut organisation = accounts(&["dan"]);
    organisation.switches.stale_reads_after_post = 1;
    let world = World::still_with(
        people(&["ann", "ben", "dan"]),
        organisation,
        &[("MAX_CREATES", "2")],
    )
    .await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("POST"));
    let world = killed_after(world, 2).await;
    let scoped = world.scoped(Mode::Apply, &[&at("dan")]).await;
    assert_eq!(scoped.error, None);
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes.push(Mailbox::user(&at("fay")));
    });
    let report = world.apply().await;
    let held: Vec<_> = report.held.iter().map(|set| set.class).collect();
    assert_eq!(held, [Class::Create], "{}", shown(&report));
}

#[tokio::test(start_paused = true)]
async fn r16_who_got_an_account_by_a_run_that_was_killed_keeps_it() {
    let organisation = accounts(&["ben"]).with_user(User {
        user_name: at("ann"),
        ..account("ann the first")
    });
    let world = World::still(people(&["ann", "ben"]), organisation).await;
    let report = world.apply().await;
    let code = report.held[0].code.clone();
    assert!(!user(&world, "ann").active);
    forget(&world);
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("PUT"));
    let world = killed_after_approving(world, 1, &[&code]).await;
    assert!(user(&world, "ann").active);
    forget(&world);
    let preview = world.preview().await;
    assert_eq!(preview.held, [], "{}", shown(&preview));
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
    assert!(user(&world, "ann").active);
    assert_stable(&world).await;
}

/// The key goes with the extension, of which Zivver shows all but the key.
#[tokio::test(start_paused = true)]
async fn r23_the_key_that_a_killed_run_wrote_is_not_asked_about_again() {
    let add = |alias: &str| {
        let alias = format!("smtp:{}", at(alias));
        move |tenant: &mut Tenant| tenant.mailboxes[0].email_addresses.push(alias)
    };
    let limit = [("MAX_SIGN_IN_KEY_CHANGES", "0")];
    let mut tenant = people(&["ann", "ben"]);
    add("first")(&mut tenant);
    let world = World::still_with(tenant, accounts(&["ann", "ben"]), &limit).await;
    let report = world.apply().await;
    let code = code(&report, Class::SignInKey).to_owned();
    forget(&world);
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("PUT"));
    let world = killed_after_approving(world, 1, &[&code]).await;
    world.sandbox.exchange.with_state(add("second"));
    let report = world.apply().await;
    assert_eq!(report.held, [], "{}", shown(&report));
    assert_converged(&report);
}

#[tokio::test(start_paused = true)]
async fn r16_a_mailbox_gets_no_second_account_while_a_list_hides_its_first() {
    let mut organisation = accounts(&["ben"]);
    organisation.switches.stale_reads_after_post = 100;
    let world = World::still(people(&["ann", "ben"]), organisation).await;
    world.apply().await;
    world
        .sandbox
        .exchange
        .with_state(|tenant| readdress(tenant, "ann", "anna", false));
    forget(&world);
    let report = world.apply().await;
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
    assert_eq!(notes(&report, "anna"), ["WriteHadNoEffect"]);
    assert_eq!(report.converged, Some(false), "{}", shown(&report));
}

#[tokio::test(start_paused = true)]
async fn r26_a_removal_that_a_killed_run_did_not_make_is_made_though_the_member_was_renamed() {
    let names = ["ann", "ben", "cem"];
    let tenant = people(&names).shared(&at("desk"));
    let tenant = names.iter().fold(tenant, |tenant, name| {
        tenant.full_access(&at("desk"), &at(name))
    });
    let limit = [("MAX_DELEGATE_REMOVALS", "1")];
    let world = World::still_with(tenant, accounts(&names), &limit).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        readdress(tenant, "ben", "benny", false);
        let desk = tenant.mailbox_mut(&at("desk")).unwrap();
        desk.permissions.retain(|entry| entry.user != at("ben"));
    });
    forget(&world);
    let zivver = world.sandbox.zivver.control();
    zivver.inject(
        Fault::always(FaultKind::HangBefore)
            .path("Groups")
            .method("PUT"),
    );
    let world = killed_after(world, 2).await;
    assert_eq!(group(&world, "desk").members.len(), 3);
    assert!(user(&world, "benny").active);
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(report.held, [], "{}", shown(&report));
    assert_eq!(group(&world, "desk").members.len(), 2);
    assert_stable(&world).await;
}

/// The list and the look-up of the next run hide the account, so its create is refused.
#[tokio::test(start_paused = true)]
async fn r16_whom_a_killed_run_created_is_known_once_the_lists_after_a_run_show_the_account() {
    let mut organisation = accounts(&["ben"]);
    organisation.switches.external_account_id_shown = false;
    organisation.switches.stale_reads_after_post = 5;
    let world = World::still(people(&["ann", "ben"]), organisation).await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("POST"));
    let world = killed_after(world, 1).await;
    let report = world.apply().await;
    assert_eq!(report.failed.len(), 1, "{}", shown(&report));
    world.sandbox.exchange.with_state(|tenant| {
        tenant.remove_mailbox(&at("ann"));
    });
    let report = world.apply().await;
    assert_eq!(report.held, [], "{}", shown(&report));
    assert!(!user(&world, "ann").active);
}

/// A killed run has created an account, which the lists and perhaps the first look-ups of the next run hide.
async fn created_and_hidden(tenant: Tenant, stale_reads: u32) -> World {
    let mut organisation = accounts(&["ben"]);
    // Only the journal shows who owns the account.
    organisation.switches.external_account_id_shown = false;
    organisation.switches.stale_reads_after_post = stale_reads;
    let world = World::still(tenant, organisation).await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("POST"));
    let world = killed_after(world, 1).await;
    forget(&world);
    world
}

#[tokio::test(start_paused = true)]
async fn r16_whom_a_killed_run_created_gets_no_second_account_under_another_address() {
    for stale_reads in [1, 3] {
        let world = created_and_hidden(people(&["ann", "ben"]), stale_reads).await;
        let first = user(&world, "ann").id;
        world.sandbox.exchange.with_state(|tenant| {
            readdress(tenant, "ann", "anna", false);
            // The next owner of the address does not get the account either.
            tenant.mailboxes.push(Mailbox::user(&at("eve")));
            readdress(tenant, "eve", "ann", false);
        });
        let report = world.apply().await;
        assert_converged(&report);
        assert_eq!(user(&world, "anna").id, first, "{}", shown(&report));
        assert_ne!(user(&world, "ann").id, first, "{}", shown(&report));
        assert_eq!(world.sandbox.zivver.state().users.len(), 3);
        assert_stable(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r16_a_shared_mailbox_for_which_a_killed_run_created_an_account_gets_no_second_one() {
    let tenant = people(&["ben"]).shared(&at("desk"));
    let tenant = tenant.full_access(&at("desk"), &at("ben"));
    // Each list counts as a read: the one of users, then the one of functional accounts.
    let world = created_and_hidden(tenant, 2).await;
    let rename = |tenant: &mut Tenant| readdress(tenant, "desk", "help", false);
    world.sandbox.exchange.with_state(rename);
    let report = world.apply().await;
    assert_eq!(notes(&report, "help"), ["FunctionalRename"]);
    assert_eq!(writes(&world), [""; 0], "{}", shown(&report));
}

#[tokio::test(start_paused = true)]
async fn r19_whom_a_killed_run_created_and_who_has_left_since_is_suspended_though_the_list_hides_it()
 {
    let world = created_and_hidden(people(&["ann", "ben"]), 1).await;
    world.sandbox.exchange.with_state(|tenant| {
        tenant.remove_mailbox(&at("ann"));
    });
    assert_converged(&world.apply().await);
    assert!(!user(&world, "ann").active);
}

#[tokio::test(start_paused = true)]
async fn r16_without_a_look_up_whom_a_killed_run_may_have_created_gets_no_account() {
    let world = created_and_hidden(people(&["ann", "ben"]), 1).await;
    world.sandbox.exchange.with_state(|tenant| {
        readdress(tenant, "ann", "anna", true);
        tenant.mailboxes.push(Mailbox::user(&at("cem")));
    });
    let status = FaultKind::Status {
        status: 500,
        headers: Vec::new(),
        body: String::new(),
    };
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(status).method("GET").path("filter"));
    let report = world.apply().await;
    assert_eq!(notes(&report, "anna"), ["WriteHadNoEffect"]);
    assert_eq!(report.converged, Some(false), "{}", shown(&report));
    // Nobody else waits for it.
    assert_eq!(user(&world, "cem").name, "cem");
    assert_eq!(world.sandbox.zivver.state().users.len(), 3);
}

/// R45: an ordinary night asks nothing more.
#[tokio::test(start_paused = true)]
async fn r16_only_what_a_killed_run_may_have_created_at_another_address_is_looked_up() {
    let look_ups = |world: &World| {
        let calls = world.sandbox.zivver.control().journal();
        calls.iter().filter(|it| it.path.contains("filter")).count()
    };
    let world = created_and_hidden(people(&["ann", "ben", "cem"]), 0).await;
    let rename = |tenant: &mut Tenant| readdress(tenant, "ann", "anna", false);
    world.sandbox.exchange.with_state(rename);
    assert_converged(&world.apply().await);
    assert_eq!(look_ups(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn r19_whom_a_killed_run_created_and_who_has_left_since_is_suspended_by_the_next_run() {
    let mut organisation = accounts(&["ben"]);
    // Only the journal shows who owns the account.
    organisation.switches.external_account_id_shown = false;
    let world = World::still(people(&["ann", "ben"]), organisation).await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("POST"));
    let world = killed_after(world, 1).await;
    assert!(user(&world, "ann").active);
    world.sandbox.exchange.with_state(|tenant| {
        tenant.remove_mailbox(&at("ann"));
    });
    let preview = world.preview().await;
    assert_eq!(preview.actions.len(), 1, "{}", shown(&preview));
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(notes(&report, "ann"), [""; 0], "{}", shown(&report));
    assert!(!user(&world, "ann").active);
    assert_stable(&world).await;
}

/// Ann and Ben have changed their addresses.
pub(super) async fn swapped(max_renames: &str) -> World {
    let limit = [("MAX_RENAMES", max_renames)];
    let world = World::still_with(people(&PEOPLE), accounts(&PEOPLE), &limit).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        readdress(tenant, "ann", "other", false);
        readdress(tenant, "ben", "ann", false);
        readdress(tenant, "other", "ben", false);
    });
    forget(&world);
    world
}

/// Users at an intermediate address.
pub(super) fn aside(world: &World) -> usize {
    let state = world.sandbox.zivver.state();
    let names = state.users.iter().map(|user| &user.user_name);
    names.filter(|it| it.starts_with("cloud-sync-")).count()
}

fn put(kind: FaultKind) -> Fault {
    Fault::always(kind).method("PUT")
}

/// Exactly the two renames count.
async fn assert_two_renames_count(world: &World) {
    assert_eq!(aside(world), 0);
    assert_eq!(user(world, "ben").name, "ann");
    assert_eq!(user(world, "ann").name, "ben");
    let rename = |from: &str, to: &str| {
        let state = &world.sandbox.exchange;
        state.with_state(|tenant| readdress(tenant, from, to, false));
    };
    rename("cem", "cemal");
    let report = world.apply().await;
    assert_converged(&report);
    rename("dan", "daniel");
    let report = world.apply().await;
    let held: Vec<_> = report.held.iter().map(|set| set.class).collect();
    assert_eq!(held, [Class::Rename], "{}", shown(&report));
}

#[tokio::test(start_paused = true)]
async fn r26_the_rest_of_a_rename_that_a_killed_run_began_does_not_count_again() {
    let world = swapped("3").await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(put(FaultKind::HangAfter));
    let world = killed_after(world, 1).await;
    assert_eq!(aside(&world), 1);
    let report = world.apply().await;
    assert_converged(&report);
    assert_eq!(report.held, [], "{}", shown(&report));
    assert_two_renames_count(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r27_an_approved_rename_that_a_killed_run_began_comes_to_its_end() {
    let world = swapped("0").await;
    let code = world.apply().await.held[0].code.clone();
    let zivver = world.sandbox.zivver.control();
    zivver.inject(put(FaultKind::HangAfter));
    let world = killed_after_approving(world, 1, &[&code]).await;
    assert_eq!(aside(&world), 1);
    assert_converged(&world.approve(&[&code]).await);
    assert_eq!(aside(&world), 0);
    assert_stable(&world).await;
}

#[tokio::test(start_paused = true)]
async fn r26_a_refused_rename_that_was_taken_back_does_not_count() {
    let refused = || FaultKind::Status {
        status: 400,
        headers: Vec::new(),
        body: "no".into(),
    };
    // Ben's rename is refused, and Ann's is taken back, or left at the intermediate address.
    for (fault, left_aside) in [
        (Fault::once(refused()).method("PUT").after(1), 0),
        (put(refused()).after(1), 1),
    ] {
        let world = swapped("3").await;
        let zivver = world.sandbox.zivver.control();
        zivver.inject(fault);
        let report = world.apply().await;
        assert_eq!(aside(&world), left_aside, "{}", shown(&report));
        zivver.clear_faults();
        let report = world.apply().await;
        assert_converged(&report);
        assert_eq!(report.held, [], "{}", shown(&report));
        assert_two_renames_count(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r35_what_a_run_in_between_made_is_not_the_work_of_a_killed_one() {
    let world = World::still(people(&PEOPLE), accounts(&PEOPLE)).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes[0].account_disabled = Some(true);
        tenant.mailboxes.push(Mailbox::user(&at("eve")));
    });
    forget(&world);
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangBefore).method("PUT"));
    let world = killed_after(world, 2).await;
    assert!(user(&world, "ann").active && user(&world, "eve").active);
    let history = world.engine.history(1).await.unwrap();
    let killed = RunId::parse(&history[0].id).unwrap();
    let happened = async |name: &str| {
        let records = world.engine.records().await.unwrap();
        let address = SmtpAddress::parse(&at(name)).unwrap();
        let events = records.history_of(&address, 10).await.unwrap().events;
        let actions = events.into_iter().filter_map(|event| match event.what {
            Happened::Action { outcome, .. } => Some((event.depth, outcome)),
            Happened::Held { .. } | Happened::Noted { .. } | Happened::NoLonger { .. } => None,
        });
        actions.collect::<Vec<_>>()
    };
    // Before another run takes it up, its journal shows what it did.
    assert_eq!(happened("eve").await.len(), 1);
    let mut quick = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    quick.depth = Depth::Quick;
    let quick = world.run_for(&quick).await.unwrap();
    assert!(!user(&world, "ann").active, "{}", shown(&quick));
    let whole = world.apply().await;
    assert_eq!(whole.resumed_from, [killed.to_string()]);
    let report = world.engine.report(&killed).await.unwrap();
    assert_eq!(report.remaining, 1, "{}", shown(&report));
    assert_eq!(
        happened("ann").await,
        [
            (Depth::Quick, ActionOutcome::Applied),
            (Depth::Full, ActionOutcome::Remaining)
        ]
    );
    assert_eq!(
        happened("eve").await,
        [(Depth::Full, ActionOutcome::Applied)]
    );
    let mut undo = RunRequest::new(Mode::Preview, Trigger::CommandLine);
    undo.undo = Some(killed);
    let undo = world.run_for(&undo).await.unwrap();
    let undone = undo.actions.iter().map(|it| it.action.address.as_str());
    assert_eq!(undone.collect::<Vec<_>>(), [at("eve")], "{}", shown(&undo));
}
