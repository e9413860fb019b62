//! Formats one event as one line: logfmt for machines, a sentence for people.

use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::{LookupSpan, Scope},
};

use crate::render::visible::is_unseen;

/// Application Insights truncates a record at 32 768 characters without a mark; this limit is lower, and marks the cut.
const LINE_BYTES_MAX: usize = 32_000;

/// `time=… level=INFO msg="…" invocation=… run=… key=value target=…`
#[derive(Debug, Clone, Copy)]
pub(super) struct Logfmt;

/// `warning: … (key=value)`
#[derive(Debug, Clone, Copy)]
pub(super) struct Human;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let parts = Parts::of(event);
        let mut line = format!("time={} level={} msg=", now(), event.metadata().level());
        push_value(&mut line, &parts.message);
        line.push_str(&span_fields(ctx));
        line.push_str(&parts.fields);
        write!(line, " target={}", event.metadata().target())?;
        let mut line = fit_to_log(line, *event.metadata().level());
        cut(&mut line);
        writeln!(writer, "{line}")
    }
}

impl<'w> FormatFields<'w> for Logfmt {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut parts = Parts::default();
        fields.record(&mut parts);
        writer.write_str(parts.fields.trim_start())
    }

    /// A field that is recorded again as it is, such as the run of a queued message, stands in the line once.
    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut parts = Parts::default();
        fields.record(&mut parts);
        let known = format!(" {} ", current.fields);
        if !known.contains(&format!("{} ", parts.fields)) {
            current.fields.push_str(&parts.fields);
        }
        Ok(())
    }
}

impl<S, N> FormatEvent<S, N> for Human
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let parts = Parts::of(event);
        let (label, colour) = match *event.metadata().level() {
            Level::ERROR => ("error", AnsiColor::Red),
            Level::WARN => ("warning", AnsiColor::Yellow),
            Level::INFO => ("info", AnsiColor::Green),
            Level::DEBUG => ("debug", AnsiColor::Blue),
            Level::TRACE => ("trace", AnsiColor::Cyan),
        };
        let style = Style::new().bold().fg_color(Some(colour.into()));
        let mut line = plain(&parts.message);
        if !parts.fields.is_empty() {
            write!(line, " ({})", parts.fields.trim_start())?;
        }
        let line = without_addresses(line, *event.metadata().level());
        writeln!(writer, "{style}{label}{style:#}: {line}")
    }
}

impl<'w> FormatFields<'w> for Human {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        Logfmt.format_fields(writer, fields)
    }
}

/// From `info` on a line contains no addresses, and an error does not look like a warning to the host.
fn fit_to_log(line: String, level: Level) -> String {
    let line = without_addresses(line, level);
    if level == Level::ERROR {
        without_warn(&line)
    } else {
        line
    }
}

/// Panics and errors of other services may contain addresses, and more people read logs than reports.
fn without_addresses(line: String, level: Level) -> String {
    if level > Level::INFO || !line.contains('@') {
        return line;
    }
    let is_local = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let is_domain = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let mut out = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(at) = rest.find('@') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let local = before.trim_end_matches(is_local).len();
        let domain = after.trim_start_matches(is_domain);
        let domain = &after[..after.len() - domain.len()];
        // Keeps the name of a field, as in `error=…`.
        let local = before[local..]
            .rfind('=')
            .map_or(local, |equals| local + equals + 1);
        if local < at && domain.trim_matches('.').contains('.') {
            out.push_str(&before[..local]);
            out.push_str("(address)");
            rest = &after[domain.trim_end_matches('.').len()..];
        } else {
            out.push_str(&rest[..=at]);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The host classifies any line with these four letters as a Warning (`docs/specs/functions-host.md`, "4.3 Format").
fn without_warn(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.to_ascii_lowercase().find("warn") {
        out.push_str(&rest[..at + 2]);
        out.push('·');
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
    out
}

/// The fields of all spans around the event, outermost first.
fn span_fields<S, N>(ctx: &FmtContext<'_, S, N>) -> String
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut text = String::new();
    let spans = ctx.event_scope().into_iter().flat_map(Scope::from_root);
    for span in spans {
        if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
            && !fields.fields.is_empty()
        {
            text.push(' ');
            text.push_str(&fields.fields);
        }
    }
    text
}

fn now() -> impl fmt::Display {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
}

fn cut(line: &mut String) {
    if line.len() > LINE_BYTES_MAX {
        let mut end = LINE_BYTES_MAX;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
}

/// The message of an event, and its other fields as ` key=value`.
#[derive(Default)]
struct Parts {
    message: String,
    fields: String,
}

impl Parts {
    fn of(event: &Event<'_>) -> Self {
        let mut parts = Self::default();
        event.record(&mut parts);
        parts
    }

    fn push(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.fields.push(' ');
            self.fields.push_str(field.name());
            self.fields.push('=');
            push_value(&mut self.fields, value);
        }
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut next = value.source();
        while let Some(cause) = next {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            next = cause.source();
        }
        self.push(field, &chain);
    }
}

/// Unquoted if that is unambiguous, else quoted with all invisible characters escaped, so that an event stays one line.
fn push_value(line: &mut String, value: &str) {
    let bare = |c: char| !c.is_whitespace() && !is_unseen(c) && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(bare) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for c in value.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            c if is_unseen(c) => {
                line.extend(c.escape_default());
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// Text for a terminal without control sequences, which could come from another service.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if is_unseen(c) && c != '\n' { ' ' } else { c })
        .collect()
}
