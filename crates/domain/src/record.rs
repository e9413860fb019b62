//! What a run stores before and while it carries out a plan, and what can be concluded from it afterwards (R35).

mod deeds;
mod delegates;
mod later;
mod open;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use deeds::Deeds;
use delegates::{HasDelegate, named};
pub use later::{accounts_before, last};
pub use open::OpenCreate;

use crate::{
    account::{FunctionalAccount, UserAccount},
    accounts::{Account, AccountIx, AccountView, Accounts},
    action::{Action, ActionOutcome, AttributeChange},
    actor::Actor,
    address::SmtpAddress,
    change::{Attribute, Change},
    delta::Target,
    directory::to_u32,
    execute::{ActionEnd, Applied},
    guard::Class,
    hold::{Base, approved_changes, guarded_changes},
    ids::{ObjectId, ScimId},
    matching::Matching,
    memory::{BegunRename, Memory, WrittenKey},
    plan::Plan,
    settle::aside,
    undo::{DelegateChanges, Owners, owners},
    world::{SsoAccountKey, World},
};

/// The plan of one invocation, with every account as it was before (R35, R37).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanRecord {
    /// R26: the state in which the run began.
    #[serde(default)]
    pub began: Option<Base>,
    /// R41: who started the run, and who approved changes of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_by: Option<Actor>,
    pub actions: Vec<PlannedAction>,
}

/// An action and the account as it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedAction {
    #[serde(flatten)]
    pub action: Action,
    /// `None` for an account that was created.
    pub before: Option<Before>,
    /// The account that has the address of a new account until another action of the plan releases it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub occupant: Option<ScimId>,
    /// The object id of its mailbox, if it has one.
    pub object_id: Option<ObjectId>,
    /// R37: the delegates that were added and removed, by account.
    #[serde(default)]
    pub delegates: DelegateChanges,
    /// R37: who owns the account and these delegates.
    #[serde(skip_serializing_if = "Owners::is_empty", default)]
    pub owners: Owners,
    /// R26: its counts in the limits of the next 24 hours.
    pub guarded: BTreeMap<Class, u32>,
    /// R27: fingerprints of the approved changes in it.
    #[serde(default)]
    pub approved: BTreeSet<String>,
    /// R23: the sign-in key that it writes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<WrittenKey>,
    /// R37: the rename that an earlier run began, if it left the account at an intermediate address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub begun: Option<BegunRename>,
}

/// The account before the action; its delegates by the addresses that they had then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Before {
    User(UserAccount),
    Functional {
        account: FunctionalAccount,
        members: Vec<SmtpAddress>,
    },
}

impl Before {
    fn view(&self) -> AccountView<'_> {
        match self {
            Self::User(user) => AccountView::User(user),
            Self::Functional { account, .. } => AccountView::Functional(account),
        }
    }
}

/// The outcome of one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the plan of this invocation.
    pub action: u32,
    pub outcome: ActionOutcome,
    /// When the outcome became known, in epoch seconds. `None` if Zivver's lists showed it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<ScimId>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
    /// R34: see [`crate::action::ActionReport::left`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left: Vec<AttributeChange>,
}

/// What the journal or Zivver shows about an action.
#[derive(Debug, Clone)]
struct Shown {
    outcome: ActionOutcome,
    left: Vec<AttributeChange>,
}

/// Outcomes that became known together. `plan` is the number of the plan in its run, from 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Batch {
    pub plan: u32,
    pub entries: Vec<Entry>,
}

impl PlanRecord {
    /// The accounts that it writes to, without those that it creates.
    pub fn written(&self) -> impl Iterator<Item = &ScimId> {
        let actions = self.actions.iter().map(|planned| &planned.action);
        actions.filter_map(|action| action.id.as_ref())
    }

    /// `by` decides which sign-in keys are written (R23).
    pub fn of(
        plan: &Plan,
        world: &World,
        matching: &Matching,
        memory: &Memory,
        by: SsoAccountKey,
    ) -> Self {
        let approved = &plan.approved;
        let actions = approved
            .actions()
            .iter()
            .zip(approved.deltas())
            .map(|(action, delta)| {
                let before = match delta.target {
                    Target::Existing(ix) => Some(before(world, world.accounts.get(ix))),
                    Target::New(_) => None,
                };
                let object_id = delta
                    .mailbox
                    .and_then(|ix| world.directory.mailbox(ix).object_id);
                let begun = action.id.as_ref();
                let begun = begun.and_then(|id| memory.begun_renames.get(id)).cloned();
                let occupant = match delta.target {
                    Target::Existing(_) => None,
                    Target::New(_) => world.accounts.with_address(&action.address).first(),
                };
                PlannedAction {
                    action: action.clone(),
                    occupant: occupant.map(|ix| world.accounts.get(*ix).id().clone()),
                    begun: begun.filter(|begun| begun.at == action.address),
                    before,
                    object_id,
                    delegates: DelegateChanges::of(delta, world),
                    owners: owners(delta, world, matching),
                    guarded: guarded_changes(delta),
                    approved: approved_changes(delta, &world.accounts, &plan.used_approvals),
                    key: delta
                        .key
                        .as_ref()
                        .filter(|_| delta.create.is_some() || delta.touches_extension())
                        .map(|key| WrittenKey::of(by, key)),
                }
            });
        Self {
            began: Some(plan.began),
            started_by: None,
            actions: actions.collect(),
        }
    }

