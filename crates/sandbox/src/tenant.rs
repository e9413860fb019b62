//! Generates tenants of any size: a plausible Exchange Online organisation with the irregularities of an old one, and a
//! Zivver organisation that differs from it in every way that reconciliation handles. The same seed gives the same
//! tenant.
//!
//! The proportions are those of an organisation whose sync did not run for some weeks: few accounts differ in a way
//! that removes access, so that the default limits do not stop a first run, and some need a person's decision.

mod names;
mod source;
mod target;

use super::control::random;
use super::{exchange, zivver};

/// A tenant with this many mailboxes, and its Zivver organisation. All domains of the organisation are claimed.
pub fn generate(seed: u64, mailboxes: usize) -> (exchange::Tenant, zivver::Organisation) {
    let mut dice = Dice { state: seed };
    let mut source = source::generate(&mut dice, mailboxes);
    let organisation = target::generate(&mut dice, &mut source, seed);
    (source.tenant, organisation)
}

struct Dice {
    state: u64,
}

impl Dice {
    /// From 0 to `end` - 1; `end` is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(random(&mut self.state) % end.max(1) as u64).unwrap_or_default()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
    }
}

/// `per_mille` of `total`, and at least one from a size of `one_from` on.
fn quota(total: usize, per_mille: usize, one_from: usize) -> usize {
    (total * per_mille / 1000).max(usize::from(total >= one_from))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tenant_and_another_seed_another() {
        assert_eq!(generate(7, 300), generate(7, 300));
        assert_ne!(generate(7, 300), generate(8, 300));
    }

    #[test]
    fn any_size_is_exact_and_consistent() {
        for size in [10, 11, 50, 200, 1000, 20_000] {
            let (tenant, organisation) = generate(1, size);
            assert_eq!(tenant.mailboxes.len(), size);
            let primaries: HashSet<_> = tenant
                .mailboxes
                .iter()
                .map(|mailbox| mailbox.primary_smtp_address.to_lowercase())
                .collect();
            assert_eq!(
                primaries.len(),
                size,
                "each mailbox has an address of its own"
            );
            let users = organisation
                .users
                .iter()
                .map(|user| (&user.user_name, &user.aliases));
            let groups = organisation
                .groups
                .iter()
                .map(|group| (&group.external_id, &group.aliases));
            let mut seen = HashSet::new();
            for (address, aliases) in users.chain(groups) {
                for address in aliases.iter().chain([address]) {
                    assert_eq!(*address, address.to_lowercase());
                    assert!(
                        seen.insert(address.clone()),
                        "{address} belongs to two accounts ({size})"
                    );
                }
            }
        }
    }

    /// Checks roughly that a first run stays below the limits of R26.
    #[test]
    fn a_first_run_takes_little_away() {
        for size in [200, 1000, 20_000] {
            let (tenant, organisation) = generate(3, size);
            let disabled: HashSet<_> = tenant
                .mailboxes
                .iter()
                .filter(|it| {
                    it.recipient_type_details == "UserMailbox" && it.account_disabled == Some(true)
                })
                .map(|it| it.primary_smtp_address.to_lowercase())
                .collect();
            let suspends = organisation
                .users
                .iter()
                .filter(|it| it.active && disabled.contains(&it.user_name))
                .count();
            let without_access: HashSet<_> = tenant
                .mailboxes
                .iter()
                .filter(|it| {
                    it.recipient_type_details == "SharedMailbox" && it.permissions.is_empty()
                })
                .map(|it| it.primary_smtp_address.to_lowercase())
                .collect();
            let is_to_empty = |group: &&zivver::Group| {
                !group.members.is_empty() && without_access.contains(&group.external_id)
            };
            let empties = organisation.groups.iter().filter(is_to_empty).count();
            let active = organisation.users.iter().filter(|user| user.active).count();
            assert!(suspends > 0 && empties > 0, "{size}: {suspends} {empties}");
            assert!(
                suspends + empties <= (active / 20).max(5),
                "{size}: {suspends} + {empties} of {active}"
            );

            let known: HashSet<String> = tenant
                .mailboxes
                .iter()
                .flat_map(|mailbox| &mailbox.email_addresses)
                .filter_map(|address| address.split_once(':'))
                .map(|(_, address)| address.to_lowercase())
                .collect();
            let aliases: Vec<_> = organisation
                .users
                .iter()
                .flat_map(|user| &user.aliases)
                .collect();
            let surplus = aliases
                .iter()
                .filter(|alias| !known.contains(**alias))
                .count();
            assert!(
                surplus > 0 && surplus <= (aliases.len() / 10).max(20),
                "{size}: {surplus} of {}",
                aliases.len()
            );
        }
    }
}
