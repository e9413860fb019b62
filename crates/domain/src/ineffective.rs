//! Changes that Zivver accepted and did not keep (R22). A change that takes something away is sent again in every run,
//! any other change after 1, 2, 4 and then always 7 days.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    account::{Extension, FunctionalAccount, UserAccount},
    accounts::{Account, AccountIx, AccountKind, AccountView, Accounts},
    address::SmtpAddress,
    change::{Change, account_of, key_of},
    delta::{Activity, Delta, Target},
    given::Given,
    ids::{ScimId, SignInKey},
    memory::{Ineffective, Memory},
    note::{Code, Note},
    offenders::{removes_all, wait_s},
    plan::Proposal,
    scope::RunScope,
    wishes::Wishes,
};

/// How long lists may lag behind writes, in seconds, before a difference counts.
pub const LIST_LAG_MAX_S: i64 = 60;

/// Takes out what waits for a later day, and adds what Zivver did not keep before. In a run for named accounts nothing
/// waits.
pub(super) fn withhold(proposal: &mut Proposal, given: Given<'_>, wishes: &Wishes) {
    let Given { world, memory, .. } = given;
    if memory.ineffective.is_empty() && memory.lately.is_empty() {
        return;
    }
    // A delegate who is renamed or resumed in this plan may be kept this time.
    let deltas = proposal.deltas.iter();
    let changing: BTreeSet<Target> = deltas
        .filter(|delta| delta.rename.is_some() || delta.activity == Some(Activity::Resume))
        .map(|delta| delta.target)
        .collect();
    for delta in &mut proposal.deltas {
        // The members cannot be removed without those that take their place (R12).
        let replaces_all = removes_all(delta, &world.accounts);
        let account = account_of(delta, &world.accounts);
        let undone = match delta.target {
            Target::Existing(ix) => memory.undone.get(world.accounts.get(ix).id()),
            Target::New(_) => None,
        };
        let is_undone = |name: &str| undone.is_some_and(|it| it.changes.contains(name));
        for change in delta.changes() {
            let Some(name) = change.key(&world.accounts) else {
                continue;
            };
            let key = key_of(&account, &name);
            // It was made just now, and a list that lags does not show it.
            let made = memory.lately.get(&key);
            if made.is_some_and(|at| wishes.now - at < LIST_LAG_MAX_S) {
                proposal.untaken.insert(key.clone(), change.classes());
                proposal.late.insert(key.clone());
            }
            let Some(before) = memory.ineffective.get(&key) else {
                continue;
            };
            let again = before.last + wait_s(before.times);
            let is_tried_anyway = if let Change::AddDelegate(target) = &change {
                replaces_all || changing.contains(target)
            } else {
                change.is_destructive()
            };
            let waits = !is_tried_anyway && wishes.scope == RunScope::All && wishes.now < again;
            let text = text(&change, before.times, waits.then_some(again));
            let note = Note::new(delta.address.as_str(), code(&change), text);
            if before.counted_from.as_deref() == Some(change.replaced()) {
                proposal.untaken.insert(key.clone(), change.classes());
            }
            // Zivver kept what an undo could take back. It is held (R37).
            if is_undone(&name) {
                continue;
            }
            proposal.ineffective.insert(key, note);
            if waits {
                proposal.is_waiting = true;
                delta.take_out(&change);
            }
        }
    }
    let notes = proposal.ineffective.values();
    proposal.notes.extend(notes.cloned());
}

fn code(change: &Change) -> Code {
    if change.takes_access() {
        Code::AccessNotTaken
    } else {
        Code::WriteHadNoEffect
    }
}

const SENT_AGAIN: &str = "each run sends it again, unless a limit holds it";

/// What the note says about a change that this run does not send.
pub fn not_sent(note: &Note, is_held: bool) -> Note {
    let why = if is_held {
        "it is held in this report and sent again when a person approves it"
    } else {
        "this run does not send it again"
    };
    let text = note.text.replace(SENT_AGAIN, why);
    Note {
        text,
        ..note.clone()
    }
}

/// `again` is when a change that waits is sent again, in epoch seconds.
fn text(change: &Change, times: u32, again: Option<i64>) -> String {
    let runs = if times == 1 { "run" } else { "runs" };
    if change.takes_access() {
        return format!(
            "Zivver accepted {} in {times} {runs} and did not do it, so the access is still open; {SENT_AGAIN}: \
             do it in the Zivver WebApp, or ask Zivver's support",
            change.accepted_text()
        );
    }
    let when = match again.map(Timestamp::from_second) {
        Some(Ok(time)) => format!("it is sent again after {time}"),
        Some(Err(_)) | None => "it is sent again".to_owned(),
    };
    format!(
        "Zivver accepted {} in {times} {runs} and did not keep it; {when}",
        change.accepted_text()
    )
}

