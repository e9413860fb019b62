//! The self-test: what works, what does not, and the command that corrects it. If a check fails, checks that depend on
//! it are skipped.

mod data;

use std::{pin::pin, time::Duration};

use futures::StreamExt;
use serde::Serialize;
use tokio::time::Instant;

use data::{domains, filters, notes};

use super::{Engine, RunError, fetch::key, run::second};
use crate::{
    domain::{
        address::SmtpAddress,
        counted::{mailboxes_in_scope, number},
        directory::Directory,
        health::Problem,
        mode::{Mode, PerformSync},
        remedies,
        scope::NO_SUCH_GROUP,
        source::PermissionAnswer,
        world::{Policy, SsoAccountKey},
    },
    exchange::{ExchangeError, Strategy},
    settings::SettingsError,
    state::lock::LockStatus,
};

/// Exchange refuses access although the sign-in works.
const REFUSED: [&str; 2] = [
    "if infra/grant-exchange.sh --check misses nothing, wait: Exchange Online needs 30 minutes to 2 hours to know of a new grant",
    remedies::EXCHANGE_GRANT,
];

/// The usual causes of a 401, the most common first.
const KEY_REFUSED: [&str; 4] = [
    "the key was not copied whole: copy it again from the Zivver WebApp (Organization settings, Integrations, API keys)",
    "the key was revoked, or its administrator deleted: make a new one as a full administrator",
    "CLOUD_SYNC__ZIVVER_API_URL is another environment than the one the key is from",
    "the setting is a Key Vault reference to an old version of the secret: refresh it and restart the app",
];

/// Causes for which Exchange does not find a group of `SOURCE_FILTER`, the most common first.
const FILTER_NOT_FOUND: [&str; 3] = [
    "the entry in CLOUD_SYNC__SOURCE_FILTER is mistyped: copy the group's primary address or object id from the Exchange admin center",
    "the group has another address now, or was deleted: write its object id, which an address does not change",
    "the group belongs to another tenant than the one that this identity is signed in to",
];
/// How to keep a setting that was changed by hand.
const KEEP_CHANGE: [&str; 1] = [
    "set the parameter of infra/main.bicepparam to the same value (docs/deploy.md, Settings that last)",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Good,
    Warning,
    Error,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    pub topic: &'static str,
    pub text: String,
    /// The remedy: commands to copy, or causes to check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedy: Vec<String>,
}

/// All findings, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checkup {
    pub findings: Vec<Finding>,
}

impl Checkup {
    /// If the settings are invalid, nothing else can be checked.
    pub fn of_settings(error: &SettingsError) -> Self {
        let findings = error.problems().iter().map(|problem| Finding {
            level: Level::Error,
            topic: "settings",
            text: format!("{} {}", problem.name, problem.wrong),
            remedy: vec![problem.remedy.clone()],
        });
        Self {
            findings: findings.collect(),
        }
    }

    /// The worst level of all findings.
    pub fn level(&self) -> Level {
        self.findings
            .iter()
            .map(|finding| finding.level)
            .max()
            .unwrap_or(Level::Good)
    }

    fn add(&mut self, level: Level, topic: &'static str, text: impl Into<String>, remedy: &[&str]) {
        self.findings.push(Finding {
            level,
            topic,
            text: text.into(),
            remedy: remedy.iter().map(|line| (*line).to_owned()).collect(),
        });
    }
}

impl Engine {
    /// Checks everything that a run needs. It writes only one test object to the state, and deletes it.
    pub async fn check(&self) -> Checkup {
        let mut checkup = Checkup::default();
        self.check_settings(&mut checkup);
        self.check_schedule(&mut checkup);
        self.check_state(&mut checkup).await;
        self.check_health(&mut checkup).await;
        let signed_in = self.check_identity(&mut checkup).await;
        let key_works = self.check_key(&mut checkup).await;
        match (signed_in, key_works) {
            (true, true) => self.check_both(&mut checkup).await,
            (true, false) => self.check_exchange(&mut checkup).await,
            (false, _) => {}
        }
        checkup
    }

