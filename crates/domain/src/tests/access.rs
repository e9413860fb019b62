//! R43 over thousands of pairs of small worlds: a change that the review shows is one, and each change of what is known is
//! shown. Objects keep their ids and change their addresses; each snapshot shows each of them read, unknown, not asked or
//! not understood.

use proptest::prelude::*;

use super::properties::cases_of;
use crate::{
    accounts::AccountKind,
    address::SmtpAddress,
    ids::{ObjectId, ScimId},
    mailbox::MailboxKind,
    snapshot::{
        Access, AccountEntry, Delegate, Effect, Grant, Head, MailboxEntry, NOT_UNDERSTOOD,
        Rejected, Side, Snapshot,
        access::{By, Changed, Filter, InExchange, InZivver, Named, Row, review},
    },
};

/// The first three are users, the others functional.
const NAMES: [&str; 5] = ["anna", "bert", "carl", "dora", "emma"];
const USERS: usize = 3;

#[derive(Debug, Clone)]
struct Object {
    has_mailbox: bool,
    has_account: bool,
    /// By user: whether through a group.
    grants: Vec<Option<bool>>,
    delegates: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    Read,
    Unknown,
    Unread,
    Rejected { has_id: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zivver {
    Read,
    Rejected { has_id: bool, has_address: bool },
}

#[derive(Debug, Clone)]
struct World {
    objects: Vec<Object>,
    seen: Vec<(Exchange, Zivver)>,
    /// Who has which address.
    addresses: Vec<usize>,
}

fn objects() -> impl Strategy<Value = Vec<Object>> {
    let grant = prop_oneof![3 => Just(None), 2 => any::<bool>().prop_map(Some)];
    let object = (
        prop::bool::weighted(0.85),
        prop::bool::weighted(0.85),
        prop::collection::vec(grant, USERS),
        prop::collection::vec(any::<bool>(), USERS),
    );
    let object = object.prop_map(|(has_mailbox, has_account, grants, delegates)| Object {
        has_mailbox,
        has_account,
        grants,
        delegates,
    });
    prop::collection::vec(object, NAMES.len())
}

fn seen() -> impl Strategy<Value = Vec<(Exchange, Zivver)>> {
    let exchange = prop_oneof![
        8 => Just(Exchange::Read),
        1 => Just(Exchange::Unknown),
        1 => Just(Exchange::Unread),
        2 => prop::bool::weighted(0.8).prop_map(|has_id| Exchange::Rejected { has_id }),
    ];
    let rejected = (prop::bool::weighted(0.7), any::<bool>());
    let rejected = rejected.prop_map(|(has_id, has_address)| Zivver::Rejected {
        has_id,
        has_address,
    });
    let zivver = prop_oneof![6 => Just(Zivver::Read), 1 => rejected];
    prop::collection::vec((exchange, zivver), NAMES.len())
}

fn addresses() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just((0..NAMES.len()).collect::<Vec<_>>()),
        Just((0..NAMES.len()).collect::<Vec<_>>()).prop_shuffle(),
    ]
}

/// Half of the pairs differ only in how they are seen.
fn worlds() -> impl Strategy<Value = (World, World)> {
    let both = (objects(), objects(), any::<bool>());
    (both, seen(), seen(), addresses(), addresses()).prop_map(
        |((before, after, is_same), seen_before, seen_after, one, other)| {
            let after = if is_same { before.clone() } else { after };
            let world = |objects, seen, addresses| World {
                objects,
                seen,
                addresses,
            };
            let then = world(before, seen_before, one);
            (then, world(after, seen_after, other))
        },
    )
}

fn object_id(at: usize) -> ObjectId {
    ObjectId::parse(&format!("00000000-0000-4000-8000-00000000000{}", at + 1)).unwrap()
}

fn scim_id(at: usize) -> String {
    format!("z{at}")
}

impl World {
    fn address(&self, at: usize) -> SmtpAddress {
        SmtpAddress::verbatim(&format!("a{}@corp.example", self.addresses[at]))
    }

