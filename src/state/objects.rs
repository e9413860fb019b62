//! Objects in a store: read, create, replace, list, delete. Independent of their content. Each operation is repeated
//! while the store is unavailable, for as long as [`Outage`] allows. If an answer is lost, the object is read back to see
//! whether the operation succeeded.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion, path::Path,
};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    envelope::{self, DecodeError, LAYOUT, LONGEST_BYTES},
    error::StateError,
    lock::FOLDER,
    outage::Outage,
};

/// How many objects are read in parallel.
const CONCURRENT: usize = 8;

/// A folder of a store, and the identity of this process.
#[derive(Clone)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    root: Path,
    place: Arc<str>,
    writer: Arc<str>,
    wall: fn() -> Timestamp,
    outage: Arc<Outage>,
}

/// `Debug` of a store may show its key.
impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("place", &self.place)
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

/// The version of a document when it was read, so that a change of another process is not overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision(UpdateVersion);

pub(super) struct Found {
    pub(super) bytes: Bytes,
    pub(super) revision: Revision,
}

/// The result of an attempt to create an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Created {
    Ours,
    Theirs,
}

/// An object in a listing. `name` is relative to the listed folder; `modified_ms` is the store's time since 1970.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) modified_ms: i64,
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>, root: Path, place: &str) -> Self {
        let writer = Uuid::new_v4().simple().to_string();
        Self {
            store,
            root,
            place: Arc::from(place),
            writer: Arc::from(writer),
            wall: Timestamp::now,
            outage: Arc::default(),
        }
    }

    /// Repeats what fails because the store is unavailable.
    pub(super) fn with_outages(self, outage: Outage) -> Self {
        Self {
            outage: Arc::new(outage),
            ..self
        }
    }

    /// Fails if the place cannot be reached.
    pub(super) async fn open(&self) -> Result<(), StateError> {
        let below = self.path(FOLDER);
        let first = || async { self.store.list(Some(&below)).try_next().await };
        let opened = self.outage.outlast(first).await;
        opened
            .map(drop)
            .map_err(|error| self.error("open", "the state", &error))
    }

    pub(super) fn with_wall_clock(self, wall: fn() -> Timestamp) -> Self {
        Self { wall, ..self }
    }

    /// This process's wall clock.
    pub(super) fn now(&self) -> Timestamp {
        (self.wall)()
    }

    /// The name of the place in messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Whether the document was written by this value or a clone of it.
    pub(super) fn is_ours(&self, bytes: &[u8]) -> bool {
        envelope::written_by(bytes).is_ok_and(|by| by == *self.writer)
    }

    fn path(&self, name: &str) -> Path {
        self.root.parts().chain(Path::from(name).parts()).collect()
    }

    fn error(
        &self,
        operation: &'static str,
        object: &str,
        error: &object_store::Error,
    ) -> StateError {
        StateError::from_store(operation, object, &self.place, error)
    }

    pub(super) fn conflict(&self, object: &str) -> StateError {
        StateError::Conflict {
            object: object.to_owned(),
            place: self.place.to_string(),
        }
    }

    pub(super) fn unreadable(&self, object: &str, problem: impl Into<String>) -> StateError {
        StateError::Unreadable {
            object: object.to_owned(),
            place: self.place.to_string(),
            problem: problem.into(),
        }
    }

    pub(super) fn encode<T: Serialize>(
        &self,
        name: &str,
        kind: &str,
        data: &T,
    ) -> Result<Bytes, StateError> {
        envelope::encode(kind, &self.writer, self.now(), data)
            .map_err(|problem| self.unreadable(name, problem))
    }

    pub(super) fn decode<T: DeserializeOwned>(
        &self,
        name: &str,
        kind: &str,
        bytes: &[u8],
    ) -> Result<T, StateError> {
        envelope::decode(kind, bytes).map_err(|misread| self.misread(name, misread))
    }

    fn misread(&self, name: &str, misread: DecodeError) -> StateError {
        match misread {
            DecodeError::Garbled(problem) => self.unreadable(name, problem),
            DecodeError::Newer { found } => StateError::Newer {
                object: name.to_owned(),
                place: self.place.to_string(),
                found,
                known: LAYOUT,
            },
        }
    }

    /// Writes the lines as the document `name`, and overwrites an existing one. Gives its size in bytes.
    pub(super) async fn save_lines<T: Serialize>(
        &self,
        name: &str,
        kind: &str,
        lines: impl Iterator<Item = T>,
    ) -> Result<usize, StateError> {
        let bytes = envelope::encode_lines(kind, &self.writer, self.now(), lines)
            .map_err(|problem| self.unreadable(name, problem))?;
        let size = bytes.len();
        let saved = self.put(name, bytes, PutMode::Overwrite).await;
        saved
            .map(|_| size)
            .map_err(|error| self.error("write", name, &error))
    }

    /// Hands each line of the document `name` to `take`; `false` if there is none.
    pub(super) async fn load_lines<T: DeserializeOwned>(
        &self,
        name: &str,
        kind: &str,
        take: impl FnMut(T),
    ) -> Result<bool, StateError> {
        let Some(found) = self.read(name).await? else {
            return Ok(false);
        };
        envelope::decode_lines(kind, &found.bytes, take)
            .map(|()| true)
            .map_err(|misread| self.misread(name, misread))
    }

    /// `None` if there is no such object.
    pub(super) async fn read(&self, name: &str) -> Result<Option<Found>, StateError> {
        let path = self.path(name);
        let read = || async {
            let got = self.store.get(&path).await?;
            if got.meta.size > LONGEST_BYTES as u64 {
                return Ok(None);
            }
            let revision = Revision(UpdateVersion {
                e_tag: got.meta.e_tag.clone(),
                version: got.meta.version.clone(),
            });
            let bytes = got.bytes().await?;
            Ok(Some(Found { bytes, revision }))
        };
        match self.outage.outlast(read).await {
            Ok(Some(found)) => Ok(Some(found)),
            Ok(None) => Err(self.unreadable(name, "it is larger than any document of ours")),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("read", name, &error)),
        }
    }

    /// The document `name`, or `None` if there is none.
    pub(super) async fn load<T: DeserializeOwned>(
        &self,
        name: &str,
        kind: &str,
    ) -> Result<Option<T>, StateError> {
        self.read(name)
            .await?
            .map(|found| self.decode(name, kind, &found.bytes))
            .transpose()
    }

    /// Writes the document `name`, and overwrites an existing one.
    pub(super) async fn save<T: Serialize>(
        &self,
        name: &str,
        kind: &str,
        data: &T,
    ) -> Result<(), StateError> {
        let bytes = self.encode(name, kind, data)?;
        let saved = self.put(name, bytes, PutMode::Overwrite).await;
        saved
            .map(drop)
            .map_err(|error| self.error("write", name, &error))
    }

    /// Creates `name` unless it exists. The store guarantees that exactly one process gets `Ours`.
    pub(super) async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StateError> {
        match self.put(name, bytes.clone(), PutMode::Create).await {
            Ok(_) => Ok(Created::Ours),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(self
                .find_written(name, &bytes)
                .await?
                .map_or(Created::Theirs, |_| Created::Ours)),
            Err(error) => Err(self.error("create", name, &error)),
        }
    }

    /// Replaces `name` if it has not changed since `before` (`None`: absent).
    pub(super) async fn replace(
        &self,
        name: &str,
        bytes: Bytes,
        before: Option<&Revision>,
    ) -> Result<Revision, StateError> {
        let mode = before.map_or(PutMode::Create, |Revision(version)| {
            PutMode::Update(version.clone())
        });
        match self.put(name, bytes.clone(), mode).await {
            Err(object_store::Error::NotImplemented { .. }) => {
                self.replace_unguarded(name, bytes, before).await
            }
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => self
                .find_written(name, &bytes)
                .await?
                .ok_or_else(|| self.conflict(name)),
            put => put.map_err(|error| self.error("write", name, &error)),
        }
    }

    /// For a store without conditional replacement (a folder): compare, then write. The lock prevents changes in
    /// between.
    async fn replace_unguarded(
        &self,
        name: &str,
        bytes: Bytes,
        before: Option<&Revision>,
    ) -> Result<Revision, StateError> {
        let current = self.read(name).await?.map(|found| found.revision);
        if current.as_ref() != before {
            return Err(self.conflict(name));
        }
        self.put(name, bytes, PutMode::Overwrite)
            .await
            .map_err(|error| self.error("write", name, &error))
    }

    async fn put(&self, name: &str, bytes: Bytes, mode: PutMode) -> object_store::Result<Revision> {
        let path = self.path(name);
        let put = || {
            let options = PutOptions::from(mode.clone());
            self.store.put_opts(&path, bytes.clone().into(), options)
        };
        let put = self.outage.outlast(put).await;
        put.map(|put| Revision(put.into()))
    }

    /// A conditional write whose answer was lost fails when it is repeated. If the stored bytes are ours, it succeeded: no
    /// other process writes the same bytes, since they contain the writer.
    async fn find_written(&self, name: &str, bytes: &[u8]) -> Result<Option<Revision>, StateError> {
        let found = self.read(name).await?;
        Ok(found
            .filter(|found| found.bytes == bytes)
            .map(|found| found.revision))
    }

    /// All objects below `folder`, sorted by name.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<Entry>, StateError> {
        let below = self.path(folder);
        let list = || self.store.list(Some(&below)).try_collect::<Vec<_>>();
        let listed = self.outage.outlast(list).await;
        let listed = listed.map_err(|error| self.error("list", folder, &error))?;
        let entry = |meta: ObjectMeta| {
            let parts = meta.location.prefix_match(&below)?;
            let parts: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
            Some(Entry {
                name: parts.join("/"),
                modified_ms: meta.last_modified.timestamp_millis(),
            })
        };
        let mut entries: Vec<_> = listed.into_iter().filter_map(entry).collect();
        entries.sort_unstable();
        Ok(entries)
    }

    /// The names of the folders directly below `folder`, sorted.
    pub(super) async fn folders(&self, folder: &str) -> Result<Vec<String>, StateError> {
        let below = self.path(folder);
        let list = || self.store.list_with_delimiter(Some(&below));
        let listing = self.outage.outlast(list).await;
        let listing = listing.map_err(|error| self.error("list", folder, &error))?;
        let mut names: Vec<_> = listing
            .common_prefixes
            .iter()
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Deletes those of `names` that exist, and returns their number.
    pub(super) async fn delete(&self, names: Vec<String>) -> Result<usize, StateError> {
        let Some(first) = names.first().cloned() else {
            return Ok(0);
        };
        let paths: Vec<Path> = names.iter().map(|name| self.path(name)).collect();
        let delete = || async {
            let paths = paths.clone().into_iter().map(Ok);
            let mut deletions = self.store.delete_stream(stream::iter(paths).boxed());
            let mut deleted = 0;
            while let Some(deletion) = deletions.next().await {
                match deletion {
                    Ok(_) => deleted += 1,
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(deleted)
        };
        let deleted = self.outage.outlast(delete).await;
        deleted.map_err(|error| self.error("delete", &first, &error))
    }

    /// Reads the documents `names` in parallel, and returns them in this order.
    pub(super) async fn load_each<T: DeserializeOwned>(
        &self,
        names: Vec<String>,
        kind: &str,
    ) -> Vec<Result<Option<T>, StateError>> {
        let documents = stream::iter(names).map(|name| async move { self.load(&name, kind).await });
        documents.buffered(CONCURRENT).collect().await
    }
}
