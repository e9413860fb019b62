//! Makes the lines of a snapshot from both sides at the end of a run.

use std::sync::Arc;

use super::{
    Access, AccountEntry, Decision, Delegate, Earlier, Effect, Grant, Head, Last, Line,
    MailboxEntry, NOT_UNDERSTOOD, Rejected, Side, What,
    earlier::{
        Whose, account_key, content_of_account, content_of_mailbox, mailbox_key, object_key,
    },
};
use crate::{
    accounts::{AccountIx, AccountView},
    action::ActionReport,
    address::SmtpAddress,
    delegation::{Delegations, Grants},
    delta::Reason,
    desired::{Derived, delegates_of},
    directory::{MailboxIx, Party},
    explain::{account_standing, mailbox_standing},
    hold::HeldSet,
    ids::{ObjectId, ScimId},
    mailbox::Mailbox,
    matching::{AccountFate, MailboxFate, Matching},
    note::{Code, Note},
    outsider::Outsider,
    world::{MailboxScope, Policy, World},
};

/// The result of a run: both sides as it last read them, and its decisions.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    pub world: &'a World,
    pub policy: &'a Policy,
    pub matching: &'a Matching,
    pub actions: &'a [ActionReport],
    pub held: &'a [HeldSet],
    pub notes: &'a [Note],
}

/// The lines of the snapshot of a run, each created when it is requested. `earlier` is the digest of the previous
/// snapshot. Only the run and the time of `head` are used.
pub fn lines<'a>(
    left: &'a Left<'a>,
    earlier: &'a Earlier,
    head: Head,
) -> impl Iterator<Item = Line> + 'a {
    let build = Build {
        left,
        earlier,
        now: head.at,
        claims: claims(left),
    };
    let domains = left.policy.claimed_domains.iter();
    let head = Head {
        claimed_domains: domains.map(str::to_owned).collect(),
        tenant_id: left.world.tenant_id.clone(),
        began: earlier.began().unwrap_or(head.at),
        ..head
    };
    let world = left.world;
    let build = Arc::new(build);
    let unowned = {
        let build = Arc::clone(&build);
        let accounts = world.accounts.iter().map(|(ix, _)| ix);
        let unowned = accounts.filter(move |ix| build.claim(*ix).is_none());
        unowned.collect::<Vec<_>>()
    };
    let mailboxes = {
        let build = Arc::clone(&build);
        world.directory.iter().flat_map(move |(ix, _)| {
            let account = left.matching.claimed[ix.0 as usize];
            let is_first = |it: &AccountIx| build.claim(*it).is_some_and(|it| it.first == ix);
            let account = account.filter(is_first);
            let account = account.map(|it| Line::Account(build.account(it)));
            std::iter::once(Line::Mailbox(build.mailbox(ix))).chain(account)
        })
    };
    let rejected: Vec<Rejected> = build.rejected().collect();
    std::iter::once(Line::Head(head))
        .chain(mailboxes)
        .chain(
            unowned
                .into_iter()
                .map(move |ix| Line::Account(build.account(ix))),
        )
        .chain(rejected.into_iter().map(Line::Rejected))
        .chain(decisions(left).map(Line::Decision))
}

/// Which mailboxes claim an account.
#[derive(Debug, Clone, Copy)]
struct Claim {
    first: MailboxIx,
    has_others: bool,
}

fn claims(left: &Left<'_>) -> Vec<Option<Claim>> {
    let mut claims: Vec<Option<Claim>> = vec![None; left.world.accounts.len()];
    for (ix, _) in left.world.directory.iter() {
        if let Some(account) = left.matching.claimed[ix.0 as usize] {
            let claim = &mut claims[account.0 as usize];
            *claim = Some(Claim {
                first: claim.map_or(ix, |it| it.first),
                has_others: claim.is_some(),
            });
        }
    }
    claims
}

/// Which account belongs to a mailbox.
enum Own {
    Account,
    None,
    Unknown(String),
}

struct Build<'a> {
    left: &'a Left<'a>,
    earlier: &'a Earlier,
    now: i64,
    /// By position of the account.
    claims: Vec<Option<Claim>>,
}

