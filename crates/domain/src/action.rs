//! What happens to one account, as reports and the journal show it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    accounts::{AccountKind, Accounts},
    address::SmtpAddress,
    change::{Attribute, Change},
    delta::{Activity, Delta, Reason, Target},
    directory::Directory,
    effect::asked,
    ids::ScimId,
    origin::Origin,
    world::World,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub kind: ActionKind,
    pub account: AccountKind,
    /// The address of the account before the action.
    pub address: SmtpAddress,
    /// `None` for an account that does not exist yet.
    pub id: Option<ScimId>,
    pub changes: Vec<AttributeChange>,
    pub reasons: Vec<Reason>,
    /// Hash of what is asked for (R22, R33).
    pub fingerprint: String,
}

impl Action {
    /// R20: suspend, empty, removal of an alias, a delegate or a member.
    pub fn takes_away(&self) -> bool {
        let is_whole = match self.kind {
            ActionKind::Suspend | ActionKind::Empty => true,
            ActionKind::Create | ActionKind::Rename | ActionKind::Resume | ActionKind::Update => {
                false
            }
        };
        let removes = |change: &AttributeChange| match change.attribute {
            Attribute::Aliases | Attribute::Delegates => !change.before.is_empty(),
            Attribute::Address
            | Attribute::Name
            | Attribute::Active
            | Attribute::ObjectId
            | Attribute::SignInKey => false,
        };
        is_whole || self.changes.iter().any(removes)
    }

    /// R23: whether it changes what is in the extension of the account, of which Zivver shows all but the key.
    pub(super) fn writes_extension(&self) -> bool {
        self.changes.iter().any(|it| it.attribute.is_set())
    }

    /// R34: joins an action that an earlier invocation made in part (`self`) with the rest that a later one made.
    pub(super) fn followed_by(&mut self, later: Self) {
        if self.kind != ActionKind::Create && later.kind != ActionKind::Update {
            self.kind = later.kind;
        }
        for change in later.changes {
            let mut known = self.changes.iter_mut();
            match known.find(|it| it.attribute == change.attribute) {
                Some(known) => known.followed_by(change),
                None => self.changes.push(change),
            }
        }
        self.changes.sort_by_key(|change| change.attribute);
        for reason in later.reasons {
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
    }
}

/// R19.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    Create,
    Rename,
    Resume,
    Update,
    Suspend,
    Empty,
}

impl ActionKind {
    pub const ALL: [Self; 6] = [
        Self::Create,
        Self::Rename,
        Self::Resume,
        Self::Update,
        Self::Suspend,
        Self::Empty,
    ];
}

/// One attribute, old and new. For sets, `before` holds the removed and `after` the added entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    pub attribute: Attribute,
    pub before: Vec<String>,
    pub after: Vec<String>,
    /// R44: keyed by the new value, or for a set by the entry. Empty if the origin is not known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub origins: BTreeMap<String, Origin>,
    /// R22: the new address of a delegate whom the same plan renames. Another account may get the old one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub renamed: BTreeMap<String, String>,
}

impl AttributeChange {
    /// An entry of a set; of a delegate whom the same plan renames, with the new address (R22).
    pub fn entry_in_words(&self, entry: &str) -> String {
        match self.renamed.get(entry) {
            Some(now) => format!("{now} (until then {entry})"),
            None => entry.to_owned(),
        }
    }

    /// [`AttributeChange::after`], as a person reads it.
    pub fn after_in_words(&self) -> Vec<String> {
        let after = self.after.iter();
        after.map(|it| self.entry_in_words(it)).collect()
    }

    fn followed_by(&mut self, later: Self) {
        for (entry, origin) in later.origins {
            self.origins.entry(entry).or_insert(origin);
        }
        self.renamed.extend(later.renamed);
        if !self.attribute.is_set() {
            self.after = later.after;
            self.keep_origins();
            return;
        }
        let returned = |gone: &[String], come: &[String]| -> BTreeSet<String> {
            gone.iter()
                .filter(|it| come.contains(it))
                .cloned()
                .collect()
        };
        let back = returned(&self.before, &later.after);
        let away = returned(&later.before, &self.after);
        merge(&mut self.before, later.before);
        merge(&mut self.after, later.after);
        self.before
            .retain(|it| !back.contains(it) && !away.contains(it));
        self.after
            .retain(|it| !back.contains(it) && !away.contains(it));
        self.keep_origins();
    }

    /// Keeps the origins of the values that are still there.
    fn keep_origins(&mut self) {
        let (before, after) = (&self.before, &self.after);
        self.origins
            .retain(|entry, _| before.contains(entry) || after.contains(entry));
    }
}

fn merge(values: &mut Vec<String>, more: Vec<String>) {
    values.extend(more);
    values.sort_unstable();
    values.dedup();
}

/// The action of a delta.
pub(super) fn action(delta: &Delta, world: &World) -> Action {
    let (accounts, directory) = (&world.accounts, &world.directory);
    let kind = match (&delta.create, &delta.rename, delta.activity) {
        (Some(_), _, _) => ActionKind::Create,
        (None, _, Some(Activity::Suspend(_))) => ActionKind::Suspend,
        (None, _, Some(Activity::Empty(_))) => ActionKind::Empty,
        (None, Some(_), _) => ActionKind::Rename,
        (None, None, Some(Activity::Resume)) => ActionKind::Resume,
        (None, None, None) => ActionKind::Update,
    };
    Action {
        kind,
        account: delta.kind,
        address: delta.address.clone(),
        id: match delta.target {
            Target::Existing(ix) => Some(accounts.get(ix).id().clone()),
            Target::New(_) => None,
        },
        changes: changes(delta, accounts, directory),
        reasons: delta.reasons.clone(),
        fingerprint: asked(delta, accounts, directory),
    }
}

