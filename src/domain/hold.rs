//! Takes out of the deltas what exceeds a limit, or what a shrunken source makes doubtful (R2, R26, R27). Changes are
//! held, not accounts: the rest of a delta goes on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    accounts::{AccountIx, AccountKind, Accounts},
    address::SmtpAddress,
    delta::{Activity, Delta, Rename, Target},
    guard::{Class, Limit},
    ids::ScimId,
    matching::Matching,
    memory::{Memory, Undone},
    undo::words,
    world::Policy,
};

/// All changes of one class that were held, with what it takes to let them go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSet {
    pub class: Class,
    /// Names exactly these changes (R27).
    pub code: String,
    /// Why, in one line.
    pub reason: String,
    pub changes: Vec<HeldChange>,
}

/// One guarded change, with before and after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldChange {
    pub address: SmtpAddress,
    pub what: String,
    pub before: String,
    pub after: String,
    /// Equal for the same change of the same account with the same before and after (R27).
    pub fingerprint: String,
}

impl HeldChange {
    /// `remove alias a@corp.example`, `rename a@corp.example → b@corp.example`.
    pub fn in_words(&self) -> String {
        let values: Vec<&str> = [&*self.before, &*self.after]
            .into_iter()
            .filter(|value| !value.is_empty())
            .collect();
        format!("{} {}", self.what, values.join(" → "))
    }
}

/// What R26 measures limits by: things in Zivver now, claimed and unprotected. What was taken away in the last 24 hours is
/// added to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub active: u32,
    pub delegations: u32,
    pub aliases: u32,
    pub users: u32,
    pub accounts: u32,
}

impl Base {
    pub fn count(accounts: &Accounts, policy: &Policy, matching: &Matching) -> Self {
        let mut base = Self::default();
        for (ix, account) in accounts
            .iter()
            .filter(|(ix, _)| !matching.is_protected(*ix))
        {
            base.accounts += 1;
            base.users += u32::from(account.kind() == AccountKind::User);
            base.active += u32::from(accounts.is_active(ix));
            let aliases = account
                .extension()
                .aliases
                .iter()
                .filter(|alias| policy.claimed_domains.holds(alias));
            base.aliases += count(aliases.count());
            base.delegations += count(accounts.delegates_of(ix).users.len());
        }
        base
    }

    fn of(self, class: Class) -> u32 {
        match class {
            Class::Suspend | Class::Stray | Class::Identity => self.active,
            Class::DelegateRemoval => self.delegations,
            Class::AliasRemoval => self.aliases,
            Class::Rename => self.users,
            Class::NameChange | Class::Undone => self.accounts,
        }
    }
}

/// What decides beside the limits.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    pub base: Base,
    /// R2: why every destructive change is held.
    pub doubt: Option<String>,
    /// R27: fingerprints of changes that a person approved.
    pub approved: BTreeSet<String>,
    /// Epoch seconds.
    pub now: i64,
    /// R37: what was undone and is to be held.
    pub undone: BTreeMap<ScimId, Undone>,
}

/// The deltas that may go on, and what is held beside them.
#[derive(Debug)]
pub struct Guarded {
    pub deltas: Vec<Delta>,
    pub held: Vec<HeldSet>,
    /// Fingerprints of approved changes that are in the plan (R27: each is applied once).
    pub used: BTreeSet<String>,
    /// R26: how many changes of each class go on.
    pub counts: BTreeMap<Class, u32>,
    /// R37: what is undone still, without what was approved.
    pub undone: BTreeMap<ScimId, Undone>,
}

/// Which part of a delta a guarded change is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Identity,
    Stop,
    Rename,
    Name,
    Alias(SmtpAddress),
    Delegate(AccountIx),
    Resume,
    NewAlias(SmtpAddress),
    NewDelegate(Target),
}

