//! R47: a run that makes only a part of its plan, such as the first accounts of a go-live.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    action::{ActionKind, action},
    delta::{Delta, Target},
    hold::is_approved,
    reviewed::Reviewed,
    world::World,
};

/// How often other accounts are tried in place of those that need the rest of the plan.
const ROUNDS_MAX: usize = 100;

/// The restriction of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// Empty for all.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub only: BTreeSet<Part>,
    /// The maximum number of accounts, in the order of their addresses.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<u32>,
}

/// Kinds of action, or what a person has approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Create,
    Update,
    Rename,
    Suspend,
    Empty,
    Resume,
    /// R27: the changes that the codes of the run approve.
    Approved,
}

impl Part {
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::Update,
        Self::Rename,
        Self::Suspend,
        Self::Empty,
        Self::Resume,
        Self::Approved,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Rename => "rename",
            Self::Suspend => "suspend",
            Self::Empty => "empty",
            Self::Resume => "resume",
            Self::Approved => "approved",
        }
    }

    fn of(kind: ActionKind) -> Self {
        match kind {
            ActionKind::Create => Self::Create,
            ActionKind::Update => Self::Update,
            ActionKind::Rename => Self::Rename,
            ActionKind::Suspend => Self::Suspend,
            ActionKind::Empty => Self::Empty,
            ActionKind::Resume => Self::Resume,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a kind of action; there are create, update, rename, suspend, empty, resume and approved"
)]
pub struct PartError(String);

impl FromStr for Part {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let mut all = Self::ALL.into_iter();
        all.find(|part| part.name() == text)
            .ok_or_else(|| PartError(text.to_owned()))
    }
}

impl Wave {
    /// `None` for a run without restriction.
    pub fn of(only: BTreeSet<Part>, first: Option<u32>) -> Option<Self> {
        let is_restricted = !only.is_empty() || first.is_some();
        is_restricted.then_some(Self { only, first })
    }

    /// Whether the run makes no change without an approval.
    pub fn needs_approval(&self) -> bool {
        self.only.len() == 1 && self.only.contains(&Part::Approved)
    }

    /// The part of a plan that is made. `made` returns the accounts of a part that change without the rest of the plan.
    /// Of the first accounts, one that does not gives its place to the next: a wave of one account would otherwise make
    /// nothing, in every run.
    pub(super) fn choose(
        &self,
        deltas: &[Delta],
        world: &World,
        approved: &BTreeSet<String>,
        made: impl Fn(&Reviewed) -> BTreeSet<Target>,
    ) -> Reviewed {
        let parts = deltas.iter();
        let parts = parts.filter_map(|delta| self.part_of(delta, world, approved));
        let mut parts: Vec<Delta> = parts.collect();
        let of = |parts: &[Delta]| {
            let actions: Vec<_> = parts.iter().map(|delta| action(delta, world)).collect();
            Reviewed::of_wave(&actions)
        };
        let Some(first) = self.first.map(|first| first as usize) else {
            return of(&parts);
        };
        let whole = of(&parts[..first.min(parts.len())]);
        for _ in 0..ROUNDS_MAX {
            let chosen = of(&parts[..first.min(parts.len())]);
            let made = made(&chosen);
            let mut at = 0;
            let count = parts.len();
            parts.retain(|part| {
                at += 1;
                at > first || made.contains(&part.target)
            });
            if parts.len() == count {
                return if parts.is_empty() { whole } else { chosen };
            }
        }
        whole
    }

    fn part_of(&self, delta: &Delta, world: &World, approved: &BTreeSet<String>) -> Option<Delta> {
        let kind = Part::of(action(delta, world).kind);
        if self.only.is_empty() || self.only.contains(&kind) {
            return Some(delta.clone());
        }
        if !self.only.contains(&Part::Approved) {
            return None;
        }
        let is_approved = |change: &_| is_approved(delta, change, &world.accounts, approved);
        let mut changes = delta.changes().into_iter();
        let mut part = delta.clone();
        // If the create of an account or its owner is approved, the whole delta is.
        if !changes.any(|change| change.is_whole_delta() && is_approved(&change)) {
            part.retain(is_approved);
        }
        (!part.is_empty()).then_some(part)
    }
}

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only: Vec<&str> = self.only.iter().map(|part| part.name()).collect();
        match (only.join(","), self.first) {
            (only, None) => write!(f, "--only {only}"),
            (only, Some(first)) if only.is_empty() => write!(f, "--first {first}"),
            (only, Some(first)) => write!(f, "--only {only} --first {first}"),
        }
    }
}