fn changes(delta: &Delta, accounts: &Accounts, directory: &Directory) -> Vec<AttributeChange> {
    let address = |target: Target| target.address(accounts, directory).to_string();
    let mut values: BTreeMap<Attribute, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for change in delta.changes().iter().flat_map(Change::parts) {
        let (before, after) = change.values(address);
        let of_attribute = values.entry(change.attribute()).or_default();
        of_attribute.0.extend(before);
        of_attribute.1.extend(after);
    }
    let changes = values
        .into_iter()
        .map(|(attribute, (mut before, mut after))| {
            if attribute == Attribute::Delegates {
                before.sort();
                after.sort();
            }
            AttributeChange {
                attribute,
                before,
                after,
                origins: BTreeMap::new(),
                renamed: BTreeMap::new(),
            }
        });
    changes.collect()
}

/// The new addresses of the users that a plan renames, by the old ones.
pub(super) fn renames(deltas: &[Delta]) -> BTreeMap<&str, String> {
    let users = deltas
        .iter()
        .filter(|delta| delta.kind == AccountKind::User);
    let renames = users.filter_map(|delta| {
        let rename = delta.rename.as_ref()?;
        Some((delta.address.as_str(), rename.to.to_string()))
    });
    renames.collect()
}

/// The actions of deltas.
pub(super) fn actions(deltas: &[Delta], world: &World) -> Vec<Action> {
    let renames = renames(deltas);
    let mut actions = Vec::with_capacity(deltas.len());
    for delta in deltas {
        let mut action = action(delta, world);
        let mut changes = action.changes.iter_mut();
        if let Some(change) = changes.find(|it| it.attribute == Attribute::Delegates) {
            name_renamed(change, delta, &renames, world);
        }
        actions.push(action);
    }
    actions
}

/// States the new address of each delegate that this plan renames. The old one can be that of a new account by then, which
/// is another delegate.
fn name_renamed(
    change: &mut AttributeChange,
    delta: &Delta,
    renames: &BTreeMap<&str, String>,
    world: &World,
) {
    let is_new = |it: &Target| matches!(it, Target::New(_));
    for delegate in delta.add_delegates.iter().filter(|it| !is_new(it)) {
        let before = delegate
            .address(&world.accounts, &world.directory)
            .to_string();
        let Some(after) = renames.get(&*before) else {
            continue;
        };
        if !gets_new_delegate(delta, &before, world) {
            change.renamed.insert(before, after.clone());
        } else if let Some(named) = change.after.iter_mut().find(|it| **it == before) {
            named.clone_from(after);
        }
    }
    change.after.sort();
}

/// Whether a new account at this address becomes a delegate.
pub(super) fn gets_new_delegate(delta: &Delta, address: &str, world: &World) -> bool {
    let mut new = delta.add_delegates.iter();
    new.any(|it| match it {
        Target::New(ix) => world.directory.mailbox(*ix).primary.as_str() == address,
        Target::Existing(_) => false,
    })
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReport {
    #[serde(flatten)]
    pub action: Action,
    pub outcome: ActionOutcome,
    /// The refused parts, each with status, text and remedy.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
    /// R34: the part of a partly done action that was not made when the run ended, compared with what is in Zivver now.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left: Vec<AttributeChange>,
}

impl ActionReport {
    /// Whether a later run must make it, or a part of it.
    pub fn is_left(&self) -> bool {
        self.outcome == ActionOutcome::Remaining || !self.left.is_empty()
    }

    /// R34: joins an action that an earlier invocation made in part (`self`) with the rest that a later one made.
    pub fn followed_by(&mut self, later: Self) {
        let was_left = !self.left.is_empty() && self.problems.is_empty();
        self.outcome = if was_left && later.outcome == ActionOutcome::Applied {
            ActionOutcome::Applied
        } else {
            self.outcome.followed_by(later.outcome)
        };
        match later.outcome {
            ActionOutcome::Applied | ActionOutcome::Partly => self.left = later.left,
            ActionOutcome::Remaining if self.outcome.is_done() => {
                self.left.clone_from(&later.action.changes);
            }
            ActionOutcome::Planned
            | ActionOutcome::Refused
            | ActionOutcome::Failed
            | ActionOutcome::Remaining => {}
        }
        for problem in later.problems {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        self.action.followed_by(later.action);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionOutcome {
    /// A preview does not carry it out.
    Planned,
    Applied,
    /// Carried out, except for parts that were refused or not reached before the run ended.
    Partly,
    Refused,
    /// No answer, or the run stopped during the action. It may have been carried out.
    Failed,
    /// Not started before the deadline or the stop.
    Remaining,
}

impl ActionOutcome {
    /// Whether Zivver confirmed the action, or a part of it.
    pub fn is_done(self) -> bool {
        match self {
            Self::Applied | Self::Partly => true,
            Self::Planned | Self::Refused | Self::Failed | Self::Remaining => false,
        }
    }

    /// The outcome of an action that was made in two parts, one after the other.
    fn followed_by(self, later: Self) -> Self {
        match (self, later) {
            (Self::Applied, Self::Applied) => Self::Applied,
            (Self::Applied | Self::Partly, _) | (_, Self::Applied | Self::Partly) => Self::Partly,
            (
                Self::Planned | Self::Refused | Self::Failed | Self::Remaining,
                Self::Planned | Self::Refused | Self::Failed | Self::Remaining,
            ) => later,
        }
    }
}
