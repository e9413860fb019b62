//! The parameters of one run, in addition to the policy.

use std::collections::BTreeSet;

use super::{
    hold::{Base, Marks},
    ids::ScimId,
    reviewed::Reviewed,
    scope::RunScope,
    wave::Wave,
};

#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// R39.
    pub scope: RunScope,
    /// R39: accounts to which the run has written. They stay in its scope, since the run itself may have changed the
    /// address that named them.
    pub written: BTreeSet<ScimId>,
    /// R27: fingerprints of the changes that the codes of the run approve.
    pub approved: BTreeSet<String>,
    /// Epoch seconds.
    pub now: i64,
    /// R25: the last run was cut off.
    pub stops_first: bool,
    /// R26: the state at the start of the run, if an earlier plan of the run stored it.
    pub began: Option<Base>,
    /// R36: in a verification, the changes that the run held. No others are held.
    pub held: Option<Marks>,
    /// R28: only these changes are made.
    pub reviewed: Option<Reviewed>,
    /// R47: only this part of the plan is made, if nothing was reviewed.
    pub wave: Option<Wave>,
}
