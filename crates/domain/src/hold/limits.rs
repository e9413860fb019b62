//! Whether the changes of a class exceed their limit (R2, R26).

use std::collections::BTreeMap;

use super::Doubt;
use crate::{
    change::Change,
    delta::Delta,
    guard::{Class, Limit},
    world::Policy,
};

/// Changes of one class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Those without an approval.
    pub(super) open: u32,
    /// These are carried out in any case, and reduce the room for the others (R27).
    pub(super) approved: u32,
    /// R47: rejected in the last 24 hours. If they did not count, changes that were held with them could come within
    /// the limit.
    pub(super) rejected: u32,
    /// Made in the last 24 hours, or begun before.
    pub(super) spent: u32,
    /// The number that a percentage is of.
    pub(super) base: u32,
    /// Whether the base is that of an earlier run, and there are more now.
    pub(super) has_grown: bool,
}

/// R26: a run never takes away more than half of what there is. This number is allowed even if it is more than half.
const HALF_MIN: u32 = 3;

/// Why the open changes of a class are held, or `None`.
pub(super) fn refusal(
    class: Class,
    wanted: Wanted,
    policy: &Policy,
    doubt: &Doubt,
) -> Option<String> {
    let Wanted {
        open,
        approved,
        rejected,
        spent,
        base,
        has_grown,
    } = wanted;
    if open == 0 {
        return None;
    }
    if let Some(doubt) = doubt.about(class) {
        return Some(doubt.clone());
    }
    let limit = policy.limits.of(class);
    let mut allowed = limit.of(base);
    let most = (base / 2).max(HALF_MIN);
    let mut half = "";
    if class.is_destructive() && limit != Limit::Off && allowed > most {
        allowed = most;
        half = ", and never more than half of the existing ones";
    }
    let all = [open, approved, rejected, spent].map(u64::from);
    let all: u64 = all.into_iter().sum();
    (all > u64::from(allowed)).then(|| {
        let changes = if open == 1 { "change" } else { "changes" };
        let beside = match (approved, rejected) {
            (0, 0) => String::new(),
            (approved, 0) => format!(", beside {approved} approved"),
            (0, rejected) => format!(", beside {rejected} rejected"),
            (approved, rejected) => {
                format!(", beside {approved} approved and {rejected} rejected")
            }
        };
        let before = match spent {
            0 => String::new(),
            spent => format!(", after {spent} in the last 24 hours"),
        };
        // A limit that is no percentage does not depend on the base. The changes of today may be others than the first.
        let grown = if has_grown && matches!(limit, Limit::Percent { .. }) {
            ", as when changes of this kind were first held"
        } else {
            ""
        };
        if allowed == 0 {
            let setting = class.setting();
            return format!("{open} {changes}{beside}{before}; {setting}={limit} allows none{grown} (R26)");
        }
        format!(
            "{open} {changes}{beside}{before}, where {}={limit} allows {allowed} of {base}{grown}{half} (R26)",
            class.setting()
        )
    })
}

/// R26: the number of changes of a delta in each class, approved or not.
pub fn guarded_changes(delta: &Delta) -> BTreeMap<Class, u32> {
    let mut counts = BTreeMap::new();
    for (class, weight) in delta.changes().iter().flat_map(Change::classes) {
        *counts.entry(class).or_default() += weight;
    }
    counts
}