    /// R26: the counts of its actions, limited to the classes for which `made` is true at each position.
    pub fn guarded_where(&self, made: impl Fn(usize, Class) -> bool) -> BTreeMap<Class, u32> {
        let mut counts = BTreeMap::new();
        for (at, planned) in self.actions.iter().enumerate() {
            let guarded = planned.guarded.iter();
            for (class, count) in guarded.filter(|(class, _)| made(at, **class)) {
                *counts.entry(*class).or_default() += count;
            }
        }
        counts
    }

    /// The outcomes of its actions. An action that neither the journal nor Zivver shows is left.
    pub fn outcomes(&self, entries: &[Entry], world: Option<&World>) -> Vec<ActionOutcome> {
        let shown = self.shown(entries, world);
        shown
            .map(|shown| shown.map_or(ActionOutcome::Remaining, |it| it.outcome))
            .collect()
    }

    /// R34: the outcomes of the actions of which the run made a part before it ended.
    pub fn half_done(&self, applied: &Applied, world: &World) -> Vec<Entry> {
        if applied.accepted.is_empty() {
            return Vec::new();
        }
        let accounts = world
            .accounts
            .with(applied.accepted.values().map(Account::view));
        let actions = self.actions.iter().zip(&applied.actions).enumerate();
        let half_done = actions.filter(|(_, (_, end))| {
            end.is_half_done && end.outcome == Some(ActionOutcome::Remaining)
        });
        let entry = |(at, (planned, end)): (usize, (&PlannedAction, &ActionEnd))| {
            let id = applied.accepted.get(&at).map(Account::id);
            let Shown { outcome, left } = planned.shown_of(id, &accounts);
            Entry {
                action: to_u32(at),
                outcome: if end.problems.is_empty() {
                    outcome
                } else {
                    ActionOutcome::Partly
                },
                created: id.filter(|_| planned.action.id.is_none()).cloned(),
                at: None,
                problems: end.problems.clone(),
                left,
            }
        };
        half_done.map(entry).collect()
    }

    /// If the journal has no entry, or Zivver did not answer, the lists show what was done (R35).
    fn shown(
        &self,
        entries: &[Entry],
        world: Option<&World>,
    ) -> impl Iterator<Item = Option<Shown>> {
        let known: BTreeMap<usize, &Entry> = entries
            .iter()
            .map(|entry| (entry.action as usize, entry))
            .collect();
        let actions = self.actions.iter().enumerate();
        actions.map(move |(at, planned)| match known.get(&at) {
            Some(entry) if entry.outcome != ActionOutcome::Failed => Some(Shown {
                outcome: entry.outcome,
                left: entry.left.clone(),
            }),
            entry => {
                let accounts = &world?.accounts;
                let made = planned.made_in(entry.copied(), accounts)?;
                Some(made.0)
            }
        })
    }

    /// R27: the approved changes of the actions at some positions.
    pub fn approved_where(&self, chosen: impl Fn(usize) -> bool) -> BTreeSet<&String> {
        let actions = self.actions.iter().enumerate();
        let actions = actions.filter(|(at, _)| chosen(*at));
        actions.flat_map(|(_, action)| &action.approved).collect()
    }

    /// Whether a part of it may have been sent that neither the journal nor Zivver shows.
    pub fn is_open(&self, entries: &[Entry], world: &World) -> bool {
        let mut outcomes = self.shown(entries, Some(world)).zip(&self.actions);
        outcomes.any(|(outcome, planned)| match outcome {
            Some(shown) => planned.lacks_rename(shown.outcome, world),
            None => true,
        })
    }
}

fn before(world: &World, account: AccountView<'_>) -> Before {
    match account {
        AccountView::User(user) => Before::User(user.clone()),
        AccountView::Functional(group) => Before::Functional {
            account: group.clone(),
            members: group
                .members
                .iter()
                .filter_map(|id| world.accounts.with_id(id))
                .map(|ix| world.accounts.get(ix).address().clone())
                .collect(),
        },
    }
}

