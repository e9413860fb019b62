//! The reverse of a run, made from its journal, and what must not be done again after it (R37).

mod naming;
mod owners;
mod standing;
mod unseen;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use naming::name_anew;
pub use owners::Owners;
use owners::of_another;
pub(super) use owners::{owners, state_people};
pub(super) use standing::{knows_source, mailbox_source, source_state, still_undone, undone_after};

use super::{
    accounts::{AccountIx, AccountKind, AccountView, Accounts},
    action::{Action, ActionKind},
    address::SmtpAddress,
    change::Attribute,
    delta::{Activity, Delta, Target},
    directory::MailboxIx,
    given::Given,
    guard::Class,
    ids::{ObjectId, ScimId, SignInKey},
    matching::{AccountFate, Matching},
    memory::BegunRename,
    note::{Code, Note},
    settle::{aside, is_aside},
    world::World,
};

/// A run that is to be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    pub run: String,
    /// The actions that it did, or may have done, in order.
    pub deeds: Vec<Deed>,
}

/// One action of a run, as its journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    pub action: Action,
    /// The account, even if the run created it. `None` for a create whose end is not in the journal.
    pub id: Option<ScimId>,
    /// The object id of its mailbox.
    pub object_id: Option<ObjectId>,
    pub aliases_before: Vec<SmtpAddress>,
    pub delegates: DelegateChanges,
    pub owners: Owners,
    /// The rename that an earlier run began, so that this one found the account at an intermediate address.
    pub begun: Option<BegunRename>,
}

impl Deed {
    /// R37: the address before the action, or if an earlier run began the rename, before that run.
    fn address_before(&self) -> &SmtpAddress {
        let begun = self.begun.as_ref().and_then(|begun| begun.from.as_ref());
        begun.unwrap_or(&self.action.address)
    }
}

/// Delegates that an action removed and added, identified so that a rename does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegateChanges {
    pub removed: Vec<ScimId>,
    pub added: Vec<AddedDelegate>,
}

