//! The world while a plan is carried out: who was created, renamed, refused so far. A pure function makes the request of
//! a step from it, so that no choice is left to the I/O around it (R22–R24, R31).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    domain::{
        account::{Extension, FunctionalAccount, UserAccount},
        accounts::{Account, AccountIx, AccountView},
        address::SmtpAddress,
        delta::Target,
        directory::MailboxIx,
        ids::ScimId,
        ineffective::Asked,
        plan::ApprovedPlan,
        step::{Call, Delegate, Step, StepIx, UserExtension, When},
        world::World,
    },
    zivver::{GroupExtensionBody, GroupWrite, MembersPatch, UserExtensionBody, UserWrite},
};

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StepEnd {
    Done,
    /// There was nothing to do: a completion that was complete, a put-back that was not needed.
    NotNeeded,
    Refused,
    /// No answer, or the run stopped: it may have been carried out.
    Failed,
    /// Not sent, since what it rests on did not happen.
    LeftOut,
    /// Not sent, since the run stopped: as good as not started.
    Unsent,
}

/// A request, complete.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    CreateUser(SmtpAddress, UserWrite),
    CreateFunctional(SmtpAddress, GroupWrite),
    UpdateUser(ScimId, UserWrite),
    UpdateFunctional(ScimId, GroupWrite),
    Members(ScimId, MembersPatch),
}

/// What becomes of a step when its turn comes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    Send {
        request: Box<Request>,
        /// Aliases in it that Zivver does not have yet: one of them may be refused (R23).
        new_aliases: Vec<SmtpAddress>,
        /// Whether nothing else in it differs from what Zivver has: without them it need not be sent.
        only_aliases: bool,
        weight: Weight,
        /// What had to be left out of it, in words (R32).
        left_out: Vec<String>,
    },
    NotNeeded,
    /// What it rests on did not happen, in words.
    LeftOut(String),
    /// All that it is for are aliases in domains that Zivver does not own (R23).
    Unowned,
}

/// The extension of a user as it is written.
struct Extended {
    body: UserExtensionBody,
    new_aliases: Vec<SmtpAddress>,
    /// Whether only new aliases differ from what Zivver has.
    only_aliases: bool,
    weight: Weight,
}

/// Whether a request can go without its extension, where Zivver refuses that for an alias that the account had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Weight {
    #[default]
    Light,
    /// It takes somebody's access away, and must go.
    TakesAccess,
    /// It writes the key of whoever gets the account: nothing is written without it (R16).
    Ties,
}

/// What happened so far.
#[derive(Debug)]
pub(super) struct Live<'a> {
    world: &'a World,
    plan: &'a ApprovedPlan,
    ends: Vec<Option<StepEnd>>,
    created: BTreeMap<MailboxIx, Account>,
    renamed: HashMap<AccountIx, SmtpAddress>,
}

impl<'a> Live<'a> {
    pub(super) fn new(world: &'a World, plan: &'a ApprovedPlan) -> Self {
        Self {
            world,
            plan,
            ends: vec![None; plan.steps().len()],
            created: BTreeMap::new(),
            renamed: HashMap::new(),
        }
    }

    pub(super) fn end(&mut self, step: StepIx, end: StepEnd) {
        if end == StepEnd::Done
            && let Step {
                target: Target::Existing(ix),
                call:
                    Call::UpdateUser {
                        address: Some(address),
                        ..
                    },
                ..
            } = self.step(step)
        {
            let (ix, address) = (*ix, address.clone());
            self.renamed.insert(ix, address);
        }
        self.ends[step.0 as usize] = Some(end);
    }

    pub(super) fn ended(&self, step: StepIx) -> Option<&StepEnd> {
        self.ends[step.0 as usize].as_ref()
    }

    /// R16, R31: why an account that was found where one was to be created is not the mailbox's.
    pub(super) fn is_of_another(&self, mailbox: MailboxIx, found: &Account) -> Option<String> {
        let tied = found.view().external_object_id()?;
        let mailbox = self.world.directory.mailbox(mailbox);
        (mailbox.object_id != Some(tied)).then(|| {
            format!(
                "create the account {}: one was made meanwhile that belongs to the object id {tied}, so it is left alone; \
                 the next run asks whether to give it to the mailbox (R16)",
                mailbox.primary
            )
        })
    }

