//! The history of one account, by run, made from the reports (R42).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Snapshot, access::Moment, explained::of_address};
use crate::{
    action::{Action, ActionKind, ActionOutcome, ActionReport, AttributeChange},
    actor::Actor,
    address::SmtpAddress,
    delta::Reason,
    held::{HeldSet, in_words},
    ids::ScimId,
    mode::{Depth, Mode, Trigger},
    note::{Code, Note},
    report::Report,
};

/// The history of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct History {
    pub address: String,
    /// Since when both sides look as they do in the last snapshot.
    pub standing: Vec<Standing>,
    /// Sorted from new to old.
    pub events: Vec<Event>,
    /// The number of runs that were read, and when the oldest of them began.
    pub runs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// What the answer does not contain, each in one sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// A mailbox or an account, and since when it exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub side: super::Side,
    pub address: String,
    pub first: Moment,
    /// It existed when the first snapshot was made, and may be older.
    pub or_earlier: bool,
    /// The first snapshot that shows it as it is.
    pub changed: Moment,
    /// The last snapshot. Later changes are among the events.
    pub at: Moment,
}

/// An action, a held change or a note of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    pub run: String,
    pub started: String,
    pub mode: Mode,
    #[serde(skip_serializing_if = "Depth::is_full")]
    pub depth: Depth,
    /// R37: the run that the run undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// R39: the accounts that the run was for; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<SmtpAddress>,
    pub trigger: Trigger,
    /// R41
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Actor>,
    pub address: String,
    pub what: Happened,
    pub reasons: Vec<Reason>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Happened {
    Action {
        action: ActionKind,
        outcome: ActionOutcome,
        changes: Vec<AttributeChange>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        problems: Vec<String>,
    },
    /// From this run until a later event.
    Held {
        what: String,
        before: String,
        after: String,
    },
    /// From this run on.
    Noted { code: Code },
    /// An earlier held change or note no longer applies.
    NoLonger { what: String },
}

impl Event {
    fn was_made(&self) -> bool {
        match &self.what {
            Happened::Action { outcome, .. } => outcome.is_done(),
            Happened::Held { .. } | Happened::Noted { .. } | Happened::NoLonger { .. } => false,
        }
    }
}

/// The names by which reports identify an account.
#[derive(Debug, Clone, Default)]
pub struct Names {
    addresses: BTreeSet<SmtpAddress>,
    ids: BTreeSet<ScimId>,
}

impl Names {
    /// The address itself, and everything that has it in the snapshot.
    pub fn of(address: &SmtpAddress, snapshot: Option<&Snapshot>) -> Self {
        let mut names = Self::default();
        names.addresses.insert(address.clone());
        if let Some(snapshot) = snapshot {
            let (mailboxes, accounts) = of_address(address, snapshot);
            names
                .addresses
                .extend(mailboxes.iter().map(|it| it.primary.clone()));
            names
                .addresses
                .extend(accounts.iter().map(|it| it.address.clone()));
            names.ids.extend(accounts.iter().map(|it| it.id.clone()));
        }
        names
    }

    fn has(&self, text: &str) -> bool {
        self.addresses.contains(&SmtpAddress::verbatim(text))
    }

    fn has_id(&self, action: &Action) -> bool {
        action.id.as_ref().is_some_and(|id| self.ids.contains(id))
    }

    /// Whether the action is one of the account.
    pub fn has_action(&self, action: &Action) -> bool {
        self.addresses.contains(&action.address) || self.has_id(action)
    }
}

