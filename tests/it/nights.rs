//! A test bench for runs over several days: the engine against the sandbox, with one state and a clock that tests move.

use std::collections::BTreeSet;

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        plan::ActionKind,
        report::Report,
    },
    engine::{Engine, Links, RunError, RunRequest},
    http::Clock,
    sandbox::{
        Sandbox, SandboxOptions,
        exchange::Tenant,
        zivver::{API_KEY, Organisation, User},
    },
    settings::Settings,
    state::{RunId, State, StateLocation},
};
use jiff::{SignedDuration, Timestamp};

pub(super) struct Nights {
    pub(super) sandbox: Sandbox,
    state: State,
    start: Timestamp,
    hours: i64,
    settings: Vec<(&'static str, String)>,
}

impl Nights {
    pub(super) async fn begin(tenant: Tenant, organisation: Organisation) -> Self {
        let options = SandboxOptions {
            port: 0,
            tenant,
            organisation,
        };
        Self {
            sandbox: Sandbox::start(options).await.unwrap(),
            state: State::open(&StateLocation::Memory).await.unwrap(),
            start: Timestamp::now(),
            hours: 0,
            settings: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.settings.push((name, value.to_owned()));
    }

    pub(super) fn pass_hours(&mut self, hours: i64) {
        self.hours += hours;
    }

    pub(super) fn engine(&self) -> Engine {
        let sandbox = &self.sandbox;
        let lookup = |name: &str| {
            let name = name.strip_prefix("CLOUD_SYNC__")?;
            let set = self.settings.iter().find(|(known, _)| *known == name);
            if let Some((_, value)) = set {
                return Some(value.clone());
            }
            Some(match name {
                "ZIVVER_API_KEY" => API_KEY.to_owned(),
                "ZIVVER_API_URL" => sandbox.zivver_url(),
                "EXO_URL" => sandbox.exchange_url(),
                "ACCESS_TOKEN" => sandbox.exchange.identity().mint(),
                "CLAIMED_DOMAINS" => "corp.example".to_owned(),
                "SSO_ACCOUNT_KEY" => "object_id".to_owned(),
                "PERFORM_SYNC" => "true".to_owned(),
                "ZIVVER_RATE" => "unlimited".to_owned(),
                "STATE" => "memory:".to_owned(),
                "MAX_SUSPEND"
                | "MAX_DELEGATE_REMOVALS"
                | "MAX_ALIAS_REMOVALS"
                | "MAX_RENAMES"
                | "MAX_NAME_CHANGES"
                | "MAX_CREATES"
                | "MAX_SIGN_IN_KEY_CHANGES" => "100%".to_owned(),
                _ => return None,
            })
        };
        let settings = Settings::read(lookup, &[]).unwrap();
        let now = self.start + SignedDuration::from_hours(self.hours);
        let links = Links {
            state: Some(self.state.clone()),
            clock: Clock::simulated(now),
            ..Links::default()
        };
        Engine::new(settings, links)
    }

    /// The run that the timer starts.
    pub(super) async fn night(&self) -> Report {
        let request = RunRequest::new(Mode::Apply, Trigger::Timer);
        self.engine().run(&request).await.unwrap()
    }

    /// A run with the codes of everything that `report` holds.
    pub(super) async fn approve(&self, report: &Report) -> Report {
        let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
        request.approve = report.held.iter().map(|set| set.code.clone()).collect();
        self.engine().run(&request).await.unwrap()
    }

    pub(super) async fn undo(&self, report: &Report, mode: Mode) -> Result<Report, RunError> {
        let mut request = RunRequest::new(mode, Trigger::CommandLine);
        request.undo = RunId::parse(&report.id);
        self.engine().run(&request).await
    }

    /// Requests to Zivver that change something, since the last call.
    pub(super) fn writes(&self) -> Vec<String> {
        let control = self.sandbox.zivver.control();
        let writes = control
            .journal()
            .into_iter()
            .filter(|entry| entry.method != "GET")
            .map(|entry| format!("{} {}", entry.method, entry.path))
            .collect();
        control.clear_journal();
        writes
    }

    pub(super) fn user(&self, address: &str) -> User {
        let state = self.sandbox.zivver.state();
        state.user(address).unwrap().clone()
    }

    /// The visible state of Zivver, one line for each account.
    pub(super) fn shown(&self) -> Vec<String> {
        let state = self.sandbox.zivver.state();
        let set = |items: &[String]| {
            let items: BTreeSet<&str> = items.iter().map(String::as_str).collect();
            items.into_iter().collect::<Vec<_>>().join(" ")
        };
        let users = state.users.iter().map(|user| {
            format!(
                "{} {:?} {} aliases [{}] delegates [{}]",
                user.user_name,
                user.name,
                if user.active { "on" } else { "off" },
                set(&user.aliases),
                set(&user.delegates),
            )
        });
        let groups = state.groups.iter().map(|group| {
            let names: Vec<String> = group
                .members
                .iter()
                .filter_map(|id| state.users.iter().find(|user| user.id == *id))
                .map(|user| user.user_name.clone())
                .collect();
            format!(
                "{} {:?} aliases [{}] members [{}]",
                group.external_id,
                group.display_name,
                set(&group.aliases),
                set(&names),
            )
        });
        let mut lines: Vec<String> = users.chain(groups).collect();
        lines.sort();
        lines
    }
}

/// Kinds and addresses of the planned actions.
pub(super) fn actions(report: &Report) -> Vec<(ActionKind, String)> {
    let actions = report.actions.iter();
    actions
        .map(|action| (action.action.kind, action.action.address.to_string()))
        .collect()
}

/// The held changes with their accounts.
pub(super) fn held(report: &Report) -> Vec<String> {
    let sets = report.held.iter();
    sets.flat_map(|set| set.changes.iter().map(|change| (set.class, change)))
        .map(|(class, change)| format!("{class:?}: {} {}", change.address, change.what))
        .collect()
}
