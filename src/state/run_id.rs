//! Names of runs.

use std::{fmt, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

/// `20261123T020000Z-3fa85f`: when the run started, in UTC, and six random hexadecimal digits. Sorts by time, and is safe in a
/// path, a URL and a file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(Arc<str>);

impl RunId {
    pub fn new(started: Timestamp) -> Self {
        Self::drawn(started, Uuid::new_v4().as_u64_pair().0)
    }

    /// With the first digits of `chance`.
    pub fn drawn(started: Timestamp, chance: u64) -> Self {
        let time = started
            .to_zoned(TimeZone::UTC)
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        Self(Arc::from(format!("{time}-{:06x}", chance >> 40)))
    }

    /// The run id in `text`, or `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 23
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                8 => *byte == b'T',
                15 => *byte == b'Z',
                16 => *byte == b'-',
                17.. => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                _ => byte.is_ascii_digit(),
            });
        shaped.then(|| Self(Arc::from(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
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
        Self::parse(&text).ok_or_else(|| de::Error::custom(format_args!("{text:?} is no run id")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_sorts_by_time_and_reads_back() {
        let early = RunId::new("2026-11-23T02:00:00Z".parse().unwrap());
        let late = RunId::new("2026-11-23T02:00:01Z".parse().unwrap());
        assert!(early < late);
        assert!(early.as_str().starts_with("20261123T020000Z-"), "{early}");
        assert_eq!(RunId::parse(early.as_str()), Some(early));
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
        ] {
            assert_eq!(RunId::parse(text), None, "{text}");
        }
    }
}
