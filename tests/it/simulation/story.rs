//! One simulation from its seed: a world, some nights of runs with faults while people make changes, then nights
//! without faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use cloud_sync::{
    domain::{
        address::SmtpAddress,
        mode::{Mode, Trigger},
        note::Code,
        plan::Attribute,
        record::{Batch, PlanRecord},
        report::{ActionOutcome, Report, RunState},
    },
    engine::{RunRequest, RunSummary, journal},
    sandbox::{
        exchange,
        zivver::{self, LimiterConfig},
    },
    state::{RunId, State},
};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::{
    deaf::Deafness,
    dice::Dice,
    ending::Ending,
    guarded::{Guarded, Limit},
    health::{Beat, Began, Pulse},
    network::Service,
    oracle::{Oracle, Write},
    plot::Plot,
    process::{Doom, End, Outside, Process},
    records::{self, Records},
    stage::{Stage, Weather},
    storage::{Shelf, Way},
    time,
    truth::Truth,
};

mod hours;

pub(super) use hours::play_hours;

/// How long lists may lag behind writes (R22).
const LIST_LAG_MAX_S: u64 = 60;

/// A day, in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The result of a simulation.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) violations: Vec<String>,
    pub(super) trace: Vec<String>,
    pub(super) fingerprint: u64,
    pub(super) tally: Tally,
}

/// Counts the events in simulations, so that one without events does not count as proof.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) runs: u64,
    pub(super) killed: u64,
    pub(super) failed: u64,
    pub(super) not_begun: u64,
    pub(super) held: u64,
    pub(super) cut_off: u64,
    pub(super) writes: u64,
    pub(super) accounts_checked: u64,
    pub(super) accounts_excused: u64,
    /// Accesses without a grant that remained after runs, and those of them that the report named.
    pub(super) wrong: u64,
    pub(super) told: u64,
    /// R45: quick runs, and how many accounts they suspended or resumed.
    pub(super) quick: u64,
    pub(super) quick_stops: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.killed += other.killed;
        self.failed += other.failed;
        self.not_begun += other.not_begun;
        self.held += other.held;
        self.cut_off += other.cut_off;
        self.writes += other.writes;
        self.accounts_checked += other.accounts_checked;
        self.accounts_excused += other.accounts_excused;
        self.wrong += other.wrong;
        self.told += other.told;
        self.quick += other.quick;
        self.quick_stops += other.quick_stops;
    }
}

pub(super) struct Story {
    dice: Dice,
    /// Separate, so that older seeds keep their stories.
    slow_dice: Dice,
    odd_dice: Option<Dice>,
    renames: Option<Dice>,
    plot: Plot,
    outside: Outside,
    /// Processes that are still running since the last night, by slot.
    warm: [Option<Process>; time::PROCESSES],
    /// Codes that the last report showed.
    offered: Vec<(String, Report)>,
    pulse: Pulse,
    tally: Tally,
}

/// Runs on a separate paused clock.
pub(super) fn on_stage<T>(play: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        time::begin();
        play.await
    })
}

/// From this seed on, the delegates in Zivver are odd.
pub(super) const ODD_SEEDS: u64 = 1_000_000;

/// From this seed on, accounts have surplus delegates whose removal is held, and people are renamed every other night.
pub(super) const SURPLUS_SEEDS: u64 = 2_000_000;

pub(super) fn play(seed: u64, traced: bool) -> Outcome {
    on_stage(async {
        let mut story = Story::begin(seed, traced);
        story.tell();
        let nights = story.dice.between(2, 5);
        for _ in 0..nights {
            story.night().await;
            if story.is_over() {
                break;
            }
        }
        if !story.is_over() {
            story.calm().await;
        }
        story.end()
    })
}

