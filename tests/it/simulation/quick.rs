//! R45: what a quick run must not change.

use std::collections::BTreeSet;

use cloud_sync::sandbox::zivver::{Group, Organisation, User};

use super::oracle::{Oracle, delegate_id};

/// The accounts of the delegates of a user, by their addresses at that time. A delegate without an account is not
/// compared (R22).
fn delegates(user: &User, at_first: &Organisation, then: &Organisation) -> BTreeSet<String> {
    let named = user.delegates.iter();
    named
        .filter_map(|it| delegate_id(then, it).or_else(|| delegate_id(at_first, it)))
        .collect()
}

fn members(group: &Group, organisation: &Organisation) -> BTreeSet<String> {
    let is_user = |id: &&String| organisation.users.iter().any(|it| it.id == **id);
    group.members.iter().filter(is_user).cloned().collect()
}

/// Whether a user has delegates, or is a delegate or member of another account.
fn shares_access(user: &User, then: &Organisation) -> bool {
    let is_delegate = |it: &User| {
        let mut named = it.delegates.iter();
        it.id != user.id && named.any(|it| delegate_id(then, it).as_ref() == Some(&user.id))
    };
    !user.delegates.is_empty()
        || then.users.iter().any(is_delegate)
        || then.groups.iter().any(|it| it.members.contains(&user.id))
}

/// Whether this user is suspended and shares access with others.
fn waits_for_permissions(user: &User, then: &Organisation) -> bool {
    let mut users = then.users.iter();
    let found = users.find(|it| it.id == user.id);
    found.is_some_and(|it| !it.active && shares_access(it, then))
}

impl Oracle {
    /// A quick run changes nothing that depends on permissions: no delegates, no members, no functional account is
    /// created or emptied, and nobody who has delegates or is one is resumed.
    pub(super) fn changed_quickly(
        &mut self,
        at: usize,
        before: &Organisation,
        after: &Organisation,
    ) {
        let at_first = self.invocations[at].before.clone();
        let mut found = Vec::new();
        for group in &after.groups {
            match before.groups.iter().find(|it| it.id == group.id) {
                None => found.push(format!("{} was created", group.external_id)),
                Some(old) if members(old, before) != members(group, after) => {
                    found.push(format!("the members of {} were changed", group.external_id));
                }
                Some(_) => {}
            }
        }
        // A lagging list may have shown other delegates, which are sent with the extension (R23).
        let users = after.users.iter().filter(|_| self.lag.is_zero());
        for user in users {
            let old = before.users.iter().find(|it| it.id == user.id);
            let had = old.map(|it| delegates(it, &at_first, before));
            let has = delegates(user, &at_first, after);
            let is_written = old.is_none_or(|it| it.delegates != user.delegates);
            if is_written && had.unwrap_or_default() != has {
                found.push(format!("the delegates of {} were changed", user.user_name));
            }
            let waits = |then: &Organisation| waits_for_permissions(user, then);
            if user.active && waits(before) && waits(&at_first) {
                found.push(format!("{} was resumed", user.user_name));
            }
        }
        for text in found {
            self.violation(at, format!("{text} by a quick run (R45)"));
        }
    }
}
