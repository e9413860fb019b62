//! Identifiers of runs.

use std::{fmt, sync::Arc};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

/// The highest sequence number within one millisecond.
const NUMBER_MAX: u8 = 99;

/// `20261123T020000_123Z-00-3fa85f`: the start time in UTC with milliseconds, a sequence number within the millisecond,
/// and six random hexadecimal digits. Sorts by time, and is safe in a path, a URL and a file name.
///
/// Runs of earlier versions have ids such as `20261123T020000Z-3fa85f`. These sort before every id of the same second,
/// since `Z` is less than `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(Arc<str>);

impl RunId {
    pub fn new(started: Timestamp) -> Self {
        Self::drawn(started, Uuid::new_v4().as_u64_pair().0)
    }

    /// Takes the random digits from `chance`.
    pub fn drawn(started: Timestamp, chance: u64) -> Self {
        Self::at(started.as_millisecond(), 0, chance)
    }

    /// An id that is later than `newest`, even if the clock has been set back (R28).
    pub fn after(newest: Option<&Self>, started: Timestamp, chance: u64) -> Self {
        let started = started.as_millisecond();
        match newest.and_then(|newest| position(&newest.0)) {
            Some((at, number)) if at >= started && number < NUMBER_MAX => {
                Self::at(at, number + 1, chance)
            }
            Some((at, _)) if at >= started => Self::at(at + 1, 0, chance),
            Some(_) | None => Self::at(started, 0, chance),
        }
    }

    fn at(millisecond: i64, number: u8, chance: u64) -> Self {
        let time = Timestamp::from_millisecond(millisecond).unwrap_or(Timestamp::MAX);
        let second = time.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%S");
        let millis = time.subsec_millisecond().unsigned_abs();
        let chance = chance >> 40;
        Self(Arc::from(format!(
            "{second}_{millis:03}Z-{number:02}-{chance:06x}"
        )))
    }

    /// Parses a run id.
    pub fn parse(text: &str) -> Option<Self> {
        position(text).map(|_| Self(Arc::from(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The millisecond of an id and its sequence number; `None` if the text is not an id.
fn position(text: &str) -> Option<(i64, u8)> {
    let parts: Vec<&str> = text.split('-').collect();
    let (second, millis, number, chance) = match parts[..] {
        [time, chance] => (time.strip_suffix('Z')?, "000", "00", chance),
        [time, number, chance] => {
            let (second, millis) = time.strip_suffix('Z')?.split_once('_')?;
            (second, millis, number, chance)
        }
        _ => return None,
    };
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_shaped = chance.len() == 6
        && chance.bytes().all(is_hex)
        && is_digits(millis, 3)
        && is_digits(number, 2)
        && second.len() == 15
        && second
            .split_once('T')
            .is_some_and(|(date, time)| is_digits(date, 8) && is_digits(time, 6));
    if !is_shaped {
        return None;
    }
    let second = DateTime::strptime("%Y%m%dT%H%M%S", second).ok()?;
    let second = second.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let millisecond = second.as_millisecond() + millis.parse::<i64>().ok()?;
    Some((millisecond, number.parse().ok()?))
}

fn is_digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format_args!("{text:?} is not a run id")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RunId {
        RunId::parse(text).unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn r28_run_ids_sort_by_millisecond_and_read_back() {
        let early = RunId::new(time("2026-11-23T02:00:00.001Z"));
        let late = RunId::new(time("2026-11-23T02:00:00.002Z"));
        assert!(early < late);
        assert!(
            early.as_str().starts_with("20261123T020000_001Z-00-"),
            "{early}"
        );
        assert_eq!(RunId::parse(early.as_str()), Some(early));
    }

    #[test]
    fn r28_ids_of_earlier_versions_sort_before_those_of_the_same_second() {
        let old = id("20261123T020000Z-ffffff");
        let new = RunId::drawn(time("2026-11-23T02:00:00Z"), 0);
        assert_eq!(new.as_str(), "20261123T020000_000Z-00-000000");
        assert!(old < new);
        assert!(RunId::drawn(time("2026-11-23T01:59:59.999Z"), 0) < old);
        let next = RunId::after(Some(&old), time("2026-11-23T02:00:00Z"), 0);
        assert_eq!(next.as_str(), "20261123T020000_000Z-01-000000");
    }

    #[test]
    fn r28_a_new_id_is_later_than_the_newest_whatever_the_clock_says() {
        let now = time("2026-11-23T02:00:00.5Z");
        for (newest, expected) in [
            ("20261123T015959_999Z-07-ffffff", "20261123T020000_500Z-00-"),
            ("20261123T020000_500Z-00-ffffff", "20261123T020000_500Z-01-"),
            ("20261124T020000_123Z-41-ffffff", "20261124T020000_123Z-42-"),
            ("20261124T020000_123Z-99-ffffff", "20261124T020000_124Z-00-"),
            ("20261231T235959_999Z-99-ffffff", "20270101T000000_000Z-00-"),
            ("20991231T000000Z-ffffff", "20991231T000000_000Z-01-"),
        ] {
            let newest = id(newest);
            let next = RunId::after(Some(&newest), now, 0);
            assert!(next > newest);
            assert!(next.as_str().starts_with(expected), "{newest}: {next}");
            assert_eq!(RunId::parse(next.as_str()), Some(next));
        }
        assert_eq!(RunId::after(None, now, 0), RunId::drawn(now, 0));
    }

    #[test]
    fn what_is_no_run_id_is_refused() {
        for text in [
            "",
            "../memory",
            "20261123T020000Z-",
            "20261123T020000Z-3FA85F",
            "20261123T020000Z-3fa85f0",
            "20261123T020000Z/3fa85f",
            "20261323T020000Z-3fa85f",
            "20261123T020000_123Z-3fa85f",
            "20261123T020000Z-00-3fa85f",
            "20261123T020000_12Z-00-3fa85f",
            "20261123T020000_123Z-0-3fa85f",
            "20261123T020000_123Z-00-3fa85f-00",
            "+0261123T020000_123Z-00-3fa85f",
        ] {
            assert_eq!(RunId::parse(text), None, "{text}");
        }
    }
}