    pub(super) fn created(&mut self, mailbox: MailboxIx, account: Account) {
        self.created.insert(mailbox, account);
    }

    pub(super) fn all_created(&self) -> &BTreeMap<MailboxIx, Account> {
        &self.created
    }

    pub(super) fn step(&self, step: StepIx) -> &'a Step {
        &self.plan.steps()[step.0 as usize]
    }

    fn succeeded(&self, step: StepIx) -> bool {
        self.ended(step) == Some(&StepEnd::Done)
    }

    /// The request of a step whose turn it is: everything in its `after` has ended.
    pub(super) fn turn(&self, ix: StepIx) -> Turn {
        let step = self.step(ix);
        match step.when {
            When::Always => {}
            When::IfRefused(rename) => {
                if self.succeeded(rename) {
                    return Turn::NotNeeded;
                }
            }
            When::Completes(create) => {
                if !self.succeeded(create) {
                    return Turn::LeftOut("the account was not created".into());
                }
            }
        }
        let lost: BTreeSet<&SmtpAddress> = step
            .claims
            .iter()
            .filter(|(_, release)| !self.succeeded(*release))
            .map(|(address, _)| address)
            .collect();
        match &step.call {
            Call::CreateUser { address, .. } | Call::CreateFunctional { address, .. }
                if lost.contains(address) =>
            {
                Turn::LeftOut(format!(
                    "{address} was not released by the account that has it"
                ))
            }
            Call::UpdateUser {
                address: Some(address),
                ..
            } if lost.contains(address) => Turn::LeftOut(format!(
                "{address} was not released by the account that has it"
            )),
            Call::CreateUser { .. }
            | Call::CreateFunctional { .. }
            | Call::UpdateUser { .. }
            | Call::UpdateFunctional { .. }
            | Call::Empty { .. } => self.request(step, &lost),
        }
    }

    fn request(&self, step: &Step, lost: &BTreeSet<&SmtpAddress>) -> Turn {
        let left_out: Vec<String> = lost
            .iter()
            .map(|address| {
                format!("the alias {address} was not released by the account that has it")
            })
            .collect();
        let free = |aliases: &[SmtpAddress]| -> Vec<SmtpAddress> {
            aliases
                .iter()
                .filter(|alias| !lost.contains(alias))
                .cloned()
                .collect()
        };
        match &step.call {
            Call::CreateUser { address, name, key } => {
                let extension = key.clone().map(|key| UserExtensionBody {
                    key: Some(key),
                    ..UserExtensionBody::default()
                });
                let user = UserWrite {
                    user_name: Some(address.clone()),
                    name: Some(name.to_string()),
                    active: Some(true),
                    extension,
                };
                let request = Box::new(Request::CreateUser(address.clone(), user));
                Turn::Send {
                    request,
                    new_aliases: Vec::new(),
                    only_aliases: false,
                    weight: Weight::Light,
                    left_out,
                }
            }
            Call::CreateFunctional {
                address,
                name,
                members,
                aliases,
            } => self.create_functional(address, name, members, free(aliases), left_out),
            Call::UpdateUser {
                address,
                name,
                active,
                extension,
            } => {
                let extension = extension.as_ref().map(|extension| UserExtension {
                    aliases: free(self.aliases(extension)),
                    ..extension.clone()
                });
                self.update_user(
                    step,
                    address.as_ref(),
                    name.as_deref(),
                    *active,
                    extension,
                    left_out,
                )
            }
            Call::UpdateFunctional {
                name,
                members,
                aliases,
            } => {
                let aliases = aliases.as_ref().map(|aliases| free(aliases));
                self.update_functional(step, name.as_deref(), members.as_deref(), aliases, left_out)
            }
            Call::Empty { keep } => self.empty(step, keep, left_out),
        }
    }

    /// R12, R24: with members and aliases, and not at all without a member.
    fn create_functional(
        &self,
        address: &SmtpAddress,
        name: &str,
        members: &[Delegate],
        aliases: Vec<SmtpAddress>,
        mut left_out: Vec<String>,
    ) -> Turn {
        if !self.has_user(members) {
            return Turn::LeftOut("none of its delegates has an account (R12)".into());
        }
        let members = self.ids(members, &mut left_out);
        let extension =
            (!aliases.is_empty()).then(|| GroupExtensionBody::of(&Extension::default(), &aliases));
        let group = GroupWrite {
            external_id: Some(address.clone()),
            name: Some(name.to_owned()),
            members: Some(members),
            extension,
        };
        let request = Box::new(Request::CreateFunctional(address.clone(), group));
        Turn::Send {
            request,
            new_aliases: aliases,
            only_aliases: false,
            weight: Weight::Light,
            left_out,
        }
    }

    /// R22, R23: other functional accounts stay members.
    fn empty(&self, step: &Step, keep: &[AccountIx], left_out: Vec<String>) -> Turn {
        let Some(account) = self.account(step.target) else {
            return Turn::LeftOut("the account was not created".into());
        };
        let mut keep: Vec<ScimId> = keep
            .iter()
            .map(|ix| self.world.accounts.get(*ix).id().clone())
            .collect();
        if let AccountView::Functional(group) = account {
            keep.extend(self.rejected_members(group).cloned());
        }
        let patch = if keep.is_empty() {
            MembersPatch::RemoveAll
        } else {
            MembersPatch::Replace(keep)
        };
        let request = Box::new(Request::Members(account.id().clone(), patch));
        Turn::Send {
            request,
            new_aliases: Vec::new(),
            only_aliases: false,
            weight: Weight::Light,
            left_out,
        }
    }

    /// The aliases of an extension, or those that put back what was given up for a refused rename (R17).
    fn aliases<'b>(&self, extension: &'b UserExtension) -> &'b [SmtpAddress] {
        match &extension.aliases_if_refused {
            Some((rename, aliases)) if !self.succeeded(*rename) => aliases,
            Some(_) | None => &extension.aliases,
        }
    }

    fn update_user(
        &self,
        step: &Step,
        address: Option<&SmtpAddress>,
        name: Option<&str>,
        active: Option<bool>,
        extension: Option<UserExtension>,
        mut left_out: Vec<String>,
    ) -> Turn {
        let Some(AccountView::User(user)) = self.account(step.target) else {
            return Turn::LeftOut("the account was not created".into());
        };
        let completes = matches!(step.when, When::Completes(_));
        let mut write = UserWrite {
            user_name: address.cloned(),
            name: name
                .filter(|name| !completes || user.name.trim() != *name)
                .map(str::to_owned),
            active: active.filter(|active| !completes || user.active != *active),
            extension: None,
        };
        let mut only_aliases = write.user_name.is_none()
            && write.name.is_none()
            && write.active.is_none()
            && !self.ties(step);
        let extended =
            extension.and_then(|extension| self.extend(step, user, extension, &mut left_out));
        let (mut new_aliases, mut weight) = (Vec::new(), Weight::Light);
        if let Some(extended) = extended {
            only_aliases &= extended.only_aliases;
            weight = extended.weight;
            new_aliases = extended.new_aliases;
            write.extension = Some(extended.body);
        }
        let nothing = write.user_name.is_none()
            && write.name.is_none()
            && write.active.is_none()
            && write.extension.is_none();
        if nothing {
            return if completes || left_out.is_empty() {
                Turn::NotNeeded
            } else {
                Turn::LeftOut(left_out.join("; "))
            };
        }
        let request = Box::new(Request::UpdateUser(user.id.clone(), write));
        Turn::Send {
            request,
            new_aliases,
            only_aliases,
            weight,
            left_out,
        }
    }

    /// The extension whole (R23), or `None` if it need not be written.
    fn extend(
        &self,
        step: &Step,
        user: &UserAccount,
        extension: UserExtension,
        left_out: &mut Vec<String>,
    ) -> Option<Extended> {
        let mut aliases: BTreeSet<SmtpAddress> = extension.aliases.into_iter().collect();
        let mut delegates: BTreeSet<SmtpAddress> = BTreeSet::new();
        for delegate in &extension.delegates {
            match self.address(delegate) {
                Some(address) => {
                    delegates.insert(address.clone());
                }
                None => left_out.push("a delegate without account".into()),
            }
        }
        let stored: BTreeSet<&SmtpAddress> = user.extension.aliases.iter().collect();
        let stored_delegates: BTreeSet<&SmtpAddress> = user.delegates.iter().collect();
        if matches!(step.when, When::Completes(_)) {
            let complete = aliases.iter().all(|alias| stored.contains(alias))
                && delegates
                    .iter()
                    .all(|delegate| stored_delegates.contains(delegate));
            if complete {
                return None;
            }
            // What an account had before it is not taken away by its creation.
            aliases.extend(user.extension.aliases.iter().cloned());
            delegates.extend(user.delegates.iter().cloned());
        }
        let same_delegates = delegates.iter().collect::<BTreeSet<_>>() == stored_delegates;
        let same_aliases = aliases.iter().collect::<BTreeSet<_>>() == stored;
        // What was left out may have been all that differs.
        if same_delegates && same_aliases && !left_out.is_empty() && !self.ties(step) {
            return None;
        }
        let is_new = |alias: &&SmtpAddress| !stored.contains(*alias);
        let new_aliases: Vec<SmtpAddress> = aliases.iter().filter(is_new).cloned().collect();
        let takes_access = stored_delegates
            .iter()
            .any(|delegate| !delegates.contains(*delegate));
        Some(Extended {
            only_aliases: aliases.len() - new_aliases.len() == stored.len() && same_delegates,
            weight: if self.ties(step) {
                Weight::Ties
            } else if takes_access {
                Weight::TakesAccess
            } else {
                Weight::Light
            },
            body: UserExtensionBody::of(&user.extension, &aliases, &delegates, extension.key),
            new_aliases,
        })
    }

    fn update_functional(
        &self,
        step: &Step,
        name: Option<&str>,
        members: Option<&[Delegate]>,
        aliases: Option<Vec<SmtpAddress>>,
        mut left_out: Vec<String>,
    ) -> Turn {
        let Some(AccountView::Functional(group)) = self.account(step.target) else {
            return Turn::LeftOut("the account was not created".into());
        };
        let completes = matches!(step.when, When::Completes(_));
        let stored: BTreeSet<&SmtpAddress> = group.extension.aliases.iter().collect();
        let members =
            members.and_then(|members| self.members(group, members, completes, &mut left_out));
        let mut aliases = aliases;
        if completes {
            aliases = aliases
                .filter(|aliases| aliases.iter().any(|alias| !stored.contains(alias)))
                .map(|mut aliases| {
                    aliases.extend(group.extension.aliases.iter().cloned());
                    aliases.sort();
                    aliases.dedup();
                    aliases
                });
        } else if !left_out.is_empty() {
            aliases = aliases.filter(|aliases| aliases.iter().collect::<BTreeSet<_>>() != stored);
        }
        let new_aliases: Vec<SmtpAddress> = aliases
            .iter()
            .flatten()
            .filter(|alias| !stored.contains(alias))
            .cloned()
            .collect();
        let kept = aliases
            .as_ref()
            .map(|aliases| aliases.len() - new_aliases.len());
        let write = GroupWrite {
            external_id: None,
            name: name
                .filter(|name| !completes || group.name.trim() != *name)
                .map(str::to_owned),
            members,
            extension: aliases.map(|aliases| GroupExtensionBody::of(&group.extension, &aliases)),
        };
        if write.name.is_none() && write.members.is_none() && write.extension.is_none() {
            return if left_out.is_empty() {
                Turn::NotNeeded
            } else {
                Turn::LeftOut(left_out.join("; "))
            };
        }
        let only_aliases =
            write.name.is_none() && write.members.is_none() && kept == Some(stored.len());
        let request = Box::new(Request::UpdateFunctional(group.id.clone(), write));
        Turn::Send {
            request,
            new_aliases,
            only_aliases,
            weight: Weight::Light,
            left_out,
        }
    }

    /// The members to write, or `None` if they stay as they are.
    fn members(
        &self,
        group: &FunctionalAccount,
        members: &[Delegate],
        completes: bool,
        left_out: &mut Vec<String>,
    ) -> Option<Vec<ScimId>> {
        let keeps_user = self.has_user(members) || self.has_rejected_user(group);
        let mut ids = self.ids(members, left_out);
        ids.extend(self.rejected_members(group).cloned());
        let has: BTreeSet<&ScimId> = group.members.iter().collect();
        if completes {
            if ids.iter().all(|id| has.contains(id)) {
                return None;
            }
            ids.extend(has.into_iter().filter(|id| **id != group.id).cloned());
            ids.sort();
            ids.dedup();
            return Some(ids);
        }
        if !keeps_user {
            // R12: with only left-out delegates it is not emptied. Other functional accounts do not keep it in use.
            left_out.push(
                "none of its delegates has an account, so its members stay as they are (R12)"
                    .into(),
            );
            return None;
        }
        // R22: neither the account itself goes back, nor what is in neither list.
        let goes_back = |id: &&ScimId| **id != group.id && self.world.accounts.lists(id);
        let stored: BTreeSet<&ScimId> = has.into_iter().filter(goes_back).collect();
        let same = ids.iter().collect::<BTreeSet<_>>() == stored;
        (left_out.is_empty() || !same).then_some(ids)
    }

    /// R1: members that cannot be understood go back as they are.
    fn rejected_members<'b>(
        &'b self,
        group: &'b FunctionalAccount,
    ) -> impl Iterator<Item = &'b ScimId> {
        let members = group.members.iter();
        members.filter(|id| **id != group.id && self.world.accounts.may_be_rejected_id(id))
    }

    fn has_rejected_user(&self, group: &FunctionalAccount) -> bool {
        let ix = self.world.accounts.with_id(&group.id);
        ix.is_some_and(|ix| self.world.accounts.has_rejected_member(ix))
    }

    /// R12: whether a person is among those who have an account by now.
    fn has_user(&self, members: &[Delegate]) -> bool {
        members.iter().any(|member| match member {
            Delegate::Account(target) => {
                matches!(self.account(*target), Some(AccountView::User(_)))
            }
            Delegate::Stranger(_) => false,
        })
    }

    /// R16: an approved tie is written though nothing else differs.
    fn ties(&self, step: &Step) -> bool {
        self.plan.deltas()[step.action as usize].tie.is_some()
    }

    fn account(&self, target: Target) -> Option<AccountView<'_>> {
        match target {
            Target::Existing(ix) => Some(self.world.accounts.get(ix)),
            Target::New(mailbox) => self.created.get(&mailbox).map(Account::view),
        }
    }

    /// R22: a delegate is written with the address that it has now.
    fn address<'b>(&'b self, delegate: &'b Delegate) -> Option<&'b SmtpAddress> {
        match delegate {
            Delegate::Stranger(address) => Some(address),
            Delegate::Account(target) => match target {
                Target::Existing(ix) => Some(
                    self.renamed
                        .get(ix)
                        .unwrap_or_else(|| self.world.accounts.get(*ix).address()),
                ),
                Target::New(mailbox) => self
                    .created
                    .get(mailbox)
                    .map(|created| created.view().address()),
            },
        }
    }

    fn ids(&self, members: &[Delegate], left_out: &mut Vec<String>) -> Vec<ScimId> {
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
}

