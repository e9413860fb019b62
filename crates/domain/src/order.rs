//! From deltas to steps, in the order in which Zivver accepts them (R17, R24, R25).

use std::collections::BTreeSet;

use super::{
    accounts::{AccountIx, AccountKind, AccountView, Accounts},
    address::SmtpAddress,
    delta::{Activity, Delta, Target},
    hash::{HashMap, HashSet},
    hold::digest,
    scope::ClaimedDomains,
    settle::claims,
    step::{Call, Delegate, Step, StepIx, UserExtension, When},
};

/// Phases of R25, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// When the last run was cut off.
    StopFirst,
    CreateUser,
    CreateFunctional,
    Release,
    Rename,
    /// At an address that had to become free first.
    LateCreateUser,
    LateCreateFunctional,
    Claim,
    Stop,
}

/// A step before its position is known; references are to drafts.
struct Draft {
    phase: Phase,
    rank: u32,
    address: SmtpAddress,
    action: u32,
    target: Target,
    call: Call,
    when: DraftWhen,
    after: BTreeSet<usize>,
    claims: Vec<(SmtpAddress, usize)>,
}

#[derive(Clone, Copy)]
enum DraftWhen {
    Always,
    Completes(usize),
    IfRefused(usize),
}

/// The steps of settled deltas; `deltas` are sorted, and a step names its delta by position. After a run that was cut
/// off, suspends and empties go first (R25).
pub fn order(
    deltas: &[Delta],
    accounts: &Accounts,
    domains: &ClaimedDomains,
    stops_first: bool,
) -> Vec<Step> {
    let mut ordering = Ordering {
        deltas,
        accounts,
        domains,
        wanted: deltas.iter().flat_map(claims).cloned().collect(),
        drafts: Vec::new(),
        last_of: HashMap::default(),
        released_by: HashMap::default(),
        made_by: HashMap::default(),
        renamed: HashMap::default(),
        stop: if stops_first {
            Phase::StopFirst
        } else {
            Phase::Stop
        },
    };
    // Drafts of one account follow one another as they are pushed.
    if stops_first {
        ordering.stops();
    }
    ordering.releases();
    ordering.renames();
    ordering.creates();
    ordering.claims();
    if !stops_first {
        ordering.stops();
    }
    ordering.finish()
}

struct Ordering<'a> {
    deltas: &'a [Delta],
    accounts: &'a Accounts,
    domains: &'a ClaimedDomains,
    /// Addresses that some delta claims.
    wanted: BTreeSet<SmtpAddress>,
    drafts: Vec<Draft>,
    /// The last draft of each target: never two requests at one account.
    last_of: HashMap<Target, usize>,
    /// Which draft frees an address that another account has now.
    released_by: HashMap<SmtpAddress, usize>,
    /// Which draft creates an account.
    made_by: HashMap<Target, usize>,
    /// Which draft gives an account its new address, by delta.
    renamed: HashMap<usize, usize>,
    stop: Phase,
}

/// What was given up for a rename.
#[derive(Clone, Copy)]
struct Prepared {
    ix: AccountIx,
    /// Whether the new address was an alias of the account.
    dropped: bool,
    /// Whether its removals went out before the rename.
    drops_first: bool,
}

