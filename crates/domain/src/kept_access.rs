//! The accounts of people whose own mailbox is not judged here (R12). The access that Exchange grants them is not
//! removed.

use std::collections::BTreeSet;

use super::{
    accounts::{AccountIx, AccountKind, AccountView},
    address::SmtpAddress,
    directory::{MailboxIx, Party},
    ids::ObjectId,
    matching::{AccountFate, Matching},
    outsider::Outsider,
    source::RecipientAnswer,
    world::World,
};

/// The active user accounts of an outsider. `own` is the account that it may open.
pub(super) fn accounts_of_outsider(
    world: &World,
    matching: &Matching,
    outsider: &Outsider,
    own: Option<AccountIx>,
) -> BTreeSet<AccountIx> {
    let object_id = outsider.object_id.as_ref();
    let known = outsider.addresses.iter();
    let found = active_accounts(world, matching, known, object_id, None);
    let Some(own) = own.filter(|_| found.is_empty()) else {
        return found;
    };
    // Exchange may show an outsider without its other addresses, and finds it by them (R19).
    let delegates = world.accounts.delegates_of(own).users;
    let delegates = delegates.into_iter().map(|it| world.accounts.get(it));
    let is_outsider = |address: &&SmtpAddress| match world.answers.recipients.get(address.as_str())
    {
        Some(RecipientAnswer::Found(recipient)) => outsider.is(recipient),
        Some(
            RecipientAnswer::NotFound | RecipientAnswer::Ambiguous | RecipientAnswer::Failed(_),
        )
        | None => false,
    };
    let shown = delegates.map(AccountView::address).filter(is_outsider);
    active_accounts(world, matching, shown, object_id, None)
}

/// The active user accounts of a mailbox that is not judged here.
pub(super) fn accounts_of_mailbox(
    world: &World,
    matching: &Matching,
    ix: MailboxIx,
) -> BTreeSet<AccountIx> {
    let mailbox = world.directory.mailbox(ix);
    let upn = mailbox.user_principal_name.as_deref();
    let upn = upn.and_then(|text| SmtpAddress::parse(text).ok());
    let addresses = std::iter::once(&mailbox.primary)
        .chain(&mailbox.aliases)
        .chain(&upn);
    active_accounts(
        world,
        matching,
        addresses,
        mailbox.object_id.as_ref(),
        Some(ix),
    )
}

fn active_accounts<'a>(
    world: &World,
    matching: &Matching,
    addresses: impl Iterator<Item = &'a SmtpAddress>,
    object_id: Option<&ObjectId>,
    mailbox: Option<MailboxIx>,
) -> BTreeSet<AccountIx> {
    let accounts = &world.accounts;
    let mut found: BTreeSet<AccountIx> = addresses
        .filter_map(|address| accounts.user_called(address))
        .collect();
    if let Some(id) = object_id {
        found.extend(accounts.with_object_id(id));
        found.extend(matching.mapped(id));
    }
    found.extend(mailbox.and_then(|ix| matching.claimed[ix.0 as usize]));
    found.retain(|ix| {
        accounts.get(*ix).kind() == AccountKind::User
            && accounts.is_active(*ix)
            && !is_anothers(world, matching, *ix, object_id, mailbox)
    });
    found
}

/// Whether an account certainly belongs to another person: to another mailbox, or to an object id that no longer exists
/// (R16, R19).
fn is_anothers(
    world: &World,
    matching: &Matching,
    account: AccountIx,
    object_id: Option<&ObjectId>,
    mailbox: Option<MailboxIx>,
) -> bool {
    if let AccountFate::Evidence(owner) = matching.account(account) {
        return Some(*owner) != mailbox;
    }
    // Also if the account, or the mailbox that claims it, is protected.
    let claimants: Vec<MailboxIx> = claimants(world, matching, account).collect();
    if !claimants.is_empty() {
        return !mailbox.is_some_and(|mailbox| claimants.contains(&mailbox));
    }
    matching.owner(account).is_some_and(|known| {
        Some(known) != object_id
            && world.answers.recipients.get(&known.to_string()) == Some(&RecipientAnswer::NotFound)
    })
}

/// The mailboxes that claim an account: by its address, or by an object id of it (R16).
fn claimants<'a>(
    world: &'a World,
    matching: &'a Matching,
    account: AccountIx,
) -> impl Iterator<Item = MailboxIx> + 'a {
    let directory = &world.directory;
    let ids = [
        matching.known_object_id(account),
        world.accounts.external_object_id(account),
    ];
    let by_id = ids.into_iter().flatten();
    let by_id = by_id.flat_map(|id| directory.with_object_id(id));
    let parties = directory.with_address(world.accounts.get(account).address());
    parties
        .iter()
        .chain(by_id)
        .filter_map(|party| match party {
            Party::Mailbox(ix) => Some(*ix),
            Party::Rejected(_) => None,
        })
        .filter(move |ix| matching.claimed[ix.0 as usize] == Some(account))
}
