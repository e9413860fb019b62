//! R34, R35, R37: a run that ends during actions: its report, and its undo.

use std::time::Duration;

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        mode::{Mode, Trigger},
        plan::{ActionKind, Attribute},
        report::{ActionOutcome, Report, RunOutcome},
        snapshot::history::Happened,
    },
    engine::{RunError, RunRequest, history::Last},
    render::{csv, html},
    sandbox::{
        control::{Fault, FaultKind},
        exchange::{Mailbox, Permission, Tenant},
    },
    state::RunId,
};
use object_store::{ObjectStoreExt as _, memory::InMemory};

use super::{
    bench::*,
    recovery::{aside, damage, names, office, swapped},
    stopping::stopped_after,
};
use crate::world::World;

async fn undo_of(world: &World, run: &str) -> Result<Report, RunError> {
    let request = RunRequest {
        undo: RunId::parse(run),
        ..RunRequest::new(Mode::Apply, Trigger::CommandLine)
    };
    world.run_for(&request).await
}

async fn last_change(world: &World) -> String {
    let records = world.engine.records().await.unwrap();
    let found = records.find("last", Last::Change).await.unwrap();
    found.to_string()
}

fn has_swapped(world: &World) -> bool {
    user(world, "ann").name == "ben"
}

/// A swap that a person stopped after its first step.
async fn stopped_in_a_swap() -> (World, Report) {
    let world = swapped("100%").await;
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(Duration::from_secs(10));
    let report = stopped_after(&world, 12).await;
    zivver.set_latency(Duration::ZERO);
    assert_eq!((report.outcome, aside(&world)), (RunOutcome::Stopped, 1));
    (world, report)
}

/// A swap whose process was killed after its first step.
async fn killed_in_a_swap() -> World {
    let world = swapped("100%").await;
    let zivver = world.sandbox.zivver.control();
    zivver.inject(Fault::always(FaultKind::HangAfter).method("PUT"));
    let world = killed_after(world, 1).await;
    assert_eq!(aside(&world), 1);
    world
}

#[tokio::test(start_paused = true)]
async fn r34_accounts_that_a_stopped_run_created_are_told_and_taken_back() {
    let mut tenant = people(&["ann", "ben", "cem"]);
    tenant = tenant.mailbox(Mailbox::shared(&at("desk")).opened_by(&at("ann")));
    let world = World::still(tenant, organisation()).await;
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(Duration::from_secs(10));
    let report = stopped_after(&world, 12).await;
    zivver.set_latency(Duration::ZERO);
    assert_eq!(world.sandbox.zivver.state().users.len(), 3);
    assert_eq!(report.counts.applied.get(&ActionKind::Create), Some(&3));
    assert_eq!(report.remaining, 1, "{}", shown(&report));
    assert_eq!(last_change(&world).await, report.id);
    let undo = undo_of(&world, &report.id).await.unwrap();
    assert_eq!(undo.counts.applied.get(&ActionKind::Suspend), Some(&3));
}