    fn check_settings(&self, checkup: &mut Checkup) {
        let settings = self.settings();
        checkup.add(Level::Good, "settings", "all settings can be used", &[]);
        for warning in &settings.warnings {
            checkup.add(Level::Warning, "settings", warning, &[]);
        }
        for name in &settings.deployed.changed {
            let text = format!("{name} differs from the last deployment; the next one resets it");
            checkup.add(Level::Warning, "settings", text, &KEEP_CHANGE);
        }
        for name in &settings.deployed.resolved {
            let text = format!("{name}: the platform resolved the Key Vault reference");
            checkup.add(Level::Good, "settings", text, &[]);
        }
        let writing = match settings.perform_sync {
            PerformSync::Never => "PERFORM_SYNC is false: nothing is ever written (R28)",
            PerformSync::OnDemand => {
                "PERFORM_SYNC is on-demand: only a person's apply writes (R28)"
            }
            PerformSync::Always => "PERFORM_SYNC is true: what the timer starts writes (R28)",
        };
        checkup.add(Level::Good, "settings", writing, &[]);
        if settings.four_eyes {
            let text = "FOUR_EYES is true: another signed-in person approves what a run held, on the dashboard, and no command does (R41)";
            checkup.add(Level::Good, "settings", text, &[]);
        }
        if settings.sso_account_key == SsoAccountKey::Omit {
            let text = "SSO_ACCOUNT_KEY is omit: an update of aliases or delegates may erase SSO account keys (R23)";
            checkup.add(
                Level::Warning,
                "settings",
                text,
                &["CLOUD_SYNC__SSO_ACCOUNT_KEY=object_id"],
            );
        } else {
            let text = "SSO_ACCOUNT_KEY must name the source of the claim ZivverAccountKey: look it up in Entra under \
                        Enterprise applications, Zivver, Single sign-on, Attributes & Claims (user.objectid is object_id, \
                        user.userprincipalname is user_principal_name, user.mail is primary_address) (R23)";
            checkup.add(Level::Good, "settings", text, &[]);
        }
    }

    /// R28: the next runs of the timer, and the problems of the host that prevent them.
    fn check_schedule(&self, checkup: &mut Checkup) {
        let host = &self.settings().host;
        for problem in host.problems() {
            checkup.add(Level::Error, "schedule", problem.to_string(), &[]);
        }
        if let (Some(text), Some(Ok(schedule))) = (&host.schedule, host.schedule()) {
            let upcoming: Vec<String> = host
                .upcoming(self.now())
                .iter()
                .map(|time| second(*time).to_string())
                .collect();
            let upcoming = upcoming.join(", ");
            let Some(interval) = schedule.interval() else {
                let text = format!("SYNC_SCHEDULE {text:?} is next due at {upcoming}");
                checkup.add(Level::Good, "schedule", text, &[]);
                return;
            };
            let (level, not_at, remedy) = match time_of_day(text) {
                Some((hour, minute)) => (
                    Level::Warning,
                    format!(", not at {}", text.trim()),
                    vec![format!(
                        "for {} each day (UTC): SYNC_SCHEDULE='0 {minute} {hour} * * *'",
                        text.trim()
                    )],
                ),
                None => (Level::Good, String::new(), Vec::new()),
            };
            checkup.findings.push(Finding {
                level,
                topic: "schedule",
                text: format!(
                    "SYNC_SCHEDULE {text:?} is an interval: every {interval:#}{not_at}; next due at {upcoming}, counted from now; an \
                     interval needs an App Service plan"
                ),
                remedy,
            });
        }
    }

