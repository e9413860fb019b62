//! State behind a faulty network: requests are refused, answered late, done although reported as failed, done twice, or
//! truncated. Its clock has whole seconds, like that of blob storage.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, memory::InMemory, path::Path,
};

use super::{stage::Stage, time};

/// The stored objects, shared by all processes.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    store: Arc<InMemory>,
    /// Since the start of the simulation.
    modified_s: Arc<Mutex<HashMap<Path, u64>>>,
}

impl Shelf {
    /// The objects whose last part is this.
    pub(super) async fn names(&self, last: &str) -> Vec<Path> {
        let listed: Vec<Result<ObjectMeta>> = self.store.list(None).collect().await;
        let names = listed.into_iter().map(|it| it.unwrap().location);
        let mut names: Vec<Path> = names.filter(|it| it.filename() == Some(last)).collect();
        names.sort();
        names
    }

    pub(super) async fn put(&self, name: &Path, text: &'static str) {
        self.store.put(name, text.into()).await.unwrap();
    }
}

/// The access of one process. `None`: that of the simulation itself, which has no faults.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) shelf: Shelf,
    pub(super) stage: Option<(Stage, usize)>,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Luck {
    Good,
    Refused,
    /// Done, but reported as failed.
    Lost,
    /// Done twice, as if a client repeated it after a timeout.
    Twice,
    /// Half an object.
    CutShort,
}

fn failure() -> object_store::Error {
    object_store::Error::Generic {
        store: "simulated",
        source: "the storage does not answer".into(),
    }
}

impl Way {
    async fn begin(&self, write: bool) -> Luck {
        let Some((stage, process)) = &self.stage else {
            return Luck::Good;
        };
        let (luck, pause) = stage.with(|scene| scene.storage_luck(write));
        stage.thaw(*process).await;
        tokio::time::sleep(pause).await;
        luck
    }

    fn mark(&self, location: &Path) {
        let now_s = time::elapsed().as_secs();
        let mut modified = self.shelf.modified_s.lock().unwrap();
        modified.insert(location.clone(), now_s);
    }

    fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let modified = self.shelf.modified_s.lock().unwrap();
        let since_start = modified.get(&meta.location).copied().unwrap_or_default();
        let since_1970 = u64::try_from(time::START_S).unwrap() + since_start;
        meta.last_modified = (std::time::UNIX_EPOCH + Duration::from_secs(since_1970)).into();
        meta
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated storage")
    }
}

#[async_trait]
impl ObjectStore for Way {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let luck = self.begin(true).await;
        if luck == Luck::Refused {
            return Err(failure());
        }
        let store = &self.shelf.store;
        let conditional = opts.mode != PutMode::Overwrite;
        let mut done = store
            .put_opts(location, payload.clone(), opts.clone())
            .await;
        if done.is_ok() {
            self.mark(location);
        }
        if luck == Luck::Twice && conditional {
            done = store.put_opts(location, payload, opts).await;
        }
        if luck == Luck::Lost {
            return Err(failure());
        }
        done
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.shelf.store.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let luck = self.begin(false).await;
        if luck == Luck::Refused {
            return Err(failure());
        }
        let mut got = self.shelf.store.get_opts(location, options).await?;
        got.meta = self.dated(got.meta);
        if luck == Luck::CutShort
            && let GetResultPayload::Stream(stream) = got.payload
        {
            let chunks = stream.map(|chunk| chunk.map(|bytes| bytes.slice(..bytes.len() / 2)));
            got.payload = GetResultPayload::Stream(chunks.boxed());
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let refused = self.stage.as_ref().is_some_and(|(stage, _)| {
            stage.with(|scene| scene.storage_luck(true).0 == Luck::Refused)
        });
        if refused {
            return stream::iter([Err(failure())]).boxed();
        }
        self.shelf.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let refused = self.stage.as_ref().is_some_and(|(stage, _)| {
            stage.with(|scene| scene.storage_luck(false).0 == Luck::Refused)
        });
        if refused {
            return stream::iter([Err(failure())]).boxed();
        }
        let way = Self {
            shelf: self.shelf.clone(),
            stage: None,
        };
        let listed = self.shelf.store.list(prefix);
        listed.map(move |meta| Ok(way.dated(meta?))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        if self.begin(false).await == Luck::Refused {
            return Err(failure());
        }
        self.shelf.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.shelf.store.copy_opts(from, to, options).await
    }
}