impl Request {
    /// R22: what it asks Zivver to store, as far as the service can be taken at its word: a create drops the extension.
    pub(super) fn asked(&self) -> Asked {
        let addresses = |texts: &[Box<str>]| {
            let addresses = texts.iter().map(|text| SmtpAddress::verbatim(text));
            addresses.collect::<BTreeSet<_>>()
        };
        match self {
            Self::CreateUser(address, user) => Asked {
                address: Some(address.clone()),
                name: user.name.clone(),
                active: user.active,
                key: user.extension.as_ref().and_then(|it| it.key.clone()),
                ..Asked::default()
            },
            Self::CreateFunctional(address, group) => Asked {
                address: Some(address.clone()),
                name: group.name.clone(),
                members: group.members.clone().map(BTreeSet::from_iter),
                ..Asked::default()
            },
            Self::UpdateUser(_, user) => {
                let extension = user.extension.as_ref();
                Asked {
                    address: user.user_name.clone(),
                    name: user.name.clone(),
                    active: user.active,
                    aliases: extension.map(|it| addresses(&it.aliases)),
                    delegates: extension.map(|it| addresses(&it.delegates)),
                    key: extension.and_then(|it| it.key.clone()),
                    members: None,
                }
            }
            Self::UpdateFunctional(_, group) => Asked {
                name: group.name.clone(),
                members: group.members.clone().map(BTreeSet::from_iter),
                aliases: group.extension.as_ref().map(|it| addresses(&it.aliases)),
                ..Asked::default()
            },
            Self::Members(_, MembersPatch::RemoveAll) => Asked {
                members: Some(BTreeSet::new()),
                ..Asked::default()
            },
            Self::Members(_, MembersPatch::Replace(members)) => Asked {
                members: Some(members.iter().cloned().collect()),
                ..Asked::default()
            },
        }
    }

