//! The final state of generated tenants, computed a second time directly from the rules, without the program's own
//! core. It covers every clear case; all other accounts must be unchanged.

use std::collections::{BTreeMap, BTreeSet};

use cloud_sync::sandbox::{
    exchange::{Group, GroupKind, Mailbox, Tenant},
    tenant,
    zivver::{Organisation, User},
};

use super::bench::*;
use crate::world::World;

/// The expected values of one user account.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Expected {
    active: bool,
    name: String,
    aliases: BTreeSet<String>,
    delegates: BTreeSet<String>,
    key: Option<String>,
}

struct Model {
    tenant: Tenant,
    organisation: Organisation,
    domains: BTreeSet<String>,
    /// How many mailboxes list an address.
    owners: BTreeMap<String, usize>,
}

fn lower(text: &str) -> String {
    text.trim().to_lowercase()
}

fn addresses(mailbox: &Mailbox) -> BTreeSet<String> {
    let listed = mailbox.email_addresses.iter().filter_map(|entry| {
        let (prefix, address) = entry.split_once(':')?;
        prefix.eq_ignore_ascii_case("smtp").then(|| lower(address))
    });
    listed
        .chain([lower(&mailbox.primary_smtp_address)])
        .collect()
}

impl Model {
    fn new(tenant: Tenant, organisation: Organisation) -> Self {
        let mut owners = BTreeMap::new();
        for mailbox in &tenant.mailboxes {
            for address in addresses(mailbox) {
                *owners.entry(address).or_insert(0) += 1;
            }
        }
        let domains = organisation
            .claimed_domains
            .iter()
            .map(|it| lower(it))
            .collect();
        Self {
            tenant,
            organisation,
            domains,
            owners,
        }
    }

    fn claimed(&self, address: &str) -> bool {
        address
            .rsplit_once('@')
            .is_some_and(|(_, domain)| self.domains.contains(domain))
    }

    fn is_user(mailbox: &Mailbox) -> bool {
        mailbox.recipient_type_details == "UserMailbox"
    }

    fn disabled(mailbox: &Mailbox) -> bool {
        mailbox.account_disabled == Some(true)
    }

    /// The account of a person, if the owner is certain (R16): tied to the mailbox, or at its address and without a
    /// tie.
    fn account(&self, mailbox: &Mailbox) -> Option<&User> {
        let tied = |user: &&User| {
            user.external_account_id.as_deref().map(lower) == Some(lower(&mailbox.edoid))
        };
        let at_address = |user: &&User| {
            user.external_account_id.is_none()
                && lower(&user.user_name) == lower(&mailbox.primary_smtp_address)
        };
        self.organisation
            .users
            .iter()
            .find(tied)
            .or_else(|| self.organisation.users.iter().find(at_address))
    }

    /// Whether a person must decide about the mailbox: another kind, the account of another person, an old address.
    fn is_doubtful(&self, mailbox: &Mailbox) -> bool {
        let own = addresses(mailbox);
        let primary = lower(&mailbox.primary_smtp_address);
        let account = self.account(mailbox).map(|user| user.id.clone());
        let wrong_kind = if Self::is_user(mailbox) {
            self.organisation
                .groups
                .iter()
                .any(|it| own.contains(&lower(&it.external_id)))
        } else {
            self.organisation
                .users
                .iter()
                .any(|it| own.contains(&lower(&it.user_name)))
        };
        let other_account = Self::is_user(mailbox)
            && self.organisation.users.iter().any(|user| {
                Some(&user.id) != account.as_ref()
                    && (own.contains(&lower(&user.user_name))
                        || user.aliases.iter().any(|alias| own.contains(&lower(alias))))
            });
        let odd = !mailbox.missing.is_empty()
            || !mailbox.overrides.is_empty()
            || self.owners[&primary] > 1;
        wrong_kind || other_account || odd || !self.claimed(&primary)
    }

    fn group(&self, name: &str) -> Option<&Group> {
        self.tenant
            .groups
            .iter()
            .find(|group| lower(&group.name) == lower(name))
    }

    /// R10: the grantees, by position in the tenant. `None` means unknown (R11).
    fn grantees(&self, mailbox: &Mailbox) -> Option<BTreeSet<usize>> {
        let mut allowed = BTreeSet::new();
        let mut denied = BTreeSet::new();
        for permission in &mailbox.permissions {
            let full = permission
                .access_rights
                .iter()
                .any(|rights| rights.split(',').any(|right| right.trim() == "FullAccess"));
            let text = lower(&permission.user);
            if !full
                || permission.inherited
                || text.starts_with("nt authority")
                || text.starts_with("s-1-")
            {
                continue;
            }
            let by_upn = |it: &Mailbox| lower(&it.user_principal_name) == text;
            let by_address = |it: &Mailbox| addresses(it).contains(&text);
            let by_name = |it: &Mailbox| lower(&it.name) == text;
            let mailboxes = &self.tenant.mailboxes;
            let person = mailboxes
                .iter()
                .position(by_upn)
                .or_else(|| mailboxes.iter().position(by_address))
                .or_else(|| mailboxes.iter().position(by_name));
            let found: BTreeSet<usize> = match (person, self.group(&permission.user)) {
                (Some(person), None) => BTreeSet::from([person]),
                (None, Some(group)) => self.members(group),
                (None, None) if text.contains('@') => BTreeSet::new(),
                _ => return None,
            };
            if permission.deny {
                denied.extend(found);
            } else {
                allowed.extend(found);
            }
        }
        Some(&allowed - &denied)
    }

