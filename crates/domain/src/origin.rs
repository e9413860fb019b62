//! R44: the cause of a planned change, found by comparison with the snapshot of the last complete run (R42).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    accounts::AccountKind,
    action::{Action, ActionOutcome, ActionReport, gets_new_delegate},
    change::{Attribute, Change, account_of, key_of},
    delegation::Delegations,
    delta::{Delta, Target},
    directory::MailboxIx,
    hash::HashMap,
    held::{HeldChange, HeldSet},
    hold::{hash_of, hashes},
    ids::{ObjectId, ScimId},
    memory::Memory,
    offenders::was_refused,
    snapshot::{AccountEntry, MailboxEntry, Snapshot},
    world::World,
};

/// Each planned change has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    ExchangeChanged,
    /// The account changed in Zivver, and not by this program.
    ChangedByHand,
    /// The account, or its mailbox, was not synchronised before.
    NotManaged,
    /// It was sent before, and was refused, not answered, or not kept.
    FailedBefore,
    /// None of the others is known: it was planned before and not made, or a setting, another account, or a write without an
    /// answer caused it.
    Unchanged,
}

impl Origin {
    pub const ALL: [Self; 5] = [
        Self::ExchangeChanged,
        Self::ChangedByHand,
        Self::NotManaged,
        Self::FailedBefore,
        Self::Unchanged,
    ];
}

/// When a run did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The snapshot shows it.
    AtSnapshot,
    Since,
    /// Since the snapshot, and against Exchange (R37).
    SinceInUndo,
}

/// What a run did, or planned, at the last snapshot or since.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
    pub report: &'a ActionReport,
    pub when: When,
    /// Lists may not show it yet.
    pub is_recent: bool,
}

/// The state with which the plan is compared.
#[derive(Debug)]
pub struct Before<'a> {
    memory: &'a Memory,
    accounts: HashMap<&'a ScimId, &'a AccountEntry>,
    by_object_id: HashMap<ObjectId, &'a MailboxEntry>,
    by_address: HashMap<&'a str, &'a MailboxEntry>,
    owners: HashMap<&'a ScimId, &'a MailboxEntry>,
    deeds: HashMap<(String, Attribute, String), Vec<Earlier>>,
    /// What was held with an origin, by the hash of its fingerprint.
    held: HashMap<String, Origin>,
}

/// The same entry of the same attribute in an earlier action.
#[derive(Debug)]
struct Earlier {
    /// The new value; for a set, whether the entry was added.
    after: String,
    outcome: ActionOutcome,
    when: When,
    is_recent: bool,
    origin: Option<Origin>,
    /// Its position among all deeds.
    at: usize,
}

impl Earlier {
    /// Whether it may have changed the account after the snapshot.
    fn may_have_written(&self) -> bool {
        let is_since = match self.when {
            When::AtSnapshot => false,
            When::Since | When::SinceInUndo => true,
        };
        is_since
            && match self.outcome {
                ActionOutcome::Applied | ActionOutcome::Partly | ActionOutcome::Failed => true,
                ActionOutcome::Planned | ActionOutcome::Remaining | ActionOutcome::Refused => false,
            }
    }
}

impl<'a> Before<'a> {
    /// `deeds` are those of the run of the snapshot, and of all runs since, the newest last; `held` is what they held.
    pub fn of<'h>(
        snapshot: &'a Snapshot,
        memory: &'a Memory,
        deeds: &[Deed<'_>],
        held: impl IntoIterator<Item = &'h HeldChange>,
    ) -> Self {
        let stated = |it: &HeldChange| Some((hash_of(&it.fingerprint).to_owned(), it.origin?));
        let mut before = Self {
            memory,
            accounts: snapshot.accounts.iter().map(|it| (&it.id, it)).collect(),
            by_object_id: HashMap::default(),
            by_address: HashMap::default(),
            owners: HashMap::default(),
            deeds: HashMap::default(),
            held: held.into_iter().filter_map(stated).collect(),
        };
        for entry in &snapshot.mailboxes {
            before.by_address.insert(entry.primary.as_str(), entry);
            if let Some(id) = entry.object_id {
                before.by_object_id.insert(id, entry);
            }
            if let Some(id) = &entry.account {
                before.owners.insert(id, entry);
            }
        }
        for (at, deed) in deeds.iter().enumerate() {
            before.remember(at, deed);
        }
        before
    }

