//! Identities in a snapshot: a mailbox and a person in Exchange have an object id, an account has a Zivver id. Addresses do
//! not identify (R16). Two snapshots are compared only where both state something (R43).

use super::{
    Access, AccountEntry, Delegate, Grant, MailboxEntry, NOT_UNDERSTOOD, Rejected, Side, Snapshot,
};
use crate::{
    accounts::AccountKind,
    address::SmtpAddress,
    hash::{HashMap, HashSet},
    ids::ObjectId,
};

/// Identifies the same mailbox, account or person in two snapshots, also after its address changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key<'a> {
    /// No person. Sorts before all others.
    NoPerson,
    Object(ObjectId),
    Account(&'a str),
    /// R16: an account while it belongs to this object id, where the two snapshots differ in that.
    AccountOf(&'a str, ObjectId),
    /// An address, where no id is known.
    Text(&'a str),
}

/// What a snapshot states about the access of a person to an owner (a mailbox or an account).
#[derive(Debug, Clone)]
pub(super) enum Fact<'a, T> {
    Known(Option<&'a T>),
    /// The mailbox or the account does not exist.
    NoOwner,
    Unknown {
        /// With the rule.
        reason: String,
        last: Option<&'a T>,
    },
}

impl<'a, T> Fact<'a, T> {
    pub(super) fn is_known(&self) -> bool {
        match self {
            Self::Known(_) | Self::NoOwner => true,
            Self::Unknown { .. } => false,
        }
    }

    /// The access that exists for certain.
    pub(super) fn value(&self) -> Option<&'a T> {
        match self {
            Self::Known(it) => *it,
            Self::NoOwner | Self::Unknown { .. } => None,
        }
    }

    /// The access before and now, if both are known.
    pub(super) fn compare(before: &Self, now: &Self) -> Option<(Option<&'a T>, Option<&'a T>)> {
        let are_known = before.is_known() && now.is_known();
        are_known.then(|| (before.value(), now.value()))
    }

    pub(super) fn unknown(reason: impl Into<String>, last: Option<&'a T>) -> Self {
        Self::Unknown {
            reason: reason.into(),
            last,
        }
    }
}

type Pairs<'a, T> = HashMap<(Key<'a>, Key<'a>), &'a T>;

/// One snapshot, indexed for the comparison with another.
pub(super) struct Index<'a> {
    pub(super) snapshot: &'a Snapshot,
    mailboxes: HashMap<Key<'a>, &'a MailboxEntry>,
    /// R6: mailboxes that Exchange listed twice.
    twice: HashSet<Key<'a>>,
    /// By primary address; `None` if several mailboxes have it.
    by_primary: HashMap<&'a str, Option<&'a MailboxEntry>>,
    accounts: HashMap<&'a str, &'a AccountEntry>,
    /// Users by principal, or by an alias that only one user has.
    users: HashMap<&'a SmtpAddress, Option<&'a AccountEntry>>,
    /// The same of the other snapshot.
    other_users: HashMap<&'a SmtpAddress, Option<&'a AccountEntry>>,
    rejected_mailboxes: HashMap<Key<'a>, &'a Rejected>,
    rejected_accounts: HashMap<&'a str, &'a Rejected>,
    /// R16: accounts that belong to another object id in the other snapshot.
    given: HashSet<&'a str>,
    pub(super) grants: Pairs<'a, Grant>,
    pub(super) delegates: Pairs<'a, Delegate>,
    /// R1, R5: people who cannot be identified, and the owners to which they have access.
    unclear_owners: HashSet<Key<'a>>,
    unclear_people: HashSet<Key<'a>>,
    /// R1, R5: why a mailbox or account that is not listed may still exist.
    maybe: HashMap<Side, String>,
}

