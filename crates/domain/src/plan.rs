//! The plan: made from two completely read sides, it can be shown, approved and carried out (R25, R26, R38).

mod baseline;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    accounts::Accounts,
    action::{actions, renames},
    change::{account_of, key_of},
    delta::{Delta, Target},
    diff::{Diff, diff},
    given::Given,
    guard::Class,
    hold::{Base, Circumstances, Doubt, Guarded, HeldSet, Judge, Marks},
    ids::ScimId,
    ineffective,
    matching::{AccountFate, Matching},
    memory::{Baseline, Memory, Rejection, Undone, Untaken},
    note::{Code, Note},
    offenders,
    order::order,
    origin::{self, Before, Origin},
    possible::{Asked, Unmade, complete, used},
    rejection::{Rejected, rejections},
    reopened,
    reviewed::{Restricted, Reviewed},
    settle::{Settled, Sides, given_up, named_by, names},
    sign_in_keys,
    step::Step,
    unconfirmed,
    undo::{Reversal, Undo, reverse, state_people, still_undone, undone_after},
    unlisted,
    wave::Wave,
    world::{Policy, World},
};
pub use super::{
    action::{Action, ActionKind, AttributeChange},
    change::Attribute,
    wishes::Wishes,
};

use baseline::{doubt, seen};

/// All decisions of a run.
#[derive(Debug)]
pub struct Plan {
    pub approved: ApprovedPlan,
    pub held: Vec<HeldSet>,
    pub notes: Vec<Note>,
    /// R15: how many addresses each entry of the target filter matches.
    pub filter_counts: BTreeMap<String, usize>,
    /// What is in Zivver now.
    pub base: Base,
    /// R26: the base of the percentages.
    pub began: Base,
    /// What is held, so that verification recognises it.
    pub marks: Marks,
    /// R26: the classes that exceed their limit, with the base of the limit.
    pub exceeded: BTreeMap<Class, u32>,
    /// R22: the notes about proposed changes that Zivver did not keep before, by [`super::change::key_of`].
    pub ineffective: BTreeMap<String, Note>,
    /// R26: those of them that earlier runs counted, and that no longer count.
    pub untaken: Untaken,
    /// R22, R33: some changes wait for a later day.
    pub is_waiting: bool,
    /// R27: fingerprints of approved changes that are carried out.
    pub used_approvals: BTreeSet<String>,
    /// R27: the approved changes that cannot be made, by fingerprint.
    pub unmade: BTreeMap<String, Unmade>,
    /// R47: fingerprints of approved changes that the run leaves for later.
    pub approved_for_later: BTreeSet<String>,
    /// What was asked for before the guard, by target.
    pub proposed: BTreeMap<Target, Delta>,
    /// R33: keys of the refused changes that wait.
    pub waiting: BTreeSet<String>,
    /// R37: what is still undone after this plan was carried out.
    pub undone: BTreeMap<ScimId, Undone>,
    /// R47: what is still rejected.
    pub rejections: Vec<Rejection>,
    /// R47: fingerprints of rejected changes that are approved with this plan.
    pub rejections_ended: BTreeSet<String>,
    /// R2: what this run saw of the source.
    pub seen: Baseline,
    pub doubt: Doubt,
    /// R13: the number of accounts outside the claimed domains, which are not changed.
    pub accounts_outside: u32,
    /// R28: changes that were not reviewed are left for a later run.
    pub leaves_out: bool,
    /// R28, R47: what the plan was restricted to.
    pub reviewed: Option<Reviewed>,
}

/// What may be carried out. Only [`plan`] and `plan_undo` make it, after the guard has taken out what is held.
#[derive(Debug, Default)]
#[must_use = "a plan that is not carried out must at least be shown"]
pub struct ApprovedPlan {
    actions: Vec<Action>,
    steps: Vec<Step>,
    deltas: Vec<Delta>,
}

impl ApprovedPlan {
    /// One entry for each account that changes, by address.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The requests, in the order in which they are to be started.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// R24: how many of the steps normally cost a write. Reports, progress and estimates count these.
    pub fn writes(&self) -> usize {
        self.steps.iter().filter(|step| step.is_expected()).count()
    }

