//! Schedules as the host of Azure Functions reads them (R28).

use super::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next three times after Sunday 29 November 2026, 00:10:20 UTC.
#[track_caller]
fn upcoming(text: &str) -> String {
    let schedule = Schedule::parse(text).unwrap();
    let times = schedule.upcoming(time("2026-11-29T00:10:20.5Z"), 3);
    let times = times.iter().map(|time| {
        let time = time.to_zoned(TimeZone::UTC);
        time.strftime("%Y-%m-%d %H:%M:%S").to_string()
    });
    times.collect::<Vec<_>>().join(", ")
}

#[test]
fn r28_a_schedule_is_read_as_the_host_reads_it() {
    for (text, times) in [
        (
            "0 0 2 * * *",
            "2026-11-29 02:00:00, 2026-11-30 02:00:00, 2026-12-01 02:00:00",
        ),
        (
            "0 2 * * *",
            "2026-11-29 02:00:00, 2026-11-30 02:00:00, 2026-12-01 02:00:00",
        ),
        (
            "  0  0 2 * *   * ",
            "2026-11-29 02:00:00, 2026-11-30 02:00:00, 2026-12-01 02:00:00",
        ),
        (
            "*/15 10 0 * * *",
            "2026-11-29 00:10:30, 2026-11-29 00:10:45, 2026-11-30 00:10:00",
        ),
        (
            "20 10 0 * * *",
            "2026-11-30 00:10:20, 2026-12-01 00:10:20, 2026-12-02 00:10:20",
        ),
        (
            "0 0 */6 * * *",
            "2026-11-29 06:00:00, 2026-11-29 12:00:00, 2026-11-29 18:00:00",
        ),
        (
            "0 5/20 0,23 * * *",
            "2026-11-29 00:25:00, 2026-11-29 00:45:00, 2026-11-29 23:05:00",
        ),
        (
            "0 0 22-2/2 * * *",
            "2026-11-29 02:00:00, 2026-11-29 04:00:00, 2026-11-29 06:00:00",
        ),
    ] {
        assert_eq!(upcoming(text), times, "{text}");
    }
}

#[test]
fn r28_a_day_has_to_match_all_its_fields() {
    for (text, times) in [
        (
            "0 30 1 * * Mon-fri",
            "2026-11-30 01:30:00, 2026-12-01 01:30:00, 2026-12-02 01:30:00",
        ),
        (
            "0 30 1 * * sat,0",
            "2026-11-29 01:30:00, 2026-12-05 01:30:00, 2026-12-06 01:30:00",
        ),
        (
            "0 0 0 1 January *",
            "2027-01-01 00:00:00, 2028-01-01 00:00:00, 2029-01-01 00:00:00",
        ),
        (
            "0 0 0 31 * *",
            "2026-12-31 00:00:00, 2027-01-31 00:00:00, 2027-03-31 00:00:00",
        ),
        // A day has to match both fields.
        (
            "0 0 3 13 * fri",
            "2027-08-13 03:00:00, 2028-10-13 03:00:00, 2029-04-13 03:00:00",
        ),
        (
            "0 0 0 29 2 mon",
            "2044-02-29 00:00:00, 2072-02-29 00:00:00, 2112-02-29 00:00:00",
        ),
        (
            "59 59 23 31 12 *",
            "2026-12-31 23:59:59, 2027-12-31 23:59:59, 2028-12-31 23:59:59",
        ),
        (
            "0 */0 1 * * *",
            "2026-11-29 01:00:00, 2026-11-29 01:01:00, 2026-11-29 01:02:00",
        ),
    ] {
        assert_eq!(upcoming(text), times, "{text}");
    }
}

#[test]
fn r28_a_time_span_is_an_interval() {
    for (text, times) in [
        (
            "00:30:00",
            "2026-11-29 00:40:20, 2026-11-29 01:10:20, 2026-11-29 01:40:20",
        ),
        (
            "1.12:00",
            "2026-11-30 12:10:20, 2026-12-02 00:10:20, 2026-12-03 12:10:20",
        ),
        // Azure's own example: no hour, so days.
        (
            "24:00:00",
            "2026-12-23 00:10:20, 2027-01-16 00:10:20, 2027-02-09 00:10:20",
        ),
        (
            "7",
            "2026-12-06 00:10:20, 2026-12-13 00:10:20, 2026-12-20 00:10:20",
        ),
    ] {
        assert_eq!(upcoming(text), times, "{text}");
    }
}

#[test]
fn r28_a_schedule_that_the_host_does_not_read_says_why() {
    for (text, why) in [
        ("every night", "it has 2 fields, not six or five"),
        ("0 0 2 * * * 2026", "it has 7 fields, not six or five"),
        ("@daily", "it has 1 field, not six or five"),
        (
            "0 0 25 * * *",
            "the hour cannot be \"25\"; it is a number from 0 to 23, a range, a list or a step",
        ),
        (
            "0 0 2 ? * *",
            "the day cannot be \"?\"; it is a number from 1 to 31, a range, a list or a step",
        ),
        (
            "0 0 2 L * *",
            "the day cannot be \"L\"; it is a number from 1 to 31, a range, a list or a step",
        ),
        (
            "0 0 2 0 * *",
            "the day cannot be \"0\"; it is a number from 1 to 31, a range, a list or a step",
        ),
        (
            "0 0 2 * jam *",
            "the month cannot be \"jam\"; it is a number from 1 to 12, a range, a list or a step",
        ),
        (
            "0 0 2 * * 7",
            "the day of the week cannot be \"7\"; it is a number from 0 to 6, a range, a list or a step",
        ),
        (
            "0 0 2 * * 5#1",
            "the day of the week cannot be \"5#1\"; it is a number from 0 to 6, a range, a list or a step",
        ),
        (
            "0 1,,2 2 * * *",
            "the minute cannot be \"1,,2\"; it is a number from 0 to 59, a range, a list or a step",
        ),
        (
            "0 */ 2 * * *",
            "the minute cannot be \"*/\"; it is a number from 0 to 59, a range, a list or a step",
        ),
        ("0 0 2 30 2 *", "no day is ever due"),
        ("00:00:00", "an interval must be longer than zero"),
        ("-00:30:00", "an interval must be longer than zero"),
        ("25:00", "it has 1 field, not six or five"),
    ] {
        assert_eq!(
            Schedule::parse(text).unwrap_err().to_string(),
            why,
            "{text}"
        );
    }
}

#[test]
fn r28_the_interval_is_that_of_the_time_asked_for() {
    let hours = |text: &str, at: &str| {
        let interval = Schedule::parse(text)
            .unwrap()
            .interval_at(time(at))
            .unwrap();
        interval.as_hours()
    };
    let workdays = "0 0 2 * * 1-5";
    for (text, at, expected) in [
        ("0 0 2 * * *", "2026-11-29T02:00:00Z", 24),
        ("0 0 2 * * 1", "2026-11-29T02:00:00Z", 7 * 24),
        (workdays, "2026-11-27T01:59:59Z", 24),
        (workdays, "2026-11-27T02:00:00Z", 72),
        (workdays, "2026-11-30T01:59:59Z", 72),
        (workdays, "2026-11-30T02:00:00Z", 24),
        ("0 0 2 1 * *", "2026-11-29T02:00:00Z", 30 * 24),
        ("0 0 9-17 * * *", "2026-11-29T18:00:00Z", 16),
        ("2.00:00:00", "2026-11-29T18:00:00Z", 48),
    ] {
        assert_eq!(hours(text, at), expected, "{text} {at}");
    }
}
