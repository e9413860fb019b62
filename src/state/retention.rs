//! What is deleted at the end of a run.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::de::IgnoredAny;

use super::{
    APPROVALS, CHECKPOINT, Phase, RUNS, RunId, RunSummary, State, StateError, lock, objects::Entry,
    summary_name,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An approval serves for a day (R27); it is kept longer, so that a report can say what became of it.
const KEEP_APPROVALS: Duration = DAY.saturating_mul(7);

/// Permission answers serve for six hours (R34).
const KEEP_CHECKPOINTS: Duration = DAY;

const KEEP_EPOCHS: Duration = DAY;

/// What [`State::prune`] deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    pub runs: usize,
    pub objects: usize,
}

impl State {
    /// Keeps the `keep` newest runs and all that have not ended, and what else is recent at `now`. A run whose summary cannot be
    /// read is kept too.
    pub async fn prune(&self, keep: usize, now: Timestamp) -> Result<Pruned, StateError> {
        let ids = self.run_ids().await?;
        let surplus = ids.len().saturating_sub(keep);
        let candidates: Vec<RunId> = ids.into_iter().take(surplus).collect();
        let names = candidates.iter().map(summary_name).collect();
        let summaries = self
            .objects
            .load_each::<RunSummary<IgnoredAny>>(names, "summary")
            .await;
        let ended = |summary: &Result<_, _>| {
            matches!(
                summary,
                Ok(Some(RunSummary {
                    phase: Phase::Ended,
                    ..
                }))
            )
        };
        let ended = candidates
            .into_iter()
            .zip(&summaries)
            .filter_map(|(run, summary)| ended(summary).then_some(run));
        let ended: Vec<RunId> = ended.collect();

        let mut pruned = Pruned {
            runs: ended.len(),
            objects: 0,
        };
        for run in &ended {
            pruned.objects += self.delete_run(run).await?;
        }
        pruned.objects += self.delete_older(APPROVALS, now, KEEP_APPROVALS).await?;
        pruned.objects += self.delete_older(CHECKPOINT, now, KEEP_CHECKPOINTS).await?;
        let entries = self.objects.list(lock::FOLDER).await?;
        pruned.objects += self
            .objects
            .delete(lock::outdated(&entries, before(now, KEEP_EPOCHS)))
            .await?;
        Ok(pruned)
    }

    /// The summary goes last: as long as it is there, a deletion that was cut off is made good by the next.
    async fn delete_run(&self, run: &RunId) -> Result<usize, StateError> {
        let folder = format!("{RUNS}/{run}");
        let entries = self.objects.list(&folder).await?;
        let (last, first) = entries
            .into_iter()
            .partition(|entry| entry.name == "summary");
        let mut deleted = 0;
        for entries in [first, last] {
            let entries: Vec<Entry> = entries;
            let names = entries
                .iter()
                .map(|entry| format!("{folder}/{}", entry.name))
                .collect();
            deleted += self.objects.delete(names).await?;
        }
        Ok(deleted)
    }

    /// Deletes the documents below `folder`, each or in groups of one sub-folder, whose newest object is older than `age`.
    async fn delete_older(
        &self,
        folder: &str,
        now: Timestamp,
        age: Duration,
    ) -> Result<usize, StateError> {
        let entries = self.objects.list(folder).await?;
        let group = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
        let mut newest = BTreeMap::new();
        for entry in &entries {
            let newest = newest
                .entry(group(&entry.name))
                .or_insert(entry.modified_ms);
            *newest = entry.modified_ms.max(*newest);
        }
        let oldest_ms = before(now, age);
        let old = entries.iter().filter(|entry| {
            newest
                .get(&group(&entry.name))
                .is_some_and(|newest| *newest < oldest_ms)
        });
        self.objects
            .delete(
                old.map(|entry| format!("{folder}/{}", entry.name))
                    .collect(),
            )
            .await
    }
}

fn before(now: Timestamp, age: Duration) -> i64 {
    now.as_millisecond()
        .saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}
