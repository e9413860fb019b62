//! HTTP for both clients: sending, retries, waiting and errors.
//!
//! [`Sender::send`] sends once; [`RetryPolicy::next_delay`] says whether and when to send again. The client interprets
//! the answer. All waiting uses tokio's clock, so that a paused clock simulates a whole run.

mod body;
mod clock;
mod counters;
mod guarded;
mod retry;

use std::{
    future::Future,
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue},
};
use tower::ServiceExt;
use tracing::{Instrument, field::Empty};
use url::Url;

use body::BodyError;
pub(crate) use body::{UnpackError, unpack};
pub use clock::Clock;
pub use counters::{Counters, RequestCounts};
use guarded::Guarded;
pub use guarded::MayWrite;
pub use retry::{RetryPolicy, RetryReason, retry_after};

/// Timeout for making a connection: name, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How a request reaches its service.
#[derive(Debug, Clone)]
pub enum Transport {
    Network(reqwest::Client),
    /// A service in this process. It needs no sockets, so that tokio's clock can be paused.
    InProcess(axum::Router),
}

/// An HTTP client cannot be created on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTP: {cause}; check the machine's TLS certificates and proxy settings")]
pub struct TransportError {
    cause: String,
}

impl Transport {
    /// Connections to `base`. Follows no redirects, decompresses nothing, uses HTTP/2 if the server offers it, and
    /// keeps at most `connections_max` idle connections. A loopback service is never reached through a proxy.
    pub fn network(base: &Url, connections_max: usize) -> Result<Self, TransportError> {
        let builder = Route::to(base)
            .client()
            .user_agent(concat!("cloud-sync/", env!("CARGO_PKG_VERSION")))
            .http2_adaptive_window(true)
            .pool_max_idle_per_host(connections_max);
        builder
            .build()
            .map(Self::Network)
            .map_err(|error| TransportError {
                cause: root_cause(&error.without_url()),
            })
    }
}

/// Whether a service is reached through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Without a proxy: for services on this machine, and for the platform's identity endpoint, whose secret is sent in
    /// clear text.
    Direct,
    /// Through the proxy that the environment names, if any.
    Outward,
}

impl Route {
    fn to(base: &Url) -> Self {
        if is_loopback(base) {
            Self::Direct
        } else {
            Self::Outward
        }
    }

    /// A client that follows no redirect, so that no secret reaches another host, and decompresses nothing, so that the
    /// size limit holds.
    pub fn client(self) -> reqwest::ClientBuilder {
        set_up_tls();
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        match self {
            Self::Direct => builder.no_proxy(),
            Self::Outward => builder,
        }
    }
}

/// Chooses the cryptography of all TLS connections of this process. Must be called before an HTTP client is created,
/// and may be repeated.
pub fn set_up_tls() {
    // An error means that it was chosen before.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A request to send once.
#[derive(Debug, Clone)]
pub struct Request {
    /// The kind of request, as counted in reports.
    pub kind: &'static str,
    pub method: Method,
    pub url: Url,
    /// Mark secrets with [`HeaderValue::set_sensitive`], so that `Debug` does not show them.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Asked at the moment at which the body is sent; `None` for a request that only reads.
    pub may_write: Option<MayWrite>,
    /// From the first byte sent to the last one received.
    pub timeout: Duration,
    /// The largest body accepted, before decompression.
    pub body_limit_bytes: usize,
}

/// A complete answer, with any status.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// A header as text; `None` where it is absent or not readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// There was no answer. One variant for each reaction; the texts name only host and port of the address.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// The request did not arrive: even a POST may be sent again (R31).
    #[error("cannot reach {host}: {cause}; {remedy}")]
    NotSent {
        host: String,
        cause: String,
        remedy: String,
        /// The service is on this machine: it either starts soon or not at all.
        is_loopback: bool,
    },
    /// The request may have arrived and been carried out.
    #[error("{host} did not answer within {after:?}")]
    Timeout { host: String, after: Duration },
    /// The request was sent, and the answer was lost or incomplete.
    #[error("the answer of {host} was cut off: {cause}")]
    Broken { host: String, cause: String },
    /// The run may no longer write, so the request was not sent (R29).
    #[error("the run may no longer write, so {host} was not asked")]
    Withdrawn { host: String },
    #[error("the answer of {host} is larger than {limit_bytes} bytes")]
    TooLarge { host: String, limit_bytes: usize },
}

