//! The settings: one struct, read once through a lookup function, with all problems in one error.
//!
//! Settings are environment variables: the Functions host makes them from app settings, and the command line also reads
//! them from the file that `--env-file` names. Names that only this program reads have the prefix [`PREFIX`].

mod deployed;
mod env_file;
mod names;
mod other;
mod reader;
mod secret;
mod table;
mod value;

use std::{cell::RefCell, collections::BTreeSet, fmt, path::PathBuf, time::Duration};

use url::Url;

use crate::{
    domain::{
        actor::Role,
        guard::{Limit, Limits},
        health::Host,
        mode::PerformSync,
        schedule::time_span,
        scope::{ClaimedDomains, TargetFilter},
        world::{Policy, SsoAccountKey},
    },
    exchange::{Identity, Strategy},
    mail::{MailSettings, Route},
    state::{StateError, StateLocation},
    zivver::Rate,
};

pub use deployed::Deployed;
use reader::Reader;
use value::fault;

pub use env_file::{EnvFileError, use_env_file};
pub use names::PREFIX;
pub use secret::Secret;
pub use table::{SETTINGS, Setting, SettingDefault};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The settings of the log. They are read separately from [`Settings`] and reading them cannot fail, so that errors in
/// other settings can be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `None` if not set or invalid; [`Settings::read`] reports an invalid one.
    pub level: Option<LogLevel>,
    /// The folder for log files in addition to the console.
    pub dir: Option<PathBuf>,
}

/// The settings for reading the history. They are read separately from [`Settings`], so that reports can be read where
/// no run can start.
#[derive(Debug, Clone)]
pub struct StateSettings {
    pub location: StateLocation,
    pub lock_lease: Duration,
}

/// All settings, with defaults where they have one.
#[derive(Debug, Clone)]
pub struct Settings {
    pub zivver_api_key: Secret,
    /// Without a trailing slash.
    pub zivver_api_url: Url,
    pub zivver_rate: Rate,
    /// Never empty (R13).
    pub claimed_domains: ClaimedDomains,
    /// R15
    pub target_filter: TargetFilter,
    /// Object ids or addresses of groups, as written; empty for no filter (R14).
    pub source_filter: BTreeSet<String>,
    pub perform_sync: PerformSync,
    /// R41: the role of a caller who uses a function key and is not signed in.
    pub key_role: Role,
    /// R41: a held set must be approved by another person than the one who started the run that holds it.
    pub four_eyes: bool,
    /// R41: App Service authentication is on, so the names in its headers can be trusted.
    pub signs_in: bool,
    pub identity: Identity,
    pub exo_url: Url,
    pub exo_permissions: Strategy,
    /// Maximum number of requests to Exchange in flight.
    pub exo_concurrency: usize,
    pub sso_account_key: SsoAccountKey,
    /// 0 to 1 (R2).
    pub min_source_ratio: f64,
    /// 0 to 1 (R2).
    pub min_target_ratio: f64,
    pub limits: Limits,
    /// R32.
    pub max_consecutive_failures: u32,
    /// How long one invocation works before it saves its progress and hands over (R34).
    pub time_budget: Duration,
    pub state: StateLocation,
    /// How long the lock of a run that died blocks the next run (R29).
    pub lock_lease: Duration,
    pub keep_runs: u32,
    /// How long a run that wrote is kept (R35).
    pub keep_applied: Duration,
    pub notify_url: Option<Secret<Url>>,
    /// The address of the dashboard without a trailing slash, for links in messages.
    pub dashboard_url: Option<Url>,
    pub mail: Option<MailSettings>,
    /// The settings that determine whether the Functions host starts the timer.
    pub host: Host,
    /// The differences between these settings and those of the last deployment.
    pub deployed: Deployed,
    /// Problems that do not prevent a run: probable typos, a time budget longer than the host's timeout.
    pub warnings: Vec<String>,
}

/// One variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub name: String,
    pub wrong: String,
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.name, self.wrong, self.remedy)
    }
}

/// All problems with the settings, on one line; [`Self::problems`] returns them separately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    problems: Vec<Problem>,
}

