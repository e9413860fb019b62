//! The judge. It knows the directory, everything that Zivver received and stored, and what was actually read. It does
//! not trust the program. Each write is judged when it arrives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use axum::{body::Bytes, http::StatusCode};
use base64::Engine as _;
use cloud_sync::{
    domain::{
        mode::{Depth, Mode},
        plan::Attribute,
        report::{Report, RunState},
    },
    engine::RunRequest,
    sandbox::zivver::{Group, Organisation, User},
};
use serde_json::Value;

use super::{
    deaf::GARBLED,
    guarded::{Base, Effect, Guarded, Intent, Limits, intents_of},
    liveness::Liveness,
    network::{Call, Service},
    time,
    truth::{Fact, Kind, Truth, is_claimed, lower},
};

/// Answers are valid for half an hour if a run takes several invocations (R34).
const KEPT_MS: i64 = 31 * 60 * 1000;

/// A day, less what a wrong clock may take from it.
const DAY_MS: i64 = (24 * 60 - 30) * 60 * 1000;

/// How long lists may lag behind writes (R22).
pub(super) const LAG_MAX: Duration = Duration::from_secs(60);

/// How long earlier states of Zivver are kept.
const PAST_MS: i64 = 20 * 60 * 1000;

/// The owner of an account.
#[derive(Debug, Clone, Default)]
pub(super) struct Owner {
    /// Object ids. More than one: the owner is not certain.
    pub(super) persons: BTreeSet<String>,
    /// Whether the program could know the owner, by `ExternalAccountId` or from a completed run.
    pub(super) known: bool,
}

/// One invocation, and what it has read so far.
#[expect(clippy::struct_excessive_bools, reason = "each is one fact")]
#[derive(Debug, Clone, Default)]
pub(super) struct Invocation {
    pub(super) writes_allowed: bool,
    /// The first invocation of its run.
    pub(super) first: usize,
    slot: usize,
    truth_from_ms: i64,
    pub(super) run: Option<String>,
    /// It was completed without an error.
    pub(super) complete: bool,
    pub(super) before: Organisation,
    /// The content of the lists by which it planned, users and functional accounts.
    pub(super) seen: [Option<Arc<Organisation>>; 2],
    /// The content of the newest lists, users and functional accounts. The report names accounts by them.
    listed: [Option<Arc<Organisation>>; 2],
    /// Addresses of users in answers to its writes, by id. Zivver may not have stored them.
    answered: BTreeMap<String, String>,
    /// The number of writes of all processes at its start.
    writes_before: usize,
    /// Ids that a complete list must contain.
    expected: BTreeSet<String>,
    mailboxes: BTreeSet<String>,
    pub(super) accounts: [BTreeSet<String>; 2],
    /// The same, before its first write.
    pub(super) planned_by: [BTreeSet<String>; 2],
    mailboxes_read: bool,
    accounts_read: [bool; 2],
    permissions_read: BTreeSet<String>,
    absent: BTreeSet<String>,
    pub(super) writes: Vec<Write>,
    shrunken: bool,
    /// The bases of the limits of its run.
    base: Base,
    pub(super) scoped: bool,
    /// R45: it reads no permissions.
    pub(super) quick: bool,
    /// Zivver by whose addresses its report names accounts, and Zivver at its end.
    shown: Option<(Arc<Organisation>, Arc<Organisation>)>,
}

/// A write that Zivver acted on.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) id: String,
    pub(super) address: String,
    pub(super) accepted: bool,
    /// The attributes of its account that it changed; for a new account all.
    pub(super) changed: BTreeSet<Attribute>,
    /// Addresses of the delegates that it names.
    delegates: BTreeSet<String>,
}

/// A guarded change that was made.
#[derive(Debug)]
struct Deed {
    invocation: usize,
    at_ms: i64,
    /// By the clock of the process that did it.
    clock_ms: i64,
    class: Guarded,
    /// It counts only for the base, not for the limit.
    approved: bool,
    /// A list showed what it had made.
    shown: bool,
    /// A later run's list did not show it, though lists had the time that they may lag (R22). So it counts as not made
    /// (R26).
    missed: bool,
}

/// A held change that the administrator approved.
#[derive(Debug)]
struct Approved {
    until_ms: i64,
    intent: Intent,
}

#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub(super) organisation: Organisation,
    /// Earlier states, with the times since when they applied. A lagging list shows one of them.
    past: Vec<(i64, Arc<Organisation>)>,
    /// The lag of Zivver's lists.
    pub(super) lag: Duration,
    /// Whether lists lagged for longer than R22 allows. A create without an answer may then never have been seen.
    has_lagged_long: bool,
    truths: Vec<(i64, Truth)>,
    pub(super) owners: BTreeMap<String, Owner>,
    pub(super) invocations: Vec<Invocation>,
    /// Invocations after which another one has written.
    overtaken: BTreeSet<usize>,
    last_writer: Option<usize>,
    deeds: Vec<Deed>,
    approved: Vec<Approved>,
    pub(super) limits: Limits,
    pub(super) liveness: Liveness,
    writes: usize,
    baseline: Option<usize>,
    /// Some answers about permissions are not recorded by mailbox.
    pub(super) permissions_in_bulk: bool,
    pub(super) row_may_move: bool,
    /// Addresses that the program took from users, by id. An account may still name a user by one (R22).
    former: BTreeMap<String, String>,
    made: BTreeSet<String>,
    /// Users whose sign-in key the program wrote.
    keyed: BTreeSet<String>,
    pub(super) violations: Vec<String>,
}

pub(super) fn has_people(group: &Group, organisation: &Organisation) -> bool {
    group
        .members
        .iter()
        .any(|id| organisation.users.iter().any(|user| user.id == *id))
}

fn set(texts: &[String]) -> BTreeSet<String> {
    texts.iter().map(|text| lower(text)).collect()
}

/// The ids of the delegates of a user, without entries that give nobody access: the user itself, and addresses of no
/// account. An address that a delegate gave up since the run `began` means this delegate.
fn others(organisation: &Organisation, began: &Organisation, user: &User) -> BTreeSet<String> {
    let named = set(&user.delegates).into_iter();
    let ids = named.filter_map(|text| {
        let id = delegate_id(organisation, &text).or_else(|| delegate_id(began, &text));
        id.or_else(|| (!is_claimed(&text)).then_some(text))
    });
    ids.filter(|id| *id != user.id).collect()
}

