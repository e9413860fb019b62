//! Both sides as one run left them, with what was decided and since when each thing is there (R42).
//!
//! A snapshot is stored as a sequence of [`Line`]s, so that neither writing nor reading one needs it in memory as a whole:
//! [`lines`] makes the lines of a run from the world and from [`Earlier`], the digest of the snapshot before it.
//! [`Snapshot`] is the same collected, whole or for a few addresses.

pub mod access;
mod build;
pub mod diff;
mod earlier;
mod explained;
pub mod history;

use serde::{Deserialize, Serialize};

pub use build::{Left, lines};
pub use earlier::Earlier;
pub use explained::explained;

use super::{
    accounts::AccountKind,
    action::{ActionKind, ActionOutcome},
    address::SmtpAddress,
    guard::Class,
    ids::{ObjectId, ScimId},
    mailbox::MailboxKind,
    note::Code,
};

/// What a snapshot consists of, in this order: the head, each mailbox followed by its account, the other accounts, what was
/// rejected, the decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Head(Head),
    Mailbox(MailboxEntry),
    Account(AccountEntry),
    Rejected(Rejected),
    Decision(Decision),
}

/// Which run it is of. Times are epoch seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub run: String,
    /// When the two sides looked so.
    pub at: i64,
    /// When the first snapshot of the series was made: what is there since then may be older.
    pub began: i64,
    pub tenant_id: String,
    /// R13
    pub claimed_domains: Vec<String>,
}

/// A mailbox as Exchange showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxEntry {
    pub primary: SmtpAddress,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object_id: Option<ObjectId>,
    pub kind: MailboxKind,
    pub name: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub aliases: Vec<SmtpAddress>,
    /// R4: Exchange did not say which aliases it has.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub aliases_unknown: bool,
    /// Only where it differs from the primary address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upn: Option<String>,
    pub access: Access,
    /// The account that is its own, or claimed by it (R16).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<ScimId>,
    /// Where the mailbox stands, in words with the rule.
    pub standing: String,
    pub first: i64,
    /// When anything but `account` and `standing` last differed from the snapshot before.
    pub changed: i64,
}

/// Who has Full Access to a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Not of interest: the mailbox is not synchronised.
    Unread,
    /// R11: with the reason, and what was last known.
    Unknown {
        reason: String,
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        last: Vec<Grant>,
    },
    Known(Vec<Grant>),
}

impl Access {
    /// What is known, or was last known.
    pub fn grants(&self) -> &[Grant] {
        match self {
            Self::Unread => &[],
            Self::Unknown { last, .. } => last,
            Self::Known(grants) => grants,
        }
    }
}

/// Full Access of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The primary address; the name of a person who has none.
    pub who: String,
    /// R12: `RecipientTypeDetails` of somebody who is none of the mailboxes that were read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outsider: Option<String>,
    /// The groups that the right comes through, outermost first; empty for a direct one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub through: Vec<String>,
    #[serde(skip_serializing_if = "Effect::is_delegate", default)]
    pub effect: Effect,
    pub since: i64,
}

/// What becomes of a grant in Zivver (R12), with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    #[default]
    Delegate,
    /// Left out for good.
    Pruned(String),
    /// Left out for now.
    LeftOut(String),
    /// Neither added nor removed.
    Kept(String),
}

impl Effect {
    fn is_delegate(&self) -> bool {
        *self == Self::Delegate
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Delegate => None,
            Self::Pruned(reason) | Self::LeftOut(reason) | Self::Kept(reason) => Some(reason),
        }
    }
}

/// An account as Zivver showed it when the run last read it: after its writes, where it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountEntry {
    pub id: ScimId,
    pub kind: AccountKind,
    pub address: SmtpAddress,
    pub name: String,
    pub active: bool,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub aliases: Vec<SmtpAddress>,
    /// Delegates of a user, members of a functional account.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub delegates: Vec<Delegate>,
    /// `ExternalAccountId`, as read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub external_account_id: Option<String>,
    /// Whose it is, in words with the rule.
    pub standing: String,
    pub first: i64,
    /// When anything but `standing` last differed from the snapshot before.
    pub changed: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegate {
    /// The address of the account, or what Zivver has where there is no such account.
    pub who: String,
    pub since: i64,
}

/// What could not be understood (R1, R5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    pub side: Side,
    pub label: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub addresses: Vec<SmtpAddress>,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Exchange,
    Zivver,
}

/// What the run decided about one address, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub address: String,
    pub what: What,
    /// The rules, separated by blanks.
    pub rule: String,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Action {
        /// `None` for an account that was yet to be created.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<ScimId>,
        kind: ActionKind,
        outcome: ActionOutcome,
    },
    Held(Class),
    Note(Code),
}

/// A snapshot in memory: all of it, or the lines that were asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub head: Head,
    /// By address.
    pub mailboxes: Vec<MailboxEntry>,
    /// In no order.
    pub accounts: Vec<AccountEntry>,
    pub rejected: Vec<Rejected>,
    pub decisions: Vec<Decision>,
}

impl Snapshot {
    pub fn push(&mut self, line: Line) {
        match line {
            Line::Head(head) => self.head = head,
            Line::Mailbox(entry) => self.mailboxes.push(entry),
            Line::Account(entry) => self.accounts.push(entry),
            Line::Rejected(rejected) => self.rejected.push(rejected),
            Line::Decision(decision) => self.decisions.push(decision),
        }
    }

    /// The snapshot of a run, after `previous`.
    pub fn next(previous: Option<&Self>, left: &Left<'_>, head: Head) -> Self {
        let mut earlier = Earlier::of(left.world);
        for line in previous.into_iter().flat_map(Self::lines) {
            earlier.take(&line);
        }
        lines(left, &earlier, head).collect()
    }

    /// The mailbox with this object id, or with this primary address where it has none.
    pub fn mailbox(
        &self,
        object_id: Option<&ObjectId>,
        primary: &SmtpAddress,
    ) -> Option<&MailboxEntry> {
        self.mailboxes.iter().find(|it| match object_id {
            Some(id) => it.object_id.as_ref() == Some(id),
            None => it.primary == *primary,
        })
    }

    pub fn account(&self, id: &ScimId) -> Option<&AccountEntry> {
        self.accounts.iter().find(|it| it.id == *id)
    }

    fn lines(&self) -> impl Iterator<Item = Line> {
        let mailboxes = self.mailboxes.iter().cloned().map(Line::Mailbox);
        let accounts = self.accounts.iter().cloned().map(Line::Account);
        std::iter::once(Line::Head(self.head.clone()))
            .chain(mailboxes)
            .chain(accounts)
    }
}

impl FromIterator<Line> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        let mut snapshot = Self::default();
        lines.into_iter().for_each(|line| snapshot.push(line));
        snapshot
    }
}
