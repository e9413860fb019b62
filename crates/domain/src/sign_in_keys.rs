//! Which deltas replace a sign-in key that cannot be read back (R23).

use std::collections::BTreeSet;

use super::{
    accounts::AccountKind,
    delta::{Delta, KeyChange, Target},
    mailbox::MailboxKind,
    matching::{MailboxFate, Matching},
    memory::{Memory, WrittenKey},
    world::{MailboxScope, Policy, SsoAccountKey, World},
};

/// Marks these deltas, and adds deltas for accounts whose key changes with their mailbox.
pub(super) fn judge(
    deltas: Vec<Delta>,
    world: &World,
    policy: &Policy,
    memory: &Memory,
    matching: &Matching,
) -> Vec<Delta> {
    let mut deltas = of_deltas(deltas, world, policy, memory);
    if matches!(
        policy.sso_account_key,
        SsoAccountKey::UserPrincipalName | SsoAccountKey::PrimaryAddress
    ) {
        let changing: BTreeSet<Target> = deltas.iter().map(|delta| delta.target).collect();
        let updates = updates(world, policy, memory, matching);
        deltas.extend(updates.filter(|delta| !changing.contains(&delta.target)));
        deltas.sort_by(|a, b| (&a.address, a.target).cmp(&(&b.address, b.target)));
    }
    deltas
}

/// Marks the deltas.
pub(super) fn of_deltas(
    mut deltas: Vec<Delta>,
    world: &World,
    policy: &Policy,
    memory: &Memory,
) -> Vec<Delta> {
    for delta in &mut deltas {
        mark(delta, world, policy, memory);
        if let Some(instead) = &mut delta.unless_approved {
            mark(instead, world, policy, memory);
        }
    }
    deltas
}

fn mark(delta: &mut Delta, world: &World, policy: &Policy, memory: &Memory) {
    let Target::Existing(ix) = delta.target else {
        return;
    };
    if delta.kind == AccountKind::Functional {
        return;
    }
    let account = world.accounts.get(ix);
    let aliases = &account.extension().aliases;
    delta.renames_to_alias = delta
        .rename
        .as_ref()
        .is_some_and(|rename| aliases.contains(&rename.to));
    if let Some(key) = &delta.key {
        let wanted = WrittenKey::of(policy.sso_account_key, key);
        let change = change(memory.keys.get(account.id()), wanted);
        // Only the status of an account that is to be inactive is compared (R22).
        delta.key_change =
            change.filter(|change| *change == KeyChange::First || !delta.is_suspend());
    }
}

fn change(written: Option<&WrittenKey>, wanted: WrittenKey) -> Option<KeyChange> {
    match written {
        Some(written) if *written == wanted => None,
        Some(written) if written.by == wanted.by => Some(KeyChange::Updated),
        Some(_) | None => Some(KeyChange::First),
    }
}

/// Users in use whose key this program wrote, and whose mailbox now has another one.
fn updates<'a>(
    world: &'a World,
    policy: &'a Policy,
    memory: &'a Memory,
    matching: &'a Matching,
) -> impl Iterator<Item = Delta> + 'a {
    world.directory.iter().filter_map(|(ix, mailbox)| {
        let MailboxFate::Matched(found) = matching.mailbox(ix) else {
            return None;
        };
        let account = world.accounts.get(found.account);
        let in_use = mailbox.kind == (MailboxKind::User { disabled: false })
            && policy.scope_of(&world.directory, ix) == MailboxScope::In
            && found.tied_to_other.is_none()
            && account.kind() == AccountKind::User;
        let key = policy.sign_in_key(mailbox).filter(|_| in_use)?;
        let wanted = WrittenKey::of(policy.sso_account_key, &key);
        let change = change(memory.keys.get(account.id()), wanted);
        if change != Some(KeyChange::Updated) {
            return None;
        }
        let mut delta = Delta::new(
            Target::Existing(found.account),
            AccountKind::User,
            account.address().clone(),
            Some(ix),
        );
        delta.key = Some(key);
        delta.key_change = change;
        delta.because("R23", "its sign-in key follows the mailbox");
        Some(delta)
    })
}
