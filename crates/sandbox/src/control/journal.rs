//! The requests that a simulator received, and their numbers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::http::HeaderMap;
use serde::Serialize;

/// Headers that are never recorded.
const SECRET: [&str; 4] = [
    "authorization",
    "cookie",
    "x-identity-header",
    "x-functions-key",
];

/// What is recorded about the credentials of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorization {
    Absent,
    Right,
    Wrong,
}

/// One request as received.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// Counts from 1.
    pub sequence: u64,
    /// Virtual time since the start.
    pub millis: u64,
    pub method: String,
    /// With the query, still percent-encoded.
    pub path: String,
    pub authorization: Authorization,
    /// All headers except those with secrets.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// The status that the service produced; `None` if it did not carry out the request.
    pub acted: Option<u16>,
    /// The status that the caller received; `None` if there was no answer (yet).
    pub status: Option<u16>,
    /// The kind of the fault that applied.
    pub fault: Option<&'static str>,
}

impl Entry {
    pub(super) fn is_write_to_one(&self) -> bool {
        matches!(self.method.as_str(), "PUT" | "PATCH" | "DELETE")
    }
}

#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counters {
    pub total: u64,
    pub faults: u64,
    pub by_method: BTreeMap<String, u64>,
    pub by_status: BTreeMap<u16, u64>,
    /// Writes to an object that arrived while another write to it was in flight.
    pub overlapping_writes: u64,
    pub in_flight: u64,
    pub in_flight_max: u64,
}

impl Counters {
    pub(super) fn arrived(&mut self, entry: &Entry) {
        self.total += 1;
        self.faults += u64::from(entry.fault.is_some());
        if let Some(count) = self.by_method.get_mut(&entry.method) {
            *count += 1;
        } else {
            self.by_method.insert(entry.method.clone(), 1);
        }
        self.in_flight += 1;
        self.in_flight_max = self.in_flight_max.max(self.in_flight);
    }

    pub(super) fn answered(&mut self, status: u16) {
        *self.by_status.entry(status).or_default() += 1;
    }

    pub fn method(&self, method: &str) -> u64 {
        self.by_method.get(method).copied().unwrap_or_default()
    }

    pub fn status(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }
}

#[derive(Debug)]
pub(super) struct Journal {
    entries: VecDeque<Entry>,
    entries_max: usize,
    last: u64,
}

impl Journal {
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            entries_max,
            last: 0,
        }
    }

    pub(super) fn set_entries_max(&mut self, entries_max: usize) {
        self.entries_max = entries_max;
        self.shrink();
    }

    pub(super) fn push(&mut self, entry: Entry) -> u64 {
        self.last += 1;
        self.entries.push_back(Entry {
            sequence: self.last,
            ..entry
        });
        self.shrink();
        self.last
    }

    pub(super) fn get_mut(&mut self, sequence: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.sequence;
        let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    pub(super) fn after(&self, sequence: u64, count: usize) -> Vec<Entry> {
        let start = self
            .entries
            .partition_point(|entry| entry.sequence <= sequence);
        self.entries.range(start..).take(count).cloned().collect()
    }

    pub(super) fn busiest(&self, window: Duration) -> usize {
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut start = 0;
        let mut most = 0;
        for (index, entry) in self.entries.iter().enumerate() {
            while self.entries[start].millis + window <= entry.millis {
                start += 1;
            }
            most = most.max(index + 1 - start);
        }
        most
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    fn shrink(&mut self) {
        let surplus = self.entries.len().saturating_sub(self.entries_max);
        self.entries.drain(..surplus);
    }
}

pub(super) fn kept(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter(|(name, _)| !SECRET.contains(&name.as_str()))
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}