impl DelegateChanges {
    /// A delegate who is only stored under another address does not count as added (R22).
    pub fn of(delta: &Delta, world: &World) -> Self {
        let id = |ix| world.accounts.get(ix).id().clone();
        let current = match delta.target {
            Target::Existing(ix) => world.accounts.delegates_of(ix).users,
            Target::New(_) => Vec::new(),
        };
        let added = delta
            .add_delegates
            .iter()
            .filter_map(|target| match target {
                Target::Existing(ix) if current.contains(ix) => None,
                Target::Existing(ix) => Some(AddedDelegate::Account(id(*ix))),
                Target::New(ix) => {
                    let primary = &world.directory.mailbox(*ix).primary;
                    Some(AddedDelegate::Created(primary.clone()))
                }
            });
        Self {
            removed: delta.remove_delegates.iter().copied().map(id).collect(),
            added: added.collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddedDelegate {
    Account(ScimId),
    /// The address of an account that the same plan creates.
    Created(SmtpAddress),
}

/// The deltas that reverse a run, by address, with notes about what is left alone.
#[derive(Debug, Default)]
pub struct Reversal {
    pub deltas: Vec<Delta>,
    pub notes: Vec<Note>,
}

/// What a run did to one account, in all its invocations.
struct Touched {
    created: bool,
    /// Before and after. An intermediate address at which an earlier run left the account is replaced by the address
    /// before it, if that is known.
    address: (SmtpAddress, SmtpAddress),
    /// The run that left it there.
    begun_by: Option<String>,
    name: Option<(String, String)>,
    active: Option<(bool, bool)>,
    /// `true` if added, `false` if removed.
    aliases: BTreeMap<SmtpAddress, bool>,
    delegates: BTreeMap<ScimId, bool>,
    aliases_before: BTreeSet<SmtpAddress>,
    object_id: Option<ObjectId>,
    /// R16: the owners of the account and of the delegates, as far as they were recorded.
    owners: Owners,
    /// R16: the run gave the account to another object id.
    is_handed_over: bool,
    /// R23
    has_new_key: bool,
}

/// Attribute by attribute: a value that is still as the run left it is reversed, a value that changed since is left
/// alone.
pub(crate) fn reverse(undo: &Undo, given: Given<'_>) -> Reversal {
    let world = given.world;
    let mut reversal = Reversal::default();
    for (id, touched) in touched(undo, &world.accounts) {
        let address = touched.address.0.clone();
        let ix = match reversible(&id, &touched, given) {
            Ok(ix) => ix,
            Err(text) => {
                let note = Note::new(address.as_str(), Code::ChangedSince, text);
                reversal.notes.push(note);
                continue;
            }
        };
        let mut reverser = Reverser {
            given,
            ix,
            touched: &touched,
            delta: new_delta(ix, &touched, given),
            notes: &mut reversal.notes,
        };
        reverser.all();
        let mut delta = reverser.delta;
        if !delta.is_empty() {
            delta.because("R37", format!("run {} is undone", undo.run));
            reversal.deltas.push(delta);
        }
    }
    name_anew(&mut reversal.deltas, given);
    reversal
        .deltas
        .sort_by(|a, b| (&a.address, a.target).cmp(&(&b.address, b.target)));
    reversal
}

/// The account, or why nothing is undone on it.
fn reversible(id: &ScimId, touched: &Touched, given: Given<'_>) -> Result<AccountIx, String> {
    let accounts = &given.world.accounts;
    let Some(ix) = accounts.with_id(id) else {
        let why = if accounts.lists(id) {
            "its account cannot be understood, so nothing is undone on it"
        } else if touched.created {
            "Zivver does not list the account that the run created: Zivver did not keep it, or it was deleted since"
        } else {
            "its account no longer exists"
        };
        return Err(why.to_owned());
    };
    if given.matching.is_protected(ix) {
        return Err("it is protected now, so nothing is undone on it".to_owned());
    }
    if let Some(why) = of_another(ix, touched.owners.get(id), given) {
        return Err(format!("{why}, so nothing is undone on it (R16)"));
    }
    if touched.is_handed_over {
        return Err(
            "the run gave its account to another object id, which is not taken back, so nothing is undone on it (R16)"
                .to_owned(),
        );
    }
    Ok(ix)
}

fn touched(undo: &Undo, accounts: &Accounts) -> BTreeMap<ScimId, Touched> {
    let created: BTreeMap<&SmtpAddress, (&ScimId, Option<ObjectId>)> = undo
        .deeds
        .iter()
        .filter(|deed| deed.action.kind == ActionKind::Create)
        .filter_map(|deed| Some((&deed.action.address, (deed.id.as_ref()?, deed.object_id))))
        .collect();
    let mut all: BTreeMap<ScimId, Touched> = BTreeMap::new();
    for deed in &undo.deeds {
        let found = || {
            let mut same = accounts.with_address(&deed.action.address).iter();
            // R16: an account that was made for another person in the meantime is not the work of the run.
            let may_be_ours = |ix: AccountIx| {
                let tied = accounts.external_object_id(ix);
                tied.is_none() || tied == deed.object_id.as_ref()
            };
            same.find(|ix| accounts.get(**ix).kind() == deed.action.account && may_be_ours(**ix))
                .map(|ix| accounts.get(*ix).id().clone())
        };
        let Some(id) = deed.id.clone().or_else(found) else {
            continue; // A create that was not made.
        };
        let touched = all.entry(id.clone()).or_insert_with(|| Touched {
            created: false,
            address: (deed.address_before().clone(), deed.action.address.clone()),
            begun_by: deed.begun.as_ref().and_then(|begun| begun.run.clone()),
            name: None,
            active: None,
            aliases: BTreeMap::new(),
            delegates: BTreeMap::new(),
            aliases_before: deed.aliases_before.iter().cloned().collect(),
            object_id: deed.object_id,
            owners: Owners::new(),
            is_handed_over: false,
            has_new_key: false,
        });
        touched.take_in(deed);
        let owner = deed.object_id.map(|owner| (id, Some(owner)));
        touched
            .owners
            .extend(deed.owners.clone().into_iter().chain(owner));
        for id in &deed.delegates.removed {
            flip(&mut touched.delegates, id, false);
        }
        for delegate in &deed.delegates.added {
            let (id, owner) = match delegate {
                AddedDelegate::Account(id) => (id, None),
                AddedDelegate::Created(address) => match created.get(address) {
                    Some(created) => *created,
                    None => continue,
                },
            };
            flip(&mut touched.delegates, id, true);
            let owner = owner.map(|owner| (id.clone(), Some(owner)));
            touched.owners.extend(owner);
        }
    }
    all
}

impl Touched {
    fn take_in(&mut self, deed: &Deed) {
        self.created |= deed.action.kind == ActionKind::Create;
        for change in &deed.action.changes {
            let single = |texts: &[String]| texts.first().cloned().unwrap_or_default();
            let (before, after) = (single(&change.before), single(&change.after));
            match change.attribute {
                Attribute::Address => self.address.1 = SmtpAddress::verbatim(&after),
                Attribute::Name => {
                    let first = self.name.take().map_or(before, |(first, _)| first);
                    self.name = Some((first, after));
                }
                Attribute::Active => {
                    let first = self.active.map_or(before == "yes", |(first, _)| first);
                    self.active = Some((first, after == "yes"));
                }
                Attribute::Aliases => {
                    for alias in &change.before {
                        flip(&mut self.aliases, &SmtpAddress::verbatim(alias), false);
                    }
                    for alias in &change.after {
                        flip(&mut self.aliases, &SmtpAddress::verbatim(alias), true);
                    }
                }
                Attribute::ObjectId => self.is_handed_over = true,
                Attribute::SignInKey => self.has_new_key = true,
                Attribute::Delegates => {} // They are identified by their accounts.
            }
        }
    }
}

/// A value that was added and removed again did not change.
fn flip<K: Ord + Clone>(changes: &mut BTreeMap<K, bool>, key: &K, added: bool) {
    match changes.get(key) {
        Some(before) if *before != added => {
            changes.remove(key);
        }
        Some(_) => {}
        None => {
            changes.insert(key.clone(), added);
        }
    }
}

fn new_delta(ix: AccountIx, touched: &Touched, given: Given<'_>) -> Delta {
    let view = given.world.accounts.get(ix);
    let mailbox = mailbox_of(given.matching, ix);
    let mut delta = Delta::new(
        Target::Existing(ix),
        view.kind(),
        view.address().clone(),
        mailbox,
    );
    if view.kind() == AccountKind::User {
        delta.key = key_of(ix, touched.object_id, &touched.address.0, given);
    }
    delta
}

/// R23: the key of an account, even if its mailbox is gone: then that of a known or recorded object id, or of an address.
fn key_of(
    ix: AccountIx,
    recorded: Option<ObjectId>,
    address: &SmtpAddress,
    given: Given<'_>,
) -> Option<SignInKey> {
    let Given {
        world,
        policy,
        matching,
        ..
    } = given;
    let mailbox = mailbox_of(matching, ix);
    let own = mailbox.and_then(|ix| policy.sign_in_key(world.directory.mailbox(ix)));
    let known = matching.known_object_id(ix).copied().or(recorded);
    own.or_else(|| policy.key_without_mailbox(known, address))
}

fn mailbox_of(matching: &Matching, ix: AccountIx) -> Option<MailboxIx> {
    match matching.account(ix) {
        AccountFate::Owned(mailbox) | AccountFate::Evidence(mailbox) => Some(*mailbox),
        AccountFate::Foreign
        | AccountFate::Protected(_)
        | AccountFate::OwnedByDisabled
        | AccountFate::MailboxOutsideDomains(_)
        | AccountFate::MergeCandidate(_)
        | AccountFate::Unowned => None,
    }
}

/// Reverses one account.
struct Reverser<'a> {
    given: Given<'a>,
    ix: AccountIx,
    touched: &'a Touched,
    delta: Delta,
    notes: &'a mut Vec<Note>,
}

impl Reverser<'_> {
    fn view(&self) -> AccountView<'_> {
        self.given.world.accounts.get(self.ix)
    }

