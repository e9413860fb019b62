//! The handler's process: how the host starts it, reads its console, and reacts to its end
//! (`docs/specs/functions-host.md`, "1. Process life cycle" and "4.1 Console").

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use uuid::Uuid;

use super::project::{AppSettings, Project};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Information,
    Warning,
    Error,
}

/// The destination of a log record (4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    /// A message of the host, or of a handler in the name of the host.
    System,
    /// `Host.Function.Console`
    Console,
    /// An entry of `Logs`.
    User,
    Tooling,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) category: Category,
    pub(crate) level: Level,
    pub(crate) text: String,
}

/// Everything that the host logged for one app, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    records: Arc<Mutex<Vec<Record>>>,
}

impl Log {
    pub(super) fn add(&self, level: Level, text: String) {
        self.record(Category::System, level, text);
    }

    pub(super) fn record(&self, category: Category, level: Level, text: String) {
        let record = Record {
            category,
            level,
            text,
        };
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record);
    }

    pub(crate) fn all(&self) -> Vec<Record> {
        self.records.lock().unwrap().clone()
    }

    pub(crate) fn at(&self, level: Level) -> Vec<String> {
        let all = self.all().into_iter();
        all.filter(|record| record.level == level)
            .map(|record| record.text)
            .collect()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.all().iter().any(|record| record.text.contains(text))
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Record { level, text, .. } in self.all() {
            writeln!(f, "{level:?} {text}")?;
        }
        Ok(())
    }
}

/// The level of a line of the console (4.1).
pub(crate) fn level_of(line: &str, is_stderr: bool, stderr_is_errors: bool) -> Level {
    let lower = line.to_ascii_lowercase();
    let severe = ["error", "fail", "severe", "unhandled exception"];
    if !is_stderr {
        Level::Information
    } else if lower.contains("warn") {
        Level::Warning
    } else if stderr_is_errors || severe.iter().any(|word| lower.contains(word)) {
        Level::Error
    } else {
        Level::Information
    }
}

/// Two prefixes send a line to another category. The first of them is removed.
pub(crate) fn category_of(line: &str) -> (Category, &str) {
    if let Some(rest) = line.strip_prefix("LanguageWorkerConsoleLog") {
        (Category::System, rest)
    } else if line.starts_with("azfuncjsonlog:") {
        (Category::Tooling, line)
    } else {
        (Category::Console, line)
    }
}

/// The reaction of the host to an exit (1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Exit 0: no restart in any case.
    Nothing,
    Restart,
    /// Too many exits: the host stops.
    Stop,
}

/// Counts exits as the host does.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    errors: Vec<Instant>,
}

impl Restarts {
    pub(crate) fn react(&mut self, code: i32, now: Instant) -> Reaction {
        const WINDOW: Duration = Duration::from_secs(30 * 60);
        const ERRORS_MAX: usize = 3;
        match code {
            0 => return Reaction::Nothing,
            200 => return Reaction::Restart,
            _ => {}
        }
        if self
            .errors
            .last()
            .is_some_and(|last| now.duration_since(*last) > WINDOW)
        {
            self.errors.clear();
        }
        self.errors.push(now);
        if self.errors.len() < ERRORS_MAX {
            Reaction::Restart
        } else {
            Reaction::Stop
        }
    }
}

/// 128 + n for a signal.
fn code_of(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A process. Killed when dropped.
#[derive(Debug)]
pub(super) struct Worker {
    child: Arc<Mutex<Child>>,
    pub(super) pid: u32,
    pub(super) exit: watch::Receiver<Option<i32>>,
}

impl Worker {
    /// An error is a start failure of the host (1.4).
    pub(super) fn start(
        project: &Project,
        settings: &AppSettings,
        port: u16,
        log: &Log,
    ) -> std::io::Result<Self> {
        let mut command = Command::new(&project.executable);
        command.current_dir(&project.root);
        if let Some(user) = project.user {
            command.env_clear().uid(user).gid(user);
        }
        command.envs(settings);
        for (name, value) in [
            ("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string()),
            ("FUNCTIONS_HTTPWORKER_PORT", port.to_string()),
            (
                "FUNCTIONS_CUSTOMHANDLER_WORKER_ID",
                Uuid::new_v4().to_string(),
            ),
            ("FUNCTIONS_HTTPWORKER_ID", Uuid::new_v4().to_string()),
            (
                "FUNCTIONS_APP_ROOT_PATH",
                project.root.display().to_string(),
            ),
        ] {
            command.env(name, value);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pid = child.id();
        let strict = project.stderr_is_errors;
        let out = follow(child.stdout.take().unwrap(), log.clone(), false, strict);
        let err = follow(child.stderr.take().unwrap(), log.clone(), true, strict);
        let child = Arc::new(Mutex::new(child));
        let (ended, exit) = watch::channel(None);
        let waiting = Arc::clone(&child);
        let log = log.clone();
        let file = project.executable.display().to_string();
        thread::spawn(move || {
            out.join().unwrap();
            let errors = err.join().unwrap();
            let code = code_of(waiting.lock().unwrap().wait().unwrap());
            if code != 0 {
                log.add(
                    Level::Error,
                    format!("Language Worker Process exited. Pid={pid}."),
                );
                let last = errors.join(",");
                log.add(
                    Level::Error,
                    format!("{file} exited with code {code} (0x{code:X}){last}"),
                );
            }
            ended.send_replace(Some(code));
        });
        Ok(Self { child, pid, exit })
    }

    pub(super) async fn exited(&self) -> i32 {
        let mut exit = self.exit.clone();
        let code = exit.wait_for(Option::is_some).await.map(|code| *code);
        code.unwrap().unwrap()
    }

    /// SIGKILL, the only signal that a host sends (1.7).
    pub(super) fn kill(&self) {
        if self.exit.borrow().is_none() {
            // An error means that it has already ended.
            drop(self.child.lock().unwrap().kill());
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads a pipe to its end. Returns the last three error lines.
fn follow(
    pipe: impl Read + Send + 'static,
    log: Log,
    is_stderr: bool,
    stderr_is_errors: bool,
) -> thread::JoinHandle<Vec<String>> {
    thread::spawn(move || {
        let mut errors = Vec::new();
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let level = level_of(&line, is_stderr, stderr_is_errors);
            if is_stderr && level == Level::Error {
                errors.push(line.clone());
            }
            let (category, text) = category_of(&line);
            log.record(category, level, text.to_owned());
        }
        errors.split_off(errors.len().saturating_sub(3))
    })
}
