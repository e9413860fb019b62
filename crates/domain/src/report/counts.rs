//! The numbers of a report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{action::ActionKind, name_in_json, note::Code, origin::Origin};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub planned: BTreeMap<ActionKind, u32>,
    pub applied: BTreeMap<ActionKind, u32>,
    /// R35: those in `applied` of which a part is left; they are in `remaining` too.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub in_part: u32,
    pub refused: u32,
    pub failed: u32,
    /// Changes in held sets.
    pub held: u32,
    pub skipped: BTreeMap<String, u32>,
    /// R44: changes of the plan, held ones too, by what caused them; empty where there is nothing to compare with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub origins: BTreeMap<Origin, u32>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Counts {
    /// Whether something in Zivver was changed, or may have been.
    pub fn may_have_written(&self) -> bool {
        !self.applied.is_empty() || self.failed > 0
    }

    /// Of what `remaining` counts, the actions of which nothing was done. A run that was cut off while it read has
    /// planned none.
    pub fn not_started(&self, remaining: u32) -> u32 {
        if self.planned.is_empty() {
            return 0;
        }
        remaining.saturating_sub(self.in_part)
    }

    /// R28, R39: whether changes are left for a later run, since they were not reviewed, or need an account that the
    /// run does not cover.
    pub fn leave_out(&self) -> bool {
        let mut codes = Code::ALL.iter().filter(|code| code.is_outside_run());
        codes.any(|code| self.skipped.contains_key(&name_in_json(*code)))
    }

    /// R45: how many users are left to be resumed by a full run.
    pub fn resumes_left(&self) -> u32 {
        let left = self.skipped.get(&name_in_json(Code::ResumeLeft));
        left.copied().unwrap_or_default()
    }
}