impl Story {
    fn begin(seed: u64, traced: bool) -> Self {
        let mut dice = Dice::new(seed, "story");
        let mut plot = Plot::new(seed);
        let (tenant, mut organisation) = plot.begin();
        if seed >= ODD_SEEDS {
            Plot::odd_delegates(seed, &mut organisation);
        }
        let mut settings = BTreeMap::new();
        let strategy = *dice.pick(&["get", "get", "get", "batch", "batch"]);
        settings.insert("EXO_PERMISSIONS", strategy.to_owned());
        settings.insert("EXO_CONCURRENCY", dice.pick(&["1", "3", "16"]).to_string());
        for (class, limit) in limits(&mut dice) {
            if let Some(limit) = limit {
                settings.insert(class.setting(), limit.to_owned());
            }
        }
        if seed >= SURPLUS_SEEDS {
            Plot::surplus_delegates(seed, &mut organisation);
            let mut dice = Dice::new(seed, "surplus limits");
            let (removals, renames) = (dice.pick(&["0", "0", "1"]), dice.pick(&["1", "100%"]));
            settings.insert(Guarded::DelegateRemoval.setting(), removals.to_string());
            settings.insert(Guarded::Rename.setting(), renames.to_string());
        }
        let life_s = dice.chance(25).then(|| dice.between(5, 400));
        let mut story = Self::open(seed, tenant, organisation, settings, traced);
        if let Some(life_s) = life_s {
            let identity = story.outside.exchange.identity();
            identity.with_settings(|identity| identity.life_s = life_s);
        }
        (story.dice, story.plot) = (dice, plot);
        story
    }

