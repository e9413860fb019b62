//! Data that is kept after a run: runs and their journals, the memory of accounts, checkpoints, approvals, and the lock
//! (R2, R29, R33–R37).
//!
//! # Layout
//!
//! State is a set of objects in an Azure Blob container (or a folder in one), in a local folder, or in memory:
//!
//! | object | written | content |
//! |---|---|---|
//! | `memory` | replaced, by the holder of the lock | data that the next run needs: mapping, baseline, offenders, remembered writes |
//! | `runs/<run>/plan/<n>` | created | a plan with the before-image of its accounts; one for each invocation of the run (R34, R35) |
//! | `runs/<run>/journal/<n>` | created | a batch of outcomes, in order (R35) |
//! | `runs/<run>/report` | replaced | the report |
//! | `runs/<run>/snapshot` | replaced | both sides as a full run for all accounts left them, line by line (R42) |
//! | `runs/<run>/stop` | created | a person has stopped the run (R34) |
//! | `runs/<run>/summary` | replaced | the entry of the run in the history, and whether the run has ended |
//! | `checkpoint/<run>/<n>` | created | the answers that a run had read when it was cut off (R34) |
//! | `approvals/<code>` | replaced | a held set that can be approved, and which of its changes were made (R27) |
//! | `notified` | replaced | the content of the last notification and mail |
//! | `first-seen` | replaced | when the app was first seen (R28) |
//! | `form-key` | created | the key that signs the tokens in the forms of the dashboard |
//! | `lock/<epoch>/…` | created | see [`lock`] |
//!
//! `<run>` is a [`RunId`], `<n>` counts from `00000001` without gaps. The parts are numbered because a local folder can
//! create an object only if it does not exist, but supports neither append nor compare and swap.
//!
//! Every object is a JSON document `{"v":1,"kind":"plan","by":"…","at":"2026-11-23T02:00:00Z","data":…}`: `v` is the
//! version of the layout, `kind` the kind of object, `by` the process that wrote it, `data` the payload, whose type the
//! caller chooses. From 8 KiB on it is stored as gzip (`zcat -f` reads both). A snapshot is always gzip: a line with the
//! envelope without `data`, then a line for each mailbox, account and decision. A newer `v` is refused, an older one is
//! read. An object that is truncated, foreign or missing from its sequence is an error that names it, and is never
//! replaced by a default: its content may decide who has access to which account.
//!
//! # Retention
//!
//! [`State::prune`], called at the end of a run, keeps every run that has not ended, runs with writes for some time,
//! and the newest of the other runs.

mod azure;
mod envelope;
mod error;
mod location;
pub mod lock;
mod objects;
mod outage;
mod parts;
mod retention;
mod run_id;
mod stopped;

use std::{fs, sync::Arc};

use jiff::Timestamp;
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory, path::Path};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use azure::Account;
pub use error::StateError;
pub use location::StateLocation;
use lock::{Lease, Lock};
pub use objects::Revision;
use objects::{Created, Objects};
use outage::{Outage, PATIENCE};
pub use parts::Parts;
pub use retention::{Keep, Pruned};
pub use run_id::RunId;
pub use stopped::Stopped;

const MEMORY: &str = "memory";
const RUNS: &str = "runs";
const CHECKPOINT: &str = "checkpoint";
const APPROVALS: &str = "approvals";
const NOTIFIED: &str = "notified";
const FORM_KEY: &str = "form-key";
const FIRST_SEEN: &str = "first-seen";

/// All stored state of one place. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State {
    objects: Objects,
}

/// A document and its revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    pub value: T,
    pub revision: Revision,
}

/// Whether a run can still continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Queued, running, or cut off and to be continued: never pruned.
    Open,
    Ended,
}

/// A run in the history. `summary` is an error if its document is unreadable, so that one damaged document does not
/// hide the others.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEntry<S> {
    pub id: RunId,
    pub summary: Result<Option<RunSummary<S>>, StateError>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary<S> {
    pub phase: Phase,
    pub summary: S,
}

