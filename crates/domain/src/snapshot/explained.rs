//! R40: what the last snapshot says about an address, without asking either service.

use std::collections::BTreeSet;

use super::{
    Access, AccountEntry, Grant, Head, MailboxEntry, Rejected, Side, Snapshot, access::Moment,
};
use crate::{
    accounts::AccountKind,
    action::ActionOutcome,
    address::SmtpAddress,
    explain::{AccountFacts, AsOf, Explanation, HeldFact, MailboxFacts, outside, verdict},
    held::HeldChange,
    mailbox::MailboxKind,
    mode::Mode,
    named::{UnknownAddress, nearest_of, suggestion},
    note::{Code, Note},
    plan::Action,
    report::Report,
    scope::ClaimedDomains,
};

impl MailboxKind {
    /// `RecipientTypeDetails`.
    pub(super) fn words(&self) -> &str {
        match self {
            Self::User { .. } => "UserMailbox",
            Self::Shared => "SharedMailbox",
            Self::Other(kind) => kind,
        }
    }

    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::User { disabled: true } => "disabled",
            Self::User { disabled: false } => "enabled",
            Self::Shared | Self::Other(_) => "",
        }
    }
}

impl Grant {
    /// `bert@corp.example via Care > Night`, `carl@corp.example (MailUser)`.
    pub fn words(&self) -> String {
        let kind = self.outsider.as_ref();
        let kind = kind.map_or_else(String::new, |kind| format!(" ({kind})"));
        let who = format!("{}{kind}", self.who);
        if self.through.is_empty() {
            who
        } else {
            format!("{who} via {}", self.through.join(" > "))
        }
    }
}

/// The mailboxes and accounts with an address, each once.
pub(super) fn of_address<'a>(
    address: &SmtpAddress,
    snapshot: &'a Snapshot,
) -> (Vec<&'a MailboxEntry>, Vec<&'a AccountEntry>) {
    let has_address = |it: &&MailboxEntry| it.primary == *address || it.aliases.contains(address);
    let direct: Vec<&MailboxEntry> = snapshot.mailboxes.iter().filter(has_address).collect();
    let claimed: BTreeSet<_> = direct.iter().filter_map(|it| it.account.as_ref()).collect();
    let accounts = snapshot.accounts.iter().filter(|it| {
        claimed.contains(&it.id) || it.address == *address || it.aliases.contains(address)
    });
    let accounts: Vec<&AccountEntry> = accounts.collect();
    let owned: BTreeSet<_> = accounts.iter().map(|it| &it.id).collect();
    let mailboxes = snapshot
        .mailboxes
        .iter()
        .filter(|it| has_address(it) || it.account.as_ref().is_some_and(|id| owned.contains(id)));
    (mailboxes.collect(), accounts)
}

/// R39: an address that neither side has.
fn unknown(address: &SmtpAddress, snapshot: &Snapshot) -> UnknownAddress {
    UnknownAddress {
        address: address.clone(),
        nearest: nearest_of(address, addresses(snapshot)),
    }
}

/// R39: the addresses that neither side has.
pub(super) fn unknown_of(
    named: impl Iterator<Item = SmtpAddress>,
    snapshot: &Snapshot,
) -> Vec<UnknownAddress> {
    let is_unknown = |address: &SmtpAddress| {
        let (mailboxes, accounts) = of_address(address, snapshot);
        let mut rejected = snapshot.rejected.iter();
        mailboxes.is_empty()
            && accounts.is_empty()
            && !rejected.any(|it| it.addresses.contains(address))
    };
    let unknown_ones = named.filter(is_unknown);
    unknown_ones.map(|it| unknown(&it, snapshot)).collect()
}

/// `report` is the report of the run of the snapshot.
pub fn explained(address: &SmtpAddress, snapshot: &Snapshot, report: &Report) -> Explanation {
    let (mailboxes, accounts) = of_address(address, snapshot);
    let rejected: Vec<&Rejected> = snapshot
        .rejected
        .iter()
        .filter(|it| it.addresses.contains(address))
        .collect();
    let names: BTreeSet<String> = std::iter::once(address.to_string())
        .chain(mailboxes.iter().map(|it| it.primary.to_string()))
        .chain(accounts.iter().map(|it| it.address.to_string()))
        .chain(rejected.iter().map(|it| it.label.clone()))
        .collect();
    let of = |side| rejected.iter().filter(move |it| it.side == side);
    let mut explanation = Explanation {
        address: address.to_string(),
        verdict: String::new(),
        mailboxes: mailboxes
            .iter()
            .map(|it| mailbox_facts(it))
            .chain(of(Side::Exchange).map(|it| rejected_mailbox(it)))
            .collect(),
        accounts: accounts
            .iter()
            .map(|it| account_facts(it, report))
            .chain(of(Side::Zivver).map(|it| rejected_account(it)))
            .collect(),
        outside: Vec::new(),
        renamed: accounts
            .iter()
            .flat_map(|it| renamed_delegates(it, snapshot))
            .collect(),
        actions: planned(report)
            .filter(|action| names.contains(action.address.as_str()))
            .cloned()
            .collect(),
        held: held(report, &names),
        notes: report
            .skipped
            .iter()
            .filter(|note| names.contains(&note.address))
            .cloned()
            .chain(rejected_since(report, &names))
            .collect(),
        unknown: None,
        as_of: Some(as_of(&snapshot.head)),
    };
    let domains = ClaimedDomains::new(&snapshot.head.claimed_domains);
    explanation.outside = outside(&explanation, &domains);
    let stranger = || {
        format!(
            "neither Exchange nor Zivver had this address in run {}{}",
            snapshot.head.run,
            suggestion(&unknown(address, snapshot).nearest)
        )
    };
    if explanation.mailboxes.is_empty()
        && explanation.accounts.is_empty()
        && explanation.actions.is_empty()
        && explanation.held.is_empty()
    {
        explanation.unknown = Some(unknown(address, snapshot));
    }
    explanation.verdict = verdict(&explanation, stranger);
    explanation
}

