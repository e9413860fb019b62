//! What a run writes to memory: who owns which account, what counts in the limits, what was refused, and what a limit
//! held.

use std::collections::BTreeSet;

use crate::{
    accounts::Accounts,
    action::ActionOutcome,
    address::SmtpAddress,
    change::key_of,
    delta::{Activity, Target},
    execute::{ActionEnd, Applied},
    guard::Class,
    ids::ScimId,
    ineffective::{self, LIST_LAG_MAX_S, SentChange},
    matching::Matching,
    memory::{Baseline, BegunRename, Counted, Created, InHand, Memory, Spent, WrittenKey},
    mode::Depth,
    note::Note,
    offenders::{self, Occasion, Tried},
    plan::{Plan, keys},
    record::{Entry, PlanRecord, PlannedAction, last},
    seen::SeenAccounts,
    settle::{given_up_or_renamed, named_by, names},
    ties::{doubtful_ties, next_mapping},
    world::{Policy, World},
};

/// How long a change that counts for 24 hours is remembered (R26), in seconds. It must still be there after a clock
/// that was ahead is set back.
const SPENT_KEPT_S: i64 = 31 * 24 * 60 * 60;

/// A plan, what it was made from, and the run that carries it out.
#[derive(Debug, Clone, Copy)]
pub struct Ledger<'a> {
    pub plan: &'a Plan,
    pub world: &'a World,
    pub policy: &'a Policy,
    pub matching: &'a Matching,
    /// The id of the run.
    pub run: &'a str,
    /// Epoch seconds.
    pub now: i64,
    /// The run is a reconciliation of all accounts: neither scoped (R39) nor an undo (R37).
    pub is_for_all: bool,
}

