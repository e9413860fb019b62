//! The report of a run: one model for the terminal, HTTP, state and notifications.

mod by_hand;
mod counts;
mod facts;

use std::collections::{BTreeMap, BTreeSet};

pub use by_hand::ByHand;
pub use counts::Counts;
pub use facts::{SourceFacts, TargetFacts, mostly_filtered};
use facts::{no_claimed_mailbox, unused_domains};

use serde::{Deserialize, Serialize};

pub use super::action::{ActionOutcome, ActionReport};
use super::{
    accounts::AccountKind,
    actor::Actor,
    address::SmtpAddress,
    directory::to_u32,
    execute::Applied,
    hold::{HeldChange, HeldSet},
    mode::{Depth, Mode, PerformSync, Trigger},
    name_in_json,
    named::UnknownAddress,
    note::Note,
    other_setting::OtherSetting,
    plan::{Action, ActionKind, AttributeChange, Plan},
    record::{Deeds, Entry, PlanRecord},
    since::{Comparison, Since},
    suspended::Suspended,
    wave::Wave,
    world::World,
};

/// Version of the report's JSON form. Members may be added within a version.
pub const SCHEMA_VERSION: u32 = 1;

/// The report of one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: u32,
    pub id: String,
    pub state: RunState,
    pub mode: Mode,
    /// R45: what was read.
    #[serde(skip_serializing_if = "Depth::is_full", default)]
    pub depth: Depth,
    pub trigger: Trigger,
    /// R41: who started it, and who approved if it has codes in `approves`. `None` if that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_by: Option<Actor>,
    /// R27: the codes of the held sets that were approved when it was started.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approves: Vec<String>,
    /// R47: the accounts whose changes of these sets were approved; empty for all of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approves_accounts: Vec<SmtpAddress>,
    /// R41: who stopped it, if a person did (R34).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped_by: Option<Actor>,
    pub outcome: RunOutcome,
    /// Why the run failed, or stopped early: one line with cause and remedy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The same run would fail again until a person has changed something. Not stored.
    #[serde(skip)]
    pub is_final: bool,
    /// A later run may have changed accounts. Not stored.
    #[serde(skip)]
    pub is_outdated: bool,
    /// RFC 3339, UTC.
    pub started: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<String>,
    pub duration_ms: u64,
    /// R39: the accounts to which the run was restricted; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub accounts: Vec<SmtpAddress>,
    /// R39: the addresses in `accounts` of no mailbox and no account. The run failed because of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unknown_accounts: Vec<UnknownAddress>,
    /// R39: what a run for named accounts found about all other accounts; `None` for a run for all accounts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub others: Option<Others>,
    /// R37: the run that this one undoes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub undoes: Option<String>,
    /// R28: the preview to whose changes this apply is restricted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub applies: Option<String>,
    /// R47: the part of its plan to which the run was restricted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wave: Option<Wave>,
    /// R46: the settings that the preview replaced. Its plan cannot be applied.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub settings: Vec<OtherSetting>,
    /// R46: the differences between the plan and the plan under the settings of the program.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compared: Option<Comparison>,
    /// R28: the value of the setting, which decides whether the plan can be applied.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub perform_sync: Option<PerformSync>,
    pub source: SourceFacts,
    /// As the run read the lists last: of an apply that was verified (R36), what it left.
    pub target: TargetFacts,
    pub counts: Counts,
    pub actions: Vec<ActionReport>,
    pub held: Vec<HeldSet>,
    /// The actions that were refused or failed. They are in `actions` too.
    pub failed: Vec<FailedAction>,
    /// What was left alone, and why.
    pub skipped: Vec<Note>,
    /// R15: how many addresses each entry of `TARGET_FILTER` matches.
    pub filter_counts: BTreeMap<String, usize>,
    /// R36: `None` until it was verified, and for a preview. For an undo it says that the changes are taken back.
    pub converged: Option<bool>,
    /// R36: what still differs, by account.
    pub differences: Vec<Action>,
    pub requests: Requests,
    #[serde(default)]
    pub timing: Timing,
    /// How long the planned writes take at Zivver's rate.
    pub estimate_ms: u64,
    /// How many writes the plan needs if none is refused.
    pub planned_writes: u32,
    /// Actions that were not started before the deadline or the stop, or not completed (R34).
    pub remaining: u32,
    /// R35: the killed runs whose work this one continued.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub resumed_from: Vec<String>,
    /// R29: the holder of the lock while this run wrote, in words: this run, where and since when. `None` for a
    /// preview, which needs no lock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lock_owner: Option<String>,
    pub warnings: Vec<String>,
    /// R35: a part of what the run, or a killed one before it, did is in no report, since its record is damaged.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_incomplete: bool,
    /// Users that this program suspended and that are still suspended. Those that Zivver may delete first come first.
    #[serde(default)]
    pub suspended: Vec<Suspended>,
    /// What changed since the previous run ended. `None` for the first run, for a failed run, for an undo, and for a run for
    /// some accounts only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Since>,
}

