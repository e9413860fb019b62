//! R46: a setting of a preview that replaces the setting of the program.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One setting that affects a plan, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherSetting {
    /// Without prefix.
    pub name: String,
    /// Blank for none.
    pub value: String,
    /// The value of the program when the preview was started.
    pub now: String,
}

/// `SOURCE_FILTER: care@corp.example (now: none)`
impl fmt::Display for OtherSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, now) = (or_none(&self.value), or_none(&self.now));
        write!(f, "{}: {value} (now: {now})", self.name)
    }
}

/// The text for a setting, `none` if it is blank.
pub fn or_none(value: &str) -> &str {
    if value.is_empty() { "none" } else { value }
}
