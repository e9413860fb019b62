//! The trigger of a timer function, and its start by hand (`docs/specs/functions-host.md`, "6. Schedules and instances"
//! and "7.2 Admin API").

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Host, Invoked,
    answer::Client,
    project::Trigger,
    queue::Delivery,
    wire::{self, Encoding, Tick, Try},
};

/// Authorises calls of the admin API, like the host's own key.
pub(crate) const MASTER_KEY: &str = "m4st3r-k3y-c4n4ry";

/// The blob with the last and next time of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// `None` before the first run.
    pub(crate) last: Option<Timestamp>,
    pub(crate) next: Timestamp,
}

/// One timer as it is stored: the lease of its only listener, and its status. Clones are the same timer, since the
/// instances of an app share it.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    every: SignedDuration,
    lease: SignedDuration,
    stored: Arc<Mutex<Stored>>,
}

#[derive(Debug)]
struct Stored {
    holder: Option<(Uuid, Timestamp)>,
    status: Option<Status>,
    runs: Vec<Run>,
}

/// A run that the schedule started.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) instance: Uuid,
    pub(crate) past_due: bool,
    pub(crate) due: Timestamp,
    pub(crate) started: Timestamp,
    /// `None` while it runs, and always if its instance died.
    pub(crate) ended: Option<Timestamp>,
    pub(crate) failure: Option<String>,
}

impl Schedule {
    /// A schedule with this interval, starting now.
    pub(crate) fn every(every: Duration, lease: Duration) -> Self {
        let stored = Stored {
            holder: None,
            status: None,
            runs: Vec::new(),
        };
        Self {
            every: SignedDuration::try_from(every).unwrap(),
            lease: SignedDuration::try_from(lease).unwrap(),
            stored: Arc::new(Mutex::new(stored)),
        }
    }

    pub(crate) fn runs(&self) -> Vec<Run> {
        self.stored.lock().unwrap().runs.clone()
    }

    /// The runs that ended.
    pub(crate) fn ended(&self) -> Vec<Run> {
        let mut runs = self.runs();
        runs.retain(|run| run.ended.is_some());
        runs
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.stored.lock().unwrap().status
    }

    /// Takes the lease, or renews it.
    fn take(&self, instance: Uuid) -> bool {
        let now = Timestamp::now();
        let holder = &mut self.stored.lock().unwrap().holder;
        let free = holder.is_none_or(|(by, until)| by == instance || until <= now);
        if free {
            *holder = Some((instance, now + self.lease));
        }
        free
    }

    fn save(&self, last: Option<Timestamp>, next: Timestamp) {
        self.stored.lock().unwrap().status = Some(Status { last, next });
    }

    fn pause(&self) -> Duration {
        (self.lease / 4).unsigned_abs()
    }
}

impl Host {
    /// Listens to the schedule until dropped. One instance at a time does, and it runs `SyncTimer` whenever that is
    /// due.
    pub(crate) async fn listen(&self, schedule: &Schedule) {
        let instance = Uuid::new_v4();
        loop {
            if schedule.take(instance) {
                let renewal = async {
                    while schedule.take(instance) {
                        tokio::time::sleep(schedule.pause()).await;
                    }
                };
                tokio::select! {
                    () = renewal => {}
                    () = self.obey(schedule, instance) => {}
                }
            }
            tokio::time::sleep(schedule.pause()).await;
        }
    }

    async fn obey(&self, schedule: &Schedule, instance: Uuid) {
        let now = Timestamp::now();
        let Status { mut last, mut next } = schedule.status().unwrap_or(Status {
            last: None,
            next: now + schedule.every,
        });
        schedule.save(last, next);
        // No instance listened when it was due.
        let mut past_due = next < now;
        loop {
            let wait = next.duration_since(Timestamp::now());
            tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
            let tick = Tick::Scheduled {
                status: Status { last, next },
                past_due,
            };
            let started = Timestamp::now();
            let at = {
                let runs = &mut schedule.stored.lock().unwrap().runs;
                runs.push(Run {
                    instance,
                    past_due,
                    due: next,
                    started,
                    ended: None,
                    failure: None,
                });
                runs.len() - 1
            };
            let tries = self.occur(tick).await;
            {
                let run = &mut schedule.stored.lock().unwrap().runs[at];
                run.ended = Some(Timestamp::now());
                run.failure = tries.last().and_then(|invoked| invoked.failure.clone());
            }
            // The first occurrence after the start. If the run took longer than the interval, it is due at once, and
            // others are dropped.
            last = Some(started);
            while next <= started {
                next += schedule.every;
            }
            past_due = false;
            schedule.save(last, next);
        }
    }

    /// The admin API: its immediate answer, and the invocation that it started in the background.
    pub(crate) fn admin(
        &self,
        function: &str,
        key: &str,
        body: Option<&Value>,
    ) -> (Client, Option<BoxFuture<'_, Invoked>>) {
        let refused = |status| (Client::plain(status, ""), None);
        if key != MASTER_KEY {
            return refused(401);
        }
        let Some(function) = self.shared.project.functions.get(function) else {
            return refused(404);
        };
        let Some(body) = body else {
            return refused(400);
        };
        let request = match &function.trigger {
            Trigger::Timer { name } => {
                let first = function.retry.map(Try::first);
                wire::timer(&function.name, name, Tick::Admin, first.as_ref())
            }
            Trigger::Queue { name } => {
                let text = body["input"].as_str().unwrap_or_default();
                let outside = Delivery::outside_the_queue(text);
                wire::queue(&function.name, name, (&outside, text), Encoding::Double)
            }
            Trigger::Http { .. } => panic!("an HTTP function is called by its route"),
        };
        let invocation = async move { self.invoke(function, &request, self.framing).await }.boxed();
        (Client::plain(202, ""), Some(invocation))
    }
}