    fn granted(&self, owner: usize, person: usize) -> Option<bool> {
        let has_both = self.objects[owner].has_mailbox && self.objects[person].has_mailbox;
        let grants = &self.objects[owner].grants;
        let is_other = owner != person && has_both;
        is_other.then(|| grants[person]).flatten()
    }

    fn is_delegate(&self, owner: usize, person: usize) -> bool {
        let has_both = self.objects[owner].has_account && self.objects[person].has_account;
        owner != person && has_both && self.objects[owner].delegates[person]
    }

    fn snapshot(&self, at: i64) -> Snapshot {
        let mut snapshot = Snapshot {
            head: Head {
                at,
                began: 1,
                ..Head::default()
            },
            ..Snapshot::default()
        };
        for (at, object) in self.objects.iter().enumerate() {
            let (exchange, zivver) = self.seen[at];
            if object.has_mailbox {
                match exchange {
                    Exchange::Rejected { has_id } => snapshot.rejected.push(Rejected {
                        object_id: has_id.then(|| object_id(at)),
                        ..rejected(Side::Exchange, at, None)
                    }),
                    Exchange::Read | Exchange::Unknown | Exchange::Unread => {
                        snapshot.mailboxes.push(self.mailbox(at));
                    }
                }
            }
            if object.has_account {
                match zivver {
                    Zivver::Read => snapshot.accounts.push(self.account(at)),
                    Zivver::Rejected {
                        has_id,
                        has_address,
                    } => snapshot.rejected.push(Rejected {
                        id: has_id.then(|| ScimId::new(&scim_id(at))),
                        ..rejected(Side::Zivver, at, has_address.then(|| self.address(at)))
                    }),
                }
            }
        }
        snapshot
    }

    fn mailbox(&self, at: usize) -> MailboxEntry {
        let is_read = self.seen[at].1 == Zivver::Read;
        let has_account = self.objects[at].has_account;
        let grants = (0..USERS).filter_map(|person| self.grant(at, person));
        MailboxEntry {
            primary: self.address(at),
            object_id: Some(object_id(at)),
            kind: if at < USERS {
                MailboxKind::User { disabled: false }
            } else {
                MailboxKind::Shared
            },
            name: NAMES[at].into(),
            aliases: Vec::new(),
            aliases_unknown: false,
            upn: None,
            access: match self.seen[at].0 {
                Exchange::Read => Access::Known(grants.collect()),
                Exchange::Unknown => Access::Unknown {
                    reason: "throttled".into(),
                    last: None,
                },
                Exchange::Unread | Exchange::Rejected { .. } => Access::Unread {
                    reason: "it is not in the source filter (R14)".into(),
                    last: None,
                },
            },
            account: (has_account && is_read).then(|| ScimId::new(&scim_id(at))),
            account_unknown: (has_account && !is_read).then(|| "not understood (R1)".into()),
            standing: String::new(),
            first: 1,
            changed: 1,
        }
    }

    fn grant(&self, owner: usize, person: usize) -> Option<Grant> {
        let through = self.granted(owner, person)?;
        let (who, id, outsider) = match self.seen[person].0 {
            Exchange::Rejected { has_id: true } => {
                (NAMES[person].to_owned(), Some(object_id(person)), None)
            }
            Exchange::Rejected { has_id: false } => {
                (NAMES[person].to_owned(), None, Some(NOT_UNDERSTOOD.into()))
            }
            Exchange::Read | Exchange::Unknown | Exchange::Unread => {
                (self.address(person).to_string(), None, None)
            }
        };
        Some(Grant {
            who,
            id,
            outsider,
            through: if through {
                vec!["Care".into()]
            } else {
                Vec::new()
            },
            effect: Effect::Delegate,
            since: 1,
            or_earlier: false,
        })
    }