impl<'a> Index<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, other: Option<&'a Snapshot>) -> Self {
        let mut index = Self {
            snapshot,
            mailboxes: HashMap::default(),
            twice: HashSet::default(),
            by_primary: HashMap::default(),
            accounts: snapshot
                .accounts
                .iter()
                .map(|it| (it.id.as_str(), it))
                .collect(),
            users: users(snapshot),
            other_users: other.map(users).unwrap_or_default(),
            rejected_mailboxes: HashMap::default(),
            rejected_accounts: HashMap::default(),
            given: HashSet::default(),
            grants: HashMap::default(),
            delegates: HashMap::default(),
            unclear_owners: HashSet::default(),
            unclear_people: HashSet::default(),
            maybe: maybe(snapshot, other),
        };
        for it in &snapshot.mailboxes {
            let key = key_of(it);
            if index.mailboxes.insert(key, it).is_some() {
                index.twice.insert(key);
            }
            let same = index.by_primary.entry(it.primary.as_str());
            same.and_modify(|it| *it = None).or_insert(Some(it));
        }
        for it in &snapshot.rejected {
            match (it.side, it.object_id, &it.id) {
                (Side::Exchange, Some(id), _) => {
                    index.rejected_mailboxes.insert(Key::Object(id), it);
                }
                (Side::Exchange, None, _) => {
                    index.rejected_mailboxes.insert(Key::Text(&it.label), it);
                }
                (Side::Zivver, _, Some(id)) => {
                    index.rejected_accounts.insert(id.as_str(), it);
                }
                (Side::Zivver, _, None) => {}
            }
        }
        index.find_given(other);
        index.collect();
        index
    }

    fn find_given(&mut self, other: Option<&'a Snapshot>) {
        let accounts = other.map_or(&[][..], |other| &other.accounts);
        let given = accounts.iter().filter_map(|then| {
            let now = self.accounts.get(then.id.as_str())?;
            let is_other = then.tied().zip(now.tied()).is_some_and(|(a, b)| a != b);
            is_other.then_some(now.id.as_str())
        });
        self.given = given.collect();
    }

    fn collect(&mut self) {
        let snapshot = self.snapshot;
        let last = snapshot.rejected.iter().filter_map(Rejected::last_mailbox);
        for mailbox in snapshot.mailboxes.iter().chain(last) {
            let owner = key_of(mailbox);
            for grant in mailbox.access.grants() {
                let person = self.grantee(grant);
                if grant.id.is_none() && grant.outsider.as_deref() == Some(NOT_UNDERSTOOD) {
                    self.unclear_owners.insert(owner);
                    self.unclear_people.insert(person);
                }
                self.grants.insert((owner, person), grant);
            }
        }
        let last = snapshot.rejected.iter().filter_map(Rejected::last_account);
        for account in snapshot.accounts.iter().chain(last) {
            let owner = self.key_of_account(account);
            for delegate in &account.delegates {
                let (person, is_clear) = self.delegate(delegate);
                if !is_clear {
                    self.unclear_owners.insert(owner);
                    self.unclear_people.insert(person);
                }
                self.delegates.insert((owner, person), delegate);
            }
        }
    }

    pub(super) fn grantee(&self, grant: &'a Grant) -> Key<'a> {
        match (grant.id, self.by_primary.get(grant.who.as_str())) {
            (Some(id), _) => Key::Object(id),
            (None, Some(Some(mailbox))) if grant.outsider.is_none() => key_of(mailbox),
            (None, _) => Key::Text(&grant.who),
        }
    }

    /// The account of a delegate, and whether that is certain. An address that no account has belongs to the account that has
    /// it in the other snapshot, unless that account has another address in this one.
    pub(super) fn delegate(&self, delegate: &'a Delegate) -> (Key<'a>, bool) {
        if let Some(id) = &delegate.account {
            return (self.key_of_id(id.as_str()), true);
        }
        let who = delegate.who.as_str();
        if !who.contains('@') {
            return (self.key_of_id(who), true);
        }
        let address = SmtpAddress::verbatim(who);
        if let Some(Some(account)) = self.users.get(&address) {
            return (self.key_of_account(account), true);
        }
        let rejected = || {
            let all = self.snapshot.rejected.iter();
            all.filter(|it| it.side == Side::Zivver)
        };
        let with_address = rejected().find(|it| it.addresses.contains(&address));
        if let Some(id) = with_address.and_then(|it| it.id.as_ref()) {
            return (self.key_of_id(id.as_str()), true);
        }
        if with_address.is_some() || rejected().any(|it| it.addresses.is_empty()) {
            return (Key::Text(who), false);
        }
        let other = self.other_users.get(&address).copied().flatten();
        let other = other.filter(|it| !self.accounts.contains_key(it.id.as_str()));
        match other {
            Some(account) => (Key::Account(account.id.as_str()), true),
            None => (Key::Text(who), true),
        }
    }

    fn key_of_id(&self, id: &'a str) -> Key<'a> {
        match self.accounts.get(id) {
            Some(account) => self.key_of_account(account),
            None => Key::Account(id),
        }
    }

    pub(super) fn key_of_account(&self, account: &'a AccountEntry) -> Key<'a> {
        let id = account.id.as_str();
        match account.tied() {
            Some(tied) if self.given.contains(id) => Key::AccountOf(id, tied),
            Some(_) | None => Key::Account(id),
        }
    }

    pub(super) fn mailbox(&self, key: Key<'a>) -> Option<&'a MailboxEntry> {
        self.mailboxes.get(&key).copied()
    }

    /// Whether it is the primary address of a mailbox, or any address of a user account.
    pub(super) fn has_address(&self, address: &str) -> bool {
        self.by_primary.contains_key(address)
            || self.users.contains_key(&SmtpAddress::verbatim(address))
    }

    pub(super) fn rejected_mailbox(&self, key: Key<'a>) -> Option<&'a Rejected> {
        self.rejected_mailboxes.get(&key).copied()
    }

    pub(super) fn rejected_mailboxes(&self) -> impl Iterator<Item = Key<'a>> {
        self.rejected_mailboxes.keys().copied()
    }

    pub(super) fn rejected_account(&self, id: &str) -> Option<&'a Rejected> {
        self.rejected_accounts.get(id).copied()
    }

    pub(super) fn rejected_accounts(&self) -> impl Iterator<Item = &'a str> {
        self.rejected_accounts.keys().copied()
    }

    /// The account with this id, if Zivver lists it and it is understood.
    pub(super) fn account(&self, key: Key<'a>) -> Option<&'a AccountEntry> {
        match key {
            Key::Account(id) => self.accounts.get(id).copied(),
            Key::AccountOf(id, tied) => {
                let account = self.accounts.get(id).copied();
                account.filter(|it| it.tied() == Some(tied))
            }
            Key::NoPerson | Key::Object(_) | Key::Text(_) => None,
        }
    }

    /// Why a mailbox or account that is not listed may still exist.
    pub(super) fn why_maybe(&self, side: Side) -> Option<&str> {
        self.maybe.get(&side).map(String::as_str)
    }

    /// R5, R6: why a mailbox that is not listed may still exist.
    pub(super) fn why_missing(&self, mailbox: Key<'a>) -> Option<String> {
        if let Some(rejected) = self.rejected_mailbox(mailbox) {
            return Some(format!("it cannot be understood: {} (R5)", rejected.reason));
        }
        if let Key::Text(address) = mailbox
            && self.by_primary.contains_key(address)
        {
            return Some("another mailbox has its address, perhaps the same (R6)".into());
        }
        self.why_maybe(Side::Exchange).map(str::to_owned)
    }

    /// The access of a person to a mailbox, according to Exchange.
    pub(super) fn in_exchange(&self, mailbox: Key<'a>, person: Key<'a>) -> Fact<'a, Grant> {
        let grant = self.grants.get(&(mailbox, person)).copied();
        let Some(entry) = self.mailbox(mailbox) else {
            return match self.why_missing(mailbox) {
                Some(reason) => Fact::unknown(reason, grant),
                None => Fact::NoOwner,
            };
        };
        if self.twice.contains(&mailbox) {
            return Fact::unknown("Exchange listed it twice (R6)", grant);
        }
        match &entry.access {
            Access::Unread { reason, .. } => Fact::unknown(format!("not asked: {reason}"), grant),
            Access::Unknown { reason, .. } => Fact::unknown(format!("{reason} (R11)"), grant),
            Access::Known(_) if grant.is_none() && self.may_be_unclear(mailbox, person) => {
                Fact::unknown("a person with access cannot be understood (R5)", None)
            }
            Access::Known(_) => Fact::Known(grant),
        }
    }

    /// The access of a person to an account, according to Zivver.
    pub(super) fn in_zivver(&self, account: Key<'a>, person: Key<'a>) -> Fact<'a, Delegate> {
        let delegate = self.delegates.get(&(account, person)).copied();
        if self.account(account).is_some() {
            return if delegate.is_none() && self.may_be_unclear(account, person) {
                Fact::unknown("a delegate cannot be understood (R1)", None)
            } else {
                Fact::Known(delegate)
            };
        }
        match self.why_missing_account(account) {
            Some(reason) => Fact::unknown(reason, delegate),
            None => Fact::NoOwner,
        }
    }

    /// R1: why an account that is not listed may still exist.
    pub(super) fn why_missing_account(&self, account: Key<'a>) -> Option<String> {
        let (Key::Account(id) | Key::AccountOf(id, _)) = account else {
            return None;
        };
        if self.accounts.contains_key(id) {
            // R16: it belongs to another person now.
            return None;
        }
        match self.rejected_account(id) {
            Some(row) => {
                let reason = &row.reason;
                Some(format!("the account cannot be understood: {reason} (R1)"))
            }
            None => self.why_maybe(Side::Zivver).map(str::to_owned),
        }
    }

    /// Whether a person who is not listed may be one of the unidentified people with access.
    fn may_be_unclear(&self, owner: Key<'a>, person: Key<'a>) -> bool {
        let is_listed = match person {
            Key::NoPerson | Key::Object(_) | Key::Text(_) => self.mailboxes.contains_key(&person),
            Key::Account(id) | Key::AccountOf(id, _) => self.accounts.contains_key(id),
        };
        self.unclear_owners.contains(&owner) && !is_listed
    }

    /// Whether a person is not identified, and so cannot be compared.
    pub(super) fn is_unclear(&self, person: Key<'a>) -> bool {
        self.unclear_people.contains(&person)
    }
}