impl State {
    /// Opens the place. Creates its container or folder if it is missing.
    pub async fn open(location: &StateLocation) -> Result<Self, StateError> {
        let state = Self::at(location)?;
        state.reach().await?;
        Ok(state)
    }

    /// Opens the place for a command that only reads: a folder that is missing is not created, and read as empty.
    pub async fn open_to_read(location: &StateLocation) -> Result<Self, StateError> {
        match location {
            StateLocation::Folder(path) if matches!(path.try_exists(), Ok(false)) => {
                Ok(Self::over(Arc::new(InMemory::new()), &location.place()))
            }
            StateLocation::Azure { .. } | StateLocation::Folder(_) | StateLocation::Memory => {
                Self::open(location).await
            }
        }
    }

    /// Fails if the place cannot be reached.
    pub async fn reach(&self) -> Result<(), StateError> {
        self.objects.open().await
    }

    /// The place, which may not be reachable. Creates a folder if it is missing.
    pub fn at(location: &StateLocation) -> Result<Self, StateError> {
        let place = location.place();
        match location {
            StateLocation::Azure {
                account,
                container,
                folder,
            } => {
                let store = account.open(container)?;
                let objects = Objects::new(store, folder.clone(), &place);
                let objects = objects.with_outages(Outage::of(PATIENCE, account.is_here()));
                Ok(Self { objects })
            }
            StateLocation::Folder(path) => {
                restrict_file_modes();
                fs::create_dir_all(path)
                    .map_err(|error| StateError::from_folder(&place, &error))?;
                let store = LocalFileSystem::new_with_prefix(path)
                    .map_err(|error| StateError::from_store("open", "the state", &place, &error))?;
                // A journal must survive a power failure (R35).
                let store = store.with_fsync(true).with_automatic_cleanup(true);
                Ok(Self::over(Arc::new(store), &place))
            }
            StateLocation::Memory => Ok(Self::over(Arc::new(InMemory::new()), &place)),
        }
    }

    /// State in any store; error messages call it `place`.
    pub fn over(store: Arc<dyn ObjectStore>, place: &str) -> Self {
        Self {
            objects: Objects::new(store, Path::default(), place),
        }
    }

    /// Uses another wall clock, for a simulation.
    #[must_use]
    pub fn with_wall_clock(self, wall: fn() -> Timestamp) -> Self {
        Self {
            objects: self.objects.with_wall_clock(wall),
        }
    }

    /// The name of the place in messages.
    pub fn place(&self) -> &str {
        self.objects.place()
    }

    /// The one lock on this state (R29).
    pub fn lock(&self, lease: Lease) -> Lock {
        Lock::new(self.objects.clone(), lease)
    }

    /// The memory of earlier runs; `None` before the first run.
    pub async fn memory<T: DeserializeOwned>(&self) -> Result<Option<Stored<T>>, StateError> {
        let Some(found) = self.objects.read(MEMORY).await? else {
            return Ok(None);
        };
        let value = self.objects.decode(MEMORY, MEMORY, &found.bytes)?;
        Ok(Some(Stored {
            value,
            revision: found.revision,
        }))
    }

    /// Replaces the memory that was read as `before` (`None`: there was none). Fails with [`StateError::Conflict`] if
    /// another process wrote since then. In a folder, check and write are two steps, so only the lock guarantees this.
    pub async fn save_memory<T: Serialize>(
        &self,
        memory: &T,
        before: Option<&Revision>,
    ) -> Result<Revision, StateError> {
        let bytes = self.objects.encode(MEMORY, MEMORY, memory)?;
        self.objects.replace(MEMORY, bytes, before).await
    }

    /// The newest runs first, at most `limit`.
    pub async fn runs<S: DeserializeOwned>(
        &self,
        limit: usize,
    ) -> Result<Vec<RunEntry<S>>, StateError> {
        let ids = self.run_ids().await?;
        let newest: Vec<RunId> = ids.into_iter().rev().take(limit).collect();
        let names = newest.iter().map(summary_name).collect();
        let summaries = self.objects.load_each(names, "summary").await;
        let entries = newest.into_iter().zip(summaries);
        Ok(entries
            .map(|(id, summary)| RunEntry { id, summary })
            .collect())
    }

