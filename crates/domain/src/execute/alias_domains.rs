//! Domains of new aliases. After Zivver has refused a domain that it does not own, its aliases are left out for the
//! rest of the run (R23).
//!
//! A domain in which the organisation has accounts is open from the start. Any other domain is unknown. The first
//! request with an alias in it asks about it, and the other requests wait. Then the domain is either open or not owned.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    address::SmtpAddress,
    note::{Code, Note},
    remedies,
    step::StepIx,
    world::World,
};

/// The state of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The first request with an alias in it is on its way. The others wait, so that one refusal is enough.
    Asked(StepIx),
    Open,
    NotOwned,
}

/// How to continue with a request that has new aliases.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is sent without these aliases.
    Without(Vec<SmtpAddress>),
    /// Another request asks about one of its domains.
    Wait,
}

/// Aliases that Zivver refused in one request because of their domain.
#[derive(Debug, Default)]
pub(super) struct RefusedAliases {
    pub(super) aliases: Vec<SmtpAddress>,
    /// Whether the same request was accepted without them.
    pub(super) rest_accepted: bool,
    /// Domains of the aliases that stayed in the request.
    pub(super) others: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct AliasDomains {
    standing: BTreeMap<String, Standing>,
    /// Actions with aliases in a domain that Zivver does not own.
    without: BTreeMap<String, BTreeSet<u32>>,
    waiting: Vec<StepIx>,
}

impl AliasDomains {
    /// Zivver owns the domains in which it has accounts.
    pub(super) fn new(world: &World) -> Self {
        let mut standing = BTreeMap::new();
        for (_, account) in world.accounts.iter() {
            let domain = account.address().domain();
            if !standing.contains_key(domain) {
                standing.insert(domain.to_owned(), Standing::Open);
            }
        }
        Self {
            standing,
            without: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn admit(
        &mut self,
        step: StepIx,
        action: u32,
        new_aliases: &[SmtpAddress],
    ) -> Admission {
        let mut left_out = Vec::new();
        let mut unknown = BTreeSet::new();
        for alias in new_aliases {
            match self.standing.get(alias.domain()) {
                Some(Standing::NotOwned) => left_out.push(alias.clone()),
                Some(Standing::Open) => {}
                Some(Standing::Asked(by)) if *by == step => {}
                Some(Standing::Asked(_)) => {
                    self.waiting.push(step);
                    return Admission::Wait;
                }
                None => {
                    unknown.insert(alias.domain().to_owned());
                }
            }
        }
        let asked = unknown.into_iter();
        self.standing
            .extend(asked.map(|domain| (domain, Standing::Asked(step))));
        for alias in &left_out {
            self.count(alias, action);
        }
        Admission::Without(left_out)
    }

    /// Records how a request ended, and returns the steps that waited for it.
    pub(super) fn ended(
        &mut self,
        step: StepIx,
        action: u32,
        refused: &RefusedAliases,
    ) -> Vec<StepIx> {
        let mut answered = false;
        for standing in self.standing.values_mut() {
            if *standing == Standing::Asked(step) {
                *standing = Standing::Open;
                answered = true;
            }
        }
        for alias in &refused.aliases {
            // Zivver does not say which alias it refuses. It may be one that the account had before.
            let blames_it = |other: &String| {
                other == alias.domain() || self.standing.get(other) == Some(&Standing::Open)
            };
            if refused.rest_accepted || refused.others.iter().all(blames_it) {
                self.standing
                    .insert(alias.domain().to_owned(), Standing::NotOwned);
                self.count(alias, action);
            }
        }
        if answered {
            std::mem::take(&mut self.waiting)
        } else {
            Vec::new()
        }
    }

    fn count(&mut self, alias: &SmtpAddress, action: u32) {
        let domain = alias.domain().to_owned();
        self.without.entry(domain).or_default().insert(action);
    }

    /// One note for each domain.
    pub(super) fn notes(&self) -> Vec<Note> {
        let note = |(domain, actions): (&String, &BTreeSet<u32>)| {
            let count = actions.len();
            let accounts = if count == 1 { "account" } else { "accounts" };
            let text = format!(
                "Zivver does not own the domain {domain}: aliases of {count} {accounts} are left out; {}",
                remedies::ZIVVER_DOMAIN
            );
            Note::new(domain, Code::DomainNotOwned, text)
        };
        self.without.iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(text: &str) -> SmtpAddress {
        SmtpAddress::verbatim(text)
    }

    fn refused(text: &str, others: &[&str], rest_accepted: bool) -> RefusedAliases {
        RefusedAliases {
            aliases: vec![alias(text)],
            rest_accepted,
            others: others.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn r23_the_first_request_asks_and_the_others_wait_for_it() {
        let mut domains = AliasDomains::new(&World::default());
        let mine = [alias("a@old.example")];
        assert_eq!(
            domains.admit(StepIx(0), 0, &mine),
            Admission::Without(vec![])
        );
        assert_eq!(domains.admit(StepIx(1), 1, &mine), Admission::Wait);
        let waited = domains.ended(StepIx(0), 0, &refused("a@old.example", &[], false));
        assert_eq!(waited, [StepIx(1)]);
        assert_eq!(
            domains.admit(StepIx(1), 1, &mine),
            Admission::Without(mine.to_vec())
        );
        let notes = domains.notes();
        assert_eq!(notes.len(), 1);
        assert!(notes[0].text.contains("2 accounts"), "{}", notes[0].text);
    }

    #[test]
    fn r23_a_domain_that_may_not_be_the_one_meant_is_not_given_up() {
        for (others, rest_accepted, is_given_up) in [
            (&["corp.example"][..], false, false),
            (&["corp.example"], true, true),
            (&["old.example"], false, true),
            (&[], false, true),
        ] {
            let mut domains = AliasDomains::new(&World::default());
            let mine = [alias("a@old.example")];
            domains.admit(StepIx(0), 0, &mine);
            domains.ended(
                StepIx(0),
                0,
                &refused("a@old.example", others, rest_accepted),
            );
            assert_eq!(
                domains.notes().len(),
                usize::from(is_given_up),
                "{others:?}"
            );
        }
    }
}
