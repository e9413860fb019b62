//! A small Zivver that answers requests, with the difficult behaviour in `docs/specs/zivver-scim.md`, "5. Write
//! semantics and quirks" and "9. Open questions and the safe choice". The executor runs against it with several
//! requests in flight, which are answered in any order.

use std::collections::{BTreeMap, BTreeSet};

use super::notation::Planned;
use crate::{
    account::{Actual, Extension, FunctionalAccount, UserAccount},
    accounts::Account,
    address::SmtpAddress,
    delta::Target,
    execute::{
        Accepted, Answer, Applied, Blame, Execution, FunctionalUpdate, Refused, Request, UserUpdate,
    },
    ids::{ScimId, SignInKey},
    report::ActionOutcome,
    step::StepIx,
};

/// What is stored, keys included.
#[derive(Debug, Clone)]
pub(super) struct Zivver {
    pub users: BTreeMap<ScimId, UserAccount>,
    pub groups: BTreeMap<ScimId, FunctionalAccount>,
    pub keys: BTreeMap<ScimId, SignInKey>,
    /// Whether the delegates of others follow an account to a new address.
    pub follows: bool,
    created: usize,
}

impl Zivver {
    pub(super) fn new(actual: &Actual) -> Self {
        let users = actual.users.iter().cloned();
        let groups = actual.groups.iter().cloned();
        Self {
            users: users.map(|user| (user.id.clone(), user)).collect(),
            groups: groups.map(|group| (group.id.clone(), group)).collect(),
            keys: BTreeMap::new(),
            follows: true,
            created: 0,
        }
    }

    pub(super) fn actual(&self) -> Actual {
        Actual {
            users: self.users.values().cloned().collect(),
            groups: self.groups.values().cloned().collect(),
            rejected: Vec::new(),
        }
    }

    fn principals(&self) -> impl Iterator<Item = (&ScimId, &SmtpAddress)> {
        let users = self.users.values().map(|user| (&user.id, &user.address));
        users.chain(
            self.groups
                .values()
                .map(|group| (&group.id, &group.address)),
        )
    }

    fn alias_holder(&self, address: &SmtpAddress) -> Option<&ScimId> {
        let users = self.users.values().map(|user| (&user.id, &user.extension));
        let groups = self
            .groups
            .values()
            .map(|group| (&group.id, &group.extension));
        users
            .chain(groups)
            .find(|(_, extension)| extension.aliases.contains(address))
            .map(|(id, _)| id)
    }

    /// Whether no account has the address, as principal or as alias.
    fn is_free(&self, address: &SmtpAddress) -> bool {
        self.principals().all(|(_, taken)| taken != address) && self.alias_holder(address).is_none()
    }

    fn aliases_refused(&self, id: &ScimId, aliases: &[SmtpAddress]) -> Result<(), Refused> {
        let refused = aliases.iter().find(|alias| {
            self.principals().any(|(_, taken)| taken == *alias)
                || self.alias_holder(alias).is_some_and(|holder| holder != id)
        });
        refused.map_or(Ok(()), |alias| {
            Err(Refused {
                blames: Blame::Alias(Some(alias.clone())),
                ..refused_for("400 Error creating alias: Alias is already taken")
            })
        })
    }