    fn remember(&mut self, at: usize, deed: &Deed<'_>) {
        let action = &deed.report.action;
        for change in &action.changes {
            let is_set = change.attribute.is_set();
            let gone = change.before.iter().filter(|_| is_set);
            let come = change.after.iter();
            let entries = gone.map(|it| (it, false)).chain(come.map(|it| (it, true)));
            for (entry, comes) in entries {
                let (key, after) = if is_set {
                    (entry.clone(), comes.to_string())
                } else {
                    (String::new(), entry.clone())
                };
                let earlier = Earlier {
                    after,
                    outcome: deed.report.outcome,
                    when: deed.when,
                    is_recent: deed.is_recent,
                    origin: change.origins.get(entry).copied(),
                    at,
                };
                let key = (name_of(action), change.attribute, key);
                self.deeds.entry(key).or_default().push(earlier);
            }
        }
    }

    fn mailbox(&self, world: &World, ix: MailboxIx) -> Option<&'a MailboxEntry> {
        let mailbox = world.directory.mailbox(ix);
        let by_id = mailbox.object_id.map(|id| self.by_object_id.get(&id));
        let by_address = || self.by_address.get(mailbox.primary.as_str());
        by_id.unwrap_or_else(by_address).copied()
    }
}

/// The key by which later actions find it.
fn name_of(action: &Action) -> String {
    let id = action.id.as_ref().map(ToString::to_string);
    id.unwrap_or_else(|| action.address.to_string())
}

/// One planned change.
struct Asked<'a> {
    change: &'a Change,
    delta: &'a Delta,
    account: Option<&'a ScimId>,
    before: &'a Before<'a>,
    world: &'a World,
}

/// Adds the origin to each change of an action. `renames`: the addresses that the plan changes.
pub(super) fn state(
    action: &mut Action,
    delta: &Delta,
    renames: &BTreeMap<&str, String>,
    before: &Before<'_>,
    world: &World,
) {
    for change in delta.changes().iter().flat_map(Change::parts) {
        let Some((mut entry, origin)) = origin(&change, delta, before, world) else {
            continue;
        };
        // R22: the action shows such a delegate by the new address.
        if let Change::AddDelegate(Target::Existing(_)) = change
            && gets_new_delegate(delta, &entry, world)
            && let Some(new) = renames.get(&*entry)
        {
            entry.clone_from(new);
        }
        let attribute = change.attribute();
        let mut changes = action.changes.iter_mut();
        if let Some(stated) = changes.find(|it| it.attribute == attribute) {
            stated.origins.insert(entry, origin);
        }
    }
}

/// Writes into held changes where each comes from. `proposed` are the deltas before anything was held.
pub(super) fn state_held<'d>(
    held: &mut [HeldSet],
    proposed: impl IntoIterator<Item = &'d Delta>,
    before: &Before<'_>,
    world: &World,
) {
    let changes = held.iter_mut().flat_map(|set| &mut set.changes);
    let mut held: HashMap<String, &mut HeldChange> = changes
        .map(|it| (hash_of(&it.fingerprint).to_owned(), it))
        .collect();
    for delta in proposed {
        // R16: what happens until it is approved whose account it is.
        for delta in std::iter::once(delta).chain(delta.unless_approved.as_deref()) {
            for change in delta.changes() {
                let hashes = hashes(delta, &change, &world.accounts);
                let Some(hash) = hashes.iter().find(|it| held.contains_key(*it)) else {
                    continue;
                };
                let origin = origin(&change, delta, before, world);
                if let Some(held) = held.get_mut(hash) {
                    held.origin = origin.map(|(_, origin)| origin);
                }
            }
        }
    }
}

