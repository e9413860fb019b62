//! The schedule: one run for each tick, however often the host tries it (R28, R34).

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

/// One try of a tick. The host tries a failed tick again, under the same id (`SyncTimer/function.json`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Try<'a> {
    pub(super) tick: &'a str,
    pub(super) is_first: bool,
}

/// A failure makes the host try again, so a try after one that failed for good succeeds and does nothing: what failed is
/// told once.
pub(super) async fn timer_invocation(
    engine: Result<&Engine, &SettingsError>,
    this: Try<'_>,
) -> Answer {
    let engine = match engine {
        Ok(engine) => engine,
        // A process has the same settings at each try.
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
            let is_told = unrecorded.is_some_and(|(_, told)| told == cause);
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

/// The schedule: continues a run that was cut off or waits, else begins one (R28, R34).
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
        // R28: what could not be recorded as a run is recorded as a tick.
        Err(error) => {
            engine.record_failed_tick(&request, &error).await;
            Err(error.into())
        }
    };
    engine.announce_silence().await;
    ended
}

/// What a try of a tick came to.
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
        Left::All => request.depth = depth,
    }
    match engine.run_recorded(request).await {
        Err(error @ RunError::LockHeld { .. }) => {
            let handed_over = hand_over(engine, request, &error).await?;
            Ok(Tried::Answered(handed_over))
        }
        ended => Ok(Tried::Reported(Box::new(ended?))),
    }
}

/// R29: the queue's function waits for the lock. Also a run that was sent before is sent: its message may be lost, and a
/// second message of a run that has succeeded does nothing.
async fn hand_over(
    engine: &Engine,
    request: &RunRequest,
    held: &RunError,
) -> Result<Success, RunError> {
    let run = match &request.id {
        Some(run) => run.clone(),
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

/// What is left for a try of a tick.
enum Left {
    /// The run that it continues.
    Rest(Box<RunRequest>),
    All,
    /// With the reason.
    Nothing(&'static str),
}

/// R28: all tries of a tick make one run.
async fn left_of(engine: &Engine, this: Try<'_>, depth: Depth) -> Result<Left, RunError> {
    let runs = engine.past(20).await?.runs;
    let is_own = |past: &&Past| !this.is_first && past.run.tick.as_deref() == Some(this.tick);
    if let Some(Past { id, run, .. }) = runs.iter().find(is_own) {
        if run.state != RunState::Ended || run.is_tried_again() {
            return Ok(Left::Rest(Box::new(request_of(id.clone(), run.clone()))));
        }
        if run.is_final {
            return Ok(Left::Nothing(
                "a person must remove the cause of the failure",
            ));
        }
        if run.outcome != RunOutcome::Failed {
            return Ok(Left::Nothing("its run has ended"));
        }
    }
    // R45: what a quick run left does not stand for a full one.
    let stands_for = |run: &RunSummary| run.depth == Depth::Full || run.depth == depth;
    let mut unfinished = runs.into_iter().filter(|past| is_unfinished(engine, past));
    let unfinished = unfinished.find(|past| stands_for(&past.run));
    Ok(unfinished.map_or(Left::All, |Past { id, run, .. }| {
        Left::Rest(Box::new(request_of(id, run)))
    }))
}

/// R34: a run that writes for everybody and was cut off, or that a tick began or handed to the queue (R29), if it has not
/// ended. It stands for the tick's own run (R28); a preview, an undo, or a run for single accounts does not.
fn is_unfinished(engine: &Engine, Past { phase, run, .. }: &Past) -> bool {
    let has_rest = match run.state {
        RunState::Continues => true,
        // R35: if its process ended, this tick continues it; if it is alive, the queue does where it dies before its end.
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