    /// The state before the first night. `chosen` are settings without prefix.
    pub(super) fn open(
        seed: u64,
        tenant: exchange::Tenant,
        organisation: zivver::Organisation,
        chosen: BTreeMap<&'static str, String>,
        traced: bool,
    ) -> Self {
        let mut settings: BTreeMap<&str, String> = [
            ("ZIVVER_API_KEY", zivver::API_KEY),
            ("ZIVVER_API_URL", "http://127.0.0.1:9/api"),
            ("EXO_URL", "http://127.0.0.1:9"),
            ("CLAIMED_DOMAINS", super::truth::DOMAIN),
            ("SSO_ACCOUNT_KEY", "object_id"),
            ("PERFORM_SYNC", "true"),
            ("STATE", "memory:"),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
        settings.extend(chosen);
        let mut oracle = Oracle::new(
            zivver::Simulator::new(organisation.clone()).state(),
            Truth::of(&tenant),
        );
        let strategy = settings.get("EXO_PERMISSIONS");
        oracle.permissions_in_bulk = strategy.is_some_and(|it| it != "get");
        for class in Guarded::ALL {
            let limit = settings.get(class.setting()).map(String::as_str);
            let limit = Limit::parse(limit.unwrap_or(class.default_limit()));
            oracle.limits.insert(class, limit);
        }
        let settings = settings
            .into_iter()
            .map(|(name, value)| (format!("CLOUD_SYNC__{name}"), value));
        let exchange = exchange::Simulator::new(tenant);
        let started_s = u64::try_from(time::START_S).unwrap();
        exchange.identity().set_start(started_s);
        let outside = Outside {
            stage: Stage::new(seed, oracle, traced),
            exchange,
            zivver: zivver::Simulator::new(organisation),
            shelf: Shelf::default(),
            tasks: Arc::new(Mutex::new(JoinSet::new())),
            settings: settings.collect(),
        };
        Self {
            dice: Dice::new(seed, "story"),
            slow_dice: Dice::new(seed, "slow nights"),
            odd_dice: (seed >= ODD_SEEDS).then(|| Dice::new(seed, "odd rows")),
            renames: (seed >= SURPLUS_SEEDS).then(|| Dice::new(seed, "renames")),
            plot: Plot::new(seed),
            outside,
            warm: [None, None],
            offered: Vec::new(),
            pulse: Pulse::default(),
            tally: Tally::default(),
        }
    }

    pub(super) fn tell(&self) {
        self.outside.stage.with(|scene| {
            let settings = self.outside.settings.clone();
            scene.tell(|| format!("settings: {settings:?}"));
            let tenant = self.outside.exchange.state();
            for mailbox in &tenant.mailboxes {
                scene.tell(|| {
                    let users: Vec<_> = mailbox
                        .permissions
                        .iter()
                        .map(|it| (&it.user, it.deny))
                        .collect();
                    format!(
                        "{} {} {:?} disabled {:?} {users:?}",
                        mailbox.recipient_type_details,
                        mailbox.edoid,
                        mailbox.email_addresses,
                        mailbox.account_disabled
                    )
                });
            }
            for group in &tenant.groups {
                scene.tell(|| format!("group {} {:?} {:?}", group.name, group.kind, group.members));
            }
            tell_organisation(scene, &self.outside.zivver.state());
        });
    }

    pub(super) fn is_over(&self) -> bool {
        self.outside
            .stage
            .with(|scene| !scene.oracle.violations.is_empty())
    }

    pub(super) fn end(self) -> Outcome {
        let Self {
            outside, mut tally, ..
        } = self;
        outside.stage.with(|scene| {
            let invocations = &scene.oracle.invocations;
            tally.writes = invocations.iter().map(|it| it.writes.len() as u64).sum();
            let quick = invocations.iter().filter(|it| it.quick);
            tally.quick = quick.clone().count() as u64;
            let writes = quick.flat_map(|it| &it.writes);
            let stops = writes.filter(|it| it.accepted && it.changed.contains(&Attribute::Active));
            tally.quick_stops = stops.count() as u64;
            tally.wrong = scene.oracle.liveness.wrong;
            tally.told = scene.oracle.liveness.told;
            Outcome {
                violations: std::mem::take(&mut scene.oracle.violations),
                trace: scene.take_trace(),
                fingerprint: scene.fingerprint,
                tally,
            }
        })
    }

    async fn night(&mut self) {
        let pause_s = *self
            .dice
            .pick(&[1, 20, 90, 600, 7200, 40_000, 86_400, 100_000]);
        tokio::time::sleep(Duration::from_secs(pause_s)).await;
        if pause_s > LIST_LAG_MAX_S {
            self.catch_up().await;
        }
        self.check_health().await;
        for _ in 0..self.dice.below(5) {
            self.change_world();
        }
        self.rename_one();
        self.show_rows();
        let weather = self.weather();
        let lag = Duration::from_millis(self.lag_ms());
        self.outside.stage.with(|scene| {
            scene.tell(|| format!("weather: {weather:?}, lists lag by {lag:?}"));
            scene.oracle.row_may_move = false;
            scene.oracle.lags_by(lag);
            scene.weather = weather;
        });
        if self.slow_dice.chance(4) {
            self.damage().await;
        }
        for slot in 0..time::PROCESSES {
            // Sometimes a clock is a day ahead, for one night.
            let ahead = self.slow_dice.chance(2);
            if ahead || time::wrong_by_ms(slot) > DAY_MS / 2 {
                time::set_wrong_by(slot, if ahead { DAY_MS } else { 0 });
                self.outside
                    .stage
                    .tell(|| format!("clock {slot} a day ahead: {ahead}"));
            }
        }
        self.outside
            .exchange
            .switch(|switches| switches.paging = exchange::Paging::Good);
        if self.dice.chance(6) {
            let paging = *self.dice.pick(&[
                exchange::Paging::DuplicatePage,
                exchange::Paging::RepeatedLink,
                exchange::Paging::RowMoved,
            ]);
            self.outside.stage.with(|scene| {
                scene.tell(|| format!("paging: {paging:?}"));
                scene.oracle.row_may_move = paging == exchange::Paging::RowMoved;
            });
            self.outside
                .exchange
                .switch(|switches| switches.paging = paging);
        }
        let together = self.dice.chance(35);
        let mut newest = self.state().newest_run().await.unwrap();
        let plans: Vec<Errand> = (0..=usize::from(together))
            .map(|slot| self.errand(slot, &mut newest))
            .collect();
        // The directory does not change while it is read, since a client cannot detect a change between two pages.
        let outside = &self.outside;
        let errands = plans.into_iter().map(|errand| errand.carry_out(outside));
        let ended = futures::future::join_all(errands).await;
        for (process, slot, told) in ended {
            self.warm[slot] = process;
            self.record_outcomes(told);
        }
        self.check_journals().await;
    }

    fn change_world(&mut self) {
        let Self { plot, outside, .. } = self;
        if plot.dice.chance(25) {
            let told = outside
                .zivver
                .with_state(|organisation| plot.change_zivver(organisation));
            outside.changed(told);
            outside.stage.with(|scene| scene.oracle.changed_by_hand());
        } else {
            outside.change_tenant(plot);
        }
    }

    /// How far the lists of Zivver lag behind what was written.
    fn lag_ms(&mut self) -> u64 {
        let dice = &mut self.slow_dice;
        if dice.chance(80) {
            return 0;
        }
        *dice.pick(&[50, 400, 4000, 20_000, 45_000, 100_000, 300_000])
    }

    /// Damages a line of the history.
    async fn damage(&mut self) {
        let lines = self.outside.shelf.names("summary").await;
        let Some(at) = self.slow_dice.place(lines.len()) else {
            return;
        };
        let text = *self.slow_dice.pick(&["", "{", "{}", "\u{0}"]);
        self.outside
            .stage
            .tell(|| format!("{}: now {text:?}", lines[at]));
        self.outside.shelf.put(&lines[at], text).await;
        self.pulse.spoiled = true;
    }

    fn weather(&mut self) -> Weather {
        let deaf = self.slow_dice.chance(10).then(|| {
            let rate = *self.slow_dice.pick(&[1000, 1000, 300]);
            (rate, Deafness::draw(&mut self.slow_dice))
        });
        let identity = *self.slow_dice.pick(&[0, 0, 0, 0, 150, 600]);
        let hanging = *self.slow_dice.pick(&[0, 0, 0, 0, 8, 30]);
        let dice = &mut self.dice;
        let mut rate = || *dice.pick(&[0, 0, 15, 60, 200]);
        let (exchange, zivver, storage) = (rate(), rate(), rate() / 2);
        let cursed = *dice.pick(&[0, 0, 40, 150, 400]);
        let outage = dice.chance(12).then(|| {
            let service = *dice.pick(&[Service::Exchange, Service::Zivver, Service::Storage]);
            let from = time::elapsed() + Duration::from_millis(dice.between(0, 4000));
            (
                service,
                from,
                from + Duration::from_secs(dice.between(1, 300)),
            )
        });
        Weather {
            exchange,
            zivver,
            storage,
            identity,
            hanging,
            cursed,
            deaf,
            outage,
        }
    }

    /// `newest` is the latest known id.
    fn errand(&mut self, slot: usize, newest: &mut Option<RunId>) -> Errand {
        let dice = &mut self.dice;
        let mut request = RunRequest::new(Mode::Apply, Trigger::Timer);
        let mut codes = Vec::new();
        if dice.chance(8) {
            request.mode = Mode::Preview;
        } else if dice.chance(40) {
            for _ in 0..dice.between(1, 3) {
                let offered = dice.place(self.offered.len());
                let Some(offered) = offered.map(|at| self.offered.swap_remove(at)) else {
                    break;
                };
                request.approve.push(offered.0.clone());
                codes.push(offered);
            }
        }
        if dice.chance(10) {
            let address = self.outside.exchange.read(|tenant| {
                let mailbox = dice.pick(&tenant.mailboxes);
                SmtpAddress::parse(&mailbox.primary_smtp_address).unwrap()
            });
            request.accounts.insert(address);
        }
        if dice.chance(30) {
            request.time_budget = Some(Duration::from_millis(dice.between(200, 20_000)));
        }
        request.patience = Duration::from_secs(*dice.pick(&[0, 30, 200]));
        if dice.chance(40) {
            // As from a queue: the message has the id, and is delivered again.
            let started = time::CLOCKS[slot]();
            *newest = Some(RunId::after(newest.as_ref(), started, dice.next()));
            request.id.clone_from(newest);
        }
        let mut doom = || {
            let mut doom = Doom::default();
            match dice.below(10) {
                0 => doom.killed_at_poll = Some(dice.between(1, 400)),
                1 => doom.killed_at_poll = Some(dice.between(1, 60)),
                2 | 3 => doom.writes_to_live = Some(u32::try_from(dice.between(1, 8)).unwrap()),
                4 => {
                    let how_long = Duration::from_secs(dice.between(5, 200));
                    doom.frozen = Some((dice.between(1, 300), how_long));
                }
                5 => {
                    let writes = u32::try_from(dice.between(1, 6)).unwrap();
                    doom.frozen_after = Some((writes, Duration::from_secs(dice.between(70, 200))));
                }
                _ => {}
            }
            if dice.chance(10) {
                let by_ms = i64::try_from(dice.between(0, 1_200_000)).unwrap() - 600_000;
                doom.clock_jump = Some((dice.between(1, 200), by_ms));
            }
            doom
        };
        let dooms = (0..4).map(|_| doom()).collect();
        let late = Duration::from_millis(dice.below(3000) * u64::try_from(slot).unwrap());
        let warm = self.warm[slot].take().filter(|_| dice.chance(40));
        Errand {
            slot,
            request,
            codes,
            dooms,
            late,
            warm,
            dice: Dice::new(dice.next(), "process"),
        }
    }

    fn record_outcomes(&mut self, told: Vec<Told>) {
        for Told {
            invocation,
            end,
            approvals,
            beat,
        } in told
        {
            self.pulse.beat(beat);
            self.tally.runs += 1;
            let stage = &self.outside.stage;
            match end {
                End::Killed => self.tally.killed += 1,
                End::NotBegun(error) => {
                    self.tally.not_begun += 1;
                    stage.tell(|| format!("invocation {invocation} did not begin: {error}"));
                }
                End::Report(report) => {
                    self.tally.failed += u64::from(report.error.is_some());
                    self.tally.held += u64::from(!report.held.is_empty());
                    self.tally.cut_off += u64::from(report.state == RunState::Continues);
                    if report.mode == Mode::Apply || self.dice.chance(50) {
                        self.offered = report
                            .held
                            .iter()
                            .map(|held| (held.code.clone(), (*report).clone()))
                            .collect();
                    }
                    stage.with(|scene| scene.oracle.ended(invocation, &report, approvals));
                }
            }
        }
    }

    /// Checks `/health` in a process that has not run yet and has a correct clock.
    pub(super) async fn check_health(&self) {
        let (status, body) = Process::health(&self.outside).await;
        if let Some(text) = self.pulse.judge(status, &body) {
            self.violation(text);
        }
    }

    /// The state without storage faults.
    fn state(&self) -> State {
        let way = Way {
            shelf: self.outside.shelf.clone(),
            stage: None,
        };
        State::over(Arc::new(way), "simulated")
    }

    /// Compares the journals with what Zivver saw (R35).
    async fn check_journals(&mut self) {
        let state = self.state();
        let mut records = Records::new();
        let mut found = Vec::new();
        for entry in state.runs::<RunSummary>(1000).await.unwrap() {
            let plans = state.plans::<PlanRecord>(&entry.id);
            let journal = state.journal::<Batch>(&entry.id);
            let read = journal::read(&plans, &journal).await.unwrap();
            let line = entry.summary.ok().flatten();
            let has_ended = line.is_some_and(|it| it.summary.state == RunState::Ended);
            // The simulation damages documents. A run that is open may have the report of an earlier try.
            match state.report::<Report>(&entry.id).await {
                Ok(Some(report)) if has_ended && report.state == RunState::Ended => {
                    found.extend(records::untold(&report, &read));
                }
                Ok(None) if has_ended && !read.is_empty() => {
                    found.push(format!("run {} ended without a report", entry.id));
                }
                Ok(_) | Err(_) => {}
            }
            records.insert(entry.id.to_string(), read);
        }
        self.outside.stage.with(|scene| {
            found.extend(records::check(&records, &scene.oracle));
            scene.oracle.violations.extend(found);
        });
    }

    fn rename_one(&mut self) {
        let Some(dice) = &mut self.renames else {
            return;
        };
        let Self { plot, outside, .. } = self;
        if !dice.chance(50) {
            return;
        }
        let told = outside.exchange.with_state(|tenant| {
            let at = dice.place(tenant.mailboxes.len())?;
            Some(plot.rename(tenant, at))
        });
        if let Some(told) = told {
            outside.changed(told);
        }
    }

    /// Exchange shows a mailbox for a night without its addresses, or without its status.
    fn show_rows(&mut self) {
        let Some(odd) = &mut self.odd_dice else {
            return;
        };
        let property = *odd.pick(&["EmailAddresses", "AccountDisabled"]);
        let is_odd = odd.chance(40);
        let stage = &self.outside.stage;
        self.outside.exchange.with_state(|tenant| {
            show_all(tenant);
            let place = odd.place(tenant.mailboxes.len()).filter(|_| is_odd);
            if let Some(at) = place {
                let mailbox = &mut tenant.mailboxes[at];
                stage.tell(|| format!("{} without {property}", mailbox.primary_smtp_address));
                mailbox.missing.push(property.to_owned());
            }
        });
    }

    /// Nothing fails, lags or is hidden any more.
    fn clear_up(&mut self) {
        self.outside.exchange.with_state(|tenant| {
            show_all(tenant);
            tenant.switches.paging = exchange::Paging::Good;
        });
        self.outside.stage.with(|scene| {
            scene.weather = Weather::default();
            scene.oracle.lag = Duration::ZERO;
            scene.tell(|| "calm".to_owned());
        });
        for process in 0..time::PROCESSES {
            time::set_wrong_by(process, 0);
        }
        self.outside
            .zivver
            .with_state(|organisation| organisation.switches.stale_reads_after_post = 0);
    }

    /// No more faults, and no list that lags: after two runs nothing is left to do (R35, R36, R38).
    pub(super) async fn calm(&mut self) {
        self.warm = [None, None];
        self.clear_up();
        self.catch_up().await;
        // What Zivver refused or did not keep waits for at most seven days (R22, R33).
        let may_wait = self.slow_dice.chance(50);
        let pause_s = if may_wait { 1500 } else { 8 * 86_400 };
        tokio::time::sleep(Duration::from_secs(pause_s)).await;
        let mut last = None;
        for _ in 0..3 {
            let process = Process::start(&self.outside, 0, &mut self.dice);
            let request = RunRequest::new(Mode::Apply, Trigger::Timer);
            let invocation = self
                .outside
                .stage
                .with(|scene| begin(scene, 0, &request, None));
            let began = Began::now(0);
            let end = process.run(&request, &Doom::default()).await;
            let beat = Beat::of(began, 0, &request, &end);
            let writes = self
                .outside
                .stage
                .with(|scene| scene.oracle.invocations[invocation].writes.clone());
            let report = match &end {
                End::Report(report) => (**report).clone(),
                End::NotBegun(error) => {
                    return self.violation(format!("in calm a run did not begin: {error}"));
                }
                End::Killed => return self.violation("in calm a run was killed".to_owned()),
            };
            tell_report(&self.outside.stage, &report);
            self.outside
                .stage
                .with(|scene| scene.oracle.reported(invocation, &report, &[]));
            self.record_outcomes(vec![Told {
                invocation,
                end,
                approvals: false,
                beat,
            }]);
            last = Some((report, writes));
        }
        let (report, writes) = last.unwrap();
        self.check_journals().await;
        self.check_health().await;
        if let Some(error) = &report.error {
            self.violation(format!("in calm a run failed: {error}"));
        }
        for text in unsettled(&report, &writes, may_wait) {
            self.violation(text);
        }
        let truth = self.outside.exchange.read(Truth::of);
        let end = self
            .outside
            .stage
            .with(|scene| Ending::judge(&report, &truth, &scene.oracle));
        self.take_in_end(end);
    }

    fn take_in_end(&mut self, end: Ending) {
        self.tally.accounts_checked += end.checked;
        self.tally.accounts_excused += end.excused;
        for text in end.wrong {
            self.violation(text);
        }
    }

    /// Makes the reads for which Zivver's lists do not show new accounts yet, as another client.
    async fn catch_up(&self) {
        let limiter = self.outside.zivver.with_state(|organisation| {
            std::mem::replace(&mut organisation.limiter, LimiterConfig::off())
        });
        for kind in ["Users", "Groups"].repeat(3) {
            let request = Request::get(format!("/api/scim/v2/{kind}"))
                .header(header::AUTHORIZATION, format!("Bearer {}", zivver::API_KEY))
                .body(Body::empty())
                .unwrap();
            let answer = self.outside.zivver.router().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
        }
        self.outside
            .zivver
            .with_state(|organisation| organisation.limiter = limiter);
    }

    pub(super) fn violation(&self, text: String) {
        self.outside
            .stage
            .with(|scene| scene.oracle.violations.push(text));
    }
}

/// The events of a scripted plot.
impl Story {
    pub(super) async fn pass(&self, hours: u64) {
        tokio::time::sleep(Duration::from_secs(hours * 3600)).await;
    }