    fn aliases(&mut self) -> Option<&mut Vec<Box<str>>> {
        match self {
            Self::CreateUser(_, user) | Self::UpdateUser(_, user) => user
                .extension
                .as_mut()
                .map(|extension| &mut extension.aliases),
            Self::CreateFunctional(_, group) | Self::UpdateFunctional(_, group) => group
                .extension
                .as_mut()
                .map(|extension| &mut extension.aliases),
            Self::Members(..) => None,
        }
    }

    /// R23: a refused alias is left out, the rest of the request goes.
    pub(super) fn without_alias(&mut self, alias: &SmtpAddress) {
        if let Some(aliases) = self.aliases() {
            aliases.retain(|text| SmtpAddress::verbatim(text) != *alias);
        }
    }

    /// The address that the account is to have with it.
    pub(super) fn principal(&self) -> Option<&SmtpAddress> {
        match self {
            Self::CreateUser(address, _) | Self::CreateFunctional(address, _) => Some(address),
            Self::UpdateUser(_, user) => user.user_name.as_ref(),
            Self::UpdateFunctional(_, group) => group.external_id.as_ref(),
            Self::Members(..) => None,
        }
    }

    pub(super) fn has_alias(&self, alias: &SmtpAddress) -> bool {
        let aliases = self.known_aliases().into_iter().flatten();
        aliases
            .map(|text| SmtpAddress::verbatim(text))
            .any(|known| known == *alias)
    }

