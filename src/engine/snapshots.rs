//! R42: the snapshots of earlier runs. If one is missing or unreadable, a question stays unanswered, but no run fails.

use futures::StreamExt;

use super::{
    RunError, RunSummary,
    history::{Past, RUNS_ENOUGH, RUNS_MAX, Records},
};
use crate::{
    domain::{
        address::SmtpAddress,
        explain::Explanation,
        report::Report,
        snapshot::{
            Line, Snapshot,
            access::{Filter, Review, review},
            explained,
            history::{Collector, History, Names},
        },
    },
    state::RunId,
};

/// How many reports are read at once.
const REPORTS_AT_ONCE: usize = 8;

/// How many of the runs after a snapshot are searched for a change of an account.
const RUNS_AFTER: usize = 10;

/// How many unreadable snapshots are skipped before the search ends.
const UNREADABLE_MAX: usize = 5;

/// The result, and one line for each snapshot that was skipped.
#[derive(Debug)]
pub struct Looked<T> {
    pub found: Option<(RunId, T)>,
    pub unreadable: Vec<String>,
}

impl<T> Default for Looked<T> {
    fn default() -> Self {
        Self {
            found: None,
            unreadable: Vec::new(),
        }
    }
}

/// The newest readable snapshot: `begin` makes the collection, `take` adds each line to it.
pub(super) async fn newest<T>(
    records: &Records<'_>,
    begin: impl Fn() -> T,
    take: impl Fn(&mut T, Line),
) -> Result<Looked<T>, RunError> {
    records.newest_of(RUNS_ENOUGH, |_| true, begin, take).await
}

