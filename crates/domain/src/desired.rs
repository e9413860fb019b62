//! Who should be a delegate of whom (R12): from grants on mailboxes to accounts.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    accounts::{AccountIx, AccountKind},
    delegation::{Delegations, Grantee},
    delta::Target,
    directory::{MailboxIx, Party},
    kept_access::{accounts_of_mailbox, accounts_of_outsider},
    mailbox::MailboxKind,
    matching::{MailboxFate, Matching},
    note::Code,
    world::{MailboxScope, Policy, World},
};

/// The delegates of one account, and everybody with a grant who does not become a delegate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    pub delegates: Delegates,
    /// R12: cannot be a delegate, with the reason.
    pub pruned: BTreeMap<Party, String>,
    /// Left out of this run: protected, or an account that cannot be created.
    pub left_out: BTreeMap<Party, String>,
    /// R12: people whose own mailbox is not judged here, by name, with the reason.
    pub kept: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delegates {
    Known {
        wanted: BTreeSet<Target>,
        /// R12: accounts whose delegation is neither added nor removed.
        kept: BTreeSet<AccountIx>,
        /// Whether a delegate is left out for now, or kept.
        left_out: bool,
    },
    /// R11: they stay as they are.
    Unknown,
}

/// One grantee after the rules.
enum Judged {
    Delegate(Target),
    Pruned(String),
    LeftOut(String),
    /// Active accounts, and why they are kept.
    Kept(BTreeSet<AccountIx>, String),
}

/// R12 for the mailbox `ix`. `own` is its account: a person is not a delegate of their own account.
pub fn delegates_of(
    world: &World,
    policy: &Policy,
    matching: &Matching,
    ix: MailboxIx,
    own: Option<AccountIx>,
) -> Derived {
    let mut derived = Derived {
        delegates: Delegates::Unknown,
        pruned: BTreeMap::new(),
        left_out: BTreeMap::new(),
        kept: BTreeMap::new(),
    };
    let Some(Delegations::Known(grants)) = world.delegations_of(ix) else {
        return derived;
    };
    let mut wanted = BTreeSet::new();
    let mut kept = BTreeSet::new();
    for Grantee { party, .. } in &grants.grantees {
        match judge(world, policy, matching, *party) {
            Judged::Delegate(target) if own.map(Target::Existing) == Some(target) => {}
            Judged::Delegate(target) => {
                wanted.insert(target);
                // Accounts that may be the mailbox's own are kept beside the new one.
                let accounts = match target {
                    Target::New(ix) => accounts_of_mailbox(world, matching, ix),
                    Target::Existing(_) => BTreeSet::new(),
                };
                if !accounts.is_empty() {
                    kept.extend(accounts);
                    let label = world.directory.label(*party).to_owned();
                    let reason = "it is not certain which account it has (R17)".into();
                    derived.kept.insert(label, reason);
                }
            }
            Judged::Pruned(reason) => {
                derived.pruned.insert(*party, reason);
            }
            Judged::LeftOut(reason) => {
                derived.left_out.insert(*party, reason);
                if let Party::Mailbox(ix) = party {
                    kept.extend(accounts_of_mailbox(world, matching, *ix));
                }
            }
            Judged::Kept(accounts, reason) => {
                kept.extend(accounts);
                let label = world.directory.label(*party).to_owned();
                derived.kept.insert(label, reason);
            }
        }
    }
    for outsider in &grants.outsiders {
        let accounts = accounts_of_outsider(world, matching, outsider, own);
        if !accounts.is_empty() {
            kept.extend(accounts);
            let reason = format!("Exchange has it as a {}", outsider.kind);
            derived.kept.insert(outsider.label.clone(), reason);
        }
    }
    kept.retain(|account| Some(*account) != own);
    derived.delegates = Delegates::Known {
        wanted,
        left_out: !derived.left_out.is_empty() || !kept.is_empty(),
        kept,
    };
    derived
}

fn judge(world: &World, policy: &Policy, matching: &Matching, party: Party) -> Judged {
    let Party::Mailbox(ix) = party else {
        return Judged::LeftOut("its mailbox is not understood (R5)".into());
    };
    let mailbox = world.directory.mailbox(ix);
    let disabled = match &mailbox.kind {
        MailboxKind::User { disabled } => *disabled,
        MailboxKind::Shared => return Judged::Pruned("it is not a user mailbox".into()),
        MailboxKind::Other(kind) => {
            let reason = format!("its mailbox is a {kind} (R3)");
            return kept_or_pruned(world, matching, ix, reason, "it is not a user mailbox");
        }
    };
    match policy.scope_of(&world.directory, ix) {
        MailboxScope::In => {}
        MailboxScope::OtherKind => return Judged::Pruned("it is not a user mailbox".into()),
        MailboxScope::OutsideDomains => {
            let reason = "its mailbox is outside the claimed domains (R13)".into();
            let pruned = "it is outside the claimed domains (R13)";
            return kept_or_pruned(world, matching, ix, reason, pruned);
        }
        MailboxScope::OutsideFilter => {
            return Judged::Pruned("it is not in the source filter (R14)".into());
        }
    }
    let account = matching.claimed[ix.0 as usize];
    if account.is_some_and(|account| matching.frozen.contains(&account)) {
        return Judged::LeftOut("it is not certain whose account it has".into());
    }
    match matching.mailbox(ix) {
        MailboxFate::Protected(by) if by.code == Code::TargetFilter => match account {
            // R15: the filter protects the account itself. It may still become a delegate of others.
            Some(account) if world.accounts.get(account).kind() == AccountKind::User => {
                Judged::Delegate(Target::Existing(account))
            }
            _ => {
                let reason = "TARGET_FILTER keeps it without an account of its own (R15)".into();
                let pruned = "it has no account, and TARGET_FILTER keeps it so";
                kept_or_pruned(world, matching, ix, reason, pruned)
            }
        },
        MailboxFate::Protected(by) if by.code == Code::KindMismatch => {
            let pruned = "its account is not a user account (R18)";
            kept_or_pruned(world, matching, ix, pruned.into(), pruned)
        }
        MailboxFate::Protected(by) => Judged::LeftOut(by.text.clone()),
        MailboxFate::Matched(found) => Judged::Delegate(Target::Existing(found.account)),
        // Frozen until the owner is certain.
        MailboxFate::Evidence(account) if !matching.frozen.contains(account) => {
            Judged::Delegate(Target::Existing(*account))
        }
        MailboxFate::Evidence(_) => {
            Judged::LeftOut("it is not certain which account it has (R17)".into())
        }
        MailboxFate::NoAccount if disabled => {
            Judged::Pruned("it is disabled and has no account".into())
        }
        MailboxFate::NoAccount if mailbox.object_id.is_none() => {
            Judged::LeftOut("no account can be created for it without an object id (R24)".into())
        }
        MailboxFate::NoAccount if !mailbox.knows_aliases => Judged::LeftOut(
            "no account is created for it while its aliases are unknown (R4)".into(),
        ),
        MailboxFate::NoAccount => Judged::Delegate(Target::New(ix)),
        MailboxFate::OutsideDomains => {
            Judged::Pruned("it is outside the claimed domains (R13)".into())
        }
    }
}

/// R12: a person whose mailbox is not judged here keeps the delegation if their account is active.
fn kept_or_pruned(
    world: &World,
    matching: &Matching,
    ix: MailboxIx,
    kept: String,
    pruned: &str,
) -> Judged {
    let accounts = accounts_of_mailbox(world, matching, ix);
    if accounts.is_empty() {
        Judged::Pruned(pruned.into())
    } else {
        Judged::Kept(accounts, kept)
    }
}