/// R26 and R2, class by class. What a held class takes with it does not count for the classes after it.
pub fn guard(
    mut deltas: Vec<Delta>,
    accounts: &Accounts,
    policy: &Policy,
    memory: &Memory,
    circumstances: &Circumstances,
) -> Guarded {
    let mut held = Vec::new();
    let mut used = BTreeSet::new();
    let mut counts = BTreeMap::new();
    let (undone, redone) = hold_undone(&mut deltas, accounts, circumstances, &mut held, &mut used);
    let order = [
        Class::Identity,
        Class::Stray,
        Class::Suspend,
        Class::DelegateRemoval,
        Class::AliasRemoval,
        Class::Rename,
        Class::NameChange,
    ];
    for class in order {
        let found = changes_of(class, &deltas, accounts);
        let (approved, open): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(at, part, change)| {
                circumstances.approved.contains(&change.fingerprint)
                    || redone.contains(&(*at, part.clone()))
            });
        let spent = |class| memory.spent_since_yesterday(class, circumstances.now);
        let gone: u32 = class.shrinks_with().iter().copied().map(spent).sum();
        let wanted = Wanted {
            open: count(open.len()),
            approved: count(approved.len()),
            spent: spent(class),
            base: circumstances.base.of(class).saturating_add(gone),
        };
        used.extend(approved.into_iter().map(|found| found.2.fingerprint));
        match refusal(class, wanted, policy, circumstances) {
            None if open.is_empty() => {}
            None => {
                counts.insert(class, count(open.len()));
            }
            Some(reason) => {
                let mut changes = Vec::with_capacity(open.len());
                for (at, part, change) in open {
                    take_out(&mut deltas[at], &part);
                    changes.push(change);
                }
                changes.sort();
                held.push(HeldSet {
                    class,
                    code: code(&changes),
                    reason,
                    changes,
                });
            }
        }
    }
    deltas.retain(|delta| !delta.is_empty());
    Guarded {
        deltas,
        held,
        used,
        counts,
        undone,
    }
}

/// Parts of deltas, by position of the delta.
type Parts = Vec<(usize, Part)>;

/// R37: takes out what a person has undone. What is approved is done again, whatever the limits of its class say, and
/// is not undone any more.
fn hold_undone(
    deltas: &mut [Delta],
    accounts: &Accounts,
    circumstances: &Circumstances,
    held: &mut Vec<HeldSet>,
    used: &mut BTreeSet<String>,
) -> (BTreeMap<ScimId, Undone>, Parts) {
    let mut undone = circumstances.undone.clone();
    let (mut redone, mut changes, mut runs) = (Parts::new(), Vec::new(), BTreeSet::new());
    for (at, delta) in deltas.iter_mut().enumerate() {
        let Target::Existing(ix) = delta.target else {
            continue;
        };
        let id = accounts.get(ix).id();
        // Who an account belongs to is the first question (R16), and held by itself.
        let delta = if delta.waits_for_identity() {
            delta.unless_approved.as_deref_mut()
        } else {
            Some(delta)
        };
        let (Some(delta), Some(entry)) = (delta, undone.get_mut(id)) else {
            continue;
        };
        for (part, word, change) in redoing(delta, accounts, &entry.changes) {
            if circumstances.approved.contains(&change.fingerprint) {
                used.insert(change.fingerprint);
                redone.push((at, part));
                entry.changes.remove(&word);
            } else {
                take_out(delta, &part);
                runs.insert(entry.run.clone());
                changes.push(change);
            }
        }
    }
    undone.retain(|_, entry| !entry.changes.is_empty());
    if !changes.is_empty() {
        changes.sort();
        let runs: Vec<String> = runs.into_iter().collect();
        held.push(HeldSet {
            class: Class::Undone,
            code: code(&changes),
            reason: format!(
                "undone with run {}, and not done again until approved or until the mailbox changes (R37)",
                runs.join(", ")
            ),
            changes,
        });
    }
    (undone, redone)
}