impl Records<'_> {
    /// The newest readable snapshot, with the lines that `keep` selects.
    pub async fn snapshot(
        &self,
        keep: impl Fn(&Line) -> bool,
    ) -> Result<Looked<Snapshot>, RunError> {
        self.newest_that(|_| true, Snapshot::default, collect(keep))
            .await
    }

    /// The newest snapshot made at or before `at` (epoch seconds), or the oldest if all are newer.
    pub async fn snapshot_at(&self, at: i64) -> Result<Looked<Snapshot>, RunError> {
        let all = |_: &Line| true;
        let is_old = |past: &Past| past.run.facts().ended.is_some_and(|ended| ended <= at);
        let found = self
            .newest_that(is_old, Snapshot::default, collect(all))
            .await?;
        if found.found.is_some() {
            return Ok(found);
        }
        let mut oldest = None;
        for past in self.with_snapshots(RUNS_MAX).await?.into_iter().rev() {
            let mut snapshot = Snapshot::default();
            if let Ok(true) = self
                .state
                .snapshot(&past.id, |line| snapshot.push(line))
                .await
            {
                oldest = Some((past.id, snapshot));
                break;
            }
        }
        Ok(Looked {
            found: oldest,
            unreadable: found.unreadable,
        })
    }

    /// R43: the review from the newest snapshot, compared with the one at `since` (epoch seconds).
    pub async fn review(&self, filter: &Filter, since: Option<i64>) -> Result<Review, RunError> {
        let looked = self.snapshot(is_no_decision).await?;
        let Some((run, now)) = looked.found else {
            return Err(RunError::NoSnapshot(looked.unreadable));
        };
        let mut remarks = looked.unreadable;
        remarks.extend(self.outdated(&run).await?);
        let then = match since {
            Some(at) => {
                let looked = self.snapshot_at(at).await?;
                remarks.extend(looked.unreadable);
                let then = looked.found.map(|(_, then)| then);
                if then.as_ref().is_some_and(|then| then.head.at > at) {
                    remarks.push(
                        "no snapshot is as old as that day, so it is compared with the oldest one"
                            .into(),
                    );
                }
                if at > self.clock.now().as_second() {
                    remarks.push(
                        "that day has not begun yet, so nothing can have changed since".into(),
                    );
                }
                then
            }
            None => None,
        };
        let mut review = review(&now, then.as_ref(), filter);
        review.remarks.extend(remarks);
        Ok(review)
    }

    /// R40: the explanation from the newest snapshot, if there is one, and which snapshots were skipped.
    pub async fn explained(
        &self,
        address: &SmtpAddress,
    ) -> Result<(Option<Explanation>, Vec<String>), RunError> {
        let looked = self.snapshot(is_no_decision).await?;
        let Some((run, snapshot)) = looked.found else {
            return Ok((None, looked.unreadable));
        };
        let explained = self.explained_from(address, &run, &snapshot).await?;
        Ok((Some(explained), looked.unreadable))
    }

    /// R39, R40: the answer about an address that neither side had in a run; `None` if one of them had it. If the run
    /// stored no snapshot, the newest one decides.
    pub async fn stranger_in(
        &self,
        run: &RunId,
        address: &SmtpAddress,
    ) -> Result<Option<Explanation>, RunError> {
        let explained = match self.snapshot_of(run).await {
            Ok(snapshot) => {
                let report = self.report_to_show(run).await?;
                Some(explained(address, &snapshot, &report))
            }
            Err(RunError::NoSnapshotOf(_)) => Box::pin(self.explained(address)).await?.0,
            Err(error) => return Err(error),
        };
        Ok(explained.filter(|it| it.unknown.is_some()))
    }

    async fn explained_from(
        &self,
        address: &SmtpAddress,
        run: &RunId,
        snapshot: &Snapshot,
    ) -> Result<Explanation, RunError> {
        let report = self.report_to_show(run).await?;
        let mut explained = explained(address, snapshot, &report);
        Box::pin(self.name_codes(&mut explained)).await;
        let names = Names::of(address, Some(snapshot));
        if let Some(later) = Box::pin(self.changed_after(run, &names)).await? {
            explained.outdate(&later);
        }
        Ok(explained)
    }

    /// R42: that later runs changed accounts and stored no snapshot.
    pub async fn outdated(&self, run: &RunId) -> Result<Option<String>, RunError> {
        let mut later = self.later_than(run).await?;
        later.retain(RunSummary::may_have_written);
        Ok(later.first().map(|newest| {
            let what = match newest.undo {
                Some(_) => "undo",
                None => "run",
            };
            let others = match later.len() - 1 {
                0 => String::new(),
                1 => " and 1 other run".to_owned(),
                more => format!(" and {more} other runs"),
            };
            format!(
                "accounts were changed since by the {what} {}{others}; what follows is from before (R42)",
                newest.id
            )
        }))
    }

    /// The newest run after `run` that changed an account with these names.
    async fn changed_after(&self, run: &RunId, names: &Names) -> Result<Option<Report>, RunError> {
        let past = self.past(RUNS_ENOUGH).await?.runs.into_iter();
        let later = past.take_while(|past| past.id != *run);
        for past in later
            .filter(|past| past.run.may_have_written())
            .take(RUNS_AFTER)
        {
            let report = match self.report(&past.id).await {
                Ok(report) => report,
                Err(error) => {
                    tracing::warn!(run = %past.id, %error, "a report cannot be read");
                    continue;
                }
            };
            let mut made = report.actions.iter().filter(|it| it.outcome.is_done());
            if made.any(|it| names.has_action(&it.action)) {
                return Ok(Some(report));
            }
        }
        Ok(None)
    }

    /// R40, R42: the explanation and the history of one account, from one reading of the newest snapshot. `None` if
    /// there is no snapshot.
    pub async fn account(
        &self,
        address: &SmtpAddress,
        limit: usize,
    ) -> Result<Option<(Explanation, History)>, RunError> {
        let looked = self.snapshot(is_no_decision).await?;
        let Some((run, snapshot)) = &looked.found else {
            return Ok(None);
        };
        let explained = self.explained_from(address, run, snapshot).await?;
        let history = self.history_from(address, limit, looked).await?;
        Ok(Some((explained, history)))
    }

    /// R42: what the newest `limit` runs did to one account.
    pub async fn history_of(
        &self,
        address: &SmtpAddress,
        limit: usize,
    ) -> Result<History, RunError> {
        let looked = self.snapshot(is_no_decision).await?;
        self.history_from(address, limit, looked).await
    }

    async fn history_from(
        &self,
        address: &SmtpAddress,
        limit: usize,
        looked: Looked<Snapshot>,
    ) -> Result<History, RunError> {
        let snapshot = looked.found.map(|(_, snapshot)| snapshot);
        let past = self.past(limit).await?;
        let mut remarks = looked.unreadable;
        remarks.extend(past.unreadable);
        let mut collector = Collector::new(Names::of(address, snapshot.as_ref()));
        let ended = past
            .runs
            .into_iter()
            .rev()
            .filter(|past| past.run.has_planned() || past.run.is_writing());
        let mut reports = futures::stream::iter(ended)
            .map(|past| async move { (self.report(&past.id).await, past) })
            .buffered(REPORTS_AT_ONCE);
        while let Some((report, past)) = reports.next().await {
            match report {
                Ok(report) => collector.add(&report, past.run.facts().saw_everybody()),
                Err(error) => {
                    remarks.push(format!("the report of run {} is skipped: {error}", past.id));
                }
            }
        }
        drop(reports);
        Ok(History {
            remarks,
            ..collector.into_history(address, snapshot.as_ref())
        })
    }

    /// The snapshot of one run.
    pub async fn snapshot_of(&self, run: &RunId) -> Result<Snapshot, RunError> {
        let mut snapshot = Snapshot::default();
        let has_one = self.state.snapshot(run, |line| snapshot.push(line)).await?;
        if has_one {
            Ok(snapshot)
        } else {
            Err(RunError::NoSnapshotOf(run.clone()))
        }
    }

    /// Runs that may have a snapshot, newest first.
    async fn with_snapshots(&self, limit: usize) -> Result<Vec<Past>, RunError> {
        let runs = self.past(limit).await?.runs.into_iter();
        Ok(runs
            .filter(|past| past.run.facts().saw_everybody())
            .collect())
    }

    async fn newest_that<T>(
        &self,
        is_wanted: impl Fn(&Past) -> bool,
        begin: impl Fn() -> T,
        take: impl Fn(&mut T, Line),
    ) -> Result<Looked<T>, RunError> {
        let looked = self
            .newest_of(RUNS_ENOUGH, &is_wanted, &begin, &take)
            .await?;
        if looked.found.is_some() {
            return Ok(looked);
        }
        self.newest_of(RUNS_MAX, &is_wanted, &begin, &take).await
    }

    async fn newest_of<T>(
        &self,
        limit: usize,
        is_wanted: impl Fn(&Past) -> bool,
        begin: impl Fn() -> T,
        take: impl Fn(&mut T, Line),
    ) -> Result<Looked<T>, RunError> {
        let mut looked = Looked::default();
        for past in self
            .with_snapshots(limit)
            .await?
            .into_iter()
            .filter(is_wanted)
        {
            let mut collected = begin();
            match self
                .state
                .snapshot(&past.id, |line| take(&mut collected, line))
                .await
            {
                Ok(true) => {
                    looked.found = Some((past.id, collected));
                    break;
                }
                // A run of an earlier version, or one whose snapshot could not be stored.
                Ok(false) => {}
                Err(error) if looked.unreadable.len() < UNREADABLE_MAX => {
                    looked.unreadable.push(format!(
                        "the snapshot of run {} is skipped: {error} (R42)",
                        past.id
                    ));
                }
                Err(_) => break,
            }
        }
        Ok(looked)
    }
}

fn is_no_decision(line: &Line) -> bool {
    !matches!(line, Line::Decision(_))
}

fn collect(keep: impl Fn(&Line) -> bool) -> impl Fn(&mut Snapshot, Line) {
    move |snapshot, line| {
        if keep(&line) {
            snapshot.push(line);
        }
    }
}
