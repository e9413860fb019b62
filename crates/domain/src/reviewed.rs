//! R28: a run that is restricted to the changes of a preview that a person has reviewed, or to a wave (R47).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    accounts::{AccountIx, AccountKind},
    action::{Action, ActionKind, AttributeChange, action},
    address::SmtpAddress,
    change::{Attribute, Change},
    delta::{Delta, Target},
    ids::ScimId,
    memory::Memory,
    name_in_json,
    note::{Code, Note},
    settle::{Sides, settle},
    world::World,
};

/// The changes of a reviewed plan, by account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// What of a plan was chosen.
    choice: Choice,
    accounts: BTreeMap<String, Account>,
    /// The address by which the reviewed plan names an account that it changes.
    addresses: BTreeMap<ScimId, SmtpAddress>,
    /// R34: the parts that earlier invocations of the run made.
    made: BTreeSet<(String, Part)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// What a person has seen.
    Reviewed,
    /// R47: a part that nobody has reviewed, so that what depends on the rest is left for later with it.
    Wave,
}

impl Choice {
    /// Why other changes are left for a later run.
    fn why_not(self) -> &'static str {
        match self {
            Self::Reviewed => "it was not reviewed",
            Self::Wave => "the run is restricted to other changes",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    /// `None` for one that the plan creates.
    id: Option<ScimId>,
    kind: AccountKind,
    action: ActionKind,
    address: SmtpAddress,
    parts: BTreeSet<Part>,
}

impl Account {
    /// R47: a note about parts that need what is left for later. `is_begun`: the run makes the rest of the action.
    fn left_with_others(&self, left: &[&Part], is_begun: bool) -> Note {
        let kind = if is_begun {
            ActionKind::Update
        } else {
            self.action
        };
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        let text = format!(
            "{} left for later, since it needs a change that is left for later: {}",
            name_in_json(kind),
            left.join(", ")
        );
        Note {
            kind: Some(kind),
            ..Note::new(self.address.as_str(), Code::NotReviewed, text)
        }
    }
}

/// One value of an attribute that is removed, added or replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    attribute: Attribute,
    before: String,
    after: String,
}

impl Part {
    fn new(attribute: Attribute, before: impl Into<String>, after: impl Into<String>) -> Self {
        Self {
            attribute,
            before: before.into(),
            after: after.into(),
        }
    }

    /// The entry of a set that is removed or added.
    fn entry(&self) -> &str {
        if self.after.is_empty() {
            &self.before
        } else {
            &self.after
        }
    }

    fn of(change: &AttributeChange) -> Vec<Self> {
        let AttributeChange {
            attribute,
            before,
            after,
            origins: _,
            renamed: _,
        } = change;
        match attribute {
            Attribute::Aliases | Attribute::Delegates => {
                let gone = before.iter().map(|it| Self::new(*attribute, it, ""));
                let come = after.iter().map(|it| Self::new(*attribute, "", it));
                gone.chain(come).collect()
            }
            // The present key in Zivver is not known.
            Attribute::SignInKey => vec![Self::new(*attribute, "", after.join(", "))],
            Attribute::Address | Attribute::Name | Attribute::Active | Attribute::ObjectId => {
                vec![Self::new(*attribute, before.join(", "), after.join(", "))]
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.attribute {
            Attribute::Address => "address",
            Attribute::Name => "name",
            Attribute::Active => "active",
            Attribute::ObjectId => "object id",
            Attribute::SignInKey => "sign-in key",
            Attribute::Aliases => "alias",
            Attribute::Delegates => "delegate",
        };
        match (self.before.as_str(), self.after.as_str()) {
            ("", after) => write!(f, "{what} + {after}"),
            (before, "") => write!(f, "{what} − {before}"),
            (before, after) => write!(f, "{what} {before} → {after}"),
        }
    }
}

/// What is left of a plan, with the notes about the rest.
pub(super) struct Restricted {
    pub(super) deltas: Vec<Delta>,
    pub(super) notes: Vec<Note>,
    /// Whether changes that were not reviewed are left for a later run.
    pub(super) leaves_out: bool,
}

impl Reviewed {
    pub fn of<'a>(actions: impl IntoIterator<Item = &'a Action>) -> Self {
        Self::because(Choice::Reviewed, actions)
    }

    /// R47
    pub fn of_wave<'a>(actions: impl IntoIterator<Item = &'a Action>) -> Self {
        Self::because(Choice::Wave, actions)
    }

