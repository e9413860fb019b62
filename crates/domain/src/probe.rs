//! What a real tenant answers to open questions (`docs/specs/exchange-online.md`, "9. Probes"): facts without names, to be
//! sent to us.

use std::collections::BTreeMap;

use serde::Serialize;

/// One question, and what the tenant says to it. Nothing in it names the tenant, a mailbox or an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probed {
    /// `exchange 4` is probe 4 of `docs/specs/exchange-online.md`, "9. Probes".
    pub probe: &'static str,
    pub question: &'static str,
    pub answer: String,
    /// Set where the answer speaks for another default than the program's, with what to set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<String>,
}

/// Everything that was asked, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AnswerSheet {
    pub version: &'static str,
    pub answers: Vec<Probed>,
    /// Milliseconds for each mailbox, by the value of `EXO_PERMISSIONS`; one that the tenant does not support is absent.
    pub permissions_ms: BTreeMap<&'static str, u64>,
    /// The fastest of them.
    pub fastest: Option<&'static str>,
}

impl AnswerSheet {
    pub fn say(&mut self, probe: &'static str, question: &'static str, answer: impl Into<String>) {
        self.answers.push(Probed {
            probe,
            question,
            answer: answer.into(),
            changes: None,
        });
    }

    /// The last answer speaks for another default.
    pub fn speaks_for(&mut self, changes: impl Into<String>) {
        if let Some(last) = self.answers.last_mut() {
            last.changes = Some(changes.into());
        }
    }
}