    fn fresh_id(&mut self) -> ScimId {
        loop {
            self.created += 1;
            let id = ScimId::new(&format!("new{}", self.created));
            if !self.users.contains_key(&id) && !self.groups.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn answer(&mut self, request: Request) -> Answer {
        match self.apply(request) {
            Ok(accepted) => Answer::Accepted(accepted),
            Err(refused) => Answer::Refused(refused),
        }
    }

    fn apply(&mut self, request: Request) -> Result<Accepted, Refused> {
        match request {
            Request::CreateUser { address, name, key } => {
                if !self.is_free(&address) {
                    return Err(refused_for("409 the address exists"));
                }
                let id = self.fresh_id();
                self.keys.extend(key.map(|key| (id.clone(), key)));
                let user = UserAccount {
                    id: id.clone(),
                    address,
                    name,
                    active: true,
                    extension: Extension::default(),
                    delegates: Vec::new(),
                };
                self.users.insert(id, user.clone());
                Ok(created(Account::User(user)))
            }
            Request::CreateFunctional {
                address,
                name,
                members,
                aliases: _,
            } => {
                if !self.is_free(&address) {
                    return Err(refused_for("400 Account is outside the organization"));
                }
                self.known(&members)?;
                let id = self.fresh_id();
                let group = FunctionalAccount {
                    id: id.clone(),
                    address,
                    name,
                    extension: Extension::default(),
                    members,
                };
                self.groups.insert(id, group.clone());
                Ok(created(Account::Functional(group)))
            }
            Request::UpdateUser(id, update) => self.put_user(&id, update),
            Request::UpdateFunctional(id, update) => self.put_group(&id, update),
            Request::SetMembers(id, members) => {
                self.known(&members)?;
                let group = self.groups.get_mut(&id).ok_or_else(unknown)?;
                group.members = members;
                Ok(updated(Account::Functional(group.clone())))
            }
        }
    }

    fn put_group(&mut self, id: &ScimId, update: FunctionalUpdate) -> Result<Accepted, Refused> {
        let FunctionalUpdate {
            name,
            members,
            extension,
        } = update;
        if let Some(extension) = &extension {
            self.aliases_refused(id, &extension.aliases)?;
        }
        self.known(members.as_deref().unwrap_or_default())?;
        let group = self.groups.get_mut(id).ok_or_else(unknown)?;
        group.name = name.unwrap_or_else(|| group.name.clone());
        if let Some(extension) = extension {
            group.extension = Extension {
                aliases: extension.aliases,
                ..extension.read
            };
        }
        if let Some(members) = members.filter(|members| !members.is_empty()) {
            group.members = members;
        }
        Ok(updated(Account::Functional(group.clone())))
    }

    fn known(&self, members: &[ScimId]) -> Result<(), Refused> {
        let is_known = |id: &ScimId| self.users.contains_key(id) || self.groups.contains_key(id);
        if members.iter().all(is_known) {
            Ok(())
        } else {
            Err(refused_for("400 Member Not Found"))
        }
    }

    fn put_user(&mut self, id: &ScimId, update: UserUpdate) -> Result<Accepted, Refused> {
        let UserUpdate {
            address,
            name,
            active,
            extension,
        } = update;
        let old = self.users.get(id).ok_or_else(unknown)?.clone();
        let moves_to = address.as_ref().filter(|address| **address != old.address);
        if moves_to.is_some_and(|address| !self.is_free(address)) {
            return Err(refused_for("400 the address is taken"));
        }
        if let Some(extension) = &extension {
            self.aliases_refused(id, &extension.aliases)?;
        }
        let mut new = old.clone();
        if let Some(extension) = extension {
            // A delegate that does not exist is not stored, and the answer does not mention it.
            let delegates = extension.delegates.into_iter();
            new.delegates = delegates
                .filter(|delegate| self.principals().any(|(_, taken)| taken == delegate))
                .collect();
            new.extension = Extension {
                aliases: extension.aliases,
                ..extension.read
            };
            match extension.key {
                Some(key) => self.keys.insert(id.clone(), key),
                None => self.keys.remove(id),
            };
        }
        new.name = name.unwrap_or(new.name);
        new.active = active.unwrap_or(new.active);
        if let Some(address) = address {
            let stored = self.users.values_mut().chain([&mut new]);
            for user in stored.filter(|_| self.follows) {
                for delegate in user.delegates.iter_mut().filter(|one| **one == old.address) {
                    delegate.clone_from(&address);
                }
            }
            new.address = address;
        }
        self.users.insert(id.clone(), new.clone());
        Ok(updated(Account::User(new)))
    }
}

fn created(account: Account) -> Accepted {
    Accepted::Created {
        account,
        is_found: false,
    }
}

fn updated(account: Account) -> Accepted {
    Accepted::Updated(Some(account))
}

/// A refusal of the whole request.
pub(super) fn refused_for(cause: &str) -> Refused {
    Refused {
        cause: cause.into(),
        message: format!("Zivver answered {cause}"),
        blames: Blame::Request,
    }
}

fn unknown() -> Refused {
    refused_for("400 Unknown account")
}

/// The faults while a plan is carried out; steps by position.
#[derive(Debug, Clone)]
pub(super) struct Disturbance {
    /// Steps that Zivver refuses, whatever they ask for.
    pub refuse: BTreeSet<usize>,
    /// Steps that Zivver answers as if it had carried them out.
    pub ignore: BTreeSet<usize>,
    /// How many requests are answered before the process is killed.
    pub killed_after: usize,
    /// Whether Zivver leaves the delegates of others as they are when it renames an account.
    pub keeps_names: bool,
}

impl Disturbance {
    pub(super) const NONE: Self = Self {
        refuse: BTreeSet::new(),
        ignore: BTreeSet::new(),
        killed_after: usize::MAX,
        keeps_names: false,
    };
}

/// A plan that was carried out.
pub(super) struct CarriedOut<'a> {
    planned: &'a Planned,
    pub zivver: Zivver,
    pub applied: Applied,
    /// Refusals that are not part of the disturbance.
    pub refusals: Vec<String>,
}

impl CarriedOut<'_> {
    pub(super) fn outcome(&self, action: usize) -> ActionOutcome {
        let outcome = self.applied.actions[action].outcome;
        outcome.unwrap_or(ActionOutcome::Remaining)
    }