fn as_of(head: &Head) -> AsOf {
    AsOf {
        run: head.run.clone(),
        at: Moment(head.at).to_string(),
    }
}

fn addresses(snapshot: &Snapshot) -> impl Iterator<Item = &SmtpAddress> {
    let mailboxes = snapshot.mailboxes.iter();
    let mailboxes = mailboxes.flat_map(|it| std::iter::once(&it.primary).chain(&it.aliases));
    mailboxes.chain(snapshot.accounts.iter().map(|it| &it.address))
}

/// Changes that the run planned and did not make.
fn planned(report: &Report) -> impl Iterator<Item = &Action> {
    let is_open = |outcome| match outcome {
        ActionOutcome::Planned
        | ActionOutcome::Refused
        | ActionOutcome::Failed
        | ActionOutcome::Remaining => true,
        // What still differs is in `differences`.
        ActionOutcome::Applied | ActionOutcome::Partly => false,
    };
    let is_preview = report.mode == Mode::Preview;
    let has_compared = report.converged.is_some() && !is_preview;
    let open = report
        .actions
        .iter()
        .filter(move |it| !has_compared && is_open(it.outcome));
    open.map(|it| &it.action)
        .chain(report.differences.iter().filter(move |_| !is_preview))
}

fn held(report: &Report, names: &BTreeSet<String>) -> Vec<HeldFact> {
    let all = report
        .held
        .iter()
        .flat_map(|set| set.changes.iter().map(move |change| (set, change)));
    all.filter(|(_, change)| names.contains(change.address.as_str()))
        .map(|(set, change)| HeldFact {
            code: set.code.clone(),
            reason: set.reason.clone(),
            change: change.clone(),
            second_person: set.second_person.clone(),
        })
        .collect()
}

/// R47
fn rejected_since(report: &Report, names: &BTreeSet<String>) -> Vec<Note> {
    let rejected = report.held.iter().flat_map(|set| &set.rejected);
    let rejected = rejected.filter(|change| names.contains(change.address.as_str()));
    let note = |change: &HeldChange| {
        let text = format!(
            "rejected since, and not made until it changes: {}",
            change.in_words()
        );
        Note::new(change.address.as_str(), Code::Rejection, text)
    };
    rejected.map(note).collect()
}

fn mailbox_facts(it: &MailboxEntry) -> MailboxFacts {
    MailboxFacts {
        primary: it.primary.to_string(),
        kind: it.kind.words().to_owned(),
        object_id: it.object_id.as_ref().map(ToString::to_string),
        display_name: it.name.clone(),
        aliases: it.aliases.iter().map(ToString::to_string).collect(),
        disabled: match it.kind {
            MailboxKind::User { disabled } => Some(disabled),
            MailboxKind::Shared | MailboxKind::Other(_) => None,
        },
        full_access: match &it.access {
            Access::Known(grants) => Some(grants.iter().map(Grant::words).collect()),
            Access::Unknown { .. } | Access::Unread { .. } => None,
        },
        standing: it.standing.clone(),
    }
}

fn account_facts(it: &AccountEntry, report: &Report) -> AccountFacts {
    let mut suspended = report.suspended.iter();
    AccountFacts {
        id: it.id.to_string(),
        kind: it.kind,
        address: it.address.to_string(),
        name: it.name.clone(),
        active: it.active,
        aliases: it.aliases.iter().map(ToString::to_string).collect(),
        delegates: it.delegates.iter().map(|it| it.who.clone()).collect(),
        external_account_id: it.external_account_id.clone(),
        suspended: suspended
            .find(|suspended| suspended.address == it.address && !it.active)
            .cloned(),
        standing: it.standing.clone(),
    }
}

/// R22: a delegate is identified by its account, not by its address.
fn renamed_delegates(
    account: &AccountEntry,
    snapshot: &Snapshot,
) -> impl Iterator<Item = (String, String)> {
    let named: BTreeSet<&str> = account.delegates.iter().map(|it| &*it.who).collect();
    let delegates = snapshot.accounts.iter();
    let delegates = delegates.filter(move |it| named.contains(it.address.as_str()));
    delegates.filter_map(|delegate| {
        let mut mailboxes = snapshot.mailboxes.iter();
        let own = mailboxes
            .find(|it| it.account.as_ref() == Some(&delegate.id) && it.account_unknown.is_none())?;
        let is_renamed = own.primary != delegate.address;
        is_renamed.then(|| (delegate.address.to_string(), own.primary.to_string()))
    })
}

fn rejected_mailbox(it: &Rejected) -> MailboxFacts {
    MailboxFacts {
        primary: it.label.clone(),
        kind: "not understood".into(),
        object_id: it.object_id.as_ref().map(ToString::to_string),
        display_name: String::new(),
        aliases: it.addresses.iter().map(ToString::to_string).collect(),
        disabled: None,
        full_access: None,
        standing: format!("rejected: {} (R5)", it.reason),
    }
}

fn rejected_account(it: &Rejected) -> AccountFacts {
    AccountFacts {
        id: String::new(),
        kind: AccountKind::User,
        address: it.label.clone(),
        name: String::new(),
        active: false,
        aliases: it.addresses.iter().map(ToString::to_string).collect(),
        delegates: Vec::new(),
        external_account_id: None,
        suspended: None,
        standing: format!("cannot be understood: {} (R1)", it.reason),
    }
}
