//! The Zivver client against the simulated Zivver, in this process and on a paused clock.

mod lists;
mod pace;
mod secrets;
mod writes;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cloud_sync::{
    domain::{
        account::{Extension, UserAccount},
        address::SmtpAddress,
        execute::{FunctionalExtensionUpdate, FunctionalUpdate, UserExtensionUpdate, UserUpdate},
        ids::{ObjectId, ScimId, SignInKey},
        probe::AnswerSheet,
    },
    http::{Clock, Transport},
    sandbox::{
        control::{Entry, Fault, FaultKind},
        zivver::{API_KEY, Organisation, Simulator, Switches, User},
    },
    zivver::{ApiKey, Connection, MayWrite, Policy, Rate, ZivverClient},
};
use serde_json::Value;

const BASE: &str = "http://zivver.example/api/";
const KEY: &str = "22222222-0000-4000-8000-000000000001";

/// One simulated organisation and a client of it.
struct World {
    zivver: Simulator,
    client: ZivverClient,
    may_write: Arc<AtomicBool>,
}

impl World {
    fn of(organisation: Organisation) -> Self {
        Self::at_rate(organisation, Rate::Unlimited)
    }

    fn at_rate(mut organisation: Organisation, rate: Rate) -> Self {
        if rate == Rate::Unlimited {
            organisation.limiter = sandbox::zivver::LimiterConfig::off();
        }
        let zivver = Simulator::new(organisation);
        let may_write = Arc::new(AtomicBool::new(true));
        let gate = Arc::clone(&may_write);
        let may = MayWrite::new(move || gate.load(Ordering::Relaxed));
        let connection = connection(BASE, rate, may);
        let client = ZivverClient::new(connection, Transport::InProcess(zivver.router()));
        Self {
            zivver,
            client,
            may_write,
        }
    }

    fn with_switches(edit: impl FnOnce(&mut Switches)) -> Self {
        let mut organisation = organisation();
        edit(&mut organisation.switches);
        Self::of(organisation)
    }

    fn fault(&self, kind: FaultKind) {
        self.zivver.control().inject(Fault::once(kind));
    }

    fn journal(&self) -> Vec<Entry> {
        self.zivver.control().journal()
    }

    /// Method and status of every request, in order.
    fn calls(&self) -> Vec<String> {
        let shown = |entry: &Entry| match entry.status {
            Some(status) => format!("{} {status}", entry.method),
            None => format!("{} lost", entry.method),
        };
        self.journal().iter().map(shown).collect()
    }

    fn last_body(&self) -> Value {
        serde_json::from_str(&self.journal().last().unwrap().body).unwrap()
    }
}

fn connection(base_url: &str, rate: Rate, may_write: MayWrite) -> Connection {
    Connection {
        base_url: base_url.parse().unwrap(),
        key: ApiKey::parse(API_KEY).unwrap(),
        rate,
        policy: Policy::new(7),
        clock: Clock::System,
        may_write,
    }
}

fn organisation() -> Organisation {
    Organisation::new(["corp.example"])
        .with_user(User::new("anna@corp.example", "Anna").key(KEY))
        .with_user(User::new("bert@corp.example", "Bert"))
        .with_user(User::new("cato@corp.example", "Cato"))
}

fn id_of(zivver: &Simulator, address: &str) -> ScimId {
    ScimId::new(&zivver.state().user(address).unwrap().id)
}

fn address(text: &str) -> SmtpAddress {
    SmtpAddress::parse(text).unwrap()
}

fn named(name: &str) -> UserUpdate {
    UserUpdate {
        name: Some(name.into()),
        ..UserUpdate::default()
    }
}

fn key() -> Option<SignInKey> {
    ObjectId::parse(KEY).map(SignInKey::ObjectId)
}

fn with_aliases(read: &Extension, aliases: &[SmtpAddress]) -> UserUpdate {
    UserUpdate {
        extension: Some(UserExtensionUpdate {
            read: read.clone(),
            aliases: aliases.to_vec(),
            delegates: Vec::new(),
            key: key(),
        }),
        ..UserUpdate::default()
    }
}

fn status(status: u16, headers: &[(&str, &str)], body: &str) -> FaultKind {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FaultKind::Status {
        status,
        headers: headers.iter().map(own).collect(),
        body: body.into(),
    }
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