    /// The delta of each action, by position of the action.
    pub fn deltas(&self) -> &[Delta] {
        &self.deltas
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Plan {
    /// R44: writes into each change where it comes from.
    pub fn state_origins(&mut self, before: &Before<'_>, world: &World) {
        let approved = &mut self.approved;
        let renames = renames(&approved.deltas);
        for (action, delta) in approved.actions.iter_mut().zip(&approved.deltas) {
            origin::state(action, delta, &renames, before, world);
        }
        origin::state_held(&mut self.held, self.proposed.values(), before, world);
    }
}

impl Plan {
    /// R44: the origins of what `first`, the plan of the same run, held too. The causes of changes are not looked for
    /// again after the run has written.
    pub fn keep_origins(&mut self, first: &Self) {
        let held = first.held.iter().flat_map(HeldSet::approves);
        let stated = held.filter_map(|it| Some((it.fingerprint.clone(), it.origin?)));
        let stated: BTreeMap<String, Origin> = stated.collect();
        for change in self.held.iter_mut().flat_map(HeldSet::approves_mut) {
            change.origin = stated.get(&change.fingerprint).copied();
        }
    }
}

/// What is asked for, before anything is held.
#[derive(Debug, Default)]
pub(super) struct Proposal {
    pub(super) deltas: Vec<Delta>,
    /// R39: the deltas of accounts that the run does not cover.
    others: BTreeMap<Target, Delta>,
    pub(super) notes: Vec<Note>,
    /// As in [`Plan`].
    pub(super) waiting: BTreeSet<String>,
    pub(super) ineffective: BTreeMap<String, Note>,
    pub(super) untaken: Untaken,
    /// As in [`Circumstances`].
    pub(super) late: BTreeSet<String>,
    pub(super) is_waiting: bool,
    /// R37: what was undone and is therefore held.
    undone: BTreeMap<ScimId, Undone>,
}

impl Proposal {
    fn into_deltas(self) -> BTreeMap<Target, Delta> {
        let deltas = self.deltas.into_iter();
        deltas.map(|delta| (delta.target, delta)).collect()
    }
}

/// diff, guard, settle, order: the part of a run without I/O.
pub fn plan(
    world: &World,
    policy: &Policy,
    memory: &Memory,
    matching: &Matching,
    wishes: &Wishes,
) -> Plan {
    let given = Given {
        world,
        policy,
        memory,
        matching,
    };
    let proposal = propose(given, wishes);
    let mut plan = decide(&proposal, given, wishes);
    let mut with_certain = None;
    if let Some(certain) = certain_owners(matching, plan.approved.deltas()) {
        let given = given.with(&certain);
        plan = decide(with_certain.insert(propose(given, wishes)), given, wishes);
    }
    complete(&mut plan, &wishes.approved, |approved| {
        let weighed = weigh(&proposal, given, wishes, approved);
        let certain = certain_owners(matching, &weighed.settled.deltas);
        let unmade = weighed.unmade;
        let Some(certain) = certain else {
            return unmade;
        };
        let given = given.with(&certain);
        weigh(&propose(given, wishes), given, wishes, approved).unmade
    });
    plan.proposed = with_certain.unwrap_or(proposal).into_deltas();
    plan
}

/// What the two sides ask for, before the guard.
fn propose(given: Given<'_>, wishes: &Wishes) -> Proposal {
    let Diff { deltas, notes } = diff(given);
    let mut deltas = sign_in_keys::judge(deltas, given);
    state_people(&mut deltas, given);
    let (deltas, others) = scoped(deltas, given.world, wishes);
    let mut proposal = Proposal {
        deltas,
        others,
        notes,
        undone: still_undone(given),
        ..Proposal::default()
    };
    for withhold in [
        offenders::withhold,
        ineffective::withhold,
        unlisted::withhold,
        unconfirmed::withhold,
    ] {
        withhold(&mut proposal, given, wishes);
        proposal.deltas.retain(|delta| !delta.is_empty());
    }
    proposal
}

/// R37: the plan that reverses a run. Nothing waits, since a person asks for it now.
pub fn plan_undo(
    undo: &Undo,
    world: &World,
    policy: &Policy,
    memory: &Memory,
    matching: &Matching,
    wishes: &Wishes,
) -> Plan {
    let given = Given {
        world,
        policy,
        memory,
        matching,
    };
    let Reversal { deltas, notes } = reverse(undo, given);
    let mut deltas = sign_in_keys::of_deltas(deltas, given);
    state_people(&mut deltas, given);
    let (deltas, others) = scoped(deltas, world, wishes);
    let proposal = Proposal {
        deltas,
        others,
        notes,
        ..Proposal::default()
    };
    let mut plan = decide(&proposal, given, wishes);
    complete(&mut plan, &wishes.approved, |approved| {
        weigh(&proposal, given, wishes, approved).unmade
    });
    plan.proposed = proposal.into_deltas();
    let undone = still_undone(given);
    plan.undone = undone_after(undone, undo, plan.approved.deltas(), given);
    plan
}

/// What the guard and the other changes leave of a proposal.
struct Weighed<'a> {
    seen: Baseline,
    doubt: Doubt,
    base: Base,
    began: Base,
    proposed: BTreeMap<Target, &'a Delta>,
    guarded: Guarded,
    settled: Settled,
    unmade: BTreeMap<String, Unmade>,
}

fn weigh<'a>(
    proposal: &'a Proposal,
    given: Given<'_>,
    wishes: &Wishes,
    approved: &BTreeSet<String>,
) -> Weighed<'a> {
    let Given { world, policy, .. } = given;
    let memory = &without_untaken(given.memory, &proposal.untaken);
    let base = Base::count(&world.accounts, policy, given.matching);
    let began = wishes
        .began
        .unwrap_or_else(|| base.with_taken(memory, wishes.now));
    let seen = seen(world, policy);
    let doubt = doubt(&seen, memory, policy);
    let circumstances = Circumstances {
        judge: judge(wishes, began, &doubt),
        approved,
        unmade: &BTreeSet::new(),
        now: wishes.now,
        undone: proposal.undone.clone(),
        late: &proposal.late,
    };
    let deltas = proposal.deltas.iter();
    let proposed = deltas.map(|delta| (delta.target, delta)).collect();
    let asked = Asked {
        given: Given { memory, ..given },
        outside: &proposal.others,
        proposed: &proposed,
    };
    let (guarded, settled, unmade) = asked.possible(&proposal.deltas, &circumstances);
    Weighed {
        seen,
        doubt,
        base,
        began,
        proposed,
        guarded,
        settled,
        unmade,
    }
}