    pub(super) fn id_of(&self, target: Target) -> Option<ScimId> {
        match target {
            Target::Existing(ix) => Some(self.planned.world.accounts.get(ix).id().clone()),
            Target::New(mailbox) => self.applied.created.get(&mailbox).cloned(),
        }
    }
}

/// Carries out a plan. `choose(n)` selects one of `n` possible next events, so every valid interleaving corresponds to
/// a sequence of choices.
pub(super) fn carry_out<'a>(
    planned: &'a Planned,
    disturbance: &Disturbance,
    mut choose: impl FnMut(usize) -> usize,
) -> CarriedOut<'a> {
    let plan = &planned.plan.approved;
    let mut zivver = Zivver::new(planned.world.accounts.actual());
    zivver.follows = !disturbance.keeps_names;
    let mut refusals = Vec::new();
    let mut execution = Execution::new(plan, &planned.world, u32::MAX);
    let mut in_flight: Vec<(StepIx, Request)> = Vec::new();
    let mut answered = 0;
    while answered < disturbance.killed_after {
        if in_flight.is_empty() || choose(in_flight.len() + 1) == 0 {
            match execution.next(usize::MAX) {
                Some((step, request)) => {
                    let target = |step: StepIx| plan.steps()[step.0 as usize].target;
                    assert!(
                        in_flight
                            .iter()
                            .all(|(other, _)| target(*other) != target(step)),
                        "two requests at one account at a time"
                    );
                    in_flight.push((step, request));
                    continue;
                }
                None if in_flight.is_empty() => break,
                None => {}
            }
        }
        let (step, request) = in_flight.swap_remove(choose(in_flight.len()));
        let at = step.0 as usize;
        let answer = if disturbance.refuse.contains(&at) {
            Answer::Refused(refused_for("ordered"))
        } else {
            let before = disturbance.ignore.contains(&at).then(|| zivver.clone());
            let told = format!("step {at}: {request:?}");
            let answer = zivver.answer(request);
            if let Answer::Refused(refused) = &answer {
                refusals.push(format!("{told}: {}", refused.cause));
            }
            if let Some(before) = before {
                let created = zivver.created;
                zivver = Zivver { created, ..before };
            }
            answer
        };
        execution.answered(step, answer);
        answered += 1;
    }
    assert!(
        answered >= disturbance.killed_after
            || execution.take_ended().len() == plan.actions().len(),
        "a step never became ready"
    );
    CarriedOut {
        planned,
        zivver,
        applied: execution.finish(),
        refusals,
    }
}
