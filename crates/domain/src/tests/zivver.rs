//! A pure model of Zivver, as unfriendly as `docs/specs/zivver-scim.md`, "5. Write semantics and quirks" and "9. Open
//! questions and the safe choice" say, and of what carries out a plan: several requests in flight, in any order that
//! the steps allow.

use std::collections::{BTreeMap, BTreeSet};

use super::notation::Planned;
use crate::{
    account::{Actual, Extension, FunctionalAccount, UserAccount},
    address::SmtpAddress,
    delta::Target,
    ids::{ScimId, SignInKey},
    ineffective::Asked,
    report::ActionOutcome,
    step::{Call, Delegate, Step, StepIx, UserExtension, When},
};

/// What is stored, keys included.
#[derive(Debug, Clone)]
pub(super) struct Zivver {
    pub users: BTreeMap<ScimId, UserAccount>,
    pub groups: BTreeMap<ScimId, FunctionalAccount>,
    pub keys: BTreeMap<ScimId, SignInKey>,
    created: usize,
}

/// A request as it goes out: nothing in it is looked up any more.
#[derive(Debug, Clone)]
enum Request {
    PostUser(SmtpAddress, String, Option<SignInKey>),
    PostGroup(SmtpAddress, String, Vec<ScimId>),
    PutUser {
        id: ScimId,
        address: Option<SmtpAddress>,
        name: Option<String>,
        active: Option<bool>,
        extension: Option<(Vec<SmtpAddress>, Vec<SmtpAddress>, Option<SignInKey>)>,
    },
    PutGroup {
        id: ScimId,
        name: Option<String>,
        members: Option<Vec<ScimId>>,
        aliases: Option<Vec<SmtpAddress>>,
    },
    PatchEmpty(ScimId),
}

impl Request {
    fn asked(&self) -> Asked {
        let set = |all: &[SmtpAddress]| all.iter().cloned().collect();
        let ids = |all: &[ScimId]| all.iter().cloned().collect();
        match self {
            Self::PostUser(address, name, key) => Asked {
                address: Some(address.clone()),
                name: Some(name.clone()),
                key: key.clone(),
                ..Asked::default()
            },
            Self::PostGroup(address, name, members) => Asked {
                address: Some(address.clone()),
                name: Some(name.clone()),
                members: Some(ids(members)),
                ..Asked::default()
            },
            Self::PutUser {
                address,
                name,
                active,
                extension,
                ..
            } => Asked {
                address: address.clone(),
                name: name.clone(),
                active: *active,
                aliases: extension.as_ref().map(|(aliases, ..)| set(aliases)),
                delegates: extension.as_ref().map(|(_, delegates, _)| set(delegates)),
                key: extension.as_ref().and_then(|(.., key)| key.clone()),
                ..Asked::default()
            },
            Self::PutGroup {
                name,
                members,
                aliases,
                ..
            } => Asked {
                name: name.clone(),
                members: members.as_deref().map(ids),
                aliases: aliases.as_deref().map(set),
                ..Asked::default()
            },
            Self::PatchEmpty(_) => Asked {
                members: Some(BTreeSet::new()),
                ..Asked::default()
            },
        }
    }
}

