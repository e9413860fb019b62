//! R28: the definition of a success, and of an unhealthy app.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    health::{
        Circumstances, FirstSeen, Host, Killed, Run, Ticks, epoch, last_success, overdue, problems,
    },
    mode::{Depth, Mode, PerformSync},
    report::{RunOutcome, RunState},
};

const NOW: i64 = 1_796_004_000; // Monday 30 November 2026, 02:00 UTC
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const SETTINGS: [PerformSync; 3] = [
    PerformSync::Never,
    PerformSync::OnDemand,
    PerformSync::Always,
];

/// A run for all accounts that ended successfully `hours` ago.
fn run(id: &str, mode: Mode, hours: i64) -> Run<'_> {
    Run {
        id,
        mode,
        depth: Depth::Full,
        state: RunState::Ended,
        outcome: RunOutcome::InSync,
        started: Some(NOW - hours * HOUR),
        ended: Some(NOW - hours * HOUR),
        error: None,
        is_for_all: true,
        is_hypothetical: false,
        killed: None,
        resumes_left: 0,
    }
}

fn failed(id: &str, mode: Mode, hours: i64) -> Run<'_> {
    Run {
        outcome: RunOutcome::Failed,
        error: Some("401"),
        ..run(id, mode, hours)
    }
}

fn for_some(id: &str, mode: Mode, hours: i64) -> Run<'_> {
    Run {
        is_for_all: false,
        ..run(id, mode, hours)
    }
}

fn killed(id: &str, hours: i64) -> Run<'_> {
    Run {
        state: RunState::Running,
        outcome: RunOutcome::Open,
        ended: None,
        error: Some("its process ended"),
        killed: Some(Killed::TakenUp),
        ..run(id, Mode::Apply, hours)
    }
}

fn app<'a>(runs: &'a [Run<'a>], host: &'a Host) -> Circumstances<'a> {
    Circumstances {
        setting: PerformSync::Always,
        now: NOW,
        runs,
        first_seen: Some(NOW - 100 * DAY),
        ticks: None,
        unrecorded: None,
        unreadable: &[],
        host,
    }
}

fn told(of: &Circumstances<'_>) -> Vec<String> {
    problems(of).iter().map(ToString::to_string).collect()
}

fn host(schedule: &str) -> Host {
    Host {
        is_present: true,
        schedule: Some(schedule.to_owned()),
        disabled: Vec::new(),
        full_every: Duration::ZERO,
    }
}

/// R45: with the default of `FULL_EVERY`.
fn with_quick(schedule: &str) -> Host {
    Host {
        full_every: Duration::from_secs(20 * 3600),
        ..host(schedule)
    }
}

#[test]
fn r28_a_success_ended_well_saw_everybody_and_did_what_the_timer_does() {
    use Mode::{Apply, Preview};
    let open = |state| Run {
        state,
        ended: None,
        outcome: RunOutcome::Open,
        ..run("r", Apply, 1)
    };
    for (run, successes) in [
        (run("r", Apply, 1), [false, false, true]),
        (run("r", Preview, 1), [true, true, false]),
        (failed("r", Apply, 1), [false; 3]),
        (failed("r", Preview, 1), [false; 3]),
        (for_some("r", Apply, 1), [false; 3]),
        (for_some("r", Preview, 1), [false; 3]),
        (open(RunState::Queued), [false; 3]),
        (open(RunState::Running), [false; 3]),
        (open(RunState::Continues), [false; 3]),
    ] {
        assert_eq!(
            SETTINGS.map(|setting| run.is_success(setting)),
            successes,
            "{run:?}"
        );
    }
    let runs = [run("c", Preview, 1), run("b", Apply, 2), run("a", Apply, 3)];
    let newest = |setting| last_success(&runs, setting).map(|run| run.id);
    assert_eq!(newest(PerformSync::Always), Some("b"));
    assert_eq!(newest(PerformSync::Never), Some("c"));
}

