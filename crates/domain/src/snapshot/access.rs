//! The access review: who can open which mailbox, by which path and since when, and what changed (R43).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{Access, AccountEntry, Grant, MailboxEntry, Side, Snapshot};
use crate::{
    accounts::AccountKind,
    address::SmtpAddress,
    directory::to_u32,
    hash::HashMap,
    ids::{ObjectId, ScimId},
    mailbox::MailboxKind,
};

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
    pub compared: Option<Compared>,
    /// The number of rows that match the filter.
    pub total: usize,
    pub changed: usize,
    /// What the answer does not contain, each in one sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Grouped by mailbox or by person.
    pub rows: Vec<Row>,
}

/// How much of the tenant the answer covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Mailboxes that Exchange listed.
    pub mailboxes: u32,
    /// Those whose Full Access entries are known.
    pub read: u32,
    /// R11
    pub unknown: u32,
    /// R3, R13, R14: not synchronised, and therefore not read.
    pub not_read: u32,
    /// R5
    pub rejected: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    pub run: String,
    pub at: Moment,
}

/// One person and one mailbox, on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub mailbox: Named,
    pub kind: &'static str,
    /// `None` if it is not known who has access.
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
    /// R11: with the last known access.
    Unknown {
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        last: Option<Granted>,
    },
    /// The mailbox is not synchronised, so its permissions were not read.
    NotRead,
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
    Delegate { since: Since },
    NoDelegate,
    NoAccount,
}

/// When something was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Since {
    pub at: Moment,
    /// It existed when the first snapshot was made, and may be older.
    pub or_earlier: bool,
}

/// Epoch seconds, serialised as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

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

/// Selects and groups rows: those of mailboxes or people with one of these texts in address or name. Without texts all
/// rows.
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
        let has = |named: &Named, text: &String| {
            named.address.to_lowercase().contains(text) || named.name.to_lowercase().contains(text)
        };
        let is_named = self.texts.is_empty()
            || self.texts.iter().any(|text| {
                has(&row.mailbox, text) || row.person.as_ref().is_some_and(|it| has(it, text))
            });
        is_named && (!self.only_changed || !row.changes.is_empty())
    }
}

/// The review of `now`, compared with `then`.
pub fn review(now: &Snapshot, then: Option<&Snapshot>, filter: &Filter) -> Review {
    let head = &now.head;
    let mut rows = rows(now, then);
    rows.retain(|row| filter.wants(row));
    rows.sort_by(|a, b| match filter.by {
        By::Mailbox => (&a.mailbox, &a.person).cmp(&(&b.mailbox, &b.person)),
        By::Person => (&a.person, &a.mailbox).cmp(&(&b.person, &b.mailbox)),
    });
    Review {
        run: head.run.clone(),
        at: Moment(head.at),
        tenant_id: head.tenant_id.clone(),
        coverage: coverage(now),
        compared: then.map(|then| Compared {
            run: then.head.run.clone(),
            at: Moment(then.head.at),
        }),
        remarks: Vec::new(),
        total: rows.len(),
        changed: rows.iter().filter(|row| !row.changes.is_empty()).count(),
        rows,
    }
}

fn coverage(snapshot: &Snapshot) -> Coverage {
    let mut coverage = Coverage {
        mailboxes: to_u32(snapshot.mailboxes.len()),
        rejected: to_u32(
            snapshot
                .rejected
                .iter()
                .filter(|it| it.side == Side::Exchange)
                .count(),
        ),
        ..Coverage::default()
    };
    for mailbox in &snapshot.mailboxes {
        match mailbox.access {
            Access::Known(_) => coverage.read += 1,
            Access::Unknown { .. } => coverage.unknown += 1,
            Access::Unread => coverage.not_read += 1,
        }
    }
    coverage
}

fn rows(now: &Snapshot, then: Option<&Snapshot>) -> Vec<Row> {
    let here = Index::of(now);
    let there = then.map(Index::of);
    let mut before: HashMap<Pair<'_>, Standing<'_>> = there
        .as_ref()
        .map(|there| there.standings().collect())
        .unwrap_or_default();
    let began = now.head.began;
    let mut rows: Vec<Row> = here
        .standings()
        .map(|(pair, standing)| {
            let earlier = before.remove(&pair);
            let changes = match &there {
                Some(there) if pair.person.is_some() => {
                    let is_unknown = earlier.is_none() && there.is_unknown(pair.owner);
                    changes(earlier.as_ref(), &standing, is_unknown)
                }
                Some(_) | None => Vec::new(),
            };
            standing.row(began, changes)
        })
        .collect();
    // Pairs that no longer exist.
    for (pair, standing) in before {
        if pair.person.is_none() {
            continue;
        }
        let nothing = standing.without_access(here.is_unknown(pair.owner));
        let changes = changes(Some(&standing), &nothing, false);
        if !changes.is_empty() {
            rows.push(nothing.row(began, changes));
        }
    }
    rows
}

