//! The state during the execution of a plan: how steps ended, and which accounts were created or renamed so far.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::{
    account::UserAccount,
    accounts::{Account, AccountIx, AccountView},
    address::SmtpAddress,
    delta::{KeyChange, Target},
    directory::MailboxIx,
    ids::ScimId,
    ineffective::Asked,
    plan::ApprovedPlan,
    step::{Delegate, Step, StepIx, When},
    world::World,
};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepEnd {
    Done,
    /// There was nothing to do, such as nothing to complete or to take back.
    NotNeeded,
    Refused,
    /// No answer, or the run stopped. It may have been carried out.
    Failed,
    /// Not sent, since a step that it depends on failed.
    LeftOut,
    /// Not sent, since the run stopped. It counts as not started.
    Unsent,
}

#[derive(Debug)]
pub(super) struct Situation<'a> {
    pub world: &'a World,
    plan: &'a ApprovedPlan,
    ends: Vec<Option<StepEnd>>,
    /// The accounts as the answers to their creates show them.
    pub created: BTreeMap<MailboxIx, Account>,
    renamed: HashMap<AccountIx, SmtpAddress>,
    /// Users who did not get the address that the last step for it asked for.
    failed_renames: HashSet<AccountIx>,
    /// Users whose extension was written, with its last accepted content.
    extended: HashMap<AccountIx, UserExtensionNow>,
}

/// The addresses in the extension of a user.
#[derive(Debug, Clone)]
pub(super) struct UserExtensionNow {
    pub aliases: BTreeSet<SmtpAddress>,
    pub delegates: BTreeSet<SmtpAddress>,
}

impl<'a> Situation<'a> {
    pub(super) fn new(world: &'a World, plan: &'a ApprovedPlan) -> Self {
        Self {
            world,
            plan,
            ends: vec![None; plan.steps().len()],
            created: BTreeMap::new(),
            renamed: HashMap::new(),
            failed_renames: HashSet::new(),
            extended: HashMap::new(),
        }
    }

