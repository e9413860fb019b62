//! A sandbox, a folder for the state, and the program with settings for both.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use cloud_sync::sandbox::{
    Sandbox, SandboxOptions,
    exchange::{Tenant, guid},
    zivver::{API_KEY, LimiterConfig, Organisation, User},
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

pub(super) struct Bench {
    pub(super) sandbox: Sandbox,
    settings: Vec<(String, String)>,
    folder: TempDir,
}

/// The exit code and the output of the program.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

/// Anna is in sync, Bob and Info have no account yet, the supplier never had a mailbox.
pub(super) fn small() -> (Tenant, Organisation) {
    let tenant = Tenant::new("corp.example")
        .user("anna@corp.example")
        .user("bob@corp.example")
        .shared("info@corp.example")
        .room("room@corp.example")
        .full_access("info@corp.example", "anna@corp.example");
    let anna = tenant.mailboxes[0].display_name.clone();
    let mut organisation = Organisation::new(["corp.example"])
        .with_user(
            User::new("anna@corp.example", &anna)
                .external_account_id(&guid("entra anna@corp.example")),
        )
        .with_user(User::new("supplier@corp.example", "Supplier"));
    organisation.limiter = LimiterConfig::off();
    (tenant, organisation)
}

impl Bench {
    pub(super) async fn start((tenant, organisation): (Tenant, Organisation)) -> Self {
        let options = SandboxOptions {
            tenant,
            organisation,
            ..SandboxOptions::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let state = url::Url::from_directory_path(folder.path()).unwrap();
        let settings = [
            ("ZIVVER_API_KEY", API_KEY.to_owned()),
            ("ZIVVER_API_URL", sandbox.zivver_url()),
            ("ZIVVER_RATE", "unlimited".to_owned()),
            ("CLAIMED_DOMAINS", "corp.example".to_owned()),
            ("PERFORM_SYNC", "on-demand".to_owned()),
            ("ACCESS_TOKEN", sandbox.exchange.identity().mint()),
            ("EXO_URL", sandbox.exchange_url()),
            ("SSO_ACCOUNT_KEY", "object_id".to_owned()),
            ("MAX_CREATES", "100%".to_owned()),
            ("MAX_SIGN_IN_KEY_CHANGES", "100%".to_owned()),
            ("STATE", format!("{state}state")),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        Self {
            sandbox,
            settings: settings.into(),
            folder,
        }
    }

    /// With another value of one setting.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(&[], arguments)
    }

    /// With these variables in addition to the settings.
    pub(super) fn run_with(&self, others: &[(&str, &str)], arguments: &[&str]) -> Ended {
        let settings = self.settings.iter();
        let settings = settings.map(|(name, value)| (format!("CLOUD_SYNC__{name}"), value.clone()));
        let others = others
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables: Vec<_> = settings.chain(others).collect();
        program_in(self.folder.path(), &variables, arguments)
    }

    /// In a shell that first sets its limits.
    #[cfg(target_os = "linux")]
    pub(super) fn run_limited(&self, limits: &str, arguments: &[&str]) -> Ended {
        let settings = self.settings.iter();
        let variables = settings.map(|(name, value)| (format!("CLOUD_SYNC__{name}"), value));
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_cloud-sync"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .envs(variables)
            .stdin(Stdio::null());
        tokio::task::block_in_place(|| shell.output())
            .unwrap()
            .into()
    }

    /// Under a Python script, which gets `word` and the command line. `None` without Python.
    #[cfg(unix)]
    pub(super) fn run_in(&self, script: &str, word: &str, arguments: &[&str]) -> Option<Ended> {
        let settings = self.settings.iter();
        let variables = settings.map(|(name, value)| (format!("CLOUD_SYNC__{name}"), value));
        let mut python = crate::tools::python_with("pty")?;
        python
            .args(["-c", script, word, env!("CARGO_BIN_EXE_cloud-sync")])
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("TERM", "dumb")
            .current_dir(self.folder.path())
            .envs(variables)
            .stdin(Stdio::null());
        let output = tokio::task::block_in_place(|| python.output()).unwrap();
        Some(output.into())
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the program without waiting for its end.
    pub(super) fn begin(&self, arguments: &[&str]) -> Child {
        let settings = self.settings.iter();
        let variables = settings.map(|(name, value)| (format!("CLOUD_SYNC__{name}"), value));
        command(self.folder.path())
            .envs(variables)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Every setting with its full name.
    pub(super) fn settings(&self) -> impl Iterator<Item = (String, &str)> {
        let settings = self.settings.iter();
        settings.map(|(name, value)| (format!("CLOUD_SYNC__{name}"), value.as_str()))
    }

    pub(super) fn setting(&self, name: &str) -> &str {
        let (_, value) = self.settings.iter().find(|it| it.0 == name).unwrap();
        value
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let is_secret = |name: &str| ["ZIVVER_API_KEY", "ACCESS_TOKEN"].contains(&name);
        let secrets = self.settings.iter().filter(move |it| is_secret(&it.0));
        secrets.map(|(_, value)| value.as_str())
    }

    /// Requests other than GET that the simulated Zivver received.
    pub(super) fn writes(&self) -> usize {
        let journal = self.sandbox.zivver.control().journal();
        journal.iter().filter(|entry| entry.method != "GET").count()
    }

    /// The text with the parts replaced that differ from run to run.
    pub(super) fn stable(&self, text: &str) -> String {
        text.replace(&self.sandbox.url(), "http://SANDBOX")
            .replace(self.sandbox.url().trim_start_matches("http://"), "SANDBOX")
            .replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

/// Runs the program with only these variables in its environment.
pub(super) fn program(variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    program_in(folder.path(), &variables, arguments)
}

pub(super) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-sync"));
    command
        .env_clear()
        .env("HOME", folder)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

pub(super) fn program_in(
    folder: &Path,
    variables: &[(String, String)],
    arguments: &[&str],
) -> Ended {
    let mut command = command(folder);
    command
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .args(arguments);
    tokio::task::block_in_place(|| command.output())
        .unwrap()
        .into()
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: without_progress(&String::from_utf8(output.stderr).unwrap()),
        }
    }
}

/// The number of progress lines depends on the load of this machine.
fn without_progress(err: &str) -> String {
    let lines = err.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("progress: "))
        .collect()
}

impl Ended {
    pub(super) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The output without the ids of runs and their durations.
    pub(super) fn filtered(&self) -> String {
        let stable = |line: &str| match line.split_once(" in ") {
            Some((asked, _)) if asked.starts_with("asked") => asked.to_owned(),
            _ if line.starts_with("run ") => "run".to_owned(),
            _ if line.starts_with("since run ") => {
                let (_, changes) = line.split_once(": ").unwrap_or_default();
                format!("since run: {changes}")
            }
            _ => line.to_owned(),
        };
        self.out.lines().map(stable).collect::<Vec<_>>().join("\n")
    }
}