    fn because<'a>(choice: Choice, actions: impl IntoIterator<Item = &'a Action>) -> Self {
        let mut reviewed = Self {
            choice,
            accounts: BTreeMap::new(),
            addresses: BTreeMap::new(),
            made: BTreeSet::new(),
        };
        for action in actions {
            let key = account_key(action.id.as_ref(), action.account, &action.address);
            let account = Account {
                id: action.id.clone(),
                kind: action.account,
                action: action.kind,
                address: action.address.clone(),
                parts: action.changes.iter().flat_map(Part::of).collect(),
            };
            let addresses = action
                .id
                .iter()
                .map(|id| (id.clone(), action.address.clone()));
            reviewed.addresses.extend(addresses);
            reviewed.accounts.insert(key, account);
        }
        reviewed
    }

    /// R34: parts that earlier invocations made are not missing, although they are no longer planned.
    #[must_use]
    pub fn made_by<'a>(mut self, actions: impl IntoIterator<Item = &'a Action>) -> Self {
        let made = Self::of(actions);
        for (key, account) in made.accounts {
            let parts = account.parts.into_iter();
            self.made.extend(parts.map(|part| (key.clone(), part)));
        }
        self
    }

    /// Takes out of the deltas what was not reviewed, with what depends on it. `allowed` is what the guard left, `settled`
    /// the possible part of that.
    pub(super) fn restrict(
        &self,
        allowed: &[Delta],
        mut settled: Vec<Delta>,
        sides: &Sides<'_>,
        memory: &Memory,
        written: &BTreeSet<ScimId>,
    ) -> Restricted {
        let review = Review {
            reviewed: self,
            world: sides.world,
            memory,
            written,
        };
        let proposed = review.found(sides.proposed.values().copied());
        let allowed = review.found(allowed);
        let possible = review.found(&settled);
        let mut notes = Vec::new();
        for delta in &mut settled {
            notes.extend(review.take_out(delta));
        }
        settled.retain(|delta| !delta.is_empty());
        let leaves_out = !notes.is_empty();
        // What this call leaves out depends on what was taken out, and is reported below.
        let deltas = settle(settled, sides).deltas;
        let planned = review.found(&deltas);
        for (key, account) in &self.accounts {
            let mut left: Vec<&Part> = Vec::new();
            for part in &account.parts {
                let entry = (key.as_str(), part);
                if planned.contains(&entry) || self.made.contains(&(key.clone(), part.clone())) {
                    continue;
                }
                let address = account.address.as_str();
                let not_made = |why| {
                    let text = format!("not made: {part}: {why}");
                    Note::new(address, Code::ReviewOutdated, text)
                };
                let needs_other = possible.contains(&entry);
                if needs_other && self.choice == Choice::Wave {
                    left.push(part);
                    continue;
                }
                notes.push(if needs_other {
                    not_made("it needs a change that is left for later")
                } else if allowed.contains(&entry) {
                    not_made("it cannot be made now")
                } else if proposed.contains(&entry) {
                    not_made("it is held now")
                } else if review.is_made(account, part) {
                    Note::new(address, Code::ReviewMade, format!("already made: {part}"))
                } else {
                    not_made("it is no longer planned as reviewed")
                });
            }
            if !left.is_empty() {
                let is_begun = planned.iter().any(|(known, _)| known == key);
                notes.push(account.left_with_others(&left, is_begun));
            }
        }
        Restricted {
            deltas,
            notes,
            leaves_out,
        }
    }
}

/// A reviewed plan together with both sides as they are now.
struct Review<'a> {
    reviewed: &'a Reviewed,
    world: &'a World,
    memory: &'a Memory,
    /// Accounts to which the run itself has written. An earlier invocation may have changed their previous values.
    written: &'a BTreeSet<ScimId>,
}

