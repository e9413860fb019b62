//! No report, page, message or exit code may say that all is well while a person has access without a right to it,
//! unless the report holds or names it. The engine runs over several nights of random organisations, in which lists
//! lag, writes are lost or refused, and people give access by hand. Who may have access is read from the sandbox's own
//! tenant.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        mode::{Mode, Trigger},
        report::Report,
    },
    engine::RunRequest,
    sandbox::{
        control::{Fault, FaultKind},
        exchange::Tenant,
        zivver::Organisation,
    },
    state::RunId,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{
    bench::*,
    faces::{Claim, Faces, of_report},
};
use crate::world::World;

const PEOPLE: [&str; 6] = ["ann", "ben", "cem", "dan", "eva", "fay"];
const DESKS: [&str; 2] = ["desk", "help"];

/// What a person does after the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    Keeps,
    TakesBack,
}

#[derive(Debug, Clone)]
struct Night {
    /// People who leave: the mailbox is disabled or removed.
    disabled: BTreeSet<usize>,
    removed: BTreeSet<usize>,
    /// People who lose access to a desk.
    revoked: BTreeSet<(usize, usize)>,
    /// People whom a person makes active again in Zivver, and members of a desk.
    let_in: BTreeSet<usize>,
    added: BTreeSet<(usize, usize)>,
    lag_ms: u64,
    stores_nothing: bool,
    fails: bool,
    approves: bool,
    afterwards: Afterwards,
    /// A person asks about one account, and starts a run for it.
    looks_at: usize,
}

fn people_of(most: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    proptest::collection::btree_set(0..PEOPLE.len(), 0..most)
}

fn pairs(most: usize) -> impl Strategy<Value = BTreeSet<(usize, usize)>> {
    proptest::collection::btree_set((0..DESKS.len(), 0..PEOPLE.len()), 0..most)
}

fn night() -> impl Strategy<Value = Night> {
    let by_people = (people_of(3), people_of(2), pairs(4), people_of(2), pairs(2));
    let lag_ms = prop_oneof![4 => Just(0), 1 => Just(50), 1 => Just(20_000), 1 => Just(600_000)];
    let seldom = || proptest::bool::weighted(0.2);
    let afterwards = prop_oneof![4 => Just(Afterwards::Keeps), 1 => Just(Afterwards::TakesBack)];
    let by_a_person = (any::<bool>(), afterwards, 0..PEOPLE.len());
    (by_people, lag_ms, seldom(), seldom(), by_a_person).prop_map(
        |(by_people, lag_ms, stores_nothing, fails, (approves, afterwards, looks_at))| {
            let (disabled, removed, revoked, let_in, added) = by_people;
            Night {
                disabled,
                removed,
                revoked,
                let_in,
                added,
                lag_ms,
                stores_nothing,
                fails,
                approves,
                afterwards,
                looks_at,
            }
        },
    )
}

/// Each person has an account and may open every desk.
fn start(accounts_before: usize) -> (Tenant, Organisation) {
    let mut tenant = people(&PEOPLE);
    let mut organisation = accounts(&PEOPLE[..accounts_before]);
    let ids: Vec<String> = organisation.users.iter().map(|it| it.id.clone()).collect();
    for name in DESKS {
        tenant = tenant.shared(&at(name));
        for person in PEOPLE {
            tenant = tenant.full_access(&at(name), &at(person));
        }
        let mut desk = desk(name);
        desk.members.clone_from(&ids);
        organisation.add_group(desk);
    }
    (tenant, organisation)
}

fn in_exchange(tenant: &mut Tenant, night: &Night) {
    for person in &night.disabled {
        if let Some(mailbox) = tenant.mailbox_mut(&at(PEOPLE[*person])) {
            mailbox.account_disabled = Some(true);
        }
    }
    for (desk, person) in &night.revoked {
        let name = at(PEOPLE[*person]);
        let mailbox = tenant.mailbox_mut(&at(DESKS[*desk])).unwrap();
        mailbox.permissions.retain(|entry| entry.user != name);
    }
    let removed: Vec<String> = night.removed.iter().map(|it| at(PEOPLE[*it])).collect();
    tenant
        .mailboxes
        .retain(|mailbox| !removed.contains(&mailbox.primary_smtp_address));
    for mailbox in &mut tenant.mailboxes {
        mailbox
            .permissions
            .retain(|entry| !removed.contains(&entry.user));
    }
}

