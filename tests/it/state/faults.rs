//! A store that is down, refuses, or answers twice: clear errors, in bounded time.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{
    Router,
    extract::{Request, State as Shared},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use cloud_sync::state::{State, StateError, StateLocation};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    /// Every request fails.
    Down,
    /// The identity has no permissions.
    Refused,
    /// The answer to the first of two identical conditional writes was lost, as when a client repeats it after a timeout.
    SentTwice,
    /// The creation of an object waits until [`Faulty::let_through`].
    LateCreation,
    /// Nothing can be deleted.
    NoDeletion,
    /// Storing a plan panics.
    PanicAtPlan,
    /// No report can be stored.
    NoReport,
    /// Everything is stored up to the end of a run, whose answer is lost; then every request fails.
    DownAfterEnd,
    /// The same after the report.
    DownAfterSummary,
}

/// A store behind a faulty network.
#[derive(Debug)]
pub(crate) struct Faulty {
    store: Arc<dyn ObjectStore>,
    fault: Mutex<Fault>,
    late: AtomicUsize,
    gate: Semaphore,
}

impl Faulty {
    pub(crate) fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            fault: Mutex::new(Fault::None),
            late: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        }
    }

    /// Whether a request waits at the gate.
    pub(crate) fn holds_somebody_up(&self) -> bool {
        self.late.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn let_through(&self) {
        self.gate.add_permits(1);
    }

    pub(crate) fn suffers(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn fault(&self) -> Result<Fault> {
        match *self.fault.lock().unwrap() {
            Fault::Down => Err(failing("the network is down")),
            Fault::Refused => Err(failing(
                "Server returned non-2xx status code: 403 Forbidden: ",
            )),
            fault @ (Fault::None
            | Fault::SentTwice
            | Fault::LateCreation
            | Fault::NoDeletion
            | Fault::PanicAtPlan
            | Fault::NoReport
            | Fault::DownAfterEnd
            | Fault::DownAfterSummary) => Ok(fault),
        }
    }
}

fn failing(why: &'static str) -> object_store::Error {
    object_store::Error::Generic {
        store: "Faulty",
        source: why.into(),
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let fault = self.fault()?;
        assert!(
            fault != Fault::PanicAtPlan || !location.as_ref().contains("/plan/"),
            "on purpose"
        );
        let is = |name: &str| location.filename() == Some(name);
        if fault == Fault::NoReport && is("report") {
            return Err(failing("the network is down"));
        }
        if fault == Fault::DownAfterEnd && is("report") {
            self.suffers(Fault::DownAfterSummary);
        }
        if fault == Fault::DownAfterSummary && is("summary") {
            self.store.put_opts(location, payload, opts).await?;
            self.suffers(Fault::Down);
            return Err(failing("the answer is lost"));
        }
        if fault == Fault::LateCreation && opts.mode == PutMode::Create {
            self.late.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
        }
        if fault == Fault::SentTwice && opts.mode != PutMode::Overwrite {
            self.store
                .put_opts(location, payload.clone(), opts.clone())
                .await?;
        }
        self.store.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.fault()?;
        self.store.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.fault() {
            Ok(Fault::NoDeletion) => stream::iter([Err(failing("the network is down"))]).boxed(),
            Ok(_) => self.store.delete_stream(locations),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.fault() {
            Ok(_) => self.store.list(prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.fault()?;
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// A blob service (and identity endpoint) that gives every request the same answer, and records the requests.
struct Service {
    origin: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _server: JoinSet<()>,
}

struct Asked {
    line: String,
    authorization: String,
}

const NO_BLOBS: &str =
    r#"<?xml version="1.0"?><EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"#;

type Answer = Arc<dyn Fn(&str) -> Response + Send + Sync>;

impl Service {
    async fn start(answer: impl Fn(&str) -> Response + Send + Sync + 'static) -> Self {
        let answer: Answer = Arc::new(answer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new()
            .fallback(serve)
            .with_state((answer, Arc::clone(&asked)));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            origin,
            asked,
            _server: server,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|asked| asked.line.clone())
            .collect()
    }
}

async fn serve(
    Shared((answer, asked)): Shared<(Answer, Arc<Mutex<Vec<Asked>>>)>,
    request: Request,
) -> Response {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let line = format!("{} {}", request.method(), request.uri());
    let response = answer(&line);
    asked.lock().unwrap().push(Asked {
        line,
        authorization: header("authorization"),
    });
    response
}

/// The error of opening the state in the storage account of these settings.
async fn opened(settings: &[(&str, String)]) -> std::result::Result<State, StateError> {
    let lookup = |name: &str| {
        settings
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
    };
    let location = StateLocation::from_settings(None, lookup).unwrap();
    tokio::time::timeout(Duration::from_secs(30), State::open(&location))
        .await
        .expect("an end in bounded time")
}

fn with_key(origin: &str) -> [(&'static str, String); 1] {
    [(
        "AzureWebJobsStorage",
        format!("AccountName=stexample;AccountKey=c2VjcmV0;BlobEndpoint={origin}/stexample"),
    )]
}

#[tokio::test]
async fn a_storage_account_that_nobody_answers_for_is_reported_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = opened(&with_key(&origin)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open the state in container cloud-sync of storage account stexample: Connection refused (os error 111); check \
         that the storage is up and reachable from here"
    );
}

#[tokio::test]
async fn a_storage_account_that_refuses_us_names_the_role() {
    let refusal = |_: &str| {
        let body = "<?xml version=\"1.0\"?><Error><Code>AuthorizationPermissionMismatch</Code><Message>This request is not authorized \
                    to perform this operation using this permission.\nRequestId:1</Message></Error>";
        (StatusCode::FORBIDDEN, body).into_response()
    };
    let service = Service::start(refusal).await;
    let error = opened(&with_key(&service.origin)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "not allowed to open the state in container cloud-sync of storage account stexample: 403 Forbidden: \
         AuthorizationPermissionMismatch: This request is not authorized to perform this operation using this permission.; give the \
         identity the role Storage Blob Data Owner, or correct the key or SAS in AzureWebJobsStorage"
    );
    assert_eq!(service.asked().len(), 1, "a refusal is not repeated");
}

#[tokio::test]
async fn a_storage_account_that_is_busy_is_asked_again_and_then_reported() {
    let service = Service::start(|_: &str| StatusCode::SERVICE_UNAVAILABLE.into_response()).await;
    let began = Instant::now();
    let error = opened(&with_key(&service.origin)).await.unwrap_err();
    assert!(
        matches!(error, StateError::Unreachable { ref cause, .. } if cause == "503 Service Unavailable"),
        "{error}"
    );
    assert!(began.elapsed() > Duration::from_secs(20));
    let asked = service.asked().len();
    assert!((10..=40).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_container_that_we_may_not_create_is_to_be_created_by_hand() {
    let answer = |line: &str| {
        let status = if line.starts_with("PUT") {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::NOT_FOUND
        };
        status.into_response()
    };
    let service = Service::start(answer).await;
    let error = opened(&with_key(&service.origin)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "not allowed to create the container (unless you do) in container cloud-sync of storage account stexample: 403 Forbidden; \
         give the identity the role Storage Blob Data Owner, or correct the key or SAS in AzureWebJobsStorage"
    );
    assert_eq!(
        service.asked().last().unwrap(),
        "PUT /stexample/cloud-sync?restype=container"
    );
}

#[tokio::test]
async fn a_shared_access_signature_is_sent_and_never_shown() {
    let service = Service::start(|_: &str| StatusCode::FORBIDDEN.into_response()).await;
    let connection = format!(
        "BlobEndpoint={}/stexample;SharedAccessSignature=sv=2023-11-03&sig=c2Vj%2BcmV0",
        service.origin
    );
    let error = opened(&[("AzureWebJobsStorage", connection)])
        .await
        .unwrap_err();
    assert!(
        service.asked()[0].contains("sig=c2Vj%2BcmV0"),
        "{:?}",
        service.asked()
    );
    assert!(!format!("{error} {error:?}").contains("c2Vj"), "{error:?}");
}

#[tokio::test]
async fn an_identity_that_is_not_assigned_is_told_from_a_missing_role() {
    let service = Service::start(|_: &str| {
        (StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#).into_response()
    })
    .await;
    let settings = [
        ("AzureWebJobsStorage__accountName", "stexample".into()),
        ("IDENTITY_ENDPOINT", format!("{}/msi/token", service.origin)),
    ];
    assert_eq!(
        opened(&settings).await.unwrap_err().to_string(),
        "no token for container cloud-sync of storage account stexample: 400 Bad Request: {\"error\":\"invalid_request\"}; check that \
         the identity is assigned to the app (AzureWebJobsStorage__clientId when it is user-assigned), or sign in with az login"
    );
}

/// Not a missing identity, since the endpoint answered.
#[tokio::test]
async fn an_identity_endpoint_without_a_token_is_named() {
    let service =
        Service::start(|_: &str| r#"{"access_token":"t","expires_on":"tomorrow"}"#.into_response())
            .await;
    let settings = [
        ("AzureWebJobsStorage__accountName", "stexample".into()),
        ("IDENTITY_ENDPOINT", format!("{}/msi/token", service.origin)),
    ];
    assert_eq!(
        opened(&settings).await.unwrap_err().to_string(),
        "no token for container cloud-sync of storage account stexample: the identity endpoint answered with \"tomorrow\" as the \
         time at which the token expires; restart the function app, and ask the support of Azure if the endpoint answers so again"
    );
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn a_token_for_storage_that_has_expired_is_asked_for_once_a_minute() {
    let answer = |line: &str| {
        if line.starts_with("GET /msi/token") {
            return r#"{"access_token":"storage-token","expires_on":1600000000}"#.into_response();
        }
        r#"<?xml version="1.0"?><EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"#
            .into_response()
    };
    let service = Service::start(answer).await;
    let settings = [
        (
            "AzureWebJobsStorage__blobServiceUri",
            format!("{}/stexample", service.origin),
        ),
        ("AzureWebJobsStorage__credential", "managedidentity".into()),
        ("IDENTITY_ENDPOINT", format!("{}/msi/token", service.origin)),
    ];
    let state = opened(&settings).await.unwrap();
    for _ in 0..10 {
        state.newest_run().await.unwrap();
    }
    let asked = service.asked();
    let tokens = asked
        .iter()
        .filter(|line| line.starts_with("GET /msi/token"));
    assert_eq!(tokens.count(), 1, "{asked:?}");
    assert!(asked.len() > 10, "{asked:?}");
}

#[tokio::test]
async fn a_managed_identity_gets_a_token_for_storage() {
    let answer = |line: &str| {
        if line.starts_with("GET /msi/token") {
            let expires = jiff::Timestamp::now().as_second() + 3600;
            return format!(
                r#"{{"access_token":"storage-token","expires_on":"{expires}","resource":"https://storage.azure.com","token_type":"Bearer"}}"#
            )
            .into_response();
        }
        NO_BLOBS.into_response()
    };
    let service = Service::start(answer).await;
    let settings = [
        (
            "AzureWebJobsStorage__blobServiceUri",
            format!("{}/stexample", service.origin),
        ),
        ("AzureWebJobsStorage__credential", "managedidentity".into()),
        (
            "AzureWebJobsStorage__clientId",
            "22222222-0000-4000-8000-00000000000a".into(),
        ),
        ("IDENTITY_ENDPOINT", format!("{}/msi/token", service.origin)),
    ];
    let state = opened(&settings).await.unwrap();
    assert_eq!(
        state.place(),
        "container cloud-sync of storage account stexample"
    );
    let asked = service.asked();
    assert!(
        asked[0].contains("resource=https%3A%2F%2Fstorage.azure.com"),
        "{asked:?}"
    );
    assert!(
        asked[0].contains("client_id=22222222-0000-4000-8000-00000000000a"),
        "{asked:?}"
    );
    assert!(
        asked[1].starts_with("GET /stexample/cloud-sync?"),
        "{asked:?}"
    );
    assert_eq!(
        service.asked.lock().unwrap()[1].authorization,
        "Bearer storage-token"
    );
}

/// The first service redirects every request to the second one.
async fn redirecting(status: StatusCode) -> (Service, Service) {
    let elsewhere = Service::start(|_: &str| StatusCode::OK.into_response()).await;
    let location = format!("{}/elsewhere", elsewhere.origin);
    let here =
        Service::start(move |_: &str| (status, [("location", location.clone())]).into_response())
            .await;
    (here, elsewhere)
}

#[tokio::test]
async fn no_redirect_takes_a_secret_to_another_host() {
    for status in [StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
        let (here, elsewhere) = redirecting(status).await;
        let account = format!("{}/stexample", here.origin);
        let sas = format!("BlobEndpoint={account};SharedAccessSignature=sv=2023-11-03&sig=c2Vj");
        let identity = [
            ("AzureWebJobsStorage__blobServiceUri", account),
            ("IDENTITY_ENDPOINT", format!("{}/msi/token", here.origin)),
        ];
        for settings in [
            with_key(&here.origin).to_vec(),
            vec![("AzureWebJobsStorage", sas)],
            identity.to_vec(),
        ] {
            let error = opened(&settings).await.unwrap_err();
            assert!(!error.to_string().contains("c2Vj"), "{error}");
            assert_eq!(elsewhere.asked(), [""; 0], "{status} {settings:?}");
        }
        assert!(here.asked().len() >= 3, "{:?}", here.asked());
    }
}

#[tokio::test]
async fn a_container_that_is_being_deleted_is_not_taken_for_one_that_exists() {
    fn refused(line: &str, code: &str) -> Response {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>No.</Message></Error>"
        );
        let status = if line.starts_with("PUT") {
            StatusCode::CONFLICT
        } else {
            StatusCode::NOT_FOUND
        };
        (status, body).into_response()
    }
    let service = Service::start(|line: &str| refused(line, "ContainerBeingDeleted")).await;
    let error = opened(&with_key(&service.origin)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot create the container (unless you do) in container cloud-sync of storage account stexample: 409 Conflict: \
         ContainerBeingDeleted: No.; check that the storage is up and reachable from here"
    );
    // Another process has just created it.
    let exists = AtomicBool::new(false);
    let service = Service::start(move |line: &str| {
        if exists.fetch_or(line.starts_with("PUT"), Ordering::SeqCst) {
            return NO_BLOBS.into_response();
        }
        refused(line, "ContainerAlreadyExists")
    })
    .await;
    assert!(opened(&with_key(&service.origin)).await.is_ok());
}
