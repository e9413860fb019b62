//! The log: in the format of the Functions host, or for a person at a terminal; optionally also in daily files.
//!
//! The host turns each line into one record: stdout is Information, stderr with the word "warn" a Warning, other stderr
//! an Error (`docs/specs/functions-host.md`, "4. Logging and correlation"). So each event is one line without colours,
//! and WARN and ERROR go to stderr.

mod line;

use std::{
    io::{self, Write},
    iter,
    path::Path,
};

use tracing::{Level, Metadata, Subscriber};
use tracing_appender::{
    non_blocking::{NonBlocking, WorkerGuard},
    rolling::{RollingFileAppender, Rotation},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{MakeWriter, writer::BoxMakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
};

use crate::{
    otlp::{Otlp, OtlpError},
    settings::{LogLevel, LogSettings},
};
use line::{Human, Logfmt};

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// How many daily files are kept.
const FILES_MAX: usize = 14;

/// Keeps the writer of the files alive. Dropping it writes the last lines.
#[must_use = "dropping it closes the log files"]
#[derive(Debug)]
pub struct Telemetry {
    _files: Option<WorkerGuard>,
    /// The exporter of traces and metrics, for the code that starts runs.
    pub otlp: Option<Otlp>,
}

/// Sets up the log of a process started by the Functions host: level `info` unless `LOG_LEVEL` is set.
pub fn for_host(settings: &LogSettings, otlp: Result<Option<Otlp>, OtlpError>) -> Telemetry {
    let console = Console {
        out: BoxMakeWriter::new(io::stdout),
        err: BoxMakeWriter::new(io::stderr),
    };
    let level = settings.level.unwrap_or(LogLevel::Info);
    start(settings, otlp, |files| {
        vec![host_layer(level, console, files).boxed()]
    })
}

pub(crate) const LOG_DIR_REMEDY: &str =
    "set CLOUD_SYNC__LOG_DIR to a folder that this process may write";

/// Sets up the log of the command line: readable text on stderr, level `warn` unless `LOG_LEVEL` is set.
pub fn for_cli(settings: &LogSettings, otlp: Result<Option<Otlp>, OtlpError>) -> Telemetry {
    let level = settings.level.unwrap_or(LogLevel::Warn);
    start(settings, otlp, |files| {
        let human = tracing_subscriber::fmt::layer()
            .event_format(Human)
            .fmt_fields(Human)
            .with_writer(BoxMakeWriter::new(anstream::stderr))
            .log_internal_errors(false)
            .with_filter(filter(level));
        let files = files.map(|files| {
            tracing_subscriber::fmt::layer()
                .event_format(Logfmt)
                .fmt_fields(Logfmt)
                .with_writer(files)
                .log_internal_errors(false)
                .with_filter(filter(settings.level.unwrap_or(LogLevel::Info)))
        });
        iter::once(human.boxed())
            .chain(files.map(Layer::boxed))
            .collect()
    })
}

/// Installs the layers that `build` makes from the writer of the files, and the panic hook. If the files cannot be
/// opened, the program logs an error and continues: the folder of a published app is read-only.
fn start(
    settings: &LogSettings,
    otlp: Result<Option<Otlp>, OtlpError>,
    build: impl FnOnce(Option<NonBlocking>) -> Vec<Boxed>,
) -> Telemetry {
    let opened = settings
        .dir
        .as_ref()
        .map(|dir| open(dir).map_err(|error| (dir, error)));
    let (files, failure) = match opened {
        Some(Ok(files)) => (Some(files), None),
        Some(Err(failure)) => (None, Some(failure)),
        None => (None, None),
    };
    let (writer, guard) = files.unzip();
    let (otlp, untraced) = match otlp {
        Ok(otlp) => (otlp, None),
        Err(error) => (None, Some(error)),
    };
    // A list, since a layer of `None` would switch off all others.
    let mut layers = build(writer);
    layers.extend(otlp.as_ref().map(|otlp| otlp.layer().boxed()));
    let subscriber = tracing_subscriber::registry().with(layers);
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::debug!("the log was set up before");
    }
    std::panic::set_hook(Box::new(log_panic));
    if let Some((dir, error)) = failure {
        tracing::error!(
            dir = %dir.display(),
            error = &error as &dyn std::error::Error,
            "cannot write log files: {LOG_DIR_REMEDY}"
        );
    }
    if let Some(error) = untraced {
        tracing::warn!("{error}");
    }
    Telemetry {
        _files: guard,
        otlp,
    }
}

