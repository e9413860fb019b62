//! A report must not say that all is well while a person has access without a right to it, unless the report holds or
//! names it. Tested over several runs of random worlds, with false answers, refusals and lagging lists. Who may have
//! access is derived here from what Exchange says, without the code under test, and only if it is certain.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    notation::{Planned, Scene},
    properties::{account, cases, choices, lines, mailbox, policy, remembered},
    zivver::{CarriedOut, Disturbance, carry_out},
};
use crate::{
    account::{Actual, UserAccount},
    accounts::Accounts,
    address::SmtpAddress,
    delta::Target,
    hold::guarded_changes,
    ids::{ObjectId, ScimId},
    ineffective::{Sent, SentChange, compare, remember},
    memory::{Memory, Spent},
    mode::{Mode, Trigger},
    report::{ActionOutcome, ActionReport, Report, RunOutcome},
    source::{MailboxRecord, PermissionAnswer},
};

/// The faults in one run; steps by position.
#[derive(Debug, Clone)]
struct Faults {
    ignore: BTreeSet<usize>,
    refuse: BTreeSet<usize>,
    lists_lag: bool,
}

fn faults() -> impl Strategy<Value = Faults> {
    let steps = |most| proptest::collection::btree_set(0..8usize, 0..most);
    (steps(4), steps(2), proptest::bool::weighted(0.2)).prop_map(|(ignore, refuse, lists_lag)| {
        Faults {
            ignore,
            refuse,
            lists_lag,
        }
    })
}

/// A run, with the steps of `engine::run`. Returns the world after it and its report.
fn run(scene: &Scene, faults: &Faults, seed: u64, number: i64) -> (Scene, Report) {
    let planned = scene.plan();
    let plan = &planned.plan;
    let id = format!("R{number}");
    let mut report = Report::begin(id.clone(), Mode::Apply, Trigger::Timer, String::new());
    report.held.clone_from(&plan.held);
    report.skipped.clone_from(&plan.notes);
    let disturbance = Disturbance {
        refuse: faults.refuse.clone(),
        ignore: faults.ignore.clone(),
        ..Disturbance::NONE
    };
    let after = carry_out(&planned, &disturbance, choices(seed));
    let mut next = scene.clone();
    next.actual = after.zivver.actual();
    next.memory = remembered(&planned, &scene.memory, &after);
    next.wishes.now += 3600;
    next.memory.give_back(&plan.untaken);
    forget_kept(&mut next.memory, &planned);
    if plan.approved.is_empty() {
        report.converged = Some(!plan.is_waiting);
    } else {
        count(&mut report, &mut next.memory, &after, &planned, scene);
        verify(&mut report, &mut next, &after, &planned, scene, faults);
    }
    report.count();
    report.conclude();
    (next, report)
}

fn forget_kept(memory: &mut Memory, planned: &Planned) {
    let known = &planned.plan.ineffective;
    memory.ineffective.retain(|key, _| known.contains_key(key));
}

fn count(
    report: &mut Report,
    memory: &mut Memory,
    after: &CarriedOut<'_>,
    planned: &Planned,
    scene: &Scene,
) {
    let approved = &planned.plan.approved;
    for (at, (action, delta)) in approved.actions().iter().zip(approved.deltas()).enumerate() {
        let outcome = after.outcome(at);
        let is_refused = matches!(outcome, ActionOutcome::Refused | ActionOutcome::Partly);
        report.actions.push(ActionReport {
            left: Vec::new(),
            action: action.clone(),
            outcome,
            problems: is_refused.then(|| "refused".into()).into_iter().collect(),
        });
        if outcome.is_done() {
            let counts = guarded_changes(delta).into_iter();
            memory.spent.extend(counts.map(|(class, count)| Spent {
                at: scene.wishes.now,
                class,
                count,
            }));
        }
    }
}

