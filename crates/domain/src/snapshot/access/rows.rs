//! The rows of the review. Each side is compared by its own ids: a mailbox and a person in Exchange by object id, an
//! account and a delegate in Zivver by Zivver id. The sides are joined only to be shown in one row (R16, R43).

mod named;

use std::collections::BTreeMap;

use super::{Changed, Delegated, Granted, InExchange, InZivver, Moment, Row, Since, Snapshot};
use crate::{
    address::SmtpAddress,
    hash::HashMap,
    mailbox::MailboxKind,
    scope::ClaimedDomains,
    sides::{NOT_CLAIMED, SUSPENDED, delegate_not_compared},
    snapshot::{
        Access, AccountEntry, Delegate, Grant, MailboxEntry, Rejected, Side,
        identity::{Fact, Index, Key, key_of},
    },
};

/// `is_named`: whether mailboxes without any access, and those that are not synchronised, have a row too.
pub(super) fn rows(now: &Snapshot, then: Option<&Snapshot>, is_named: bool) -> Vec<Row> {
    let here = Index::of(now, then);
    let there = then.map(|then| Index::of(then, Some(now)));
    let joined = Joined::of(&here, there.as_ref());
    let mut drafts: BTreeMap<(Key<'_>, Key<'_>), Draft<'_>> = BTreeMap::new();
    for pair in pairs(&here, there.as_ref(), |it| &it.grants) {
        let change = joined.changed_in_exchange(pair);
        if change.is_none() && !here.grants.contains_key(&pair) {
            continue;
        }
        let draft = drafts.entry(pair).or_default();
        draft.exchange = Some(pair);
        draft.changes.extend(change);
    }
    for pair in pairs(&here, there.as_ref(), |it| &it.delegates) {
        let change = joined.changed_in_zivver(pair);
        let is_here = here.delegates.contains_key(&pair);
        if change.is_none() && !is_here {
            continue;
        }
        let whose = (joined.whose(pair.0), joined.whose(pair.1));
        let draft = drafts.entry(whose).or_default();
        if is_here || draft.zivver.is_none() {
            draft.zivver = Some(pair);
        }
        draft.changes.extend(change);
    }
    let mut rows: Vec<Row> = drafts
        .iter()
        .map(|(whose, draft)| joined.row(*whose, draft))
        .collect();
    let has_rows = |owner: Key<'_>| {
        let from = (owner, Key::NoPerson);
        let mut from = drafts.range(from..);
        from.next().is_some_and(|((it, _), _)| *it == owner)
    };
    let alone = joined.owners().filter(|owner| !has_rows(*owner));
    rows.extend(alone.filter_map(|owner| joined.row_of_nobody(owner, is_named)));
    rows
}

type Pair<'a> = (Key<'a>, Key<'a>);

fn pairs<'a, T>(
    here: &Index<'a>,
    there: Option<&Index<'a>>,
    of: impl for<'i> Fn(&'i Index<'a>) -> &'i HashMap<Pair<'a>, T>,
) -> Vec<Pair<'a>> {
    let mut pairs: Vec<Pair<'a>> = of(here).keys().copied().collect();
    if let Some(there) = there {
        let gone = of(there).keys().filter(|it| !of(here).contains_key(it));
        pairs.extend(gone);
    }
    pairs
}

/// A row before its names are known.
#[derive(Debug, Default)]
struct Draft<'a> {
    exchange: Option<Pair<'a>>,
    zivver: Option<Pair<'a>>,
    changes: Vec<Changed>,
}

/// Two snapshots, and the mailbox in whose rows each account is shown.
struct Joined<'i, 'a> {
    here: &'i Index<'a>,
    there: Option<&'i Index<'a>>,
    /// By Zivver id.
    whose: HashMap<&'a str, Key<'a>>,
    /// Accounts of the later snapshot, by mailbox.
    accounts: HashMap<Key<'a>, Key<'a>>,
    /// Accounts that are gone, by mailbox.
    gone: HashMap<Key<'a>, &'a AccountEntry>,
    /// The present addresses of people with access, as Exchange states them.
    called: HashMap<Key<'a>, &'a str>,
    domains: ClaimedDomains,
}

