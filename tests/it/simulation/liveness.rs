//! What must not be forgotten. After each run that read everything, access without a grant is removed, held or named.
//! What was held stays held until it is done, its cause is gone, or a person has approved it. Of the report only the
//! names and codes are used, not its statements about the state.

use std::collections::{BTreeMap, BTreeSet};

use cloud_sync::{
    domain::{
        held::HeldChange,
        mode::{Depth, Mode},
        note::Note,
        plan::Attribute,
        report::{Report, RunOutcome, RunState},
    },
    sandbox::zivver::{Group, Organisation, User},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    guarded::{Effect, Intent, intents_of, is_ours},
    oracle::{LAG_MAX, Oracle, address_of, delegate_id, has_people, id_of},
    time,
    truth::{Fact, Kind, lower},
};

/// Notes that do not explain why access remains.
const IDLE: [&str; 11] = [
    "alias_malformed",
    "trustee_deleted",
    "trustee_denied",
    "trustee_not_found",
    "trustee_not_a_mailbox",
    "group_gives_no_right",
    "delegate_pruned",
    "inactive_not_created",
    "approval_outdated",
    "delegate_left_out",
    "outside_run",
];

/// Notes about a change that was made without effect. They count only for a run that has tried.
const IN_VAIN: [&str; 3] = ["write_had_no_effect", "access_not_taken", "repeat_offender"];

/// The only reasons for keeping the account of a person who is certainly gone: Exchange could not be asked, it does not
/// show the status, or the account is part of something ambiguous.
const OF_LEAVERS: [&str; 8] = [
    "rejected",
    "absence_unknown",
    "delegations_unknown",
    "mailbox_gone",
    "delegates_left_out",
    "delegates_stay",
    "claim_conflict",
    "duplicate_primary",
];

/// The data that the oracle keeps from one report to the next.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    held: BTreeSet<Intent>,
    codes_used: BTreeSet<String>,
    /// The number of wrong accesses after runs, and how many of them were only reported.
    pub(super) wrong: u64,
    pub(super) told: u64,
}

/// A value that an account has and should not have.
#[derive(Debug, Clone)]
struct Wrong {
    intent: Intent,
    /// Addresses by which a report may name it.
    names: BTreeSet<String>,
    text: String,
    weight: Weight,
    /// The mailbox that is to get the address, if it is about one.
    claimant: Option<Claimant>,
}

/// The mailbox that is to get an address.
#[derive(Debug, Clone)]
struct Claimant {
    /// Held changes without which it does not get the address.
    needs: [Intent; 3],
    /// R45: whether only permissions tell that it gets an account.
    needs_permissions: bool,
}

/// What excuses that it is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// A note is enough.
    Light,
    /// The owner is known and gone, or must not use the account. Only a few reasons count.
    Certain,
    /// Neither Exchange nor Zivver prevents the removal.
    Free,
}

/// The names and reasons in a report.
pub(super) struct Told<'a> {
    report: &'a Report,
    held: BTreeSet<Intent>,
    notes: BTreeMap<String, Vec<String>>,
    /// By address: planned by a preview, failed, or still different.
    open: BTreeSet<String>,
    /// Ids of accounts to which the run sent a write.
    tried: BTreeSet<String>,
}

/// A code is valid for 24 hours, by clocks that may be wrong.
fn has_expired(shown: &Report) -> bool {
    let shown: Timestamp = shown.started.parse().unwrap();
    let age = (time::RIGHT_CLOCK)().duration_since(shown);
    age > SignedDuration::from_hours(23) || age.is_negative()
}

fn is_active(organisation: &Organisation, id: &str) -> bool {
    let mut users = organisation.users.iter();
    let mut groups = organisation.groups.iter();
    users.any(|it| it.id == id && it.active)
        || groups.any(|it| it.id == id && has_people(it, organisation))
}

/// Whether a functional account does not have the members any more that an approved change removes.
fn has_other_members(change: &HeldChange, view: &Organisation) -> bool {
    let Some(group) = view.group(change.address.as_str()) else {
        return false;
    };
    let is_user = |id: &&String| view.users.iter().any(|it| it.id == **id);
    let members = group.members.iter().filter(is_user);
    let members: BTreeSet<_> = members.filter_map(|id| address_of(view, id)).collect();
    members != change.before.split_whitespace().map(lower).collect()
}