/// A part in the words of [`Undone::changes`], and with what it does, before and after.
type Told = (Part, String, &'static str, String, String);

/// The parts of a delta that are among the undone changes.
fn redoing(
    delta: &Delta,
    accounts: &Accounts,
    undone: &BTreeSet<String>,
) -> Vec<(Part, String, HeldChange)> {
    single_parts(delta)
        .chain(set_parts(delta, accounts))
        .filter(|(_, word, ..)| undone.contains(word))
        .map(|(part, word, what, before, after)| {
            let change = change(Class::Undone, delta, accounts, what, before, after);
            (part, word, change)
        })
        .collect()
}

fn single_parts(delta: &Delta) -> impl Iterator<Item = Told> {
    let rename = delta.rename.as_ref().map(|Rename { to, .. }| {
        let (before, after) = (delta.address.to_string(), to.to_string());
        (Part::Rename, words::address(to), "rename", before, after)
    });
    let name = delta.name.as_ref().map(|(before, after)| {
        let word = words::name(after);
        let (before, after) = (before.to_string(), after.to_string());
        (Part::Name, word, "change name", before, after)
    });
    let status = delta.activity.map(|activity| {
        let (part, word, what, before, after) = match activity {
            Activity::Resume => (Part::Resume, words::RESUME, "resume", "inactive", "active"),
            Activity::Suspend(_) => (Part::Stop, words::STOP, "suspend", "active", "suspended"),
            Activity::Empty(_) => (Part::Stop, words::STOP, "empty", "members", "no members"),
        };
        (part, word.into(), what, before.into(), after.into())
    });
    rename.into_iter().chain(name).chain(status)
}

fn set_parts(delta: &Delta, accounts: &Accounts) -> impl Iterator<Item = Told> {
    let new_aliases = delta.add_aliases.iter().map(|alias| {
        let (part, word) = (Part::NewAlias(alias.clone()), words::alias(true, alias));
        (part, word, "add alias", String::new(), alias.to_string())
    });
    let old_aliases = delta.remove_aliases.iter().map(|alias| {
        let (part, word) = (Part::Alias(alias.clone()), words::alias(false, alias));
        (part, word, "remove alias", alias.to_string(), String::new())
    });
    let new_delegates = delta
        .add_delegates
        .iter()
        .filter_map(|target| match target {
            Target::Existing(ix) => {
                let who = accounts.get(*ix);
                let (part, word) = (Part::NewDelegate(*target), words::delegate(true, who.id()));
                let after = who.address().to_string();
                Some((part, word, "add delegate", String::new(), after))
            }
            Target::New(_) => None,
        });
    let old_delegates = delta.remove_delegates.iter().map(|ix| {
        let who = accounts.get(*ix);
        let (part, word) = (Part::Delegate(*ix), words::delegate(false, who.id()));
        let before = who.address().to_string();
        (part, word, "remove delegate", before, String::new())
    });
    new_aliases
        .chain(old_aliases)
        .chain(new_delegates)
        .chain(old_delegates)
}

/// R26: how many guarded changes of each class a delta holds, approved or not.
pub fn guarded_changes(delta: &Delta, accounts: &Accounts) -> BTreeMap<Class, u32> {
    let mut counts = BTreeMap::new();
    for class in Class::ALL {
        let changes = changes_of(class, std::slice::from_ref(delta), accounts);
        if !changes.is_empty() {
            counts.insert(class, count(changes.len()));
        }
    }
    counts
}

/// R27: the fingerprints of all guarded changes in a delta.
pub fn guarded_fingerprints(delta: &Delta, accounts: &Accounts) -> Vec<String> {
    let guarded = Class::ALL
        .into_iter()
        .flat_map(|class| changes_of(class, std::slice::from_ref(delta), accounts))
        .map(|(_, _, change)| change.fingerprint);
    guarded.collect()
}

/// R27: the fingerprints in a delta that are among the approved ones.
pub fn approved_changes(
    delta: &Delta,
    accounts: &Accounts,
    approved: &BTreeSet<String>,
) -> BTreeSet<String> {
    if approved.is_empty() {
        return BTreeSet::new();
    }
    let redone =
        single_parts(delta)
            .chain(set_parts(delta, accounts))
            .map(|(_, _, what, before, after)| {
                change(Class::Undone, delta, accounts, what, before, after).fingerprint
            });
    guarded_fingerprints(delta, accounts)
        .into_iter()
        .chain(redone)
        .filter(|fingerprint| approved.contains(fingerprint))
        .collect()
}

/// Changes of one class.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// Those that nobody approved.
    open: u32,
    /// They go on in any case, and leave that much less room for the others (R27).
    approved: u32,
    /// Made in the last 24 hours.
    spent: u32,
    /// What the limit is of: what there was before `spent`. Else a run that was cut off would leave its successor less room
    /// than it had itself (R35).
    base: u32,
}

