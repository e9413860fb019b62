//! What a run read of both sides, and the claimed domains that this makes doubtful.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    address::ascii_domain,
    directory::to_u32,
    mailbox::MailboxKind,
    plan::Plan,
    scope::{ClaimedDomains, TargetFilter},
    world::World,
};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    pub tenant_id: String,
    pub mailboxes: u32,
    pub in_scope: u32,
    pub rejected: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    pub users: u32,
    pub functional: u32,
    pub active: u32,
    /// R13: outside the claimed domains, not changed.
    pub outside: u32,
    /// R1: cannot be understood, not changed.
    #[serde(default)]
    pub rejected: u32,
}

impl SourceFacts {
    pub(super) fn of(plan: &Plan, world: &World) -> Self {
        Self {
            tenant_id: world.tenant_id.clone(),
            mailboxes: plan.seen.mailboxes,
            in_scope: plan.seen.in_scope,
            rejected: to_u32(world.directory.rejections.len()),
        }
    }
}

impl TargetFacts {
    pub fn of(plan: &Plan, world: &World) -> Self {
        let accounts = &world.accounts;
        Self {
            users: to_u32(accounts.actual().users.len()),
            functional: to_u32(accounts.actual().groups.len()),
            active: to_u32(
                accounts
                    .iter()
                    .filter(|(ix, _)| accounts.is_active(*ix))
                    .count(),
            ),
            outside: plan.accounts_outside,
            rejected: to_u32(accounts.rejected().len()),
        }
    }
}

/// R15: if the filter leaves out most mailboxes, an entry probably matches too much.
pub fn mostly_filtered(plan: &Plan, world: &World) -> Option<String> {
    let domains = ClaimedDomains::new(&plan.seen.claimed_domains);
    let filter = TargetFilter::new(&plan.seen.target_filter);
    let (mut claimed, mut filtered) = (0, 0);
    for (_, mailbox) in world.directory.iter() {
        if !matches!(mailbox.kind, MailboxKind::Other(_)) && domains.holds(&mailbox.primary) {
            claimed += 1;
            filtered += u32::from(filter.matched(&mailbox.primary).is_some());
        }
    }
    (filtered > claimed / 2).then(|| {
        format!(
            "TARGET_FILTER leaves out {filtered} of {claimed} mailboxes in the claimed domains: correct CLOUD_SYNC__TARGET_FILTER if an \
             entry matches too much (R15)"
        )
    })
}

/// R13: the claimed domains in which no mailbox has an address. They are probably mistyped.
pub(super) fn unused_domains(plan: &Plan, world: &World) -> Option<String> {
    if plan.seen.mailboxes == 0 {
        return None;
    }
    let mut unused: BTreeSet<&str> = plan
        .seen
        .claimed_domains
        .iter()
        .map(String::as_str)
        .collect();
    for (_, mailbox) in world.directory.iter() {
        for address in mailbox.aliases.iter().chain([&mailbox.primary]) {
            unused.remove(&*ascii_domain(address.domain()));
        }
    }
    let unused: Vec<&str> = unused.into_iter().collect();
    (!unused.is_empty()).then(|| {
        format!(
            "no mailbox has an address in {}: correct CLOUD_SYNC__CLAIMED_DOMAINS if that is mistyped (R13)",
            unused.join(", ")
        )
    })
}

/// R13: if a claimed domain is mistyped, no mailbox is in scope, which looks like a run without work.
pub(super) fn no_claimed_mailbox(plan: &Plan, world: &World) -> Option<String> {
    if plan.seen.in_scope > 0 || plan.seen.mailboxes == 0 || !plan.seen.source_filter.is_empty() {
        return None;
    }
    let mut domains: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, mailbox) in world.directory.iter() {
        *domains.entry(mailbox.primary.domain()).or_default() += 1;
    }
    let (domain, count) = domains.iter().max_by_key(|(_, count)| **count)?;
    let claimed: Vec<&str> = plan
        .seen
        .claimed_domains
        .iter()
        .map(String::as_str)
        .collect();
    let claimed = claimed.join(", ");
    Some(format!(
        "no mailbox is inside the claimed domains ({claimed}), so nothing is synchronised; {count} of {} mailboxes are in {domain}: \
         correct CLOUD_SYNC__CLAIMED_DOMAINS (R13)",
        plan.seen.mailboxes
    ))
}
