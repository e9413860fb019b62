//! Counts requests and bytes for reports.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

/// Shared counters of one client. Clones are cheap and count together.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    sent: Mutex<BTreeMap<&'static str, u64>>,
    retries: AtomicU64,
    throttled: AtomicU64,
    bytes_received: AtomicU64,
}

/// A reading of [`Counters`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// All requests sent, including retries.
    pub total: u64,
    /// By [`Request::kind`](super::Request::kind).
    pub by_kind: BTreeMap<String, u64>,
    /// How many of `total` were retries.
    pub retries: u64,
    /// Answers that asked to slow down.
    pub throttled: u64,
    /// Size of the bodies before decompression.
    pub bytes_received: u64,
}

impl Counters {
    pub(crate) fn count_sent(&self, kind: &'static str) {
        let mut sent = self.0.sent.lock().unwrap_or_else(PoisonError::into_inner);
        *sent.entry(kind).or_default() += 1;
    }

    pub(crate) fn count_retry(&self) {
        self.0.retries.fetch_add(1, Ordering::Relaxed);
        tracing::info!(target: "trace", count = "cloud_sync.retries");
    }

    pub(crate) fn count_throttled(&self) {
        self.0.throttled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0.bytes_received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn read(&self) -> RequestCounts {
        let sent = self.0.sent.lock().unwrap_or_else(PoisonError::into_inner);
        RequestCounts {
            total: sent.values().sum(),
            by_kind: sent
                .iter()
                .map(|(kind, count)| ((*kind).to_owned(), *count))
                .collect(),
            retries: self.0.retries.load(Ordering::Relaxed),
            throttled: self.0.throttled.load(Ordering::Relaxed),
            bytes_received: self.0.bytes_received.load(Ordering::Relaxed),
        }
    }
}
