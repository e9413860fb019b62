//! Both sides at the end of a run, the decisions, and the time since when each entry exists (R42).
//!
//! A snapshot is stored as a sequence of [`Line`]s, so that it need not be in memory as a whole while it is written or
//! read. [`lines`] makes the lines of a run from the world and from [`Earlier`], the [`Digest`] of the previous snapshot.
//! [`Snapshot`] is the collection of all lines, or of those for a few addresses.

pub mod access;
mod build;
pub mod diff;
mod earlier;
mod explained;
pub mod history;
mod identity;

use serde::{Deserialize, Serialize};

pub use build::{Left, lines};
pub use earlier::{Digest, Earlier};
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

/// The lines of a snapshot, in this order: the head, each mailbox followed by its account, the other accounts, what was
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

/// Identifies the run. Times are epoch seconds. `or_earlier` marks an entry that may be older than its time: before that
/// time it is unknown whether the entry existed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub run: String,
    /// The time at which the two sides were like this.
    pub at: i64,
    /// When the first snapshot of the series was made. Entries that exist since then may be older.
    pub began: i64,
    pub tenant_id: String,
    /// R13
    pub claimed_domains: Vec<String>,
}

/// A mailbox as Exchange listed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxEntry {
    pub primary: SmtpAddress,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object_id: Option<ObjectId>,
    pub kind: MailboxKind,
    /// R4: empty if it is unknown.
    pub name: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub aliases: Vec<SmtpAddress>,
    /// R4: Exchange did not list its aliases completely.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub aliases_unknown: bool,
    /// Only where it differs from the primary address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upn: Option<String>,
    pub access: Access,
    /// The account that belongs to it, or that it claims (R16).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<ScimId>,
    /// R1, R16, R17: why the account of the mailbox is unknown, with the rule.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account_unknown: Option<String>,
    /// Why the mailbox is or is not synchronised, with the rule.
    pub standing: String,
    pub first: i64,
    /// When a value other than `account` and `standing` last differed from the previous snapshot.
    pub changed: i64,
}

/// Who has Full Access to a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Not asked: with the reason and its rule, and what was last known.
    Unread {
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        last: Option<Vec<Grant>>,
    },
    /// R11: the same.
    Unknown {
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        last: Option<Vec<Grant>>,
    },
    Known(Vec<Grant>),
}

impl Access {
    /// What is known, or was last known; `None` if it never was.
    pub fn last_known(&self) -> Option<&[Grant]> {
        match self {
            Self::Unread { last, .. } | Self::Unknown { last, .. } => last.as_deref(),
            Self::Known(grants) => Some(grants),
        }
    }

    pub fn grants(&self) -> &[Grant] {
        self.last_known().unwrap_or_default()
    }

    pub fn is_unread(&self) -> bool {
        matches!(self, Self::Unread { .. })
    }
}

/// Full Access of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The primary address, or the name of a person without one.
    pub who: String,
    /// The object id, if the address does not identify one mailbox of the snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<ObjectId>,
    /// R12: `RecipientTypeDetails` of a person without a mailbox among those that were read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outsider: Option<String>,
    /// The groups that the right comes through, outermost first; empty for a direct grant.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub through: Vec<String>,
    #[serde(skip_serializing_if = "Effect::is_delegate", default)]
    pub effect: Effect,
    pub since: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub or_earlier: bool,
}

/// R5: replaces the kind of a person without a known object id.
pub(crate) const NOT_UNDERSTOOD: &str = "not understood";

/// The result of a grant in Zivver (R12), with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    #[default]
    Delegate,
    /// Cannot be a delegate.
    Pruned(String),
    /// Left out of this run.
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

/// An account as the run last read it, after its writes if it made any.
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
    /// R16: the object id that the state ties it to, if it is not that of `ExternalAccountId`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tied: Option<ObjectId>,
    /// R16, R17: why the mailbox of the account is unknown, with the rule.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mailbox_unknown: Option<String>,
    /// To whom the account belongs, with the rule.
    pub standing: String,
    pub first: i64,
    /// When a value other than `standing` last differed from the previous snapshot.
    pub changed: i64,
}

impl AccountEntry {
    /// R16: the object id that it belongs to, by the state or by `ExternalAccountId`.
    pub fn tied(&self) -> Option<ObjectId> {
        let external = || {
            self.external_account_id
                .as_deref()
                .and_then(ObjectId::parse)
        };
        self.tied.or_else(external)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegate {
    /// The address of the account, or the stored text if there is no such account.
    pub who: String,
    /// The account, if the address does not identify one account of the snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<ScimId>,
    pub since: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub or_earlier: bool,
}

/// A row that could not be understood (R1, R5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    pub side: Side,
    pub label: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub addresses: Vec<SmtpAddress>,
    pub reason: String,
    /// Of a mailbox, its object id; of an account, the one that it is or was tied to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object_id: Option<ObjectId>,
    /// Of an account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<ScimId>,
    /// As it was when it was last understood.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<Box<Last>>,
}

/// The last known values of an entry that cannot be understood now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Last {
    Mailbox(MailboxEntry),
    Account(AccountEntry),
}

impl Rejected {
    pub(crate) fn last_mailbox(&self) -> Option<&MailboxEntry> {
        match self.last.as_deref()? {
            Last::Mailbox(mailbox) => Some(mailbox),
            Last::Account(_) => None,
        }
    }

    pub(crate) fn last_account(&self) -> Option<&AccountEntry> {
        match self.last.as_deref()? {
            Last::Account(account) => Some(account),
            Last::Mailbox(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Exchange,
    Zivver,
}

/// A decision of the run about one address, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub address: String,
    pub what: What,
    /// The rules, separated by spaces.
    pub rule: String,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Action {
        /// `None` for an account that did not exist yet.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<ScimId>,
        kind: ActionKind,
        outcome: ActionOutcome,
    },
    Held(Class),
    Note(Code),
}

/// A snapshot in memory: all of it, or the requested lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub head: Head,
    /// By address.
    pub mailboxes: Vec<MailboxEntry>,
    /// Not sorted.
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

    /// The snapshot of a run that follows `previous`.
    pub fn next(previous: Option<&Self>, left: &Left<'_>, head: Head) -> Self {
        let mut digest = Digest::of(left.world);
        for line in previous.into_iter().flat_map(Self::lines) {
            digest.take(&line);
        }
        lines(left, &digest.finish(), head).collect()
    }

    /// The mailbox with this object id, or with this primary address if it has no object id.
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
        let rejected = self.rejected.iter().cloned().map(Line::Rejected);
        std::iter::once(Line::Head(self.head.clone()))
            .chain(mailboxes)
            .chain(accounts)
            .chain(rejected)
    }
}

impl FromIterator<Line> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        let mut snapshot = Self::default();
        lines.into_iter().for_each(|line| snapshot.push(line));
        snapshot
    }
}
