//! What differs from the previous run (R36), or from the plan under the present settings (R46), as a report shows it.

use serde::{Deserialize, Serialize};

/// A comparison with what the newest earlier run that was for all accounts and did not fail has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub run: String,
    /// RFC 3339, UTC: when that run began.
    pub started: String,
    #[serde(flatten)]
    pub compared: Comparison,
}

/// The differences between two reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Numbers that differ, with both values.
    pub numbers: Vec<NumberChange>,
    /// What is to be done or looked at now, but was not then.
    pub new: Vec<Finding>,
    pub new_total: u32,
    /// What was to be done or looked at then, but no longer is.
    pub gone: Vec<Finding>,
    pub gone_total: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberChange {
    /// The name of the number in the JSON form of a report.
    pub what: String,
    pub before: u32,
    pub now: u32,
}

/// Something about one address that is to be done or looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    pub kind: FindingKind,
    pub address: String,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    Refused,
    Held,
    Attention,
    /// Planned, and not carried out.
    Pending,
}