    pub(super) fn step(&self, step: StepIx) -> &'a Step {
        &self.plan.steps()[step.0 as usize]
    }

    /// Records how a step ended, what Zivver accepted of it, and the address with which it answered.
    pub(super) fn end(
        &mut self,
        step: StepIx,
        end: StepEnd,
        accepted: &Asked,
        shown: Option<&SmtpAddress>,
    ) {
        // R22: the answer says what was stored, so a rename that it does not show released nothing.
        let asked = accepted.address.as_ref();
        let is_kept = asked.is_none() || shown.is_none() || asked == shown;
        let end = if is_kept { end } else { StepEnd::Failed };
        self.ends[step.0 as usize] = Some(end);
        let step = self.step(step);
        let Target::Existing(ix) = step.target else {
            return;
        };
        // A rename that is taken back stays failed.
        if step.call.renames() && step.when == When::Always {
            if end == StepEnd::Done {
                self.failed_renames.remove(&ix);
            } else {
                self.failed_renames.insert(ix);
            }
        }
        if let Some(address) = asked.filter(|_| is_kept) {
            self.renamed.insert(ix, address.clone());
        }
        if let (Some(aliases), Some(delegates)) = (&accepted.aliases, &accepted.delegates) {
            let extension = UserExtensionNow {
                aliases: aliases.clone(),
                delegates: delegates.clone(),
            };
            self.extended.insert(ix, extension);
        }
    }

    /// The present extension of a user in Zivver.
    pub(super) fn extension_of(&self, target: Target, user: &UserAccount) -> UserExtensionNow {
        let written = match target {
            Target::Existing(ix) => self.extended.get(&ix),
            Target::New(_) => None,
        };
        written.cloned().unwrap_or_else(|| UserExtensionNow {
            aliases: user.extension.aliases.iter().cloned().collect(),
            delegates: user.delegates.iter().cloned().collect(),
        })
    }

    pub(super) fn succeeded(&self, step: StepIx) -> bool {
        self.ends[step.0 as usize] == Some(StepEnd::Done)
    }

    /// Whether an address is free, because this step released it, or because there was nothing left to release.
    pub(super) fn is_free(&self, address: &SmtpAddress, release: StepIx) -> bool {
        match self.ends[release.0 as usize] {
            Some(StepEnd::Done) => true,
            Some(StepEnd::NotNeeded) => {
                let target = self.step(release).target;
                let Some(AccountView::User(user)) = self.account(target) else {
                    return false;
                };
                let now = self.extension_of(target, user);
                self.address(&Delegate::Account(target)) != Some(address)
                    && !now.aliases.contains(address)
                    && !now.delegates.contains(address)
            }
            Some(StepEnd::Refused | StepEnd::Failed | StepEnd::LeftOut | StepEnd::Unsent)
            | None => false,
        }
    }

    /// R22: the account that a step had to write without a delegate, if that was its purpose.
    pub(super) fn named_by(&self, address: &SmtpAddress, release: StepIx) -> Option<&SmtpAddress> {
        let step = self.step(release);
        let Target::Existing(ix) = step.target else {
            return None;
        };
        let account = self.world.accounts.get(ix);
        let has_it = account.address() == address || account.extension().aliases.contains(address);
        (!has_it && !step.call.renames()).then(|| account.address())
    }

    /// R22: the delegates whom the action names anew, but whose own rename failed.
    pub(super) fn not_renamed(&self, step: &Step, user: &UserAccount) -> Vec<&SmtpAddress> {
        let delta = &self.plan.deltas()[step.action as usize];
        let failed = delta.add_delegates.iter().filter_map(|it| match it {
            Target::Existing(ix) => self.failed_renames.contains(ix).then_some(*ix),
            Target::New(_) => None,
        });
        let addresses = failed.map(|ix| self.world.accounts.get(ix).address());
        addresses.filter(|it| user.delegates.contains(it)).collect()
    }

    /// Whether the extension of a user was written, with its key.
    pub(super) fn has_written(&self, target: Target) -> bool {
        match target {
            Target::Existing(ix) => self.extended.contains_key(&ix),
            Target::New(_) => false,
        }
    }

    /// R16, R31: why an account that was found where one was to be created is not the one of the mailbox, and how the
    /// create ended.
    pub(super) fn is_another(
        &self,
        mailbox: MailboxIx,
        found: &Account,
    ) -> Option<(StepEnd, String)> {
        let mailbox = self.world.directory.mailbox(mailbox);
        // The look-up is older than the rename that released the address, so it does not show what the create did.
        if self.world.accounts.lists(found.view().id()) {
            let text = format!(
                "create the account {}: Zivver does not show yet whether it was made, only an account that was there \
                 before; run again (R31)",
                mailbox.primary
            );
            return Some((StepEnd::Failed, text));
        }
        let tied = found.view().external_object_id()?;
        (mailbox.object_id != Some(tied)).then(|| {
            let text = format!(
                "create the account {}: one was made meanwhile that belongs to the object id {tied}, so it is left alone; \
                 the next run asks whether to give it to the mailbox (R16)",
                mailbox.primary
            );
            (StepEnd::Refused, text)
        })
    }

    /// R16: whether the step writes an approved tie, although nothing else differs.
    pub(super) fn ties(&self, step: &Step) -> bool {
        self.plan.deltas()[step.action as usize].tie.is_some()
    }

    /// R16, R23: whether the step writes the extension because of its key, although nothing else differs.
    pub(super) fn needs_key(&self, step: &Step) -> bool {
        let delta = &self.plan.deltas()[step.action as usize];
        delta.tie.is_some() || delta.key_change.is_some_and(KeyChange::is_due)
    }

    /// `None` for an account that was not created.
    pub(super) fn account(&self, target: Target) -> Option<AccountView<'_>> {
        match target {
            Target::Existing(ix) => Some(self.world.accounts.get(ix)),
            Target::New(mailbox) => self.created.get(&mailbox).map(Account::view),
        }
    }

    /// R22: a delegate is written with its present address.
    pub(super) fn address<'b>(&'b self, delegate: &'b Delegate) -> Option<&'b SmtpAddress> {
        match delegate {
            Delegate::Stranger(address) => Some(address),
            Delegate::Account(Target::Existing(ix)) => Some(
                self.renamed
                    .get(ix)
                    .unwrap_or_else(|| self.world.accounts.get(*ix).address()),
            ),
            Delegate::Account(Target::New(mailbox)) => self
                .created
                .get(mailbox)
                .map(|created| created.view().address()),
        }
    }

    /// The ids of members. Members without an account are added to `left_out`. A delegate that is only an address has
    /// no id.
    pub(super) fn ids(&self, members: &[Delegate], left_out: &mut Vec<String>) -> Vec<ScimId> {
        let mut ids = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Delegate::Account(target) => match self.account(*target) {
                    Some(account) => ids.push(account.id().clone()),
                    None => left_out.push("a delegate without account".into()),
                },
                Delegate::Stranger(_) => {}
            }
        }
        ids
    }

    /// R12: whether at least one user in the list has an account now.
    pub(super) fn has_user(&self, members: &[Delegate]) -> bool {
        members.iter().any(|member| match member {
            Delegate::Account(target) => {
                matches!(self.account(*target), Some(AccountView::User(_)))
            }
            Delegate::Stranger(_) => false,
        })
    }
}
