//! What the program remembers from one run to the next. The state keeps it as one document.

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
    ineffective::LIST_LAG_MAX_S,
    seen::{SeenAccounts, TargetDoubt},
};

/// How long a list may lag behind a create, or behind a change that counts in a limit, in seconds.
const LISTED_WITHIN_S: i64 = 3600;

/// Everything that later runs need to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// R16 (a): which account belongs to which mailbox.
    pub mapping: BTreeMap<ObjectId, ScimId>,
    /// R16: ties in the mapping that an equal address made while the mailbox was not understood or of another kind than the
    /// account. They keep the account from others, and give it to the mailbox under another address only if approved.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub doubtful_ties: BTreeSet<ObjectId>,
    /// R2: what the last run in which nothing was held saw.
    pub baseline: Option<Baseline>,
    /// R2: the accounts of Zivver that the last apply saw or created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_accounts: Option<SeenAccounts>,
    /// R22: changes that Zivver accepted and did not keep, by [`super::change::key_of`].
    pub ineffective: BTreeMap<String, Ineffective>,
    /// R22, R26: when the last run made removals that Zivver showed (epoch seconds), by [`super::change::key_of`]. A list
    /// that shows one as still to be made within [`LIST_LAG_MAX_S`] lags: it is sent again and does not count twice.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lately: BTreeMap<String, i64>,
    /// R23: the sign-in keys that this program wrote, by account.
    pub keys: BTreeMap<ScimId, WrittenKey>,
    /// R26: guarded changes of the last 24 hours.
    pub spent: Vec<Spent>,
    /// R36: the base of the limits that held something in the last run for all accounts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub held_of: BTreeMap<Class, u32>,
    /// R33: refused changes; the keys are those of [`super::offenders`].
    pub offenders: BTreeMap<String, Offender>,
    /// R25: the last run that wrote was cut off before its end.
    pub cut_off: bool,
    /// R37: what was undone, by account.
    pub undone: BTreeMap<ScimId, Undone>,
    /// R47: the rejected changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<Rejection>,
    /// When this program suspended users (epoch seconds).
    pub suspended: BTreeMap<ScimId, i64>,
    /// R16: accounts that this program created recently, and that a list may not show yet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub created: BTreeMap<ScimId, Created>,
    /// R17, R26: renames that began and did not end, by account.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub begun_renames: BTreeMap<ScimId, BegunRename>,
    /// R22: addresses that this program took from users whom other accounts name as a delegate by them, until no account
    /// does any more. Zivver stores delegates by address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub former_addresses: BTreeMap<SmtpAddress, ScimId>,
    /// R26, R35: a plan whose changes are not in `spent` yet, however its run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_hand: Option<InHand>,
}

/// A plan that is in progress, or was when its run was cut off, stopped or killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InHand {
    pub run: String,
    /// The number of the plan in its run, from 0.
    pub plan: u32,
    /// When the run ended, in epoch seconds; `None` if it was killed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<i64>,
    /// The part of the plan that is in `spent` already. Lists may lag, so what they do not show yet is looked for again
    /// (R22).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counted: Option<Counted>,
    /// R27: fingerprints of approved changes without an answer that Zivver has shown since then.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub made: BTreeSet<String>,
}

/// The changes of a plan that Zivver shows, as they count in the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// When it was looked for the first time, in epoch seconds.
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

/// R2: the size and the settings of a run in which nothing was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Mailboxes read.
    pub mailboxes: u32,
    /// Mailboxes in scope.
    pub in_scope: u32,
    pub tenant_id: String,
    pub claimed_domains: BTreeSet<String>,
    pub source_filter: BTreeSet<String>,
    pub target_filter: BTreeSet<String>,
}

/// R22: a change that Zivver accepted and did not keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ineffective {
    /// The number of consecutive runs in which it was sent.
    pub times: u32,
    /// Epoch seconds of the last time.
    pub last: i64,
    /// The run of that time.
    pub run: String,
    /// R26: the value that it replaced when it was sent, while `spent` counts the change, since the list may only have
    /// lagged behind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counted_from: Option<String>,
}

/// R26: the counts of changes that were sent and not made, by [`super::change::key_of`].
pub type Untaken = BTreeMap<String, Vec<(Class, u32)>>;