    /// Changes by people, on either side.
    pub(super) fn people(
        &self,
        told: &str,
        tenant: impl FnOnce(&mut exchange::Tenant),
        organisation: impl FnOnce(&mut zivver::Organisation),
    ) {
        self.outside.exchange.with_state(tenant);
        self.outside.zivver.with_state(organisation);
        self.outside.changed(told.to_owned());
    }

    pub(super) fn weather_is(&self, weather: Weather, lag: Duration) {
        self.outside.stage.with(|scene| {
            scene.tell(|| format!("weather: {weather:?}, lists lag by {lag:?}"));
            scene.oracle.lags_by(lag);
            scene.weather = weather;
        });
    }

    /// One complete run of a new process.
    pub(super) async fn run(
        &mut self,
        request: RunRequest,
        codes: Vec<(String, Report)>,
    ) -> Report {
        let request = RunRequest {
            approve: codes.iter().map(|(code, _)| code.clone()).collect(),
            ..request
        };
        let errand = Errand {
            slot: 0,
            request,
            codes,
            dooms: vec![Doom::default()],
            late: Duration::ZERO,
            warm: None,
            dice: Dice::new(self.dice.next(), "process"),
        };
        let (_, _, told) = errand.carry_out(&self.outside).await;
        let report = match &told[0].end {
            End::Report(report) => (**report).clone(),
            End::NotBegun(_) | End::Killed => panic!("{:?}", told[0].end),
        };
        self.record_outcomes(told);
        self.check_journals().await;
        report
    }