/// The attributes in which the account with this id differs. If its address changed, Zivver itself may have changed its
/// aliases.
fn changed(
    id: &str,
    before: &Organisation,
    after: &Organisation,
    began: &Organisation,
) -> BTreeSet<Attribute> {
    let users = [before, after].map(|it| it.users.iter().find(|user| user.id == id));
    let groups = [before, after].map(|it| it.groups.iter().find(|group| group.id == id));
    let differences = match (users, groups) {
        ([Some(old), Some(new)], _) => [
            (Attribute::Address, old.user_name != new.user_name),
            (Attribute::Name, old.name != new.name),
            (Attribute::Active, old.active != new.active),
            (Attribute::Aliases, set(&old.aliases) != set(&new.aliases)),
            (
                Attribute::Delegates,
                others(before, began, old) != others(after, began, new),
            ),
        ],
        (_, [Some(old), Some(new)]) => [
            (Attribute::Address, old.external_id != new.external_id),
            (Attribute::Name, old.display_name != new.display_name),
            (Attribute::Active, false),
            (Attribute::Aliases, set(&old.aliases) != set(&new.aliases)),
            (Attribute::Delegates, set(&old.members) != set(&new.members)),
        ],
        _ => return BTreeSet::new(),
    };
    let renamed = differences[0].1;
    let differences = differences.into_iter().filter(|(_, differs)| *differs);
    let attributes = differences.map(|(attribute, _)| attribute);
    attributes
        .filter(|it| !renamed || *it != Attribute::Aliases)
        .collect()
}

pub(super) fn address_of(organisation: &Organisation, id: &str) -> Option<String> {
    let user = organisation
        .users
        .iter()
        .find(|it| it.id == id)
        .map(|it| &it.user_name);
    let group = || {
        organisation
            .groups
            .iter()
            .find(|it| it.id == id)
            .map(|it| &it.external_id)
    };
    user.or_else(group).map(|address| lower(address))
}

/// The addresses of delegates that the body of a write to a user names.
fn delegates_in(body: &Value) -> BTreeSet<String> {
    let extension = &body["urn:ietf:params:scim:schemas:zivver:0.1:User"];
    let delegates = extension["delegates"].as_array().into_iter().flatten();
    delegates.filter_map(Value::as_str).map(lower).collect()
}

/// The users of one, with the functional accounts of the other.
fn view([users, groups]: &[Option<Arc<Organisation>>; 2]) -> Option<Organisation> {
    Some(Organisation {
        users: users.as_ref()?.users.clone(),
        groups: groups.as_ref()?.groups.clone(),
        ..Organisation::default()
    })
}

/// The rows of one page of a list that lags, and the other accounts as the pages before showed them.
fn with_page(earlier: &Organisation, shown: &Organisation, page: &[Value]) -> Organisation {
    let is_on_page = |id: &str| page.iter().any(|row| row["id"] == id);
    let mut seen = shown.clone();
    for user in seen.users.iter_mut().filter(|it| !is_on_page(&it.id)) {
        if let Some(before) = earlier.users.iter().find(|it| it.id == user.id) {
            user.clone_from(before);
        }
    }
    for group in seen.groups.iter_mut().filter(|it| !is_on_page(&it.id)) {
        if let Some(before) = earlier.groups.iter().find(|it| it.id == group.id) {
            group.clone_from(before);
        }
    }
    seen
}

fn aliases_of(organisation: &Organisation, id: &str) -> BTreeSet<String> {
    let mut users = organisation.users.iter();
    let user = users.find(|it| it.id == id).map(|it| &it.aliases);
    let mut groups = organisation.groups.iter();
    let aliases = user.or_else(|| groups.find(|it| it.id == id).map(|it| &it.aliases));
    aliases.map(|aliases| set(aliases)).unwrap_or_default()
}

pub(super) fn id_of(organisation: &Organisation, address: &str) -> Option<String> {
    let user = organisation.user(address).map(|it| it.id.clone());
    user.or_else(|| organisation.group(address).map(|it| it.id.clone()))
}

/// The account that an entry among the delegates of a user means: delegates are compared by account (R22), and a user
/// that was renamed may keep its former address as an alias.
pub(super) fn delegate_id(organisation: &Organisation, address: &str) -> Option<String> {
    id_of(organisation, address).or_else(|| {
        let mut users = organisation.users.iter();
        let user = users.find(|it| {
            it.aliases
                .iter()
                .any(|alias| lower(alias) == lower(address))
        });
        user.map(|it| it.id.clone())
    })
}

impl Oracle {
    pub(super) fn new(organisation: Organisation, truth: Truth) -> Self {
        let mut oracle = Self {
            past: vec![(time::elapsed_ms(), Arc::new(organisation.clone()))],
            organisation,
            ..Self::default()
        };
        oracle.truth_changed(truth);
        oracle
    }

    pub(super) fn truth(&self) -> &Truth {
        &self.truths.last().unwrap().1
    }

    pub(super) fn violation(&mut self, invocation: usize, text: impl AsRef<str>) {
        let ms = time::elapsed_ms();
        let text = format!(
            "at {}.{:03} invocation {invocation}: {}",
            ms / 1000,
            ms % 1000,
            text.as_ref()
        );
        self.violations.push(text);
    }

    /// A person changed Zivver by hand. What people reverted before any list showed it cannot be seen (R26), nor can
    /// what a killed or failed run did (R35).
    pub(super) fn changed_by_hand(&mut self) {
        let invocations = &self.invocations;
        self.deeds
            .retain(|deed| deed.shown && invocations[deed.invocation].complete);
    }

    fn zivver_changed(&mut self, organisation: Organisation) {
        let now_ms = time::elapsed_ms();
        self.past.push((now_ms, Arc::new(organisation.clone())));
        let needed = self
            .past
            .iter()
            .rposition(|(since, _)| *since < now_ms - PAST_MS);
        self.past.drain(..needed.unwrap_or(0));
        self.organisation = organisation;
    }

    /// The content of a list that is made at this moment.
    pub(super) fn shown_at(&self, ms: i64) -> Arc<Organisation> {
        let lag_ms = i64::try_from(self.lag.as_millis()).unwrap();
        let mut past = self.past.iter().rev();
        let shown = past.find(|(since, _)| *since <= ms - lag_ms);
        Arc::clone(&shown.unwrap_or(&self.past[0]).1)
    }

    pub(super) fn lags_by(&mut self, lag: Duration) {
        self.lag = lag;
        self.has_lagged_long |= lag > LAG_MAX;
    }

    /// People changed something on either side.
    pub(super) fn world_changed(&mut self, organisation: Organisation, truth: Truth) {
        self.zivver_changed(organisation);
        self.truth_changed(truth);
    }

    fn truth_changed(&mut self, truth: Truth) {
        self.truths.push((time::elapsed_ms(), truth));
        let (_, truth) = self.truths.last().unwrap();
        let users = self
            .organisation
            .users
            .iter()
            .map(|it| (&it.id, &it.user_name, &it.external_account_id, Kind::User));
        let groups = self.organisation.groups.iter().map(|it| {
            (
                &it.id,
                &it.external_id,
                &it.external_account_id,
                Kind::Shared,
            )
        });
        for (id, address, tie, kind) in users.chain(groups) {
            let owner = self.owners.entry(id.clone()).or_default();
            if let Some(tie) = tie {
                // An approval may have given it to another person since (R16).
                if owner.persons.is_empty() {
                    owner.persons.insert(lower(tie));
                }
                owner.known = true;
            } else if !owner.known
                && let Some(person) = truth.owner_of(&lower(address), kind)
            {
                owner.persons.insert(person.clone());
            }
        }
    }