    /// R28: the same problems as `/health`. If no host starts runs, a missing run is only a warning.
    async fn check_health(&self, checkup: &mut Checkup) {
        // `check_state` already reports a state that cannot be read.
        let Ok(problems) = self.problems_of_runs().await else {
            return;
        };
        let is_grave = |problem: &Problem| {
            self.settings().host.is_present || matches!(problem, Problem::Unreadable(_))
        };
        for problem in problems {
            let text = problem.to_string();
            let level = if is_grave(&problem) {
                Level::Error
            } else {
                Level::Warning
            };
            if !checkup.findings.iter().any(|finding| finding.text == text) {
                checkup.add(level, "health", text, &[]);
            }
        }
        if let Ok(Some((started, cause))) = self.failed_beside().await {
            let mode = match self.settings().perform_sync.timer_mode() {
                Mode::Preview => "apply",
                Mode::Apply => "preview",
            };
            let text = format!("the last {mode}, of {started}, failed: {cause}");
            checkup.add(Level::Warning, "health", text, &[]);
        }
    }

    async fn check_state(&self, checkup: &mut Checkup) {
        let looked = async {
            let state = self.state().await?;
            let status = self.lock_status().await?;
            state.lock(self.shared.lease).try_writing().await?;
            Ok::<_, RunError>((state.place(), status))
        };
        let (level, text) = match looked.await {
            Ok((place, lock)) => {
                let (level, lock) = match lock {
                    LockStatus::Free => (Level::Good, "no run holds the lock".to_owned()),
                    LockStatus::Held(holder) => {
                        (Level::Good, format!("the lock is held by {holder}"))
                    }
                    LockStatus::Abandoned(holder) => (
                        Level::Warning,
                        format!(
                            "the process of {} has ended; the next apply takes over its lock",
                            holder.owner
                        ),
                    ),
                };
                (level, format!("{place} can be read and written; {lock}"))
            }
            Err(error) => (Level::Error, error.to_string()),
        };
        checkup.add(level, "state", text, &[]);
    }

    async fn check_identity(&self, checkup: &mut Checkup) -> bool {
        let facts = async { Ok::<_, RunError>(self.exchange()?.usable_token().await?) };
        match facts.await {
            Ok(facts) => {
                let text = format!(
                    "signed in to tenant {} as {}",
                    facts.tenant_id, facts.principal
                );
                checkup.add(Level::Good, "identity", text, &[]);
                if let Some(warning) = facts.warning {
                    checkup.add(
                        Level::Warning,
                        "identity",
                        warning,
                        &[remedies::EXCHANGE_GRANT],
                    );
                }
                true
            }
            Err(error) => {
                checkup.add(Level::Error, "identity", error.to_string(), &[]);
                false
            }
        }
    }

    async fn check_key(&self, checkup: &mut Checkup) -> bool {
        let groups = async { Ok::<_, RunError>(self.zivver().await?.groups().await?) };
        match groups.await {
            Ok(_) => {
                checkup.add(
                    Level::Good,
                    "zivver",
                    "the key is accepted and the lists can be read",
                    &[],
                );
                true
            }
            Err(error) => {
                let text = error.to_string();
                let remedy = if text.contains("401") {
                    &KEY_REFUSED[..]
                } else {
                    &[]
                };
                checkup.add(Level::Error, "zivver", text, remedy);
                false
            }
        }
    }

    /// Reads Exchange while Zivver cannot be read, so that one check names the problems of both.
    async fn check_exchange(&self, checkup: &mut Checkup) {
        let listed = async {
            let exchange = self.exchange()?;
            let listed = exchange.normalised_mailboxes(|_| ()).await?;
            Ok::<_, RunError>(Directory::of(listed))
        };
        match listed.await {
            Ok(directory) => {
                let listed = directory.mailboxes.len();
                let text = format!("Exchange listed {}", mailboxes(listed));
                checkup.add(Level::Good, "exchange", text, &[]);
                let policy = self.policy();
                // R14: the members of the filter are not known here.
                if policy.source_filter.is_empty() {
                    self.check_permissions(checkup, &directory, &policy).await;
                }
            }
            Err(error) => unread(checkup, &error),
        }
    }