impl<'i, 'a> Joined<'i, 'a> {
    fn of(here: &'i Index<'a>, there: Option<&'i Index<'a>>) -> Self {
        let mut joined = Self {
            here,
            there,
            whose: HashMap::default(),
            accounts: HashMap::default(),
            gone: HashMap::default(),
            called: called(here),
            domains: ClaimedDomains::new(&here.snapshot.head.claimed_domains),
        };
        for (id, mailbox) in own(here) {
            joined.show(id, key_of(mailbox));
        }
        let before: HashMap<&str, &MailboxEntry> =
            there.map(|there| own(there).collect()).unwrap_or_default();
        let owner_before = |id: &str| {
            let tied = || there?.account(Key::Account(id))?.tied().map(Key::Object);
            before.get(id).map(|it| key_of(it)).or_else(tied)
        };
        let outsiders = outsiders(here.snapshot);
        for account in &here.snapshot.accounts {
            if !joined.whose.contains_key(account.id.as_str()) {
                let owner = joined.owner_of_lone(account, &before, &outsiders);
                joined.show(account.id.as_str(), owner);
            }
        }
        for id in here.rejected_accounts() {
            let owner = here.rejected_account(id).and_then(|it| it.object_id);
            let owner = owner.map(Key::Object).or_else(|| owner_before(id));
            joined.show(id, owner.unwrap_or(Key::Account(id)));
        }
        for account in there.map_or(&[][..], |there| &there.snapshot.accounts) {
            let id = account.id.as_str();
            if !joined.whose.contains_key(id) {
                let owner = owner_before(id).unwrap_or(Key::Account(id));
                joined.whose.insert(id, owner);
                joined.gone.insert(owner, account);
            }
        }
        joined
    }

    fn show(&mut self, id: &'a str, owner: Key<'a>) {
        let owner = if self.accounts.contains_key(&owner) {
            Key::Account(id)
        } else {
            owner
        };
        let account = self.here.account(Key::Account(id));
        let key = account.map_or(Key::Account(id), |it| self.here.key_of_account(it));
        self.whose.insert(id, owner);
        self.accounts.insert(owner, key);
    }

