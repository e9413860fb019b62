//! Deterministic simulation: engine, clients, state and sandbox in one process, under one seeded schedule of faults,
//! kills and a second instance. An oracle judges every write by the directory and by what was actually read.
//!
//! `SIM_SEED=7 cargo test --test it simulation` replays one seed with its trace. `SIM_SEEDS=100000 SIM_FIRST=1` sets
//! the number of seeds and the first one.

mod deaf;
mod dice;
mod ending;
mod guarded;
mod health;
mod lacking;
mod liveness;
mod network;
mod oracle;
mod plot;
mod process;
mod quick;
mod records;
mod scenes;
mod stage;
mod storage;
mod story;
mod time;
mod truth;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use cloud_sync::settings::environment;
use story::{ODD_SEEDS, Outcome, SURPLUS_SEEDS, Tally, play, play_hours};

/// The number of seeds in a normal test run.
const SEEDS: u64 = 300;

/// The maximum share of excused accounts at the end, in percent. 59 % were measured, since most worlds have limits that
/// hold something.
const EXCUSED_PERCENT_MAX: u64 = 70;

/// Seeds that once found a fault. A seed has the same meaning only while the order of random choices does not change,
/// so each fault also has a separate test under `rules` or in the domain. The faults:
///
/// - 10: an incomplete answer that counted as "not found"
/// - 23: a row that was lost between two pages
/// - 196, 350: a killed plan that was never counted
/// - 716: a disabled person whose address a room has
/// - 755: a held key that was sent with a rename
/// - 806: a functional account that was resumed without members
/// - 1001: a delegate who was not mentioned
/// - 1400: a create without an answer that was reported as refused
/// - 1409: a rename by alias evidence that was held again because of its key
/// - 1975: a new account that the list did not show yet
/// - 2671: a disabled leaver at an alias of a mailbox of the wrong kind
/// - 2828: a code that was printed before the run's own renames
/// - 2957: creates of a killed run that the next list did not show
/// - 3101: a create without an answer
/// - 4216, 9088: an action of which a killed invocation had done a part
/// - 4244, 6199: a scoped run that renamed its own account
/// - 4692, 10911: an approved tie of a killed run
/// - 5971: a name that was stored as a third value
/// - 9066, 9111: a new account that the list did not show yet, of a mailbox that was renamed
/// - 9348: a code that was shown before its mailbox got a third address
/// - 8659: members of an outdated list that were written again, and a verification by a list older than that write
/// - 11318, 11431: a person who was suspended again within a minute, and counted once
/// - 12039: a run whose clock was set back, that counted as earlier than a killed run that had waited for the lock
/// - 22002, 24333: a leaver whose new account the list did not show yet
/// - 22016: a leaver who stayed a member, and whose address another mailbox has
/// - 22895: a person whose address a mailbox of another kind had, and which was deleted
/// - 21627: an account that was renamed, taken for the one that was created at its former address
/// - 32244: a key that a killed run had not written, taken for written since a delegate was deleted
/// - 38382: an account that was moved and stayed active, in a run that ended before the lists had time
/// - 42355: removals that were written back, since the run ended before the lists had time
/// - 102475: a deleted account that an old list showed, remembered in place of the new one
/// - 106750: an account that a killed run created and only the lists after the next run showed
/// - 122224: an account that a killed run created, of a mailbox that was renamed before a list showed it
/// - 6245: a removal of an interrupted run, repeated days later for a delegate that a person had added again
/// - 302844: an account that a killed run created, and a person deleted: "created less than an hour ago" days later
/// - 348, 586, 1704, 3080, 4735, 4839, 4987, 303538, 1101415, 5345, 7559, 7900, 8044, 10841, 11327, 11635, 22074, 23147, 31086, 35730, 37705,
///   54243, 110959, 113657, 114386, 114767, 122856, 116917,
///   118767, 119485, 120157, 124019: faults of the oracle
/// - 6753: a double that reverted other accounts too
const KEPT: [u64; 75] = [
    10, 23, 196, 348, 350, 586, 716, 755, 806, 1001, 1400, 1409, 1704, 1975, 2671, 2828, 2957,
    3101, 3080, 4216, 4244, 4692, 4735, 4839, 5345, 5971, 6199, 6753, 7559, 7900, 8044, 8659, 9066,
    9088, 9111, 9348, 10841, 10911, 11318, 11327, 11431, 11635, 12039, 21627, 22002, 22016, 22074,
    22895, 23147, 24333, 31086, 32244, 35730, 37705, 38382, 42355, 54243, 102_475, 106_750,
    110_959, 113_657, 122_224, 114_386, 114_767, 122_856, 116_917, 118_767, 119_485, 120_157,
    124_019, 4987, 6245, 302_844, 303_538, 1_101_415,
];