/// `is_unknown`: whether the earlier snapshot does not know who has access to the mailbox.
fn changes(before: Option<&Standing<'_>>, now: &Standing<'_>, is_unknown: bool) -> Vec<Changed> {
    let mut changes = Vec::new();
    let known =
        |standing: &Standing<'_>| !matches!(standing.owner.access(), Some(Access::Unknown { .. }));
    let is_comparable = known(now) && !now.is_unknown && before.map_or(!is_unknown, known);
    if is_comparable {
        match (before.and_then(|it| it.grant), now.grant) {
            (None, Some(_)) => changes.push(Changed::Granted),
            (Some(_), None) => changes.push(Changed::Withdrawn),
            (Some(before), Some(now)) if before.through != now.through => {
                changes.push(Changed::OtherPath {
                    before: before.through.clone(),
                });
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    match (before.and_then(|it| it.delegate), now.delegate) {
        (None, Some(_)) => changes.push(Changed::DelegateAdded),
        (Some(_), None) => changes.push(Changed::DelegateRemoved),
        (Some(_), Some(_)) | (None, None) => {}
    }
    changes
}

/// Identifies a person or mailbox in two snapshots, even if the address changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key<'a> {
    Object(ObjectId),
    Account(&'a ScimId),
    Text(&'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair<'a> {
    owner: Key<'a>,
    person: Option<Key<'a>>,
}

/// A mailbox with its account; either may be missing.
#[derive(Debug, Clone, Copy)]
struct Owner<'a> {
    mailbox: Option<&'a MailboxEntry>,
    account: Option<&'a AccountEntry>,
}

impl<'a> Owner<'a> {
    fn key(self) -> Key<'a> {
        match (self.mailbox, self.account) {
            (Some(mailbox), _) => key_of(mailbox),
            (None, Some(account)) => Key::Account(&account.id),
            (None, None) => Key::Text(""),
        }
    }

    fn access(self) -> Option<&'a Access> {
        self.mailbox.map(|mailbox| &mailbox.access)
    }

    fn named(self) -> Named {
        match (self.mailbox, self.account) {
            (Some(mailbox), _) => Named {
                address: mailbox.primary.to_string(),
                name: mailbox.name.clone(),
            },
            (None, account) => Named {
                address: account.map_or_else(String::new, |it| it.address.to_string()),
                name: account.map_or_else(String::new, |it| it.name.clone()),
            },
        }
    }

    fn kind(self) -> &'static str {
        let kind = self.mailbox.map(|mailbox| &mailbox.kind);
        match (kind, self.account.map(|account| account.kind)) {
            (Some(MailboxKind::User { .. }), _) => "user mailbox",
            (Some(MailboxKind::Shared), _) => "shared mailbox",
            (Some(MailboxKind::Other(_)), _) => "other mailbox",
            (None, Some(AccountKind::Functional)) => "functional account",
            (None, Some(AccountKind::User) | None) => "user account",
        }
    }
}

/// The access of one person to one mailbox.
#[derive(Debug, Clone)]
struct Standing<'a> {
    owner: Owner<'a>,
    person: Option<Named>,
    grant: Option<&'a Grant>,
    delegate: Option<&'a super::Delegate>,
    /// For a pair that no longer exists: whether it is unknown now who has access.
    is_unknown: bool,
}

impl Standing<'_> {
    fn without_access(&self, is_unknown: bool) -> Self {
        Self {
            grant: None,
            delegate: None,
            is_unknown,
            ..self.clone()
        }
    }

    fn row(self, began: i64, changes: Vec<Changed>) -> Row {
        let since = |at: i64| Since {
            at: Moment(at),
            or_earlier: at <= began,
        };
        let granted = self.grant.map(|grant| Granted {
            through: grant.through.clone(),
            since: since(grant.since),
            left_out: grant.effect.reason().map(str::to_owned),
        });
        let exchange = match (self.owner.access(), granted) {
            (Some(Access::Unknown { reason, .. }), last) => InExchange::Unknown {
                reason: reason.clone(),
                last,
            },
            (_, Some(granted)) => InExchange::Granted(granted),
            (Some(Access::Known(_)), None) => InExchange::NotGranted,
            (Some(Access::Unread), None) => InExchange::NotRead,
            (None, None) => InExchange::NoMailbox,
        };
        let zivver = match (self.owner.account, self.delegate) {
            (_, Some(delegate)) => InZivver::Delegate {
                since: since(delegate.since),
            },
            (Some(_), None) => InZivver::NoDelegate,
            (None, None) => InZivver::NoAccount,
        };
        Row {
            mailbox: self.owner.named(),
            kind: self.owner.kind(),
            person: self.person,
            exchange,
            zivver,
            changes,
        }
    }
}

fn key_of(mailbox: &MailboxEntry) -> Key<'_> {
    match mailbox.object_id {
        Some(id) => Key::Object(id),
        None => Key::Text(mailbox.primary.as_str()),
    }
}

