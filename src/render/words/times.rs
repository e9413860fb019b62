//! The texts for moments and durations.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use crate::settings;

/// `2026-11-23T02:00:07Z` as `2026-11-23 02:00 UTC`.
pub(crate) fn moment(timestamp: &str) -> String {
    let minutes = timestamp
        .strip_suffix('Z')
        .and_then(|utc| utc.split_once('T'))
        .and_then(|(day, time)| Some((day, time.get(..5)?)));
    minutes.map_or_else(
        || timestamp.to_owned(),
        |(day, time)| format!("{day} {time} UTC"),
    )
}

/// The time zone of a terminal: that of `TZ`, or of the system where it is not set.
pub(crate) fn time_zone() -> TimeZone {
    known_time_zone().unwrap_or(TimeZone::UTC)
}

/// The same; an error if this computer does not know the zone that `TZ` names.
pub(crate) fn known_time_zone() -> Result<TimeZone, jiff::Error> {
    match settings::time_zone_of_file() {
        Some(name) => TimeZone::get(name).or_else(|_| TimeZone::posix(name)),
        None => TimeZone::try_system(),
    }
}

/// `2026-11-23 03:00 CET`: a time for a terminal, in its [time zone](time_zone).
pub(crate) fn local(timestamp: &str) -> String {
    timestamp.parse::<Timestamp>().map_or_else(
        |_| timestamp.to_owned(),
        |at| {
            let zoned = at.to_zoned(time_zone());
            zoned.strftime("%Y-%m-%d %H:%M %Z").to_string()
        },
    )
}

/// A sentence with each UTC time in it, `2026-11-23T02:00:07Z`, as [`local`] shows it.
pub(crate) fn in_local_time(sentence: &str) -> String {
    let is_of_time = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
    let mut out = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let length = from.find(|c| !is_of_time(c)).unwrap_or(from.len());
        let word = from[..length].trim_end_matches(['.', ':']);
        out.push_str(before);
        if word.ends_with('Z') {
            out.push_str(&local(word));
        } else {
            out.push_str(word);
        }
        rest = &from[word.len()..];
    }
    out + rest
}

/// The beginning of a day such as `2026-10-01`, in epoch seconds.
pub(crate) fn beginning_of(day: &str, zone: &TimeZone) -> Option<i64> {
    let text = day;
    let day: jiff::civil::Date = text.parse().ok()?;
    // The parser accepts more forms than the documentation names.
    (day.to_string() == text).then_some(())?;
    let begin = day.to_zoned(zone.clone()).ok()?;
    Some(begin.timestamp().as_second())
}

/// `1 h 2 min`, `1 min 23 s`, `42 s`, `4.2 s`, `15 ms`.
pub(crate) fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 if ms < 100 => format!("{ms} ms"),
        0..10 => format!("{:.1} s", Duration::from_millis(ms).as_secs_f64()),
        10..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

/// `about 75 s`, `about 12 min`: an expected duration.
pub(crate) fn about(left: Duration) -> String {
    let s = left.as_secs_f64().ceil();
    if s <= 120.0 {
        format!("about {s} s")
    } else {
        format!("about {} min", (s / 60.0).ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, in_local_time, local};

    #[test]
    fn times_in_a_sentence_are_found() {
        let at = "2026-11-23T02:00:07Z";
        let shown = local(at);
        for (before, after) in [
            ("since ", ", until then"),
            ("é 5 of (", ")"),
            ("due at ", "."),
            ("", ": late"),
            ("run 20261123T020000_345Z-00-0b5e77, ", ""),
            ("run 20261123T020000Z-0b5e77 at 2026-11-23, 12Z ", " 10:00"),
        ] {
            let told = in_local_time(&format!("{before}{at}{after}"));
            assert_eq!(told, format!("{before}{shown}{after}"));
        }
    }

    #[test]
    fn durations_read_well() {
        for (ms, text) in [
            (0, "0 ms"),
            (15, "15 ms"),
            (999, "1.0 s"),
            (4_200, "4.2 s"),
            (59_900, "59 s"),
            (83_000, "1 min 23 s"),
            (3_720_000, "1 h 2 min"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