impl Ledger<'_> {
    /// Records the results of reading and planning.
    pub fn record_plan(&self, memory: &mut Memory) {
        self.record_ties(memory);
        memory.seen_accounts = Some(SeenAccounts::of(&self.world.accounts));
        let accounts = &self.world.accounts;
        memory.begun_renames.retain(|id, begun| {
            let account = accounts.with_id(id).map(|ix| accounts.get(ix));
            account.is_some_and(|account| *account.address() == begun.at)
        });
        self.record_former_addresses(memory);
        // R37: if this undo is killed, the next run must not repeat what it has undone.
        memory.undone.clone_from(&self.plan.undone);
        // Suspends that were to come first may be among the changes left for later (R25).
        memory.cut_off &= self.plan.leaves_out || !self.saw_delegations();
        if self.is_for_all {
            memory.rejections.clone_from(&self.plan.rejections);
            self.record_limits(memory);
        } else {
            let ended = &self.plan.rejections_ended;
            let rejections = &mut memory.rejections;
            rejections.retain(|it| !ended.contains(&it.change.fingerprint));
        }
        if !self.plan.untaken.is_empty() {
            let mut untaken = self.plan.untaken.clone();
            let again = keys(self.plan.approved.deltas(), &self.world.accounts);
            untaken.retain(|key, _| again.contains(key) || !memory.may_show_late(key, self.now));
            memory.give_back(&untaken);
        }
    }

    /// R22, R35: if the run ends before an account that names a delegate is written with the new address, a later run must
    /// know whom it names.
    fn record_former_addresses(&self, memory: &mut Memory) {
        let accounts = &self.world.accounts;
        let former = &mut memory.former_addresses;
        let known: BTreeSet<SmtpAddress> = former.keys().cloned().collect();
        let named = named_by(accounts, &known).map(|(_, address)| address);
        let rejected = accounts.rejected().iter().flat_map(|row| &row.delegates);
        let named: BTreeSet<&SmtpAddress> = named.chain(rejected).collect();
        former.retain(|address, id| {
            let now = accounts
                .user_called(address)
                .map(|ix| accounts.get(ix).id());
            named.contains(address) && accounts.lists(id) && now.is_none_or(|now| now == id)
        });
        let given = given_up_or_renamed(self.plan.approved.deltas());
        for (by, address, delegate) in names(accounts, &given) {
            if by != delegate {
                let id = accounts.get(delegate).id();
                former.insert(address.clone(), id.clone());
            }
        }
    }

    /// R16 (a): records which account belongs to which mailbox, by the lists read last.
    pub fn record_ties(&self, memory: &mut Memory) {
        let mapping = next_mapping(self.world, self.matching, memory);
        memory.doubtful_ties = doubtful_ties(self.world, self.matching, memory, &mapping);
        memory.mapping = mapping;
    }

    fn saw_delegations(&self) -> bool {
        self.world.depth == Depth::Full
    }

    /// R36, R45: a quick run did not look at delegations, so what a full run held of them stays.
    fn record_limits(&self, memory: &mut Memory) {
        if self.saw_delegations() {
            memory.held_of.clone_from(&self.plan.exceeded);
        } else {
            for (class, of) in &self.plan.exceeded {
                let known = memory.held_of.entry(*class).or_insert(*of);
                *known = (*known).min(*of);
            }
        }
    }

    /// Records the outcomes of the plan.
    pub fn record_outcomes(&self, memory: &mut Memory, record: &PlanRecord, applied: &Applied) {
        for at in 0..applied.actions.len() {
            self.record_owner(memory, at, record, applied);
            self.record_key(memory, at, applied);
            self.record_suspend(memory, at, applied);
            self.record_begun_rename(memory, at, applied);
            let end = &applied.actions[at];
            if end.outcome == Some(ActionOutcome::Applied) && !end.is_half_done {
                record_removals(memory, &record.actions[at], &self.world.accounts, self.now);
            }
        }
        if let Some(seen) = &mut memory.seen_accounts {
            seen.extend(applied.created.values());
        }
        self.record_spent(memory, record, applied);
        self.record_refusals(memory, applied);
        memory.cut_off |= applied.finish.is_premature();
    }

    /// R16, R17: the owner of an account that was created, or was given to another object id.
    fn record_owner(&self, memory: &mut Memory, at: usize, record: &PlanRecord, applied: &Applied) {
        let delta = &self.plan.approved.deltas()[at];
        let mailbox = delta.mailbox.map(|ix| self.world.directory.mailbox(ix));
        let Some(object_id) = mailbox.and_then(|mailbox| mailbox.object_id) else {
            return;
        };
        let created = delta.mailbox.and_then(|ix| applied.created.get(&ix));
        if let Some(id) = created {
            memory.mapping.insert(object_id, id.clone());
            record_created(memory, id, &record.actions[at].action.address, self.now);
        }
        if let Target::Existing(ix) = delta.target
            && applied.actions[at].is_done()
            && delta.waits_for_identity()
        {
            memory.tie(object_id, self.world.accounts.get(ix).id());
        }
    }

    /// R23: a key that was written once is not held again.
    fn record_key(&self, memory: &mut Memory, at: usize, applied: &Applied) {
        let id = match self.plan.approved.deltas()[at].target {
            Target::Existing(ix) => Some(self.world.accounts.get(ix).id()),
            Target::New(mailbox) => applied.created.get(&mailbox),
        };
        if let (Some(id), Some(key)) = (id, &applied.actions[at].asked.key) {
            let key = WrittenKey::of(self.policy.sso_account_key, key);
            memory.keys.insert(id.clone(), key);
        }
    }

    fn record_suspend(&self, memory: &mut Memory, at: usize, applied: &Applied) {
        let delta = &self.plan.approved.deltas()[at];
        if let (Target::Existing(ix), Some(Activity::Suspend(_))) = (delta.target, delta.activity)
            && applied.actions[at].is_done()
        {
            let id = self.world.accounts.get(ix).id().clone();
            memory.suspended.insert(id, self.now);
        }
    }

    /// R17: the account reached the intermediate address, and the next step was refused.
    fn record_begun_rename(&self, memory: &mut Memory, at: usize, applied: &Applied) {
        if let (Target::Existing(ix), Some(begun)) = (
            self.plan.approved.deltas()[at].target,
            self.begun_rename(memory, at, applied),
        ) {
            let id = self.world.accounts.get(ix).id().clone();
            memory.begun_renames.insert(id, begun);
        }
    }

    fn begun_rename(&self, memory: &Memory, at: usize, applied: &Applied) -> Option<BegunRename> {
        let delta = &self.plan.approved.deltas()[at];
        let Target::Existing(ix) = delta.target else {
            return None;
        };
        let account = self.world.accounts.get(ix);
        let asked = applied.actions[at].asked.address.as_ref()?;
        let earlier = memory.begun_renames.get(account.id());
        let earlier = earlier.filter(|begun| begun.at == *account.address());
        let to = &delta.rename.as_ref()?.to;
        BegunRename::of(account, asked, to, earlier, Some(self.run))
    }

    /// R17, R26: whether the account is at an intermediate address, or was asked to return to its old one.
    fn lacks_rename(&self, memory: &Memory, at: usize, applied: &Applied) -> bool {
        let delta = &self.plan.approved.deltas()[at];
        let asked = applied.actions[at].asked.address.as_ref();
        self.begun_rename(memory, at, applied).is_some()
            || delta.rename.is_some() && asked == Some(&delta.address)
    }

    /// R26. Only the lists of Zivver show whether an action that is half done or without an answer was made. The next
    /// run then counts the whole plan.
    fn record_spent(&self, memory: &mut Memory, record: &PlanRecord, applied: &Applied) {
        memory
            .spent
            .retain(|spent| spent.at > self.now - SPENT_KEPT_S);
        if applied.actions.iter().any(ActionEnd::is_unclear) {
            if let Some(in_hand) = &mut memory.in_hand {
                in_hand.ended = Some(self.now);
            }
            return;
        }
        memory.in_hand = None;
        let counts = record.guarded_where(|at, class| {
            let lacks = class == Class::Rename && self.lacks_rename(memory, at, applied);
            applied.actions[at].is_done() && !lacks
        });
        memory.spent.extend(spent(counts, self.now));
    }

    /// R33
    fn record_refusals(&self, memory: &mut Memory, applied: &Applied) {
        let occasion = Occasion {
            world: self.world,
            run: self.run,
            now: self.now,
            waiting: &self.plan.waiting,
        };
        for (end, delta) in applied.actions.iter().zip(self.plan.approved.deltas()) {
            let tried = Tried {
                delta,
                proposed: self.plan.proposed.get(&delta.target).unwrap_or(delta),
                created: delta.mailbox.and_then(|ix| applied.created.get(&ix)),
                done: end.is_done(),
                refusals: &end.refusals,
            };
            offenders::remember(&mut memory.offenders, &tried, &occasion);
        }
    }

    /// R22: changes that were sent and not kept, which are sent again and reported until they are kept. Returns the
    /// notes about them.
    pub fn record_effects(&self, memory: &mut Memory, changes: &[SentChange]) -> Vec<Note> {
        self.forget_kept(memory);
        ineffective::remember(memory, changes, self.run, self.now)
    }

    /// Forgets changes without effect that are no longer proposed: Zivver shows them, or their cause is gone.
    pub fn forget_kept(&self, memory: &mut Memory) {
        if self.is_for_all && self.saw_delegations() {
            memory
                .ineffective
                .retain(|key, _| self.plan.ineffective.contains_key(key));
        }
    }

    /// R2: only an approval, or a run in which nothing is held, lowers the baseline. A quick run does not see what
    /// would be held of delegations (R45). `approved` are the classes of which the run used an approval.
    pub fn settle_baseline(&self, memory: &mut Memory, approved: &BTreeSet<Class>) {
        if !self.is_for_all {
            return;
        }
        let doubts = |class| self.plan.doubt.about(class).is_some();
        // Removals may be held together with a sign-in key (R23).
        let stays_held = self.plan.held.iter().any(|held| {
            doubts(held.class) || held.class == Class::SignInKey && doubts(Class::DelegateRemoval)
        });
        // R47: rejecting the changes of a doubtful source does not confirm the source.
        let is_rejected = self.plan.rejections.iter().any(|it| doubts(it.class));
        // The approval of one set does not cover what stays held for the same doubt.
        let is_free = self.plan.held.is_empty() && !self.plan.leaves_out && !is_rejected
            || !stays_held && !approved.is_empty();
        let seen = self.plan.seen.clone();
        memory.baseline = Some(match memory.baseline.take() {
            Some(before) if !(is_free && self.saw_delegations()) => Baseline {
                mailboxes: before.mailboxes.max(seen.mailboxes),
                in_scope: before.in_scope.max(seen.in_scope),
                ..before
            },
            Some(_) | None => seen,
        });
    }
}