    fn members(&self, group: &Group) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut people = BTreeSet::new();
        let mut open = vec![group];
        while let Some(group) = open.pop() {
            if group.kind != GroupKind::MailUniversalSecurityGroup || !seen.insert(&group.name) {
                continue;
            }
            for member in &group.members {
                let place = self.tenant.mailboxes.iter().position(|it| {
                    [&it.edoid, &it.primary_smtp_address, &it.user_principal_name]
                        .iter()
                        .any(|key| lower(key) == lower(member))
                });
                people.extend(place);
                open.extend(self.group(member));
            }
        }
        people
    }

    fn wanted_aliases(&self, mailbox: &Mailbox, before: &[String]) -> BTreeSet<String> {
        let primary = lower(&mailbox.primary_smtp_address);
        let before: BTreeSet<String> = before.iter().map(|it| lower(it)).collect();
        let contested = |address: &String| self.owners.get(address).copied().unwrap_or(0) > 1;
        addresses(mailbox)
            .into_iter()
            .filter(|it| self.claimed(it) && *it != primary && !contested(it))
            .chain(
                before
                    .into_iter()
                    .filter(|it| !self.claimed(it) || contested(it)),
            )
            .collect()
    }

    /// The expected account of a clear user mailbox, or `None` for no account.
    #[expect(
        clippy::option_option,
        reason = "outside: a clean case; inside: an account"
    )]
    fn expect(&self, mailbox: &Mailbox) -> Option<Option<Expected>> {
        if !Self::is_user(mailbox) || self.is_doubtful(mailbox) {
            return None;
        }
        let account = self.account(mailbox);
        if Self::disabled(mailbox) {
            // R22: only its status is compared.
            return Some(account.map(|user| Expected {
                active: false,
                name: user.name.clone(),
                aliases: user.aliases.iter().map(|it| lower(it)).collect(),
                delegates: user.delegates.iter().map(|it| lower(it)).collect(),
                key: user.sso_account_key.clone(),
            }));
        }
        let before = account
            .map(|user| user.aliases.as_slice())
            .unwrap_or_default();
        let delegates_before: BTreeSet<String> = account
            .iter()
            .flat_map(|user| &user.delegates)
            .map(|it| lower(it))
            .collect();
        let grantees = self.grantees(mailbox)?;
        let mut delegates: BTreeSet<String> = delegates_before
            .iter()
            .filter(|it| !self.claimed(it))
            .cloned()
            .collect();
        for place in grantees {
            let person = &self.tenant.mailboxes[place];
            if !Self::is_user(person) || std::ptr::eq(person, mailbox) {
                continue;
            }
            if self.is_doubtful(person) {
                return None;
            }
            if !Self::disabled(person) || self.account(person).is_some() {
                delegates.insert(lower(&person.primary_smtp_address));
            }
        }
        // A doubtful person keeps the delegations that Zivver has.
        let kept = |address: &String| {
            self.tenant
                .mailboxes
                .iter()
                .any(|it| addresses(it).contains(address) && self.is_doubtful(it))
        };
        if delegates_before.iter().any(kept) {
            return None;
        }
        let aliases = self.wanted_aliases(mailbox, before);
        let stored: BTreeSet<String> = before.iter().map(|it| lower(it)).collect();
        let written = account.is_none() || aliases != stored || delegates != delegates_before;
        let display_name = mailbox.display_name.trim();
        Some(Some(Expected {
            active: true,
            name: if display_name.is_empty() {
                lower(&mailbox.primary_smtp_address)
            } else {
                display_name.to_owned()
            },
            aliases,
            delegates,
            key: if written {
                Some(mailbox.edoid.clone())
            } else {
                account.and_then(|user| user.sso_account_key.clone())
            },
        }))
    }
}

fn actual(user: &User) -> Expected {
    Expected {
        active: user.active,
        name: user.name.clone(),
        aliases: user.aliases.iter().map(|it| lower(it)).collect(),
        delegates: user.delegates.iter().map(|it| lower(it)).collect(),
        key: user.sso_account_key.clone(),
    }
}