    fn left_alone(&mut self, text: impl Into<String>) {
        let note = Note::new(self.delta.address.as_str(), Code::ChangedSince, text);
        self.notes.push(note);
    }

    fn all(&mut self) {
        if self.touched.created {
            self.stop();
            return;
        }
        if self.touched.has_new_key {
            self.left_alone("the run wrote another sign-in key, which is not taken back (R23)");
        }
        self.unseen();
        self.address();
        self.name();
        self.aliases();
        self.delegates();
        self.status();
        if let Some(text) = self.delta.lacks_key(self.given.policy) {
            let note = Note::new(self.delta.address.as_str(), Code::NoKey, text);
            self.notes.push(note);
            self.delta.clear_extension();
        }
    }

    /// Accounts are never deleted. What was created is suspended or emptied.
    fn stop(&mut self) {
        if *self.view().address() != self.touched.address.1 {
            let text = format!(
                "it was created as {}, and renamed since",
                self.touched.address.1
            );
            self.left_alone(text);
        } else if self.given.world.accounts.is_active(self.ix) {
            match self.delta.kind {
                AccountKind::User => {
                    self.delta.activity = Some(Activity::Suspend(Class::Suspend));
                }
                AccountKind::Functional => self.empty(),
            }
        }
    }

    fn empty(&mut self) {
        let members = self.given.world.accounts.delegates_of(self.ix).users;
        if members.iter().any(|member| self.stays(*member)) {
            self.left_alone("it has a member that must not be removed, so it is not emptied");
            return;
        }
        self.delta.activity = Some(Activity::Empty(Class::Suspend));
        self.delta.remove_delegates = members.into_iter().collect();
    }