    /// The run with the latest id.
    pub async fn newest_run(&self) -> Result<Option<RunId>, StateError> {
        Ok(self.run_ids().await?.pop())
    }

    /// Oldest first. Folders whose names are not run ids are ignored.
    pub async fn run_ids(&self) -> Result<Vec<RunId>, StateError> {
        let folders = self.objects.folders(RUNS).await?;
        Ok(folders
            .iter()
            .filter_map(|name| RunId::parse(name))
            .collect())
    }

    /// The entry of a run in the history; `None` if there is no such run, or if it was killed before writing one.
    pub async fn summary<S: DeserializeOwned>(
        &self,
        run: &RunId,
    ) -> Result<Option<RunSummary<S>>, StateError> {
        self.objects.load(&summary_name(run), "summary").await
    }

    pub async fn save_summary<S: Serialize>(
        &self,
        run: &RunId,
        phase: Phase,
        summary: &S,
    ) -> Result<(), StateError> {
        self.objects
            .save(
                &summary_name(run),
                "summary",
                &RunSummary { phase, summary },
            )
            .await
    }

    pub async fn report<R: DeserializeOwned>(&self, run: &RunId) -> Result<Option<R>, StateError> {
        self.objects
            .load(&format!("{RUNS}/{run}/report"), "report")
            .await
    }

    pub async fn save_report<R: Serialize>(
        &self,
        run: &RunId,
        report: &R,
    ) -> Result<(), StateError> {
        self.objects
            .save(&format!("{RUNS}/{run}/report"), "report", report)
            .await
    }

    /// Writes the lines of the snapshot of a run, and gives its size in bytes.
    pub async fn save_snapshot<L: Serialize>(
        &self,
        run: &RunId,
        lines: impl Iterator<Item = L>,
    ) -> Result<usize, StateError> {
        let name = format!("{RUNS}/{run}/snapshot");
        self.objects.save_lines(&name, "snapshot", lines).await
    }

    /// Hands each line of the snapshot of a run to `take`; `false` if it has none. After an error, `take` has a part of it.
    pub async fn snapshot<L: DeserializeOwned>(
        &self,
        run: &RunId,
        take: impl FnMut(L),
    ) -> Result<bool, StateError> {
        let name = format!("{RUNS}/{run}/snapshot");
        self.objects.load_lines(&name, "snapshot", take).await
    }

    /// Whether a person has stopped the run.
    pub async fn stopped(&self, run: &RunId) -> Result<Option<Stopped>, StateError> {
        self.objects.load(&stop_name(run), "stop").await
    }

    pub async fn save_stop(&self, run: &RunId, stopped: &Stopped) -> Result<(), StateError> {
        self.objects.save(&stop_name(run), "stop", stopped).await
    }

    /// The plans of a run, one for each invocation that made one.
    pub fn plans<P>(&self, run: &RunId) -> Parts<P> {
        Parts::new(self.objects.clone(), format!("{RUNS}/{run}/plan"), "plan")
    }

    /// The batches of outcomes of a run, in the order in which they were appended (R35).
    pub fn journal<B>(&self, run: &RunId) -> Parts<B> {
        Parts::new(
            self.objects.clone(),
            format!("{RUNS}/{run}/journal"),
            "journal",
        )
    }

    /// What the invocations of a run have read so far (R34).
    pub fn checkpoint<C>(&self, run: &RunId) -> Parts<C> {
        Parts::new(
            self.objects.clone(),
            format!("{CHECKPOINT}/{run}"),
            "checkpoint",
        )
    }