fn code_of(note: &Note) -> String {
    let value = serde_json::to_value(note.code).unwrap();
    value.as_str().unwrap().to_owned()
}

impl Oracle {
    /// Judges a report when it is made. The run was started with these `codes`.
    pub(super) fn reported(&mut self, at: usize, report: &Report, codes: &[(String, Report)]) {
        let is_whole = report.state == RunState::Ended
            && report.error.is_none()
            && report.outcome != RunOutcome::Failed
            && report.undoes.is_none();
        let codes: Vec<_> = codes
            .iter()
            .filter(|(code, _)| self.liveness.codes_used.insert(code.clone()))
            .collect();
        let Some(view) = self.planned_view(at) else {
            return;
        };
        if !is_whole || self.row_may_move || !self.worked_alone(at) {
            return;
        }
        let told = self.told(at, report);
        let mut found = Vec::new();
        let mut wrongs = self.wrongs(at, &view);
        let is_quick = report.depth == Depth::Quick;
        if is_quick {
            let is_unread =
                |it: &Wrong| it.claimant.as_ref().is_some_and(|it| it.needs_permissions);
            wrongs.retain(|wrong| self.is_seen_quickly(&wrong.intent) && !is_unread(wrong));
        }
        for wrong in &wrongs {
            let concerns = |address: &String| {
                let mut asked = report.accounts.iter();
                asked.any(|it| lower(it.as_str()) == *address)
            };
            // R39: a run for some accounts reports what they have, not what they may open.
            let whose = self.names_known(&view, &wrong.intent.account);
            let silent = report.converged != Some(true) || !whose.iter().any(concerns);
            if !report.accounts.is_empty() && silent {
                continue;
            }
            self.liveness.wrong += 1;
            if told.excuses(wrong) {
                self.liveness.told += 1;
                continue;
            }
            found.push(format!(
                "{} is neither gone nor held nor named (run {}, {:?}, converged {:?})",
                wrong.text, report.id, report.outcome, report.converged
            ));
        }
        if report.accounts.is_empty() {
            found.extend(self.forgotten(&told, &view, &wrongs));
            found.extend(self.not_released(&told, &view, &codes));
            if !is_quick {
                found.extend(self.lacking(at, report, &told));
            }
            // R45: what a full run held of delegations waits for the next full run.
            let held = std::mem::replace(&mut self.liveness.held, told.held);
            let unseen = held
                .into_iter()
                .filter(|it| is_quick && !self.is_seen_quickly(it));
            let unseen: Vec<Intent> = unseen.collect();
            self.liveness.held.extend(unseen);
        }
        for text in found {
            self.violation(at, text);
        }
    }