    /// R7, R13: whether a delegate must not be changed.
    fn stays(&self, delegate: AccountIx) -> bool {
        self.given.matching.frozen.contains(&delegate)
            || !self
                .given
                .policy
                .claimed_domains
                .holds(self.given.world.accounts.get(delegate).address())
    }

    fn address(&mut self) {
        let (before, after) = &self.touched.address;
        let now = self.view().address();
        if before == after || now == before {
            return;
        }
        // A run that ended during the rename, or during its undo, left the account there.
        let is_on_its_way = *now == aside(self.view(), before) || *now == aside(self.view(), after);
        if now != after && !is_on_its_way {
            self.left_alone(format!(
                "the run gave it the address {after}, which changed since"
            ));
        } else if is_aside(before) {
            let by = match &self.touched.begun_by {
                Some(run) => format!("run {run}, which began the rename"),
                None => "the run that began the rename".to_owned(),
            };
            self.left_alone(format!(
                "its address stays: {before} is an intermediate address, so undo {by}"
            ));
        } else if !self.given.policy.claimed_domains.holds(before) {
            self.left_alone(format!(
                "its address stays, since {before} is outside the claimed domains"
            ));
        } else {
            self.delta.rename_to(before.clone(), Class::Rename);
        }
    }

    fn name(&mut self) {
        let Some((before, after)) = &self.touched.name else {
            return;
        };
        let now = self.view().name().trim();
        if before == after || now == before {
            return;
        }
        if now == after {
            self.delta.name = Some((after.as_str().into(), before.as_str().into()));
        } else {
            self.left_alone(format!("the run named it {after:?}, which changed since"));
        }
    }

    fn status(&mut self) {
        let AccountView::User(user) = self.view() else {
            return;
        };
        let Some((before, after)) = self.touched.active else {
            return;
        };
        if before != after && user.active == after {
            self.delta.activity = Some(if before {
                Activity::Resume
            } else {
                Activity::Suspend(Class::Suspend)
            });
        }
    }