    pub(super) fn alias_domains(&self) -> BTreeSet<String> {
        let aliases = self.known_aliases().into_iter().flatten();
        aliases
            .map(|text| SmtpAddress::verbatim(text).domain().to_owned())
            .collect()
    }

    pub(super) fn has_extension(&self) -> bool {
        self.known_aliases().is_some()
    }

    fn known_aliases(&self) -> Option<&[Box<str>]> {
        match self {
            Self::CreateUser(_, user) | Self::UpdateUser(_, user) => {
                user.extension.as_ref().map(|extension| &*extension.aliases)
            }
            Self::CreateFunctional(_, group) | Self::UpdateFunctional(_, group) => group
                .extension
                .as_ref()
                .map(|extension| &*extension.aliases),
            Self::Members(..) => None,
        }
    }

    /// Whether there was one, and something is left without it.
    pub(super) fn drop_extension(&mut self) -> bool {
        match self {
            Self::UpdateUser(_, user) => {
                let UserWrite {
                    user_name,
                    name,
                    active,
                    extension,
                } = user;
                extension.take().is_some()
                    && (user_name.is_some() || name.is_some() || active.is_some())
            }
            Self::UpdateFunctional(_, group) => {
                let GroupWrite {
                    external_id,
                    name,
                    members,
                    extension,
                } = group;
                extension.take().is_some()
                    && (external_id.is_some() || name.is_some() || members.is_some())
            }
            Self::CreateUser(..) | Self::CreateFunctional(..) | Self::Members(..) => false,
        }
    }

    pub(super) fn with_alias(&mut self, alias: &SmtpAddress) {
        if let Some(aliases) = self.aliases() {
            aliases.push(alias.as_str().into());
        }
    }
}
