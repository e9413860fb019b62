//! The request that a process or a run ends soon: work in flight completes, and nothing new begins (R34).

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    None,
    Ends,
    /// R34: the person who started the run stops it.
    Person,
}

/// Cheap to clone; all clones share the request.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Wish>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(Wish::None))
    }
}

impl Stop {
    pub fn request(&self) {
        self.0.send_replace(Wish::Ends);
    }

    /// For Ctrl+C: the person at the terminal stops the run.
    pub fn request_by_person(&self) {
        self.0.send_replace(Wish::Person);
    }

    pub fn is_requested(&self) -> bool {
        *self.0.borrow() != Wish::None
    }

    pub fn is_by_person(&self) -> bool {
        *self.0.borrow() == Wish::Person
    }

    /// Completes when the stop is requested.
    pub async fn requested(&self) {
        let mut wish = self.0.subscribe();
        if wish.wait_for(|wish| *wish != Wish::None).await.is_err() {
            // The sender is part of `self`, so it still exists here.
            std::future::pending::<()>().await;
        }
    }
}