impl SettingsError {
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot use the settings")?;
        for (at, problem) in self.problems.iter().enumerate() {
            write!(f, "{} {problem}", if at == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// A variable from the environment, or from the file that [`use_env_file`] read. All settings are looked up here.
pub fn environment(name: &str) -> Option<String> {
    let variable = std::env::var_os(name).map(|text| text.to_string_lossy().into_owned());
    variable.or_else(|| env_file::value(name).map(str::to_owned))
}

/// `TZ` in the file of settings, if the environment has none.
pub fn time_zone_of_file() -> Option<&'static str> {
    let is_set = std::env::var_os("TZ").is_some();
    env_file::value("TZ").filter(|name| !is_set && !name.trim().is_empty())
}

/// The names of all variables that are set, for [`Settings::read`].
pub fn environment_names() -> Vec<String> {
    std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .chain(env_file::names().map(str::to_owned))
        .collect()
}

impl LogSettings {
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader::new(&lookup, &[]);
        Self {
            level: reader.optional(&table::LOG_LEVEL),
            dir: reader.optional(&table::LOG_DIR),
        }
    }
}

/// The port that the Functions host assigned; `None` if no host started this process (`docs/specs/functions-host.md`,
/// "1.2 Environment of the child").
pub fn functions_port(
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<u16>, SettingsError> {
    let set = ["FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"]
        .into_iter()
        .find_map(|name| Some((name, lookup(name).filter(|text| !text.trim().is_empty())?)));
    let Some((name, text)) = set else {
        return Ok(None);
    };
    text.trim().parse().map(Some).map_err(|_| SettingsError {
        problems: vec![Problem {
            name: name.to_owned(),
            wrong: "is not a port".to_owned(),
            remedy: "let the Functions host set it, or write a number from 0 to 65535".to_owned(),
        }],
    })
}

impl StateSettings {
    /// Reads these settings only, and reports no problems with others.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&lookup, &[]);
        let settings = Self {
            location: read_state(&mut reader, &lookup),
            lock_lease: reader.value(&table::LOCK_LEASE),
        };
        reader.finish()?;
        Ok(settings)
    }
}

impl Settings {
    /// The settings that shape a plan.
    pub fn policy(&self) -> Policy {
        Policy {
            claimed_domains: self.claimed_domains.clone(),
            target_filter: self.target_filter.clone(),
            source_filter: self.source_filter.clone(),
            source_members: None,
            sso_account_key: self.sso_account_key,
            limits: self.limits.clone(),
            min_source_ratio: self.min_source_ratio,
            min_target_ratio: self.min_target_ratio,
        }
    }

