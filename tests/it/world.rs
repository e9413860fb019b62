//! The test bench: a simulated world behind the sandbox, the engine in front of it, and methods to inspect the result.

use std::{collections::BTreeMap, time::Duration};

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        explain::Explanation,
        mode::{Mode, Trigger},
        report::Report,
    },
    engine::{Engine, Links, RunError, RunRequest},
    http::{Clock, Transport},
    sandbox::{
        Sandbox, SandboxOptions,
        exchange::Tenant,
        zivver::{LimiterKind, Organisation},
    },
    settings::Settings,
    state::{State, lock::Lease},
};

/// An HTTP client of a test, separate from those of the program.
pub(crate) fn http_client() -> reqwest::ClientBuilder {
    cloud_sync::http::set_up_tls();
    reqwest::Client::builder()
}

/// A running sandbox and the settings that point at it.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) engine: Engine,
}

impl World {
    pub(crate) async fn start(tenant: Tenant, organisation: Organisation) -> Self {
        Self::with(tenant, organisation, &[]).await
    }

    /// `extra` are settings without their prefix.
    pub(crate) async fn with(
        tenant: Tenant,
        organisation: Organisation,
        extra: &[(&str, &str)],
    ) -> Self {
        Self::build(tenant, organisation, extra, |_| Links::default()).await
    }

    /// Without a network between engine and sandbox, for a test on a paused clock: waiting takes no real time.
    pub(crate) async fn still(tenant: Tenant, organisation: Organisation) -> Self {
        Self::still_with(tenant, organisation, &[]).await
    }

    pub(crate) async fn still_with(
        tenant: Tenant,
        organisation: Organisation,
        extra: &[(&str, &str)],
    ) -> Self {
        let links = |sandbox: &Sandbox| Links {
            exchange: Some(Transport::InProcess(sandbox.exchange.router())),
            zivver: Some(Transport::InProcess(sandbox.zivver.router())),
            clock: Clock::simulated(jiff::Timestamp::now()),
            ..Links::default()
        };
        Self::build(tenant, organisation, extra, links).await
    }

    /// The same world and the same state, with other settings and a new process.
    pub(crate) async fn again_with(self, extra: &[(&str, &str)]) -> Self {
        self.again(extra, None).await
    }

    /// The same, with another length of the lock.
    pub(crate) async fn again(self, extra: &[(&str, &str)], lease: Option<Lease>) -> Self {
        let state = self.engine.state().await.unwrap().clone();
        self.over(state, extra, lease)
    }

    /// A new process with another state.
    pub(crate) fn over(self, state: State, extra: &[(&str, &str)], lease: Option<Lease>) -> Self {
        let Self {
            sandbox,
            mut settings,
            engine,
        } = self;
        for (name, value) in extra {
            settings.insert(format!("CLOUD_SYNC__{name}"), (*value).to_owned());
        }
        let links = Links {
            exchange: Some(Transport::InProcess(sandbox.exchange.router())),
            zivver: Some(Transport::InProcess(sandbox.zivver.router())),
            state: Some(state),
            clock: Clock::simulated(engine.time()),
            lease,
            ..Links::default()
        };
        let read = Settings::read(|name| settings.get(name).cloned(), &[]).unwrap();
        Self {
            engine: Engine::new(read, links),
            sandbox,
            settings,
        }
    }

    async fn build(
        tenant: Tenant,
        mut organisation: Organisation,
        extra: &[(&str, &str)],
        links: impl FnOnce(&Sandbox) -> Links,
    ) -> Self {
        let domains: Vec<String> = organisation
            .claimed_domains
            .iter()
            .map(ToString::to_string)
            .collect();
        if !extra.iter().any(|(name, _)| *name == "ZIVVER_RATE") {
            organisation.limiter.kind = LimiterKind::Off;
        }
        let key = sandbox::zivver::API_KEY.to_owned();
        let sandbox = Sandbox::start(SandboxOptions {
            port: 0,
            tenant,
            organisation,
        })
        .await
        .unwrap();
        let mut settings: BTreeMap<String, String> = [
            ("ZIVVER_API_KEY", key),
            ("ZIVVER_API_URL", sandbox.zivver_url()),
            ("EXO_URL", sandbox.exchange_url()),
            ("ACCESS_TOKEN", sandbox.exchange.identity().mint()),
            ("CLAIMED_DOMAINS", domains.join(",")),
            ("SSO_ACCOUNT_KEY", "object_id".into()),
            ("PERFORM_SYNC", "true".into()),
            ("ZIVVER_RATE", "unlimited".into()),
            ("STATE", "memory:".into()),
            // Most tests are not about the number of new accounts.
            ("MAX_CREATES", "100%".into()),
            ("MAX_SIGN_IN_KEY_CHANGES", "100%".into()),
        ]
        .into_iter()
        .map(|(name, value)| (format!("CLOUD_SYNC__{name}"), value))
        .collect();
        for (name, value) in extra {
            settings.insert(format!("CLOUD_SYNC__{name}"), (*value).to_owned());
        }
        let read = Settings::read(|name| settings.get(name).cloned(), &[]).unwrap();
        let engine = Engine::new(read, links(&sandbox));
        Self {
            sandbox,
            settings,
            engine,
        }
    }

    pub(crate) async fn preview(&self) -> Report {
        self.run(Mode::Preview).await
    }

    pub(crate) async fn apply(&self) -> Report {
        self.run(Mode::Apply).await
    }

    async fn run(&self, mode: Mode) -> Report {
        self.run_for(&RunRequest::new(mode, Trigger::CommandLine))
            .await
            .unwrap()
    }

    /// Applies with these approval codes (R27).
    pub(crate) async fn approve(&self, codes: &[&str]) -> Report {
        let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
        request.approve = codes.iter().map(ToString::to_string).collect();
        self.run_for(&request).await.unwrap()
    }

    /// A run for these accounts only (R39).
    pub(crate) async fn scoped(&self, mode: Mode, addresses: &[&str]) -> Report {
        let mut request = RunRequest::new(mode, Trigger::CommandLine);
        request.accounts = addresses
            .iter()
            .map(|address| SmtpAddress::parse(address).unwrap())
            .collect();
        self.run_for(&request).await.unwrap()
    }

    pub(crate) async fn run_for(&self, request: &RunRequest) -> Result<Report, RunError> {
        // On a paused clock this is virtual time. It is longer than the longest retry of a service that is down.
        let run = Box::pin(self.engine.run(request));
        tokio::time::timeout(Duration::from_hours(6), run)
            .await
            .unwrap()
    }

    pub(crate) async fn explain(&self, address: &str) -> Explanation {
        Box::pin(self.engine.explain(&SmtpAddress::parse(address).unwrap()))
            .await
            .unwrap()
    }
}
