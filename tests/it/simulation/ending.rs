//! The required result of a simulation: every person whom the last report does not mention has exactly the account that
//! the directory asks for.

use std::collections::BTreeSet;

use cloud_sync::{
    domain::{note::Code, report::Report},
    sandbox::zivver::{Group, User},
};

use super::{
    oracle::{Oracle, address_of, delegate_id},
    truth::{Fact, Kind, Truth, is_claimed, lower},
};

#[derive(Debug, Default)]
pub(super) struct Ending {
    pub(super) wrong: Vec<String>,
    pub(super) checked: u64,
    /// Held, noted, or with an owner who is not certain.
    pub(super) excused: u64,
}

struct Judge<'a> {
    mentioned: BTreeSet<String>,
    truth: &'a Truth,
    oracle: &'a Oracle,
}

impl Ending {
    pub(super) fn judge(report: &Report, truth: &Truth, oracle: &Oracle) -> Self {
        let notes = report.skipped.iter().map(|note| lower(&note.address));
        let changes = report.held.iter().flat_map(|held| &held.changes);
        let held = changes.flat_map(|it| [lower(it.address.as_str()), lower(&it.after)]);
        let failed = report.failed.iter().map(|it| lower(it.address.as_str()));
        // Alias evidence also names the account that waits for an answer (R17).
        let evidence = report
            .skipped
            .iter()
            .filter(|it| it.code == Code::AliasEvidence);
        let accounts = evidence.flat_map(|it| it.text.split_whitespace().map(lower));
        let mentioned = notes.chain(held).chain(failed).chain(accounts).collect();
        let judge = Judge {
            mentioned,
            truth,
            oracle,
        };
        let mut ending = Self::default();
        for (person, fact) in &truth.mailboxes {
            let account = oracle.account_of(person);
            let (false, Ok(account)) = (judge.is_mentioned(person, fact), account) else {
                ending.excused += 1;
                continue;
            };
            ending.checked += 1;
            let wrong = match fact.kind {
                _ if !is_claimed(&fact.primary) => None,
                Kind::User => judge.user(fact, account.as_deref()),
                Kind::Shared => judge.functional(fact, account.as_deref()),
                Kind::Other | Kind::Elsewhere | Kind::Nobody => None,
            };
            ending.wrong.extend(wrong);
        }
        ending
    }
}

impl Judge<'_> {
    /// By an address of the mailbox, or by the one that its account has.
    fn is_mentioned(&self, person: &str, fact: &Fact) -> bool {
        let account = self.oracle.account_of(person).ok().flatten();
        let account = account.and_then(|id| address_of(&self.oracle.organisation, &id));
        let mut addresses = fact.addresses.iter().chain(&account);
        addresses.any(|address| self.mentioned.contains(address))
    }

    fn user(&self, fact: &Fact, account: Option<&str>) -> Option<String> {
        let who = &fact.primary;
        let mut users = self.oracle.organisation.users.iter();
        let user = account.and_then(|id| users.find(|it| it.id == id));
        match user {
            None => fact.enabled.then(|| format!("{who} has no account")),
            Some(user) if !fact.enabled => user
                .active
                .then(|| format!("{who} is disabled, and its account is active")),
            Some(User { active: false, .. }) => Some(format!("the account of {who} is suspended")),
            Some(user) if lower(&user.user_name) != *who => Some(format!(
                "the account of {who} is still called {}",
                user.user_name
            )),
            Some(user) => {
                let delegates = user.delegates.iter().filter(|it| is_claimed(&lower(it)));
                let delegates =
                    delegates.filter_map(|it| delegate_id(&self.oracle.organisation, it));
                self.content(fact, &user.name, &user.aliases, &delegates.collect())
            }
        }
    }

    fn functional(&self, fact: &Fact, account: Option<&str>) -> Option<String> {
        let who = &fact.primary;
        let organisation = &self.oracle.organisation;
        let mut groups = organisation.groups.iter();
        let group = account.and_then(|id| groups.find(|it| it.id == id));
        let is_member = |id: &&String| {
            let mut users = organisation.users.iter();
            users.any(|it| it.id == **id && is_claimed(&lower(&it.user_name)))
        };
        let members = |group: &Group| group.members.iter().filter(is_member).cloned().collect();
        match group {
            None if self.wanted(fact).is_empty() || self.delegates_are_mentioned(fact) => None,
            None => Some(format!("{who} has no functional account")),
            // R22: of an account that is to be inactive only the status counts.
            Some(group) if self.wanted(fact).is_empty() => self.delegates(fact, &members(group)),
            Some(group) => self.content(fact, &group.display_name, &group.aliases, &members(group)),
        }
    }

    fn content(
        &self,
        fact: &Fact,
        name: &str,
        aliases: &[String],
        delegates: &BTreeSet<String>,
    ) -> Option<String> {
        let who = &fact.primary;
        // Addresses of other domains are neither added nor removed in Zivver (R13).
        let is_ours = |it: &String| is_claimed(it);
        let aliases: BTreeSet<String> =
            aliases.iter().map(|it| lower(it)).filter(is_ours).collect();
        let wanted = fact
            .addresses
            .iter()
            .filter(|it| *it != who && is_claimed(it));
        let wanted: BTreeSet<String> = wanted.cloned().collect();
        if name != fact.name || aliases != wanted {
            return Some(format!(
                "{who} ends as {name:?} {aliases:?}, not {:?} {wanted:?}",
                fact.name
            ));
        }
        self.delegates(fact, delegates)
    }

    fn delegates(&self, fact: &Fact, delegates: &BTreeSet<String>) -> Option<String> {
        let wanted = self.wanted(fact);
        let users = &self.oracle.organisation.users;
        // The account itself, and a functional account, give nobody access.
        let is_access = |id: &String| {
            let mut users = users.iter();
            users.any(|it| it.id == *id && lower(&it.user_name) != fact.primary)
        };
        let delegates: BTreeSet<String> = delegates
            .iter()
            .filter(|it| is_access(it))
            .filter(|it| wanted.contains(*it) || !self.oracle.is_entitled(it, fact, self.truth))
            .cloned()
            .collect();
        let organisation = &self.oracle.organisation;
        let mut users = organisation.users.iter();
        let mentioned = users
            .any(|it| delegates.contains(&it.id) && self.mentioned.contains(&lower(&it.user_name)));
        let excused = mentioned || self.delegates_are_mentioned(fact);
        (delegates != wanted && !excused).then(|| {
            let who = &fact.primary;
            format!("{who} ends with the delegates {delegates:?}, not {wanted:?}")
        })
    }

    /// R12: the accounts of all users who may open a mailbox.
    fn wanted(&self, fact: &Fact) -> BTreeSet<String> {
        let people = fact.grantees.iter();
        let accounts = people.filter_map(|person| {
            let mailbox = self.truth.mailboxes.get(person)?;
            let account = self.oracle.account_of(person).ok()?;
            // R12: grants of people whose own mailbox is not judged are neither added nor removed.
            account.filter(|_| mailbox.kind == Kind::User && is_claimed(&mailbox.primary))
        });
        accounts.collect()
    }

    fn delegates_are_mentioned(&self, fact: &Fact) -> bool {
        let mut people = fact.grantees.iter();
        people.any(|person| {
            let fact = self.truth.mailboxes.get(person);
            fact.is_some_and(|fact| self.is_mentioned(person, fact))
        }) || fact
            .grantees
            .iter()
            .any(|it| self.oracle.account_of(it).is_err())
    }
}