/// The plans of a run, each with its outcomes.
pub fn joined(plans: Vec<PlanRecord>, batches: Vec<Batch>) -> Vec<(PlanRecord, Vec<Entry>)> {
    let plans = plans.into_iter().map(|plan| (plan, Vec::new()));
    let mut all: Vec<(PlanRecord, Vec<Entry>)> = plans.collect();
    for batch in batches {
        if let Some((_, entries)) = all.get_mut(batch.plan as usize) {
            entries.extend(batch.entries);
        }
    }
    all
}

impl PlannedAction {
    /// R35: the account that the action created. If the journal has no outcome, or none with the account, it is an
    /// account that exists now and did not exist before, unless it belongs to another person (R16).
    pub fn created_in(&self, entry: Option<&Entry>, accounts: &Accounts) -> Option<ScimId> {
        if self.action.id.is_some() {
            return None;
        }
        let told = entry.and_then(|entry| entry.created.as_ref());
        if told.is_some() || entry.is_some_and(|entry| entry.outcome != ActionOutcome::Failed) {
            return told.cloned();
        }
        let [account] = self.newcomers(accounts)[..] else {
            return None;
        };
        self.may_have_made(account).then(|| account.id().clone())
    }

    /// The accounts that have the address of a new account, and did not have it before.
    fn newcomers<'a>(&self, accounts: &'a Accounts) -> Vec<AccountView<'a>> {
        let there = accounts.with_address(&self.action.address).iter();
        let there = there.map(|ix| accounts.get(*ix));
        there
            .filter(|account| self.occupant.as_ref() != Some(account.id()))
            .collect()
    }

    /// R35: whether Zivver shows a change of the action: something that it changes is not as it was before.
    pub fn changed_in(&self, accounts: &Accounts) -> bool {
        let (Some(before), Some(id)) = (&self.before, &self.action.id) else {
            return !self.newcomers(accounts).is_empty();
        };
        let Some(ix) = accounts.with_id(id) else {
            return true;
        };
        let (then, now) = (before.view(), accounts.get(ix));
        let is_changed = |change: &AttributeChange| match change.attribute {
            Attribute::Address => then.address() != now.address(),
            Attribute::Name => then.name() != now.name(),
            Attribute::Active => match (then, now) {
                (AccountView::User(then), AccountView::User(now)) => then.active != now.active,
                (AccountView::User(_) | AccountView::Functional(_), _) => {
                    self.changed_delegates(then, ix, accounts)
                }
            },
            Attribute::ObjectId | Attribute::SignInKey => {
                let (then, now) = (then.extension(), now.extension());
                then.external_account_id != now.external_account_id || then.rest != now.rest
            }
            Attribute::Aliases => {
                let has = |alias: &String| {
                    let alias = SmtpAddress::verbatim(alias);
                    now.extension().aliases.contains(&alias)
                };
                !change.before.iter().all(has) || change.after.iter().any(has)
            }
            Attribute::Delegates => self.changed_delegates(then, ix, accounts),
        };
        self.action.changes.iter().any(is_changed)
    }

    /// R35: the outcome according to Zivver, and the account that it created, if Zivver shows a change of it.
    fn made_in(
        &self,
        entry: Option<&Entry>,
        accounts: &Accounts,
    ) -> Option<(Shown, Option<ScimId>)> {
        if !self.changed_in(accounts) {
            return None;
        }
        let created = self.created_in(entry, accounts);
        let id = self.action.id.as_ref().or(created.as_ref());
        Some((self.shown_of(id, accounts), created))
    }

    /// The outcome according to the account in Zivver, if a part of the action was made.
    fn shown_of(&self, id: Option<&ScimId>, accounts: &Accounts) -> Shown {
        let account = id.and_then(|id| accounts.with_id(id));
        let left = account.map_or_else(Vec::new, |ix| self.left_of(ix, accounts));
        let outcome = if left.is_empty() {
            ActionOutcome::Applied
        } else {
            ActionOutcome::Partly
        };
        Shown { outcome, left }
    }

    /// The part of the action that the account lacks now. A change that is not shown completely is left as a whole.
    fn left_of(&self, ix: AccountIx, accounts: &Accounts) -> Vec<AttributeChange> {
        let now = accounts.get(ix);
        let lacking = |change: &AttributeChange| {
            let is_now = |text: &str| change.after.first().is_some_and(|after| after == text);
            let single =
                |now: &str| (!is_now(now)).then(|| (vec![now.to_owned()], change.after.clone()));
            let whole = || (change.before.clone(), change.after.clone());
            match change.attribute {
                Attribute::Address => single(now.address().as_str()),
                Attribute::Name => single(now.name().trim()),
                Attribute::Active => single(if accounts.is_active(ix) { "yes" } else { "no" }),
                Attribute::Aliases => {
                    let has = |alias: &&String| {
                        let alias = SmtpAddress::verbatim(alias);
                        now.extension().aliases.contains(&alias)
                    };
                    let gone = change.before.iter().filter(has).cloned();
                    let come = change.after.iter().filter(|it| !has(it)).cloned();
                    let lacking = (gone.collect::<Vec<_>>(), come.collect::<Vec<_>>());
                    (lacking != Default::default()).then_some(lacking)
                }
                Attribute::Delegates => {
                    let has = self.has_delegates(ix, accounts);
                    (!has || self.names_aside(ix, change, accounts)).then(whole)
                }
                Attribute::ObjectId | Attribute::SignInKey => {
                    let then = self.before.as_ref().map(Before::view);
                    // It is written with the whole extension (R23), and cannot be read back.
                    let is_unwritten = |then: AccountView<'_>| {
                        then.extension() == now.extension() && named(then) == named(now)
                    };
                    then.is_some_and(is_unwritten).then(whole)
                }
            }
            .map(|(before, after)| AttributeChange {
                attribute: change.attribute,
                before,
                after,
                origins: BTreeMap::new(),
                renamed: change.renamed.clone(),
            })
        };
        self.action.changes.iter().filter_map(lacking).collect()
    }

    /// Whether an account has the delegates that the action gives it.
    fn has_delegates(&self, ix: AccountIx, accounts: &Accounts) -> bool {
        let DelegateChanges { removed, added } = &self.delegates;
        if removed.is_empty() && added.is_empty() {
            let then = self.before.as_ref().map(Before::view);
            return then.is_none_or(|then| named(then) != named(accounts.get(ix)));
        }
        let has = HasDelegate::of(ix, accounts);
        !removed.iter().any(|id| has.account(id)) && added.iter().all(|it| has.added(it))
    }

    /// R22: a delegate is an account, whatever its address is now. One that is only stored under another address has a
    /// new address.
    fn changed_delegates(&self, then: AccountView<'_>, ix: AccountIx, accounts: &Accounts) -> bool {
        let now = accounts.get(ix);
        if named(then) == named(now) {
            return false;
        }
        let has = HasDelegate::of(ix, accounts);
        let DelegateChanges { removed, added } = &self.delegates;
        let names_anew = removed.is_empty() && added.is_empty();
        names_anew
            || !removed.iter().all(|id| has.account(id))
            || added.iter().any(|it| has.added(it))
    }

    /// R17, R26: whether its rename was not made, although a part of the action was: the account is at an intermediate
    /// address, or back at its old one since the rename was refused.
    pub fn lacks_rename(&self, outcome: ActionOutcome, world: &World) -> bool {
        let has_old_address = || {
            let before = self.before.as_ref().map(Before::view);
            before.is_some_and(|then| {
                let now = world.accounts.with_id(then.id());
                now.is_some_and(|ix| world.accounts.get(ix).address() == then.address())
            })
        };
        self.guarded.contains_key(&Class::Rename)
            && (self.begun_rename(world, None).is_some()
                || outcome == ActionOutcome::Partly && has_old_address())
    }

    /// R17: the rename that it began in this run and did not complete.
    pub fn begun_rename(&self, world: &World, run: Option<&str>) -> Option<(ScimId, BegunRename)> {
        let then = self.before.as_ref()?.view();
        let now = world.accounts.get(world.accounts.with_id(then.id())?);
        let mut changes = self.action.changes.iter();
        let change = changes.find(|change| change.attribute == Attribute::Address)?;
        let to = SmtpAddress::verbatim(change.after.first()?);
        let begun = BegunRename::of(then, now.address(), &to, self.begun.as_ref(), run)?;
        Some((then.id().clone(), begun))
    }
}

impl BegunRename {
    /// The rename of an account that had another address before and is at its intermediate one. `earlier` began it, if
    /// the account was already at an intermediate address before.
    pub fn of(
        then: AccountView<'_>,
        at: &SmtpAddress,
        to: &SmtpAddress,
        earlier: Option<&Self>,
        run: Option<&str>,
    ) -> Option<Self> {
        let is_aside = *at == aside(then, then.address()) && at != to;
        let from = earlier.map_or_else(|| Some(then.address().clone()), |it| it.from.clone());
        is_aside.then(|| Self {
            at: at.clone(),
            to: to.clone(),
            from,
            run: run.map(str::to_owned),
        })
    }

    /// Whether a change completes the rename.
    pub fn is_completed_by(&self, change: &Change) -> bool {
        let Change::Rename { from, to, class } = change else {
            return false;
        };
        *class == Class::Rename && *from == self.at && *to == self.to
    }
}

#[cfg(test)]
mod tests;
