//! Changes by hand in Zivver, as a report lists them (R44).

use super::Report;
use crate::{
    action::{Action, AttributeChange},
    address::SmtpAddress,
    held::HeldChange,
    origin::Origin,
};

/// R44: a change that takes back what was changed by hand.
#[derive(Debug, Clone, Copy)]
pub enum ByHand<'a> {
    Planned {
        action: &'a Action,
        change: &'a AttributeChange,
        /// The value of the change that it is about.
        entry: &'a str,
    },
    Held(&'a HeldChange),
}

impl ByHand<'_> {
    pub fn address(&self) -> &SmtpAddress {
        match self {
            Self::Planned { action, .. } => &action.address,
            Self::Held(change) => &change.address,
        }
    }
}

impl Report {
    /// R44: changes by hand in Zivver that the run is about to undo, has undone, or holds.
    pub fn by_hand(&self) -> impl Iterator<Item = ByHand<'_>> {
        let changes = self.actions.iter().flat_map(|it| {
            let changes = it.action.changes.iter();
            changes.map(|change| (&it.action, change))
        });
        let held = self.held.iter().flat_map(|set| &set.changes);
        let held = held.filter(|it| it.origin == Some(Origin::ChangedByHand));
        let planned = changes.flat_map(|(action, change)| {
            let origins = change.origins.iter();
            let by_hand = origins.filter(|(_, origin)| **origin == Origin::ChangedByHand);
            by_hand.map(move |(entry, _)| ByHand::Planned {
                action,
                change,
                entry,
            })
        });
        planned.chain(held.map(ByHand::Held))
    }
}