    /// Reads both sides like a run, except permissions.
    async fn check_both(&self, checkup: &mut Checkup) {
        match self.look(&SmtpAddress::verbatim("")).await {
            Ok((fetched, _, plan)) => {
                let directory = &fetched.world.directory;
                let accounts = fetched.world.accounts.len() as u64;
                let text = format!(
                    "Exchange listed {}; Zivver has {}",
                    mailboxes_in_scope(plan.seen.mailboxes, plan.seen.in_scope),
                    number(accounts, "account", "accounts")
                );
                checkup.add(Level::Good, "exchange", text, &[]);
                domains(checkup, &fetched);
                filters(checkup, &plan, &fetched);
                notes(checkup, &plan);
                self.check_permissions(checkup, directory, &fetched.policy)
                    .await;
            }
            Err(error) => unread(checkup, &error),
        }
    }

    /// Reads the permissions of one mailbox, and estimates from that how long a run needs for all.
    async fn check_permissions(
        &self,
        checkup: &mut Checkup,
        directory: &Directory,
        policy: &Policy,
    ) {
        let wanted: Vec<_> = directory
            .iter()
            .filter(|(ix, _)| policy.wants_permissions(directory, *ix))
            .collect();
        let key = wanted.first().and_then(|(_, mailbox)| key(mailbox));
        let (Some(key), Ok(exchange)) = (key, self.exchange()) else {
            checkup.add(
                Level::Warning,
                "exchange",
                "no mailbox is in scope, so there is nothing to synchronise",
                &[],
            );
            return;
        };
        let started = Instant::now();
        let answer = pin!(exchange.permissions(vec![key])).next().await;
        let took = started.elapsed();
        match answer {
            Some(Ok((_, PermissionAnswer::Entries(_)))) => {
                checkup.add(
                    Level::Good,
                    "exchange",
                    "the permissions of a mailbox can be read",
                    &[],
                );
            }
            Some(Ok((_, PermissionAnswer::Unread(why)))) => {
                checkup.add(
                    Level::Error,
                    "exchange",
                    format!("permissions cannot be read: {why}"),
                    &REFUSED,
                );
            }
            Some(Err(error)) => checkup.add(Level::Error, "exchange", error.to_string(), &REFUSED),
            Some(Ok((_, PermissionAnswer::Gone))) | None => {
                checkup.add(
                    Level::Warning,
                    "exchange",
                    "the mailbox that was tried vanished meanwhile",
                    &[],
                );
            }
        }
        let settings = self.settings();
        let requests = requests(settings.exo_permissions, wanted.len());
        let estimate = duration(requests, took, settings.exo_concurrency);
        let text = format!(
            "a run reads the permissions of {} with about {}, in about {} s at the current speed",
            mailboxes(wanted.len()),
            number(requests as u64, "request", "requests"),
            estimate.as_secs().max(1)
        );
        checkup.add(Level::Good, "size", text, &[]);
    }
}

/// Hour and minute of an interval that is written like a time of the day, such as `02:00`.
fn time_of_day(schedule: &str) -> Option<(u8, u8)> {
    let (hour, minute) = schedule.trim().split_once(':')?;
    Some((hour.parse().ok()?, minute.parse().ok()?))
}

/// Why the sides cannot be read.
fn unread(checkup: &mut Checkup, error: &RunError) {
    let forbidden = matches!(error, RunError::Source(ExchangeError::Permission(_)));
    let no_group =
        matches!(error, RunError::SourceFilter(reason) if reason.contains(NO_SUCH_GROUP));
    let remedy: &[&str] = if forbidden {
        &REFUSED
    } else if no_group {
        &FILTER_NOT_FOUND
    } else {
        &[]
    };
    checkup.add(Level::Error, "exchange", error.to_string(), remedy);
}

fn mailboxes(count: usize) -> String {
    number(count as u64, "mailbox", "mailboxes")
}

fn requests(strategy: Strategy, mailboxes: usize) -> usize {
    match strategy {
        Strategy::Get => mailboxes,
        Strategy::Batch => mailboxes.div_ceil(10),
    }
}

fn duration(requests: usize, each: Duration, concurrency: usize) -> Duration {
    let rounds = requests.div_ceil(concurrency.max(1));
    each.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
}