/// Why the open changes of a class are held, or `None`.
fn refusal(
    class: Class,
    wanted: Wanted,
    policy: &Policy,
    circumstances: &Circumstances,
) -> Option<String> {
    let Wanted {
        open,
        approved,
        spent,
        base,
    } = wanted;
    if open == 0 {
        return None;
    }
    if let Some(doubt) = circumstances
        .doubt
        .as_ref()
        .filter(|_| class.is_destructive())
    {
        return Some(doubt.clone());
    }
    let limit = policy.limits.of(class);
    let mut allowed = limit.of(base);
    // R26: never more than half of what is active, but a lone account is not a majority.
    let mut half = "";
    if matches!(class, Class::Suspend | Class::Stray)
        && limit != Limit::Off
        && allowed > (base / 2).max(1)
    {
        allowed = (base / 2).max(1);
        half = ", and never more than half of what is active";
    }
    let all = u64::from(open) + u64::from(approved) + u64::from(spent);
    (all > u64::from(allowed)).then(|| {
        let changes = if open == 1 { "change" } else { "changes" };
        let beside = match approved {
            0 => String::new(),
            approved => format!(", beside {approved} approved"),
        };
        let before = match spent {
            0 => String::new(),
            spent => format!(", after {spent} in the last 24 hours"),
        };
        format!(
            "{open} {changes}{beside}{before}, where {}={limit} allows {allowed} of {base}{half} (R26)",
            class.setting()
        )
    })
}

fn changes_of(
    class: Class,
    deltas: &[Delta],
    accounts: &Accounts,
) -> Vec<(usize, Part, HeldChange)> {
    let mut found = Vec::new();
    for (at, delta) in deltas.iter().enumerate() {
        let mut add = |part, what: &str, before: String, after: String| {
            found.push((
                at,
                part,
                change(class, delta, accounts, what, before, after),
            ));
        };
        match class {
            Class::Undone => {} // Known by what was undone, not by what it is.
            Class::Identity => identity(delta, &mut add),
            Class::Stray | Class::Suspend => stop(class, delta, accounts, &mut add),
            Class::DelegateRemoval => {
                for ix in &delta.remove_delegates {
                    let address = accounts.get(*ix).address().to_string();
                    add(
                        Part::Delegate(*ix),
                        "remove delegate",
                        address,
                        String::new(),
                    );
                }
            }
            Class::AliasRemoval => {
                for alias in &delta.remove_aliases {
                    add(
                        Part::Alias(alias.clone()),
                        "remove alias",
                        alias.to_string(),
                        String::new(),
                    );
                }
            }
            Class::Rename => {
                if let Some(rename) = delta.rename.as_ref().filter(|rename| rename.class == class) {
                    add(
                        Part::Rename,
                        "rename",
                        delta.address.to_string(),
                        rename.to.to_string(),
                    );
                }
            }
            Class::NameChange => {
                if let Some((before, after)) = &delta.name {
                    add(
                        Part::Name,
                        "change name",
                        before.to_string(),
                        after.to_string(),
                    );
                }
            }
        }
    }
    found
}

