//! A company of which a third disappears.

use cloud_sync::{
    domain::{guard::Class, report::Report},
    sandbox::exchange::Mailbox,
};

use super::bench::*;
use crate::world::World;

/// This number of people, in sync with their accounts.
pub(super) async fn company(people_count: usize) -> World {
    let names = names(people_count);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::still(people(&names), accounts(&names)).await;
    assert_converged(&world.apply().await);
    assert_eq!(write_count(&world), 0);
    world
}

pub(super) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("p{number:03}")).collect()
}

pub(super) fn vanish(world: &World, numbers: std::ops::Range<usize>) {
    world.sandbox.exchange.with_state(|tenant| {
        for number in numbers {
            tenant.remove_mailbox(&at(&format!("p{number:03}")));
        }
    });
}

/// Numbers of the people whose accounts are suspended.
pub(super) fn suspended(world: &World) -> Vec<usize> {
    let state = world.sandbox.zivver.state();
    let inactive = state.users.iter().filter(|user| !user.active);
    let mut numbers: Vec<usize> = inactive
        .map(|user| user.user_name[1..4].parse().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

pub(super) fn held(report: &Report, class: Class) -> Vec<&str> {
    let sets = report.held.iter().filter(|set| set.class == class);
    sets.flat_map(|set| &set.changes)
        .map(|change| change.address.as_str())
        .collect()
}

pub(super) fn code(report: &Report, class: Class) -> &str {
    let set = report.held.iter().find(|set| set.class == class).unwrap();
    &set.code
}

/// 40 people, of whom 12 disappear, one is renamed and one is new.
pub(super) async fn a_third_vanishes() -> (World, Report) {
    let world = company(40).await;
    vanish(&world, 0..12);
    world.sandbox.exchange.with_state(|tenant| {
        tenant.mailbox_mut(&at("p020")).unwrap().display_name = "New Name".into();
        tenant.mailboxes.push(Mailbox::user(&at("p900")));
    });
    let report = world.apply().await;
    (world, report)
}