/// R23: the remembered facts about a written key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenKey {
    pub by: SsoAccountKey,
    /// Hash of the key's text.
    pub hash: u64,
}

impl WrittenKey {
    pub fn of(by: SsoAccountKey, key: &SignInKey) -> Self {
        let hash = Self::hash(&key.to_string());
        Self { by, hash }
    }

    pub fn is_of(&self, text: &str) -> bool {
        self.hash == Self::hash(text)
    }

    fn hash(text: &str) -> u64 {
        let hash = Sha256::digest(text);
        let first = hash.first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(first)
    }
}

/// R16: an account that this program created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    pub address: SmtpAddress,
    /// Epoch seconds.
    pub at: i64,
}

/// R17: a rename whose account is at an intermediate address. It counts when it is completed (R26).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunRename {
    pub at: SmtpAddress,
    pub to: SmtpAddress,
    /// R37: the address of the account before; `None` if an earlier version of the program began the rename.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<SmtpAddress>,
    /// The run that began it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<String>,
}

/// R26: the number of changes of a class that were made at that time (epoch seconds).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    pub at: i64,
    pub class: Class,
    pub count: u32,
}

/// R33: a change that Zivver refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offender {
    /// Fingerprint of the request. A change with another fingerprint is tried at once.
    pub asked: String,
    /// The refusal: status and text.
    pub refusal: String,
    /// The number of consecutive runs with this refusal.
    pub times: u32,
    /// Epoch seconds of the last try.
    pub last: i64,
    /// The run of the last try. A run counts once, over all its invocations.
    #[serde(default)]
    pub run: String,
}

/// R37: changes of one account, each of which is held until it is approved or its source changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The run that was undone.
    pub run: String,
    /// The changes that must not be made again, by [`super::change::Change::key`].
    pub changes: BTreeSet<String>,
    /// What the source wanted of each of them at the time of the undo. A change is missing until that is known.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
}

/// R47: a change that a person has rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    pub class: Class,
    /// The code of the held set with the change. It names the change when the rejection is taken back.
    pub code: String,
    pub change: HeldChange,
    /// Epoch seconds.
    pub at: i64,
    /// R41: who rejected it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Actor>,
    /// The account, once a run has planned the change again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<ScimId>,
    /// What the source wanted when the change was last planned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<SourceState>,
}

/// Hashes of what the source wants for an account. `None` if that was not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    pub mailbox: Option<String>,
    pub delegations: Option<String>,
}

impl SourceState {
    /// R11: an unknown value does not count as a change.
    pub fn is_like(&self, other: &Self) -> bool {
        let like = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        like(&self.mailbox, &other.mailbox) && like(&self.delegations, &other.delegations)
    }
}

impl Memory {
    /// R2: why `now` cannot be the content of Zivver, or `None`. A memory of a version that did not store the seen
    /// accounts has at least those of the mapping.
    pub fn target_doubt(&self, now: &Actual, ratio: f64) -> Option<TargetDoubt> {
        match &self.seen_accounts {
            Some(seen) => seen.doubt(now, ratio),
            None => SeenAccounts::from_ids(self.mapping.values()).doubt(now, ratio),
        }
    }

    /// R16, R17: the account now belongs to this object id and to no other.
    pub fn tie(&mut self, object_id: ObjectId, id: &ScimId) {
        self.mapping.retain(|_, other| other != id);
        self.mapping.insert(object_id, id.clone());
        // Who names the account by a former address means the person before.
        self.former_addresses.retain(|_, other| other != id);
    }

    /// R16: the accounts that this program created recently, with their addresses.
    pub fn created_lately(&self) -> impl Iterator<Item = (&ScimId, &SmtpAddress)> {
        self.created.iter().map(|(id, it)| (id, &it.address))
    }

    /// R26: whether a list may still come to show a change that Zivver accepted, by [`super::change::key_of`].
    pub fn may_show_late(&self, key: &str, now: i64) -> bool {
        let entry = self.ineffective.get(key);
        entry.is_some_and(|entry| now - entry.last < LISTED_WITHIN_S)
    }