    pub(super) fn begins(
        &mut self,
        slot: usize,
        continues: Option<usize>,
        request: &RunRequest,
    ) -> usize {
        let now_ms = time::elapsed_ms();
        // A run whose clock is behind counts what is in its future as done now (R28).
        let clock_ms = now_ms + time::wrong_by_ms(slot);
        for deed in &mut self.deeds {
            deed.clock_ms = deed.clock_ms.min(clock_ms);
        }
        let earlier = continues.map(|before| &self.invocations[before]);
        let shrunken = self
            .baseline
            .is_some_and(|before| self.truth().mailboxes.len() * 2 < before);
        let ids = self
            .organisation
            .users
            .iter()
            .map(|it| &it.id)
            .chain(self.organisation.groups.iter().map(|it| &it.id));
        // A new account may be missing from a list for a while.
        let lags = self.organisation.switches.stale_reads_after_post > 0;
        let base = earlier.map(|it| it.base);
        let invocation = Invocation {
            writes_allowed: request.mode == Mode::Apply,
            first: earlier.map_or(self.invocations.len(), |it| it.first),
            slot,
            writes_before: self.writes,
            truth_from_ms: if earlier.is_some() {
                now_ms - KEPT_MS
            } else {
                now_ms
            },
            expected: ids
                .filter(|id| !lags || !self.made.contains(*id))
                .cloned()
                .collect(),
            permissions_read: earlier
                .map(|it| it.permissions_read.clone())
                .unwrap_or_default(),
            before: self.organisation.clone(),
            base: base.unwrap_or_else(|| Base::of(&self.organisation)),
            shrunken,
            scoped: !request.accounts.is_empty(),
            quick: request.depth == Depth::Quick,
            ..Invocation::default()
        };
        self.invocations.push(invocation);
        self.invocations.len() - 1
    }

    /// The administrator approves these changes for the next run.
    pub(super) fn approves(&mut self, report: &Report, code: &str) {
        let until_ms = time::elapsed_ms() + 24 * 60 * 60 * 1000;
        let (named, _) = self.shown(report);
        for held in report.held.iter().filter(|held| held.code == code) {
            for change in held.approves() {
                for intent in intents_of(change, &named) {
                    if let Effect::Identity(after) = &intent.effect {
                        let heir = self.truth().with_primary(after).cloned();
                        let owner = self.owners.entry(intent.account.clone()).or_default();
                        owner.persons.insert(heir.unwrap_or_else(|| after.clone()));
                    }
                    self.approved.push(Approved { until_ms, intent });
                }
            }
        }
    }

    pub(super) fn is_approved(&self, account: &str, effect: &Effect) -> bool {
        let now_ms = time::elapsed_ms();
        self.approved.iter().any(|it| {
            let Intent {
                account: approved,
                effect: of,
            } = &it.intent;
            let fits = match (of, effect) {
                (Effect::Rename(_), Effect::Rename(_)) | (Effect::Name(_), Effect::Name(_)) => true,
                _ => of == effect,
            };
            it.until_ms >= now_ms && approved == account && fits
        })
    }

    /// Zivver by whose addresses a report is to be read, and Zivver at the end of its run.
    pub(super) fn shown(&self, report: &Report) -> (Arc<Organisation>, Arc<Organisation>) {
        let mut invocations = self.invocations.iter().rev();
        let of = invocations.find(|it| it.run.as_ref() == Some(&report.id));
        let now = || Arc::new(self.organisation.clone());
        of.and_then(|it| it.shown.clone())
            .unwrap_or_else(|| (now(), now()))
    }

    /// Zivver as in the newest lists of an invocation, which may lag.
    pub(super) fn listed(&self, at: usize) -> Organisation {
        let Invocation { listed, before, .. } = &self.invocations[at];
        view(listed).unwrap_or_else(|| before.clone())
    }

    /// Zivver as an invocation saw it when it planned.
    pub(super) fn planned_view(&self, at: usize) -> Option<Organisation> {
        view(&self.invocations[at].seen)
    }

    /// A run was completed and reported.
    pub(super) fn ended(&mut self, invocation: usize, report: &Report, approvals: bool) {
        self.invocations[invocation].run = Some(report.id.clone());
        let after = Arc::new(self.organisation.clone());
        // A run that did not come to its verification did not name anything anew.
        let planned = self.planned_view(invocation);
        let planned = planned.filter(|_| report.converged.is_none());
        let named = Arc::new(planned.unwrap_or_else(|| self.listed(invocation)));
        self.invocations[invocation].shown = Some((named, after));
        self.invocations[invocation].complete =
            report.error.is_none() && report.state == RunState::Ended;
        let of = &self.invocations[invocation];
        if report.error.is_some() || !of.writes_allowed || of.scoped || report.converged.is_none() {
            return;
        }
        let seen = self.truth().mailboxes.len();
        self.baseline = Some(match self.baseline {
            Some(before) if report.depth == Depth::Quick => before.max(seen),
            Some(before) if !report.held.is_empty() && !approvals => before.max(seen),
            Some(_) | None => seen,
        });
        // From now on the memory has the owners of accounts (R16).
        let (_, truth) = self.truths.last().unwrap();
        let of = &self.invocations[invocation];
        let is_listed = |id| of.accounts.iter().any(|listed| listed.contains(id));
        for (id, owner) in &mut self.owners {
            // A list that lags for too long may never have shown what a create without an answer made.
            if self.has_lagged_long && !is_listed(id) {
                continue;
            }
            let Some(address) = address_of(&self.organisation, id) else {
                continue;
            };
            let noted = report.skipped.iter().any(|note| note.address == address);
            let at_address = truth
                .with_primary(&address)
                .is_some_and(|person| owner.persons.contains(person));
            if owner.persons.len() == 1 && at_address && !noted {
                owner.known = true;
            }
        }
    }

    /// A client received this answer undamaged.
    pub(super) fn delivered(&mut self, call: &Call, status: StatusCode, body: &Bytes) {
        match call.service {
            Service::Exchange => self.exchange_delivered(call, status, body),
            Service::Zivver if !call.is_write() => self.list_delivered(call, status, body),
            Service::Zivver | Service::Storage => {}
        }
    }