/// R26, R35: counts the plan of a run that was cut off, stopped or killed in the limits, and records the owners of the
/// accounts that it created. Where its journal has no outcome, the lists of Zivver decide. `world` is what Zivver shows
/// at `now` (epoch seconds).
pub fn record_interrupted(
    memory: &mut Memory,
    in_hand: InHand,
    record: &PlanRecord,
    entries: &[Entry],
    world: &World,
    now: i64,
) {
    // The journal of a killed run shows how long it ran at least.
    let last_entry = || entries.iter().filter_map(|it| it.at).max();
    let ended = in_hand.ended.or_else(last_entry);
    let ended = ended.map_or(now, |ended| ended.min(now));
    record_owners(memory, record, entries, world, ended);
    for (at, planned) in record.actions.iter().enumerate() {
        let is_made = |it: &Entry| it.outcome == ActionOutcome::Applied && it.left.is_empty();
        if last(entries, at).is_some_and(is_made) {
            record_removals(memory, planned, &world.accounts, ended);
        }
    }
    let outcomes = record.outcomes(entries, Some(world));
    let counts = record.guarded_where(|at, class| {
        let lacks = || record.actions[at].lacks_rename(outcomes[at], world);
        outcomes[at].is_done() && !(class == Class::Rename && lacks())
    });
    let begun = record.actions.iter();
    let begun = begun.filter_map(|planned| planned.begun_rename(world, Some(&in_hand.run)));
    memory.begun_renames.extend(begun);
    let before = in_hand.counted.as_ref();
    let known = |class| before.and_then(|it| it.counts.get(class)).copied();
    let new = counts.iter().map(|(class, count)| {
        let count = count.saturating_sub(known(class).unwrap_or_default());
        (*class, count)
    });
    memory.spent.extend(spent(new, ended));
    // The next run looks once more for what the lists do not show in time, unless its own plan replaces this one.
    let since = before.map_or(now, |it| it.since);
    if record.is_open(entries, world) && now - since < LIST_LAG_MAX_S {
        memory.in_hand = Some(InHand {
            counted: Some(Counted { since, counts }),
            ..in_hand
        });
    }
}

