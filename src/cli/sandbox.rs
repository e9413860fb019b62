//! `sandbox`: simulators that keep running, and the settings for using them.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    CliError, Status,
    args::{RateArg, TenantArgs},
    output::{BOLD, DIM, Output},
    text::inert,
};
use crate::{
    functions::shutdown_signal,
    sandbox::{
        Sandbox, SandboxOptions,
        tenant::generate,
        zivver::{API_KEY, LimiterConfig},
    },
    settings::PREFIX,
};

/// Starts the simulators with a made-up tenant. The simulated limiter of Zivver uses the same rate as the settings.
pub(super) async fn start(
    port: u16,
    tenant: TenantArgs,
    budget: Option<(u32, Duration)>,
) -> Result<Sandbox, CliError> {
    let (exchange, mut organisation) = generate(tenant.seed, tenant.mailboxes);
    organisation.limiter = match budget {
        None => LimiterConfig::off(),
        Some((calls, window)) => LimiterConfig {
            budget: calls,
            window_millis: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            ..LimiterConfig::default()
        },
    };
    let options = SandboxOptions {
        port,
        tenant: exchange,
        organisation,
    };
    Sandbox::start(options).await.map_err(|error| {
        CliError::Failed(format!(
            "cannot start the sandbox on 127.0.0.1:{port}: {error}; choose another --port, or 0 for any that is free"
        ))
    })
}

/// The settings that connect the program to the sandbox.
pub(super) fn settings(sandbox: &Sandbox, rate: &str, state: &str) -> BTreeMap<String, String> {
    let domains = sandbox.zivver.state().claimed_domains.join(",");
    let token = sandbox.exchange.identity().mint();
    [
        ("ZIVVER_API_KEY", API_KEY.to_owned()),
        ("ZIVVER_API_URL", sandbox.zivver_url()),
        ("ZIVVER_RATE", rate.to_owned()),
        ("CLAIMED_DOMAINS", domains),
        ("PERFORM_SYNC", "on-demand".to_owned()),
        ("ACCESS_TOKEN", token),
        ("EXO_URL", sandbox.exchange_url()),
        ("SSO_ACCOUNT_KEY", "object_id".to_owned()),
        // The accounts of the sandbox are all new to the program, and no person signs in to them.
        ("MAX_CREATES", "100%".to_owned()),
        ("MAX_SIGN_IN_KEY_CHANGES", "100%".to_owned()),
        ("STATE", state.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (format!("{PREFIX}{name}"), value))
    .collect()
}

pub(super) async fn keep_running(
    port: u16,
    tenant: TenantArgs,
    latency_ms: u64,
    rate: &RateArg,
    write_env: Option<PathBuf>,
    output: Output,
) -> Result<Status, CliError> {
    let sandbox = start(port, tenant, rate.budget).await?;
    let latency = Duration::from_millis(latency_ms);
    sandbox.exchange.control().set_latency(latency);
    sandbox.zivver.control().set_latency(latency);
    // A separate state: the memory of a sandbox must not mix with that of a real tenant.
    let folder = std::env::temp_dir().join(format!("cloud-sync-sandbox-{}", std::process::id()));
    let state = url::Url::from_directory_path(&folder).map_or_else(
        |()| "memory:".to_owned(),
        |url| url.as_str().trim_end_matches('/').to_owned(),
    );
    let mut traces = Traces {
        folder,
        env_file: None,
    };
    let settings = settings(&sandbox, &rate.text, &state);
    let mut how = "Use the settings for your shell in another terminal".to_owned();
    if let Some(file) = write_env {
        let shown = inert(&file.display().to_string()).to_string();
        write_new(&file, &settings).map_err(|error| not_written(&shown, &error))?;
        how = format!("Use --env-file {shown} in another terminal, or the settings for your shell");
        traces.env_file = Some(file);
    }
    output.show(&settings, || page(&settings))?;
    output.say(&format!(
        "{BOLD}Sandbox at {}{BOLD:#}: {} mailboxes. {DIM}{how}; Ctrl+C ends it.{DIM:#}",
        sandbox.url(),
        tenant.mailboxes
    ));
    shutdown_signal().await;
    sandbox.stop().await;
    Ok(Status::InSync)
}

/// What is of no use without the sandbox. It is removed when this is dropped.
struct Traces {
    folder: PathBuf,
    env_file: Option<PathBuf>,
}

impl Drop for Traces {
    fn drop(&mut self) {
        // Without a run there is no folder.
        drop(fs::remove_dir_all(&self.folder));
        drop(self.env_file.as_ref().map(fs::remove_file));
    }
}

/// A new file, since an existing one may have the settings of a real tenant.
fn write_new(file: &Path, settings: &BTreeMap<String, String>) -> io::Result<()> {
    let mut file = fs::File::create_new(file)?;
    for (name, value) in settings {
        writeln!(file, "{name}='{value}'")?;
    }
    Ok(())
}

fn not_written(file: &str, error: &io::Error) -> CliError {
    let remedy = if error.kind() == io::ErrorKind::AlreadyExists {
        "delete it, or name another file"
    } else {
        "name a file in a folder that you can write"
    };
    CliError::Failed(format!("cannot write {file}: {error}; {remedy}"))
}

/// The settings for a POSIX shell, followed by those for PowerShell.
fn page(settings: &BTreeMap<String, String>) -> String {
    let form = |of: fn(&str, &str) -> String| {
        let lines = settings.iter().map(|(name, value)| of(name, value));
        lines.collect::<Vec<_>>().join("\n")
    };
    format!(
        "{}\n\n# PowerShell:\n{}\n",
        form(|name, value| format!("export {name}='{value}'")),
        form(|name, value| format!("$env:{name} = '{value}'"))
    )
}
