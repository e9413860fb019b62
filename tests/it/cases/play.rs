//! Plays a case night by night on one state, each night in a new process.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloud_sync::{
    domain::{
        address::SmtpAddress,
        mode::{Mode, Trigger},
        report::Report,
    },
    engine::RunRequest,
    functions::App,
    sandbox::{
        control::{Fault, FaultKind},
        zivver::User,
    },
};

use super::{
    file::{Approve, Case, Faults, Night, Run, read},
    judge, start,
};
use crate::{
    invocations::{called, request},
    world::World,
};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A person approves in the morning. Codes are valid for a day.
const MORNING: Duration = Duration::from_hours(8);

/// How long before the first night an app whose health is checked was first seen: longer than it may be without a
/// success (R28).
const SEEN_BEFORE: Duration = Duration::from_hours(27);

/// The limits of the rules, whatever the test bench sets. An empty value counts as not set.
const DEFAULTS: [(&str, &str); 2] = [("MAX_CREATES", ""), ("MAX_SIGN_IN_KEY_CHANGES", "")];

pub(super) struct Play {
    pub(super) world: World,
    /// The account of each object when the two were first seen together, by the id in Zivver.
    pub(super) owners: BTreeMap<String, String>,
    /// The accounts at the start of the night.
    pub(super) accounts_before: BTreeSet<String>,
    /// The report of the last night.
    pub(super) report: Option<Report>,
    pub(super) error: Option<String>,
}

/// The files do not contain the time between nights, so each case is played at two paces.
pub(super) async fn assert_played(name: &str) {
    let case = read(name);
    let often = play(&case, HOUR).await;
    let nightly = play(&case, DAY).await;
    let only = |these: &[String], others: &[String], pace: &str| {
        let these = these.iter().filter(|text| !others.contains(text));
        these.map(|text| format!("{pace}{text}")).collect()
    };
    let both: Vec<String> = often
        .iter()
        .filter(|it| nightly.contains(it))
        .cloned()
        .collect();
    let wrong: [Vec<String>; 3] = [
        both,
        only(&often, &nightly, "every hour, "),
        only(&nightly, &often, "every day, "),
    ];
    let wrong = wrong.concat();
    assert!(
        wrong.is_empty(),
        "{name} ({}): {}\n{}",
        case.rule,
        case.why,
        wrong.join("\n")
    );
}

/// The expectations that do not hold.
async fn play(case: &Case, pace: Duration) -> Vec<String> {
    let settings = case.settings.iter();
    let settings = settings.map(|(name, value)| (name.as_str(), value.as_str()));
    let extra: Vec<(&str, &str)> = DEFAULTS.into_iter().chain(settings).collect();
    let world = World::still_with(start::tenant(case), start::organisation(case), &extra).await;
    let mut play = Play {
        world,
        owners: BTreeMap::new(),
        accounts_before: BTreeSet::new(),
        report: None,
        error: None,
    };
    if case
        .nights
        .iter()
        .any(|it| it.expect.contains_key("health"))
    {
        play.health().await;
        tokio::time::sleep(SEEN_BEFORE).await;
    }
    let mut wrong = Vec::new();
    for (at, night) in case.nights.iter().enumerate() {
        if at > 0 {
            tokio::time::sleep(pause(night, pace)).await;
        }
        play = play.begin(night).await;
        play.run(night).await;
        let expected = judge::judge(&play, night).await;
        let unexpected = play
            .error
            .iter()
            .filter(|_| !night.expect.contains_key("error"));
        let unexpected = unexpected.map(|error| format!("error: {error}"));
        let found = expected.into_iter().chain(unexpected);
        wrong.extend(found.map(|text| format!("night {}: {text}", at + 1)));
    }
    wrong
}

fn pause(night: &Night, pace: Duration) -> Duration {
    match (night.later_days, &night.approve) {
        (Some(days), _) => DAY * u32::try_from(days).unwrap(),
        (None, Some(_)) => pace.min(MORNING),
        (None, None) => pace,
    }
}

impl Play {
    async fn begin(mut self, night: &Night) -> Self {
        let token = self.world.sandbox.exchange.identity().mint();
        let mut extra: Vec<(&str, &str)> = vec![("ACCESS_TOKEN", &token)];
        let settings = night.settings.iter();
        extra.extend(settings.map(|(name, value)| (name.as_str(), value.as_str())));
        self.world = self.world.again_with(&extra).await;
        let sandbox = &self.world.sandbox;
        sandbox
            .exchange
            .with_state(|tenant| start::change_exchange(tenant, &night.change));
        sandbox.zivver.with_state(|organisation| {
            start::change_zivver(organisation, &night.change.zivver_by_hand);
        });
        self.recognise();
        self.world.sandbox.zivver.control().clear_journal();
        self.accounts_before = self.accounts();
        self
    }