impl Ordering<'_> {
    fn push(&mut self, phase: Phase, at: usize, call: Call, when: DraftWhen) -> usize {
        let delta = &self.deltas[at];
        let draft = self.drafts.len();
        let after = self
            .last_of
            .insert(delta.target, draft)
            .into_iter()
            .collect();
        self.drafts.push(Draft {
            phase,
            rank: 0,
            address: delta.address.clone(),
            action: super::directory::to_u32(at),
            target: delta.target,
            call,
            when,
            after,
            claims: Vec::new(),
        });
        draft
    }

    /// Aliases that another account waits for are given up first, and only those that wait for nothing themselves.
    fn releases(&mut self) {
        for (at, delta) in self.deltas.iter().enumerate() {
            let released: Vec<SmtpAddress> = delta
                .remove_aliases
                .iter()
                .filter(|alias| self.wanted.contains(*alias))
                .cloned()
                .collect();
            // What is suspended or emptied gets no later request that could take its aliases away.
            let is_stopped = delta.is_suspend() || delta.is_empty_of_members();
            let nothing = delta.remove_aliases.is_empty() || (released.is_empty() && !is_stopped);
            if nothing || delta.rename.is_some() {
                continue; // With a rename the removal goes with its first request.
            }
            let Target::Existing(ix) = delta.target else {
                continue;
            };
            let call = if Self::is_one_request(delta) {
                self.update(delta, ix)
            } else {
                self.extension_without_additions(delta, ix)
            };
            let draft = self.push(Phase::Release, at, call, DraftWhen::Always);
            self.released_by
                .extend(released.into_iter().map(|alias| (alias, draft)));
        }
    }

    /// Whether nothing of a delta waits for another account, nor is left for the last phase.
    fn is_one_request(delta: &Delta) -> bool {
        delta.add_aliases.is_empty()
            && delta.add_delegates.is_empty()
            && matches!(delta.activity, None | Some(Activity::Resume))
    }

    /// R17: the new address is dropped as an alias, the account renamed, the aliases set. Chains go from their end;
    /// a cycle is broken by an intermediate address. What is given up, by any of them, is known before it is claimed.
    fn renames(&mut self) {
        let renamed: Vec<usize> = (0..self.deltas.len())
            .filter(|at| self.deltas[*at].rename.is_some())
            .collect();
        let prepared: Vec<Prepared> = renamed.iter().map(|at| self.prepare(*at)).collect();
        self.renamed = self.addresses();
        for (at, prepared) in renamed.into_iter().zip(prepared) {
            self.after_rename(at, self.renamed[&at], prepared);
        }
    }

    /// The drafts that change addresses, by delta.
    fn addresses(&mut self) -> HashMap<usize, usize> {
        let mut changed = HashMap::default();
        // Two accounts may have one address in two spellings (R4).
        let mut open: BTreeSet<(&SmtpAddress, usize)> = BTreeSet::new();
        let mut holder: HashMap<&SmtpAddress, usize> = HashMap::default();
        for (at, delta) in self.deltas.iter().enumerate() {
            if delta.rename.is_some() {
                open.insert((&delta.address, at));
                holder.insert(&delta.address, at);
            }
        }
        let mut rank = 0;
        while let Some((_, first)) = open.pop_first() {
            // Follow "who has the address that I want?" to the end of the chain.
            let mut chain = vec![first];
            let mut cyclic = false;
            while let Some(next) = self.deltas[chain[chain.len() - 1]]
                .rename
                .as_ref()
                .and_then(|rename| holder.get(&rename.to))
                .copied()
            {
                if next == first {
                    cyclic = true;
                    break;
                }
                if !open.remove(&(&self.deltas[next].address, next)) {
                    break;
                }
                chain.push(next);
            }
            if cyclic {
                self.cycle(&chain, &mut rank, &mut changed);
            } else {
                for at in chain.into_iter().rev() {
                    rank += 1;
                    changed.insert(at, self.change_address(at, rank));
                }
            }
        }
        changed
    }

    /// The first of a cycle steps aside; who wanted its address goes first, it goes last.
    fn cycle(&mut self, chain: &[usize], rank: &mut u32, changed: &mut HashMap<usize, usize>) {
        let first = chain[0];
        let Target::Existing(ix) = self.deltas[first].target else {
            return;
        };
        *rank += 1;
        let aside = aside(self.accounts.get(ix), &self.deltas[first].address);
        let step_aside = rename_call(aside, None, None);
        let draft = self.push(Phase::Rename, first, step_aside, DraftWhen::Always);
        self.drafts[draft].rank = *rank;
        self.released_by
            .insert(self.deltas[first].address.clone(), draft);
        let mut taker = None;
        for at in chain[1..].iter().rev() {
            *rank += 1;
            let renamed = self.change_address(*at, *rank);
            changed.insert(*at, renamed);
            taker = taker.or(Some(renamed));
        }
        *rank += 1;
        changed.insert(first, self.change_address(first, *rank));
        if let Some(taker) = taker {
            // If no account took its old address, it takes it back.
            *rank += 1;
            let back = rename_call(self.deltas[first].address.clone(), None, None);
            let draft = self.push(Phase::Rename, first, back, DraftWhen::IfRefused(taker));
            self.drafts[draft].rank = *rank;
            self.drafts[draft].after.insert(taker);
        }
    }

    /// What must be given up before the rename: the new address as an alias, and aliases that others wait for.
    fn prepare(&mut self, at: usize) -> Prepared {
        let delta = &self.deltas[at];
        let (Target::Existing(ix), Some(rename)) = (delta.target, &delta.rename) else {
            unreachable!("only an account that is there has a rename");
        };
        let own = self.accounts.get(ix).extension();
        let dropped = own.aliases.contains(&rename.to);
        let released: Vec<_> = delta
            .remove_aliases
            .iter()
            .filter(|alias| self.wanted.contains(*alias))
            .cloned()
            .collect();
        let drops_first = dropped || !released.is_empty();
        if drops_first {
            let without: Vec<_> = self.aliases_after(delta, ix, false);
            let extension = UserExtension {
                aliases: without,
                aliases_if_refused: None,
                delegates: self.delegates(delta, ix, false),
                key: delta.key.clone(),
            };
            let call = Call::UpdateUser {
                address: None,
                name: None,
                active: None,
                extension: Some(extension),
            };
            let draft = self.push(Phase::Release, at, call, DraftWhen::Always);
            self.released_by
                .extend(released.into_iter().map(|alias| (alias, draft)));
        }
        Prepared {
            ix,
            dropped,
            drops_first,
        }
    }

    fn change_address(&mut self, at: usize, rank: u32) -> usize {
        let delta = &self.deltas[at];
        let Some(rename) = &delta.rename else {
            unreachable!("only an account that is renamed changes its address");
        };
        let active = match delta.activity {
            Some(Activity::Resume) => Some(true),
            // Also where it is suspended first: an account that is still active does not change its address.
            Some(Activity::Suspend(_)) => Some(false),
            Some(Activity::Empty(_)) | None => None,
        };
        let name = delta.name.as_ref().map(|(_, after)| after.clone());
        let call = rename_call(rename.to.clone(), name, active);
        let draft = self.push(Phase::Rename, at, call, DraftWhen::Always);
        self.drafts[draft].rank = rank;
        self.claim(draft, &rename.to.clone());
        self.released_by.insert(delta.address.clone(), draft);
        draft
    }

    /// The aliases after a rename, or, where it needs none, what puts the dropped alias back if it was refused.
    fn after_rename(&mut self, at: usize, renamed: usize, prepared: Prepared) {
        let Prepared {
            ix,
            dropped,
            drops_first: dropped_first,
        } = prepared;
        let delta = &self.deltas[at];
        let still_to_remove = !dropped_first && !delta.remove_aliases.is_empty();
        let needs_more = delta.tie.is_some()
            || !delta.add_aliases.is_empty()
            || !delta.add_delegates.is_empty()
            || (!dropped_first && delta.touches_delegates())
            || still_to_remove;
        if !needs_more && !dropped {
            return;
        }
        let back: Vec<SmtpAddress> = self
            .aliases_after(delta, ix, true)
            .into_iter()
            .filter(|alias| *alias != delta.address)
            .chain(
                delta
                    .rename
                    .as_ref()
                    .filter(|_| dropped)
                    .map(|rename| rename.to.clone()),
            )
            .collect();
        let extension = |aliases, aliases_if_refused| UserExtension {
            aliases,
            aliases_if_refused,
            delegates: self.delegates(delta, ix, true),
            key: delta.key.clone(),
        };
        // The position of the rename is put in when it is known.
        let (extension, when, phase) = if needs_more {
            let aliases = self.aliases_after(delta, ix, true);
            (
                extension(aliases, Some((draft_ix(renamed), back))),
                DraftWhen::Always,
                Phase::Claim,
            )
        } else {
            (
                extension(back, None),
                DraftWhen::IfRefused(renamed),
                Phase::Rename,
            )
        };
        let adds: Vec<SmtpAddress> = delta.add_aliases.iter().cloned().collect();
        let rank = self.drafts[renamed].rank;
        let call = Call::UpdateUser {
            address: None,
            name: None,
            active: None,
            extension: Some(extension),
        };
        let draft = self.push(phase, at, call, when);
        self.drafts[draft].rank = if phase == Phase::Rename { rank } else { 0 };
        for alias in adds {
            self.claim(draft, &alias);
        }
    }

    fn creates(&mut self) {
        for (at, delta) in self.deltas.iter().enumerate() {
            if delta.create.is_some() && delta.kind == AccountKind::User {
                self.create(at, Phase::CreateUser, Phase::LateCreateUser);
            }
        }
        for (at, delta) in self.deltas.iter().enumerate() {
            if delta.create.is_some() && delta.kind == AccountKind::Functional {
                self.create(at, Phase::CreateFunctional, Phase::LateCreateFunctional);
            }
        }
    }

    fn create(&mut self, at: usize, early: Phase, late: Phase) {
        let delta = &self.deltas[at];
        let Some(name) = delta.create.clone() else {
            return;
        };
        let aliases: Vec<SmtpAddress> = delta.add_aliases.iter().cloned().collect();
        let delegates: Vec<Delegate> = delta
            .add_delegates
            .iter()
            .copied()
            .map(Delegate::Account)
            .collect();
        let (address, key) = (delta.address.clone(), delta.key.clone());
        let call = match delta.kind {
            AccountKind::User => Call::CreateUser { address, name, key },
            AccountKind::Functional => Call::CreateFunctional {
                address,
                name,
                members: delegates.clone(),
                aliases,
            },
        };
        let members: Vec<usize> = match delta.kind {
            AccountKind::User => Vec::new(),
            AccountKind::Functional => delta
                .add_delegates
                .iter()
                .filter_map(|target| self.made_by.get(target).copied())
                .collect(),
        };
        let waits = self.released_by.contains_key(&delta.address)
            || members
                .iter()
                .any(|member| self.drafts[*member].phase == Phase::LateCreateUser);
        let draft = self.push(
            if waits { late } else { early },
            at,
            call,
            DraftWhen::Always,
        );
        self.claim(draft, &self.deltas[at].address.clone());
        self.drafts[draft].after.extend(members);
        self.made_by.insert(self.deltas[at].target, draft);
    }

    fn claims(&mut self) {
        for at in 0..self.deltas.len() {
            let delta = &self.deltas[at];
            match delta.target {
                Target::New(_) => self.complete(at),
                Target::Existing(ix) => {
                    let released = delta
                        .remove_aliases
                        .iter()
                        .any(|alias| self.released_by.contains_key(alias));
                    let stops = delta.is_suspend() || delta.is_empty_of_members();
                    if delta.rename.is_some()
                        || (stops && !Self::is_more_than_a_stop(delta))
                        || (released && Self::is_one_request(delta))
                    {
                        continue;
                    }
                    let mut call = self.update(delta, ix);
                    let adds = !delta.add_aliases.is_empty() || !delta.add_delegates.is_empty();
                    if stops && !adds && !delta.remove_aliases.is_empty() {
                        without_extension(&mut call); // Its release took them out.
                    }
                    let draft = self.push(Phase::Claim, at, call, DraftWhen::Always);
                    self.waits(draft, at);
                }
            }
        }
    }

    /// R37: an undo may suspend or empty an account and take back its attributes, too. Removed aliases are released.
    fn is_more_than_a_stop(delta: &Delta) -> bool {
        let delegates = !delta.add_delegates.is_empty()
            || (delta.remove_aliases.is_empty() && !delta.remove_delegates.is_empty());
        delta.name.is_some()
            || !delta.add_aliases.is_empty()
            || (delta.kind == AccountKind::User && delegates)
    }

    /// R24: what a create did not take follows in one PUT, and only then.
    fn complete(&mut self, at: usize) {
        let delta = &self.deltas[at];
        let Some(created) = self.made_by.get(&delta.target).copied() else {
            return;
        };
        let aliases: Vec<SmtpAddress> = delta.add_aliases.iter().cloned().collect();
        let delegates: Vec<Delegate> = delta
            .add_delegates
            .iter()
            .copied()
            .map(Delegate::Account)
            .collect();
        let name = delta.create.clone();
        let call = match delta.kind {
            AccountKind::User => Call::UpdateUser {
                address: None,
                name,
                active: Some(true),
                extension: Some(UserExtension {
                    aliases,
                    aliases_if_refused: None,
                    delegates,
                    key: delta.key.clone(),
                }),
            },
            AccountKind::Functional => Call::UpdateFunctional {
                name,
                members: Some(delegates),
                aliases: Some(aliases),
            },
        };
        let draft = self.push(Phase::Claim, at, call, DraftWhen::Completes(created));
        self.waits(draft, at);
    }

    /// A step that claims addresses comes after those that free them.
    fn waits(&mut self, draft: usize, at: usize) {
        let adds: Vec<SmtpAddress> = self.deltas[at].add_aliases.iter().cloned().collect();
        for alias in adds {
            self.claim(draft, &alias);
        }
    }

    fn claim(&mut self, draft: usize, address: &SmtpAddress) {
        if let Some(release) = self.released_by.get(address).copied()
            && release != draft
        {
            self.drafts[draft].after.insert(release);
            self.drafts[draft].claims.push((address.clone(), release));
        }
    }

    fn stops(&mut self) {
        for at in 0..self.deltas.len() {
            let delta = &self.deltas[at];
            let Target::Existing(ix) = delta.target else {
                continue;
            };
            // The status goes along with a rename, but it does not depend on it.
            let when = match self.renamed.get(&at) {
                Some(renamed) => DraftWhen::IfRefused(*renamed),
                None => DraftWhen::Always,
            };
            let call = match delta.activity {
                Some(Activity::Suspend(_)) => Call::UpdateUser {
                    address: None,
                    name: None,
                    active: Some(false),
                    extension: None,
                },
                Some(Activity::Empty(_)) => Call::Empty {
                    keep: self.accounts.delegates_of(ix).functional,
                },
                Some(Activity::Resume) | None => continue,
            };
            self.push(self.stop, at, call, when);
        }
    }

    /// R23: everything of a delta in one request.
    fn update(&self, delta: &Delta, ix: AccountIx) -> Call {
        let name = delta.name.as_ref().map(|(_, after)| after.clone());
        match delta.kind {
            AccountKind::User => Call::UpdateUser {
                address: None,
                name,
                active: (delta.activity == Some(Activity::Resume)).then_some(true),
                extension: delta.touches_extension().then(|| UserExtension {
                    aliases: self.aliases_after(delta, ix, true),
                    aliases_if_refused: None,
                    delegates: self.delegates(delta, ix, true),
                    key: delta.key.clone(),
                }),
            },
            AccountKind::Functional => Call::UpdateFunctional {
                name,
                members: (delta.touches_delegates() && !delta.is_empty_of_members())
                    .then(|| self.delegates(delta, ix, true)),
                aliases: delta
                    .touches_extension()
                    .then(|| self.aliases_after(delta, ix, true)),
            },
        }
    }

    fn extension_without_additions(&self, delta: &Delta, ix: AccountIx) -> Call {
        let aliases = self.aliases_after(delta, ix, false);
        match delta.kind {
            AccountKind::User => Call::UpdateUser {
                address: None,
                name: None,
                active: None,
                extension: Some(UserExtension {
                    aliases,
                    aliases_if_refused: None,
                    delegates: self.delegates(delta, ix, false),
                    key: delta.key.clone(),
                }),
            },
            AccountKind::Functional => Call::UpdateFunctional {
                name: None,
                members: None,
                aliases: Some(aliases),
            },
        }
    }

    /// The aliases to send: those stored, without the removed ones and the account's own address.
    fn aliases_after(
        &self,
        delta: &Delta,
        ix: AccountIx,
        with_additions: bool,
    ) -> Vec<SmtpAddress> {
        let own = delta
            .rename
            .as_ref()
            .map_or(&delta.address, |rename| &rename.to);
        let mut aliases: BTreeSet<SmtpAddress> = self
            .accounts
            .get(ix)
            .extension()
            .aliases
            .iter()
            .cloned()
            .collect();
        aliases.retain(|alias| !delta.remove_aliases.contains(alias) && alias != own);
        if with_additions {
            aliases.extend(delta.add_aliases.iter().cloned());
        }
        aliases.into_iter().collect()
    }

    /// The delegates or members to send (R13, R22).
    fn delegates(&self, delta: &Delta, ix: AccountIx, with_additions: bool) -> Vec<Delegate> {
        let current = self.accounts.delegates_of(ix);
        let mut delegates: BTreeSet<Delegate> = current
            .users
            .iter()
            .filter(|user| !delta.remove_delegates.contains(user))
            .chain(&current.functional)
            .map(|ix| Delegate::Account(Target::Existing(*ix)))
            .collect();
        let strangers = current.strangers.into_iter().filter(|address| {
            !self.domains.holds(address) || self.accounts.may_be_rejected(address)
        });
        delegates.extend(strangers.map(Delegate::Stranger));
        if with_additions {
            delegates.extend(delta.add_delegates.iter().copied().map(Delegate::Account));
        }
        delegates.into_iter().collect()
    }

    fn finish(self) -> Vec<Step> {
        let mut at: Vec<usize> = (0..self.drafts.len()).collect();
        at.sort_by(|a, b| {
            let key = |at: &usize| {
                let draft = &self.drafts[*at];
                (
                    draft.phase,
                    draft.rank,
                    draft.address.clone(),
                    draft.target,
                    *at,
                )
            };
            key(a).cmp(&key(b))
        });
        let mut position = vec![StepIx(0); at.len()];
        for (new, old) in at.iter().enumerate() {
            position[*old] = draft_ix(new);
        }
        let mut drafts: Vec<Option<Draft>> = self.drafts.into_iter().map(Some).collect();
        let mut steps: Vec<Step> = at
            .into_iter()
            .filter_map(|old| drafts[old].take())
            .map(|draft| draft.into_step(&position))
            .collect();
        await_delegates(&mut steps);
        steps
    }
}