    fn exchange_delivered(&mut self, call: &Call, status: StatusCode, body: &Bytes) {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let rows = value["value"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let (_, truth) = self.truths.last().unwrap();
        let invocation = &mut self.invocations[call.invocation];
        if call.path.contains("/InvokeCommand") {
            let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            let nobody =
                status == StatusCode::NOT_FOUND || (status.is_success() && rows.is_empty());
            if asked["CmdletInput"]["CmdletName"] == "Get-Recipient" && nobody {
                let identity = asked["CmdletInput"]["Parameters"]["Identity"].as_str();
                invocation.absent.extend(identity.map(lower));
            }
            return;
        }
        if !status.is_success() {
            return;
        }
        if call.path.contains("/MailboxPermission") {
            let key = call
                .path
                .split("Mailbox('")
                .nth(1)
                .and_then(|rest| rest.split("')").next());
            let key = key.map(|key| {
                percent_encoding::percent_decode_str(key)
                    .decode_utf8_lossy()
                    .into_owned()
            });
            let key =
                key.and_then(|key| base64::engine::general_purpose::STANDARD.decode(key).ok());
            let key = key
                .map(|key| String::from_utf8_lossy(&key).into_owned())
                .unwrap_or_default();
            invocation
                .permissions_read
                .extend(truth.with_key(&key).cloned());
        } else if call.path.contains("/Mailbox?") {
            if call.path.contains("select=") && !call.path.contains("skiptoken") {
                invocation.mailboxes.clear();
            }
            let ids = rows
                .iter()
                .filter_map(|row| row["ExternalDirectoryObjectId"].as_str());
            invocation.mailboxes.extend(ids.map(lower));
            if value.get("@odata.nextLink").is_none() {
                let read = &invocation.mailboxes;
                // A mailbox that was added or removed in the meantime may be on the list or not.
                let from_ms = invocation.truth_from_ms;
                let lasting = |id: &String| {
                    let since = self.truths.iter().filter(|(since, _)| *since > from_ms);
                    since
                        .into_iter()
                        .all(|(_, truth)| truth.mailboxes.contains_key(id))
                };
                let mut listed = truth.mailboxes.keys().filter(|id| lasting(id));
                let all = self.row_may_move || listed.all(|id| read.contains(id));
                invocation.mailboxes_read |= all;
            }
        }
    }

    fn list_delivered(&mut self, call: &Call, status: StatusCode, body: &Bytes) {
        if !status.is_success() || call.path.contains("filter=") {
            return;
        }
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let of = usize::from(call.path.contains("/Groups"));
        let shown = self.shown_at(call.served_ms);
        let lag_ms = i64::try_from(self.lag.as_millis()).unwrap();
        let first = self.invocations[call.invocation].first;
        let due_ms = call.served_ms - i64::try_from(LAG_MAX.as_millis()).unwrap();
        for deed in &mut self.deeds {
            deed.shown |= deed.at_ms <= call.served_ms - lag_ms;
            let is_earlier = self.invocations[deed.invocation].first != first;
            deed.missed |= is_earlier && !deed.shown && deed.at_ms <= due_ms;
        }
        let invocation = &mut self.invocations[call.invocation];
        if !call.path.contains("startIndex") {
            invocation.accounts[of].clear();
        }
        let rows = value["Resources"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let ids = rows.iter().filter_map(|row| row["id"].as_str());
        invocation.accounts[of].extend(ids.map(str::to_owned));
        invocation.listed[of] = Some(Arc::clone(&shown));
        if invocation.writes.is_empty() {
            if invocation.first == call.invocation {
                // The base of the halves in R26, as the run read it, not as it was when it began to wait for the lock.
                invocation.base = invocation.base.max(Base::of(&shown));
            }
            let is_later_page = call.path.contains("startIndex") && !self.lag.is_zero();
            let earlier = invocation.seen[of].take().filter(|_| is_later_page);
            let seen = earlier.map_or_else(
                || Arc::clone(&shown),
                |earlier| Arc::new(with_page(&earlier, &shown, rows)),
            );
            invocation.seen[of] = Some(seen);
            invocation.planned_by[of].clone_from(&invocation.accounts[of]);
        }
        let there: BTreeSet<&String> = if of == 0 {
            shown.users.iter().map(|it| &it.id).collect()
        } else {
            shown.groups.iter().map(|it| &it.id).collect()
        };
        let read = &invocation.accounts[of];
        let mut expected = invocation.expected.iter().filter(|id| there.contains(id));
        invocation.accounts_read[of] |= expected.all(|id| read.contains(id));
    }

    /// A client sends a write. A process without the lock must not write (R29), nor one with incomplete lists (R1).
    pub(super) fn sends(&mut self, call: &Call) {
        let at = call.invocation;
        let invocation = &self.invocations[at];
        let complete = invocation.mailboxes_read && invocation.accounts_read == [true, true];
        let allowed = invocation.writes_allowed;
        if !complete {
            self.violation(
                at,
                format!(
                    "a write on an incomplete list: {} {}",
                    call.method, call.path
                ),
            );
        }
        if !allowed {
            self.violation(
                at,
                format!("a preview writes: {} {}", call.method, call.path),
            );
        }
        if self.overtaken.contains(&at) {
            self.violation(
                at,
                format!("a second writer: {} {}", call.method, call.path),
            );
        }
        if self.last_writer != Some(at) {
            self.overtaken.extend(self.last_writer.replace(at));
        }
    }

    /// A write arrived, and Zivver now has this content.
    pub(super) fn acted(
        &mut self,
        call: &Call,
        (status, answer): (StatusCode, &Bytes),
        after: &Organisation,
    ) {
        let before = self.organisation.clone();
        self.zivver_changed(after.clone());
        self.writes += 1;
        let path = call.path.strip_prefix("/api/scim/v2/").unwrap_or_default();
        let (_, id) = path.split_once('/').unwrap_or_default();
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let named = body["userName"]
            .as_str()
            .or(body["externalId"].as_str())
            .unwrap_or_default();
        let address = address_of(&before, id).unwrap_or_else(|| lower(named));
        let write = Write {
            id: id.to_owned(),
            address,
            accepted: status.is_success(),
            changed: self.meant(call.invocation, id, &before, after),
            delegates: delegates_in(&body),
        };
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        if let (true, Some(address)) = (write.accepted, answer["userName"].as_str()) {
            let answered = &mut self.invocations[call.invocation].answered;
            answered.insert(id.to_owned(), lower(address));
        }
        let mut parts = body.as_object().into_iter().flatten();
        let has_key = parts.any(|(_, part)| part.get("SsoAccountKey").is_some());
        if write.accepted && has_key && !id.is_empty() {
            self.key_written(call.invocation, id);
        }
        self.invocations[call.invocation].writes.push(write);
        if self.invocations[call.invocation].quick {
            self.changed_quickly(call.invocation, &before, after);
        }
        for user in &after.users {
            match before.users.iter().find(|it| it.id == user.id) {
                None => self.user_made(call.invocation, user),
                Some(old) if old != user => self.user_changed(call.invocation, &before, old, user),
                Some(_) => {}
            }
        }
        for group in &after.groups {
            match before.groups.iter().find(|it| it.id == group.id) {
                None => self.group_made(call.invocation, group),
                Some(old) if old != group => {
                    self.group_changed(call.invocation, &before, old, group);
                }
                Some(_) => {}
            }
        }
        if before.users.len() > after.users.len() || before.groups.len() > after.groups.len() {
            self.violation(call.invocation, "an account was deleted (R19)");
        }
    }

    /// The attributes that a write was meant to change. An extension is sent as a whole and as it was read (R23), so
    /// the run did not mean to change what lagging lists did not show yet.
    fn meant(
        &self,
        at: usize,
        id: &str,
        before: &Organisation,
        after: &Organisation,
    ) -> BTreeSet<Attribute> {
        let began = &self.invocations[at].before;
        let done = changed(id, before, after, began);
        let view = self.planned_view(at).filter(|_| !self.lag.is_zero());
        match view.filter(|view| address_of(view, id).is_some()) {
            Some(view) => &done & &changed(id, &view, after, began),
            None => done,
        }
    }

    /// Whether a statement is true for one of the owner's mailboxes, at any time that the invocation can have seen.
    fn is_right(&self, at: usize, id: &str, right: impl Fn(&Fact, &Truth) -> bool) -> bool {
        let owner = self.owners.get(id).cloned().unwrap_or_default();
        self.any_truth(at, |truth| {
            let facts = owner
                .persons
                .iter()
                .filter_map(|person| truth.mailboxes.get(person));
            facts.into_iter().any(|fact| right(fact, truth))
        })
    }

    fn any_truth(&self, at: usize, right: impl Fn(&Truth) -> bool) -> bool {
        self.truths_seen(at).any(right)
    }

    /// Every state of the directory while the invocation read, from new to old.
    fn truths_seen(&self, at: usize) -> impl Iterator<Item = &Truth> {
        let from_ms = self.invocations[at].truth_from_ms;
        let ended = move |place: usize| {
            let next = self.truths.get(place + 1);
            next.map_or(i64::MAX, |(since, _)| *since)
        };
        let truths = self.truths.iter().enumerate().rev();
        truths
            .filter(move |(place, _)| ended(*place) > from_ms)
            .map(|(_, (_, truth))| truth)
    }

    fn made(
        &mut self,
        at: usize,
        id: &str,
        address: &str,
        kind: Kind,
        key: Option<String>,
    ) -> Option<BTreeSet<String>> {
        self.made.insert(id.to_owned());
        let address = lower(address);
        self.did(at, Guarded::Create, &address, &Effect::Create);
        let fits = |truth: &Truth| {
            let person = truth.with_primary(&address)?;
            let fact = &truth.mailboxes[person];
            let active = kind != Kind::User || fact.enabled;
            (fact.kind == kind && active && is_claimed(&address)).then(|| person.clone())
        };
        // Several, if the address went from one to another in the meantime.
        let mut persons: BTreeSet<String> = self.truths_seen(at).filter_map(fits).collect();
        if persons.is_empty() {
            self.violation(at, format!("{address} was created for nobody"));
            return None;
        }
        if let Some(key) = key.filter(|key| persons.contains(key)) {
            persons = BTreeSet::from([key]);
        }
        let double = self.owners.iter().find(|(other, owner)| {
            let there = address_of(&self.organisation, other).is_some();
            **other != id && there && owner.known && owner.persons == persons
        });
        if let Some((other, _)) = double {
            let text = format!("{address} is a second account of {persons:?}, who has {other}");
            self.violation(at, text);
        }
        let owner = Owner {
            persons: persons.clone(),
            known: false,
        };
        self.owners.insert(id.to_owned(), owner);
        Some(persons)
    }

    fn user_made(&mut self, at: usize, user: &User) {
        let key = user.sso_account_key.as_deref().map(lower);
        let made = self.made(at, &user.id, &user.user_name, Kind::User, key.clone());
        if let Some(persons) = made {
            if key.is_none_or(|key| !persons.contains(&key)) {
                self.violation(
                    at,
                    format!(
                        "{} was created with the key {:?}",
                        user.user_name, user.sso_account_key
                    ),
                );
            }
            let empty = Organisation::default();
            let bare = User {
                aliases: Vec::new(),
                delegates: Vec::new(),
                ..user.clone()
            };
            self.sets_changed(at, &empty, &user.id, &bare.aliases, &user.aliases);
        }
    }

    fn group_made(&mut self, at: usize, group: &Group) {
        if self
            .made(at, &group.id, &group.external_id, Kind::Shared, None)
            .is_some()
        {
            let bare = Group {
                aliases: Vec::new(),
                members: Vec::new(),
                ..group.clone()
            };
            let before = self.organisation.clone();
            self.group_sets_changed(at, &before, &bare, group);
        }
    }

    fn user_changed(&mut self, at: usize, before: &Organisation, old: &User, new: &User) {
        let (id, who) = (new.id.as_str(), &new.user_name);
        self.key_changed(at, old, new);
        if old.external_account_id != new.external_account_id {
            self.violation(
                at,
                format!(
                    "{who}: ExternalAccountId {:?} became {:?}",
                    old.external_account_id, new.external_account_id
                ),
            );
        }
        if lower(&old.user_name) != lower(who) {
            let (from, to) = (lower(&old.user_name), lower(who));
            self.former.insert(from.clone(), id.to_owned());
            let aside = to.starts_with("cloud-sync-");
            let back = self.invocations[at]
                .before
                .users
                .iter()
                .any(|it| it.id == id && lower(&it.user_name) == to);
            if !aside
                && !back
                && !self.is_right(at, id, |fact, _| {
                    fact.kind == Kind::User && fact.primary == to
                })
            {
                self.violation(
                    at,
                    format!("{from} was renamed to {to}, which is another's"),
                );
            }
            let evidence = Effect::Identity(to.clone());
            if !aside && !back && !self.is_approved(id, &evidence) {
                self.did(at, Guarded::Rename, id, &Effect::Rename(to));
            }
        }
        if old.name != new.name {
            self.name_changed(at, id, who, &new.name);
        }
        if !old.active && new.active {
            let back = self.invocations[at]
                .before
                .users
                .iter()
                .any(|it| it.id == id && it.active);
            if !back && !self.is_right(at, id, |fact, _| fact.kind == Kind::User && fact.enabled) {
                self.violation(
                    at,
                    format!("{who} was resumed though its mailbox is not in use"),
                );
            }
        }
        if old.active && !new.active {
            self.stopped(at, before, id, who);
        }
        self.sets_changed(at, before, id, &old.aliases, &new.aliases);
        self.delegates_changed(at, before, old, new);
    }

    fn key_changed(&mut self, at: usize, old: &User, new: &User) {
        let (id, who) = (new.id.as_str(), &new.user_name);
        if old.sso_account_key != new.sso_account_key {
            let key = new.sso_account_key.as_deref().map(lower);
            let persons = self
                .owners
                .get(id)
                .map(|it| it.persons.clone())
                .unwrap_or_default();
            match key {
                None => self.violation(at, format!("{who} lost its SSO key")),
                Some(key) if !persons.contains(&key) => {
                    self.violation(at, format!("{who} of {persons:?} got the key {key}"));
                }
                Some(key) => {
                    let owner = self.owners.get_mut(id).unwrap();
                    owner.persons = BTreeSet::from([key]);
                }
            }
        }
    }

    /// R23: the first key that the program writes may replace a working one. A tie is approved with its key (R16).
    fn key_written(&mut self, at: usize, id: &str) {
        let is_first = !self.made.contains(id) && self.keyed.insert(id.to_owned());
        let gets_tie = self.approved.iter().any(|it| {
            let is_tie = matches!(&it.intent.effect, Effect::Identity(to) if !to.contains('@'));
            it.intent.account == id && is_tie
        });
        if is_first && !gets_tie {
            self.did(at, Guarded::SignInKey, id, &Effect::SignInKey);
        }
    }

    fn delegates_changed(&mut self, at: usize, before: &Organisation, old: &User, new: &User) {
        let (id, who) = (new.id.as_str(), &new.user_name);
        let follows = |text: &String| {
            // Zivver itself renames delegates.
            address_of(before, &id_of(&self.organisation, text).unwrap_or_default())
                .unwrap_or_else(|| lower(text))
        };
        // R22: an alias means the same delegate.
        let by_address = |text: &String| {
            let address = delegate_id(before, text).and_then(|id| address_of(before, &id));
            address.unwrap_or_else(|| lower(text))
        };
        let were: BTreeSet<String> = old.delegates.iter().map(by_address).collect();
        let are: BTreeSet<String> = new.delegates.iter().map(follows).collect();
        let are: BTreeSet<String> = are.iter().map(by_address).collect();
        let by_id = |text: &String| id_of(before, text).or_else(|| id_of(&self.organisation, text));
        // An account that named a delegate by a former address when the run began did not lose it.
        let began = &self.invocations[at].before.users;
        let began = began.iter().find(|user| user.id == id);
        let named = began.into_iter().chain([old]).flat_map(|it| &it.delegates);
        let former = named.filter_map(|text| address_of(before, self.former.get(&lower(text))?));
        let were_open: BTreeSet<String> = former.chain(were.iter().cloned()).collect();
        let added: Vec<_> = are
            .difference(&were_open)
            .map(|text| (text.clone(), by_id(text)))
            .collect();
        let gone: Vec<_> = were
            .difference(&are)
            .map(|text| (text.clone(), by_id(text)))
            .collect();
        // R22: named by an address that Zivver answered with and did not store, so it leads to no account.
        let Invocation {
            answered, writes, ..
        } = &self.invocations[at];
        let sent = writes.last().map(|write| &write.delegates);
        let is_sent = |id: &Option<String>| {
            let address = id.as_ref().and_then(|id| answered.get(id));
            address.is_some_and(|address| sent.is_some_and(|sent| sent.contains(address)))
        };
        let gone: Vec<_> = gone.into_iter().filter(|(_, id)| !is_sent(id)).collect();
        // An entry that is the account itself, or no account, gives nobody access.
        let is_access = |(text, delegate): &(String, Option<String>)| match delegate {
            Some(delegate) => delegate != id,
            None => !is_claimed(text),
        };
        let added = added.into_iter().filter(is_access).collect::<Vec<_>>();
        let gone = gone.into_iter().filter(is_access).collect::<Vec<_>>();
        for (text, delegate) in added {
            self.delegate_added(at, id, who, &text, delegate.as_deref());
        }
        for (text, delegate) in gone {
            self.delegate_removed(at, id, who, &text, delegate.as_deref());
        }
    }

    fn group_changed(&mut self, at: usize, before: &Organisation, old: &Group, new: &Group) {
        let (id, who) = (new.id.as_str(), &new.external_id);
        if lower(&old.external_id) != lower(who)
            || old.external_account_id != new.external_account_id
        {
            self.violation(at, format!("{who} was renamed or lost its tie"));
        }
        if old.display_name != new.display_name {
            self.name_changed(at, id, who, &new.display_name);
        }
        if has_people(old, before) && !has_people(new, before) {
            self.stopped(at, before, id, who);
        }
        self.group_sets_changed(at, before, old, new);
    }

    fn group_sets_changed(&mut self, at: usize, before: &Organisation, old: &Group, new: &Group) {
        let (id, who) = (new.id.as_str(), &new.external_id);
        self.sets_changed(at, before, id, &old.aliases, &new.aliases);
        let (were, are): (BTreeSet<_>, BTreeSet<_>) =
            (old.members.iter().collect(), new.members.iter().collect());
        for member in are.difference(&were) {
            if **member != new.id {
                self.delegate_added(at, id, who, member, Some(member));
            }
        }
        for member in were.difference(&are) {
            let address = address_of(before, member).unwrap_or_default();
            if before
                .groups
                .iter()
                .any(|it| it.id == **member && it.id != new.id)
            {
                self.violation(
                    at,
                    format!("{who}: another functional account was removed (R22)"),
                );
            } else if before.users.iter().any(|it| it.id == **member) {
                self.delegate_removed(at, id, who, &address, Some(member));
            }
        }
    }

    fn name_changed(&mut self, at: usize, id: &str, who: &str, name: &str) {
        // Zivver may store another value than it received.
        let name = name.strip_suffix(GARBLED).unwrap_or(name);
        if !self.is_right(at, id, |fact, _| {
            fact.kind != Kind::Other && fact.name == name
        }) {
            self.violation(
                at,
                format!("{who} got the name {name:?}, which is another's"),
            );
        }
        let effect = Effect::Name(name.to_owned());
        self.did(at, Guarded::NameChange, id, &effect);
    }

    /// The account of a person, if that is certain.
    pub(super) fn account_of(&self, person: &str) -> Result<Option<String>, ()> {
        let there = |id: &String| address_of(&self.organisation, id).is_some();
        let owned = self
            .owners
            .iter()
            .filter(|(id, owner)| owner.persons.contains(person) && there(id));
        let owned: Vec<_> = owned.collect();
        match owned[..] {
            [] => Ok(None),
            [(id, of)] if of.persons.len() == 1 => Ok(Some(id.clone())),
            _ => Err(()),
        }
    }

    /// Whether the program could know the owner of an account. If not, a removal cannot be called wrong.
    pub(super) fn is_certain(&self, id: &str, before: &Organisation) -> bool {
        let Some(owner) = self.owners.get(id) else {
            return false;
        };
        let address = address_of(before, id).unwrap_or_default();
        let kind = if before.users.iter().any(|it| it.id == id) {
            Kind::User
        } else {
            Kind::Shared
        };
        let person = self.truth().owner_of(&address, kind);
        owner.known || person.is_some_and(|person| owner.persons.iter().eq([person]))
    }

    /// A user was suspended, a functional account emptied.
    fn stopped(&mut self, at: usize, before: &Organisation, id: &str, who: &str) {
        let owner = self.owners.get(id).cloned().unwrap_or_default();
        let release = self.is_approved(id, &Effect::Stop);
        let group = before.groups.iter().find(|it| it.id == id);
        let entitled = |fact: &Fact, truth: &Truth| {
            let mut members = group.iter().flat_map(|group| &group.members);
            members.any(|member| {
                let there = before.users.iter().any(|it| it.id == *member);
                there && self.is_certain(member, before) && self.is_entitled(member, fact, truth)
            })
        };
        let in_use = |truth: &Truth| {
            let facts = owner.persons.iter().map(|person| truth.known(person));
            facts.into_iter().all(|fact| {
                fact.is_some_and(|fact| match fact.kind {
                    Kind::User => fact.enabled || group.is_some(),
                    Kind::Shared => group.is_none() || entitled(fact, truth),
                    Kind::Other | Kind::Elsewhere | Kind::Nobody => true,
                })
            })
        };
        let certain = self.is_certain(id, before);
        let gone = |truth: &Truth| {
            let mut persons = owner.persons.iter();
            persons.all(|person| truth.known(person).is_none())
        };
        // R16, R19: the mailbox that has the address now must not use the account either, nor must that of an owner who
        // has another address by now.
        let unused = |truth: &Truth| {
            let there = truth.with_primary(&lower(who));
            let mut persons = owner.persons.iter().chain(there);
            persons.any(|person| {
                let fact = truth.mailboxes.get(person);
                fact.is_some_and(|it| match it.kind {
                    Kind::User => !it.enabled,
                    Kind::Shared => group.is_some() && !owner.known && !entitled(it, truth),
                    Kind::Other | Kind::Elsewhere | Kind::Nobody => false,
                })
            })
        };
        if certain && !self.any_truth(at, |truth| !in_use(truth)) {
            let text = format!("{who} was stopped though its mailbox is in use");
            self.violation(at, text);
        } else if self.any_truth(at, gone) && !self.any_truth(at, unused) {
            // R19: only a clean "not found" allows it.
            let asked = &self.invocations[at].absent;
            let mut names = owner.persons.iter();
            if !asked.contains(&lower(who)) && !names.any(|person| asked.contains(person)) {
                let text = format!("{who} was stopped, but nobody was asked whether it is gone");
                self.violation(at, text);
            }
            if owner.persons.is_empty() && !release {
                self.violation(at, format!("the stray {who} was stopped without approval"));
            }
        }
        self.did(at, Guarded::Suspend, id, &Effect::Stop);
    }

    /// R12: whether all possible owners of an account may open the mailbox, and are users, or people with an active
    /// account whose mailbox is not judged here.
    pub(super) fn is_entitled(&self, account: &str, fact: &Fact, truth: &Truth) -> bool {
        let owner = self.owners.get(account).cloned().unwrap_or_default();
        let user = self.organisation.users.iter().find(|it| it.id == account);
        let active = user.is_some_and(|it| it.active);
        let entitled = |person: &String| {
            let counts = truth.known(person).is_some_and(|it| match it.kind {
                Kind::User if is_claimed(&it.primary) => true,
                Kind::User | Kind::Other | Kind::Elsewhere => active,
                Kind::Shared | Kind::Nobody => false,
            });
            counts && fact.grantees.contains(person)
        };
        !owner.persons.is_empty() && owner.persons.iter().all(entitled)
    }

    fn sets_changed(
        &mut self,
        at: usize,
        before: &Organisation,
        id: &str,
        old: &[String],
        new: &[String],
    ) {
        let who = address_of(&self.organisation, id).unwrap_or_default();
        let (old, new) = (set(old), set(new));
        let at_first = aliases_of(&self.invocations[at].before, id);
        let view = self.planned_view(at).filter(|_| !self.lag.is_zero());
        let shown = view.map(|view| aliases_of(&view, id));
        // A list that lags for longer than allowed (R22) may have shown an alias whose removal is held.
        let shown_late = shown.as_ref().filter(|_| self.lag > LAG_MAX);
        for alias in new.difference(&old) {
            let own = self.is_right(at, id, |fact, _| fact.addresses.contains(alias));
            let was_shown = shown_late.is_some_and(|it| it.contains(alias));
            if !own && !was_shown && !at_first.contains(alias) {
                self.violation(
                    at,
                    format!("{who} got the alias {alias}, which is another's"),
                );
            }
        }
        for alias in old.difference(&new) {
            // Removed for a rename to it.
            let becomes_primary =
                self.is_right(at, id, |fact, _| fact.primary == *alias) || who == *alias;
            let owner = self.owners.get(id).cloned().unwrap_or_default();
            let is_not_its_own = |truth: &Truth| {
                let facts = owner
                    .persons
                    .iter()
                    .map(|person| truth.mailboxes.get(person));
                let mut facts = facts.into_iter();
                facts.any(|fact| fact.is_none_or(|fact| !fact.addresses.contains(alias)))
            };
            let own = self.is_certain(id, before) && !self.any_truth(at, is_not_its_own);
            if !is_claimed(alias) {
                self.violation(
                    at,
                    format!("{who} lost the alias {alias} of another domain (R13)"),
                );
            } else if own && !becomes_primary && shown.as_ref().is_none_or(|it| it.contains(alias))
            {
                self.violation(
                    at,
                    format!("{who} lost the alias {alias}, which is its own"),
                );
            }
            if !becomes_primary && !before.users.is_empty() {
                self.did(at, Guarded::AliasRemoval, id, &Effect::Alias(alias.clone()));
            }
        }
    }

    fn delegate_added(
        &mut self,
        at: usize,
        id: &str,
        who: &str,
        text: &str,
        delegate: Option<&str>,
    ) {
        let persons = delegate
            .and_then(|it| self.owners.get(it))
            .map(|it| it.persons.clone())
            .unwrap_or_default();
        let right = |fact: &Fact, truth: &Truth| {
            let mut persons = persons.iter();
            let ours = |person: &&String| !truth.recipients.contains_key(*person);
            persons.any(|person| ours(&person) && fact.grantees.contains(person))
        };
        // Delegates of users are written with the address in the list (R22). A list that lags for longer than allowed
        // can show the previous owner of the address.
        let shown_as = self.invocations[at].seen[0].as_ref();
        let shown = shown_as.filter(|_| self.lag > LAG_MAX && text.contains('@'));
        let shown = shown.and_then(|shown| id_of(shown, text));
        let shown = shown.and_then(|id| self.owners.get(&id));
        let was_right = |fact: &Fact, _: &Truth| {
            let mut persons = shown.iter().flat_map(|owner| &owner.persons);
            persons.any(|person| fact.grantees.contains(person))
        };
        // The row that a moved page lost may have been the one that a trustee's name means. A lagging list may have
        // shown a delegate whose removal is held.
        let was_shown = self.lag > LAG_MAX && self.was_shown_as_delegate(at, id, text);
        if !self.row_may_move
            && !was_shown
            && !self.was_seen_open(at, id, delegate)
            && !self.is_right(at, id, right)
            && !self.is_right(at, id, was_right)
        {
            self.violation(
                at,
                format!("{who} was opened to {text} of {persons:?}, who has no right to it"),
            );
        }
    }

    /// Whether the lists named this address as a delegate of the account. An extension is written as a whole, as the
    /// lists showed it (R23).
    fn was_shown_as_delegate(&self, at: usize, id: &str, text: &str) -> bool {
        let mut seen = self.invocations[at].seen.iter().flatten();
        seen.any(|seen| {
            let mut users = seen.users.iter().filter(|it| it.id == id);
            users.any(|it| set(&it.delegates).contains(text))
        })
    }

    fn was_seen_open(&self, at: usize, id: &str, delegate: Option<&str>) -> bool {
        let Some(delegate) = delegate else {
            return false;
        };
        let mut seen = self.invocations[at].seen.iter().flatten();
        seen.any(|seen| {
            let mut groups = seen.groups.iter().filter(|it| it.id == id);
            let is_member = groups.any(|it| it.members.iter().any(|member| member == delegate));
            let mut users = seen.users.iter().filter(|it| it.id == id);
            let address = address_of(seen, delegate);
            is_member
                || users.any(|it| {
                    address
                        .as_ref()
                        .is_some_and(|address| set(&it.delegates).contains(address))
                })
        })
    }

    /// R12: whether the list showed the present status of a user. A lagging list does not show recent changes.
    fn was_seen_as_active(&self, at: usize, user: &str) -> bool {
        let is_active = |organisation: &Organisation| {
            let mut users = organisation.users.iter();
            users.any(|it| it.id == user && it.active)
        };
        let seen = self.invocations[at].seen[0].as_deref();
        self.lag.is_zero()
            || seen.is_none_or(|seen| is_active(seen) == is_active(&self.organisation))
    }

    fn delegate_removed(
        &mut self,
        at: usize,
        id: &str,
        who: &str,
        text: &str,
        delegate: Option<&str>,
    ) {
        let Some(delegate) = delegate else {
            if self.was_shown_as_delegate(at, id, text) && !is_claimed(text) {
                self.violation(
                    at,
                    format!("{who} lost the delegate {text} of another domain (R13)"),
                );
            }
            return;
        };
        let was_shown = self.was_seen_open(at, id, Some(delegate));
        if was_shown && !is_claimed(&address_of(&self.organisation, delegate).unwrap_or_default()) {
            self.violation(
                at,
                format!("{who} lost the delegate {text} of another domain (R13)"),
            );
        }
        let owner = self.owners.get(id).cloned().unwrap_or_default();
        let before = self.invocations[at].before.clone();
        let certain = self.is_certain(id, &before) && self.is_certain(delegate, &before);
        let right = self.any_truth(at, |truth| {
            let facts = owner
                .persons
                .iter()
                .map(|person| truth.mailboxes.get(person));
            let mut facts = facts.into_iter();
            facts.any(|fact| fact.is_none_or(|fact| !self.is_entitled(delegate, fact, truth)))
        });
        // Exchange is not asked about a suspended user whose row a moved page lost. The next run corrects it.
        let mut users = before.users.iter();
        let suspended = users.any(|it| it.id == delegate && !it.active);
        let read = &self.invocations[at].mailboxes;
        let mut persons = self
            .owners
            .get(delegate)
            .into_iter()
            .flat_map(|it| &it.persons);
        let lost = self.row_may_move && suspended && !persons.any(|it| read.contains(it));
        // A lagging list does not show a new account at all, which cannot be detected.
        let [users, _] = &self.invocations[at].accounts;
        let seen = users.contains(delegate);
        let is_known = self.lag.is_zero() || self.was_seen_open(at, id, Some(delegate));
        if certain && !right && !lost && seen && is_known && self.was_seen_as_active(at, delegate) {
            let text = format!("{who} was closed to {text}, who has a right to it");
            self.violation(at, text);
        }
        let listed = self.truth().mailboxes.keys();
        let listed: BTreeSet<&String> = listed
            .filter(|person| owner.persons.contains(*person))
            .collect();
        let read = &self.invocations[at].permissions_read;
        let unread = listed.into_iter().any(|person| !read.contains(person));
        if certain && unread && seen && is_known && !self.permissions_in_bulk {
            let text = format!("{who} was closed to {text}, though its permissions were not read");
            self.violation(at, text);
        }
        // For the program, an account that is in no list is not a delegate (R22).
        if address_of(&before, delegate).is_some() && seen && is_known {
            let effect = Effect::Member(delegate.to_owned());
            self.did(at, Guarded::DelegateRemoval, id, &effect);
        }
    }

    /// Counts a guarded change (R26).
    fn did(&mut self, at: usize, class: Guarded, id: &str, effect: &Effect) {
        let now_ms = time::elapsed_ms();
        let clock_ms = now_ms + time::wrong_by_ms(self.invocations[at].slot);
        let approved = self.is_approved(id, effect) || self.is_approved(id, &Effect::Stop);
        let deed = Deed {
            invocation: at,
            at_ms: now_ms,
            clock_ms,
            class,
            approved,
            shown: false,
            missed: false,
        };
        self.deeds.push(deed);
        if approved {
            return;
        }
        if class.takes_away() && self.invocations[at].shrunken {
            let text =
                format!("{effect:?} of {id} though the source shrank to less than half (R2)");
            self.violation(at, text);
        }
        let first = self.invocations[at].first;
        let today = self.deeds.iter().filter(|it| {
            it.class == class && it.at_ms > now_ms - DAY_MS && it.clock_ms > clock_ms - DAY_MS
        });
        let done = today
            .clone()
            .filter(|it| !it.approved && !it.missed)
            .count();
        // The base includes what already counts today. Otherwise a run that is cut off (R35) could not be completed.
        let earlier = today.filter(|it| self.invocations[it.invocation].first != first);
        let mut there = self.invocations[at].base.measures(class);
        if class.takes_away() {
            there += earlier.count();
        }
        let allowed = self.limits[&class].allows(class, there);
        let may_be_unseen = class == Guarded::Create && self.has_lagged_long;
        if done > allowed && !may_be_unseen {
            let text = format!("{done} {class:?} in a day, where {allowed} are allowed (R26)");
            self.violation(at, text);
        }
    }

    /// Whether no other process wrote during an invocation.
    pub(super) fn worked_alone(&self, at: usize) -> bool {
        let invocation = &self.invocations[at];
        self.writes - invocation.writes_before == invocation.writes.len()
    }
}
