//! What one run wants beyond the policy.

use std::collections::BTreeSet;

use super::{
    hold::{Base, Marks},
    ids::ScimId,
    reviewed::Reviewed,
    scope::RunScope,
    wave::Wave,
};

/// What one run wants beyond the policy.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// R39.
    pub scope: RunScope,
    /// R39: accounts that the run has written to. They stay in its scope: the run itself may have changed the address that
    /// named them.
    pub written: BTreeSet<ScimId>,
    /// R27: fingerprints of the changes that the run's codes stand for.
    pub approved: BTreeSet<String>,
    /// Epoch seconds.
    pub now: i64,
    /// R25: the last run was cut off.
    pub stops_first: bool,
    /// R26: the state in which the run began, if an earlier plan of it counted that.
    pub began: Option<Base>,
    /// R36: verification holds what the run held, and nothing else.
    pub held: Option<Marks>,
    /// R28: nothing but these changes is made.
    pub reviewed: Option<Reviewed>,
    /// R47: where nothing was reviewed, nothing but this part of the plan is made.
    pub wave: Option<Wave>,
}