    fn told<'a>(&self, at: usize, report: &'a Report) -> Told<'a> {
        let listed = self.listed(at);
        let held = report.held.iter().flat_map(|held| {
            let changes = held.changes.iter();
            changes.flat_map(|change| intents_of(change, &listed))
        });
        let mut notes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for note in &report.skipped {
            let codes = notes.entry(lower(&note.address)).or_default();
            codes.push(code_of(note));
            // Alias evidence also names the account that waits for an answer (R17).
            if code_of(note) == "alias_evidence" {
                for word in note.text.split_whitespace().filter(|it| it.contains('@')) {
                    notes.entry(lower(word)).or_default().push(code_of(note));
                }
            }
        }
        let failed = report.failed.iter().map(|it| &it.address);
        let differing = report.differences.iter().map(|it| &it.address);
        let planned = report.actions.iter().map(|it| &it.action.address);
        let planned = planned.filter(|_| report.mode == Mode::Preview);
        let open = failed.chain(differing).chain(planned);
        let first = self.invocations[at].first;
        let run = self.invocations.iter().filter(|it| it.first == first);
        let tried = run.flat_map(|it| it.writes.iter().map(|write| write.id.clone()));
        Told {
            report,
            held: held.collect(),
            notes,
            open: open.map(|it| lower(it.as_str())).collect(),
            tried: tried.collect(),
        }
    }

    /// What is wrong now and was already wrong in what the run read, also when it read again.
    fn wrongs(&self, at: usize, view: &Organisation) -> Vec<Wrong> {
        let intents = |organisation: &Organisation| -> BTreeSet<Intent> {
            let wrongs = self.wrong_in(organisation).into_iter();
            wrongs.map(|it| it.intent).collect()
        };
        let mut now = intents(&self.organisation);
        if !self.lag.is_zero() {
            let last = intents(&self.listed(at));
            now.retain(|it| last.contains(it));
        }
        let listed = |id: &String| {
            self.invocations[at]
                .planned_by
                .iter()
                .any(|it| it.contains(id))
        };
        // R22: a member that no list of the run showed does not make an account active.
        let is_open = |intent: &Intent| {
            let mut groups = view.groups.iter();
            let group = groups.find(|it| it.id == intent.account);
            intent.effect != Effect::Stop || group.is_none_or(|it| it.members.iter().any(&listed))
        };
        let mut wrongs = self.wrong_in(view);
        wrongs.retain(|wrong| {
            let member = wrong.intent.effect.member();
            member.is_none_or(&listed)
                && listed(&wrong.intent.account)
                && is_open(&wrong.intent)
                && now.contains(&wrong.intent)
        });
        wrongs
    }

    fn wrong_in(&self, organisation: &Organisation) -> Vec<Wrong> {
        let mut found = Vec::new();
        for user in &organisation.users {
            self.wrong_of_user(organisation, user, &mut found);
        }
        for group in &organisation.groups {
            self.wrong_of_group(organisation, group, &mut found);
        }
        found
    }

    /// The owner of an account, and whether the program could know it. `None` if the owner is not certain.
    fn owner(&self, id: &str) -> Option<(Option<&String>, bool)> {
        let Some(owner) = self.owners.get(id) else {
            return Some((None, false));
        };
        (owner.persons.len() < 2).then(|| (owner.persons.first(), owner.known))
    }

    pub(super) fn names(&self, organisation: &Organisation, id: &str) -> BTreeSet<String> {
        if id.contains('@') {
            return BTreeSet::from([id.to_owned()]);
        }
        let addresses = [organisation, &self.organisation].map(|it| address_of(it, id));
        let owner = self.owner(id).and_then(|(person, _)| person);
        let fact = owner.and_then(|person| self.truth().known(person));
        let listed = fact
            .into_iter()
            .flat_map(|fact| fact.addresses.iter().cloned());
        addresses.into_iter().flatten().chain(listed).collect()
    }

    /// The same, without the addresses of a mailbox whose account the program cannot know.
    fn names_known(&self, organisation: &Organisation, id: &str) -> BTreeSet<String> {
        if self.is_certain(id, organisation) {
            return self.names(organisation, id);
        }
        let addresses = [organisation, &self.organisation].map(|it| address_of(it, id));
        addresses.into_iter().flatten().collect()
    }

    fn wrong_of_user(&self, organisation: &Organisation, user: &User, found: &mut Vec<Wrong>) {
        let Some((person, known)) = self.owner(&user.id) else {
            return;
        };
        if !is_ours(&user.user_name) {
            return;
        }
        let truth = self.truth();
        let fact = person.and_then(|person| truth.known(person));
        let ours = |fact: &Fact| is_ours(&fact.primary);
        let state = match fact {
            None => Some(if person.is_some() { "gone" } else { "nobody's" }),
            Some(fact) if fact.kind == Kind::User && !fact.enabled => Some("disabled"),
            Some(fact) if fact.kind == Kind::Shared => Some("now shared"),
            Some(_) => None,
        };
        let (id, who) = (&user.id, &user.user_name);
        let wrong = |effect, weight, text| Wrong {
            intent: Intent {
                account: id.clone(),
                effect,
            },
            names: self.names(organisation, id),
            text,
            weight,
            claimant: None,
        };
        if let Some(state) = state.filter(|_| user.active) {
            let weight = match state {
                "gone" | "disabled" if known && fact.is_none_or(ours) => Weight::Certain,
                _ => Weight::Light,
            };
            let text = format!("{who} ({id}) is active and its mailbox is {state}: that");
            found.push(wrong(Effect::Stop, weight, text));
        }
        let in_use = fact.filter(|it| it.kind == Kind::User && it.enabled && ours(it));
        if let Some(fact) = in_use.filter(|_| user.active) {
            let ids = user
                .delegates
                .iter()
                .filter_map(|it| delegate_id(organisation, it));
            self.wrong_members(organisation, (id, who), fact, ids, found);
        }
        self.wrong_addresses(organisation, (id, who, &user.aliases), found);
        let follows = fact.filter(|it| known && !user.active && it.kind == Kind::User && ours(it));
        self.wrong_name(organisation, user, follows, found);
    }

    /// R22: the suspended account of a leaver follows its mailbox to a free address, so that another account can get
    /// the old one.
    fn wrong_name(
        &self,
        organisation: &Organisation,
        user: &User,
        follows: Option<&Fact>,
        found: &mut Vec<Wrong>,
    ) {
        let (id, who) = (&user.id, &user.user_name);
        let leaves = follows.filter(|it| {
            let other = self.truth().with_primary(&lower(who));
            let is_wanted = other.is_some_and(|other| self.is_in_use(other));
            !it.enabled && is_wanted && !it.addresses.contains(&lower(who))
        });
        let is_free = |address: &String| {
            let alias = |it: &String| lower(it) == *address;
            let mut users = organisation.users.iter();
            let mut groups = organisation.groups.iter();
            id_of(organisation, address).is_none()
                && !users.any(|it| it.aliases.iter().any(alias))
                && !groups.any(|it| it.aliases.iter().any(alias))
        };
        let Some(fact) = leaves.filter(|it| is_free(&it.primary)) else {
            return;
        };
        let to = &fact.primary;
        // R22: an address by which an account names a delegate is not given away if that account cannot be written.
        let is_delegate = |it: &String| lower(it) == lower(who);
        let mut users = organisation.users.iter();
        let weight = if users.any(|it| it.delegates.iter().any(is_delegate)) {
            Weight::Light
        } else {
            Weight::Free
        };
        found.push(Wrong {
            intent: Intent {
                account: id.clone(),
                effect: Effect::Rename(to.clone()),
            },
            names: self.names(organisation, id),
            text: format!("{who} ({id}) has the address of another, though {to} is free: that"),
            weight,
            claimant: None,
        });
    }

    fn wrong_of_group(&self, organisation: &Organisation, group: &Group, found: &mut Vec<Wrong>) {
        let Some((person, known)) = self.owner(&group.id) else {
            return;
        };
        if !is_ours(&group.external_id) {
            return;
        }
        let fact = person.and_then(|person| self.truth().known(person));
        let (id, who) = (&group.id, &group.external_id);
        let is_user = |id: &&String| organisation.users.iter().any(|it| it.id == **id);
        let members = group.members.iter().filter(is_user);
        let foreign = members.clone().any(|id| {
            let address = address_of(organisation, id);
            address.is_some_and(|it| !is_ours(&it))
        });
        match fact {
            None if members.clone().next().is_some() && !foreign => found.push(Wrong {
                intent: Intent {
                    account: id.clone(),
                    effect: Effect::Stop,
                },
                names: self.names(organisation, id),
                text: format!("{who} ({id}) has members and no mailbox: that"),
                weight: if known && person.is_some() {
                    Weight::Certain
                } else {
                    Weight::Light
                },
                claimant: None,
            }),
            Some(fact) if is_ours(&fact.primary) => {
                self.wrong_members(organisation, (id, who), fact, members.cloned(), found);
            }
            Some(_) | None => {}
        }
        self.wrong_addresses(organisation, (id, who, &group.aliases), found);
    }

    fn wrong_members(
        &self,
        organisation: &Organisation,
        (id, who): (&String, &String),
        fact: &Fact,
        members: impl Iterator<Item = String>,
        found: &mut Vec<Wrong>,
    ) {
        if !matches!(fact.kind, Kind::User | Kind::Shared) {
            return;
        }
        // An entry that is the address of a functional account gives nobody access.
        let is_user = |it: &String| organisation.users.iter().any(|user| user.id == *it);
        for member in members.filter(|it| it != id && is_user(it)) {
            let address = address_of(organisation, &member).unwrap_or_default();
            if self.owner(&member).is_none()
                || !is_ours(&address)
                || self.is_entitled(&member, fact, self.truth())
            {
                continue;
            }
            let mut names = self.names(organisation, id);
            names.extend(self.names(organisation, &member));
            found.push(Wrong {
                text: format!("{who} ({id}) is open to {address} ({member}) without a grant: that"),
                intent: Intent {
                    account: id.clone(),
                    effect: Effect::Member(member),
                },
                names,
                weight: Weight::Light,
                claimant: None,
            });
        }
    }

    /// Whether a mailbox has an account, or should have one.
    fn is_in_use(&self, person: &str) -> bool {
        let fact = self.truth().mailboxes.get(person);
        self.account_of(person) != Ok(None) || fact.is_some_and(|it| self.wants_account(it))
    }

    /// R12, R21: only users are delegates, and a shared mailbox without a delegate gets no account.
    fn wants_account(&self, fact: &Fact) -> bool {
        let may_be_delegate = |person: &String| {
            let mailbox = self.truth().mailboxes.get(person);
            mailbox.is_some_and(|it| {
                it.kind == Kind::User && (it.enabled || self.account_of(person) != Ok(None))
            })
        };
        match fact.kind {
            Kind::User => fact.enabled,
            Kind::Shared => fact.grantees.iter().any(may_be_delegate),
            Kind::Other | Kind::Elsewhere | Kind::Nobody => false,
        }
    }

    /// Aliases that are addresses of other people.
    fn wrong_addresses(
        &self,
        organisation: &Organisation,
        (id, who, aliases): (&String, &String, &[String]),
        found: &mut Vec<Wrong>,
    ) {
        let truth = self.truth();
        let Some((Some(person), true)) = self.owner(id) else {
            return;
        };
        let own = truth.known(person);
        for alias in aliases.iter().map(|it| lower(it)).filter(|it| is_ours(it)) {
            let mut others = truth.mailboxes.iter();
            let other =
                others.find(|(other, fact)| *other != person && fact.addresses.contains(&alias));
            let (Some((heir, other)), false) =
                (other, own.is_some_and(|it| it.addresses.contains(&alias)))
            else {
                continue;
            };
            // R22: an account that is to be inactive releases the address for an account that is to be active.
            let is_compared =
                is_active(organisation, id) && own.is_some_and(|it| self.wants_account(it));
            if !is_compared && !self.wants_account(other) {
                continue;
            }
            let mut names = self.names(organisation, id);
            names.extend(other.addresses.iter().cloned());
            found.push(Wrong {
                intent: Intent {
                    account: id.clone(),
                    effect: Effect::Alias(alias.clone()),
                },
                names,
                text: format!(
                    "{who} ({id}) has the alias {alias} of {}: that",
                    other.primary
                ),
                weight: Weight::Light,
                claimant: Some(self.claimant(heir, other, &alias)),
            });
        }
    }

    fn claimant(&self, person: &str, fact: &Fact, address: &str) -> Claimant {
        let account = self.account_of(person).ok().flatten();
        let needs_permissions = account.is_none() && fact.kind == Kind::Shared;
        let account = account.unwrap_or_else(|| fact.primary.clone());
        let needs = [
            Effect::Create,
            Effect::SignInKey,
            Effect::Rename(address.to_owned()),
        ];
        Claimant {
            needs: needs.map(|effect| Intent {
                account: account.clone(),
                effect,
            }),
            needs_permissions,
        }
    }

    /// R45: whether a quick run compares it. It compares neither members nor functional accounts.
    fn is_seen_quickly(&self, intent: &Intent) -> bool {
        let is_functional = || {
            let mut groups = self.organisation.groups.iter();
            groups.any(|it| it.id == intent.account)
        };
        intent.effect.member().is_none() && !is_functional()
    }

    /// R36: what the last report held and this one does not, although it was neither done nor approved.
    fn forgotten(&self, told: &Told<'_>, view: &Organisation, wrongs: &[Wrong]) -> Vec<String> {
        let is_quick = told.report.depth == Depth::Quick;
        let held = self.liveness.held.iter();
        let held = held.filter(|it| !is_quick || self.is_seen_quickly(it));
        let left = held.filter(|intent| {
            let mut names = self.names(view, &intent.account);
            if let Effect::Member(member) = &intent.effect {
                names.extend(self.names(view, member));
            }
            !told.holds(intent)
                && self.is_pending(intent, view, wrongs)
                && !self.is_approved(&intent.account, &intent.effect)
                && !told.tried.contains(&intent.account)
                && !told.names_any(&names, |code| {
                    !IDLE.contains(&code) && !IN_VAIN.contains(&code)
                })
        });
        left.map(|it| {
            let who = address_of(&self.organisation, &it.account);
            let who = who.unwrap_or_else(|| it.account.clone());
            format!(
                "{:?} of {who} was held, and run {} has forgotten it ({:?}, converged {:?})",
                it.effect, told.report.id, told.report.outcome, told.report.converged
            )
        })
        .collect()
    }

    /// Whether a held change must still be made.
    fn is_pending(&self, intent: &Intent, view: &Organisation, wrongs: &[Wrong]) -> bool {
        let Intent { account, effect } = intent;
        if matches!(effect, Effect::Stop | Effect::Member(_)) {
            let is_user = self.organisation.users.iter().any(|it| it.id == *account);
            // For a functional account the members are checked instead.
            return (is_user || *effect != Effect::Stop)
                && wrongs.iter().any(|wrong| wrong.intent == *intent);
        }
        let Some((Some(person), true)) = self.owner(account) else {
            return self.is_to_be_created(intent);
        };
        let Some(fact) = self.truth().mailboxes.get(person) else {
            return false;
        };
        let active = |organisation: &Organisation| {
            let user = organisation.users.iter().find(|it| it.id == *account);
            user.map(|user| {
                (
                    user.user_name.clone(),
                    user.name.clone(),
                    user.aliases.clone(),
                )
            })
            .filter(|_| fact.kind == Kind::User && fact.enabled)
        };
        let states = [view, &self.organisation].map(active);
        states.iter().all(|state| {
            state
                .as_ref()
                .is_some_and(|(address, name, aliases)| match effect {
                    Effect::Alias(alias) => {
                        let mut aliases = aliases.iter();
                        aliases.any(|it| lower(it) == *alias) && !fact.addresses.contains(alias)
                    }
                    Effect::Rename(to) => lower(address) != *to && fact.primary == *to,
                    Effect::Name(to) => name != to && fact.name == *to,
                    Effect::Stop
                    | Effect::Member(_)
                    | Effect::Identity(_)
                    | Effect::Create
                    | Effect::SignInKey => false,
                })
        })
    }

    fn is_to_be_created(&self, intent: &Intent) -> bool {
        let address = &intent.account;
        let fact = self.truth().with_primary(address);
        let fact = fact.filter(|person| self.account_of(person) == Ok(None));
        let fact = fact.and_then(|person| self.truth().mailboxes.get(person));
        intent.effect == Effect::Create
            && fact.is_some_and(|it| it.kind == Kind::User && it.enabled)
            && id_of(&self.organisation, address).is_none()
    }

    /// R16, R27: whether the account of a delegate that the change removes is that of another mailbox by now.
    fn has_new_delegate(&self, change: &HeldChange, named: &Organisation) -> bool {
        let mut intents = intents_of(change, named).into_iter();
        intents.any(|intent| {
            let id = intent.effect.member();
            let address = id.and_then(|id| address_of(&self.organisation, id));
            let there = address.and_then(|it| self.truth().with_primary(&it).cloned());
            let owner = id.and_then(|id| self.owners.get(id));
            there
                .zip(owner)
                .is_some_and(|(person, owner)| !owner.persons.iter().eq([&person]))
        })
    }

    /// R27: a code approves, in one run, the changes that were shown with it and have not changed since.
    fn not_released(
        &self,
        told: &Told<'_>,
        view: &Organisation,
        codes: &[&(String, Report)],
    ) -> Vec<String> {
        let mut found = Vec::new();
        // A list that lags for longer than allowed (R22) can show an approved change as not made.
        if self.lag > LAG_MAX {
            return found;
        }
        for (code, shown) in codes {
            if has_expired(shown) {
                continue;
            }
            let (named, after) = self.shown(shown);
            let sets = shown.held.iter().filter(|held| held.code == *code);
            for change in sets.flat_map(|it| &it.changes) {
                let address = change.address.as_str();
                // It stays held and is named, since a change that it needs is not made.
                let codes = || told.notes.get(&lower(address)).into_iter().flatten();
                if codes().any(|code| matches!(&**code, "waits" | "approval_left")) {
                    continue;
                }
                let held = told.report.held.iter().flat_map(|it| &it.changes);
                let mut alike = held.filter(|it| {
                    it.address == change.address
                        && it.what == change.what
                        && it.what != "remove delegate"
                        && it.what != "remove alias"
                });
                if alike.any(|it| (&it.before, &it.after) != (&change.before, &change.after)) {
                    continue;
                }
                if change.what == "empty" && has_other_members(change, view) {
                    continue;
                }
                // The account got another address since, which makes it another change.
                let id = id_of(&named, address).unwrap_or_default();
                if address_of(&after, &id) != address_of(view, &id) {
                    continue;
                }
                let mut stop = intents_of(change, &named).into_iter().map(|it| Intent {
                    effect: Effect::Stop,
                    ..it
                });
                let is_stopped = stop.any(|it| told.held.contains(&it));
                // Others who may open it must be removed as well now, or stay as the report says, which makes it
                // another change.
                let is_another = match change.what.as_str() {
                    "remove delegate" => is_stopped,
                    "empty" => !is_stopped && codes().any(|code| code == "delegate_kept"),
                    _ => false,
                };
                let is_outdated = || codes().any(|code| code == "approval_outdated");
                let mut given = told.report.actions.iter().filter(|it| {
                    let mut changes = it.action.changes.iter();
                    changes.any(|change| change.attribute == Attribute::ObjectId)
                });
                let is_given = given.any(|it| it.action.address == change.address);
                let is_of_another = is_given || self.has_new_delegate(change, &named);
                if is_another || is_of_another && is_outdated() {
                    continue;
                }
                let again = intents_of(change, &named)
                    .into_iter()
                    .find(|intent| told.held.contains(intent));
                if let Some(again) = again {
                    found.push(format!(
                        "{:?} of {address} was approved with {code}, and run {} holds it again (R27)",
                        again.effect, told.report.id
                    ));
                }
            }
        }
        found
    }
}