#[test]
fn r28_a_run_that_waited_in_a_queue_comes_after_those_that_began_before_it() {
    let began = |id, started| {
        let run = Run {
            started: epoch(started),
            ..run(id, Mode::Apply, 1)
        };
        run.position()
    };
    let tick = began("20261130T010000_120Z-00-aaaaaa", "2026-11-30T01:00:00Z");
    let queued = began("20261130T003000_120Z-00-bbbbbb", "2026-11-30T01:00:05Z");
    let next = began("20261130T020000_120Z-00-aaaaaa", "2026-11-30T02:00:00Z");
    assert!(tick < queued && queued < next);
    // An id is greater than the newest one, whatever the clock says.
    let ahead = began("20261201T010000_120Z-00-aaaaaa", "2026-12-01T01:00:00Z");
    let corrected = began("20261201T010000_120Z-01-aaaaaa", "2026-11-30T03:00:00Z");
    assert!(next < ahead && ahead < corrected);
}

#[test]
fn r28_what_is_unhealthy() {
    use Mode::{Apply, Preview};
    let nightly = host("0 0 2 * * *");
    for (runs, expected) in [
        (vec![run("a", Apply, 24)], vec![]),
        (vec![run("a", Apply, 26)], vec![]),
        (
            vec![run("a", Apply, 27)],
            vec!["no run has succeeded for 26 hours"],
        ),
        // Only a success ends it.
        (
            vec![
                run("c", Preview, 1),
                for_some("b", Apply, 1),
                run("a", Apply, 27),
            ],
            vec!["no run has succeeded for 26 hours"],
        ),
        (
            vec![failed("b", Apply, 1), run("a", Apply, 24)],
            vec!["the last apply, of 2026-11-30T01:00:00Z, failed: 401"],
        ),
        (
            vec![
                run("c", Preview, 1),
                failed("b", Apply, 1),
                run("a", Apply, 24),
            ],
            vec!["the last apply, of 2026-11-30T01:00:00Z, failed: 401"],
        ),
        (vec![failed("b", Preview, 1), run("a", Apply, 24)], vec![]),
        (vec![run("b", Apply, 1), failed("a", Apply, 24)], vec![]),
        (
            vec![killed("b", 1), run("a", Apply, 24)],
            vec!["run b: its process ended"],
        ),
        (
            vec![run("c", Preview, 1), killed("b", 1), run("a", Apply, 24)],
            vec!["run b: its process ended"],
        ),
        (vec![run("b", Apply, 1), killed("a", 24)], vec![]),
        (
            vec![],
            vec!["no run has succeeded yet, 26 hours after the app was first seen"],
        ),
        (
            vec![run("a", Apply, -24)],
            vec![
                "the clock shows 2026-11-30T02:00:00Z, before run a at 2026-12-01T02:00:00Z; correct the clock of this machine, or wait",
            ],
        ),
        // A success in the future does not count, whatever came after it.
        (
            vec![for_some("b", Preview, 1), run("a", Apply, -24)],
            vec![
                "the clock shows 2026-11-30T02:00:00Z, before run a at 2026-12-01T02:00:00Z; correct the clock of this machine, or wait",
            ],
        ),
        (vec![run("b", Apply, 1), run("a", Apply, -24)], vec![]),
    ] {
        assert_eq!(told(&app(&runs, &nightly)), expected, "{runs:?}");
    }
}

#[test]
fn r28_a_fresh_app_has_time_for_its_first_success() {
    use Mode::{Apply, Preview};
    let nightly = host("0 0 2 * * *");
    let not_for_all = "no full apply of all accounts has succeeded yet: run a did not cover all accounts; start one, or wait for the timer";
    for (runs, expected) in [
        (vec![], vec![]),
        (vec![run("a", Preview, 1)], vec![]),
        (vec![for_some("a", Preview, 1)], vec![not_for_all]),
        (
            vec![run("b", Preview, 1), for_some("a", Apply, 2)],
            vec![not_for_all],
        ),
        (
            vec![failed("a", Preview, 1)],
            vec![
                "no full apply of all accounts has succeeded yet: run a failed; start one, or wait for the timer",
            ],
        ),
        (
            vec![failed("a", Apply, 1)],
            vec!["the last apply, of 2026-11-30T01:00:00Z, failed: 401"],
        ),
        (vec![run("b", Apply, 1), for_some("a", Preview, 1)], vec![]),
        // From the time when the timer previewed.
        (
            vec![run("b", Preview, 3), for_some("a", Preview, 3)],
            vec![],
        ),
    ] {
        let fresh = Circumstances {
            first_seen: Some(NOW - 2 * HOUR),
            ..app(&runs, &nightly)
        };
        assert_eq!(told(&fresh), expected, "{runs:?}");
    }
    for (hours, is_overdue) in [(26, false), (27, true)] {
        let seen = Circumstances {
            first_seen: Some(NOW - hours * HOUR),
            ..app(&[], &nightly)
        };
        assert_eq!(overdue(&seen).is_some(), is_overdue, "{hours}");
    }
    let never_seen = Circumstances {
        first_seen: None,
        ..app(&[], &nightly)
    };
    assert_eq!(told(&never_seen), Vec::<String>::new());
}