fn verify(
    report: &mut Report,
    next: &mut Scene,
    after: &CarriedOut<'_>,
    planned: &Planned,
    scene: &Scene,
    faults: &Faults,
) {
    let plan = &planned.plan;
    let mut shown = next.clone();
    if faults.lists_lag {
        shown.actual = scene.actual.clone();
    }
    shown.approve.clear();
    shown.wishes.held = Some(plan.marks.clone());
    shown.wishes.approved.clone_from(&plan.used_approvals);
    let again = shown.plan().plan;
    report.converged = Some(again.approved.is_empty() && !again.is_waiting);
    report.differences = again.approved.actions().to_vec();
    report.held.clone_from(&again.held);
    let changes = sent(after, planned, &Accounts::new(shown.actual));
    let outdated = changes
        .iter()
        .filter_map(|it| plan.ineffective.get(&it.key));
    let outdated: Vec<_> = outdated.collect();
    report.skipped.retain(|note| !outdated.contains(&note));
    let notes = remember(&mut next.memory, &changes, &report.id, scene.wishes.now);
    report.skipped.extend(notes);
}

fn sent(after: &CarriedOut<'_>, planned: &Planned, now: &Accounts) -> Vec<SentChange> {
    let deltas = planned.plan.approved.deltas();
    let created = deltas.iter().filter(|delta| delta.create.is_some());
    let created: BTreeMap<Target, ScimId> = created
        .filter_map(|delta| Some((delta.target, after.id_of(delta.target)?)))
        .collect();
    let ends = after.applied.actions.iter().zip(deltas).enumerate();
    let accepted = ends.filter(|(at, _)| after.outcome(*at).is_done());
    let compared = accepted.flat_map(|(_, (end, delta))| {
        let sent = Sent {
            delta,
            asked: &end.asked,
        };
        compare(&sent, &planned.world.accounts, now, &created)
    });
    compared.collect()
}

/// An access without a right to it. A report that contains one of these texts names it.
struct Wrong {
    what: String,
    names: Vec<String>,
}

/// The tenant, and the ties before the first run.
struct Truth<'a> {
    rows: &'a [MailboxRecord],
    scene: &'a Scene,
}