fn decide(proposal: &Proposal, given: Given<'_>, wishes: &Wishes) -> Plan {
    let (world, policy) = (given.world, given.policy);
    let memory = &without_untaken(given.memory, &proposal.untaken);
    let given = Given { memory, ..given };
    let weighed = weigh(proposal, given, wishes, &wishes.approved);
    let (guarded, settled) = (weighed.guarded, weighed.settled);
    let proposed = weighed.proposed;
    let asked = Asked {
        given,
        outside: &proposal.others,
        proposed: &proposed,
    };
    let mut ineffective = proposal.ineffective.clone();
    let mut notes = proposal.notes.clone();
    let possible = used(&settled.deltas, world, &guarded.used);
    let Rejected {
        still: rejections,
        ended: rejections_ended,
        notes: rejected,
    } = rejections(&guarded, wishes, given);
    notes.extend(rejected);
    let sides = asked.sides(&guarded);
    notes.extend(sides.waiting_for_keys(&guarded.deltas));
    let (settled, reviewed) = restricted(&guarded.deltas, settled, &sides, memory, wishes);
    notes.extend(settled.notes);
    notes.extend(named_outside(&proposal.others, &settled.deltas, given));
    let sent = keys(&settled.deltas, &world.accounts);
    correct_not_sent(&mut ineffective, &mut notes, &sent, &guarded.marks);
    let rejected = rejected_owners(memory, &guarded, &proposed);
    reopened::tell(&mut notes, &settled.deltas, given);
    without_answered(&mut notes, settled.deltas.iter().chain(rejected), world);
    notes.sort_unstable();
    notes.dedup();
    let used = used(&settled.deltas, world, &guarded.used);
    Plan {
        approved: ordered(settled.deltas, world, policy, wishes),
        held: guarded.held,
        notes,
        filter_counts: filter_counts(world, policy, given.matching),
        base: weighed.base,
        began: weighed.began,
        marks: guarded.marks,
        exceeded: guarded.exceeded,
        is_waiting: !proposal.waiting.is_empty() || proposal.is_waiting,
        ineffective,
        untaken: proposal.untaken.clone(),
        approved_for_later: &possible - &used,
        used_approvals: used,
        unmade: weighed.unmade,
        proposed: BTreeMap::new(),
        waiting: proposal.waiting.clone(),
        undone: guarded.undone,
        rejections,
        rejections_ended,
        seen: weighed.seen,
        doubt: weighed.doubt,
        accounts_outside: outside(given.matching),
        leaves_out: settled.leaves_out,
        reviewed,
    }
}