/// Why no log files can be written although a folder for them is set.
pub(crate) fn unwritable(settings: &LogSettings) -> Option<String> {
    let dir = settings.dir.as_ref()?;
    let error = open(dir).err()?;
    Some(format!(
        "cannot write log files in {}: {error}",
        dir.display()
    ))
}

/// One file a day, `cloud-sync.2026-11-23.log`.
fn open(dir: &Path) -> io::Result<(NonBlocking, WorkerGuard)> {
    // The appender itself prints a line to stderr for a folder that it cannot list.
    std::fs::create_dir_all(dir)?;
    std::fs::read_dir(dir)?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("cloud-sync")
        .filename_suffix("log")
        .max_log_files(FILES_MAX)
        .build(dir)
        .map(tracing_appender::non_blocking)
        .map_err(io::Error::other)
}

/// Logs one line with the fields of the invocation that panicked; the default hook would print several lines.
fn log_panic(info: &std::panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let at = info.location().map(ToString::to_string);
    tracing::error!(at = at.as_deref().unwrap_or("unknown"), "panic: {text}");
}

/// Events of this program at `level`; those of other crates only from WARN, because their lower levels show headers and
/// URLs.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    Targets::new()
        .with_target("cloud_sync", level)
        .with_default(level.min(Level::WARN))
}

/// One layer for console and files together, so that a field recorded late is formatted once.
fn host_layer<S>(level: LogLevel, console: Console, files: Option<NonBlocking>) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer()
        .event_format(Logfmt)
        .fmt_fields(Logfmt)
        .with_writer(Streams { console, files })
        .log_internal_errors(false)
        .with_filter(filter(level))
}

/// The two streams that the host reads.
struct Console {
    out: BoxMakeWriter,
    err: BoxMakeWriter,
}

struct Streams {
    console: Console,
    files: Option<NonBlocking>,
}

impl<'a> MakeWriter<'a> for Streams {
    type Writer = Tee<'a>;

    fn make_writer(&'a self) -> Tee<'a> {
        self.tee(&self.console.out)
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Tee<'a> {
        if *meta.level() <= Level::WARN {
            self.tee(&self.console.err)
        } else {
            self.tee(&self.console.out)
        }
    }
}

impl Streams {
    fn tee<'a>(&'a self, console: &'a BoxMakeWriter) -> Tee<'a> {
        Tee {
            console: console.make_writer(),
            files: self.files.clone(),
        }
    }
}

/// Writes to the console and to the files.
struct Tee<'a> {
    console: Box<dyn Write + 'a>,
    files: Option<NonBlocking>,
}