    fn account(&self, at: usize) -> AccountEntry {
        let is_user = at < USERS;
        let delegates = (0..USERS).filter(|person| self.is_delegate(at, *person));
        let delegates = delegates.map(|person| {
            let by_address = is_user || self.seen[person].1 == Zivver::Read;
            Delegate {
                who: if by_address {
                    self.address(person).to_string()
                } else {
                    scim_id(person)
                },
                account: None,
                since: 1,
                or_earlier: false,
            }
        });
        AccountEntry {
            id: ScimId::new(&scim_id(at)),
            kind: if is_user {
                AccountKind::User
            } else {
                AccountKind::Functional
            },
            address: self.address(at),
            name: NAMES[at].into(),
            active: true,
            aliases: Vec::new(),
            delegates: delegates.collect(),
            external_account_id: None,
            tied: Some(object_id(at)),
            mailbox_unknown: None,
            standing: String::new(),
            first: 1,
            changed: 1,
        }
    }

    /// Who a row may be about; only by address, which the two snapshots may give to two, where there is no name.
    fn who(&self, then: &Self, named: &Named) -> Vec<usize> {
        let all = 0..NAMES.len();
        let name = named.name.trim_end_matches(" (had this address before)");
        let is_it = |at: &usize| {
            let texts = [NAMES[*at].to_owned(), scim_id(*at)];
            let is = |text: &String| *text == name || *text == named.address;
            texts.iter().any(is)
        };
        if let Some(found) = all.clone().find(is_it) {
            return vec![found];
        }
        let with_address = |it: &Self| {
            let mut all = 0..NAMES.len();
            all.find(|at| it.address(*at).as_str() == named.address)
        };
        [self, then].into_iter().filter_map(with_address).collect()
    }

    fn is_listed(&self, at: usize) -> bool {
        let is_rejected = matches!(self.seen[at].0, Exchange::Rejected { .. });
        self.objects[at].has_mailbox && !is_rejected
    }

    fn is_nameless(&self, at: usize) -> bool {
        self.objects[at].has_mailbox && self.seen[at].0 == Exchange::Rejected { has_id: false }
    }

    /// Whether the snapshot tells if the person has access in Exchange.
    fn is_known_in_exchange(&self, owner: usize, person: usize) -> bool {
        let mut all = 0..NAMES.len();
        if !self.objects[owner].has_mailbox {
            return !all.any(|at| self.is_nameless(at));
        }
        let mut people = 0..USERS;
        let mut is_unclear =
            || people.any(|it| self.granted(owner, it).is_some() && self.is_nameless(it));
        let is_read = self.seen[owner].0 == Exchange::Read;
        is_read
            && match self.granted(owner, person) {
                Some(_) => !self.is_nameless(person),
                None => self.is_listed(person) || !is_unclear(),
            }
    }

    fn is_rejected(&self, at: usize) -> bool {
        self.objects[at].has_account && self.seen[at].1 != Zivver::Read
    }

    /// Whether a delegate of a user, who is known by address, may be a row without that address or without an id.
    fn is_unclear(&self, owner: usize, person: usize) -> bool {
        let has_both = Zivver::Rejected {
            has_id: true,
            has_address: true,
        };
        owner < USERS && self.is_rejected(person) && self.seen[person].1 != has_both
    }

    /// Whether the snapshot tells if the person is a delegate in Zivver.
    fn is_known_in_zivver(&self, owner: usize, person: usize) -> bool {
        let has_id = |at: usize| match self.seen[at].1 {
            Zivver::Read => true,
            Zivver::Rejected { has_id, .. } => has_id,
        };
        let mut all = 0..NAMES.len();
        if !self.objects[owner].has_account {
            return !all.any(|at| self.is_rejected(at) && !has_id(at));
        }
        let is_listed = self.objects[person].has_account && !self.is_rejected(person);
        let mut people = 0..USERS;
        let mut has_unclear =
            || people.any(|it| self.is_delegate(owner, it) && self.is_unclear(owner, it));
        !self.is_rejected(owner)
            && if self.is_delegate(owner, person) {
                !self.is_unclear(owner, person)
            } else {
                is_listed || !has_unclear()
            }
    }