impl SendError {
    /// The error without a remedy, for errors that have their own.
    pub fn cause(&self) -> String {
        match self {
            Self::NotSent { host, cause, .. } => format!("cannot reach {host}: {cause}"),
            Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::Withdrawn { .. }
            | Self::TooLarge { .. } => self.to_string(),
        }
    }

    /// One word, for telemetry.
    fn kind(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::Timeout { .. } => "timeout",
            Self::Broken { .. } => "broken",
            Self::Withdrawn { .. } => "withdrawn",
            Self::TooLarge { .. } => "too_large",
        }
    }
}

/// A transport, and what all requests to one service share.
#[derive(Debug, Clone)]
pub struct Sender {
    transport: Transport,
    /// The setting that holds the address of the service, for remedies.
    setting: &'static str,
    counters: Counters,
    serial: Arc<AtomicU64>,
}

impl Sender {
    pub fn new(transport: Transport, setting: &'static str) -> Self {
        Self {
            transport,
            setting,
            counters: Counters::default(),
            serial: Arc::default(),
        }
    }

    /// Numbers a request and its retries. [`RetryPolicy::next_delay`] derives the jitter from it.
    pub fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sends `request` once and reads the whole answer.
    pub async fn send(&self, request: Request) -> Result<Reply, SendError> {
        // The path is left out, since it may contain mail addresses.
        let span = tracing::info_span!(
            target: "trace",
            "request",
            otel.name = %format_args!("{} {}", request.method, request.kind),
            cloud_sync.request.kind = request.kind,
            http.request.method = request.method.as_str(),
            http.response.status_code = Empty,
            server.address = request.url.host_str(),
            "error.type" = Empty,
        );
        let result = self.exchange(request).instrument(span.clone()).await;
        match &result {
            Ok(reply) => {
                let status = reply.status;
                span.record("http.response.status_code", status.as_u16());
                if status.is_client_error() || status.is_server_error() {
                    span.record("error.type", status.as_str());
                }
            }
            Err(error) => drop(span.record("error.type", error.kind())),
        }
        result
    }

    async fn exchange(&self, request: Request) -> Result<Reply, SendError> {
        self.counters.count_sent(request.kind);
        let exchange = Exchange {
            host: host(&request.url),
            limit_bytes: request.body_limit_bytes,
        };
        let timeout = request.timeout;
        let reply = match &self.transport {
            Transport::Network(client) => {
                let sending = exchange.over_network(client, request, self.setting);
                exchange.within(timeout, sending).await?
            }
            Transport::InProcess(service) => {
                let sending = exchange.in_process(service.clone(), request);
                exchange.within(timeout, sending).await?
            }
        };
        self.counters.count_received(reply.body.len());
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            self.counters.count_throttled();
        }
        Ok(reply)
    }
}

/// What the errors of one request need.
struct Exchange {
    host: String,
    limit_bytes: usize,
}

impl Exchange {
    async fn within(
        &self,
        after: Duration,
        sending: impl Future<Output = Result<Reply, SendError>>,
    ) -> Result<Reply, SendError> {
        tokio::time::timeout(after, sending)
            .await
            .unwrap_or_else(|_| {
                Err(SendError::Timeout {
                    host: self.host.clone(),
                    after,
                })
            })
    }