    /// Deletes a run's checkpoint.
    pub async fn clear_checkpoint(&self, run: &RunId) -> Result<(), StateError> {
        let folder = format!("{CHECKPOINT}/{run}");
        let parts = self.objects.list(&folder).await?;
        let names = parts
            .iter()
            .map(|part| format!("{folder}/{}", part.name))
            .collect();
        self.objects.delete(names).await.map(drop)
    }

    /// The state of the approval `code`. The code may be any text, since it is user input.
    pub async fn approval<A: DeserializeOwned>(&self, code: &str) -> Result<Option<A>, StateError> {
        if !is_code(code) {
            return Ok(None);
        }
        self.objects
            .load(&format!("{APPROVALS}/{code}"), "approval")
            .await
    }

    pub async fn save_approval<A: Serialize>(
        &self,
        code: &str,
        approval: &A,
    ) -> Result<(), StateError> {
        if !is_code(code) {
            return Err(self
                .objects
                .unreadable(APPROVALS, format!("{code:?} is not an approval code")));
        }
        self.objects
            .save(&format!("{APPROVALS}/{code}"), "approval", approval)
            .await
    }

    /// The content of the last notification.
    pub async fn notified<N: DeserializeOwned>(&self) -> Result<Option<N>, StateError> {
        self.objects.load(NOTIFIED, NOTIFIED).await
    }

    pub async fn save_notified<N: Serialize>(&self, notified: &N) -> Result<(), StateError> {
        self.objects.save(NOTIFIED, NOTIFIED, notified).await
    }

    /// When the app was first seen.
    pub async fn first_seen<T: DeserializeOwned>(&self) -> Result<Option<T>, StateError> {
        self.objects.load(FIRST_SEEN, FIRST_SEEN).await
    }

    pub async fn save_first_seen<T: Serialize>(&self, seen: &T) -> Result<(), StateError> {
        self.objects.save(FIRST_SEEN, FIRST_SEEN, seen).await
    }

    /// The key of this state's form tokens. Stores `fresh` if there is no key yet.
    pub async fn form_key(&self, fresh: String) -> Result<String, StateError> {
        if let Some(key) = self.objects.load(FORM_KEY, FORM_KEY).await? {
            return Ok(key);
        }
        let bytes = self.objects.encode(FORM_KEY, FORM_KEY, &fresh)?;
        match self.objects.create(FORM_KEY, bytes).await? {
            Created::Ours => Ok(fresh),
            Created::Theirs => Ok(self
                .objects
                .load(FORM_KEY, FORM_KEY)
                .await?
                .unwrap_or(fresh)),
        }
    }

    /// All stored approvals, by code.
    pub async fn approvals<A: DeserializeOwned>(&self) -> Result<Vec<(String, A)>, StateError> {
        let entries = self.objects.list(APPROVALS).await?;
        let codes: Vec<String> = entries
            .into_iter()
            .map(|entry| entry.name)
            .filter(|code| is_code(code))
            .collect();
        let names = codes
            .iter()
            .map(|code| format!("{APPROVALS}/{code}"))
            .collect();
        let approvals = self.objects.load_each(names, "approval").await;
        let approvals = codes
            .into_iter()
            .zip(approvals)
            .map(|(code, approval)| Ok((code, approval?)));
        let approvals: Vec<(String, Option<A>)> = approvals.collect::<Result<_, StateError>>()?;
        Ok(approvals
            .into_iter()
            .filter_map(|(code, approval)| Some((code, approval?)))
            .collect())
    }
}

/// Creates files with mode 0600 and folders with 0700, as reports and journals contain names and addresses. The store
/// creates them and takes no mode, so the umask of the whole process is set.
#[cfg(unix)]
fn restrict_file_modes() {
    use rustix::{fs::Mode, process::umask};
    umask(Mode::RWXG | Mode::RWXO);
}

#[cfg(not(unix))]
fn restrict_file_modes() {}

fn stop_name(run: &RunId) -> String {
    format!("{RUNS}/{run}/stop")
}

fn summary_name(run: &RunId) -> String {
    format!("{RUNS}/{run}/summary")
}

/// Codes consist of letters, digits and hyphens; no other text may become part of an object name.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