#[tokio::test(start_paused = true)]
async fn made_up_tenants_end_as_the_rules_say() {
    let mut clean = 0;
    for (seed, size) in [
        (1, 20),
        (2, 40),
        (3, 80),
        (4, 120),
        (5, 200),
        (6, 300),
        (7, 60),
        (8, 150),
    ] {
        let (exchange, organisation) = tenant::generate(seed, size);
        let model = Model::new(exchange.clone(), organisation.clone());
        let world = World::still(exchange, organisation).await;
        let report = world.apply().await;
        assert_eq!(report.error, None);
        assert_eq!(report.converged, Some(true));
        let over_limit: Vec<_> = report
            .held
            .iter()
            .filter(|held| {
                !matches!(
                    held.class,
                    domain::guard::Class::Stray | domain::guard::Class::Identity
                )
            })
            .collect();
        assert!(over_limit.is_empty(), "{seed} {size}: {over_limit:?}");
        let state = world.sandbox.zivver.state();
        for mailbox in &model.tenant.mailboxes {
            let address = lower(&mailbox.primary_smtp_address);
            let Some(expected) = model.expect(mailbox) else {
                continue;
            };
            clean += 1;
            let of = match &expected {
                Some(it) if !it.active => model
                    .account(mailbox)
                    .map(|user| user.user_name.clone())
                    .unwrap(),
                _ => address.clone(),
            };
            let found = state.user(&of).map(actual);
            assert_eq!(
                found,
                expected,
                "seed {seed}, size {size}: {address}\n{}",
                shown(&report)
            );
        }
        desks(&model, &state, seed);
        nobody_else(&model, &state);
    }
    assert!(clean > 500, "only {clean} clean cases");
}

/// Functional accounts of clean shared mailboxes.
fn desks(model: &Model, state: &Organisation, seed: u64) {
    for mailbox in &model.tenant.mailboxes {
        if mailbox.recipient_type_details != "SharedMailbox" || model.is_doubtful(mailbox) {
            continue;
        }
        let Some(grantees) = model.grantees(mailbox) else {
            continue;
        };
        let people: Vec<&Mailbox> = grantees
            .iter()
            .map(|place| &model.tenant.mailboxes[*place])
            .filter(|person| Model::is_user(person))
            .collect();
        if people.iter().any(|person| model.is_doubtful(person)) {
            continue;
        }
        let wanted: BTreeSet<String> = people
            .iter()
            .filter(|person| !Model::disabled(person) || model.account(person).is_some())
            .map(|person| {
                let account = model.account(person).filter(|_| Model::disabled(person));
                lower(account.map_or(&person.primary_smtp_address, |user| &user.user_name))
            })
            .collect();
        let address = lower(&mailbox.primary_smtp_address);
        let before = model.organisation.group(&address);
        let doubtful_member = before.is_some_and(|group| {
            group.members.iter().any(|id| {
                model.organisation.users.iter().any(|user| {
                    user.id == *id
                        && (!model.claimed(&lower(&user.user_name))
                            || model.tenant.mailboxes.iter().any(|it| {
                                (addresses(it).contains(&lower(&user.user_name))
                                    || model.account(it).is_some_and(|own| own.id == *id))
                                    && model.is_doubtful(it)
                            }))
                })
            })
        });
        if doubtful_member {
            continue;
        }
        let after = state.group(&address);
        if wanted.is_empty() && before.is_none() {
            assert!(after.is_none(), "seed {seed}: {address}");
            continue;
        }
        let after = after.unwrap_or_else(|| panic!("seed {seed}: {address} was not created"));
        let members: BTreeSet<String> = state
            .users
            .iter()
            .filter(|user| after.members.contains(&user.id))
            .map(|user| lower(&user.user_name))
            .collect();
        assert_eq!(members, wanted, "seed {seed}: {address}");
        if !wanted.is_empty() {
            assert_eq!(after.display_name, mailbox.display_name.trim());
            let aliases: BTreeSet<String> = after.aliases.iter().map(|it| lower(it)).collect();
            let stored = before
                .map(|group| group.aliases.as_slice())
                .unwrap_or_default();
            assert_eq!(
                aliases,
                model.wanted_aliases(mailbox, stored),
                "seed {seed}: {address}"
            );
        }
    }
}

/// Nothing was deleted, and no account was created that Exchange does not know (R19).
fn nobody_else(model: &Model, state: &Organisation) {
    for user in &model.organisation.users {
        let after = state.users.iter().find(|it| it.id == user.id).unwrap();
        if user.external_account_id.is_some() {
            assert_eq!(after.external_account_id, user.external_account_id);
        }
    }
    for group in &model.organisation.groups {
        assert!(state.groups.iter().any(|it| it.id == group.id));
    }
    for user in &state.users {
        let known = model.organisation.users.iter().any(|it| it.id == user.id);
        let mailbox = model
            .tenant
            .mailboxes
            .iter()
            .any(|it| lower(&it.primary_smtp_address) == lower(&user.user_name));
        assert!(known || mailbox, "{}", user.user_name);
    }
}
