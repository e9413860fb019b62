//! Deletes old data at the end of a run.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::{
    APPROVALS, CHECKPOINT, Phase, RUNS, RunId, RunSummary, State, StateError, lock, objects::Entry,
    summary_name,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An approval is valid for a day (R27). It is kept longer, so that a report can show its result.
const KEEP_APPROVALS: Duration = DAY.saturating_mul(7);

/// Permission answers are valid for six hours (R34).
const KEEP_CHECKPOINTS: Duration = DAY;

/// Clock probes exist only while the lock is checked.
const KEEP_CLOCK_PROBES: Duration = DAY;

/// How much history to keep (R35).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How many of the newest runs without writes to keep.
    pub runs: usize,
    /// How long to keep a run with writes.
    pub applied: Duration,
}

/// What [`State::prune`] deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    pub runs: usize,
    pub objects: usize,
}

/// What the names of a run's objects show.
#[derive(Debug, Default)]
struct RunObjects {
    /// It has a plan, which contains the before-image that an undo needs.
    wrote: bool,
    modified_ms: i64,
}

/// A run that may be deleted.
#[derive(Debug, PartialEq, Eq)]
struct Surplus {
    run: RunId,
    wrote: bool,
    /// Older than `Keep::applied`.
    is_outdated: bool,
}

impl State {
    /// Deletes the runs that `keep` does not cover, and other data that is old at `now`. A run that has not ended is
    /// kept. So is the newest of the other runs for which `is_wanted`, so that many runs of one kind do not displace
    /// the last of another. A run with a missing or unreadable summary is kept as long as a run with writes.
    pub async fn prune<S: DeserializeOwned>(
        &self,
        keep: Keep,
        is_wanted: impl Fn(&S) -> bool,
        now: Timestamp,
    ) -> Result<Pruned, StateError> {
        let surplus = surplus(&self.objects.list(RUNS).await?, keep);
        let names = surplus.iter().map(|surplus| summary_name(&surplus.run));
        let summaries = self
            .objects
            .load_each::<RunSummary<S>>(names.collect(), "summary")
            .await;
        let mut has_wanted = false;
        let mut pruned = Pruned::default();
        for (surplus, summary) in surplus.into_iter().zip(summaries) {
            let goes = match summary {
                Ok(Some(found)) => {
                    let is_spared = !surplus.wrote && !has_wanted && is_wanted(&found.summary);
                    has_wanted |= is_spared;
                    found.phase == Phase::Ended && !is_spared
                }
                Ok(None) => surplus.is_outdated,
                Err(error) => {
                    tracing::warn!(run = %surplus.run, %error, "cannot read the summary of an old run");
                    surplus.is_outdated
                }
            };
            if goes {
                pruned.runs += 1;
                pruned.objects += self.delete_run(&surplus.run).await?;
            }
        }
        pruned.objects += self.delete_older(APPROVALS, now, KEEP_APPROVALS).await?;
        pruned.objects += self.delete_older(CHECKPOINT, now, KEEP_CHECKPOINTS).await?;
        let entries = self.objects.list(lock::FOLDER).await?;
        let outdated = lock::outdated(&entries, before(now, KEEP_CLOCK_PROBES));
        pruned.objects += self.objects.delete(outdated).await?;
        Ok(pruned)
    }

    /// The summary is deleted last: while it exists, the next call can complete an interrupted deletion.
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

    /// Deletes the documents below `folder` whose newest object is older than `age`, one by one or by sub-folder.
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

/// The runs that `keep` does not cover, newest first. The age of a run is the time between its newest object and the
/// newest object of all runs. The local clock is not used, since it may be wrong by years.
fn surplus(entries: &[Entry], keep: Keep) -> Vec<Surplus> {
    let mut runs: BTreeMap<RunId, RunObjects> = BTreeMap::new();
    for entry in entries {
        let Some((folder, name)) = entry.name.split_once('/') else {
            continue;
        };
        let Some(run) = RunId::parse(folder) else {
            continue;
        };
        let objects = runs.entry(run).or_default();
        objects.wrote |= name.starts_with("plan/") || name.starts_with("journal/");
        objects.modified_ms = objects.modified_ms.max(entry.modified_ms);
    }
    let newest_ms = runs.values().map(|objects| objects.modified_ms).max();
    let outdated_ms = newest_ms.map_or(i64::MIN, |newest_ms| earlier(newest_ms, keep.applied));
    let mut without_writes = 0;
    let mut surplus = Vec::new();
    for (run, objects) in runs.into_iter().rev() {
        let is_outdated = objects.modified_ms < outdated_ms;
        let stays = if objects.wrote {
            !is_outdated
        } else {
            without_writes += 1;
            without_writes <= keep.runs
        };
        if !stays {
            surplus.push(Surplus {
                run,
                wrote: objects.wrote,
                is_outdated,
            });
        }
    }
    surplus
}

fn before(now: Timestamp, age: Duration) -> i64 {
    earlier(now.as_millisecond(), age)
}

fn earlier(now_ms: i64, age: Duration) -> i64 {
    now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    /// Objects of runs: a summary for each, and a plan if it wrote; written on `day`.
    fn entries(runs: &[(u32, bool, i64)]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (number, wrote, day) in runs {
            let names: &[&str] = if *wrote {
                &["plan/00000001", "summary"]
            } else {
                &["summary"]
            };
            entries.extend(names.iter().map(|name| Entry {
                name: format!("{}/{name}", run(*number)),
                modified_ms: day * DAY_MS,
            }));
        }
        entries
    }

    fn run(number: u32) -> RunId {
        RunId::parse(&format!("20261123T0200{number:02}_000Z-00-3fa85f")).unwrap()
    }

    fn goes(runs: &[(u32, bool, i64)], keep: Keep) -> Vec<RunId> {
        let surplus = surplus(&entries(runs), keep).into_iter();
        surplus.map(|surplus| surplus.run).collect()
    }

    #[test]
    fn r35_runs_that_wrote_go_by_age_and_the_others_by_number() {
        let keep = Keep {
            runs: 2,
            applied: DAY * 400,
        };
        let runs = [
            (0, false, 0),
            (1, true, 99),
            (2, true, 101),
            (3, false, 300),
            (4, false, 400),
            (5, false, 499),
            (6, true, 500),
        ];
        assert_eq!(goes(&runs, keep), [run(3), run(1), run(0)]);
        let none = Keep { runs: 0, ..keep };
        assert_eq!(
            goes(&runs, none),
            [run(5), run(4), run(3), run(1), run(0)],
            "the newest first"
        );
    }

    #[test]
    fn r35_what_is_no_run_is_not_deleted() {
        let notes = Entry {
            name: "notes of somebody/summary".into(),
            modified_ms: 0,
        };
        let keep = Keep {
            runs: 0,
            applied: Duration::ZERO,
        };
        assert_eq!(surplus(&[notes], keep), []);
    }
}