impl Build<'_> {
    fn claim(&self, ix: AccountIx) -> Option<Claim> {
        self.claims[ix.0 as usize]
    }

    /// R16: an account that the state or `ExternalAccountId` ties to another object id is not its own.
    fn own(&self, ix: MailboxIx) -> Own {
        let Left {
            world, matching, ..
        } = *self.left;
        let mailbox = world.directory.mailbox(ix);
        match matching.mailbox(ix) {
            MailboxFate::Protected(by)
                if matches!(by.code, Code::ClaimConflict | Code::AccountRejected) =>
            {
                return Own::Unknown(format!("{} ({})", by.text, by.code.rule()));
            }
            MailboxFate::Evidence(account) => {
                let address = world.accounts.get(*account).address();
                return Own::Unknown(format!("it may have the account {address} (R17)"));
            }
            MailboxFate::Protected(_)
            | MailboxFate::OutsideDomains
            | MailboxFate::Matched(_)
            | MailboxFate::NoAccount => {}
        }
        let Some(account) = matching.claimed[ix.0 as usize] else {
            return self.unread_account(mailbox).map_or(Own::None, Own::Unknown);
        };
        let tied = matching.known_object_id(account);
        if tied.is_some() && tied != mailbox.object_id.as_ref() {
            return Own::None;
        }
        if tied.is_none() && self.claim(account).is_some_and(|it| it.has_others) {
            let address = world.accounts.get(account).address();
            return Own::Unknown(format!(
                "several mailboxes claim the account {address} (R16)"
            ));
        }
        Own::Account
    }

    /// R1: whether an account that cannot be understood may be that of a mailbox.
    fn unread_account(&self, mailbox: &Mailbox) -> Option<String> {
        let mut rejected = self.left.world.accounts.rejected().iter();
        let row = rejected.find(|row| {
            let mut addresses = row.addresses();
            let is_nameless = row.address.is_none() && row.object_id.is_none();
            is_nameless
                || row.object_id.is_some() && row.object_id == mailbox.object_id
                || addresses.any(|it| *it == mailbox.primary || mailbox.aliases.contains(it))
        })?;
        Some(format!(
            "its account may be {}, which cannot be understood: {} (R1)",
            row.label, row.reason
        ))
    }

    fn whose_mailbox(&self, ix: MailboxIx) -> Whose {
        let mailbox = self.left.world.directory.mailbox(ix);
        Whose {
            key: mailbox_key(mailbox.object_id.as_ref(), &mailbox.primary),
            tied: None,
            claimant: None,
        }
    }

    fn whose_account(&self, ix: AccountIx) -> Whose {
        let Left {
            world, matching, ..
        } = *self.left;
        let claimant = self.claim(ix).filter(|it| !it.has_others);
        let claimant = claimant.and_then(|it| world.directory.mailbox(it.first).object_id);
        Whose {
            key: account_key(world.accounts.get(ix).id()),
            tied: matching.known_object_id(ix).map(object_key),
            claimant: claimant.as_ref().map(object_key),
        }
    }

    fn mailbox(&self, ix: MailboxIx) -> MailboxEntry {
        let Left {
            world,
            policy,
            matching,
            ..
        } = *self.left;
        let mailbox = world.directory.mailbox(ix);
        let upn = mailbox.user_principal_name.as_deref();
        let account = matching.claimed[ix.0 as usize];
        let mut entry = MailboxEntry {
            primary: mailbox.primary.clone(),
            object_id: mailbox.object_id,
            kind: mailbox.kind.clone(),
            name: if mailbox.knows_name {
                mailbox.display_name.to_string()
            } else {
                String::new()
            },
            aliases: mailbox.aliases.clone(),
            aliases_unknown: !mailbox.knows_aliases,
            upn: upn
                .filter(|upn| *upn != mailbox.primary.as_str())
                .map(str::to_owned),
            access: self.access(ix),
            account: account.map(|it| world.accounts.get(it).id().clone()),
            account_unknown: match self.own(ix) {
                Own::Account | Own::None => None,
                Own::Unknown(reason) => Some(reason),
            },
            standing: mailbox_standing(ix, world, policy, matching),
            first: 0,
            changed: 0,
        };
        let key = mailbox_key(entry.object_id.as_ref(), &entry.primary);
        let content = content_of_mailbox(&entry);
        (entry.first, entry.changed) = self.earlier.times(key, content, self.now);
        entry
    }

    fn access(&self, ix: MailboxIx) -> Access {
        let last = || self.earlier.last(self.whose_mailbox(ix).key);
        let unknown = |reason: &str| Access::Unknown {
            reason: reason.to_owned(),
            last: last(),
        };
        match self.left.world.delegations_of(ix) {
            None => Access::Unread {
                reason: self.why_unread(ix),
                last: last(),
            },
            Some(Delegations::Unknown(reason)) => unknown(reason),
            Some(Delegations::Gone) => unknown("the mailbox vanished between list and read"),
            Some(Delegations::Known(grants)) => Access::Known(self.grants(ix, grants)),
        }
    }

    fn why_unread(&self, ix: MailboxIx) -> String {
        let Left {
            world,
            policy,
            matching,
            ..
        } = *self.left;
        match policy.scope_of(&world.directory, ix) {
            MailboxScope::OtherKind => {
                let kind = world.directory.mailbox(ix).kind.words();
                format!("a {kind} is not synchronised (R3)")
            }
            MailboxScope::OutsideDomains => "it is outside the claimed domains (R13)".into(),
            MailboxScope::OutsideFilter => "it is not in the source filter (R14)".into(),
            MailboxScope::In => match matching.mailbox(ix) {
                MailboxFate::Protected(by) => format!("{} ({})", by.text, by.code.rule()),
                MailboxFate::OutsideDomains
                | MailboxFate::Matched(_)
                | MailboxFate::Evidence(_)
                | MailboxFate::NoAccount => "it is not synchronised (R7)".into(),
            },
        }
    }

    fn grants(&self, ix: MailboxIx, grants: &Grants) -> Vec<Grant> {
        let Left {
            world,
            policy,
            matching,
            ..
        } = *self.left;
        let directory = &world.directory;
        let own = matching.claimed[ix.0 as usize];
        let derived = delegates_of(world, policy, matching, ix, own);
        let owner = self.whose_mailbox(ix);
        let since = |who: &str, id: Option<&ObjectId>, person: Option<Whose>| {
            let person = person.or_else(|| {
                id.map(|id| Whose {
                    key: object_key(id),
                    tied: None,
                    claimant: None,
                })
            });
            self.earlier
                .since(Side::Exchange, owner, person, who, self.now)
        };
        let mailboxes = grants.grantees.iter().map(|grantee| {
            let who = directory.label(grantee.party);
            let object_id = directory.object_id(grantee.party).copied();
            let (id, person) = match grantee.party {
                Party::Mailbox(ix) => {
                    let primary = &directory.mailbox(ix).primary;
                    let is_only = !directory.is_shared_primary(primary);
                    (object_id.filter(|_| !is_only), Some(self.whose_mailbox(ix)))
                }
                Party::Rejected(_) => (object_id, None),
            };
            let since = since(who, id.as_ref(), person);
            let is_nobody = object_id.is_none() && matches!(grantee.party, Party::Rejected(_));
            Grant {
                who: who.to_owned(),
                id,
                outsider: is_nobody.then(|| NOT_UNDERSTOOD.to_owned()),
                through: grantee.through.to_vec(),
                effect: effect(&derived, grantee.party, who),
                since: since.at(),
                or_earlier: since.or_earlier,
            }
        });
        let outsiders = grants.outsiders.iter().map(|outsider| {
            let since = since(&outsider.label, outsider.object_id.as_ref(), None);
            Grant {
                who: outsider.label.clone(),
                id: outsider.object_id,
                outsider: Some(outsider.kind.clone()),
                through: outsider.through.to_vec(),
                effect: effect_of_outsider(&derived, outsider),
                since: since.at(),
                or_earlier: since.or_earlier,
            }
        });
        mailboxes.chain(outsiders).collect()
    }

    fn account(&self, ix: AccountIx) -> AccountEntry {
        let world = self.left.world;
        let account = world.accounts.get(ix);
        let extension = account.extension();
        let mut entry = AccountEntry {
            id: account.id().clone(),
            kind: account.kind(),
            address: account.address().clone(),
            name: account.name().to_owned(),
            active: world.accounts.is_active(ix),
            aliases: extension.aliases.clone(),
            delegates: self.delegates(ix),
            external_account_id: extension.external_account_id.as_deref().map(str::to_owned),
            tied: self
                .left
                .matching
                .known_object_id(ix)
                .filter(|id| world.accounts.external_object_id(ix) != Some(*id))
                .copied(),
            mailbox_unknown: self.mailbox_unknown(ix),
            standing: account_standing(ix, world, self.left.matching),
            first: 0,
            changed: 0,
        };
        let content = content_of_account(&entry);
        (entry.first, entry.changed) =
            self.earlier
                .times(account_key(&entry.id), content, self.now);
        entry
    }

    /// R16, R17: why the mailbox of the account is unknown.
    fn mailbox_unknown(&self, ix: AccountIx) -> Option<String> {
        let Left {
            world, matching, ..
        } = *self.left;
        let is_unclear = match matching.account(ix) {
            AccountFate::Evidence(_) | AccountFate::OwnedByDisabled => true,
            AccountFate::Protected(by) if by.code == Code::ClaimConflict => true,
            AccountFate::Foreign
            | AccountFate::Protected(_)
            | AccountFate::Owned(_)
            | AccountFate::MailboxOutsideDomains(_)
            | AccountFate::MergeCandidate(_)
            | AccountFate::Unowned => self
                .claim(ix)
                .is_some_and(|it| matches!(self.own(it.first), Own::Unknown(_))),
        };
        is_unclear.then(|| account_standing(ix, world, matching))
    }

    fn delegates(&self, ix: AccountIx) -> Vec<Delegate> {
        let accounts = &self.left.world.accounts;
        let owner = self.whose_account(ix);
        let delegate = |who: String, person: Option<Whose>| {
            let since = self
                .earlier
                .since(Side::Zivver, owner, person, &who, self.now);
            Delegate {
                who,
                account: None,
                since: since.at(),
                or_earlier: since.or_earlier,
            }
        };
        // R1: a party that is not listed may be one that was.
        let unlisted = |id: &ScimId| Whose {
            key: account_key(id),
            tied: None,
            claimant: None,
        };
        let mut delegates: Vec<Delegate> = match accounts.get(ix) {
            AccountView::User(user) => {
                let delegates = user.delegates.iter().map(|it| {
                    let before = self.earlier.unlisted_account_at(it);
                    let listed = accounts.user_called(it).map(|ix| self.whose_account(ix));
                    delegate(it.to_string(), listed.or(before.map(unlisted)))
                });
                delegates.collect()
            }
            AccountView::Functional(group) => {
                let members = group.members.iter().map(|id| match accounts.with_id(id) {
                    Some(ix) => {
                        let who = accounts.get(ix).address().to_string();
                        delegate(who, Some(self.whose_account(ix)))
                    }
                    None => delegate(id.to_string(), Some(unlisted(id))),
                });
                members.collect()
            }
        };
        // R25: independent of the order in which Zivver lists them.
        delegates.sort_unstable_by(|a, b| a.who.cmp(&b.who));
        delegates
    }

    fn rejected(&self) -> impl Iterator<Item = Rejected> + '_ {
        let world = self.left.world;
        let mailboxes = world.directory.rejections.iter().map(|it| {
            let last = it.object_id.as_ref();
            let last = last.and_then(|id| self.earlier.last_mailbox_of(id));
            Rejected {
                side: Side::Exchange,
                label: it.label.to_string(),
                addresses: it.addresses.clone(),
                reason: it.reason.to_string(),
                object_id: it.object_id,
                id: None,
                last: last.map(|it| Box::new(Last::Mailbox(it))),
            }
        });
        let accounts = world.accounts.rejected().iter().map(|it| {
            let known = it.id.as_ref().map(|id| self.earlier.last_account_of(id));
            let (last, tied) = known.unwrap_or_default();
            Rejected {
                side: Side::Zivver,
                label: it.label.clone(),
                addresses: it.addresses().map(SmtpAddress::clone).collect(),
                reason: it.reason.clone(),
                object_id: it.object_id.or(tied),
                id: it.id.clone(),
                last: last.map(|it| Box::new(Last::Account(it))),
            }
        });
        mailboxes.chain(accounts)
    }
}