impl Zivver {
    pub(super) fn new(actual: &Actual) -> Self {
        let users = actual.users.iter().cloned();
        let groups = actual.groups.iter().cloned();
        Self {
            users: users.map(|user| (user.id.clone(), user)).collect(),
            groups: groups.map(|group| (group.id.clone(), group)).collect(),
            keys: BTreeMap::new(),
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

    /// Whether nobody has the address, as principal or as alias.
    fn is_free(&self, address: &SmtpAddress) -> bool {
        self.principals().all(|(_, taken)| taken != address) && self.alias_holder(address).is_none()
    }

    fn aliases_refused(&self, id: &ScimId, aliases: &[SmtpAddress]) -> Option<String> {
        aliases
            .iter()
            .find(|alias| {
                self.principals().any(|(_, taken)| taken == *alias)
                    || self.alias_holder(alias).is_some_and(|holder| holder != id)
            })
            .map(|alias| format!("Error creating alias: Alias is already taken for {alias}"))
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

    /// The id of the account that was written, or the refusal.
    fn apply(&mut self, request: Request) -> Result<ScimId, String> {
        match request {
            Request::PostUser(address, name, key) => {
                if !self.is_free(&address) {
                    return Err(format!("409 {address}"));
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
                self.users.insert(id.clone(), user);
                Ok(id)
            }
            Request::PostGroup(address, name, members) => {
                if !self.is_free(&address) {
                    return Err(format!(
                        "400 Account is outside the organization: {address}"
                    ));
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
                self.groups.insert(id.clone(), group);
                Ok(id)
            }
            Request::PutUser {
                id,
                address,
                name,
                active,
                extension,
            } => self.put_user(id, address, name, active, extension),
            Request::PutGroup {
                id,
                name,
                members,
                aliases,
            } => self.put_group(id, name, members, aliases),
            Request::PatchEmpty(id) => {
                let group = self.groups.get_mut(&id).ok_or("400 Unknown account")?;
                group.members.clear();
                Ok(id)
            }
        }
    }

    fn put_group(
        &mut self,
        id: ScimId,
        name: Option<String>,
        members: Option<Vec<ScimId>>,
        aliases: Option<Vec<SmtpAddress>>,
    ) -> Result<ScimId, String> {
        let refusal = aliases
            .as_ref()
            .and_then(|aliases| self.aliases_refused(&id, aliases));
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        self.known(members.as_deref().unwrap_or_default())?;
        let group = self.groups.get_mut(&id).ok_or("400 Unknown account")?;
        group.name = name.unwrap_or_else(|| group.name.clone());
        if let Some(aliases) = aliases {
            group.extension.aliases = aliases;
        }
        if let Some(members) = members.filter(|members| !members.is_empty()) {
            group.members = members;
        }
        Ok(id)
    }

    fn known(&self, members: &[ScimId]) -> Result<(), String> {
        let unknown = members
            .iter()
            .find(|id| !self.users.contains_key(id) && !self.groups.contains_key(id));
        unknown.map_or(Ok(()), |id| Err(format!("400 Member Not Found {id}")))
    }

    fn put_user(
        &mut self,
        id: ScimId,
        address: Option<SmtpAddress>,
        name: Option<String>,
        active: Option<bool>,
        extension: Option<(Vec<SmtpAddress>, Vec<SmtpAddress>, Option<SignInKey>)>,
    ) -> Result<ScimId, String> {
        let old = self.users.get(&id).ok_or("400 Unknown account")?.clone();
        let moves_to = address.as_ref().filter(|address| **address != old.address);
        if let Some(taken) = moves_to.filter(|address| !self.is_free(address)) {
            return Err(format!("400 {taken} is taken"));
        }
        if let Some((aliases, _, _)) = &extension
            && let Some(refusal) = self.aliases_refused(&id, aliases)
        {
            return Err(refusal);
        }
        let mut new = old.clone();
        if let Some((aliases, delegates, key)) = extension {
            new.extension.aliases = aliases;
            // One that does not exist is not stored, and nobody is told.
            new.delegates = delegates
                .into_iter()
                .filter(|delegate| self.principals().any(|(_, taken)| taken == delegate))
                .collect();
            match key {
                Some(key) => self.keys.insert(id.clone(), key),
                None => self.keys.remove(&id),
            };
        }
        new.name = name.unwrap_or(new.name);
        new.active = active.unwrap_or(new.active);
        if let Some(address) = address {
            for user in self.users.values_mut().chain([&mut new]) {
                for delegate in user.delegates.iter_mut().filter(|one| **one == old.address) {
                    delegate.clone_from(&address);
                }
            }
            new.address = address;
        }
        self.users.insert(id.clone(), new);
        Ok(id)
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Done(ScimId),
    Refused(String),
    /// There was nothing to do.
    Idle,
}

/// What became of a step when it started.
#[derive(Debug, Clone)]
enum Sent {
    Request(Request),
    Nothing,
    /// It cannot be asked, for this reason.
    Impossible(&'static str),
}

/// Carries out a plan. `choose(n)` picks one of `n` things that may happen next: every legal interleaving has a
/// sequence of choices. `refuse` names steps that the server refuses whatever they ask.
pub(super) struct Execution<'a> {
    planned: &'a Planned,
    pub zivver: Zivver,
    ends: Vec<Option<End>>,
    /// Requests on their way.
    flying: Vec<(usize, Sent)>,
    refuse: BTreeSet<usize>,
    /// Steps that the server answers as if it had made them.
    pub ignore: BTreeSet<usize>,
    /// What the accepted requests of each action asked for.
    pub asked: BTreeMap<usize, Asked>,
    /// Refusals that nobody ordered.
    pub refusals: Vec<String>,
    /// Addresses as the answers so far say.
    addresses: BTreeMap<ScimId, SmtpAddress>,
}

const IN_FLIGHT_MAX: usize = 4;

impl<'a> Execution<'a> {
    pub(super) fn new(planned: &'a Planned, refuse: BTreeSet<usize>) -> Self {
        let zivver = Zivver::new(planned.world.accounts.actual());
        let addresses = zivver
            .users
            .values()
            .map(|user| (user.id.clone(), user.address.clone()))
            .collect();
        Self {
            planned,
            zivver,
            ends: vec![None; planned.plan.approved.steps().len()],
            flying: Vec::new(),
            refuse,
            ignore: BTreeSet::new(),
            asked: BTreeMap::new(),
            refusals: Vec::new(),
            addresses,
        }
    }

    fn steps(&self) -> &'a [Step] {
        self.planned.plan.approved.steps()
    }

    /// `stop_after`: how many steps end before the run is cut off.
    pub(super) fn run(&mut self, mut choose: impl FnMut(usize) -> usize, stop_after: usize) {
        let mut ended = 0;
        while ended < stop_after {
            let ready: Vec<usize> = (0..self.ends.len())
                .filter(|at| self.is_ready(*at))
                .collect();
            let starts = if self.flying.len() < IN_FLIGHT_MAX {
                ready.len()
            } else {
                0
            };
            let events = starts + self.flying.len();
            if events == 0 {
                break;
            }
            let event = choose(events);
            if event < starts {
                self.start(ready[event]);
            } else {
                self.finish(event - starts);
                ended += 1;
            }
        }
        if ended < stop_after {
            assert!(
                self.ends.iter().all(Option::is_some),
                "a step never became ready"
            );
        }
    }

    fn is_ready(&self, at: usize) -> bool {
        let step = &self.steps()[at];
        self.ends[at].is_none()
            && self.flying.iter().all(|(other, _)| *other != at)
            && step
                .after
                .iter()
                .all(|before| self.ends[before.0 as usize].is_some())
    }

    fn start(&mut self, at: usize) {
        let step = &self.steps()[at];
        assert!(
            self.flying
                .iter()
                .all(|(other, _)| self.steps()[*other].target != step.target),
            "two requests at one account at a time"
        );
        let sent = self.send(step);
        self.flying.push((at, sent));
    }

    fn finish(&mut self, flying: usize) {
        let (at, request) = self.flying.remove(flying);
        let end = match request {
            Sent::Nothing => End::Idle,
            Sent::Impossible(why) => End::Refused(why.into()),
            Sent::Request(_) if self.refuse.contains(&at) => End::Refused("ordered".into()),
            Sent::Request(request) => match self.write(at, request.clone()) {
                Ok(id) => {
                    let action = self.steps()[at].action as usize;
                    self.asked.entry(action).or_default().merge(request.asked());
                    if let Some(user) = self.zivver.users.get(&id) {
                        self.addresses.insert(id.clone(), user.address.clone());
                    }
                    End::Done(id)
                }
                Err(refusal) => {
                    self.refusals
                        .push(format!("step {at}: {request:?}: {refusal}"));
                    End::Refused(refusal)
                }
            },
        };
        self.ends[at] = Some(end);
    }

    fn write(&mut self, at: usize, request: Request) -> Result<ScimId, String> {
        let before = self.ignore.contains(&at).then(|| self.zivver.clone());
        let answer = self.zivver.apply(request);
        if let Some(before) = before {
            let created = self.zivver.created;
            self.zivver = Zivver { created, ..before };
        }
        answer
    }

    /// What became of an action, as a run tells it.
    pub(super) fn outcome(&self, action: usize) -> ActionOutcome {
        let steps = self.steps().iter().zip(&self.ends);
        let ends = steps.filter(|(step, _)| step.action as usize == action);
        let ends: Vec<&End> = ends.filter_map(|(_, end)| end.as_ref()).collect();
        let is_refused = ends.iter().any(|end| matches!(end, End::Refused(_)));
        let is_done = ends.iter().any(|end| matches!(end, End::Done(_)));
        match (is_refused, is_done) {
            (true, true) => ActionOutcome::Partly,
            (true, false) => ActionOutcome::Refused,
            (false, _) => ActionOutcome::Applied,
        }
    }

    fn is_done(&self, step: StepIx) -> bool {
        matches!(self.ends[step.0 as usize], Some(End::Done(_) | End::Idle))
    }

    pub(super) fn id_of(&self, target: Target) -> Option<ScimId> {
        match target {
            Target::Existing(ix) => Some(self.planned.world.accounts.get(ix).id().clone()),
            Target::New(_) => self.steps().iter().zip(&self.ends).find_map(|(step, end)| {
                let creates = matches!(
                    step.call,
                    Call::CreateUser { .. } | Call::CreateFunctional { .. }
                );
                match end {
                    Some(End::Done(id)) if creates && step.target == target => Some(id.clone()),
                    _ => None,
                }
            }),
        }
    }

    fn members(&self, delegates: &[Delegate]) -> Vec<ScimId> {
        let ids = delegates.iter().filter_map(|delegate| match delegate {
            Delegate::Account(target) => self.id_of(*target),
            Delegate::Stranger(_) => None,
        });
        ids.collect()
    }

    fn delegates(&self, delegates: &[Delegate]) -> Vec<SmtpAddress> {
        let addresses = delegates.iter().filter_map(|delegate| match delegate {
            Delegate::Stranger(address) => Some(address.clone()),
            Delegate::Account(target) => {
                let id = self.id_of(*target)?;
                self.addresses.get(&id).cloned().or_else(|| {
                    self.zivver
                        .groups
                        .get(&id)
                        .map(|group| group.address.clone())
                })
            }
        });
        addresses.collect()
    }

    fn send(&self, step: &Step) -> Sent {
        let lost: BTreeSet<&SmtpAddress> = step
            .claims
            .iter()
            .filter(|(_, release)| !self.is_done(*release))
            .map(|(address, _)| address)
            .collect();
        let principal = match &step.call {
            Call::CreateUser { address, .. } | Call::CreateFunctional { address, .. } => {
                Some(address)
            }
            Call::UpdateUser { address, .. } => address.as_ref(),
            Call::UpdateFunctional { .. } | Call::Empty { .. } => None,
        };
        if principal.is_some_and(|address| lost.contains(address)) {
            return Sent::Impossible("its address did not become free");
        }
        match step.when {
            When::IfRefused(rename) if self.is_done(rename) => return Sent::Nothing,
            When::Completes(create) if !self.is_done(create) => return Sent::Nothing,
            When::IfRefused(_) | When::Completes(_) | When::Always => {}
        }
        match self.request(step, &lost) {
            None => Sent::Impossible("it has no delegate"),
            Some(request) if matches!(step.when, When::Completes(_)) => {
                self.missing(request).map_or(Sent::Nothing, Sent::Request)
            }
            Some(request) => Sent::Request(request),
        }
    }

    fn request(&self, step: &Step, lost: &BTreeSet<&SmtpAddress>) -> Option<Request> {
        let free = |aliases: &[SmtpAddress]| -> Vec<SmtpAddress> {
            let free = aliases.iter().filter(|alias| !lost.contains(alias));
            free.cloned().collect()
        };
        Some(match &step.call {
            Call::CreateUser { address, name, key } => {
                Request::PostUser(address.clone(), name.to_string(), key.clone())
            }
            Call::CreateFunctional {
                address,
                name,
                members,
                ..
            } => {
                let members = self.members(members);
                if members.is_empty() {
                    return None;
                }
                Request::PostGroup(address.clone(), name.to_string(), members)
            }
            Call::UpdateUser {
                address,
                name,
                active,
                extension,
            } => Request::PutUser {
                id: self.id_of(step.target)?,
                address: address.clone(),
                name: name.as_ref().map(ToString::to_string),
                active: *active,
                extension: extension.as_ref().map(|extension| {
                    (
                        free(self.aliases(extension)),
                        self.delegates(&extension.delegates),
                        extension.key.clone(),
                    )
                }),
            },
            Call::UpdateFunctional {
                name,
                members,
                aliases,
            } => Request::PutGroup {
                id: self.id_of(step.target)?,
                name: name.as_ref().map(ToString::to_string),
                members: members.as_ref().map(|members| self.members(members)),
                aliases: aliases.as_deref().map(free),
            },
            Call::Empty { keep } if keep.is_empty() => {
                Request::PatchEmpty(self.id_of(step.target)?)
            }
            Call::Empty { keep } => Request::PutGroup {
                id: self.id_of(step.target)?,
                name: None,
                members: Some(
                    keep.iter()
                        .map(|ix| self.planned.world.accounts.get(*ix).id().clone())
                        .collect(),
                ),
                aliases: None,
            },
        })
    }

    fn aliases<'b>(&self, extension: &'b UserExtension) -> &'b [SmtpAddress] {
        match &extension.aliases_if_refused {
            Some((rename, aliases)) if !self.is_done(*rename) => aliases,
            Some(_) | None => &extension.aliases,
        }
    }

    /// R24: what the answer to a create shows to be missing.
    fn missing(&self, request: Request) -> Option<Request> {
        let set = |all: &[SmtpAddress]| all.iter().cloned().collect::<BTreeSet<_>>();
        match &request {
            Request::PutUser {
                id,
                extension: Some((aliases, delegates, _)),
                ..
            } => {
                let Some(user) = self.zivver.users.get(id) else {
                    return Some(request);
                };
                let complete = set(&user.extension.aliases) == set(aliases)
                    && set(&user.delegates) == set(delegates);
                (!complete).then_some(request)
            }
            Request::PutGroup { id, aliases, .. } => {
                let Some(group) = self.zivver.groups.get(id) else {
                    return Some(request);
                };
                let complete = set(&group.extension.aliases) == set(aliases.as_deref()?);
                (!complete).then_some(request)
            }
            Request::PutUser { .. }
            | Request::PostUser(..)
            | Request::PostGroup(..)
            | Request::PatchEmpty(_) => Some(request),
        }
    }
}