    async fn over_network(
        &self,
        client: &reqwest::Client,
        request: Request,
        setting: &str,
    ) -> Result<Reply, SendError> {
        let is_loopback = is_loopback(&request.url);
        let withdrawn = Arc::new(AtomicBool::default());
        let body = match request.may_write {
            None => reqwest::Body::from(request.body),
            Some(may_write) => reqwest::Body::wrap(Guarded {
                body: request.body,
                may_write,
                withdrawn: Arc::clone(&withdrawn),
            }),
        };
        let response = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(body)
            .send()
            .await
            .map_err(|error| {
                if withdrawn.load(Ordering::Relaxed) {
                    return SendError::Withdrawn {
                        host: self.host.clone(),
                    };
                }
                self.refused(error, setting, is_loopback)
            })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let announced = self.check_length(&headers)?;
        let body = body::collect(response.bytes_stream(), announced, self.limit_bytes)
            .await
            .map_err(|error| self.unread(error, |error| root_cause(&error.without_url())))?;
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    async fn in_process(
        &self,
        service: axum::Router,
        request: Request,
    ) -> Result<Reply, SendError> {
        let broken = |cause: String| SendError::Broken {
            host: self.host.clone(),
            cause,
        };
        let target = match request.url.query() {
            Some(query) => format!("{}?{query}", request.url.path()),
            None => request.url.path().to_owned(),
        };
        let mut message = axum::http::Request::new(axum::body::Body::from(request.body));
        *message.method_mut() = request.method;
        *message.uri_mut() = target
            .parse()
            .map_err(|_| broken("the address cannot be sent".into()))?;
        *message.headers_mut() = request.headers;
        if let Ok(name) = HeaderValue::from_str(&self.host) {
            message.headers_mut().insert(HOST, name);
        }
        let Ok(response) = service.oneshot(message).await;
        let (parts, body) = response.into_parts();
        let announced = self.check_length(&parts.headers)?;
        let body = body::collect(body.into_data_stream(), announced, self.limit_bytes)
            .await
            .map_err(|error| self.unread(error, |error| root_cause(&error)))?;
        if announced.is_some_and(|announced| body.len() < announced) {
            return Err(broken("shorter than announced".into()));
        }
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    fn refused(&self, error: reqwest::Error, setting: &str, loopback: bool) -> SendError {
        let (host, dns) = (self.host.clone(), error.is_dns());
        let sent = !error.is_connect() && !error.is_builder();
        let handshake = handshake_failure(&error);
        let mut cause = root_cause(&error.without_url());
        if sent {
            return SendError::Broken { host, cause };
        }
        if handshake.is_some() {
            cause.insert_str(0, "TLS handshake failed: ");
        }
        let remedy = if let Some(Handshake::Certificate) = handshake {
            format!("let this machine trust the issuer of the certificate, or correct {setting}")
        } else if let Some(Handshake::Other) = handshake {
            format!("check that the service speaks TLS, and the scheme, host and port in {setting}")
        } else if loopback {
            let start = start_of_sandbox(&host);
            format!(
                "start the sandbox ({start}) and use the settings that it prints, or correct {setting}"
            )
        } else if dns {
            format!("no such host name: correct {setting}, or check the machine's DNS")
        } else {
            format!("check the network, the proxy and {setting}")
        };
        SendError::NotSent {
            host,
            cause,
            remedy,
            is_loopback: loopback,
        }
    }

    /// The announced length of a body; an error if it exceeds the limit.
    fn check_length(&self, headers: &HeaderMap) -> Result<Option<usize>, SendError> {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.trim().parse().ok());
        if announced.is_some_and(|length: usize| length > self.limit_bytes) {
            return Err(self.too_large());
        }
        Ok(announced)
    }

    fn unread<E>(&self, error: BodyError<E>, cause: impl FnOnce(E) -> String) -> SendError {
        match error {
            BodyError::TooLarge => self.too_large(),
            BodyError::Broken(error) => SendError::Broken {
                host: self.host.clone(),
                cause: cause(error),
            },
        }
    }

    fn too_large(&self) -> SendError {
        SendError::TooLarge {
            host: self.host.clone(),
            limit_bytes: self.limit_bytes,
        }
    }
}

/// A failed TLS handshake, which shows that the service was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    Certificate,
    Other,
}

fn handshake_failure(error: &(dyn std::error::Error + 'static)) -> Option<Handshake> {
    let mut next = Some(error);
    let mut hung_up = false;
    while let Some(error) = next {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(_)) => return Some(Handshake::Certificate),
            Some(_) => return Some(Handshake::Other),
            None => {}
        }
        // `source()` of an I/O error skips the error that it wraps.
        let io = error.downcast_ref::<std::io::Error>();
        hung_up |= io.is_some_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            )
        });
        next = match io.and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    hung_up.then_some(Handshake::Other)
}

/// The innermost cause of an error: the text of the operating system or the peer.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    one_line(&cause.to_string(), 200)
}

/// `text` without control characters and line breaks, cut to `chars_max` characters.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let words: Vec<_> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    if line.chars().count() <= chars_max {
        return line;
    }
    line.chars().take(chars_max).chain(['…']).collect()
}

/// Host and port, the only parts of an address that errors show.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or("?");
    url.port()
        .map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// Whether `url` names this machine (`localhost`, 127.0.0.0/8, `::1`).
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The command that starts a sandbox at `host`. Without a port it takes any that is free, and it accepts only tokens that
/// it has issued itself.
pub(crate) fn start_of_sandbox(host: &str) -> String {
    let port = host.rsplit_once(':').map(|(_, port)| port);
    let port = port.map_or_else(String::new, |port| format!(" --port {port}"));
    format!("cloud-sync sandbox{port}")
}

#[cfg(test)]
mod tests;