    /// Where an account is shown that belongs to no listed mailbox: with the object id that it is tied to; without one, with
    /// the recipient that has its address and is not synchronised, or with the mailbox that it belonged to before.
    fn owner_of_lone(
        &self,
        account: &'a AccountEntry,
        before: &HashMap<&'a str, &'a MailboxEntry>,
        outsiders: &HashMap<SmtpAddress, Key<'a>>,
    ) -> Key<'a> {
        let alone = Key::Account(account.id.as_str());
        if let Some(tied) = account.tied() {
            let tied = Key::Object(tied);
            return match self.here.mailbox(tied) {
                Some(_) => alone,
                None => tied,
            };
        }
        if account.mailbox_unknown.is_some() {
            return alone;
        }
        let mut addresses = std::iter::once(&account.address).chain(&account.aliases);
        let outsider = addresses.find_map(|it| outsiders.get(it));
        let before = before.get(account.id.as_str()).map(|it| key_of(it));
        let before = before.filter(|it| self.here.mailbox(*it).is_none());
        outsider.copied().or(before).unwrap_or(alone)
    }

    fn whose(&self, account: Key<'a>) -> Key<'a> {
        match account {
            Key::AccountOf(_, tied) => Key::Object(tied),
            Key::Account(id) => self.whose.get(id).copied().unwrap_or(account),
            Key::NoPerson | Key::Object(_) | Key::Text(_) => account,
        }
    }

    /// Whether a person is not identified in one of the snapshots.
    fn is_unclear(&self, person: Key<'a>) -> bool {
        self.here.is_unclear(person) || self.there.is_some_and(|it| it.is_unclear(person))
    }

    fn changed_in_exchange(&self, (mailbox, person): Pair<'a>) -> Option<Changed> {
        let there = self.there.filter(|_| !self.is_unclear(person))?;
        let before = there.in_exchange(mailbox, person);
        let now = self.here.in_exchange(mailbox, person);
        match Fact::compare(&before, &now)? {
            (None, Some(_)) => Some(Changed::Granted),
            (Some(_), None) => Some(Changed::Withdrawn),
            (Some(before), Some(now)) => {
                (before.through != now.through).then(|| Changed::OtherPath {
                    before: before.through.clone(),
                })
            }
            (None, None) => None,
        }
    }

    fn changed_in_zivver(&self, (account, person): Pair<'a>) -> Option<Changed> {
        let there = self.there.filter(|_| !self.is_unclear(person))?;
        let before = there.in_zivver(account, person);
        let now = self.here.in_zivver(account, person);
        match Fact::compare(&before, &now)? {
            (None, Some(_)) => Some(Changed::DelegateAdded),
            (Some(_), None) => Some(Changed::DelegateRemoved),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }

    fn row(&self, (owner, person): Pair<'a>, draft: &Draft<'a>) -> Row {
        let exchange = match draft.exchange {
            Some((mailbox, person)) => self.here.in_exchange(mailbox, person),
            None => self.in_exchange(owner, person),
        };
        let zivver = match draft.zivver {
            Some((account, person)) => self.here.in_zivver(account, person),
            None => self.in_zivver(owner, person),
        };
        let account = draft.zivver.map(|(_, account)| account);
        let account = account.or_else(|| self.accounts.get(&person).copied());
        Row {
            mailbox: self.owner(owner),
            kind: self.kind(owner),
            person: Some(self.person(person, draft.text(self))),
            exchange: self.exchange(exchange, self.why_not_given(owner)),
            zivver: self.zivver(zivver, self.stays_suspended(owner), account),
            changes: without_opposites(draft.changes.clone()),
        }
    }

    /// The access in Exchange of a pair that it does not list.
    fn in_exchange(&self, owner: Key<'a>, person: Key<'a>) -> Fact<'a, Grant> {
        let fact = match owner {
            Key::NoPerson | Key::Object(_) | Key::Text(_) => self.here.in_exchange(owner, person),
            Key::Account(_) | Key::AccountOf(..) => match self.why_no_mailbox(owner) {
                Some(reason) => Fact::unknown(reason, None),
                None => Fact::NoOwner,
            },
        };
        let reason = match fact {
            Fact::Known(None) => self.why_no_mailbox(person),
            Fact::Known(Some(_)) | Fact::NoOwner | Fact::Unknown { .. } => None,
        };
        match reason {
            Some(reason) => Fact::unknown(reason, None),
            None => fact,
        }
    }

    /// R1, R5, R16: why the mailbox of an account that is shown without one is unknown.
    fn why_no_mailbox(&self, account: Key<'a>) -> Option<String> {
        if self.here.is_unclear(account) {
            return Some("it is not known whose account this is (R1)".into());
        }
        let (Key::Account(id) | Key::AccountOf(id, _)) = account else {
            return None;
        };
        if let Some(entry) = self.here.account(account) {
            let maybe = || self.here.why_maybe(Side::Exchange).map(str::to_owned);
            return entry.mailbox_unknown.clone().or_else(maybe);
        }
        if let Some(row) = self.rejected_account(id) {
            let reason = &row.reason;
            return Some(format!("its account cannot be understood: {reason} (R1)"));
        }
        let is_known = self.there.is_some_and(|it| it.account(account).is_some());
        let before = self.there.filter(|_| !is_known);
        let maybe = |it: &'i Index<'a>| it.why_maybe(Side::Zivver);
        let maybe = maybe(self.here).or_else(|| maybe(before?));
        maybe.map(str::to_owned)
    }

    /// In either snapshot.
    fn rejected_account(&self, id: &str) -> Option<&'a Rejected> {
        let before = || self.there?.rejected_account(id);
        self.here.rejected_account(id).or_else(before)
    }

    /// The access in Zivver of a pair that it does not list.
    fn in_zivver(&self, owner: Key<'a>, person: Key<'a>) -> Fact<'a, Delegate> {
        let Some(account) = self.accounts.get(&owner) else {
            return match self.why_no_account(owner) {
                Some(reason) => Fact::unknown(reason, None),
                None => Fact::NoOwner,
            };
        };
        match self.accounts.get(&person) {
            Some(person) => self.here.in_zivver(*account, *person),
            None => match self.why_no_account(person) {
                Some(reason) => Fact::unknown(reason, None),
                None => self.here.in_zivver(*account, Key::NoPerson),
            },
        }
    }

    /// R1, R5, R16: why the account of a mailbox that is shown without one is unknown.
    fn why_no_account(&self, mailbox: Key<'a>) -> Option<String> {
        if let Some(mailbox) = self.here.mailbox(mailbox) {
            return mailbox.account_unknown.clone();
        }
        let rejected = self.here.rejected_mailbox(mailbox);
        let rejected = rejected.map(|it| {
            let reason = &it.reason;
            format!("the mailbox cannot be understood: {reason} (R5)")
        });
        rejected.or_else(|| self.why_maybe_account())
    }

    /// R1: why an account that is not found may exist.
    fn why_maybe_account(&self) -> Option<String> {
        let mut rejected = self.here.rejected_accounts();
        let lone = rejected.find(|id| self.whose(Key::Account(id)) == Key::Account(id));
        let lone = lone.and_then(|id| self.here.rejected_account(id));
        let lone = lone.map(|row| {
            let label = &row.label;
            format!("an account that may be its own cannot be understood: {label} (R1)")
        });
        lone.or_else(|| self.here.why_maybe(Side::Zivver).map(str::to_owned))
    }

    /// Every mailbox and account, including those that cannot be understood.
    fn owners(&self) -> impl Iterator<Item = Key<'a>> {
        let mailboxes = self.here.snapshot.mailboxes.iter().map(key_of);
        let rejected = self.here.rejected_mailboxes();
        let accounts = self.accounts.keys().copied();
        let accounts = accounts.filter(|it| {
            self.here.mailbox(*it).is_none() && self.here.rejected_mailbox(*it).is_none()
        });
        mailboxes.chain(rejected).chain(accounts)
    }

    fn row_of_nobody(&self, owner: Key<'a>, is_named: bool) -> Option<Row> {
        let exchange = self.in_exchange(owner, Key::NoPerson);
        let zivver = match self.accounts.get(&owner) {
            Some(account) => self.here.in_zivver(*account, Key::NoPerson),
            None => self.in_zivver(owner, Key::NoPerson),
        };
        let account = self.accounts.get(&owner);
        let is_rejected = self.here.rejected_mailbox(owner).is_some()
            || account.is_some_and(|it| self.here.account(*it).is_none());
        let mailbox = self.here.mailbox(owner);
        let is_unread = mailbox.is_none_or(|it| it.access.is_unread());
        let is_unknown = is_rejected || !is_unread && !exchange.is_known();
        (is_unknown || is_named).then(|| Row {
            mailbox: self.owner(owner),
            kind: self.kind(owner),
            person: None,
            exchange: self.exchange(exchange, None),
            zivver: self.zivver(zivver, false, None),
            changes: Vec::new(),
        })
    }

    fn since(&self, at: i64, or_earlier: bool) -> Since {
        Since {
            at: Moment(at),
            or_earlier: or_earlier || at <= self.here.snapshot.head.began,
        }
    }

    fn exchange(&self, fact: Fact<'a, Grant>, why_not_given: Option<&str>) -> InExchange {
        let granted = |it: &Grant| Granted {
            through: it.through.clone(),
            since: self.since(it.since, it.or_earlier),
            left_out: it.effect.reason().or(why_not_given).map(str::to_owned),
        };
        match fact {
            Fact::Known(Some(grant)) => InExchange::Granted(granted(grant)),
            Fact::Known(None) => InExchange::NotGranted,
            Fact::Unknown { reason, last } => InExchange::Unknown {
                reason,
                last: last.map(granted),
            },
            Fact::NoOwner => InExchange::NoMailbox,
        }
    }

    fn zivver(
        &self,
        fact: Fact<'a, Delegate>,
        stays_suspended: bool,
        person: Option<Key<'a>>,
    ) -> InZivver {
        let person = person.and_then(|person| self.here.account(person));
        let delegated = |it: &Delegate| Delegated {
            since: self.since(it.since, it.or_earlier),
            is_suspended: person.is_some_and(|it| !it.active),
            not_compared: delegate_not_compared(
                &it.who,
                self.not_claimed(&it.who),
                stays_suspended,
            ),
        };
        match fact {
            Fact::Known(Some(delegate)) => InZivver::Delegate(delegated(delegate)),
            Fact::Known(None) => InZivver::NoDelegate,
            Fact::Unknown { reason, last } => InZivver::Unknown {
                reason,
                last: last.map(delegated),
            },
            Fact::NoOwner => InZivver::NoAccount,
        }
    }

    fn stays_suspended(&self, owner: Key<'a>) -> bool {
        let account = self.accounts.get(&owner);
        let account = account.and_then(|it| self.here.account(*it));
        account.is_some_and(|it| !it.active) && self.is_disabled(owner)
    }

    fn is_disabled(&self, owner: Key<'a>) -> bool {
        let is_disabled = |it: &MailboxEntry| it.kind == MailboxKind::User { disabled: true };
        self.here.mailbox(owner).is_some_and(is_disabled)
    }

    /// Why no grant of the mailbox gives access in Zivver.
    fn why_not_given(&self, owner: Key<'a>) -> Option<&'static str> {
        if self.stays_suspended(owner) {
            Some(SUSPENDED)
        } else if self.is_disabled(owner) && !self.accounts.contains_key(&owner) {
            Some("the mailbox is disabled, so no account is created (R21)")
        } else {
            None
        }
    }

    fn not_claimed(&self, delegate: &str) -> Option<&'static str> {
        let address = SmtpAddress::parse(delegate).ok()?;
        (!self.domains.holds(&address)).then_some(NOT_CLAIMED)
    }
}