impl Told<'_> {
    fn holds(&self, intent: &Intent) -> bool {
        let of_account = |account: &String, fits: &dyn Fn(&Effect) -> bool| {
            let mut held = self.held.iter();
            held.any(|it| it.account == *account && fits(&it.effect))
        };
        let is_identity = |effect: &Effect| matches!(effect, Effect::Identity(_));
        // The owner of an account must be decided first (R16), before what the owner may open.
        let waits = intent.effect.member().is_some_and(|member| {
            of_account(member, &|it| is_identity(it) || *it == Effect::Stop)
                || of_account(&intent.account, &|it| *it == Effect::Stop)
        });
        self.held.contains(intent) || waits || of_account(&intent.account, &is_identity)
    }

    fn names_any(&self, names: &BTreeSet<String>, counts: impl Fn(&str) -> bool) -> bool {
        let codes = names
            .iter()
            .filter_map(|name| self.notes.get(name))
            .flatten();
        let open = names.iter().any(|name| self.open.contains(name));
        open || codes.into_iter().any(|code| counts(code))
    }

    /// Whether the report mentions an account at all.
    pub(super) fn mentions(&self, names: &BTreeSet<String>, account: Option<&str>) -> bool {
        let is_it = |name: &String| names.contains(name) || account.is_some_and(|it| it == name);
        let held = self.held.iter().any(|it| {
            let to = match &it.effect {
                Effect::Rename(to) | Effect::Identity(to) => Some(to),
                Effect::Stop
                | Effect::Member(_)
                | Effect::Alias(_)
                | Effect::Name(_)
                | Effect::Create
                | Effect::SignInKey => None,
            };
            is_it(&it.account) || to.is_some_and(is_it)
        });
        held || self.names_any(names, |_| true)
    }

    fn excuses(&self, wrong: &Wrong) -> bool {
        let Wrong {
            intent,
            names,
            weight,
            claimant,
            ..
        } = wrong;
        let tried = self.tried.contains(&intent.account);
        // R45: only a full run holds that an account with delegates, or of a delegate, goes to another person.
        let is_left = |code: &str| self.report.depth == Depth::Quick && code == "identity_change";
        let counts = |code: &str| match weight {
            // R22: a rename takes no access away, so it is not sent again in every run.
            Weight::Free if code == "write_had_no_effect" => true,
            _ if IN_VAIN.contains(&code) => tried,
            Weight::Light => !IDLE.contains(&code),
            Weight::Certain => OF_LEAVERS.contains(&code) || is_left(code),
            // R11: a mailbox that vanished while it was read is protected for this run.
            Weight::Free => code == "mailbox_gone",
        };
        // R22: an address is released for an account that gets it.
        let mut needs = claimant.iter().flat_map(|it| &it.needs);
        let waits = needs.any(|it| self.held.contains(it));
        self.holds(intent) || waits || self.names_any(names, counts)
    }
}