    pub(super) async fn apply(&mut self) -> Report {
        let request = RunRequest::new(Mode::Apply, Trigger::Timer);
        self.run(request, Vec::new()).await
    }

    /// A run with all codes that the last report showed.
    pub(super) async fn apply_approved(&mut self) -> Report {
        let codes = std::mem::take(&mut self.offered);
        let request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
        self.run(request, codes).await
    }
}

/// A limit for each class, `None` for the default of the rules.
fn limits(dice: &mut Dice) -> Vec<(Guarded, Option<&'static str>)> {
    let counts = [
        (Guarded::Suspend, ["1", "2", "5"]),
        (Guarded::DelegateRemoval, ["1", "3", "20"]),
        (Guarded::AliasRemoval, ["1", "2", "20"]),
        (Guarded::Rename, ["1", "2", "5"]),
        (Guarded::NameChange, ["2", "3", "20"]),
    ];
    let style = dice.below(10);
    let mut drawn: Vec<_> = counts
        .into_iter()
        .map(|(class, counts)| {
            let limit = match style {
                0..4 => Some(counts[2]),
                4..7 => Some(*dice.pick(&counts)),
                7..9 => None,
                _ => Some(*dice.pick(&["10%", "25%,min 2", "50%", "100%"])),
            };
            (class, limit)
        })
        .collect();
    let creates = *dice.pick(&[Some("100%"), None, Some("3"), Some("20%,min 2")]);
    let keys = *dice.pick(&[Some("100%"), Some("100%"), Some("2"), None]);
    if style == 7 {
        // All limits have their default.
        return drawn;
    }
    drawn.push((Guarded::Create, creates));
    drawn.push((Guarded::SignInKey, keys));
    drawn
}

/// What a third run still wrote, and what still differs after it, without accounts whose change Zivver refuses.
fn unsettled(report: &Report, writes: &[Write], may_wait: bool) -> Vec<String> {
    let refused = report
        .actions
        .iter()
        .filter(|it| matches!(it.outcome, ActionOutcome::Refused | ActionOutcome::Partly))
        .map(|it| &it.action);
    let excused: BTreeSet<String> = refused.flat_map(records::names).collect();
    let is_excused = |name: &String| excused.contains(name);
    let written = writes
        .iter()
        .filter(|it| !is_excused(&it.id) && !is_excused(&it.address))
        .map(|it| format!("in calm the third run still wrote to {} (R38)", it.address));
    let differing = report
        .differences
        .iter()
        .filter(|it| !records::names(it).any(|name| is_excused(&name)))
        .map(|it| format!("in calm {} still differs (R36)", it.address));
    let mut found: Vec<String> = written.chain(differing).collect();
    let mut notes = report.skipped.iter();
    let waits = may_wait && notes.any(|it| it.code == Code::WriteHadNoEffect);
    if report.converged != Some(true) && excused.is_empty() && !waits {
        found.push("in calm two runs did not converge (R36)".to_owned());
    }
    found
}

fn tell_organisation(scene: &mut super::stage::Scene, organisation: &zivver::Organisation) {
    for user in &organisation.users {
        scene.tell(|| {
            format!(
                "account {} {} {:?} active {} aliases {:?} delegates {:?} tie {:?} key {:?}",
                user.id,
                user.user_name,
                user.name,
                user.active,
                user.aliases,
                user.delegates,
                user.external_account_id,
                user.sso_account_key
            )
        });
    }
    for group in &organisation.groups {
        scene.tell(|| {
            format!(
                "functional {} {} {:?} aliases {:?} members {:?} tie {:?}",
                group.id,
                group.external_id,
                group.display_name,
                group.aliases,
                group.members,
                group.external_account_id
            )
        });
    }
}

fn tell_report(stage: &Stage, report: &Report) {
    stage.with(|scene| {
        scene.tell(|| {
            format!(
                "report {} {:?} {:?} {:?}",
                report.id, report.state, report.outcome, report.error
            )
        });
        for action in &report.actions {
            scene.tell(|| {
                format!(
                    "  {:?} {:?} {} {:?} {:?}",
                    action.outcome,
                    action.action.kind,
                    action.action.address,
                    action.action.changes,
                    action.problems
                )
            });
        }
        for held in &report.held {
            scene.tell(|| {
                format!(
                    "  held {:?} {} {} {:?}",
                    held.class,
                    held.code,
                    held.reason,
                    held.approves()
                        .map(|it| (&it.address, &it.what, &it.before, &it.after))
                        .collect::<Vec<_>>()
                )
            });
        }
        for note in &report.skipped {
            scene.tell(|| format!("  {:?} {}: {}", note.code, note.address, note.text));
        }
        for action in &report.differences {
            scene.tell(|| {
                format!(
                    "  differs: {:?} {} {:?}",
                    action.kind, action.address, action.changes
                )
            });
        }
    });
}

impl Outside {
    fn change_tenant(&self, plot: &mut Plot) {
        let told = self
            .exchange
            .with_state(|tenant| plot.change_tenant(tenant));
        self.changed(told);
    }

