//! When a report must not say "converged": a person lacks access that Exchange grants, and the report does not mention
//! it.

use std::collections::BTreeSet;

use cloud_sync::domain::report::Report;

use super::{
    liveness::Told,
    oracle::{Oracle, delegate_id},
    truth::{Fact, Kind, is_claimed, lower},
};

/// The values of an account that it should have.
struct Held<'a> {
    id: &'a str,
    name: &'a str,
    aliases: &'a [String],
    delegates: BTreeSet<String>,
}

impl Oracle {
    /// What is missing although the report says that both sides agree.
    pub(super) fn lacking(&self, at: usize, report: &Report, told: &Told<'_>) -> Vec<String> {
        if report.converged != Some(true) || !report.accounts.is_empty() || !self.lag.is_zero() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (person, fact) in &self.truth().mailboxes {
            let Ok(account) = self.account_of(person) else {
                continue;
            };
            let listed = |id: &str| {
                let mut accounts = self.invocations[at].accounts.iter();
                accounts.any(|it| it.contains(id))
            };
            if !is_claimed(&fact.primary) || !account.as_deref().is_none_or(listed) {
                continue;
            }
            let mut names = fact.addresses.clone();
            if let Some(id) = &account {
                names.extend(self.names(&self.organisation, id));
            }
            let lacks = match fact.kind {
                Kind::User if fact.enabled => self.user_lacks(fact, account.as_deref()),
                Kind::Shared => self.functional_lacks(fact, account.as_deref()),
                Kind::User | Kind::Other | Kind::Elsewhere | Kind::Nobody => continue,
            };
            for (what, whose) in lacks {
                let mut names = names.clone();
                names.extend(whose);
                if !told.mentions(&names, account.as_deref()) {
                    found.push(format!(
                        "{} lacks {what}, and run {} says converged ({:?})",
                        fact.primary, report.id, report.outcome
                    ));
                }
            }
        }
        found
    }

    /// What is missing, and the other names under which the report may mention it.
    fn user_lacks(&self, fact: &Fact, account: Option<&str>) -> Vec<(String, BTreeSet<String>)> {
        let only = |what: &str| vec![(what.to_owned(), BTreeSet::new())];
        let Some(id) = account else {
            return only("an account");
        };
        let organisation = &self.organisation;
        let Some(user) = organisation.users.iter().find(|it| it.id == id) else {
            return Vec::new();
        };
        if !user.active {
            return only("an active account");
        }
        if lower(&user.user_name) != fact.primary {
            return only("its address");
        }
        let ids = user
            .delegates
            .iter()
            .filter_map(|it| delegate_id(organisation, it));
        self.content_lacks(
            fact,
            &Held {
                id,
                name: &user.name,
                aliases: &user.aliases,
                delegates: ids.collect(),
            },
        )
    }

    fn functional_lacks(
        &self,
        fact: &Fact,
        account: Option<&str>,
    ) -> Vec<(String, BTreeSet<String>)> {
        let wanted = self.delegates_of(fact);
        if wanted.is_empty() {
            return Vec::new();
        }
        let Some(id) = account else {
            let whose = wanted
                .iter()
                .flat_map(|it| self.names(&self.organisation, it));
            return vec![("a functional account".to_owned(), whose.collect())];
        };
        let Some(group) = self.organisation.groups.iter().find(|it| it.id == id) else {
            return Vec::new();
        };
        self.content_lacks(
            fact,
            &Held {
                id,
                name: &group.display_name,
                aliases: &group.aliases,
                delegates: group.members.iter().cloned().collect(),
            },
        )
    }

    fn content_lacks(&self, fact: &Fact, held: &Held<'_>) -> Vec<(String, BTreeSet<String>)> {
        let mut lacks = Vec::new();
        if held.name != fact.name {
            lacks.push((format!("the name {:?}", fact.name), BTreeSet::new()));
        }
        let aliases: BTreeSet<String> = held.aliases.iter().map(|it| lower(it)).collect();
        for alias in fact.addresses.difference(&aliases) {
            if *alias != fact.primary && is_claimed(alias) {
                let taken = BTreeSet::from([alias.clone()]);
                lacks.push((format!("the alias {alias}"), taken));
            }
        }
        for delegate in self.delegates_of(fact).difference(&held.delegates) {
            if delegate != held.id {
                let whose = self.names(&self.organisation, delegate);
                lacks.push((format!("the delegate {whose:?}"), whose));
            }
        }
        lacks
    }

    /// R12: the accounts of all users who may open a mailbox.
    fn delegates_of(&self, fact: &Fact) -> BTreeSet<String> {
        let people = fact.grantees.iter();
        let accounts = people.filter_map(|person| {
            let mailbox = self.truth().mailboxes.get(person)?;
            let account = self.account_of(person).ok()?;
            account.filter(|_| mailbox.kind == Kind::User && is_claimed(&mailbox.primary))
        });
        accounts.collect()
    }
}
