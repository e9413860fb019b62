//! Writes the journal of a run while its plan is executed, and reads it back (R35).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    domain::record::{Batch, Entry, PlanRecord, joined},
    http::Clock,
    state::{Parts, StateError},
    zivver::Gate,
};

/// How often an unreadable document is read before it counts as damaged.
const READS_MAX: usize = 4;

const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long outcomes may wait to be stored before writing to Zivver waits for the storage (R35).
const APPEND_MAX: Duration = Duration::from_millis(500);

/// Stores outcomes in the background, in batches. Writing to Zivver waits if the storage is slow, and stops if it
/// fails.
#[derive(Debug)]
pub struct Journal {
    sender: Option<mpsc::UnboundedSender<Entry>>,
    clock: Clock,
    entries: Entries,
    failure: Arc<Mutex<Option<String>>>,
    task: JoinSet<()>,
}

impl Journal {
    pub fn start(mut parts: Parts<Batch>, plan: u32, gate: Gate, clock: Clock) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let failure = Arc::new(Mutex::new(None));
        let mut task = JoinSet::new();
        let failed = Arc::clone(&failure);
        task.spawn(async move {
            let mut entries = Vec::new();
            while receiver.recv_many(&mut entries, usize::MAX).await > 0 {
                let batch = Batch {
                    plan,
                    entries: std::mem::take(&mut entries),
                };
                if let Err(error) = append(&mut parts, &batch, &gate).await {
                    let failure =
                        format!("the journal cannot be written, so the run stopped: {error}");
                    gate.close(&failure);
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                    return;
                }
            }
        });
        Self {
            sender: Some(sender),
            clock,
            entries: Entries::default(),
            failure,
            task,
        }
    }

    /// The entries so far, for a run that may be cut off before it gets the journal back.
    pub fn entries(&self) -> Entries {
        self.entries.clone()
    }

    pub fn append(&mut self, entry: Entry) {
        let at = Some(self.clock.now().as_second());
        let entry = Entry { at, ..entry };
        self.entries.lock().push(entry.clone());
        if let Some(sender) = &self.sender
            && sender.send(entry).is_err()
        {
            tracing::debug!("the journal has stopped; the run stops with it");
        }
    }

    /// Why outcomes can no longer be stored.
    pub fn failure(&self) -> Option<String> {
        let failure = self.failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all entries are stored.
    pub async fn finish(mut self) -> Result<(), String> {
        self.sender = None;
        while self.task.join_next().await.is_some() {}
        self.failure().map_or(Ok(()), Err)
    }
}

/// The entries given to a journal, stored or not yet. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Entries(Arc<Mutex<Vec<Entry>>>);

impl Entries {
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn append(parts: &mut Parts<Batch>, batch: &Batch, gate: &Gate) -> Result<(), StateError> {
    let mut appending = std::pin::pin!(parts.append(batch));
    if let Ok(appended) = tokio::time::timeout(APPEND_MAX, appending.as_mut()).await {
        return appended;
    }
    gate.pause();
    appending.await?;
    gate.resume();
    Ok(())
}

/// The plans of a run with their outcomes, for undo and for the counts of the last 24 hours.
pub async fn read(
    plans: &Parts<PlanRecord>,
    batches: &Parts<Batch>,
) -> Result<Vec<(PlanRecord, Vec<Entry>)>, StateError> {
    // A live run stores a plan before its outcomes.
    let outcomes = batches.read().await?;
    let made = plans.read().await?;
    match missing_plan(plans, made.len(), &outcomes) {
        Some(missing) => Err(missing),
        None => Ok(joined(made, outcomes)),
    }
}

/// Like `read`, but returns the readable part together with the error: a damaged document must not block all future
/// runs (R35).
pub async fn read_what_is_left(
    plans: &Parts<PlanRecord>,
    batches: &Parts<Batch>,
) -> Result<(Vec<(PlanRecord, Vec<Entry>)>, Option<StateError>), StateError> {
    let (outcomes, no_outcomes) = or_damage(read_again(|| batches.read()).await)?;
    let (made, no_plans) = or_damage(read_again(|| plans.read()).await)?;
    let damage = no_plans
        .or(no_outcomes)
        .or_else(|| missing_plan(plans, made.len(), &outcomes));
    Ok((joined(made, outcomes), damage))
}

/// The number of the newest plan of a run, also of one that is damaged or missing: its outcomes must not become those of
/// the next plan.
pub async fn newest_plan(
    plans: &Parts<PlanRecord>,
    batches: &Parts<Batch>,
) -> Result<u32, StateError> {
    let (outcomes, _) = or_damage(batches.read().await)?;
    Ok(plans.newest().await?.max(named(&outcomes)))
}

/// How many plans the outcomes name.
fn named(outcomes: &[Batch]) -> u32 {
    let plans = outcomes.iter().map(|batch| batch.plan.saturating_add(1));
    plans.max().unwrap_or(0)
}

/// The last plan was stored before its outcomes, so if it is not there, it was deleted.
fn missing_plan(plans: &Parts<PlanRecord>, there: usize, outcomes: &[Batch]) -> Option<StateError> {
    let named = named(outcomes);
    (there < named as usize).then(|| plans.missing(named))
}

/// Reads an unreadable document again: if only the answer was truncated, the next read is complete.
pub(super) async fn read_again<T, F>(read: impl Fn() -> F) -> Result<T, StateError>
where
    F: Future<Output = Result<T, StateError>>,
{
    for _ in 1..READS_MAX {
        match read().await {
            Err(StateError::Unreadable { .. }) => tokio::time::sleep(READ_AGAIN_AFTER).await,
            result => return result,
        }
    }
    read().await
}

fn or_damage<T>(
    read: Result<Vec<T>, StateError>,
) -> Result<(Vec<T>, Option<StateError>), StateError> {
    match read {
        Ok(parts) => Ok((parts, None)),
        Err(error @ StateError::Unreadable { .. }) => Ok((Vec::new(), Some(error))),
        Err(error) => Err(error),
    }
}
