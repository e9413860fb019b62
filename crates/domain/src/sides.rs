//! Both sides of an explanation, attribute by attribute in a fixed order, with the differences (R40).

use std::collections::BTreeSet;

use super::{
    accounts::AccountKind,
    explain::{AccountFacts, Explanation, MailboxFacts},
};

/// A mailbox and the account that is shown next to it.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    pub mailbox: Option<&'a MailboxFacts>,
    pub account: Option<&'a AccountFacts>,
}

/// One attribute on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: &'static str,
    pub exchange: Side,
    pub zivver: Side,
}

/// The value of an attribute on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// There is no mailbox or no account.
    Missing,
    /// Not read, or cannot be read back.
    Unknown,
    Values(Vec<Value>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub text: String,
    pub other: Other,
}

/// The result of comparing a value with the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// The other side has it too, or has no statement about it.
    Agrees,
    Differs,
    /// No rule compares it, for this reason.
    NotCompared(&'static str),
}

impl Side {
    fn differs(&self) -> bool {
        match self {
            Self::Values(values) => values.iter().any(|value| value.other == Other::Differs),
            Self::Missing | Self::Unknown => false,
        }
    }
}

impl Row {
    pub fn differs(&self) -> bool {
        self.exchange.differs() || self.zivver.differs()
    }
}

impl Explanation {
    /// Why no rule compares an address.
    pub fn not_compared(&self, address: &str) -> Option<&'static str> {
        let mut outside = self.outside.iter();
        let is_outside = outside.any(|it| it.eq_ignore_ascii_case(address));
        is_outside.then_some(NOT_CLAIMED)
    }

    /// The same for a delegate of an account in Zivver.
    pub fn delegate_not_compared(
        &self,
        account: &AccountFacts,
        delegate: &str,
    ) -> Option<&'static str> {
        let mut mailboxes = self.mailboxes.iter();
        let stays_suspended = !account.active && mailboxes.any(|it| it.disabled == Some(true));
        delegate_not_compared(delegate, self.not_compared(delegate), stays_suspended)
    }
}

/// `delegate` can be the id of an account that is in neither list.
pub(crate) fn delegate_not_compared(
    delegate: &str,
    outside: Option<&'static str>,
    stays_suspended: bool,
) -> Option<&'static str> {
    if delegate.contains('@') {
        outside.or(stays_suspended.then_some(SUSPENDED))
    } else {
        Some("in neither list of Zivver, so not compared (R22)")
    }
}

/// Why no rule compares the delegates of an account.
pub(crate) const SUSPENDED: &str =
    "the account stays suspended, so only its status is compared (R22)";

/// Why no rule compares an address outside the claimed domains.
pub(crate) const NOT_CLAIMED: &str = "domain not claimed (R13)";

/// Each mailbox with the account that has its object id, otherwise its address. The others are shown alone.
pub fn pairs(explanation: &Explanation) -> Vec<Pair<'_>> {
    let mut accounts: Vec<&AccountFacts> = explanation.accounts.iter().collect();
    let mut pairs = Vec::new();
    for mailbox in &explanation.mailboxes {
        let by_id = accounts.iter().position(|account| {
            mailbox.object_id.is_some() && account.external_account_id == mailbox.object_id
        });
        let by_address = || {
            let mut all = accounts.iter();
            all.position(|account| account.address == mailbox.primary)
        };
        let found = by_id.or_else(by_address);
        pairs.push(Pair {
            mailbox: Some(mailbox),
            account: found.map(|at| accounts.remove(at)),
        });
    }
    // One mailbox and one account without a tie are shown together, since both have the address that was asked for.
    if let ([Pair { account, .. }], [_]) = (&mut *pairs, &*accounts)
        && account.is_none()
    {
        *account = accounts.pop();
    }
    pairs.extend(accounts.into_iter().map(|account| Pair {
        mailbox: None,
        account: Some(account),
    }));
    pairs
}

/// Whether both sides of every pair exist, were read and are equal.
pub fn are_equal(explanation: &Explanation) -> bool {
    let pairs = pairs(explanation);
    !pairs.is_empty()
        && pairs.iter().all(|pair| {
            let rows = rows(*pair, explanation);
            pair.mailbox.is_some() && pair.account.is_some() && !rows.iter().any(Row::differs)
        })
}