pub(super) fn key_of(mailbox: &MailboxEntry) -> Key<'_> {
    match mailbox.object_id {
        Some(id) => Key::Object(id),
        None => Key::Text(mailbox.primary.as_str()),
    }
}

/// R22: users by principal, or by an alias that is neither a principal nor an alias of another user.
fn users(snapshot: &Snapshot) -> HashMap<&SmtpAddress, Option<&AccountEntry>> {
    let users = || {
        let accounts = snapshot.accounts.iter();
        accounts.filter(|it| it.kind == AccountKind::User)
    };
    let mut found = HashMap::default();
    for user in users() {
        for alias in &user.aliases {
            let same = found.entry(alias);
            same.and_modify(|it| *it = None).or_insert(Some(user));
        }
    }
    found.extend(users().map(|it| (&it.address, Some(it))));
    found
}

/// R1, R5: by side, why it may list something under another identity: it has an entry without an id that the other
/// snapshot lacks.
fn maybe(snapshot: &Snapshot, other: Option<&Snapshot>) -> HashMap<Side, String> {
    let mut maybe = HashMap::default();
    let is_nameless = |it: &Rejected| match it.side {
        Side::Exchange => it.object_id.is_none(),
        Side::Zivver => it.id.is_none(),
    };
    for it in snapshot.rejected.iter().filter(|it| is_nameless(it)) {
        let text = match it.side {
            Side::Exchange => format!(
                "a mailbox that may be it cannot be understood: {} (R5)",
                it.label
            ),
            Side::Zivver => format!(
                "an account that may be it cannot be understood: {} (R1)",
                it.label
            ),
        };
        maybe.entry(it.side).or_insert(text);
    }
    let without_id = |snapshot: &'_ Snapshot| -> Vec<SmtpAddress> {
        let mailboxes = snapshot.mailboxes.iter();
        let mailboxes = mailboxes.filter(|it| it.object_id.is_none());
        mailboxes.map(|it| it.primary.clone()).collect()
    };
    if let Some(other) = other {
        let then = without_id(other);
        let new = without_id(snapshot).into_iter();
        if let Some(address) = new.into_iter().find(|it| !then.contains(it)) {
            let text = format!("{address} has no object id and may be it (R16)");
            maybe.entry(Side::Exchange).or_insert(text);
        }
    }
    maybe
}