    fn changed(&self, told: String) {
        let truth = self.exchange.read(Truth::of);
        let organisation = self.zivver.state();
        self.stage.with(|scene| {
            scene.tell(|| told);
            scene.oracle.world_changed(organisation, truth);
        });
    }
}

/// The work of one process in a night.
struct Errand {
    slot: usize,
    request: RunRequest,
    codes: Vec<(String, Report)>,
    /// One for each invocation.
    dooms: Vec<Doom>,
    late: Duration,
    warm: Option<Process>,
    dice: Dice,
}

struct Told {
    invocation: usize,
    end: End,
    approvals: bool,
    beat: Beat,
}

fn begin(
    scene: &mut super::stage::Scene,
    slot: usize,
    request: &RunRequest,
    continues: Option<usize>,
) -> usize {
    let invocation = scene.oracle.begins(slot, continues, request);
    scene.processes[slot].invocation = invocation;
    scene.tell(|| format!("process {slot} begins invocation {invocation}: {request:?}"));
    invocation
}

impl Errand {
    async fn carry_out(self, outside: &Outside) -> (Option<Process>, usize, Vec<Told>) {
        let Self {
            slot,
            mut request,
            codes,
            dooms,
            late,
            warm,
            mut dice,
        } = self;
        tokio::time::sleep(late).await;
        let stage = &outside.stage;
        for (code, report) in &codes {
            stage.with(|scene| scene.oracle.approves(report, code));
        }
        let mut process = warm;
        let (mut told, mut continues) = (Vec::new(), None);
        for doom in dooms {
            let running = process
                .take()
                .unwrap_or_else(|| Process::start(outside, slot, &mut dice));
            let invocation = stage.with(|scene| begin(scene, slot, &request, continues));
            let began = Began::now(slot);
            let end = running.run(&request, &doom).await;
            let beat = Beat::of(began, slot, &request, &end);
            continues = Some(invocation);
            let again = match &end {
                End::Killed => {
                    drop(running);
                    tokio::time::sleep(Duration::from_secs(dice.below(80))).await;
                    request.id.is_some()
                }
                End::NotBegun(_) => {
                    process = Some(running);
                    false
                }
                End::Report(report) => {
                    tell_report(stage, report);
                    stage.with(|scene| scene.oracle.reported(invocation, report, &codes));
                    process = Some(running);
                    request.id = Some(RunId::parse(&report.id).unwrap());
                    report.state == RunState::Continues
                }
            };
            told.push(Told {
                invocation,
                end,
                approvals: !request.approve.is_empty(),
                beat,
            });
            if !again {
                break;
            }
        }
        (process, slot, told)
    }
}

fn show_all(tenant: &mut exchange::Tenant) {
    for mailbox in &mut tenant.mailboxes {
        mailbox.missing.clear();
    }
}
