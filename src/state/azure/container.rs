//! A blob container as an object store, with two operations that `object_store` lacks: creating the container when it
//! is missing (also when it was deleted while this process runs), and deleting single blobs. The store deletes in batches,
//! an operation that needs additional permissions and that Azurite refuses to a shared access signature.

use std::fmt;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    azure::{AzureAuthorizer, MicrosoftAzure},
    client::{HttpClient, HttpRequest, HttpRequestBody},
    path::Path,
};
use reqwest::{Method, StatusCode};
use thiserror::Error;
use url::Url;

use crate::state::error::{CreateFailed, STATUS_PREFIX, status};

const STORE: &str = "MicrosoftAzure";
const CONCURRENT_DELETIONS: usize = 16;

#[derive(Clone)]
pub(super) struct Container {
    pub(super) store: MicrosoftAzure,
    pub(super) http: HttpClient,
    pub(super) account: String,
    pub(super) url: Url,
}

/// `Debug` of the store shows its key.
impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

/// Has the text of `object_store`'s errors, so that both are parsed alike.
#[derive(Debug, Error)]
#[error("{STATUS_PREFIX}{status}: {body}")]
struct HttpFailure {
    status: StatusCode,
    body: String,
}

fn failed(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: STORE,
        source: Box::new(source),
    }
}

impl Container {
    /// Creates the container. Accepts 409: another process has just created it, or it is being deleted.
    async fn create(&self) -> Result<()> {
        let mut url = self.url.clone();
        url.set_query(Some("restype=container"));
        let created = match self.send(&Method::PUT, &url).await {
            Ok((StatusCode::CREATED, _)) => Ok(()),
            Ok((StatusCode::CONFLICT, body)) if body.contains("ContainerAlreadyExists") => Ok(()),
            Ok((status, body)) => Err(failed(HttpFailure { status, body })),
            Err(error) => Err(error),
        };
        created.map_err(|error| failed(CreateFailed(error)))
    }

    /// The result of `send`, after creating the container if it is missing. Only a missing container answers 404 to a
    /// list or a write.
    async fn in_container<T, F>(&self, send: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        match send().await {
            Err(error) if status(&error) == Some(404) => {
                self.create().await?;
                send().await
            }
            answer => answer,
        }
    }

    async fn delete_blob(&self, location: Path) -> Result<Path> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(location.parts());
        }
        match self.send(&Method::DELETE, &url).await? {
            (status, _) if status.is_success() => Ok(location),
            (StatusCode::NOT_FOUND, body) => {
                let source = Box::new(HttpFailure {
                    status: StatusCode::NOT_FOUND,
                    body,
                });
                Err(Error::NotFound {
                    path: location.to_string(),
                    source,
                })
            }
            (status, body) => Err(failed(HttpFailure { status, body })),
        }
    }

    async fn send(&self, method: &Method, url: &Url) -> Result<(StatusCode, String)> {
        let credential = self.store.credentials().get_credential().await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.as_str().parse().map_err(failed)?;
        AzureAuthorizer::new(&credential, &self.account).try_authorize(&mut request)?;
        let response = self.http.execute(request).await.map_err(failed)?;
        let status = response.status();
        let body = response.into_body().bytes().await.map_err(failed)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

#[async_trait]
impl ObjectStore for Container {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let put = || self.store.put_opts(location, payload.clone(), opts.clone());
        self.in_container(put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let container = self.clone();
        let deletions = locations.map(move |location| {
            let container = container.clone();
            async move { container.delete_blob(location?).await }
        });
        deletions.buffered(CONCURRENT_DELETIONS).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (container, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            let list = || container.store.list(prefix.as_ref()).try_collect();
            let listed: Vec<ObjectMeta> = container.in_container(list).await?;
            Ok::<_, Error>(stream::iter(listed.into_iter().map(Ok)))
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let list = || self.store.list_with_delimiter(prefix);
        self.in_container(list).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
