//! R47: go-live in waves.

use std::time::Duration;

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        health::Run,
        mode::{Mode, PerformSync, Trigger},
        note::Code,
        report::{Report, RunOutcome, RunState},
        wave::{Part, Wave},
    },
    engine::RunRequest,
    state::RunId,
};

use super::{bench::*, company::*, half_done::unread_names_a_delegate};
use crate::world::World;

/// 60 people who left, one with a new name, and no other changes.
async fn many_leave() -> World {
    let names: Vec<String> = (0..140).map(|number| format!("p{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let limits = [("MAX_SUSPEND", "100%")];
    let world = World::still_with(people(&names), accounts(&names), &limits).await;
    assert_converged(&world.apply().await);
    vanish(&world, 0..60);
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at("p100")).unwrap().display_name = "New Name".into();
    });
    world
}

fn wave(only: &[Part], first: Option<u32>) -> RunRequest {
    RunRequest {
        wave: Wave::of(only.iter().copied().collect(), first),
        ..RunRequest::new(Mode::Apply, Trigger::Http)
    }
}

fn left(report: &Report) -> usize {
    let notes = report.skipped.iter();
    notes.filter(|note| note.code == Code::NotReviewed).count()
}

#[tokio::test(start_paused = true)]
async fn r47_waves_make_the_plan_one_after_the_other() {
    let world = many_leave().await;
    let names = world.run_for(&wave(&[Part::Update], None)).await.unwrap();
    assert_eq!(
        (user(&world, "p100").name.as_str(), suspended(&world).len()),
        ("New Name", 0)
    );
    assert_eq!(
        names.outcome,
        RunOutcome::ChangesPending,
        "{}",
        shown(&names)
    );
    assert_eq!((left(&names), names.converged), (60, Some(true)));
    assert!(!Run::from(&names).is_success(PerformSync::Always));
    let first = world.run_for(&wave(&[], Some(50))).await.unwrap();
    assert_eq!((suspended(&world).len(), left(&first)), (50, 10));
    // The last wave leaves nothing, so it is like any other run.
    let rest = world.run_for(&wave(&[], Some(50))).await.unwrap();
    assert_converged(&rest);
    assert_eq!(rest.outcome, RunOutcome::InSync);
    assert!(Run::from(&rest).is_success(PerformSync::Always));
    assert_eq!(suspended(&world).len(), 60);
}

#[tokio::test(start_paused = true)]
async fn r34_r47_a_wave_over_several_invocations_is_one_wave() {
    let world = many_leave().await;
    let zivver = world.sandbox.zivver.control();
    zivver.set_latency(Duration::from_secs(10));
    let mut request = wave(&[Part::Suspend], Some(50));
    request.time_budget = Some(Duration::from_secs(15));
    let cut = world.run_for(&request).await.unwrap();
    assert_eq!(cut.state, RunState::Continues, "{}", shown(&cut));
    let done = suspended(&world).len();
    assert!((1..50).contains(&done), "{done}");
    zivver.set_latency(Duration::ZERO);
    request.id = RunId::parse(&cut.id);
    let ended = world.run_for(&request).await.unwrap();
    assert_eq!(ended.state, RunState::Ended);
    assert_eq!((suspended(&world).len(), left(&ended)), (50, 11));
    assert_eq!(ended.actions.len(), 50);
    assert_eq!(ended.converged, Some(true));
}

#[tokio::test(start_paused = true)]
async fn r47_only_what_is_approved_is_made() {
    let (world, report) = a_third_vanishes().await;
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at("p030")).unwrap().display_name = "Other".into();
    });
    let mut request = wave(&[Part::Approved], None);
    request.approve = vec![report.held[0].code.clone()];
    request.approve_accounts = [SmtpAddress::verbatim(&at("p003"))].into();
    let approved = world.run_for(&request).await.unwrap();
    assert_eq!(suspended(&world), [3]);
    assert_ne!(user(&world, "p030").name, "Other");
    assert_eq!((left(&approved), approved.held[0].changes.len()), (1, 11));
}

/// Zivver keeps the delegates of a user as addresses, and the rename of a delegate does not change them.
#[tokio::test(start_paused = true)]
async fn r22_r47_who_names_a_delegate_by_an_address_that_a_wave_takes_is_written_later() {
    for request in [wave(&[Part::Rename], None), wave(&[], Some(1))] {
        let world = unread_names_a_delegate(people(&["ann", "cas"])).await;
        let report = world.run_for(&request).await.unwrap();
        assert_eq!(notes(&report, "cas"), ["DelegationsUnknown", "NotReviewed"]);
        assert_eq!(user(&world, "cas").delegates, [at("ann")]);
        assert_converged(&world.apply().await);
        assert_eq!(user(&world, "cas").delegates, [at("anna")]);
        assert_stable(&world).await;
    }
}
