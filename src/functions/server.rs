//! The HTTP listener for the host: every `GET` answers that the program is ready, three `POST` paths are the three
//! functions.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    routing::post,
    serve::ListenerExt,
};
use futures::{FutureExt, StreamExt};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};
use tracing::Instrument;

use super::{
    Answer, Invocation, Message, Problem, ProblemKind, Response, Success, Trigger,
    invocation::{self, EnvelopeError},
};

/// Enough for a request body of 256 KiB: escaped, repeated in part in the metadata, with the caller's headers twice.
const CALL_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Enough for a message of 64 KiB, escaped twice and repeated in the metadata, and for a timer with the stack trace of
/// the last failure.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// How many bytes of a larger invocation are read and dropped. The host accepts 100 MiB from a caller.
const DROPPED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// How long invocations may continue after a signal. The next run completes the rest (R35).
const GRACE: Duration = Duration::from_secs(20);

/// Serves the host until `shutdown` completes, and then at most 20 s more until the invocations in flight have ended.
/// `handle` is the application: it answers one invocation. A panic in it fails only this invocation.
pub async fn serve<H, F>(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
    handle: H,
) -> std::io::Result<()>
where
    H: Fn(Invocation) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "cannot set TCP_NODELAY"
            );
        }
    });
    let (stopping, stopped) = oneshot::channel();
    let signalled = async move {
        shutdown.await;
        // The receiver is dropped only after the server has ended.
        if stopping.send(()).is_err() {
            tracing::debug!("the server ended before it was asked to");
        }
    };
    let invocations = Invocations::default();
    let server =
        axum::serve(listener, router(handle, &invocations)).with_graceful_shutdown(signalled);
    let server = async {
        let ended = server.await;
        invocations.end().await;
        ended
    };
    let grace_over = async move {
        match stopped.await {
            Ok(()) => tokio::time::sleep(GRACE).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = server => ended,
        () = grace_over => {
            tracing::warn!(grace_s = GRACE.as_secs(), "stopped with invocations in flight");
            Ok(())
        }
    }
}

/// Completes when the parent process has ended. A host that is killed leaves its handler running, and the next host
/// starts another one on a different port. `PR_SET_PDEATHSIG` cannot be used: it reports the end of the thread that
/// started this process.
pub async fn parent_ended() {
    #[cfg(unix)]
    {
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        let parent = rustix::process::getppid();
        while rustix::process::getppid() == parent {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    #[cfg(not(unix))]
    std::future::pending::<()>().await;
}

/// A request to end this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl+C, also under `func start`.
    Interrupt,
    /// SIGTERM: the end of a container or a machine.
    Terminate,
}

/// Completes at a signal. The host itself sends SIGKILL only.
pub async fn shutdown_signal() -> Signal {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => never_if_failed(interrupted).await,
                _ = terminate.recv() => return Signal::Terminate,
            }
            return Signal::Interrupt;
        }
    }
    never_if_failed(tokio::signal::ctrl_c().await).await;
    Signal::Interrupt
}

/// Never completes if the signal handler could not be installed, since that is not a signal.
async fn never_if_failed(interrupted: std::io::Result<()>) {
    if let Err(error) = interrupted {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "cannot listen for signals"
        );
        std::future::pending::<()>().await;
    }
}

/// A function. Its name is the name of its folder and its path, in exact letter case.
#[derive(Clone, Copy)]
enum Function {
    Timer,
    Http,
    Queue,
}

impl Function {
    fn name(self) -> &'static str {
        match self {
            Self::Timer => "SyncTimer",
            Self::Http => "SyncHttp",
            Self::Queue => "SyncQueue",
        }
    }

    fn bytes_max(self) -> usize {
        match self {
            Self::Http => CALL_BYTES_MAX,
            Self::Timer | Self::Queue => EVENT_BYTES_MAX,
        }
    }
}

/// Why the body of an invocation was not read.
enum Unread {
    TooLarge { limit: usize },
    Broken(axum::Error),
}

/// Reads the body of an invocation. A body larger than the limit is read to its end and dropped, since a host that
/// cannot finish sending does not read the answer.
async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, Unread> {
    let announced = body.size_hint().lower();
    let fits = |length: u64| usize::try_from(length).is_ok_and(|length| length <= limit);
    let (mut length, mut bytes) = (0_u64, Vec::new());
    let mut chunks = body.into_data_stream();
    while length.max(announced) <= DROPPED_BYTES_MAX
        && let Some(chunk) = chunks.next().await
    {
        let chunk = chunk.map_err(Unread::Broken)?;
        length = length.saturating_add(chunk.len() as u64);
        if fits(length.max(announced)) {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
        }
    }
    if fits(length.max(announced)) {
        Ok(bytes)
    } else {
        Err(Unread::TooLarge { limit })
    }
}

/// The invocations in progress, each in its own task, so that it runs to its end and releases its lock even if the host
/// closes the connection. A handler that is part of the connection would be dropped between two writes.
#[derive(Debug, Clone, Default)]
struct Invocations(Arc<Mutex<JoinSet<()>>>);

