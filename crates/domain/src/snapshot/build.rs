//! Makes the lines of a snapshot from both sides at the end of a run.

use super::{
    Access, AccountEntry, Decision, Delegate, Earlier, Effect, Grant, Head, Line, MailboxEntry,
    Rejected, Side, What,
    earlier::{account_key, content_of_account, content_of_mailbox, mailbox_key},
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
    matching::Matching,
    note::Note,
    outsider::Outsider,
    world::{Policy, World},
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

/// The lines of the snapshot of a run, each made when it is requested. `earlier` is the digest of the previous
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
    };
    let domains = left.policy.claimed_domains.iter();
    let head = Head {
        claimed_domains: domains.map(str::to_owned).collect(),
        tenant_id: left.world.tenant_id.clone(),
        began: earlier.began().unwrap_or(head.at),
        ..head
    };
    let world = left.world;
    let owners = build.owners();
    let unowned: Vec<AccountIx> = world
        .accounts
        .iter()
        .filter(|(ix, _)| owners[ix.0 as usize].is_none())
        .map(|(ix, _)| ix)
        .collect();
    let mailboxes = world.directory.iter().flat_map(move |(ix, _)| {
        let account = left.matching.claimed[ix.0 as usize];
        let account = account.filter(|it| owners[it.0 as usize] == Some(ix));
        let account = account.map(|it| Line::Account(build.account(it)));
        std::iter::once(Line::Mailbox(build.mailbox(ix))).chain(account)
    });
    std::iter::once(Line::Head(head))
        .chain(mailboxes)
        .chain(
            unowned
                .into_iter()
                .map(move |ix| Line::Account(build.account(ix))),
        )
        .chain(rejected(world).map(Line::Rejected))
        .chain(decisions(left).map(Line::Decision))
}

#[derive(Clone, Copy)]
struct Build<'a> {
    left: &'a Left<'a>,
    earlier: &'a Earlier,
    now: i64,
}

impl Build<'_> {
    /// The first mailbox that claims each account.
    fn owners(self) -> Vec<Option<MailboxIx>> {
        let mut owners = vec![None; self.left.world.accounts.len()];
        for (ix, _) in self.left.world.directory.iter() {
            if let Some(account) = self.left.matching.claimed[ix.0 as usize] {
                owners[account.0 as usize].get_or_insert(ix);
            }
        }
        owners
    }

    fn mailbox(self, ix: MailboxIx) -> MailboxEntry {
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
            name: mailbox.display_name.to_string(),
            aliases: mailbox.aliases.clone(),
            aliases_unknown: !mailbox.knows_aliases,
            upn: upn
                .filter(|upn| *upn != mailbox.primary.as_str())
                .map(str::to_owned),
            access: self.access(ix),
            account: account.map(|it| world.accounts.get(it).id().clone()),
            standing: mailbox_standing(ix, world, policy, matching),
            first: 0,
            changed: 0,
        };
        let key = mailbox_key(entry.object_id.as_ref(), &entry.primary);
        let content = content_of_mailbox(&entry);
        (entry.first, entry.changed) = self.earlier.times(key, content, self.now);
        entry
    }

    fn access(self, ix: MailboxIx) -> Access {
        let world = self.left.world;
        let mailbox = world.directory.mailbox(ix);
        let key = mailbox_key(mailbox.object_id.as_ref(), &mailbox.primary);
        let unknown = |reason: &str| Access::Unknown {
            reason: reason.to_owned(),
            last: self.earlier.last(key),
        };
        match world
            .delegations
            .get(ix.0 as usize)
            .and_then(Option::as_ref)
        {
            None => Access::Unread,
            Some(Delegations::Unknown(reason)) => unknown(reason),
            Some(Delegations::Gone) => unknown("the mailbox vanished between list and read"),
            Some(Delegations::Known(grants)) => Access::Known(self.grants(ix, grants)),
        }
    }

    fn grants(self, ix: MailboxIx, grants: &Grants) -> Vec<Grant> {
        let Left {
            world,
            policy,
            matching,
            ..
        } = *self.left;
        let directory = &world.directory;
        let own = matching.claimed[ix.0 as usize];
        let derived = delegates_of(world, policy, matching, ix, own);
        let owner = directory.mailbox(ix);
        let owner = mailbox_key(owner.object_id.as_ref(), &owner.primary);
        let since = |who: &str, person| self.earlier.since(owner, who, person).unwrap_or(self.now);
        let mailboxes = grants.grantees.iter().map(|grantee| {
            let who = directory.label(grantee.party);
            let person = match grantee.party {
                Party::Mailbox(ix) => {
                    let mailbox = directory.mailbox(ix);
                    Some(mailbox_key(mailbox.object_id.as_ref(), &mailbox.primary))
                }
                Party::Rejected(_) => None,
            };
            Grant {
                who: who.to_owned(),
                outsider: None,
                through: grantee.through.to_vec(),
                effect: effect(&derived, grantee.party, who),
                since: since(who, person),
            }
        });
        let outsiders = grants.outsiders.iter().map(|outsider| Grant {
            who: outsider.label.clone(),
            outsider: Some(outsider.kind.clone()),
            through: outsider.through.to_vec(),
            effect: effect_of_outsider(&derived, outsider),
            since: since(&outsider.label, None),
        });
        mailboxes.chain(outsiders).collect()
    }

    fn account(self, ix: AccountIx) -> AccountEntry {
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
            delegates: self.delegates(account),
            external_account_id: extension.external_account_id.as_deref().map(str::to_owned),
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

    fn delegates(self, account: AccountView<'_>) -> Vec<Delegate> {
        let accounts = &self.left.world.accounts;
        let owner = account_key(account.id());
        let delegate = |who: String, person: Option<AccountIx>| {
            let person = person.map(|ix| account_key(accounts.get(ix).id()));
            let since = self.earlier.since(owner, &who, person);
            Delegate {
                since: since.unwrap_or(self.now),
                who,
            }
        };
        let mut delegates: Vec<Delegate> = match account {
            AccountView::User(user) => {
                let delegates = user.delegates.iter();
                delegates
                    .map(|it| delegate(it.to_string(), accounts.user_called(it)))
                    .collect()
            }
            AccountView::Functional(group) => {
                let members = group.members.iter();
                members
                    .map(|id| {
                        let member = accounts.with_id(id);
                        let who = member.map_or_else(
                            || id.to_string(),
                            |ix| accounts.get(ix).address().to_string(),
                        );
                        delegate(who, member)
                    })
                    .collect()
            }
        };
        // R25: independent of the order in which Zivver lists them.
        delegates.sort_unstable_by(|a, b| a.who.cmp(&b.who));
        delegates
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

fn rejected(world: &World) -> impl Iterator<Item = Rejected> + '_ {
    let mailboxes = world.directory.rejections.iter().map(|it| Rejected {
        side: Side::Exchange,
        label: it.label.to_string(),
        addresses: it.addresses.clone(),
        reason: it.reason.to_string(),
    });
    let accounts = world.accounts.rejected().iter().map(|it| Rejected {
        side: Side::Zivver,
        label: it.label.clone(),
        addresses: it.addresses().map(SmtpAddress::clone).collect(),
        reason: it.reason.clone(),
    });
    mailboxes.chain(accounts)
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
