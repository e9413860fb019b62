//! The wish that a process ends soon: what is in flight comes to its end, and nothing more begins (R34).

use tokio::sync::watch;

/// Cheap to clone; all clones hear of it.
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

    /// Ends when it is requested.
    pub async fn requested(&self) {
        let mut wish = self.0.subscribe();
        if wish.wait_for(|requested| *requested).await.is_err() {
            // The sender is ours: it cannot be gone.
            std::future::pending::<()>().await;
        }
    }
}
