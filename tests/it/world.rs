//! The bench: a made-up world behind the sandbox, the engine in front of it, and verbs to look at what became of it.

use std::{collections::BTreeMap, time::Duration};

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        report::Report,
    },
    engine::{Engine, Links, RunRequest},
    sandbox::{
        Sandbox, SandboxOptions,
        exchange::Tenant,
        zivver::{LimiterKind, Organisation},
    },
    settings::Settings,
};

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
        mut organisation: Organisation,
        extra: &[(&str, &str)],
    ) -> Self {
        let domains: Vec<String> = organisation
            .claimed_domains
            .iter()
            .map(ToString::to_string)
            .collect();
        if !extra.iter().any(|(name, _)| *name == "ZIVVER_RATE") {
            organisation.limiter.kind = LimiterKind::Off;
        }
        let key = cloud_sync::sandbox::zivver::API_KEY.to_owned();
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
        ]
        .into_iter()
        .map(|(name, value)| (format!("CLOUD_SYNC__{name}"), value))
        .collect();
        for (name, value) in extra {
            settings.insert(format!("CLOUD_SYNC__{name}"), (*value).to_owned());
        }
        let read = Settings::read(|name| settings.get(name).cloned(), &[]).unwrap();
        let engine = Engine::new(read, Links::default());
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
        let request = RunRequest::new(mode, Trigger::CommandLine);
        tokio::time::timeout(Duration::from_secs(120), self.engine.run(&request))
            .await
            .unwrap()
            .unwrap()
    }
}