/// Collects the events of reports, which are added from old to new.
#[derive(Debug, Default)]
pub struct Collector {
    names: Names,
    /// What the previous report held and noted.
    open: BTreeMap<Open, String>,
    /// Creates at other addresses, until it is known which account has the address: a create has no id.
    creates: BTreeMap<SmtpAddress, Vec<(usize, Event)>>,
    /// Each with the number of its report.
    events: Vec<(usize, Event)>,
    runs: usize,
    oldest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Open {
    address: String,
    what: String,
    before: String,
    after: String,
    code: Option<Code>,
    rule: String,
    /// Of a note. The reason of a held set states counts, which differ from run to run.
    text: String,
}

impl Collector {
    pub fn new(names: Names) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    /// `is_for_all`: whether the run covered all accounts and ended. A held change or note that such a report lacks no
    /// longer applies.
    pub fn add(&mut self, report: &Report, is_for_all: bool) {
        self.runs += 1;
        self.oldest.get_or_insert_with(|| report.started.clone());
        let event = |address: &str, what, reasons| Event {
            run: report.id.clone(),
            started: report.started.clone(),
            mode: report.mode,
            depth: report.depth,
            undoes: report.undoes.clone(),
            accounts: report.accounts.clone(),
            trigger: report.trigger,
            started_by: report.started_by.clone(),
            address: address.to_owned(),
            what,
            reasons,
        };
        // The plan of a preview was not carried out.
        let actions = report.actions.iter().filter(|_| report.mode == Mode::Apply);
        for it in actions {
            let ActionReport { action, .. } = it;
            let happened = Happened::Action {
                action: action.kind,
                outcome: it.outcome,
                changes: action.changes.clone(),
                problems: it.problems.clone(),
            };
            let event = event(action.address.as_str(), happened, action.reasons.clone());
            self.add_action(action, event);
        }
        if !is_for_all {
            return;
        }
        let now = self.open_of(&report.held, &report.skipped);
        for (open, why) in now.iter().filter(|(it, _)| !self.open.contains_key(it)) {
            let what = match open.code {
                Some(code) => Happened::Noted { code },
                None => Happened::Held {
                    what: open.what.clone(),
                    before: open.before.clone(),
                    after: open.after.clone(),
                },
            };
            let reasons = vec![Reason::new(&open.rule, why.clone())];
            let event = event(&open.address, what, reasons);
            self.events.push((self.runs, event));
        }
        for (gone, why) in self.open.iter().filter(|(it, _)| !now.contains_key(it)) {
            let what = match gone.code {
                Some(_) => why.clone(),
                None => format!(
                    "{} was held",
                    in_words(&gone.what, &gone.before, &gone.after)
                ),
            };
            let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
            let event = event(&gone.address, Happened::NoLonger { what }, Vec::new());
            self.events.push((self.runs, event));
        }
        self.open = now;
    }

    /// An account that a later run renamed was created under its former address.
    fn add_action(&mut self, action: &Action, event: Event) {
        if !self.names.has_action(action) && action.id.is_none() {
            let creates = self.creates.entry(action.address.clone()).or_default();
            // The account that was created before has another address by now.
            if creates.last().is_some_and(|(_, last)| last.was_made()) {
                creates.clear();
            }
            creates.push((self.runs, event));
            return;
        }
        if action.id.is_some() {
            let creates = self.creates.remove(&action.address);
            let own = creates.filter(|_| self.names.has_id(action));
            self.events.extend(own.into_iter().flatten());
        }
        if self.names.has_action(action) {
            self.events.push((self.runs, event));
        }
    }

    fn open_of(&self, held: &[HeldSet], notes: &[Note]) -> BTreeMap<Open, String> {
        let changes = held.iter().flat_map(|set| {
            set.changes
                .iter()
                .filter(|change| self.names.addresses.contains(&change.address))
                .map(|change| {
                    (
                        Open {
                            address: change.address.to_string(),
                            what: change.what.clone(),
                            before: change.before.clone(),
                            after: change.after.clone(),
                            code: None,
                            rule: "R26".into(),
                            text: String::new(),
                        },
                        // The rule is shown behind the reason.
                        set.reason.trim_end_matches(" (R26)").to_owned(),
                    )
                })
        });
        let notes = notes.iter().filter(|note| self.names.has(&note.address));
        let notes = notes.map(|note| {
            (
                Open {
                    address: note.address.clone(),
                    what: String::new(),
                    before: String::new(),
                    after: String::new(),
                    code: Some(note.code),
                    rule: note.rule.clone(),
                    text: note.text.clone(),
                },
                note.text.clone(),
            )
        });
        changes.chain(notes).collect()
    }

    /// The newest event first.
    pub fn into_history(mut self, address: &SmtpAddress, snapshot: Option<&Snapshot>) -> History {
        self.events.sort_by_key(|(run, _)| *run);
        let events = self.events.into_iter().rev();
        History {
            address: address.to_string(),
            standing: snapshot.map_or_else(Vec::new, |it| standing(address, it)),
            events: events.map(|(_, event)| event).collect(),
            runs: self.runs,
            oldest: self.oldest,
            remarks: Vec::new(),
        }
    }
}

fn standing(address: &SmtpAddress, snapshot: &Snapshot) -> Vec<Standing> {
    let (mailboxes, accounts) = of_address(address, snapshot);
    let began = snapshot.head.began;
    let standing = |side, address: &SmtpAddress, first: i64, changed: i64| Standing {
        side,
        address: address.to_string(),
        first: Moment(first),
        or_earlier: first <= began,
        changed: Moment(changed),
        at: Moment(snapshot.head.at),
    };
    let mailboxes = mailboxes
        .into_iter()
        .map(|it| standing(super::Side::Exchange, &it.primary, it.first, it.changed));
    let accounts = accounts
        .into_iter()
        .map(|it| standing(super::Side::Zivver, &it.address, it.first, it.changed));
    mailboxes.chain(accounts).collect()
}