/// R36: notes about changes that the lists do not show, of a run that ended before the lists had time. `planned` are the
/// changes that it reports as differences, by [`key_of`].
pub fn not_shown_yet(sent: &[SentChange], planned: &BTreeSet<String>) -> Vec<Note> {
    let missing = sent
        .iter()
        .filter(|it| !it.is_kept && !planned.contains(&it.key));
    let note = |it: &SentChange| {
        let text = format!(
            "Zivver accepted {} and did not show it before the run ended; the next run looks again",
            it.change.accepted_text()
        );
        Note::new(it.address.as_str(), code(&it.change), text)
    };
    missing.map(note).collect()
}

/// What the accepted requests of one action asked Zivver to store. `None` for what they did not contain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub address: Option<SmtpAddress>,
    pub name: Option<String>,
    pub active: Option<bool>,
    pub aliases: Option<BTreeSet<SmtpAddress>>,
    /// Of a user.
    pub delegates: Option<BTreeSet<SmtpAddress>>,
    /// Of a functional account.
    pub members: Option<BTreeSet<ScimId>>,
    pub key: Option<SignInKey>,
}

impl Asked {
    /// The account with the requested values in place of its own.
    pub fn on(&self, account: AccountView<'_>) -> Account {
        let principal = |then: &SmtpAddress| self.address.as_ref().unwrap_or(then).clone();
        let name = |then: &String| self.name.as_ref().unwrap_or(then).clone();
        let aliases = |extension: &mut Extension| {
            if let Some(aliases) = &self.aliases {
                extension.aliases = aliases.iter().cloned().collect();
            }
        };
        match account {
            AccountView::User(user) => {
                let mut user = UserAccount {
                    address: principal(&user.address),
                    name: name(&user.name),
                    active: self.active.unwrap_or(user.active),
                    ..user.clone()
                };
                aliases(&mut user.extension);
                if let Some(delegates) = &self.delegates {
                    user.delegates = delegates.iter().cloned().collect();
                }
                Account::User(user)
            }
            AccountView::Functional(group) => {
                let mut group = FunctionalAccount {
                    name: name(&group.name),
                    ..group.clone()
                };
                aliases(&mut group.extension);
                if let Some(members) = &self.members {
                    group.members = members.iter().cloned().collect();
                }
                Account::Functional(group)
            }
        }
    }

    /// Adds what a later request of the action asked for.
    pub fn merge(&mut self, later: Self) {
        let Self {
            address,
            name,
            active,
            aliases,
            delegates,
            members,
            key,
        } = later;
        self.address = address.or(self.address.take());
        self.name = name.or(self.name.take());
        self.active = active.or(self.active);
        self.aliases = aliases.or(self.aliases.take());
        self.delegates = delegates.or(self.delegates.take());
        self.members = members.or(self.members.take());
        self.key = key.or(self.key.take());
    }
}

/// One action that was sent, and what its requests asked for.
#[derive(Debug)]
pub struct Sent<'a> {
    pub delta: &'a Delta,
    pub asked: &'a Asked,
}

/// A change that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentChange {
    /// Its name in later runs: [`key_of`].
    pub key: String,
    pub account: ScimId,
    /// For reports.
    pub address: SmtpAddress,
    pub change: Change,
    /// Whether Zivver shows it.
    pub is_kept: bool,
}

/// R22: compares each change that was sent with what Zivver shows. `created` contains all accounts that the run
/// created.
pub fn compare(
    sent: &Sent<'_>,
    before: &Accounts,
    now: &Accounts,
    created: &BTreeMap<Target, ScimId>,
) -> Vec<SentChange> {
    let Sent { delta, asked } = sent;
    let id = match delta.target {
        Target::Existing(ix) => before.get(ix).id(),
        Target::New(_) => match created.get(&delta.target) {
            Some(id) => id,
            None => return Vec::new(),
        },
    };
    let comparing = Comparing {
        asked,
        before,
        now,
        created,
        kind: delta.kind,
        account: now.with_id(id),
    };
    // An account that was deleted in the meantime has nothing to compare, unless it was to be created.
    if comparing.account.is_none() && delta.create.is_none() {
        return Vec::new();
    }
    let sent = delta.changes().into_iter();
    sent.filter_map(|change| {
        let is_kept = comparing.is_kept(&change)?;
        let key = if let Change::AddDelegate(target @ Target::New(_)) = &change {
            format!("+delegate {}", created.get(target)?)
        } else {
            change.key(before)?
        };
        let account = if matches!(change, Change::Create { .. }) {
            delta.address.to_string()
        } else {
            id.to_string()
        };
        Some(SentChange {
            key: key_of(&account, &key),
            account: id.clone(),
            address: delta.address.clone(),
            change,
            is_kept,
        })
    })
    .collect()
}