fn by_hand(organisation: &mut Organisation, night: &Night) {
    for person in &night.let_in {
        if let Some(user) = organisation.user_mut(&at(PEOPLE[*person])) {
            user.active = true;
        }
    }
    for (desk, person) in &night.added {
        let id = organisation.user(&at(PEOPLE[*person]));
        let id = id.map(|user| user.id.clone());
        let desk = organisation.group_mut(&at(DESKS[*desk])).unwrap();
        desk.members
            .extend(id.filter(|id| !desk.members.contains(id)));
    }
}

/// The addresses of accounts that a person can use without a right to it.
fn wrong(tenant: &Tenant, organisation: &Organisation) -> BTreeSet<String> {
    let mailbox = |address: &str| {
        let mut all = tenant.mailboxes.iter();
        all.find(|mailbox| mailbox.primary_smtp_address == address)
    };
    let may_sign_in =
        |address: &str| mailbox(address).is_some_and(|it| it.account_disabled == Some(false));
    let users = organisation.users.iter().filter(|user| user.active);
    let users: Vec<_> = users.collect();
    let mut wrong = BTreeSet::new();
    for user in &users {
        if !may_sign_in(&user.user_name) {
            wrong.insert(user.user_name.clone());
        }
    }
    for group in &organisation.groups {
        let opens = mailbox(&group.external_id).map_or(&[][..], |it| &it.permissions);
        let mut members = users.iter().filter(|user| group.members.contains(&user.id));
        if members.any(|user| opens.iter().all(|entry| entry.user != user.user_name)) {
            wrong.insert(group.external_id.clone());
        }
    }
    wrong
}

fn texts(report: &Report) -> Vec<String> {
    let held = report.held.iter().flat_map(|set| &set.changes);
    let held = held.map(|it| it.address.to_string());
    let notes = report.skipped.iter().map(|it| it.address.clone());
    let differ = report.differences.iter().map(|it| it.address.to_string());
    let failed = report.failed.iter().map(|it| it.address.to_string());
    held.chain(notes).chain(differ).chain(failed).collect()
}

fn wrong_in(world: &World) -> BTreeSet<String> {
    let organisation = world.sandbox.zivver.state();
    let exchange = &world.sandbox.exchange;
    exchange.with_state(|tenant| wrong(tenant, &organisation))
}

/// The addresses that a report names. For an undo these are the undone changes.
fn named(report: &Report) -> Vec<String> {
    let mut named = texts(report);
    if report.undoes.is_some() {
        let done = report.actions.iter();
        named.extend(done.map(|it| it.action.address.to_string()));
    }
    named
}

/// An error if an output claims more than is true.
fn check(
    claims: Vec<(String, Claim)>,
    wrong: &BTreeSet<String>,
    named: &[String],
    report: &Report,
) -> Result<(), String> {
    let unnamed: Vec<_> = wrong.iter().filter(|it| !named.contains(it)).collect();
    let most = match (wrong.is_empty(), unnamed.is_empty()) {
        (true, _) => Claim::AllIsWell,
        (false, true) => Claim::But,
        (false, false) => Claim::Nothing,
    };
    let too_much = claims.into_iter().filter(|(_, claim)| *claim > most);
    let too_much: Vec<_> = too_much.collect();
    if too_much.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{wrong:?} is wrong, {unnamed:?} unnamed, and it is claimed {too_much:?} in\n{}",
        shown(report)
    ))
}

/// Returns whether something is wrong. An error if an output says that all is well although something is wrong and not
/// named. `before` contains the addresses that the run before an undo named.
async fn judge(
    world: &World,
    faces: &mut Faces,
    report: &Report,
    before: &[String],
) -> Result<bool, String> {
    let wrong = wrong_in(world);
    let named = named(report);
    let settled = report.since.iter().flat_map(|since| &since.compared.gone);
    let mut settled = settled.map(|finding| &finding.address);
    if let Some(address) = settled.find(|it| wrong.contains(*it) && !named.contains(it)) {
        return Err(format!("{address} is settled in\n{}", shown(report)));
    }
    let newest = faces.of_newest(world, report).await;
    check(newest, &wrong, &named, report)?;
    let standing = [&named, before].concat();
    check(faces.of_standing().await, &wrong, &standing, report)?;
    for address in &wrong {
        let claims = faces.of_account(world, address).await;
        let wrong = [address.clone()].into();
        check(claims, &wrong, &[], report)?;
    }
    Ok(!wrong.is_empty())
}

