//! Which deltas replace a sign-in key that cannot be read back (R23).

use std::collections::BTreeMap;

use super::{
    accounts::AccountKind,
    delta::{Activity, Delta, KeyChange, Target},
    given::Given,
    mailbox::MailboxKind,
    matching::MailboxFate,
    memory::WrittenKey,
    world::{MailboxScope, SsoAccountKey},
};

/// Marks these deltas, and adds deltas for accounts whose key changes with their mailbox or with the setting.
pub(super) fn judge(deltas: Vec<Delta>, given: Given<'_>) -> Vec<Delta> {
    let mut deltas = of_deltas(deltas, given);
    let mut updates: BTreeMap<Target, Delta> =
        updates(given).map(|delta| (delta.target, delta)).collect();
    for delta in &mut deltas {
        let Some(update) = updates.remove(&delta.target) else {
            continue;
        };
        if delta.key_change == Some(KeyChange::First)
            && delta.key == update.key
            && !delta.is_suspend()
        {
            delta.key_change = update.key_change;
            delta.reasons.extend(update.reasons);
        }
    }
    if !updates.is_empty() {
        deltas.extend(updates.into_values());
        deltas.sort_by(|a, b| (&a.address, a.target).cmp(&(&b.address, b.target)));
    }
    deltas
}

/// Marks the deltas.
pub(super) fn of_deltas(mut deltas: Vec<Delta>, given: Given<'_>) -> Vec<Delta> {
    for delta in &mut deltas {
        mark(delta, given);
        if let Some(instead) = &mut delta.unless_approved {
            mark(instead, given);
        }
    }
    deltas
}

fn mark(delta: &mut Delta, given: Given<'_>) {
    let Target::Existing(ix) = delta.target else {
        return;
    };
    if delta.kind == AccountKind::Functional {
        return;
    }
    let account = given.world.accounts.get(ix);
    let aliases = &account.extension().aliases;
    delta.renames_to_alias = delta
        .rename
        .as_ref()
        .is_some_and(|rename| aliases.contains(&rename.to));
    if let Some(key) = &delta.key {
        let wanted = WrittenKey::of(given.policy.sso_account_key, key);
        let stays = given.world.accounts.is_active(ix) || delta.activity == Some(Activity::Resume);
        let is_renamed = given.policy.sso_account_key == SsoAccountKey::PrimaryAddress
            && delta.rename.is_some()
            && stays
            && !delta.is_suspend();
        let change = match change(given.memory.keys.get(account.id()), wanted) {
            Some(KeyChange::First | KeyChange::OtherSetting) if is_renamed => {
                Some(KeyChange::Renamed)
            }
            // `judge` knows for which accounts the key is due.
            Some(KeyChange::OtherSetting) => Some(KeyChange::First),
            change => change,
        };
        // Only the status of an account that is to be inactive is compared (R22).
        delta.key_change =
            change.filter(|change| *change != KeyChange::Updated || !delta.is_suspend());
    }
}

fn change(written: Option<&WrittenKey>, wanted: WrittenKey) -> Option<KeyChange> {
    match written {
        Some(written) if *written == wanted => None,
        Some(written) if written.by == wanted.by => Some(KeyChange::Updated),
        Some(written) if written.hash == wanted.hash => None,
        Some(_) => Some(KeyChange::OtherSetting),
        None => Some(KeyChange::First),
    }
}

/// Users in use whose key this program wrote, and who have another one by their mailbox or by the setting now.
fn updates(given: Given<'_>) -> impl Iterator<Item = Delta> {
    let Given { world, policy, .. } = given;
    world.directory.iter().filter_map(|(ix, mailbox)| {
        let MailboxFate::Matched(found) = given.matching.mailbox(ix) else {
            return None;
        };
        let account = world.accounts.get(found.account);
        let in_use = mailbox.kind == (MailboxKind::User { disabled: false })
            && policy.scope_of(&world.directory, ix) == MailboxScope::In
            && found.tied_to_other.is_none()
            && account.kind() == AccountKind::User;
        let written = given.memory.keys.get(account.id()).filter(|_| in_use)?;
        let by = policy.sso_account_key;
        if written.by == by && by == SsoAccountKey::ObjectId {
            return None; // A mailbox keeps its object id.
        }
        let key = policy.sign_in_key(mailbox)?;
        let change = change(Some(written), WrittenKey::of(by, &key))?;
        let mut delta = Delta::new(
            Target::Existing(found.account),
            AccountKind::User,
            account.address().clone(),
            Some(ix),
        );
        delta.key = Some(key);
        delta.key_change = Some(change);
        let fact = if written.by == by {
            "its sign-in key follows the mailbox"
        } else {
            "its sign-in key was written under another SSO_ACCOUNT_KEY"
        };
        delta.because("R23", fact);
        Some(delta)
    })
}
