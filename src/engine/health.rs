//! Collects the facts from which [`domain::health`] determines the health (R28), for `/health`, the dashboard, `check`
//! and the notifications.

use serde::Serialize;

use super::{
    Engine, RunError, RunRequest, RunSummary, Unrecorded, complete::Complete, history::RUNS_MAX,
};
use crate::{
    domain::{
        figures::Figures,
        health::{
            Circumstances, FirstSeen, Overdue, Problem, Run, failed_beside, last_success, overdue,
            problems, problems_of_runs,
        },
        memory::Memory,
        mode::{Depth, Mode},
        report::RunState,
    },
    state::lock::LockStatus,
};

/// The answer of `/health`.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    pub status: &'static str,
    /// Why the status is not `ok`.
    pub problems: Vec<String>,
    pub last_success: Option<String>,
    pub last_success_age_s: Option<i64>,
    /// R45: the newest success of a quick run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_quick_success: Option<String>,
    /// `None` if no schedule is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run: Option<NextRun>,
    pub last_run: Option<RunSummary>,
    /// The figures of the last complete run. Runs that failed or were for some accounts do not change them.
    pub figures: Option<Figures>,
    pub lock: String,
    pub state: String,
    pub version: &'static str,
}

/// The next run of the timer (R28, R45).
#[derive(Debug, Clone, Serialize)]
pub struct NextRun {
    pub at: String,
    pub mode: Mode,
    pub depth: Depth,
}

/// The facts from which the health is determined.
#[derive(Debug)]
struct Observed {
    runs: Vec<RunSummary>,
    first_seen: FirstSeen,
    unreadable: Vec<String>,
    lock: String,
}

impl Engine {
    /// The health according to the newest runs.
    pub async fn health(&self) -> Result<Health, RunError> {
        let complete = self.complete_if_readable().await;
        self.health_with(complete.as_ref()).await
    }

    /// Like [`Self::health`], for a caller that already has the last complete run.
    pub async fn health_with(&self, complete: Option<&Complete>) -> Result<Health, RunError> {
        let observed = self.observe().await?;
        let state = self.state().await?.place().to_owned();
        let now = self.now().as_second();
        Ok(self.judged(&observed, |of| {
            let success = last_success(of.runs, of.setting);
            let problems: Vec<String> = problems(of).iter().map(Problem::to_string).collect();
            let ended = success.and_then(|run| run.ended);
            let of_success = |run: &&RunSummary| Some(&*run.id) == success.map(|run| run.id);
            let is_quick =
                |run: &&RunSummary| run.depth == Depth::Quick && run.facts().is_fresh(of.setting);
            let quick = observed.runs.iter().find(is_quick);
            Health {
                status: if problems.is_empty() { "ok" } else { "failing" },
                problems,
                last_success: observed
                    .runs
                    .iter()
                    .find(of_success)
                    .and_then(|run| run.ended.clone()),
                last_success_age_s: ended.map(|ended| now - ended),
                last_quick_success: quick.and_then(|run| run.ended.clone()),
                next_run: self.next_run(of.runs),
                last_run: observed.runs.first().cloned(),
                figures: complete.map(Complete::figures),
                lock: observed.lock.clone(),
                state,
                version: env!("CARGO_PKG_VERSION"),
            }
        }))
    }

