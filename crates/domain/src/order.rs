//! From deltas to steps, in the order in which Zivver accepts them (R17, R24, R25).

mod calls;
mod named;
mod positions;
mod renames;

use std::collections::{BTreeMap, BTreeSet};

use calls::without_extension;

use super::{
    accounts::{AccountKind, Accounts},
    address::SmtpAddress,
    delta::{Activity, Delta, Target},
    hash::HashMap,
    scope::ClaimedDomains,
    settle::claims,
    step::{Call, Delegate, Step, StepIx, UserExtension},
};

/// Phases of R25, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// After a run that was cut off.
    StopFirst,
    CreateUser,
    CreateFunctional,
    /// Delegates that are stored under an address that goes to another account (R22).
    Unname,
    Release,
    Rename,
    /// At an address that had to become free first.
    LateCreateUser,
    LateCreateFunctional,
    Claim,
    Stop,
}

/// A step before its position is known. It refers to other drafts.
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

/// The steps of settled deltas. `deltas` are sorted, and a step names its delta by position. After a run that was cut
/// off, suspends and empties come first (R25).
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
        named_until_moved: BTreeMap::new(),
        unnamed_by: HashMap::default(),
        whole: HashMap::default(),
        made_by: HashMap::default(),
        renamed: HashMap::default(),
        stop: if stops_first {
            Phase::StopFirst
        } else {
            Phase::Stop
        },
    };
    // The drafts of one account depend on each other in the order in which they are pushed.
    if stops_first {
        ordering.stops();
    }
    ordering.unname();
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
    /// The last draft of each target, since two requests never change one account at the same time.
    last_of: HashMap<Target, usize>,
    /// The draft that frees an address which another account has now.
    released_by: HashMap<SmtpAddress, usize>,
    /// R22: the deltas that write their delegates again after an account has left this address.
    named_until_moved: BTreeMap<SmtpAddress, Vec<usize>>,
    /// R22: the drafts after which no account names a delegate by this address.
    unnamed_by: HashMap<SmtpAddress, Vec<usize>>,
    /// R22: those of them that contain all of a delta, by delta.
    whole: HashMap<usize, usize>,
    /// The draft that creates an account.
    made_by: HashMap<Target, usize>,
    /// The draft that gives an account its new address, by delta.
    renamed: HashMap<usize, usize>,
    stop: Phase,
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

    /// Aliases that another account waits for are removed first, but only if the removal waits for nothing itself.
    fn releases(&mut self) {
        for (at, delta) in self.deltas.iter().enumerate() {
            let released: Vec<SmtpAddress> = delta
                .remove_aliases
                .iter()
                .filter(|alias| self.wanted.contains(*alias))
                .cloned()
                .collect();
            // An account that is suspended or emptied gets no later request that could remove its aliases.
            let is_stopped = delta.is_suspend() || delta.is_empty_of_members();
            let nothing = delta.remove_aliases.is_empty() || (released.is_empty() && !is_stopped);
            if nothing || delta.rename.is_some() {
                continue; // The first request of a rename removes them.
            }
            let Target::Existing(ix) = delta.target else {
                continue;
            };
            let draft = if let Some(whole) = self.whole.get(&at) {
                *whole
            } else {
                let call = if Self::is_one_request(delta) {
                    self.update(delta, ix)
                } else {
                    self.extension_without_additions(delta, ix)
                };
                self.push(Phase::Release, at, call, DraftWhen::Always)
            };
            self.released_by
                .extend(released.into_iter().map(|alias| (alias, draft)));
        }
    }

    /// Whether no part of a delta waits for another account, or is left for the last phase.
    fn is_one_request(delta: &Delta) -> bool {
        delta.add_aliases.is_empty()
            && delta.add_delegates.is_empty()
            && matches!(delta.activity, None | Some(Activity::Resume))
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
        let delegates = delta.add_delegates.iter().copied();
        let delegates: Vec<Delegate> = delegates.map(Delegate::Account).collect();
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
            || self.unnamed_by.contains_key(&delta.address)
            || members
                .iter()
                .any(|member| self.drafts[*member].phase == Phase::LateCreateUser);
        let phase = if waits { late } else { early };
        let draft = self.push(phase, at, call, DraftWhen::Always);
        self.claim(draft, &delta.address);
        self.drafts[draft].after.extend(members);
        self.made_by.insert(delta.target, draft);
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
                        || self.whole.contains_key(&at)
                        || (stops && !Self::is_more_than_a_stop(delta))
                        || (released && Self::is_one_request(delta))
                    {
                        continue;
                    }
                    let mut call = self.update(delta, ix);
                    let adds = !delta.add_aliases.is_empty() || !delta.add_delegates.is_empty();
                    if stops && !adds && !delta.remove_aliases.is_empty() {
                        without_extension(&mut call); // Its release removed them.
                    }
                    let draft = self.push(Phase::Claim, at, call, DraftWhen::Always);
                    self.waits(draft, at);
                }
            }
        }
    }

    /// R37: an undo may suspend or empty an account and also take back its attributes. Removed aliases are released.
    fn is_more_than_a_stop(delta: &Delta) -> bool {
        let delegates = !delta.add_delegates.is_empty()
            || (delta.remove_aliases.is_empty() && !delta.remove_delegates.is_empty());
        delta.name.is_some()
            || !delta.add_aliases.is_empty()
            || (delta.kind == AccountKind::User && delegates)
    }

    /// R24: what a create did not store follows in one PUT, and only then.
    fn complete(&mut self, at: usize) {
        let delta = &self.deltas[at];
        let Some(created) = self.made_by.get(&delta.target).copied() else {
            return;
        };
        let aliases: Vec<SmtpAddress> = delta.add_aliases.iter().cloned().collect();
        let delegates = delta.add_delegates.iter().copied();
        let delegates: Vec<Delegate> = delegates.map(Delegate::Account).collect();
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

    /// A step that claims addresses waits for those that free them.
    fn waits(&mut self, draft: usize, at: usize) {
        for alias in &self.deltas[at].add_aliases {
            self.claim(draft, alias);
        }
    }

    fn claim(&mut self, draft: usize, address: &SmtpAddress) {
        if let Some(release) = self.released_by.get(address).copied()
            && release != draft
        {
            self.rests_on(draft, address, release);
        }
        for unnamed in self.unnamed_by.get(address).cloned().unwrap_or_default() {
            self.rests_on(draft, address, unnamed);
        }
    }

    fn rests_on(&mut self, draft: usize, address: &SmtpAddress, earlier: usize) {
        self.drafts[draft].after.insert(earlier);
        self.drafts[draft].claims.push((address.clone(), earlier));
    }

    fn stops(&mut self) {
        for at in 0..self.deltas.len() {
            let delta = &self.deltas[at];
            let Target::Existing(ix) = delta.target else {
                continue;
            };
            // The status is sent with a rename, but does not depend on it.
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
}

fn draft_ix(at: usize) -> StepIx {
    StepIx(super::directory::to_u32(at))
}