impl<'a> Review<'a> {
    /// The reviewed parts that are in the deltas.
    fn found<'d>(
        &self,
        deltas: impl IntoIterator<Item = &'d Delta>,
    ) -> BTreeSet<(&'a str, &'a Part)> {
        let parts = |delta: &Delta| {
            let parts = self.parts_of(delta).into_iter();
            let found: Vec<_> = parts.filter_map(|part| self.find(delta, &part)).collect();
            found
        };
        deltas.into_iter().flat_map(parts).collect()
    }

    /// Takes out of a delta what was not reviewed, and the same of `unless_approved`. Returns a note about what is left
    /// for later.
    fn take_out(&self, delta: &mut Delta) -> Option<Note> {
        let address = delta.address.to_string();
        let mut rest = delta.clone();
        let mut left = BTreeSet::new();
        loop {
            let mut is_changed = false;
            for change in delta.changes() {
                let parts = self.parts(&change);
                if parts.iter().any(|part| self.find(delta, part).is_none()) {
                    let rests = delta.changes().into_iter();
                    let rests = rests.filter(|other| delta.rests_on(other, &change));
                    let gone = rests.flat_map(|other| self.parts(&other)).chain(parts);
                    left.extend(gone.map(|part| part.to_string()));
                    delta.take_out(&change);
                    is_changed = true;
                    break;
                }
            }
            if !is_changed {
                break;
            }
        }
        if left.is_empty() {
            return None;
        }
        let kept = delta.changes();
        rest.retain(|change| !kept.contains(change));
        let kind = action(&rest, self.world).kind;
        let left: Vec<String> = left.into_iter().collect();
        let text = format!(
            "{} left for later, since {}: {}",
            name_in_json(kind),
            self.reviewed.choice.why_not(),
            left.join(", ")
        );
        Some(Note {
            kind: Some(kind),
            ..Note::new(address, Code::NotReviewed, text)
        })
    }

    /// Whether both sides are as the part of an account asks for. A sign-in key cannot be read (R23): the memory knows
    /// which one was written.
    fn is_made(&self, account: &Account, part: &Part) -> bool {
        let accounts = &self.world.accounts;
        let found = if let Some(id) = &account.id {
            accounts.with_id(id)
        } else {
            let mut all = accounts.with_address(&account.address).iter().copied();
            all.find(|ix| accounts.get(*ix).kind() == account.kind)
        };
        let Some(ix) = found else {
            return false;
        };
        let now = accounts.get(ix);
        let is_set_to = |has: bool| has != part.after.is_empty();
        match part.attribute {
            Attribute::Address => now.address().as_str() == part.after,
            Attribute::Name => now.name().trim() == part.after,
            Attribute::Active => accounts.is_active(ix) == (part.after == "yes"),
            Attribute::ObjectId => {
                let mapped = self.memory.mapping.iter();
                let mut mapped = mapped.filter(|(_, id)| *id == now.id());
                mapped.any(|(object_id, _)| object_id.to_string() == part.after)
            }
            Attribute::SignInKey => {
                let written = self.memory.keys.get(now.id());
                written.is_some_and(|key| key.is_of(&part.after))
            }
            Attribute::Aliases => {
                let alias = SmtpAddress::verbatim(part.entry());
                is_set_to(now.extension().aliases.contains(&alias))
            }
            Attribute::Delegates => is_set_to(self.has_delegate(ix, part.entry())),
        }
    }

    fn has_delegate(&self, ix: AccountIx, address: &str) -> bool {
        let current = self.world.accounts.delegates_of(ix);
        let known = current.users.iter().chain(&current.functional);
        let mut known = known.map(|ix| self.delegate(Target::Existing(*ix)));
        known.any(|it| it.as_str() == address)
            || current.strangers.iter().any(|it| it.as_str() == address)
    }

    fn parts_of(&self, delta: &Delta) -> BTreeSet<Part> {
        let changes = delta.changes();
        changes
            .iter()
            .flat_map(|change| self.parts(change))
            .collect()
    }

    /// A change as the values that an action shows for it.
    fn parts(&self, change: &Change) -> Vec<Part> {
        let address = |target| self.delegate(target).to_string();
        let part = |change: &Change| {
            let (before, after) = change.values(address);
            let before = before.filter(|_| !change.is_sign_in_key());
            Part {
                attribute: change.attribute(),
                before: before.unwrap_or_default(),
                after: after.unwrap_or_default(),
            }
        };
        change.parts().iter().map(part).collect()
    }

    /// The address by which the reviewed plan names a delegate. The run itself may have renamed the account since then.
    fn delegate(&self, target: Target) -> &SmtpAddress {
        let known = match target {
            Target::Existing(ix) => {
                let id = self.world.accounts.get(ix).id();
                self.reviewed.addresses.get(id)
            }
            Target::New(_) => None,
        };
        known.unwrap_or_else(|| target.address(&self.world.accounts, &self.world.directory))
    }

    /// The part of the reviewed plan that equals a part of a delta. For an account that was created since, the plan has
    /// only the address.
    fn find(&self, delta: &Delta, part: &Part) -> Option<(&'a str, &'a Part)> {
        let id = match delta.target {
            Target::Existing(ix) => Some(self.world.accounts.get(ix).id()),
            Target::New(_) => None,
        };
        let is_written = id.is_some_and(|id| self.written.contains(id));
        let keys = [
            account_key(id, delta.kind, &delta.address),
            account_key(None, delta.kind, &delta.address),
        ];
        keys.iter().find_map(|key| {
            let (key, account) = self.reviewed.accounts.get_key_value(key)?;
            let is_same = |other: &&Part| {
                let is_one_value = !part.before.is_empty() && !part.after.is_empty();
                let made_alike = other.attribute == part.attribute && other.after == part.after;
                is_written && is_one_value && made_alike
            };
            let found = account.parts.get(part);
            let found = found.or_else(|| account.parts.iter().find(is_same));
            Some((key.as_str(), found?))
        })
    }
}

fn account_key(id: Option<&ScimId>, kind: AccountKind, address: &SmtpAddress) -> String {
    match id {
        Some(id) => id.to_string(),
        None => format!("{kind:?} {address}"),
    }
}