/// R22: corrects the notes about changes that this run does not send again.
fn correct_not_sent(
    ineffective: &mut BTreeMap<String, Note>,
    notes: &mut [Note],
    sent: &BTreeSet<String>,
    held: &Marks,
) {
    for (key, note) in ineffective
        .iter_mut()
        .filter(|(key, _)| !sent.contains(*key))
    {
        let instead = ineffective::not_sent(note, held.contains_key(key));
        let known = notes.iter_mut().filter(|it| *it == note);
        known.for_each(|it| it.clone_from(&instead));
        *note = instead;
    }
}

/// The changes of some deltas, by [`key_of`].
pub fn keys(deltas: &[Delta], accounts: &Accounts) -> BTreeSet<String> {
    let of = |delta: &Delta| {
        let account = account_of(delta, accounts);
        let keys = delta.changes().into_iter();
        keys.filter_map(move |change| Some(key_of(&account, &change.key(accounts)?)))
            .collect::<Vec<_>>()
    };
    deltas.iter().flat_map(of).collect()
}

fn judge<'a>(wishes: &'a Wishes, began: Base, doubt: &'a Doubt) -> Judge<'a> {
    match &wishes.held {
        None => Judge::Limits { base: began, doubt },
        Some(marks) => Judge::AsBefore(marks),
    }
}

/// R25
fn ordered(deltas: Vec<Delta>, world: &World, policy: &Policy, wishes: &Wishes) -> ApprovedPlan {
    let domains = &policy.claimed_domains;
    ApprovedPlan {
        actions: actions(&deltas, world),
        steps: order(&deltas, &world.accounts, domains, wishes.stops_first),
        deltas,
    }
}

/// The possible part of what the guard allows, restricted to what was reviewed (R28) or belongs to the wave (R47).
fn restricted(
    allowed: &[Delta],
    settled: Settled,
    sides: &Sides<'_>,
    memory: &Memory,
    wishes: &Wishes,
) -> (Restricted, Option<Reviewed>) {
    let wave = wishes.wave.as_ref();
    let written = &wishes.written;
    let restrict =
        |reviewed: &Reviewed, deltas| reviewed.restrict(allowed, deltas, sides, memory, written);
    let made = |reviewed: &Reviewed| {
        let deltas = restrict(reviewed, settled.deltas.clone()).deltas;
        deltas.iter().map(|delta| delta.target).collect()
    };
    let choose = |wave: &Wave| wave.choose(&settled.deltas, sides.world, &wishes.approved, made);
    let Some(reviewed) = wishes.reviewed.clone().or_else(|| wave.map(choose)) else {
        let all = Restricted {
            deltas: settled.deltas,
            notes: settled.notes,
            leaves_out: false,
        };
        return (all, None);
    };
    let mut restricted = restrict(&reviewed, settled.deltas);
    restricted.notes.extend(settled.notes);
    (restricted, Some(reviewed))
}

/// R26: the memory without the counts of changes that were not made.
fn without_untaken<'a>(memory: &'a Memory, untaken: &Untaken) -> Cow<'a, Memory> {
    if untaken.is_empty() {
        return Cow::Borrowed(memory);
    }
    let mut memory = memory.clone();
    memory.give_back(untaken);
    Cow::Owned(memory)
}

/// R47: deltas whose answer to the question who owns the account was rejected.
fn rejected_owners<'a>(
    memory: &'a Memory,
    guarded: &'a Guarded,
    proposed: &'a BTreeMap<Target, &Delta>,
) -> impl Iterator<Item = &'a Delta> {
    let rejections = memory.rejections.iter();
    rejections
        .filter(|rejection| rejection.class == Class::Identity)
        .filter_map(|rejection| guarded.rejected.get(&rejection.change.fingerprint))
        .filter_map(|target| proposed.get(target).copied())
}

/// R16, R17: removes the notes that ask who owns an account if a person has approved or rejected the answer.
fn without_answered<'a>(
    notes: &mut Vec<Note>,
    deltas: impl Iterator<Item = &'a Delta>,
    world: &World,
) {
    let answered: BTreeSet<&str> = deltas
        .filter(|delta| delta.waits_for_identity())
        .filter_map(|delta| Some(world.directory.mailbox(delta.mailbox?).primary.as_str()))
        .collect();
    notes.retain(|note| {
        let asks = matches!(note.code, Code::IdentityChange | Code::AliasEvidence);
        !asks || !answered.contains(note.address.as_str())
    });
}

