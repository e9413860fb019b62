//! A semaphore for all workers whose size follows the limiter.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::limiter::{Departure, Limiter};

#[derive(Debug)]
pub(super) struct Gate {
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limiter: Limiter,
    /// The number of existing permits, free or taken.
    width: u32,
}

/// The right to have one request in flight. Dropping it without a verdict only frees the place.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    gate: &'a Gate,
    /// `None` only while the permit is dropped.
    place: Option<SemaphorePermit<'a>>,
    departure: Departure,
}

impl Gate {
    pub(super) fn new(ceiling: usize) -> Self {
        let limiter = Limiter::new(ceiling);
        let width = limiter.limit();
        Self {
            permits: Semaphore::new(width as usize),
            state: Mutex::new(State { limiter, width }),
        }
    }

    /// Waits for a free place, in order of arrival, and for the end of a pause.
    pub(super) async fn enter(&self) -> Permit<'_> {
        let place = self
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        loop {
            let pause = {
                let state = self.state();
                let now = Instant::now();
                let pause = state.limiter.paused_until(now);
                if pause.is_none() {
                    let departure = Departure {
                        at: now,
                        in_flight: self.taken(&state),
                    };
                    return Permit {
                        gate: self,
                        place: Some(place),
                        departure,
                    };
                }
                pause
            };
            if let Some(until) = pause {
                tokio::time::sleep_until(until).await;
            }
        }
    }

    /// A refusal inside an answer that was itself a success (`$batch`).
    pub(super) fn refused_inside(&self, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut state = self.state();
        let departure = Departure {
            at: now,
            in_flight: self.taken(&state).max(1),
        };
        state.limiter.on_refusal(now, departure, retry_after);
        self.adjust(&mut state);
    }

    /// Places that are taken, or already assigned to a waiting worker.
    fn taken(&self, state: &State) -> u32 {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        state.width.saturating_sub(free)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the width follow the limit. A place in use is withdrawn when it is freed.
    fn adjust(&self, state: &mut State) {
        let limit = state.limiter.limit();
        if limit > state.width {
            self.permits.add_permits((limit - state.width) as usize);
            state.width = limit;
        } else if limit < state.width {
            let free = self.permits.forget_permits((state.width - limit) as usize);
            state.width -= u32::try_from(free).unwrap_or(0);
        }
    }
}

impl Permit<'_> {
    /// The request was answered. Its latency counts only if it is `comparable`.
    pub(super) fn succeeded(self, comparable: bool) {
        let now = Instant::now();
        let latency = comparable.then(|| now.duration_since(self.departure.at));
        let mut state = self.gate.state();
        state.limiter.on_success(now, self.departure, latency);
        self.gate.adjust(&mut state);
    }

    /// The request was refused for lack of capacity.
    pub(super) fn refused(self, retry_after: Option<Duration>) {
        let mut state = self.gate.state();
        state
            .limiter
            .on_refusal(Instant::now(), self.departure, retry_after);
        self.gate.adjust(&mut state);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if let Some(place) = self.place.take()
            && state.width > state.limiter.limit()
        {
            place.forget();
            state.width -= 1;
        }
    }
}
