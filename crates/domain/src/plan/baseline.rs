//! The baseline of the source (R2).

use crate::{
    directory::to_u32,
    hold::Doubt,
    memory::{Baseline, Memory},
    world::{MailboxScope, Policy, World},
};

/// The numbers and settings with which the next run compares itself.
pub(super) fn seen(world: &World, policy: &Policy) -> Baseline {
    let in_scope = world
        .directory
        .iter()
        .filter(|(ix, _)| policy.scope_of(&world.directory, *ix) == MailboxScope::In)
        .count();
    Baseline {
        mailboxes: to_u32(world.directory.mailboxes.len() + world.directory.rejections.len()),
        in_scope: to_u32(in_scope),
        tenant_id: world.tenant_id.clone(),
        claimed_domains: policy.claimed_domains.iter().map(str::to_owned).collect(),
        source_filter: policy.source_filter.clone(),
        target_filter: policy.target_filter.entries().map(str::to_owned).collect(),
    }
}

/// R2: why destructive changes, or creates, are held regardless of their limits.
pub(super) fn doubt(seen: &Baseline, memory: &Memory, policy: &Policy) -> Doubt {
    let nobody = (seen.in_scope == 0).then(|| {
        "no mailbox is in scope: look at SOURCE_FILTER and CLAIMED_DOMAINS (R2)".to_owned()
    });
    let Some(baseline) = &memory.baseline else {
        return Doubt {
            destructive: nobody,
            ..Doubt::default()
        };
    };
    let changed = |what: &str| Some(format!("{what} changed since the last complete run (R2)"));
    let scope = if seen.tenant_id != baseline.tenant_id {
        changed("the tenant")
    } else if seen.claimed_domains != baseline.claimed_domains {
        changed("CLAIMED_DOMAINS")
    } else if seen.source_filter != baseline.source_filter {
        changed("SOURCE_FILTER")
    } else {
        None
    };
    let is_other_target = seen.target_filter != baseline.target_filter;
    let target = changed("TARGET_FILTER").filter(|_| is_other_target);
    Doubt {
        destructive: nobody
            .or_else(|| shrunk(seen, baseline, policy))
            .or_else(|| scope.clone()),
        creates: scope.or(target),
    }
}

fn shrunk(seen: &Baseline, baseline: &Baseline, policy: &Policy) -> Option<String> {
    let ratio = policy.min_source_ratio;
    let shrunk = |now: u32, before: u32| f64::from(now) < ratio * f64::from(before);
    if shrunk(seen.mailboxes, baseline.mailboxes) {
        Some(format!(
            "Exchange listed {} mailboxes and {} the last time, less than MIN_SOURCE_RATIO={ratio} of it (R2)",
            seen.mailboxes, baseline.mailboxes
        ))
    } else if shrunk(seen.in_scope, baseline.in_scope) {
        Some(format!(
            "{} mailboxes are in scope and {} were the last time, less than MIN_SOURCE_RATIO={ratio} of it (R2)",
            seen.in_scope, baseline.in_scope
        ))
    } else {
        None
    }
}