/// R22: a delegate is written with the address that it has when the request is sent. So a request that names an
/// account and one that creates or renames it are never on their way together: the later step waits for the earlier.
fn await_delegates(steps: &mut [Step]) {
    let moves = |call: &Call| match call {
        Call::CreateUser { .. } => true,
        Call::UpdateUser { address, .. } => address.is_some(),
        Call::CreateFunctional { .. } | Call::UpdateFunctional { .. } | Call::Empty { .. } => false,
    };
    let moving: HashSet<Target> = steps
        .iter()
        .filter(|step| moves(&step.call))
        .map(|step| step.target)
        .collect();
    if moving.is_empty() {
        return;
    }
    let mut last_move: HashMap<Target, StepIx> = HashMap::default();
    let mut named: HashMap<Target, Vec<StepIx>> = HashMap::default();
    for (at, step) in steps.iter_mut().enumerate() {
        let at = draft_ix(at);
        for target in names(&step.call).filter(|target| moving.contains(target)) {
            step.after.extend(last_move.get(&target));
            named.entry(target).or_default().push(at);
        }
        if moves(&step.call) {
            step.after
                .extend(named.remove(&step.target).into_iter().flatten());
            last_move.insert(step.target, at);
        }
        step.after.sort_unstable();
        step.after.dedup();
        step.after.retain(|before| *before != at);
    }
}

