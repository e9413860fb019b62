//! Traces and metrics of runs, sent by OTLP over HTTP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
//!
//! A run is a trace: the run itself, its phases, and each request below the phase that sent it. No background work may
//! outlive the answer to an invocation, so [`Otlp::export`] sends at the end of each run, with a time limit. What
//! cannot be sent is a warning in the log. No attribute contains an address, the id of a mailbox or a secret.

mod config;
mod metrics;
mod spans;
mod wire;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::{
    domain::report::Report,
    http::{Request, Sender, Transport, retry_after},
};
use config::{Config, Encoding, Signal};
use metrics::Totals;
use spans::Spans;
use wire::{Message, attributes, scope};

pub use config::{NAMES, OtlpError};

/// A receiver accepts at least 4 MiB; a thousand spans take about half of that.
const SPANS_PER_REQUEST: usize = 1000;
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// A slow or unavailable receiver must not delay an invocation.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Collects and sends traces and metrics. Clones are cheap and share what was collected.
#[derive(Debug, Clone)]
pub struct Otlp {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    sender: Sender,
    spans: Spans,
    totals: Mutex<Totals>,
}

impl Otlp {
    /// `None` if no receiver is configured.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, OtlpError> {
        let Some(config) = Config::read(lookup)? else {
            return Ok(None);
        };
        let transport = Transport::network(config.address(Signal::Traces), 1)?;
        Ok(Some(Self {
            shared: Arc::new(Shared {
                sender: Sender::new(transport, "OTEL_EXPORTER_OTLP_ENDPOINT"),
                spans: Spans::default(),
                totals: Mutex::new(Totals::start(spans::now())),
                config,
            }),
        }))
    }

    /// A layer for the log that collects the spans of runs.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let filter = filter_fn(|metadata| metadata.target() == spans::TARGET);
        self.shared.spans.clone().with_filter(filter)
    }

    /// Sends everything that ended since the last call. The metrics are calculated from the report, together with
    /// whether the run is a success (R28).
    pub async fn export(&self, report: Option<(&Report, bool)>) {
        let sending = async {
            let (spans, dropped) = self.shared.spans.take();
            if dropped > 0 {
                tracing::debug!(dropped, "spans of requests beyond the limit are dropped");
            }
            for spans in spans.chunks(SPANS_PER_REQUEST) {
                self.send(Signal::Traces, &self.traces(spans.to_vec()))
                    .await?;
            }
            if let Some((report, is_success)) = report {
                let metrics = self.metrics(report, is_success);
                self.send(Signal::Metrics, &metrics).await?;
            }
            Ok::<_, OtlpError>(())
        };
        match tokio::time::timeout(EXPORT_TIME_MAX, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{error}"),
            Err(_) => tracing::warn!("{}", OtlpError::slow(EXPORT_TIME_MAX)),
        }
    }

    /// `ExportTraceServiceRequest`
    fn traces(&self, spans: Vec<Message>) -> Message {
        let scoped = Message::default()
            .one(1, "scope", scope())
            .many(2, "spans", spans);
        self.resource_around("resourceSpans", "scopeSpans", scoped)
    }

    /// `ExportMetricsServiceRequest`
    fn metrics(&self, report: &Report, is_success: bool) -> Message {
        let mut totals = self
            .shared
            .totals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        totals.add(report, is_success);
        let metrics = totals.metrics(report, spans::now());
        let scoped = Message::default()
            .one(1, "scope", scope())
            .many(2, "metrics", metrics);
        self.resource_around("resourceMetrics", "scopeMetrics", scoped)
    }

    fn resource_around(
        &self,
        outer: &'static str,
        inner: &'static str,
        scoped: Message,
    ) -> Message {
        let known = self.shared.config.resource.iter();
        let known = known.map(|(key, value)| (key.as_str(), wire::Value::Text(value.clone())));
        let resource = Message::default().many(1, "attributes", attributes(known));
        let one = Message::default()
            .one(1, "resource", resource)
            .many(2, inner, vec![scoped]);
        Message::default().many(1, outer, vec![one])
    }

    /// Retries for the statuses that the OTLP specification calls retryable.
    async fn send(&self, signal: Signal, message: &Message) -> Result<(), OtlpError> {
        let Shared { config, sender, .. } = &*self.shared;
        let body = match config.encoding {
            Encoding::Protobuf => message.protobuf(),
            Encoding::Json => message.json().to_string().into_bytes(),
        };
        let body = Bytes::from(body);
        let mut attempt = 1;
        loop {
            let request = Request {
                kind: "telemetry",
                method: Method::POST,
                url: config.address(signal).clone(),
                headers: config.headers(),
                body: body.clone(),
                timeout: config.timeout,
                may_write: None,
                body_limit_bytes: ANSWER_BYTES_MAX,
            };
            let (error, again, wait) = match sender.send(request).await {
                Ok(reply) if reply.status.is_success() => return Ok(()),
                Ok(reply) => {
                    let again = matches!(
                        reply.status,
                        StatusCode::TOO_MANY_REQUESTS
                            | StatusCode::BAD_GATEWAY
                            | StatusCode::SERVICE_UNAVAILABLE
                            | StatusCode::GATEWAY_TIMEOUT
                    );
                    let wait = retry_after(&reply.headers, jiff::Timestamp::now());
                    (OtlpError::refused(reply.status.as_u16()), again, wait)
                }
                Err(error) => (OtlpError::unreachable(&error), true, None),
            };
            if attempt == ATTEMPTS || !again {
                return Err(error);
            }
            tokio::time::sleep(wait.unwrap_or(PAUSE * attempt)).await;
            attempt += 1;
        }
    }
}