/// The duration of the parts of a run; of a run of several invocations, those of the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    pub reading_ms: u64,
    pub planning_ms: u64,
    pub applying_ms: u64,
    pub verifying_ms: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    #[default]
    Running,
    /// Cut off at its deadline. Another invocation continues it (R34).
    Continues,
    Ended,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Not known yet.
    #[default]
    Open,
    /// Nothing to do, or everything done.
    InSync,
    /// Everything that it was for is done, but that says nothing about the rest: an undo (R37) compares accounts with
    /// an earlier run, not with Exchange, and a quick run (R45) reads no permissions.
    Done,
    /// A preview that would change something, or an apply of which a part is left.
    ChangesPending,
    /// Something is held, was refused, or is unknown.
    NeedsAttention,
    /// R34: a person stopped it before its end.
    Stopped,
    Failed,
}

fn in_need_of_attention(notes: &[Note]) -> impl Iterator<Item = &Note> + Clone {
    notes.iter().filter(|note| note.code.needs_attention())
}

/// R39: the number of findings about accounts that the run does not cover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    pub findings: u32,
    /// Those that need attention.
    pub attention: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAction {
    pub address: SmtpAddress,
    pub account: AccountKind,
    pub kind: ActionKind,
    pub problems: Vec<String>,
}

/// Requests of one run, by service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    pub exchange: ServiceRequests,
    pub zivver: ServiceRequests,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRequests {
    /// All requests that were sent, including repetitions.
    pub total: u64,
    pub by_kind: BTreeMap<String, u64>,
    pub retries: u64,
    pub throttled: u64,
    pub bytes_received: u64,
}

impl Report {
    /// The report at the start of a run.
    pub fn begin(id: String, mode: Mode, trigger: Trigger, started: String) -> Self {
        Self {
            schema: SCHEMA_VERSION,
            id,
            mode,
            trigger,
            started_by: Actor::of_trigger(trigger),
            started,
            ..Self::default()
        }
    }

    /// Adds the results of reading and planning.
    pub fn describe(&mut self, plan: &Plan, world: &World) {
        self.source = SourceFacts::of(plan, world);
        self.target = TargetFacts::of(plan, world);
        let planned = plan.approved.actions().iter().map(|action| ActionReport {
            action: action.clone(),
            outcome: ActionOutcome::Planned,
            problems: Vec::new(),
            left: Vec::new(),
        });
        self.actions = planned.collect();
        self.held.clone_from(&plan.held);
        self.skipped.clone_from(&plan.notes);
        self.filter_counts.clone_from(&plan.filter_counts);
        let in_doubt = no_claimed_mailbox(plan, world).or_else(|| unused_domains(plan, world));
        self.warnings.extend(in_doubt);
        self.warnings.extend(mostly_filtered(plan, world));
        self.planned_writes = to_u32(plan.approved.writes());
    }

    /// Adds the outcomes of the plan. `half_done` contains the outcomes of the actions that were not completed.
    pub fn record_outcomes(&mut self, applied: &Applied, half_done: &[Entry]) {
        for (action, end) in self.actions.iter_mut().zip(&applied.actions) {
            action.outcome = end.outcome.unwrap_or(ActionOutcome::Remaining);
            action.problems.clone_from(&end.problems);
        }
        self.take_in(half_done);
        self.skipped.extend_from_slice(&applied.notes);
        self.skipped.sort_unstable();
    }

