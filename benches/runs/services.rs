//! The sandbox in a separate process, and the program with the settings for it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    Outcome,
    measure::{Usage, run},
};

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_cloud-sync");

/// The sandbox ends when this value is dropped.
pub(super) struct Services {
    sandbox: Child,
    settings: BTreeMap<String, String>,
    state: tempfile::TempDir,
}

impl Services {
    pub(super) fn start(mailboxes: usize, latency: Duration, rate: &str) -> Outcome<Self> {
        let mut sandbox = Command::new(PROGRAM)
            .args(["sandbox", "--json", "--zivver-rate", rate])
            .args(["--mailboxes", &mailboxes.to_string()])
            .args(["--latency-ms", &latency.as_millis().to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut text = String::new();
        for line in BufReader::new(sandbox.stdout.take().ok_or("no output")?).lines() {
            let line = line?;
            text.push_str(&line);
            if line == "}" {
                break;
            }
        }
        let services = Self {
            sandbox,
            settings: serde_json::from_str(&text)?,
            state: tempfile::tempdir()?,
        };
        // A journal of every request would need more time than the answers.
        for service in ["exchange", "zivver"] {
            let path = format!("/sandbox/{service}/options");
            services.send("POST", &path, &json!({"journal_entries_max": 0}))?;
        }
        Ok(services)
    }

    pub(super) fn limit(&self, limiter: &Value) -> Outcome<()> {
        self.send("POST", "/sandbox/zivver/limiter", limiter)
    }

    pub(super) fn apply(&self, concurrency: u64, strategy: &str) -> Outcome<Usage> {
        self.run("apply", concurrency, strategy)
    }

    pub(super) fn preview(&self, concurrency: u64, strategy: &str) -> Outcome<Usage> {
        self.run("preview", concurrency, strategy)
    }

    fn run(&self, command: &str, concurrency: u64, strategy: &str) -> Outcome<Usage> {
        let state = format!("file://{}", self.state.path().display());
        run(Command::new(PROGRAM)
            .args([command, "--json"])
            .envs(&self.settings)
            .env("CLOUD_SYNC__STATE", state)
            .env("CLOUD_SYNC__EXO_CONCURRENCY", concurrency.to_string())
            .env("CLOUD_SYNC__EXO_PERMISSIONS", strategy)
            .env("CLOUD_SYNC__LOG_LEVEL", "warn"))
    }

    pub(super) fn get(&self, path: &str) -> Outcome<Value> {
        Ok(serde_json::from_str(&self.ask("GET", path, "")?)?)
    }

    pub(super) fn send(&self, method: &str, path: &str, body: &Value) -> Outcome<()> {
        self.ask(method, path, &body.to_string()).map(drop)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Outcome<String> {
        let base = self
            .settings
            .get("CLOUD_SYNC__EXO_URL")
            .ok_or("no address")?;
        let host = base.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(host)?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("a broken answer")?;
        match head.split(' ').nth(1) {
            Some(status) if status.starts_with('2') => Ok(body.to_owned()),
            _ => Err(format!("{method} {path}: {answer}").into()),
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // An error means that it has already ended.
        drop(self.sandbox.kill());
        drop(self.sandbox.wait());
    }
}