#[test]
fn r28_an_app_was_first_seen_once_for_each_mode() {
    let history = [run("a", Mode::Preview, 50)];
    let seen = FirstSeen::default().noted(Mode::Preview, NOW, &history);
    assert_eq!(seen.with(Mode::Preview), Some(NOW - 50 * HOUR));
    let seen = seen.noted(Mode::Preview, NOW + DAY, &history);
    assert_eq!(seen.with(Mode::Preview), Some(NOW - 50 * HOUR));
    let seen = seen.noted(Mode::Apply, NOW + DAY, &history);
    assert_eq!(seen.with(Mode::Apply), Some(NOW + DAY));
    let corrected = seen.noted(Mode::Apply, NOW, &history);
    assert_eq!(corrected.with(Mode::Apply), Some(NOW));
}

/// The last tick, or the time when the schedule was first seen, `hours` before [`NOW`].
fn ticks(schedule: &str, hours: i64) -> Ticks {
    Ticks {
        schedule: schedule.to_owned(),
        last: NOW - hours * HOUR,
    }
}

#[test]
fn r28_a_time_of_the_schedule_without_a_tick_is_told_after_two_hours() {
    let (nightly, hourly, weekly) = ("0 0 2 * * *", "0 0 * * * *", "0 0 2 * * 1");
    let runs = [run("a", Mode::Apply, 1)];
    for (schedule, last_h, now_h, due) in [
        (nightly, 24, 0, None),
        (nightly, 24, 2, None),
        (nightly, 24, 3, Some("2026-11-30T02:00:00Z")),
        (nightly, 0, 3, None),
        (nightly, 25, 2, Some("2026-11-29T02:00:00Z")),
        (hourly, 1, 2, None),
        (hourly, 1, 3, Some("2026-11-30T02:00:00Z")),
        (weekly, 7 * 24, 2, None),
        (weekly, 7 * 24, 3, Some("2026-11-30T02:00:00Z")),
        ("00:30:00", 1, 1, None),
        ("00:30:00", 1, 2, Some("2026-11-30T01:31:00Z")),
    ] {
        let host = host(schedule);
        let ticks = ticks(schedule, last_h);
        let of = Circumstances {
            now: NOW + now_h * HOUR,
            ticks: Some(&ticks),
            ..app(&runs, &host)
        };
        let expected = due.map(|due| {
            format!(
                "the timer was due at {due} and the host did not start it: look at the log of the Functions host, and \
                 whether it lists the function SyncTimer"
            )
        });
        assert_eq!(
            told(&of),
            Vec::from_iter(expected),
            "{schedule} {last_h} {now_h}"
        );
    }
}

#[test]
fn r28_only_ticks_that_the_host_owes_are_missed() {
    let nightly = "0 0 2 * * *";
    let runs = [run("a", Mode::Apply, 1)];
    let of_another = ticks("0 0 3 * * *", 100);
    let of_this = ticks(nightly, 100);
    let on_a_desk = Host {
        is_present: false,
        ..host(nightly)
    };
    let disabled = Host {
        disabled: vec!["AzureWebJobs.SyncTimer.Disabled".into()],
        ..host(nightly)
    };
    for (host, ticks, problems) in [
        (&host(nightly), Some(&of_this), 1),
        (&host(nightly), Some(&of_another), 0),
        (&host(nightly), None, 0),
        (&on_a_desk, Some(&of_this), 0),
        // A problem that the settings show is reported once.
        (&disabled, Some(&of_this), 1),
    ] {
        let of = Circumstances {
            ticks,
            ..app(&runs, host)
        };
        assert_eq!(told(&of).len(), problems, "{host:?} {ticks:?}");
    }
}

