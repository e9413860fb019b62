//! The state of the accounts at the end of the last complete run (R28). Every page and message shows these figures with
//! their time until the next complete run, since a run that failed or was for some accounts did not see all of them.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    counted::number,
    guard::Class,
    plan::ActionKind,
    report::{ActionOutcome, Report},
};

/// Figures of a complete run. They name no account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub run: String,
    /// RFC 3339, UTC: when that run ended.
    pub ended: String,
    /// As the run read them last, like the next two numbers.
    pub mailboxes: u32,
    pub in_scope: u32,
    /// Active accounts in Zivver.
    pub active: u32,
    /// Accounts with changes that were not made, by kind.
    pub pending: BTreeMap<ActionKind, u32>,
    pub held: Vec<HeldLine>,
    /// Accounts with a change that was refused or failed.
    pub failed: u32,
    /// Accounts that still differed when they were read again (R36).
    pub differences: u32,
    /// Findings that need attention.
    pub findings: u32,
}

/// A held set without its changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldLine {
    pub class: Class,
    pub changes: usize,
    pub reason: String,
    pub code: String,
    /// The run whose report shows it: the complete run, or a later quick one (R45).
    pub run: String,
}

impl Figures {
    pub fn of(report: &Report) -> Self {
        let count = super::directory::to_u32;
        let mut pending: BTreeMap<ActionKind, u32> =
            ActionKind::ALL.map(|kind| (kind, 0)).into_iter().collect();
        for action in report.actions.iter().filter(|it| it.outcome.is_pending()) {
            *pending.entry(action.action.kind).or_default() += 1;
        }
        Self {
            run: report.id.clone(),
            ended: report.ended.clone().unwrap_or_default(),
            mailboxes: report.source.mailboxes,
            in_scope: report.source.in_scope,
            active: report.target.active,
            pending,
            held: held_lines(report),
            failed: count(report.failed.len()),
            differences: count(report.differences.len()),
            findings: count(report.attention().count()),
        }
    }

    /// R45: with the sets that only a later quick run holds, which come first.
    #[must_use]
    pub fn with_held_of(mut self, quick: &Report) -> Self {
        let mut held = held_lines(quick);
        held.retain(|line| self.held.iter().all(|known| known.code != line.code));
        held.append(&mut self.held);
        Self { held, ..self }
    }

    /// Changes in held sets.
    pub fn held_changes(&self) -> usize {
        self.held.iter().map(|set| set.changes).sum()
    }

    pub fn pending_accounts(&self) -> u32 {
        self.pending.values().sum()
    }
}

fn held_lines(report: &Report) -> Vec<HeldLine> {
    let waiting = report.held.iter().filter(|set| !set.is_decided());
    let lines = waiting.map(|set| HeldLine {
        class: set.class,
        changes: set.changes.len(),
        reason: set.reason.clone(),
        code: set.code.clone(),
        run: report.id.clone(),
    });
    lines.collect()
}

impl ActionOutcome {
    /// Whether the action must still be made.
    pub fn is_pending(self) -> bool {
        match self {
            Self::Planned | Self::Remaining => true,
            Self::Applied | Self::Partly | Self::Refused | Self::Failed => false,
        }
    }
}

/// `last complete run ended at 2026-11-23T02:00:07Z: 5 accounts pending, 3 changes held, 0 accounts refused or failed, 7 findings need
/// attention`.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accounts = |count| number(count, "account", "accounts");
        write!(
            f,
            "last complete run ended at {}: {} pending, {} held, {} refused or failed, {} attention",
            self.ended,
            accounts(self.pending_accounts()),
            number(self.held_changes(), "change", "changes"),
            accounts(self.failed),
            number(self.findings, "finding needs", "findings need"),
        )
    }
}
