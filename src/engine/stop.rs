//! The request that a process ends soon: work in flight completes, and nothing new begins (R34).

use tokio::sync::watch;

/// Cheap to clone; all clones share the request.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the stop is requested.
    pub async fn requested(&self) {
        let mut wish = self.0.subscribe();
        if wish.wait_for(|requested| *requested).await.is_err() {
            // The sender is part of `self`, so it still exists here.
            std::future::pending::<()>().await;
        }
    }
}