    /// What the row states is so.
    fn assert_true(&self, row: &Row, owner: usize, person: Option<usize>) {
        let granted = person.and_then(|person| self.granted(owner, person));
        let is_delegate = person.is_some_and(|person| self.is_delegate(owner, person));
        match &row.exchange {
            InExchange::Granted(it) => assert_eq!(granted, Some(!it.through.is_empty()), "{row:?}"),
            InExchange::NotGranted => assert_eq!(granted, None, "{row:?}"),
            InExchange::NoMailbox => assert!(!self.objects[owner].has_mailbox, "{row:?}"),
            InExchange::Unknown { .. } => {}
        }
        match &row.zivver {
            InZivver::Delegate(_) => assert!(is_delegate, "{row:?}"),
            InZivver::NoDelegate => assert!(!is_delegate, "{row:?}"),
            InZivver::NoAccount => assert!(!self.objects[owner].has_account, "{row:?}"),
            InZivver::Unknown { .. } => {}
        }
    }
}

fn rejected(side: Side, at: usize, address: Option<SmtpAddress>) -> Rejected {
    Rejected {
        side,
        label: NAMES[at].into(),
        addresses: address.into_iter().collect(),
        reason: "wrong types".into(),
        object_id: None,
        id: None,
        last: None,
    }
}

/// What changed in truth, of what both snapshots know.
fn expected(then: &World, now: &World) -> Vec<(usize, usize, Changed)> {
    let mut changes = Vec::new();
    let pairs = (0..NAMES.len()).flat_map(|owner| (0..USERS).map(move |person| (owner, person)));
    for (owner, person) in pairs {
        if then.is_known_in_exchange(owner, person) && now.is_known_in_exchange(owner, person) {
            let change = match (then.granted(owner, person), now.granted(owner, person)) {
                (None, Some(_)) => Some(Changed::Granted),
                (Some(_), None) => Some(Changed::Withdrawn),
                (Some(one), Some(other)) if one != other => Some(Changed::OtherPath {
                    before: if one { vec!["Care".into()] } else { Vec::new() },
                }),
                (Some(_), Some(_)) | (None, None) => None,
            };
            changes.extend(change.map(|it| (owner, person, it)));
        }
        if then.is_known_in_zivver(owner, person) && now.is_known_in_zivver(owner, person) {
            let change = match (
                then.is_delegate(owner, person),
                now.is_delegate(owner, person),
            ) {
                (false, true) => Some(Changed::DelegateAdded),
                (true, false) => Some(Changed::DelegateRemoved),
                (true, true) | (false, false) => None,
            };
            changes.extend(change.map(|it| (owner, person, it)));
        }
    }
    changes
}

proptest! {
    #![proptest_config(cases_of(3_000))]

    #[test]
    fn r43_what_changed_and_is_known_in_both_snapshots_is_shown_and_nothing_else(
        (then, now) in worlds()
    ) {
        let review = review(
            &now.snapshot(2),
            Some(&then.snapshot(1)),
            &Filter::new(["a"], By::Mailbox, false),
        );
        let mut expected = expected(&then, &now);
        let mut shown = Vec::new();
        for row in &review.rows {
            let owner = now.who(&then, &row.mailbox)[0];
            let are_expected = |person: &usize| {
                let mut changes = row.changes.iter();
                changes.all(|it| expected.contains(&(owner, *person, it.clone())))
            };
            let person = row.person.as_ref().map(|named| {
                let who = now.who(&then, named);
                let users = who.into_iter().filter(|it| *it < USERS);
                let users: Vec<usize> = users.collect();
                users.iter().copied().find(|it| are_expected(it)).unwrap_or(users[0])
            });
            now.assert_true(row, owner, person);
            for change in &row.changes {
                shown.push((owner, person.unwrap(), change.clone()));
            }
        }
        let key = |it: &(usize, usize, Changed)| (it.0, it.1, format!("{:?}", it.2));
        expected.sort_by_key(key);
        shown.sort_by_key(key);
        prop_assert_eq!(shown, expected);
    }
}
