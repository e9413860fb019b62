//! R11: who gets access again while permissions are unknown. What was unknown during a suspension may be old.

use std::collections::BTreeMap;

use super::{
    accounts::AccountIx,
    address::SmtpAddress,
    delegation::Delegations,
    delta::{Activity, Delta, Target},
    directory::{MailboxIx, Party},
    given::Given,
    matching::{AccountFate, MailboxFate},
    note::{Code, Note},
};

/// The maximum number of delegates that a note names.
const NAMED_MAX: usize = 5;

/// Adds to the notes who can open an account because of these deltas, and of what is asked of a person.
pub(super) fn tell(notes: &mut [Note], deltas: &[Delta], given: Given<'_>) {
    tell_opened(notes, deltas, given);
    tell_next_owners(notes, given);
}

/// Adds it to the notes about unknown permissions.
fn tell_opened(notes: &mut [Note], deltas: &[Delta], given: Given<'_>) {
    let reopened: BTreeMap<AccountIx, &Delta> = deltas.iter().filter_map(reopens).collect();
    if reopened.is_empty() {
        return;
    }
    let deltas = reopened.values();
    let by_mailbox = deltas.filter_map(|delta| Some((delta.mailbox?, *delta)));
    let by_mailbox: BTreeMap<MailboxIx, &Delta> = by_mailbox.collect();
    let directory = &given.world.directory;
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for (ix, mailbox) in directory.iter() {
        if !matches!(
            given.world.delegations_of(ix),
            Some(Delegations::Unknown(_))
        ) {
            continue;
        }
        let text = match (by_mailbox.get(&ix), given.matching.claimed[ix.0 as usize]) {
            (Some(delta), _) => opened_by_all(delta, given),
            (None, Some(account)) => opened_again_by(account, &reopened, given),
            (None, None) => None,
        };
        texts.extend(text.map(|text| (mailbox.primary.as_str(), text)));
    }
    for note in notes {
        if note.code == Code::DelegationsUnknown
            && let Some(text) = texts.get(note.address.as_str())
        {
            note.text = format!("{}; {text}", note.text);
        }
    }
}

/// R16: adds to the questions who owns an account what the next owner could open with it.
fn tell_next_owners(notes: &mut [Note], given: Given<'_>) {
    let asks = |note: &&mut Note| matches!(note.code, Code::IdentityChange | Code::AliasEvidence);
    let mut asking: Vec<&mut Note> = notes.iter_mut().filter(asks).collect();
    if asking.is_empty() {
        return;
    }
    let (accounts, directory) = (&given.world.accounts, &given.world.directory);
    let mut opened: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let next = next_owners(given);
    for (at, view) in accounts.iter() {
        for delegate in accounts.delegates_of(at).users {
            if let Some(owner) = next.get(&delegate)
                && !is_granted(at, *owner, given)
            {
                let owner = directory.mailbox(*owner).primary.as_str();
                opened
                    .entry(owner)
                    .or_default()
                    .push(view.address().as_str());
            }
        }
    }
    for note in &mut asking {
        if let Some(names) = opened.get(&*note.address) {
            note.text = format!(
                "{}; it can open {}, for which Exchange shows no grant of this mailbox",
                note.text,
                listed(names)
            );
        }
    }
}

/// The mailboxes that get an account only with an approval, by account.
fn next_owners(given: Given<'_>) -> BTreeMap<AccountIx, MailboxIx> {
    let mailboxes = given.world.directory.iter();
    let next = mailboxes.filter_map(|(ix, _)| match given.matching.mailbox(ix) {
        MailboxFate::Matched(found) if found.tied_to_other.is_some() => Some((found.account, ix)),
        MailboxFate::Evidence(account) => Some((*account, ix)),
        MailboxFate::Matched(_)
        | MailboxFate::Protected(_)
        | MailboxFate::OutsideDomains
        | MailboxFate::NoAccount => None,
    });
    next.collect()
}

/// Whether a mailbox has a grant on the mailbox of an account.
fn is_granted(account: AccountIx, mailbox: MailboxIx, given: Given<'_>) -> bool {
    let AccountFate::Owned(own) = given.matching.account(account) else {
        return false;
    };
    match given.world.delegations_of(*own) {
        Some(Delegations::Known(grants)) => {
            let mut grantees = grants.grantees.iter();
            grantees.any(|it| it.party == Party::Mailbox(mailbox))
        }
        Some(Delegations::Unknown(_) | Delegations::Gone) | None => false,
    }
}

/// The account of a delta that makes it active again, or gives it to another object id.
fn reopens(delta: &Delta) -> Option<(AccountIx, &Delta)> {
    match delta.target {
        Target::Existing(ix)
            if delta.activity == Some(Activity::Resume) || delta.waits_for_identity() =>
        {
            Some((ix, delta))
        }
        Target::Existing(_) | Target::New(_) => None,
    }
}

fn opened_by_all(delta: &Delta, given: Given<'_>) -> Option<String> {
    let Target::Existing(ix) = delta.target else {
        return None;
    };
    let accounts = &given.world.accounts;
    let delegates = accounts.delegates_of(ix);
    let users = delegates.users.iter();
    let users = users.map(|ix| accounts.get(*ix).address().as_str());
    let strangers = delegates.strangers.iter().map(SmtpAddress::as_str);
    let names: Vec<&str> = users.chain(strangers).collect();
    let happens = if delta.waits_for_identity() {
        "goes to another object id"
    } else {
        "becomes active again"
    };
    (!names.is_empty()).then(|| {
        format!(
            "its account {happens} with the delegates that it had before, {}: correct the cause and run again, or remove \
             in the Zivver WebApp who must not open it",
            listed(&names)
        )
    })
}

fn opened_again_by(
    account: AccountIx,
    reopened: &BTreeMap<AccountIx, &Delta>,
    given: Given<'_>,
) -> Option<String> {
    let accounts = &given.world.accounts;
    let delegates = accounts.delegates_of(account).users;
    let again = delegates.iter().filter(|ix| reopened.contains_key(*ix));
    let names: Vec<&str> = again
        .map(|ix| accounts.get(*ix).address().as_str())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "delegates whose accounts become active again or go to another object id can open it as before, {}: correct \
             the cause and run again, or remove in the Zivver WebApp who must not open it",
            listed(&names)
        )
    })
}

/// `anna@corp.example, bert@corp.example and 3 others`
pub(super) fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED_MAX).copied();
    let shown: Vec<&str> = shown.collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        1 => format!("{shown} and 1 other"),
        more => format!("{shown} and {more} others"),
    }
}