impl Truth<'_> {
    fn ties(&self, id: &ScimId, external: Option<&str>) -> BTreeSet<ObjectId> {
        let mapped = self.scene.memory.mapping.iter();
        let mapped = mapped.filter(|(_, account)| *account == id);
        let external = external.and_then(ObjectId::parse);
        mapped.map(|(object, _)| *object).chain(external).collect()
    }

    fn at(&self, address: &str) -> Vec<&MailboxRecord> {
        let rows = self.rows.iter();
        rows.filter(|row| addresses(row).iter().any(|it| it == address))
            .collect()
    }

    fn with_id(&self, ids: &BTreeSet<ObjectId>) -> Vec<&MailboxRecord> {
        let rows = self.rows.iter();
        rows.filter(|row| object_id(row).is_some_and(|id| ids.contains(&id)))
            .collect()
    }

    /// The only mailbox that can own an account, if no other mailbox can.
    fn owner(
        &self,
        now: &Actual,
        id: &ScimId,
        address: &str,
        external: Option<&str>,
    ) -> Option<&MailboxRecord> {
        let ties = self.ties(id, external);
        let [row] = self.at(address)[..] else {
            return None;
        };
        let own = object_id(row)?;
        let is_own = ties.iter().all(|tie| *tie == own);
        let is_alone = self.with_id(&BTreeSet::from([own])).len() == 1;
        let mut others = addresses(row).into_iter();
        let is_contested = others.any(|it| self.at(&it).len() > 1);
        let claims = |other: &ScimId, at: &str, external: Option<&str>| {
            other != id
                && (addresses(row).iter().any(|it| it == at)
                    || self.ties(other, external).contains(&own))
        };
        let mut users = now.users.iter();
        let mut groups = now.groups.iter();
        let is_claimed = users.any(|it| {
            let external = it.extension.external_account_id.as_deref();
            claims(&it.id, it.address.as_str(), external)
        }) || groups.any(|it| {
            let external = it.extension.external_account_id.as_deref();
            claims(&it.id, it.address.as_str(), external)
        });
        let is_primary = row.primary_smtp_address.as_deref() == Some(address);
        (is_own && is_alone && is_primary && !is_contested && !is_claimed).then_some(row)
    }

    /// Why an active account should be inactive.
    fn ought_to_be_suspended(&self, now: &Actual, user: &UserAccount) -> Option<&'static str> {
        let external = user.extension.external_account_id.as_deref();
        let ties = self.ties(&user.id, external);
        if self.at(user.address.as_str()).is_empty() && self.with_id(&ties).is_empty() {
            return Some("has no mailbox");
        }
        let owner = self.owner(now, &user.id, user.address.as_str(), external)?;
        let is_user = owner.recipient_type_details.as_deref() == Some("UserMailbox");
        (is_user && owner.account_disabled == Some(true)).then_some("is disabled")
    }

    fn grants(&self, row: &MailboxRecord) -> Option<Vec<String>> {
        let primary = row.primary_smtp_address.clone()?;
        let key = (primary, row.object_id.clone().unwrap_or_default());
        let Some(PermissionAnswer::Entries(entries)) = self.scene.permissions.get(&key) else {
            return None;
        };
        let granted = entries.iter().filter(|entry| !entry.deny);
        Some(granted.map(|entry| entry.user.clone()).collect())
    }

    /// Active users who may open an account although its mailbox does not allow it.
    fn strangers<'b>(
        &self,
        owner: &MailboxRecord,
        delegates: impl Iterator<Item = &'b UserAccount>,
    ) -> Vec<&'b UserAccount> {
        let Some(grants) = self.grants(owner) else {
            return Vec::new();
        };
        let is_stranger = |user: &&UserAccount| {
            let external = user.extension.external_account_id.as_deref();
            let mut rows = self.at(user.address.as_str());
            rows.extend(self.with_id(&self.ties(&user.id, external)));
            let mut known: Vec<String> = rows.iter().flat_map(|row| addresses(row)).collect();
            known.push(user.address.to_string());
            known.extend(user.extension.aliases.iter().map(ToString::to_string));
            user.active
                && is_claimed(user.address.as_str())
                && !known.iter().any(|it| grants.contains(it))
        };
        delegates.filter(is_stranger).collect()
    }

    fn wrong(&self, now: &Actual) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for user in now
            .users
            .iter()
            .filter(|user| is_claimed(user.address.as_str()))
        {
            let why = self.ought_to_be_suspended(now, user);
            if let Some(why) = why.filter(|_| user.active) {
                wrong.push(Wrong {
                    what: format!("{} {why}", user.address),
                    names: vec![user.address.to_string()],
                });
            }
            let external = user.extension.external_account_id.as_deref();
            let owner = self.owner(now, &user.id, user.address.as_str(), external);
            let Some(owner) = owner.filter(|row| is_open(row, "UserMailbox")) else {
                continue;
            };
            let named =
                |address: &SmtpAddress| now.users.iter().find(|other| other.address == *address);
            let delegates = user.delegates.iter().filter_map(named);
            let delegates = delegates.filter(|other| other.id != user.id);
            for stranger in self.strangers(owner, delegates) {
                wrong.push(opened(user.address.as_str(), stranger));
            }
        }
        for group in now
            .groups
            .iter()
            .filter(|group| is_claimed(group.address.as_str()))
        {
            let external = group.extension.external_account_id.as_deref();
            let owner = self.owner(now, &group.id, group.address.as_str(), external);
            let Some(owner) = owner.filter(|row| is_open(row, "SharedMailbox")) else {
                continue;
            };
            let members = now
                .users
                .iter()
                .filter(|user| group.members.contains(&user.id));
            for stranger in self.strangers(owner, members) {
                wrong.push(opened(group.address.as_str(), stranger));
            }
        }
        wrong
    }
}

fn opened(address: &str, by: &UserAccount) -> Wrong {
    Wrong {
        what: format!("{} opens {address}", by.address),
        names: vec![address.to_owned()],
    }
}