    /// Reads all settings. `names` are the names of all variables that are set, used to find typos; it may be empty.
    pub fn read(
        lookup: impl Fn(&str) -> Option<String>,
        names: &[String],
    ) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&lookup, names);
        let r = &mut reader;
        r.optional(&table::LOG_LEVEL);
        r.optional(&table::LOG_DIR);
        let mut settings = Self {
            zivver_api_key: r.required(&table::ZIVVER_API_KEY, Secret::new(String::new())),
            zivver_api_url: r.value(&table::ZIVVER_API_URL),
            zivver_rate: r.value(&table::ZIVVER_RATE),
            claimed_domains: r.required(&table::CLAIMED_DOMAINS, ClaimedDomains::default()),
            target_filter: r.optional(&table::TARGET_FILTER).unwrap_or_default(),
            source_filter: r.optional(&table::SOURCE_FILTER).unwrap_or_default(),
            perform_sync: r.value(&table::PERFORM_SYNC),
            key_role: r.value(&table::KEY_ROLE),
            four_eyes: r.value(&table::FOUR_EYES),
            signs_in: is_on(&lookup, "WEBSITE_AUTH_ENABLED"),
            identity: read_identity(r, &lookup),
            exo_url: r.value(&table::EXO_URL),
            exo_permissions: r.value(&table::EXO_PERMISSIONS),
            exo_concurrency: r.value(&table::EXO_CONCURRENCY),
            sso_account_key: r.required(&table::SSO_ACCOUNT_KEY, SsoAccountKey::Omit),
            min_source_ratio: r.value(&table::MIN_SOURCE_RATIO),
            min_target_ratio: r.value(&table::MIN_TARGET_RATIO),
            limits: read_limits(r),
            max_consecutive_failures: r.value(&table::MAX_CONSECUTIVE_FAILURES),
            time_budget: r.value(&table::TIME_BUDGET),
            state: read_state(r, &lookup),
            lock_lease: r.value(&table::LOCK_LEASE),
            keep_runs: r.value(&table::KEEP_RUNS),
            keep_applied: r.value(&table::KEEP_APPLIED),
            notify_url: r.optional(&table::NOTIFY_URL),
            dashboard_url: read_dashboard_url(r, &lookup),
            mail: read_mail(r),
            host: Host {
                full_every: r.value(&table::FULL_EVERY),
                ..read_host(&lookup)
            },
            deployed: deployed::compare(&lookup),
            warnings: r.typos(),
        };
        reader.finish()?;
        settings.warnings.extend(settings.budget_warning(&lookup));
        settings.warnings.extend(settings.four_eyes_warning());
        Ok(settings)
    }

    /// R41
    fn four_eyes_warning(&self) -> Option<String> {
        let has_no_sign_in = self.four_eyes && self.host.is_present && !self.signs_in;
        has_no_sign_in.then(|| {
            format!(
                "{PREFIX}FOUR_EYES is true and App Service authentication is off: no caller can approve held changes; turn \
                 sign-in on (docs/deploy.md), or set it to false (R41)"
            )
        })
    }

    /// The host kills the process at its timeout, which host.json sets and an app setting can replace
    /// (`docs/specs/functions-host.md`, "1.6 Function timeout").
    fn budget_warning(&self, lookup: &impl Fn(&str) -> Option<String>) -> Option<String> {
        const IN_HOST_JSON: &str = "00:10:00";
        lookup("FUNCTIONS_CUSTOMHANDLER_PORT")?;
        let replaced = lookup("AzureFunctionsJobHost__functionTimeout");
        let timeout = replaced.as_deref().unwrap_or(IN_HOST_JSON);
        // `-1` sets no limit.
        let limit = Duration::try_from(time_span(timeout)?).ok()?;
        (self.time_budget >= limit).then(|| {
            format!(
                "{PREFIX}TIME_BUDGET is not below the host's functionTimeout of {timeout}: the host would kill a long run; \
                 lower it, or raise functionTimeout (to 10 minutes at most in a Consumption plan)"
            )
        })
    }
}

fn read_identity<L: Fn(&str) -> Option<String>>(r: &mut Reader<'_, L>, lookup: &L) -> Identity {
    let token = r.optional(&table::ACCESS_TOKEN);
    let token = token.map(|token| azure_core::credentials::Secret::new(token.expose().clone()));
    let client_id = r.optional(&table::MANAGED_IDENTITY_CLIENT_ID);
    let set = |name| lookup(name).is_some_and(|text| !text.trim().is_empty());
    let endpoint = set("IDENTITY_ENDPOINT");
    if endpoint && token.is_none() && !set("IDENTITY_HEADER") {
        r.problem(
            "IDENTITY_HEADER".to_owned(),
            fault(
                "is not set although IDENTITY_ENDPOINT is",
                "leave both to the platform; on a computer of your own unset both",
            ),
        );
    }
    Identity::choose(token, endpoint, client_id)
}

/// The setting, or the address from the host name that the platform sets.
fn read_dashboard_url<L: Fn(&str) -> Option<String>>(
    r: &mut Reader<'_, L>,
    lookup: &L,
) -> Option<Url> {
    let set = r.optional(&table::DASHBOARD_URL);
    let of_platform = || {
        let host = lookup("WEBSITE_HOSTNAME").filter(|text| !text.trim().is_empty())?;
        Url::parse(&format!("https://{}/api/SyncHttp", host.trim())).ok()
    };
    set.or_else(of_platform)
}

