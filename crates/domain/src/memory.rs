//! What the program remembers from one run to the next; kept by the state as one document.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    account::Actual,
    actor::Actor,
    address::SmtpAddress,
    guard::Class,
    held::HeldChange,
    ids::{ObjectId, ScimId, SignInKey, SsoAccountKey},
    seen::{SeenAccounts, TargetDoubt},
};

/// How long a list may lag behind a create.
const LISTED_WITHIN_S: i64 = 3600;

/// Everything that later runs need to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// R16 (a): which account belongs to which mailbox.
    pub mapping: BTreeMap<ObjectId, ScimId>,
    /// R2: what the last run saw that nothing held back.
    pub baseline: Option<Baseline>,
    /// R2: the accounts of Zivver that the last apply saw or created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_accounts: Option<SeenAccounts>,
    /// R22: changes that Zivver accepted and did not keep, by [`super::change::key_of`].
    pub ineffective: BTreeMap<String, Ineffective>,
    /// R23: the sign-in keys that this program wrote, by account.
    pub keys: BTreeMap<ScimId, WrittenKey>,
    /// R26: guarded changes of the last 24 hours.
    pub spent: Vec<Spent>,
    /// R36: what the limits were of that held something in the last run for everybody.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub held_of: BTreeMap<Class, u32>,
    /// R33: refused changes; the keys are those of [`super::offenders`].
    pub offenders: BTreeMap<String, Offender>,
    /// R25: the last run that wrote was cut off before its end.
    pub cut_off: bool,
    /// R37: what was undone, by account.
    pub undone: BTreeMap<ScimId, Undone>,
    /// R47
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<Rejection>,
    /// When we suspended which users (epoch seconds).
    pub suspended: BTreeMap<ScimId, i64>,
    /// R16: accounts that this program created a short while ago, which a list may not show yet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub created: BTreeMap<ScimId, Created>,
    /// R17, R26: renames that were begun, by account.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub begun_renames: BTreeMap<ScimId, BegunRename>,
    /// R26, R35: a plan whose changes are not in `spent` yet, whatever became of its run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_hand: Option<InHand>,
}

/// A plan that is carried out, or was when its run was cut off, stopped or killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InHand {
    pub run: String,
    /// Counts the plans of the run, from 0.
    pub plan: u32,
    /// When the run left off, in epoch seconds; `None` if it was killed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<i64>,
    /// What of it is in `spent` already: lists may lag, so what they do not show yet is looked for again (R22).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counted: Option<Counted>,
    /// R27: fingerprints of approved changes without an answer that Zivver has shown since.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub made: BTreeSet<String>,
}

/// What a plan counts for as far as Zivver shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// When it was first looked for, in epoch seconds.
    pub since: i64,
    pub counts: BTreeMap<Class, u32>,
}

impl InHand {
    pub fn new(run: String, plan: u32) -> Self {
        Self {
            run,
            plan,
            ended: None,
            counted: None,
            made: BTreeSet::new(),
        }
    }
}

/// R2: the size and the settings of a run that nothing held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Mailboxes read.
    pub mailboxes: u32,
    /// Mailboxes in scope.
    pub in_scope: u32,
    pub tenant_id: String,
    pub claimed_domains: BTreeSet<String>,
    pub source_filter: BTreeSet<String>,
    /// `None` for a run that did not remember it.
    #[serde(default)]
    pub target_filter: Option<BTreeSet<String>>,
}

/// R22: a change that Zivver accepted and did not keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ineffective {
    /// Runs in a row in which it was sent.
    pub times: u32,
    /// Epoch seconds of the last time.
    pub last: i64,
    /// The run of the last time.
    pub run: String,
    /// R26: the value that it replaced, when it was sent, as long as `spent` counts it: a list may only have
    /// lagged behind it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counted_from: Option<String>,
}

/// R26: what changes count that were sent and not made, by [`super::change::key_of`].
pub type Untaken = BTreeMap<String, Vec<(Class, u32)>>;

/// R23: what is remembered of a key that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenKey {
    pub by: SsoAccountKey,
    /// Of the key's text.
    pub hash: u64,
}

impl WrittenKey {
    pub fn of(by: SsoAccountKey, key: &SignInKey) -> Self {
        let hash = Sha256::digest(key.to_string());
        let first = hash.first_chunk().copied().unwrap_or_default();
        Self {
            by,
            hash: u64::from_le_bytes(first),
        }
    }
}

/// R16: an account that this program created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    pub address: SmtpAddress,
    /// Epoch seconds.
    pub at: i64,
}

/// R17: a rename that left its account at an intermediate address. It counts when it comes to its end (R26).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunRename {
    pub at: SmtpAddress,
    pub to: SmtpAddress,
    /// R37: the address that the account had before; `None` if an earlier version began it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<SmtpAddress>,
    /// The run that began it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<String>,
}

/// R26: so many changes of a class were made at that time (epoch seconds).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    pub at: i64,
    pub class: Class,
    pub count: u32,
}