/// R22: whether the lists show an account as neither the requests of an action nor the last answer have it, so that they
/// are older than these. `answer` is `None` if Zivver did not return the account.
pub fn is_outdated(
    sent: &Sent<'_>,
    answer: Option<AccountView<'_>>,
    before: &Accounts,
    now: &Accounts,
) -> bool {
    let Target::Existing(ix) = sent.delta.target else {
        return false;
    };
    let Some(ix) = now.with_id(before.get(ix).id()) else {
        return false;
    };
    let asked = sent.asked;
    let aliases = asked.aliases.as_ref().is_some_and(|asked| {
        let all = |view: AccountView<'_>| -> BTreeSet<SmtpAddress> {
            view.extension().aliases.iter().cloned().collect()
        };
        let listed = all(now.get(ix));
        listed != *asked && answer.is_none_or(|it| all(it) != listed)
    });
    let user = |id: &ScimId| now.with_id(id).filter(|ix| now.is_user(*ix));
    // A delegate may have been renamed in this run.
    let named = |address: &SmtpAddress| {
        let ids =
            [before, now].map(|it| it.with_address(address).first().map(|ix| it.get(*ix).id()));
        ids.into_iter().flatten().find_map(user)
    };
    let delegates = |view: AccountView<'_>| -> BTreeSet<AccountIx> {
        match view {
            AccountView::User(it) => it.delegates.iter().filter_map(named).collect(),
            AccountView::Functional(it) => it.members.iter().filter_map(user).collect(),
        }
    };
    let of_user = asked.delegates.as_ref();
    let of_user = of_user.map(|it| it.iter().filter_map(named).collect());
    let of_group = asked.members.as_ref();
    let of_group = || of_group.map(|it| it.iter().filter_map(user).collect());
    let asked: Option<BTreeSet<AccountIx>> = of_user.or_else(of_group);
    let listed = delegates(now.get(ix));
    aliases
        || asked
            .is_some_and(|asked| listed != asked && answer.is_none_or(|it| delegates(it) != listed))
}

struct Comparing<'a> {
    asked: &'a Asked,
    before: &'a Accounts,
    now: &'a Accounts,
    created: &'a BTreeMap<Target, ScimId>,
    kind: AccountKind,
    account: Option<AccountIx>,
}