impl Write for Tee<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(files) = &mut self.files {
            files.write_all(line)?;
        }
        self.console.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.console.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        fn writer(&self) -> BoxMakeWriter {
            let captured = self.clone();
            BoxMakeWriter::new(move || captured.clone())
        }

        /// The lines without the leading time.
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            assert!(text.is_empty() || text.ends_with('\n'));
            text.lines()
                .map(|line| line.split_once(' ').unwrap().1.to_owned())
                .collect()
        }
    }

    fn logged(level: LogLevel, act: impl FnOnce()) -> (Vec<String>, Vec<String>) {
        logged_besides(level, None, act)
    }

    fn logged_besides(
        level: LogLevel,
        files: Option<NonBlocking>,
        act: impl FnOnce(),
    ) -> (Vec<String>, Vec<String>) {
        let (out, err) = (Captured::default(), Captured::default());
        let console = Console {
            out: out.writer(),
            err: err.writer(),
        };
        let layer = host_layer(level, console, files);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, act);
        (out.lines(), err.lines())
    }

    #[test]
    fn levels_go_to_the_stream_that_the_host_expects() {
        let (out, err) = logged(LogLevel::Debug, || {
            tracing::debug!("asked");
            tracing::info!(created = 3, "run ended");
            tracing::warn!("held");
            tracing::error!("failed");
            tracing::trace!("never shown");
        });
        assert_eq!(
            out,
            [
                "level=DEBUG msg=asked target=cloud_sync::telemetry::tests",
                "level=INFO msg=\"run ended\" created=3 target=cloud_sync::telemetry::tests",
            ]
        );
        assert_eq!(
            err,
            [
                "level=WARN msg=held target=cloud_sync::telemetry::tests",
                "level=ERROR msg=failed target=cloud_sync::telemetry::tests",
            ]
        );
        assert!(!err[1].to_lowercase().contains("warn"));
    }

    #[test]
    fn an_error_about_warnings_stays_an_error() {
        let (_, err) = logged(LogLevel::Info, || {
            tracing::error!(
                levels = "error, warn, info",
                "LOG_LEVEL \"verbose\": WARNING is not a level"
            );
            tracing::warn!("warned");
        });
        assert!(!err[0].to_lowercase().contains("warn"), "{}", err[0]);
        assert!(err[0].contains("error, wa·rn, info"), "{}", err[0]);
        assert!(err[1].starts_with("level=WARN msg=warned"), "{}", err[1]);
    }

    #[test]
    fn no_line_from_info_on_names_anybody() {
        let text =
            "SOURCE_FILTER staff@corp.example, <o'b+c@mail.corp.example>: \"é@corp.example.\"";
        let act = || {
            tracing::error!(who = "anna@corp.example", "{text}");
            tracing::info!("v=@Microsoft.KeyVault(x) a@b @ x@ {}", "=q@corp.example");
            tracing::debug!("{text}");
        };
        let (out, err) = logged(LogLevel::Debug, act);
        let told = r#"msg="SOURCE_FILTER (address), <(address)>: \"(address).\"" who=(address) "#;
        assert!(err[0].contains(told), "{}", err[0]);
        let told = r#"msg="v=@Microsoft.KeyVault(x) a@b @ x@ =(address)" "#;
        assert!(out[0].contains(told), "{}", out[0]);
        assert!(out[1].contains("staff@corp.example"), "{}", out[1]);
    }

    #[test]
    fn a_panic_names_nobody() {
        let (_, err) = logged(LogLevel::Info, || {
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(log_panic));
            let panicked = std::panic::catch_unwind(|| panic!("no mailbox for anna@corp.example"));
            std::panic::set_hook(hook);
            assert!(panicked.is_err());
        });
        let lines = err.join("\n");
        assert!(lines.contains("panic: no mailbox for (address)"), "{lines}");
        assert!(!lines.contains("corp.example"), "{lines}");
    }

    #[test]
    fn an_event_is_one_plain_line_with_the_fields_of_its_spans() {
        let (out, _) = logged(LogLevel::Info, || {
            let span = tracing::info_span!(
                "invocation",
                invocation = "5f7c",
                run = tracing::field::Empty
            );
            let _entered = span.enter();
            span.record("run", "0b5e");
            // As a run of the queue does: first the message names it, then the run.
            span.record("run", "0b5e");
            tracing::info!(
                text = "a\nb=\"c\"\u{202e}",
                empty = "",
                "line one\r\nline \u{1b}[31mtwo"
            );
        });
        assert_eq!(
            out,
            [
                r#"level=INFO msg="line one\r\nline \u{1b}[31mtwo" invocation=5f7c run=0b5e text="a\nb=\"c\"\u{202e}" empty="" target=cloud_sync::telemetry::tests"#
            ]
        );
    }

    #[test]
    fn errors_are_logged_with_their_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read page 2")]
        struct Outer(#[source] io::Error);
        let (_, err) = logged(LogLevel::Info, || {
            let error = Outer(io::Error::other("connection reset"));
            tracing::error!(error = &error as &dyn std::error::Error, "run failed");
        });
        assert_eq!(
            err,
            [
                "level=ERROR msg=\"run failed\" error=\"cannot read page 2: connection reset\" target=cloud_sync::telemetry::tests"
            ]
        );
    }

    #[test]
    fn other_crates_are_heard_from_warn_on() {
        let (out, err) = logged(LogLevel::Trace, || {
            tracing::info!(target: "hyper", "header");
            tracing::warn!(target: "hyper", "odd");
        });
        assert_eq!(out, Vec::<String>::new());
        assert_eq!(err, ["level=WARN msg=odd target=hyper"]);
    }

    #[test]
    fn files_get_every_line_of_both_streams() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, guard) = open(folder.path()).unwrap();
        let (out, err) = logged_besides(LogLevel::Info, Some(writer), || {
            tracing::info!("one");
            tracing::error!("two");
        });
        drop(guard);
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap();
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.split_once(' ').unwrap().1)
            .collect();
        assert_eq!(lines, [out, err].concat());
    }

    #[test]
    fn a_line_fits_the_longest_record_of_the_host() {
        let (out, _) = logged(LogLevel::Info, || {
            tracing::info!("{}", "é".repeat(100_000));
        });
        assert!(out[0].len() < 32_768 && out[0].ends_with('…'));
    }
}