fn effect(derived: &Derived, party: Party, who: &str) -> Effect {
    if let Some(reason) = derived.pruned.get(&party) {
        Effect::Pruned(reason.clone())
    } else if let Some(reason) = derived.left_out.get(&party) {
        Effect::LeftOut(reason.clone())
    } else if let Some(reason) = derived.kept.get(who) {
        Effect::Kept(reason.clone())
    } else {
        Effect::Delegate
    }
}

fn effect_of_outsider(derived: &Derived, outsider: &Outsider) -> Effect {
    match derived.kept.get(&outsider.label) {
        Some(reason) => Effect::Kept(reason.clone()),
        None => Effect::Pruned(format!("Exchange has it as a {}", outsider.kind)),
    }
}

fn decisions<'a>(left: &Left<'a>) -> impl Iterator<Item = Decision> + use<'a> {
    let actions = left.actions.iter().map(action);
    let held = left.held.iter().flat_map(|set| {
        set.changes.iter().map(|change| Decision {
            address: change.address.to_string(),
            what: What::Held(set.class),
            rule: "R26".into(),
            text: format!("{}: {}", change.what, set.reason),
        })
    });
    let notes = left.notes.iter().map(|note| Decision {
        address: note.address.clone(),
        what: What::Note(note.code),
        rule: note.rule.clone(),
        text: note.text.clone(),
    });
    actions.chain(held).chain(notes)
}

fn action(report: &ActionReport) -> Decision {
    let action = &report.action;
    let join = |text: fn(&Reason) -> &str, by: &str| {
        let texts: Vec<&str> = action.reasons.iter().map(text).collect();
        texts.join(by)
    };
    let mut text = join(|it| &it.fact, "; ");
    for problem in &report.problems {
        text.push_str("; ");
        text.push_str(problem);
    }
    Decision {
        address: action.address.to_string(),
        what: What::Action {
            id: action.id.clone(),
            kind: action.kind,
            outcome: report.outcome,
        },
        rule: join(|it| &it.rule, " "),
        text,
    }
}