    fn aliases(&mut self) {
        let now: BTreeSet<&SmtpAddress> = self.view().extension().aliases.iter().collect();
        let address = match &self.delta.rename {
            Some(rename) => &rename.to,
            None => &self.delta.address,
        };
        let (mut add, mut remove) = (BTreeSet::new(), BTreeSet::new());
        for (alias, added) in &self.touched.aliases {
            // Its own address changes with the rename.
            if alias == address {
                continue;
            }
            match (added, now.contains(alias)) {
                (true, true) => remove.insert(alias.clone()),
                (false, false) => add.insert(alias.clone()),
                (true, false) | (false, true) => false,
            };
        }
        remove.extend(self.left_by_rename().cloned());
        // Zivver removes the new address of a rename from the aliases without a message.
        let old_alias = &self.touched.address.1;
        if self.delta.rename.is_some()
            && self.touched.aliases_before.contains(old_alias)
            && !now.contains(old_alias)
        {
            add.insert(old_alias.clone());
        }
        (self.delta.add_aliases, self.delta.remove_aliases) = (add, remove);
    }

    /// Zivver may keep each address that an account had as an alias: here those of a rename that is taken back. An alias
    /// that is the address of the mailbox was not given since, and no run removes it (R22).
    fn left_by_rename(&self) -> impl Iterator<Item = &SmtpAddress> {
        let (before, after) = &self.touched.address;
        let view = self.view();
        let ways = [aside(view, before), aside(view, after)];
        let mailbox = self.delta.mailbox;
        let mailbox = mailbox.map(|ix| self.given.world.directory.mailbox(ix));
        let is_wanted = mailbox.is_some_and(|mailbox| mailbox.primary == *after);
        let is_back = before != after && view.address() == before;
        let aliases = view.extension().aliases.iter();
        aliases.filter(move |alias| {
            is_back
                && !self.touched.aliases_before.contains(*alias)
                && (ways.contains(alias) || *alias == after && is_wanted)
        })
    }

    fn delegates(&mut self) {
        let now = self.given.world.accounts.delegates_of(self.ix).users;
        for (id, added) in &self.touched.delegates {
            let delegate = self.given.world.accounts.with_id(id).filter(|ix| {
                *ix != self.ix && self.given.world.accounts.get(*ix).kind() == AccountKind::User
            });
            match delegate {
                Some(delegate) if *added != now.contains(&delegate) => {}
                Some(delegate) => self.delegate(delegate, id, *added),
                None if *added => {}
                None => self.left_alone("a delegate that the run removed no longer has an account"),
            }
        }
        if self.delta.kind == AccountKind::User {
            return;
        }
        let adds = !self.delta.add_delegates.is_empty();
        if now.is_empty() && adds {
            self.delta.activity = Some(Activity::Resume);
        } else if !adds
            && !now.is_empty()
            && !self.given.world.accounts.has_hidden_member(self.ix)
            && now
                .iter()
                .all(|member| self.delta.remove_delegates.contains(member))
        {
            self.delta.activity = Some(Activity::Empty(Class::Suspend));
        }
    }

    /// Takes out a delegate that the run added, or puts back one that it removed.
    fn delegate(&mut self, delegate: AccountIx, id: &ScimId, added: bool) {
        let address = self.given.world.accounts.get(delegate).address();
        let what = if added {
            "is not taken out of its delegates"
        } else {
            "does not become its delegate again"
        };
        if let Some(why) = of_another(delegate, self.touched.owners.get(id), self.given) {
            self.left_alone(format!("{address} {what}: {why} (R16)"));
        } else if added && !self.stays(delegate) {
            self.delta.remove_delegates.insert(delegate);
        } else if !added && self.given.matching.frozen.contains(&delegate) {
            self.left_alone(format!("{address} {what}: it is protected now (R7)"));
        } else if !added {
            self.delta.add_delegates.insert(Target::Existing(delegate));
        }
    }
}