fn stop(
    class: Class,
    delta: &Delta,
    accounts: &Accounts,
    add: &mut impl FnMut(Part, &str, String, String),
) {
    match delta.activity {
        Some(Activity::Suspend(of)) if of == class => {
            add(Part::Stop, "suspend", "active".into(), "suspended".into());
        }
        Some(Activity::Empty(of)) if of == class => {
            let members = delta
                .remove_delegates
                .iter()
                .map(|ix| accounts.get(*ix).address().as_str());
            add(
                Part::Stop,
                "empty",
                members.collect::<Vec<_>>().join(" "),
                "no members".into(),
            );
        }
        Some(Activity::Suspend(_) | Activity::Empty(_) | Activity::Resume) | None => {}
    }
}

fn identity(delta: &Delta, add: &mut impl FnMut(Part, &str, String, String)) {
    if let Some(tie) = &delta.tie {
        let after = delta
            .owner
            .map_or_else(|| "no object id".to_owned(), |id| id.to_string());
        add(
            Part::Identity,
            "give to another object id",
            tie.to_string(),
            after,
        );
    } else if let Some(rename) = delta
        .rename
        .as_ref()
        .filter(|rename| rename.class == Class::Identity)
    {
        add(
            Part::Identity,
            "rename on the evidence of an alias",
            delta.address.to_string(),
            rename.to.to_string(),
        );
    }
}

fn change(
    class: Class,
    delta: &Delta,
    accounts: &Accounts,
    what: &str,
    before: String,
    after: String,
) -> HeldChange {
    let id = match delta.target {
        Target::Existing(ix) => accounts.get(ix).id().as_str(),
        Target::New(_) => "",
    };
    // R16, R17: who gets an account is part of what is approved, also where no address tells it.
    let owner = delta.owner.filter(|_| class == Class::Identity);
    let texts = [
        class.setting(),
        id,
        delta.address.as_str(),
        what,
        &before,
        &after,
    ];
    let owner = owner.map(|id| id.to_string());
    let fingerprint = digest(texts.into_iter().chain(owner.as_deref()));
    HeldChange {
        address: delta.address.clone(),
        what: what.into(),
        before,
        after,
        fingerprint,
    }
}

/// Removes a held part. What rests on it goes with it: a delta whose owner is in doubt goes whole (R16), an `empty`
/// whose members may not be removed is none.
fn take_out(delta: &mut Delta, part: &Part) {
    match part {
        Part::Identity => match delta.unless_approved.take() {
            Some(instead) => *delta = *instead,
            None => clear(delta),
        },
        Part::Stop => {
            delta.activity = None;
            if delta.kind == AccountKind::Functional {
                delta.remove_delegates.clear();
            }
        }
        Part::Rename => delta.rename = None,
        Part::Name => delta.name = None,
        Part::Alias(alias) => {
            delta.remove_aliases.remove(alias);
        }
        Part::Resume => delta.activity = None,
        Part::NewAlias(alias) => {
            delta.add_aliases.remove(alias);
        }
        Part::NewDelegate(target) => {
            delta.add_delegates.remove(target);
        }
        Part::Delegate(ix) => {
            delta.remove_delegates.remove(ix);
            if delta.is_empty_of_members() {
                delta.activity = None;
            }
        }
    }
}

fn clear(delta: &mut Delta) {
    delta.tie = None;
    delta.rename = None;
    delta.name = None;
    delta.activity = None;
    delta.add_aliases.clear();
    delta.remove_aliases.clear();
    delta.add_delegates.clear();
    delta.remove_delegates.clear();
}

/// R27: a short name for exactly these changes.
fn code(changes: &[HeldChange]) -> String {
    let mut code = digest(changes.iter().map(|change| change.fingerprint.as_str()));
    code.truncate(10);
    code
}

/// The hexadecimal hash of some texts, each with its length, so that no two lists look alike.
pub(super) fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(16)
        .fold(String::new(), |mut hex, byte| {
            use std::fmt::Write as _;
            write!(hex, "{byte:02x}").expect("writing to a string does not fail");
            hex
        })
}

fn count(number: usize) -> u32 {
    super::directory::to_u32(number)
}