    /// Adds the outcomes of the plan as far as the journal has them.
    pub fn record_entries(&mut self, entries: &[Entry]) {
        for action in &mut self.actions {
            action.outcome = ActionOutcome::Remaining;
        }
        self.take_in(entries);
    }

    fn take_in(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Some(action) = self.actions.get_mut(entry.action as usize) {
                action.outcome = entry.outcome;
                action.problems.clone_from(&entry.problems);
                action.left.clone_from(&entry.left);
            }
        }
        self.count_left();
    }

    fn count_left(&mut self) {
        let left = self.actions.iter().filter(|action| action.is_left());
        self.remaining = to_u32(left.count());
    }

    /// R35: adds what a run did whose process ended before it could report, and what it left of its last plan.
    pub fn record_plans(&mut self, plans: &[(PlanRecord, Vec<Entry>)], world: Option<&World>) {
        let mut left = Vec::new();
        if let Some((record, entries)) = plans.last() {
            let outcomes = record.outcomes(entries, world).into_iter();
            let actions = record.actions.iter().zip(outcomes);
            let actions = actions.filter(|(_, outcome)| *outcome == ActionOutcome::Remaining);
            left.extend(actions.map(|(planned, outcome)| ActionReport {
                action: planned.action.clone(),
                outcome,
                problems: Vec::new(),
                left: Vec::new(),
            }));
        }
        self.actions = Deeds::of(plans, world).followed_by(left);
        self.count_left();
        self.count();
    }

    /// R35, R37: plan or journal of the run are damaged.
    pub fn lacks_a_record(&mut self, damage: &str) {
        self.is_incomplete = true;
        self.warnings.push(format!(
            "this report is incomplete, and the run cannot be undone: {damage} (R35, R37)"
        ));
    }

    /// R39: keeps the findings about accounts with these names, and counts the others.
    pub fn narrow(&mut self, names: &BTreeSet<String>) {
        let (own, others): (Vec<Note>, Vec<Note>) = std::mem::take(&mut self.skipped)
            .into_iter()
            .partition(|note| names.contains(&note.address));
        let attention = in_need_of_attention(&others);
        self.others = Some(Others {
            findings: to_u32(others.len()),
            attention: to_u32(attention.count()),
        });
        self.skipped = own;
        self.suspended
            .retain(|account| names.contains(account.address.as_str()));
    }

    /// R40: keeps what mentions an address, as its own or as a value.
    pub fn keep_only(&mut self, address: &SmtpAddress) {
        let is = |text: &str| SmtpAddress::verbatim(text) == *address;
        let names = |action: &Action| {
            let values = |change: &AttributeChange| {
                change.before.iter().chain(&change.after).any(|it| is(it))
            };
            action.address == *address || action.changes.iter().any(values)
        };
        self.actions.retain(|it| names(&it.action));
        self.differences.retain(names);
        let is_about = |it: &HeldChange| it.address == *address || is(&it.before) || is(&it.after);
        for set in &mut self.held {
            set.changes.retain(is_about);
            set.rejected.retain(is_about);
            set.approved.retain(is_about);
        }
        self.held
            .retain(|set| !set.changes.is_empty() || set.is_decided());
        self.skipped.retain(|note| is(&note.address));
        self.suspended.retain(|account| account.address == *address);
        self.since = None;
        self.compared = None;
        self.count();
    }

    /// Whether its lists are empty, so that it says nothing of the address to which it was limited.
    pub fn is_silent(&self) -> bool {
        self.actions.is_empty()
            && self.held.is_empty()
            && self.skipped.is_empty()
            && self.differences.is_empty()
    }

    /// Counts the entries of the lists. To be called when they are complete.
    pub fn count(&mut self) {
        let mut counts = Counts::default();
        for action in &self.actions {
            let changes = action.action.changes.iter();
            for origin in changes.flat_map(|change| change.origins.values()) {
                *counts.origins.entry(*origin).or_default() += 1;
            }
            *counts.planned.entry(action.action.kind).or_default() += 1;
            counts.in_part += u32::from(action.outcome.is_done() && action.is_left());
            match action.outcome {
                ActionOutcome::Applied => {
                    *counts.applied.entry(action.action.kind).or_default() += 1;
                }
                ActionOutcome::Partly => {
                    *counts.applied.entry(action.action.kind).or_default() += 1;
                    // A part may only be left for the next invocation (R34).
                    counts.refused += u32::from(!action.problems.is_empty());
                }
                ActionOutcome::Refused => counts.refused += 1,
                ActionOutcome::Failed => counts.failed += 1,
                ActionOutcome::Planned | ActionOutcome::Remaining => {}
            }
        }
        let held = self.held.iter().flat_map(|set| &set.changes);
        for change in held {
            counts.held += 1;
            if let Some(origin) = change.origin {
                *counts.origins.entry(origin).or_default() += 1;
            }
        }
        for note in &self.skipped {
            *counts.skipped.entry(name_in_json(note.code)).or_default() += 1;
        }
        self.failed = self
            .actions
            .iter()
            .filter(|action| !action.problems.is_empty())
            .map(|action| FailedAction {
                address: action.action.address.clone(),
                account: action.action.account,
                kind: action.action.kind,
                problems: action.problems.clone(),
            })
            .collect();
        self.counts = counts;
    }

    /// R46: whether it describes a plan under other settings, not the real state.
    pub fn is_hypothetical(&self) -> bool {
        !self.settings.is_empty()
    }

    /// Whether it says what was read. If not, these numbers are unknown, not 0 (R1: a list without mailboxes is not
    /// read): the run has not reported yet, or ended before its plan.
    pub fn has_counted(&self) -> bool {
        let is_cut = matches!(
            self.outcome,
            RunOutcome::Failed | RunOutcome::Stopped | RunOutcome::Open
        );
        !is_cut || self.source.mailboxes > 0
    }

    /// Whether it has a plan, also if only the journal has it (R35).
    pub fn has_planned(&self) -> bool {
        self.has_counted() || !self.actions.is_empty()
    }

    /// How many planned actions were not started, so that those done, not started and refused add up.
    pub fn not_started(&self) -> u32 {
        self.counts.not_started(self.remaining)
    }

    /// R26, R32: whether an administrator has something to look at.
    pub fn needs_attention(&self) -> bool {
        !self.held.iter().all(HeldSet::is_decided)
            || !self.failed.is_empty()
            || self.converged == Some(false)
            || self.is_incomplete
            || self.covers_no_mailbox()
            || self.attention().next().is_some()
    }

    /// The findings that need a person.
    pub fn attention(&self) -> impl Iterator<Item = &Note> + Clone {
        in_need_of_attention(&self.skipped)
    }

    /// R13: nothing is compared, so that nothing can be said to be in sync.
    fn covers_no_mailbox(&self) -> bool {
        self.source.in_scope == 0 && self.source.mailboxes > 0
    }

    /// Whether nothing is left to do: a preview found nothing, or an apply did everything and verified it.
    fn is_complete(&self) -> bool {
        let is_done = match self.mode {
            Mode::Preview => self.actions.is_empty(),
            Mode::Apply => self.converged == Some(true) && self.remaining == 0,
        };
        is_done && !self.counts.leave_out() && self.counts.resumes_left() == 0
    }

    /// The outcome of a run that was not cut off and did not fail.
    pub fn conclude(&mut self) {
        self.outcome = if self.needs_attention() {
            RunOutcome::NeedsAttention
        } else if !self.is_complete() {
            RunOutcome::ChangesPending
        } else if self.undoes.is_some() || self.depth == Depth::Quick {
            RunOutcome::Done
        } else {
            RunOutcome::InSync
        };
    }

    /// One line for a log, without addresses.
    pub fn summary_line(&self) -> String {
        let sum = |counts: &BTreeMap<ActionKind, u32>| counts.values().sum::<u32>();
        let seconds = std::time::Duration::from_millis(self.duration_ms).as_secs_f64();
        let quick = match self.depth {
            Depth::Full => "",
            Depth::Quick => "quick ",
        };
        if !self.has_planned() {
            return format!(
                "run {} ({quick}{:?}): ended without a plan, in {seconds:.1} s",
                self.id, self.mode
            );
        }
        format!(
            "run {} ({quick}{:?}): {} planned, {} applied, {} refused, {} failed, {} held, {} remaining in {:.1} s",
            self.id,
            self.mode,
            sum(&self.counts.planned),
            sum(&self.counts.applied),
            self.counts.refused,
            self.counts.failed,
            self.counts.held,
            self.remaining,
            seconds,
        )
    }
}
