//! The stop of a run by a person (R34), with who it was (R41).

use serde::{Deserialize, Serialize};

use crate::domain::actor::Actor;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Stopped {
    pub by: Option<Actor>,
}

/// What earlier versions stored, too.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Bare(#[expect(dead_code, reason = "always true")] bool),
    By { by: Option<Actor> },
}

impl From<Stored> for Stopped {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Bare(_) => Self::default(),
            Stored::By { by } => Self { by },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r41_a_stop_of_an_earlier_version_tells_nobody() {
        let stopped = Stopped {
            by: Some(Actor::function_key("night shift")),
        };
        let json = serde_json::to_string(&stopped).unwrap();
        assert_eq!(serde_json::from_str::<Stopped>(&json).unwrap(), stopped);
        let bare = serde_json::from_str::<Stopped>("true").unwrap();
        assert_eq!(bare, Stopped::default());
    }
}
