//! State and its lock, with the same tests over a folder, memory and Azurite.
//!
//! Azurite is found through `AZURITE_BLOB` or on the PATH as `azurite-blob` (`npm install -g azurite`). Without it
//! those tests report that they were skipped; if CI is set they fail instead.

pub(crate) mod azurite;
mod documents;
pub(crate) mod faults;
mod locking;
mod snapshots;

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use cloud_sync::state::{Keep, Pruned, State, StateLocation, lock::Lease};
use jiff::Timestamp;
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory};
use tempfile::TempDir;
use uuid::Uuid;

/// A store that several processes can share, accessible both through [`State`] and directly.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn ObjectStore>,
    location: Option<StateLocation>,
    /// Short, but long enough for the precision of the store's times.
    pub(crate) lease: Lease,
    /// How often a race is repeated. Azurite is slow.
    pub(crate) rounds: usize,
    folder: Option<TempDir>,
}

impl Bench {
    fn memory() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            location: None,
            lease: lease_ms(3000),
            rounds: 100,
            folder: None,
        }
    }

    pub(crate) fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        let location = Some(StateLocation::Folder(folder.path().to_owned()));
        Self {
            store,
            location,
            lease: lease_ms(3000),
            rounds: 100,
            folder: Some(folder),
        }
    }

    /// A new container. `None` without Azurite.
    async fn azurite() -> Option<Self> {
        Some(Self::container(&azurite::connection_string()?).await)
    }

    /// The same with a shared access signature.
    async fn azurite_with_sas() -> Option<Self> {
        Some(Self::container(&azurite::connection_string_with_sas()?).await)
    }

    async fn container(connection: &str) -> Self {
        let container = format!("state-{}", Uuid::new_v4().simple());
        let lookup = |name: &str| (name == "AzureWebJobsStorage").then(|| connection.to_owned());
        let location =
            StateLocation::from_settings(Some(&format!("az://{container}")), lookup).unwrap();
        State::open(&location).await.unwrap();
        let store = Arc::new(azurite::store(&container));
        Self {
            store,
            location: Some(location),
            lease: lease_ms(6000),
            rounds: 30,
            folder: None,
        }
    }

    fn folder_path(&self) -> &FilePath {
        self.folder.as_ref().unwrap().path()
    }

    /// The state as a separate process would open it.
    pub(crate) async fn open(&self) -> State {
        match &self.location {
            Some(location) => State::open(location).await.unwrap(),
            None => State::over(Arc::clone(&self.store), "memory"),
        }
    }
}

/// Keeps the newest `runs` that wrote nothing, and no others.
async fn prune(state: &State, runs: usize, now: Timestamp) -> Pruned {
    let keep = Keep {
        runs,
        applied: Duration::from_secs(400 * 24 * 60 * 60),
    };
    let pruned = state.prune(keep, |_: &serde_json::Value| false, now);
    pruned.await.unwrap()
}

fn lease_ms(length: u64) -> Lease {
    Lease {
        length: Duration::from_millis(length),
        renew_every: Duration::from_millis(length / 6),
        margin: Duration::from_millis(length / 6),
    }
}

/// Runs a test of the suite over each kind of store.
macro_rules! over_each_store {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::state::Bench::memory()).await;
            })+
        }
        mod folder {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::state::Bench::folder()).await;
            })+
        }
        mod azurite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(bench) = $crate::state::Bench::azurite().await {
                    super::$name(bench).await;
                }
            })+
        }
    };
}
pub(crate) use over_each_store;