impl Invocations {
    /// The result of `work`; `None` if it was cancelled at the end of the grace period.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, ended) = oneshot::channel();
        {
            let mut tasks = self.tasks();
            while tasks.try_join_next().is_some() {} // Removes tasks that have ended.
            tasks.spawn(async move {
                if sender.send(work.await).is_err() {
                    tracing::warn!("the host hung up before the invocation was answered");
                }
            });
        }
        ended.await.ok()
    }

    async fn end(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        while tasks.join_next().await.is_some() {}
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn router<H, F>(handle: H, invocations: &Invocations) -> Router
where
    H: Fn(Invocation) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let mut router = Router::new();
    for function in [Function::Timer, Function::Http, Function::Queue] {
        let invocations = invocations.clone();
        let route = post(
            move |State(handle): State<Arc<H>>, headers: HeaderMap, body: Body| async move {
                let id = invocation_id(&headers);
                let span = span(function, &id);
                let work = invoke(function, handle, id, body).instrument(span);
                let answer = invocations.run(work).await;
                answer.unwrap_or_else(|| crashed(function)).into_http()
            },
        );
        router = router.route(&format!("/{}", function.name()), route);
    }
    router
        .fallback(ready)
        .method_not_allowed_fallback(ready)
        .with_state(Arc::new(handle))
}

/// The host treats any answer to any GET as ready (`docs/specs/functions-host.md`, "1.3 Readiness").
async fn ready(method: Method) -> StatusCode {
    if method == Method::GET || method == Method::HEAD {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    }
}

/// A span of level ERROR, so that every `LOG_LEVEL` keeps its fields.
fn span(function: Function, id: &str) -> tracing::Span {
    tracing::error_span!(
        "invocation",
        invocation = id,
        function = function.name(),
        run = tracing::field::Empty
    )
}

async fn invoke<H, F>(function: Function, handle: Arc<H>, id: String, body: Body) -> Answer
where
    H: Fn(Invocation) -> F,
    F: Future<Output = Answer>,
{
    let answered = async {
        let body = match collect(body, function.bytes_max()).await {
            Ok(body) => body,
            Err(unread) => return refused(function, &unread),
        };
        let mut trigger = match read(function, &body) {
            Ok(trigger) => trigger,
            Err(answer) => return answer,
        };
        drop(body);
        let is_head = match &mut trigger {
            Trigger::Http(request) => request.take_head(),
            Trigger::Timer(_) | Trigger::Queue(_) => false,
        };
        // Called inside the future, so that a panic before its first await is caught too.
        let handled = async { handle(Invocation { id, trigger }).await };
        match AssertUnwindSafe(handled).catch_unwind().await {
            Ok(answer) if is_head => completed(function, answer).without_content(),
            Ok(answer) => completed(function, answer),
            Err(_) => crashed(function),
        }
    };
    let answer = answered.await;
    if let Answer::Failure { cause } = &answer {
        tracing::error!("{cause}");
    }
    answer
}

/// The id that the host sent if it is safe in a log line, otherwise a new one.
fn invocation_id(headers: &HeaderMap) -> String {
    let given = headers
        .get("x-azure-functions-invocationid")
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=64).contains(&id.len()))
        .filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    given.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}

/// Parses the trigger. An error is the answer to an invocation that the application does not get.
fn read(function: Function, body: &[u8]) -> Result<Trigger, Answer> {
    let refused =
        |error: EnvelopeError| unreadable(function, ProblemKind::BadBody, &error.to_string());
    match function {
        Function::Timer => invocation::timer(body).map(Trigger::Timer).map_err(refused),
        Function::Http => invocation::http(body).map(Trigger::Http).map_err(refused),
        Function::Queue => {
            let delivery = invocation::queue(body).map_err(refused)?;
            Message::parse(&delivery.text)
                .map(Trigger::Queue)
                .map_err(|error| {
                    // An invalid message never becomes valid. A failure would only deliver it five times and then move
                    // it to the poison queue.
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        dequeue_count = delivery.dequeue_count,
                        "dropped a queue message"
                    );
                    Answer::Success(Success::default())
                })
        }
    }
}

fn refused(function: Function, unread: &Unread) -> Answer {
    match unread {
        Unread::Broken(error) => unreadable(function, ProblemKind::BadBody, &error.to_string()),
        Unread::TooLarge { limit } => {
            let why = format!("it exceeds the limit of {limit} bytes");
            match function {
                Function::Timer | Function::Queue => {
                    unreadable(function, ProblemKind::TooLarge, &why)
                }
                Function::Http => {
                    tracing::warn!("refused a call: {why}");
                    let detail = format!(
                        "with all that the Functions host adds, the call exceeds the limit of {limit} bytes: name fewer accounts"
                    );
                    Response::from(Problem::new(ProblemKind::TooLarge, detail)).into()
                }
            }
        }
    }
}

fn unreadable(function: Function, kind: ProblemKind, why: &str) -> Answer {
    match function {
        Function::Timer | Function::Queue => Answer::Failure {
            cause: format!("cannot read the invocation: {why}"),
        },
        Function::Http => {
            tracing::error!("cannot read the invocation: {why}");
            let detail = "the invocation could not be read; the log says why";
            Response::from(Problem::new(kind, detail)).into()
        }
    }
}

/// Ensures that the HTTP trigger gets its `res`: without one the host makes up a status
/// (`docs/specs/functions-host.md`, "2.6 `Outputs.res`").
fn completed(function: Function, answer: Answer) -> Answer {
    match (function, answer) {
        (Function::Http, Answer::Failure { cause }) => {
            tracing::error!("{cause}");
            internal()
        }
        (Function::Http, Answer::Success(success)) if success.response.is_none() => {
            tracing::error!("the call ended without a response");
            internal()
        }
        (_, answer) => answer,
    }
}

/// The answer after a panic, which the panic hook has already logged.
fn crashed(function: Function) -> Answer {
    match function {
        Function::Timer | Function::Queue => Answer::Failure {
            cause: "the invocation ended in a panic".to_owned(),
        },
        Function::Http => internal(),
    }
}

fn internal() -> Answer {
    let detail = "the call failed inside the program; the log says why";
    Response::from(Problem::new(ProblemKind::Internal, detail)).into()
}