    async fn run(&mut self, night: &Night) {
        let hidden = self.disturb(&night.faults);
        let result = match self.request(night) {
            Ok(request) => self
                .world
                .run_for(&request)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        self.calm(hidden);
        self.recognise();
        match result {
            Ok(report) => {
                self.error.clone_from(&report.error);
                self.report = Some(report);
            }
            Err(error) => {
                self.error = Some(error);
                self.report = None;
            }
        }
    }

    fn request(&self, night: &Night) -> Result<RunRequest, String> {
        let is_of_a_person = night.approve.is_some() || !night.accounts.is_empty();
        let trigger = if is_of_a_person {
            Trigger::CommandLine
        } else {
            Trigger::Timer
        };
        let mode = match night.run {
            Run::Apply => Mode::Apply,
            Run::Preview => Mode::Preview,
        };
        let mut request = RunRequest::new(mode, trigger);
        let accounts = night.accounts.iter();
        request.accounts = accounts
            .map(|address| SmtpAddress::parse(address).unwrap())
            .collect();
        if let Some(approve) = &night.approve {
            request.approve = self.codes(approve)?;
        }
        Ok(request)
    }

    fn codes(&self, approve: &Approve) -> Result<Vec<String>, String> {
        let held = self.report.as_ref().map_or(&[][..], |report| &report.held);
        let all: Vec<(String, String)> = held
            .iter()
            .map(|set| (judge::class_name(set.class), set.code.clone()))
            .collect();
        let codes: Vec<String> = all
            .iter()
            .filter(|(class, _)| match approve {
                Approve::TheOne | Approve::All => true,
                Approve::OfClass(wanted) => class == wanted,
            })
            .map(|(_, code)| code.clone())
            .collect();
        let is_clear = match approve {
            Approve::TheOne | Approve::OfClass(_) => codes.len() == 1,
            Approve::All => !codes.is_empty(),
        };
        if is_clear {
            return Ok(codes);
        }
        let classes: Vec<&str> = all.iter().map(|(class, _)| class.as_str()).collect();
        Err(format!("no such code: the night before held {classes:?}"))
    }

    /// Returns the users who are hidden.
    fn disturb(&self, faults: &Faults) -> Vec<User> {
        let Faults {
            zivver_lists_lag_ms,
            zivver_writes_store_nothing,
            zivver_hides,
            permissions_fail,
        } = faults;
        let exchange = &self.world.sandbox.exchange;
        for address in permissions_fail {
            let edoid = exchange.read(|tenant| {
                let mut mailboxes = tenant.mailboxes.iter();
                let found = mailboxes.find(|it| it.primary_smtp_address == *address);
                found.unwrap().edoid.clone()
            });
            let error = FaultKind::Status {
                status: 500,
                headers: Vec::new(),
                body: String::new(),
            };
            let path = format!("{}')/MailboxPermission", STANDARD.encode(edoid));
            exchange.control().inject(Fault::always(error).path(&path));
        }
        self.world.sandbox.zivver.with_state(|organisation| {
            organisation.switches.lists_lag_millis = *zivver_lists_lag_ms;
            organisation.switches.writes_store_nothing = *zivver_writes_store_nothing;
            let (hidden, shown) = std::mem::take(&mut organisation.users)
                .into_iter()
                .partition(|user| zivver_hides.contains(&user.user_name));
            organisation.users = shown;
            hidden
        })
    }

    fn calm(&self, hidden: Vec<User>) {
        self.world.sandbox.exchange.control().clear_faults();
        self.world.sandbox.zivver.with_state(|organisation| {
            organisation.switches.lists_lag_millis = 0;
            organisation.switches.writes_store_nothing = false;
            organisation.users.extend(hidden);
        });
    }

    /// The account of an object without a known account is the one at its primary address.
    fn recognise(&mut self) {
        let organisation = self.world.sandbox.zivver.state();
        self.world.sandbox.exchange.read(|tenant| {
            for mailbox in &tenant.mailboxes {
                let address = &mailbox.primary_smtp_address;
                let user = organisation.user(address).map(|user| &user.id);
                let group = organisation.group(address).map(|group| &group.id);
                let Some(id) = user.or(group) else { continue };
                if !self.owners.values().any(|known| known == id) {
                    self.owners
                        .entry(mailbox.edoid.clone())
                        .or_insert_with(|| id.clone());
                }
            }
        });
    }

    pub(super) fn accounts(&self) -> BTreeSet<String> {
        let organisation = self.world.sandbox.zivver.state();
        let users = organisation.users.into_iter().map(|user| user.id);
        let groups = organisation.groups.into_iter().map(|group| group.id);
        users.chain(groups).collect()
    }

    /// Status and text of `/health`.
    pub(super) async fn health(&self) -> (u16, String) {
        let app = App::new(Ok(self.world.engine.clone()));
        let answer = called(&app, request("GET", "/health", &[], None)).await;
        (answer.status, answer.body)
    }
}
