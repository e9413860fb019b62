//! The clocks of a simulation: the real time, which tokio's paused clock defines, and the wall clock of each process.

use std::{cell::Cell, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// When every simulation begins: 2026-11-23T02:00:00Z.
pub(super) const START_S: i64 = 1_795_399_200;

/// The maximum number of processes at the same time.
pub(super) const PROCESSES: usize = 2;

thread_local! {
    static ORIGIN: Cell<Option<Instant>> = const { Cell::new(None) };
    static WRONG_BY_MS: [Cell<i64>; PROCESSES] = const { [const { Cell::new(0) }; PROCESSES] };
}

/// To be called once in each simulation, on its paused clock.
pub(super) fn begin() {
    ORIGIN.set(Some(Instant::now()));
    for process in 0..PROCESSES {
        set_wrong_by(process, 0);
    }
}

pub(super) fn elapsed() -> Duration {
    ORIGIN.get().unwrap().elapsed()
}

pub(super) fn elapsed_ms() -> i64 {
    i64::try_from(elapsed().as_millis()).unwrap()
}

/// Makes a process's wall clock wrong from now on.
pub(super) fn set_wrong_by(process: usize, millis: i64) {
    WRONG_BY_MS.with(|clocks| clocks[process].set(millis));
}

pub(super) fn wrong_by_ms(process: usize) -> i64 {
    WRONG_BY_MS.with(|clocks| clocks[process].get())
}

fn read(process: usize) -> Timestamp {
    let wrong_by_ms = wrong_by_ms(process);
    let start = Timestamp::from_second(START_S).unwrap();
    start + SignedDuration::from_millis(elapsed_ms() + wrong_by_ms)
}

fn first() -> Timestamp {
    read(0)
}

fn second() -> Timestamp {
    read(1)
}

fn right() -> Timestamp {
    Timestamp::from_second(START_S).unwrap() + SignedDuration::from_millis(elapsed_ms())
}

/// The clock of an observer.
pub(super) const RIGHT_CLOCK: fn() -> Timestamp = right;

/// The wall clock of a process, in the form that the program takes.
pub(super) const CLOCKS: [fn() -> Timestamp; PROCESSES] = [first, second];