/// R12: an identity change that is not held settles who owns the account, so that the owner may be a delegate of others
/// in the same plan. `None` if there is none.
fn certain_owners(matching: &Matching, deltas: &[Delta]) -> Option<Matching> {
    let mut certain: Option<Matching> = None;
    for delta in deltas.iter().filter(|delta| delta.waits_for_identity()) {
        if let Target::Existing(ix) = delta.target {
            let matching = certain.get_or_insert_with(|| matching.clone());
            matching.frozen.remove(&ix);
        }
    }
    certain
}

/// R39: everything was read, but only the named accounts are changed. Returns their deltas, and those of the others.
fn scoped(
    deltas: Vec<Delta>,
    world: &World,
    wishes: &Wishes,
) -> (Vec<Delta>, BTreeMap<Target, Delta>) {
    let is_named = |delta: &Delta| {
        let mailbox = delta.mailbox.map(|ix| world.directory.mailbox(ix));
        let of_mailbox = mailbox
            .iter()
            .flat_map(|mailbox| std::iter::once(&mailbox.primary).chain(&mailbox.aliases));
        let account = match delta.target {
            Target::Existing(ix) => Some(world.accounts.get(ix)),
            Target::New(_) => None,
        };
        let of_account = account.map_or(&[][..], |account| &account.extension().aliases);
        let addresses = std::iter::once(&delta.address).chain(of_mailbox);
        account.is_some_and(|account| wishes.written.contains(account.id()))
            || wishes.scope.allows(addresses.chain(of_account))
    };
    let (named, others): (Vec<Delta>, Vec<Delta>) = deltas.into_iter().partition(is_named);
    let others = others.into_iter().map(|delta| (delta.target, delta));
    (named, others.collect())
}

/// R22, R39: the delegates whom an account outside the run still names by an address that they give up, or have given up.
fn named_outside(
    others: &BTreeMap<Target, Delta>,
    deltas: &[Delta],
    given: Given<'_>,
) -> Vec<Note> {
    let (accounts, directory) = (&given.world.accounts, &given.world.directory);
    let given_up = given_up(deltas);
    let planned: BTreeMap<Target, &Delta> = deltas.iter().map(|it| (it.target, it)).collect();
    let former = &given.memory.former_addresses;
    let addresses = former.keys().cloned().collect();
    let given_up = names(accounts, &given_up);
    let former = named_by(accounts, &addresses)
        .filter(|(_, address)| accounts.user_called(address).is_none())
        .filter_map(|(by, address)| Some((by, address, accounts.with_id(&former[address])?)));
    let mut notes = Vec::new();
    for (by, address, delegate) in given_up.chain(former) {
        let target = Target::Existing(delegate);
        let names_anew = |delta: &&Delta| delta.add_delegates.contains(&target);
        let Some(other) = others.get(&Target::Existing(by)).filter(names_anew) else {
            continue;
        };
        let label = planned.get(&target).map(|delta| delta.label(directory));
        let label = label.unwrap_or_else(|| accounts.get(delegate).address());
        let by = other.label(directory);
        let text = format!(
            "{by} still names it as a delegate by {address}: include {by} in the run (R39)"
        );
        notes.push(Note::new(label.as_str(), Code::OutsideRun, text));
    }
    notes
}

fn filter_counts(world: &World, policy: &Policy, matching: &Matching) -> BTreeMap<String, usize> {
    let filtered = matching.filtered.iter();
    let principals = filtered.map(|ix| world.accounts.get(*ix).address());
    let primaries = world
        .directory
        .mailboxes
        .iter()
        .map(|mailbox| &mailbox.primary);
    let filter = &policy.target_filter;
    let extra = primaries
        .filter(|primary| filter.matched(primary).is_some())
        .filter(|primary| world.accounts.with_address(primary).is_empty());
    filter.counts(principals.chain(extra))
}

/// R13.
fn outside(matching: &Matching) -> u32 {
    let fates = matching.accounts.iter();
    super::directory::to_u32(fates.filter(|fate| **fate == AccountFate::Foreign).count())
}