/// The attributes of both, each in the same place.
pub fn rows(pair: Pair<'_>, explanation: &Explanation) -> Vec<Row> {
    let row =
        |name, of_mailbox: fn(&MailboxFacts) -> Told, of_account: fn(&AccountFacts) -> Told| {
            compare(
                name,
                pair.mailbox.map(of_mailbox),
                pair.account.map(of_account),
                |it| explanation.not_compared(it),
            )
        };
    vec![
        row(
            "Address",
            |it| Some(vec![Said::address(&it.primary)]),
            |it| Some(vec![Said::address(&it.address)]),
        ),
        row(
            "Name",
            |it| {
                Some(vec![Said::new(
                    it.display_name.trim(),
                    it.display_name.trim(),
                )])
            },
            |it| Some(vec![Said::new(it.name.trim(), it.name.trim())]),
        ),
        row(
            "Kind",
            |it| Some(vec![mailbox_kind(it)]),
            |it| Some(vec![Said::new(key_of(it.kind), key_of(it.kind))]),
        ),
        row("Status", mailbox_status, |it| {
            Some(vec![if it.active {
                Said::new("active", ACTIVE)
            } else {
                Said::new("not active", INACTIVE)
            }])
        }),
        row(
            "Aliases",
            |it| Some(it.aliases.iter().map(|it| Said::address(it)).collect()),
            |it| Some(it.aliases.iter().map(|it| Said::address(it)).collect()),
        ),
        full_access(pair, explanation),
        row(
            "Object id",
            |it| Some(vec![Said::address(it.object_id.as_ref()?)]),
            // Another system may store something else there (R16).
            |it| {
                let id = it.external_account_id.as_ref().filter(|id| is_guid(id))?;
                Some(vec![Said::address(id)])
            },
        ),
    ]
}

/// R22: delegates are compared by account.
fn full_access(pair: Pair<'_>, explanation: &Explanation) -> Row {
    let trustees = |it: &MailboxFacts| {
        let trustees = it.full_access.as_ref()?.iter();
        Some(trustees.map(|it| Said::trustee(it)).collect())
    };
    let delegates = |it: &AccountFacts| {
        let delegates = it.delegates.iter();
        Some(
            delegates
                .map(|it| Said::delegate(it, explanation.renamed.get(it)))
                .collect(),
        )
    };
    compare(
        "Full Access",
        pair.mailbox.map(trustees),
        pair.account.map(delegates),
        |it| explanation.delegate_not_compared(pair.account?, it),
    )
}

const ACTIVE: &str = "active";
const INACTIVE: &str = "inactive";

/// The values on one side; `None` if they are not known.
type Told = Option<Vec<Said>>;

/// A text and the key by which it is compared.
struct Said {
    text: String,
    key: String,
}

impl Said {
    fn new(text: &str, key: &str) -> Self {
        Self {
            text: text.to_owned(),
            key: key.to_owned(),
        }
    }

    /// R22: compared without case.
    fn address(text: &str) -> Self {
        Self::new(text, &text.to_lowercase())
    }

    /// R22: compared by account. `now` is the address of its mailbox, if that is another one.
    fn delegate(text: &str, now: Option<&String>) -> Self {
        match now {
            None => Self::address(text),
            Some(now) => Self::new(&format!("{text} (now {now})"), &now.to_lowercase()),
        }
    }

    /// `anna@corp.example via A > B`, `anna@corp.example (MailUser)`.
    fn trustee(text: &str) -> Self {
        let address = text.split([' ']).next().unwrap_or_default();
        Self::new(text, &address.to_lowercase())
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.matches('-').count() == 4
}

fn mailbox_kind(mailbox: &MailboxFacts) -> Said {
    let key = match &*mailbox.kind {
        "UserMailbox" => key_of(AccountKind::User),
        "SharedMailbox" => key_of(AccountKind::Functional),
        other => other,
    };
    Said::new(&mailbox.kind, key)
}

fn key_of(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::User => "user",
        AccountKind::Functional => "functional",
    }
}

/// A shared mailbox is active while at least one person can open it.
fn mailbox_status(mailbox: &MailboxFacts) -> Told {
    let said = match (mailbox.disabled, &mailbox.full_access) {
        (Some(true), _) => Said::new("disabled", INACTIVE),
        (Some(false), _) => Said::new("enabled", ACTIVE),
        (None, Some(trustees)) if trustees.is_empty() => Said::new("without Full Access", INACTIVE),
        (None, Some(_)) => Said::new("with Full Access", ACTIVE),
        (None, None) => return None,
    };
    Some(vec![said])
}

