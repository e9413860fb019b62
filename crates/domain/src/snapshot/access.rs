//! The access review: who can open which mailbox, by which path and since when, and what changed (R43).

mod rows;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{
    Access, Side, Snapshot,
    explained::{of_address, unknown_of},
};
use crate::{address::SmtpAddress, directory::to_u32, named::listed, reopened};

/// R43
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Review {
    /// The run of the snapshot.
    pub run: String,
    pub at: Moment,
    pub tenant_id: String,
    pub coverage: Coverage,
    /// The snapshot with which it is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Of>,
    /// The texts in the question, in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Rows without a change are left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_changed: bool,
    /// The number of rows that match the filter.
    pub total: usize,
    pub changed: usize,
    /// What the answer does not contain, each in one sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Grouped by mailbox or by person.
    pub rows: Vec<Row>,
    /// R39: a sentence about the texts in the question that match nothing. It is one of the remarks.
    #[serde(skip)]
    pub unknown: Option<String>,
}

/// How much of the tenant the answer covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Mailboxes that Exchange listed: the sum of the next four.
    pub mailboxes: u32,
    /// Those whose Full Access entries are known.
    pub read: u32,
    /// R11
    pub unknown: u32,
    /// R3, R13, R14: not synchronised, and therefore not read.
    pub not_read: u32,
    /// R5
    pub rejected: u32,
    /// R1: accounts in Zivver that were not understood.
    pub rejected_accounts: u32,
}

/// Identifies a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Of {
    pub run: String,
    pub at: Moment,
}

impl Of {
    pub(super) fn snapshot(snapshot: &Snapshot) -> Self {
        Self {
            run: snapshot.head.run.clone(),
            at: Moment(snapshot.head.at),
        }
    }
}

/// The kind of a mailbox of a person.
const USER_MAILBOX: &str = "user mailbox";