fn is_claimed(address: &str) -> bool {
    address.ends_with("@corp.example")
}

/// Whether it is a mailbox of this kind that is in use.
fn is_open(row: &MailboxRecord, kind: &str) -> bool {
    let is_kind = row.recipient_type_details.as_deref() == Some(kind);
    is_kind && (kind == "SharedMailbox" || row.account_disabled == Some(false))
}

fn object_id(row: &MailboxRecord) -> Option<ObjectId> {
    ObjectId::parse(row.object_id.as_deref()?)
}

fn addresses(row: &MailboxRecord) -> Vec<String> {
    let listed = row.email_addresses.iter().flatten();
    let listed = listed.filter_map(|it| it.split_once(':'));
    let listed = listed.map(|(_, address)| address.to_owned());
    let own = [&row.primary_smtp_address, &row.user_principal_name];
    listed.chain(own.into_iter().flatten().cloned()).collect()
}

/// All texts of a report about accounts that are not as they should be.
fn texts(report: &Report) -> Vec<String> {
    let held = report.held.iter().flat_map(|set| &set.changes);
    let held = held.map(|it| format!("{} {}", it.address, it.in_words()));
    let notes = report.skipped.iter();
    let notes = notes.map(|it| format!("{} {}", it.address, it.text));
    let differ = report.differences.iter();
    let differ = differ.map(|it| format!("{} {:?}", it.address, it.changes));
    let failed = report.failed.iter().map(|it| it.address.to_string());
    held.chain(notes).chain(differ).chain(failed).collect()
}

fn says_all_is_well(report: &Report) -> bool {
    report.converged == Some(true) || report.outcome == RunOutcome::InSync
}

/// Returns how often something was wrong at the end of a run.
fn play(lines: &[String], nights: &[(Faults, u64)]) -> Result<usize, String> {
    let first = Scene::parse(&lines.join("\n"));
    let truth = Truth {
        rows: &first.records,
        scene: &first,
    };
    let mut scene = first.clone();
    let mut times_wrong = 0;
    for (number, (faults, seed)) in (1..).zip(nights) {
        let (next, report) = run(&scene, faults, *seed, number);
        let texts = texts(&report);
        let is_named = |wrong: &Wrong| {
            let mut names = wrong.names.iter();
            names.any(|name| texts.iter().any(|text| text.contains(name)))
        };
        let wrong = truth.wrong(&next.actual);
        times_wrong += usize::from(!wrong.is_empty());
        let unnamed = wrong.iter().filter(|it| !is_named(it));
        let unnamed: Vec<&str> = unnamed.map(|it| &*it.what).collect();
        if !unnamed.is_empty() && says_all_is_well(&report) {
            return Err(format!(
                "run {number}, {faults:?}: {unnamed:#?}\n{}\n{texts:#?}",
                lines.join("\n")
            ));
        }
        scene = next;
    }
    Ok(times_wrong)
}

#[test]
fn r36_no_report_says_that_all_is_well_while_a_wrong_access_is_unnamed() {
    let worlds = (
        proptest::collection::vec(mailbox(), 0..5),
        proptest::collection::vec(account(), 0..5),
        policy(),
        proptest::collection::vec((faults(), any::<u64>()), 1..4),
    );
    let config = cases();
    let least = usize::try_from(config.cases).unwrap() / 10;
    let times_wrong = Cell::new(0);
    let played = TestRunner::new(config).run(&worlds, |(mailboxes, accounts, policy, nights)| {
        // Accounts outside a filter are not part of this property (R14).
        let policy = policy.into_iter();
        let policy = policy.filter(|line| !line.starts_with("source")).collect();
        let times = play(&lines(&mailboxes, &accounts, policy), &nights);
        times_wrong.set(times_wrong.get() + times.map_err(TestCaseError::fail)?);
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
    assert!(
        times_wrong.get() > least,
        "{} is too few",
        times_wrong.get()
    );
}