/// With the value that comes; of a set, the entry that comes or goes.
fn origin(
    change: &Change,
    delta: &Delta,
    before: &Before<'_>,
    world: &World,
) -> Option<(String, Origin)> {
    let address = |target: Target| {
        let target = target.address(&world.accounts, &world.directory);
        target.to_string()
    };
    let (from, to) = change.values(address);
    let entry = to.or_else(|| from.clone())?;
    let account = match delta.target {
        Target::Existing(ix) => Some(world.accounts.get(ix).id()),
        Target::New(_) => None,
    };
    let asked = Asked {
        change,
        delta,
        account,
        before,
        world,
    };
    let earlier = asked.earlier(&entry);
    let (_, after) = asked.key(&entry);
    let same = |it: &&&Earlier| it.after == after;
    let undone = earlier.iter().rfind(|it| it.when == When::SinceInUndo);
    let undone = undone.filter(|it| it.outcome == ActionOutcome::Applied);
    // What an undo has taken back was made, and did not fail.
    let has_failed = |it: &Earlier| match it.outcome {
        _ if undone.is_some_and(|undone| undone.at > it.at) => false,
        ActionOutcome::Refused | ActionOutcome::Failed | ActionOutcome::Partly => true,
        ActionOutcome::Applied => it.is_recent,
        ActionOutcome::Planned | ActionOutcome::Remaining => false,
    };
    let was_written = earlier.iter().any(|it| match it.outcome {
        ActionOutcome::Planned | ActionOutcome::Remaining | ActionOutcome::Refused => false,
        ActionOutcome::Applied | ActionOutcome::Partly | ActionOutcome::Failed => it.is_recent,
    });
    let written = earlier.iter().rfind(|it| it.may_have_written());
    // The program has made it what it is now.
    let is_own = written.is_some_and(|it| {
        it.outcome == ActionOutcome::Applied && asked.is_result(it, from.as_deref(), &after)
    });
    let is_by_hand = match written {
        // Of what was not answered, and of an action of which a part was made, it is not known.
        Some(it) if it.outcome != ActionOutcome::Applied => false,
        Some(_) if asked.is_compared_by_value() => !is_own,
        Some(_) | None => asked.is_by_hand(),
    };
    let held = || {
        let hashes = hashes(delta, change, &world.accounts);
        hashes.iter().find_map(|it| before.held.get(it)).copied()
    };
    let has_source_changed = is_own && written.is_some_and(|it| it.when == When::Since);
    let origin = if asked.is_known_to_fail() || earlier.iter().filter(same).any(|it| has_failed(it))
    {
        Origin::FailedBefore
    } else if !was_written && is_by_hand {
        Origin::ChangedByHand
    } else if let Some(held @ Origin::ChangedByHand) = held() {
        held
    } else if asked.is_new_here() {
        Origin::NotManaged
    } else if asked.has_exchange_changed() || has_source_changed {
        Origin::ExchangeChanged
    } else {
        let stated = earlier.iter().rev().filter(same).find_map(|it| it.origin);
        stated.or_else(held).unwrap_or(Origin::Unchanged)
    };
    Some((entry, origin))
}