/// One person and one mailbox, on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub mailbox: Named,
    pub kind: &'static str,
    /// `None` if no person has access, or if it is unknown who has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<Named>,
    pub exchange: InExchange,
    pub zivver: InZivver,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Changed>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Named {
    pub address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// The access according to Exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "access")]
pub enum InExchange {
    Granted(Granted),
    NotGranted,
    /// Not asked (R3, R13, R14), not read (R11) or not understood (R5), with what was last known.
    Unknown {
        /// With the rule.
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        last: Option<Granted>,
    },
    NoMailbox,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Granted {
    /// The groups that the access comes through, outermost first; empty for a direct grant.
    pub through: Vec<String>,
    pub since: Since,
    /// R12: why it gives no access in Zivver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// The access according to Zivver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "access")]
pub enum InZivver {
    Delegate(Delegated),
    NoDelegate,
    /// Not understood (R1), or the owner of the account is unknown (R16), with the last known value.
    Unknown {
        /// With the rule.
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        last: Option<Delegated>,
    },
    NoAccount,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Delegated {
    pub since: Since,
    /// The account of the person is suspended, so that it opens nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_suspended: bool,
    /// R13, R22: why the delegate stays, independent of Exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<&'static str>,
}

/// When something was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Since {
    pub at: Moment,
    /// Older than this: it existed when the first snapshot was made, or when it could first be read.
    pub or_earlier: bool,
}

/// Epoch seconds, serialised as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Named {
    fn has(&self, text: &str) -> bool {
        self.address.to_lowercase().contains(text) || self.name.to_lowercase().contains(text)
    }
}

impl Row {
    /// Whether the text is in the address or name of its mailbox or person.
    fn has(&self, text: &str) -> bool {
        self.mailbox.has(text) || self.person.as_ref().is_some_and(|it| it.has(text))
    }

    /// Whether it is unknown on one of the sides who has access.
    pub fn is_unknown(&self) -> bool {
        matches!(self.exchange, InExchange::Unknown { .. })
            || matches!(self.zivver, InZivver::Unknown { .. })
    }
}

impl Review {
    /// The rows without a person, which state no access.
    pub fn without_person(&self) -> usize {
        self.rows.iter().filter(|row| row.person.is_none()).count()
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Timestamp::from_second(self.0).unwrap_or_default().fmt(f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How a row differs from the earlier snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Changed {
    Granted,
    Withdrawn,
    OtherPath { before: Vec<String> },
    DelegateAdded,
    DelegateRemoved,
}

/// Selects and groups rows. A row is selected if one of these texts is in the address, the name or an alias of its mailbox
/// or person; without texts, all rows are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    texts: Vec<String>,
    by: By,
    /// Only what differs from the earlier snapshot.
    only_changed: bool,
}

/// What the rows are grouped by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum By {
    #[default]
    Mailbox,
    Person,
}

impl Filter {
    pub fn new(
        texts: impl IntoIterator<Item = impl AsRef<str>>,
        by: By,
        only_changed: bool,
    ) -> Self {
        let texts = texts
            .into_iter()
            .map(|text| text.as_ref().trim().to_lowercase());
        Self {
            texts: texts.filter(|text| !text.is_empty()).collect(),
            by,
            only_changed,
        }
    }

    fn wants(&self, row: &Row) -> bool {
        let is_named = self.texts.is_empty() || self.texts.iter().any(|text| row.has(text));
        is_named && (!self.only_changed || !row.changes.is_empty())
    }

    /// With the addresses of the mailboxes and accounts that have one of the texts as another address.
    fn with_aliases(&self, rows: &[Row], snapshot: &Snapshot) -> Self {
        let mut filter = self.clone();
        for text in &self.texts {
            let Ok(address) = SmtpAddress::parse(text) else {
                continue;
            };
            if rows.iter().any(|row| row.has(text)) {
                continue;
            }
            let (mailboxes, accounts) = of_address(&address, snapshot);
            let mailboxes = mailboxes.iter().map(|it| &it.primary);
            let all = mailboxes.chain(accounts.iter().map(|it| &it.address));
            filter.texts.extend(all.map(ToString::to_string));
        }
        filter
    }

    /// R39: texts that no row has, and whole addresses that neither a row nor a side has.
    fn unknown(&self, rows: &[Row], snapshot: &Snapshot) -> Option<String> {
        let (mut addresses, mut others) = (Vec::new(), Vec::new());
        let texts = self.texts.iter();
        for text in texts.filter(|text| !rows.iter().any(|row| row.has(text))) {
            match SmtpAddress::parse(text) {
                Ok(address) => addresses.push(address),
                Err(_) => others.push(text.as_str()),
            }
        }
        let addresses = unknown_of(addresses.into_iter(), snapshot);
        let what = if !addresses.is_empty() {
            format!("neither Exchange nor Zivver had {}", listed(&addresses))
        } else if !others.is_empty() {
            format!("no mailbox or person matches {}", others.join(", "))
        } else {
            return None;
        };
        Some(format!("{what} in run {}", snapshot.head.run))
    }
}

/// The review of `now`, compared with `then`.
pub fn review(now: &Snapshot, then: Option<&Snapshot>, filter: &Filter) -> Review {
    let head = &now.head;
    let mut rows = rows::rows(now, then, !filter.texts.is_empty());
    let unknown = filter.unknown(&rows, now);
    let named = filter.with_aliases(&rows, now);
    rows.retain(|row| named.wants(row));
    let mut remarks: Vec<String> = unknown.iter().cloned().collect();
    remarks.extend(without_access(&rows, filter));
    rows.sort_by(|a, b| match filter.by {
        By::Mailbox => (&a.mailbox, &a.person).cmp(&(&b.mailbox, &b.person)),
        // A mailbox without a person comes last.
        By::Person => {
            let key = |row: &Row| {
                (
                    row.person.is_none(),
                    row.person.is_none() && row.is_unknown(),
                )
            };
            (key(a), &a.person, &a.mailbox).cmp(&(key(b), &b.person, &b.mailbox))
        }
    });
    Review {
        run: head.run.clone(),
        at: Moment(head.at),
        tenant_id: head.tenant_id.clone(),
        coverage: coverage(now),
        compared: then.map(Of::snapshot),
        remarks,
        search: filter.texts.clone(),
        only_changed: filter.only_changed,
        total: rows.len(),
        changed: rows.iter().filter(|row| !row.changes.is_empty()).count(),
        rows,
        unknown,
    }
}

/// Of a search for people: those who match and of whom no row says that they can open a mailbox.
fn without_access(rows: &[Row], filter: &Filter) -> Option<String> {
    if filter.by != By::Person || filter.texts.is_empty() || filter.only_changed {
        return None;
    }
    let people: BTreeSet<&str> = rows
        .iter()
        .filter_map(|row| Some(&*row.person.as_ref()?.address))
        .collect();
    let is_named = |named: &Named| filter.texts.iter().any(|text| named.has(text));
    let mailboxes = rows
        .iter()
        .filter(|row| row.kind == USER_MAILBOX && is_named(&row.mailbox));
    let without: BTreeSet<&str> = mailboxes
        .map(|row| row.mailbox.address.as_str())
        .filter(|address| !people.contains(address))
        .collect();
    let without: Vec<&str> = without.into_iter().collect();
    (!without.is_empty()).then(|| {
        format!(
            "as far as it is known, {} can open no mailbox of another person",
            reopened::listed(&without)
        )
    })
}

fn coverage(snapshot: &Snapshot) -> Coverage {
    let rejected = |side| {
        let rejected = snapshot.rejected.iter();
        to_u32(rejected.filter(|it| it.side == side).count())
    };
    let mut coverage = Coverage {
        mailboxes: to_u32(snapshot.mailboxes.len()) + rejected(Side::Exchange),
        rejected: rejected(Side::Exchange),
        rejected_accounts: rejected(Side::Zivver),
        ..Coverage::default()
    };
    for mailbox in &snapshot.mailboxes {
        match mailbox.access {
            Access::Known(_) => coverage.read += 1,
            Access::Unknown { .. } => coverage.unknown += 1,
            Access::Unread { .. } => coverage.not_read += 1,
        }
    }
    coverage
}