impl Draft<'_> {
    /// The name by which the services show the person.
    fn text<'t>(&self, joined: &'t Joined<'_, '_>) -> Option<&'t str>
    where
        Self: 't,
    {
        let mut indices = [Some(joined.here), joined.there].into_iter().flatten();
        let mut others = indices.clone();
        let grant = self
            .exchange
            .and_then(|pair| indices.find_map(|it| it.grants.get(&pair)));
        let delegate = self
            .zivver
            .and_then(|pair| others.find_map(|it| it.delegates.get(&pair)));
        let delegate = delegate.map(|it| it.who.as_str());
        let delegate = delegate.filter(|who| who.contains('@'));
        grant.map(|it| it.who.as_str()).or(delegate)
    }
}

/// The accounts that belong to a mailbox (R16).
fn own<'a>(index: &Index<'a>) -> impl Iterator<Item = (&'a str, &'a MailboxEntry)> {
    index.snapshot.mailboxes.iter().filter_map(|mailbox| {
        let id = mailbox.account.as_ref()?;
        let account = index.account(Key::Account(id.as_str()))?;
        let is_tied_to_other = account.tied().is_some() && account.tied() != mailbox.object_id;
        let is_own = mailbox.account_unknown.is_none() && !is_tied_to_other;
        is_own.then_some((id.as_str(), mailbox))
    })
}

