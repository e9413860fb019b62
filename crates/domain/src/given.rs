//! What the decisions of a plan rest on.

use super::{
    matching::Matching,
    memory::Memory,
    world::{Policy, World},
};

/// Both sides, and the decisions about them that are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) world: &'a World,
    pub(crate) policy: &'a Policy,
    pub(crate) memory: &'a Memory,
    pub(crate) matching: &'a Matching,
}

impl Given<'_> {
    pub(crate) fn with<'b>(&'b self, matching: &'b Matching) -> Given<'b> {
        Given { matching, ..*self }
    }
}