    /// R22, R26: a change that a later run finds still to be made did not take anything away, so it no longer counts.
    pub fn give_back(&mut self, untaken: &Untaken) {
        for (key, counts) in untaken {
            let counted = self.ineffective.get_mut(key);
            let counted = counted.and_then(|it| it.counted_from.take().map(|_| it.last));
            let counted = counted.or_else(|| self.lately.remove(key));
            let Some(counted) = counted else {
                continue;
            };
            for (class, mut count) in counts.iter().copied() {
                let spent = self.spent.iter_mut().rev();
                for spent in spent.filter(|it| it.class == class && it.at <= counted) {
                    let back = count.min(spent.count);
                    spent.count -= back;
                    count -= back;
                }
            }
        }
    }

    /// Whether a plan is in progress, or was when its run was killed.
    pub fn is_in_progress(&self) -> bool {
        self.in_hand
            .as_ref()
            .is_some_and(|plan| plan.ended.is_none())
    }

    /// Corrects times that were written while the clock was ahead: they count as `now` (epoch seconds). Forgets what was
    /// done so long ago that every list shows it.
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
        for at in self.lately.values_mut() {
            *at = (*at).min(now);
        }
        self.lately.retain(|_, at| now - *at < LIST_LAG_MAX_S);
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

    /// R26: the number of changes of a class in the 24 hours before `now` (epoch seconds), and later ones.
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
    const NOW: i64 = 1_800_000_000;

    #[test]
    fn r26_what_a_clock_that_was_ahead_wrote_counts_for_24_hours_from_now() {
        let now = NOW;
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

    #[test]
    fn r26_what_was_not_made_is_given_back_from_the_newest_that_counts() {
        let counts = |memory: &Memory| memory.spent.iter().map(|it| it.count).collect::<Vec<_>>();
        let spent = |at, class, count| Spent { at, class, count };
        let mut memory = Memory {
            spent: vec![
                spent(1, Class::AliasRemoval, 2),
                spent(2, Class::AliasRemoval, 2),
                spent(2, Class::Rename, 1),
                spent(4, Class::AliasRemoval, 5),
            ],
            ..Memory::default()
        };
        memory.lately.insert("anna -alias".into(), 3);
        let untaken: Untaken = [("anna -alias".into(), vec![(Class::AliasRemoval, 3)])].into();
        memory.give_back(&untaken);
        assert_eq!(counts(&memory), [1, 0, 1, 5]);
        memory.give_back(&untaken);
        assert_eq!(counts(&memory), [1, 0, 1, 5], "each once");
    }

    #[test]
    fn r16_a_created_account_may_be_missing_from_the_list_for_an_hour() {
        let mut memory = Memory::default();
        let now = NOW;
        for (id, at) in [
            ("new", now - 3599),
            ("old", now - 3600),
            ("ahead", now + DAY),
        ] {
            let address = SmtpAddress::verbatim("anna@corp.example");
            memory
                .created
                .insert(ScimId::new(id), Created { address, at });
        }
        memory.correct_times(now);
        let kept = memory.created.iter();
        let kept: Vec<_> = kept.map(|(id, it)| (id.as_str(), it.at)).collect();
        assert_eq!(kept, [("ahead", now), ("new", now - 3599)]);
    }

    #[test]
    fn r11_r47_what_is_unknown_of_a_source_is_no_difference() {
        let state = |mailbox: Option<&str>, delegations: Option<&str>| SourceState {
            mailbox: mailbox.map(str::to_owned),
            delegations: delegations.map(str::to_owned),
        };
        let known = state(Some("a"), Some("b"));
        for (other, is_like) in [
            (known.clone(), true),
            (state(None, Some("b")), true),
            (state(Some("a"), None), true),
            (SourceState::default(), true),
            (state(Some("x"), Some("b")), false),
            (state(Some("a"), Some("x")), false),
            (state(None, Some("x")), false),
        ] {
            assert_eq!(known.is_like(&other), is_like, "{other:?}");
            assert_eq!(other.is_like(&known), is_like, "{other:?}");
        }
    }

    #[test]
    fn r27_a_plan_is_in_progress_until_its_end_is_known() {
        let mut memory = Memory::default();
        assert!(!memory.is_in_progress());
        let mut plan = InHand::new("R".into(), 0);
        memory.in_hand = Some(plan.clone());
        assert!(memory.is_in_progress());
        plan.ended = Some(NOW);
        memory.in_hand = Some(plan);
        assert!(!memory.is_in_progress());
    }
}
