//! The timer: one run for each tick, however often the host tries it (R28, R34).

use super::{
    Answer, Message, Success,
    app::{InvocationFailure, ended, request_of},
};
use crate::{
    domain::{
        mode::{Depth, Mode, Trigger as StartedBy},
        report::{Report, RunOutcome, RunState},
    },
    engine::{Engine, RunError, RunRequest, RunSummary, history::Past},
    settings::SettingsError,
    state::Phase,
};

/// One try of a tick. The host repeats a failed tick with the same id (`SyncTimer/function.json`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Try<'a> {
    pub(super) tick: &'a str,
    pub(super) is_first: bool,
}

/// Answers a timer invocation. A failure makes the host try again, so a try that follows a final failure succeeds and
/// does nothing: the failure is reported only once.
pub(super) async fn timer_invocation(
    engine: Result<&Engine, &SettingsError>,
    this: Try<'_>,
) -> Answer {
    let engine = match engine {
        Ok(engine) => engine,
        // The settings do not change within a process, so the next try fails too.
        Err(_) if !this.is_first => return not_tried_again(NEEDS_A_PERSON).into(),
        Err(error) => {
            return Answer::Failure {
                cause: error.to_string(),
            };
        }
    };
    let unrecorded = engine.unrecorded();
    match tick(engine, this).await {
        Ok(success) => success.into(),
        Err(InvocationFailure { cause, is_final }) => {
            let is_told = unrecorded.is_some_and(|told| told.error == cause);
            if is_final && is_told && !this.is_first {
                not_tried_again(NEEDS_A_PERSON).into()
            } else {
                Answer::Failure { cause }
            }
        }
    }
}

const NEEDS_A_PERSON: &str = "a person must remove the cause of the failure";

fn not_tried_again(why: &str) -> Success {
    tracing::info!("this tick is not tried again: {why}");
    Success::default()
}

/// Continues a run that was cut off or is waiting; otherwise starts one (R28, R34).
async fn tick(engine: &Engine, this: Try<'_>) -> Result<Success, InvocationFailure> {
    engine.note_tick().await;
    let mode = engine.settings().perform_sync.timer_mode();
    let mut request = RunRequest {
        tick: Some(this.tick.to_owned()),
        time_budget: Some(engine.settings().time_budget),
        ..RunRequest::new(mode, StartedBy::Timer)
    };
    let ended = match run_of_tick(engine, this, &mut request).await {
        Ok(Tried::Reported(report)) if report.outcome == RunOutcome::Failed => {
            Err(InvocationFailure::of(&report))
        }
        Ok(Tried::Reported(report)) => Ok(ended(engine, &report)),
        Ok(Tried::Answered(success)) => Ok(success),
        // R28: an error that has no run in the history is recorded as a failed tick.
        Err(error) => {
            engine.record_failed_tick(&request, &error).await;
            Err(error.into())
        }
    };
    engine.announce_silence().await;
    ended
}

/// The result of a try.
enum Tried {
    Reported(Box<Report>),
    /// Nothing was left to do, or another invocation does it.
    Answered(Success),
}

async fn run_of_tick(
    engine: &Engine,
    this: Try<'_>,
    request: &mut RunRequest,
) -> Result<Tried, RunError> {
    let depth = engine.depth_of_tick().await?;
    match left_of(engine, this, depth).await? {
        Left::Nothing(why) => return Ok(Tried::Answered(not_tried_again(why))),
        Left::Rest(run) => {
            *request = RunRequest {
                tick: request.tick.take(),
                time_budget: request.time_budget,
                ..*run
            }
        }
        Left::All => {
            request.depth = depth;
            // All that this try records is about one run, also if the run cannot save its end.
            request.id = Some(engine.new_run_id().await?);
        }
    }
    match engine.run_recorded(request).await {
        Err(error @ RunError::LockHeld { .. }) => {
            let handed_over = hand_over(engine, request, &error).await?;
            Ok(Tried::Answered(handed_over))
        }
        ended => Ok(Tried::Reported(Box::new(ended?))),
    }
}

/// R29: sends the run to the queue, whose function waits for the lock. A run that is already in the queue is sent
/// again, since its message may be lost. A second message for a run that has succeeded does nothing.
async fn hand_over(
    engine: &Engine,
    request: &RunRequest,
    held: &RunError,
) -> Result<Success, RunError> {
    let recorded = match &request.id {
        Some(run) => engine.summary(run).await?.and(Some(run.clone())),
        None => None,
    };
    let run = match recorded {
        Some(run) => run,
        None => engine.enqueue(request).await?,
    };
    tracing::info!("run {run} was handed to the queue: {held}");
    let message = Message {
        run,
        mode: request.mode,
    };
    Ok(Success {
        next: vec![message],
        ..Success::default()
    })
}

/// What a try still has to do.
enum Left {
    /// Continue this run.
    Rest(Box<RunRequest>),
    All,
    /// Nothing, for this reason.
    Nothing(&'static str),
}

/// R28: all tries of a tick belong to one run.
async fn left_of(engine: &Engine, this: Try<'_>, depth: Depth) -> Result<Left, RunError> {
    let mut runs = engine.past(20).await?.runs;
    let records = engine.records().await?;
    for past in &mut runs {
        records.end_if_stopped(past).await?;
    }
    let is_own = |past: &&Past| !this.is_first && past.run.tick.as_deref() == Some(this.tick);
    if let Some(Past { id, run, .. }) = runs.iter().find(is_own) {
        if run.state != RunState::Ended || run.is_tried_again() {
            return Ok(Left::Rest(Box::new(request_of(id.clone(), run.clone()))));
        }
        if run.is_final {
            return Ok(Left::Nothing(NEEDS_A_PERSON));
        }
        if run.outcome != RunOutcome::Failed {
            return Ok(Left::Nothing("its run has ended"));
        }
    }
    // R45: an unfinished quick run does not replace a full one.
    let stands_for = |run: &RunSummary| run.depth == Depth::Full || run.depth == depth;
    let mut unfinished = runs.into_iter().filter(|past| is_unfinished(engine, past));
    let unfinished = unfinished.find(|past| stands_for(&past.run));
    Ok(unfinished.map_or(Left::All, |Past { id, run, .. }| {
        Left::Rest(Box::new(request_of(id, run)))
    }))
}

/// R34: whether the run is an apply for all accounts that has not ended, and was cut off, started by a tick or handed
/// to the queue (R29). Such a run replaces the tick's own run (R28). A preview, an undo or a run for single accounts
/// does not.
fn is_unfinished(engine: &Engine, Past { phase, run, .. }: &Past) -> bool {
    let has_rest = match run.state {
        RunState::Continues => true,
        // R35: if its process has ended, this tick continues the run. If it is alive, the queue message continues the
        // run if the process ends early.
        RunState::Queued | RunState::Running => run.trigger == StartedBy::Timer,
        RunState::Ended => false,
    };
    *phase == Phase::Open
        && has_rest
        && run.mode == Mode::Apply
        && run.accounts.is_empty()
        && run.undo.is_none()
        && run.applies.is_none()
        && run.wave.is_none()
        && engine.settings().perform_sync.permit(run.mode).is_ok()
}