/// A run for one account says nothing about others, and does not change what is reported about them.
async fn look_at(
    world: &World,
    faces: &Faces,
    account: &str,
    told: &[String],
) -> Result<(), String> {
    for mode in [Mode::Preview, Mode::Apply] {
        let mut request = RunRequest::new(mode, Trigger::CommandLine);
        request.accounts = [SmtpAddress::parse(account).unwrap()].into();
        let Ok(report) = world.run_for(&request).await else {
            continue;
        };
        let wrong = wrong_in(world);
        let own = wrong.iter().filter(|it| *it == account).cloned().collect();
        let mut named_here = named(&report);
        if mode == Mode::Preview {
            let planned = report.actions.iter();
            named_here.extend(planned.map(|it| it.action.address.to_string()));
        }
        check(of_report(&report), &own, &named_here, &report)?;
        check(faces.of_standing().await, &wrong, told, &report)?;
    }
    Ok(())
}

async fn take_back(world: &World, report: &Report) -> Option<Report> {
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.undo = RunId::parse(&report.id);
    world.run_for(&request).await.ok()
}

async fn play(accounts: usize, limits: (&str, &str), nights: &[Night]) -> Result<usize, String> {
    let (tenant, organisation) = start(accounts);
    let (suspend, removals) = limits;
    let extra = [
        ("MAX_SUSPEND", suspend),
        ("MAX_DELEGATE_REMOVALS", removals),
        ("MIN_SOURCE_RATIO", "0.1"),
    ];
    let world = World::still_with(tenant, organisation, &extra).await;
    let zivver = &world.sandbox.zivver;
    let mut faces = Faces::new(&world);
    let mut codes: Vec<String> = Vec::new();
    let mut times_wrong = 0;
    for night in nights {
        world
            .sandbox
            .exchange
            .with_state(|tenant| in_exchange(tenant, night));
        zivver.with_state(|organisation| {
            by_hand(organisation, night);
            organisation.switches.lists_lag_millis = night.lag_ms;
            organisation.switches.writes_store_nothing = night.stores_nothing;
        });
        if night.fails {
            let refusal = FaultKind::Status {
                status: 500,
                headers: Vec::new(),
                body: String::new(),
            };
            zivver
                .control()
                .inject(Fault::always(refusal).times(8).method("PUT"));
        }
        let codes_now: Vec<&str> = codes.iter().map(String::as_str).collect();
        let report = if night.approves && !codes.is_empty() {
            world.approve(&codes_now).await
        } else {
            world.apply().await
        };
        codes = report.held.iter().map(|set| set.code.clone()).collect();
        zivver.control().clear_faults();
        zivver.with_state(|organisation| organisation.switches.lists_lag_millis = 0);
        times_wrong += usize::from(judge(&world, &mut faces, &report, &[]).await?);
        let mut told = named(&report);
        if night.afterwards == Afterwards::TakesBack
            && let Some(undo) = take_back(&world, &report).await
        {
            times_wrong += usize::from(judge(&world, &mut faces, &undo, &told).await?);
            told.extend(named(&undo));
            codes.clear();
        }
        look_at(&world, &faces, &at(PEOPLE[night.looks_at]), &told).await?;
        tokio::time::sleep(Duration::from_secs(15 * 60)).await;
    }
    Ok(times_wrong)
}

#[test]
fn r36_no_report_says_that_all_is_well_while_a_wrong_access_is_unnamed() {
    let limits = prop_oneof![
        Just(("5%,min 5", "10%,min 20")),
        Just(("1", "1")),
        Just(("30%", "30%")),
        Just(("100%", "100%")),
    ];
    let nights = proptest::collection::vec(night(), 1..4);
    let mut runner = TestRunner::new(Config {
        cases: 100,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    });
    let times_wrong = Cell::new(0);
    let played = runner.run(
        &(1..=PEOPLE.len(), limits, nights),
        |(accounts, limits, nights)| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            let times = runtime.block_on(Box::pin(play(accounts, limits, &nights)));
            times_wrong.set(times_wrong.get() + times.map_err(TestCaseError::fail)?);
            Ok(())
        },
    );
    if let Err(error) = played {
        panic!("{error}");
    }
    assert!(times_wrong.get() > 50, "{} is too few", times_wrong.get());
}