/// The names by which Exchange shows the people with access now.
fn called<'a>(index: &Index<'a>) -> HashMap<Key<'a>, &'a str> {
    let mailboxes = index.snapshot.mailboxes.iter();
    let known = mailboxes.filter_map(|it| match &it.access {
        Access::Known(grants) => Some(grants),
        Access::Unknown { .. } | Access::Unread { .. } => None,
    });
    let grants = known.flatten();
    grants
        .map(|it| (index.grantee(it), it.who.as_str()))
        .collect()
}

/// Recipients that are not synchronised, or not understood, by address.
fn outsiders(snapshot: &Snapshot) -> HashMap<SmtpAddress, Key<'_>> {
    let mailboxes = snapshot.mailboxes.iter();
    let grants = mailboxes.flat_map(|it| it.access.grants());
    let outsiders = grants.filter(|it| it.outsider.is_some());
    let outsiders = outsiders.map(|it| {
        let key = it.id.map_or(Key::Text(it.who.as_str()), Key::Object);
        (SmtpAddress::verbatim(&it.who), key)
    });
    let rejected = snapshot.rejected.iter();
    let rejected = rejected.filter(|it| it.side == Side::Exchange);
    let rejected = rejected.flat_map(|it| {
        let key = it
            .object_id
            .map_or(Key::Text(it.label.as_str()), Key::Object);
        it.addresses
            .iter()
            .map(move |address| (address.clone(), key))
    });
    outsiders.chain(rejected).collect()
}

/// For the access to a mailbox, an account that was created again with the same delegates is the same account.
fn without_opposites(mut changes: Vec<Changed>) -> Vec<Changed> {
    for (one, other) in [
        (Changed::Granted, Changed::Withdrawn),
        (Changed::DelegateAdded, Changed::DelegateRemoved),
    ] {
        if changes.contains(&one) && changes.contains(&other) {
            changes.retain(|it| *it != one && *it != other);
        }
    }
    changes
}
