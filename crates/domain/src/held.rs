//! Changes that wait for a person, as reports show them (R26, R27).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{address::SmtpAddress, guard::Class, origin::Origin};

/// All held changes of one class, with the code that approves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSet {
    pub class: Class,
    /// A hash of exactly these changes (R27).
    pub code: String,
    /// Why they are held, in one line.
    pub reason: String,
    pub changes: Vec<HeldChange>,
    /// R27: held changes of other sets without which some of `changes` cannot be made. The code approves them too.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub companions: Vec<HeldChange>,
    /// R47: what a person has rejected since the run. It is in neither of the other lists, and its code alone does not
    /// approve it. A stored report has none: they are set apart when the report is read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rejected: Vec<HeldChange>,
    /// R47: the same of what was approved since the run, and is made or about to be made.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approved: Vec<HeldChange>,
    /// R41: with `FOUR_EYES`, who can approve it, and how. No command then approves it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub second_person: Option<String>,
}

impl HeldSet {
    /// Everything that its code approves.
    pub fn approves(&self) -> impl Iterator<Item = &HeldChange> {
        self.changes.iter().chain(&self.companions)
    }

    pub(super) fn approves_mut(&mut self) -> impl Iterator<Item = &mut HeldChange> {
        self.changes.iter_mut().chain(&mut self.companions)
    }

    /// R47: whether everything that it held was rejected or approved since, so that it waits for nobody.
    pub fn is_decided(&self) -> bool {
        self.changes.is_empty() && (!self.rejected.is_empty() || !self.approved.is_empty())
    }

    /// Whether an approval would make any of its changes.
    pub fn can_be_made(&self) -> bool {
        self.changes.iter().any(|change| change.waits.is_none())
    }
}

/// One guarded change, with before and after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldChange {
    pub address: SmtpAddress,
    pub what: String,
    pub before: String,
    pub after: String,
    /// Equal for the same change of the same account with the same before and after (R27).
    pub fingerprint: String,
    /// R44. `None` where it is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
    /// R27: why an approval would not make it, with the remedy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits: Option<String>,
}

impl HeldChange {
    /// R47: whether the change is of one of these accounts. An empty set means all accounts.
    pub fn is_of(&self, accounts: &BTreeSet<SmtpAddress>) -> bool {
        accounts.is_empty() || accounts.contains(&self.address)
    }

    /// `remove alias a@corp.example`, `rename a@corp.example → b@corp.example`.
    pub fn in_words(&self) -> String {
        in_words(&self.what, &self.before, &self.after)
    }
}

/// See [`HeldChange::in_words`].
pub fn in_words(what: &str, before: &str, after: &str) -> String {
    let values: Vec<&str> = [before, after]
        .into_iter()
        .filter(|value| !value.is_empty())
        .collect();
    format!("{what} {}", values.join(" → "))
}