/// The same for hourly ticks:
/// - 1416: an account that a killed plan was to move away, taken for the one that it created
/// - 1973: a tie that was made while mailbox and account were of different kinds
/// - 602, 647, 706, 968: faults of the oracle
const KEPT_HOURS: [u64; 6] = [602, 647, 706, 968, 1416, 1973];

fn number(name: &str) -> Option<u64> {
    environment(name).map(|text| text.parse().unwrap())
}

/// The end of the trace, where the fault is.
fn told(seed: u64, outcome: &Outcome) -> String {
    let mut text = String::new();
    for line in &outcome.trace {
        writeln!(text, "{line}").unwrap();
    }
    for violation in &outcome.violations {
        writeln!(text, "seed {seed}: {violation}").unwrap();
    }
    text
}

/// The minimum numbers for a hundred seeds: two thirds of what was measured.
fn floors(tally: &Tally) -> [(&'static str, u64, u64); 8] {
    [
        ("runs", tally.runs, 540),
        ("killed", tally.killed, 34),
        ("failed", tally.failed, 87),
        ("not begun", tally.not_begun, 95),
        ("held", tally.held, 214),
        ("cut off", tally.cut_off, 6),
        ("writes", tally.writes, 425),
        ("accounts checked", tally.accounts_checked, 247),
    ]
}

/// The events that were too rare for the simulation to prove something. Too few seeds are not checked.
fn quiet(tally: &Tally, seeds: u64) -> Vec<String> {
    if seeds < SEEDS {
        return Vec::new();
    }
    let too_few = floors(tally)
        .into_iter()
        .filter(|(_, found, floor)| found * 100 < floor * seeds)
        .map(|(what, found, floor)| format!("{what}: {found}, not {floor} for each 100 seeds"));
    let excused =
        tally.accounts_excused * 100 / (tally.accounts_checked + tally.accounts_excused).max(1);
    let too_many = (excused > EXCUSED_PERCENT_MAX).then(|| format!("{excused} % are excused"));
    too_few.chain(too_many).collect()
}

/// The sum of the outcomes, and the violations by seed.
fn play_all(
    seeds: Range<u64>,
    play: fn(u64, bool) -> Outcome,
) -> (Tally, BTreeMap<u64, Vec<String>>) {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new((Tally::default(), BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..number("SIM_THREADS").unwrap_or(2) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome =
                        std::panic::catch_unwind(|| play(seed, false)).unwrap_or_else(|_| {
                            Outcome {
                                violations: vec!["panicked".to_owned()],
                                ..Outcome::default()
                            }
                        });
                    let mut sum = sum.lock().unwrap();
                    sum.0.add(&outcome.tally);
                    if !outcome.violations.is_empty() {
                        sum.1.insert(seed, outcome.violations);
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap()
}

#[test]
fn no_schedule_of_faults_breaks_an_invariant() {
    if let Some(seed) = number("SIM_SEED") {
        let outcome = play(seed, true);
        let text = told(seed, &outcome);
        assert!(outcome.violations.is_empty(), "{text}");
        panic!("{text}no violation; this was asked for by SIM_SEED");
    }
    let first = number("SIM_FIRST").unwrap_or(1);
    let end = first + number("SIM_SEEDS").unwrap_or(SEEDS);
    let begun = Instant::now();
    let (tally, found) = play_all(first..end, play);
    let text = format!(
        "{} seeds in {:.1?}: {tally:?}",
        end - first,
        begun.elapsed()
    );
    assert!(
        found.is_empty(),
        "{text}\n{} seeds found: {found:#?}",
        found.len()
    );
    let seeds = end - first;
    assert_eq!(quiet(&tally, seeds), [""; 0], "{text}");
    // Visible with --nocapture.
    writeln!(std::io::stdout(), "{text}").unwrap();
}

/// R4, R5, R22: users that are their own delegates, addresses of no account, a service that does not rename delegates, and
/// mailboxes that are shown without their addresses or their status.
#[test]
fn r22_no_schedule_of_faults_opens_an_account_by_an_address_that_changes_its_owner() {
    let (tally, found) = play_all(ODD_SEEDS..ODD_SEEDS + SEEDS_OF_ODD_DELEGATES, play);
    assert!(found.is_empty(), "{} seeds found: {found:#?}", found.len());
    assert!(tally.writes > 5 * SEEDS_OF_ODD_DELEGATES, "{tally:?}");
}

/// R22, R26, R47: removals of delegates that stay held while the delegates are renamed, in a service that does not rename
/// them.
#[test]
fn r22_no_schedule_of_faults_forgets_a_held_removal_of_a_renamed_delegate() {
    let (tally, found) = play_all(SURPLUS_SEEDS..SURPLUS_SEEDS + SEEDS_OF_ODD_DELEGATES, play);
    assert!(found.is_empty(), "{} seeds found: {found:#?}", found.len());
    assert!(tally.held > 3 * SEEDS_OF_ODD_DELEGATES, "{tally:?}");
}

/// The number of seeds with odd delegates in a normal test run, and of those with surplus delegates.
const SEEDS_OF_ODD_DELEGATES: u64 = 150;

/// The number of seeds of hourly ticks in a normal test run.
const SEEDS_OF_HOURS: u64 = 30;

/// `SIM_HOURS=7` replays one seed; `SIM_SEEDS` and `SIM_FIRST` select others.
#[test]
fn r45_no_schedule_of_faults_breaks_an_invariant_of_hourly_ticks() {
    if let Some(seed) = number("SIM_HOURS") {
        let outcome = play_hours(seed, true);
        let text = told(seed, &outcome);
        panic!("{text}this was asked for by SIM_HOURS");
    }
    let first = number("SIM_FIRST").unwrap_or(1);
    let end = first + number("SIM_SEEDS").unwrap_or(SEEDS_OF_HOURS);
    let (tally, found) = play_all(first..end, play_hours);
    assert!(found.is_empty(), "{} seeds found: {found:#?}", found.len());
    let seeds = end - first;
    assert!(tally.quick > 15 * seeds, "too few quick runs: {tally:?}");
    assert!(tally.quick_stops > seeds / 2, "too few stops: {tally:?}");
    writeln!(std::io::stdout(), "{seeds} seeds of hours: {tally:?}").unwrap();
}

#[test]
fn a_seed_is_the_same_again() {
    for seed in [3, 14, 15] {
        assert_eq!(
            play(seed, false).fingerprint,
            play(seed, true).fingerprint,
            "seed {seed}"
        );
    }
}

#[test]
fn seeds_that_found_a_fault_find_none_any_more() {
    for seed in KEPT {
        assert_eq!(play(seed, false).violations, [""; 0], "seed {seed}");
    }
    for seed in KEPT_HOURS {
        let violations = play_hours(seed, false).violations;
        assert_eq!(violations, [""; 0], "hourly seed {seed}");
    }
}

#[test]
fn scripted_plots_come_to_a_right_end() {
    let wanted = environment("SIM_SCENE");
    let mut found = String::new();
    for scene in &scenes::SCENES {
        let traced = wanted
            .as_ref()
            .is_some_and(|part| scene.name.contains(part));
        if wanted.is_some() && !traced {
            continue;
        }
        let outcome = scenes::show(scene, traced);
        for line in outcome.trace.iter().chain(&outcome.violations) {
            writeln!(found, "{}: {line}", scene.name).unwrap();
        }
    }
    assert!(found.is_empty(), "{found}");
}
