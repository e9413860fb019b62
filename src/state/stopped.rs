//! The stop of a run by a person (R34), with who it was (R41).

use serde::{Deserialize, Serialize};

use crate::domain::actor::Actor;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    pub by: Option<Actor>,
}