/// The accounts that a request names by what only an earlier request may give them: users by address, members by the
/// id of a new account.
fn names(call: &Call) -> impl Iterator<Item = Target> {
    let (delegates, by_address): (&[Delegate], bool) = match call {
        Call::CreateFunctional { members, .. } => (members, false),
        Call::UpdateUser { extension, .. } => {
            let delegates = extension.as_ref().map(|extension| &*extension.delegates);
            (delegates.unwrap_or_default(), true)
        }
        Call::UpdateFunctional { members, .. } => (members.as_deref().unwrap_or_default(), false),
        Call::CreateUser { .. } | Call::Empty { .. } => (&[], false),
    };
    delegates.iter().filter_map(move |delegate| match delegate {
        Delegate::Account(target @ Target::New(_)) => Some(*target),
        Delegate::Account(target @ Target::Existing(_)) => by_address.then_some(*target),
        Delegate::Stranger(_) => None,
    })
}

impl Draft {
    fn into_step(mut self, position: &[StepIx]) -> Step {
        if let Call::UpdateUser {
            extension: Some(extension),
            ..
        } = &mut self.call
            && let Some((renamed, _)) = &mut extension.aliases_if_refused
        {
            *renamed = position[renamed.0 as usize];
        }
        let when = match self.when {
            DraftWhen::Always => When::Always,
            DraftWhen::Completes(draft) => When::Completes(position[draft]),
            DraftWhen::IfRefused(draft) => When::IfRefused(position[draft]),
        };
        let mut after: Vec<StepIx> = self.after.iter().map(|draft| position[*draft]).collect();
        after.sort_unstable();
        let claims = self
            .claims
            .into_iter()
            .map(|(address, draft)| (address, position[draft]))
            .collect();
        Step {
            action: self.action,
            target: self.target,
            call: self.call,
            when,
            after,
            claims,
        }
    }
}

fn without_extension(call: &mut Call) {
    match call {
        Call::UpdateUser { extension, .. } => *extension = None,
        Call::UpdateFunctional { aliases, .. } => *aliases = None,
        Call::CreateUser { .. } | Call::CreateFunctional { .. } | Call::Empty { .. } => {}
    }
}

fn rename_call(to: SmtpAddress, name: Option<Box<str>>, active: Option<bool>) -> Call {
    Call::UpdateUser {
        address: Some(to),
        name,
        active,
        extension: None,
    }
}

fn draft_ix(at: usize) -> StepIx {
    StepIx(super::directory::to_u32(at))
}

/// A free address in the domain of the account, the same in every run.
pub(super) fn aside(account: AccountView<'_>, address: &SmtpAddress) -> SmtpAddress {
    let hash = digest([account.id().as_str(), address.as_str()].into_iter());
    SmtpAddress::verbatim(&format!("cloud-sync-{}@{}", &hash[..12], address.domain()))
}