fn compare(
    name: &'static str,
    exchange: Option<Told>,
    zivver: Option<Told>,
    not_compared: impl Fn(&str) -> Option<&'static str>,
) -> Row {
    let keys = |side: &Option<Told>| -> Option<BTreeSet<String>> {
        let said = side.as_ref()?.as_ref()?;
        Some(said.iter().map(|it| it.key.clone()).collect())
    };
    let (of_exchange, of_zivver) = (keys(&exchange), keys(&zivver));
    let side = |told: Option<Told>, other: Option<BTreeSet<String>>| match told {
        None => Side::Missing,
        Some(None) => Side::Unknown,
        Some(Some(said)) => Side::Values(
            said.into_iter()
                .map(|it| Value {
                    other: match &other {
                        Some(other) if other.contains(&it.key) => Other::Agrees,
                        None => Other::Agrees,
                        Some(_) => not_compared(&it.key).map_or(Other::Differs, Other::NotCompared),
                    },
                    text: it.text,
                })
                .collect(),
        ),
    };
    Row {
        name,
        exchange: side(exchange, of_zivver),
        zivver: side(zivver, of_exchange),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn mailbox() -> MailboxFacts {
        MailboxFacts {
            primary: "anna@corp.example".into(),
            kind: "UserMailbox".into(),
            object_id: None,
            display_name: "Anna".into(),
            aliases: vec!["a@corp.example".into(), "b@corp.example".into()],
            disabled: Some(false),
            full_access: Some(vec!["bob@corp.example via Finance > Board".into()]),
            standing: String::new(),
        }
    }

    fn account() -> AccountFacts {
        AccountFacts {
            id: "1".into(),
            kind: AccountKind::User,
            address: "Anna@corp.example".into(),
            name: "Anna".into(),
            active: true,
            aliases: vec!["B@corp.example".into(), "a@corp.example".into()],
            delegates: vec!["bob@corp.example".into()],
            external_account_id: None,
            suspended: None,
            standing: String::new(),
        }
    }

    fn explanation(mailboxes: Vec<MailboxFacts>, accounts: Vec<AccountFacts>) -> Explanation {
        Explanation {
            address: "anna@corp.example".into(),
            verdict: String::new(),
            mailboxes,
            accounts,
            outside: vec!["anna@corp.onmicrosoft.example".into()],
            renamed: BTreeMap::new(),
            actions: Vec::new(),
            held: Vec::new(),
            notes: Vec::new(),
            unknown: None,
            as_of: None,
        }
    }

    fn differing(explanation: &Explanation) -> Vec<&'static str> {
        let pairs = pairs(explanation).into_iter();
        let rows = pairs.flat_map(|pair| rows(pair, explanation));
        rows.filter(Row::differs).map(|row| row.name).collect()
    }

    #[test]
    fn r40_both_sides_are_compared_as_r22_compares() {
        let same = explanation(vec![mailbox()], vec![account()]);
        assert_eq!(differing(&same), [""; 0]);
        assert!(are_equal(&same));
        // R13: an alias outside the claimed domains is not compared.
        let elsewhere = MailboxFacts {
            aliases: [
                mailbox().aliases,
                vec!["anna@corp.onmicrosoft.example".into()],
            ]
            .concat(),
            ..mailbox()
        };
        assert!(are_equal(&explanation(vec![elsewhere], vec![account()])));
        let other = AccountFacts {
            name: "Ann".into(),
            active: false,
            aliases: vec!["a@corp.example".into()],
            delegates: Vec::new(),
            ..account()
        };
        let differs = explanation(vec![mailbox()], vec![other]);
        assert_eq!(
            differing(&differs),
            ["Name", "Status", "Aliases", "Full Access"]
        );
        assert!(!are_equal(&differs));
    }

    #[test]
    fn r22_r40_a_member_in_neither_list_is_no_difference() {
        let id = "45462d62-f0af-427c-8195-0888b3dbce86";
        let own = AccountFacts {
            delegates: vec!["bob@corp.example".into(), id.into()],
            ..account()
        };
        let explanation = explanation(vec![mailbox()], vec![own]);
        assert!(are_equal(&explanation));
        let own = &explanation.accounts[0];
        assert!(explanation.delegate_not_compared(own, id).is_some());
    }

    #[test]
    fn r40_what_is_missing_or_unknown_is_no_difference_and_not_equal() {
        let lonely = explanation(vec![mailbox()], Vec::new());
        assert_eq!(differing(&lonely), [""; 0]);
        assert!(!are_equal(&lonely));
        assert!(!are_equal(&explanation(Vec::new(), vec![account()])));
        assert!(!are_equal(&explanation(Vec::new(), Vec::new())));
        let unread = MailboxFacts {
            full_access: None,
            ..mailbox()
        };
        let unread = explanation(vec![unread], vec![account()]);
        assert_eq!(differing(&unread), [""; 0]);
    }

    #[test]
    fn r22_r40_a_renamed_delegate_is_the_same_on_both_sides() {
        let delegates = vec!["old@corp.example".into()];
        let own = AccountFacts {
            delegates,
            ..account()
        };
        let renamed = [("old@corp.example".into(), "bob@corp.example".into())];
        let explanation = Explanation {
            renamed: renamed.into(),
            ..explanation(vec![mailbox()], vec![own])
        };
        assert_eq!(differing(&explanation), [""; 0]);
        let rows = rows(pairs(&explanation)[0], &explanation);
        let Side::Values(values) = &rows[5].zivver else {
            panic!("{rows:?}");
        };
        assert_eq!(values[0].text, "old@corp.example (now bob@corp.example)");
    }

    #[test]
    fn r40_a_renamed_mailbox_is_beside_its_account() {
        let id = "6f7a2c1e-0b7d-4e2b-8c52-2f5c1b1d9a10";
        let renamed = MailboxFacts {
            primary: "anna.new@corp.example".into(),
            object_id: Some(id.into()),
            ..mailbox()
        };
        let own = AccountFacts {
            external_account_id: Some(id.into()),
            ..account()
        };
        let namesake = AccountFacts {
            address: "anna.new@corp.example".into(),
            ..account()
        };
        let both = explanation(vec![renamed], vec![namesake, own]);
        let pairs = pairs(&both);
        assert_eq!(pairs[0].account.unwrap().address, "Anna@corp.example");
        assert!(pairs[1].mailbox.is_none());
    }
}
