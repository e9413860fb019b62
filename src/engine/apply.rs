//! Sends the requests that `domain::execute` makes for an approved plan, and returns the answers to it.

use std::sync::Arc;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{
    journal::Journal,
    progress::{Progress, Watcher},
    stop::Stop,
};
use crate::{
    domain::{
        accounts::Account,
        execute::{
            Accepted, Answer, Applied, Blame, EndedAction, Execution, IN_FLIGHT_MAX, Refused,
            Request,
        },
        plan::ApprovedPlan,
        record::Entry,
        world::World,
    },
    zivver::{CallError, Creation, Refusal, RefusalKind, WriteError, ZivverClient},
};

/// Number of steps that are started even after the deadline (R34). If reading takes as long as an invocation may last,
/// each invocation must still make progress.
pub const STARTED_MIN: usize = IN_FLIGHT_MAX;

/// Why a request is not sent any more after a stop (R34).
const STOPPED: &str = "the run was stopped before an answer came; the next apply compares (R34)";

/// When to start no more steps.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// R34.
    pub deadline: Option<Instant>,
    /// How many steps may be started even after the deadline: [`STARTED_MIN`], or 0.
    pub started_min: usize,
    /// Requested when the process must end, or a person stops the run. What waits to be sent is not sent then.
    pub stop: Stop,
    /// `MAX_CONSECUTIVE_FAILURES` (R32).
    pub failures_in_a_row_max: u32,
}

impl Bounds {
    /// The limit on the number of started steps at this moment.
    fn started_max(&self) -> usize {
        let is_over = |deadline| Instant::now() >= deadline;
        if self.stop.is_requested() {
            0
        } else if self.deadline.is_some_and(is_over) {
            self.started_min
        } else {
            usize::MAX
        }
    }
}

/// Runs all steps that can be run. It does not fail: errors are in the result.
pub async fn apply(
    plan: &ApprovedPlan,
    world: &World,
    zivver: &Arc<ZivverClient>,
    journal: &mut Journal,
    bounds: Bounds,
    progress: &Watcher,
) -> Applied {
    let (stop, gate) = (bounds.stop.clone(), zivver.gate().clone());
    let close = async {
        stop.requested().await;
        gate.close(STOPPED);
        std::future::pending().await
    };
    tokio::select! {
        biased; // What waits when the stop is requested is not sent.
        applied = close => applied,
        applied = apply_all(plan, world, zivver, journal, bounds, progress) => applied,
    }
}

async fn apply_all(
    plan: &ApprovedPlan,
    world: &World,
    zivver: &Arc<ZivverClient>,
    journal: &mut Journal,
    bounds: Bounds,
    progress: &Watcher,
) -> Applied {
    let mut execution = Execution::new(plan, world, bounds.failures_in_a_row_max);
    let mut in_flight = FuturesUnordered::new();
    let of = plan.writes();
    loop {
        while let Some((step, request)) = execution.next(bounds.started_max()) {
            let (zivver, stop) = (Arc::clone(zivver), bounds.stop.clone());
            in_flight.push(async move { (step, send(&zivver, request, &stop).await) });
        }
        for ended in execution.take_ended() {
            journal.append(entry(&ended));
        }
        if let Some(cause) = execution.stopped() {
            zivver.gate().close(cause);
        }
        progress.show(Progress::Applying {
            done: execution.done(),
            of,
        });
        let Some((step, answer)) = in_flight.next().await else {
            break;
        };
        if let Some(failure) = journal.failure() {
            execution.stop(failure);
        }
        execution.answered(step, answer);
    }
    execution.finish()
}

fn entry(ended: &EndedAction<'_>) -> Entry {
    Entry {
        action: u32::try_from(ended.action).unwrap_or(u32::MAX),
        outcome: ended.outcome,
        created: ended.created.cloned(),
        at: None,
        problems: ended.problems.to_vec(),
        left: Vec::new(),
    }
}

async fn send(zivver: &ZivverClient, request: Request, stop: &Stop) -> Answer {
    match try_send(zivver, request).await {
        Ok(accepted) => Answer::Accepted(accepted),
        Err(error) => answer(error, stop),
    }
}

async fn try_send(zivver: &ZivverClient, request: Request) -> Result<Accepted, WriteError> {
    Ok(match request {
        Request::CreateUser { address, name, key } => {
            let creation = zivver.create_user(&address, &name, key.as_ref()).await?;
            created(creation, Account::User)
        }
        Request::CreateFunctional {
            address,
            name,
            members,
            aliases,
        } => {
            let creation = zivver.create_group(&address, &name, &members, &aliases);
            created(creation.await?, Account::Functional)
        }
        Request::UpdateUser(id, update) => {
            let user = zivver.update_user(&id, &update).await?;
            Accepted::Updated(user.map(Account::User))
        }
        Request::UpdateFunctional(id, update) => {
            let group = zivver.update_group(&id, &update).await?;
            Accepted::Updated(group.map(Account::Functional))
        }
        Request::SetMembers(id, members) => {
            let group = zivver.set_members(&id, &members).await?;
            Accepted::Updated(group.map(Account::Functional))
        }
    })
}

fn created<A>(creation: Creation<A>, account: impl FnOnce(A) -> Account) -> Accepted {
    Accepted::Created {
        is_found: creation.is_found,
        account: account(creation.account),
    }
}

fn answer(error: WriteError, stop: &Stop) -> Answer {
    let message = error.to_string();
    match error {
        WriteError::Failed(CallError::Refused(refusal)) => {
            Answer::Refused(refused(*refusal, message))
        }
        WriteError::Failed(CallError::Unavailable { .. }) => Answer::Unavailable(message),
        WriteError::Failed(CallError::Unauthorized { .. } | CallError::Forbidden { .. }) => {
            Answer::Denied(message)
        }
        WriteError::Stopped { was_sent, .. } => Answer::Stopped {
            message,
            was_sent,
            is_cut_off: stop.is_requested(),
        },
    }
}

fn refused(refusal: Refusal, message: String) -> Refused {
    Refused {
        cause: format!("{} {}", refusal.status, refusal.text),
        message,
        blames: match refusal.kind {
            RefusalKind::AliasTaken(named) | RefusalKind::AliasGuest(named) => Blame::Alias(named),
            RefusalKind::DomainNotOwned => Blame::AliasDomain,
            RefusalKind::OutsideOrganization
            | RefusalKind::UnknownAccount
            | RefusalKind::UnknownMember
            | RefusalKind::InvalidDivision
            | RefusalKind::Conflict
            | RefusalKind::WrongUrl
            | RefusalKind::Other => Blame::Request,
        },
    }
}
