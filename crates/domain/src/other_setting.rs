//! R46: a setting of a preview in place of that of the program.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One setting that shapes a plan, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherSetting {
    /// Without prefix.
    pub name: String,
    /// Blank for none.
    pub value: String,
    /// That of the program when the preview was asked for.
    pub now: String,
}

/// `SOURCE_FILTER: care@corp.example (now: none)`
impl fmt::Display for OtherSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, now) = (or_none(&self.value), or_none(&self.now));
        write!(f, "{}: {value} (now: {now})", self.name)
    }
}

/// What a blank setting is called.
pub fn or_none(value: &str) -> &str {
    if value.is_empty() { "none" } else { value }
}