#[test]
fn r28_ticks_are_those_of_the_schedule_in_force() {
    let nightly = host("0 0 2 * * *");
    let last = |seen: &FirstSeen| seen.ticks.as_ref().map(|ticks| ticks.last);
    let seen = FirstSeen::default().ticked(&nightly, false, NOW);
    assert_eq!(last(&seen), Some(NOW), "watched from the first sight on");
    let seen = seen.ticked(&nightly, false, NOW + HOUR);
    assert_eq!(last(&seen), Some(NOW));
    let seen = seen.ticked(&nightly, true, NOW + HOUR);
    assert_eq!(last(&seen), Some(NOW + HOUR));
    let corrected = seen.clone().ticked(&nightly, false, NOW);
    assert_eq!(last(&corrected), Some(NOW));
    assert_eq!(seen.clone().ticked(&Host::default(), true, NOW + DAY), seen);
    let changed = seen.ticked(&host("0 0 3 * * *"), false, NOW + DAY);
    assert_eq!(last(&changed), Some(NOW + DAY));
}

#[test]
fn r28_a_rarer_schedule_has_its_interval_and_two_hours() {
    let weekly = "0 0 2 * * 1";
    let workdays = "0 0 2 * * 1-5";
    for (schedule, since_due_h, success_h, is_overdue) in [
        ("0 0 2 * * *", 0, 26, false),
        ("0 0 * * * *", 0, 26, false),
        ("0 0 * * * *", 0, 27, true),
        ("every night", 0, 27, true),
        (weekly, 0, 7 * 24 + 2, false),
        (weekly, 0, 7 * 24 + 3, true),
        ("3.00:00:00", 0, 74, false),
        ("3.00:00:00", 0, 75, true),
        // Since Friday. Monday's run may still be in progress.
        (workdays, 1, 73, false),
        (workdays, 3, 75, true),
    ] {
        let now = NOW + since_due_h * HOUR;
        let runs = [run("a", Mode::Apply, success_h - since_due_h)];
        let host = host(schedule);
        let of = Circumstances {
            now,
            ..app(&runs, &host)
        };
        assert_eq!(overdue(&of).is_some(), is_overdue, "{schedule} {success_h}");
    }
}

#[test]
fn r28_what_cannot_be_read_and_a_tick_that_left_no_trace() {
    let nightly = host("0 0 2 * * *");
    let unreadable = ["memory is unreadable".to_owned()];
    let runs = [run("a", Mode::Apply, 24)];
    let of = Circumstances {
        unreadable: &unreadable,
        ..app(&runs, &nightly)
    };
    assert_eq!(told(&of), ["memory is unreadable"]);
    for (hours, expected) in [
        (
            23,
            vec!["the timer's last run failed and is not in the history: no storage"],
        ),
        (
            24,
            vec!["the timer's last run failed and is not in the history: no storage"],
        ),
        (25, vec![]),
    ] {
        let of = Circumstances {
            unrecorded: Some((NOW - hours * HOUR, "no storage")),
            ..app(&runs, &nightly)
        };
        assert_eq!(told(&of), expected, "{hours}");
    }
}

#[test]
fn r28_a_host_that_never_starts_what_must_start() {
    let runs = [run("a", Mode::Apply, 24)];
    let remedy = "set it to 0 0 2 * * * for each night at 02:00 UTC";
    let missing = Host {
        is_present: true,
        ..Host::default()
    };
    let disabled = Host {
        disabled: vec!["AzureWebJobs.SyncTimer.Disabled".into()],
        ..host("0 0 2 * * *")
    };
    let on_a_laptop = Host {
        is_present: false,
        ..host("0 0 25 * * *")
    };
    for (host, expected) in [
        (Host::default(), vec![]),
        (host("00:30:00"), vec![]),
        (missing, vec![format!("the timer never starts: SYNC_SCHEDULE is not set; {remedy}")]),
        (
            host("every night"),
            vec![format!(
                "the timer never starts: SYNC_SCHEDULE \"every night\" is not a schedule, since it has 2 fields, not six or five; {remedy}"
            )],
        ),
        (
            on_a_laptop,
            vec![format!(
                "the timer never starts: SYNC_SCHEDULE \"0 0 25 * * *\" is not a schedule, since the hour cannot be \"25\"; \
                 it is a number from 0 to 23, a range, a list or a step; {remedy}"
            )],
        ),
        (
            disabled,
            vec!["the setting AzureWebJobs.SyncTimer.Disabled disables a function that runs need; remove it, or set it to false".to_owned()],
        ),
    ] {
        assert_eq!(told(&app(&runs, &host)), expected, "{host:?}");
    }
}