/// R22: remembers the entries that an action removed, since the next run may begin before the lists show it.
fn record_removals(memory: &mut Memory, planned: &PlannedAction, accounts: &Accounts, now: i64) {
    let Some(account) = &planned.action.id else {
        return;
    };
    for removal in planned.removals(accounts) {
        if let Some(key) = removal.key(accounts) {
            let key = key_of(account.as_str(), &key);
            ineffective::remember_removal(memory, key, &removal, now);
        }
    }
}

/// Records the accounts that a plan created, the approved ties that it made (R16, R17), and the keys that it wrote.
fn record_owners(
    memory: &mut Memory,
    record: &PlanRecord,
    entries: &[Entry],
    world: &World,
    ended: i64,
) {
    let outcomes = record.outcomes(entries, Some(world));
    for (at, planned) in record.actions.iter().enumerate() {
        let entry = last(entries, at);
        let created = planned.created_in(entry, &world.accounts);
        // The remaining part of an action may be the one that contains its key. Without an outcome in the journal, Zivver
        // shows whether the extension was written, which always contains the key.
        let is_done = match entry {
            Some(entry) => entry.outcome.is_done() && entry.left.is_empty(),
            None => planned.shows_extension(&world.accounts),
        };
        let updated = planned.action.id.as_ref().filter(|_| is_done);
        if let (Some(key), Some(id)) = (planned.key, created.as_ref().or(updated)) {
            memory.keys.insert(id.clone(), key);
        }
        if let (Some(object_id), Some(id)) = (&planned.object_id, created) {
            record_created(memory, &id, &planned.action.address, ended);
            memory.mapping.entry(*object_id).or_insert(id);
        }
        if let (Some(object_id), Some(id)) = (planned.object_id, &planned.action.id)
            && outcomes[at].is_done()
            && planned.guarded.contains_key(&Class::Identity)
        {
            memory.tie(object_id, id);
        }
    }
}

fn record_created(memory: &mut Memory, id: &ScimId, address: &SmtpAddress, now: i64) {
    let created = Created {
        address: address.clone(),
        at: now,
    };
    memory.created.insert(id.clone(), created);
}

fn spent(counts: impl IntoIterator<Item = (Class, u32)>, at: i64) -> impl Iterator<Item = Spent> {
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    counts.map(move |(class, count)| Spent { at, class, count })
}