    fn next_run(&self, runs: &[Run<'_>]) -> Option<NextRun> {
        let settings = self.settings();
        let (host, setting) = (&settings.host, settings.perform_sync);
        let at = host.upcoming(self.now()).into_iter().next()?;
        Some(NextRun {
            at: at.to_string(),
            mode: setting.timer_mode(),
            depth: host.depth_at(at.as_second(), runs, setting),
        })
    }

    /// R45: whether a tick at this moment starts a full run or a quick one.
    pub async fn depth_of_tick(&self) -> Result<Depth, RunError> {
        let settings = self.settings();
        let now = self.now().as_second();
        if !settings.host.has_quick_at(now) {
            return Ok(Depth::Full);
        }
        let runs = self.runs_to_a_success().await?;
        let runs: Vec<Run<'_>> = runs.iter().map(RunSummary::facts).collect();
        Ok(settings.host.depth_at(now, &runs, settings.perform_sync))
    }

    /// Like [`Self::health`], without the problems in the settings of the host.
    pub(super) async fn problems_of_runs(&self) -> Result<Vec<Problem>, RunError> {
        Ok(self.judged(&self.observe().await?, problems_of_runs))
    }

    /// R28: when the newest run of the mode that the timer does not have started, and why it failed, if it did.
    pub(super) async fn failed_beside(&self) -> Result<Option<(String, String)>, RunError> {
        let observed = self.observe().await?;
        let runs: Vec<Run<'_>> = observed.runs.iter().map(RunSummary::facts).collect();
        let Some(failed) = failed_beside(&runs, self.settings().perform_sync) else {
            return Ok(None);
        };
        let mut runs = observed.runs.iter();
        let run = runs.find(|run| run.id == failed.id);
        Ok(run.map(|run| (run.started.clone(), run.error.clone().unwrap_or_default())))
    }

    /// R28: whether the last success is too long ago.
    pub(super) async fn overdue(&self) -> Result<Option<Overdue>, RunError> {
        let observed = Observed {
            runs: self.runs_to_a_success().await?,
            first_seen: self.first_seen().await?,
            unreadable: Vec::new(),
            lock: String::new(),
        };
        Ok(self.judged(&observed, overdue))
    }

    fn judged<T>(&self, observed: &Observed, judge: impl FnOnce(&Circumstances<'_>) -> T) -> T {
        let runs: Vec<Run<'_>> = observed.runs.iter().map(RunSummary::facts).collect();
        // If the answer of the storage was lost, the end of the run is in the history although the try failed.
        let is_recorded = |it: &Unrecorded| {
            let mut runs = observed.runs.iter();
            it.tick.is_some() && runs.any(|run| run.tick == it.tick && run.state == RunState::Ended)
        };
        let unrecorded = self.unrecorded().filter(|it| !is_recorded(it));
        judge(&Circumstances {
            setting: self.settings().perform_sync,
            now: self.now().as_second(),
            runs: &runs,
            first_seen: observed.first_seen.with(self.timer_mode()),
            ticks: observed.first_seen.ticks.as_ref(),
            unrecorded: unrecorded.as_ref().map(|it| (it.at, &*it.error)),
            unreadable: &observed.unreadable,
            host: &self.settings().host,
        })
    }

    async fn observe(&self) -> Result<Observed, RunError> {
        let runs = self.runs_to_a_success().await?;
        let mut unreadable = Vec::new();
        let lock = match self.lock_status().await {
            Ok(LockStatus::Free) => "free".to_owned(),
            Ok(LockStatus::Held(holder)) => format!("held by {holder}"),
            Ok(LockStatus::Abandoned(holder)) => {
                format!("left by {}, whose process has ended", holder.owner)
            }
            Err(error) => {
                unreadable.push(error.to_string());
                "unknown".to_owned()
            }
        };
        if let Err(error) = self.state().await?.memory::<Memory>().await {
            unreadable.push(error.to_string());
        }
        let first_seen = match self.first_seen().await {
            Ok(seen) => seen,
            Err(error) => {
                unreadable.push(error.to_string());
                FirstSeen::default()
            }
        };
        Ok(Observed {
            runs,
            first_seen,
            unreadable,
            lock,
        })
    }

    async fn runs_to_a_success(&self) -> Result<Vec<RunSummary>, RunError> {
        let setting = self.settings().perform_sync;
        let records = self.records().await?;
        records
            .newest_with(|run| run.facts().is_success(setting))
            .await
    }

    async fn first_seen(&self) -> Result<FirstSeen, RunError> {
        Ok(self.state().await?.first_seen().await?.unwrap_or_default())
    }

    fn timer_mode(&self) -> Mode {
        self.settings().perform_sync.timer_mode()
    }

    /// Records that the host called the timer.
    pub async fn note_tick(&self) {
        self.note(true).await;
    }

    /// Records when the app was first seen.
    pub async fn note_first_seen(&self) {
        self.note(false).await;
    }

    /// A failure is only logged: [`Self::health`] reports a state that cannot be read.
    async fn note(&self, is_tick: bool) {
        let noted = async {
            let before = self.first_seen().await?;
            // Only if nothing is recorded yet, the app is as old as its history.
            let past = if before == FirstSeen::default() {
                self.past(RUNS_MAX).await?.runs
            } else {
                Vec::new()
            };
            let runs: Vec<Run<'_>> = past.iter().map(|past| past.run.facts()).collect();
            let now = self.now().as_second();
            let after = before.clone().noted(self.timer_mode(), now, &runs).ticked(
                &self.settings().host,
                is_tick,
                now,
            );
            if after != before {
                self.state().await?.save_first_seen(&after).await?;
            }
            Ok::<_, RunError>(())
        };
        if let Err(error) = noted.await {
            tracing::warn!("cannot remember when the app was first seen: {error}");
        }
    }

    /// R28: records a failed try of a tick that has no report: in the history, or in this process if the history cannot
    /// be written.
    pub async fn record_failed_tick(&self, request: &RunRequest, error: &RunError) {
        if let Err(unsaved) = self.record_failure(request, error).await {
            tracing::warn!("a failed run of the timer is not in the history: {unsaved}");
            self.remember_unrecorded(Unrecorded {
                at: self.now().as_second(),
                tick: request.tick.clone(),
                error: error.to_string(),
            });
        }
    }
}