#[tokio::test(start_paused = true)]
async fn r34_what_a_stopped_run_made_of_an_action_is_told_everywhere() {
    let (world, report) = stopped_in_a_swap().await;
    let half = report.actions.iter().find(|it| !it.left.is_empty());
    let half = half.unwrap_or_else(|| panic!("{}", shown(&report)));
    assert_eq!((half.outcome, half.left.len()), (ActionOutcome::Partly, 1));
    let left = &half.left[0];
    assert_eq!(left.attribute, Attribute::Address);
    assert!(left.before[0].starts_with("cloud-sync-"), "{left:?}");
    assert_eq!(left.after, half.action.changes[0].after);
    assert_eq!((report.remaining, report.counts.refused), (2, 0));
    assert_eq!(report.counts.applied.get(&ActionKind::Rename), Some(&1));
    // What is done in part is counted once: 2 planned, 1 done, 1 not started.
    assert_eq!((report.counts.in_part, report.not_started()), (1, 1));
    let terminal = cloud_sync::cli::terminal(&report);
    assert!(
        terminal.contains("1 account renamed, 1 of them in part, 1 not started"),
        "{terminal}"
    );
    let page = html::report(&report);
    for words in [
        "<b>1</b> <span>of them in part</span>",
        "<b>1</b> <span>account not started</span>",
        "Not verified: the run ended before all changes were made.",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let told =
        "stopped by a person with changes of 2 accounts left; the next apply makes them (R34)";
    assert!(report.warnings.contains(&told.to_owned()));
    let table = csv::report(&report, csv::Separator::Comma);
    let row = table.lines().find(|row| row.starts_with("\"left\""));
    assert!(
        row.is_some_and(|row| row.contains(&left.before[0])),
        "{table}"
    );
    assert!(
        page.contains("Not made, from what is in Zivver now:"),
        "{page}"
    );
    assert!(page.contains(&left.before[0]), "{page}");
    assert_eq!(last_change(&world).await, report.id);
    let stored = RunId::parse(&report.id).unwrap();
    assert_eq!(
        world.engine.report(&stored).await.unwrap().actions,
        report.actions
    );
    // The next run does the rest.
    assert_converged(&world.apply().await);
    assert!(has_swapped(&world) && aside(&world) == 0);
}

#[tokio::test(start_paused = true)]
async fn r35_what_a_killed_run_made_of_an_action_is_told_by_the_next() {
    let world = killed_in_a_swap().await;
    let killed = last_change(&world).await;
    assert_converged(&world.apply().await);
    let killed = RunId::parse(&killed).unwrap();
    let report = world.engine.report(&killed).await.unwrap();
    let half = report.actions.iter().find(|it| !it.left.is_empty());
    let half = half.unwrap_or_else(|| panic!("{}", shown(&report)));
    assert_eq!(half.outcome, ActionOutcome::Partly);
    assert!(half.left[0].before[0].starts_with("cloud-sync-"));
    assert_eq!(report.remaining, 2, "{}", shown(&report));
}

#[tokio::test(start_paused = true)]
async fn r37_an_undo_gives_nobody_the_address_at_which_a_killed_run_left_them() {
    let world = killed_in_a_swap().await;
    let killed = last_change(&world).await;
    let night = world.apply().await;
    assert_converged(&night);
    assert!(has_swapped(&world));
    let undo = undo_of(&world, &night.id).await.unwrap();
    assert_eq!(undo.outcome, RunOutcome::Done, "{}", shown(&undo));
    assert_eq!(aside(&world), 0);
    assert!(!has_swapped(&world));
    // The killed run is undone too, and the next run does not repeat it.
    let again = undo_of(&world, &killed).await.unwrap();
    assert_eq!((again.actions, again.skipped), (Vec::new(), Vec::new()));
    let next = world.apply().await;
    assert!(
        !has_swapped(&world) && aside(&world) == 0,
        "{}",
        shown(&next)
    );
    assert_eq!(next.counts.held, 2, "{}", shown(&next));
}

#[tokio::test(start_paused = true)]
async fn r37_the_undo_of_a_run_that_ended_in_a_swap_brings_the_old_address_back() {
    for is_killed in [true, false] {
        let world = if is_killed {
            killed_in_a_swap().await
        } else {
            stopped_in_a_swap().await.0
        };
        let run = last_change(&world).await;
        let undo = undo_of(&world, &run).await.unwrap();
        assert_eq!(undo.outcome, RunOutcome::Done, "{}", shown(&undo));
        assert_eq!(undo.actions.len(), 1, "{}", shown(&undo));
        assert!(!has_swapped(&world) && aside(&world) == 0);
        // What was undone is held.
        let next = world.apply().await;
        assert!(
            !has_swapped(&world) && aside(&world) == 0,
            "{}",
            shown(&next)
        );
        assert_ne!(next.held, [], "{}", shown(&next));
    }
}

async fn cannot_undo(world: &World, run: &str) {
    let error = undo_of(world, run).await.unwrap_err().to_string();
    let says = format!("cannot undo run {run}: the record of what it changed is not complete: ");
    assert!(error.starts_with(&says), "{error}");
    assert!(!error.contains("move it away"), "{error}");
}

async fn move_away(store: &InMemory, run: &str, part: &str) {
    for name in names(store, &format!("{run}/{part}/")).await {
        store.delete(&name).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn r37_without_its_record_a_run_is_not_undone() {
    for part in ["plan", "journal"] {
        let (world, store) = office(&[("MAX_SUSPEND", "100%")]).await;
        let run = world.apply().await;
        assert_converged(&run);
        let first = &names(&store, &format!("{}/{part}/", run.id)).await[0];
        damage(&store, first).await;
        cannot_undo(&world, &run.id).await;
        move_away(&store, &run.id, part).await;
        cannot_undo(&world, &run.id).await;
        assert_eq!(last_change(&world).await, run.id);
        assert!(!user(&world, "ann").active);
    }
}

/// Zivver keeps the delegates of a user as addresses, and the rename of a delegate does not change them.
pub(super) async fn ann_may_open_cas(tenant: Tenant) -> World {
    let mut organisation = organisation()
        .with_user(account("ann"))
        .with_user(account("cas").delegate(&at("ann")));
    organisation.switches.delegates_follow_rename = false;
    World::still(tenant, organisation).await
}

/// Ann is at another address, and Cas, whose permissions cannot be read, has her as a delegate.
pub(super) async fn unread_names_a_delegate(mut tenant: Tenant) -> World {
    readdress(&mut tenant, "ann", "anna", false);
    let cas = tenant.mailbox_mut(&at("cas")).unwrap();
    cas.permissions.push(Permission::default());
    ann_may_open_cas(tenant).await
}

#[tokio::test(start_paused = true)]
async fn r22_r35_a_delegate_of_whom_only_the_rename_was_made_is_named_anew_by_a_later_run() {
    let to_cas = |kind| Fault::always(kind).method("PUT").body("delegates");
    let refused = FaultKind::Status {
        status: 400,
        body: "no".into(),
        headers: Vec::new(),
    };
    for kind in [refused, FaultKind::HangBefore] {
        let is_killed = matches!(kind, FaultKind::HangBefore);
        let mut world = unread_names_a_delegate(people(&["ann", "cas"])).await;
        let zivver = world.sandbox.zivver.control();
        zivver.inject(to_cas(kind));
        if is_killed {
            world = killed_after(world, 2).await;
        } else {
            let report = world.apply().await;
            assert_eq!(report.converged, Some(false), "{}", shown(&report));
            zivver.clear_faults();
        }
        user(&world, "anna");
        assert_eq!(user(&world, "cas").delegates, [at("ann")]);
        assert_converged(&world.apply().await);
        assert_eq!(user(&world, "cas").delegates, [at("anna")]);
        assert_stable(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r22_r35_a_delegate_at_an_intermediate_address_is_not_told_as_named_anew() {
    let mut tenant = people(&["ann", "ben", "cas"]);
    let cas = tenant.mailbox_mut(&at("cas")).unwrap();
    cas.permissions.push(Permission::default());
    readdress(&mut tenant, "ann", "other", false);
    readdress(&mut tenant, "ben", "ann", false);
    readdress(&mut tenant, "other", "ben", false);
    let cas = account("cas").delegate(&at("ann")).delegate(&at("ben"));
    let mut organisation = accounts(&["ann", "ben"]).with_user(cas);
    organisation.switches.delegates_follow_rename = false;
    let world = World::still(tenant, organisation).await;
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(Duration::from_secs(10));
    let report = stopped_after(&world, 22).await;
    zivver.set_latency(Duration::ZERO);
    let named = user(&world, "cas").delegates;
    assert!(
        named.iter().any(|it| it.starts_with("cloud-sync-")),
        "{named:?} {}",
        shown(&report)
    );
    let mut actions = report.actions.iter();
    let of_cas = actions.find(|it| it.action.address.as_str() == at("cas"));
    let of_cas = of_cas.unwrap();
    assert_eq!(of_cas.outcome, ActionOutcome::Partly, "{}", shown(&report));
    assert_eq!(of_cas.left[0].attribute, Attribute::Delegates);
    assert_converged(&world.apply().await);
    let mut named = user(&world, "cas").delegates;
    named.sort();
    assert_eq!(named, [at("ann"), at("ben")]);
}

#[tokio::test(start_paused = true)]
async fn r42_the_history_of_a_renamed_account_begins_with_its_creation() {
    let world = World::still(people(&["ann"]), organisation()).await;
    assert_converged(&world.apply().await);
    world.sandbox.exchange.with_state(|tenant| {
        readdress(tenant, "ann", "anna", false);
    });
    assert_converged(&world.apply().await);
    // The next owner of the address is another account.
    world.sandbox.exchange.with_state(|tenant| {
        let mut next = Mailbox::user(&at("ann"));
        next.edoid = id("next");
        tenant.mailboxes.push(next);
    });
    assert_converged(&world.apply().await);
    let records = world.engine.records().await.unwrap();
    for (name, expected) in [
        ("anna", vec![ActionKind::Rename, ActionKind::Create]),
        (
            "ann",
            vec![ActionKind::Create, ActionKind::Rename, ActionKind::Create],
        ),
    ] {
        let address = SmtpAddress::parse(&at(name)).unwrap();
        let events = records.history_of(&address, 10).await.unwrap().events;
        let actions = events.iter().filter_map(|event| match &event.what {
            Happened::Action { action, .. } => Some(*action),
            Happened::Held { .. } | Happened::Noted { .. } | Happened::NoLonger { .. } => None,
        });
        assert_eq!(actions.collect::<Vec<_>>(), expected, "{name}");
    }
}