fn quick(id: &str, hours: i64) -> Run<'_> {
    Run {
        depth: Depth::Quick,
        outcome: RunOutcome::Done,
        ..run(id, Mode::Apply, hours)
    }
}

#[test]
fn r45_a_tick_is_a_full_run_unless_one_succeeded_within_full_every() {
    let (hourly, nightly) = (with_quick("0 0 * * * *"), with_quick("0 0 2 * * *"));
    let noon = NOW - NOW % DAY + 12 * HOUR;
    let ended = |runs: &[Run<'_>], host: &Host| host.depth_at(noon, runs, PerformSync::Always);
    let ago = |hours: i64| Run {
        started: Some(noon - hours * HOUR),
        ..run("a", Mode::Apply, 0)
    };
    let other = |depth, outcome, mode| Run {
        mode,
        depth,
        outcome,
        ..ago(1)
    };
    let left = |mode| Run {
        resumes_left: 1,
        ..other(Depth::Quick, RunOutcome::ChangesPending, mode)
    };
    for (runs, expected) in [
        (vec![], Depth::Full),
        (vec![ago(1)], Depth::Quick),
        (vec![ago(19)], Depth::Quick),
        (vec![ago(20)], Depth::Full),
        // The clock was ahead.
        (vec![ago(-1)], Depth::Full),
        (
            vec![other(Depth::Quick, RunOutcome::Done, Mode::Apply)],
            Depth::Full,
        ),
        (
            vec![other(Depth::Full, RunOutcome::Failed, Mode::Apply)],
            Depth::Full,
        ),
        (
            vec![other(Depth::Full, RunOutcome::InSync, Mode::Preview)],
            Depth::Full,
        ),
        (
            vec![other(Depth::Full, RunOutcome::Failed, Mode::Apply), ago(5)],
            Depth::Quick,
        ),
        // What was left to a full run.
        (vec![left(Mode::Apply), ago(5)], Depth::Full),
        (vec![ago(1), left(Mode::Apply)], Depth::Quick),
        (vec![left(Mode::Preview), ago(5)], Depth::Quick),
        (vec![killed("b", 1), ago(5)], Depth::Full),
        (vec![ago(1), killed("b", 1)], Depth::Quick),
    ] {
        assert_eq!(ended(&runs, &hourly), expected, "{runs:?}");
        assert_eq!(ended(&runs, &nightly), Depth::Full, "{runs:?}");
        assert_eq!(ended(&runs, &Host::default()), Depth::Full, "{runs:?}");
    }
    // A run of several invocations began at the time in its id.
    let begun = Timestamp::from_second(noon - 21 * HOUR).unwrap();
    let id = format!("{}-0b5e77", begun.strftime("%Y%m%dT%H%M%SZ"));
    let long = [Run { id: &id, ..ago(15) }];
    assert_eq!(ended(&long, &hourly), Depth::Full);
}

#[test]
fn r45_quick_runs_neither_replace_a_full_one_nor_hide_its_failure() {
    let hourly = with_quick("0 0 * * * *");
    let failed_quick = |id, hours| Run {
        outcome: RunOutcome::Failed,
        error: Some("401"),
        ..quick(id, hours)
    };
    let killed_quick = |id, hours| Run {
        depth: Depth::Quick,
        ..killed(id, hours)
    };
    let full = |hours| run("a", Mode::Apply, hours);
    for (runs, expected) in [
        (vec![quick("b", 1), full(20)], vec![]),
        (
            vec![quick("b", 1), full(27)],
            vec!["no run has succeeded for 26 hours"],
        ),
        (
            vec![quick("c", 1), failed("b", Mode::Apply, 2), full(10)],
            vec!["the last apply, of 2026-11-30T00:00:00Z, failed: 401"],
        ),
        (
            vec![failed_quick("b", 1), full(10)],
            vec![
                "the last quick apply, of 2026-11-30T01:00:00Z, failed: 401",
                "no run, quick or full, has succeeded for 180 minutes, three intervals of the schedule",
            ],
        ),
        (vec![quick("c", 1), failed_quick("b", 2), full(10)], vec![]),
        (vec![full(1), failed_quick("b", 2)], vec![]),
        (vec![quick("c", 1), killed_quick("b", 2), full(10)], vec![]),
        (
            vec![quick("c", 1), killed("b", 2), full(10)],
            vec!["run b: its process ended"],
        ),
        (vec![quick("b", 3), full(10)], vec![]),
        (
            vec![quick("b", 4), full(10)],
            vec![
                "no run, quick or full, has succeeded for 180 minutes, three intervals of the schedule",
            ],
        ),
        (vec![full(3)], vec![]),
        (
            vec![quick("b", 1)],
            vec!["no run has succeeded yet, 26 hours after the app was first seen"],
        ),
    ] {
        assert_eq!(told(&app(&runs, &hourly)), expected, "{runs:?}");
    }
    let runs = [quick("b", 1)];
    let fresh = Circumstances {
        first_seen: Some(NOW - 2 * HOUR),
        ..app(&runs, &hourly)
    };
    assert_eq!(
        told(&fresh),
        [
            "no full apply of all accounts has succeeded yet: run b was a quick one, which reads no permissions (R45); start one, or wait for the timer"
        ]
    );
    // With a nightly schedule no quick run is due.
    assert_eq!(told(&app(&[full(20)], &with_quick("0 0 2 * * *"))), [""; 0]);
}

#[test]
fn r45_hours_without_a_time_of_the_schedule_do_not_count_for_quick_runs() {
    let office = with_quick("0 0 7-19 * * *");
    let midnight = NOW - NOW % DAY;
    let evening = Run {
        started: Some(midnight - 5 * HOUR),
        ended: Some(midnight - 5 * HOUR + 60),
        ..run("a", Mode::Apply, 0)
    };
    let runs = [evening];
    for (hour, expected) in [(3, 0), (7, 0), (8, 0), (9, 0), (10, 1)] {
        let of = Circumstances {
            now: midnight + hour * HOUR,
            ..app(&runs, &office)
        };
        assert_eq!(told(&of).len(), expected, "{hour}: {:?}", told(&of));
    }
}

#[test]
fn r45_a_full_run_is_missed_after_full_every_and_an_interval() {
    let every_12_hours = with_quick("0 0 2,14 * * *");
    let at = NOW - NOW % DAY + 13 * HOUR;
    for (hours, expected) in [(33, 0), (35, 1)] {
        let full = Run {
            started: Some(at - hours * HOUR),
            ended: Some(at - hours * HOUR),
            ..run("a", Mode::Apply, 0)
        };
        let quick = Run {
            started: Some(at - 11 * HOUR),
            ended: Some(at - 11 * HOUR),
            ..quick("b", 0)
        };
        let runs = [quick, full];
        let of = Circumstances {
            now: at,
            ..app(&runs, &every_12_hours)
        };
        assert_eq!(told(&of).len(), expected, "{hours}: {:?}", told(&of));
    }
}

#[test]
fn r37_a_killed_undo_is_a_problem_until_a_person_decides() {
    let undo = Run {
        is_for_all: false,
        killed: Some(Killed::UndoIsLeft),
        ..killed("undo", 30)
    };
    let success = run("success", Mode::Apply, 1);
    let host = Host::default();
    let problems_of = |runs: &[Run<'_>]| -> Vec<String> {
        let problems = problems(&app(runs, &host));
        problems.iter().map(ToString::to_string).collect()
    };
    let told = ["run undo: its process ended"];
    assert_eq!(problems_of(&[success, undo]), told);
    let decided = Run {
        killed: Some(Killed::TakenUp),
        ..undo
    };
    assert_eq!(problems_of(&[success, decided]), [""; 0]);
}
