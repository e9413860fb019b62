//! Collects the spans of runs when they end, as a layer of the log that reads only the target [`TARGET`].
//!
//! Names and fields of spans come from the code that creates them. A span outside a run is not kept. Each request is
//! counted in all spans around it, so that a phase knows its requests even if their own spans were dropped.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};
use uuid::Uuid;

use super::wire::{Message, Value, attributes};

/// The target of spans that are exported but not logged: the log takes other targets from WARN on.
pub(super) const TARGET: &str = "trace";

/// The span that begins a trace.
const ROOT: &str = "run";

/// A span with this field is a request to another service.
const REQUEST: &str = "cloud_sync.request.kind";

/// How many spans of requests are kept until the end of a run. Ten thousand mailboxes need that many.
const REQUESTS_MAX: usize = 10_000;

const INTERNAL: u32 = 1;
const CLIENT: u32 = 3;
const FAILED: u32 = 2;

/// Spans that ended and were not sent yet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Spans(Arc<Mutex<EndedSpans>>);

#[derive(Debug, Default)]
struct EndedSpans {
    spans: Vec<Message>,
    requests: usize,
    dropped: u64,
}

/// A span that is open.
#[derive(Debug)]
struct OpenSpan {
    trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    name: String,
    began: u64,
    fields: BTreeMap<&'static str, Value>,
    /// Sums over the spans below: requests by kind, retries, throttled answers.
    counts: BTreeMap<String, i64>,
}

impl Spans {
    /// Takes the spans that ended since the last call, and the number of dropped request spans.
    pub(super) fn take(&self) -> (Vec<Message>, u64) {
        let ended = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (ended.spans, ended.dropped)
    }

    fn keep(&self, span: OpenSpan, ended: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if span.is_request() {
            if all.requests >= REQUESTS_MAX {
                all.dropped += 1;
                return;
            }
            all.requests += 1;
        }
        all.spans.push(span.message(ended));
    }
}

impl OpenSpan {
    fn is_request(&self) -> bool {
        self.fields.contains_key(REQUEST)
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// `Span`
    fn message(self, ended: u64) -> Message {
        let kind = if self.is_request() { CLIENT } else { INTERNAL };
        let mut fields = self.fields;
        let failed = fields.contains_key("error.type");
        let name = match fields.remove("otel.name") {
            Some(Value::Text(name)) => name,
            _ => self.name,
        };
        let counts = self
            .counts
            .iter()
            .map(|(what, count)| (what.as_str(), Value::Int(*count)));
        let attributes = attributes(fields.into_iter().chain(counts));
        let mut span = Message::default()
            .with(1, "traceId", Value::Id(self.trace.to_vec()))
            .with(2, "spanId", Value::Id(self.id.to_vec()));
        if let Some(parent) = self.parent {
            span = span.with(4, "parentSpanId", Value::Id(parent.to_vec()));
        }
        span = span
            .text(5, "name", name)
            .with(6, "kind", Value::Number(kind))
            .with(7, "startTimeUnixNano", Value::Fixed(self.began))
            .with(8, "endTimeUnixNano", Value::Fixed(ended))
            .many(9, "attributes", attributes);
        if failed {
            let status = Message::default().with(3, "code", Value::Number(FAILED));
            span = span.one(15, "status", status);
        }
        span
    }
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let above = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            extensions
                .get::<OpenSpan>()
                .map(|open| (open.trace, open.id))
        });
        let (trace, parent) = match above {
            Some((trace, parent)) => (trace, Some(parent)),
            None if span.name() == ROOT => (*Uuid::new_v4().as_bytes(), None),
            None => return,
        };
        let (high, _) = Uuid::new_v4().as_u64_pair();
        let mut open = OpenSpan {
            trace,
            id: high.to_be_bytes(),
            parent,
            name: span.name().to_owned(),
            began: now(),
            fields: BTreeMap::new(),
            counts: BTreeMap::new(),
        };
        attributes.record(&mut Fields(&mut open.fields));
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<OpenSpan>()
        {
            values.record(&mut Fields(&mut open.fields));
        }
    }

    /// Counts the event by its name in the spans around it.
    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        if let (Some(Value::Text(what)), Some(span)) = (fields.get("count"), ctx.event_span(event))
        {
            count(&span, what, true);
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<OpenSpan>() else {
            return;
        };
        if let Some(Value::Text(kind)) = open.fields.get(REQUEST) {
            count(&span, "cloud_sync.requests", false);
            count(&span, &format!("cloud_sync.requests.{kind}"), false);
            if open.fields.get("http.response.status_code") == Some(&Value::Int(429)) {
                count(&span, "cloud_sync.throttled", false);
            }
        }
        self.keep(open, now());
    }
}

/// Counts in all spans above `span`, and in `span` if `itself` is set.
fn count<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>, what: &str, itself: bool) {
    for span in span.scope().skip(usize::from(!itself)) {
        if let Some(open) = span.extensions_mut().get_mut::<OpenSpan>() {
            open.count(what);
        }
    }
}

pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, Value>);

impl Visit for Fields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name(), Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.0.insert(field.name(), Value::Int(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name(), Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(field.name(), Value::Text(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn requests_count_in_the_phases_around_them() {
        let spans = Spans::default();
        let subscriber = tracing_subscriber::registry().with(spans.clone());
        tracing::subscriber::with_default(subscriber, || {
            let outside =
                tracing::info_span!("request", cloud_sync.request.kind = "list").entered();
            drop(outside);
            let run = tracing::info_span!("run", cloud_sync.run = "0b5e").entered();
            let fetch = tracing::info_span!("fetch").entered();
            for status in [200, 429] {
                tracing::info_span!(
                    "request",
                    otel.name = "GET list",
                    cloud_sync.request.kind = "list",
                    http.response.status_code = status
                )
                .in_scope(|| tracing::info!(count = "cloud_sync.retries"));
            }
            drop((fetch, run));
        });
        let (ended, dropped) = spans.take();
        let shown: Vec<_> = ended.iter().map(Message::json).collect();
        assert_eq!((shown.len(), dropped), (4, 0), "{shown:#?}");
        assert_eq!(shown[0]["name"], "GET list");
        assert_eq!(shown[0]["kind"], 3);
        assert_eq!(shown[0]["parentSpanId"], shown[2]["spanId"]);
        assert_eq!(shown[2]["parentSpanId"], shown[3]["spanId"]);
        assert_eq!(shown[0]["traceId"], shown[3]["traceId"]);
        let counts = [
            ("cloud_sync.requests", "2"),
            ("cloud_sync.requests.list", "2"),
            ("cloud_sync.retries", "2"),
            ("cloud_sync.throttled", "1"),
        ];
        for (key, value) in counts {
            let attribute = serde_json::json!({"key": key, "value": {"intValue": value}});
            for span in [&shown[2], &shown[3]] {
                assert!(
                    span["attributes"].as_array().unwrap().contains(&attribute),
                    "{key}: {span}"
                );
            }
        }
    }
}