/// Mailboxes and accounts of one snapshot by key.
struct Index<'a> {
    snapshot: &'a Snapshot,
    accounts: HashMap<&'a ScimId, &'a AccountEntry>,
    /// Users by principal, and by alias if no principal is equal.
    users: HashMap<&'a SmtpAddress, &'a AccountEntry>,
    mailboxes: HashMap<&'a str, &'a MailboxEntry>,
    of_account: HashMap<&'a ScimId, &'a MailboxEntry>,
    unknown: BTreeSet<Key<'a>>,
}

impl<'a> Index<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let users = || {
            let accounts = snapshot.accounts.iter();
            accounts.filter(|it| it.kind == AccountKind::User)
        };
        let mut by_address: HashMap<&SmtpAddress, &AccountEntry> = users()
            .flat_map(|it| it.aliases.iter().map(move |alias| (alias, it)))
            .collect();
        by_address.extend(users().map(|it| (&it.address, it)));
        let with_account = snapshot.mailboxes.iter().rev();
        let is_unknown = |it: &&MailboxEntry| matches!(it.access, Access::Unknown { .. });
        Self {
            snapshot,
            accounts: snapshot.accounts.iter().map(|it| (&it.id, it)).collect(),
            users: by_address,
            mailboxes: snapshot
                .mailboxes
                .iter()
                .map(|it| (it.primary.as_str(), it))
                .collect(),
            of_account: with_account
                .filter_map(|it| Some((it.account.as_ref()?, it)))
                .collect(),
            unknown: snapshot
                .mailboxes
                .iter()
                .filter(is_unknown)
                .map(key_of)
                .collect(),
        }
    }

    fn is_unknown(&self, owner: Key<'_>) -> bool {
        self.unknown.contains(&owner)
    }

    fn owners(&self) -> impl Iterator<Item = Owner<'a>> {
        let mailboxes = self.snapshot.mailboxes.iter().map(|mailbox| Owner {
            mailbox: Some(mailbox),
            account: mailbox
                .account
                .as_ref()
                .and_then(|id| self.accounts.get(id).copied()),
        });
        let alone = self.snapshot.accounts.iter();
        let alone = alone.filter(|it| !self.of_account.contains_key(&it.id));
        mailboxes.chain(alone.map(|account| Owner {
            mailbox: None,
            account: Some(account),
        }))
    }

    fn standings(&self) -> impl Iterator<Item = (Pair<'a>, Standing<'a>)> {
        self.owners().flat_map(|owner| self.standings_of(owner))
    }

    fn standings_of(&self, owner: Owner<'a>) -> Vec<(Pair<'a>, Standing<'a>)> {
        let mut people: BTreeMap<Key<'a>, Standing<'a>> = BTreeMap::new();
        let nothing = |person: Option<Named>| Standing {
            owner,
            person,
            grant: None,
            delegate: None,
            is_unknown: false,
        };
        for grant in owner.access().map_or(&[][..], Access::grants) {
            let (key, named) = self.grantee(grant);
            let standing = people.entry(key).or_insert_with(|| nothing(Some(named)));
            standing.grant = Some(grant);
        }
        for delegate in owner.account.iter().flat_map(|it| &it.delegates) {
            let (key, named) = self.delegate(&delegate.who);
            let standing = people.entry(key).or_insert_with(|| nothing(Some(named)));
            standing.delegate = Some(delegate);
        }
        let owner_key = owner.key();
        let pair = |person| Pair {
            owner: owner_key,
            person,
        };
        if people.is_empty() && matches!(owner.access(), Some(Access::Unknown { .. })) {
            return vec![(pair(None), nothing(None))];
        }
        let people = people.into_iter();
        people.map(|(key, it)| (pair(Some(key)), it)).collect()
    }

    fn grantee(&self, grant: &'a Grant) -> (Key<'a>, Named) {
        let named = |name: &str| Named {
            address: grant.who.clone(),
            name: name.to_owned(),
        };
        match self.mailboxes.get(grant.who.as_str()) {
            Some(mailbox) => (key_of(mailbox), named(&mailbox.name)),
            None => match self.users.get(&SmtpAddress::verbatim(&grant.who)) {
                Some(account) => (self.key_of_account(account), named(&account.name)),
                None => (Key::Text(&grant.who), named("")),
            },
        }
    }

    fn delegate(&self, who: &'a str) -> (Key<'a>, Named) {
        let named = |name: &str| Named {
            address: who.to_owned(),
            name: name.to_owned(),
        };
        match self.users.get(&SmtpAddress::verbatim(who)) {
            Some(account) => (self.key_of_account(account), named(&account.name)),
            None => (Key::Text(who), named("")),
        }
    }

    fn key_of_account(&self, account: &'a AccountEntry) -> Key<'a> {
        match self.of_account.get(&account.id) {
            Some(mailbox) => key_of(mailbox),
            None => Key::Account(&account.id),
        }
    }
}