impl Comparing<'_> {
    /// `None` if the change was not asked for in an accepted request, or cannot be read back.
    fn is_kept(&self, change: &Change) -> Option<bool> {
        if let Change::Create { .. } = change {
            return self.asked.address.as_ref().map(|_| self.account.is_some());
        }
        let ix = self.account?;
        let view = self.now.get(ix);
        match change {
            Change::Create { .. } | Change::Tie { .. } | Change::SignInKey { .. } => None,
            Change::Rename { to, .. } => {
                (self.asked.address.as_ref() == Some(to)).then(|| view.address() == to)
            }
            Change::Name { to, .. } => {
                let asked = self.asked.name.as_deref() == Some(&**to);
                asked.then(|| view.name().trim() == &**to)
            }
            Change::Resume => self.asks_status(true).then(|| self.now.is_active(ix)),
            Change::Suspend { .. } => self.asks_status(false).then(|| !self.now.is_active(ix)),
            Change::Empty { members, .. } => {
                let left = members.iter().filter(|member| self.has_delegate(**member));
                self.asked.members.as_ref().map(|_| left.count() == 0)
            }
            Change::AddAlias(alias) => {
                let asked = self.asked.aliases.as_ref()?.contains(alias);
                asked.then(|| has_alias(view, alias))
            }
            Change::RemoveAlias(alias) => {
                let asked = !self.asked.aliases.as_ref()?.contains(alias);
                asked.then(|| !has_alias(view, alias))
            }
            Change::AddDelegate(target) => {
                let id = self.id_of(*target)?;
                let is_shown = self.shows_delegate(id);
                // If the run took the address from the delegate later, the set that was sent cannot show the delegate.
                let asked = if is_shown {
                    self.asks_delegate(id)?
                } else {
                    self.asks_present(id)?
                };
                asked.then_some(is_shown)
            }
            Change::RemoveDelegate(delegate) => {
                let asked = !self.asks_delegate(self.before.get(*delegate).id())?;
                asked.then(|| !self.has_delegate(*delegate))
            }
            Change::RemoveEntry(address) => {
                let asked = !self.asked.delegates.as_ref()?.contains(address);
                asked.then(|| match view {
                    AccountView::User(user) => !user.delegates.contains(address),
                    AccountView::Functional(_) => true,
                })
            }
        }
    }

    fn asks_status(&self, active: bool) -> bool {
        match self.kind {
            AccountKind::User => self.asked.active == Some(active),
            AccountKind::Functional => {
                let members = self.asked.members.as_ref();
                members.is_some_and(|members| active != members.is_empty())
            }
        }
    }

    fn id_of(&self, target: Target) -> Option<&ScimId> {
        match target {
            Target::Existing(ix) => Some(self.before.get(ix).id()),
            Target::New(_) => self.created.get(&target),
        }
    }

    /// Whether the delegate is in the set that was sent, by the address of the delegate now or before the run; `None` if
    /// no set was sent.
    fn asks_delegate(&self, id: &ScimId) -> Option<bool> {
        let asks_present = self.asks_present(id)?;
        let before = self.before.with_id(id);
        let before = before.map(|ix| self.before.get(ix).address());
        let delegates = self.asked.delegates.as_ref();
        let asks_before = before.is_some_and(|address| {
            let is_another = |ix: &AccountIx| self.now.get(*ix).id() != id;
            delegates.is_some_and(|it| it.contains(address))
                && !self.now.with_address(address).iter().any(is_another)
        });
        Some(asks_present || asks_before)
    }

    /// Whether the delegate is in the set that was sent, by the present address; `None` if no set was sent.
    fn asks_present(&self, id: &ScimId) -> Option<bool> {
        match self.kind {
            AccountKind::Functional => Some(self.asked.members.as_ref()?.contains(id)),
            AccountKind::User => {
                let asked = self.asked.delegates.as_ref()?;
                let present = self.now.with_id(id);
                Some(present.is_some_and(|ix| asked.contains(self.now.get(ix).address())))
            }
        }
    }

    fn has_delegate(&self, before: AccountIx) -> bool {
        self.shows_delegate(self.before.get(before).id())
    }

    fn shows_delegate(&self, id: &ScimId) -> bool {
        let (Some(account), Some(delegate)) = (self.account, self.now.with_id(id)) else {
            return false;
        };
        self.now.delegates_of(account).users.contains(&delegate)
    }
}

fn has_alias(view: AccountView<'_>, alias: &SmtpAddress) -> bool {
    view.extension().aliases.contains(alias)
}

/// Remembers a removed entry while lists may lag, since an entry whose removal is held is written back with the rest of
/// its set. Other changes are ignored.
pub fn remember_removal(memory: &mut Memory, key: String, change: &Change, now: i64) {
    if let Change::RemoveAlias(_) | Change::RemoveDelegate(_) = change {
        memory.lately.insert(key, now);
    }
}

/// Records what a run sent: counts a change that was not kept once for each run. A removed entry is remembered
/// while lists may lag. Returns the notes about the former.
pub fn remember(memory: &mut Memory, sent: &[SentChange], run: &str, now: i64) -> Vec<Note> {
    let mut notes = Vec::new();
    memory.lately.clear();
    for change in sent {
        if change.is_kept {
            memory.ineffective.remove(&change.key);
            remember_removal(memory, change.key.clone(), &change.change, now);
            continue;
        }
        let times = match memory.ineffective.get(&change.key) {
            Some(before) if before.run == run => before.times,
            Some(before) => before.times.saturating_add(1),
            None => 1,
        };
        let entry = Ineffective {
            times,
            last: now,
            run: run.to_owned(),
            counted_from: Some(change.change.replaced().to_owned()),
        };
        memory.ineffective.insert(change.key.clone(), entry);
        let again = (!change.change.is_destructive()).then(|| now + wait_s(times));
        let text = text(&change.change, times, again);
        let note = Note::new(change.address.as_str(), code(&change.change), text);
        notes.push(note);
    }
    notes
}