/// R33: something that Zivver refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offender {
    /// Fingerprint of what was asked for; another content is tried at once.
    pub asked: String,
    /// The refusal: status and text.
    pub refusal: String,
    /// Runs in a row that were refused like this.
    pub times: u32,
    /// Epoch seconds of the last try.
    pub last: i64,
    /// The run of the last try: it counts once, over all its invocations.
    #[serde(default)]
    pub run: String,
}

/// R37: changes of one account that are held until they are approved, or until its source changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The run that was undone.
    pub run: String,
    /// What the source wanted when it was undone.
    pub source: SourceState,
    /// What must not be done again, in the words of [`super::undo`].
    pub changes: BTreeSet<String>,
}

/// R47: a change that a person has rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    pub class: Class,
    /// Of the held set that it was in. It names the change where the rejection is taken back.
    pub code: String,
    pub change: HeldChange,
    /// Epoch seconds.
    pub at: i64,
    /// R41
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Actor>,
    /// The account, once a run has planned the change again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<ScimId>,
    /// What the source wanted the last time that the change was planned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<SourceState>,
}

/// Hashes of what the source wants for an account; `None` where that was not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    pub mailbox: Option<String>,
    pub delegations: Option<String>,
}

impl SourceState {
    /// R11: unknown is not a change.
    pub fn is_like(&self, other: &Self) -> bool {
        let like = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        like(&self.mailbox, &other.mailbox) && like(&self.delegations, &other.delegations)
    }
}

impl Memory {
    /// R2: why `now` is not what Zivver has, or `None`. A memory from before accounts were remembered has at least those that
    /// belong to mailboxes.
    pub fn target_doubt(&self, now: &Actual, ratio: f64) -> Option<TargetDoubt> {
        match &self.seen_accounts {
            Some(seen) => seen.doubt(now, ratio),
            None => SeenAccounts::from_ids(self.mapping.values()).doubt(now, ratio),
        }
    }

    /// R16, R17: an account belongs to this object id from now on, and to no other.
    pub fn tie(&mut self, object_id: ObjectId, id: &ScimId) {
        self.mapping.retain(|_, other| other != id);
        self.mapping.insert(object_id, id.clone());
    }

    /// R22, R26: what a later run finds to be done still took nothing away when it was sent.
    pub fn give_back(&mut self, untaken: &Untaken) {
        for (key, counts) in untaken {
            let Some(entry) = self.ineffective.get_mut(key) else {
                continue;
            };
            if entry.counted_from.take().is_none() {
                continue;
            }
            for (class, mut count) in counts.iter().copied() {
                let spent = self.spent.iter_mut().rev();
                for spent in spent.filter(|it| it.class == class && it.at <= entry.last) {
                    let back = count.min(spent.count);
                    spent.count -= back;
                    count -= back;
                }
            }
        }
    }

    /// What was written while the clock was ahead has happened by `now` (epoch seconds), and counts for 24 hours from then.
    /// Whether a plan is carried out, or was when its run was killed.
    pub fn is_in_progress(&self) -> bool {
        self.in_hand
            .as_ref()
            .is_some_and(|plan| plan.ended.is_none())
    }

    /// Every list shows by now what was created long ago.
    pub fn correct_times(&mut self, now: i64) {
        for spent in &mut self.spent {
            spent.at = spent.at.min(now);
        }
        for offender in self.offenders.values_mut() {
            offender.last = offender.last.min(now);
        }
        for entry in self.ineffective.values_mut() {
            entry.last = entry.last.min(now);
        }
        for at in self.suspended.values_mut() {
            *at = (*at).min(now);
        }
        for rejection in &mut self.rejections {
            rejection.at = rejection.at.min(now);
        }
        for created in self.created.values_mut() {
            created.at = created.at.min(now);
        }
        self.created
            .retain(|_, created| created.at > now - LISTED_WITHIN_S);
        let counted = self.in_hand.as_mut().and_then(|it| it.counted.as_mut());
        if let Some(counted) = counted {
            counted.since = counted.since.min(now);
        }
    }

    /// R26: changes of a class in the 24 hours before `now` (epoch seconds), and after it.
    pub fn spent_since_yesterday(&self, class: Class, now: i64) -> u32 {
        self.spent
            .iter()
            .filter(|spent| spent.class == class && spent.at > now - 86_400)
            .map(|spent| spent.count)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn r26_what_a_clock_that_was_ahead_wrote_counts_for_24_hours_from_now() {
        let now = 1_800_000_000;
        for ahead in [1, DAY, 400 * DAY] {
            let mut memory = Memory {
                spent: vec![Spent {
                    at: now + ahead,
                    class: Class::Suspend,
                    count: 3,
                }],
                ..Memory::default()
            };
            assert_eq!(memory.spent_since_yesterday(Class::Suspend, now), 3);
            memory.correct_times(now);
            for (later, counted) in [(0, 3), (DAY - 1, 3), (DAY, 0)] {
                memory.correct_times(now + later);
                let spent = memory.spent_since_yesterday(Class::Suspend, now + later);
                assert_eq!(spent, counted, "{ahead} {later}");
            }
        }
    }
}
