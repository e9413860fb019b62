//! From drafts to steps, which refer to each other by position.

use super::{Draft, DraftWhen, Ordering, draft_ix};
use crate::{
    delta::Target,
    hash::{HashMap, HashSet},
    step::{Call, Delegate, Step, StepIx, When},
};

impl Ordering<'_> {
    pub(super) fn finish(self) -> Vec<Step> {
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

/// R22: a delegate is written with its address at the time of the request. A request that names an account must
/// therefore not overlap with one that creates or renames it: the later step waits for the earlier one.
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

/// The accounts whose name in a request may come from an earlier request: users by address, members by the id of a new
/// account.
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