impl Asked<'_> {
    /// What earlier runs did about the same change, from old to new. An account that was created is found by its
    /// address.
    fn earlier(&self, entry: &str) -> Vec<&Earlier> {
        let (key, _) = self.key(entry);
        let names = [
            Some(self.delta.address.to_string()),
            self.account.map(ToString::to_string),
        ];
        let attribute = self.change.attribute();
        let keys = self.delegate_before().into_iter().chain([key]);
        let keys: BTreeSet<String> = keys.collect();
        let of = |(name, key): (&String, &String)| {
            let key = (name.clone(), attribute, key.clone());
            self.before.deeds.get(&key)
        };
        let names = names.iter().flatten();
        let mut earlier: Vec<&Earlier> = names
            .flat_map(|name| keys.iter().map(move |key| (name, key)))
            .filter_map(of)
            .flatten()
            .collect();
        earlier.sort_by_key(|it| it.at);
        earlier
    }

    /// The addresses that a delegate had at the snapshot and since, by which earlier runs named it.
    fn delegate_before(&self) -> Vec<String> {
        let (Change::AddDelegate(Target::Existing(ix)) | Change::RemoveDelegate(ix)) = self.change
        else {
            return Vec::new();
        };
        let id = self.world.accounts.get(*ix).id();
        let then = self.before.accounts.get(id);
        let renames = (id.to_string(), Attribute::Address, String::new());
        let renames = self.before.deeds.get(&renames).into_iter().flatten();
        then.map(|then| then.address.to_string())
            .into_iter()
            .chain(renames.map(|it| it.after.clone()))
            .collect()
    }

    /// Whether what an earlier run made is what the account has now, which is to change `from` that; of a set, `after` is
    /// whether the entry is to come.
    fn is_result(&self, earlier: &Earlier, from: Option<&str>, after: &str) -> bool {
        if self.change.attribute().is_set() {
            earlier.after != after
        } else {
            from == Some(&*earlier.after)
        }
    }

    /// Whether the value of the account that is to change is known. Of a delegate who is only named anew (R22) it does not
    /// change.
    fn is_compared_by_value(&self) -> bool {
        if let Change::AddDelegate(target) = self.change {
            return !self.is_named(*target);
        }
        !matches!(self.change, Change::Create { .. }) && !self.change.is_sign_in_key()
    }

    /// What the same change is known by, and what comes of it.
    fn key(&self, entry: &str) -> (String, String) {
        if !self.change.attribute().is_set() {
            return (String::new(), entry.to_owned());
        }
        let comes = matches!(self.change, Change::AddAlias(_) | Change::AddDelegate(_));
        (entry.to_owned(), comes.to_string())
    }

    /// R22, R33
    fn is_known_to_fail(&self) -> bool {
        let memory = self.before.memory;
        let account = account_of(self.delta, &self.world.accounts);
        let key = self.change.key(&self.world.accounts);
        key.is_some_and(|key| memory.ineffective.contains_key(&key_of(&account, &key)))
            || was_refused(self.delta, self.change, &memory.offenders, self.world)
    }

    fn account_then(&self) -> Option<&AccountEntry> {
        self.before.accounts.get(self.account?).copied()
    }

    fn external_object_id(&self) -> Option<ObjectId> {
        let Target::Existing(ix) = self.delta.target else {
            return None;
        };
        self.world.accounts.external_object_id(ix).copied()
    }

    /// Whether the account differs from the snapshot in the attribute that is to be changed.
    fn is_by_hand(&self) -> bool {
        if let Change::Create { .. } = self.change {
            return self.was_deleted();
        }
        let Some(then) = self.account_then() else {
            return false;
        };
        let has_delegate = |target: &Target| match target {
            Target::Existing(ix) => {
                let id = self.world.accounts.get(*ix).id();
                let who = self.before.accounts.get(id);
                who.map(|who| {
                    then.delegates
                        .iter()
                        .any(|it| it.who == who.address.as_str())
                })
            }
            Target::New(_) => None,
        };
        match self.change {
            Change::Create { .. } | Change::SignInKey { .. } => false,
            // Where Zivver shows no object id, the account is tied in memory, which no hand changes.
            Change::Tie { .. } => {
                let tied = then.external_account_id.as_deref();
                tied.and_then(ObjectId::parse) != self.external_object_id()
            }
            Change::Rename { from, .. } => then.address != *from,
            Change::Name { from, .. } => then.name.trim() != from.trim(),
            Change::Resume => then.active,
            Change::Suspend { .. } | Change::Empty { .. } => !then.active,
            Change::AddAlias(alias) => then.aliases.contains(alias),
            Change::RemoveAlias(alias) => !then.aliases.contains(alias),
            // R22: a delegate who is there may only be stored under another address.
            Change::AddDelegate(target) => {
                !self.is_named(*target) && has_delegate(target) == Some(true)
            }
            Change::RemoveDelegate(ix) => has_delegate(&Target::Existing(*ix)) != Some(true),
            Change::RemoveEntry(address) => {
                !then.delegates.iter().any(|it| it.who == address.as_str())
            }
        }
    }

    /// R22: by whatever address.
    fn is_named(&self, delegate: Target) -> bool {
        match (self.delta.target, delegate) {
            (Target::Existing(ix), Target::Existing(delegate)) => {
                let current = self.world.accounts.delegates_of(ix);
                let id = self.world.accounts.get(delegate).id();
                let former = &self.before.memory.former_addresses;
                let mut strangers = current.strangers.iter();
                current.users.contains(&delegate)
                    || strangers.any(|address| former.get(address) == Some(id))
            }
            (Target::New(_), _) | (_, Target::New(_)) => false,
        }
    }

    /// Whether the mailbox had an active account that is in neither list.
    fn was_deleted(&self) -> bool {
        let mailbox = self.delta.mailbox;
        let then = mailbox.and_then(|ix| self.before.mailbox(self.world, ix));
        let id = then.and_then(|then| then.account.as_ref());
        let then = id.and_then(|id| self.before.accounts.get(id));
        then.is_some_and(|then| then.active && !self.world.accounts.lists(&then.id))
    }

    fn is_new_here(&self) -> bool {
        let is_unread = |it: &MailboxEntry| it.access.is_unread();
        let Some(id) = self.account else {
            let mailbox = self.delta.mailbox;
            let then = mailbox.and_then(|ix| self.before.mailbox(self.world, ix));
            return then.is_some_and(is_unread);
        };
        let is_mapped = || self.before.memory.mapping.values().any(|it| it == id);
        match (self.before.accounts.get(id), self.before.owners.get(id)) {
            (None, _) => true,
            (Some(_), Some(owner)) => is_unread(owner),
            (Some(_), None) => !is_mapped(),
        }
    }

    /// Whether the mailbox differs from the snapshot in a value that decides about the change.
    fn has_exchange_changed(&self) -> bool {
        let Some(ix) = self.delta.mailbox else {
            return self.account.is_some_and(|id| self.had_owner(id));
        };
        let Some(then) = self.before.mailbox(self.world, ix) else {
            return true;
        };
        let now = self.world.directory.mailbox(ix);
        let address = || then.primary != now.primary;
        let upn = || {
            let now = now.user_principal_name.as_deref();
            let now = now.filter(|upn| *upn != then.primary.as_str());
            then.upn.as_deref() != now
        };
        match self.change {
            Change::Create { .. } => {
                then.kind != now.kind || self.has_access_changed(then, ix) || address()
            }
            Change::Tie { .. } => then.object_id != now.object_id || address(),
            Change::Rename { .. } => address() || upn(),
            Change::RemoveEntry(_) => address(),
            Change::SignInKey { .. } => {
                address()
                    || upn()
                    || self.has_aliases_changed(then, ix)
                    || self.has_access_changed(then, ix)
            }
            Change::Name { .. } => then.name.trim() != now.display_name.trim(),
            Change::Resume | Change::Suspend { .. } | Change::Empty { .. } => {
                then.kind != now.kind
                    || self.delta.kind == AccountKind::Functional
                        && self.has_access_changed(then, ix)
            }
            Change::AddAlias(_) | Change::RemoveAlias(_) => self.has_aliases_changed(then, ix),
            Change::AddDelegate(Target::New(other)) => {
                self.has_access_changed(then, ix)
                    || self
                        .before
                        .mailbox(self.world, *other)
                        .is_none_or(|then| then.kind != self.world.directory.mailbox(*other).kind)
            }
            Change::AddDelegate(Target::Existing(_)) | Change::RemoveDelegate(_) => {
                self.has_access_changed(then, ix)
            }
        }
    }

    /// R16: whether the mailbox of an account was in the snapshot. A mailbox at its address that has another object id is
    /// not its own.
    fn had_owner(&self, id: &ScimId) -> bool {
        let mut mapped = self.before.memory.mapping.iter();
        let mapped = mapped.find(|(_, it)| *it == id).map(|(tied, _)| *tied);
        let tied = mapped.or_else(|| self.external_object_id());
        let owner = self.before.owners.get(id);
        owner.is_some_and(|owner| tied.is_none() || owner.object_id == tied)
    }

    fn has_aliases_changed(&self, then: &MailboxEntry, ix: MailboxIx) -> bool {
        let now = self.world.directory.mailbox(ix);
        let differs = |one: &[_], other: &[_]| one.iter().any(|it| !other.contains(it));
        then.primary != now.primary
            || then.aliases_unknown == now.knows_aliases
            || differs(&then.aliases, &now.aliases)
            || differs(&now.aliases, &then.aliases)
    }

    /// Who has access, independent of what happens in Zivver.
    fn has_access_changed(&self, then: &MailboxEntry, ix: MailboxIx) -> bool {
        let world = self.world;
        let Some(Delegations::Known(now)) = world.delegations_of(ix) else {
            return false;
        };
        let people = now.grantees.iter();
        let people = people.map(|it| world.directory.label(it.party));
        let outsiders = now.outsiders.iter().map(|it| &*it.label);
        let mut now: Vec<&str> = people.chain(outsiders).collect();
        let mut then: Vec<&str> = then.access.grants().iter().map(|it| &*it.who).collect();
        now.sort_unstable();
        then.sort_unstable();
        now != then
    }
}