/// Either part of sender and recipients without the other is an error, and so is a server without both.
fn read_mail<L: Fn(&str) -> Option<String>>(r: &mut Reader<'_, L>) -> Option<MailSettings> {
    let server = r.optional(&table::SMTP_URL);
    let from = r.optional(&table::MAIL_FROM);
    let to = r.optional(&table::MAIL_TO);
    let when = r.value(&table::MAIL_WHEN);
    let graph = r.value(&table::GRAPH_URL);
    let set = [
        ("SMTP_URL", server.is_some()),
        ("MAIL_FROM", from.is_some()),
        ("MAIL_TO", to.is_some()),
    ];
    let given = set.iter().find(|(_, is_set)| *is_set);
    for (name, is_set) in &set[1..] {
        if let Some((given, _)) = given
            && !is_set
            && r.text(name).is_none()
        {
            let wrong = format!("is not set although {given} is");
            let fault = fault(wrong, format!("write an address, or remove {given}"));
            r.problem(format!("{PREFIX}{name}"), fault);
        }
    }
    Some(MailSettings {
        route: server.map_or(Route::Graph(graph), Route::Smtp),
        from: from?,
        to: to?,
        when,
    })
}

/// Settings of the host itself. On Linux a `.` in a name may be replaced by `_`.
fn read_host(lookup: &impl Fn(&str) -> Option<String>) -> Host {
    let set = |name: &str| lookup(name).filter(|text| !text.trim().is_empty());
    let names = ["SyncTimer", "SyncQueue"].into_iter().flat_map(|function| {
        [".", "__", "_"].map(|dot| format!("AzureWebJobs{dot}{function}{dot}Disabled"))
    });
    Host {
        is_present: ["FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"]
            .into_iter()
            .any(|name| set(name).is_some()),
        schedule: set("SYNC_SCHEDULE"),
        disabled: names.filter(|name| is_on(lookup, name)).collect(),
        full_every: Duration::ZERO,
    }
}

/// Whether a setting of the platform is on.
fn is_on(lookup: &impl Fn(&str) -> Option<String>, name: &str) -> bool {
    lookup(name).is_some_and(|text| {
        let text = text.trim();
        text == "1" || text.eq_ignore_ascii_case("true")
    })
}

fn read_limits<L: Fn(&str) -> Option<String>>(r: &mut Reader<'_, L>) -> Limits {
    Limits {
        suspend: r.value(&table::MAX_SUSPEND),
        delegate_removals: r.value(&table::MAX_DELEGATE_REMOVALS),
        alias_removals: r.value(&table::MAX_ALIAS_REMOVALS),
        renames: r.value(&table::MAX_RENAMES),
        name_changes: r.value(&table::MAX_NAME_CHANGES),
        strays: r.value(&table::MAX_STRAYS),
        identity_changes: r.value(&table::MAX_IDENTITY_CHANGES),
        creates: r.value(&table::MAX_CREATES),
        sign_in_key_changes: r.value(&table::MAX_SIGN_IN_KEY_CHANGES),
    }
}

fn read_state<L: Fn(&str) -> Option<String>>(r: &mut Reader<'_, L>, lookup: &L) -> StateLocation {
    let state = r.optional(&table::STATE);
    let unresolved = RefCell::new(BTreeSet::new());
    let resolved = |name: &str| {
        let text = lookup(name)?;
        if value::is_unresolved_reference(&text) {
            unresolved.borrow_mut().insert(name.to_owned());
            return None;
        }
        Some(value::unquoted(&text).to_owned())
    };
    let location = StateLocation::from_settings(state.as_deref(), resolved);
    let unresolved = unresolved.into_inner();
    if !unresolved.is_empty() {
        for name in unresolved {
            r.problem(name, reader::unresolved_reference());
        }
        return StateLocation::Memory;
    }
    location.unwrap_or_else(|error| {
        const REMEDY: &str = "correct or remove it";
        if let StateError::Setting { setting, problem } = error {
            let (wrong, remedy) = problem.split_once("; ").unwrap_or((&problem, REMEDY));
            // A connection string has several parts, of which the problem names one.
            let wrong = if setting.starts_with(PREFIX) {
                wrong.to_owned()
            } else {
                format!("cannot be used: {wrong}")
            };
            r.problem(setting, fault(wrong, remedy));
        } else {
            r.problem(format!("{PREFIX}STATE"), fault(error.to_string(), REMEDY));
        }
        StateLocation::Memory
    })
}

#[cfg(test)]
mod tests;
